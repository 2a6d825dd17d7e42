//! One Engine.IO peer, server side: what goes in, what comes out, and how it lives and ends.
//!
//! This file has the verbs and the life of a session (opening, open, closing, closed). Its neighbours tell the rest: requests in
//! `polling.rs`, links and the upgrade in `link.rs`, pings and pongs in `heartbeat.rs`.
//!
//! Source: engine.io `lib/socket.ts` (`onOpen`, `onPacket`, `sendPacket`, `close`, `onClose`).

use alloc::boxed::Box;

use bytes::Bytes;

use super::heartbeat::Heartbeat;
use super::link::Link;
use super::polling::Polling;
use super::{Ask, AskKind, Handshake, Refusal, upgrade};
use crate::config::Config;
use crate::error::SendError;
use crate::event::{CloseReason, Event, LinkKind, TransportError};
use crate::http::{ContentType, Response};
use crate::id::{LinkId, RequestId, Sid};
use crate::message::Message;
use crate::packet::{Frame, Packet, PacketType};
use crate::payload::jsonp::Callback;
use crate::queue::{Queue, Weigh, WeighedQueue};
use crate::shared::Arc;
use crate::time::Instant;
use crate::timer::Timers;

/// A fact from outside.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// A GET came. It is answered when there is something to say.
    Poll {
        /// Its name.
        request: RequestId,
    },
    /// A POST came; its body follows as [`Input::Body`] or [`Input::BodyRejected`].
    Post {
        /// Its name.
        request: RequestId,
        /// The type of its body.
        content_type: ContentType,
    },
    /// The whole body of a POST.
    Body {
        /// The POST.
        request: RequestId,
        /// Its body.
        body: Bytes,
    },
    /// The driver stopped reading the body of a POST. Answered with the status of the fault, and the session ends.
    BodyRejected {
        /// The POST.
        request: RequestId,
        /// Why.
        fault: BodyFault,
    },
    /// A reply was written to the end. Every reply ends with this or with [`Input::Aborted`].
    Replied {
        /// The request that was answered.
        request: RequestId,
    },
    /// The connection of a request went away before its reply was written to the end. Ends the session if packets may have gone
    /// with it: those of a GET's reply, or those of a POST whose body had not come.
    Aborted {
        /// The request.
        request: RequestId,
    },
    /// A link that was admitted is up.
    LinkUp {
        /// Its name.
        link: LinkId,
        /// What it is.
        kind: LinkKind,
    },
    /// A message of a WebSocket.
    LinkMessage {
        /// The link.
        link: LinkId,
        /// The message.
        message: Message,
    },
    /// Bytes of a WebTransport stream.
    LinkBytes {
        /// The link.
        link: LinkId,
        /// The bytes.
        chunk: Bytes,
    },
    /// A link went down.
    LinkDown {
        /// The link.
        link: LinkId,
        /// Why.
        cause: LinkDownCause,
    },
}

/// Why a driver stopped reading the body of a POST.
///
/// Source: engine.io 6.6.13 `lib/transports/polling.ts`, `onDataRequest`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BodyFault {
    /// It is larger than [`Config::max_payload`]: 413.
    TooLarge,
    /// It came in more chunks than [`Limits::max_body_chunks`](crate::Limits): 413.
    TooManyChunks,
    /// It was not complete within [`Config::body_timeout`]: 408.
    TimedOut,
}

impl BodyFault {
    /// The answer, and why the session ends.
    pub(super) const fn verdict(self) -> (Response, TransportError) {
        match self {
            Self::TooLarge => (Response::empty(413), TransportError::PayloadTooLarge),
            Self::TooManyChunks => (Response::empty(413), TransportError::TooManyChunks),
            Self::TimedOut => (Response::empty(408), TransportError::BodyTimeout),
        }
    }
}

/// Why a link went down.
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkDownCause {
    /// The peer closed it, in order or by ending the connection.
    Closed,
    /// It failed: reset, protocol error, message too large, write error.
    Failed,
}

/// Something to write.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Transmit {
    /// Answer this request.
    Reply {
        /// The request.
        request: RequestId,
        /// Its answer.
        response: Response,
    },
    /// Write this packet to this link.
    Link {
        /// The link.
        link: LinkId,
        /// The packet.
        frame: Frame,
    },
    /// Close this link, after what was handed out for it before: for a WebSocket, by its closing handshake. The session is through with
    /// it and has no deadline for it: the driver bounds how long it waits for the peer's half before it ends the transport.
    CloseLink {
        /// The link.
        link: LinkId,
    },
}

