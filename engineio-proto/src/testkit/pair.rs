//! A client and a server with a network between them, as a driver would see it.
//!
//! The network does to them what HTTP and TCP do: requests travel on connections of their own and overtake each other, links
//! keep their order, anything can be cut off, before it was processed or after, and whoever is at the other end of it hears of that later or
//! never. The server's side is a driver like any other: it routes, admits, keeps the table, tells the machine what was
//! written, and stops reading from a link when the machine wants no more.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use super::client::{Client, ClientAction, ClientSettings};
use super::invariants::{Violation, Watched, WatchedEvent};
use super::random::Random;
use super::simnet::SimNet;
use crate::config::Config;
use crate::event::LinkKind;
use crate::framing::{self, Decoder};
use crate::http::{ContentType, RequestHead, Response};
use crate::id::{LinkId, RequestId, Sid};
use crate::message::{Message, Text};
use crate::packet::{Frame, Packet};
use crate::server::{
    Ask, AskKind, BodyFault, Handshake, Incoming, IncomingOutcome, Input, LinkDownCause, Refusal, Route,
};
use crate::server::{Server, ServerMachine, Session, Transmit};
use crate::time::Instant;

/// What the network does by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_structs, reason = "scenarios build it with a literal")]
pub struct Wires {
    /// The shortest time that anything is under way.
    pub least_delay: Duration,
    /// The longest.
    pub most_delay: Duration,
    /// How much longer than its head the body of a POST may take.
    pub slow_bodies: Duration,
    /// How much longer than a request anything takes on a link.
    pub slow_links: Duration,
    /// How late the server wakes up for a deadline, at most.
    pub lateness: Duration,
    /// Of a thousand requests, how many lose their connection at some time: before the server sees them, while they wait, or while
    /// their answer is under way.
    pub lost_requests: u64,
    /// Of a thousand requests, how many arrive twice, the second one on a connection of its own. The client hears nothing
    /// of the second, so that order without loss cannot be asked for.
    pub repeated_requests: u64,
    /// Of a thousand links, how many fail at some time.
    pub lost_links: u64,
    /// How far the server's clock may jump backwards from one call to the next.
    pub clock_jitter: Duration,
}

impl Default for Wires {
    fn default() -> Self {
        Self {
            least_delay: Duration::from_micros(100),
            most_delay: Duration::from_millis(60),
            slow_bodies: Duration::ZERO,
            slow_links: Duration::ZERO,
            lateness: Duration::ZERO,
            lost_requests: 0,
            repeated_requests: 0,
            lost_links: 0,
            clock_jitter: Duration::ZERO,
        }
    }
}

/// What a step has done.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Step<A> {
    /// Something arrived, or a deadline passed. Look for events of both ends.
    Moved,
    /// It is time for this action of the scenario.
    Action(A),
    /// Nothing is under way and nothing is due, now or ever.
    Idle,
}

/// One HTTP request.
#[derive(Debug)]
struct Exchange {
    request: ClientAction,
    /// The machine has been told of it.
    seen: bool,
    /// Its connection is cut.
    cut: bool,
    /// The machine needs to hear no more of it.
    over: bool,
}

