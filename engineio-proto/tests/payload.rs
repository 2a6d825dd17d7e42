//! Several packets in one HTTP body, compared with the reference's parser. Decoding undoes encoding.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use bytes::{Bytes, BytesMut};
use engineio_proto::payload::{Packets, encode};
use engineio_proto::{Frame, Message, Packet, PacketType, ParseError, Text};
use proptest::prelude::*;

fn decode(body: &str) -> Vec<Result<Packet, ParseError>> {
    Packets::new(Bytes::copy_from_slice(body.as_bytes())).unwrap().collect()
}

fn encoded(frames: &[Frame]) -> Bytes {
    let mut out = BytesMut::new();
    encode(frames, &mut out);
    out.freeze()
}

fn message(data: &str) -> Packet {
    Packet::from(Message::from(data))
}

fn binary(data: &[u8]) -> Message {
    Message::Binary(Bytes::copy_from_slice(data))
}

#[test]
fn item_33_packets_before_an_invalid_one_are_read_and_none_after_it() {
    assert_eq!(decode("4a\u{1e}abc\u{1e}4b"), [Ok(message("a")), Err(ParseError::UnknownType)]);
    assert_eq!(decode("4a\u{1e}bA\u{1e}4b"), [Ok(message("a")), Err(ParseError::Base64)]);
}

#[test]
fn item_32_an_empty_packet_is_an_error() {
    assert_eq!(decode(""), [Err(ParseError::Empty)]);
    assert_eq!(decode("\u{1e}"), [Err(ParseError::Empty)]);
    assert_eq!(decode("\u{1e}4a"), [Err(ParseError::Empty)]);
    assert_eq!(decode("4a\u{1e}"), [Ok(message("a")), Err(ParseError::Empty)]);
    assert_eq!(decode("4a\u{1e}\u{1e}4b"), [Ok(message("a")), Err(ParseError::Empty)]);
}

#[test]
fn item_34_packets_after_a_close_packet_are_still_read() {
    let close = Packet { packet_type: PacketType::Close, data: Message::from("") };
    assert_eq!(decode("1\u{1e}4x"), [Ok(close), Ok(message("x"))]);
}

#[test]
fn item_35_text_in_any_script_is_encoded_and_decoded() {
    let texts = ["\u{4f60}\u{597d}", "caf\u{e9}", "\u{1f600}a", "\u{7ff}\u{800}\u{ffff}\u{10ffff}", "\0"];
    let frames: Vec<Frame> = texts.iter().map(|text| Frame::message(Message::from(*text))).collect();
    let packets: Vec<_> = Packets::new(encoded(&frames)).unwrap().collect();
    assert_eq!(packets, texts.map(|text| Ok(message(text))));
}

#[test]
fn item_86_binary_is_base64_in_a_text_payload() {
    let frames = [Frame::message(Message::from("hello")), Frame::message(binary(&[1, 2, 3, 4])), Frame::PING];
    assert_eq!(encoded(&frames), "4hello\u{1e}bAQIDBA==\u{1e}2");
}

#[test]
fn item_87_empty_text_and_empty_binary_differ() {
    assert_eq!(encoded(&[Frame::message(Message::from(""))]), "4");
    assert_eq!(encoded(&[Frame::message(binary(b""))]), "b");
}

#[test]
fn an_empty_list_of_packets_is_an_empty_body() {
    assert_eq!(encoded(&[]), "");
}

#[test]
fn a_body_is_allocated_once_and_with_its_exact_size() {
    let frames =
        [Frame::message(binary(&[7; 1000])), Frame::message(Message::from("x")), Frame::message(binary(&[7; 4]))];
    let mut out = BytesMut::from(&b"before"[..]);
    encode(&frames, &mut out);
    assert!(out.starts_with(b"before"));
    let needed = out.len();
    let mut exact = BytesMut::with_capacity(needed - 6);
    let start = exact.as_ptr();
    encode(&frames, &mut exact);
    assert_eq!((exact.as_ptr(), exact.len()), (start, needed - 6), "`encode` must not reallocate");
}

#[test]
fn a_body_with_invalid_utf8_is_refused_as_a_whole() {
    for body in [&b"\xff"[..], b"4a\x1e4\xc3", b"4\xed\xa0\x80", b"4\xc0\x80"] {
        assert_eq!(Packets::new(Bytes::copy_from_slice(body)).err(), Some(ParseError::Utf8), "{body:?}");
    }
}

#[test]
fn a_body_is_decoded_lazily() {
    let mut packets = Packets::new(Bytes::from_static(b"4a\x1e4bb\x1e4c")).unwrap();
    assert_eq!(packets.remaining(), 9);
    assert_eq!(packets.next(), Some(Ok(message("a"))));
    assert_eq!(packets.remaining(), 6);
    assert_eq!(packets.next(), Some(Ok(message("bb"))));
    assert_eq!(packets.next(), Some(Ok(message("c"))));
    assert_eq!((packets.remaining(), packets.next(), packets.next()), (0, None, None));
}

proptest! {
    #[test]
    fn i7_decoding_undoes_encoding(messages in prop::collection::vec(
        prop_oneof![
            "[^\u{1e}]{0,20}".prop_map(|text| Message::Text(Text::from(text))),
            prop::collection::vec(any::<u8>(), 0..50).prop_map(|data| Message::Binary(data.into())),
        ],
        1..20,
    )) {
        let frames: Vec<Frame> = messages.iter().cloned().map(Frame::message).collect();
        let packets: Result<Vec<Packet>, _> = Packets::new(encoded(&frames)).unwrap().collect();
        let expected: Vec<Packet> = messages.into_iter().map(Packet::from).collect();
        prop_assert_eq!(packets, Ok(expected));
    }

    #[test]
    fn i7_no_bytes_cause_a_panic_and_an_error_is_final(
        body in prop::collection::vec(prop_oneof![prop::sample::select(b"\x1e4b6A=".to_vec()), any::<u8>()], 0..60),
    ) {
        if let Ok(mut packets) = Packets::new(body.into()) {
            while let Some(packet) = packets.next() {
                if packet.is_err() {
                    prop_assert!(packets.next().is_none());
                    prop_assert_eq!(packets.remaining(), 0);
                }
            }
        }
    }
}
