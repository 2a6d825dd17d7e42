//! Deserialises validated MessagePack through serde, borrowed where the type allows. JavaScript values that MessagePack lacks
//! read as the closest type: `undefined` as nil, an `ArrayBuffer` as bytes, a `Date` as an integer in milliseconds since 1970.
//! Any other extension reads as a pair of its type and its bytes. Types that represent extensions like `rmp-serde` get this
//! pair as well.
//!
//! Reading is recursive and limited to 128 levels, as in `serde_json`. Skipping a value is not recursive.

use alloc::string::ToString;

use serde::de::value::{BorrowedBytesDeserializer, BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::EXTENSION;
use super::scan::{self, Extension, Head};
use crate::error::ReadError;

/// A position in the bytes of a payload.
pub(crate) struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth_left: u8,
}

fn broken() -> ReadError {
    ReadError::custom("the payload is not MessagePack")
}

impl<'de> Reader<'de> {
    pub(crate) const fn new(bytes: &'de [u8], at: usize) -> Self {
        Self { bytes, at, depth_left: 127 }
    }

    fn peek(&self) -> Option<Head> {
        scan::head(self.bytes, self.at).map(|(head, _)| head)
    }

    #[inline]
    fn head(&mut self) -> Result<Head, ReadError> {
        let (head, at) = scan::head(self.bytes, self.at).ok_or_else(broken)?;
        self.at = at;
        Ok(head)
    }

