//! Packets and payloads of revision 3, compared with what engine.io-parser 2.2 writes and reads. Covers every decision in the table of
//! `payload::v3`. Decoding undoes encoding.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use bytes::{Bytes, BytesMut};
use engineio_proto::payload::v3::{Packets, encode};
use engineio_proto::{ContentType, Frame, Message, Packet, PacketType, ParseError, Text};
use proptest::prelude::*;

type Verdicts = Vec<Result<Packet, ParseError>>;

fn decode_text(body: &str) -> Verdicts {
    Packets::new(Bytes::copy_from_slice(body.as_bytes()), ContentType::Text).unwrap().collect()
}

fn decode_binary(body: &[u8]) -> Verdicts {
    Packets::new(Bytes::copy_from_slice(body), ContentType::OctetStream).unwrap().collect()
}

/// Returns the encoded body and its content type.
fn encoded(frames: &[Frame], takes_binary: bool) -> (Bytes, ContentType) {
    let mut out = BytesMut::new();
    let content_type = encode(frames, takes_binary, &mut out);
    (out.freeze(), content_type)
}

fn text(data: &str) -> Message {
    Message::from(data)
}

fn binary(data: &[u8]) -> Message {
    Message::Binary(Bytes::copy_from_slice(data))
}

fn message(data: &str) -> Packet {
    Packet::from(text(data))
}

fn packet(packet_type: PacketType, data: &str) -> Packet {
    Packet { packet_type, data: text(data) }
}

fn frames(messages: &[Message]) -> Vec<Frame> {
    messages.iter().cloned().map(Frame::message).collect()
}

/// Encodes for both kinds of clients, and decodes the results.
#[track_caller]
fn assert_encoded(messages: &[Message], with_binary: &[u8], without: &str) {
    let frames = frames(messages);
    let binary = messages.iter().any(|message| matches!(message, Message::Binary(_)));
    let kind = if binary { ContentType::OctetStream } else { ContentType::Text };
    let expected: Verdicts = messages.iter().cloned().map(|message| Ok(Packet::from(message))).collect();
    assert_eq!(encoded(&frames, true), (Bytes::copy_from_slice(with_binary), kind));
    assert_eq!(encoded(&frames, false), (Bytes::copy_from_slice(without.as_bytes()), ContentType::Text));
    assert_eq!(Packets::new(Bytes::copy_from_slice(with_binary), kind).unwrap().collect::<Verdicts>(), expected);
    assert_eq!(decode_text(without), expected);
}

#[test]
fn text_messages_alone_make_a_text_body() {
    assert_encoded(&[text("hello"), text("\u{20ac}")], "6:4hello2:4\u{20ac}".as_bytes(), "6:4hello2:4\u{20ac}");
}

#[test]
fn a_binary_message_makes_the_body_binary() {
    assert_encoded(
        &[text("\u{20ac}"), binary(&[1, 2, 3, 4])],
        &[0, 4, 255, 0x34, 0xe2, 0x82, 0xac, 1, 5, 255, 4, 1, 2, 3, 4],
        "2:4\u{20ac}10:b4AQIDBA==",
    );
}

#[test]
fn lengths_are_utf16_units() {
    assert_encoded(&[text("\u{1f600}a")], "4:4\u{1f600}a".as_bytes(), "4:4\u{1f600}a");
}

#[test]
fn digits_of_a_length_are_bytes() {
    let mut body = vec![1, 1, 3, 255, 4];
    body.extend([7; 12]);
    assert_encoded(&[binary(&[7; 12])], &body, "18:b4BwcHBwcHBwcHBwcH");
}

#[test]
fn no_packets() {
    assert_encoded(&[], b"0:", "0:");
    assert_eq!(decode_binary(b""), []);
}

#[test]
fn empty_messages_keep_their_kind() {
    assert_encoded(&[text("")], b"1:4", "1:4");
    assert_encoded(&[binary(b"")], &[1, 1, 255, 4], "2:b4");
}

#[test]
fn packets_of_other_types() {
    let probe = Frame::text(PacketType::Ping, "probe".into());
    assert_eq!(encoded(&[probe, Frame::NOOP], true).0, "6:2probe1:6");
    assert_eq!(decode_text("6:2probe1:6"), [Ok(packet(PacketType::Ping, "probe")), Ok(packet(PacketType::Noop, ""))]);
    assert_eq!(
        decode_binary(b"\x00\x06\xff2probe\x00\x01\xff6"),
        [Ok(packet(PacketType::Ping, "probe")), Ok(packet(PacketType::Noop, ""))]
    );
    for (digit, packet_type) in [
        ("0", PacketType::Open),
        ("1", PacketType::Close),
        ("2", PacketType::Ping),
        ("3", PacketType::Pong),
        ("4", PacketType::Message),
        ("5", PacketType::Upgrade),
        ("6", PacketType::Noop),
    ] {
        assert_eq!(
            decode_text(&format!("1:{digit}2:{digit}x")),
            [Ok(packet(packet_type, "")), Ok(packet(packet_type, "x"))]
        );
    }
}

