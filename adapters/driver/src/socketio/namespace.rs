//! A namespace, as the application holds it: its handlers, and whom it can send to.

use std::fmt;
use std::sync::Arc;

use socketio_proto::server::Target;
use socketio_proto::{Args, DisconnectReason, EmitError, Parser};

use super::broadcast::Broadcast;
use super::handlers::never_sent;
use super::state::{ConnectRequest, Event, GuardResult, Namespace, RoomEvent, Socket};
use crate::handler::{Handler, HandlerResult, erase};

impl<P: Parser> Namespace<P> {
    /// The name; starts with `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Decides who may join: `Fn(ConnectRequest) -> Result<(), Refusal>`, or with a future of that. Runs before the socket exists; what it
    /// found out about the client goes on to the socket with [`ConnectRequest::insert`]. There is one guard; a later one replaces it.
    /// Handlers apply to sockets that connect after they were set.
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
    ///     .guard(move |request: ConnectRequest| {
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
    pub fn guard<M>(&self, guard: impl Handler<(ConnectRequest<P>,), GuardResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.guard = Some(Arc::new(erase(guard))));
        self
    }

    /// Runs for every socket that joined: `Fn(Socket)`, sync or async. It starts before any event of the socket is handled.
    pub fn on_connect<M>(&self, handler: impl Handler<(Socket<P>,), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.connect = Some(Arc::new(erase(handler))));
        self
    }

    /// Runs for every event of this name: `Fn(Socket, Event)`, or with a future; see [`Handler`] for what it may return. Handlers of one
    /// socket start in the order in which its events came; one that waits lets later ones go on. One that panics closes the connection.
    /// There is one handler for each name: a later one replaces it, for sockets that connect from then on.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// use socketio_driver::{Event, Failure, Server, Socket};
    ///
    /// let server = Server::new();
    /// let notes = Arc::new(Mutex::new(Vec::<String>::new()));
    /// server.on("note", move |socket: Socket, event: Event| {
    ///     // What the future is to own is cloned before it: the closure stays, for the next event.
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
    /// When the name is one that no client can send, because the protocol keeps it for itself: `connect`, `connect_error`, `disconnect`,
    /// `disconnecting`, `newListener` and `removeListener`. For the first four there are [`Namespace::on_connect`],
    /// [`Namespace::on_disconnect`] and [`Namespace::on_disconnecting`].
    pub fn on<M>(&self, event: &str, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        never_sent(event);
        self.0.change_handlers(|handlers| {
            let handler = Arc::new(erase(handler));
            match handlers.find(event) {
                Ok(index) => drop(handlers.events.get_mut(index).map(|(_, old)| std::mem::replace(old, handler))),
                Err(index) => handlers.events.insert(index, (event.into(), handler)),
            }
        });
        self
    }

    /// Runs for every event: before the event's own handler, or, where there is none, in its place. The right to answer is the own
    /// handler's where there is one, so [`Event::take_ack`] is `None` here then.
    pub fn on_any<M>(&self, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.any = Some(Arc::new(erase(handler))));
        self
    }

    /// Runs when a socket is about to leave: its rooms are still there, until the handler returns or first waits.
    pub fn on_disconnecting<M>(&self, handler: impl Handler<(Socket<P>, DisconnectReason), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.disconnecting = Some(Arc::new(erase(handler))));
        self
    }

    /// Runs when a socket has left.
    pub fn on_disconnect<M>(&self, handler: impl Handler<(Socket<P>, DisconnectReason), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.disconnect = Some(Arc::new(erase(handler))));
        self
    }

    /// Runs when a room comes or goes, or a socket joins or leaves one, from now on. There may be several such handlers; all of them hear
    /// everything, in the order in which it happened. They run in a task that joined or left, its own or another's: keep them short.
    pub fn on_room(&self, handler: impl Fn(RoomEvent) + Send + Sync + 'static) -> &Self {
        self.0.change_handlers(|handlers| handlers.rooms.push(Arc::new(handler)));
        self.0.observe_rooms();
        self
    }

    /// Sends an event to everybody on the namespace.
    ///
    /// # Errors
    /// When the event cannot be encoded; nothing was sent.
    pub fn emit<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        self.broadcast().emit(event, args)
    }

    /// A broadcast to everybody on the namespace, to be narrowed.
    pub fn broadcast(&self) -> Broadcast<P> {
        Broadcast::new(Arc::clone(&self.0), None)
    }

    /// A broadcast to a room. A socket's own id is a room too.
    pub fn to(&self, room: &str) -> Broadcast<P> {
        self.broadcast().to(room)
    }

    /// A broadcast to everybody who is not in this room.
    pub fn except(&self, room: &str) -> Broadcast<P> {
        self.broadcast().except(room)
    }

    /// The sockets on the namespace.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket<P>> {
        self.0.sockets(&Target::everybody())
    }

    /// The socket with this id.
    #[must_use]
    pub fn socket(&self, id: &str) -> Option<Socket<P>> {
        self.0.socket(id)
    }

    /// How many sockets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no socket.
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
