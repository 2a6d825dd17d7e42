//! The settings of a client, and its start. The builder methods are a macro, written once for the builders of all adapters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engineio_proto::Sid;
use engineio_proto::client::Config as EngineConfig;
use engineio_proto::server::Transport;
use http::HeaderMap;
use serde::Serialize;
use socketio_proto::client::{Auth, Client as Machine, Config, SocketOptions};
use socketio_proto::{EncodeError, Parser};

use super::application::{Local, NOT_AN_OBJECT, SocketIo};
use super::connector::Connector;
use super::cookies::CookieJar;
use super::http_client::HttpClient;
use super::state::{Client, ClientPeer, Handle, Shared};
use super::target::{InvalidUrl, Target};
use super::task::{self, Parts};
use crate::handler::MaxWaiting;
use crate::metrics::Counters;
use crate::peer::Peer;
use crate::runtime::Runtime;
use crate::socketio::States;
use crate::sync::lock;
use crate::tasks::Tasks;

/// The settings of the transport of a client: where the server is, and how to speak to it. An adapter's builder makes its methods with
/// [`client_transport_settings!`](crate::client_transport_settings).
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "for adapters only")]
pub struct TransportSettings {
    pub target: Target,
    pub headers: HeaderMap,
    pub cookies: bool,
    pub protocols: Vec<String>,
    pub deflate: Option<u32>,
    pub compression: bool,
    pub engine: EngineConfig,
}

/// The settings of a Socket.IO client. An adapter's builder has them in a field `settings`, and makes its methods with
/// [`client_settings!`](crate::client_settings).
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "for adapters only")]
pub struct ClientSettings<P> {
    pub transport: TransportSettings,
    pub namespace: String,
    pub socket: Config,
    pub options: SocketOptions,
    pub parser: P,
    auth: Option<serde_json::Value>,
    states: States,
    max_waiting: MaxWaiting,
}

impl TransportSettings {
    pub fn new(target: Target) -> Self {
        Self {
            target,
            headers: HeaderMap::new(),
            cookies: false,
            protocols: Vec::new(),
            deflate: None,
            compression: false,
            engine: EngineConfig::default(),
        }
    }

    #[allow(clippy::panic, reason = "the application's own mistake, told when it sets up its client")]
    pub fn set_transports(&mut self, transports: Vec<Transport>) {
        assert!(!transports.is_empty(), "a client needs at least one transport: polling, WebSocket or WebTransport");
        self.engine.transports = transports;
    }

    /// The HTTP client that these settings describe.
    pub(super) fn http<C: Connector>(&self, connector: C) -> HttpClient<C> {
        let mut http = HttpClient::new(connector, self.target.clone())
            .with_headers(self.headers.clone())
            .with_protocols(self.protocols.clone())
            .with_max_body(self.engine.max_payload);
        if self.cookies {
            http = http.with_cookies(CookieJar::new());
        }
        #[cfg(feature = "deflate")]
        {
            http = http.with_deflate(self.deflate.is_some());
        }
        #[cfg(feature = "compression")]
        {
            http = http.with_compression(self.compression);
        }
        http
    }
}

impl<P: Parser> ClientSettings<P> {
    pub fn new(url: &str, parser: P) -> Result<Self, InvalidUrl> {
        let (target, namespace) = Target::socketio(url)?;
        Ok(Self {
            transport: TransportSettings::new(target),
            namespace,
            socket: Config::default(),
            options: SocketOptions::default(),
            parser,
            auth: None,
            states: States::default(),
            max_waiting: MaxWaiting::DEFAULT,
        })
    }

    pub fn with_parser<Q: Parser>(self, parser: Q) -> ClientSettings<Q> {
        let Self { transport, namespace, socket, options, auth, states, max_waiting, .. } = self;
        ClientSettings { transport, namespace, socket, options, parser, auth, states, max_waiting }
    }

    pub fn set_auth(&mut self, auth: impl Serialize) -> Result<(), EncodeError> {
        let auth = serde_json::to_value(auth).map_err(|error| EncodeError::Serialize(error.to_string()))?;
        if !auth.is_object() {
            return Err(EncodeError::Serialize(NOT_AN_OBJECT.to_owned()));
        }
        self.auth = Some(auth);
        Ok(())
    }

    pub fn insert_state<T: Send + Sync + 'static>(&mut self, value: T) {
        self.states.insert(value);
    }

    pub fn set_max_waiting_handlers(&mut self, count: usize) {
        self.max_waiting.set_handlers(count);
    }

    /// Spawns the task of a client, which does nothing until a socket connects.
    pub fn start(self, connector: impl Connector, runtime: impl Runtime) -> Client<P> {
        let Self { transport, mut socket, mut options, parser, auth, states, max_waiting, .. } = self;
        let http = transport.http(connector);
        let TransportSettings { engine, deflate, .. } = transport;
        // The application decides for each attempt, see `SocketIo::auth_requested`.
        options.auth = Auth::Asked;
        // The mailbox counts what sockets keep, so that an event is refused before it is taken.
        socket.max_send_buffer = usize::MAX;
        let (max_payload, max_outbound) = (engine.max_payload, engine.limits.max_outbound);
        let shared = Shared::new(
            parser.clone(),
            socket.limits.max_attachments,
            options.retries.is_some(),
            engine.limits.soft_inbound,
            states,
        );
        let peer: Arc<ClientPeer<P>> = Arc::new(Peer::new(name(), max_outbound, shared));
        let tasks = Tasks::default();
        let handle = Arc::new(Handle { peer: Arc::clone(&peer), tasks: tasks.clone() });
        *lock(&peer.shared.handle) = Arc::downgrade(&handle);
        let machine = Machine::new(Arc::new(engine), parser, Arc::new(socket), seed());
        let application =
            SocketIo { counters: Counters::default(), max_waiting, auth, options, parser: std::marker::PhantomData };
        task::spawn(Parts {
            application,
            machine,
            local: Local::new(),
            peer,
            http,
            runtime,
            max_payload,
            deflate_threshold: deflate.unwrap_or_default(),
            tasks,
        });
        Client(handle)
    }
}

/// The name of a client in logs. The id of its session is another with each connection.
pub(super) fn name() -> Sid {
    static CLIENTS: AtomicU64 = AtomicU64::new(1);
    let number = CLIENTS.fetch_add(1, Ordering::Relaxed);
    Sid::new(&format!("client-{number}")).unwrap_or_else(|_| Sid::from_random([0; 15]))
}

/// The seed of the delays before attempts to connect again. They are no secret, so without randomness another number will do.
fn seed() -> u64 {
    let mut seed = [0; 8];
    match getrandom::fill(&mut seed) {
        Ok(()) => u64::from_le_bytes(seed),
        Err(_) => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
    }
}
