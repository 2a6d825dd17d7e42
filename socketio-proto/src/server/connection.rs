//! One Socket.IO peer, server side, over the Engine.IO session that it owns: which namespaces it has joined, which acks are
//! awaited from it, and what the application has yet to read.
//!
//! The session is drained whenever something is handed in, because most of what it brings is an order to this level: an attachment,
//! an ack, a fault to close for. What is left is put into the [`Inbox`] until `poll_event`. Once the inbox holds
//! [`soft_inbound`](engineio_proto::Limits::soft_inbound) bytes, the rest stays in the session, where it is counted against the
//! same limit and ends in `wants_input() == false`; so a POST body is decoded no faster than it is read. While an ack is awaited,
//! draining goes on up to [`max_inbound`](engineio_proto::Limits::max_inbound), because the ack may stand behind anything.
//!
//! When the peer breaks a rule, its sockets disconnect in the same step, though a polling session may take until the next GET to end.
//! The reference tells its sockets at once after a packet that is out of place, and with the end of the session after one that cannot be
//! decoded; only the moment of the latter differs here, the reasons do not.
//!
//! Source: socket.io `lib/client.ts`, `lib/socket.ts`.

use alloc::vec::Vec;
use core::time::Duration;

use engineio_proto::server::{Carrier, Input, Session, Transmit};
use engineio_proto::{
    Arc, CloseReason, Event as LowerEvent, Frame, Instant, LinkId, Message, SendError, Text, TransportError,
};
use serde::Serialize;

use super::inbox::Inbox;
use super::sockets::Sockets;
use super::timers::{Timer, Timers};
use crate::ack::AwaitedAcks;
use crate::config::Config;
use crate::error::{EmitError, Fault};
use crate::event::{AckError, AckId, AckToken, DisconnectReason, Event, Outcome, Pending, SocketHandle};
use crate::id::SocketId;
use crate::packet::{Encoded, Outgoing, Packet, PacketType};
use crate::parser::{Decoder, Encoder, Json, Parser};
use crate::payload::{Args, Payload};

/// What a client reads that wants to join a namespace that there is not (socket.io `lib/client.ts`, `connect`).
const INVALID_NAMESPACE: &str = "Invalid namespace";

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// It has not: packets are taken in and sent out.
    Open,
    /// This side has closed; the session has yet to end.
    Closing,
    /// The session has ended.
    Closed,
}

/// One Socket.IO peer, server side.
///
/// Hand in facts with [`handle`](Self::handle) and [`handle_timeout`](Self::handle_timeout), give orders with the bare verbs, then take
/// [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) until both are `None`, and sleep until
/// [`poll_timeout`](Self::poll_timeout). Polls may come in any order; reading an event may make room for more input, and so bring
/// new transmits and events.
///
/// Time that goes backwards counts as standing still.
#[derive(Debug)]
pub struct Connection<P: Parser = Json> {
    session: Session,
    parser: P,
    decoder: P::Decoder,
    config: Arc<Config>,
    /// The latest moment that was told.
    now: Instant,
    timers: Timers,
    sockets: Sockets,
    acks: AwaitedAcks,
    inbox: Inbox,
    /// Bytes of the packet whose attachments are being gathered.
    gathered: usize,
    phase: Phase,
    /// What the session's end is reported as when this side has closed for a reason that the session does not know.
    reason: Option<CloseReason>,
    fault: Option<Fault>,
    /// Whether the session may have events, because the inbox was full or something has left.
    undrained: bool,
}

