//! Any value that a peer can send, as a tree. Used to generate values of an application and to compare results.

use arbitrary::{Result, Unstructured};
use core::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};

use crate::input::{short, short_text};

/// A value. The members of objects keep their order and their duplicates.
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
    /// Creates a tree from the bytes of a fuzzer. `attachments` counts the byte strings.
    pub(super) fn new(input: &mut Unstructured<'_>, depth: usize, attachments: &mut usize) -> Result<Self> {
        let kinds = if depth == 0 { 9 } else { 11 };
        Ok(match input.choose_index(kinds)? {
            0 => Self::Null,
            1 => Self::Bool(input.arbitrary::<bool>()?),
            2 => Self::Unsigned(input.arbitrary::<u8>()?.into()),
            3 => Self::Unsigned(input.arbitrary::<u64>()?),
            4 => Self::Signed(input.arbitrary::<u64>()?.cast_signed()),
            5 => Some(f64::from_bits(input.arbitrary::<u64>()?))
                .filter(|float| float.is_finite())
                .map_or(Self::Null, Self::Float),
            6 => Self::Float(f64::from(input.arbitrary::<u16>()?) - 1000.0),
            7 => Self::Text(short_text(input)?),
            8 => {
                *attachments += 1;
                Self::Bytes(short(input)?.to_vec())
            }
            9 => Self::List(
                (0..input.int_in_range(0..=4)?)
                    .map(|_| Self::new(input, depth - 1, attachments))
                    .collect::<Result<_>>()?,
            ),
            _ => {
                let count = input.int_in_range(0..=4)?;
                let mut member = || Ok((key(input)?, Self::new(input, depth - 1, attachments)?));
                Self::Map((0..count).map(|_| member()).collect::<Result<_>>()?)
            }
        })
    }

    /// Returns whether all formats can represent the value, which excludes infinite numbers and NaN.
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
            #[allow(clippy::cast_precision_loss, reason = "JavaScript rounds in the same way")]
            Self::Unsigned(value) => Some(*value as f64),
            #[allow(clippy::cast_precision_loss, reason = "JavaScript rounds in the same way")]
            Self::Signed(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

/// Creates a name that cannot be confused with that of a placeholder.
fn key(input: &mut Unstructured<'_>) -> Result<String> {
    let key = short_text(input)?;
    Ok(if key == "_placeholder" { String::new() } else { key })
}

/// Compares numbers by value.
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

/// Serializes values as the arguments of an event.
#[derive(Debug)]
pub(super) struct Arguments<'a>(pub(super) &'a [Value]);

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|value| tuple.serialize_element(value))?;
        tuple.end()
    }
}
