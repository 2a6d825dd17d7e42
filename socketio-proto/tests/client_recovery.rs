//! Connection state recovery: a socket returns after a lost connection with its private id and the offset of its last event.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

mod client_world;

use std::time::Duration;

use socketio_proto::client::{Auth, Config, SocketOptions};
use socketio_proto::{Json, SocketHandle};

use self::client_world::World;

const SECOND: Duration = Duration::from_secs(1);

/// A connected socket whose server keeps what it misses.
fn recoverable(options: SocketOptions) -> (World, SocketHandle) {
    let mut config = Config::default();
    config.randomization_factor = 0.0;
    let mut world = World::with(config);
    let socket = world.client.socket("/", options).unwrap();
    world.client.connect(world.now, socket);
    world.accept();
    world.send(r#"40{"sid":"a","pid":"p"}"#);
    world.events();
    world.sent();
    (world, socket)
}

/// The connection is lost. Returns the CONNECT packet of the next one.
fn lost(world: &mut World) -> String {
    world.cut();
    world.advance(SECOND);
    world.accept();
    world.events();
    world.sent().remove(0)
}

#[test]
fn a_socket_returns_with_its_private_id_and_the_offset_of_its_last_event() {
    let (mut world, socket) = recoverable(SocketOptions::default());
    world.send(r#"42["n",1,"o1"]"#);
    world.send(r#"42["n",2,"o2"]"#);
    world.events();
    assert_eq!(lost(&mut world), r#"40{"pid":"p","offset":"o2"}"#);
    // What was missed comes before the reply.
    world.send(r#"42["n",3,"o3"]"#);
    assert!(world.events().is_empty());
    world.send(r#"40{"sid":"a","pid":"p"}"#);
    assert_eq!(world.events(), [r#"0 n(3,"o3")"#, "connect 0 recovered"]);
    assert_eq!(world.client.id(socket).map(socketio_proto::SocketId::as_str), Some("a"));
    assert_eq!(lost(&mut world), r#"40{"pid":"p","offset":"o3"}"#);
}

#[test]
fn a_socket_that_was_not_recovered_starts_over() {
    let (mut world, _) = recoverable(SocketOptions::default());
    world.send(r#"42["n",1,"o1"]"#);
    lost(&mut world);
    world.send(r#"40{"sid":"b","pid":"q"}"#);
    assert_eq!(world.events(), ["connect 0"]);
    assert_eq!(lost(&mut world), r#"40{"pid":"q"}"#, "the old offset means nothing to the new server");
    // Without a private id, the server keeps nothing.
    world.send(r#"40{"sid":"c"}"#);
    world.send(r#"42["n",1,"o1"]"#);
    assert_eq!(lost(&mut world), "40");
}

#[test]
fn without_an_event_there_is_no_offset() {
    let (mut world, _) = recoverable(SocketOptions::default());
    world.send(r#"42["no string",1]"#);
    world.send(r#"427["with ack","text"]"#);
    world.send(r#"42["n"]"#);
    assert_eq!(lost(&mut world), r#"40{"pid":"p"}"#);
}

#[test]
fn an_offset_may_be_any_short_string() {
    let (mut world, _) = recoverable(SocketOptions::default());
    world.send(r#"42["n","a\"b\u00e9"]"#);
    world.send(format!(r#"42["n","{}"]"#, "x".repeat(5000)));
    assert_eq!(lost(&mut world), "40{\"pid\":\"p\",\"offset\":\"a\\\"b\u{e9}\"}");
}

#[test]
fn the_auth_goes_with_the_claim_and_comes_after_it() {
    let mut options = SocketOptions::default();
    options.auth = Auth::fixed(&serde_json::json!({ "offset": "mine", "token": "t" })).unwrap();
    let (mut world, _) = recoverable(options);
    world.send(r#"42["n","o1"]"#);
    assert_eq!(lost(&mut world), r#"40{"pid":"p","offset":"o1","offset":"mine","token":"t"}"#);
}

#[test]
fn a_socket_that_was_disconnected_by_one_of_the_sides_does_not_return() {
    let (mut world, socket) = recoverable(SocketOptions::default());
    world.send(r#"42["n","o1"]"#);
    world.client.disconnect(world.now, socket);
    world.client.connect(world.now, socket);
    world.sent();
    world.accept();
    assert_eq!(world.sent(), ["40"]);
    world.send(r#"40{"sid":"a","pid":"p"}"#);
    world.send("41");
    world.client.connect(world.now, socket);
    world.sent();
    world.accept();
    assert_eq!(world.sent(), ["40"]);
}

#[test]
fn each_namespace_has_its_own_claim() {
    let (mut world, _) = recoverable(SocketOptions::default());
    world.connect("/b");
    world.send(r#"40/b,{"sid":"x","pid":"pb"}"#);
    world.send(r#"42/b,["n","ob"]"#);
    world.send(r#"42["n","oa"]"#);
    world.cut();
    world.advance(SECOND);
    world.sent();
    world.accept();
    assert_eq!(world.sent(), [r#"40{"pid":"p","offset":"oa"}"#, r#"40/b,{"pid":"pb","offset":"ob"}"#]);
}

#[test]
fn what_is_kept_before_the_reply_is_limited() {
    let mut engine = client_world::engine();
    engine.limits.max_inbound = 3000;
    engine.limits.soft_inbound = 1000;
    let mut world = World::of(engine, Json, Config::default());
    world.connect("/");
    world.accept();
    let event = format!(r#"42["n","{}"]"#, "x".repeat(1000));
    world.send(&*event);
    world.send(&*event);
    assert!(world.client.is_open());
    world.send(&*event);
    assert!(!world.client.is_open() && world.client.is_reconnecting());
    assert_eq!(world.events()[1], "close: transport error");
}
