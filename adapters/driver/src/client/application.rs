//! The Socket.IO application of a client's task: handles the events of the machine and the commands of other tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use engineio_proto::server::Transport;
use futures_util::future::BoxFuture;
use socketio_proto::client::{self as proto, AuthRequest, Event as Happened, OpenError};
use socketio_proto::{AckError, AckId, AckToken, EmitError, Parser, Payload, SocketHandle, SocketId};

use super::failure::ConnectFailure;
use super::state::{
    AuthResult, Client, ClientPeer, Command, ConnectionEvent, EventHandler, Shared, Socket, SocketInner, push_exact,
};
use super::task::{ClientApplication, Lifecycle};
use crate::extract::HandlerInput;
use crate::handler::{Ended, HandlerResult, MaxWaiting, Waiting, poll_caught, run};
use crate::log_limit::{HandlerFailures, log_limited, truncate};
use crate::metrics::Counters;
use crate::socketio::{Ack, AnswerSink, Event};
use crate::sync::lock;
use crate::turn::{Application, Core, EVENTS_PER_PASS};

/// State that only the task of the client uses.
pub(crate) struct Local<P: Parser> {
    /// The sockets that were connected once, by the handle of the machine, which only grows. Most clients have one.
    sockets: Vec<(SocketHandle, Arc<SocketInner<P>>)>,
    /// Handlers that wait.
    waiting: Waiting<Running<P>, HandlerResult>,
    /// Functions that make the `auth` of a socket, and wait.
    authenticating: Vec<(AuthRequest, BoxFuture<'static, AuthResult>)>,
    acks: BTreeMap<(SocketHandle, AckId), AnswerSink>,
    lifecycle: Lifecycle,
}

/// What a waiting handler was started for.
struct Running<P: Parser> {
    /// `None` for observers of the connection.
    socket: Option<Arc<SocketInner<P>>>,
    kind: Kind,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Connect,
    ConnectError,
    /// A handler of the events with this name.
    Event(Box<str>),
    Disconnect,
    Connection,
}

/// Socket.IO on the side of a client.
pub(crate) struct SocketIo<P: Parser> {
    pub(super) counters: Counters,
    pub(super) max_waiting: MaxWaiting,
    /// The `auth` of sockets that have no function for it.
    pub(super) auth: Option<serde_json::Value>,
    pub(super) options: proto::SocketOptions,
    pub(super) parser: std::marker::PhantomData<fn() -> P>,
}

/// Why an `auth` is refused that is a number, a text or a list.
pub(super) const NOT_AN_OBJECT: &str = "it must serialise as an object";

impl<P: Parser> Local<P> {
    pub(super) fn new() -> Self {
        Self {
            sockets: Vec::new(),
            waiting: Waiting::new(),
            authenticating: Vec::new(),
            acks: BTreeMap::new(),
            lifecycle: Lifecycle::default(),
        }
    }

    fn socket(&self, handle: SocketHandle) -> Option<&Arc<SocketInner<P>>> {
        let place = self.sockets.binary_search_by_key(&handle, |(handle, _)| *handle).ok()?;
        self.sockets.get(place).map(|(_, socket)| socket)
    }
}

impl<P: Parser> SocketIo<P> {
    /// Whether handlers may start: the waiting handlers are below the limits, and no inbox is full.
    fn is_ready(&self, core: &Core<'_, Self>) -> bool {
        let waiting = &core.local.waiting;
        (waiting.is_idle() || self.max_waiting.has_capacity(waiting.len(), waiting.bytes()))
            && core.peer.shared.full_inboxes.load(Ordering::Relaxed) == 0
    }

    /// The handle of a socket in the machine, which learns of it with the first command.
    fn handle(&self, core: &mut Core<'_, Self>, socket: &Arc<SocketInner<P>>) -> Result<SocketHandle, EmitError> {
        if let Some(handle) = socket.handle.get() {
            return Ok(*handle);
        }
        let handle = core.machine.socket(&socket.namespace, self.options.clone())?;
        let _ = socket.handle.set(handle);
        push_exact(&mut core.local.sockets, (handle, Arc::clone(socket)));
        Ok(handle)
    }

