//! One Socket.IO peer on the server side, and the Engine.IO session that it owns: the namespaces that the peer has joined, the
//! acks that are awaited from it, and the events that the application has not read yet.
//!
//! The connection drains the session after every input, because most messages are handled at this level: attachments, acks, and
//! invalid packets, which close the connection. The remaining events go to the [`Inbox`] until the application calls
//! `poll_event`. Once the inbox holds [`soft_inbound`](engineio_proto::Limits::soft_inbound) bytes, further messages stay in
//! the session. The session counts them against the same limit, and then `wants_input()` returns false. So a POST body is not
//! decoded faster than the application reads. While an ack is awaited, the connection drains up to
//! [`max_inbound`](engineio_proto::Limits::max_inbound) bytes, because the ack can be behind any number of events.
//!
//! When the peer violates the protocol, its sockets disconnect in the same step, even though a polling session may not end
//! before the next GET. The reference does the same after a misplaced packet. After a packet that cannot be decoded, the
//! reference disconnects the sockets only when the session ends. This crate differs from it in that moment only; the reasons
//! are the same.
//!
//! Source: socket.io `lib/client.ts`, `lib/socket.ts`.

use core::time::Duration;

use engineio_proto::server::{Input, Session, Transmit, Transport};
use engineio_proto::{
    Arc, CloseReason, Event as LowerEvent, Frame, Instant, LinkId, Message, Revision, SendError, Text, Timers,
    TransportError,
};
use serde::Serialize;

use super::protocol_4;
use super::sockets::{ROOT, Sockets};
use crate::ack::AwaitedAcks;
use crate::assembly::Assembly;
use crate::config::Config;
use crate::error::{EmitError, Fault};
use crate::event::{AckError, AckId, AckToken, DisconnectReason, Event, Outcome, Pending, SocketHandle};
use crate::id::SocketId;
use crate::inbox::Inbox;
use crate::offset::PrivateId;
use crate::packet::{Encoded, Outgoing, Packet, PacketType};
use crate::parser::{Encoder, Json, Parser};
use crate::payload::{Args, Payload};

/// The message sent to a client that requests an unknown namespace (socket.io `lib/client.ts`, `connect`).
const INVALID_NAMESPACE: &str = "Invalid namespace";

/// The payload of a CONNECT_ERROR without data.
#[derive(Serialize)]
struct Refusal<'a> {
    message: &'a str,
}

/// The deadlines of a connection. The discriminant is the index in its [`Timers`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Timer {
    /// The peer must join a first namespace by then.
    Connect = 0,
    /// The oldest pending CONNECT is refused then.
    Pending = 1,
    /// The earliest deadline of an awaited ack.
    Ack = 2,
}

/// Progress of the close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Packets are received and sent.
    Open,
    /// This side has closed the connection; the session has not ended yet.
    Closing,
    /// The session has ended.
    Closed,
}

/// One Socket.IO peer, server side.
///
/// Pass in inputs with [`handle`](Self::handle) and [`handle_timeout`](Self::handle_timeout), and issue commands with the plain
/// verbs. Then call [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) until both return `None`, and
/// wait until [`poll_timeout`](Self::poll_timeout). The order of polls does not matter. Taking an event can free capacity for
/// more input, and so cause new transmits and events.
///
/// A `now` earlier than the latest one is ignored: time does not go backwards.
#[derive(Debug)]
pub struct Connection<P: Parser = Json> {
    session: Session,
    parser: P,
    assembly: Assembly<P::Decoder>,
    config: Arc<Config>,
    /// The latest time passed in.
    now: Instant,
    timers: Timers<3>,
    sockets: Sockets,
    acks: AwaitedAcks,
    inbox: Inbox<Event>,
    phase: Phase,
    /// The reported close reason, when this side closed for a reason that the session does not have.
    reason: Option<CloseReason>,
    fault: Option<Fault>,
    /// Whether the session may have events, because the inbox was full or because something was sent.
    undrained: bool,
}

