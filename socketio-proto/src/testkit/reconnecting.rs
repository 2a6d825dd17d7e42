//! Simulates both ends: clients that lose their connections and open them again, and a server whose process restarts, on a network that
//! delays, splits, cuts and loses. The applications on both sides emit, ack, leave, join, close and open.
//!
//! What is checked: events arrive in order and once while a session lives, and with recovery also across sessions (I13); what a client emits
//! arrives at most once, and with retries at least once (I14); attempts to connect again are made exactly when the formula says so (I14);
//! every ack has one outcome (I12); nothing is left after the end.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use engineio_proto::client::Input;
use engineio_proto::server::Transport;
use engineio_proto::testkit::{NetworkSettings, Random, Violation};
use engineio_proto::{Arc, Instant, LinkId, LinkKind, RequestId, Revision, SendError, Sid, Transports};

use super::network::{Arrival, Id, Network, Part};
use super::numbered::{self, Numbered};
use super::process::Process;
use crate::client::{self, Client, ConnectError, SocketOptions};
use crate::error::EmitError;
use crate::event::{AckError, AckId, AckToken, DisconnectReason, Event, Pending, SocketHandle};
use crate::id::SocketId;
use crate::offset::{Offset, PrivateId};
use crate::packet::Outgoing;
use crate::parser::{Encoder, Json, Parser as _};
use crate::payload::Payload;
use crate::server::{Claim, Namespace, Operation, RecoveryConfig, Target};

/// The namespaces of each client. The first one has recovery.
const NAMESPACES: [&str; 2] = ["/", "/custom"];

/// How long a world may need, once nothing disturbs it, until everything has arrived.
const PATIENCE: Duration = Duration::from_secs(60);

/// The parameters of a simulation. A seed determines the details.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "tests build it with a literal")]
pub struct Reconnections {
    /// Number of clients.
    pub clients: usize,
    /// Settings of the server's sessions.
    pub engine: engineio_proto::Config,
    /// Settings of the server's connections.
    pub server: crate::Config,
    /// Settings of the clients' sessions. The seed chooses the transports and the revision.
    pub client_engine: engineio_proto::client::Config,
    /// Settings of the clients.
    pub client: client::Config,
    /// Whether the server keeps what clients of `/` miss.
    pub recovery: Option<RecoveryConfig>,
    /// The retries of the clients' sockets.
    pub retries: Option<client::Retries>,
    /// Delays and faults of the network. Only delays, lost requests and lost links are used.
    pub network: NetworkSettings,
    /// Whether connections are cut, and the server's process restarts.
    pub cuts: bool,
    /// Whether the applications leave namespaces, refuse, close, and turn reconnection off and on.
    pub restless: bool,
    /// How long all this lasts. After that, everybody connects, and what must arrive does.
    pub span: Duration,
}

/// What happened in a simulation.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ReconnectionReport {
    /// Sockets that were connected.
    pub connected: u64,
    /// Of these, sockets that were recovered.
    pub recovered: u64,
    /// Attempts to connect again, each at its time.
    pub attempts: u64,
    /// Events that clients emitted.
    pub emitted_up: u64,
    /// Events that arrived at the server for the first time.
    pub received_up: u64,
    /// Events that arrived at the server again, with retries.
    pub repeated_up: u64,
    /// Events that the server emitted, once for each recipient.
    pub emitted_down: u64,
    /// Events that arrived at clients.
    pub received_down: u64,
    /// Outcomes of the clients' acks that were answers.
    pub acked: u64,
    /// Outcomes of the clients' acks that were errors.
    pub failed_acks: u64,
    /// A digest of the run. It is the same for every run with the same seed.
    pub digest: u64,
}

/// A socket as the server knows it, connected or not.
#[derive(Debug)]
struct ServerSocket {
    client: usize,
    namespace: usize,
    id: SocketId,
    pid: Option<PrivateId>,
    /// Where it is connected: its session, its handle, and its key in the namespace.
    home: Option<(Sid, SocketHandle, u32)>,
    /// The numbers of the events that were emitted to it.
    meant: Vec<u64>,
    /// The last number that it has received in this session.
    last_up: Option<u64>,
    awaited: BTreeMap<AckId, u64>,
}

/// A socket as its client knows it.
#[derive(Debug)]
struct ClientSocket {
    handle: SocketHandle,
    connected: bool,
    /// The index of the server's socket, and how many of its events were received.
    socket: Option<usize>,
    received: usize,
    /// Events that were received while it was not connected.
    early: Vec<u64>,
    /// The number of the next event.
    next: u64,
    /// The numbers that arrived at the server.
    arrived: BTreeSet<u64>,
    awaited: BTreeMap<AckId, u64>,
    tokens: Vec<(AckToken, u64)>,
}

/// The delays of a client, computed by other code than the client's.
#[derive(Debug)]
struct Oracle {
    random: Random,
    attempts: u32,
    /// When the next attempt is made.
    due: Option<Instant>,
    reconnection: bool,
}

/// A client and its application.
struct Side {
    client: Client,
    sockets: Vec<ClientSocket>,
    unread: VecDeque<(Id, Part)>,
    oracle: Oracle,
}

