//! Any number of arguments of any kind, as a type that serde takes for a tuple: implementations hand out all arguments to such a type,
//! and the first one to others.

use std::fmt;

use rmpv::Value;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple as _, Serializer};

/// The arguments of an event or an ack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments(Vec<Value>);

impl Arguments {
    /// The first argument, which is a text, taken off.
    pub(crate) fn take_text(&mut self) -> Option<String> {
        let text = self.0.first()?.as_str()?.to_owned();
        self.0.remove(0);
        Some(text)
    }

    /// The first argument, which is a whole number, taken off.
    pub(crate) fn take_number(&mut self) -> Option<u64> {
        let number = self.0.first()?.as_u64()?;
        self.0.remove(0);
        Some(number)
    }

    /// The same arguments behind a number.
    pub(crate) fn after(&self, number: u64) -> Self {
        Self(std::iter::once(Value::from(number)).chain(self.0.iter().cloned()).collect())
    }
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for argument in &self.0 {
            tuple.serialize_element(argument)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Arguments;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("arguments")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Arguments, A::Error> {
                let mut arguments = Vec::new();
                while let Some(argument) = sequence.next_element()? {
                    arguments.push(argument);
                }
                Ok(Arguments(arguments))
            }
        }
        // The length is a formality: every format here hands out as many as there are.
        deserializer.deserialize_tuple(16, All)
    }
}
