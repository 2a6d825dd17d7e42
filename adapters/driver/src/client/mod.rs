//! The transport of clients: what is between a client machine and the network, without the machine.
//!
//! | file | responsibility |
//! |---|---|
//! | `connector` | the interface that an adapter implements: makes one request, or upgrades one connection |
//! | `error` | why a request or a connection failed, and what to do about it |
//! | `target` | the URL of a server, and the URLs of requests |
//! | `cookies` | cookies that a server sets, such as those of load balancers |
//! | `http_client` | the requests and WebSockets of one client: URL, headers, cookies, compression, the WebSocket handshake |
//! | `inflate` | compressed responses |
//!
//! A driver makes one [`HttpClient`] for each client. It calls [`HttpClient::request`] for each `Transmit::Request` of the machine and
//! [`HttpClient::connect_websocket`] for each `Transmit::Connect`. The futures borrow nothing. `Transmit::Cancel`, and `Transmit::CloseLink`
//! before the link is up, are done by dropping the future. No tasks run outside these futures.

mod application;
mod arguments;
mod builder;
#[allow(clippy::module_inception, reason = "the client of the module")]
mod client;
mod connector;
mod cookies;
mod engine;
mod error;
mod failure;
mod http_client;
#[cfg(feature = "compression")]
mod inflate;
mod settings;
mod socket;
mod state;
mod target;
mod task;

pub use self::connector::{Connector, Upgraded};
pub use self::cookies::CookieJar;
pub use self::engine::{EngineClient, EngineClientSettings};
pub use self::error::{ConnectError, ProxyFault, TlsFault};
pub use self::failure::ConnectFailure;
pub use self::http_client::{ConnectedWebSocket, HttpClient};
pub use self::settings::{ClientSettings, TransportSettings};
pub use self::state::{AuthResult, Client, ConnectionEvent, Socket};
pub(crate) use self::state::{ClientPeer, Command};
pub use self::target::{InvalidUrl, Target};
pub use engineio_proto::client::Config as EngineConfig;
// For the macro of builders.
#[doc(hidden)]
pub use http::HeaderMap;
#[doc(hidden)]
pub use serde::Serialize;
pub use socketio_proto::client::{Config as SocketConfig, Retries};
