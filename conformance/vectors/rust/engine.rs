//! Runs our Engine.IO codecs on the cases of the vector files, and defines the rules by which they may differ from the reference.
//!
//! A rule examines the part of the input that our codec rejected. It finds that part with a minimal parser of its own, which reads valid
//! input only.

use bytes::{Bytes, BytesMut};
use engineio_proto::framing;
use engineio_proto::payload::{self, v3};
use engineio_proto::{ContentType, Frame, Message, Packet, PacketType, ParseError, Text};

use super::tree::{Tree, from_hex, from_utf16};
use super::vectors::{Case, Codec, Content, Operation, Outcome, content, message};

/// All codecs of Engine.IO.
pub(crate) const CODECS: [Codec; 5] = [
    Codec {
        name: "engineio4-packet",
        run: |case| match case.operation {
            Operation::Decode => packets([Packet::decode(only(case))]),
            Operation::Encode => messages(case, frames(case, |frame| frame)),
        },
        rules: &[("invalid-base64", base64_packet)],
    },
    Codec {
        name: "engineio4-payload",
        run: |case| match case.operation {
            Operation::Decode => match payload::Packets::new(body(case).0) {
                Ok(decoded) => packets(decoded),
                Err(error) => packets([Err(error)]),
            },
            Operation::Encode => {
                let mut out = BytesMut::new();
                payload::encode(&frames(case, |frame| frame), &mut out);
                if out.is_empty() { Outcome::default() } else { one_message(text_of(out)) }
            }
        },
        rules: &[("invalid-base64", base64_payload), ("invalid-utf-8", utf8_payload)],
    },
    Codec {
        name: "engineio4-webtransport",
        run: |case| match case.operation {
            Operation::Decode => webtransport(case),
            Operation::Encode => {
                let mut out = Vec::new();
                for frame in frames(case, |frame| frame) {
                    out.extend_from_slice(framing::header(&frame).as_bytes());
                    out.extend_from_slice(frame.head());
                    out.extend_from_slice(frame.data());
                }
                one_message(Content::Bytes(out))
            }
        },
        rules: &[
            ("invalid-base64", base64_frame),
            ("invalid-utf-8", utf8_frame),
            ("leading-byte-order-mark", byte_order_mark),
            ("webtransport-empty-chunk", empty_chunk),
            ("webtransport-limit-below-127", small_limit),
        ],
    },
    Codec {
        name: "engineio3-packet",
        run: |case| match case.operation {
            Operation::Decode => packets([Packet::decode_v3(only(case))]),
            Operation::Encode => messages(case, frames(case, Frame::into_v3)),
        },
        rules: &[
            ("invalid-base64", base64_packet_v3),
            ("revision-3-binary-packet-of-another-type", other_type_packet_v3),
        ],
    },
    Codec {
        name: "engineio3-payload",
        run: |case| match case.operation {
            Operation::Decode => {
                let (body, content_type) = body(case);
                match v3::Packets::new(body, content_type) {
                    Ok(decoded) => packets(decoded),
                    Err(error) => packets([Err(error)]),
                }
            }
            Operation::Encode => {
                let mut out = BytesMut::new();
                match v3::encode(&frames(case, |frame| frame), case.options.binary, &mut out) {
                    ContentType::OctetStream => one_message(Content::Bytes(out.to_vec())),
                    _ => one_message(text_of(out)),
                }
            }
        },
        rules: &[
            ("invalid-base64", |case, ours| payload_v3(case, ours, PayloadError::Base64)),
            ("revision-3-binary-packet-of-another-type", |case, ours| payload_v3(case, ours, PayloadError::OtherType)),
            ("revision-3-length-not-decimal", |case, ours| payload_v3(case, ours, PayloadError::Length)),
            ("revision-3-length-splits-surrogate-pair", |case, ours| payload_v3(case, ours, PayloadError::Pair)),
            ("revision-3-unknown-part-kind", |case, ours| payload_v3(case, ours, PayloadError::Kind)),
            ("revision-3-truncated-part", |case, ours| payload_v3(case, ours, PayloadError::Truncated)),
            ("revision-3-empty-part", |case, ours| payload_v3(case, ours, PayloadError::Empty)),
            ("invalid-utf-8", |case, ours| payload_v3(case, ours, PayloadError::Utf8)),
            ("revision-3-packets-before-an-error", packets_before_error_v3),
            ("lone-surrogate", lone_surrogate),
        ],
    },
];

