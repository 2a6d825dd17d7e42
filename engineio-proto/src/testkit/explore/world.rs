//! The world that is explored: one client, one session, and the items in transit between them.
//!
//! The world holds a state, and lists the steps that are possible in it. It makes no decisions: [`World::urgent_steps`] and
//! [`World::other_steps`] list the steps, and [`World::take`] takes one.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hash::Hash;

use bytes::Bytes;

use super::{Explorable, Fault, Plan};
use crate::event::{CloseReason, Event, LinkKind};
use crate::http::{ContentType, RequestHead, Response};
use crate::id::{LinkId, RequestId, Sid};
use crate::message::{Message, Text};
use crate::packet::Frame;
use crate::server::{Input, LinkDownCause, Refusal, RequestKind, Route, Server, Session, SessionRequest, Transmit};
use crate::testkit::client::{ClientAction, ClientEvent};
use crate::testkit::client_end::MessageEnd;
use crate::testkit::invariants::{Numbered, Violation, Watched};
use crate::time::Instant;

/// One step of the world. Requests and links have the numbers that the client gave them, starting at 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Step {
    /// The head of this request arrives at the server. A GET has nothing else.
    RequestArrives(u64),
    /// The body of this POST arrives.
    BodyArrives(u64),
    /// The operating system has taken the answer to this request.
    AnswerWritten(u64),
    /// The answer to this request arrives at the client.
    AnswerArrives(u64),
    /// The server is notified that the connection of this request was cut.
    ServerNotifiedOfCut(u64),
    /// The client is notified that the connection of this request was cut.
    ClientNotifiedOfCut(u64),
    /// The request that opens this link arrives at the server.
    LinkRequestArrives(u64),
    /// The next item on this link arrives at the server.
    LinkItemArrivesAtServer(u64),
    /// The next item on this link arrives at the client.
    LinkItemArrivesAtClient(u64),
    /// The driver polls one transmit.
    PollTransmit,
    /// The server's application polls one event.
    PollEvent,
    /// The deadline of the server's machine fires.
    ServerTimeout,
    /// The deadline of the client fires.
    ClientTimeout,
    /// The client's application sends a message.
    ClientSends,
    /// The server's application sends a message.
    ServerSends,
    /// The client's application closes.
    ClientCloses,
    /// The server's application closes gracefully.
    ServerCloses,
    /// The server's application closes at once.
    ServerDiscards,
    /// Fault: the connection of this request is cut.
    RequestIsCut(u64),
    /// Fault: what is still in transit of this request is lost, and so is its answer. Neither end is notified.
    RequestIsLost(u64),
    /// Fault: this link breaks, and everything in transit on it is lost. Both ends are notified.
    LinkBreaks(u64),
    /// Fault: nothing that was sent on this link arrives any more. Neither end is notified.
    LinkIsLost(u64),
    /// Fault: the deadline of the server's machine fires before items in transit arrive.
    ServerTimeoutFirst,
    /// Fault: the deadline of the client fires before items in transit arrive.
    ClientTimeoutFirst,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestArrives(request) => write!(f, "request {request} arrives at the server"),
            Self::BodyArrives(request) => write!(f, "the body of request {request} arrives at the server"),
            Self::AnswerWritten(request) => write!(f, "the answer to request {request} is written"),
            Self::AnswerArrives(request) => write!(f, "the answer to request {request} arrives at the client"),
            Self::ServerNotifiedOfCut(request) => write!(f, "the server is notified that request {request} is cut"),
            Self::ClientNotifiedOfCut(request) => write!(f, "the client is notified that request {request} is cut"),
            Self::LinkRequestArrives(link) => write!(f, "the request for link {link} arrives at the server"),
            Self::LinkItemArrivesAtServer(link) => write!(f, "the next item on link {link} arrives at the server"),
            Self::LinkItemArrivesAtClient(link) => write!(f, "the next item on link {link} arrives at the client"),
            Self::PollTransmit => write!(f, "the driver polls a transmit"),
            Self::PollEvent => write!(f, "the server's application polls an event"),
            Self::ServerTimeout => write!(f, "time passes until the server's deadline"),
            Self::ClientTimeout => write!(f, "time passes until the client's deadline"),
            Self::ClientSends => write!(f, "the client sends a message"),
            Self::ServerSends => write!(f, "the server sends a message"),
            Self::ClientCloses => write!(f, "the client closes"),
            Self::ServerCloses => write!(f, "the server closes"),
            Self::ServerDiscards => write!(f, "the server closes at once"),
            Self::RequestIsCut(request) => write!(f, "FAULT: request {request} is cut"),
            Self::RequestIsLost(request) => write!(f, "FAULT: request {request} is lost, and neither end is notified"),
            Self::LinkBreaks(link) => write!(f, "FAULT: link {link} breaks"),
            Self::LinkIsLost(link) => write!(f, "FAULT: link {link} is lost, and neither end is notified"),
            Self::ServerTimeoutFirst => write!(f, "FAULT: the network is slow, and the server's deadline fires first"),
            Self::ClientTimeoutFirst => write!(f, "FAULT: the network is slow, and the client's deadline fires first"),
        }
    }
}

