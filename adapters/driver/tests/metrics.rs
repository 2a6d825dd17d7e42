//! What a server counts, in virtual time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::time::Duration;

use socketio_driver::testkit::TestServer;
use socketio_driver::{ConnectRequest, Event, Refusal, Server, Socket};

#[test]
fn a_servers_life_is_counted() {
    let server = Server::builder().engine(|engine| engine.limits.max_outbound = 200_000).build();
    server
        .on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()))
        .on("fail", |_: Socket, _: Event| Err::<(), _>("on purpose"))
        .on("panic", |_: Socket, _: Event| -> () { panic!("on purpose") })
        .on("wait", |_: Socket, _: Event| std::future::pending::<()>())
        .on("join", |socket: Socket, _: Event| socket.join("room"));
    server.of("/closed").middleware(|_: ConnectRequest| Err(Refusal::new("no")));
    let before = server.metrics();
    assert_eq!((before.namespaces, before.sockets, before.engine.sessions_opened), (2, 0, 0));

    let mut world = TestServer::new(&server);
    let mut ann = world.client().connect("/").unwrap();
    let mut bob = world.client().polling().connect("/").unwrap();
    bob.upgrade().unwrap();
    ann.same_connection().connect("/closed").unwrap_err();
    ann.same_connection().connect("/none").unwrap_err();
    let opened = server.metrics();
    assert_eq!((opened.engine.sessions, opened.engine.sessions_opened, opened.engine.sessions_upgraded), (2, 2, 1));
    assert_eq!((opened.sockets, opened.sockets_connected, opened.connects_refused), (2, 2, 2));

    ann.emit("echo", "x");
    let echoed = server.metrics();
    assert_eq!(echoed.engine.packets_in - opened.engine.packets_in, 1);
    assert_eq!(echoed.engine.packets_out - opened.engine.packets_out, 1);
    // `42["echo","x"]`
    assert_eq!(echoed.engine.bytes_in - opened.engine.bytes_in, 14);
    assert_eq!(echoed.engine.bytes_out - opened.engine.bytes_out, 14);

    ann.emit("join", ());
    bob.emit("join", ());
    server.to("room").emit("news", 1).unwrap();
    ann.emit("fail", ());
    ann.emit("wait", ());
    ann.emit("wait", ());
    let now = server.metrics();
    assert_eq!((now.rooms, now.broadcasts, now.recipients), (3, 1, 2));
    assert_eq!((now.engine.handlers_failed, now.engine.handlers_waiting), (1, 2));

    bob.stop_reading();
    for _ in 0..4 {
        server.emit("large", "x".repeat(50_000)).unwrap();
        world.settle();
    }
    let queued = server.metrics().engine;
    assert!((100_000..=200_000).contains(&queued.queued_bytes), "{queued:?}");
    assert_eq!(queued.longest_queue, queued.queued_bytes);
    for _ in 0..4 {
        server.emit("large", "x".repeat(50_000)).unwrap();
        world.settle();
    }
    ann.emit("panic", ());
    let end = server.metrics();
    assert_eq!((end.engine.sessions, end.engine.queues_overflowed, end.engine.handlers_panicked), (0, 1, 1));
    assert_eq!((end.engine.handlers_waiting, end.engine.queued_bytes, end.sockets, end.rooms), (0, 0, 0, 0));
    assert_eq!(end.engine.sessions_closed, BTreeMap::from([("forced close", 2)]));
    assert!(end.engine.faults.is_empty());

    let json: serde_json::Value = serde_json::to_value(&end).unwrap();
    assert_eq!(json["engine"]["sessions_closed"]["forced close"], 2);
}

#[test]
fn refusals_and_faults_are_counted_by_kind() {
    let server = Server::builder()
        .allow_request(|request| if request.headers.contains_key("bad") { Err("no".to_owned()) } else { Ok(()) });
    let server = server.build();
    let mut world = TestServer::new(&server);
    world.client().header("bad", "1").connect("/").unwrap_err();
    world.client().header("bad", "1").polling().connect("/").unwrap_err();
    world.client().query("sid", "none").polling().connect("/").unwrap_err();
    let mut client = world.client().connect("/").unwrap();
    client.same_connection().connect("/").unwrap_err();
    client.cut();
    let mut cut = world.client().polling().connect("/").unwrap();
    cut.cut();
    let mut silent = world.client().connect("/").unwrap();
    silent.stop_reading();
    world.advance(Duration::from_secs(60));
    let metrics = server.metrics().engine;
    assert_eq!(metrics.refused, BTreeMap::from([("Forbidden", 2), ("Session ID unknown", 1)]));
    assert_eq!(metrics.faults, BTreeMap::from([("connected twice", 1), ("poll aborted", 1)]));
    let closed = BTreeMap::from([("forced close", 1), ("ping timeout", 1), ("transport error", 1)]);
    assert_eq!(metrics.sessions_closed, closed);
}
