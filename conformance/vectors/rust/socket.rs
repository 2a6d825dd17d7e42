//! The parsers of Socket.IO: ours as the vector files ask them, and the rules that they may differ by.
//!
//! A rule looks at the message that ours stopped at, by a reading of its own that is as lenient as JavaScript.

use engineio_proto::{Frame, Message};
use serde::ser::{Serialize, SerializeTuple as _, Serializer};
use socketio_proto::parser::JsonV4;
use socketio_proto::{Decoder as _, Encoder, Json, Limits, Outgoing, Packet, PacketType, Parser, Payload};

use super::tree::Tree;
use super::vectors::{Case, Codec, Content, Operation, Outcome, Rule, content, message};

/// All of them.
pub(crate) const CODECS: [Codec; 2] = [
    Codec { name: "socketio5", run: |case| run(&Json, case), rules: &JSON },
    Codec { name: "socketio4", run: |case| run(&JsonV4, case), rules: &JSON_V4 },
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

/// A decoded packet in the words of the files.
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

/// Arguments, each of them one.
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
        other => panic!("{other:?} is no id"),
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
            parser.encode(&Outgoing { packet_type: *packet_type, namespace, id, event: None, args }, encoder)
        }
    };
    match encoded {
        Ok(encoded) => {
            Outcome { messages: encoded.frames().iter().map(described_frame).collect(), ..Outcome::default() }
        }
        Err(error) => Outcome { error: Some(error.to_string()), ..Outcome::default() },
    }
}

/// The message of a frame.
fn described_frame(frame: &Frame) -> Tree {
    let data = frame.data().to_vec();
    message(if frame.is_binary() { Content::Bytes(data) } else { Content::Text(String::from_utf8(data).unwrap()) })
}

// Rules

const JSON: [(&str, Rule); 12] = [
    ("blank-type", |case, ours| stopped_at(case, ours, |head| head.blank_type)),
    ("attachment-count-that-is-not-plain", |case, ours| stopped_at(case, ours, |head| !head.plain_count)),
    ("id-with-blanks", |case, ours| stopped_at(case, ours, |head| head.id.chars().any(is_blank))),
    ("id-out-of-range", |case, ours| stopped_at(case, ours, |head| is_large(head.id))),
    ("event-without-payload", |case, ours| stopped_at(case, ours, |head| head.event && head.payload.is_empty())),
    ("nested-too-deep", |case, ours| stopped_at(case, ours, |head| depth(head.payload) > 128)),
    ("namespace-too-long", |case, ours| stopped_at(case, ours, |head| head.namespace.len() > 512)),
    ("placeholder-number-with-a-fraction", fraction),
    ("half-a-surrogate-pair", |case, ours| case.expect.matches(ours, half_pair)),
    ("number-out-of-range", |case, ours| case.expect.matches(ours, out_of_range)),
    ("reserved-name", |case, ours| encodes(case, ours, "is a reserved event name")),
    ("too-many-attachments-to-encode", |case, ours| encodes(case, ours, "too many attachments")),
];

const JSON_V4: [(&str, Rule); 13] = {
    const UNKNOWN_TYPE: (&str, Rule) = ("unknown-type-as-a-packet", unknown_type_as_packet);
    let [a, b, c, d, e, f, g, h, i, j, k, l] = JSON;
    [a, b, c, d, e, f, g, h, i, j, k, l, UNKNOWN_TYPE]
};

fn decodes(case: &Case, ours: &Outcome) -> bool {
    case.operation == Operation::Decode && case.expect.refused_by(ours)
}

fn encodes(case: &Case, ours: &Outcome, words: &str) -> bool {
    case.operation == Operation::Encode && ours.error.as_ref().is_some_and(|error| error.contains(words))
}

/// The parts of a packet's text, as JavaScript tells them apart.
struct Head<'a> {
    blank_type: bool,
    /// There is a count, in up to ten digits, or there has to be none.
    plain_count: bool,
    event: bool,
    namespace: &'a str,
    /// Digits and blanks.
    id: &'a str,
    payload: &'a str,
}

/// What JavaScript converts to 0.
fn is_blank(character: char) -> bool {
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
    let (namespace, rest) = match rest.starts_with('/') {
        true => rest.split_once(',').unwrap_or((rest, "")),
        false => ("/", rest),
    };
    let payload = rest.trim_start_matches(|character: char| character.is_ascii_digit() || is_blank(character));
    let id = &rest[..rest.len() - payload.len()];
    let blank_type = first.is_none_or(is_blank);
    Head { blank_type, plain_count, event: matches!(first, Some('2' | '5')), namespace, id, payload }
}

/// Whether the text that ours stopped at is like that.
fn stopped_at(case: &Case, ours: &Outcome, like: fn(&Head<'_>) -> bool) -> bool {
    decodes(case, ours)
        && case.input.get(ours.taken).is_some_and(|input| match content(input) {
            Content::Text(text) => like(&head(&text)),
            Content::Bytes(_) => false,
        })
}

/// More digits than ours reads, or not the same number in JavaScript.
fn is_large(id: &str) -> bool {
    id.len() > 16 || id.parse().is_ok_and(|id: u64| id >= 1 << 53)
}

/// Levels of arrays and objects.
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

/// There is no attachment between two others: JavaScript reads `undefined`.
fn fraction(case: &Case, ours: &Outcome) -> bool {
    let theirs = case.expect.packets.get(ours.packets.len());
    decodes(case, ours)
        && matches!(case.input.get(ours.taken).map(content), Some(Content::Bytes(_)))
        && theirs.is_some_and(|packet| packet.contains(|value| matches!(value, Tree::Undefined)))
}

/// The decoder of protocol 4 makes a packet of the complaint.
fn unknown_type_as_packet(case: &Case, ours: &Outcome) -> bool {
    let theirs = case.expect.packets.get(ours.packets.len()).and_then(|packet| packet.get("data"));
    decodes(case, ours)
        && ours.error.as_deref() == Some("unknown packet type")
        && theirs.and_then(Tree::as_text).is_some_and(|data| data.starts_with("parser error: unknown packet type "))
}

fn half_pair(theirs: &Tree, ours: &Tree) -> bool {
    match (theirs, ours) {
        (Tree::HalfPair(units), Tree::Name(name)) => String::from_utf16_lossy(units) == *name,
        (theirs, Tree::Unreadable) => theirs.contains(|value| match value {
            Tree::HalfPair(_) => true,
            Tree::Map(entries) => entries.iter().any(|(key, _)| key.starts_with("half a pair")),
            _ => false,
        }),
        _ => false,
    }
}

fn out_of_range(theirs: &Tree, ours: &Tree) -> bool {
    matches!(ours, Tree::Unreadable)
        && theirs.contains(|value| matches!(value, Tree::Number(number) if number.is_infinite()))
}
