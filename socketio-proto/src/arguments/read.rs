//! Deserialises arguments as one value, and records which argument could not be read.

use core::cell::Cell;

use serde::de::value::UnitDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::is_one_value;
use crate::error::ReadError;

/// Reads arguments in one format.
pub(crate) trait ArgsReader<'de> {
    /// The error of reading.
    type Error: Error;
    /// Reads one value.
    type Value<'a>: Deserializer<'de, Error = Self::Error>
    where
        Self: 'a;

    /// Returns the next argument, or `None` after the last one. Each argument must be read before the next call.
    fn next(&mut self) -> Option<Self::Value<'_>>;
}

/// The error for an argument that is requested but missing.
pub(crate) fn missing<E: Error>() -> E {
    E::custom("it is missing")
}

/// Reads arguments as a value.
#[inline]
pub(crate) fn read<'de, T: Deserialize<'de>, R: ArgsReader<'de>>(args: R) -> Result<T, ReadError>
where
    ReadError: From<R::Error>,
{
    let failed = Cell::new(None);
    T::deserialize(ArgsDeserializer { args, failed: &failed }).map_err(|error| {
        let error = ReadError::from(error);
        match failed.get() {
            Some(index) => error.of(index),
            None => error,
        }
    })
}

/// Deserialises arguments as a value: a tuple or array reads one argument for each member, a unit reads none, and any other
/// type reads the first.
struct ArgsDeserializer<'a, R> {
    args: R,
    /// The errors of the formats cannot store the index of the argument.
    failed: &'a Cell<Option<usize>>,
}

impl<'de, R: ArgsReader<'de>> ArgsDeserializer<'_, R> {
    #[inline]
    fn first<T>(&mut self, read: impl FnOnce(R::Value<'_>) -> Result<T, R::Error>) -> Result<T, R::Error> {
        let result = self.args.next().ok_or_else(missing).and_then(read);
        result.inspect_err(|_| self.failed.set(Some(0)))
    }

    #[inline]
    fn spread<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, R::Error> {
        visitor.visit_seq(Spread { args: self.args, failed: self.failed, index: 0, length })
    }
}

/// Forwards methods to the first argument.
macro_rules! first {
    ($($name:ident($($value:ident: $type:ty),*),)*) => {$(
        #[inline]
        fn $name<V: Visitor<'de>>(mut self, $($value: $type,)* visitor: V) -> Result<V::Value, R::Error> {
            self.first(|value| value.$name($($value,)* visitor))
        }
    )*};
}

impl<'de, R: ArgsReader<'de>> Deserializer<'de> for ArgsDeserializer<'_, R> {
    type Error = R::Error;

    first! {
        deserialize_any(), deserialize_bool(),
        deserialize_i8(), deserialize_i16(), deserialize_i32(), deserialize_i64(), deserialize_i128(),
        deserialize_u8(), deserialize_u16(), deserialize_u32(), deserialize_u64(), deserialize_u128(),
        deserialize_f32(), deserialize_f64(), deserialize_char(), deserialize_str(), deserialize_string(),
        deserialize_bytes(), deserialize_byte_buf(), deserialize_seq(), deserialize_map(),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]), deserialize_identifier(),
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, R::Error> {
        self.spread(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, R::Error> {
        self.spread(length, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, R::Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, R::Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, R::Error> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, R::Error> {
        match self.args.next() {
            Some(value) => value.deserialize_option(visitor).inspect_err(|_| self.failed.set(Some(0))),
            None => visitor.visit_none(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, R::Error> {
        if is_one_value(name) {
            return self.first(|value| value.deserialize_newtype_struct(name, visitor));
        }
        visitor.visit_newtype_struct(self)
    }
}

/// Visits the arguments one after the other. After the last one, only types that can be read from nothing succeed.
struct Spread<'a, R> {
    args: R,
    failed: &'a Cell<Option<usize>>,
    index: usize,
    length: usize,
}

impl<'de, R: ArgsReader<'de>> SeqAccess<'de> for Spread<'_, R> {
    type Error = R::Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, R::Error> {
        let index = self.index;
        if index >= self.length {
            return Ok(None);
        }
        self.index = index.saturating_add(1);
        let result = match self.args.next() {
            Some(value) => seed.deserialize(value),
            None => seed.deserialize(UnitDeserializer::<R::Error>::new()).map_err(|_| missing()),
        };
        result.map(Some).inspect_err(|_| self.failed.set(Some(index)))
    }
}