fn only(case: &Case) -> Message {
    match content(&case.input[0]) {
        Content::Text(text) => Message::Text(text.into()),
        Content::Bytes(bytes) => Message::Binary(bytes.into()),
    }
}

fn body(case: &Case) -> (Bytes, ContentType) {
    match content(&case.input[0]) {
        Content::Text(text) => (text.into(), ContentType::Text),
        Content::Bytes(bytes) => (bytes.into(), ContentType::OctetStream),
    }
}

const TYPES: [(&str, PacketType); 7] = [
    ("open", PacketType::Open),
    ("close", PacketType::Close),
    ("ping", PacketType::Ping),
    ("pong", PacketType::Pong),
    ("message", PacketType::Message),
    ("upgrade", PacketType::Upgrade),
    ("noop", PacketType::Noop),
];

/// Describes a decoded packet in the format of the files. The reference distinguishes a packet without data from one with empty data. It
/// decodes empty data only from bytes.
fn described(packet: Packet) -> Tree {
    let (name, _) = TYPES.iter().find(|(_, each)| *each == packet.packet_type).unwrap();
    let mut entries = vec![("type".to_owned(), Tree::text(*name))];
    let data = match packet.data {
        Message::Text(text) => Content::Text(text.to_string()),
        Message::Binary(bytes) => Content::Bytes(bytes.to_vec()),
    };
    if !matches!(&data, Content::Text(text) if text.is_empty())
        && let Tree::Map(data) = message(data)
    {
        entries.extend(data);
    }
    Tree::Map(entries)
}

fn packets(decoded: impl IntoIterator<Item = Result<Packet, ParseError>>) -> Outcome {
    let mut outcome = Outcome::default();
    for packet in decoded {
        assert!(outcome.error.is_none(), "a packet was decoded after an error");
        match packet {
            Ok(packet) => outcome.packets.push(described(packet)),
            Err(error) => outcome.error = Some(error.to_string()),
        }
    }
    outcome
}

fn webtransport(case: &Case) -> Outcome {
    let mut decoder = framing::Decoder::new(case.options.max_payload);
    let mut decoded = Vec::new();
    for chunk in &case.input {
        let Content::Bytes(chunk) = content(chunk) else { panic!("chunks must be bytes") };
        decoder.push(chunk.into());
        while let Some(packet) = decoder.next().transpose() {
            let failed = packet.is_err();
            decoded.push(packet);
            if failed {
                return packets(decoded);
            }
        }
    }
    packets(decoded)
}

/// The packets to encode.
fn frames(case: &Case, form: fn(Frame) -> Frame) -> Vec<Frame> {
    let frame = |packet: &Tree| {
        let name = packet.get("type").and_then(Tree::as_text).unwrap();
        let (_, packet_type) = TYPES.iter().find(|(each, _)| *each == name).unwrap();
        let content = |form| packet.get(form).and_then(Tree::as_text);
        match (content("text"), content("hex"), content("utf16")) {
            (_, Some(hex), _) => Frame::message(Message::Binary(from_hex(hex).into())),
            // Text with a lone surrogate must become valid before it can be sent.
            (_, _, Some(hex)) => Frame::text(*packet_type, Text::from(String::from_utf16_lossy(&from_utf16(hex)))),
            (text, None, None) => Frame::text(*packet_type, Text::from(text.unwrap_or_default())),
        }
    };
    case.input.iter().map(frame).map(form).collect()
}

/// Encodes single packets for a WebSocket, as base64 if the client does not accept binary.
fn messages(case: &Case, frames: Vec<Frame>) -> Outcome {
    let form = |frame: Frame| if case.options.binary { frame } else { frame.into_base64() };
    let encoded = |frame: Frame| [frame.head(), frame.data()].concat();
    let messages = frames
        .into_iter()
        .map(form)
        .map(|frame| message(if frame.is_binary() { Content::Bytes(encoded(frame)) } else { text_of(encoded(frame)) }));
    Outcome { messages: messages.collect(), ..Outcome::default() }
}

fn text_of(bytes: impl Into<Vec<u8>>) -> Content {
    Content::Text(String::from_utf8(bytes.into()).unwrap())
}

fn one_message(content: Content) -> Outcome {
    Outcome { messages: vec![message(content)], ..Outcome::default() }
}

// Rules

