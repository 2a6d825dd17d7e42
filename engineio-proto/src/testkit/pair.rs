//! A client and a server with a network between them.
//!
//! The network behaves like HTTP and TCP. Requests have connections of their own and overtake each other. Links keep their order.
//! Anything can be cut off, before or after it was processed, and the other end is notified later or never. The server's side is a
//! complete driver: it routes requests, admits them, keeps the session table, reports what was written, and stops reading from a link
//! when the machine wants no more input.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use super::client::{Client, ClientAction, ClientSettings};
use super::client_end::{ClientEnd, ModelEnd};
use super::invariants::{Violation, Watched, WatchedEvent};
use super::random::Random;
use super::simnet::SimNet;
use crate::config::Config;
use crate::event::LinkKind;
use crate::framing;
use crate::http::{ContentType, RequestHead, Response};
use crate::id::{LinkId, RequestId, Sid};
use crate::message::{Message, Text};
use crate::packet::Frame;
use crate::server::{
    BodyFault, Handshake, Incoming, IncomingOutcome, Input, LinkDownCause, Refusal, RequestKind, Route, SessionRequest,
};
use crate::server::{Server, ServerMachine, Session, Transmit};
use crate::time::Instant;

/// The delays and faults of the network.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_structs, reason = "scenarios build it with a literal")]
pub struct NetworkSettings {
    /// The shortest delay.
    pub least_delay: Duration,
    /// The longest delay.
    pub most_delay: Duration,
    /// The longest extra delay of a POST body after its head.
    pub slow_bodies: Duration,
    /// The extra delay of everything on a link.
    pub slow_links: Duration,
    /// How late the server may wake up for a deadline.
    pub lateness: Duration,
    /// The number of requests in a thousand that lose their connection at some time: before the server receives them, while they are
    /// pending, or while their answer is in transit.
    pub lost_requests: u64,
    /// The number of requests in a thousand that arrive twice, the second time on another connection. The client does not receive the
    /// answer to the second, so I10 cannot be checked.
    pub repeated_requests: u64,
    /// The number of links in a thousand that fail at some time.
    pub lost_links: u64,
    /// How far the server's clock may jump backwards from one call to the next.
    pub clock_jitter: Duration,
}

impl Default for NetworkSettings {
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

/// The result of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Step<A> {
    /// An item arrived, or a deadline passed. Poll the events of both ends.
    Moved,
    /// A scheduled action is due.
    Action(A),
    /// Nothing is in transit, and no deadline is pending.
    Idle,
}

/// One HTTP request.
#[derive(Debug)]
struct Exchange {
    request: ClientAction,
    /// The machine was given the request.
    received: bool,
    /// Its connection is cut.
    cut: bool,
    /// The machine needs no further input about it.
    done: bool,
}

