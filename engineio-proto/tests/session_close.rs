//! Every way in which a session ends. Nothing is left afterwards.
//!
//! `item` in the name of a test is the number of a scenario in the table in adapters/tokio/tests/README.md.

mod common;

use common::{Peer, config, quiet, unknown_session};
use engineio_proto::server::{BodyFault, Input, LinkDownCause};
use engineio_proto::{LinkKind, RequestId, SendError};

#[test]
fn item_73_a_close_before_the_first_input_answers_it() {
    let mut peer = Peer::accepted(quiet(), "EIO=4&transport=polling", false);
    peer.close();
    let get = peer.get();
    peer.assert_outputs(&["closed: forced close", &unknown_session(get)]);
    peer.assert_over();
    let mut peer = Peer::accepted(quiet(), "EIO=4&transport=websocket", true);
    peer.discard();
    peer.up(LinkKind::WebSocket);
    peer.assert_outputs(&["closed: forced close", "close link 1"]);
    peer.assert_over();
}

#[test]
fn item_73_a_close_right_after_the_opening_still_sends_the_open_packet() {
    let mut peer = Peer::accepted(quiet(), "EIO=4&transport=websocket", true);
    peer.up(LinkKind::WebSocket);
    peer.close();
    let said = peer.turn();
    assert_eq!((said.len(), said[0].as_str(), said[1].as_str()), (4, "open", "closed: forced close"));
    assert!(said[2].starts_with("link 1: 0{"));
    assert_eq!(said[3], "close link 1");
    peer.assert_over();

    let mut peer = Peer::accepted(quiet(), "EIO=4&transport=polling", false);
    peer.get();
    peer.close();
    assert_eq!(peer.turn().len(), 2);
    let get = peer.get();
    peer.assert_outputs(&["closed: forced close", &format!("reply {get}: 200 6␞1")]);
    peer.assert_over();
}

#[test]
fn a_session_without_a_first_input_closes() {
    let mut peer = Peer::accepted(config(), "EIO=4&transport=polling", false);
    peer.sleep_until(999);
    peer.assert_outputs(&[]);
    peer.sleep_until(1000);
    peer.assert_outputs(&["closed: transport error (the session was never opened)"]);
    peer.assert_over();
}

#[test]
fn item_75_a_graceful_close_over_a_link_delivers_what_is_queued_first() {
    let mut peer = Peer::websocket(quiet());
    peer.send("a");
    peer.send("b");
    peer.close();
    assert!(!peer.session.is_drained());
    peer.assert_outputs(&["closed: forced close", "link 1: 4a", "link 1: 4b", "close link 1"]);
    peer.assert_over();
}

#[test]
fn item_75_a_link_that_goes_down_during_a_graceful_close_loses_the_queue() {
    let mut peer = Peer::websocket(quiet());
    peer.send("a");
    peer.close();
    peer.down(1, LinkDownCause::Failed);
    peer.assert_outputs(&["closed: forced close"]);
    peer.assert_over();
}

#[test]
fn item_75_a_graceful_close_over_polling_with_a_held_get_answers_it() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    peer.close();
    peer.assert_outputs(&["closed: forced close", &format!("reply {get}: 200 1")]);
    peer.assert_over();
}

#[test]
fn item_75_a_graceful_close_over_polling_without_a_held_get_takes_two_gets() {
    let mut peer = Peer::polling(quiet());
    peer.send("a");
    peer.send("b");
    peer.close();
    peer.assert_outputs(&[]);
    let get = peer.get();
    peer.assert_outputs(&[&format!("reply {get}: 200 4a␞4b")]);
    let get = peer.get();
    peer.assert_outputs(&["closed: forced close", &format!("reply {get}: 200 6␞1")]);
    peer.assert_over();
}

#[test]
fn item_75_a_get_that_is_due_at_a_graceful_close_takes_what_is_queued_and_the_next_one_the_end() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    peer.send("a");
    peer.close();
    peer.assert_outputs(&[&format!("reply {get}: 200 4a")]);
    let get = peer.get();
    peer.assert_outputs(&["closed: forced close", &format!("reply {get}: 200 6␞1")]);
    peer.assert_over();
}

#[test]
fn item_76_a_second_close_is_ignored_and_sending_after_it_fails() {
    let mut peer = Peer::polling(quiet());
    peer.close();
    peer.close();
    assert_eq!(peer.try_send("a"), Err(SendError::Closed));
    peer.assert_outputs(&[]);
    assert!(!peer.session.is_drained());
    peer.discard();
    peer.discard();
    peer.close();
    peer.assert_outputs(&["closed: forced close"]);
    peer.assert_over();
}

