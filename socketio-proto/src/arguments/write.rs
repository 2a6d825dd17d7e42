//! Serialises a value as arguments, and contains code that the serialisers of all formats share.

use core::fmt::Display;

use serde::ser::{Serialize, SerializeTuple, SerializeTupleStruct, Serializer};

use super::is_one_value;
use crate::error::EncodeError;

/// Writes arguments in one format.
pub(crate) trait ArgsWriter: Sized {
    /// Writes one value.
    type Value: Serializer<Ok = (), Error = EncodeError>;
    /// Writes a list of arguments.
    type List: SerializeTuple<Ok = (), Error = EncodeError> + SerializeTupleStruct<Ok = (), Error = EncodeError>;

    /// Begins the only argument.
    fn one(self) -> Result<Self::Value, EncodeError>;

    /// Begins a list of `length` arguments. The `Serialize` implementation announces the length, and it may be wrong.
    fn list(self, length: usize) -> Result<Self::List, EncodeError>;
}

/// Serialises a value as arguments: a tuple or array is a list of arguments, a unit is an empty list, and any other value is
/// one argument.
pub(crate) struct ArgsSerializer<W>(pub(crate) W);

macro_rules! one_argument {
    ($($name:ident($($value:ident: $type:ty),*) -> $ok:ty,)*) => {$(
        #[inline]
        fn $name(self, $($value: $type),*) -> Result<$ok, EncodeError> {
            self.0.one()?.$name($($value),*)
        }
    )*};
}

impl<W: ArgsWriter> Serializer for ArgsSerializer<W> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = <W::Value as Serializer>::SerializeSeq;
    type SerializeTuple = W::List;
    type SerializeTupleStruct = W::List;
    type SerializeTupleVariant = <W::Value as Serializer>::SerializeTupleVariant;
    type SerializeMap = <W::Value as Serializer>::SerializeMap;
    type SerializeStruct = <W::Value as Serializer>::SerializeStruct;
    type SerializeStructVariant = <W::Value as Serializer>::SerializeStructVariant;

    #[inline]
    fn serialize_tuple(self, length: usize) -> Result<W::List, EncodeError> {
        self.0.list(length)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<W::List, EncodeError> {
        self.0.list(length)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), EncodeError> {
        SerializeTuple::end(self.0.list(0)?)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        if is_one_value(name) {
            return self.0.one()?.serialize_newtype_struct(name, value);
        }
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self.0.one()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.0.one()?.serialize_newtype_variant(name, index, variant, value)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        self.0.one()?.collect_str(value)
    }

    one_argument! {
        serialize_bool(value: bool) -> (),
        serialize_i8(value: i8) -> (),
        serialize_i16(value: i16) -> (),
        serialize_i32(value: i32) -> (),
        serialize_i64(value: i64) -> (),
        serialize_i128(value: i128) -> (),
        serialize_u8(value: u8) -> (),
        serialize_u16(value: u16) -> (),
        serialize_u32(value: u32) -> (),
        serialize_u64(value: u64) -> (),
        serialize_u128(value: u128) -> (),
        serialize_f32(value: f32) -> (),
        serialize_f64(value: f64) -> (),
        serialize_char(value: char) -> (),
        serialize_str(value: &str) -> (),
        serialize_bytes(value: &[u8]) -> (),
        serialize_none() -> (),
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> (),
        serialize_seq(length: Option<usize>) -> Self::SerializeSeq,
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, length: usize) -> Self::SerializeTupleVariant,
        serialize_map(length: Option<usize>) -> Self::SerializeMap,
        serialize_struct(name: &'static str, length: usize) -> Self::SerializeStruct,
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, length: usize) -> Self::SerializeStructVariant,
    }
}

/// Implements serde's four traits for elements with the methods `element` and `close` of a type.
macro_rules! elements {
    ($type:ty) => {
        $crate::arguments::write::elements! {
            $type:
            SerializeSeq serialize_element,
            SerializeTuple serialize_element,
            SerializeTupleStruct serialize_field,
            SerializeTupleVariant serialize_field,
        }
    };
    ($type:ty: $($trait:ident $method:ident,)*) => {$(
        impl serde::ser::$trait for $type {
            type Ok = ();
            type Error = EncodeError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.element(value)
            }

            #[inline]
            fn end(self) -> Result<(), EncodeError> {
                self.close()
            }
        }
    )*};
}
pub(crate) use elements;

/// Implements serde's three traits for members with the methods `key`, `value`, `member` and `close` of a type.
macro_rules! members {
    ($type:ty) => {
        impl serde::ser::SerializeMap for $type {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
                self.key(key)
            }

            fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.value(value)
            }

            #[inline]
            fn end(self) -> Result<(), EncodeError> {
                self.close()
            }
        }

        $crate::arguments::write::members! { $type: SerializeStruct, SerializeStructVariant, }
    };
    ($type:ty: $($trait:ident,)*) => {$(
        impl serde::ser::$trait for $type {
            type Ok = ();
            type Error = EncodeError;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), EncodeError> {
                self.member(key, value)
            }

            #[inline]
            fn end(self) -> Result<(), EncodeError> {
                self.close()
            }
        }
    )*};
}
pub(crate) use members;