/// One HTTP request, until both ends are done with it.
#[derive(Clone, Hash)]
struct Exchange {
    request: ClientAction,
    /// The head has arrived at the server.
    received: bool,
    /// The body is in transit.
    body_due: bool,
    /// The status, content type and body of the answer, once the server has answered.
    answer: Option<(u16, ContentType, Bytes)>,
    /// The server receives nothing more about it.
    server_done: bool,
    /// The client receives nothing more about it.
    client_done: bool,
    cut: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    Waiting,
    Up,
    Closed,
}

/// One WebSocket.
#[derive(Clone, Hash)]
struct LinkState {
    /// The query of the request that opens it, while that request is in transit.
    requested: Option<String>,
    client: End,
    server: End,
    to_server: VecDeque<LinkItem>,
    to_client: VecDeque<LinkItem>,
    /// Whether a fault has cut it: everything sent on it is dropped.
    dead: bool,
}

/// An item in transit on a link.
#[derive(Clone, Hash)]
enum LinkItem {
    /// The `101`.
    Opened,
    Message(Message),
    Down(LinkDownCause),
}

/// The end that has closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Closer {
    Client,
    Server,
    /// The server, at once.
    Discarded,
}

/// The state of the world.
#[derive(Clone, Hash)]
pub(super) struct World<M, C> {
    pub(super) now: Instant,
    pub(super) machine: Option<Watched<M>>,
    pub(super) client: C,
    /// Whether the client does not wait for its POST before it moves to its link.
    upgrades_during_post: bool,
    /// Whether the deadlines of the client count, which sends pings in revision 3.
    client_pings: bool,
    exchanges: BTreeMap<u64, Exchange>,
    links: BTreeMap<u64, LinkState>,
    upstream: Numbered,
    downstream: Numbered,
    /// Whether the server's application has polled `Open`.
    server_open: bool,
    /// Whether the client was ever open.
    client_open: bool,
    /// Whether the client has moved to a link.
    client_upgraded: bool,
    /// Whether the server's application has polled `Upgraded`.
    server_upgraded: bool,
    client_reason: &'static str,
    reason: Option<CloseReason>,
    closer: Option<Closer>,
    /// The number of deadlines that may still fire before an end closes.
    deadlines: u8,
    /// The fault that may still happen.
    fault: Option<Fault>,
    /// Whether the fault has happened.
    fault_happened: bool,
    /// Whether the fault lost something without notifying the ends.
    lost: bool,
}

/// The unchanging parameters of a world.
pub(super) struct Environment<'a, M> {
    pub(super) plan: &'a Plan,
    pub(super) server: Server,
    pub(super) accept: &'a dyn Fn(Session) -> M,
    /// Whether machines keep a log.
    pub(super) log: bool,
}

