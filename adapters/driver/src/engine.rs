//! A bare Engine.IO server, with messages but without namespaces, events or acks.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Context;

use engineio_proto::server::{Session, Transport};
use engineio_proto::{CloseReason, Config, Event, Frame, Instant, Message, Revision, SendError, Sid};
use futures_util::future::BoxFuture;
use http::request::Parts;
use http_body::Body as HttpBody;

use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::handler::{Ended, ErasedHandler, Handler, HandlerResult, MaxWaiting, Started, Waiting, erase, run};
use crate::handshake::Handshake;
use crate::http::{HttpSettings, http_settings};
use crate::hub::ServerApplication;
use crate::inbox::Inbox;
use crate::log_limit::{HandlerFailures, LogCounters, log_limited, truncate};
use crate::peer::Peer;
use crate::runtime::Runtime;
use crate::service::Service;
use crate::turn::{Application, Core, EVENTS_PER_PASS};
use crate::upgrade::Upgrade;

/// A bare Engine.IO server. This is a handle: clones refer to the same server. It has no listener; an adapter serves it.
#[derive(Clone)]
pub struct EngineServer(Arc<Service<Engine>>);

/// The settings and handlers of an [`EngineServer`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct EngineServerBuilder {
    config: Config,
    http: HttpSettings,
    max_waiting: MaxWaiting,
    handlers: Handlers,
}

#[derive(Default)]
struct Handlers {
    connect: Option<ErasedHandler<(EngineSocket,), HandlerResult>>,
    message: Option<ErasedHandler<(EngineSocket, Message), HandlerResult>>,
    close: Option<ErasedHandler<(EngineSocket, CloseReason), HandlerResult>>,
}

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
    upgraded: AtomicBool,
    log_counters: LogCounters,
}

/// A command from another task to a session.
enum Command {
    Send { frame: Frame, volatile: bool },
    Close,
    ShutDown,
    Discard,
}

struct Engine {
    handlers: Handlers,
    max_waiting: MaxWaiting,
}

/// The state of a peer that only its own task can access.
struct Local {
    peer: Arc<EnginePeer>,
    waiting: Waiting<Running, HandlerResult>,
    /// Whether the session was opened. Only then does the close handler run.
    opened: bool,
}

#[derive(PartialEq)]
enum Running {
    Connect,
    Message,
    Close,
}

impl EngineServer {
    /// Starts building a server. Its default path is `/engine.io/`.
    pub fn builder() -> EngineServerBuilder {
        EngineServerBuilder {
            config: Config::default(),
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

    /// Shuts the server down gracefully, and returns when all peers are disconnected.
    ///
    /// New sessions are refused with 503. Queued packets are sent, links close with code 1001, and held polls are answered. Polling peers
    /// without queued packets are dropped. Peers that are still connected when `deadline` completes (for example `tokio::time::sleep(..)`)
    /// are disconnected at once.
    pub async fn shut_down(&self, deadline: impl Future<Output = ()> + Send) {
        self.0.hub.shut_down(deadline).await;
    }
}

impl EngineServerBuilder {
    /// Sets the path. Default `/engine.io/`.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.http.path);
        self
    }

    /// Whether clients of revision 3 are accepted, too; see [`Config::allow_eio3`]. Default false.
    pub fn allow_eio3(mut self, allow: bool) -> Self {
        self.config.allow_eio3 = allow;
        self
    }

    /// Changes the settings and limits of sessions.
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Limits how many handlers of one session may wait at the same time. At the limit, no further message of the session is handled, and
    /// the session soon stops reading. Default 1024.
    pub fn max_waiting_handlers(mut self, count: usize) -> Self {
        self.max_waiting.set_handlers(count);
        self
    }

    /// Limits the bytes of the messages whose handlers wait, for each session; see
    /// [`ServerBuilder::max_waiting_bytes`](crate::ServerBuilder::max_waiting_bytes). Default 16 MiB.
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.max_waiting.set_bytes(bytes);
        self
    }

