//! Filters: they see every event before its handlers, and may change, answer or drop it.

use std::fmt::Display;
use std::sync::Arc;

use socketio_proto::Parser;

use super::server::Server;
use super::state::{Event, FilterResult, Namespace, Socket};
use crate::handler::{Handler, HandlerResult, Outcome, erase};

impl<P: Parser> Outcome<FilterResult<P>> for Event<P> {
    fn into_outcome(self) -> FilterResult<P> {
        Ok(Some(self))
    }
}

impl<P: Parser> Outcome<FilterResult<P>> for Option<Event<P>> {
    fn into_outcome(self) -> FilterResult<P> {
        Ok(self)
    }
}

impl<P: Parser, E: Display> Outcome<FilterResult<P>> for Result<Event<P>, E> {
    fn into_outcome(self) -> FilterResult<P> {
        self.map(Some).map_err(|error| error.to_string())
    }
}

impl<P: Parser, E: Display> Outcome<FilterResult<P>> for Result<Option<Event<P>>, E> {
    fn into_outcome(self) -> FilterResult<P> {
        self.map_err(|error| error.to_string())
    }
}

impl<P: Parser> Namespace<P> {
    /// Adds a filter, which sees every event of a socket once, before all handlers. It takes the [`Event`] and what else it needs, sync or
    /// async, and returns:
    ///
    /// * the event, or `Some(event)`: it goes on to the next filter, and then to its handlers. The filter may have changed it
    ///   ([`Event::with`]).
    /// * `None`: the event is dropped. The filter may have answered it ([`Event::ack`]).
    /// * a `Result` of these: an error is a failure, and the event is dropped. It is logged, or goes to [`Namespace::on_error`], which can
    ///   answer the client.
    ///
    /// Filters run in the order in which they were added, those of the namespace before those of the socket ([`Socket::filter`]). While a
    /// filter waits, no later event of the connection is handled, so events keep their order; acks that the application awaits are. When
    /// many events wait, the server stops reading from the client. If the socket disconnects while a filter waits, its future is dropped,
    /// and the event with it. A filter applies to sockets that connect after it was added. Filters see events only, neither acks nor
    /// requests to join, for which there is [`Namespace::middleware`].
    ///
    /// This is `socket.use` of the reference. There, an error only raises an event on the server.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// use socketio_driver::{Event, Failure, Server, Socket};
    ///
    /// /// The number of events that the client may still send.
    /// struct Quota(AtomicU32);
    ///
    /// let server = Server::new();
    /// server
    ///     .on_connect(|socket: Socket| socket.insert(Quota(AtomicU32::new(100))))
    ///     .filter(|socket: Socket, event: Event| {
    ///         let quota = socket.get::<Quota>().ok_or("no quota")?;
    ///         if quota.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
    ///             return Ok(Some(event));
    ///         }
    ///         event.ack("slow down")?;
    ///         Ok::<_, Failure>(None)
    ///     })
    ///     // Changes an event.
    ///     .filter(|event: Event| match event.name() {
    ///         "msg" => {
    ///             let args = event.payload().clone();
    ///             event.with("message", args)
    ///         }
    ///         _ => Ok(event),
    ///     });
    /// ```
    pub fn filter<M>(&self, filter: impl Handler<(Socket<P>, Event<P>), FilterResult<P>, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.filters.push(Arc::new(erase(filter))));
        self
    }

    /// Sets the handler for events that have no handler of their own, neither of the namespace ([`Namespace::on`]) nor of the socket
    /// ([`Socket::on`]). It runs after [`Namespace::on_any`], which sees every event, and gets the ack. With it, no event goes to
    /// [`Socket::recv`].
    ///
    /// ```
    /// use socketio_driver::{EventName, Server, Socket};
    ///
    /// Server::new().on_unhandled(|socket: Socket, EventName(name): EventName| socket.emit("unknown", name));
    /// ```
    pub fn on_unhandled<M>(&self, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.unhandled = Some(Arc::new(erase(handler))));
        self
    }
}

impl<P: Parser> Server<P> {
    /// Same as [`Namespace::filter`] of `/`.
    pub fn filter<M>(&self, filter: impl Handler<(Socket<P>, Event<P>), FilterResult<P>, M>) -> &Self {
        self.of("/").filter(filter);
        self
    }

    /// Same as [`Namespace::on_unhandled`] of `/`.
    pub fn on_unhandled<M>(&self, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        self.of("/").on_unhandled(handler);
        self
    }
}
