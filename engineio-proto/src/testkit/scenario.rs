//! Whole lives of a session, made up by a seed: messages both ways, an upgrade, trouble on the way, and an end.
//!
//! [`run`] plays a [`Scenario`] once, with a client and a server of [`Pair`], and judges it: every invariant after every step, order
//! without loss (I10), nothing lost by closing in order, the reason of the end where the scenario leaves only one, and nothing
//! left over afterwards.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt;
use core::time::Duration;

use super::client::{ClientEvent, ClientSettings, Habits};
use super::invariants::{Numbered, Violation};
use super::pair::{Pair, Step, Wires};
use crate::config::Config;
use crate::error::SendError;
use crate::event::{CloseReason, Event, LinkKind};
use crate::message::Message;
use crate::server::Session;
use crate::time::Instant;

/// How a scenario ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// The client closes in order.
    ClientCloses,
    /// The server closes in order.
    ServerCloses,
    /// The server closes at once.
    ServerDiscards,
    /// The client's process dies.
    ClientVanishes,
    /// The cable is pulled: neither end hears of it.
    CableIsPulled,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ClientCloses, Self::ServerCloses, Self::ServerDiscards, Self::ClientVanishes, Self::CableIsPulled];
}

/// The frame of a life; a seed fills it in.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "tests build it with a literal")]
pub struct Scenario {
    /// The server's settings.
    pub config: Config,
    /// The link that the client starts with; `None` to poll.
    pub start: Option<LinkKind>,
    /// The link that it upgrades to.
    pub upgrade: Option<LinkKind>,
    /// What the network does.
    pub wires: Wires,
    /// How many messages each end sends.
    pub messages: u64,
    /// The size of the largest of them, in bytes.
    pub largest: usize,
    /// Over how much time they are spread.
    pub span: Duration,
    /// For how long the server's application may look away, at most, every now and then.
    pub stall: Duration,
    /// What the client does that the JavaScript one does not.
    pub habits: Habits,
    /// For how long the client waits for a ping; as long as the server's settings say when `None`.
    pub patience: Option<Duration>,
    /// How it ends; any way when `None`.
    pub ending: Option<Ending>,
    /// Whether the end comes after everything has arrived, or at any time.
    pub quiet_end: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            config: Config::default(),
            start: None,
            upgrade: Some(LinkKind::WebSocket),
            wires: Wires::default(),
            messages: 20,
            largest: 200,
            span: Duration::from_secs(1),
            stall: Duration::ZERO,
            habits: Habits::default(),
            patience: None,
            ending: None,
            quiet_end: true,
        }
    }
}

/// What has happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// How long after the session had opened the server saw the upgrade.
    pub upgraded: Option<Duration>,
    /// Why the session ended; `None` when there never was one.
    pub reason: Option<CloseReason>,
    /// Why the client did, in the words of the reference.
    pub client_reason: &'static str,
    /// How it ended.
    pub ending: Ending,
    /// The time from the end's beginning to the session's last event.
    pub end_took: Duration,
    /// From the client to the server.
    pub upwards: Numbered,
    /// From the server to the client.
    pub downwards: Numbered,
    /// How often a message of the server was refused for lack of room.
    pub refused: u64,
    /// The same for every run of the same seed.
    pub digest: u64,
    /// The steps that it took.
    pub steps: u64,
    /// Everything that the machine saw, when it was asked for.
    pub log: String,
}

/// A run that went wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What did not hold.
    pub violation: Violation,
    /// Everything that the machine saw, when it was asked for.
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
    LookAway,
    End,
}

/// A scenario being played.
struct Play<'a> {
    scenario: &'a Scenario,
    pair: Pair<Session, Action>,
    ending: Ending,
    upwards: Numbered,
    downwards: Numbered,
    to_send_up: u64,
    to_send_down: u64,
    /// Messages that were refused for lack of room, and that no [`Event::Writable`] has answered yet. More than one when the application
    /// looks away.
    blocked: u64,
    refused: u64,
    /// The server's application reads nothing until then.
    looks_again: Instant,
    opened_at: Instant,
    upgraded: Option<Duration>,
    client_upgraded: bool,
    /// Both ends were there when the end began.
    planned_end: bool,
    ended_at: Option<Instant>,
    closed_at: Option<Instant>,
    reason: Option<CloseReason>,
    client_reason: &'static str,
}

/// Plays the scenario as this seed fills it in. With `log`, a failure tells everything that the machine saw.
///
/// # Errors
/// What did not hold.
pub fn run(seed: u64, scenario: &Scenario, log: bool) -> Result<Report, Box<Failure>> {
    let mut play = Play::new(seed, scenario, log);
    match play.live() {
        Ok(report) => Ok(report),
        Err(violation) => Err(Box::new(Failure { violation, log: play.log() })),
    }
}

