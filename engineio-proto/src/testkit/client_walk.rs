//! A client without a server: any answers, in any order, at any time.
//!
//! A [`ClientWalk`] is to a client's machine what a [`RandomWalk`](super::RandomWalk) is to a server's: a script that is played again with
//! a different order of polls (I1), with a clock that goes backwards (I11), or unchanged (I8), and the outputs must be the same. The script
//! names requests and links by their place among those of their kind ("the last GET"), because the order of polls decides their ids.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::invariants::{Violation, Watched};
use super::random::Choices;
use super::random_walk::{Clock, PollOrder, jump_back};
use crate::client::{Client, Config, Input, Method, Transmit};
use crate::event::{Event, LinkDownCause, LinkKind, Transport};
use crate::http::ContentType;
use crate::id::{LinkId, RequestId};
use crate::message::Message;
use crate::packet::Frame;
use crate::shared::Arc;
use crate::time::Instant;
use crate::wire::Revision;

/// What an input is about: this many before the last one of its kind.
#[derive(Clone, Copy, Debug)]
enum Target {
    Get(usize),
    Post(usize),
    Link(usize),
}

/// An input, a command, or a delay.
#[derive(Clone, Debug)]
enum Action {
    Answer(Target, u16, ContentType, Bytes),
    Fail(Target),
    LinkUp(Target),
    LinkMessage(Target, Message),
    LinkBytes(Target, Bytes),
    LinkDown(Target, LinkDownCause),
    Open,
    Send(Message),
    SendFrames(Vec<Frame>),
    Close,
    Discard,
    /// Time passes, and deadlines fire.
    Wait(Duration),
}

/// A script for one client.
#[derive(Clone, Debug)]
pub struct ClientWalk {
    config: Config,
    actions: Vec<Action>,
}

/// The outputs of a run.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct ClientOutcome {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The GETs, the POSTs, and the outputs of links, each in order.
    pub transmits: [Vec<String>; 3],
    /// [`Watched::digest`].
    pub digest: u64,
}

impl ClientWalk {
    /// A script of `actions` actions, for a client of this revision.
    #[must_use]
    pub fn new(revision: Revision, random: &mut impl Choices, actions: usize) -> Self {
        let mut config = Config {
            revision,
            upgrade: random.chance(900),
            try_all_transports: random.chance(300),
            remember_upgrade: random.chance(300),
            force_base64: random.chance(100),
            open_timeout: Duration::from_millis(random.below(5000).saturating_add(1)),
            upgrade_timeout: Duration::from_millis(random.below(1000).saturating_add(1)),
            close_timeout: Duration::from_millis(random.below(1000).saturating_add(1)),
            max_payload: random.index(600).saturating_add(200),
            ..Config::default()
        };
        let (websocket, webtransport) = (LinkKind::WebSocket, LinkKind::WebTransport);
        config.transports = match random.below(6) {
            0 => [Transport::Link(websocket), Transport::Polling].into(),
            1 => [Transport::Link(webtransport), Transport::Link(websocket)].into(),
            2 => [Transport::Polling].into(),
            3 => [Transport::Polling, Transport::Link(websocket)].into(),
            _ => [Transport::Polling, Transport::Link(websocket), Transport::Link(webtransport)].into(),
        };
        if random.chance(600) {
            config.limits.max_outbound = random.index(1000);
            config.limits.max_inbound = random.index(1000);
            config.limits.max_stall = random.duration(Duration::ZERO, Duration::from_secs(2));
            // In revision 4, a backlog makes the order of polls decide how many pings a pong answers, and in which POST it is.
            if revision == Revision::V3 || random.chance(500) {
                config.limits.soft_inbound = random.index(200);
            }
        }
        let flood = random.chance(200);
        let mut generator = Generator { random, revision, flood, begun: 0 };
        let actions = (0..actions).map(|_| generator.action()).collect();
        Self { config, actions }
    }

    /// Whether the order of polls makes no difference, see [`ClientWalk::new`].
    #[must_use]
    pub fn ignores_poll_order(&self) -> bool {
        self.config.revision == Revision::V3 || self.config.limits.soft_inbound > 1000
    }

