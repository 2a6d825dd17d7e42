//! Reading arguments as types: the result is that of `serde_json`, with and without attachments. A wrong type causes an error, and nothing
//! worse.

use arbitrary::{Result, Unstructured};
use std::collections::BTreeMap;

use bytes::Bytes;
use engineio_proto::Text;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socketio_proto::{Limits, PacketType, Payload, ReadError};

use super::value::Value;
use crate::input::{rest, rest_text};

#[derive(Deserialize, Serialize, PartialEq, Debug)]
struct Unit;

#[derive(Deserialize, PartialEq, Debug)]
struct Newtype(Box<Value>);

#[derive(Deserialize, PartialEq, Debug)]
struct Pair(u8, Option<String>);

#[derive(Deserialize, PartialEq, Debug)]
struct Members {
    a: Option<f64>,
    #[serde(default)]
    b: Vec<Value>,
    c: Option<Box<Members>>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct Strict {
    a: Value,
}

#[derive(Deserialize, PartialEq, Debug)]
enum Choice {
    Unit,
    One(Value),
    Two(i32, String),
    Struct { a: bool },
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(tag = "t")]
enum Tagged {
    A { a: Value },
    B,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(untagged)]
enum Untagged {
    Number(u16),
    Text(String),
    List(Vec<Untagged>),
    Map(BTreeMap<String, Untagged>),
}

#[derive(Deserialize, PartialEq, Debug)]
struct Flat {
    a: Option<Value>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// Input: a format, a depth limit, the number of attachments and of brackets, then a list of arguments.
pub fn typed_read(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let bits = input.arbitrary::<u8>()?;
    let mut limits = Limits::default();
    if bits & 2 != 0 {
        limits.max_depth = u16::MAX;
    }
    if bits & 1 != 0 {
        if let Ok(payload) = Payload::from_msgpack(PacketType::Ack, Bytes::copy_from_slice(rest(&mut input)?), &limits)
        {
            read_all(&payload, |_| None);
        }
        return Ok(());
    }
    let attachments = vec![Bytes::from_static(b"bytes"); input.int_in_range(0..=3)? + 1];
    let brackets = if bits & 4 != 0 { usize::from(input.arbitrary::<u16>()?) } else { 0 };
    let text = format!("[{}{}{}]", "[".repeat(brackets), rest_text(&mut input)?, "]".repeat(brackets));
    let from_json = |attachments| Payload::from_json(PacketType::Ack, Text::from(&*text), attachments, &limits);
    let Ok(payload) = from_json(Vec::new()) else { return Ok(()) };
    read_all(&payload, |raw| Some(raw.to_string()));
    let Ok(attached) = from_json(attachments) else { return Ok(()) };
    // Attachments without a placeholder make no difference.
    let has_places = payload.args().any(|raw| raw.contains("holder") || raw.contains('\\'));
    read_all(&attached, |raw| (!has_places).then(|| raw.to_string()));
    if !has_places {
        same(attached.read::<(Value, Value)>(), payload.read::<(Value, Value)>());
        same(attached.read::<Vec<u8>>(), payload.read::<Vec<u8>>());
        same(attached.read::<(Option<u8>, Option<String>, Option<Value>)>(), payload.read());
        same(attached.read::<Option<Value>>(), payload.read());
        same(attached.read::<Value>(), payload.read());
    }
    Ok(())
}

fn same<T: PartialEq + core::fmt::Debug>(one: Result<T, ReadError>, two: Result<T, ReadError>) {
    assert_eq!(one.ok(), two.ok());
}

/// Reads each argument as each of many types, and compares the results with `serde_json` where they are comparable.
fn read_all(payload: &Payload, expected: impl Fn(&str) -> Option<String>) {
    for index in 0..payload.len().min(6) {
        let expected = payload.raw(index).and_then(&expected);
        let text = expected.as_deref();
        let one = |check: fn(&Payload, usize, Option<&str>)| check(payload, index, text);
        one(as_type::<Value>);
        one(as_type::<bool>);
        one(as_type::<u8>);
        one(as_type::<i8>);
        one(as_type::<i64>);
        one(as_type::<u64>);
        one(as_type::<i128>);
        one(as_type::<u128>);
        one(as_type::<f32>);
        one(as_type::<f64>);
        one(as_type::<char>);
        one(as_type::<String>);
        one(as_type::<()>);
        one(as_type::<Unit>);
        one(as_type::<Newtype>);
        one(as_type::<Pair>);
        one(as_type::<Members>);
        one(as_type::<Strict>);
        one(as_type::<Choice>);
        one(as_type::<Tagged>);
        one(as_type::<Untagged>);
        one(as_type::<Flat>);
        one(as_type::<Option<Value>>);
        one(as_type::<Option<Option<u8>>>);
        one(as_type::<Vec<Value>>);
        one(as_type::<Vec<u8>>);
        one(as_type::<[u8; 2]>);
        one(as_type::<(Value, u8)>);
        one(as_type::<BTreeMap<String, Value>>);
        one(as_type::<BTreeMap<u32, Value>>);
        one(as_type::<BTreeMap<i8, Value>>);
        // serde_json (1.0.154) reads a boolean key from its second byte on, and panics if that is inside a character.
        if payload.raw(index).is_none_or(str::is_ascii) {
            one(as_type::<BTreeMap<bool, Value>>);
        }
        one(as_type::<BTreeMap<char, Value>>);
        one(as_type::<BTreeMap<Option<String>, Value>>);
        one(as_type::<BTreeMap<(), Value>>);
        one(as_type::<Result<Value, u8>>);
        let ignored = payload.get::<IgnoredAny>(index);
        assert!(ignored.is_ok(), "ignoring {payload:?} cannot fail: {ignored:?}");
        let _ = payload.get::<Bytes>(index);
        if let Some(text) = text {
            assert_eq!(payload.get::<&str>(index).ok(), serde_json::from_str(text).ok(), "{text}");
            assert_eq!(payload.get::<&RawValue>(index).map(RawValue::get).ok(), Some(text));
        }
    }
}

fn as_type<T: DeserializeOwned + PartialEq + core::fmt::Debug>(payload: &Payload, index: usize, text: Option<&str>) {
    let read = payload.get::<T>(index).ok();
    if let Some(text) = text {
        assert_eq!(read, serde_json::from_str(text).ok(), "{text} as {}", core::any::type_name::<T>());
    }
}
