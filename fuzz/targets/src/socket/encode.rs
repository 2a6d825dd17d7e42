//! Values from an application: every parser delivers them unchanged (I7), and relaying them produces the same bytes.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use socketio_proto::{
    Args, EncodeError, Encoder, Json, JsonV4, Limits, MsgPack, Outgoing, PacketType, Parser, Payload,
};

use super::messages;
use super::packet::{check, decode, encode as relay, read};
use super::value::{Arguments, Value};
use crate::input::short_text;

/// Input: the type of the packet, its id, its namespace and its name, then arguments.
pub fn socket_encode(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let parser = input.int_in_range(0..=2)?;
    let id = if input.arbitrary::<bool>()? { Some(input.arbitrary::<u64>()? >> 11) } else { None };
    let namespace = if input.arbitrary::<bool>()? { format!("/{}", short_text(&mut input)?) } else { "/".into() };
    let name = if input.arbitrary::<bool>()? { short_text(&mut input)? } else { "message".into() };
    let ack = input.arbitrary::<bool>()?;
    let mut attachments = 0;
    let mut values = Vec::new();
    while !input.is_empty() && values.len() < 8 {
        values.push(Value::new(&mut input, 6, &mut attachments)?);
    }
    let args = Arguments(&values);
    let packet = if ack {
        Outgoing::ack(&namespace, id.unwrap_or(0), &args)
    } else {
        Outgoing::event(&namespace, id, &name, &args)
    };
    match parser {
        0 => play(&Json, &packet, &values, attachments),
        1 => play(&JsonV4, &packet, &values, attachments),
        _ => play(&MsgPack, &packet, &values, 0),
    }
    Ok(())
}

fn play<P: Parser>(parser: &P, packet: &Outgoing<'_, Arguments<'_>>, values: &[Value], attachments: usize) {
    let limits = Limits::default();
    let mut encoder = Encoder::new();
    let encoded = parser.encode(packet, &mut encoder);
    // Whatever the result is, the encoder remains usable.
    let plain = Outgoing::event("/", None, "a", &("b",));
    assert_eq!(parser.encode(&plain, &mut encoder), parser.encode(&plain, &mut Encoder::new()));
    let encoded = match encoded {
        Ok(encoded) => encoded,
        Err(EncodeError::TooManyAttachments) => return assert!(attachments > 10),
        Err(EncodeError::Reserved(name)) => return assert_eq!(Some(&*name), packet.event),
        // In JSON, a comma follows the namespace.
        Err(error) => return assert!(packet.namespace.contains(','), "{error}: {packet:?}"),
    };
    assert!(attachments <= 10);
    let sent = messages(&encoded);
    let length: usize = sent.iter().map(engineio_proto::Message::len).sum();
    // A text packet starts with the type of its Engine.IO message.
    assert!((length..=length + 1).contains(&encoded.packet_len()));
    let decoded = decode(parser, &limits, sent.clone());
    check(&decoded, &limits);
    assert_eq!(
        (decoded.packet_type, &*decoded.namespace, decoded.id),
        (packet.packet_type, packet.namespace, packet.id)
    );
    let payload = decoded.payload.as_ref().expect("a payload");
    assert_eq!((payload.name(), payload.len()), (packet.event, values.len()));
    assert_eq!(payload.attachments().len(), attachments);
    assert_eq!(read(payload).as_deref(), Some(values));
    for (index, value) in values.iter().enumerate() {
        let bytes = if let Value::Bytes(bytes) = value { Some(Bytes::copy_from_slice(bytes)) } else { None };
        assert_eq!(payload.bytes(index), bytes);
    }
    assert_eq!(relay(parser, &decoded), Ok(sent), "relayed");
    as_json(packet, values, attachments);
}

/// Checks the payload alone, as a custom parser uses it.
fn as_json<A: Args>(packet: &Outgoing<'_, A>, values: &[Value], attachments: usize) {
    let mut text = String::new();
    let Ok(attached) = packet.write_json(&mut text, 10) else { return };
    if attachments > 0 {
        assert_eq!(attached.len(), attachments);
    }
    let kind = packet.packet_type;
    assert!(matches!(kind, PacketType::Event | PacketType::Ack));
    let payload = Payload::from_json(kind, text.into(), attached, &Limits::default()).expect("a payload");
    assert_eq!(read(&payload).as_deref(), Some(values));
}
