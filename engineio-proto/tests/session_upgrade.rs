//! The upgrade from polling to a link: the probe, the switch, and everything that can happen in between.
//!
//! In the name of a test, `suite` is the number of a case of the official Engine.IO v4 suite, and `item` is the number of a scenario.
//! Both are in the table in adapters/tokio/tests/README.md.

mod common;

use common::{Peer, config, mismatch, quiet};
use engineio_proto::LinkKind::{WebSocket, WebTransport};
use engineio_proto::server::{LinkDownCause, Transport};

/// A polling session whose probe (link 1) was answered at 0 ms.
fn probed() -> Peer {
    let mut peer = Peer::polling(quiet());
    peer.up(WebSocket);
    peer.text(1, "2probe");
    peer.assert_outputs(&["link 1: 3probe"]);
    peer
}

#[test]
fn suite_23_a_probe_releases_the_held_get_and_the_session_upgrades() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    peer.up(WebSocket);
    peer.text(1, "2probe");
    peer.assert_outputs(&["link 1: 3probe"]);
    peer.sleep_until(100);
    peer.assert_outputs(&[&format!("reply {get}: 200 6")]);
    peer.text(1, "5");
    peer.assert_outputs(&["upgraded WebSocket"]);
    assert_eq!(peer.session.transport(), Transport::Link(WebSocket));
    peer.text(1, "4hello");
    peer.send("hello");
    peer.assert_outputs(&["message hello", "link 1: 4hello"]);
}

#[test]
fn suite_24_items_51_and_52_after_an_upgrade_requests_and_links_are_refused_and_the_link_works() {
    let mut peer = Peer::upgraded(quiet());
    let json = "400 {\"code\":3,\"message\":\"Bad request\"}";
    for method in ["GET", "POST", "PUT"] {
        assert_eq!(peer.admits(method, "EIO=4&transport=polling", false), Err(json.into()), "{method}");
    }
    assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()), "answered with 101, then closed");
    let get = peer.get();
    let post = peer.post("4a");
    let link = peer.up(WebSocket);
    peer.text(link, "2probe");
    peer.assert_outputs(&[&mismatch(get), &mismatch(post), &format!("close link {link}")]);
    peer.text(1, "4hello");
    peer.assert_outputs(&["message hello"]);
}

#[test]
fn suite_25_item_50_a_second_probe_is_closed_and_the_first_continues() {
    let mut peer = Peer::polling(quiet());
    assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()));
    peer.up(WebSocket);
    assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()));
    let second = peer.up(WebSocket);
    peer.text(second, "2probe");
    peer.assert_outputs(&["close link 2"]);
    peer.text(second, "5");
    peer.down(second, LinkDownCause::Closed);
    peer.text(1, "2probe");
    peer.text(1, "5");
    peer.assert_outputs(&["upgraded WebSocket", "link 1: 3probe"]);
}

#[test]
fn item_42_a_held_get_is_released_100_ms_after_the_probe() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    peer.up(WebSocket);
    peer.sleep_until(500);
    peer.assert_outputs(&[]);
    peer.text(1, "2probe");
    peer.sleep_until(599);
    peer.assert_outputs(&["link 1: 3probe"]);
    peer.sleep_until(600);
    peer.assert_outputs(&[&format!("reply {get}: 200 6")]);
}

#[test]
fn item_43_gets_that_are_held_later_are_released_at_the_next_tick_or_by_data() {
    let mut peer = probed();
    peer.sleep_until(150);
    let second = peer.get();
    peer.sleep_until(199);
    peer.assert_outputs(&[]);
    peer.sleep_until(200);
    peer.assert_outputs(&[&format!("reply {second}: 200 6")]);
    let third = peer.get();
    peer.sleep_until(250);
    peer.send("data");
    peer.assert_outputs(&[&format!("reply {third}: 200 4data")]);
    let fourth = peer.get();
    peer.sleep_until(300);
    peer.assert_outputs(&[&format!("reply {fourth}: 200 6")]);
}

