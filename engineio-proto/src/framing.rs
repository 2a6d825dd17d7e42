//! WebTransport framing: a header with the length before every packet, and an incremental decoder.
//!
//! The first byte of a header holds the binary flag (bit 7) and the length, if that is below 126. A value of 126 means that the length
//! follows in two bytes, 127 that it follows in eight; both are big-endian. The packet follows the header: text with its type digit, a
//! binary message as raw bytes.
//!
//! Source: engine.io-parser 5.2.3, `createPacketEncoderStream` and `createPacketDecoderStream`.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::error::ParseError;
use crate::message::{Message, Text};
use crate::packet::{Frame, Packet};

const BINARY: u8 = 0x80;
/// Length of the longest header.
const MAX_HEADER: usize = 9;

/// The header of one frame. On the stream, [`Frame::head`] and [`Frame::data`] follow it.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    length: u8,
    bytes: [u8; MAX_HEADER],
}

impl Header {
    /// The bytes to write: 1, 3 or 9 of them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Makes the header of a packet, in the shortest form that holds its length.
#[must_use]
pub fn header(frame: &Frame) -> Header {
    let flag = if frame.is_binary() { BINARY } else { 0 };
    let mut bytes = [0; MAX_HEADER];
    let length = frame.packet_len();
    let [first, rest @ ..] = &mut bytes;
    let header_length = if let Ok(short) = u8::try_from(length)
        && short < 126
    {
        *first = flag | short;
        1
    } else if let Ok(medium) = u16::try_from(length) {
        *first = flag | 126;
        for (byte, value) in rest.iter_mut().zip(medium.to_be_bytes()) {
            *byte = value;
        }
        3
    } else {
        *first = flag | 127;
        *rest = u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes();
        9
    };
    Header { length: header_length, bytes }
}

/// Reads packets from the chunks of a stream. Chunk boundaries may be anywhere.
///
/// Pass a chunk to [`Decoder::push`], then call [`Decoder::next`] until it returns `None`. A packet within one chunk shares the memory of
/// the chunk. A packet that spans chunks is copied to a buffer, which grows with the bytes that arrive and never with the length that a
/// header announces. Between packets, a decoder without unread chunks holds no memory.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub struct Decoder {
    max_payload: usize,
    chunks: Chunks,
    state: State,
}

/// Chunks that were pushed and are not read yet.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Default, Debug)]
struct Chunks {
    /// Empty only if `others` is empty.
    current: Bytes,
    /// Used only if the caller pushes several chunks before reading: one chunk at a time needs no allocation.
    others: VecDeque<Bytes>,
}

impl Chunks {
    fn push(&mut self, chunk: Bytes) {
        if self.current.is_empty() {
            self.current = chunk;
        } else if !chunk.is_empty() {
            self.others.push_back(chunk);
        }
    }

    /// Takes up to `length` bytes. The result is empty only if nothing is left.
    fn take(&mut self, length: usize) -> Bytes {
        let taken = self.current.split_to(length.min(self.current.len()));
        if self.current.is_empty() {
            self.current = self.others.pop_front().unwrap_or_default();
            if self.others.is_empty() {
                self.others = VecDeque::new();
            }
        }
        taken
    }

    fn into_joined(self) -> Bytes {
        if self.others.is_empty() {
            return self.current;
        }
        let mut joined = Vec::from(self.current);
        self.others.iter().for_each(|chunk| joined.extend_from_slice(chunk));
        joined.into()
    }
}

#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
enum State {
    /// Reading a header, of which `length` bytes have arrived.
    Header { length: u8, bytes: [u8; MAX_HEADER] },
    /// Reading a body, of which `partial` has arrived.
    Body { binary: bool, length: usize, partial: Vec<u8> },
    /// A frame was invalid. Where the next one starts is unknown.
    Failed(ParseError),
}

impl State {
    const START: Self = Self::Header { length: 0, bytes: [0; MAX_HEADER] };
}

