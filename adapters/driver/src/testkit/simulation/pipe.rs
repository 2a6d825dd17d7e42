//! A byte stream in memory that splits and delays bytes, and can be reset.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use socketio_driver::{Runtime as _, Stream};

use super::sim::{Sim, Sleep};

/// How a connection transports bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PipeSettings {
    /// The most bytes in transit in one direction. A writer waits while there are that many.
    pub(crate) capacity: usize,
    /// Whether reads and writes are split at random.
    pub(crate) splits: bool,
    /// The longest delay of bytes.
    pub(crate) max_delay: Duration,
}

impl Default for PipeSettings {
    fn default() -> Self {
        Self { capacity: 64 * 1024, splits: false, max_delay: Duration::ZERO }
    }
}

/// One end of a connection.
pub(crate) struct PipeEnd {
    sim: Sim,
    settings: PipeSettings,
    incoming: Arc<Mutex<Direction>>,
    outgoing: Arc<Mutex<Direction>>,
    /// Ends when the next bytes arrive.
    arrival: Option<Pin<Box<Sleep>>>,
}

/// One direction.
#[derive(Default)]
struct Direction {
    /// The bytes in transit, with the time at which they arrive.
    chunks: VecDeque<(Duration, Bytes)>,
    bytes: usize,
    /// The writer has closed this direction.
    ended: bool,
    /// The reader was dropped.
    unread: bool,
    /// The connection was reset.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Creates a connection and returns its two ends.
pub(crate) fn pipe(sim: &Sim, settings: PipeSettings) -> (PipeEnd, PipeEnd) {
    let (there, back) = (Arc::<Mutex<Direction>>::default(), Arc::<Mutex<Direction>>::default());
    let end = |incoming: &Arc<_>, outgoing: &Arc<_>| PipeEnd {
        sim: sim.clone(),
        settings,
        incoming: Arc::clone(incoming),
        outgoing: Arc::clone(outgoing),
        arrival: None,
    };
    (end(&there, &back), end(&back, &there))
}

fn lock(direction: &Mutex<Direction>) -> MutexGuard<'_, Direction> {
    direction.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Direction {
    fn wakers(&mut self) -> impl Iterator<Item = Waker> + use<> {
        [self.reader.take(), self.writer.take()].into_iter().flatten()
    }
}

impl PipeEnd {
    /// Resets the connection: both ends fail at once.
    pub(crate) fn reset(&self) {
        for direction in [&self.incoming, &self.outgoing] {
            let wakers = {
                let mut direction = lock(direction);
                direction.reset = true;
                direction.wakers()
            };
            wakers.for_each(Waker::wake);
        }
    }

    /// Makes the other end's writes fail from now on. Nothing it writes is read.
    pub(crate) fn refuse_input(&self) {
        let writer = {
            let mut direction = lock(&self.incoming);
            direction.unread = true;
            direction.writer.take()
        };
        writer.into_iter().for_each(Waker::wake);
    }

    /// The number of bytes that the other end has not read yet.
    pub(crate) fn unread_by_peer(&self) -> usize {
        lock(&self.outgoing).bytes
    }

    /// Takes at most this many of the bytes that have arrived. Returns no bytes at the end.
    pub(crate) fn poll_read_bytes(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<Bytes>> {
        let mut direction = lock(&self.incoming);
        if direction.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let (now, direction_ended) = (self.sim.elapsed(), direction.ended);
        match direction.chunks.front_mut() {
            Some((at, chunk)) if *at <= now => {
                let most = most.min(chunk.len());
                let taken = if self.settings.splits { self.sim.index(most) + 1 } else { most };
                let taken = chunk.split_to(taken);
                if chunk.is_empty() {
                    direction.chunks.pop_front();
                }
                direction.bytes -= taken.len();
                let writer = direction.writer.take();
                drop(direction);
                writer.into_iter().for_each(Waker::wake);
                self.arrival = None;
                Poll::Ready(Ok(taken))
            }
            Some((at, _)) => {
                let wait = at.saturating_sub(now);
                direction.reader = Some(cx.waker().clone());
                drop(direction);
                let arrival = self.arrival.insert(Box::pin(self.sim.sleep(wait)));
                let _ = arrival.as_mut().poll(cx);
                Poll::Pending
            }
            None if direction_ended => Poll::Ready(Ok(Bytes::new())),
            None => {
                direction.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Writes all of these bytes, for a peer.
    pub(crate) async fn write_all(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| self.poll_write(cx, &[IoSlice::new(&bytes)])).await?;
            bytes.advance(written);
        }
        Ok(())
    }
}

impl Stream for PipeEnd {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_bytes(cx, buffer.len()).map_ok(|bytes| {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            bytes.len()
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut direction = lock(&self.outgoing);
        if direction.reset || direction.unread || direction.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let space = self.settings.capacity.saturating_sub(direction.bytes);
        if space == 0 {
            direction.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let most = space.min(offered);
        let most = if self.settings.splits && most > 0 { self.sim.index(most) + 1 } else { most };
        let mut chunk = BytesMut::new();
        for slice in slices {
            let rest = most - chunk.len();
            chunk.extend_from_slice(&slice[..rest.min(slice.len())]);
        }
        let at = self.sim.elapsed() + self.sim.duration(self.settings.max_delay);
        // Bytes do not overtake each other.
        let at = direction.chunks.back().map_or(at, |(before, _)| at.max(*before));
        direction.bytes += chunk.len();
        direction.chunks.push_back((at, chunk.freeze()));
        let reader = direction.reader.take();
        drop(direction);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(most))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wakers = {
            let mut direction = lock(&self.outgoing);
            direction.ended = true;
            direction.wakers()
        };
        wakers.for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        lock(&self.outgoing).ended = true;
        lock(&self.incoming).unread = true;
        for direction in [&self.outgoing, &self.incoming] {
            let wakers = lock(direction).wakers();
            wakers.for_each(Waker::wake);
        }
    }
}
