//! A whole connection: pongs and close frames, order, and the limits of its queues.

use engineio_websocket::handshake::accept_key;
use engineio_websocket::{
    Arena, CloseFrame, Closed, Connection, ConnectionEvent, EncodeError, Error, Limits, SendError,
};

use crate::common::{BINARY, CLOSE, FIN, PING, PONG, TEXT, frame, server_frame};

fn server() -> Connection {
    Connection::server(Limits::default())
}

fn handle(connection: &mut Connection, bytes: &[u8]) {
    connection.handle(&mut bytes.to_vec());
}

fn events(connection: &mut Connection) -> Vec<ConnectionEvent> {
    core::iter::from_fn(|| connection.poll_event()).collect()
}

fn written(connection: &mut Connection) -> Vec<u8> {
    core::iter::from_fn(|| connection.poll_transmit()).flatten().collect()
}

fn text(text: &str) -> ConnectionEvent {
    ConnectionEvent::Text(text.into())
}

fn closed(code: u16, reason: &str) -> ConnectionEvent {
    ConnectionEvent::Closed(Closed::Peer(Some(CloseFrame { code, reason: reason.into() })))
}

/// Carries bytes in both directions until there are no more.
fn settle(a: &mut Connection, b: &mut Connection) {
    loop {
        let (to_b, to_a) = (written(a), written(b));
        if to_b.is_empty() && to_a.is_empty() {
            return;
        }
        handle(b, &to_b);
        handle(a, &to_a);
    }
}

#[test]
fn client_and_server_talk_and_close() {
    let (mut client, mut server) = (Connection::client(Limits::default(), [3; 16]), server());
    client.send_text("hello").unwrap();
    client.ping(b"?").unwrap();
    server.send_binary(&[9; 70_000]).unwrap();
    settle(&mut client, &mut server);
    assert_eq!(events(&mut server), [text("hello")]);
    let pong = ConnectionEvent::Pong(b"?"[..].into());
    assert_eq!(events(&mut client), [ConnectionEvent::Binary(vec![9; 70_000].into()), pong]);
    client.close(1000, "done").unwrap();
    settle(&mut client, &mut server);
    assert_eq!(events(&mut server), [closed(1000, "done")]);
    settle(&mut client, &mut server);
    assert_eq!(events(&mut client), [closed(1000, "done")]);
    assert!(client.is_finished() && server.is_finished());
}

#[test]
fn a_message_that_is_kept_keeps_one_block_alive_of_the_size_that_was_set() {
    let kept_alive = |mut connection: Connection| {
        handle(&mut connection, &frame(FIN | BINARY, b"16 bytes of data"));
        let events = events(&mut connection);
        drop(connection);
        let [ConnectionEvent::Binary(data)] = <[_; 1]>::try_from(events).unwrap() else { panic!("one message") };
        data.try_into_mut().unwrap().capacity()
    };
    for (block, kept) in [(0, 16), (60, 16), (64, 64), (512, 512)] {
        assert_eq!(kept_alive(server().with_arena(Arena::with_block(block))), kept, "blocks of {block} bytes");
    }
    assert_eq!(kept_alive(server()), 8192, "the default");
}

#[test]
fn the_answer_to_the_handshake_goes_before_every_frame() {
    let key = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
    let mut server = server().with_response(&key, Some("chat"));
    server.send_text("first").unwrap();
    assert_eq!(written(&mut server), [&key.to_http1(Some("chat"))[..], b"\x81\x05first"].concat());
    server.send_text("second").unwrap();
    assert_eq!(written(&mut server), b"\x81\x06second");
}

#[test]
fn a_message_in_pieces_is_one_frame_at_either_end() {
    let (mut client, mut server) = (Connection::client(Limits::default(), [3; 16]), server());
    client.send_parts(false, &[b"4", b"hello"]).unwrap();
    client.send_parts(true, &[&[1; 300], &[], &[2; 3]]).unwrap();
    settle(&mut client, &mut server);
    let binary = ConnectionEvent::Binary([&[1; 300][..], &[2; 3]].concat().into());
    assert_eq!(events(&mut server), [text("4hello"), binary]);
    server.send_parts(false, &[b"4", b"hello"]).unwrap();
    server.send_parts(true, &[]).unwrap();
    assert_eq!(written(&mut server), b"\x81\x064hello\x82\x00");
    server.close(1000, "").unwrap();
    assert_eq!(server.send_parts(false, &[b"late"]), Err(SendError::Closed));
}