#[test]
fn items_43_and_44_polling_works_in_both_directions_during_a_probe_and_nothing_arrives_twice() {
    let mut peer = probed();
    peer.post("4from client");
    peer.assert_outputs(&["message from client", "reply 2: 200 ok"]);
    peer.send("first");
    peer.get();
    peer.assert_outputs(&["reply 3: 200 4first"]);
    peer.send("second");
    peer.send("third");
    peer.assert_outputs(&[]);
    peer.text(1, "5");
    peer.send("fourth");
    peer.assert_outputs(&["upgraded WebSocket", "link 1: 4second", "link 1: 4third", "link 1: 4fourth"]);
}

#[test]
fn a_get_that_is_still_held_at_the_upgrade_is_answered_with_a_close_packet() {
    let mut peer = probed();
    peer.confirms = false;
    let get = peer.get();
    peer.text(1, "5");
    peer.send("over the link");
    peer.assert_outputs(&["upgraded WebSocket", &format!("reply {get}: 200 1"), "link 1: 4over the link"]);
    // The reply contained no messages.
    peer.aborted(get);
    peer.assert_outputs(&[]);

    // The same holds while a POST keeps the rest of polling alive.
    let mut peer = probed();
    peer.confirms = false;
    let get = peer.get();
    let post = peer.post_head();
    peer.text(1, "5");
    peer.assert_outputs(&["upgraded WebSocket", &format!("reply {get}: 200 1")]);
    peer.aborted(get);
    peer.body(post, "4a");
    peer.assert_outputs(&["message a", &format!("reply {post}: 200 ok")]);
}

#[test]
fn packets_queued_at_the_upgrade_are_sent_over_the_link_even_if_a_get_was_due() {
    let mut peer = probed();
    let get = peer.get();
    peer.send("once");
    peer.text(1, "5");
    peer.assert_outputs(&["upgraded WebSocket", &format!("reply {get}: 200 1"), "link 1: 4once"]);
}

#[test]
fn a_reply_with_packets_from_before_the_upgrade_ends_the_session_if_it_is_lost_afterwards() {
    let mut peer = probed();
    peer.confirms = false;
    let get = peer.get();
    peer.send("a");
    peer.assert_outputs(&[&format!("reply {get}: 200 4a")]);
    peer.text(1, "5");
    peer.text(1, "4still delivered at once");
    peer.assert_outputs(&["upgraded WebSocket", "message still delivered at once"]);
    peer.aborted(get);
    peer.assert_outputs(&["closed: transport error (poll connection closed prematurely)", "close link 1"]);

    let mut peer = probed();
    peer.confirms = false;
    let get = peer.get();
    peer.sleep_until(100);
    peer.assert_outputs(&[&format!("reply {get}: 200 6")]);
    peer.text(1, "5");
    peer.aborted(get);
    peer.assert_outputs(&["upgraded WebSocket"]);
}

#[test]
fn a_post_in_flight_at_the_upgrade_is_delivered_before_packets_of_the_link() {
    let mut peer = probed();
    let post = peer.post_head();
    peer.text(1, "5");
    peer.text(1, "4third");
    peer.binary(1, &[4]);
    peer.assert_outputs(&["upgraded WebSocket"]);
    peer.body(post, "4first␞4second");
    peer.assert_outputs(&[
        "message first",
        "message second",
        "message third",
        "binary [4]",
        &format!("reply {post}: 200 ok"),
    ]);
    peer.text(1, "4fifth");
    peer.assert_outputs(&["message fifth"]);
}

#[test]
fn a_close_packet_of_the_link_waits_for_the_post_in_flight() {
    let mut peer = probed();
    let post = peer.post_head();
    peer.text(1, "5");
    peer.text(1, "4second");
    peer.text(1, "1");
    peer.body(post, "4first");
    peer.assert_outputs(&[
        "upgraded WebSocket",
        "message first",
        "message second",
        "closed: transport close",
        &format!("reply {post}: 200 ok"),
        "close link 1",
    ]);
    peer.assert_over();
}

