//! What the encoders write, byte by byte, and that the decoder reads it back.

use engineio_websocket::{
    EncodeError, Event, FrameHeader, FrameKind, Opcode, encode_binary, encode_close, encode_frame, encode_ping,
    encode_pong, encode_text,
};

use crate::common::{binary, client, server, text};

#[test]
fn a_header_takes_the_shortest_form() {
    let header = |length, mask| FrameHeader::new(Opcode::Binary.into(), length, mask).to_vec();
    assert_eq!(header(0, None), [0x82, 0]);
    assert_eq!(header(125, None), [0x82, 125]);
    assert_eq!(header(126, None), [0x82, 126, 0, 126]);
    assert_eq!(header(65_535, None), [0x82, 126, 0xff, 0xff]);
    assert_eq!(header(65_536, None), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(header(125, Some([1, 2, 3, 4])), [0x82, 0xfd, 1, 2, 3, 4]);
    assert_eq!(header(65_536, Some([1, 2, 3, 4])), [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4]);
}

#[test]
fn a_header_shows_its_kind() {
    let header = |opcode, fin, rsv1| FrameHeader::new(FrameKind { opcode, fin, rsv1 }, 0, None)[0];
    assert_eq!(header(Opcode::Text, true, false), 0x81);
    assert_eq!(header(Opcode::Text, false, true), 0x41);
    assert_eq!(header(Opcode::Continuation, true, false), 0x80);
    assert_eq!(header(Opcode::Close, true, false), 0x88);
    assert_eq!(header(Opcode::Ping, true, false), 0x89);
    assert_eq!(header(Opcode::Pong, true, false), 0x8a);
}

#[test]
fn what_is_encoded_is_decoded_in_both_directions() {
    for length in [0, 1, 125, 126, 255, 256, 257, 65_535, 65_536, 300_001] {
        let string = "s".repeat(length);
        for mask in [None, Some([9, 8, 7, 6])] {
            let mut out = Vec::new();
            encode_text(&mut out, &string, mask);
            encode_binary(&mut out, string.as_bytes(), mask);
            let outcome = if mask.is_some() { server(&out) } else { client(&out) };
            assert_eq!(outcome, (vec![text(&string), binary(string.as_bytes())], Ok(())), "{length}");
        }
    }
}

#[test]
fn pieces_are_written_with_encode_frame() {
    let mut out = Vec::new();
    encode_frame(&mut out, FrameKind { opcode: Opcode::Text, fin: false, rsv1: false }, b"ab", None);
    encode_ping(&mut out, b"!", None).unwrap();
    encode_frame(&mut out, FrameKind { opcode: Opcode::Continuation, fin: true, rsv1: false }, b"cd", None);
    assert_eq!(client(&out), (vec![Event::Ping(b"!"[..].into()), text("abcd")], Ok(())));
}

#[test]
fn control_frames_that_are_too_long_are_refused_and_write_nothing() {
    let mut out = Vec::new();
    assert_eq!(encode_ping(&mut out, &[0; 126], None), Err(EncodeError::ControlTooLong));
    assert_eq!(encode_pong(&mut out, &[0; 126], None), Err(EncodeError::ControlTooLong));
    assert_eq!(encode_close(&mut out, Some((1000, &"r".repeat(124))), None), Err(EncodeError::ControlTooLong));
    assert!(out.is_empty());
    encode_close(&mut out, Some((1000, &"r".repeat(123))), None).unwrap();
    assert_eq!(out.len(), 127);
}

#[test]
fn close_codes_that_may_not_be_sent_are_refused() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        let mut out = Vec::new();
        assert_eq!(encode_close(&mut out, Some((code, "")), None), Err(EncodeError::CloseCode(code)));
        assert!(out.is_empty());
    }
}
