//! Serialises values as MessagePack, as notepack does: everything in its shortest form, floats without a fraction as integers,
//! map keys as strings, and bytes as `bin`.
//!
//! Differences from notepack: 64-bit integers keep all digits, and floats without a fraction that exceed 64 bits stay floats,
//! so that they lose no digits.
//!
//! Source: the MessagePack specification, "Formats"; notepack.io 2.2.0, `lib/encode.js`.

use alloc::string::ToString;
use alloc::vec::Vec;

use serde::ser::{self, Serialize};

use super::EXTENSION;
use super::scan::{self, Head};
use crate::arguments::write::{ArgsWriter, elements, members};
use crate::error::EncodeError;
use crate::json::RAW_VALUE;
use crate::values::Transcoded;

/// First bytes of a type with a length: with the length in the first byte if it is below `fixed_below`, and with a length of 8,
/// 16 or 32 bits.
struct Form {
    fixed: u8,
    fixed_below: u32,
    bits_8: Option<u8>,
    bits_16: u8,
    bits_32: u8,
}

const TEXT: Form = Form { fixed: 0xa0, fixed_below: 32, bits_8: Some(0xd9), bits_16: 0xda, bits_32: 0xdb };
const BYTES: Form = Form { fixed: 0, fixed_below: 0, bits_8: Some(0xc4), bits_16: 0xc5, bits_32: 0xc6 };
const ARRAY: Form = Form { fixed: 0x90, fixed_below: 16, bits_8: None, bits_16: 0xdc, bits_32: 0xdd };
const MAP: Form = Form { fixed: 0x80, fixed_below: 16, bits_8: None, bits_16: 0xde, bits_32: 0xdf };

impl Form {
    #[inline]
    fn write(&self, out: &mut Vec<u8>, length: usize) -> Result<(), EncodeError> {
        match u8::try_from(length) {
            Ok(short) if u32::from(short) < self.fixed_below => {
                out.push(self.fixed | short);
                Ok(())
            }
            _ => self.write_long(out, length),
        }
    }

    fn write_long(&self, out: &mut Vec<u8>, length: usize) -> Result<(), EncodeError> {
        let length = u32::try_from(length).map_err(|_| EncodeError::invalid("a value is too long for MessagePack"))?;
        let [_, _, high, low] = length.to_be_bytes();
        match self.bits_8 {
            Some(first) if length <= 0xff => out.extend([first, low]),
            _ if length <= 0xffff => out.extend([self.bits_16, high, low]),
            _ => {
                out.push(self.bits_32);
                out.extend(length.to_be_bytes());
            }
        }
        Ok(())
    }
}

