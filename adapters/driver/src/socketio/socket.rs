//! The application's handle of a socket: one client on one namespace.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engineio_proto::server::Transport;
use engineio_proto::{SendError, Sid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_proto::server::Target;
use socketio_proto::{Args, EmitError, EncodeError, Encoded, Outgoing, Parser, Payload, ReadError, SocketId};

use super::answer::Answer;
use super::broadcast::Broadcast;
use super::connect_request::read_auth;
use super::data::{Closed, Data};
use super::encoder;
use super::room_names::RoomNames;
use super::state::{Ack, AckSink, Command, Emits, Event, Namespace, Socket, SocketInner};
use crate::handshake::Handshake;

impl<P: Parser> SocketInner<P> {
    pub(crate) fn disconnected(&self) {
        self.connected.store(false, Ordering::Relaxed);
        self.inbox.close(&self.peer.shared.full_inboxes);
    }

    /// Tells those who wait for the end of the socket. It has left its namespace.
    pub(crate) fn tell_closed(&self) {
        self.has_left.store(true, Ordering::Relaxed);
        // Whoever has asked before this lock is among those who wait. Whoever asks after it sees the mark.
        if let Some(closed) = self.extensions.get::<Closed>() {
            closed.tell();
        }
    }

    /// Drops the stored values, with the socket's own handlers, after the last handler has ended, because they may contain this socket.
    pub(crate) fn forget(&self) {
        self.extensions.clear();
    }

    fn check(&self) -> Result<(), EmitError> {
        if self.is_connected() { Ok(()) } else { Err(EmitError::Disconnected) }
    }

    fn send<A: Args + ?Sized>(self: &Arc<Self>, event: &str, args: &A, volatile: bool) -> Result<(), EmitError> {
        self.check()?;
        let namespace = &*self.namespace;
        if namespace.recovers && !volatile {
            return namespace.emit_recoverable_to(self, event, args);
        }
        let encoded = namespace.encode(&Outgoing::event(&namespace.name, None, event, args))?;
        let sent = if namespace.emits == Emits::Direct && !namespace.is_observed() {
            let (bytes, socket) = (encoder::weight(&encoded), self.handle);
            self.peer.push(bytes, || Command::Send { socket, encoded, volatile }).map_err(EmitError::from)
        } else {
            self.send_by_namespace(encoded, volatile)
        };
        match sent {
            Err(EmitError::Send(SendError::Full)) if volatile => Ok(()),
            sent => sent,
        }
    }

    /// Sends an encoded event that the namespace puts in order, or that something observes.
    #[cold]
    fn send_by_namespace(self: &Arc<Self>, encoded: Encoded, volatile: bool) -> Result<(), EmitError> {
        let observed = self.namespace.is_observed().then(|| encoded.clone());
        match self.namespace.emits {
            Emits::Direct => {
                let (bytes, socket) = (encoder::weight(&encoded), self.handle);
                self.peer.push(bytes, || Command::Send { socket, encoded, volatile })?;
            }
            Emits::Ordered => self.namespace.emit_to(self, encoded, volatile)?,
        }
        if let Some(encoded) = observed {
            self.namespace.tell_observers(std::slice::from_ref(self), &encoded);
        }
        Ok(())
    }

    fn send_with_ack<A: Args + ?Sized>(
        self: &Arc<Self>,
        event: &str,
        args: &A,
        timeout: Option<Duration>,
    ) -> Result<Answer, EmitError> {
        self.check()?;
        let id = self.peer.shared.next_ack_id();
        let packet = Outgoing::event(&self.namespace.name, Some(id.0.into()), event, args);
        let encoded = self.namespace.encode(&packet)?;
        let observed = self.namespace.is_observed().then(|| encoded.clone());
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
        if let Some(encoded) = observed {
            self.namespace.tell_observers(std::slice::from_ref(self), &encoded);
        }
        Ok(answer)
    }
}

impl<P: Parser> Socket<P> {
    /// The socket's id. If clients can choose room names, keep it a secret between the socket and the server.
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

    /// The HTTP request that opened the connection.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.0.peer.shared.handshake
    }

    /// The `auth` payload that the client sent when it joined the namespace, if it sent one. See [`Socket::read_auth`].
    #[must_use]
    pub fn auth(&self) -> Option<&Payload> {
        self.0.auth.as_ref()
    }

    /// Reads the `auth` payload that the client sent when it joined the namespace, an object. If the client sent none, an empty
    /// object is read, as in the reference.
    ///
    /// # Errors
    /// If the payload does not have this type.
    pub fn read_auth<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        read_auth(self.0.auth.as_ref())
    }

    /// Whether the socket is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Sends an event. A tuple is the list of arguments, `()` is an empty list, and any other value is one argument. Received
    /// arguments can be sent unchanged (`event.payload()`). `bytes::Bytes` and `serde_bytes` are sent as binary; a `Vec<u8>` is
    /// an array of numbers.
    ///
    /// To serde, arrays and tuple structs are tuples, so they are lists of arguments as well. To send one as a single argument,
    /// wrap it in a tuple:
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
    /// This method never waits. The packet is encoded immediately, and sent in the next turn of the connection.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; nothing is sent. On [`SendError::Full`], wait for [`Socket::ready`] or disconnect the peer.
    pub fn emit<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        self.0.send(event, &args, false)
    }

    /// Same as [`Socket::emit`], but the event is dropped unless it can be written at once: nothing is queued before it, and the WebSocket
    /// has written everything, or a polling client has a GET waiting.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]. It is not an error if the event is dropped.
    pub fn emit_volatile<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        self.0.send(event, &args, true)
    }

    /// Sends an event with an ack. The event is sent even if the [`Answer`] is not awaited. The [`Answer`] resolves to the
    /// arguments of the client's ack.
    ///
    /// There is no timeout: the answer resolves when the client sends the ack. It fails with
    /// [`AckError::Disconnected`](crate::AckError::Disconnected) when the socket disconnects, and with
    /// [`AckError::TooManyAcks`](crate::AckError::TooManyAcks) if the event was not sent because too many acks are awaited from this
    /// client already ([`SocketLimits::max_awaited_acks`](crate::SocketLimits)). The socket is then still connected. See
    /// [`Socket::emit_with_ack_timeout`].
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; nothing is sent.
    pub fn emit_with_ack<A: Args>(&self, event: &str, args: A) -> Result<Answer, EmitError> {
        self.0.send_with_ack(event, &args, None)
    }

    /// Same as [`Socket::emit_with_ack`], with a timeout.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; nothing is sent.
    pub fn emit_with_ack_timeout<A: Args>(&self, event: &str, args: A, timeout: Duration) -> Result<Answer, EmitError> {
        self.0.send_with_ack(event, &args, Some(timeout))
    }

    /// The number of bytes that wait to be sent to the peer, for all sockets of its connection. Each packet counts 40 bytes on top of its
    /// own.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.0.peer.queued()
    }

    /// Waits until the outbound queue of the peer is at most half full and has capacity for the largest message that was refused with
    /// [`SendError::Full`] in the meantime.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn ready(&self) -> Result<(), SendError> {
        self.0.peer.ready().await
    }

    /// Receives the next event that has no handler. Returns `None` after the socket has disconnected. Only one task at a time
    /// should call this method.
    ///
    /// Events without a handler are buffered while the connect handler runs, and after the first call of this method. Otherwise
    /// they are dropped, as in the reference. While more bytes than
    /// [`EngineLimits::soft_inbound`](crate::EngineLimits) (64 KiB by default) are buffered, the server does not read from the peer.
    pub fn recv(&self) -> impl Future<Output = Option<Event<P>>> + Send + '_ {
        let inner = &self.0;
        inner.inbox.start_receiving();
        let shared = &inner.peer.shared;
        poll_fn(move |cx| {
            let next = inner.inbox.poll_next(cx, shared.soft_inbound, &shared.full_inboxes, || inner.peer.wake());
            next.map(|next| {
                next.map(|(payload, token)| Event::new(payload, token.map(|token| Ack::new(Arc::clone(inner), token))))
            })
        })
    }

    /// Joins a room, or several. Does nothing after the socket has disconnected.
    pub fn join(&self, rooms: impl RoomNames) {
        rooms.with(|names| self.0.namespace.join(&Target::socket(self.0.key), names));
    }

    /// Leaves a room, or several.
    pub fn leave(&self, rooms: impl RoomNames) {
        rooms.with(|names| self.0.namespace.leave(&Target::socket(self.0.key), names));
    }

    /// The rooms of the socket, including the room of its own id.
    #[must_use]
    pub fn rooms(&self) -> Vec<String> {
        self.0.namespace.rooms(self.0.key)
    }

    /// Whether the socket is in this room.
    #[must_use]
    pub fn is_in(&self, room: &str) -> bool {
        self.0.namespace.is_in(self.0.key, room)
    }

    /// Creates a broadcast to a room, or several, without this socket.
    pub fn to(&self, rooms: impl RoomNames) -> Broadcast<P> {
        self.broadcast().to(rooms)
    }

    /// Creates a broadcast to all sockets that are not in this room, or in one of several, without this socket.
    pub fn except(&self, rooms: impl RoomNames) -> Broadcast<P> {
        self.broadcast().except(rooms)
    }

    /// Creates a broadcast to all sockets on the namespace, without this socket.
    pub fn broadcast(&self) -> Broadcast<P> {
        Broadcast::new(Arc::clone(&self.0.namespace), Some(self.0.key))
    }

    /// Disconnects the socket from its namespace. The connection and its other namespaces stay open.
    ///
    /// Whether the official client connects again by itself depends on how its socket ended:
    ///
    /// | what ended it | the client's reason | it connects again |
    /// |---|---|---|
    /// | [`Socket::disconnect`], [`Socket::close`] | `io server disconnect` | no, until the page calls `socket.connect()` |
    /// | [`Socket::drop_connection`], [`Server::shut_down`](crate::Server::shut_down), a broken connection, a full queue, a panic | `transport close`, `transport error` or `ping timeout` | yes |
    /// | its own `socket.disconnect()` | `io client disconnect` | no |
    /// | a refusal ([`Namespace::middleware`]) | none, but the event `connect_error` | no, until the page calls `socket.connect()` |
    pub fn disconnect(&self) {
        self.command(Command::Disconnect { socket: self.0.handle });
        // Events that the client has sent in the meantime reach no handler.
        self.0.connected.store(false, Ordering::Relaxed);
    }

    /// Disconnects all sockets of the connection, and closes the connection. The official client does not connect again by itself; see
    /// [`Socket::disconnect`].
    pub fn close(&self) {
        self.command(Command::Close);
        self.0.connected.store(false, Ordering::Relaxed);
    }

    /// Closes the connection without telling the client that its sockets are disconnected, so that the official client connects again:
    /// for example, to move it to another server. Queued packets are sent first. The sockets of the connection disconnect with the
    /// reason `forced close`. See [`Socket::disconnect`]. (socket.io: `socket.conn.close()`)
    pub fn drop_connection(&self) {
        self.command(Command::CloseSession);
        self.0.connected.store(false, Ordering::Relaxed);
    }

    /// Waits until the socket has disconnected and left its rooms. Resolves at once if it has. The disconnect handler, which knows the
    /// reason, starts about the same time. The future does not keep the socket in memory.
    ///
    /// ```
    /// # async fn next_position() -> u32 { 0 }
    /// # fn start(server: socketio_driver::Server) {
    /// use futures_util::future::{Either, select};
    /// use socketio_driver::Socket;
    ///
    /// // Sends until the client is gone. With tokio, `tokio::select!` does the same.
    /// server.on_connect(async |socket: Socket| {
    ///     let mut closed = std::pin::pin!(socket.closed());
    ///     while let Either::Left((position, _)) = select(std::pin::pin!(next_position()), closed.as_mut()).await {
    ///         let _ = socket.emit_volatile("position", position);
    ///     }
    /// });
    /// # }
    /// ```
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<P> {
        let is_there = || !self.0.has_left.load(Ordering::Relaxed);
        let receiver = self.0.extensions.use_default_if(is_there, Closed::wait);
        async move {
            if let Some(receiver) = receiver {
                let _ = receiver.await;
            }
        }
    }

    /// What carries the connection at this time: polling or a WebSocket. It changes at most once, see
    /// [`Namespace::on_upgrade`]. (socket.io: `socket.conn.transport.name`)
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.0.peer.shared.transport()
    }

    /// Stores data that serde can write, for example for other servers of a cluster, for a client that comes back after its connection
    /// was lost, and for an admin page. Replaces the previous data. It is kept as JSON until the disconnect handler has ended. For
    /// values that stay in this process, use [`Socket::insert`]. (socket.io: `socket.data = ..`)
    ///
    /// # Errors
    /// If the data cannot be written as JSON; the previous data is then kept.
    pub fn set_data<T: Serialize>(&self, data: T) -> Result<(), EncodeError> {
        let data = Data::new(&data)?;
        self.0.extensions.insert_if(data, || self.is_connected());
        Ok(())
    }

    /// Reads the data that was stored with [`Socket::set_data`] or [`ConnectRequest::set_data`]. If there is none, an empty object is
    /// read, as in the reference: for `T = Option<..>` or a type without required members, that is not an error.
    ///
    /// [`ConnectRequest::set_data`]: crate::ConnectRequest::set_data
    ///
    /// # Errors
    /// If the data does not have this type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        Data::read(self.0.extensions.get::<Data>().as_deref())
    }

    fn command(&self, command: Command<P>) {
        // The error is ignored, because it means that the connection is already closed.
        let _ = self.0.peer.push(0, || command);
    }

    /// Stores a value with the socket. It is kept until the disconnect handler has ended. Returns the previous value of the same type.
    /// Once the socket is disconnected, so also in the disconnect handler, the new value is dropped and `None` is returned.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        // A value stored after the cleanup would be kept as long as the socket.
        self.0.extensions.insert_if(value, || self.is_connected())
    }

    /// The value of this type that was stored with the socket, by [`Socket::insert`] or by the middleware
    /// ([`ConnectRequest::insert`]).
    ///
    /// [`ConnectRequest::insert`]: crate::ConnectRequest::insert
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.extensions.get()
    }
}

impl<P: Parser> Socket<P> {
    /// The server's value of this type, which was set with [`ServerBuilder::state`](crate::ServerBuilder::state).
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.namespace.states.get().cloned()
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
