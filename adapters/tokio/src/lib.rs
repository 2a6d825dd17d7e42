//! Socket.IO and Engine.IO servers on tokio, hyper and tower.
//!
//! A [`Server`] has namespaces. A [`Namespace`] has event handlers and sockets. A [`Socket`] is one client on one namespace. Handlers are
//! sync or async functions or closures whose parameters have explicit types: what they need, in any order (see [`Handler`]). They return
//! `()`, an `Option`, or a `Result`, whose error is logged.
//!
//! The methods of `Server` that are named like those of `Namespace` act on `/` only: middleware of `/` does not protect `/admin`. Each
//! namespace has its own middleware and handlers ([`Server::of`]). In these docs, *the reference* is socket.io 4.8 on Node.js.
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
//!     // Decides who may connect, before a socket is created.
//!     .middleware(|request: ConnectRequest| match request.read_auth::<Auth>() {
//!         Ok(auth) if auth.token == "secret" => Ok(()),
//!         _ => Err(Refusal::new("not authorised")),
//!     })
//!     .on_connect(|socket: Socket| socket.join("lobby"))
//!     // Arguments are read with serde: a tuple reads several, any other type reads the first.
//!     .on("rename", |socket: Socket, event: Event| -> Result<(), Box<dyn std::error::Error>> {
//!         let (old, new): (String, String) = event.read()?;
//!         socket.to("lobby").emit("renamed", (old, new))?;
//!         Ok(())
//!     })
//!     // `ack` answers a client that expects an answer. While an async handler waits, later events are handled.
//!     .on("who", async |socket: Socket, event: Event| {
//!         let answer = socket.emit_with_ack("name?", ())?.await;
//!         event.ack(answer.ok().and_then(|answer| answer.read::<String>().ok()))
//!     })
//!     .on_disconnect(|socket: Socket, reason: DisconnectReason| println!("{} left: {reason}", socket.id()));
//! ```
//!
//! A function takes the arguments of the event, the ack and the state of the server as parameters. With `?`, it returns [`Failure`]:
//!
//! ```
//! use std::sync::Arc;
//!
//! use socketio_tokio::{Ack, Data, Failure, Server, Socket, State};
//! use tokio::sync::Mutex;
//!
//! type Store = Arc<Mutex<Vec<String>>>;
//!
//! async fn keep(
//!     socket: Socket,
//!     Data((author, text)): Data<(String, String)>,
//!     State(store): State<Store>,
//!     ack: Ack,
//! ) -> Result<(), Failure> {
//!     let mut store = store.lock().await;
//!     store.push(text);
//!     socket.broadcast().emit("kept", (author, store.len()))?;
//!     ack.send("done")?;
//!     Ok(())
//! }
//!
//! let server = Server::builder().state(Store::default()).build();
//! server.on("keep", keep);
//! ```
//!
//! An `async` closure cannot capture, also if it is `async move`. If a closure has state of its own, it clones the state for its future,
//! an `async move` block:
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
//! * **Listen**: [`serve`] takes a tokio listener and the server. For axum or another tower stack, use [`SocketLayer`].
//! * **Send**: [`Socket::emit`] and [`Socket::emit_with_ack`] send to one socket. [`Socket::to`], [`Namespace::to`], [`Namespace::emit`]
//!   and [`Broadcast`] send to many. Sending never waits. If a peer does not read, its queue fills up to a limit. Then [`Socket::emit`]
//!   returns an error, and a broadcast closes the connection of that peer, because it would miss a packet. Volatile events are dropped
//!   instead.
//! * **Send to one socket by its id**, from any task: clone the `Server` and call `server.to(id).emit(..)`, or get the socket with
//!   `server.of("/").socket(id)`. A handler takes the server as an argument: `async fn publish(server: Server, ..)`.
//! * **Handlers of one socket**: [`Socket::on`], [`Socket::once`] and their like, usually set in the connect handler. They run before those
//!   of the namespace.
//! * **Look at every event**: [`Namespace::filter`] may change, answer or drop it. [`Namespace::on_any`] only sees it,
//!   [`Namespace::on_any_outgoing`] sees what is sent, and [`Namespace::on_unhandled`] gets the events that have no handler.
//! * **Answer when a handler fails**: by default, a client that waits for an ack gets none. See [`Namespace::on_error`].
//! * **Pull events instead of handling them**: [`Socket::recv`] returns events that have no handler, one at a time. Call it first in the
//!   connect handler: if it has not been called when that handler ends, such events are dropped. Above 64 KiB of untaken events
//!   ([`EngineLimits::soft_inbound`](EngineLimits)), the server stops reading from the client.
//! * **Binary**: `bytes::Bytes` anywhere in emitted data is sent as an attachment, and is read back as `Bytes`.
//! * **Store data with a client**: [`Socket::insert`] and [`Socket::get`]. The data is kept until the disconnect handler returns. A middleware
//!   passes data to the socket with [`ConnectRequest::insert`].
//! * **Store data that other processes can read**: [`Socket::set_data`] and [`Socket::data`], by serde.
//! * **Namespaces on demand**: [`Server::dynamic`] and [`Server::matching`] let clients create namespaces that you allow, for example one
//!   for each tenant. [`Server::get`] looks one up without creating it, and [`Server::remove`] removes one. Do not pass names from clients
//!   to [`Server::of`], because it creates a namespace that anybody may join. Middleware of the parent decides who may join a namespace
//!   that exists already.
//! * **Lose no events when connections break**: [`ServerBuilder::connection_state_recovery`].
//! * **End a socket or a connection**: [`Socket::disconnect`] has a table of the endings after which clients connect again.
//!   [`Socket::closed`] waits for the end.
//! * **Shut down**: [`with_graceful_shutdown`](Serve::with_graceful_shutdown), or [`Server::shut_down`] if another server listens (see
//!   [`SocketLayer`] for axum). [`Server::drain`] only refuses new sessions, and waits until the present ones have ended.
//! * **Protect**: [`ServerBuilder::allow_request`] decides about HTTP requests, [`Server::middleware`] about sockets.
//!   [`ServerBuilder::check_origin`] keeps pages of other origins from opening WebSockets, to which CORS does not apply.
//! * **TLS**: `serve_tls`, with the feature `tls`. Behind a proxy that ends TLS, see [`ServerBuilder::client_address`], and the folder
//!   `examples/proxies` for nginx and HAProxy.
//! * **WebTransport**: `serve_webtransport`, beside `serve`, with the feature `webtransport`.
//! * **Settings and limits**: [`Server::builder`]. Every queue has a limit. The default is that of the reference if it has one. The docs of
//!   [`socketio_driver`] have a table of all limits, and what happens to slow clients ([`Server::on_backlog`]).
//! * **Tests of handlers** in virtual time, without sockets: the feature `testkit`, see `socketio_tokio::testkit`.
//! * **Engine.IO alone**: [`EngineServer`].
//! * **The state machines** are in `engineio-proto` and `socketio-proto`. The examples `bare` and `bare_client` are a server
//!   and a client built on them with threads.
//! * **Logs**: through `tracing`. Errors of handlers are logged as warnings, and panics as errors, once per session and kind of handler. A
//!   handler that panics also closes its connection. [`Namespace::on_error`] replaces both.
//!   Repetitions are logged at `debug` with their number, so that a client cannot fill the log. Connects, disconnects with their reason,
//!   refusals and protocol errors of peers are at `debug`, in a span for each session. Events without a handler are at `trace`. The docs of
//!   [`socketio_driver`] have the list of targets.
//! * **Metrics**: [`Server::metrics`] returns counters as plain values: sessions, closes by reason, refusals and faults by kind, packets,
//!   bytes, handlers, queues, sockets, rooms, broadcasts.
//!
//! # Features
//!
//! All are off by default. A feature adds to the API, and changes nothing by itself.
//!
//! | feature | what |
//! |---|---|
//! | `compression` | `Compression`, for compressed responses to polls |
//! | `deflate` | `ServerBuilder::per_message_deflate`, for compressed WebSocket messages |
//! | `msgpack` | `MsgPack`, the parser of `socket.io-msgpack-parser` |
//! | `testkit` | the module `testkit`, for tests of applications in virtual time |
//! | `tls` | `serve_tls`, by rustls with the provider ring |
//! | `webtransport` | `serve_webtransport`, and WebTransport of clients, over QUIC by quinn; includes `tls` |
//!
//! # From JavaScript
//!
//! | JavaScript | Rust |
//! |---|---|
//! | `io.on("connection", ..)` | [`Server::on_connect`] |
//! | `socket.on("x", ..)` | [`Server::on`], once for all sockets, or [`Socket::on`]; a second handler for the same event replaces the first |
//! | `socket.once("x", ..)`, `socket.off("x")` | [`Socket::once`], [`Socket::off`] |
//! | `socket.onAny(..)`, `socket.onAnyOutgoing(..)` | [`Server::on_any`], [`Server::on_any_outgoing`]; [`Socket::on_any`], [`Socket::on_any_outgoing`] |
//! | `socket.on("disconnect", ..)`, `"disconnecting"` | [`Server::on_disconnect`], [`Server::on_disconnecting`]; [`Socket::on_disconnect`], [`Socket::on_disconnecting`] |
//! | `socket.use((event, next) => ..)` | [`Socket::filter`], or [`Server::filter`] for all sockets |
//! | `io.use((socket, next) => ..)` | [`Server::middleware`]; `next(new Error("no"))` is `Err(Refusal::new("no"))` |
//! | `io.of("/admin")` | [`Server::of`] |
//! | `io.of((name, auth, next) => ..)`, `io.of(/^\/dynamic-\d+$/)` | [`Server::dynamic`], [`Server::matching`] |
//! | `io.on("new_namespace", ..)` | [`Server::on_new_namespace`], [`Server::namespaces`], [`Server::get`] |
//! | option `cleanupEmptyChildNamespaces` | [`ServerBuilder::cleanup_empty_child_namespaces`] |
//! | `socket.handshake.auth`, `.headers`, `.address` | [`Socket::read_auth`], [`Socket::handshake`] |
//! | `socket.handshake.query.x`, `.url`, `.time`, `.secure`, `.xdomain`, `.issued` | [`Handshake::query_value`], [`Handshake::query`], [`Handshake::url`] and so on; the whole serialises |
//! | `socket.data` | [`Socket::set_data`], [`Socket::data`] for data that serialises; [`Socket::insert`], [`Socket::get`] for values of any type; in a middleware [`ConnectRequest::insert`] |
//! | `socket.join(["r", "s"])`, `socket.leave("r")`, `socket.rooms.has("r")` | [`Socket::join`], [`Socket::leave`], [`Socket::is_in`] |
//! | `socket.to("r").emit(..)`, `socket.broadcast.emit(..)` | [`Socket::to`], [`Socket::broadcast`] |
//! | `io.to("r").except("s").emit(..)` | [`Server::to`], [`Broadcast::except`] |
//! | `io.emit(..)` | [`Server::emit`] |
//! | `io.to(socketId).emit(..)`, `io.sockets.sockets.get(socketId)` | [`Server::to`], [`Server::socket`] |
//! | `io.of("/").adapter.on("join-room", ..)` | [`Server::on_room`], [`RoomEvent`] |
//! | `socket.conn.transport.name`, `socket.conn.on("upgrade", ..)` | [`Socket::transport`], [`Server::on_upgrade`] |
//! | `socket.conn.close()` | [`Socket::drop_connection`] |
//! | `socket.volatile.emit(..)` | [`Socket::emit_volatile`], [`Broadcast::volatile`] |
//! | the acknowledgement callback of an event | [`Event::ack`], [`Event::take_ack`] |
//! | `socket.emitWithAck(..)`, `socket.timeout(ms).emitWithAck(..)` | [`Socket::emit_with_ack`], [`Socket::emit_with_ack_timeout`] |
//! | `io.timeout(ms).emitWithAck(..)` | [`Broadcast::emit_with_ack`] |
//! | `io.in("r").fetchSockets()` | [`Broadcast::fetch_sockets`], [`Broadcast::sockets`], [`Broadcast::count`] |
//! | `io.in("r").socketsJoin("s")`, `.socketsLeave`, `.disconnectSockets()`, `.disconnectSockets(true)` | [`Broadcast::join`], [`Broadcast::leave`], [`Broadcast::disconnect`], [`Broadcast::close`] |
//! | `io.local.emit(..)` | [`Broadcast::local`] |
//! | `socket.disconnect()`, `socket.disconnect(true)` | [`Socket::disconnect`], [`Socket::close`] |
//! | `new Server({ allowEIO3: true })`, `socket.conn.protocol` | [`ServerBuilder::allow_eio3`], [`Handshake::revision`] |
//! | `io.engine.clientsCount` | [`Server::sessions`] |
//! | `io.close()` | [`Server::shut_down`] |
//! | options `path`, `pingInterval`, `pingTimeout`, `maxHttpBufferSize`, `connectTimeout` | [`ServerBuilder::path`], [`ServerBuilder::ping_interval`], [`ServerBuilder::ping_timeout`], [`ServerBuilder::max_payload`], [`ServerBuilder::connect_timeout`] |
//! | option `allowRequest` | [`ServerBuilder::allow_request`] |
//! | option `cors` | [`ServerBuilder::cors`]; or a layer of `tower-http`, with [`SocketLayer`] or [`Serve::layer`] |
//! | option `cookie` | [`ServerBuilder::cookie`] |
//! | options `connectionStateRecovery`, `socket.recovered` | [`ServerBuilder::connection_state_recovery`], [`Socket::recovered`] |
//! | option `perMessageDeflate` | `ServerBuilder::per_message_deflate`, with the feature `deflate` |
//! | option `httpCompression` | `ServerBuilder::compression`, with the feature `compression`; off by default |
//! | `io.engine.generateId = ..` | [`ServerBuilder::generate_id`] |
//! | `io.engine.on("initial_headers", ..)`, `"headers"` | [`ServerBuilder::initial_headers`], [`ServerBuilder::headers`] |
//! | `io.engine.on("connection_error", ..)` | [`ServerBuilder::on_connection_error`] |
//! | an `https` server | `serve_tls`, with the feature `tls` |
//! | `io.engine.onWebTransportSession(..)` | `serve_webtransport`, with the feature `webtransport` |
//! | option `parser` | [`ServerBuilder::parser`] |
//!
//! Not there yet: adapters for clusters and `io.serverSideEmit(..)`, the option `serveClient`,
//! the admin UI.

pub mod client;
mod layer;
mod runtime;
mod serve;
#[cfg(feature = "testkit")]
pub mod testkit;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "webtransport")]
mod webtransport;

pub use self::layer::{SocketLayer, SocketService};
pub use self::runtime::{AsyncStream, Stream, Tokio};
pub use self::serve::{Serve, Tcp, serve};
#[cfg(feature = "tls")]
pub use self::tls::{ServeTls, Tls, TlsStream, serve_tls};
#[cfg(feature = "webtransport")]
pub use self::webtransport::{
    DevelopmentCertificate, InvalidName, ServeWebTransport, WebTransport, serve_webtransport,
};
#[cfg(feature = "tls")]
pub use rustls;
pub use socketio_driver::*;
pub use socketio_hyper::{Listener, Settings};

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
