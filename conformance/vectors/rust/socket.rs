//! Runs our Socket.IO parsers on the cases of the vector files, and defines the rules by which they may differ from the reference.
//!
//! A rule examines the message that our parser rejected. It reads that message with a parser of its own, which is as lenient as JavaScript.

use std::fmt;

use engineio_proto::{Frame, Message};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple as _, Serializer};
use serde_json::value::RawValue;
use socketio_proto::parser::{JsonV4, MsgPack};
use socketio_proto::{Decoder as _, Encoder, Json, Limits, Outgoing, Packet, PacketType, Parser, Payload};

use super::tree::Tree;
use super::vectors::{Case, Codec, Content, Operation, Outcome, Rule, content, message};

/// All parsers of Socket.IO.
pub(crate) const CODECS: [Codec; 3] = [
    Codec { name: "socketio5", run: |case| run(&Json, case), rules: &JSON },
    Codec { name: "socketio4", run: |case| run(&JsonV4, case), rules: &JSON_V4 },
    Codec { name: "socketio5-msgpack", run: |case| run(&MsgPack, case), rules: &MSGPACK },
];

fn run(parser: &impl Parser, case: &Case) -> Outcome {
    match case.operation {
        Operation::Decode => decode(parser, case),
        Operation::Encode => encode(parser, case),
    }
}

const TYPES: [(&str, PacketType); 5] = [
    ("connect", PacketType::Connect),
    ("disconnect", PacketType::Disconnect),
    ("event", PacketType::Event),
    ("ack", PacketType::Ack),
    ("connect_error", PacketType::ConnectError),
];

fn decode(parser: &impl Parser, case: &Case) -> Outcome {
    let mut decoder = parser.decoder(&Limits::default());
    let mut outcome = Outcome::default();
    for input in &case.input {
        let message = match content(input) {
            Content::Text(text) => Message::Text(text.into()),
            Content::Bytes(bytes) => Message::Binary(bytes.into()),
        };
        match decoder.decode(message) {
            Ok(packet) => outcome.packets.extend(packet.map(|packet| described(&packet))),
            Err(error) => {
                outcome.error = Some(error.to_string());
                return outcome;
            }
        }
        outcome.taken += 1;
    }
    outcome
}

/// Describes a decoded packet in the format of the files.
fn described(packet: &Packet) -> Tree {
    let (name, _) = TYPES.iter().find(|(_, each)| *each == packet.packet_type).unwrap();
    let mut entries = vec![
        ("type".to_owned(), Tree::text(*name)),
        ("namespace".to_owned(), Tree::text(packet.namespace.to_string())),
    ];
    if let Some(id) = packet.id {
        entries.push(("id".to_owned(), Tree::Number(id as f64)));
    }
    if let Some(payload) = &packet.payload {
        let args = args(payload);
        let data = match packet.packet_type {
            PacketType::Event | PacketType::Ack => {
                Tree::List(payload.name().map(|name| Tree::Name(name.to_owned())).into_iter().chain(args).collect())
            }
            _ => args.into_iter().next().unwrap(),
        };
        entries.push(("data".to_owned(), data));
    }
    Tree::Map(entries)
}

fn args(payload: &Payload) -> Vec<Tree> {
    let arg = |index| payload.get(index).unwrap_or(Tree::Unreadable);
    (0..payload.len()).map(arg).collect()
}

/// Serializes each element of the slice as one argument.
struct Spread<'a>(&'a [Tree]);

impl Serialize for Spread<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|arg| tuple.serialize_element(arg))?;
        tuple.end()
    }
}

