//! A running server process of the field.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use super::StartError;
use crate::process::{Process, Progress};

/// How long a server may take to start. Runtimes that compile first need that long on a busy machine.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);

/// Printed by a server before its address.
const ADDRESS_PREFIX: &str = "listening on ";

/// A running server. Dropping it kills the server.
#[derive(Debug)]
pub struct RunningServer {
    process: Process,
    url: String,
}

impl RunningServer {
    pub(super) fn start(name: &str, command: &mut Command) -> Result<Self, StartError> {
        let failed = |error: io::Error| StartError::Failed(error.to_string());
        let mut process = Process::start(name, command).map_err(failed)?;
        let deadline = Instant::now() + STARTUP_TIMEOUT;
        loop {
            match process.next(deadline).map_err(failed)? {
                Progress::Line(_, line) => {
                    if let Some((_, address)) = line.split_once(ADDRESS_PREFIX) {
                        let url = format!("http://{}", address.trim());
                        return Ok(Self { process, url });
                    }
                }
                Progress::Exited(_) | Progress::TimedOut => return Err(StartError::Failed(process.transcript())),
            }
        }
    }

    /// The URL of the server, such as `http://127.0.0.1:3000`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The id of the process, for signals.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Returns whether the process is still running. If a case crashes the server, that is a result of its own.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Everything that the server has printed so far.
    pub fn log(&mut self) -> String {
        self.process.transcript()
    }
}
