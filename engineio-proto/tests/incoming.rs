//! The first packet of a WebTransport session: it opens a new session, or upgrades one (item 90).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

use core::time::Duration;

use bytes::Bytes;
use engineio_proto::server::{Incoming, IncomingOutcome, Input, RequestKind, Server, Transmit};
use engineio_proto::{Config, Instant, LinkId, LinkKind, Message, Sid, Transports, framing};

fn server() -> Server {
    let mut config = Config::default();
    config.transports = Transports { webtransport: true, ..Transports::default() };
    config.upgrade_timeout = Duration::from_secs(10);
    Server::new(config)
}

fn incoming() -> Incoming {
    server().incoming(Instant::from_millis(500))
}

/// A text frame.
fn frame(packet: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(packet.len()).unwrap()];
    bytes.extend_from_slice(packet.as_bytes());
    bytes
}

#[derive(PartialEq, Debug)]
enum Summary {
    Open,
    Attach(String),
    Refuse,
}

fn summary(outcome: Option<IncomingOutcome>) -> Option<Summary> {
    Some(match outcome? {
        IncomingOutcome::Open(handshake) => {
            assert_eq!(handshake.link(), Some(LinkKind::WebTransport));
            Summary::Open
        }
        IncomingOutcome::Attach { sid, session_request } => {
            assert_eq!(session_request.kind(), RequestKind::Link(LinkKind::WebTransport));
            Summary::Attach(sid.to_string())
        }
        IncomingOutcome::Refuse => Summary::Refuse,
        other => panic!("{other:?}"),
    })
}

#[test]
fn an_open_packet_without_data_is_a_new_session() {
    let mut incoming = incoming();
    assert_eq!(summary(incoming.poll()), None);
    incoming.handle(Bytes::from_static(b"\x01"));
    assert_eq!(summary(incoming.poll()), None);
    incoming.handle(Bytes::from_static(b"0"));
    assert_eq!(incoming.poll_timeout(), None);
    assert_eq!(summary(incoming.poll()), Some(Summary::Open));
    assert_eq!(summary(incoming.poll()), None, "once");
    assert!(incoming.into_rest().is_empty());
}

#[test]
fn an_open_packet_with_an_id_is_an_upgrade_and_the_bytes_after_it_are_kept() {
    let mut stream = frame(r#"0{"sid":"lv_VI97HAXpY6yYWAAAC"}"#);
    stream.extend(frame("2probe"));
    for cut in 0..=stream.len() {
        let (head, tail) = stream.split_at(cut);
        let mut incoming = incoming();
        incoming.handle(Bytes::copy_from_slice(head));
        incoming.handle(Bytes::copy_from_slice(tail));
        assert_eq!(summary(incoming.poll()), Some(Summary::Attach("lv_VI97HAXpY6yYWAAAC".into())));
        assert_eq!(incoming.into_rest(), frame("2probe"), "cut at {cut}");
    }
}

#[test]
fn item_90_any_other_first_packet_is_refused() {
    for packet in
        ["4hello", "2probe", "9", "0{", "0null", "0{}", r#"0{"sid":1}"#, r#"0{"sid":""}"#, r#"0{"sid":"a b"}"#, "0x"]
    {
        let mut incoming = incoming();
        incoming.handle(frame(packet).into());
        assert_eq!(summary(incoming.poll()), Some(Summary::Refuse), "{packet}");
    }
    for stream in [&b"\x00"[..], b"\x81\x00", b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff", b"\x020\xff"] {
        let mut incoming = incoming();
        incoming.handle(Bytes::copy_from_slice(stream));
        incoming.handle(frame("0").into());
        assert_eq!(summary(incoming.poll()), Some(Summary::Refuse), "{stream:?}");
        assert!(incoming.into_rest().is_empty());
    }
}

#[test]
fn item_90_no_first_packet_in_time_is_refused() {
    let mut incoming = incoming();
    assert_eq!(incoming.poll_timeout(), Some(Instant::from_millis(10_500)));
    incoming.handle(Bytes::from_static(b"\x01"));
    incoming.handle_timeout(Instant::from_millis(10_499));
    assert_eq!(summary(incoming.poll()), None, "before the deadline");
    incoming.handle_timeout(Instant::from_millis(10_500));
    incoming.handle(Bytes::from_static(b"0"));
    assert_eq!(incoming.poll_timeout(), None);
    assert_eq!(summary(incoming.poll()), Some(Summary::Refuse));
}

#[test]
fn a_first_packet_that_arrived_in_time_counts_after_the_deadline() {
    let mut incoming = incoming();
    incoming.handle(frame("0").into());
    incoming.handle_timeout(Instant::from_millis(99_000));
    assert_eq!(summary(incoming.poll()), Some(Summary::Open));
}

#[test]
fn every_session_is_refused_if_webtransport_is_disabled() {
    let mut incoming = Server::new(Config::default()).incoming(Instant::ZERO);
    assert_eq!(incoming.poll_timeout(), None);
    incoming.handle(frame("0").into());
    assert_eq!(summary(incoming.poll()), Some(Summary::Refuse));
}

#[test]
fn item_87_an_empty_binary_message_is_never_a_frame_of_length_0() {
    let mut incoming = incoming();
    incoming.handle(frame("0").into());
    let Some(IncomingOutcome::Open(handshake)) = incoming.poll() else { panic!("not a handshake") };
    let mut session = handshake.accept(Instant::ZERO, Sid::from_random([1; 15]));
    session.handle(Instant::ZERO, Input::LinkUp { link: LinkId(1), kind: LinkKind::WebTransport });
    assert!(session.poll_transmit().is_some(), "the open packet");
    session.send(Message::Binary(Bytes::new())).unwrap();
    let Some(Transmit::Link { frame, .. }) = session.poll_transmit() else { panic!("no message") };
    assert_eq!([framing::header(&frame).as_bytes(), frame.head(), frame.data()].concat(), b"\x01b");
}
