//! Properties of every packet that a decoder returns.

use engineio_proto::Message;
use socketio_proto::{Decoder, EncodeError, Encoder, Limits, Outgoing, Packet, PacketType, Parser, Payload};

use super::messages;
use super::value::Value;

/// Decodes these messages, the last of which completes the packet.
pub(super) fn decode<P: Parser>(parser: &P, limits: &Limits, messages: Vec<Message>) -> Packet {
    let mut decoder = parser.decoder(limits);
    let mut packet = None;
    for message in messages {
        assert!(packet.is_none(), "complete before its last message: {packet:?}");
        packet = decoder.decode(message).expect("an encoded packet can be decoded");
    }
    packet.expect("the packet is complete")
}

/// Returns the packet for another peer.
pub(super) fn relayed(packet: &Packet) -> Outgoing<'_, Payload> {
    let event = packet.payload.as_ref().and_then(Payload::name);
    let mut outgoing = Outgoing::new(packet.packet_type, &packet.namespace, packet.payload.as_ref());
    (outgoing.id, outgoing.event) = (packet.id, event);
    outgoing
}

/// Encodes for a peer that accepts any number of attachments.
pub(super) fn encode<P: Parser>(parser: &P, packet: &Packet) -> Result<Vec<Message>, EncodeError> {
    let mut encoder = Encoder::new();
    encoder.set_max_attachments(u8::MAX);
    parser.encode(&relayed(packet), &mut encoder).map(|encoded| messages(&encoded))
}

/// Returns the arguments as trees, or `None` if one of them cannot be read (a lone surrogate, too deep).
pub(super) fn read(payload: &Payload) -> Option<Vec<Value>> {
    (0..payload.len()).map(|index| payload.get(index).ok()).collect()
}

/// Checks the rules of the protocol and the limits, which hold for any input.
pub(super) fn check(packet: &Packet, limits: &Limits) {
    assert!(packet.namespace.starts_with('/'), "{packet:?}");
    assert!(packet.id.is_none_or(|id| id < 1 << 53), "{packet:?}");
    let Some(payload) = &packet.payload else {
        assert_ne!(packet.packet_type, PacketType::Event, "an event without a payload");
        return;
    };
    assert_eq!(payload.name().is_some(), packet.packet_type == PacketType::Event, "{packet:?}");
    if !matches!(packet.packet_type, PacketType::Event | PacketType::Ack) {
        assert_eq!(payload.len(), 1, "{packet:?}");
    }
    assert!(payload.attachments().len() <= limits.max_attachments.into());
    let attached: usize = payload.attachments().iter().map(|bytes| bytes.len()).sum();
    assert!(attached <= limits.max_attachment_bytes);
    assert_eq!(payload.detached(), *payload);
    // The first few arguments are located differently than the rest.
    let args: Vec<&str> = payload.args().collect();
    if payload.raw_msgpack(0).is_none() {
        assert_eq!(args.len(), payload.len());
        assert_eq!(payload.raw(args.len()), None);
    }
    let mut bytes = 0;
    for index in 0..payload.len() {
        assert_eq!(payload.raw(index), args.get(index).copied());
        bytes += payload.raw_msgpack(index).map_or(0, <[u8]>::len);
        let is_attachment = payload.bytes(index).is_some_and(|bytes| payload.attachments().contains(&bytes));
        assert!(is_attachment || payload.bytes(index).is_none() || payload.raw(index).is_none(), "{packet:?}");
    }
    if let Some(all) = payload.raw_args_msgpack() {
        assert_eq!(bytes, all.len());
    }
    // Reading may fail but must not panic. Arguments that can be read one by one can be read together, and written.
    let each = read(payload);
    let written = serde_json::to_string(&payload.values());
    if let Some(each) = each {
        let two = each.first().cloned().zip(each.get(1).cloned());
        // NaN is not equal to itself.
        if let Some(two) = two.filter(|(one, two)| one.is_plain() && two.is_plain()) {
            assert_eq!(payload.read::<(Value, Value)>(), Ok(two));
        }
        assert!(written.is_ok() || payload.raw_msgpack(0).is_some(), "{packet:?}: {written:?}");
    }
}