    fn auth_requested(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>, request: AuthRequest) {
        let Some(socket) = core.local.socket(request.socket()).cloned() else { return };
        let function = socket.handlers().auth.clone();
        let (Some(function), Some(handle)) = (function, core.peer.shared.handle()) else {
            return self.authenticate(core, cx, request, self.auth.as_ref());
        };
        let socket = Socket { inner: socket, handle };
        match run(cx, || function(&mut HandlerInput::new((socket,)))) {
            Ok(ended) => self.auth_made(core, cx, request, ended),
            Err(future) => {
                // One for each socket: that of an earlier attempt does not matter any more.
                core.local.authenticating.retain(|(known, _)| known.socket() != request.socket());
                core.local.authenticating.push((request, future));
            }
        }
    }

    /// Polls the functions that make the `auth` of sockets. Returns whether one has ended.
    fn poll_authenticating(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) -> bool {
        let (mut any, mut index): (bool, usize) = (false, 0);
        while let Some((request, future)) = core.local.authenticating.get_mut(index) {
            let request = *request;
            if !core.machine.is_asking(&request) {
                // The socket has left, or its connection was lost.
                drop(core.local.authenticating.swap_remove(index));
            } else if let Poll::Ready(ended) = poll_caught(future, cx) {
                drop(core.local.authenticating.swap_remove(index));
                any = true;
                self.auth_made(core, cx, request, ended);
            } else {
                index = index.saturating_add(1);
            }
        }
        any
    }

    /// The function that makes the `auth` of a socket has ended.
    fn auth_made(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        request: AuthRequest,
        ended: Ended<AuthResult>,
    ) {
        match ended {
            Ended::Returned(Ok(Some(auth))) if !auth.is_object() => {
                self.auth_failed(core, cx, request, NOT_AN_OBJECT.to_owned());
            }
            Ended::Returned(Ok(auth)) => self.authenticate(core, cx, request, auth.as_ref()),
            Ended::Returned(Err(error)) | Ended::NotStarted(error) => self.auth_failed(core, cx, request, error),
            Ended::Panicked(panic) => {
                self.counters.handlers_panicked.add(1);
                let (client, error) = (core.peer.sid(), truncate(&panic));
                tracing::error!(%client, panic = error, "the function that makes the auth of a socket panicked");
                self.auth_failed(core, cx, request, panic);
            }
        }
    }

    fn authenticate(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        request: AuthRequest,
        auth: Option<&serde_json::Value>,
    ) {
        if let Err(error) = core.machine.authenticate(core.now, request, auth) {
            self.auth_failed(core, cx, request, error.to_string());
        }
    }

    /// The socket does not join, because there is no `auth` to join with.
    fn auth_failed(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>, request: AuthRequest, error: String) {
        core.machine.disconnect(core.now, request.socket());
        self.connect_failed(core, cx, request.socket(), ConnectFailure::auth(error));
    }

    fn connected(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        handle: SocketHandle,
        id: SocketId,
        recovered: bool,
    ) {
        let Some(socket) = core.local.socket(handle).cloned() else { return };
        let (client, namespace) = (core.peer.sid(), &*socket.namespace);
        tracing::debug!(%client, namespace, %id, recovered, "a socket connected");
        let mut status = lock(&socket.status);
        (status.id, status.recovered, status.active) = (Some(id), recovered, true);
        drop(status);
        socket.tell_waiting(&Ok(()));
        if let Some(handler) = socket.handlers().connect.clone() {
            self.start(core, cx, &socket, Kind::Connect, 0, |socket| handler(&mut HandlerInput::new((socket,))));
        }
    }

    fn connect_failed(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        handle: SocketHandle,
        failure: ConnectFailure,
    ) {
        let Some(socket) = core.local.socket(handle).cloned() else { return };
        let (client, namespace, error) = (core.peer.sid(), &*socket.namespace, &failure);
        tracing::debug!(%client, namespace, %error, "a socket could not connect");
        self.update(core, &socket, handle);
        socket.tell_waiting(&Err(failure.clone()));
        if let Some(handler) = socket.handlers().connect_error.clone() {
            self.start(core, cx, &socket, Kind::ConnectError, 0, |socket| {
                handler(&mut HandlerInput::new((socket, failure)))
            });
        }
    }

