//! The encoders, byte by byte. The decoder reads back what they write.

use engineio_websocket::{
    CloseFrame, EncodeError, Event, FrameHeader, FrameKind, Opcode, encode_binary, encode_close, encode_frame,
    encode_ping, encode_pong, encode_text, is_valid_close_code,
};

use proptest::prelude::*;

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

/// The event of an unfragmented frame, and the encoded frame.
fn any_frame() -> impl Strategy<Value = (Event, Vec<u8>)> {
    let written = |(event, mask): (Event, [u8; 4])| {
        let mut out = Vec::new();
        let mask = Some(mask);
        match &event {
            Event::Text(text) => encode_text(&mut out, text, mask),
            Event::Binary(data) => encode_binary(&mut out, data, mask),
            Event::Ping(payload) => encode_ping(&mut out, payload, mask).unwrap(),
            Event::Pong(payload) => encode_pong(&mut out, payload, mask).unwrap(),
            other => panic!("any_frame does not generate {other:?}"),
        }
        (event, out)
    };
    let small = || prop::collection::vec(any::<u8>(), 0..=125).prop_map(bytes::Bytes::from);
    let event = prop_oneof![
        any::<String>().prop_map(|string| text(&string)),
        prop::collection::vec(any::<u8>(), 0..700).prop_map(|data| binary(&data)),
        small().prop_map(Event::Ping),
        small().prop_map(Event::Pong),
    ];
    (event, any::<[u8; 4]>()).prop_map(written)
}

proptest! {
    #[test]
    fn i7_decoding_undoes_encoding(frames in prop::collection::vec(any_frame(), 0..10)) {
        let (events, bytes): (Vec<Event>, Vec<Vec<u8>>) = frames.into_iter().unzip();
        prop_assert_eq!(server(&bytes.concat()), (events, Ok(())));
    }

    #[test]
    fn i7_a_close_frame_says_what_it_was_given(code in 0..6000_u16, reason in "\\PC{0,130}", masked: bool) {
        let mut out = Vec::new();
        let mask = masked.then_some([9, 8, 7, 6]);
        let outcome = |bytes: &[u8]| if masked { server(bytes) } else { client(bytes) };
        match encode_close(&mut out, Some((code, &reason)), mask) {
            Ok(()) => {
                let frame = CloseFrame { code, reason: (&*reason).into() };
                prop_assert_eq!(outcome(&out), (vec![Event::Close(Some(frame))], Ok(())));
            }
            Err(error) => {
                prop_assert!(out.is_empty());
                prop_assert_eq!(error == EncodeError::CloseCode(code), !is_valid_close_code(code));
                prop_assert!(!is_valid_close_code(code) || reason.len() > 123);
            }
        }
    }
}
