//! Encoding by the default parser: the bytes match those of `JSON.stringify` and of the reference's encoder. Covers attachments, refusals,
//! and memory. Encoded packets decode to the same packets.
#![allow(clippy::expect_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use engineio_proto::{Frame, Message};
use proptest::prelude::*;
use serde::ser::{self, SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socketio_proto::{
    Args, DecodeError, Decoder, EncodeError, Encoded, Encoder, Json, Limits, MsgPack, Outgoing, Packet, PacketType,
    Parser, Payload,
};

/// Bytes that are written with `serialize_bytes`, as `bytes::Bytes` and `serde_bytes` do.
#[derive(Clone, PartialEq, Debug)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

fn blob(bytes: &[u8]) -> Blob {
    Blob(bytes.to_vec())
}

fn encode<A: Args + ?Sized>(packet: &Outgoing<'_, A>) -> Result<Encoded, EncodeError> {
    Json.encode(packet, &mut Encoder::new())
}

fn text_of(frame: &Frame) -> &str {
    assert!(!frame.is_binary());
    std::str::from_utf8(frame.data()).expect("UTF-8")
}

/// The text of the header, and the attachments.
fn parts(encoded: &Encoded) -> (&str, Vec<&[u8]>) {
    let (header, attachments) = encoded.frames().split_first().expect("at least a header");
    assert!(attachments.iter().all(Frame::is_binary));
    (text_of(header), attachments.iter().map(|frame| &frame.data()[..]).collect())
}

#[track_caller]
fn event<A: Args>(args: A) -> String {
    let encoded = encode(&Outgoing::event("/", None, "a", &args)).expect("encodable");
    let (text, attachments) = parts(&encoded);
    assert!(attachments.is_empty());
    text.to_owned()
}

/// The encoded form of the only argument.
#[track_caller]
fn value<A: Serialize>(value: A) -> String {
    let text = event((value,));
    text.strip_prefix(r#"2["a","#).and_then(|text| text.strip_suffix(']')).expect("an argument").to_owned()
}

#[test]
fn headers() {
    let some: Option<&()> = Some(&());
    for (packet_type, namespace, id, event, args, expected) in [
        (PacketType::Event, "/", None, Some("a"), some, r#"2["a"]"#),
        (PacketType::Event, "/", Some(0), Some("a"), None, r#"20["a"]"#),
        (PacketType::Event, "/admin", Some(12), Some("a"), some, r#"2/admin,12["a"]"#),
        (PacketType::Ack, "/", Some(u64::MAX), None, some, "318446744073709551615[]"),
        (PacketType::Ack, "/n", Some(1), None, None, "3/n,1[]"),
        (PacketType::Disconnect, "/", None, None, None, "1"),
        (PacketType::Disconnect, "/n", None, None, None, "1/n,"),
        (PacketType::Connect, "/", None, None, None, "0"),
        (PacketType::Connect, "/n", None, None, None, "0/n,"),
        (PacketType::ConnectError, "/n", None, None, None, "4/n,"),
    ] {
        let mut outgoing = Outgoing::new(packet_type, namespace, args);
        (outgoing.id, outgoing.event) = (id, event);
        let encoded = encode(&outgoing).expect(expected);
        assert_eq!(parts(&encoded), (expected, vec![]));
    }
}

#[test]
fn connect_and_connect_error_have_one_value() {
    #[derive(Serialize)]
    struct Joined {
        sid: &'static str,
    }
    let outgoing = |packet_type| Outgoing::new(packet_type, "/n", Some(&Joined { sid: "x" }));
    assert_eq!(parts(&encode(&outgoing(PacketType::Connect)).expect("valid")).0, r#"0/n,{"sid":"x"}"#);
    assert_eq!(parts(&encode(&outgoing(PacketType::ConnectError)).expect("valid")).0, r#"4/n,{"sid":"x"}"#);
    let message = Outgoing::new(PacketType::ConnectError, "/", Some("no"));
    assert_eq!(parts(&encode(&message).expect("valid")).0, r#"4"no""#);
    let auth = received(r#"0{"a": 1}"#, &[]);
    let relayed = Outgoing::new(PacketType::Connect, "/", Some(&auth));
    assert_eq!(parts(&encode(&relayed).expect("valid")).0, r#"0{"a": 1}"#);
}

#[test]
fn payloads_that_a_packet_type_does_not_take_are_refused() {
    fn refused<A: Args + ?Sized>(packet_type: PacketType, args: &A) {
        let packet = Outgoing::new(packet_type, "/", Some(args));
        assert!(
            matches!(encode(&packet), Err(EncodeError::Serialize(_) | EncodeError::TooManyAttachments)),
            "{packet_type:?}"
        );
    }
    refused(PacketType::Connect, "text");
    refused(PacketType::Connect, &[1, 2]);
    refused(PacketType::Connect, &());
    refused(PacketType::Connect, &BTreeMap::from([("a", blob(b"x"))]));
    refused(PacketType::ConnectError, &1);
    refused(PacketType::Disconnect, &BTreeMap::from([("a", 1)]));
    refused(PacketType::Connect, &received(r#"2["a",1]"#, &[]));
    refused(PacketType::Connect, &received(r#"2["a",{},{}]"#, &[]));
    refused(PacketType::Connect, &received(r#"51-["a",{"_placeholder":true,"num":0}]"#, &[b"x"]));
}

#[test]
fn namespaces_and_names_that_cannot_be_sent_are_refused_107() {
    for reserved in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let refused = encode(&Outgoing::event("/", None, reserved, &()));
        assert_eq!(refused, Err(EncodeError::Reserved(reserved.to_owned())));
        assert_eq!(refused.expect_err("reserved").to_string(), format!("\"{reserved}\" is a reserved event name"));
    }
    for namespace in ["", "admin", "/a,b", ","] {
        assert!(
            matches!(encode(&Outgoing::event(namespace, None, "a", &())), Err(EncodeError::Serialize(_))),
            "{namespace}"
        );
    }
    let unnamed = Outgoing::new(PacketType::Event, "/", Some(&()));
    assert!(matches!(encode(&unnamed), Err(EncodeError::Serialize(_))));
    let mut named = Outgoing::ack("/", 1, &());
    named.event = Some("a");
    assert!(matches!(encode(&named), Err(EncodeError::Serialize(_))));
}

#[test]
fn tuples_and_arrays_spread_and_anything_else_is_one_argument() {
    #[derive(Serialize)]
    struct Pair(u8, &'static str);
    #[derive(Serialize)]
    struct Wrapped((u8, u8));
    #[derive(Serialize)]
    struct Nothing;
    assert_eq!(event(()), r#"2["a"]"#);
    assert_eq!(event(Nothing), r#"2["a"]"#);
    assert_eq!(event((1, "b", [2], (3, 4))), r#"2["a",1,"b",[2],[3,4]]"#);
    assert_eq!(event([1, 2]), r#"2["a",1,2]"#);
    assert_eq!(event(Pair(1, "x")), r#"2["a",1,"x"]"#);
    assert_eq!(event(Wrapped((1, 2))), r#"2["a",1,2]"#);
    assert_eq!(event(vec![1, 2]), r#"2["a",[1,2]]"#);
    assert_eq!(event("x"), r#"2["a","x"]"#);
    assert_eq!(event(1.5), r#"2["a",1.5]"#);
    assert_eq!(event(None::<u8>), r#"2["a",null]"#);
    assert_eq!(event(Some((1, 2))), r#"2["a",[1,2]]"#);
    assert_eq!(event(BTreeMap::from([("x", 1)])), r#"2["a",{"x":1}]"#);
    assert_eq!(event(serde_json::json!([1, {"b": null}])), r#"2["a",[1,{"b":null}]]"#);
    let ack = encode(&Outgoing::ack("/", 7, &("x", 1))).expect("valid");
    assert_eq!(parts(&ack).0, r#"37["x",1]"#);
    assert_eq!(parts(&encode(&Outgoing::ack("/", 7, "x")).expect("valid")).0, r#"37["x"]"#);
}

#[test]
fn numbers_are_written_as_javascript_writes_them() {
    for (number, expected) in [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.0, "-1"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (123_456.789, "123456.789"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (9_007_199_254_740_991.0, "9007199254740991"),
        (9_007_199_254_740_993.0, "9007199254740992"),
        (123_456_789_012_345_680_000.0, "123456789012345680000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (f64::MAX, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (f64::NAN, "null"),
        (f64::INFINITY, "null"),
        (f64::NEG_INFINITY, "null"),
    ] {
        assert_eq!(value(number), expected, "{number:e}");
    }
    assert_eq!(value(0.1_f32), "0.1");
    assert_eq!(value((1_u8, -2_i8, 3_u16, -4_i16, 5_u32, -6_i32, 7_u64)), "[1,-2,3,-4,5,-6,7]");
    assert_eq!(value((u64::MAX, i64::MIN, u128::MAX)), format!("[{},{},{}]", u64::MAX, i64::MIN, u128::MAX));
}

#[test]
fn special_characters_are_found_wherever_they_are() {
    for length in 0..40 {
        for at in 0..=length {
            for special in ["\"", "\\", "\u{1f}", "\0", " ", "!", "]", "é", "\u{7f}"] {
                let text = ["x".repeat(at).as_str(), special, "x".repeat(length - at).as_str()].concat();
                assert_eq!(value(&text), serde_json::to_string(&text).expect("a string"), "{at} of {length}");
            }
        }
    }
}

#[test]
fn strings_are_escaped_as_javascript_escapes_them() {
    assert_eq!(value("\u{8}\t\n\u{c}\r\"\\/"), r#""\b\t\n\f\r\"\\/""#);
    assert_eq!(
        value("\0\u{1}\u{b}\u{1e}\u{1f}\u{7f}\u{2028}"),
        "\"\\u0000\\u0001\\u000b\\u001e\\u001f\u{7f}\u{2028}\""
    );
    assert_eq!(value("é😀"), "\"é😀\"");
    assert_eq!(value('"'), r#""\"""#);
    let name = encode(&Outgoing::event("/", None, "\u{1e}\"\n", &())).expect("valid");
    assert_eq!(parts(&name).0, r#"2["\u001e\"\n"]"#);
}

#[test]
fn structures() {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Message<'a> {
        user_name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reply: Option<u8>,
        seen: bool,
        none: (),
    }
    #[derive(Serialize)]
    enum Shape {
        Empty,
        Round(f32),
        Box(u8, u8),
        Named { name: &'static str },
    }
    let message = Message { user_name: "x", reply: None, seen: true, none: () };
    assert_eq!(value(&message), r#"{"userName":"x","seen":true,"none":null}"#);
    assert_eq!(
        value((Shape::Empty, Shape::Round(1.5), Shape::Box(1, 2), Shape::Named { name: "n" })),
        r#"["Empty",{"Round":1.5},{"Box":[1,2]},{"Named":{"name":"n"}}]"#
    );
    assert_eq!(value((Vec::<u8>::new(), BTreeMap::<u8, u8>::new(), [(); 0])), "[[],{},[]]");
    assert_eq!(event(Shape::Box(1, 2)), r#"2["a",{"Box":[1,2]}]"#);
    assert_eq!(event(Shape::Named { name: "n" }), r#"2["a",{"Named":{"name":"n"}}]"#);
    assert_eq!(event(Shape::Empty), r#"2["a","Empty"]"#);
    assert_eq!(value(format_args!("{}-\"{}\"", 1, "x\n")), r#""1-\"x\n\"""#);
}

#[test]
fn keys_are_strings_and_integers() {
    #[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
    enum Key {
        Left,
    }
    #[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
    struct Id(u32);
    assert_eq!(value(BTreeMap::from([("a\"b", 1)])), r#"{"a\"b":1}"#);
    assert_eq!(value(BTreeMap::from([(1_u8, 1), (2, 2)])), r#"{"1":1,"2":2}"#);
    assert_eq!(value(BTreeMap::from([(-1_i64, 1)])), r#"{"-1":1}"#);
    assert_eq!(value(BTreeMap::from([(Key::Left, 1)])), r#"{"Left":1}"#);
    assert_eq!(value(BTreeMap::from([(Id(1), 'x')])), r#"{"1":"x"}"#);
    assert_eq!(value(BTreeMap::from([('x', 1)])), r#"{"x":1}"#);
    assert!(matches!(
        encode(&Outgoing::event("/", None, "a", &BTreeMap::from([((1, 2), 1)]))),
        Err(EncodeError::Serialize(_))
    ));
    assert!(matches!(
        encode(&Outgoing::event("/", None, "a", &BTreeMap::from([(vec![1], 1)]))),
        Err(EncodeError::Serialize(_))
    ));
    assert!(matches!(
        encode(&Outgoing::event("/", None, "a", &BTreeMap::from([((), 1)]))),
        Err(EncodeError::Serialize(_))
    ));
}

#[test]
fn raw_json_is_written_unchanged() {
    let raw = RawValue::from_string(r#"{"a" : [1e0]}"#.to_owned()).expect("valid");
    assert_eq!(value((&raw, 1)), r#"[{"a" : [1e0]},1]"#);
    assert_eq!(event(&raw), r#"2["a",{"a" : [1e0]}]"#);
    let payload = received(r#"2["a", {"b": 1}]"#, &[]);
    assert_eq!(event((payload.get::<&RawValue>(0).expect("raw"), 2)), r#"2["a",{"b": 1},2]"#);
}

#[test]
fn bytes_become_attachments_depth_first() {
    let args = (blob(b"0"), vec![blob(b"1"), blob(b"2")], BTreeMap::from([("x", (1, blob(b"3")))]), "y");
    let encoded = encode(&Outgoing::event("/n", Some(5), "a", &args)).expect("valid");
    let (text, attachments) = parts(&encoded);
    assert_eq!(
        text,
        concat!(
            r#"54-/n,5["a",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}],"#,
            r#"{"x":[1,{"_placeholder":true,"num":3}]},"y"]"#
        )
    );
    assert_eq!(attachments, [b"0", b"1", b"2", b"3"]);
    let ack = encode(&Outgoing::ack("/", 1, &blob(b"x"))).expect("valid");
    assert_eq!(parts(&ack), (r#"61-1[{"_placeholder":true,"num":0}]"#, vec![&b"x"[..]]));
    let ten = encode(&Outgoing::event("/", None, "a", &vec![blob(b""); 10])).expect("valid");
    assert!(parts(&ten).0.starts_with(r#"510-["a",[{"_placeholder":true,"num":0},"#), "{}", parts(&ten).0);
}

#[test]
fn attachments_are_counted() {
    let eleven = vec![blob(b"x"); 11];
    let packet = Outgoing::event("/", None, "a", &eleven);
    let mut encoder = Encoder::new();
    assert_eq!(Json.encode(&packet, &mut encoder), Err(EncodeError::TooManyAttachments));
    encoder.set_max_attachments(u8::MAX);
    let encoded = Json.encode(&packet, &mut encoder).expect("within the limit");
    assert!(parts(&encoded).0.starts_with("511-["));
    let hundred = vec![blob(b"x"); 255];
    let encoded = Json.encode(&Outgoing::event("/", None, "a", &hundred), &mut encoder).expect("within the limit");
    assert!(parts(&encoded).0.starts_with("5255-["));
    assert_eq!(parts(&encoded).1.len(), 255);
}

struct Broken;

impl Serialize for Broken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("before", &"x".repeat(20_000))?;
        Err(ser::Error::custom("not available"))
    }
}

struct Panics;

impl Serialize for Panics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(None)?.serialize_entry("before", &1)?;
        std::panic::resume_unwind(Box::new("a panic of the application"));
    }
}

struct Undisplayable;

impl fmt::Display for Undisplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a")?;
        Err(fmt::Error)
    }
}

impl Serialize for Undisplayable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[test]
fn data_that_cannot_be_encoded_leaves_no_bytes_behind_162() {
    let mut encoder = Encoder::new();
    let refused = Json.encode(&Outgoing::event("/", None, "a", &(1, Broken)), &mut encoder);
    assert_eq!(refused, Err(EncodeError::Serialize("not available".to_owned())));
    assert_eq!(refused.expect_err("broken").to_string(), "cannot be serialised: not available");
    let next = Json.encode(&Outgoing::event("/", None, "a", &1), &mut encoder).expect("valid");
    assert_eq!(parts(&next).0, r#"2["a",1]"#);
    assert!(Json.encode(&Outgoing::event("/", None, "a", &Undisplayable), &mut encoder).is_err());
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Json.encode(&Outgoing::event("/", None, "a", &Panics), &mut encoder)
    }));
    assert!(unwound.is_err());
    let next = Json.encode(&Outgoing::event("/", None, "a", &2), &mut encoder).expect("valid");
    assert_eq!(parts(&next).0, r#"2["a",2]"#);
}

fn received(text: &str, attachments: &[&'static [u8]]) -> Payload {
    let mut decoder = Json.decoder(&Limits::default());
    let mut packet = decoder.decode(Message::from(text)).expect(text);
    for attachment in attachments {
        packet = decoder.decode(Message::Binary(Bytes::from_static(attachment))).expect(text);
    }
    packet.expect("a complete packet").payload.expect("a payload")
}

#[test]
fn a_received_payload_is_relayed_unchanged() {
    let payload = received(r#"2["message", {"b" : 1} ,2e0 , "\u0041"]"#, &[]);
    assert_eq!(event(&payload), "2[\"a\",{\"b\" : 1} ,2e0 , \"\\u0041\"]");
    assert_eq!(event(payload.clone()), event(&payload));
    assert_eq!(
        parts(&encode(&Outgoing::ack("/", 3, &payload)).expect("valid")).0,
        "33[{\"b\" : 1} ,2e0 , \"\\u0041\"]"
    );
    let none = received(r#"2["message"]"#, &[]);
    assert_eq!(event(&none), r#"2["a"]"#);
    assert_eq!(parts(&encode(&Outgoing::ack("/", 3, &none)).expect("valid")).0, "33[]");
    let placeholder = received(r#"2["message",{"_placeholder":true,"num":0}]"#, &[]);
    assert_eq!(event(&placeholder), r#"2["a",{"_placeholder":true,"num":0}]"#, "still an ordinary object");
}

#[test]
fn relayed_attachments_are_shared() {
    let payload = received(r#"52-["message",{"_placeholder":true,"num":1}]"#, &[b"x", b"y"]);
    let encoded = encode(&Outgoing::event("/n", Some(1), "a", &payload)).expect("valid");
    let (text, attachments) = parts(&encoded);
    assert_eq!(text, r#"52-/n,1["a",{"_placeholder":true,"num":1}]"#);
    assert_eq!(
        attachments.iter().map(|bytes| bytes.as_ptr()).collect::<Vec<_>>(),
        [payload.attachments()[0].as_ptr(), payload.attachments()[1].as_ptr()]
    );
    let ack = encode(&Outgoing::ack("/", 1, &payload)).expect("valid");
    assert_eq!(parts(&ack).0, r#"62-1[{"_placeholder":true,"num":1}]"#);
    let mut encoder = Encoder::new();
    encoder.set_max_attachments(1);
    let refused = Json.encode(&Outgoing::event("/", None, "a", &payload), &mut encoder);
    assert_eq!(refused, Err(EncodeError::TooManyAttachments));
}

#[test]
fn small_packets_share_memory_and_reuse_it() {
    let mut encoder = Encoder::new();
    let mut addresses = Vec::new();
    for round in 0..1_000 {
        let encoded = Json.encode(&Outgoing::event("/", None, "a", &"x".repeat(100)), &mut encoder).expect("valid");
        addresses.push(encoded.frames()[0].data().as_ptr() as usize);
        assert_eq!(parts(&encoded).0.len(), 109, "{round}");
    }
    let (first, last) = (addresses.iter().min().expect("some"), addresses.iter().max().expect("some"));
    assert!(last - first < 8 * 1024, "the encoder reuses one piece");
}

#[test]
fn queued_packets_keep_their_bytes() {
    let mut encoder = Encoder::new();
    let waiting: Vec<Encoded> = (0..500)
        .map(|number| {
            Json.encode(&Outgoing::event("/", None, "a", &(number, "x".repeat(number * 40))), &mut encoder)
                .expect("valid")
        })
        .collect();
    for (number, encoded) in waiting.iter().enumerate() {
        assert_eq!(parts(encoded).0, format!(r#"2["a",{number},"{}"]"#, "x".repeat(number * 40)));
    }
}

#[test]
fn large_packets_have_their_own_memory_and_little_unused() {
    let mut encoder = Encoder::new();
    let small = |encoder: &mut Encoder| {
        let encoded = Json.encode(&Outgoing::event("/", None, "a", &1), encoder).expect("valid");
        encoded.frames()[0].data().as_ptr() as usize
    };
    let before = small(&mut encoder);
    let argument = "x".repeat(1 << 20);
    let payload = received(&format!(r#"2["a","{argument}"]"#), &[]);
    let relayed = Json.encode(&Outgoing::event("/", None, "a", &payload), &mut encoder).expect("valid");
    assert_eq!(parts(&relayed).0.len(), (1 << 20) + 9);
    assert!(small(&mut encoder).abs_diff(before) < 8 * 1024, "the piece is still in use");
    let typed = Json.encode(&Outgoing::event("/", None, "a", &vec![1; 1 << 20]), &mut encoder).expect("valid");
    let length = parts(&typed).0.len();
    assert_eq!(length, (2 << 20) + 8);
    for encoded in [relayed, typed] {
        let Encoded::One(frame) = encoded else { panic!("no attachments") };
        let data = frame.data().clone();
        drop(frame);
        let length = data.len();
        let memory = data.try_into_mut().map_or(length, |bytes| bytes.capacity());
        assert!(memory <= length + length / 4, "{memory} bytes for {length}");
    }
}

/// The amount of memory that a frame's data keeps alive after everything else was dropped.
fn kept_alive(encoded: Encoded) -> usize {
    let data = encoded.frames().first().expect("a packet has a frame").data().clone();
    drop(encoded);
    data.try_into_mut().expect("nothing else references the data").capacity()
}

#[test]
fn a_queued_packet_keeps_one_chunk_of_the_configured_size_alive() {
    let packet = Outgoing::event("/", None, "a", &1);
    let length = r#"2["a",1]"#.len();
    for (piece, kept) in [(0, length), (7, length), (64, 64), (512, 512), (8192, 8192)] {
        // The encoder is dropped, and the packet is still queued.
        let waiting = Json.encode(&packet, &mut Encoder::with_piece(piece)).expect("valid");
        assert_eq!(kept_alive(waiting), kept, "pieces of {piece} bytes");
    }
    assert_eq!(kept_alive(encode(&packet).expect("valid")), 8192, "the default");
}

#[test]
fn small_chunks_are_reused_too() {
    let mut encoder = Encoder::with_piece(64);
    let mut place = || {
        let encoded = Json.encode(&Outgoing::event("/", None, "a", &1), &mut encoder).expect("valid");
        encoded.frames()[0].data().as_ptr() as usize
    };
    let first = place();
    // Eight packets of eight bytes fill a buffer of the encoder.
    assert!((1..8).all(|number| place() == first + number * 8));
    assert_eq!(place(), first);
}

#[test]
fn a_custom_parser_can_write_text_and_bytes() {
    let mut encoder = Encoder::new();
    encoder.start_text(10).push_str("dropped");
    encoder.start_text(10).push('é');
    assert_eq!(text_of(&encoder.finish_text()), "é");
    encoder.start_binary(10).extend_from_slice(b"dropped");
    for length in [1, 10_000, 1_000_000] {
        encoder.start_binary(length / 2).extend(std::iter::repeat_n(0xff, length));
        let binary = encoder.finish_binary();
        assert!(binary.is_binary());
        assert_eq!(&binary.data()[..], vec![0xff; length]);
        encoder.start_text(length / 2).extend(std::iter::repeat_n('é', length));
        assert_eq!(text_of(&encoder.finish_text()), "é".repeat(length));
    }
    encoder.start_binary(0);
    assert!(encoder.finish_binary().data().is_empty());
}

/// Decodes an encoded packet.
fn decoded(encoded: &Encoded) -> Result<Option<Packet>, DecodeError> {
    let mut decoder = Json.decoder(&Limits::default());
    let mut packet = Ok(None);
    for frame in encoded.frames() {
        assert_eq!(packet, Ok(None));
        packet = decoder.decode(if frame.is_binary() {
            Message::Binary(frame.data().clone())
        } else {
            Message::from(text_of(frame))
        });
    }
    packet
}

#[derive(Clone, PartialEq, Debug)]
enum Tree {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Bytes(Blob),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => value.serialize(serializer),
            Self::Integer(value) => value.serialize(serializer),
            Self::Float(value) => value.serialize(serializer),
            Self::Text(value) => value.serialize(serializer),
            Self::Bytes(value) => value.serialize(serializer),
            Self::List(value) => value.serialize(serializer),
            Self::Map(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TreeVisitor;
        impl<'de> serde::de::Visitor<'de> for TreeVisitor {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Integer(value))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Tree, E> {
                i64::try_from(value).map(Tree::Integer).map_err(E::custom)
            }
            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }
            fn visit_bytes<E>(self, value: &[u8]) -> Result<Tree, E> {
                Ok(Tree::Bytes(Blob(value.to_vec())))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Tree::List(values))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    values.insert(key, value);
                }
                Ok(Tree::Map(values))
            }
        }
        deserializer.deserialize_any(TreeVisitor)
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(Tree::Integer),
        // A number with a fraction stays a float. Up to 15 digits are exact in serde_json without `float_roundtrip`.
        (any::<i16>(), 1..1000_u16).prop_map(|(whole, part)| Tree::Float(f64::from(whole) + f64::from(part) / 1024.0)),
        any::<String>().prop_map(Tree::Text),
        ".{0,20}".prop_map(Tree::Text),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Tree::Bytes(Blob(bytes))),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Tree::List),
            proptest::collection::btree_map(any::<String>(), inner, 0..5).prop_map(Tree::Map),
        ]
    })
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(
        name in any::<String>(), namespace in "/[^,]{0,20}", id in proptest::option::of(0..1_u64 << 53), values in proptest::collection::vec(tree(), 0..4),
    ) {
        let mut encoder = Encoder::new();
        encoder.set_max_attachments(u8::MAX);
        let packet = Outgoing::event(&namespace, id, &name, &values);
        let encoded = Json.encode(&packet, &mut encoder).expect("valid");
        prop_assume!(encoded.frames().len() <= 11);
        let decoded_packet = decoded(&encoded).expect("valid").expect("whole");
        prop_assert_eq!(decoded_packet.packet_type, PacketType::Event);
        prop_assert_eq!(&decoded_packet.namespace[..], &namespace);
        prop_assert_eq!(decoded_packet.id, id);
        let payload = decoded_packet.payload.clone().expect("a payload");
        prop_assert_eq!(payload.name(), Some(&name[..]));
        prop_assert_eq!(payload.get::<Vec<Tree>>(0).expect("readable"), values);
        // Relaying gives the same packet.
        let relayed = Json.encode(&Outgoing::event(&namespace, id, &name, &payload), &mut encoder).expect("valid");
        prop_assert_eq!(decoded(&relayed).expect("valid").expect("whole"), decoded_packet);
    }

    #[test]
    fn the_chunk_size_changes_no_packet(
        piece in prop_oneof![Just(0), Just(1), Just(64), 0..300_usize],
        packets in proptest::collection::vec((any::<String>(), proptest::collection::vec(tree(), 0..4)), 1..8),
    ) {
        let (mut small, mut usual) = (Encoder::with_piece(piece), Encoder::new());
        let mut written = Vec::new();
        for (name, values) in &packets {
            let packet = Outgoing::event("/", None, name, values);
            written.push((Json.encode(&packet, &mut small), Json.encode(&packet, &mut usual)));
            written.push((MsgPack.encode(&packet, &mut small), MsgPack.encode(&packet, &mut usual)));
        }
        // They are compared only at the end, to detect a packet that a later one has overwritten.
        for (small, usual) in written {
            prop_assert_eq!(small, usual);
        }
    }

    #[test]
    fn numbers_keep_their_value(number in any::<f64>(), short in any::<f32>()) {
        prop_assume!(number.is_finite() && short.is_finite());
        prop_assert_eq!(value(number).parse(), Ok(number));
        prop_assert_eq!(value(short).parse(), Ok(short));
    }

    #[test]
    fn strings_are_what_serde_json_reads_back(text in any::<String>()) {
        prop_assert_eq!(serde_json::from_str::<String>(&value(&text)).expect("valid"), text);
    }
}
