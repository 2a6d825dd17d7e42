//! Pings and pongs: one end sends pings, the other answers them with pongs, and each detects that the other no longer responds.
//!
//! The server sends the pings in revision 4, and the client in revision 3. [`Heartbeat::sending_pings`] is for the server of revision 4 and the
//! client of revision 3, [`Heartbeat::answering_pings`] for the other two. A heartbeat does not depend on a session. It gets times and facts, and
//! returns what to send, which timers to set, and when to close ([`Actions`]).
//!
//! The end that asks sends a ping one interval after the last pong, or after the opening. The pong must arrive within the timeout, counted
//! from when the ping was due. The first other packet after the ping extends this deadline once. A pong without a ping is ignored. In the
//! reference, it postpones the next ping, so that a peer could prevent all pings.
//!
//! The end that answers expects the next ping within the sum of interval and timeout. As in the reference, other packets do not extend this.
//!
//! Two causes that lie with this side extend a deadline:
//!
//! * **A stall.** This side has stopped reading, so the pong may be unread behind other input. Meanwhile the peer also waits for its next
//!   ping. Pings therefore go on, one per interval. A stall has its own limit ([`Limits::max_stall`](crate::Limits::max_stall)).
//! * **Oversleeping.** The timeout was handled late by more than half of the ping timeout, because the process was suspended or starved. A
//!   pong that arrived in time may be unread. A link gets time for one more read. A polling session gets it only if a POST has been
//!   accepted, which may bring the pong.
//!
//! Source: engine.io 6.6.13 `lib/socket.ts`, `schedulePing`, `resetPingTimeout` and `onPacket`.

use core::time::Duration;

use crate::config::Config;
use crate::event::{CloseReason, TransportError};
use crate::time::Instant;

/// The heartbeat of one end.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    role: Role,
    /// When the last ping was sent.
    pinged: Instant,
    /// When the current stall began, which is the first deadline that was extended for it. [`Instant::FAR_FUTURE`] without a stall.
    stalled_since: Instant,
    /// Whether this side has stopped reading since the deadline was set.
    stalled: bool,
    /// Whether the deadline was extended because the timeout was handled late.
    overslept: bool,
}

/// The role of an end.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// Sends pings.
    SendsPings(Pong),
    /// Answers pings.
    AnswersPings,
}

/// The durations of a heartbeat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    interval: Duration,
    timeout: Duration,
    max_stall: Duration,
}

/// The timers of a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeartbeatTimer {
    /// The next ping. The end that asks sends it. The end that answers must have received it.
    Ping,
    /// The pong must have arrived. Used only by the end that asks.
    Pong,
}

/// What a session has read and not read, which determines what happens at a deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadState {
    /// This side has stopped reading.
    pub(crate) has_stopped_reading: bool,
    /// The peer may have sent packets that this side has not read yet.
    pub(crate) may_be_unread: bool,
}

/// The actions that a heartbeat requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) struct Actions {
    pub(crate) send: Option<Send>,
    /// Set [`HeartbeatTimer::Ping`] to this time.
    pub(crate) ping: Option<Instant>,
    /// Set [`HeartbeatTimer::Pong`] to this time; [`Instant::FAR_FUTURE`] clears it.
    pub(crate) pong: Option<Instant>,
    pub(crate) close: Option<CloseReason>,
}

/// The packet to send, ahead of all others. If one is still unsent, another is not needed.
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
    /// A ping is outstanding, and another packet has extended its deadline.
    Extended,
}

impl From<&Config> for Timing {
    #[inline]
    fn from(config: &Config) -> Self {
        Self { interval: config.ping_interval, timeout: config.ping_timeout, max_stall: config.limits.max_stall }
    }
}

impl Timing {
    /// A heartbeat with this interval and timeout.
    pub(crate) const fn new(interval: Duration, timeout: Duration, max_stall: Duration) -> Self {
        Self { interval, timeout, max_stall }
    }

    /// Whether a deadline is handled so late that the peer would lose too much of its time.
    fn overslept(&self, now: Instant, due: Instant) -> bool {
        now - due > self.timeout / 2
    }

    /// How long the end that answers waits for a ping.
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
    /// The end that sends pings.
    pub(crate) const fn sending_pings() -> Self {
        Self::new(Role::SendsPings(Pong::Idle))
    }

    /// The end that answers pings.
    pub(crate) const fn answering_pings() -> Self {
        Self::new(Role::AnswersPings)
    }

