//! Socket.IO and Engine.IO servers on tokio, hyper and tower.
//!
//! A [`Server`] holds namespaces, a [`Namespace`] holds handlers and sockets, a [`Socket`] is one client on one namespace. Handlers are
//! closures, sync or async; their arguments are named with their types. They may return `()` or a `Result`, whose error is logged.
//!
//! ```
//! use socketio_tokio::{ConnectRequest, DisconnectReason, Event, Refusal, Server, Socket};
//!
//! #[derive(serde::Deserialize)]
//! struct Auth {
//!     token: String,
//! }
//!
//! let server = Server::new();
//! server
//!     // Decides who may join, before there is a socket.
//!     .guard(|request: ConnectRequest| match request.auth().map(|auth| auth.get::<Auth>(0)) {
//!         Some(Ok(auth)) if auth.token == "secret" => Ok(()),
//!         _ => Err(Refusal::new("not authorised")),
//!     })
//!     .on_connect(|socket: Socket| socket.join("lobby"))
//!     // Arguments are read with serde: a tuple takes several, any other type the first.
//!     .on("rename", |socket: Socket, event: Event| -> Result<(), Box<dyn std::error::Error>> {
//!         let (old, new): (String, String) = event.read()?;
//!         socket.to("lobby").emit("renamed", (old, new))?;
//!         Ok(())
//!     })
//!     // A client that wants an answer gets what is acked; an async handler may wait, later events go on meanwhile.
//!     .on("who", async |socket: Socket, event: Event| {
//!         let answer = socket.emit_with_ack("name?", ())?.await;
//!         event.ack(answer.ok().and_then(|answer| answer.read::<String>().ok()))
//!     })
//!     .on_disconnect(|socket: Socket, reason: DisconnectReason| println!("{} left: {reason}", socket.id()));
//! ```
//!
//! * **Listen**: [`serve`] takes a tokio listener and the server. For axum or another tower stack there is [`SocketLayer`].
//! * **Send**: [`Socket::emit`], [`Socket::emit_with_ack`], and to many: [`Socket::to`], [`Namespace::to`], [`Namespace::emit`] and what
//!   [`Broadcast`] offers. Sending never waits; a peer that does not read fills its queue up to a limit, and `emit` says so.
//! * **Pull instead of handlers**: [`Socket::recv`] hands out events one at a time. While nobody takes them, the client is not read from.
//! * **Binary**: `bytes::Bytes` anywhere in what is emitted travels as an attachment, and is read back as `Bytes`.
//! * **Keep something with a client**: [`Socket::insert`] and [`Socket::get`]. It is there until the disconnect handler has returned.
//! * **End**: [`Serve::with_graceful_shutdown`], or [`Endpoint::shut_down`] where something else listens.
//! * **Settings and limits**: [`Server::builder`]; every queue has a limit, with the reference's defaults where it has one.
//! * **Only Engine.IO**: [`EngineServer`].
//! * **The state machines themselves** are `engineio-proto` and `socketio-proto`; the example `bare` is a server on them and threads.

mod layer;
mod runtime;
mod serve;

pub use self::layer::{SocketLayer, SocketService};
pub use self::runtime::{Stream, Tokio};
pub use self::serve::{Serve, serve};
pub use socketio_driver::*;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
