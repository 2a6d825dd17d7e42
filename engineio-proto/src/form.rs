//! Decodes form encoding, in queries and in the bodies of JSONP.

use alloc::borrow::Cow;
use alloc::string::String;
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

/// The names and values of a query, decoded as `URLSearchParams` does: `&` separates parameters, `+` is a space, and U+FFFD replaces invalid
/// UTF-8. A parameter without `=` has an empty value.
///
/// ```
/// let query = "token=12%2034&uid=abcd&flag";
/// let parameters: Vec<_> = engineio_proto::query_parameters(query).collect();
/// assert_eq!(parameters, [("token".into(), "12 34".into()), ("uid".into(), "abcd".into()), ("flag".into(), "".into())]);
/// ```
pub fn query_parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (decode_text(name), decode_text(value))
    })
}

/// Decodes a form-encoded name or value. U+FFFD replaces invalid UTF-8.
pub(crate) fn decode_text(encoded: &str) -> Cow<'_, str> {
    match decode(encoded.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(encoded),
        Cow::Owned(decoded) => Cow::Owned(String::from_utf8_lossy(&decoded).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{decode, query_parameters};

    #[test]
    fn a_query_is_read_as_pairs_in_order() {
        let pairs: Vec<_> = query_parameters("EIO=4&room=a%20b+c&&x&room=%C3%BC&bad=%ff&=e&q=1=2").collect();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        let expected = [
            ("EIO", "4"),
            ("room", "a b c"),
            ("x", ""),
            ("room", "\u{fc}"),
            ("bad", "\u{fffd}"),
            ("", "e"),
            ("q", "1=2"),
        ];
        assert_eq!(pairs, expected);
        assert_eq!(query_parameters("").count(), 0);
    }

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