impl Exchange {
    const fn new(request: ClientAction) -> Self {
        Self { request, seen: false, cut: false, over: false }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Waiting,
    Up,
    Closed,
}

/// One link.
#[derive(Debug)]
struct Wire {
    kind: LinkKind,
    client: End,
    server: End,
    /// Nothing overtakes what was sent before it.
    to_client: Instant,
    to_server: Instant,
    /// The client's end of a WebTransport stream.
    decoder: Decoder,
    /// The server's, before its first packet.
    incoming: Option<Incoming>,
}

#[derive(Debug)]
enum Item<A> {
    Head(u64),
    Body(u64),
    Written(u64),
    CutAtServer(u64),
    CutAtClient(u64),
    Cut(u64),
    Response(u64, u16, Bytes),
    LinkHead(u64, alloc::string::String),
    LinkOpened(u64),
    ToServer(u64, FromLink),
    ToClient(u64, FromLink),
    LinkFails(u64),
    Action(A),
}

/// What comes out of a link.
#[derive(Clone, Debug)]
enum FromLink {
    Message(Message),
    Bytes(Bytes),
    Down(LinkDownCause),
}

type Accept<M> = Box<dyn FnMut(Session) -> M>;

/// A client, a server, and the network between them.
///
/// Call [`Pair::step`] until it is [`Step::Idle`]; after each step, take the events of both ends, or leave them to lie for a while to
/// play a slow application.
pub struct Pair<M, A> {
    net: SimNet<Item<A>>,
    wires: Wires,
    server: Server,
    accept: Accept<M>,
    machine: Option<Watched<M>>,
    client: Client,
    exchanges: BTreeMap<u64, Exchange>,
    links: BTreeMap<u64, Wire>,
    /// Read from links, but not wanted yet.
    unread: VecDeque<(u64, FromLink)>,
    /// The deadline that the server has seen, and when it will wake up for it.
    wake: Option<(Instant, Instant)>,
    silent: bool,
    log: bool,
    /// The name of the last repeated request: they count downwards, the client's own upwards.
    repeated: u64,
}

impl<M: ServerMachine<Event: WatchedEvent>, A> Pair<M, A> {
    /// Connects a client to a server. `accept` makes the server's machine of the session; with `log`, everything that it sees is written
    /// down.
    pub fn new(
        seed: u64,
        config: Config,
        settings: ClientSettings,
        wires: Wires,
        log: bool,
        accept: impl FnMut(Session) -> M + 'static,
    ) -> Self {
        Self {
            net: SimNet::new(seed),
            wires,
            server: Server::new(config),
            accept: Box::new(accept),
            machine: None,
            client: Client::new(settings),
            exchanges: BTreeMap::new(),
            links: BTreeMap::new(),
            unread: VecDeque::new(),
            wake: None,
            silent: false,
            log,
            repeated: u64::MAX / 2,
        }
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.net.now()
    }

    /// Chance.
    pub const fn random(&mut self) -> &mut Random {
        self.net.random()
    }

    /// The client's end.
    pub const fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// The server's end, once it was accepted.
    pub const fn machine(&self) -> Option<&Watched<M>> {
        self.machine.as_ref()
    }

    /// Lets [`Pair::step`] return [`Step::Action`] after this time.
    pub fn schedule(&mut self, delay: Duration, action: A) {
        self.net.send(delay, Item::Action(action));
    }

    /// Runs a command that takes no time on the server's end; `None` before there is one. `size` is what it may queue, in bytes.
    pub fn command<R: fmt::Debug>(&mut self, size: usize, command: impl FnOnce(&mut M) -> R) -> Option<R> {
        Some(self.machine.as_mut()?.command(size, command))
    }

    /// Runs a command that takes the time.
    pub fn timed_command<R: fmt::Debug>(
        &mut self,
        size: usize,
        command: impl FnOnce(&mut M, Instant) -> R,
    ) -> Option<R> {
        let now = self.machine_time();
        Some(self.machine.as_mut()?.timed_command(now, size, command))
    }

    /// The next event of the server's end.
    pub fn poll_event(&mut self) -> Option<M::Event> {
        self.machine.as_mut()?.poll_event()
    }

    /// The client's process dies: its connections are cut, and the server's host says so.
    pub fn vanish(&mut self) {
        self.client.vanish();
        for request in self.open_exchanges() {
            self.cut(request);
        }
        let open: Vec<u64> = self.open_links();
        for link in open {
            self.close_at_client(link, LinkDownCause::Failed);
        }
    }

    /// The cable is pulled: nothing arrives any more, and nobody is told.
    pub const fn pull_cable(&mut self) {
        self.silent = true;
    }

    /// Goes on to whatever comes next.
    ///
    /// # Errors
    /// The first invariant that did not hold.
    pub fn step(&mut self) -> Result<Step<A>, Violation> {
        self.settle()?;
        let wake = self.wake_time();
        let next = [self.net.next_arrival(), wake, self.client.poll_timeout(), self.incoming_timeout()];
        let Some(at) = next.into_iter().flatten().min() else { return Ok(Step::Idle) };
        let mut step = Step::Moved;
        if self.net.next_arrival() == Some(at) {
            // What has arrived comes before a deadline that it could answer.
            if let Some(item) = self.net.pop() {
                step = self.arrive(item);
            }
        } else {
            self.net.advance(at);
            let now = self.net.now();
            if wake == Some(at) {
                self.wake = None;
                let now = self.machine_time();
                if let Some(machine) = &mut self.machine {
                    machine.handle_timeout(now);
                }
            }
            self.client.handle_timeout(now);
            for link in self.open_links() {
                if let Some(incoming) = self.links.get_mut(&link).and_then(|wire| wire.incoming.as_mut()) {
                    incoming.handle_timeout(now);
                    self.poll_incoming(link);
                }
            }
        }
        self.settle()?;
        Ok(step)
    }

