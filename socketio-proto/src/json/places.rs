//! Finds the placeholders of attachments: the objects `{"_placeholder":true,"num":N}` of a payload. Placeholders that are
//! arguments are found while the payload is scanned ([`Sought`]). Only if there may be others, the whole payload is searched
//! after the packet is complete ([`find`]).
//!
//! Source: socket.io-parser 4.2.7, `lib/binary.ts`, `reconstructPacket`.

use alloc::vec::Vec;

use super::{scan, unescape};
use crate::few::Few;

/// A placeholder: the position of the object in the payload's text, and its attachment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Place {
    /// Position of the opening brace.
    pub(crate) start: u32,
    /// Position after the closing brace.
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

/// The start of a placeholder as clients usually write it; a number and a brace follow.
const USUAL: &[u8] = br#"{"_placeholder":true,"num":"#;
const MARK: &[u8] = br#""_placeholder""#;

/// Finds the placeholders in `text`, which the scanner has accepted, in order. Returns `None` if one of them does not refer to
/// an attachment. In a placeholder, `_placeholder` is `true` and `num` is an integer below `count`. If a key is repeated, the
/// last one counts. Placeholders inside of a placeholder are ignored.
#[inline]
pub(crate) fn find(text: &str, at: usize, count: usize) -> Option<Few<Place>> {
    let mut places = Few::new();
    if find_usual(text.as_bytes(), at, count, &mut places).is_some() { Some(places) } else { find_any(text, at, count) }
}

/// Adds the placeholders if all of them have the usual form, with a single digit, and refer to attachments. Otherwise returns
/// `None`, and [`find_any`] has to search.
///
/// Without backslashes in the text, the mark appears literally. It is a complete string: its first quote is not a closing one,
/// because `_` cannot follow a string. A match of the usual form contains no other placeholder. It is not inside of another
/// placeholder either: the mark of the outer one would not have the usual form.
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

/// The placeholder at `start`, if it has the usual form with a single digit and refers to one of `count` attachments.
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

/// Scans the arguments of a list for the first time.
pub(crate) trait ScanArgument {
    /// The end of the argument at `at`, after optional whitespace, as [`scan::value`] returns it.
    fn argument(&mut self, text: &[u8], at: usize, max_depth: u32) -> Option<usize>;
}

/// Scans without looking for placeholders.
pub(crate) struct Plain;

impl ScanArgument for Plain {
    #[inline(always)]
    fn argument(&mut self, text: &[u8], at: usize, max_depth: u32) -> Option<usize> {
        scan::value(text, at, max_depth)
    }
}

/// Looks for placeholders while arguments are scanned for the first time. The placeholders of most clients then need no JSON
/// scan.
#[derive(Debug)]
pub(crate) struct Sought {
    /// Number of announced attachments.
    count: usize,
    places: Few<Place>,
    /// Whether an array or object was found that may contain placeholders, or that may be one in another form.
    elsewhere: bool,
}

impl Sought {
    #[inline]
    pub(crate) fn new(count: usize) -> Self {
        Self { count, places: Few::with_capacity(count), elsewhere: false }
    }

    /// The placeholders, if the scan has found all of them; `None` if [`find`] has to search.
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

/// Same as [`find`], for placeholders in any form.
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

/// Whether the raw key equals `name`, with or without escapes. An escape takes at most six bytes per character.
fn is(key: &str, name: &str) -> bool {
    key == name || (key.contains('\\') && key.len() <= 6 * name.len() && unescape(key) == name)
}

/// The number at this position, if it is an integer below `count`. `1.0` and `1e0` equal `1`.
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

    /// Arrays of values that are, or look like, placeholders.
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
