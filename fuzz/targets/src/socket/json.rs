//! The default parser, protocols 5 and 4: arbitrary messages, and the packets decoded from them.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use engineio_proto::{Message, Text};
use socketio_proto::{DecodeError, Decoder, EncodeError, Json, JsonV4, Limits, MsgPack, PacketType, Parser};

use super::packet::{check, decode, encode, read};
use super::value::Value;
use crate::input::rest;

/// Input: protocol and limits, then messages separated by U+001E. Those that start with U+0001 are binary.
pub fn socket_json(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let v4 = input.arbitrary::<bool>()?;
    let mut limits = Limits::default();
    if input.arbitrary::<bool>()? {
        limits.max_attachments = input.arbitrary::<u8>()?;
        limits.max_attachment_bytes = usize::from(input.arbitrary::<u8>()?);
        limits.max_depth = input.arbitrary::<u16>()?;
    }
    let messages = rest(&mut input)?.split(|byte| *byte == 0x1e).map(|bytes| match bytes {
        [1, bytes @ ..] => Message::Binary(Bytes::copy_from_slice(bytes)),
        text => Message::Text(Text::from(&*String::from_utf8_lossy(text))),
    });
    if v4 {
        play(&JsonV4, &limits, messages)
    } else {
        play(&Json, &limits, messages)
    }
    Ok(())
}

fn play<P: Parser>(parser: &P, limits: &Limits, messages: impl Iterator<Item = Message>) {
    let mut decoder = parser.decoder(limits);
    let mut fresh = parser.decoder(limits);
    for message in messages {
        let decoded = decoder.decode(message.clone());
        // After an error, a decoder behaves like a new one.
        assert_eq!(fresh.decode(message), decoded);
        match decoded {
            Err(_) => fresh = parser.decoder(limits),
            Ok(None) => {}
            Ok(Some(packet)) => {
                check(&packet, limits);
                again(parser, &packet);
            }
        }
    }
}

/// Checks that a decoded packet is encoded and decoded unchanged (I7), and has the same content in MessagePack.
fn again<P: Parser>(parser: &P, packet: &socketio_proto::Packet) {
    let mut wide = Limits::default();
    wide.max_attachments = u8::MAX;
    wide.max_attachment_bytes = usize::MAX;
    wide.max_depth = u16::MAX;
    let mut expected = packet.clone();
    if packet.packet_type == PacketType::Ack && packet.payload.is_none() {
        // Encoded as an empty list.
        let list = Message::Text(Text::from_static("3[]"));
        expected.payload = parser.decoder(&wide).decode(list).ok().flatten().and_then(|ack| ack.payload);
    }
    match encode(parser, packet) {
        Ok(messages) => assert_eq!(decode(parser, &wide, messages), expected),
        // In protocol 4, peers may send names that may not be sent to them.
        Err(EncodeError::Reserved(name)) => assert_eq!(Some(&*name), packet.payload.as_ref().and_then(|p| p.name())),
        Err(error) => panic!("{error}: {packet:?}"),
    }
    let Some(values) = packet.payload.as_ref().and_then(read) else { return };
    if let Ok(messages) = encode(&MsgPack, packet) {
        let there = match MsgPack.decoder(&wide).decode(messages.into_iter().next().expect("one message")) {
            Ok(there) => there.expect("one message is one packet"),
            // Fails for names that are reserved in one protocol only, and for lists and null as the payload of CONNECT.
            Err(error) => return assert_eq!(error, DecodeError::InvalidPayload, "{packet:?}"),
        };
        assert_eq!((&there.namespace, there.id, there.packet_type), (&packet.namespace, packet.id, packet.packet_type));
        let back: Option<Vec<Value>> = there.payload.as_ref().and_then(read);
        assert_eq!(back.as_ref(), Some(&values), "{packet:?}");
    }
}