    /// Hands everything that either end wants to send to the network, and to the server what it is ready to read.
    ///
    /// # Errors
    /// The first invariant that did not hold.
    pub fn settle(&mut self) -> Result<(), Violation> {
        loop {
            let mut moved = false;
            while let Some(action) = self.client.poll_action() {
                self.perform(action);
                moved = true;
            }
            while let Some(transmit) = self.machine.as_mut().and_then(Watched::poll_transmit) {
                self.transmit(transmit);
                moved = true;
            }
            while self.machine.as_ref().is_none_or(|machine| machine.get().wants_input())
                && let Some((link, input)) = self.unread.pop_front()
            {
                self.feed(link, input);
                moved = true;
            }
            if let Some(machine) = &self.machine {
                machine.check()?;
            }
            if !moved {
                return Ok(());
            }
        }
    }

    /// The time that the server reads from its clock.
    fn machine_time(&mut self) -> Instant {
        let jitter = self.wires.clock_jitter;
        let back = self.net.random().duration(Duration::ZERO, jitter);
        let now = self.net.now().as_micros();
        Instant::from_micros(now.saturating_sub(u64::try_from(back.as_micros()).unwrap_or(0)))
    }

    /// When the server wakes up for the deadline that it sees now.
    fn wake_time(&mut self) -> Option<Instant> {
        let deadline = self.machine.as_ref()?.get().poll_timeout()?;
        if self.wake.is_none_or(|(seen, _)| seen != deadline) {
            let late = self.net.random().duration(Duration::ZERO, self.wires.lateness);
            let mut at = deadline + late;
            if !self.wires.clock_jitter.is_zero() {
                at = at.max(self.net.now() + Duration::from_millis(1));
            }
            self.wake = Some((deadline, at.max(self.net.now())));
        }
        self.wake.map(|(_, at)| at)
    }

    fn incoming_timeout(&self) -> Option<Instant> {
        self.links.values().filter_map(|wire| wire.incoming.as_ref()?.poll_timeout()).min()
    }

    fn delay(&mut self) -> Duration {
        let (least, most) = (self.wires.least_delay, self.wires.most_delay);
        self.net.random().duration(least, most)
    }

    fn send(&mut self, item: Item<A>) {
        let delay = self.delay();
        if !self.silent {
            self.net.send(delay, item);
        }
    }

    // The client's side of the network.

    fn perform(&mut self, action: ClientAction) {
        match action {
            ClientAction::Get { request, .. } | ClientAction::Post { request, .. } => {
                // Not the first one: it would open a second session, and there is one server's end here.
                if self.net.random().chance(self.wires.repeated_requests) && self.client.is_open() {
                    self.repeated = self.repeated.saturating_sub(1);
                    self.exchanges.insert(self.repeated, Exchange::new(action.clone()));
                    self.send(Item::Head(self.repeated));
                }
                self.exchanges.insert(request, Exchange::new(action));
                self.send(Item::Head(request));
                if self.net.random().chance(self.wires.lost_requests) {
                    // Any time from before it arrives to long after it was answered.
                    let most = self.wires.most_delay.saturating_mul(8);
                    let delay = self.net.random().duration(Duration::ZERO, most);
                    self.net.send(delay, Item::Cut(request));
                }
            }
            ClientAction::Connect { link, kind, query } => {
                let now = self.net.now();
                let wire = Wire {
                    kind,
                    client: End::Waiting,
                    server: End::Waiting,
                    to_client: now,
                    to_server: now,
                    decoder: Decoder::new(usize::MAX),
                    incoming: None,
                };
                self.links.insert(link, wire);
                self.send(Item::LinkHead(link, query));
                if self.net.random().chance(self.wires.lost_links) {
                    let most = self.wires.most_delay.saturating_mul(16);
                    let delay = self.net.random().duration(Duration::ZERO, most);
                    self.net.send(delay, Item::LinkFails(link));
                }
            }
            ClientAction::Send { link, frame } => {
                if self.links.get(&link).is_some_and(|wire| wire.client == End::Up) {
                    for part in self.parts(link, &frame) {
                        self.send_on(link, true, part);
                    }
                }
            }
            ClientAction::Close { link } => self.close_at_client(link, LinkDownCause::Closed),
        }
    }

