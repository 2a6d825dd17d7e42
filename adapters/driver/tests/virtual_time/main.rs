//! Complete servers of the driver in virtual time, without sockets, threads or a clock. Random choices (which task runs first, how a
//! connection splits and delays bytes) come from a seed. `SEED=n cargo test -p socketio-driver NAME` replays one.
//!
//! | file | content |
//! |---|---|
//! | `sessions` | sessions from the handshake to the end, over each transport |
//! | `turns` | the task of a peer: order, limits of a turn, deadlines, links that fail, handlers that panic |
//! | `requests` | slow, long and endless bodies, and refused requests |
//! | `queue` | the outbound queue of a peer: limits, refusals, and waiting for space |
//! | `broadcasts` | broadcasts with acks: answers and timeouts |
//! | `namespaces` | namespaces that requests create: parents, races, clean-up, removal |
//! | `handlers` | arguments and return values of handlers, their order, filters, observers, failures |
//! | `fairness` | a flood from one peer does not delay others |
//! | `recovery` | clients that lose their connections and return while events are sent |
//! | `clients` | clients against servers: connecting, handlers, reconnection, what is left |
//! | `hub` | the table of sessions, timers, the server's shutdown, tasks that the runtime drops |
//! | `scenarios` | complete sessions of many peers, generated from a seed and checked |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail loudly, their helpers too"
)]

mod broadcasts;
mod clients;
mod fairness;
mod handlers;
mod hub;
mod namespaces;
mod queue;
mod recovery;
mod requests;
mod scenarios;
mod sessions;
#[path = "../../src/testkit/simulation/mod.rs"]
mod support;
mod turns;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_driver::{CloseReason, Endpoint, EngineServer, EngineServerBuilder, EngineSocket, Message, Runtime as _};

use crate::support::Sim;

/// The path of an [`echo_server`].
const ENGINE: &str = "/engine.io/";

/// The calls of handlers, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A server that logs what happens, and echoes every message.
fn echo_server(change: impl FnOnce(EngineServerBuilder) -> EngineServerBuilder) -> (EngineServer, Log) {
    let log = Log::default();
    let (connects, messages, closes) = (log.clone(), log.clone(), log.clone());
    let builder = EngineServer::builder()
        .on_connect(move |_: EngineSocket| connects.push("connect"))
        .on_message(move |socket: EngineSocket, message: Message| {
            if let Message::Text(text) = &message {
                messages.push(text.to_string());
            }
            socket.send(message)
        })
        .on_close(move |_: EngineSocket, reason: CloseReason| closes.push(reason.to_string()));
    (change(builder).build(), log)
}

/// Shuts the server down and asserts that nothing is left of it: no session, no panic, and, once its peers are dropped, no other task.
async fn end<E: Endpoint, P: Send>(sim: &Sim, server: E, peers: P) {
    server.shut_down(sim.sleep(Duration::from_secs(60))).await;
    drop((server, peers));
    sim.settle().await;
    assert_eq!(sim.tasks().len(), 1, "tasks are left");
    assert!(sim.panics().is_empty(), "{:?}", sim.panics());
}
