//! JavaScript runtimes and npm packages, including the reference client and server, and the package that controls the browser.

use super::{Missing, install};
use std::path::{Path, PathBuf};
use std::process::Command;

const NPM_SETTINGS: &str = include_str!("../../peers/.npmrc");

const ADVICE: &str = "Node.js 18 or newer with npm is needed: install it, e.g. `apt-get install nodejs npm`";

/// A JavaScript runtime with a set of pinned packages.
#[derive(Clone, Debug)]
pub struct Node {
    program: PathBuf,
    arguments: &'static [&'static str],
    directory: PathBuf,
}

impl Node {
    /// A command that runs the script.
    ///
    /// The variable `PEER_PACKAGES` holds the directory of `package.json`. The script loads packages from there with `createRequire`,
    /// because a script outside that directory cannot import them by name.
    pub fn script(&self, path: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.arguments).arg(path).env("PEER_PACKAGES", &self.directory);
        command
    }

    /// The path of a file in an installed package, such as `socket.io-client/dist/socket.io.min.js`.
    pub fn package_file(&self, path: &str) -> PathBuf {
        self.directory.join("node_modules").join(path)
    }
}

/// A set of packages with its own lock file.
pub(super) struct Packages {
    name: &'static str,
    package: &'static str,
    package_lock: &'static str,
    /// The runtime: a file in one of the packages, and its first arguments. Node.js if `None`.
    runtime: Option<(&'static str, &'static [&'static str])>,
}

/// The reference implementation, and other packages that the tests need.
pub(super) const CURRENT: Packages = Packages {
    name: "node",
    package: include_str!("../../peers/package.json"),
    package_lock: include_str!("../../peers/package-lock.json"),
    runtime: None,
};

/// The socket.io 2.x line.
pub(super) const SOCKETIO2: Packages = Packages {
    name: "socketio2",
    package: include_str!("../../peers/socketio2/package.json"),
    package_lock: include_str!("../../peers/socketio2/package-lock.json"),
    runtime: None,
};

/// The runtime bun. There are several builds for each platform. These are the standard ones.
pub(super) const BUN: Packages = Packages {
    name: "bun",
    package: include_str!("../../peers/bun/package.json"),
    package_lock: include_str!("../../peers/bun/package-lock.json"),
    runtime: Some((
        match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
            (true, true) => "@oven/bun-darwin-aarch64/bin/bun",
            (true, false) => "@oven/bun-darwin-x64/bin/bun",
            (false, true) => "@oven/bun-linux-aarch64/bin/bun",
            (false, false) => "@oven/bun-linux-x64/bin/bun",
        },
        &[],
    )),
};

/// The runtime deno, for Linux on x86-64. Its QUIC support is behind a flag.
pub(super) const DENO: Packages = Packages {
    name: "deno",
    package: include_str!("../../peers/deno/package.json"),
    package_lock: include_str!("../../peers/deno/package-lock.json"),
    runtime: Some(("@deno/linux-x64-glibc/deno", &["run", "--allow-all", "--no-config", "--unstable-net"])),
};

pub(super) fn find(root: &Path, packages: &Packages) -> Result<Node, Missing> {
    let found = install::output_of("node", &["--version"]).ok_or_else(|| Missing::new(ADVICE))?;
    if install::version(&found).is_none_or(|version| version < (18, 0)) {
        return Err(Missing::new(format!("{ADVICE} (found {found})")));
    }
    let Packages { name, package, package_lock, runtime } = packages;
    let directory = root.join(name);
    install::once(root, &directory, &format!("{package}{package_lock}{NPM_SETTINGS}"), || {
        if install::output_of("npm", &["--version"]).is_none() {
            return Err(Missing::new(ADVICE));
        }
        install::write(&directory.join("package.json"), package)?;
        install::write(&directory.join("package-lock.json"), package_lock)?;
        install::write(&directory.join(".npmrc"), NPM_SETTINGS)?;
        // None of the packages needs an install script. Without them, only the code in the lock file runs here.
        install::run(
            Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(&directory),
            &format!("Installing the npm packages of the set {name:?}"),
        )
    })?;
    let Some((program, arguments)) = *runtime else {
        return Ok(Node { program: "node".into(), arguments: &[], directory });
    };
    let program = directory.join("node_modules").join(program);
    if install::output_of(&program, &["--version"]).is_none() {
        return Err(Missing::new(format!("{name} does not support this machine: cannot run {}", program.display())));
    }
    Ok(Node { program, arguments, directory })
}
