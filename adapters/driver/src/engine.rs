//! A bare Engine.IO server, with messages but without namespaces, events or acks.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::Duration;

use engineio_proto::server::{Session, Transport};
use engineio_proto::{CloseReason, Config, Event, Frame, Instant, Message, Revision, SendError, Sid, Transports};
use futures_util::future::BoxFuture;
use http::request::Parts;
use http_body::Body as HttpBody;

use crate::backlog::{Backlog, Watch};
use crate::body::Body;
use crate::builder::session_settings;
use crate::endpoint::Endpoint;
use crate::extensions::Extensions;
use crate::extract::HandlerInput;
use crate::handler::{
    Ended, ErasedHandler, Handler, HandlerResult, MaxWaiting, Started, Waiting, erase, panic_message, run,
};
use crate::handshake::Handshake;
use crate::http::{HttpSettings, http_settings};
use crate::hub::ServerApplication;
use crate::inbox::Inbox;
use crate::log_limit::{HandlerFailures, LogCounters, log_limited, truncate};
use crate::metrics::{Counters, EngineMetrics};
use crate::peer::{Peer, set_transport, transport_of};
use crate::runtime::Runtime;
use crate::service::Service;
use crate::sync::lock;
use crate::timers::Alarm;
use crate::turn::{Application, Core, EVENTS_PER_PASS};
use crate::upgrade::Upgrade;

/// A bare Engine.IO server: connections and messages, without namespaces, events and acks. This is a handle: clones refer to the same server.
/// It has no listener; an adapter serves it. Its clients use the npm package `engine.io-client`, or a WebSocket.
///
/// Its handlers take what they need, in any order: an [`EngineSocket`], and a [`Message`], a [`CloseReason`] or a [`Transport`], depending on
/// the handler. See [`Handler`] for what they may return.
///
/// ```
/// use socketio_driver::{CloseReason, EngineServer, EngineSocket, Message};
///
/// let server = EngineServer::new();
/// server
///     .on_connect(|socket: EngineSocket| socket.send("welcome"))
///     .on_message(async |socket: EngineSocket, message: Message| socket.send(message))
///     .on_close(|socket: EngineSocket, reason: CloseReason| println!("{} left: {reason}", socket.id()));
/// ```
#[derive(Clone)]
pub struct EngineServer(Arc<Service<Engine>>);

/// The settings and handlers of an [`EngineServer`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct EngineServerBuilder {
    engine: Config,
    http: HttpSettings,
    max_waiting: MaxWaiting,
    handlers: Handlers,
}

#[derive(Clone, Default)]
struct Handlers {
    connect: Option<SharedHandler<(EngineSocket,)>>,
    message: Option<SharedHandler<(EngineSocket, Message)>>,
    close: Option<SharedHandler<(EngineSocket, CloseReason)>>,
    upgrade: Option<SharedHandler<(EngineSocket, Transport)>>,
}

type SharedHandler<A> = Arc<ErasedHandler<A, HandlerResult>>;

/// One Engine.IO peer. This is a handle: clones refer to the same peer.
#[derive(Clone)]
pub struct EngineSocket(Arc<EnginePeer>);

type EnginePeer = Peer<Command, Shared>;

/// The state of a peer that all tasks can access.
struct Shared {
    handshake: Handshake,
    inbox: Inbox<Message>,
    soft_inbound: usize,
    /// 1 while the inbox is over its limit, otherwise 0.
    full: AtomicUsize,
    transport: AtomicU8,
    ended: AtomicBool,
    log_counters: LogCounters,
    extensions: Extensions,
}

/// A command from another task to a session.
enum Command {
    Send { frame: Frame, volatile: bool },
    Close,
    ShutDown,
    Discard,
}

struct Engine {
    handlers: Mutex<Arc<Handlers>>,
    max_waiting: MaxWaiting,
    watch: Watch<EngineSocket>,
    counters: Arc<Counters>,
}

