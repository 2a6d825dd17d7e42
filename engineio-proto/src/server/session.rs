//! The machine of one Engine.IO peer, server side.
//!
//! A session consists of parts that do not depend on it: queued packets ([`Outbox`]), their encoding ([`Wire`]), pings and pongs
//! ([`Heartbeat`]), links ([`Link`]), requests ([`Polling`]) and the upgrade ([`upgrade`]). This file combines them. The public methods
//! come first, then requests, links, the heartbeat, and the stages of a session (opening, open, closing, closed).
//!
//! Source: engine.io `lib/socket.ts` (`onOpen`, `onPacket`, `sendPacket`, `close`, `onClose`, `maybeUpgrade`), `lib/transports/polling.ts`,
//! `lib/transports/websocket.ts` and `webtransport.ts`.

use alloc::boxed::Box;
use core::time::Duration;

use bytes::Bytes;

use super::polling::Polling;
use super::upgrade::{self, Action};
use super::{BodyFault, Handshake, Input, LinkDownCause, Refusal, RequestKind, SessionRequest, Transmit, Transport};
use crate::config::Config;
use crate::error::{ParseError, SendError};
use crate::event::{CloseReason, Event, LinkKind, TransportError};
use crate::handshake::open_packet;
use crate::heartbeat::{Actions, Heartbeat, HeartbeatTimer, ReadState, Send, Timing};
use crate::http::{ContentType, Response};
use crate::id::{LinkId, RequestId, Sid};
use crate::link::{self, Link, Urgent};
use crate::message::Message;
use crate::outbox::Outbox;
use crate::packet::{Frame, Packet, PacketType};
use crate::queue::{Weigh as _, WeighedQueue};
use crate::shared::Arc;
use crate::time::Instant;
use crate::timer::Timers;
use crate::wire::{Revision, Wire};

/// The interval at which held GETs are released while a probe waits for its upgrade packet (engine.io `lib/socket.ts`, `check`).
const NOOP_INTERVAL: Duration = Duration::from_millis(100);

/// The timers of a session. The discriminant is the index in its [`Timers`].
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Timer {
    /// The next ping is due.
    Ping = 0,
    /// The pong must have arrived.
    Pong = 1,
    /// The probe must have finished.
    Upgrade = 2,
    /// A held GET is released, because a probe waits.
    Noop = 3,
    /// A GET must have taken the last packets.
    Close = 4,
    /// The first input must have arrived.
    Opening = 5,
}

impl Timer {
    const ALL: [Self; 6] = [Self::Ping, Self::Pong, Self::Upgrade, Self::Noop, Self::Close, Self::Opening];
}

/// The stage of a session.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The session was accepted. The request or link that opens it has not been passed in yet.
    Opening,
    /// Both sides may send messages.
    Open,
    /// The application has closed the session. The last packets wait for a GET.
    Closing,
    /// The session has ended. Packets that were queued for a link can still be polled.
    Closed,
}

/// One Engine.IO peer, server side.
///
/// Pass any number of inputs ([`Session::handle`], [`Session::handle_timeout`]) and commands. Then call [`Session::poll_event`] and
/// [`Session::poll_transmit`] until both return `None`, because each can produce output for the other: a large POST is decoded while its
/// messages are taken, and [`Event::Writable`] is emitted when packets are taken. Then sleep until [`Session::poll_timeout`].
///
/// If a time is earlier than one before it, the session uses the later one.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    sid: Sid,
    /// The latest time that was passed in.
    now: Instant,
    timers: Timers<{ Timer::ALL.len() }>,
    events: WeighedQueue<Event>,
    /// Packets. As control outputs, also replies and closes of links: at most one for each request or link that was passed in.
    outbox: Outbox<Transmit>,
    /// The link that carries the session.
    link: Option<Link>,
    /// Present while the session polls. After an upgrade, also until the last POST is decoded and the last packets in replies are written.
    polling: Option<Box<Polling>>,
    /// Why the session ended, until the application takes the event.
    closed: Option<CloseReason>,
    stage: Stage,
    transport: Transport,
    heartbeat: Heartbeat,
    wire: Wire,
}