fn encode(parser: &impl Parser, case: &Case) -> Outcome {
    let packet = &case.input[0];
    let text = |key| packet.get(key).and_then(Tree::as_text);
    let (_, packet_type) = TYPES.iter().find(|(name, _)| Some(*name) == text("type")).unwrap();
    let id = packet.get("id").map(|id| match id {
        Tree::Number(id) => *id as u64,
        other => panic!("{other:?} cannot be an id"),
    });
    let namespace = text("namespace").unwrap();
    let encoder = &mut Encoder::new();
    let encoded = match (packet_type, packet.get("data")) {
        (PacketType::Event, Some(Tree::List(elements))) => {
            let (name, args) = elements.split_first().unwrap();
            parser.encode(&Outgoing::event(namespace, id, name.as_text().unwrap(), &Spread(args)), encoder)
        }
        (PacketType::Ack, Some(Tree::List(args))) => {
            parser.encode(&Outgoing::ack(namespace, id.unwrap(), &Spread(args)), encoder)
        }
        (_, data) => {
            let args = data.filter(|data| !matches!(data, Tree::Undefined));
            let mut outgoing = Outgoing::new(*packet_type, namespace, args);
            outgoing.id = id;
            parser.encode(&outgoing, encoder)
        }
    };
    match encoded {
        Ok(encoded) => {
            Outcome { messages: encoded.frames().iter().map(described_frame).collect(), ..Outcome::default() }
        }
        Err(error) => Outcome { error: Some(error.to_string()), ..Outcome::default() },
    }
}

/// Converts a frame to a message in the format of the files.
fn described_frame(frame: &Frame) -> Tree {
    let data = frame.data().to_vec();
    message(if frame.is_binary() { Content::Bytes(data) } else { Content::Text(String::from_utf8(data).unwrap()) })
}

// Rules

const JSON: [(&str, Rule); 13] = [
    ("empty-or-whitespace-type", |case, ours| rejects_text(case, ours, |head| head.whitespace_type)),
    ("attachment-count-not-decimal", |case, ours| rejects_text(case, ours, |head| !head.plain_count)),
    ("id-with-whitespace", |case, ours| rejects_text(case, ours, |head| head.id.chars().any(is_whitespace))),
    ("id-out-of-range", |case, ours| rejects_text(case, ours, |head| is_large(head.id))),
    ("event-without-payload", |case, ours| rejects_text(case, ours, |head| head.event && head.payload.is_empty())),
    ("nested-too-deep", |case, ours| rejects_text(case, ours, |head| depth(head.payload) > 128)),
    ("placeholder-number-with-a-fraction", fraction),
    ("repeated-key", repeated_key),
    ("nested-too-deep-to-read", |case, ours| has(case, is_deep) && case.expect.matches(ours, unlike_rust)),
    ("lone-surrogate", |case, ours| has(case, is_lone_surrogate) && case.expect.matches(ours, unlike_rust)),
    ("number-out-of-range", |case, ours| has(case, is_infinite) && case.expect.matches(ours, unlike_rust)),
    ("reserved-name", |case, ours| encodes(case, ours, "is a reserved event name")),
    ("too-many-attachments-to-encode", |case, ours| encodes(case, ours, "too many attachments")),
];

const JSON_V4: [(&str, Rule); 14] = {
    const UNKNOWN_TYPE: (&str, Rule) = ("unknown-type-as-a-packet", unknown_type_as_packet);
    let [a, b, c, d, e, f, g, h, i, j, k, l, m] = JSON;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, UNKNOWN_TYPE]
};

