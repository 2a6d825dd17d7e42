//! Pings, pongs and their deadlines. The settings are: a ping every 300 ms, its pong within 200 ms.
//!
//! In the name of a test, `suite` is the number of a case of the official Engine.IO v4 suite, and `item` is the number of a scenario.
//! Both are in the table in adapters/tokio/tests/README.md.

mod common;

use common::{Peer, config, millis};
use engineio_proto::Instant;
use engineio_proto::server::LinkDownCause;
use engineio_proto::server::Transmit;

#[test]
fn suite_17_three_rounds_over_polling() {
    let mut peer = Peer::polling(config());
    for round in 1..=3 {
        let get = peer.get();
        peer.sleep_until(round * 300);
        peer.assert_outputs(&[&format!("reply {get}: 200 2")]);
        let post = peer.post("3");
        peer.assert_outputs(&[&format!("reply {post}: 200 ok")]);
    }
}

#[test]
fn suite_18_items_62_and_63_a_peer_that_does_not_answer_times_out_also_without_a_get() {
    let mut peer = Peer::polling(config());
    let get = peer.get();
    peer.sleep_until(300);
    peer.assert_outputs(&[&format!("reply {get}: 200 2")]);
    peer.sleep_until(499);
    peer.assert_outputs(&[]);
    peer.sleep_until(500);
    peer.assert_outputs(&["closed: ping timeout"]);
    peer.assert_over();

    let mut peer = Peer::polling(config());
    peer.sleep_until(500);
    peer.assert_outputs(&["closed: ping timeout"]);
    peer.assert_over();
}

#[test]
fn item_80_a_ping_timeout_ends_a_held_get() {
    let mut peer = Peer::polling(config());
    peer.get();
    peer.sleep_until(300);
    peer.assert_outputs(&["reply 2: 200 2"]);
    let get = peer.get();
    peer.sleep_until(500);
    peer.assert_outputs(&["closed: ping timeout", &format!("reply {get}: 200 1")]);
    peer.assert_over();
}

#[test]
fn suite_19_items_61_and_64_three_rounds_over_a_link_and_a_pong_restarts_the_interval() {
    let mut peer = Peer::websocket(config());
    let mut ping = 300;
    for _ in 0..3 {
        peer.sleep_until(ping - 1);
        peer.assert_outputs(&[]);
        peer.sleep_until(ping);
        peer.assert_outputs(&["link 1: 2"]);
        peer.sleep_until(ping + 150);
        peer.text(1, "3");
        ping += 450;
    }
}

#[test]
fn suite_20_items_62_and_80_a_link_that_does_not_answer_is_closed() {
    let mut peer = Peer::websocket(config());
    peer.sleep_until(300);
    peer.assert_outputs(&["link 1: 2"]);
    peer.session.send("nobody takes it".into()).unwrap();
    peer.session.handle_timeout(Instant::from_millis(500));
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);
    peer.assert_over();
}

#[test]
fn item_65_an_unsolicited_pong_is_ignored() {
    let mut peer = Peer::websocket(config());
    peer.sleep_until(100);
    peer.text(1, "3");
    peer.sleep_until(300);
    peer.assert_outputs(&["link 1: 2"]);
    peer.text(1, "3");
    peer.sleep_until(400);
    peer.text(1, "3");
    peer.sleep_until(600);
    peer.assert_outputs(&["link 1: 2"]);
}

#[test]
fn item_66_the_first_packet_after_a_ping_extends_the_deadline_once() {
    let mut peer = Peer::websocket(config());
    peer.sleep_until(300);
    peer.assert_outputs(&["link 1: 2"]);
    peer.sleep_until(400);
    peer.text(1, "4a");
    peer.sleep_until(550);
    peer.text(1, "4b");
    peer.sleep_until(599);
    peer.assert_outputs(&["message a", "message b"]);
    peer.sleep_until(600);
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);
}

#[test]
fn item_66_packets_before_the_ping_do_not_count() {
    let mut peer = Peer::websocket(config());
    peer.sleep_until(299);
    peer.text(1, "4a");
    peer.sleep_until(500);
    peer.assert_outputs(&["message a", "link 1: 2", "closed: ping timeout", "close link 1"]);
}

#[test]
fn item_67_a_ping_of_the_client_closes_the_session() {
    let mut peer = Peer::websocket(config());
    peer.text(1, "2");
    peer.assert_outputs(&["closed: transport error (invalid heartbeat direction)", "close link 1"]);
    peer.assert_over();
    let mut peer = Peer::polling(config());
    let get = peer.get();
    peer.post("4a␞2␞4b");
    peer.assert_outputs(&[
        "message a",
        "closed: transport error (invalid heartbeat direction)",
        &format!("reply {get}: 200 1"),
        "reply 3: 200 ok",
    ]);
    peer.assert_over();
}

#[test]
fn item_68_a_ping_over_a_link_overtakes_what_is_queued() {
    let mut peer = Peer::websocket(config());
    let large = "x".repeat(1_000_000);
    for _ in 0..4 {
        peer.send(&large);
    }
    peer.session.handle_timeout(Instant::from_millis(300));
    assert_eq!(peer.turn().first().map(String::as_str), Some("link 1: 2"));
}

#[test]
fn item_72_closing_right_after_a_heartbeat_is_a_transport_close() {
    let mut peer = Peer::websocket(config());
    peer.sleep_until(300);
    peer.text(1, "3");
    peer.down(1, LinkDownCause::Closed);
    peer.assert_outputs(&["link 1: 2", "closed: transport close"]);
    peer.assert_over();
}