    const fn new(role: Role) -> Self {
        let (pinged, stalled_since) = (Instant::ZERO, Instant::FAR_FUTURE);
        Self { role, pinged, stalled_since, stalled: false, overslept: false }
    }

    /// Whether this end sends the pings.
    pub(crate) const fn sends_pings(&self) -> bool {
        matches!(self.role, Role::SendsPings(_))
    }

    /// The session is open.
    pub(crate) fn handle_open(&self, now: Instant, timing: Timing) -> Actions {
        let wait = match self.role {
            Role::SendsPings(_) => timing.interval,
            Role::AnswersPings => timing.silence(),
        };
        Actions { ping: Some(now + wait), ..Actions::NONE }
    }

    /// A ping arrived.
    pub(crate) fn handle_ping(&mut self, now: Instant, timing: Timing) -> Actions {
        match self.role {
            Role::SendsPings(_) => Actions::close(CloseReason::TransportError(TransportError::HeartbeatDirection)),
            Role::AnswersPings => {
                *self = Self::answering_pings();
                Actions { send: Some(Send::Pong), ping: Some(now + timing.silence()), ..Actions::NONE }
            }
        }
    }

    /// A pong arrived.
    pub(crate) fn handle_pong(&mut self, now: Instant, timing: Timing) -> Actions {
        match self.role {
            Role::SendsPings(Pong::Idle) => Actions::NONE,
            Role::SendsPings(Pong::Awaited | Pong::Extended) => {
                // The peer counts the time to its next ping from the last one. After a stall, the interval starts there, so that the peer
                // does not time out.
                let has_stalled = self.stalled || self.stalled_since != Instant::FAR_FUTURE;
                let from = if has_stalled { self.pinged } else { now };
                *self = Self::sending_pings();
                Actions { ping: Some(from + timing.interval), pong: Some(Instant::FAR_FUTURE), ..Actions::NONE }
            }
            Role::AnswersPings => Actions::close(CloseReason::TransportError(TransportError::HeartbeatDirection)),
        }
    }

    /// Whether [`Heartbeat::handle_packet`] has anything to do.
    #[inline]
    pub(crate) fn heeds_packets(&self) -> bool {
        matches!(self.role, Role::SendsPings(Pong::Awaited))
    }

    /// Another packet arrived, which shows that the peer is alive.
    pub(crate) fn handle_packet(&mut self, now: Instant, timing: Timing) -> Actions {
        match self.role {
            Role::SendsPings(Pong::Awaited) => {
                self.role = Role::SendsPings(Pong::Extended);
                Actions { pong: Some(now + timing.timeout), ..Actions::NONE }
            }
            Role::SendsPings(Pong::Idle | Pong::Extended) | Role::AnswersPings => Actions::NONE,
        }
    }

    /// This side stops reading for now. The pong may be behind the unread input. On polling, it arrives in a POST of its own, after the one
    /// that waits. While this side does not read, the next ping does not wait for a pong.
    pub(crate) fn handle_stop_reading(&mut self, timing: Timing) -> Actions {
        self.stalled = true;
        let awaits = matches!(self.role, Role::SendsPings(Pong::Awaited | Pong::Extended));
        Actions { ping: awaits.then(|| self.pinged + timing.interval), ..Actions::NONE }
    }

    /// A timer that was set to `due` has fired.
    pub(crate) fn handle_timeout(
        &mut self,
        timer: HeartbeatTimer,
        now: Instant,
        due: Instant,
        read_state: ReadState,
        timing: Timing,
    ) -> Actions {
        match (self.role, timer) {
            (Role::SendsPings(pong), HeartbeatTimer::Ping) => self.ping(pong, now, due, read_state, timing),
            (Role::SendsPings(_), HeartbeatTimer::Pong) => match self.put_off(now, due, read_state, timing) {
                Ok(deadline) => Actions { pong: Some(deadline), ..Actions::NONE },
                Err(reason) => Actions::close(reason),
            },
            (Role::AnswersPings, _) => match self.put_off(now, due, read_state, timing) {
                Ok(deadline) => Actions { ping: Some(deadline), ..Actions::NONE },
                Err(reason) => Actions::close(reason),
            },
        }
    }

