//! JSONP: polling by script tags and hidden forms, for browsers that cannot ask another origin otherwise.
//!
//! A session polls so when the query of its handshake has a `j`, in either revision; that of later requests is ignored. What it polls
//! is a script that calls a function with a payload ([`Callback::encode`]), what it posts is a form ([`decode_form`]). It takes no binary:
//! in revision 3, payloads for it are encoded without, and in revision 4 all are text anyway. The content type of the script is that
//! of a text payload.
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

/// As many as the largest index of a JavaScript array has.
const MAX_DIGITS: usize = 10;

/// The function that a client wants called: a number, by which it finds it in an array of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Callback {
    digits: [u8; MAX_DIGITS],
    count: u8,
}

impl Callback {
    /// From the decoded value of `j` in the query. Only its digits count, whatever else there is (`a1b2` is 12): it becomes
    /// part of a script.
    ///
    /// Of more than ten digits the first ten are kept, which no client has a function for; the reference keeps them all.
    /// Without any the script is none, and the client's own fault.
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

    /// Appends the script that calls the function with this payload, which was written by [`encode`](super::encode) or as text
    /// by [`v3::encode`](super::v3::encode).
    ///
    /// What is not UTF-8 in it becomes U+FFFD.
    pub fn encode(&self, payload: &[u8], out: &mut BytesMut) {
        // The quotes of JSON that most payloads have inside take an escape each.
        out.reserve(payload.len().saturating_add(payload.len() / 8).saturating_add(32));
        let payload = String::from_utf8_lossy(payload);
        // Writing to memory does not fail.
        let _ = write!(Script(out), "___eio[{}]({});", self.as_str(), JsonString(&payload));
    }
}

/// Writes what JSON allows in a string and scripts did not allow until 2019 as escapes.
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

/// The payload in the body of a POST: the value of `d` in a form.
///
/// Nothing when the form has no `d`, or several of them: ignore the body then, and answer its request as any other. The
/// reference looks at the first 1000 parameters only; here the length of the body is the limit, as nothing but the payload
/// takes memory.
///
/// Browsers change the line breaks of what a form sends. So clients send a line feed as `\n` (a backslash and an n), and what
/// reads `\n` already with one more backslash; both are undone here, before lengths are looked at. A backslash in front of a line feed
/// makes that ambiguous, and is read as `\n`, as in the reference.
///
/// # Errors
/// [`ParseError::Utf8`] for a payload that is none once its percent escapes are undone; the reference puts U+FFFD in its place.
/// A percent sign without two hexadecimal digits behind it stays.
pub fn decode_form(body: &Bytes) -> Result<Option<Text>, ParseError> {
    let mut values = body.split(|byte| *byte == b'&').filter_map(|parameter| {
        let mut halves = parameter.splitn(2, |byte| *byte == b'=');
        let is_payload = *form::decode(halves.next()?) == *b"d";
        is_payload.then(|| halves.next().unwrap_or_default())
    });
    let (Some(value), None) = (values.next(), values.next()) else { return Ok(None) };
    let text = line_feeds(&form::decode(value));
    String::from_utf8(text).map(|text| Some(Text::from(text))).map_err(|_| ParseError::Utf8)
}

/// Undoes what clients do to line feeds: of the backslashes before an `n` one goes, and `n` stands for a line feed if it was the only one.
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
