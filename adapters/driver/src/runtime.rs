//! The interface to a runtime: spawn, sleep, a clock, and a byte stream. The rest of this crate is independent of the runtime.

use std::future::Future;
use std::io;
use std::io::IoSlice;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BufMut;

/// A runtime: spawns tasks, sleeps, reads the time, and defines the type of a connection.
pub trait Runtime: Clone + Send + Sync + Unpin + 'static {
    /// A connection that was upgraded from HTTP; see [`Upgrade`](crate::Upgrade).
    type Stream: Stream;
    /// A future that completes after some time.
    type Sleep: Future<Output = ()> + Send + Sync + 'static;

    /// Spawns a task, which runs to its end in the background.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// The current time, on the clock that [`sleep`](Runtime::sleep) uses. The driver has no other clock. In a runtime for tests, time may
    /// stand still or jump.
    fn now(&self) -> Instant;

    /// Wakes a task that has done its share for now, after the other tasks.
    ///
    /// A scheduler may look for input of connections only when no task is ready, or after some number of tasks. Then a task that always has
    /// more to do delays every other connection by that number of its turns. Such a runtime must look for input before it wakes the task.
    /// By default, the task is woken at once.
    fn yield_now(&self, cx: &mut Context<'_>) {
        cx.waker().wake_by_ref();
    }

    /// Completes after this time.
    fn sleep(&self, duration: Duration) -> Self::Sleep;
}

/// A bidirectional byte stream, polled by one task.
pub trait Stream: Send + Unpin + 'static {
    /// Reads once into the front of `buffer`, which is never empty. Returns `Ok(0)` at the end of the stream.
    ///
    /// # Errors
    /// The errors of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads once into memory for a large message, at most `room.remaining_mut()` bytes, which is never 0. Returns `Ok(0)` at the end of
    /// the stream.
    ///
    /// `room` is not initialised, and `spare` is. By default, the bytes are read into `spare` and copied. A runtime that can read into
    /// uninitialised memory can avoid the copy.
    ///
    /// # Errors
    /// The errors of the stream.
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

    /// Writes some bytes of these slices, in order. Returns the number of bytes that were written.
    ///
    /// # Errors
    /// The errors of the stream.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Flushes all written bytes.
    ///
    /// # Errors
    /// The errors of the stream.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Shuts down the writing half.
    ///
    /// # Errors
    /// The errors of the stream.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}