impl<'a> Play<'a> {
    fn new(seed: u64, scenario: &'a Scenario, log: bool) -> Self {
        let config = scenario.config.clone();
        let settings = ClientSettings {
            start: scenario.start,
            upgrade: scenario.upgrade,
            patience: scenario.patience.unwrap_or(config.ping_interval + config.ping_timeout),
            max_payload: config.max_payload,
            habits: scenario.habits,
        };
        let mut pair = Pair::new(seed, config, settings, scenario.wires.clone(), log, |session| session);
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
            pair.schedule(scenario.stall, Action::LookAway);
        }
        if !scenario.quiet_end {
            let delay = pair.random().duration(Duration::ZERO, scenario.span.saturating_mul(2));
            pair.schedule(delay, Action::End);
        }
        Self {
            scenario,
            looks_again: pair.now(),
            pair,
            ending,
            upwards: Numbered::new("client to server"),
            downwards: Numbered::new("server to client"),
            to_send_up: scenario.messages,
            to_send_down: scenario.messages,
            blocked: 0,
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

    fn log(&self) -> String {
        self.pair.machine().map(|machine| machine.log().to_string()).unwrap_or_default()
    }

    fn live(&mut self) -> Result<Report, Violation> {
        // An hour of virtual time is more than any scenario needs.
        let limit = self.pair.now() + Duration::from_secs(3600);
        let mut steps = 0_u64;
        let mut end_is_near = !self.scenario.quiet_end;
        loop {
            let step = self.pair.step()?;
            steps = steps.saturating_add(1);
            match step {
                Step::Idle => break,
                Step::Moved => {}
                Step::Action(action) => {
                    // An application that has looked away looks at least once before it does so again.
                    self.read()?;
                    self.act(action);
                }
            }
            self.read()?;
            if !end_is_near && self.is_complete() {
                end_is_near = true;
                let delay = self.pair.random().duration(Duration::ZERO, Duration::from_millis(300));
                self.pair.schedule(delay, Action::End);
            }
            if self.pair.now() > limit {
                return Err(Violation::new("scenario", format!("never ends, after {:?}", self.ending)));
            }
        }
        self.read()?;
        self.pair.finish()?;
        self.judge()?;
        Ok(Report {
            upgraded: self.upgraded,
            reason: self.reason,
            client_reason: self.client_reason,
            ending: self.ending,
            end_took: match (self.ended_at, self.closed_at) {
                (Some(ended), Some(closed)) => closed - ended,
                _ => Duration::ZERO,
            },
            upwards: self.upwards.clone(),
            downwards: self.downwards.clone(),
            refused: self.refused,
            digest: self.pair.machine().map_or(0, |machine| machine.digest()),
            steps,
            log: self.log(),
        })
    }

    /// Whether everything that was to happen before the end has happened; also when it cannot any more.
    fn is_complete(&mut self) -> bool {
        let sent = self.to_send_up == 0 && self.to_send_down == 0;
        let arrived = self.upwards.is_complete() && self.downwards.is_complete();
        let upgraded = self.scenario.upgrade.is_none() || self.scenario.start.is_some() || self.upgraded.is_some();
        let dead = self.reason.is_some() || self.pair.client().is_closed();
        dead || (sent && arrived && upgraded)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::FromClient => {
                if self.pair.client().is_open() {
                    let message = self.message(|play| &play.upwards);
                    self.pair.client().send(message);
                    self.upwards.count_sent();
                    self.to_send_up = self.to_send_up.saturating_sub(1);
                } else if !self.pair.client().is_closed() {
                    self.pair.schedule(Duration::from_millis(50), action);
                }
            }
            Action::FromServer => self.send_from_server(),
            Action::LookAway => {
                let away = self.pair.random().duration(Duration::ZERO, self.scenario.stall);
                self.looks_again = self.pair.now() + away;
                if self.reason.is_none() && !self.pair.client().is_closed() {
                    let next = self.pair.random().duration(away, self.scenario.stall.saturating_mul(2));
                    self.pair.schedule(next, action);
                } else {
                    // Something has to wake it up.
                    self.looks_again = self.pair.now();
                }
            }
            Action::End => self.end(),
        }
    }

    fn message(&mut self, numbered: impl FnOnce(&Self) -> &Numbered) -> Message {
        let size = self.pair.random().index(self.scenario.largest.saturating_add(1));
        let binary = self.pair.random().chance(250);
        numbered(self).next_message(size, binary)
    }

