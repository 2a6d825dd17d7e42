//! Simulates a whole server: several clients on shared namespaces that follow or violate the protocol, and an application that
//! accepts, refuses, ignores, emits, acks, broadcasts and disconnects. It keeps a record of all actions.
//!
//! Each client has its own network and its own clock. The simulation proceeds in ticks, so that no two clocks differ by more
//! than one tick.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use engineio_proto::testkit::{ClientBehavior, ClientEvent, ClientSettings, NetworkSettings, Pair, Step, Violation};
use engineio_proto::{Arc, CloseReason, Instant, LinkKind, SendError};

use super::client::Client;
use super::model::{Key, Model};
use super::numbered::{self, Numbered};
use crate::config::Config;
use crate::error::EmitError;
use crate::event::{AckError, AckId, AckToken, Event, Pending, SocketHandle};
use crate::id::SocketId;
use crate::packet::Outgoing;
use crate::parser::{Encoder, Json, Parser as _};
use crate::server::{Connection, Namespaces};

/// The maximum difference between two clocks.
const TICK: Duration = Duration::from_millis(20);

/// The parameters of a simulation. A seed determines the details.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "tests build it with a literal")]
pub struct Scenario {
    /// Number of clients.
    pub clients: usize,
    /// Settings of the sessions.
    pub engine: engineio_proto::Config,
    /// Settings of the connections.
    pub socket: Config,
    /// Behaviour of the network.
    pub network: NetworkSettings,
    /// How many actions each client performs, and how many the application performs for each client.
    pub actions: u64,
    /// The time span over which the actions are spread.
    pub span: Duration,
    /// Maximum time for which the application stops reading from a peer. It does so repeatedly, unless this is zero.
    pub stall: Duration,
    /// Whether no client violates the protocol, leaves a namespace or is disconnected before everything has arrived. Nothing may then be
    /// missing.
    pub well_behaved: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            clients: 3,
            engine: engineio_proto::Config::default(),
            socket: Config::default(),
            network: NetworkSettings::default(),
            actions: 25,
            span: Duration::from_secs(1),
            stall: Duration::ZERO,
            well_behaved: false,
        }
    }
}

/// What happened in a simulation, for all clients together.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Sockets that were accepted.
    pub accepted: u64,
    /// Events that clients sent.
    pub sent_up: u64,
    /// Events that arrived from clients.
    pub received_up: u64,
    /// Events that were sent to clients, without broadcasts.
    pub sent_down: u64,
    /// Events that arrived at clients, without broadcasts.
    pub received_down: u64,
    /// Acks that clients received.
    pub acks_down: u64,
    /// Outcomes of acks that were answers.
    pub acked: u64,
    /// Outcomes of acks that were errors.
    pub failed_acks: u64,
    /// Outcomes of broadcasts, one for each recipient.
    pub broadcast_outcomes: u64,
    /// Commands that were refused because of a limit: the queue was full, or too many acks were awaited.
    pub refused: u64,
    /// A digest of the run. It is the same for every run with the same seed.
    pub digest: u64,
}

/// A simulation that failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The violation.
    pub violation: Violation,
    /// The index of the client where it was noticed.
    pub client: usize,
    /// The log of the client's connection, if it was requested.
    pub log: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}client {}: {}", self.log, self.client, self.violation)
    }
}

impl core::error::Error for Failure {}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Client,
    Server,
    RespondLate,
    StopReading,
    End,
    Tick,
}

/// A socket, from the application's point of view.
#[derive(Debug)]
struct Socket {
    namespace: &'static str,
    sent: u64,
    received: u64,
    /// Whether `Disconnecting` was received.
    disconnecting: bool,
}

