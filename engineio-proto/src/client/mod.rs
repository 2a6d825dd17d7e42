//! The client side: a [`Client`] is the machine of one session with a server, from the handshake to its end. It can be opened again.
//!
//! The client *asks for* I/O ([`Transmit`]): a request, a link, a packet on a link. The driver performs it and passes in what happened
//! ([`Input`]). The driver owns the URL, the path, headers, cookies, proxies and TLS; the machine makes the part of the query that belongs to
//! the protocol.
//!
//! # What differs from the reference
//!
//! | | reference | here |
//! |---|---|---|
//! | a malformed open packet | an exception, or a session without an id | the session ends |
//! | another open packet | opens the session again, with what it says | ignored |
//! | packets before the open packet | delivered | the session ends |
//! | a close packet on a link | ignored | the session ends with `transport close` |
//! | text that is not UTF-8, and what is almost base64 | is repaired | the session ends with `parse error` |
//! | the size of a POST | estimated | exact |
//! | a pong over polling | waits behind queued messages | leaves with the next POST |
//! | a probe that answers something else | its link stays open | its link is closed |
//! | a probe that fails after its answer | the client never polls again | the client polls again |
//! | how long opening, a probe, and a close may take | not limited | [`Config::open_timeout`], [`Config::upgrade_timeout`], [`Config::close_timeout`] |
//! | what is queued and not read | not limited | [`Config::limits`] |
//! | the parameter `t` against caches | in every request | left to the driver: servers forbid caches to store answers |
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
pub use self::machine::ClientMachine;
pub use self::session::Client;
pub use crate::handshake::Handshake;
