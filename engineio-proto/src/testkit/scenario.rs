//! Complete sessions, generated from a seed: messages in both directions, an upgrade, faults, and an end.
//!
//! [`run`] plays a [`Scenario`] once, with the model of a client and the server of a [`Pair`], and checks it. [`run_machines`] does the same
//! with a client's machine instead of the model. Every invariant must hold after every
//! step. Messages arrive in order and without loss (I10), and a graceful close loses none. The close reason is the expected one where the
//! scenario allows only one. Nothing may be left over afterwards.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt;
use core::time::Duration;

use super::client::{Client, ClientBehavior, ClientEvent, ClientSettings};
use super::client_end::{MachineEnd, MessageEnd, ModelEnd};
use super::invariants::{Numbered, Violation};
use super::pair::{NetworkSettings, Pair, Step};
use crate::config::Config;
use crate::error::SendError;
use crate::event::{CloseReason, Event, LinkKind, Transport};
use crate::message::Message;
use crate::server::Session;
use crate::shared::Arc;
use crate::time::Instant;
use crate::wire::Revision;
use crate::{client, config};

/// How a scenario ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// The client closes gracefully.
    ClientCloses,
    /// The server closes gracefully.
    ServerCloses,
    /// The server closes at once.
    ServerDiscards,
    /// The client's process dies.
    ClientCrashes,
    /// The network fails without notice: neither end detects it.
    NetworkFails,
}

impl Ending {
    /// All endings.
    pub const ALL: [Self; 5] =
        [Self::ClientCloses, Self::ServerCloses, Self::ServerDiscards, Self::ClientCrashes, Self::NetworkFails];
}

/// The settings of a simulated session; a seed determines the details.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "tests build it with a literal")]
pub struct Scenario {
    /// The server's settings.
    pub config: Config,
    /// The link that the client connects with; `None` to start with polling.
    pub start: Option<LinkKind>,
    /// The link that the client upgrades to, if any.
    pub upgrade: Option<LinkKind>,
    /// The delays and faults of the network.
    pub network: NetworkSettings,
    /// The number of messages that each end sends.
    pub messages: u64,
    /// The size of the largest message, in bytes.
    pub largest: usize,
    /// The time over which the messages are spread.
    pub span: Duration,
    /// The longest time for which the server's application stops reading, now and then. Zero if it never stops.
    pub stall: Duration,
    /// The same for the client's application.
    pub client_stall: Duration,
    /// Deviations of the model from the JavaScript client. A machine has none, except for its revision.
    pub behavior: ClientBehavior,
    /// How long the model waits for a ping. If `None`, as long as the server's settings imply. A machine always does that.
    pub heartbeat_timeout: Option<Duration>,
    /// The limits of the client's machine.
    pub client_limits: config::Limits,
    /// How the session ends. If `None`, the seed decides.
    pub ending: Option<Ending>,
    /// Whether the session ends only after every message has arrived. Otherwise it ends at any time.
    pub ends_after_delivery: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            config: Config::default(),
            start: None,
            upgrade: Some(LinkKind::WebSocket),
            network: NetworkSettings::default(),
            messages: 20,
            largest: 200,
            span: Duration::from_secs(1),
            stall: Duration::ZERO,
            client_stall: Duration::ZERO,
            behavior: ClientBehavior::default(),
            heartbeat_timeout: None,
            client_limits: config::Limits::default(),
            ending: None,
            ends_after_delivery: true,
        }
    }
}

/// The result of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The time from the session's `Open` event to its `Upgraded` event.
    pub upgraded: Option<Duration>,
    /// Why the session ended; `None` if no session was opened.
    pub reason: Option<CloseReason>,
    /// Why the client closed, worded as in the reference.
    pub client_reason: &'static str,
    /// How the scenario ended the session.
    pub ending: Ending,
    /// The time from the start of the ending to the session's last event.
    pub end_took: Duration,
    /// The messages from the client to the server.
    pub upstream: Numbered,
    /// The messages from the server to the client.
    pub downstream: Numbered,
    /// How often a message of the server was refused because the queue was full.
    pub refused: u64,
    /// A hash of the run. It is the same in every run of a seed.
    pub digest: u64,
    /// The number of steps in the run.
    pub steps: u64,
    /// Everything that the machine received and returned, if logging was requested.
    pub log: String,
}

