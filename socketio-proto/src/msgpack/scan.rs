//! The scanner: validates MessagePack and finds the end of each value, in one pass, without recursion, and without allocating
//! for the first 16 levels. It never allocates according to a length that was only announced.
//!
//! Every string must be UTF-8, so that relayed payloads do not break peers that require it.
//!
//! Positions never exceed the length of the bytes, so adding a small number to a position cannot overflow. Announced lengths
//! are checked before they are added.
//!
//! Source: the MessagePack specification, "Formats"; notepack.io 2.2.0, `lib/decode.js`.

use alloc::vec::Vec;
use core::str;

/// The type of a value, decoded from its first bytes. For text, bytes and extensions, the number is the length in bytes; for
/// arrays it is the number of elements, and for maps the number of pairs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Head {
    Nil,
    Bool(bool),
    Unsigned(u64),
    /// Below zero.
    Negative(i64),
    Float(f64),
    Text(u32),
    Bytes(u32),
    Array(u32),
    Map(u32),
    Extension(Extension, i8, u32),
}

/// The meaning of an extension in notepack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extension {
    Undefined,
    Date,
    ArrayBuffer,
    Other,
}

/// Reads `N` bytes. Returns them and the position after them.
#[inline(always)]
fn big_endian<const N: usize>(bytes: &[u8], at: usize) -> Option<([u8; N], usize)> {
    Some((*bytes.get(at..)?.first_chunk()?, at + N))
}

#[inline(always)]
fn length(bytes: &[u8], at: usize, size: u8) -> Option<(u32, usize)> {
    match size {
        1 => bytes.get(at).map(|&length| (length.into(), at + 1)),
        2 => big_endian(bytes, at).map(|(length, at)| (u16::from_be_bytes(length).into(), at)),
        _ => big_endian(bytes, at).map(|(length, at)| (u32::from_be_bytes(length), at)),
    }
}

const fn integer(value: i64) -> Head {
    if value < 0 { Head::Negative(value) } else { Head::Unsigned(value.unsigned_abs()) }
}

fn extension(bytes: &[u8], at: usize, length: u32, fixed: bool) -> Option<(Head, usize)> {
    let (kind, at) = big_endian(bytes, at)?;
    let kind = i8::from_be_bytes(kind);
    let meaning = match (kind, fixed, length) {
        (0, false, _) => Extension::ArrayBuffer,
        (0, true, 1) => Extension::Undefined,
        (0, true, 8) => Extension::Date,
        _ => Extension::Other,
    };
    Some((Head::Extension(meaning, kind, length), at))
}

/// The head of the value at this position, and the position after the head.
#[inline(always)]
pub(crate) fn head(bytes: &[u8], at: usize) -> Option<(Head, usize)> {
    let first = *bytes.get(at)?;
    let at = at + 1;
    // The most common first bytes are matched inline: a call would cost as much as the rest.
    match first {
        0x00..=0x7f => Some((Head::Unsigned(first.into()), at)),
        0x80..=0x8f => Some((Head::Map((first & 0x0f).into()), at)),
        0x90..=0x9f => Some((Head::Array((first & 0x0f).into()), at)),
        0xa0..=0xbf => Some((Head::Text((first & 0x1f).into()), at)),
        0xe0..=0xff => Some((Head::Negative(i8::from_be_bytes([first]).into()), at)),
        0xc0..=0xdf => long_head(bytes, at, first),
    }
}

/// Same as [`head`], for heads longer than one byte. `at` is the position after the first byte.
#[inline(never)]
fn long_head(bytes: &[u8], at: usize, first: u8) -> Option<(Head, usize)> {
    Some(match first {
        0xc0 => (Head::Nil, at),
        0xc2 | 0xc3 => (Head::Bool(first == 0xc3), at),
        0xc4..=0xc6 => {
            let (length, at) = length(bytes, at, 1 << (first - 0xc4))?;
            (Head::Bytes(length), at)
        }
        0xc7..=0xc9 => {
            let (length, at) = length(bytes, at, 1 << (first - 0xc7))?;
            return extension(bytes, at, length, false);
        }
        0xca => {
            let (value, at) = big_endian(bytes, at)?;
            (Head::Float(f32::from_be_bytes(value).into()), at)
        }
        0xcb => {
            let (value, at) = big_endian(bytes, at)?;
            (Head::Float(f64::from_be_bytes(value)), at)
        }
        0xcc..=0xce => {
            let (value, at) = length(bytes, at, 1 << (first - 0xcc))?;
            (Head::Unsigned(value.into()), at)
        }
        0xcf => {
            let (value, at) = big_endian(bytes, at)?;
            (Head::Unsigned(u64::from_be_bytes(value)), at)
        }
        0xd0 => {
            let (value, at) = big_endian(bytes, at)?;
            (integer(i8::from_be_bytes(value).into()), at)
        }
        0xd1 => {
            let (value, at) = big_endian(bytes, at)?;
            (integer(i16::from_be_bytes(value).into()), at)
        }
        0xd2 => {
            let (value, at) = big_endian(bytes, at)?;
            (integer(i32::from_be_bytes(value).into()), at)
        }
        0xd3 => {
            let (value, at) = big_endian(bytes, at)?;
            (integer(i64::from_be_bytes(value)), at)
        }
        0xd4..=0xd8 => return extension(bytes, at, 1 << (first - 0xd4), true),
        0xd9..=0xdb => {
            let (length, at) = length(bytes, at, 1 << (first - 0xd9))?;
            (Head::Text(length), at)
        }
        0xdc | 0xdd => {
            let (length, at) = length(bytes, at, 2 << (first - 0xdc))?;
            (Head::Array(length), at)
        }
        0xde | 0xdf => {
            let (length, at) = length(bytes, at, 2 << (first - 0xde))?;
            (Head::Map(length), at)
        }
        // 0xc1 is unused in MessagePack.
        _ => return None,
    })
}