#[test]
fn an_empty_list_within_a_text_body_is_skipped() {
    assert_eq!(decode_text("0:1:3"), [Ok(packet(PacketType::Pong, ""))]);
    assert_eq!(decode_text("1:30:"), [Ok(packet(PacketType::Pong, ""))]);
    assert_eq!(decode_text("0:0:1:30:0:"), [Ok(packet(PacketType::Pong, ""))]);
    assert_eq!(decode_text("0:x"), [Err(ParseError::Length)]);
}

#[test]
fn a_text_body_without_a_length_is_an_error() {
    assert_eq!(decode_text(""), [Err(ParseError::Length)]);
    for body in ["abc", ":4", "a:4", "-1:4", "1.5:4", "4", "10", "::", "\u{20ac}:4", "1\u{661}:4", "Infinity:4"] {
        assert_eq!(decode_text(body), [Err(ParseError::Length)], "{body}");
    }
}

#[test]
fn lengths_that_only_javascript_accepts_are_errors() {
    for body in ["06:4hello", " 6:4hello", "6 :4hello", "+6:4hello", "6.0:4hello", "1e1:4123456789", "0x1:3", "0b1:3"] {
        assert_eq!(decode_text(body), [Err(ParseError::Length)], "{body}");
    }
    assert_eq!(decode_text("00:1:3"), [Err(ParseError::Length)]);
}

#[test]
fn a_length_longer_than_the_rest_is_an_error() {
    assert_eq!(decode_text("2:4"), [Err(ParseError::Length)]);
    assert_eq!(decode_text("6:4hello3:4b"), [Ok(message("hello")), Err(ParseError::Length)]);
    // The length counts bytes, as Python 3.x does for `b64`.
    assert_eq!(decode_text("4:4\u{20ac}"), [Err(ParseError::Length)]);
    for length in [u64::MAX.to_string(), (u128::from(u64::MAX) + 1).to_string(), "9".repeat(400)] {
        assert_eq!(decode_text(&format!("{length}:4")), [Err(ParseError::Length)]);
    }
}

#[test]
fn invalid_bytes_after_the_last_packet_are_an_error() {
    for garbage in ["99", "X", ":", "\u{20ac}", "4:"] {
        assert_eq!(
            decode_text(&format!("6:4hello{garbage}")),
            [Ok(message("hello")), Err(ParseError::Length)],
            "{garbage}"
        );
    }
}

#[test]
fn an_invalid_packet_ends_a_text_body_after_the_packets_before_it() {
    assert_eq!(decode_text("2:4a1:92:4b"), [Ok(message("a")), Err(ParseError::UnknownType)]);
    assert_eq!(decode_text("2:4a4:b4!!2:4b"), [Ok(message("a")), Err(ParseError::Base64)]);
}

#[test]
fn base64_without_a_type_is_an_error() {
    for body in ["1:b", "2:b9", "9:bAQIDBA==", "2:bb", "2:b\u{20ac}"] {
        assert_eq!(decode_text(body), [Err(ParseError::UnknownType)], "{body}");
    }
    assert_eq!(decode_text("10:b2AQIDBA=="), [Err(ParseError::UnknownType)]);
}

#[test]
fn a_length_that_ends_within_a_surrogate_pair_is_an_error() {
    assert_eq!(decode_text("2:4\u{1f600}"), [Err(ParseError::Length)]);
    assert_eq!(decode_text("3:4\u{1f600}"), [Ok(message("\u{1f600}"))]);
    assert_eq!(decode_text("4:4\u{1f600}"), [Err(ParseError::Length)]);
    assert_eq!(decode_text("3:4\u{1f600}3:4\u{20ac}a"), [Ok(message("\u{1f600}")), Ok(message("\u{20ac}a"))]);
}

#[test]
fn a_text_body_that_is_not_utf8_is_refused_as_a_whole() {
    for body in [&b"2:4a2:4\xff"[..], b"\xff", b"4:4\xed\xa0\x80", b"2:4\xc3"] {
        let packets = Packets::new(Bytes::copy_from_slice(body), ContentType::Text);
        assert_eq!(packets.err(), Some(ParseError::Utf8), "{body:?}");
    }
}

