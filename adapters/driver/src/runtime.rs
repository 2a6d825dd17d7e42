//! What an adapter brings: spawn, sleep, a clock, and a byte stream. Everything else here is the same on every runtime.

use std::future::Future;
use std::io;
use std::io::IoSlice;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BufMut;

/// A runtime: how to run a task, how to wait, and what a connection is.
pub trait Runtime: Clone + Send + Sync + Unpin + 'static {
    /// A connection that left HTTP; see [`Upgrade`](crate::Upgrade).
    type Stream: Stream;
    /// A wait.
    type Sleep: Future<Output = ()> + Send + Sync + 'static;

    /// Runs a task to its end.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// The time now, on the clock that [`sleep`](Runtime::sleep) waits by. The driver has no other clock. In a runtime for tests, time may
    /// stand still or jump.
    fn now(&self) -> Instant;

    /// Waits for this long.
    fn sleep(&self, duration: Duration) -> Self::Sleep;
}

/// A byte stream, both ways, that is polled by one task.
pub trait Stream: Send + Unpin + 'static {
    /// Reads once into the front of `buffer`, which is never empty. `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// Those of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads once into memory for a large message, at most `room.remaining_mut()` bytes, which is never 0. `Ok(0)` is the end of the stream.
    ///
    /// `room` is not initialised; `spare` is. By default the bytes are read into `spare` and copied. A runtime that can read into
    /// uninitialised memory saves the copy by doing so.
    ///
    /// # Errors
    /// Those of the stream.
    fn poll_read_large(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut impl BufMut,
        spare: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let most = spare.len().min(room.remaining_mut());
        let spare = spare.get_mut(..most).unwrap_or_default();
        let read = ready!(self.poll_read(cx, spare))?;
        room.put_slice(spare.get(..read).unwrap_or_default());
        Poll::Ready(Ok(read))
    }

    /// Writes a part of these slices, in order.
    ///
    /// # Errors
    /// Those of the stream.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Flushes what was written.
    ///
    /// # Errors
    /// Those of the stream.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the writing half.
    ///
    /// # Errors
    /// Those of the stream.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}