/// The state of a peer that only its own task can access.
struct Local {
    peer: Arc<EnginePeer>,
    /// Those that were set when the session was opened.
    handlers: Arc<Handlers>,
    waiting: Waiting<Running, HandlerResult>,
    /// Whether the session was opened. Only then does the close handler run.
    opened: bool,
    /// Whether the close handler was started. Its end drops the values of the session, which may be after the end of the task.
    has_close_handler: bool,
}

enum Running {
    Connect,
    Message,
    Close(#[expect(dead_code, reason = "it acts when it is dropped")] Forgets),
    Upgrade,
}

/// When it is dropped, the values that the application stored with a session are dropped: after the close handler has ended, or was dropped
/// by its runtime. The values may contain the peer.
struct Forgets(Arc<EnginePeer>);

impl Drop for Forgets {
    fn drop(&mut self) {
        self.0.shared.extensions.clear();
    }
}

impl EngineServer {
    /// Creates a server with the default settings of the reference, on the path `/engine.io/`.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets the handler for new peers; see [`EngineServerBuilder::on_connect`]. Handlers that are set on the server apply to sessions that
    /// are opened afterwards.
    pub fn on_connect<M>(&self, handler: impl Handler<(EngineSocket,), HandlerResult, M>) -> &Self {
        self.change_handlers(|handlers| handlers.connect = Some(Arc::new(erase(handler))))
    }

    /// Sets the handler for messages; see [`EngineServerBuilder::on_message`].
    pub fn on_message<M>(&self, handler: impl Handler<(EngineSocket, Message), HandlerResult, M>) -> &Self {
        self.change_handlers(|handlers| handlers.message = Some(Arc::new(erase(handler))))
    }

    /// Sets the handler for sessions that move from polling to a WebSocket; see [`EngineServerBuilder::on_upgrade`].
    pub fn on_upgrade<M>(&self, handler: impl Handler<(EngineSocket, Transport), HandlerResult, M>) -> &Self {
        self.change_handlers(|handlers| handlers.upgrade = Some(Arc::new(erase(handler))))
    }

    /// Sets the handler for disconnected peers; see [`EngineServerBuilder::on_close`].
    pub fn on_close<M>(&self, handler: impl Handler<(EngineSocket, CloseReason), HandlerResult, M>) -> &Self {
        self.change_handlers(|handlers| handlers.close = Some(Arc::new(erase(handler))))
    }

    /// Sets a handler for peers that read slowly: it is called when the outbound queue of a session reaches `bytes`, and when it has fallen
    /// to half of that; see [`Server::on_backlog`](crate::Server::on_backlog).
    pub fn on_backlog(&self, bytes: usize, handler: impl Fn(EngineSocket, Backlog) + Send + Sync + 'static) -> &Self {
        self.0.hub.application.watch.set(bytes, Box::new(handler));
        self
    }

    fn change_handlers(&self, change: impl FnOnce(&mut Handlers)) -> &Self {
        let mut handlers = lock(&self.0.hub.application.handlers);
        let mut changed = Handlers::clone(&handlers);
        change(&mut changed);
        let old = std::mem::replace(&mut *handlers, Arc::new(changed));
        drop(handlers);
        // After the lock is released, because dropping handlers runs application code.
        drop(old);
        self
    }

    /// The peer with this session id.
    #[must_use]
    pub fn socket(&self, id: &Sid) -> Option<EngineSocket> {
        self.0.hub.peer(id).map(EngineSocket)
    }

    /// The peers whose sessions have not ended.
    #[must_use]
    pub fn sockets(&self) -> Vec<EngineSocket> {
        self.0.hub.all().into_iter().map(EngineSocket).collect()
    }

    /// Refuses new sessions with status 503 from now on, and waits until the present ones have ended; see
    /// [`Server::drain`](crate::Server::drain).
    pub async fn drain(&self) {
        self.0.hub.drain().await;
    }

    /// Starts building a server. Its default path is `/engine.io/`.
    pub fn builder() -> EngineServerBuilder {
        EngineServerBuilder {
            engine: Config::default(),
            http: HttpSettings::new("/engine.io/"),
            max_waiting: MaxWaiting::DEFAULT,
            handlers: Handlers::default(),
        }
    }

