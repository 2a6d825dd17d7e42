//! socket.io-client 2.5 and 1.7, the clients of Socket.IO 2 and 1, in each of their ways to connect, and in one namespace with the current
//! client. Also socket.io-client 2.5 in a browser over JSONP.

use crate::group::{self, Group, Opposite, Runner};
use crate::server::{Example, Launch};

/// Interval between the pings of the clients: short enough for a test to wait for a few.
const FLAGS: [&str; 7] =
    ["--allow-eio3", "--ping-interval", "300", "--ping-timeout", "20000", "--max-payload", "4000000"];

pub(crate) fn groups() -> Vec<Group> {
    let group = |name: &str, runner, script, mode, source| Group {
        name: format!("generations::{name}"),
        runner,
        script,
        mode,
        checks: group::checks(source),
        opposite: Opposite::Example(Launch { example: Example::Echo, flags: FLAGS.to_vec() }),
    };
    let modes = ["2-polling", "2-websocket", "2-upgrade", "1-polling", "1-websocket", "1-upgrade"];
    let in_node = |mode: &'static str| {
        let source = include_str!("scripts/generations.mjs");
        group(&mode.replace('-', "::"), Runner::Node, "generations.mjs", mode, source)
    };
    let mut groups: Vec<_> = modes.into_iter().map(in_node).collect();
    groups.push(group("2::jsonp", Runner::Browser, "jsonp.mjs", "jsonp", include_str!("scripts/jsonp.mjs")));
    groups
}
