//! The timers of a connection: one enum, one array, one earliest deadline.

use engineio_proto::Instant;

/// A timer of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Timer {
    /// The peer must join a first namespace by then.
    Connect = 0,
    /// The oldest pending CONNECT is refused then.
    Pending = 1,
    /// The earliest deadline of an awaited ack.
    Ack = 2,
}

/// The deadline of each timer; `FAR_FUTURE` if it is not armed.
#[derive(Debug)]
pub(super) struct Timers([Instant; 3]);

impl Timers {
    pub(super) const fn new() -> Self {
        Self([Instant::FAR_FUTURE; 3])
    }

    /// Arms or disarms a timer.
    pub(super) fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        if let Some(slot) = self.0.get_mut(timer as usize) {
            *slot = deadline.unwrap_or(Instant::FAR_FUTURE);
        }
    }

    /// Whether a timer is due.
    pub(super) fn is_due(&self, timer: Timer, now: Instant) -> bool {
        self.0.get(timer as usize).is_some_and(|&deadline| deadline <= now && deadline != Instant::FAR_FUTURE)
    }

    /// The earliest deadline.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.0.iter().copied().min().filter(|&deadline| deadline != Instant::FAR_FUTURE)
    }
}
