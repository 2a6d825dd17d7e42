//! The application's handle of a client's socket: emitting, receiving, and its handlers.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use engineio_proto::{SendError, Text};
use futures_channel::oneshot;
use socketio_proto::{AckToken, Args, DisconnectReason, EmitError, Outgoing, Parser, Payload, SocketId};

use super::failure::ConnectFailure;
use super::state::{AuthResult, Client, Command, EventHandler, Handlers, NamedHandler, Shared, Socket, SocketInner};
use crate::extensions::Extensions;
use crate::handler::{Handler, HandlerResult, erase};
use crate::inbox::Inbox;
use crate::socketio::{Ack, Answer, AnswerSink, Event, encoder, never_sent};
use crate::sync::lock;

impl<P: Parser> Socket<P> {
    /// The namespace, which starts with `/`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> Client<P> {
        Client(Arc::clone(&self.handle))
    }

    /// The id that the server has given the socket. `None` while it is not connected. It changes with each connection, unless the socket is
    /// recovered.
    #[must_use]
    pub fn id(&self) -> Option<SocketId> {
        lock(&self.inner.status).id.clone()
    }

    /// Whether the socket is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        lock(&self.inner.status).id.is_some()
    }

    /// Whether the socket is connected, or will be without a further call of [`Socket::connect`]: it connects for the first time, or again.
    /// In [`Socket::on_connect_error`], it tells a refusal by the server (false) from a lost network (true). (socket.io-client:
    /// `socket.active`)
    #[must_use]
    pub fn is_active(&self) -> bool {
        lock(&self.inner.status).active
    }

    /// Whether the server has recovered the state of the socket when it connected last: its id and its rooms are those of before, and no
    /// event was lost. See connection state recovery in the docs of Socket.IO.
    #[must_use]
    pub fn recovered(&self) -> bool {
        lock(&self.inner.status).recovered
    }

    /// Joins the namespace, and opens the connection if it is not open. Does nothing if the socket is connected or connects already.
    ///
    /// If the connection is lost, the client connects again by itself. It does not after [`Socket::disconnect`], if the server has refused
    /// or disconnected the socket, and without reconnection ([`Client::set_reconnection`]); call `connect` then.
    pub fn connect(&self) -> &Self {
        let mut status = lock(&self.inner.status);
        status.active = true;
        status.connecting = status.connecting.saturating_add(1);
        drop(status);
        self.inner.inbox.reopen();
        let peer = &self.handle.peer;
        if peer.push(0, || Command::Connect { socket: Arc::clone(&self.inner) }).is_err() {
            // The task has ended, so nothing will ever come.
            self.inner.end(&peer.shared.full_inboxes);
        }
        self
    }

    /// Waits until the socket is connected or an attempt to connect has failed. Call [`Socket::connect`] before. Resolves at once if it is
    /// connected.
    ///
    /// # Errors
    /// Why the attempt has failed. Further attempts may follow, see [`Socket::is_active`].
    pub fn connected(&self) -> impl Future<Output = Result<(), ConnectFailure>> + Send + use<P> {
        let mut status = lock(&self.inner.status);
        let receiver = if status.id.is_some() {
            None
        } else if status.active {
            let (sender, receiver) = oneshot::channel();
            status.waiting.retain(|waiting| !waiting.is_canceled());
            status.waiting.push(sender);
            Some(receiver)
        } else {
            Some(oneshot::channel().1)
        };
        async move {
            match receiver {
                None => Ok(()),
                Some(receiver) => receiver.await.unwrap_or_else(|_| Err(ConnectFailure::inactive())),
            }
        }
    }

    /// Leaves the namespace. The connection is closed if no other socket of the client is active. What was emitted before is sent.
    pub fn disconnect(&self) {
        lock(&self.inner.status).active = false;
        self.command(Command::Disconnect { socket: Arc::clone(&self.inner) });
    }

    fn command(&self, command: Command<P>) {
        // The error is ignored, because it means that the task has ended.
        let _ = self.handle.peer.push(0, || command);
    }

    /// Sends an event; see [`Socket::emit`](crate::Socket::emit) of a server for what arguments can be. It never waits.
    ///
    /// While the socket is not connected, the event is kept, and is sent when it is. What is kept counts in the outbound limit.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; nothing is sent. On [`SendError::Full`], wait for [`Socket::ready`].
    pub fn emit<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        self.send(event, &args, false)
    }

    /// Same as [`Socket::emit`], but the event is dropped unless it can be written at once. As in the reference, it is kept while the
    /// connection is open and the socket is still joining.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]. It is not an error if the event is dropped.
    pub fn emit_volatile<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        match self.send(event, &args, true) {
            Err(EmitError::Send(SendError::Full)) => Ok(()),
            sent => sent,
        }
    }

    fn send<A: Args + ?Sized>(&self, event: &str, args: &A, volatile: bool) -> Result<(), EmitError> {
        let (peer, socket) = (&self.handle.peer, &self.inner);
        if peer.shared.retries && !volatile {
            return self.send_with_ack(event, args, None, None);
        }
        let encoded = peer.shared.encode(&Outgoing::event(&socket.namespace, None, event, args))?;
        peer.push(encoder::weight(&encoded), || Command::Send { socket: Arc::clone(socket), encoded, volatile })?;
        Ok(())
    }

    /// Sends an event with an ack. It is sent even if the [`Answer`] is not awaited, which resolves to the arguments of the server's ack.
    ///
    /// Without a timeout, the answer resolves when the server answers. If the connection ends before, it fails with
    /// [`AckError::Disconnected`](crate::AckError::Disconnected), unless the event was not sent yet.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; nothing is sent.
    pub fn emit_with_ack<A: Args>(&self, event: &str, args: A) -> Result<Answer, EmitError> {
        let (sink, answer) = Answer::channel();
        self.send_with_ack(event, &args, None, Some(sink))?;
        Ok(answer)
    }

    /// Same as [`Socket::emit_with_ack`], with a timeout, which starts now. If it ends before the event was sent, the event is not sent.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; nothing is sent.
    pub fn emit_with_ack_timeout<A: Args>(&self, event: &str, args: A, timeout: Duration) -> Result<Answer, EmitError> {
        let (sink, answer) = Answer::channel();
        self.send_with_ack(event, &args, Some(timeout), Some(sink))?;
        Ok(answer)
    }

    fn send_with_ack<A: Args + ?Sized>(
        &self,
        event: &str,
        args: &A,
        timeout: Option<Duration>,
        sink: Option<AnswerSink>,
    ) -> Result<(), EmitError> {
        let (peer, socket) = (&self.handle.peer, &self.inner);
        let id = peer.shared.next_ack_id();
        let encoded = peer.shared.encode(&Outgoing::event(&socket.namespace, Some(id.0.into()), event, args))?;
        peer.push(encoder::weight(&encoded), || Command::SendWithAck {
            socket: Arc::clone(socket),
            encoded,
            id,
            timeout,
            sink,
        })?;
        Ok(())
    }

    /// The number of bytes that wait to be sent, for all sockets of the client, whether or not they are connected. Each packet counts 40
    /// bytes on top of its own.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.handle.peer.queued()
    }

    /// Waits until the outbound queue is at most half full, and has capacity for the largest event that was refused with
    /// [`SendError::Full`] in the meantime.
    ///
    /// # Errors
    /// If the client's task has ended.
    pub async fn ready(&self) -> Result<(), SendError> {
        self.handle.peer.ready().await
    }

    /// The next event. `None` once nothing can come without a further [`Socket::connect`]: after [`Socket::disconnect`] or [`Client::close`],
    /// if the server has refused or disconnected the socket, or the client does not connect again. It waits across reconnections. Dropping the
    /// future loses nothing.
    ///
    /// It gets the events that have no handler ([`Socket::on`], [`Socket::on_any`]). Before the first call, up to 64 KiB of them
    /// ([`EngineLimits::soft_inbound`](crate::EngineLimits)) are kept, if no handler was set, and then dropped. After it, the client stops
    /// reading from the server when there are as many. The server's pings are then unread, too: a server that gets no answer closes the
    /// connection, by default after 45 s.
    pub fn recv(&self) -> impl Future<Output = Option<Event<P>>> + Send + '_ {
        let (inner, peer) = (&self.inner, &self.handle.peer);
        inner.inbox.start_receiving();
        poll_fn(move |cx| {
            let shared = &peer.shared;
            let next = inner.inbox.poll_next(cx, shared.soft_inbound, &shared.full_inboxes, || peer.wake());
            next.map(|next| {
                let (payload, token) = next?;
                Some(Event::new(payload, token.map(|token| Ack::of_client(Arc::clone(peer), token))))
            })
        })
    }

    /// Sets the handler for events with this name. It takes what it needs, sync or async: the [`Socket`], the [`Event`], its arguments
    /// ([`Data`](crate::Data)), the [`Ack`], state ([`State`](crate::State)); see [`Handler`]. A socket has one such handler for each name;
    /// another one replaces it, and [`Socket::once`] adds further ones.
    ///
    /// Handlers start in the order of events, and run to their first wait; later events are handled while they wait. A failure is logged. A
    /// panic is logged, too, and the connection is dropped and made again.
    ///
    /// # Panics
    /// If no server can send an event with this name, such as `connect`: it has a method of its own, [`Socket::on_connect`].
    pub fn on<M>(&self, event: &str, handler: impl Handler<(Self, Event<P>), HandlerResult, M>) -> &Self {
        never_sent(event);
        let handler: EventHandler<P> = Arc::new(erase(handler));
        self.change(|handlers| match handlers.events.iter_mut().find(|known| !known.once && *known.name == *event) {
            Some(known) => drop(std::mem::replace(&mut known.handler, handler)),
            None => handlers.events.push(NamedHandler { name: event.into(), once: false, handler }),
        })
    }

    /// Sets a handler for the next event with this name. It runs once, and is removed before. Several of them for one name all run for its
    /// next event.
    ///
    /// # Panics
    /// As [`Socket::on`].
    pub fn once<M>(&self, event: &str, handler: impl Handler<(Self, Event<P>), HandlerResult, M>) -> &Self {
        never_sent(event);
        let handler: EventHandler<P> = Arc::new(erase(handler));
        self.change(|handlers| handlers.events.push(NamedHandler { name: event.into(), once: true, handler }))
    }

    /// Removes the handlers of [`Socket::on`] and [`Socket::once`] for this name.
    pub fn off(&self, event: &str) -> &Self {
        self.change(|handlers| handlers.events.retain(|handler| *handler.name != *event))
    }

    /// Sets the handler that runs for every event, before those of its name. As on a server, it gets the right to send the ack only if the name
    /// has no handler; otherwise the first of those gets it.
    pub fn on_any<M>(&self, handler: impl Handler<(Self, Event<P>), HandlerResult, M>) -> &Self {
        let handler: EventHandler<P> = Arc::new(erase(handler));
        self.change(|handlers| handlers.any = Some(handler))
    }

    /// Removes the handler of [`Socket::on_any`].
    pub fn off_any(&self) -> &Self {
        self.change(|handlers| handlers.any = None)
    }

    /// Sets the handler that runs whenever the socket has connected, for the first time and again. As in the reference, handlers of events
    /// that the server sent before its reply, such as those of a recovered socket, run before.
    pub fn on_connect<M>(&self, handler: impl Handler<(Self,), HandlerResult, M>) -> &Self {
        let handler = Arc::new(erase(handler));
        self.change(|handlers| handlers.connect = Some(handler))
    }

    /// Sets the handler that runs when an attempt to connect has failed: the server has refused it, or could not be reached. See
    /// [`Socket::is_active`].
    pub fn on_connect_error<M>(&self, handler: impl Handler<(Self, ConnectFailure), HandlerResult, M>) -> &Self {
        let handler = Arc::new(erase(handler));
        self.change(|handlers| handlers.connect_error = Some(handler))
    }

    /// Sets the handler that runs when the socket has disconnected, with the reason. See [`Socket::is_active`] for whether it connects
    /// again.
    pub fn on_disconnect<M>(&self, handler: impl Handler<(Self, DisconnectReason), HandlerResult, M>) -> &Self {
        let handler = Arc::new(erase(handler));
        self.change(|handlers| handlers.disconnect = Some(handler))
    }

    /// Sets the function that makes the `auth` payload of each attempt to join the namespace, for example to renew a token. It is sync or
    /// async, and returns a `serde_json::Value`, or `Result<T, E>` with any `T` that serialises as an object. After an error, or a panic,
    /// nothing is sent, and the attempt fails with this text.
    ///
    /// ```
    /// # async fn fresh_token() -> Result<String, std::io::Error> { Ok("token".to_owned()) }
    /// # fn set(socket: &socketio_driver::client::Socket) {
    /// use serde_json::json;
    ///
    /// socket.auth(async || fresh_token().await.map(|token| json!({ "token": token })));
    /// # }
    /// ```
    pub fn auth<M>(&self, auth: impl Handler<(Self,), AuthResult, M>) -> &Self {
        let auth = Arc::new(erase(auth));
        self.change(|handlers| handlers.auth = Some(auth))
    }

    fn change(&self, change: impl FnOnce(&mut Handlers<P>)) -> &Self {
        let mut handlers = lock(&self.inner.handlers);
        let mut changed = Handlers::clone(&handlers);
        change(&mut changed);
        let old = std::mem::replace(&mut *handlers, Arc::new(changed));
        drop(handlers);
        // After the lock is released, because dropping handlers runs application code.
        drop(old);
        self
    }

    /// Stores a value with the socket. It stays until the last handle of the client is dropped, so it must not own one. Returns the previous value of the same type.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        self.inner.extensions.insert(value)
    }

    /// The value of this type that was stored with the socket.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.inner.extensions.get()
    }
}

