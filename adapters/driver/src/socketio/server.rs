//! A Socket.IO server: its settings, its namespaces and its shutdown.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use engineio_proto::Transports;
use engineio_proto::server::Transport;
use http_body::Body as HttpBody;
use socketio_proto::server::Namespaces;
use socketio_proto::{Args, DisconnectReason, EmitError, Json, Parser};

use super::application::SocketIo;
use super::arguments::ClientSource;
use super::broadcast::Broadcast;
use super::parents::Rule;
use super::recovery::Recovery;
use super::room_names::RoomNames;
use super::state::{ConnectRequest, Emits, Event, MiddlewareResult, Namespace, RoomEvent, Socket};
use super::states::States;
use crate::backlog::Backlog;
use crate::body::Body;
use crate::builder::session_settings;
use crate::endpoint::Endpoint;
use crate::extract::{Extract, HandlerInput, Uses};
use crate::handler::{Handler, HandlerResult, MaxWaiting};
use crate::http::{HttpSettings, http_settings};
use crate::metrics::Metrics;
use crate::runtime::Runtime;
use crate::service::Service;
use crate::upgrade::Upgrade;

/// A Socket.IO server. This is a handle: clones refer to the same server. It has no listener; an adapter serves it.
///
/// Handlers and middleware that need the server take it as an argument. Do not clone it into a closure that is set on it: the server would
/// contain itself, and never be dropped.
///
/// ```
/// use socketio_driver::{Data, EmitError, Server, Socket};
///
/// async fn publish(server: Server, socket: Socket, Data(text): Data<String>) -> Result<(), EmitError> {
///     server.of("/news").emit("article", (socket.id().as_str(), text))
/// }
///
/// let server = Server::new();
/// server.of("/editors").on("publish", publish);
/// ```
pub struct Server<P: Parser = Json>(Arc<Service<SocketIo<P>>>);

/// The settings of a server. The defaults are those of the reference; see [`engineio_proto::Config`] and
/// [`socketio_proto::Config`].
#[must_use = "build it"]
pub struct ServerBuilder<P: Parser = Json> {
    engine: engineio_proto::Config,
    socket: socketio_proto::Config,
    parser: P,
    http: HttpSettings,
    max_waiting: MaxWaiting,
    states: States,
    recovery: Option<Recovery>,
}

impl Server<Json> {
    /// Creates a server with the default settings of the reference, on the path `/socket.io/`.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Creates a builder for a server with custom settings.
    pub fn builder() -> ServerBuilder<Json> {
        ServerBuilder {
            engine: engineio_proto::Config::default(),
            socket: socketio_proto::Config::default(),
            parser: Json,
            http: HttpSettings::new("/socket.io/"),
            max_waiting: MaxWaiting::DEFAULT,
            states: States::default(),
            recovery: None,
        }
    }
}

