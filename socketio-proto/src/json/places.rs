//! Where the attachments belong: the objects `{"_placeholder":true,"num":N}` of a payload. Those that are arguments are found as the
//! payload is scanned ([`Sought`]); only when there may be others all of it is looked through, once the packet is complete ([`find`]).
//!
//! Source: socket.io-parser 4.2.7, `lib/binary.ts`, `reconstructPacket`.

use alloc::vec::Vec;

use super::{scan, unescape};
use crate::few::Few;

/// One placeholder: an object of the payload's text and the attachment that stands for it.
#[derive(Clone, Copy, PartialEq, Debug)]
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

/// How clients write a placeholder: this, a number and a brace.
const USUAL: &[u8] = br#"{"_placeholder":true,"num":"#;
const MARK: &[u8] = br#""_placeholder""#;

/// The placeholders in text that the scanner accepted, in order; `None` when one of them names no attachment. `_placeholder` has to
/// be `true`, `num` a whole number below `count`; the last of repeated keys counts; what is inside of a placeholder does not.
#[inline]
pub(crate) fn find(text: &str, at: usize, count: usize) -> Option<Few<Place>> {
    let mut places = Few::new();
    if find_usual(text.as_bytes(), at, count, &mut places).is_some() { Some(places) } else { find_any(text, at, count) }
}

/// Adds the placeholders when all are written in the usual way, with one digit, and name attachments; `None` when another look is needed.
///
/// Without a backslash, the mark is written as it is read. It is a whole string, since nothing but a string's end comes behind what is
/// in quotes; and an object that is placeholder from brace to brace has none inside and is in none, because that one's mark would be
/// another way of writing it.
#[inline]
fn find_usual(text: &[u8], from: usize, count: usize, places: &mut Few<Place>) -> Option<()> {
    let rest = text.get(from..)?;
    if memchr::memchr(b'\\', rest).is_some() {
        return None;
    }
    for underscore in memchr::memchr_iter(b'_', rest) {
        if !rest.get(underscore.saturating_sub(1)..)?.starts_with(MARK) {
            continue;
        }
        places.push(usual(text, from.checked_add(underscore.checked_sub(2)?)?, count)?);
    }
    Some(())
}

/// The placeholder that starts here, when it is written in the usual way, with one digit, and names one of so many attachments.
#[inline]
fn usual(text: &[u8], start: usize, count: usize) -> Option<Place> {
    let behind = text.get(start..)?.strip_prefix(USUAL)?;
    let Some(&[digit @ b'0'..=b'9', b'}']) = behind.first_chunk() else { return None };
    let index = u32::from(digit.saturating_sub(b'0'));
    if usize::try_from(index).ok()? >= count {
        return None;
    }
    let end = start.checked_add(USUAL.len())?.checked_add(2)?;
    Some(Place { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()?, index })
}

/// Who scans the arguments of a list for the first time.
pub(crate) trait ScanArgument {
    /// The end of the argument that starts here or behind whitespace from here, as [`scan::value`] has it.
    fn argument(&mut self, text: &[u8], at: usize, max_depth: u32) -> Option<usize>;
}

/// Looks for nothing.
pub(crate) struct Plain;

impl ScanArgument for Plain {
    #[inline(always)]
    fn argument(&mut self, text: &[u8], at: usize, max_depth: u32) -> Option<usize> {
        scan::value(text, at, max_depth)
    }
}

/// What is looked for while arguments are scanned for the first time: most clients' placeholders need not be scanned as JSON.
#[derive(Debug)]
pub(crate) struct Sought {
    /// How many attachments are announced.
    count: usize,
    places: Few<Place>,
    /// Whether there is an array or object that may have others inside, or is one in another way of writing.
    elsewhere: bool,
}

impl Sought {
    #[inline]
    pub(crate) fn new(count: usize) -> Self {
        Self { count, places: Few::with_capacity(count), elsewhere: false }
    }

    /// The placeholders, when these are all; `None` when [`find`] has to look.
    #[inline]
    pub(crate) fn found(self) -> Option<Few<Place>> {
        (!self.elsewhere).then_some(self.places)
    }
}

impl ScanArgument for Sought {
    #[inline]
    fn argument(&mut self, text: &[u8], at: usize, max_depth: u32) -> Option<usize> {
        let at = scan::whitespace(text, at);
        if max_depth > 0
            && let Some(place) = usual(text, at, self.count)
        {
            self.places.push(place);
            return Some(place.end as usize);
        }
        self.elsewhere |= matches!(text.get(at), Some(b'[' | b'{'));
        scan::value(text, at, max_depth)
    }
}

/// As [`find`], however they are written.
fn find_any(text: &str, at: usize, count: usize) -> Option<Few<Place>> {
    const MISSING: u32 = u32::MAX;
    let bytes = text.as_bytes();
    let mut places: Few<Place> = Few::new();
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

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use proptest::prelude::*;

    use super::*;

    /// Arrays in which most is, or looks like, a placeholder.
    fn texts() -> impl Strategy<Value = String> {
        const PARTS: [&str; 16] = [
            r#"{"_placeholder":true,"num":0}"#,
            r#"{"_placeholder":true,"num":1}"#,
            r#"{"_placeholder":true,"num":9}"#,
            r#"{"_placeholder":true,"num":10}"#,
            r#"{"_placeholder":true,"num":1.0}"#,
            r#"{"_placeholder":true,"num":0,"more":[{"_placeholder":true,"num":1}]}"#,
            r#"{"num":0,"_placeholder":true}"#,
            r#"{ "_placeholder" : true , "num" : 1 }"#,
            r#"{"_placeholder":false,"num":0}"#,
            r#"{"_placeholder":true}"#,
            r#"{"a":{"_placeholder":true,"num":0},"_placeholder":true,"num":1}"#,
            r#"{"\u005fplaceholder":true,"num":0}"#,
            r#"{"_other":"_placeholder","x":["_placeholder",1]}"#,
            r#""{\"_placeholder\":true,\"num\":0}""#,
            r#"{"":"_","_":{"_placeholder":true,"num":0}}"#,
            r#""_placeholder""#,
        ];
        prop::collection::vec(prop::sample::select(&PARTS), 0..5).prop_map(|parts| parts.join(","))
    }

    proptest! {
        #[test]
        fn what_is_sought_is_what_is_found(text in texts(), count in 0..12_usize, space in "[ \n]?") {
            let text = text.replace(",{", &alloc::format!("{space},{space}{{"));
            let mut sought = Sought::new(count);
            let mut at = 0;
            while at < text.len() {
                let end = sought.argument(text.as_bytes(), at, 8);
                prop_assert_eq!(end, scan::value(text.as_bytes(), at, 8));
                at = scan::whitespace(text.as_bytes(), end.unwrap_or(text.len())) + 1;
            }
            if let Some(places) = sought.found() {
                let all = find_any(&text, 0, count);
                prop_assert_eq!(Some(&*places), all.as_deref(), "{}", text);
            }
        }

        #[test]
        fn what_is_found_fast_is_what_is_found_at_all(text in texts(), count in 0..12_usize) {
            let mut fast = Few::new();
            if find_usual(text.as_bytes(), 0, count, &mut fast).is_some() {
                let slow = find_any(&text, 0, count);
                prop_assert_eq!(Some(&*fast), slow.as_deref(), "{}", text);
            }
        }
    }
}