#[test]
fn pings_are_answered_at_most_once_each_write() {
    let mut server = server();
    for n in 0..100_u8 {
        handle(&mut server, &frame(FIN | PING, &[n]));
    }
    assert_eq!(written(&mut server), server_frame(FIN | PONG, &[99]));
    assert_eq!(events(&mut server), []);
    handle(&mut server, &frame(FIN | PING, b""));
    assert_eq!(written(&mut server), server_frame(FIN | PONG, b""));
}

#[test]
fn messages_before_a_close_can_be_answered_until_it_is_taken() {
    let mut server = server();
    handle(&mut server, &[frame(FIN | TEXT, b"a"), frame(FIN | CLOSE, b"\x03\xe9bye")].concat());
    assert_eq!(written(&mut server), b"");
    assert_eq!(server.poll_event(), Some(text("a")));
    server.send_text("b").unwrap();
    assert_eq!(server.poll_event(), Some(closed(1001, "bye")));
    assert_eq!(server.send_text("c"), Err(SendError::Closed));
    assert!(!server.is_finished());
    let expected = [server_frame(FIN | TEXT, b"b"), server_frame(FIN | CLOSE, b"\x03\xe9bye")].concat();
    assert_eq!(written(&mut server), expected);
    assert!(server.is_finished());
    assert_eq!(server.poll_event(), None);
}

#[test]
fn a_close_is_answered_with_its_code_and_its_reason_at_either_end() {
    for (code, reason) in
        [(1000, String::new()), (1014, "ü".to_owned()), (4000, "bye".to_owned()), (4999, "r".repeat(123))]
    {
        for from_client in [true, false] {
            let (client, server) = (Connection::client(Limits::default(), [3; 16]), server());
            let (mut asking, mut asked) = if from_client { (client, server) } else { (server, client) };
            asking.close(code, &reason).unwrap();
            settle(&mut asking, &mut asked);
            assert_eq!(events(&mut asked), [closed(code, &reason)]);
            settle(&mut asking, &mut asked);
            assert_eq!(events(&mut asking), [closed(code, &reason)]);
            assert!(asking.is_finished() && asked.is_finished());
        }
    }
}

#[test]
fn an_empty_close_gets_an_empty_answer() {
    let mut server = server();
    handle(&mut server, &frame(FIN | CLOSE, b""));
    assert_eq!(events(&mut server), [ConnectionEvent::Closed(Closed::Peer(None))]);
    assert_eq!(written(&mut server), [0x88, 0]);
}

#[test]
fn an_owed_pong_goes_before_the_close_frame_and_none_after_it() {
    let mut server = server();
    handle(&mut server, &frame(FIN | PING, b"1"));
    server.close(1001, "").unwrap();
    handle(&mut server, &frame(FIN | PING, b"2"));
    let expected = [server_frame(FIN | PONG, b"1"), server_frame(FIN | CLOSE, b"\x03\xe9")].concat();
    assert_eq!(written(&mut server), expected);
    assert_eq!(written(&mut server), b"");
}

#[test]
fn after_our_close_messages_still_come_and_nothing_can_be_sent() {
    let mut server = server();
    server.close(4000, "enough").unwrap();
    assert_eq!(server.close(4000, "enough"), Err(SendError::Closed));
    assert_eq!(server.send_text("x"), Err(SendError::Closed));
    assert_eq!(server.ping(b""), Err(SendError::Closed));
    handle(&mut server, &frame(FIN | TEXT, b"late"));
    assert_eq!(events(&mut server), [text("late")]);
    written(&mut server);
    assert!(!server.is_finished());
    handle(&mut server, &frame(FIN | CLOSE, b"\x0f\xa0"));
    assert_eq!(events(&mut server), [closed(4000, "")]);
    assert_eq!(written(&mut server), b"");
    assert!(server.is_finished());
}

#[test]
fn a_breach_of_the_protocol_is_told_to_both_sides() {
    let mut server = server();
    handle(&mut server, &[frame(FIN | TEXT, b"a"), frame(FIN | TEXT, b"\xff"), frame(FIN | TEXT, b"b")].concat());
    assert!(!server.wants_input());
    assert_eq!(events(&mut server), [text("a"), ConnectionEvent::Closed(Closed::Error(Error::InvalidUtf8))]);
    assert_eq!(written(&mut server), server_frame(FIN | CLOSE, &1007_u16.to_be_bytes()));
    assert!(server.is_finished());
    handle(&mut server, &frame(FIN | TEXT, b"c"));
    assert_eq!(events(&mut server), []);
}

