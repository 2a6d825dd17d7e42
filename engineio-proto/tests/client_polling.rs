//! The requests of a client that polls: one GET and one POST at a time, bodies that the server accepts, and what ends them.

#![allow(clippy::panic, reason = "helpers of tests may panic")]

mod client;

use client::{OPEN, Peer, QUIET, config};
use engineio_proto::client::{Method, Transmit};
use engineio_proto::{ContentType, SendError};

const GET: &str = "EIO=4&transport=polling&sid=abc";

fn get(request: u64) -> String {
    format!("get {request}: {GET}")
}

/// A session whose server accepts bodies of this many bytes.
fn accepting(max_payload: usize) -> Peer {
    Peer::polling(config(), &QUIET.replace(":1000}", &format!(":{max_payload}}}")))
}

#[test]
fn a_get_and_a_post_are_in_progress_at_the_same_time_and_one_of_each() {
    let mut peer = Peer::polling(config(), QUIET);
    assert!(peer.client.is_writable());
    peer.send("a");
    assert!(!peer.client.is_writable());
    peer.send("b");
    peer.assert_outputs(&["post 3: 4a␞4b"]);
    assert!(!peer.client.is_writable());
    peer.send("c");
    peer.assert_outputs(&[]);
    peer.answer(2, "4x␞bAQI=␞6");
    peer.assert_outputs(&["message x", "binary [1, 2]", &get(4)]);
    peer.answer(3, "ok");
    peer.assert_outputs(&["post 5: 4c"]);
    peer.answer(5, "ok");
    peer.assert_outputs(&[]);
    assert!(peer.client.is_writable());
}

#[test]
fn binary_is_posted_as_base64() {
    let mut peer = Peer::polling(config(), QUIET);
    peer.send_binary(&[1, 2, 3]);
    peer.send_binary(&[]);
    peer.assert_outputs(&["post 3: bAQID␞b"]);
}

#[test]
fn bytes_count_as_buffered_until_their_post_is_answered() {
    let mut config = config();
    config.limits.max_outbound = 200;
    let mut peer = Peer::polling(config, QUIET);
    let message = "m".repeat(59);
    peer.send(&message);
    peer.send(&message);
    assert_eq!(peer.client.buffered_bytes(), 200);
    assert_eq!(peer.try_send("x"), Err(SendError::Full));
    assert_eq!(peer.turn().len(), 1);
    assert_eq!((peer.client.buffered_bytes(), peer.try_send("x")), (200, Err(SendError::Full)));
    peer.answer(3, "ok");
    peer.assert_outputs(&["writable"]);
    assert_eq!(peer.client.buffered_bytes(), 0);
}

#[test]
fn a_post_has_as_many_packets_as_the_server_accepts_bytes_and_at_least_one() {
    let mut peer = accepting(10);
    for text in ["abc", "defg", "h", "longer than the limit", "i"] {
        peer.send(text);
    }
    peer.send_binary(&[1, 2, 3]);
    peer.send_binary(&[4]);
    // `4abc␞4defg` has exactly 10 bytes, and so has `4i␞bAQID` with a further packet 13.
    for (request, body) in [(3, "4abc␞4defg"), (4, "4h"), (5, "4longer than the limit"), (6, "4i␞bAQID"), (7, "bBA==")]
    {
        peer.assert_outputs(&[&format!("post {request}: {body}")]);
        peer.answer(request, "ok");
    }
    peer.assert_outputs(&[]);
    let mut peer = accepting(9);
    peer.send("abc");
    peer.send("defg");
    peer.assert_outputs(&["post 3: 4abc"]);
    // Text counts in bytes.
    let mut peer = accepting(6);
    peer.send("\u{20ac}");
    peer.send("");
    peer.send("");
    peer.assert_outputs(&["post 3: 4\u{20ac}␞4"]);
}

#[test]
fn a_pong_leaves_before_everything_that_is_queued_and_only_once() {
    let mut peer = accepting(4);
    peer.send("a");
    peer.assert_outputs(&["post 3: 4a"]);
    peer.send("b");
    peer.send("c");
    for request in [2, 4, 5] {
        peer.answer(request, "2␞2␞2");
        assert_eq!(peer.turn().len(), 2, "a ping event and a GET");
    }
    peer.answer(3, "ok");
    peer.assert_outputs(&["post 7: 3␞4b"]);
    peer.answer(7, "ok");
    peer.assert_outputs(&["post 8: 4c"]);
}