    #[inline]
    fn take(&mut self, length: u32) -> Result<&'de [u8], ReadError> {
        let (bytes, at) = scan::take(self.bytes, self.at, length).ok_or_else(broken)?;
        self.at = at;
        Ok(bytes)
    }

    /// Consumes a string of the short form without decoding a [`Head`]. Returns `None` if the next value is not one.
    #[inline(always)]
    fn short_text(&mut self) -> Option<&'de str> {
        let &[first @ 0xa0..=0xbf] = self.bytes.get(self.at..)?.first_chunk()? else { return None };
        let (text, at) = scan::take_text(self.bytes, self.at.checked_add(1)?, (first & 0x1f).into())?;
        self.at = at;
        Some(text)
    }

    #[inline]
    fn text(&mut self, length: u32) -> Result<&'de str, ReadError> {
        let (text, at) = scan::take_text(self.bytes, self.at, length).ok_or_else(broken)?;
        self.at = at;
        Ok(text)
    }

    /// Consumes the bytes that `head` announces, if it is binary data or an `ArrayBuffer`.
    #[inline]
    fn binary(&mut self, head: Head) -> Result<Option<&'de [u8]>, ReadError> {
        match head {
            Head::Bytes(length) | Head::Extension(Extension::ArrayBuffer, _, length) => self.take(length).map(Some),
            _ => Ok(None),
        }
    }

    /// Consumes nil or `undefined`. Returns false if the next value is neither.
    fn nothing(&mut self) -> Result<bool, ReadError> {
        let Some(Head::Nil | Head::Extension(Extension::Undefined, ..)) = self.peek() else { return Ok(false) };
        self.skip()?;
        Ok(true)
    }

    fn skip(&mut self) -> Result<(), ReadError> {
        self.at = scan::value(self.bytes, self.at, u32::MAX).ok_or_else(broken)?;
        Ok(())
    }

    /// Visits the elements of a container. The visitor must take all of them.
    fn container<T>(
        &mut self,
        count: u32,
        visit: impl FnOnce(&mut Elements<'_, 'de>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let depth = self.depth_left;
        self.depth_left = depth.checked_sub(1).ok_or_else(|| ReadError::custom("nested too deeply"))?;
        let mut elements = Elements { reader: self, left: count };
        let value = visit(&mut elements)?;
        if elements.left > 0 {
            return Err(ReadError::custom("the value has more elements than the type expects"));
        }
        self.depth_left = depth;
        Ok(value)
    }

    /// Visits the value whose head was just read.
    #[inline]
    fn visit<V: Visitor<'de>>(&mut self, head: Head, visitor: V) -> Result<V::Value, ReadError> {
        match head {
            Head::Nil => visitor.visit_unit(),
            Head::Bool(value) => visitor.visit_bool(value),
            Head::Unsigned(value) => visitor.visit_u64(value),
            Head::Negative(value) => visitor.visit_i64(value),
            Head::Float(value) => visitor.visit_f64(value),
            Head::Text(length) => visitor.visit_borrowed_str(self.text(length)?),
            Head::Bytes(length) => visitor.visit_borrowed_bytes(self.take(length)?),
            Head::Array(count) => self.container(count, |elements| visitor.visit_seq(elements)),
            Head::Map(count) => self.container(count, |elements| visitor.visit_map(elements)),
            Head::Extension(meaning, kind, length) => {
                let data = self.take(length)?;
                match (meaning, data.first_chunk()) {
                    (Extension::Undefined, _) => visitor.visit_unit(),
                    (Extension::ArrayBuffer, _) => visitor.visit_borrowed_bytes(data),
                    (Extension::Date, Some(milliseconds)) => visitor.visit_i64(i64::from_be_bytes(*milliseconds)),
                    _ => visitor.visit_seq(Pair { kind: Some(kind), data: Some(data) }),
                }
            }
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = ReadError;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let head = self.head()?;
        self.visit(head, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.nothing()? { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let head = self.head()?;
        match self.binary(head)? {
            // Bytes read as a list of numbers if the type expects a list.
            Some(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            None => self.visit(head, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if let Some(text) = self.short_text() {
            return visitor.visit_borrowed_str(text);
        }
        let head = self.head()?;
        match self.binary(head)? {
            // A type that expects text would accept bytes that are valid UTF-8, although the peer has not sent text.
            Some(bytes) => Err(Error::invalid_type(de::Unexpected::Bytes(bytes), &visitor)),
            None => self.visit(head, visitor),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == EXTENSION
            && let Some(Head::Extension(_, kind, length)) = self.peek()
        {
            self.head()?;
            let data = self.take(length)?;
            return visitor.visit_newtype_struct(Pair { kind: Some(kind), data: Some(data) });
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.head()? {
            Head::Text(length) => visitor.visit_enum(BorrowedStrDeserializer::new(self.text(length)?)),
            Head::Map(1) => self.container(1, |elements| visitor.visit_enum(Variant(elements))),
            _ => Err(ReadError::custom("expected an enum: a string, or a map with one member")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.skip()?;
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 bytes byte_buf unit unit_struct map struct identifier
    }
}

/// The elements of an array, or the pairs of a map.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: u32,
}

impl Elements<'_, '_> {
    fn next(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }

    /// Bounded by the number of remaining bytes, whatever the peer announced.
    fn size_hint(&self) -> Option<usize> {
        Some(usize::try_from(self.left).ok()?.min(self.reader.bytes.len().saturating_sub(self.reader.at)))
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        if !self.next() {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.size_hint()
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        if !self.next() {
            return Ok(None);
        }
        seed.deserialize(Key(self.reader)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ReadError> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        self.size_hint()
    }
}

/// A key of a map. Strings read as integers and integers as strings, because JavaScript turns all keys into strings.
struct Key<'a, 'de>(&'a mut Reader<'de>);

macro_rules! numeric_keys {
    ($($name:ident $visit:ident $type:ty,)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.0.head()? {
                Head::Text(length) => match self.0.text(length)?.parse::<$type>() {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => Err(ReadError::custom("expected a number as the key")),
                },
                Head::Unsigned(number) => visitor.visit_u64(number),
                Head::Negative(number) => visitor.visit_i64(number),
                _ => Err(ReadError::custom("expected a number as the key")),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'_, 'de> {
    type Error = ReadError;

    numeric_keys! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_i128 visit_i128 i128, deserialize_u128 visit_u128 u128,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if let Some(text) = self.0.short_text() {
            return visitor.visit_borrowed_str(text);
        }
        match self.0.head()? {
            Head::Unsigned(number) => visitor.visit_string(number.to_string()),
            Head::Negative(number) => visitor.visit_string(number.to_string()),
            head => self.0.visit(head, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.0.deserialize_ignored_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

/// A map with one member: the name and the content of a variant.
struct Variant<'a, 'b, 'de>(&'a mut Elements<'b, 'de>);

impl<'de> EnumAccess<'de> for Variant<'_, '_, 'de> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        self.0.next();
        let variant = seed.deserialize(&mut *self.0.reader)?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_, 'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        de::Deserialize::deserialize(&mut *self.0.reader)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        seed.deserialize(&mut *self.0.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, ReadError> {
        self.0.reader.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.0.reader.deserialize_struct("", fields, visitor)
    }
}

/// An extension: its type, then its bytes.
struct Pair<'de> {
    kind: Option<i8>,
    data: Option<&'de [u8]>,
}

impl<'de> SeqAccess<'de> for Pair<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        if let Some(kind) = self.kind.take() {
            return seed.deserialize(kind.into_deserializer()).map(Some);
        }
        self.data.take().map(|data| seed.deserialize(BorrowedBytesDeserializer::new(data))).transpose()
    }
}

impl<'de> Deserializer<'de> for Pair<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_seq(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
