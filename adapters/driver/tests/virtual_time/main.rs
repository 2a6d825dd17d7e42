//! Servers of the driver, whole, in virtual time: no socket, no thread, no clock. What happens by chance (which task runs first, how a
//! connection splits and delays bytes) is drawn from a seed; `SEED=n cargo test -p socketio-driver NAME` plays one again.
//!
//! | file | what |
//! |---|---|
//! | `sessions` | a session from its handshake to its end, over each transport |
//! | `turns` | a peer's task: order, bounds, deadlines, links that fail, handlers that panic |
//! | `requests` | bodies that are slow, long or do not end, and requests that are refused |
//! | `queue` | what waits to be sent: limits, refusals, and waits for room |
//! | `broadcasts` | broadcasts with acks: who answers, and until when |
//! | `hub` | the table of sessions, timers, the server's shutdown, tasks that the runtime drops |
//! | `scenarios` | whole lives of many peers, made up by a seed and judged |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail loudly, their helpers too"
)]

mod broadcasts;
mod hub;
mod queue;
mod requests;
mod scenarios;
mod sessions;
mod support;
mod turns;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_driver::{CloseReason, Endpoint, EngineServer, EngineServerBuilder, EngineSocket, Message, Runtime as _};

use crate::support::Sim;

/// Where an [`echo_server`] answers.
const ENGINE: &str = "/engine.io/";

/// What handlers saw, in order.
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

/// Shuts the server down and sees that nothing is left of it: no session, and, once its peers are dropped, no task but the one that asks.
async fn end<E: Endpoint, P: Send>(sim: &Sim, server: E, peers: P) {
    server.shut_down(sim.sleep(Duration::from_secs(60))).await;
    drop((server, peers));
    sim.settle().await;
    assert_eq!(sim.tasks().len(), 1, "tasks are left");
    assert!(sim.panics().is_empty(), "{:?}", sim.panics());
}