impl<P: Parser> Connection<P> {
    /// A connection over a session that was just accepted.
    #[must_use]
    pub fn new(now: Instant, session: Session, parser: P, config: Arc<Config>) -> Self {
        Self {
            decoder: parser.decoder(&config.limits),
            session,
            parser,
            config,
            now,
            timers: Timers::new(),
            sockets: Sockets::new(),
            acks: AwaitedAcks::new(),
            inbox: Inbox::default(),
            gathered: 0,
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

    /// What the peer did that ended the connection, if it is that which did: known from the moment on that its sockets are told to leave.
    #[must_use]
    pub const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// A fact from outside.
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

    /// The deadline has passed. Does nothing before its time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
        self.session.handle_timeout(self.now);
        // What has arrived is looked at before a deadline that it may answer.
        self.pump();
        if self.timers.is_due(Timer::Connect, self.now) {
            self.timers.set(Timer::Connect, None);
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
        self.timers.set(Timer::Ack, self.acks.earliest());
        self.inbox.release();
        self.pump();
    }

    /// Lets the peer join: the CONNECT reply with the socket's id is queued. Events of the peer may come from now on.
    ///
    /// # Errors
    /// [`EmitError::Disconnected`] when the connection is gone or the request was refused meanwhile, for it had waited longer than
    /// [`Config::connect_timeout`]. Any other error means that the reply could not be queued, and that the connection is therefore
    /// closing. In either case `id` is unused and there is no such socket.
    pub fn accept(&mut self, now: Instant, pending: Pending, id: &SocketId) -> Result<SocketHandle, EmitError> {
        #[derive(Serialize)]
        struct Accepted<'a> {
            sid: &'a str,
        }

        self.tick(now);
        let socket = pending.socket();
        if !self.sockets.is_pending(socket) {
            return Err(EmitError::Disconnected);
        }
        // The reply first: if there is no room for it, there never was such a socket, and nobody is told of its end.
        let result = self.control(PacketType::Connect, pending.namespace(), Some(&Accepted { sid: id.as_str() }));
        if result.is_ok() {
            self.sockets.join(socket);
            self.timers.set(Timer::Connect, None);
        } else {
            self.sockets.remove_pending(socket);
        }
        self.timers.set(Timer::Pending, self.sockets.earliest());
        result?;
        Ok(socket)
    }

    /// Refuses: CONNECT_ERROR with `{"message": .., "data": ..}` is queued. Does nothing when the connection is gone or the request was
    /// refused meanwhile.
    ///
    /// # Errors
    /// When the data cannot be serialised; the peer is then refused without it.
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
        self.timers.set(Timer::Pending, self.sockets.earliest());
        let Some(data) = data else {
            self.answer_refused(pending.namespace(), message);
            return Ok(());
        };
        let result = self.control(PacketType::ConnectError, pending.namespace(), Some(&Refused { message, data }));
        match result {
            Err(error @ EmitError::Encode(_)) => {
                self.answer_refused(pending.namespace(), message);
                Err(error)
            }
            // A connection that is gone has nobody to be refused.
            _ => Ok(()),
        }
    }

    /// Refuses a peer that wants to join a namespace that there is not. As [`Connection::refuse`], with the reference's message.
    pub fn refuse_unknown(&mut self, now: Instant, pending: Pending) {
        // Only data could fail.
        let _ = self.refuse(now, pending, INVALID_NAMESPACE, None::<&()>);
    }

    /// Sends an event.
    ///
    /// # Errors
    /// [`EmitError`]; nothing has changed then.
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

    /// Sends an event that the peer is to answer; [`Event::Acked`] brings the outcome. Without a timeout it comes with the answer or
    /// when the socket disconnects.
    ///
    /// # Errors
    /// [`EmitError`]; nothing has changed then.
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

    /// Sends a packet that was encoded before, for this socket's namespace. Takes the packet, or a reference to one that others get too.
    ///
    /// # Errors
    /// [`EmitError`]; nothing has changed then.
    pub fn send(&mut self, socket: SocketHandle, encoded: impl Into<Encoded>) -> Result<(), EmitError> {
        self.sockets.namespace(socket).ok_or(EmitError::Disconnected)?;
        self.queue(encoded.into())
    }

