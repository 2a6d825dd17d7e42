//! The part of JSON that the protocol itself needs, without a JSON library: writing a string, and reading the members of an object.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::{self, Write as _};

/// Displays as a JSON string, quotes included.
pub(crate) struct JsonString<'a>(pub(crate) &'a str);

impl fmt::Display for JsonString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\u{8}' => f.write_str("\\b")?,
                '\u{c}' => f.write_str("\\f")?,
                '\0'..='\u{1f}' => write!(f, "\\u{:04x}", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

/// Reads a JSON object: passes the key and the value of every member to `member`, in their order. Both are JSON, and the key is between its
/// quotes. Returns `None` if the text is not an object.
///
/// Meant for small objects such as the open packet's. The syntax of the object itself is checked. Values are only skipped, not checked.
pub(crate) fn members<'a>(object: &'a str, mut member: impl FnMut(&'a str, &'a str)) -> Option<()> {
    let mut rest = Rest(object);
    rest.token(b'{')?;
    if rest.token(b'}').is_none() {
        loop {
            rest.spaces();
            let key = rest.string()?;
            rest.token(b':')?;
            rest.spaces();
            member(key, rest.value()?);
            if rest.token(b',').is_none() {
                rest.token(b'}')?;
                break;
            }
        }
    }
    rest.spaces();
    rest.0.is_empty().then_some(())
}

/// Passes every element of a JSON array to `element`. Returns `None` if the text is not an array.
pub(crate) fn elements<'a>(array: &'a str, mut element: impl FnMut(&'a str)) -> Option<()> {
    let mut rest = Rest(array);
    rest.token(b'[')?;
    if rest.token(b']').is_none() {
        loop {
            rest.spaces();
            element(rest.value()?);
            if rest.token(b',').is_none() {
                rest.token(b']')?;
                break;
            }
        }
    }
    rest.spaces();
    rest.0.is_empty().then_some(())
}

/// The value of a member of a JSON object, if it is a string. Of several members with the same name, the last one counts.
///
/// Escapes are not decoded: the strings that are looked up here never need any.
pub(crate) fn string_member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    members(object, |key, value| {
        if key == name {
            found = Rest(value).string();
        }
    })?;
    found
}

/// The value of a JSON string, quotes included. `None` if the text is not a string, or has an invalid escape. A surrogate without its other
/// half becomes U+FFFD.
pub(crate) fn string_value(json: &str) -> Option<Cow<'_, str>> {
    let mut rest = Rest(json);
    let inner = rest.string()?;
    if !rest.0.is_empty() {
        return None;
    }
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut value = String::with_capacity(inner.len());
    let mut units = Units::default();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            units.push(&mut value, Some(character), 0);
            continue;
        }
        match characters.next()? {
            'u' => {
                let mut unit = 0;
                for _ in 0..4 {
                    let digit = u16::try_from(characters.next()?.to_digit(16)?).ok()?;
                    unit = unit << 4 | digit;
                }
                units.push(&mut value, None, unit);
            }
            escaped => {
                let character = match escaped {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    '"' | '\\' | '/' => escaped,
                    _ => return None,
                };
                units.push(&mut value, Some(character), 0);
            }
        }
    }
    units.finish(&mut value);
    Some(Cow::Owned(value))
}

/// Joins the two halves of a character that is written as two escapes.
#[derive(Default)]
struct Units {
    high: Option<u16>,
}

impl Units {
    /// Appends a character, or an escaped UTF-16 unit.
    fn push(&mut self, value: &mut String, character: Option<char>, unit: u16) {
        if let (None, Some(high)) = (character, self.high)
            && let Some(Ok(pair)) = char::decode_utf16([high, unit]).next()
        {
            self.high = None;
            return value.push(pair);
        }
        self.finish(value);
        match character.or_else(|| char::from_u32(u32::from(unit))) {
            Some(character) => value.push(character),
            None if unit < 0xdc00 => self.high = Some(unit),
            None => value.push(char::REPLACEMENT_CHARACTER),
        }
    }

