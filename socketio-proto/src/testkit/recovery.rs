//! Simulates a server with connection state recovery: clients on simulated networks lose their connections in every way and return, while
//! the application emits to all, to rooms and to single sockets. Checks invariant I13.
//!
//! Every connection has its own network and its own clock. The simulation proceeds in ticks.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use engineio_proto::testkit::{
    ClientBehavior, ClientEvent, ClientSettings, NetworkSettings, Pair, Random, Step, Violation,
};
use engineio_proto::{Arc, Frame, Instant, LinkKind, Message, SendError};

use crate::config::Config;
use crate::error::EmitError;
use crate::event::{Event, Pending, SocketHandle};
use crate::id::SocketId;
use crate::offset::{Offset, PrivateId};
use crate::packet::{Encoded, Outgoing};
use crate::parser::{Encoder, Json, Parser as _};
use crate::server::{Claim, Connection, Kept, Namespace, NamespaceEvent, Operation, RecoveryConfig, Target};

const TICK: Duration = Duration::from_millis(20);
const ROOMS: [&str; 2] = ["a", "b"];

/// The parameters of a simulation. A seed determines the details.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "tests build it with a literal")]
pub struct Cuts {
    /// Number of clients.
    pub clients: usize,
    /// Settings of the sessions.
    pub engine: engineio_proto::Config,
    /// Settings of the recovery.
    pub recovery: RecoveryConfig,
    /// Behaviour of the networks while connections are lost. They are well_behaved at the end.
    pub network: NetworkSettings,
    /// How long connections are lost and events emitted.
    pub span: Duration,
    /// Longest time until a client returns.
    pub away: Duration,
}

/// What happened in a simulation.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct CutReport {
    /// Events that were emitted.
    pub emitted: u64,
    /// Events that clients received.
    pub received: u64,
    /// Clients that were recovered.
    pub recovered: u64,
    /// Clients that returned and were new.
    pub renewed: u64,
}

/// A socket, connected or not, under all of its keys.
#[derive(Debug)]
struct Socket {
    id: SocketId,
    pid: PrivateId,
    rooms: BTreeSet<String>,
    key: Option<u32>,
    /// The numbers of the events that were addressed to it.
    meant: Vec<u64>,
}

/// A connection of a client, until its server has ended it.
struct Line {
    pair: Pair<Connection, ()>,
    /// The client's socket: its handle, its key and its index.
    socket: Option<(SocketHandle, u32, usize)>,
    /// Whether the client uses it.
    in_use: bool,
    asked: bool,
}

/// What a client knows.
#[derive(Default)]
struct Client {
    lines: Vec<Line>,
    returns: Instant,
    pid: Option<String>,
    offset: Option<String>,
    /// The index of its socket, and how many events of it were received.
    socket: Option<usize>,
    received: usize,
    connected: bool,
    /// Events that arrived before the reply to CONNECT.
    early: Vec<(u64, String)>,
}

struct World<'a> {
    cuts: &'a Cuts,
    random: Random,
    now: Instant,
    namespace: Namespace<u32>,
    sockets: Vec<Socket>,
    clients: Vec<Client>,
    keys: u32,
    encoder: Encoder,
    report: CutReport,
}

/// Runs a simulation with this seed.
///
/// # Errors
/// The violation that was found.
pub fn run_with_cuts(seed: u64, cuts: &Cuts) -> Result<CutReport, Violation> {
    let mut world = World {
        cuts,
        random: Random::new(seed),
        now: Instant::from_millis(1),
        namespace: Namespace::with_recovery(cuts.recovery.clone()),
        sockets: Vec::new(),
        clients: (0..cuts.clients).map(|_| Client::default()).collect(),
        keys: 0,
        encoder: Encoder::new(),
        report: CutReport::default(),
    };
    let (well_behaved, end) = (world.now + cuts.span, world.now + cuts.span + Duration::from_secs(20));
    while world.now < end {
        world.tick(world.now >= well_behaved)?;
    }
    world.judge()?;
    Ok(world.report)
}

