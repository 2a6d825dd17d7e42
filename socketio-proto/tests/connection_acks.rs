//! Acks in both directions: each awaited ack has one outcome, and each ack is sent once.
//!
//! In the name of a test, a number after `suite` is that of a case of the official Socket.IO v5 suite. Other numbers are those of
//! scenarios. Both are in the table in adapters/tokio/tests/README.md.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

mod connection_world;

use std::time::Duration;

use bytes::Bytes;
use connection_world::{Settings, World};
use engineio_proto::{Message, SendError};
use socketio_proto::{AckId, AckToken, EmitError, Encoder, Event, Json, Outgoing, Parser, SocketHandle};

const SECOND: Duration = Duration::from_secs(1);

fn emit_with_ack(world: &mut World, socket: SocketHandle, timeout: Option<Duration>) -> AckId {
    let id = world.connection.emit_with_ack(world.now, &mut world.encoder, socket, "ask", &(), timeout).unwrap();
    world.settle();
    id
}

fn received_token(world: &mut World) -> AckToken {
    match world.event() {
        Some(Event::Received { ack: Some(token), .. }) => token,
        other => panic!("expected an event with an ack, not {other:?}"),
    }
}

#[test]
fn suite_12_an_event_with_an_id_is_acked_with_it() {
    let (mut world, _) = World::joined();
    world.send(r#"2456["message-with-ack",1,"2",{"3":[false]}]"#);
    let Some(Event::Received { payload, ack: Some(token), .. }) = world.event() else { panic!() };
    assert_eq!((token.id(), &**token.namespace()), (456, "/"));
    world.connection.ack(&mut world.encoder, token, &payload).unwrap();
    world.settle();
    assert_eq!(world.texts(), [r#"3456[1,"2",{"3":[false]}]"#]);
}

#[test]
fn suite_13_and_111_attachments_are_acked_with_attachments() {
    let (mut world, socket) = World::joined();
    world.send(r#"52-789["m",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#);
    world.send_binary(&[1]);
    world.send_binary(&[2]);
    let Some(Event::Received { payload, ack: Some(token), .. }) = world.event() else { panic!() };
    world.connection.ack(&mut world.encoder, token, &payload).unwrap();
    world.settle();
    let messages = world.messages();
    assert_eq!(messages[0], Message::from(r#"62-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#));
    assert_eq!(messages[1..], [Bytes::from_static(&[1]), Bytes::from_static(&[2])].map(Message::from));

    let id = emit_with_ack(&mut world, socket, None);
    world.send(&format!("61-{}[{{\"_placeholder\":true,\"num\":0}}]", id.0));
    world.send_binary(&[9]);
    let Some(Event::Acked { outcome: Ok(payload), .. }) = world.event() else { panic!() };
    assert_eq!(payload.attachments(), [Bytes::from_static(&[9])]);
}

#[test]
fn case_111_an_ack_is_delivered_once_and_unknown_ones_are_ignored() {
    let (mut world, socket) = World::joined();
    let custom = world.join("/custom");
    let id = emit_with_ack(&mut world, socket, None);
    assert_eq!(world.texts(), [format!("2{}[\"ask\"]", id.0)]);
    for unknown in ["3[]", "37[]", "34294967296[]", "39007199254740991[1]", &format!("3/custom,{}[]", id.0)] {
        world.send(unknown);
        assert!(world.event_lines().is_empty(), "{unknown}");
    }
    world.send(&format!("3{}[1,2]", id.0));
    world.send(&format!("3{}[3]", id.0));
    assert_eq!(world.event_lines(), [format!("{}: {} is (1,2)", socket.0, id.0)]);
    // An ack without a payload has no arguments.
    let id = emit_with_ack(&mut world, custom, None);
    world.send(&format!("3/custom,{}", id.0));
    assert_eq!(world.event_lines(), [format!("{}: {} is ()", custom.0, id.0)]);
    assert!(!world.link_is_closed());
}

#[test]
fn case_112_an_emit_with_ack_to_a_disconnected_socket_fails() {
    let (mut world, socket) = World::joined();
    world.connection.disconnect(world.now, socket);
    let result = world.connection.emit_with_ack(world.now, &mut world.encoder, socket, "ask", &(), Some(SECOND));
    assert_eq!(result, Err(EmitError::Disconnected));
    assert_eq!(world.event_lines(), ["0 left: server namespace disconnect"]);
}

#[test]
fn case_112_an_ack_that_does_not_arrive_times_out_and_a_late_one_is_ignored() {
    let (mut world, socket) = World::joined();
    let id = emit_with_ack(&mut world, socket, Some(SECOND));
    world.pass_alive(Duration::from_millis(999));
    assert!(world.event_lines().is_empty());
    world.pass_alive(Duration::from_millis(1));
    assert_eq!(world.event_lines(), [format!("0: {} failed: operation has timed out", id.0)]);
    world.send(&format!("3{}[]", id.0));
    assert!(world.event_lines().is_empty() && !world.link_is_closed());
}

#[test]
fn case_112_an_ack_in_time_counts_even_if_the_deadline_is_checked_late() {
    let (mut world, socket) = World::joined();
    let id = emit_with_ack(&mut world, socket, Some(SECOND));
    world.now = world.connection.poll_timeout().unwrap();
    world.send_late(&format!("3{}[]", id.0));
    assert_eq!(world.event_lines(), [format!("0: {} is ()", id.0)]);
    world.pass_alive(SECOND);
    assert!(world.event_lines().is_empty());
}

#[test]
fn each_ack_has_its_own_deadline_in_any_order_of_emits() {
    let (mut world, socket) = World::joined();
    let [slow, none, fast] =
        [Some(2 * SECOND), None, Some(SECOND)].map(|timeout| emit_with_ack(&mut world, socket, timeout));
    world.pass_alive(SECOND);
    assert_eq!(world.event_lines(), [format!("0: {} failed: operation has timed out", fast.0)]);
    world.pass_alive(SECOND);
    assert_eq!(world.event_lines(), [format!("0: {} failed: operation has timed out", slow.0)]);
    world.pass_alive(1000 * SECOND);
    assert!(world.event_lines().is_empty());
    world.send(&format!("3{}[]", none.0));
    assert_eq!(world.event_lines(), [format!("0: {} is ()", none.0)]);
}

#[test]
fn case_114_every_awaited_ack_fails_when_its_socket_disconnects() {
    let failed = |socket: u32, id: AckId| format!("{socket}: {} failed: socket has been disconnected", id.0);
    // Either the peer leaves or this side disconnects it. Another socket stays.
    for by_peer in [true, false] {
        let (mut world, root) = World::joined();
        let custom = world.join("/custom");
        let [first, kept, second] = [root, custom, root].map(|socket| emit_with_ack(&mut world, socket, Some(SECOND)));
        if by_peer {
            world.send("1");
        } else {
            world.connection.disconnect(world.now, root);
        }
        let told = world.event_lines();
        assert_eq!(told[..2], [failed(0, first), failed(0, second)]);
        assert!(told[2].starts_with("0 left") && told.len() == 3, "{told:?}");
        world.pass_alive(SECOND);
        assert_eq!(world.event_lines(), [format!("1: {} failed: operation has timed out", kept.0)]);
    }
    // The connection ends.
    let (mut world, root) = World::joined();
    let id = emit_with_ack(&mut world, root, None);
    world.hang_up();
    world.assert_over(&[&failed(0, id), "0 left: transport close", "closed: transport close"]);
}

#[test]
fn outcomes_do_not_wait_behind_unread_events() {
    let (mut world, socket) = World::joined();
    let id = emit_with_ack(&mut world, socket, None);
    for _ in 0..3 {
        world.send(r#"2["noise"]"#);
    }
    world.send(&format!("3{}[]", id.0));
    assert_eq!(world.event_lines(), [&*format!("0: {} is ()", id.0), "0: noise()", "0: noise()", "0: noise()"]);
}

#[test]
fn acks_after_the_socket_left_are_sent_while_the_session_is_open() {
    let (mut world, _) = World::joined();
    world.send(r#"20["a"]"#);
    world.send(r#"21["b"]"#);
    world.send(r#"22["c"]"#);
    let [first, second, third] = [(); 3].map(|()| received_token(&mut world));
    world.send("1");
    assert_eq!(world.event_lines(), ["0 left: client namespace disconnect"]);
    world.connection.ack(&mut world.encoder, first, &1).unwrap();
    let encoded = Json.encode(&Outgoing::ack(second.namespace(), second.id(), &2), &mut Encoder::new()).unwrap();
    world.connection.send_ack(&encoded).unwrap();
    world.settle();
    assert_eq!(world.texts(), ["30[1]", "31[2]"]);
    world.hang_up();
    let result = world.connection.ack(&mut world.encoder, third, &3);
    assert_eq!(result, Err(EmitError::Send(SendError::Closed)));
    world.assert_over(&["closed: transport close"]);
}

#[test]
fn ids_are_even_and_those_of_broadcasts_are_told_apart_by_their_socket() {
    let (mut world, root) = World::joined();
    let custom = world.join("/custom");
    let expect = |world: &mut World, socket, namespace: &str, id: u32| {
        let outgoing = Outgoing::event(namespace, Some(id.into()), "all", &());
        let encoded = Json.encode(&outgoing, &mut world.encoder).unwrap();
        world.connection.send_with_ack(world.now, socket, &encoded, AckId(id), Some(SECOND))
    };
    assert_eq!(expect(&mut world, root, "/", 1), Ok(()));
    assert_eq!(expect(&mut world, custom, "/custom", 1), Ok(()), "each namespace has its own ids");
    assert_eq!(expect(&mut world, root, "/", 1), Err(EmitError::TooManyAcks), "the id is already awaited");
    let own = [(); 3].map(|()| emit_with_ack(&mut world, root, None).0);
    assert_eq!(own, [0, 2, 4]);
    assert_eq!(expect(&mut world, root, "/", 10), Ok(()));
    assert_eq!(emit_with_ack(&mut world, root, None).0, 12, "an id that is already awaited is skipped");
    world.send("3/custom,1[7]");
    assert_eq!(world.event_lines(), ["1: 1 is (7)"]);
    world.pass_alive(SECOND);
    assert_eq!(world.event_lines(), ["0: 1 failed: operation has timed out", "0: 10 failed: operation has timed out"]);
}

#[test]
fn no_more_acks_are_awaited_than_the_limit() {
    let mut settings = Settings::default();
    settings.socket.limits.max_awaited_acks = 2;
    let (mut world, socket) = World::joined_with(false, settings);
    let first = emit_with_ack(&mut world, socket, None);
    emit_with_ack(&mut world, socket, None);
    let result = world.connection.emit_with_ack(world.now, &mut world.encoder, socket, "ask", &(), None);
    assert_eq!(result, Err(EmitError::TooManyAcks));
    world.send(&format!("3{}[]", first.0));
    emit_with_ack(&mut world, socket, None);
}

#[test]
fn an_emit_with_ack_that_is_refused_has_no_outcome() {
    let mut settings = Settings::default();
    settings.engine.limits.max_outbound = 60;
    let (mut world, socket) = World::joined_with(false, settings);
    world.connection.emit(&mut world.encoder, socket, "a", &"0123456789").unwrap();
    let result = world.connection.emit_with_ack(world.now, &mut world.encoder, socket, "ask", &(), Some(SECOND));
    assert_eq!(result, Err(EmitError::Send(SendError::Full)));
    world.settle();
    world.pass_alive(SECOND);
    assert_eq!(world.event_lines(), ["Writable"]);
    assert_eq!(emit_with_ack(&mut world, socket, None), AckId(0), "the failed emit used no id");
}
