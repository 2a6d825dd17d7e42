//! A client that polls moves to a WebSocket or WebTransport, and to nothing that does not answer as it must.

mod client;

use client::{OFFER, Peer, config, over};
use engineio_proto::server::{LinkDownCause, Transport};
use engineio_proto::{LinkKind, SendError};

const GET: &str = "EIO=4&transport=polling&sid=abc";
const LINK: &str = "WebSocket EIO=4&transport=websocket&sid=abc";

/// An open packet that offers both links.
const BOTH: &str = r#"0{"sid":"abc","upgrades":["websocket","webtransport","websocket","x"],"pingInterval":1000000,"pingTimeout":20000}"#;

/// A client with all three transports, whose session was opened over polling. WebTransport is link 2, request 3 is in progress.
fn both() -> Peer {
    let mut peer = Peer::opening(over("pwt"));
    peer.turn();
    peer.answer(1, BOTH);
    let connect = "connect 2: WebTransport EIO=4&transport=webtransport&sid=abc";
    peer.assert_outputs(&["open", connect, &format!("get 3: {GET}")]);
    peer
}

#[test]
fn a_client_probes_stops_polling_switches_and_then_sends_what_waited() {
    let mut peer = Peer::opening(config());
    peer.assert_outputs(&["get 1: EIO=4&transport=polling"]);
    peer.answer(1, OFFER);
    peer.assert_outputs(&["open", &format!("connect 2: {LINK}"), &format!("get 3: {GET}")]);
    peer.send("before");
    peer.assert_outputs(&["post 4: 4before"]);
    peer.up(2);
    peer.assert_outputs(&["link 2: 2probe"]);
    peer.text(2, "3probe");
    peer.send("while pausing");
    peer.assert_outputs(&[]);
    assert!(!peer.client.is_writable());
    peer.answer(3, "4last over polling");
    peer.assert_outputs(&["message last over polling"]);
    assert_eq!(peer.client.transport(), Transport::Polling, "the POST is still in progress");
    peer.answer(4, "ok");
    peer.assert_outputs(&["upgraded WebSocket", "link 2: 5", "link 2: 4while pausing"]);
    peer.text(2, "4first over the link");
    peer.assert_outputs(&["message first over the link"]);
    assert!(peer.client.is_writable());
    peer.close();
    peer.assert_outputs(&["closed: forced close", "close link 2"]);
    peer.assert_over();
}

#[test]
fn messages_of_the_last_response_are_read_before_the_switch() {
    let mut config = config();
    config.limits.soft_inbound = 1;
    let mut peer = Peer::answered(config);
    peer.handle(engineio_proto::client::Input::Response {
        request: engineio_proto::RequestId(3),
        status: 200,
        content_type: engineio_proto::ContentType::Text,
        body: "4a\u{1e}4b\u{1e}4c".into(),
    });
    assert!(peer.client.poll_transmit().is_none(), "nothing was read yet");
    peer.assert_outputs(&["message a", "message b", "message c", "upgraded WebSocket", "link 2: 5"]);
}

#[test]
fn a_client_does_not_upgrade_without_an_offer_or_against_its_settings() {
    let mut disabled = config();
    disabled.upgrade = false;
    let quiet = OFFER.replace("[\"websocket\"]", "[]");
    for (config, open) in [(disabled, OFFER), (over("p"), OFFER), (config(), quiet.as_str()), (over("pt"), OFFER)] {
        let mut peer = Peer::opening(config);
        peer.turn();
        peer.answer(1, open);
        peer.assert_outputs(&["open", &format!("get 2: {GET}")]);
    }
    let mut peer = Peer::opening(over("wp"));
    peer.turn();
    peer.up(1);
    peer.text(1, OFFER);
    peer.assert_outputs(&["open"]);
}

#[test]
fn a_probe_that_fails_does_not_harm_the_session() {
    type Fault = fn(&mut Peer);
    let faults: [(Fault, bool); 5] = [
        (|peer| peer.down(2, LinkDownCause::Failed), false),
        (|peer| peer.down(2, LinkDownCause::Closed), false),
        (|peer| peer.text(2, "3"), true),
        (|peer| peer.text(2, "4not an answer"), true),
        (|peer| peer.sleep_until(1000), true),
    ];
    for (fault, closes) in faults {
        for is_up in [false, true] {
            let mut peer = Peer::polling(config(), OFFER);
            if is_up {
                peer.up(2);
                peer.assert_outputs(&["link 2: 2probe"]);
            } else if closes {
                peer.sleep_until(999);
                peer.assert_outputs(&[]);
                peer.sleep_until(1000);
            }
            fault(&mut peer);
            let expected: &[&str] =
                if closes { &["upgrade failed WebSocket", "close link 2"] } else { &["upgrade failed WebSocket"] };
            peer.assert_outputs(expected);
            peer.text(2, "3probe");
            peer.send("over polling");
            peer.answer(3, "4over polling");
            peer.assert_outputs(&["message over polling", &format!("get 4: {GET}"), "post 5: 4over polling"]);
            assert_eq!(peer.client.poll_timeout().map(|at| at.as_micros()), Some(1_020_000_000), "the ping");
        }
    }
}

