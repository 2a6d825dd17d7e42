//! The connections of one listener: how many there are, and how they are told to end.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// The connections of one listener.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    ending: AtomicBool,
    lingering: AtomicUsize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// One place for each connection, with its waker once it waits for the end.
    wakers: Slab<Option<Waker>>,
    /// Waits until there is no connection.
    finished: Option<Waker>,
}

/// One connection, for as long as it is open.
#[derive(Debug)]
pub(crate) struct Member {
    connections: Arc<Connections>,
    place: usize,
    /// What is registered at its place.
    waker: Option<Waker>,
}

/// One connection, for as long as it lingers.
#[derive(Debug)]
pub(crate) struct Lingering(Arc<Connections>);

impl Connections {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection.
    pub(crate) fn enter(self: &Arc<Self>) -> Member {
        Member { connections: Arc::clone(self), place: self.open().wakers.insert(None), waker: None }
    }

    /// Tells all connections to end.
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

    /// A place among at most `most` connections that linger; `None` when all are taken.
    pub(crate) fn linger(self: &Arc<Self>, most: usize) -> Option<Lingering> {
        let place = Lingering(Arc::clone(self));
        (self.lingering.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Member {
    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Whether the connection is to end. The task is woken when it is.
    pub(crate) fn is_ending(&mut self, cx: &Context<'_>) -> bool {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            if let Some(place) = self.connections.open().wakers.get_mut(self.place) {
                *place = self.waker.clone();
            }
        }
        // Read after the waker was left, so that the end is not missed.
        self.connections.ending.load(Ordering::Acquire)
    }
}

impl Drop for Member {
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
