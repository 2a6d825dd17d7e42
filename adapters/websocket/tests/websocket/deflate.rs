//! permessage-deflate: inflating in the decoder, compressing, and both in a connection.

use bytes::BufMut;
use engineio_websocket::handshake::{ClientHandshake, Deflate, accept, deflate};
use engineio_websocket::{
    Arena, Closed, Connection, ConnectionEvent, Decoder, Deflater, Error, Event, FrameKind, Limits, Opcode, Role,
    encode_frame,
};
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, compress, create_comp_flags_from_zip_params};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::{
    BINARY, CLOSE, CONTINUATION, FIN, Outcome, PING, RSV1, TEXT, binary, feed, frame, header, server_frame, text,
};

/// A decoder of a server that inflates.
fn decoder(limits: Limits) -> Decoder {
    Decoder::new(Role::Server, limits).inflate(true)
}

/// The result of a server with the default limits that inflates and decodes `bytes`.
fn server(bytes: &[u8]) -> Outcome {
    feed(&mut decoder(Limits::default()), &mut Arena::new(), bytes)
}

/// The result of a compressed binary message.
fn inflated(payload: &[u8]) -> Result<Vec<u8>, Error> {
    let (mut events, result) = server(&frame(FIN | RSV1 | BINARY, payload));
    result.map(|()| match events.pop() {
        Some(Event::Binary(bytes)) if events.is_empty() => bytes.to_vec(),
        other => panic!("{other:?}"),
    })
}

/// A raw deflate stream of these pieces, each of which is flushed in its own way.
fn compressed(level: i32, pieces: &[(&[u8], TDEFLFlush)]) -> Vec<u8> {
    let mut compressor = Box::new(CompressorOxide::new(create_comp_flags_from_zip_params(level, -15, 0)));
    let mut out = vec![0; pieces.iter().map(|(piece, _)| piece.len() * 2 + 1000).sum()];
    let mut length = 0;
    for (piece, flush) in pieces {
        let (_, consumed, written) = compress(&mut compressor, piece, &mut out[length..], *flush);
        assert_eq!(consumed, piece.len());
        length += written;
    }
    out.truncate(length);
    out
}

/// The payload of a message as a sender makes it: flushed, and without the last four bytes.
fn payload(level: i32, message: &[u8]) -> Vec<u8> {
    let mut payload = compressed(level, &[(message, TDEFLFlush::Sync)]);
    assert_eq!(payload.split_off(payload.len() - 4), [0, 0, 0xff, 0xff]);
    payload
}

/// Bits, the first ones in the lowest places.
fn bits(bits: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let bits: Vec<u8> = bits.into_iter().collect();
    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

/// A message that compresses well, and is different everywhere.
fn prose(length: usize) -> String {
    let mut prose: String = (0..length / 8 + 1).map(|n| format!("{{\"n\":{n},\"ok\":true}},")).collect();
    prose.truncate(length);
    prose
}

/// Bytes that do not compress.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed) << 1 | 1;
    let byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(byte).take(length + 20).skip(20).collect()
}

#[test]
fn the_examples_of_rfc_7692_section_7_2_3_are_inflated() {
    let hello = (vec![text("Hello")], Ok(()));
    for (name, bytes) in [
        ("7.2.3.1 one frame", &[0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..]),
        ("7.2.3.1 two frames", &[0x41, 3, 0xf2, 0x48, 0xcd, 0x80, 4, 0xc9, 0xc9, 0x07, 0x00]),
        ("7.2.3.3 without compression", &[0xc1, 11, 0, 5, 0, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0]),
        ("7.2.3.4 a last block", &[0xc1, 8, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0]),
        ("7.2.3.5 two blocks", &[0xc1, 13, 0xf2, 0x48, 5, 0, 0, 0, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0]),
    ] {
        let mut client = Decoder::new(Role::Client, Limits::default()).inflate(true);
        assert_eq!(feed(&mut client, &mut Arena::new(), bytes), hello, "{name}");
    }
    // 7.2.3.2: the second message refers to the first one, which both ends have agreed not to do.
    assert_eq!(inflated(&[0xf2, 0, 0x11, 0, 0]), Err(Error::Deflate));
    // 7.2.3.6: an empty message.
    assert_eq!(server(&frame(FIN | RSV1 | TEXT, &[0])), (vec![text("")], Ok(())));
    assert_eq!(server(&frame(FIN | RSV1 | TEXT, &[])), (vec![text("")], Ok(())));
}