#[test]
fn a_post_that_cannot_be_read_after_the_upgrade_ends_the_session() {
    use engineio_proto::RequestId;
    use engineio_proto::server::{BodyFault, Input};
    let mut peer = probed();
    let post = peer.post_head();
    peer.text(1, "5");
    peer.text(1, "4a");
    peer.handle(Input::BodyRejected { request: RequestId(post), fault: BodyFault::TooLarge });
    peer.assert_outputs(&[
        "upgraded WebSocket",
        "closed: transport error (payload too large)",
        &format!("reply {post}: 413"),
        "close link 1",
    ]);

    let mut peer = probed();
    let post = peer.post_head();
    peer.text(1, "5");
    peer.aborted(post);
    peer.assert_outputs(&[
        "upgraded WebSocket",
        "closed: transport error (data request connection closed prematurely)",
        "close link 1",
    ]);
    peer.assert_over();
}

#[test]
fn item_46_the_upgrade_timeout_closes_only_the_probe() {
    for probe_first in [false, true] {
        let mut peer = Peer::polling(quiet());
        peer.up(WebSocket);
        if probe_first {
            peer.text(1, "2probe");
        }
        peer.sleep_until(9_999);
        assert!(!peer.turn().contains(&"close link 1".to_owned()));
        peer.sleep_until(10_000);
        peer.assert_outputs(&["close link 1"]);
        let get = peer.get();
        peer.sleep_until(20_000);
        peer.assert_outputs(&[]);
        peer.send("still polling");
        peer.assert_outputs(&[&format!("reply {get}: 200 4still polling")]);
    }
}

#[test]
fn item_47_a_probe_that_goes_down_leaves_polling_and_another_upgrade_succeeds() {
    for probe_first in [false, true] {
        let mut peer = Peer::polling(quiet());
        peer.up(WebSocket);
        if probe_first {
            peer.text(1, "2probe");
            peer.assert_outputs(&["link 1: 3probe"]);
        }
        peer.down(1, LinkDownCause::Closed);
        let get = peer.get();
        peer.sleep_until(500);
        peer.assert_outputs(&[]);
        assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()));
        peer.up(WebSocket);
        peer.text(2, "2probe");
        peer.sleep_until(600);
        peer.text(2, "5");
        peer.assert_outputs(&[&format!("reply {get}: 200 6"), "link 2: 3probe", "upgraded WebSocket"]);
    }
}

#[test]
fn item_48_invalid_data_instead_of_a_probe_closes_only_the_link() {
    for garbage in ["2", "4message", "abc", "", "3probe", "2probe2", "1", "6", "bAQ=="] {
        let mut peer = Peer::polling(quiet());
        peer.up(WebSocket);
        peer.text(1, garbage);
        peer.assert_outputs(&["close link 1"]);
        peer.post("4a");
        peer.assert_outputs(&["message a", "reply 2: 200 ok"]);
        assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()), "{garbage:?}");
    }
}

#[test]
fn item_48_invalid_data_after_a_probe_closes_only_the_link() {
    for garbage in ["2", "4message", "abc"] {
        let mut peer = probed();
        peer.text(1, garbage);
        peer.assert_outputs(&["close link 1"]);
        peer.text(1, "5");
        peer.assert_outputs(&[]);
        assert_eq!(peer.session.poll_timeout(), Some(engineio_proto::Instant::from_millis(1_000_000)));
    }
}

#[test]
fn item_49_an_upgrade_packet_without_a_probe_moves_the_session() {
    for holds in [false, true] {
        let mut peer = Peer::polling(quiet());
        let get = holds.then(|| peer.get());
        peer.post("40");
        peer.send("0{}");
        if !holds {
            peer.assert_outputs(&["message 0", "reply 2: 200 ok"]);
        }
        peer.up(WebSocket);
        peer.text(1, "5");
        peer.text(1, "4a");
        let said = peer.turn();
        if let Some(get) = get {
            // A packet that was queued while the GET was held may be in its answer already. It arrives once.
            assert!(said.contains(&format!("reply {get}: 200 1")), "{said:?}");
        }
        assert!(said.ends_with(&["link 1: 40{}".to_owned()]), "{said:?}");
        assert!(said.contains(&"message a".to_owned()), "{said:?}");
        assert_eq!(peer.session.transport(), Transport::Link(WebSocket));
    }
}

#[test]
fn a_probe_that_is_sent_again_is_answered_again() {
    let mut peer = probed();
    peer.text(1, "2probe");
    peer.text(1, "5");
    peer.assert_outputs(&["upgraded WebSocket", "link 1: 3probe"]);
}

