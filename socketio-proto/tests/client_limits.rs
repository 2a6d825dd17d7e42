//! Every queue of a client has a limit, and nothing is kept that is not needed any more.
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
use socketio_proto::client::{Config, Event, Retries, SocketOptions};
use socketio_proto::{EmitError, Json};

use self::client_world::World;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_send_buffer_is_limited_in_bytes_and_says_when_there_is_capacity_again() {
    let mut config = Config::default();
    config.max_send_buffer = 1000;
    let mut world = World::with(config);
    let socket = world.connect("/");
    let big = "x".repeat(2000);
    world.client.emit(world.now, &mut world.encoder, socket, "alone", &big).unwrap();
    assert!(world.client.send_buffer_bytes(socket) > 2000);
    let result = world.client.emit(world.now, &mut world.encoder, socket, "more", &());
    assert_eq!(result, Err(EmitError::BufferFull));
    let result = world.client.emit_with_ack(world.now, &mut world.encoder, socket, "more", &(), Some(SECOND));
    assert_eq!(result, Err(EmitError::BufferFull));
    assert_eq!(world.client.send_buffer_len(socket), 1, "a refused event changes nothing");
    world.advance(SECOND * 2);
    assert!(world.events().is_empty(), "no ack is awaited");
    world.accept();
    world.send(r#"40{"sid":"a"}"#);
    assert_eq!(world.events(), ["open", "writable", "connect 0"]);
    assert_eq!(world.sent().len(), 2);
}

#[test]
fn every_way_in_which_a_full_send_buffer_gets_space_is_reported() {
    let mut config = Config::default();
    config.max_send_buffer = 1;
    let mut world = World::with(config);
    let socket = world.client.socket("/", SocketOptions::default()).unwrap();
    let refused = |world: &mut World| {
        let result = world.client.emit(world.now, &mut world.encoder, socket, "more", &());
        assert_eq!(result, Err(EmitError::BufferFull));
        assert!(world.events().is_empty());
    };
    world.emit(socket, "first");
    refused(&mut world);
    world.client.clear_send_buffer(socket);
    assert_eq!(world.events(), ["writable"]);

    world.client.emit_with_ack(world.now, &mut world.encoder, socket, "timed", &(), Some(SECOND)).unwrap();
    refused(&mut world);
    world.advance(SECOND);
    assert_eq!(world.events(), ["ack 0/0: operation has timed out", "writable"]);

    world.emit(socket, "second");
    refused(&mut world);
    world.client.remove(world.now, socket);
    assert_eq!(world.events(), ["writable"]);
}

#[test]
fn space_in_the_buffer_of_one_socket_is_not_reported_to_those_who_wait_for_another() {
    let mut config = Config::default();
    config.max_send_buffer = 1;
    let mut world = World::with(config);
    let [full, other] = ["/", "/other"].map(|name| world.client.socket(name, SocketOptions::default()).unwrap());
    for socket in [full, other] {
        world.emit(socket, "first");
    }
    let result = world.client.emit(world.now, &mut world.encoder, full, "more", &());
    assert_eq!(result, Err(EmitError::BufferFull));
    world.client.clear_send_buffer(other);
    assert!(world.events().is_empty(), "the other one is still full");
    world.client.remove(world.now, other);
    assert!(world.events().is_empty());
    world.client.clear_send_buffer(full);
    assert_eq!(world.events(), ["writable"]);
}

#[test]
fn the_queue_of_retries_is_limited_in_bytes_and_says_when_there_is_capacity_again() {
    let mut config = Config::default();
    config.max_send_buffer = 400;
    let mut options = SocketOptions::default();
    options.retries = Some(Retries { count: 3, timeout: SECOND });
    let mut world = World::with(config);
    let socket = world.client.socket("/", options).unwrap();
    let mut taken = 0;
    while world.client.emit(world.now, &mut world.encoder, socket, "x", &()).is_ok() {
        taken += 1;
        assert!(world.client.retry_queue_bytes(socket) <= 400);
    }
    assert_eq!(world.client.retry_queue_len(socket), taken);
    assert!((2..20).contains(&taken), "{taken}");
    world.client.connect(world.now, socket);
    world.settle();
    world.accept();
    world.send(r#"40{"sid":"a"}"#);
    assert_eq!(world.events(), ["open", "connect 0"]);
    world.send("430[]");
    assert_eq!(world.events(), ["writable"]);
    world.send("431[]");
    assert!(world.events().is_empty(), "nothing was refused since");
}

#[test]
fn a_packet_that_keeps_missing_its_attachments_is_limited_by_their_number() {
    let (mut world, _) = World::connected();
    world.send(r#"4511-["x"]"#);
    assert_eq!(world.events()[0], "close: parse error");
    let mut config = Config::default();
    config.limits.max_attachment_bytes = 100;
    let (mut world, _) = World::connected_with(config, SocketOptions::default());
    world.send(r#"452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#);
    world.send(Bytes::from(vec![0; 60]));
    world.send(Bytes::from(vec![0; 60]));
    assert_eq!(world.events()[0], "close: parse error");
}

#[test]
fn a_server_that_floods_while_an_ack_is_awaited_is_cut_off_at_the_limit() {
    let mut engine = client_world::engine();
    engine.limits.soft_inbound = 1000;
    engine.limits.max_inbound = 5000;
    let mut world = World::of(engine, Json, Config::default());
    let socket = world.connect("/");
    world.accept();
    world.send(r#"40{"sid":"a"}"#);
    world.events();
    world.client.emit_with_ack(world.now, &mut world.encoder, socket, "q", &(), None).unwrap();
    world.sent();
    let link = world.link.unwrap();
    for _ in 0..100 {
        let message = format!(r#"42["x","{}"]"#, "x".repeat(100)).into();
        world.client.handle(world.now, Input::LinkMessage { link, message });
    }
    let events = world.events();
    assert_eq!(events[0], "ack 0/0: socket has been disconnected");
    assert!(events.len() < 40, "{}", events.len());
    assert_eq!(events[events.len() - 2..], ["close: transport error", "disconnect 0: transport error"]);
}

#[test]
fn a_server_that_accepts_again_and_again_is_stopped_by_the_limit_on_unread_events() {
    let mut engine = client_world::engine();
    engine.limits.soft_inbound = 1000;
    let mut world = World::of(engine, Json, Config::default());
    world.connect("/");
    world.accept();
    let link = world.link.unwrap();
    let mut handled = 0;
    while world.client.wants_input() {
        world.client.handle(world.now, Input::LinkMessage { link, message: r#"40{"sid":"a"}"#.into() });
        handled += 1;
        assert!(handled < 100);
    }
    assert!(world.events().len() <= 100);
}

#[test]
fn nothing_is_kept_after_a_close() {
    let (mut world, socket) = World::connected();
    let other = world.connect("/other");
    world.sent();
    world.send(r#"42/other,["early"]"#);
    world.send(r#"451-["half",{"_placeholder":true,"num":0}]"#);
    world.client.emit_with_ack(world.now, &mut world.encoder, socket, "q", &(), Some(SECOND)).unwrap();
    world.client.discard(world.now);
    assert!(world.sent().is_empty(), "queued packets are dropped");
    let events = world.events();
    assert_eq!(events.len(), 4, "{events:?}");
    assert!(world.client.is_drained());
    assert_eq!(world.client.poll_timeout(), None);
    assert_eq!(world.client.buffered_bytes(), 0);
    // Sockets that are removed leave nothing either.
    world.client.remove(world.now, socket);
    world.client.remove(world.now, other);
    assert_eq!(world.client.sockets().count(), 0);
    assert!(world.client.is_drained());
}

#[test]
fn commands_to_removed_sockets_do_nothing() {
    let (mut world, socket) = World::connected();
    world.client.remove(world.now, socket);
    world.events();
    world.client.connect(world.now, socket);
    world.client.disconnect(world.now, socket);
    world.client.clear_send_buffer(socket);
    world.client.remove(world.now, socket);
    assert_eq!(world.client.emit(world.now, &mut world.encoder, socket, "x", &()), Err(EmitError::Disconnected));
    assert!(world.events().is_empty() && world.dials == 1);
}

#[test]
fn an_idle_client_is_small() {
    let size = size_of::<socketio_proto::client::Client>();
    assert!(size <= 1100, "{size} bytes");
}

#[test]
fn a_server_may_send_anything_to_any_namespace_in_any_state() {
    let packets = [
        r#"40{"sid":"a"}"#,
        "40",
        r#"40/x,{"sid":"b","pid":7}"#,
        "41",
        "41/x,",
        "42[\"a\"]",
        "430[]",
        "43/x,1[]",
        r#"44{"message":"m"}"#,
        r#"44"m""#,
        r#"44/x,{"data":1}"#,
        "40/none,",
        "44/none,\"x\"",
    ];
    for first in packets {
        for second in packets {
            let mut world = World::exact();
            let root = world.connect("/");
            world.connect("/x");
            world.accept();
            world.sent();
            for packet in [first, second, first] {
                if world.link.is_some() && world.client.is_open() {
                    world.send(packet);
                }
            }
            world.client.emit_with_ack(world.now, &mut world.encoder, root, "q", &(), None).unwrap();
            world.client.close(world.now);
            world.client.remove(world.now, root);
            world.settle();
            let mut connected = [0_i32; 2];
            let mut acked = 0;
            while let Some(event) = world.event() {
                match event {
                    Event::Connected { socket, .. } => connected[socket.0 as usize] = 1,
                    Event::Disconnected { socket, .. } => connected[socket.0 as usize] -= 1,
                    Event::Acked { .. } => acked += 1,
                    _ => {}
                }
            }
            assert_eq!((connected, acked), ([0, 0], 1), "{first} {second}");
        }
    }
}

#[test]
fn packets_that_wait_for_capacity_are_sent_though_no_event_says_so() {
    let mut engine = client_world::engine();
    engine.limits.max_outbound = 60;
    let mut world = World::of(engine, Json, Config::default());
    let sockets = ["/a", "/b", "/c"].map(|namespace| world.connect(namespace));
    world.connect("/stays");
    world.accept();
    for namespace in ["/a", "/b", "/c"] {
        world.send(format!(r#"40{namespace},{{"sid":"x"}}"#));
    }
    world.sent();
    for socket in sockets {
        world.client.disconnect(world.now, socket);
    }
    // A driver that polls for packets first, and then for events, once.
    let mut sent = 0;
    while let Some(transmit) = world.client.poll_transmit() {
        sent += u32::from(matches!(transmit, engineio_proto::client::Transmit::Link { .. }));
    }
    while world.client.poll_event().is_some() {}
    assert_eq!(sent, 3);
    assert!(world.client.poll_transmit().is_none());
}
