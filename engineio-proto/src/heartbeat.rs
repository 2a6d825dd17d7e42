//! Pings and pongs: one end asks, the other answers, and whoever hears nothing in time is alone.
//!
//! The server asks in revision 4, the client in revision 3: so [`Heartbeat::asks`] is for the server of revision 4 and the client of
//! 3, and `Heartbeat::answers` for the other two. A heartbeat knows times and facts, and no session: it says what to send, which
//! timers to set, and when to close ([`Actions`]).
//!
//! Who asks: a ping leaves one interval after the last pong (or the opening). The pong must come within the timeout of the moment at
//! which the ping was due; the first other packet after the ping puts that off once. A pong that nobody asked for is ignored:
//! in the reference it postpones the next ping, so that a peer could keep the server from ever asking.
//!
//! Who answers: the next packet must come within interval and timeout together.
//!
//! Two things put the deadline off, because they are this side's doing and not the peer's:
//!
//! * **A stall.** This side has stopped reading, so that the pong may lie unread behind other input. The peer has a deadline of its own,
//!   for the next ping: so pings go on, one every interval. A stall is ended by its own limit
//!   ([`Limits::max_stall`](crate::Limits::max_stall)).
//! * **Oversleeping.** The deadline was noticed late by more than half of the timeout: the process was suspended or starved, and
//!   a pong that came in time may not have been read. A link gets the time for one more read; a polling session only if a POST has been
//!   accepted that may bring the pong.
//!
//! Source: engine.io 6.6.13 `lib/socket.ts`, `schedulePing`, `resetPingTimeout` and `onPacket`.

use core::time::Duration;

use crate::config::Config;
use crate::event::{CloseReason, TransportError};
use crate::time::Instant;

/// One end's half of a heartbeat.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    role: Role,
    /// When the last ping was sent.
    pinged: Instant,
    /// Since when the deadline has been put off because this side had stopped reading; the far future when it was not.
    stalled_since: Instant,
    /// Whether this side has stopped reading since the deadline was last set.
    stalled: bool,
    /// Whether the deadline was put off because it was noticed late.
    overslept: bool,
}

/// What an end does.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// It sends pings.
    Asks(Pong),
    /// It answers them.
    #[allow(dead_code, reason = "no request is routed to revision 3 yet, only tests of the testkit make such sessions")]
    Answers,
}

/// The times of a heartbeat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    interval: Duration,
    timeout: Duration,
    max_stall: Duration,
}

/// The timers of a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Beat {
    /// The next ping: who asks sends it, who answers must have got it.
    Ping,
    /// The pong must have come. Only for who asks.
    Pong,
}

/// What matters to a deadline that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// This side has stopped reading.
    pub(crate) has_stopped_reading: bool,
    /// The peer may have sent something that this side has yet to read.
    pub(crate) may_be_unread: bool,
}

/// What a heartbeat wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) struct Actions {
    pub(crate) send: Option<Send>,
    /// Set [`Beat::Ping`] to this time.
    pub(crate) ping: Option<Instant>,
    /// Set [`Beat::Pong`] to this time; [`Instant::FAR_FUTURE`] clears it.
    pub(crate) pong: Option<Instant>,
    pub(crate) close: Option<CloseReason>,
}

/// What to send, ahead of everything else. One that has not left yet is as good as two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Send {
    Ping,
    Pong,
}

/// Whether a pong is awaited.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pong {
    /// No ping is outstanding.
    Idle,
    /// A ping is outstanding.
    Awaited,
    /// A ping is outstanding, and another packet has put its deadline off.
    Extended,
}

impl From<&Config> for Pace {
    #[inline]
    fn from(config: &Config) -> Self {
        Self { interval: config.ping_interval, timeout: config.ping_timeout, max_stall: config.limits.max_stall }
    }
}

impl Pace {
    /// Whether a deadline was noticed so late that the peer would pay for it.
    fn overslept(&self, now: Instant, due: Instant) -> bool {
        now - due > self.timeout / 2
    }

    /// How long who answers waits.
    fn silence(&self) -> Duration {
        self.interval.saturating_add(self.timeout)
    }
}

impl Actions {
    const NONE: Self = Self { send: None, ping: None, pong: None, close: None };

    const fn close(reason: CloseReason) -> Self {
        Self { close: Some(reason), ..Self::NONE }
    }
}