impl<M: Explorable, C: MessageEnd + Clone + Hash> World<M, C> {
    /// The first state: the client has sent its first GET.
    pub(super) fn new(plan: &Plan, mut client: C) -> Self {
        let now = Instant::from_millis(3_600_000);
        client.open(now);
        let mut world = Self {
            now,
            machine: None,
            client,
            upgrades_during_post: plan.behavior.upgrades_during_post,
            client_pings: plan.behavior.revision_3,
            exchanges: BTreeMap::new(),
            links: BTreeMap::new(),
            upstream: Numbered::new("client to server"),
            downstream: Numbered::new("server to client"),
            server_open: false,
            client_open: false,
            client_upgraded: false,
            server_upgraded: false,
            client_reason: "",
            reason: None,
            closer: None,
            deadlines: plan.deadlines,
            fault: plan.fault,
            fault_happened: false,
            lost: false,
        };
        // A new client has no events, so this cannot fail.
        let _ = world.perform_client_actions();
        world
    }

    /// The steps of the network and the polls of the server. While one of them is possible, no deadline fires, unless the network is slow.
    pub(super) fn urgent_steps(&self, steps: &mut Vec<Step>) {
        for (&name, exchange) in &self.exchanges {
            let answered = exchange.answer.is_some();
            let on_way = !exchange.cut;
            let alone = exchange.client_done || !is_post(exchange);
            for (possible, step) in [
                (on_way && !exchange.received && !exchange.server_done, Step::RequestArrives(name)),
                (on_way && exchange.body_due, Step::BodyArrives(name)),
                (on_way && answered && !exchange.server_done && alone, Step::AnswerWritten(name)),
                (on_way && answered && !exchange.client_done, Step::AnswerArrives(name)),
                (exchange.cut && !exchange.server_done, Step::ServerNotifiedOfCut(name)),
                (exchange.cut && !exchange.client_done, Step::ClientNotifiedOfCut(name)),
            ] {
                steps.extend(possible.then_some(step));
            }
        }
        let reads = self.reads_links();
        for (&name, state) in &self.links {
            for (possible, step) in [
                (state.requested.is_some(), Step::LinkRequestArrives(name)),
                (
                    reads && state.requested.is_none() && !state.to_server.is_empty(),
                    Step::LinkItemArrivesAtServer(name),
                ),
                (!state.to_client.is_empty(), Step::LinkItemArrivesAtClient(name)),
            ] {
                steps.extend(possible.then_some(step));
            }
        }
        if let Some(machine) = &self.machine {
            // Whether there is anything to write is only known by trying.
            steps.push(Step::PollTransmit);
            steps.extend(machine.get().has_events().then_some(Step::PollEvent));
        }
    }

    /// Whether the server reads from links. If the client upgrades while its POST is in flight, the server reads the heads of its POSTs before
    /// the link: the order would be unknown otherwise.
    fn reads_links(&self) -> bool {
        let behind = self.upgrades_during_post
            && self.exchanges.values().any(|exchange| is_post(exchange) && !exchange.received);
        !behind && self.machine.as_ref().is_none_or(|machine| machine.get().wants_input())
    }

