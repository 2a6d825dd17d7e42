//! Engine.IO packets of revisions 3 and 4 in HTTP bodies and WebSocket messages. The decoder is lenient.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::{hexadecimal, msgpack, printable};

/// Accepts any padding, because cases compare the output of a server.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An Engine.IO packet: a text with its type character, or the bytes of a message. Also used for WebSocket messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Text(String),
    Bytes(Vec<u8>),
}

impl Payload {
    pub(crate) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Text(text) if text == wanted)
    }

    /// A description for reports, in one line.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text(text) => printable(text.as_bytes()),
            Self::Bytes(bytes) => match msgpack::decode_packet(bytes) {
                Some(packet) => format!("msgpack{}", printable(packet.to_string().as_bytes())),
                None => hexadecimal(bytes),
            },
        }
    }
}

/// The Engine.IO revision. The enum is exhaustive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revision {
    Three,
    Four,
}

/// Encodes packets as the body of a POST or of the response to a GET, with binary data as base64.
pub(crate) fn encode_body(revision: Revision, packets: &[Payload]) -> Vec<u8> {
    let texts = packets.iter().map(|packet| match (packet, revision) {
        (Payload::Text(text), _) => text.clone(),
        (Payload::Bytes(bytes), Revision::Four) => format!("b{}", BASE64.encode(bytes)),
        (Payload::Bytes(bytes), Revision::Three) => format!("b4{}", BASE64.encode(bytes)),
    });
    match revision {
        Revision::Four => texts.collect::<Vec<_>>().join("\u{1e}").into_bytes(),
        Revision::Three => {
            texts.map(|text| format!("{}:{text}", text.encode_utf16().count())).collect::<String>().into_bytes()
        }
    }
}

/// Decodes the packets of a body. Returns `None` if the body does not consist of packets.
pub(crate) fn decode_body(revision: Revision, binary: bool, body: &[u8]) -> Option<Vec<Payload>> {
    match revision {
        Revision::Four => std::str::from_utf8(body)
            .ok()?
            .split('\u{1e}')
            .map(|text| match text.strip_prefix('b') {
                Some(base64) => BASE64.decode(base64).ok().map(Payload::Bytes),
                None => Some(Payload::Text(text.to_owned())),
            })
            .collect(),
        Revision::Three if binary => decode_binary_v3(body),
        Revision::Three => {
            let mut rest = std::str::from_utf8(body).ok()?;
            let mut packets = Vec::new();
            while !rest.is_empty() {
                let (length, after) = rest.split_once(':')?;
                let mut units: usize = length.parse().ok()?;
                let mut end = 0_usize;
                for character in after.chars() {
                    if units == 0 {
                        break;
                    }
                    units = units.checked_sub(character.len_utf16())?;
                    end = end.saturating_add(character.len_utf8());
                }
                if units > 0 {
                    return None;
                }
                let (text, left) = after.split_at_checked(end)?;
                packets.push(match text.strip_prefix("b4") {
                    Some(base64) => Payload::Bytes(BASE64.decode(base64).ok()?),
                    None => Payload::Text(text.to_owned()),
                });
                rest = left;
            }
            Some(packets)
        }
    }
}

fn decode_binary_v3(mut rest: &[u8]) -> Option<Vec<Payload>> {
    let mut packets = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let end = after.iter().position(|byte| *byte == 0xff)?;
        let (digits, after) = after.split_at_checked(end)?;
        let mut length = 0_usize;
        for digit in digits {
            length = length.checked_mul(10)?.checked_add(usize::from(*digit))?;
        }
        let (payload, left) = after.get(1..)?.split_at_checked(length)?;
        packets.push(if *kind == 0 {
            Payload::Text(std::str::from_utf8(payload).ok()?.to_owned())
        } else {
            Payload::Bytes(payload.strip_prefix(&[4])?.to_vec())
        });
        rest = left;
    }
    Some(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_both_revisions_come_back() {
        let packets = [Payload::Text("4€😀".into()), Payload::Bytes(vec![1, 2, 3, 4]), Payload::Text("2".into())];
        let four = encode_body(Revision::Four, &packets);
        assert_eq!(four, "4€😀\u{1e}bAQIDBA==\u{1e}2".as_bytes());
        assert_eq!(decode_body(Revision::Four, false, &four).unwrap(), packets);
        let three = encode_body(Revision::Three, &packets);
        assert_eq!(three, "4:4€😀10:b4AQIDBA==1:2".as_bytes());
        assert_eq!(decode_body(Revision::Three, false, &three).unwrap(), packets);
        let binary = [0, 4, 0xff, 0x34, 0xe2, 0x82, 0xac, 1, 5, 0xff, 4, 1, 2, 3, 4];
        assert_eq!(
            decode_body(Revision::Three, true, &binary).unwrap(),
            [Payload::Text("4€".into()), Payload::Bytes(vec![1, 2, 3, 4])]
        );
    }
}
