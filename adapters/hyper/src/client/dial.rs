//! The interface to TCP and TLS.

use std::future::Future;

use hyper::rt::{Read, Write};
use socketio_driver::client::ConnectError;

/// Connects byte streams. An adapter implements it alongside its [`Runtime`](socketio_driver::Runtime).
///
/// Both steps are separate, because a proxy is between them. Dropping a future aborts its step.
pub trait Dial: Send + Sync + 'static {
    /// A connection, with or without TLS.
    type Io: Read + Write + Unpin + Send + 'static;

    /// Connects to a host, which is a DNS name or an IP address (IPv6 without brackets). Tries all addresses of a name, and limits the time.
    ///
    /// # Errors
    /// [`ConnectError::Dns`] or [`ConnectError::Unreachable`].
    fn connect(&self, host: &str, port: u16) -> impl Future<Output = Result<Self::Io, ConnectError>> + Send;

    /// Does a TLS handshake with this host on a connection, with the ALPN protocol `http/1.1`, and limits its time.
    ///
    /// # Errors
    /// [`ConnectError::Tls`] or [`ConnectError::TlsMissing`].
    fn secure(&self, io: Self::Io, host: &str) -> impl Future<Output = Result<Self::Io, ConnectError>> + Send;

    /// Same as [`Dial::secure`], for a proxy. Whom a client trusts as its server, and how it identifies itself there, is no matter of a proxy.
    ///
    /// # Errors
    /// As [`Dial::secure`].
    fn secure_proxy(&self, io: Self::Io, host: &str) -> impl Future<Output = Result<Self::Io, ConnectError>> + Send;

    /// Whether all connections lead to one place, whatever the host, for example a Unix socket. Proxies are not used then.
    fn is_fixed(&self) -> bool {
        false
    }
}
