//! Polling bodies of revision 4, and their JSONP forms. Results are per packet.

use std::hint::black_box;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use engineio_proto::payload::{self, Packets, jsonp};
use engineio_proto::{Frame, PacketType, Text};
use engineioxide_core::{Packet as PeerPacket, ProtocolVersion, Str, payload as peer_payload};
use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::Full;

use crate::case::Cases;

const PACKET: &str = r#"42["message","hello"]"#;
const SEPARATOR: u8 = 0x1e;

pub fn add(cases: &mut Cases) {
    for (input, count) in [("payload x1", 1), ("payload x10", 10), ("payload x100", 100)] {
        payload(cases, input, count);
    }
    jsonp(cases, "payload x10", 10);
}

fn payload(cases: &mut Cases, input: &'static str, count: usize) {
    let body = Bytes::from(vec![PACKET; count].join("\x1e"));
    let (ours, peer, sliced, borrowed) = (body.clone(), body.clone(), body.clone(), body.clone());
    cases
        .row(input, "decode")
        .packets(count)
        .ours(move || Packets::new(ours.clone()).unwrap().for_each(|packet| drop(black_box(packet.unwrap()))))
        .peer("engineioxide-core", move || {
            let body = Full::new(peer.clone());
            let mut packets = pin!(peer_payload::decoder(body, None, ProtocolVersion::V4, 10_000_000));
            let mut found = 0;
            while let Some(Some(packet)) = packets.next().now_or_never() {
                black_box(packet.unwrap());
                found += 1;
            }
            assert_eq!(found, count);
        })
        .floor("UTF-8 check, memchr, Bytes slices", move || {
            str::from_utf8(&sliced).unwrap();
            split(&sliced, |start, end| drop(black_box((sliced[start], sliced.slice(start + 1..end)))));
        })
        .floor("memchr, borrowed", move || {
            split(&borrowed, |start, end| {
                black_box((borrowed[start], &borrowed[start + 1..end]));
            });
        });

    let frames = vec![Frame::text(PacketType::Message, Text::from_static(&PACKET[1..])); count];
    let mut ours = BytesMut::with_capacity(body.len() + 16);
    let message = Str::from(PACKET[1..].to_owned());
    let mut out = Vec::with_capacity(body.len() + 16);
    cases
        .row(input, "encode")
        .packets(count)
        .ours(move || {
            ours.clear();
            payload::encode(&frames, &mut ours);
            ours.len()
        })
        .peer("engineioxide-core", move || {
            let packets = stream::iter((0..count).map(|_| smallvec::smallvec![PeerPacket::Message(message.clone())]));
            let encoded = peer_payload::encoder(packets, ProtocolVersion::V4, false, 10_000_000);
            encoded.now_or_never().unwrap().data.len()
        })
        .floor("append", move || {
            out.clear();
            for index in 0..count {
                if index > 0 {
                    out.push(SEPARATOR);
                }
                out.push(b'4');
                out.extend_from_slice(black_box(&PACKET.as_bytes()[1..]));
            }
            out.len()
        });
}

fn split(body: &[u8], mut each: impl FnMut(usize, usize)) {
    let mut start = 0;
    for end in memchr::memchr_iter(SEPARATOR, body).chain([body.len()]) {
        each(start, end);
        start = end + 1;
    }
}

fn jsonp(cases: &mut Cases, input: &'static str, count: usize) {
    let body = vec![PACKET; count].join("\x1e");
    let form = Bytes::from(format!("d={}", body.replace('"', "%22").replace('\x1e', "%1E")));
    let callback = jsonp::Callback::from_query("0");
    let (ours, floor) = (body.clone(), body);
    let (mut out, mut buffer) = (BytesMut::with_capacity(4096), Vec::with_capacity(4096));
    cases
        .row(input, "JSONP script")
        .packets(count)
        .ours(move || {
            out.clear();
            callback.encode(ours.as_bytes(), &mut out);
            out.len()
        })
        .floor("serde_json, own buffer", move || {
            buffer.clear();
            serde_json::to_writer(&mut buffer, &floor).unwrap();
            buffer.len()
        });
    let (ours, floor) = (form.clone(), form.clone());
    let mut copy = vec![0; form.len()];
    cases.row(input, "JSONP form").packets(count).ours(move || jsonp::decode_form(&ours).unwrap().unwrap()).floor(
        "memcpy",
        move || {
            copy.copy_from_slice(black_box(&floor));
            black_box(&mut copy);
        },
    );
}
