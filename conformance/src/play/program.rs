//! The client under test: a program that reports its events on standard output.

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;

use super::Context;
use super::events::{Event, Inbox, Task};
use crate::wire::packets::Payload;

/// A running program. Dropping it kills the program.
#[derive(Debug)]
pub(crate) struct Program {
    /// Receives a packet for every line, and the exit of the program.
    pub(crate) inbox: Inbox,
    input: Option<ChildStdin>,
    exited: watch::Receiver<Option<String>>,
    _watching: Task,
}

impl Program {
    pub(crate) fn start(
        context: &Arc<Context>,
        command: &[String],
        environment: &[(String, String)],
        url: &str,
    ) -> io::Result<Self> {
        let named = command.iter().any(|word| word.contains("{url}"));
        let mut words = command.iter().map(|word| word.replace("{url}", url)).chain((!named).then(|| url.to_owned()));
        let program = words.next().ok_or_else(|| io::Error::other("the command is empty"))?;
        let mut child = Command::new(&program)
            .args(words)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program} could not be started: {error}")))?;
        let (events, inbox) = Inbox::new();
        let (input, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let context = Arc::clone(context);
        let (exit, exited) = watch::channel(None);
        let watching = Task::spawn(async move {
            let stdout_lines = async {
                let Some(stdout) = stdout else { return };
                let mut lines = BufReader::new(stdout).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    context.transcript.received("report", &line);
                    events.send(Event::Packet(Payload::Text(line)));
                }
            };
            let stderr_lines = async {
                let Some(stderr) = stderr else { return };
                let mut lines = BufReader::new(stderr).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    context.transcript.received("stderr", line);
                }
            };
            tokio::join!(stdout_lines, stderr_lines);
            let status = child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
            let how = format!("the client exited with {status}");
            context.transcript.received("report", &how);
            exit.send_replace(Some(how.clone()));
            events.send(Event::closed(how));
        });
        Ok(Self { inbox, input, exited, _watching: watching })
    }

    /// How the program has exited, once it has.
    pub(crate) fn exited(&self) -> watch::Receiver<Option<String>> {
        self.exited.clone()
    }

    /// Writes a command to the program's standard input.
    pub(crate) async fn write_line(&mut self, context: &Context, line: &str) {
        context.transcript.sent("report", line);
        if let Some(input) = &mut self.input {
            // If the program has exited, that is reported separately.
            let _ = input.write_all(format!("{line}\n").as_bytes()).await;
            let _ = input.flush().await;
        }
    }
}