#[test]
fn packets_that_arrive_while_closing_are_ignored_but_a_close_packet_is_not() {
    let mut peer = Peer::polling(quiet());
    peer.close();
    peer.post("4a␞2␞x");
    peer.assert_outputs(&["reply 2: 200 ok"]);
    peer.post("");
    peer.assert_outputs(&["reply 3: 200 ok"]);
    peer.post("4a␞1");
    peer.assert_outputs(&["closed: transport close", "reply 4: 200 ok"]);
    peer.assert_over();
}

#[test]
fn a_post_that_is_being_read_at_a_graceful_close_is_still_answered_ok() {
    let mut peer = Peer::polling(quiet());
    let post = peer.post_head();
    peer.close();
    peer.body(post, "4a");
    peer.assert_outputs(&[&format!("reply {post}: 200 ok")]);
}

#[test]
fn item_77_a_discard_loses_what_is_queued_and_ends_the_held_get() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    let post = peer.post_head();
    peer.discard();
    peer.assert_outputs(&["closed: forced close", &format!("reply {get}: 200 1"), &unknown_session(post)]);
    peer.body(post, "4late");
    peer.assert_over();

    let mut peer = Peer::polling(quiet());
    peer.send("lost");
    peer.discard();
    peer.assert_outputs(&["closed: forced close"]);
    peer.assert_over();

    let mut peer = Peer::websocket(quiet());
    peer.send("lost");
    peer.discard();
    peer.assert_outputs(&["closed: forced close", "close link 1"]);
    peer.assert_over();
}

#[test]
fn item_78_a_graceful_close_times_out_after_30_seconds() {
    let mut peer = Peer::polling(quiet());
    peer.sleep_until(1_000);
    peer.send("nobody comes for it");
    peer.close();
    peer.sleep_until(30_999);
    peer.assert_outputs(&[]);
    peer.sleep_until(31_000);
    peer.assert_outputs(&["closed: forced close"]);
    peer.assert_over();
}

#[test]
fn a_heartbeat_does_not_cut_a_graceful_close_short() {
    let mut peer = Peer::polling(config());
    peer.sleep_until(300);
    peer.close();
    peer.sleep_until(30_299);
    peer.assert_outputs(&[]);
    let get = peer.get();
    peer.assert_outputs(&[&format!("reply {get}: 200 2")]);
    peer.sleep_until(30_300);
    peer.assert_outputs(&["closed: forced close"]);
    peer.assert_over();
}

#[test]
fn item_79_no_deadline_is_left_after_any_end() {
    let ends: [fn(&mut Peer); 5] = [
        |peer| peer.close(),
        |peer| peer.discard(),
        |peer| peer.down(1, LinkDownCause::Closed),
        |peer| peer.text(1, "1"),
        |peer| peer.text(1, "x"),
    ];
    for end in ends {
        for mut peer in [Peer::websocket(config()), Peer::upgraded(config()), Peer::webtransport(config())] {
            peer.sleep_until(310);
            end(&mut peer);
            assert!(peer.turn().iter().any(|line| line.starts_with("closed")));
            peer.assert_over();
        }
    }
}

#[test]
fn item_40_a_session_that_closes_without_a_held_get_answers_the_next_one_with_code_1() {
    let mut peer = Peer::polling(config());
    peer.sleep_until(500);
    let get = peer.get();
    peer.assert_outputs(&["closed: ping timeout", &unknown_session(get)]);
    let error = r#"400 {"code":1,"message":"Session ID unknown"}"#;
    assert_eq!(peer.admits("GET", "EIO=4&transport=polling", false), Err(error.into()));
    assert_eq!(peer.admits("POST", "EIO=4&transport=polling", false), Err(error.into()));
    assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Err("400 Session ID unknown".into()));
}

#[test]
fn requests_that_arrive_or_end_after_the_end_are_answered_once() {
    let mut peer = Peer::polling(quiet());
    peer.discard();
    peer.assert_outputs(&["closed: forced close"]);
    let get = peer.get();
    assert!(!peer.session.is_drained());
    peer.aborted(get);
    peer.assert_outputs(&[]);
    assert!(peer.session.is_drained());
    peer.handle(Input::Body { request: RequestId(90), body: bytes::Bytes::new() });
    peer.handle(Input::BodyRejected { request: RequestId(91), fault: BodyFault::TooLarge });
    peer.handle(Input::Replied { request: RequestId(92) });
    peer.down(5, LinkDownCause::Failed);
    peer.assert_over();
}

#[test]
fn packets_queued_before_a_fault_are_still_sent_over_a_link() {
    let mut peer = Peer::websocket(quiet());
    peer.text(1, "4a");
    peer.send("answer");
    peer.text(1, "x");
    peer.assert_outputs(&["message a", "closed: parse error (unknown packet type)", "link 1: 4answer", "close link 1"]);
    peer.assert_over();
}
