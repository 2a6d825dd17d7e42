//! Reads arguments as a value.

use serde::de::value::UnitDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::is_one_value;
use crate::error::ReadError;

/// Where a format reads arguments.
pub(crate) trait ArgsReader<'de> {
    /// What is wrong with them.
    type Error: Error;
    /// Reads one value.
    type Value<'a>: Deserializer<'de, Error = Self::Error>
    where
        Self: 'a;

    /// The next argument, which is to be read before the one behind it. `None` behind the last one.
    fn next(&mut self) -> Option<Self::Value<'_>>;
}

/// An argument that is asked for and not there.
pub(crate) fn missing<E: Error>(index: usize) -> E {
    E::custom(format_args!("argument {index} is missing"))
}

/// Reads arguments as a value.
#[inline]
pub(crate) fn read<'de, T: Deserialize<'de>, R: ArgsReader<'de>>(args: R) -> Result<T, ReadError>
where
    ReadError: From<R::Error>,
{
    T::deserialize(ArgsDeserializer(args)).map_err(ReadError::from)
}

/// Reads arguments as a value: each as a member of a tuple or array, none as a unit, the first as anything else.
struct ArgsDeserializer<R>(R);

impl<'de, R: ArgsReader<'de>> ArgsDeserializer<R> {
    #[inline]
    fn first(&mut self) -> Result<R::Value<'_>, R::Error> {
        self.0.next().ok_or_else(|| missing(0))
    }

    #[inline]
    fn spread<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, R::Error> {
        visitor.visit_seq(Spread { args: self.0, index: 0, length })
    }
}

/// Leaves all to the first argument.
macro_rules! first {
    ($($name:ident($($value:ident: $type:ty),*),)*) => {$(
        #[inline]
        fn $name<V: Visitor<'de>>(mut self, $($value: $type,)* visitor: V) -> Result<V::Value, R::Error> {
            self.first()?.$name($($value,)* visitor)
        }
    )*};
}

impl<'de, R: ArgsReader<'de>> Deserializer<'de> for ArgsDeserializer<R> {
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
        match self.0.next() {
            Some(value) => value.deserialize_option(visitor),
            None => visitor.visit_none(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, R::Error> {
        if is_one_value(name) {
            return self.first()?.deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }
}

/// The arguments one after the other; behind the last one, such as can be read from nothing.
struct Spread<R> {
    args: R,
    index: usize,
    length: usize,
}

impl<'de, R: ArgsReader<'de>> SeqAccess<'de> for Spread<R> {
    type Error = R::Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, R::Error> {
        let index = self.index;
        if index >= self.length {
            return Ok(None);
        }
        self.index = index.saturating_add(1);
        match self.args.next() {
            Some(value) => seed.deserialize(value).map(Some),
            None => match seed.deserialize(UnitDeserializer::<R::Error>::new()) {
                Ok(nothing) => Ok(Some(nothing)),
                Err(_) => Err(missing(index)),
            },
        }
    }
}
