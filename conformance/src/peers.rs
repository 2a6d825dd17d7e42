//! The real peers: what the tests talk to, installed once and in pinned versions.
//!
//! Everything lands in `<target directory>/peers`: packages of npm from the checked-in lock files in `peers/`, a
//! Python environment from `peers/requirements.txt`, programs from the crates in `peers/`. The first test program that needs a tool installs it while it
//! holds a file lock; the others wait for it and then find it. A copy of the lock file beside the installation says what
//! it was made from, so a changed lock file installs anew and an unchanged one costs a few file reads.
//!
//! A machine without the tool is not a broken checkout: the answer is then a [`Missing`] that says what to install, and
//! the tests are skipped with that sentence. With `REQUIRE_ALL=1` in the environment ([`all_required`]) callers are asked
//! to fail instead, so that a complete run cannot be mistaken for a lucky one.

mod browser;
mod install;
mod node;
mod python;
mod rust;

pub use browser::Browser;
pub use node::Node;
pub use python::Python;

use std::fmt;
use std::path::{Path, PathBuf};

/// Where the peers are installed, and the way to each of them.
#[derive(Clone, Debug)]
pub struct Peers {
    target: PathBuf,
    root: PathBuf,
}

impl Peers {
    /// Peers under `target_directory/peers`. Nothing is touched before a tool is asked for.
    ///
    /// An integration test finds the target directory as the parent of `env!("CARGO_TARGET_TMPDIR")`.
    pub fn new(target_directory: &Path) -> Self {
        Self { target: target_directory.to_owned(), root: target_directory.join("peers") }
    }

    /// Node.js with the pinned packages of npm, installed now if they are not yet.
    ///
    /// # Errors
    /// [`Missing`] when there is no Node.js 18 or newer, no npm, or when npm cannot install the packages.
    pub fn node(&self) -> Result<Node, Missing> {
        node::find(&self.root, &node::CURRENT)
    }

    /// Node.js with the last packages of the 2.x line of socket.io, installed now if they are not yet.
    ///
    /// # Errors
    /// As [`Peers::node`].
    pub fn node_with_socketio2(&self) -> Result<Node, Missing> {
        node::find(&self.root, &node::SOCKETIO2)
    }

    /// The runtime bun with its own Engine.IO server and the packages that run on it, installed now if they are not yet.
    ///
    /// # Errors
    /// As [`Peers::node`], whose npm installs it; and on machines that bun is not made for.
    pub fn bun(&self) -> Result<Node, Missing> {
        node::find(&self.root, &node::BUN)
    }

    /// The runtime deno with the packages that run on it, installed now if they are not yet.
    ///
    /// # Errors
    /// As [`Peers::node`], whose npm installs it; and on machines other than Linux on x86-64.
    pub fn deno(&self) -> Result<Node, Missing> {
        node::find(&self.root, &node::DENO)
    }

    /// The program of a peer in Rust, `peers/NAME`, built now if it is not up to date.
    ///
    /// # Errors
    /// [`Missing`] when cargo is not there, or cannot build it.
    pub fn rust(&self, name: &str) -> Result<PathBuf, Missing> {
        rust::build(&self.root, name)
    }

    /// The program of an example of this crate, built now if it is not up to date.
    ///
    /// # Errors
    /// [`Missing`] when cargo is not there, or cannot build it.
    pub fn example(&self, name: &str) -> Result<PathBuf, Missing> {
        rust::build_example(&self.target, name)
    }

    /// Python with the pinned packages of PyPI in an environment of its own, installed now if it is not yet.
    ///
    /// # Errors
    /// [`Missing`] when there is no Python 3.11 or newer, no `venv` module, or when pip cannot install the packages.
    pub fn python(&self) -> Result<Python, Missing> {
        python::find(&self.root)
    }

    /// A Chromium of this machine (`$CHROMIUM`, or one of the usual names on the path) and the Node.js that drives it.
    ///
    /// # Errors
    /// [`Missing`] when there is no Chromium, or whatever [`Peers::node`] misses.
    pub fn browser(&self) -> Result<Browser, Missing> {
        browser::find(&self.root)
    }
}

/// A sentence for the person at the machine: what is missing and how to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(String);

impl Missing {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// Whether a missing tool is a failure (`REQUIRE_ALL=1` in the environment) instead of a reason to skip.
pub fn all_required() -> bool {
    std::env::var("REQUIRE_ALL").is_ok_and(|value| value == "1")
}
