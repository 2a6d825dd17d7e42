//! The Engine.IO client for applications.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Context;

use engineio_proto::client::Client as Machine;
use engineio_proto::server::Transport;
use engineio_proto::{CloseReason, Event, Frame, Message, SendError};
use futures_channel::oneshot;
use futures_util::future::BoxFuture;

use super::connector::Connector;
use super::failure::ConnectFailure;
use super::settings::{TransportSettings, name};
use super::target::{InvalidUrl, Target};
use super::task::{self, ClientApplication, Lifecycle, Parts};
use crate::extensions::Extensions;
use crate::extract::HandlerInput;
use crate::handler::{Ended, Handler, HandlerResult, MaxWaiting, Started, Waiting, erase, run};
use crate::inbox::Inbox;
use crate::log_limit::{LogCounters, log_limited, truncate};
use crate::metrics::Counters;
use crate::peer::{Peer, set_transport, transport_of};
use crate::runtime::Runtime;
use crate::socketio::SharedHandler;
use crate::sync::lock;
use crate::tasks::Tasks;
use crate::turn::{Application, Core, EVENTS_PER_PASS};

type EnginePeer = Peer<Command, Shared>;

/// A session with an Engine.IO server. This is a handle: clones refer to the same client. When the last one is dropped, the session is
/// closed. A handler that owns a handle keeps it open.
///
/// An Engine.IO client does not connect again by itself: after the session has ended, [`EngineClient::open`] opens another one.
#[derive(Clone)]
pub struct EngineClient(Arc<Handle>);

struct Handle {
    peer: Arc<EnginePeer>,
    /// Links that linger, and handlers that outlive the client.
    tasks: Tasks,
}

/// The state of a client that all tasks can access.
struct Shared {
    inbox: Inbox<Message>,
    soft_inbound: usize,
    /// 1 while the inbox is over that limit.
    full: AtomicUsize,
    transport: AtomicU8,
    log_counters: LogCounters,
    handlers: Mutex<Arc<Handlers>>,
    status: Mutex<Status>,
    extensions: Extensions,
    handle: Mutex<Weak<Handle>>,
}

#[derive(Default)]
struct Status {
    stage: Stage,
    /// The commands to open that the task has not executed yet.
    opening: u32,
    /// Those who wait until the session is open or could not be opened.
    waiting: Vec<oneshot::Sender<Result<(), ConnectFailure>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Closed,
    Opening,
    Open,
    /// The application has closed the session, and nothing can be sent any more.
    Closing,
}

#[derive(Clone, Default)]
struct Handlers {
    open: Option<SharedHandler<(EngineClient,)>>,
    message: Option<SharedHandler<(EngineClient, Message)>>,
    upgrade: Option<SharedHandler<(EngineClient, Transport)>>,
    close: Option<SharedHandler<(EngineClient, CloseReason)>>,
}

enum Command {
    Open,
    Send {
        frame: Frame,
        volatile: bool,
    },
    Close,
    TellClosed(oneshot::Sender<()>),
    /// Ends the task, because no handle is left.
    Abandon,
}

/// Engine.IO on the side of a client.
struct Engine {
    counters: Counters,
    max_waiting: MaxWaiting,
}

/// State that only the task uses.
struct Local {
    waiting: Waiting<Running, HandlerResult>,
    /// Messages that were sent before the session is open. They count in the outbound limit.
    early: VecDeque<Frame>,
    lifecycle: Lifecycle,
    /// Whether the application has opened the client while its last session was being closed.
    opens_again: bool,
}

/// The kind of a handler, for logs.
#[derive(Clone, Copy)]
enum Running {
    Open,
    Message,
    Upgrade,
    Close,
}

/// The settings of an Engine.IO client. An adapter's builder has them in a field `settings`, and makes its methods with
/// [`client_transport_settings!`](crate::client_transport_settings).
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "for adapters only")]
pub struct EngineClientSettings {
    pub transport: TransportSettings,
    max_waiting: MaxWaiting,
}

