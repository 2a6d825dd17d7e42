//! The open packet: what a server tells a client about the session that it has opened.
//!
//! Source: Engine.IO protocol v4, "Handshake"; engine.io `lib/socket.ts`, `onOpen`.

use alloc::format;
use core::time::Duration;

use crate::config::Config;
use crate::event::LinkKind;
use crate::id::Sid;
use crate::message::Text;
use crate::packet::{Frame, PacketType};

/// The open packet of a session that was opened over `link`, or by polling. Keys stand in the reference's order.
pub(crate) fn open_packet(config: &Config, sid: Sid, link: Option<LinkKind>) -> Frame {
    let offered = link.is_none() && config.allow_upgrades;
    let upgrades = match (offered && config.transports.websocket, offered && config.transports.webtransport) {
        (false, false) => "",
        (true, false) => r#""websocket""#,
        (false, true) => r#""webtransport""#,
        (true, true) => r#""websocket","webtransport""#,
    };
    // An id consists of characters that JSON takes as they are.
    let json = format!(
        r#"{{"sid":"{sid}","upgrades":[{upgrades}],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
        milliseconds(config.ping_interval),
        milliseconds(config.ping_timeout),
        config.max_payload,
    );
    Frame::text(PacketType::Open, Text::from(json))
}

const fn milliseconds(duration: Duration) -> u128 {
    duration.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Transports;

    fn open(config: &Config, link: Option<LinkKind>) -> std::string::String {
        let frame = open_packet(config, Sid::new("lv_VI97HAXpY6yYWAAAC").unwrap(), link);
        assert_eq!(frame.head(), b"0");
        std::string::String::from_utf8(frame.data().to_vec()).unwrap()
    }

    #[test]
    fn the_open_packet_has_the_references_keys_in_its_order() {
        assert_eq!(
            open(&Config::default(), None),
            r#"{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        );
    }

    #[test]
    fn item_21_upgrades_are_those_that_are_enabled_and_none_over_a_link() {
        let all = Transports { polling: true, websocket: true, webtransport: true };
        let config = Config { transports: all, ..Config::default() };
        assert!(open(&config, None).contains(r#""upgrades":["websocket","webtransport"]"#));
        assert!(open(&config, Some(LinkKind::WebSocket)).contains(r#""upgrades":[]"#));
        assert!(open(&config, Some(LinkKind::WebTransport)).contains(r#""upgrades":[]"#));
        let only = Transports { websocket: false, ..all };
        assert!(
            open(&Config { transports: only, ..Config::default() }, None).contains(r#""upgrades":["webtransport"]"#)
        );
        let disabled = Config { transports: all, allow_upgrades: false, ..Config::default() };
        assert!(open(&disabled, None).contains(r#""upgrades":[]"#));
    }
}