impl Decoder {
    /// A decoder that refuses packets of more than `max_payload` bytes. The type digit of a text packet counts.
    #[must_use]
    pub const fn new(max_payload: usize) -> Self {
        let chunks = Chunks { current: Bytes::new(), others: VecDeque::new() };
        Self { max_payload, chunks, state: State::START }
    }

    /// Adds the next chunk of the stream. After an error, the chunk is dropped.
    pub fn push(&mut self, chunk: Bytes) {
        if !matches!(self.state, State::Failed(_)) {
            self.chunks.push(chunk);
        }
    }

    /// The next packet, or `None` if it is not complete yet.
    ///
    /// # Errors
    /// * [`ParseError::EmptyFrame`] and [`ParseError::FrameTooLarge`], which are found in the header, before the body arrives.
    /// * [`ParseError::Utf8`] if a text packet is not UTF-8. The reference replaces invalid UTF-8 by U+FFFD.
    /// * The errors of [`Packet::decode`].
    ///
    /// After an error, every call returns the same error.
    #[expect(clippy::should_implement_trait, reason = "an iterator that ends and goes on again would mislead")]
    pub fn next(&mut self) -> Result<Option<Packet>, ParseError> {
        self.advance().inspect_err(|error| {
            self.chunks = Chunks::default();
            self.state = State::Failed(*error);
        })
    }

    /// The bytes after the last packet, joined. Bytes of an incomplete packet are not included.
    pub(crate) fn into_rest(self) -> Bytes {
        self.chunks.into_joined()
    }

    fn advance(&mut self) -> Result<Option<Packet>, ParseError> {
        loop {
            match &mut self.state {
                State::Failed(error) => return Err(*error),
                State::Header { length, bytes } => {
                    if let Some((binary, size)) = parse_header(bytes.get(..usize::from(*length)).unwrap_or_default()) {
                        if size == 0 {
                            return Err(ParseError::EmptyFrame);
                        }
                        let size = usize::try_from(size)
                            .ok()
                            .filter(|size| *size <= self.max_payload)
                            .ok_or(ParseError::FrameTooLarge)?;
                        self.state = State::Body { binary, length: size, partial: Vec::new() };
                        continue;
                    }
                    let Some(byte) = self.chunks.take(1).first().copied() else { return Ok(None) };
                    if let Some(room) = bytes.get_mut(usize::from(*length)) {
                        *room = byte;
                    }
                    *length = length.saturating_add(1);
                }
                State::Body { binary, length, partial } => {
                    let Some(body) = next_body(&mut self.chunks, *length, partial) else { return Ok(None) };
                    let binary = *binary;
                    self.state = State::START;
                    let message = if binary {
                        Message::Binary(body)
                    } else {
                        Message::Text(Text::try_from(body).map_err(|_| ParseError::Utf8)?)
                    };
                    return Packet::decode(message).map(Some);
                }
            }
        }
    }
}

/// The binary flag and the announced length, if the header is complete.
fn parse_header(header: &[u8]) -> Option<(bool, u64)> {
    let (first, rest) = header.split_first()?;
    let length = match first & !BINARY {
        126 => u64::from(u16::from_be_bytes(rest.try_into().ok()?)),
        127 => u64::from_be_bytes(rest.try_into().ok()?),
        short => u64::from(short),
    };
    Some((first & BINARY != 0, length))
}

/// Reads a body of `length` bytes. If it is not complete yet, returns `None` and keeps what has arrived in `partial`.
fn next_body(chunks: &mut Chunks, length: usize, partial: &mut Vec<u8>) -> Option<Bytes> {
    loop {
        let missing = length.saturating_sub(partial.len());
        if missing == 0 {
            return Some(core::mem::take(partial).into());
        }
        let available = chunks.take(missing);
        if available.is_empty() {
            return None;
        }
        if available.len() == length {
            return Some(available);
        }
        // Doubling keeps the copying linear. The buffer never exceeds the packet.
        let room = partial.capacity().saturating_sub(partial.len());
        if room < available.len() {
            let growth = available.len().max(partial.capacity()).min(missing);
            partial.reserve_exact(growth);
        }
        partial.extend_from_slice(&available);
    }
}