    /// All other steps. `busy` says whether any of the urgent ones is possible.
    pub(super) fn other_steps(&self, plan: &Plan, busy: bool, steps: &mut Vec<Step>) {
        let alive = self.machine.as_ref().is_some_and(|machine| !machine.get().session().is_closed());
        let may_wait = !alive || self.closer.is_some() || self.deadlines > 0;
        if may_wait && (!busy || self.fault == Some(Fault::NetworkIsSlow)) {
            let server = self.machine.as_ref().and_then(|machine| machine.get().poll_timeout());
            let client = self.client.poll_timeout();
            let first = |mine: Option<Instant>, other: Option<Instant>| {
                mine.is_some_and(|mine| other.is_none_or(|other| mine <= other))
            };
            let (at_server, at_client) = match busy {
                true => (Step::ServerTimeoutFirst, Step::ClientTimeoutFirst),
                false => (Step::ServerTimeout, Step::ClientTimeout),
            };
            steps.extend(first(server, client).then_some(at_server));
            steps.extend(first(client, server).then_some(at_client));
        }
        if self.closer.is_none() {
            if self.client.is_open() {
                steps.extend((self.upstream.sent() < u64::from(plan.messages_up)).then_some(Step::ClientSends));
                steps.push(Step::ClientCloses);
            }
            if self.server_open && self.reason.is_none() {
                steps.extend((self.downstream.sent() < u64::from(plan.messages_down)).then_some(Step::ServerSends));
                steps.extend([Step::ServerCloses, Step::ServerDiscards]);
            }
        }
        let Some(fault) = self.fault else { return };
        for (&name, _) in self.exchanges.iter().filter(|(_, exchange)| !exchange.cut && !exchange.client_done) {
            match fault {
                Fault::RequestIsCut => steps.push(Step::RequestIsCut(name)),
                Fault::RequestIsLost => steps.push(Step::RequestIsLost(name)),
                _ => {}
            }
        }
        for (&name, _) in self.links.iter().filter(|(_, state)| !state.dead) {
            match fault {
                Fault::LinkBreaks => steps.push(Step::LinkBreaks(name)),
                Fault::LinkIsLost => steps.push(Step::LinkIsLost(name)),
                _ => {}
            }
        }
    }