#[test]
fn a_binary_body_may_contain_only_text_as_from_python() {
    let body = b"\x00\x06\xff4hello\x00\x04\xff4\xe2\x82\xac";
    assert_eq!(decode_binary(body), [Ok(message("hello")), Ok(message("\u{20ac}"))]);
    // No implementation sends this, but it is a valid text packet.
    assert_eq!(decode_binary(b"\x00\x01\x00\xffb4AQIDBA=="), [Ok(Packet::from(binary(&[1, 2, 3, 4])))]);
}

#[test]
fn a_part_is_text_or_binary_and_nothing_else() {
    for kind in [2, 9, b'0', b'1', 255] {
        assert_eq!(decode_binary(&[kind, 2, 255, 4, 7]), [Err(ParseError::UnknownType)], "{kind}");
    }
}

#[test]
fn a_length_in_bytes_is_decimal_digits_and_an_end() {
    for body in [
        &[1][..],
        &[1, 255],
        &[1, 2],
        &[1, 2, 4, 7],
        &[1, 12, 255, 4, 7],
        &[1, b'2', 255, 4, 7],
        &[1, 0, 2, 255, 4, 7],
        &[1, 254, 255, 4, 7],
        &[1; 500],
        &[0; 500],
        &[9; 500][..],
    ] {
        let expected = if body.first() == Some(&9) { ParseError::UnknownType } else { ParseError::Length };
        assert_eq!(decode_binary(body), [Err(expected)], "{body:?}");
    }
}

#[test]
fn a_binary_body_that_was_cut_is_an_error() {
    assert_eq!(decode_binary(&[0, 9, 9, 255, b'4']), [Err(ParseError::Length)]);
    assert_eq!(
        decode_binary(&[1, 2, 255, 4, 7, 1, 3, 255, 4, 7]),
        [Ok(Packet::from(binary(&[7]))), Err(ParseError::Length)]
    );
    let mut endless = vec![1];
    endless.extend([9; 300]);
    endless.extend([255, 4]);
    assert_eq!(decode_binary(&endless), [Err(ParseError::Length)]);
}

#[test]
fn a_part_of_no_bytes_is_an_error() {
    assert_eq!(decode_binary(&[0, 0, 255]), [Err(ParseError::Empty)]);
    assert_eq!(decode_binary(&[1, 0, 255]), [Err(ParseError::Empty)]);
    assert_eq!(decode_binary(&[0, 0, 255, 0, 1, 255, b'3']), [Err(ParseError::Empty)]);
}

#[test]
fn bytes_of_any_type_but_a_message_are_an_error() {
    for packet_type in [0, 1, 2, 3, 5, 6, 7, 9, b'4', b'b'] {
        assert_eq!(decode_binary(&[1, 2, 255, packet_type, 7]), [Err(ParseError::UnknownType)], "{packet_type}");
    }
}

#[test]
fn text_in_a_binary_body_is_strict_utf8() {
    for data in [&b"4\xff"[..], b"4\xed\xa0\x80", b"4\xc3", b"4\xc0\x80"] {
        let mut body = vec![1, 1, 255, 4, 0, u8::try_from(data.len()).unwrap(), 255];
        body.extend(data);
        assert_eq!(decode_binary(&body), [Ok(Packet::from(binary(b""))), Err(ParseError::Utf8)], "{data:?}");
    }
}

#[test]
fn an_error_in_a_part_ends_the_body_after_the_parts_before_it() {
    assert_eq!(
        decode_binary(b"\x00\x02\xff4a\x00\x01\xff9\x00\x02\xff4b"),
        [Ok(message("a")), Err(ParseError::UnknownType)]
    );
    assert_eq!(decode_binary(b"\x00\x02\xff4a\x00\x02"), [Ok(message("a")), Err(ParseError::Length)]);
}