    /// Plays the script and checks every invariant after every action. At the end, the client is discarded and must be drained.
    ///
    /// # Errors
    /// The first violation, with the log of the run.
    pub fn play(
        &self,
        mut order: PollOrder,
        mut clock: Clock,
        log: bool,
    ) -> Result<ClientOutcome, (Violation, String)> {
        let client = Client::new(Arc::new(self.config.clone()));
        let mut client = Watched::new(client, self.config.limits.clone(), self.config.max_payload, log);
        let mut now = Instant::from_millis(3_600_000);
        let mut latest = now;
        let mut out = Output::default();
        client.timed_command(now, 0, Client::open);
        out.drain(&mut client, &mut order);
        for action in self.actions.iter().chain([&Action::Discard]) {
            if let Action::Wait(time) = action {
                let until = now + *time;
                // Each deadline on the way fires separately.
                while let Some(deadline) = client.get().poll_timeout().filter(|deadline| *deadline <= until) {
                    now = now.max(deadline);
                    latest = latest.max(now);
                    client.handle_timeout(now);
                    out.drain(&mut client, &mut order);
                    client.check().map_err(|violation| (violation, client.log().into()))?;
                }
                now = now.max(until);
                continue;
            }
            let shown = match &mut clock {
                Clock::Steady => now,
                Clock::Backwards(random) => jump_back(random, now),
                Clock::StandsStill(random) => jump_back(random, now).max(latest),
            };
            match action {
                Action::Send(message) => {
                    let size = message.len().saturating_add(64);
                    let _ = client.command(size, |client| client.send(message.clone()));
                }
                Action::SendFrames(frames) => {
                    let sum = |size: usize, frame: &Frame| size.saturating_add(frame.packet_len()).saturating_add(64);
                    let _ = client.command(frames.iter().fold(0, sum), |client| client.send_frames(frames));
                }
                Action::Open => {
                    latest = latest.max(shown);
                    if client.get().is_closed() {
                        client.opened_again();
                    }
                    client.timed_command(shown, 0, Client::open);
                }
                Action::Close => {
                    latest = latest.max(shown);
                    client.timed_command(shown, 0, Client::close);
                }
                Action::Discard => {
                    latest = latest.max(shown);
                    client.timed_command(shown, 0, Client::discard);
                }
                action => {
                    if let Some(input) = out.input(action) {
                        latest = latest.max(shown);
                        client.handle(shown, input);
                    }
                }
            }
            out.drain(&mut client, &mut order);
            client.check().map_err(|violation| (violation, client.log().into()))?;
        }
        out.drain(&mut client, &mut PollOrder::TransmitsFirst);
        let checked = client.check_settled().and_then(|()| client.check_after_end(now));
        checked.map_err(|violation| (violation, client.log().into()))?;
        if !client.ended() {
            return Err((Violation::new("I5", "discarded, but not ended".into()), client.log().into()));
        }
        Ok(ClientOutcome { events: out.events, transmits: out.transmits, digest: client.digest() })
    }
}

/// The outputs so far, and the ids in them.
#[derive(Default)]
struct Output {
    events: Vec<Event>,
    transmits: [Vec<String>; 3],
    gets: Vec<RequestId>,
    posts: Vec<RequestId>,
    links: Vec<LinkId>,
}

impl Output {
    /// The input for an action, if there is a request or link that it can be about.
    fn input(&self, action: &Action) -> Option<Input> {
        let request = |target: Target| match target {
            Target::Get(back) => nth_last(&self.gets, back),
            Target::Post(back) => nth_last(&self.posts, back),
            Target::Link(_) => None,
        };
        let link = |target: Target| match target {
            Target::Link(back) => nth_last(&self.links, back),
            Target::Get(_) | Target::Post(_) => None,
        };
        Some(match action {
            Action::Answer(target, status, content_type, body) => {
                let (status, content_type) = (*status, *content_type);
                Input::Response { request: request(*target)?, status, content_type, body: body.clone() }
            }
            Action::Fail(target) => Input::Failed { request: request(*target)? },
            Action::LinkUp(target) => Input::LinkUp { link: link(*target)? },
            Action::LinkMessage(target, message) => {
                Input::LinkMessage { link: link(*target)?, message: message.clone() }
            }
            Action::LinkBytes(target, chunk) => Input::LinkBytes { link: link(*target)?, chunk: chunk.clone() },
            Action::LinkDown(target, cause) => Input::LinkDown { link: link(*target)?, cause: *cause },
            _ => return None,
        })
    }

    fn drain(&mut self, client: &mut Watched<Client>, order: &mut PollOrder) {
        order.drain(|is_event| if is_event { self.event(client) } else { self.transmit(client) });
    }

    fn event(&mut self, client: &mut Watched<Client>) -> bool {
        let event = client.poll_event();
        let taken = event.is_some();
        self.events.extend(event);
        taken
    }

