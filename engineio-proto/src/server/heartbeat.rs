//! Pings and pongs: the server asks, the client answers, and whoever does not is gone.
//!
//! A ping leaves `ping_interval` after the last pong (or the opening). The pong must come within `ping_timeout` of the moment at
//! which the ping was due; the first other packet after the ping puts that off once. A pong that nobody asked for is ignored:
//! in the reference it postpones the next ping, so that a peer could keep the server from ever asking.
//!
//! Source: engine.io 6.6.11 `lib/socket.ts`, `schedulePing`, `resetPingTimeout` and `onPacket`.

use super::session::{Session, Timer};
use crate::event::CloseReason;
use crate::packet::Frame;
use crate::time::Instant;

/// Whether a pong is awaited.
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat {
    pong: Pong,
    /// How often in a row the deadline was put off because this side had stopped reading.
    stalls: u8,
    /// Whether a POST has had to wait for the application since the ping, or since the deadline was last put off.
    post_waited: bool,
}

impl Heartbeat {
    pub(super) const fn new() -> Self {
        Self { pong: Pong::Idle, stalls: 0, post_waited: false }
    }
}

impl Session {
    /// Sends a ping that was due at `due`, now or a little earlier.
    pub(super) fn ping_due(&mut self, due: Instant) {
        // The last pong is long ago: a good moment to give up what the last burst of messages has left behind.
        self.give_back();
        match &mut self.link {
            // Ahead of what is queued: megabytes of messages must not cost the peer its time to answer.
            Some(link) => link.ping(),
            None => self.outbound.push(Frame::PING),
        }
        self.heartbeat = Heartbeat { pong: Pong::Awaited, stalls: 0, post_waited: self.is_decoding() };
        // The peer's time runs from when the ping was due, unless we overslept so much that it would pay for it.
        let timeout = self.config.ping_timeout;
        let overslept = self.now - due > timeout / 2;
        self.arm(Timer::Pong, if overslept { self.now } else { due } + timeout);
    }

    /// A pong came.
    pub(super) fn pong_came(&mut self) {
        if self.heartbeat.pong == Pong::Idle {
            return;
        }
        self.heartbeat = Heartbeat::new();
        self.disarm(Timer::Pong);
        self.arm(Timer::Ping, self.now + self.config.ping_interval);
    }

    /// Another packet came.
    #[inline]
    pub(super) fn sign_of_life(&mut self) {
        if self.heartbeat.pong == Pong::Awaited {
            self.heartbeat.pong = Pong::Extended;
            self.arm(Timer::Pong, self.now + self.config.ping_timeout);
        }
    }

    /// A POST waits for the application. The peer sends one at a time, so that its pong waits behind that one.
    pub(super) const fn post_waits(&mut self) {
        self.heartbeat.post_waited = true;
    }

    /// The pong did not come in time. If this side had stopped reading, it may lie where nobody has looked yet; or the peer
    /// has had no time to send it, as its last POST has only just been answered.
    pub(super) fn pong_missing(&mut self) {
        let decoding = self.is_decoding();
        let stalled = self.heartbeat.post_waited || decoding || self.is_backlog(self.unread());
        self.heartbeat.post_waited = decoding;
        if stalled && self.heartbeat.stalls < self.config.limits.max_stalled_timeouts {
            self.heartbeat.stalls = self.heartbeat.stalls.saturating_add(1);
            self.arm(Timer::Pong, self.now + self.config.ping_timeout);
            return;
        }
        // Nobody is there to take them.
        self.drop_link_packets();
        self.finish(CloseReason::PingTimeout);
    }
}
