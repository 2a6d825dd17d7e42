//! The application's handle of a namespace: sets its handlers and sends to its sockets.

use std::fmt;
use std::sync::Arc;

use engineio_proto::server::Transport;
use socketio_proto::{Args, DisconnectReason, EmitError, Parser};

use super::broadcast::Broadcast;
use super::handlers::never_sent;
use super::room_names::RoomNames;
use super::state::{ConnectRequest, Event, MiddlewareResult, Namespace, RoomEvent, Socket};
use crate::handler::{Handler, HandlerResult, erase};

impl<P: Parser> Namespace<P> {
    /// The name; starts with `/`. That of a parent is `/_0`, `/_1` and so on, as in the reference.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Adds a middleware, which decides whether a client may join: `Fn(ConnectRequest) -> Result<(), Refusal>`, or a closure that
    /// returns a future of this result. Middleware runs in the order in which it was added, before the socket exists. The first
    /// refusal is sent to the client, and the rest does not run. A middleware passes values to those after it and to the socket
    /// with [`ConnectRequest::insert`]. Middleware and handlers apply to clients that request to join after they were set. If the
    /// connection ends while a middleware waits, its future is dropped.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use socketio_driver::{ConnectRequest, Refusal, Server, Socket};
    ///
    /// struct Sessions;
    /// struct User(String);
    ///
    /// impl Sessions {
    ///     async fn user(&self, token: &str) -> Option<User> {
    ///         (token == "secret").then(|| User("ann".to_owned()))
    ///     }
    /// }
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Auth {
    ///     token: String,
    /// }
    ///
    /// let server = Server::new();
    /// let sessions = Arc::new(Sessions);
    /// server
    ///     .middleware(move |request: ConnectRequest| {
    ///         let sessions = Arc::clone(&sessions);
    ///         async move {
    ///             let auth: Auth = request.read_auth().map_err(|_| "a token is needed")?;
    ///             let user = sessions.user(&auth.token).await.ok_or("not authorised")?;
    ///             request.insert(user);
    ///             Ok::<(), Refusal>(())
    ///         }
    ///     })
    ///     .on_connect(|socket: Socket| {
    ///         if let Some(user) = socket.get::<User>() {
    ///             println!("{} is here", user.0);
    ///         }
    ///     });
    /// ```
    pub fn middleware<M>(&self, middleware: impl Handler<(ConnectRequest<P>,), MiddlewareResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.middleware.push(Arc::new(erase(middleware))));
        self
    }

