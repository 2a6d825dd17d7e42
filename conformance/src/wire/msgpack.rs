//! The part of MessagePack that Socket.IO uses, represented as JSON: binary is `{"$bytes":"00ff"}`, an extension is
//! `{"$ext":0,"data":"00"}`.

use serde_json::{Map, Value as Json, json};

/// Encodes JSON as MessagePack, in the shortest forms.
pub(crate) fn encode(value: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

/// Decodes one value that occupies all of the bytes. Returns `None` if they are anything else.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Json> {
    let value = read(&mut bytes, 0)?;
    bytes.is_empty().then_some(value)
}

/// Decodes a whole Socket.IO packet, which is a map with a type.
pub(crate) fn decode_packet(bytes: &[u8]) -> Option<Json> {
    decode(bytes).filter(|packet| packet.get("type").is_some())
}

fn write(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Null => out.push(0xc0),
        Json::Bool(value) => out.push(if *value { 0xc3 } else { 0xc2 }),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => write_unsigned(number, out),
            (_, Some(number), _) => write_signed(number, out),
            (.., number) => {
                out.push(0xcb);
                out.extend(number.unwrap_or_default().to_be_bytes());
            }
        },
        Json::String(text) => {
            header(text.len(), Some((0xa0, 32)), [Some(0xd9), Some(0xda), Some(0xdb)], out);
            out.extend(text.as_bytes());
        }
        Json::Array(values) => {
            header(values.len(), Some((0x90, 16)), [None, Some(0xdc), Some(0xdd)], out);
            values.iter().for_each(|value| write(value, out));
        }
        Json::Object(fields) => {
            if let Some(bytes) = fields.get("$bytes").and_then(hex) {
                header(bytes.len(), None, [Some(0xc4), Some(0xc5), Some(0xc6)], out);
                out.extend(bytes);
                return;
            }
            if let (Some(kind), Some(bytes)) =
                (fields.get("$ext").and_then(Json::as_i64), fields.get("data").and_then(hex))
            {
                match bytes.len() {
                    1 => out.push(0xd4),
                    2 => out.push(0xd5),
                    4 => out.push(0xd6),
                    8 => out.push(0xd7),
                    16 => out.push(0xd8),
                    length => header(length, None, [Some(0xc7), Some(0xc8), Some(0xc9)], out),
                }
                out.extend(i8::try_from(kind).unwrap_or_default().to_be_bytes());
                out.extend(bytes);
                return;
            }
            header(fields.len(), Some((0x80, 16)), [None, Some(0xde), Some(0xdf)], out);
            for (key, value) in fields {
                write(&Json::String(key.clone()), out);
                write(value, out);
            }
        }
    }
}

fn hex(value: &Json) -> Option<Vec<u8>> {
    crate::script::lex::hex(value.as_str()?).ok()
}

