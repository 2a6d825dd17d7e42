//! Events with a number and with text or binary content that is derived from the number, so that the receiver can check the
//! content.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use engineio_proto::testkit::Violation;
use serde::{Serialize, Serializer};

use crate::payload::Payload;

/// The arguments of one event: its number, and its bytes or text.
#[derive(Debug, Serialize)]
pub(super) struct Numbered(u64, Content);

#[derive(Debug)]
enum Content {
    Text(String),
    Binary(Vec<u8>),
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

/// The length of the content. Most contents are short.
fn length(number: u64) -> usize {
    let length = if number % 16 == 7 { number.wrapping_mul(97) % 2000 } else { number.wrapping_mul(31) % 60 };
    usize::try_from(length).unwrap_or(0)
}

fn content(number: u64) -> Content {
    if number % 4 == 3 {
        Content::Binary(vec![number.to_le_bytes()[0]; length(number)])
    } else {
        Content::Text("\u{1e}é\"".chars().cycle().take(length(number)).collect())
    }
}

impl Numbered {
    pub(super) fn new(number: u64) -> Self {
        Self(number, content(number))
    }

    /// An upper bound of its size in a queue.
    pub(super) fn size(&self) -> usize {
        let Content::Text(text) = &self.1 else { return length(self.0).saturating_add(300) };
        text.len().saturating_mul(6).saturating_add(200)
    }
}

/// The number of a payload, if its content matches the number and nothing follows.
pub(super) fn number(payload: &Payload) -> Result<u64, Violation> {
    if payload.len() == 2 { leading_number(payload) } else { Err(wrong(payload)) }
}

fn wrong(payload: &Payload) -> Violation {
    Violation::new("I7", format!("not what was sent: {payload:?}"))
}

/// The number of a payload, if its content matches the number. An offset may follow.
pub(super) fn leading_number(payload: &Payload) -> Result<u64, Violation> {
    let number = payload.get::<u64>(0).map_err(|_| wrong(payload))?;
    let right = match content(number) {
        Content::Text(text) => payload.get::<String>(1).as_ref() == Ok(&text) && payload.attachments().is_empty(),
        Content::Binary(bytes) => payload.bytes(1) == Some(Bytes::from(bytes)),
    };
    if right { Ok(number) } else { Err(wrong(payload)) }
}
