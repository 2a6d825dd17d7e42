//! The Socket.IO application of a connection's task: handles the events of the connection and the commands of other tasks.

mod stages;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::Duration;

use engineio_proto::server::{Session, Transport};
use engineio_proto::{CloseReason, Instant, Revision, SendError, Sid, Text};
use futures_util::future::BoxFuture;
use futures_util::task::noop_waker_ref;
use http::request::Parts;
use socketio_proto::server::{Claim, Connection, ParentId, RecoveryConfig};
use socketio_proto::{
    AckError, AckId, AckToken, Config, DecodeError, DisconnectReason, EmitError, Event as Happened, Fault, Limits,
    Parser, Payload, Pending, SocketHandle,
};

use self::stages::Held;
use super::recovery::{Recovered, Recovery, private_id};
use super::registry::{Registry, Visit};
use super::state::{
    Ack, AckHome, AckSink, Command, ConnectRequest, DisconnectHandler, Emits, Event, FailureKind, HandlerFailure,
    HandlerKind, Handlers, MiddlewareResult, NamespaceInner, Refusal, Shared, SharedHandler, Socket, SocketInner,
    SocketPeer,
};
use super::states::States;
use crate::backlog::{Backlog, Watch};
use crate::engine::log_closed;
use crate::extensions::Extensions;
use crate::extract::HandlerInput;
use crate::handler::{Ended, HandlerResult, MaxWaiting, Waiting, panic_message, poll_caught, run};
use crate::hub::{ServerApplication, random_bytes};
use crate::log_limit::{HandlerFailures, log_limited, truncate};
use crate::metrics::{Counters, Metrics};
use crate::sync::lock;
use crate::timers::Alarm;
use crate::turn::{Application, Core, EVENTS_PER_PASS};

impl<P: Parser> AckSink<P> {
    fn resolve(self, id: AckId, outcome: Result<Payload, AckError>) {
        match self {
            // The receiver may have been dropped.
            Self::Socket(sink) => drop(sink.send(outcome)),
            Self::Broadcast { namespace, key } => namespace.handle_ack(key, id, outcome),
        }
    }
}

/// State that only the task of the connection uses.
pub(crate) struct Local<P: Parser> {
    /// The socket of the namespace that was joined first, usually the only one.
    first: Option<JoinedSocket<P>>,
    others: BTreeMap<SocketHandle, JoinedSocket<P>>,
    /// Requests whose middleware waits.
    pub(super) joining: Waiting<Joining<P>, MiddlewareResult>,
    waiting: Waiting<Running<P>, HandlerResult>,
    /// An event whose filter waits. Later events of the connection wait, too.
    held: Option<Box<Held<P>>>,
    /// The key contains the socket, because each namespace numbers its broadcasts separately.
    acks: BTreeMap<(SocketHandle, AckId), AckSink<P>>,
}

struct JoinedSocket<P: Parser> {
    socket: Arc<SocketInner<P>>,
    handlers: Arc<Handlers<P>>,
}

impl<P: Parser> Clone for JoinedSocket<P> {
    fn clone(&self) -> Self {
        Self { socket: Arc::clone(&self.socket), handlers: Arc::clone(&self.handlers) }
    }
}

/// A client's request to join a namespace, while middleware decides on it.
pub(super) struct Joining<P: Parser> {
    pub(super) pending: Pending,
    /// While a parent is asked, the parent.
    pub(super) namespace: Arc<NamespaceInner<P>>,
    pub(super) handlers: Arc<Handlers<P>>,
    pub(super) visit: Visit<P>,
    pub(super) stage: Stage,
    /// How many of the namespace's middleware have run.
    pub(super) passed: usize,
    /// Values that middleware passes to the socket; `None` without middleware.
    pub(super) extensions: Option<Arc<Extensions>>,
}

/// What a request to join waits for.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// A parent namespace, which decides whether the namespace may be created.
    Asking(ParentId),
    /// The handlers of `on_new_namespace`, which run in another task.
    Creating,
    /// A middleware of the namespace.
    Middleware,
}

/// A waiting handler, and what it was started for.
struct Running<P: Parser> {
    member: JoinedSocket<P>,
    kind: Kind<P>,
    /// Where the ack goes that the handler was started with, if it is dropped unused.
    home: Option<Arc<AckHome>>,
}

