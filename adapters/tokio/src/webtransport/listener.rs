//! The listener of a server for WebTransport, and its shutdown.

use std::fmt;
use std::future::{Future, IntoFuture, Pending, pending};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{StatusCode, Uri, Version};
use rustls::ServerConfig;
use socketio_driver::{Endpoint, RemoteAddress, Secure};
use tokio::time::{Instant, sleep_until, timeout};
use wtransport::VarInt;
use wtransport::endpoint::endpoint_side::Server as ServerSide;
use wtransport::endpoint::{IncomingSession, SessionRequest};
use wtransport::quinn::crypto::rustls::QuicServerConfig;

use super::limits;
use super::stream::SessionStream;
use crate::runtime::{Stream, Tokio};

/// How long a peer may take from its first packet to its request for a session.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The default of [`WebTransport::with_max_pending`].
const MAX_PENDING: usize = 1024;
/// The default deadline of a graceful shutdown.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait until the peers have noticed that their connections are closed.
const LAST_PACKETS: Duration = Duration::from_secs(1);

/// A UDP socket on which WebTransport sessions are accepted.
///
/// Browsers connect to the address of the page or of the URL, so bind it to the port number of the TCP listener. The configuration has the
/// certificate and its key, as that of [`Tls`](crate::Tls). For development, see [`DevelopmentCertificate`](super::DevelopmentCertificate).
pub struct WebTransport {
    endpoint: wtransport::Endpoint<ServerSide>,
    max_pending: usize,
}

impl WebTransport {
    /// Creates a listener on this socket. Sets the ALPN protocol of the configuration to `h3`, because WebTransport needs HTTP/3.
    ///
    /// # Errors
    /// If the configuration does not allow TLS 1.3 with `TLS13_AES_128_GCM_SHA256`, which QUIC needs, or the operating system refuses the
    /// socket.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(socket: UdpSocket, mut config: ServerConfig) -> io::Result<Self> {
        config.alpn_protocols = vec![wtransport::proto::WEBTRANSPORT_ALPN.to_vec()];
        let crypto = QuicServerConfig::try_from(config)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
        let mut quic = wtransport::quinn::ServerConfig::with_crypto(Arc::new(crypto));
        quic.transport_config(limits::transport());
        let config = wtransport::ServerConfig::builder().with_bind_socket(socket).build_with_quic_config(quic);
        Ok(Self { endpoint: wtransport::Endpoint::server(config)?, max_pending: MAX_PENDING })
    }

    /// Maximum number of connections at the same time that have no Engine.IO session yet: they do the handshake of QUIC, request a session,
    /// or have not sent their first packet. Further ones are refused. Above half of it, a peer must first prove that it receives at its
    /// address. Default: 1024.
    #[must_use]
    pub fn with_max_pending(mut self, count: usize) -> Self {
        self.max_pending = count;
        self
    }

    /// The address of the socket.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }
}

/// Serves an endpoint over WebTransport: a [`Server`](crate::Server), an [`EngineServer`](crate::EngineServer), or a pair of them, whose
/// [`transports`](crate::ServerBuilder::transports) include it. Await the returned value, beside that of [`serve`](crate::serve) for the
/// other transports:
///
/// ```no_run
/// use std::net::UdpSocket;
///
/// use socketio_tokio::{DevelopmentCertificate, Server, Transports, WebTransport, serve, serve_webtransport};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder()
///     .transports(Transports { polling: true, websocket: true, webtransport: true })
///     .check_origin("http://localhost:3000")
///     .build();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let certificate = DevelopmentCertificate::new(["localhost", "127.0.0.1"])?;
/// println!("serverCertificateHashes: {}", certificate.fingerprint());
/// let webtransport = WebTransport::new(UdpSocket::bind(listener.local_addr()?)?, certificate.server_config()?)?;
/// tokio::join!(serve(listener, server.clone()).into_future(), serve_webtransport(webtransport, server).into_future());
/// # Ok(())
/// # }
/// # use std::future::IntoFuture;
/// ```
///
/// `allow_request`, `check_origin`, `max_sessions`, `max_payload` and the other limits hold as on other transports. With
/// [`cors`](crate::ServerBuilder::cors) and without `check_origin`, only pages of the server's own and of the allowed origins may open a
/// session. Requests carry no cookies. Layers of tower and routes of axum do not see them: put rules into `allow_request`.
///
/// Everything but the first bidirectional stream of a session is ignored, datagrams included; a second one ends the session. A session
/// whose peer sends no valid first packet in [`upgrade_timeout`](crate::ServerBuilder::upgrade_timeout) is closed.
pub fn serve_webtransport<E: Endpoint>(listener: WebTransport, endpoint: E) -> ServeWebTransport<E, Pending<()>> {
    ServeWebTransport { listener, endpoint, signal: pending(), deadline: SHUTDOWN_DEADLINE }
}