impl<P: Parser> SocketInner<P> {
    pub(super) fn new(namespace: Text) -> Self {
        Self {
            namespace,
            handle: OnceLock::new(),
            status: Mutex::default(),
            inbox: Inbox::new(),
            handlers: Mutex::default(),
            extensions: Extensions::default(),
        }
    }

    pub(super) fn handlers(&self) -> Arc<Handlers<P>> {
        Arc::clone(&lock(&self.handlers))
    }

    /// Keeps an event that has no handler, for `recv`. Returns false if it is dropped.
    pub(super) fn keep(
        &self,
        event: (Payload, Option<AckToken>),
        bytes: usize,
        has_handlers: bool,
        shared: &Shared<P>,
    ) -> bool {
        self.inbox.may_keep(bytes, shared.soft_inbound, has_handlers)
            && self.inbox.push(event, bytes, shared.soft_inbound, &shared.full_inboxes).is_ok()
    }

    /// The handler of every event, and those of this name in the order in which they run. Those of [`Socket::once`] are removed.
    pub(super) fn take_handlers(&self, event: &str) -> (Option<EventHandler<P>>, Vec<EventHandler<P>>) {
        let mut handlers = lock(&self.handlers);
        let is_for = |handler: &&NamedHandler<P>| *handler.name == *event;
        let named = handlers.events.iter().filter(is_for).map(|named| Arc::clone(&named.handler));
        let found = (handlers.any.clone(), named.collect());
        if handlers.events.iter().any(|handler| handler.once && is_for(&handler)) {
            let mut changed = Handlers::clone(&handlers);
            changed.events.retain(|handler| !(handler.once && is_for(&handler)));
            let old = std::mem::replace(&mut *handlers, Arc::new(changed));
            drop(handlers);
            drop(old);
        }
        found
    }

