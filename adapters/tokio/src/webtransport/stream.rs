//! The stream of a WebTransport session, as the byte stream of a link.
//!
//! The session has no other use than this stream, so both end together. Shutting down the stream waits until the peer has everything, and
//! then closes the connection. Dropping it closes the connection at once.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wtransport::{Connection, RecvStream, SendStream, VarInt};

pub(super) struct SessionStream {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    /// Completes when the peer opens a second stream, which the protocol forbids.
    second: BoxFuture<'static, ()>,
    /// Completes when the peer has everything. Set once the stream is shut down.
    delivered: Option<BoxFuture<'static, ()>>,
}

impl SessionStream {
    pub(super) fn new(connection: Connection, (send, receive): (SendStream, RecvStream)) -> Self {
        let other = connection.clone();
        let second = Box::pin(async move { drop(other.accept_bi().await) });
        Self { connection, send, receive, second, delivered: None }
    }

    fn close(&self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

impl AsyncRead for SessionStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.receive).poll_read(cx, buffer);
        // Also completes when the connection is lost, as reading does.
        if read.is_pending() && self.second.as_mut().poll(cx).is_ready() {
            self.close();
            return Poll::Ready(Err(io::Error::other("the peer has opened a second stream, or the session has ended")));
        }
        read
    }
}

impl AsyncWrite for SessionStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.send).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.send).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut *self;
        let delivered = match &mut stream.delivered {
            Some(delivered) => delivered,
            None => {
                ready!(Pin::new(&mut stream.send).poll_shutdown(cx))?;
                let stopped = stream.send.quic_stream().stopped();
                stream.delivered.insert(Box::pin(async move { drop(stopped.await) }))
            }
        };
        ready!(delivered.as_mut().poll(cx));
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for SessionStream {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for SessionStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStream").field("peer", &self.connection.remote_address()).finish_non_exhaustive()
    }
}