/// The kind of a handler.
enum Kind<P: Parser> {
    /// After it has ended, events without a handler are dropped.
    Connect,
    /// The event handler at this index of the namespace's table.
    Event(usize),
    Upgrade,
    /// Another handler that was started with an event, and the name of the event.
    Staged(HandlerKind, Box<str>),
    Disconnecting,
    /// The last handlers. Several of them share the guard.
    Disconnect(#[expect(dead_code, reason = "it acts when it is dropped")] Arc<Forgets<P>>),
    Error,
}

/// When it is dropped, the values that the application stored with a socket are dropped: after the last handlers have ended, or were
/// dropped by their runtime. The values may contain the socket.
struct Forgets<P: Parser>(Arc<SocketInner<P>>);

impl<P: Parser> Drop for Forgets<P> {
    fn drop(&mut self) {
        self.0.forget();
    }
}

/// Socket.IO: the namespaces of a server.
pub(crate) struct SocketIo<P: Parser> {
    pub(crate) parser: P,
    pub(crate) config: Arc<Config>,
    max_waiting: MaxWaiting,
    emits: Emits,
    recovery: Option<(Recovery, RecoveryConfig)>,
    pub(super) alarm: Arc<Alarm>,
    pub(crate) watch: Watch<Vec<Socket<P>>>,
    pub(crate) states: Arc<States>,
    pub(crate) registry: Arc<Registry<P>>,
}

impl<P: Parser> SocketIo<P> {
    pub(crate) fn new(parser: P, config: Config, max_waiting: MaxWaiting, emits: Emits, alarm: Alarm) -> Self {
        let registry = Arc::new(Registry::new(&config));
        let (config, alarm) = (Arc::new(config), Arc::new(alarm));
        Self {
            parser,
            config,
            max_waiting,
            emits,
            recovery: None,
            alarm,
            watch: Watch::new(),
            states: Arc::default(),
            registry,
        }
    }

    /// Turns recovery on, before the first namespace is created. A loss of a connection is noticed after `unnoticed` at the latest.
    pub(crate) fn with_recovery(mut self, recovery: Recovery, unnoticed: Duration) -> Self {
        let config = recovery.config(unnoticed);
        self.recovery = Some((recovery, config));
        self
    }

    /// Makes a namespace. It is not in the table yet.
    pub(super) fn make(&self, name: Text) -> NamespaceInner<P> {
        let max_attachments = self.config.limits.max_attachments;
        let mut made =
            NamespaceInner::new(name, self.parser.clone(), max_attachments, self.emits, Arc::clone(&self.alarm));
        made.states = Arc::clone(&self.states);
        match &self.recovery {
            Some((_, config)) => made.with_recovery(config.clone()),
            None => made,
        }
    }

    /// What all namespaces hold.
    pub(crate) fn add_to(&self, metrics: &mut Metrics) {
        let namespaces = self.registry.all();
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        metrics.namespaces = number(namespaces.len());
        for namespace in namespaces {
            let counts = namespace.counts();
            metrics.sockets = metrics.sockets.saturating_add(number(counts.sockets));
            metrics.rooms = metrics.rooms.saturating_add(number(counts.rooms));
            metrics.broadcasts_awaited = metrics.broadcasts_awaited.saturating_add(number(counts.broadcasts));
            let kept = namespace.kept();
            metrics.recoverable_sockets = metrics.recoverable_sockets.saturating_add(number(kept.sessions));
            metrics.recovery_packets = metrics.recovery_packets.saturating_add(number(kept.packets));
            let bytes = number(kept.bytes).saturating_add(number(kept.session_bytes));
            metrics.recovery_bytes = metrics.recovery_bytes.saturating_add(bytes);
        }
        let counters = &self.alarm.counters;
        metrics.sockets_connected = counters.sockets_connected.get();
        metrics.connects_refused = counters.connects_refused.get();
        metrics.broadcasts = counters.broadcasts.get();
        metrics.recipients = counters.recipients.get();
    }

    /// Whether handlers may start: the waiting handlers are below the limits, no filter waits, and no inbox is full.
    fn is_ready(&self, core: &Core<'_, Self>) -> bool {
        let has_capacity = core.local.is_idle() || self.may_start(core.local);
        has_capacity && core.peer.shared.full_inboxes.load(Ordering::Relaxed) == 0
    }

    /// Whether one more handler may wait, and no filter does.
    #[cold]
    fn may_start(&self, local: &Local<P>) -> bool {
        if local.held.as_ref().is_some_and(|held| held.is_in_time()) {
            return false;
        }
        let waiting = local.waiting.len().saturating_add(local.joining.len());
        let bytes = local.waiting.bytes().saturating_add(local.joining.bytes());
        self.max_waiting.has_capacity(waiting, bytes)
    }

    /// Handles the ends of middleware, handlers and filters that have waited. Returns whether there were any.
    #[cold]
    fn poll_waiting(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some((joining, ended)) = core.local.joining.poll_ended(cx) {
            any = true;
            self.decided(core, cx, joining, ended);
        }
        while let Some((running, ended)) = core.local.waiting.poll_ended(cx) {
            any = true;
            returned(core, cx, running, ended);
        }
        any | (core.local.held.is_some() && self.filter_held(core, cx))
    }

    fn connect_requested(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>, pending: Pending) {
        match self.registry.enter(pending.namespace()) {
            Some(entered) => self.entered(core, cx, pending, entered, None),
            None => self.ask_parents(core, cx, pending, None),
        }
    }

