//! Long-polling: held GETs, one POST at a time, and what happens to peers that break the rules.
//!
//! In the name of a test, `suite` is the number of a case of the official Engine.IO v4 suite, and `item` is the number of a scenario.
//! Both are in the table in adapters/tokio/tests/README.md.

mod common;

use common::{ID, Peer, millis, quiet, unknown_session};
use engineio_proto::server::{BodyFault, Input, Transmit, Transport};
use engineio_proto::{ContentType, Event, Instant, LinkKind, RequestId, SendError};

#[test]
fn suite_1_the_first_get_is_answered_with_the_open_packet() {
    let mut config = common::config();
    config.ping_timeout = millis(200);
    let mut peer = Peer::accepted(config, "EIO=4&transport=polling", false);
    assert_eq!(peer.session.transport(), Transport::Polling);
    assert_eq!(peer.try_send("early"), Err(SendError::NotConnected));
    peer.get();
    peer.assert_outputs(&[
        "open",
        &format!(
            "reply 1: 200 0{{\"sid\":\"{ID}\",\"upgrades\":[\"websocket\"],\"pingInterval\":300,\"pingTimeout\":200,\"maxPayload\":1000000}}"
        ),
    ]);
}

#[test]
fn item_11_the_initial_packet_is_in_the_first_body_and_later_messages_are_not() {
    let mut config = quiet();
    config.initial_packet = Some("hi".into());
    let mut peer = Peer::accepted(config, "EIO=4&transport=polling", false);
    peer.get();
    peer.send("not yet");
    let said = peer.turn();
    assert!(said.last().is_some_and(|line| line.ends_with("}␞4hi")), "{said:?}");
    let get = peer.get();
    peer.assert_outputs(&[&format!("reply {get}: 200 4not yet")]);
}

#[test]
fn responses_have_the_references_headers() {
    let mut peer = Peer::accepted(quiet(), "EIO=4&transport=polling", false);
    peer.get();
    let Some(Transmit::Reply { response, .. }) = peer.session.poll_transmit() else { panic!("no reply") };
    let headers = [("content-type", "text/plain; charset=UTF-8"), ("cache-control", "no-store")];
    assert_eq!((response.status(), response.headers()), (200, &headers[..]));
    peer.handle(Input::Post { request: RequestId(2), content_type: ContentType::Text });
    peer.handle(Input::Body { request: RequestId(2), body: bytes::Bytes::from_static(b"4a") });
    let Some(Transmit::Reply { response, .. }) = peer.session.poll_transmit() else { panic!("no reply") };
    let headers = [("content-type", "text/html"), ("cache-control", "no-store")];
    assert_eq!((response.status(), response.headers(), &response.body()[..]), (200, &headers[..], &b"ok"[..]));
}

#[test]
fn suite_8_a_post_is_answered_ok_and_a_get_takes_what_was_queued() {
    let mut peer = Peer::polling(quiet());
    let post = peer.post("4hello");
    peer.assert_outputs(&["message hello", &format!("reply {post}: 200 ok")]);
    peer.send("hello");
    peer.assert_outputs(&[]);
    assert!(!peer.session.is_writable());
    let get = peer.get();
    peer.assert_outputs(&[&format!("reply {get}: 200 4hello")]);
}

#[test]
fn suite_9_items_37_and_41_everything_queued_leaves_in_one_body() {
    let mut peer = Peer::polling(quiet());
    peer.post("4test1␞4test2␞4test3");
    peer.assert_outputs(&["message test1", "message test2", "message test3", "reply 2: 200 ok"]);
    let get = peer.get();
    assert!(peer.session.is_writable());
    // The GET is held. The first message makes its answer due, and the others still join it.
    peer.send("test1");
    assert!(!peer.session.is_writable());
    peer.send("test2");
    let large = "x".repeat(2_000_000);
    peer.send(&large);
    peer.assert_outputs(&[&format!("reply {get}: 200 4test1␞4test2␞4{large}")]);
}

