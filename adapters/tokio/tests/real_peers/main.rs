//! The server of this crate against the programs other people run: the reference clients of Socket.IO and Engine.IO,
//! python-socketio, and a browser; the same with other parsers; the WebSocket crate below it against Node's `ws`; and the codecs
//! against the reference parsers.
//!
//! The clients are scripts in `scripts/`, one check after the other, each of them a test here; the names of the tests
//! are read out of the scripts. A *group* is one script in one mode with a server process of its own: the example
//! programs `echo`, `chat` and `bare`. What a group needs (Node.js, Python, Chromium) is installed on first use, see
//! `socketio_conformance::peers`; a machine that lacks it skips the group and says why, unless `REQUIRE_ALL=1` is set.
//!
//! For the development of these tests the server can be another program that keeps the same contract:
//! `PEER_TEST_SERVER_CMD` and `PEER_TEST_CHAT_CMD` name its command line, and the word `reference` stands for the
//! reference implementation, which has to pass everything here.

mod bare;
mod browser;
mod engine_javascript;
mod group;
mod javascript;
mod oracle;
mod parsers;
mod python;
mod server;
mod websocket_node;

use libtest_mimic::Arguments;
use socketio_conformance::peers::Peers;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let peers = Peers::new(temporary.parent().unwrap_or(temporary));
    let mut groups = javascript::groups();
    groups.extend(engine_javascript::groups());
    groups.extend(python::groups());
    groups.extend(parsers::groups());
    groups.extend(websocket_node::groups());
    groups.extend(browser::groups());
    groups.extend(bare::groups());
    let trials = oracle::trials(&peers).into_iter().chain(bare::trials(&peers)).collect();
    group::run(&Arguments::from_args(), &peers, groups, trials)
}
