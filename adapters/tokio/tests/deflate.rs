//! permessage-deflate on real sockets: what is negotiated, what is compressed, and what a hostile client gets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod support;

use std::net::SocketAddr;

use engineio_websocket::{Deflater, FrameKind, Opcode, encode_frame};
use socketio_tokio::{EngineServer, EngineSocket, Event, Message, Server, Socket};
use support::Host;
use support::http::{Wire, get};
use support::peers::{Client, PATH, Polling, sid_of};
use support::websocket::{Came, WebSocket, frame};

const TARGET: &str = "/engine.io/?EIO=4&transport=websocket";
const OFFER: &str = "permessage-deflate; client_max_window_bits";
const TERMS: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const THRESHOLD: usize = 1024;

/// The first byte of a compressed text message.
const COMPRESSED_TEXT: u8 = 0xc1;
const COMPRESSED_BINARY: u8 = 0xc2;

/// An Engine.IO server that sends back every message, with compression or without.
async fn echo(deflate: bool) -> Host {
    let mut server = EngineServer::builder();
    if deflate {
        server = server.per_message_deflate(THRESHOLD);
    }
    Host::start(server.on_message(|socket: EngineSocket, message: Message| socket.send(message)).build()).await
}

/// A client with compression whose open packet was read.
async fn opened(address: SocketAddr, offer: &str) -> (WebSocket, Option<String>) {
    let (mut websocket, terms) = WebSocket::open_deflate(address, TARGET, offer).await;
    assert!(matches!(websocket.next().await, Came::Text(open) if open.starts_with('0')));
    (websocket, terms)
}

