//! A session without a client: any inputs, in any order, at any time.
//!
//! A [`RandomWalk`] is a script that does not depend on the session's outputs. It can therefore be played again with a different order of polls
//! (I1), with a clock that goes backwards (I11), or unchanged (I8), and the outputs must be the same. The decisions of the script are
//! random, or come from the bytes of a fuzzer ([`Choices`]).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::invariants::{Violation, Watched};
use super::random::{Choices, Random};
use crate::config::Config;
use crate::event::{Event, LinkKind};
use crate::http::{ContentType, RequestHead};
use crate::id::{LinkId, RequestId, Sid};
use crate::message::Message;
use crate::packet::{Frame, PacketType};
use crate::server::{BodyFault, Input, LinkDownCause, Route, Server, Session, Transmit};
use crate::time::Instant;
use crate::wire::Revision;
use crate::{framing, payload};

/// An input, a command, or a delay.
#[derive(Clone, Debug)]
enum Action {
    Handle(Input),
    Send(Message),
    SendFrames(Vec<Frame>),
    Close,
    Discard,
    /// Time passes, and deadlines fire.
    Wait(Duration),
}

/// A script for one session.
#[derive(Clone, Debug)]
pub struct RandomWalk {
    config: Config,
    link: Option<LinkKind>,
    revision: Revision,
    actions: Vec<Action>,
}

/// The order in which a driver polls, until both polls return `None`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PollOrder {
    /// All events, then all transmits, and so on.
    EventsFirst,
    /// All transmits, then all events, and so on.
    TransmitsFirst,
    /// In random order, with additional polls that return `None`.
    Any(Random),
    /// As [`PollOrder::TransmitsFirst`], but only after this many of a thousand actions, like a busy driver. What is batched together, and
    /// what is refused, may differ from the other orders.
    Sometimes(Random, u64),
}

impl PollOrder {
    /// Polls in this order, until both polls return `None`. `poll` is told whether to poll events, and returns whether there was an output.
    pub(super) fn drain(&mut self, mut poll: impl FnMut(bool) -> bool) {
        if let Self::Sometimes(random, rate) = self
            && !random.chance(*rate)
        {
            return;
        }
        // Both polls must return `None` in a row, since each may produce output for the other.
        let mut quiet = 0;
        let mut events = matches!(self, Self::EventsFirst);
        while quiet < 2 {
            let taken = poll(events);
            quiet = if taken { 0 } else { quiet + 1 };
            events = match self {
                Self::Any(random) if quiet == 0 => random.chance(500),
                _ if taken => events,
                _ => !events,
            };
        }
    }
}

/// The behaviour of the clock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Clock {
    /// Never goes backwards.
    Steady,
    /// Jumps backwards now and then.
    Backwards(Random),
    /// Stands still where [`Clock::Backwards`] with the same generator would be behind the latest time that the session was given.
    StandsStill(Random),
}

/// The outputs of a run.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The transmits, sorted by request and link. Those of one request or link are in order.
    pub transmits: Vec<String>,
    /// [`Watched::digest`].
    pub digest: u64,
}

impl RandomWalk {
    /// A script of `actions` actions.
    #[must_use]
    pub fn new(random: &mut impl Choices, actions: usize) -> Self {
        Self::of_revision(Revision::V4, random, actions)
    }

    /// As [`RandomWalk::new`], for a session of this revision. One of revision 3 is not opened over WebTransport.
    #[must_use]
    pub fn of_revision(revision: Revision, random: &mut impl Choices, actions: usize) -> Self {
        let mut config = Config {
            ping_interval: Duration::from_millis(random.below(3000).saturating_add(1)),
            ping_timeout: Duration::from_millis(random.below(3000).saturating_add(1)),
            upgrade_timeout: Duration::from_millis(random.below(1000).saturating_add(1)),
            close_timeout: Duration::from_millis(random.below(1000).saturating_add(1)),
            max_payload: random.index(300).saturating_add(1),
            initial_packet: random.chance(200).then(|| Message::from("initial")),
            ..Config::default()
        };
        config.transports.webtransport = true;
        config.allow_eio3 = revision == Revision::V3;
        if random.chance(600) {
            config.limits.max_outbound = random.index(1000);
            config.limits.soft_inbound = random.index(200);
            config.limits.max_inbound = random.index(1000);
            config.limits.max_stall = random.duration(Duration::ZERO, Duration::from_secs(2));
        }
        let link =
            random.pick(&[None, None, Some(LinkKind::WebSocket), Some(LinkKind::WebTransport)]).copied().flatten();
        let link = link.map(|kind| if revision == Revision::V3 { LinkKind::WebSocket } else { kind });
        let flood = random.chance(200);
        let mut generator = ActionGenerator {
            requests: 0,
            links: 0,
            max_payload: config.max_payload,
            flood,
            revision,
            octets: false,
            random,
        };
        let actions = (0..actions).map(|_| generator.action(link)).collect();
        Self { config, link, revision, actions }
    }

