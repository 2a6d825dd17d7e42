//! What form encoding hides: queries, and the bodies of JSONP.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use percent_encoding::percent_decode;

/// The bytes of a form's name or value: a `+` is a space, and `%` starts two hexadecimal digits. A percent sign without two digits behind
/// it stays.
pub(crate) fn decode(encoded: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'+', encoded).is_none() {
        return percent_decode(encoded).into();
    }
    // First, because a plus that is escaped is no space.
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