#[test]
fn the_bit_is_an_error_unless_it_was_agreed_on_and_is_on_the_first_frame_of_a_message() {
    let hello = payload(6, b"Hello");
    let plain = |bytes: &[u8]| feed(&mut Decoder::new(Role::Server, Limits::default()), &mut Arena::new(), bytes);
    assert_eq!(plain(&frame(FIN | RSV1 | TEXT, &hello)), (vec![], Err(Error::ReservedBit)));
    for first in [FIN | RSV1 | PING, FIN | RSV1 | CLOSE, FIN | RSV1 | CONTINUATION] {
        assert_eq!(server(&frame(first, b"")), (vec![], Err(Error::ReservedBit)));
    }
    let second = [frame(RSV1 | TEXT, &hello), frame(FIN | RSV1 | CONTINUATION, b"")].concat();
    assert_eq!(server(&second), (vec![], Err(Error::ReservedBit)));
    for bits in [0x60, 0x50, 0x20, 0x10] {
        assert_eq!(server(&frame(FIN | bits | TEXT, &hello)), (vec![], Err(Error::ReservedBit)));
    }
    assert_eq!(Error::ReservedBit.close_code(), 1002);
    // Messages without the bit are as they are.
    let mixed = [frame(FIN | TEXT, b"a"), frame(FIN | RSV1 | TEXT, &hello), frame(FIN | BINARY, b"b")].concat();
    assert_eq!(server(&mixed), (vec![text("a"), text("Hello"), binary(b"b")], Ok(())));
}

#[test]
fn text_is_checked_after_it_is_inflated() {
    for (bytes, good) in [("äöü€".as_bytes(), true), (b"a\xffb", false), (b"\xc3", false)] {
        let (events, result) = server(&frame(FIN | RSV1 | TEXT, &payload(1, bytes)));
        assert_eq!((events.len(), result.is_ok()), (usize::from(good), good));
        assert_eq!(inflated(&payload(1, bytes)).unwrap(), bytes);
    }
    assert_eq!(server(&frame(FIN | RSV1 | TEXT, &payload(1, b"\xff"))), (vec![], Err(Error::InvalidUtf8)));
}

#[test]
fn every_level_and_size_is_inflated() {
    for size in [0, 1, 100, 1023, 1024, 1025, 2048, 4096, 65_537, 900_000] {
        let message = prose(size);
        for level in [0, 1, 6] {
            assert!(inflated(&payload(level, message.as_bytes())).unwrap() == message.as_bytes(), "{size} {level}");
        }
    }
}

#[test]
fn blocks_that_say_they_are_the_last_may_be_followed_by_others() {
    let finished = compressed(6, &[(b"first, ", TDEFLFlush::Finish)]);
    let second = compressed(1, &[(b"second, ", TDEFLFlush::Finish)]);
    for (end, rest) in [(&[][..], ""), (&[0], ""), (&payload(9, b"third"), "third")] {
        let whole = [&finished[..], &second, end].concat();
        assert_eq!(inflated(&whole).unwrap(), format!("first, second, {rest}").as_bytes(), "{end:?}");
    }
    // They may refer to each other.
    let back = [&finished[..], &compressed(6, &[(b"first, ", TDEFLFlush::Sync), (b"first, ", TDEFLFlush::Sync)])[..]];
    let back = back.concat();
    assert_eq!(inflated(&back[..back.len() - 4]).unwrap(), b"first, first, first, ");
}

#[test]
fn what_is_no_deflate_or_is_cut_off_closes_with_1007() {
    assert_eq!(Error::Deflate.close_code(), 1007);
    let message = prose(5000);
    let whole = payload(6, message.as_bytes());
    for length in 1..whole.len() {
        assert_eq!(inflated(&whole[..length]), Err(Error::Deflate), "{length} of {}", whole.len());
    }
    for garbage in [&b"\x06"[..], b"\xff\xff", b"hello", &[0, 5, 0, 0, 0, 1, 2, 3, 4, 5], &[0, 5, 0, 0xfa, 0xff, 1]] {
        assert_eq!(inflated(garbage), Err(Error::Deflate), "{garbage:?}");
    }
    // The end that every message leaves out.
    assert_eq!(inflated(&[&whole[..], &[0, 0, 0xff, 0xff]].concat()), Err(Error::Deflate));
}

