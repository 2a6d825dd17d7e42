//! Tells the application about peers that read slowly: their outbound queue has passed a mark.

use std::fmt;
use std::sync::OnceLock;

/// The outbound queue of a connection has passed a mark; see [`Server::on_backlog`](crate::Server::on_backlog).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Backlog {
    /// The queue has reached the mark. It holds this many bytes.
    High(usize),
    /// After that, the queue has fallen to at most half of the mark. It holds this many bytes.
    Low(usize),
}

/// The mark of a server, and its handler; empty until the application sets it.
pub(crate) struct Watch<T>(OnceLock<(usize, Box<Handler<T>>)>);

type Handler<T> = dyn Fn(T, Backlog) + Send + Sync;

impl<T> Watch<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Sets the mark and the handler. The first one stays.
    pub(crate) fn set(&self, mark: usize, handler: Box<Handler<T>>) {
        if self.0.set((mark.max(1), handler)).is_err() {
            tracing::warn!("a second handler of `on_backlog` is ignored: a server has one");
        }
    }

    /// The mark in bytes.
    #[inline]
    pub(crate) fn mark(&self) -> Option<usize> {
        self.0.get().map(|(mark, _)| *mark)
    }

    /// Calls the handler. The caller catches its panic.
    pub(crate) fn call(&self, target: T, backlog: Backlog) {
        if let Some((_, handler)) = self.0.get() {
            handler(target, backlog);
        }
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.mark()).finish()
    }
}