#[test]
fn a_breach_after_our_close_sends_no_second_close() {
    let mut server = server();
    server.close(1000, "").unwrap();
    assert_eq!(written(&mut server).len(), 4);
    handle(&mut server, &[0xff, 0xff]);
    assert_eq!(events(&mut server), [ConnectionEvent::Closed(Closed::Error(Error::ReservedOpcode(15)))]);
    assert_eq!(written(&mut server), b"");
    assert!(server.is_finished());
}

#[test]
fn a_transport_that_ends_loses_nothing_that_had_come() {
    let mut server = server();
    for _ in 0..100 {
        handle(&mut server, &frame(FIN | TEXT, b"a"));
    }
    server.send_text("never read").unwrap();
    server.handle_end();
    handle(&mut server, &frame(FIN | TEXT, b"too late"));
    let events = events(&mut server);
    assert_eq!(events.len(), 101);
    assert_eq!(events.last(), Some(&ConnectionEvent::Closed(Closed::Lost)));
    assert_eq!(server.send_text("x"), Err(SendError::Closed));
    assert_eq!(written(&mut server), b"");
    assert!(server.is_finished());
}

#[test]
fn the_end_of_the_transport_after_the_closing_handshake_changes_nothing() {
    let mut server = server();
    handle(&mut server, &frame(FIN | CLOSE, b""));
    server.handle_end();
    assert_eq!(events(&mut server), [ConnectionEvent::Closed(Closed::Peer(None))]);
}

#[test]
fn unread_events_stop_the_input_by_number() {
    let mut server = server();
    let mut given = 0;
    while server.wants_input() {
        handle(&mut server, &frame(FIN | TEXT, b"x"));
        given += 1;
    }
    assert_eq!(given, 32);
    // One read returns far more than may be decoded ahead. The rest is buffered as bytes, and is decoded in order.
    handle(&mut server, &frame(FIN | TEXT, b"y").repeat(1000));
    handle(&mut server, &frame(FIN | PING, b"late"));
    assert_eq!(written(&mut server), b"");
    let events = events(&mut server);
    assert_eq!(events.len(), 1032);
    assert_eq!(events.last(), Some(&text("y")));
    assert_eq!(written(&mut server), server_frame(FIN | PONG, b"late"));
    assert!(server.wants_input());
}

#[test]
fn unread_events_stop_the_input_by_bytes() {
    let mut server = server();
    handle(&mut server, &frame(FIN | BINARY, &[0; 40_000]));
    assert!(server.wants_input());
    handle(&mut server, &frame(FIN | BINARY, &[0; 40_000]));
    assert!(!server.wants_input());
    server.poll_event();
    assert!(server.wants_input());
}

#[test]
fn unwritten_output_is_bounded() {
    let mut server = server().with_max_outgoing(1000);
    while server.send_text(&"x".repeat(98)).is_ok() {}
    assert_eq!(server.outgoing_bytes(), 1000);
    assert_eq!(server.send_binary(b""), Err(SendError::Full));
    assert_eq!(server.ping(b""), Err(SendError::Full));
    // However many pings arrive, at most one pong and one close frame exceed the limit.
    for _ in 0..1000 {
        handle(&mut server, &frame(FIN | PING, &[7; 125]));
    }
    server.close(1000, &"r".repeat(123)).unwrap();
    assert_eq!(written(&mut server).len(), 1000 + 127 + 127);
}

#[test]
fn a_refused_command_changes_nothing() {
    let mut server = server();
    assert_eq!(server.ping(&[0; 126]), Err(SendError::Invalid(EncodeError::ControlTooLong)));
    assert_eq!(server.close(1005, ""), Err(SendError::Invalid(EncodeError::CloseCode(1005))));
    assert_eq!(server.close(1000, &"r".repeat(124)), Err(SendError::Invalid(EncodeError::ControlTooLong)));
    assert_eq!(written(&mut server), b"");
    server.send_text("still open").unwrap();
}

#[test]
fn a_client_masks_every_frame_with_another_key() {
    let mut client = Connection::client(Limits::default(), [5; 16]);
    client.send_text("same").unwrap();
    let first = written(&mut client);
    client.send_text("same").unwrap();
    let second = written(&mut client);
    assert_eq!(first[..2], [0x81, 0x84]);
    assert_ne!(first[2..], second[2..]);
}
