//! The scanner: is this MessagePack, and where does each value end? One pass, no recursion, no memory for the first 16 levels, and
//! none ever by a length that is only announced.
//!
//! Every string has to be UTF-8, so that what is relayed does not break peers that insist on it.
//!
//! Positions never exceed the length of the bytes, so adding a few to one cannot overflow; announced lengths are compared first.
//!
//! Source: the MessagePack specification, "Formats"; notepack.io 2.2.0, `lib/decode.js`.

use alloc::vec::Vec;
use core::str;

/// What a value is, from its first bytes. Of text, bytes and extensions, so many bytes follow; of arrays and maps, so many elements or
/// pairs.
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

/// What an extension means to notepack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extension {
    Undefined,
    Date,
    ArrayBuffer,
    Other,
}

/// A number of so many bytes, and the position behind it.
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

/// What the value at this position is, and the position behind its head.
#[inline]
pub(crate) fn head(bytes: &[u8], at: usize) -> Option<(Head, usize)> {
    let first = *bytes.get(at)?;
    let at = at + 1;
    Some(match first {
        0x00..=0x7f => (Head::Unsigned(first.into()), at),
        0x80..=0x8f => (Head::Map((first & 0x0f).into()), at),
        0x90..=0x9f => (Head::Array((first & 0x0f).into()), at),
        0xa0..=0xbf => (Head::Text((first & 0x1f).into()), at),
        0xc0 => (Head::Nil, at),
        0xc1 => return None,
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
        0xe0..=0xff => (Head::Negative(i8::from_be_bytes([first]).into()), at),
    })
}

/// So many bytes at this position, and the position behind them.
#[inline]
pub(crate) fn take(bytes: &[u8], at: usize, length: u32) -> Option<(&[u8], usize)> {
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    Some((bytes.get(at..end)?, end))
}

/// As [`take`], of bytes that are UTF-8.
#[inline]
pub(crate) fn take_text(bytes: &[u8], at: usize, length: u32) -> Option<(&str, usize)> {
    let (text, end) = take(bytes, at, length)?;
    Some((str::from_utf8(text).ok()?, end))
}

/// How many values are still to come in each open container, outermost first.
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

/// How many values such a container holds; `None` when there are not even so many bytes.
pub(crate) fn values(bytes: &[u8], at: usize, head: Head) -> Option<u32> {
    let count = match head {
        Head::Array(length) => length,
        Head::Map(length) => length.checked_mul(2)?,
        _ => return None,
    };
    (usize::try_from(count).ok()? <= bytes.len().saturating_sub(at)).then_some(count)
}

/// The end of the value that starts at `at`, with at most `max_depth` arrays and maps around each other; `None` when there is no such
/// value.
pub(crate) fn value(bytes: &[u8], mut at: usize, max_depth: u32) -> Option<usize> {
    let mut open = Open::new();
    let mut left: u32 = 1;
    loop {
        while left == 0 {
            let Some(outer) = open.pop() else { return Some(at) };
            left = outer;
        }
        left = left.saturating_sub(1);
        let head;
        (head, at) = self::head(bytes, at)?;
        match head {
            Head::Nil | Head::Bool(_) | Head::Unsigned(_) | Head::Negative(_) | Head::Float(_) => {}
            Head::Text(length) => (_, at) = take_text(bytes, at, length)?,
            Head::Bytes(length) | Head::Extension(_, _, length) => (_, at) = take(bytes, at, length)?,
            Head::Array(_) | Head::Map(_) => {
                if open.depth >= max_depth {
                    return None;
                }
                open.push(left);
                left = values(bytes, at, head)?;
            }
        }
    }
}
