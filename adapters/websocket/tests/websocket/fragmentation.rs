//! Messages of several frames.

use engineio_websocket::{Arena, Decoder, Error, Event, Limits, Role};

use crate::common::{BINARY, CONTINUATION, FIN, PING, PONG, TEXT, binary, feed, frame, server, text};

#[test]
fn pieces_become_one_message() {
    let bytes = [
        frame(TEXT, b"a"),
        frame(CONTINUATION, b""),
        frame(CONTINUATION, b"b"),
        frame(FIN | CONTINUATION, b"c"),
        frame(BINARY, b"x"),
        frame(FIN | CONTINUATION, b"y"),
        frame(FIN | TEXT, b"z"),
    ];
    assert_eq!(server(&bytes.concat()), (vec![text("abc"), binary(b"xy"), text("z")], Ok(())));
}

#[test]
fn control_frames_between_pieces_come_first() {
    let bytes = [
        frame(TEXT, b"a"),
        frame(FIN | PING, b"1"),
        frame(CONTINUATION, b"b"),
        frame(FIN | PONG, b"2"),
        frame(FIN | CONTINUATION, b"c"),
    ];
    let events = vec![Event::Ping(b"1"[..].into()), Event::Pong(b"2"[..].into()), text("abc")];
    assert_eq!(server(&bytes.concat()), (events, Ok(())));
}

#[test]
fn a_control_frame_that_arrives_byte_by_byte_between_pieces_leaves_the_message_whole() {
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    let mut arena = Arena::new();
    let bytes = [frame(BINARY, &[1; 3000]), frame(FIN | PING, &[9; 125]), frame(FIN | CONTINUATION, &[2; 3000])];
    let mut events = Vec::new();
    for byte in bytes.concat() {
        let (more, result) = feed(&mut decoder, &mut arena, &[byte]);
        assert_eq!(result, Ok(()));
        events.extend(more);
    }
    let message = [[1; 3000], [2; 3000]].concat();
    assert_eq!(events, [Event::Ping(vec![9; 125].into()), binary(&message)]);
    assert!(decoder.is_idle());
}

#[test]
fn a_continuation_of_nothing_is_refused() {
    for first in [CONTINUATION, FIN | CONTINUATION] {
        assert_eq!(server(&frame(first, b"a")), (vec![], Err(Error::UnexpectedContinuation)));
    }
    let after_message = [frame(FIN | TEXT, b"a"), frame(FIN | CONTINUATION, b"b")].concat();
    assert_eq!(server(&after_message), (vec![text("a")], Err(Error::UnexpectedContinuation)));
}

#[test]
fn a_new_message_inside_an_unfinished_one_is_refused() {
    for first in [TEXT, FIN | TEXT, FIN | BINARY] {
        let bytes = [frame(TEXT, b"a"), frame(first, b"b")].concat();
        assert_eq!(server(&bytes), (vec![], Err(Error::ExpectedContinuation)));
    }
}

#[test]
fn an_empty_message_may_come_in_pieces() {
    let bytes = [frame(TEXT, b""), frame(FIN | CONTINUATION, b"")].concat();
    assert_eq!(server(&bytes), (vec![text("")], Ok(())));
}
