//! Events in both directions: order around the connection, what is kept while there is none, volatile events, binary data.
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
use engineio_proto::client::Input;
use engineio_proto::{Instant, SendError};
use socketio_proto::client::{Config, Event, SocketOptions};
use socketio_proto::{EmitError, EncodeError, Json, Outgoing, Parser as _};

use self::client_world::World;

const SECOND: Duration = Duration::from_secs(1);

fn exact() -> Config {
    let mut config = Config::default();
    config.randomization_factor = 0.0;
    config
}

#[test]
fn events_are_sent_and_received_with_binary_data_in_any_number() {
    let (mut world, socket) = World::connected();
    let args = (1, Bytes::from_static(b"a"), Bytes::from_static(b"b"));
    world.client.emit(world.now, &mut world.encoder, socket, "file", &args).unwrap();
    let header = r#"452-["file",1,{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    assert_eq!(world.sent(), [header, "[97]", "[98]"]);
    world.send(header);
    world.send(Bytes::from_static(b"x"));
    assert!(world.event().is_none());
    world.send(Bytes::from_static(b"y"));
    let Some(Event::Received { payload, ack: None, .. }) = world.event() else { panic!("no event") };
    assert_eq!(payload.read::<(u8, Bytes, Bytes)>().unwrap(), (1, "x".into(), "y".into()));
}