    /// Sets the handler that runs for every socket that has joined: `Fn(Socket)`, sync or async. It starts before any event of
    /// the socket is handled.
    pub fn on_connect<M>(&self, handler: impl Handler<(Socket<P>,), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.connect = Some(Arc::new(erase(handler))));
        self
    }

    /// Sets the handler for events with this name: `Fn(Socket, Event)`, sync or async. See [`Handler`] for other arguments and for its
    /// return types. For the handlers of a single socket, see [`Socket::on`].
    /// The handlers of a socket start in the order in which its events arrived. While an async handler waits, handlers of later
    /// events can run. If a handler fails, this is logged, and if it panics, the connection is closed as well; see
    /// [`Namespace::on_error`]. Each name has one handler. Setting another one replaces
    /// it for sockets that connect from then on.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// use socketio_driver::{Event, Failure, Server, Socket};
    ///
    /// let server = Server::new();
    /// let notes = Arc::new(Mutex::new(Vec::<String>::new()));
    /// server.on("note", move |socket: Socket, event: Event| {
    ///     // The future needs its own clone, because the closure is called again for the next event.
    ///     let notes = Arc::clone(&notes);
    ///     async move {
    ///         let note: String = event.read()?;
    ///         notes.lock().unwrap().push(note);
    ///         socket.broadcast().emit("note", event.payload())?;
    ///         Ok::<(), Failure>(())
    ///     }
    /// });
    /// ```
    ///
    /// # Panics
    /// If no client can send an event with this name, because the protocol reserves it: `connect`, `connect_error`,
    /// `disconnect`, `disconnecting`, `newListener` and `removeListener`. Instead of the first four, use
    /// [`Namespace::on_connect`], [`Namespace::on_disconnect`] and [`Namespace::on_disconnecting`].
    pub fn on<M>(&self, event: &str, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        never_sent(event);
        self.0.change_handlers(|handlers| handlers.set_event(event, Arc::new(erase(handler))));
        self
    }

    /// Sets the handler that runs for every event, after the filters ([`Namespace::filter`]) and before the event's own handlers. Only the
    /// first of those gets the ack, and [`Event::take_ack`] returns `None` here. If the event has none, and there is no
    /// [`Namespace::on_unhandled`] either, this one gets the ack.
    pub fn on_any<M>(&self, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.any = Some(Arc::new(erase(handler))));
        self
    }

    /// Sets the handler that runs when a socket is about to leave. The socket is still in its rooms until the handler returns
    /// or first waits. Its values ([`Socket::get`]) are dropped when the disconnect handler has ended, or at once without one: an
    /// async handler reads them before it waits.
    pub fn on_disconnecting<M>(&self, handler: impl Handler<(Socket<P>, DisconnectReason), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.disconnecting = Some(Arc::new(erase(handler))));
        self
    }

    /// Sets the handler that runs when a socket has left.
    pub fn on_disconnect<M>(&self, handler: impl Handler<(Socket<P>, DisconnectReason), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.disconnect = Some(Arc::new(erase(handler))));
        self
    }

    /// Sets the handler that runs when the connection of a socket moves from polling to a WebSocket: `Fn(Socket, Transport)`, sync or
    /// async. Most clients start with polling. A socket that joins after the move gets no event; see [`Socket::transport`]. (socket.io:
    /// `socket.conn.on("upgrade", ..)`)
    pub fn on_upgrade<M>(&self, handler: impl Handler<(Socket<P>, Transport), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.upgrade = Some(Arc::new(erase(handler))));
        self
    }

    /// Adds a handler for room events: a room is created or deleted, or a socket joins or leaves a room. It receives the events
    /// from now on. A namespace can have several of these handlers. Each of them receives all events in the order in which they
    /// happened. They run in the task that caused the event or in another one that causes room events, which does nothing else
    /// meanwhile. Events are queued while they run, without a limit, so they must be fast: pass slow work to another task.
    pub fn on_room(&self, handler: impl Fn(RoomEvent) + Send + Sync + 'static) -> &Self {
        self.0.change_handlers(|handlers| handlers.rooms.push(Arc::new(handler)));
        self.0.observe_rooms();
        self
    }

    /// Sends an event to all sockets on the namespace.
    ///
    /// # Errors
    /// If the event cannot be encoded; nothing is sent.
    pub fn emit<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        self.broadcast().emit(event, args)
    }

    /// Creates a broadcast to all sockets on the namespace. Its methods restrict the recipients.
    pub fn broadcast(&self) -> Broadcast<P> {
        Broadcast::new(Arc::clone(&self.0), None)
    }

    /// Creates a broadcast to a room, or several. The id of a socket is a room too.
    pub fn to(&self, rooms: impl RoomNames) -> Broadcast<P> {
        self.broadcast().to(rooms)
    }

    /// Creates a broadcast to all sockets that are not in this room, or in one of several.
    pub fn except(&self, rooms: impl RoomNames) -> Broadcast<P> {
        self.broadcast().except(rooms)
    }

    /// The sockets on the namespace.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket<P>> {
        self.broadcast().sockets()
    }

    /// The socket with this id.
    #[must_use]
    pub fn socket(&self, id: &str) -> Option<Socket<P>> {
        match self.0.children() {
            Some(children) => children.iter().find_map(|child| child.socket(id)),
            None => self.0.socket(id),
        }
    }

    /// Number of sockets. Of a parent, the sockets of all its children.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0.children() {
            Some(children) => children.iter().map(|child| child.len()).sum(),
            None => self.0.len(),
        }
    }

    /// The children of a parent namespace ([`Server::dynamic`](crate::Server::dynamic)), ordered by name. Empty for any other.
    #[must_use]
    pub fn children(&self) -> Vec<Self> {
        self.0.children().unwrap_or_default().into_iter().map(Namespace).collect()
    }

    /// Whether the namespace has no sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<P: Parser> Clone for Namespace<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Parser> fmt::Debug for Namespace<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("name", &self.0.name).finish_non_exhaustive()
    }
}