    /// Takes a step. Returns false if it was not possible.
    pub(super) fn take(&mut self, environment: &Environment<'_, M>, step: Step) -> Result<bool, Violation> {
        match step {
            Step::RequestArrives(name) => self.request_arrives(environment, name),
            Step::BodyArrives(name) => {
                if let Some(exchange) = self.exchanges.get_mut(&name) {
                    exchange.body_due = false;
                    if let ClientAction::Post { body, .. } = &exchange.request {
                        let body = body.clone();
                        self.handle_input(Input::Body { request: RequestId(name), body });
                    }
                }
            }
            Step::AnswerWritten(name) => self.answer_written(name),
            Step::AnswerArrives(name) => {
                if let Some(exchange) = self.exchanges.get_mut(&name) {
                    exchange.client_done = true;
                    let is_post = is_post(exchange);
                    if let Some((status, content_type, body)) = exchange.answer.clone() {
                        self.client.response(self.now, name, status, content_type, body);
                    }
                    // For a POST, writing and arriving are one step, because its answer contains no packets.
                    if is_post {
                        self.answer_written(name);
                    }
                }
            }
            Step::ServerNotifiedOfCut(name) => {
                if let Some(exchange) = self.exchanges.get_mut(&name) {
                    exchange.server_done = true;
                    self.handle_input(Input::Aborted { request: RequestId(name) });
                }
            }
            Step::ClientNotifiedOfCut(name) => {
                if let Some(exchange) = self.exchanges.get_mut(&name) {
                    exchange.client_done = true;
                    self.client.failed(self.now, name);
                }
            }
            Step::LinkRequestArrives(name) => self.link_request_arrives(environment, name),
            Step::LinkItemArrivesAtServer(name) => self.link_item_at_server(name),
            Step::LinkItemArrivesAtClient(name) => self.link_item_at_client(name),
            Step::PollTransmit => {
                let Some(transmit) = self.machine.as_mut().and_then(Watched::poll_transmit) else { return Ok(false) };
                self.transmit(transmit);
            }
            Step::PollEvent => {
                let Some(event) = self.machine.as_mut().and_then(Watched::poll_event) else { return Ok(false) };
                self.event(event)?;
            }
            Step::ServerTimeout | Step::ServerTimeoutFirst => {
                self.fault(step);
                if let Some(machine) = &mut self.machine
                    && let Some(deadline) = machine.get().poll_timeout()
                {
                    self.now = self.now.max(deadline);
                    self.deadlines = self.deadlines.saturating_sub(1);
                    machine.handle_timeout(self.now);
                }
            }
            Step::ClientTimeout | Step::ClientTimeoutFirst => {
                self.fault(step);
                if let Some(deadline) = self.client.poll_timeout() {
                    self.now = self.now.max(deadline);
                    if self.client_pings {
                        self.deadlines = self.deadlines.saturating_sub(1);
                    }
                    self.client.handle_timeout(self.now);
                }
            }
            Step::ClientSends => {
                if self.client.send(self.upstream.next_message(0, false)).is_err() {
                    return Ok(false);
                }
                self.upstream.count_sent();
            }
            Step::ServerSends => {
                let message = self.downstream.next_message(0, false);
                let size = message.len().saturating_add(64);
                let sent = self.machine.as_mut().map(|machine| machine.command(size, |machine| machine.send(message)));
                if sent != Some(Ok(())) {
                    // The session has ended, and the application has not polled the event yet.
                    return Ok(false);
                }
                self.downstream.count_sent();
            }
            Step::ClientCloses => {
                self.closer = Some(Closer::Client);
                self.client.close(self.now);
            }
            Step::ServerCloses => {
                self.closer = Some(Closer::Server);
                if let Some(machine) = &mut self.machine {
                    machine.timed_command(self.now, 0, |machine, now| machine.close(now));
                }
            }
            Step::ServerDiscards => {
                self.closer = Some(Closer::Discarded);
                if let Some(machine) = &mut self.machine {
                    machine.timed_command(self.now, 0, |machine, now| machine.discard(now));
                }
            }
            Step::RequestIsCut(_) | Step::RequestIsLost(_) | Step::LinkBreaks(_) | Step::LinkIsLost(_) => {
                self.fault(step)
            }
        }
        self.perform_client_actions()?;
        if self.client.is_closed() {
            // A closed client receives nothing. Dropping it now reduces the number of states.
            self.exchanges.values_mut().for_each(|exchange| exchange.client_done = true);
            self.links.values_mut().for_each(|state| state.to_client.clear());
        }
        self.exchanges.retain(|_, exchange| !(exchange.server_done && exchange.client_done));
        for state in self.links.values_mut() {
            // A closed end of a link receives nothing either.
            if state.server == End::Closed {
                state.to_server.clear();
            }
            if state.client == End::Closed {
                state.to_client.clear();
            }
        }
        self.links.retain(|_, state| {
            let ended = state.client == End::Closed && state.server == End::Closed;
            !(ended && state.requested.is_none())
        });
        if let Some(machine) = &self.machine {
            machine.check()?;
        }
        self.client.check()?;
        Ok(true)
    }

    fn fault(&mut self, fault: Step) {
        if matches!(fault, Step::ServerTimeout | Step::ClientTimeout) {
            return;
        }
        self.fault = None;
        self.fault_happened = true;
        match fault {
            Step::RequestIsCut(name) => {
                if let Some(exchange) = self.exchanges.get_mut(&name) {
                    exchange.cut();
                }
            }
            Step::RequestIsLost(name) => {
                self.lost = true;
                if let Some(exchange) = self.exchanges.get_mut(&name) {
                    exchange.body_due = false;
                    exchange.server_done |= !exchange.received;
                    exchange.client_done = true;
                }
            }
            Step::LinkBreaks(name) | Step::LinkIsLost(name) => {
                let Some(state) = self.links.get_mut(&name) else { return };
                state.to_server.clear();
                state.to_client.clear();
                if state.requested.take().is_some() {
                    state.server = End::Closed;
                }
                if fault == Step::LinkBreaks(name) {
                    state.send(true, LinkItem::Down(LinkDownCause::Failed));
                    state.send(false, LinkItem::Down(LinkDownCause::Failed));
                } else {
                    self.lost = true;
                }
                state.dead = true;
            }
            _ => {}
        }
    }

