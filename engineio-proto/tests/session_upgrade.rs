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
    peer.says(&["link 1: 3probe"]);
    peer
}

#[test]
fn suite_23_a_probe_releases_the_held_get_and_takes_over() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    peer.up(WebSocket);
    peer.text(1, "2probe");
    peer.says(&["link 1: 3probe"]);
    peer.sleep_until(100);
    peer.says(&[&format!("reply {get}: 200 6")]);
    peer.text(1, "5");
    peer.says(&["upgraded WebSocket"]);
    assert_eq!(peer.session.transport(), Transport::Link(WebSocket));
    peer.text(1, "4hello");
    peer.send("hello");
    peer.says(&["message hello", "link 1: 4hello"]);
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
    peer.says(&[&mismatch(get), &mismatch(post), &format!("close link {link}")]);
    peer.text(1, "4hello");
    peer.says(&["message hello"]);
}

#[test]
fn suite_25_item_50_a_second_probe_is_closed_and_the_first_goes_on() {
    let mut peer = Peer::polling(quiet());
    assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()));
    peer.up(WebSocket);
    assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()));
    let second = peer.up(WebSocket);
    peer.text(second, "2probe");
    peer.says(&["close link 2"]);
    peer.text(second, "5");
    peer.down(second, LinkDownCause::Closed);
    peer.text(1, "2probe");
    peer.text(1, "5");
    peer.says(&["upgraded WebSocket", "link 1: 3probe"]);
}

#[test]
fn item_42_a_held_get_is_released_100_ms_after_the_probe() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    peer.up(WebSocket);
    peer.sleep_until(500);
    peer.says(&[]);
    peer.text(1, "2probe");
    peer.sleep_until(599);
    peer.says(&["link 1: 3probe"]);
    peer.sleep_until(600);
    peer.says(&[&format!("reply {get}: 200 6")]);
}

#[test]
fn item_43_gets_that_are_held_later_are_released_at_the_next_tick_or_by_data() {
    let mut peer = probed();
    peer.sleep_until(150);
    let second = peer.get();
    peer.sleep_until(199);
    peer.says(&[]);
    peer.sleep_until(200);
    peer.says(&[&format!("reply {second}: 200 6")]);
    let third = peer.get();
    peer.sleep_until(250);
    peer.send("data");
    peer.says(&[&format!("reply {third}: 200 4data")]);
    let fourth = peer.get();
    peer.sleep_until(300);
    peer.says(&[&format!("reply {fourth}: 200 6")]);
}

#[test]
fn items_43_and_44_both_directions_keep_working_over_polling_while_probing_and_nothing_comes_twice() {
    let mut peer = probed();
    peer.post("4from client");
    peer.says(&["message from client", "reply 2: 200 ok"]);
    peer.send("first");
    peer.get();
    peer.says(&["reply 3: 200 4first"]);
    peer.send("second");
    peer.send("third");
    peer.says(&[]);
    peer.text(1, "5");
    peer.send("fourth");
    peer.says(&["upgraded WebSocket", "link 1: 4second", "link 1: 4third", "link 1: 4fourth"]);
}

#[test]
fn a_get_that_is_still_held_at_the_switch_hears_the_end_of_polling() {
    let mut peer = probed();
    peer.confirms = false;
    let get = peer.get();
    peer.text(1, "5");
    peer.send("over the link");
    peer.says(&["upgraded WebSocket", &format!("reply {get}: 200 1"), "link 1: 4over the link"]);
    // The reply contained no messages.
    peer.aborted(get);
    peer.says(&[]);

    // The same holds while a POST keeps the rest of polling alive.
    let mut peer = probed();
    peer.confirms = false;
    let get = peer.get();
    let post = peer.post_head();
    peer.text(1, "5");
    peer.says(&["upgraded WebSocket", &format!("reply {get}: 200 1")]);
    peer.aborted(get);
    peer.body(post, "4a");
    peer.says(&["message a", &format!("reply {post}: 200 ok")]);
}

#[test]
fn what_is_queued_at_the_switch_goes_over_the_link_even_if_a_get_was_due() {
    let mut peer = probed();
    let get = peer.get();
    peer.send("once");
    peer.text(1, "5");
    peer.says(&["upgraded WebSocket", &format!("reply {get}: 200 1"), "link 1: 4once"]);
}

