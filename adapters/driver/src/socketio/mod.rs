//! The Socket.IO application API: server, namespaces, sockets, events, acks, broadcasts.

mod answer;
mod application;
mod broadcast;
mod connect_request;
mod encoder;
mod event;
mod extensions;

mod handlers;
mod members;
mod namespace;
mod parents;
mod registry;
mod server;
mod socket;
mod state;

pub use self::answer::Answer;
pub use self::broadcast::{Answers, Broadcast};
pub use self::server::{Server, ServerBuilder};
pub use self::state::{Ack, ConnectRequest, Event, MiddlewareResult, Namespace, Refusal, RoomEvent, Socket};
