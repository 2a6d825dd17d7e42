//! Where the attachments belong: the objects `{"_placeholder":true,"num":N}` of a payload, found once when the packet is complete.
//!
//! Source: socket.io-parser 4.2.7, `lib/binary.ts`, `reconstructPacket`.

use alloc::vec::Vec;

use super::{scan, unescape};

/// One placeholder: an object of the payload's text and the attachment that stands for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Position of its opening brace.
    pub(crate) start: u32,
    /// Position behind its closing brace.
    pub(crate) end: u32,
    /// Index of the attachment.
    pub(crate) index: u32,
}

struct Object {
    start: usize,
    places_before: usize,
    marked: bool,
    number_at: Option<usize>,
}

/// The placeholders in text that the scanner accepted, in order; `None` when one of them names no attachment. `_placeholder` has to
/// be `true`, `num` a whole number below `count`; the last of repeated keys counts; what is inside of a placeholder does not.
pub(crate) fn find(text: &str, at: usize, count: usize) -> Option<Vec<Place>> {
    const MISSING: u32 = u32::MAX;
    let bytes = text.as_bytes();
    let mut places: Vec<Place> = Vec::new();
    let mut open: Vec<Option<Object>> = Vec::new();
    let mut at = at;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' => {
                open.push(Some(Object { start: at, places_before: places.len(), marked: false, number_at: None }));
            }
            b'[' => open.push(None),
            b']' => {
                open.pop();
            }
            b'}' => {
                if let Some(Some(object)) = open.pop()
                    && object.marked
                {
                    places.truncate(object.places_before);
                    let index = object.number_at.and_then(|at| whole_number(text, at, count)).unwrap_or(MISSING);
                    places.push(Place {
                        start: u32::try_from(object.start).ok()?,
                        end: u32::try_from(at + 1).ok()?,
                        index,
                    });
                }
            }
            b'"' => {
                let end = scan::string(bytes, at + 1)?;
                let colon = scan::whitespace(bytes, end);
                if bytes.get(colon) == Some(&b':')
                    && let Some(Some(object)) = open.last_mut()
                {
                    let value = scan::whitespace(bytes, colon + 1);
                    let key = text.get(at + 1..end - 1)?;
                    if is(key, "_placeholder") {
                        object.marked = bytes.get(value) == Some(&b't');
                    } else if is(key, "num") {
                        object.number_at = Some(value);
                    }
                    at = value;
                } else {
                    at = end;
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    places.iter().all(|place| place.index != MISSING).then_some(places)
}

/// Whether the raw key says `name`, with or without escapes (at most six bytes for a character).
fn is(key: &str, name: &str) -> bool {
    key == name || (key.contains('\\') && key.len() <= 6 * name.len() && unescape(key) == name)
}

/// The number at this position, when it is a whole one below `count`. `1.0` and `1e0` are the same number as `1`.
fn whole_number(text: &str, at: usize, count: usize) -> Option<u32> {
    let end = scan::number(text.as_bytes(), at)?;
    let number: f64 = text.get(at..end)?.parse().ok()?;
    (0..u32::try_from(count).ok()?).find(|&index| f64::from(index) == number)
}