/// What carries a session now.
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// HTTP requests.
    Polling,
    /// A link.
    Link(LinkKind),
}

/// The deadlines of a session; the discriminant is the place in its [`Timers`].
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Timer {
    /// The next ping is due.
    Ping = 0,
    /// The pong must have come.
    Pong = 1,
    /// The probe must have finished.
    Upgrade = 2,
    /// A GET that is held while a probe waits is released.
    Noop = 3,
    /// A GET must have come for the last packets.
    Close = 4,
    /// The first input must have come.
    Opening = 5,
}

impl Timer {
    const ALL: [Self; 6] = [Self::Ping, Self::Pong, Self::Upgrade, Self::Noop, Self::Close, Self::Opening];
}

/// How far a session's life has come.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Accepted; the request or link that opened it has yet to come.
    Opening,
    /// Both sides may send.
    Open,
    /// The application has closed; the last packets wait for a GET.
    Closing,
    /// Over; what was queued for a link is still handed out.
    Closed,
}

/// One Engine.IO peer, server side.
///
/// Hand in facts ([`Session::handle`], [`Session::handle_timeout`]) and commands in any number, then poll
/// ([`Session::poll_event`], [`Session::poll_transmit`]) until both are `None`: taking events can make more to transmit (a large
/// POST is decoded as its messages are taken) and the reverse ([`Event::Writable`]). Then sleep until [`Session::poll_timeout`].
///
/// Time that goes backwards counts as standing still.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub struct Session {
    pub(super) config: Arc<Config>,
    sid: Sid,
    /// The latest time that was ever passed in.
    pub(super) now: Instant,
    timers: Timers<{ Timer::ALL.len() }>,
    pub(super) events: WeighedQueue<Event>,
    pub(super) outbound: WeighedQueue<Frame>,
    /// Replies, and the ends of links: one each for a request or a link that was handed in.
    pub(super) control: Queue<Transmit>,
    /// The link that carries the session.
    pub(super) link: Option<Link>,
    /// Set while the session polls, and after an upgrade until its last POST has been read.
    pub(super) polling: Option<Box<Polling>>,
    /// Why the session ended, until the application has taken it.
    closed: Option<CloseReason>,
    pub(super) stage: Stage,
    pub(super) carrier: Carrier,
    pub(super) heartbeat: Heartbeat,
    /// Whether binary messages leave over a WebSocket as text (`b64` in the handshake's query).
    base64: bool,
    /// What calls with the replies to GETs (`j` in the handshake's query).
    pub(super) jsonp: Option<Callback>,
    /// Whether a `send` was refused for lack of room since the last [`Event::Writable`].
    refused: bool,
}

impl Session {
    pub(super) fn new(Handshake { config, link, base64, jsonp }: Handshake, sid: Sid, now: Instant) -> Self {
        let mut session = Self {
            sid,
            now,
            timers: Timers::new(),
            events: WeighedQueue::new(),
            outbound: WeighedQueue::new(),
            control: Queue::new(),
            link: None,
            polling: None,
            closed: None,
            stage: Stage::Opening,
            carrier: link.map_or(Carrier::Polling, Carrier::Link),
            heartbeat: Heartbeat::new(),
            base64,
            jsonp,
            refused: false,
            config,
        };
        session.set(Timer::Opening, now + session.config.upgrade_timeout);
        session
    }

