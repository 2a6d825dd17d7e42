//! The byte stream of a client's connection.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::runtime::Stream;

/// A connection of a client.
pub struct ClientIo(pub(super) Kind);

pub(super) enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// TLS, perhaps inside the TLS of a proxy. It is larger than the others by far.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<ClientIo>>),
}

/// Calls a method of the stream.
macro_rules! stream {
    ($io:expr, $stream:ident => $call:expr) => {
        match &mut $io.0 {
            Kind::Tcp($stream) => $call,
            #[cfg(unix)]
            Kind::Unix($stream) => $call,
            #[cfg(feature = "tls")]
            Kind::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for ClientIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(unix)]
            Kind::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(feature = "tls")]
            Kind::Tls(stream) => super::tls::outcome(Pin::new(stream).poll_read(cx, buffer)),
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        stream!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        stream!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        // All of them do.
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl fmt::Debug for ClientIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Tcp(_) => "Tcp",
            #[cfg(unix)]
            Kind::Unix(_) => "Unix",
            #[cfg(feature = "tls")]
            Kind::Tls(_) => "Tls",
        })
    }
}

/// A WebSocket over plain TCP is the TCP stream itself, without another layer.
impl From<TokioIo<ClientIo>> for Stream {
    fn from(io: TokioIo<ClientIo>) -> Self {
        match io.into_inner() {
            ClientIo(Kind::Tcp(stream)) => Self::Tcp(stream),
            #[cfg(any(unix, feature = "tls"))]
            other => Self::Other(Box::new(other)),
        }
    }
}
