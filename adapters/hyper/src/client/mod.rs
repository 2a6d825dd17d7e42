//! HTTP/1.1 with hyper for clients, on any runtime.
//!
//! An adapter such as `socketio-tokio` provides a [`Runtime`](socketio_driver::Runtime) and a [`Dial`]: TCP and TLS. [`HttpConnector`] does
//! the rest: it is the [`Connector`](socketio_driver::client::Connector) of one client.
//!
//! * **No tasks.** The future of a request drives the connection as well, so dropping it closes the connection, and nothing is left behind.
//! * **At most two connections are kept**, as a client that polls has a GET and a POST at the same time. A connection that the server closed
//!   meanwhile is replaced, and one that it will close soon (`Keep-Alive: timeout=`) is not used. A request is sent again only if hyper
//!   tells that nothing of it was written: a server may have acted on anything else, and a poll may have taken packets with it.
//! * **A WebSocket handshake is hyper's upgrade**, not a parser of its own: heads are parsed and limited by the same code as those of
//!   polls, and hyper returns the bytes that it has read beyond the response.
//! * **Proxies** ([`Proxies`]): `http`, `https`, `socks5`, `socks5h`.
//!
//! # Limits
//!
//! | limit | value | at the limit |
//! |---|---|---|
//! | head of a response | 64 KiB, 100 lines | `ConnectError::InvalidResponse` |
//! | body of a response | the caller's | `ConnectError::BodyTooLarge` |
//! | body of a response that refuses an upgrade | 4 096 B, 2 s | the rest is not read |
//! | kept connections | 2, for 50 s or as long as the server announces, less 1 s | closed |
//! | handshake with a proxy | 20 s | `ProxyFault::TimedOut` |
//! | connecting, TLS | those of [`Dial`] | `ConnectError::Unreachable`, `ConnectError::Tls` |
//!
//! A request has no limit in time here, because a poll may be held for long. The driver drops its future.
//!
//! # Files
//!
//! | file | responsibility |
//! |---|---|
//! | `connector` | one client's requests and upgrades |
//! | `dial` | the interface to TCP and TLS |
//! | `connection` | a request and its response on one connection |
//! | `switch` | a request after which the connection leaves HTTP |
//! | `pool` | connections that wait for their next request |
//! | `proxy/` | which proxy a connection takes, and the handshakes with proxies |

mod connection;
mod connector;
mod dial;
mod pool;
mod proxy;
mod switch;

pub use self::connector::HttpConnector;
pub use self::dial::Dial;
pub use self::proxy::{InvalidProxy, Proxies};
