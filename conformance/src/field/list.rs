//! The list of third-party implementations, and ours.
//!
//! The versions are those of the lock files in `peers/`. A test compares the two.

use super::{Launch, Peer, Runtime};
use crate::case::Role;

/// All servers.
pub fn servers() -> &'static [Peer] {
    &SERVERS
}

/// All clients.
pub fn clients() -> &'static [Peer] {
    &CLIENTS
}

/// Finds a peer by name.
pub fn peer(name: &str) -> Option<&'static Peer> {
    SERVERS.iter().chain(&CLIENTS).find(|peer| peer.name == name)
}

const fn server(name: &'static str, title: &'static str, version: &'static str, launch: Launch) -> Peer {
    Peer { name, title, version, role: Role::Server, lacks: &[], settings: &[], launch }
}

const fn client(name: &'static str, title: &'static str, version: &'static str, launch: Launch) -> Peer {
    Peer { name, title, version, role: Role::Client, lacks: &[], settings: &[], launch }
}

static SERVERS: [Peer; 9] = [
    Peer {
        lacks: &["webtransport", "exact-timers"],
        ..server("node", "socket.io on Node.js", "4.8.4", JavaScript(Node, "server.mjs"))
    },
    Peer {
        lacks: &["webtransport", "exact-timers"],
        ..server("bun", "socket.io on bun", "4.8.4", JavaScript(Bun, "server.mjs"))
    },
    Peer {
        lacks: &["exact-timers"],
        // On a WebTransport stream, a pong waits behind large messages.
        settings: &[("PING_TIMEOUT_MS", "1000")],
        ..server("deno", "socket.io on deno", "4.8.4", JavaScript(Deno, "server.mjs"))
    },
    Peer {
        lacks: &["webtransport", "eio3", "jsonp", "exact-timers"],
        ..server("bun-engine", "socket.io on @socket.io/bun-engine", "0.1.2", JavaScript(Bun, "bun-engine.mjs"))
    },
    Peer {
        lacks: &["eio4", "eio4-only", "sio5", "msgpack", "recovery", "webtransport", "auth", "connect-timeout"],
        ..server("socketio2", "socket.io 2.x on Node.js", "2.5.1", JavaScript(NodeWithSocketio2, "server.mjs"))
    },
    python("python-aiohttp", "python-socketio on aiohttp", &["aiohttp"]),
    python("python-uvicorn", "python-socketio on uvicorn", &["uvicorn"]),
    Peer {
        lacks: &["eio4-only", "jsonp", "recovery", "webtransport", "refusal-data", "close-me", "exact-timers"],
        ..server("socketioxide", "socketioxide on axum", "0.18.9", Rust("socketioxide"))
    },
    server("ours", "socketio-tokio", env!("CARGO_PKG_VERSION"), Example("conformance-server")),
];

const fn python(name: &'static str, title: &'static str, arguments: &'static [&'static str]) -> Peer {
    Peer {
        lacks: &[
            "eio3",
            "recovery",
            "webtransport",
            "connect-timeout",
            "volatile",
            "exact-timers",
            // Whether its broadcasts on WebSockets arrive depends on whether any client polls, such as a session of another case that has
            // not timed out.
            "sio5/binary/two-senders",
            // Not published before the maintainers are informed.
            "hostile/socket/lifecycle-events-by-hand/disconnect",
        ],
        // It announces the interval in whole seconds, so less than one second becomes 0.
        settings: &[("PING_INTERVAL_MS", "1000"), ("PING_TIMEOUT_MS", "1000")],
        ..server(name, title, "5.18.1", Python("server.py", arguments))
    }
}

/// Capabilities that python-socketio lacks or does not report as a client.
const NOT_IN_PYTHON: &[&str] = &[
    "webtransport",
    "eio3",
    "recovery",
    "recovered",
    "retries",
    "volatile",
    "offline-buffer",
    // Closing the transport from the application counts as intentional: the client does not reconnect.
    "close",
    "late-namespace",
    "leave-namespace",
    "report-upgrade",
    "report-attempts",
    "upgrade-option",
];

