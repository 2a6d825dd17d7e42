//! Installs a peer once: a file lock excludes other test programs, and a stamp records what the installation was made from.

use super::Missing;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `install` in an empty `directory`, unless it holds a complete installation with the same `stamp`.
///
/// The stamp is written last, so an interrupted installation is never used.
pub(super) fn once(
    root: &Path,
    directory: &Path,
    stamp: &str,
    install: impl FnOnce() -> Result<(), Missing>,
) -> Result<(), Missing> {
    let failed =
        |what: &str, error: std::io::Error| Missing::new(format!("{what} in {} failed: {error}", root.display()));
    fs::create_dir_all(root).map_err(|error| failed("creating the directory of the peers", error))?;
    let lock = File::create(root.join("lock")).map_err(|error| failed("creating the lock file", error))?;
    // Called by its full path: the method of the same name in the standard library is newer than our MSRV. The lock is released when the
    // file is closed, also if this process dies.
    fs4::FileExt::lock(&lock).map_err(|error| failed("acquiring the file lock", error))?;

    let stamp_file = directory.join("made-from");
    if fs::read_to_string(&stamp_file).is_ok_and(|made_from| made_from == stamp) {
        return Ok(());
    }
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(|error| failed("removing an outdated installation", error))?;
    }
    fs::create_dir_all(directory).map_err(|error| failed("creating a directory", error))?;
    install()?;
    fs::write(&stamp_file, stamp).map_err(|error| failed("writing the stamp", error))
}

/// Writes a checked-in file to where the installer expects it.
pub(super) fn write(path: &Path, content: &str) -> Result<(), Missing> {
    fs::write(path, content).map_err(|error| Missing::new(format!("writing {} failed: {error}", path.display())))
}

/// Runs an installer. On failure, its whole output is part of the error.
pub(super) fn run(command: &mut Command, purpose: &str) -> Result<(), Missing> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Missing::new(format!("{purpose}: {command:?} could not be started: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Missing::new(format!(
        "{purpose} failed ({}); is the package registry reachable?\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    )))
}

/// The output of the command, or `None` if it cannot run or fails.
pub(super) fn output_of(program: impl AsRef<OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The major and minor version in the first word of `text` that looks like a version (`v20.1.2`, `3.11.7`).
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn versions_are_found_in_what_tools_print() {
        assert_eq!(version("v20.20.2"), Some((20, 20)));
        assert_eq!(version("Python 3.11.7"), Some((3, 11)));
        assert_eq!(version("no such thing"), None);
    }

    #[test]
    fn an_installation_is_made_once_again_when_its_source_changes_and_again_after_a_failure() {
        let root = std::env::temp_dir().join(format!("socketio-conformance-{}", std::process::id()));
        let directory = root.join("tool");
        let runs = Cell::new(0);
        let install = |stamp: &str, outcome: Result<(), Missing>| {
            once(&root, &directory, stamp, || {
                runs.set(runs.get() + 1);
                outcome
            })
        };
        assert!(install("a", Ok(())).is_ok());
        assert!(install("a", Ok(())).is_ok());
        assert_eq!(runs.get(), 1);
        assert!(install("b", Err(Missing::new("no"))).is_err());
        assert!(install("b", Ok(())).is_ok());
        assert!(install("b", Ok(())).is_ok());
        assert_eq!(runs.get(), 3);
        fs::remove_dir_all(&root).unwrap();
    }
}