impl EngineClientSettings {
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        let transport = TransportSettings::new(Target::engineio(url)?);
        Ok(Self { transport, max_waiting: MaxWaiting::DEFAULT })
    }

    pub fn set_max_waiting_handlers(&mut self, count: usize) {
        self.max_waiting.set_handlers(count);
    }

    /// Spawns the task of a client, which does nothing until it is opened.
    pub fn start(self, connector: impl Connector, runtime: impl Runtime) -> EngineClient {
        let Self { transport, max_waiting } = self;
        let http = transport.http(connector);
        let TransportSettings { engine, deflate, .. } = transport;
        let (max_payload, max_outbound) = (engine.max_payload, engine.limits.max_outbound);
        let shared = Shared {
            inbox: Inbox::new(),
            soft_inbound: engine.limits.soft_inbound,
            full: AtomicUsize::new(0),
            transport: AtomicU8::new(0),
            log_counters: LogCounters::default(),
            handlers: Mutex::default(),
            status: Mutex::default(),
            extensions: Extensions::default(),
            handle: Mutex::new(Weak::new()),
        };
        let peer = Arc::new(Peer::new(name(), max_outbound, shared));
        let tasks = Tasks::default();
        let handle = Arc::new(Handle { peer: Arc::clone(&peer), tasks: tasks.clone() });
        *lock(&peer.shared.handle) = Arc::downgrade(&handle);
        task::spawn(Parts {
            application: Engine { counters: Counters::default(), max_waiting },
            machine: Machine::new(Arc::new(engine)),
            local: Local {
                waiting: Waiting::new(),
                early: VecDeque::new(),
                lifecycle: Lifecycle::default(),
                opens_again: false,
            },
            peer,
            http,
            runtime,
            max_payload,
            deflate_threshold: deflate.unwrap_or_default(),
            tasks,
        });
        EngineClient(handle)
    }
}

impl EngineClient {
    /// Opens a session. Does nothing if one is open or being opened.
    pub fn open(&self) -> &Self {
        let shared = self.shared();
        let mut status = lock(&shared.status);
        if matches!(status.stage, Stage::Closed | Stage::Closing) {
            status.stage = Stage::Opening;
        }
        status.opening = status.opening.saturating_add(1);
        drop(status);
        shared.inbox.reopen();
        if self.0.peer.push(0, || Command::Open).is_err() {
            // The task has ended, so nothing will ever come.
            shared.end();
        }
        self
    }

