//! The page of the example "chat" in a headless Chromium, with two people at once. And socket.io-client in Chromium, with compression.

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
    vec![chat, deflate]
}