#[test]
fn a_reply_from_before_the_switch_that_is_lost_after_it_ends_the_session_if_it_brought_packets() {
    let mut peer = probed();
    peer.confirms = false;
    let get = peer.get();
    peer.send("a");
    peer.says(&[&format!("reply {get}: 200 4a")]);
    peer.text(1, "5");
    peer.text(1, "4still delivered at once");
    peer.says(&["upgraded WebSocket", "message still delivered at once"]);
    peer.aborted(get);
    peer.says(&["closed: transport error (poll connection closed prematurely)", "close link 1"]);

    let mut peer = probed();
    peer.confirms = false;
    let get = peer.get();
    peer.sleep_until(100);
    peer.says(&[&format!("reply {get}: 200 6")]);
    peer.text(1, "5");
    peer.aborted(get);
    peer.says(&["upgraded WebSocket"]);
}

#[test]
fn a_post_that_is_under_way_at_the_switch_is_delivered_before_anything_of_the_link() {
    let mut peer = probed();
    let post = peer.post_head();
    peer.text(1, "5");
    peer.text(1, "4third");
    peer.binary(1, &[4]);
    peer.says(&["upgraded WebSocket"]);
    peer.body(post, "4first␞4second");
    peer.says(&["message first", "message second", "message third", "binary [4]", &format!("reply {post}: 200 ok")]);
    peer.text(1, "4fifth");
    peer.says(&["message fifth"]);
}

#[test]
fn a_close_packet_of_the_link_waits_for_the_post_under_way_too() {
    let mut peer = probed();
    let post = peer.post_head();
    peer.text(1, "5");
    peer.text(1, "4second");
    peer.text(1, "1");
    peer.body(post, "4first");
    peer.says(&[
        "upgraded WebSocket",
        "message first",
        "message second",
        "closed: transport close",
        &format!("reply {post}: 200 ok"),
        "close link 1",
    ]);
    peer.is_over();
}

#[test]
fn a_post_that_cannot_be_had_after_the_switch_ends_the_session() {
    use engineio_proto::RequestId;
    use engineio_proto::server::{BodyFault, Input};
    let mut peer = probed();
    let post = peer.post_head();
    peer.text(1, "5");
    peer.text(1, "4a");
    peer.handle(Input::BodyRejected { request: RequestId(post), fault: BodyFault::TooLarge });
    peer.says(&[
        "upgraded WebSocket",
        "closed: transport error (payload too large)",
        &format!("reply {post}: 413"),
        "close link 1",
    ]);

    let mut peer = probed();
    let post = peer.post_head();
    peer.text(1, "5");
    peer.aborted(post);
    peer.says(&[
        "upgraded WebSocket",
        "closed: transport error (data request connection closed prematurely)",
        "close link 1",
    ]);
    peer.is_over();
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
        peer.says(&["close link 1"]);
        let get = peer.get();
        peer.sleep_until(20_000);
        peer.says(&[]);
        peer.send("still polling");
        peer.says(&[&format!("reply {get}: 200 4still polling")]);
    }
}

#[test]
fn item_47_a_probe_that_goes_down_leaves_polling_and_another_upgrade_succeeds() {
    for probe_first in [false, true] {
        let mut peer = Peer::polling(quiet());
        peer.up(WebSocket);
        if probe_first {
            peer.text(1, "2probe");
            peer.says(&["link 1: 3probe"]);
        }
        peer.down(1, LinkDownCause::Closed);
        let get = peer.get();
        peer.sleep_until(500);
        peer.says(&[]);
        assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()));
        peer.up(WebSocket);
        peer.text(2, "2probe");
        peer.sleep_until(600);
        peer.text(2, "5");
        peer.says(&[&format!("reply {get}: 200 6"), "link 2: 3probe", "upgraded WebSocket"]);
    }
}

#[test]
fn item_48_garbage_on_a_probe_closes_only_the_probe() {
    for garbage in ["2", "4message", "abc", "", "3probe", "2probe2", "1", "6", "bAQ=="] {
        let mut peer = Peer::polling(quiet());
        peer.up(WebSocket);
        peer.text(1, garbage);
        peer.says(&["close link 1"]);
        peer.post("4a");
        peer.says(&["message a", "reply 2: 200 ok"]);
        assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()), "{garbage:?}");
    }
}

