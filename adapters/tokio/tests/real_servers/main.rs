//! Tests the client of this crate with real servers: socket.io 4.8.4 and 2.5 on Node.js, python-socketio on aiohttp, and ours.
//!
//! The servers are the fixtures of the conformance suite, which all do the same for each event (`conformance/fixtures/SERVER.md`). Each
//! *check* is a function here, and runs against each server, in each way to connect: by polling, over a WebSocket, and with an upgrade. The
//! name of a test is `server::way::check`.
//!
//! | file | what it checks |
//! |---|---|
//! | `server` | starts, pauses, kills and restarts the servers |
//! | `connection` | a client for a test, and what it reports |
//! | `proxy` | a connection that the test can cut |
//! | `events` | events, acks, namespaces, batches, and the MessagePack parser |
//! | `ends` | refusals, kicks, lost and frozen servers, messages over the limit |
//! | `recovery` | what is missed while the connection is cut |
//!
//! What a server needs (Node.js, Python) is installed on first use. If that is impossible, its tests are skipped and the reason is printed,
//! or they fail if `REQUIRE_ALL=1` is set.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod connection;
mod ends;
mod events;
mod proxy;
mod recovery;
mod server;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use socketio_conformance::field::Field;
use socketio_conformance::peers::all_required;

use connection::{Test, WAYS, Way};
use server::{KINDS, Kind, Shared};

/// A check, and whether it runs against this kind of server.
type Check = (&'static str, fn(&Kind) -> bool, fn(&Test));

fn checks() -> Vec<Check> {
    [events::CHECKS, ends::CHECKS, recovery::CHECKS].concat()
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let field = Field::new(temporary.parent().unwrap_or(temporary));
    let missing = Arc::new(Mutex::new(BTreeSet::new()));
    // Dropped at the end of this function, which kills the servers.
    let servers: Vec<_> = KINDS.iter().map(|kind| Arc::new(Shared::new(kind, &field))).collect();
    let mut trials = Vec::new();
    for server in &servers {
        for way in WAYS {
            for (name, applies, check) in checks() {
                if !applies(server.kind) {
                    continue;
                }
                let (server, missing) = (Arc::clone(server), Arc::clone(&missing));
                let name = format!("{}::{}::{name}", server.kind.name, way.name());
                trials.push(Trial::ignorable_test(name, move || run(&server, way, check, &missing)));
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for reason in missing.lock().unwrap().iter() {
        eprintln!("missing: {reason}");
    }
    conclusion.exit_code()
}

fn run(
    server: &Arc<Shared>,
    way: Way,
    check: fn(&Test),
    missing: &Mutex<BTreeSet<String>>,
) -> Result<Completion, Failed> {
    match server.prepare() {
        Ok(()) => {}
        Err(reason) if all_required() => return Err(reason.into()),
        Err(reason) => {
            missing.lock().unwrap().insert(reason.clone());
            return Ok(Completion::ignored_with(reason));
        }
    }
    check(&Test { server: Arc::clone(server), way });
    Ok(Completion::Completed)
}
