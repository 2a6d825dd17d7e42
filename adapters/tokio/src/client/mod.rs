//! Clients on tokio: [`ClientBuilder`] makes a Socket.IO client, [`EngineClientBuilder`] an Engine.IO client. What clients can do, and a
//! table from JavaScript, is in the docs of [`socketio_driver::client`].
//!
//! ```no_run
//! use socketio_tokio::Data;
//! use socketio_tokio::client::{ClientBuilder, Socket};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = ClientBuilder::new("http://127.0.0.1:3000")?.build();
//!     let socket = client.socket("/");
//!     socket
//!         .on_connect(|socket: Socket| println!("connected as {}", socket.id().unwrap()))
//!         .on("news", |Data(text): Data<String>| println!("{text}"))
//!         .connect();
//!     let sum: f64 = socket.emit_with_ack("sum", (1, 2))?.await?.read()?;
//!     println!("{sum}");
//!     client.close();
//!     client.closed().await;
//!     Ok(())
//! }
//! ```
//!
//! * **TLS** (`https`, `wss`; feature `tls`): by rustls, with the roots of the operating system, own roots, client certificates or pinned
//!   certificates (`ClientTls`, [`Dialer`]).
//! * **WebTransport** (feature `webtransport`): list it in [`ClientBuilder::transports`]. It needs a server with a certificate that the
//!   settings of TLS trust, also if the URL is `http`, and goes through no proxy.
//! * **Proxies**: HTTP (`CONNECT`) and SOCKS5, given or from the environment ([`Proxies`], [`ClientBuilder::proxies`]).
//! * **Unix sockets and timeouts**: [`Dialer`].

mod builder;
mod connector;
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