struct Peer {
    pair: Pair<Connection, Action>,
    client: Client,
    sockets: BTreeMap<SocketHandle, Socket>,
    /// Acks that are awaited from the client, with the numbers of their events.
    awaited: BTreeMap<(SocketHandle, AckId), u64>,
    pending: Vec<Pending>,
    /// Acks that the client is still waiting for.
    tokens: Vec<(AckToken, u64)>,
    /// Number of commands that were refused because the queue was full, minus the [`Event::Writable`] events since then.
    refused: u64,
    reads_again_at: Instant,
    ended: bool,
    /// Whether the network was cut off. A client that was not open before waits forever.
    network_failed: bool,
    over: bool,
}

struct World<'a> {
    scenario: &'a Scenario,
    peers: Vec<Peer>,
    namespaces: Namespaces<Model>,
    encoder: Encoder,
    ids: u64,
    broadcasts: u64,
    report: Report,
    /// The index of the current client.
    at: usize,
}

/// Runs the scenario with this seed. With `log`, a failure contains the log of the connection.
///
/// # Errors
/// The violation that was found.
pub fn run(seed: u64, scenario: &Scenario, log: bool) -> Result<Report, Box<Failure>> {
    let mut world = World::new(seed, scenario, log);
    match world.run() {
        Ok(()) => Ok(world.report),
        Err(violation) => {
            let machine = world.peers.get(world.at).and_then(|peer| peer.pair.machine());
            let log = machine.map(|machine| machine.log().to_string()).unwrap_or_default();
            Err(Box::new(Failure { violation, client: world.at, log }))
        }
    }
}

fn peer(seed: u64, scenario: &Scenario, log: bool) -> Peer {
    let engine = scenario.engine.clone();
    let mut random = engineio_proto::testkit::Random::new(seed);
    let kinds = [None, Some(LinkKind::WebSocket), Some(LinkKind::WebTransport)];
    let mut kind = || random.pick(&kinds).copied().flatten();
    let settings = ClientSettings {
        start: kind(),
        upgrade: kind(),
        heartbeat_timeout: engine.ping_interval + engine.ping_timeout,
        ping_interval: engine.ping_interval,
        max_payload: engine.max_payload,
        behavior: ClientBehavior::default(),
    };
    let config = Arc::new(scenario.socket.clone());
    let accept = move |session| Connection::new(Instant::ZERO, session, Json, Arc::clone(&config));
    let mut pair = Pair::new(seed, engine, settings, scenario.network.clone(), log, accept);
    for _ in 0..scenario.actions {
        for action in [Action::Client, Action::Server] {
            let delay = pair.random().duration(Duration::ZERO, scenario.span);
            pair.schedule(delay, action);
        }
    }
    if !scenario.stall.is_zero() {
        pair.schedule(scenario.stall, Action::StopReading);
    }
    let end = if scenario.well_behaved {
        scenario.span * 3
    } else {
        pair.random().duration(Duration::ZERO, scenario.span * 2)
    };
    pair.schedule(end, Action::End);
    let namespaces: &[_] = if scenario.well_behaved { &["/", "/custom"] } else { &["/", "/custom", "/nowhere"] };
    Peer {
        reads_again_at: pair.now(),
        pair,
        client: Client::new(namespaces),
        sockets: BTreeMap::new(),
        awaited: BTreeMap::new(),
        pending: Vec::new(),
        tokens: Vec::new(),
        refused: 0,
        ended: false,
        network_failed: false,
        over: false,
    }
}

impl Peer {
    /// Records the result of sending a packet. After a packet that did not fit in the queue, one `Writable` event is emitted.
    /// If a packet of the connection itself (CONNECT, CONNECT_ERROR, DISCONNECT) does not fit, the connection ends instead.
    fn record<R>(&mut self, result: &Option<Result<R, EmitError>>, report: &mut Report) {
        let full = matches!(result, Some(Err(EmitError::Send(SendError::Full))));
        if full {
            self.refused = self.refused.saturating_add(1);
        }
        if full || matches!(result, Some(Err(EmitError::TooManyAcks))) {
            report.refused = report.refused.saturating_add(1);
        }
    }
}

