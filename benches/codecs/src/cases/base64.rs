//! Binary messages as text: a packet in a polling body, or on a link of a client that does not accept binary.

use bytes::{Bytes, BytesMut};
use engineio_proto::payload::{self, Packets};
use engineio_proto::{Frame, Message, Packet, Text};
use engineioxide_core::{Packet as PeerPacket, ProtocolVersion, Str};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::case::Cases;

pub fn add(cases: &mut Cases) {
    for (input, size) in [("base64 1KiB", 1024), ("base64 64KiB", 65536)] {
        base64(cases, input, size);
    }
}

fn base64(cases: &mut Cases, input: &'static str, size: usize) {
    let raw: Vec<u8> = (0..size).map(|index| (index * 31 + 7) as u8).collect();
    let encoded = STANDARD.encode(&raw);
    let text = Text::from(format!("b{encoded}"));
    let body = text.as_bytes().clone();
    let peer = Str::from(text.to_string());
    let other_peer = body.clone();
    let (floor, simd) = (encoded.clone(), encoded);
    cases
        .row(input, "decode")
        .ours(move || Packet::decode(Message::Text(text.clone())).unwrap())
        .peer("engineioxide-core", move || PeerPacket::parse(ProtocolVersion::V4, peer.clone()).unwrap())
        .peer("rust_engineio", move || rust_engineio::Packet::try_from(other_peer.clone()).unwrap())
        .floor("base64-simd", move || base64_simd::STANDARD.decode_to_vec(simd.as_bytes()).unwrap())
        .floor("base64", move || STANDARD.decode(&floor).unwrap());
    cases
        .row(input, "decode a body")
        .ours(move || Packets::new(body.clone()).unwrap().for_each(|packet| drop(packet.unwrap())));

    let bytes = Bytes::from(raw.clone());
    let frame = Frame::message(Message::Binary(bytes.clone()));
    let (floor, simd, capacity) = (raw.clone(), raw, size.div_ceil(3) * 4 + 1);
    let ours = frame.clone();
    cases
        .row(input, "encode")
        .ours(move || ours.clone().into_base64())
        .peer("engineioxide-core", move || String::from(PeerPacket::Binary(bytes.clone())))
        .floor("base64-simd", move || {
            let mut out = Vec::with_capacity(capacity);
            out.push(b'b');
            base64_simd::STANDARD.encode_append(&simd, &mut out);
            out
        })
        .floor("base64", move || STANDARD.encode(&floor));
    let mut out = BytesMut::with_capacity(capacity);
    cases.row(input, "encode into a body").ours(move || {
        out.clear();
        payload::encode([&frame], &mut out);
        out.len()
    });
}