    /// Selects one of the subprotocols that a WebSocket handshake offers; see
    /// [`ServerBuilder::select_protocol`](crate::ServerBuilder::select_protocol). Default: the first one.
    pub fn select_protocol(
        mut self,
        select: impl for<'a> Fn(&[&'a str]) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        self.http.select_protocol = Some(Box::new(select));
        self
    }

    /// Limits the size of a handshake's request head, which is kept with its session; see
    /// [`ServerBuilder::max_head_bytes`](crate::ServerBuilder::max_head_bytes). Default 16 KiB.
    pub fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.http.max_head = bytes;
        self
    }

    /// Sets the handler for new peers: `Fn(EngineSocket)`, sync or async. It starts before any message of the peer is handled.
    pub fn on_connect<M>(mut self, handler: impl Handler<(EngineSocket,), HandlerResult, M>) -> Self {
        self.handlers.connect = Some(erase(handler));
        self
    }

    /// Sets the handler for messages: `Fn(EngineSocket, Message)`, sync or async. Without it, messages go to
    /// [`EngineSocket::recv`], which must be called before the connect handler has ended; otherwise they are dropped.
    pub fn on_message<M>(mut self, handler: impl Handler<(EngineSocket, Message), HandlerResult, M>) -> Self {
        self.handlers.message = Some(erase(handler));
        self
    }

    /// Sets the handler for disconnected peers: `Fn(EngineSocket, CloseReason)`, sync or async.
    pub fn on_close<M>(mut self, handler: impl Handler<(EngineSocket, CloseReason), HandlerResult, M>) -> Self {
        self.handlers.close = Some(erase(handler));
        self
    }

    /// Builds the server.
    #[must_use]
    pub fn build(self) -> EngineServer {
        let application = Engine { handlers: self.handlers, max_waiting: self.max_waiting };
        EngineServer(Arc::new(Service::new(|_| application, self.config, self.http)))
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
        B: HttpBody<Data: Send, Error: Send> + Send,
    {
        self.0.respond(runtime, request, upgrade)
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
        self.0.shared.upgraded.load(Ordering::Relaxed)
    }

    /// Sends a message. Never waits: the message is queued for the session's task.
    ///
    /// # Errors
    /// [`SendError`] if the message was not queued. After [`SendError::Full`], wait for [`EngineSocket::ready`], or close the session.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.push(message.into(), false)
    }

    /// Like [`EngineSocket::send`], but drops the message if it cannot be written at once.
    ///
    /// # Errors
    /// Those of [`EngineSocket::send`]. A dropped message is not an error.
    pub fn send_volatile(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.push(message.into(), true)
    }

    fn push(&self, message: Message, volatile: bool) -> Result<(), SendError> {
        // The separator of revision 4 would split the message in a polling payload. Until the upgrade is complete, messages may still be
        // polled.
        if !self.is_on_link()
            && matches!(&message, Message::Text(text) if text.contains('\u{1e}'))
            && self.handshake().revision() == Revision::V4
        {
            return Err(SendError::Separator);
        }
        let frame = Frame::message(message);
        self.0.push(frame.queued_len(), || Command::Send { frame, volatile })
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
            upgraded: AtomicBool::new(false),
            log_counters: LogCounters::default(),
        }
    }

    fn open(&self, _: Instant, session: Session, peer: &Arc<EnginePeer>) -> (Session, Local) {
        (session, Local { peer: Arc::clone(peer), waiting: Waiting::new(), opened: false })
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

    fn execute(&self, core: &mut Core<'_, Self>, command: Command) {
        match command {
            Command::Send { frame, volatile } => {
                if volatile && !(core.link_is_flushed && core.machine.is_writable()) {
                    return;
                }
                match core.machine.send_frame(frame) {
                    Ok(()) => {}
                    Err(SendError::Full) => {
                        let session = core.peer.sid();
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
                    shared.upgraded.store(core.machine.transport() != Transport::Polling, Ordering::Relaxed);
                    if let Some(connect) = &self.handlers.connect {
                        start(core, cx, Running::Connect, 0, || connect((socket,)));
                    } else {
                        shared.inbox.drop_unless_wanted(&shared.full);
                    }
                }
                Event::Message(message) => {
                    if let Some(handler) = &self.handlers.message {
                        let bytes = message.len();
                        start(core, cx, Running::Message, bytes, || handler((socket, message)));
                    } else {
                        let bytes = message.len();
                        // The message is dropped if the inbox does not keep messages.
                        let _ = shared.inbox.push(message, bytes, shared.soft_inbound, &shared.full);
                    }
                }
                Event::Upgraded(_) => shared.upgraded.store(true, Ordering::Relaxed),
                Event::Closed(reason) => {
                    log_closed(core.peer.sid(), reason);
                    shared.inbox.close(&shared.full);
                    if let Some(close) = self.handlers.close.as_ref().filter(|_| core.local.opened) {
                        start(core, cx, Running::Close, 0, || close((socket, reason)));
                    }
                }
                _ => {}
            }
        }
        any
    }

    fn leftover(&self, local: &mut Local) -> Option<BoxFuture<'static, ()>> {
        let peer = Arc::clone(&local.peer);
        let rest = local.waiting.take(move |running, ended| log(&peer, &running, ended))?;
        Some(Box::pin(rest))
    }

    fn finish(&self, peer: &Arc<EnginePeer>, _: &mut Local) {
        peer.shared.inbox.close(&peer.shared.full);
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
    if *running == Running::Connect {
        core.peer.shared.inbox.drop_unless_wanted(&core.peer.shared.full);
    }
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

fn log(peer: &EnginePeer, running: &Running, ended: Ended<HandlerResult>) {
    let (session, log_counters) = (peer.sid(), &peer.shared.log_counters);
    let (handler, HandlerFailures { failed, panicked }) = match running {
        Running::Connect => ("connect", &log_counters.connect),
        Running::Message => ("message", &log_counters.events),
        Running::Close => ("close", &log_counters.disconnect),
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

impl fmt::Debug for EngineServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineServer").field("path", &self.0.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for EngineServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineServerBuilder")
            .field("path", &self.http.path)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EngineSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineSocket").field("id", &self.0.sid()).finish_non_exhaustive()
    }
}

/// HTTP around the sessions. Everything is off by default.
impl EngineServerBuilder {
    http_settings!();
}