#[test]
fn suite_10_items_35_86_and_87_text_and_binary_come_back_as_they_were_sent() {
    let mut peer = Peer::polling(quiet());
    peer.post("4hello€ 中文 😀␞bAQIDBA==␞b");
    peer.assert_outputs(&["message hello€ 中文 😀", "binary [1, 2, 3, 4]", "binary []", "reply 2: 200 ok"]);
    peer.send("hello€ 中文 😀");
    peer.session.send(bytes::Bytes::from_static(&[1, 2, 3, 4]).into()).unwrap();
    peer.session.send(bytes::Bytes::new().into()).unwrap();
    peer.get();
    peer.assert_outputs(&["reply 3: 200 4hello€ 中文 😀␞bAQIDBA==␞b"]);
}

#[test]
fn suite_11_an_invalid_packet_closes_and_its_post_is_answered_ok() {
    let mut peer = Peer::polling(quiet());
    let post = peer.post("abc");
    peer.assert_outputs(&["closed: parse error (unknown packet type)", &format!("reply {post}: 200 ok")]);
    peer.assert_over();
}

#[test]
fn item_32_an_empty_body_closes_and_is_answered_ok() {
    let mut peer = Peer::polling(quiet());
    peer.post("");
    peer.assert_outputs(&["closed: parse error (empty packet)", "reply 2: 200 ok"]);
    peer.assert_over();
}

#[test]
fn invalid_utf_8_in_a_body_is_a_parse_error() {
    let mut peer = Peer::polling(quiet());
    let post = peer.post_head();
    peer.handle(Input::Body { request: RequestId(post), body: bytes::Bytes::from_static(b"4a\xff") });
    peer.assert_outputs(&["closed: parse error (invalid UTF-8)", "reply 2: 200 ok"]);
    peer.assert_over();
}

#[test]
fn item_33_packets_before_an_invalid_one_are_delivered_and_later_ones_are_not() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    let post = peer.post("4a␞4b␞x␞4c");
    peer.assert_outputs(&[
        "message a",
        "message b",
        "closed: parse error (unknown packet type)",
        &format!("reply {get}: 200 1"),
        &format!("reply {post}: 200 ok"),
    ]);
    peer.assert_over();
}

#[test]
fn item_34_messages_after_a_close_packet_are_ignored_even_invalid_ones() {
    let mut peer = Peer::polling(quiet());
    peer.post("4a␞1␞4x␞?");
    peer.assert_outputs(&["message a", "closed: transport close", "reply 2: 200 ok"]);
    peer.assert_over();
}

#[test]
fn suite_12_item_30_overlapping_gets_close_the_session() {
    let mut peer = Peer::polling(quiet());
    let first = peer.get();
    let second = peer.get();
    peer.assert_outputs(&[
        "closed: transport error (overlap from client)",
        &format!("reply {second}: 400"),
        &format!("reply {first}: 200 1"),
    ]);
    peer.assert_over();
}

#[test]
fn a_get_that_is_due_is_no_overlap_whether_or_not_its_reply_was_polled() {
    let mut peer = Peer::polling(quiet());
    let first = peer.get();
    peer.send("a");
    let second = peer.get();
    peer.send("b");
    peer.assert_outputs(&[&format!("reply {first}: 200 4a"), &format!("reply {second}: 200 4b")]);
}

#[test]
fn item_29_overlapping_posts_close_the_session() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    let first = peer.post_head();
    let second = peer.post_head();
    peer.assert_outputs(&[
        "closed: transport error (data request overlap from client)",
        &format!("reply {second}: 400"),
        &format!("reply {get}: 200 1"),
        &unknown_session(first),
    ]);
    // The body that was still in transit is ignored, and so is the body of the other POST.
    peer.body(first, "4late");
    peer.body(second, "4late");
    peer.assert_over();
}