impl<P: Parser> Connection<P> {
    /// Creates a connection over a session that was just accepted.
    #[must_use]
    pub fn new(now: Instant, session: Session, parser: P, config: Arc<Config>) -> Self {
        Self {
            assembly: Assembly::new(parser.decoder(&config.limits)),
            session,
            parser,
            config,
            now,
            timers: Timers::new(),
            sockets: Sockets::new(),
            acks: AwaitedAcks::new(),
            inbox: Inbox::new(),
            phase: Phase::Open,
            reason: None,
            fault: None,
            undrained: false,
        }
    }

    /// The session below, for its getters and [`Session::admit`].
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The protocol violation that ended the connection, if there was one. It is set before the disconnect events of the
    /// sockets are emitted.
    #[must_use]
    pub const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Handles an input from outside.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.tick(now);
        if self.undrained || self.is_full() {
            self.session.handle(self.now, input);
        } else if let Some(event) = self.session.handle_then_poll(self.now, input) {
            self.take(event);
        }
        if self.undrained || self.session.has_events() || self.is_full() {
            self.pump();
        }
    }

    /// Handles the timeouts that are due. Does nothing before the deadline.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
        self.session.handle_timeout(self.now);
        // Input that has arrived may satisfy a deadline, so it is processed first.
        self.pump();
        if self.timers.is_due(Timer::Connect as usize, self.now) {
            self.set(Timer::Connect, None);
            if self.sockets.joined() == 0 {
                self.end(DisconnectReason::ForcedServerClose);
            }
        }
        while let Some(namespace) = self.pop_expired_request() {
            self.answer_refused(&namespace, "timeout");
        }
        while let Some((socket, id)) = self.acks.pop_expired(self.now) {
            self.inbox.push_outcome(Outcome { socket, id, outcome: Err(AckError::Timeout) });
        }
        self.set(Timer::Ack, self.acks.earliest());
        self.inbox.release();
        self.pump();
    }

    /// The id for the socket that [`Connection::accept`] creates, unless it has one from before. `random` is 15 bytes of a
    /// cryptographically secure generator.
    ///
    /// For a client of protocol 5, this is [`SocketId::from_random`]. A client of protocol 4 derives the ids of its sockets, and
    /// never learns another: the id of the session for `/`, and `/admin#id` for `/admin`. `random` is then used only if the name
    /// of the namespace cannot be part of an id (see [`SocketId::new`]).
    #[must_use]
    pub fn socket_id(&self, pending: &Pending, random: [u8; 15]) -> SocketId {
        let derived =
            if self.is_protocol_4() { protocol_4::socket_id(self.session.sid(), pending.namespace()) } else { None };
        derived.unwrap_or_else(|| SocketId::from_random(random))
    }

    /// Accepts the request to join a namespace: queues the CONNECT reply with the socket's id, which is not sent to a client of
    /// protocol 4 (see [`Connection::socket_id`]). From now on the peer can send events.
    ///
    /// # Errors
    /// [`EmitError::Disconnected`] if the connection is closed, or if the request was refused after
    /// [`Config::connect_timeout`]. [`EmitError::Encode`] if the parser cannot encode the reply; the peer is then refused. Any other
    /// error means that the reply could not be queued; the connection is then closing. In all cases `id` is unused and the socket
    /// does not exist.
    pub fn accept(&mut self, now: Instant, pending: Pending, id: &SocketId) -> Result<SocketHandle, EmitError> {
        self.accept_with(now, pending, id, None, &[])
    }

    /// Same as [`Connection::accept`], for a socket whose client may return after a lost connection: the reply has its private id too.
    /// If the client has returned, `missed` is what it has missed ([`Namespace::restore`](super::Namespace::restore)). These packets are
    /// queued before the reply, as in the reference: the client keeps them until the reply arrives.
    ///
    /// # Errors
    /// As [`Connection::accept`]. After an error, the client has not joined. To keep the socket for another claim, call
    /// [`Namespace::suspend`](super::Namespace::suspend).
    pub fn accept_recoverable(
        &mut self,
        now: Instant,
        pending: Pending,
        id: &SocketId,
        pid: &PrivateId,
        missed: &[Encoded],
    ) -> Result<SocketHandle, EmitError> {
        self.accept_with(now, pending, id, Some(pid), missed)
    }

    fn accept_with(
        &mut self,
        now: Instant,
        pending: Pending,
        id: &SocketId,
        pid: Option<&PrivateId>,
        missed: &[Encoded],
    ) -> Result<SocketHandle, EmitError> {
        #[derive(Serialize)]
        struct Accepted<'a> {
            sid: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            pid: Option<&'a PrivateId>,
        }

        self.tick(now);
        let socket = pending.socket();
        if !self.sockets.is_pending(socket) {
            return Err(EmitError::Disconnected);
        }
        // The reply is queued before the socket joins. If it does not fit in the queue, the socket never existed, and no disconnect
        // is reported for it.
        let accepted = Accepted { sid: id.as_str(), pid };
        let reply = if self.is_protocol_4() { None } else { Some(&accepted) };
        let result =
            self.encode_control(&Outgoing::new(PacketType::Connect, pending.namespace(), reply)).and_then(|reply| {
                self.send_missed(missed)?;
                self.send_control(&reply)
            });
        if result.is_ok() {
            self.sockets.join(socket);
            self.set(Timer::Connect, None);
        } else {
            self.sockets.remove_pending(socket);
        }
        self.set(Timer::Pending, self.sockets.earliest());
        if let Err(EmitError::Encode(_)) = result {
            self.answer_refused(pending.namespace(), "internal error");
        }
        result?;
        Ok(socket)
    }

    /// Refuses the request to join a namespace: queues a CONNECT_ERROR with `{"message": .., "data": ..}`. Does nothing if the
    /// connection is closed or the request was already refused after its timeout.
    ///
    /// A client of protocol 4 gets the data alone, as it is. Without data, or if JavaScript takes it for none (`null`, `false`,
    /// 0, `""`), the client gets the message, as a string.
    ///
    /// # Errors
    /// If `data` cannot be serialised, or for a client of protocol 4, if it is neither an object nor a string. The request is then
    /// refused without it.
    pub fn refuse<D: Serialize + ?Sized>(
        &mut self,
        now: Instant,
        pending: Pending,
        message: &str,
        data: Option<&D>,
    ) -> Result<(), EmitError> {
        #[derive(Serialize)]
        struct Refused<'a, D: ?Sized> {
            message: &'a str,
            data: &'a D,
        }

        self.tick(now);
        if self.sockets.remove_pending(pending.socket()).is_none() {
            return Ok(());
        }
        self.set(Timer::Pending, self.sockets.earliest());
        let Some(data) = data else {
            self.answer_refused(pending.namespace(), message);
            return Ok(());
        };
        let result = if !self.is_protocol_4() {
            self.control(PacketType::ConnectError, pending.namespace(), Some(&Refused { message, data }))
        } else if protocol_4::is_falsy(data) {
            self.control(PacketType::ConnectError, pending.namespace(), Some(message))
        } else {
            self.control(PacketType::ConnectError, pending.namespace(), Some(data))
        };
        match result {
            Err(error @ EmitError::Encode(_)) => {
                self.answer_refused(pending.namespace(), message);
                Err(error)
            }
            // The connection is closed: there is no peer left to refuse.
            _ => Ok(()),
        }
    }

    /// Refuses a request to join a namespace that does not exist. Same as [`Connection::refuse`], with the message of the
    /// reference, which is in an object for clients of both protocols.
    pub fn refuse_unknown(&mut self, now: Instant, pending: Pending) {
        self.tick(now);
        if self.sockets.remove_pending(pending.socket()).is_some() {
            self.set(Timer::Pending, self.sockets.earliest());
            self.answer_unknown(pending.namespace());
        }
    }

    /// Sends an event.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; the state is then unchanged.
    pub fn emit<A: Args + ?Sized>(
        &mut self,
        encoder: &mut Encoder,
        socket: SocketHandle,
        event: &str,
        args: &A,
    ) -> Result<(), EmitError> {
        let namespace = self.sockets.namespace(socket).ok_or(EmitError::Disconnected)?;
        let encoded = self.parser.encode(&Outgoing::event(namespace, None, event, args), encoder)?;
        self.queue(encoded)
    }

    /// Sends an event with an ack. The outcome arrives as [`Event::Acked`]. Without a timeout, the outcome arrives when the
    /// peer answers or the socket disconnects.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; the state is then unchanged.
    pub fn emit_with_ack<A: Args + ?Sized>(
        &mut self,
        now: Instant,
        encoder: &mut Encoder,
        socket: SocketHandle,
        event: &str,
        args: &A,
        timeout: Option<Duration>,
    ) -> Result<AckId, EmitError> {
        self.tick(now);
        let namespace = self.sockets.namespace(socket).ok_or(EmitError::Disconnected)?;
        if self.acks.len() >= self.config.limits.max_awaited_acks {
            return Err(EmitError::TooManyAcks);
        }
        let id = self.acks.next_id(socket);
        let encoded = self.parser.encode(&Outgoing::event(namespace, Some(id.0.into()), event, args), encoder)?;
        self.session.send_frames(encoded.frames())?;
        self.expect(socket, id, timeout);
        Ok(id)
    }

    /// Sends an encoded packet. The packet must be for the namespace of this socket. Accepts the packet itself, or a reference
    /// to a packet that is sent to several peers.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; the state is then unchanged.
    pub fn send(&mut self, socket: SocketHandle, encoded: impl Into<Encoded>) -> Result<(), EmitError> {
        self.sockets.namespace(socket).ok_or(EmitError::Disconnected)?;
        self.queue(encoded.into())
    }

    /// Same as [`Connection::send`], for a packet that carries the ack id `id`. The outcome arrives as [`Event::Acked`].
    ///
    /// Either take even ids from a single counter that only grows, or do not mix this method with
    /// [`Connection::emit_with_ack`]: the ids of `emit_with_ack` are even, and greater than every even id passed to this
    /// method.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; the state is then unchanged.
    pub fn send_with_ack(
        &mut self,
        now: Instant,
        socket: SocketHandle,
        encoded: &Encoded,
        id: AckId,
        timeout: Option<Duration>,
    ) -> Result<(), EmitError> {
        self.tick(now);
        self.sockets.namespace(socket).ok_or(EmitError::Disconnected)?;
        if self.acks.len() >= self.config.limits.max_awaited_acks || self.acks.contains(socket, id) {
            return Err(EmitError::TooManyAcks);
        }
        self.session.send_frames(encoded.frames())?;
        self.expect(socket, id, timeout);
        Ok(())
    }

    /// Sends the ack of an event. It is sent as long as the session is open, even if the socket has left its namespace.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; nothing is sent, and the peer gets no ack.
    pub fn ack<A: Args + ?Sized>(&mut self, encoder: &mut Encoder, token: AckToken, args: &A) -> Result<(), EmitError> {
        let encoded = self.parser.encode(&Outgoing::ack(token.namespace(), token.id(), args), encoder)?;
        self.send_ack(encoded)
    }

    /// Same as [`Connection::ack`], for an ACK packet that is already encoded.
    ///
    /// # Errors
    /// Fails with an [`EmitError`]; the state is then unchanged.
    pub fn send_ack(&mut self, encoded: impl Into<Encoded>) -> Result<(), EmitError> {
        self.queue(encoded.into())
    }

    /// Disconnects a socket from its namespace; the connection stays open. Unread [`Event::Received`] events of the socket are
    /// dropped. [`Event::Disconnecting`] is then the next event of the socket, and [`Event::Disconnected`] the last. Does
    /// nothing if the socket does not exist any more.
    pub fn disconnect(&mut self, now: Instant, socket: SocketHandle) {
        self.tick(now);
        let Some(namespace) = self.sockets.remove_joined(socket) else { return };
        self.inbox.retain(|event| !matches!(event, Event::Received { socket: of, .. } if *of == socket));
        self.left(socket, DisconnectReason::ServerNamespaceDisconnect);
        self.tell_left(&namespace);
        self.pump();
    }

    /// Disconnects all sockets, then closes the connection gracefully: queued packets are sent first. Unread events of the peer
    /// are dropped, and pending requests to join a namespace get no answer.
    pub fn close(&mut self, now: Instant) {
        self.tick(now);
        if self.phase != Phase::Open {
            return;
        }
        self.drop_unread();
        while let Some((socket, namespace)) = self.sockets.pop_joined() {
            self.left(socket, DisconnectReason::ServerNamespaceDisconnect);
            self.tell_left(&namespace);
        }
        self.end(DisconnectReason::ServerNamespaceDisconnect);
        self.pump();
    }

    /// Closes the connection for a server shutdown. The reason of the sockets is `server shutting down`. Queued packets are
    /// sent, but no DISCONNECT, because clients of the reference would not reconnect after one. Unread events of the peer are
    /// dropped.
    pub fn shut_down(&mut self, now: Instant) {
        self.tick(now);
        if self.phase != Phase::Open {
            return;
        }
        self.drop_unread();
        self.end(DisconnectReason::ServerShuttingDown);
        self.pump();
    }

    /// Closes the session gracefully without a DISCONNECT: queued packets are sent first, and clients of the reference reconnect. The
    /// reason of the sockets is `forced close`. Unread events of the peer are dropped. (socket.io: `socket.conn.close()`)
    pub fn close_session(&mut self, now: Instant) {
        self.tick(now);
        if self.phase != Phase::Open {
            return;
        }
        self.drop_unread();
        self.end(DisconnectReason::Closed(CloseReason::ForcedClose));
        self.pump();
    }

    /// Closes the connection immediately. Queued packets and unread events of the peer are dropped.
    pub fn discard(&mut self, now: Instant) {
        self.tick(now);
        self.drop_unread();
        if self.phase == Phase::Open {
            // The session may hold messages that follow the dropped ones. They would be passed to the application after a gap.
            self.phase = Phase::Closing;
        }
        self.session.discard(self.now);
        self.pump();
    }

    /// Returns the next thing to write.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.session.poll_transmit();
        // Sending can free capacity in the queue, or end the session.
        self.undrained |= self.session.has_events();
        transmit
    }

    /// Same as [`Session::poll_control`].
    #[inline]
    pub fn poll_control(&mut self) -> Option<Transmit> {
        let transmit = self.session.poll_control();
        self.undrained |= self.session.has_events();
        transmit
    }

    /// Same as [`Session::poll_frames`].
    #[inline]
    pub fn poll_frames(&mut self, link: LinkId, write: impl FnMut(&Frame) -> bool) {
        self.session.poll_frames(link, write);
        self.undrained |= self.session.has_events();
    }

    /// Returns the next event. Outcomes of acks come before all other events.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.undrained { self.poll_undrained() } else { self.inbox.pop() }
    }

    /// Refills the capacity that the next event frees. If the inbox is empty, takes the next event after refilling it.
    fn poll_undrained(&mut self) -> Option<Event> {
        let mut event = self.inbox.pop();
        while self.undrained {
            self.pump();
            if event.is_some() || self.inbox.is_empty() {
                break;
            }
            event = self.inbox.pop();
        }
        event
    }

    /// Whether [`Connection::poll_event`] may return an event. Use it to decide whether another round of polling is needed.
    #[must_use]
    #[inline]
    pub fn has_events(&self) -> bool {
        self.undrained || !self.inbox.is_empty()
    }

    /// Same as [`Connection::poll_event`], but returns only the outcomes of acks. Use it while the application is not ready for
    /// more events, but may be waiting for an ack.
    pub fn poll_outcome(&mut self) -> Option<Event> {
        self.inbox.pop_outcome()
    }

    /// When to call [`Connection::handle_timeout`]; `None` if no timeout is armed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (self.session.poll_timeout(), self.timers.earliest()) {
            (Some(lower), Some(own)) => Some(lower.min(own)),
            (lower, own) => lower.or(own),
        }
    }

    /// Whether to continue reading from the peer's link. Returns false while too many unread events are buffered, unless an ack
    /// is awaited.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.session.wants_input()
    }

    /// Whether the session can send a packet immediately.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.session.is_writable()
    }

    /// Whether to send a volatile event now: send it if this returns true, and drop it otherwise. If a dropped event has an
    /// ack, its outcome is [`AckError::Disconnected`]. Set `link_is_flushed` if the link has nothing left to write.
    #[must_use]
    pub fn can_send_volatile(&self, link_is_flushed: bool) -> bool {
        link_is_flushed && self.is_writable()
    }

    /// Number of bytes that are queued for sending.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.session.buffered_bytes()
    }

    /// Whether the connection is closed and has nothing left to send or report. The driver then drops the connection and
    /// forgets its session id.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::Closed && self.inbox.is_empty() && self.session.is_drained()
    }

    fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        self.timers.set(timer as usize, deadline.unwrap_or(Instant::FAR_FUTURE));
    }

    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
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
                self.overflow(CloseReason::TransportError(TransportError::InboundOverflow));
            }
            let Some(event) = self.session.poll_event() else { return };
            self.take(event);
        }
    }

    #[inline]
    fn take(&mut self, event: LowerEvent) {
        match event {
            LowerEvent::Message(message) => self.receive(message),
            LowerEvent::Open => self.opened(),
            LowerEvent::Writable => self.inbox.set_writable(true),
            LowerEvent::Closed(reason) => self.closed(reason),
            LowerEvent::Upgraded(kind) => self.inbox.push_rare(Event::Upgraded(kind), 0),
            _ => {}
        }
    }

    fn opened(&mut self) {
        self.set(Timer::Connect, Some(self.now + self.config.connect_timeout));
        if self.is_protocol_4() {
            self.connect(ROOT, None, 0);
        }
    }

    /// Whether the client uses protocol 4 instead of 5.
    #[inline]
    fn is_protocol_4(&self) -> bool {
        self.session.revision() == Revision::V3
    }

    /// Whether to stop taking events from the session for now.
    #[inline]
    fn is_full(&self) -> bool {
        self.phase == Phase::Open && self.inbox.is_full(&self.session.config().limits, !self.acks.is_empty())
    }

    #[inline]
    fn receive(&mut self, message: Message) {
        if self.phase != Phase::Open {
            return;
        }
        match self.assembly.receive(message) {
            Ok(None) => {}
            Ok(Some(packet)) => {
                let bytes = self.assembly.take_bytes();
                if self.is_protocol_4() {
                    self.dispatch_of_protocol_4(packet, bytes);
                } else {
                    self.dispatch(packet, bytes);
                }
            }
            Err(error) => {
                self.fault = Some(error.into());
                self.end(DisconnectReason::Closed(CloseReason::ForcedClose));
            }
        }
    }

    // Inlined, so that the packet is not moved once more.
    #[inline(always)]
    fn dispatch(&mut self, packet: Packet, bytes: usize) {
        let Packet { packet_type, namespace, id, payload } = packet;
        if packet_type == PacketType::Connect {
            self.connect(namespace, payload, bytes);
            return;
        }
        let Some(socket) = self.sockets.find(&namespace) else {
            self.unexpected_packet(Fault::NotJoined);
            return;
        };
        match (packet_type, payload) {
            (PacketType::Event, Some(payload)) => {
                let ack = id.map(|id| AckToken::new(socket, namespace, id, 0));
                self.inbox.push(Event::Received { socket, payload, ack }, bytes);
            }
            (PacketType::Ack, payload) => {
                let Some(id) = self.acks.answered(socket, id) else { return };
                let Some(payload) = payload.or_else(|| Payload::no_arguments(&self.config.limits)) else {
                    self.unexpected_packet(Fault::UnexpectedPacket);
                    return;
                };
                self.acks.remove(socket, id);
                self.set(Timer::Ack, self.acks.earliest());
                self.inbox.push_outcome(Outcome { socket, id, outcome: Ok(payload) });
            }
            (PacketType::Disconnect, _) => {
                self.sockets.remove_joined(socket);
                self.left(socket, DisconnectReason::ClientNamespaceDisconnect);
            }
            // A client cannot refuse, and an event without a name cannot be dispatched.
            _ => self.unexpected_packet(Fault::UnexpectedPacket),
        }
    }

    /// Handles a packet of protocol 4: the namespace loses its query, which becomes the payload of a CONNECT.
    #[cold]
    fn dispatch_of_protocol_4(&mut self, packet: Packet, bytes: usize) {
        let (namespace, query) = protocol_4::split(packet.namespace);
        let payload = match packet.packet_type {
            PacketType::Connect => query.and_then(|query| protocol_4::auth(&query, &self.config.limits)),
            _ => packet.payload,
        };
        self.dispatch(Packet { namespace, payload, ..packet }, bytes);
    }

    fn connect(&mut self, namespace: Text, auth: Option<Payload>, bytes: usize) {
        if self.sockets.contains(&namespace) {
            self.unexpected_packet(Fault::ConnectedTwice);
            return;
        }
        let limits = &self.config.limits;
        if namespace.len() > limits.max_namespace_length {
            self.answer_unknown(&namespace);
            return;
        }
        let pending = self.sockets.pending();
        if pending >= limits.max_pending || self.sockets.joined().saturating_add(pending) >= limits.max_namespaces {
            self.answer_refused(&namespace, "too many namespaces");
            return;
        }
        let Some(socket) = self.sockets.request(&namespace, self.now + self.config.connect_timeout) else {
            self.answer_refused(&namespace, "too many namespaces");
            return;
        };
        self.set(Timer::Pending, self.sockets.earliest());
        self.inbox.push_rare(Event::ConnectRequested(Pending::new(socket, namespace, auth)), bytes);
    }

    fn pop_expired_request(&mut self) -> Option<Text> {
        if !self.timers.is_due(Timer::Pending as usize, self.now) {
            return None;
        }
        let expired = self.sockets.pop_expired(self.now);
        self.set(Timer::Pending, self.sockets.earliest());
        expired
    }

    fn expect(&mut self, socket: SocketHandle, id: AckId, timeout: Option<Duration>) {
        self.acks.insert(socket, id, timeout.map(|timeout| self.now + timeout));
        self.set(Timer::Ack, self.acks.earliest());
        // The ack may already be behind events that were not read.
        if self.undrained {
            self.pump();
        }
    }

    /// Resolves the acks of a socket that was removed, and reports the disconnect.
    fn left(&mut self, socket: SocketHandle, reason: DisconnectReason) {
        while let Some(id) = self.acks.pop_of(socket) {
            self.inbox.push_outcome(Outcome { socket, id, outcome: Err(AckError::Disconnected) });
        }
        self.set(Timer::Ack, self.acks.earliest());
        self.inbox.push_rare(Event::Disconnecting { socket, reason }, 0);
        self.inbox.push_rare(Event::Disconnected { socket, reason }, 0);
        if self.config.rearm_connect_timeout && self.phase == Phase::Open && self.sockets.joined() == 0 {
            self.set(Timer::Connect, Some(self.now + self.config.connect_timeout));
        }
    }

    fn leave_all(&mut self, reason: DisconnectReason) {
        while let Some((socket, _)) = self.sockets.pop_joined() {
            self.left(socket, reason);
        }
        self.timers.clear_all();
        self.assembly = Assembly::new(self.parser.decoder(&self.config.limits));
    }

    /// Handles a misplaced packet. As in the reference, the reason depends on whether the session can send its close packet
    /// immediately.
    fn unexpected_packet(&mut self, fault: Fault) {
        self.fault = Some(fault);
        let at_once = self.session.transport() != Transport::Polling || self.session.is_writable();
        self.end(if at_once {
            DisconnectReason::Closed(CloseReason::ForcedClose)
        } else {
            DisconnectReason::ForcedServerClose
        });
    }

    /// Closes gracefully. The caller must call `pump`.
    fn end(&mut self, reason: DisconnectReason) {
        if self.phase != Phase::Open {
            return;
        }
        self.phase = Phase::Closing;
        self.leave_all(reason);
        self.session.close(self.now);
        self.undrained = true;
    }

    /// Closes immediately because a limit was exceeded. The caller must call `pump`.
    fn overflow(&mut self, reason: CloseReason) {
        if self.phase != Phase::Open {
            return;
        }
        self.phase = Phase::Closing;
        self.reason = Some(reason);
        self.leave_all(DisconnectReason::Closed(reason));
        self.session.discard(self.now);
        self.undrained = true;
    }

    fn closed(&mut self, reason: CloseReason) {
        let reason = self.reason.unwrap_or(reason);
        self.phase = Phase::Closed;
        self.leave_all(DisconnectReason::Closed(reason));
        self.inbox.set_writable(false);
        self.inbox.push_rare(Event::Closed(reason), 0);
    }

    fn drop_unread(&mut self) {
        self.inbox.retain(|event| !matches!(event, Event::Received { .. } | Event::ConnectRequested(_)));
    }

    fn tell_left(&mut self, namespace: &str) {
        // If the queue is full, the connection is closing now, which has the same effect.
        let _ = self.control(PacketType::Disconnect, namespace, None::<&()>);
    }

    fn answer_refused(&mut self, namespace: &str, message: &str) {
        // If the queue is full, the connection is closing now, which refuses the request as well.
        let _ = if self.is_protocol_4() {
            self.control(PacketType::ConnectError, namespace, Some(message))
        } else {
            self.control(PacketType::ConnectError, namespace, Some(&Refusal { message }))
        };
    }

    fn answer_unknown(&mut self, namespace: &str) {
        let refusal = Refusal { message: INVALID_NAMESPACE };
        // As in `answer_refused`.
        let _ = self.control(PacketType::ConnectError, namespace, Some(&refusal));
    }

    // Inlined, because every packet of the application passes here.
    #[inline(always)]
    fn queue(&mut self, encoded: Encoded) -> Result<(), EmitError> {
        match encoded {
            Encoded::One(frame) => self.session.send_frame(frame)?,
            Encoded::Many(frames) => self.session.send_frames(&frames)?,
        }
        Ok(())
    }

    /// Sends a packet that changes the peer's view of its namespaces. If the packet does not fit in the queue, the connection
    /// is closed.
    fn control<A: Args + ?Sized>(
        &mut self,
        packet_type: PacketType,
        namespace: &str,
        args: Option<&A>,
    ) -> Result<(), EmitError> {
        let encoded = self.encode_control(&Outgoing::new(packet_type, namespace, args))?;
        self.send_control(&encoded)
    }

    fn encode_control<A: Args + ?Sized>(&self, packet: &Outgoing<'_, A>) -> Result<Encoded, EmitError> {
        // A dedicated allocation: a shared piece would be almost empty, and would stay alive until the peer has received this
        // packet.
        Ok(self.parser.encode(packet, &mut Encoder::with_piece(0))?)
    }

    /// Sends what a returned client has missed, or closes the connection: the client would not notice a gap.
    fn send_missed(&mut self, missed: &[Encoded]) -> Result<(), EmitError> {
        for packet in missed {
            if let Err(error) = self.session.send_frames(packet.frames()) {
                self.overflow(CloseReason::ForcedClose);
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn send_control(&mut self, encoded: &Encoded) -> Result<(), EmitError> {
        let result = self.session.send_frames(encoded.frames());
        if result == Err(SendError::Full) {
            self.overflow(CloseReason::ForcedClose);
        }
        Ok(result?)
    }
}
