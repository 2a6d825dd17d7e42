//! Close frames: valid and invalid ones. Everything after a close frame is ignored.

use engineio_websocket::{Arena, CloseFrame, Decoder, Error, Event, Limits, Role, is_valid_close_code};

use crate::common::{BINARY, CLOSE, CONTINUATION, FIN, TEXT, feed, frame, server, text};

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

fn event(code: u16, reason: &str) -> Event {
    Event::Close(Some(CloseFrame { code, reason: reason.into() }))
}

#[test]
fn a_close_frame_may_be_empty_or_have_a_code_or_a_reason_too() {
    assert_eq!(server(&frame(FIN | CLOSE, b"")), (vec![Event::Close(None)], Ok(())));
    assert_eq!(server(&close(1000, b"")), (vec![event(1000, "")], Ok(())));
    let reason = "\u{fc}".repeat(61) + "x";
    assert_eq!(server(&close(4999, reason.as_bytes())), (vec![event(4999, &reason)], Ok(())));
}

#[test]
fn half_a_code_is_refused() {
    assert_eq!(server(&frame(FIN | CLOSE, b"\x03")), (vec![], Err(Error::CloseLength)));
}

#[test]
fn every_code_is_accepted_or_refused_as_section_7_4_says() {
    for code in 0..=u16::MAX {
        let valid = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        assert_eq!(is_valid_close_code(code), valid);
        let expected = if valid { (vec![event(code, "")], Ok(())) } else { (vec![], Err(Error::CloseCode(code))) };
        assert_eq!(server(&close(code, b"")), expected);
    }
}

#[test]
fn a_reason_that_is_not_utf8_is_refused_with_1007() {
    let (events, result) = server(&close(1000, b"\xed\xa0\x80"));
    assert_eq!((events, result), (vec![], Err(Error::InvalidUtf8)));
    assert_eq!(Error::InvalidUtf8.close_code(), 1007);
}

#[test]
fn whatever_follows_a_close_frame_is_ignored() {
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    let mut arena = Arena::new();
    let bytes = [frame(FIN | TEXT, b"a"), close(1001, b"bye"), frame(FIN | TEXT, b"b"), vec![0xff; 100]].concat();
    assert_eq!(feed(&mut decoder, &mut arena, &bytes), (vec![text("a"), event(1001, "bye")], Ok(())));
    assert_eq!(feed(&mut decoder, &mut arena, &[0xff; 100]), (vec![], Ok(())));
}

#[test]
fn a_close_frame_drops_an_unfinished_message() {
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    let bytes = [frame(BINARY, &[0; 9000]), close(1000, b""), frame(FIN | CONTINUATION, b"")].concat();
    assert_eq!(feed(&mut decoder, &mut Arena::new(), &bytes), (vec![event(1000, "")], Ok(())));
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn every_error_says_what_the_peer_did_and_has_a_code_that_may_be_sent() {
    let errors = [
        (Error::ReservedBit, 1002),
        (Error::ReservedOpcode(3), 1002),
        (Error::Unmasked, 1002),
        (Error::Masked, 1002),
        (Error::LengthNotMinimal, 1002),
        (Error::LengthOutOfRange, 1002),
        (Error::ControlTooLong, 1002),
        (Error::ControlFragmented, 1002),
        (Error::UnexpectedContinuation, 1002),
        (Error::ExpectedContinuation, 1002),
        (Error::CloseLength, 1002),
        (Error::CloseCode(1005), 1002),
        (Error::InvalidUtf8, 1007),
        (Error::MessageTooBig, 1009),
        (Error::TooManyFragments, 1008),
    ];
    for (error, code) in errors {
        assert_eq!(error.close_code(), code, "{error:?}");
        assert!(is_valid_close_code(code));
        let told = error.to_string();
        assert!(told.starts_with("the peer ") || told.starts_with("the client ") || told.starts_with("the server "));
    }
}