    /// Plays the script and checks every invariant after every action. At the end, the session is discarded and must be drained.
    ///
    /// # Errors
    /// The first violation, with the log of the run.
    pub fn play(&self, mut order: PollOrder, mut clock: Clock, log: bool) -> Result<Outcome, (Violation, String)> {
        let mut now = Instant::from_millis(3_600_000);
        let Some(session) = self.open(now) else {
            return Err((Violation::new("random walk", "no session was opened".into()), String::new()));
        };
        let mut session = Watched::new(session, self.config.limits.clone(), self.config.max_payload, log);
        let mut out = Output::default();
        let mut latest = now;
        for action in self.actions.iter().chain([&Action::Discard]) {
            if let Action::Wait(time) = action {
                let until = now + *time;
                // Each deadline on the way fires separately.
                while let Some(deadline) = session.get().poll_timeout().filter(|deadline| *deadline <= until) {
                    now = now.max(deadline);
                    latest = latest.max(now);
                    session.handle_timeout(now);
                    out.drain(&mut session, &mut order);
                    session.check().map_err(|violation| (violation, session.log().into()))?;
                }
                now = now.max(until);
                continue;
            }
            let shown = match &mut clock {
                Clock::Steady => now,
                Clock::Backwards(random) => jump_back(random, now),
                Clock::StandsStill(random) => jump_back(random, now).max(latest),
            };
            if action.passes_time() {
                latest = latest.max(shown);
            }
            if let Action::Handle(input) = action {
                session.handle(shown, input.clone());
            } else {
                let size = action.size();
                match action {
                    Action::Send(message) => drop(session.command(size, |session| session.send(message.clone()))),
                    Action::SendFrames(frames) => drop(session.command(size, |session| session.send_frames(frames))),
                    Action::Close => session.timed_command(shown, 0, Session::close),
                    Action::Discard => session.timed_command(shown, 0, Session::discard),
                    Action::Handle(_) | Action::Wait(_) => {}
                }
            }
            out.drain(&mut session, &mut order);
            session.check().map_err(|violation| (violation, session.log().into()))?;
        }
        out.drain(&mut session, &mut PollOrder::TransmitsFirst);
        let checked = session.check_settled().and_then(|()| session.check_after_end(now));
        checked.map_err(|violation| (violation, session.log().into()))?;
        if !session.ended() {
            return Err((Violation::new("I5", "discarded, but not ended".into()), session.log().into()));
        }
        out.transmits.sort_by_key(|(to, _)| *to);
        let transmits = out.transmits.into_iter().map(|(_, transmit)| transmit).collect();
        Ok(Outcome { events: out.events, transmits, digest: session.digest() })
    }

    fn open(&self, now: Instant) -> Option<Session> {
        let server = Server::new(self.config.clone());
        let sid = Sid::from_random([7; 15]);
        if self.link == Some(LinkKind::WebTransport) {
            let mut incoming = server.incoming(now);
            incoming.handle(Bytes::from_static(b"\x010"));
            return match incoming.poll()? {
                crate::server::IncomingOutcome::Open(handshake) => Some(handshake.accept(now, sid)),
                _ => None,
            };
        }
        let websocket = self.link.is_some();
        let transport = if websocket { "websocket" } else { "polling" };
        let query = format!("EIO={}&transport={transport}", self.revision.number());
        match server.route(&RequestHead { method: "GET", query: &query, origin: None, websocket }) {
            Route::Open(handshake) => Some(handshake.accept(now, sid)),
            _ => None,
        }
    }
}

/// Moves a time back by up to five seconds, at random.
pub(super) fn jump_back(random: &mut Random, now: Instant) -> Instant {
    let back = if random.chance(300) { random.below(5_000_000) } else { 0 };
    Instant::from_micros(now.as_micros().saturating_sub(back))
}

impl Action {
    /// Whether the session is given the current time. Messages are sent without it.
    const fn passes_time(&self) -> bool {
        matches!(self, Self::Handle(_) | Self::Close | Self::Discard)
    }

    /// The largest number of bytes that this action may queue, including what the machine adds to each frame.
    fn size(&self) -> usize {
        match self {
            Self::Send(message) => message.len().saturating_add(64),
            Self::SendFrames(frames) => {
                frames.iter().fold(0, |size: usize, frame| size.saturating_add(frame.packet_len()).saturating_add(64))
            }
            _ => 0,
        }
    }
}

