//! Serialises values as JSON, as `JSON.stringify` does. Bytes become attachments and are replaced by placeholders.
//!
//! Differences from `JSON.stringify`: 64-bit integers keep all digits, and an `f32` is written with its own shortest digits.
//!
//! Source: ECMA-262, `JSON.stringify` and `Number::toString`; socket.io-parser 4.2.7, `lib/binary.ts`, `deconstructPacket`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display, Write};

use bytes::Bytes;
use serde::ser::{self, Impossible, Serialize};

use super::float::float;
use super::{RAW_VALUE, scan};
use crate::arguments::write::{ArgsWriter, elements, members};
use crate::error::EncodeError;

/// Names of the structs that `serde_json` uses for text that is already JSON: `RawValue`, and numbers with
/// `arbitrary_precision`.
const RAW: [&str; 2] = [RAW_VALUE, "$serde_json::private::Number"];

impl ser::Error for EncodeError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Serialize(message.to_string())
    }
}

/// The output: the text of the packet, and its attachments.
pub(crate) struct Output<'a> {
    pub(crate) text: &'a mut String,
    pub(crate) attachments: &'a mut Vec<Bytes>,
    pub(crate) max_attachments: usize,
}

impl Output<'_> {
    fn attach(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let index = self.attachments.len();
        if index >= self.max_attachments {
            return Err(EncodeError::TooManyAttachments);
        }
        self.attachments.push(Bytes::copy_from_slice(bytes));
        self.text.push_str(r#"{"_placeholder":true,"num":"#);
        integer(self.text, index);
        self.text.push('}');
        Ok(())
    }
}

/// Writes an integer in decimal.
#[inline]
pub(crate) fn integer<I: itoa::Integer>(out: &mut String, value: I) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Writes a string with its quotes.
#[inline]
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    escaped(out, text);
    out.push('"');
}

#[inline]
fn escaped(out: &mut String, text: &str) {
    let plain = scan::plain(text.as_bytes(), 0);
    if plain == text.len() {
        out.push_str(text);
    } else {
        with_escapes(out, text, plain);
    }
}

/// Same as [`escaped`], for text whose first special character is known.
fn with_escapes(out: &mut String, mut rest: &str, mut plain: usize) {
    while let Some((before, following)) = rest.split_at_checked(plain) {
        out.push_str(before);
        let Some(&special) = following.as_bytes().first() else { return };
        escape(out, special);
        rest = following.get(1..).unwrap_or_default();
        plain = scan::plain(rest.as_bytes(), 0);
    }
}

fn escape(out: &mut String, special: u8) {
    out.push_str(match special {
        b'"' => "\\\"",
        b'\\' => "\\\\",
        0x08 => "\\b",
        0x09 => "\\t",
        0x0a => "\\n",
        0x0c => "\\f",
        0x0d => "\\r",
        _ => {
            let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
            out.push_str("\\u00");
            out.push(digit(special >> 4));
            out.push(digit(special & 15));
            return;
        }
    });
}

/// Writes the output of `Display` as the content of a string.
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escaped(self.0, text);
        Ok(())
    }
}

/// Writes one value.
pub(crate) struct ValueSerializer<'a, 'b>(pub(crate) &'a mut Output<'b>);

macro_rules! integers {
    ($($name:ident $type:ty,)*) => {$(
        #[inline]
        fn $name(self, value: $type) -> Result<(), EncodeError> {
            integer(self.0.text, value);
            Ok(())
        }
    )*};
}