/// Returns whether this is base64 as real clients write it: one alphabet, with or without padding, with or without line breaks.
fn is_base64(encoded: &str) -> bool {
    let joined: String = encoded.chars().filter(|character| !matches!(character, '\n' | '\r')).collect();
    let digits = joined.trim_end_matches('=');
    let missing = match digits.len() % 4 {
        0 => 0,
        1 => return false,
        other => 4 - other,
    };
    let plain = |other: [char; 2]| {
        digits.chars().all(|character| character.is_ascii_alphanumeric() || other.contains(&character))
    };
    joined.len() - digits.len() <= missing && (plain(['+', '/']) || plain(['-', '_']))
}

fn is_bad_base64(packet: &str) -> bool {
    packet.strip_prefix('b').is_some_and(|encoded| !is_base64(encoded))
}

fn decodes(case: &Case, ours: &Outcome) -> bool {
    case.operation == Operation::Decode && case.expect.refused_by(ours, |_, _| false)
}

fn base64_packet(case: &Case, ours: &Outcome) -> bool {
    decodes(case, ours) && matches!(content(&case.input[0]), Content::Text(text) if is_bad_base64(&text))
}

fn base64_payload(case: &Case, ours: &Outcome) -> bool {
    let Ok(text) = String::from_utf8(body(case).0.to_vec()) else { return false };
    decodes(case, ours) && text.split('\u{1e}').nth(ours.packets.len()).is_some_and(is_bad_base64)
}

fn utf8_payload(case: &Case, ours: &Outcome) -> bool {
    decodes(case, ours) && ours.packets.is_empty() && str::from_utf8(&body(case).0).is_err()
}

/// Returns the frame with this index in the stream: its first byte, and its content unless it is truncated.
fn frame(case: &Case, index: usize) -> Option<(u8, Option<Vec<u8>>)> {
    let chunks = case.input.iter().map(|chunk| match content(chunk) {
        Content::Bytes(chunk) => chunk,
        Content::Text(_) => panic!("chunks must be bytes"),
    });
    let stream = chunks.collect::<Vec<_>>().concat();
    let mut rest = &stream[..];
    for at in 0.. {
        let (&first, behind) = rest.split_first()?;
        let split = || {
            let (length, behind) = match first & 0x7f {
                126 => behind.split_at_checked(2)?,
                127 => behind.split_at_checked(8)?,
                _ => (&[][..], behind),
            };
            let add = |length: usize, byte: &u8| length.checked_mul(256)?.checked_add(usize::from(*byte));
            let length = match length {
                [] => usize::from(first & 0x7f),
                bytes => bytes.iter().try_fold(0, add)?,
            };
            behind.split_at_checked(length)
        };
        if at == index {
            return Some((first, split().map(|(frame, _)| frame.to_vec())));
        }
        rest = split()?.1;
    }
    None
}

/// Returns the content of the frame with this index if it is text.
fn text_frame(case: &Case, index: usize) -> Option<Vec<u8>> {
    frame(case, index).filter(|(first, _)| first & 0x80 == 0)?.1
}

fn base64_frame(case: &Case, ours: &Outcome) -> bool {
    let frame = text_frame(case, ours.packets.len()).and_then(|frame| String::from_utf8(frame).ok());
    decodes(case, ours) && frame.is_some_and(|frame| is_bad_base64(&frame))
}

fn utf8_frame(case: &Case, ours: &Outcome) -> bool {
    decodes(case, ours) && text_frame(case, ours.packets.len()).is_some_and(|frame| str::from_utf8(&frame).is_err())
}

fn byte_order_mark(case: &Case, ours: &Outcome) -> bool {
    decodes(case, ours)
        && text_frame(case, ours.packets.len()).is_some_and(|frame| frame.starts_with("\u{feff}".as_bytes()))
}

fn empty_chunk(case: &Case, _: &Outcome) -> bool {
    case.operation == Operation::Decode
        && case.input.iter().any(|chunk| matches!(content(chunk), Content::Bytes(chunk) if chunk.is_empty()))
}

/// The reference also compares the limit with the 126 or 127 that announces an extended length.
fn small_limit(case: &Case, ours: &Outcome) -> bool {
    let theirs = &case.expect.packets;
    case.operation == Operation::Decode
        && case.expect.error.is_some()
        && theirs.len() <= ours.packets.len()
        && theirs.iter().zip(&ours.packets).all(|(one, other)| one.matches(other, |_, _| false))
        && frame(case, theirs.len())
            .is_some_and(|(first, _)| first & 0x7f >= 126 && usize::from(first & 0x7f) > case.options.max_payload)
}

