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
//!     .guard(|request: ConnectRequest| match request.read_auth::<Auth>() {
//!         Ok(auth) if auth.token == "secret" => Ok(()),
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
//! A handler that has state of its own and waits clones what its future is to own; with `?` it ends with [`Failure`]:
//!
//! ```
//! use std::sync::Arc;
//!
//! use socketio_tokio::{Event, Failure, Server, Socket};
//! use tokio::sync::Mutex;
//!
//! let server = Server::new();
//! let store = Arc::new(Mutex::new(Vec::<String>::new()));
//! server.on("keep", move |socket: Socket, event: Event| {
//!     let store = Arc::clone(&store);
//!     async move {
//!         let text: String = event.read()?;
//!         let mut store = store.lock().await;
//!         store.push(text);
//!         socket.emit("kept", store.len())?;
//!         Ok::<(), Failure>(())
//!     }
//! });
//! ```
//!
//! * **Listen**: [`serve`] takes a tokio listener and the server. For axum or another tower stack there is [`SocketLayer`].
//! * **Send**: [`Socket::emit`], [`Socket::emit_with_ack`], and to many: [`Socket::to`], [`Namespace::to`], [`Namespace::emit`] and what
//!   [`Broadcast`] offers. Sending never waits; a peer that does not read fills its queue up to a limit, and `emit` says so.
//! * **Pull instead of handlers**: [`Socket::recv`] hands out events one at a time. While nobody takes them, the client is not read from.
//! * **Binary**: `bytes::Bytes` anywhere in what is emitted travels as an attachment, and is read back as `Bytes`.
//! * **Keep something with a client**: [`Socket::insert`] and [`Socket::get`]. It is there until the disconnect handler has returned. A guard hands over
//!   what it found with [`ConnectRequest::insert`].
//! * **End**: [`with_graceful_shutdown`](Serve::with_graceful_shutdown), or [`Server::shut_down`] where something else listens ([`SocketLayer`] has it for axum).
//! * **Settings and limits**: [`Server::builder`]; every queue has a limit, with the reference's defaults where it has one.
//! * **Only Engine.IO**: [`EngineServer`].
//! * **The state machines themselves** are `engineio-proto` and `socketio-proto`; the example `bare` is a server on them and threads.
//! * **Logs**: `tracing`. Failures of handlers are warnings and their panics errors, once for each session and kind of handler, and at
//!   `debug` with their number after that: a client cannot fill the log. Who came, who went and why, refusals and what peers did wrong are
//!   at `debug`; events without a handler are at `trace`.
//!
//! # From JavaScript
//!
//! | JavaScript | here |
//! |---|---|
//! | `io.on("connection", ..)` | [`Server::on_connect`] |
//! | `socket.on("x", ..)` | [`Server::on`], once for all sockets; a second handler of the same name replaces the first |
//! | `socket.onAny(..)` | [`Server::on_any`] |
//! | `socket.on("disconnect", ..)`, `"disconnecting"` | [`Server::on_disconnect`], [`Server::on_disconnecting`] |
//! | `io.use((socket, next) => ..)` | [`Server::guard`]; `next(new Error("no"))` is `Err(Refusal::new("no"))` |
//! | `io.of("/admin")` | [`Server::of`] |
//! | `socket.handshake.auth`, `.headers`, `.address` | [`Socket::read_auth`], [`Socket::handshake`] |
//! | `socket.data` | [`Socket::insert`], [`Socket::get`]; in a guard [`ConnectRequest::insert`] |
//! | `socket.join("r")`, `socket.rooms.has("r")` | [`Socket::join`], [`Socket::is_in`] |
//! | `socket.to("r").emit(..)`, `socket.broadcast.emit(..)` | [`Socket::to`], [`Socket::broadcast`] |
//! | `io.to("r").except("s").emit(..)` | [`Server::to`], [`Broadcast::except`] |
//! | `io.emit(..)` | [`Server::emit`] |
//! | `socket.volatile.emit(..)` | [`Socket::emit_volatile`], [`Broadcast::volatile`] |
//! | the callback of an event | [`Event::ack`], [`Event::take_ack`] |
//! | `socket.emitWithAck(..)`, `socket.timeout(ms).emitWithAck(..)` | [`Socket::emit_with_ack`], [`Socket::emit_with_ack_timeout`] |
//! | `io.timeout(ms).emitWithAck(..)` | [`Broadcast::emit_with_ack`] |
//! | `io.in("r").fetchSockets()` | [`Broadcast::sockets`], [`Server::sockets`] |
//! | `io.in("r").socketsJoin("s")`, `.socketsLeave`, `.disconnectSockets()` | [`Broadcast::join`], [`Broadcast::leave`], [`Broadcast::disconnect`] |
//! | `socket.disconnect()`, `socket.disconnect(true)` | [`Socket::disconnect`], [`Socket::close`] |
//! | `io.engine.clientsCount` | [`Server::sessions`] |
//! | `io.close()` | [`Server::shut_down`] |
//! | options `path`, `pingInterval`, `pingTimeout`, `maxHttpBufferSize`, `connectTimeout` | [`ServerBuilder::path`], [`ServerBuilder::ping_interval`], [`ServerBuilder::ping_timeout`], [`ServerBuilder::max_payload`], [`ServerBuilder::connect_timeout`] |
//! | option `allowRequest` | [`ServerBuilder::allow_request`] |
//! | option `cors` | a layer of `tower-http` around [`SocketLayer`], which shows it |
//! | option `parser` | [`ServerBuilder::parser`] |

mod layer;
mod runtime;
mod serve;

pub use self::layer::{SocketLayer, SocketService};
pub use self::runtime::{AsyncStream, Stream, Tokio};
pub use self::serve::{Serve, Tcp, serve};
pub use socketio_driver::*;
pub use socketio_hyper::{Listener, Settings};

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
