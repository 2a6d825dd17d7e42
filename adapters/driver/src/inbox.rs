//! The events of a socket that `recv` has not returned yet. Their bytes are counted. Above the soft limit, the server does not read
//! from the peer until the application has received enough of them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use crate::sync::lock;

/// The events of one socket.
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    /// Whether this inbox is counted as over the limit.
    over: bool,
    /// Whether events are kept for `recv`.
    wanted: Wanted,
    closed: bool,
    /// Those that wait for an event.
    wakers: Vec<Waker>,
}

#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    /// The connect handler has not returned, and may still call `recv`. Events are kept.
    Maybe,
    /// `recv` was called. Events are kept.
    Yes,
    /// The connect handler returned, and `recv` was not called. Events are dropped.
    No,
}

impl<T> Inbox<T> {
    pub(crate) const fn new() -> Self {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            over: false,
            wanted: Wanted::Maybe,
            closed: false,
            wakers: Vec::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Adds an event. Returns it as the error if events are not kept, or if the inbox is closed.
    pub(crate) fn push(&self, item: T, bytes: usize, limit: usize, over: &AtomicUsize) -> Result<(), T> {
        let mut state = lock(&self.state);
        if state.closed || state.wanted == Wanted::No {
            drop(state);
            return Err(item);
        }
        // An empty event occupies memory as well.
        let bytes = bytes.saturating_add(size_of::<(T, usize)>());
        state.items.push_back((item, bytes));
        state.bytes = state.bytes.saturating_add(bytes);
        if state.bytes > limit && !state.over {
            state.over = true;
            over.fetch_add(1, Ordering::Relaxed);
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// The next event, or `None` after the last. `over` counts the inboxes over their limit. If this inbox was one of them and is now at
    /// most half full, `resume` runs.
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
            state.wakers.retain(|waker| !waker.will_wake(cx.waker()));
            state.wakers.push(cx.waker().clone());
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

    /// Whether an event is kept that has no handler. Without a call of `recv`, no more than `limit` bytes are kept, and none if there are
    /// handlers: the application may never call it.
    pub(crate) fn may_keep(&self, bytes: usize, limit: usize, has_handlers: bool) -> bool {
        // Counted as in `push`: an inbox that nobody reads must never be over its limit, because that stops the client.
        let bytes = bytes.saturating_add(size_of::<(T, usize)>());
        let mut state = lock(&self.state);
        if state.wanted == Wanted::Maybe && (has_handlers || state.bytes.saturating_add(bytes) > limit) {
            state.wanted = Wanted::No;
            state.bytes = 0;
            let items = std::mem::take(&mut state.items);
            drop(state);
            drop(items);
            return false;
        }
        state.wanted != Wanted::No
    }

    /// Takes events again, after the inbox was closed.
    pub(crate) fn reopen(&self) {
        lock(&self.state).closed = false;
    }

    /// Keeps events from now on, because `recv` was called.
    pub(crate) fn start_receiving(&self) {
        lock(&self.state).wanted = Wanted::Yes;
    }

    /// Drops all events, now and later, unless `recv` was called. Runs when the connect handler returns.
    pub(crate) fn drop_unless_wanted(&self, over: &AtomicUsize) {
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

    /// Ends the inbox. Events in it can still be taken, but no longer stop reading.
    pub(crate) fn close(&self, over: &AtomicUsize) {
        let mut state = lock(&self.state);
        state.closed = true;
        if std::mem::take(&mut state.over) {
            over.fetch_sub(1, Ordering::Relaxed);
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}
