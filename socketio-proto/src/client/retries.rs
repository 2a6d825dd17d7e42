//! The queue of a socket with retries: one event at a time is sent, until it is acknowledged or all tries have failed.
//!
//! An event has the same ack id in all tries, so a late ack of an earlier try counts. In the reference each try has its own id, and a late
//! ack is ignored.
//!
//! Source: socket.io-client `lib/socket.ts`, `_addToQueue` and `_drainQueue`.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::send_buffer::{Space, weight};
use crate::event::AckId;
use crate::packet::Encoded;

/// An event in the queue.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) encoded: Encoded,
    pub(super) id: AckId,
    /// How long one try may take.
    pub(super) timeout: Duration,
    /// Whether the application is told the outcome.
    pub(super) reported: bool,
}

/// What to do after a try of the first event has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// The event is sent again.
    Again,
    /// The event has left the queue. The application is told the outcome, or not.
    Done { reported: bool },
}

/// The events that were not acknowledged yet, in order.
#[derive(Default, Debug)]
pub(super) struct RetryQueue {
    events: VecDeque<Queued>,
    pub(super) space: Space,
    /// How often the first event was sent.
    tries: u32,
    /// Whether a try of the first event is in progress.
    in_progress: bool,
}

impl RetryQueue {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Appends an event. Returns false if it does not fit. An empty queue takes any event.
    pub(super) fn push(&mut self, event: Queued, limit: usize) -> bool {
        if !self.space.fill(weight(&event.encoded), limit) {
            return false;
        }
        self.events.push_back(event);
        true
    }

    /// The event to send now; `None` if a try is in progress or the queue is empty.
    pub(super) fn due(&self) -> Option<&Queued> {
        self.events.front().filter(|_| !self.in_progress)
    }

    /// The first event was sent.
    pub(super) const fn started(&mut self) {
        self.tries = self.tries.saturating_add(1);
        self.in_progress = true;
    }

    /// Whether this ack belongs to the first event, of which a try is in progress.
    pub(super) fn is_trying(&self, id: AckId) -> bool {
        self.in_progress && self.events.front().is_some_and(|first| first.id == id)
    }

    /// The try in progress has ended: the event was acknowledged, or it is sent again up to `retries` times.
    pub(super) fn ended(&mut self, acknowledged: bool, retries: u32) -> Ended {
        self.in_progress = false;
        if !acknowledged && self.tries <= retries {
            return Ended::Again;
        }
        Ended::Done { reported: self.pop().is_some_and(|event| event.reported) }
    }

    /// Removes the first event.
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let event = self.events.pop_front()?;
        self.space.free(weight(&event.encoded));
        (self.tries, self.in_progress) = (0, false);
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use engineio_proto::Frame;

    use super::*;

    fn event(id: u32, reported: bool) -> Queued {
        let encoded = Encoded::One(Frame::message("x".into()));
        Queued { encoded, id: AckId(id), timeout: Duration::from_secs(1), reported }
    }

    fn due(queue: &RetryQueue) -> Option<u32> {
        queue.due().map(|event| event.id.0)
    }

    #[test]
    fn an_event_is_tried_once_more_than_it_is_retried_and_then_the_next_one_is_sent() {
        let mut queue = RetryQueue::default();
        assert!(queue.push(event(0, true), 1000) && queue.push(event(1, false), 1000));
        for _ in 0..2 {
            assert_eq!(due(&queue), Some(0));
            queue.started();
            assert_eq!(due(&queue), None);
            assert!(queue.is_trying(AckId(0)) && !queue.is_trying(AckId(1)));
            assert_eq!(queue.ended(false, 2), Ended::Again);
            assert!(!queue.is_trying(AckId(0)));
        }
        queue.started();
        assert_eq!(queue.ended(false, 2), Ended::Done { reported: true });
        assert_eq!(due(&queue), Some(1));
        queue.started();
        assert_eq!(queue.ended(true, 2), Ended::Done { reported: false });
        assert_eq!((queue.len(), queue.space.bytes(), due(&queue)), (0, 0, None));
    }

    #[test]
    fn the_queue_is_limited_in_bytes_and_an_empty_one_takes_anything() {
        let mut queue = RetryQueue::default();
        assert!(queue.push(event(0, true), 0));
        assert!(!queue.push(event(1, true), queue.space.bytes()));
        assert!(queue.push(event(1, true), queue.space.bytes() * 2));
        assert_eq!(queue.len(), 2);
    }
}