    /// The number of sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.hub.sessions()
    }

    /// The counters of the server; see [`Server::metrics`](crate::Server::metrics).
    #[must_use]
    pub fn metrics(&self) -> EngineMetrics {
        self.0.hub.metrics()
    }

    /// Shuts the server down gracefully, and returns when all peers are disconnected.
    ///
    /// New sessions are refused with 503. Queued packets are sent, links close with code 1001, and held polls are answered. Polling peers
    /// without queued packets are dropped. Peers that are still connected when `deadline` completes (for example `tokio::time::sleep(..)`)
    /// are disconnected at once.
    pub async fn shut_down(&self, deadline: impl Future<Output = ()> + Send) {
        self.0.hub.shut_down(deadline).await;
    }
}

/// What clients of the test kit need to know.
#[cfg(any(test, feature = "testkit"))]
impl EngineServer {
    pub(crate) fn path(&self) -> &str {
        self.0.path.as_str()
    }
}

impl EngineServerBuilder {
    /// Same as [`EngineServerBuilder::engine`].
    pub fn config(self, change: impl FnOnce(&mut Config)) -> Self {
        self.engine(change)
    }

    /// Sets the handler for new peers: `Fn(EngineSocket)`, sync or async. It starts before any message of the peer is handled.
    pub fn on_connect<M>(mut self, handler: impl Handler<(EngineSocket,), HandlerResult, M>) -> Self {
        self.handlers.connect = Some(Arc::new(erase(handler)));
        self
    }

    /// Sets the handler for messages: `Fn(EngineSocket, Message)`, sync or async. Without it, messages go to
    /// [`EngineSocket::recv`], which must be called before the connect handler has ended; otherwise they are dropped.
    pub fn on_message<M>(mut self, handler: impl Handler<(EngineSocket, Message), HandlerResult, M>) -> Self {
        self.handlers.message = Some(Arc::new(erase(handler)));
        self
    }

    /// Sets the handler for disconnected peers: `Fn(EngineSocket, CloseReason)`, sync or async.
    pub fn on_close<M>(mut self, handler: impl Handler<(EngineSocket, CloseReason), HandlerResult, M>) -> Self {
        self.handlers.close = Some(Arc::new(erase(handler)));
        self
    }

    /// Sets the handler for sessions that move from polling to a WebSocket: `Fn(EngineSocket, Transport)`, sync or async. Called at most
    /// once for a session.
    pub fn on_upgrade<M>(mut self, handler: impl Handler<(EngineSocket, Transport), HandlerResult, M>) -> Self {
        self.handlers.upgrade = Some(Arc::new(erase(handler)));
        self
    }

    /// Builds the server.
    #[must_use]
    pub fn build(self) -> EngineServer {
        let Self { engine, http, max_waiting, handlers } = self;
        let handlers = Mutex::new(Arc::new(handlers));
        let application =
            |alarm: Alarm| Engine { handlers, max_waiting, watch: Watch::new(), counters: alarm.counters };
        EngineServer(Arc::new(Service::new(application, engine, http)))
    }
}

impl Endpoint for EngineServer {
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
        request: Parts,
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

impl EngineSocket {
    /// The id of the session. It is a secret between the peer and the server.
    #[must_use]
    pub fn id(&self) -> Sid {
        self.0.sid()
    }

    /// The request that opened the session.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.0.shared.handshake
    }

    /// Whether a link carries the session: it was opened on a link, or upgraded to one.
    #[must_use]
    pub fn is_on_link(&self) -> bool {
        self.transport() != Transport::Polling
    }

    /// What carries the session at this time: polling or a WebSocket. It changes at most once; see [`EngineServerBuilder::on_upgrade`].
    #[must_use]
    pub fn transport(&self) -> Transport {
        transport_of(&self.0.shared.transport)
    }

