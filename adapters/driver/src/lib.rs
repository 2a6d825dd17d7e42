//! The runtime-independent half of a Socket.IO server: HTTP service, tasks of connections, application API.
//!
//! Applications use it through an adapter such as `socketio-tokio`, whose documentation shows the API. An adapter for another runtime or
//! another HTTP server provides three things:
//!
//! 1. A [`Runtime`]: spawns, sleeps, and reads the time.
//! 2. Its [`Stream`]: polled reads and writes.
//! 3. Code that passes requests to an [`Endpoint`] (a [`Server`] or an [`EngineServer`]) whose path matches. `socketio-hyper` does this for
//!    runtimes that hyper can run on. In essence:
//!
//! ```
//! use socketio_driver::{Body, Endpoint, RemoteAddress, Runtime, Upgrade};
//!
//! async fn answer<R: Runtime, E: Endpoint>(
//!     runtime: &R,
//!     endpoint: &E,
//!     address: std::net::SocketAddr,
//!     mut request: http::Request<String>,
//!     // The connection, if the response is `101`.
//!     upgrade: Option<Upgrade<R::Stream>>,
//! ) -> http::Response<Body> {
//!     if !endpoint.matches(request.uri().path()) {
//!         return socketio_driver::not_found(runtime, request).await;
//!     }
//!     request.extensions_mut().insert(RemoteAddress(address));
//!     endpoint.respond(runtime, request, upgrade).await
//! }
//! ```
//!
//! # Logs and metrics
//!
//! [`Server::metrics`] and [`EngineServer::metrics`] return counters as plain values. Logs go through `tracing`, with module paths as
//! targets; a filter such as `socketio_driver=debug` selects all of them. Fields are `session` (the id of the Engine.IO session),
//! `namespace`, `socket`, `handler`, `reason`, `error`.
//!
//! | target | level | what |
//! |---|---|---|
//! | `socketio_driver::session` | debug | the span `session`, with the field `id`, around each turn of a session and the handlers in it |
//! | `socketio_driver::engine` | debug | a session ended, with its reason: one message for each session, of both kinds of servers |
//! | | warn, error | a handler of an Engine.IO session failed or panicked; an outbound queue was full |
//! | `socketio_driver::socketio` | debug | a socket connected, was refused, disconnected (with its reason); a client violated the protocol |
//! | | warn, error | a handler failed; a handler, a middleware or an observer of rooms panicked; an outbound queue was full |
//! | | trace | an event has no handler |
//! | `socketio_driver::service` | debug | a request was refused, with its status and the reason |
//! | | error | a callback for requests panicked; the HTTP server offers no upgrades |
//! | `socketio_driver::server_task` | debug | a WebSocket failed |
//! | `socketio_driver::hub` | error | the operating system has no randomness |
//! | `socketio_hyper` | debug, error | a connection ended with an error; no connections can be accepted |
//!
//! What a peer can cause repeatedly is logged at its level once per session and kind of handler, and then at debug with its number `times`.
//! A span costs a check of its level when a session opens, and 8 bytes for each session. If the level is off at that time, the session
//! has no span. No lock is held while a subscriber runs, so a subscriber may use the server.
//!
//! # Limits
//!
//! Everything that a peer can make a server keep or do is bounded. `builder.x` is a method of [`ServerBuilder`] and mostly of
//! [`EngineServerBuilder`], `engine.x` a field in [`ServerBuilder::engine`] ([`EngineConfig`]), `socket.x` one in [`ServerBuilder::socket`]
//! ([`SocketConfig`]).
//!
//! | limit | setting | default | at the limit |
//! |---|---|---|---|
//! | head of a request, header lines | `max_head_bytes`, `max_headers` of `socketio_hyper::Settings` | 16 KiB, 100 | status 431 |
//! | head of a handshake, which is kept | `builder.max_head_bytes` | 16 KiB | status 431 |
//! | sessions | `builder.max_sessions` | none | status 503 |
//! | handshakes that wait for an async `allow_request` | `builder.max_waiting_requests` | 1024 | status 503 |
//! | time to open a session, or to upgrade one | `engine.upgrade_timeout` | 10 s | closed: `transport error`, or the upgrade fails |
//! | body of a POST, message of a WebSocket, inflated or not | `builder.max_payload` | 1 000 000 B | status 413 or close code 1009, and closed |
//! | chunks, time of a body | `engine.limits.max_body_chunks`, `engine.body_timeout` | 10 000, 30 s | closed: `transport error` |
//! | fragments of a WebSocket message | fixed | 16 384 | closed |
//! | packets in a body | as many as fit | | decoded one by one while the application takes them |
//! | unread packets | `engine.limits.soft_inbound`, each counts 40 B more | 64 KiB | the server does not read from the peer |
//! | | `engine.limits.max_inbound` | 16 MiB | closed: `transport error` |
//! | time for which the application does not read | `engine.limits.max_stall` | 5 min | closed: `transport error` |
//! | work of a turn | fixed | 4 reads, 2 × 128 events | other tasks run first |
//! | nesting of a payload | `socket.limits.max_depth` | 128 | closed: invalid packet |
//! | attachments of a packet | `socket.limits.max_attachments` | 10 | closed: invalid packet |
//! | bytes of these together | `socket.limits.max_attachment_bytes` | none but the sizes of messages | closed: invalid packet |
//! | ack id | fixed | 2^53 - 1, at most 16 digits | closed: invalid packet |
//! | length of a namespace | `socket.limits.max_namespace_length` | 512 B | `Invalid namespace` |
//! | namespaces of a connection | `socket.limits.max_namespaces` | 128 | `too many namespaces` |
//! | requests to join that wait | `socket.limits.max_pending` | 16 | `too many namespaces` |
//! | namespaces that clients create | `builder.max_child_namespaces` | 10 000 | `Invalid namespace` |
//! | time to join a first namespace, time of middleware | `builder.connect_timeout` | 45 s | closed, or refused with `timeout` |
//! | waiting handlers and middleware of a connection | `builder.max_waiting_handlers` | 1024 | the server does not read from the peer |
//! | bytes of their events | `builder.max_waiting_bytes` | 16 MiB | the server does not read from the peer |
//! | awaited acks of a connection | `socket.limits.max_awaited_acks` | 65 536 | the answer fails: `TooManyAcks` |
//! | outbound queue, each packet counts 40 B more | `engine.limits.max_outbound` | 16 MiB | see below |
//! | time for a polling client to take its last packets | `engine.close_timeout` | 30 s | dropped |
//! | silent peer | `builder.ping_interval`, `builder.ping_timeout` | 25 s, 20 s | closed: `ping timeout` |
//! | kept for clients that may come back | [`Recovery`] | | not recovered |
//!
//! Rooms, values of sockets and events that wait in [`Socket::recv`] are the application's: it decides what a client can make it keep there.
//! Events in `recv` count for `soft_inbound`.
//!
//! # Slow clients
//!
//! Sending never waits. What a client does not read fills the buffers of the operating system and then its outbound queue.
//!
//! * An emit to one socket fails when the queue is full: [`SendError::Full`]. [`Socket::ready`] waits until it is at most half full, so a
//!   task that sends much to one client goes as fast as the client reads.
//! * A volatile event is dropped unless it can be written at once.
//! * Any other broadcast closes the connection of a client whose queue is full, because the client would miss an event without noticing. It
//!   connects again, and is recovered if the server has recovery on.
//! * [`Server::on_backlog`] tells the application when a queue passes a mark, and when it has fallen to half of that, so that it can do
//!   something earlier. [`Socket::queued_bytes`] is the length of a queue, and [`EngineMetrics::longest_queue`] that of the longest.
//!
//! # Tasks
//!
//! Every session has one task, which owns its machine and its links. Requests, emits and broadcasts reach it through a mailbox. No lock is
//! held while handlers run.