    /// Stores the state of the machine's socket where other tasks can read it.
    fn update(&self, core: &mut Core<'_, Self>, socket: &Arc<SocketInner<P>>, handle: SocketHandle) {
        let mut status = lock(&socket.status);
        status.id = core.machine.id(handle).cloned();
        if status.connecting == 0 {
            status.active = core.machine.is_active(handle) && !core.machine.is_idle();
        }
        let active = status.active;
        drop(status);
        if !active {
            // Nothing comes until the application connects the socket again.
            socket.inbox.close(&core.peer.shared.full_inboxes);
        }
    }

    fn received(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        (handle, payload, ack): (SocketHandle, Payload, Option<AckToken>),
    ) {
        let Some(socket) = core.local.socket(handle) else { return };
        let handlers = socket.handlers();
        let name = payload.name().unwrap_or_default();
        let is_for = |handler: &&super::state::NamedHandler<P>| *handler.name == *name;
        let mut found = handlers.any.iter().chain(handlers.events.iter().filter(is_for).map(|named| &named.handler));
        match (found.next(), found.next()) {
            (None, _) => {
                let bytes = payload.size();
                let shared = &core.peer.shared;
                let has_handlers = handlers.any.is_some() || !handlers.events.is_empty();
                if !socket.keep((payload, ack), bytes, has_handlers, shared) {
                    let (client, namespace) = (core.peer.sid(), &*socket.namespace);
                    tracing::trace!(%client, namespace, "an event has no handler");
                }
            }
            (Some(handler), None) if !handlers.has_once() => {
                let socket = Arc::clone(socket);
                self.start_with_event(core, cx, &socket, handler, payload, ack);
            }
            _ => {
                let (socket, mut ack) = (Arc::clone(socket), ack);
                let (any, named) = socket.take_handlers(payload.name().unwrap_or_default());
                // As on a server: the handler of every event leaves the ack to those of the name.
                let for_any = if named.is_empty() { ack.take() } else { None };
                if let Some(handler) = any {
                    self.start_with_event(core, cx, &socket, &handler, payload.clone(), for_any);
                }
                for handler in named {
                    self.start_with_event(core, cx, &socket, &handler, payload.clone(), ack.take());
                }
            }
        }
    }

    fn start_with_event(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        socket: &Arc<SocketInner<P>>,
        handler: &EventHandler<P>,
        payload: Payload,
        ack: Option<AckToken>,
    ) {
        let Some(handle) = core.peer.shared.handle() else { return };
        let bytes = payload.size();
        let name = Box::from(payload.name().unwrap_or_default());
        let ack = ack.map(|token| Ack::of_client(Arc::clone(core.peer), token));
        let arguments = (Socket { inner: Arc::clone(socket), handle }, Event::new(payload, ack));
        let mut input = HandlerInput::new(arguments);
        match run(cx, || handler(&mut input)) {
            Ok(Ended::Returned(Ok(()))) => {}
            Ok(ended) => {
                self.ended(core, &Running { socket: Some(Arc::clone(socket)), kind: Kind::Event(name) }, ended)
            }
            Err(future) => {
                core.local.waiting.add(
                    Running { socket: Some(Arc::clone(socket)), kind: Kind::Event(name) },
                    bytes,
                    future,
                );
            }
        }
    }

    /// Starts a handler of a socket, unless the application has dropped its last handle.
    fn start(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        socket: &Arc<SocketInner<P>>,
        kind: Kind,
        bytes: usize,
        handler: impl FnOnce(Socket<P>) -> crate::handler::Started<HandlerResult>,
    ) {
        let Some(handle) = core.peer.shared.handle() else { return };
        let running = Running { socket: Some(Arc::clone(socket)), kind };
        let socket = Socket { inner: Arc::clone(socket), handle };
        match run(cx, || handler(socket)) {
            Ok(ended) => self.ended(core, &running, ended),
            Err(future) => core.local.waiting.add(running, bytes, future),
        }
    }