    /// Stores a value with the peer. It is kept until the close handler has ended. Returns the previous value of the same type. Once the
    /// session has ended, so also in the close handler, the new value is dropped and `None` is returned.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        // A value stored after the cleanup would be kept as long as this handle.
        self.0.shared.extensions.insert_if(value, || !self.0.shared.ended.load(Ordering::Relaxed))
    }

    /// The value of this type that was stored with the peer.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.shared.extensions.get()
    }

    /// Sends a message. Never waits: the message is queued for the session's task.
    ///
    /// # Errors
    /// [`SendError`] if the message was not queued. After [`SendError::Full`], wait for [`EngineSocket::ready`], or close the session.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.push(message.into(), false, true)
    }

    /// Like [`EngineSocket::send`], but the message is not compressed, although the server compresses WebSocket messages
    /// (`EngineServerBuilder::per_message_deflate`). For content that does not get smaller, such as images, and for secrets.
    ///
    /// # Errors
    /// Those of [`EngineSocket::send`].
    pub fn send_uncompressed(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.push(message.into(), false, false)
    }

    /// Like [`EngineSocket::send`], but drops the message if it cannot be written at once.
    ///
    /// # Errors
    /// Those of [`EngineSocket::send`]. A dropped message is not an error.
    pub fn send_volatile(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.push(message.into(), true, true)
    }

    fn push(&self, message: Message, volatile: bool, compress: bool) -> Result<(), SendError> {
        // The separator of revision 4 would split the message in a polling payload. Until the upgrade is complete, messages may still be
        // polled.
        if !self.is_on_link()
            && matches!(&message, Message::Text(text) if text.contains('\u{1e}'))
            && self.handshake().revision() == Revision::V4
        {
            return Err(SendError::Separator);
        }
        let frame = Frame::message(message).with_compress(compress);
        self.0.push(frame.queued_len(), || Command::Send { frame, volatile })
    }

    /// The number of bytes that wait to be sent to this peer. Each packet counts 40 bytes on top of its own.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.0.queued()
    }

    /// Waits until the outbound queue is at most half full and has capacity for the largest message that was refused with
    /// [`SendError::Full`] in the meantime. An empty queue takes any message, so a loop of `send` and `ready` makes progress, unless other
    /// tasks fill the queue first.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the session has ended.
    pub async fn ready(&self) -> Result<(), SendError> {
        self.0.ready().await
    }

    /// The next message, or `None` after the session has ended. This is for servers without a message handler.
    ///
    /// Messages are kept while the connect handler runs, and from the first call on. Otherwise they are dropped.
    pub fn recv(&self) -> impl Future<Output = Option<Message>> + Send + '_ {
        let shared = &self.0.shared;
        shared.inbox.start_receiving();
        poll_fn(|cx| shared.inbox.poll_next(cx, shared.soft_inbound, &shared.full, || self.0.wake()))
    }

    /// Closes the session gracefully: queued messages are sent first.
    pub fn close(&self) {
        // This fails only if the session has already ended.
        let _ = self.0.push(0, || Command::Close);
    }
}

impl Engine {
    /// Whether handlers may start: the limits of waiting handlers are not reached, and the inbox is not full.
    fn is_ready(&self, local: &Local) -> bool {
        self.max_waiting.has_capacity(local.waiting.len(), local.waiting.bytes())
            && local.peer.shared.full.load(Ordering::Relaxed) == 0
    }
}

impl ServerApplication for Engine {
    fn shared(&self, parts: &Parts, config: &Config) -> Shared {
        Shared {
            handshake: Handshake::new(parts),
            inbox: Inbox::new(),
            soft_inbound: config.limits.soft_inbound,
            full: AtomicUsize::new(0),
            transport: AtomicU8::new(0),
            ended: AtomicBool::new(false),
            log_counters: LogCounters::default(),
            extensions: Extensions::default(),
        }
    }

