//! Peers in Rust: small crates in `peers/`, each a workspace of its own, that nothing builds until they are asked for.

use super::{Missing, install};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where this crate's sources are: the crates of the peers come with them.
const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

/// Builds the peer in `peers/NAME` and returns its program. A build that is up to date takes a moment.
pub(super) fn build(root: &Path, name: &str) -> Result<PathBuf, Missing> {
    let manifest = Path::new(SOURCES).join("peers").join(name).join("Cargo.toml");
    let target = root.join("rust");
    install::run(
        cargo()
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(&manifest)
            .arg("--target-dir")
            .arg(&target),
        &format!("Building the peer {name}"),
    )?;
    Ok(target.join("release").join(format!("{name}-fixture")))
}

/// Builds an example of this crate, in the way this program was built, and returns its program.
pub(super) fn build_example(target: &Path, name: &str) -> Result<PathBuf, Missing> {
    let mut command = cargo();
    command.args(["build", "--locked", "--example", name, "--manifest-path"]);
    command.arg(Path::new(SOURCES).join("Cargo.toml")).arg("--target-dir").arg(target);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    install::run(&mut command, &format!("Building the example {name}"))?;
    Ok(target.join(profile).join("examples").join(name))
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
