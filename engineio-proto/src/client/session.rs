//! The machine of one Engine.IO client.
//!
//! A client consists of the parts of a [server's session](crate::server::Session): queued packets ([`Outbox`]), their encoding ([`Wire`]),
//! pings and pongs ([`Heartbeat`]), and links ([`Link`]). Its requests ([`Polling`]) and its probes ([`upgrade`]) are its own. This file
//! combines them. The public methods come first, then opening, requests, links, probes, the heartbeat, and the end.
//!
//! Source: engine.io-client `lib/socket.ts` (`_open`, `_probe`, `onOpen`, `_onPacket`, `flush`, `close`, `_onError`),
//! `lib/transports/polling.ts`, `websocket.ts`, `webtransport.ts`.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::iter;
use core::num::NonZeroU16;

use bytes::Bytes;

use super::polling::{Polling, Posted};
use super::upgrade::{self, Action};
use super::{Config, Handshake, Input, Method, Transmit};
use crate::error::{ParseError, SendError};
use crate::event::{CloseReason, Event, LinkDownCause, LinkKind, Transport, TransportError};
use crate::handshake::client_query;
use crate::heartbeat::{Actions, Heartbeat, HeartbeatTimer, ReadState, Send, Timing};
use crate::http::ContentType;
use crate::id::{LinkId, RequestId};
use crate::json::JsonString;
use crate::link::{self, Link, Urgent};
use crate::message::{Message, Text};
use crate::outbox::Outbox;
use crate::packet::{Frame, Packet, PacketType};
use crate::queue::{Weigh as _, WeighedQueue};
use crate::shared::Arc;
use crate::time::Instant;
use crate::timer::Timers;
use crate::wire::{Revision, Wire};

/// The timers of a client. The discriminant is the index in its [`Timers`].
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Timer {
    /// The next ping must have arrived. In revision 3: it is due.
    Ping = 0,
    /// The pong must have arrived. Only in revision 3.
    Pong = 1,
    /// A probe is due: its link is to be made, or it must have finished.
    Upgrade = 2,
    /// The last packets must have been sent.
    Close = 3,
    /// The session must be open.
    Opening = 4,
    /// The link of a session that has ended must have taken its last packets.
    Leaving = 5,
}

impl Timer {
    const ALL: [Self; 6] = [Self::Ping, Self::Pong, Self::Upgrade, Self::Close, Self::Opening, Self::Leaving];
}

/// The stage of a client.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The link that is to open the session is not up yet.
    Connecting,
    /// The open packet has not arrived yet.
    Opening,
    /// Both sides may send messages.
    Open,
    /// The application has closed the session. It polls, and the last packets are being sent.
    Closing,
    /// There is no session: it has ended, or was never opened. Packets that were queued for a link can still be polled.
    Closed,
}

/// One Engine.IO client: a session with a server, which can be opened again after its end.
///
/// Call [`Client::open`]. Then pass any number of inputs ([`Client::handle`], [`Client::handle_timeout`]) and commands, and call
/// [`Client::poll_event`] and [`Client::poll_transmit`] until both return `None`, because each can produce output for the other: a large
/// response is decoded while its messages are taken, and [`Event::Writable`] is emitted when packets are taken. Then sleep until
/// [`Client::poll_timeout`].
///
/// If a time is earlier than one before it, the client uses the later one.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub struct Client {
    config: Arc<Config>,
    /// The latest time that was passed in.
    now: Instant,
    timers: Timers<{ Timer::ALL.len() }>,
    events: WeighedQueue<Event>,
    /// Packets. As control outputs, also requests, and what begins and ends links.
    outbox: Outbox<Transmit>,
    /// The link that carries the session, or is to open it.
    link: Option<Link>,
    /// Present while the session polls.
    polling: Option<Box<Polling>>,
    /// Present after the client was opened again, while packets of the session before remain to be polled.
    ending: Option<Box<Ending>>,
    /// What the server said of the session. Kept until the next [`Client::open`].
    handshake: Option<Handshake>,
    /// Why the session ended, until the application takes the event.
    closed: Option<CloseReason>,
    stage: Stage,
    transport: Transport,
    heartbeat: Heartbeat,
    wire: Wire,
    /// While the session is opening: the transports that are tried next, the last one first.
    alternatives: Vec<Transport>,
    /// The last id of a request or link.
    last_id: u64,
    /// Whether a WebSocket was the last that succeeded, for [`Config::remember_upgrade`].
    websocket_succeeded: bool,
    /// Whether an unread [`Event::Ping`] is queued.
    has_ping_event: bool,
}

/// The link of the session before, and the packets that it still takes.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
struct Ending {
    link: Link,
    packets: WeighedQueue<Frame>,
}