impl Default for Server<Json> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Parser> ServerBuilder<P> {
    /// How long a client may take to join a first namespace, including the time of its middleware. Every request to join is also
    /// refused with the message `timeout` if its middleware takes longer than this. Default: 45 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.socket.connect_timeout = timeout;
        self
    }

    /// Whether a namespace that a client has created ([`Server::dynamic`], [`Server::matching`]) is removed when its last client has
    /// left, or was refused by the middleware. Default: false. With connection state recovery, the clients of a namespace that was removed
    /// become new sockets when they return.
    pub fn cleanup_empty_child_namespaces(mut self, cleanup: bool) -> Self {
        self.socket.cleanup_empty_child_namespaces = cleanup;
        self
    }

    /// Maximum number of namespaces that clients create ([`Server::dynamic`], [`Server::matching`]). At this number, a client that
    /// requests a further one is refused with `Invalid namespace`. Default: 10 000. The limits of [`Recovery`] apply to each of them.
    pub fn max_child_namespaces(mut self, count: usize) -> Self {
        self.socket.max_child_namespaces = count;
        self
    }

    /// Changes any setting or limit of the Socket.IO level; see [`SocketConfig`](crate::SocketConfig).
    pub fn socket(mut self, change: impl FnOnce(&mut socketio_proto::Config)) -> Self {
        change(&mut self.socket);
        self
    }

    /// Sets a value that all handlers and middleware of the server can use: as the argument [`State<T>`](crate::State), or by
    /// [`Socket::state`]. There is one value of each type; another one replaces it. Handlers get clones, so use `Arc<_>` or a
    /// handle that is cheap to clone. The values are dropped with the server and its last socket.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use socketio_driver::{Ack, Server, State};
    ///
    /// type Visits = Arc<AtomicU64>;
    ///
    /// async fn visits(State(visits): State<Visits>, ack: Ack) {
    ///     let _ = ack.send(visits.fetch_add(1, Ordering::Relaxed));
    /// }
    ///
    /// Server::builder().state(Visits::default()).build().on("visits", visits);
    /// ```
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
        self
    }

    /// Turns on connection state recovery, as `connectionStateRecovery` in the reference: a client whose connection was lost, and that
    /// returns in time, becomes the same socket again ([`Socket::recovered`]). It has its id, its rooms and its values, and gets the
    /// events that it has missed, each once and in order. Default: off.
    ///
    /// Every event that is sent without an ack and is not volatile then has an offset, a string of 16 characters, as an additional last
    /// argument, which handlers of clients see. All this is kept in the memory of this process: a client that comes to another process, or
    /// after a restart, is a new socket. The connect handler runs for recovered sockets too. Middleware runs only if
    /// [`Recovery::skip_middlewares`] is false.
    ///
    /// A client is not recovered if it or the server has disconnected the socket from the namespace, if it has received no event with an
    /// offset yet, if the last event that it has received had another string as its last argument (a volatile event, for example), or if
    /// one of the limits in [`Recovery`] was reached. A client can be recovered once by each connection: if two use the same `pid` at
    /// once, one is recovered and the other is a new socket.
    pub fn connection_state_recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// Replaces the parser.
    pub fn parser<Q: Parser>(self, parser: Q) -> ServerBuilder<Q> {
        let Self { engine, socket, http, max_waiting, states, recovery, .. } = self;
        ServerBuilder { engine, socket, parser, http, max_waiting, states, recovery }
    }

    /// Builds the server.
    #[must_use]
    pub fn build(self) -> Server<P> {
        let Self { engine, socket, parser, http, max_waiting, states, recovery } = self;
        let mut states = states;
        let unnoticed = engine.ping_interval.saturating_add(engine.ping_timeout);
        let application = |states, alarm| {
            // With recovery, the order of all packets is that of the namespace.
            let emits = if recovery.is_some() { Emits::Ordered } else { Emits::Direct };
            let mut application = SocketIo::new(parser, socket, max_waiting, emits, alarm);
            if let Some(recovery) = recovery {
                application = application.with_recovery(recovery, unnoticed);
            }
            application.states = Arc::new(states);
            // As in the reference, every client may join `/`, even if the application does not use it.
            application.of("/");
            application
        };
        Server(Arc::new_cyclic(|server| {
            states.insert(WeakServer(Weak::clone(server)));
            Service::new(|alarm| application(states, alarm), engine, http)
        }))
    }
}

/// The server, for its handlers. It is among the values of the server, so it does not keep it.
struct WeakServer<P: Parser>(Weak<Service<SocketIo<P>>>);

impl<A: ClientSource> HandlerInput<A> {
    /// The server. `None` if the application has dropped all handles of it.
    #[must_use]
    pub fn server(&self) -> Option<Server<A::Parser>> {
        self.state::<WeakServer<A::Parser>>()?.0.upgrade().map(Server)
    }
}

/// The server of the handler. If the application has dropped all handles of it, the handler is not started.
impl<A: ClientSource> Extract<A> for Server<A::Parser> {
    type Error = &'static str;

    const USES: Uses = Uses::SUBJECT;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, &'static str> {
        input.server().ok_or("the application has dropped the server: keep a handle of it while clients are connected")
    }
}