#[test]
fn text_with_a_separator_is_refused_while_the_session_polls() {
    let mut peer = Peer::polling(config(), QUIET);
    assert_eq!(peer.try_send("a\u{1e}b"), Err(SendError::Separator));
    peer.assert_outputs(&[]);
    let mut peer = Peer::upgraded(config());
    peer.send("a\u{1e}b");
    peer.assert_outputs(&["link 2: 4a\u{1e}b"]);
}

#[test]
fn a_poll_that_is_refused_or_lost_ends_the_session() {
    for (status, reason) in [(Some(400), "status 400"), (Some(503), "status 503"), (None, "no response")] {
        let mut peer = Peer::polling(config(), QUIET);
        peer.send("in a POST");
        peer.turn();
        peer.send("queued");
        match status {
            Some(status) => peer.respond(2, status, r#"{"code":1,"message":"Session ID unknown"}"#),
            None => peer.failed(2),
        }
        peer.assert_outputs(&[&format!("closed: transport error (poll error: {reason})"), "cancel 3"]);
        peer.assert_over();
    }
}

#[test]
fn a_post_that_is_refused_or_lost_ends_the_session() {
    for (status, reason) in [(Some(413), "status 413"), (Some(400), "status 400"), (None, "no response")] {
        let mut peer = Peer::polling(config(), QUIET);
        peer.send("in a POST");
        peer.turn();
        peer.send("queued");
        match status {
            Some(status) => peer.respond(3, status, ""),
            None => peer.failed(3),
        }
        peer.assert_outputs(&[&format!("closed: transport error (post error: {reason})"), "cancel 2"]);
        peer.assert_over();
    }
}

#[test]
fn packets_before_an_invalid_one_are_delivered_and_those_after_it_are_not() {
    for (body, error) in [
        ("4a␞abc␞4b", "unknown packet type"),
        ("4a␞␞4b", "empty packet"),
        ("4a␞", "empty packet"),
        ("4a␞b*␞4b", "invalid base64"),
    ] {
        let mut peer = Peer::polling(config(), QUIET);
        peer.answer(2, body);
        peer.assert_outputs(&["message a", &format!("closed: parse error ({error})")]);
        peer.assert_over();
    }
    let mut peer = Peer::polling(config(), QUIET);
    peer.answer(2, "");
    peer.assert_outputs(&["closed: parse error (empty packet)"]);
    let mut peer = Peer::polling(config(), QUIET);
    peer.respond_typed(2, 200, ContentType::Text, vec![b'4', 0xff].into());
    peer.assert_outputs(&["closed: parse error (invalid UTF-8)"]);
}

#[test]
fn a_close_packet_ends_the_session_and_what_follows_it_is_not_read() {
    let mut peer = Peer::polling(config(), QUIET);
    peer.send("a");
    peer.turn();
    peer.answer(2, "4a␞1␞4b");
    peer.assert_outputs(&["message a", "closed: transport close", "cancel 3"]);
    peer.assert_over();
}

#[test]
fn a_response_that_is_larger_than_the_limit_ends_the_session() {
    let mut config = config();
    config.max_payload = OPEN.len();
    let mut peer = Peer::polling(config, OPEN);
    peer.answer(2, &format!("4{}", "m".repeat(OPEN.len())));
    peer.assert_outputs(&["closed: transport error (payload too large)"]);
    peer.assert_over();
}

#[test]
fn packets_that_an_open_session_does_not_use_are_ignored() {
    let mut peer = Peer::polling(config(), QUIET);
    peer.answer(2, &format!("6␞5␞3␞3probe␞{OPEN}␞4a"));
    peer.assert_outputs(&["message a", &get(3)]);
    assert_eq!(peer.client.handshake().unwrap().ping_interval.as_secs(), 1000, "the first handshake counts");
}

#[test]
fn a_post_does_not_wait_for_a_server_that_answers_every_get_at_once() {
    let mut peer = Peer::polling(config(), QUIET);
    peer.send("a");
    let mut get = 2;
    for _ in 0..3 {
        peer.answer(get, "6");
        match peer.client.poll_transmit() {
            Some(Transmit::Request { request, method: Method::Get, .. }) => get = request.0,
            Some(Transmit::Request { method: Method::Post { body, .. }, .. }) => return assert_eq!(body, "4a"),
            other => panic!("{other:?}"),
        }
    }
    panic!("no POST was made");
}