    fn close_at_client(&mut self, link: u64, cause: LinkDownCause) {
        if let Some(wire) = self.links.get_mut(&link)
            && core::mem::replace(&mut wire.client, End::Closed) != End::Closed
        {
            self.send_on(link, true, FromLink::Down(cause));
        }
    }

    /// What travels for a packet: a message, or pieces of a stream.
    fn parts(&mut self, link: u64, frame: &Frame) -> Vec<FromLink> {
        let packet = [frame.head(), frame.data()].concat();
        if self.links.get(&link).is_some_and(|wire| wire.kind == LinkKind::WebSocket) {
            let packet = Bytes::from(packet);
            let text = if frame.is_binary() { None } else { Text::try_from(packet.clone()).ok() };
            return alloc::vec![FromLink::Message(text.map_or(Message::Binary(packet), Message::Text))];
        }
        let mut stream = Bytes::from([framing::header(frame).as_bytes(), &packet].concat());
        let mut parts = Vec::new();
        while !stream.is_empty() {
            let most = if self.net.random().chance(500) { 4 } else { stream.len() };
            let length = self.net.random().index(most).saturating_add(1).min(stream.len());
            parts.push(FromLink::Bytes(stream.split_to(length)));
        }
        parts
    }

    /// Sends in order.
    fn send_on(&mut self, link: u64, to_server: bool, part: FromLink) {
        let at = self.net.now() + self.delay() + self.wires.slow_links;
        if self.silent {
            return;
        }
        let Some(wire) = self.links.get_mut(&link) else { return };
        let last = if to_server { &mut wire.to_server } else { &mut wire.to_client };
        *last = at.max(*last);
        let at = *last;
        self.net.send_at(at, if to_server { Item::ToServer(link, part) } else { Item::ToClient(link, part) });
    }

    fn open_exchanges(&self) -> Vec<u64> {
        self.exchanges.iter().filter(|(_, exchange)| !exchange.over).map(|(request, _)| *request).collect()
    }

    fn open_links(&self) -> Vec<u64> {
        self.links
            .iter()
            .filter(|(_, wire)| wire.client != End::Closed || wire.incoming.is_some())
            .map(|(link, _)| *link)
            .collect()
    }

    /// The connection of a request is cut; both ends hear of it in their own time.
    fn cut(&mut self, request: u64) {
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        if !core::mem::replace(&mut exchange.cut, true) {
            self.send(Item::CutAtServer(request));
            self.send(Item::CutAtClient(request));
        }
    }

    fn arrive(&mut self, item: Item<A>) -> Step<A> {
        if self.silent && !matches!(item, Item::Action(_)) {
            return Step::Moved;
        }
        let now = self.net.now();
        match item {
            Item::Action(action) => return Step::Action(action),
            Item::Head(request) => self.head(request),
            Item::Body(request) => self.body(request),
            Item::Written(request) => self.written(request),
            Item::Cut(request) => self.cut(request),
            Item::CutAtServer(request) => self.cut_at_server(request),
            Item::CutAtClient(request) => self.client.failed(request),
            Item::Response(request, status, body) => self.client.response(now, request, status, body),
            Item::LinkHead(link, query) => self.link_head(link, &query),
            Item::LinkOpened(link) => {
                if let Some(wire) = self.links.get_mut(&link)
                    && wire.client == End::Waiting
                {
                    wire.client = End::Up;
                    self.client.link_up(link);
                }
            }
            Item::ToServer(link, part) => self.unread.push_back((link, part)),
            Item::ToClient(link, part) => self.link_at_client(link, part),
            Item::LinkFails(link) => {
                if self.links.get(&link).is_some_and(|wire| wire.client != End::Closed) {
                    self.close_at_client(link, LinkDownCause::Failed);
                    self.client.link_down(link);
                }
            }
        }
        Step::Moved
    }

    fn link_at_client(&mut self, link: u64, part: FromLink) {
        let now = self.net.now();
        let Some(wire) = self.links.get_mut(&link).filter(|wire| wire.client != End::Closed) else { return };
        match part {
            FromLink::Message(message) => {
                if let Ok(packet) = Packet::decode(message) {
                    self.client.link_packet(now, link, packet);
                }
            }
            FromLink::Bytes(bytes) => {
                wire.decoder.push(bytes);
                while let Some(wire) = self.links.get_mut(&link)
                    && let Ok(Some(packet)) = wire.decoder.next()
                {
                    self.client.link_packet(now, link, packet);
                }
            }
            FromLink::Down(_) => {
                wire.client = End::Closed;
                self.client.link_down(link);
            }
        }
    }

