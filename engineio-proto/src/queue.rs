//! A queue that rarely allocates, and one that also adds up the weights of its items.
//!
//! The first item is stored in the queue itself, so a peer that queues one item at a time causes no allocation. Further items go to the
//! heap. When the queue becomes empty, it frees this memory at once if it is large or tiny. Otherwise it keeps the memory, so that the next
//! burst of messages reuses it, until the machine calls [`Queue::release`] because its peer is idle.

use alloc::collections::VecDeque;
use core::ops::RangeInclusive;

use crate::event::Event;
use crate::message::Message;
use crate::packet::{Frame, KEEPING};

/// The capacities, in items, that a queue keeps when it becomes empty. A larger one holds too much memory. A smaller one is cheaper to
/// allocate again than to keep for every peer that queued two messages when it connected.
const KEPT_ROOM: RangeInclusive<usize> = 5..=64;

/// The number of bytes that an item counts towards limits.
pub(crate) trait Weigh {
    fn weight(&self) -> usize;
}

impl Weigh for Frame {
    fn weight(&self) -> usize {
        self.queued_len()
    }
}

impl Weigh for Message {
    fn weight(&self) -> usize {
        self.len().saturating_add(KEEPING)
    }
}

impl Weigh for Event {
    fn weight(&self) -> usize {
        match self {
            Self::Message(message) => message.weight(),
            // A session emits only a few of these, so no limit applies to them.
            Self::Open | Self::Upgraded(_) | Self::UpgradeFailed(_) | Self::Ping | Self::Writable | Self::Closed(_) => {
                0
            }
        }
    }
}

/// A first-in, first-out queue.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// Older than all of `rest`.
    first: Option<T>,
    rest: VecDeque<T>,
}

/// A [`Queue`] that adds up the weights of its items.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct WeighedQueue<T> {
    items: Queue<T>,
    weight: usize,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: VecDeque::new() }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        if self.is_empty() {
            self.first = Some(item);
        } else {
            self.rest.push_back(item);
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if let Some(item) = self.first.take() {
            return Some(item);
        }
        let item = self.rest.pop_front()?;
        if self.rest.is_empty() {
            self.ran_empty();
        }
        Some(item)
    }

    /// Runs once per burst of messages, and is therefore kept out of the hot path.
    #[cold]
    fn ran_empty(&mut self) {
        if !KEPT_ROOM.contains(&self.rest.capacity()) {
            self.rest = VecDeque::new();
        }
    }

    #[inline]
    fn first(&self) -> Option<&T> {
        self.first.as_ref().or_else(|| self.rest.front())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.first.iter().chain(&self.rest)
    }

    pub(crate) fn clear(&mut self) {
        self.first = None;
        self.rest.clear();
        self.ran_empty();
    }

    /// Frees the spare memory of an empty queue.
    pub(crate) fn release(&mut self) {
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
    }
}

impl<T: Weigh> WeighedQueue<T> {
    pub(crate) const fn new() -> Self {
        Self { items: Queue::new(), weight: 0 }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) const fn weight(&self) -> usize {
        self.weight
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        self.weight = self.weight.saturating_add(item.weight());
        self.items.push(item);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = self.items.pop()?;
        self.weight = self.weight.saturating_sub(item.weight());
        Some(item)
    }

    #[inline]
    pub(crate) fn first(&self) -> Option<&T> {
        self.items.first()
    }

    #[inline]
    pub(crate) fn drop_first(&mut self) {
        drop(self.pop());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.items.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.weight = 0;
    }

    pub(crate) fn release(&mut self) {
        self.items.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_leave_in_order_and_the_weight_follows_them() {
        let mut queue = WeighedQueue::new();
        for text in ["a", "bb", "ccc"] {
            queue.push(Message::from(text));
        }
        assert_eq!(queue.weight(), 6 + 3 * KEEPING);
        assert_eq!(queue.iter().count(), 3);
        assert_eq!(queue.first(), Some(&Message::from("a")));
        queue.drop_first();
        queue.push(Message::from("dddd"));
        assert_eq!(queue.first(), Some(&Message::from("bb")));
        assert_eq!(queue.pop(), Some(Message::from("bb")));
        assert_eq!(queue.pop(), Some(Message::from("ccc")));
        assert_eq!(queue.pop(), Some(Message::from("dddd")));
        assert_eq!(queue.pop(), None);
        assert_eq!(queue.weight(), 0);
    }

    #[test]
    fn one_item_at_a_time_needs_no_heap_and_a_flood_leaves_none_behind() {
        let mut queue = Queue::new();
        for item in 0..10 {
            queue.push(item);
            assert_eq!(queue.pop(), Some(item));
        }
        assert_eq!(queue.rest.capacity(), 0);
        for item in 0..1000 {
            queue.push(item);
        }
        while queue.pop().is_some() {}
        assert_eq!(queue.rest.capacity(), 0);
        for item in 0..3 {
            queue.push(item);
        }
        while queue.pop().is_some() {}
        assert_eq!(queue.rest.capacity(), 0, "tiny");
        for item in 0..8 {
            queue.push(item);
        }
        while queue.pop().is_some() {}
        assert!(queue.rest.capacity() > 0);
        queue.release();
        assert_eq!(queue.rest.capacity(), 0);
    }
}
