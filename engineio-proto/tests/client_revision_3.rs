//! A client of revision 3, for servers of Socket.IO 1 and 2: its payloads in both directions, binary included.

mod client;

use bytes::Bytes;
use client::{Peer, revision_3};
use engineio_proto::ContentType;

/// What a server of Socket.IO 2 sends: no `maxPayload`.
const OPEN: &str = r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":1000000,"pingTimeout":20000}"#;

/// A client that was opened over polling. Its probe is link 2, request 3 is in progress.
fn polling() -> Peer {
    let mut peer = Peer::opening(revision_3());
    peer.assert_outputs(&["get 1: EIO=3&transport=polling"]);
    peer.answer(1, &format!("{}:{OPEN}2:40", OPEN.len()));
    peer.assert_outputs(&[
        "open",
        "message 0",
        "connect 2: WebSocket EIO=3&transport=websocket&sid=abc",
        "get 3: EIO=3&transport=polling&sid=abc",
    ]);
    peer
}

#[test]
fn text_has_lengths_in_utf_16_units_and_binary_makes_the_whole_body_binary() {
    let mut peer = polling();
    peer.send("a\u{1e}b");
    peer.send("\u{1f600}");
    peer.assert_outputs(&["post 4: 4:4a␞b3:4\u{1f600}"]);
    peer.answer(4, "ok");
    peer.send("\u{20ac}");
    peer.send_binary(&[1, 2, 3, 4]);
    peer.assert_outputs(&["post 5: binary [0, 4, 255, 52, 226, 130, 172, 1, 5, 255, 4, 1, 2, 3, 4]"]);
}

#[test]
fn with_base64_every_body_is_text() {
    let mut config = revision_3();
    config.force_base64 = true;
    config.upgrade = false;
    let mut peer = Peer::opening(config);
    peer.assert_outputs(&["get 1: EIO=3&transport=polling&b64=1"]);
    peer.answer(1, &format!("{}:{OPEN}", OPEN.len()));
    peer.send_binary(&[1, 2, 3]);
    peer.assert_outputs(&["open", "get 2: EIO=3&transport=polling&sid=abc", "post 3: 6:b4AQID"]);
}

#[test]
fn answers_are_read_as_text_or_binary_by_their_content_type() {
    let mut peer = polling();
    peer.answer(3, "3:4\u{20ac}a0:6:b4AQID");
    peer.assert_outputs(&["message \u{20ac}a", "binary [1, 2, 3]", "get 4: EIO=3&transport=polling&sid=abc"]);
    let body = Bytes::from_static(b"\x00\x04\xff4\xe2\x82\xac\x01\x03\xff\x04\x01\x02");
    peer.respond_typed(4, 200, ContentType::OctetStream, body);
    peer.assert_outputs(&["message \u{20ac}", "binary [1, 2]", "get 5: EIO=3&transport=polling&sid=abc"]);
    peer.answer(5, "7:4short");
    peer.assert_outputs(&["closed: parse error (missing or invalid packet length)", "close link 2"]);
    peer.assert_over();
}

#[test]
fn a_content_type_of_a_response_is_read_with_and_without_parameters() {
    for value in ["application/octet-stream", "application/octet-stream; charset=UTF-8", "application/octet-stream;x"] {
        assert_eq!(ContentType::from_response_header(Some(value.as_bytes())), ContentType::OctetStream);
    }
    for value in [None, Some("text/plain; charset=UTF-8"), Some("text/html"), Some("")] {
        assert_eq!(ContentType::from_response_header(value.map(str::as_bytes)), ContentType::Text);
    }
    assert_eq!(ContentType::Text.as_str(), "text/plain;charset=UTF-8");
    assert_eq!(ContentType::OctetStream.as_str(), "application/octet-stream");
}

#[test]
fn a_session_is_upgraded_and_binary_has_its_type() {
    let mut peer = polling();
    peer.up(2);
    peer.assert_outputs(&["link 2: 2probe"]);
    peer.text(2, "3probe");
    peer.send_binary(&[1, 2]);
    peer.answer(3, "1:6");
    peer.assert_outputs(&["upgraded WebSocket", "link 2: 5", "link 2: binary [4, 1, 2]"]);
    peer.binary(2, &[4, 7, 8]);
    peer.text(2, "b4AQID");
    peer.assert_outputs(&["binary [7, 8]", "binary [1, 2, 3]"]);
    peer.binary(2, &[]);
    peer.assert_outputs(&["closed: parse error (empty packet)", "close link 2"]);
}

#[test]
fn without_a_limit_of_the_server_a_post_takes_everything() {
    let mut peer = polling();
    for _ in 0..1000 {
        peer.send("0123456789");
    }
    let said = peer.turn();
    assert_eq!(said, [format!("post 4: {}", "11:40123456789".repeat(1000))]);
}

#[test]
fn a_close_is_posted_with_its_length() {
    let mut peer = polling();
    peer.close();
    peer.assert_outputs(&["close link 2", "post 4: 1:1"]);
    peer.answer(4, "ok");
    peer.assert_outputs(&["closed: forced close", "cancel 3"]);
    peer.assert_over();
}
