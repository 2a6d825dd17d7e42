//! The handlers of one socket, beside those of its namespace. They are kept with the values that the application stores with the socket, so
//! a socket without them pays for a flag only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use socketio_proto::{DisconnectReason, Parser};

use super::handlers::never_sent;
use super::state::{Event, EventHandler, FilterResult, OwnEventHandler, OwnHandlers, Socket, SocketInner};
use crate::handler::{Handler, HandlerResult, erase};

impl<P: Parser> SocketInner<P> {
    /// Whether the socket has, or had, handlers of its own.
    #[inline]
    pub(super) fn has_own(&self) -> bool {
        self.has_own.load(Ordering::Relaxed)
    }

    /// The handlers of the socket.
    pub(super) fn own(&self) -> Option<Arc<OwnHandlers<P>>> {
        if self.has_own() { self.extensions.get() } else { None }
    }

    /// Changes the handlers. Does nothing after the socket has disconnected, because nothing would drop them.
    pub(super) fn change_own(&self, change: impl FnOnce(&mut OwnHandlers<P>)) {
        self.extensions.change_if(|| self.is_connected(), change);
        self.has_own.store(true, Ordering::Relaxed);
    }

    /// The handlers of an event, in the order in which they were set. Those of [`Socket::once`] are removed.
    pub(super) fn own_handlers(&self, event: &str) -> Vec<EventHandler<P>> {
        let mut handlers = Vec::new();
        let Some(table) = self.own() else { return handlers };
        let is_for = |handler: &OwnEventHandler<P>| *handler.name == *event;
        if table.events.iter().any(|handler| handler.once && is_for(handler)) {
            self.change_own(|own| {
                // Read again, under the lock.
                handlers.extend(own.events.iter().filter(|handler| is_for(handler)).map(OwnEventHandler::get));
                own.events.retain(|handler| !(handler.once && is_for(handler)));
            });
        } else {
            handlers.extend(table.events.iter().filter(|handler| is_for(handler)).map(OwnEventHandler::get));
        }
        handlers
    }
}

impl<P: Parser> OwnEventHandler<P> {
    fn get(&self) -> EventHandler<P> {
        Arc::clone(&self.handler)
    }
}

impl<P: Parser> OwnHandlers<P> {
    fn add(&mut self, event: &str, once: bool, handler: EventHandler<P>) {
        self.events.push(OwnEventHandler { name: event.into(), once, handler });
    }
}

impl<P: Parser> Socket<P> {
    /// Sets a handler for events of this socket with this name, beside that of the namespace, usually in the connect handler. See
    /// [`Namespace::on`](crate::Namespace::on).
    ///
    /// If both have a handler for an event, both run, that of the socket first, and it gets the ack. A socket has one such handler for each
    /// name; another one replaces it, and [`Socket::once`] adds further ones. It takes effect for the next event, also if a handler sets it.
    /// All handlers of a socket are dropped when it has disconnected, so they may own clones of it. After that, this does nothing.
    ///
    /// In the reference, these are the only handlers, and each name has a list of them (`socket.on`).
    ///
    /// ```
    /// use socketio_driver::{Data, Server, Socket};
    ///
    /// Server::new().on_connect(|socket: Socket| {
    ///     // State of this socket, without a lock that others share.
    ///     let mut names = std::sync::Mutex::new(Vec::new());
    ///     socket.on("name", move |Data(name): Data<String>| names.lock().unwrap().push(name));
    ///     // The first event only.
    ///     socket.once("ready", |socket: Socket| socket.emit("go", ()));
    /// });
    /// ```
    ///
    /// # Panics
    /// If no client can send an event with this name; see [`Namespace::on`](crate::Namespace::on).
    pub fn on<M>(&self, event: &str, handler: impl Handler<(Self, Event<P>), HandlerResult, M>) -> &Self {
        never_sent(event);
        let handler: EventHandler<P> = Arc::new(erase(handler));
        self.0.change_own(|own| match own.events.iter_mut().find(|known| !known.once && *known.name == *event) {
            Some(known) => drop(std::mem::replace(&mut known.handler, handler)),
            None => own.add(event, false, handler),
        });
        self
    }

    /// Sets a handler for the next event of this socket with this name. It runs once, and is removed before. Several of them for one name
    /// all run for its next event.
    ///
    /// # Panics
    /// As [`Socket::on`].
    pub fn once<M>(&self, event: &str, handler: impl Handler<(Self, Event<P>), HandlerResult, M>) -> &Self {
        never_sent(event);
        let handler: EventHandler<P> = Arc::new(erase(handler));
        self.0.change_own(|own| own.add(event, true, handler));
        self
    }

    /// Removes the handlers of [`Socket::on`] and [`Socket::once`] for this name. That of the namespace stays.
    pub fn off(&self, event: &str) -> &Self {
        if self.0.has_own() {
            self.0.change_own(|own| own.events.retain(|handler| *handler.name != *event));
        }
        self
    }

    /// Sets the handler that runs for every event of this socket, before that of the namespace. See
    /// [`Namespace::on_any`](crate::Namespace::on_any).
    pub fn on_any<M>(&self, handler: impl Handler<(Self, Event<P>), HandlerResult, M>) -> &Self {
        let handler: EventHandler<P> = Arc::new(erase(handler));
        self.0.change_own(|own| own.any = Some(handler));
        self
    }

    /// Removes the handler of [`Socket::on_any`].
    pub fn off_any(&self) -> &Self {
        if self.0.has_own() {
            self.0.change_own(|own| own.any = None);
        }
        self
    }

    /// Adds a filter for the events of this socket, after those of the namespace and those that it already has. See
    /// [`Namespace::filter`](crate::Namespace::filter).
    pub fn filter<M>(&self, filter: impl Handler<(Self, Event<P>), FilterResult<P>, M>) -> &Self {
        let filter = Arc::new(erase(filter));
        self.0.change_own(|own| own.filters.push(filter));
        self
    }

    /// Sets the handler that runs when this socket is about to leave, before that of the namespace. See
    /// [`Namespace::on_disconnecting`](crate::Namespace::on_disconnecting).
    pub fn on_disconnecting<M>(&self, handler: impl Handler<(Self, DisconnectReason), HandlerResult, M>) -> &Self {
        let handler = Arc::new(erase(handler));
        self.0.change_own(|own| own.disconnecting = Some(handler));
        self
    }

    /// Sets the handler that runs when this socket has left, before that of the namespace. See
    /// [`Namespace::on_disconnect`](crate::Namespace::on_disconnect).
    pub fn on_disconnect<M>(&self, handler: impl Handler<(Self, DisconnectReason), HandlerResult, M>) -> &Self {
        let handler = Arc::new(erase(handler));
        self.0.change_own(|own| own.disconnect = Some(handler));
        self
    }
}

impl<P: Parser> Default for OwnHandlers<P> {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            any: None,
            filters: Vec::new(),
            disconnecting: None,
            disconnect: None,
            outgoing: Vec::new(),
        }
    }
}

impl<P: Parser> Clone for OwnHandlers<P> {
    fn clone(&self) -> Self {
        Self {
            events: self.events.clone(),
            any: self.any.clone(),
            filters: self.filters.clone(),
            disconnecting: self.disconnecting.clone(),
            disconnect: self.disconnect.clone(),
            outgoing: self.outgoing.clone(),
        }
    }
}

impl<P: Parser> Clone for OwnEventHandler<P> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), once: self.once, handler: Arc::clone(&self.handler) }
    }
}
