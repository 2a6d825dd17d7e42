//! The clock and the wires of a simulation: a heap of what is under way, in the order in which it arrives.
//!
//! Time is virtual: it jumps to the next arrival, so that an hour of pings takes no longer than their number of steps.

use alloc::collections::BinaryHeap;
use core::cmp::Ordering;
use core::time::Duration;

use super::random::Random;
use crate::time::Instant;

/// A network of things of type `T` under way.
#[derive(Debug)]
pub struct SimNet<T> {
    now: Instant,
    heap: BinaryHeap<Arrival<T>>,
    sent: u64,
    random: Random,
}

#[derive(Debug)]
struct Arrival<T> {
    at: Instant,
    /// Of two that arrive at the same time, the one that was sent first comes first.
    order: u64,
    item: T,
}

impl<T> Ord for Arrival<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives its greatest, and the earliest is wanted.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<T> PartialOrd for Arrival<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Arrival<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Arrival<T> {}

impl<T> SimNet<T> {
    /// A network whose chance events are those of this seed. Its clock starts at an hour, so that there is room to go backwards.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { now: Instant::from_millis(3_600_000), heap: BinaryHeap::new(), sent: 0, random: Random::new(seed) }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Chance.
    pub const fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Lets `item` arrive after `delay`.
    pub fn send(&mut self, delay: Duration, item: T) {
        self.send_at(self.now + delay, item);
    }

    /// Lets `item` arrive at this time, or now if that is over.
    pub fn send_at(&mut self, at: Instant, item: T) {
        let order = self.sent;
        self.sent = self.sent.wrapping_add(1);
        self.heap.push(Arrival { at: at.max(self.now), order, item });
    }

    /// When the next item arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.heap.peek().map(|arrival| arrival.at)
    }

    /// Moves the clock to the next arrival, and takes it.
    pub fn pop(&mut self) -> Option<T> {
        let Arrival { at, item, .. } = self.heap.pop()?;
        self.advance(at);
        Some(item)
    }

    /// Moves the clock; never backwards.
    pub fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
    }

    /// How many items are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