    /// Runs the middleware that has not run yet. Accepts the client at the end, unless one of them refuses it or waits.
    pub(super) fn run_middleware(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>, mut joining: Joining<P>) {
        if joining.passed == 0
            && self.recovery.as_ref().is_some_and(|(recovery, _)| recovery.skip_middlewares)
            && let Some(recovered) = recover(core, &mut joining)
        {
            return self.accept(core, cx, joining, Some(recovered));
        }
        while let Some(middleware) = joining.handlers.middleware.get(joining.passed).cloned() {
            joining.passed = joining.passed.saturating_add(1);
            let request = ConnectRequest {
                peer: Arc::clone(core.peer),
                namespace: joining.namespace.name.clone(),
                auth: joining.pending.auth().cloned(),
                extensions: Arc::clone(joining.extensions.get_or_insert_default()),
                states: Arc::clone(&self.states),
            };
            match run(cx, || middleware(&mut HandlerInput::new((request,)))) {
                Ok(Ended::Returned(Ok(()))) => {}
                Ok(ended) => return self.decided(core, cx, joining, ended),
                Err(future) => {
                    let bytes = joining.pending.auth().map_or(0, Payload::size);
                    return core.local.joining.add(joining, bytes, future);
                }
            }
        }
        let recovered = match &self.recovery {
            // Otherwise it was tried before the middleware.
            Some((Recovery { skip_middlewares: false, .. }, _)) => recover(core, &mut joining),
            _ => None,
        };
        self.accept(core, cx, joining, recovered);
    }

    /// Handles the decision of a middleware, which may have waited.
    pub(super) fn decided(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        joining: Joining<P>,
        ended: Ended<MiddlewareResult>,
    ) {
        match ended {
            Ended::Returned(Ok(())) => match joining.stage {
                Stage::Asking(parent) => self.agreed(core, cx, joining, parent),
                Stage::Creating => self.created(core, cx, joining),
                Stage::Middleware => self.run_middleware(core, cx, joining),
            },
            Ended::Returned(Err(refusal)) => match joining.stage {
                Stage::Asking(parent) => self.ask_parents(core, cx, joining.pending, Some(parent)),
                _ => refuse(core, joining.pending, &refusal),
            },
            Ended::NotStarted(error) => {
                let (session, namespace, error) = (core.peer.sid(), &*joining.namespace.name, truncate(&error));
                let times = &core.peer.shared.log_counters.middleware;
                log_limited!(times, warn, %session, namespace, error, "a middleware was not started: its client is refused");
                match joining.stage {
                    Stage::Asking(parent) => self.ask_parents(core, cx, joining.pending, Some(parent)),
                    _ => refuse(core, joining.pending, &Refusal::new("bad request")),
                }
            }
            Ended::Panicked(panic) => {
                self.alarm.counters.handlers_panicked.add(1);
                let (session, namespace, panic) = (core.peer.sid(), &*joining.namespace.name, truncate(&panic));
                let times = &core.peer.shared.log_counters.middleware;
                log_limited!(times, error, %session, namespace, panic, "a middleware panicked: its connection is closed");
                core.machine.discard(core.now);
                refuse(core, joining.pending, &Refusal::new("internal error"));
            }
        }
    }

    fn accept(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        joining: Joining<P>,
        recovered: Option<Recovered<P>>,
    ) {
        let Joining { pending, namespace, handlers, visit, extensions, .. } = joining;
        if namespace.is_removed() {
            if let Some(Recovered { socket, .. }) = recovered {
                visit.keep();
                abandon(&socket);
            }
            self.alarm.counters.connects_refused.add(1);
            return core.machine.refuse_unknown(core.now, pending);
        }
        let socket = match recovered {
            Some(recovered) => {
                // The restored socket keeps the namespace alive from now on, even if its connection does not accept it.
                visit.keep();
                accept_recovered(core, pending, recovered)
            }
            None => {
                let socket = self.accept_new(core, pending, &namespace, extensions);
                if socket.is_some() {
                    visit.keep();
                }
                socket
            }
        };
        let Some(socket) = socket else { return };
        let handle = socket.handle;
        if core.machine.session().transport() == Transport::Polling {
            // Over polling, the reply stays in the queue until a GET fetches it. The connect handler's emits have to count it.
            core.peer.set_buffered(core.machine.buffered_bytes());
        }
        self.alarm.counters.sockets_connected.add(1);
        if namespace.is_removed() {
            // After the removal has disconnected the sockets that it found.
            Socket(Arc::clone(&socket)).disconnect();
        }
        let member = JoinedSocket { socket, handlers };
        if core.local.first.is_none() {
            core.local.first = Some(member.clone());
        } else {
            core.local.others.insert(handle, member.clone());
        }
        let Some(connect) = member.handlers.connect.clone() else {
            return member.socket.inbox.drop_unless_wanted(&core.peer.shared.full_inboxes);
        };
        let socket = Socket(Arc::clone(&member.socket));
        match run(cx, || connect(&mut HandlerInput::new((socket,)))) {
            Ok(ended) => returned(core, cx, Running { member, kind: Kind::Connect, home: None }, ended),
            // Counts 0 bytes: the `auth` that the handler can read is kept as long as the socket in any case.
            Err(future) => core.local.waiting.add(Running { member, kind: Kind::Connect, home: None }, 0, future),
        }
    }

