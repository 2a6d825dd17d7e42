//! A server of the field, from the line that says where it listens to its end.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use super::StartError;
use crate::process::{Process, Progress};

/// How long a server may take until it listens: runtimes that compile on a busy machine need their time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server prints before its address.
const LISTENING: &str = "listening on ";

/// A running server. Dropping it kills the server.
#[derive(Debug)]
pub struct Running {
    process: Process,
    url: String,
}

impl Running {
    pub(super) fn start(name: &str, command: &mut Command) -> Result<Self, StartError> {
        let broken = |error: io::Error| StartError::Failed(error.to_string());
        let mut process = Process::start(name, command).map_err(broken)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match process.next(deadline).map_err(broken)? {
                Progress::Line(_, line) => {
                    if let Some((_, address)) = line.split_once(LISTENING) {
                        let url = format!("http://{}", address.trim());
                        return Ok(Self { process, url });
                    }
                }
                Progress::Exited(_) | Progress::TimedOut => return Err(StartError::Failed(process.transcript())),
            }
        }
    }

    /// Where it listens, e.g. `http://127.0.0.1:3000`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it has not ended yet. A server that a test kills is a result of its own.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Everything it has printed until now.
    pub fn log(&mut self) -> String {
        self.process.transcript()
    }
}