    /// Tells the observers of the connection.
    fn tell(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>, event: ConnectionEvent) {
        let client = core.peer.sid();
        tracing::debug!(%client, ?event, "an event of the connection");
        let observers = Arc::clone(&lock(&core.peer.shared.observers));
        for observer in observers.iter() {
            let Some(handle) = core.peer.shared.handle() else { return };
            let running = Running { socket: None, kind: Kind::Connection };
            let arguments = (Client(handle), event.clone());
            match run(cx, || observer(&mut HandlerInput::new(arguments))) {
                Ok(ended) => self.ended(core, &running, ended),
                Err(future) => core.local.waiting.add(running, 0, future),
            }
        }
    }

    /// Handles the end of a handler: its failure is logged, and a panic drops the connection, which is made again.
    fn ended(&self, core: &mut Core<'_, Self>, running: &Running<P>, ended: Ended<HandlerResult>) {
        self.counters.handler_ended(&ended);
        if matches!(ended, Ended::Panicked(_)) {
            core.machine.close_session(core.now);
        }
        log(core.peer, running, ended);
    }

    /// What the machine reports about opening, with what the network has reported.
    fn failure(&self, core: &mut Core<'_, Self>, error: OpenError) -> ConnectFailure {
        ConnectFailure::reported(proto::ConnectError::Open(error), core.local.lifecycle.cause.clone())
    }
}

/// Logs how a handler has ended.
fn log<P: Parser>(peer: &ClientPeer<P>, running: &Running<P>, ended: Ended<HandlerResult>) {
    let (client, counters) = (peer.sid(), &peer.shared.log_counters);
    let namespace = running.socket.as_ref().map_or("", |socket| &*socket.namespace);
    let (handler, HandlerFailures { failed, panicked }) = match &running.kind {
        Kind::Connect => ("connect", &counters.connect),
        Kind::ConnectError => ("connect_error", &counters.connect),
        Kind::Event(name) => (truncate(name), &counters.events),
        Kind::Disconnect => ("disconnect", &counters.disconnect),
        Kind::Connection => ("connection", &counters.connect),
    };
    match ended {
        Ended::Returned(Ok(())) => {}
        Ended::Returned(Err(error)) => {
            let error = truncate(&error);
            log_limited!(failed, warn, %client, namespace, handler, error, "a handler failed");
        }
        Ended::NotStarted(error) => {
            let error = truncate(&error);
            log_limited!(failed, warn, %client, namespace, handler, error, "a handler was not started");
        }
        Ended::Panicked(panic) => {
            let panic = truncate(&panic);
            log_limited!(panicked, error, %client, namespace, handler, panic, "a handler panicked: its connection is dropped");
        }
    }
}

impl<P: Parser> Application for SocketIo<P> {
    type Machine = proto::Client<P>;
    type Command = Command<P>;
    type Shared = Shared<P>;
    type Local = Local<P>;

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn execute(&self, core: &mut Core<'_, Self>, link_is_flushed: bool, command: Command<P>) {
        match command {
            Command::Connect { socket } => match self.handle(core, &socket) {
                Ok(handle) => {
                    core.machine.connect(core.now, handle);
                    let mut status = lock(&socket.status);
                    status.connecting = status.connecting.saturating_sub(1);
                    drop(status);
                    socket.inbox.reopen();
                    self.update(core, &socket, handle);
                }
                Err(error) => {
                    let mut status = lock(&socket.status);
                    (status.active, status.connecting) = (false, status.connecting.saturating_sub(1));
                    drop(status);
                    socket.inbox.close(&core.peer.shared.full_inboxes);
                    socket.tell_waiting(&Err(ConnectFailure::refused_here(error.to_string())));
                }
            },
            Command::Disconnect { socket } => {
                if let Some(handle) = socket.handle.get() {
                    core.machine.disconnect(core.now, *handle);
                    self.update(core, &socket, *handle);
                }
                // Those who wait learn that nothing comes.
                socket.stop_waiting();
            }
            Command::Send { volatile: true, .. } if !core.machine.can_send_volatile(link_is_flushed) => {}
            Command::Send { socket, encoded, .. } => {
                let sent = self.handle(core, &socket).and_then(|handle| core.machine.send(core.now, handle, encoded));
                self.not_lost(core, sent);
            }
            Command::SendWithAck { socket, encoded, id, timeout, sink } => {
                let handle = match self.handle(core, &socket) {
                    Ok(handle) => handle,
                    Err(error) => return self.not_lost(core, Err(error)),
                };
                match core.machine.send_with_ack(core.now, handle, encoded, id, timeout) {
                    Ok(()) => {
                        if let Some(sink) = sink {
                            core.local.acks.insert((handle, id), sink);
                        }
                    }
                    Err(error) => {
                        let too_many = error == EmitError::TooManyAcks;
                        let outcome = Err(if too_many { AckError::TooManyAcks } else { AckError::Disconnected });
                        let _ = sink.map(|sink| sink.send(outcome));
                        self.not_lost(core, Err(error));
                    }
                }
            }
            Command::Ack { token, encoded } => {
                if let Some(token) = token {
                    let sent = core.machine.send_ack(token, encoded);
                    self.not_lost(core, sent);
                }
            }
            Command::Open => core.machine.open(core.now),
            Command::Close => self.close(core),
            Command::TellClosed(sender) => core.local.lifecycle.closing.push(sender),
            Command::DropConnection => core.machine.close_session(core.now),
            Command::SetReconnection(reconnection) => {
                core.machine.set_reconnection(reconnection);
                self.given_up(core);
            }
            Command::Abandon => {
                core.local.lifecycle.abandoned = true;
                self.close(core);
            }
        }
    }

