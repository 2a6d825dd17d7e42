//! HTTP connections: how they end, and their limits on size and time. No data is lost when a connection ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socketio_tokio::{DisconnectReason, Event, Server, Socket, serve};
use support::http::{Wire, exchange, get, post, request};
use support::peers::{PATH, Polling};
use support::{Host, within};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tower_layer::layer_fn;
use tower_service::Service;

/// A server that reports the received events, and the disconnect reasons of its sockets.
fn server_that_tells() -> (Server, mpsc::UnboundedReceiver<String>) {
    let server = Server::new();
    let (tell, told) = mpsc::unbounded_channel();
    let left = tell.clone();
    server
        .on("tell", move |_: Socket, event: Event| {
            tell.send(event.read::<String>().unwrap()).unwrap();
        })
        .on("fill", |socket: Socket, event: Event| {
            let size: usize = event.read().unwrap();
            socket.emit("filled", "x".repeat(size))
        })
        .on_disconnect(move |_: Socket, reason: DisconnectReason| left.send(reason.to_string()).unwrap());
    (server, told)
}

fn unknown_session(body: &str) -> String {
    post(&format!("{PATH}?EIO=4&transport=polling&sid=unknown"), body)
}

#[tokio::test]
async fn a_peer_that_ends_its_half_behind_a_request_is_answered() {
    let (server, mut told) = server_that_tells();
    let host = Host::start(server).await;
    for round in 0..20 {
        let session = Polling::join(host.address).await;
        let mut wire = Wire::open(host.address).await;
        wire.send(post(&session.target(), &format!(r#"42["tell","{round}"]"#))).await;
        wire.stream.shutdown().await.unwrap();
        assert_eq!(wire.response().await.text(), "ok");
        assert_eq!(within(told.recv()).await, Some(round.to_string()));
        assert_eq!(wire.closed().await, b"");

        let mut wire = Wire::open(host.address).await;
        wire.send(get(&format!("{PATH}?EIO=4&transport=polling"))).await;
        wire.stream.shutdown().await.unwrap();
        assert!(wire.response().await.text().starts_with("0{"));
    }
}

#[tokio::test]
async fn an_event_of_a_peer_that_goes_away_right_behind_it_is_handled() {
    let (server, mut told) = server_that_tells();
    let host = Host::start(server).await;
    for round in 0..20 {
        let session = Polling::join(host.address).await;
        let mut wire = Wire::open(host.address).await;
        wire.send(post(&session.target(), &format!(r#"42["tell","{round}"]"#))).await;
        drop(wire);
        assert_eq!(within(told.recv()).await, Some(round.to_string()));
    }
}

#[tokio::test]
async fn a_held_get_ends_with_its_connection() {
    let (server, mut told) = server_that_tells();
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    let mut wire = session.start_get().await;
    wire.stream.shutdown().await.unwrap();
    assert_eq!(within(told.recv()).await.as_deref(), Some("transport error"));
}

/// A layer that answers requests for `/slow` when it is told to.
#[derive(Clone)]
struct Slow<S> {
    inner: S,
    started: mpsc::UnboundedSender<()>,
    release: Arc<Notify>,
}

impl<S, B> Service<http::Request<B>> for Slow<S>
where
    S: Service<http::Request<B>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let (slow, release) = (request.uri().path() == "/slow", Arc::clone(&self.release));
        let started = self.started.clone();
        let response = self.inner.call(request);
        Box::pin(async move {
            if slow {
                started.send(()).unwrap();
                release.notified().await;
            }
            response.await
        })
    }
}

#[tokio::test]
async fn a_get_on_another_path_is_answered_though_its_peer_has_ended_its_half_whatever_its_query_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (started, mut starts) = mpsc::unbounded_channel();
    let release = Arc::new(Notify::new());
    let releases = Arc::clone(&release);
    let slow = layer_fn(move |inner| Slow { inner, started: started.clone(), release: Arc::clone(&releases) });
    tokio::spawn(serve(listener, server_that_tells().0).layer(slow).into_future());
    let mut wire = Wire::open(address).await;
    // On the path of the server, such a GET would be held.
    wire.send(get("/slow?EIO=4&transport=polling&sid=unknown")).await;
    within(starts.recv()).await.unwrap();
    wire.stream.shutdown().await.unwrap();
    for _ in 0..20 {
        assert_eq!(exchange(address, get("/other")).await.status, 404);
    }
    release.notify_one();
    assert_eq!(wire.response().await.status, 404);
}

#[tokio::test]
async fn requests_that_came_together_are_all_answered_before_the_end() {
    let (server, mut told) = server_that_tells();
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    let mut wire = Wire::open(host.address).await;
    let event = |text: &str| post(&session.target(), &format!(r#"42["tell","{text}"]"#));
    wire.send([event("one"), event("two"), event("three")].concat()).await;
    wire.stream.shutdown().await.unwrap();
    for text in ["one", "two", "three"] {
        assert_eq!(wire.response().await.text(), "ok");
        assert_eq!(within(told.recv()).await.as_deref(), Some(text));
    }
    assert_eq!(wire.closed().await, b"");
}

#[tokio::test]
async fn a_refused_request_is_answered_when_its_body_has_been_read() {
    let (server, _) = server_that_tells();
    let host = Host::start(server).await;
    let body = "x".repeat(20_000);
    // One connection, which all these requests share.
    let mut wire = Wire::open(host.address).await;
    for refused in [
        unknown_session(&body),
        request("PUT", &format!("{PATH}?EIO=4&transport=polling"), &[], &body),
        post(&format!("{PATH}?EIO=4&transport=nothing"), &body),
        post("/elsewhere", &body),
    ] {
        wire.send(refused).await;
        let response = wire.response().await;
        assert!([400, 404].contains(&response.status), "{response:?}");
        assert_eq!(response.header("connection"), None);
    }
    // A body up to twice the limit is read to the end. This one is just above the limit.
    let session = Polling::join(host.address).await;
    wire.send(post(&session.target(), &"x".repeat(1_000_001))).await;
    assert_eq!(wire.response().await.status, 413);
    wire.send(get(&format!("{PATH}?EIO=4&transport=polling"))).await;
    assert_eq!(wire.response().await.status, 200);
}

#[tokio::test]
async fn a_refused_body_that_does_not_end_is_answered_and_the_connection_closed_without_a_reset() {
    let (server, _) = server_that_tells();
    let host = Host::start(server).await;
    let endless = |length: usize| {
        format!(
            "POST {PATH}?EIO=4&transport=polling&sid=unknown HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    for length in [20_000, 1_000_000_000] {
        let mut wire = Wire::open(host.address).await;
        wire.send(endless(length)).await;
        wire.send("x".repeat(10_000)).await;
        let response = wire.response().await;
        assert_eq!((response.status, response.header("connection")), (400, Some("close")));
        // The server still reads from the connection, and does not reset it.
        wire.send("x".repeat(1_000)).await;
        wire.stream.shutdown().await.unwrap();
        assert_eq!(wire.closed().await, b"");
    }
    // A peer that waits for `100 Continue` sends no body.
    let mut wire = Wire::open(host.address).await;
    wire.send(endless(20_000).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n")).await;
    assert_eq!(wire.response().await.status, 400);
}

#[tokio::test]
async fn a_peer_that_does_not_take_its_answer_loses_its_connection_and_its_session() {
    let (server, mut told) = server_that_tells();
    let host = Host::start_with(server.clone(), |settings| settings.write_timeout = Duration::from_millis(200)).await;
    let session = Polling::join(host.address).await;
    // Larger than the socket buffers of both ends.
    let size = 12_000_000;
    assert_eq!(session.post(&format!(r#"42["fill",{size}]"#)).await.text(), "ok");
    let _unread = session.start_get().await;
    assert_eq!(within(told.recv()).await.as_deref(), Some("transport error"));
    support::until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn connections_that_say_nothing_or_half_of_it_are_closed() {
    let (server, _) = server_that_tells();
    let host = Host::start_with(server, |settings| {
        settings.head_timeout = Duration::from_millis(100);
        settings.idle_timeout = Duration::from_millis(100);
    })
    .await;
    let mut silent = Wire::open(host.address).await;
    assert_eq!(silent.closed().await, b"");

    let mut half = Wire::open(host.address).await;
    half.send("GET /socket.io/?EIO=4 HTTP/1.1\r\nHost:").await;
    let response = half.response().await;
    assert_eq!((response.status, response.header("connection")), (408, Some("close")));
    assert_eq!(half.closed().await, b"");

    // The connection is idle between two requests, where the timeout for a head does not apply.
    let (server, _) = server_that_tells();
    let host = Host::start_with(server, |settings| settings.idle_timeout = Duration::from_millis(100)).await;
    let mut idle = Wire::open(host.address).await;
    idle.send(get(&format!("{PATH}?EIO=4&transport=polling"))).await;
    assert_eq!(idle.response().await.header("keep-alive"), Some("timeout=0"));
    assert_eq!(idle.closed().await, b"");
}

#[tokio::test]
async fn an_answer_without_its_body_ends_like_any_other() {
    let (server, _) = server_that_tells();
    let host = Host::start(server).await;
    for target in ["/elsewhere", "/socket.io/?EIO=4&transport=polling"] {
        let mut wire = Wire::open(host.address).await;
        // Two requests on one connection, and then no more.
        for _ in 0..2 {
            wire.send(format!("HEAD {target} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
            while !wire.buffer.ends_with(b"\r\n\r\n") {
                assert!(wire.fill().await, "no answer");
            }
            wire.buffer.clear();
        }
        wire.stream.shutdown().await.unwrap();
        assert_eq!(wire.closed().await, b"");
    }
}

#[tokio::test]
async fn a_request_for_a_websocket_with_a_body_is_refused() {
    let (server, _) = server_that_tells();
    let host = Host::start(server.clone()).await;
    let opening = support::websocket::opening(&format!("{PATH}?EIO=4&transport=websocket"));
    let with_body = opening.replacen("\r\n", "\r\nContent-Length: 5\r\n", 1) + "hello";
    assert_eq!(exchange(host.address, with_body).await.status, 400);
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn clients_are_told_how_long_an_idle_connection_is_kept() {
    let (server, _) = server_that_tells();
    let host = Host::start(server).await;
    let open = exchange(host.address, get(&format!("{PATH}?EIO=4&transport=polling"))).await;
    assert_eq!(open.header("keep-alive"), Some("timeout=75"));
}

#[tokio::test]
async fn a_request_that_is_not_http_is_told_why() {
    let (server, _) = server_that_tells();
    let host = Host::start_with(server, |settings| settings.max_headers = 20).await;
    let many = format!("GET /socket.io/ HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(21));
    let large = format!("GET /socket.io/ HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(20_000));
    for (bytes, status, why) in [
        (get("/socket.io/?EIO=4&transport=polling&name=<me>"), 400, "percent-encoded"),
        (many, 431, "at most 16384 bytes and 20 header lines"),
        (large, 431, "at most 16384 bytes and 20 header lines"),
    ] {
        let mut wire = Wire::open(host.address).await;
        wire.send(bytes).await;
        let response = wire.response().await;
        assert_eq!(response.status, status);
        assert!(response.text().contains(why), "{response:?}");
        wire.stream.shutdown().await.unwrap();
        assert_eq!(wire.closed().await, b"");
    }
}

#[tokio::test]
async fn a_handshake_whose_head_would_be_kept_too_large_is_refused() {
    let server = Server::builder().max_head_bytes(1_000).build();
    let host = Host::start(server.clone()).await;
    let handshake = |length: usize| {
        format!("GET {PATH}?EIO=4&transport=polling HTTP/1.1\r\nHost: test\r\nCookie: {}\r\n\r\n", "c".repeat(length))
    };
    assert_eq!(exchange(host.address, handshake(1_000)).await.status, 431);
    assert_eq!(server.sessions(), 0);
    assert_eq!(exchange(host.address, handshake(900)).await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_ends_its_session_with_408() {
    let server = Server::builder().engine(|config| config.body_timeout = Duration::from_millis(100)).build();
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let mut wire = Wire::open(host.address).await;
    let head = format!("POST {} HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n42[", session.target());
    wire.send(head).await;
    assert_eq!(wire.response().await.status, 408);
    support::until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn a_body_in_more_chunks_than_the_limit_ends_its_session_with_413() {
    let server = Server::builder().engine(|config| config.limits.max_body_chunks = 3).build();
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let head = format!("POST {} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n", session.target());
    let mut wire = Wire::open(host.address).await;
    wire.send(head).await;
    wire.send("1\r\n4\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n").await;
    assert_eq!(wire.response().await.status, 413);
    support::until(|| server.sessions() == 0).await;
}
