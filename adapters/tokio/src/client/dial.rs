//! Dials TCP and Unix sockets, and does TLS handshakes.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper_util::rt::TokioIo;
use socketio_driver::client::ConnectError;
use socketio_hyper::client::Dial;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::io::{ClientIo, Kind};
#[cfg(feature = "tls")]
use super::tls::{self, ClientTls};

/// The default of [`Dialer::with_connect_timeout`], for TCP and for TLS.
const TIMEOUT: Duration = Duration::from_secs(10);

/// When an address does not answer in this time, the next one is tried as well (RFC 8305 section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Dials TCP or a Unix socket, and does TLS handshakes. Many clients may share one.
///
/// The resolution of a name runs on a thread of tokio, and to its end even if its future is dropped.
#[derive(Debug)]
pub struct Dialer {
    connect_timeout: Duration,
    #[cfg(unix)]
    unix: Option<PathBuf>,
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
    #[cfg(feature = "tls")]
    proxy_tls: Option<ClientTls>,
}

impl Default for Dialer {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialer {
    /// Creates one that takes 10 s at most for each step and, with the feature `tls`, trusts the roots of the operating system, which are
    /// read when they are needed first.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            connect_timeout: TIMEOUT,
            #[cfg(unix)]
            unix: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            proxy_tls: None,
        }
    }

    /// How long a connection may take until it is there, with the resolution of the name and all addresses together, and how long a TLS
    /// handshake may take. Default: 10 s each.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Connects to this Unix socket, whatever the host and port of the URL are. They are still those of the header `Host` and of TLS. Proxies
    /// are not used then.
    #[cfg(unix)]
    #[must_use]
    pub fn with_unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.unix = Some(path.into());
        self
    }

    /// Uses other settings of TLS than the roots of the operating system. They are for servers, and not for proxies.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Uses other settings of TLS than the roots of the operating system with proxies whose URL begins with `https`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_proxy_tls(mut self, tls: ClientTls) -> Self {
        self.proxy_tls = Some(tls);
        self
    }

    /// Does a TLS handshake with these settings, or with the roots of the operating system.
    #[cfg(feature = "tls")]
    async fn handshake(
        &self,
        tls: Option<&ClientTls>,
        io: TokioIo<ClientIo>,
        host: &str,
    ) -> Result<TokioIo<ClientIo>, ConnectError> {
        let settings = match tls {
            Some(settings) => settings,
            None => tls::system(host)?,
        };
        Ok(TokioIo::new(ClientIo(settings.connect(io.into_inner(), host, self.connect_timeout).await?)))
    }

    /// Opens a WebTransport session and its stream.
    #[cfg(feature = "webtransport")]
    pub(super) async fn webtransport(&self, request: http::Request<()>) -> Result<crate::Stream, ConnectError> {
        let settings = match &self.tls {
            Some(settings) => settings,
            None => tls::system(request.uri().host().unwrap_or_default())?,
        };
        crate::webtransport::connect(request, settings.config(), self.connect_timeout).await
    }

    async fn open(&self, host: &str, port: u16) -> Result<Kind, ConnectError> {
        #[cfg(unix)]
        if let Some(path) = &self.unix {
            let stream = tokio::net::UnixStream::connect(path).await;
            return stream
                .map(Kind::Unix)
                .map_err(|source| ConnectError::Unreachable { address: path.display().to_string(), source });
        }
        let failed = |source| ConnectError::Dns { host: host.to_owned(), source };
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(failed)?.collect();
        if addresses.is_empty() {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        let stream = any(alternating(addresses)).await.map_err(|source| unreachable(host, port, source))?;
        // Small packets must not wait for each other. Fails only if the connection is already closed.
        let _ = stream.set_nodelay(true);
        Ok(Kind::Tcp(stream))
    }
}

impl Dial for Dialer {
    type Io = TokioIo<ClientIo>;

    async fn connect(&self, host: &str, port: u16) -> Result<Self::Io, ConnectError> {
        match timeout(self.connect_timeout, self.open(host, port)).await {
            Ok(opened) => Ok(TokioIo::new(ClientIo(opened?))),
            Err(_) => Err(unreachable(host, port, io::ErrorKind::TimedOut.into())),
        }
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, io: Self::Io, host: &str) -> Result<Self::Io, ConnectError> {
        self.handshake(self.tls.as_ref(), io, host).await
    }

    #[cfg(feature = "tls")]
    async fn secure_proxy(&self, io: Self::Io, host: &str) -> Result<Self::Io, ConnectError> {
        self.handshake(self.proxy_tls.as_ref(), io, host).await
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, _: Self::Io, host: &str) -> Result<Self::Io, ConnectError> {
        Err(ConnectError::TlsMissing { host: host.to_owned() })
    }

    #[cfg(not(feature = "tls"))]
    async fn secure_proxy(&self, io: Self::Io, host: &str) -> Result<Self::Io, ConnectError> {
        self.secure(io, host).await
    }

    #[cfg(unix)]
    fn is_fixed(&self) -> bool {
        self.unix.is_some()
    }
}

fn unreachable(host: &str, port: u16, source: io::Error) -> ConnectError {
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    ConnectError::Unreachable { address, source }
}

/// Connects to the first address that answers. The error is that of the last one.
async fn any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    // Without the set, whose entry would stay referenced by the stream for as long as the connection is open.
    if let [only] = *addresses {
        return TcpStream::connect(only).await;
    }
    let mut rest = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = None;
    loop {
        attempts.extend(rest.next().map(TcpStream::connect));
        let patience = if rest.len() == 0 { Duration::MAX } else { NEXT_ADDRESS };
        match timeout(patience, attempts.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => last = Some(error),
            Ok(None) => return Err(last.unwrap_or_else(|| io::ErrorKind::NotFound.into())),
            // The next one as well.
            Err(_) => {}
        }
    }
}

/// The addresses in their order, but those of IPv6 and of IPv4 in turn, so that a network without one of them costs one attempt only.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_first_kind = addresses.first().map(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| Some(address.is_ipv6()) == is_first_kind);
    let mut second = second.into_iter();
    let mut mixed = Vec::new();
    for address in first {
        mixed.push(address);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_take_turns_and_the_first_stays_the_first() {
        let addresses =
            |list: &[&str]| list.iter().map(|address| address.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let mixed = alternating(addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]));
        assert_eq!(mixed, addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
        let mixed = alternating(addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]));
        assert_eq!(mixed, addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]));
        assert!(alternating(Vec::new()).is_empty());
    }
}
