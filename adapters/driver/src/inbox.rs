//! Events that wait for `recv`, with their bytes counted: over the soft limit the peer is not read from until some were taken.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use crate::sync::lock;

/// Events of one socket.
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    /// Whether this inbox counts among those that are over the limit.
    over: bool,
    /// Whether `recv` was called, or may still be called for the first time: the connect handler runs.
    wanted: Wanted,
    closed: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    /// The connect handler has not returned.
    Maybe,
    /// `recv` was called.
    Yes,
    /// The connect handler returned, and nobody had called `recv`.
    No,
}

impl<T> Inbox<T> {
    pub(crate) const fn new() -> Self {
        let state =
            State { items: VecDeque::new(), bytes: 0, over: false, wanted: Wanted::Maybe, closed: false, waker: None };
        Self { state: Mutex::new(state) }
    }

    /// Adds an event; gives it back when nobody will take it.
    pub(crate) fn push(&self, item: T, bytes: usize, limit: usize, over: &AtomicUsize) -> Result<(), T> {
        let mut state = lock(&self.state);
        if state.closed || state.wanted == Wanted::No {
            drop(state);
            return Err(item);
        }
        // Empty events are not free.
        let bytes = bytes.saturating_add(size_of::<(T, usize)>());
        state.items.push_back((item, bytes));
        state.bytes = state.bytes.saturating_add(bytes);
        if state.bytes > limit && !state.over {
            state.over = true;
            over.fetch_add(1, Ordering::Relaxed);
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// The next event, `None` after the last. `over` counts the inboxes over their limit; when this one no longer is, `resume` runs.
    pub(crate) fn poll_next(
        &self,
        cx: &mut Context<'_>,
        limit: usize,
        over: &AtomicUsize,
        resume: impl FnOnce(),
    ) -> Poll<Option<T>> {
        let mut state = lock(&self.state);
        state.wanted = Wanted::Yes;
        let Some((item, bytes)) = state.items.pop_front() else {
            if state.closed {
                return Poll::Ready(None);
            }
            state.items = VecDeque::new();
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.bytes = state.bytes.saturating_sub(bytes);
        let resumes = state.over && state.bytes <= limit / 2;
        if resumes {
            state.over = false;
            over.fetch_sub(1, Ordering::Relaxed);
        }
        drop(state);
        if resumes {
            resume();
        }
        Poll::Ready(Some(item))
    }

    /// `recv` was called: events are kept from now on.
    pub(crate) fn want(&self) {
        lock(&self.state).wanted = Wanted::Yes;
    }

    /// The connect handler returned: without a `recv` so far, events are no longer kept.
    pub(crate) fn settle(&self, over: &AtomicUsize) {
        let mut state = lock(&self.state);
        if state.wanted != Wanted::Maybe {
            return;
        }
        state.wanted = Wanted::No;
        state.bytes = 0;
        if std::mem::take(&mut state.over) {
            over.fetch_sub(1, Ordering::Relaxed);
        }
        let items = std::mem::take(&mut state.items);
        drop(state);
        drop(items);
    }

    /// No event comes any more; those that are here can still be taken, and hold nobody up.
    pub(crate) fn close(&self, over: &AtomicUsize) {
        let mut state = lock(&self.state);
        state.closed = true;
        if std::mem::take(&mut state.over) {
            over.fetch_sub(1, Ordering::Relaxed);
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
