//! Payloads of revision 4: packets in text form, separated by U+001E.
//!
//! A body is decoded lazily, packet by packet. A megabyte of one-byte packets therefore takes a megabyte of memory, however slowly the
//! application reads it.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::base64;
use crate::error::ParseError;
use crate::message::Text;
use crate::packet::{Frame, Packet};

const SEPARATOR: u8 = 0x1e;

/// The packets of one body, in order.
///
/// The iterator ends after the first `Err`: packets after an invalid one are not returned. An empty body is [`ParseError::Empty`], and so
/// is a separator with nothing before or after it. Packets share the memory of the body.
#[derive(Clone, Hash, Debug)]
pub struct Packets {
    body: Text,
    /// Where the next packet starts. `None` at the end: an offset at the end of the body would be an empty packet after a separator.
    next: Option<usize>,
}

impl Packets {
    /// Starts reading a body.
    ///
    /// # Errors
    /// [`ParseError::Utf8`] if the body is not UTF-8. The whole body is checked once, here. The reference replaces invalid UTF-8 by U+FFFD.
    pub fn new(body: Bytes) -> Result<Self, ParseError> {
        let body = Text::try_from(body).map_err(|_| ParseError::Utf8)?;
        Ok(Self { body, next: Some(0) })
    }

    /// The number of bytes of the body that are not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.next.map_or(0, |next| self.body.len().saturating_sub(next))
    }

    /// Ends the iterator and releases the memory of the body.
    fn end(&mut self) {
        *self = Self { body: Text::new(), next: None };
    }
}

impl Iterator for Packets {
    type Item = Result<Packet, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The separator is ASCII, so both of its sides are character boundaries.
        let rest = self.body.get(self.next?..).unwrap_or_default();
        let length = memchr::memchr(SEPARATOR, rest.as_bytes());
        let packet = Packet::decode_part(&self.body, rest.get(..length.unwrap_or(rest.len())).unwrap_or_default());
        match length {
            Some(length) if packet.is_ok() => {
                let behind = rest.len().saturating_sub(length).saturating_sub(1);
                self.next = Some(self.body.len().saturating_sub(behind));
            }
            _ => self.end(),
        }
        Some(packet)
    }
}

impl core::iter::FusedIterator for Packets {}

/// Appends packets to `out` as one body, with binary messages in base64. Without packets, nothing is appended.
///
/// The iterator is run twice, so that `out` grows at most once and by the exact length. The caller must not pass a text packet that
/// contains the separator: the peer would split it in two.
pub fn encode<'a, I>(frames: I, out: &mut BytesMut)
where
    I: IntoIterator<Item = &'a Frame>,
    I::IntoIter: Clone,
{
    let frames = frames.into_iter();
    let size = frames.clone().fold(0, |size: usize, frame| size.saturating_add(encoded_len(frame)).saturating_add(1));
    out.reserve(size.saturating_sub(1));
    for (index, frame) in frames.enumerate() {
        if index > 0 {
            out.put_u8(SEPARATOR);
        }
        if frame.is_binary() {
            out.put_u8(b'b');
            base64::append(frame.data(), out);
        } else {
            out.put_slice(frame.head());
            out.put_slice(frame.data());
        }
    }
}

/// The length of a packet in a body, without separators.
pub(crate) fn encoded_len(frame: &Frame) -> usize {
    if frame.is_binary() { base64::encoded_len(frame.data().len()).saturating_add(1) } else { frame.packet_len() }
}
