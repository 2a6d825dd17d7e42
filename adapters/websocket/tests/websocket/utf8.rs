//! Text must be valid UTF-8 across the whole message, however it is fragmented or split.

use engineio_websocket::Error;

use crate::common::{BINARY, CONTINUATION, FIN, TEXT, binary, frame, server, text};

const GOOD: &str = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5} \u{7ff} \u{800} \u{ffff} \u{10000} \u{10ffff}";

/// An overlong form, a surrogate, a value above the last character, a continuation byte alone, and an incomplete character.
const BAD: [&[u8]; 5] = [b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"abc\xe2\x82"];

#[test]
fn a_character_may_be_cut_by_a_frame() {
    for cut in 0..=GOOD.len() {
        let (a, b) = GOOD.as_bytes().split_at(cut);
        let bytes = [frame(TEXT, a), frame(FIN | CONTINUATION, b)].concat();
        assert_eq!(server(&bytes), (vec![text(GOOD)], Ok(())), "cut at {cut}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_in_one_frame_and_in_pieces() {
    for bad in BAD {
        assert_eq!(server(&frame(FIN | TEXT, bad)), (vec![], Err(Error::InvalidUtf8)));
        let long = [&[b'a'; 5000], bad].concat();
        assert_eq!(server(&frame(FIN | TEXT, &long)), (vec![], Err(Error::InvalidUtf8)));
        let pieces = [frame(TEXT, &bad[..1]), frame(FIN | CONTINUATION, &bad[1..])].concat();
        assert_eq!(server(&pieces), (vec![], Err(Error::InvalidUtf8)));
    }
}

#[test]
fn binary_messages_may_hold_anything() {
    for bad in BAD {
        assert_eq!(server(&frame(FIN | BINARY, bad)), (vec![binary(bad)], Ok(())));
    }
}