/// `length` bytes at this position, and the position after them.
#[inline]
pub(crate) fn take(bytes: &[u8], at: usize, length: u32) -> Option<(&[u8], usize)> {
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    Some((bytes.get(at..end)?, end))
}

/// Same as [`take`], for bytes that must be UTF-8.
#[inline]
pub(crate) fn take_text(bytes: &[u8], at: usize, length: u32) -> Option<(&str, usize)> {
    let (text, end) = take(bytes, at, length)?;
    Some((str::from_utf8(text).ok()?, end))
}

/// Same as [`take_text`], but only validates the text and returns its bytes.
#[inline]
pub(crate) fn check_text(bytes: &[u8], at: usize, length: u32) -> Option<(&[u8], usize)> {
    let (text, end) = take(bytes, at, length)?;
    (is_short_ascii(bytes, at, length) || is_utf8(text)).then_some((text, end))
}

#[inline(never)]
fn is_utf8(text: &[u8]) -> bool {
    // Text at the end of the message may be short as well. For short text, starting the full check takes longer than this loop.
    (text.len() < 8 && text.iter().all(u8::is_ascii)) || str::from_utf8(text).is_ok()
}

/// Whether a text is ASCII, tested with a single load of eight bytes. Most keys and names are short ASCII.
#[inline]
fn is_short_ascii(bytes: &[u8], at: usize, length: u32) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    match big_endian(bytes, at) {
        // The bytes after the text are shifted out.
        Some((word, _)) if (1..=8).contains(&length) => (u64::from_be_bytes(word) & HIGH) >> (64 - 8 * length) == 0,
        _ => false,
    }
}

/// Number of values left in each open container, outermost first.
struct Open {
    depth: u32,
    first: [u32; Self::FIRST],
    spilled: Vec<u32>,
}

impl Open {
    const FIRST: usize = 16;

    const fn new() -> Self {
        Self { depth: 0, first: [0; Self::FIRST], spilled: Vec::new() }
    }

    fn push(&mut self, left: u32) {
        match self.first.get_mut(self.depth as usize) {
            Some(slot) => *slot = left,
            None => self.spilled.push(left),
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn pop(&mut self) -> Option<u32> {
        self.depth = self.depth.checked_sub(1)?;
        match self.first.get(self.depth as usize) {
            Some(&left) => Some(left),
            None => self.spilled.pop(),
        }
    }
}

/// Number of values in a container. Returns `None` if fewer bytes than values are left.
pub(crate) fn values(bytes: &[u8], at: usize, head: Head) -> Option<u32> {
    let count = match head {
        Head::Array(length) => length,
        Head::Map(length) => length.checked_mul(2)?,
        _ => return None,
    };
    (usize::try_from(count).ok()? <= bytes.len().saturating_sub(at)).then_some(count)
}

/// The end of the value that starts at `at`. Arrays and maps may be nested at most `max_depth` deep. Returns `None` if there is
/// no such value.
#[inline]
pub(crate) fn value(bytes: &[u8], at: usize, max_depth: u32) -> Option<usize> {
    match step(bytes, at)? {
        (None, end) => Some(end),
        (Some(inside), first) => container(bytes, first, inside, max_depth),
    }
}

/// The end of a scalar; or the number of values in a container, and the position of the first of them.
#[inline(always)]
fn step(bytes: &[u8], at: usize) -> Option<(Option<u32>, usize)> {
    // The most common first bytes are handled here, without decoding a `Head`.
    match *bytes.get(at)? {
        0x00..=0x7f | 0xe0..=0xff => Some((None, at + 1)),
        first @ 0xa0..=0xbf => Some((None, check_text(bytes, at + 1, (first & 0x1f).into())?.1)),
        _ => long_step(bytes, at),
    }
}

#[inline(never)]
fn long_step(bytes: &[u8], at: usize) -> Option<(Option<u32>, usize)> {
    let (head, at) = head(bytes, at)?;
    let end = match head {
        Head::Nil | Head::Bool(_) | Head::Unsigned(_) | Head::Negative(_) | Head::Float(_) => at,
        Head::Text(length) => check_text(bytes, at, length)?.1,
        Head::Bytes(length) | Head::Extension(_, _, length) => take(bytes, at, length)?.1,
        Head::Array(_) | Head::Map(_) => return Some((Some(values(bytes, at, head)?), at)),
    };
    Some((None, end))
}

/// The end of a container whose content starts at `at` and consists of `inside` values.
#[inline(never)]
fn container(bytes: &[u8], mut at: usize, inside: u32, max_depth: u32) -> Option<usize> {
    let mut open = Open::new();
    let mut left = inside;
    if max_depth == 0 {
        return None;
    }
    loop {
        while left == 0 {
            match open.pop() {
                Some(outer) => left = outer,
                None => return Some(at),
            }
        }
        left = left.saturating_sub(1);
        let inner;
        (inner, at) = step(bytes, at)?;
        if let Some(inner) = inner {
            // The outermost container is open as well, but not in the table.
            if open.depth.saturating_add(1) >= max_depth {
                return None;
            }
            open.push(left);
            left = inner;
        }
    }
}
