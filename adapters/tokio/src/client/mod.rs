//! The transport of clients on tokio: TCP, Unix sockets, TLS by rustls, and proxies. `socketio_driver::client` explains the parts.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use socketio_tokio::Tokio;
//! use socketio_tokio::client::{CookieJar, Dialer, HttpClient, HttpConnector, Proxies, Target};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (target, _namespace) = Target::socketio("wss://example.com")?;
//! // What many clients share.
//! let dialer = Arc::new(Dialer::new());
//! let connector = HttpConnector::new(Tokio, Arc::clone(&dialer), Proxies::from_environment()?);
//! let client = HttpClient::new(connector, target).with_cookies(CookieJar::new());
//! let websocket = client.connect_websocket("EIO=4&transport=websocket").await?;
//! # drop(websocket);
//! # Ok(())
//! # }
//! ```

mod builder;
mod dial;
mod io;
#[cfg(feature = "tls")]
mod tls;

pub use self::builder::{ClientBuilder, EngineClientBuilder};
pub use self::dial::Dialer;
pub use self::io::ClientIo;
#[cfg(feature = "tls")]
pub use self::tls::{ClientTls, ClientTlsBuilder, InvalidPin, InvalidTls, Pin};
pub use socketio_driver::client::*;
pub use socketio_hyper::client::*;