#[test]
fn item_53_the_end_of_the_session_closes_the_probe() {
    let mut peer = probed();
    peer.post("1");
    peer.assert_outputs(&["closed: transport close", "close link 1", "reply 2: 200 ok"]);
    peer.assert_over();
    let mut peer = probed();
    peer.discard();
    peer.assert_outputs(&["closed: forced close", "close link 1"]);
    peer.assert_over();
}

#[test]
fn items_54_and_55_a_close_during_a_probe_waits_flushes_over_the_link_and_closes() {
    let mut peer = probed();
    peer.send("a");
    peer.send("b");
    peer.close();
    peer.assert_outputs(&[]);
    peer.text(1, "4ignored by the probe's end only");
    peer.assert_outputs(&["close link 1"]);

    let mut peer = probed();
    peer.send("a");
    peer.send("b");
    peer.close();
    peer.close();
    peer.assert_outputs(&[]);
    peer.text(1, "5");
    peer.assert_outputs(&["upgraded WebSocket", "closed: forced close", "link 1: 4a", "link 1: 4b", "close link 1"]);
    peer.assert_over();
}

#[test]
fn items_54_and_55_a_close_during_a_probe_may_also_finish_over_polling_or_by_its_timeout() {
    let mut peer = probed();
    peer.send("a");
    peer.close();
    let get = peer.get();
    peer.assert_outputs(&[&format!("reply {get}: 200 4a")]);
    let get = peer.get();
    peer.assert_outputs(&["closed: forced close", &format!("reply {get}: 200 6␞1"), "close link 1"]);
    peer.assert_over();

    let mut peer = probed();
    let get = peer.get();
    peer.close();
    peer.assert_outputs(&["closed: forced close", "close link 1", &format!("reply {get}: 200 1")]);
    peer.assert_over();

    let mut peer = probed();
    peer.close();
    peer.sleep_until(30_000);
    peer.assert_outputs(&["close link 1", "closed: forced close"]);
    peer.assert_over();
}

#[test]
fn item_56_another_revision_is_refused_for_upgrades_and_polls() {
    let peer = Peer::polling(quiet());
    for eio in ["EIO=3&", "EIO=5&", ""] {
        assert!(peer.admits("GET", &format!("{eio}transport=polling"), false).is_err(), "{eio:?}");
        assert!(peer.admits("GET", &format!("{eio}transport=websocket"), true).is_err(), "{eio:?}");
    }
}

#[test]
fn item_57_a_ping_that_is_unanswered_at_the_upgrade_stays_so_and_the_heartbeat_continues() {
    let mut peer = Peer::polling(config());
    peer.up(WebSocket);
    peer.text(1, "2probe");
    peer.assert_outputs(&["link 1: 3probe"]);
    peer.sleep_until(300);
    peer.get();
    peer.assert_outputs(&["reply 2: 200 2"]);
    peer.text(1, "5");
    peer.sleep_until(400);
    peer.text(1, "3");
    peer.sleep_until(700);
    peer.assert_outputs(&["upgraded WebSocket", "link 1: 2"]);
    peer.sleep_until(900);
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);

    let mut peer = Peer::polling(config());
    peer.up(WebSocket);
    peer.text(1, "2probe");
    peer.sleep_until(300);
    peer.text(1, "5");
    // The ping was queued for polling. It is sent on the link.
    peer.assert_outputs(&["link 1: 3probe", "upgraded WebSocket", "link 1: 2"]);
    peer.sleep_until(499);
    peer.assert_outputs(&[]);
    peer.sleep_until(500);
    peer.assert_outputs(&["closed: ping timeout", "close link 1"]);
    peer.assert_over();
}

#[test]
fn a_session_upgrades_to_webtransport_and_receives_the_bytes_after_the_upgrade_packet() {
    let mut peer = Peer::polling(quiet());
    peer.up(WebTransport);
    peer.bytes(1, b"\x062pro");
    peer.assert_outputs(&[]);
    peer.bytes(1, b"be");
    peer.assert_outputs(&["link 1: 3probe"]);
    peer.bytes(1, b"\x015\x024a\x014");
    peer.assert_outputs(&["upgraded WebTransport", "message a", "message "]);
    assert_eq!(peer.session.transport(), Transport::Link(WebTransport));
}