    // The server's side: a driver.

    fn tell(&mut self, input: Input) {
        let now = self.machine_time();
        if let Some(machine) = &mut self.machine {
            machine.handle(now, input);
        }
    }

    fn accept(&mut self, handshake: Handshake) {
        let mut secret = [0; 15];
        for (byte, random) in secret.iter_mut().zip(core::iter::repeat_with(|| self.net.random().below(256))) {
            *byte = u8::try_from(random).unwrap_or(0);
        }
        let now = self.machine_time();
        let config = self.server.config();
        let (limits, max_payload) = (config.limits.clone(), config.max_payload);
        let machine = (self.accept)(handshake.accept(now, Sid::from_random(secret)));
        self.machine = Some(Watched::new(machine, limits, max_payload, self.log));
    }

    /// Whether the session of this id takes the request.
    fn admit(&mut self, sid: Sid, ask: &Ask) -> Result<(), Response> {
        let Some(machine) = self.machine.as_ref().filter(|machine| machine.get().session().sid() == sid) else {
            return Err(ask.refuse(Refusal::UnknownSid));
        };
        // A driver that has looked the session up may still find that it ended before the request got its turn.
        if machine.get().is_drained() && self.net.random().chance(500) {
            return Ok(());
        }
        machine.get().session().admit(ask)
    }

    fn head(&mut self, request: u64) {
        let Some(exchange) = self.exchanges.get(&request).filter(|exchange| !exchange.cut) else { return };
        let (method, query) = match &exchange.request {
            ClientAction::Get { query, .. } => ("GET", query),
            ClientAction::Post { query, .. } => ("POST", query),
            _ => return,
        };
        let route = self.server.route(&RequestHead { method, query, origin: None, websocket: false });
        let admitted = match route {
            Route::Open(handshake) => {
                self.accept(handshake);
                Ok(AskKind::Poll)
            }
            Route::Session { sid, ask } => self.admit(sid, &ask).map(|()| ask.kind()),
            Route::Reply(response) => Err(response),
        };
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        match admitted {
            Err(response) => {
                exchange.over = true;
                self.send(Item::Response(request, response.status(), response.into_body()));
            }
            Ok(kind) => {
                exchange.seen = true;
                if kind == AskKind::Poll {
                    self.tell(Input::Poll { request: RequestId(request) });
                } else {
                    let content_type = ContentType::Text;
                    self.tell(Input::Post { request: RequestId(request), content_type });
                    let slow = self.wires.slow_bodies;
                    let delay = self.delay() + self.net.random().duration(Duration::ZERO, slow);
                    if !self.silent {
                        self.net.send(delay, Item::Body(request));
                    }
                }
            }
        }
    }

    fn body(&mut self, request: u64) {
        let most = self.server.config().max_payload;
        let Some(exchange) = self.exchanges.get(&request).filter(|exchange| !exchange.cut) else { return };
        let ClientAction::Post { body, .. } = &exchange.request else { return };
        let (request, body) = (RequestId(request), body.clone());
        self.tell(if body.len() > most {
            Input::BodyRejected { request, fault: BodyFault::TooLarge }
        } else {
            Input::Body { request, body }
        });
    }

    fn written(&mut self, request: u64) {
        let aborted = self.net.random().chance(500);
        let Some(exchange) = self.exchanges.get_mut(&request).filter(|exchange| !exchange.over) else { return };
        exchange.over = true;
        // A connection that is cut may still have taken the reply.
        let gone = exchange.cut && aborted;
        let request = RequestId(request);
        self.tell(if gone { Input::Aborted { request } } else { Input::Replied { request } });
    }

    fn cut_at_server(&mut self, request: u64) {
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        if exchange.seen && !core::mem::replace(&mut exchange.over, true) {
            self.tell(Input::Aborted { request: RequestId(request) });
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Reply { request: RequestId(request), response } => {
                let Some(exchange) = self.exchanges.get(&request) else { return };
                if !exchange.cut {
                    self.send(Item::Written(request));
                    self.send(Item::Response(request, response.status(), response.into_body()));
                }
            }
            Transmit::Link { link: LinkId(link), frame } => {
                for part in self.parts(link, &frame) {
                    self.send_on(link, false, part);
                }
            }
            Transmit::CloseLink { link: LinkId(link) } => self.close_at_server(link),
        }
    }