    fn transmit(&mut self, client: &mut Watched<Client>) -> bool {
        let Some(transmit) = client.poll_transmit() else { return false };
        let place = |ids: &[RequestId], id: RequestId| ids.iter().position(|other| *other == id);
        let link_place = |ids: &[LinkId], id: LinkId| ids.iter().position(|other| *other == id);
        let (kind, line) = match &transmit {
            Transmit::Request { request, method, query } => match method {
                Method::Get => {
                    self.gets.push(*request);
                    (0, format!("{query}"))
                }
                Method::Post { .. } => {
                    self.posts.push(*request);
                    (1, format!("{method:?}"))
                }
            },
            Transmit::Cancel { request } => match place(&self.gets, *request) {
                Some(place) => (0, format!("cancel {place}")),
                None => (1, format!("cancel {:?}", place(&self.posts, *request))),
            },
            Transmit::Connect { link, kind, query } => {
                self.links.push(*link);
                (2, format!("{kind:?} {query}"))
            }
            Transmit::Link { link, frame } => (2, format!("{:?}: {frame:?}", link_place(&self.links, *link))),
            Transmit::CloseLink { link } => (2, format!("close {:?}", link_place(&self.links, *link))),
        };
        if let Some(lines) = self.transmits.get_mut(kind) {
            lines.push(line);
        }
        true
    }
}

fn nth_last<T: Copy>(ids: &[T], back: usize) -> Option<T> {
    ids.iter().rev().nth(back).copied()
}

/// Generates actions: mostly valid ones, and some that are invalid.
struct Generator<'a, R> {
    random: &'a mut R,
    revision: Revision,
    /// Generates hardly anything but messages on a link, whether or not the client wants input.
    flood: bool,
    /// The number of actions since the client was opened. The first ones mostly open the session, and often upgrade it.
    begun: usize,
}

