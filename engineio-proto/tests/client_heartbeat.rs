//! The heartbeat of a client: it answers pings, and closes when none arrives. In revision 3 it is the one that sends them.

mod client;

use client::{OPEN, Peer, config, millis, revision_3};
use engineio_proto::{Event, Instant};

const GET: &str = "EIO=4&transport=polling&sid=abc";

/// Passes the time without firing deadlines, as a suspended process does, and then reports the deadline.
fn wake_up(peer: &mut Peer, at: u64) {
    peer.now = Instant::from_millis(at);
    peer.client.handle_timeout(peer.now);
}

#[test]
fn every_ping_is_answered_and_reported() {
    let mut peer = Peer::websocket(config(), OPEN);
    peer.text(1, "2");
    peer.assert_outputs(&["ping", "link 1: 3"]);
    peer.text(1, "2with data");
    peer.assert_outputs(&["ping", "link 1: 3"]);
    let mut peer = Peer::polling(config(), OPEN);
    peer.answer(2, "2␞4a");
    peer.assert_outputs(&["ping", "message a", &format!("get 3: {GET}"), "post 4: 3"]);
}

#[test]
fn without_a_ping_the_session_ends_after_interval_and_timeout() {
    let mut peer = Peer::websocket(config(), OPEN);
    peer.sleep_until(499);
    peer.assert_outputs(&[]);
    peer.sleep_until(500);
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);
    peer.assert_over();
    let mut peer = Peer::polling(config(), OPEN);
    peer.sleep_until(500);
    peer.assert_outputs(&["closed: ping timeout", "cancel 2"]);
    peer.assert_over();
}

#[test]
fn only_pings_put_the_deadline_off() {
    let mut peer = Peer::websocket(config(), OPEN);
    peer.sleep_until(400);
    for packet in ["4data", "3", "6", "3probe", OPEN] {
        peer.text(1, packet);
    }
    peer.assert_outputs(&["message data"]);
    peer.sleep_until(450);
    peer.text(1, "2");
    peer.sleep_until(949);
    peer.assert_outputs(&["ping", "link 1: 3"]);
    peer.sleep_until(950);
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);
}

#[test]
fn a_ping_that_arrives_after_the_deadline_and_before_the_timer_counts() {
    let mut peer = Peer::websocket(config(), OPEN);
    peer.now = Instant::from_millis(501);
    peer.text(1, "2");
    peer.client.handle_timeout(peer.now);
    peer.assert_outputs(&["ping", "link 1: 3"]);
}

#[test]
fn pings_without_end_are_owed_one_pong_and_are_one_event() {
    let mut peer = Peer::websocket(config(), OPEN);
    for _ in 0..1000 {
        peer.text(1, "2");
    }
    peer.assert_outputs(&["ping", "link 1: 3"]);
    let mut peer = Peer::polling(config(), OPEN);
    peer.answer(2, &["2"; 1000].join("␞"));
    peer.assert_outputs(&["ping", &format!("get 3: {GET}"), "post 4: 3"]);
}

#[test]
fn a_pong_does_not_wait_for_megabytes_of_messages() {
    let mut peer = Peer::websocket(config(), OPEN);
    for _ in 0..20 {
        peer.send("queued");
    }
    peer.text(1, "2");
    assert_eq!(peer.turn().get(1).map(String::as_str), Some("link 1: 3"));
}

#[test]
fn after_a_suspension_the_connection_gets_one_more_read() {
    // A ping may be unread on a link, or in the answer to a GET.
    let mut peer = Peer::websocket(config(), OPEN);
    assert!(!peer.client.is_ping_overdue(Instant::from_millis(499)));
    assert!(peer.client.is_ping_overdue(Instant::from_millis(9_000)));
    wake_up(&mut peer, 9_000);
    peer.assert_outputs(&[]);
    peer.text(1, "2");
    peer.assert_outputs(&["ping", "link 1: 3"]);
    peer.sleep_until(9_499);
    peer.assert_outputs(&[]);

    for transport in ["w", "p"] {
        let mut peer = if transport == "w" { Peer::websocket(config(), OPEN) } else { Peer::polling(config(), OPEN) };
        wake_up(&mut peer, 9_000);
        peer.sleep_until(9_049);
        peer.assert_outputs(&[]);
        peer.sleep_until(9_050);
        assert_eq!(peer.turn().first().map(String::as_str), Some("closed: ping timeout"));
        assert!(!peer.client.is_ping_overdue(Instant::from_millis(10_000)), "there is no session");
        peer.assert_over();
    }
}

