//! Generates cases for the live oracle: valid inputs of each codec, corrupted inputs, noise, and packets to encode.
//!
//! A seed determines all cases. They have no expected outcome: the reference parser must provide it.

use engineio_proto::testkit;

use super::tree::{Tree, to_hex};
use super::vectors::{Case, Content, Operation, Options, Outcome, message};

/// A random number generator. The same seed gives the same numbers.
pub(crate) struct Random(testkit::Random);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(testkit::Random::new(seed))
    }

    const fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0.index(limit)
    }

    /// Returns true with this probability.
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        (0..self.below(limit)).map(|_| self.byte()).collect()
    }
}

/// Generates the next case for this codec.
pub(crate) fn case(codec: &str, random: &mut Random) -> Case {
    let encode = random.chance(20);
    let mut options = Options::default();
    let input = match (codec, encode) {
        ("engineio4-packet" | "engineio3-packet", true) => {
            options.binary = random.chance(50);
            vec![engine_packet(random)]
        }
        ("engineio4-payload" | "engineio4-webtransport" | "engineio3-payload", true) => {
            options.binary = random.chance(50);
            (0..random.below(5)).map(|_| engine_packet(random)).collect()
        }
        ("engineio4-packet", false) => vec![packet(random, false)],
        ("engineio3-packet", false) => vec![packet(random, true)],
        ("engineio4-payload", false) => vec![payload(random)],
        ("engineio4-webtransport", false) => {
            options.max_payload = [10, 130, 1_000_000][random.below(3)];
            webtransport(random)
        }
        ("engineio3-payload", false) if random.chance(50) => vec![text_payload_v3(random)],
        ("engineio3-payload", false) => vec![binary_payload_v3(random)],
        ("socketio5" | "socketio4", true) => vec![socket_packet(random, false)],
        ("socketio5" | "socketio4", false) => socket_messages(random),
        ("socketio5-msgpack", true) => vec![socket_packet(random, true)],
        ("socketio5-msgpack", false) => vec![msgpack(random)],
        _ => panic!("no generator for the codec {codec}"),
    };
    let operation = if encode { Operation::Encode } else { Operation::Decode };
    Case { id: String::new(), operation, input, options, expect: Outcome::default() }
}

/// Writes the case as JSON, in the format that the oracle reads.
pub(crate) fn json(case: &Case) -> String {
    let operation = if case.operation == Operation::Encode { "encode" } else { "decode" };
    let input: Vec<_> = case.input.iter().map(written).collect();
    let Options { binary, max_payload } = case.options;
    let options = format!(r#"{{"binary":{binary},"max_payload":{max_payload}}}"#);
    format!(r#"{{"operation":"{operation}","input":[{}],"options":{options}}}"#, input.join(","))
}

/// Writes a value in the format of the vector files. `serde_json` would sort the keys of a map, but their order matters here.
fn written(tree: &Tree) -> String {
    let text = |text: &str| serde_json::to_string(text).unwrap();
    match tree {
        Tree::Null => "null".to_owned(),
        Tree::Undefined => r#"{"$undefined":true}"#.to_owned(),
        Tree::Bool(value) => value.to_string(),
        Tree::Number(number) if number.is_nan() => r#"{"$float":"NaN"}"#.to_owned(),
        Tree::Number(number) if number.is_infinite() => {
            format!(r#"{{"$float":"{}Infinity"}}"#, if *number < 0.0 { "-" } else { "" })
        }
        Tree::Number(number) => serde_json::to_string(number).unwrap(),
        Tree::Text(value) => text(value),
        Tree::Bytes(bytes) => format!(r#"{{"$bytes":"{}"}}"#, to_hex(bytes)),
        Tree::List(elements) => format!("[{}]", elements.iter().map(written).collect::<Vec<_>>().join(",")),
        Tree::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}:{}", text(key), written(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        other => panic!("no generator creates {other:?}"),
    }
}

// Text and bytes

/// The parts of generated texts. They are also inserted to corrupt an input.
const PIECES: [&str; 44] = [
    "a", "b", "b4", "x", "hello", "0", "1", "2", "3", "4", "5", "6", "7", "9", "10", "-", "_", "=", "==", "+", "/",
    ",", ":", ".", "e", "\"", "\\", "[", "]", "{", "}", " ", "\n", "\r", "\t", "\u{0}", "\u{1e}", "\u{a0}", "\u{2028}",
    "\u{feff}", "é", "€", "😀", "*",
];

/// Additional parts that are inserted to corrupt JSON.
const JSON_PIECES: [&str; 24] = [
    "null",
    "true",
    "\\u0000",
    "\\ud800",
    "\\ud83d\\ude00",
    "\\n",
    "1e400",
    "-0",
    "1E+2",
    "0.5",
    "01",
    "\"\"",
    "[]",
    "{}",
    "\"a\":1",
    "{\"_placeholder\":true,\"num\":0}",
    "{\"num\":1,\"_placeholder\":true}",
    "\"_placeholder\"",
    "\"num\"",
    "connect",
    "5-",
    "51-",
    "9007199254740993",
    "/admin,",
];

fn text(random: &mut Random) -> String {
    (0..random.below(7)).map(|_| random.pick(&PIECES)).collect()
}

/// Applies one to three random changes to the text.
fn mutated(random: &mut Random, text: String, json: bool) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(3) {
        let at = random.below(characters.len() + 1);
        let end = (at + random.below(4)).min(characters.len());
        let piece = if json && random.chance(50) { random.pick(&JSON_PIECES) } else { random.pick(&PIECES) };
        match random.below(6) {
            0 => drop(characters.drain(at..end)),
            1 => drop(characters.splice(at..at, piece.chars())),
            2 => drop(characters.splice(at..end, piece.chars())),
            3 => characters.truncate(at),
            4 => {
                let copy = characters[at..end].to_vec();
                let to = random.below(characters.len() + 1);
                drop(characters.splice(to..to, copy));
            }
            _ => characters[at..end].reverse(),
        }
    }
    characters.into_iter().collect()
}

fn mutated_bytes(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(4)).min(bytes.len());
        match random.below(5) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.insert(at, random.byte()),
            2 => bytes[at..end].fill_with(|| random.byte()),
            3 => bytes.truncate(at),
            _ => bytes[at..end].reverse(),
        }
    }
    bytes
}