#[test]
fn names_that_the_reference_reserves_cannot_be_sent_and_nothing_is_kept() {
    let (mut world, socket) = World::connected();
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let result = world.client.emit(world.now, &mut world.encoder, socket, name, &());
        assert_eq!(result, Err(EmitError::Encode(EncodeError::Reserved(name.into()))));
    }
    world.emit(socket, "error");
    assert_eq!(world.sent(), [r#"42["error"]"#]);
    let result = world.client.emit(
        world.now,
        &mut world.encoder,
        socket,
        "x",
        &std::collections::BTreeMap::from([(vec![1], 1)]),
    );
    assert!(matches!(result, Err(EmitError::Encode(_))));
    assert!(world.sent().is_empty(), "the connection is not disturbed");
}

#[test]
fn events_that_are_emitted_before_are_sent_in_order_when_the_socket_is_connected() {
    let mut world = World::exact();
    let socket = world.connect("/");
    world.emit(socket, "first");
    world.accept();
    world.emit(socket, "second");
    let packet = Json.encode(&Outgoing::event("/", None, "third", &()), &mut world.encoder).unwrap();
    world.client.send(world.now, socket, packet).unwrap();
    assert_eq!(world.client.send_buffer_len(socket), 3);
    assert_eq!(world.sent(), ["40"]);
    world.send(r#"40{"sid":"a"}"#);
    assert_eq!(world.sent(), [r#"42["first"]"#, r#"42["second"]"#, r#"42["third"]"#]);
    assert_eq!((world.client.send_buffer_len(socket), world.client.send_buffer_bytes(socket)), (0, 0));
}

#[test]
fn what_is_kept_survives_several_connections_and_what_was_sent_is_not_sent_again() {
    let (mut world, socket) = World::connected_with(exact(), SocketOptions::default());
    world.emit(socket, "sent");
    world.sent();
    world.cut();
    world.emit(socket, "kept");
    world.advance(SECOND);
    world.accept();
    world.cut();
    world.advance(SECOND);
    world.accept();
    world.send(r#"40{"sid":"b"}"#);
    assert_eq!(world.sent(), ["40", "40", r#"42["kept"]"#]);
}

#[test]
fn an_inactive_socket_keeps_what_is_emitted() {
    let (mut world, socket) = World::connected();
    world.client.disconnect(world.now, socket);
    world.emit(socket, "kept");
    world.client.connect(world.now, socket);
    world.sent();
    world.accept();
    world.send(r#"40{"sid":"b"}"#);
    assert_eq!(world.sent(), ["40", r#"42["kept"]"#]);
}

#[test]
fn what_is_received_before_the_socket_is_connected_comes_before_that_event() {
    let mut world = World::exact();
    let socket = world.connect("/");
    world.accept();
    world.emit(socket, "sent");
    world.send(r#"42["early",1]"#);
    world.send(r#"421["question"]"#);
    assert_eq!(world.events(), ["open"]);
    world.send(r#"40{"sid":"a"}"#);
    world.send(r#"42["late"]"#);
    assert_eq!(world.events(), ["0 early(1)", "0 question()", "connect 0", "0 late()"]);
    assert_eq!(world.sent(), ["40", r#"42["sent"]"#]);
}

#[test]
fn what_is_received_before_an_acceptance_that_never_comes_is_dropped() {
    let mut world = World::exact();
    world.connect("/");
    world.accept();
    world.send(r#"42["early"]"#);
    world.cut();
    world.advance(SECOND);
    world.accept();
    world.send(r#"40{"sid":"a"}"#);
    assert!(
        !world.events().iter().any(|event| event.contains("early")),
        "the server will send it again, if it recovers"
    );
}

#[test]
fn a_volatile_event_is_dropped_unless_it_can_be_sent_at_once() {
    let (mut world, socket) = World::connected();
    let volatile = |world: &mut World, flushed| {
        world.client.emit_volatile(world.now, &mut world.encoder, socket, "v", &(), flushed).unwrap()
    };
    assert!(volatile(&mut world, true));
    assert!(!volatile(&mut world, true), "one is queued");
    assert_eq!(world.sent(), [r#"42["v"]"#]);
    assert!(!volatile(&mut world, false));
    assert!(volatile(&mut world, true));
    world.emit(socket, "after");
    assert_eq!(world.sent(), [r#"42["v"]"#, r#"42["after"]"#]);
    world.cut();
    assert!(!volatile(&mut world, true), "there is no transport");
    assert_eq!(world.client.send_buffer_len(socket), 0);
}

#[test]
fn a_volatile_event_is_kept_if_only_the_namespace_is_missing() {
    let mut world = World::exact();
    let socket = world.connect("/");
    world.accept();
    world.sent();
    assert_eq!(world.client.emit_volatile(world.now, &mut world.encoder, socket, "v", &(), true), Ok(true));
    assert!(world.sent().is_empty());
    world.send(r#"40{"sid":"a"}"#);
    assert_eq!(world.sent(), [r#"42["v"]"#]);
}

#[test]
fn an_event_that_is_emitted_after_the_computer_was_suspended_is_kept_for_the_next_connection() {
    let (mut world, socket) = World::connected_with(exact(), SocketOptions::default());
    // Nothing has run for an hour.
    world.now += Duration::from_secs(3600);
    world.emit(socket, "kept");
    world.settle();
    if world.client.is_open() {
        // The ping may lie unread in the operating system.
        world.advance(SECOND * 60);
    }
    let events = world.events();
    assert_eq!(events[..2], ["close: ping timeout", "disconnect 0: ping timeout"]);
    assert_eq!(world.client.send_buffer_len(socket), 1);
    while world.link.is_none() {
        world.advance(SECOND);
    }
    world.accept();
    world.send(r#"40{"sid":"b"}"#);
    assert_eq!(world.sent(), ["40", r#"42["kept"]"#]);
}

#[test]
fn an_event_that_was_kept_because_the_server_was_silent_is_sent_when_it_is_not_any_more() {
    let (mut world, socket) = World::connected_with(exact(), SocketOptions::default());
    world.now += Duration::from_secs(3600);
    world.emit(socket, "kept");
    world.emit(socket, "too");
    assert!(world.sent().is_empty() && world.client.is_open());
    // The ping lay unread in the operating system.
    world.send("2");
    assert_eq!(world.sent(), ["3", r#"42["kept"]"#, r#"42["too"]"#]);
    world.emit(socket, "next");
    assert_eq!(world.sent(), [r#"42["next"]"#]);
}

#[test]
fn a_ping_is_answered_and_reported() {
    let (mut world, _) = World::connected();
    world.send("2");
    assert_eq!((world.sent(), world.events()), (vec!["3".to_string()], vec!["ping".to_string()]));
}

#[test]
fn an_event_that_does_not_fit_into_the_queue_of_the_connection_is_refused_and_capacity_is_reported() {
    let mut engine = client_world::engine();
    engine.limits.max_outbound = 1000;
    let mut world = World::of(engine, Json, exact());
    let socket = world.connect("/");
    world.accept();
    world.send(r#"40{"sid":"a"}"#);
    world.sent();
    let big = "x".repeat(600);
    let emit = |world: &mut World| world.client.emit(world.now, &mut world.encoder, socket, "big", &big);
    assert_eq!(emit(&mut world), Ok(()));
    assert_eq!(emit(&mut world), Err(EmitError::Send(SendError::Full)));
    world.events();
    assert_eq!(world.sent().len(), 1);
    assert_eq!(world.events(), [""; 0], "read above");
    assert_eq!(emit(&mut world), Ok(()));
}

#[test]
fn what_was_kept_is_sent_as_fast_as_the_connection_takes_it_and_new_events_wait_behind() {
    let mut engine = client_world::engine();
    engine.limits.max_outbound = 1000;
    let mut world = World::of(engine, Json, exact());
    let socket = world.connect("/");
    let big = "x".repeat(600);
    for name in ["1", "2", "3"] {
        world.client.emit(world.now, &mut world.encoder, socket, name, &big).unwrap();
    }
    world.accept();
    world.sent();
    let link = world.link.unwrap();
    world.client.handle(world.now, Input::LinkMessage { link, message: r#"40{"sid":"a"}"#.into() });
    assert_eq!(world.client.send_buffer_len(socket), 2);
    world.emit(socket, "4");
    assert_eq!(world.client.send_buffer_len(socket), 3);
    let names: Vec<String> = world.sent().iter().map(|text| text[4..5].to_string()).collect();
    assert_eq!(names, ["1", "2", "3", "4"]);
    assert_eq!(world.client.send_buffer_len(socket), 0);
}

#[test]
fn time_that_goes_backwards_changes_nothing() {
    let (mut world, socket) = World::connected();
    let timeout = Some(SECOND);
    world.client.emit_with_ack(Instant::ZERO, &mut world.encoder, socket, "q", &(), timeout).unwrap();
    world.client.handle_timeout(Instant::ZERO);
    assert!(world.events().is_empty());
    world.advance(SECOND);
    assert_eq!(world.events(), ["ack 0/0: operation has timed out"]);
}

#[test]
fn events_are_not_lost_while_the_application_does_not_read() {
    let mut engine = client_world::engine();
    engine.limits.soft_inbound = 500;
    let mut world = World::of(engine, Json, exact());
    world.connect("/");
    world.accept();
    world.send(r#"40{"sid":"a"}"#);
    world.events();
    let link = world.link.unwrap();
    for number in 0..100 {
        let message = format!(r#"42["n",{number}]"#).into();
        world.client.handle(world.now, Input::LinkMessage { link, message });
    }
    assert!(!world.client.wants_input());
    let expected: Vec<String> = (0..100).map(|number| format!("0 n({number})")).collect();
    assert_eq!(world.events(), expected);
    assert!(world.client.wants_input());
}
