//! What the application has not read yet.
//!
//! Outcomes of acks have a queue of their own that is read first: whoever waits for one is often the very one who does not read
//! events meanwhile. Events are counted in bytes, so that the connection knows when to stop taking in more.

use alloc::collections::VecDeque;

use crate::event::{Event, Outcome};

/// More room than this is given back as soon as a queue is empty; less is kept until the connection is quiet.
const KEPT: usize = 64;

#[derive(Debug)]
struct Unread {
    event: Event,
    bytes: usize,
}

/// What the application has not read yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    outcomes: VecDeque<Outcome>,
    events: VecDeque<Unread>,
    bytes: usize,
    writable: bool,
}

impl Inbox {
    /// Bytes of unread events, the queue's own memory included, so that empty events are not free.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outcomes.is_empty() && self.events.is_empty() && !self.writable
    }

    /// Appends an event that came in that many bytes.
    #[inline]
    pub(super) fn push(&mut self, event: Event, bytes: usize) {
        let bytes = bytes.saturating_add(size_of::<Unread>());
        self.bytes = self.bytes.saturating_add(bytes);
        self.events.push_back(Unread { event, bytes });
    }

    /// Appends the outcome of an ack.
    pub(super) fn push_outcome(&mut self, outcome: Outcome) {
        self.outcomes.push_back(outcome);
    }

    /// Notes whether [`Event::Writable`] is to be told.
    pub(super) const fn set_writable(&mut self, writable: bool) {
        self.writable = writable;
    }

    /// The next outcome of an ack.
    #[inline]
    pub(super) fn pop_outcome(&mut self) -> Option<Event> {
        let Outcome { socket, id, outcome } = self.outcomes.pop_front()?;
        if self.outcomes.is_empty() && self.outcomes.capacity() > KEPT {
            self.outcomes = VecDeque::new();
        }
        Some(Event::Acked { socket, id, outcome })
    }

    /// The next event: outcomes first.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Event> {
        if let Some(outcome) = self.pop_outcome() {
            return Some(outcome);
        }
        if self.writable {
            self.writable = false;
            return Some(Event::Writable);
        }
        let Unread { event, bytes } = self.events.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.events.is_empty() && self.events.capacity() > KEPT {
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// Drops the events that do not fit `keep`.
    pub(super) fn retain(&mut self, keep: impl Fn(&Event) -> bool) {
        self.events.retain(|unread| keep(&unread.event));
        self.bytes = self.events.iter().map(|unread| unread.bytes).sum();
    }

    /// Gives back what empty queues hold.
    pub(super) fn release(&mut self) {
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        if self.outcomes.is_empty() {
            self.outcomes = VecDeque::new();
        }
    }
}
