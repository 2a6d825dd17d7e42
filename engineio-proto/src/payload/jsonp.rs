//! JSONP: polling with script tags and hidden forms, for browsers that have no other way to send requests to another origin.
//!
//! A session uses JSONP if the query of its handshake has a parameter `j`, in either revision. The `j` of later requests is ignored. The
//! response to a GET is a script that calls a function with a payload ([`Callback::encode`]). The body of a POST is a form
//! ([`decode_form`]). JSONP does not carry binary: payloads of revision 3 must be encoded as text, and payloads of revision 4 always are.
//! The content type of the script is that of a text payload.
//!
//! Source: engine.io `lib/transports/polling-jsonp.ts`; engine.io-client 3.5 `lib/transports/polling-jsonp.js`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::error::ParseError;
use crate::form;
use crate::json::JsonString;
use crate::message::Text;

/// The number of digits of the largest index of a JavaScript array.
const MAX_DIGITS: usize = 10;

/// The function that the script calls: its index in the client's array of functions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Callback {
    digits: [u8; MAX_DIGITS],
    count: u8,
}

impl Callback {
    /// Reads the decoded value of `j` in the query. Only its digits are kept, because they become part of a script: `a1b2` is 12.
    ///
    /// If there are more than ten digits, the first ten are kept, and the client has no function of that number; the reference keeps all
    /// digits. Without any digit, the script is invalid, as in the reference.
    #[must_use]
    pub fn from_query(j: &str) -> Self {
        let mut callback = Self { digits: [0; MAX_DIGITS], count: 0 };
        for (place, digit) in callback.digits.iter_mut().zip(j.bytes().filter(u8::is_ascii_digit)) {
            *place = digit;
            callback.count = callback.count.saturating_add(1);
        }
        callback
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.digits.get(..usize::from(self.count)).and_then(|digits| str::from_utf8(digits).ok()).unwrap_or_default()
    }

    /// Appends a script that calls the function with this payload. The payload is the output of [`encode`](super::encode), or of
    /// [`v3::encode`](super::v3::encode) as text.
    ///
    /// Invalid UTF-8 in the payload becomes U+FFFD.
    pub fn encode(&self, payload: &[u8], out: &mut BytesMut) {
        // Most payloads contain JSON, whose quotes take an escape each.
        out.reserve(payload.len().saturating_add(payload.len() / 8).saturating_add(32));
        let payload = String::from_utf8_lossy(payload);
        // Writing to memory cannot fail.
        let _ = write!(Script(out), "___eio[{}]({});", self.as_str(), JsonString(&payload));
    }
}

/// Escapes the two characters that JSON allows in a string, but JavaScript did not until 2019.
struct Script<'a>(&'a mut BytesMut);

impl fmt::Write for Script<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| self.write_char(character))
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        match character {
            '\u{2028}' => self.0.put_slice(b"\\u2028"),
            '\u{2029}' => self.0.put_slice(b"\\u2029"),
            _ => self.0.put_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        Ok(())
    }
}

/// Reads the payload from the body of a POST: the value of `d` in a form.
///
/// Returns `None` if the form has no `d`, or several. Ignore such a body, and answer its request like any other. The reference looks at
/// the first 1000 parameters only. Here the length of the body is the only limit, because parameters other than the payload take no memory.
///
/// Browsers change the line breaks in forms. Clients therefore send a line feed as `\n` (a backslash and an n), and add a backslash to a
/// `\n` that is in the payload. Both are undone here, before the lengths of packets are read. A backslash before a line feed is ambiguous
/// and is read as `\n`, as in the reference.
///
/// A percent sign that is not followed by two hexadecimal digits is kept.
///
/// # Errors
/// [`ParseError::Utf8`] if the decoded payload is not UTF-8. The reference replaces invalid UTF-8 by U+FFFD.
pub fn decode_form(body: &Bytes) -> Result<Option<Text>, ParseError> {
    let mut values = body.split(|byte| *byte == b'&').filter_map(|parameter| {
        let mut halves = parameter.splitn(2, |byte| *byte == b'=');
        // Encoded or not: no other name decodes to `d`, so names are not decoded.
        let is_payload = matches!(halves.next()?, b"d" | b"%64");
        is_payload.then(|| halves.next().unwrap_or_default())
    });
    let (Some(value), None) = (values.next(), values.next()) else { return Ok(None) };
    let text = line_feeds(&form::decode(value));
    String::from_utf8(text).map(|text| Some(Text::from(text))).map_err(|_| ParseError::Utf8)
}

/// Undoes the escapes of line feeds, and of `\n`, in a payload; see [`decode_form`].
fn line_feeds(escaped: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, behind)) = memchr::memchr(b'\\', rest).and_then(|at| rest.split_at_checked(at)) {
        text.extend_from_slice(before);
        let run = behind.iter().take_while(|byte| **byte == b'\\').count();
        let (backslashes, behind) = behind.split_at_checked(run).unwrap_or_default();
        rest = behind;
        match (backslashes, behind) {
            ([_], [b'n', behind @ ..]) => {
                text.push(b'\n');
                rest = behind;
            }
            ([_, fewer @ ..], [b'n', ..]) => text.extend_from_slice(fewer),
            _ => text.extend_from_slice(backslashes),
        }
    }
    text.extend_from_slice(rest);
    text
}
