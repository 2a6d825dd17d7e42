//! The Socket.IO application: server, namespaces, sockets, events, acks, broadcasts.

mod answer;
mod application;
mod broadcast;
mod encoder;
mod kept;
mod namespace;
mod server;
mod socket;

pub use self::answer::Answer;
pub use self::broadcast::{Answers, Broadcast};
pub use self::namespace::{ConnectRequest, GuardResult, Namespace, Refusal, RoomEvent};
pub use self::server::{Server, ServerBuilder};
pub use self::socket::{Ack, Event, Socket};