    fn close_at_server(&mut self, link: u64) {
        if let Some(wire) = self.links.get_mut(&link)
            && core::mem::replace(&mut wire.server, End::Closed) != End::Closed
        {
            self.send_on(link, false, FromLink::Down(LinkDownCause::Closed));
        }
    }

    fn link_head(&mut self, link: u64, query: &str) {
        let now = self.net.now();
        let incoming = self.server.incoming(now);
        let Some(wire) = self.links.get_mut(&link).filter(|wire| wire.client != End::Closed) else { return };
        if wire.kind == LinkKind::WebTransport {
            wire.incoming = Some(incoming);
            return self.send(Item::LinkOpened(link));
        }
        let admitted = match self.server.route(&RequestHead { method: "GET", query, origin: None, websocket: true }) {
            Route::Open(handshake) => {
                self.accept(handshake);
                true
            }
            Route::Session { sid, ask } => self.admit(sid, &ask).is_ok(),
            Route::Reply(_) => false,
        };
        self.link_decided(link, LinkKind::WebSocket, admitted, Bytes::new());
        if admitted {
            self.send_opened(link);
        }
    }

    /// The `101`: ahead of everything that is sent on the link.
    fn send_opened(&mut self, link: u64) {
        let at = self.net.now() + self.delay();
        if let Some(wire) = self.links.get_mut(&link)
            && !self.silent
        {
            wire.to_client = at.max(wire.to_client);
            self.net.send_at(wire.to_client, Item::LinkOpened(link));
        }
    }

    fn link_decided(&mut self, link: u64, kind: LinkKind, admitted: bool, rest: Bytes) {
        if !admitted {
            return self.close_at_server(link);
        }
        if let Some(wire) = self.links.get_mut(&link) {
            wire.server = End::Up;
        }
        self.tell(Input::LinkUp { link: LinkId(link), kind });
        if !rest.is_empty() {
            self.tell(Input::LinkBytes { link: LinkId(link), chunk: rest });
        }
    }

    /// What was read from a link goes to the machine, or to whoever finds out which machine that is.
    fn feed(&mut self, link: u64, part: FromLink) {
        let Some(wire) = self.links.get_mut(&link) else { return };
        if let Some(incoming) = &mut wire.incoming {
            return match part {
                FromLink::Bytes(bytes) => {
                    incoming.handle(bytes);
                    self.poll_incoming(link);
                }
                FromLink::Message(_) | FromLink::Down(_) => {
                    wire.incoming = None;
                    self.close_at_server(link);
                }
            };
        }
        // Behind the end of a link, a driver may still have read something.
        let late = wire.server == End::Closed && self.net.random().chance(500);
        if wire.server == End::Up || late {
            if let FromLink::Down(_) = part {
                wire.server = End::Closed;
            }
            let link = LinkId(link);
            self.tell(match part {
                FromLink::Message(message) => Input::LinkMessage { link, message },
                FromLink::Bytes(chunk) => Input::LinkBytes { link, chunk },
                FromLink::Down(cause) => Input::LinkDown { link, cause },
            });
        }
    }

    /// Whether a WebTransport session has said by now what it is.
    fn poll_incoming(&mut self, link: u64) {
        let Some(wire) = self.links.get_mut(&link) else { return };
        let Some(mut incoming) = wire.incoming.take() else { return };
        let Some(outcome) = incoming.poll() else {
            wire.incoming = Some(incoming);
            return;
        };
        let admitted = match outcome {
            IncomingOutcome::Open(handshake) => {
                self.accept(handshake);
                true
            }
            IncomingOutcome::Attach { sid, ask } => self.admit(sid, &ask).is_ok(),
            IncomingOutcome::Refuse => false,
        };
        self.link_decided(link, LinkKind::WebTransport, admitted, incoming.into_rest());
    }

    /// The end of a run, when nothing is under way any more: whatever has ended is drained, and still answers whoever comes late.
    ///
    /// # Errors
    /// The first invariant that did not hold.
    pub fn finish(&mut self) -> Result<(), Violation> {
        self.settle()?;
        let now = self.net.now();
        match &mut self.machine {
            Some(machine) => {
                machine.check_settled()?;
                machine.check_after_end(now)
            }
            None => Ok(()),
        }
    }
}

impl<M: fmt::Debug, A> fmt::Debug for Pair<M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("now", &self.net.now()).field("machine", &self.machine).finish_non_exhaustive()
    }
}
