//! Socket.IO on top of the turns: what becomes of a connection's events, and what other tasks can ask of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::Duration;

use engineio_proto::server::Session;
use engineio_proto::{Instant, SendError, Sid};
use futures_util::future::BoxFuture;
use http::request::Parts;
use socketio_proto::server::Connection;
use socketio_proto::{
    AckError, AckId, AckToken, Config, DecodeError, DisconnectReason, EmitError, Encoded, Event as Happened, Fault,
    Limits, Parser, Payload, Pending, SocketHandle,
};

use super::answer::AnswerSink;
use super::kept::Kept;
use super::namespace::{ConnectRequest, GuardResult, Handlers, NamespaceInner, Refusal, SharedHandler, SocketKey};
use super::socket::{Ack, Event, Socket, SocketInner};
use crate::engine::log_closed;
use crate::handler::{Ended, HandlerResult, MaxWaiting, Waiting, run};
use crate::handshake::Handshake;
use crate::hub::random_sid;
use crate::loud::{Ends, Loud, brief, loud_once};
use crate::peer::Peer;
use crate::sync::lock;
use crate::turn::{Application, Core, EVENTS_PER_PASS};

/// A peer that speaks Socket.IO.
pub(crate) type SocketPeer<P> = Peer<Command<P>, Shared>;

/// What everybody sees of a peer.
pub(crate) struct Shared {
    pub(crate) handshake: Handshake,
    next_ack: AtomicU32,
    /// Bytes in an inbox at which the peer is no longer read from.
    pub(crate) soft_inbound: usize,
    /// Inboxes over that limit.
    pub(crate) full_inboxes: AtomicUsize,
    pub(crate) loud: Loud,
}

impl Shared {
    /// Even, below 2^31: odd ids are the namespaces'.
    pub(crate) fn next_ack_id(&self) -> AckId {
        AckId(self.next_ack.fetch_add(2, Ordering::Relaxed) & 0x7fff_fffe)
    }
}

/// What other tasks can ask of a connection.
pub(crate) enum Command<P: Parser> {
    Send {
        socket: SocketHandle,
        encoded: Encoded,
        volatile: bool,
    },
    Ask {
        socket: SocketHandle,
        encoded: Encoded,
        id: AckId,
        timeout: Option<Duration>,
        volatile: bool,
        sink: AckSink<P>,
    },
    Ack {
        encoded: Encoded,
    },
    Disconnect {
        socket: SocketHandle,
    },
    Close,
    ShutDown,
    Discard,
}

/// Where the outcome of an ack goes.
pub(crate) enum AckSink<P: Parser> {
    Socket(AnswerSink),
    Broadcast { namespace: Arc<NamespaceInner<P>>, key: SocketKey },
}

impl<P: Parser> AckSink<P> {
    fn resolve(self, id: AckId, outcome: Result<Payload, AckError>) {
        match self {
            // Who asked may have gone away.
            Self::Socket(sink) => drop(sink.send(outcome)),
            Self::Broadcast { namespace, key } => namespace.acked(key, id, outcome),
        }
    }
}

/// What only the connection's task sees.
pub(crate) struct Local<P: Parser> {
    peer: Arc<SocketPeer<P>>,
    /// The socket of the first namespace that was joined: nearly always the only one.
    first: Option<Member<P>>,
    others: BTreeMap<SocketHandle, Member<P>>,
    guards: Waiting<Joining<P>, GuardResult>,
    waiting: Waiting<Running<P>, HandlerResult>,
    /// By socket too: namespaces number their broadcasts on their own.
    acks: BTreeMap<(SocketHandle, AckId), AckSink<P>>,
}

struct Member<P: Parser> {
    socket: Arc<SocketInner<P>>,
    handlers: Arc<Handlers<P>>,
}

impl<P: Parser> Clone for Member<P> {
    fn clone(&self) -> Self {
        Self { socket: Arc::clone(&self.socket), handlers: Arc::clone(&self.handlers) }
    }
}

/// A client that wants to join, and what a guard decides on.
struct Joining<P: Parser> {
    pending: Pending,
    namespace: Arc<NamespaceInner<P>>,
    handlers: Arc<Handlers<P>>,
    /// What the guard hands to the socket, where there is a guard.
    kept: Option<Arc<Kept>>,
}

/// What a handler that waits was started for.
struct Running<P: Parser> {
    member: Member<P>,
    kind: Kind,
}