    /// Nothing comes any more: ends every wait.
    fn end(&self, full_inboxes: &AtomicUsize) {
        let mut status = lock(&self.status);
        (status.id, status.active, status.connecting) = (None, false, 0);
        let waiting = std::mem::take(&mut status.waiting);
        drop(status);
        drop(waiting);
        self.inbox.close(full_inboxes);
    }

    /// Ends the waits of [`Socket::connected`], unless the application has called [`Socket::connect`] since.
    pub(super) fn stop_waiting(&self) {
        let mut status = lock(&self.status);
        if status.connecting > 0 {
            return;
        }
        let waiting = std::mem::take(&mut status.waiting);
        // Dropping a sender wakes its receiver.
        drop(status);
        drop(waiting);
    }

    /// The client is gone: nothing comes any more, and handlers and values are dropped, because they may own handles of the client.
    pub(super) fn finish(&self, full_inboxes: &AtomicUsize) {
        self.end(full_inboxes);
        let handlers = std::mem::take(&mut *lock(&self.handlers));
        drop(handlers);
        self.extensions.clear();
    }

    /// Tells those who wait in [`Socket::connected`].
    pub(super) fn tell_waiting(&self, result: &Result<(), ConnectFailure>) {
        let waiting = std::mem::take(&mut lock(&self.status).waiting);
        for sender in waiting {
            let _ = sender.send(result.clone());
        }
    }
}

impl<P: Parser> Handlers<P> {
    /// Whether a handler runs only once.
    pub(super) fn has_once(&self) -> bool {
        self.events.iter().any(|handler| handler.once)
    }
}

impl<P: Parser> Default for Handlers<P> {
    fn default() -> Self {
        Self { events: Vec::new(), any: None, connect: None, connect_error: None, disconnect: None, auth: None }
    }
}

impl<P: Parser> Clone for Handlers<P> {
    fn clone(&self) -> Self {
        Self {
            events: self.events.clone(),
            any: self.any.clone(),
            connect: self.connect.clone(),
            connect_error: self.connect_error.clone(),
            disconnect: self.disconnect.clone(),
            auth: self.auth.clone(),
        }
    }
}

impl<P: Parser> Clone for NamedHandler<P> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), once: self.once, handler: Arc::clone(&self.handler) }
    }
}

impl<P: Parser> Clone for Socket<P> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), handle: Arc::clone(&self.handle) }
    }
}

impl<P: Parser> PartialEq for Socket<P> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl<P: Parser> fmt::Debug for Socket<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("namespace", &self.inner.namespace)
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