/// The future returned by [`serve_webtransport`]. Await it to run the server.
#[must_use = "the server does nothing unless awaited"]
pub struct ServeWebTransport<E, S> {
    listener: WebTransport,
    endpoint: E,
    signal: S,
    deadline: Duration,
}

impl<E, S> ServeWebTransport<E, S> {
    /// Shuts down gracefully when this future completes, as [`Serve`](crate::Serve) does: new connections are refused, and sockets are
    /// disconnected with the reason `server shutting down` after queued packets are sent. Peers that are still connected after 10 seconds,
    /// or after [`with_shutdown_deadline`](Self::with_shutdown_deadline), are disconnected. Both listeners of a server may have a signal.
    pub fn with_graceful_shutdown<T>(self, signal: T) -> ServeWebTransport<E, T>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let Self { listener, endpoint, deadline, .. } = self;
        ServeWebTransport { listener, endpoint, signal, deadline }
    }

    /// Sets the deadline of a graceful shutdown. The default is 10 s.
    pub fn with_shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl<E, S> IntoFuture for ServeWebTransport<E, S>
where
    E: Endpoint,
    S: Future<Output = ()> + Send + 'static,
{
    type Output = ();
    type IntoFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<E, S> ServeWebTransport<E, S>
where
    E: Endpoint,
    S: Future<Output = ()> + Send + 'static,
{
    async fn run(self) {
        let Self { listener: WebTransport { endpoint: quic, max_pending }, endpoint, signal, deadline } = self;
        let pending = Arc::new(NoSession(AtomicUsize::new(0)));
        let mut signal = pin!(signal);
        while let Either::Left((incoming, _)) = select(pin!(quic.accept()), signal.as_mut()).await {
            let others = pending.0.load(Ordering::Relaxed);
            if others >= max_pending {
                tracing::debug!(
                    max_pending,
                    "a WebTransport connection was refused because too many have no session yet"
                );
                incoming.refuse();
            } else if others >= max_pending / 2 && !incoming.remote_address_validated() {
                incoming.retry();
            } else {
                let (endpoint, guard) = (endpoint.clone(), Guard::new(&pending));
                tokio::spawn(async move {
                    meet(incoming, &endpoint).await;
                    drop(guard);
                });
            }
        }
        let refuse = async {
            loop {
                quic.accept().await.refuse();
            }
        };
        let deadline = Instant::now().checked_add(deadline);
        let deadline = async move {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        // The first one never completes.
        let _ = select(pin!(refuse), pin!(endpoint.shut_down(deadline))).await;
        quic.close(VarInt::from_u32(0), b"");
        let _ = timeout(LAST_PACKETS, quic.wait_idle()).await;
    }
}

/// The number of connections that have no session yet.
struct NoSession(AtomicUsize);

/// Counts one of them until it is dropped.
struct Guard(Arc<NoSession>);

impl Guard {
    fn new(pending: &Arc<NoSession>) -> Self {
        pending.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(pending))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Handles a connection until an Engine.IO session has its stream.
async fn meet(incoming: IncomingSession, endpoint: &impl Endpoint) {
    let request = match timeout(HANDSHAKE_TIMEOUT, incoming).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            return tracing::debug!(%error, "a WebTransport connection ended before it requested a session");
        }
        Err(_) => return tracing::debug!("a WebTransport connection took too long to request a session"),
    };
    let Some(parts) = parts(&request).filter(|parts| endpoint.matches(parts.uri.path())) else {
        return request.not_found().await;
    };
    let answer = |answer| async move {
        match answer {
            Ok(()) => {
                let connection = request.accept().await.map_err(io::Error::other)?;
                let streams = connection.accept_bi().await.map_err(io::Error::other)?;
                Ok(Stream::Other(Box::new(SessionStream::new(connection, streams))))
            }
            Err(status) => {
                match status {
                    StatusCode::NOT_FOUND => request.not_found().await,
                    _ => request.forbidden().await,
                }
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
    };
    endpoint.webtransport(&Tokio, parts, answer).await;
}

/// The head of the request, as that of HTTP. `None` if its path or a header is not valid.
fn parts(request: &SessionRequest) -> Option<Parts> {
    let uri = Uri::builder().scheme("https").authority(request.authority()).path_and_query(request.path());
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = http::Method::CONNECT;
    parts.version = Version::HTTP_3;
    parts.uri = uri.build().ok()?;
    for (name, value) in request.headers().iter().filter(|(name, _)| !name.starts_with(':')) {
        parts.headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    parts.extensions.insert(RemoteAddress(request.remote_address()));
    parts.extensions.insert(Secure);
    Some(parts)
}

impl fmt::Debug for WebTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebTransport")
            .field("address", &self.endpoint.local_addr().ok())
            .field("max_pending", &self.max_pending)
            .finish_non_exhaustive()
    }
}

impl<E: fmt::Debug, S> fmt::Debug for ServeWebTransport<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeWebTransport")
            .field("listener", &self.listener)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
