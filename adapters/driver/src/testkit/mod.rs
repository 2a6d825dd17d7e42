//! Tests of an application's handlers: a whole server with clients in virtual time, without sockets and threads.
//!
//! ```
//! use std::time::Duration;
//!
//! use socketio_driver::testkit::TestServer;
//! use socketio_driver::{Event, Server, Socket};
//!
//! let server = Server::new();
//! server.on("message", |socket: Socket, event: Event| socket.emit("message", event.payload()));
//!
//! let mut world = TestServer::new(&server);
//! let mut client = world.client().connect("/")?;
//! client.emit("message", "hi");
//! assert_eq!(client.receive::<String>("message"), "hi");
//! world.advance(Duration::from_secs(3600));
//! assert!(client.is_connected());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A server is a [`Server`](crate::Server) or an [`EngineServer`](crate::EngineServer). The clients of the latter, [`EngineClient`], send and
//! receive messages:
//!
//! ```
//! use socketio_driver::testkit::{Closed, TestServer};
//! use socketio_driver::{EngineServer, EngineSocket, Message};
//!
//! let server = EngineServer::new();
//! server.on_message(|socket: EngineSocket, message: Message| socket.send(message));
//!
//! let world = TestServer::new(&server);
//! let mut client = world.client().connect()?;
//! client.send("hi");
//! assert_eq!(client.receive_text(), "hi");
//! server.sockets().iter().for_each(EngineSocket::close);
//! assert_eq!(client.closed(), Closed::ByServer { code: None });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * **Clients**: [`TestServer::client`] makes one. It connects with `auth`, headers, a query and an address of its own, over a WebSocket
//!   or by polling. A refusal is an `Err` with the message and the data. [`Client::same_connection`] joins another namespace.
//! * **Events**: [`Client::emit`], [`Client::call`] (an ack of the server), [`Client::receive`], [`Client::receive_event`] (an ack of the
//!   client), [`Client::unread`], [`Client::assert_nothing_unread`]. What does not come is a panic that says what came instead.
//! * **Ends**: [`Client::disconnect`], [`Client::close`], [`Client::cut`] (the network fails), [`Client::stop_reading`] (a slow or silent
//!   client), [`Client::disconnected`] (the server ended it, and how), [`Client::reconnect`] (with connection state recovery, too).
//! * **Time** stands still while something can run. [`TestServer::advance`] lets it pass. Methods that wait for something let it pass, too,
//!   at most [`TestServer::set_patience`].
//! * **Order**: the seed of [`TestServer::with_seed`] decides which task runs first. [`for_each_seed`] runs a test with many.
//!
//! # Handlers that await
//!
//! Handlers may await whatever other tasks complete: acks, channels, locks, [`Socket::recv`](crate::Socket::recv). Timers and tasks of a
//! runtime (`tokio::time::sleep`, `tokio::spawn`) need that runtime: use the test kit of its adapter, `socketio_tokio::testkit`, whose
//! `TestServer` has tokio's clock in one time with the server's. Real I/O, threads and blocking calls are not in virtual time.
//!
//! The session ids are random, and so is the iteration order of a `HashMap` of the application. Everything else repeats with its seed.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic that says why"
)]

mod client;
mod engine;
mod line;
mod simulation;
mod world;

pub use self::client::{Client, Connect, ConnectError, Left, PendingAck, Received};
pub use self::engine::{Closed, EngineClient, EngineConnect};
pub use self::line::Transport;
pub use self::simulation::Companion;
pub use self::world::{TestServer, for_each_seed};

#[cfg(test)]
pub(crate) use self::simulation::{
    Ending, PipeEnd, PipeSettings, Reply, RequestBody, Sim, Upgrading, WebSocket, pipe, request, sid_of,
};
