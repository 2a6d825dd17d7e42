//! A socket: one peer on one namespace, as the application holds it.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engineio_proto::{SendError, Sid};
use socketio_proto::{AckToken, Args, EmitError, Json, Outgoing, Parser, Payload, SocketHandle};

use super::answer::Answer;
use super::application::{AckSink, Command, SocketPeer};
use super::broadcast::Broadcast;
use super::encoder;
use super::kept::Kept;
use super::namespace::{Namespace, NamespaceInner, SocketKey, read_auth};
use crate::handshake::Handshake;
use crate::inbox::Inbox;

/// One peer on one namespace. A handle: clones are the same socket. Holding one does not keep the connection open, and after the
/// disconnect it holds no more than itself.
pub struct Socket<P: Parser = Json>(pub(crate) Arc<SocketInner<P>>);

pub(crate) struct SocketInner<P: Parser> {
    pub(crate) peer: Arc<SocketPeer<P>>,
    pub(crate) namespace: Arc<NamespaceInner<P>>,
    pub(crate) id: SocketHandle,
    pub(crate) key: SocketKey,
    pub(crate) sid: Sid,
    pub(crate) auth: Option<Payload>,
    /// Payloads, and the right to answer them. Not [`Event`]s, which hold the socket itself.
    pub(crate) inbox: Inbox<(Payload, Option<AckToken>)>,
    connected: AtomicBool,
    kept: Kept,
}

impl<P: Parser> SocketInner<P> {
    pub(crate) fn new(
        peer: Arc<SocketPeer<P>>,
        namespace: Arc<NamespaceInner<P>>,
        (id, key, sid): (SocketHandle, SocketKey, Sid),
        auth: Option<Payload>,
        kept: Kept,
    ) -> Self {
        let connected = AtomicBool::new(true);
        Self { peer, namespace, id, key, sid, auth, inbox: Inbox::new(), connected, kept }
    }

    pub(crate) fn disconnected(&self) {
        self.connected.store(false, Ordering::Relaxed);
        self.inbox.close(&self.peer.shared.full_inboxes);
    }

    /// The application has heard of the disconnect: what it kept here goes, for it may hold this very socket.
    pub(crate) fn forget(&self) {
        self.kept.clear();
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), EmitError> {
        if self.is_connected() { Ok(()) } else { Err(EmitError::Disconnected) }
    }

    fn send<A: Args + ?Sized>(&self, event: &str, args: &A, volatile: bool) -> Result<(), EmitError> {
        self.check()?;
        let encoded = self.namespace.encode(&Outgoing::event(&self.namespace.name, None, event, args))?;
        match self.peer.push(encoder::weight(&encoded), || Command::Send { socket: self.id, encoded, volatile }) {
            Err(SendError::Full) if volatile => Ok(()),
            sent => Ok(sent?),
        }
    }

    fn ask<A: Args + ?Sized>(&self, event: &str, args: &A, timeout: Option<Duration>) -> Result<Answer, EmitError> {
        self.check()?;
        let id = self.peer.shared.next_ack_id();
        let packet = Outgoing::event(&self.namespace.name, Some(id.0.into()), event, args);
        let encoded = self.namespace.encode(&packet)?;
        let (sink, answer) = Answer::channel();
        let sink = AckSink::Socket(sink);
        self.peer.push(encoder::weight(&encoded), || Command::Ask {
            socket: self.id,
            encoded,
            id,
            timeout,
            volatile: false,
            sink,
        })?;
        Ok(answer)
    }
}

impl<P: Parser> Socket<P> {
    /// The socket's id: a secret between it and the server.
    #[must_use]
    pub fn id(&self) -> Sid {
        self.0.sid
    }

    /// The id of the Engine.IO session below.
    #[must_use]
    pub fn session_id(&self) -> Sid {
        self.0.peer.sid()
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> Namespace<P> {
        Namespace(Arc::clone(&self.0.namespace))
    }

    /// The request that opened the connection.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.0.peer.shared.handshake
    }

    /// What the client sent as `auth` when it joined the namespace, if it did: see [`Socket::read_auth`].
    #[must_use]
    pub fn auth(&self) -> Option<&Payload> {
        self.0.auth.as_ref()
    }

    /// Reads what the client sent as `auth` when it joined the namespace: an object, and an empty one when it sent none, as in the
    /// reference.
    ///
    /// # Errors
    /// When it is not of this type.
    pub fn read_auth<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, socketio_proto::ReadError> {
        read_auth(self.0.auth.as_ref())
    }

