//! The servers: fixtures of the conformance suite as child processes.

use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use socketio_conformance::field::{Field, Peer, RunningServer, StartError, peer};
use socketio_tokio::Revision;

/// A server, and what it can do.
pub(crate) struct Kind {
    /// The first part of the names of tests.
    pub(crate) name: &'static str,
    /// Its name in the field of the conformance suite.
    pub(crate) peer: &'static str,
    pub(crate) revision: Revision,
    pub(crate) path: &'static str,
    /// The path of its endpoint with the MessagePack parser.
    pub(crate) msgpack: Option<&'static str>,
    /// The path of its endpoint with connection state recovery.
    pub(crate) recovery: Option<&'static str>,
}

const SOCKETIO: Kind = Kind {
    name: "node",
    peer: "node",
    revision: Revision::V4,
    path: "/socket.io/",
    msgpack: Some("/msgpack/socket.io/"),
    recovery: Some("/recovery/socket.io/"),
};

/// What a server of the current generation offers to clients of the one before.
const REVISION_3: Kind =
    Kind { revision: Revision::V3, path: "/eio3/socket.io/", msgpack: None, recovery: None, ..SOCKETIO };

pub(crate) const KINDS: [Kind; 6] = [
    SOCKETIO,
    Kind { name: "node_for_revision_3", ..REVISION_3 },
    Kind { name: "socketio2", peer: "socketio2", ..REVISION_3 },
    Kind { name: "python", peer: "python-aiohttp", recovery: None, ..SOCKETIO },
    Kind { name: "ours", peer: "ours", ..SOCKETIO },
    Kind { name: "ours_for_revision_3", peer: "ours", ..REVISION_3 },
];

impl Kind {
    fn peer(&self) -> &'static Peer {
        peer(self.peer).unwrap()
    }
}

/// The settings of servers that no test pauses: a slow machine must not look like a lost connection.
const PATIENT: [(&str, &str); 3] =
    [("PING_INTERVAL_MS", "25000"), ("PING_TIMEOUT_MS", "20000"), ("CONNECT_TIMEOUT_MS", "45000")];

/// One server that many tests use at the same time, and the means to start others.
pub(crate) struct Shared {
    pub(crate) kind: &'static Kind,
    field: Field,
    /// The process, which is killed at the end, and its URL.
    running: OnceLock<Result<(Mutex<RunningServer>, String), String>>,
}

impl Shared {
    pub(crate) fn new(kind: &'static Kind, field: &Field) -> Self {
        Self { kind, field: field.clone(), running: OnceLock::new() }
    }

    /// Starts the server, if it is not running. The error is a reason to skip its tests.
    pub(crate) fn prepare(&self) -> Result<(), String> {
        // Installing is not for two threads at once, and several kinds may be one program.
        static INSTALLING: Mutex<()> = Mutex::new(());
        let started = self.running.get_or_init(|| {
            let _installing = INSTALLING.lock().unwrap();
            match self.field.start_at(self.kind.peer(), 0, &PATIENT) {
                Ok(server) => {
                    let url = server.url().to_owned();
                    Ok((Mutex::new(server), url))
                }
                Err(StartError::Missing(missing)) => Err(missing.to_string()),
                Err(error) => panic!("{error}"),
            }
        });
        started.as_ref().map(drop).map_err(Clone::clone)
    }

    pub(crate) fn url(&self) -> &str {
        &self.running.get().unwrap().as_ref().unwrap().1
    }

    /// Starts another one for a single test, which may stop it.
    pub(crate) fn own(&self, settings: &[(&'static str, &'static str)]) -> Own<'_> {
        let settings: Vec<_> = PATIENT.iter().chain(settings).copied().collect();
        let running = self.field.start_at(self.kind.peer(), 0, &settings).unwrap();
        let port = running.url().rsplit_once(':').unwrap().1.parse().unwrap();
        Own { shared: self, settings, port, running: Some(running) }
    }
}

/// A server of one test.
pub(crate) struct Own<'a> {
    shared: &'a Shared,
    settings: Vec<(&'static str, &'static str)>,
    port: u16,
    running: Option<RunningServer>,
}

impl Own<'_> {
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills the process, as a crash would: clients are not told.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it again on the same port.
    pub(crate) fn restart(&mut self) {
        // An outgoing connection of this machine may have taken the port. Such a connection ends soon.
        for _ in 0..20 {
            match self.shared.field.start_at(self.shared.kind.peer(), self.port, &self.settings) {
                Ok(running) => {
                    self.running = Some(running);
                    return;
                }
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
        panic!("the server cannot be started on port {} again", self.port);
    }

    /// Freezes the process: its connections stay, and nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.running.as_ref().unwrap().process_id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success(), "kill {signal} {id}");
    }
}