    /// As [`Connection::send`], for a packet that carries this ack id; [`Event::Acked`] brings the outcome.
    ///
    /// Take even ids from one counter of your own that only grows, or do not mix this with [`Connection::emit_with_ack`]: its ids are
    /// even, and greater than every even id that was passed here.
    ///
    /// # Errors
    /// [`EmitError`]; nothing has changed then.
    pub fn send_expecting(
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

    /// Answers an event. Sent as long as the session is open, also when the socket has left its namespace.
    ///
    /// # Errors
    /// [`EmitError`]; nothing was sent then, and the peer will not be answered.
    pub fn ack<A: Args + ?Sized>(&mut self, encoder: &mut Encoder, token: AckToken, args: &A) -> Result<(), EmitError> {
        let encoded = self.parser.encode(&Outgoing::ack(token.namespace(), token.id(), args), encoder)?;
        self.send_ack(encoded)
    }

    /// As [`Connection::ack`], with an ACK packet that was encoded before.
    ///
    /// # Errors
    /// [`EmitError`]; nothing has changed then.
    pub fn send_ack(&mut self, encoded: impl Into<Encoded>) -> Result<(), EmitError> {
        self.queue(encoded.into())
    }

    /// Makes a socket leave its namespace; the connection stays. What the application has not read of the socket's events is dropped:
    /// [`Event::Disconnecting`] is the next one of it, [`Event::Disconnected`] the last. Does nothing when the socket is gone.
    pub fn disconnect(&mut self, now: Instant, socket: SocketHandle) {
        self.tick(now);
        let Some(namespace) = self.sockets.remove_joined(socket) else { return };
        self.inbox.retain(|event| !matches!(event, Event::Received { socket: of, .. } if *of == socket));
        self.left(socket, DisconnectReason::ServerNamespaceDisconnect);
        self.tell_left(&namespace);
        self.pump();
    }

    /// Makes every socket leave its namespace, then closes the connection in order: what is queued goes out first. Unread events of
    /// the peer are dropped, and requests that wait for an answer go unanswered.
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

    /// Closes for the server's shutdown: sockets see `server shutting down`, no DISCONNECT is sent (clients of the reference would not
    /// reconnect), what is queued goes out. Unread events of the peer are dropped.
    pub fn shut_down(&mut self, now: Instant) {
        self.tick(now);
        if self.phase != Phase::Open {
            return;
        }
        self.drop_unread();
        self.end(DisconnectReason::ServerShuttingDown);
        self.pump();
    }

    /// Closes at once; what is queued in either direction is lost.
    pub fn discard(&mut self, now: Instant) {
        self.tick(now);
        self.drop_unread();
        self.session.discard(self.now);
        self.pump();
    }

    /// The next thing to write.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.session.poll_transmit();
        // What leaves can make room, or end the session.
        self.undrained |= self.session.has_events();
        transmit
    }

    /// As [`Session::poll_control`].
    #[inline]
    pub fn poll_control(&mut self) -> Option<Transmit> {
        let transmit = self.session.poll_control();
        self.undrained |= self.session.has_events();
        transmit
    }

    /// As [`Session::poll_frames`].
    #[inline]
    pub fn poll_frames(&mut self, link: LinkId, write: impl FnMut(&Frame) -> bool) {
        self.session.poll_frames(link, write);
        self.undrained |= self.session.has_events();
    }

