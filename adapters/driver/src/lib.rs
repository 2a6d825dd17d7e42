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
//! # Tasks
//!
//! Every session has one task, which owns its machine and its links. Requests, emits and broadcasts reach it through a mailbox. No lock is
//! held while handlers run.

// The simulation is shared with the integration tests, which refer to the crate by its name.
#[cfg(any(test, feature = "testkit"))]
extern crate self as socketio_driver;

mod body;
mod clock;
mod compression;
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
    Ack, Answer, Answers, Auth, Broadcast, ClientSource, ConnectRequest, Data, Event, EventName, Extension,
    FailureKind, FilterResult, HandlerFailure, HandlerKind, MiddlewareResult, Namespace, Recovery, Refusal, RoomEvent,
    RoomNames, Server, ServerBuilder, Socket, SocketSource, State, TryData,
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
    AckError, Args, Config as SocketConfig, DisconnectReason, EmitError, EncodeError, InvalidSocketId, Json,
    Limits as SocketLimits, Parser, Payload, ReadError, SocketId,
};