/// A run in which an invariant or a rule was violated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The violation.
    pub violation: Violation,
    /// Everything that the machine received and returned, if logging was requested.
    pub log: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.log, self.violation)
    }
}

impl core::error::Error for Failure {}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    FromClient,
    FromServer,
    StopReading,
    ClientStopsReading,
    End,
}

/// A scenario that is being played.
struct Run<'a, C> {
    scenario: &'a Scenario,
    pair: Pair<Session, Action, C>,
    ending: Ending,
    upstream: Numbered,
    downstream: Numbered,
    to_send_up: u64,
    to_send_down: u64,
    /// Refused messages for which no [`Event::Writable`] was polled yet. Can be more than one while the application does not read.
    blocked: u64,
    /// Refused messages that were not sent again yet.
    unsent: u64,
    refused: u64,
    /// When the server's application reads again.
    reads_again_at: Instant,
    /// When the client's application reads again.
    client_reads_again_at: Instant,
    opened_at: Instant,
    upgraded: Option<Duration>,
    client_upgraded: bool,
    /// Whether both ends were open when the ending began.
    planned_end: bool,
    ended_at: Option<Instant>,
    closed_at: Option<Instant>,
    reason: Option<CloseReason>,
    client_reason: &'static str,
}

/// Plays a scenario with this seed. With `log`, a failure contains everything that the machine received and returned.
///
/// # Errors
/// The first violation.
pub fn run(seed: u64, scenario: &Scenario, log: bool) -> Result<Report, Box<Failure>> {
    let config = &scenario.config;
    let settings = ClientSettings {
        start: scenario.start,
        upgrade: scenario.upgrade,
        heartbeat_timeout: scenario.heartbeat_timeout.unwrap_or(config.ping_interval + config.ping_timeout),
        ping_interval: config.ping_interval,
        max_payload: config.max_payload,
        behavior: scenario.behavior,
    };
    play(seed, scenario, ModelEnd::new(Client::new(settings)), log)
}

/// Plays a scenario with this seed, with a client's machine and a server's. With `log`, a failure contains everything that both received and
/// returned.
///
/// # Errors
/// The first violation.
pub fn run_machines(seed: u64, scenario: &Scenario, log: bool) -> Result<Report, Box<Failure>> {
    let mut config = client::Config::default();
    let transport = |link: Option<LinkKind>| link.map_or(Transport::Polling, Transport::Link);
    config.transports = [transport(scenario.start)].into();
    if let Some(kind) = scenario.upgrade {
        config.transports.push(Transport::Link(kind));
        if kind == LinkKind::WebTransport {
            // The other probe begins later, if the network is slow.
            config.transports.push(Transport::Link(LinkKind::WebSocket));
        }
    }
    config.revision = if scenario.behavior.revision_3 { Revision::V3 } else { Revision::V4 };
    // A server answers a GET with everything that it has queued.
    config.max_payload = 1_000_000;
    config.limits = scenario.client_limits.clone();
    let client = client::Client::new(Arc::new(config));
    let client = if log { MachineEnd::new(client, log) } else { MachineEnd::without_history(client) };
    play(seed, scenario, client, log)
}

fn play<C: MessageEnd>(seed: u64, scenario: &Scenario, client: C, log: bool) -> Result<Report, Box<Failure>> {
    let mut run = Run::new(seed, scenario, client, log);
    match run.execute() {
        Ok(report) => Ok(report),
        Err(violation) => Err(Box::new(Failure { violation, log: run.log() })),
    }
}

