//! Tests the server of this crate with real peers: the reference clients of Socket.IO (also of older generations) and Engine.IO,
//! python-socketio, and a browser, also with other parsers. Also tests the WebSocket crate with Node's `ws`, and the codecs with the reference parsers.
//!
//! The clients are scripts in `scripts/`. A script runs checks one after the other, and each of them is a test here. The names of the tests
//! are read from the scripts. A *group* is one script in one mode with its own server process: one of the example programs `echo`, `chat`
//! and `bare`. What a group needs (Node.js, Python, Chromium) is installed on first use, see `socketio_conformance::peers`. If that is
//! impossible, the group is skipped and the reason printed, or fails if `REQUIRE_ALL=1` is set.
//!
//! While developing these tests, the server can be replaced by another program with the same contract. `PEER_TEST_SERVER_CMD` and
//! `PEER_TEST_CHAT_CMD` contain its command line. The word `reference` stands for the reference implementation, which must pass all tests.

mod bare;
mod bare_client;
mod browser;
mod client_transport;
mod engine_javascript;
mod generations;
mod group;
mod handlers;
mod javascript;
mod oracle;
mod parsers;
mod python;
mod recovery;
mod server;
mod tls;
mod websocket_node;
mod webtransport;

use libtest_mimic::Arguments;
use socketio_conformance::peers::Peers;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let peers = Peers::new(temporary.parent().unwrap_or(temporary));
    let mut groups = javascript::groups();
    groups.extend(recovery::groups());
    groups.extend(engine_javascript::groups());
    groups.extend(generations::groups());
    groups.extend(python::groups());
    groups.extend(parsers::groups());
    groups.extend(handlers::groups());
    groups.extend(websocket_node::groups());
    groups.extend(browser::groups());
    groups.extend(bare::groups());
    groups.extend(tls::groups());
    groups.extend(webtransport::groups());
    let mut trials = oracle::trials(&peers);
    trials.extend(bare::trials(&peers));
    trials.extend(bare_client::trials(&peers));
    trials.extend(client_transport::trials(&peers));
    group::run(&Arguments::from_args(), &peers, groups, trials)
}