    fn open(&self, _: Instant, session: Session, peer: &Arc<EnginePeer>) -> (Session, Local) {
        let handlers = Arc::clone(&lock(&self.handlers));
        (
            session,
            Local {
                peer: Arc::clone(peer),
                handlers,
                waiting: Waiting::new(),
                opened: false,
                has_close_handler: false,
            },
        )
    }

    fn shut_down() -> Command {
        Command::ShutDown
    }

    fn discard() -> Command {
        Command::Discard
    }
}

impl Application for Engine {
    type Machine = Session;
    type Command = Command;
    type Shared = Shared;
    type Local = Local;

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn execute(&self, core: &mut Core<'_, Self>, link_is_flushed: bool, command: Command) {
        match command {
            Command::Send { frame, volatile } => {
                if volatile && !(link_is_flushed && core.machine.is_writable()) {
                    return;
                }
                match core.machine.send_frame(frame) {
                    Ok(()) => {}
                    Err(SendError::Full) => {
                        let session = core.peer.sid();
                        core.counters.queues_overflowed.add(1);
                        log_limited!(core.peer.shared.log_counters.full, warn, %session, "closed: its outbound queue is full (limits.max_outbound)");
                        core.machine.discard(core.now);
                    }
                    Err(error) => tracing::debug!(session = %core.peer.sid(), %error, "a message was dropped"),
                }
            }
            Command::Close => core.machine.close(core.now),
            Command::ShutDown => core.shut_down(Session::close),
            Command::Discard => core.machine.discard(core.now),
        }
    }

    fn dispatch(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some((running, ended)) = core.local.waiting.poll_ended(cx) {
            any = true;
            returned(core, &running, ended);
        }
        for _ in 0..EVENTS_PER_PASS {
            if !self.is_ready(core.local) && !core.machine.is_closed() {
                break;
            }
            let Some(event) = core.machine.poll_event() else { break };
            any = true;
            let socket = EngineSocket(Arc::clone(core.peer));
            let shared = &core.peer.shared;
            match event {
                Event::Open => {
                    core.local.opened = true;
                    set_transport(&shared.transport, core.machine.transport());
                    if let Some(connect) = core.local.handlers.connect.clone() {
                        start(core, cx, Running::Connect, 0, || connect(&mut HandlerInput::new((socket,))));
                    } else {
                        shared.inbox.drop_unless_wanted(&shared.full);
                    }
                }
                Event::Message(message) => {
                    if let Some(handler) = core.local.handlers.message.clone() {
                        let bytes = message.len();
                        let mut input = HandlerInput::new((socket, message));
                        start(core, cx, Running::Message, bytes, || handler(&mut input));
                    } else {
                        let bytes = message.len();
                        // The message is dropped if the inbox does not keep messages.
                        let _ = shared.inbox.push(message, bytes, shared.soft_inbound, &shared.full);
                    }
                }
                Event::Upgraded(link) => {
                    let transport = Transport::Link(link);
                    set_transport(&shared.transport, transport);
                    if let Some(upgrade) = core.local.handlers.upgrade.clone() {
                        start(core, cx, Running::Upgrade, 0, || upgrade(&mut HandlerInput::new((socket, transport))));
                    }
                }
                Event::Closed(reason) => {
                    core.counters.session_closed(reason, None);
                    log_closed(core.peer.sid(), reason);
                    shared.ended.store(true, Ordering::Relaxed);
                    shared.inbox.close(&shared.full);
                    match core.local.handlers.close.clone().filter(|_| core.local.opened) {
                        Some(close) => {
                            core.local.has_close_handler = true;
                            let running = Running::Close(Forgets(Arc::clone(core.peer)));
                            start(core, cx, running, 0, || close(&mut HandlerInput::new((socket, reason))));
                        }
                        None => shared.extensions.clear(),
                    }
                }
                _ => {}
            }
        }
        any
    }

    #[inline]
    fn backlog_mark(&self) -> Option<usize> {
        self.watch.mark()
    }

