//! The machine of a client: the connection to one server, which is opened again when it was lost, and the sockets on it.
//!
//! The client drains the Engine.IO client below it after every input, as a server's connection does, with the same limits. The public
//! methods come first, then opening and reconnection, what the server sends, the sockets, and what is sent.
//!
//! Source: socket.io-client `lib/manager.ts`, `lib/socket.ts`.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use engineio_proto::client::{Client as Engine, Input, Transmit};
use engineio_proto::{
    Arc, CloseReason, Event as LowerEvent, Frame, Instant, LinkId, Message, Revision, SendError, Text, Timers,
    TransportError,
};
use serde::{Deserialize, Serialize};

use super::auth::{self, Connect};
use super::backoff::Backoff;
use super::config::{Auth, Config, SocketOptions};
use super::event::{AuthRequest, ConnectError, Event, OpenError, ServerError};
use super::retries::{Ended, Queued};
use super::socket::{Early, Socket, Sockets, Status, secret};
use crate::ack::AwaitedAcks;
use crate::assembly::Assembly;
use crate::error::{EmitError, EncodeError, Fault};
use crate::event::{AckError, AckId, AckToken, DisconnectReason, Outcome, SocketHandle};
use crate::id::SocketId;
use crate::inbox::Inbox;
use crate::packet::{Encoded, Outgoing, Packet, PacketType};
use crate::parser::{Encoder, Json, Parser};
use crate::payload::{Args, Payload};

/// The deadlines of a client. The discriminant is the index in its [`Timers`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Timer {
    /// The connection must be open by then.
    Open = 0,
    /// The next attempt to connect again.
    Reconnect = 1,
    /// The earliest deadline of an awaited ack.
    Ack = 2,
}

/// What the client does about its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// There is none. The session below may still be closing.
    Closed,
    /// It is being opened.
    Opening {
        /// Whether this is an attempt to connect again.
        again: bool,
    },
    /// It is open.
    Open,
}

/// What a client knows of the root namespace of a server of Socket.IO 1 or 2, which lets clients join it without being asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Root {
    /// The server has not said anything yet.
    Unknown,
    /// The server has let the client join.
    Joined,
    /// One of the sides has left it.
    Left,
}

/// The client: a connection to one server, and the sockets on it. It is the manager and the sockets of the JavaScript client.
///
/// Create sockets with [`Client::socket`] and connect them with [`Client::connect`], which opens the connection. Pass in inputs with
/// [`handle`](Self::handle) and [`handle_timeout`](Self::handle_timeout), and issue commands with the plain verbs. Then call
/// [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) until both return `None`, and wait until
/// [`poll_timeout`](Self::poll_timeout). The order of polls does not matter. Taking an event can free capacity for more input, and so cause
/// new transmits and events.
///
/// A `now` earlier than the latest one is ignored: time does not go backwards.
#[derive(Debug)]
pub struct Client<P: Parser = Json> {
    engine: Engine,
    parser: P,
    assembly: Assembly<P::Decoder>,
    config: Arc<Config>,
    /// The latest time passed in.
    now: Instant,
    timers: Timers<3>,
    sockets: Sockets,
    acks: AwaitedAcks,
    inbox: Inbox<Event>,
    backoff: Backoff,
    phase: Phase,
    /// Whether reconnection is on.
    reconnection: bool,
    /// Whether the application has closed the connection, so that it is not opened again by itself.
    closed_by_application: bool,
    /// Whether attempts to connect again are being made.
    reconnecting: bool,
    /// Whether the session below opens as soon as its last one has sent everything.
    open_deferred: bool,
    /// Whether an attempt to connect again waits until the application has read events.
    attempt_held: bool,
    /// The number of attempts to join that have asked for an auth.
    auth_requests: u64,
    /// The number of sessions that were open.
    sessions: u32,
    root: Root,
    /// Namespaces that sockets have left before the server answered whether they may join. A socket that connects again waits for that
    /// answer, because the server would take a second CONNECT for a second socket.
    abandoned: Vec<Text>,
    /// Packets that change the server's view of the sockets, which have not fitted into the outbound queue yet.
    control: VecDeque<Encoded>,
    /// Bytes of the events that wait until their sockets are connected.
    early_bytes: usize,
    fault: Option<Fault>,
    /// Whether the session below may have events, because the inbox was full or because something was sent.
    undrained: bool,
    /// Whether a command was refused because the outbound queue was full.
    queue_refused: bool,
    /// Whether the server should have sent a ping before now. Until it does, or the connection ends, events are kept.
    silent: bool,
}

impl<P: Parser> Client<P> {
    /// Creates a client without sockets. It does nothing until [`Client::connect`] or [`Client::open`]. `seed` is for the delays before
    /// attempts to connect again: draw it at random, so that clients do not return at the same moment.
    ///
    /// For servers of Socket.IO 1 and 2, set the revision of `engine` to V3, and use the parser [`JsonV4`](crate::JsonV4).
    #[must_use]
    pub fn new(engine: Arc<engineio_proto::client::Config>, parser: P, config: Arc<Config>, seed: u64) -> Self {
        Self {
            engine: Engine::new(engine),
            assembly: Assembly::new(parser.decoder(&config.limits)),
            parser,
            now: Instant::ZERO,
            timers: Timers::new(),
            sockets: Sockets::default(),
            acks: AwaitedAcks::new(),
            inbox: Inbox::new(),
            backoff: Backoff::new(seed),
            phase: Phase::Closed,
            reconnection: config.reconnection,
            closed_by_application: false,
            reconnecting: false,
            open_deferred: false,
            attempt_held: false,
            auth_requests: 0,
            sessions: 0,
            root: Root::Unknown,
            abandoned: Vec::new(),
            control: VecDeque::new(),
            early_bytes: 0,
            fault: None,
            undrained: false,
            queue_refused: false,
            silent: false,
            config,
        }
    }

