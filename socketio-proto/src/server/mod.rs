//! The server side: one peer ([`Connection`]), the sockets on one namespace ([`Namespace`]), and the namespaces of a server
//! ([`Namespaces`]).
//!
//! How a server handles the events of its connections, on any runtime:
//!
//! | event | what to do |
//! |---|---|
//! | [`ConnectRequested`](crate::Event::ConnectRequested) | Look up the namespace with [`Namespaces::requested`]. If it does not exist, call [`Connection::refuse_unknown`]. (With namespaces that are created on demand, use [`Namespaces::enter`].) Otherwise run the middleware, which decides now or later: call [`Connection::refuse`], or [`Connection::accept`] and then [`Namespace::add`]. Broadcasts that begin after `add` reach the socket. Send them only after the reply that `accept` has queued. |
//! | [`Received`](crate::Event::Received) | Run the handler. Answer with [`Connection::ack`]. |
//! | [`Acked`](crate::Event::Acked) | Pass the outcome to the code that waits for it. If the id is odd, it belongs to a broadcast: call [`Namespace::handle_ack`]. |
//! | [`Disconnecting`](crate::Event::Disconnecting) | Run the handler. The socket is still in its rooms. |
//! | [`Disconnected`](crate::Event::Disconnected) | Call [`Namespace::remove`], then run the handler. |
//! | [`Upgraded`](crate::Event::Upgraded) | Tell the application, if it wants to know the transport. |
//! | [`Writable`](crate::Event::Writable) | Send again what was refused with `Full`. |
//! | [`Closed`](crate::Event::Closed) | Nothing: `Disconnected` was emitted for every socket. Drop the connection once `is_drained` returns true. |
//!
//! Clients of Socket.IO 1 and 2 use protocol 4, over revision 3 of Engine.IO ([`engineio_proto::Config::allow_eio3`]). A [`Connection`]
//! handles what differs for them: they join `/` without asking, so [`ConnectRequested`](crate::Event::ConnectRequested) for `/` is the first
//! event of such a connection; the query in the name of a namespace becomes the payload of CONNECT; their ids come from
//! [`Connection::socket_id`]; and they get the data of a refusal, or its message, in another form ([`Connection::refuse`]).
//!
//! A [`Namespace`] is driven on its own. To broadcast, encode the packet once, call [`Namespace::apply`], and pass the packet to
//! [`Connection::send`] of each recipient. For acks, use [`Namespace::reserve_ack`], [`Operation::EmitWithAck`],
//! [`Connection::send_with_ack`], and then [`Namespace::handle_ack`]. After every change, take [`Namespace::poll_event`] until it returns
//! `None`. Call [`Namespace::handle_timeout`] at [`Namespace::poll_timeout`].
//!
//! Clients can return after a lost connection if the namespace has recovery ([`Namespace::with_recovery`]). Then emit every event that has
//! no ack id and is not volatile, also to a single socket, with [`Operation::EmitWithOffset`]. Answer `ConnectRequested` with a
//! [`Claim`] by [`Namespace::restore`] and then [`Connection::accept_recoverable`] with what was missed, and other requests by
//! [`Connection::accept_recoverable`] and then [`Namespace::add_recoverable`]. Handle `Disconnected` by [`Namespace::suspend`].
//!
//! `adapters/tokio/examples/bare.rs` is a whole server without
//! the driver.

mod connection;
mod machine;
mod namespace;
mod namespaces;
mod protocol_4;
mod recovery;
mod sockets;

pub use self::connection::Connection;
pub use self::namespace::{Namespace, NamespaceCounts, NamespaceEvent, Operation, Recipients, ReservedAck, Target};
pub use self::namespaces::{ChildId, Entered, Namespaces, NoChild, ParentId};
pub use self::recovery::{Claim, Kept, RecoveryConfig, Restored};