/// Which handler it is.
#[derive(Clone, Copy)]
enum Kind {
    /// After it, events without a handler are dropped.
    Connect,
    /// The event handler at this place of the table.
    Event(usize),
    Disconnecting,
    /// Nothing follows: what the application kept with the socket is dropped.
    Disconnect,
}

/// Socket.IO: the namespaces of a server.
pub(crate) struct SocketIo<P: Parser> {
    pub(crate) parser: P,
    pub(crate) config: Arc<Config>,
    max_waiting: MaxWaiting,
    namespaces: Mutex<BTreeMap<Box<str>, Arc<NamespaceInner<P>>>>,
}

impl<P: Parser> SocketIo<P> {
    pub(crate) fn new(parser: P, config: Config, max_waiting: MaxWaiting) -> Self {
        Self { parser, config: Arc::new(config), max_waiting, namespaces: Mutex::default() }
    }

    /// The namespace of this name, made if it is not there.
    pub(crate) fn of(&self, name: &str) -> Arc<NamespaceInner<P>> {
        let name = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        let mut namespaces = lock(&self.namespaces);
        let namespace = namespaces.entry(name.as_str().into()).or_insert_with(|| {
            let max_attachments = self.config.limits.max_attachments;
            Arc::new(NamespaceInner::new(&name, self.parser.clone(), max_attachments))
        });
        Arc::clone(namespace)
    }

    fn namespace(&self, name: &str) -> Option<Arc<NamespaceInner<P>>> {
        lock(&self.namespaces).get(name).cloned()
    }

    /// Whether handlers may start: those that wait are not too many and do not hold too much, and no inbox is full.
    fn is_ready(&self, local: &Local<P>) -> bool {
        let idle = local.waiting.is_idle() && local.guards.is_idle();
        (idle || self.may_wait(local)) && local.peer.shared.full_inboxes.load(Ordering::Relaxed) == 0
    }

    /// Whether another handler may wait.
    #[cold]
    fn may_wait(&self, local: &Local<P>) -> bool {
        let waiting = local.waiting.len().saturating_add(local.guards.len());
        let bytes = local.waiting.bytes().saturating_add(local.guards.bytes());
        self.max_waiting.has_room(waiting, bytes)
    }

    fn connect_requested(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>, pending: Pending) {
        let Some(namespace) = self.namespace(pending.namespace()) else {
            return refuse(core, pending, &Refusal::new("Invalid namespace"));
        };
        let handlers = namespace.handlers();
        let Some(guard) = handlers.guard.clone() else {
            return self.accept(core, cx, Joining { pending, namespace, handlers, kept: None });
        };
        let kept = Arc::new(Kept::default());
        let request =
            ConnectRequest { peer: Arc::clone(core.peer), auth: pending.auth().cloned(), kept: Arc::clone(&kept) };
        let joining = Joining { pending, namespace, handlers, kept: Some(kept) };
        match run(cx, || guard((request,))) {
            Ok(ended) => self.decided(core, cx, joining, ended),
            Err(future) => {
                let bytes = joining.pending.auth().map_or(0, Payload::size);
                core.local.guards.add(joining, bytes, future);
            }
        }
    }

    /// A guard has decided, now or after a wait.
    fn decided(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>, joining: Joining<P>, ended: Ended<GuardResult>) {
        match ended {
            Ended::Returned(Ok(())) => self.accept(core, cx, joining),
            Ended::Returned(Err(refusal)) => refuse(core, joining.pending, &refusal),
            Ended::Panicked(panic) => {
                let (session, namespace, panic) = (core.peer.sid(), &*joining.namespace.name, brief(&panic));
                let times = &core.peer.shared.loud.guards;
                loud_once!(times, error, %session, namespace, panic, "a guard panicked: its connection is closed");
                core.machine.discard(core.now);
                refuse(core, joining.pending, &Refusal::new("internal error"));
            }
        }
    }

