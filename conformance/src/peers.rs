//! Third-party peers: the programs that the tests talk to, installed once and in pinned versions.
//!
//! Everything is installed in `<target directory>/peers`: npm packages from the checked-in lock files in `peers/`, a Python environment
//! from `peers/requirements.txt`, and programs from the crates in `peers/`. The first test program that needs a tool installs it while it
//! holds a file lock. Other test programs wait for the lock. A copy of the lock file is stored with the installation, so a changed lock
//! file causes a new installation and an unchanged one costs a few file reads.
//!
//! If a tool is not available on this machine, the result is a [`Missing`] that explains what to install, and the tests are skipped with
//! that message. With `REQUIRE_ALL=1` in the environment ([`all_required`]) callers must fail instead, so that no test of a complete run
//! is skipped unnoticed.

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

/// Where the peers are installed, and how to get each of them.
#[derive(Clone, Debug)]
pub struct Peers {
    target: PathBuf,
    root: PathBuf,
}

impl Peers {
    /// Uses `target_directory/peers`. Nothing is created or installed before a peer is requested.
    ///
    /// In an integration test, the target directory is the parent of `env!("CARGO_TARGET_TMPDIR")`.
    pub fn new(target_directory: &Path) -> Self {
        Self { target: target_directory.to_owned(), root: target_directory.join("peers") }
    }

    /// Node.js with the pinned npm packages. Installs the packages if necessary.
    ///
    /// # Errors
    /// [`Missing`] if Node.js 18 or newer or npm is not available, or npm cannot install the packages.
    pub fn node(&self) -> Result<Node, Missing> {
        node::find(&self.root, &node::CURRENT)
    }

    /// Node.js with the packages of the latest socket.io 2.x. Installs them if necessary.
    ///
    /// # Errors
    /// As for [`Peers::node`].
    pub fn node_with_socketio2(&self) -> Result<Node, Missing> {
        node::find(&self.root, &node::SOCKETIO2)
    }

    /// The runtime bun with its own Engine.IO server and packages. Installs them if necessary.
    ///
    /// # Errors
    /// As for [`Peers::node`], because npm installs it. Also if bun does not support this machine.
    pub fn bun(&self) -> Result<Node, Missing> {
        node::find(&self.root, &node::BUN)
    }

    /// The runtime deno with its packages. Installs them if necessary.
    ///
    /// # Errors
    /// As for [`Peers::node`], because npm installs it. Also on machines other than Linux on x86-64.
    pub fn deno(&self) -> Result<Node, Missing> {
        node::find(&self.root, &node::DENO)
    }

    /// The program of the Rust peer `peers/NAME`. Builds it if it is not up to date.
    ///
    /// # Errors
    /// [`Missing`] if cargo is not available or cannot build it.
    pub fn rust(&self, name: &str) -> Result<PathBuf, Missing> {
        rust::build(&self.root, name)
    }

    /// The program of an example of this crate. Builds it if it is not up to date.
    ///
    /// # Errors
    /// [`Missing`] if cargo is not available or cannot build it.
    pub fn example(&self, name: &str) -> Result<PathBuf, Missing> {
        rust::build_example(&self.target, name)
    }

    /// Python with the pinned PyPI packages in a separate environment. Installs them if necessary.
    ///
    /// # Errors
    /// [`Missing`] if Python 3.11 or newer or its `venv` module is not available, or pip cannot install the packages.
    pub fn python(&self) -> Result<Python, Missing> {
        python::find(&self.root)
    }

    /// The Chromium of this machine (`$CHROMIUM`, or one of the usual names on the path) and the Node.js that controls it.
    ///
    /// # Errors
    /// [`Missing`] if no Chromium is found, or as for [`Peers::node`].
    pub fn browser(&self) -> Result<Browser, Missing> {
        browser::find(&self.root)
    }
}

/// A message that explains what is missing and how to install it.
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

/// Returns whether a missing tool is a failure (`REQUIRE_ALL=1` in the environment) instead of a reason to skip.
pub fn all_required() -> bool {
    std::env::var("REQUIRE_ALL").is_ok_and(|value| value == "1")
}