static CLIENTS: [Peer; 6] = [
    Peer {
        lacks: &["webtransport", "eio3"],
        ..client("client-node", "socket.io-client on Node.js", "4.8.4", JavaScript(Node, "client.mjs"))
    },
    Peer {
        lacks: &[
            "eio4",
            "sio5",
            "recovery",
            "recovered",
            "retries",
            "volatile",
            "ack-timeout",
            "msgpack",
            "webtransport",
        ],
        ..client(
            "client-socketio2",
            "socket.io-client 2.x on Node.js",
            "2.5.0",
            JavaScript(NodeWithSocketio2, "client.mjs"),
        )
    },
    Peer {
        lacks: NOT_IN_PYTHON,
        ..client("client-python", "python-socketio, asyncio", "5.18.1", Python("client.py", &[]))
    },
    Peer {
        lacks: &[
            "webtransport",
            "eio3",
            "recovery",
            "recovered",
            "retries",
            "volatile",
            "offline-buffer",
            "close",
            "late-namespace",
            "leave-namespace",
            "report-upgrade",
            "report-attempts",
            "upgrade-option",
            // Each message and each disconnect is handled in its own thread, so their order varies from run to run.
            "client/close/leaves-the-namespace/polling",
            "client/close/leaves-the-namespace/websocket",
            "client/close/what-was-emitted-before/polling",
            "client/close/what-was-emitted-before/websocket",
            "client/connect/auth-again",
            "client/disconnect/packets-afterwards",
            "client/payload/attachments",
            "client/payload/max-payload/ascii",
            "client/payload/max-payload/four-bytes",
            "client/payload/max-payload/two-bytes",
            "client/payload/one-that-is-too-long",
        ],
        ..client("client-python-threads", "python-socketio, threads", "5.18.1", Python("client_sync.py", &[]))
    },
    Peer {
        lacks: &[
            "webtransport",
            "eio3",
            "sid",
            "recovery",
            "recovered",
            "retries",
            "volatile",
            "close",
            "msgpack",
            "acknowledge",
            "ack-timeout",
            "handshake-timeout",
            "mixed-binary",
            "namespaces",
            "late-namespace",
            "offline-buffer",
            "report-upgrade",
            "report-attempts",
        ],
        ..client("client-rust_socketio", "rust_socketio", "0.6.0", Rust("rust_socketio"))
    },
    // No adapter has WebTransport.
    Peer {
        lacks: &["webtransport"],
        ..client("client-ours", "socketio-tokio", env!("CARGO_PKG_VERSION"), Example("conformance-client"))
    },
];

use Launch::{Example, JavaScript, Python, Rust};
use Runtime::{Bun, Deno, Node, NodeWithSocketio2};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = servers().iter().chain(clients()).map(|peer| peer.name).collect();
        assert_eq!(names.len(), servers().len() + clients().len());
    }

    /// If a lock file were updated without this list, results would appear under the wrong version.
    #[test]
    fn versions_are_those_of_the_lock_files() {
        let in_npm = |lock: &str, package: &str| {
            let lock: serde_json::Value = serde_json::from_str(lock).unwrap();
            lock["packages"][format!("node_modules/{package}")]["version"].as_str().unwrap().to_owned()
        };
        let in_cargo = |lock: &str, package: &str| {
            let (_, after) = lock.split_once(&format!("name = \"{package}\"\nversion = \"")).unwrap();
            after.split_once('"').unwrap().0.to_owned()
        };
        let current = include_str!("../../peers/package-lock.json");
        let old = include_str!("../../peers/socketio2/package-lock.json");
        let bun = include_str!("../../peers/bun/package-lock.json");
        let deno = include_str!("../../peers/deno/package-lock.json");
        let python = include_str!("../../peers/requirements.txt");
        let python = python.lines().find_map(|line| line.strip_prefix("python-socketio==")).unwrap().to_owned();
        for (name, pinned) in [
            ("node", in_npm(current, "socket.io")),
            ("bun", in_npm(bun, "socket.io")),
            ("deno", in_npm(deno, "socket.io")),
            ("bun-engine", in_npm(bun, "@socket.io/bun-engine")),
            ("socketio2", in_npm(old, "socket.io")),
            ("python-aiohttp", python.clone()),
            ("python-uvicorn", python.clone()),
            ("socketioxide", in_cargo(include_str!("../../peers/socketioxide/Cargo.lock"), "socketioxide")),
            ("client-node", in_npm(current, "socket.io-client")),
            ("client-socketio2", in_npm(old, "socket.io-client")),
            ("client-python", python.clone()),
            ("client-python-threads", python),
            ("client-rust_socketio", in_cargo(include_str!("../../peers/rust_socketio/Cargo.lock"), "rust_socketio")),
        ] {
            assert_eq!(peer(name).unwrap().version, pinned, "{name}");
        }
    }
}
