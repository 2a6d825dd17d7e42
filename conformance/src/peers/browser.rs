//! Chromium, controlled by playwright-core from npm. The tests use the browser of the machine and do not download one.

use super::{Missing, Node, install, node};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The usual names on the path. Debian's is first.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

const ADVICE: &str = "Chromium is needed: install it, e.g. `apt-get install chromium`, or set the environment variable CHROMIUM to its path";

/// A Chromium, and the Node.js whose scripts control it.
#[derive(Clone, Debug)]
pub struct Browser {
    node: Node,
    program: PathBuf,
}

impl Browser {
    /// A command that runs a script under Node.js. The variable `CHROMIUM` holds the path of the browser.
    pub fn script(&self, path: &Path) -> Command {
        let mut command = self.node.script(path);
        command.env("CHROMIUM", &self.program);
        command
    }

    /// The Node.js that controls the browser.
    pub fn node(&self) -> &Node {
        &self.node
    }
}

pub(super) fn find(root: &Path) -> Result<Browser, Missing> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let program = match named {
        Some(program) => runs(&program).then_some(program),
        None => NAMES.iter().find_map(|name| on_the_path(name)).filter(|program| runs(program)),
    };
    let program = program.ok_or_else(|| Missing::new(ADVICE))?;
    Ok(Browser { node: node::find(root, &node::CURRENT)?, program })
}

fn on_the_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|directory| directory.join(name)).find(|file| file.is_file())
}

fn runs(program: &Path) -> bool {
    install::output_of(program, &["--version"]).is_some()
}
