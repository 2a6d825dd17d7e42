//! Events with binary: a header in JSON, and attachments of 1 KiB.

use std::hint::black_box;

use bytes::Bytes;
use engineio_proto::{Message, Text};
use engineioxide_core::Str;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use socketio_proto::parser::JsonDecoder;
use socketio_proto::{Decoder, Encoder, Json, Limits, Outgoing, Parser, Payload};
use socketioxide_core::packet::{Packet as SocketioxidePacket, PacketData};
use socketioxide_core::parser::{Parse, ParseConfig, ParserState};
use socketioxide_parser_common::CommonParser;

use crate::case::Cases;

pub fn add(cases: &mut Cases) {
    for (input, count) in [("binary 1 x 1KiB", 1), ("binary 4 x 1KiB", 4)] {
        binary(cases, input, count);
    }
}

fn decode(decoder: &mut JsonDecoder, text: &Text, attachments: &[Bytes]) -> Payload {
    assert!(decoder.decode(Message::Text(text.clone())).unwrap().is_none());
    let mut packet = None;
    for attachment in attachments {
        packet = decoder.decode(Message::Binary(attachment.clone())).unwrap();
    }
    packet.unwrap().payload.unwrap()
}

fn peer_decode(text: &Str, attachments: &[Bytes]) -> SocketioxidePacket {
    let (config, state) = (ParseConfig::default(), ParserState::default());
    let _ = CommonParser.decode_str(&config, &state, text.clone());
    let mut packet = None;
    for attachment in attachments {
        packet = CommonParser.decode_bin(&config, &state, attachment.clone()).ok();
    }
    packet.unwrap()
}

fn peer_value(packet: &mut SocketioxidePacket, count: usize) -> rmpv::Value {
    let PacketData::BinaryEvent(value, _) = &mut packet.inner else { unreachable!() };
    black_box(CommonParser.read_event(value).unwrap());
    match count {
        1 => CommonParser.decode_value::<rmpv::Value>(value, true).unwrap(),
        _ => rmpv::Value::Array(CommonParser.decode_value::<[rmpv::Value; 4]>(value, true).unwrap().into()),
    }
}

fn binary(cases: &mut Cases, input: &'static str, count: usize) {
    let places: Vec<String> = (0..count).map(|index| format!(r#"{{"_placeholder":true,"num":{index}}}"#)).collect();
    let text = Text::from(format!(r#"5{count}-["message",{}]"#, places.join(",")));
    let peer_text = Str::from(text.to_string());
    let attachments: Vec<Bytes> = (0..count).map(|index| Bytes::from(vec![index as u8; 1024])).collect();
    let json = text[3..].to_owned();
    let decoder = || Json.decoder(&Limits::default());

    let (ours, our_attachments, mut our_decoder) = (text.clone(), attachments.clone(), decoder());
    let (peer, peer_attachments) = (peer_text.clone(), attachments.clone());
    let floor_attachments = attachments.clone();
    cases
        .row(input, "decode")
        .ours(move || decode(&mut our_decoder, &ours, &our_attachments))
        .peer("socketioxide", move || peer_decode(&peer, &peer_attachments))
        .floor("RawValue, Bytes cloned", move || {
            let values = serde_json::from_str::<SmallVec<[&RawValue; 8]>>(black_box(&json)).unwrap().len();
            let held: SmallVec<[Bytes; 4]> = floor_attachments.iter().cloned().collect();
            (values, held.len())
        });

    let (ours, our_attachments, mut our_decoder) = (text.clone(), attachments.clone(), decoder());
    let (peer, peer_attachments) = (peer_text, attachments.clone());
    cases
        .row(input, "decode to bytes")
        .ours(move || {
            let payload = decode(&mut our_decoder, &ours, &our_attachments);
            black_box(payload.name());
            // Our values share memory with the message. Those of the peer are copies.
            (0..payload.len()).map(|index| payload.bytes(index).unwrap()).collect::<SmallVec<[Bytes; 4]>>()
        })
        .peer("socketioxide (rmpv)", move || peer_value(&mut peer_decode(&peer, &peer_attachments), count));

    let mut encoder = Encoder::new();
    let mut our_decoder = decoder();
    let (ours, our_attachments) = (text, attachments.clone());
    cases.row(input, "decode and send back").ours(move || {
        let payload = decode(&mut our_decoder, &ours, &our_attachments);
        Json.encode(&Outgoing::event("/", None, "message-back", &payload), &mut encoder).unwrap()
    });

    let mut encoder = Encoder::new();
    let (ours, peer) = (attachments.clone(), attachments);
    cases
        .row(input, "encode")
        .ours(move || match &ours[..] {
            [one] => Json.encode(&Outgoing::event("/", None, "message", &(one,)), &mut encoder).unwrap(),
            [a, b, c, d] => Json.encode(&Outgoing::event("/", None, "message", &(a, b, c, d)), &mut encoder).unwrap(),
            _ => unreachable!(),
        })
        .peer("socketioxide", move || {
            let value = match &peer[..] {
                [one] => CommonParser.encode_value(one, Some("message")),
                [a, b, c, d] => {
                    // The peer encodes an array as a list of arguments if its elements have the same owned type.
                    CommonParser.encode_value(&[a.clone(), b.clone(), c.clone(), d.clone()], Some("message"))
                }
                _ => unreachable!(),
            };
            CommonParser.encode(SocketioxidePacket::event("/", value.unwrap()))
        });
}
