//! The arguments of a packet: raw until somebody reads them, and anything serialisable on the way out.

use alloc::vec::Vec;

use bytes::Bytes;
use engineio_proto::Text;
use serde::{Deserialize, Serialize};

use crate::error::ReadError;

/// The payload of a packet that was received: raw slices and attachments. Nothing is parsed that is not read.
#[derive(Clone, PartialEq, Debug)]
pub struct Payload {
    text: Text,
    attachments: Vec<Bytes>,
}

impl Payload {
    /// The event's name; `None` for a payload that is not an event's. A name that is a number is given as its digits.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let _ = (&self.text, &self.attachments);
        unimplemented!()
    }

    /// How many arguments there are; the name does not count.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether there is no argument.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads one argument, borrowing from the payload where the type allows.
    ///
    /// # Errors
    /// When there is no such argument, or it is not of this type.
    pub fn get<'de, T: Deserialize<'de>>(&'de self, index: usize) -> Result<T, ReadError> {
        let _ = index;
        unimplemented!()
    }

    /// Reads all arguments: a tuple takes as many as it has members (further ones are ignored), any other type takes the first.
    ///
    /// # Errors
    /// When the arguments are not of this type.
    pub fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        unimplemented!()
    }

    /// The attachments, in the order in which they came.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }
}

/// What can be sent as arguments: a tuple (or array) is the list of them, `()` is none, any other serialisable value is one; a
/// received [`Payload`] is relayed as it is, without being parsed.
pub trait Args {
    /// Hands the value to who writes it.
    ///
    /// # Errors
    /// Those of the sink.
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error>;
}

/// Who writes arguments: a parser.
pub trait ArgsSink: Sized {
    /// What comes of it.
    type Ok;
    /// What can go wrong.
    type Error;

    /// Writes a value by serde.
    ///
    /// # Errors
    /// When it has no form in this format.
    fn typed<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, Self::Error>;

    /// Writes the arguments (not the name) of a payload that was received.
    ///
    /// # Errors
    /// When it came in another format.
    fn payload(self, payload: &Payload) -> Result<Self::Ok, Self::Error>;
}

impl<T: Serialize + ?Sized> Args for T {
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.typed(self)
    }
}

impl Args for Payload {
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.payload(self)
    }
}

impl Args for &Payload {
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.payload(self)
    }
}
