//! What the requests of one connection and its stream tell each other: how far the present exchange has come, and which responses
//! wait to be written.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use socketio_driver::{Body, Confirmation};

/// How far the present exchange of a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Phase {
    /// There is none: the next request has yet to come, or a part of its head has.
    Idle = 0,
    /// The head of a request has come, its body has yet to end.
    Reading = 1,
    /// A whole request waits for its answer.
    Answering = 2,
    /// As `Answering`, but the answer may be held for as long as there is nothing to say: if the peer goes away, the wait is over.
    Held = 3,
    /// The whole answer is in hyper's buffer.
    Flushing = 4,
}

/// Shared by the stream of a connection and the requests on it. They belong to one task: nothing is ordered by these atomics.
#[derive(Debug)]
pub(crate) struct Exchange {
    phase: AtomicU8,
    /// Requests so far.
    requests: AtomicU64,
    /// Whether a whole request may be held.
    may_hold: AtomicBool,
    /// Whether the end of the peer's half was withheld while the body of the present request was read.
    withheld_once: AtomicBool,
    /// Whether the body of a request was left unread.
    unread_body: AtomicBool,
    /// Responses that hyper has taken whole, but may not have written.
    unwritten: Mutex<Vec<Confirmation>>,
    /// Reads on once the present exchange is over.
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

    /// How many requests there have been.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// The head of a request has come. Returns its body, which tells how far it has been read.
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

    /// The body of the request has come to its end.
    fn request_ended(&self) {
        if self.phase() == Phase::Reading {
            self.set_phase(if self.may_hold.load(Relaxed) { Phase::Held } else { Phase::Answering });
        }
    }

    /// hyper has taken the whole response.
    fn response_ended(&self, confirmation: Option<Confirmation>) {
        self.set_phase(Phase::Flushing);
        if let Some(confirmation) = confirmation {
            lock(&self.unwritten).push(confirmation);
        }
    }

    /// Everything that hyper has taken was written. Whether that ends an exchange.
    pub(crate) fn flushed(&self) -> bool {
        if self.phase() != Phase::Flushing {
            return false;
        }
        self.set_phase(Phase::Idle);
        // Telling a session takes the lock of its mailbox.
        let written = std::mem::take(&mut *lock(&self.unwritten));
        written.into_iter().for_each(Confirmation::written);
        let reader = lock(&self.reader).take();
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    /// Whether the end of the peer's half is news for later: a whole request waits for its answer. The task is woken when it is written.
    pub(crate) fn withholds_end(&self, cx: &Context<'_>) -> bool {
        match self.phase() {
            Phase::Idle | Phase::Held => false,
            // hyper may have the rest of the body, and the endpoint has not looked yet. It looks before this is asked again.
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

    /// Whether the peer may still be sending what nobody will read.
    pub(crate) fn has_unread_body(&self) -> bool {
        self.unread_body.load(Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a request.
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

/// The body of a response, which tells when hyper has taken the whole of it.
pub(crate) struct ResponseBody {
    body: Body,
    /// Told when the response is written; dropped when it is not.
    confirmation: Option<Confirmation>,
    ended: bool,
    exchange: Arc<Exchange>,
}

impl ResponseBody {
    pub(crate) fn new(mut body: Body, exchange: Arc<Exchange>) -> Self {
        let confirmation = body.take_confirmation();
        let mut response = Self { body, confirmation, ended: false, exchange };
        // hyper does not ask an empty body for anything.
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
            // hyper wants none of it: the answer to a HEAD is its head alone. Whoever waits for the rest hears that it is lost.
            drop(self.confirmation.take());
            self.exchange.response_ended(None);
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
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
