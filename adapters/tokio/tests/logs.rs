//! What the log says of peers: who came and went and why, below the level of warnings, for peers can cause as much of it as they like.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod support;

use socketio_tokio::{ConnectRequest, Refusal, Server};
use support::http::{exchange, post};
use support::peers::{Client, Polling};
use support::websocket::Came;
use support::{Host, log, until};
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
    server.guard(|_: ConnectRequest| Err(Refusal::new("not today")));
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