    // The client's side.

    /// Performs the client's actions, and processes its events.
    fn perform_client_actions(&mut self) -> Result<(), Violation> {
        while let Some(action) = self.client.poll_action() {
            match action {
                ClientAction::Get { request, .. } | ClientAction::Post { request, .. } => {
                    let exchange = Exchange {
                        request: action,
                        received: false,
                        body_due: false,
                        answer: None,
                        server_done: false,
                        client_done: false,
                        cut: false,
                    };
                    self.exchanges.insert(request, exchange);
                }
                ClientAction::Cancel { request } => {
                    if let Some(exchange) = self.exchanges.get_mut(&request) {
                        exchange.cut();
                        exchange.client_done = true;
                    }
                }
                ClientAction::Connect { link, query, .. } => {
                    let state = LinkState {
                        requested: Some(query),
                        client: End::Waiting,
                        server: End::Waiting,
                        to_server: VecDeque::new(),
                        to_client: VecDeque::new(),
                        dead: false,
                    };
                    self.links.insert(link, state);
                }
                ClientAction::Send { link, frame } => {
                    if let Some(state) = self.links.get_mut(&link).filter(|state| state.client == End::Up) {
                        state.send(true, LinkItem::Message(on_websocket(&frame)));
                    }
                }
                ClientAction::Close { link } => {
                    if let Some(state) = self.links.get_mut(&link)
                        && core::mem::replace(&mut state.client, End::Closed) != End::Closed
                    {
                        state.send(true, LinkItem::Down(LinkDownCause::Closed));
                    }
                }
            }
        }
        while let Some(event) = self.client.next_event() {
            match event {
                ClientEvent::Open => self.client_open = true,
                ClientEvent::Message(message) => self.downstream.receive(&message)?,
                ClientEvent::Upgraded => self.client_upgraded = true,
                ClientEvent::Closed(reason) => self.client_reason = reason,
            }
        }
        Ok(())
    }

    fn link_item_at_client(&mut self, name: u64) {
        let Some(state) = self.links.get_mut(&name) else { return };
        match state.to_client.pop_front() {
            Some(LinkItem::Opened) if state.client == End::Waiting => {
                state.client = End::Up;
                self.client.link_up(self.now, name);
            }
            Some(LinkItem::Message(message)) if state.client == End::Up => {
                self.client.link_message(self.now, name, message);
            }
            Some(LinkItem::Down(cause)) if state.client != End::Closed => {
                state.client = End::Closed;
                self.client.link_down(self.now, name, cause);
            }
            _ => {}
        }
    }

    // The server's side: a driver and its application.

    fn handle_input(&mut self, input: Input) {
        if let Some(machine) = &mut self.machine {
            machine.handle(self.now, input);
        }
    }

    fn request_arrives(&mut self, environment: &Environment<'_, M>, name: u64) {
        let Some(exchange) = self.exchanges.get(&name) else { return };
        let (method, query) = match &exchange.request {
            ClientAction::Get { query, .. } => ("GET", query),
            ClientAction::Post { query, .. } => ("POST", query),
            _ => return,
        };
        let admitted = match environment.server.route(&RequestHead { method, query, origin: None, websocket: false }) {
            Route::Open(handshake) => {
                let config = &environment.plan.config;
                let machine = (environment.accept)(handshake.accept(self.now, Sid::from_random([7; 15])));
                let (limits, max_payload) = (config.limits.clone(), config.max_payload);
                self.machine = Some(if environment.log {
                    Watched::new(machine, limits, max_payload, true)
                } else {
                    Watched::without_history(machine, limits, max_payload)
                });
                Ok(RequestKind::Get)
            }
            Route::Session { sid, session_request } => {
                self.admit(sid, &session_request).map(|()| session_request.kind())
            }
            Route::Reply(response) => Err(response),
        };
        let Some(exchange) = self.exchanges.get_mut(&name) else { return };
        exchange.received = true;
        let request = RequestId(name);
        match admitted {
            Ok(RequestKind::Post) => {
                exchange.body_due = true;
                let content_type = match self.exchanges.get(&name).map(|exchange| &exchange.request) {
                    Some(ClientAction::Post { content_type, .. }) => *content_type,
                    _ => ContentType::Text,
                };
                self.handle_input(Input::Post { request, content_type });
            }
            Ok(_) => self.handle_input(Input::Get { request }),
            Err(response) => {
                exchange.server_done = true;
                exchange.answer = Some(answer(response));
            }
        }
    }