    /// Waits until the session is open. Call [`EngineClient::open`] before. Resolves at once if it is open.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub fn opened(&self) -> impl Future<Output = Result<(), ConnectFailure>> + Send + use<> {
        let mut status = lock(&self.shared().status);
        let (sender, receiver) = oneshot::channel();
        let is_open = status.stage == Stage::Open;
        if status.stage == Stage::Opening {
            status.waiting.retain(|waiting| !waiting.is_canceled());
            status.waiting.push(sender);
        }
        async move { if is_open { Ok(()) } else { receiver.await.unwrap_or_else(|_| Err(ConnectFailure::inactive())) } }
    }

    /// Whether the session is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        lock(&self.shared().status).stage == Stage::Open
    }

    /// What carries the session at this time, or has carried it last. Before it was open, polling.
    #[must_use]
    pub fn transport(&self) -> Transport {
        transport_of(&self.shared().transport)
    }

    /// Sends a message. Never waits. What is sent while the session is being opened is kept, and sent when it is open.
    ///
    /// # Errors
    /// [`SendError`] if the message was not queued. After [`SendError::Full`], wait for [`EngineClient::ready`].
    /// [`SendError::NotConnected`] if the client was not opened, or its session has ended.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.push(message.into(), false)
    }

    /// Like [`EngineClient::send`], but drops the message if it cannot be written at once.
    ///
    /// # Errors
    /// Those of [`EngineClient::send`]. A dropped message is not an error.
    pub fn send_volatile(&self, message: impl Into<Message>) -> Result<(), SendError> {
        match self.push(message.into(), true) {
            Err(SendError::Full) => Ok(()),
            sent => sent,
        }
    }

    fn push(&self, message: Message, volatile: bool) -> Result<(), SendError> {
        match lock(&self.shared().status).stage {
            Stage::Closed => return Err(SendError::NotConnected),
            Stage::Closing => return Err(SendError::Closed),
            Stage::Opening | Stage::Open => {}
        }
        // Over polling, the separator of revision 4 would split the message, and the session may be one that polls.
        let polls = self.transport() == Transport::Polling;
        if polls && matches!(&message, Message::Text(text) if text.contains('\u{1e}')) {
            return Err(SendError::Separator);
        }
        let frame = Frame::message(message);
        self.0.peer.push(frame.queued_len(), || Command::Send { frame, volatile })
    }

    /// The number of bytes that wait to be sent. Each packet counts 40 bytes on top of its own.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.0.peer.queued()
    }

    /// Waits until the outbound queue is at most half full, and has capacity for the largest message that was refused with
    /// [`SendError::Full`] in the meantime.
    ///
    /// # Errors
    /// If the client's task has ended.
    pub async fn ready(&self) -> Result<(), SendError> {
        self.0.peer.ready().await
    }

    /// The next message, or `None` after the session has ended. For clients without a message handler. Dropping the future loses nothing.
    ///
    /// Before the first call, up to 64 KiB of messages ([`EngineLimits::soft_inbound`](crate::EngineLimits)) are kept, and then dropped.
    /// After it, the client stops reading from the server when there are as many. The server's pings are then unread, too: a server that
    /// gets no answer closes the session, by default after 45 s.
    pub fn recv(&self) -> impl Future<Output = Option<Message>> + Send + '_ {
        let (shared, peer) = (self.shared(), &self.0.peer);
        shared.inbox.start_receiving();
        poll_fn(|cx| shared.inbox.poll_next(cx, shared.soft_inbound, &shared.full, || peer.wake()))
    }

    /// Closes the session gracefully: queued messages are sent first.
    pub fn close(&self) {
        let mut status = lock(&self.shared().status);
        if matches!(status.stage, Stage::Opening | Stage::Open) {
            status.stage = Stage::Closing;
        }
        drop(status);
        self.command(Command::Close);
    }

    /// Waits until the session is closed, and everything was sent. Call [`EngineClient::close`] before.
    pub async fn closed(&self) {
        let (sender, receiver) = oneshot::channel();
        self.command(Command::TellClosed(sender));
        // The sender is dropped if the task has ended.
        let _ = receiver.await;
        self.0.tasks.finished().await;
    }

    /// Sets the handler that runs when a session is open. It starts before any message is handled.
    pub fn on_open<M>(&self, handler: impl Handler<(Self,), HandlerResult, M>) -> &Self {
        self.change(|handlers| handlers.open = Some(Arc::new(erase(handler))))
    }

    /// Sets the handler for messages.
    pub fn on_message<M>(&self, handler: impl Handler<(Self, Message), HandlerResult, M>) -> &Self {
        self.change(|handlers| handlers.message = Some(Arc::new(erase(handler))))
    }

    /// Sets the handler that runs when a session moves from polling to a WebSocket.
    pub fn on_upgrade<M>(&self, handler: impl Handler<(Self, Transport), HandlerResult, M>) -> &Self {
        self.change(|handlers| handlers.upgrade = Some(Arc::new(erase(handler))))
    }

    /// Sets the handler that runs when a session has ended, or could not be opened.
    pub fn on_close<M>(&self, handler: impl Handler<(Self, CloseReason), HandlerResult, M>) -> &Self {
        self.change(|handlers| handlers.close = Some(Arc::new(erase(handler))))
    }

    fn change(&self, change: impl FnOnce(&mut Handlers)) -> &Self {
        let mut handlers = lock(&self.shared().handlers);
        let mut changed = Handlers::clone(&handlers);
        change(&mut changed);
        let old = std::mem::replace(&mut *handlers, Arc::new(changed));
        drop(handlers);
        // After the lock is released, because dropping handlers runs application code.
        drop(old);
        self
    }

    /// Stores a value with the client. It stays until the last handle is dropped. Returns the previous value of the same type.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        self.shared().extensions.insert(value)
    }

    /// The value of this type that was stored with the client.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.shared().extensions.get()
    }

    fn shared(&self) -> &Shared {
        &self.0.peer.shared
    }

    fn command(&self, command: Command) {
        // The error is ignored, because it means that the task has ended.
        let _ = self.0.peer.push(0, || command);
    }
}

