//! A socket, as the application holds it: one peer on one namespace.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engineio_proto::{SendError, Sid};
use socketio_proto::server::Target;
use socketio_proto::{Args, EmitError, Outgoing, Parser, Payload, SocketId};

use super::answer::Answer;
use super::broadcast::Broadcast;
use super::encoder;
use super::guard::read_auth;
use super::state::{Ack, AckSink, Command, Emits, Event, Namespace, Socket, SocketInner};
use crate::handshake::Handshake;

impl<P: Parser> SocketInner<P> {
    pub(crate) fn disconnected(&self) {
        self.connected.store(false, Ordering::Relaxed);
        self.inbox.close(&self.peer.shared.full_inboxes);
    }

    /// The application has heard of the disconnect: what it kept here goes, for it may hold this very socket.
    pub(crate) fn forget(&self) {
        self.extensions.clear();
    }

    fn check(&self) -> Result<(), EmitError> {
        if self.is_connected() { Ok(()) } else { Err(EmitError::Disconnected) }
    }

    fn send<A: Args + ?Sized>(&self, event: &str, args: &A, volatile: bool) -> Result<(), EmitError> {
        self.check()?;
        let encoded = self.namespace.encode(&Outgoing::event(&self.namespace.name, None, event, args))?;
        let sent = match self.namespace.emits {
            Emits::Direct => {
                let (bytes, socket) = (encoder::weight(&encoded), self.handle);
                self.peer.push(bytes, || Command::Send { socket, encoded, volatile }).map_err(EmitError::from)
            }
            Emits::Ordered => self.namespace.emit_to(self, encoded, volatile),
        };
        match sent {
            Err(EmitError::Send(SendError::Full)) if volatile => Ok(()),
            sent => sent,
        }
    }

    fn send_with_ack<A: Args + ?Sized>(
        &self,
        event: &str,
        args: &A,
        timeout: Option<Duration>,
    ) -> Result<Answer, EmitError> {
        self.check()?;
        let id = self.peer.shared.next_ack_id();
        let packet = Outgoing::event(&self.namespace.name, Some(id.0.into()), event, args);
        let encoded = self.namespace.encode(&packet)?;
        let (sink, answer) = Answer::channel();
        let sink = AckSink::Socket(sink);
        self.peer.push(encoder::weight(&encoded), || Command::SendWithAck {
            socket: self.handle,
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
    /// The socket's id. It is a secret between the socket and the server for as long as clients cannot name a room.
    #[must_use]
    pub fn id(&self) -> &SocketId {
        &self.0.id
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
        self.0.send_with_ack(event, &args, None)
    }

    /// As [`Socket::emit_with_ack`], with a time limit.
    ///
    /// # Errors
    /// [`EmitError`]: nothing was sent.
    pub fn emit_with_ack_timeout<A: Args>(&self, event: &str, args: A, timeout: Duration) -> Result<Answer, EmitError> {
        self.0.send_with_ack(event, &args, Some(timeout))
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
        self.0.namespace.join(&Target::socket(self.0.key), room);
    }

    /// Leaves a room.
    pub fn leave(&self, room: &str) {
        self.0.namespace.leave(&Target::socket(self.0.key), room);
    }

    /// The rooms that the socket is in, that of its own id among them.
    #[must_use]
    pub fn rooms(&self) -> Vec<String> {
        self.0.namespace.rooms(self.0.key)
    }

    /// Whether the socket is in this room.
    #[must_use]
    pub fn is_in(&self, room: &str) -> bool {
        self.0.namespace.is_in(self.0.key, room)
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
        self.command(Command::Disconnect { socket: self.0.handle });
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
        self.0.extensions.insert_if(value, || self.is_connected())
    }

    /// The value of this type that was kept with the socket, by [`Socket::insert`] or by the guard ([`ConnectRequest::insert`]).
    ///
    /// [`ConnectRequest::insert`]: crate::ConnectRequest::insert
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.extensions.get()
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
            .field("id", &self.0.id)
            .field("namespace", &self.0.namespace.name)
            .finish_non_exhaustive()
    }
}
