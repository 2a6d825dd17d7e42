//! Decodes the escapes of JSON strings.

use alloc::string::String;

/// The text of a string whose raw content the scanner has accepted. An unpaired surrogate escape becomes U+FFFD, because a Rust
/// string cannot contain it.
pub(crate) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        let mut following = escape.chars();
        match following.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (character, behind) = code_point(following.as_str());
                out.push(character);
                rest = behind;
                continue;
            }
            Some(itself) => out.push(itself),
            None => {}
        }
        rest = following.as_str();
    }
    out.push_str(rest);
    out
}

/// The character of `XXXX` or `XXXX\uXXXX` at the start of the text, and the rest of the text.
fn code_point(text: &str) -> (char, &str) {
    let (first, rest) = hex4(text);
    if let 0xd800..0xdc00 = first
        && let Some(low) = rest.strip_prefix("\\u")
        && let (second @ 0xdc00..0xe000, rest) = hex4(low)
    {
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), rest);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), rest)
}

fn hex4(text: &str) -> (u32, &str) {
    let (digits, rest) = text.split_at_checked(4).unwrap_or((text, ""));
    (u32::from_str_radix(digits, 16).unwrap_or(0xfffd), rest)
}
