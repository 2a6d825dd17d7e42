//! The field: implementations of other people (and ours), set up in pinned versions, started, and torn down.
//!
//! [`servers`] and [`clients`] list them. [`Field::start`] starts a server, which dies with the [`Running`] value; [`Field::command_line`]
//! gives what starts a client; [`Expected`] is what a run found the last time that somebody looked. Programs and packages are installed under the target directory when they are asked for, as [`crate::peers`]
//! does it; the fixtures come with the sources of this crate, so that this module is of use in a checkout alone.

mod expected;
mod list;
#[cfg(test)]
mod notes;
mod running;
mod settle;
mod table;

pub use expected::{Difference, Expected, Outcome};
pub use list::{clients, peer, servers};
pub use running::Running;
pub use settle::settle;
pub use table::table;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::case::{Case, Role};
use crate::peers::{Missing, Peers};

/// An implementation in a pinned version, with what it needs to run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Its name on the command line and of its file of expected results.
    pub name: &'static str,
    /// What it is, for a headline.
    pub title: &'static str,
    /// The pinned version.
    pub version: &'static str,
    /// Whether it keeps the contract of `fixtures/SERVER.md` or that of `fixtures/CLIENT.md`.
    pub role: Role,
    /// Capabilities that it does not claim, in the words of the contracts.
    pub lacks: &'static [&'static str],
    /// Settings of the contract that it needs to have: environment variables.
    pub settings: &'static [(&'static str, &'static str)],
    launch: Launch,
}

impl Peer {
    /// Whether a case is tried on it. Those that take a build of the suite with a feature are tried only on who has what they are about, so
    /// that the results of all others are the same with every build.
    pub fn is_asked(&self, case: &Case) -> bool {
        !case.is_on_request() || case.needs.iter().all(|need| !self.lacks.contains(&need.as_str()))
    }
}

/// What starts a peer.
#[derive(Clone, Copy, Debug)]
enum Launch {
    /// A script in `fixtures/node`, by the runtime and with the packages of this name.
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

/// Sets peers up and starts them.
#[derive(Clone, Debug)]
pub struct Field {
    peers: Peers,
    fixtures: PathBuf,
}

impl Field {
    /// Installs under `target_directory/peers`.
    pub fn new(target_directory: &Path) -> Self {
        Self { peers: Peers::new(target_directory), fixtures: Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures") }
    }

    /// Installs where cargo builds: `$CARGO_TARGET_DIR`, or `target` in the checkout that this program was built from.
    pub fn in_checkout() -> Self {
        let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        Self::new(&named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("target")))
    }

    /// Starts a server on a free port, after installing what it needs, and waits until it listens.
    ///
    /// # Errors
    /// [`Missing`] when something cannot be installed; otherwise with everything that the server printed.
    pub fn start(&self, peer: &Peer) -> Result<Running, StartError> {
        let mut command = self.command(peer)?;
        // A port that the suite's own environment names is not meant for every server.
        command.env("PORT", "0");
        Running::start(peer.name, &mut command)
    }

    /// The words that start a client, after installing what it needs. The URL to connect to has to follow them; whoever replaces `{url}` finds it
    /// as the last word.
    ///
    /// # Errors
    /// [`Missing`] when something cannot be installed.
    pub fn command_line(&self, peer: &Peer) -> Result<Vec<String>, Missing> {
        let command = self.command(peer)?;
        let text = |word: OsString| word.to_string_lossy().into_owned();
        // A command line has no environment of its own: the program `env` gives it one.
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
    /// Something cannot be installed here.
    Missing(Missing),
    /// The program did not get as far as listening; the text is what it printed.
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
