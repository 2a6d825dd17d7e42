//! Limits, and the backpressure when they are reached, in both directions and on both kinds of transport.

mod common;

use common::{Peer, config, millis, quiet};
use engineio_proto::server::{Input, LinkDownCause};
use engineio_proto::{Config, Event, Frame, Instant, LinkId, SendError};

/// The bytes that count for a queued packet in addition to its own bytes.
const KEEPING: usize = 40;

fn small() -> Config {
    let mut config = quiet();
    // Each packet "4xxxx" of these tests counts as 45 bytes.
    config.limits.max_outbound = 4 * 45;
    config.limits.soft_inbound = 2 * 44;
    config.limits.max_inbound = 4 * 44;
    config
}

#[test]
fn a_full_queue_refuses_and_emits_writable_when_half_of_it_is_free() {
    let mut peer = Peer::websocket(small());
    for text in ["aaaa", "bbbb", "cccc", "dddd"] {
        peer.send(text);
    }
    assert_eq!(peer.session.buffered_bytes(), 4 * (5 + KEEPING));
    assert_eq!(peer.try_send("eeee"), Err(SendError::Full));
    assert_eq!(peer.session.buffered_bytes(), 4 * (5 + KEEPING));
    assert!(peer.session.poll_transmit().is_some());
    assert_eq!(peer.session.poll_event(), None);
    assert!(peer.session.poll_transmit().is_some());
    assert_eq!(peer.session.poll_event(), Some(Event::Writable));
    assert_eq!(peer.session.poll_event(), None);
    peer.send("eeee");
    peer.assert_outputs(&["link 1: 4cccc", "link 1: 4dddd", "link 1: 4eeee"]);
}

#[test]
fn a_queue_that_never_refused_emits_no_writable() {
    let mut peer = Peer::websocket(small());
    for text in ["aaaa", "bbbb", "cccc", "dddd"] {
        peer.send(text);
    }
    assert!(peer.turn().iter().all(|line| line.starts_with("link 1: 4")));
}

#[test]
fn over_polling_one_get_frees_all_of_it() {
    let mut peer = Peer::polling(small());
    for text in ["aaaa", "bbbb", "cccc", "dddd"] {
        peer.send(text);
    }
    assert_eq!(peer.try_send("eeee"), Err(SendError::Full));
    peer.get();
    peer.assert_outputs(&["reply 2: 200 4aaaa␞4bbbb␞4cccc␞4dddd", "writable"]);
}

#[test]
fn a_unit_is_queued_whole_or_not_at_all_and_one_that_is_too_large_by_itself_passes_alone() {
    let mut peer = Peer::websocket(small());
    let unit = |count| vec![Frame::message("xxxx".into()); count];
    peer.session.send_frames(&unit(3)).unwrap();
    assert_eq!(peer.session.send_frames(&unit(2)), Err(SendError::Full));
    assert_eq!(peer.session.buffered_bytes(), 3 * 45);
    peer.assert_outputs(&["link 1: 4xxxx", "link 1: 4xxxx", "link 1: 4xxxx", "writable"]);
    peer.session.send_frames(&unit(9)).unwrap();
    assert_eq!(peer.try_send("x"), Err(SendError::Full));
    assert_eq!(peer.turn().len(), 10);
}

#[test]
fn a_ping_is_queued_even_when_the_queue_is_full() {
    let mut config = small();
    config.ping_interval = millis(300);
    let mut peer = Peer::polling(config);
    for text in ["aaaa", "bbbb", "cccc", "dddd"] {
        peer.send(text);
    }
    peer.sleep_until(300);
    peer.get();
    peer.assert_outputs(&["reply 2: 200 4aaaa␞4bbbb␞4cccc␞4dddd␞2"]);
}

#[test]
fn unread_messages_of_a_link_stop_reading_and_then_end_the_session() {
    let mut peer = Peer::websocket(small());
    for (text, wants) in [("4aaaa", true), ("4bbbb", false), ("4cccc", false), ("4dddd", false)] {
        peer.text(1, text);
        assert_eq!(peer.session.wants_input(), wants, "{text}");
    }
    peer.text(1, "4eeee");
    peer.assert_outputs(&[
        "message aaaa",
        "message bbbb",
        "message cccc",
        "message dddd",
        "closed: transport error (more unread input than limits.max_inbound allows)",
        "close link 1",
    ]);
    peer.assert_over();
}

#[test]
fn reading_resumes_when_the_application_has_caught_up() {
    let mut peer = Peer::websocket(small());
    peer.text(1, "4aaaa");
    peer.text(1, "4bbbb");
    assert!(!peer.session.wants_input());
    assert!(peer.session.poll_event().is_some());
    assert!(peer.session.wants_input());
}

#[test]
fn one_message_passes_whatever_the_limit_is() {
    let mut config = quiet();
    config.limits.soft_inbound = 0;
    config.limits.max_inbound = 0;
    let mut peer = Peer::websocket(config.clone());
    assert!(peer.session.wants_input());
    for _ in 0..3 {
        peer.text(1, "4a message");
        peer.assert_outputs(&["message a message"]);
    }
    let mut peer = Peer::polling(config);
    peer.post("4a␞4b␞4c");
    peer.assert_outputs(&["message a", "message b", "message c", "reply 2: 200 ok"]);
}