    /// Accepts a client as a new socket.
    fn accept_new(
        &self,
        core: &mut Core<'_, Self>,
        pending: Pending,
        namespace: &Arc<NamespaceInner<P>>,
        extensions: Option<Arc<Extensions>>,
    ) -> Option<Arc<SocketInner<P>>> {
        // Clients of protocol 4 get no private id, so they could not return.
        let returns = core.machine.session().revision() == Revision::V4;
        let pid = self.recovery.as_ref().filter(|_| returns).map(|_| private_id());
        let id = random_bytes().map(|random| core.machine.socket_id(&pending, random));
        let (Some(id), None | Some(Some(_))) = (id, pid) else {
            refuse(core, pending, &Refusal::new("no session id"));
            return None;
        };
        let pid = pid.flatten();
        let auth = pending.auth().map(Payload::detached);
        let extensions = extensions.map(|extensions| extensions.take()).unwrap_or_default();
        let peer = core.peer;
        // The reply goes first. If it does not fit in the queue, the socket never existed. No lock is held here, because the
        // parser encodes the reply. The reply is sent at the end of this turn, so a client that has received it finds the
        // socket on the namespace.
        let accepted = match &pid {
            Some(pid) => core.machine.accept_recoverable(core.now, pending, &id, pid, &[]),
            None => core.machine.accept(core.now, pending, &id),
        };
        let handle = match accepted {
            Ok(handle) => handle,
            Err(error) => {
                tracing::debug!(session = %peer.sid(), %error, "a client could not be accepted");
                return None;
            }
        };
        let socket = namespace.add(&id, pid, |key| {
            SocketInner::new(Arc::clone(peer), Arc::clone(namespace), (handle, key, id.clone()), auth, extensions)
        });
        tracing::debug!(session = %peer.sid(), namespace = &*namespace.name, socket = %id, "a socket connected");
        Some(socket)
    }

    fn received(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        (socket, payload, ack): (SocketHandle, Payload, Option<AckToken>),
    ) {
        let Some(member) = core.local.member(socket) else { return };
        if !member.socket.is_connected() {
            return;
        }
        if member.has_stages() {
            let member = member.clone();
            return self.received_in_stages(core, cx, member, payload, ack);
        }
        let Some(named) = member.handlers.event(payload.name().unwrap_or_default()) else {
            return member.keep((payload, ack));
        };
        let bytes = payload.size();
        let mut home = None;
        let ack = ack.map(|token| member.ack(token, &mut home));
        let outcome = {
            let mut input = HandlerInput::new((Socket(Arc::clone(&member.socket)), Event::new(payload, ack)));
            run(cx, || (named.handler)(&mut input))
            // An ack that no argument has taken goes home here.
        };
        if !matches!(outcome, Ok(Ended::Returned(Ok(())))) {
            let kind = Kind::Event(member.handlers.index(named));
            let running = Running { member: member.clone(), kind, home };
            started(core, cx, running, bytes, outcome);
        }
    }

    fn disconnecting(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        handle: SocketHandle,
        reason: DisconnectReason,
    ) {
        let Some(member) = core.local.member(handle).cloned() else { return };
        let own = member.socket.own().and_then(|own| own.disconnecting.clone());
        for handler in own.into_iter().chain(member.handlers.disconnecting.clone()) {
            let running = Running { member: member.clone(), kind: Kind::Disconnecting, home: None };
            run_for_leaving(core, cx, running, &handler, reason);
        }
    }

