//! The runtime-neutral half of a Socket.IO server: HTTP service, connection turns, application API.
//!
//! Applications use it through an adapter such as `socketio-tokio`, whose page shows the API. Who writes an adapter, for another runtime
//! or another HTTP server, brings three things:
//!
//! 1. A [`Runtime`]: how to spawn, how to sleep, and how to take the raw stream out of an upgraded connection.
//! 2. Its [`Stream`]: polled reads and writes.
//! 3. Something that hands requests to an [`Endpoint`] (a [`Server`] or an [`EngineServer`]) whose path matches:
//!
//! ```
//! use socketio_driver::{Body, Endpoint, RemoteAddress, Runtime};
//!
//! async fn answer<R: Runtime, E: Endpoint>(
//!     runtime: &R,
//!     endpoint: &E,
//!     address: std::net::SocketAddr,
//!     mut request: http::Request<hyper::body::Incoming>,
//! ) -> Option<http::Response<Body>> {
//!     if !endpoint.matches(request.uri().path()) {
//!         return None;
//!     }
//!     request.extensions_mut().insert(RemoteAddress(address));
//!     // hyper has put its `OnUpgrade` among the extensions already.
//!     Some(endpoint.respond(runtime, request).await)
//! }
//! ```
//!
//! Every session gets one task, which owns its machine and links and takes turns; everybody else (requests, emits, broadcasts) reaches it
//! through a mailbox. Nothing is locked while handlers run.

mod body;
mod clock;
mod endpoint;
mod engine;
mod handler;
mod handshake;
mod hub;
mod inbox;
mod link;
mod peer;
mod runtime;
mod service;
mod socketio;
mod spare;
mod sync;
mod timers;
mod turn;

pub use self::body::Body;
pub use self::endpoint::Endpoint;
pub use self::engine::{EngineServer, EngineServerBuilder, EngineSocket};
pub use self::handler::{Deferred, Failure, Handler, HandlerResult, Immediate, Outcome, Started};
pub use self::handshake::{Handshake, RemoteAddress};
pub use self::runtime::{Runtime, Stream};
pub use self::socketio::{
    Ack, Answer, Answers, Broadcast, ConnectRequest, Event, GuardResult, Namespace, Refusal, RoomEvent, Server,
    ServerBuilder, Socket,
};
pub use engineio_proto::{
    CloseReason, Config as EngineConfig, Limits as EngineLimits, Message, SendError, Sid, Text, Transports,
};
#[cfg(feature = "msgpack")]
pub use socketio_proto::MsgPack;
pub use socketio_proto::{
    AckError, Args, Config as SocketConfig, DisconnectReason, EmitError, Json, Limits as SocketLimits, Parser, Payload,
    ReadError,
};
