//! Third-party implementations (and ours) in pinned versions: installs, starts and stops them.
//!
//! [`servers`] and [`clients`] list them. [`Field::start`] starts a server, which is killed when the [`RunningServer`] value is dropped.
//! [`Field::command_line`] returns the command that starts a client. [`Expected`] holds the reviewed results of an earlier run. Programs
//! and packages are installed on demand under the target directory, see [`crate::peers`]. The fixtures are read from the sources of this
//! crate, so this module only works in a checkout.

mod expected;
mod list;
#[cfg(test)]
mod notes;
mod retry;
mod running_server;
mod table;

pub use expected::{Difference, Expected, Outcome};
pub use list::{clients, peer, servers};
pub use retry::retry_unexpected;
pub use running_server::RunningServer;
pub use table::table;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::case::{Case, Role};
use crate::peers::{Missing, Peers};

/// An implementation in a pinned version, and what it needs to run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Its name on the command line, and of its file of expected results.
    pub name: &'static str,
    /// Its title in reports.
    pub title: &'static str,
    /// The pinned version.
    pub version: &'static str,
    /// The role determines the contract it implements: `fixtures/SERVER.md` or `fixtures/CLIENT.md`.
    pub role: Role,
    /// Capabilities that it does not claim, as named in the contracts. The id of a case excludes that case.
    pub lacks: &'static [&'static str],
    /// Settings of the contract that it requires, as environment variables.
    pub settings: &'static [(&'static str, &'static str)],
    launch: Launch,
}

impl Peer {
    /// Returns whether to run a case on this peer. Cases that need a build of the suite with a feature run only on peers with all their
    /// capabilities, so that the results of all other peers do not depend on the build.
    pub fn runs_case(&self, case: &Case) -> bool {
        !case.needs_webtransport() || case.needs.iter().all(|need| !self.lacks.contains(&need.as_str()))
    }
}

/// How to start a peer.
#[derive(Clone, Copy, Debug)]
enum Launch {
    /// A script in `fixtures/node`, with this runtime and its packages.
    JavaScript(Runtime, &'static str),
    /// A script in `fixtures/python`, with arguments.
    Python(&'static str, &'static [&'static str]),
    /// A crate in `peers`.
    Rust(&'static str),
    /// An example of this crate.
    Example(&'static str),
}

#[derive(Clone, Copy, Debug)]
enum Runtime {
    Node,
    NodeWithSocketio2,
    Bun,
    Deno,
}

/// Installs peers and starts them.
#[derive(Clone, Debug)]
pub struct Field {
    peers: Peers,
    fixtures: PathBuf,
}

impl Field {
    /// Uses `target_directory/peers` for installations.
    pub fn new(target_directory: &Path) -> Self {
        Self { peers: Peers::new(target_directory), fixtures: Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures") }
    }

    /// Uses cargo's target directory for installations: `$CARGO_TARGET_DIR`, or `target` in the checkout that this program was built
    /// from.
    pub fn in_checkout() -> Self {
        let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        Self::new(&named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("target")))
    }

    /// Installs a server if necessary, starts it on a free port and waits until it listens.
    ///
    /// # Errors
    /// [`Missing`] if something cannot be installed. Otherwise an error with everything that the server has printed.
    pub fn start(&self, peer: &Peer) -> Result<RunningServer, StartError> {
        self.start_at(peer, 0, &[])
    }

    /// Same as [`Field::start`], on this port, and with settings of the contract that replace those of the peer.
    ///
    /// # Errors
    /// As [`Field::start`].
    pub fn start_at(&self, peer: &Peer, port: u16, settings: &[(&str, &str)]) -> Result<RunningServer, StartError> {
        let mut command = self.command(peer)?;
        // A `PORT` in the environment of the suite is not meant for the servers.
        command.envs(settings.iter().copied()).env("PORT", port.to_string());
        RunningServer::start(peer.name, &mut command)
    }

    /// Installs a client if necessary, and returns the command that starts it. The last word is `{url}`, to be replaced by the URL to
    /// connect to.
    ///
    /// # Errors
    /// [`Missing`] if something cannot be installed.
    pub fn command_line(&self, peer: &Peer) -> Result<Vec<String>, Missing> {
        let command = self.command(peer)?;
        let text = |word: OsString| word.to_string_lossy().into_owned();
        // A command line cannot set environment variables, so the program `env` does.
        let variables = command.get_envs().filter_map(|(name, value)| {
            let (name, value) = (name.to_string_lossy(), value?.to_string_lossy());
            Some(format!("{name}={value}"))
        });
        let words = std::iter::once("env".to_owned()).chain(variables).chain([text(command.get_program().to_owned())]);
        let arguments = command.get_args().map(|word| text(word.to_owned()));
        Ok(words.chain(arguments).chain(["{url}".to_owned()]).collect())
    }

    fn command(&self, peer: &Peer) -> Result<Command, Missing> {
        let mut command = match peer.launch {
            Launch::JavaScript(runtime, script) => {
                let runtime = match runtime {
                    Runtime::Node => self.peers.node(),
                    Runtime::NodeWithSocketio2 => self.peers.node_with_socketio2(),
                    Runtime::Bun => self.peers.bun(),
                    Runtime::Deno => self.peers.deno(),
                }?;
                runtime.script(&self.fixtures.join("node").join(script))
            }
            Launch::Python(script, arguments) => {
                let mut command = self.peers.python()?.script(&self.fixtures.join("python").join(script));
                command.args(arguments);
                command
            }
            Launch::Rust(name) => Command::new(self.peers.rust(name)?),
            Launch::Example(name) => Command::new(self.peers.example(name)?),
        };
        command.envs(peer.settings.iter().copied());
        Ok(command)
    }
}

/// Why a server could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Something cannot be installed on this machine.
    Missing(Missing),
    /// The program ended or timed out before it listened. The text is what it printed.
    Failed(String),
}

impl From<Missing> for StartError {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(missing) => missing.fmt(formatter),
            Self::Failed(log) => write!(formatter, "the server did not start:\n{log}"),
        }
    }
}

impl std::error::Error for StartError {}