#[test]
fn a_probe_that_fails_after_its_answer_lets_polling_go_on() {
    for fails_before_the_get_is_answered in [true, false] {
        let mut peer = Peer::answered(config());
        peer.send("waits");
        if fails_before_the_get_is_answered {
            peer.down(2, LinkDownCause::Failed);
            peer.assert_outputs(&["upgrade failed WebSocket", "post 4: 4waits"]);
            peer.answer(3, "6");
            peer.assert_outputs(&[&format!("get 5: {GET}")]);
        } else {
            peer.sleep_until(1000);
            peer.assert_outputs(&["upgrade failed WebSocket", "close link 2", "post 4: 4waits"]);
        }
    }
}

#[test]
fn webtransport_has_a_head_start_and_the_first_answer_wins() {
    let mut peer = both();
    peer.up(2);
    peer.assert_outputs(&[r#"link 2: 0{"sid":"abc"}"#, "link 2: 2probe"]);
    peer.sleep_until(199);
    peer.assert_outputs(&[]);
    peer.sleep_until(200);
    peer.assert_outputs(&[&format!("connect 4: {LINK}")]);
    peer.up(4);
    peer.assert_outputs(&["link 4: 2probe"]);
    peer.bytes(2, b"\x063probe");
    peer.assert_outputs(&["close link 4"]);
    peer.text(4, "3probe");
    peer.answer(3, "6");
    peer.assert_outputs(&["upgraded WebTransport", "link 2: 5"]);
    peer.bytes(2, b"\x024a");
    peer.assert_outputs(&["message a"]);
}

#[test]
fn a_websocket_that_is_answered_first_wins_too_and_an_early_answer_needs_no_second_probe() {
    let mut peer = both();
    peer.sleep_until(200);
    peer.up(4);
    peer.assert_outputs(&[&format!("connect 4: {LINK}"), "link 4: 2probe"]);
    peer.text(4, "3probe");
    peer.answer(3, "6");
    peer.assert_outputs(&["upgraded WebSocket", "close link 2", "link 4: 5"]);
    let mut peer = both();
    peer.up(2);
    peer.turn();
    peer.bytes(2, b"\x063probe");
    peer.answer(3, "6");
    peer.assert_outputs(&["upgraded WebTransport", "link 2: 5"]);
    peer.sleep_until(5000);
    peer.assert_outputs(&[]);
}

#[test]
fn one_probe_that_fails_leaves_the_other() {
    let mut peer = both();
    peer.down(2, LinkDownCause::Failed);
    peer.assert_outputs(&["upgrade failed WebTransport"]);
    peer.sleep_until(200);
    peer.up(4);
    peer.assert_outputs(&[&format!("connect 4: {LINK}"), "link 4: 2probe"]);
    peer.text(4, "3probe");
    peer.answer(3, "6");
    peer.assert_outputs(&["upgraded WebSocket", "link 4: 5"]);
    assert_eq!(peer.client.transport(), Transport::Link(LinkKind::WebSocket));
}

#[test]
fn the_end_of_a_session_ends_its_probes() {
    let mut peer = both();
    peer.discard();
    peer.assert_outputs(&["closed: forced close", "close link 2", "cancel 3"]);
    peer.assert_over();
    let mut peer = Peer::answered(config());
    peer.answer(3, "1");
    peer.assert_outputs(&["closed: transport close", "close link 2"]);
    peer.assert_over();
    let mut peer = Peer::answered(config());
    peer.failed(3);
    peer.assert_outputs(&["closed: transport error (poll error: no response)", "close link 2"]);
    peer.assert_over();
}

#[test]
fn a_close_before_the_answer_gives_the_probe_up() {
    let mut peer = Peer::polling(config(), OFFER);
    peer.up(2);
    peer.send("last");
    peer.close();
    peer.assert_outputs(&["close link 2", "post 4: 4last"]);
    peer.text(2, "3probe");
    peer.answer(4, "ok");
    peer.assert_outputs(&["post 5: 1"]);
    peer.answer(3, "6");
    peer.answer(5, "ok");
    peer.assert_outputs(&["closed: forced close"]);
    peer.assert_over();
}

#[test]
fn a_close_after_the_answer_waits_for_the_switch_and_what_is_queued_takes_the_link() {
    let mut peer = Peer::answered(config());
    peer.send("last");
    peer.close();
    assert_eq!(peer.try_send("late"), Err(SendError::Closed));
    peer.assert_outputs(&[]);
    peer.answer(3, "6");
    peer.assert_outputs(&["upgraded WebSocket", "closed: forced close", "link 2: 5", "link 2: 4last", "close link 2"]);
    peer.assert_over();
}

#[test]
fn a_close_after_the_answer_goes_on_over_polling_if_the_upgrade_fails() {
    let mut peer = Peer::answered(config());
    peer.send("last");
    peer.close();
    peer.down(2, LinkDownCause::Failed);
    peer.assert_outputs(&["post 4: 4last"]);
    peer.answer(4, "ok");
    peer.assert_outputs(&["post 5: 1"]);
    peer.answer(5, "ok");
    peer.assert_outputs(&["closed: forced close", "cancel 3"]);
    peer.assert_over();
}

#[test]
fn a_ping_that_arrives_while_polling_stops_is_answered_over_the_link() {
    let mut peer = Peer::answered(config());
    peer.send("waits");
    peer.answer(3, "2");
    peer.assert_outputs(&["ping", "upgraded WebSocket", "link 2: 5", "link 2: 3", "link 2: 4waits"]);
}