// The simulation is shared with the integration tests, which refer to the crate by its name.
#[cfg(any(test, feature = "testkit"))]
extern crate self as socketio_driver;

mod backlog;
mod body;
mod builder;
pub mod client;
mod clock;
mod deflate;
mod endpoint;
mod engine;
mod engine_arguments;
mod extensions;
mod extract;
mod handler;
mod handshake;
mod http;
mod hub;
mod inbox;
mod link;
mod log_limit;
mod metrics;
mod peer;
mod runtime;
mod server_task;
mod service;
mod socketio;
mod spare;
mod sync;
mod tasks;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
mod timers;
mod turn;
mod upgrade;
mod webtransport;

pub use self::backlog::Backlog;
pub use self::body::{Body, Confirmation};
pub use self::endpoint::Endpoint;
pub use self::engine::{EngineServer, EngineServerBuilder, EngineSocket};
pub use self::extract::{Extract, HandlerInput, Source};
pub use self::handler::{Deferred, Failure, Handler, HandlerResult, Immediate, Outcome, Started};
pub use self::handshake::{Handshake, RemoteAddress, Secure};
#[cfg(feature = "compression")]
pub use self::http::Compression;
#[doc(hidden)]
pub use self::http::Decision;
pub use self::http::{ClientAddress, ConnectionError, Cookie, Cors, ErrorContext, Origins, Permission, SameSite};
pub use self::metrics::{Counts, EngineMetrics, Metrics};
pub use self::runtime::{Runtime, Stream};
pub use self::service::not_found;
pub use self::socketio::{
    Ack, Answer, Answers, Auth, Broadcast, ClientSource, ConnectRequest, Data, Event, EventName, EventSource,
    Extension, FailureKind, FilterResult, HandlerFailure, HandlerKind, MiddlewareResult, Namespace, Recovery, Refusal,
    RoomEvent, RoomNames, Server, ServerBuilder, Socket, SocketSource, State, StateSource, TryData,
};
pub use self::upgrade::Upgrade;
pub use engineio_proto::server::Transport;
pub use engineio_proto::{
    CloseReason, Config as EngineConfig, Limits as EngineLimits, LinkKind, Message, Revision, SendError, Sid, Text,
    Transports,
};
#[cfg(feature = "msgpack")]
pub use socketio_proto::MsgPack;
pub use socketio_proto::{
    AckError, Args, Config as SocketConfig, DisconnectReason, EmitError, EncodeError, InvalidSocketId, Json, JsonV4,
    Limits as SocketLimits, Parser, Payload, ReadError, SocketId,
};
