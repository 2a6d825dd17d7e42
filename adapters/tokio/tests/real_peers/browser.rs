//! The page of the example "chat" in a headless Chromium, with two people at once; socket.io-client in Chromium, with compression; pages of
//! another origin than the server's.

use crate::group::{self, Group, Opposite, Runner};
use crate::server::{Example, Launch};

pub(crate) fn groups() -> Vec<Group> {
    let deflate = Group {
        name: "browser::deflate".to_owned(),
        runner: Runner::Browser,
        script: "deflate_browser.mjs",
        mode: "websocket",
        checks: group::checks(include_str!("scripts/deflate_browser.mjs")),
        opposite: Opposite::Example(Launch { example: Example::Echo, flags: vec!["--deflate"] }),
    };
    let chat = Group {
        name: "browser::chat".to_owned(),
        runner: Runner::Browser,
        script: "chat.mjs",
        mode: "upgrade",
        checks: group::checks(include_str!("scripts/chat.mjs")),
        opposite: Opposite::Example(Launch { example: Example::Chat, flags: vec![] }),
    };
    let mut groups = vec![chat, deflate];
    // Another program has other flags.
    if Example::Echo.is_replaced() {
        return groups;
    }
    for (name, flags) in [("cors", vec!["--cors", "--compression"]), ("no_cors", vec![])] {
        let mut checks = group::checks(include_str!("scripts/cors.mjs"));
        checks.retain(|check| check.contains("with_credentials") == (name == "cors"));
        groups.push(Group {
            name: format!("browser::{name}"),
            runner: Runner::Browser,
            script: "cors.mjs",
            mode: "polling",
            checks,
            opposite: Opposite::Example(Launch { example: Example::Echo, flags }),
        });
    }
    groups
}
