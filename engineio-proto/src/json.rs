//! The part of JSON that the protocol itself needs, without a JSON library: writing a string, and looking up a string in an object.

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

/// The value of a member of a JSON object, if it is a string. Of several members with the same name, the last one counts.
///
/// Meant for small objects such as the open packet's. The syntax of the object itself is checked. The values of other members are only
/// skipped, not checked. Escapes are not decoded: the strings that are looked up here never need any.
pub(crate) fn string_member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = Rest(object);
    rest.token(b'{')?;
    let mut found = None;
    if rest.token(b'}').is_none() {
        loop {
            rest.spaces();
            let key = rest.string()?;
            rest.token(b':')?;
            rest.spaces();
            let value = if rest.0.starts_with('"') { Some(rest.string()?) } else { rest.skip_value()? };
            if key == name {
                found = Some(value);
            }
            if rest.token(b',').is_none() {
                rest.token(b'}')?;
                break;
            }
        }
    }
    rest.spaces();
    found.flatten().filter(|_| rest.0.is_empty())
}

/// The text that is not read yet. Every method returns `None` if the text does not match.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
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

    /// Skips a number, literal, array or object, up to the comma or brace after it. The caller reads strings itself.
    fn skip_value(&mut self) -> Option<Option<&'a str>> {
        let mut depth = 0_usize;
        let mut empty = true;
        loop {
            match self.0.bytes().next()? {
                b'"' => {
                    self.string()?;
                    empty = false;
                    continue;
                }
                b',' | b'}' if depth == 0 => break,
                b'[' | b'{' => depth = depth.checked_add(1)?,
                b']' | b'}' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            empty = false;
            let mut characters = self.0.chars();
            characters.next();
            self.0 = characters.as_str();
        }
        if empty { None } else { Some(None) }
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
