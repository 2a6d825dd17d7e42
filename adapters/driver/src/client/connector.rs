//! The interface to the network: an adapter for a runtime and an HTTP library implements it.

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::error::ConnectError;
use crate::runtime::Stream;

/// Makes the HTTP requests of one client, and connections that leave HTTP.
///
/// The URIs of requests are absolute: scheme (`http` or `https`), host, path and query. All headers are set, `Host` included; the
/// adapter adds only `Content-Length` and what a proxy needs.
///
/// Futures must not depend on `self`, and dropping one must abort what it does: the connection of an unfinished request is closed. The
/// adapter limits the time of single steps, such as connecting. The time of a whole request is the caller's matter, who drops the
/// future.
pub trait Connector: Send + Sync + 'static {
    /// The byte stream of a connection that has left HTTP.
    type Stream: Stream;

    /// Makes a request, and reads the whole body of the response.
    ///
    /// A response with any status is a success. The body is read in pieces. If it has more than `max_body` bytes, the connection is
    /// closed and the result is [`ConnectError::BodyTooLarge`]. A request is repeated on a new connection only if nothing of it was
    /// sent.
    fn request(
        &self,
        request: http::Request<Bytes>,
        max_body: usize,
    ) -> BoxFuture<'static, Result<http::Response<Bytes>, ConnectError>>;

    /// Makes a request that asks for an upgrade, on a connection of its own, and returns the connection after a `101`.
    ///
    /// Any other status is [`ConnectError::Status`], with the first bytes of the body.
    fn upgrade(&self, request: http::Request<()>) -> BoxFuture<'static, Result<Upgraded<Self::Stream>, ConnectError>>;

    /// Opens a WebTransport session at the URI of this request, whose scheme is `https`, and its first bidirectional stream. The session
    /// ends with the stream: when the stream is shut down and everything was delivered, and when it is dropped.
    ///
    /// By default, fails with [`ConnectError::WebTransportMissing`].
    fn webtransport(&self, _request: http::Request<()>) -> BoxFuture<'static, Result<Self::Stream, ConnectError>> {
        Box::pin(std::future::ready(Err(ConnectError::WebTransportMissing)))
    }

    /// Closes connections that are kept for further requests and are not in use. A client that has moved to a link needs none.
    fn close_idle(&self);
}

/// A connection that has left HTTP.
pub struct Upgraded<S> {
    /// The `101`, with its headers.
    pub response: http::Response<()>,
    /// The connection.
    pub stream: S,
    /// The bytes that were read beyond the response. They come before those of the stream.
    pub early: Bytes,
}

impl<S> fmt::Debug for Upgraded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("response", &self.response)
            .field("early", &self.early.len())
            .finish_non_exhaustive()
    }
}
