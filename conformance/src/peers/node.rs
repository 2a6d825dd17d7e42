//! Node.js and the packages of npm: the reference client and server live here, and the driver of the browser.

use super::{Missing, install};
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = include_str!("../../peers/package.json");
const PACKAGE_LOCK: &str = include_str!("../../peers/package-lock.json");
const NPM_SETTINGS: &str = include_str!("../../peers/.npmrc");

const ADVICE: &str = "Node.js 18 or newer with npm is needed: install it, e.g. `apt-get install nodejs npm`";

/// A Node.js that can load the pinned packages.
#[derive(Clone, Debug)]
pub struct Node {
    directory: PathBuf,
}

impl Node {
    /// A command that runs the script.
    ///
    /// The script finds the packages through `createRequire` and the environment variable `PEER_PACKAGES`, the
    /// directory that holds `package.json`: a script outside that directory could not import them by name.
    pub fn script(&self, path: &Path) -> Command {
        let mut command = Command::new("node");
        command.arg(path).env("PEER_PACKAGES", &self.directory);
        command
    }

    /// A file of an installed package, e.g. `socket.io-client/dist/socket.io.min.js`.
    pub fn package_file(&self, path: &str) -> PathBuf {
        self.directory.join("node_modules").join(path)
    }
}

pub(super) fn find(root: &Path) -> Result<Node, Missing> {
    let found = install::answer("node", &["--version"]).ok_or_else(|| Missing::new(ADVICE))?;
    if install::version(&found).is_none_or(|version| version < (18, 0)) {
        return Err(Missing::new(format!("{ADVICE} (found {found})")));
    }
    let directory = root.join("node");
    install::once(root, &directory, &format!("{PACKAGE}{PACKAGE_LOCK}{NPM_SETTINGS}"), || {
        if install::answer("npm", &["--version"]).is_none() {
            return Err(Missing::new(ADVICE));
        }
        install::write(&directory.join("package.json"), PACKAGE)?;
        install::write(&directory.join("package-lock.json"), PACKAGE_LOCK)?;
        install::write(&directory.join(".npmrc"), NPM_SETTINGS)?;
        // None of the packages needs an install script; without them the lock file alone decides what runs here.
        install::run(
            Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(&directory),
            "Installing the Node.js packages of the tests",
        )
    })?;
    Ok(Node { directory })
}
