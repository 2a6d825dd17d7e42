//! A session that uses a link from its first packet to its last: WebSocket messages, or WebTransport bytes.
//!
//! In the name of a test, `suite` is the number of a case of the official Engine.IO v4 suite, and `item` is the number of a scenario.
//! Both are in the table in adapters/tokio/tests/README.md.

mod common;

use common::{ID, Peer, config, quiet};
use engineio_proto::server::{LinkDownCause, Transport};
use engineio_proto::{LinkKind, SendError};

fn open_packet(upgrades: &str) -> String {
    format!(
        "0{{\"sid\":\"{ID}\",\"upgrades\":{upgrades},\"pingInterval\":300,\"pingTimeout\":200,\"maxPayload\":1000000}}"
    )
}

#[test]
fn suite_5_a_websocket_receives_the_open_packet_first_and_no_upgrades() {
    let mut peer = Peer::accepted(config(), "EIO=4&transport=websocket", true);
    peer.assert_outputs(&[]);
    assert_eq!(peer.session.send("early".into()), Err(SendError::NotConnected));
    peer.up(LinkKind::WebSocket);
    peer.assert_outputs(&["open", &format!("link 1: {}", open_packet("[]"))]);
    assert_eq!(peer.session.transport(), Transport::Link(LinkKind::WebSocket));
}

#[test]
fn item_11_the_initial_packet_is_the_second_message_of_a_websocket() {
    let mut config = config();
    config.initial_packet = Some("hi".into());
    let mut peer = Peer::accepted(config, "EIO=4&transport=websocket", true);
    peer.up(LinkKind::WebSocket);
    peer.assert_outputs(&["open", &format!("link 1: {}", open_packet("[]")), "link 1: 4hi"]);
}

#[test]
fn suite_14_text_is_echoed_over_a_websocket() {
    let mut peer = Peer::websocket(quiet());
    peer.text(1, "4hello €");
    peer.assert_outputs(&["message hello €"]);
    peer.send("hello €");
    assert!(!peer.session.is_writable());
    peer.assert_outputs(&["link 1: 4hello €"]);
    assert!(peer.session.is_writable());
}

#[test]
fn suite_15_items_86_and_87_binary_is_echoed_unchanged_even_if_empty() {
    let mut peer = Peer::websocket(quiet());
    peer.binary(1, &[1, 2, 3, 4]);
    peer.binary(1, &[]);
    peer.assert_outputs(&["binary [1, 2, 3, 4]", "binary []"]);
    peer.session.send(bytes::Bytes::from_static(&[1, 2, 3, 4]).into()).unwrap();
    peer.assert_outputs(&["link 1: binary [1, 2, 3, 4]"]);
}

#[test]
fn item_86_binary_leaves_a_b64_websocket_as_text_and_comes_in_either_form() {
    let mut peer = Peer::over_link(quiet(), "EIO=4&transport=websocket&b64=1", LinkKind::WebSocket);
    peer.text(1, "bAQIDBA==");
    peer.binary(1, &[5]);
    peer.assert_outputs(&["binary [1, 2, 3, 4]", "binary [5]"]);
    peer.session.send(bytes::Bytes::from_static(&[1, 2, 3, 4]).into()).unwrap();
    peer.assert_outputs(&["link 1: bAQIDBA=="]);
}

#[test]
fn suite_16_item_80_an_invalid_packet_closes_the_link_after_earlier_messages_are_delivered() {
    let mut peer = Peer::websocket(quiet());
    peer.text(1, "4a");
    peer.text(1, "abc");
    peer.text(1, "4b");
    peer.assert_outputs(&["message a", "closed: parse error (unknown packet type)", "close link 1"]);
    peer.assert_over();
}

#[test]
fn suite_22_item_84_a_close_packet_on_a_link_closes_cleanly() {
    let mut peer = Peer::websocket(quiet());
    peer.text(1, "1");
    peer.assert_outputs(&["closed: transport close", "close link 1"]);
    peer.assert_over();
}

#[test]
fn a_link_that_goes_down_ends_its_session() {
    for (cause, said) in [
        (LinkDownCause::Closed, "closed: transport close"),
        (LinkDownCause::Failed, "closed: transport error (link failed)"),
    ] {
        let mut peer = Peer::websocket(quiet());
        peer.send("lost");
        peer.down(1, cause);
        peer.assert_outputs(&[said]);
        peer.assert_over();
    }
}

#[test]
fn packets_without_a_meaning_are_ignored() {
    let mut peer = Peer::websocket(quiet());
    for packet in ["0", "5", "6", "3", "3probe"] {
        peer.text(1, packet);
    }
    peer.assert_outputs(&[]);
    peer.text(1, "4still here");
    peer.assert_outputs(&["message still here"]);
}

