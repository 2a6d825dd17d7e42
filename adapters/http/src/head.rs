//! The head of a message: where it ends, and its headers.

use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use crate::Error;

/// Finds the end of a head that arrives in pieces. Each byte is looked at once.
#[derive(Debug, Default)]
pub(crate) struct HeadScanner {
    /// How much is searched already.
    searched: usize,
    /// Where the current line begins.
    line: usize,
}

impl HeadScanner {
    /// Returns the length of the head, with its blank line, as soon as `bytes` have all of it. `bytes` begin with those of the last call.
    pub(crate) fn find(&mut self, bytes: &[u8], limit: usize) -> Result<Option<usize>, Error> {
        while let Some(at) = bytes.get(self.searched..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let feed = self.searched + at;
            match bytes.get(self.line..feed) {
                // Before all else, so that the error does not depend on how the head was split.
                _ if feed >= limit => return Err(Error::HeadTooLarge),
                Some(b"\r") => return Ok(Some(feed + 1)),
                Some([.., b'\r']) => (self.searched, self.line) = (feed + 1, feed + 1),
                _ => return Err(Error::BareLf),
            }
        }
        self.searched = bytes.len();
        if bytes.len() >= limit { Err(Error::HeadTooLarge) } else { Ok(None) }
    }
}

/// The headers of a message, in the order of the peer.
#[derive(Clone, Debug)]
pub struct Headers {
    head: Bytes,
    fields: Vec<(Span, Span)>,
}

/// A part of a head. Heads of 4 GiB are refused.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span(u32, u32);

impl Span {
    /// Where `part`, which was parsed from `head`, is in it.
    fn of(head: &[u8], part: &[u8]) -> Result<Self, Error> {
        let start = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
        let to_u32 = |number: usize| u32::try_from(number).map_err(|_| Error::HeadTooLarge);
        Ok(Self(to_u32(start)?, to_u32(start.saturating_add(part.len()))?))
    }

    fn range(self) -> Range<usize> {
        self.0 as usize..self.1 as usize
    }
}

impl Headers {
    /// Keeps where the parts of a parsed head are.
    pub(crate) fn new(head: &Bytes, parsed: &[httparse::Header<'_>]) -> Result<Self, Error> {
        let span =
            |field: &httparse::Header<'_>| Ok((Span::of(head, field.name.as_bytes())?, Span::of(head, field.value)?));
        Ok(Self { head: head.clone(), fields: parsed.iter().map(span).collect::<Result<_, _>>()? })
    }

    /// Where this text of the same head is.
    pub(crate) fn span(&self, part: &str) -> Result<Span, Error> {
        Span::of(&self.head, part.as_bytes())
    }

    /// Text of the head, of which `httparse` has verified that it is UTF-8.
    pub(crate) fn text(&self, span: Span) -> &str {
        core::str::from_utf8(self.bytes(span)).unwrap_or_default()
    }

    fn bytes(&self, span: Span) -> &[u8] {
        self.head.get(span.range()).unwrap_or_default()
    }

    /// Names and values. Values are without the spaces around them. They need not be UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.fields.iter().map(|(name, value)| (self.text(*name), self.bytes(*value)))
    }

    /// The values of all headers with this name, ignoring case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of the first header with this name, ignoring case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// How many headers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no headers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Converts an error of the parser.
pub(crate) fn parse_error(error: httparse::Error) -> Error {
    match error {
        httparse::Error::TooManyHeaders => Error::TooManyHeaders,
        _ => Error::InvalidHead,
    }
}

/// What the headers say about the rest of the message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    pub(crate) length: Option<u64>,
    pub(crate) chunked: bool,
    /// How many `Host` headers there are.
    pub(crate) hosts: usize,
    /// `Connection` has the option `close`.
    pub(crate) close: bool,
    /// `Connection` has the option `keep-alive`.
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) expects_other: bool,
}

impl Framing {
    /// Reads all headers once. Everything that two implementations may understand differently is an error.
    pub(crate) fn new(version: u8, headers: &[httparse::Header<'_>]) -> Result<Self, Error> {
        let mut framing = Self::default();
        for httparse::Header { name, value } in headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            match name.len() {
                4 if is("host") => framing.hosts += 1,
                6 if is("expect") && value.eq_ignore_ascii_case(b"100-continue") => framing.expects_continue = true,
                6 if is("expect") => framing.expects_other = true,
                10 if is("connection") => {
                    for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                        framing.close |= option.eq_ignore_ascii_case(b"close");
                        framing.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if is("content-length") => {
                    let length = parse_length(value).ok_or(Error::InvalidLength)?;
                    if framing.length.replace(length).is_some() {
                        return Err(Error::RepeatedLength);
                    }
                }
                17 if is("transfer-encoding") => {
                    if version == 0 {
                        return Err(Error::EncodingInHttp10);
                    }
                    if framing.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Error::UnsupportedEncoding);
                    }
                    framing.chunked = true;
                }
                _ => {}
            }
        }
        if framing.chunked && framing.length.is_some() {
            return Err(Error::LengthAndEncoding);
        }
        Ok(framing)
    }

    /// Whether the peer lets the connection carry a further message (RFC 9112 section 9.3).
    pub(crate) const fn is_persistent(&self, version: u8) -> bool {
        !self.close && (version == 1 || self.keep_alive)
    }
}

/// Reads a number of digits alone: no sign, no spaces, no list.
fn parse_length(value: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let first = value.first().and_then(digit)?;
    value.iter().skip(1).try_fold(first, |length, byte| length.checked_mul(10)?.checked_add(digit(byte)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_alone() {
        assert_eq!(parse_length(b"0"), Some(0));
        assert_eq!(parse_length(b"18446744073709551615"), Some(u64::MAX));
        for invalid in ["", "+1", "-1", "1 ", "1,1", "0x1", "1.0", "18446744073709551616", "\u{661}"] {
            assert_eq!(parse_length(invalid.as_bytes()), None, "{invalid:?}");
        }
    }
}