    /// The session's id.
    #[must_use]
    pub const fn sid(&self) -> Sid {
        self.sid
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What carries the session now; after its end, what carried it last.
    #[must_use]
    pub const fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// Whether this request may come in: ask before a `101` is sent or a body is read.
    ///
    /// A link that names the session is admitted even if nothing can come of it, because another upgrade is under way or the session does
    /// not poll: its first input answers with [`Transmit::CloseLink`]. Clients of the reference expect the `101`.
    ///
    /// # Errors
    /// The response that refuses it: another transport or revision than the session's (400, code 3), a method that is neither
    /// GET nor POST (500), a session that is over (400, code 1).
    ///
    /// Source: engine.io `lib/server.ts`, `verify` and `onWebSocket`; `lib/transports/polling.ts`, `onRequest`.
    pub fn admit(&self, ask: &Ask) -> Result<(), Response> {
        if self.stage == Stage::Closed {
            return Err(ask.refuse(Refusal::UnknownSid));
        }
        let polls = self.carrier == Carrier::Polling;
        match ask.kind {
            _ if !ask.consistent => Err(ask.refuse(Refusal::BadRequest)),
            AskKind::Link(_) => Ok(()),
            AskKind::Poll | AskKind::Post if polls => Ok(()),
            AskKind::Other if polls => Err(Response::empty(500)),
            AskKind::Poll | AskKind::Post | AskKind::Other => Err(ask.refuse(Refusal::BadRequest)),
        }
    }

    /// A fact from outside.
    ///
    /// Names that the session does not know (any more) are harmless, at any time and also after the end: a request is answered, and a link
    /// that comes up is closed; completions of a request and packets of a link are ignored. A reply or a [`Transmit::CloseLink`] may come
    /// for a request or a link that went away before it was polled: drop it.
    ///
    /// What carries packets of the peer comes before a deadline that has passed and was not handed in: the peer may have sent them in time.
    /// A GET and a link that comes up carry none, so that such a deadline fires before them: a session whose pong is missing is gone for
    /// them. Only what opens the session is never too late.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.advance(now);
        if matches!(input, Input::Poll { .. } | Input::LinkUp { .. }) && self.stage != Stage::Opening {
            self.fire_due();
        }
        match input {
            Input::LinkMessage { link, message } => self.link_packet(link, Packet::decode(message)),
            Input::LinkBytes { link, chunk } => self.link_bytes(link, chunk),
            Input::LinkUp { link, kind } => self.link_up(link, kind),
            Input::LinkDown { link, cause } => self.link_down(link, cause),
            Input::Poll { request } => self.poll_came(request),
            Input::Post { request, content_type } => self.post_came(request, content_type),
            Input::Body { request, body } => self.body_came(request, body),
            Input::BodyRejected { request, fault } => self.body_rejected(request, fault),
            Input::Replied { request } => self.replied(request),
            Input::Aborted { request } => self.aborted(request),
        }
    }

    /// [`Session::handle`], then [`Session::poll_event`]: for a layer above that takes every event as soon as it is there. A message that
    /// nothing waits in front of, which is what nearly all input is, is then handed through instead of being queued and taken again.
    #[inline]
    pub fn handle_then_poll(&mut self, now: Instant, input: Input) -> Option<Event> {
        if let Input::LinkMessage { link, message } = &input
            && let Some(message) = self.plain_message(*link, message)
        {
            self.advance(now);
            self.sign_of_life();
            return Some(Event::Message(message));
        }
        self.handle(now, input);
        self.poll_event()
    }