#[test]
fn the_limit_is_that_of_the_inflated_message() {
    for limit in [0, 1, 255, 256, 1023, 1024, 1025, 4096, 5000, 100_000] {
        let limits = Limits::default().with_max_message(limit.max(30));
        let limit = limits.max_message;
        for (size, good) in [(limit, true), (limit + 1, false), (limit * 100, false)] {
            let bytes = frame(FIN | RSV1 | BINARY, &payload(9, &vec![7; size]));
            let outcome = feed(&mut decoder(limits), &mut Arena::new(), &bytes);
            if bytes.len() > limit {
                continue;
            }
            let expected =
                if good { (vec![binary(&vec![7; size])], Ok(())) } else { (vec![], Err(Error::MessageTooBig)) };
            assert!(outcome == expected, "{size} of {limit}");
        }
    }
    // And that of the compressed message, before it arrives.
    let mut announced = header(FIN | RSV1 | BINARY, 0x80, 101);
    announced.extend([0; 4]);
    let outcome = feed(&mut decoder(Limits::default().with_max_message(100)), &mut Arena::new(), &announced);
    assert_eq!(outcome, (vec![], Err(Error::MessageTooBig)));
}

#[test]
fn a_bomb_ends_at_the_limit_with_1009() {
    // A gigabyte of zeros in a megabyte, of which the second one is not inflated.
    let megabyte = payload(9, &vec![0; 1_000_000]);
    assert!(megabyte.len() < 1100);
    let mut bomb = megabyte.repeat(1);
    for _ in 0..900 {
        bomb.extend([0, 0, 0xff, 0xff]);
        bomb.extend(&megabyte);
    }
    assert!(bomb.len() < 1_000_000);
    assert_eq!(inflated(&bomb), Err(Error::MessageTooBig));
    assert_eq!(Error::MessageTooBig.close_code(), 1009);
    assert_eq!(inflated(&megabyte).unwrap().len(), 1_000_000);
}

#[test]
fn a_message_of_endless_empty_blocks_is_refused() {
    // Ten bits each, and the tables of each one cost thousands of instructions.
    let fixed = |blocks: usize| bits([0, 1, 0, 0, 0, 0, 0, 0, 0, 0].repeat(blocks).into_iter().chain([0, 0, 0]));
    assert_eq!(inflated(&fixed(1)).unwrap(), b"");
    assert_eq!(inflated(&fixed(4)).unwrap(), b"");
    assert_eq!(inflated(&fixed(60)), Err(Error::TooManyBlocks));
    assert_eq!(inflated(&fixed(100_000)), Err(Error::TooManyBlocks));
    assert_eq!(inflated(&[3, 0].repeat(10_000)), Err(Error::TooManyBlocks));
    // Blocks of plain bytes cost next to nothing.
    assert_eq!(inflated(&[[0, 0, 0, 0xff, 0xff].repeat(10_000), vec![0]].concat()).unwrap(), b"");
    assert_eq!(inflated(&[1, 0, 0, 0xff, 0xff].repeat(10_000)).unwrap(), b"");
    assert_eq!(Error::TooManyBlocks.close_code(), 1008);
    // A sender may flush after every line. Node's `ws` flushes after every frame. Both are accepted.
    let byte = compressed(6, &[(b"x", TDEFLFlush::Sync)]);
    let mut frames: Vec<u8> =
        (0..5000).flat_map(|at| frame(if at == 0 { RSV1 | BINARY } else { CONTINUATION }, &byte)).collect();
    frames.extend(frame(FIN | CONTINUATION, &[0]));
    assert_eq!(server(&frames), (vec![binary(&[b'x'; 5000])], Ok(())));
    let line = prose(100);
    let lines = vec![(line.as_bytes(), TDEFLFlush::Sync); 1000];
    let mut stream = compressed(6, &lines);
    stream.truncate(stream.len() - 4);
    assert_eq!(inflated(&stream).unwrap(), line.repeat(1000).as_bytes());
}

#[test]
fn a_decoder_that_inflates_holds_nothing_between_messages() {
    let mut decoder = decoder(Limits::default());
    let mut arena = Arena::new();
    assert!(decoder.inflates());
    let bytes = frame(FIN | RSV1 | BINARY, &payload(0, &[9; 50_000]));
    let (front, back) = bytes.split_at(30_000);
    assert_eq!(feed(&mut decoder, &mut arena, front), (vec![], Ok(())));
    assert!(decoder.buffered_bytes() > 0);
    assert_eq!(feed(&mut decoder, &mut arena, back), (vec![binary(&[9; 50_000])], Ok(())));
    assert_eq!(decoder.buffered_bytes(), 0);
    assert!(decoder.is_idle());
}