impl<P: Parser> Server<P> {
    /// The namespace of this name. Creates it if it does not exist, as a child of the first parent whose pattern matches
    /// ([`Server::matching`]). The leading `/` is optional. A client can join only namespaces that exist, or that a parent lets it
    /// create; for others it is refused with `Invalid namespace`.
    ///
    /// Do not pass a name that a client has sent: the new namespace has no middleware, and every client can join it. To look up a
    /// namespace, use [`Server::get`].
    pub fn of(&self, name: &str) -> Namespace<P> {
        Namespace(self.0.hub.application.of(name))
    }

    /// The namespace of this name, if it exists. The leading `/` is optional. Unlike [`Server::of`], this creates nothing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Namespace<P>> {
        self.0.hub.application.registry.get(&Namespaces::<()>::full_name(name)).map(Namespace)
    }

    /// All namespaces, ordered by name: those of [`Server::of`], and those that clients have created with the help of a parent.
    /// Parents themselves are not among them.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace<P>> {
        self.0.hub.application.registry.all().into_iter().map(Namespace).collect()
    }

    /// Adds a parent namespace with a function that decides which namespaces clients may create: `Fn(ConnectRequest) -> bool`, or a
    /// closure that returns a future of a `bool`. It is asked for every request to join a namespace that does not exist. It sees the
    /// name ([`ConnectRequest::namespace`]), the `auth` payload and the handshake. What it stores with [`ConnectRequest::insert`] is
    /// passed on to middleware and socket. Parents are asked in the order in which they were added, until one of them returns true. If
    /// none does, the client is refused with `Invalid namespace`. (socket.io: `io.of((name, auth, next) => ..)`)
    ///
    /// Only the first client of a namespace is decided on here: once it exists, everyone may request to join it, and only middleware decides.
    /// So add middleware to the parent that checks every client, and let the function say which namespaces there may be.
    ///
    /// The returned namespace is the parent. Set middleware and handlers on it: a new child has copies of those that the parent has at
    /// that time. Emits and other operations on the parent reach the sockets of all its children. No client can join the parent itself.
    ///
    /// A child exists until it is removed: by [`Server::remove`], or after its last client has left, if
    /// [`ServerBuilder::cleanup_empty_child_namespaces`] says so. Several requests for one new name create one child. There are at most
    /// [`ServerBuilder::max_child_namespaces`] children.
    ///
    /// ```
    /// use socketio_driver::{Auth, ConnectRequest, Refusal, Server, Socket};
    ///
    /// async fn tenant_exists(name: &str) -> bool {
    ///     name == "acme"
    /// }
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Token {
    ///     tenant: String,
    /// }
    ///
    /// /// Runs for each client. (A real one verifies the token.)
    /// async fn is_member(request: ConnectRequest, Auth(token): Auth<Token>) -> Result<(), Refusal> {
    ///     match request.namespace().strip_prefix("/tenant/") {
    ///         Some(tenant) if tenant == token.tenant => Ok(()),
    ///         _ => Err("not your tenant".into()),
    ///     }
    /// }
    ///
    /// let server = Server::builder().cleanup_empty_child_namespaces(true).build();
    /// server
    ///     .dynamic(|request: ConnectRequest| async move {
    ///         let Some(tenant) = request.namespace().strip_prefix("/tenant/") else { return false };
    ///         tenant_exists(tenant).await
    ///     })
    ///     .middleware(is_member)
    ///     .on_connect(|socket: Socket| {
    ///         let namespace = socket.namespace();
    ///         println!("{} has {} sockets", namespace.name(), namespace.len());
    ///     });
    /// ```
    pub fn dynamic<M>(&self, allows: impl Handler<(ConnectRequest<P>,), bool, M>) -> Namespace<P> {
        Namespace(self.0.hub.application.add_parent(Rule::asks(allows)))
    }

    /// Same as [`Server::dynamic`], for a pattern: a function of the name alone. [`Server::of`] also creates a namespace as a child of
    /// this parent if its name matches. (socket.io: `io.of(/^\/tenant-\d+$/)`)
    ///
    /// ```
    /// use socketio_driver::{Server, Socket};
    ///
    /// let server = Server::new();
    /// let is_tenant = |name: &str| name.strip_prefix("/tenant-").is_some_and(|id| id.parse::<u32>().is_ok());
    /// server.matching(is_tenant).on_connect(|socket: Socket| socket.emit("hello", socket.namespace().name()));
    /// // With the crate `regex`: server.matching(move |name| regex.is_match(name))
    /// ```
    pub fn matching(&self, pattern: impl Fn(&str) -> bool + Send + Sync + 'static) -> Namespace<P> {
        Namespace(self.0.hub.application.add_parent(Rule::Matches(Box::new(pattern))))
    }

    /// Removes a namespace. Its sockets disconnect (`server namespace disconnect`), and requests to join it that await a decision are
    /// refused with `Invalid namespace`. [`Namespace`] handles of it are of no use afterwards; [`Server::of`] creates a new one.
    /// Returns whether the namespace existed.
    ///
    /// With the name of a parent ([`Namespace::name`]), removes the parent: it creates no more children. Its children stay.
    pub fn remove(&self, name: &str) -> bool {
        self.0.hub.application.registry.remove(&Namespaces::<()>::full_name(name))
    }

    /// Adds a handler that runs for every new namespace, static or dynamic, except `/`. No client can join the namespace before the
    /// handler has returned, so it can add middleware and handlers. It should be fast: it runs in the task that has created the
    /// namespace. If it panics for a namespace that a client has requested, that namespace is removed. (socket.io:
    /// `io.on("new_namespace", ..)`)
    pub fn on_new_namespace(&self, handler: impl Fn(Namespace<P>) + Send + Sync + 'static) -> &Self {
        self.0.hub.application.registry.observe(Arc::new(handler));
        self
    }

    /// Number of sessions, including those that have not joined a namespace.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.hub.sessions()
    }

    /// Sets a handler for clients that read slowly. It is called with the sockets of a connection when its outbound queue reaches `bytes`
    /// ([`Backlog::High`]), and when the queue has fallen to half of that again ([`Backlog::Low`]). It decides what happens to a slow client:
    /// send less to it, leave a room, or close its connection with [`Socket::close`].
    ///
    /// The queue is compared with the mark at the end of each turn of the connection, so what is sent in one go can pass the mark and the
    /// limit at once. At the limit ([`EngineLimits::max_outbound`](crate::EngineLimits), 16 MiB), an emit to one socket fails with
    /// [`SendError::Full`](crate::SendError::Full), a volatile event is dropped, and any other broadcast closes the connection. Choose a mark
    /// well below it. After `High`, `Low` does not come if the connection ends.
    ///
    /// The handler runs in the task of the connection, and must return soon. If it panics, the connection is closed. A server has one: a
    /// second one is ignored. It costs one branch for each turn, and without it nothing is compared.
    ///
    /// ```
    /// use socketio_driver::{Backlog, Server, Socket};
    ///
    /// let server = Server::new();
    /// server.on_backlog(1 << 20, |sockets: Vec<Socket>, backlog: Backlog| {
    ///     for socket in sockets {
    ///         match backlog {
    ///             // Gets no more news until it has caught up.
    ///             Backlog::High(_) => socket.leave("news"),
    ///             _ => socket.join("news"),
    ///         }
    ///     }
    /// });
    /// ```
    pub fn on_backlog(&self, bytes: usize, handler: impl Fn(Vec<Socket<P>>, Backlog) + Send + Sync + 'static) -> &Self {
        self.0.hub.application.watch.set(bytes, Box::new(handler));
        self
    }

    /// The counters of the server, as plain values that `serde` can serialise.
    ///
    /// Counting costs the server at most four additions to shared atomics for each turn of a connection, however many packets the turn
    /// has handled, and two for each broadcast. Reading locks the table of sessions and of namespaces shortly, and the mailbox of each session
    /// in turn, so it takes some hundred nanoseconds for each session: call it every few seconds, not for every event. The values are not
    /// of one instant.
    ///
    /// ```
    /// let server = socketio_driver::Server::new();
    /// let metrics = server.metrics();
    /// assert_eq!((metrics.engine.sessions, metrics.namespaces), (0, 1));
    /// println!("{}", serde_json::to_string(&metrics)?);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics { engine: self.0.hub.metrics(), ..Metrics::default() };
        self.0.hub.application.add_to(&mut metrics);
        metrics
    }

    /// Same as [`Namespace::middleware`] of `/`.
    pub fn middleware<M>(&self, middleware: impl Handler<(ConnectRequest<P>,), MiddlewareResult, M>) -> &Self {
        self.of("/").middleware(middleware);
        self
    }

    /// Same as [`Namespace::on_connect`] of `/`.
    pub fn on_connect<M>(&self, handler: impl Handler<(Socket<P>,), HandlerResult, M>) -> &Self {
        self.of("/").on_connect(handler);
        self
    }

    /// Same as [`Namespace::on`] of `/`.
    ///
    /// # Panics
    /// If no client can send an event with this name.
    pub fn on<M>(&self, event: &str, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        self.of("/").on(event, handler);
        self
    }

    /// Same as [`Namespace::on_any`] of `/`.
    pub fn on_any<M>(&self, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        self.of("/").on_any(handler);
        self
    }

    /// Same as [`Namespace::on_disconnecting`] of `/`.
    pub fn on_disconnecting<M>(&self, handler: impl Handler<(Socket<P>, DisconnectReason), HandlerResult, M>) -> &Self {
        self.of("/").on_disconnecting(handler);
        self
    }

    /// Same as [`Namespace::on_disconnect`] of `/`.
    pub fn on_disconnect<M>(&self, handler: impl Handler<(Socket<P>, DisconnectReason), HandlerResult, M>) -> &Self {
        self.of("/").on_disconnect(handler);
        self
    }

    /// Sends an event to all sockets on `/`.
    ///
    /// # Errors
    /// If the event cannot be encoded; nothing is sent.
    pub fn emit<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        self.of("/").emit(event, args)
    }

    /// Creates a broadcast to all sockets on `/`. Its methods restrict the recipients.
    pub fn broadcast(&self) -> Broadcast<P> {
        self.of("/").broadcast()
    }

    /// Creates a broadcast to a room of `/`, or several.
    pub fn to(&self, rooms: impl RoomNames) -> Broadcast<P> {
        self.of("/").to(rooms)
    }

    /// Creates a broadcast to all sockets on `/` that are not in this room, or in one of several.
    pub fn except(&self, rooms: impl RoomNames) -> Broadcast<P> {
        self.of("/").except(rooms)
    }

    /// The socket with this id on `/`.
    #[must_use]
    pub fn socket(&self, id: &str) -> Option<Socket<P>> {
        self.of("/").socket(id)
    }

    /// Same as [`Namespace::on_room`] of `/`.
    pub fn on_room(&self, handler: impl Fn(RoomEvent) + Send + Sync + 'static) -> &Self {
        self.of("/").on_room(handler);
        self
    }

    /// Same as [`Namespace::on_upgrade`] of `/`.
    pub fn on_upgrade<M>(&self, handler: impl Handler<(Socket<P>, Transport), HandlerResult, M>) -> &Self {
        self.of("/").on_upgrade(handler);
        self
    }

    /// Refuses new sessions with status 503 from now on, and waits until the present ones have ended. They are not disturbed: their
    /// requests are answered, and they may upgrade and join namespaces. Use this when another process takes over: clients that
    /// reconnect find the new one. To end the sessions that remain after a while, call [`Server::shut_down`].
    ///
    /// The server goes on draining if the future is dropped. There is no way back.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use socketio_driver::{Server, Socket};
    ///
    /// /// Moves clients to the new process, a hundred each second, so that they do not come there all at once. `sleep` is that of the
    /// /// runtime.
    /// async fn retire<F: Future<Output = ()> + Send>(server: &Server, sleep: impl Fn(Duration) -> F) {
    ///     let moved = async {
    ///         while server.sessions() > 0 {
    ///             // They connect again, unlike after `Socket::disconnect`.
    ///             server.sockets().iter().take(100).for_each(Socket::drop_connection);
    ///             sleep(Duration::from_secs(1)).await;
    ///         }
    ///     };
    ///     let patience = sleep(Duration::from_secs(600));
    ///     futures_util::future::select(
    ///         Box::pin(async { futures_util::join!(server.drain(), moved) }),
    ///         Box::pin(patience),
    ///     )
    ///     .await;
    ///     server.shut_down(sleep(Duration::from_secs(10))).await;
    /// }
    /// ```
    pub async fn drain(&self) {
        self.0.hub.drain().await;
    }

    /// The sockets on `/`.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket<P>> {
        self.of("/").sockets()
    }

    /// Shuts down the server gracefully. New sessions are refused with status 503. Sockets disconnect with the reason `server
    /// shutting down`. Queued packets are sent, links are closed with code 1001, and pending polls are answered. A polling
    /// client with nothing to fetch is dropped. Returns when all clients have disconnected. Clients that are still connected
    /// after `deadline` (for example, `tokio::time::sleep(..)`) are disconnected.
    pub async fn shut_down(&self, deadline: impl Future<Output = ()> + Send) {
        // No client can return to this server.
        self.keep_nothing();
        self.0.hub.shut_down(deadline).await;
        // Those that were created meanwhile.
        self.keep_nothing();
    }

    fn keep_nothing(&self) {
        for namespace in self.0.hub.application.registry.all() {
            namespace.keep_nothing();
        }
    }
}

