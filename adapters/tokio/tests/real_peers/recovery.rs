//! Connection state recovery with socket.io-client, the reference client, in each of its three ways to connect.

use crate::group::{self, Group, Opposite, Runner};
use crate::server::{Example, Launch};

pub(crate) fn groups() -> Vec<Group> {
    let checks = group::checks(include_str!("scripts/recovery.mjs"));
    let group = |mode: &'static str| Group {
        name: format!("recovery::{mode}"),
        runner: Runner::Node,
        script: "recovery.mjs",
        mode,
        checks: checks.clone(),
        // If a polling client is cut between two polls, the server notices it by the heartbeat.
        opposite: Opposite::Example(Launch {
            example: Example::Echo,
            flags: vec!["--recovery", "--ping-interval", "200", "--ping-timeout", "2000"],
        }),
    };
    ["polling", "websocket", "upgrade"].map(group).into()
}
