//! A model of the JavaScript client, as far as its behaviour on the wire is concerned.
//!
//! It polls in a loop and posts one body at a time, batched by `maxPayload`. It probes, and waits for its GET and POST to end before it
//! sends `5`. It answers pings, and closes when none arrives in time. A client of revision 3 sends the pings itself, and closes when no pong
//! arrives in time. It is a state machine without I/O, like those of the server; the network is simulated elsewhere.
//!
//! Source: engine.io-client 6.6 `lib/socket.ts` and `lib/transports/polling.ts`; engine.io-client 3.5 `lib/socket.js` (`onPacket`, `setPing`,
//! `onHeartbeat`).

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::error::ParseError;
use crate::event::LinkKind;
use crate::http::ContentType;
use crate::json;
use crate::message::{Message, Text};
use crate::packet::{Frame, Packet, PacketType};
use crate::payload::{self, Packets, v3};
use crate::time::Instant;

/// The settings of a client.
#[derive(Clone, Hash, Debug)]
#[allow(clippy::exhaustive_structs, reason = "scenarios build it with a literal")]
pub struct ClientSettings {
    /// The link that it connects with; `None` to start with polling.
    pub start: Option<LinkKind>,
    /// The link that it upgrades to once it is open, if any.
    pub upgrade: Option<LinkKind>,
    /// How long it waits for a ping: the server's ping interval and ping timeout added up.
    pub heartbeat_timeout: Duration,
    /// The server's ping interval, at which a client of revision 3 sends pings.
    pub ping_interval: Duration,
    /// The server's `maxPayload`, in bytes.
    pub max_payload: usize,
    /// Deviations from the JavaScript client.
    pub behavior: ClientBehavior,
}

/// Behaviour of some clients that differs from the JavaScript client.
#[derive(Clone, Copy, Default, Hash, Debug)]
#[allow(clippy::exhaustive_structs, reason = "scenarios build it with a literal")]
pub struct ClientBehavior {
    /// Waits only for its GET, not for its POST, before it sends `5`.
    pub upgrades_during_post: bool,
    /// Sends `5` on a WebSocket without a probe once no POST is in flight, whether or not a GET is held. Reads the answer to the GET before
    /// anything from the link.
    pub skips_probe: bool,
    /// Uses revision 3, which the server has to allow ([`Config::allow_eio3`](crate::Config::allow_eio3)).
    pub revision_3: bool,
}

/// An action for the network to perform.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ClientAction {
    /// Sends this GET.
    Get {
        /// Its number, unique within this client.
        request: u64,
        /// Its query.
        query: String,
    },
    /// Sends this POST.
    Post {
        /// Its number, unique within this client.
        request: u64,
        /// Its query.
        query: String,
        /// Its body.
        body: Bytes,
        /// The content type of its body.
        content_type: ContentType,
    },
    /// Gives this request up: its connection is closed.
    Cancel {
        /// The request.
        request: u64,
    },
    /// Opens this link.
    Connect {
        /// Its number, unique within this client.
        link: u64,
        /// Its kind.
        kind: LinkKind,
        /// The query of its request; WebTransport has none.
        query: String,
    },
    /// Sends this packet.
    Send {
        /// The link.
        link: u64,
        /// The packet.
        frame: Frame,
    },
    /// Closes this link.
    Close {
        /// The link.
        link: u64,
    },
}