#[test]
fn a_get_and_a_post_are_no_overlap() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    let post = peer.post_head();
    peer.assert_outputs(&[]);
    peer.body(post, "4a");
    peer.send("b");
    peer.assert_outputs(&["message a", &format!("reply {post}: 200 ok"), &format!("reply {get}: 200 4b")]);
}

#[test]
fn suite_13_item_39_a_held_get_whose_connection_is_lost_closes_the_session() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    peer.aborted(get);
    peer.assert_outputs(&["closed: transport error (poll connection closed prematurely)"]);
    peer.assert_over();
}

#[test]
fn a_get_whose_connection_is_lost_before_its_reply_is_written_closes_the_session() {
    for polled in [false, true] {
        let mut peer = Peer::polling(quiet());
        peer.confirms = false;
        let get = peer.get();
        peer.send("may be lost");
        if polled {
            peer.assert_outputs(&[&format!("reply {get}: 200 4may be lost")]);
        }
        peer.aborted(get);
        peer.assert_outputs(&["closed: transport error (poll connection closed prematurely)"]);
        peer.assert_over();
    }
}

#[test]
fn a_get_may_be_aborted_after_its_reply_was_written() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    peer.send("a");
    peer.assert_outputs(&[&format!("reply {get}: 200 4a")]);
    peer.aborted(get);
    peer.aborted(999);
    peer.replied(get);
    peer.replied(999);
    peer.assert_outputs(&[]);
}

#[test]
fn item_28_a_post_whose_connection_is_lost_before_its_body_closes_the_session() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    let post = peer.post_head();
    peer.aborted(post);
    peer.assert_outputs(&[
        "closed: transport error (data request connection closed prematurely)",
        &format!("reply {get}: 200 1"),
    ]);
    peer.assert_over();
}

#[test]
fn a_post_whose_connection_is_lost_after_its_body_changes_nothing() {
    let mut peer = Peer::polling(quiet());
    let post = peer.post("4a");
    peer.aborted(post);
    peer.assert_outputs(&["message a"]);
    let post = peer.post("4b");
    peer.assert_outputs(&["message b", &format!("reply {post}: 200 ok")]);
    peer.aborted(post);
    peer.assert_outputs(&[]);
}

#[test]
fn item_31_octet_stream_closes_the_session() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    let post = peer.post_typed(ContentType::OctetStream);
    peer.assert_outputs(&[
        "closed: transport error (invalid content)",
        &format!("reply {post}: 400"),
        &format!("reply {get}: 200 1"),
    ]);
    peer.assert_over();
}

#[test]
fn items_26_and_27_a_body_that_cannot_be_read_ends_the_session_with_the_matching_status() {
    let mut config = quiet();
    config.max_payload = 5;
    let mut peer = Peer::polling(config.clone());
    let post = peer.post("4abcd");
    peer.assert_outputs(&["message abcd", &format!("reply {post}: 200 ok")]);
    let post = peer.post("4abcde");
    peer.assert_outputs(&["closed: transport error (payload too large)", &format!("reply {post}: 413")]);
    peer.assert_over();
    for (fault, error, status) in [
        (BodyFault::TooLarge, "payload too large", 413),
        (BodyFault::TooManyChunks, "too many chunks", 413),
        (BodyFault::TimedOut, "http request timeout", 408),
    ] {
        let mut peer = Peer::polling(config.clone());
        let post = peer.post_head();
        peer.handle(Input::BodyRejected { request: RequestId(post), fault });
        peer.assert_outputs(&[&format!("closed: transport error ({error})"), &format!("reply {post}: {status}")]);
        peer.assert_over();
    }
}

#[test]
fn bodies_of_unknown_requests_are_ignored() {
    let mut peer = Peer::polling(quiet());
    peer.body(77, "4a");
    peer.handle(Input::BodyRejected { request: RequestId(78), fault: BodyFault::TooLarge });
    let get = peer.get();
    peer.body(get, "4a");
    peer.assert_outputs(&[]);
}

