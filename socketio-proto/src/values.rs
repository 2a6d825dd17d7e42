//! Converts received arguments to another format: the deserialiser of one format drives the serialiser of the other, without an
//! intermediate copy.

use core::cell::Cell;
use core::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error, Serialize, SerializeMap, SerializeSeq, SerializeTuple, Serializer};

use crate::payload::Payload;

/// The arguments of a [`Payload`] as a tuple that serde can write. Returned by [`Payload::values`].
#[derive(Clone, Copy, Debug)]
pub struct Values<'a>(pub(crate) &'a Payload);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.write_all(&mut tuple)?;
        tuple.end()
    }
}

/// The first argument of a [`Payload`], which serde can write. Returned by [`Payload::value`].
#[derive(Clone, Copy, Debug)]
pub struct Value<'a>(pub(crate) &'a Payload);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return serializer.serialize_none();
        }
        // There is an argument.
        let first = self.0.write_first(serializer);
        first.unwrap_or_else(|| Err(Error::custom("the payload has no argument")))
    }
}

/// The single argument of a payload that is not a list.
pub(crate) struct Single<'a>(pub(crate) &'a Payload);

impl Serialize for Single<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let first = if self.0.len() == 1 { self.0.write_first(serializer) } else { None };
        first.unwrap_or_else(|| Err(Error::custom("this packet type takes exactly one argument")))
    }
}

/// A value that is still in a deserialiser. It can be serialised only once.
pub(crate) struct Transcoded<D>(Cell<Option<D>>);

impl<D> Transcoded<D> {
    pub(crate) const fn new(from: D) -> Self {
        Self(Cell::new(Some(from)))
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Transcoded<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let from =
            self.0.take().ok_or_else(|| Error::custom("a value can be serialised only once while it is converted"))?;
        from.deserialize_any(Into(serializer)).map_err(Error::custom)
    }
}

/// Serialises every value that it visits.
struct Into<S>(S);

macro_rules! scalars {
    ($($visit:ident($($value:ident: $type:ty)?) => $serialize:ident,)*) => {$(
        fn $visit<E: de::Error>(self, $($value: $type)?) -> Result<S::Ok, E> {
            self.0.$serialize($($value)?).map_err(E::custom)
        }
    )*};
}

impl<'de, S: Serializer> Visitor<'de> for Into<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    scalars! {
        visit_bool(value: bool) => serialize_bool,
        visit_i64(value: i64) => serialize_i64,
        visit_u64(value: u64) => serialize_u64,
        visit_f64(value: f64) => serialize_f64,
        visit_str(value: &str) => serialize_str,
        visit_bytes(value: &[u8]) => serialize_bytes,
        visit_unit() => serialize_unit,
        visit_none() => serialize_none,
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<S::Ok, A::Error> {
        let mut out = self.0.serialize_seq(elements.size_hint()).map_err(de::Error::custom)?;
        while elements.next_element_seed(Element(&mut out))?.is_some() {}
        out.end().map_err(de::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<S::Ok, A::Error> {
        let mut out = self.0.serialize_map(members.size_hint()).map_err(de::Error::custom)?;
        while members.next_key_seed(Key(&mut out))?.is_some() {
            members.next_value_seed(Member(&mut out))?;
        }
        out.end().map_err(de::Error::custom)
    }
}

/// Parts of a container. Each part is written as soon as it is read.
macro_rules! parts {
    ($($name:ident: $trait:ident $method:ident,)*) => {$(
        struct $name<'a, S>(&'a mut S);

        impl<'de, S: $trait> DeserializeSeed<'de> for $name<'_, S> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
                self.0.$method(&Transcoded::new(from)).map_err(de::Error::custom)
            }
        }
    )*};
}

parts! {
    Element: SerializeSeq serialize_element,
    Key: SerializeMap serialize_key,
    Member: SerializeMap serialize_value,
}
