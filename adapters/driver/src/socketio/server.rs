//! A Socket.IO server: its settings, its namespaces, its end.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use engineio_proto::Transports;
use http::request::Parts;
use http_body::Body as HttpBody;
use socketio_proto::{Args, DisconnectReason, EmitError, Json, Parser};

use super::application::SocketIo;
use super::broadcast::Broadcast;
use super::state::{ConnectRequest, Emits, Event, GuardResult, Namespace, Socket};
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::handler::{Handler, HandlerResult, MaxWaiting};
use crate::runtime::Runtime;
use crate::service::{HttpSettings, Service};
use crate::upgrade::Upgrade;

/// A Socket.IO server. A handle: clones are the same server. It has no listener of its own: an adapter serves it.
pub struct Server<P: Parser = Json>(Arc<Service<SocketIo<P>>>);

/// The settings of a server. Defaults are the reference's, see [`engineio_proto::Config`] and [`socketio_proto::Config`].
#[must_use = "build it"]
pub struct ServerBuilder<P: Parser = Json> {
    engine: engineio_proto::Config,
    socket: socketio_proto::Config,
    parser: P,
    http: HttpSettings,
    max_waiting: MaxWaiting,
}

impl Server<Json> {
    /// A server with the reference's defaults, on `/socket.io/`.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A server with settings of your own.
    pub fn builder() -> ServerBuilder<Json> {
        ServerBuilder {
            engine: engineio_proto::Config::default(),
            socket: socketio_proto::Config::default(),
            parser: Json,
            http: HttpSettings::new("/socket.io/"),
            max_waiting: MaxWaiting::DEFAULT,
        }
    }
}

impl Default for Server<Json> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Parser> ServerBuilder<P> {
    /// The path to serve. Default `/socket.io/`.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.http.path);
        self
    }

    /// Time between pings. Default 25 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.engine.ping_interval = interval;
        self
    }

    /// Time that a ping may stay unanswered. Default 20 s.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.engine.ping_timeout = timeout;
        self
    }

    /// Time that an upgrade may take. Default 10 s.
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.engine.upgrade_timeout = timeout;
        self
    }

    /// Time until a first namespace must be joined. Default 45 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.socket.connect_timeout = timeout;
        self
    }

    /// Largest inbound message in bytes, on every transport; an attachment is a message of its own. Default 1 000 000.
    ///
    /// Raises the limits that such messages would meet next, see [`engineio_proto::Config::set_max_payload`].
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.engine.set_max_payload(bytes);
        self
    }

    /// Which transports are served. Default: polling and WebSocket.
    pub fn transports(mut self, transports: Transports) -> Self {
        self.engine.transports = transports;
        self
    }

    /// All settings and limits of the Engine.IO level.
    pub fn engine(mut self, change: impl FnOnce(&mut engineio_proto::Config)) -> Self {
        change(&mut self.engine);
        self
    }

    /// All settings and limits of the Socket.IO level.
    pub fn socket(mut self, change: impl FnOnce(&mut socketio_proto::Config)) -> Self {
        change(&mut self.socket);
        self
    }

    /// Handlers and guards of one connection that may wait at the same time; while so many wait, no further event of the connection is
    /// handled, and soon no more is read.
    /// Default 1024.
    pub fn max_waiting_handlers(mut self, count: usize) -> Self {
        self.max_waiting.set_handlers(count);
        self
    }

    /// Bytes of the events whose handlers wait, and of the `auth` that guards wait with, of one connection; while they are so many, no
    /// further event of the connection is handled, and soon no more is read. One event is always handled, however large it is. An event
    /// counts until its handler ends, whatever that has done with it.
    /// Default 16 MiB.
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.max_waiting.set_bytes(bytes);
        self
    }

    /// Selects one of the subprotocols that a WebSocket handshake offers (`io(url, { protocols: [..] })` in JavaScript), in the client's
    /// order of preference. With `None` the answer names none, and clients give up. Not asked when nothing is offered. Default: the
    /// first one, as in the reference.
    pub fn select_protocol(
        mut self,
        select: impl for<'a> Fn(&[&'a str]) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        self.http.select_protocol = Some(Box::new(select));
        self
    }

    /// Bytes of a handshake's request head (target and headers) that are kept with its session, for [`Socket::handshake`]; a handshake with
    /// more is refused with status 431. What an HTTP server reads of a head at all is that server's setting. Default 16 KiB, as
    /// Node's HTTP server.
    pub fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.http.max_head = bytes;
        self
    }

    /// Decides on the HTTP request of every handshake, whatever the transport: the message of a refusal reaches the client, with status 403.
    /// This is the place to check the `Origin` of browsers: a WebSocket is not subject to CORS.
    pub fn allow_request(mut self, allow: impl Fn(&Parts) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.http.allow = Some(Box::new(allow));
        self
    }

    /// Uses another parser.
    pub fn parser<Q: Parser>(self, parser: Q) -> ServerBuilder<Q> {
        let Self { engine, socket, http, max_waiting, .. } = self;
        ServerBuilder { engine, socket, parser, http, max_waiting }
    }

    /// The server.
    #[must_use]
    pub fn build(self) -> Server<P> {
        let Self { engine, socket, parser, http, max_waiting } = self;
        let application = |alarm| {
            let application = SocketIo::new(parser, socket, max_waiting, Emits::Direct, alarm);
            // As in the reference, everybody may join `/`, whether or not anything is set up there.
            application.of("/");
            application
        };
        Server(Arc::new(Service::new(application, engine, http)))
    }
}

