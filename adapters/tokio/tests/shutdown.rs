//! Graceful shutdown: connected peers are notified and receive what was queued, new peers are refused, and no peer can delay it forever.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use std::sync::Arc;

use socketio_tokio::{DisconnectReason, EngineServer, EngineSocket, Event, Message, Server, Socket, serve};
use support::http::{Wire, exchange, get, post};
use support::peers::{Client, PATH, Polling};
use support::websocket::{Came, WebSocket, opening};
use support::{Host, until, within};
use tokio::sync::{Notify, mpsc, oneshot};

/// A server that reports the disconnect reasons of its sockets.
fn server() -> (Server, mpsc::UnboundedReceiver<String>) {
    let server = Server::new();
    let (gone, reasons) = mpsc::unbounded_channel();
    server.on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap());
    (server, reasons)
}

async fn reason(reasons: &mut mpsc::UnboundedReceiver<String>) -> String {
    within(reasons.recv()).await.unwrap()
}

#[tokio::test]
async fn r77_a_websocket_gets_what_was_queued_and_a_close_frame_that_says_going_away() {
    let (server, mut reasons) = server();
    let mut host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    let queued = "x".repeat(100_000);
    for _ in 0..50 {
        server.emit("queued", &queued).unwrap();
    }
    host.stop();
    for _ in 0..50 {
        assert!(client.packet().await.starts_with(r#"2["queued","#));
    }
    // No DISCONNECT is sent before: clients would not reconnect after it.
    assert_eq!(client.next().await, Came::Closed(Some(1001)));
    assert_eq!(reason(&mut reasons).await, "server shutting down");
    host.ended().await;
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn r77_a_held_get_is_answered_with_the_end() {
    let (server, mut reasons) = server();
    let mut host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let mut held = session.start_get().await;
    session.post("3").await;
    host.stop();
    assert_eq!(held.response().await.text(), "1");
    assert_eq!(reason(&mut reasons).await, "server shutting down");
    host.ended().await;
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn a_session_without_a_held_get_takes_the_rest_and_the_end_with_its_next_ones_and_nobody_else_comes_in() {
    let (server, mut reasons) = server();
    let mut host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    // Opened before the listener closes.
    let mut wire = Wire::open(host.address).await;
    wire.send(post(&session.target(), "3")).await;
    assert_eq!(wire.response().await.text(), "ok");
    server.emit("queued", 1).unwrap();
    host.stop();
    assert_eq!(reason(&mut reasons).await, "server shutting down");

    wire.send(get(&format!("{PATH}?EIO=4&transport=polling"))).await;
    let refused = wire.response().await;
    assert_eq!((refused.status, refused.text()), (503, r#"{"code":3,"message":"Service unavailable"}"#));
    wire.send(get(&session.target())).await;
    assert_eq!(wire.response().await.text(), r#"42["queued",1]"#);
    wire.send(get(&session.target())).await;
    assert_eq!(wire.response().await.text(), "6\u{1e}1");
    host.ended().await;
    assert!(wire.closed().await.is_empty());
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn a_websocket_that_comes_during_the_shutdown_is_refused_with_503() {
    let (server, _reasons) = server();
    let mut host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let mut wire = Wire::open(host.address).await;
    wire.send(post(&session.target(), "3")).await;
    wire.response().await;
    server.emit("queued", 1).unwrap();
    host.stop();
    until(|| server.of("/").is_empty()).await;
    wire.send(opening(&format!("{PATH}?EIO=4&transport=websocket"))).await;
    let refused = wire.response().await;
    assert_eq!((refused.status, refused.text()), (503, "Service unavailable"));
}

#[tokio::test]
async fn handlers_that_wait_are_waited_for() {
    let (server, mut reasons) = server();
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let (done, mut finished) = mpsc::unbounded_channel();
    server.on("work", move |socket: Socket, _: Event| {
        let (gate, done) = (Arc::clone(&opened), done.clone());
        async move {
            socket.emit("begun", ()).unwrap();
            gate.notified().await;
            done.send(socket.is_connected()).unwrap();
        }
    });
    let mut host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    client.send(r#"42["work"]"#).await;
    assert_eq!(client.packet().await, r#"2["begun"]"#);
    host.stop();
    assert_eq!(client.next().await, Came::Closed(Some(1001)));
    assert_eq!(reason(&mut reasons).await, "server shutting down");
    until(|| server.sessions() == 0).await;
    tokio::select! {
        biased;
        () = host.ended() => panic!("the shutdown did not wait for the handler"),
        () = tokio::task::yield_now() => {}
    }
    gate.notify_one();
    assert!(!within(finished.recv()).await.unwrap());
    host.ended().await;
}

#[tokio::test]
async fn the_deadline_cuts_off_who_does_not_go_and_does_not_wait_for_handlers_that_never_return() {
    let (server, _reasons) = server();
    server.on("stay", |socket: Socket, _: Event| async move {
        socket.emit("staying", ()).unwrap();
        std::future::pending::<()>().await;
    });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    client.send(r#"42["stay"]"#).await;
    assert_eq!(client.packet().await, r#"2["staying"]"#);
    // This peer never fetches its last packets.
    let polling = Polling::join(host.address).await;
    server.emit("queued", 1).unwrap();
    assert_eq!(client.packet().await, r#"2["queued",1]"#);
    let (end, ended) = oneshot::channel::<()>();
    let ending = server.clone();
    let shutdown = tokio::spawn(async move {
        let deadline = async { drop(ended.await) };
        ending.shut_down(deadline).await;
    });
    assert_eq!(client.closed().await, Came::Closed(Some(1001)));
    until(|| server.of("/").is_empty()).await;
    assert!(!shutdown.is_finished());
    assert_eq!(server.sessions(), 1);
    end.send(()).unwrap();
    within(shutdown).await.unwrap();
    until(|| server.sessions() == 0).await;
    assert_eq!(polling.get().await.status, 400);
    // The server still runs, and still refuses new sessions.
    assert_eq!(exchange(host.address, get(&format!("{PATH}?EIO=4&transport=polling"))).await.status, 503);
}

#[tokio::test]
async fn polling_sessions_that_have_nothing_to_fetch_are_not_waited_for() {
    let engine = EngineServer::builder().build();
    let (server, mut reasons) = server();
    let host = Host::start((server.clone(), engine.clone())).await;
    // Sessions as `curl` leaves them: one that has joined, one that has not, and one of Engine.IO.
    let joined = Polling::join(host.address).await;
    let opened = Polling::open(host.address).await;
    let bare = Polling::open_at(host.address, "/engine.io/").await;
    within(server.shut_down(std::future::pending())).await;
    within(engine.shut_down(std::future::pending())).await;
    assert_eq!(reason(&mut reasons).await, "server shutting down");
    assert_eq!((server.sessions(), engine.sessions()), (0, 0));
    for session in [joined, opened, bare] {
        assert_eq!(session.get().await.status, 400);
    }
}

#[tokio::test]
async fn the_deadline_of_a_listener_can_be_set() {
    let (server, _reasons) = server();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = serve(listener, server.clone())
        .with_shutdown_deadline(std::time::Duration::ZERO)
        .with_graceful_shutdown(async { drop(stopped.await) });
    let serving = tokio::spawn(serving.into_future());
    let session = Polling::join(address).await;
    assert_eq!(session.post("3").await.text(), "ok");
    server.emit("queued", 1).unwrap();
    stop.send(()).unwrap();
    within(serving).await.unwrap();
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn connections_without_a_request_or_with_half_of_one_do_not_hold_up_the_end() {
    let (server, _reasons) = server();
    let mut host = Host::start(server).await;
    let mut idle = Wire::open(host.address).await;
    let mut used = Wire::open(host.address).await;
    used.send(get("/")).await;
    assert_eq!(used.response().await.status, 404);
    let mut half = Wire::open(host.address).await;
    half.send("GET /socket.io/?EIO=4&tran").await;
    // The server has accepted all of them when it answers a later one.
    exchange(host.address, get("/")).await;
    host.stop();
    host.ended().await;
    for wire in [&mut idle, &mut used] {
        assert!(wire.closed().await.is_empty());
    }
    // Without the end of its task, which this test's runtime drops, it would receive a timeout error.
    assert!(half.buffer.is_empty());
}

#[tokio::test]
async fn engine_io_sessions_end_alike_and_a_pair_of_servers_ends_as_one() {
    let engine =
        EngineServer::builder().on_message(|socket: EngineSocket, message: Message| socket.send(message)).build();
    let (server, mut reasons) = server();
    let mut host = Host::start((server, engine.clone())).await;
    let mut client = Client::join(host.address).await;
    let mut link = WebSocket::open(host.address, "/engine.io/?EIO=4&transport=websocket").await;
    link.next().await;
    link.text("4echo").await;
    assert_eq!(link.next().await, Came::Text("4echo".to_owned()));
    let session = Polling::open_at(host.address, "/engine.io/").await;
    let mut held = session.start_get().await;
    session.post("3").await;
    host.stop();
    assert_eq!(client.next().await, Came::Closed(Some(1001)));
    assert_eq!(link.next().await, Came::Closed(Some(1001)));
    assert_eq!(held.response().await.text(), "1");
    assert_eq!(reason(&mut reasons).await, "server shutting down");
    host.ended().await;
    assert_eq!(engine.sessions(), 0);
}
