//! Reading the arguments of a payload: raw, typed, borrowed, as a tuple, and with attachments at any depth.
#![allow(clippy::expect_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use engineio_proto::Text;
use serde::de::{self, Deserializer, IgnoredAny, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, Value};
use socketio_proto::{DecodeError, Limits, Outgoing, PacketType, Payload, ReadError};

fn event(text: &str) -> Payload {
    Payload::from_json(PacketType::Event, Text::from(text), Vec::new(), &Limits::default()).expect(text)
}

fn with(text: &str, attachments: &[&'static [u8]]) -> Payload {
    let attachments = attachments.iter().map(|bytes| Bytes::from_static(bytes)).collect();
    Payload::from_json(PacketType::Event, Text::from(text), attachments, &Limits::default()).expect(text)
}

/// Bytes that are read with `deserialize_byte_buf`, as `bytes::Bytes` and `serde_bytes::ByteBuf` do.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Blob(Vec<u8>);

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(bytes.to_vec()))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

#[derive(Deserialize, PartialEq, Debug)]
struct Upload<'a> {
    name: &'a str,
    size: u32,
    #[serde(borrow)]
    tags: Option<Vec<&'a str>>,
}

#[test]
fn arguments_are_read_one_by_one() {
    let payload = event(r#"["a",1,"two",[3],{"name":"x","size":4},null,true]"#);
    assert_eq!(payload.name(), Some("a"));
    assert_eq!((payload.len(), payload.is_empty()), (6, false));
    assert_eq!(payload.get::<u8>(0), Ok(1));
    assert_eq!(payload.get::<&str>(1), Ok("two"));
    assert_eq!(payload.get::<Vec<u32>>(2), Ok(vec![3]));
    assert_eq!(payload.get::<Upload<'_>>(3), Ok(Upload { name: "x", size: 4, tags: None }));
    assert_eq!(payload.get::<Option<u32>>(4), Ok(None));
    assert_eq!(payload.get::<bool>(5), Ok(true));
    assert_eq!(payload.raw_args(), r#"1,"two",[3],{"name":"x","size":4},null,true"#);
    assert!(payload.get::<u8>(1).is_err());
    let error = payload.get::<u8>(6).expect_err("only six");
    assert_eq!((error.to_string(), error.argument()), ("argument 6 cannot be read: it is missing".to_owned(), Some(6)));
}

#[test]
fn text_is_borrowed_from_its_message() {
    let text = Text::from(r#"["a","borrowed",{"raw":1}]"#);
    let range = text.as_bytes().as_ptr_range();
    let payload = Payload::from_json(PacketType::Event, text, Vec::new(), &Limits::default()).expect("valid");
    let (argument, raw) = payload.read::<(&str, &RawValue)>().expect("borrowed");
    assert!(range.contains(&argument.as_ptr()));
    assert_eq!(raw.get(), r#"{"raw":1}"#);
    assert!(event(r#"["a","\n"]"#).get::<&str>(0).is_err(), "escapes cannot be borrowed");
}

#[test]
fn a_tuple_takes_all_arguments_and_anything_else_the_first() {
    let payload = event(r#"["a","x",2,[3]]"#);
    assert_eq!(payload.read::<(String, u8, Vec<u8>)>(), Ok(("x".to_owned(), 2, vec![3])));
    assert_eq!(payload.read::<(&str,)>(), Ok(("x",)), "more arguments are ignored");
    assert_eq!(payload.read::<&str>(), Ok("x"));
    assert_eq!(payload.read::<String>(), Ok("x".to_owned()));
    assert_eq!(payload.read::<()>(), Ok(()));
    assert_eq!(payload.read::<Option<&str>>(), Ok(Some("x")));
    assert_eq!(payload.read::<Value>(), Ok(serde_json::json!("x")));
    assert_eq!(payload.read::<&RawValue>().expect("a first argument").get(), r#""x""#);
    assert!(payload.read::<IgnoredAny>().is_ok());
    assert_eq!(event(r#"["a",1,2]"#).read::<[u8; 2]>(), Ok([1, 2]));
    assert_eq!(event(r#"["a",[1,2]]"#).read::<Vec<u8>>(), Ok(vec![1, 2]));
    assert_eq!(event(r#"["a",[1,2]]"#).read::<([u8; 2],)>(), Ok(([1, 2],)));
    assert_eq!(
        event(r#"["a",{"name":"x","size":1,"tags":["y"]}]"#).read(),
        Ok(Upload { name: "x", size: 1, tags: Some(vec!["y"]) })
    );
}

#[test]
fn newtypes_and_tuple_structs_spread_like_what_they_hold() {
    #[derive(Deserialize, PartialEq, Debug)]
    struct Pair(u8, String);
    #[derive(Deserialize, PartialEq, Debug)]
    struct Wrapped((u8, String));
    #[derive(Deserialize, PartialEq, Debug)]
    struct Nothing;
    let payload = event(r#"["a",1,"x"]"#);
    assert_eq!(payload.read(), Ok(Pair(1, "x".to_owned())));
    assert_eq!(payload.read(), Ok(Wrapped((1, "x".to_owned()))));
    assert_eq!(payload.read(), Ok(Nothing));
}

#[test]
fn missing_arguments_are_none_where_they_can_be() {
    let payload = event(r#"["a",1]"#);
    assert_eq!(payload.read::<(u8, Option<u8>, Option<String>, ())>(), Ok((1, None, None, ())));
    let error = payload.read::<(u8, u8)>().expect_err("only one");
    assert_eq!((error.to_string(), error.argument()), ("argument 1 cannot be read: it is missing".to_owned(), Some(1)));
    let none = event(r#"["a"]"#);
    assert_eq!(none.read::<Option<u8>>(), Ok(None));
    assert_eq!(none.read::<()>(), Ok(()));
    assert!(none.read::<u8>().is_err());
    assert!(none.read::<(u8,)>().is_err());
    assert!(none.get::<()>(0).is_err());
    assert_eq!(event(r#"["a",null]"#).read::<Option<u8>>(), Ok(None));
}

#[test]
fn the_payload_of_connect_is_one_value_without_name() {
    let limits = Limits::default();
    let text = Text::from(r#" {"token":"x"} "#);
    let auth = Payload::from_json(PacketType::Connect, text, Vec::new(), &limits).expect("valid");
    assert_eq!((auth.name(), auth.len(), auth.raw(0)), (None, 1, Some(r#"{"token":"x"}"#)));
    assert_eq!(auth.get::<BTreeMap<&str, &str>>(0), Ok(BTreeMap::from([("token", "x")])));
    assert_eq!(auth.read::<BTreeMap<&str, &str>>(), Ok(BTreeMap::from([("token", "x")])));
    for (packet_type, text) in [
        (PacketType::Connect, "[]"),
        (PacketType::Connect, r#""x""#),
        (PacketType::ConnectError, "[]"),
        (PacketType::Disconnect, "{}"),
        (PacketType::Event, "{}"),
        (PacketType::Event, r#"["connect"]"#),
        (PacketType::Ack, "{}"),
        (PacketType::Ack, ""),
    ] {
        let refused = Payload::from_json(packet_type, Text::from(text), Vec::new(), &limits);
        assert_eq!(refused, Err(DecodeError::InvalidPayload), "{packet_type:?} {text}");
    }
}

#[test]
fn attachments_are_read_as_bytes_wherever_a_type_has_bytes() {
    #[derive(Deserialize, PartialEq, Debug)]
    struct File<'a> {
        name: &'a str,
        data: Blob,
        parts: Vec<Option<Blob>>,
        by_name: BTreeMap<String, Blob>,
        by_number: BTreeMap<u8, Blob>,
        note: Option<String>,
    }
    let payload = with(
        r#"["a",{"name":"x","parts":[{"_placeholder":true,"num":1},null],"data":{"num":0,"_placeholder":true},
            "by_name":{"k":{"_placeholder":true,"num":1}},"by_number":{"7":{"_placeholder":true,"num":0}},"more":{"b":[1,{}]}},
            {"_placeholder":true,"num":0}, "é\n"]"#,
        &[b"zero", b"one"],
    );
    let (zero, one) = (Blob(b"zero".to_vec()), Blob(b"one".to_vec()));
    let expected = File {
        name: "x",
        data: zero.clone(),
        parts: vec![Some(one.clone()), None],
        by_name: BTreeMap::from([("k".to_owned(), one)]),
        by_number: BTreeMap::from([(7, zero.clone())]),
        note: None,
    };
    let (file, blob, text) = payload.read::<(File<'_>, Blob, String)>().expect("readable");
    assert_eq!((file, &blob, &text[..]), (expected, &zero, "é\n"));
    assert_eq!(payload.get::<Blob>(1), Ok(zero));
    assert_eq!(payload.get::<&[u8]>(1), Ok(&b"zero"[..]), "borrowed");
    assert_eq!(payload.get::<Vec<u8>>(1), Ok(b"zero".to_vec()), "as a list of numbers");
    assert_eq!(payload.get::<String>(2), Ok("é\n".to_owned()));
    assert_eq!(payload.attachments(), [&b"zero"[..], b"one"]);
    assert_eq!(payload.bytes(1).map(|bytes| bytes.as_ptr()), Some(payload.attachments()[0].as_ptr()), "not copied");
    assert_eq!((payload.bytes(0), payload.bytes(2), payload.bytes(3)), (None, None, None));
}

#[test]
fn attachments_are_read_by_types_that_accept_any_value() {
    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(untagged)]
    enum Any {
        Number(f64),
        Blob(Blob),
        Text(String),
        List(Vec<Any>),
        Map(BTreeMap<String, Any>),
    }
    let payload =
        with(r#"["a",[1,-2.5,"x",{"_placeholder":true,"num":0},{"y":[{"_placeholder":true,"num":0}]}]]"#, &[b"z"]);
    let blob = || Any::Blob(Blob(b"z".to_vec()));
    let expected = Any::List(vec![
        Any::Number(1.0),
        Any::Number(-2.5),
        Any::Text("x".to_owned()),
        blob(),
        Any::Map(BTreeMap::from([("y".to_owned(), Any::List(vec![blob()]))])),
    ]);
    assert_eq!(payload.read(), Ok(expected));
}

#[test]
fn enums_read_the_same_with_and_without_attachments() {
    #[derive(Deserialize, PartialEq, Debug)]
    enum Shape {
        Empty,
        Round(f32),
        Box(u8, u8),
        Named { name: String },
    }
    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(tag = "type", rename_all = "lowercase")]
    enum Tagged {
        Circle { radius: u8 },
    }
    #[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Key {
        Left,
        Right,
    }
    type All = (Shape, Shape, Shape, Shape, Tagged, BTreeMap<Key, char>, BTreeMap<bool, (i64, u64)>);
    let text = r#"["a","Empty",{"Round":1.5},{"Box":[1,2]},{"Named":{"name":"n"}},{"type":"circle","radius":3},
        {"left":"l","right":"\u00e9"},{"true":[-1,18446744073709551615]}]"#;
    let plain = event(text);
    let attached = with(text, &[b"unused"]);
    let expected: All = (
        Shape::Empty,
        Shape::Round(1.5),
        Shape::Box(1, 2),
        Shape::Named { name: "n".to_owned() },
        Tagged::Circle { radius: 3 },
        BTreeMap::from([(Key::Left, 'l'), (Key::Right, 'é')]),
        BTreeMap::from([(true, (-1, u64::MAX))]),
    );
    assert_eq!(attached.read::<All>().expect("readable"), expected);
    assert_eq!(plain.read::<All>().expect("readable"), expected);
}

#[test]
fn types_that_do_not_fit_are_errors_with_and_without_attachments() {
    #[derive(Deserialize, Debug)]
    #[allow(dead_code, reason = "only its shape matters")]
    enum Choice {
        A,
        B(u8),
    }
    let text = r#"["a",1,"x",[1,2,3],{"b":1,"c":2},true,"\ud800"]"#;
    for payload in [event(text), with(text, &[b"unused"])] {
        assert!(payload.get::<String>(0).is_err());
        assert!(payload.get::<u8>(1).is_err());
        assert!(payload.get::<(u8, u8)>(2).is_err(), "one element too many");
        assert!(payload.get::<(u8, u8, u8, u8)>(2).is_err(), "one too few");
        assert!(payload.get::<Upload<'_>>(3).is_err());
        assert!(payload.get::<Choice>(3).is_err());
        assert!(payload.get::<Choice>(2).is_err());
        assert!(payload.get::<Choice>(0).is_err());
        assert!(payload.get::<Blob>(4).is_err());
        assert!(payload.get::<String>(5).is_err(), "a lone surrogate");
        assert!(payload.get::<IgnoredAny>(5).is_ok());
    }
    let blob = with(r#"["a",{"_placeholder":true,"num":0}]"#, &[b"z"]);
    assert!(blob.get::<String>(0).is_err());
    assert!(blob.get::<u8>(0).is_err());
    assert!(blob.get::<BTreeMap<String, IgnoredAny>>(0).is_err());
    assert!(blob.get::<Choice>(0).is_err());
    assert!(blob.get::<Value>(0).is_err(), "a JSON value cannot hold bytes");
    assert_eq!(blob.get::<&RawValue>(0).expect("its text").get(), r#"{"_placeholder":true,"num":0}"#);
}

#[test]
fn errors_contain_the_argument_that_could_not_be_read_and_the_value_found() {
    let text = r#"["a",1,{"name":"x","size":"4"},"z"]"#;
    for payload in [event(text), with(text, &[b"unused"])] {
        let wrong = r#"argument 1 cannot be read: invalid type: string "4", expected u32"#;
        for error in [
            payload.get::<Upload<'_>>(1).expect_err("its size is text"),
            payload.read::<(u8, Upload<'_>, String)>().expect_err("its size is text"),
        ] {
            assert_eq!((error.to_string(), error.argument()), (wrong.to_owned(), Some(1)));
        }
        let first = payload.read::<Option<bool>>().expect_err("a number");
        assert_eq!(first.to_string(), "argument 0 cannot be read: invalid type: integer `1`, expected a boolean");
        assert_eq!(payload.read::<bool>().map_err(|error| error.argument()), Err(Some(0)));
        assert_eq!(payload.read::<Whole>().map_err(|error| error.argument()), Err(None), "each argument was valid");
    }
    assert!(size_of::<ReadError>() <= size_of::<String>());
}

/// Reads all its arguments, and then returns an error.
#[derive(Deserialize, Debug, PartialEq)]
#[serde(try_from = "(u8, IgnoredAny)")]
struct Whole;

impl TryFrom<(u8, IgnoredAny)> for Whole {
    type Error = &'static str;

    fn try_from(_: (u8, IgnoredAny)) -> Result<Self, &'static str> {
        Err("they do not go together")
    }
}

#[test]
fn errors_name_the_types_that_can_hold_binary() {
    let payload = with(r#"["a",1,{"data":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":0}]"#, &[b"z"]);
    let advice = "; binary is read as `bytes::Bytes` or `Vec<u8>`, which a `serde_json::Value` cannot hold";
    for (error, message) in [
        (
            payload.read::<(u8, Value)>().expect_err("binary in it"),
            "argument 1 cannot be read: invalid type: byte array, expected any valid JSON value",
        ),
        (
            payload.get::<String>(2).expect_err("binary"),
            "argument 2 cannot be read: invalid type: byte array, expected a string",
        ),
    ] {
        assert_eq!(error.to_string(), format!("{message}{advice}"));
    }
}

#[test]
fn payloads_are_equal_if_their_text_is_equal() {
    let one = event(r#"["a",1,2]"#);
    assert_eq!(one, event(r#"  ["a", 1,2]"#));
    assert_eq!(one, event(r#"["\u0061",1,2]"#));
    assert_eq!(one, one.clone());
    for other in [event(r#"["b",1,2]"#), event(r#"["a",1]"#), event(r#"["a",1,3]"#), with(r#"["a",1,2]"#, &[b"x"])] {
        assert_ne!(one, other);
    }
    assert_eq!(format!("{one:?}"), r#"Payload { name: Some("a"), args: "1,2", attachments: 0 }"#);
}

#[test]
fn placeholders_are_checked_where_a_payload_is_made() {
    let text = Text::from(r#"["a",{"_placeholder":true,"num":1}]"#);
    let made = Payload::from_json(PacketType::Event, text, vec![Bytes::new()], &Limits::default());
    assert_eq!(made, Err(DecodeError::IllegalPlaceholder));
}

#[test]
fn deep_values_with_attachments_are_read_in_linear_time() {
    #[derive(Deserialize, Serialize)]
    #[serde(untagged)]
    enum Nested {
        List(Vec<Nested>),
        Leaf(u8),
    }
    let text = format!(r#"["a",{}{}1{}]"#, "[".repeat(100), "1,".repeat(10_000), "]".repeat(100));
    let payload = with(&text, &[b"unused"]);
    assert!(payload.get::<IgnoredAny>(0).is_ok());
    assert!(payload.get::<Nested>(0).is_ok());
}

#[test]
fn nesting_that_would_exhaust_the_stack_is_an_error_with_and_without_attachments() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its depth matters")]
    struct Lists(Vec<Lists>);
    let mut limits = Limits::default();
    limits.max_depth = u16::MAX;
    for levels in [100, 127, 128, 60_000] {
        let text = Text::from(format!(r#"["a",{}{}]"#, "[".repeat(levels), "]".repeat(levels)));
        for attachments in [vec![], vec![Bytes::new()]] {
            let payload = Payload::from_json(PacketType::Event, text.clone(), attachments, &limits).unwrap();
            assert_eq!(payload.get::<Lists>(0).is_ok(), levels < 128, "{levels}");
            assert!(payload.get::<IgnoredAny>(0).is_ok());
        }
    }
}

/// A type with a special meaning in one format is one argument, as it would be inside a list. The same holds in other formats.
#[test]
fn an_extension_of_msgpack_is_one_argument_in_json_as_well() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    #[serde(rename = "_ExtStruct")]
    struct Extension((i8, u8));
    let sent = Extension((5, 7));
    let packet = Outgoing::event("/", None, "e", &sent);
    let mut text = String::new();
    packet.write_json(&mut text, 0).expect("JSON");
    assert_eq!(text, r#"["e",[5,7]]"#);
    assert_eq!(event(&text).read::<Extension>(), Ok(sent));
}
