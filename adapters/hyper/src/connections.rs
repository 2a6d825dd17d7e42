//! The open connections of one listener: counts them, and signals the shutdown to them.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;

#[derive(Debug, Default)]
pub(crate) struct Connections {
    ending: AtomicBool,
    lingering: AtomicUsize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// One entry per connection. It holds the waker once the connection waits for the shutdown.
    wakers: Slab<Option<Waker>>,
    /// Woken when the last connection is closed.
    finished: Option<Waker>,
}

/// The registration of an open connection. Dropping it removes the connection.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    connections: Arc<Connections>,
    place: usize,
    /// The waker that is registered in the entry.
    waker: Option<Waker>,
}

/// The registration of a lingering connection. Dropping it makes space for another one.
#[derive(Debug)]
pub(crate) struct Lingering(Arc<Connections>);

impl Connections {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a connection.
    pub(crate) fn enter(self: &Arc<Self>) -> ConnectionGuard {
        ConnectionGuard { connections: Arc::clone(self), place: self.open().wakers.insert(None), waker: None }
    }

    /// Signals the shutdown to all connections.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Release);
        let wakers: Vec<Waker> = self.open().wakers.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until no connection is open.
    pub(crate) async fn finished(&self) {
        poll_fn(|cx| {
            let mut open = self.open();
            if open.wakers.is_empty() {
                return Poll::Ready(());
            }
            open.finished = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Registers a lingering connection, or returns `None` if `most` connections already linger.
    pub(crate) fn linger(self: &Arc<Self>, most: usize) -> Option<Lingering> {
        let place = Lingering(Arc::clone(self));
        (self.lingering.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl ConnectionGuard {
    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Returns whether the connection must shut down. Otherwise the task is woken when it must.
    pub(crate) fn is_ending(&mut self, cx: &Context<'_>) -> bool {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            if let Some(place) = self.connections.open().wakers.get_mut(self.place) {
                *place = self.waker.clone();
            }
        }
        // Read after registering the waker, so that no shutdown is missed.
        self.connections.ending.load(Ordering::Acquire)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        let waker = open.wakers.try_remove(self.place);
        let finished = if open.wakers.is_empty() { open.finished.take() } else { None };
        drop(open);
        drop(waker);
        if let Some(finished) = finished {
            finished.wake();
        }
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        self.0.lingering.fetch_sub(1, Ordering::Relaxed);
    }
}