#[test]
fn item_48_garbage_after_the_probe_closes_only_the_probe() {
    for garbage in ["2", "4message", "abc"] {
        let mut peer = probed();
        peer.text(1, garbage);
        peer.says(&["close link 1"]);
        peer.text(1, "5");
        peer.says(&[]);
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
            peer.says(&["message 0", "reply 2: 200 ok"]);
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
    peer.says(&["upgraded WebSocket", "link 1: 3probe"]);
}

#[test]
fn item_53_the_end_of_the_session_closes_the_probe() {
    let mut peer = probed();
    peer.post("1");
    peer.says(&["closed: transport close", "close link 1", "reply 2: 200 ok"]);
    peer.is_over();
    let mut peer = probed();
    peer.discard();
    peer.says(&["closed: forced close", "close link 1"]);
    peer.is_over();
}

#[test]
fn items_54_and_55_a_close_during_a_probe_waits_flushes_over_the_link_and_closes() {
    let mut peer = probed();
    peer.send("a");
    peer.send("b");
    peer.close();
    peer.says(&[]);
    peer.text(1, "4ignored by the probe's end only");
    peer.says(&["close link 1"]);

    let mut peer = probed();
    peer.send("a");
    peer.send("b");
    peer.close();
    peer.close();
    peer.says(&[]);
    peer.text(1, "5");
    peer.says(&["upgraded WebSocket", "closed: forced close", "link 1: 4a", "link 1: 4b", "close link 1"]);
    peer.is_over();
}

#[test]
fn items_54_and_55_a_close_during_a_probe_may_also_finish_over_polling_or_by_its_cap() {
    let mut peer = probed();
    peer.send("a");
    peer.close();
    let get = peer.get();
    peer.says(&[&format!("reply {get}: 200 4a")]);
    let get = peer.get();
    peer.says(&["closed: forced close", &format!("reply {get}: 200 6␞1"), "close link 1"]);
    peer.is_over();

    let mut peer = probed();
    let get = peer.get();
    peer.close();
    peer.says(&["closed: forced close", "close link 1", &format!("reply {get}: 200 1")]);
    peer.is_over();

    let mut peer = probed();
    peer.close();
    peer.sleep_until(30_000);
    peer.says(&["close link 1", "closed: forced close"]);
    peer.is_over();
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
fn item_57_a_ping_that_is_outstanding_at_the_switch_stays_so_and_the_heartbeat_goes_on() {
    let mut peer = Peer::polling(config());
    peer.up(WebSocket);
    peer.text(1, "2probe");
    peer.says(&["link 1: 3probe"]);
    peer.sleep_until(300);
    peer.get();
    peer.says(&["reply 2: 200 2"]);
    peer.text(1, "5");
    peer.sleep_until(400);
    peer.text(1, "3");
    peer.sleep_until(700);
    peer.says(&["upgraded WebSocket", "link 1: 2"]);
    peer.sleep_until(900);
    peer.says(&["closed: ping timeout", "close link 1"]);

    let mut peer = Peer::polling(config());
    peer.up(WebSocket);
    peer.text(1, "2probe");
    peer.sleep_until(300);
    peer.text(1, "5");
    // The ping was queued for polling. It is sent on the link.
    peer.says(&["link 1: 3probe", "upgraded WebSocket", "link 1: 2"]);
    peer.sleep_until(499);
    peer.says(&[]);
    peer.sleep_until(500);
    peer.says(&["closed: ping timeout", "close link 1"]);
    peer.is_over();
}

#[test]
fn a_webtransport_probe_takes_over_and_the_bytes_behind_its_upgrade_packet_belong_to_the_session() {
    let mut peer = Peer::polling(quiet());
    peer.up(WebTransport);
    peer.bytes(1, b"\x062pro");
    peer.says(&[]);
    peer.bytes(1, b"be");
    peer.says(&["link 1: 3probe"]);
    peer.bytes(1, b"\x015\x024a\x014");
    peer.says(&["upgraded WebTransport", "message a", "message "]);
    assert_eq!(peer.session.transport(), Transport::Link(WebTransport));
}
