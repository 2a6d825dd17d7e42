//! Implements the driver's runtime for tokio: tasks, timers, and the streams of connections that have left HTTP.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use socketio_driver::Runtime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

/// The tokio runtime. Tasks are spawned on the current runtime.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tokio;

impl Runtime for Tokio {
    type Stream = Stream;
    type Sleep = tokio::time::Sleep;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    fn now(&self) -> std::time::Instant {
        tokio::time::Instant::now().into_std()
    }

    /// tokio looks for input after 61 tasks, or when none is ready. Its own future wakes the task after it has looked.
    fn yield_now(&self, cx: &mut Context<'_>) {
        // Pending, with the waker where it is needed.
        let _ = std::pin::pin!(tokio::task::yield_now()).poll(cx);
    }

    fn sleep(&self, duration: Duration) -> tokio::time::Sleep {
        tokio::time::sleep(duration)
    }
}

/// Returns the stream of a connection that a third-party HTTP server has upgraded.
pub(crate) async fn upgraded(upgrade: OnUpgrade) -> io::Result<(Stream, Bytes)> {
    let upgraded = upgrade.await.map_err(io::Error::other)?;
    // hyper returns the stream that it was given. hyper-util, which axum uses, wraps it once more.
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Ok((parts.io.into(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    Ok(match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => {
            // As `serve` does for its own connections. Fails only if the connection is already closed.
            let _ = parts.io.inner().set_nodelay(true);
            (parts.io.into(), parts.read_buf)
        }
        Err(upgraded) => (Stream::Other(Box::new(TokioIo::new(upgraded))), Bytes::new()),
    })
}

/// For custom listeners: see [`socketio_hyper::Listener`].
impl From<TokioIo<Box<dyn AsyncStream>>> for Stream {
    fn from(io: TokioIo<Box<dyn AsyncStream>>) -> Self {
        Self::Other(io.into_inner())
    }
}

impl From<TokioIo<TcpStream>> for Stream {
    fn from(io: TokioIo<TcpStream>) -> Self {
        Self::Tcp(io.into_inner())
    }
}

/// The stream of a connection that has left HTTP. It is the TCP stream itself if possible, so that the buffers of HTTP are released.
pub enum Stream {
    /// A TCP stream.
    Tcp(TcpStream),
    /// Any other stream that the HTTP server was given, such as TLS or a pipe.
    Other(Box<dyn AsyncStream>),
}

/// Any tokio stream.
pub trait AsyncStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> AsyncStream for S {}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Other(_) => "Other",
        })
    }
}

impl socketio_driver::Stream for Stream {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Other(stream) => Pin::new(&mut **stream).poll_read(cx, &mut buffer),
        })?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_read_large(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut impl BufMut,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => poll_read_buf(Pin::new(stream), cx, room),
            Self::Other(stream) => poll_read_buf(Pin::new(&mut **stream), cx, room),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => match slices {
                // One `send` is a little cheaper than one `writev`.
                [slice] => Pin::new(stream).poll_write(cx, slice),
                _ => Pin::new(stream).poll_write_vectored(cx, slices),
            },
            Self::Other(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // TCP has nothing to flush.
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Other(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Other(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_task_that_always_has_more_to_do_lets_the_input_of_others_be_noticed_after_each_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (client, (mut server, _)) = (client.unwrap(), server.unwrap());
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let other = tokio::spawn(async move { server.read_u8().await.unwrap() });
        let busy = tokio::spawn(poll_fn(move |cx| {
            // The other task waits by now.
            if counted.fetch_add(1, Ordering::Relaxed) == 10 {
                assert_eq!(client.try_write(&[7]).unwrap(), 1);
            }
            Tokio.yield_now(cx);
            Poll::<()>::Pending
        }));
        assert_eq!(other.await.unwrap(), 7);
        busy.abort();
        // Up to 61 more without looking for input.
        let turns = turns.load(Ordering::Relaxed);
        assert!(turns < 20, "{turns} turns");
    }
}
