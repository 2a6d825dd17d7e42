//! The deadlines of one machine: an array with one deadline for each timer, and the earliest of them.
//!
//! Reading the earliest deadline takes constant time. A timer whose deadline is [`Instant::FAR_FUTURE`] is not set.

use crate::time::Instant;

/// The deadlines of a machine with `N` timers. A timer is identified by its index; an index that is out of range is ignored.
///
/// Public for machines that are built on a session, such as a Socket.IO connection.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub struct Timers<const N: usize> {
    deadlines: [Instant; N],
    earliest: Instant,
}

impl<const N: usize> Timers<N> {
    /// No timer is set.
    #[must_use]
    pub const fn new() -> Self {
        Self { deadlines: [Instant::FAR_FUTURE; N], earliest: Instant::FAR_FUTURE }
    }

    /// The earliest deadline, or `None` if no timer is set.
    #[must_use]
    pub fn earliest(&self) -> Option<Instant> {
        (self.earliest != Instant::FAR_FUTURE).then_some(self.earliest)
    }

    /// Sets a timer, or moves it. [`Instant::FAR_FUTURE`] clears it.
    pub fn set(&mut self, timer: usize, deadline: Instant) {
        let Some(slot) = self.deadlines.get_mut(timer) else { return };
        let before = core::mem::replace(slot, deadline);
        if deadline <= self.earliest {
            self.earliest = deadline;
        } else if before == self.earliest {
            self.find_earliest();
        }
    }

    /// Clears a timer.
    pub fn clear(&mut self, timer: usize) {
        self.set(timer, Instant::FAR_FUTURE);
    }

    /// Clears all timers.
    pub fn clear_all(&mut self) {
        *self = Self::new();
    }

    /// Clears the timer that is due first, and returns it with its deadline. Of several with the same deadline, the lowest index is first.
    pub fn pop_due(&mut self, now: Instant) -> Option<(usize, Instant)> {
        if self.earliest > now || self.earliest == Instant::FAR_FUTURE {
            return None;
        }
        let due = self.earliest;
        let timer = self.deadlines.iter().position(|&deadline| deadline == due)?;
        self.clear(timer);
        Some((timer, due))
    }

    /// Whether a timer is due.
    #[must_use]
    pub fn is_due(&self, timer: usize, now: Instant) -> bool {
        self.deadlines.get(timer).is_some_and(|&deadline| deadline <= now && deadline != Instant::FAR_FUTURE)
    }

    fn find_earliest(&mut self) {
        self.earliest = self.deadlines.iter().copied().min().unwrap_or(Instant::FAR_FUTURE);
    }
}

impl<const N: usize> Default for Timers<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn timers_fire_in_the_order_of_their_deadlines() {
        let mut timers = Timers::<3>::new();
        assert_eq!(timers.earliest(), None);
        timers.set(0, at(30));
        timers.set(1, at(10));
        timers.set(2, at(10));
        assert_eq!(timers.earliest(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(40)), Some((1, at(10))));
        assert_eq!(timers.pop_due(at(40)), Some((2, at(10))));
        assert_eq!(timers.pop_due(at(40)), Some((0, at(30))));
        assert_eq!(timers.pop_due(at(40)), None);
        assert_eq!(timers.earliest(), None);
    }

    #[test]
    fn moving_or_clearing_the_earliest_finds_the_next() {
        let mut timers = Timers::<2>::new();
        timers.set(0, at(10));
        timers.set(1, at(20));
        timers.set(0, at(30));
        assert_eq!(timers.earliest(), Some(at(20)));
        timers.clear(1);
        assert_eq!(timers.earliest(), Some(at(30)));
        timers.clear_all();
        assert_eq!(timers.earliest(), None);
    }

    #[test]
    fn the_far_future_never_comes() {
        let mut timers = Timers::<1>::new();
        timers.set(0, Instant::FAR_FUTURE);
        assert!(!timers.is_due(0, Instant::FAR_FUTURE) && !timers.is_due(7, Instant::FAR_FUTURE));
        assert_eq!(timers.earliest(), None);
        assert_eq!(timers.pop_due(Instant::FAR_FUTURE), None);
    }
}