#[test]
fn a_timer_that_is_a_little_late_closes_at_once() {
    let mut peer = Peer::websocket(config(), OPEN);
    wake_up(&mut peer, 560);
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);
}

#[test]
fn a_deadline_waits_for_an_application_that_does_not_read_but_not_for_ever() {
    let mut config = config();
    config.limits.soft_inbound = 1;
    config.limits.max_stall = millis(1000);
    let mut peer = Peer::websocket(config, OPEN);
    peer.text(1, "4unread");
    assert!(!peer.client.wants_input());
    for at in [500, 700, 900, 1100, 1300] {
        assert_eq!(peer.client.poll_timeout(), Some(Instant::from_millis(at)));
        wake_up(&mut peer, at);
        assert!(peer.client.is_open());
    }
    wake_up(&mut peer, 1500);
    peer.assert_outputs(&[
        "message unread",
        "closed: transport error (the application has stopped reading)",
        "close link 1",
    ]);
}

#[test]
fn the_heartbeat_goes_on_while_the_session_closes() {
    let mut peer = Peer::polling(config(), OPEN);
    peer.send("last");
    peer.turn();
    peer.close();
    peer.answer(2, "2");
    peer.assert_outputs(&["ping", &format!("get 4: {GET}")]);
    peer.answer(3, "ok");
    peer.assert_outputs(&["post 5: 3"]);
    peer.answer(5, "ok");
    peer.assert_outputs(&["post 6: 1"]);
    peer.answer(6, "ok");
    peer.assert_outputs(&["closed: forced close", "cancel 4"]);
}

#[test]
fn in_revision_3_the_client_sends_the_pings() {
    let mut peer = Peer::websocket(revision_3(), OPEN);
    peer.sleep_until(299);
    peer.assert_outputs(&[]);
    peer.sleep_until(300);
    peer.assert_outputs(&["link 1: 2"]);
    peer.text(1, "3");
    peer.sleep_until(600);
    peer.assert_outputs(&["link 1: 2"]);
    peer.sleep_until(799);
    peer.assert_outputs(&[]);
    assert!(peer.client.is_ping_overdue(Instant::from_millis(800)));
    peer.sleep_until(800);
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);
    peer.assert_over();
}

#[test]
fn in_revision_3_any_packet_puts_the_deadline_of_a_pong_off_once() {
    let mut peer = Peer::websocket(revision_3(), OPEN);
    peer.sleep_until(400);
    peer.text(1, "4a");
    peer.sleep_until(550);
    peer.text(1, "4b");
    peer.assert_outputs(&["link 1: 2", "message a", "message b"]);
    peer.sleep_until(599);
    peer.assert_outputs(&[]);
    peer.sleep_until(600);
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);
}

#[test]
fn in_revision_3_a_ping_of_the_server_is_ignored() {
    let mut peer = Peer::websocket(revision_3(), OPEN);
    peer.text(1, "2");
    peer.assert_outputs(&[]);
    assert_eq!(peer.client.poll_event(), None::<Event>);
}

#[test]
fn in_revision_3_a_client_that_polls_posts_its_pings() {
    let mut peer = Peer::polling(revision_3(), &format!("{}:{OPEN}", OPEN.len()));
    peer.sleep_until(300);
    peer.assert_outputs(&["post 3: 1:2"]);
    peer.answer(3, "ok");
    peer.answer(2, "1:3");
    peer.sleep_until(600);
    peer.assert_outputs(&["get 4: EIO=3&transport=polling&sid=abc", "post 5: 1:2"]);
}
