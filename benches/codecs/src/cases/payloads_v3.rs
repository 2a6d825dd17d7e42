//! Polling bodies of revision 3, as text and as bytes. Results are per packet.

use std::hint::black_box;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use engineio_proto::payload::v3;
use engineio_proto::{ContentType, Frame, Message, PacketType, Text};
use engineioxide_core::{Packet as PeerPacket, ProtocolVersion, Str, payload as peer_payload};
use futures_util::{FutureExt, StreamExt, stream};
use http::HeaderValue;
use http_body_util::Full;

use crate::case::Cases;

const MESSAGE: &str = r#"2["message","hello"]"#;
const COUNT: usize = 10;

pub fn add(cases: &mut Cases) {
    let text = vec![Frame::text(PacketType::Message, Text::from_static(MESSAGE)); COUNT];
    let peer_text = PeerPacket::Message(Str::from(MESSAGE.to_owned()));
    payload(cases, "v3 payload x10, text", text, peer_text, ContentType::Text);
    let bytes = Bytes::from(vec![7; 64]);
    let binary = vec![Frame::message(Message::Binary(bytes.clone())); COUNT];
    payload(cases, "v3 payload x10, 64B binary", binary, PeerPacket::BinaryV3(bytes), ContentType::OctetStream);
}

fn payload(cases: &mut Cases, input: &'static str, frames: Vec<Frame>, packet: PeerPacket, kind: ContentType) {
    let binary = kind == ContentType::OctetStream;
    let mut body = BytesMut::new();
    assert_eq!(v3::encode(&frames, binary, &mut body), kind);
    let mut out = BytesMut::with_capacity(body.len());
    let body = body.freeze();
    let (ours, peer, floor) = (body.clone(), body.clone(), body.clone());
    let header = binary.then(|| HeaderValue::from_static("application/octet-stream"));
    cases
        .row(input, "decode")
        .packets(COUNT)
        .ours(move || {
            v3::Packets::new(ours.clone(), kind).unwrap().for_each(|packet| drop(black_box(packet.unwrap())));
        })
        .peer("engineioxide-core", move || {
            let body = Full::new(peer.clone());
            let mut packets = pin!(peer_payload::decoder(body, header.as_ref(), ProtocolVersion::V3, 10_000_000));
            let mut found = 0;
            while let Some(Some(packet)) = packets.next().now_or_never() {
                black_box(packet.unwrap());
                found += 1;
            }
            assert_eq!(found, COUNT);
        })
        .floor("Bytes slices at known places", move || {
            let length = floor.len() / COUNT;
            for index in 0..COUNT {
                black_box(floor.slice(index * length + 4..(index + 1) * length));
            }
        });
    cases
        .row(input, "encode")
        .packets(COUNT)
        .ours(move || {
            out.clear();
            v3::encode(&frames, binary, &mut out);
            out.len()
        })
        .peer("engineioxide-core", move || {
            let packets = stream::iter((0..COUNT).map(|_| smallvec::smallvec![packet.clone()]));
            let encoded = peer_payload::encoder(packets, ProtocolVersion::V3, binary, 10_000_000);
            encoded.now_or_never().unwrap().data.len()
        });
}
