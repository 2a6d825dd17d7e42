//! The deadlines of a connection: one enum, one array, one earliest deadline.

use engineio_proto::Instant;

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Timer {
    /// A first namespace has to be joined.
    Connect = 0,
    /// The CONNECT that has waited longest for the application's answer is refused.
    Pending = 1,
    /// The earliest deadline of an awaited ack.
    Ack = 2,
}

/// When they are due; `FAR_FUTURE` for those that are not armed.
#[derive(Debug)]
pub(super) struct Timers([Instant; 3]);

impl Timers {
    pub(super) const fn new() -> Self {
        Self([Instant::FAR_FUTURE; 3])
    }

    /// Arms a timer, or disarms it.
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
