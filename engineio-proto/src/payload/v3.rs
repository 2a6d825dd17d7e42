//! Revision 3: packets with their length in front, in a body of text or of bytes.
//!
//! A text body is a row of `length:packet`, the length in UTF-16 code units, as JavaScript counts; a binary message is `b4` and base64
//! in it. A binary body is a row of parts, each of them a byte (0 for a packet in text, 1 for a binary message), the length in bytes
//! as decimal digits (a byte of value 0 to 9 each), a byte 255, and the packet.
//!
//! JavaScript 2.x writes a binary body when something in it is binary; JavaScript 1.x, early Java and Python 3.x always do, and Swift
//! never. All of them write the same two forms, and those are what [`Packets`] reads. The reference takes more:
//!
//! | body | reference | here |
//! |---|---|---|
//! | text: `0:` | no packet, and goes on behind it | the same: it is how an empty list is written |
//! | text: empty; no digit before the colon; `-1:`, `1.5:`, `a:` | error | error |
//! | text: more announced than is there; anything behind the last packet | error, after the packets before it | the same |
//! | text: ` 6:`, `06:`, `1e1:`, `0x1:`, whatever else JavaScript converts to that number | read | error: no client writes these |
//! | text: a length that ends within a surrogate pair | a message with half a character | error |
//! | text: `1:b`, `b` and no type; `b` and a type other than 4 | a packet without a type; of that type, with bytes | error |
//! | binary: empty | no packet | the same: it is how early Java writes an empty list |
//! | binary: a first byte above 1 | as 1 | error |
//! | binary: a length byte of 10 to 254 | as two or three digits | error |
//! | binary: leading zeros | read | error |
//! | binary: no digits before the 255 | an empty packet, and goes on at the 255 | error |
//! | binary: no 255 | error | error |
//! | binary: more announced than is there | what is there is the packet | error: a body that was cut is no message |
//! | binary: a length of 0 | error, or a packet without a type | error |
//! | binary: bytes behind a type other than 4 | a packet of that type, or of none | error |
//! | binary: surrogates in UTF-8 | U+FFFD | error, as all that is not UTF-8 |
//! | binary: an error in a part | errors of length discard all packets of the body, others only that part | ends the body, after the packets before it |
//! | either: base64 that is none | what can be read of it | error, with the exceptions of [`Packet::decode`] |
//!
//! Text whose lengths count bytes, which Python 3.x writes when it is asked for `b64`, is read as far as it is ASCII; the reference
//! refuses the rest as well. JavaScript 1.x, where it cannot send binary, encodes text as UTF-8 twice. Nothing can tell, so that
//! this is not undone, nor is it by the reference.
//!
//! Source: Engine.IO protocol v3, "Payload"; engine.io-parser 2.2.1, `encodePayload`, `decodePayload` and their `AsBinary` forms.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::base64;
use crate::error::ParseError;
use crate::http::ContentType;
use crate::message::{Message, Text};
use crate::packet::{Frame, Packet};

/// Ends the length in a text body.
const COLON: u8 = b':';
/// Ends the length in a binary body.
const END_OF_LENGTH: u8 = 255;
/// Starts a packet in text in a binary body.
const TEXT_PART: u8 = 0;
/// Starts a binary message in a binary body.
const BINARY_PART: u8 = 1;
/// No packets in a text body.
const EMPTY_LIST: &[u8] = b"0:";

/// The packets of one body, in order.
///
/// After an `Err` there is nothing more: what stands behind a bad packet is not delivered. Packets share the memory of the body,
/// and nothing is allocated by the lengths that it announces.
///
/// Errors are those of [`Packet::decode_v3`], [`ParseError::Length`] (also for an empty text body), and [`ParseError::Utf8`] for text
/// that is none in a binary body.
#[derive(Clone, Debug)]
pub struct Packets {
    rest: Option<Rest>,
}

/// What is still to be read.
#[derive(Clone, Debug)]
enum Rest {
    /// Empty only when the whole body is.
    Text(Text),
    /// Never empty.
    Binary(Bytes),
}

impl Packets {
    /// Starts to read a body. Its content type says whether it is text or binary.
    ///
    /// # Errors
    /// [`ParseError::Utf8`]: a text body is checked here as a whole, once. The reference puts U+FFFD in place of what is not UTF-8.
    pub fn new(body: Bytes, content_type: ContentType) -> Result<Self, ParseError> {
        let rest = match content_type {
            ContentType::Text => Some(Rest::Text(Text::try_from(body).map_err(|_| ParseError::Utf8)?)),
            ContentType::OctetStream => Rest::binary(body),
        };
        Ok(Self { rest })
    }

    /// How many bytes of the body are still to be read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        match &self.rest {
            Some(Rest::Text(rest)) => rest.len(),
            Some(Rest::Binary(rest)) => rest.len(),
            None => 0,
        }
    }
}

impl Rest {
    fn text(rest: Text) -> Option<Self> {
        if rest.is_empty() { None } else { Some(Self::Text(rest)) }
    }

    fn binary(rest: Bytes) -> Option<Self> {
        if rest.is_empty() { None } else { Some(Self::Binary(rest)) }
    }
}

impl Iterator for Packets {
    type Item = Result<Packet, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let split = match self.rest.take()? {
            Rest::Text(rest) => split_text(rest).transpose()?,
            Rest::Binary(rest) => split_binary(rest),
        };
        Some(split.and_then(|(message, rest)| {
            let packet = Packet::decode_v3(message)?;
            self.rest = rest;
            Ok(packet)
        }))
    }
}

impl core::iter::FusedIterator for Packets {}