impl Session {
    pub(super) fn new(Handshake { config, link, wire }: Handshake, sid: Sid, now: Instant) -> Self {
        let heartbeat = match wire.revision() {
            Revision::V3 => Heartbeat::answering_pings(),
            Revision::V4 => Heartbeat::sending_pings(),
        };
        let mut session = Self {
            sid,
            now,
            timers: Timers::new(),
            events: WeighedQueue::new(),
            outbox: Outbox::new(),
            link: None,
            polling: None,
            closed: None,
            stage: Stage::Opening,
            transport: link.map_or(Transport::Polling, Transport::Link),
            heartbeat,
            wire,
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

    /// The revision of the session. Whatever later requests ask for, it does not change.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.wire.revision()
    }

    /// What carries the session now. After the session has ended, what carried it last.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether the session accepts this request. Call it before sending a `101` or reading a body.
    ///
    /// A link is admitted even if it cannot become the transport, because another upgrade is in progress or the session does not poll. The
    /// session then answers [`Input::LinkUp`] with [`Transmit::CloseLink`]. Clients of the reference expect the `101`.
    ///
    /// # Errors
    /// The response that refuses the request. The transport or revision is not the session's (400, code 3), the method is neither GET nor
    /// POST (500), or the session has ended (400, code 1).
    ///
    /// Source: engine.io `lib/server.ts`, `verify` and `onWebSocket`; `lib/transports/polling.ts`, `onRequest`.
    pub fn admit(&self, session_request: &SessionRequest) -> Result<(), Response> {
        if self.stage == Stage::Closed {
            return Err(session_request.refuse(Refusal::UnknownSid));
        }
        let polls = self.transport == Transport::Polling;
        match session_request.kind {
            _ if !session_request.consistent || session_request.revision != self.revision() => {
                Err(session_request.refuse(Refusal::BadRequest))
            }
            RequestKind::Link(_) => Ok(()),
            RequestKind::Get | RequestKind::Post if polls => Ok(()),
            RequestKind::Other if polls => Err(Response::empty(500)),
            RequestKind::Get | RequestKind::Post | RequestKind::Other => {
                Err(session_request.refuse(Refusal::BadRequest))
            }
        }
    }

    /// Handles an input.
    ///
    /// An input with an unknown or outdated id is harmless at any time, also after the session has ended. A new request is answered, and a
    /// new link is closed. Completions of unknown requests and packets of unknown links are ignored. A reply or a [`Transmit::CloseLink`]
    /// may be returned for a request or link that has been lost meanwhile. Drop such an output.
    ///
    /// A deadline may have passed without a call of [`Session::handle_timeout`]. Input that carries packets of the peer is then handled
    /// before the deadline, because the peer may have sent it in time. A GET and a new link carry no packets, so the deadline fires first:
    /// if a pong is missing, the session has then ended. The input that opens the session is never too late.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.advance(now);
        if matches!(input, Input::Get { .. } | Input::LinkUp { .. }) && self.stage != Stage::Opening {
            self.fire_due();
        }
        match input {
            Input::LinkMessage { link, message } => self.handle_link_packet(link, self.wire.decode(message)),
            Input::LinkBytes { link, chunk } => self.handle_link_bytes(link, chunk),
            Input::LinkUp { link, kind } => self.handle_link_up(link, kind),
            Input::LinkDown { link, cause } => self.handle_link_down(link, cause),
            Input::Get { request } => self.handle_get(request),
            Input::Post { request, content_type } => self.handle_post(request, content_type),
            Input::Body { request, body } => self.handle_body(request, body),
            Input::BodyRejected { request, fault } => self.handle_body_rejected(request, fault),
            Input::Replied { request } => self.handle_replied(request),
            Input::Aborted { request } => self.handle_aborted(request),
        }
    }

    /// Calls [`Session::handle`], then [`Session::poll_event`]. For a machine that owns the session and takes every event at once. Nearly
    /// all inputs are messages with no event queued before them. Such a message is returned directly, without being queued.
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