impl<'a, C: MessageEnd> Run<'a, C> {
    fn new(seed: u64, scenario: &'a Scenario, client: C, log: bool) -> Self {
        let config = scenario.config.clone();
        let mut pair = Pair::with_client(seed, config, client, scenario.network.clone(), log, |session| session);
        let now = pair.now();
        pair.client().open(now);
        let ending = match scenario.ending {
            Some(ending) => ending,
            None => pair.random().pick(&Ending::ALL).copied().unwrap_or(Ending::ClientCloses),
        };
        for _ in 0..scenario.messages {
            for action in [Action::FromClient, Action::FromServer] {
                let delay = pair.random().duration(Duration::ZERO, scenario.span);
                pair.schedule(delay, action);
            }
        }
        if !scenario.stall.is_zero() {
            pair.schedule(scenario.stall, Action::StopReading);
        }
        if !scenario.client_stall.is_zero() {
            pair.schedule(scenario.client_stall, Action::ClientStopsReading);
        }
        if !scenario.ends_after_delivery {
            let delay = pair.random().duration(Duration::ZERO, scenario.span.saturating_mul(2));
            pair.schedule(delay, Action::End);
        }
        Self {
            scenario,
            reads_again_at: pair.now(),
            client_reads_again_at: pair.now(),
            pair,
            ending,
            upstream: Numbered::new("client to server"),
            downstream: Numbered::new("server to client"),
            to_send_up: scenario.messages,
            to_send_down: scenario.messages,
            blocked: 0,
            unsent: 0,
            refused: 0,
            opened_at: Instant::ZERO,
            upgraded: None,
            client_upgraded: false,
            planned_end: false,
            ended_at: None,
            closed_at: None,
            reason: None,
            client_reason: "",
        }
    }

    fn log(&mut self) -> String {
        let server = self.pair.machine().map(|machine| machine.log().to_string()).unwrap_or_default();
        let client = self.pair.client().log();
        if client.is_empty() { server } else { format!("client:\n{client}server:\n{server}") }
    }

    fn execute(&mut self) -> Result<Report, Violation> {
        // No scenario needs as much as an hour of virtual time.
        let limit = self.pair.now() + Duration::from_secs(3600);
        let mut steps = 0_u64;
        let mut end_is_scheduled = !self.scenario.ends_after_delivery;
        loop {
            let step = self.pair.step()?;
            steps = steps.saturating_add(1);
            match step {
                Step::Idle => break,
                Step::Moved => {}
                Step::Action(action) => {
                    // An application that was not reading reads at least once before it stops again.
                    self.read()?;
                    self.act(action);
                }
            }
            self.read()?;
            if !end_is_scheduled && self.is_complete() {
                end_is_scheduled = true;
                let delay = self.pair.random().duration(Duration::ZERO, Duration::from_millis(300));
                self.pair.schedule(delay, Action::End);
            }
            if self.pair.now() > limit {
                let arrived = format!("{:?}, {:?}", self.upstream, self.downstream);
                return Err(Violation::new("scenario", format!("no end, after {:?}; {arrived}", self.ending)));
            }
        }
        self.read()?;
        self.pair.finish()?;
        self.check_outcome()?;
        Ok(Report {
            upgraded: self.upgraded,
            reason: self.reason,
            client_reason: self.client_reason,
            ending: self.ending,
            end_took: match (self.ended_at, self.closed_at) {
                (Some(ended), Some(closed)) => closed - ended,
                _ => Duration::ZERO,
            },
            upstream: self.upstream.clone(),
            downstream: self.downstream.clone(),
            refused: self.refused,
            digest: self.pair.machine().map_or(0, |machine| machine.digest()),
            steps,
            log: self.log(),
        })
    }

