//! Bodies of both revisions: decoded packets are encoded and decoded unchanged, and concatenated bodies contain the packets of both.

use arbitrary::{Result, Unstructured};
use bytes::{Bytes, BytesMut};
use engineio_proto::{ContentType, Frame, Message, Packet, ParseError, payload};

use crate::input::rest;

const SEPARATOR: u8 = 0x1e;

/// Input: a byte that selects the kind of body, then the body.
pub fn engine_payload(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let kind = input.int_in_range(0..=2)?;
    let body = Bytes::copy_from_slice(rest(&mut input)?);
    let length = body.len();
    let (packets, error) = match kind {
        0 => fourth(body.clone()),
        1 => third(body.clone(), ContentType::Text),
        _ => third(body.clone(), ContentType::OctetStream),
    };
    let sum: usize = packets.iter().map(|packet| packet.data.len()).sum();
    assert!(sum <= length && packets.len() <= length, "{} packets, {sum} bytes from {length}", packets.len());
    write_again(&packets);
    if kind == 0 && error != Some(ParseError::Utf8) {
        // Each element is decoded independently.
        let mut alone = body.split(|byte| *byte == SEPARATOR).map(|element| fourth(Bytes::copy_from_slice(element)));
        for packet in &packets {
            assert_eq!(alone.next(), Some((vec![packet.clone()], None)));
        }
        assert_eq!(alone.next().and_then(|(_, error)| error), error);
    } else if error.is_none() && !body.is_empty() && kind != 0 {
        // Payloads follow each other without a separator.
        let kind = if kind == 1 { ContentType::Text } else { ContentType::OctetStream };
        let twice = third([&body[..], &body[..]].concat().into(), kind);
        assert_eq!(twice, ([&packets[..], &packets[..]].concat(), None));
    }
    Ok(())
}

fn fourth(body: Bytes) -> (Vec<Packet>, Option<ParseError>) {
    match payload::Packets::new(body) {
        Ok(packets) => collect(packets, payload::Packets::remaining),
        Err(error) => (Vec::new(), Some(error)),
    }
}

fn third(body: Bytes, content_type: ContentType) -> (Vec<Packet>, Option<ParseError>) {
    match payload::v3::Packets::new(body, content_type) {
        Ok(packets) => collect(packets, payload::v3::Packets::remaining),
        Err(error) => (Vec::new(), Some(error)),
    }
}

fn collect<I>(mut packets: I, remaining: impl Fn(&I) -> usize) -> (Vec<Packet>, Option<ParseError>)
where
    I: Iterator<Item = Result<Packet, ParseError>>,
{
    let mut read = Vec::new();
    let mut left = remaining(&packets);
    loop {
        match packets.next() {
            Some(Ok(packet)) => read.push(packet),
            end => {
                assert!(packets.next().is_none(), "a packet after the end");
                return (read, end.and_then(Result::err));
            }
        }
        let less = remaining(&packets);
        assert!(less < left, "no input was consumed");
        left = less;
    }
}

/// Encodes packets in every form of a body, and decodes them again (I7).
pub(super) fn write_again(packets: &[Packet]) {
    let frames: Vec<Frame> = packets.iter().cloned().map(Frame::from).collect();
    let separable = packets.iter().all(|packet| match &packet.data {
        Message::Text(text) => !text.as_bytes().contains(&SEPARATOR),
        Message::Binary(_) => true,
    });
    if separable && !packets.is_empty() {
        let mut body = BytesMut::new();
        payload::encode(&frames, &mut body);
        assert_eq!(fourth(body.freeze()), (packets.to_vec(), None));
    }
    for takes_binary in [false, true] {
        let mut body = BytesMut::new();
        let content_type = payload::v3::encode(&frames, takes_binary, &mut body);
        let binary = takes_binary && frames.iter().any(Frame::is_binary);
        assert_eq!(content_type == ContentType::OctetStream, binary);
        assert_eq!(third(body.freeze(), content_type), (packets.to_vec(), None));
    }
}