impl Heartbeat {
    /// The end that asks.
    pub(crate) const fn asks() -> Self {
        Self::new(Role::Asks(Pong::Idle))
    }

    /// The end that answers.
    #[cfg(feature = "testkit")]
    pub(crate) const fn answers() -> Self {
        Self::new(Role::Answers)
    }

    const fn new(role: Role) -> Self {
        let (pinged, stalled_since) = (Instant::ZERO, Instant::FAR_FUTURE);
        Self { role, pinged, stalled_since, stalled: false, overslept: false }
    }

    /// The session is open.
    pub(crate) fn handle_open(&self, now: Instant, pace: Pace) -> Actions {
        let wait = match self.role {
            Role::Asks(_) => pace.interval,
            Role::Answers => pace.silence(),
        };
        Actions { ping: Some(now + wait), ..Actions::NONE }
    }

    /// A ping came.
    pub(crate) fn handle_ping(&mut self, now: Instant, pace: Pace) -> Actions {
        match self.role {
            Role::Asks(_) => Actions::close(CloseReason::TransportError(TransportError::HeartbeatDirection)),
            Role::Answers => Actions { send: Some(Send::Pong), ..self.handle_packet(now, pace) },
        }
    }

    /// A pong came.
    pub(crate) fn handle_pong(&mut self, now: Instant, pace: Pace) -> Actions {
        match self.role {
            Role::Asks(Pong::Idle) => Actions::NONE,
            Role::Asks(Pong::Awaited | Pong::Extended) => {
                // A peer waits for the next ping from the last one on: what a stall has cost of that time is not its to lose.
                let has_stalled = self.stalled || self.stalled_since != Instant::FAR_FUTURE;
                let from = if has_stalled { self.pinged } else { now };
                *self = Self::asks();
                Actions { ping: Some(from + pace.interval), pong: Some(Instant::FAR_FUTURE), ..Actions::NONE }
            }
            Role::Answers => Actions::close(CloseReason::TransportError(TransportError::HeartbeatDirection)),
        }
    }

    /// Whether [`Heartbeat::handle_packet`] has anything to do.
    #[inline]
    pub(crate) fn heeds_packets(&self) -> bool {
        matches!(self.role, Role::Asks(Pong::Awaited) | Role::Answers)
    }

    /// Another packet came, which is a sign of life.
    pub(crate) fn handle_packet(&mut self, now: Instant, pace: Pace) -> Actions {
        match self.role {
            Role::Asks(Pong::Awaited) => {
                self.role = Role::Asks(Pong::Extended);
                Actions { pong: Some(now + pace.timeout), ..Actions::NONE }
            }
            Role::Asks(Pong::Idle | Pong::Extended) => Actions::NONE,
            Role::Answers => {
                *self = Self::new(Role::Answers);
                Actions { ping: Some(now + pace.silence()), ..Actions::NONE }
            }
        }
    }

    /// This side stops reading for now: what the peer has sent may lie behind what is unread. Over polling it comes in a POST of its own,
    /// after the one that waits. As long as this side does not read, the next ping does not wait for a pong.
    pub(crate) fn handle_stop_reading(&mut self, pace: Pace) -> Actions {
        self.stalled = true;
        let awaits = matches!(self.role, Role::Asks(Pong::Awaited | Pong::Extended));
        Actions { ping: awaits.then(|| self.pinged + pace.interval), ..Actions::NONE }
    }

    /// A timer is over that was set to `due`.
    pub(crate) fn handle_timeout(
        &mut self,
        beat: Beat,
        now: Instant,
        due: Instant,
        facts: Facts,
        pace: Pace,
    ) -> Actions {
        match (self.role, beat) {
            (Role::Asks(pong), Beat::Ping) => self.ping(pong, now, due, facts, pace),
            (Role::Asks(_), Beat::Pong) => match self.put_off(now, due, facts, pace) {
                Ok(deadline) => Actions { pong: Some(deadline), ..Actions::NONE },
                Err(reason) => Actions::close(reason),
            },
            (Role::Answers, _) => match self.put_off(now, due, facts, pace) {
                Ok(deadline) => Actions { ping: Some(deadline), ..Actions::NONE },
                Err(reason) => Actions::close(reason),
            },
        }
    }