/// Returns the valid input, a corrupted copy, or noise.
fn corrupted(random: &mut Random, good: String, json: bool) -> String {
    match random.below(100) {
        0..45 => good,
        45..90 => mutated(random, good, json),
        _ => text(random),
    }
}

fn corrupted_bytes(random: &mut Random, good: Vec<u8>) -> Vec<u8> {
    match random.below(100) {
        0..45 => good,
        45..90 => mutated_bytes(random, good),
        _ => random.bytes(20),
    }
}

/// Encodes base64 with one of the two alphabets, with or without padding.
fn base64(random: &mut Random, bytes: &[u8]) -> String {
    let alphabet = match random.chance(80) {
        true => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        false => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    };
    let padded = random.chance(70);
    let mut encoded = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            encoded.push(char::from(alphabet[bits >> (18 - 6 * place) & 63]));
        }
        if padded {
            encoded.extend(std::iter::repeat_n('=', 3 - group.len()));
        }
    }
    encoded
}

// Engine.IO

/// Generates a valid packet as text.
fn packet_text(random: &mut Random, v3: bool) -> String {
    if random.chance(30) {
        let bytes = random.bytes(8);
        return format!("b{}{}", if v3 { "4" } else { "" }, base64(random, &bytes));
    }
    format!("{}{}", random.below(7), text(random))
}

fn packet(random: &mut Random, v3: bool) -> Tree {
    if random.chance(15) {
        let mut bytes = random.bytes(6);
        if v3 && random.chance(70) {
            bytes.insert(0, 4);
        }
        return message(Content::Bytes(bytes));
    }
    let good = packet_text(random, v3);
    message(Content::Text(corrupted(random, good, false)))
}

fn payload(random: &mut Random) -> Tree {
    let packets: Vec<_> = (0..random.below(5)).map(|_| packet_text(random, false)).collect();
    let good = packets.join("\u{1e}");
    if random.chance(15) {
        return message(Content::Bytes(mutated_bytes(random, good.into_bytes())));
    }
    message(Content::Text(corrupted(random, good, false)))
}

