//! The client side: a [`Client`] is the machine of one session with a server, from the handshake to its end. It can be opened again.
//!
//! The client *asks for* I/O ([`Transmit`]): a request, a link, a packet on a link. The driver performs it and passes in what happened
//! ([`Input`]). The driver owns the URL, the path, headers, cookies, proxies and TLS; the machine makes the part of the query that belongs to
//! the protocol.
//!
//! Source: engine.io-client `lib/socket.ts`, `lib/transports/polling.ts`, `websocket.ts`, `webtransport.ts`.

mod config;
mod io;
mod machine;
mod polling;
mod session;
mod upgrade;

pub use self::config::Config;
pub use self::io::{Input, Method, Transmit};
pub use self::session::Client;
pub use crate::handshake::Handshake;