    fn accept(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        Joining { pending, namespace, handlers, kept }: Joining<P>,
    ) {
        let Some(sid) = random_sid() else { return refuse(core, pending, &Refusal::new("no session id")) };
        let auth = pending.auth().map(Payload::detached);
        let kept = kept.map(|kept| kept.take()).unwrap_or_default();
        let (now, peer, machine) = (core.now, core.peer, &mut *core.machine);
        let make = |id, key| SocketInner::new(Arc::clone(peer), Arc::clone(&namespace), (id, key, sid), auth, kept);
        let socket = match namespace.add(sid, || machine.accept(now, pending, sid), make) {
            Ok(socket) => socket,
            Err(error) => {
                return tracing::debug!(session = %peer.sid(), %error, "a client was gone before it was let in");
            }
        };
        tracing::debug!(session = %peer.sid(), namespace = &*socket.namespace.name, socket = %sid, "a socket connected");
        let member = Member { socket, handlers };
        if core.local.first.is_none() {
            core.local.first = Some(member.clone());
        } else {
            core.local.others.insert(member.socket.id, member.clone());
        }
        let Some(connect) = member.handlers.connect.clone() else {
            return member.socket.inbox.settle(&core.peer.shared.full_inboxes);
        };
        let socket = Socket(Arc::clone(&member.socket));
        match run(cx, || connect((socket,))) {
            Ok(ended) => returned(core, &Running { member, kind: Kind::Connect }, ended),
            // The `auth` that it can see stays as long as the socket does, in any case.
            Err(future) => core.local.waiting.add(Running { member, kind: Kind::Connect }, 0, future),
        }
    }

    fn received(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        (socket, payload, ack): (SocketHandle, Payload, Option<AckToken>),
    ) {
        let Local { first, others, waiting, .. } = &mut *core.local;
        let Some(member) = member(first, others, socket) else { return };
        if !member.socket.is_connected() {
            return;
        }
        let Some((index, handler)) = member.handlers.event(payload.name().unwrap_or_default()) else {
            let (bytes, shared) = (payload.size(), &core.peer.shared);
            // Without a taker the event is dropped, as in the reference.
            if let Err((payload, _)) =
                member.socket.inbox.push((payload, ack), bytes, shared.soft_inbound, &shared.full_inboxes)
            {
                let (namespace, event) = (&*member.socket.namespace.name, payload.name().map(brief));
                tracing::trace!(namespace, socket = %member.socket.sid, event, "an event has no handler");
            }
            return;
        };
        if member.handlers.witness(index).is_some() {
            let member = member.clone();
            return self.received_before_witness(core, cx, &member, (index, payload, ack));
        }
        let bytes = payload.size();
        let ack = ack.map(|token| Ack::new(Arc::clone(&member.socket), token));
        let arguments = (Socket(Arc::clone(&member.socket)), Event::new(payload, ack));
        match run(cx, || handler(arguments)) {
            Ok(Ended::Returned(Ok(()))) => {}
            Ok(ended) => {
                let running = Running { member: member.clone(), kind: Kind::Event(index) };
                returned(core, &running, ended);
            }
            Err(future) => waiting.add(Running { member: member.clone(), kind: Kind::Event(index) }, bytes, future),
        }
    }

    /// An event that has a handler of its own, where another one sees all of them: that one comes first.
    #[cold]
    fn received_before_witness(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        member: &Member<P>,
        (index, payload, token): (usize, Payload, Option<AckToken>),
    ) {
        let (handlers, bytes) = (&member.handlers, payload.size());
        let socket = || Socket(Arc::clone(&member.socket));
        let mut start = |handler: &SharedHandler<_>, kind, event| {
            let running = Running { member: member.clone(), kind };
            match run(cx, || handler((socket(), event))) {
                Ok(ended) => returned(core, &running, ended),
                Err(future) => core.local.waiting.add(running, bytes, future),
            }
            // It may have panicked, or made the socket leave.
            !core.machine.session().is_closed() && member.socket.is_connected()
        };
        if let Some(any) = handlers.witness(index)
            && start(any, Kind::Event(handlers.any_place()), Event::new(payload.clone(), None))
            && let Some(handler) = handlers.at(index)
        {
            let ack = token.map(|token| Ack::new(Arc::clone(&member.socket), token));
            start(handler, Kind::Event(index), Event::new(payload, ack));
        }
    }

    fn disconnected(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        id: SocketHandle,
        reason: DisconnectReason,
    ) {
        let Some(member) = core.local.remove(id) else { return };
        let (session, namespace) = (core.peer.sid(), &*member.socket.namespace.name);
        tracing::debug!(%session, namespace, socket = %member.socket.sid, %reason, "a socket disconnected");
        let mut tell = |handler: &Option<SharedHandler<_>>, kind| {
            let Some(handler) = handler else { return };
            let arguments = (Socket(Arc::clone(&member.socket)), reason);
            let running = Running { member: member.clone(), kind };
            match run(cx, || handler(arguments)) {
                Ok(ended) => returned(core, &running, ended),
                Err(future) => core.local.waiting.add(running, 0, future),
            }
        };
        tell(&member.handlers.disconnecting, Kind::Disconnecting);
        leave(&member.socket);
        tell(&member.handlers.disconnect, Kind::Disconnect);
        if member.handlers.disconnect.is_none() {
            member.socket.forget();
        }
    }
}