#[test]
fn a_message_is_only_compressed_if_it_gets_smaller() {
    let mut deflater = Deflater::new();
    let noise = noise(2000, 7);
    assert_eq!(deflater.deflate(&[&noise]), None);
    assert_eq!(deflater.deflate(&[]), None);
    assert_eq!(deflater.deflate(&[b"", b"4"]), None);
    // One that has failed leaves nothing behind.
    for size in [50, 1000, 100_000, 3_000_000] {
        let message = prose(size);
        let payload = deflater.deflate(&[b"4", message.as_bytes(), b""]).unwrap();
        assert!(payload.len() < size);
        let limits = Limits::default().with_max_message(4_000_000);
        let bytes = frame(FIN | RSV1 | TEXT, &payload);
        let expected = (vec![text(&format!("4{message}"))], Ok(()));
        assert!(feed(&mut decoder(limits), &mut Arena::new(), &bytes) == expected, "{size}");
        assert_eq!(deflater.deflate(&[&noise]), None);
    }
}

/// A message of a kind that compresses well, or badly, or not.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..200_usize, 2 => 1000..3000_usize, 1 => 30_000..70_000_usize];
    (length, 0..3_u8, any::<u32>()).prop_map(|(length, kind, seed)| match kind {
        0 => vec![seed as u8; length],
        1 => prose(length).into_bytes(),
        _ => noise(length, seed),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 96 }))]

    #[test]
    fn compressed_messages_arrive_however_they_are_fragmented_and_cut(
        messages in vec((message(), prop_oneof![Just(None), (0..10).prop_map(Some)], vec(any::<(u16, bool)>(), 0..4)), 1..5),
        sizes in vec(prop_oneof![1..20_usize, 1000..40_000_usize], 1..5),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        let mut deflater = Deflater::new();
        for (message, level, cuts) in messages {
            let content = match level {
                Some(level) => Some(payload(level, &message)),
                None => deflater.deflate(&[&message]).map(Vec::from),
            };
            let mut first = BINARY | if content.is_some() { RSV1 } else { 0 };
            let content = content.unwrap_or_else(|| message.clone());
            let mut rest = &content[..];
            for (cut, ping) in cuts {
                let (piece, after) = rest.split_at(usize::from(cut) % (rest.len() + 1));
                bytes.extend(frame(first, piece));
                if ping {
                    bytes.extend(frame(FIN | PING, b"?"));
                    expected.push(Event::Ping(b"?"[..].into()));
                }
                (rest, first) = (after, CONTINUATION);
            }
            bytes.extend(frame(FIN | first, rest));
            expected.push(binary(&message));
        }
        let (mut decoder, mut arena, mut events) = (decoder(Limits::default()), Arena::new(), Vec::new());
        let (mut rest, mut sizes) = (&bytes[..], sizes.iter().cycle());
        while !rest.is_empty() {
            let mut size = (*sizes.next().unwrap()).min(rest.len());
            let piece = if let Some(mut room) = decoder.payload_buffer() {
                size = room.remaining_mut().min(rest.len());
                room.put_slice(&rest[..size]);
                &[][..]
            } else {
                &rest[..size]
            };
            rest = &rest[size..];
            let (more, result) = feed(&mut decoder, &mut arena, piece);
            prop_assert_eq!(result, Ok(()));
            events.extend(more);
        }
        prop_assert!(events == expected);
        prop_assert!(decoder.is_idle());
    }

    #[test]
    fn no_payload_causes_a_panic_or_exceeds_the_limit(
        start in vec(any::<u8>(), 0..40),
        message in message(),
        changes in vec(any::<(u16, u8)>(), 0..4),
        max in 0..5000_usize,
    ) {
        let mut bytes = [start, payload(6, &message)].concat();
        for (place, byte) in changes {
            let place = usize::from(place) % bytes.len();
            bytes[place] = byte;
        }
        bytes.truncate(max);
        let limits = Limits::default().with_max_message(max);
        let outcome = feed(&mut decoder(limits), &mut Arena::new(), &frame(FIN | RSV1 | BINARY, &bytes));
        match outcome {
            (events, Ok(())) => prop_assert!(matches!(&events[..], [Event::Binary(bytes)] if bytes.len() <= max)),
            (events, Err(error)) => {
                prop_assert!(events.is_empty());
                prop_assert!(matches!(error, Error::Deflate | Error::MessageTooBig | Error::TooManyBlocks));
            }
        }
    }
}

const REQUEST: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

