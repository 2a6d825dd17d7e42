//! The other end: a model of the JavaScript client, as far as its behaviour on the wire goes.
//!
//! It polls in a loop and posts one body at a time, batched by `maxPayload`; it probes, waits for its GET and POST to end before it
//! sends `5`, answers pings, and closes when none comes. What the network does to it is decided elsewhere: like the server's
//! machines it takes facts and gives actions.
//!
//! Source: engine.io-client 6.6 `lib/socket.ts` and `lib/transports/polling.ts`.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::event::LinkKind;
use crate::json;
use crate::message::{Message, Text};
use crate::packet::{Frame, Packet, PacketType};
use crate::payload::{self, Packets};
use crate::time::Instant;

/// How a client starts, and what it does then.
#[derive(Clone, Hash, Debug)]
#[allow(clippy::exhaustive_structs, reason = "scenarios build it with a literal")]
pub struct ClientSettings {
    /// The link that it opens with; `None` to poll.
    pub start: Option<LinkKind>,
    /// The link that it upgrades to once it is open.
    pub upgrade: Option<LinkKind>,
    /// The server's ping interval and timeout together: how long it waits for a ping.
    pub patience: Duration,
    /// The server's `maxPayload`, in bytes.
    pub max_payload: usize,
    /// What it does that the JavaScript client does not.
    pub habits: Habits,
}

/// What some clients do and the JavaScript one does not.
#[derive(Clone, Copy, Default, Hash, Debug)]
#[allow(clippy::exhaustive_structs, reason = "scenarios build it with a literal")]
pub struct Habits {
    /// Does not wait for its POST before it sends `5`, only for its GET.
    pub impatient: bool,
    /// Sends `5` on a WebSocket without a probe, whether or not a GET is held, once no POST is under way; reads the GET's answer before
    /// anything of the link.
    pub unprobed: bool,
}

/// What a client wants done.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ClientAction {
    /// Send this GET.
    Get {
        /// Its name.
        request: u64,
        /// Its query.
        query: String,
    },
    /// Send this POST.
    Post {
        /// Its name.
        request: u64,
        /// Its query.
        query: String,
        /// Its body.
        body: Bytes,
    },
    /// Open this link.
    Connect {
        /// Its name.
        link: u64,
        /// What it is.
        kind: LinkKind,
        /// The query of its request; WebTransport has none.
        query: String,
    },
    /// Send this packet.
    Send {
        /// Over this link.
        link: u64,
        /// The packet.
        frame: Frame,
    },
    /// Close this link.
    Close {
        /// The link.
        link: u64,
    },
}