    fn dispatch(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        any |= self.poll_authenticating(core, cx);
        while let Some((running, ended)) = core.local.waiting.poll_ended(cx) {
            any = true;
            self.ended(core, &running, ended);
        }
        for _ in 0..EVENTS_PER_PASS {
            let event = if self.is_ready(core) { core.machine.poll_event() } else { core.machine.poll_outcome() };
            let Some(event) = event else { return any };
            any = true;
            match event {
                Happened::Received { socket, payload, ack } => self.received(core, cx, (socket, payload, ack)),
                Happened::Acked { socket, id, outcome } => {
                    if let Some(sink) = core.local.acks.remove(&(socket, id)) {
                        // The receiver may have been dropped.
                        let _ = sink.send(outcome);
                    }
                }
                event => self.happened(core, cx, event),
            }
        }
        any
    }

    fn buffered(&self, machine: &Self::Machine, _: &Local<P>) -> usize {
        let kept = |socket| {
            let (buffer, retries) = (machine.send_buffer_bytes(socket), machine.retry_queue_bytes(socket));
            buffer.saturating_add(retries)
        };
        machine.sockets().map(kept).fold(machine.buffered_bytes(), usize::saturating_add)
    }

    fn leftover(&self, local: &mut Local<P>) -> Option<BoxFuture<'static, ()>> {
        let rest = local.waiting.take(|running, ended| {
            // Without the client, which is gone, there is nothing but the log.
            if let Ended::Panicked(panic) = ended {
                let namespace = running.socket.as_ref().map_or("", |socket| &*socket.namespace);
                tracing::error!(namespace, panic = truncate(&panic), "a handler panicked after its client was closed");
            }
            None::<std::future::Ready<()>>
        })?;
        Some(Box::pin(rest))
    }

    fn finish(&self, peer: &Arc<ClientPeer<P>>, local: &mut Local<P>) {
        for sink in std::mem::take(&mut local.acks).into_values() {
            let _ = sink.send(Err(AckError::Disconnected));
        }
        local.sockets.clear();
        let sockets = std::mem::take(&mut *lock(&peer.shared.sockets));
        for socket in sockets {
            socket.finish(&peer.shared.full_inboxes);
        }
        let observers = std::mem::take(&mut *lock(&peer.shared.observers));
        drop(observers);
    }
}

impl<P: Parser> SocketIo<P> {
    /// Leaves all namespaces, and closes the connection.
    fn close(&self, core: &mut Core<'_, Self>) {
        for (handle, socket) in core.local.sockets.clone() {
            core.machine.disconnect(core.now, handle);
            core.machine.clear_send_buffer(handle);
            self.update(core, &socket, handle);
            socket.stop_waiting();
        }
        core.machine.close(core.now);
    }

