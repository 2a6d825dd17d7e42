//! How a client opens a session, over each transport, and what ends it before it is open.

mod client;

use std::time::Duration;

use client::{OPEN, Peer, config, millis, over, revision_3};
use engineio_proto::server::{LinkDownCause, Transport};
use engineio_proto::{LinkKind, Revision, SendError};

#[test]
fn nothing_happens_before_a_client_is_opened() {
    let mut peer = Peer::new(config());
    peer.assert_outputs(&[]);
    assert!(peer.client.is_closed() && peer.client.is_drained() && !peer.client.is_open());
    assert_eq!(peer.try_send("early"), Err(SendError::NotConnected));
    peer.close();
    peer.discard();
    peer.assert_over();
}

#[test]
fn a_session_opens_over_polling_and_asks_for_more_at_once() {
    let mut peer = Peer::opening(config());
    peer.assert_outputs(&["get 1: EIO=4&transport=polling"]);
    assert_eq!(peer.try_send("early"), Err(SendError::NotConnected));
    peer.open();
    peer.assert_outputs(&[]);
    peer.answer(1, &format!("{OPEN}␞4initial"));
    peer.assert_outputs(&["open", "message initial", "get 2: EIO=4&transport=polling&sid=abc"]);
    let handshake = peer.client.handshake().unwrap();
    assert_eq!((&*handshake.sid, handshake.max_payload), ("abc", Some(1000)));
    assert_eq!((handshake.ping_interval, handshake.ping_timeout), (millis(300), millis(200)));
    assert!(peer.client.is_open() && handshake.upgrades.is_empty());
    assert_eq!(peer.client.sid().map(|sid| &**sid), Some("abc"));
}

#[test]
fn a_session_opens_over_a_websocket() {
    let mut peer = Peer::opening(over("wp"));
    peer.assert_outputs(&["connect 1: WebSocket EIO=4&transport=websocket"]);
    peer.up(1);
    peer.assert_outputs(&[]);
    peer.text(1, OPEN);
    peer.text(1, "4hello");
    peer.assert_outputs(&["open", "message hello"]);
    assert_eq!(peer.client.transport(), Transport::Link(LinkKind::WebSocket));
    peer.send("hi");
    peer.send_binary(&[1, 2]);
    peer.assert_outputs(&["link 1: 4hi", "link 1: binary [1, 2]"]);
}

#[test]
fn a_session_opens_over_webtransport_with_an_open_packet() {
    let mut peer = Peer::opening(over("t"));
    peer.assert_outputs(&["connect 1: WebTransport EIO=4&transport=webtransport"]);
    peer.up(1);
    peer.assert_outputs(&["link 1: 0"]);
    let open = [&[u8::try_from(OPEN.len()).unwrap()], OPEN.as_bytes()].concat();
    for byte in open {
        peer.bytes(1, &[byte]);
    }
    peer.bytes(1, b"\x024a\x82\x01\x02");
    peer.assert_outputs(&["open", "message a", "binary [1, 2]"]);
}

#[test]
fn base64_is_asked_for_once_over_polling_and_on_every_link() {
    let mut config = config();
    config.force_base64 = true;
    let mut peer = Peer::opening(config.clone());
    peer.assert_outputs(&["get 1: EIO=4&transport=polling&b64=1"]);
    peer.answer(1, OPEN);
    peer.assert_outputs(&["open", "get 2: EIO=4&transport=polling&sid=abc"]);
    config.transports = over("w").transports;
    let mut peer = Peer::opening(config);
    peer.assert_outputs(&["connect 1: WebSocket EIO=4&transport=websocket&b64=1"]);
    peer.up(1);
    peer.text(1, OPEN);
    peer.send_binary(&[1, 2, 3]);
    peer.assert_outputs(&["open", "link 1: bAQID"]);
}