    fn answer_written(&mut self, name: u64) {
        if let Some(exchange) = self.exchanges.get_mut(&name)
            && !core::mem::replace(&mut exchange.server_done, true)
        {
            self.handle_input(Input::Replied { request: RequestId(name) });
        }
    }

    fn admit(&self, sid: Sid, session_request: &SessionRequest) -> Result<(), Response> {
        match &self.machine {
            Some(machine) if machine.get().session().sid() == sid => machine.get().session().admit(session_request),
            _ => Err(session_request.refuse(Refusal::UnknownSid)),
        }
    }

    fn link_request_arrives(&mut self, environment: &Environment<'_, M>, name: u64) {
        let Some(query) = self.links.get_mut(&name).and_then(|state| state.requested.take()) else { return };
        let head = RequestHead { method: "GET", query: &query, origin: None, websocket: true };
        let admitted = match environment.server.route(&head) {
            Route::Session { sid, session_request } => self.admit(sid, &session_request).is_ok(),
            _ => false,
        };
        let Some(state) = self.links.get_mut(&name) else { return };
        if admitted {
            state.server = End::Up;
            state.send(false, LinkItem::Opened);
            self.handle_input(Input::LinkUp { link: LinkId(name), kind: LinkKind::WebSocket });
        } else {
            state.server = End::Closed;
            state.send(false, LinkItem::Down(LinkDownCause::Closed));
        }
    }

    fn link_item_at_server(&mut self, name: u64) {
        let Some(state) = self.links.get_mut(&name) else { return };
        let link = LinkId(name);
        match state.to_server.pop_front() {
            Some(LinkItem::Message(message)) if state.server == End::Up => {
                self.handle_input(Input::LinkMessage { link, message })
            }
            Some(LinkItem::Down(cause)) if state.server == End::Up => {
                state.server = End::Closed;
                self.handle_input(Input::LinkDown { link, cause });
            }
            _ => {}
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Reply { request: RequestId(name), response } => {
                if let Some(exchange) = self.exchanges.get_mut(&name) {
                    exchange.answer = Some(answer(response));
                }
            }
            Transmit::Link { link: LinkId(name), frame } => {
                if let Some(state) = self.links.get_mut(&name).filter(|state| state.server == End::Up) {
                    state.send(false, LinkItem::Message(on_websocket(&frame)));
                }
            }
            Transmit::CloseLink { link: LinkId(name) } => {
                if let Some(state) = self.links.get_mut(&name)
                    && core::mem::replace(&mut state.server, End::Closed) != End::Closed
                {
                    state.send(false, LinkItem::Down(LinkDownCause::Closed));
                }
            }
        }
    }