#[test]
fn single_packets() {
    let decode = |encoded: &str| Packet::decode_v3(text(encoded));
    let bytes = |data: &[u8]| Packet::decode_v3(binary(data));
    assert_eq!(decode("4\u{20ac}"), Ok(message("\u{20ac}")));
    assert_eq!(decode("5"), Ok(packet(PacketType::Upgrade, "")));
    assert_eq!(decode("2probe"), Ok(packet(PacketType::Ping, "probe")));
    for encoded in ["b4AQID", "b4AQID\n", "b4\nAQ\r\nID"] {
        assert_eq!(decode(encoded), Ok(Packet::from(binary(&[1, 2, 3]))), "{encoded:?}");
    }
    assert_eq!(decode("b4"), Ok(Packet::from(binary(b""))));
    assert_eq!(decode("b4A"), Err(ParseError::Base64));
    assert_eq!(decode("b"), Err(ParseError::UnknownType));
    assert_eq!(decode("bAQID"), Err(ParseError::UnknownType));
    assert_eq!(decode(""), Err(ParseError::Empty));
    assert_eq!(decode("7"), Err(ParseError::UnknownType));
    assert_eq!(bytes(&[4, 1, 2, 3]), Ok(Packet::from(binary(&[1, 2, 3]))));
    assert_eq!(bytes(&[4]), Ok(Packet::from(binary(b""))));
    assert_eq!(bytes(&[]), Err(ParseError::Empty));
    assert_eq!(bytes(&[1, 2, 3]), Err(ParseError::UnknownType));
    assert_eq!(bytes(b"4a"), Err(ParseError::UnknownType));
}

/// Returns the packet as a link transfers it.
fn on_a_link(frame: &Frame) -> Message {
    let bytes = Bytes::from([frame.head(), frame.data()].concat());
    assert_eq!(bytes.len(), frame.packet_len());
    if frame.is_binary() { Message::Binary(bytes) } else { Message::Text(Text::try_from(bytes).unwrap()) }
}

#[test]
fn a_link_carries_the_type_before_the_bytes_or_before_base64() {
    let frame = Frame::message(binary(&[1, 2, 3]));
    assert_eq!(on_a_link(&frame), binary(&[1, 2, 3]));
    assert_eq!(on_a_link(&frame.clone().into_base64()), text("bAQID"));
    assert_eq!(on_a_link(&frame.clone().into_v3()), binary(&[4, 1, 2, 3]));
    assert_eq!(on_a_link(&frame.clone().into_v3().into_v3()), binary(&[4, 1, 2, 3]));
    for frame in [frame.clone().into_v3().into_base64(), frame.into_base64().into_v3()] {
        assert_eq!(on_a_link(&frame), text("b4AQID"));
        assert_eq!(frame.clone().into_v3().into_base64(), frame);
    }
    let probe = Frame::text(PacketType::Pong, "probe".into());
    assert_eq!(probe.clone().into_v3().into_base64(), probe);
}

#[test]
fn a_payload_takes_frames_in_any_form() {
    let plain = Frame::message(binary(&[1, 2, 3]));
    let forms = [plain.clone(), plain.clone().into_v3(), plain.clone().into_base64(), plain.into_base64().into_v3()];
    assert_eq!(encoded(&forms, false).0, "6:b4AQID6:b4AQID6:b4AQID6:b4AQID");
    assert_eq!(
        encoded(&forms, true).0,
        &b"\x01\x04\xff\x04\x01\x02\x03\x01\x04\xff\x04\x01\x02\x03\x00\x06\xffb4AQID\x00\x06\xffb4AQID"[..]
    );
    assert_eq!(encoded(&forms[2..], true), ("6:b4AQID6:b4AQID".into(), ContentType::Text));
}

#[test]
fn a_body_is_allocated_once() {
    let messages = [text("\u{1f600}\u{20ac}"), binary(&[7; 1000]), text(&"x".repeat(99)), text(&"\u{20ac}".repeat(99))];
    let frames = frames(&messages);
    for (takes_binary, slack) in [(true, 0), (false, 5)] {
        let needed = encoded(&frames, takes_binary).0.len();
        let mut out = BytesMut::with_capacity(needed + slack);
        let start = out.as_ptr();
        encode(&frames, takes_binary, &mut out);
        assert_eq!((out.as_ptr(), out.len()), (start, needed), "`encode` must not reallocate");
        let mut out = BytesMut::from(&b"before"[..]);
        encode(&frames, takes_binary, &mut out);
        assert!(out.starts_with(b"before"));
        assert_eq!(out.len(), needed + 6);
    }
}

#[test]
fn packets_share_the_memory_of_the_body_and_are_decoded_lazily() {
    let text = (b"0:2:4a3:4bb".to_vec(), ContentType::Text, [5, 0]);
    let binary = (b"\x00\x02\xff4a\x01\x03\xff\x04bb".to_vec(), ContentType::OctetStream, [6, 0]);
    for (body, content_type, remaining) in [text, binary] {
        let body = Bytes::from(body);
        let range = body.as_ptr_range();
        let mut packets = Packets::new(body.clone(), content_type).unwrap();
        assert_eq!(packets.remaining(), body.len());
        for remaining in remaining {
            let start = match packets.next().unwrap().unwrap().data {
                Message::Text(data) => data.as_ptr(),
                Message::Binary(data) => data.as_ptr(),
            };
            assert!(range.contains(&start));
            assert_eq!(packets.remaining(), remaining);
        }
        assert_eq!((packets.next(), packets.next()), (None, None));
    }
}

