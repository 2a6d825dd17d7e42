//! The JSON scanner compared with `serde_json`: both accept the same texts, and find the same arguments.

use arbitrary::{Result, Unstructured};
use engineio_proto::Text;
use serde_json::value::RawValue;
use socketio_proto::{Limits, PacketType, Payload};

use crate::input::rest_text;

/// Input: the kind of payload, a depth limit, the number of surrounding brackets, then text.
pub fn json_scanner(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let kind = input.int_in_range(0..=3)?;
    let mut limits = Limits::default();
    if input.arbitrary::<bool>()? {
        limits.max_depth = input.arbitrary::<u8>()?.into();
    }
    let brackets = usize::from(input.arbitrary::<u8>()?);
    // Sometimes nested more than 64 levels deep, beyond which the scanner allocates memory.
    let text = if brackets > 250 {
        format!("[{}{}{}]", "[".repeat(brackets - 190), rest_text(&mut input)?, "]".repeat(brackets - 190))
    } else {
        rest_text(&mut input)?.to_string()
    };
    let packet_type = [PacketType::Ack, PacketType::Event, PacketType::Connect, PacketType::ConnectError][kind];
    let ours = Payload::from_json(packet_type, Text::from(&*text), Vec::new(), &limits);
    let theirs = match packet_type {
        PacketType::Ack | PacketType::Event => serde_json::from_str::<Vec<&RawValue>>(&text).ok(),
        _ => serde_json::from_str::<&RawValue>(&text).ok().map(|value| vec![value]),
    };
    let deep = depth(&text) > usize::from(limits.max_depth);
    let Some(theirs) = theirs.filter(|_| !deep) else {
        assert!(ours.is_err(), "{text:?}");
        return Ok(());
    };
    let first = theirs.first().map_or("", |value| value.get());
    let fits = match packet_type {
        PacketType::Ack => true,
        PacketType::Event => first.starts_with('"') || first.starts_with(|c: char| c == '-' || c.is_ascii_digit()),
        PacketType::Connect => first.starts_with('{'),
        _ => first.starts_with(['{', '"']),
    };
    let name = serde_json::from_str::<String>(first);
    let reserved = packet_type == PacketType::Event && name.as_ref().is_ok_and(|name| is_reserved(name));
    let Ok(payload) = ours else {
        assert!(!fits || reserved, "{text:?}");
        return Ok(());
    };
    assert!(fits && !reserved, "{text:?}");
    let args = if packet_type == PacketType::Event { &theirs[1..] } else { &theirs[..] };
    assert_eq!(payload.args().collect::<Vec<_>>(), args.iter().map(|value| value.get()).collect::<Vec<_>>());
    assert_eq!(payload.len(), args.len());
    for (index, value) in args.iter().enumerate() {
        assert_eq!(payload.raw(index), Some(value.get()));
    }
    if packet_type == PacketType::Event {
        match name {
            Ok(name) => assert_eq!(payload.name(), Some(&*name)),
            // A number, or a lone surrogate.
            Err(_) if !first.starts_with('"') => assert_eq!(payload.name(), Some(first)),
            Err(_) => assert!(payload.name().is_some_and(|name| name.contains('\u{fffd}'))),
        }
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"].contains(&name)
}

/// Returns the depth of nesting.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
