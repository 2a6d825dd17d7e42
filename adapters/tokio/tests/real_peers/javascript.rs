//! socket.io-client 4.8.4, the reference client, in each of its three ways to connect.

use crate::group::{self, Group, Opposite, Runner};
use crate::server::{Example, Launch};

const SCRIPT: &str = "javascript.mjs";

/// This check takes the five seconds of the server's own timeout, so it is not repeated for each transport.
const SLOW: &str = "an_event_that_is_never_acknowledged_times_out_at_the_server";

/// The checks that need a larger `maxPayload` than the others.
pub(crate) const LARGE: &str = "sixty_megabytes_come_back";

/// The checks that the example `bare` passes and the driver does not yet.
const TO_COME: [&str; 2] = [
    "the_first_subprotocol_that_is_offered_is_selected",
    "a_websocket_that_is_closed_with_a_code_and_a_reason_gets_them_back",
];

/// Whether a check is left out where all of them run once more.
pub(crate) fn is_slow_or_large(check: &str) -> bool {
    [SLOW, LARGE].contains(&check) || TO_COME.contains(&check)
}

pub(crate) fn groups() -> Vec<Group> {
    let mut checks = group::checks(include_str!("scripts/javascript.mjs"));
    checks.retain(|check| !TO_COME.contains(&check.as_str()));
    checks.retain(|check| ![SLOW, LARGE].contains(&check.as_str()));
    let group = |name: &str, mode, checks, max_payload| Group {
        name: format!("javascript::{name}"),
        runner: Runner::Node,
        script: SCRIPT,
        mode,
        checks,
        opposite: Opposite::Example(Launch { example: Example::Echo, flags: vec!["--max-payload", max_payload] }),
    };
    let usual = |mode| group(mode, mode, checks.clone(), "4000000");
    let mut groups: Vec<_> = ["polling", "websocket", "upgrade"].into_iter().map(usual).collect();
    let mut deflate = group("deflate", "websocket", checks.clone(), "4000000");
    deflate.opposite =
        Opposite::Example(Launch { example: Example::Echo, flags: vec!["--max-payload", "4000000", "--deflate"] });
    groups.push(deflate);
    groups.push(group("ack_timeout", "websocket", vec![SLOW.to_owned()], "4000000"));
    groups.push(group("large", "websocket", vec![LARGE.to_owned()], "100000000"));
    groups
}