impl<'a, 'b> ser::Serializer for ValueSerializer<'a, 'b> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Elements<'a, 'b>;
    type SerializeTuple = Elements<'a, 'b>;
    type SerializeTupleStruct = Elements<'a, 'b>;
    type SerializeTupleVariant = Elements<'a, 'b>;
    type SerializeMap = Members<'a, 'b>;
    type SerializeStruct = Members<'a, 'b>;
    type SerializeStructVariant = Members<'a, 'b>;

    integers! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
    }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.0.text.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        float(self.0.text, value, value.into());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), EncodeError> {
        float(self.0.text, value, value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        string(self.0.text, value);
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        self.0.text.push('"');
        write!(Escaping(self.0.text), "{value}").map_err(ser::Error::custom)?;
        self.0.text.push('"');
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        self.0.attach(value)
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.0.text.push_str("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        open_variant(self.0, variant);
        value.serialize(ValueSerializer(self.0))?;
        self.0.text.push('}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a, 'b>, EncodeError> {
        self.0.text.push('[');
        Ok(Elements { output: self.0, comma: false, close: "]" })
    }

    fn serialize_tuple(self, length: usize) -> Result<Elements<'a, 'b>, EncodeError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Elements<'a, 'b>, EncodeError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'a, 'b>, EncodeError> {
        open_variant(self.0, variant);
        self.0.text.push('[');
        Ok(Elements { output: self.0, comma: false, close: "]}" })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'a, 'b>, EncodeError> {
        self.0.text.push('{');
        Ok(Members { output: self.0, comma: false, close: "}", raw: false })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Members<'a, 'b>, EncodeError> {
        if RAW.contains(&name) {
            return Ok(Members { output: self.0, comma: false, close: "", raw: true });
        }
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'a, 'b>, EncodeError> {
        open_variant(self.0, variant);
        self.0.text.push('{');
        Ok(Members { output: self.0, comma: false, close: "}}", raw: false })
    }
}

fn open_variant(output: &mut Output<'_>, variant: &str) {
    output.text.push('{');
    string(output.text, variant);
    output.text.push(':');
}

/// Writes the elements of an array, or the arguments of a packet.
pub(crate) struct Elements<'a, 'b> {
    output: &'a mut Output<'b>,
    comma: bool,
    close: &'static str,
}

impl Elements<'_, '_> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        if self.comma {
            self.output.text.push(',');
        }
        self.comma = true;
        value.serialize(ValueSerializer(self.output))
    }

    #[inline]
    fn close(self) -> Result<(), EncodeError> {
        self.output.text.push_str(self.close);
        Ok(())
    }
}

elements! { Elements<'_, '_> }

/// Writes the members of an object.
pub(crate) struct Members<'a, 'b> {
    output: &'a mut Output<'b>,
    comma: bool,
    close: &'static str,
    raw: bool,
}

impl Members<'_, '_> {
    fn separate(&mut self) {
        if self.comma {
            self.output.text.push(',');
        }
        self.comma = true;
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.separate();
        key.serialize(TextOnly { output: self.output, quoted: true })?;
        self.output.text.push(':');
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(ValueSerializer(self.output))
    }

    #[inline]
    fn member<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), EncodeError> {
        if self.raw {
            return value.serialize(TextOnly { output: self.output, quoted: false });
        }
        self.separate();
        string(self.output.text, key);
        self.output.text.push(':');
        value.serialize(ValueSerializer(self.output))
    }

    #[inline]
    fn close(self) -> Result<(), EncodeError> {
        self.output.text.push_str(self.close);
        Ok(())
    }
}

members! { Members<'_, '_> }

/// Writes text only: the keys of maps (strings, and integers in quotes), and text that is already JSON.
struct TextOnly<'a, 'b> {
    output: &'a mut Output<'b>,
    quoted: bool,
}

fn no_key() -> EncodeError {
    ser::Error::custom("the keys of a map must be strings or integers")
}

macro_rules! integer_keys {
    ($($name:ident $type:ty,)*) => {$(
        fn $name(self, value: $type) -> Result<(), EncodeError> {
            self.output.text.push('"');
            integer(self.output.text, value);
            self.output.text.push('"');
            Ok(())
        }
    )*};
}

macro_rules! no_keys {
    ($($name:ident($($type:ty),*) -> $ok:ty,)*) => {$(
        fn $name(self, $(_: $type),*) -> Result<$ok, EncodeError> {
            Err(no_key())
        }
    )*};
}

type Never = Impossible<(), EncodeError>;

impl ser::Serializer for TextOnly<'_, '_> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    integer_keys! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
    }

    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        if self.quoted {
            string(self.output.text, value);
        } else {
            self.output.text.push_str(value);
        }
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), EncodeError> {
        Err(no_key())
    }

    no_keys! {
        serialize_bool(bool) -> (),
        serialize_f32(f32) -> (),
        serialize_f64(f64) -> (),
        serialize_bytes(&[u8]) -> (),
        serialize_none() -> (),
        serialize_unit() -> (),
        serialize_unit_struct(&'static str) -> (),
        serialize_seq(Option<usize>) -> Never,
        serialize_tuple(usize) -> Never,
        serialize_tuple_struct(&'static str, usize) -> Never,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never,
        serialize_map(Option<usize>) -> Never,
        serialize_struct(&'static str, usize) -> Never,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never,
    }
}

/// Appends arguments to the output.
pub(crate) struct Arguments<'a, 'b> {
    pub(crate) output: &'a mut Output<'b>,
    /// Whether the first argument needs a comma, because the event's name is before it.
    pub(crate) comma: bool,
}

impl<'a, 'b> ArgsWriter for Arguments<'a, 'b> {
    type Value = ValueSerializer<'a, 'b>;
    type List = Elements<'a, 'b>;

    #[inline]
    fn one(self) -> Result<ValueSerializer<'a, 'b>, EncodeError> {
        if self.comma {
            self.output.text.push(',');
        }
        Ok(ValueSerializer(self.output))
    }

    #[inline]
    fn list(self, _: usize) -> Result<Elements<'a, 'b>, EncodeError> {
        Ok(Elements { output: self.output, comma: self.comma, close: "" })
    }
}
