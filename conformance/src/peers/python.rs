//! Python and PyPI packages, in a virtual environment that leaves the packages of the machine unchanged.

use super::{Missing, install};
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS: &str = include_str!("../../peers/requirements.txt");

const ADVICE: &str =
    "Python 3.11 or newer with its venv module is needed: install it, e.g. `apt-get install python3 python3-venv`";

/// A Python interpreter with the pinned packages.
#[derive(Clone, Debug)]
pub struct Python {
    program: PathBuf,
}

impl Python {
    /// A command that runs the script with unbuffered output.
    pub fn script(&self, path: &Path) -> Command {
        let mut command = Command::new(&self.program);
        // -B writes no bytecode, because the scripts are part of a source tree.
        command.args(["-u", "-B"]).arg(path);
        command
    }
}

pub(super) fn find(root: &Path) -> Result<Python, Missing> {
    let found = install::output_of("python3", &["--version"]).ok_or_else(|| Missing::new(ADVICE))?;
    if install::version(&found).is_none_or(|version| version < (3, 11)) {
        return Err(Missing::new(format!("{ADVICE} (found {found})")));
    }
    let directory = root.join("python");
    let environment = directory.join("environment");
    let program = environment.join("bin").join("python");
    // The environment uses the interpreter that it was created with, so it is recreated if the interpreter changes.
    install::once(root, &directory, &format!("{found}\n{REQUIREMENTS}"), || {
        install::run(Command::new("python3").args(["-m", "venv"]).arg(&environment), ADVICE)?;
        let requirements = directory.join("requirements.txt");
        install::write(&requirements, REQUIREMENTS)?;
        install::run(
            Command::new(&program)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
                .arg(&requirements),
            "Installing the Python packages of the tests",
        )
    })?;
    Ok(Python { program })
}
