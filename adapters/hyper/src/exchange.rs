//! What the requests of one connection and its stream tell each other: how far the present exchange has come, and which responses
//! wait to be written.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use socketio_driver::{Body, Confirmation};

/// How far the present exchange of a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// There is none: the next request has yet to come, or a part of its head has.
    Idle,
    /// The head of a request has come, its body has yet to end.
    Reading,
    /// A whole request waits for its answer.
    Answering,
    /// As `Answering`, but the answer may be held for as long as there is nothing to say: if the peer goes away, the wait is over.
    Held,
    /// The whole answer is in hyper's buffer.
    Flushing,
}

/// Shared by the stream of a connection and the requests on it.
#[derive(Debug)]
pub(crate) struct Exchange(Mutex<State>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Whether a whole request may be held.
    may_hold: bool,
    /// Requests so far.
    requests: u64,
    /// Whether the body of a request was left unread.
    unread_body: bool,
    /// Responses that hyper has taken whole, but may not have written.
    unwritten: Vec<Confirmation>,
    /// Whether the end of the peer's half was withheld while the body of the present request was read.
    was_asked: bool,
    /// Reads on once the present exchange is over.
    reader: Option<Waker>,
}

impl Exchange {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            phase: Phase::Idle,
            may_hold: false,
            requests: 0,
            unread_body: false,
            unwritten: Vec::new(),
            was_asked: false,
            reader: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// The phase, and how many requests there have been.
    pub(crate) fn progress(&self) -> (Phase, u64) {
        let state = self.state();
        (state.phase, state.requests)
    }

    /// The head of a request has come. Returns its body, which tells how far it has been read.
    pub(crate) fn begin(self: &Arc<Self>, body: Incoming, may_hold: bool) -> RequestBody {
        let whole = body.is_end_stream();
        let mut state = self.state();
        state.may_hold = may_hold;
        state.was_asked = false;
        state.requests = state.requests.wrapping_add(1);
        state.phase = if whole { state.whole() } else { Phase::Reading };
        drop(state);
        RequestBody { body, ended: whole, exchange: Arc::clone(self) }
    }

    /// The body of the request has come to its end.
    fn request_ended(&self) {
        let mut state = self.state();
        if state.phase == Phase::Reading {
            state.phase = state.whole();
        }
    }

    /// hyper has taken the whole response.
    fn response_ended(&self, confirmation: Option<Confirmation>) {
        let mut state = self.state();
        state.phase = Phase::Flushing;
        state.unwritten.extend(confirmation);
    }

    /// Everything that hyper has taken was written. If that ends an exchange: how many requests there have been.
    pub(crate) fn flushed(&self) -> Option<u64> {
        let mut state = self.state();
        let ends = state.phase == Phase::Flushing;
        let reader = if ends { state.reader.take() } else { None };
        if ends {
            state.phase = Phase::Idle;
        }
        let requests = state.requests;
        let written = std::mem::take(&mut state.unwritten);
        // Telling a session takes the lock of its mailbox.
        drop(state);
        written.into_iter().for_each(Confirmation::written);
        if let Some(reader) = reader {
            reader.wake();
        }
        ends.then_some(requests)
    }

    /// Whether the end of the peer's half is news for later: a whole request waits for its answer. The task is woken when it is written.
    pub(crate) fn withholds_end(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        match state.phase {
            Phase::Idle | Phase::Held => false,
            // hyper may have the rest of the body, and the endpoint has not looked yet. It looks before this is asked again.
            Phase::Reading => {
                let first = !std::mem::replace(&mut state.was_asked, true);
                if first {
                    cx.waker().wake_by_ref();
                }
                first
            }
            Phase::Answering | Phase::Flushing => {
                state.reader = Some(cx.waker().clone());
                true
            }
        }
    }

    /// Whether the peer may still be sending what nobody will read.
    pub(crate) fn has_unread_body(&self) -> bool {
        self.state().unread_body
    }
}

impl State {
    const fn whole(&self) -> Phase {
        if self.may_hold { Phase::Held } else { Phase::Answering }
    }
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
            self.exchange.state().unread_body = true;
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