impl<P: Parser> Server<P> {
    /// The namespace of this name, made if it is not there. The leading `/` may be left out.
    pub fn of(&self, name: &str) -> Namespace<P> {
        Namespace(self.0.hub.application.of(name))
    }

    /// How many sessions there are, those that have not joined a namespace included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.hub.sessions()
    }

    /// [`Namespace::guard`] of `/`.
    pub fn guard<M>(&self, guard: impl Handler<(ConnectRequest<P>,), GuardResult, M>) -> &Self {
        self.of("/").guard(guard);
        self
    }

    /// [`Namespace::on_connect`] of `/`.
    pub fn on_connect<M>(&self, handler: impl Handler<(Socket<P>,), HandlerResult, M>) -> &Self {
        self.of("/").on_connect(handler);
        self
    }

    /// [`Namespace::on`] of `/`.
    ///
    /// # Panics
    /// When no client can send an event of this name.
    pub fn on<M>(&self, event: &str, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        self.of("/").on(event, handler);
        self
    }

    /// [`Namespace::on_any`] of `/`.
    pub fn on_any<M>(&self, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        self.of("/").on_any(handler);
        self
    }

    /// [`Namespace::on_disconnecting`] of `/`.
    pub fn on_disconnecting<M>(&self, handler: impl Handler<(Socket<P>, DisconnectReason), HandlerResult, M>) -> &Self {
        self.of("/").on_disconnecting(handler);
        self
    }

    /// [`Namespace::on_disconnect`] of `/`.
    pub fn on_disconnect<M>(&self, handler: impl Handler<(Socket<P>, DisconnectReason), HandlerResult, M>) -> &Self {
        self.of("/").on_disconnect(handler);
        self
    }

    /// Sends an event to everybody on `/`.
    ///
    /// # Errors
    /// When the event cannot be encoded; nothing was sent.
    pub fn emit<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        self.of("/").emit(event, args)
    }

    /// A broadcast to everybody on `/`, to be narrowed.
    pub fn broadcast(&self) -> Broadcast<P> {
        self.of("/").broadcast()
    }

    /// A broadcast to a room of `/`.
    pub fn to(&self, room: &str) -> Broadcast<P> {
        self.of("/").to(room)
    }

    /// A broadcast to everybody on `/` who is not in this room.
    pub fn except(&self, room: &str) -> Broadcast<P> {
        self.of("/").except(room)
    }

    /// The sockets on `/`.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket<P>> {
        self.of("/").sockets()
    }

    /// Ends the server: new sessions are refused with 503, sockets see `server shutting down`, what is queued goes out, links close with
    /// 1001, held polls are answered; a polling client that has nothing to fetch is dropped. Returns when all clients are gone. Clients that
    /// are still there when `deadline` (`tokio::time::sleep(..)` for one) is over are cut off.
    pub async fn shut_down(&self, deadline: impl Future<Output = ()> + Send) {
        self.0.hub.shut_down(deadline).await;
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
        B: HttpBody<Data: Send, Error: Send> + Send,
    {
        self.0.respond(runtime, request, upgrade)
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
