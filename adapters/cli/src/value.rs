//! Values as they are shown and typed: JSON, with binary data as `{"$hex":"0102ff"}`.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};
use socketio_tokio::Payload;

/// The key of the object that stands for binary data.
const HEX: &str = "$hex";

/// A value of any format: of JSON with attachments, or of MessagePack.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Text(String),
    Binary(Bytes),
    Array(Vec<Value>),
    /// In the order in which they were written. MessagePack has keys that are no strings.
    Map(Vec<(Value, Value)>),
}

/// The arguments of an event or an ack.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Arguments(pub(crate) Vec<Value>);

impl Arguments {
    /// Reads JSON values with spaces between them.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let values = serde_json::Deserializer::from_str(text).into_iter();
        let values = values.map(|value| value.map_err(|error| error.to_string()).and_then(Value::with_binary));
        values.collect::<Result<_, _>>().map(Self).map_err(|error| {
            format!("the arguments are not JSON values with spaces between them, and strings in quotes: {error}")
        })
    }
}

/// A tuple, so that each value is an argument.
impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for value in &self.0 {
            tuple.serialize_element(value)?;
        }
        tuple.end()
    }
}

impl Value {
    /// Reads one JSON value.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string()).and_then(Self::with_binary)
    }

    /// Replaces each `{"$hex":".."}` by the bytes.
    pub(crate) fn with_binary(self) -> Result<Self, String> {
        Ok(match self {
            Self::Array(values) => Self::Array(values.into_iter().map(Self::with_binary).collect::<Result<_, _>>()?),
            Self::Map(members) => match &*members {
                [(Self::Text(key), Self::Text(digits))] if key == HEX => Self::Binary(bytes_of(digits)?),
                _ => {
                    let members = members.into_iter().map(|(key, value)| Ok((key, value.with_binary()?)));
                    Self::Map(members.collect::<Result<_, String>>()?)
                }
            },
            value => value,
        })
    }

    /// Appends the value as JSON. `binary` appends what stands for binary data.
    pub(crate) fn write(&self, out: &mut String, binary: &mut dyn FnMut(&mut String, &Bytes)) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Unsigned(value) => out.push_str(&value.to_string()),
            Self::Negative(value) => out.push_str(&value.to_string()),
            Self::Float(value) => out.push_str(&json(value)),
            Self::Text(text) => out.push_str(&json(text)),
            Self::Binary(bytes) => binary(out, bytes),
            Self::Array(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write(out, binary);
                }
                out.push(']');
            }
            Self::Map(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    match key {
                        Self::Text(_) => key.write(out, binary),
                        key => {
                            let mut text = String::new();
                            key.write(&mut text, &mut |text, bytes| text.push_str(&hex(bytes)));
                            out.push_str(&json(&text));
                        }
                    }
                    out.push(':');
                    value.write(out, binary);
                }
                out.push('}');
            }
        }
    }
}

/// A value as JSON.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> String {
    // Strings and numbers always have a form in JSON.
    serde_json::to_string(value).unwrap_or_default()
}

/// Two digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Binary data in JSON, without loss.
pub(crate) fn write_hex(out: &mut String, bytes: &Bytes) {
    out.push_str(&format!("{{\"{HEX}\":\"{}\"}}", hex(bytes)));
}

fn bytes_of(digits: &str) -> Result<Bytes, String> {
    let mut digits = digits.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    let mut bytes = Vec::new();
    while let Some(high) = digits.next() {
        let (Some(high), Some(Some(low))) = (high, digits.next()) else {
            return Err(format!("{HEX} must have two hexadecimal digits for each byte"));
        };
        bytes.push(high << 4 | low);
    }
    Ok(bytes.into())
}

/// Appends the arguments of a payload as JSON, with `separator` between them.
pub(crate) fn write_arguments(
    out: &mut String,
    payload: &Payload,
    separator: &str,
    binary: &mut dyn FnMut(&mut String, &Bytes),
) {
    for index in 0..payload.len() {
        if index > 0 {
            out.push_str(separator);
        }
        match payload.raw(index) {
            // As it was received, with all digits of numbers.
            Some(raw) if payload.attachments().is_empty() => out.push_str(raw),
            raw => match payload.get::<Value>(index) {
                Ok(value) => value.write(out, binary),
                // A string with half of a surrogate pair, for example.
                Err(error) => match raw {
                    Some(raw) => out.push_str(raw),
                    None => out.push_str(&json(&error.to_string())),
                },
            },
        }
    }
}

/// Makes text of a peer harmless for a terminal. Control characters, and those that change the direction of text, become escapes that are
/// valid in a string of JSON. Line breaks and tabs outside of strings become spaces, which JSON allows there as well.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => out.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            character if character.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            character => out.push(character),
        }
    }
    out
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Negative(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Binary(Bytes::copy_from_slice(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(Value::Map(map))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Negative(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
            Self::Array(values) => serializer.collect_seq(values),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> String {
        let mut out = String::new();
        value.write(&mut out, &mut write_hex);
        out
    }

    #[test]
    fn binary_is_typed_and_shown_as_an_object_with_hexadecimal_digits() {
        let text = r#"{"a":[1,-2,0.5,null,true,"x",{"$hex":"00fF"}]}"#;
        let value = Value::parse(text).unwrap();
        assert_eq!(written(&value), text.replace("fF", "ff"));
        assert!(Value::parse(r#"{"$hex":"0"}"#).is_err());
        assert!(Value::parse(r#"{"$hex":"zz"}"#).is_err());
        assert_eq!(Value::parse(r#"{"$hex":""}"#), Ok(Value::Binary(Bytes::new())));
        // Another object with this key is an object.
        assert!(matches!(Value::parse(r#"{"$hex":1}"#), Ok(Value::Map(_))));
    }

    #[test]
    fn arguments_are_json_values_with_spaces_between_them() {
        let arguments = Arguments::parse(r#" {"a":1} [2] "x y" 3 "#).unwrap();
        assert_eq!(arguments.0.iter().map(written).collect::<Vec<_>>(), [r#"{"a":1}"#, "[2]", r#""x y""#, "3"]);
        assert_eq!(Arguments::parse(""), Ok(Arguments::default()));
        assert!(Arguments::parse("hello").unwrap_err().contains("strings in quotes"));
    }

    #[test]
    fn a_key_that_is_no_string_is_shown_as_one() {
        let map = Value::Map(vec![(Value::Unsigned(1), Value::Null), (Value::Binary(vec![255].into()), Value::Null)]);
        assert_eq!(written(&map), r#"{"1":null,"ff":null}"#);
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        let hostile = "\u{1b}]0;title\u{7}\u{9b}31m\u{202e}\u{7f}\r\n\0";
        let text = printable(hostile);
        assert_eq!(text, "\\u001b]0;title\\u0007\\u009b31m\\u202e\\u007f  \\u0000");
        let quoted = printable(&json("\u{9b}\u{202e}é"));
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), "\u{9b}\u{202e}é");
    }
}
