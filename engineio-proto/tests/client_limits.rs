//! What a hostile or fast server can make a client hold: bounded queues in both directions, on every transport.

mod client;

use client::{Peer, QUIET, config, over};
use engineio_proto::client::Input;
use engineio_proto::{ContentType, Event, RequestId, SendError};

#[test]
fn a_client_that_is_not_read_stops_polling_and_goes_on_later() {
    let mut config = config();
    config.limits.soft_inbound = 100;
    let mut peer = Peer::polling(config, QUIET);
    let body = ["4message"; 10].join("\u{1e}");
    let response = |request| {
        let (content_type, body) = (ContentType::Text, body.clone().into());
        Input::Response { request: RequestId(request), status: 200, content_type, body }
    };
    peer.client.handle(peer.now, response(2));
    assert!(!peer.client.wants_input() && peer.client.has_events());
    assert!(peer.client.poll_transmit().is_none(), "no GET is made");
    let (mut messages, mut gets) = (0, 0);
    while let Some(event) = peer.client.poll_event() {
        assert_eq!(event, Event::Message("message".into()));
        messages += 1;
        gets += u32::from(peer.client.poll_transmit().is_some());
        // At most three messages are unread.
        assert_eq!(gets, u32::from(messages >= 8), "after {messages} messages");
    }
    assert_eq!(messages, 10);
}

#[test]
fn a_link_that_is_not_read_is_held_back_and_then_closed() {
    let mut config = config();
    config.limits.soft_inbound = 100;
    config.limits.max_inbound = 200;
    let mut peer = Peer::websocket(config, QUIET);
    // Each counts 50 bytes.
    for (unread, wants) in [(1, true), (2, false), (3, false), (4, false)] {
        peer.text(1, "40123456789");
        assert_eq!(peer.client.wants_input(), wants, "{unread} messages");
    }
    assert!(peer.client.is_open());
    peer.text(1, "40123456789");
    assert!(peer.client.is_closed());
    let said = peer.turn();
    assert_eq!(said.len(), 6);
    assert_eq!(said[4], "closed: transport error (more unread input than limits.max_inbound allows)");
    peer.assert_over();
}

#[test]
fn a_single_message_of_any_size_is_accepted() {
    let mut config = config();
    config.limits.soft_inbound = 10;
    config.limits.max_inbound = 10;
    let mut peer = Peer::websocket(config, QUIET);
    peer.text(1, &format!("4{}", "m".repeat(1000)));
    assert!(matches!(peer.client.poll_event(), Some(Event::Message(_))));
    assert!(peer.client.wants_input());
}

#[test]
fn the_fast_path_returns_plain_messages_and_nothing_else() {
    let mut peer = Peer::websocket(config(), QUIET);
    let link = engineio_proto::LinkId(1);
    let mut poll =
        |text: &str| peer.client.handle_then_poll(peer.now, Input::LinkMessage { link, message: text.into() });
    assert_eq!(poll("4a"), Some(Event::Message("a".into())));
    assert_eq!(poll("2"), Some(Event::Ping));
    assert_eq!(poll("6"), None);
    assert!(matches!(poll("x"), Some(Event::Closed(_))));
    assert_eq!(poll("4late"), None);
}

#[test]
fn a_full_queue_refuses_and_says_when_it_has_room() {
    let mut config = config();
    config.limits.max_outbound = 200;
    let mut peer = Peer::websocket(config, QUIET);
    let message = "m".repeat(59);
    peer.send(&message);
    peer.send(&message);
    assert_eq!(peer.try_send("x"), Err(SendError::Full));
    assert_eq!(peer.turn().last().map(String::as_str), Some("writable"));
    peer.send(&"m".repeat(1000));
    assert_eq!(peer.try_send("x"), Err(SendError::Full));
}

#[test]
fn a_stream_frame_that_is_too_large_or_empty_ends_the_session() {
    for (bytes, error) in [(&b"\x7e\xff\xff"[..], "frame larger than max_payload"), (&b"\x00"[..], "frame of length 0")]
    {
        let mut config = over("t");
        config.max_payload = 1000;
        let mut peer = Peer::opening(config);
        peer.turn();
        peer.up(1);
        let open = [&[u8::try_from(QUIET.len()).unwrap()], QUIET.as_bytes()].concat();
        peer.bytes(1, &open);
        assert_eq!(peer.turn(), ["open", "link 1: 0"]);
        peer.bytes(1, bytes);
        peer.bytes(1, b"\x024a");
        peer.assert_outputs(&[&format!("closed: parse error ({error})"), "close link 1"]);
        peer.assert_over();
    }
}
