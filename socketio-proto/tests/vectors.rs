//! The golden vectors of Socket.IO: compares our parsers with the results of the reference parsers. Every difference must be listed.
//!
//! The files, their format and the list are in `conformance/vectors`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic")]

#[path = "../../conformance/vectors/rust/socket.rs"]
mod socket;
#[path = "../../conformance/vectors/rust/tree.rs"]
mod tree;
#[path = "../../conformance/vectors/rust/vectors.rs"]
mod vectors;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use engineio_proto::Message;
use socketio_proto::parser::{JsonV4, MsgPack};
use socketio_proto::{Decoder as _, Encoder, Json, Limits, Packet, PacketType, Parser, Payload};
use vectors::Content;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/vectors")
}

fn check(name: &str) {
    let codec = socket::CODECS.into_iter().find(|codec| codec.name == name).unwrap();
    vectors::check(&codec, &directory());
}

#[test]
fn the_default_parser() {
    check("socketio5");
}

#[test]
fn the_parser_of_protocol_4() {
    check("socketio4");
}

#[test]
fn the_parser_of_messagepack() {
    check("socketio5-msgpack");
}

fn decode(parser: &impl Parser, messages: impl IntoIterator<Item = Message>) -> Vec<Packet> {
    let mut decoder = parser.decoder(&Limits::default());
    messages.into_iter().map_while(|message| decoder.decode(message).ok()).flatten().collect()
}

/// Returns the payloads of the events and acks in these messages, each with the payload that results from relaying it.
fn relayed(parser: &impl Parser, messages: Vec<Message>) -> Vec<(Payload, Payload)> {
    let relay = |packet: Packet| {
        if !matches!(packet.packet_type, PacketType::Event | PacketType::Ack) {
            return None;
        }
        let mut outgoing = packet.to_outgoing();
        (outgoing.namespace, outgoing.id) = ("/other", Some(1));
        // Protocol 4 refuses to send some event names that it accepts when received.
        let encoded = parser.encode(&outgoing, &mut Encoder::new()).ok()?;
        let message = |frame: &engineio_proto::Frame| {
            let data: Bytes = frame.data().clone();
            if frame.is_binary() { Message::Binary(data) } else { Message::Text(data.try_into().unwrap()) }
        };
        let mut packets = decode(parser, encoded.frames().iter().map(message));
        assert_eq!(packets.len(), 1, "{packet:?} became {packets:?}");
        Some((packet.payload?, packets.pop()?.payload.unwrap()))
    };
    decode(parser, messages).into_iter().filter_map(relay).collect()
}

/// Asserts that relaying does not change the bytes of arguments.
fn relays_are_untouched(parser: &impl Parser, codec: &str, at_least: usize) {
    let mut relays = 0;
    for case in vectors::cases(codec, &directory()) {
        if case.operation == vectors::Operation::Encode {
            continue;
        }
        let messages = case.input.iter().map(|input| match vectors::content(input) {
            Content::Text(text) => Message::Text(text.into()),
            Content::Bytes(bytes) => Message::Binary(bytes.into()),
        });
        for (before, after) in relayed(parser, messages.collect()) {
            assert_eq!(before.len(), after.len(), "{}", case.id);
            assert_eq!(before.raw_args(), after.raw_args(), "{}", case.id);
            assert_eq!(before.attachments(), after.attachments(), "{}", case.id);
            for index in 0..before.len() {
                assert_eq!(before.raw_msgpack(index), after.raw_msgpack(index), "{}", case.id);
            }
            relays += 1;
        }
    }
    assert!(relays >= at_least, "{codec}: {relays} relays");
}

#[test]
fn payloads_of_the_vectors_are_relayed_unchanged() {
    relays_are_untouched(&Json, "socketio5", 200);
    relays_are_untouched(&JsonV4, "socketio4", 200);
    relays_are_untouched(&MsgPack, "socketio5-msgpack", 80);
}

#[test]
fn data_that_javascript_would_lose_is_relayed_unchanged() {
    let args = r#"9007199254740993, -123456789012345678901234567890 ,1e400,"\ud800\udc00\udc00" , true,null, {"a" : [ ],"a":1.0}"#;
    let [(before, after)] = &relayed(&Json, vec![Message::from(&*format!(r#"2["a",{args}]"#))])[..] else {
        panic!("one event")
    };
    assert_eq!((before.raw_args(), after.raw_args()), (args, args));
    assert_eq!((after.raw(0), after.get(0)), (Some("9007199254740993"), Ok(9_007_199_254_740_993_u64)));
}
