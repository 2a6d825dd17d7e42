//! Pings and pongs: the server asks, the client answers, and a client that does not is gone.
//!
//! A ping leaves `ping_interval` after the last pong (or the opening). The pong must come within `ping_timeout` of the moment at
//! which the ping was due; the first other packet after the ping puts that off once. A pong that nobody asked for is ignored:
//! in the reference it postpones the next ping, so that a peer could keep the server from ever asking.
//!
//! Two things put the deadline off, because they are this side's doing and not the peer's:
//!
//! * **A stall.** This side has stopped reading, so that the pong may lie unread behind other input. The peer has a deadline of its own,
//!   for the next ping: so pings go on, one every `ping_interval`. A stall is ended by its own limit
//!   ([`Limits::max_stall`](crate::Limits::max_stall)).
//! * **Oversleeping.** The deadline was noticed late by more than half of `ping_timeout`: the process was suspended or starved, and
//!   a pong that came in time may not have been read. A link gets the time for one more read; a polling session only if a POST has been
//!   accepted that may bring the pong.
//!
//! Source: engine.io 6.6.13 `lib/socket.ts`, `schedulePing`, `resetPingTimeout` and `onPacket`.

use super::session::{Session, Timer};
use crate::event::{CloseReason, TransportError};
use crate::packet::Frame;
use crate::time::Instant;

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

/// The state of a session's heartbeat beside its two timers.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat {
    pong: Pong,
    /// When the last ping was sent.
    pinged: Instant,
    /// Whether this side has stopped reading since the pong's deadline was last set.
    stalled: bool,
    /// Since when the deadline has been put off because this side had stopped reading.
    stalled_since: Option<Instant>,
    /// Whether the deadline was put off because it was noticed late.
    overslept: bool,
}

impl Heartbeat {
    pub(super) const fn new() -> Self {
        Self { pong: Pong::Idle, pinged: Instant::ZERO, stalled: false, stalled_since: None, overslept: false }
    }
}

impl Session {
    /// Sends a ping that was due at `due`, now or a little earlier.
    pub(super) fn ping_due(&mut self, due: Instant) {
        if self.heartbeat.pong != Pong::Idle {
            // The one before may have been answered, and this side has yet to read it. Its deadline stays.
            self.ping();
            return self.go_on_pinging();
        }
        // The last pong is long ago: a good moment to give up what the last burst of messages has left behind.
        self.release();
        self.heartbeat = Heartbeat { pong: Pong::Awaited, ..Heartbeat::new() };
        self.ping();
        self.go_on_pinging();
        // The peer's time runs from when the ping was due, unless we overslept so much that it would pay for it.
        let from = if self.overslept(due) { self.now } else { due };
        self.set(Timer::Pong, from + self.config.ping_timeout);
    }

    /// Sends a ping. One that has not left yet is as good as two.
    fn ping(&mut self) {
        self.heartbeat.pinged = self.now;
        match (&mut self.link, &mut self.polling) {
            // Ahead of what is queued: megabytes of messages must not cost the peer its time to answer.
            (Some(link), _) => link.ping(),
            (None, Some(polling)) if polling.is_pinged => {}
            (None, Some(polling)) => {
                polling.is_pinged = true;
                self.outbound.push(Frame::PING);
            }
            (None, None) => {}
        }
    }

    /// As long as this side does not read, the next ping does not wait for a pong.
    fn go_on_pinging(&mut self) {
        if self.has_stopped_reading() {
            self.stops_reading();
        }
    }

    /// Whether a deadline was noticed so late that the peer would pay for it.
    fn overslept(&self, due: Instant) -> bool {
        self.now - due > self.config.ping_timeout / 2
    }

    /// A pong came.
    pub(super) fn pong_came(&mut self) {
        if self.heartbeat.pong == Pong::Idle {
            return;
        }
        let Heartbeat { pinged, stalled, stalled_since, .. } =
            core::mem::replace(&mut self.heartbeat, Heartbeat::new());
        // A peer waits for the next ping from the last one on: what a stall has cost of that time is not its to lose.
        let from = if stalled || stalled_since.is_some() { pinged } else { self.now };
        self.clear(Timer::Pong);
        self.set(Timer::Ping, from + self.config.ping_interval);
    }

    /// Another packet came.
    #[inline]
    pub(super) fn sign_of_life(&mut self) {
        if self.heartbeat.pong == Pong::Awaited {
            self.heartbeat.pong = Pong::Extended;
            self.set(Timer::Pong, self.now + self.config.ping_timeout);
        }
    }

    /// This side stops reading for now: the pong may lie behind what is unread. Over polling it comes in a POST of its own, after
    /// the one that waits.
    pub(super) fn stops_reading(&mut self) {
        self.heartbeat.stalled = true;
        if self.heartbeat.pong != Pong::Idle {
            self.set(Timer::Ping, self.heartbeat.pinged + self.config.ping_interval);
        }
    }

    fn has_stopped_reading(&self) -> bool {
        self.is_decoding() || self.is_backlog(self.unread())
    }

    /// The pong did not come by `due`.
    pub(super) fn pong_missing(&mut self, due: Instant) {
        let stalls = self.has_stopped_reading();
        if core::mem::replace(&mut self.heartbeat.stalled, stalls) || stalls {
            let since = *self.heartbeat.stalled_since.get_or_insert(due);
            if self.now - since < self.config.limits.max_stall {
                return self.set(Timer::Pong, self.now + self.config.ping_timeout);
            }
            self.drop_link_packets();
            return self.finish(CloseReason::TransportError(TransportError::Stalled));
        }
        let may_be_unread = self.link.is_some() || self.polling.as_ref().is_some_and(|polling| polling.reads_post());
        if self.overslept(due) && may_be_unread && !self.heartbeat.overslept {
            self.heartbeat.overslept = true;
            return self.set(Timer::Pong, self.now + self.config.ping_timeout / 4);
        }
        // Nobody is there to take them.
        self.drop_link_packets();
        self.finish(CloseReason::PingTimeout);
    }
}
