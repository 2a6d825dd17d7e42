//! Limits of a server, and clients that read slowly, in virtual time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_driver::testkit::{ConnectError, Left, TestServer, for_each_seed};
use socketio_driver::{Backlog, EmitError, SendError, Server, Socket};

const LIMIT: usize = 400_000;
const MARK: usize = 100_000;

fn server() -> Server {
    Server::builder().engine(|engine| engine.limits.max_outbound = LIMIT).build()
}

/// More than the connection holds by itself.
fn fill(server: &Server, world: &mut TestServer, times: usize) {
    for _ in 0..times {
        server.emit("news", "x".repeat(20_000)).unwrap();
        world.settle();
    }
}

#[test]
fn a_queue_that_passes_its_mark_is_reported_once_and_once_when_it_has_fallen() {
    for_each_seed(20, |seed| {
        let server = server();
        let seen = Arc::<Mutex<Vec<(String, Backlog)>>>::default();
        let log = Arc::clone(&seen);
        server.on_backlog(MARK, move |sockets: Vec<Socket>, backlog: Backlog| {
            log.lock().unwrap().extend(sockets.iter().map(|socket| (socket.id().to_string(), backlog)));
        });
        let mut world = TestServer::with_seed(&server, seed);
        let mut slow = world.client().connect("/").unwrap();
        let mut quick = world.client().connect("/").unwrap();
        let socket = server.socket(&slow.id()).unwrap();
        slow.stop_reading();
        fill(&server, &mut world, 3);
        assert!(seen.lock().unwrap().is_empty());
        fill(&server, &mut world, 10);
        assert!(socket.queued_bytes() > MARK && server.metrics().engine.longest_queue > 100_000);
        assert!(matches!(&seen.lock().unwrap()[..], [(id, Backlog::High(100_000..))] if *id == slow.id()));
        slow.resume_reading();
        world.settle();
        let seen = seen.lock().unwrap();
        assert!(matches!(seen[1], (_, Backlog::Low(..=50_000))), "{seen:?}");
        assert_eq!((seen.len(), socket.queued_bytes()), (2, 0));
        for client in [&mut slow, &mut quick] {
            assert_eq!(client.unread().len(), 13);
        }
    });
}

#[test]
fn a_handler_may_close_a_slow_client_and_others_do_not_notice() {
    let server = server();
    server.on_backlog(MARK, |sockets: Vec<Socket>, _: Backlog| sockets.iter().for_each(Socket::drop_connection));
    let mut world = TestServer::new(&server);
    let mut slow = world.client().connect("/").unwrap();
    let quick = world.client().connect("/").unwrap();
    slow.stop_reading();
    fill(&server, &mut world, 12);
    // Nothing more is queued. What was queued before has `close_timeout` (30 s) to leave.
    let queued = server.metrics().engine.queued_bytes;
    assert_eq!((server.metrics().sockets, server.metrics().engine.sessions_closed["forced close"]), (1, 1));
    assert_eq!((quick.unread().len(), quick.is_connected()), (12, true));
    fill(&server, &mut world, 12);
    assert_eq!(server.metrics().engine.queued_bytes, queued);
    world.advance(Duration::from_secs(31));
    assert_eq!((server.sessions(), server.metrics().engine.queued_bytes), (1, 0));
    slow.resume_reading();
    assert_eq!(slow.disconnected(), Left::TransportClose);
    assert_eq!(server.metrics().engine.queues_overflowed, 0);
}

#[test]
fn a_handler_that_panics_closes_the_connection() {
    let server = server();
    server.on_backlog(MARK, |_: Vec<Socket>, _: Backlog| panic!("on purpose"));
    let mut world = TestServer::new(&server);
    let mut slow = world.client().connect("/").unwrap();
    slow.stop_reading();
    fill(&server, &mut world, 12);
    assert_eq!((server.sessions(), server.metrics().engine.handlers_panicked), (0, 1));
}

#[test]
fn without_a_handler_volatile_events_are_dropped_emits_fail_and_broadcasts_close() {
    let server = server();
    let mut world = TestServer::new(&server);
    let mut slow = world.client().connect("/").unwrap();
    let socket = server.socket(&slow.id()).unwrap();
    slow.stop_reading();
    let mut sent = 0;
    while socket.emit("news", "x".repeat(20_000)).is_ok() {
        sent += 1;
        world.settle();
    }
    assert_eq!(socket.emit("news", "x".repeat(20_000)), Err(EmitError::Send(SendError::Full)));
    for number in 0..100 {
        socket.emit_volatile("volatile", number).unwrap();
        server.broadcast().volatile().emit("volatile", number).unwrap();
    }
    world.settle();
    assert!(slow.is_connected());
    // Waiting for space ends when the client reads.
    slow.resume_reading();
    world.run(socket.ready()).unwrap();
    assert!(!slow.has_received("volatile"));
    assert_eq!(slow.unread().len(), sent);
    slow.stop_reading();
    fill(&server, &mut world, 30);
    assert_eq!((server.sessions(), server.metrics().engine.queues_overflowed), (0, 1));
}

#[test]
fn a_full_server_refuses_handshakes_until_a_session_ends() {
    for polling in [false, true] {
        let server = Server::builder().max_sessions(2).build();
        let mut world = TestServer::new(&server);
        let connect = || if polling { world.client().polling() } else { world.client() };
        let mut first = connect().connect("/").unwrap();
        let _second = connect().connect("/").unwrap();
        let Err(ConnectError::Http { status: 503, .. }) = connect().connect("/") else { panic!("it is refused") };
        assert_eq!((server.sessions(), server.metrics().engine.refused["Service unavailable"]), (2, 1));
        first.close();
        world.advance(Duration::from_secs(1));
        world.client().connect("/").unwrap();
    }
}
