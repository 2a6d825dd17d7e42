//! Log messages about peers: who connected and disconnected, and why. They are below the level of warnings, because a peer can cause any
//! number of them.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use socketio_tokio::{
    CloseReason, ConnectRequest, EngineServer, EngineSocket, Event, Message, MiddlewareResult, Refusal, RoomEvent,
    Server, Socket,
};
use support::http::{exchange, get, post};
use support::peers::{Client, Polling};
use support::websocket::{Came, WebSocket};
use support::{Host, log, until};
use tokio::sync::Notify;
use tracing::Level;

fn server() -> Server {
    log::listen_to(Level::TRACE);
    Server::builder().max_payload(1000).socket(|config| config.limits.max_attachment_bytes = 1500).build()
}

async fn said(parts: &[&str]) {
    until(|| log::says(parts)).await;
}

#[tokio::test]
async fn a_socket_that_comes_and_goes_and_its_event_without_a_handler() {
    let host = Host::start(server()).await;
    let mut client = Client::join(host.address).await;
    let (session, socket) = (client.session.clone(), client.sid.clone());
    client.send(r#"42["nobody"]"#).await;
    client.send("41").await;
    client.websocket.close().await;
    said(&["DEBUG", "a socket connected", &session, &socket, "namespace=\"/\""]).await;
    said(&["TRACE", "an event has no handler", &socket, "nobody"]).await;
    said(&["DEBUG", "a socket disconnected", &session, &socket, "client namespace disconnect"]).await;
    said(&["DEBUG", "a session ended", &session, "transport close"]).await;
}

#[tokio::test]
async fn a_client_that_was_refused() {
    let server = server();
    server.middleware(|_: ConnectRequest| Err(Refusal::new("not today")));
    let host = Host::start(server).await;
    let mut client = Client::open(host.address).await;
    assert_eq!(client.ask("40").await, r#"4{"message":"not today"}"#);
    said(&["DEBUG", "a client was refused", &client.session, "not today"]).await;
}

#[tokio::test]
async fn sessions_that_end_by_their_peers_fault() {
    let host = Host::start(server()).await;
    let mut large = Client::join(host.address).await;
    large.send(&"4".repeat(1001)).await;
    assert_eq!(large.closed().await, Came::Closed(Some(1009)));
    said(&["DEBUG", "max_payload", &large.session, "limit=1000"]).await;
    said(&["DEBUG", "a session ended", &large.session, "transport error", "link failed"]).await;

    let mut many = Client::join(host.address).await;
    many.send(r#"4511-["a"]"#).await;
    assert_eq!(many.closed().await, Came::Closed(None));
    said(&["DEBUG", "limits.max_attachments,", "ServerBuilder::socket", &many.session, "limit=10"]).await;

    let mut heavy = Client::join(host.address).await;
    heavy.send(r#"452-["a"]"#).await;
    heavy.websocket.binary(&[0; 900]).await;
    heavy.websocket.binary(&[0; 601]).await;
    assert_eq!(heavy.closed().await, Came::Closed(None));
    said(&["DEBUG", "limits.max_attachment_bytes,", "ServerBuilder::socket", &heavy.session, "limit=1500"]).await;

    let broken = Polling::join(host.address).await;
    exchange(host.address, post(&broken.target(), "x")).await;
    let sid = broken.target();
    let (_, sid) = sid.split_once("sid=").unwrap();
    said(&["DEBUG", "a session ended", sid, "parse error"]).await;
}

/// Asserts that one of these lines has this level. All others must have the level `debug`, and the last one the number of repetitions.
async fn loud_once(level: &str, parts: &[&str], times: usize) {
    let last = format!("times={times}");
    said(&[&["DEBUG", &*last], parts].concat()).await;
    assert_eq!(log::count(&[&[level], parts].concat()), 1, "{parts:?}");
    assert_eq!(log::count(&[&["DEBUG"], parts].concat()), times - 1, "{parts:?}");
    assert_eq!(log::count(parts), times, "{parts:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_makes_one_warning_however_many_emits_fail() {
    log::listen_to(Level::TRACE);
    let server = Server::builder().engine(|config| config.limits.max_outbound = 100_000).build();
    let failed = Arc::new(AtomicUsize::new(0));
    let failures = Arc::clone(&failed);
    server.on("fill", move |socket: Socket, _: Event| {
        let refused = std::iter::repeat_with(|| socket.emit("filling", "x".repeat(30_000))).find(Result::is_err);
        failures.fetch_add(1, Ordering::Relaxed);
        refused.unwrap()
    });
    let host = Host::start(server).await;
    let mut client = Client::join(host.address).await;
    for _ in 0..500 {
        client.send(r#"42["fill"]"#).await;
    }
    until(|| failed.load(Ordering::Relaxed) == 500).await;
    loud_once("WARN", &["a handler failed", &client.session, &client.sid, "fill", "queue is full"], 500).await;
}

#[tokio::test]
async fn what_a_client_has_sent_is_cut_in_the_log() {
    log::listen_to(Level::TRACE);
    let server = Server::new();
    server
        .on("number", |_: Socket, event: Event| event.read::<u32>().map(drop))
        .on("panic", |_: Socket, event: Event| assert_eq!(event.read::<u32>().unwrap(), 1));
    let host = Host::start(server).await;
    let mut client = Client::join(host.address).await;
    for event in ["number", "panic"] {
        client.send(&format!(r#"42["{event}","{}"]"#, "x\\n".repeat(300_000))).await;
    }
    said(&["WARN", "a handler failed", &client.session, "invalid type: string"]).await;
    said(&["ERROR", "a handler panicked", &client.session]).await;
    assert!(log::longest(&[&client.session, "handler"]) < 2000);
}

#[tokio::test]
async fn handlers_of_one_session_that_all_panic_make_one_error() {
    log::listen_to(Level::TRACE);
    let server = Server::new();
    let gate = Arc::new(Notify::new());
    let started = Arc::new(AtomicUsize::new(0));
    let (opened, starts) = (Arc::clone(&gate), Arc::clone(&started));
    server.on("wait", move |_: Socket, _: Event| {
        let gate = Arc::clone(&opened);
        starts.fetch_add(1, Ordering::Relaxed);
        async move {
            gate.notified().await;
            if true {
                panic!("all together");
            }
        }
    });
    let host = Host::start(server).await;
    let mut client = Client::join(host.address).await;
    for _ in 0..100 {
        client.send(r#"42["wait"]"#).await;
    }
    until(|| started.load(Ordering::Relaxed) == 100).await;
    gate.notify_waiters();
    loud_once("ERROR", &["a handler panicked", &client.session, "all together"], 100).await;
}

#[tokio::test]
async fn middleware_of_one_session_that_all_panic_make_one_error() {
    log::listen_to(Level::TRACE);
    let server = Server::new();
    let gate = Arc::new(Notify::new());
    let started = Arc::new(AtomicUsize::new(0));
    for number in 0..10 {
        let (gate, started) = (Arc::clone(&gate), Arc::clone(&started));
        server.of(&format!("/{number}")).middleware(move |_: ConnectRequest| {
            let gate = Arc::clone(&gate);
            started.fetch_add(1, Ordering::Relaxed);
            async move {
                gate.notified().await;
                if true {
                    panic!("every client is refused");
                }
                MiddlewareResult::Ok(())
            }
        });
    }
    let host = Host::start(server).await;
    let mut client = Client::open(host.address).await;
    for number in 0..10 {
        client.send(&format!("40/{number},")).await;
    }
    until(|| started.load(Ordering::Relaxed) == 10).await;
    gate.notify_waiters();
    loud_once("ERROR", &["a middleware panicked", &client.session, "every client is refused"], 10).await;
}

#[tokio::test]
async fn requests_that_make_allow_request_panic_make_one_error() {
    log::listen_to(Level::TRACE);
    let server =
        Server::builder().allow_request(|_| -> Result<(), String> { panic!("a panic in allow_request") }).build();
    let host = Host::start(server).await;
    for _ in 0..50 {
        assert_eq!(exchange(host.address, get("/socket.io/?EIO=4&transport=polling")).await.status, 403);
    }
    loud_once("ERROR", &["a handler panicked", "allow_request", "a panic in allow_request"], 50).await;
}

#[tokio::test]
async fn a_handler_for_rooms_that_panics_makes_one_error_for_its_namespace() {
    log::listen_to(Level::TRACE);
    let server = Server::new();
    let namespace = server.of("/rooms-that-panic");
    namespace.on("join", |socket: Socket, event: Event| socket.join(&event.read::<String>().unwrap())).on_room(
        |event| match event {
            RoomEvent::Created { room } if room.starts_with("room ") => panic!("a room: {room}"),
            _ => {}
        },
    );
    let host = Host::start(server).await;
    for session in 0..2 {
        let mut client = Client::open(host.address).await;
        client.ask("40/rooms-that-panic,").await;
        for number in 0..50 {
            client.send(&format!(r#"42/rooms-that-panic,["join","room {session} {number}"]"#)).await;
        }
        until(|| log::count(&["/rooms-that-panic", "a room: room"]) == (session + 1) * 50).await;
    }
    loud_once("ERROR", &["/rooms-that-panic", "a handler panicked", "a room: room"], 100).await;
}

#[tokio::test]
async fn a_recipient_that_does_not_read_makes_one_warning_however_much_is_broadcast() {
    log::listen_to(Level::TRACE);
    let server = Server::builder().engine(|config| config.limits.max_outbound = 100_000).build();
    let host = Host::start(server.clone()).await;
    let client = Client::join(host.address).await;
    // The peer's task does not run in between, because this task does not yield.
    for _ in 0..100 {
        server.emit("filling", "x".repeat(50_000)).unwrap();
    }
    let parts = ["its outbound queue is full (limits.max_outbound)", &client.session, &client.sid];
    loud_once("WARN", &parts, 99).await;
}

#[tokio::test]
async fn an_engine_session_makes_one_warning_and_one_error() {
    log::listen_to(Level::TRACE);
    let gate = Arc::new(Notify::new());
    let started = Arc::new(AtomicUsize::new(0));
    let (opened, starts) = (Arc::clone(&gate), Arc::clone(&started));
    let server = EngineServer::builder()
        .on_message(move |_: EngineSocket, message: Message| {
            let gate = Arc::clone(&opened);
            starts.fetch_add(1, Ordering::Relaxed);
            async move {
                match message {
                    Message::Text(text) => Err::<(), _>(format!("no text: {text}")),
                    Message::Binary(_) => {
                        gate.notified().await;
                        panic!("no binary")
                    }
                }
            }
        })
        .on_close(|_: EngineSocket, _: CloseReason| Err::<(), _>("the close handler failed"))
        .build();
    let host = Host::start(server).await;
    let mut link = WebSocket::open(host.address, "/engine.io/?EIO=4&transport=websocket").await;
    let Came::Text(open) = link.next().await else { panic!("no open packet") };
    let session = support::peers::sid_of(&open);
    for _ in 0..100 {
        link.text("4text").await;
        link.binary(b"binary").await;
    }
    until(|| started.load(Ordering::Relaxed) == 200).await;
    gate.notify_waiters();
    loud_once("ERROR", &[&session, "no binary"], 100).await;
    loud_once("WARN", &[&session, "a handler of an Engine.IO session failed", "handler=\"message\""], 100).await;
    // The session is closed. Another kind of handler has its own limit for log messages.
    said(&["WARN", &session, "a handler of an Engine.IO session failed", "handler=\"close\""]).await;
}
