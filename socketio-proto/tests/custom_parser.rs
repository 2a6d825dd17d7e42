//! The example parser of the documentation of [`Parser`]: what it encodes and refuses, a connection that uses it, and packets that its
//! JavaScript half (`custom_parser.mjs`) wrote.
#![allow(clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may panic")]

#[path = "custom_parser/compact.rs"]
pub mod compact;

use std::sync::Arc;

use bytes::Bytes;
use compact::Compact;
use engineio_proto::server::{Input, Route, Server, Transmit};
use engineio_proto::{Instant, LinkId, LinkKind, Message, RequestHead, Sid, Text};
use proptest::prelude::*;
use serde_json::json;
use socketio_proto::server::Connection;
use socketio_proto::{
    Args, Config, DecodeError, Decoder, EncodeError, Encoder, Event, Limits, Outgoing, Packet, PacketType, Parser,
    Payload, SocketId,
};

fn encode<A: Args + ?Sized>(packet: &Outgoing<'_, A>) -> Result<Bytes, EncodeError> {
    let encoded = Compact.encode(packet, &mut Encoder::new())?;
    let [frame] = encoded.frames() else { panic!("expected one message") };
    Ok(frame.data().clone())
}

fn decode(bytes: impl Into<Bytes>) -> Result<Packet, DecodeError> {
    let decoded = Compact.decoder(&Limits::default()).decode(Message::Binary(bytes.into()));
    decoded.map(|packet| packet.expect("one message is one packet"))
}

fn plain(packet_type: PacketType, namespace: &str) -> Outgoing<'_, ()> {
    Outgoing::new(packet_type, namespace, None)
}

/// Written by `custom_parser.mjs`: `node -e` with `new Encoder().encode({type: 2, nsp: "/a", id: 7, data: ["e", Buffer.from([1, 2]), "é"]})`.
const BY_JAVASCRIPT: &[u8] =
    b"\x02\x02/a\0\0\0\x07\0\0\0\x28[\"e\",{\"_placeholder\":true,\"num\":0},\"\xc3\xa9\"]\0\0\0\x02\x01\x02";

#[test]
fn both_halves_write_the_same() {
    let args = (Bytes::from_static(&[1, 2]), "é");
    assert_eq!(encode(&Outgoing::event("/a", Some(7), "e", &args)).as_deref(), Ok(BY_JAVASCRIPT));
    assert_eq!(encode(&plain(PacketType::Connect, "/")).as_deref(), Ok(&b"\0\x01/\xff\xff\xff\xff\0\0\0\0"[..]));
}

#[test]
fn packets_of_the_javascript_half_are_read() {
    let packet = decode(BY_JAVASCRIPT).expect("valid");
    assert_eq!((packet.packet_type, &packet.namespace[..], packet.id), (PacketType::Event, "/a", Some(7)));
    let payload = packet.payload.expect("a payload");
    assert_eq!((payload.name(), payload.read()), (Some("e"), Ok((Bytes::from_static(&[1, 2]), "é"))));
}

#[test]
fn every_type_of_packet_comes_back() {
    for packet_type in [PacketType::Connect, PacketType::Disconnect] {
        let packet = decode(encode(&plain(packet_type, "/a")).expect("valid")).expect("valid");
        assert_eq!((packet.packet_type, packet.payload), (packet_type, None));
    }
    for packet_type in [PacketType::Connect, PacketType::ConnectError] {
        let args = Some(&json!({"message": "no"}));
        let outgoing = Outgoing::new(packet_type, "/", args);
        let payload = decode(encode(&outgoing).expect("valid")).expect("valid").payload.expect("a payload");
        assert_eq!((payload.name(), payload.get::<serde_json::Value>(0)), (None, Ok(json!({"message": "no"}))));
    }
    let ack = decode(encode(&Outgoing::ack("/", 3, &())).expect("valid")).expect("valid");
    assert_eq!((ack.id, ack.payload.map(|payload| payload.len())), (Some(3), Some(0)));
}

#[test]
fn a_relayed_payload_is_unchanged_whatever_its_format() {
    let text = r#"["e", 12345678901234567890,"\ud800" , {"_placeholder":true,"num":0}]"#;
    let payload =
        Payload::from_json(PacketType::Event, Text::from(text), vec![Bytes::from_static(b"x")], &Limits::default())
            .expect("valid");
    let relayed = decode(encode(&Outgoing::event("/", None, "e", &payload)).expect("valid")).expect("valid");
    assert_eq!(relayed.payload, Some(payload));
    let packed = Payload::from_msgpack(PacketType::Ack, Bytes::from_static(b"\x92\x01\xc4\x01x"), &Limits::default())
        .expect("valid");
    let relayed =
        decode(encode(&Outgoing::ack("/", 0, &packed)).expect("valid")).expect("valid").payload.expect("a payload");
    assert_eq!(relayed.read(), Ok((1, Bytes::from_static(b"x"))));
}