/// A handler returned, now or after a wait.
fn returned<P: Parser>(core: &mut Core<'_, SocketIo<P>>, running: &Running<P>, ended: Ended<HandlerResult>) {
    if let Err(Panicked) = running.conclude(ended) {
        core.machine.discard(core.now);
    }
}

/// A handler panicked: its connection is closed.
struct Panicked;

impl<P: Parser> Running<P> {
    /// Does what is to be done after a handler, and logs how it failed.
    fn conclude(&self, ended: Ended<HandlerResult>) -> Result<(), Panicked> {
        let socket = &self.member.socket;
        match self.kind {
            Kind::Connect => socket.inbox.settle(&socket.peer.shared.full_inboxes),
            Kind::Event(_) | Kind::Disconnecting => {}
            Kind::Disconnect => socket.forget(),
        }
        let loud = &socket.peer.shared.loud;
        let (handler, Ends { failed, panicked }) = match self.kind {
            Kind::Connect => ("connect", &loud.connect),
            Kind::Event(index) => (self.member.handlers.name(index), &loud.events),
            Kind::Disconnecting => ("disconnecting", &loud.disconnecting),
            Kind::Disconnect => ("disconnect", &loud.disconnect),
        };
        let (session, namespace, sid) = (socket.peer.sid(), &*socket.namespace.name, socket.sid);
        match ended {
            Ended::Returned(Ok(())) => Ok(()),
            Ended::Returned(Err(error)) => {
                let error = brief(&error);
                loud_once!(failed, warn, %session, namespace, socket = %sid, handler, error, "a handler failed");
                Ok(())
            }
            Ended::Panicked(panic) => {
                let panic = brief(&panic);
                loud_once!(panicked, error, %session, namespace, socket = %sid, handler, panic, "a handler panicked: its connection is closed");
                Err(Panicked)
            }
        }
    }
}

/// A packet that the mailbox has taken did not fit into the machine's queue, where replies of the machine's own had come before it: the
/// connection is closed rather than left with a gap. In all other cases there is nobody left to send it to.
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
        loud_once!(core.peer.shared.loud.full, warn, %session, "closed: its outbound queue is full (limits.max_outbound)");
        core.machine.discard(core.now);
    } else {
        tracing::debug!(session = %core.peer.sid(), %error, "a packet was dropped");
    }
}

/// A client broke the protocol, or met a limit that can be raised.
fn log_fault(session: Sid, fault: &Fault, limits: &Limits) {
    match fault {
        Fault::Undecodable(DecodeError::TooManyAttachments) => {
            let limit = limits.max_attachments;
            tracing::debug!(%session, limit, "a packet has too many attachments: raise limits.max_attachments, with ServerBuilder::socket, to take it");
        }
        Fault::Undecodable(DecodeError::AttachmentsTooLarge) => {
            let limit = limits.max_attachment_bytes;
            tracing::debug!(%session, limit, "the attachments of a packet are too large: raise limits.max_attachment_bytes, with ServerBuilder::socket, to take it");
        }
        _ => tracing::debug!(%session, %fault, "a client broke the protocol"),
    }
}

fn refuse<P: Parser>(core: &mut Core<'_, SocketIo<P>>, pending: Pending, refusal: &Refusal) {
    let (session, namespace, message) = (core.peer.sid(), &**pending.namespace(), &*refusal.message);
    tracing::debug!(%session, namespace, message, "a client was refused");
    if let Err(error) = core.machine.refuse(core.now, pending, &refusal.message, refusal.data.as_ref()) {
        tracing::debug!(%session, %error, "a refusal could not be sent as it is");
    }
}

/// Takes a socket off its namespace.
fn leave<P: Parser>(socket: &SocketInner<P>) {
    socket.namespace.remove(socket);
    socket.disconnected();
}

fn member<'a, P: Parser>(
    first: &'a Option<Member<P>>,
    others: &'a BTreeMap<SocketHandle, Member<P>>,
    id: SocketHandle,
) -> Option<&'a Member<P>> {
    first.as_ref().filter(|first| first.socket.id == id).or_else(|| others.get(&id))
}