const MSGPACK: [(&str, Rule); 18] = [
    ("reserved-name", |case, ours| encodes(case, ours, "is a reserved event name")),
    ("nested-too-deep", |case, ours| refuses(case, ours, |_| true) && facts(case).depth > 128),
    ("invalid-utf-8", |case, ours| refuses(case, ours, |_| true) && facts(case).bad_text),
    ("msgpack-different-error", different_error),
    ("msgpack-event-name", |case, ours| refuses(case, ours, has_odd_name)),
    ("msgpack-event-name-as-a-float", |case, ours| refuses(case, ours, |_| true) && facts(case).float_first),
    ("msgpack-namespace-without-a-slash", |case, ours| {
        refuses(case, ours, |packet| !namespace_of(packet).starts_with('/'))
    }),
    ("msgpack-id-out-of-range", |case, ours| refuses(case, ours, has_odd_id)),
    ("msgpack-extension-as-arguments", |case, ours| refuses(case, ours, has_pair)),
    ("msgpack-disconnect-with-nil", disconnect_with_nil),
    ("msgpack-map-key-not-text", |case, ours| both_read(case, ours, other_keys) && facts(case).odd_key),
    ("msgpack-member-key-not-text", |case, _| decoding(case) && facts(case).odd_member),
    ("msgpack-key-__proto__", |case, ours| decoding(case) && ours.error.is_none() && facts(case).proto),
    ("msgpack-member-__proto__", |case, _| decoding(case) && facts(case).proto_member),
    ("msgpack-javascript-values", |case, ours| decoding(case) && case.expect.matches(ours, closest)),
    ("msgpack-undefined-not-written", |case, _| case.operation == Operation::Encode && has_undefined(&case.input[0])),
    ("msgpack-order-of-members", |case, ours| {
        case.operation == Operation::Encode && ours.error.is_none() && has_other_order(&case.input[0])
    }),
    ("msgpack-integer-overflow", |case, ours| {
        case.operation == Operation::Encode && ours.error.is_none() && case.input[0].contains(|value| matches!(value, Tree::Number(number) if number.fract() == 0.0 && number.is_finite() && (*number >= 18_446_744_073_709_551_616.0 || *number < -9_223_372_036_854_775_808.0)))
    }),
];

fn decodes(case: &Case, ours: &Outcome) -> bool {
    case.operation == Operation::Decode && case.expect.refused_by(ours, unlike_rust)
}

fn encodes(case: &Case, ours: &Outcome, words: &str) -> bool {
    case.operation == Operation::Encode && ours.error.as_ref().is_some_and(|error| error.contains(words))
}

/// The parts of a packet's text, as JavaScript separates them.
struct Head<'a> {
    whitespace_type: bool,
    /// The attachment count has one to ten digits, or the type has no count.
    plain_count: bool,
    event: bool,
    /// Digits and whitespace.
    id: &'a str,
    payload: &'a str,
}

/// Returns whether JavaScript treats the character as whitespace. It converts whitespace to the number 0.
fn is_whitespace(character: char) -> bool {
    (character.is_whitespace() && character != '\u{85}') || character == '\u{feff}'
}

fn head(text: &str) -> Head<'_> {
    let first = text.chars().next();
    let mut rest = first.map_or("", |first| &text[first.len_utf8()..]);
    let mut plain_count = true;
    if matches!(first, Some('5' | '6')) {
        let (count, behind) = rest.split_once('-').unwrap_or((rest, ""));
        plain_count = (1..=10).contains(&count.len()) && count.bytes().all(|digit| digit.is_ascii_digit());
        rest = behind;
    }
    let rest = match rest.starts_with('/') {
        true => rest.split_once(',').map_or("", |(_, behind)| behind),
        false => rest,
    };
    let payload = rest.trim_start_matches(|character: char| character.is_ascii_digit() || is_whitespace(character));
    let id = &rest[..rest.len() - payload.len()];
    let whitespace_type = first.is_none_or(is_whitespace);
    Head { whitespace_type, plain_count, event: matches!(first, Some('2' | '5')), id, payload }
}

