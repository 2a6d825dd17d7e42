//! The MessagePack parser: arbitrary messages, compared with another library, and the packets decoded from them.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use engineio_proto::Message;
use socketio_proto::{DecodeError, Decoder, Json, Limits, MsgPack, Packet, PacketType, Parser, Payload};

use super::packet::{check, decode, encode, read};
use super::value::Value;
use crate::input::rest;

/// Input: a depth, then one message. If the first byte is odd, the rest becomes the `data` of an ack.
pub fn socket_msgpack(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let bits = input.arbitrary::<u8>()?;
    let mut limits = Limits::default();
    if bits & 2 != 0 {
        limits.max_depth = input.arbitrary::<u16>()?;
    }
    if bits & 1 != 0 {
        payload(rest(&mut input)?, &limits);
        return Ok(());
    }
    let bytes = Bytes::copy_from_slice(rest(&mut input)?);
    if let Ok(packet) = MsgPack.decoder(&limits).decode(Message::Binary(bytes)) {
        again(&packet.expect("one message is one packet"), &limits);
    }
    Ok(())
}

/// Checks a list of arguments, which the other library also decodes.
fn payload(list: &[u8], limits: &Limits) {
    let ours = Payload::from_msgpack(PacketType::Ack, Bytes::copy_from_slice(list), limits);
    let mut rest = list;
    let theirs = rmpv::decode::read_value_ref(&mut rest);
    match (&ours, theirs) {
        (Err(error), Ok(value)) if rest.is_empty() => {
            let value = value.to_owned();
            // The other library decodes the reserved byte as nil.
            let reserved = list.contains(&0xc1);
            let too_deep = depth(&value) > limits.max_depth.into();
            let allowed = has_broken_text(&value) || reserved || !value.is_array() || too_deep;
            assert!(allowed, "{error}: {list:02x?}");
        }
        (Ok(_), theirs) => {
            // The other library has its own depth limit.
            let too_deep = matches!(&theirs, Err(rmpv::decode::Error::DepthLimitExceeded));
            assert!(too_deep || (theirs.is_ok() && rest.is_empty()), "{theirs:?}: {list:02x?}");
        }
        _ => {}
    }
    if let Ok(payload) = ours {
        let packet =
            Packet { packet_type: PacketType::Ack, namespace: "/".into(), id: Some(1), payload: Some(payload) };
        again(&packet, limits);
    }
}

fn again(packet: &Packet, limits: &Limits) {
    check(packet, limits);
    let mut wide = Limits::default();
    wide.max_depth = u16::MAX;
    wide.max_attachments = u8::MAX;
    let values = packet.payload.as_ref().map(read);
    match encode(&MsgPack, packet) {
        Ok(messages) => {
            let once = decode(&MsgPack, &wide, messages.clone());
            if matches!(packet.packet_type, PacketType::Event | PacketType::Ack) {
                assert_eq!(&once, packet);
            } else {
                // A payload of one value is encoded again in its shortest form.
                assert_eq!((&once.namespace, once.id), (&packet.namespace, packet.id));
                let plain =
                    values.as_ref().and_then(Option::as_ref).filter(|values| values.iter().all(Value::is_plain));
                if let Some(plain) = plain {
                    assert_eq!(once.payload.as_ref().and_then(read).as_ref(), Some(plain));
                }
                assert_eq!(encode(&MsgPack, &once), Ok(messages), "{packet:?}");
            }
        }
        // A payload that cannot be read cannot be encoded again.
        Err(error) => {
            assert!(!matches!(packet.packet_type, PacketType::Event | PacketType::Ack), "{error}: {packet:?}")
        }
    }
    let Some(Some(values)) = values else { return };
    if values.iter().all(Value::is_plain)
        && let Ok(messages) = encode(&Json, packet)
    {
        let mut decoder = Json.decoder(&wide);
        let mut there = None;
        for message in messages {
            there = match decoder.decode(message) {
                Ok(packet) => packet,
                // An object that looks like a placeholder but is not one.
                Err(error) => return assert_eq!(error, DecodeError::IllegalPlaceholder, "{packet:?}"),
            };
        }
        let there = there.expect("the packet is complete");
        assert_eq!((&there.namespace, there.id, there.packet_type), (&packet.namespace, packet.id, packet.packet_type));
        let back = there.payload.as_ref().and_then(read);
        if !values.iter().any(has_placeholder) {
            assert_eq!(back.as_ref(), Some(&values), "{packet:?}");
        }
    }
}

fn has_placeholder(value: &Value) -> bool {
    match value {
        Value::List(values) => values.iter().any(has_placeholder),
        Value::Map(members) => members.iter().any(|(key, value)| key == "_placeholder" || has_placeholder(value)),
        _ => false,
    }
}

fn has_broken_text(value: &rmpv::Value) -> bool {
    match value {
        rmpv::Value::String(text) => text.is_err(),
        rmpv::Value::Array(values) => values.iter().any(has_broken_text),
        rmpv::Value::Map(pairs) => pairs.iter().any(|(key, value)| has_broken_text(key) || has_broken_text(value)),
        _ => false,
    }
}

fn depth(value: &rmpv::Value) -> usize {
    match value {
        rmpv::Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        rmpv::Value::Map(pairs) => 1 + pairs.iter().map(|(key, value)| depth(key).max(depth(value))).max().unwrap_or(0),
        _ => 0,
    }
}