    /// Whether the socket is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Sends an event: a tuple is the list of arguments, `()` is none, any other value is one. Received arguments can be sent on as they
    /// are (`event.payload()`). `bytes::Bytes` and `serde_bytes` travel as binary; a `Vec<u8>` is an array of numbers.
    ///
    /// Arrays and tuple structs are tuples to serde, and so are lists of arguments too. An argument that is one goes into a tuple of its own:
    ///
    /// ```
    /// # fn emit(socket: &socketio_driver::Socket) -> Result<(), socketio_driver::EmitError> {
    /// socket.emit("move", (3, 4))?; // socket.on("move", (x, y) => ..)
    /// socket.emit("move", [3, 4])?; // the same
    /// socket.emit("move", ((3, 4),))?; // socket.on("move", ([x, y]) => ..)
    /// socket.emit("move", vec![3, 4])?; // the same
    /// socket.emit("file", ("a.txt", bytes::Bytes::from("content")))?; // socket.on("file", (name, buffer) => ..)
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Never waits: the packet is encoded at once and leaves in the connection's next turn.
    ///
    /// # Errors
    /// [`EmitError`]: nothing was sent. When it is [`SendError::Full`], wait for [`Socket::ready`] or disconnect the peer.
    pub fn emit<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        self.0.send(event, &args, false)
    }

    /// As [`Socket::emit`], but the event is dropped unless it can leave at once.
    ///
    /// # Errors
    /// [`EmitError`]; that the event was dropped is none.
    pub fn emit_volatile<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        self.0.send(event, &args, true)
    }

    /// Sends an event that the client is to answer. The event leaves in any case; await the [`Answer`] for the client's arguments.
    ///
    /// Without a time limit the answer comes or fails with the disconnect; see [`Socket::emit_with_ack_timeout`].
    ///
    /// # Errors
    /// [`EmitError`]: nothing was sent.
    pub fn emit_with_ack<A: Args>(&self, event: &str, args: A) -> Result<Answer, EmitError> {
        self.0.ask(event, &args, None)
    }

    /// As [`Socket::emit_with_ack`], with a time limit.
    ///
    /// # Errors
    /// [`EmitError`]: nothing was sent.
    pub fn emit_with_ack_timeout<A: Args>(&self, event: &str, args: A, timeout: Duration) -> Result<Answer, EmitError> {
        self.0.ask(event, &args, Some(timeout))
    }

    /// Waits until the peer's outbound queue is less than half full.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn ready(&self) -> Result<(), SendError> {
        self.0.peer.ready().await
    }

    /// The next event that has no handler, `None` after the disconnect. One task at a time should call it.
    ///
    /// Events without a handler are kept for it while the connect handler runs and from its first call on; otherwise they are dropped,
    /// as in the reference. While more than the soft limit is kept, the peer is not read from.
    pub fn recv(&self) -> impl Future<Output = Option<Event<P>>> + Send + '_ {
        let inner = &self.0;
        inner.inbox.want();
        let shared = &inner.peer.shared;
        poll_fn(move |cx| {
            let next = inner.inbox.poll_next(cx, shared.soft_inbound, &shared.full_inboxes, || inner.peer.wake());
            next.map(|next| {
                next.map(|(payload, token)| Event::new(payload, token.map(|token| Ack::new(Arc::clone(inner), token))))
            })
        })
    }

    /// Joins a room. Does nothing after the disconnect.
    pub fn join(&self, room: &str) {
        self.0.namespace.with(|namespace| namespace.join(self.0.key, room));
    }

    /// Leaves a room.
    pub fn leave(&self, room: &str) {
        self.0.namespace.with(|namespace| namespace.leave(self.0.key, room));
    }

    /// The rooms that the socket is in, that of its own id among them.
    #[must_use]
    pub fn rooms(&self) -> Vec<String> {
        self.0.namespace.with(|namespace| namespace.rooms(self.0.key).map(|room| room.to_string()).collect())
    }

    /// Whether the socket is in this room.
    #[must_use]
    pub fn is_in(&self, room: &str) -> bool {
        self.0.namespace.with(|namespace| namespace.rooms(self.0.key).any(|joined| *joined == *room))
    }

    /// A broadcast to a room, without this socket.
    pub fn to(&self, room: &str) -> Broadcast<P> {
        self.broadcast().to(room)
    }

    /// A broadcast to everybody who is not in this room, without this socket.
    pub fn except(&self, room: &str) -> Broadcast<P> {
        self.broadcast().except(room)
    }

    /// A broadcast to everybody on the namespace, without this socket.
    pub fn broadcast(&self) -> Broadcast<P> {
        Broadcast::new(Arc::clone(&self.0.namespace), Some(self.0.key))
    }

    /// Makes the socket leave its namespace; the connection stays, with its other namespaces.
    pub fn disconnect(&self) {
        self.command(Command::Disconnect { socket: self.0.id });
        // What the client has sent meanwhile reaches no handler.
        self.0.connected.store(false, Ordering::Relaxed);
    }

    /// Makes all sockets of the connection leave, and closes it.
    pub fn close(&self) {
        self.command(Command::Close);
        self.0.connected.store(false, Ordering::Relaxed);
    }

    fn command(&self, command: Command<P>) {
        // A connection that is gone is as closed as it can be.
        let _ = self.0.peer.push(0, || command);
    }

    /// Keeps a value with the socket until its disconnect handler has returned; returns the value of the same type that was there.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        // What is put there after the clean-up would stay as long as the socket does.
        self.0.kept.insert_if(value, || self.is_connected())
    }

    /// The value of this type that was kept with the socket, by [`Socket::insert`] or by the guard ([`ConnectRequest::insert`]).
    ///
    /// [`ConnectRequest::insert`]: crate::ConnectRequest::insert
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.kept.get()
    }
}

