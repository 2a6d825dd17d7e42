//! WebTransport framing: a length header before every packet, read incrementally.
//!
//! The first byte of a header holds the binary flag (bit 7) and a length below 126; 126 announces two bytes of length, 127
//! eight, both big-endian. A text packet follows with its type digit, a binary message as it is.
//! Source: engine.io-parser 5.2.3, `createPacketEncoderStream` and `createPacketDecoderStream`.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::error::ParseError;
use crate::message::{Message, Text};
use crate::packet::{Frame, Packet};

const BINARY: u8 = 0x80;
/// The longest header.
const MAX_HEADER: usize = 9;

/// The header of one frame; on the stream it is followed by [`Frame::head`] and [`Frame::data`].
#[derive(Clone, Copy, Debug)]
pub struct Header {
    length: u8,
    bytes: [u8; MAX_HEADER],
}

impl Header {
    /// The bytes to write: 1, 3 or 9.
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

/// The header for this packet, of the smallest form that holds its length.
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

/// Reads packets out of the chunks of a stream, however they are cut.
///
/// Hand in a chunk with [`Decoder::push`], then call [`Decoder::next`] until it gives `None`. A packet that lies within one chunk shares
/// its memory; one that does not is collected, and the memory for it grows with what has arrived, never by
/// what a header announces. Between packets, a decoder whose chunks are used up holds no memory.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub struct Decoder {
    max_payload: usize,
    chunks: Chunks,
    state: State,
}

/// What has been pushed and not been used up.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Default, Debug)]
struct Chunks {
    /// Empty only when there are no others.
    current: Bytes,
    /// Only used by a caller that pushes twice in a row: the usual one chunk at a time needs no allocation.
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

    /// Up to `length` bytes; none only when there are none.
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
    /// Within a header, of which this many bytes have come.
    Header { length: u8, bytes: [u8; MAX_HEADER] },
    /// Behind a header, of which this part of the body has come.
    Body { binary: bool, length: usize, partial: Vec<u8> },
    /// Behind a bad frame; nobody can tell where the next one would start.
    Failed(ParseError),
}

impl State {
    const START: Self = Self::Header { length: 0, bytes: [0; MAX_HEADER] };
}

impl Decoder {
    /// A decoder that refuses packets of more than `max_payload` bytes (the type digit of a text packet counts).
    #[must_use]
    pub const fn new(max_payload: usize) -> Self {
        let chunks = Chunks { current: Bytes::new(), others: VecDeque::new() };
        Self { max_payload, chunks, state: State::START }
    }

    /// The next chunk of the stream. Dropped when the stream has failed already.
    pub fn push(&mut self, chunk: Bytes) {
        if !matches!(self.state, State::Failed(_)) {
            self.chunks.push(chunk);
        }
    }

    /// The next packet; `None` when more bytes are needed for it.
    ///
    /// # Errors
    /// [`ParseError::EmptyFrame`] and [`ParseError::FrameTooLarge`], both known from the header, before any of the body;
    /// [`ParseError::Utf8`] for text that is none (the reference puts U+FFFD in its place); and those of [`Packet::decode`]. Errors stick:
    /// every later call gives the same one.
    #[expect(clippy::should_implement_trait, reason = "an iterator that ends and goes on again would mislead")]
    pub fn next(&mut self) -> Result<Option<Packet>, ParseError> {
        self.advance().inspect_err(|error| {
            self.chunks = Chunks::default();
            self.state = State::Failed(*error);
        })
    }

    /// What has been pushed behind the last packet that was taken, in one piece. Nothing when the decoder is within a packet.
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
                    // An incomplete header always has room for one more byte.
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

/// The binary flag and the announced length, once the header is complete.
fn parse_header(header: &[u8]) -> Option<(bool, u64)> {
    let (first, rest) = header.split_first()?;
    let length = match first & !BINARY {
        126 => u64::from(u16::from_be_bytes(rest.try_into().ok()?)),
        127 => u64::from_be_bytes(rest.try_into().ok()?),
        short => u64::from(short),
    };
    Some((first & BINARY != 0, length))
}

/// A body of `length` bytes; `None`, with what there was of it in `partial`, when it is not complete yet.
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
        // Doubling keeps the copying linear; never more than the packet needs.
        let room = partial.capacity().saturating_sub(partial.len());
        if room < available.len() {
            let growth = available.len().max(partial.capacity()).min(missing);
            partial.reserve_exact(growth);
        }
        partial.extend_from_slice(&available);
    }
}
