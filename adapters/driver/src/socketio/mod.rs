//! The Socket.IO application API: server, namespaces, sockets, events, acks, broadcasts.

mod answer;
mod application;
mod arguments;
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
mod states;

pub use self::answer::Answer;
pub use self::arguments::{Auth, ClientSource, Data, EventName, Extension, SocketSource, State, TryData};
pub use self::broadcast::{Answers, Broadcast};
pub use self::server::{Server, ServerBuilder};
pub use self::state::{Ack, ConnectRequest, Event, MiddlewareResult, Namespace, Refusal, RoomEvent, Socket};
