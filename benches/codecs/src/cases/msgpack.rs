//! MessagePack events. Floors process only the arguments, without the surrounding packet.

use std::hint::black_box;

use bytes::Bytes;
use engineio_proto::Message;
use serde::{Deserialize, Serialize};
use socketio_proto::{Decoder, Encoder, Limits, MsgPack, Outgoing, Parser};
use socketioxide_core::Value;
use socketioxide_core::packet::{Packet as SocketioxidePacket, PacketData};
use socketioxide_core::parser::{Parse, ParseConfig, ParserState};
use socketioxide_parser_msgpack::MsgPackParser;

use crate::case::Cases;
use crate::inputs::object;

pub fn add(cases: &mut Cases) {
    event(cases, "msgpack small event", &"hello".to_owned());
    for (input, size) in [("msgpack 1KiB", 1024), ("msgpack 16KiB", 16384)] {
        event(cases, input, &object(size));
    }
}

fn peer_decode(bytes: &Bytes) -> SocketioxidePacket {
    MsgPackParser.decode_bin(&ParseConfig::default(), &ParserState::default(), bytes.clone()).unwrap()
}

fn event<T>(cases: &mut Cases, input: &'static str, argument: &T)
where
    T: Serialize + for<'de> Deserialize<'de> + Clone + 'static,
{
    let value = MsgPackParser.encode_value(argument, Some("message")).unwrap();
    let Value::Bytes(wire) = MsgPackParser.encode(SocketioxidePacket::event("/", value)) else { unreachable!() };
    let data = rmp_serde::to_vec_named(&("message", argument)).unwrap();

    let (ours, mut decoder) = (wire.clone(), MsgPack.decoder(&Limits::default()));
    cases.row(input, "header and event name").ours(move || {
        let payload = decoder.decode(Message::Binary(ours.clone())).unwrap().unwrap().payload.unwrap();
        black_box(payload.name());
        payload
    });

    let (ours, peer, mut decoder) = (wire.clone(), wire.clone(), MsgPack.decoder(&Limits::default()));
    cases
        .row(input, "decode to its type")
        .ours(move || {
            let payload = decoder.decode(Message::Binary(ours.clone())).unwrap().unwrap().payload.unwrap();
            black_box(payload.name());
            payload.get::<T>(0).unwrap()
        })
        .peer("socketioxide", move || {
            let mut packet = peer_decode(&peer);
            let PacketData::Event(value, _) = &mut packet.inner else { unreachable!() };
            black_box(MsgPackParser.read_event(value).unwrap());
            MsgPackParser.decode_value::<T>(value, true).unwrap()
        })
        .floor("rmp-serde", move || rmp_serde::from_slice::<(String, T)>(&data).unwrap());

    let (mut encoder, ours, peer, floor) = (Encoder::new(), argument.clone(), argument.clone(), argument.clone());
    let mut buffer = Vec::with_capacity(wire.len());
    cases
        .row(input, "encode")
        .ours(move || MsgPack.encode(&Outgoing::event("/", None, "message", &(&ours,)), &mut encoder).unwrap())
        .peer("socketioxide", move || {
            let value = MsgPackParser.encode_value(&peer, Some("message")).unwrap();
            MsgPackParser.encode(SocketioxidePacket::event("/", value))
        })
        .floor("rmp-serde, own buffer", move || {
            buffer.clear();
            rmp_serde::encode::write_named(&mut buffer, &("message", &floor)).unwrap();
            buffer.len()
        });
}
