//! Packets in text and binary form. They are compared with the reference's parser and with what real clients send. Decoding undoes
//! encoding.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use bytes::Bytes;
use engineio_proto::{Frame, Message, Packet, PacketType, ParseError, Text};
use proptest::prelude::*;

fn text(encoded: &str) -> Result<Packet, ParseError> {
    Packet::decode(Message::from(encoded))
}

fn binary_message(data: &[u8]) -> Packet {
    Packet::from(Message::Binary(Bytes::copy_from_slice(data)))
}

fn packet(packet_type: PacketType, data: &str) -> Packet {
    Packet { packet_type, data: Message::from(data) }
}

/// Returns the packet as a link transfers it.
fn on_a_link(frame: &Frame) -> Message {
    let bytes = Bytes::from([frame.head(), frame.data()].concat());
    assert_eq!(bytes.len(), frame.packet_len());
    if frame.is_binary() { Message::Binary(bytes) } else { Message::Text(Text::try_from(bytes).unwrap()) }
}

#[test]
fn input_that_is_not_a_packet_is_an_error() {
    assert_eq!(text(""), Err(ParseError::Empty));
    for encoded in ["9", "a", "7", "\u{1e}", " 4", "\u{20ac}4", "-", "B"] {
        assert_eq!(text(encoded), Err(ParseError::UnknownType), "{encoded:?}");
    }
}

#[test]
fn every_type_may_have_data_or_none() {
    use PacketType::{Close, Message as Msg, Noop, Open, Ping, Pong, Upgrade};
    for (digit, packet_type) in
        ["0", "1", "2", "3", "4", "5", "6"].into_iter().zip([Open, Close, Ping, Pong, Msg, Upgrade, Noop])
    {
        assert_eq!(text(digit), Ok(packet(packet_type, "")));
        assert_eq!(text(&format!("{digit}x\u{20ac}")), Ok(packet(packet_type, "x\u{20ac}")));
    }
    assert_eq!(text("2probe"), Ok(packet(Ping, "probe")));
    assert_eq!(text("44"), Ok(packet(Msg, "4")));
}

#[test]
fn base64_from_every_real_client_is_a_binary_message() {
    for encoded in ["bAQIDBA==", "bAQIDBA", "bAQIDBA=", "bAQID\nBA==\n", "bAQID\r\nBA==\r\n"] {
        assert_eq!(text(encoded), Ok(binary_message(&[1, 2, 3, 4])), "{encoded:?}");
    }
    assert_eq!(text("b-_-_"), Ok(binary_message(&[0xfb, 0xff, 0xbf])));
    assert_eq!(text("b+/+/"), Ok(binary_message(&[0xfb, 0xff, 0xbf])));
    assert_eq!(text("b"), Ok(binary_message(b"")));
}

#[test]
fn lines_as_the_java_client_breaks_them_are_joined() {
    let data: Vec<u8> = (0..=255).collect();
    let one_line = {
        let mut out = bytes::BytesMut::new();
        engineio_proto::payload::encode([&Frame::message(Message::Binary(data.clone().into()))], &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    let mut wrapped = String::from("b");
    for line in one_line.as_bytes()[1..].chunks(76) {
        wrapped.push_str(core::str::from_utf8(line).unwrap());
        wrapped.push('\n');
    }
    assert_eq!(text(&wrapped), Ok(binary_message(&data)));
}

#[test]
fn invalid_base64_that_node_would_skip_is_an_error() {
    for encoded in [
        "bAQID*BA=",
        "b AQID BA==",
        "bA",
        "b!!!!",
        "b====",
        "bAQID====",
        "bAQ==ID",
        "b-+-+",
        "b\u{20ac}",
        "bAQID\u{1e}BA",
    ] {
        assert_eq!(text(encoded), Err(ParseError::Base64), "{encoded:?}");
    }
}

#[test]
fn a_binary_frame_is_a_message_also_when_empty() {
    for data in [&b""[..], b"4", b"b", &[0, 0xff]] {
        let message = Message::Binary(Bytes::copy_from_slice(data));
        assert_eq!(Packet::decode(message.clone()), Ok(Packet::from(message)));
    }
}

#[test]
fn data_is_shared_with_the_input() {
    let input = Bytes::from(b"4hello".to_vec());
    let start = input.as_ptr() as usize;
    let decoded = Packet::decode(Message::Text(Text::try_from(input).unwrap())).unwrap();
    let Message::Text(data) = decoded.data else { panic!("text") };
    assert_eq!(data.as_ptr() as usize, start + 1);
}

#[test]
fn item_85_sending_a_slice_of_a_buffer_sends_only_that_slice() {
    let part = Bytes::from_static(&[9, 1, 2, 3, 4, 9]).slice(1..5);
    assert_eq!(Packet::decode(on_a_link(&Frame::message(Message::Binary(part)))), Ok(binary_message(&[1, 2, 3, 4])));
}

#[test]
fn item_87_empty_messages_keep_their_kind() {
    assert_eq!(on_a_link(&Frame::message(Message::from(""))), Message::from("4"));
    assert_eq!(on_a_link(&Frame::message(Message::Binary(Bytes::new()))), Message::Binary(Bytes::new()));
}

#[test]
fn constant_frames_are_their_digit() {
    for (frame, wire) in [(Frame::CLOSE, "1"), (Frame::PING, "2"), (Frame::PONG, "3"), (Frame::NOOP, "6")] {
        assert_eq!(on_a_link(&frame), Message::from(wire));
    }
}

fn any_packet() -> impl Strategy<Value = Packet> {
    use PacketType::{Close, Message as Msg, Noop, Open, Ping, Pong, Upgrade};
    let packet_type = prop::sample::select(vec![Open, Close, Ping, Pong, Msg, Upgrade, Noop]);
    prop_oneof![
        (packet_type, any::<String>()).prop_map(|(packet_type, data)| packet(packet_type, &data)),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|data| binary_message(&data)),
    ]
}

proptest! {
    #[test]
    fn i7_decoding_undoes_encoding(packet in any_packet()) {
        let frame = Frame::from(packet.clone());
        prop_assert_eq!(frame.packet_type(), packet.packet_type);
        prop_assert_eq!(Packet::decode(on_a_link(&frame)), Ok(packet));
    }

    #[test]
    fn i7_no_text_causes_a_panic(encoded in "\\PC*|b[A-Za-z0-9+/=_\n-]*|[0-9b].*") {
        let _ = text(&encoded);
        let _ = Packet::decode_v3(Message::from(&*encoded));
    }

    #[test]
    fn i7_no_bytes_cause_a_panic_in_either_revision(bytes: Vec<u8>) {
        let message = Message::Binary(bytes.into());
        prop_assert_eq!(Packet::decode(message.clone()).map(|packet| packet.data), Ok(message.clone()));
        let _ = Packet::decode_v3(message);
    }
}