/// An event for the client's application.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The client is open.
    Open,
    /// A message arrived.
    Message(Message),
    /// The client has moved to the link.
    Upgraded,
    /// The client is closed. The reason is worded as in the reference. This is the last event.
    Closed(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stage {
    Opening,
    Open,
    /// The application has closed the client; messages sent before are still flushed.
    Closing,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Pause {
    No,
    /// Waits for the GET and the POST in flight.
    Pausing,
    /// No request is in flight any more.
    Paused,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Transport {
    Polling,
    Link(u64),
}

/// A client of one session.
#[derive(Clone, Hash, Debug)]
pub struct Client {
    settings: ClientSettings,
    stage: Stage,
    transport: Transport,
    sid: String,
    /// The GET in flight.
    get: Option<u64>,
    /// The POST in flight, and how many packets of the buffer it contains.
    post: Option<(u64, usize)>,
    pause: Pause,
    /// The link that is being probed, and whether it has answered the probe.
    probe: Option<(u64, bool)>,
    /// Packets that arrived on the link before the last GET was answered.
    late: VecDeque<Packet>,
    buffer: VecDeque<Frame>,
    deadline: Option<Instant>,
    /// When a client of revision 3 sends its next ping. `None` while it waits for the pong.
    ping: Option<Instant>,
    actions: VecDeque<ClientAction>,
    events: VecDeque<ClientEvent>,
    last_number: u64,
}

impl Client {
    /// A client that connects at once.
    #[must_use]
    pub fn new(settings: ClientSettings) -> Self {
        let mut client = Self {
            stage: Stage::Opening,
            transport: Transport::Polling,
            sid: String::new(),
            get: None,
            post: None,
            pause: Pause::No,
            probe: None,
            late: VecDeque::new(),
            buffer: VecDeque::new(),
            deadline: None,
            ping: None,
            actions: VecDeque::new(),
            events: VecDeque::new(),
            last_number: 0,
            settings,
        };
        match client.settings.start {
            None => client.poll(),
            Some(kind) => {
                let link = client.connect(kind);
                client.transport = Transport::Link(link);
            }
        }
        client
    }

    /// The next action to perform.
    pub fn poll_action(&mut self) -> Option<ClientAction> {
        self.actions.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// When to call [`Client::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.ping).min()
    }

    /// Handles a deadline that has passed: no ping or pong arrived in time, or a ping is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ping.is_some_and(|due| due <= now) {
            let timeout = self.settings.heartbeat_timeout.saturating_sub(self.settings.ping_interval);
            self.ping = None;
            self.deadline = Some(now + timeout);
            self.buffer.push_back(Frame::PING);
            return self.flush();
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.end("ping timeout");
        }
    }

    /// Whether the client is open, so that messages can be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether the client is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Whether the client uses a link instead of polling.
    #[must_use]
    pub const fn is_on_link(&self) -> bool {
        matches!(self.transport, Transport::Link(_))
    }

    /// Whether the client is open, has nothing left to send, and is not about to leave polling. A message that is missing then, and not in
    /// transit, is lost.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_open() && self.buffer.is_empty() && self.pause == Pause::No
    }

    /// Sends a message. It is dropped if the client is not open.
    pub fn send(&mut self, message: Message) {
        if self.stage == Stage::Open {
            self.buffer.push_back(Frame::message(message));
            self.flush();
        }
    }

    /// Closes the client once everything sent before is flushed and an upgrade in progress has ended.
    pub fn close(&mut self) {
        match self.stage {
            Stage::Open => {
                self.stage = Stage::Closing;
                self.end_if_due();
            }
            Stage::Opening => self.end("forced close"),
            Stage::Closing | Stage::Closed => {}
        }
    }

    /// Closes the client without sending anything, as if its process had died.
    pub fn crash(&mut self) {
        self.actions.clear();
        self.deadline = None;
        self.ping = None;
        if self.stage != Stage::Closed {
            self.stage = Stage::Closed;
            self.events.push_back(ClientEvent::Closed("crashed"));
        }
    }

    /// Handles the answer to a request.
    pub fn response(&mut self, now: Instant, request: u64, status: u16, body: Bytes) {
        let is_get = self.get == Some(request);
        let posted = self.post.filter(|(post, _)| *post == request).map(|(_, packets)| packets);
        if is_get {
            self.get = None;
        }
        if posted.is_some() {
            self.post = None;
        }
        if self.stage == Stage::Closed || !(is_get || posted.is_some()) {
            return;
        }
        if status != 200 && is_get && self.is_on_link() {
            // The GET arrived after the session had left polling.
            return self.read_late(now);
        }
        if status != 200 {
            return self.end("transport error");
        }
        if let Some(packets) = posted {
            self.buffer.drain(..packets.min(self.buffer.len()));
            self.continue_pause();
            self.flush();
            return self.end_if_due();
        }
        let packets: Result<Vec<_>, _> = match self.settings.behavior.revision_3 {
            true => v3::Packets::new(body.clone(), body_type(&body)).map(Iterator::collect),
            false => Packets::new(body).map(Iterator::collect),
        };
        let Ok(packets) = packets else { return self.end("transport error") };
        for packet in packets {
            let Ok(packet) = packet else { return self.end("transport error") };
            match (packet.packet_type, self.transport) {
                (PacketType::Close, Transport::Polling) => return self.end("transport close"),
                // This ends polling, but not the session.
                (PacketType::Close, Transport::Link(_)) => break,
                _ => self.packet(now, packet),
            }
            if self.stage == Stage::Closed {
                return;
            }
        }
        self.read_late(now);
        if self.pause == Pause::No && self.transport == Transport::Polling {
            self.poll();
        }
        self.continue_pause();
    }

    /// Polling has ended: processes the packets that arrived on the link in the meantime.
    fn read_late(&mut self, now: Instant) {
        while let Some(packet) = self.late.pop_front() {
            self.packet(now, packet);
        }
    }

    /// Handles the loss of a request's connection.
    pub fn failed(&mut self, request: u64) {
        let ours = self.get == Some(request) || self.post.is_some_and(|(post, _)| post == request);
        if self.get == Some(request) {
            self.get = None;
        } else if ours {
            self.post = None;
        }
        if ours {
            self.end("transport error");
        }
    }

    /// Decodes a message of a WebSocket.
    pub(super) fn decode(&self, message: Message) -> Result<Packet, ParseError> {
        if self.settings.behavior.revision_3 { Packet::decode_v3(message) } else { Packet::decode(message) }
    }

    /// Handles a link that is up.
    pub fn link_up(&mut self, link: u64) {
        let kind = self.kind_of(link);
        if self.is_probe(link) {
            if kind == Some(LinkKind::WebTransport) {
                let open = format!(r#"{{"sid":"{}"}}"#, self.sid);
                self.send_over(link, Frame::text(PacketType::Open, Text::from(open)));
            } else if self.settings.behavior.skips_probe {
                return self.probed(link);
            }
            self.send_over(link, Frame::text(PacketType::Ping, Text::from_static("probe")));
        } else if self.transport == Transport::Link(link) && kind == Some(LinkKind::WebTransport) {
            self.send_over(link, Frame::text(PacketType::Open, Text::new()));
        }
    }

    /// Handles a packet that arrived on a link.
    pub fn link_packet(&mut self, now: Instant, link: u64, packet: Packet) {
        if self.stage == Stage::Closed {
            return;
        }
        if self.transport == Transport::Link(link) {
            if self.get.is_some() {
                return self.late.push_back(packet);
            }
            return self.packet(now, packet);
        }
        if self.is_probe(link) {
            if packet.packet_type == PacketType::Pong && packet.data == Message::from("probe") {
                self.probed(link);
            } else {
                self.probe = None;
                self.actions.push_back(ClientAction::Close { link });
            }
        }
    }

    /// Handles a link that went down, or never came up.
    pub fn link_down(&mut self, link: u64) {
        if self.transport == Transport::Link(link) {
            self.end("transport close");
        } else if self.is_probe(link) {
            self.probe = None;
            // As in the reference, a client that has paused already never polls again. It ends with `ping timeout`.
            self.end_if_due();
        }
    }

    /// The link works: moves to it as soon as the requests that must end first have ended.
    fn probed(&mut self, link: u64) {
        self.probe = Some((link, true));
        self.pause = Pause::Pausing;
        self.continue_pause();
    }

    fn packet(&mut self, now: Instant, packet: Packet) {
        if self.settings.behavior.revision_3 && self.deadline.is_some() {
            // Any packet counts.
            self.deadline = Some(now + self.settings.heartbeat_timeout);
        }
        match packet.packet_type {
            PacketType::Open if self.stage == Stage::Opening => {
                let Message::Text(json) = &packet.data else { return };
                self.sid = json::string_member(json, "sid").unwrap_or_default().to_string();
                self.stage = Stage::Open;
                self.deadline = Some(now + self.settings.heartbeat_timeout);
                self.ping = self.settings.behavior.revision_3.then(|| now + self.settings.ping_interval);
                self.events.push_back(ClientEvent::Open);
                if let (Transport::Polling, Some(kind)) = (self.transport, self.settings.upgrade) {
                    let link = self.connect(kind);
                    self.probe = Some((link, false));
                }
                self.flush();
            }
            PacketType::Ping => {
                self.deadline = Some(now + self.settings.heartbeat_timeout);
                self.buffer.push_back(Frame::PONG);
                self.flush();
            }
            PacketType::Pong if self.settings.behavior.revision_3 => {
                self.ping = Some(now + self.settings.ping_interval);
            }
            PacketType::Message => self.events.push_back(ClientEvent::Message(packet.data)),
            // The reference ignores a close packet on a link, and all other packets on any transport.
            _ => {}
        }
    }

    /// Sends the buffered packets, unless a POST is in flight or polling is paused.
    fn flush(&mut self) {
        if !matches!(self.stage, Stage::Open | Stage::Closing) || self.buffer.is_empty() || self.pause != Pause::No {
            return;
        }
        match self.transport {
            Transport::Link(link) => {
                for frame in core::mem::take(&mut self.buffer) {
                    self.send_over(link, frame);
                }
            }
            Transport::Polling if self.post.is_none() => {
                let batch = self.batch();
                let mut body = BytesMut::new();
                let frames: Vec<&Frame> = self.buffer.iter().take(batch).collect();
                match self.settings.behavior.revision_3 {
                    true => drop(v3::encode(frames.iter().copied(), true, &mut body)),
                    false => payload::encode(frames.iter().copied(), &mut body),
                }
                self.post(body.freeze(), batch);
            }
            Transport::Polling => {}
        }
    }

    /// The number of buffered packets that fit into one body. The first one always does.
    fn batch(&self) -> usize {
        let mut size = 1_usize;
        for (index, frame) in self.buffer.iter().enumerate() {
            let length = frame.data().len();
            let encoded = if frame.is_binary() { length.saturating_mul(133).div_ceil(100) } else { length };
            size = size.saturating_add(encoded);
            if index > 0 && size > self.settings.max_payload {
                return index;
            }
            size = size.saturating_add(if self.settings.behavior.revision_3 { 10 } else { 2 });
        }
        self.buffer.len()
    }

    /// Moves to the probed link once the GET and the POST in flight have ended.
    fn continue_pause(&mut self) {
        let posted = self.post.is_none() || self.settings.behavior.upgrades_during_post;
        let polled = self.get.is_none() || self.settings.behavior.skips_probe;
        if self.pause == Pause::Pausing && polled && posted {
            self.pause = Pause::Paused;
        }
        let Some((link, true)) = self.probe else { return };
        if self.pause != Pause::Paused || self.stage == Stage::Closed {
            return;
        }
        self.probe = None;
        self.pause = Pause::No;
        self.transport = Transport::Link(link);
        if let Some((_, packets)) = self.post.take() {
            self.buffer.drain(..packets.min(self.buffer.len()));
        }
        self.send_over(link, Frame::text(PacketType::Upgrade, Text::new()));
        self.events.push_back(ClientEvent::Upgraded);
        self.flush();
        self.end_if_due();
    }

    fn end_if_due(&mut self) {
        if self.stage == Stage::Closing && self.buffer.is_empty() && self.pause == Pause::No && self.post.is_none() {
            self.end("forced close");
        }
    }

    /// Closes the transport and the client.
    fn end(&mut self, reason: &'static str) {
        let was = core::mem::replace(&mut self.stage, Stage::Closed);
        if was == Stage::Closed {
            return;
        }
        self.deadline = None;
        self.ping = None;
        match self.transport {
            Transport::Link(link) => self.actions.push_back(ClientAction::Close { link }),
            // Sent even while another POST is in flight, and after an error.
            Transport::Polling if was != Stage::Opening && reason != "transport close" => {
                self.post(Bytes::from_static(if self.settings.behavior.revision_3 { b"1:1" } else { b"1" }), 0);
            }
            Transport::Polling => {}
        }
        if let Some((link, _)) = self.probe.take() {
            self.actions.push_back(ClientAction::Close { link });
        }
        self.events.push_back(ClientEvent::Closed(reason));
    }

    fn poll(&mut self) {
        let request = self.name();
        self.get = Some(request);
        let query = self.query("polling");
        self.actions.push_back(ClientAction::Get { request, query });
    }

    fn post(&mut self, body: Bytes, packets: usize) {
        let request = self.name();
        self.post = Some((request, packets));
        let query = self.query("polling");
        let content_type = body_type(&body);
        self.actions.push_back(ClientAction::Post { request, query, body, content_type });
    }

    fn connect(&mut self, kind: LinkKind) -> u64 {
        let link = self.name();
        let query = self.query("websocket");
        self.actions.push_back(ClientAction::Connect { link, kind, query });
        link
    }

    fn send_over(&mut self, link: u64, frame: Frame) {
        let frame = if self.settings.behavior.revision_3 { frame.into_v3() } else { frame };
        self.actions.push_back(ClientAction::Send { link, frame });
    }

    fn query(&self, transport: &str) -> String {
        let revision = if self.settings.behavior.revision_3 { 3 } else { 4 };
        let mut query = format!("EIO={revision}&transport={transport}&t=p8hx");
        if !self.sid.is_empty() {
            query.push_str("&sid=");
            query.push_str(&self.sid);
        }
        query
    }

    fn is_probe(&self, link: u64) -> bool {
        self.probe.is_some_and(|(probe, _)| probe == link)
    }

    fn kind_of(&self, link: u64) -> Option<LinkKind> {
        if self.is_probe(link) { self.settings.upgrade } else { self.settings.start }
    }

    const fn name(&mut self) -> u64 {
        self.last_number = self.last_number.saturating_add(1);
        self.last_number
    }
}

/// The content type of a body. A binary body of revision 3 begins with a byte that no text body begins with.
fn body_type(body: &[u8]) -> ContentType {
    if body.first().is_some_and(|first| *first <= 1) { ContentType::OctetStream } else { ContentType::Text }
}