impl<R: Choices> Generator<'_, R> {
    fn action(&mut self) -> Action {
        self.begun = self.begun.saturating_add(1);
        if self.begun < 4 && self.random.chance(950) {
            let open = self.open();
            return match self.begun {
                1 => Action::LinkUp(Target::Link(0)),
                2 => Action::LinkMessage(Target::Link(0), open.into()),
                _ => self.answer(&[open.into()]),
            };
        }
        if (4..8).contains(&self.begun) && self.random.chance(700) {
            return match self.begun {
                4 => Action::LinkUp(Target::Link(0)),
                5 => Action::LinkMessage(Target::Link(0), "3probe".into()),
                6 => Action::Answer(Target::Post(0), 200, ContentType::Text, Bytes::from_static(b"ok")),
                _ => self.answer(&["6".into()]),
            };
        }
        if self.flood && self.random.chance(900) {
            return Action::LinkMessage(self.link(), self.message_packet());
        }
        match self.random.below(120) {
            0..30 => {
                let count = if self.random.chance(20) { 40 } else { self.random.below(6) };
                let packets: Vec<Message> = (0..=count).map(|_| self.packet()).collect();
                self.answer(&packets)
            }
            30..45 => {
                let status = if self.random.chance(950) { 200 } else { 400 };
                Action::Answer(Target::Post(self.back()), status, ContentType::Text, Bytes::from_static(b"ok"))
            }
            45..47 => Action::Fail(if self.random.chance(500) { Target::Get(0) } else { Target::Post(0) }),
            47..54 => Action::LinkUp(self.link()),
            54..78 => Action::LinkMessage(self.link(), self.packet()),
            78..84 => Action::LinkBytes(self.link(), self.chunk()),
            84..86 => {
                let cause = if self.random.chance(500) { LinkDownCause::Closed } else { LinkDownCause::Failed };
                Action::LinkDown(self.link(), cause)
            }
            86..100 => Action::Send(self.application_message()),
            100..104 => {
                let count = self.random.below(4);
                Action::SendFrames((0..count).map(|_| Frame::message(self.application_message())).collect())
            }
            104..110 => {
                self.begun = 0;
                Action::Open
            }
            110 if self.random.chance(300) => Action::Close,
            111 if self.random.chance(100) => Action::Discard,
            _ => Action::Wait(Duration::from_micros(self.random.below(400_000))),
        }
    }

    /// Mostly the last one, sometimes an earlier one.
    fn back(&mut self) -> usize {
        if self.random.chance(900) { 0 } else { self.random.index(4) }
    }

    fn link(&mut self) -> Target {
        Target::Link(if self.random.chance(700) { 0 } else { self.random.index(3) })
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

    /// An open packet, mostly a valid one.
    fn open(&mut self) -> String {
        let interval = self.random.below(3000);
        let timeout = self.random.below(3000);
        let upgrades =
            self.random.pick(&[r#""websocket""#, r#""websocket","webtransport""#, r#""webtransport""#, ""]).copied();
        let upgrades = upgrades.unwrap_or_default();
        let max_payload = match self.random.below(3) {
            0 => String::new(),
            _ => format!(r#","maxPayload":{}"#, self.random.below(300)),
        };
        let sid = if self.random.chance(980) { "abc" } else { "" };
        let minus = if self.random.chance(980) { "" } else { "-" };
        format!(
            r#"0{{"sid":"{sid}","upgrades":[{upgrades}],"pingInterval":{minus}{interval},"pingTimeout":{timeout}{max_payload}}}"#
        )
    }

    /// A packet as a WebSocket carries it.
    fn packet(&mut self) -> Message {
        let usual = ["2", "2", "4hello", "4", "6", "3probe", "3probe", "b", "bAQID"];
        let odd = ["", "1", "3", "5", "0", "0{}", "9", "bA", "2probe", "4\u{1e}4", "\u{20ac}"];
        // The server answers the pings in revision 3.
        let usual_3 = ["3", "3", "4hello", "4", "6", "3probe", "3probe", "b4", "b4AQID"];
        let odd_3 = ["", "1", "2", "5", "0", "0{}", "9", "b4A", "2probe", "4\u{1e}4", "\u{20ac}"];
        let (usual, odd) = if self.revision == Revision::V3 { (usual_3, odd_3) } else { (usual, odd) };
        match self.random.below(40) {
            0..28 => Message::from(self.random.pick(&usual).copied().unwrap_or_default()),
            28 => Message::from(self.random.pick(&odd).copied().unwrap_or_default()),
            29 => Message::from(self.open()),
            _ => self.message_packet(),
        }
    }

    /// An answer to a GET with these packets.
    fn answer(&mut self, packets: &[Message]) -> Action {
        let status = if self.random.chance(980) { 200 } else { 400 };
        let mut body = Vec::new();
        let mut content_type = ContentType::Text;
        let binary = self.random.chance(300);
        for packet in packets {
            let (kind, bytes) = match packet {
                Message::Text(text) => (0, &text.as_bytes()[..]),
                Message::Binary(bytes) => (1, &bytes[..]),
            };
            match self.revision {
                Revision::V3 if binary => {
                    content_type = ContentType::OctetStream;
                    body.push(kind);
                    body.extend(format!("{}", bytes.len()).bytes().map(|digit| digit.saturating_sub(b'0')));
                    body.push(255);
                    body.extend_from_slice(bytes);
                }
                Revision::V3 => match packet {
                    Message::Text(text) => {
                        let units = text.chars().map(char::len_utf16).fold(0, usize::saturating_add);
                        body.extend_from_slice(format!("{units}:{text}").as_bytes());
                    }
                    Message::Binary(_) => body.extend_from_slice(b"10:b4AQIDBA=="),
                },
                Revision::V4 => {
                    if !body.is_empty() {
                        body.push(0x1e);
                    }
                    body.extend_from_slice(if kind == 0 { bytes } else { b"bAQIDBA==" });
                }
            }
        }
        if self.random.chance(20) {
            body.truncate(self.random.index(body.len()));
        }
        Action::Answer(Target::Get(self.back()), status, content_type, body.into())
    }

    /// A chunk of a stream: mostly whole packets, all of them shorter than 126 bytes.
    fn chunk(&mut self) -> Bytes {
        let mut stream = Vec::new();
        for _ in 0..=self.random.below(3) {
            let packet = match self.random.below(10) {
                0 => self.open().into(),
                1..4 => "3probe".into(),
                _ => self.packet(),
            };
            let (flag, bytes) = match &packet {
                Message::Text(text) => (0, &text.as_bytes()[..]),
                Message::Binary(bytes) => (0x80, &bytes[..]),
            };
            match u8::try_from(bytes.len()) {
                Ok(length) if length < 126 => stream.push(flag | length),
                _ => stream.extend([flag | 126, 0, u8::try_from(bytes.len()).unwrap_or(u8::MAX)]),
            }
            stream.extend_from_slice(bytes);
        }
        if self.random.chance(150) {
            stream.truncate(self.random.index(stream.len()));
        }
        stream.into()
    }
}
