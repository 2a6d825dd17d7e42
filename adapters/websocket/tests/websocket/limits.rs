//! The limits on what a decoder buffers for a peer.

use bytes::BufMut;
use engineio_websocket::{Arena, Decoder, Error, Event, Limits, Role};

use crate::common::{BINARY, CONTINUATION, FIN, PING, binary, feed, frame, good, header, server_frame};

fn decoder(limits: Limits) -> Decoder {
    Decoder::new(Role::Server, limits)
}

#[test]
fn a_message_of_exactly_the_limit_arrives_and_one_byte_more_is_refused() {
    for limit in [0, 5, 125, 70_000] {
        let limits = Limits::default().with_max_message(limit);
        let whole = vec![1; limit];
        assert_eq!(good(&mut decoder(limits), &mut Arena::new(), &frame(FIN | BINARY, &whole)), [binary(&whole)]);
        let header = frame(FIN | BINARY, &vec![1; limit + 1]);
        assert_eq!(feed(&mut decoder(limits), &mut Arena::new(), &header), (vec![], Err(Error::MessageTooBig)));
    }
}

#[test]
fn the_limit_counts_all_pieces_and_is_checked_on_the_header() {
    let mut decoder = decoder(Limits::default().with_max_message(10));
    let mut bytes = [frame(BINARY, &[1; 6]), header(CONTINUATION, 0x80, 5)].concat();
    bytes.extend([0; 4]);
    assert_eq!(feed(&mut decoder, &mut Arena::new(), &bytes), (vec![], Err(Error::MessageTooBig)));
}

#[test]
fn the_largest_length_there_is_does_not_overflow() {
    let huge = [&header(FIN | CONTINUATION, 0x80, usize::MAX >> 1)[..], &[0; 4]].concat();
    for max_message in [1000, usize::MAX] {
        let mut decoder = decoder(Limits::default().with_max_message(max_message));
        let mut arena = Arena::new();
        assert_eq!(feed(&mut decoder, &mut arena, &frame(BINARY, &[0; 500])), (vec![], Ok(())));
        let (_, result) = feed(&mut decoder, &mut arena, &huge);
        assert_eq!(result.is_err(), max_message == 1000);
        assert!(decoder.buffered_bytes() <= 64 * 1024);
    }
}

#[test]
fn too_many_pieces_are_refused_even_if_empty() {
    let mut decoder = decoder(Limits::default().with_max_fragments(3));
    let mut arena = Arena::new();
    let empty = frame(CONTINUATION, b"");
    let three = [frame(BINARY, b""), empty.clone(), frame(FIN | CONTINUATION, b"x")].concat();
    assert_eq!(feed(&mut decoder, &mut arena, &three), (vec![binary(b"x")], Ok(())));
    let four = [frame(BINARY, b""), empty.clone(), empty.clone(), empty].concat();
    assert_eq!(feed(&mut decoder, &mut arena, &four), (vec![], Err(Error::TooManyFragments)));
}

#[test]
fn by_default_as_many_pieces_are_taken_as_by_ws() {
    for role in [Role::Server, Role::Client] {
        let frame = |first| if role == Role::Server { frame(first, b"x") } else { server_frame(first, b"x") };
        for (pieces, good) in [(16_384, true), (16_385, false)] {
            let mut decoder = Decoder::new(role, Limits::default());
            let middle = frame(CONTINUATION).repeat(pieces - 2);
            let bytes = [frame(BINARY), middle, frame(FIN | CONTINUATION)].concat();
            let (events, result) = feed(&mut decoder, &mut Arena::new(), &bytes);
            if good {
                assert_eq!((events, result), (vec![binary(&vec![b'x'; pieces])], Ok(())));
            } else {
                assert_eq!((events, result), (vec![], Err(Error::TooManyFragments)));
                assert_eq!(decoder.buffered_bytes(), 0);
            }
        }
    }
}

#[test]
fn control_frames_do_not_count_as_pieces() {
    let mut decoder = decoder(Limits::default().with_max_fragments(2));
    let bytes = [frame(BINARY, b"a"), frame(FIN | PING, b"").repeat(100), frame(FIN | CONTINUATION, b"b")].concat();
    let (events, result) = feed(&mut decoder, &mut Arena::new(), &bytes);
    assert_eq!((events.len(), result), (101, Ok(())));
}

#[test]
fn an_announced_length_alone_takes_at_most_64_kib() {
    let mut decoder = decoder(Limits::default().with_max_message(usize::MAX));
    let bytes = [&header(FIN | BINARY, 0x80, 1 << 40)[..], &[0; 4], b"x"].concat();
    assert_eq!(feed(&mut decoder, &mut Arena::new(), &bytes), (vec![], Ok(())));
    assert_eq!(decoder.buffered_bytes(), 64 * 1024);
    let room = decoder.payload_buffer().map(|room| room.remaining_mut());
    assert_eq!(room, Some(64 * 1024 - 1));
}

