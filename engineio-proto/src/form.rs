//! Decodes form encoding, in queries and in the bodies of JSONP.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use percent_encoding::percent_decode;

/// Decodes a name or value: `+` is a space, and two hexadecimal digits follow `%`. A percent sign that is not followed by two digits is
/// kept.
pub(crate) fn decode(encoded: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'+', encoded).is_none() {
        return percent_decode(encoded).into();
    }
    // Spaces first, because an escaped plus is not a space.
    let spaced: Vec<u8> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    match percent_decode(&spaced).into() {
        Cow::Owned(decoded) => Cow::Owned(decoded),
        Cow::Borrowed(_) => Cow::Owned(spaced),
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn escapes_and_spaces_are_undone_and_broken_escapes_stay() {
        assert_eq!(*decode(b""), *b"");
        assert_eq!(*decode(b"a+b++"), *b"a b  ");
        assert_eq!(*decode(b"%2B%2b%20+"), *b"++  ");
        assert_eq!(*decode(b"%e2%82%AC"), *"\u{20ac}".as_bytes());
        assert_eq!(*decode(b"%"), *b"%");
        assert_eq!(*decode(b"%4+1%zz%%41%4"), *b"%4 1%zz%A%4");
    }
}
