//! The client with a socket.io server of Node.js as its peer, over loopback.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests may panic")]

mod support;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use engineio_proto::{Instant, SendError};
use socketio_embedded::{Client, Config, EmitError, Event, Platform, SocketHandle, SocketOptions};
use socketio_proto::{Parser, Payload};
use support::{PATIENCE, server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Host {
    epoch: tokio::time::Instant,
    port: u16,
}

struct Stream(TcpStream);

impl ErrorType for Stream {
    type Error = ErrorKind;
}

impl Read for Stream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.read(buffer).await.map_err(|_| ErrorKind::Other)
    }
}

impl Write for Stream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.0.write(bytes).await.map_err(|_| ErrorKind::Other)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        self.0.flush().await.map_err(|_| ErrorKind::Other)
    }
}

impl Platform for Host {
    type Stream = Stream;
    type Error = io::Error;

    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    async fn sleep_until(&self, deadline: Instant) {
        if deadline == Instant::FAR_FUTURE {
            return std::future::pending().await;
        }
        tokio::time::sleep_until(self.epoch + deadline.saturating_duration_since(Instant::ZERO)).await;
    }

    fn random(&mut self) -> [u8; 16] {
        let half = || RandomState::new().hash_one(0);
        (u128::from(half()) << 64 | u128::from(half())).to_ne_bytes()
    }

    async fn connect(&self) -> io::Result<Stream> {
        TcpStream::connect(("127.0.0.1", self.port)).await.map(Stream)
    }
}

fn client<P: Parser>(port: u16, parser: P) -> Client<Host, P> {
    let mut config = Config::small(&format!("127.0.0.1:{port}"));
    config.socketio.reconnection_delay = Duration::from_millis(10);
    Client::with_parser(config, Host { epoch: tokio::time::Instant::now(), port }, parser)
}

async fn next<P: Parser>(client: &mut Client<Host, P>) -> Event {
    loop {
        let event =
            tokio::time::timeout(PATIENCE, client.next()).await.expect("no event").expect("the client has ended");
        if !matches!(event, Event::Opened | Event::Ping) {
            return event;
        }
    }
}

async fn connected<P: Parser>(client: &mut Client<Host, P>) -> SocketHandle {
    loop {
        if let Event::Connected { socket, .. } = next(client).await {
            return socket;
        }
    }
}

async fn received<P: Parser>(client: &mut Client<Host, P>, name: &str) -> Payload {
    match next(client).await {
        Event::Received { payload, .. } if payload.name() == Some(name) => payload,
        other => panic!("{other:?} instead of {name}"),
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// Events, binary, and acks in both directions.
async fn talk<P: Parser>(client: &mut Client<Host, P>, socket: SocketHandle) {
    client.emit(socket, "echo", &("text", 1)).unwrap();
    assert_eq!(received(client, "echo").await.read::<(String, u32)>().unwrap(), ("text".into(), 1));
    client.emit(socket, "echo", &(Bytes::from_static(b"\0\xff"),)).unwrap();
    assert_eq!(received(client, "echo").await.read::<(Bytes,)>().unwrap().0, b"\0\xff"[..]);
    let asked = client.emit_with_ack(socket, "ask", &(5,), Some(PATIENCE)).unwrap();
    match next(client).await {
        Event::Acked { id, outcome, .. } if id == asked => {
            assert_eq!(outcome.unwrap().read::<(u32,)>().unwrap(), (5,));
        }
        other => panic!("{other:?}"),
    }
    client.emit(socket, "question", &()).unwrap();
    match next(client).await {
        Event::Received { ack: Some(ack), payload, .. } => client.ack(ack, &payload.read::<(u32,)>().unwrap()).unwrap(),
        other => panic!("{other:?}"),
    }
    assert_eq!(received(client, "answer").await.read::<(u32,)>().unwrap(), (7,));
    client.emit(socket, "large", &(4096,)).unwrap();
    assert_eq!(received(client, "large").await.read::<(String,)>().unwrap().0.len(), 4096);
}

#[test]
fn events_binary_and_acks_pass_in_both_directions_in_two_namespaces() {
    let Some((_server, port)) = server(false) else { return };
    run(async {
        let mut client = client(port, socketio_proto::Json);
        for namespace in ["/", "/sensors"] {
            let socket = client.socket(namespace, SocketOptions::default()).unwrap();
            client.connect(socket);
            assert_eq!(connected(&mut client).await, socket);
            talk(&mut client, socket).await;
        }
        client.close();
        while client.next().await.is_some() {}
    });
}

#[cfg(feature = "msgpack")]
#[test]
fn the_client_speaks_msgpack() {
    let Some((_server, port)) = server(true) else { return };
    run(async {
        let mut client = client(port, socketio_proto::MsgPack);
        let socket = client.socket("/", SocketOptions::default()).unwrap();
        client.connect(socket);
        assert_eq!(connected(&mut client).await, socket);
        talk(&mut client, socket).await;
    });
}

#[test]
fn the_client_connects_again_after_a_cut_and_sends_what_was_emitted_meanwhile() {
    let Some((_server, port)) = server(false) else { return };
    run(async {
        let mut client = client(port, socketio_proto::Json);
        let socket = client.socket("/", SocketOptions::default()).unwrap();
        client.connect(socket);
        connected(&mut client).await;
        for _ in 0..3 {
            client.emit(socket, "cut", &()).unwrap();
            while !matches!(next(&mut client).await, Event::Disconnected { .. }) {}
            client.emit(socket, "echo", &("later",)).unwrap();
            connected(&mut client).await;
            received(&mut client, "echo").await;
        }
    });
}

#[test]
fn what_does_not_fit_is_refused_and_all_that_was_accepted_comes_back() {
    let Some((_server, port)) = server(false) else { return };
    run(async {
        let mut client = client(port, socketio_proto::Json);
        let socket = client.socket("/", SocketOptions::default()).unwrap();
        client.connect(socket);
        connected(&mut client).await;
        let text = "x".repeat(1000);
        let (mut sent, mut came) = (0, 0);
        for _ in 0..3 {
            let refused = loop {
                match client.emit(socket, "echo", &(sent, &text)) {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(refused, EmitError::Send(SendError::Full));
            while came < sent {
                match next(&mut client).await {
                    Event::Writable => {}
                    Event::Received { payload, .. } => {
                        assert_eq!(payload.get::<u32>(0).unwrap(), came);
                        came += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(sent > 3 * 5, "{sent} fit");
    });
}

#[test]
fn a_call_of_next_that_is_dropped_at_every_pause_loses_nothing() {
    let Some((_server, port)) = server(false) else { return };
    run(async {
        let mut client = client(port, socketio_proto::Json);
        let socket = client.socket("/", SocketOptions::default()).unwrap();
        client.connect(socket);
        connected(&mut client).await;
        for number in 0..50 {
            client.emit(socket, "echo", &(number,)).unwrap();
            let echoed = loop {
                // Gives the client one poll, then drops the call.
                let event = tokio::select! {
                    biased;
                    event = client.next() => event,
                    () = tokio::task::yield_now() => continue,
                };
                match event.unwrap() {
                    Event::Ping => {}
                    Event::Received { payload, .. } => break payload,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(echoed.read::<(u32,)>().unwrap(), (number,));
        }
    });
}