#[derive(Default)]
struct Output {
    events: Vec<Event>,
    transmits: Vec<((u8, u64), String)>,
}

impl Output {
    fn drain(&mut self, session: &mut Watched<Session>, order: &mut PollOrder) {
        order.drain(|is_event| if is_event { self.event(session) } else { self.transmit(session) });
    }

    fn event(&mut self, session: &mut Watched<Session>) -> bool {
        let event = session.poll_event();
        let taken = event.is_some();
        self.events.extend(event);
        taken
    }

    fn transmit(&mut self, session: &mut Watched<Session>) -> bool {
        let Some(transmit) = session.poll_transmit() else { return false };
        let to = match &transmit {
            Transmit::Reply { request, .. } => (0, request.0),
            Transmit::Link { link, .. } | Transmit::CloseLink { link } => (1, link.0),
        };
        self.transmits.push((to, format!("{transmit:?}")));
        true
    }
}

/// Generates actions: mostly valid ones, and some that are invalid.
struct ActionGenerator<'a, R> {
    random: &'a mut R,
    requests: u64,
    links: u64,
    max_payload: usize,
    /// Generates hardly anything but messages, whether or not the session wants input.
    flood: bool,
    revision: Revision,
    /// Whether the last POST of revision 3 announced a binary body.
    octets: bool,
}

