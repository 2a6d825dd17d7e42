//! The program as a child process, and a server in this process.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may panic")]

pub(crate) mod server;

use std::process::Command;
use std::time::{Duration, Instant};

use socketio_conformance::process::{Process, Progress};

/// The longest time that a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program `socketio`.
pub(crate) struct Tool {
    process: Process,
    /// What it has printed, and no test has asked for.
    lines: Vec<String>,
}

impl Tool {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_socketio"));
        command.args(arguments);
        Self { process: Process::start("socketio", &mut command).unwrap(), lines: Vec::new() }
    }

    /// Writes a line to its input.
    pub(crate) fn line(&mut self, line: &str) -> &mut Self {
        self.process.write_line(line).unwrap();
        self
    }

    pub(crate) fn end_input(&mut self) -> &mut Self {
        self.process.end_input();
        self
    }

    /// Waits for a line that has this text, on either output. Lines before it are kept for later calls.
    pub(crate) fn until(&mut self, wanted: &str) -> String {
        if let Some(index) = self.lines.iter().position(|line| line.contains(wanted)) {
            return self.lines.remove(index);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.process.next(deadline).unwrap() {
                Progress::Line(_, line) if line.contains(wanted) => return line,
                Progress::Line(_, line) => self.lines.push(line),
                end => panic!("no line with {wanted:?}: {end:?}\n{}", self.process.transcript()),
            }
        }
    }

    /// Waits for a line of JSON whose `type` is this.
    pub(crate) fn until_json(&mut self, kind: &str) -> serde_json::Value {
        serde_json::from_str(&self.until(&format!("{{\"type\":\"{kind}\""))).unwrap()
    }

    /// Waits until it ends. Returns its exit status, and what it printed, without what the test has asked for before.
    pub(crate) fn exit(mut self) -> (i32, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.process.next(deadline).unwrap() {
                Progress::Line(_, line) => self.lines.push(line),
                Progress::Exited(status) => {
                    let code = status.code().unwrap_or_else(|| panic!("{status}\n{}", self.process.transcript()));
                    return (code, self.lines.join("\n"));
                }
                Progress::TimedOut => panic!("it does not end\n{}", self.process.transcript()),
            }
        }
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

/// Runs it with this input until it ends.
pub(crate) fn run(arguments: &[&str], input: &str) -> (i32, String) {
    let mut tool = Tool::start(arguments);
    for line in input.lines() {
        tool.line(line);
    }
    tool.end_input();
    tool.exit()
}