impl<P: Parser> Local<P> {
    fn member(&self, id: SocketHandle) -> Option<&Member<P>> {
        member(&self.first, &self.others, id)
    }

    fn remove(&mut self, id: SocketHandle) -> Option<Member<P>> {
        self.first.take_if(|first| first.socket.id == id).or_else(|| self.others.remove(&id))
    }
}

impl<P: Parser> Application for SocketIo<P> {
    type Machine = Connection<P>;
    type Command = Command<P>;
    type Shared = Shared;
    type Local = Local<P>;

    fn shared(&self, parts: &Parts, config: &engineio_proto::Config) -> Shared {
        Shared {
            handshake: Handshake::new(parts),
            next_ack: AtomicU32::new(0),
            soft_inbound: config.limits.soft_inbound,
            full_inboxes: AtomicUsize::new(0),
            loud: Loud::default(),
        }
    }

    fn go() -> Command<P> {
        Command::ShutDown
    }

    fn cut_off() -> Command<P> {
        Command::Discard
    }

    fn open(&self, now: Instant, session: Session, peer: &Arc<SocketPeer<P>>) -> (Connection<P>, Local<P>) {
        let connection = Connection::new(now, session, self.parser.clone(), Arc::clone(&self.config));
        let local = Local {
            peer: Arc::clone(peer),
            first: None,
            others: BTreeMap::new(),
            guards: Waiting::new(),
            waiting: Waiting::new(),
            acks: BTreeMap::new(),
        };
        (connection, local)
    }

    fn execute(&self, core: &mut Core<'_, Self>, command: Command<P>) {
        let machine = &mut *core.machine;
        let leaves_at_once = core.link_is_flushed && machine.is_writable();
        match command {
            Command::Send { volatile: true, .. } if !leaves_at_once => {}
            Command::Send { socket, encoded, .. } => {
                let sent = machine.send(socket, encoded);
                not_lost(core, sent);
            }
            Command::Ask { id, volatile: true, sink, .. } if !leaves_at_once => {
                sink.resolve(id, Err(AckError::Disconnected));
            }
            Command::Ask { socket, encoded, id, timeout, sink, .. } => {
                match machine.send_expecting(core.now, socket, &encoded, id, timeout) {
                    Ok(()) => drop(core.local.acks.insert((socket, id), sink)),
                    Err(error) => {
                        sink.resolve(id, Err(AckError::Disconnected));
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
                    // Nobody may take what lies there; others of the connection must not wait for that.
                    member.socket.inbox.close(&core.peer.shared.full_inboxes);
                }
            }
            Command::Close => machine.close(core.now),
            Command::ShutDown => core.shut_down(Connection::shut_down),
            Command::Discard => machine.discard(core.now),
        }
    }

    fn dispatch(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some((joining, ended)) = core.local.guards.poll_ended(cx) {
            any = true;
            self.decided(core, cx, joining, ended);
        }
        while let Some((running, ended)) = core.local.waiting.poll_ended(cx) {
            any = true;
            returned(core, &running, ended);
        }
        for _ in 0..EVENTS_PER_PASS {
            // A closed connection is cleaned up, whether or not the application keeps up.
            let ready = self.is_ready(core.local) || core.machine.session().is_closed();
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
                Happened::Disconnected { socket, reason } => self.disconnected(core, cx, socket, reason),
                Happened::Closed(reason) => {
                    let session = core.peer.sid();
                    if let Some(fault) = core.machine.fault() {
                        log_fault(session, fault, &self.config.limits);
                    }
                    log_closed(session, reason);
                }
                _ => {}
            }
        }
        any
    }

    fn leftover(&self, local: &mut Local<P>) -> Option<BoxFuture<'static, ()>> {
        // Panics are logged; there is no connection left to close.
        let rest = local.waiting.take(|running, ended| drop(running.conclude(ended)))?;
        Some(Box::pin(rest))
    }

    fn finish(&self, _: &Arc<SocketPeer<P>>, local: &mut Local<P>) {
        for member in local.first.take().into_iter().chain(std::mem::take(&mut local.others).into_values()) {
            leave(&member.socket);
            member.socket.forget();
        }
        for ((_, id), sink) in std::mem::take(&mut local.acks) {
            sink.resolve(id, Err(AckError::Disconnected));
        }
    }
}