impl<'a> World<'a> {
    fn new(seed: u64, scenario: &'a Scenario, log: bool) -> Self {
        let seed_of = |index: u64| seed.wrapping_mul(31).wrapping_add(index);
        Self {
            scenario,
            peers: (0_u64..).take(scenario.clients).map(|index| peer(seed_of(index), scenario, log)).collect(),
            namespaces: ["/", "/custom"].map(|name| (name.into(), Model::new(name))).into_iter().collect(),
            encoder: Encoder::new(),
            ids: 0,
            broadcasts: 0,
            report: Report::default(),
            at: 0,
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        let mut tick = TICK;
        let mut ticks = 0_u32;
        while self.peers.iter().any(|peer| !peer.over) {
            for at in 0..self.peers.len() {
                self.at = at;
                self.tick(tick)?;
            }
            let now = self.peers.iter().map(|peer| peer.pair.now()).max().unwrap_or_default();
            for (_, members) in self.namespaces.iter_mut() {
                members.handle_timeout(now)?;
            }
            ticks = ticks.saturating_add(1);
            if ticks > 1000 {
                let slow = self.peers.iter().position(|peer| !peer.over).unwrap_or_default();
                self.at = slow;
                let state = self.peers.get(slow).map(|peer| (peer.ended, peer.pair.now(), &peer.pair));
                return Err(Violation::new("scenario", format!("no end: {state:?}")));
            }
            // After all actions, only timeouts are left, so larger ticks suffice.
            if tick.saturating_mul(ticks) > self.scenario.span * 4 {
                tick = Duration::from_secs(1);
            }
        }
        self.check_outcome()
    }

    /// Advances one peer by one tick.
    fn tick(&mut self, tick: Duration) -> Result<(), Violation> {
        let Some(peer) = self.peer().filter(|peer| !peer.over) else { return Ok(()) };
        peer.pair.schedule(tick, Action::Tick);
        loop {
            let Some(peer) = self.peer() else { return Ok(()) };
            match peer.pair.step()? {
                Step::Idle | Step::Action(Action::Tick) => break,
                Step::Action(action) => self.act(action)?,
                _ => {}
            }
            self.read()?;
        }
        // The application may have stopped reading until the simulation was idle.
        self.read()?;
        let Some(peer) = self.peer() else { return Ok(()) };
        let machine_over = peer.pair.machine().is_none_or(|machine| machine.ended());
        peer.over = peer.ended && machine_over && (peer.network_failed || peer.pair.client().is_closed());
        Ok(())
    }

    fn peer(&mut self) -> Option<&mut Peer> {
        self.peers.get_mut(self.at)
    }

    fn act(&mut self, action: Action) -> Result<(), Violation> {
        let (well_behaved, stall) = (self.scenario.well_behaved, self.scenario.stall);
        let Some(peer) = self.peer() else { return Ok(()) };
        match action {
            Action::Tick => {}
            Action::Client => {
                if peer.pair.client().is_open() {
                    if !well_behaved && peer.pair.random().chance(8) {
                        peer.client.violate_protocol(peer.pair.random());
                    } else {
                        peer.client.act(peer.pair.random(), well_behaved);
                    }
                } else if !peer.pair.client().is_closed() {
                    peer.pair.schedule(TICK, action);
                }
            }
            Action::Server => self.act_as_application()?,
            Action::RespondLate => self.respond_late()?,
            Action::StopReading if peer.ended => {}
            Action::StopReading => {
                let pause = peer.pair.random().duration(Duration::ZERO, stall);
                peer.reads_again_at = peer.pair.now() + pause;
                let next = peer.pair.random().duration(pause, stall.saturating_mul(2));
                peer.pair.schedule(next, action);
            }
            Action::End => self.end(),
        }
        Ok(())
    }

    fn end(&mut self) {
        let well_behaved = self.scenario.well_behaved;
        let Some(peer) = self.peer() else { return };
        peer.ended = true;
        peer.reads_again_at = peer.pair.now();
        let ending = if well_behaved { 0 } else { peer.pair.random().below(7) };
        let command: fn(&mut Connection, Instant) = match ending {
            1 => return peer.pair.crash(),
            2 => {
                peer.network_failed = true;
                return peer.pair.fail_network();
            }
            3 => Connection::close,
            4 => Connection::shut_down,
            5 => Connection::discard,
            6 => Connection::close_session,
            _ => return peer.pair.client().close(),
        };
        if peer.pair.timed_command(0, command).is_none() && !peer.pair.client().is_closed() {
            peer.pair.schedule(TICK, Action::End);
        }
    }

    /// Lets both sides read, unless the application is not reading now.
    fn read(&mut self) -> Result<(), Violation> {
        let well_behaved = self.scenario.well_behaved;
        let Some(peer) = self.peer() else { return Ok(()) };
        while let Some(event) = peer.pair.client().poll_event() {
            if let ClientEvent::Message(message) = event {
                peer.client.receive(message)?;
            }
        }
        let (messages, ack_requests) = peer.client.take();
        for message in messages {
            peer.pair.client().send(message);
        }
        for request in ack_requests {
            if well_behaved || peer.pair.random().chance(700) {
                peer.client.ack(&request);
            }
        }
        for message in peer.client.take().0 {
            peer.pair.client().send(message);
        }
        if peer.pair.now() < peer.reads_again_at {
            return Ok(());
        }
        while let Some(peer) = self.peer()
            && let Some(event) = peer.pair.poll_event()
        {
            self.handle_event(event)?;
            let Some(peer) = self.peer() else { return Ok(()) };
            // Reading an event may free capacity for more input.
            peer.pair.settle()?;
        }
        Ok(())
    }

    /// Handles an event as the application.
    fn handle_event(&mut self, event: Event) -> Result<(), Violation> {
        let (at, well_behaved) = (self.at, self.scenario.well_behaved);
        let detail = format!("{event:?}");
        let violation = |rule| Err(Violation::new(rule, format!("application: {detail}")));
        let Some(peer) = self.peers.get_mut(at) else { return Ok(()) };
        match event {
            Event::ConnectRequested(pending) => match peer.pair.random().below(if well_behaved { 1 } else { 8 }) {
                6 => {
                    peer.pending.push(pending);
                    let delay = peer.pair.random().duration(Duration::ZERO, Duration::from_secs(2));
                    peer.pair.schedule(delay, Action::RespondLate);
                }
                // Dropped, so it is refused at its deadline.
                7 => drop(pending),
                _ => self.decide(pending)?,
            },
            Event::Received { socket, payload, ack } => {
                let number = numbered::number(&payload)?;
                let Some(state) = peer.sockets.get_mut(&socket) else { return violation("I10") };
                if payload.name() != Some("n") || number != state.received {
                    return violation("I10");
                }
                state.received = state.received.saturating_add(1);
                self.report.received_up = self.report.received_up.saturating_add(1);
                match ack {
                    Some(token) if well_behaved || peer.pair.random().chance(600) => self.ack(token, number),
                    Some(token) if peer.pair.random().chance(500) => {
                        peer.tokens.push((token, number));
                        let delay = peer.pair.random().duration(Duration::ZERO, Duration::from_secs(1));
                        peer.pair.schedule(delay, Action::RespondLate);
                    }
                    _ => {}
                }
            }
            Event::Acked { socket, id, outcome } => {
                let Some(number) = peer.awaited.remove(&(socket, id)) else { return violation("I12") };
                let Some(state) = peer.sockets.get(&socket) else { return violation("I12") };
                match &outcome {
                    Ok(payload) if numbered::number(payload)? != number => return violation("I12"),
                    Ok(_) => self.report.acked = self.report.acked.saturating_add(1),
                    Err(_) => self.report.failed_acks = self.report.failed_acks.saturating_add(1),
                }
                if id.0 % 2 == 1
                    && let Some(members) = self.namespaces.get_mut(state.namespace)
                {
                    members.handle_ack((at, socket), id, outcome)?;
                }
            }
            Event::Disconnecting { socket, .. } => {
                let Some(state) = peer.sockets.get_mut(&socket).filter(|state| !state.disconnecting) else {
                    return violation("I5");
                };
                state.disconnecting = true;
                if let Some(members) = self.namespaces.get(state.namespace) {
                    members.check_rooms((at, socket))?;
                }
            }
            Event::Disconnected { socket, .. } => {
                let state = peer.sockets.remove(&socket).filter(|state| state.disconnecting);
                let Some(state) = state else { return violation("I5") };
                if peer.awaited.keys().any(|(of, _)| *of == socket) {
                    return violation("I12");
                }
                if let Some(members) = self.namespaces.get_mut(state.namespace) {
                    members.remove((at, socket))?;
                }
            }
            Event::Closed(reason) => {
                let left = !peer.sockets.is_empty() || !peer.awaited.is_empty();
                if left || reason.as_str().is_empty() || matches!(reason, CloseReason::ParseError(_)) {
                    return violation("I5");
                }
            }
            Event::Upgraded(_) => {}
            Event::Writable => match peer.refused.checked_sub(1) {
                Some(left) => peer.refused = left,
                None => return violation("writable"),
            },
        }
        Ok(())
    }

    /// Accepts or refuses a request to join a namespace.
    fn decide(&mut self, pending: Pending) -> Result<(), Violation> {
        let (at, well_behaved) = (self.at, self.scenario.well_behaved);
        let Some(peer) = self.peers.get_mut(at) else { return Ok(()) };
        let Some(members) = self.namespaces.requested(&pending) else {
            peer.pair.timed_command(300, |connection, now| connection.refuse_unknown(now, pending));
            return Ok(());
        };
        let namespace = members.name;
        if !well_behaved && !peer.pair.random().chance(850) {
            let data = peer.pair.random().chance(500).then_some("some data");
            let refuse = |connection: &mut Connection, now| connection.refuse(now, pending, "not you", data);
            peer.pair.timed_command(300, refuse);
            return Ok(());
        }
        self.ids = self.ids.saturating_add(1);
        let mut secret = [0; 15];
        for (byte, part) in secret.iter_mut().zip(self.ids.to_le_bytes()) {
            *byte = part;
        }
        let id = SocketId::from_random(secret);
        let requested = pending.socket();
        match peer.pair.timed_command(300, |connection, now| connection.accept(now, pending, &id)) {
            Some(Ok(socket)) => {
                if socket != requested || peer.sockets.contains_key(&socket) {
                    return Err(Violation::new(
                        "connect",
                        format!("{socket:?} was accepted for the request of {requested:?}"),
                    ));
                }
                peer.sockets.insert(socket, Socket { namespace, sent: 0, received: 0, disconnecting: false });
                self.report.accepted = self.report.accepted.saturating_add(1);
                match self.namespaces.get_mut(namespace) {
                    Some(members) => members.add((at, socket), &id),
                    None => Ok(()),
                }
            }
            Some(Err(EmitError::Disconnected | EmitError::Send(_))) | None => Ok(()),
            Some(Err(error)) => Err(Violation::new("connect", format!("{error:?}"))),
        }
    }

    fn respond_late(&mut self) -> Result<(), Violation> {
        let Some(peer) = self.peer() else { return Ok(()) };
        if let Some((token, number)) = peer.tokens.pop() {
            self.ack(token, number);
        } else if let Some(pending) = peer.pending.pop() {
            self.decide(pending)?;
        }
        Ok(())
    }

    fn ack(&mut self, token: AckToken, number: u64) {
        let Some(peer) = self.peers.get_mut(self.at) else { return };
        let (encoder, args) = (&mut self.encoder, Numbered::new(number));
        let result = peer.pair.command(args.size(), |connection| connection.ack(encoder, token, &args));
        peer.record(&result, &mut self.report);
    }

    /// Performs an action of the application.
    fn act_as_application(&mut self) -> Result<(), Violation> {
        let (at, well_behaved) = (self.at, self.scenario.well_behaved);
        let Some(peer) = self.peers.get_mut(at) else { return Ok(()) };
        let joined: Vec<SocketHandle> = peer.sockets.keys().copied().collect();
        let Some(&socket) = peer.pair.random().pick(&joined) else {
            if !peer.ended {
                peer.pair.schedule(TICK * 4, Action::Server);
            }
            return Ok(());
        };
        match peer.pair.random().below(100) {
            0..35 => self.emit(socket),
            35..55 => self.emit_with_ack(socket),
            55..70 => self.broadcast(socket)?,
            70..80 => self.broadcast_with_ack(socket)?,
            80..85 if !well_behaved => {
                peer.pair.timed_command(100, |connection, now| connection.disconnect(now, socket));
            }
            _ => {
                if let Some(state) = peer.sockets.get(&socket)
                    && let Some(members) = self.namespaces.get_mut(state.namespace)
                {
                    members.change_rooms((at, socket), peer.pair.random())?;
                }
            }
        }
        Ok(())
    }

    fn emit(&mut self, socket: SocketHandle) {
        let Some(peer) = self.peers.get_mut(self.at) else { return };
        let Some(state) = peer.sockets.get_mut(&socket) else { return };
        let (encoder, args) = (&mut self.encoder, Numbered::new(state.sent));
        let result = peer.pair.command(args.size(), |connection| connection.emit(encoder, socket, "n", &args));
        if matches!(result, Some(Ok(()))) {
            state.sent = state.sent.saturating_add(1);
            self.report.sent_down = self.report.sent_down.saturating_add(1);
        }
        peer.record(&result, &mut self.report);
    }

    fn emit_with_ack(&mut self, socket: SocketHandle) {
        let Some(peer) = self.peers.get_mut(self.at) else { return };
        let Some(state) = peer.sockets.get_mut(&socket) else { return };
        let (encoder, args) = (&mut self.encoder, Numbered::new(state.sent));
        let seconds = if self.scenario.well_behaved { Duration::from_secs(10) } else { Duration::from_millis(300) };
        let timeout = peer.pair.random().chance(600).then_some(seconds);
        let command =
            |connection: &mut Connection, now| connection.emit_with_ack(now, encoder, socket, "n", &args, timeout);
        let result = peer.pair.timed_command(args.size(), command);
        if let Some(Ok(id)) = &result {
            peer.awaited.insert((socket, *id), state.sent);
            state.sent = state.sent.saturating_add(1);
            self.report.sent_down = self.report.sent_down.saturating_add(1);
        }
        peer.record(&result, &mut self.report);
    }

    /// Sends a broadcast from this socket.
    fn broadcast(&mut self, socket: SocketHandle) -> Result<(), Violation> {
        let Some(peer) = self.peers.get_mut(self.at) else { return Ok(()) };
        let Some(namespace) = peer.sockets.get(&socket).map(|state| state.namespace) else { return Ok(()) };
        let Some(members) = self.namespaces.get_mut(namespace) else { return Ok(()) };
        let (_, recipients) = members.target((self.at, socket), peer.pair.random())?;
        let args = Numbered::new(self.broadcasts);
        self.broadcasts = self.broadcasts.saturating_add(1);
        let Ok(encoded) = Json.encode(&Outgoing::event(namespace, None, "b", &args), &mut self.encoder) else {
            return Ok(());
        };
        for (index, socket) in recipients {
            let Some(peer) = self.peers.get_mut(index) else { continue };
            let send = |connection: &mut Connection| connection.send(socket, &encoded);
            let result = peer.pair.command(args.size(), send);
            peer.record(&result, &mut self.report);
        }
        Ok(())
    }

    /// Sends a broadcast with an ack from this socket.
    fn broadcast_with_ack(&mut self, socket: SocketHandle) -> Result<(), Violation> {
        let Some(peer) = self.peers.get_mut(self.at) else { return Ok(()) };
        let Some(namespace) = peer.sockets.get(&socket).map(|state| state.namespace) else { return Ok(()) };
        let Some(members) = self.namespaces.get_mut(namespace) else { return Ok(()) };
        let (target, expected) = members.target((self.at, socket), peer.pair.random())?;
        let timeout = if self.scenario.well_behaved { Duration::from_secs(10) } else { Duration::from_millis(300) };
        let ack = members.reserve_ack();
        let id = ack.id();
        let recipients = members.await_acks(peer.pair.now(), &target, ack, timeout)?;
        if recipients != expected {
            return Err(Violation::new(
                "rooms",
                format!("{target:?} must select {expected:?}, but selects {recipients:?}"),
            ));
        }
        let number = self.broadcasts;
        self.broadcasts = self.broadcasts.saturating_add(1);
        let args = Numbered::new(number);
        let outgoing = Outgoing::event(namespace, Some(id.0.into()), "b", &args);
        let Ok(encoded) = Json.encode(&outgoing, &mut self.encoder) else { return Ok(()) };
        for key @ (index, socket) in recipients {
            let Some(peer) = self.peers.get_mut(index) else { continue };
            let send = |connection: &mut Connection, now| connection.send_with_ack(now, socket, &encoded, id, None);
            let result = peer.pair.timed_command(args.size(), send);
            if matches!(result, Some(Ok(()))) {
                peer.awaited.insert((socket, id), number);
            } else {
                undelivered(members, key, id)?;
            }
            peer.record(&result, &mut self.report);
        }
        Ok(())
    }

    /// Checks that no state is left, and that nothing is missing if the clients are well-behaved.
    fn check_outcome(&mut self) -> Result<(), Violation> {
        for at in 0..self.peers.len() {
            self.at = at;
            while let Some(peer) = self.peer() {
                // Actions that are still scheduled are dropped.
                if peer.pair.step()? == Step::Idle {
                    break;
                }
                self.read()?;
            }
            self.read()?;
            let well_behaved = self.scenario.well_behaved;
            let Some(peer) = self.peers.get_mut(at) else { continue };
            peer.pair.finish()?;
            if well_behaved && !peer.client.all_acks_arrived() {
                return Err(Violation::new("acks", format!("not all acks arrived: {:?}", peer.client)));
            }
            let report = &mut self.report;
            report.sent_up = report.sent_up.saturating_add(peer.client.sent);
            report.received_down = report.received_down.saturating_add(peer.client.received);
            report.acks_down = report.acks_down.saturating_add(peer.client.acks);
            let digest = peer.pair.machine().map_or(0, |machine| machine.digest());
            report.digest = report.digest.rotate_left(7) ^ digest;
        }
        for (_, members) in self.namespaces.iter() {
            members.check_empty()?;
            self.report.broadcast_outcomes = self.report.broadcast_outcomes.saturating_add(members.broadcast_outcomes);
        }
        let report = &self.report;
        let complete = report.sent_up == report.received_up && report.sent_down == report.received_down;
        if self.scenario.well_behaved && !(complete && report.failed_acks == 0) {
            return Err(Violation::new("I10", format!("events or acks are missing: {report:?}")));
        }
        Ok(())
    }
}

fn undelivered(members: &mut Model, key: Key, id: AckId) -> Result<(), Violation> {
    members.handle_ack(key, id, Err(AckError::Disconnected))
}