impl Shared {
    /// Nothing comes any more: ends every wait.
    fn end(&self) {
        let mut status = lock(&self.status);
        (status.stage, status.opening) = (Stage::Closed, 0);
        let waiting = std::mem::take(&mut status.waiting);
        drop(status);
        drop(waiting);
        self.inbox.close(&self.full);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.peer.push(0, || Command::Abandon);
    }
}

impl Engine {
    /// Whether handlers may start: the limits of waiting handlers are not reached, and the inbox is not full.
    fn is_ready(&self, core: &Core<'_, Self>) -> bool {
        let waiting = &core.local.waiting;
        self.max_waiting.has_capacity(waiting.len(), waiting.bytes())
            && core.peer.shared.full.load(Ordering::Relaxed) == 0
    }

    /// Starts a handler, unless the application has dropped its last handle.
    fn start(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        (running, bytes): (Running, usize),
        handler: impl FnOnce(EngineClient) -> Started<HandlerResult>,
    ) {
        let Some(handle) = lock(&core.peer.shared.handle).upgrade() else { return };
        match run(cx, || handler(EngineClient(handle))) {
            Ok(ended) => self.ended(core, running, ended),
            Err(future) => core.local.waiting.add(running, bytes, future),
        }
    }

    /// Handles the end of a handler: its failure is logged, and a panic closes the session.
    fn ended(&self, core: &mut Core<'_, Self>, running: Running, ended: Ended<HandlerResult>) {
        self.counters.handler_ended(&ended);
        let (client, counters) = (core.peer.sid(), &core.peer.shared.log_counters);
        let (handler, failures) = match running {
            Running::Open => ("open", &counters.connect),
            Running::Message => ("message", &counters.events),
            Running::Upgrade => ("upgrade", &counters.connect),
            Running::Close => ("close", &counters.disconnect),
        };
        match ended {
            Ended::Returned(Ok(())) => {}
            Ended::Returned(Err(error)) | Ended::NotStarted(error) => {
                let error = truncate(&error);
                log_limited!(failures.failed, warn, %client, handler, error, "a handler of an Engine.IO client failed");
            }
            Ended::Panicked(panic) => {
                let panic = truncate(&panic);
                log_limited!(failures.panicked, error, %client, handler, panic, "a handler of an Engine.IO client panicked: its session is closed");
                core.machine.discard(core.now);
            }
        }
    }

    fn send(&self, core: &mut Core<'_, Self>, frame: Frame) {
        if core.local.opens_again {
            return core.local.early.push_back(frame);
        }
        match core.machine.send_frame(frame.clone()) {
            Ok(()) => {}
            Err(SendError::NotConnected) => core.local.early.push_back(frame),
            Err(error) => {
                let client = core.peer.sid();
                log_limited!(core.peer.shared.log_counters.full, warn, %client, %error, "a message was dropped");
            }
        }
    }

    fn opened(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) {
        let shared = &core.peer.shared;
        core.local.lifecycle.cause = None;
        self.counters.sessions_opened.add(1);
        set_transport(&shared.transport, core.machine.transport());
        let mut status = lock(&shared.status);
        if status.stage != Stage::Closing {
            status.stage = Stage::Open;
        }
        let waiting = std::mem::take(&mut status.waiting);
        drop(status);
        for sender in waiting {
            let _ = sender.send(Ok(()));
        }
        for frame in std::mem::take(&mut core.local.early) {
            self.send(core, frame);
        }
        let handlers = Arc::clone(&lock(&core.peer.shared.handlers));
        if let Some(open) = &handlers.open {
            self.start(core, cx, (Running::Open, 0), |client| open(&mut HandlerInput::new((client,))));
        }
    }

    fn ended_session(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>, reason: CloseReason) {
        let (client, shared) = (core.peer.sid(), &core.peer.shared);
        tracing::debug!(%client, %reason, "a session of an Engine.IO client ended");
        self.counters.session_closed(reason, None);
        let failure = ConnectFailure::engine(reason, core.local.lifecycle.cause.take());
        let opens_again = std::mem::take(&mut core.local.opens_again);
        if opens_again {
            core.machine.open(core.now);
        } else {
            core.local.early.clear();
        }
        let mut status = lock(&shared.status);
        // Otherwise the application has opened the client since, and waits for the next session.
        if status.opening == 0 && !opens_again {
            status.stage = Stage::Closed;
            let waiting = std::mem::take(&mut status.waiting);
            drop(status);
            for sender in waiting {
                let _ = sender.send(Err(failure.clone()));
            }
            shared.inbox.close(&shared.full);
        } else {
            drop(status);
        }
        let handlers = Arc::clone(&lock(&core.peer.shared.handlers));
        if let Some(close) = &handlers.close {
            self.start(core, cx, (Running::Close, 0), |client| close(&mut HandlerInput::new((client, reason))));
        }
    }
}