/// What clients of the test kit need to know.
#[cfg(any(test, feature = "testkit"))]
impl<P: Parser> Server<P> {
    pub(crate) fn path(&self) -> &str {
        self.0.path.as_str()
    }

    pub(crate) fn parser(&self) -> &P {
        &self.0.hub.application.parser
    }

    pub(crate) fn limits(&self) -> &socketio_proto::Limits {
        &self.0.hub.application.config.limits
    }
}

impl<P: Parser> Endpoint for Server<P> {
    fn matches(&self, path: &str) -> bool {
        self.0.path.matches(path)
    }

    fn respond<R, B>(
        &self,
        runtime: &R,
        request: http::Request<B>,
        upgrade: Option<Upgrade<R::Stream>>,
    ) -> impl Future<Output = http::Response<Body>> + Send
    where
        R: Runtime,
        B: HttpBody<Data: Send, Error: Send> + Send + 'static,
    {
        self.0.respond(runtime, request, upgrade)
    }

    fn webtransport<R, F>(
        &self,
        runtime: &R,
        request: http::request::Parts,
        answer: impl FnOnce(Result<(), http::StatusCode>) -> F + Send,
    ) -> impl Future<Output = ()> + Send
    where
        R: Runtime,
        F: Future<Output = std::io::Result<R::Stream>> + Send,
    {
        self.0.webtransport(runtime, request, answer)
    }

    fn may_hold(&self, method: &http::Method, uri: &http::Uri) -> bool {
        self.0.may_hold(method, uri)
    }

    async fn shut_down(&self, deadline: impl Future<Output = ()> + Send) {
        Self::shut_down(self, deadline).await;
    }
}

impl<P: Parser> Clone for Server<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Parser> fmt::Debug for Server<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("path", &self.0.path).finish_non_exhaustive()
    }
}

/// Sessions and their handlers. The defaults are those of the reference.
impl<P: Parser> ServerBuilder<P> {
    session_settings! {
        path: "/socket.io/",
        eio3: "They join `/` without asking, and share namespaces and rooms with all other clients. See [`socketio_proto::server`] for what \
               differs."
    }
}

/// HTTP around the sessions. Everything is off by default.
impl<P: Parser> ServerBuilder<P> {
    http_settings!();
}