fn base64_packet_v3(case: &Case, ours: &Outcome) -> bool {
    let Content::Text(text) = content(&case.input[0]) else { return false };
    decodes(case, ours) && text.strip_prefix("b4").is_some_and(|encoded| !is_base64(encoded))
}

fn other_type_packet_v3(case: &Case, ours: &Outcome) -> bool {
    decodes(case, ours)
        && match content(&case.input[0]) {
            Content::Text(text) => text.starts_with('b') && !text.starts_with("b4"),
            Content::Bytes(bytes) => bytes.first() != Some(&4),
        }
}

/// Why our codec rejects a payload of revision 3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum PayloadError {
    /// A length that is not a plain decimal number.
    Length,
    /// A length that ends within a surrogate pair.
    Pair,
    /// A packet that is shorter than its announced length.
    Truncated,
    /// A length of 0 in a binary body.
    Empty,
    /// A part of a binary body that is marked as neither text nor bytes.
    Kind,
    /// Binary data in a packet that is not a message.
    OtherType,
    /// Invalid base64.
    Base64,
    /// Invalid UTF-8 in a text packet.
    Utf8,
    /// No error, or one that the reference reports too.
    Other,
}

fn error_in_packet(packet: &str) -> PayloadError {
    match packet.strip_prefix('b').map(|rest| rest.strip_prefix('4')) {
        Some(None) => PayloadError::OtherType,
        Some(Some(encoded)) if !is_base64(encoded) => PayloadError::Base64,
        _ => PayloadError::Other,
    }
}

/// Returns why our codec rejects the body.
fn error_v3(case: &Case) -> PayloadError {
    match content(&case.input[0]) {
        Content::Text(text) => error_in_text(&text),
        Content::Bytes(bytes) => error_in_binary(&bytes),
    }
}

fn error_in_text(body: &str) -> PayloadError {
    let mut rest = body;
    while !rest.is_empty() {
        let Some((digits, behind)) = rest.split_once(':') else { return PayloadError::Other };
        let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit()));
        let (true, Ok(length)) = (plain, digits.parse::<usize>()) else { return PayloadError::Length };
        let units: Vec<u16> = behind.encode_utf16().collect();
        let Some(packet) = units.get(..length) else { return PayloadError::Truncated };
        let Ok(packet) = String::from_utf16(packet) else { return PayloadError::Pair };
        if error_in_packet(&packet) != PayloadError::Other {
            return error_in_packet(&packet);
        }
        rest = &behind[packet.len()..];
    }
    PayloadError::Other
}

fn error_in_binary(body: &[u8]) -> PayloadError {
    let mut rest = body;
    while let Some((&kind, behind)) = rest.split_first() {
        if kind > 1 {
            return PayloadError::Kind;
        }
        let digits = behind.iter().position(|byte| *byte > 9).unwrap_or(behind.len());
        let (digits, behind) = behind.split_at(digits);
        let length =
            digits.iter().try_fold(0_usize, |length, digit| length.checked_mul(10)?.checked_add(usize::from(*digit)));
        let (Some(length), [255, behind @ ..]) = (length, behind) else { return PayloadError::Length };
        if digits.is_empty() || (digits.len() > 1 && digits[0] == 0) {
            return PayloadError::Length;
        }
        if length == 0 {
            return PayloadError::Empty;
        }
        let Some((packet, behind)) = behind.split_at_checked(length) else { return PayloadError::Truncated };
        let error = match (kind, str::from_utf8(packet)) {
            (0, Ok(packet)) => error_in_packet(packet),
            (0, Err(_)) => PayloadError::Utf8,
            _ if packet[0] != 4 => PayloadError::OtherType,
            _ => PayloadError::Other,
        };
        if error != PayloadError::Other {
            return error;
        }
        rest = behind;
    }
    PayloadError::Other
}

fn payload_v3(case: &Case, ours: &Outcome, error: PayloadError) -> bool {
    decodes(case, ours) && error_v3(case) == error
}

fn lone_surrogate(case: &Case, _: &Outcome) -> bool {
    case.operation == Operation::Encode && case.input.iter().any(|packet| packet.get("utf16").is_some())
}

/// The reference reads all lengths of a binary body first. It discards all packets if one length is invalid.
fn packets_before_error_v3(case: &Case, ours: &Outcome) -> bool {
    case.operation == Operation::Decode
        && matches!(content(&case.input[0]), Content::Bytes(_))
        && case.expect.packets.is_empty()
        && case.expect.error.is_some()
        && ours.error.is_some()
        && !ours.packets.is_empty()
}