fn agreement(offer: &str) -> Option<Deflate> {
    deflate([("Sec-WebSocket-Extensions", offer)])
}

#[test]
fn two_connections_compress_for_each_other() {
    let handshake = ClientHandshake::new([7; 16]).with_deflate();
    let key = accept(handshake.headers()).unwrap();
    let agreed = deflate(handshake.headers()).unwrap();
    let mut server = Connection::server(Limits::default()).with_deflate(agreed, 1024).with_response(&key, None);
    let answer = server.poll_transmit().unwrap();
    let answer = std::str::from_utf8(&answer).unwrap();
    let headers: Vec<_> = answer.lines().filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(handshake.check(101, headers.iter().copied()), Ok(None));
    let agreed = handshake.deflate(headers.iter().copied()).unwrap();
    let mut client = Connection::client(Limits::default(), [3; 16]).with_deflate(agreed, 1024);
    let (long, short) = (prose(1024), prose(1023));
    for from_client in [true, false] {
        let (sender, receiver) = if from_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
        for (message, compresses) in [(&long, true), (&short, false)] {
            sender.send_text(message).unwrap();
            sender.send_binary(message.as_bytes()).unwrap();
            let mut bytes = sender.poll_transmit().unwrap().to_vec();
            assert_eq!(bytes[0], FIN | TEXT | if compresses { RSV1 } else { 0 });
            assert_eq!(bytes.len() < message.len(), compresses);
            receiver.handle(&mut bytes);
            assert_eq!(receiver.poll_event(), Some(ConnectionEvent::Text(message.as_str().into())));
            assert_eq!(receiver.poll_event(), Some(ConnectionEvent::Binary(message.clone().into())));
            assert_eq!(receiver.poll_event(), None);
        }
    }
    client.handle(&mut server_frame(FIN | RSV1 | TEXT, b"garbage"));
    assert_eq!(client.poll_event(), Some(ConnectionEvent::Closed(Closed::Error(Error::Deflate))));
}

#[test]
fn a_connection_inflates_only_as_far_ahead_as_the_application_reads() {
    let mut connection =
        Connection::server(Limits::default()).with_deflate(agreement("permessage-deflate").unwrap(), 0);
    let mut bombs = frame(FIN | RSV1 | BINARY, &payload(9, &vec![0; 1_000_000])).repeat(60);
    connection.handle(&mut bombs);
    assert!(!connection.wants_input());
    for _ in 0..60 {
        assert!(matches!(connection.poll_event(), Some(ConnectionEvent::Binary(bytes)) if bytes.len() == 1_000_000));
    }
    assert!(connection.wants_input());
    assert_eq!(connection.poll_event(), None);
}

#[test]
fn a_reach_that_the_peer_has_limited_is_kept_by_not_compressing_longer_messages() {
    let limited = agreement("permessage-deflate; server_max_window_bits=12").unwrap();
    for (length, takes) in [(0, true), (4096, true), (4097, false)] {
        assert_eq!(limited.takes(length), takes);
        assert!(agreement("permessage-deflate; server_max_window_bits=15").unwrap().takes(length));
        assert!(agreement("permessage-deflate").unwrap().takes(usize::MAX));
    }
    for (length, compresses) in [(4096, true), (4097, false)] {
        let mut server = Connection::server(Limits::default()).with_deflate(limited, 1024);
        server.send_text(&prose(length)).unwrap();
        assert_eq!(server.poll_transmit().unwrap()[0], FIN | TEXT | if compresses { RSV1 } else { 0 });
    }
}

#[test]
fn a_frame_with_the_bit_is_encoded_with_and_without_a_mask() {
    for mask in [None, Some([1, 2, 3, 4])] {
        let role = if mask.is_some() { Role::Server } else { Role::Client };
        let mut out = Vec::new();
        let kind = FrameKind { opcode: Opcode::Text, fin: true, rsv1: true };
        encode_frame(&mut out, kind, &payload(6, b"Hello"), mask);
        let mut decoder = Decoder::new(role, Limits::default()).inflate(true);
        assert_eq!(feed(&mut decoder, &mut Arena::new(), &out), (vec![text("Hello")], Ok(())));
    }
}

#[test]
fn the_request_is_valid_whatever_it_offers() {
    for offer in ["permessage-deflate", "permessage-deflate; client_max_window_bits=99", "\"", ";;", ""] {
        assert!(accept(REQUEST.into_iter().chain([("Sec-WebSocket-Extensions", offer)])).is_ok());
    }
}