#[test]
fn input_that_is_not_a_packet_is_refused() {
    for (bytes, expected) in [
        (&b""[..], DecodeError::Malformed),
        (b"\x05\x01/\xff\xff\xff\xff\0\0\0\0", DecodeError::InvalidType),
        (b"\0\x01a\xff\xff\xff\xff\0\0\0\0", DecodeError::InvalidNamespace),
        (b"\0\0\xff\xff\xff\xff\0\0\0\0", DecodeError::InvalidNamespace),
        (b"\0\x01/\xff\xff\xff\xff\xff\xff\xff\xff", DecodeError::Malformed),
        (b"\0\x01/\xff\xff\xff\xff\0\0\0\0\0", DecodeError::Malformed),
        (b"\x01\x01/\xff\xff\xff\xff\0\0\0\x02{}", DecodeError::InvalidPayload),
        (b"\x02\x01/\xff\xff\xff\xff\0\0\0\0", DecodeError::InvalidPayload),
        (b"\x02\x01/\xff\xff\xff\xff\0\0\0\x0b[\"connect\"]", DecodeError::InvalidPayload),
        (
            b"\x03\x01/\xff\xff\xff\xff\0\0\0\x1f[{\"_placeholder\":true,\"num\":1}]\0\0\0\0",
            DecodeError::IllegalPlaceholder,
        ),
    ] {
        assert_eq!(decode(bytes), Err(expected), "{bytes:?}");
    }
    let many = [&b"\x03\x01/\xff\xff\xff\xff\0\0\0\x02[]"[..], &[0; 44]].concat();
    assert_eq!(decode(many), Err(DecodeError::TooManyAttachments));
    let text = Compact.decoder(&Limits::default()).decode(Message::from("2[]"));
    assert_eq!(text, Err(DecodeError::Malformed));
}

#[test]
fn packets_that_cannot_be_encoded_are_refused() {
    assert!(matches!(encode(&Outgoing::event("/", None, "connect", &())), Err(EncodeError::Reserved(_))));
    assert!(encode(&plain(PacketType::Connect, "a")).is_err());
    assert!(encode(&plain(PacketType::Connect, &format!("/{}", "a".repeat(255)))).is_err());
    assert!(encode(&Outgoing::ack("/", 1 << 32, &())).is_err());
    let eleven = [(); 11].map(|()| Bytes::new());
    assert_eq!(encode(&Outgoing::ack("/", 0, &eleven)), Err(EncodeError::TooManyAttachments));
    let single = Outgoing::new(PacketType::Connect, "/", Some("x"));
    assert!(encode(&single).is_err());
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(
        namespace in "/[a-z,é]{0,80}", id in proptest::option::of(0..u64::from(u32::MAX)), name in "[a-z]{14}", number: i64,
        data in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..10),
    ) {
        let args = (number, data.into_iter().map(Bytes::from).collect::<Vec<_>>());
        let packet = decode(encode(&Outgoing::event(&namespace, id, &name, &args)).expect("valid")).expect("valid");
        prop_assert_eq!((&packet.namespace[..], packet.id), (&namespace[..], id));
        let payload = packet.payload.expect("a payload");
        prop_assert_eq!((payload.name(), payload.read()), (Some(&name[..]), Ok(args)));
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode(bytes);
    }
}

#[test]
fn a_connection_uses_the_custom_parser() {
    let server = Server::new(engineio_proto::Config::default());
    let head = RequestHead { method: "GET", query: "EIO=4&transport=websocket", origin: None, websocket: true };
    let Route::Open(handshake) = server.route(&head) else { panic!("refused") };
    let now = Instant::ZERO;
    let session = handshake.accept(now, Sid::from_random([1; 15]));
    let mut connection = Connection::new(now, session, Compact, Arc::new(Config::default()));
    let mut encoder = Encoder::new();
    let sid = &SocketId::from_random([2; 15]);

    let link = LinkId(1);
    let packets = [
        encode(&plain(PacketType::Connect, "/a")),
        encode(&Outgoing::event("/a", Some(4), "ask", &Bytes::from_static(b"x"))),
    ];
    let messages = packets.map(|packet| Message::Binary(packet.expect("valid")));
    let facts = messages.into_iter().map(|message| Input::LinkMessage { link, message });
    let mut received = Vec::new();
    for input in [Input::LinkUp { link, kind: LinkKind::WebSocket }].into_iter().chain(facts) {
        connection.handle(now, input);
        while let Some(event) = connection.poll_event() {
            match event {
                Event::ConnectRequested(pending) => {
                    connection.accept(now, pending, sid).expect("still pending");
                }
                Event::Received { payload, ack, .. } => {
                    let token = ack.expect("the packet has an id");
                    connection.ack(&mut encoder, token, &payload).expect("room");
                }
                other => panic!("{other:?}"),
            }
        }
        while let Some(transmit) = connection.poll_transmit() {
            match transmit {
                Transmit::Link { frame, .. } if frame.is_binary() => {
                    received.push(decode(frame.data().clone()).expect("valid"))
                }
                _ => {}
            }
        }
    }
    let [connect, ack] = &received[..] else { panic!("{received:?}") };
    let payload = connect.payload.as_ref().expect("a payload");
    assert_eq!((connect.packet_type, &connect.namespace[..]), (PacketType::Connect, "/a"));
    assert_eq!(payload.get::<serde_json::Value>(0), Ok(json!({"sid": sid.to_string()})));
    assert_eq!((ack.packet_type, ack.id), (PacketType::Ack, Some(4)));
    assert_eq!(ack.payload.as_ref().map(Payload::read), Some(Ok(Bytes::from_static(b"x"))));
}
