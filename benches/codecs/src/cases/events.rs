//! JSON events: a small one, one with a namespace and an ack id, and some with a larger argument.

use std::hint::black_box;

use bytes::Bytes;
use engineio_proto::{Message, Packet, Text};
use engineioxide_core::{Packet as PeerPacket, ProtocolVersion, Str};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socketio_proto::{Decoder, Encoder, Json, Limits, Outgoing, Parser, Payload};
use socketioxide_core::Value;
use socketioxide_core::packet::{Packet as SocketioxidePacket, PacketData};
use socketioxide_core::parser::{Parse, ParseConfig, ParserState};
use socketioxide_parser_common::CommonParser;

use crate::case::Cases;
use crate::inputs::{BorrowedObject, Object, object};

pub fn add(cases: &mut Cases) {
    engine_packet(cases);
    event(cases, "small event", "/", None, &"hello".to_owned());
    event(cases, "event ns+ack", "/chat", Some(12), &"hello".to_owned());
    for (input, size) in [("json 1KiB", 1024), ("json 16KiB", 16384)] {
        let argument = object(size);
        event(cases, input, "/", None, &argument);
        borrowed(cases, input, &argument);
    }
}

/// Decodes only the Engine.IO packet.
fn engine_packet(cases: &mut Cases) {
    let wire = r#"42["message","hello"]"#;
    let text = Text::from_static(wire);
    let shared = Bytes::from(wire);
    let peer_text = Str::from(wire.to_owned());
    let checked = Bytes::from(wire);
    cases
        .row("small event", "Engine.IO packet alone")
        .ours(move || Packet::decode(Message::Text(text.clone())).unwrap())
        .peer("engineioxide-core", move || PeerPacket::parse(ProtocolVersion::V4, peer_text.clone()).unwrap())
        .peer("rust_engineio", move || rust_engineio::Packet::try_from(shared.clone()).unwrap())
        .floor("UTF-8 check", move || str::from_utf8(black_box(&checked)).unwrap().len());
}

/// Returns the payload of a valid event.
fn payload(decoder: &mut impl Decoder, message: Message) -> Payload {
    decoder.decode(message).unwrap().unwrap().payload.unwrap()
}

fn engine_message(text: &Text) -> Message {
    Packet::decode(Message::Text(text.clone())).unwrap().data
}

fn peer_decode(text: &Str) -> SocketioxidePacket {
    CommonParser.decode_str(&ParseConfig::default(), &ParserState::default(), text.clone()).unwrap()
}

fn peer_engine_message(text: &Str) -> Str {
    match PeerPacket::parse(ProtocolVersion::V4, text.clone()).unwrap() {
        PeerPacket::Message(message) => message,
        _ => unreachable!(),
    }
}

fn peer_data(packet: &mut SocketioxidePacket) -> &mut Value {
    match &mut packet.inner {
        PacketData::Event(value, _) => value,
        _ => unreachable!(),
    }
}

fn peer_encode<T: Serialize>(namespace: &'static str, id: Option<u64>, argument: &T) -> String {
    let value = CommonParser.encode_value(argument, Some("message")).unwrap();
    let packet = match id {
        Some(id) => SocketioxidePacket::ack(namespace, value, id as i64),
        None => SocketioxidePacket::event(namespace, value),
    };
    let Value::Str(text, _) = CommonParser.encode(packet) else { unreachable!() };
    String::from(PeerPacket::Message(text))
}

/// The minimal work to read a header: type, namespace and id by hand, then the text of the payload.
fn floor_header(packet: &str) -> (u8, &str, Option<u64>, &str) {
    let bytes = packet.as_bytes();
    let mut at = 1;
    let mut namespace = "/";
    if bytes.get(at) == Some(&b'/') {
        let end = memchr::memchr(b',', &bytes[at..]).map_or(bytes.len(), |index| at + index);
        namespace = &packet[at..end];
        at = end + 1;
    }
    let mut id = None;
    while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
        id = Some(id.unwrap_or(0) * 10 + u64::from(digit - b'0'));
        at += 1;
    }
    (bytes[0], namespace, id, &packet[at.min(packet.len())..])
}

/// Returns the event name, which must not contain escapes.
fn floor_name(json: &str) -> &str {
    let rest = json.strip_prefix("[\"").unwrap();
    &rest[..memchr::memchr2(b'"', b'\\', rest.as_bytes()).unwrap()]
}

/// Returns only the argument, which may outlive the text that the name borrows.
fn named<T>((name, argument): (&str, T)) -> T {
    black_box(name);
    argument
}