/// Returns whether our parser rejected a text message, and `like` holds for that message.
fn rejects_text(case: &Case, ours: &Outcome, like: fn(&Head<'_>) -> bool) -> bool {
    decodes(case, ours)
        && case.input.get(ours.taken).is_some_and(|input| match content(input) {
            Content::Text(text) => like(&head(&text)),
            Content::Bytes(_) => false,
        })
}

/// Returns whether the id has more digits than our parser accepts, or JavaScript rounds it.
fn is_large(id: &str) -> bool {
    id.len() > 16 || id.parse().is_ok_and(|id: u64| id >= 1 << 53)
}

/// Returns the number of nested arrays and objects.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// A placeholder number with a fraction selects no attachment, so JavaScript reads `undefined`.
fn fraction(case: &Case, ours: &Outcome) -> bool {
    let theirs = case.expect.packets.get(ours.packets.len());
    decodes(case, ours)
        && matches!(case.input.get(ours.taken).map(content), Some(Content::Bytes(_)))
        && theirs.is_some_and(|packet| packet.contains(|value| matches!(value, Tree::Undefined)))
}

/// JavaScript discards the first value of a repeated key. Our parser may reject that value.
fn repeated_key(case: &Case, ours: &Outcome) -> bool {
    let rejects = case.expect.refused_by(ours, unlike_rust) && ours.error.as_deref() == Some("illegal attachments");
    let unread = case.expect.matches(ours, |_, ours| matches!(ours, Tree::Unreadable));
    (rejects || unread)
        && case.operation == Operation::Decode
        && case.input.iter().any(|input| match content(input) {
            Content::Text(text) => {
                let json = serde_json::from_str::<&RawValue>(head(&text).payload).ok();
                json.is_some_and(|json| has_repeated_key(json.get()))
            }
            Content::Bytes(_) => false,
        })
}

/// Examines only the text, because the value of the key may be impossible to deserialize.
fn has_repeated_key(json: &str) -> bool {
    if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(json) {
        return elements.iter().any(|element| has_repeated_key(element.get()));
    }
    let Ok(Members(members)) = serde_json::from_str(json) else { return false };
    members.iter().enumerate().any(|(index, (key, value))| {
        members.iter().take(index).any(|(other, _)| other == key) || has_repeated_key(value.get())
    })
}

/// The members of an object, including those with a repeated key.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = access.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All)
    }
}

/// The reference decoder of protocol 4 returns the error as a packet.
fn unknown_type_as_packet(case: &Case, ours: &Outcome) -> bool {
    let theirs = case.expect.packets.get(ours.packets.len()).and_then(|packet| packet.get("data"));
    decodes(case, ours)
        && ours.error.as_deref() == Some("unknown packet type")
        && theirs.and_then(Tree::as_text).is_some_and(|data| data.starts_with("parser error: unknown packet type "))
}

/// Returns whether the reference decoded a value for which `like` holds.
fn has(case: &Case, like: fn(&Tree) -> bool) -> bool {
    case.expect.packets.iter().any(|packet| packet.contains(like))
}

fn is_lone_surrogate(value: &Tree) -> bool {
    match value {
        Tree::LoneSurrogate(_) => true,
        Tree::Map(entries) => entries.iter().any(|(key, _)| key.starts_with("lone surrogate")),
        _ => false,
    }
}

fn is_infinite(value: &Tree) -> bool {
    matches!(value, Tree::Number(number) if number.is_infinite())
}

fn is_deep(value: &Tree) -> bool {
    matches!(value, Tree::Deep)
}

/// Accepts values that JSON can express but our parser cannot deserialize: no Rust type holds them, or they are nested too deeply.
fn unlike_rust(theirs: &Tree, ours: &Tree) -> bool {
    match (theirs, ours) {
        (Tree::LoneSurrogate(units), Tree::Name(name)) => String::from_utf16_lossy(units) == *name,
        (theirs, Tree::Unreadable) => {
            theirs.contains(|value| is_lone_surrogate(value) || is_infinite(value) || is_deep(value))
        }
        _ => false,
    }
}

/// Returns whether our parser rejects a packet that the reference accepts, and `like` holds for that packet.
fn refuses(case: &Case, ours: &Outcome, like: fn(&Tree) -> bool) -> bool {
    decodes(case, ours) && case.expect.packets.get(ours.packets.len()).is_some_and(like)
}

fn decoding(case: &Case) -> bool {
    case.operation == Operation::Decode
}