fn webtransport(random: &mut Random) -> Vec<Tree> {
    let mut stream = Vec::new();
    for _ in 0..random.below(4) {
        let (flag, content) = match random.chance(40) {
            true => (0x80, if random.chance(10) { vec![7; 120 + random.below(20)] } else { random.bytes(12) }),
            false => (0, packet_text(random, false).into_bytes()),
        };
        let length = content.len();
        match random.below(10) {
            0 => {
                stream.push(flag | 127);
                stream.extend_from_slice(&u64::try_from(length).unwrap().to_be_bytes());
            }
            1 => {
                stream.push(flag | 126);
                stream.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ if length < 126 => stream.push(flag | u8::try_from(length).unwrap()),
            _ => stream.extend([flag | 126, 0, u8::try_from(length).unwrap()]),
        }
        stream.extend(content);
    }
    let stream = corrupted_bytes(random, stream);
    let mut chunks = Vec::new();
    let mut rest = &stream[..];
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(1 + random.below(rest.len()));
        chunks.push(message(Content::Bytes(chunk.to_vec())));
        rest = behind;
    }
    chunks
}

fn text_payload_v3(random: &mut Random) -> Tree {
    let mut good = String::new();
    for _ in 0..random.below(5) {
        let packet = packet_text(random, true);
        good.push_str(&format!("{}:{packet}", packet.encode_utf16().count()));
    }
    message(Content::Text(corrupted(random, good, false)))
}

fn binary_payload_v3(random: &mut Random) -> Tree {
    let mut good = Vec::new();
    for _ in 0..random.below(5) {
        let (kind, content) = match random.chance(50) {
            true => (1, [vec![4], random.bytes(14)].concat()),
            false => (0, packet_text(random, true).into_bytes()),
        };
        good.push(kind);
        good.extend(content.len().to_string().bytes().map(|digit| digit - b'0'));
        good.push(255);
        good.extend(content);
    }
    message(Content::Bytes(corrupted_bytes(random, good)))
}

fn engine_packet(random: &mut Random) -> Tree {
    const TYPES: [&str; 7] = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
    let (name, content) = match random.below(3) {
        0 => ("message", Some(Content::Bytes(random.bytes(20)))),
        1 => ("message", Some(Content::Text(text(random)))),
        _ => (random.pick(&TYPES), random.chance(30).then(|| Content::Text(text(random)))),
    };
    let mut entries = vec![("type".to_owned(), Tree::text(name))];
    if let Some(Tree::Map(data)) = content.map(message) {
        entries.extend(data);
    }
    Tree::Map(entries)
}

// Socket.IO

fn whitespace(random: &mut Random) -> &'static str {
    if random.chance(4) { random.pick(&[" ", "\n", "\t \r"]) } else { "" }
}

fn json_string(random: &mut Random) -> String {
    const INSIDE: [&str; 14] =
        ["a", "b", "é", "😀", "\\\"", "\\\\", "\\u0041", "\\ud83d\\ude00", "\\n", "/", ",", "{", "]", "\u{2028}"];
    let inside: String = (0..random.below(5)).map(|_| random.pick(&INSIDE)).collect();
    let name = random.pick(&["", "", "", "num", "_placeholder", "connect", "message", "__proto__"]);
    format!("\"{name}{inside}\"")
}

fn json_number(random: &mut Random) -> String {
    match random.below(6) {
        0 => random
            .pick(&[
                "0",
                "-0",
                "1e5",
                "1E-3",
                "0.1",
                "-1.5e+2",
                "9007199254740993",
                "1e400",
                "5e-324",
                "0.30000000000000004",
            ])
            .to_owned(),
        1 => serde_json::to_string(&number(random)).unwrap(),
        _ => random.below(300).to_string(),
    }
}

