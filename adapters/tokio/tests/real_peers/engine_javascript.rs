//! engine.io-client 6.6.8, the reference client of Engine.IO, in each of its three ways to connect.

use crate::group::{self, Group, Opposite, Runner};
use crate::server::{Example, Launch};

/// The checks that need a server with a heartbeat fast enough to be observed.
const HEARTBEAT: [&str; 3] = [
    "the_session_outlives_several_heartbeats",
    "heartbeats_go_on_beside_messages",
    "the_client_notices_a_silent_server",
];

pub(crate) fn groups() -> Vec<Group> {
    let (heartbeat, other): (Vec<_>, Vec<_>) = group::checks(include_str!("scripts/engine_javascript.mjs"))
        .into_iter()
        .partition(|check| HEARTBEAT.contains(&check.as_str()));
    let group = |name: String, mode, checks: &[String], flags| Group {
        name,
        runner: Runner::Node,
        script: "engine_javascript.mjs",
        mode,
        checks: checks.to_vec(),
        opposite: Opposite::Example(Launch { example: Example::Echo, flags }),
    };
    let mut groups = Vec::new();
    for mode in ["polling", "websocket", "upgrade"] {
        let name = format!("engine_javascript::{mode}");
        groups.push(group(name, mode, &other, vec!["--max-payload", "4000000"]));
        let name = format!("engine_javascript::heartbeat::{mode}");
        // The timeout is long enough for a busy machine, and short enough for a test to wait for it.
        groups.push(group(name, mode, &heartbeat, vec!["--ping-interval", "100", "--ping-timeout", "2000"]));
    }
    groups
}
