//! The scanner: validates JSON and finds the end of each value, in one pass, without recursion, and without allocating for the
//! first 64 levels.
//!
//! It accepts exactly what `JSON.parse` accepts (RFC 8259): unpaired surrogate escapes such as `\ud800` are valid, control
//! characters in strings are not. `serde_json` agrees when it ignores a value. It rejects such a string only when it reads it
//! as a `str`.
//!
//! Positions never exceed the length of the text, so adding a small number to a position cannot overflow.
//!
//! Source: RFC 8259.

use alloc::vec::Vec;

/// One bit for each open container, set if it is an object; the innermost is the lowest bit. The innermost group of up to 64 is
/// in `word`; full words are saved in `spilled`.
struct Nesting {
    depth: u32,
    word: u64,
    spilled: Vec<u64>,
}

impl Nesting {
    const fn new() -> Self {
        Self { depth: 0, word: 0, spilled: Vec::new() }
    }

    #[inline(always)]
    fn open(&mut self, object: bool) {
        if self.depth.is_multiple_of(64) && self.depth > 0 {
            self.spilled.push(self.word);
        }
        self.word = self.word << 1 | u64::from(object);
        self.depth = self.depth.saturating_add(1);
    }

    #[inline(always)]
    fn close(&mut self) {
        self.word >>= 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth.is_multiple_of(64) && self.depth > 0 {
            self.word = self.spilled.pop().unwrap_or(0);
        }
    }

    #[inline(always)]
    const fn in_object(&self) -> bool {
        self.word & 1 == 1
    }
}

/// The end of the value at `at`, after optional whitespace. Arrays and objects may be nested at most `max_depth` deep. Returns
/// `None` if there is no such value.
#[inline(always)]
pub(crate) fn value(text: &[u8], at: usize, max_depth: u32) -> Option<usize> {
    let at = whitespace(text, at);
    match *text.get(at)? {
        b'[' | b'{' => container(text, at, max_depth),
        first => scalar(text, at, first),
    }
}

#[inline(always)]
fn scalar(text: &[u8], at: usize, first: u8) -> Option<usize> {
    match first {
        b'"' => string(text, at + 1),
        b'-' | b'0'..=b'9' => number(text, at),
        b't' => literal(text, at, b"true"),
        b'f' => literal(text, at, b"false"),
        b'n' => literal(text, at, b"null"),
        _ => None,
    }
}

#[inline(never)]
fn container(text: &[u8], mut at: usize, max_depth: u32) -> Option<usize> {
    let mut nesting = Nesting::new();
    loop {
        at = whitespace(text, at);
        match *text.get(at)? {
            first @ (b'{' | b'[') => {
                if nesting.depth >= max_depth {
                    return None;
                }
                let object = first == b'{';
                nesting.open(object);
                at = whitespace(text, at + 1);
                let closing = if object { b'}' } else { b']' };
                if text.get(at) != Some(&closing) {
                    if object {
                        at = key(text, at)?;
                    }
                    continue;
                }
                at += 1;
                nesting.close();
            }
            first => at = scalar(text, at, first)?,
        }
        loop {
            if nesting.depth == 0 {
                return Some(at);
            }
            at = whitespace(text, at);
            match *text.get(at)? {
                b',' => {
                    at += 1;
                    if nesting.in_object() {
                        at = key(text, whitespace(text, at))?;
                    }
                    break;
                }
                b'}' if nesting.in_object() => {}
                b']' if !nesting.in_object() => {}
                _ => return None,
            }
            at += 1;
            nesting.close();
        }
    }
}

/// The position after a key and its colon.
#[inline(always)]
fn key(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let at = whitespace(text, string(text, at + 1)?);
    (text.get(at) == Some(&b':')).then_some(at + 1)
}

/// The first position from `at` that is not whitespace.
#[inline(always)]
pub(crate) fn whitespace(text: &[u8], mut at: usize) -> usize {
    // Only one comparison if there is no whitespace. This is the usual case: most peers send the output of `JSON.stringify`.
    while let Some(&byte) = text.get(at)
        && byte <= b' '
        && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
    {
        at += 1;
    }
    at
}

/// The position after the closing quote of the string whose content starts at `at`.
#[inline(always)]
pub(crate) fn string(text: &[u8], at: usize) -> Option<usize> {
    string_and_escapes(text, at).map(|(end, _)| end)
}

/// Same as [`string`]. Also returns whether the string has escapes.
#[inline(always)]
pub(crate) fn string_and_escapes(text: &[u8], at: usize) -> Option<(usize, bool)> {
    let end = plain(text, at);
    match text.get(end) {
        Some(b'"') => Some((end + 1, false)),
        Some(b'\\') => string_with_escapes(text, end).map(|end| (end, true)),
        _ => None,
    }
}

