//! Property tests: the result does not depend on how bytes are split, and no input causes a panic. `proptest` prints and keeps the seed of
//! a failure.

use bytes::BufMut;
use engineio_websocket::{Arena, Connection, ConnectionEvent, Decoder, Error, Event, Limits, Role};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, feed, frame, server_frame};

const LIMITS: fn() -> Limits = || Limits::default().with_max_message(60_000).with_max_fragments(8);

/// Payloads with lengths at which the format changes.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..130_usize, 1 => 1900..2200_usize, 1 => 20_000..30_000_usize];
    (length, any::<u8>()).prop_map(|(length, seed)| (0..length).map(|n| (n as u8).wrapping_add(seed) & 0x7f).collect())
}

/// A frame, mostly a valid one. Frames come in any order.
fn one_frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let first = prop_oneof![
        6 => Just(FIN | TEXT),
        6 => Just(FIN | BINARY),
        2 => Just(TEXT),
        2 => Just(BINARY),
        4 => Just(CONTINUATION),
        4 => Just(FIN | CONTINUATION),
        3 => Just(FIN | PING),
        2 => Just(FIN | PONG),
        1 => Just(FIN | CLOSE),
        1 => any::<u8>(),
    ];
    (first, payload()).prop_map(|(first, mut payload)| {
        if first & 8 != 0 {
            payload.truncate(125);
        }
        (first, payload)
    })
}

fn stream(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let write = if role == Role::Server { frame } else { server_frame };
    vec(one_frame(), 0..12)
        .prop_map(move |frames| frames.iter().flat_map(|(first, payload)| write(*first, payload)).collect())
}

/// Valid messages, fragmented anywhere and with pings in between, and the events that they decode to.
fn conversation(role: Role) -> impl Strategy<Value = (Vec<u8>, Vec<Event>)> {
    let write = if role == Role::Server { frame } else { server_frame };
    let message = (any::<bool>(), payload(), vec(any::<(u16, bool)>(), 0..6));
    vec(message, 1..8).prop_map(move |messages| {
        let (mut bytes, mut events) = (Vec::new(), Vec::new());
        for (is_text, payload, cuts) in messages {
            let mut rest = &payload[..];
            let mut first = if is_text { TEXT } else { BINARY };
            for (cut, ping) in cuts {
                let (piece, after) = rest.split_at(usize::from(cut) % (rest.len() + 1));
                bytes.extend(write(first, piece));
                if ping {
                    bytes.extend(write(FIN | PING, &cut.to_be_bytes()));
                    events.push(Event::Ping(cut.to_be_bytes().to_vec().into()));
                }
                (rest, first) = (after, CONTINUATION);
            }
            bytes.extend(write(FIN | first, rest));
            let text = String::from_utf8(payload.clone()).unwrap();
            events.push(if is_text { Event::Text(text.into()) } else { Event::Binary(payload.into()) });
        }
        (bytes, events)
    })
}

/// Passes these bytes to a connection in chunks of this size. Returns its events, and what it writes.
fn through_connection(mut connection: Connection, bytes: &[u8], size: usize) -> (Vec<ConnectionEvent>, Vec<u8>) {
    let mut bytes = bytes.to_vec();
    let (mut events, mut written) = (Vec::new(), Vec::new());
    for piece in bytes.chunks_mut(size) {
        connection.handle(piece);
        events.extend(core::iter::from_fn(|| connection.poll_event()));
        written.extend(core::iter::from_fn(|| connection.poll_transmit()).flatten());
    }
    (events, written)
}

/// Decodes `bytes` in chunks. Every second one goes through `payload_buffer` if possible.
fn cut(role: Role, mut bytes: &[u8], sizes: &[usize]) -> (Vec<Event>, Result<(), Error>) {
    let mut decoder = Decoder::new(role, LIMITS());
    let mut arena = Arena::new();
    let mut events = Vec::new();
    let mut sizes = sizes.iter().cycle();
    let mut direct = false;
    while !bytes.is_empty() {
        let size = sizes.next().copied().unwrap_or(1).clamp(1, bytes.len());
        let (mut piece, mut rest) = bytes.split_at(size);
        direct = !direct;
        if direct && let Some(mut room) = decoder.payload_buffer() {
            let count = room.remaining_mut().min(bytes.len());
            room.put_slice(&bytes[..count]);
            (piece, rest) = (&[], &bytes[count..]);
        }
        bytes = rest;
        let (more, result) = feed(&mut decoder, &mut arena, piece);
        events.extend(more);
        assert!(decoder.buffered_bytes() <= 60_000 + 125);
        if result.is_err() {
            return (events, result);
        }
    }
    (events, Ok(()))
}

