//! Clients of servers of Socket.IO 1 and 2: protocol 4, over revision 3 of Engine.IO.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

mod client_world;

use std::time::Duration;

use socketio_proto::client::{Auth, ConnectError, Event, SocketOptions};
use socketio_proto::{JsonV4, SocketId};

use self::client_world::World;

fn world() -> World<JsonV4> {
    World::of_protocol_4(JsonV4)
}

/// The open packet, without `maxPayload` as in socket.io 2.5.
const OPEN: &str = r#"0{"sid":"engine","upgrades":[],"pingInterval":25000,"pingTimeout":5000}"#;

fn id(world: &World<JsonV4>, socket: socketio_proto::SocketHandle) -> Option<&str> {
    world.client.id(socket).map(SocketId::as_str)
}

#[test]
fn the_root_is_joined_without_being_asked_for_and_has_the_id_of_the_session() {
    let mut world = world();
    let root = world.connect("/");
    world.emit(root, "kept");
    world.accept_with(OPEN);
    assert!(world.sent().is_empty());
    world.send("40");
    assert_eq!(world.sent(), [r#"42["kept"]"#]);
    assert_eq!(world.events(), ["open", "connect 0"]);
    assert_eq!(id(&world, root), Some("engine"));
}

#[test]
fn another_namespace_has_the_auth_as_its_query_and_an_id_that_both_sides_derive() {
    let mut world = world();
    let mut options = SocketOptions::default();
    options.auth = Auth::fixed(&serde_json::json!({ "token": "a b", "n": 1 })).unwrap();
    let admin = world.client.socket("/admin", options).unwrap();
    world.client.connect(world.now, admin);
    world.accept_with(OPEN);
    assert_eq!(world.sent(), ["40/admin?n=1&token=a%20b,"]);
    world.send("40");
    world.send("40/admin");
    assert_eq!(world.events(), ["open", "connect 0"]);
    assert_eq!(id(&world, admin), Some("/admin#engine"));
    world.send(r#"42/admin,["x"]"#);
    world.emit(admin, "y");
    assert_eq!((world.events(), world.sent()), (vec!["0 x()".into()], vec![r#"42/admin,["y"]"#.into()]));
}

#[test]
fn an_auth_that_is_no_query_is_an_error() {
    let mut world = world();
    let mut options = SocketOptions::default();
    options.auth = Auth::fixed(&serde_json::json!({ "list": [1] })).unwrap();
    let socket = world.client.socket("/admin", options).unwrap();
    world.client.connect(world.now, socket);
    world.accept_with(OPEN);
    world.event();
    assert!(matches!(world.event(), Some(Event::Closed(_))));
    assert!(matches!(world.event(), Some(Event::ConnectError { error: ConnectError::Encode(_), .. })));
    assert!(!world.client.is_active(socket));
}

#[test]
fn an_error_refuses_the_namespace_in_the_forms_of_both_servers() {
    let mut world = world();
    let _root = world.connect("/");
    for (packet, message) in [
        (r#"44/x,"Invalid namespace""#, "Invalid namespace"),
        (r#"44/x,{"message":"Invalid namespace"}"#, "Invalid namespace"),
        (r#"44/x,{"code":1}"#, r#"{"code":1}"#),
    ] {
        let x = world.connect("/x");
        if world.link.is_none() || !world.client.is_open() {
            world.accept_with(OPEN);
            world.send("40");
            world.events();
        }
        world.send(packet);
        assert_eq!(world.events(), [format!("connect_error {}: {message}", x.0)]);
        assert!(!world.client.is_active(x));
    }
}

#[test]
fn an_error_for_the_root_concerns_all_sockets_and_connected_ones_stay_so() {
    let mut world = world();
    let (root, x) = (world.connect("/"), world.connect("/x"));
    world.accept_with(OPEN);
    world.send("40");
    world.events();
    world.send(r#"44"not authorised""#);
    assert_eq!(world.events(), ["error 0: not authorised", "connect_error 1: not authorised"]);
    assert!(world.client.is_connected(root) && !world.client.is_active(x));
    world.client.connect(world.now, x);
    world.send("40/x");
    world.send(r#"44/x,"from a filter""#);
    assert_eq!(world.events(), ["connect 1", "error 1: from a filter"]);
    assert!(world.client.is_connected(x));
}

#[test]
fn the_root_that_was_joined_already_can_be_used_later() {
    let mut world = world();
    world.connect("/x");
    world.accept_with(OPEN);
    world.send("40");
    world.send("40/x");
    world.sent();
    let root = world.connect("/");
    assert_eq!(world.events(), ["open", "connect 0", "connect 1"]);
    assert_eq!(id(&world, root), Some("engine"));
    // Once it was left, it must be asked for.
    world.client.disconnect(world.now, root);
    world.client.connect(world.now, root);
    assert_eq!(world.sent(), ["41", "40"]);
    world.send("40");
    assert_eq!(world.events(), ["disconnect 1: io client disconnect", "connect 1"]);
}

#[test]
fn the_client_pings_and_acks_work_as_in_protocol_5() {
    let mut world = world();
    let root = world.connect("/");
    world.accept_with(OPEN);
    world.send("40");
    world.events();
    world.advance(Duration::from_secs(25));
    assert_eq!(world.sent(), ["2"]);
    world.send("3");
    world.client.emit_with_ack(world.now, &mut world.encoder, root, "q", &(), None).unwrap();
    assert_eq!(world.sent(), [r#"420["q"]"#]);
    world.send("430[1]");
    assert_eq!(world.events(), ["ack 0/0(1)"]);
    world.advance(Duration::from_secs(30));
    assert_eq!(world.events(), ["close: ping timeout", "disconnect 0: ping timeout"]);
}

#[test]
fn names_that_only_protocol_5_reserves_can_be_received() {
    let mut world = world();
    world.connect("/");
    world.accept_with(OPEN);
    world.send("40");
    world.events();
    world.send(r#"42["connect_error",1]"#);
    assert_eq!(world.events(), ["0 connect_error(1)"]);
}

#[test]
fn a_server_that_disconnects_the_root_closes_the_last_socket() {
    let mut world = world();
    world.connect("/");
    world.accept_with(OPEN);
    world.send("40");
    world.send("41");
    assert_eq!(world.events(), ["open", "connect 0", "close: forced close", "disconnect 0: io server disconnect"]);
    assert!(world.hung_up);
}

#[test]
fn an_event_that_is_emitted_after_a_suspend_is_kept_until_the_server_is_heard() {
    let mut world = world();
    let root = world.connect("/");
    world.accept_with(OPEN);
    world.send("40");
    world.advance(Duration::from_secs(25));
    assert_eq!(world.sent(), ["2"]);
    world.now += Duration::from_secs(3600);
    world.emit(root, "kept");
    assert!(world.sent().is_empty() && world.client.is_open());
    world.send("3");
    assert_eq!(world.sent(), [r#"42["kept"]"#]);
}
