//! A connection that is being upgraded from HTTP: the byte stream that it becomes after its `101` was written.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use engineio_proto::LinkKind;

use crate::deflate::Compression;

/// A connection that is being upgraded from HTTP. Resolves to its stream, and to the bytes that were read beyond the request.
///
/// An adapter creates one for every request that asks for an upgrade, from what its HTTP server provides, and passes it to
/// [`Endpoint::respond`](crate::Endpoint::respond). Dropping it refuses the upgrade.
pub struct Upgrade<S> {
    stream: BoxFuture<'static, io::Result<(S, Bytes)>>,
    /// What the handshake has agreed on.
    pub(crate) compression: Option<Compression>,
    /// What the stream carries.
    pub(crate) kind: LinkKind,
}

impl<S: Send + 'static> Upgrade<S> {
    /// Creates an upgrade that completes with this future. It is polled after the response with status 101 was returned.
    pub fn new(stream: impl Future<Output = io::Result<(S, Bytes)>> + Send + 'static) -> Self {
        Self { stream: Box::pin(stream), compression: None, kind: LinkKind::WebSocket }
    }

    /// The stream of a WebTransport session, and the bytes that were read beyond its first packet.
    pub(crate) fn webtransport(stream: S, rest: Bytes) -> Self {
        let stream = Box::pin(std::future::ready(Ok((stream, rest))));
        Self { stream, compression: None, kind: LinkKind::WebTransport }
    }

    /// Erases the type of the stream, for mailboxes that serve all runtimes.
    pub(crate) fn erase(self) -> AnyUpgrade {
        AnyUpgrade { compression: self.compression, upgrade: Box::new(self) }
    }
}

impl<S> Future for Upgrade<S> {
    type Output = io::Result<(S, Bytes)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.stream.as_mut().poll(cx)
    }
}

impl<S> fmt::Debug for Upgrade<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").finish_non_exhaustive()
    }
}

/// An [`Upgrade`] to a stream of any runtime.
pub(crate) struct AnyUpgrade {
    upgrade: Box<dyn Any + Send>,
    pub(crate) compression: Option<Compression>,
}

impl AnyUpgrade {
    /// The upgrade to this type of stream. It fails if the stream has another type, because one runtime at a time serves a server.
    pub(crate) fn of<S: Send + 'static>(self) -> Upgrade<S> {
        match self.upgrade.downcast::<Upgrade<S>>() {
            Ok(upgrade) => Upgrade { compression: self.compression, ..*upgrade },
            Err(_) => Upgrade::new(async { Err(io::Error::other("the session belongs to another runtime")) }),
        }
    }
}