impl<P: Parser> Clone for Socket<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Parser> PartialEq for Socket<P> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<P: Parser> fmt::Debug for Socket<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.0.sid)
            .field("namespace", &self.0.namespace.name)
            .finish_non_exhaustive()
    }
}

/// An event of a client.
pub struct Event<P: Parser = Json> {
    payload: Payload,
    ack: Option<Ack<P>>,
}

impl<P: Parser> Event<P> {
    pub(crate) fn new(payload: Payload, ack: Option<Ack<P>>) -> Self {
        Self { payload, ack }
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.payload.name().unwrap_or_default()
    }

    /// The arguments as they came. They can be emitted as they are: nothing is parsed then.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Reads the arguments: a tuple takes as many as it has members, any other type takes the first. Borrowing is possible, but a `&str`
    /// cannot hold what the client had to escape (a quote is enough): take a `String` or a `Cow<str>`.
    ///
    /// As with [`Socket::emit`], arrays and tuple structs count as tuples: `((x, y),)` reads one argument that is an array of two, and so does
    /// `Vec<_>`. Binary is read as `bytes::Bytes`; a `Vec<u8>` is an array of numbers.
    ///
    /// # Errors
    /// When they are not of this type.
    pub fn read<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, socketio_proto::ReadError> {
        self.payload.read()
    }

    /// Takes the right to answer, if the client wants an answer and it was not taken before.
    pub fn take_ack(&mut self) -> Option<Ack<P>> {
        self.ack.take()
    }

    /// Answers, if the client wants an answer.
    ///
    /// # Errors
    /// [`EmitError`]: nothing was sent.
    pub fn ack<A: Args>(mut self, args: A) -> Result<(), EmitError> {
        self.ack.take().map_or(Ok(()), |ack| ack.send(args))
    }

    /// Splits into the arguments and the right to answer.
    #[must_use]
    pub fn into_parts(self) -> (Payload, Option<Ack<P>>) {
        (self.payload, self.ack)
    }
}

impl<P: Parser> fmt::Debug for Event<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("payload", &self.payload).field("ack", &self.ack.is_some()).finish()
    }
}

/// The right to answer an event once.
#[must_use = "the client waits for the answer"]
pub struct Ack<P: Parser = Json> {
    socket: Arc<SocketInner<P>>,
    token: AckToken,
}

impl<P: Parser> Ack<P> {
    pub(crate) fn new(socket: Arc<SocketInner<P>>, token: AckToken) -> Self {
        Self { socket, token }
    }

    /// Answers. Goes out as long as the connection is open, also when the socket has left its namespace.
    ///
    /// # Errors
    /// [`EmitError`]: nothing was sent.
    pub fn send<A: Args>(self, args: A) -> Result<(), EmitError> {
        let packet = Outgoing::ack(self.token.namespace(), self.token.id(), &args);
        let encoded = self.socket.namespace.encode(&packet)?;
        self.socket.peer.push(encoder::weight(&encoded), || Command::Ack { encoded })?;
        Ok(())
    }
}

impl<P: Parser> fmt::Debug for Ack<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ack").field(&self.token).finish()
    }
}
