//! The runtime-neutral half of a Socket.IO server: HTTP service, connection turns, application API.
//!
//! Applications use it through an adapter such as `socketio-tokio`, which adds a listener; who writes an adapter implements [`Runtime`]
//! and [`Stream`], and hands requests to an [`Endpoint`].

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
pub use self::handler::{Deferred, Handler, HandlerResult, Immediate, Outcome, Started};
pub use self::handshake::{Handshake, RemoteAddress};
pub use self::runtime::{Runtime, Stream};
pub use self::socketio::{
    Ack, Answer, Answers, Broadcast, ConnectRequest, Event, GuardResult, Namespace, Refusal, RoomEvent, Server,
    ServerBuilder, Socket,
};
pub use engineio_proto::{
    CloseReason, Config as EngineConfig, Limits as EngineLimits, Message, SendError, Sid, Text, Transports,
};
pub use socketio_proto::{
    AckError, Args, Config as SocketConfig, DisconnectReason, EmitError, Json, Limits as SocketLimits, Parser, Payload,
    ReadError,
};
