//! The builders of clients on tokio.

use std::fmt;
use std::sync::Arc;

use socketio_driver::client::{Client, ClientSettings, EngineClient, EngineClientSettings, InvalidUrl, Socket};
use socketio_driver::{Json, JsonV4, Parser, Revision};
use socketio_hyper::client::Proxies;

use super::Dialer;
use super::connector::connector;
use crate::runtime::Tokio;

/// The methods for the network of this adapter.
macro_rules! transport_methods {
    () => {
        /// Dials with these settings: TLS, timeouts, a Unix socket. Many clients may share them.
        pub fn dialer(mut self, dialer: impl Into<Arc<Dialer>>) -> Self {
            self.dialer = dialer.into();
            self
        }

        /// Connects through proxies. Default: none, whatever the environment says. See [`Proxies::from_environment`].
        pub fn proxies(mut self, proxies: Proxies) -> Self {
            self.proxies = proxies;
            self
        }

        /// Offers permessage-deflate for WebSockets. Messages of at least `threshold` bytes are compressed, if the server agrees. Default: off.
        #[cfg(feature = "deflate")]
        pub fn per_message_deflate(mut self, threshold: u32) -> Self {
            self.settings.transport.deflate = Some(threshold);
            self
        }

        /// Accepts compressed responses to polls. Default: off.
        #[cfg(feature = "compression")]
        pub fn compression(mut self, accept: bool) -> Self {
            self.settings.transport.compression = accept;
            self
        }
    };
}

/// Configures a [`Client`].
///
/// ```no_run
/// use socketio_tokio::client::{ClientBuilder, Socket};
/// use socketio_tokio::Data;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ClientBuilder::new("http://127.0.0.1:3000")?.auth(serde_json::json!({ "token": "secret" }))?.build();
/// let socket = client.socket("/");
/// socket
///     .on_connect(|socket: Socket| println!("connected as {:?}", socket.id()))
///     .on("news", |Data(text): Data<String>| println!("{text}"))
///     .connect();
/// let sum: f64 = socket.emit_with_ack("sum", (1, 2))?.await?.read()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ClientBuilder<P: Parser = Json> {
    settings: ClientSettings<P>,
    dialer: Arc<Dialer>,
    proxies: Proxies,
}

impl ClientBuilder {
    /// A client for the server at this URL (`http`, `https`, `ws`, `wss`). Its path is the namespace of [`ClientBuilder::connect`].
    ///
    /// # Errors
    /// If the URL is not valid, or has no scheme.
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        let settings = ClientSettings::new(url, Json)?;
        Ok(Self { settings, dialer: Arc::new(Dialer::new()), proxies: Proxies::none() })
    }
}

impl<P: Parser> ClientBuilder<P> {
    socketio_driver::client_transport_settings!();
    socketio_driver::client_settings!();

    /// Uses another parser than that of JSON. The server must use the same one.
    pub fn parser<Q: Parser>(self, parser: Q) -> ClientBuilder<Q> {
        let Self { settings, dialer, proxies } = self;
        ClientBuilder { settings: settings.with_parser(parser), dialer, proxies }
    }

    /// Connects to a server of Socket.IO 1 or 2: Engine.IO revision 3, and their JSON. The `auth` goes into the query of a namespace, except
    /// for `/`, where such a server reads [`ClientBuilder::query`].
    pub fn eio3(self) -> ClientBuilder<JsonV4> {
        self.parser(JsonV4).engine(|engine| engine.revision = Revision::V3)
    }

    transport_methods!();

    /// Creates the client. It connects when the first of its sockets does ([`Client::socket`], [`Socket::connect`]). Its task is spawned on
    /// the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn build(self) -> Client<P> {
        let Self { settings, dialer, proxies } = self;
        settings.start(connector(dialer, proxies), Tokio)
    }

    /// Creates the client, and connects the socket of the namespace in the URL's path (`/` without a path). To set handlers before
    /// anything can arrive, use [`ClientBuilder::build`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn connect(self) -> Socket<P> {
        let namespace = self.settings.namespace.clone();
        let socket = self.build().socket(&namespace);
        socket.connect();
        socket
    }
}

impl<P: Parser> fmt::Debug for ClientBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("target", &self.settings.transport.target).finish_non_exhaustive()
    }
}

/// Configures an [`EngineClient`].
///
/// ```no_run
/// use socketio_tokio::Message;
/// use socketio_tokio::client::EngineClientBuilder;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = EngineClientBuilder::new("ws://127.0.0.1:3000/engine.io/")?.connect();
/// client.send("hello")?;
/// while let Some(message) = client.recv().await {
///     println!("{message:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct EngineClientBuilder {
    settings: EngineClientSettings,
    dialer: Arc<Dialer>,
    proxies: Proxies,
}

impl EngineClientBuilder {
    /// A client for the server at this URL (`http`, `https`, `ws`, `wss`). If it has a path, that is the server's, otherwise it is
    /// `/engine.io/`.
    ///
    /// # Errors
    /// If the URL is not valid, or has no scheme.
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        let settings = EngineClientSettings::new(url)?;
        Ok(Self { settings, dialer: Arc::new(Dialer::new()), proxies: Proxies::none() })
    }

    socketio_driver::client_transport_settings!();
    transport_methods!();

    /// Creates the client, without opening a session. Its task is spawned on the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn build(self) -> EngineClient {
        let Self { settings, dialer, proxies } = self;
        settings.start(connector(dialer, proxies), Tokio)
    }

    /// Creates the client, and opens a session.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn connect(self) -> EngineClient {
        let client = self.build();
        client.open();
        client
    }
}

impl fmt::Debug for EngineClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineClientBuilder").field("target", &self.settings.transport.target).finish_non_exhaustive()
    }
}
