//! Sockets with retries: one event at a time, until it is acknowledged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

mod client_world;

use std::time::Duration;

use socketio_proto::SocketHandle;
use socketio_proto::client::{Config, Retries, SocketOptions};

use self::client_world::World;

const SECOND: Duration = Duration::from_secs(1);

fn options(count: u32) -> SocketOptions {
    let mut options = SocketOptions::default();
    options.retries = Some(Retries { count, timeout: SECOND });
    options
}

fn connected(count: u32) -> (World, SocketHandle) {
    let mut config = Config::default();
    config.randomization_factor = 0.0;
    World::connected_with(config, options(count))
}

#[test]
fn one_event_is_sent_at_a_time_and_the_order_is_kept() {
    let (mut world, socket) = connected(2);
    for name in ["a", "b", "c"] {
        world.emit(socket, name);
    }
    assert_eq!(world.sent(), [r#"420["a"]"#]);
    assert_eq!(world.client.retry_queue_len(socket), 3);
    assert!(world.client.retry_queue_bytes(socket) > 0);
    world.send("430[]");
    assert_eq!(world.sent(), [r#"421["b"]"#]);
    world.send("431[5]");
    assert_eq!(world.sent(), [r#"422["c"]"#]);
    world.send("432[]");
    assert_eq!((world.client.retry_queue_len(socket), world.client.retry_queue_bytes(socket)), (0, 0));
    assert!(world.events().is_empty(), "nobody asked for an ack");
}

#[test]
fn an_event_that_is_not_acknowledged_is_sent_again_and_dropped_after_the_last_try() {
    let (mut world, socket) = connected(2);
    world.client.emit_with_ack(world.now, &mut world.encoder, socket, "a", &(), None).unwrap();
    world.emit(socket, "b");
    world.advance(SECOND * 2);
    assert_eq!(world.sent(), [r#"420["a"]"#; 3]);
    assert!(world.events().is_empty());
    world.advance(SECOND);
    assert_eq!(world.events(), ["ack 0/0: operation has timed out"]);
    assert_eq!(world.sent(), [r#"421["b"]"#], "the next one is sent");
    world.send("430[]");
    assert!(world.events().is_empty(), "too late");
    world.advance(SECOND * 3);
    assert_eq!(world.sent(), [r#"421["b"]"#; 2]);
    assert_eq!(world.client.retry_queue_len(socket), 0);
    world.advance(SECOND * 3);
    assert!(world.sent().is_empty());
}

#[test]
fn the_answer_to_any_try_counts_and_reaches_the_application_once() {
    let (mut world, socket) = connected(2);
    world.client.emit_with_ack(world.now, &mut world.encoder, socket, "a", &(), None).unwrap();
    world.advance(SECOND);
    assert_eq!(world.sent().len(), 2);
    world.send(r#"430["first"]"#);
    world.send(r#"430["second"]"#);
    assert_eq!(world.events(), [r#"ack 0/0("first")"#]);
    world.advance(SECOND * 10);
    assert!(world.sent().is_empty());
}

#[test]
fn an_event_may_have_its_own_timeout() {
    let (mut world, socket) = connected(1);
    world.client.emit_with_ack(world.now, &mut world.encoder, socket, "a", &(), Some(SECOND * 3)).unwrap();
    world.advance(SECOND * 3);
    assert_eq!(world.sent().len(), 2);
    // No time at all would use up the tries at once.
    let (mut world, socket) = connected(5);
    world.client.emit_with_ack(world.now, &mut world.encoder, socket, "a", &(), Some(Duration::ZERO)).unwrap();
    world.advance(Duration::from_millis(3));
    assert_eq!(world.sent().len(), 4);
}

#[test]
fn a_lost_connection_is_a_failed_try_and_the_event_is_sent_again_when_the_socket_is_connected() {
    let (mut world, socket) = connected(1);
    world.emit(socket, "a");
    world.emit(socket, "b");
    world.sent();
    world.cut();
    world.emit(socket, "c");
    world.advance(SECOND);
    world.accept();
    world.advance(SECOND * 5);
    assert_eq!(world.sent(), ["40"], "nothing before the socket is connected");
    assert_eq!(world.client.send_buffer_len(socket), 0);
    world.send(r#"40{"sid":"b"}"#);
    assert_eq!(world.sent(), [r#"420["a"]"#]);
    // The second try of `a` is its last.
    world.cut();
    world.advance(SECOND);
    world.accept();
    world.send(r#"40{"sid":"c"}"#);
    assert_eq!(world.sent(), ["40", r#"421["b"]"#]);
}

#[test]
fn events_that_are_emitted_before_the_socket_is_connected_are_sent_once() {
    let mut world = World::exact();
    let socket = world.client.socket("/", options(3)).unwrap();
    world.emit(socket, "a");
    world.client.connect(world.now, socket);
    world.accept();
    world.send(r#"40{"sid":"a"}"#);
    // As an application that emits when it is connected.
    world.emit(socket, "b");
    assert_eq!(world.sent(), ["40", r#"420["a"]"#]);
    world.send(r#"40{"sid":"again"}"#);
    assert!(world.sent().is_empty(), "the try goes on");
}

#[test]
fn volatile_events_do_not_wait_in_the_queue() {
    let (mut world, socket) = connected(3);
    world.emit(socket, "a");
    world.sent();
    assert_eq!(world.client.emit_volatile(world.now, &mut world.encoder, socket, "v", &(), true), Ok(true));
    assert_eq!(world.sent(), [r#"42["v"]"#]);
}

#[test]
fn the_queue_of_a_removed_socket_fails() {
    let (mut world, socket) = connected(3);
    for _ in 0..2 {
        world.client.emit_with_ack(world.now, &mut world.encoder, socket, "a", &(), None).unwrap();
    }
    world.emit(socket, "b");
    world.client.remove(world.now, socket);
    let events = world.events();
    assert_eq!(events[..2], ["ack 0/0: socket has been disconnected", "ack 0/1: socket has been disconnected"]);
    assert_eq!(events.len(), 4, "{events:?}");
    world.advance(SECOND * 10);
    assert!(world.events().is_empty());
}