/// The first packet of a text body, and what stands behind it; nothing when only empty lists are left.
fn split_text(mut body: Text) -> Result<Option<(Message, Option<Rest>)>, ParseError> {
    loop {
        let (length, behind) = split_length(body.as_bytes(), b'0', COLON).ok_or(ParseError::Length)?;
        // Digits and the colon are ASCII, so that a character starts behind them.
        let behind = body.get(body.len().saturating_sub(behind.len())..).unwrap_or_default();
        let (packet, behind) = split_utf16(behind, length).ok_or(ParseError::Length)?;
        let rest = body.slice_ref(behind);
        if length > 0 {
            return Ok(Some((Message::Text(body.slice_ref(packet)), Rest::text(rest))));
        }
        if rest.is_empty() {
            return Ok(None);
        }
        body = rest;
    }
}

/// The first packet of a binary body, and what stands behind it.
fn split_binary(body: Bytes) -> Result<(Message, Option<Rest>), ParseError> {
    let (&kind, behind) = body.split_first().ok_or(ParseError::Empty)?;
    if !matches!(kind, TEXT_PART | BINARY_PART) {
        return Err(ParseError::UnknownType);
    }
    let (length, behind) = split_length(behind, 0, END_OF_LENGTH).ok_or(ParseError::Length)?;
    let (packet, behind) = behind.split_at_checked(length).ok_or(ParseError::Length)?;
    let rest = Rest::binary(body.slice_ref(behind));
    let packet = body.slice_ref(packet);
    let packet = match kind {
        TEXT_PART => Message::Text(Text::try_from(packet).map_err(|_| ParseError::Utf8)?),
        _ => Message::Binary(packet),
    };
    Ok((packet, rest))
}

/// A length in decimal digits that count from `zero`, and what stands behind its end. Looks at no more bytes than the
/// largest length has digits.
fn split_length(mut body: &[u8], zero: u8, end: u8) -> Option<(usize, &[u8])> {
    let mut length = None;
    loop {
        let (&byte, behind) = body.split_first()?;
        body = behind;
        if byte == end {
            return Some((length?, body));
        }
        let digit = byte.checked_sub(zero).filter(|digit| *digit < 10)?;
        length = match length {
            // A leading zero.
            Some(0) => return None,
            Some(length) => Some(usize::checked_mul(length, 10)?.checked_add(usize::from(digit))?),
            None => Some(usize::from(digit)),
        };
    }
}

/// The first so many UTF-16 code units of a text, and the rest.
fn split_utf16(text: &str, units: usize) -> Option<(&str, &str)> {
    // No unit takes less than a byte. In ASCII, none takes more.
    if text.as_bytes().get(..units)?.is_ascii() {
        return text.split_at_checked(units);
    }
    let mut missing = units;
    let mut characters = text.chars();
    while missing > 0 {
        // Fails when the length ends within a surrogate pair.
        missing = missing.checked_sub(characters.next()?.len_utf16())?;
    }
    text.split_at_checked(text.len().saturating_sub(characters.as_str().len()))
}

/// Appends these packets to `out` as one body, and returns the content type of it: binary when one of them is a binary
/// message and the client `takes_binary` (it did not ask for `b64`, and does not poll by [`jsonp`](super::jsonp)). No packets
/// are `0:`.
///
/// The iterator is gone through several times, so that `out` grows at most once. Frames may be in the form of either revision.
pub fn encode<'a, I>(frames: I, takes_binary: bool, out: &mut BytesMut) -> ContentType
where
    I: IntoIterator<Item = &'a Frame>,
    I::IntoIter: Clone,
{
    let frames = frames.into_iter();
    let binary = takes_binary && frames.clone().any(Frame::is_binary);
    let frames = frames.map(|frame| frame.clone().into_v3());
    let size = frames.clone().fold(0, |size: usize, frame| size.saturating_add(encoded_len(&frame, binary)));
    out.reserve(size.max(EMPTY_LIST.len()));
    if binary {
        for frame in frames {
            out.put_u8(if frame.is_binary() { BINARY_PART } else { TEXT_PART });
            put_length(frame.packet_len(), 0, END_OF_LENGTH, out);
            put_packet(&frame, out);
        }
        return ContentType::OctetStream;
    }
    if size == 0 {
        out.put_slice(EMPTY_LIST);
    }
    for frame in frames {
        let frame = frame.into_base64();
        put_length(frame.head().len().saturating_add(utf16_len(frame.data())), b'0', COLON, out);
        put_packet(&frame, out);
    }
    ContentType::Text
}

/// Length of a packet in a body. In a text body it may be too large by what the length takes when it is counted in bytes.
fn encoded_len(frame: &Frame, binary: bool) -> usize {
    let length = if frame.is_binary() && !binary {
        base64::encoded_len(frame.data().len()).saturating_add(2)
    } else {
        frame.packet_len()
    };
    let digits = length.checked_ilog10().map_or(1, |power| usize::try_from(power).unwrap_or(0).saturating_add(1));
    // The end of the length; in a binary body also the byte in front of it.
    length.saturating_add(digits).saturating_add(if binary { 2 } else { 1 })
}

/// Length of UTF-8 in UTF-16 code units: one for every character, and one more for those that take four bytes.
fn utf16_len(utf8: &[u8]) -> usize {
    let starts = utf8.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    let pairs = utf8.iter().filter(|byte| **byte >= 0xf0).count();
    starts.saturating_add(pairs)
}

/// Writes a length as decimal digits that count from `zero`, and its end.
fn put_length(length: usize, zero: u8, end: u8, out: &mut BytesMut) {
    let start = out.len();
    let mut rest = length;
    loop {
        out.put_u8(zero.saturating_add(u8::try_from(rest % 10).unwrap_or(0)));
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
    out.put_u8(end);
}

fn put_packet(frame: &Frame, out: &mut BytesMut) {
    out.put_slice(frame.head());
    out.put_slice(frame.data());
}
