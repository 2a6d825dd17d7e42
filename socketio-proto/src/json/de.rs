//! Deserialises validated JSON text with attachments through serde: a placeholder reads as the bytes of its attachment.
//!
//! This module handles arrays and objects, and leaves all other values to `serde_json`, so that types read the same with and
//! without attachments. Payloads without attachments do not use this module. Reading is recursive and limited to 128 levels, as
//! in `serde_json`. Skipping a value is not recursive.

use serde::de::value::SeqDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_json::Error;
use serde_json::de::StrRead;

use bytes::Bytes;

use super::places::Place;
use super::{RAW_VALUE, scan};
use crate::error::ADVICE_FOR_BINARY;

/// A position in the text of a payload.
pub(crate) struct Cursor<'de> {
    text: &'de str,
    at: usize,
    places: &'de [Place],
    attachments: &'de [Bytes],
    depth_left: u8,
}

/// The item at the cursor.
enum Next<'de> {
    Attachment(&'de [u8]),
    Array,
    Object,
    Scalar(&'de str),
}

fn broken() -> Error {
    de::Error::custom("the payload is not JSON")
}

/// Reads all of `text` with `serde_json`.
fn whole<'de, T>(
    text: &'de str,
    read: impl FnOnce(&mut serde_json::Deserializer<StrRead<'de>>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = read(&mut reader)?;
    // When `serde_json` reads a 128-bit integer, it stops before the fraction of a number.
    reader.end()?;
    Ok(value)
}

impl<'de> Cursor<'de> {
    pub(crate) const fn new(text: &'de str, at: usize, places: &'de [Place], attachments: &'de [Bytes]) -> Self {
        Self { text, at, places, attachments, depth_left: 127 }
    }

    /// Skips whitespace and returns the next byte, without consuming it.
    fn peek(&mut self) -> Option<u8> {
        self.at = scan::whitespace(self.text.as_bytes(), self.at);
        self.text.as_bytes().get(self.at).copied()
    }

    /// Consumes the next byte if it is `byte`.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at = self.at.saturating_add(1);
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.eat(byte) { Ok(()) } else { Err(broken()) }
    }

    /// Consumes the next value and returns its text.
    fn raw(&mut self) -> Result<&'de str, Error> {
        self.at = scan::whitespace(self.text.as_bytes(), self.at);
        let end = scan::value(self.text.as_bytes(), self.at, u32::MAX).ok_or_else(broken)?;
        let raw = self.text.get(self.at..end).ok_or_else(broken)?;
        self.at = end;
        Ok(raw)
    }

    fn place(&self) -> Option<Place> {
        let found = self.places.binary_search_by(|place| (place.start as usize).cmp(&self.at)).ok()?;
        self.places.get(found).copied()
    }

    /// Consumes a scalar, an attachment, or the opening bracket of a container.
    fn next(&mut self) -> Result<Next<'de>, Error> {
        match self.peek() {
            Some(b'[') => {
                self.at = self.at.saturating_add(1);
                Ok(Next::Array)
            }
            Some(b'{') => {
                if let Some(place) = self.place() {
                    self.at = place.end as usize;
                    let attachment = self.attachments.get(place.index as usize).ok_or_else(broken)?;
                    return Ok(Next::Attachment(attachment));
                }
                self.at = self.at.saturating_add(1);
                Ok(Next::Object)
            }
            _ => self.raw().map(Next::Scalar),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let depth = self.depth_left;
        self.depth_left = depth.checked_sub(1).ok_or_else(|| de::Error::custom("recursion limit exceeded"))?;
        let value = read(self)?;
        self.depth_left = depth;
        Ok(value)
    }

    fn array<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let value = self.nested(|cursor| visitor.visit_seq(Elements { cursor, first: true }))?;
        if !self.eat(b']') {
            return Err(de::Error::custom("the array has more elements than the type expects"));
        }
        Ok(value)
    }

    fn object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let value = self.nested(|cursor| visitor.visit_map(Members { cursor, first: true }))?;
        if !self.eat(b'}') {
            return Err(de::Error::custom("the object has more members than the type expects"));
        }
        Ok(value)
    }

    /// Consumes a key and its colon. Returns the key with its quotes.
    fn key(&mut self) -> Result<Key<'de>, Error> {
        let key = self.raw()?;
        self.expect(b':')?;
        Ok(Key(key))
    }
}

/// Methods that differ only in how they handle an attachment.
macro_rules! by_kind {
    ($attachment:expr; $($name:ident($($value:ident: $type:ty),*),)*) => {$(
        fn $name<V: Visitor<'de>>(self, $($value: $type,)* visitor: V) -> Result<V::Value, Error> {
            match self.next()? {
                Next::Attachment(bytes) => $attachment(visitor, bytes),
                Next::Array => self.array(visitor),
                Next::Object => self.object(visitor),
                Next::Scalar(text) => whole(text, |reader| reader.$name($($value,)* visitor)),
            }
        }
    )*};
}

/// Most types that accept any value do not accept bytes, so the error explains how to read them.
fn as_anything<'de, V: Visitor<'de>>(visitor: V, bytes: &'de [u8]) -> Result<V::Value, Error> {
    as_bytes(visitor, bytes).map_err(advise)
}