    /// Reports that the deadline has passed. Before the deadline, it does nothing, so a driver need not cancel a timer whose deadline has
    /// moved.
    ///
    /// If the call is late by more than half of [`Config::ping_timeout`] and a pong is missing, the session extends the deadline once by
    /// the time for one more read, because the pong may have arrived meanwhile. This applies to a link, and to polling if a POST is in
    /// progress.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.fire_due();
    }

    fn fire_due(&mut self) {
        while let Some((timer, due)) = self.timers.pop_due(self.now) {
            let Some(timer) = Timer::ALL.get(timer) else { return };
            match timer {
                Timer::Ping => self.handle_heartbeat_timeout(HeartbeatTimer::Ping, due),
                Timer::Pong => self.handle_heartbeat_timeout(HeartbeatTimer::Pong, due),
                Timer::Upgrade => self.step_upgrade(upgrade::Input::Timeout),
                Timer::Noop => self.release_get(),
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

    /// Sends encoded packets as one unit. Either all of them are queued, next to each other, or none.
    ///
    /// # Errors
    /// * [`SendError::NotConnected`] before the session is open.
    /// * [`SendError::Closed`] after [`Session::close`], and after the session has ended.
    /// * [`SendError::Full`] if the packets do not fit into [`Limits::max_outbound`](crate::Limits) together with the bytes that are
    ///   buffered already. [`Event::Writable`] is emitted when at least half of the limit is free again. If nothing is buffered, packets
    ///   of any size are accepted.
    /// * [`SendError::Separator`] if the session polls and the text contains U+001E.
    ///
    /// After an error, nothing has been queued.
    pub fn send_frames(&mut self, frames: &[Frame]) -> Result<(), SendError> {
        let weight = frames.iter().fold(0, |sum: usize, frame| sum.saturating_add(frame.weight()));
        self.may_send(frames, weight)?;
        for frame in frames {
            self.outbox.push(frame.clone());
        }
        Ok(())
    }

    /// Sends one encoded packet.
    ///
    /// # Errors
    /// As [`Session::send_frames`].
    // Inlined where the packets of an application pass.
    #[inline(always)]
    pub fn send_frame(&mut self, frame: Frame) -> Result<(), SendError> {
        self.may_send(core::slice::from_ref(&frame), frame.weight())?;
        self.outbox.push(frame);
        Ok(())
    }

    /// Checks whether these packets, which have this weight together, can be queued.
    #[inline]
    fn may_send(&mut self, frames: &[Frame], weight: usize) -> Result<(), SendError> {
        match self.stage {
            Stage::Opening => return Err(SendError::NotConnected),
            Stage::Closing | Stage::Closed => return Err(SendError::Closed),
            Stage::Open => {}
        }
        let cut = |frame: &Frame| self.wire.is_cut_in_bodies(frame);
        if self.transport == Transport::Polling && frames.iter().any(cut) {
            return Err(SendError::Separator);
        }
        let waiting = self.buffered_bytes();
        self.outbox.check_capacity(weight, waiting, &self.config.limits)
    }

    /// Closes the session gracefully: queued packets are sent first. Does nothing if the session is closing or closed.
    ///
    /// On a link, [`Event::Closed`] is emitted at once. The queued packets and then [`Transmit::CloseLink`] remain to be polled.
    ///
    /// On polling, one GET takes the queued packets, and the next GET takes the close packet. [`Event::Closed`] is emitted when a GET takes
    /// the close packet, or after [`Config::close_timeout`]. An upgrade that is in progress may still complete. The link then carries the
    /// remaining packets.
    pub fn close(&mut self, now: Instant) {
        self.advance(now);
        match self.stage {
            Stage::Opening => self.finish(CloseReason::ForcedClose),
            Stage::Open if self.link.is_some() => self.finish(CloseReason::ForcedClose),
            Stage::Open => {
                // With packets queued, a held GET counts as answered by them. The close packet then needs another GET.
                let answered = self.answer_due_poll();
                if !answered && self.holds_get() {
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

    /// Closes the session at once and drops queued packets. A held GET is answered with the close packet, or with the packets that were
    /// already queued for it.
    pub fn discard(&mut self, now: Instant) {
        self.advance(now);
        self.drop_link_packets();
        self.finish(CloseReason::ForcedClose);
    }

    /// Returns the next output to write. Takes constant time, except for a reply that joins all queued packets for a held GET.
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
        let link = self.link.as_ref()?;
        let frame = self.outbox.pop()?;
        let transmit = Transmit::Link { link: link.id(), frame: self.wire.on_link(link.kind(), frame) };
        self.capacity_freed();
        Some(transmit)
    }

    /// Returns the next output that is not a packet of a link: a reply, or the close of a link whose packets have all been polled.
    ///
    /// For a driver that takes packets with [`Session::poll_frames`] when their link has capacity. A link that accepts no data then does
    /// not delay other outputs.
    #[inline]
    pub fn poll_control(&mut self) -> Option<Transmit> {
        match &self.link {
            _ if self.outbox.has_control() => {}
            None => drop(self.answer_due_poll()),
            Some(link) if self.stage == Stage::Closed && self.outbox.is_empty() && !link.has_urgent() => {
                let link = link.id();
                self.link = None;
                return Some(Transmit::CloseLink { link });
            }
            Some(_) => return None,
        }
        self.outbox.pop_control()
    }

    /// Passes the packets for this link to `write`, in the order in which [`Session::poll_transmit`] would return them, until `write`
    /// returns false. The packet for which it returns false counts as taken.
    ///
    /// For a driver that collects several packets in one write. Passing packets by reference costs half as much as returning each of them.
    #[inline]
    pub fn poll_frames(&mut self, link: LinkId, mut write: impl FnMut(&Frame) -> bool) {
        let mut more = true;
        let kind = match &self.link {
            Some(transport) if transport.id() == link && !transport.has_urgent() => transport.kind(),
            _ => {
                while more && let Some(frame) = self.pop_urgent(link) {
                    more = write(&frame);
                }
                match &self.link {
                    Some(transport) if transport.id() == link => transport.kind(),
                    _ => return,
                }
            }
        };
        let plain = self.wire.is_plain(kind);
        while more && let Some(frame) = self.outbox.first() {
            more = if plain { write(frame) } else { write(&self.wire.on_link(kind, frame.clone())) };
            self.outbox.drop_first();
        }
        self.capacity_freed();
    }

    /// Returns the next event. Continues to decode a POST whose messages had filled the queue.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop();
        if self.polling.is_some() {
            self.decode_body();
        }
        event.or_else(|| self.events.pop()).or_else(|| self.closed.take().map(Event::Closed))
    }

    /// Whether [`Session::poll_event`] may return an event. A driver can use it to decide whether to poll again.
    #[must_use]
    #[inline]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty() || self.closed.is_some() || self.is_decoding()
    }

    /// The deadline at which to call [`Session::handle_timeout`], or `None` if no timer is set.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.earliest()
    }

    /// Whether the driver should read from the peer's link. False while unread messages amount to
    /// [`Limits::soft_inbound`](crate::Limits) bytes or more.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.is_backlog(self.unread())
    }

    /// Whether a message would be sent at once. A volatile message is dropped if this is false.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.stage == Stage::Open && self.outbox.is_empty() && (self.link.is_some() || self.holds_get())
    }

    /// Bytes that wait to be sent. Each packet counts its own bytes and 40 more. Packets in the reply to a GET count until the reply is
    /// written ([`Input::Replied`]).
    #[must_use]
    #[inline]
    pub fn buffered_bytes(&self) -> usize {
        match &self.polling {
            None => self.outbox.weight(),
            Some(polling) => self.outbox.weight().saturating_add(polling.unwritten_bytes()),
        }
    }

    /// Whether the session has ended. Packets of its link, replies and events may remain to be polled.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    /// Whether the session has ended and has nothing left to poll. The driver then drops the session and its id. Its link may still be
    /// closing, see [`Transmit::CloseLink`].
    #[must_use]
    pub fn is_drained(&self) -> bool {
        matches!(self.stage, Stage::Closed)
            && self.closed.is_none()
            && self.events.is_empty()
            && !self.outbox.has_control()
            && self.outbox.is_empty()
            && self.link.is_none()
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn set(&mut self, timer: Timer, deadline: Instant) {
        self.timers.set(timer as usize, deadline);
    }

    fn clear(&mut self, timer: Timer) {
        self.timers.clear(timer as usize);
    }

    // Requests.

    /// A GET arrived.
    fn handle_get(&mut self, request: RequestId) {
        match self.stage {
            Stage::Closed => return self.reply(request, Refusal::UnknownSid.response(false)),
            _ if self.transport != Transport::Polling => {
                return self.reply(request, Refusal::BadRequest.response(false));
            }
            Stage::Opening => {
                // The reply to the handshake has no further packets: some clients read its whole body as the open packet.
                self.polling = Some(Polling::new().into());
                let open = open_packet(&self.config, self.wire.revision(), self.sid, None);
                let initial = self.config.initial_packet.clone().map(Frame::message);
                self.open();
                return match initial {
                    Some(initial) => self.reply_packets(request, &[open, initial]),
                    None => self.reply_packets(request, &[open]),
                };
            }
            Stage::Open | Stage::Closing => {}
        }
        // A held GET counts as answered once packets are queued, whether or not its reply has been polled.
        self.answer_due_poll();
        let unread = self.polling.as_ref().is_some_and(|polling| polling.is_unread());
        if unread || self.holds_get() {
            self.reply(request, Response::empty(400));
            self.finish(CloseReason::TransportError(TransportError::PollOverlap));
        } else if self.stage == Stage::Open {
            if let Some(polling) = &mut self.polling {
                polling.hold(request);
            }
        } else if self.outbox.is_empty() {
            self.reply_packets(request, &[Frame::NOOP, Frame::CLOSE]);
            self.finish(CloseReason::ForcedClose);
        } else {
            self.reply_queued(request);
        }
    }

    /// A POST arrived.
    fn handle_post(&mut self, request: RequestId, content_type: ContentType) {
        let Some(polling) = &mut self.polling else {
            let over = self.stage == Stage::Closed;
            let refusal = if over { Refusal::UnknownSid } else { Refusal::BadRequest };
            return self.reply(request, refusal.response(false));
        };
        if self.transport != Transport::Polling {
            return self.reply(request, Refusal::BadRequest.response(false));
        }
        let fault = if polling.has_post() {
            TransportError::PostOverlap
        } else if self.wire.takes(content_type) {
            return polling.begin_post(request, content_type);
        } else {
            TransportError::InvalidContent
        };
        self.reply(request, Response::empty(400));
        self.finish(CloseReason::TransportError(fault));
    }

    /// The body of a POST arrived.
    fn handle_body(&mut self, request: RequestId, body: Bytes) {
        if body.len() > self.config.max_payload {
            return self.handle_body_rejected(request, BodyFault::TooLarge);
        }
        let Some(polling) = &mut self.polling else { return };
        let Some(content_type) = polling.take_reading(request) else { return };
        match self.wire.decode_body(body, content_type) {
            Ok(Some(packets)) => {
                polling.decode(request, packets);
                self.decode_body();
            }
            Ok(None) => {
                self.reply(request, Response::post_ok());
                self.post_finished();
            }
            Err(error) => {
                self.reply(request, Response::post_ok());
                if self.stage == Stage::Open {
                    self.finish(CloseReason::ParseError(error));
                } else {
                    self.post_finished();
                }
            }
        }
    }

    /// The body of a POST could not be read. Its packets are lost, so the session ends.
    fn handle_body_rejected(&mut self, request: RequestId, fault: BodyFault) {
        if self.polling.as_mut().and_then(|polling| polling.take_reading(request)).is_some() {
            let (response, error) = fault.verdict();
            self.reply(request, response);
            self.finish(CloseReason::TransportError(error));
        }
    }

    /// A reply was written completely.
    fn handle_replied(&mut self, request: RequestId) {
        let Some(polling) = &mut self.polling else { return };
        polling.handle_replied(request);
        self.leave_polling();
        self.capacity_freed();
    }

    /// The connection of a request was lost. The session ends if packets may be lost with it, because messages must arrive without gaps.
    fn handle_aborted(&mut self, request: RequestId) {
        if let Some(polling) = &mut self.polling
            && let Err(error) = polling.handle_aborted(request)
        {
            self.finish(CloseReason::TransportError(error));
        }
    }

    /// Decodes the body of the current POST, until the unread messages reach the soft limit.
    fn decode_body(&mut self) {
        loop {
            if self.is_backlog(self.events.weight()) {
                if self.is_decoding() {
                    self.stop_reading();
                }
                return;
            }
            let Some(polling) = self.polling.as_mut().filter(|polling| polling.is_decoding()) else { return };
            match polling.next_packet() {
                Some(Ok(packet)) => self.receive(packet),
                Some(Err(error)) if self.stage == Stage::Open => self.finish(CloseReason::ParseError(error)),
                Some(Err(_)) | None => {
                    if let Some(request) = polling.end_post() {
                        self.reply(request, Response::post_ok());
                    }
                    self.post_finished();
                }
            }
        }
    }

    /// The current POST is finished. After an upgrade, handles the packets of the link that waited for it.
    fn post_finished(&mut self) {
        if self.transport == Transport::Polling {
            return;
        }
        while let Some(packet) = self.polling.as_mut().and_then(|polling| polling.pop_delayed()) {
            self.receive(packet);
        }
        self.leave_polling();
    }

    /// After an upgrade, drops the state of polling once no request is in progress.
    fn leave_polling(&mut self) {
        let over = self.polling.as_ref().is_some_and(|polling| !polling.is_under_way());
        if self.transport != Transport::Polling && over {
            self.polling = None;
        }
    }

    /// Whether a body is not fully decoded yet.
    fn is_decoding(&self) -> bool {
        self.polling.as_ref().is_some_and(|polling| polling.is_decoding())
    }

    /// Whether a GET is held.
    fn holds_get(&self) -> bool {
        self.polling.as_ref().is_some_and(|polling| polling.is_holding())
    }

    fn take_held(&mut self) -> Option<RequestId> {
        self.polling.as_mut().and_then(|polling| polling.take_held())
    }

    /// Answers the held GET if packets are queued for it. Returns whether it did.
    fn answer_due_poll(&mut self) -> bool {
        if self.outbox.is_empty() || self.link.is_some() {
            return false;
        }
        let Some(request) = self.take_held() else { return false };
        self.reply_queued(request);
        true
    }

    /// Releases the held GET, because a probe waits for the peer to stop polling.
    fn release_get(&mut self) {
        if !self.answer_due_poll()
            && let Some(request) = self.take_held()
        {
            self.reply_packets(request, &[Frame::NOOP]);
        }
        self.set(Timer::Noop, self.now + NOOP_INTERVAL);
    }

    fn reply(&mut self, request: RequestId, response: Response) {
        self.outbox.push_control(Transmit::Reply { request, response });
    }

    /// Answers a GET with packets that do not come from the queue. They do not count as buffered bytes.
    fn reply_packets(&mut self, request: RequestId, packets: &[Frame]) {
        let response = Response::poll(self.wire.encode_body(packets));
        self.reply_poll(request, response, 0);
    }

    /// Answers a GET with all queued packets.
    fn reply_queued(&mut self, request: RequestId) {
        let response = Response::poll(self.wire.encode_body(self.outbox.packets()));
        let bytes = self.outbox.weight();
        self.outbox.clear();
        self.reply_poll(request, response, bytes);
    }

    fn reply_poll(&mut self, request: RequestId, response: Response, bytes: usize) {
        // After an upgrade, a reply has only the close packet, which may be lost. The session does not wait until it is written.
        if self.transport == Transport::Polling
            && let Some(polling) = &mut self.polling
        {
            polling.push_reply(request, bytes);
        }
        self.reply(request, response);
    }

    // Links. A session has at most two: the transport, and the probe, which tries to become the transport. Any other link is closed.

    /// A link came up. It is the session's first input, a probe, or refused.
    fn handle_link_up(&mut self, id: LinkId, kind: LinkKind) {
        if self.is_carrier(id) || self.is_probe(id) {
            return;
        }
        if self.stage == Stage::Opening && self.transport != Transport::Polling {
            self.transport = Transport::Link(kind);
            let mut link = Link::new(id, kind, self.config.max_payload);
            // As urgent packets, they leave before every other packet, even before a ping.
            link.push_urgent(Urgent::Open);
            if self.config.initial_packet.is_some() {
                link.push_urgent(Urgent::Initial);
            }
            self.link = Some(link);
            self.open();
            return;
        }
        if let Some(polling) = &mut self.polling
            && let (Action::Begin, _) = polling.upgrade.handle(upgrade::Input::LinkUp)
        {
            polling.upgrade.begin(Link::new(id, kind, self.config.max_payload));
            self.set(Timer::Upgrade, self.now + self.config.upgrade_timeout);
        } else {
            self.close_link(id);
        }
    }

    /// A link went down.
    fn handle_link_down(&mut self, id: LinkId, cause: LinkDownCause) {
        if self.is_probe(id) {
            self.step_upgrade(upgrade::Input::LinkDown);
        } else if self.is_carrier(id) {
            self.link = None;
            self.outbox.clear();
            self.finish(match cause {
                LinkDownCause::Closed => CloseReason::TransportClose,
                LinkDownCause::Failed => CloseReason::TransportError(TransportError::LinkFailed),
            });
        }
    }

    /// Bytes of a WebTransport stream arrived.
    fn handle_link_bytes(&mut self, id: LinkId, chunk: Bytes) {
        if let Some(link) = self.heard_link(id) {
            link.push_bytes(chunk);
        }
        // The link is looked up for each packet, because a packet may make the probe the transport, or end either of them.
        while let Some(packet) = self.heard_link(id).and_then(Link::next_packet) {
            let failed = packet.is_err();
            self.handle_link_packet(id, packet);
            if failed {
                return;
            }
        }
    }

    /// A link delivered a packet, or bytes that are not one. They are ignored if the session has already closed the link.
    #[inline]
    fn handle_link_packet(&mut self, id: LinkId, packet: Result<Packet, ParseError>) {
        if !self.is_carrier(id) {
            if self.is_probe(id) {
                self.handle_probe_packet(packet);
            }
            return;
        }
        if self.stage == Stage::Closed {
            return;
        }
        let packet = match packet {
            Ok(packet) => packet,
            Err(error) => return self.finish(CloseReason::ParseError(error)),
        };
        if packet.packet_type == PacketType::Message {
            let unread = self.unread();
            // The limit is for messages that accumulate. A single message is accepted, however large it is.
            if unread > 0 && unread.saturating_add(packet.weight()) > self.config.limits.max_inbound {
                return self.finish(CloseReason::TransportError(TransportError::InboundOverflow));
            }
        }
        match &mut self.polling {
            // A POST from before the upgrade is still being read. Packets of the link wait for it, so that messages keep their order.
            Some(polling)
                if polling.has_post() && matches!(packet.packet_type, PacketType::Message | PacketType::Close) =>
            {
                polling.delay(packet);
                self.sign_of_life();
                if self.is_backlog(self.unread()) {
                    self.stop_reading();
                }
            }
            _ => self.receive(packet),
        }
    }

    /// A packet of the probe.
    fn handle_probe_packet(&mut self, packet: Result<Packet, ParseError>) {
        self.step_upgrade(match packet {
            Ok(packet) if link::is_probe(&packet) => upgrade::Input::Probe,
            Ok(Packet { packet_type: PacketType::Upgrade, .. }) => upgrade::Input::Upgrade,
            _ => upgrade::Input::Other,
        });
    }

    /// Passes an input to the upgrade, and performs the action for the current probe.
    fn step_upgrade(&mut self, input: upgrade::Input) {
        let Some(polling) = &mut self.polling else { return };
        match polling.upgrade.handle(input) {
            (Action::Answer, _) => {
                if let Some(probe) = polling.upgrade.probe_mut() {
                    probe.push_urgent(Urgent::ProbeAnswer);
                }
                self.set(Timer::Noop, self.now + NOOP_INTERVAL);
            }
            (action, Some(probe)) => {
                self.clear(Timer::Upgrade);
                self.clear(Timer::Noop);
                match action {
                    Action::CloseProbe => self.close_link(probe.id()),
                    Action::Switch => self.switch_to(probe),
                    _ => {}
                }
            }
            (_, None) => {}
        }
    }

    /// Makes the probe the transport. It carries the queued packets. A ping that was sent over polling stays outstanding.
    fn switch_to(&mut self, probe: Link) {
        let kind = probe.kind();
        self.transport = Transport::Link(kind);
        self.link = Some(probe);
        // The peer has upgraded without waiting for its held GET. Queued packets go over the link only: split over both, they could arrive
        // out of order.
        if let Some(request) = self.polling.as_mut().and_then(|polling| polling.leave()) {
            self.reply_packets(request, &[Frame::CLOSE]);
        }
        self.events.push(Event::Upgraded(kind));
        self.leave_polling();
        if self.stage == Stage::Closing {
            self.finish(CloseReason::ForcedClose);
        }
    }

    /// Closes a link that is not the transport.
    fn close_link(&mut self, link: LinkId) {
        self.outbox.push_control(Transmit::CloseLink { link });
    }

    /// Takes the next packet that leaves this link ahead of the queue.
    fn pop_urgent(&mut self, id: LinkId) -> Option<Frame> {
        let link = self.link_mut(id)?;
        let kind = link.kind();
        let frame = match link.pop_urgent()? {
            Urgent::Open => open_packet(&self.config, self.wire.revision(), self.sid, Some(kind)),
            Urgent::Initial => Frame::message(self.config.initial_packet.clone()?),
            other => other.frame()?,
        };
        Some(self.wire.on_link(kind, frame))
    }

    /// The link that has a packet to send ahead of the queue.
    fn urgent_link(&self) -> Option<LinkId> {
        let probe = self.polling.as_ref().and_then(|polling| polling.upgrade.probe());
        self.link.iter().chain(probe).find(|link| link.has_urgent()).map(Link::id)
    }

    fn is_carrier(&self, id: LinkId) -> bool {
        self.link.as_ref().is_some_and(|link| link.id() == id)
    }

    fn is_probe(&self, id: LinkId) -> bool {
        self.polling.as_ref().is_some_and(|polling| polling.upgrade.is_probe(id))
    }

    /// The transport or the probe.
    fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        let probe = self.polling.as_mut().and_then(|polling| polling.upgrade.probe_mut());
        self.link.as_mut().into_iter().chain(probe).find(|link| link.id() == id)
    }

    /// The transport or the probe. `None` after the session has ended, when the input of links is ignored.
    fn heard_link(&mut self, id: LinkId) -> Option<&mut Link> {
        if self.stage == Stage::Closed { None } else { self.link_mut(id) }
    }

    // The heartbeat.

    /// A deadline of the heartbeat has passed.
    fn handle_heartbeat_timeout(&mut self, timer: HeartbeatTimer, due: Instant) {
        let may_be_unread = self.link.is_some() || self.polling.as_ref().is_some_and(|polling| polling.has_post());
        let has_stopped_reading = self.is_decoding() || self.is_backlog(self.unread());
        let read_state = ReadState { has_stopped_reading, may_be_unread };
        let actions = self.heartbeat.handle_timeout(timer, self.now, due, read_state, self.timing());
        if actions.close.is_some() {
            // The peer did not answer in time, and may never read these packets.
            self.drop_link_packets();
        } else if actions.send.is_some() && actions.pong.is_some() {
            // A ping leaves once per interval, so this is a good time to free memory that a burst of messages has left allocated.
            self.events.release();
            self.outbox.release();
        }
        self.act(actions);
    }

    /// A packet arrived that is neither ping nor pong.
    #[inline]
    fn sign_of_life(&mut self) {
        if self.heartbeat.heeds_packets() {
            let actions = self.heartbeat.handle_packet(self.now, self.timing());
            self.act(actions);
        }
    }

    /// This side stops reading for now. While the session is closing, no ping is sent any more.
    fn stop_reading(&mut self) {
        if self.stage != Stage::Open {
            return;
        }
        let actions = self.heartbeat.handle_stop_reading(self.timing());
        self.act(actions);
    }

    fn timing(&self) -> Timing {
        Timing::from(&*self.config)
    }

    /// Performs the actions of the heartbeat.
    fn act(&mut self, Actions { send, ping, pong, close }: Actions) {
        if let Some(packet) = send {
            self.send_beat(packet);
        }
        if let Some(deadline) = ping {
            self.set(Timer::Ping, deadline);
        }
        if let Some(deadline) = pong {
            self.set(Timer::Pong, deadline);
        }
        if let Some(reason) = close {
            self.finish(reason);
        }
    }

    fn send_beat(&mut self, packet: Send) {
        let (urgent, frame) = match packet {
            Send::Ping => (Urgent::Ping, Frame::PING),
            Send::Pong => (Urgent::Pong, Frame::PONG),
        };
        match (&mut self.link, &mut self.polling) {
            // Ahead of the queue: megabytes of messages must not use up the peer's time to answer.
            (Some(link), _) => link.push_urgent(urgent),
            (None, Some(polling)) => {
                if polling.push_beat() {
                    self.outbox.push(frame);
                }
            }
            (None, None) => {}
        }
    }

    // Stages.

    /// The first input has arrived. The caller answers it with the open packet, and the initial packet if one is configured.
    fn open(&mut self) {
        self.stage = Stage::Open;
        self.events.push(Event::Open);
        self.clear(Timer::Opening);
        let actions = self.heartbeat.handle_open(self.now, self.timing());
        self.act(actions);
    }

    /// Handles a packet of the peer. Packets are passed in their order.
    #[inline]
    fn receive(&mut self, packet: Packet) {
        match packet.packet_type {
            PacketType::Close => return self.finish(CloseReason::TransportClose),
            _ if self.stage != Stage::Open => return,
            PacketType::Pong => {
                let actions = self.heartbeat.handle_pong(self.now, self.timing());
                return self.act(actions);
            }
            PacketType::Ping => {
                let actions = self.heartbeat.handle_ping(self.now, self.timing());
                return self.act(actions);
            }
            PacketType::Message => {
                self.events.push(Event::Message(packet.data));
                self.sign_of_life();
                if self.is_backlog(self.events.weight()) {
                    self.stop_reading();
                }
                return;
            }
            // An open session does not use these packets. The reference ignores them too.
            PacketType::Open | PacketType::Upgrade | PacketType::Noop => {}
        }
        self.sign_of_life();
    }

    /// Decodes a message packet that can be returned directly: this link is the transport, the session is open, no event is queued, and no
    /// request is in progress.
    #[inline]
    fn plain_message(&self, link: LinkId, packet: &Message) -> Option<Message> {
        let open = self.stage == Stage::Open && self.polling.is_none() && self.events.is_empty();
        if !open || self.link.as_ref().is_none_or(|transport| transport.id() != link) {
            return None;
        }
        self.wire.decode_plain(packet)
    }

    /// The weight of the messages that the application has not read yet.
    fn unread(&self) -> usize {
        let delayed = self.polling.as_ref().map_or(0, |polling| polling.delayed_weight());
        self.events.weight().saturating_add(delayed)
    }

    /// Whether this weight of unread messages is a reason to stop reading. Without unread messages, it never is.
    fn is_backlog(&self, weight: usize) -> bool {
        weight > 0 && weight >= self.config.limits.soft_inbound
    }

    /// Capacity may be free again: packets have left the outbox, or a reply was written.
    #[inline]
    fn capacity_freed(&mut self) {
        if self.outbox.has_refused() {
            self.notify_writable();
        }
    }

    #[cold]
    fn notify_writable(&mut self) {
        let waiting = self.buffered_bytes();
        if self.stage == Stage::Open && self.outbox.take_writable(waiting, &self.config.limits) {
            self.events.push(Event::Writable);
        }
    }

    /// Drops the packets that are queued for a link. Packets for polling stay: if a GET is held, they already count as its answer.
    fn drop_link_packets(&mut self) {
        if let Some(link) = &mut self.link {
            link.clear();
            self.outbox.clear();
        }
    }

    /// Ends the session, unless it has ended already. Packets for a link stay queued. Every pending request is answered.
    fn finish(&mut self, reason: CloseReason) {
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
            self.outbox.clear();
        }
    }

    /// Answers all pending requests, because the session ends.
    fn answer_last(&mut self, reason: CloseReason) {
        self.answer_due_poll();
        let Some(polling) = &mut self.polling else { return };
        let waiting = polling.end();
        if let Some(request) = waiting.held {
            // As in the reference: if the peer closed the session, its GET gets a noop, otherwise the close packet.
            let last = if reason == CloseReason::TransportClose { Frame::NOOP } else { Frame::CLOSE };
            self.reply_packets(request, &[last]);
        }
        if let Some(request) = waiting.reading {
            self.reply(request, Refusal::UnknownSid.response(false));
        }
        if let Some(request) = waiting.decoding {
            self.reply(request, Response::post_ok());
        }
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
            let handshake = Handshake { config: Arc::default(), link, wire: Wire::new(Revision::V4, base64, None) };
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