    fn send_from_server(&mut self) {
        let message = self.message(|play| &play.downwards);
        // The machine may add a type and its own keeping to each frame.
        let size = message.len().saturating_add(64);
        match self.pair.command(size, |session| session.send(message)) {
            Some(Ok(())) => {
                self.downwards.count_sent();
                self.to_send_down = self.to_send_down.saturating_sub(1);
            }
            Some(Err(SendError::Full)) => {
                self.blocked = self.blocked.saturating_add(1);
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
        // Anew when it is tried again: whatever was to end had not begun.
        self.ended_at = Some(self.pair.now());
        match self.ending {
            // As the reference, which closes a transport that is opening when it has opened.
            Ending::ClientCloses if !self.pair.client().is_open() && !self.pair.client().is_closed() => {
                self.pair.schedule(Duration::from_millis(50), Action::End);
            }
            Ending::ClientCloses => self.pair.client().close(),
            Ending::ServerCloses | Ending::ServerDiscards => {
                let discards = self.ending == Ending::ServerDiscards;
                let there = self
                    .pair
                    .timed_command(0, |session, now| if discards { session.discard(now) } else { session.close(now) });
                if there.is_none() && !self.pair.client().is_closed() {
                    self.pair.schedule(Duration::from_millis(50), Action::End);
                }
            }
            Ending::ClientVanishes => {
                self.pair.vanish();
                if self.scenario.habits.impatient {
                    // A POST that was under way is gone with it. What it sent behind that on its link still arrives.
                    self.upwards.allow_gaps();
                }
            }
            Ending::CableIsPulled => {
                self.pair.pull_cable();
                if !self.pair.client().is_open() {
                    // It has no deadline of its own before it is open; its application has.
                    self.pair.client().vanish();
                }
            }
        }
    }

    /// Both applications read what there is, unless the server's looks away.
    fn read(&mut self) -> Result<(), Violation> {
        while let Some(event) = self.pair.client().poll_event() {
            match event {
                ClientEvent::Message(message) => {
                    let arrived = self.downwards.receive(&message);
                    self.ordered(arrived)?;
                }
                ClientEvent::Upgraded => self.client_upgraded = true,
                ClientEvent::Closed(reason) => self.client_reason = reason,
                ClientEvent::Open => {}
            }
        }
        if self.pair.now() < self.looks_again {
            return Ok(());
        }
        while let Some(event) = self.pair.poll_event() {
            match event {
                Event::Message(message) => {
                    let arrived = self.upwards.receive(&message);
                    self.ordered(arrived)?;
                }
                Event::Upgraded(_) => self.upgraded = Some(self.pair.now() - self.opened_at),
                Event::Writable => {
                    let Some(left) = self.blocked.checked_sub(1) else {
                        return Err(Violation::new("writable", "nothing had been refused".into()));
                    };
                    self.blocked = left;
                    self.send_from_server();
                }
                Event::Closed(reason) => {
                    self.reason = Some(reason);
                    self.closed_at = Some(self.pair.now());
                }
                Event::Open => self.opened_at = self.pair.now(),
            }
            // What was read may make the machine want more.
            self.pair.settle()?;
        }
        Ok(())
    }

    /// I10, where it can be asked for.
    fn ordered(&self, arrived: Result<(), Violation>) -> Result<(), Violation> {
        if self.scenario.wires.repeated_requests > 0 { Ok(()) } else { arrived }
    }

    /// What the scenario promises of its end.
    fn judge(&mut self) -> Result<(), Violation> {
        let fail = |rule, detail: String| Err(Violation::new(rule, detail));
        if !self.pair.client().is_closed() {
            return fail("scenario", "the client is still there".into());
        }
        if self.pair.machine().is_some() && self.reason.is_none() {
            return fail("I5", "the session never ended".into());
        }
        let wires = &self.scenario.wires;
        let trouble = wires.lost_requests > 0 || wires.lost_links > 0 || wires.repeated_requests > 0;
        // What ended by itself, before or instead, promises nothing.
        let as_planned = match self.ending {
            Ending::ClientCloses => self.client_reason == "forced close",
            Ending::ServerCloses => self.planned_end && self.client_reason == "transport close",
            _ => self.planned_end,
        };
        // A heartbeat for which the network is too slow.
        let given_up = self.scenario.patience.is_some()
            && self.ending != Ending::CableIsPulled
            && self.reason == Some(CloseReason::PingTimeout);
        let as_planned = as_planned && !given_up;
        // A `5` may meet the upgrade timeout: what was sent behind it is lost, in the reference as well.
        let missed = self.client_upgraded && self.upgraded.is_none();
        if trouble || missed || !as_planned || self.reason.is_none() {
            return Ok(());
        }
        let expected = match self.ending {
            Ending::ClientCloses => Some("transport close"),
            Ending::ServerCloses | Ending::ServerDiscards => Some("forced close"),
            Ending::CableIsPulled => Some("ping timeout"),
            Ending::ClientVanishes => None,
        };
        let reason = self.reason.map(|reason| reason.as_str()).unwrap_or_default();
        if self.scenario.quiet_end && expected.is_some_and(|expected| expected != reason) {
            return fail("reason", format!("{reason:?} after {:?}", self.ending));
        }
        // Whoever closes in order loses nothing that it has sent, unless it closes its link while a POST is still on its way.
        let in_order = self.ending == Ending::ClientCloses && !self.scenario.habits.impatient;
        let up = self.scenario.quiet_end || in_order;
        let down = self.scenario.quiet_end || self.ending == Ending::ServerCloses;
        if (up && !self.upwards.is_complete()) || (down && !self.downwards.is_complete()) {
            return fail("I10", format!("lost: {:?} or {:?}, after {:?}", self.upwards, self.downwards, self.ending));
        }
        Ok(())
    }
}
