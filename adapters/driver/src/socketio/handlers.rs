//! The handlers of a namespace: finds the handler of an event.

use std::sync::Arc;

use socketio_proto::Parser;

use super::state::{EventHandler, Handlers};

/// Up to this number of names, a linear search is used.
const FEW_EVENTS: usize = 16;

/// Panics if no client can send an event with this name (socket.io-parser `lib/index.ts`, `RESERVED_EVENTS`). Warns about
/// `connection`.
pub(crate) fn never_sent(event: &str) {
    let instead = match event {
        "connect" | "connect_error" => {
            "`on_connect` runs for every socket that has joined, and `middleware` decides whether it may"
        }
        "disconnect" => "`on_disconnect` runs for every socket that has left",
        "disconnecting" => "`on_disconnecting` runs for every socket that is about to leave",
        "newListener" | "removeListener" => "the protocol reserves it",
        // Clients can send this event, but rarely do.
        "connection" => {
            return tracing::warn!(
                "a handler for the event \"connection\" does not run for sockets that join: use `on_connect`"
            );
        }
        _ => return,
    };
    #[allow(clippy::panic, reason = "the application's own mistake, told when it sets up its handlers")]
    {
        panic!("no client can send an event with the name \"{event}\": {instead}");
    }
}

/// The handler of the events with one name.
pub(crate) struct NamedHandler<P: Parser> {
    key: u64,
    name: Box<str>,
    pub(crate) handler: EventHandler<P>,
}

impl<P: Parser> Clone for NamedHandler<P> {
    fn clone(&self) -> Self {
        Self { key: self.key, name: self.name.clone(), handler: Arc::clone(&self.handler) }
    }
}

/// The length and the first bytes of a name, as one number: most names differ in it already.
#[inline]
fn key(name: &str) -> u64 {
    let first = name.as_bytes().first_chunk().map_or(0, |first| u32::from_le_bytes(*first));
    (name.len() as u64) << 32 | u64::from(first)
}

impl<P: Parser> Handlers<P> {
    /// Sets the handler of the events with this name. Replaces an earlier one.
    pub(super) fn set_event(&mut self, name: &str, handler: EventHandler<P>) {
        let new = NamedHandler { key: key(name), name: name.into(), handler };
        match self.find(new.key, name) {
            Ok(index) => drop(self.events.get_mut(index).map(|old| std::mem::replace(old, new))),
            Err(index) => self.events.insert(index, new),
        }
    }

    fn find(&self, key: u64, name: &str) -> Result<usize, usize> {
        self.events.binary_search_by(|known| (known.key, &*known.name).cmp(&(key, name)))
    }

    /// The handler of the events with this name. Inlined where events without stages are handled.
    #[inline(always)]
    pub(crate) fn event(&self, name: &str) -> Option<&NamedHandler<P>> {
        let key = key(name);
        // With few names, a linear search costs less than a binary search.
        if self.events.len() <= FEW_EVENTS {
            self.events.iter().find(|known| known.key == key && *known.name == *name)
        } else {
            self.events.get(self.find(key, name).ok()?)
        }
    }

    /// Same as [`Handlers::event`], for events that go through stages.
    #[cold]
    pub(crate) fn event_in_stages(&self, name: &str) -> Option<EventHandler<P>> {
        self.event(name).map(|known| Arc::clone(&known.handler))
    }

    /// The index of this handler, for logs.
    #[cold]
    pub(crate) fn index(&self, handler: &NamedHandler<P>) -> usize {
        self.events.iter().position(|known| std::ptr::eq(known, handler)).unwrap_or(usize::MAX)
    }

    /// The name of the event handler at this index, for logs.
    pub(crate) fn name(&self, index: usize) -> &str {
        self.events.get(index).map_or("", |known| &known.name)
    }
}
