//! Acks in both directions: ids, timeouts, and one outcome for each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

mod client_world;

use std::time::Duration;

use bytes::Bytes;
use socketio_proto::client::{Config, Event, SocketOptions};
use socketio_proto::{AckId, EmitError, SocketHandle};

use self::client_world::World;

const SECOND: Duration = Duration::from_secs(1);

fn ask(world: &mut World, socket: SocketHandle, timeout: Option<Duration>) -> AckId {
    world.client.emit_with_ack(world.now, &mut world.encoder, socket, "q", &(), timeout).unwrap()
}

#[test]
fn the_ids_of_each_socket_count_from_0() {
    let (mut world, root) = World::connected();
    let other = world.connect("/other");
    world.send(r#"40/other,{"sid":"x"}"#);
    world.sent();
    assert_eq!([ask(&mut world, root, None), ask(&mut world, root, None)], [AckId(0), AckId(1)]);
    assert_eq!(ask(&mut world, other, None), AckId(0));
    assert_eq!(world.sent(), [r#"420["q"]"#, r#"421["q"]"#, r#"42/other,0["q"]"#]);
    world.events();
    world.send(r#"43/other,0["o"]"#);
    world.send(r#"431["b",2]"#);
    world.send("430");
    world.send(r#"430["again"]"#);
    world.send(r#"437["unknown"]"#);
    world.send("43[]");
    assert_eq!(world.events(), [r#"ack 1/0("o")"#, r#"ack 0/1("b",2)"#, "ack 0/0()"]);
}

#[test]
fn an_ack_may_have_binary_data() {
    let (mut world, socket) = World::connected();
    ask(&mut world, socket, None);
    world.send(r#"461-0[{"_placeholder":true,"num":0}]"#);
    world.send(Bytes::from_static(b"abc"));
    let Some(Event::Acked { outcome: Ok(payload), .. }) = world.event() else { panic!("no ack") };
    assert_eq!(payload.bytes(0), Some(Bytes::from_static(b"abc")));
}

#[test]
fn an_ack_that_does_not_come_in_time_has_failed_and_a_late_one_is_ignored() {
    let (mut world, socket) = World::connected();
    ask(&mut world, socket, Some(SECOND));
    ask(&mut world, socket, Some(SECOND * 2));
    world.advance(SECOND);
    assert_eq!(world.events(), ["ack 0/0: operation has timed out"]);
    world.send("430[]");
    world.send("431[1]");
    assert_eq!(world.events(), ["ack 0/1(1)"]);
    world.advance(SECOND * 5);
    assert!(world.events().is_empty());
}

#[test]
fn a_socket_may_have_a_timeout_for_all_its_acks() {
    let mut options = SocketOptions::default();
    options.ack_timeout = Some(SECOND);
    let (mut world, socket) = World::connected_with(Config::default(), options);
    ask(&mut world, socket, None);
    ask(&mut world, socket, Some(SECOND * 2));
    world.advance(SECOND);
    assert_eq!(world.events(), ["ack 0/0: operation has timed out"]);
    world.advance(SECOND);
    assert_eq!(world.events(), ["ack 0/1: operation has timed out"]);
}

#[test]
fn an_event_whose_ack_times_out_before_it_was_sent_is_not_sent() {
    let mut world = World::new();
    let socket = world.connect("/");
    ask(&mut world, socket, Some(SECOND));
    world.emit(socket, "other");
    assert_eq!(world.client.send_buffer_len(socket), 2);
    world.advance(SECOND);
    assert_eq!(world.events(), ["ack 0/0: operation has timed out"]);
    assert_eq!(world.client.send_buffer_len(socket), 1);
    world.accept();
    world.send(r#"40{"sid":"a"}"#);
    assert_eq!(world.sent(), ["40", r#"42["other"]"#]);
}

#[test]
fn acks_fail_with_the_connection_unless_their_events_were_not_sent() {
    let mut config = Config::default();
    config.randomization_factor = 0.0;
    let (mut world, socket) = World::connected_with(config, SocketOptions::default());
    ask(&mut world, socket, None);
    ask(&mut world, socket, Some(SECOND * 60));
    world.sent();
    world.cut();
    assert_eq!(
        world.events(),
        [
            "ack 0/0: socket has been disconnected",
            "ack 0/1: socket has been disconnected",
            "close: transport error",
            "disconnect 0: transport error",
        ]
    );
    let kept = ask(&mut world, socket, None);
    world.advance(SECOND);
    world.accept();
    // The connection is lost again before the server accepts.
    world.cut();
    world.advance(SECOND);
    world.accept();
    assert!(!world.events().iter().any(|event| event.starts_with("ack")));
    world.send(r#"40{"sid":"b"}"#);
    assert_eq!(world.sent(), ["40", "40", &format!(r#"42{}["q"]"#, kept.0)]);
    world.send(format!("43{}[5]", kept.0));
    assert_eq!(world.events(), ["connect 0", "ack 0/2(5)"]);
}

#[test]
fn acks_fail_when_the_server_or_the_application_disconnects_the_socket() {
    let (mut world, socket) = World::connected();
    ask(&mut world, socket, None);
    world.send("41");
    assert_eq!(world.events()[0], "ack 0/0: socket has been disconnected");
    let (mut world, socket) = World::connected();
    ask(&mut world, socket, None);
    world.client.disconnect(world.now, socket);
    assert_eq!(world.events()[0], "ack 0/0: socket has been disconnected");
    // What was not sent goes on waiting, until the socket is removed.
    ask(&mut world, socket, None);
    assert!(world.events().is_empty());
    world.client.remove(world.now, socket);
    assert_eq!(world.events(), ["ack 0/1: socket has been disconnected"]);
    let result = world.client.emit_with_ack(world.now, &mut world.encoder, socket, "q", &(), None);
    assert_eq!(result, Err(EmitError::Disconnected));
}

#[test]
fn what_waits_can_be_dropped() {
    let mut world = World::new();
    let socket = world.connect("/");
    ask(&mut world, socket, Some(SECOND));
    world.emit(socket, "other");
    world.client.clear_send_buffer(socket);
    assert_eq!(world.events(), ["ack 0/0: socket has been disconnected"]);
    assert_eq!((world.client.send_buffer_len(socket), world.client.send_buffer_bytes(socket)), (0, 0));
    world.advance(SECOND * 2);
    assert!(world.events().is_empty());
}

#[test]
fn the_server_gets_its_acks_also_after_the_socket_has_left() {
    let (mut world, socket) = World::connected();
    world.connect("/other");
    world.sent();
    world.send(r#"4212["question",1]"#);
    world.send(r#"427["again"]"#);
    let mut tokens: Vec<_> = std::iter::from_fn(|| world.event())
        .filter_map(|event| match event {
            Event::Received { ack, .. } => ack,
            _ => None,
        })
        .collect();
    assert_eq!((tokens[0].id(), tokens[1].id()), (12, 7));
    world.client.ack(&mut world.encoder, tokens.remove(0), &("yes", Bytes::from_static(b"x"))).unwrap();
    assert_eq!(world.sent(), [r#"461-12["yes",{"_placeholder":true,"num":0}]"#, "[120]"]);
    world.client.disconnect(world.now, socket);
    world.client.ack(&mut world.encoder, tokens.remove(0), &()).unwrap();
    assert_eq!(world.sent(), ["41", "437[]"]);
}

#[test]
fn an_ack_for_an_earlier_connection_is_refused() {
    let mut config = Config::default();
    config.randomization_factor = 0.0;
    let (mut world, _) = World::connected_with(config, SocketOptions::default());
    world.send(r#"421["question"]"#);
    let Some(Event::Received { ack: Some(token), .. }) = world.event() else { panic!("no question") };
    world.cut();
    world.advance(SECOND);
    world.accept();
    world.send(r#"40{"sid":"second"}"#);
    world.sent();
    let result = world.client.ack(&mut world.encoder, token, &1);
    assert_eq!(result, Err(EmitError::Disconnected), "the server could take it for the answer to another question");
    assert!(world.sent().is_empty());
}

#[test]
fn awaited_acks_are_limited() {
    let mut config = Config::default();
    config.limits.max_awaited_acks = 1;
    let (mut world, socket) = World::connected_with(config, SocketOptions::default());
    ask(&mut world, socket, None);
    let result = world.client.emit_with_ack(world.now, &mut world.encoder, socket, "q", &(), None);
    assert_eq!(result, Err(EmitError::TooManyAcks));
    assert_eq!(world.sent(), [r#"420["q"]"#]);
    world.send("430[]");
    ask(&mut world, socket, None);
    assert_eq!(world.sent(), [r#"421["q"]"#]);
}

#[test]
fn packets_that_are_encoded_elsewhere_may_have_ids_of_their_own() {
    use socketio_proto::{Json, Outgoing, Parser as _};

    let (mut world, socket) = World::connected();
    let packet = Json.encode(&Outgoing::event("/", Some(40), "q", &()), &mut world.encoder).unwrap();
    world.client.send_with_ack(world.now, socket, &packet, AckId(40), None).unwrap();
    let again = world.client.send_with_ack(world.now, socket, &packet, AckId(40), None);
    assert_eq!(again, Err(EmitError::TooManyAcks), "an ack with this id is awaited");
    assert_eq!(ask(&mut world, socket, None), AckId(41));
    assert_eq!(world.sent(), [r#"4240["q"]"#, r#"4241["q"]"#]);
}

#[test]
fn an_ack_is_found_behind_more_events_than_are_kept_otherwise() {
    let mut engine = client_world::engine();
    engine.limits.soft_inbound = 200;
    let mut world = World::of(engine, socketio_proto::Json, Config::default());
    let socket = world.connect("/");
    world.accept();
    world.send(r#"40{"sid":"a"}"#);
    world.events();
    let link = world.link.unwrap();
    for message in std::iter::repeat_n(r#"42["x"]"#, 50).chain([r#"430["y"]"#]) {
        world.client.handle(world.now, engineio_proto::client::Input::LinkMessage { link, message: message.into() });
    }
    assert!(!world.client.wants_input());
    assert!(world.client.poll_outcome().is_none());
    ask(&mut world, socket, None);
    assert!(matches!(world.client.poll_outcome(), Some(Event::Acked { outcome: Ok(_), .. })));
    assert_eq!(world.events().len(), 50);
}
