//! The server of Node.js.

use std::path::Path;
use std::time::Duration;

use socketio_conformance::peers::{Peers, all_required};
use socketio_conformance::process::{Output, Process, Progress};

/// How long a peer may take. A test fails after it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// Says what is missing, and fails if everything is required.
pub(crate) fn skip<T>(missing: &str) -> Option<T> {
    assert!(!all_required(), "{missing}");
    eprintln!("skipped: {missing}");
    None
}

/// Starts the server, and returns it with its port. `None` if Node.js is missing.
pub(crate) fn server(msgpack: bool) -> Option<(Process, u16)> {
    let node = match Peers::new(target()).node() {
        Ok(node) => node,
        Err(missing) => return skip(&missing.to_string()),
    };
    let mut command = node.script(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server.js"));
    if msgpack {
        command.env("MSGPACK", "1");
    }
    let mut process = Process::start("server", &mut command).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match process.next(deadline).unwrap() {
            Progress::Line(Output::Stdout, line) if line.starts_with("port ") => {
                return Some((process, line["port ".len()..].parse().unwrap()));
            }
            Progress::Line(..) => {}
            other => panic!("{other:?}\n{}", process.transcript()),
        }
    }
}