#[test]
fn a_second_link_is_refused_and_the_first_continues() {
    let mut peer = Peer::websocket(quiet());
    assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()), "answered with 101, then closed");
    let second = peer.up(LinkKind::WebSocket);
    peer.text(second, "2probe");
    peer.assert_outputs(&["close link 2"]);
    peer.text(1, "4a");
    peer.assert_outputs(&["message a"]);
}

#[test]
fn units_of_several_frames_are_sent_without_other_frames_between() {
    use engineio_proto::Frame;
    let mut peer = Peer::websocket(quiet());
    let unit = [Frame::message("header".into()), Frame::message(bytes::Bytes::from_static(&[7]).into())];
    peer.session.send_frames(&unit).unwrap();
    peer.session.send_frames(&[]).unwrap();
    peer.send("next");
    peer.assert_outputs(&["link 1: 4header", "link 1: binary [7]", "link 1: 4next"]);
}

#[test]
fn polls_in_any_order_give_the_same_outputs() {
    let script = |peer: &mut Peer| {
        peer.text(1, "4a");
        peer.send("b");
        peer.text(1, "3");
        peer.text(1, "1");
    };
    let mut peer = Peer::websocket(quiet());
    script(&mut peer);
    let mut first: Vec<String> = peer.turn();
    let mut peer = Peer::websocket(quiet());
    script(&mut peer);
    let mut transmits = Vec::new();
    while let Some(transmit) = peer.session.poll_transmit() {
        transmits.push(transmit);
    }
    assert_eq!(transmits.len(), 2);
    let mut second = peer.turn();
    second.extend(["link 1: 4b".to_owned(), "close link 1".to_owned()]);
    first.sort();
    second.sort();
    assert_eq!(first, second);
}

#[test]
fn a_webtransport_session_is_decoded_from_chunks_of_any_size() {
    let stream =
        [&[0x06, b'4', b'h', b'e', b'l', b'l', b'o'][..], &[0x84, 1, 2, 3, 4], &[0x02, b'4', b'x'], &[0x01, b'1']]
            .concat();
    let expected = ["message hello", "binary [1, 2, 3, 4]", "message x", "closed: transport close", "close link 1"];
    for size in 1..=stream.len() {
        let mut peer = Peer::webtransport(quiet());
        for chunk in stream.chunks(size) {
            peer.bytes(1, chunk);
        }
        peer.assert_outputs(&expected);
        peer.assert_over();
    }
}

#[test]
fn item_90_large_binary_goes_both_ways_over_webtransport_and_either_side_closes() {
    type End = (fn(&mut Peer), &'static [&'static str]);

    let large = vec![7; 1_000_000];
    let mut stream = vec![0xff];
    stream.extend(1_000_000_u64.to_be_bytes());
    stream.extend(&large);
    let ends: [End; 4] = [
        (|peer| peer.close(), &["closed: forced close", "close link 1"]),
        (|peer| peer.discard(), &["closed: forced close", "close link 1"]),
        (|peer| peer.down(1, LinkDownCause::Closed), &["closed: transport close"]),
        (|peer| peer.down(1, LinkDownCause::Failed), &["closed: transport error (link failed)"]),
    ];
    for (end, said) in ends {
        let mut peer = Peer::webtransport(quiet());
        for chunk in stream.chunks(65_536) {
            peer.bytes(1, chunk);
        }
        peer.assert_outputs(&[&format!("binary {large:?}")]);
        peer.session.send(bytes::Bytes::from(large.clone()).into()).unwrap();
        peer.assert_outputs(&[&format!("link 1: binary {large:?}")]);
        end(&mut peer);
        peer.assert_outputs(said);
        peer.assert_over();
    }
}

#[test]
fn item_89_bytes_that_are_not_a_frame_close_a_webtransport_session() {
    for (bytes, error) in [
        (&[0x00][..], "frame of length 0"),
        (&[0x80], "frame of length 0"),
        (&[0xff, 0, 0, 0, 0, 1, 0, 0, 0], "frame larger than max_payload"),
        (&[0x01, b'x'], "unknown packet type"),
        (&[0x02, b'4', 0xff], "invalid UTF-8"),
    ] {
        let mut peer = Peer::webtransport(quiet());
        peer.bytes(1, bytes);
        peer.bytes(1, &[0x02, b'4', b'x']);
        peer.assert_outputs(&[&format!("closed: parse error ({error})"), "close link 1"]);
        peer.assert_over();
    }
}

#[test]
fn the_link_that_opens_a_session_is_admitted_and_no_request_of_polling() {
    let peer = Peer::accepted(quiet(), "EIO=4&transport=websocket", true);
    assert_eq!(peer.admits("GET", "EIO=4&transport=websocket", true), Ok(()));
    assert!(peer.admits("GET", "EIO=4&transport=polling", false).is_err());
}
