//! Revision 4: packets in their text form, joined by U+001E.
//!
//! A body is read lazily, packet by packet: a megabyte of one-byte packets stays a megabyte, however slowly it is consumed.

use base64::Engine as _;
use bytes::{BufMut as _, Bytes, BytesMut};

use crate::error::ParseError;
use crate::message::{Message, Text};
use crate::packet::{BASE64, Frame, Packet};

const SEPARATOR: u8 = 0x1e;

/// The packets of one body, in order.
///
/// After an `Err` there is nothing more: what stands behind a bad packet is not delivered. An empty body, and a separator with
/// nothing in front of or behind it, is an [`ParseError::Empty`]. Packets share the memory of the body.
#[derive(Clone, Debug)]
pub struct Packets {
    /// What is still to be read; `None` at the end, as nothing behind a separator is a (bad) packet, too.
    rest: Option<Text>,
}

impl Packets {
    /// Starts to read a body.
    ///
    /// # Errors
    /// [`ParseError::Utf8`]: the whole body is checked here, once. The reference puts U+FFFD in place of what is not UTF-8.
    pub fn new(body: Bytes) -> Result<Self, ParseError> {
        let rest = Text::try_from(body).map_err(|_| ParseError::Utf8)?;
        Ok(Self { rest: Some(rest) })
    }

    /// How many bytes of the body are still to be read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.len())
    }
}

impl Iterator for Packets {
    type Item = Result<Packet, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let packet = match memchr::memchr(SEPARATOR, rest.as_bytes()) {
            // The separator is ASCII: both of its sides are character boundaries.
            Some(position) => {
                self.rest = rest.get(position.saturating_add(1)..).map(|behind| rest.slice_ref(behind));
                rest.slice_ref(rest.get(..position).unwrap_or_default())
            }
            None => rest,
        };
        let packet = Packet::decode(Message::Text(packet));
        if packet.is_err() {
            self.rest = None;
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
            encode_base64(frame.data(), out);
        } else {
            out.put_slice(frame.head());
            out.put_slice(frame.data());
        }
    }
}

/// Length of a packet in a body, without separators.
fn encoded_len(frame: &Frame) -> usize {
    if frame.is_binary() { base64_len(frame.data()).saturating_add(1) } else { frame.packet_len() }
}

fn base64_len(data: &Bytes) -> usize {
    data.len().div_ceil(3).saturating_mul(4)
}

fn encode_base64(data: &Bytes, out: &mut BytesMut) {
    let start = out.len();
    out.resize(start.saturating_add(base64_len(data)), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    // The room is exactly what padded base64 takes, so that this cannot fail.
    let written = BASE64.encode_slice(data, room).unwrap_or(0);
    out.truncate(start.saturating_add(written));
}