struct World<'a> {
    scenario: &'a Reconnections,
    network: Network,
    process: Process,
    sides: Vec<Side>,
    namespace: Namespace<u32>,
    sockets: Vec<ServerSocket>,
    keys: u32,
    numbers: u64,
    encoder: Encoder,
    /// Whether the time of disturbances is over.
    calm: bool,
    report: ReconnectionReport,
    log: Option<String>,
}

/// Runs a simulation with this seed. With `log`, a violation contains what happened before.
///
/// # Errors
/// The violation that was found.
pub fn run_with_reconnections(seed: u64, scenario: &Reconnections, log: bool) -> Result<ReconnectionReport, Violation> {
    let mut world = World::new(seed, scenario, log);
    match world.run() {
        Ok(()) => Ok(world.report),
        Err(violation) => match world.log {
            Some(log) => Err(Violation::new(violation.invariant, format!("{log}{}", violation.detail))),
            None => Err(violation),
        },
    }
}

fn side(seed: u64, scenario: &Reconnections, now: Instant) -> Side {
    let mut random = Random::new(seed);
    let mut engine = scenario.client_engine.clone();
    let (websocket, webtransport) = (Transport::Link(LinkKind::WebSocket), Transport::Link(LinkKind::WebTransport));
    engine.transports = match random.below(5) {
        0 => alloc::vec![Transport::Polling],
        1 => alloc::vec![websocket],
        2 => alloc::vec![webtransport],
        3 => alloc::vec![Transport::Polling, webtransport],
        _ => alloc::vec![Transport::Polling, websocket],
    };
    engine.remember_upgrade = random.chance(200);
    // An old server lets a client join `/`, and emits to it, while no socket of the client is there.
    if scenario.recovery.is_none() && !scenario.restless && random.chance(150) {
        engine.revision = Revision::V3;
        engine.transports.retain(|transport| *transport != webtransport);
        if engine.transports.is_empty() {
            engine.transports.push(websocket);
        }
    }
    let mut client = Client::new(Arc::new(engine), Json, Arc::new(scenario.client.clone()), seed);
    let options = SocketOptions { retries: scenario.retries, ..SocketOptions::default() };
    let sockets = NAMESPACES.iter().filter_map(|namespace| client.socket(namespace, options.clone()).ok());
    let socket = |handle| ClientSocket {
        handle,
        connected: false,
        socket: None,
        received: 0,
        early: Vec::new(),
        next: 0,
        arrived: BTreeSet::new(),
        awaited: BTreeMap::new(),
        tokens: Vec::new(),
    };
    let sockets: Vec<ClientSocket> = sockets.map(socket).collect();
    for socket in &sockets {
        client.connect(now, socket.handle);
    }
    let reconnection = scenario.client.reconnection;
    let oracle = Oracle { random: Random::new(seed), attempts: 0, due: None, reconnection };
    Side { client, sockets, unread: VecDeque::new(), oracle }
}

impl Oracle {
    /// The formula of socket.io-client `lib/contrib/backo2.ts`.
    fn draw(&mut self, now: Instant, config: &client::Config) {
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).map_or(f64::MAX, f64::from);
        // The upper 53 bits, as a part of one.
        let bits = self.random.next_u64() >> 11;
        let random = bits as f64 / 9_007_199_254_740_992.0;
        let mut delay = millis(config.reconnection_delay);
        for _ in 0..self.attempts {
            delay *= 2.0;
        }
        let factor = Some(config.randomization_factor).filter(|factor| (0.0..=1.0).contains(factor)).unwrap_or(0.0);
        let change = (random * factor * delay) as u64 as f64;
        delay = if (random * 10.0) as u8 & 1 == 0 { delay - change } else { delay + change };
        let delay = delay.min(millis(config.reconnection_delay_max)) as u64;
        self.attempts = self.attempts.saturating_add(1);
        self.due = Some(now + Duration::from_millis(delay));
    }
}

fn secret<const N: usize>(kind: u8, number: u64) -> [u8; N] {
    let mut secret = [kind; N];
    for (byte, part) in secret.iter_mut().zip(number.to_le_bytes()) {
        *byte = part;
    }
    secret
}

impl<'a> World<'a> {
    fn new(seed: u64, scenario: &'a Reconnections, log: bool) -> Self {
        let network = Network::new(seed, scenario.network.clone());
        let mut engine = scenario.engine.clone();
        engine.transports = Transports { polling: true, websocket: true, webtransport: true };
        engine.allow_eio3 = true;
        let side = |index: u64| side(seed.wrapping_mul(31).wrapping_add(index), scenario, network.now());
        let namespace = || scenario.recovery.clone().map_or_else(Namespace::new, Namespace::with_recovery);
        Self {
            scenario,
            process: Process::new(engine, scenario.server.clone()),
            sides: (0_u64..).take(scenario.clients).map(side).collect(),
            network,
            namespace: namespace(),
            sockets: Vec::new(),
            keys: 0,
            numbers: 0,
            encoder: Encoder::new(),
            calm: false,
            report: ReconnectionReport::default(),
            log: log.then(String::new),
        }
    }

