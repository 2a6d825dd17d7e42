//! The page of the example "chat" in a headless Chromium, with two people at once.

use crate::group::{self, Group, Opposite, Runner};
use crate::server::{Example, Launch};

pub(crate) fn groups() -> Vec<Group> {
    vec![Group {
        name: "browser::chat".to_owned(),
        runner: Runner::Browser,
        script: "chat.mjs",
        mode: "upgrade",
        checks: group::checks(include_str!("scripts/chat.mjs")),
        opposite: Opposite::Example(Launch { example: Example::Chat, flags: vec![] }),
    }]
}
