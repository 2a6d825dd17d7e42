//! The built-in listener over TLS, by rustls.

use std::fmt;
use std::future::{Future as _, Pending};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use socketio_driver::Endpoint;
use socketio_hyper::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tokio_rustls::{Accept, TlsAcceptor, server};

use crate::runtime::{Stream, Tokio};

/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The future returned by [`serve_tls`]. See [`socketio_hyper::Serve`] for its methods.
pub type ServeTls<E, S> = socketio_hyper::Serve<Tokio, Tls, E, S>;

/// Serves an endpoint over TLS: `https` and `wss`. Otherwise like [`serve`](crate::serve).
///
/// The configuration of the listener has the certificate and its key. This crate builds rustls with the `ring` provider.
///
/// ```no_run
/// use socketio_tokio::rustls::ServerConfig;
/// use socketio_tokio::rustls::pki_types::pem::PemObject;
/// use socketio_tokio::rustls::pki_types::{CertificateDer, PrivateKeyDer};
/// use socketio_tokio::{Server, Tls, serve_tls};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let certificates = CertificateDer::pem_file_iter("cert.pem")?.collect::<Result<Vec<_>, _>>()?;
/// let key = PrivateKeyDer::from_pem_file("key.pem")?;
/// let config = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key)?;
///
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:443").await?;
/// serve_tls(Tls::new(listener, config), Server::new()).await;
/// # Ok(())
/// # }
/// ```
///
/// To replace a certificate while the server runs, give the configuration a resolver
/// ([`with_cert_resolver`](rustls::ConfigBuilder::with_cert_resolver)) that returns the current one.
pub fn serve_tls<E: Endpoint>(listener: Tls, endpoint: E) -> ServeTls<E, Pending<()>> {
    socketio_hyper::serve(Tokio, listener, endpoint)
}

/// A TCP listener whose connections are TLS. It sets `TCP_NODELAY` on them.
///
/// A handshake runs in the task of its connection, so a slow client delays nobody. A connection that ends without a `close_notify` counts
/// as closed, as it does without TLS: lengths and close frames show whether a message is complete.
pub struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshake_timeout: Duration,
}

impl Tls {
    /// Creates a listener with this configuration, and sets its ALPN protocols to `http/1.1`, because WebSockets need it.
    #[must_use]
    pub fn new(listener: TcpListener, mut config: ServerConfig) -> Self {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), handshake_timeout: HANDSHAKE_TIMEOUT }
    }

    /// How long a client may take for its TLS handshake. A slower one is disconnected. Default: 10 s.
    #[must_use]
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }
}

impl Listener for Tls {
    type Io = TokioIo<TlsStream>;

    const SECURE: bool = true;

    async fn accept(&mut self) -> io::Result<(Self::Io, Option<SocketAddr>)> {
        let (stream, address) = self.listener.accept().await?;
        // Small packets must not wait for each other. Fails only if the connection is already closed.
        let _ = stream.set_nodelay(true);
        let handshake = self.acceptor.accept(stream);
        let timeout = tokio::time::sleep(self.handshake_timeout);
        Ok((TokioIo::new(TlsStream(State::Handshake(Box::new((handshake, Box::pin(timeout)))))), Some(address)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("listener", &self.listener)
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}

/// A TLS connection. Its first read or write completes the handshake.
pub struct TlsStream(State);

enum State {
    Handshake(Box<(Accept<TcpStream>, Pin<Box<Sleep>>)>),
    Open(Box<server::TlsStream<TcpStream>>),
    /// The handshake failed.
    Failed,
}

impl TlsStream {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut server::TlsStream<TcpStream>>>> {
        if let State::Handshake(handshake) = &mut self.0 {
            let (accept, timeout) = &mut **handshake;
            let accepted = match Pin::new(accept).poll(cx) {
                Poll::Ready(accepted) => accepted,
                Poll::Pending => {
                    ready!(timeout.as_mut().poll(cx));
                    Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))
                }
            };
            self.0 = match accepted {
                Ok(stream) => State::Open(Box::new(stream)),
                Err(error) => {
                    self.0 = State::Failed;
                    return Poll::Ready(Err(error));
                }
            };
        }
        match &mut self.0 {
            State::Open(stream) => Poll::Ready(Ok(Pin::new(stream))),
            State::Handshake(_) | State::Failed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match ready!(ready!(self.poll_open(cx))?.poll_read(cx, buffer)) {
            // The peer ended the connection without a `close_notify`, as many clients do.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => Poll::Ready(read),
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Open(stream) => Pin::new(stream).poll_flush(cx),
            // Nothing was written.
            State::Handshake(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            // Sends a `close_notify`, and then ends the TCP stream.
            State::Open(stream) => Pin::new(stream).poll_shutdown(cx),
            State::Handshake(_) | State::Failed => {
                self.0 = State::Failed;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").finish_non_exhaustive()
    }
}

/// For [`Tls`] as a [`Listener`].
impl From<TokioIo<TlsStream>> for Stream {
    fn from(io: TokioIo<TlsStream>) -> Self {
        Self::Other(Box::new(io.into_inner()))
    }
}