impl Client {
    /// A client with these settings. It does nothing until [`Client::open`].
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        let wire = Wire::new(config.revision, config.force_base64, None);
        Self {
            now: Instant::ZERO,
            timers: Timers::new(),
            events: WeighedQueue::new(),
            outbox: Outbox::new(),
            link: None,
            polling: None,
            ending: None,
            handshake: None,
            closed: None,
            stage: Stage::Closed,
            transport: config.transports.first().copied().unwrap_or(Transport::Polling),
            heartbeat: heartbeat(config.revision),
            wire,
            alternatives: Vec::new(),
            last_id: 0,
            websocket_succeeded: false,
            has_ping_event: false,
            config,
        }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The revision of the protocol.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.wire.revision()
    }

    /// What carries the session, or is to open it. After the session has ended, what carried it last.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// What the server said when the session was opened. `None` until the open packet has arrived; kept after the end, until the next
    /// [`Client::open`].
    #[must_use]
    pub const fn handshake(&self) -> Option<&Handshake> {
        self.handshake.as_ref()
    }

    /// The id of the session. `None` until the open packet has arrived; kept after the end, until the next [`Client::open`].
    #[must_use]
    pub fn sid(&self) -> Option<&Text> {
        self.handshake.as_ref().map(|handshake| &handshake.sid)
    }

    /// Whether the session is open, and messages can be sent.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// Whether the session is being closed gracefully over polling: its last packets are on their way. [`Client::open`] does nothing then.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing)
    }

    /// Whether there is no session: it was never opened, or has ended. Packets of its link and events may remain to be polled.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    /// Whether the client has no session and nothing left to poll. The driver may drop it then. A link may still be closing, see
    /// [`Transmit::CloseLink`].
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.is_closed()
            && self.closed.is_none()
            && self.events.is_empty()
            && !self.outbox.has_control()
            && self.outbox.is_empty()
            && self.link.is_none()
            && self.ending.is_none()
    }

    /// Opens a session. Does nothing unless [`Client::is_closed`].
    ///
    /// [`Event::Open`] follows, or [`Event::Closed`] if the session cannot be opened: the server refuses it, its open packet is malformed,
    /// no connection can be made, or [`Config::open_timeout`] passes. With [`Config::try_all_transports`], the other transports are tried
    /// before. If packets of the session before remain to be polled, its link takes them, and is then closed.
    pub fn open(&mut self, now: Instant) {
        self.advance(now);
        if self.stage != Stage::Closed {
            return;
        }
        if let Some(reason) = self.closed.take() {
            self.events.push(Event::Closed(reason));
        }
        if let Some(link) = self.link.take() {
            self.close_ending();
            let packets = self.outbox.take_packets();
            if packets.is_empty() && !link.has_urgent() {
                self.clear(Timer::Leaving);
                self.close_link(link.id());
            } else {
                self.ending = Some(Box::new(Ending { link, packets }));
            }
        }
        self.handshake = None;
        self.heartbeat = heartbeat(self.revision());
        let remembered = self.config.remember_upgrade && self.websocket_succeeded;
        let websocket = Transport::Link(LinkKind::WebSocket);
        let first = |transport: &Transport| remembered && *transport == websocket;
        let (firsts, others) = self.usable_transports().partition::<Vec<_>, _>(first);
        self.alternatives = firsts.into_iter().chain(others).rev().collect();
        self.set(Timer::Opening, self.now + self.config.open_timeout);
        self.open_next(CloseReason::TransportError(TransportError::NoTransport));
    }

    /// Handles an input.
    ///
    /// An input with an unknown or outdated id is ignored, at any time.
    ///
    /// A deadline may have passed without a call of [`Client::handle_timeout`]. Input that carries packets of the server is then handled
    /// before the deadline, because the server may have sent it in time.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.advance(now);
        match input {
            Input::LinkMessage { link, message } => self.handle_link_packet(link, self.wire.decode(message)),
            Input::LinkBytes { link, chunk } => self.handle_link_bytes(link, chunk),
            Input::LinkUp { link } => self.handle_link_up(link),
            Input::LinkDown { link, cause } => self.handle_link_down(link, cause),
            Input::Response { request, status, content_type, body } => {
                self.handle_response(request, status, content_type, body);
            }
            Input::Failed { request } => self.handle_failed(request),
        }
    }

    /// Calls [`Client::handle`], then [`Client::poll_event`]. For a machine that owns the client and takes every event at once. Nearly all
    /// inputs are messages with no event queued before them. Such a message is returned directly, without being queued.
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
    /// If the call is late by more than half of the server's ping timeout and a ping is missing, because the process or the computer was
    /// suspended, the client extends the deadline once by the time for one more read, because the ping may have arrived meanwhile.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some((timer, due)) = self.timers.pop_due(self.now) {
            let Some(timer) = Timer::ALL.get(timer) else { return };
            match timer {
                Timer::Ping => self.handle_heartbeat_timeout(HeartbeatTimer::Ping, due),
                Timer::Pong => self.handle_heartbeat_timeout(HeartbeatTimer::Pong, due),
                Timer::Upgrade => self.handle_upgrade_timeout(),
                Timer::Close => self.finish(CloseReason::ForcedClose),
                Timer::Opening => self.finish(CloseReason::TransportError(TransportError::NeverOpened)),
                Timer::Leaving => self.drop_last_packets(),
            }
        }
    }

    /// Whether the server should have sent a ping by now, although [`Client::handle_timeout`] has not been called yet: the process or the
    /// computer may have been suspended, and the connection is probably lost. An application that can keep a message for the next session
    /// asks this before it sends.
    ///
    /// Source: engine.io-client `lib/socket.ts`, `_hasPingExpired`.
    #[must_use]
    pub fn is_ping_overdue(&self, now: Instant) -> bool {
        let timer = if self.heartbeat.sends_pings() { Timer::Pong } else { Timer::Ping };
        self.timers.is_due(timer as usize, now.max(self.now))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// As [`Client::send_frames`].
    pub fn send(&mut self, message: Message) -> Result<(), SendError> {
        self.send_frame(Frame::message(message))
    }

    /// Sends encoded packets as one unit. Either all of them are queued, next to each other, or none.
    ///
    /// Over polling, packets leave in one POST at a time, of at most the server's `maxPayload` bytes; a single packet that is larger is sent
    /// alone. If a POST fails, the session ends: the packets in it may or may not have arrived, and those behind it are dropped.
    ///
    /// # Errors
    /// * [`SendError::NotConnected`] before the session is open.
    /// * [`SendError::Closed`] after [`Client::close`], and after the session has ended.
    /// * [`SendError::Full`] if the packets do not fit into [`Limits::max_outbound`](crate::Limits) together with the bytes that are
    ///   buffered already. [`Event::Writable`] is emitted when at least half of the limit is free again. If nothing is buffered, packets
    ///   of any size are accepted.
    /// * [`SendError::Separator`] if the session polls and the text contains U+001E.
    ///
    /// After an error, nothing has been queued.
    pub fn send_frames(&mut self, frames: &[Frame]) -> Result<(), SendError> {
        self.may_send(frames)?;
        for frame in frames {
            self.outbox.push(frame.clone());
        }
        Ok(())
    }

    /// Sends one encoded packet.
    ///
    /// # Errors
    /// As [`Client::send_frames`].
    #[inline]
    pub fn send_frame(&mut self, frame: Frame) -> Result<(), SendError> {
        self.may_send(core::slice::from_ref(&frame))?;
        self.outbox.push(frame);
        Ok(())
    }

    #[inline]
    fn may_send(&mut self, frames: &[Frame]) -> Result<(), SendError> {
        match self.stage {
            Stage::Open => {}
            Stage::Closing => return Err(SendError::Closed),
            Stage::Connecting | Stage::Opening => return Err(SendError::NotConnected),
            Stage::Closed if self.handshake.is_none() => return Err(SendError::NotConnected),
            Stage::Closed => return Err(SendError::Closed),
        }
        let cut = |frame: &Frame| self.wire.is_cut_in_bodies(frame);
        if self.transport == Transport::Polling && frames.iter().any(cut) {
            return Err(SendError::Separator);
        }
        let weight = frames.iter().fold(0, |sum: usize, frame| sum.saturating_add(frame.weight()));
        let waiting = self.buffered_bytes();
        self.outbox.check_capacity(weight, waiting, &self.config.limits)
    }

    /// Closes the session gracefully: queued packets are sent first. Does nothing if the session is closing or closed. A session that is not
    /// open yet ends at once.
    ///
    /// On a link, [`Event::Closed`] is emitted at once. The queued packets and then [`Transmit::CloseLink`] remain to be polled. Packets that
    /// the link has not taken after [`Config::close_timeout`] are dropped.
    ///
    /// On polling, POSTs take the queued packets, and one more takes the close packet. [`Event::Closed`] is emitted when that is answered, or
    /// after [`Config::close_timeout`]. If an upgrade is about to complete, the link carries the remaining packets instead.
    pub fn close(&mut self, now: Instant) {
        self.advance(now);
        match self.stage {
            Stage::Connecting | Stage::Opening => self.finish(CloseReason::ForcedClose),
            Stage::Open if self.link.is_some() => self.finish(CloseReason::ForcedClose),
            Stage::Open => {
                self.stage = Stage::Closing;
                self.set(Timer::Close, self.now + self.config.close_timeout);
                self.abandon_unanswered_probes();
            }
            Stage::Closing | Stage::Closed => {}
        }
    }

    /// Closes the session at once and drops queued packets. Requests are cancelled.
    pub fn discard(&mut self, now: Instant) {
        self.advance(now);
        self.drop_last_packets();
        self.drop_link_packets();
        self.finish(CloseReason::ForcedClose);
        self.clear(Timer::Leaving);
    }

    /// Returns the next output to perform. Takes constant time, except for a POST that joins queued packets.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        // First, so that the outputs are the same whether they are polled before the next `open` or after it.
        if self.ending.is_some()
            && let Some(transmit) = self.pop_ending()
        {
            return Some(transmit);
        }
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

    /// Returns the next output that is not a packet of a link: a request, or the begin or end of a request or link.
    ///
    /// For a driver that takes packets with [`Client::poll_frames`] when their link has capacity. A link that accepts no data then does not
    /// delay other outputs.
    #[inline]
    pub fn poll_control(&mut self) -> Option<Transmit> {
        if let Some(ending) = &self.ending
            && ending.packets.is_empty()
            && !ending.link.has_urgent()
        {
            let link = ending.link.id();
            self.ending = None;
            self.clear(Timer::Leaving);
            return Some(Transmit::CloseLink { link });
        }
        match &self.link {
            // Even if a GET is to be made first: a POST must not wait for a server that answers every GET at once.
            None => self.post_due(),
            Some(_) if self.outbox.has_control() => {}
            Some(link) if self.stage == Stage::Closed && self.outbox.is_empty() && !link.has_urgent() => {
                let link = link.id();
                self.link = None;
                self.clear(Timer::Leaving);
                return Some(Transmit::CloseLink { link });
            }
            Some(_) => return None,
        }
        self.outbox.pop_control()
    }

    /// Passes the packets for this link to `write`, in the order in which [`Client::poll_transmit`] would return them, until `write` returns
    /// false. The packet for which it returns false counts as taken.
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
                    _ => {
                        while more && let Some(frame) = self.pop_ending_frame(link) {
                            more = write(&frame);
                        }
                        return;
                    }
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

    /// Returns the next event. Continues to decode a response whose messages had filled the queue.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop();
        if self.polling.is_some() {
            self.decode_body();
        }
        let event = event.or_else(|| self.events.pop()).or_else(|| self.closed.take().map(Event::Closed));
        if event == Some(Event::Ping) {
            self.has_ping_event = false;
        }
        event
    }

    /// Whether [`Client::poll_event`] may return an event. A driver can use it to decide whether to poll again.
    #[must_use]
    #[inline]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty() || self.closed.is_some() || self.is_decoding()
    }

    /// The deadline at which to call [`Client::handle_timeout`], or `None` if no timer is set.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.earliest()
    }

    /// Whether the driver should read from the server's link. False while unread messages amount to
    /// [`Limits::soft_inbound`](crate::Limits) bytes or more. Over polling, the client then makes no GET.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.is_backlog()
    }

    /// Whether a message would be sent at once. A volatile message is dropped if this is false.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        let may_post = |polling: &Polling| !polling.has_post() && polling.upgrade.answered().is_none();
        self.stage == Stage::Open
            && self.outbox.is_empty()
            && (self.link.is_some() || self.polling.as_deref().is_some_and(may_post))
    }

    /// Bytes that wait to be sent. Each packet counts its own bytes and 40 more. Packets in a POST count until it is answered. After
    /// [`Client::open`], packets that the link of the session before still takes count, too.
    #[must_use]
    #[inline]
    pub fn buffered_bytes(&self) -> usize {
        let posted = self.polling.as_ref().map_or(0, |polling| polling.posted_bytes());
        let ending = self.ending.as_ref().map_or(0, |ending| ending.packets.weight());
        self.outbox.weight().saturating_add(posted).saturating_add(ending)
    }

    /// Whether the session is to be opened, and is not open yet.
    const fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Connecting | Stage::Opening)
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

    // Opening.

    /// The transports of the settings that the revision has. Only revision 4 has WebTransport.
    fn usable_transports(&self) -> impl DoubleEndedIterator<Item = Transport> {
        let (revision, transports) = (self.revision(), &self.config.transports);
        let exists = move |transport: &Transport| {
            revision == Revision::V4 || *transport != Transport::Link(LinkKind::WebTransport)
        };
        transports.iter().copied().filter(exists)
    }

    /// Tries the next transport. Without one, the session ends for this reason.
    fn open_next(&mut self, reason: CloseReason) {
        let Some(transport) = self.alternatives.pop() else {
            // It does not end twice.
            self.stage = Stage::Opening;
            return self.finish(reason);
        };
        self.transport = transport;
        match transport {
            Transport::Polling => {
                self.stage = Stage::Opening;
                self.polling = Some(Polling::new().into());
                self.get();
            }
            Transport::Link(kind) => {
                self.stage = Stage::Connecting;
                let link = self.connect(kind);
                self.link = Some(link);
            }
        }
    }

    /// The transport has failed. While the session is opening, another one may be tried. Otherwise the session ends.
    fn fail(&mut self, reason: CloseReason) {
        self.websocket_succeeded &= matches!(reason, CloseReason::TransportClose | CloseReason::PingTimeout);
        if !self.is_opening() || !self.config.try_all_transports || self.alternatives.is_empty() {
            return self.finish(reason);
        }
        if let Some(link) = self.link.take() {
            self.close_link(link.id());
        }
        self.end_polling();
        self.open_next(reason);
    }

    fn fail_transport(&mut self, error: TransportError) {
        self.fail(CloseReason::TransportError(error));
    }

    /// The first packet has arrived, which must be an open packet.
    fn handle_open(&mut self, packet: &Packet) {
        let handshake = match packet {
            Packet { packet_type: PacketType::Open, data: Message::Text(data) } => Handshake::parse(data),
            _ => None,
        };
        let Some(handshake) = handshake else { return self.fail_transport(TransportError::MalformedHandshake) };
        self.alternatives = Vec::new();
        self.clear(Timer::Opening);
        self.stage = Stage::Open;
        self.events.push(Event::Open);
        self.websocket_succeeded = self.transport == Transport::Link(LinkKind::WebSocket);
        let upgrades = handshake.upgrades.clone();
        self.handshake = Some(handshake);
        let actions = self.heartbeat.handle_open(self.now, self.timing());
        self.act(actions);
        if self.config.upgrade && self.polling.is_some() {
            self.begin_probes(&upgrades);
        }
    }

    /// The id of a new request or link.
    const fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    /// The query of a request or link.
    fn query(&self, transport: Transport) -> Text {
        let sid = self.sid();
        // As in the reference: the requests of a session that polls say it once.
        let base64 = self.config.force_base64 && (transport != Transport::Polling || sid.is_none());
        client_query(self.revision(), transport, sid.map(|sid| &**sid), base64)
    }

    // Requests.

    /// Makes a GET.
    fn get(&mut self) {
        let request = RequestId(self.next_id());
        if let Some(polling) = &mut self.polling {
            polling.begin_get(request);
        }
        let query = self.query(Transport::Polling);
        self.outbox.push_control(Transmit::Request { request, method: Method::Get, query });
    }

    /// Goes on polling: makes the next GET, or stops for a probe that was answered, once no request is in progress.
    fn poll_again(&mut self) {
        let Some(polling) = &self.polling else { return };
        if !matches!(self.stage, Stage::Open | Stage::Closing) {
            return;
        }
        match polling.upgrade.answered() {
            Some(kind) if polling.is_idle() => self.step_upgrade(kind, upgrade::Input::Paused),
            Some(_) => {}
            None if polling.has_get() || polling.is_decoding() || polling.is_closing() => {}
            None => self.get(),
        }
    }

    /// Makes a POST if one is due: packets wait and no POST is in progress, or the last packet is to be sent.
    fn post_due(&mut self) {
        let Some(polling) = &mut self.polling else { return };
        let may_post = matches!(self.stage, Stage::Open | Stage::Closing)
            && !polling.has_post()
            && polling.upgrade.answered().is_none();
        let waits = !self.outbox.is_empty() || polling.has_beat();
        if !may_post || (!waits && self.stage == Stage::Open) {
            return;
        }
        let before = self.outbox.weight();
        let encoded = if waits {
            let beat = if self.heartbeat.sends_pings() { &Frame::PING } else { &Frame::PONG };
            let beat = polling.take_beat().then_some(beat);
            let frames = beat.into_iter().chain(self.outbox.packets());
            let limit = self.handshake.as_ref().and_then(|handshake| handshake.max_payload).unwrap_or(usize::MAX);
            let count = self.wire.fitting(frames.clone(), limit);
            let encoded = self.wire.encode_body(frames.take(count));
            for _ in usize::from(beat.is_some())..count {
                self.outbox.drop_first();
            }
            encoded
        } else {
            self.wire.encode_body(iter::once(&Frame::CLOSE))
        };
        let bytes = before.saturating_sub(self.outbox.weight());
        self.last_id = self.last_id.saturating_add(1);
        let request = RequestId(self.last_id);
        polling.begin_post(request, bytes, !waits);
        let method = Method::Post { body: encoded.body, content_type: encoded.content_type };
        let query = self.query(Transport::Polling);
        self.outbox.push_control(Transmit::Request { request, method, query });
    }

    /// A response arrived.
    fn handle_response(&mut self, request: RequestId, status: u16, content_type: ContentType, body: Bytes) {
        let Some(polling) = &mut self.polling else { return };
        if polling.end_get(request) {
            if polling.is_closing() {
                // The close packet was sent, so the server may have forgotten the session.
                return;
            }
            if status != 200 {
                return self.fail_transport(TransportError::PollFailed(NonZeroU16::new(status)));
            }
            if body.len() > self.config.max_payload {
                return self.fail_transport(TransportError::PayloadTooLarge);
            }
            match self.wire.decode_body(body, content_type) {
                Ok(Some(packets)) => {
                    polling.decode(packets);
                    self.decode_body();
                }
                Ok(None) => self.poll_again(),
                Err(error) => self.fail(CloseReason::ParseError(error)),
            }
        } else if let Some(posted) = polling.end_post(request) {
            self.post_ended(&posted, (status != 200).then_some(TransportError::PostFailed(NonZeroU16::new(status))));
        }
    }

    /// A request had no response.
    fn handle_failed(&mut self, request: RequestId) {
        let Some(polling) = &mut self.polling else { return };
        if polling.end_get(request) {
            if !polling.is_closing() {
                self.fail_transport(TransportError::PollFailed(None));
            }
        } else if let Some(posted) = polling.end_post(request) {
            self.post_ended(&posted, Some(TransportError::PostFailed(None)));
        }
    }

    /// The POST has ended, with this error.
    fn post_ended(&mut self, posted: &Posted, error: Option<TransportError>) {
        match (posted, error) {
            (Posted::Close, _) => self.finish(CloseReason::ForcedClose),
            (Posted::Packets, Some(error)) => self.fail_transport(error),
            (Posted::Packets, None) => {
                self.capacity_freed();
                self.poll_again();
            }
        }
    }

    /// Decodes the body of the last response, until the unread messages reach the soft limit.
    fn decode_body(&mut self) {
        loop {
            let is_backlog = self.is_backlog();
            let Some(polling) = self.polling.as_mut().filter(|polling| polling.is_decoding()) else { return };
            if is_backlog {
                return self.stop_reading();
            }
            match polling.next_packet() {
                Some(Ok(packet)) => self.receive(packet),
                Some(Err(error)) => self.fail(CloseReason::ParseError(error)),
                None => self.poll_again(),
            }
        }
    }

    /// Whether a body is not fully decoded yet.
    fn is_decoding(&self) -> bool {
        self.polling.as_ref().is_some_and(|polling| polling.is_decoding())
    }

    /// Cancels all requests and closes all probes.
    fn end_polling(&mut self) {
        while let Some(kind) = self.polling.as_ref().and_then(|polling| polling.upgrade.any()) {
            self.step_upgrade(kind, upgrade::Input::Abandoned);
        }
        let Some(mut polling) = self.polling.take() else { return };
        for request in polling.end() {
            self.outbox.push_control(Transmit::Cancel { request });
        }
    }

    // Links. The transport, and the probes, which try to become the transport.

    /// Asks for a new link.
    fn connect(&mut self, kind: LinkKind) -> Link {
        let link = LinkId(self.next_id());
        let query = self.query(Transport::Link(kind));
        self.outbox.push_control(Transmit::Connect { link, kind, query });
        Link::new(link, kind, self.config.max_payload)
    }

    /// A link is up.
    fn handle_link_up(&mut self, id: LinkId) {
        if let Some(kind) = self.probe_kind(id) {
            self.step_upgrade(kind, upgrade::Input::LinkUp);
        } else if let Some(link) = &mut self.link
            && link.id() == id
            && self.stage == Stage::Connecting
        {
            self.stage = Stage::Opening;
            if link.kind() == LinkKind::WebTransport {
                link.push_urgent(Urgent::Open);
            }
        }
    }

    /// A link went down, or could not be made.
    fn handle_link_down(&mut self, id: LinkId, cause: LinkDownCause) {
        if let Some(kind) = self.probe_kind(id) {
            self.step_upgrade(kind, upgrade::Input::LinkDown);
        } else if self.ending.take_if(|ending| ending.link.id() == id).is_some() {
            self.clear(Timer::Leaving);
            self.capacity_freed();
        } else if self.is_carrier(id) {
            self.link = None;
            self.outbox.clear();
            if self.stage == Stage::Closed {
                self.clear(Timer::Leaving);
            }
            self.fail(match cause {
                _ if self.stage == Stage::Connecting => CloseReason::TransportError(TransportError::ConnectFailed),
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

    /// A link delivered a packet, or bytes that are not one. They are ignored if the client has already closed the link.
    #[inline]
    fn handle_link_packet(&mut self, id: LinkId, packet: Result<Packet, ParseError>) {
        if !self.is_carrier(id) {
            if let Some(kind) = self.probe_kind(id) {
                let is_answer = packet.is_ok_and(|packet| link::is_probe_answer(&packet));
                let input = if is_answer { upgrade::Input::Answer } else { upgrade::Input::Other };
                self.step_upgrade(kind, input);
            }
            return;
        }
        if matches!(self.stage, Stage::Connecting | Stage::Closed) {
            return;
        }
        let packet = match packet {
            Ok(packet) => packet,
            Err(error) => return self.fail(CloseReason::ParseError(error)),
        };
        if packet.packet_type == PacketType::Message {
            let unread = self.events.weight();
            // The limit is for messages that accumulate. A single message is accepted, however large it is.
            if unread > 0 && unread.saturating_add(packet.weight()) > self.config.limits.max_inbound {
                return self.fail_transport(TransportError::InboundOverflow);
            }
        }
        self.receive(packet);
    }

    /// Closes a link that is not the transport.
    fn close_link(&mut self, link: LinkId) {
        self.outbox.push_control(Transmit::CloseLink { link });
    }

    /// Takes the next packet of the session before.
    fn pop_ending(&mut self) -> Option<Transmit> {
        let link = self.ending.as_ref()?.link.id();
        let frame = self.pop_ending_frame(link)?;
        Some(Transmit::Link { link, frame })
    }

    /// Takes the next packet of the session before, if this was its link.
    fn pop_ending_frame(&mut self, link: LinkId) -> Option<Frame> {
        let ending = self.ending.as_mut().filter(|ending| ending.link.id() == link)?;
        let urgent = ending.link.pop_urgent().and_then(Urgent::frame);
        let frame = self.wire.on_link(ending.link.kind(), urgent.or_else(|| ending.packets.pop())?);
        self.capacity_freed();
        Some(frame)
    }

    /// Closes the link of the session before.
    fn close_ending(&mut self) {
        if let Some(ending) = self.ending.take() {
            self.close_link(ending.link.id());
        }
    }

    /// Drops the packets of a session that has ended, which its link has not taken.
    fn drop_last_packets(&mut self) {
        self.close_ending();
        if self.stage == Stage::Closed {
            self.drop_link_packets();
        }
        self.capacity_freed();
    }

    /// Takes the next packet that leaves this link ahead of the queue.
    fn pop_urgent(&mut self, id: LinkId) -> Option<Frame> {
        let is_carrier = self.is_carrier(id);
        let link = self.link_mut(id)?;
        let kind = link.kind();
        let frame = match link.pop_urgent()? {
            Urgent::Open if is_carrier => Frame::text(PacketType::Open, Text::new()),
            Urgent::Open => {
                let sid = self.sid()?;
                Frame::text(PacketType::Open, format!(r#"{{"sid":{}}}"#, JsonString(sid)).into())
            }
            other => other.frame()?,
        };
        Some(self.wire.on_link(kind, frame))
    }

    /// The link that has a packet to send ahead of the queue.
    fn urgent_link(&self) -> Option<LinkId> {
        let probes = self.polling.iter().flat_map(|polling| polling.upgrade.links());
        self.link.iter().chain(probes).find(|link| link.has_urgent()).map(Link::id)
    }

    fn is_carrier(&self, id: LinkId) -> bool {
        self.link.as_ref().is_some_and(|link| link.id() == id)
    }

    /// The kind of this link, if it is a probe's.
    fn probe_kind(&mut self, id: LinkId) -> Option<LinkKind> {
        Some(self.polling.as_mut()?.upgrade.link_mut(id)?.kind())
    }

    /// The transport or a probe.
    fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        match &mut self.link {
            Some(link) if link.id() == id => Some(link),
            _ => self.polling.as_mut()?.upgrade.link_mut(id),
        }
    }

    /// The transport or a probe. `None` before it is up and after the session has ended, when the input of links is ignored.
    fn heard_link(&mut self, id: LinkId) -> Option<&mut Link> {
        if matches!(self.stage, Stage::Connecting | Stage::Closed) { None } else { self.link_mut(id) }
    }

    // Probes.

    /// Begins the probes of the links that the server offers and the settings allow.
    fn begin_probes(&mut self, offered: &[LinkKind]) {
        let usable: Vec<Transport> = self.usable_transports().collect();
        let kinds = offered.iter().copied().filter(|kind| usable.contains(&Transport::Link(*kind)));
        if let Some(polling) = &mut self.polling {
            polling.upgrade.begin(kinds, self.now);
        }
        self.handle_upgrade_timeout();
    }

    /// A probe is due.
    fn handle_upgrade_timeout(&mut self) {
        while let Some(kind) = self.polling.as_ref().and_then(|polling| polling.upgrade.due(self.now)) {
            self.step_upgrade(kind, upgrade::Input::Due);
        }
    }

    /// Passes an input to the probe of this kind, and performs the action.
    fn step_upgrade(&mut self, kind: LinkKind, input: upgrade::Input) {
        let Some(polling) = &mut self.polling else { return };
        let (action, link) = polling.upgrade.handle(kind, input);
        match (action, link) {
            (Action::Connect, _) => self.connect_probe(kind),
            (Action::Probe, _) => {
                if let Some(probe) = polling.upgrade.link_of(kind) {
                    if kind == LinkKind::WebTransport {
                        probe.push_urgent(Urgent::Open);
                    }
                    probe.push_urgent(Urgent::Probe);
                }
            }
            (Action::Pause, _) => {
                self.websocket_succeeded = kind == LinkKind::WebSocket;
                self.abandon_unanswered_probes();
                self.poll_again();
            }
            (Action::Switch, Some(link)) => self.switch_to(link),
            (Action::Close, Some(link)) => self.close_link(link.id()),
            (Action::Fail, Some(link)) => {
                self.close_link(link.id());
                self.upgrade_failed(kind);
            }
            (Action::Lose, _) => self.upgrade_failed(kind),
            _ => {}
        }
        let deadline = self.polling.as_ref().map_or(Instant::FAR_FUTURE, |polling| polling.upgrade.deadline());
        self.set(Timer::Upgrade, deadline);
    }

    fn connect_probe(&mut self, kind: LinkKind) {
        self.websocket_succeeded = false;
        let link = self.connect(kind);
        let deadline = self.now + self.config.upgrade_timeout;
        if let Some(polling) = &mut self.polling {
            polling.upgrade.connect(link, deadline);
        }
    }

    /// A probe has failed. The session goes on polling.
    fn upgrade_failed(&mut self, kind: LinkKind) {
        if self.stage == Stage::Open {
            self.events.push(Event::UpgradeFailed(kind));
        }
        self.poll_again();
    }

    fn abandon_unanswered_probes(&mut self) {
        while let Some(kind) = self.polling.as_ref().and_then(|polling| polling.upgrade.unanswered()) {
            self.step_upgrade(kind, upgrade::Input::Abandoned);
        }
    }

    /// Makes a probe the transport. It carries the queued packets. No request is in progress.
    fn switch_to(&mut self, mut probe: Link) {
        let kind = probe.kind();
        probe.push_urgent(Urgent::Upgrade);
        if self.polling.take().is_some_and(|mut polling| polling.take_beat()) {
            probe.push_urgent(if self.heartbeat.sends_pings() { Urgent::Ping } else { Urgent::Pong });
        }
        self.transport = Transport::Link(kind);
        self.link = Some(probe);
        self.events.push(Event::Upgraded(kind));
        if self.stage == Stage::Closing {
            self.finish(CloseReason::ForcedClose);
        }
    }

    // The heartbeat.

    /// A deadline of the heartbeat has passed.
    fn handle_heartbeat_timeout(&mut self, timer: HeartbeatTimer, due: Instant) {
        let may_be_unread = self.link.is_some() || self.polling.as_ref().is_some_and(|polling| polling.has_get());
        let read_state = ReadState { has_stopped_reading: self.is_backlog(), may_be_unread };
        let actions = self.heartbeat.handle_timeout(timer, self.now, due, read_state, self.timing());
        if actions.close.is_some() {
            // The server may never read these packets.
            self.drop_link_packets();
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

    /// This side stops reading for now.
    fn stop_reading(&mut self) {
        let actions = self.heartbeat.handle_stop_reading(self.timing());
        self.act(actions);
    }

    fn timing(&self) -> Timing {
        let (interval, timeout) =
            self.handshake.as_ref().map_or_else(Default::default, |open| (open.ping_interval, open.ping_timeout));
        Timing::new(interval, timeout, self.config.limits.max_stall)
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
            self.fail(reason);
        }
    }

    /// Sends a ping or pong, ahead of the queue: megabytes of messages must not use up the time to answer.
    fn send_beat(&mut self, packet: Send) {
        match (&mut self.link, &mut self.polling) {
            (Some(link), _) => link.push_urgent(match packet {
                Send::Ping => Urgent::Ping,
                Send::Pong => Urgent::Pong,
            }),
            (None, Some(polling)) => polling.push_beat(),
            (None, None) => {}
        }
        // A ping comes once per interval, so this is a good time to free memory that a burst of messages has left allocated.
        self.events.release();
        self.outbox.release();
    }

    // Packets and the end.

    /// Handles a packet of the server. Packets are passed in their order.
    #[inline]
    fn receive(&mut self, packet: Packet) {
        if self.stage == Stage::Opening {
            return self.handle_open(&packet);
        }
        match packet.packet_type {
            PacketType::Close => return self.finish(CloseReason::TransportClose),
            PacketType::Ping if !self.heartbeat.sends_pings() => {
                let actions = self.heartbeat.handle_ping(self.now, self.timing());
                self.act(actions);
                if !core::mem::replace(&mut self.has_ping_event, true) {
                    self.events.push(Event::Ping);
                }
                return;
            }
            PacketType::Pong if self.heartbeat.sends_pings() => {
                let actions = self.heartbeat.handle_pong(self.now, self.timing());
                return self.act(actions);
            }
            PacketType::Message if self.stage == Stage::Open => self.events.push(Event::Message(packet.data)),
            // As in the reference, an open session ignores these, and a ping or pong in the wrong direction, too. An application that has
            // closed takes no more messages.
            _ => {}
        }
        self.sign_of_life();
        if self.is_backlog() {
            self.stop_reading();
        }
    }

    /// Decodes a message packet that can be returned directly: this link is the transport, the session is open, and no event is queued.
    #[inline]
    fn plain_message(&self, link: LinkId, packet: &Message) -> Option<Message> {
        let open = self.stage == Stage::Open && self.events.is_empty();
        if !open || self.link.as_ref().is_none_or(|transport| transport.id() != link) {
            return None;
        }
        self.wire.decode_plain(packet)
    }

    /// Whether there are so many unread messages that the client stops reading. Without unread messages, it never does.
    fn is_backlog(&self) -> bool {
        let unread = self.events.weight();
        unread > 0 && unread >= self.config.limits.soft_inbound
    }

    /// Capacity may be free again: packets have left the outbox, or a POST was answered.
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

    /// Drops the packets that are queued for a link.
    fn drop_link_packets(&mut self) {
        if let Some(link) = &mut self.link {
            link.clear();
            self.outbox.clear();
        }
    }

    /// Ends the session, unless it has ended already. Packets for a link stay queued. Every request is cancelled.
    fn finish(&mut self, reason: CloseReason) {
        if self.stage == Stage::Closed {
            return;
        }
        self.stage = Stage::Closed;
        self.closed = Some(reason);
        self.alternatives = Vec::new();
        self.end_polling();
        for timer in Timer::ALL.into_iter().filter(|timer| *timer != Timer::Leaving) {
            self.clear(timer);
        }
        match &self.link {
            None => self.outbox.clear(),
            // Otherwise a server that does not read could keep them for ever.
            Some(link) if link.has_urgent() || !self.outbox.is_empty() => {
                self.set(Timer::Leaving, self.now + self.config.close_timeout);
            }
            Some(_) => {}
        }
    }
}

/// The heartbeat of a client of this revision.
const fn heartbeat(revision: Revision) -> Heartbeat {
    match revision {
        Revision::V3 => Heartbeat::sending_pings(),
        Revision::V4 => Heartbeat::answering_pings(),
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
    fn a_client_is_small() {
        assert!(size_of::<Client>() <= 600, "{} bytes", size_of::<Client>());
    }
}