/// The next frame as bytes. Nothing of it may have been decoded before.
async fn raw(wire: &mut Wire) -> (u8, Vec<u8>) {
    loop {
        let buffer = &wire.buffer[..];
        let (header, length) = match buffer {
            [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            [_, 127, length @ ..] if length.len() >= 8 => {
                (10, usize::try_from(u64::from_be_bytes(length[..8].try_into().unwrap())).unwrap())
            }
            [_, length @ ..=125, ..] => (2, usize::from(*length)),
            _ => (usize::MAX, 0),
        };
        if header.saturating_add(length) <= buffer.len() {
            let frame = wire.buffer.split_to(header + length);
            return (frame[0], frame[header..].to_vec());
        }
        assert!(wire.fill().await, "the connection has ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r125_messages_from_the_threshold_on_are_compressed_and_both_directions_are_understood() {
    let host = echo(true).await;
    let (mut client, terms) = opened(host.address, OFFER).await;
    assert_eq!(terms.as_deref(), Some(TERMS));
    for length in [0, 1, THRESHOLD - 2, THRESHOLD - 1, THRESHOLD, 5000, 100_000, 999_000] {
        let text = format!("4{}", "text ".repeat(length / 5 + 1).split_at(length).0);
        client.text(&text).await;
        assert_eq!(client.next().await, Came::Text(text), "{length}");
        client.binary(&vec![7; length]).await;
        assert_eq!(client.next().await, Came::Binary(vec![7; length]), "{length}");
    }
    // As on the wire. The threshold counts the type of the packet.
    for (length, first) in [(THRESHOLD - 1, COMPRESSED_TEXT), (THRESHOLD - 2, 0x81)] {
        client.text(&format!("4{}", "x".repeat(length))).await;
        let (byte, payload) = raw(&mut client.wire).await;
        assert_eq!((byte, payload.len() < 100), (first, first == COMPRESSED_TEXT), "{length}");
    }
    for (length, first) in [(THRESHOLD, COMPRESSED_BINARY), (THRESHOLD - 1, 0x82)] {
        client.binary(&vec![7; length]).await;
        assert_eq!(raw(&mut client.wire).await.0, first, "{length}");
    }
    // Random bytes get no smaller.
    let mut random = vec![0; 5000];
    getrandom::fill(&mut random).unwrap();
    client.binary(&random).await;
    assert_eq!(raw(&mut client.wire).await, (0x82, random));
}

#[tokio::test]
async fn nothing_is_compressed_unless_both_ends_want_it() {
    let (off, on) = (echo(false).await, echo(true).await);
    for (host, offer) in [(&off, OFFER), (&on, "permessage-deflate; level=9"), (&on, "permessage-bzip2"), (&on, ";")] {
        let (mut client, terms) = opened(host.address, offer).await;
        assert_eq!(terms, None, "{offer}");
        let text = format!("4{}", "x".repeat(5000));
        client.text(&text).await;
        assert_eq!(raw(&mut client.wire).await, (0x81, text.into_bytes()));
        client.wire.send(frame(COMPRESSED_TEXT, b"")).await;
        assert_eq!(client.closed().await, Came::Closed(Some(1002)), "{offer}");
    }
}

#[tokio::test]
async fn a_reach_that_the_client_limits_is_kept() {
    let host = echo(true).await;
    let (mut client, terms) = opened(host.address, "permessage-deflate; server_max_window_bits=12").await;
    assert_eq!(terms, Some(format!("{TERMS}; server_max_window_bits=12")));
    for (length, first) in [(4096, COMPRESSED_BINARY), (4097, 0x82)] {
        client.binary(&vec![7; length]).await;
        assert_eq!(raw(&mut client.wire).await.0, first, "{length}");
    }
}

#[tokio::test]
async fn what_cannot_be_inflated_or_is_too_large_closes_the_connection() {
    let host = echo(true).await;
    let message = "4".to_owned() + &"x".repeat(2_000_000);
    let bomb = Deflater::new().deflate(&[message.as_bytes()]).unwrap();
    let not_utf8 = Deflater::new().deflate(&[&[b"4", &[0xff; 100][..]].concat()]).unwrap();
    // Nothing but blocks without content.
    let blocks = [3, 0].repeat(10_000);
    for (first, payload, code) in [
        (COMPRESSED_TEXT, &bomb[..], 1009),
        (COMPRESSED_BINARY, &bomb[..], 1009),
        (COMPRESSED_TEXT, b"garbage", 1007),
        (COMPRESSED_TEXT, &bomb[..100], 1007),
        (COMPRESSED_TEXT, &not_utf8[..], 1007),
        (COMPRESSED_BINARY, &blocks[..], 1008),
        // A continuation, a ping, another reserved bit.
        (0xc0, b"", 1002),
        (0xc9, b"", 1002),
        (0xa1, b"", 1002),
    ] {
        let (mut client, _) = opened(host.address, OFFER).await;
        client.wire.send(frame(first, payload)).await;
        assert_eq!(client.closed().await, Came::Closed(Some(code)), "{first:x} {}", payload.len());
    }
    let (mut client, _) = opened(host.address, OFFER).await;
    client.text("4still here").await;
    assert_eq!(client.next().await, Came::Text("4still here".to_owned()));
}

#[tokio::test]
async fn many_messages_that_inflate_to_much_more_all_arrive_in_order() {
    let host = echo(true).await;
    let (mut client, _) = opened(host.address, OFFER).await;
    let mut deflater = Deflater::new();
    let mut bombs = Vec::new();
    for number in 0..100 {
        let message = format!("4{number} {}", "x".repeat(900_000));
        bombs.extend(frame(COMPRESSED_TEXT, &deflater.deflate(&[message.as_bytes()]).unwrap()));
        bombs.extend(frame(0x81, b"4between"));
    }
    client.wire.send(bombs).await;
    for number in 0..100 {
        let Came::Text(text) = client.next().await else { panic!("no text") };
        assert!(text.starts_with(&format!("4{number} x")) && text.len() > 900_000, "{number}");
        assert_eq!(client.next().await, Came::Text("4between".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_clients_with_and_without_compression() {
    let server = Server::builder().per_message_deflate(THRESHOLD).build();
    server.on("all", |socket: Socket, event: Event| socket.namespace().emit("all", event.payload()));
    let host = Host::start(server).await;
    let target = format!("{PATH}?EIO=4&transport=websocket");
    let mut compressing = Vec::new();
    for _ in 0..20 {
        let (mut websocket, _) = WebSocket::open_deflate(host.address, &target, OFFER).await;
        let Came::Text(open) = websocket.next().await else { panic!("no open packet") };
        let mut client = Client { websocket, session: sid_of(&open), sid: String::new() };
        client.send("40").await;
        assert!(client.packet().await.starts_with("0{"));
        compressing.push(client);
    }
    let mut plain = Client::join(host.address).await;
    let polling = Polling::join(host.address).await;
    let content = "äöü€ ".repeat(2000);
    let event = format!(r#"42["all","{content}"]"#);
    plain.send(&event).await;
    assert_eq!(plain.websocket.next().await, Came::Text(event.clone()));
    assert_eq!(polling.get().await.text(), event);
    let mut first = None;
    for client in &mut compressing {
        let (byte, payload) = raw(&mut client.websocket.wire).await;
        assert_eq!(byte, COMPRESSED_TEXT);
        assert!(payload.len() < event.len() / 10);
        assert_eq!(*first.get_or_insert_with(|| payload.clone()), payload);
        let mut frame = Vec::new();
        encode_frame(&mut frame, FrameKind { opcode: Opcode::Text, fin: true, rsv1: true }, &payload, None);
        client.websocket.came(&mut frame);
        assert!(client.websocket.next().await == Came::Text(event.clone()));
    }
    // With an attachment.
    compressing[0].send(r#"451-["all",{"_placeholder":true,"num":0}]"#).await;
    compressing[0].websocket.binary(&[9; 3000]).await;
    for client in &mut compressing {
        assert!(matches!(client.websocket.next().await, Came::Text(_)));
        assert!(client.websocket.next().await == Came::Binary(vec![9; 3000]));
    }
}

#[tokio::test]
async fn r125_a_message_is_sent_as_it_is_if_the_application_says_so() {
    let server = EngineServer::builder().per_message_deflate(THRESHOLD);
    let server = server.on_message(|socket: EngineSocket, message: Message| {
        socket.send_uncompressed(message.clone())?;
        socket.send(message)
    });
    let host = Host::start(server.build()).await;
    let (mut client, _) = opened(host.address, OFFER).await;
    client.binary(&[7; 5000]).await;
    assert_eq!(raw(&mut client.wire).await, (0x82, vec![7; 5000]));
    assert_eq!(raw(&mut client.wire).await.0, COMPRESSED_BINARY);
}

#[tokio::test]
async fn r125_an_event_is_sent_as_it_is_if_the_application_says_so() {
    let server = Server::builder().per_message_deflate(THRESHOLD).build();
    server
        .on("all", |socket: Socket, event: Event| {
            socket.namespace().broadcast().compress(false).emit("", event.payload())
        })
        .on("me", |socket: Socket, event: Event| socket.compress(false).emit("", event.payload()))
        .on("usual", |socket: Socket, event: Event| socket.compress(true).emit("", event.payload()));
    let host = Host::start(server).await;
    let target = format!("{PATH}?EIO=4&transport=websocket");
    let (mut websocket, _) = WebSocket::open_deflate(host.address, &target, OFFER).await;
    assert!(matches!(websocket.next().await, Came::Text(open) if open.starts_with('0')));
    websocket.text("40").await;
    assert!(matches!(websocket.next().await, Came::Text(reply) if reply.starts_with("40{")));
    for (event, first) in [("all", 0x81), ("me", 0x81), ("usual", COMPRESSED_TEXT)] {
        websocket.text(&format!(r#"42["{event}","{}"]"#, "x".repeat(3000))).await;
        assert_eq!(raw(&mut websocket.wire).await.0, first, "{event}");
        // With an attachment, which is compressed or not like its event. The event itself is too short.
        websocket.text(&format!(r#"451-["{event}",{{"_placeholder":true,"num":0}}]"#)).await;
        websocket.binary(&[9; 3000]).await;
        assert_eq!(raw(&mut websocket.wire).await.0, 0x81, "{event}");
        assert_eq!(raw(&mut websocket.wire).await.0, first + 1, "{event}");
    }
}

#[tokio::test]
async fn a_session_that_is_upgraded_compresses_on_its_websocket() {
    let host = Host::start(
        EngineServer::builder()
            .path(PATH)
            .per_message_deflate(THRESHOLD)
            .on_message(|socket: EngineSocket, message: Message| socket.send(message))
            .build(),
    )
    .await;
    let polling = Polling::open(host.address).await;
    let (mut websocket, terms) = WebSocket::open_deflate(host.address, &polling.websocket_target(), OFFER).await;
    assert_eq!(terms.as_deref(), Some(TERMS));
    websocket.text("2probe").await;
    assert_eq!(websocket.next().await, Came::Text("3probe".to_owned()));
    websocket.text("5").await;
    websocket.binary(&[1; 5000]).await;
    assert_eq!(raw(&mut websocket.wire).await.0, COMPRESSED_BINARY);
    assert_eq!(support::http::exchange(host.address, get(&polling.target())).await.status, 400);
}
