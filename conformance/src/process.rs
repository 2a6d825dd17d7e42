//! A child process whose output is read line by line. Every wait has a deadline, and the whole output is kept for error reports.
//!
//! Dropping the [`Process`] kills the child, so that a failed test leaves no process behind.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// The output stream of a line. The enum is exhaustive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The result of a wait. The enum is exhaustive, so that callers handle every result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The next line, without its line terminator.
    Line(Output, String),
    /// Both output streams have ended and the child has exited.
    Exited(ExitStatus),
    /// The deadline passed.
    TimedOut,
}

/// A running child process. Dropping it kills the child and waits for it to exit.
#[derive(Debug)]
pub struct Process {
    name: String,
    started: Instant,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<(Duration, Output, String)>,
    transcript: String,
}

impl Process {
    /// Starts the command with all three standard streams piped. `name` is shown in the transcript.
    ///
    /// # Errors
    /// An error of the operating system. Its text names the command.
    pub fn start(name: &str, command: &mut Command) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{command:?} could not be started: {error}")))?;
        let started = Instant::now();
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            read_lines(stdout, Output::Stdout, started, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            read_lines(stderr, Output::Stderr, started, sender);
        }
        let input = child.stdin.take();
        Ok(Self { name: name.to_owned(), started, child, input, lines, transcript: String::new() })
    }

    /// Waits for the next line, the exit of the child, or the deadline, whichever comes first.
    ///
    /// # Errors
    /// An error of the operating system if the exit status cannot be read.
    pub fn next(&mut self, deadline: Instant) -> io::Result<Progress> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(timeout) {
            Ok((at, output, line)) => {
                self.note(at, output, &line);
                Ok(Progress::Line(output, line))
            }
            Err(RecvTimeoutError::Timeout) => Ok(Progress::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Ok(Progress::Exited(self.child.wait()?)),
        }
    }

    /// Writes one line to the child's standard input.
    ///
    /// # Errors
    /// An error of the operating system, for example if the child has exited.
    pub fn write_line(&mut self, line: &str) -> io::Result<()> {
        let Some(input) = &mut self.input else { return Err(io::ErrorKind::BrokenPipe.into()) };
        input.write_all(format!("{line}\n").as_bytes())?;
        input.flush()
    }

    /// Ends the child's standard input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// The process id of the child.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether the child is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the child and waits for it to exit. Does nothing if it has already exited.
    pub fn kill(&mut self) {
        // Both fail only if the child has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Everything that the child has printed so far, each line with its time in seconds since the start.
    pub fn transcript(&mut self) -> String {
        while let Ok((at, output, line)) = self.lines.try_recv() {
            self.note(at, output, &line);
        }
        let after = self.started.elapsed().as_secs_f64();
        format!("--- {} (after {after:.3} s)\n{}", self.name, self.transcript)
    }

    fn note(&mut self, at: Duration, output: Output, line: &str) {
        let mark = if output == Output::Stderr { " !" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(self.transcript, "{:9.3}{mark} {}", at.as_secs_f64(), shortened(line));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Truncates a line for the transcript.
fn shortened(line: &str) -> String {
    const SHOWN: usize = 2000;
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}... ({} bytes)", line.get(..end).unwrap_or_default(), line.len()),
        None => line.to_owned(),
    }
}

fn read_lines(
    stream: impl Read + Send + 'static,
    output: Output,
    started: Instant,
    lines: Sender<(Duration, Output, String)>,
) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            line.clear();
            if lines.send((started.elapsed(), output, text)).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start("shell", Command::new("sh").args(["-c", script])).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn lines_come_in_order_and_the_status_comes_last() {
        let mut process = shell("echo one; echo two; exit 3");
        assert_eq!(process.next(soon()).unwrap(), Progress::Line(Output::Stdout, "one".into()));
        assert_eq!(process.next(soon()).unwrap(), Progress::Line(Output::Stdout, "two".into()));
        let Progress::Exited(status) = process.next(soon()).unwrap() else { panic!("the status was expected") };
        assert_eq!(status.code(), Some(3));
        assert!(process.transcript().contains("one"));
    }

    #[test]
    fn a_silent_child_times_out_and_can_be_killed() {
        let mut process = shell("read line; echo \"$line\"; read line");
        assert_eq!(process.next(Instant::now()).unwrap(), Progress::TimedOut);
        process.write_line("hello").unwrap();
        assert_eq!(process.next(soon()).unwrap(), Progress::Line(Output::Stdout, "hello".into()));
        process.kill();
        assert!(matches!(process.next(soon()).unwrap(), Progress::Exited(_)));
    }
}