#[test]
fn the_id_of_a_session_is_escaped_in_queries() {
    let mut peer = Peer::opening(config());
    peer.turn();
    peer.answer(1, r#"0{"sid":"a/b\u00fc \"&\ud83d\ude00","pingInterval":300,"pingTimeout":200}"#);
    let query = "EIO=4&transport=polling&sid=a%2Fb%C3%BC%20%22%26%F0%9F%98%80";
    peer.assert_outputs(&["open", &format!("get 2: {query}")]);
}

#[test]
fn a_malformed_handshake_ends_the_session() {
    let heartbeat = r#""pingInterval":300,"pingTimeout":200"#;
    let long = "a".repeat(1025);
    for body in [
        "0".to_owned(),
        "0{".into(),
        "0null".into(),
        "0[]".into(),
        format!("0{{{heartbeat}}}"),
        format!(r#"0{{"sid":"",{heartbeat}}}"#),
        format!(r#"0{{"sid":1,{heartbeat}}}"#),
        format!(r#"0{{"sid":"{long}",{heartbeat}}}"#),
        format!(r#"0{{"sid":"a\x",{heartbeat}}}"#),
        r#"0{"sid":"abc"}"#.into(),
        r#"0{"sid":"abc","pingInterval":300}"#.into(),
        r#"0{"sid":"abc","pingInterval":-1,"pingTimeout":200}"#.into(),
        r#"0{"sid":"abc","pingInterval":"300","pingTimeout":200}"#.into(),
        r#"0{"sid":"abc","pingInterval":NaN,"pingTimeout":200}"#.into(),
        format!("4early␞{OPEN}"),
        "2".into(),
        "1".into(),
        "6".into(),
    ] {
        let mut peer = Peer::opening(config());
        peer.turn();
        peer.answer(1, &body);
        peer.assert_outputs(&["closed: transport error (malformed handshake)"]);
        peer.assert_over();
    }
}

#[test]
fn absurd_numbers_in_a_handshake_do_no_harm() {
    for (interval, timeout) in [("0", "0"), ("1e300", "1e999"), ("0.0001", "18446744073709551616"), ("300.5", "2e2")] {
        for body in ["", r#","maxPayload":0"#, r#","maxPayload":-1"#, r#","maxPayload":1e99"#, r#","upgrades":7"#] {
            let mut peer = Peer::opening(config());
            peer.turn();
            peer.answer(1, &format!(r#"0{{"sid":"abc","pingInterval":{interval},"pingTimeout":{timeout}{body}}}"#));
            peer.assert_outputs(&["open", "get 2: EIO=4&transport=polling&sid=abc"]);
            let handshake = peer.client.handshake().unwrap();
            assert!(handshake.ping_interval >= millis(1) && handshake.ping_timeout >= millis(1));
            assert!(handshake.max_payload.is_none() && handshake.upgrades.is_empty());
            peer.sleep_until(3_600_000);
        }
    }
}

#[test]
fn a_refused_handshake_tells_its_status() {
    for (status, body) in
        [(400, r#"{"code":5,"message":"Unsupported protocol version"}"#), (403, ""), (500, ""), (204, "")]
    {
        let mut peer = Peer::opening(config());
        peer.turn();
        peer.respond(1, status, body);
        peer.assert_outputs(&[&format!("closed: transport error (poll error: status {status})")]);
        peer.assert_over();
    }
    let mut peer = Peer::opening(config());
    peer.turn();
    peer.failed(1);
    peer.assert_outputs(&["closed: transport error (poll error: no response)"]);
    peer.assert_over();
}

#[test]
fn a_link_that_cannot_be_made_or_ends_before_the_open_packet_ends_the_session() {
    let reasons = [
        (false, LinkDownCause::Failed, "closed: transport error (the link could not be connected)"),
        (false, LinkDownCause::Closed, "closed: transport error (the link could not be connected)"),
        (true, LinkDownCause::Failed, "closed: transport error (link failed)"),
        (true, LinkDownCause::Closed, "closed: transport close"),
    ];
    for (up, cause, reason) in reasons {
        let mut peer = Peer::opening(over("w"));
        peer.turn();
        if up {
            peer.up(1);
        }
        peer.down(1, cause);
        peer.assert_outputs(&[reason]);
        peer.assert_over();
    }
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    for (transports, gives_up) in [("p", "cancel 1"), ("w", "close link 1"), ("t", "close link 1")] {
        let mut peer = Peer::opening(over(transports));
        peer.turn();
        peer.sleep_until(4_999);
        peer.assert_outputs(&[]);
        peer.sleep_until(5_000);
        peer.assert_outputs(&["closed: transport error (the session was never opened)", gives_up]);
        peer.assert_over();
    }
}

#[test]
fn without_a_transport_nothing_is_tried() {
    for config in [over(""), {
        let mut config = revision_3();
        config.transports = over("t").transports;
        config
    }] {
        let mut peer = Peer::opening(config);
        peer.assert_outputs(&["closed: transport error (no transports available)"]);
        peer.assert_over();
    }
}

#[test]
fn the_next_transport_is_tried_only_on_request() {
    let mut config = over("pwt");
    let mut peer = Peer::opening(config.clone());
    peer.turn();
    peer.respond(1, 400, "");
    peer.assert_outputs(&["closed: transport error (poll error: status 400)"]);

    config.try_all_transports = true;
    let mut peer = Peer::opening(config);
    peer.assert_outputs(&["get 1: EIO=4&transport=polling"]);
    peer.respond(1, 400, "");
    peer.assert_outputs(&["connect 2: WebSocket EIO=4&transport=websocket"]);
    peer.text(2, OPEN);
    peer.assert_outputs(&[]);
    peer.up(2);
    peer.text(2, "4no open packet");
    peer.assert_outputs(&["close link 2", "connect 3: WebTransport EIO=4&transport=webtransport"]);
    peer.down(3, LinkDownCause::Failed);
    peer.assert_outputs(&["closed: transport error (the link could not be connected)"]);
    peer.assert_over();

    peer.open();
    peer.assert_outputs(&["get 4: EIO=4&transport=polling"]);
    peer.answer(4, OPEN);
    peer.assert_outputs(&["open", "get 5: EIO=4&transport=polling&sid=abc"]);
    peer.respond(5, 400, "");
    peer.assert_outputs(&["closed: transport error (poll error: status 400)"]);
}

#[test]
fn polling_is_tried_after_a_websocket_that_cannot_be_made() {
    let mut config = over("wp");
    config.try_all_transports = true;
    let mut peer = Peer::opening(config);
    peer.turn();
    peer.down(1, LinkDownCause::Failed);
    peer.assert_outputs(&["get 2: EIO=4&transport=polling"]);
    peer.answer(2, OPEN);
    peer.assert_outputs(&["open", "get 3: EIO=4&transport=polling&sid=abc"]);
    peer.close();
    peer.turn();
    peer.discard();
    peer.turn();
    peer.open();
    peer.assert_outputs(&["connect 5: WebSocket EIO=4&transport=websocket"]);
}

#[test]
fn a_client_that_has_used_a_websocket_opens_one_at_once_if_it_shall_remember() {
    for remembers in [false, true] {
        let mut config = config();
        config.remember_upgrade = remembers;
        let mut peer = Peer::upgraded(config);
        peer.down(2, LinkDownCause::Closed);
        peer.assert_outputs(&["closed: transport close"]);
        peer.open();
        let expected =
            if remembers { "connect 4: WebSocket EIO=4&transport=websocket" } else { "get 4: EIO=4&transport=polling" };
        peer.assert_outputs(&[expected]);
        if remembers {
            peer.down(4, LinkDownCause::Failed);
            peer.assert_outputs(&["closed: transport error (the link could not be connected)"]);
            peer.open();
            peer.assert_outputs(&["get 5: EIO=4&transport=polling"]);
        }
    }
}

#[test]
fn a_client_opens_again_after_an_end_and_reuses_no_id() {
    let mut peer = Peer::polling(config(), OPEN);
    peer.failed(2);
    peer.assert_outputs(&["closed: transport error (poll error: no response)"]);
    peer.assert_over();
    peer.open();
    peer.assert_outputs(&["get 3: EIO=4&transport=polling"]);
    assert!(peer.client.sid().is_none());
    peer.answer(1, "4late");
    peer.answer(2, "4late");
    peer.assert_outputs(&[]);
    peer.answer(3, OPEN);
    peer.assert_outputs(&["open", "get 4: EIO=4&transport=polling&sid=abc"]);
}

#[test]
fn what_a_closed_session_had_queued_still_leaves_while_the_next_one_opens() {
    let mut peer = Peer::websocket(config(), OPEN);
    peer.send("last");
    peer.close();
    peer.open();
    assert!(peer.client.buffered_bytes() > 0);
    let expected =
        ["closed: forced close", "link 1: 4last", "close link 1", "connect 2: WebSocket EIO=4&transport=websocket"];
    peer.assert_outputs(&expected);
    assert_eq!(peer.client.buffered_bytes(), 0);
    peer.text(1, "4late");
    peer.up(2);
    peer.text(2, OPEN);
    peer.assert_outputs(&["open"]);
}

#[test]
fn both_revisions_say_which_they_are() {
    let mut peer = Peer::opening(revision_3());
    peer.assert_outputs(&["get 1: EIO=3&transport=polling"]);
    assert_eq!(peer.client.revision(), Revision::V3);
    assert_eq!(peer.client.config().open_timeout, Duration::from_secs(5));
}