#[cold]
fn advise(error: Error) -> Error {
    de::Error::custom(format_args!("{error}{ADVICE_FOR_BINARY}"))
}

fn as_bytes<'de, V: Visitor<'de>>(visitor: V, bytes: &'de [u8]) -> Result<V::Value, Error> {
    visitor.visit_borrowed_bytes(bytes)
}

/// An attachment reads as a list of numbers if the type expects a list.
fn as_list<'de, V: Visitor<'de>>(visitor: V, bytes: &'de [u8]) -> Result<V::Value, Error> {
    visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied()))
}

/// A type that expects text would accept bytes that are valid UTF-8, although the peer has not sent text.
fn refuse<'de, V: Visitor<'de>>(visitor: V, bytes: &'de [u8]) -> Result<V::Value, Error> {
    Err(advise(de::Error::invalid_type(de::Unexpected::Bytes(bytes), &visitor)))
}

impl<'de> Deserializer<'de> for &mut Cursor<'de> {
    type Error = Error;

    by_kind! { as_anything; deserialize_any(), }

    by_kind! { as_bytes; deserialize_bytes(), deserialize_byte_buf(), }

    by_kind! {
        refuse;
        deserialize_bool(),
        deserialize_i8(), deserialize_i16(), deserialize_i32(), deserialize_i64(), deserialize_i128(),
        deserialize_u8(), deserialize_u16(), deserialize_u32(), deserialize_u64(), deserialize_u128(),
        deserialize_f32(), deserialize_f64(), deserialize_char(), deserialize_str(), deserialize_string(),
        deserialize_identifier(), deserialize_unit(), deserialize_unit_struct(name: &'static str), deserialize_map(),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
    }

    by_kind! {
        as_list;
        deserialize_seq(), deserialize_tuple(length: usize), deserialize_tuple_struct(name: &'static str, length: usize),
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.peek() == Some(b'n') {
            self.raw()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name == RAW_VALUE {
            return serde_json::Deserializer::from_str(self.raw()?).deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.next()? {
            Next::Scalar(text) => whole(text, |reader| reader.deserialize_enum(name, variants, visitor)),
            Next::Object => {
                let value = self.nested(|cursor| visitor.visit_enum(Variant(cursor)))?;
                self.expect(b'}')?;
                Ok(value)
            }
            Next::Attachment(bytes) => Err(de::Error::invalid_type(de::Unexpected::Bytes(bytes), &"an enum")),
            Next::Array => Err(de::Error::invalid_type(de::Unexpected::Seq, &"an enum")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.raw()?;
        visitor.visit_unit()
    }
}

struct Elements<'a, 'de> {
    cursor: &'a mut Cursor<'de>,
    first: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.cursor.peek() == Some(b']') {
            return Ok(None);
        }
        if !core::mem::take(&mut self.first) {
            self.cursor.expect(b',')?;
        }
        seed.deserialize(&mut *self.cursor).map(Some)
    }
}

struct Members<'a, 'de> {
    cursor: &'a mut Cursor<'de>,
    first: bool,
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.cursor.peek() == Some(b'}') {
            return Ok(None);
        }
        if !core::mem::take(&mut self.first) {
            self.cursor.expect(b',')?;
        }
        seed.deserialize(self.cursor.key()?).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.cursor)
    }
}

/// An object with one member: the name and the content of a variant.
struct Variant<'a, 'de>(&'a mut Cursor<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(self.0.key()?)?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_struct("", fields, visitor)
    }
}

/// A key with its quotes. Numbers and booleans are read from the text between the quotes.
struct Key<'de>(&'de str);

macro_rules! as_text {
    ($($name:ident($($value:ident: $type:ty),*),)*) => {$(
        fn $name<V: Visitor<'de>>(self, $($value: $type,)* visitor: V) -> Result<V::Value, Error> {
            serde_json::Deserializer::from_str(self.0).$name($($value,)* visitor)
        }
    )*};
}

macro_rules! inside_of_quotes {
    ($($name:ident,)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let inside = self.0.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or_default();
            // `serde_json` would allow whitespace around the number.
            if inside.starts_with(char::is_whitespace) || inside.ends_with(char::is_whitespace) {
                return Err(de::Error::invalid_type(de::Unexpected::Str(inside), &visitor));
            }
            whole(inside, |reader| reader.$name(visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Error;

    as_text! {
        deserialize_any(), deserialize_char(), deserialize_str(), deserialize_string(), deserialize_bytes(),
        deserialize_byte_buf(), deserialize_unit(), deserialize_unit_struct(name: &'static str), deserialize_seq(),
        deserialize_tuple(length: usize), deserialize_tuple_struct(name: &'static str, length: usize), deserialize_map(),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]), deserialize_identifier(),
        deserialize_ignored_any(),
    }

    inside_of_quotes! {
        deserialize_bool, deserialize_i8, deserialize_i16, deserialize_i32, deserialize_i64, deserialize_i128,
        deserialize_u8, deserialize_u16, deserialize_u32, deserialize_u64, deserialize_u128, deserialize_f32, deserialize_f64,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }
}
