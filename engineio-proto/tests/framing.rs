//! WebTransport frames: headers match the reference, and the result does not depend on how the stream is split.

use bytes::Bytes;
use engineio_proto::framing::{Decoder, header};
use engineio_proto::{Frame, Message, Packet, PacketType, ParseError, Text};
use proptest::prelude::*;

const LIMIT: usize = 1_000_000;

fn encode(frame: &Frame) -> Vec<u8> {
    [header(frame).as_bytes(), frame.head(), frame.data()].concat()
}

fn text(data: &str) -> Message {
    Message::from(data)
}

fn binary(length: usize) -> Message {
    Message::Binary(vec![7; length].into())
}

/// Decodes a stream that is split into these chunks, with a limit. Returns all packets, and the error if there is one.
fn decode<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Packet>, Option<ParseError>) {
    let mut decoder = Decoder::new(limit);
    let mut packets = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        loop {
            match decoder.next() {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}

#[test]
fn headers_are_those_of_the_reference() {
    let open = Frame::text(PacketType::Open, Text::new());
    assert_eq!(encode(&Frame::message(text("hello"))), [6, 0x34, 0x68, 0x65, 0x6c, 0x6c, 0x6f]);
    assert_eq!(encode(&Frame::message(text("1\u{20ac}"))), [5, 0x34, 0x31, 0xe2, 0x82, 0xac]);
    assert_eq!(encode(&open), [1, 0x30]);
    assert_eq!(encode(&Frame::message(Message::Binary(Bytes::from_static(&[1, 2, 3, 4])))), [0x84, 1, 2, 3, 4]);
    assert_eq!(encode(&Frame::message(binary(0))), [0x80]);
    assert_eq!(encode(&Frame::message(binary(125)))[..1], [0xfd]);
    assert_eq!(encode(&Frame::message(binary(126)))[..3], [0xfe, 0, 0x7e]);
    assert_eq!(encode(&Frame::message(binary(65535)))[..3], [0xfe, 0xff, 0xff]);
    assert_eq!(encode(&Frame::message(binary(65536)))[..9], [0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn item_89_lengths_of_every_form_are_read_at_once_and_byte_by_byte() {
    for length in [1, 125, 126, 127, 65535, 65536, LIMIT] {
        let frame = Frame::message(binary(length));
        let stream = encode(&frame);
        let expected = vec![Packet::from(binary(length))];
        assert_eq!(decode(LIMIT, [&stream[..]]), (expected.clone(), None), "{length} at once");
        assert_eq!(decode(LIMIT, stream.chunks(1)), (expected, None), "{length} byte by byte");
    }
}

#[test]
fn item_89_a_length_may_take_more_bytes_than_it_needs() {
    let ab = (vec![Packet::from(text("a"))], None);
    assert_eq!(decode(LIMIT, [&b"\x7e\x00\x024a"[..]]), ab);
    assert_eq!(decode(LIMIT, [&b"\x7f\0\0\0\0\0\0\0\x024a"[..]]), ab);
}

#[test]
fn item_89_a_length_of_zero_is_an_error() {
    for stream in [&[0][..], &[0x80], &[0x7e, 0, 0], &[0xff, 0, 0, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(decode(LIMIT, [stream]), (vec![], Some(ParseError::EmptyFrame)), "{stream:?}");
    }
}

#[test]
fn item_89_a_length_above_the_limit_is_an_error_before_any_of_the_body() {
    assert_eq!(decode(10, [&[11][..]]), (vec![], Some(ParseError::FrameTooLarge)));
    assert_eq!(decode(10, [&[0x7e, 1, 0][..]]), (vec![], Some(ParseError::FrameTooLarge)));
    for high in [[0, 0x20, 0, 0], [0xff; 4]] {
        let stream = [&[0xff], &high[..], &[0; 4]].concat();
        assert_eq!(decode(usize::MAX >> 12, [&stream[..]]), (vec![], Some(ParseError::FrameTooLarge)));
    }
    assert_eq!(decode(10, [&b"\x0a4123456789"[..]]), (vec![Packet::from(text("123456789"))], None));
}

#[test]
fn item_90_text_that_is_not_a_packet_or_not_utf8_is_an_error() {
    assert_eq!(decode(LIMIT, [&b"\x01x"[..]]), (vec![], Some(ParseError::UnknownType)));
    assert_eq!(decode(LIMIT, [&b"\x024\xff"[..]]), (vec![], Some(ParseError::Utf8)));
    assert_eq!(decode(LIMIT, [&b"\x02bA"[..]]), (vec![], Some(ParseError::Base64)));
}

#[test]
fn an_error_is_final_and_later_input_is_dropped() {
    let mut decoder = Decoder::new(LIMIT);
    decoder.push(Bytes::from_static(b"\x024a\x00\x024b"));
    assert_eq!(decoder.next(), Ok(Some(Packet::from(text("a")))));
    assert_eq!(decoder.next(), Err(ParseError::EmptyFrame));
    decoder.push(Bytes::from_static(b"\x024c"));
    assert_eq!(decoder.next(), Err(ParseError::EmptyFrame));
    assert_eq!(decoder.next(), Err(ParseError::EmptyFrame));
}

#[test]
fn a_packet_within_one_chunk_shares_its_memory() {
    let chunk = Bytes::from(encode(&Frame::message(binary(300))));
    let start = chunk.as_ptr() as usize;
    let mut decoder = Decoder::new(LIMIT);
    decoder.push(chunk);
    let Ok(Some(Packet { data: Message::Binary(data), .. })) = decoder.next() else { panic!("a message") };
    assert_eq!(data.as_ptr() as usize, start + 3);
}

#[test]
fn chunks_may_be_pushed_ahead() {
    let mut decoder = Decoder::new(LIMIT);
    for chunk in [&b"\x02"[..], b"", b"4", b"a\x024b\x7e", b"\x00", b"\x024c"] {
        decoder.push(Bytes::from_static(chunk));
    }
    for data in ["a", "b", "c"] {
        assert_eq!(decoder.next(), Ok(Some(Packet::from(text(data)))));
    }
    assert_eq!(decoder.next(), Ok(None));
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<String>().prop_map(|data| text(&data)),
        prop::collection::vec(any::<u8>(), 1..300).prop_map(|data| Message::Binary(data.into())),
        (100..130_usize).prop_map(binary),
    ]
}

proptest! {
    #[test]
    fn i6_splitting_a_stream_anywhere_gives_the_same_packets(
        messages in prop::collection::vec(any_message(), 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let stream: Vec<u8> = messages.iter().cloned().flat_map(|message| encode(&Frame::message(message))).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        let expected = messages.into_iter().map(Packet::from).collect();
        prop_assert_eq!(decode(LIMIT, chunks), (expected, None));
    }

    #[test]
    fn i7_no_bytes_cause_a_panic_and_splits_change_no_result(stream in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(decode(150, [&stream[..]]), decode(150, stream.chunks(1)));
    }

    #[test]
    fn i7_packets_within_the_limit_are_returned_and_larger_ones_are_not(messages in prop::collection::vec(any_message(), 1..8), limit in 0..130_usize) {
        let frames: Vec<Frame> = messages.iter().cloned().map(Frame::message).collect();
        let stream: Vec<u8> = frames.iter().flat_map(encode).collect();
        let fitting = frames.iter().take_while(|frame| frame.packet_len() <= limit).count();
        let error = (fitting < frames.len()).then_some(ParseError::FrameTooLarge);
        let expected = messages.into_iter().take(fitting).map(Packet::from).collect();
        prop_assert_eq!(decode(limit, stream.chunks(7)), (expected, error));
    }
}
