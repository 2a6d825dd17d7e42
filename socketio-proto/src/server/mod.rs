//! The server's half: one peer ([`Connection`]), everybody on one namespace ([`Namespace`]), and the namespaces that there are
//! ([`Namespaces`]).
//!
//! What a server does with the events of its connections, whatever it runs on:
//!
//! | event | what to do |
//! |---|---|
//! | [`ConnectRequested`](crate::Event::ConnectRequested) | [`Namespaces::requested`]; there is none: [`Connection::refuse_unknown`]. Run the middleware, which decides now or later: [`Connection::refuse`], or [`Connection::accept`] and then [`Namespace::add`]. Broadcasts that begin after `add` reach the socket; send what it gets only after the reply that `accept` has queued. |
//! | [`Received`](crate::Event::Received) | run the handler; answer with [`Connection::ack`] |
//! | [`Acked`](crate::Event::Acked) | hand it to whoever waits: an odd id is a broadcast's, for [`Namespace::handle_ack`] |
//! | [`Disconnecting`](crate::Event::Disconnecting) | run the handler, which still finds the rooms |
//! | [`Disconnected`](crate::Event::Disconnected) | [`Namespace::remove`], then run the handler |
//! | [`Closed`](crate::Event::Closed) | nothing: every socket has had its `Disconnected` |

mod connection;
mod inbox;
mod machine;
mod namespace;
mod namespaces;
mod sockets;
mod timers;

pub use self::connection::Connection;
pub use self::namespace::{Namespace, NamespaceEvent, Operation, Recipients, ReservedAck, Target};
pub use self::namespaces::Namespaces;