    fn now(&self) -> Instant {
        self.network.now()
    }

    fn random(&mut self) -> &mut Random {
        self.network.net.random()
    }

    fn note(&mut self, note: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(log) = &mut self.log {
            // Writing to a string cannot fail.
            let _ = writeln!(log, "{now:?} {}", note());
        }
    }

    fn digest(&mut self, value: u64) {
        self.report.digest = (self.report.digest ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
    }

    fn run(&mut self) -> Result<(), Violation> {
        let begin = self.now();
        self.network.net.send(Duration::ZERO, Arrival::Action);
        self.step_until(begin + self.scenario.span)?;
        self.calm_down();
        let mut patience = 0;
        while let Err(missing) = self.judge() {
            let now = self.now();
            if now > begin + self.scenario.span + PATIENCE {
                return Err(missing);
            }
            patience += 1;
            self.step_until(now + Duration::from_millis(200))?;
            if patience % 20 == 0 {
                self.reconnect_all();
            }
        }
        self.end()
    }

    /// Steps until this time.
    fn step_until(&mut self, end: Instant) -> Result<(), Violation> {
        loop {
            self.settle()?;
            let clients = self.sides.iter().filter_map(|side| side.client.poll_timeout());
            let deadlines = clients.chain(self.process.poll_timeout()).chain(self.namespace.poll_timeout());
            let next = deadlines.min();
            let arrival = self.network.net.next_arrival();
            let Some(at) = next.into_iter().chain(arrival).min().filter(|&at| at <= end) else {
                self.network.net.advance(end);
                return Ok(());
            };
            if arrival == Some(at) {
                if let Some(arrival) = self.network.net.pop() {
                    self.arrive(arrival)?;
                }
            } else {
                self.network.net.advance(at);
                self.handle_timeouts()?;
            }
        }
    }

    fn handle_timeouts(&mut self) -> Result<(), Violation> {
        let now = self.now();
        self.process.handle_timeout(&mut self.network);
        self.namespace.handle_timeout(now);
        for at in 0..self.sides.len() {
            let Some(side) = self.sides.get_mut(at) else { break };
            side.client.handle_timeout(now);
            if let Some(next) = side.client.poll_timeout()
                && next <= now
            {
                return Err(Violation::new("I2", format!("client {at}: {next:?} at {now:?}")));
            }
        }
        Ok(())
    }

    fn arrive(&mut self, arrival: Arrival) -> Result<(), Violation> {
        match arrival {
            Arrival::Action => {
                if !self.calm {
                    self.act()?;
                    let delay = self.random().duration(Duration::ZERO, Duration::from_millis(30));
                    self.network.net.send(delay, Arrival::Action);
                }
            }
            Arrival::CutRequest(id) => self.network.cut_request(id),
            Arrival::CutLink(id) => self.network.cut_link(id, true),
            Arrival::CutClient(at) if !self.calm => self.network.cut_client(at, true),
            Arrival::FailedAtClient((at, request)) => {
                self.input(at, Input::Failed { request: RequestId(request) });
            }
            Arrival::Response((at, request), response) => {
                let content_type = Network::content_type(&response);
                let (status, body) = (response.status(), response.into_body());
                if self.network.exchanges.get(&(at, request)).is_some_and(|exchange| !exchange.cut) {
                    self.input(at, Input::Response { request: RequestId(request), status, content_type, body });
                }
            }
            Arrival::Up((at, link)) => {
                if self.network.links.get(&(at, link)).is_some_and(|link| !link.closed_at_client) {
                    self.input(at, Input::LinkUp { link: LinkId(link) });
                }
            }
            Arrival::ToClient(id, part) => {
                if self.network.is_taken_by_client(id, &part)
                    && let Some(side) = self.sides.get_mut(id.0)
                {
                    side.unread.push_back((id, part));
                }
            }
            other => self.process.arrive(&mut self.network, other),
        }
        Ok(())
    }

    fn input(&mut self, at: usize, input: Input) {
        let now = self.now();
        if let Some(side) = self.sides.get_mut(at) {
            side.client.handle(now, input);
        }
    }

    /// Lets everybody send, read and handle events, until nothing is left.
    fn settle(&mut self) -> Result<(), Violation> {
        loop {
            let mut moved = false;
            self.process.settle(&mut self.network);
            while let Some((sid, client, event)) = self.process.poll_event() {
                moved = true;
                self.on_server(sid, client, event)?;
            }
            for at in 0..self.sides.len() {
                moved |= self.settle_client(at)?;
            }
            if !moved {
                return self.check();
            }
        }
    }

    fn settle_client(&mut self, at: usize) -> Result<bool, Violation> {
        let now = self.now();
        let mut moved = false;
        loop {
            let Some(side) = self.sides.get_mut(at) else { return Ok(moved) };
            if let Some(event) = side.client.poll_event() {
                self.on_client(at, event)?;
            } else if let Some(transmit) = side.client.poll_transmit() {
                self.network.perform(at, transmit);
            } else if side.client.wants_input()
                && let Some(((_, link), part)) = side.unread.pop_front()
            {
                let link = LinkId(link);
                side.client.handle(
                    now,
                    match part {
                        Part::Message(message) => Input::LinkMessage { link, message },
                        Part::Bytes(chunk) => Input::LinkBytes { link, chunk },
                        Part::Down(cause) => Input::LinkDown { link, cause },
                    },
                );
            } else {
                return Ok(moved);
            }
            moved = true;
        }
    }

    /// Checks what holds at any time.
    fn check(&self) -> Result<(), Violation> {
        let now = self.now();
        for (at, side) in self.sides.iter().enumerate() {
            if let Some(due) = side.oracle.due
                && due < now
            {
                return Err(Violation::new("I14", format!("client {at}: no attempt at {due:?}")));
            }
            if side.oracle.due.is_some() && !side.client.is_reconnecting() {
                return Err(Violation::new("I14", format!("client {at} does not connect again")));
            }
            let limit = self.scenario.client_engine.limits.max_outbound;
            if side.client.buffered_bytes() > limit.saturating_add(4000) {
                return Err(Violation::new("I9", format!("client {at} has queued {}", side.client.buffered_bytes())));
            }
        }
        Ok(())
    }

    // The application of a client.

    fn on_client(&mut self, at: usize, event: client::Event) -> Result<(), Violation> {
        self.note(|| format!("client {at}: {event:?}"));
        let now = self.now();
        let wrong = |detail: String| Violation::new("client", format!("client {at}: {detail}"));
        let scenario = self.scenario;
        let Some(side) = self.sides.get_mut(at) else { return Ok(()) };
        let oracle = &mut side.oracle;
        match event {
            client::Event::Opened => {
                (oracle.attempts, oracle.due) = (0, None);
            }
            client::Event::Closed(reason) => {
                oracle.attempts = 0;
                if oracle.reconnection && reason.is_followed_by_reconnection() {
                    oracle.draw(now, &scenario.client);
                }
            }
            client::Event::OpenFailed(_) => {
                if oracle.reconnection {
                    oracle.draw(now, &scenario.client);
                } else {
                    oracle.attempts = 0;
                }
            }
            client::Event::ReconnectAttempt(number) => {
                let due = oracle.due.take();
                if number != oracle.attempts || due != Some(now) {
                    return Err(Violation::new("I14", format!("client {at}: attempt {number}, due at {due:?}")));
                }
                self.report.attempts = self.report.attempts.saturating_add(1);
                self.digest(now.as_micros());
            }
            client::Event::Connected { socket, id, recovered } => self.connected(at, socket, &id, recovered)?,
            client::Event::Received { socket, payload, ack } => self.received_down(at, socket, &payload, ack)?,
            client::Event::Disconnected { socket: handle, .. } => {
                // Only what was not sent still has no outcome.
                let kept = side.client.send_buffer_len(handle) + side.client.retry_queue_len(handle);
                let socket = self.client_socket(at, handle)?;
                if socket.awaited.len() > kept {
                    return Err(Violation::new("I12", format!("client {at}: {:?}", socket.awaited)));
                }
                if !core::mem::replace(&mut socket.connected, false) {
                    return Err(wrong("disconnected, and was not connected".into()));
                }
            }
            client::Event::ConnectError { socket, error } => {
                let active = side.client.is_active(socket);
                let inactive = ConnectError::Closed(DisconnectReason::IoServerDisconnect);
                if active == (matches!(error, ConnectError::Refused(_)) || error == inactive) && self.calm {
                    return Err(wrong(format!("active: {active}, {error}")));
                }
            }
            client::Event::Acked { socket, id, outcome } => self.acked(at, socket, id, outcome)?,
            _ => {}
        }
        Ok(())
    }

    fn client_socket(&mut self, at: usize, handle: SocketHandle) -> Result<&mut ClientSocket, Violation> {
        let socket =
            self.sides.get_mut(at).and_then(|side| side.sockets.iter_mut().find(|socket| socket.handle == handle));
        socket.ok_or_else(|| Violation::new("client", format!("an event for {handle:?}")))
    }

    fn connected(&mut self, at: usize, handle: SocketHandle, id: &SocketId, recovered: bool) -> Result<(), Violation> {
        let known = self.sockets.iter().rposition(|socket| socket.id == *id && socket.client == at);
        let wrong = |detail: &str| Violation::new("I13", format!("client {at}, {handle:?}, {id:?}: {detail}"));
        let Some(index) = known else { return Err(wrong("the server does not know this id")) };
        let socket = self.client_socket(at, handle)?;
        socket.connected = true;
        if recovered != (socket.socket == Some(index)) {
            return Err(wrong(&format!("recovered: {recovered}, was {:?}", socket.socket)));
        }
        if !recovered {
            if !socket.early.is_empty() {
                return Err(wrong(&format!("received {:?} as another", socket.early)));
            }
            (socket.socket, socket.received) = (Some(index), 0);
        }
        let early = core::mem::take(&mut socket.early);
        self.report.connected = self.report.connected.saturating_add(1);
        self.report.recovered = self.report.recovered.saturating_add(u64::from(recovered));
        early.into_iter().try_for_each(|number| self.take_down(at, handle, number))
    }

    fn received_down(
        &mut self,
        at: usize,
        handle: SocketHandle,
        payload: &Payload,
        ack: Option<AckToken>,
    ) -> Result<(), Violation> {
        let number = numbered::leading_number(payload)?;
        if let Some(token) = ack {
            if self.random().chance(700) {
                self.answer_down(at, token, number);
            } else if self.random().chance(500) {
                self.client_socket(at, handle)?.tokens.push((token, number));
            }
        }
        let socket = self.client_socket(at, handle)?;
        if !socket.connected {
            socket.early.push(number);
            return Ok(());
        }
        self.take_down(at, handle, number)
    }

    /// An event that the server has sent must be the next one.
    fn take_down(&mut self, at: usize, handle: SocketHandle, number: u64) -> Result<(), Violation> {
        self.digest(number);
        let socket = self.client_socket(at, handle)?;
        let (index, received) = (socket.socket, socket.received);
        socket.received = received.saturating_add(1);
        let meant = index.and_then(|index| self.sockets.get(index)).and_then(|socket| socket.meant.get(received));
        if meant != Some(&number) {
            return Err(Violation::new("I13", format!("client {at}, {handle:?}: received {number}, not {meant:?}")));
        }
        self.report.received_down = self.report.received_down.saturating_add(1);
        Ok(())
    }

    fn answer_down(&mut self, at: usize, token: AckToken, number: u64) {
        if let Some(side) = self.sides.get_mut(at) {
            // The session may have ended, or its queue may be full.
            let _ = side.client.ack(&mut self.encoder, token, &number);
        }
    }

    fn acked(
        &mut self,
        at: usize,
        handle: SocketHandle,
        id: AckId,
        outcome: Result<Payload, AckError>,
    ) -> Result<(), Violation> {
        let expected = self.client_socket(at, handle)?.awaited.remove(&id);
        let wrong = || Violation::new("I12", format!("client {at}, {handle:?}: {id:?} of {expected:?}: {outcome:?}"));
        match &outcome {
            Ok(payload) if payload.get::<u64>(0).ok() == expected && expected.is_some() => {
                self.report.acked = self.report.acked.saturating_add(1);
            }
            Err(_) if expected.is_some() => self.report.failed_acks = self.report.failed_acks.saturating_add(1),
            _ => return Err(wrong()),
        }
        Ok(())
    }

    // The application of the server.

    fn on_server(&mut self, sid: Sid, client: usize, event: Event) -> Result<(), Violation> {
        self.note(|| format!("server, session of client {client}: {event:?}"));
        match event {
            Event::ConnectRequested(pending) => self.requested(sid, client, pending)?,
            Event::Received { socket, payload, ack } => self.received_up(sid, socket, &payload, ack)?,
            Event::Acked { socket, id, outcome } => {
                // A socket that is gone has no table any more: its acks were counted when it left.
                let Some(index) = self.find(sid, socket) else { return Ok(()) };
                let expected = self.sockets.get_mut(index).and_then(|socket| socket.awaited.remove(&id));
                let right = match &outcome {
                    Ok(payload) => payload.get::<u64>(0).ok() == expected,
                    Err(_) => true,
                };
                if expected.is_none() || !right {
                    return Err(Violation::new("I12", format!("server: {id:?} of {expected:?}: {outcome:?}")));
                }
            }
            Event::Disconnected { socket, reason } => self.gone(sid, socket, reason)?,
            _ => {}
        }
        Ok(())
    }

    fn find(&self, sid: Sid, handle: SocketHandle) -> Option<usize> {
        let is_at_home = |socket: &ServerSocket| socket.home.is_some_and(|(home, at, _)| home == sid && at == handle);
        self.sockets.iter().rposition(is_at_home)
    }

    fn gone(&mut self, sid: Sid, handle: SocketHandle, reason: DisconnectReason) -> Result<(), Violation> {
        let index = self.find(sid, handle);
        let now = self.now();
        let Some(socket) = index.and_then(|index| self.sockets.get_mut(index)) else {
            return Err(Violation::new("server", format!("{handle:?} has left, and had not joined")));
        };
        if !socket.awaited.is_empty() {
            return Err(Violation::new("I12", format!("server: {:?} have no outcome", socket.awaited)));
        }
        if let Some((_, _, key)) = socket.home.take()
            && socket.pid.is_some()
        {
            self.namespace.suspend(now, key, &reason, 0);
        }
        Ok(())
    }

    fn requested(&mut self, sid: Sid, client: usize, pending: Pending) -> Result<(), Violation> {
        let now = self.now();
        let namespace = NAMESPACES.iter().position(|name| **pending.namespace() == **name);
        let refuse = self.scenario.restless && !self.calm && self.random().chance(60);
        let Some(peer) = self.process.peers.get_mut(&sid) else { return Ok(()) };
        let Some(namespace) = namespace else {
            peer.connection.refuse_unknown(now, pending);
            return Ok(());
        };
        if refuse {
            let _ = peer.connection.refuse(now, pending, "not now", Some("data"));
            return Ok(());
        }
        self.keys = self.keys.saturating_add(1);
        let (key, handle) = (self.keys, pending.socket());
        if namespace != 0 || self.scenario.recovery.is_none() {
            let id = peer.connection.socket_id(&pending, secret(1, key.into()));
            if peer.connection.accept(now, pending, &id).is_ok() {
                self.joined(ServerSocket {
                    client,
                    namespace,
                    id,
                    pid: None,
                    home: Some((sid, handle, key)),
                    meant: Vec::new(),
                    last_up: None,
                    awaited: BTreeMap::new(),
                });
            }
            return Ok(());
        }
        let used = peer.connection.buffered_bytes().saturating_add(200);
        let capacity = self.scenario.engine.limits.max_outbound.saturating_sub(used);
        let restored = Claim::of(&pending).and_then(|claim| self.namespace.restore(now, key, &claim, capacity));
        let (id, pid, missed) = match restored {
            Some(restored) => (restored.id, restored.pid, restored.missed),
            None => {
                let pid = PrivateId::from_random(secret(2, key.into()));
                (SocketId::from_random(secret(1, key.into())), pid, Vec::new())
            }
        };
        let known = self.sockets.iter().rposition(|socket| socket.pid == Some(pid));
        if peer.connection.accept_recoverable(now, pending, &id, &pid, &missed).is_err() {
            // A restored socket can be claimed again.
            self.namespace.suspend(now, key, &DisconnectReason::ForcedServerClose, 0);
            return Ok(());
        }
        if !self.namespace.contains(key) {
            self.namespace.add_recoverable(key, &id, pid);
        }
        if self.scenario.cuts && !missed.is_empty() && self.random().chance(300) {
            // The client may have received what it has missed, and not that it is connected.
            self.network.cut_client_soon(client);
        }
        let home = Some((sid, handle, key));
        match known.and_then(|index| self.sockets.get_mut(index)) {
            Some(socket) => (socket.home, socket.last_up) = (home, None),
            None => self.joined(ServerSocket {
                client,
                namespace,
                id,
                pid: Some(pid),
                home,
                meant: Vec::new(),
                last_up: None,
                awaited: BTreeMap::new(),
            }),
        }
        Ok(())
    }

    fn joined(&mut self, socket: ServerSocket) {
        self.sockets.push(socket);
    }

    fn received_up(
        &mut self,
        sid: Sid,
        handle: SocketHandle,
        payload: &Payload,
        ack: Option<AckToken>,
    ) -> Result<(), Violation> {
        let number = numbered::leading_number(payload)?;
        let Some(index) = self.find(sid, handle) else {
            return Err(Violation::new("server", format!("an event for {handle:?}")));
        };
        let with_retries = self.scenario.retries.is_some();
        let Some(socket) = self.sockets.get_mut(index) else { return Ok(()) };
        let (at, namespace) = (socket.client, socket.namespace);
        let last = socket.last_up.replace(number);
        let wrong = |detail: String| Violation::new("I14", format!("client {at}, {namespace}: {detail}"));
        if !with_retries && last.is_some_and(|last| last >= number) {
            return Err(wrong(format!("{number} after {last:?}")));
        }
        let Some(sender) = self.sides.get_mut(at).and_then(|side| side.sockets.get_mut(namespace)) else {
            return Ok(());
        };
        let highest = sender.arrived.last().copied();
        let is_new = sender.arrived.insert(number);
        if with_retries {
            // The next one is sent after the acknowledgement.
            if is_new && highest.map_or(0, |highest| highest.saturating_add(1)) != number {
                return Err(wrong(format!("{number} before those after {highest:?}")));
            }
        } else if !is_new {
            return Err(wrong(format!("{number} again")));
        }
        let count = if is_new { &mut self.report.received_up } else { &mut self.report.repeated_up };
        *count = count.saturating_add(1);
        self.digest(number);
        if let Some(token) = ack {
            let answers = self.calm || self.random().chance(850);
            if answers && let Some(peer) = self.process.peers.get_mut(&sid) {
                // The queue may be full.
                let _ = peer.connection.ack(&mut self.encoder, token, &number);
            }
        }
        Ok(())
    }

    // What the applications do.

    fn act(&mut self) -> Result<(), Violation> {
        let clients = self.sides.len();
        let at = self.random().index(clients);
        let namespace = self.random().index(NAMESPACES.len());
        match self.random().below(100) {
            0..30 => self.emit_up(at, namespace),
            30..60 => self.emit_down(at, namespace),
            60..66 => self.emit_to_all(),
            66..70 => self.answer_late(at, namespace),
            70..74 if self.scenario.cuts => self.cut(at),
            74..86 if self.scenario.restless => self.be_restless(at, namespace),
            86..89 if self.scenario.restless => self.end_session(at),
            _ => {}
        }
        Ok(())
    }

    fn emit_up(&mut self, at: usize, namespace: usize) {
        let now = self.now();
        let (way, timeout) =
            (self.random().below(10), self.random().duration(Duration::from_millis(1), Duration::from_secs(1)));
        // An event whose ack times out before it was sent is not sent.
        let with_timeout = (self.scenario.cuts || self.scenario.restless) && self.random().chance(500);
        let only_reliable = self.scenario.retries.is_some() || !self.scenario.restless;
        let Some(side) = self.sides.get_mut(at) else { return };
        let Some(socket) = side.sockets.get_mut(namespace) else { return };
        let (number, handle) = (socket.next, socket.handle);
        let content = Numbered::new(number);
        let emitted = match way {
            0..5 => side.client.emit(now, &mut self.encoder, handle, "n", &content).is_ok(),
            5..9 => {
                let timeout = with_timeout.then_some(timeout);
                match side.client.emit_with_ack(now, &mut self.encoder, handle, "n", &content, timeout) {
                    Ok(id) => socket.awaited.insert(id, number).is_none(),
                    Err(_) => false,
                }
            }
            _ if only_reliable => false,
            _ => side.client.emit_volatile(now, &mut self.encoder, handle, "n", &content, true) == Ok(true),
        };
        if emitted {
            socket.next = number.saturating_add(1);
            self.report.emitted_up = self.report.emitted_up.saturating_add(1);
        }
    }

    /// The connected server's socket of a client.
    fn target(&self, at: usize, namespace: usize) -> Option<(usize, Sid, SocketHandle, u32)> {
        let is_target =
            |socket: &ServerSocket| socket.client == at && socket.namespace == namespace && socket.home.is_some();
        let index = self.sockets.iter().rposition(is_target)?;
        let (sid, handle, key) = self.sockets.get(index)?.home?;
        Some((index, sid, handle, key))
    }

    fn emit_down(&mut self, at: usize, namespace: usize) {
        let Some((index, sid, handle, key)) = self.target(at, namespace) else { return };
        let (now, number) = (self.now(), self.numbers);
        let with_ack = self.random().chance(300);
        let timeout = self.random().chance(500).then_some(Duration::from_millis(500));
        self.numbers = number.saturating_add(1);
        let Some(socket) = self.sockets.get(index) else { return };
        if socket.pid.is_some() {
            // With acks, events cannot be recovered.
            return self.emit_with_offset(number, &Target::socket(key));
        }
        let Some(peer) = self.process.peers.get_mut(&sid) else { return };
        let content = Numbered::new(number);
        let sent = if with_ack {
            let id = peer.connection.emit_with_ack(now, &mut self.encoder, handle, "n", &content, timeout);
            id.map(Some)
        } else {
            peer.connection.emit(&mut self.encoder, handle, "n", &content).map(|()| None)
        };
        if let (Ok(id), Some(socket)) = (sent, self.sockets.get_mut(index)) {
            socket.meant.push(number);
            if let Some(id) = id {
                socket.awaited.insert(id, number);
            }
            self.report.emitted_down = self.report.emitted_down.saturating_add(1);
        }
    }

    fn emit_to_all(&mut self) {
        if self.scenario.recovery.is_some() {
            let number = self.numbers;
            self.numbers = number.saturating_add(1);
            self.emit_with_offset(number, &Target::everybody());
        }
    }

    /// Emits to sockets of `/` that are connected or may return.
    fn emit_with_offset(&mut self, number: u64, target: &Target<u32>) {
        let now = self.now();
        let offset = Offset::from_random(secret(3, number));
        let content = Numbered::new(number);
        let packet = Outgoing::event("/", None, "n", &content).with_offset(offset);
        let Ok(encoded) = Json.encode(&packet, &mut self.encoder) else { return };
        let operation = Operation::EmitWithOffset { target, now, offset, encoded: &encoded };
        let recipients: BTreeSet<u32> = self.namespace.apply(operation).collect();
        for socket in self.sockets.iter_mut().filter(|socket| socket.pid.is_some()) {
            let key = socket.home.map(|(_, _, key)| key);
            if target.only.is_none() || target.only == key {
                socket.meant.push(number);
                self.report.emitted_down = self.report.emitted_down.saturating_add(1);
            }
            let Some((sid, handle, _)) = socket.home.filter(|(_, _, key)| recipients.contains(key)) else { continue };
            let Some(peer) = self.process.peers.get_mut(&sid) else { continue };
            if peer.connection.send(handle, &encoded) == Err(EmitError::Send(SendError::Full)) {
                // The client would miss the event; now it can return for it.
                peer.connection.discard(now);
            }
        }
    }

    fn answer_late(&mut self, at: usize, namespace: usize) {
        let socket = self.sides.get_mut(at).and_then(|side| side.sockets.get_mut(namespace));
        if let Some((token, number)) = socket.and_then(|socket| socket.tokens.pop()) {
            self.answer_down(at, token, number);
        }
    }

    fn cut(&mut self, at: usize) {
        let (way, away) = (self.random().below(12), self.random().duration(Duration::ZERO, Duration::from_millis(800)));
        self.note(|| format!("cut {at} in way {way}"));
        let until = self.now() + away;
        match way {
            0..5 => self.network.cut_client(at, true),
            5..7 => self.network.cut_client(at, false),
            7..10 => {
                self.network.cut_client(at, false);
                self.network.unreachable.insert(at, until);
            }
            _ => {
                if way == 11 {
                    let now = self.now();
                    for peer in self.process.peers.values_mut() {
                        peer.connection.shut_down(now);
                    }
                    self.process.settle(&mut self.network);
                }
                self.restart(until);
            }
        }
    }

    /// The server's process ends, with all that it knows, and starts again later.
    fn restart(&mut self, starts_at: Instant) {
        self.process.restart(starts_at);
        self.network.cut_server(self.sides.len());
        let recovery = self.scenario.recovery.clone();
        self.namespace = recovery.map_or_else(Namespace::new, Namespace::with_recovery);
        for socket in &mut self.sockets {
            socket.home = None;
            socket.awaited = BTreeMap::new();
            socket.pid = None;
        }
    }

    fn be_restless(&mut self, at: usize, namespace: usize) {
        let (way, now) = (self.random().below(12), self.now());
        self.note(|| format!("client {at} is restless in way {way}"));
        let Some(side) = self.sides.get_mut(at) else { return };
        let Some(handle) = side.sockets.get(namespace).map(|socket| socket.handle) else { return };
        match way {
            0..2 => side.client.disconnect(now, handle),
            2..5 => side.client.connect(now, handle),
            5 => side.client.close(now),
            6 => side.client.discard(now),
            7..9 => {
                if side.oracle.due.is_some() {
                    // The attempt is made now.
                    side.oracle.due = Some(now);
                }
                side.client.open(now);
            }
            9 => {
                side.client.set_reconnection(false);
                side.oracle.reconnection = false;
            }
            10 => {
                side.client.set_reconnection(true);
                side.oracle.reconnection = true;
            }
            _ => side.client.clear_send_buffer(handle),
        }
        if !side.client.is_reconnecting() {
            side.oracle.due = None;
            if !side.client.is_opening() {
                side.oracle.attempts = 0;
            }
        }
    }

    fn end_session(&mut self, at: usize) {
        let now = self.now();
        let way = self.random().below(4);
        let Some((_, sid, handle, _)) = self.target(at, 0) else { return };
        let Some(peer) = self.process.peers.get_mut(&sid) else { return };
        match way {
            0 => peer.connection.disconnect(now, handle),
            1 => peer.connection.close(now),
            2 => peer.connection.discard(now),
            _ => peer.connection.close_session(now),
        }
    }

    // The end.

    fn calm_down(&mut self) {
        self.note(|| "calm".into());
        self.calm = true;
        self.network.settings.lost_requests = 0;
        self.network.settings.lost_links = 0;
        self.network.unreachable = BTreeMap::new();
        self.reconnect_all();
    }

    fn reconnect_all(&mut self) {
        let now = self.now();
        for side in &mut self.sides {
            side.client.set_reconnection(true);
            side.oracle.reconnection = true;
            for socket in &side.sockets {
                side.client.connect(now, socket.handle);
            }
            if !side.client.is_reconnecting() {
                side.client.open(now);
            }
        }
    }

    /// Everybody is connected, and everything has arrived.
    fn judge(&self) -> Result<(), Violation> {
        for (at, side) in self.sides.iter().enumerate() {
            for (namespace, socket) in side.sockets.iter().enumerate() {
                let known = socket.socket.and_then(|index| self.sockets.get(index));
                let meant = known.map(|socket| socket.meant.len());
                let is_home = known.is_some_and(|socket| socket.home.is_some());
                let missing = |what: &str| {
                    Err(Violation::new("end", format!("client {at}, namespace {namespace}: {what}; {side:?}")))
                };
                if !socket.connected || !side.client.is_connected(socket.handle) || !is_home {
                    return missing("not connected");
                }
                if meant != Some(socket.received) {
                    return missing(&format!("received {} of {meant:?}", socket.received));
                }
                let waits = side.client.send_buffer_len(socket.handle) + side.client.retry_queue_len(socket.handle);
                if waits > 0 {
                    return missing(&format!("{waits} events wait"));
                }
                let all = self.scenario.retries.is_some_and(|retries| retries.count == u32::MAX)
                    || !(self.scenario.cuts || self.scenario.restless);
                if all && socket.arrived.len() as u64 != socket.next {
                    return missing(&format!("{} of {} events have arrived", socket.arrived.len(), socket.next));
                }
            }
        }
        Ok(())
    }

    /// The clients end. Nothing is left.
    fn end(&mut self) -> Result<(), Violation> {
        let now = self.now();
        for side in &mut self.sides {
            side.client.close(now);
            for socket in &side.sockets {
                side.client.remove(now, socket.handle);
            }
        }
        self.step_until(now + Duration::from_secs(10))?;
        for (at, side) in self.sides.iter().enumerate() {
            if !side.client.is_drained() || side.client.poll_timeout().is_some() || side.client.sockets().count() > 0 {
                return Err(Violation::new("I12", format!("client {at} is not drained: {side:?}")));
            }
            if let Some(socket) = side.sockets.iter().find(|socket| !socket.awaited.is_empty() || socket.connected) {
                return Err(Violation::new("I12", format!("client {at}: {socket:?} has no end")));
            }
        }
        if !self.process.peers.is_empty() {
            return Err(Violation::new("end", "a session is left".into()));
        }
        Ok(())
    }
}

impl core::fmt::Debug for Side {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Side").field("client", &self.client).field("sockets", &self.sockets).finish_non_exhaustive()
    }
}