impl<R: Choices> ActionGenerator<'_, R> {
    fn action(&mut self, link: Option<LinkKind>) -> Action {
        // The request or link that opens the session almost always comes first.
        let opens = self.requests == 0 && self.links == 0 && self.random.chance(950);
        if self.flood && !opens && self.random.chance(900) {
            return Action::Handle(Input::LinkMessage { link: LinkId(self.links), message: self.message_packet() });
        }
        let choice = if opens { link.map_or(0, |_| 50) } else { self.random.below(125) };
        Action::Handle(match choice {
            0..15 => Input::Get { request: self.new_request() },
            15..30 => {
                let octets = if self.revision == Revision::V3 { 300 } else { 20 };
                self.octets = self.random.chance(octets);
                let content_type = if self.octets { ContentType::OctetStream } else { ContentType::Text };
                Input::Post { request: self.new_request(), content_type }
            }
            30..44 => Input::Body { request: self.recent_request(), body: self.body() },
            44..46 => Input::BodyRejected { request: self.recent_request(), fault: BodyFault::TooLarge },
            46..49 => Input::Replied { request: self.recent_request() },
            49 => Input::Aborted { request: self.recent_request() },
            50..54 => {
                self.links = self.links.saturating_add(1);
                let kinds = [LinkKind::WebSocket, LinkKind::WebTransport];
                let kind = link.or(self.random.pick(&kinds).copied()).unwrap_or(LinkKind::WebSocket);
                Input::LinkUp { link: LinkId(self.links), kind }
            }
            54..80 => Input::LinkMessage { link: self.recent_link(), message: self.message() },
            80..88 => Input::LinkBytes { link: self.recent_link(), chunk: self.chunk() },
            88 => {
                let cause = if self.random.chance(500) { LinkDownCause::Closed } else { LinkDownCause::Failed };
                Input::LinkDown { link: self.recent_link(), cause }
            }
            89..104 => return Action::Send(self.application_message()),
            104..108 => {
                let frames = (0..self.random.below(4)).map(|_| Frame::message(self.application_message())).collect();
                return Action::SendFrames(frames);
            }
            108 => return if self.random.chance(300) { Action::Close } else { Action::Wait(Duration::ZERO) },
            109 => return if self.random.chance(100) { Action::Discard } else { Action::Wait(Duration::ZERO) },
            _ => return Action::Wait(Duration::from_micros(self.random.below(400_000))),
        })
    }

    fn new_request(&mut self) -> RequestId {
        self.requests = self.requests.saturating_add(1);
        RequestId(self.requests)
    }

    /// Mostly the last request, sometimes an earlier one or one that never existed.
    fn recent_request(&mut self) -> RequestId {
        let back = if self.random.chance(800) { 0 } else { self.random.below(4) };
        RequestId(self.requests.saturating_sub(back))
    }

    fn recent_link(&mut self) -> LinkId {
        let back = if self.random.chance(850) { 0 } else { self.random.below(3) };
        LinkId(self.links.saturating_sub(back))
    }

    fn application_message(&mut self) -> Message {
        let size = self.random.index(60);
        let separator = if self.random.chance(30) { "\u{1e}" } else { "" };
        let text = format!("{separator}{:x<size$}", "");
        if self.random.chance(300) { Message::Binary(text.into_bytes().into()) } else { Message::Text(text.into()) }
    }

    /// A message packet as a WebSocket carries it.
    fn message_packet(&mut self) -> Message {
        match self.application_message() {
            Message::Text(text) => Message::Text(format!("4{text}").into()),
            Message::Binary(bytes) if self.revision == Revision::V3 => {
                Message::Binary([b"\x04", &bytes[..]].concat().into())
            }
            binary @ Message::Binary(_) => binary,
        }
    }

    /// A packet as a WebSocket carries it.
    fn message(&mut self) -> Message {
        let usual = ["3", "3", "4hello", "4", "2probe", "2probe", "5", "5", "b", "bAQID"];
        let odd = ["", "1", "2", "6", "0", "9", "bA", "4\u{1e}4", "3probe", "5x", "\u{20ac}"];
        // The client sends the pings in revision 3.
        let usual_3 = ["2", "2", "4hello", "4", "2probe", "2probe", "5", "5", "b4", "b4AQID"];
        let odd_3 = ["", "1", "3", "6", "0", "9", "b4A", "4\u{1e}4", "3probe", "5x", "\u{20ac}"];
        let (usual, odd) = if self.revision == Revision::V3 { (usual_3, odd_3) } else { (usual, odd) };
        match self.random.below(10) {
            0..7 => Message::from(self.random.pick(&usual).copied().unwrap_or_default()),
            7 => Message::from(self.random.pick(&odd).copied().unwrap_or_default()),
            _ => self.message_packet(),
        }
    }

    fn body(&mut self) -> Bytes {
        if self.random.chance(30) {
            let noise = (0..self.random.below(20)).map(|_| self.random.below(256).try_into().unwrap_or(0));
            return noise.collect::<Vec<u8>>().into();
        }
        if self.revision == Revision::V3 {
            return self.body_of_revision_3();
        }
        let mut body = String::new();
        for _ in 0..=self.random.below(8) {
            if !body.is_empty() {
                body.push('\u{1e}');
            }
            match self.message() {
                Message::Text(text) => body.push_str(&text),
                Message::Binary(_) => body.push_str("bAQIDBA=="),
            }
        }
        // Drivers stop at the limit. A body above it must be refused as well.
        if !self.random.chance(50) {
            while body.len() > self.max_payload {
                body.pop();
            }
        }
        body.into_bytes().into()
    }

    /// A body of revision 3, mostly of the type that its POST has announced.
    fn body_of_revision_3(&mut self) -> Bytes {
        let octets = self.octets != self.random.chance(30);
        let mut body = Vec::new();
        for _ in 0..=self.random.below(8) {
            let message = self.message();
            let (kind, packet) = match &message {
                Message::Text(text) => (0, &text.as_bytes()[..]),
                Message::Binary(bytes) => (1, &bytes[..]),
            };
            let length = packet.len().saturating_add(usize::from(self.random.chance(20)));
            if octets {
                body.push(kind);
                body.extend(format!("{length}").bytes().map(|digit| digit.saturating_sub(b'0')));
                body.push(255);
                body.extend_from_slice(packet);
            } else if let Message::Text(text) = &message {
                let units = text.chars().map(char::len_utf16).fold(0, usize::saturating_add);
                let length = if length == packet.len() { units } else { length };
                body.extend_from_slice(format!("{length}:{text}").as_bytes());
            } else {
                body.extend_from_slice(b"10:b4AQIDBA==");
            }
        }
        // Drivers stop at the limit. A body above it must be refused as well.
        if !self.random.chance(50) {
            body.truncate(self.max_payload);
        }
        body.into()
    }

    /// A chunk of a stream: mostly whole packets.
    fn chunk(&mut self) -> Bytes {
        let mut stream = BytesMut::new();
        for _ in 0..=self.random.below(3) {
            let packet_type = if self.random.chance(300) { PacketType::Pong } else { PacketType::Message };
            let frame = match self.application_message() {
                Message::Text(text) => Frame::text(packet_type, text),
                binary @ Message::Binary(_) => Frame::message(binary),
            };
            stream.extend_from_slice(framing::header(&frame).as_bytes());
            if frame.is_binary() {
                stream.extend_from_slice(frame.data());
            } else {
                payload::encode([&frame], &mut stream);
            }
        }
        if self.random.chance(150) {
            let length = self.random.index(stream.len());
            stream.truncate(length);
        }
        stream.freeze()
    }
}
