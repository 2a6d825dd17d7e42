//! Clients: a [`Client`] is the connection to a Socket.IO server, and a [`Socket`] is this client on one namespace. An [`EngineClient`] is a
//! session with an Engine.IO server. Adapters have the builders, such as `ClientBuilder` of `socketio-tokio`, whose page begins with an
//! example.
//!
//! * **Connect**: [`Client::socket`] creates a socket. Set its handlers, then call [`Socket::connect`]. [`Socket::connected`] waits for the
//!   outcome. The connection opens with the first socket, and closes with the last.
//! * **Handlers** are those of a server: functions and closures, sync or async, that take what they need ([`Handler`](crate::Handler)):
//!   [`Socket`], [`Event`](crate::Event), [`Data`](crate::Data), [`Ack`](crate::Ack), [`State`](crate::State). They may await anything,
//!   acks of their own connection included. Or take events one by one with [`Socket::recv`].
//! * **Emit**: never waits. While a socket is not connected, events are kept, and sent when it is. [`Socket::queued_bytes`] shows how much
//!   waits, and [`Socket::ready`] waits for capacity.
//! * **Reconnection** is automatic, with the reference's delays. [`Client::on_event`] tells what happens to the connection.
//! * **Delivery**: an event that was written and is lost with its connection is not sent again, unless the client has `retries`. With
//!   connection state recovery, which servers turn on, a client gets what it has missed ([`Socket::recovered`]).
//! * **Auth**: a fixed value of the builder, or a function for each attempt ([`Socket::auth`]).
//! * **Close**: [`Socket::disconnect`], [`Client::close`] and [`Client::closed`]. A connection also closes when its last handle is dropped.
//!
//! | JavaScript | Rust |
//! |---|---|
//! | `io(url, options)` | the builder of the adapter: `ClientBuilder::new(url)?.connect()` |
//! | `new Manager(url)`, `manager.socket("/admin")` | the builder's `build()`, [`Client::socket`] |
//! | `socket.connect()`, `socket.disconnect()` | [`Socket::connect`], [`Socket::disconnect`] |
//! | `socket.on("x", ..)`, `once`, `off`, `onAny`, `offAny` | [`Socket::on`], [`Socket::once`], [`Socket::off`], [`Socket::on_any`], [`Socket::off_any`] |
//! | `socket.on("connect", ..)`, `"connect_error"`, `"disconnect"` | [`Socket::on_connect`], [`Socket::on_connect_error`], [`Socket::on_disconnect`] |
//! | `socket.emit(..)`, `socket.volatile.emit(..)` | [`Socket::emit`], [`Socket::emit_volatile`] |
//! | `socket.emitWithAck(..)`, `socket.timeout(ms).emitWithAck(..)` | [`Socket::emit_with_ack`], [`Socket::emit_with_ack_timeout`] |
//! | the callback of an event | [`Ack`](crate::Ack), [`Event::ack`](crate::Event::ack) |
//! | `socket.id`, `connected`, `active`, `recovered` | [`Socket::id`], [`Socket::is_connected`], [`Socket::is_active`], [`Socket::recovered`] |
//! | `socket.io.on("reconnect_attempt", ..)` and the other events of the manager | [`Client::on_event`], [`ConnectionEvent`] |
//! | `socket.io.reconnection(false)`, `socket.io.engine.close()` | [`Client::set_reconnection`], [`Client::drop_connection`] |
//! | options `path`, `query`, `extraHeaders`, `withCredentials`, `protocols`, `transports`, `upgrade` | `path`, `query`, `headers`, `cookies`, `protocols`, `transports`, `upgrade` of the builder |
//! | options `tryAllTransports`, `rememberUpgrade`, `forceBase64` | the builder's `engine(..)`: fields of [`EngineConfig`] |
//! | options `auth`, `reconnection`, `reconnectionAttempts`, `reconnectionDelay`, `reconnectionDelayMax`, `randomizationFactor`, `timeout` | `auth` or [`Socket::auth`], `reconnection`, `reconnection_attempts`, `reconnection_delay`, `randomization_factor`, `open_timeout` |
//! | options `retries`, `ackTimeout`, `parser` | `retries`, `ack_timeout`, `parser` |
//! | a client of Socket.IO 2 | `eio3` |
//!
//! Not there: `socket.onAnyOutgoing`, `forceNew` (each builder makes a connection of its own).
//!
//! # For adapters
//!
//! | file | responsibility |
//! |---|---|
//! | `connector` | the interface that an adapter implements: makes one request, or upgrades one connection |
//! | `error` | why a request or a connection failed, and what to do about it |
//! | `target` | the URL of a server, and the URLs of requests |
//! | `cookies` | cookies that a server sets, such as those of load balancers |
//! | `http_client` | the requests and WebSockets of one client: URL, headers, cookies, compression, the WebSocket handshake |
//! | `inflate` | compressed responses |
//! | `settings`, `builder` | what a client is made of, and the methods of builders, as macros |
//! | `task` | the task of a client: machine, links, requests, deadlines |
//! | `state` | the types that handles and the task share |
//! | `socket`, `client` | the API |
//! | `application` | the events of the machine and the commands of the application |
//! | `arguments`, `failure` | what handlers are started with, and why a socket could not connect |
//! | `engine` | the Engine.IO client |
//!
//! An adapter implements [`Connector`], and has builders with the methods of `client_transport_settings!` and `client_settings!`, which call
//! [`ClientSettings::start`] and [`EngineClientSettings::start`]. A client has one task, which polls the futures of the connector; dropping
//! such a future aborts what it does.

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