/// What a client tells its application.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// It is open.
    Open,
    /// A message came.
    Message(Message),
    /// It moved to the link.
    Upgraded,
    /// It is closed, for this reason in the words of the reference. The last event.
    Closed(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stage {
    Opening,
    Open,
    /// The application has closed; what it had sent before still goes out.
    Closing,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Pause {
    No,
    /// The GET and the POST under way are waited for.
    Pausing,
    /// Nothing is under way any more.
    Paused,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Carrier {
    Polling,
    Link(u64),
}

/// A client of one session.
#[derive(Clone, Hash, Debug)]
pub struct Client {
    settings: ClientSettings,
    stage: Stage,
    carrier: Carrier,
    sid: String,
    /// The GET under way.
    get: Option<u64>,
    /// The POST under way, and how many packets of the buffer it holds.
    post: Option<(u64, usize)>,
    pause: Pause,
    /// The link that is tried, and whether it has answered the probe.
    probe: Option<(u64, bool)>,
    /// What came over the link before the last GET was answered.
    late: VecDeque<Packet>,
    buffer: VecDeque<Frame>,
    deadline: Option<Instant>,
    actions: VecDeque<ClientAction>,
    events: VecDeque<ClientEvent>,
    names: u64,
}

impl Client {
    /// A client that connects at once.
    #[must_use]
    pub fn new(settings: ClientSettings) -> Self {
        let mut client = Self {
            stage: Stage::Opening,
            carrier: Carrier::Polling,
            sid: String::new(),
            get: None,
            post: None,
            pause: Pause::No,
            probe: None,
            late: VecDeque::new(),
            buffer: VecDeque::new(),
            deadline: None,
            actions: VecDeque::new(),
            events: VecDeque::new(),
            names: 0,
            settings,
        };
        match client.settings.start {
            None => client.poll(),
            Some(kind) => {
                let link = client.connect(kind);
                client.carrier = Carrier::Link(link);
            }
        }
        client
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<ClientAction> {
        self.actions.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// When to call [`Client::handle_timeout`].
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// The deadline has passed: no ping came in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.end("ping timeout");
        }
    }

    /// Whether it is open: messages may be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Whether it has left polling for a link.
    #[must_use]
    pub const fn is_on_link(&self) -> bool {
        matches!(self.carrier, Carrier::Link(_))
    }

    /// Whether it is open with nothing left to send, and not about to leave polling: what is not under way then is lost.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_open() && self.buffer.is_empty() && self.pause == Pause::No
    }

    /// Sends a message; lost unless it is open.
    pub fn send(&mut self, message: Message) {
        if self.stage == Stage::Open {
            self.buffer.push_back(Frame::message(message));
            self.flush();
        }
    }

    /// Closes, once everything that was sent before has gone out and an upgrade under way is over.
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

    /// Everything that it had open is gone without a word, and so is it.
    pub fn vanish(&mut self) {
        self.actions.clear();
        self.deadline = None;
        if self.stage != Stage::Closed {
            self.stage = Stage::Closed;
            self.events.push_back(ClientEvent::Closed("vanished"));
        }
    }

    /// A request was answered.
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
            // It came after the session had left polling.
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
        let Ok(packets) = Packets::new(body) else { return self.end("transport error") };
        for packet in packets {
            let Ok(packet) = packet else { return self.end("transport error") };
            match (packet.packet_type, self.carrier) {
                (PacketType::Close, Carrier::Polling) => return self.end("transport close"),
                // The end of polling, not of the session.
                (PacketType::Close, Carrier::Link(_)) => break,
                _ => self.packet(now, packet),
            }
            if self.stage == Stage::Closed {
                return;
            }
        }
        self.read_late(now);
        if self.pause == Pause::No && self.carrier == Carrier::Polling {
            self.poll();
        }
        self.continue_pause();
    }

    /// Nothing is left of polling: reads what came over the link meanwhile.
    fn read_late(&mut self, now: Instant) {
        while let Some(packet) = self.late.pop_front() {
            self.packet(now, packet);
        }
    }

    /// The connection of a request went away.
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

    /// A link is up.
    pub fn link_up(&mut self, link: u64) {
        let kind = self.kind_of(link);
        if self.is_probe(link) {
            if kind == Some(LinkKind::WebTransport) {
                let open = format!(r#"{{"sid":"{}"}}"#, self.sid);
                self.send_over(link, Frame::text(PacketType::Open, Text::from(open)));
            } else if self.settings.habits.unprobed {
                return self.probed(link);
            }
            self.send_over(link, Frame::text(PacketType::Ping, Text::from_static("probe")));
        } else if self.carrier == Carrier::Link(link) && kind == Some(LinkKind::WebTransport) {
            self.send_over(link, Frame::text(PacketType::Open, Text::new()));
        }
    }

    /// A packet came over a link.
    pub fn link_packet(&mut self, now: Instant, link: u64, packet: Packet) {
        if self.stage == Stage::Closed {
            return;
        }
        if self.carrier == Carrier::Link(link) {
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

    /// A link went down, or never came up.
    pub fn link_down(&mut self, link: u64) {
        if self.carrier == Carrier::Link(link) {
            self.end("transport close");
        } else if self.is_probe(link) {
            self.probe = None;
            // As in the reference, a client that had paused by then never polls again: it ends with `ping timeout`.
            self.end_if_due();
        }
    }

    /// The link is good: goes over to it as soon as nothing is under way that has to end first.
    fn probed(&mut self, link: u64) {
        self.probe = Some((link, true));
        self.pause = Pause::Pausing;
        self.continue_pause();
    }

    fn packet(&mut self, now: Instant, packet: Packet) {
        match packet.packet_type {
            PacketType::Open if self.stage == Stage::Opening => {
                let Message::Text(json) = &packet.data else { return };
                self.sid = json::string_member(json, "sid").unwrap_or_default().to_string();
                self.stage = Stage::Open;
                self.deadline = Some(now + self.settings.patience);
                self.events.push_back(ClientEvent::Open);
                if let (Carrier::Polling, Some(kind)) = (self.carrier, self.settings.upgrade) {
                    let link = self.connect(kind);
                    self.probe = Some((link, false));
                }
                self.flush();
            }
            PacketType::Ping => {
                self.deadline = Some(now + self.settings.patience);
                self.buffer.push_back(Frame::PONG);
                self.flush();
            }
            PacketType::Message => self.events.push_back(ClientEvent::Message(packet.data)),
            // The reference ignores a close packet on a link, and everything else anywhere.
            _ => {}
        }
    }

    /// Sends what is buffered, unless something else is still being sent.
    fn flush(&mut self) {
        if !matches!(self.stage, Stage::Open | Stage::Closing) || self.buffer.is_empty() || self.pause != Pause::No {
            return;
        }
        match self.carrier {
            Carrier::Link(link) => {
                for frame in core::mem::take(&mut self.buffer) {
                    self.send_over(link, frame);
                }
            }
            Carrier::Polling if self.post.is_none() => {
                let batch = self.batch();
                let mut body = BytesMut::new();
                let frames: Vec<&Frame> = self.buffer.iter().take(batch).collect();
                payload::encode(frames.iter().copied(), &mut body);
                self.post(body.freeze(), batch);
            }
            Carrier::Polling => {}
        }
    }

    /// How many of the buffered packets fit into one body. The first one always does.
    fn batch(&self) -> usize {
        let mut size = 1_usize;
        for (index, frame) in self.buffer.iter().enumerate() {
            let length = frame.data().len();
            let encoded = if frame.is_binary() { length.saturating_mul(133).div_ceil(100) } else { length };
            size = size.saturating_add(encoded);
            if index > 0 && size > self.settings.max_payload {
                return index;
            }
            size = size.saturating_add(2);
        }
        self.buffer.len()
    }

    /// Once the GET and the POST under way are over, the probe takes over.
    fn continue_pause(&mut self) {
        let posted = self.post.is_none() || self.settings.habits.impatient;
        let polled = self.get.is_none() || self.settings.habits.unprobed;
        if self.pause == Pause::Pausing && polled && posted {
            self.pause = Pause::Paused;
        }
        let Some((link, true)) = self.probe else { return };
        if self.pause != Pause::Paused || self.stage == Stage::Closed {
            return;
        }
        self.probe = None;
        self.pause = Pause::No;
        self.carrier = Carrier::Link(link);
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

    /// Closes the carrier, and is closed.
    fn end(&mut self, reason: &'static str) {
        let was = core::mem::replace(&mut self.stage, Stage::Closed);
        if was == Stage::Closed {
            return;
        }
        self.deadline = None;
        match self.carrier {
            Carrier::Link(link) => self.actions.push_back(ClientAction::Close { link }),
            // Also over another POST that is under way, and after an error.
            Carrier::Polling if was != Stage::Opening && reason != "transport close" => {
                self.post(Bytes::from_static(b"1"), 0);
            }
            Carrier::Polling => {}
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
        self.actions.push_back(ClientAction::Post { request, query, body });
    }

    fn connect(&mut self, kind: LinkKind) -> u64 {
        let link = self.name();
        let query = self.query("websocket");
        self.actions.push_back(ClientAction::Connect { link, kind, query });
        link
    }

    fn send_over(&mut self, link: u64, frame: Frame) {
        self.actions.push_back(ClientAction::Send { link, frame });
    }

    fn query(&self, transport: &str) -> String {
        let mut query = format!("EIO=4&transport={transport}&t=p8hx");
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
        self.names = self.names.saturating_add(1);
        self.names
    }
}
