//! The byte stream of a connection, between the runtime's stream and hyper. Enforces deadlines, and handles the peer's FIN.
//!
//! hyper decides when to read and write. Per call, this module only checks the phase of the [`Exchange`] and the clock. The single timer of
//! a connection is rarely rearmed.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use socketio_driver::Runtime;

use crate::connections::{Connections, Lingering};
use crate::exchange::{Exchange, Phase};
use crate::settings::Settings;

/// The largest number of bytes read at once.
const READ: usize = 16 * 1024;
/// The number of bytes that a peer must take within [`Settings::write_timeout`].
const WRITE_PROGRESS: usize = 64 * 1024;
/// A lingering connection yields to other tasks after this many reads.
const LINGERING_READS: usize = 16;
/// Added to the idle timeout that was announced to the peer.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// The stream of a connection.
pub(crate) struct Stream<I, R: Runtime> {
    io: I,
    runtime: R,
    settings: Arc<Settings>,
    connections: Arc<Connections>,
    exchange: Arc<Exchange>,
    timer: Timer<R>,
    /// The wait for the next request.
    idle: Idle,
    /// Since when the peer has taken less than [`WRITE_PROGRESS`] bytes, and how many it has taken.
    blocked: Option<(Instant, usize)>,
    /// The peer has ended its half of the connection. hyper may not have seen that yet.
    ended: bool,
    /// Our own response, which replaces all output of hyper. Empty once it is written.
    own_response: Option<Bytes>,
    lingering: Option<(Lingering, Option<Instant>)>,
}

/// The wait for the next request of a connection.
#[derive(Clone, Copy)]
struct Idle {
    since: Instant,
    /// Number of requests before it.
    requests: u64,
    /// Whether a part of its head has arrived.
    begun: bool,
}

impl<I: Read + Write + Unpin, R: Runtime> Stream<I, R> {
    pub(crate) fn new(
        io: I,
        runtime: R,
        settings: Arc<Settings>,
        connections: Arc<Connections>,
        exchange: Arc<Exchange>,
    ) -> Self {
        let idle = Idle { since: runtime.now(), requests: 0, begun: false };
        Self {
            io,
            runtime,
            settings,
            connections,
            exchange,
            timer: Timer(None),
            idle,
            blocked: None,
            ended: false,
            own_response: None,
            lingering: None,
        }
    }

    /// Returns the underlying stream.
    pub(crate) fn into_inner(self) -> I {
        self.io
    }

    /// Reads once into a local buffer: that is the only way to learn how many bytes were read.
    fn read(&mut self, cx: &mut Context<'_>, mut take: impl FnMut(&[u8]), most: usize) -> Poll<io::Result<usize>> {
        let mut memory = [MaybeUninit::uninit(); READ];
        let (memory, _) = memory.split_at_mut(most.min(READ));
        let mut buffer = ReadBuf::uninit(memory);
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer.unfilled()))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Called when nothing could be read. Returns whether the time for the next request is over.
    fn deadline_passed(&mut self, cx: &mut Context<'_>) -> bool {
        let requests = self.exchange.requests();
        if self.idle.requests != requests {
            self.idle = Idle { since: self.runtime.now(), requests, begun: false };
        }
        let patience = if self.idle.begun || requests == 0 {
            self.settings.head_timeout
        } else {
            self.settings.idle_timeout.saturating_add(IDLE_GRACE)
        };
        self.timer.is_over(cx, &self.runtime, self.idle.since.checked_add(patience))
    }

    /// Called when a part of a request's head has arrived.
    fn head_begins(&mut self) {
        let requests = self.exchange.requests();
        if self.idle.requests != requests || !self.idle.begun {
            // The time for the first request begins when the connection is opened.
            let since = if requests == 0 { self.idle.since } else { self.runtime.now() };
            self.idle = Idle { since, requests, begun: true };
        }
    }

    /// Records the result of a write. Fails if the write timeout has expired.
    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                self.blocked = self.blocked.and_then(|(since, before)| {
                    let taken = before.saturating_add(*bytes);
                    (taken < WRITE_PROGRESS).then_some((since, taken))
                });
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let (since, _) = *self.blocked.get_or_insert_with(|| (self.runtime.now(), 0));
                if self.timer.is_over(cx, &self.runtime, since.checked_add(self.settings.write_timeout)) {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the peer did not read the response in time",
                    )));
                }
            }
        }
        written
    }

    /// Returns whether hyper writes its own response, because it rejects the request. If so, replaces it with a response
    /// that explains the error.
    fn replace(&mut self, head: &[u8]) -> bool {
        if self.own_response.is_none() {
            if self.exchange.phase() != Phase::Idle {
                return false;
            }
            let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or("400");
            self.own_response = Some(refusal(status, &self.settings));
        }
        true
    }

    /// Writes our own response.
    fn poll_own_response(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(mut words) = self.own_response.take_if(|words| !words.is_empty()) {
            let written = Pin::new(&mut self.io).poll_write(cx, &words);
            let written = self.wrote(cx, written);
            if let Poll::Ready(Ok(bytes)) = &written {
                words.advance((*bytes).min(words.len()));
            }
            // Stored even when empty, because no other output may follow it.
            self.own_response = Some(words);
            if ready!(written)? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and discards input until the peer ends its half or the time is over. Closing a connection with unread input resets it, and
    /// the reset overtakes the response.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.lingering.is_none() {
            let Some(place) = self.connections.linger(self.settings.max_lingering) else { return Poll::Ready(()) };
            self.lingering = Some((place, self.runtime.now().checked_add(self.settings.linger)));
        }
        let Some((_, deadline)) = self.lingering else { return Poll::Ready(()) };
        let mut reads = 0;
        // Check the time first, so that it also applies to a peer that never stops sending.
        while !self.timer.is_over(cx, &self.runtime, deadline) {
            if reads == LINGERING_READS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            reads += 1;
            match self.read(cx, |_| {}, READ) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => break,
            }
        }
        self.lingering = None;
        self.ended = true;
        Poll::Ready(())
    }
}