#[test]
fn memory_follows_the_bytes_and_ends_at_the_exact_size() {
    let length = 1_000_000;
    let payload = vec![7; length];
    let bytes = frame(FIN | BINARY, &payload);
    let mut decoder = decoder(Limits::default());
    let mut arena = Arena::new();
    let mut arrived = 0;
    let mut events = Vec::new();
    for chunk in bytes.chunks(10_000) {
        arrived += chunk.len();
        events.extend(good(&mut decoder, &mut arena, chunk));
        assert!(decoder.buffered_bytes() <= length.min(65_536.max(2 * arrived)));
    }
    assert_eq!(events, [binary(&payload)]);
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn an_unfinished_message_and_control_frame_stay_within_limit_plus_125() {
    let limits = Limits::default().with_max_message(10_000);
    let mut decoder = decoder(limits);
    let mut arena = Arena::new();
    for _ in 0..99 {
        let first = if decoder.is_idle() { BINARY } else { CONTINUATION };
        assert_eq!(feed(&mut decoder, &mut arena, &frame(first, &[1; 101])), (vec![], Ok(())));
        assert!(decoder.buffered_bytes() <= 10_000);
    }
    let ping = frame(FIN | PING, &[2; 125]);
    let (last, front) = ping.split_last().unwrap();
    assert_eq!(feed(&mut decoder, &mut arena, front), (vec![], Ok(())));
    assert!(decoder.buffered_bytes() <= 10_125);
    assert_eq!(feed(&mut decoder, &mut arena, &[*last]).0, [Event::Ping(vec![2; 125].into())]);
    let (events, _) = feed(&mut decoder, &mut arena, &frame(FIN | CONTINUATION, &[1; 1]));
    assert_eq!(events, [binary(&[1; 10_000])]);
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn many_small_pieces_do_not_move_the_message_each_time() {
    let mut decoder = decoder(Limits::default().with_max_fragments(u32::MAX));
    let mut arena = Arena::new();
    let mut growths = 0;
    let mut before = 0;
    good(&mut decoder, &mut arena, &frame(BINARY, &[1; 10]));
    for _ in 0..20_000 {
        good(&mut decoder, &mut arena, &frame(CONTINUATION, &[1; 10]));
        growths += u32::from(decoder.buffered_bytes() != before);
        before = decoder.buffered_bytes();
    }
    assert!(growths < 25, "{growths}");
}

#[test]
fn a_large_frame_is_read_straight_into_its_place() {
    let payload: Vec<u8> = (0..300_000_u32).map(|n| (n % 253) as u8).collect();
    let next = frame(FIN | BINARY, b"next");
    let bytes = [frame(FIN | BINARY, &payload), next].concat();
    let mut decoder = decoder(Limits::default());
    let mut arena = Arena::new();
    let (front, mut rest) = bytes.split_at(1000);
    let mut direct = 0;
    let mut events = good(&mut decoder, &mut arena, front);
    while let Some(mut room) = decoder.payload_buffer() {
        // A transport that reads an odd number of bytes at a time.
        let count = room.remaining_mut().min(12_345);
        room.put_slice(&rest[..count]);
        rest = &rest[count..];
        direct += count;
        events.extend(good(&mut decoder, &mut arena, &[]));
    }
    assert!(direct > 280_000, "{direct}");
    events.extend(good(&mut decoder, &mut arena, rest));
    assert_eq!(events, [binary(&payload), binary(b"next")]);
}

#[test]
fn a_frame_that_was_read_to_its_end_comes_without_input() {
    let payload = vec![3; 50_000];
    let bytes = frame(FIN | BINARY, &payload);
    let mut decoder = decoder(Limits::default());
    let mut arena = Arena::new();
    good(&mut decoder, &mut arena, &bytes[..20]);
    let mut room = decoder.payload_buffer().unwrap();
    assert_eq!(room.remaining_mut(), bytes.len() - 20);
    room.put_slice(&bytes[20..]);
    assert!(decoder.payload_buffer().is_none());
    assert_eq!(feed(&mut decoder, &mut arena, &[]), (vec![binary(&payload)], Ok(())));
}

#[test]
fn no_room_is_offered_for_small_frames_control_frames_or_between_frames() {
    let mut decoder = decoder(Limits::default());
    let mut arena = Arena::new();
    assert!(decoder.payload_buffer().is_none());
    let small = frame(FIN | BINARY, &[1; 16_000]);
    good(&mut decoder, &mut arena, &small[..10]);
    assert!(decoder.payload_buffer().is_none());
    good(&mut decoder, &mut arena, &small[10..]);
    good(&mut decoder, &mut arena, &frame(FIN | PING, &[1; 100])[..50]);
    assert!(decoder.payload_buffer().is_none());
}

#[test]
fn an_idle_decoder_holds_nothing() {
    let mut decoder = decoder(Limits::default());
    let mut arena = Arena::new();
    for payload in [&b"small, but with a middle"[..], &[1; 100_000]] {
        let bytes = frame(FIN | BINARY, payload);
        let (front, back) = bytes.split_at(bytes.len() / 2);
        good(&mut decoder, &mut arena, front);
        assert!(decoder.buffered_bytes() > 0 && !decoder.is_idle());
        good(&mut decoder, &mut arena, back);
        assert!(decoder.buffered_bytes() == 0 && decoder.is_idle());
    }
}