#[test]
fn item_19_other_methods_are_answered_500_and_the_session_stays_open() {
    let peer = Peer::polling(quiet());
    for method in ["HEAD", "PUT", "OPTIONS", "DELETE"] {
        assert_eq!(peer.admits(method, "EIO=4&transport=polling", false), Err("500".into()), "{method}");
    }
    assert_eq!(peer.admits("GET", "EIO=4&transport=polling", false), Ok(()));
    assert_eq!(peer.admits("POST", "EIO=4&transport=polling", false), Ok(()));
}

#[test]
fn suite_21_a_close_packet_releases_the_held_get_with_a_noop() {
    let mut peer = Peer::polling(quiet());
    let get = peer.get();
    let post = peer.post("1");
    peer.assert_outputs(&["closed: transport close", &format!("reply {get}: 200 6"), &format!("reply {post}: 200 ok")]);
    peer.assert_over();
}

#[test]
fn regrouping_packets_in_bodies_changes_no_event() {
    let packets = ["4a", "4b", "6", "bAQ==", "4", "4c"];
    let events = |cuts: usize| {
        let mut peer = Peer::polling(quiet());
        let mut body = String::new();
        for (index, packet) in packets.iter().enumerate() {
            body = if body.is_empty() { (*packet).to_owned() } else { format!("{body}␞{packet}") };
            if cuts >> index & 1 == 1 || index + 1 == packets.len() {
                peer.post(&std::mem::take(&mut body));
            }
        }
        peer.turn().into_iter().filter(|line| !line.starts_with("reply")).collect::<Vec<_>>()
    };
    for cuts in 0..1 << (packets.len() - 1) {
        assert_eq!(events(cuts), ["message a", "message b", "binary [1]", "message ", "message c"], "cuts {cuts:b}");
    }
}

#[test]
fn text_with_the_separator_is_refused_while_a_session_polls() {
    let mut peer = Peer::polling(quiet());
    assert_eq!(peer.try_send("a\u{1e}4b"), Err(SendError::Separator));
    assert_eq!(peer.session.buffered_bytes(), 0);
    peer.session.send(bytes::Bytes::from_static(b"a\x1eb").into()).unwrap();
    let mut peer = Peer::upgraded(quiet());
    peer.send("a\u{1e}4b");
    peer.assert_outputs(&["link 1: 4a\u{1e}4b"]);
    let mut peer = Peer::websocket(quiet());
    assert_eq!(peer.try_send("a\u{1e}4b"), Ok(()));
}

#[test]
fn polling_requests_of_a_session_that_opens_over_a_link_are_refused() {
    let mut peer = Peer::accepted(quiet(), "EIO=4&transport=websocket", true);
    let get = peer.get();
    let post = peer.post("4a");
    peer.assert_outputs(&[&common::mismatch(get), &common::mismatch(post)]);
    peer.up(LinkKind::WebSocket);
    assert_eq!(peer.turn().first().map(String::as_str), Some("open"));
}

#[test]
fn a_link_to_a_session_that_opens_by_polling_is_closed_and_the_session_opens() {
    let mut peer = Peer::accepted(quiet(), "EIO=4&transport=polling", false);
    peer.up(LinkKind::WebSocket);
    let post = peer.post("4a");
    peer.assert_outputs(&["close link 1", &common::mismatch(post)]);
    peer.get();
    assert_eq!(peer.turn().first().map(String::as_str), Some("open"));
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let mut peer = Peer::polling(common::config());
    peer.sleep_until(250);
    peer.session.handle(Instant::ZERO, Input::Get { request: RequestId(50) });
    peer.session.handle_timeout(Instant::from_millis(1));
    assert_eq!(peer.session.poll_timeout(), Some(Instant::from_millis(300)));
    assert_eq!(peer.session.poll_event(), None::<Event>);
    peer.session.discard(Instant::ZERO);
    assert_eq!(peer.session.poll_timeout(), None);
}
