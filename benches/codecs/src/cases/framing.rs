//! WebTransport framing: ten packets in one chunk, and the header of one. No other project has a public implementation.

use std::hint::black_box;

use bytes::Bytes;
use engineio_proto::{Frame, PacketType, Text, framing};

use crate::case::Cases;

const MESSAGE: &str = r#"2["message","hello"]"#;
const COUNT: usize = 10;

pub fn add(cases: &mut Cases) {
    let frame = Frame::text(PacketType::Message, Text::from_static(MESSAGE));
    let one = [framing::header(&frame).as_bytes(), frame.head(), frame.data()].concat();
    let chunk = Bytes::from(one.repeat(COUNT));
    let (ours, floor) = (chunk.clone(), chunk);
    cases
        .row("WebTransport x10", "decode")
        .packets(COUNT)
        .ours(move || {
            let mut decoder = framing::Decoder::new(1_000_000);
            decoder.push(ours.clone());
            while let Some(packet) = decoder.next().unwrap() {
                black_box(packet);
            }
        })
        .floor("UTF-8 check, Bytes slices", move || {
            let mut at = 0;
            while let Some(&length) = floor.get(at) {
                let packet = floor.slice(at + 2..at + 1 + usize::from(length));
                black_box(str::from_utf8(&packet).unwrap());
                at += 1 + usize::from(length);
            }
        });
    let mut out = Vec::with_capacity(one.len());
    cases.row("WebTransport x1", "encode").ours(move || {
        out.clear();
        out.extend_from_slice(framing::header(&frame).as_bytes());
        out.extend_from_slice(frame.head());
        out.extend_from_slice(frame.data());
        out.len()
    });
}