    fn disconnected(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        handle: SocketHandle,
        reason: DisconnectReason,
    ) {
        let Some(member) = core.local.remove(handle) else { return };
        let (session, namespace) = (core.peer.sid(), &*member.socket.namespace.name);
        tracing::debug!(%session, namespace, socket = %member.socket.id, %reason, "a socket disconnected");
        leave(&member.socket, &reason);
        core.local.held.take_if(|held| held.is_of(&member.socket));
        let own = member.socket.own().and_then(|own| own.disconnect.clone());
        let shared = member.handlers.disconnect.clone();
        if own.is_none() && shared.is_none() {
            return member.socket.forget();
        }
        let forgets = Arc::new(Forgets(Arc::clone(&member.socket)));
        for handler in own.into_iter().chain(shared) {
            let running = Running { member: member.clone(), kind: Kind::Disconnect(Arc::clone(&forgets)), home: None };
            run_for_leaving(core, cx, running, &handler, reason);
        }
    }
}

/// The session has moved to another transport.
fn upgraded<P: Parser>(core: &mut Core<'_, SocketIo<P>>, cx: &mut Context<'_>, transport: Transport) {
    core.peer.shared.set_transport(transport);
    let members = core.local.first.iter().chain(core.local.others.values());
    let members: Vec<_> = members.filter(|member| member.handlers.upgrade.is_some()).cloned().collect();
    for member in members {
        let Some(handler) = member.handlers.upgrade.clone() else { continue };
        let socket = Socket(Arc::clone(&member.socket));
        let running = Running { member, kind: Kind::Upgrade, home: None };
        match run(cx, || handler(&mut HandlerInput::new((socket, transport)))) {
            Ok(ended) => returned(core, cx, running, ended),
            Err(future) => core.local.waiting.add(running, 0, future),
        }
    }
}

/// Restores the socket that the client claims, if it does. It is on its namespace then, but its connection knows nothing of it yet: what
/// is sent to it waits in the mailbox.
fn recover<P: Parser>(core: &Core<'_, SocketIo<P>>, joining: &mut Joining<P>) -> Option<Recovered<P>> {
    /// More than the CONNECT reply has.
    const REPLY: usize = 1024;

    let Joining { pending, namespace, extensions, .. } = joining;
    let claim = Claim::of(pending).filter(|_| core.machine.session().revision() == Revision::V4)?;
    let (peer, handle, auth) = (core.peer, pending.socket(), pending.auth().map(Payload::detached));
    let extensions = extensions.as_ref().map(|extensions| extensions.copied_without(&[])).unwrap_or_default();
    let limit = core.machine.session().config().limits.max_outbound;
    let used = core.machine.buffered_bytes().saturating_add(pending.namespace().len()).saturating_add(REPLY);
    namespace.restore(&claim, limit.saturating_sub(used), |key, id| {
        SocketInner::new(Arc::clone(peer), Arc::clone(namespace), (handle, key, id), auth, extensions)
    })
}

/// Accepts a client as the socket that was restored. If this fails, the socket may be claimed again.
fn accept_recovered<P: Parser>(
    core: &mut Core<'_, SocketIo<P>>,
    pending: Pending,
    Recovered { socket, pid, missed }: Recovered<P>,
) -> Option<Arc<SocketInner<P>>> {
    let (session, namespace, id) = (core.peer.sid(), &*socket.namespace.name, &socket.id);
    match core.machine.accept_recoverable(core.now, pending, id, &pid, &missed) {
        Ok(_) => {
            tracing::debug!(%session, namespace, socket = %id, missed = missed.len(), "a socket was recovered");
            Some(socket)
        }
        Err(error) => {
            tracing::debug!(%session, namespace, socket = %id, %error, "a recovered client could not be accepted");
            abandon(&socket);
            None
        }
    }
}

/// Removes a socket that was restored and that no connection has accepted.
fn abandon<P: Parser>(socket: &SocketInner<P>) {
    leave(socket, &DisconnectReason::Closed(CloseReason::ForcedClose));
    socket.forget();
}

/// Runs a handler for a socket that is leaving or has left.
fn run_for_leaving<P: Parser>(
    core: &mut Core<'_, SocketIo<P>>,
    cx: &mut Context<'_>,
    running: Running<P>,
    handler: &DisconnectHandler<P>,
    reason: DisconnectReason,
) {
    let socket = Socket(Arc::clone(&running.member.socket));
    match run(cx, || handler(&mut HandlerInput::new((socket, reason)))) {
        Ok(ended) => returned(core, cx, running, ended),
        Err(future) => core.local.waiting.add(running, 0, future),
    }
}

/// Handles the outcome of a handler's start, unless it has returned without an error. `bytes` is the size of its event.
#[cold]
fn started<P: Parser>(
    core: &mut Core<'_, SocketIo<P>>,
    cx: &mut Context<'_>,
    running: Running<P>,
    bytes: usize,
    outcome: Result<Ended<HandlerResult>, BoxFuture<'static, HandlerResult>>,
) {
    match outcome {
        Ok(ended) => returned(core, cx, running, ended),
        Err(future) => core.local.waiting.add(running, bytes, future),
    }
}

/// Handles the end of a handler, which may have waited. Its failure goes to the handler of failures. If there is none, it is logged, and
/// a panic closes the connection.
fn returned<P: Parser>(
    core: &mut Core<'_, SocketIo<P>>,
    cx: &mut Context<'_>,
    running: Running<P>,
    ended: Ended<HandlerResult>,
) {
    let Err((kind, error)) = running.conclude(ended) else { return };
    let Some(handler) = running.error_handler() else {
        running.log(kind, &error);
        if kind == FailureKind::Panicked {
            core.machine.discard(core.now);
        }
        return;
    };
    let (running, failure) = running.fail(kind, error);
    match run(cx, || handler(&mut HandlerInput::new((failure,)))) {
        Ok(ended) => returned(core, cx, running, ended),
        Err(future) => core.local.waiting.add(running, 0, future),
    }
}

/// Same as [`returned`], for a handler that ends after its connection. Returns the rest of the handler of failures.
fn returned_late<P: Parser>(running: Running<P>, ended: Ended<HandlerResult>) -> Option<BoxFuture<'static, ()>> {
    let Err((kind, error)) = running.conclude(ended) else { return None };
    let Some(handler) = running.error_handler() else {
        running.log(kind, &error);
        return None;
    };
    let (running, failure) = running.fail(kind, error);
    match run(&mut Context::from_waker(noop_waker_ref()), || handler(&mut HandlerInput::new((failure,)))) {
        Ok(ended) => returned_late(running, ended),
        // The caller polls it again, with its own waker.
        Err(mut future) => Some(Box::pin(async move {
            let ended = poll_fn(|cx| poll_caught(&mut future, cx)).await;
            // This was the last one: a handler of failures has none.
            drop(returned_late(running, ended));
        })),
    }
}