    fn backlog(&self, core: &mut Core<'_, Self>, backlog: Backlog) {
        let socket = EngineSocket(Arc::clone(core.peer));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.watch.call(socket, backlog))) {
            core.backlog_panicked(&panic_message(panic.as_ref()), &core.peer.shared.log_counters.events.panicked);
        }
    }

    #[inline]
    fn is_idle(&self, local: &Local) -> bool {
        local.waiting.is_idle()
    }

    fn waiting(&self, local: &Local) -> usize {
        local.waiting.len()
    }

    fn leftover(&self, local: &mut Local) -> Option<BoxFuture<'static, ()>> {
        let (peer, counters) = (Arc::clone(&local.peer), Arc::clone(&self.counters));
        let rest = local.waiting.take(move |running, ended| {
            counters.handler_ended(&ended);
            log(&peer, &running, ended);
            None::<std::future::Ready<()>>
        })?;
        Some(Box::pin(rest))
    }

    fn finish(&self, peer: &Arc<EnginePeer>, local: &mut Local) {
        peer.shared.inbox.close(&peer.shared.full);
        peer.shared.ended.store(true, Ordering::Relaxed);
        if !local.has_close_handler {
            peer.shared.extensions.clear();
        }
    }
}

fn start(
    core: &mut Core<'_, Engine>,
    cx: &mut Context<'_>,
    running: Running,
    bytes: usize,
    handler: impl FnOnce() -> Started<HandlerResult>,
) {
    match run(cx, handler) {
        Ok(ended) => returned(core, &running, ended),
        Err(future) => core.local.waiting.add(running, bytes, future),
    }
}

/// A handler ended, at once or after waiting.
fn returned(core: &mut Core<'_, Engine>, running: &Running, ended: Ended<HandlerResult>) {
    if matches!(running, Running::Connect) {
        core.peer.shared.inbox.drop_unless_wanted(&core.peer.shared.full);
    }
    core.counters.handler_ended(&ended);
    if matches!(ended, Ended::Panicked(_)) {
        core.machine.discard(core.now);
    }
    log(core.peer, running, ended);
}

/// Logs why a session ended, in more detail than the reference's reason string.
pub(crate) fn log_closed(session: Sid, reason: CloseReason) {
    match reason {
        CloseReason::TransportError(error) => tracing::debug!(%session, %reason, %error, "a session ended"),
        CloseReason::ParseError(error) => tracing::debug!(%session, %reason, %error, "a session ended"),
        _ => tracing::debug!(%session, %reason, "a session ended"),
    }
}

/// Logs how a handler has ended.
fn log(peer: &EnginePeer, running: &Running, ended: Ended<HandlerResult>) {
    let (session, log_counters) = (peer.sid(), &peer.shared.log_counters);
    let (handler, HandlerFailures { failed, panicked }) = match running {
        Running::Connect => ("connect", &log_counters.connect),
        Running::Upgrade => ("upgrade", &log_counters.connect),
        Running::Message => ("message", &log_counters.events),
        Running::Close(_) => ("close", &log_counters.disconnect),
    };
    match ended {
        Ended::Returned(Ok(())) => {}
        Ended::Returned(Err(error)) | Ended::NotStarted(error) => {
            let error = truncate(&error);
            log_limited!(failed, warn, %session, handler, error, "a handler of an Engine.IO session failed");
        }
        Ended::Panicked(panic) => {
            let panic = truncate(&panic);
            log_limited!(panicked, error, %session, handler, panic, "a handler of an Engine.IO session panicked: its session is closed");
        }
    }
}

impl Default for EngineServer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EngineServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineServer").field("path", &self.0.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for EngineServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineServerBuilder")
            .field("path", &self.http.path)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EngineSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineSocket").field("id", &self.0.sid()).finish_non_exhaustive()
    }
}

/// Sessions and their handlers. The defaults are those of the reference.
impl EngineServerBuilder {
    session_settings! {
        path: "/engine.io/",
        eio3: "They ask for pings, and the server answers."
    }
}

/// HTTP around the sessions. Everything is off by default.
impl EngineServerBuilder {
    http_settings!();
}
