//! Revision 4: packets in their text form, joined by U+001E.
//!
//! A body is read lazily, packet by packet: a megabyte of one-byte packets stays a megabyte, however slowly it is consumed.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::base64;
use crate::error::ParseError;
use crate::message::Text;
use crate::packet::{Frame, Packet};

const SEPARATOR: u8 = 0x1e;

/// The packets of one body, in order.
///
/// After an `Err` there is nothing more: what stands behind a bad packet is not delivered. An empty body, and a separator with
/// nothing in front of or behind it, is an [`ParseError::Empty`]. Packets share the memory of the body.
#[derive(Clone, Hash, Debug)]
pub struct Packets {
    body: Text,
    /// Where the next packet starts; `None` at the end, as nothing behind a separator is a (bad) packet, too.
    next: Option<usize>,
}

impl Packets {
    /// Starts to read a body.
    ///
    /// # Errors
    /// [`ParseError::Utf8`]: the whole body is checked here, once. The reference puts U+FFFD in place of what is not UTF-8.
    pub fn new(body: Bytes) -> Result<Self, ParseError> {
        let body = Text::try_from(body).map_err(|_| ParseError::Utf8)?;
        Ok(Self { body, next: Some(0) })
    }

    /// How many bytes of the body are still to be read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.next.map_or(0, |next| self.body.len().saturating_sub(next))
    }

    /// Gives the memory of the body back.
    fn end(&mut self) {
        *self = Self { body: Text::new(), next: None };
    }
}

impl Iterator for Packets {
    type Item = Result<Packet, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The separator is ASCII: both of its sides are character boundaries.
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

/// Appends these packets to `out` as one body: text as it is, binary messages in base64. Nothing is appended for no packets.
///
/// The iterator is gone through twice, so that `out` grows at most once and by what is needed. A text packet that contains
/// the separator would be cut in two by the peer: do not let it come here.
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

/// Length of a packet in a body, without separators.
fn encoded_len(frame: &Frame) -> usize {
    if frame.is_binary() { base64::encoded_len(frame.data().len()).saturating_add(1) } else { frame.packet_len() }
}