#[test]
fn the_pong_deadline_counts_from_when_the_ping_was_due() {
    let mut peer = Peer::websocket(config());
    peer.now = Instant::from_millis(350);
    peer.session.handle_timeout(peer.now);
    peer.assert_outputs(&["link 1: 2"]);
    assert_eq!(peer.session.poll_timeout(), Some(Instant::from_millis(500)));
}

#[test]
fn a_wake_up_that_is_much_too_late_does_not_shorten_the_peers_timeout() {
    let mut peer = Peer::websocket(config());
    peer.now = Instant::from_millis(5_000);
    peer.session.handle_timeout(peer.now);
    peer.assert_outputs(&["link 1: 2"]);
    assert_eq!(peer.session.poll_timeout(), Some(Instant::from_millis(5_200)));
}

#[test]
fn a_pong_that_has_arrived_counts_even_if_the_deadline_is_past() {
    let mut peer = Peer::websocket(config());
    peer.sleep_until(300);
    peer.now = Instant::from_millis(800);
    peer.text(1, "3");
    peer.session.handle_timeout(peer.now);
    peer.assert_outputs(&["link 1: 2"]);
    assert_eq!(peer.session.poll_timeout(), Some(Instant::from_millis(1_100)));
}

#[test]
fn pings_continue_while_this_side_does_not_read_until_the_stall_times_out() {
    let mut config = config();
    config.limits.soft_inbound = 100;
    config.limits.max_stall = millis(600);
    let mut peer = Peer::websocket(config);
    peer.text(1, &format!("4{}", "x".repeat(100)));
    assert!(!peer.session.wants_input());
    let mut pings = Vec::new();
    while let Some(due) = peer.session.poll_timeout() {
        peer.session.handle_timeout(due);
        while peer.session.poll_transmit().is_some_and(|transmit| matches!(transmit, Transmit::Link { .. })) {
            pings.push(due.as_micros() / 1000);
        }
    }
    // The first pong was due at 500 ms. The stall counts from then on.
    assert_eq!(pings, [300, 600, 900]);
    assert_eq!(
        peer.turn().get(1).map(String::as_str),
        Some("closed: transport error (the application has stopped reading)")
    );
    peer.assert_over();
}

#[test]
fn a_pong_behind_unread_messages_counts() {
    let mut config = config();
    config.limits.soft_inbound = 100;
    let mut peer = Peer::polling(config);
    peer.sleep_until(300);
    peer.now = Instant::from_millis(400);
    peer.post(&format!("4{}␞4b␞3", "x".repeat(100)));
    peer.session.handle_timeout(Instant::from_millis(600));
    peer.now = Instant::from_millis(700);
    peer.session.handle_timeout(peer.now);
    assert_eq!(peer.turn().len(), 3);
    peer.text(9, "from an unknown link, only to pass the time");
    // The next ping is due at the same time as if the pong had been read at once.
    assert_eq!(peer.session.poll_timeout(), Some(Instant::from_millis(900)));
}

#[test]
fn a_late_wake_up_leaves_a_link_time_for_one_more_read() {
    let mut peer = Peer::websocket(config());
    peer.sleep_until(300);
    peer.turn();
    peer.now = Instant::from_millis(4_300);
    peer.session.handle_timeout(peer.now);
    peer.assert_outputs(&[]);
    let deadline = peer.session.poll_timeout().unwrap();
    assert_eq!(deadline, Instant::from_millis(4_350));
    peer.text(1, "3");
    assert_eq!(peer.session.poll_timeout(), Some(Instant::from_millis(4_600)));

    // This happens only once, however late the next wake-ups are.
    peer.sleep_until(4_600);
    peer.turn();
    for late in [8_000, 12_000] {
        peer.now = Instant::from_millis(late);
        peer.session.handle_timeout(peer.now);
    }
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);
}

#[test]
fn a_late_wake_up_waits_only_for_a_post_that_was_accepted() {
    for accepted in [false, true] {
        let mut peer = Peer::polling(config());
        let get = peer.get();
        peer.sleep_until(300);
        peer.assert_outputs(&[&format!("reply {get}: 200 2")]);
        let post = accepted.then(|| peer.post_head());
        peer.now = Instant::from_millis(4_300);
        peer.session.handle_timeout(peer.now);
        if let Some(post) = post {
            peer.body(post, "3");
            peer.assert_outputs(&[&format!("reply {post}: 200 ok")]);
            assert_eq!(peer.session.poll_timeout(), Some(Instant::from_millis(4_600)));
        } else {
            peer.assert_outputs(&["closed: ping timeout"]);
        }
    }
}

#[test]
fn a_get_does_not_extend_a_missed_deadline_and_packets_do() {
    let mut peer = Peer::polling(config());
    peer.sleep_until(300);
    peer.now = Instant::from_millis(500);
    let get = peer.get();
    peer.assert_outputs(&["closed: ping timeout", &common::unknown_session(get)]);
    peer.assert_over();

    let mut peer = Peer::polling(config());
    peer.sleep_until(300);
    peer.now = Instant::from_millis(500);
    let post = peer.post("3");
    let get = peer.get();
    peer.assert_outputs(&[&format!("reply {post}: 200 ok"), &format!("reply {get}: 200 2")]);
}

#[test]
fn times_of_zero_end_in_a_timeout_and_not_in_a_loop() {
    let mut config = config();
    config.ping_interval = millis(0);
    config.ping_timeout = millis(0);
    let mut peer = Peer::websocket(config);
    peer.sleep_until(0);
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);
    peer.assert_over();
}