    /// Sends a ping that was due at `due`, now or a little earlier.
    fn ping(&mut self, pong: Pong, now: Instant, due: Instant, facts: Facts, pace: Pace) -> Actions {
        let mut actions = Actions { send: Some(Send::Ping), ..Actions::NONE };
        // The ping before may have been answered, and this side has yet to read it: its deadline stays.
        if pong == Pong::Idle {
            *self = Self::new(Role::Asks(Pong::Awaited));
            // The peer's time runs from when the ping was due, unless we overslept so much that it would pay for it.
            let from = if pace.overslept(now, due) { now } else { due };
            actions.pong = Some(from + pace.timeout);
        }
        self.pinged = now;
        if facts.has_stopped_reading {
            actions.ping = self.handle_stop_reading(pace).ping;
        }
        actions
    }

    /// The deadline `due` is over, and nothing came: when it is over instead, or why to close.
    fn put_off(&mut self, now: Instant, due: Instant, facts: Facts, pace: Pace) -> Result<Instant, CloseReason> {
        let stalls = facts.has_stopped_reading;
        if core::mem::replace(&mut self.stalled, stalls) || stalls {
            if self.stalled_since == Instant::FAR_FUTURE {
                self.stalled_since = due;
            }
            if now - self.stalled_since < pace.max_stall {
                return Ok(now + pace.timeout);
            }
            return Err(CloseReason::TransportError(TransportError::Stalled));
        }
        if pace.overslept(now, due) && facts.may_be_unread && !self.overslept {
            self.overslept = true;
            return Ok(now + pace.timeout / 4);
        }
        Err(CloseReason::PingTimeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Facts = Facts { has_stopped_reading: false, may_be_unread: false };

    fn pace() -> Pace {
        Pace { interval: Duration::from_secs(25), timeout: Duration::from_secs(20), max_stall: Duration::from_secs(60) }
    }

    const fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn who_asks_pings_and_closes_when_no_pong_comes() {
        let mut heartbeat = Heartbeat::asks();
        assert_eq!(heartbeat.handle_open(at(0), pace()).ping, Some(at(25)));
        let asked = heartbeat.handle_timeout(Beat::Ping, at(25), at(25), NOTHING, pace());
        assert_eq!((asked.send, asked.pong), (Some(Send::Ping), Some(at(45))));
        assert_eq!(heartbeat.handle_packet(at(30), pace()).pong, Some(at(50)), "put off once");
        assert!(!heartbeat.heeds_packets());
        let answered = heartbeat.handle_pong(at(40), pace());
        assert_eq!((answered.ping, answered.pong), (Some(at(65)), Some(Instant::FAR_FUTURE)));
        assert_eq!(heartbeat.handle_pong(at(41), pace()), Actions::NONE, "nobody asked for it");
        let _ = heartbeat.handle_timeout(Beat::Ping, at(65), at(65), NOTHING, pace());
        let missing = heartbeat.handle_timeout(Beat::Pong, at(85), at(85), NOTHING, pace());
        assert_eq!(missing.close, Some(CloseReason::PingTimeout));
    }

    #[test]
    fn who_answers_sends_pongs_and_closes_when_no_ping_comes() {
        let mut heartbeat = Heartbeat::answers();
        assert_eq!(heartbeat.handle_open(at(0), pace()).ping, Some(at(45)));
        let answer = heartbeat.handle_ping(at(25), pace());
        assert_eq!((answer.send, answer.ping), (Some(Send::Pong), Some(at(70))));
        let stalled = Facts { has_stopped_reading: true, ..NOTHING };
        assert_eq!(heartbeat.handle_timeout(Beat::Ping, at(70), at(70), stalled, pace()).ping, Some(at(90)));
        assert_eq!(heartbeat.handle_packet(at(80), pace()).ping, Some(at(125)), "any packet is a sign of life");
        let missing = heartbeat.handle_timeout(Beat::Ping, at(125), at(125), NOTHING, pace());
        assert_eq!(missing.close, Some(CloseReason::PingTimeout));
    }

    #[test]
    fn each_end_refuses_what_only_it_may_send() {
        let refused = Some(CloseReason::TransportError(TransportError::HeartbeatDirection));
        assert_eq!(Heartbeat::asks().handle_ping(at(1), pace()).close, refused);
        assert_eq!(Heartbeat::answers().handle_pong(at(1), pace()).close, refused);
    }
}
