//! Parsers other than the default one: the example parser of the documentation of `socketio_proto::Parser`, and MessagePack. The client is
//! socket.io-client with the same format, with `custom_parser.mjs` and with socket.io-msgpack-parser 3.0.2.

#[expect(unreachable_pub, reason = "the file is an example for other crates")]
#[path = "../../../../socketio-proto/tests/custom_parser/compact.rs"]
mod compact;

use crate::group::{self, Counterpart, Group, Opposite, Runner};
use socketio_proto::Parser;
use socketio_proto::parser::MsgPack;
use socketio_tokio::{Event, Namespace, Server, Socket, serve};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// The checks of features that only this format has.
const MSGPACK_ONLY: &str = "what_json_does_not_have_comes_back";

/// The parser to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Compact,
    MsgPack,
}

pub(crate) fn groups() -> Vec<Group> {
    let group = |format, transport: &str, mode| {
        let (name, checks): (_, Vec<_>) = match format {
            Format::MsgPack => ("msgpack", checks().collect()),
            Format::Compact => ("custom", checks().filter(|check| check != MSGPACK_ONLY).collect()),
        };
        let name = format!("parsers::{name}::{transport}");
        Group { name, runner: Runner::Node, script: "parsers.mjs", mode, checks, opposite: Opposite::Parser(format) }
    };
    vec![
        group(Format::Compact, "polling", "custom polling"),
        group(Format::Compact, "websocket", "custom websocket"),
        group(Format::Compact, "upgrade", "custom upgrade"),
        group(Format::MsgPack, "polling", "msgpack polling"),
        group(Format::MsgPack, "websocket", "msgpack websocket"),
        group(Format::MsgPack, "upgrade", "msgpack upgrade"),
    ]
}

fn checks() -> impl Iterator<Item = String> {
    group::checks(include_str!("scripts/parsers.mjs")).into_iter()
}

/// A server in this process.
#[derive(Debug)]
pub(crate) struct Speaker {
    address: SocketAddr,
}

impl Speaker {
    /// An echo server with one of the parsers.
    pub(crate) fn start(format: Format) -> io::Result<Self> {
        match format {
            Format::Compact => Self::serving(echo(compact::Compact)),
            Format::MsgPack => Self::serving(echo(MsgPack)),
        }
    }

    /// Listens until the process ends.
    pub(crate) fn serving<P: Parser>(server: Server<P>) -> io::Result<Self> {
        let (bound, address) = mpsc::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                let Ok(()) = bound.send(listener.as_ref().map_err(io::Error::kind).and_then(address_of)) else {
                    return;
                };
                let Ok(listener) = listener else { return };
                serve(listener, server).await;
            });
        });
        let address = address.recv().map_err(io::Error::other)??;
        Ok(Self { address })
    }
}

fn address_of(listener: &TcpListener) -> Result<SocketAddr, io::ErrorKind> {
    listener.local_addr().map_err(|error| error.kind())
}

fn echo<P: Parser>(parser: P) -> Server<P> {
    let server = Server::builder().parser(parser).max_payload(4_000_000).build();
    on(&server.of("/"));
    on(&server.of("/custom"));
    server
}

fn on<P: Parser>(namespace: &Namespace<P>) {
    namespace
        .on_connect(|socket: Socket<P>| match socket.auth() {
            Some(auth) => socket.emit("auth", auth),
            None => socket.emit("auth", ()),
        })
        .on("message", |socket: Socket<P>, event: Event<P>| socket.emit("message-back", event.payload()))
        .on("message-with-ack", |_: Socket<P>, event: Event<P>| {
            let (payload, ack) = event.into_parts();
            ack.map_or(Ok(()), |ack| ack.send(payload))
        })
        .on("broadcast", |socket: Socket<P>, event: Event<P>| {
            socket.namespace().emit("broadcast-back", event.payload())
        })
        .on("disconnect-me", |socket: Socket<P>, _: Event<P>| socket.disconnect())
        .on("ask", |socket: Socket<P>, event: Event<P>| async move {
            match socket.emit_with_ack_timeout("question", event.payload(), Duration::from_secs(50))?.await {
                Ok(answer) => socket.emit("answer", &answer),
                Err(error) => socket.emit("answer-failed", error.to_string()),
            }
        });
}

impl Counterpart for Speaker {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, what: &str) -> Result<(), String> {
        Err(format!("unknown request of the script: {what:?}"))
    }

    fn fault(&mut self) -> Option<String> {
        None
    }

    fn transcript(&mut self) -> String {
        String::new()
    }
}