fn string_with_escapes(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {
                at = match *text.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at + 2,
                    b'u' if text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => at + 6,
                    _ => return None,
                };
            }
            _ => return None,
        }
        at = plain(text, at);
    }
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The high bit of each byte of `word` that is a quote, a backslash or a control character. Exact up to the lowest such byte; a
/// borrow may set additional bits above it.
#[inline(always)]
const fn special(word: u64) -> u64 {
    // Flipping this bit maps the quote to 0x20, next to the control characters, and moves the space away.
    let quote_or_control = (word ^ (LOW * 0x02)).wrapping_sub(LOW * 0x21);
    let backslash = (word ^ (LOW * b'\\' as u64)).wrapping_sub(LOW);
    (quote_or_control | backslash) & !word & HIGH
}

/// Whether none of the bytes is a quote, a backslash or a control character. Written so that the compiler vectorises it.
#[inline(always)]
fn all_plain(chunk: &[u8; 32]) -> bool {
    chunk
        .iter()
        .fold(0, |found, &byte| found | u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\'))
        == 0
}

/// The first position from `at` of a quote, a backslash or a control character; the length of the text if there is none.
#[inline(always)]
pub(crate) fn plain(text: &[u8], at: usize) -> usize {
    let mut rest = text.get(at..).unwrap_or_default();
    // Keys and most strings are short and end in the first two words.
    for _ in 0..2 {
        let Some((chunk, behind)) = rest.split_first_chunk() else { return plain_tail(text, rest.len()) };
        let found = special(u64::from_le_bytes(*chunk));
        if found != 0 {
            return position(text, rest, found);
        }
        rest = behind;
    }
    plain_long(text, rest)
}

fn plain_long(text: &[u8], mut rest: &[u8]) -> usize {
    while let Some((chunk, behind)) = rest.split_first_chunk()
        && all_plain(chunk)
    {
        rest = behind;
    }
    while let Some((chunk, behind)) = rest.split_first_chunk() {
        let found = special(u64::from_le_bytes(*chunk));
        if found != 0 {
            return position(text, rest, found);
        }
        rest = behind;
    }
    plain_tail(text, rest.len())
}

/// The position in the text of the lowest byte in `found`, for a match in the first word of `rest`.
#[inline(always)]
const fn position(text: &[u8], rest: &[u8], found: u64) -> usize {
    text.len().saturating_sub(rest.len()) + (found.trailing_zeros() / 8) as usize
}

/// Handles the last `rest` bytes, at most seven: loads the last eight bytes of the text and shifts out those before `rest`. The
/// zeros that are shifted in count as control characters, so that the end of the text is a match.
#[inline(always)]
fn plain_tail(text: &[u8], rest: usize) -> usize {
    let at = text.len().saturating_sub(rest);
    match text.last_chunk() {
        Some(chunk) if rest > 0 => {
            let found = special(u64::from_le_bytes(*chunk) >> (64 - 8 * rest.min(7)));
            at + (found.trailing_zeros() / 8) as usize
        }
        _ => plain_whole(text, at),
    }
}

/// Same as [`plain_tail`], for a text of fewer than eight bytes, or if nothing is left.
#[inline(always)]
fn plain_whole(text: &[u8], at: usize) -> usize {
    let tail = text.get(at..).unwrap_or_default();
    // Four to seven bytes are covered by two overlapping loads of four.
    if let (Some(first), Some(last)) = (tail.first_chunk(), tail.last_chunk())
        && special(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))) == 0
    {
        return text.len();
    }
    at + tail.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).unwrap_or(tail.len())
}

/// The position after the number that starts at `at`.
#[inline(always)]
pub(crate) fn number(text: &[u8], mut at: usize) -> Option<usize> {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(text, at)? };
    if let Some(b'.' | b'e' | b'E') = text.get(at) { fraction(text, at) } else { Some(at) }
}

fn fraction(text: &[u8], mut at: usize) -> Option<usize> {
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(text, at)?;
    }
    Some(at)
}

/// The position after one or more digits.
#[inline(always)]
fn digits(text: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    while let Some(b'0'..=b'9') = text.get(end) {
        end += 1;
    }
    (end > at).then_some(end)
}

#[inline(always)]
fn literal(text: &[u8], at: usize, expected: &[u8]) -> Option<usize> {
    let end = at + expected.len();
    (text.get(at..end) == Some(expected)).then_some(end)
}