/// Returns whether both accept the input and decode the same packets, apart from values whose difference `allowed` accepts.
fn both_read(case: &Case, ours: &Outcome, allowed: fn(&Tree, &Tree) -> bool) -> bool {
    decoding(case) && case.expect.error.is_none() && case.expect.matches(ours, allowed)
}

fn namespace_of(packet: &Tree) -> &str {
    packet.get("namespace").and_then(Tree::as_text).unwrap_or_default()
}

fn elements(packet: &Tree) -> Option<&[Tree]> {
    if let Some(Tree::List(elements)) = packet.get("data") { Some(elements) } else { None }
}

/// Returns whether an event has no name, a reserved name, or a name that is neither text nor an integer.
fn has_odd_name(packet: &Tree) -> bool {
    const RESERVED: [&str; 6] =
        ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
    packet.get("type").and_then(Tree::as_text) == Some("event")
        && elements(packet).is_some_and(|elements| match elements.first() {
            Some(Tree::Text(name)) => RESERVED.contains(&name.as_str()),
            Some(Tree::Number(number)) => number.fract() != 0.0,
            _ => true,
        })
}

fn has_odd_id(packet: &Tree) -> bool {
    matches!(packet.get("id"), Some(Tree::Number(id)) if *id < 0.0 || *id >= 9_007_199_254_740_992.0)
}

/// Returns whether the data looks like an extension. JavaScript represents it as an array of its type and its bytes.
fn has_pair(packet: &Tree) -> bool {
    matches!(elements(packet), Some([Tree::Number(_), Tree::Bytes(_)]))
}

/// Both reject the input with different errors: one reports invalid MessagePack, the other an invalid packet.
fn different_error(case: &Case, ours: &Outcome) -> bool {
    decodes(case, ours) && case.expect.error.is_some() && case.expect.packets.len() == ours.packets.len()
}

fn disconnect_with_nil(case: &Case, ours: &Outcome) -> bool {
    case.expect.error.as_deref() == Some("invalid payload")
        && matches!(&ours.packets[..], [packet] if packet.get("type").and_then(Tree::as_text) == Some("disconnect") && packet.get("data").is_none())
}

/// Accepts the closest Rust equivalent of a value that only JavaScript has.
fn closest(theirs: &Tree, ours: &Tree) -> bool {
    match (theirs, ours) {
        (Tree::Undefined, Tree::Null) => true,
        // Dates beyond this limit are invalid in JavaScript.
        (Tree::Date(milliseconds), Tree::Number(number)) => milliseconds == number || number.abs() > 8.64e15,
        _ => false,
    }
}

/// Accepts maps whose keys JavaScript converted to text or lost. Our parser converts some keys differently, and cannot deserialize others.
fn other_keys(theirs: &Tree, ours: &Tree) -> bool {
    let is_map = |value: &Tree| matches!(value, Tree::Map(_));
    closest(theirs, ours)
        || (is_map(theirs) && is_map(ours))
        || (matches!(ours, Tree::Unreadable) && theirs.contains(is_map))
}

fn has_undefined(packet: &Tree) -> bool {
    packet.contains(|value| matches!(value, Tree::Undefined))
}

/// Returns whether the members are in a different order than the reference server writes them, or include one that only clients add.
fn has_other_order(packet: &Tree) -> bool {
    let Tree::Map(members) = packet else { return false };
    let members: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
    let order = match packet.get("type").and_then(Tree::as_text) {
        Some("ack") => ["id", "type", "data", "namespace"],
        _ => ["type", "data", "id", "namespace"],
    };
    !order.iter().filter(|name| members.contains(name)).eq(&members)
}

/// Properties of a MessagePack message, collected up to its first invalid byte.
#[derive(Default)]
struct Facts {
    depth: usize,
    bad_text: bool,
    odd_key: bool,
    /// A key of the packet is not text, but JavaScript converts it to the name of a member.
    odd_member: bool,
    /// A key at any depth is `__proto__`.
    proto: bool,
    /// A key of the packet itself is `__proto__`.
    proto_member: bool,
    /// An array that is a member of the packet starts with a float.
    float_first: bool,
}