    /// The Engine.IO client below, for its getters.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The last protocol violation of the server that ended a connection, if there was one. It is set before the disconnect events of the
    /// sockets are emitted.
    #[must_use]
    pub const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Whether the connection is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Whether the connection is being opened.
    #[must_use]
    pub const fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening { .. })
    }

    /// Whether the connection is closed, and no attempt to open it is made or planned. Active sockets then wait until the application opens
    /// it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Closed && !self.reconnecting
    }

    /// Whether the client tries to connect again: it waits for the next attempt, or makes one.
    #[must_use]
    pub const fn is_reconnecting(&self) -> bool {
        self.reconnecting
    }

    // The sockets.

    /// Creates a socket for a namespace, which does nothing until [`Client::connect`]. A name without a slash at its start gets one. If there
    /// is a socket for this namespace already, returns that one, and ignores the options.
    ///
    /// # Errors
    /// [`EmitError::TooManySockets`] if the client has [`Limits::max_namespaces`](crate::Limits) sockets.
    pub fn socket(&mut self, namespace: &str, options: SocketOptions) -> Result<SocketHandle, EmitError> {
        let namespace: Text =
            if namespace.starts_with('/') { namespace.into() } else { ["/", namespace].concat().into() };
        if let Some(socket) = self.sockets.find(&namespace) {
            return Ok(socket.handle);
        }
        if self.sockets.len().saturating_add(self.abandoned.len()) >= self.config.limits.max_namespaces {
            return Err(EmitError::TooManySockets);
        }
        // Packets for a socket of this namespace that was removed may still be on their way.
        let left_in = (self.phase == Phase::Open).then_some(self.sessions);
        self.sockets.add(namespace, options, left_in).ok_or(EmitError::TooManySockets)
    }

    /// All sockets.
    pub fn sockets(&self) -> impl Iterator<Item = SocketHandle> {
        self.sockets.iter().map(|socket| socket.handle)
    }

    /// The namespace of a socket. `None` if the socket was removed.
    #[must_use]
    pub fn namespace(&self, socket: SocketHandle) -> Option<&Text> {
        self.sockets.get(socket).map(|socket| &socket.namespace)
    }

    /// The id of a socket. `None` while it is not connected.
    #[must_use]
    pub fn id(&self, socket: SocketHandle) -> Option<&SocketId> {
        self.sockets.get(socket)?.id.as_ref()
    }

    /// Whether a socket has joined its namespace.
    #[must_use]
    pub fn is_connected(&self, socket: SocketHandle) -> bool {
        self.sockets.get(socket).is_some_and(Socket::is_connected)
    }

    /// Whether a socket has joined its namespace, or joins it when the connection is open.
    #[must_use]
    pub fn is_active(&self, socket: SocketHandle) -> bool {
        self.sockets.get(socket).is_some_and(Socket::is_active)
    }

    /// The number of events that a socket keeps until it is connected.
    #[must_use]
    pub fn send_buffer_len(&self, socket: SocketHandle) -> usize {
        self.sockets.get(socket).map_or(0, |socket| socket.send_buffer.len())
    }

    /// The bytes of the events that a socket keeps until it is connected. Each event counts its messages, and the memory of its entry.
    #[must_use]
    pub fn send_buffer_bytes(&self, socket: SocketHandle) -> usize {
        self.sockets.get(socket).map_or(0, |socket| socket.send_buffer.space.bytes())
    }

    /// The number of events in the queue of a socket with [`Retries`](super::Retries), the one that is being sent included.
    #[must_use]
    pub fn retry_queue_len(&self, socket: SocketHandle) -> usize {
        self.sockets.get(socket).map_or(0, |socket| socket.retries.len())
    }

    /// The bytes of the events in the queue of a socket with [`Retries`](super::Retries), counted as those of the send buffer.
    #[must_use]
    pub fn retry_queue_bytes(&self, socket: SocketHandle) -> usize {
        self.sockets.get(socket).map_or(0, |socket| socket.retries.space.bytes())
    }

    /// Drops the events that a socket keeps until it is connected, so that the server does not get old news. Their acks fail with
    /// [`AckError::Disconnected`]. The queue of a socket with [`Retries`](super::Retries) is not affected.
    pub fn clear_send_buffer(&mut self, socket: SocketHandle) {
        while let Some(event) = self.sockets.get_mut(socket).and_then(|socket| socket.send_buffer.pop()) {
            if let Some(id) = event.ack
                && self.acks.remove(socket, id)
            {
                self.settle(socket, id, Err(AckError::Disconnected));
            }
        }
        self.report_space(socket);
        self.set(Timer::Ack, self.acks.earliest());
    }

    /// Lets a socket join its namespace. Opens the connection if it is not open, unless the client is trying to connect again. Does nothing
    /// if the socket is connected or connecting. A socket that was disconnected before the server answered joins again after that answer.
    pub fn connect(&mut self, now: Instant, socket: SocketHandle) {
        self.tick(now);
        let Some(state) = self.sockets.get_mut(socket) else { return };
        if state.status == Status::Inactive {
            state.status = Status::Waiting;
        }
        let waits = state.status == Status::Waiting;
        match self.phase {
            Phase::Open if waits => self.join(socket),
            Phase::Closed if !self.reconnecting => self.open(now),
            _ => {}
        }
    }

    /// Disconnects a socket from its namespace. It then is inactive, and joins only by [`Client::connect`]. The connection is closed if no
    /// other socket is active. Unread [`Event::Received`] events of the socket are dropped; events that wait to be sent are kept.
    /// [`Event::Disconnected`] is emitted if the socket was connected.
    pub fn disconnect(&mut self, now: Instant, socket: SocketHandle) {
        self.tick(now);
        self.part(socket);
        self.pump();
    }

    /// Disconnects a socket and forgets it, with everything that it keeps. Acks that are awaited fail with [`AckError::Disconnected`].
    pub fn remove(&mut self, now: Instant, socket: SocketHandle) {
        self.tick(now);
        self.part(socket);
        self.drop_received(socket);
        if let Some(mut state) = self.sockets.remove(socket) {
            while state.send_buffer.pop().is_some() {}
            while let Some(event) = state.retries.pop() {
                if event.reported {
                    self.inbox.push_outcome(Outcome { socket, id: event.id, outcome: Err(AckError::Disconnected) });
                }
            }
            if state.take_freed() {
                // Those who wait learn that the socket is gone.
                self.inbox.set_writable(true);
            }
            while let Some(id) = self.acks.pop_of(socket) {
                self.inbox.push_outcome(Outcome { socket, id, outcome: Err(AckError::Disconnected) });
            }
        }
        self.set(Timer::Ack, self.acks.earliest());
        self.pump();
    }

    /// Answers [`Event::AuthRequested`] with any value that serialises as an object. The socket then joins its namespace. Does nothing if
    /// the attempt to join that has asked is over.
    ///
    /// A server of Socket.IO 1 or 2 gets the members as the query of the namespace: they must be strings, numbers or booleans. It lets clients
    /// join `/` without asking, so the auth of `/` is not asked for; use the query of the URL.
    ///
    /// # Errors
    /// [`EmitError::Encode`] if the value cannot be serialised, or is not an object. The request can then be answered again.
    pub fn authenticate<T: Serialize + ?Sized>(
        &mut self,
        now: Instant,
        request: AuthRequest,
        auth: Option<&T>,
    ) -> Result<(), EmitError> {
        self.tick(now);
        let socket = self.sockets.get(request.socket);
        if socket.is_none_or(|socket| socket.status != Status::Asking(request.attempt)) {
            return Ok(());
        }
        self.request(request.socket, auth)?;
        self.pump();
        Ok(())
    }

    /// Whether the attempt to join that has asked still waits for its [`Auth`](super::Auth).
    #[must_use]
    pub fn is_asking(&self, request: &AuthRequest) -> bool {
        self.sockets.get(request.socket).is_some_and(|socket| socket.status == Status::Asking(request.attempt))
    }

    // The connection.

    /// Opens the connection. Does nothing if it is open or being opened. The active sockets join their namespaces then. If the client waits
    /// for the next attempt to connect again, that attempt is made now.
    pub fn open(&mut self, now: Instant) {
        self.tick(now);
        if self.phase != Phase::Closed {
            return;
        }
        if self.reconnecting {
            self.attempt();
        } else {
            self.begin(false);
        }
        self.pump();
    }

    /// Sets whether the client tries to connect again after the connection was lost. Turning it off ends a series of attempts; an attempt
    /// that is being made goes on. Turning it on does not begin one: [`Client::open`] does.
    pub fn set_reconnection(&mut self, reconnection: bool) {
        self.reconnection = reconnection;
        if !reconnection {
            self.stop_reconnecting();
        }
    }

    /// Closes the connection gracefully: queued packets are sent first. Sockets disconnect with the reason `forced close`, without a
    /// DISCONNECT packet. They stay active: [`Client::open`] opens the connection again, and they join again. It ends a series of attempts
    /// to connect again. (The method `disconnect` of the reference's manager)
    pub fn close(&mut self, now: Instant) {
        self.tick(now);
        self.close_by_application();
        self.pump();
    }

    /// Closes the connection immediately, as [`Client::close`], but drops queued packets.
    pub fn discard(&mut self, now: Instant) {
        self.tick(now);
        self.engine.discard(self.now);
        self.close_by_application();
        self.pump();
    }

    /// Closes the session, and not the client: it connects again, if reconnection is on. Sockets disconnect with the reason `forced close`.
    /// Queued packets are sent first. (In the reference: `socket.io.engine.close()`)
    pub fn close_session(&mut self, now: Instant) {
        self.tick(now);
        if self.phase == Phase::Open {
            self.closed(DisconnectReason::Closed(CloseReason::ForcedClose));
        }
        self.pump();
    }

    /// Handles an input from outside.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.tick(now);
        // Old servers send no pings. What they send instead is not reported.
        let is_heard = self.silent
            && self.is_protocol_4()
            && !matches!(input, Input::LinkDown { .. } | Input::Failed { .. } | Input::LinkUp { .. });
        if self.undrained || self.is_full() {
            self.engine.handle(self.now, input);
        } else if let Some(event) = self.engine.handle_then_poll(self.now, input) {
            self.take(event);
        }
        if self.undrained || self.engine.has_events() || self.is_full() {
            self.pump();
        }
        if is_heard && self.silent {
            self.heard();
        }
    }

    /// Handles the timeouts that are due. Does nothing before the deadline.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
        self.engine.handle_timeout(self.now);
        // Input that has arrived may satisfy a deadline, so it is processed first.
        self.pump();
        if self.timers.is_due(Timer::Open as usize, self.now) {
            self.open_failed(OpenError::Timeout);
        }
        if self.timers.is_due(Timer::Reconnect as usize, self.now) {
            self.set(Timer::Reconnect, None);
            // Each attempt makes events. A client whose application does not read makes no more of them.
            self.attempt_held = true;
        }
        while let Some((socket, id)) = self.acks.pop_expired(self.now) {
            if let Some(socket) = self.sockets.get_mut(socket) {
                socket.send_buffer.remove(id);
            }
            self.report_space(socket);
            self.settle(socket, id, Err(AckError::Timeout));
        }
        self.set(Timer::Ack, self.acks.earliest());
        self.inbox.release();
        self.pump();
    }

    // What the application sends.

    /// Sends an event. While the socket is not connected, the event is kept in its send buffer, and sent when the socket is connected, before
    /// [`Event::Connected`]. An event that was sent and is lost with the connection is not sent again, unless the socket has
    /// [`Retries`](super::Retries).
    ///
    /// # Errors
    /// [`EmitError::BufferFull`] if the event does not fit into the send buffer, or another [`EmitError`]. The state is then unchanged.
    pub fn emit<A: Args + ?Sized>(
        &mut self,
        now: Instant,
        encoder: &mut Encoder,
        socket: SocketHandle,
        event: &str,
        args: &A,
    ) -> Result<(), EmitError> {
        let state = self.sockets.get(socket).ok_or(EmitError::Disconnected)?;
        // With retries, the server is asked for an ack that nobody awaits.
        let id = state.options.retries.map(|_| self.next_id(state));
        let encoded = self.encode_event(encoder, socket, id, event, args)?;
        match id {
            Some(id) => self.retry(now, socket, encoded, id, None, false),
            None => self.send(now, socket, encoded),
        }
    }

    /// Sends an event with an ack. The outcome arrives as [`Event::Acked`]. Without a timeout, that of [`SocketOptions::ack_timeout`] applies.
    /// Without either, the outcome arrives when the server answers, or when the connection is lost after the event was sent. While the event
    /// is in the send buffer, it has no outcome but a timeout, which also removes it from there.
    ///
    /// # Errors
    /// As [`Client::emit`], and [`EmitError::TooManyAcks`].
    pub fn emit_with_ack<A: Args + ?Sized>(
        &mut self,
        now: Instant,
        encoder: &mut Encoder,
        socket: SocketHandle,
        event: &str,
        args: &A,
        timeout: Option<Duration>,
    ) -> Result<AckId, EmitError> {
        let state = self.sockets.get(socket).ok_or(EmitError::Disconnected)?;
        let id = self.next_id(state);
        let encoded = self.encode_event(encoder, socket, Some(id), event, args)?;
        self.send_with_ack(now, socket, encoded, id, timeout)?;
        Ok(id)
    }

    /// Sends an event if it can be sent at once, and otherwise drops it and returns false. See [`Client::can_send_volatile`]. If the socket is
    /// not connected, the event is kept, as in the reference. It does not go through the queue of a socket with
    /// [`Retries`](super::Retries).
    ///
    /// # Errors
    /// As [`Client::emit`].
    pub fn emit_volatile<A: Args + ?Sized>(
        &mut self,
        now: Instant,
        encoder: &mut Encoder,
        socket: SocketHandle,
        event: &str,
        args: &A,
        link_is_flushed: bool,
    ) -> Result<bool, EmitError> {
        let encoded = self.encode_event(encoder, socket, None, event, args)?;
        if !self.can_send_volatile(link_is_flushed) {
            return Ok(false);
        }
        self.send(now, socket, encoded).map(|()| true)
    }

    /// Sends an encoded packet, as [`Client::emit`]. The packet must be for the namespace of this socket. It does not go through the queue of
    /// a socket with [`Retries`](super::Retries), because it has no ack id.
    ///
    /// # Errors
    /// As [`Client::emit`].
    pub fn send(&mut self, now: Instant, socket: SocketHandle, encoded: impl Into<Encoded>) -> Result<(), EmitError> {
        self.catch_up(now);
        self.transport(socket, encoded.into(), None)
    }

    /// Same as [`Client::emit_with_ack`], for a packet that is already encoded, with the ack id `id`.
    ///
    /// Either take the ids of a socket from a counter that only grows, or do not mix this method with [`Client::emit_with_ack`]: the ids of
    /// `emit_with_ack` are greater than every id passed to this method.
    ///
    /// # Errors
    /// As [`Client::emit_with_ack`].
    pub fn send_with_ack(
        &mut self,
        now: Instant,
        socket: SocketHandle,
        encoded: impl Into<Encoded>,
        id: AckId,
        timeout: Option<Duration>,
    ) -> Result<(), EmitError> {
        let state = self.sockets.get(socket).ok_or(EmitError::Disconnected)?;
        if state.options.retries.is_some() {
            return self.retry(now, socket, encoded.into(), id, timeout, true);
        }
        let timeout = timeout.or(state.options.ack_timeout);
        self.catch_up(now);
        if self.acks.len() >= self.config.limits.max_awaited_acks || self.acks.contains(socket, id) {
            return Err(EmitError::TooManyAcks);
        }
        self.transport(socket, encoded.into(), Some(id))?;
        self.expect(socket, id, timeout);
        Ok(())
    }

    /// Sends the ack of an event. It is sent as long as the session is open in which the event was received, even if the socket has left its
    /// namespace.
    ///
    /// # Errors
    /// [`EmitError::Disconnected`] if that session has ended, or another [`EmitError`]. Nothing is sent then, and the server gets no ack.
    pub fn ack<A: Args + ?Sized>(&mut self, encoder: &mut Encoder, token: AckToken, args: &A) -> Result<(), EmitError> {
        let encoded = self.parser.encode(&Outgoing::ack(token.namespace(), token.id(), args), encoder)?;
        self.send_ack(token, encoded)
    }

    /// Same as [`Client::ack`], for an ACK packet that is already encoded.
    ///
    /// # Errors
    /// As [`Client::ack`].
    pub fn send_ack(&mut self, token: AckToken, encoded: impl Into<Encoded>) -> Result<(), EmitError> {
        if self.phase != Phase::Open || token.session() != self.sessions {
            return Err(EmitError::Disconnected);
        }
        Ok(self.queue_or_refuse(encoded.into())?)
    }

    // Polls.

    /// Returns the next thing to do.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.engine.poll_transmit();
        if self.engine.has_events() || self.open_deferred {
            return self.pump_then(transmit, Engine::poll_transmit);
        }
        transmit
    }

    /// Same as [`poll_control` of the Engine.IO client](Engine::poll_control).
    #[inline]
    pub fn poll_control(&mut self) -> Option<Transmit> {
        let transmit = self.engine.poll_control();
        if self.engine.has_events() || self.open_deferred {
            return self.pump_then(transmit, Engine::poll_control);
        }
        transmit
    }

    /// Same as [`poll_frames` of the Engine.IO client](Engine::poll_frames).
    #[inline]
    pub fn poll_frames(&mut self, link: LinkId, write: impl FnMut(&Frame) -> bool) {
        self.engine.poll_frames(link, write);
        if self.engine.has_events() {
            self.pump();
        }
    }

    /// Sending can free capacity in the queue, which other packets wait for, or end the session. This happens here and not in `poll_event`,
    /// because a caller that gets no event need not poll for transmits again.
    #[cold]
    fn pump_then(&mut self, transmit: Option<Transmit>, poll: fn(&mut Engine) -> Option<Transmit>) -> Option<Transmit> {
        self.pump();
        transmit.or_else(|| poll(&mut self.engine))
    }

    /// Returns the next event. Outcomes of acks come before all other events.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.inbox.pop();
        if self.undrained || self.attempt_held { self.poll_undrained(event) } else { event }
    }

    /// Refills the capacity that an event has freed. If the inbox was empty, takes the next event after refilling it.
    fn poll_undrained(&mut self, mut event: Option<Event>) -> Option<Event> {
        while self.undrained || self.attempt_held {
            self.pump();
            if event.is_some() || self.inbox.is_empty() {
                break;
            }
            event = self.inbox.pop();
        }
        event
    }

    /// Whether [`Client::poll_event`] may return an event. Use it to decide whether another round of polling is needed.
    #[must_use]
    #[inline]
    pub fn has_events(&self) -> bool {
        self.undrained || !self.inbox.is_empty()
    }

    /// Same as [`Client::poll_event`], but returns only the outcomes of acks. Use it while the application is not ready for more events, but
    /// may be waiting for an ack.
    pub fn poll_outcome(&mut self) -> Option<Event> {
        self.inbox.pop_outcome()
    }

    /// When to call [`Client::handle_timeout`]; `None` if no timeout is armed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (self.engine.poll_timeout(), self.timers.earliest()) {
            (Some(lower), Some(own)) => Some(lower.min(own)),
            (lower, own) => lower.or(own),
        }
    }

    /// Whether to continue reading from the server's link. Returns false while too many unread events are buffered, unless an ack is
    /// awaited.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.engine.wants_input()
    }

    /// Whether the session can send a packet immediately.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.engine.is_writable()
    }

    /// Whether to send a volatile event now: send it if this returns true, and drop it otherwise. If a dropped event has an ack, its outcome
    /// is [`AckError::Disconnected`]. Set `link_is_flushed` if the link has nothing left to write.
    #[must_use]
    pub fn can_send_volatile(&self, link_is_flushed: bool) -> bool {
        link_is_flushed && self.is_writable()
    }

    /// Number of bytes that are queued for sending in the session. Events in the send buffers of sockets do not count.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.engine.buffered_bytes()
    }

    /// Whether the connection is closed, no attempt to open it follows, and nothing is left to send or report. The sockets and what they keep
    /// remain. The driver can drop the client, or wait until the application opens the connection again.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::Closed && !self.reconnecting && self.inbox.is_empty() && self.engine.is_drained()
    }

    fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        self.timers.set(timer as usize, deadline.unwrap_or(Instant::FAR_FUTURE));
    }

    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Before an event is sent: if the server should have sent a ping by now, the connection is probably lost, and the event is kept for the
    /// next one. A process may have been suspended, and its timers may be late. (engine.io-client `lib/socket.ts`, `_hasPingExpired`)
    #[inline]
    fn catch_up(&mut self, now: Instant) {
        self.tick(now);
        if self.phase == Phase::Open && self.engine.is_ping_overdue(self.now) {
            self.silent = true;
            self.handle_timeout(now);
        }
    }

    /// The server is not silent any more.
    #[cold]
    fn heard(&mut self) {
        self.silent = false;
        let _ = self.send_all_buffered();
    }

    /// Takes events from the session until the inbox is full.
    fn pump(&mut self) {
        self.undrained = false;
        loop {
            if self.is_full() {
                if self.acks.is_empty() {
                    self.undrained = true;
                    return;
                }
                self.overflow();
            }
            let Some(event) = self.engine.poll_event() else { break };
            self.take(event);
        }
        if self.attempt_held && !self.inbox.is_full(&self.engine.config().limits, false) {
            self.attempt_held = false;
            self.attempt();
        }
        if self.open_deferred {
            self.open_engine();
        }
        // Opening may have failed at once.
        self.undrained |= self.engine.has_events();
    }

    #[inline]
    fn take(&mut self, event: LowerEvent) {
        match event {
            LowerEvent::Message(message) => self.receive(message),
            event => self.take_other(event),
        }
    }

    fn take_other(&mut self, event: LowerEvent) {
        match (event, self.phase) {
            // The session was to be opened, and not closed meanwhile.
            (LowerEvent::Open, Phase::Opening { again }) if !self.open_deferred => self.opened(again),
            (LowerEvent::Closed(reason), Phase::Opening { .. }) if !self.open_deferred => {
                let never = CloseReason::TransportError(TransportError::NeverOpened);
                self.open_failed(if reason == never { OpenError::Timeout } else { OpenError::Failed(reason) });
            }
            (LowerEvent::Closed(reason), Phase::Open) => self.closed(DisconnectReason::Closed(reason)),
            (LowerEvent::Writable, Phase::Open) => self.send_waiting(),
            (LowerEvent::Upgraded(kind), Phase::Open) => self.inbox.push(Event::Upgraded(kind), 0),
            (LowerEvent::Ping, Phase::Open) => {
                self.inbox.push(Event::Ping, 0);
                if self.silent {
                    self.heard();
                }
            }
            _ => {}
        }
    }

    /// Whether to stop taking events from the session for now.
    #[inline]
    fn is_full(&self) -> bool {
        self.phase == Phase::Open && self.inbox.is_full(&self.engine.config().limits, !self.acks.is_empty())
    }

    /// Whether the server is of Socket.IO 1 or 2.
    #[inline]
    fn is_protocol_4(&self) -> bool {
        self.engine.revision() == Revision::V3
    }

    // Opening and reconnection.

    /// Begins to open the connection.
    fn begin(&mut self, again: bool) {
        self.phase = Phase::Opening { again };
        self.closed_by_application = false;
        self.set(Timer::Reconnect, None);
        let timeout = self.config.open_timeout;
        self.set(Timer::Open, timeout.map(|timeout| self.now + timeout));
        self.open_deferred = true;
        self.open_engine();
    }

    /// Opens the session below, unless its last one is still being closed over polling, or has events.
    fn open_engine(&mut self) {
        if self.engine.is_closed() && !self.engine.has_events() {
            self.open_deferred = false;
            self.engine.open(self.now);
        }
    }

    /// The session is open.
    fn opened(&mut self, again: bool) {
        self.phase = Phase::Open;
        self.set(Timer::Open, None);
        self.sessions = self.sessions.wrapping_add(1);
        self.root = Root::Unknown;
        self.inbox.push(Event::Opened, 0);
        let mut last = None;
        while let Some(socket) = self.sockets.active_after(last) {
            self.join(socket);
            last = Some(socket);
        }
        if again {
            self.inbox.push(Event::Reconnected(self.backoff.attempts()), 0);
        }
        self.reconnecting = false;
        self.backoff.reset();
    }

    /// The connection could not be opened.
    fn open_failed(&mut self, error: OpenError) {
        let Phase::Opening { again } = self.phase else { return };
        self.clean_up();
        self.engine.discard(self.now);
        self.inbox.push(Event::OpenFailed(error), 0);
        let mut last = None;
        while let Some(socket) = self.sockets.active_after(last) {
            self.inbox.push(Event::ConnectError { socket, error: ConnectError::Open(error) }, 0);
            last = Some(socket);
        }
        if again {
            self.reconnecting = false;
            self.reconnect();
            self.inbox.push(Event::ReconnectError(error), 0);
        } else {
            self.reconnect();
        }
        if !self.reconnecting {
            self.backoff.reset();
        }
    }

    /// Waits for the next attempt to connect again, or gives up after the last one.
    fn reconnect(&mut self) {
        if self.reconnecting || !self.reconnection || self.closed_by_application {
            return;
        }
        let config = &self.config;
        if config.reconnection_attempts.is_some_and(|most| self.backoff.attempts() >= most) {
            self.backoff.reset();
            self.inbox.push(Event::ReconnectFailed, 0);
            return;
        }
        let (least, most) = (config.reconnection_delay, config.reconnection_delay_max);
        let delay = self.backoff.next(least, most, config.randomization_factor);
        self.reconnecting = true;
        self.set(Timer::Reconnect, Some(self.now + delay));
    }

    /// Makes an attempt to connect again.
    fn attempt(&mut self) {
        if !self.reconnecting || self.phase != Phase::Closed {
            return;
        }
        self.attempt_held = false;
        self.inbox.push(Event::ReconnectAttempt(self.backoff.attempts()), 0);
        // The last session had its time to end.
        self.engine.discard(self.now);
        self.begin(true);
    }

    fn stop_reconnecting(&mut self) {
        self.reconnecting = false;
        self.attempt_held = false;
        self.set(Timer::Reconnect, None);
        if !matches!(self.phase, Phase::Opening { .. }) {
            self.backoff.reset();
        }
    }

    /// Closes the connection because the application wants it, or no socket needs it any more.
    fn close_by_application(&mut self) {
        self.closed_by_application = true;
        self.phase = match self.phase {
            // There is no connection that could end.
            Phase::Opening { .. } => Phase::Closed,
            phase => phase,
        };
        self.stop_reconnecting();
        self.closed(DisconnectReason::Closed(CloseReason::ForcedClose));
    }

    /// Ends the connection, if there is one: the sockets disconnect, and the client connects again if it should.
    fn closed(&mut self, reason: DisconnectReason) {
        let was_open = self.phase == Phase::Open;
        self.clean_up();
        self.engine.close(self.now);
        self.undrained = true;
        if !was_open {
            return;
        }
        self.backoff.reset();
        self.inbox.push(Event::Closed(reason), 0);
        let mut last = None;
        while let Some(socket) = self.sockets.active_after(last) {
            self.left(socket, reason, Status::Waiting);
            last = Some(socket);
        }
        self.reconnect();
    }

    /// Drops what belongs to one connection.
    fn clean_up(&mut self) {
        self.phase = Phase::Closed;
        self.open_deferred = false;
        self.set(Timer::Open, None);
        self.assembly = Assembly::new(self.parser.decoder(&self.config.limits));
        self.control = VecDeque::new();
        self.abandoned = Vec::new();
        self.silent = false;
        if core::mem::take(&mut self.queue_refused) {
            // What is sent now is kept for the next connection.
            self.inbox.set_writable(true);
        }
    }

    /// Closes immediately because the application does not read what the server sends. The caller must call `pump`.
    fn overflow(&mut self) {
        self.engine.discard(self.now);
        self.closed(DisconnectReason::Closed(CloseReason::TransportError(TransportError::InboundOverflow)));
    }

    /// Closes because of what the server has sent.
    fn violated(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.closed(DisconnectReason::ParseError);
    }

    // What the server sends.

    #[inline]
    fn receive(&mut self, message: Message) {
        if self.phase != Phase::Open {
            return;
        }
        match self.assembly.receive(message) {
            Ok(None) => {}
            Ok(Some(packet)) => {
                let bytes = self.assembly.take_bytes();
                self.dispatch(packet, bytes);
            }
            Err(error) => self.violated(error.into()),
        }
    }

    #[inline]
    fn dispatch(&mut self, packet: Packet, bytes: usize) {
        let socket = self.sockets.find(&packet.namespace).filter(|socket| socket.is_active());
        let Some((handle, status)) = socket.map(|socket| (socket.handle, socket.status)) else {
            return self.ignored(&packet, bytes);
        };
        let Packet { packet_type, namespace, id, payload } = packet;
        match packet_type {
            PacketType::Event => {
                let Some(payload) = payload else { return self.violated(Fault::UnexpectedPacket) };
                let ack = id.map(|id| AckToken::new(handle, namespace, id, self.sessions));
                if status == Status::Connected {
                    self.pass(handle, payload, ack, bytes);
                } else {
                    self.keep_early(handle, payload, ack, bytes);
                }
            }
            PacketType::Ack => {
                let Some(id) = self.acks.answered(handle, id) else { return };
                let Some(payload) = payload.or_else(|| Payload::no_arguments(&self.config.limits)) else { return };
                self.acks.remove(handle, id);
                self.set(Timer::Ack, self.acks.earliest());
                self.settle(handle, id, Ok(payload));
            }
            PacketType::Connect | PacketType::ConnectError if self.answers_abandoned(packet_type, &namespace) => {
                self.join(handle);
            }
            PacketType::Connect => self.accepted(handle, payload.as_ref(), bytes),
            PacketType::Disconnect => self.kicked(handle, status),
            PacketType::ConnectError => self.refused(handle, payload, bytes),
        }
    }

    /// A packet for a namespace without an active socket. The reference ignores it, except for errors of old servers that concern all sockets.
    #[cold]
    fn ignored(&mut self, packet: &Packet, bytes: usize) {
        if self.answers_abandoned(packet.packet_type, &packet.namespace)
            || !self.is_protocol_4()
            || &*packet.namespace != "/"
        {
            return;
        }
        match packet.packet_type {
            PacketType::Connect => self.root = Root::Joined,
            PacketType::Disconnect => self.root = Root::Left,
            PacketType::ConnectError => self.refused_all(packet.payload.as_ref(), bytes),
            PacketType::Event | PacketType::Ack => {}
        }
    }

    /// Takes the answer to a CONNECT whose socket has left meanwhile. If the server has let it join, tells the server that it has left. (The
    /// reference leaves such a socket connected on the server.)
    fn answers_abandoned(&mut self, answer: PacketType, namespace: &Text) -> bool {
        if !matches!(answer, PacketType::Connect | PacketType::ConnectError) {
            return false;
        }
        let Some(place) = self.abandoned.iter().position(|abandoned| abandoned == namespace) else { return false };
        self.abandoned.swap_remove(place);
        if answer == PacketType::Connect {
            self.control(PacketType::Disconnect, namespace);
        }
        true
    }

    /// Passes an event to the application.
    #[inline]
    fn pass(&mut self, socket: SocketHandle, payload: Payload, ack: Option<AckToken>, bytes: usize) {
        if let Some(state) = self.sockets.get_mut(socket)
            && state.pid.is_some()
        {
            state.remember_offset(&payload, ack.is_some());
        }
        self.inbox.push(Event::Received { socket, payload, ack }, bytes);
    }

    /// Keeps an event until its socket is connected: with recovery, the server sends what was missed before the CONNECT reply.
    #[cold]
    fn keep_early(&mut self, socket: SocketHandle, payload: Payload, ack: Option<AckToken>, bytes: usize) {
        let Some(state) = self.sockets.get_mut(socket) else { return };
        if state.left_in == Some(self.sessions) {
            // It is for the former socket, which has left. What a returning socket has missed comes in a new session.
            return;
        }
        let bytes = bytes.saturating_add(size_of::<Early>());
        // The limit is for events that accumulate. A single event is accepted, however large it is.
        let is_first = self.early_bytes == 0;
        self.early_bytes = self.early_bytes.saturating_add(bytes);
        state.early.push(Early { payload, ack, bytes });
        if self.early_bytes > self.engine.config().limits.max_inbound && !is_first {
            self.overflow();
        }
    }

    /// The server has let a socket join.
    fn accepted(&mut self, socket: SocketHandle, payload: Option<&Payload>, bytes: usize) {
        #[derive(Deserialize)]
        struct Reply<'a> {
            #[serde(borrow)]
            sid: alloc::borrow::Cow<'a, str>,
            #[serde(borrow, default)]
            pid: Option<alloc::borrow::Cow<'a, str>>,
        }

        let Some(state) = self.sockets.get(socket) else { return };
        if self.is_protocol_4() {
            if &*state.namespace == "/" {
                self.root = Root::Joined;
            }
            if matches!(state.status, Status::Joining | Status::Connected) {
                self.accepted_by_old_server(socket, bytes);
            }
            return;
        }
        let was_asked = matches!(state.status, Status::Joining | Status::Connected);
        let reply = payload.and_then(|payload| payload.get::<Reply<'_>>(0).ok());
        let Some(Reply { sid, pid }) = reply.filter(|reply| !reply.sid.is_empty()) else {
            // Such a server does not wait until it is asked.
            self.inbox.push(Event::ConnectError { socket, error: ConnectError::OldServer }, bytes);
            return;
        };
        if !was_asked {
            // It will answer when it is.
            return;
        }
        let Ok(id) = SocketId::new(&*sid) else { return self.violated(Fault::InvalidId) };
        self.joined(socket, id, pid.and_then(|pid| secret(&pid)), bytes);
    }

    /// Both sides derive the id from that of the session.
    fn accepted_by_old_server(&mut self, socket: SocketHandle, bytes: usize) {
        let (Some(state), Some(sid)) = (self.sockets.get(socket), self.engine.sid()) else { return };
        let id = if &*state.namespace == "/" {
            SocketId::new(sid.clone())
        } else {
            SocketId::new([&*state.namespace, "#", sid].concat())
        };
        match id {
            Ok(id) => self.joined(socket, id, None, bytes),
            Err(_) => self.violated(Fault::InvalidId),
        }
    }

    /// A socket is connected. The order is that of the reference: what was received, what was emitted, the retries, the event.
    fn joined(&mut self, socket: SocketHandle, id: SocketId, pid: Option<Text>, bytes: usize) {
        let Some(state) = self.sockets.get_mut(socket) else { return };
        let recovered = pid.is_some() && state.pid == pid;
        if !recovered {
            // An offset of the former socket means nothing to the new one.
            state.offset = None;
        }
        state.pid = pid;
        state.id = Some(id.clone());
        state.status = Status::Connected;
        for Early { payload, ack, bytes } in core::mem::take(&mut state.early) {
            self.early_bytes = self.early_bytes.saturating_sub(bytes);
            self.pass(socket, payload, ack, bytes);
        }
        self.send_buffered(socket);
        self.inbox.push(Event::Connected { socket, id, recovered }, bytes);
    }

    /// The server has disconnected a socket.
    fn kicked(&mut self, socket: SocketHandle, status: Status) {
        let left_in = self.sockets.get(socket).and_then(|state| state.left_in);
        if status != Status::Connected && left_in == Some(self.sessions) {
            // It was for the former socket, which has left at the same time.
            return;
        }
        self.deactivate(socket, DisconnectReason::IoServerDisconnect);
    }

    /// The server has refused a socket.
    fn refused(&mut self, socket: SocketHandle, payload: Option<Payload>, bytes: usize) {
        let Some(state) = self.sockets.get(socket) else { return };
        let (connected, is_root) = (state.is_connected(), &*state.namespace == "/");
        if self.is_protocol_4() {
            if is_root {
                return self.refused_all(payload.as_ref(), bytes);
            }
            if connected {
                let error = ServerError::new(payload);
                return self.inbox.push(Event::Error { socket, error }, bytes);
            }
        } else if connected {
            // No server does this. The socket has left: every connection of a socket has one end.
            self.deactivate(socket, DisconnectReason::IoServerDisconnect);
        }
        self.refuse(socket, payload, bytes);
    }

    /// An old server has sent an error for the root namespace: all sockets get it. Those that are connected stay so.
    fn refused_all(&mut self, payload: Option<&Payload>, bytes: usize) {
        let mut last = None;
        while let Some(socket) = self.sockets.active_after(last) {
            last = Some(socket);
            if self.is_connected(socket) {
                self.inbox.push(Event::Error { socket, error: ServerError::new(payload.cloned()) }, bytes);
            } else {
                self.refuse(socket, payload.cloned(), bytes);
            }
        }
    }

    fn refuse(&mut self, socket: SocketHandle, payload: Option<Payload>, bytes: usize) {
        if let Some(state) = self.sockets.get_mut(socket) {
            state.status = Status::Inactive;
            state.forget();
        }
        self.drop_early(socket);
        self.close_if_unused();
        self.inbox.push(Event::ConnectError { socket, error: ConnectError::Refused(ServerError::new(payload)) }, bytes);
    }

    // The sockets.

    /// Lets a socket join its namespace, now that the connection is open.
    fn join(&mut self, socket: SocketHandle) {
        let Some(state) = self.sockets.get_mut(socket) else { return };
        if self.engine.revision() == Revision::V3 && &*state.namespace == "/" {
            // Old servers let clients join by themselves.
            state.status = Status::Joining;
            match self.root {
                Root::Unknown => {}
                Root::Joined => self.accepted_by_old_server(socket, 0),
                Root::Left => {
                    self.root = Root::Unknown;
                    self.control(PacketType::Connect, "/");
                }
            }
            return;
        }
        if self.abandoned.contains(&state.namespace) {
            return;
        }
        let joins = match state.options.auth.clone() {
            Auth::Asked => {
                self.auth_requests = self.auth_requests.wrapping_add(1);
                state.status = Status::Asking(self.auth_requests);
                let attempt = self.auth_requests;
                self.inbox.push(Event::AuthRequested(AuthRequest { socket, attempt }), 0);
                Ok(())
            }
            Auth::None => self.request(socket, None::<&()>),
            Auth::Fixed(auth) => self.request(socket, Some(&auth.value())),
        };
        if let Err(error) = joins {
            if let Some(state) = self.sockets.get_mut(socket) {
                state.status = Status::Inactive;
            }
            self.close_if_unused();
            self.inbox.push(Event::ConnectError { socket, error: ConnectError::Encode(error) }, 0);
        }
    }

    /// Asks the server to let a socket join.
    fn request<T: Serialize + ?Sized>(&mut self, socket: SocketHandle, auth: Option<&T>) -> Result<(), EncodeError> {
        let Some(state) = self.sockets.get(socket) else { return Ok(()) };
        let (pid, offset) = (state.pid.as_deref(), state.offset.as_deref());
        // A dedicated allocation: a shared piece would be almost empty.
        let mut encoder = Encoder::with_piece(0);
        let encoded = if self.is_protocol_4() {
            let namespace = match auth {
                Some(auth) => auth::with_query(&state.namespace, auth)?,
                None => state.namespace.clone(),
            };
            self.parser.encode(&Outgoing::new(PacketType::Connect, &namespace, None::<&()>), &mut encoder)?
        } else if auth.is_none() && pid.is_none() {
            self.parser.encode(&Outgoing::new(PacketType::Connect, &state.namespace, None::<&()>), &mut encoder)?
        } else {
            let payload = Connect { pid, offset, auth };
            self.parser.encode(&Outgoing::new(PacketType::Connect, &state.namespace, Some(&payload)), &mut encoder)?
        };
        if let Some(state) = self.sockets.get_mut(socket) {
            state.status = Status::Joining;
        }
        self.send_control(encoded);
        Ok(())
    }

    /// The application disconnects a socket. The caller must call `pump`.
    fn part(&mut self, socket: SocketHandle) {
        let Some(state) = self.sockets.get(socket).filter(|socket| socket.is_active()) else { return };
        let namespace = state.namespace.clone();
        match state.status {
            Status::Connected => self.control(PacketType::Disconnect, &namespace),
            // Old servers let clients join the root by themselves.
            Status::Joining if !(self.is_protocol_4() && &*namespace == "/") => self.abandoned.push(namespace.clone()),
            _ => {}
        }
        self.drop_received(socket);
        self.deactivate(socket, DisconnectReason::IoClientDisconnect);
    }

    /// Drops the events of a socket that the application has not read.
    fn drop_received(&mut self, socket: SocketHandle) {
        self.inbox.retain(|event| !matches!(event, Event::Received { socket: of, .. } if *of == socket));
    }

    /// A socket leaves its namespace and becomes inactive.
    fn deactivate(&mut self, socket: SocketHandle, reason: DisconnectReason) {
        let Some(state) = self.sockets.get_mut(socket) else { return };
        let status = core::mem::replace(&mut state.status, Status::Inactive);
        state.forget();
        state.left_in = Some(self.sessions);
        if &*state.namespace == "/" && status == Status::Connected {
            self.root = Root::Left;
        }
        self.close_if_unused();
        // Restored for `left`, which acts on what the socket was.
        if let Some(state) = self.sockets.get_mut(socket) {
            state.status = status;
        }
        self.left(socket, reason, Status::Inactive);
    }

    /// Closes the connection if no socket needs it.
    fn close_if_unused(&mut self) {
        if self.sockets.active_after(None).is_none() {
            self.close_by_application();
        }
    }

    /// A socket is no longer connected, or no longer connecting.
    fn left(&mut self, socket: SocketHandle, reason: DisconnectReason, next: Status) {
        let Some(state) = self.sockets.get_mut(socket) else { return };
        let before = core::mem::replace(&mut state.status, next);
        state.id = None;
        self.drop_early(socket);
        match (before, reason) {
            (Status::Connected, _) => self.inbox.push(Event::Disconnected { socket, reason }, 0),
            (Status::Inactive | Status::Waiting, _) | (_, DisconnectReason::IoClientDisconnect) => {}
            _ => self.inbox.push(Event::ConnectError { socket, error: ConnectError::Closed(reason) }, 0),
        }
        // The acks of events that are still in the send buffer go on waiting.
        let mut from = AckId(0);
        while let Some(id) = self.acks.first_of(socket, from) {
            from = AckId(id.0.saturating_add(1));
            if self.sockets.get(socket).is_none_or(|state| !state.send_buffer.contains(id)) {
                self.acks.remove(socket, id);
                self.settle(socket, id, Err(AckError::Disconnected));
            }
        }
        self.set(Timer::Ack, self.acks.earliest());
    }

    /// Drops the events that wait until a socket is connected.
    fn drop_early(&mut self, socket: SocketHandle) {
        let Some(state) = self.sockets.get_mut(socket) else { return };
        for early in core::mem::take(&mut state.early) {
            self.early_bytes = self.early_bytes.saturating_sub(early.bytes);
        }
    }

    /// An ack that was removed has this outcome.
    fn settle(&mut self, socket: SocketHandle, id: AckId, outcome: Result<Payload, AckError>) {
        if let Some(state) = self.sockets.get_mut(socket)
            && let Some(retries) = state.options.retries
            && state.retries.is_trying(id)
        {
            let ended = state.retries.ended(outcome.is_ok(), retries.count);
            if ended == (Ended::Done { reported: true }) {
                self.inbox.push_outcome(Outcome { socket, id, outcome });
            }
            self.try_next(socket);
            return;
        }
        self.inbox.push_outcome(Outcome { socket, id, outcome });
    }

    // What is sent.

    /// The id for the next ack of a socket.
    fn next_id(&self, socket: &Socket) -> AckId {
        let mut id = socket.next_ack;
        while self.acks.contains(socket.handle, id) {
            id = AckId(id.0.wrapping_add(1));
        }
        id
    }

    fn encode_event<A: Args + ?Sized>(
        &self,
        encoder: &mut Encoder,
        socket: SocketHandle,
        id: Option<AckId>,
        event: &str,
        args: &A,
    ) -> Result<Encoded, EmitError> {
        let state = self.sockets.get(socket).ok_or(EmitError::Disconnected)?;
        let id = id.map(|id| id.0.into());
        Ok(self.parser.encode(&Outgoing::event(&state.namespace, id, event, args), encoder)?)
    }

    /// Sends an event, or keeps it until it can be sent.
    fn transport(&mut self, socket: SocketHandle, encoded: Encoded, ack: Option<AckId>) -> Result<(), EmitError> {
        let state = self.sockets.get_mut(socket).ok_or(EmitError::Disconnected)?;
        // The session may have ended behind events that were not read.
        if !state.is_connected() || !state.send_buffer.is_empty() || self.silent || !self.engine.is_open() {
            if !state.send_buffer.push(encoded, ack, self.config.max_send_buffer) {
                return Err(EmitError::BufferFull);
            }
        } else {
            self.queue_or_refuse(encoded)?;
        }
        Ok(())
    }

    /// Awaits an ack.
    fn expect(&mut self, socket: SocketHandle, id: AckId, timeout: Option<Duration>) {
        self.acks.insert(socket, id, timeout.map(|timeout| self.now + timeout));
        self.set(Timer::Ack, self.acks.earliest());
        self.used(socket, id);
        // The ack may already be behind events that were not read.
        if self.undrained {
            self.pump();
        }
    }

    /// An id was used for an ack.
    fn used(&mut self, socket: SocketHandle, id: AckId) {
        if let Some(state) = self.sockets.get_mut(socket)
            && id >= state.next_ack
        {
            // As for other ends, ids stay below 2^31.
            state.next_ack = AckId(id.0.wrapping_add(1) & (i32::MAX as u32));
        }
    }

    /// Puts an event into the queue of a socket with retries.
    fn retry(
        &mut self,
        now: Instant,
        socket: SocketHandle,
        encoded: Encoded,
        id: AckId,
        timeout: Option<Duration>,
        reported: bool,
    ) -> Result<(), EmitError> {
        self.catch_up(now);
        let state = self.sockets.get_mut(socket).ok_or(EmitError::Disconnected)?;
        let standard = state.options.retries.map_or(Duration::ZERO, |retries| retries.timeout);
        // Without time for the server, the tries would end at once.
        let timeout = timeout.unwrap_or(standard).max(Duration::from_millis(1));
        if !state.retries.push(Queued { encoded, id, timeout, reported }, self.config.max_send_buffer) {
            return Err(EmitError::BufferFull);
        }
        self.used(socket, id);
        self.try_next(socket);
        // The ack may be behind events that were left in the session.
        if self.undrained {
            self.pump();
        }
        Ok(())
    }

    /// Sends the first event in the queue of a socket with retries, if it is time for it.
    fn try_next(&mut self, socket: SocketHandle) {
        while let Some(state) = self.sockets.get(socket)
            && state.is_connected()
            && state.send_buffer.is_empty()
            && !self.silent
            && let Some(event) = state.retries.due()
        {
            let (encoded, id, timeout, reported) = (event.encoded.clone(), event.id, event.timeout, event.reported);
            match self.queue(encoded) {
                Ok(()) => {
                    if let Some(state) = self.sockets.get_mut(socket) {
                        state.retries.started();
                    }
                    self.acks.insert(socket, id, Some(self.now + timeout));
                    self.set(Timer::Ack, self.acks.earliest());
                }
                Err(SendError::Separator) => {
                    // It can never be sent.
                    self.sockets.get_mut(socket).map(|state| state.retries.pop());
                    if reported {
                        self.inbox.push_outcome(Outcome { socket, id, outcome: Err(AckError::Disconnected) });
                    }
                }
                // It is sent when there is capacity again, or when the socket is connected again.
                Err(_) => break,
            }
        }
        self.report_space(socket);
    }

    /// There is capacity again: sends what waits.
    #[cold]
    fn send_waiting(&mut self) {
        while let Some(encoded) = self.control.front() {
            if self.engine.send_frames(encoded.frames()) == Err(SendError::Full) {
                return;
            }
            self.control.pop_front();
        }
        if self.send_all_buffered() && core::mem::take(&mut self.queue_refused) {
            self.inbox.set_writable(true);
        }
    }

    /// Sends the events that connected sockets keep. Returns false if not all of them fit into the outbound queue.
    fn send_all_buffered(&mut self) -> bool {
        let mut last = None;
        while let Some(socket) = self.sockets.active_after(last) {
            if !self.send_buffered(socket) {
                return false;
            }
            last = Some(socket);
        }
        true
    }

    /// Sends the events that a connected socket keeps. Returns false if not all of them fit into the outbound queue.
    fn send_buffered(&mut self, socket: SocketHandle) -> bool {
        while !self.silent
            && let Some(state) = self.sockets.get_mut(socket).filter(|socket| socket.is_connected())
        {
            let Some(event) = state.send_buffer.first() else { break };
            match self.engine.send_frames(event.encoded.frames()) {
                Err(SendError::Separator) => {
                    // It can never be sent over this transport, and must not hold up the others.
                    let ack = state.send_buffer.pop().and_then(|event| event.ack);
                    if let Some(id) = ack.filter(|&id| self.acks.remove(socket, id)) {
                        self.settle(socket, id, Err(AckError::Disconnected));
                    }
                }
                Err(_) => {
                    self.report_space(socket);
                    return false;
                }
                Ok(()) => drop(state.send_buffer.pop()),
            }
        }
        self.try_next(socket);
        true
    }

    /// Tells the application if a socket has space again for what was refused.
    fn report_space(&mut self, socket: SocketHandle) {
        if self.sockets.get_mut(socket).is_some_and(Socket::take_freed) {
            self.inbox.set_writable(true);
        }
    }

    #[inline]
    fn queue(&mut self, encoded: Encoded) -> Result<(), SendError> {
        match encoded {
            Encoded::One(frame) => self.engine.send_frame(frame),
            Encoded::Many(frames) => self.engine.send_frames(&frames),
        }
    }

    /// Sends a packet of the application, which is told of capacity after a refusal.
    #[inline]
    fn queue_or_refuse(&mut self, encoded: Encoded) -> Result<(), SendError> {
        let result = self.queue(encoded);
        self.queue_refused |= result == Err(SendError::Full);
        result
    }

    /// Sends a packet without payload that changes the server's view of the sockets.
    fn control(&mut self, packet_type: PacketType, namespace: &str) {
        let packet = Outgoing::new(packet_type, namespace, None::<&()>);
        // A packet without payload can be encoded.
        if let Ok(encoded) = self.parser.encode(&packet, &mut Encoder::with_piece(0)) {
            self.send_control(encoded);
        }
    }

    /// Such a packet is never dropped while the connection is open: if the queue is full, it waits.
    fn send_control(&mut self, encoded: Encoded) {
        let waits = !self.control.is_empty() || self.engine.send_frames(encoded.frames()) == Err(SendError::Full);
        if waits && self.phase == Phase::Open {
            self.control.push_back(encoded);
        }
    }
}