    /// Whether everything that should happen before the end has happened, or cannot happen any more.
    fn is_complete(&mut self) -> bool {
        let sent = self.to_send_up == 0 && self.to_send_down == 0;
        let arrived = self.upstream.is_complete() && self.downstream.is_complete();
        let upgraded = self.scenario.upgrade.is_none() || self.scenario.start.is_some() || self.upgraded.is_some();
        let dead = self.reason.is_some() || self.pair.client().is_closed();
        dead || (sent && arrived && upgraded)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::FromClient => {
                let message = self.message(|run| &run.upstream);
                if self.pair.client().send(message) == Ok(()) {
                    self.upstream.count_sent();
                    self.to_send_up = self.to_send_up.saturating_sub(1);
                } else if !self.pair.client().is_closed() {
                    self.pair.schedule(Duration::from_millis(50), action);
                }
            }
            Action::FromServer => self.send_from_server(),
            Action::StopReading => self.reads_again_at = self.stop_reading(self.scenario.stall, action),
            Action::ClientStopsReading => {
                self.client_reads_again_at = self.stop_reading(self.scenario.client_stall, action);
            }
            Action::End => self.end(),
        }
    }

    /// An application stops reading, for at most `longest`. Returns when it reads again, and schedules the next time.
    fn stop_reading(&mut self, longest: Duration, again: Action) -> Instant {
        let pause = self.pair.random().duration(Duration::ZERO, longest);
        if self.reason.is_some() || self.pair.client().is_closed() {
            // No later step would make the application read again.
            return self.pair.now();
        }
        let next = self.pair.random().duration(pause, longest.saturating_mul(2));
        self.pair.schedule(next, again);
        self.pair.now() + pause
    }

    fn message(&mut self, numbered: impl FnOnce(&Self) -> &Numbered) -> Message {
        let size = self.pair.random().index(self.scenario.largest.saturating_add(1));
        let binary = self.pair.random().chance(250);
        numbered(self).next_message(size, binary)
    }

    fn send_from_server(&mut self) {
        let message = self.message(|run| &run.downstream);
        // Includes what the machine adds to each frame.
        let size = message.len().saturating_add(64);
        match self.pair.command(size, |session| session.send(message)) {
            Some(Ok(())) => {
                self.downstream.count_sent();
                self.to_send_down = self.to_send_down.saturating_sub(1);
            }
            Some(Err(SendError::Full)) => {
                self.blocked = self.blocked.saturating_add(1);
                self.unsent = self.unsent.saturating_add(1);
                self.refused = self.refused.saturating_add(1);
            }
            Some(Err(SendError::NotConnected)) | None if !self.pair.client().is_closed() => {
                self.pair.schedule(Duration::from_millis(50), Action::FromServer);
            }
            Some(Err(_)) | None => {}
        }
    }

    fn end(&mut self) {
        self.planned_end = self.reason.is_none() && !self.pair.client().is_closed();
        // Set again on a retry: the session had not opened before.
        self.ended_at = Some(self.pair.now());
        match self.ending {
            // As in the reference, a client that is still opening closes after it has opened.
            Ending::ClientCloses if !self.pair.client().is_open() && !self.pair.client().is_closed() => {
                self.pair.schedule(Duration::from_millis(50), Action::End);
            }
            Ending::ClientCloses => {
                let now = self.pair.now();
                self.pair.client().close(now);
            }
            Ending::ServerCloses | Ending::ServerDiscards => {
                let discards = self.ending == Ending::ServerDiscards;
                let session_exists = self
                    .pair
                    .timed_command(0, |session, now| if discards { session.discard(now) } else { session.close(now) });
                if session_exists.is_none() && !self.pair.client().is_closed() {
                    self.pair.schedule(Duration::from_millis(50), Action::End);
                }
            }
            Ending::ClientCrashes => {
                self.pair.crash();
                if self.scenario.behavior.upgrades_during_post {
                    // A POST in flight is lost, but what the client sent on its link afterwards still arrives.
                    self.upstream.allow_gaps();
                }
            }
            Ending::NetworkFails => {
                self.pair.fail_network();
                if !C::HAS_OPEN_TIMEOUT && !self.pair.client().is_open() {
                    // A client has no deadline before it is open, but its application has.
                    self.pair.client().crash();
                }
            }
        }
    }

    /// Polls all events of both ends. Skips the server's if its application does not read.
    fn read(&mut self) -> Result<(), Violation> {
        let client_reads = self.pair.now() >= self.client_reads_again_at;
        while client_reads && let Some(event) = self.pair.client().next_event() {
            match event {
                ClientEvent::Message(message) => {
                    let arrived = self.downstream.receive(&message);
                    self.ordered(arrived)?;
                }
                ClientEvent::Upgraded => self.client_upgraded = true,
                ClientEvent::Closed(reason) => self.client_reason = reason,
                ClientEvent::Open => {}
            }
        }
        if self.pair.now() < self.reads_again_at {
            return Ok(());
        }
        while let Some(event) = self.pair.poll_event() {
            match event {
                Event::Message(message) => {
                    let arrived = self.upstream.receive(&message);
                    self.ordered(arrived)?;
                }
                Event::Upgraded(_) => self.upgraded = Some(self.pair.now() - self.opened_at),
                Event::Writable => {
                    let Some(left) = self.blocked.checked_sub(1) else {
                        return Err(Violation::new("writable", "no message had been refused".into()));
                    };
                    self.blocked = left;
                    for _ in 0..core::mem::take(&mut self.unsent) {
                        self.send_from_server();
                    }
                }
                Event::Closed(reason) => {
                    self.reason = Some(reason);
                    self.closed_at = Some(self.pair.now());
                }
                Event::Open => self.opened_at = self.pair.now(),
                // Only clients emit these.
                Event::UpgradeFailed(_) | Event::Ping => {}
            }
            // Reading an event may produce transmits.
            self.pair.settle()?;
        }
        Ok(())
    }

    /// Checks I10, except where repeated requests make it impossible.
    fn ordered(&self, arrived: Result<(), Violation>) -> Result<(), Violation> {
        if self.scenario.network.repeated_requests > 0 { Ok(()) } else { arrived }
    }

    /// Checks the end of the run against the scenario.
    fn check_outcome(&mut self) -> Result<(), Violation> {
        let fail = |rule, detail: String| Err(Violation::new(rule, detail));
        if !self.pair.client().is_closed() {
            return fail("scenario", "the client is not closed".into());
        }
        if self.pair.machine().is_some() && self.reason.is_none() {
            return fail("I5", "the session never ended".into());
        }
        let network = &self.scenario.network;
        let faults = network.lost_requests > 0 || network.lost_links > 0 || network.repeated_requests > 0;
        // A session that ended in another way, or before, has no expected outcome.
        let as_planned = match self.ending {
            Ending::ClientCloses => self.client_reason == "forced close",
            Ending::ServerCloses => self.planned_end && self.client_reason == "transport close",
            _ => self.planned_end,
        };
        // The heartbeat was too short for this network.
        let given_up = self.scenario.heartbeat_timeout.is_some()
            && self.ending != Ending::NetworkFails
            && self.reason == Some(CloseReason::PingTimeout);
        let as_planned = as_planned && !given_up;
        // A `5` can arrive after the upgrade timeout. What was sent after it is then lost, in the reference as well.
        let missed = self.client_upgraded && self.upgraded.is_none();
        if faults || missed || !as_planned || self.reason.is_none() {
            return Ok(());
        }
        let expected = match self.ending {
            Ending::ClientCloses => Some("transport close"),
            Ending::ServerCloses | Ending::ServerDiscards => Some("forced close"),
            Ending::NetworkFails => Some("ping timeout"),
            Ending::ClientCrashes => None,
        };
        let reason = self.reason.map(|reason| reason.as_str()).unwrap_or_default();
        if self.scenario.ends_after_delivery && expected.is_some_and(|expected| expected != reason) {
            return fail("reason", format!("{reason:?} after {:?}", self.ending));
        }
        // An end that closes gracefully loses nothing it has sent, unless it closes its link while a POST is still in flight.
        let graceful = self.ending == Ending::ClientCloses && !self.scenario.behavior.upgrades_during_post;
        let up = self.scenario.ends_after_delivery || graceful;
        let down = self.scenario.ends_after_delivery || self.ending == Ending::ServerCloses;
        if (up && !self.upstream.is_complete()) || (down && !self.downstream.is_complete()) {
            return fail("I10", format!("lost: {:?} or {:?}, after {:?}", self.upstream, self.downstream, self.ending));
        }
        Ok(())
    }
}