impl World<'_> {
    fn tick(&mut self, well_behaved: bool) -> Result<(), Violation> {
        self.now += TICK;
        for at in 0..self.clients.len() {
            if !well_behaved {
                for _ in 0..self.random.below(3) {
                    self.act(at);
                }
                if self.random.chance(15) {
                    self.cut(at);
                }
            }
            self.open(at, well_behaved);
            let mut lines = self.client(at).map(|client| core::mem::take(&mut client.lines)).unwrap_or_default();
            for line in &mut lines {
                self.advance(at, line)?;
            }
            lines.retain(|line| line.in_use || line.pair.machine().is_some_and(|machine| !machine.ended()));
            if let Some(client) = self.client(at) {
                client.lines = lines;
            }
        }
        self.namespace.handle_timeout(self.now);
        if self.namespace.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            return Err(Violation::new("I2", format!("{:?}", self.namespace.poll_timeout())));
        }
        while let Some(event) = self.namespace.poll_event() {
            if !matches!(event, NamespaceEvent::Forgotten { .. }) {
                return Err(Violation::new("recovery", format!("{event:?}")));
            }
        }
        Ok(())
    }

    fn client(&mut self, at: usize) -> Option<&mut Client> {
        self.clients.get_mut(at)
    }

    /// Opens a connection if the client has none.
    fn open(&mut self, at: usize, well_behaved: bool) {
        let (now, seed) = (self.now, self.random.below(u64::MAX));
        let Some(client) = self.clients.get_mut(at) else { return };
        if client.lines.iter().any(|line| line.in_use) || now < client.returns {
            return;
        }
        let kinds = [None, Some(LinkKind::WebSocket)];
        let mut kind = || self.random.pick(&kinds).copied().flatten();
        let engine = self.cuts.engine.clone();
        let settings = ClientSettings {
            start: kind(),
            upgrade: kind(),
            heartbeat_timeout: engine.ping_interval + engine.ping_timeout,
            ping_interval: engine.ping_interval,
            max_payload: engine.max_payload,
            behavior: ClientBehavior::default(),
        };
        let config = Arc::new(Config::default());
        let accept = move |session| Connection::new(Instant::ZERO, session, Json, Arc::clone(&config));
        let network = if well_behaved { NetworkSettings::default() } else { self.cuts.network.clone() };
        let pair = Pair::new(seed, engine, settings, network, false, accept);
        client.lines.push(Line { pair, socket: None, in_use: true, asked: false });
        client.connected = false;
        client.early.clear();
    }

    /// Ends the connection of a client: its process ends, the network fails, one side closes, or the server drops it.
    fn cut(&mut self, at: usize) {
        let (way, away) = (self.random.below(5), self.random.duration(Duration::ZERO, self.cuts.away));
        let now = self.now;
        let Some(client) = self.clients.get_mut(at) else { return };
        let Some(line) = client.lines.iter_mut().find(|line| line.in_use) else { return };
        match way {
            0 => line.pair.crash(),
            1 => line.pair.fail_network(),
            2 => drop(line.pair.timed_command(0, Connection::discard)),
            3 => drop(line.pair.timed_command(0, Connection::shut_down)),
            _ => line.pair.client().close(),
        }
        line.in_use = false;
        client.returns = now + away;
    }

    /// Advances a connection by one tick.
    fn advance(&mut self, at: usize, line: &mut Line) -> Result<(), Violation> {
        line.pair.schedule(TICK, ());
        loop {
            let step = line.pair.step()?;
            self.client_reads(at, line)?;
            while let Some(event) = line.pair.poll_event() {
                self.told(line, event)?;
                line.pair.settle()?;
            }
            if matches!(step, Step::Idle | Step::Action(())) {
                break;
            }
        }
        // A client that has lost its connection by itself returns.
        if line.in_use && line.pair.client().is_closed() {
            line.in_use = false;
        }
        Ok(())
    }

    fn client_reads(&mut self, at: usize, line: &mut Line) -> Result<(), Violation> {
        while let Some(event) = line.pair.client().poll_event() {
            // A connection that the client has given up delivers nothing to it.
            if line.in_use
                && let ClientEvent::Message(Message::Text(text)) = event
            {
                self.client_receives(at, &text)?;
            }
        }
        if line.in_use && !line.asked && line.pair.client().is_open() {
            line.asked = true;
            let known = self.clients.get(at).map(|client| (client.pid.clone(), client.offset.clone()));
            let connect = match known {
                Some((Some(pid), Some(offset))) => format!(r#"0{{"pid":"{pid}","offset":"{offset}"}}"#),
                _ => "0".to_string(),
            };
            line.pair.client().send(connect.into());
        }
        Ok(())
    }

    fn client_receives(&mut self, at: usize, text: &str) -> Result<(), Violation> {
        let wrong = || Violation::new("I13", format!("client {at} received {text}"));
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        if let Some(event) = text.strip_prefix(r#"2["n","#) {
            let (number, offset) = event.split_once(',').ok_or_else(wrong)?;
            let number = number.parse().map_err(|_| wrong())?;
            client.early.push((number, offset.trim_matches(['"', ']']).to_string()));
        } else {
            let values: Vec<&str> = text.split('"').collect();
            let (Some(sid), Some(pid)) = (values.get(3), values.get(7)) else { return Err(wrong()) };
            let socket = self.sockets.iter().position(|socket| socket.pid.to_string() == **pid).ok_or_else(wrong)?;
            if self.sockets.get(socket).is_none_or(|socket| socket.id != **sid) {
                return Err(wrong());
            }
            client.connected = true;
            if client.socket == Some(socket) {
                self.report.recovered = self.report.recovered.saturating_add(1);
            } else {
                if !client.early.is_empty() {
                    return Err(wrong());
                }
                self.report.renewed = self.report.renewed.saturating_add(u64::from(client.socket.is_some()));
                (client.socket, client.received) = (Some(socket), 0);
                (client.pid, client.offset) = (Some((*pid).to_string()), None);
            }
        }
        if !client.connected {
            return Ok(());
        }
        let Some(socket) = client.socket.and_then(|socket| self.sockets.get(socket)) else { return Err(wrong()) };
        for (number, offset) in client.early.drain(..) {
            if socket.meant.get(client.received) != Some(&number) {
                return Err(wrong());
            }
            client.received = client.received.saturating_add(1);
            client.offset = Some(offset);
            self.report.received = self.report.received.saturating_add(1);
        }
        Ok(())
    }

    /// Handles an event of a connection as the application.
    fn told(&mut self, line: &mut Line, event: Event) -> Result<(), Violation> {
        match event {
            Event::ConnectRequested(pending) => self.accept(line, pending)?,
            Event::Disconnected { reason, .. } => {
                let Some((_, key, index)) = line.socket.take() else {
                    return Err(Violation::new("I5", format!("{reason}")));
                };
                self.namespace.suspend(self.now, key, &reason, 0);
                if let Some(socket) = self.sockets.get_mut(index) {
                    socket.key = None;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn accept(&mut self, line: &mut Line, pending: Pending) -> Result<(), Violation> {
        self.keys = self.keys.saturating_add(1);
        let (key, handle) = (self.keys, pending.socket());
        let limit = self.cuts.engine.limits.max_outbound;
        let used = line.pair.command(0, |connection| connection.buffered_bytes()).unwrap_or(0).saturating_add(200);
        let claim = Claim::of(&pending);
        let restored =
            claim.and_then(|claim| self.namespace.restore(self.now, key, &claim, limit.saturating_sub(used)));
        let (id, pid, missed, index) = match restored {
            Some(restored) => {
                let known = self.sockets.iter_mut().position(|socket| socket.pid == restored.pid);
                let rooms: BTreeSet<String> = self.namespace.rooms(key).map(|room| room.to_string()).collect();
                let right = known.and_then(|index| self.sockets.get(index)).is_some_and(|socket| socket.rooms == rooms);
                let (Some(index), true) = (known, right) else {
                    return Err(Violation::new("I13", format!("restored in {rooms:?}")));
                };
                (restored.id, restored.pid, restored.missed, index)
            }
            None => {
                let mut secret = [0; 18];
                for (byte, part) in secret.iter_mut().zip(key.to_le_bytes()) {
                    *byte = part;
                }
                let pid = PrivateId::from_random(secret);
                let mut secret = [1; 15];
                for (byte, part) in secret.iter_mut().zip(key.to_le_bytes()) {
                    *byte = part;
                }
                let id = SocketId::from_random(secret);
                let rooms = BTreeSet::from([id.to_string()]);
                self.sockets.push(Socket { id: id.clone(), pid, rooms, key: None, meant: Vec::new() });
                (id, pid, Vec::new(), self.sockets.len().saturating_sub(1))
            }
        };
        let size = missed.iter().flat_map(Encoded::frames).map(Frame::queued_len).fold(300, usize::saturating_add);
        let accept = |connection: &mut Connection, now| connection.accept_recoverable(now, pending, &id, &pid, &missed);
        let accepted = matches!(line.pair.timed_command(size, accept), Some(Ok(_)));
        if !accepted {
            // A restored socket can be claimed again.
            self.namespace.suspend(self.now, key, &crate::DisconnectReason::ForcedServerClose, 0);
            return Ok(());
        }
        if !self.namespace.contains(key) {
            self.namespace.add_recoverable(key, &id, pid);
        }
        line.socket = Some((handle, key, index));
        if let Some(socket) = self.sockets.get_mut(index) {
            socket.key = Some(key);
        }
        Ok(())
    }

    /// Does something as the application: emits, or moves a socket.
    fn act(&mut self, at: usize) {
        let index = self.clients.get(at).and_then(|client| client.socket);
        let key = index.and_then(|index| self.sockets.get(index)).and_then(|socket| socket.key);
        let Some(&room) = self.random.pick(&ROOMS) else { return };
        match (self.random.below(10), key) {
            (0 | 1, Some(key)) => {
                self.namespace.apply(Operation::Join { target: &Target::socket(key), rooms: &[room] });
                self.socket_with(key, |socket| _ = socket.rooms.insert(room.to_string()));
            }
            (2, Some(key)) => {
                self.namespace.apply(Operation::Leave { target: &Target::socket(key), rooms: &[room] });
                self.socket_with(key, |socket| _ = socket.rooms.remove(room));
            }
            (3, Some(key)) => self.emit(&Target::socket(key)),
            (4, Some(key)) => self.emit(&Target::everybody().without(key)),
            (5, _) => self.emit(&Target::everybody().except(room)),
            (6 | 7, _) => self.emit(&Target::everybody().to(room)),
            _ => self.emit(&Target::everybody()),
        }
    }

    fn socket_with(&mut self, key: u32, change: impl FnOnce(&mut Socket)) {
        if let Some(socket) = self.sockets.iter_mut().find(|socket| socket.key == Some(key)) {
            change(socket);
        }
    }

    fn emit(&mut self, target: &Target<u32>) {
        let number = self.report.emitted;
        self.report.emitted = number.saturating_add(1);
        let mut secret = [2; 12];
        for (byte, part) in secret.iter_mut().zip(number.to_le_bytes()) {
            *byte = part;
        }
        let offset = Offset::from_random(secret);
        let packet = Outgoing::event("/", None, "n", &number).with_offset(offset);
        let Ok(encoded) = Json.encode(&packet, &mut self.encoder) else { return };
        let operation = Operation::EmitWithOffset { target, now: self.now, offset, encoded: &encoded };
        let recipients: Vec<u32> = self.namespace.apply(operation).collect();
        for socket in &mut self.sockets {
            let meant = match target.only {
                Some(only) => socket.key == Some(only),
                None => target.rooms.is_empty() || !target.rooms.is_disjoint(&socket.rooms),
            };
            let is_sender = target.sender.is_some() && target.sender == socket.key;
            if meant && !is_sender && target.except.is_disjoint(&socket.rooms) {
                socket.meant.push(number);
            }
        }
        let homes: BTreeSet<u32> = recipients.into_iter().collect();
        for line in self.clients.iter_mut().flat_map(|client| &mut client.lines) {
            let Some((handle, key, _)) = line.socket else { continue };
            if !homes.contains(&key) {
                continue;
            }
            let send = |connection: &mut Connection| connection.send(handle, &encoded);
            let sent = line.pair.command(encoded.packet_len().saturating_add(20), send);
            if matches!(sent, Some(Err(EmitError::Send(SendError::Full)))) {
                // The client would miss the packet; now it can return for it.
                line.pair.timed_command(0, Connection::discard);
            }
        }
    }

    /// Everybody is connected and has received everything. Nothing is kept after its time.
    fn judge(&mut self) -> Result<(), Violation> {
        for (at, client) in self.clients.iter().enumerate() {
            let meant = client.socket.and_then(|socket| self.sockets.get(socket)).map(|socket| socket.meant.len());
            if !client.connected || meant != Some(client.received) {
                let detail = format!("client {at} has received {} of {meant:?}", client.received);
                return Err(Violation::new("I13", detail));
            }
        }
        let homes: BTreeMap<u32, usize> =
            self.sockets.iter().zip(0..).filter_map(|(socket, at)| Some((socket.key?, at))).collect();
        if homes.len() != self.namespace.len() {
            return Err(Violation::new("recovery", format!("{} members, not {}", self.namespace.len(), homes.len())));
        }
        while let Some(deadline) = self.namespace.poll_timeout() {
            let before = self.namespace.kept();
            self.namespace.handle_timeout(deadline);
            if self.namespace.kept() == before {
                return Err(Violation::new("I3", format!("{before:?}")));
            }
        }
        if self.namespace.kept() != Kept::default() {
            return Err(Violation::new("recovery", format!("{:?} is left", self.namespace.kept())));
        }
        Ok(())
    }
}
