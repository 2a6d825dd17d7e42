//! Any value that a peer can send, as a tree: to write what an application might, and to compare what came of it.

use core::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};

use crate::input::Input;

/// A value, members of objects in their order and as often as they came.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// A tree out of a fuzzer's bytes, and how many byte strings it has.
    pub(super) fn new(input: &mut Input<'_>, depth: usize, attachments: &mut usize) -> Self {
        let kinds = if depth == 0 { 9 } else { 11 };
        match input.below(kinds) {
            0 => Self::Null,
            1 => Self::Bool(input.flag()),
            2 => Self::Unsigned(input.byte().into()),
            3 => Self::Unsigned(input.word()),
            4 => Self::Signed(input.word().cast_signed()),
            5 => Some(f64::from_bits(input.word())).filter(|float| float.is_finite()).map_or(Self::Null, Self::Float),
            6 => Self::Float(f64::from(input.pair()) - 1000.0),
            7 => Self::Text(input.short_text()),
            8 => {
                *attachments += 1;
                Self::Bytes(input.short().to_vec())
            }
            9 => Self::List((0..input.below(5)).map(|_| Self::new(input, depth - 1, attachments)).collect()),
            _ => {
                Self::Map((0..input.below(5)).map(|_| (key(input), Self::new(input, depth - 1, attachments))).collect())
            }
        }
    }

    /// Whether it is made of what every format has: no number is infinite or none at all.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Self::Float(float) => float.is_finite(),
            Self::List(values) => values.iter().all(Self::is_plain),
            Self::Map(members) => members.iter().all(|(_, value)| value.is_plain()),
            _ => true,
        }
    }

    fn float(&self) -> Option<f64> {
        match self {
            #[allow(clippy::cast_precision_loss, reason = "what JavaScript would make of it")]
            Self::Unsigned(value) => Some(*value as f64),
            #[allow(clippy::cast_precision_loss, reason = "what JavaScript would make of it")]
            Self::Signed(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

/// A name that is not taken for a placeholder's.
fn key(input: &mut Input<'_>) -> String {
    let key = input.short_text();
    if key == "_placeholder" { String::new() } else { key }
}

/// Equal, numbers by their value.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(two)) => one == two,
            (Self::Unsigned(one), Self::Unsigned(two)) => one == two,
            (Self::Signed(one), Self::Signed(two)) => one == two,
            (Self::Text(one), Self::Text(two)) => one == two,
            (Self::Bytes(one), Self::Bytes(two)) => one == two,
            (Self::List(one), Self::List(two)) => one == two,
            (Self::Map(one), Self::Map(two)) => one == two,
            _ => self.float().is_some() && self.float() == other.float(),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(Value::Map(map))
    }
}

/// Values as the list of arguments that an event has.
#[derive(Debug)]
pub(super) struct Arguments<'a>(pub(super) &'a [Value]);

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|value| tuple.serialize_element(value))?;
        tuple.end()
    }
}