impl<P: Parser> Running<P> {
    /// Does the work that follows a handler. Returns its failure.
    fn conclude(&self, ended: Ended<HandlerResult>) -> Result<(), (FailureKind, String)> {
        let socket = &self.member.socket;
        socket.namespace.alarm.counters.handler_ended(&ended);
        match &self.kind {
            Kind::Connect => socket.inbox.drop_unless_wanted(&socket.peer.shared.full_inboxes),
            Kind::Event(_)
            | Kind::Staged(..)
            | Kind::Upgrade
            | Kind::Disconnecting
            | Kind::Disconnect(_)
            | Kind::Error => {}
        }
        match ended {
            Ended::Returned(Ok(())) => Ok(()),
            Ended::Returned(Err(error)) => Err((FailureKind::Failed, error)),
            Ended::NotStarted(error) => Err((FailureKind::NotStarted, error)),
            Ended::Panicked(panic) => Err((FailureKind::Panicked, panic)),
        }
    }

    /// The handler of failures, unless it is this one.
    fn error_handler(&self) -> Option<SharedHandler<(HandlerFailure<P>,)>> {
        if matches!(self.kind, Kind::Error) { None } else { self.member.handlers.error.clone() }
    }

    /// The failure, and the handler of failures that is started with it.
    fn fail(self, kind: FailureKind, error: String) -> (Self, HandlerFailure<P>) {
        let (handler, event) = self.names();
        let socket = Socket(Arc::clone(&self.member.socket));
        let home = self.home.as_deref().and_then(|home| lock(home).take());
        let ack = home.map(|token| Ack::new(Arc::clone(&self.member.socket), token));
        let event = event.map(str::to_owned);
        let failure = HandlerFailure { socket, handler, event, kind, error, ack };
        (Self { member: self.member, kind: Kind::Error, home: None }, failure)
    }

    /// The kind of the handler, and the name of its event.
    fn names(&self) -> (HandlerKind, Option<&str>) {
        match &self.kind {
            Kind::Connect => (HandlerKind::Connect, None),
            Kind::Event(index) => (HandlerKind::Event, Some(self.member.handlers.name(*index))),
            Kind::Staged(kind, name) => (*kind, Some(name)),
            Kind::Upgrade => (HandlerKind::Upgrade, None),
            Kind::Disconnecting => (HandlerKind::Disconnecting, None),
            Kind::Disconnect(_) => (HandlerKind::Disconnect, None),
            Kind::Error => (HandlerKind::Error, None),
        }
    }

    /// Logs a failure.
    fn log(&self, kind: FailureKind, error: &str) {
        let socket = &self.member.socket;
        let log_counters = &socket.peer.shared.log_counters;
        let HandlerFailures { failed, panicked } = match self.kind {
            Kind::Connect | Kind::Upgrade => &log_counters.connect,
            Kind::Event(_) | Kind::Staged(..) | Kind::Error => &log_counters.events,
            Kind::Disconnecting => &log_counters.disconnecting,
            Kind::Disconnect(_) => &log_counters.disconnect,
        };
        let handler = match self.names() {
            (HandlerKind::Event, Some(event)) => truncate(event),
            (kind, _) => kind.name(),
        };
        let (session, namespace, id) = (socket.peer.sid(), &*socket.namespace.name, &socket.id);
        let error = truncate(error);
        match kind {
            FailureKind::Failed => {
                log_limited!(failed, warn, %session, namespace, socket = %id, handler, error, "a handler failed");
            }
            FailureKind::NotStarted => {
                log_limited!(failed, warn, %session, namespace, socket = %id, handler, error, "a handler was not started");
            }
            FailureKind::Panicked => {
                let panic = error;
                log_limited!(panicked, error, %session, namespace, socket = %id, handler, panic, "a handler panicked: its connection is closed");
            }
        }
    }
}

impl<P: Parser> JoinedSocket<P> {
    /// Whether more than the namespace's handler of its name may see an event.
    #[inline]
    fn has_stages(&self) -> bool {
        // Both are in memory that is read anyway.
        self.socket.has_own() | self.handlers.has_stages
    }

    /// The right to send an ack. If failures have a handler, `home` is where an unused ack goes.
    fn ack(&self, token: AckToken, home: &mut Option<Arc<AckHome>>) -> Ack<P> {
        *home = self.handlers.error.is_some().then(Arc::default);
        Ack::new(Arc::clone(&self.socket), token).with_home(home.clone())
    }

