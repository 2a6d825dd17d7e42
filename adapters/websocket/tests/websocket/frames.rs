//! Single frames: lengths, masks, reserved bits and codes.

use engineio_websocket::{Arena, Decoder, Error, Event, Limits, Role};

use crate::common::{
    BINARY, CONTINUATION, FIN, PING, RSV1, TEXT, binary, client, feed, frame, server, server_frame, text,
};

#[test]
fn the_examples_of_rfc_6455_section_5_7() {
    let hello = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(client(&hello), (vec![text("Hello")], Ok(())));
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(server(&masked), (vec![text("Hello")], Ok(())));
    let pieces = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(client(&pieces), (vec![text("Hello")], Ok(())));
}

#[test]
fn every_form_of_length_arrives_in_both_roles() {
    for length in [0, 1, 2, 7, 8, 31, 32, 125, 126, 127, 2048, 2049, 65_535, 65_536, 100_000, 1_000_000] {
        let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        assert_eq!(server(&frame(FIN | BINARY, &payload)), (vec![binary(&payload)], Ok(())), "{length}");
        assert_eq!(client(&server_frame(FIN | BINARY, &payload)), (vec![binary(&payload)], Ok(())), "{length}");
    }
}

#[test]
fn several_frames_of_one_read_come_in_order() {
    let bytes = [frame(FIN | TEXT, b"a"), frame(FIN | BINARY, b"b"), frame(FIN | PING, b""), frame(FIN | TEXT, b"")];
    let events = vec![text("a"), binary(b"b"), Event::Ping(b""[..].into()), text("")];
    assert_eq!(server(&bytes.concat()), (events, Ok(())));
}

#[test]
fn a_frame_with_the_mask_of_the_other_role_is_refused() {
    assert_eq!(server(&server_frame(FIN | TEXT, b"hi")), (vec![], Err(Error::Unmasked)));
    assert_eq!(client(&frame(FIN | TEXT, b"hi")), (vec![], Err(Error::Masked)));
}

#[test]
fn reserved_bits_are_refused_unless_rsv1_was_allowed() {
    for bit in [RSV1, 0x20, 0x10] {
        assert_eq!(server(&frame(FIN | bit | TEXT, b"")), (vec![], Err(Error::ReservedBit)));
    }
    let mut decoder = Decoder::new(Role::Server, Limits::default()).allow_rsv1(true);
    let bytes = [
        frame(FIN | RSV1 | TEXT, b"\xff\xfe"),
        frame(RSV1 | BINARY, b"ab"),
        frame(FIN | CONTINUATION, b"cd"),
        frame(FIN | TEXT, b"plain"),
    ];
    let events = vec![
        Event::Compressed { text: true, payload: b"\xff\xfe"[..].into() },
        Event::Compressed { text: false, payload: b"abcd"[..].into() },
        text("plain"),
    ];
    assert_eq!(feed(&mut decoder, &mut Arena::new(), &bytes.concat()), (events, Ok(())));
}

#[test]
fn rsv1_is_refused_on_continuations_and_control_frames_even_if_allowed() {
    for bytes in [frame(FIN | RSV1 | PING, b""), [frame(TEXT, b""), frame(RSV1 | CONTINUATION, b"")].concat()] {
        let mut decoder = Decoder::new(Role::Server, Limits::default()).allow_rsv1(true);
        assert_eq!(feed(&mut decoder, &mut Arena::new(), &bytes), (vec![], Err(Error::ReservedBit)));
    }
}

#[test]
fn reserved_operation_codes_are_refused_at_the_second_byte() {
    for code in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(server(&[FIN | code, 0x80]), (vec![], Err(Error::ReservedOpcode(code))));
    }
}

#[test]
fn lengths_in_more_bytes_than_needed_are_refused() {
    for header in
        [&[0x82, 0xfe, 0, 125][..], &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 5]]
    {
        assert_eq!(server(header), (vec![], Err(Error::LengthNotMinimal)));
    }
}

#[test]
fn a_length_of_64_bits_is_refused() {
    assert_eq!(server(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), (vec![], Err(Error::LengthOutOfRange)));
}

#[test]
fn after_an_error_the_decoder_stays_failed_and_holds_nothing() {
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    let mut arena = Arena::new();
    let bytes = [frame(TEXT, &[b'a'; 5000]), frame(FIN | TEXT, b"")].concat();
    assert_eq!(feed(&mut decoder, &mut arena, &bytes), (vec![], Err(Error::ExpectedContinuation)));
    assert_eq!(decoder.buffered_bytes(), 0);
    assert!(!decoder.is_idle());
    assert_eq!(feed(&mut decoder, &mut arena, &frame(FIN | TEXT, b"hi")), (vec![], Err(Error::ExpectedContinuation)));
}

#[test]
fn a_short_text_that_is_not_utf8_fails_the_decoder_for_good() {
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    let mut arena = Arena::new();
    assert_eq!(feed(&mut decoder, &mut arena, &frame(FIN | TEXT, b"\xc0")), (vec![], Err(Error::InvalidUtf8)));
    assert_eq!(feed(&mut decoder, &mut arena, &frame(FIN | TEXT, b"hi")), (vec![], Err(Error::InvalidUtf8)));
}
