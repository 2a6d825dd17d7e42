//! The client side: a [`Client`] is the connection to one server, and its sockets, one for each namespace.

mod auth;
mod backoff;
mod config;
mod event;
mod machine;
mod manager;
mod retries;
mod send_buffer;
mod socket;

pub use self::config::{Auth, Config, Retries, SocketOptions};
pub use self::event::{AuthRequest, ConnectError, Event, OpenError, ServerError};
pub use self::manager::Client;