    /// The next thing that happened. Outcomes of acks come before everything else that waits.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.inbox.pop();
        if self.undrained { self.poll_undrained(event) } else { event }
    }

    /// Fills the room that an event has left, or takes the next one from there when there was none.
    fn poll_undrained(&mut self, mut event: Option<Event>) -> Option<Event> {
        while self.undrained {
            self.pump();
            if event.is_some() || self.inbox.is_empty() {
                break;
            }
            event = self.inbox.pop();
        }
        event
    }

    /// Whether [`Connection::poll_event`] may have something to give: for whoever decides whether another round is worth it.
    #[must_use]
    #[inline]
    pub fn has_events(&self) -> bool {
        self.undrained || !self.inbox.is_empty()
    }

    /// As [`Connection::poll_event`], but outcomes of acks alone: for an application that is not ready for more events, and in which
    /// somebody may wait for an ack before it is.
    pub fn poll_outcome(&mut self) -> Option<Event> {
        self.inbox.pop_outcome()
    }

    /// When to call [`Connection::handle_timeout`]; `None` when nothing is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (self.session.poll_timeout(), self.timers.earliest()) {
            (Some(lower), Some(own)) => Some(lower.min(own)),
            (lower, own) => lower.or(own),
        }
    }

    /// Whether the driver should go on reading from the peer's link. False while unread events pile up, unless an ack is awaited.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.session.wants_input()
    }

    /// Whether an event would leave the machine at once.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.session.is_writable()
    }

    /// What volatile means: such an event is sent when this is true, and dropped otherwise. Whoever waits for its ack learns then that
    /// there will be none ([`AckError::Disconnected`]). `link_is_flushed` says that the link has nothing left to write.
    #[must_use]
    pub fn takes_volatile(&self, link_is_flushed: bool) -> bool {
        link_is_flushed && self.is_writable()
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.session.buffered_bytes()
    }

    /// Whether the connection is over and has nothing left to say: the driver drops it, and the id of its session.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::Closed && self.inbox.is_empty() && self.session.is_drained()
    }

    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Takes what the session has, as far as the inbox has room.
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
            LowerEvent::Open => self.timers.set(Timer::Connect, Some(self.now + self.config.connect_timeout)),
            LowerEvent::Writable => self.inbox.set_writable(true),
            LowerEvent::Closed(reason) => self.closed(reason),
            // The carrier is the session's business.
            _ => {}
        }
    }

    /// Whether nothing more is taken from the session for now. As there, one event may be as large as it is: it does not end the
    /// connection of a peer that has yet to send an ack.
    #[inline]
    fn is_full(&self) -> bool {
        let full = self.phase == Phase::Open && self.inbox.bytes() >= self.inbox_limit();
        full && (self.acks.is_empty() || self.inbox.has_several())
    }

    fn inbox_limit(&self) -> usize {
        let limits = &self.session.config().limits;
        let limit = if self.acks.is_empty() { limits.soft_inbound } else { limits.max_inbound };
        // With a limit of nothing, there would be nothing to read that could make room.
        limit.max(1)
    }

    #[inline]
    fn receive(&mut self, message: Message) {
        if self.phase != Phase::Open {
            return;
        }
        self.gathered = self.gathered.saturating_add(message.len());
        match self.decoder.decode(message) {
            Ok(None) => {}
            Ok(Some(packet)) => {
                let bytes = core::mem::take(&mut self.gathered);
                self.dispatch(packet, bytes);
            }
            Err(error) => {
                self.fault = Some(error.into());
                self.end(DisconnectReason::Closed(CloseReason::ForcedClose));
            }
        }
    }

    #[inline]
    fn dispatch(&mut self, packet: Packet, bytes: usize) {
        let Packet { packet_type, namespace, id, payload } = packet;
        if packet_type == PacketType::Connect {
            self.connect(namespace, payload, bytes);
            return;
        }
        let Some(socket) = self.sockets.find(&namespace) else {
            self.misused(Fault::NotJoined);
            return;
        };
        match (packet_type, payload) {
            (PacketType::Event, Some(payload)) => {
                let ack = id.map(|id| AckToken::new(socket, namespace, id));
                self.inbox.push(Event::Received { socket, payload, ack }, bytes);
            }
            (PacketType::Ack, payload) => {
                // An id that is unknown, or none at all, is no fault: the ack may have timed out.
                let id = id.and_then(|id| u32::try_from(id).ok()).map(AckId);
                let Some(id) = id.filter(|&id| self.acks.contains(socket, id)) else { return };
                let Some(payload) = payload.or_else(|| self.no_arguments()) else {
                    self.misused(Fault::Misplaced);
                    return;
                };
                self.acks.remove(socket, id);
                self.timers.set(Timer::Ack, self.acks.earliest());
                self.inbox.push_outcome(Outcome { socket, id, outcome: Ok(payload) });
            }
            (PacketType::Disconnect, _) => {
                self.sockets.remove_joined(socket);
                self.left(socket, DisconnectReason::ClientNamespaceDisconnect);
            }
            // A client has nobody to refuse, and an event without a name cannot be given to anybody.
            _ => self.misused(Fault::Misplaced),
        }
    }

    /// The payload of an ACK that came without one.
    fn no_arguments(&self) -> Option<Payload> {
        Payload::from_json(PacketType::Ack, Text::from_static("[]"), Vec::new(), &self.config.limits).ok()
    }

    fn connect(&mut self, namespace: Text, auth: Option<Payload>, bytes: usize) {
        if self.sockets.contains(&namespace) {
            self.misused(Fault::ConnectedTwice);
            return;
        }
        let limits = &self.config.limits;
        if namespace.len() > limits.max_namespace_length {
            self.answer_refused(&namespace, INVALID_NAMESPACE);
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
        self.timers.set(Timer::Pending, self.sockets.earliest());
        self.inbox.push(Event::ConnectRequested(Pending::new(socket, namespace, auth)), bytes);
    }

    fn pop_expired_request(&mut self) -> Option<Text> {
        if !self.timers.is_due(Timer::Pending, self.now) {
            return None;
        }
        let expired = self.sockets.pop_expired(self.now);
        self.timers.set(Timer::Pending, self.sockets.earliest());
        expired
    }

    fn expect(&mut self, socket: SocketHandle, id: AckId, timeout: Option<Duration>) {
        self.acks.insert(socket, id, timeout.map(|timeout| self.now + timeout));
        self.timers.set(Timer::Ack, self.acks.earliest());
        // The answer may already stand behind events that nobody reads.
        if self.undrained {
            self.pump();
        }
    }

    /// A socket was removed: resolves its acks and tells the application.
    fn left(&mut self, socket: SocketHandle, reason: DisconnectReason) {
        while let Some(id) = self.acks.pop_of(socket) {
            self.inbox.push_outcome(Outcome { socket, id, outcome: Err(AckError::Disconnected) });
        }
        self.timers.set(Timer::Ack, self.acks.earliest());
        self.inbox.push(Event::Disconnecting { socket, reason }, 0);
        self.inbox.push(Event::Disconnected { socket, reason }, 0);
        if self.config.rearm_connect_timeout && self.phase == Phase::Open && self.sockets.joined() == 0 {
            self.timers.set(Timer::Connect, Some(self.now + self.config.connect_timeout));
        }
    }

    fn leave_all(&mut self, reason: DisconnectReason) {
        while let Some((socket, _)) = self.sockets.pop_joined() {
            self.left(socket, reason);
        }
        self.timers = Timers::new();
        self.decoder = self.parser.decoder(&self.config.limits);
        self.gathered = 0;
    }

    /// The peer sent a packet that is out of place. As in the reference, the sockets' reason says whether the session could end at once.
    fn misused(&mut self, fault: Fault) {
        self.fault = Some(fault);
        let at_once = self.session.carrier() != Carrier::Polling || self.session.is_writable();
        self.end(if at_once {
            DisconnectReason::Closed(CloseReason::ForcedClose)
        } else {
            DisconnectReason::ForcedServerClose
        });
    }

    /// Closes in order. The caller pumps.
    fn end(&mut self, reason: DisconnectReason) {
        if self.phase != Phase::Open {
            return;
        }
        self.phase = Phase::Closing;
        self.leave_all(reason);
        self.session.close(self.now);
        self.undrained = true;
    }

    /// A limit is exceeded: closes at once. The caller pumps.
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
        self.inbox.push(Event::Closed(reason), 0);
    }

    fn drop_unread(&mut self) {
        self.inbox.retain(|event| !matches!(event, Event::Received { .. } | Event::ConnectRequested(_)));
    }

    fn tell_left(&mut self, namespace: &str) {
        // Without room for it the connection is closing now, which says the same.
        let _ = self.control(PacketType::Disconnect, namespace, None::<&()>);
    }

    fn answer_refused(&mut self, namespace: &str, message: &str) {
        #[derive(Serialize)]
        struct Refused<'a> {
            message: &'a str,
        }

        // Without room for it the connection is closing now, which refuses too.
        let _ = self.control(PacketType::ConnectError, namespace, Some(&Refused { message }));
    }

    #[inline]
    fn queue(&mut self, encoded: Encoded) -> Result<(), EmitError> {
        match encoded {
            Encoded::One(frame) => self.session.send_frame(frame)?,
            Encoded::Many(frames) => self.session.send_frames(&frames)?,
        }
        Ok(())
    }

    /// Sends a packet that the peer's view of its namespaces hangs on: if there is no room for it, the connection cannot go on.
    fn control<A: Args + ?Sized>(
        &mut self,
        packet_type: PacketType,
        namespace: &str,
        args: Option<&A>,
    ) -> Result<(), EmitError> {
        let packet = Outgoing { packet_type, namespace, id: None, event: None, args };
        // For one packet: a piece that other packets share would be all but empty, and alive until the peer has taken this one.
        let encoded = self.parser.encode(&packet, &mut Encoder::with_piece(0))?;
        let result = self.session.send_frames(encoded.frames());
        if result == Err(SendError::Full) {
            self.overflow(CloseReason::ForcedClose);
        }
        Ok(result?)
    }
}
