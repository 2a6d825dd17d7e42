//! Socket.IO as state machines: bytes and time in, actions out.
//!
//! [`server::Connection`] is one peer: its namespaces, events, acks and attachments, and the Engine.IO session that it owns.
//! [`server::Namespace`] holds all sockets on one namespace: their rooms, and the recipients of each broadcast. [`client::Client`] is the
//! other end: the connection to a server, which is opened again when it is lost, and its sockets. None of them reads a clock or a socket,
//! blocks, or panics on anything that a peer sends.
//!
//! A machine has four kinds of methods:
//!
//! * `handle*` methods take an input from outside. They cannot fail.
//! * Plain verbs (`emit`, `accept`, `close`, ...) are commands of the application.
//! * `poll_*` methods return what to write, what happened, and when the next timeout is due.
//! * Plain nouns (`session`, `fault`, ...) are getters.
//!
//! Pass in any number of inputs and commands, then poll until nothing is left, then wait for the next input or the deadline.
//! The caller is responsible for four things:
//!
//! * While `wants_input` returns false, stop reading from the peer's link until the application has taken events.
//! * Call `handle_timeout` at the time that `poll_timeout` returns. A call that comes too early does nothing, so timers need not be
//!   cancelled.
//! * After [`Transmit::CloseLink`](engineio_proto::server::Transmit::CloseLink), limit how long you wait for the peer to close, and then
//!   end the transport. The machine has no deadline for this.
//! * Once `is_drained` returns true, drop the connection and forget its session id.
//!
//! ```
//! use std::sync::Arc;
//!
//! use engineio_proto::server::{Input, Route, Server, Transmit};
//! use engineio_proto::{Instant, LinkId, LinkKind, RequestHead, Sid};
//! use socketio_proto::server::Connection;
//! use socketio_proto::{Config, Encoder, Event, Json, SocketId};
//!
//! // A client requests a WebSocket. A real server reads the head from the wire, and takes the 15 bytes from a secure generator.
//! let server = Server::new(engineio_proto::Config::default());
//! let head = RequestHead { method: "GET", query: "EIO=4&transport=websocket", origin: None, websocket: true };
//! let Route::Open(handshake) = server.route(&head) else { panic!("refused") };
//! let now = Instant::ZERO;
//! let session = handshake.accept(now, Sid::from_random([1; 15]));
//! let mut connection = Connection::new(now, session, Json, Arc::new(Config::default()));
//! let mut encoder = Encoder::new();
//!
//! let link = LinkId(1);
//! let mut written = Vec::new();
//! for input in [
//!     Input::LinkUp { link, kind: LinkKind::WebSocket },
//!     Input::LinkMessage { link, message: "40".into() },
//!     Input::LinkMessage { link, message: r#"427["message","hello"]"#.into() },
//! ] {
//!     connection.handle(now, input);
//!     loop {
//!         while let Some(transmit) = connection.poll_transmit() {
//!             if let Transmit::Link { frame, .. } = transmit {
//!                 written.push(String::from_utf8([frame.head(), frame.data()].concat())?);
//!             }
//!         }
//!         match connection.poll_event() {
//!             Some(Event::ConnectRequested(pending)) => {
//!                 connection.accept(now, pending, &SocketId::from_random([2; 15]))?;
//!             }
//!             Some(Event::Received { socket, payload, ack }) => {
//!                 assert_eq!((payload.name(), payload.get::<&str>(0)?), (Some("message"), "hello"));
//!                 connection.emit(&mut encoder, socket, "message-back", &payload)?;
//!                 if let Some(token) = ack {
//!                     connection.ack(&mut encoder, token, &("got it", 1))?;
//!                 }
//!             }
//!             Some(_) => {}
//!             // Nothing is left to do: wait for input, or until `connection.poll_timeout()`.
//!             None => break,
//!         }
//!     }
//! }
//! assert!(written[0].starts_with(r#"0{"sid":"#));
//! assert_eq!(written[1..], [
//!     r#"40{"sid":"AgICAgICAgICAgICAgIC"}"#,
//!     r#"42["message-back","hello"]"#,
//!     r#"437["got it",1]"#,
//! ]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The codec is in [`parser`], with an example. Implement [`Parser`] to support another wire format. The feature `testkit` adds
//! the simulated network of `engineio-proto`, with whole servers on it.
//!
//! The feature `portable-atomic` supports processors without compare-and-swap, such as the Cortex-M0; see the docs of
//! [`engineio_proto`]. [`engineio_proto::Arc`] is the `Arc` of the example above, on every processor.
//!
//! Source: Socket.IO protocol v5; socket.io and socket.io-client 4.8, socket.io-parser 4.2.7 and socket.io-adapter 2.5.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod ack;
mod arguments;
mod assembly;
pub mod client;
mod config;
mod error;
mod event;
mod few;
mod id;
mod inbox;
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
mod offset;
mod packet;
pub mod parser;
mod payload;
mod rooms;
mod rules;
pub mod server;
#[cfg(feature = "testkit")]
pub mod testkit;
mod values;

pub use self::config::{Config, Limits};
pub use self::error::{DecodeError, EmitError, EncodeError, Fault, ReadError};
pub use self::event::{AckError, AckId, AckToken, DisconnectReason, Event, Pending, SocketHandle};
pub use self::id::{InvalidSocketId, SocketId};
pub use self::offset::{Offset, PrivateId};
pub use self::packet::{Encoded, Outgoing, Packet, PacketType};
#[cfg(feature = "msgpack")]
pub use self::parser::MsgPack;
pub use self::parser::{Decoder, Encoder, Json, JsonV4, Parser};
pub use self::payload::{Args, ArgsSink, Payload, RawArgs};
pub use self::values::{Value, Values};