    /// Keeps an event that has no handler, for `recv`. If nothing receives it, it is dropped, as in the reference.
    fn keep(&self, (payload, ack): (Payload, Option<AckToken>)) {
        let (bytes, shared) = (payload.size(), &self.socket.peer.shared);
        let kept = self.socket.inbox.push((payload, ack), bytes, shared.soft_inbound, &shared.full_inboxes);
        if let Err((payload, _)) = kept {
            let (namespace, event) = (&*self.socket.namespace.name, payload.name().map(truncate));
            tracing::trace!(namespace, socket = %self.socket.id, event, "an event has no handler");
        }
    }
}

/// Closes the connection if an accepted packet did not fit in the machine's queue, because replies of the machine have filled
/// it; otherwise the client would miss a packet. All other errors mean that the socket or the connection is closed.
#[inline]
fn not_lost<P: Parser>(core: &mut Core<'_, SocketIo<P>>, sent: Result<(), EmitError>) {
    if let Err(error) = sent {
        lost(core, &error);
    }
}

#[cold]
fn lost<P: Parser>(core: &mut Core<'_, SocketIo<P>>, error: &EmitError) {
    if let EmitError::Send(SendError::Full) = error {
        let session = core.peer.sid();
        core.counters.queues_overflowed.add(1);
        log_limited!(core.peer.shared.log_counters.full, warn, %session, "closed: its outbound queue is full (limits.max_outbound)");
        core.machine.discard(core.now);
    } else {
        tracing::debug!(session = %core.peer.sid(), %error, "a packet was dropped");
    }
}

/// Logs a protocol violation of a client, or a limit that it has exceeded and that can be raised.
fn log_fault(session: Sid, fault: &Fault, limits: &Limits) {
    match fault {
        Fault::InvalidPacket(DecodeError::TooManyAttachments) => {
            let limit = limits.max_attachments;
            tracing::debug!(%session, limit, "a packet has too many attachments: raise limits.max_attachments, with ServerBuilder::socket, to accept it");
        }
        Fault::InvalidPacket(DecodeError::AttachmentsTooLarge) => {
            let limit = limits.max_attachment_bytes;
            tracing::debug!(%session, limit, "the attachments of a packet are too large: raise limits.max_attachment_bytes, with ServerBuilder::socket, to accept it");
        }
        _ => tracing::debug!(%session, %fault, "a client violated the protocol"),
    }
}

fn refuse<P: Parser>(core: &mut Core<'_, SocketIo<P>>, pending: Pending, refusal: &Refusal) {
    let (session, namespace, message) = (core.peer.sid(), &**pending.namespace(), &*refusal.message);
    core.counters.connects_refused.add(1);
    tracing::debug!(%session, namespace, message, "a client was refused");
    if let Err(error) = core.machine.refuse(core.now, pending, &refusal.message, refusal.data.as_ref()) {
        tracing::debug!(%session, %error, "a refusal was sent without its data, which cannot be encoded");
    }
}

/// Removes a socket from its namespace. With recovery, the client may return if its connection was lost.
fn leave<P: Parser>(socket: &SocketInner<P>, reason: &DisconnectReason) {
    socket.namespace.suspend(socket, reason);
    socket.namespace.left();
    socket.disconnected();
    socket.tell_closed();
}

impl<P: Parser> Local<P> {
    /// Whether no handler, middleware or filter waits, which is nearly always the case.
    #[inline]
    fn is_idle(&self) -> bool {
        self.waiting.is_idle() && self.joining.is_idle() && self.held.is_none()
    }

    fn member(&self, id: SocketHandle) -> Option<&JoinedSocket<P>> {
        self.first.as_ref().filter(|first| first.socket.handle == id).or_else(|| self.others.get(&id))
    }

    fn remove(&mut self, id: SocketHandle) -> Option<JoinedSocket<P>> {
        self.first.take_if(|first| first.socket.handle == id).or_else(|| self.others.remove(&id))
    }
}

impl<P: Parser> ServerApplication for SocketIo<P> {
    fn shared(&self, parts: &Parts, config: &engineio_proto::Config) -> Shared {
        Shared::new(parts, config)
    }

    fn open(&self, now: Instant, session: Session, peer: &Arc<SocketPeer<P>>) -> (Connection<P>, Local<P>) {
        peer.shared.set_transport(session.transport());
        let connection = Connection::new(now, session, self.parser.clone(), Arc::clone(&self.config));
        let local = Local {
            first: None,
            others: BTreeMap::new(),
            joining: Waiting::new(),
            waiting: Waiting::new(),
            held: None,
            acks: BTreeMap::new(),
        };
        (connection, local)
    }

    fn shut_down() -> Command<P> {
        Command::ShutDown
    }

    fn discard() -> Command<P> {
        Command::Discard
    }

    fn handle_timeout(&self, now: Instant) {
        self.registry.handle_timeout(now);
    }
}

impl<P: Parser> Application for SocketIo<P> {
    type Machine = Connection<P>;
    type Command = Command<P>;
    type Shared = Shared;
    type Local = Local<P>;

    fn counters(&self) -> &Counters {
        &self.alarm.counters
    }