impl Application for Engine {
    type Machine = Machine;
    type Command = Command;
    type Shared = Shared;
    type Local = Local;

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn execute(&self, core: &mut Core<'_, Self>, link_is_flushed: bool, command: Command) {
        match command {
            Command::Open => {
                let mut status = lock(&core.peer.shared.status);
                status.opening = status.opening.saturating_sub(1);
                drop(status);
                core.machine.open(core.now);
                // A session that is being closed ends first.
                core.local.opens_again = core.machine.is_closing();
            }
            Command::Send { volatile: true, .. } if !(link_is_flushed && core.machine.is_writable()) => {}
            Command::Send { frame, .. } => self.send(core, frame),
            Command::Close => core.machine.close(core.now),
            Command::TellClosed(sender) => core.local.lifecycle.closing.push(sender),
            Command::Abandon => {
                core.local.lifecycle.abandoned = true;
                core.machine.close(core.now);
            }
        }
    }

    fn dispatch(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some((running, ended)) = core.local.waiting.poll_ended(cx) {
            any = true;
            self.ended(core, running, ended);
        }
        for _ in 0..EVENTS_PER_PASS {
            if !self.is_ready(core) && !core.machine.is_closed() {
                break;
            }
            let Some(event) = core.machine.poll_event() else { break };
            any = true;
            match event {
                Event::Open => self.opened(core, cx),
                Event::Message(message) => {
                    let (bytes, shared) = (message.len(), &core.peer.shared);
                    let handlers = Arc::clone(&lock(&shared.handlers));
                    if let Some(handler) = &handlers.message {
                        self.start(core, cx, (Running::Message, bytes), |client| {
                            handler(&mut HandlerInput::new((client, message)))
                        });
                    } else if shared.inbox.may_keep(bytes, shared.soft_inbound, false) {
                        // The message is dropped if the inbox is closed.
                        let _ = shared.inbox.push(message, bytes, shared.soft_inbound, &shared.full);
                    }
                }
                Event::Upgraded(link) => {
                    let transport = Transport::Link(link);
                    self.counters.sessions_upgraded.add(1);
                    set_transport(&core.peer.shared.transport, transport);
                    let handlers = Arc::clone(&lock(&core.peer.shared.handlers));
                    if let Some(upgrade) = &handlers.upgrade {
                        self.start(core, cx, (Running::Upgrade, 0), |client| {
                            upgrade(&mut HandlerInput::new((client, transport)))
                        });
                    }
                }
                Event::Closed(reason) => self.ended_session(core, cx, reason),
                _ => {}
            }
        }
        any
    }

    fn buffered(&self, machine: &Machine, local: &Local) -> usize {
        let early = local.early.iter().map(Frame::queued_len);
        early.fold(machine.buffered_bytes(), usize::saturating_add)
    }

    fn leftover(&self, local: &mut Local) -> Option<BoxFuture<'static, ()>> {
        let rest = local.waiting.take(|_, ended| {
            if let Ended::Panicked(panic) = ended {
                tracing::error!(panic = truncate(&panic), "a handler panicked after its Engine.IO client was closed");
            }
            None::<std::future::Ready<()>>
        })?;
        Some(Box::pin(rest))
    }

    fn finish(&self, peer: &Arc<EnginePeer>, _: &mut Local) {
        let shared = &peer.shared;
        shared.end();
        // Handlers and values may own handles of the client.
        let handlers = std::mem::take(&mut *lock(&shared.handlers));
        drop(handlers);
        shared.extensions.clear();
    }
}

impl ClientApplication for Engine {
    fn lifecycle(local: &mut Local) -> &mut Lifecycle {
        &mut local.lifecycle
    }
}

impl fmt::Debug for EngineClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineClient").field("transport", &self.transport()).finish_non_exhaustive()
    }
}
