//! A byte stream in memory that splits, delays and cuts.

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
pub(crate) struct Manner {
    /// The most bytes in transit in one direction. A writer waits while there are that many.
    pub(crate) capacity: usize,
    /// Whether reads and writes are split at random.
    pub(crate) splits: bool,
    /// The longest delay of bytes.
    pub(crate) max_delay: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self { capacity: 64 * 1024, splits: false, max_delay: Duration::ZERO }
    }
}

/// One end of a connection.
pub(crate) struct PipeEnd {
    sim: Sim,
    manner: Manner,
    incoming: Arc<Mutex<Way>>,
    outgoing: Arc<Mutex<Way>>,
    /// Ends when the next bytes arrive.
    arrival: Option<Pin<Box<Sleep>>>,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// The bytes in transit, with the time at which they arrive.
    chunks: VecDeque<(Duration, Bytes)>,
    bytes: usize,
    /// The writer has closed this direction.
    ended: bool,
    /// The reader was dropped.
    unread: bool,
    /// The connection was reset.
    cut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Creates a connection and returns its two ends.
pub(crate) fn pipe(sim: &Sim, manner: Manner) -> (PipeEnd, PipeEnd) {
    let (there, back) = (Arc::<Mutex<Way>>::default(), Arc::<Mutex<Way>>::default());
    let end = |incoming: &Arc<_>, outgoing: &Arc<_>| PipeEnd {
        sim: sim.clone(),
        manner,
        incoming: Arc::clone(incoming),
        outgoing: Arc::clone(outgoing),
        arrival: None,
    };
    (end(&there, &back), end(&back, &there))
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Way {
    fn wakers(&mut self) -> impl Iterator<Item = Waker> + use<> {
        [self.reader.take(), self.writer.take()].into_iter().flatten()
    }
}

impl PipeEnd {
    /// Resets the connection: both ends fail at once.
    pub(crate) fn cut(&self) {
        for way in [&self.incoming, &self.outgoing] {
            let wakers = {
                let mut way = lock(way);
                way.cut = true;
                way.wakers()
            };
            wakers.for_each(Waker::wake);
        }
    }

    /// Makes the other end's writes fail from now on. Nothing it writes is read.
    pub(crate) fn refuse_input(&self) {
        let writer = {
            let mut way = lock(&self.incoming);
            way.unread = true;
            way.writer.take()
        };
        writer.into_iter().for_each(Waker::wake);
    }

    /// The number of bytes that the other end has not read yet.
    pub(crate) fn unread_by_peer(&self) -> usize {
        lock(&self.outgoing).bytes
    }

    /// Takes at most this many of the bytes that have arrived. Returns no bytes at the end.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<Bytes>> {
        let mut way = lock(&self.incoming);
        if way.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let (now, way_ended) = (self.sim.elapsed(), way.ended);
        match way.chunks.front_mut() {
            Some((at, chunk)) if *at <= now => {
                let most = most.min(chunk.len());
                let taken = if self.manner.splits { self.sim.index(most) + 1 } else { most };
                let taken = chunk.split_to(taken);
                if chunk.is_empty() {
                    way.chunks.pop_front();
                }
                way.bytes -= taken.len();
                let writer = way.writer.take();
                drop(way);
                writer.into_iter().for_each(Waker::wake);
                self.arrival = None;
                Poll::Ready(Ok(taken))
            }
            Some((at, _)) => {
                let wait = at.saturating_sub(now);
                way.reader = Some(cx.waker().clone());
                drop(way);
                let arrival = self.arrival.insert(Box::pin(self.sim.sleep(wait)));
                let _ = arrival.as_mut().poll(cx);
                Poll::Pending
            }
            None if way_ended => Poll::Ready(Ok(Bytes::new())),
            None => {
                way.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Writes all of these bytes, for a peer.
    pub(crate) async fn put(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| self.poll_write(cx, &[IoSlice::new(&bytes)])).await?;
            bytes.advance(written);
        }
        Ok(())
    }
}

impl Stream for PipeEnd {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_take(cx, buffer.len()).map_ok(|bytes| {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            bytes.len()
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut way = lock(&self.outgoing);
        if way.cut || way.unread || way.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = self.manner.capacity.saturating_sub(way.bytes);
        if room == 0 {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let most = room.min(offered);
        let most = if self.manner.splits && most > 0 { self.sim.index(most) + 1 } else { most };
        let mut chunk = BytesMut::new();
        for slice in slices {
            let rest = most - chunk.len();
            chunk.extend_from_slice(&slice[..rest.min(slice.len())]);
        }
        let at = self.sim.elapsed() + self.sim.duration(self.manner.max_delay);
        // Bytes do not overtake each other.
        let at = way.chunks.back().map_or(at, |(before, _)| at.max(*before));
        way.bytes += chunk.len();
        way.chunks.push_back((at, chunk.freeze()));
        let reader = way.reader.take();
        drop(way);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(most))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wakers = {
            let mut way = lock(&self.outgoing);
            way.ended = true;
            way.wakers()
        };
        wakers.for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        lock(&self.outgoing).ended = true;
        lock(&self.incoming).unread = true;
        for way in [&self.outgoing, &self.incoming] {
            let wakers = lock(way).wakers();
            wakers.for_each(Waker::wake);
        }
    }
}