    fn finish(&mut self, value: &mut String) {
        if self.high.take().is_some() {
            value.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

const SPACES: [char; 4] = [' ', '\t', '\n', '\r'];

/// The text that is not read yet. Every method returns `None` if the text does not match.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn spaces(&mut self) {
        self.0 = self.0.trim_start_matches(SPACES);
    }

    /// Reads this character, after any spaces.
    fn token(&mut self, token: u8) -> Option<()> {
        self.spaces();
        self.0 = self.0.strip_prefix(char::from(token))?;
        Some(())
    }

    /// Reads a string, and returns the text between its quotes.
    fn string(&mut self) -> Option<&'a str> {
        let inner = self.0.strip_prefix('"')?;
        let mut escaped = false;
        let end = inner.bytes().position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        })?;
        let string = inner.get(..end)?;
        self.0 = inner.get(end..)?.strip_prefix('"')?;
        Some(string)
    }

    /// Reads a value up to the comma, brace or bracket after it, and returns its JSON.
    fn value(&mut self) -> Option<&'a str> {
        let start = self.0;
        let mut depth = 0_usize;
        loop {
            match self.0.bytes().next() {
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                None | Some(b',' | b'}' | b']') if depth == 0 => break,
                None => return None,
                Some(b'[' | b'{') => depth = depth.checked_add(1)?,
                Some(b']' | b'}') => depth = depth.checked_sub(1)?,
                Some(_) => {}
            }
            let mut characters = self.0.chars();
            characters.next();
            self.0 = characters.as_str();
        }
        let value = start.get(..start.len().saturating_sub(self.0.len()))?.trim_end_matches(SPACES);
        if value.is_empty() { None } else { Some(value) }
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn strings_are_escaped() {
        let text = "a\"b\\c\n\r\t\u{8}\u{c}\u{1}\u{7f}\u{20ac}";
        assert_eq!(JsonString(text).to_string(), format!(r#""a\"b\\c\n\r\t\b\f\u0001{}{}""#, '\u{7f}', '\u{20ac}'));
    }

    #[test]
    fn strings_are_read_with_their_escapes() {
        for (json, value) in [
            (r#""""#, Some("")),
            (r#""abc""#, Some("abc")),
            (r#""\"\\\/\n\r\t\b\f""#, Some("\"\\/\n\r\t\u{8}\u{c}")),
            (r#""\u20ac\u00e9""#, Some("\u{20ac}\u{e9}")),
            (r#""\ud83d\ude00!""#, Some("\u{1f600}!")),
            (r#""\ud83d\ud83d\ude00""#, Some("\u{fffd}\u{1f600}")),
            (r#""\ud83d""#, Some("\u{fffd}")),
            (r#""\ude00\ud83dx""#, Some("\u{fffd}\u{fffd}x")),
            (r#""\ud83d\n""#, Some("\u{fffd}\n")),
            (r#""\u20a""#, None),
            (r#""\x""#, None),
            (r#""a"b"#, None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(string_value(json).as_deref(), value, "{json}");
        }
    }

    #[test]
    fn elements_are_read_in_order() {
        let read = |array| {
            let mut found = std::vec::Vec::new();
            elements(array, |element| found.push(element)).map(|()| found)
        };
        assert_eq!(read("[]"), Some(std::vec![]));
        assert_eq!(
            read(r#" [ 1 , "a,]" , [2,3], {"b":[4]} ] "#),
            Some(std::vec!["1", r#""a,]""#, "[2,3]", r#"{"b":[4]}"#])
        );
        for bad in ["", "[", "[1", "[1,]", "[,]", "[1 2", "{}", "[1]x", "1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_member_is_found_in_any_object() {
        for (object, sid) in [
            (r#"{"sid":"abc"}"#, Some("abc")),
            (" {\n\"sid\" :\t\"abc\" }\r\n", Some("abc")),
            (r#"{"a":1,"b":[{"sid":"x"},"]}"],"c":{"d":{}},"sid":"abc","e":null}"#, Some("abc")),
            (r#"{"sid":"abc","sid":"def"}"#, Some("def")),
            (r#"{"a\"":"b\\","sid":"a\"c"}"#, Some(r#"a\"c"#)),
            (r#"{"sid":"abc","sid":1}"#, None),
            (r#"{"sid":1}"#, None),
            (r#"{"sid":["abc"]}"#, None),
            (r#"{}"#, None),
            ("", None),
            ("{", None),
            (r#"{"sid"}"#, None),
            (r#"{"sid":}"#, None),
            (r#"{"sid":"abc""#, None),
            (r#"{"sid":"abc"#, None),
            (r#"{"sid":"abc",}"#, None),
            (r#"{"sid":"abc"}x"#, None),
            (r#"{"x":],"sid":"abc"}"#, None),
            (r#"["sid"]"#, None),
            (r#""sid""#, None),
        ] {
            assert_eq!(string_member(object, "sid"), sid, "{object}");
        }
    }
}