/// Writes the type byte and the length: within the type byte, or in one, two or four more bytes.
fn header(length: usize, fix: Option<(u8, u8)>, forms: [Option<u8>; 3], out: &mut Vec<u8>) {
    let [one, two, four] = forms;
    match (u8::try_from(length), u16::try_from(length), fix, one, two) {
        (Ok(length), _, Some((base, limit)), ..) if length < limit => out.push(base | length),
        (Ok(length), _, _, Some(form), _) => out.extend([form, length]),
        (_, Ok(length), _, _, Some(form)) => {
            out.push(form);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(four.unwrap_or_default());
            out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

fn write_unsigned(number: u64, out: &mut Vec<u8>) {
    match (u8::try_from(number), u16::try_from(number), u32::try_from(number)) {
        (Ok(number @ 0..128), ..) => out.push(number),
        (Ok(number), ..) => out.extend([0xcc, number]),
        (_, Ok(number), _) => {
            out.push(0xcd);
            out.extend(number.to_be_bytes());
        }
        (.., Ok(number)) => {
            out.push(0xce);
            out.extend(number.to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend(number.to_be_bytes());
        }
    }
}

fn write_signed(number: i64, out: &mut Vec<u8>) {
    match (i8::try_from(number), i16::try_from(number), i32::try_from(number)) {
        (Ok(number @ -32..0), ..) => out.extend(number.to_be_bytes()),
        (Ok(number), ..) => {
            out.push(0xd0);
            out.extend(number.to_be_bytes());
        }
        (_, Ok(number), _) => {
            out.push(0xd1);
            out.extend(number.to_be_bytes());
        }
        (.., Ok(number)) => {
            out.push(0xd2);
            out.extend(number.to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend(number.to_be_bytes());
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken)
}

fn unsigned(bytes: &mut &[u8], width: u64) -> Option<u64> {
    Some(take(bytes, width)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn read(bytes: &mut &[u8], depth: u32) -> Option<Json> {
    if depth > 100 {
        return None;
    }
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    let shown = |bytes: &[u8]| Json::String(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    let sign = |number: u64, bits: u32| {
        let shift = 64_u32.saturating_sub(bits);
        (number << shift).cast_signed() >> shift
    };
    Some(match *first {
        number @ 0..=0x7f => json!(number),
        number @ 0xe0..=0xff => json!(number.cast_signed()),
        0xc0 => Json::Null,
        0xc2 => json!(false),
        0xc3 => json!(true),
        form @ 0xc4..=0xc6 => {
            let length = unsigned(bytes, 1 << (form - 0xc4))?;
            json!({"$bytes": shown(take(bytes, length)?)})
        }
        form @ (0xc7..=0xc9 | 0xd4..=0xd8) => {
            let length = if form < 0xd4 { unsigned(bytes, 1 << (form - 0xc7))? } else { 1 << (form - 0xd4) };
            let kind = sign(unsigned(bytes, 1)?, 8);
            json!({"$ext": kind, "data": shown(take(bytes, length)?)})
        }
        0xca => json!(f32::from_bits(u32::try_from(unsigned(bytes, 4)?).ok()?)),
        0xcb => json!(f64::from_bits(unsigned(bytes, 8)?)),
        form @ 0xcc..=0xcf => json!(unsigned(bytes, 1 << (form - 0xcc))?),
        form @ 0xd0..=0xd3 => {
            let width = 1_u64 << (form - 0xd0);
            json!(sign(unsigned(bytes, width)?, u32::try_from(width).ok()? * 8))
        }
        form @ (0xa0..=0xbf | 0xd9..=0xdb) => {
            let length = if form < 0xd9 { u64::from(form & 31) } else { unsigned(bytes, 1 << (form - 0xd9))? };
            Json::String(std::str::from_utf8(take(bytes, length)?).ok()?.to_owned())
        }
        form @ (0x90..=0x9f | 0xdc | 0xdd) => {
            let length = if form < 0xdc { u64::from(form & 15) } else { unsigned(bytes, 2 << (form - 0xdc))? };
            // No memory is reserved for a length that is only announced.
            let mut values = Vec::new();
            for _ in 0..length {
                values.push(read(bytes, depth.saturating_add(1))?);
            }
            Json::Array(values)
        }
        form @ (0x80..=0x8f | 0xde | 0xdf) => {
            let length = if form < 0xde { u64::from(form & 15) } else { unsigned(bytes, 2 << (form - 0xde))? };
            let mut fields = Map::new();
            for _ in 0..length {
                let Json::String(key) = read(bytes, depth.saturating_add(1))? else { return None };
                fields.insert(key, read(bytes, depth.saturating_add(1))?);
            }
            Json::Object(fields)
        }
        0xc1 => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let long = "x".repeat(70_000);
        for value in [
            json!({"type": 2, "nsp": "/", "data": ["a", 1, -1, 200, -200, 70_000, -70_000, 5_000_000_000_u64, 1.5, null, true]}),
            json!([{"$bytes": "00ff"}, {"$ext": 0, "data": "00"}, {"$ext": -1, "data": "000102"}, long]),
        ] {
            assert_eq!(decode(&encode(&value)), Some(value));
        }
    }

    #[test]
    fn packets_of_the_reference() {
        let bytes = crate::script::lex::hex("83 a4 74797065 00 a4 64617461 d4 00 00 a3 6e7370 a1 2f").unwrap();
        assert_eq!(decode_packet(&bytes), Some(json!({"type": 0, "data": {"$ext": 0, "data": "00"}, "nsp": "/"})));
        assert_eq!(decode(&[0xdd, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
