//! Observers of the events that are sent. While there are none, sending costs one look at a flag of the namespace.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use socketio_proto::{Encoded, Parser, Payload};

use super::server::Server;
use super::state::{Namespace, NamespaceInner, Socket, SocketInner};
use crate::handler::panic_message;
use crate::log_limit::{log_limited, truncate};

/// The recipients of a packet, if anything observes what is sent.
pub(super) struct Observed<P: Parser>(Option<Vec<Arc<SocketInner<P>>>>);

impl<P: Parser> Observed<P> {
    /// Adds a recipient.
    #[inline]
    pub(super) fn add(&mut self, socket: &Arc<SocketInner<P>>) {
        if let Some(sockets) = &mut self.0 {
            sockets.push(Arc::clone(socket));
        }
    }

    /// Calls the observers. No lock may be held.
    #[inline]
    pub(super) fn tell(self, namespace: &NamespaceInner<P>, encoded: &Encoded) {
        if let Some(sockets) = self.0 {
            namespace.tell_observers(&sockets, encoded);
        }
    }
}

impl<P: Parser> NamespaceInner<P> {
    /// Whether anything observes, or has observed, what is sent to the sockets.
    #[inline]
    pub(super) fn is_observed(&self) -> bool {
        self.observed.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn observed(&self) -> Observed<P> {
        Observed(self.is_observed().then(Vec::new))
    }

    #[cold]
    pub(super) fn tell_observers(&self, sockets: &[Arc<SocketInner<P>>], encoded: &Encoded) {
        let handlers = self.handlers();
        let mut payload = None;
        for socket in sockets {
            let own = socket.own();
            let own = own.as_ref().map_or(&[][..], |own| &own.outgoing);
            if handlers.outgoing.is_empty() && own.is_empty() {
                continue;
            }
            // Decoded at most once, however many recipients there are.
            let Some(payload) = payload.get_or_insert_with(|| self.decode(encoded)) else { return };
            let socket = Socket(Arc::clone(socket));
            for observer in handlers.outgoing.iter().chain(own) {
                // A panic of an observer is not the fault of the task that sends.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| observer(&socket, payload))) {
                    let (panic, namespace) = (panic_message(panic.as_ref()), &*self.name);
                    let panic = truncate(&panic);
                    log_limited!(
                        self.observer_panicked,
                        error,
                        namespace,
                        handler = "any outgoing",
                        panic,
                        "a handler panicked"
                    );
                }
            }
        }
    }
}

impl<P: Parser> Namespace<P> {
    /// Adds an observer of the events that are sent to the sockets of the namespace, by whatever method: it gets the socket, and the
    /// name and the arguments of the event. A broadcast is one call for each recipient. Acks are not events.
    ///
    /// It is called by the task that sends, after the event was queued, with no lock held. Events that were refused or dropped, because a
    /// queue was full, are not observed; a volatile event is, though it may be dropped later. It must not send to the namespace itself
    /// without a condition, because it would be called again. If it panics, this is logged.
    ///
    /// With connection state recovery, the last argument of an event is its offset, as the client gets it and as in the reference.
    ///
    /// Without observers, sending costs nothing more. With one, every event that is sent is decoded once, and a broadcast keeps a list of
    /// its recipients. An observer sees what is sent from now on. In the reference, sockets only have such observers
    /// (`socket.onAnyOutgoing`); see [`Socket::on_any_outgoing`].
    ///
    /// ```
    /// use socketio_driver::{Payload, Server, Socket};
    ///
    /// Server::new().on_any_outgoing(|socket: &Socket, event: &Payload| {
    ///     println!("{} gets {:?} with {} arguments", socket.id(), event.name(), event.len());
    /// });
    /// ```
    pub fn on_any_outgoing(&self, observer: impl Fn(&Socket<P>, &Payload) + Send + Sync + 'static) -> &Self {
        self.0.change_handlers(|handlers| handlers.outgoing.push(Arc::new(observer)));
        self.0.observed.store(true, Ordering::Relaxed);
        self
    }
}

impl<P: Parser> Server<P> {
    /// Same as [`Namespace::on_any_outgoing`] of `/`.
    pub fn on_any_outgoing(&self, observer: impl Fn(&Socket<P>, &Payload) + Send + Sync + 'static) -> &Self {
        self.of("/").on_any_outgoing(observer);
        self
    }
}

impl<P: Parser> Socket<P> {
    /// Adds an observer of the events that are sent to this socket, broadcasts included, after those of the namespace. See
    /// [`Namespace::on_any_outgoing`].
    pub fn on_any_outgoing(&self, observer: impl Fn(&Self, &Payload) + Send + Sync + 'static) -> &Self {
        let observer = Arc::new(observer);
        self.0.change_own(|own| own.outgoing.push(observer));
        self.0.namespace.observed.store(true, Ordering::Relaxed);
        self
    }

    /// Removes the observers of [`Socket::on_any_outgoing`].
    pub fn off_any_outgoing(&self) -> &Self {
        if self.0.has_own() {
            self.0.change_own(|own| own.outgoing.clear());
        }
        self
    }
}
