//! A Socket.IO client for bare metal: `no_std` with `alloc`, one task, no locks, no channels.
//!
//! The protocol is that of [`socketio_proto`]. This crate connects it to a byte stream of [`embedded_io_async`], a clock and a source of
//! random bytes, which the [`Platform`] supplies. [`Client::next`] runs everything, and returns the events of the server.
//!
//! The client opens its session over a WebSocket at once. It does not poll.
//!
//! It writes or reads, and never both at once: while the server takes nothing, nothing is read either. A server that takes nothing for as
//! long as its pings may be late has lost the client.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod client;
mod config;
mod line;
mod platform;
mod race;

pub use client::Client;
pub use config::Config;
pub use platform::Platform;

pub use socketio_proto::client::{ConnectError, Event, SocketOptions};
pub use socketio_proto::{self as proto, AckId, AckToken, EmitError, Json, SocketHandle};
