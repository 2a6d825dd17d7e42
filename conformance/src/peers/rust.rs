//! Peers in Rust: small crates in `peers/`, each with its own workspace, which are built on demand.

use super::{Missing, install};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of this crate, which contains the crates of the peers.
const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

/// Builds the peer in `peers/NAME` and returns the path of its program. If it is up to date, this takes a moment.
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

/// Builds an example of this crate with the profile of this program, and returns the path of the example.
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
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Those of this program would make build scripts that read their own run once more, with all that depends on them.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}