fn json_value(random: &mut Random, depth: usize) -> String {
    let inner =
        |random: &mut Random| format!("{}{}{}", whitespace(random), json_value(random, depth + 1), whitespace(random));
    match random.below(if depth > 3 { 6 } else { 9 }) {
        0 | 1 => json_number(random),
        2 => random.pick(&["true", "false", "null"]).to_owned(),
        3 | 4 => json_string(random),
        5 => {
            let num = match random.chance(90) {
                true => random.below(3).to_string(),
                false => json_value(random, 4),
            };
            let flag = if random.chance(95) { "true" } else { "false" };
            match random.below(10) {
                0 => format!(r#"{{"num":{num},"_placeholder":{flag}}}"#),
                1 => format!(r#"{{"_placeholder":{flag},"more":{},"num":{num}}}"#, json_value(random, 4)),
                2 => format!(r#"{{ "_placeholder" : {flag},"n\u0075m":{num} }}"#),
                _ => format!(r#"{{"_placeholder":{flag},"num":{num}}}"#),
            }
        }
        6 => {
            let elements: Vec<_> = (0..random.below(4)).map(|_| inner(random)).collect();
            format!("[{}]", elements.join(","))
        }
        7 => {
            let members: Vec<_> =
                (0..random.below(4)).map(|_| format!("{}:{}", json_string(random), inner(random))).collect();
            format!("{{{}}}", members.join(","))
        }
        _ if random.chance(3) => {
            let levels = 110 + random.below(30);
            format!("{}{}", "[".repeat(levels), "]".repeat(levels))
        }
        _ => "[]".to_owned(),
    }
}

fn json_list(random: &mut Random, first: Option<String>) -> String {
    let mut elements: Vec<_> = first.into_iter().collect();
    elements.extend((0..random.below(4)).map(|_| format!("{}{}", whitespace(random), json_value(random, 0))));
    format!("[{}]", elements.join(","))
}

fn json_object(random: &mut Random) -> String {
    let members: Vec<_> =
        (0..random.below(3)).map(|_| format!("{}:{}", json_string(random), json_value(random, 1))).collect();
    format!("{{{}}}", members.join(","))
}

fn namespace(random: &mut Random) -> String {
    let rest: String =
        (0..random.below(4)).map(|_| random.pick(&["a", "admin", "é", "/", "?token=1", "1", "-"])).collect();
    format!("/{rest}")
}

/// Generates up to three packets: their texts and attachments.
fn socket_messages(random: &mut Random) -> Vec<Tree> {
    let mut messages = Vec::new();
    for _ in 0..=random.below(3) {
        let digit = [0, 1, 2, 2, 2, 3, 4, 5, 5, 6][random.below(10)];
        let mut good = digit.to_string();
        let mut attachments = 0;
        if digit > 4 {
            attachments = if random.chance(90) { 1 + random.below(3) } else { random.below(12) };
            good.push_str(&format!("{attachments}-"));
        }
        if random.chance(35) {
            good.push_str(&namespace(random));
            good.push_str(if random.chance(90) { "," } else { "" });
        }
        if random.chance(40) {
            let digits = if random.chance(90) { 4 } else { 18 };
            good.extend((0..=random.below(digits)).map(|_| char::from(b'0' + random.byte() % 10)));
        }
        good.push_str(&match (digit, random.below(10)) {
            (_, 0) => json_value(random, 0),
            (0 | 1, 1..7) | (3 | 4, 1) => String::new(),
            (0 | 4, 1..9) => json_object(random),
            (0 | 4, _) => json_string(random),
            (2 | 5, _) => {
                let name = if random.chance(90) { json_string(random) } else { json_number(random) };
                json_list(random, Some(name))
            }
            _ => json_list(random, None),
        });
        messages.push(message(Content::Text(corrupted(random, good, true))));
        if random.chance(5) {
            attachments = random.below(3);
        }
        messages.extend((0..attachments.min(12)).map(|_| message(Content::Bytes(random.bytes(4)))));
    }
    messages
}

/// Generates a finite number of any magnitude.
fn number(random: &mut Random) -> f64 {
    match random.below(8) {
        0 => [0.0, -0.0, 1e21, 1e-7, 5e-324, f64::MAX, 9_007_199_254_740_991.0, 4_294_967_296.0][random.below(8)],
        1 => Some(f64::from_bits(random.next())).filter(|number| number.is_finite()).unwrap_or_default(),
        2 => (random.below(2_000_000) as f64 - 1e6) / 1000.0,
        3 => 2_f64.powi(i32::try_from(random.below(60)).unwrap()) * if random.chance(50) { 1.0 } else { -1.0 },
        4 => (random.below(20) as f64) * 10_f64.powi(i32::try_from(random.below(50)).unwrap() - 25),
        _ => random.below(600) as f64 - 300.0,
    }
}

fn value(random: &mut Random, depth: usize) -> Tree {
    match random.below(if depth > 3 { 6 } else { 8 }) {
        0 | 1 => Tree::Number(number(random)),
        2 => match random.below(8) {
            0..3 => Tree::Null,
            3..6 => Tree::Bool(random.chance(50)),
            6 => Tree::Number(f64::NAN),
            _ => Tree::Number(f64::NEG_INFINITY),
        },
        3 | 4 => Tree::Text(text(random)),
        5 => Tree::Bytes(random.bytes(6)),
        6 => Tree::List((0..random.below(4)).map(|_| value(random, depth + 1)).collect()),
        _ => object(random, depth),
    }
}

/// Generates an object. Its keys are unique, and no key is a number, because JavaScript would move it to the front.
fn object(random: &mut Random, depth: usize) -> Tree {
    let key =
        |index: usize, random: &mut Random| format!("{}{index}", random.pick(&["k", "é", "\"", "\n", "_", "x y"]));
    Tree::Map((0..random.below(4)).map(|index| (key(index, random), value(random, depth + 1))).collect())
}

/// Generates a packet to encode. Its members are in the order in which the reference server writes them.
fn socket_packet(random: &mut Random, msgpack: bool) -> Tree {
    let (name, data) = match random.below(10) {
        0 => ("connect", random.chance(50).then(|| object(random, 0))),
        1 => ("disconnect", None),
        2 => ("connect_error", Some(if random.chance(70) { object(random, 0) } else { Tree::Text(text(random)) })),
        3..6 => ("ack", Some(Tree::List((0..random.below(4)).map(|_| value(random, 0)).collect()))),
        _ => {
            let name = if random.chance(90) {
                text(random)
            } else {
                random.pick(&["connect", "error", "newListener"]).to_owned()
            };
            let args = (0..random.below(4)).map(|_| value(random, 0));
            ("event", Some(Tree::List([Tree::Text(name)].into_iter().chain(args).collect())))
        }
    };
    let namespace = if random.chance(50) { "/".to_owned() } else { namespace(random) };
    let id = match name {
        "ack" => true,
        "event" => random.chance(40),
        _ => false,
    };
    let id = id.then(|| ("id".to_owned(), Tree::Number((random.next() >> (11 + random.below(50))) as f64)));
    let mut entries = vec![("type".to_owned(), Tree::text(name))];
    entries.extend(data.map(|data| ("data".to_owned(), data)));
    entries.extend(id);
    entries.push(("namespace".to_owned(), Tree::Text(namespace)));
    if msgpack && name == "ack" {
        // The reference server writes the id of an ack first.
        let id = entries.remove(2);
        entries.insert(0, id);
    }
    Tree::Map(entries)
}

// MessagePack

fn length(
    random: &mut Random,
    out: &mut Vec<u8>,
    short: Option<(u8, usize)>,
    [one, two, four]: [u8; 3],
    length: usize,
) {
    let bytes = u32::try_from(length).unwrap().to_be_bytes();
    match (short, random.below(20)) {
        (Some((base, limit)), 0..17) if length < limit => out.push(base | bytes[3]),
        (_, 17..20 | 0..2) if one == 0 => out.extend([two, bytes[2], bytes[3]]),
        (_, 19) => out.extend([four, bytes[0], bytes[1], bytes[2], bytes[3]]),
        (_, 18) => out.extend([two, bytes[2], bytes[3]]),
        _ if one == 0 => out.extend([two, bytes[2], bytes[3]]),
        _ => out.extend([one, bytes[3]]),
    }
}

fn packed_text(random: &mut Random, out: &mut Vec<u8>, text: &str) {
    length(random, out, Some((0xa0, 32)), [0xd9, 0xda, 0xdb], text.len());
    out.extend_from_slice(text.as_bytes());
}

fn packed_number(random: &mut Random, out: &mut Vec<u8>) {
    let number = random.next() >> random.below(64);
    let bytes = number.to_be_bytes();
    match random.below(14) {
        0 => out.extend([&[0xcc], &bytes[7..]].concat()),
        1 => out.extend([&[0xcd], &bytes[6..]].concat()),
        2 => out.extend([&[0xce], &bytes[4..]].concat()),
        3 => out.extend([&[0xcf], &bytes[..]].concat()),
        4 => out.extend([&[0xd0], &bytes[7..]].concat()),
        5 => out.extend([&[0xd1], &bytes[6..]].concat()),
        6 => out.extend([&[0xd2], &bytes[4..]].concat()),
        7 => out.extend([&[0xd3], &bytes[..]].concat()),
        8 => out.extend([&[0xca], &bytes[4..]].concat()),
        9 => out.extend([&[0xcb], &bytes[..]].concat()),
        10 => out.push(0xe0 | bytes[7]),
        _ => out.push(bytes[7] & 0x7f),
    }
}

fn packed_value(random: &mut Random, out: &mut Vec<u8>, depth: usize) {
    match random.below(if depth > 3 { 9 } else { 12 }) {
        0 | 1 => packed_number(random, out),
        2 => out.push([0xc0, 0xc2, 0xc3][random.below(3)]),
        3 => out.extend([0xd4, 0, 0]),
        4 | 5 => {
            let text = text(random);
            packed_text(random, out, &text);
        }
        6 => {
            let bytes = random.bytes(6);
            length(random, out, None, [0xc4, 0xc5, 0xc6], bytes.len());
            out.extend(bytes);
        }
        7 => {
            let bytes = random.bytes(6);
            out.extend([0xc7, u8::try_from(bytes.len()).unwrap(), if random.chance(60) { 0 } else { random.byte() }]);
            out.extend(bytes);
        }
        8 => {
            let size = random.below(5);
            out.push(0xd4 + u8::try_from(size).unwrap());
            out.push(if random.chance(60) { 0 } else { random.byte() });
            out.extend((0..1 << size).map(|_| random.byte()));
        }
        9 | 10 => {
            let count = random.below(4);
            length(random, out, Some((0x90, 16)), [0, 0xdc, 0xdd], count);
            (0..count).for_each(|_| packed_value(random, out, depth + 1));
        }
        _ => packed_map(random, out, depth),
    }
}

fn packed_map(random: &mut Random, out: &mut Vec<u8>, depth: usize) {
    let count = random.below(4);
    length(random, out, Some((0x80, 16)), [0, 0xde, 0xdf], count);
    for _ in 0..count {
        if random.chance(95) {
            let key = if random.chance(98) { text(random) } else { "__proto__".to_owned() };
            packed_text(random, out, &key);
        } else {
            packed_value(random, out, 4);
        }
        packed_value(random, out, depth + 1);
    }
}

fn msgpack(random: &mut Random) -> Tree {
    let packet_type = if random.chance(95) { random.below(5) } else { random.below(8) };
    let mut members = Vec::new();
    let mut member = |random: &mut Random, name: &str, write: &mut dyn FnMut(&mut Random, &mut Vec<u8>)| {
        let mut out = Vec::new();
        packed_text(random, &mut out, name);
        write(random, &mut out);
        members.push(out);
    };
    if random.chance(98) {
        member(random, "type", &mut |_, out| out.push(u8::try_from(packet_type).unwrap()));
    }
    let data = |random: &mut Random, out: &mut Vec<u8>| match packet_type {
        _ if random.chance(5) => packed_value(random, out, 0),
        0 | 1 if random.chance(30) => out.extend([0xd4, 0, 0]),
        0 | 4 if random.chance(80) => packed_map(random, out, 1),
        4 => packed_text(random, out, "no"),
        _ => {
            let count = random.below(4);
            length(random, out, Some((0x90, 15)), [0, 0xdc, 0xdd], count + 1);
            if random.chance(85) {
                let name = if random.chance(90) { text(random) } else { "connect".to_owned() };
                packed_text(random, out, &name);
            } else {
                packed_number(random, out);
            }
            (0..count).for_each(|_| packed_value(random, out, 1));
        }
    };
    if packet_type > 1 || random.chance(50) {
        member(random, "data", &mut { data });
    }
    if random.chance(40) {
        member(random, "id", &mut |random, out| {
            if random.chance(90) { out.push(5) } else { packed_value(random, out, 3) }
        });
    }
    if random.chance(98) {
        let name = if random.chance(90) { namespace(random) } else { text(random) };
        member(random, "nsp", &mut |random, out| packed_text(random, out, &name));
    }
    if random.chance(20) {
        let name = random.pick(&["options", "x", "data", "type", "nsp", "id", "__proto__"]);
        member(random, name, &mut |random, out| packed_value(random, out, 2));
    }
    if random.chance(50) && !members.is_empty() {
        members.rotate_left(1);
    }
    let mut good = Vec::new();
    length(random, &mut good, Some((0x80, 16)), [0, 0xde, 0xdf], members.len());
    good.extend(members.concat());
    let mut bytes = corrupted_bytes(random, good);
    // The reference allocates an extension of up to 4 GiB before it notices that the bytes are missing.
    bytes.retain(|byte| *byte != 0xc9);
    message(Content::Bytes(bytes))
}
