//! The scanner: is this JSON, and where does each value end? One pass, no recursion, no memory for the first 64 levels.
//!
//! Its verdict is that of `JSON.parse` (RFC 8259): lone surrogate escapes such as `\ud800` are accepted, control characters in strings
//! are not. `serde_json` agrees when it ignores a value, and disagrees only when such a string is read as a `str`.
//!
//! Positions never exceed the length of the text, so adding a few to one cannot overflow.
//!
//! Source: RFC 8259.

use alloc::vec::Vec;

/// Which open containers are objects, innermost in the lowest bit. The first 64 are in the word, earlier words are spilled.
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

/// The end of the value that starts at `at` or behind whitespace from there, with at most `max_depth` arrays and objects around each
/// other; `None` when there is no such value.
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

/// The position behind a key and its colon.
#[inline(always)]
fn key(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let at = whitespace(text, string(text, at + 1)?);
    (text.get(at) == Some(&b':')).then_some(at + 1)
}

/// The first position from `at` on that is not whitespace.
#[inline(always)]
pub(crate) fn whitespace(text: &[u8], mut at: usize) -> usize {
    // One comparison when there is none, which is the rule: peers send what `JSON.stringify` gives.
    while let Some(&byte) = text.get(at)
        && byte <= b' '
        && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
    {
        at += 1;
    }
    at
}

/// The position behind the closing quote of the string whose content starts at `at`.
#[inline(always)]
pub(crate) fn string(text: &[u8], at: usize) -> Option<usize> {
    string_and_escapes(text, at).map(|(end, _)| end)
}

/// As [`string`], and whether the string has escapes.
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

/// The high bit of each byte of the word that is a quote, a backslash or a control character. Exact up to and including the lowest
/// such byte; above it a borrow may set bits too many.
#[inline(always)]
const fn special(word: u64) -> u64 {
    // With this bit turned over, the quote comes next to the control characters, and the space does not.
    let quote_or_control = (word ^ (LOW * 0x02)).wrapping_sub(LOW * 0x21);
    let backslash = (word ^ (LOW * b'\\' as u64)).wrapping_sub(LOW);
    (quote_or_control | backslash) & !word & HIGH
}

/// Whether none of the bytes is a quote, a backslash or a control character. Written so that it becomes a few vector instructions
/// where there are some.
#[inline(always)]
fn all_plain(chunk: &[u8; 32]) -> bool {
    chunk
        .iter()
        .fold(0, |found, &byte| found | u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\'))
        == 0
}

/// The first position from `at` on of a quote, a backslash or a control character; the text's length when there is none.
#[inline(always)]
pub(crate) fn plain(text: &[u8], at: usize) -> usize {
    let mut rest = text.get(at..).unwrap_or_default();
    // Keys and most strings are short, and are done with in the first words.
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

/// The position in the text of the lowest byte that was found in the first word of the rest.
#[inline(always)]
const fn position(text: &[u8], rest: &[u8], found: u64) -> usize {
    text.len().saturating_sub(rest.len()) + (found.trailing_zeros() / 8) as usize
}

/// The last `rest`, at most seven, bytes: the last eight of the text without those before. The zeros that move in count as control
/// characters, so that the text's end is found as one.
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

/// As [`plain_tail`], when there are no eight bytes before the end.
#[inline(always)]
fn plain_whole(text: &[u8], at: usize) -> usize {
    let tail = text.get(at..).unwrap_or_default();
    // Four to seven bytes are two times four, some of them twice.
    if let (Some(first), Some(last)) = (tail.first_chunk(), tail.last_chunk())
        && special(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))) == 0
    {
        return text.len();
    }
    at + tail.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).unwrap_or(tail.len())
}

/// The position behind the number that starts at `at`.
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

/// The position behind one or more digits.
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