    /// Sends the ping that was due at `due`.
    fn ping(&mut self, pong: Pong, now: Instant, due: Instant, read_state: ReadState, timing: Timing) -> Actions {
        let mut actions = Actions { send: Some(Send::Ping), ..Actions::NONE };
        // If a pong is still awaited, it may have arrived without having been read. Its deadline stays.
        if pong == Pong::Idle {
            *self = Self::new(Role::SendsPings(Pong::Awaited));
            // The peer's time starts when the ping was due, unless this is too long ago.
            let from = if timing.overslept(now, due) { now } else { due };
            actions.pong = Some(from + timing.timeout);
        }
        self.pinged = now;
        if read_state.has_stopped_reading {
            actions.ping = self.handle_stop_reading(timing).ping;
        }
        actions
    }

    /// The deadline `due` has passed without the awaited packet. Returns the extended deadline, or why to close.
    fn put_off(
        &mut self,
        now: Instant,
        due: Instant,
        read_state: ReadState,
        timing: Timing,
    ) -> Result<Instant, CloseReason> {
        let stalls = read_state.has_stopped_reading;
        if core::mem::replace(&mut self.stalled, stalls) || stalls {
            if self.stalled_since == Instant::FAR_FUTURE {
                self.stalled_since = due;
            }
            if now - self.stalled_since < timing.max_stall {
                return Ok(now + timing.timeout);
            }
            return Err(CloseReason::TransportError(TransportError::Stalled));
        }
        if timing.overslept(now, due) && read_state.may_be_unread && !self.overslept {
            self.overslept = true;
            return Ok(now + timing.timeout / 4);
        }
        Err(CloseReason::PingTimeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: ReadState = ReadState { has_stopped_reading: false, may_be_unread: false };

    fn timing() -> Timing {
        Timing {
            interval: Duration::from_secs(25),
            timeout: Duration::from_secs(20),
            max_stall: Duration::from_secs(60),
        }
    }

    const fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn who_asks_pings_and_closes_when_no_pong_comes() {
        let mut heartbeat = Heartbeat::sending_pings();
        assert_eq!(heartbeat.handle_open(at(0), timing()).ping, Some(at(25)));
        let asked = heartbeat.handle_timeout(HeartbeatTimer::Ping, at(25), at(25), NOTHING, timing());
        assert_eq!((asked.send, asked.pong), (Some(Send::Ping), Some(at(45))));
        assert_eq!(heartbeat.handle_packet(at(30), timing()).pong, Some(at(50)), "put off once");
        assert!(!heartbeat.heeds_packets());
        let answered = heartbeat.handle_pong(at(40), timing());
        assert_eq!((answered.ping, answered.pong), (Some(at(65)), Some(Instant::FAR_FUTURE)));
        assert_eq!(heartbeat.handle_pong(at(41), timing()), Actions::NONE, "nobody asked for it");
        let _ = heartbeat.handle_timeout(HeartbeatTimer::Ping, at(65), at(65), NOTHING, timing());
        let missing = heartbeat.handle_timeout(HeartbeatTimer::Pong, at(85), at(85), NOTHING, timing());
        assert_eq!(missing.close, Some(CloseReason::PingTimeout));
    }

    #[test]
    fn who_answers_sends_pongs_and_closes_when_no_ping_comes() {
        let mut heartbeat = Heartbeat::answering_pings();
        assert_eq!(heartbeat.handle_open(at(0), timing()).ping, Some(at(45)));
        let answer = heartbeat.handle_ping(at(25), timing());
        assert_eq!((answer.send, answer.ping), (Some(Send::Pong), Some(at(70))));
        let stalled = ReadState { has_stopped_reading: true, ..NOTHING };
        assert_eq!(
            heartbeat.handle_timeout(HeartbeatTimer::Ping, at(70), at(70), stalled, timing()).ping,
            Some(at(90))
        );
        assert_eq!(heartbeat.handle_packet(at(80), timing()), Actions::NONE, "only a ping counts");
        assert_eq!(heartbeat.handle_ping(at(85), timing()).ping, Some(at(130)));
        let missing = heartbeat.handle_timeout(HeartbeatTimer::Ping, at(130), at(130), NOTHING, timing());
        assert_eq!(missing.close, Some(CloseReason::PingTimeout));
    }

    #[test]
    fn each_end_refuses_what_only_it_may_send() {
        let refused = Some(CloseReason::TransportError(TransportError::HeartbeatDirection));
        assert_eq!(Heartbeat::sending_pings().handle_ping(at(1), timing()).close, refused);
        assert_eq!(Heartbeat::answering_pings().handle_pong(at(1), timing()).close, refused);
    }
}
