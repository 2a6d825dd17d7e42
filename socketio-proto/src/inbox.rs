//! Buffers the events that the application has not read yet.
//!
//! Outcomes of acks have a separate queue, which is read first: the task that waits for an ack is often the one that would read
//! the events. The bytes of events are counted, so that the connection can stop taking input. The first event is stored inline,
//! so that a peer that sends one event at a time needs no heap allocation.

use alloc::collections::VecDeque;

use engineio_proto::Limits;

use crate::event::Outcome;

/// A queue with more capacity than this is freed as soon as it is empty. A smaller one is kept until the connection is idle.
const KEPT: usize = 64;

/// An event of a machine. The inbox makes two kinds of it by itself.
pub(crate) trait InboxEvent {
    /// The outcome of an ack.
    fn acked(outcome: Outcome) -> Self;

    /// The outbound queue has capacity again.
    fn writable() -> Self;
}

#[derive(Debug)]
struct Unread<E> {
    event: E,
    bytes: usize,
}

/// The events that the application has not read yet.
#[derive(Debug)]
pub(crate) struct Inbox<E> {
    outcomes: VecDeque<Outcome>,
    /// Older than every event in `rest`.
    first: Option<Unread<E>>,
    rest: VecDeque<Unread<E>>,
    /// Bytes of unread events. The memory of the queue entries counts too, so that events without a payload are not free.
    bytes: usize,
    writable: bool,
}

impl<E: InboxEvent> Inbox<E> {
    pub(crate) const fn new() -> Self {
        Self { outcomes: VecDeque::new(), first: None, rest: VecDeque::new(), bytes: 0, writable: false }
    }

    /// Whether to stop taking messages for now: as many bytes are unread as the limits allow. While an ack is awaited, more is taken,
    /// because the ack can be behind any number of events. A single event may exceed that limit: the connection of a peer that still
    /// owes an ack is not closed for it.
    #[inline]
    pub(crate) fn is_full(&self, limits: &Limits, awaits_acks: bool) -> bool {
        let limit = if awaits_acks { limits.max_inbound } else { limits.soft_inbound };
        // With a limit of 0 the inbox would always be full, and no event could be read to free capacity.
        self.bytes >= limit.max(1) && (!awaits_acks || self.has_several())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.outcomes.is_empty() && self.has_no_events() && !self.writable
    }

    /// Whether there are at least two events.
    fn has_several(&self) -> bool {
        !self.rest.is_empty() && (self.first.is_some() || self.rest.len() > 1)
    }

    #[inline]
    fn has_no_events(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    /// Appends an event that was received in `bytes` bytes. Inlined, so that the event is written only once.
    #[inline(always)]
    pub(crate) fn push(&mut self, event: E, bytes: usize) {
        let bytes = bytes.saturating_add(size_of::<Unread<E>>());
        self.bytes = self.bytes.saturating_add(bytes);
        let unread = Unread { event, bytes };
        if self.has_no_events() {
            self.first = Some(unread);
        } else {
            self.rest.push_back(unread);
        }
    }

    /// Same as [`Inbox::push`], for events that are rare.
    #[cold]
    pub(crate) fn push_rare(&mut self, event: E, bytes: usize) {
        self.push(event, bytes);
    }

    /// Appends the outcome of an ack.
    pub(crate) fn push_outcome(&mut self, outcome: Outcome) {
        self.outcomes.push_back(outcome);
    }

    /// Sets whether the event that there is capacity again is pending.
    pub(crate) const fn set_writable(&mut self, writable: bool) {
        self.writable = writable;
    }

    /// Takes the next outcome of an ack.
    #[inline]
    pub(crate) fn pop_outcome(&mut self) -> Option<E> {
        let outcome = self.outcomes.pop_front()?;
        if self.outcomes.is_empty() && self.outcomes.capacity() > KEPT {
            self.outcomes = VecDeque::new();
        }
        Some(E::acked(outcome))
    }

    /// Takes the next event. Outcomes of acks come first. Inlined, as [`Inbox::push`].
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<E> {
        if self.writable || !self.outcomes.is_empty() {
            return self.pop_urgent();
        }
        if let Some(Unread { event, bytes }) = self.first.take() {
            self.bytes = self.bytes.saturating_sub(bytes);
            return Some(event);
        }
        let Unread { event, bytes } = self.rest.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.rest.is_empty() {
            self.ran_empty();
        }
        Some(event)
    }

    /// Takes an event that overtakes the others.
    #[cold]
    fn pop_urgent(&mut self) -> Option<E> {
        let outcome = self.pop_outcome();
        outcome.or_else(|| core::mem::take(&mut self.writable).then(E::writable))
    }

    /// Called once per batch of events; out of line to keep `pop` short.
    #[cold]
    fn ran_empty(&mut self) {
        if self.rest.capacity() > KEPT {
            self.rest = VecDeque::new();
        }
    }

    /// Drops the events for which `keep` returns false.
    pub(crate) fn retain(&mut self, keep: impl Fn(&E) -> bool) {
        self.first.take_if(|unread| !keep(&unread.event));
        self.rest.retain(|unread| keep(&unread.event));
        self.bytes = self.first.iter().chain(&self.rest).map(|unread| unread.bytes).sum();
    }

    /// Frees the capacity of empty queues.
    pub(crate) fn release(&mut self) {
        if self.rest.is_empty() {
            self.rest = VecDeque::new();
        }
        if self.outcomes.is_empty() {
            self.outcomes = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::event::{DisconnectReason, Event, SocketHandle};

    fn event(socket: u32) -> Event {
        Event::Disconnected { socket: SocketHandle(socket), reason: DisconnectReason::ServerShuttingDown }
    }

    fn taken(inbox: &mut Inbox<Event>) -> Vec<u32> {
        let socket = |event| match event {
            Event::Disconnected { socket, .. } => socket.0,
            _ => u32::MAX,
        };
        core::iter::from_fn(|| inbox.pop()).map(socket).collect()
    }

    #[test]
    fn events_come_in_order_and_their_bytes_leave_with_them() {
        let mut inbox = Inbox::new();
        for socket in 0..3 {
            inbox.push(event(socket), 10);
        }
        assert_eq!(inbox.bytes, 3 * (10 + size_of::<Unread<Event>>()));
        assert!(matches!(inbox.pop(), Some(Event::Disconnected { socket: SocketHandle(0), .. })));
        assert!(inbox.has_several(), "two");
        inbox.push(event(3), 10);
        assert_eq!(taken(&mut inbox), [1, 2, 3]);
        assert_eq!(inbox.bytes, 0);
        assert!(inbox.is_empty());
    }

    #[test]
    fn what_is_dropped_is_no_longer_counted_wherever_it_lay() {
        for dropped in 0..3 {
            let mut inbox = Inbox::new();
            for socket in 0..3 {
                inbox.push(event(socket), 10);
            }
            inbox.retain(|event| !matches!(event, Event::Disconnected { socket, .. } if socket.0 == dropped));
            assert_eq!(inbox.bytes, 2 * (10 + size_of::<Unread<Event>>()));
            inbox.push(event(3), 10);
            let rest: Vec<u32> = (0..4).filter(|&socket| socket != dropped).collect();
            assert_eq!(taken(&mut inbox), rest);
        }
    }

    #[test]
    fn one_event_at_a_time_takes_no_heap() {
        let mut inbox = Inbox::new();
        for socket in 0..10 {
            assert!(!inbox.has_several());
            inbox.push(event(socket), 10);
            assert!(!inbox.has_several());
            assert!(inbox.pop().is_some());
        }
        assert_eq!(inbox.rest.capacity(), 0);
    }
}