impl<I: Read + Write + Unpin, R: Runtime> Read for Stream<I, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = &mut *self;
        if !stream.ended {
            let room = buffer.remaining();
            match stream.read(cx, |bytes| buffer.put_slice(bytes), room) {
                Poll::Ready(Ok(0)) if room > 0 => stream.ended = true,
                Poll::Ready(Ok(_)) => {
                    if stream.exchange.phase() == Phase::Idle {
                        stream.head_begins();
                    }
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if stream.exchange.phase() == Phase::Idle && stream.deadline_passed(cx) {
                        stream.ended = true;
                        if stream.idle.begun {
                            stream.own_response = Some(refusal("408", &stream.settings));
                            // Best effort: a fresh send buffer takes the whole response.
                            let _ = stream.poll_own_response(cx);
                        }
                    } else {
                        return Poll::Pending;
                    }
                }
            }
        }
        if stream.exchange.withholds_eof(cx) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl<I: Read + Write + Unpin, R: Runtime> Write for Stream<I, R> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.replace(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.replace(slices.first().map_or(&[][..], |slice| slice)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_own_response(cx))?;
        let flushed = Pin::new(&mut self.io).poll_flush(cx).map_ok(|()| 0);
        ready!(self.wrote(cx, flushed))?;
        self.blocked = None;
        if self.exchange.flushed() {
            // hyper may not read again before there is input, so the wait for the next request begins here.
            let _ = self.deadline_passed(cx);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(self.poll_own_response(cx))?;
            let ended = Pin::new(&mut self.io).poll_shutdown(cx).map_ok(|()| 0);
            ready!(self.wrote(cx, ended))?;
        }
        if !self.ended && (self.own_response.is_some() || self.exchange.has_unread_body()) {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// A complete response to a request that hyper refuses.
fn refusal(status: &str, settings: &Settings) -> Bytes {
    let why = match status {
        "408" => "the head of the request did not arrive in time".to_owned(),
        "414" => "the target of the request is too long".to_owned(),
        "431" => format!(
            "the head of the request is too large: at most {} bytes and {} header lines are allowed",
            settings.max_head_bytes, settings.max_headers
        ),
        _ => "the request is not valid HTTP/1.1; characters such as \", < and > must be percent-encoded in its target"
            .to_owned(),
    };
    let length = why.len();
    // The reason phrase is empty, which HTTP allows.
    Bytes::from(format!(
        "HTTP/1.1 {status} \r\ncontent-length: {length}\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n{why}"
    ))
}

/// The single timer of a connection. An earlier deadline rearms it at once. For a later deadline it is rearmed after it has fired.
struct Timer<R: Runtime>(Option<Armed<R>>);

struct Armed<R: Runtime> {
    at: Instant,
    sleep: Pin<Box<R::Sleep>>,
    /// The waker of the task that it wakes.
    waker: Waker,
}

impl<R: Runtime> Timer<R> {
    /// Returns whether the deadline has passed. Otherwise the task is woken when it does. Without a deadline it never passes.
    fn is_over(&mut self, cx: &mut Context<'_>, runtime: &R, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else { return false };
        loop {
            let now = runtime.now();
            if now >= deadline {
                return true;
            }
            let armed = match &mut self.0 {
                // Already armed early enough, and wakes this task.
                Some(armed) if now < armed.at && armed.at <= deadline && armed.waker.will_wake(cx.waker()) => {
                    return false;
                }
                Some(armed) if armed.at <= deadline => {
                    armed.waker.clone_from(cx.waker());
                    armed
                }
                slot => {
                    let sleep = Box::pin(runtime.sleep(deadline.saturating_duration_since(now)));
                    slot.insert(Armed { at: deadline, sleep, waker: cx.waker().clone() })
                }
            };
            if armed.sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.0 = None;
        }
    }
}