    /// If the client makes no further attempt to connect, ends the waits for one.
    fn given_up(&self, core: &mut Core<'_, Self>) {
        if !core.machine.is_idle() {
            return;
        }
        for (handle, socket) in core.local.sockets.clone() {
            self.update(core, &socket, handle);
            socket.stop_waiting();
        }
    }

    fn happened(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>, event: Happened) {
        match event {
            Happened::AuthRequested(request) => self.auth_requested(core, cx, request),
            Happened::Connected { socket, id, recovered } => self.connected(core, cx, socket, id, recovered),
            Happened::ConnectError { socket, error } => {
                let cause =
                    core.local.lifecycle.cause.clone().filter(|_| matches!(error, proto::ConnectError::Open(_)));
                self.connect_failed(core, cx, socket, ConnectFailure::reported(error, cause));
            }
            Happened::Error { socket, error } => {
                let failure = ConnectFailure::reported(proto::ConnectError::Refused(error), None);
                self.connect_failed(core, cx, socket, failure);
            }
            Happened::Disconnected { socket: handle, reason } => {
                let Some(socket) = core.local.socket(handle).cloned() else { return };
                let (client, namespace) = (core.peer.sid(), &*socket.namespace);
                tracing::debug!(%client, namespace, %reason, "a socket disconnected");
                self.update(core, &socket, handle);
                if let Some(handler) = socket.handlers().disconnect.clone() {
                    self.start(core, cx, &socket, Kind::Disconnect, 0, |socket| {
                        handler(&mut HandlerInput::new((socket, reason)))
                    });
                }
            }
            Happened::Opened => {
                core.local.lifecycle.cause = None;
                self.counters.sessions_opened.add(1);
                core.peer.shared.set_transport(core.machine.engine().transport());
                self.tell(core, cx, ConnectionEvent::Open);
            }
            Happened::Upgraded(link) => {
                let transport = Transport::Link(link);
                self.counters.sessions_upgraded.add(1);
                core.peer.shared.set_transport(transport);
                self.tell(core, cx, ConnectionEvent::Upgraded(transport));
            }
            Happened::Ping if !lock(&core.peer.shared.observers).is_empty() => {
                self.tell(core, cx, ConnectionEvent::Ping);
            }
            Happened::Closed(reason) => {
                self.tell(core, cx, ConnectionEvent::Closed(reason));
                // Those who wait are told by the events of their sockets, which follow.
                for (handle, socket) in core.local.sockets.clone() {
                    self.update(core, &socket, handle);
                }
            }
            Happened::OpenFailed(error) => {
                let failure = self.failure(core, error);
                self.tell(core, cx, ConnectionEvent::Error(failure));
            }
            Happened::ReconnectAttempt(attempt) => {
                // That of the attempt before says nothing about this one.
                core.local.lifecycle.cause = None;
                self.tell(core, cx, ConnectionEvent::ReconnectAttempt(attempt));
            }
            Happened::Reconnected(attempts) => self.tell(core, cx, ConnectionEvent::Reconnect(attempts)),
            Happened::ReconnectError(error) => {
                let failure = self.failure(core, error);
                self.tell(core, cx, ConnectionEvent::ReconnectError(failure));
            }
            Happened::ReconnectFailed => {
                self.tell(core, cx, ConnectionEvent::ReconnectFailed);
                self.given_up(core);
            }
            _ => {}
        }
    }

    /// Logs that a packet was dropped, which only happens if the connection that it was for is gone, or a limit is reached.
    fn not_lost(&self, core: &Core<'_, Self>, sent: Result<(), EmitError>) {
        if let Err(error) = sent {
            let client = core.peer.sid();
            log_limited!(core.peer.shared.log_counters.full, warn, %client, %error, "an event was dropped");
        }
    }
}

impl<P: Parser> ClientApplication for SocketIo<P> {
    fn lifecycle(local: &mut Local<P>) -> &mut Lifecycle {
        &mut local.lifecycle
    }
}