impl Exchange {
    const fn new(request: ClientAction) -> Self {
        Self { request, received: false, cut: false, done: false }
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
struct LinkState {
    kind: LinkKind,
    client: End,
    server: End,
    /// The arrival of the last item in each direction: items arrive in order.
    to_client: Instant,
    to_server: Instant,
    /// The server's decoder of a WebTransport stream, until its first packet has arrived.
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
    Response(u64, Response),
    LinkHead(u64, alloc::string::String),
    LinkOpened(u64),
    ToServer(u64, LinkItem),
    ToClient(u64, LinkItem),
    LinkFails(u64),
    Action(A),
}

/// An item that a link delivers.
#[derive(Clone, Debug)]
enum LinkItem {
    Message(Message),
    Bytes(Bytes),
    Down(LinkDownCause),
}

type Accept<M> = Box<dyn FnMut(Session) -> M>;

/// A client, a server, and the network between them. The client is the [model](Client), unless another [end](ClientEnd) was passed in.
///
/// Call [`Pair::step`] until it returns [`Step::Idle`]. After each step, poll the events of both ends, or leave them for a while to
/// simulate a slow application.
pub struct Pair<M, A, C = ModelEnd> {
    net: SimNet<Item<A>>,
    network_settings: NetworkSettings,
    server: Server,
    accept: Accept<M>,
    machine: Option<Watched<M>>,
    client: C,
    exchanges: BTreeMap<u64, Exchange>,
    links: BTreeMap<u64, LinkState>,
    /// Items that links have delivered, and that the machine does not want yet.
    unread: VecDeque<(u64, LinkItem)>,
    /// The same for the client.
    unread_by_client: VecDeque<(u64, LinkItem)>,
    /// The last deadline of the machine, and when the server wakes up for it.
    wake: Option<(Instant, Instant)>,
    network_failed: bool,
    log: bool,
    /// The number of the last repeated request. These count downwards; the client's own numbers count upwards.
    repeated: u64,
}

impl<M: ServerMachine<Event: WatchedEvent>, A> Pair<M, A> {
    /// Connects the model of a client to a server. `accept` turns the session into the server's machine. With `log`, the machine's inputs and outputs
    /// are recorded.
    pub fn new(
        seed: u64,
        config: Config,
        settings: ClientSettings,
        network_settings: NetworkSettings,
        log: bool,
        accept: impl FnMut(Session) -> M + 'static,
    ) -> Self {
        let client = ModelEnd::new(Client::new(settings));
        Self::with_client(seed, config, client, network_settings, log, accept)
    }
}

impl<M: ServerMachine<Event: WatchedEvent>, A, C: ClientEnd> Pair<M, A, C> {
    /// Connects this client to a server. See [`Pair::new`].
    pub fn with_client(
        seed: u64,
        config: Config,
        client: C,
        network_settings: NetworkSettings,
        log: bool,
        accept: impl FnMut(Session) -> M + 'static,
    ) -> Self {
        Self {
            net: SimNet::new(seed),
            network_settings,
            server: Server::new(config),
            accept: Box::new(accept),
            machine: None,
            client,
            exchanges: BTreeMap::new(),
            links: BTreeMap::new(),
            unread: VecDeque::new(),
            unread_by_client: VecDeque::new(),
            wake: None,
            network_failed: false,
            log,
            repeated: u64::MAX / 2,
        }
    }

    /// The current time.
    pub const fn now(&self) -> Instant {
        self.net.now()
    }

    /// The random number generator.
    pub const fn random(&mut self) -> &mut Random {
        self.net.random()
    }

    /// The client.
    pub const fn client(&mut self) -> &mut C {
        &mut self.client
    }

    /// The server's machine, once the client was accepted.
    pub const fn machine(&self) -> Option<&Watched<M>> {
        self.machine.as_ref()
    }

    /// Schedules an action: [`Pair::step`] returns it as [`Step::Action`] after `delay`.
    pub fn schedule(&mut self, delay: Duration, action: A) {
        self.net.send(delay, Item::Action(action));
    }

    /// Runs a command that needs no time on the server's machine. `size` is the largest number of bytes that it may queue. Returns `None`
    /// if no machine exists yet.
    pub fn command<R: fmt::Debug>(&mut self, size: usize, command: impl FnOnce(&mut M) -> R) -> Option<R> {
        Some(self.machine.as_mut()?.command(size, command))
    }

    /// Runs a command that needs the current time. See [`Pair::command`].
    pub fn timed_command<R: fmt::Debug>(
        &mut self,
        size: usize,
        command: impl FnOnce(&mut M, Instant) -> R,
    ) -> Option<R> {
        let now = self.machine_time();
        Some(self.machine.as_mut()?.timed_command(now, size, command))
    }

    /// The next event of the server's machine.
    pub fn poll_event(&mut self) -> Option<M::Event> {
        self.machine.as_mut()?.poll_event()
    }

    /// Ends the client's process: its connections are cut, and the server is notified.
    pub fn crash(&mut self) {
        self.client.crash();
        for request in self.open_exchanges() {
            self.cut(request);
        }
        let open: Vec<u64> = self.open_links();
        for link in open {
            self.close_at_client(link, LinkDownCause::Failed);
        }
    }

    /// Fails the network without notice: nothing arrives any more.
    pub const fn fail_network(&mut self) {
        self.network_failed = true;
    }

    /// Advances to the next arrival or deadline.
    ///
    /// # Errors
    /// The first violated invariant.
    pub fn step(&mut self) -> Result<Step<A>, Violation> {
        self.settle()?;
        let wake = self.wake_time();
        let next = [self.net.next_arrival(), wake, self.client.poll_timeout(), self.incoming_timeout()];
        let Some(at) = next.into_iter().flatten().min() else { return Ok(Step::Idle) };
        let mut step = Step::Moved;
        if self.net.next_arrival() == Some(at) {
            // An arrival comes before a deadline at the same time, because it may answer it.
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
                if let Some(incoming) = self.links.get_mut(&link).and_then(|state| state.incoming.as_mut()) {
                    incoming.handle_timeout(now);
                    self.poll_incoming(link);
                }
            }
        }
        self.settle()?;
        Ok(step)
    }

    /// Passes all actions and transmits to the network, and passes delivered items to the server while it wants input.
    ///
    /// # Errors
    /// The first violated invariant.
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
            while self.client.wants_input()
                && let Some((link, part)) = self.unread_by_client.pop_front()
            {
                self.link_at_client(link, part);
                moved = true;
            }
            if let Some(machine) = &self.machine {
                machine.check()?;
            }
            self.client.check()?;
            if !moved {
                return Ok(());
            }
        }
    }

    /// The time that the server's clock shows.
    fn machine_time(&mut self) -> Instant {
        let jitter = self.network_settings.clock_jitter;
        let back = self.net.random().duration(Duration::ZERO, jitter);
        let now = self.net.now().as_micros();
        Instant::from_micros(now.saturating_sub(u64::try_from(back.as_micros()).unwrap_or(0)))
    }

    /// When the server wakes up for its current deadline.
    fn wake_time(&mut self) -> Option<Instant> {
        let deadline = self.machine.as_ref()?.get().poll_timeout()?;
        if self.wake.is_none_or(|(received, _)| received != deadline) {
            let late = self.net.random().duration(Duration::ZERO, self.network_settings.lateness);
            let mut at = deadline + late;
            if !self.network_settings.clock_jitter.is_zero() {
                at = at.max(self.net.now() + Duration::from_millis(1));
            }
            self.wake = Some((deadline, at.max(self.net.now())));
        }
        self.wake.map(|(_, at)| at)
    }

    fn incoming_timeout(&self) -> Option<Instant> {
        self.links.values().filter_map(|state| state.incoming.as_ref()?.poll_timeout()).min()
    }

    fn delay(&mut self) -> Duration {
        let (least, most) = (self.network_settings.least_delay, self.network_settings.most_delay);
        self.net.random().duration(least, most)
    }

    fn send(&mut self, item: Item<A>) {
        let delay = self.delay();
        if !self.network_failed {
            self.net.send(delay, item);
        }
    }

    // The client's side of the network.

    fn perform(&mut self, action: ClientAction) {
        match action {
            ClientAction::Get { request, .. } | ClientAction::Post { request, .. } => {
                // The first request is not repeated: it would open a second session, and a pair has only one.
                if self.net.random().chance(self.network_settings.repeated_requests) && self.client.is_open() {
                    self.repeated = self.repeated.saturating_sub(1);
                    self.exchanges.insert(self.repeated, Exchange::new(action.clone()));
                    self.send(Item::Head(self.repeated));
                }
                self.exchanges.insert(request, Exchange::new(action));
                self.send(Item::Head(request));
                if self.net.random().chance(self.network_settings.lost_requests) {
                    // At any time from before its arrival to long after its answer.
                    let most = self.network_settings.most_delay.saturating_mul(8);
                    let delay = self.net.random().duration(Duration::ZERO, most);
                    self.net.send(delay, Item::Cut(request));
                }
            }
            ClientAction::Cancel { request } => {
                if let Some(exchange) = self.exchanges.get_mut(&request)
                    && !core::mem::replace(&mut exchange.cut, true)
                {
                    self.send(Item::CutAtServer(request));
                }
            }
            ClientAction::Connect { link, kind, query } => {
                let now = self.net.now();
                let state = LinkState {
                    kind,
                    client: End::Waiting,
                    server: End::Waiting,
                    to_client: now,
                    to_server: now,
                    incoming: None,
                };
                self.links.insert(link, state);
                self.send(Item::LinkHead(link, query));
                if self.net.random().chance(self.network_settings.lost_links) {
                    let most = self.network_settings.most_delay.saturating_mul(16);
                    let delay = self.net.random().duration(Duration::ZERO, most);
                    self.net.send(delay, Item::LinkFails(link));
                }
            }
            ClientAction::Send { link, frame } => {
                if self.links.get(&link).is_some_and(|state| state.client == End::Up) {
                    for part in self.parts(link, &frame) {
                        self.send_on(link, true, part);
                    }
                }
            }
            ClientAction::Close { link } => self.close_at_client(link, LinkDownCause::Closed),
        }
    }

    fn close_at_client(&mut self, link: u64, cause: LinkDownCause) {
        if let Some(state) = self.links.get_mut(&link)
            && core::mem::replace(&mut state.client, End::Closed) != End::Closed
        {
            self.send_on(link, true, LinkItem::Down(cause));
        }
    }

    /// The items that carry a packet: one message, or chunks of a stream.
    fn parts(&mut self, link: u64, frame: &Frame) -> Vec<LinkItem> {
        let packet = [frame.head(), frame.data()].concat();
        if self.links.get(&link).is_some_and(|state| state.kind == LinkKind::WebSocket) {
            let packet = Bytes::from(packet);
            let text = if frame.is_binary() { None } else { Text::try_from(packet.clone()).ok() };
            return alloc::vec![LinkItem::Message(text.map_or(Message::Binary(packet), Message::Text))];
        }
        let mut stream = Bytes::from([framing::header(frame).as_bytes(), &packet].concat());
        let mut parts = Vec::new();
        while !stream.is_empty() {
            let most = if self.net.random().chance(500) { 4 } else { stream.len() };
            let length = self.net.random().index(most).saturating_add(1).min(stream.len());
            parts.push(LinkItem::Bytes(stream.split_to(length)));
        }
        parts
    }

    /// Sends an item that does not overtake earlier ones.
    fn send_on(&mut self, link: u64, to_server: bool, part: LinkItem) {
        let at = self.net.now() + self.delay() + self.network_settings.slow_links;
        if self.network_failed {
            return;
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        let last = if to_server { &mut state.to_server } else { &mut state.to_client };
        *last = at.max(*last);
        let at = *last;
        self.net.send_at(at, if to_server { Item::ToServer(link, part) } else { Item::ToClient(link, part) });
    }

    fn open_exchanges(&self) -> Vec<u64> {
        self.exchanges.iter().filter(|(_, exchange)| !exchange.done).map(|(request, _)| *request).collect()
    }

    fn open_links(&self) -> Vec<u64> {
        self.links
            .iter()
            .filter(|(_, state)| state.client != End::Closed || state.incoming.is_some())
            .map(|(link, _)| *link)
            .collect()
    }

    /// Cuts the connection of a request. Each end is notified after a delay of its own.
    fn cut(&mut self, request: u64) {
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        if !core::mem::replace(&mut exchange.cut, true) {
            self.send(Item::CutAtServer(request));
            self.send(Item::CutAtClient(request));
        }
    }

    fn arrive(&mut self, item: Item<A>) -> Step<A> {
        if self.network_failed && !matches!(item, Item::Action(_)) {
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
            Item::CutAtClient(request) => self.client.failed(now, request),
            Item::Response(request, response) => {
                let content_type = response.headers().iter().find(|(name, _)| *name == "content-type");
                let content_type = ContentType::from_response_header(content_type.map(|(_, value)| value.as_bytes()));
                self.client.response(now, request, response.status(), content_type, response.into_body());
            }
            Item::LinkHead(link, query) => self.link_head(link, &query),
            Item::LinkOpened(link) => {
                if let Some(state) = self.links.get_mut(&link)
                    && state.client == End::Waiting
                {
                    state.client = End::Up;
                    self.client.link_up(now, link);
                }
            }
            Item::ToServer(link, part) => self.unread.push_back((link, part)),
            Item::ToClient(link, part) => self.unread_by_client.push_back((link, part)),
            Item::LinkFails(link) => {
                if self.links.get(&link).is_some_and(|state| state.client != End::Closed) {
                    self.close_at_client(link, LinkDownCause::Failed);
                    self.client.link_down(now, link, LinkDownCause::Failed);
                }
            }
        }
        Step::Moved
    }

    fn link_at_client(&mut self, link: u64, part: LinkItem) {
        let now = self.net.now();
        let Some(state) = self.links.get_mut(&link).filter(|state| state.client != End::Closed) else { return };
        match part {
            LinkItem::Message(message) => self.client.link_message(now, link, message),
            LinkItem::Bytes(bytes) => self.client.link_bytes(now, link, bytes),
            LinkItem::Down(cause) => {
                state.client = End::Closed;
                self.client.link_down(now, link, cause);
            }
        }
    }

    // The server's side: a driver.

    fn handle_input(&mut self, input: Input) {
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

    /// Checks whether the session with this id admits the request.
    fn admit(&mut self, sid: Sid, session_request: &SessionRequest) -> Result<(), Response> {
        let Some(machine) = self.machine.as_ref().filter(|machine| machine.get().session().sid() == sid) else {
            return Err(session_request.refuse(Refusal::UnknownSid));
        };
        // A driver may have looked up the session just before it ended, and then passes the request on.
        if machine.get().is_drained() && self.net.random().chance(500) {
            return Ok(());
        }
        machine.get().session().admit(session_request)
    }

    fn head(&mut self, request: u64) {
        let Some(exchange) = self.exchanges.get(&request).filter(|exchange| !exchange.cut) else { return };
        let (method, query, content_type) = match &exchange.request {
            ClientAction::Get { query, .. } => ("GET", query, ContentType::Text),
            ClientAction::Post { query, content_type, .. } => ("POST", query, *content_type),
            _ => return,
        };
        let route = self.server.route(&RequestHead { method, query, origin: None, websocket: false });
        let admitted = match route {
            Route::Open(handshake) => {
                self.accept(handshake);
                Ok(RequestKind::Get)
            }
            Route::Session { sid, session_request } => {
                self.admit(sid, &session_request).map(|()| session_request.kind())
            }
            Route::Reply(response) => Err(response),
        };
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        match admitted {
            Err(response) => {
                exchange.done = true;
                self.send(Item::Response(request, response));
            }
            Ok(kind) => {
                exchange.received = true;
                if kind == RequestKind::Get {
                    self.handle_input(Input::Get { request: RequestId(request) });
                } else {
                    self.handle_input(Input::Post { request: RequestId(request), content_type });
                    let slow = self.network_settings.slow_bodies;
                    let delay = self.delay() + self.net.random().duration(Duration::ZERO, slow);
                    if !self.network_failed {
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
        self.handle_input(if body.len() > most {
            Input::BodyRejected { request, fault: BodyFault::TooLarge }
        } else {
            Input::Body { request, body }
        });
    }

    fn written(&mut self, request: u64) {
        let aborted = self.net.random().chance(500);
        let Some(exchange) = self.exchanges.get_mut(&request).filter(|exchange| !exchange.done) else { return };
        exchange.done = true;
        // The reply may have been written before the connection was cut.
        let gone = exchange.cut && aborted;
        let request = RequestId(request);
        self.handle_input(if gone { Input::Aborted { request } } else { Input::Replied { request } });
    }

    fn cut_at_server(&mut self, request: u64) {
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        if exchange.received && !core::mem::replace(&mut exchange.done, true) {
            self.handle_input(Input::Aborted { request: RequestId(request) });
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Reply { request: RequestId(request), response } => {
                let Some(exchange) = self.exchanges.get(&request) else { return };
                if !exchange.cut {
                    self.send(Item::Written(request));
                    self.send(Item::Response(request, response));
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
        if let Some(state) = self.links.get_mut(&link)
            && core::mem::replace(&mut state.server, End::Closed) != End::Closed
        {
            self.send_on(link, false, LinkItem::Down(LinkDownCause::Closed));
        }
    }

    fn link_head(&mut self, link: u64, query: &str) {
        let now = self.net.now();
        let incoming = self.server.incoming(now);
        let Some(state) = self.links.get_mut(&link).filter(|state| state.client != End::Closed) else { return };
        if state.kind == LinkKind::WebTransport {
            state.incoming = Some(incoming);
            return self.send(Item::LinkOpened(link));
        }
        let admitted = match self.server.route(&RequestHead { method: "GET", query, origin: None, websocket: true }) {
            Route::Open(handshake) => {
                self.accept(handshake);
                true
            }
            Route::Session { sid, session_request } => self.admit(sid, &session_request).is_ok(),
            Route::Reply(_) => false,
        };
        self.link_decided(link, LinkKind::WebSocket, admitted, Bytes::new());
        if admitted {
            self.send_opened(link);
        }
    }

    /// Sends the `101`, before everything else on the link.
    fn send_opened(&mut self, link: u64) {
        let at = self.net.now() + self.delay();
        if let Some(state) = self.links.get_mut(&link)
            && !self.network_failed
        {
            state.to_client = at.max(state.to_client);
            self.net.send_at(state.to_client, Item::LinkOpened(link));
        }
    }

    fn link_decided(&mut self, link: u64, kind: LinkKind, admitted: bool, rest: Bytes) {
        if !admitted {
            return self.close_at_server(link);
        }
        if let Some(state) = self.links.get_mut(&link) {
            state.server = End::Up;
        }
        self.handle_input(Input::LinkUp { link: LinkId(link), kind });
        if !rest.is_empty() {
            self.handle_input(Input::LinkBytes { link: LinkId(link), chunk: rest });
        }
    }

    /// Passes a delivered item to the machine, or to the [`Incoming`] that determines the session.
    fn feed(&mut self, link: u64, part: LinkItem) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if let Some(incoming) = &mut state.incoming {
            return match part {
                LinkItem::Bytes(bytes) => {
                    incoming.handle(bytes);
                    self.poll_incoming(link);
                }
                LinkItem::Message(_) | LinkItem::Down(_) => {
                    state.incoming = None;
                    self.close_at_server(link);
                }
            };
        }
        // A driver may still have read something after the end of a link.
        let late = state.server == End::Closed && self.net.random().chance(500);
        if state.server == End::Up || late {
            if let LinkItem::Down(_) = part {
                state.server = End::Closed;
            }
            let link = LinkId(link);
            self.handle_input(match part {
                LinkItem::Message(message) => Input::LinkMessage { link, message },
                LinkItem::Bytes(chunk) => Input::LinkBytes { link, chunk },
                LinkItem::Down(cause) => Input::LinkDown { link, cause },
            });
        }
    }

    /// Checks whether a WebTransport session has sent its first packet, and admits or refuses it.
    fn poll_incoming(&mut self, link: u64) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(mut incoming) = state.incoming.take() else { return };
        let Some(outcome) = incoming.poll() else {
            state.incoming = Some(incoming);
            return;
        };
        let admitted = match outcome {
            IncomingOutcome::Open(handshake) => {
                self.accept(handshake);
                true
            }
            IncomingOutcome::Attach { sid, session_request } => self.admit(sid, &session_request).is_ok(),
            IncomingOutcome::Refuse => false,
        };
        self.link_decided(link, LinkKind::WebTransport, admitted, incoming.into_rest());
    }

    /// Checks the end of a run, when nothing is in transit any more. A machine that has ended must be drained, and must answer late
    /// requests.
    ///
    /// # Errors
    /// The first violated invariant.
    pub fn finish(&mut self) -> Result<(), Violation> {
        self.settle()?;
        let now = self.net.now();
        if let Some(machine) = &mut self.machine {
            machine.check_settled()?;
            machine.check_after_end(now)?;
        }
        self.client.check_end(now)
    }
}

impl<M: fmt::Debug, A, C> fmt::Debug for Pair<M, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("now", &self.net.now()).field("machine", &self.machine).finish_non_exhaustive()
    }
}