    fn event(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Open => self.server_open = true,
            Event::Message(message) => self.upstream.receive(&message)?,
            Event::Upgraded(_) => self.server_upgraded = true,
            Event::Closed(reason) => self.reason = Some(reason),
            // Only clients emit the last two.
            Event::Writable | Event::UpgradeFailed(_) | Event::Ping => {}
        }
        Ok(())
    }

    // Checks.

    /// Checks everything that must hold in this state and can be checked without taking a step.
    pub(super) fn check(&self, environment: &Environment<'_, M>) -> Result<(), Violation> {
        let possible =
            |steps: &[Step]| steps.iter().any(|step| matches!(self.clone().take(environment, *step), Ok(true)));
        let mut steps = Vec::new();
        self.urgent_steps(&mut steps);
        if possible(&steps) {
            return Ok(());
        }
        self.check_nothing_lost()?;
        steps.clear();
        self.other_steps(environment.plan, false, &mut steps);
        if possible(&steps) { Ok(()) } else { self.clone().check_end() }
    }

    /// Checks I10 while both ends are open: if nothing is in transit, every message has arrived.
    pub(super) fn check_nothing_lost(&self) -> Result<(), Violation> {
        let alive = self.reason.is_none() && self.closer.is_none() && !self.lost;
        if alive && self.client.is_settled() && !(self.upstream.is_complete() && self.downstream.is_complete()) {
            let detail = format!("lost while the session is open: {:?} or {:?}", self.upstream, self.downstream);
            return Err(Violation::new("I10", detail));
        }
        Ok(())
    }

    /// Checks the end of a path: both ends are closed, every request was answered, and an end that closed gracefully has lost nothing.
    pub(super) fn check_end(mut self) -> Result<(), Violation> {
        if (self.client_open || C::HAS_OPEN_TIMEOUT) && !self.client.is_closed() {
            return Err(Violation::new("I5", "no step is possible, and the client is not closed".into()));
        }
        let now = self.now;
        if let Some(machine) = &mut self.machine {
            if !machine.ended() {
                return Err(Violation::new("I5", "no step is possible, and the session has not ended".into()));
            }
            machine.check_settled()?;
            if machine.requests_waiting() > 0 {
                return Err(Violation::new("I4", format!("{} requests are still pending", machine.requests_waiting())));
            }
            machine.check_after_end(now)?;
        }
        self.client.check_end(now)?;
        let fail = |numbered: &Numbered| {
            Err(Violation::new("I10", format!("lost by closing gracefully: {numbered:?}, {:?}", self.client_reason)))
        };
        match self.closer {
            _ if self.fault_happened => Ok(()),
            // It closes its link while its POST is still on its way.
            Some(Closer::Client) if self.upgrades_during_post => Ok(()),
            Some(Closer::Client) if self.client_reason == "forced close" && !self.upstream.is_complete() => {
                fail(&self.upstream)
            }
            Some(Closer::Server) if self.client_reason == "transport close" && !self.downstream.is_complete() => {
                fail(&self.downstream)
            }
            _ => Ok(()),
        }
    }
}

/// The answer as the client gets it.
fn answer(response: Response) -> (u16, ContentType, Bytes) {
    let content_type = response.headers().iter().find(|(name, _)| *name == "content-type");
    let content_type = ContentType::from_response_header(content_type.map(|(_, value)| value.as_bytes()));
    (response.status(), content_type, response.into_body())
}

fn is_post(exchange: &Exchange) -> bool {
    matches!(exchange.request, ClientAction::Post { .. })
}

impl Exchange {
    /// The connection is closed.
    fn cut(&mut self) {
        self.cut = true;
        self.body_due = false;
        // If the head never arrived, the server is not notified.
        self.server_done |= !self.received;
    }
}

impl LinkState {
    fn send(&mut self, to_server: bool, item: LinkItem) {
        if self.dead {
            return;
        }
        if to_server {
            self.to_server.push_back(item);
        } else {
            self.to_client.push_back(item);
        }
    }
}

/// A packet as a WebSocket carries it.
fn on_websocket(frame: &Frame) -> Message {
    let packet = Bytes::from([frame.head(), frame.data()].concat());
    let text = if frame.is_binary() { None } else { Text::try_from(packet.clone()).ok() };
    text.map_or(Message::Binary(packet), Message::Text)
}
