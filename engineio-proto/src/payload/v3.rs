//! Payloads of revision 3: packets with a length before each, in a text or binary body.
//!
//! A text body is a sequence of `length:packet`. The length is in UTF-16 code units, as in JavaScript, and a binary message is `b4` and
//! base64. A binary body is a sequence of parts. Each part is a byte (0 for a packet in text form, 1 for a binary message), the length in
//! bytes as decimal digits (bytes of value 0 to 9), a byte of value 255, and the packet.
//!
//! JavaScript 2.x sends a binary body if a packet in it is binary. JavaScript 1.x, early Java and Python 3.x always do, and Swift never
//! does. All of them write these two forms, and [`Packets`] reads no others. The reference accepts more:
//!
//! | body | reference | here |
//! |---|---|---|
//! | text: `0:` | no packet; reading goes on after it | the same: this is an empty list |
//! | text: empty; no digit before the colon; `-1:`, `1.5:`, `a:` | error | error |
//! | text: a length beyond the end of the body; anything after the last packet | error, after the packets before it | the same |
//! | text: ` 6:`, `06:`, `1e1:`, `0x1:`, and whatever else JavaScript converts to a number | accepted | error: no client sends these |
//! | text: a length that ends within a surrogate pair | a message with half a character | error |
//! | text: `1:b`, a `b` without a type | a packet without a type | error |
//! | text: `b` and a type other than 4 | a packet of that type, with bytes | error |
//! | binary: empty body | no packet | the same: this is how early Java sends an empty list |
//! | binary: a first byte above 1 | the same as 1 | error |
//! | binary: a byte of 10 to 254 in the length | counts as two or three digits | error |
//! | binary: leading zeros | accepted | error |
//! | binary: no digits before the 255 | an empty packet; reading goes on at the 255 | error |
//! | binary: no 255 | error | error |
//! | binary: a length beyond the end of the body | the rest of the body is the packet | error: a truncated body is not a message |
//! | binary: a length of 0 | error, or a packet without a type | error |
//! | binary: bytes after a type other than 4 | a packet of that type, or without a type | error |
//! | binary: surrogates in UTF-8 | U+FFFD | error, like all invalid UTF-8 |
//! | binary: an error in a part | an invalid length discards all packets of the body, other errors only that part | error, after the packets before it |
//! | either: invalid base64 | what can be decoded of it | error, except what [`Packet::decode`] accepts |
//!
//! If `b64` is set, Python 3.x counts the lengths of text bodies in bytes. Such bodies can be read only if they are ASCII; the reference
//! refuses others too. JavaScript 1.x encodes text as UTF-8 twice where it cannot send binary. This cannot be detected, and like the
//! reference, this decoder does not undo it.
//!
//! Source: Engine.IO protocol v3, "Payload"; engine.io-parser 2.2.1, `encodePayload`, `decodePayload` and their `AsBinary` forms.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::base64;
use crate::error::ParseError;
use crate::http::ContentType;
use crate::message::{Message, Text};
use crate::packet::{Frame, Packet};

/// The end of the length in a text body.
const COLON: u8 = b':';
/// The end of the length in a binary body.
const END_OF_LENGTH: u8 = 255;
/// The first byte of a text packet in a binary body.
const TEXT_PART: u8 = 0;
/// The first byte of a binary message in a binary body.
const BINARY_PART: u8 = 1;
/// A text body without packets.
const EMPTY_LIST: &[u8] = b"0:";

/// The packets of one body, in order.
///
/// The iterator ends after the first `Err`: packets after an invalid one are not returned. Packets share the memory of the body. No memory
/// is allocated for a length that the body only announces.
///
/// The errors are those of [`Packet::decode_v3`], [`ParseError::Length`] (also for an empty text body), and [`ParseError::Utf8`] if a text
/// packet in a binary body is not UTF-8.
#[derive(Clone, Hash, Debug)]
pub struct Packets {
    rest: Option<Rest>,
}

/// The part of a body that is not read yet.
#[derive(Clone, Hash, Debug)]
enum Rest {
    /// Empty only if the whole body is empty.
    Text(Text),
    /// Never empty.
    Binary(Bytes),
}

impl Packets {
    /// Starts reading a body, as text or binary according to its content type.
    ///
    /// # Errors
    /// [`ParseError::Utf8`] if a text body is not UTF-8. The whole body is checked once, here. The reference replaces invalid UTF-8 by
    /// U+FFFD.
    pub fn new(body: Bytes, content_type: ContentType) -> Result<Self, ParseError> {
        let rest = match content_type {
            ContentType::Text => Some(Rest::Text(Text::try_from(body).map_err(|_| ParseError::Utf8)?)),
            ContentType::OctetStream => Rest::binary(body),
        };
        Ok(Self { rest })
    }

    /// The number of bytes of the body that are not read yet.
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

/// Splits a text body into its first packet and the rest. Returns `None` if only empty lists are left.
fn split_text(mut body: Text) -> Result<Option<(Message, Option<Rest>)>, ParseError> {
    loop {
        let (length, behind) = split_length(body.as_bytes(), b'0', COLON).ok_or(ParseError::Length)?;
        // Digits and the colon are ASCII, so a character starts after them.
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

/// Splits a binary body into its first packet and the rest.
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

/// Reads a length in decimal digits, of which `zero` is the digit 0, and returns it with the bytes after its end. Reads no more bytes than
/// the largest length has digits.
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

/// Splits a text after this number of UTF-16 code units.
fn split_utf16(text: &str, units: usize) -> Option<(&str, &str)> {
    // A unit takes at least one byte. In ASCII, it takes exactly one.
    if text.as_bytes().get(..units)?.is_ascii() {
        return text.split_at_checked(units);
    }
    let mut missing = units;
    let mut characters = text.chars();
    while missing > 0 {
        // Fails if the length ends within a surrogate pair.
        missing = missing.checked_sub(characters.next()?.len_utf16())?;
    }
    text.split_at_checked(text.len().saturating_sub(characters.as_str().len()))
}

/// Appends packets to `out` as one body, and returns its content type.
///
/// The body is binary if one of the packets is a binary message and the client `takes_binary`, that is, if it did not ask for `b64` and
/// does not use [`jsonp`](super::jsonp). Without packets, the body is `0:`.
///
/// The iterator is run several times, so that `out` grows at most once. Frames may be of either revision.
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

/// The length of a packet of revision 3 in a body, with its length in front.
pub(crate) fn encoded_len(frame: &Frame, binary: bool) -> usize {
    // In a text body, the number in front counts UTF-16 code units, not bytes.
    let (length, number) = if binary {
        (frame.packet_len(), frame.packet_len())
    } else if frame.is_binary() {
        let length = base64::encoded_len(frame.data().len()).saturating_add(2);
        (length, length)
    } else {
        (frame.packet_len(), frame.head().len().saturating_add(utf16_len(frame.data())))
    };
    let digits = number.checked_ilog10().map_or(1, |power| usize::try_from(power).unwrap_or(0).saturating_add(1));
    // The byte that ends the length; in a binary body, also the byte before it.
    length.saturating_add(digits).saturating_add(if binary { 2 } else { 1 })
}

/// The length of UTF-8 in UTF-16 code units: one for every character, two for characters of four bytes.
fn utf16_len(utf8: &[u8]) -> usize {
    let starts = utf8.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    let pairs = utf8.iter().filter(|byte| **byte >= 0xf0).count();
    starts.saturating_add(pairs)
}

/// Writes a length as decimal digits, of which `zero` is the digit 0, and the byte that ends it.
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
