//! The clock and the network of a simulation: a heap of the items that are in transit, ordered by arrival.
//!
//! Time is virtual and jumps to the next arrival. An hour of pings takes only as long as the steps in it.

use alloc::collections::BinaryHeap;
use core::cmp::Ordering;
use core::time::Duration;

use super::random::Random;
use crate::time::Instant;

/// A network that carries items of type `T`.
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
    /// Of two items that arrive at the same time, the one that was sent first comes first.
    order: u64,
    item: T,
}

impl<T> Ord for Arrival<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap pops its greatest item, so the order is reversed to pop the earliest.
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
    /// A network with a random number generator of this seed. Its clock starts at one hour, so that a test can turn it back.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { now: Instant::from_millis(3_600_000), heap: BinaryHeap::new(), sent: 0, random: Random::new(seed) }
    }

    /// The current time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The random number generator.
    pub const fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Sends `item`, which arrives after `delay`.
    pub fn send(&mut self, delay: Duration, item: T) {
        self.send_at(self.now + delay, item);
    }

    /// Sends `item`, which arrives at this time, or now if that time has passed.
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

    /// Advances the clock to the next arrival, and returns the item.
    pub fn pop(&mut self) -> Option<T> {
        let Arrival { at, item, .. } = self.heap.pop()?;
        self.advance(at);
        Some(item)
    }

    /// Advances the clock. It never goes backwards.
    pub fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
    }

    /// The number of items in transit.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no item is in transit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
