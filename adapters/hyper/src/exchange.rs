//! The state that the requests of one connection share with its stream: the phase of the current exchange, and the responses that are not
//! written yet.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use socketio_driver::{Body, Confirmation};

/// The phase of the current exchange of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Phase {
    /// No exchange: the head of the next request has not arrived, or only in part.
    Idle = 0,
    /// The head of a request has arrived, but not all of its body.
    Reading = 1,
    /// The request is complete and its response is pending.
    Answering = 2,
    /// Like `Answering`, but the endpoint may hold the response until it has packets to send. If the peer disconnects, the wait ends.
    Held = 3,
    /// The whole response is in hyper's buffer.
    Flushing = 4,
}

/// Shared by the stream of a connection and its requests. All of them run in one task, so the atomics need no ordering.
#[derive(Debug)]
pub(crate) struct Exchange {
    phase: AtomicU8,
    /// Number of requests so far.
    requests: AtomicU64,
    /// Whether the response to a complete request may be held.
    may_hold: AtomicBool,
    /// Whether the peer's FIN was already withheld while the body of the current request was being read.
    withheld_once: AtomicBool,
    /// Whether the body of a request was not read to its end.
    unread_body: AtomicBool,
    /// Responses that hyper has taken completely but may not have written.
    unwritten: Mutex<Vec<Confirmation>>,
    /// Wakes the reader once the current exchange is over.
    reader: Mutex<Option<Waker>>,
}

impl Exchange {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(Phase::Idle as u8),
            requests: AtomicU64::new(0),
            may_hold: AtomicBool::new(false),
            withheld_once: AtomicBool::new(false),
            unread_body: AtomicBool::new(false),
            unwritten: Mutex::new(Vec::new()),
            reader: Mutex::new(None),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        let phase = self.phase.load(Relaxed);
        let known = [Phase::Idle, Phase::Reading, Phase::Answering, Phase::Held];
        known.into_iter().find(|known| *known as u8 == phase).unwrap_or(Phase::Flushing)
    }

    fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// The number of requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Begins an exchange when the head of a request has arrived. The returned body tracks how far it is read.
    pub(crate) fn begin(self: &Arc<Self>, body: Incoming, may_hold: bool) -> RequestBody {
        let whole = body.is_end_stream();
        self.may_hold.store(may_hold, Relaxed);
        self.withheld_once.store(false, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.set_phase(Phase::Reading);
        if whole {
            self.request_ended();
        }
        RequestBody { body, ended: whole, exchange: Arc::clone(self) }
    }

    /// Called when the whole body of the request has arrived.
    fn request_ended(&self) {
        if self.phase() == Phase::Reading {
            self.set_phase(if self.may_hold.load(Relaxed) { Phase::Held } else { Phase::Answering });
        }
    }

    /// Called when hyper has taken the whole response.
    fn response_ended(&self, confirmation: Option<Confirmation>) {
        self.set_phase(Phase::Flushing);
        if let Some(confirmation) = confirmation {
            lock(&self.unwritten).push(confirmation);
        }
    }

    /// Called when all bytes taken by hyper are written. Returns whether that ends an exchange.
    pub(crate) fn flushed(&self) -> bool {
        if self.phase() != Phase::Flushing {
            return false;
        }
        self.set_phase(Phase::Idle);
        // Confirming locks the mailbox of the session, so release this lock first.
        let written = std::mem::take(&mut *lock(&self.unwritten));
        written.into_iter().for_each(Confirmation::written);
        let reader = lock(&self.reader).take();
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    /// Returns whether to withhold the peer's FIN from hyper because a complete request is still unanswered. The task is woken once its
    /// response is written.
    pub(crate) fn withholds_eof(&self, cx: &Context<'_>) -> bool {
        match self.phase() {
            Phase::Idle | Phase::Held => false,
            // hyper may hold the rest of the body, which the endpoint reads before this is called again.
            Phase::Reading => {
                let first = !self.withheld_once.swap(true, Relaxed);
                if first {
                    cx.waker().wake_by_ref();
                }
                first
            }
            Phase::Answering | Phase::Flushing => {
                *lock(&self.reader) = Some(cx.waker().clone());
                true
            }
        }
    }

    /// Returns whether the peer may still be sending a body that is not read.
    pub(crate) fn has_unread_body(&self) -> bool {
        self.unread_body.load(Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a request. Reports its end to the exchange.
pub(crate) struct RequestBody {
    body: Incoming,
    ended: bool,
    exchange: Arc<Exchange>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if !self.ended && (matches!(polled, Poll::Ready(None)) || self.body.is_end_stream()) {
            self.ended = true;
            self.exchange.request_ended();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended {
            self.exchange.unread_body.store(true, Relaxed);
        }
    }
}

/// The body of a response. Reports to the exchange when hyper has taken all of it.
pub(crate) struct ResponseBody {
    body: Body,
    /// Confirmed when the response is written, dropped if it is not.
    confirmation: Option<Confirmation>,
    ended: bool,
    exchange: Arc<Exchange>,
}

impl ResponseBody {
    pub(crate) fn new(mut body: Body, exchange: Arc<Exchange>) -> Self {
        let confirmation = body.take_confirmation();
        let mut response = Self { body, confirmation, ended: false, exchange };
        // hyper does not poll an empty body.
        response.look_for_end();
        response
    }

    fn look_for_end(&mut self) {
        if !self.ended && self.body.is_end_stream() {
            self.ended = true;
            self.exchange.response_ended(self.confirmation.take());
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if !self.ended {
            // hyper takes none of the body: the response to a HEAD has only a head. Dropping the confirmation reports the body as lost.
            drop(self.confirmation.take());
            self.exchange.response_ended(None);
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if !self.ended && matches!(polled, Poll::Ready(None)) {
            // A body of a layer may not know its end before.
            self.ended = true;
            let confirmation = self.confirmation.take();
            self.exchange.response_ended(confirmation);
        }
        self.look_for_end();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
