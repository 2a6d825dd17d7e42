//! The server side: one peer ([`Connection`]), the sockets on one namespace ([`Namespace`]), and the namespaces of a server
//! ([`Namespaces`]).
//!
//! How a server handles the events of its connections, on any runtime:
//!
//! | event | what to do |
//! |---|---|
//! | [`ConnectRequested`](crate::Event::ConnectRequested) | Look up the namespace with [`Namespaces::requested`]. If it does not exist, call [`Connection::refuse_unknown`]. Otherwise run the middleware, which decides now or later: call [`Connection::refuse`], or [`Connection::accept`] and then [`Namespace::add`]. Broadcasts that begin after `add` reach the socket. Send them only after the reply that `accept` has queued. |
//! | [`Received`](crate::Event::Received) | Run the handler. Answer with [`Connection::ack`]. |
//! | [`Acked`](crate::Event::Acked) | Pass the outcome to the code that waits for it. If the id is odd, it belongs to a broadcast: call [`Namespace::handle_ack`]. |
//! | [`Disconnecting`](crate::Event::Disconnecting) | Run the handler. The socket is still in its rooms. |
//! | [`Disconnected`](crate::Event::Disconnected) | Call [`Namespace::remove`], then run the handler. |
//! | [`Closed`](crate::Event::Closed) | Nothing: `Disconnected` was emitted for every socket. |

mod connection;
mod inbox;
mod machine;
mod namespace;
mod namespaces;
mod sockets;

pub use self::connection::Connection;
pub use self::namespace::{Namespace, NamespaceEvent, Operation, Recipients, ReservedAck, Target};
pub use self::namespaces::Namespaces;
