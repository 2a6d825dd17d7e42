//! Compressed responses to polls.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod support;

use std::io::Read as _;

use socketio_tokio::{Compression, Data, EngineServer, EngineSocket, Message, Server, Socket};
use support::Host;
use support::http::{Response, exchange, post, request};
use support::peers::{PATH, Polling};

fn server(compression: Option<Compression>) -> EngineServer {
    let echo = |socket: EngineSocket, message: Message| socket.send(message);
    let builder = EngineServer::builder().path(PATH).on_message(echo);
    compression.into_iter().fold(builder, |builder, compression| builder.compression(compression)).build()
}

/// Sends a message of `length` characters, and polls its echo.
async fn echo(session: &Polling, length: usize, accept: &str) -> (Response, String) {
    let text = "héllo wörld ".chars().cycle().take(length).collect::<String>();
    assert_eq!(exchange(session.address, post(&session.target(), &format!("4{text}"))).await.text(), "ok");
    let headers = [("Accept-Encoding", accept)];
    let headers = if accept.is_empty() { &[][..] } else { &headers };
    (exchange(session.address, request("GET", &session.target(), headers, "")).await, format!("4{text}"))
}

fn inflate(response: &Response) -> Vec<u8> {
    let mut text = Vec::new();
    match response.header("content-encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(&response.body[..]).read_to_end(&mut text).unwrap(),
        Some("deflate") => flate2::read::ZlibDecoder::new(&response.body[..]).read_to_end(&mut text).unwrap(),
        other => panic!("{other:?}"),
    };
    text
}

#[tokio::test]
async fn r38_the_coding_is_the_one_that_the_client_prefers_of_gzip_and_deflate() {
    let host = Host::start(server(Some(Compression::new()))).await;
    let session = Polling::open(host.address).await;
    for (accept, coding) in [
        ("gzip", Some("gzip")),
        ("deflate", Some("deflate")),
        ("gzip, deflate, br", Some("gzip")),
        ("deflate;q=0.5, gzip;q=0.1", Some("deflate")),
        ("gzip;q=0, deflate", Some("deflate")),
        ("*", Some("gzip")),
        ("br", None),
        ("identity", None),
        ("", None),
    ] {
        let (response, text) = echo(&session, 5000, accept).await;
        assert_eq!((response.status, response.header("content-encoding")), (200, coding), "{accept}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        if coding.is_some() {
            assert!(response.body.len() < 500, "{}", response.body.len());
            assert_eq!(inflate(&response), text.as_bytes(), "{accept}");
        } else {
            assert_eq!(response.body, text.as_bytes(), "{accept}");
        }
    }
}

#[tokio::test]
async fn r38_short_responses_are_not_compressed_and_none_are_without_the_option() {
    let text = |length: usize| "x".repeat(length);
    for (compression, length, compressed) in [
        (Some(Compression::new()), 1023, true),
        (Some(Compression::new()), 1022, false),
        (Some(Compression::new().threshold(10)), 9, true),
        (Some(Compression::new().threshold(10)), 8, false),
        (None, 5000, false),
    ] {
        let host = Host::start(server(compression)).await;
        let session = Polling::open(host.address).await;
        // With the packet's type, one byte more.
        session.post(&format!("4{}", text(length))).await;
        let get = request("GET", &session.target(), &[("Accept-Encoding", "gzip")], "");
        let response = exchange(host.address, get).await;
        assert_eq!(response.header("content-encoding").is_some(), compressed, "{compression:?} {length}");
        // The answer to a POST never is.
        let post = request("POST", &session.target(), &[("Accept-Encoding", "gzip")], "4x");
        assert_eq!(exchange(host.address, post).await.text(), "ok");
    }
}

#[tokio::test]
async fn a_large_response_is_compressed_in_pieces_and_the_session_goes_on() {
    let host = Host::start(server(Some(Compression::new().level(1)))).await;
    let session = Polling::open(host.address).await;
    for coding in ["gzip", "deflate"] {
        let (response, text) = echo(&session, 700_000, coding).await;
        assert_eq!(inflate(&response), text.as_bytes());
    }
    let (response, text) = echo(&session, 10, "gzip").await;
    assert_eq!(response.body, text.as_bytes());
}

#[tokio::test]
async fn a_response_with_a_packet_that_must_not_be_compressed_is_not() {
    let echo = |socket: EngineSocket, message: Message| match &message {
        Message::Text(text) if text.starts_with("secret") => socket.send_uncompressed(message),
        _ => socket.send(message),
    };
    let server = EngineServer::builder().path(PATH).on_message(echo).compression(Compression::new()).build();
    let host = Host::start(server).await;
    let session = Polling::open(host.address).await;
    let (public, secret) = (format!("4{}", "x".repeat(5000)), format!("4secret{}", "x".repeat(5000)));
    for (body, compressed) in
        [(public.clone(), true), (secret.clone(), false), (format!("{public}\u{1e}{secret}"), false), (public, true)]
    {
        session.post(&body).await;
        let get = request("GET", &session.target(), &[("Accept-Encoding", "gzip")], "");
        let response = exchange(host.address, get).await;
        assert_eq!(response.header("content-encoding").is_some(), compressed);
        let text = if compressed { inflate(&response) } else { response.body };
        assert_eq!(text, body.as_bytes());
    }
    // The same with a broadcast of Socket.IO.
    let server = Server::builder().path(PATH).compression(Compression::new()).build();
    server.on("ask", |socket: Socket, Data(compress): Data<bool>| {
        socket.namespace().broadcast().compress(compress).emit("news", "x".repeat(5000))
    });
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    for compress in [true, false] {
        session.post(&format!(r#"42["ask",{compress}]"#)).await;
        let get = request("GET", &session.target(), &[("Accept-Encoding", "gzip")], "");
        let response = exchange(host.address, get).await;
        assert_eq!(response.header("content-encoding").is_some(), compress);
    }
}