fn any_packet() -> impl Strategy<Value = Packet> {
    use PacketType::{Close, Message as Msg, Noop, Open, Ping, Pong, Upgrade};
    let packet_type = prop::sample::select(vec![Open, Close, Ping, Pong, Msg, Upgrade, Noop]);
    let data = prop_oneof![any::<String>(), "[a:0-9\u{e9}\u{20ac}\u{1f600}]{0,120}"];
    prop_oneof![
        (packet_type, data).prop_map(|(packet_type, data)| packet(packet_type, &data)),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|data| Packet::from(binary(&data))),
    ]
}

proptest! {
    #[test]
    fn i7_decoding_undoes_encoding(packets in prop::collection::vec(any_packet(), 0..12), takes_binary: bool) {
        let frames: Vec<Frame> = packets.iter().cloned().map(Frame::from).collect();
        let (body, content_type) = encoded(&frames, takes_binary);
        let decoded: Result<Vec<Packet>, _> = Packets::new(body, content_type).unwrap().collect();
        prop_assert_eq!(decoded, Ok(packets));
    }

    #[test]
    fn i6_joining_bodies_joins_their_packets(packets in prop::collection::vec(any_packet(), 0..12), at in any::<prop::sample::Index>()) {
        let frames: Vec<Frame> = packets.iter().cloned().map(Frame::from).collect();
        let (front, back) = frames.split_at(at.index(frames.len() + 1));
        let joined = [encoded(front, false).0, encoded(back, false).0].concat();
        let decoded: Result<Vec<Packet>, _> = Packets::new(joined.into(), ContentType::Text).unwrap().collect();
        prop_assert_eq!(decoded, Ok(packets));
    }

    #[test]
    fn i7_decoding_undoes_encoding_on_a_link(packet in any_packet(), base64: bool) {
        let frame = Frame::from(packet.clone()).into_v3();
        let frame = if base64 { frame.into_base64() } else { frame };
        prop_assert_eq!(frame.packet_type(), packet.packet_type);
        prop_assert_eq!(Packet::decode_v3(on_a_link(&frame)), Ok(packet));
    }

    #[test]
    fn i7_lengths_are_those_of_javascript(data: String) {
        let (body, _) = encoded(&[Frame::message(text(&data))], true);
        let header = format!("{}:4", data.encode_utf16().count() + 1);
        prop_assert_eq!(body, [header.as_bytes(), data.as_bytes()].concat());
    }

    #[test]
    fn i7_no_text_causes_a_panic_and_an_error_is_final(body in "([0-9]{1,2}:[0-6b9]?[4a\u{20ac}\u{1f600}=]{0,9}){0,8}|\\PC{0,40}") {
        never_panics(body.into(), ContentType::Text)?;
    }

    #[test]
    fn i7_no_bytes_cause_a_panic_and_an_error_is_final(
        body in prop::collection::vec(prop_oneof![0..10_u8, prop::sample::select(b"\xff4b=\xe2".to_vec()), any::<u8>()], 0..60),
        parts in prop::collection::vec((0..3_u8, 0..9_u8), 0..8),
        split in any::<prop::sample::Index>(),
    ) {
        never_panics(body.clone().into(), ContentType::OctetStream)?;
        // The same, but with a first length that is likely to be valid.
        let mut likely = Vec::new();
        for (kind, length) in parts {
            likely.extend([kind, length, 255]);
            likely.extend(body.iter().take(length.into()));
        }
        likely.truncate(split.index(likely.len() + 1));
        never_panics(likely.into(), ContentType::OctetStream)?;
    }
}

fn never_panics(body: Bytes, content_type: ContentType) -> Result<(), TestCaseError> {
    let Ok(mut packets) = Packets::new(body, content_type) else { return Ok(()) };
    let mut remaining = packets.remaining();
    while let Some(packet) = packets.next() {
        if packet.is_err() {
            prop_assert!(packets.next().is_none());
            prop_assert_eq!(packets.remaining(), 0);
        } else {
            prop_assert!(packets.remaining() < remaining);
            remaining = packets.remaining();
        }
    }
    Ok(())
}