/// Writes a non-negative integer.
#[allow(clippy::cast_possible_truncation, reason = "each is compared first")]
pub(crate) fn unsigned(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x80 => out.push(value as u8),
        0x80..=0xff => out.extend([0xcc, value as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend((value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend((value as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend(value.to_be_bytes());
        }
    }
}

fn signed(out: &mut Vec<u8>, value: i64) {
    if value >= 0 {
        unsigned(out, value.unsigned_abs());
    } else if let Ok(value) = i8::try_from(value) {
        if value < -0x20 {
            out.push(0xd0);
        }
        out.extend(value.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend(value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend(value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend(value.to_be_bytes());
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the comparison tells whether it fitted")]
#[allow(clippy::cast_precision_loss, reason = "an integer that was a float is one again")]
#[allow(clippy::float_cmp, reason = "whole numbers are compared")]
fn float(out: &mut Vec<u8>, value: f64) {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    if (0.0..LIMIT).contains(&value) && (value as u64) as f64 == value {
        unsigned(out, value as u64);
    } else if (-LIMIT / 2.0..0.0).contains(&value) && (value as i64) as f64 == value {
        signed(out, value as i64);
    } else {
        out.push(0xcb);
        out.extend(value.to_be_bytes());
    }
}

/// Writes a string.
#[inline]
pub(crate) fn text(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    TEXT.write(out, text.len())?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Writes the head of an array. The elements must follow.
pub(crate) fn array(out: &mut Vec<u8>, count: usize) -> Result<(), EncodeError> {
    ARRAY.write(out, count)
}

/// Writes the head of a map. The keys and values must follow.
pub(crate) fn map(out: &mut Vec<u8>, count: usize) -> Result<(), EncodeError> {
    MAP.write(out, count)
}

fn extension(out: &mut Vec<u8>, kind: i8, data: &[u8]) -> Result<(), EncodeError> {
    match data.len() {
        1 => out.push(0xd4),
        2 => out.push(0xd5),
        4 => out.push(0xd6),
        8 => out.push(0xd7),
        16 => out.push(0xd8),
        length => {
            Form { fixed: 0, fixed_below: 0, bits_8: Some(0xc7), bits_16: 0xc8, bits_32: 0xc9 }.write(out, length)?
        }
    }
    out.extend(kind.to_be_bytes());
    out.extend_from_slice(data);
    Ok(())
}

/// Writes one value.
pub(crate) struct ValueSerializer<'a>(pub(crate) &'a mut Vec<u8>);

macro_rules! numbers {
    ($($name:ident $type:ty => $write:ident,)*) => {$(
        fn $name(self, value: $type) -> Result<(), EncodeError> {
            $write(self.0, value.into());
            Ok(())
        }
    )*};
}

impl<'a> ser::Serializer for ValueSerializer<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Container<'a>;
    type SerializeTuple = Container<'a>;
    type SerializeTupleStruct = Container<'a>;
    type SerializeTupleVariant = Container<'a>;
    type SerializeMap = Container<'a>;
    type SerializeStruct = Container<'a>;
    type SerializeStructVariant = Container<'a>;

    numbers! {
        serialize_u8 u8 => unsigned, serialize_u16 u16 => unsigned, serialize_u32 u32 => unsigned, serialize_u64 u64 => unsigned,
        serialize_i8 i8 => signed, serialize_i16 i16 => signed, serialize_i32 i32 => signed, serialize_i64 i64 => signed,
        serialize_f32 f32 => float, serialize_f64 f64 => float,
    }

    fn serialize_i128(self, value: i128) -> Result<(), EncodeError> {
        match (u64::try_from(value), i64::try_from(value)) {
            (Ok(value), _) => unsigned(self.0, value),
            (_, Ok(value)) => signed(self.0, value),
            _ => return Err(EncodeError::invalid("MessagePack has no integers of more than 64 bits")),
        }
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), EncodeError> {
        let value = u64::try_from(value)
            .map_err(|_| EncodeError::invalid("MessagePack has no integers of more than 64 bits"))?;
        self.serialize_u64(value)
    }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.0.push(if value { 0xc3 } else { 0xc2 });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        text(self.0, value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        BYTES.write(self.0, value.len())?;
        self.0.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.0.push(0xc0);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        if name == EXTENSION {
            return write_extension(self.0, value);
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        open_variant(self.0, variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Container<'a>, EncodeError> {
        Container::open(self.0, &ARRAY, length.unwrap_or(0))
    }

    fn serialize_tuple(self, length: usize) -> Result<Container<'a>, EncodeError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Container<'a>, EncodeError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Container<'a>, EncodeError> {
        open_variant(self.0, variant)?;
        self.serialize_seq(Some(length))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Container<'a>, EncodeError> {
        Container::open(self.0, &MAP, length.unwrap_or(0))
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Container<'a>, EncodeError> {
        if name == RAW_VALUE {
            return Ok(Container { raw_json: true, ..Container::new(self.0, &MAP, 0) });
        }
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Container<'a>, EncodeError> {
        open_variant(self.0, variant)?;
        self.serialize_map(Some(length))
    }
}

fn open_variant(out: &mut Vec<u8>, variant: &str) -> Result<(), EncodeError> {
    map(out, 1)?;
    text(out, variant)
}

/// Writes a tuple (type, bytes) as an extension.
fn write_extension<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    let wrong = || EncodeError::invalid("an extension must be a type from -128 to 127 and bytes");
    let mut pair = Vec::new();
    value.serialize(ValueSerializer(&mut pair))?;
    let Some((Head::Array(2), at)) = scan::head(&pair, 0) else { return Err(wrong()) };
    let (kind, at) = match scan::head(&pair, at) {
        Some((Head::Unsigned(kind), at)) => (i8::try_from(kind), at),
        Some((Head::Negative(kind), at)) => (i8::try_from(kind), at),
        _ => return Err(wrong()),
    };
    match (kind, scan::head(&pair, at)) {
        (Ok(kind), Some((Head::Bytes(_), at))) => extension(out, kind, pair.get(at..).unwrap_or_default()),
        _ => Err(wrong()),
    }
}

/// Converts text that is already JSON to MessagePack. The value serialises as that text.
fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    let mut json = Vec::new();
    value.serialize(ValueSerializer(&mut json))?;
    let json = match scan::head(&json, 0) {
        Some((Head::Text(_), at)) => json.get(at..).unwrap_or_default(),
        _ => return Err(EncodeError::invalid("raw JSON must be text")),
    };
    Transcoded::new(&mut serde_json::Deserializer::from_slice(json)).serialize(ValueSerializer(out))
}

/// Writes the elements of an array, the members of a map, or the arguments of a packet. If their number differs from what the
/// `Serialize` implementation announced, the head is rewritten at the end.
pub(crate) struct Container<'a> {
    out: &'a mut Vec<u8>,
    form: &'static Form,
    head: usize,
    announced: usize,
    count: usize,
    raw_json: bool,
}

impl<'a> Container<'a> {
    #[inline]
    fn new(out: &'a mut Vec<u8>, form: &'static Form, announced: usize) -> Self {
        Self { head: out.len(), out, form, announced, count: 0, raw_json: false }
    }

    #[inline]
    fn open(out: &'a mut Vec<u8>, form: &'static Form, announced: usize) -> Result<Self, EncodeError> {
        let container = Self::new(out, form, announced);
        container.form.write(container.out, announced)?;
        Ok(container)
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.count = self.count.saturating_add(1);
        value.serialize(ValueSerializer(self.out))
    }

    /// Writes a key. Integers become strings of digits, as in JavaScript.
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.count = self.count.saturating_add(1);
        let at = self.out.len();
        key.serialize(ValueSerializer(self.out))?;
        let digits = match scan::head(self.out, at) {
            Some((Head::Text(_), _)) => return Ok(()),
            Some((Head::Unsigned(key), _)) => key.to_string(),
            Some((Head::Negative(key), _)) => key.to_string(),
            _ => return Err(EncodeError::invalid("the keys of a map must be strings or integers")),
        };
        self.out.truncate(at);
        text(self.out, &digits)
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(ValueSerializer(self.out))
    }

    #[inline]
    fn member<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), EncodeError> {
        if self.raw_json {
            return write_json(self.out, value);
        }
        self.count = self.count.saturating_add(1);
        text(self.out, key)?;
        value.serialize(ValueSerializer(self.out))
    }

    #[inline]
    fn close(self) -> Result<(), EncodeError> {
        if self.raw_json || self.count == self.announced { Ok(()) } else { self.recount() }
    }

    /// Rewrites the head with the actual count.
    #[cold]
    fn recount(self) -> Result<(), EncodeError> {
        let mut head = Vec::new();
        self.form.write(&mut head, self.announced)?;
        let end = self.head.saturating_add(head.len());
        head.clear();
        self.form.write(&mut head, self.count)?;
        self.out.splice(self.head..end, head);
        Ok(())
    }
}

elements! { Container<'_> }

members! { Container<'_> }

/// Writes the array of an event or ack. The first element is the event's name, if there is one.
pub(crate) struct Arguments<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) name: Option<&'a str>,
    /// Number of elements that the caller appends afterwards.
    pub(crate) more: usize,
}

impl<'a> ArgsWriter for Arguments<'a> {
    type Value = ValueSerializer<'a>;
    type List = Container<'a>;

    fn one(self) -> Result<ValueSerializer<'a>, EncodeError> {
        self.list(1).map(|container| ValueSerializer(container.out))
    }

    #[inline]
    fn list(self, length: usize) -> Result<Container<'a>, EncodeError> {
        let named = usize::from(self.name.is_some());
        let announced = length.saturating_add(named).saturating_add(self.more);
        let mut container = Container::open(self.out, &ARRAY, announced)?;
        container.count = self.more;
        if let Some(name) = self.name {
            container.element(name)?;
        }
        Ok(container)
    }
}