fn event<T>(cases: &mut Cases, input: &'static str, namespace: &'static str, id: Option<u64>, argument: &T)
where
    T: Serialize + for<'de> Deserialize<'de> + Clone + 'static,
{
    let json = serde_json::to_string(&("message", argument)).unwrap();
    let prefix = match id {
        Some(id) => format!("2{namespace},{id}"),
        None => "2".to_owned(),
    };
    let text = Text::from(format!("{prefix}{json}"));
    let full = Text::from(format!("4{text}"));
    let peer_text = Str::from(text.to_string());
    let peer_full = Str::from(full.to_string());
    let decoder = || Json.decoder(&Limits::default());

    let (ours, peer) = (text.clone(), peer_text.clone());
    let (floor, checked, raw) = (text.clone(), text.clone(), text.clone());
    let mut our_decoder = decoder();
    cases
        .row(input, "header and event name")
        .ours(move || {
            let payload = payload(&mut our_decoder, Message::Text(ours.clone()));
            black_box(payload.name());
            payload
        })
        .peer("socketioxide", move || {
            let mut packet = peer_decode(&peer);
            black_box(CommonParser.read_event(peer_data(&mut packet)).unwrap());
            packet
        })
        .floor("JSON checked by serde_json", move || {
            let (kind, _, id, json) = floor_header(&checked);
            serde_json::from_str::<IgnoredAny>(json).unwrap();
            (kind, id, floor_name(json).len())
        })
        .floor("JSON not checked", move || {
            let (kind, namespace, id, json) = floor_header(&floor);
            (kind, namespace.len(), id, floor_name(json).len())
        })
        .floor("Vec<&RawValue>", move || {
            let (_, _, id, json) = floor_header(&raw);
            (id, serde_json::from_str::<Vec<&RawValue>>(json).unwrap().len())
        });

    let (ours, peer) = (full.clone(), peer_full.clone());
    let (floor, sonic) = (json.clone(), json.clone());
    let mut our_decoder = decoder();
    cases
        .row(input, "decode to its type")
        .ours(move || {
            let payload = payload(&mut our_decoder, engine_message(&ours));
            black_box(payload.name());
            payload.get::<T>(0).unwrap()
        })
        .peer("socketioxide", move || {
            let mut packet = peer_decode(&peer_engine_message(&peer));
            let value = peer_data(&mut packet);
            black_box(CommonParser.read_event(value).unwrap());
            CommonParser.decode_value::<T>(value, true).unwrap()
        })
        .floor("serde_json", move || named(serde_json::from_str::<(&str, T)>(&floor).unwrap()))
        .floor("sonic-rs", move || named(sonic_rs::from_str::<(&str, T)>(&sonic).unwrap()));

    let (ours, peer) = (full.clone(), peer_full.clone());
    let (floor, sonic) = (json.clone(), json.clone());
    let mut our_decoder = decoder();
    cases
        .row(input, "decode to a general value")
        .ours(move || {
            let payload = payload(&mut our_decoder, engine_message(&ours));
            black_box(payload.name());
            payload.get::<serde_json::Value>(0).unwrap()
        })
        .peer("socketioxide (rmpv)", move || {
            let mut packet = peer_decode(&peer_engine_message(&peer));
            let value = peer_data(&mut packet);
            black_box(CommonParser.read_event(value).unwrap());
            CommonParser.decode_value::<rmpv::Value>(value, true).unwrap()
        })
        .floor("serde_json::Value", move || serde_json::from_str::<serde_json::Value>(&floor).unwrap())
        .floor("sonic_rs::Value", move || sonic_rs::from_str::<sonic_rs::Value>(&sonic).unwrap());

    let (mut encoder, ours) = (Encoder::new(), argument.clone());
    let (peer, floor, sonic) = (argument.clone(), argument.clone(), argument.clone());
    let mut floor_buffer = Vec::with_capacity(full.len() + 64);
    let mut sonic_buffer = floor_buffer.clone();
    let floor_prefix = prefix.clone();
    cases
        .row(input, "encode")
        .ours(move || match id {
            Some(id) => Json.encode(&Outgoing::ack(namespace, id, &("message", &ours)), &mut encoder).unwrap(),
            None => Json.encode(&Outgoing::event(namespace, None, "message", &(&ours,)), &mut encoder).unwrap(),
        })
        .peer("socketioxide", move || peer_encode(namespace, id, &peer))
        .floor("serde_json, own buffer", move || {
            floor_buffer.clear();
            floor_buffer.extend_from_slice(floor_prefix.as_bytes());
            serde_json::to_writer(&mut floor_buffer, &("message", &floor)).unwrap();
            floor_buffer.len()
        })
        .floor("sonic-rs, own buffer", move || {
            sonic_buffer.clear();
            sonic_buffer.extend_from_slice(prefix.as_bytes());
            sonic_rs::to_writer(&mut sonic_buffer, &("message", &sonic)).unwrap();
            sonic_buffer.len()
        });

    let (mut encoder, mut out, mut our_decoder) = (Encoder::new(), Vec::new(), decoder());
    let (ours, peer, floor) = (full.clone(), peer_full, full.clone());
    cases
        .row(input, "decode and send back")
        .ours(move || {
            let payload = payload(&mut our_decoder, engine_message(&ours));
            let outgoing = Outgoing::event(namespace, None, "message-back", &payload);
            let encoded = Json.encode(&outgoing, &mut encoder).unwrap();
            out.clear();
            for frame in encoded.frames() {
                out.extend_from_slice(frame.head());
                out.extend_from_slice(frame.data());
            }
            out.len()
        })
        .peer("socketioxide (rmpv)", move || {
            let mut packet = peer_decode(&peer_engine_message(&peer));
            let value = peer_data(&mut packet);
            black_box(CommonParser.read_event(value).unwrap());
            peer_encode(namespace, None, &CommonParser.decode_value::<rmpv::Value>(value, true).unwrap())
        })
        .floor("memcpy", {
            let mut copy = vec![0; full.len()];
            move || {
                copy.copy_from_slice(black_box(floor.as_bytes()));
                black_box(&mut copy);
            }
        });
}

fn borrowed(cases: &mut Cases, input: &'static str, argument: &Object) {
    let json = serde_json::to_string(&("message", argument)).unwrap();
    let full = Text::from(format!("42{json}"));
    let sonic = json.clone();
    let mut decoder = Json.decoder(&Limits::default());
    cases
        .row(input, "decode to a borrowing type")
        .ours(move || {
            let payload = payload(&mut decoder, engine_message(&full));
            payload.get::<BorrowedObject<'_>>(0).unwrap().items.len()
        })
        .floor("serde_json", move || serde_json::from_str::<(&str, BorrowedObject<'_>)>(&json).unwrap().1.items.len())
        .floor("sonic-rs", move || sonic_rs::from_str::<(&str, BorrowedObject<'_>)>(&sonic).unwrap().1.items.len());
}