proptest! {
    #[test]
    fn any_cut_of_a_clients_stream_gives_the_same_events(bytes in stream(Role::Server), sizes in vec(1..5000_usize, 1..20)) {
        let whole = feed(&mut Decoder::new(Role::Server, LIMITS()), &mut Arena::new(), &bytes);
        prop_assert_eq!(cut(Role::Server, &bytes, &sizes), whole);
    }

    #[test]
    fn any_cut_of_a_servers_stream_gives_the_same_events(bytes in stream(Role::Client), sizes in vec(1..5000_usize, 1..20)) {
        let whole = feed(&mut Decoder::new(Role::Client, LIMITS()), &mut Arena::new(), &bytes);
        prop_assert_eq!(cut(Role::Client, &bytes, &sizes), whole);
    }

    #[test]
    fn good_messages_arrive_however_they_are_framed_and_cut(
        (bytes, events) in conversation(Role::Server),
        sizes in vec(1..5000_usize, 1..20),
    ) {
        prop_assert_eq!(cut(Role::Server, &bytes, &sizes), (events, Ok(())));
    }

    #[test]
    fn a_client_too_gets_good_messages_however_they_are_framed_and_cut(
        (bytes, events) in conversation(Role::Client),
        sizes in vec(1..5000_usize, 1..20),
    ) {
        prop_assert_eq!(cut(Role::Client, &bytes, &sizes), (events, Ok(())));
    }

    #[test]
    fn the_block_of_the_arena_changes_no_event(
        (bytes, _) in conversation(Role::Server),
        block in prop_oneof![Just(0), Just(1), Just(64), 0..600_usize],
        size in 1..5000_usize,
    ) {
        let usual = through_connection(Connection::server(LIMITS()), &bytes, size);
        let small = Connection::server(LIMITS()).with_arena(Arena::with_block(block));
        prop_assert_eq!(through_connection(small, &bytes, size), usual);
    }

    #[test]
    fn small_pieces_of_a_few_bytes_give_the_same_events(bytes in stream(Role::Server), sizes in vec(1..16_usize, 1..20)) {
        let bytes = bytes.get(..3000).unwrap_or(&bytes);
        let whole = feed(&mut Decoder::new(Role::Server, LIMITS()), &mut Arena::new(), bytes);
        prop_assert_eq!(cut(Role::Server, bytes, &sizes), whole);
    }

    #[test]
    fn random_bytes_never_panic_nor_keep_more_than_the_limits(bytes in vec(any::<u8>(), 0..2000), sizes in vec(1..300_usize, 1..20)) {
        for role in [Role::Server, Role::Client] {
            let whole = feed(&mut Decoder::new(role, LIMITS()), &mut Arena::new(), &bytes);
            prop_assert_eq!(cut(role, &bytes, &sizes), whole);
        }
    }

    #[test]
    fn a_connection_survives_any_bytes_and_closes_once(bytes in vec(any::<u8>(), 0..2000), sizes in vec(1..300_usize, 1..20)) {
        for mut connection in [Connection::server(LIMITS()), Connection::client(LIMITS(), [1; 16])] {
            let mut bytes = bytes.clone();
            for piece in bytes.chunks_mut(sizes[0]) {
                connection.handle(piece);
            }
            connection.handle_end();
            let events: Vec<_> = core::iter::from_fn(|| connection.poll_event()).collect();
            let closed = events.iter().filter(|event| matches!(event, ConnectionEvent::Closed(_)));
            prop_assert_eq!(closed.count(), 1);
            while connection.poll_transmit().is_some() {}
            prop_assert!(connection.is_finished());
        }
    }
}
