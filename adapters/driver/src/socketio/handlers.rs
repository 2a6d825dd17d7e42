//! The handlers of a namespace: finds the handler of an event.

use std::sync::Arc;

use socketio_proto::Parser;

use super::state::{EventHandler, Handlers};

/// Up to this number of names, a linear search is used.
const FEW_EVENTS: usize = 16;

/// Panics if no client can send an event with this name (socket.io-parser `lib/index.ts`, `RESERVED_EVENTS`). Warns about
/// `connection`.
pub(super) fn never_sent(event: &str) {
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

impl<P: Parser> Handlers<P> {
    pub(super) fn find(&self, event: &str) -> Result<usize, usize> {
        self.events.binary_search_by(|(name, _)| (name.len(), &**name).cmp(&(event.len(), event)))
    }

    /// The handler of an event with this name, and its index. Inlined where events without stages are handled.
    #[inline(always)]
    pub(crate) fn event(&self, name: &str) -> Option<(usize, &EventHandler<P>)> {
        // With few names, a linear search costs less than a binary search: almost all names already differ in length.
        let index = if self.events.len() <= FEW_EVENTS {
            self.events.iter().position(|(known, _)| **known == *name)?
        } else {
            self.find(name).ok()?
        };
        self.events.get(index).map(|(_, handler)| (index, handler))
    }

    /// Same as [`Handlers::event`], for events that go through stages.
    #[cold]
    pub(crate) fn event_in_stages(&self, name: &str) -> Option<EventHandler<P>> {
        self.event(name).map(|(_, handler)| Arc::clone(handler))
    }

    /// The name of the event handler at this index, for logs.
    pub(crate) fn name(&self, index: usize) -> &str {
        self.events.get(index).map_or("", |(name, _)| name)
    }
}