fn facts(case: &Case) -> Facts {
    let mut facts = Facts::default();
    if let Content::Bytes(bytes) = content(&case.input[0]) {
        walk(&bytes, 0, 1, &mut facts);
    }
    facts
}

/// Reads the value at this position. Returns the position after it, or `None` if it is truncated.
fn walk(bytes: &[u8], at: usize, depth: usize, facts: &mut Facts) -> Option<usize> {
    let first = *bytes.get(at)?;
    let announced = |size: usize| {
        let length = bytes.get(at + 1..at + 1 + size)?;
        Some((length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), at + 1 + size))
    };
    let (count, start) = match first {
        0x80..=0x8f => (2 * usize::from(first & 15), at + 1),
        0x90..=0x9f => (usize::from(first & 15), at + 1),
        0xdc | 0xdd => announced(if first == 0xdc { 2 } else { 4 })?,
        0xde | 0xdf => announced(if first == 0xde { 2 } else { 4 }).map(|(count, start)| (2 * count, start))?,
        _ => {
            let (length, start) = match first {
                0xa0..=0xbf => (usize::from(first & 31), at + 1),
                0xc4 | 0xd9 => announced(1)?,
                0xc5 | 0xda => announced(2)?,
                0xc6 | 0xdb => announced(4)?,
                0xc7..=0xc9 => announced(1 << (first - 0xc7)).map(|(length, start)| (length, start + 1))?,
                0xcc | 0xd0 => (1, at + 1),
                0xcd | 0xd1 | 0xd4 => (2, at + 1),
                0xd5 => (3, at + 1),
                0xca | 0xce | 0xd2 => (4, at + 1),
                0xd6 => (5, at + 1),
                0xcb | 0xcf | 0xd3 => (8, at + 1),
                0xd7 => (9, at + 1),
                0xd8 => (17, at + 1),
                _ => (0, at + 1),
            };
            let content = bytes.get(start..start + length)?;
            facts.bad_text |= matches!(first, 0xa0..=0xbf | 0xd9..=0xdb) && str::from_utf8(content).is_err();
            return Some(start + length);
        }
    };
    facts.depth = facts.depth.max(depth);
    let map = matches!(first, 0x80..=0x8f | 0xde | 0xdf);
    facts.float_first |= !map && depth == 2 && matches!(bytes.get(start), Some(0xca | 0xcb));
    let mut at = start;
    for index in 0..count {
        let key = map && index % 2 == 0;
        if key {
            let odd = !matches!(bytes.get(at), Some(0xa0..=0xbf | 0xd9..=0xdb));
            let name = name(bytes, at);
            facts.odd_key |= odd;
            facts.odd_member |= odd && depth == 1 && matches!(name, Some(b"type" | b"nsp" | b"data" | b"id"));
            facts.proto |= name == Some(b"__proto__");
            facts.proto_member |= depth == 1 && name == Some(b"__proto__");
        }
        at = walk(bytes, at, depth + 1, facts)?;
    }
    Some(at)
}

/// Returns the text to which JavaScript converts a key that is text, bytes, or an array with one such element.
fn name(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let behind = bytes.get(at + 1..)?;
    let number = |size: usize| {
        let length = behind.get(..size)?;
        Some((length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), size))
    };
    let first = bytes[at];
    let (length, size) = match first {
        0x91 => return name(bytes, at + 1),
        0xdc if behind.starts_with(&[0, 1]) => return name(bytes, at + 3),
        0xdd if behind.starts_with(&[0, 0, 0, 1]) => return name(bytes, at + 5),
        0xa0..=0xbf => (usize::from(first & 31), 0),
        0xc4 | 0xd9 => number(1)?,
        0xc5 | 0xda => number(2)?,
        0xc6 | 0xdb => number(4)?,
        _ => return None,
    };
    behind.get(size..size + length)
}