    fn execute(&self, core: &mut Core<'_, Self>, link_is_flushed: bool, command: Command<P>) {
        let machine = &mut *core.machine;
        match command {
            Command::Send { volatile: true, .. } if !machine.can_send_volatile(link_is_flushed) => {}
            Command::Send { socket, encoded, .. } => {
                let sent = machine.send(socket, encoded);
                not_lost(core, sent);
            }
            Command::SendWithAck { id, volatile: true, sink, .. } if !machine.can_send_volatile(link_is_flushed) => {
                sink.resolve(id, Err(AckError::Disconnected));
            }
            Command::SendWithAck { socket, encoded, id, timeout, sink, .. } => {
                match machine.send_with_ack(core.now, socket, &encoded, id, timeout) {
                    Ok(()) => drop(core.local.acks.insert((socket, id), sink)),
                    Err(error) => {
                        let too_many = error == EmitError::TooManyAcks;
                        sink.resolve(id, Err(if too_many { AckError::TooManyAcks } else { AckError::Disconnected }));
                        not_lost(core, Err(error));
                    }
                }
            }
            Command::Ack { encoded } => {
                let sent = machine.send_ack(encoded);
                not_lost(core, sent);
            }
            Command::Disconnect { socket } => {
                machine.disconnect(core.now, socket);
                if let Some(member) = core.local.member(socket) {
                    // The events in the inbox may never be read, and must not block other sockets of the connection.
                    member.socket.inbox.close(&core.peer.shared.full_inboxes);
                }
            }
            Command::Close => machine.close(core.now),
            Command::CloseSession => machine.close_session(core.now),
            Command::ShutDown => core.shut_down(Connection::shut_down),
            Command::Discard => machine.discard(core.now),
        }
    }

    fn dispatch(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) -> bool {
        let mut any = !core.local.is_idle() && self.poll_waiting(core, cx);
        for _ in 0..EVENTS_PER_PASS {
            // A closed connection is always cleaned up, even if handlers are waiting.
            let ready = self.is_ready(core) || core.machine.session().is_closed();
            let event = if ready { core.machine.poll_event() } else { core.machine.poll_outcome() };
            let Some(event) = event else { return any };
            any = true;
            match event {
                Happened::ConnectRequested(pending) => self.connect_requested(core, cx, pending),
                Happened::Received { socket, payload, ack } => self.received(core, cx, (socket, payload, ack)),
                Happened::Acked { socket, id, outcome } => {
                    if let Some(sink) = core.local.acks.remove(&(socket, id)) {
                        sink.resolve(id, outcome);
                    }
                }
                Happened::Disconnecting { socket, reason } => self.disconnecting(core, cx, socket, reason),
                Happened::Disconnected { socket, reason } => self.disconnected(core, cx, socket, reason),
                Happened::Upgraded(link) => upgraded(core, cx, Transport::Link(link)),
                Happened::Closed(reason) => {
                    let session = core.peer.sid();
                    if let Some(fault) = core.machine.fault() {
                        log_fault(session, fault, &self.config.limits);
                    }
                    self.alarm.counters.session_closed(reason, core.machine.fault());
                    log_closed(session, reason);
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
        let Local { first, others, .. } = &*core.local;
        let sockets = first.iter().chain(others.values()).map(|member| Socket(Arc::clone(&member.socket))).collect();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.watch.call(sockets, backlog))) {
            core.backlog_panicked(&panic_message(panic.as_ref()), &core.peer.shared.log_counters.events.panicked);
        }
    }

    #[inline]
    fn is_idle(&self, local: &Local<P>) -> bool {
        local.is_idle()
    }

    fn waiting(&self, local: &Local<P>) -> usize {
        local.waiting.len().saturating_add(local.joining.len()).saturating_add(usize::from(local.held.is_some()))
    }

    fn leftover(&self, local: &mut Local<P>) -> Option<BoxFuture<'static, ()>> {
        // Panics are only logged: there is no connection left to close.
        let rest = local.waiting.take(returned_late)?;
        Some(Box::pin(rest))
    }

    fn finish(&self, _: &Arc<SocketPeer<P>>, local: &mut Local<P>) {
        for member in local.first.take().into_iter().chain(std::mem::take(&mut local.others).into_values()) {
            leave(&member.socket, &DisconnectReason::ServerShuttingDown);
            member.socket.forget();
        }
        for ((_, id), sink) in std::mem::take(&mut local.acks) {
            sink.resolve(id, Err(AckError::Disconnected));
        }
    }
}

#[cfg(test)]
mod tests {
    use socketio_proto::Json;

    use super::*;
    use crate::server_task::size_of_task;
    use crate::testkit::Sim;

    #[test]
    fn the_task_of_a_connection_is_small() {
        // The runtime of the tests is a field of its own. tokio adds 104 bytes, and rounds up to a multiple of 128.
        let size = size_of_task::<SocketIo<Json>, Sim>() - size_of::<Sim>() + 104;
        assert!(size <= 9 * 128, "{size} bytes");
    }
}