    /// The deadline has passed. Called too early it does nothing, so that a driver need not cancel a timer whose deadline has moved. Called
    /// late, by more than half of [`Config::ping_timeout`], it gives a link the time for one more read before a pong is missing, and a polling
    /// session if a POST has been accepted: what has arrived meanwhile still counts.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.fire_due();
    }

    fn fire_due(&mut self) {
        while let Some((timer, due)) = self.timers.pop_due(self.now) {
            let Some(timer) = Timer::ALL.get(timer) else { return };
            match timer {
                Timer::Ping => self.ping_due(due),
                Timer::Pong => self.pong_missing(due),
                Timer::Upgrade => self.step_upgrade(upgrade::Input::Timeout),
                Timer::Noop => self.noop_due(),
                Timer::Close => self.finish(CloseReason::ForcedClose),
                Timer::Opening => self.finish(CloseReason::TransportError(TransportError::NeverOpened)),
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// As [`Session::send_frames`].
    pub fn send(&mut self, message: Message) -> Result<(), SendError> {
        self.send_frame(Frame::message(message))
    }

    /// Sends encoded packets as one unit: all of them are queued, next to each other, or none.
    ///
    /// # Errors
    /// * [`SendError::NotConnected`] before [`Event::Open`], [`SendError::Closed`] after the end and after [`Session::close`];
    /// * [`SendError::Full`] when the unit and what waits already are more than [`Limits::max_outbound`](crate::Limits)
    ///   (a unit that is larger by itself passes when nothing waits); [`Event::Writable`] comes once half of it is free;
    /// * [`SendError::Separator`] for text with U+001E while the session polls.
    ///
    /// Nothing has changed then.
    pub fn send_frames(&mut self, frames: &[Frame]) -> Result<(), SendError> {
        self.may_send(frames)?;
        for frame in frames {
            self.outbound.push(frame.clone());
        }
        Ok(())
    }

    /// As [`Session::send_frames`], for one packet.
    ///
    /// # Errors
    /// As [`Session::send_frames`].
    #[inline]
    pub fn send_frame(&mut self, frame: Frame) -> Result<(), SendError> {
        self.may_send(core::slice::from_ref(&frame))?;
        self.outbound.push(frame);
        Ok(())
    }

    #[inline]
    fn may_send(&mut self, frames: &[Frame]) -> Result<(), SendError> {
        match self.stage {
            Stage::Opening => return Err(SendError::NotConnected),
            Stage::Closing | Stage::Closed => return Err(SendError::Closed),
            Stage::Open => {}
        }
        let separator = |frame: &Frame| !frame.is_binary() && memchr::memchr(0x1e, frame.data()).is_some();
        if self.carrier == Carrier::Polling && frames.iter().any(separator) {
            return Err(SendError::Separator);
        }
        let waiting = self.buffered_bytes();
        if waiting > 0 {
            let sum = |sum: usize, frame: &Frame| sum.saturating_add(frame.weight());
            if frames.iter().fold(waiting, sum) > self.config.limits.max_outbound {
                self.refused = true;
                return Err(SendError::Full);
            }
        }
        Ok(())
    }

    /// Closes gracefully: what is queued goes out first. Does nothing when the session is closing or closed.
    ///
    /// Over a link, [`Event::Closed`] is there at once; the frames that were queued, then [`Transmit::CloseLink`], are still to
    /// be polled. Over polling it comes when a GET has taken the close packet, or after [`Config::close_timeout`]; a GET takes
    /// what was queued, the next one the close packet. An upgrade under way may still complete, and then carries the rest.
    pub fn close(&mut self, now: Instant) {
        self.advance(now);
        match self.stage {
            Stage::Opening => self.finish(CloseReason::ForcedClose),
            Stage::Open if self.link.is_some() => self.finish(CloseReason::ForcedClose),
            Stage::Open => {
                // A GET that holds with something queued counts as answered with that already: the close packet needs another.
                let answered = self.answer_due_poll();
                if !answered && self.holds_poll() {
                    self.finish(CloseReason::ForcedClose);
                    return;
                }
                self.stage = Stage::Closing;
                self.clear(Timer::Ping);
                self.clear(Timer::Pong);
                self.set(Timer::Close, self.now + self.config.close_timeout);
            }
            Stage::Closing | Stage::Closed => {}
        }
    }

    /// Closes at once; what is queued is lost. A held GET gets the close packet.
    pub fn discard(&mut self, now: Instant) {
        self.advance(now);
        self.drop_link_packets();
        self.finish(CloseReason::ForcedClose);
    }

    /// The next thing to write. Constant time, but for the one reply that joins everything queued for a held GET.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(transmit) = self.poll_control() {
            return Some(transmit);
        }
        if let Some(link) = self.urgent_link()
            && let Some(frame) = self.pop_urgent(link)
        {
            return Some(Transmit::Link { link, frame });
        }
        let link = self.link.as_ref()?.id;
        let frame = self.outbound.pop()?;
        self.room_made();
        Some(Transmit::Link { link, frame: self.link_form(frame) })
    }

    /// The next thing to write that is not a packet of a link: a reply, or the end of a link whose packets have all been polled. For a
    /// driver that takes packets by [`Session::poll_frames`] when their link has room, and must not let a link that takes nothing hold
    /// up the rest.
    #[inline]
    pub fn poll_control(&mut self) -> Option<Transmit> {
        match &self.link {
            _ if !self.control.is_empty() => {}
            None => drop(self.answer_due_poll()),
            Some(link) if self.stage == Stage::Closed && self.outbound.is_empty() && !link.has_urgent() => {
                let link = link.id;
                self.link = None;
                return Some(Transmit::CloseLink { link });
            }
            Some(_) => return None,
        }
        self.control.pop()
    }

    /// The packets for this link that [`Session::poll_transmit`] would give, one after the other, as long as `write` returns true: for a
    /// driver that gathers what it writes to the link. Packets are seen where they lie, which is half the cost of having each of them
    /// handed out.
    #[inline]
    pub fn poll_frames(&mut self, link: LinkId, mut write: impl FnMut(&Frame) -> bool) {
        let mut more = true;
        match &self.link {
            Some(carrier) if carrier.id == link && !carrier.has_urgent() => {}
            _ => {
                while more && let Some(frame) = self.pop_urgent(link) {
                    more = write(&frame);
                }
                if !self.is_carrier(link) {
                    return;
                }
            }
        }
        let plain = self.is_link_plain();
        while more && let Some(frame) = self.outbound.first() {
            more = if plain { write(frame) } else { write(&self.special_form(frame.clone())) };
            self.outbound.drop_first();
        }
        self.room_made();
    }

    /// The next thing that happened. Goes on decoding a POST whose messages had filled the queue.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop();
        if self.polling.is_some() {
            self.decode_body();
        }
        event.or_else(|| self.events.pop()).or_else(|| self.closed.take().map(Event::Closed))
    }

    /// Whether [`Session::poll_event`] has something to give: for whoever decides whether another round is worth it.
    #[must_use]
    #[inline]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty() || self.closed.is_some() || self.is_decoding()
    }

    /// When to call [`Session::handle_timeout`]; `None` when nothing is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.earliest()
    }

    /// Whether the driver should go on reading from the peer's link. False while unread messages pile up, from
    /// [`Limits::soft_inbound`](crate::Limits) on.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.is_backlog(self.unread())
    }

    /// Whether a message would leave at once: the test for volatile messages.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.stage == Stage::Open && self.outbound.is_empty() && (self.link.is_some() || self.holds_poll())
    }

    /// Bytes that wait to be sent: each packet with its own, and 40 for its place in the queue. Packets in the reply to a GET count until
    /// it was written ([`Input::Replied`]).
    #[must_use]
    #[inline]
    pub fn buffered_bytes(&self) -> usize {
        match &self.polling {
            None => self.outbound.weight(),
            Some(polling) => self.outbound.weight().saturating_add(polling.unwritten_bytes()),
        }
    }

    /// Whether the session has ended; packets for its link, answers and events may remain to be taken.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    /// Whether the session is over and has nothing left to say: the driver drops it and its id. Its link may still be closing then, see
    /// [`Transmit::CloseLink`].
    #[must_use]
    pub fn is_drained(&self) -> bool {
        matches!(self.stage, Stage::Closed)
            && self.closed.is_none()
            && self.events.is_empty()
            && self.control.is_empty()
            && self.outbound.is_empty()
            && self.link.is_none()
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    pub(super) fn set(&mut self, timer: Timer, deadline: Instant) {
        self.timers.set(timer as usize, deadline);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.timers.clear(timer as usize);
    }

    /// The first input has come. What answers it is the open packet, and the initial packet if there is one.
    pub(super) fn open(&mut self) {
        self.stage = Stage::Open;
        self.events.push(Event::Open);
        self.clear(Timer::Opening);
        self.set(Timer::Ping, self.now + self.config.ping_interval);
    }

    /// A packet of the peer, in its turn.
    #[inline]
    pub(super) fn receive(&mut self, packet: Packet) {
        match packet.packet_type {
            PacketType::Close => return self.finish(CloseReason::TransportClose),
            _ if self.stage != Stage::Open => return,
            PacketType::Pong => return self.pong_came(),
            PacketType::Ping => return self.finish(CloseReason::TransportError(TransportError::HeartbeatDirection)),
            PacketType::Message => {
                self.events.push(Event::Message(packet.data));
                if self.is_backlog(self.events.weight()) {
                    self.stops_reading();
                }
            }
            // Nothing that an established session has a use for; the reference ignores them too.
            PacketType::Open | PacketType::Upgrade | PacketType::Noop => {}
        }
        self.sign_of_life();
    }

    /// What is in a message packet of the carrier, if nothing stands in its way: no message before it, no POST, no end.
    #[inline]
    fn plain_message(&self, link: LinkId, packet: &Message) -> Option<Message> {
        let open = self.stage == Stage::Open && self.polling.is_none() && self.events.is_empty();
        if !open || self.link.as_ref().is_none_or(|carrier| carrier.id != link) {
            return None;
        }
        match packet {
            Message::Text(text) => text.strip_prefix('4').map(|rest| Message::Text(text.slice_ref(rest))),
            Message::Binary(_) => Some(packet.clone()),
        }
    }

    /// Weight of what the application has yet to read.
    pub(super) fn unread(&self) -> usize {
        let delayed = self.polling.as_ref().map_or(0, |polling| polling.delayed.weight());
        self.events.weight().saturating_add(delayed)
    }

    /// Whether that much unread input is reason to stop; one message always passes.
    pub(super) fn is_backlog(&self, weight: usize) -> bool {
        weight > 0 && weight >= self.config.limits.soft_inbound
    }

    /// Whether all frames travel over the session's link as they are.
    #[inline]
    fn is_link_plain(&self) -> bool {
        !self.base64 && self.carrier != Carrier::Link(LinkKind::WebTransport)
    }

    /// The form in which a frame travels over the session's link.
    #[inline]
    pub(super) fn link_form(&self, frame: Frame) -> Frame {
        if self.is_link_plain() { frame } else { self.special_form(frame) }
    }

    #[cold]
    fn special_form(&self, frame: Frame) -> Frame {
        match self.carrier {
            // Old browsers only.
            Carrier::Link(LinkKind::WebSocket) if self.base64 => frame.into_base64(),
            // As bytes it would be a frame of length 0, which every peer takes for an error.
            Carrier::Link(LinkKind::WebTransport) if frame.packet_len() == 0 => frame.into_base64(),
            _ => frame,
        }
    }

    /// Something has left `outbound`.
    #[inline]
    pub(super) fn room_made(&mut self) {
        if self.refused {
            self.room_made_for_refused();
        }
    }

    #[cold]
    fn room_made_for_refused(&mut self) {
        if self.stage == Stage::Open && self.buffered_bytes() <= self.config.limits.max_outbound / 2 {
            self.refused = false;
            self.events.push(Event::Writable);
        }
    }

    /// Forgets what is queued for a link. A GET is different: if one holds, what is queued counts as its answer already.
    pub(super) fn drop_link_packets(&mut self) {
        if let Some(link) = &mut self.link {
            link.clear();
            self.outbound.clear();
        }
    }

    /// Ends the session, once. What is queued for a link stays queued; every request that waits is answered.
    pub(super) fn finish(&mut self, reason: CloseReason) {
        if self.stage == Stage::Closed {
            return;
        }
        self.step_upgrade(upgrade::Input::SessionClosed);
        self.stage = Stage::Closed;
        self.closed = Some(reason);
        self.timers.clear_all();
        self.answer_last(reason);
        self.polling = None;
        if self.link.is_none() {
            self.outbound.clear();
        }
    }

    /// Gives memory back that a quiet session has no use for.
    pub(super) fn release(&mut self) {
        self.events.release();
        self.outbound.release();
        self.control.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_has_its_place() {
        for (place, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, place);
        }
    }

    #[test]
    fn the_frames_of_a_link_are_what_its_transmits_would_be() {
        const LINK: LinkId = LinkId(7);
        let session = |base64| {
            let sid = Sid::from_random([1; 15]);
            let link = Some(LinkKind::WebSocket);
            let handshake = Handshake { config: Arc::default(), link, base64, jsonp: None };
            let mut session = Session::new(handshake, sid, Instant::ZERO);
            session.handle(Instant::ZERO, Input::LinkUp { link: LINK, kind: LinkKind::WebSocket });
            assert!(session.poll_transmit().is_some(), "the open packet");
            for message in [Message::from("one"), Message::Binary(Bytes::from_static(b"two")), Message::from("three")] {
                session.send(message).unwrap();
            }
            session
        };
        for base64 in [false, true] {
            let (mut by_transmit, mut by_frames) = (session(base64), session(base64));
            by_frames.poll_frames(LinkId(8), |frame| panic!("{frame:?} is for another link"));
            for most in [2, 1, 9] {
                let mut frames = 0;
                by_frames.poll_frames(LINK, |frame| {
                    let expected = Some(Transmit::Link { link: LINK, frame: frame.clone() });
                    assert_eq!(by_transmit.poll_transmit(), expected);
                    frames += 1;
                    frames < most
                });
            }
            assert_eq!((by_transmit.poll_transmit(), by_frames.poll_transmit()), (None, None));
            assert_eq!(by_frames.buffered_bytes(), 0);

            by_frames.send(Message::from("four")).unwrap();
            by_frames.handle_timeout(Instant::ZERO + by_frames.config.ping_interval);
            by_frames.poll_frames(LINK, |frame| {
                assert_eq!(*frame, Frame::PING, "it leaves ahead of what is queued");
                false
            });
            assert!(by_frames.poll_transmit().is_some());
        }
    }

    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Session>() <= 500, "{} bytes", size_of::<Session>());
    }
}
