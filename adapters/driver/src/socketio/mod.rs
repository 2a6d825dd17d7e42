//! The Socket.IO application API: server, namespaces, sockets, events, acks, broadcasts.

mod answer;
mod application;
mod arguments;
mod broadcast;
mod connect_request;
mod data;
pub(crate) mod encoder;
mod event;
mod failure;
mod filter;
mod handlers;
mod members;
mod namespace;
mod outgoing;
mod own;
mod parents;
mod recovery;
mod registry;
mod room_names;
mod server;
mod socket;
mod state;
mod states;

pub use self::answer::Answer;
pub(crate) use self::answer::AnswerSink;
pub use self::arguments::{
    Auth, ClientSource, Data, EventName, EventSource, Extension, SocketSource, State, StateSource, TryData,
};
pub(crate) use self::arguments::{EventParts, SocketParts, taken};
pub use self::broadcast::{Answers, Broadcast};
pub(crate) use self::handlers::never_sent;
pub use self::recovery::Recovery;
pub use self::room_names::RoomNames;
pub use self::server::{Server, ServerBuilder};
pub(crate) use self::state::SharedHandler;
pub use self::state::{
    Ack, ConnectRequest, Event, FailureKind, FilterResult, HandlerFailure, HandlerKind, MiddlewareResult, Namespace,
    Refusal, RoomEvent, Socket,
};
pub(crate) use self::states::States;