#[test]
fn control_packets_are_handled_while_messages_are_unread() {
    let mut config = small();
    config.ping_interval = millis(300);
    config.ping_timeout = millis(200);
    let mut peer = Peer::websocket(config);
    for text in ["4aaaa", "4bbbb", "4cccc", "4dddd"] {
        peer.text(1, text);
    }
    peer.session.handle_timeout(Instant::from_millis(300));
    peer.text(1, "3");
    assert_eq!(peer.session.poll_timeout(), Some(Instant::from_millis(600)));
}

#[test]
fn a_body_is_decoded_as_its_messages_are_read_and_answered_at_its_end() {
    let mut peer = Peer::polling(small());
    let post = peer.post("4aaaa␞4bbbb␞4cccc␞4dddd␞4eeee␞6␞4ffff");
    for left in ["aaaa", "bbbb", "cccc", "dddd"] {
        assert_eq!(peer.session.poll_transmit(), None, "answered before {left}");
        assert_eq!(peer.session.poll_event(), Some(Event::Message(left.into())));
    }
    peer.assert_outputs(&["message eeee", "message ffff", &format!("reply {post}: 200 ok")]);
}

#[test]
fn a_megabyte_of_tiny_packets_is_not_buffered() {
    let mut peer = Peer::polling(quiet());
    let body = ["4"; 500_000].join("␞");
    peer.post(&body);
    let mut messages = 0;
    while let Some(event) = peer.session.poll_event() {
        assert_eq!(event, Event::Message("".into()));
        messages += 1;
    }
    assert_eq!(messages, 500_000);
    peer.assert_outputs(&["reply 2: 200 ok"]);
}

#[test]
fn the_next_post_waits_until_the_application_reads() {
    let mut peer = Peer::polling(small());
    peer.post("4aaaa␞4bbbb␞4cccc␞4dddd");
    peer.post("4eeee");
    peer.assert_outputs(&[
        "message aaaa",
        "message bbbb",
        "closed: transport error (data request overlap from client)",
        "reply 3: 400",
        "reply 2: 200 ok",
    ]);
    peer.assert_over();
}

#[test]
fn a_body_that_is_decoded_across_the_upgrade_keeps_the_order() {
    let mut peer = Peer::polling(small());
    peer.up(engineio_proto::LinkKind::WebSocket);
    peer.text(1, "2probe");
    let post = peer.post("4aaaa␞4bbbb␞4cccc␞4dddd");
    peer.text(1, "5");
    peer.text(1, "4eeee");
    assert!(!peer.session.wants_input());
    peer.assert_outputs(&[
        "message aaaa",
        "message bbbb",
        "upgraded WebSocket",
        "message cccc",
        "message dddd",
        "message eeee",
        &format!("reply {post}: 200 ok"),
        "link 1: 3probe",
    ]);
    assert!(peer.session.wants_input());
}

#[test]
fn packets_held_for_a_post_that_never_ends_are_limited() {
    let mut peer = Peer::polling(small());
    peer.up(engineio_proto::LinkKind::WebSocket);
    peer.text(1, "2probe");
    let post = peer.post_head();
    peer.text(1, "5");
    for _ in 0..5 {
        peer.text(1, "4aaaa");
    }
    peer.assert_outputs(&[
        "upgraded WebSocket",
        "closed: transport error (more unread input than limits.max_inbound allows)",
        &common::unknown_session(post),
        "link 1: 3probe",
        "close link 1",
    ]);
    peer.assert_over();
}

#[test]
fn the_end_is_reported_however_much_is_unread() {
    let mut peer = Peer::websocket(small());
    for text in ["4aaaa", "4bbbb", "4cccc", "4dddd", "1"] {
        peer.text(1, text);
    }
    assert_eq!(peer.turn().get(4).map(String::as_str), Some("closed: transport close"));
}

#[test]
fn a_probe_that_does_not_read_has_at_most_one_answer_queued() {
    let mut peer = Peer::polling(quiet());
    peer.up(engineio_proto::LinkKind::WebSocket);
    for _ in 0..100_000 {
        peer.text(1, "2probe");
    }
    peer.assert_outputs(&["link 1: 3probe"]);
}

#[test]
fn a_link_that_was_refused_is_closed_once_however_much_it_sends() {
    let mut peer = Peer::polling(quiet());
    peer.up(engineio_proto::LinkKind::WebSocket);
    peer.text(1, "6");
    for _ in 0..100_000 {
        peer.text(1, "6");
    }
    peer.assert_outputs(&["close link 1"]);
    peer.text(1, "6");
    peer.down(1, LinkDownCause::Closed);
    peer.assert_outputs(&[]);
}

#[test]
fn a_link_that_does_not_read_has_at_most_one_ping_queued() {
    let mut config = config();
    config.limits.soft_inbound = 1;
    let mut peer = Peer::websocket(config);
    // Unread input extends the deadline of the pong, and pings go on.
    peer.session.handle(Instant::ZERO, Input::LinkMessage { link: LinkId(1), message: "4unread".into() });
    for at in [300, 500, 700, 900] {
        peer.session.handle_timeout(Instant::from_millis(at));
    }
    let mut pings = 0;
    peer.session.poll_frames(LinkId(1), |frame| {
        pings += 1;
        assert_eq!(common::show_frame(frame), "2");
        true
    });
    assert_eq!(pings, 1);
}
