//! The events of a socket that wait until it is connected.
//!
//! Source: socket.io-client `lib/socket.ts`, `sendBuffer`.

use alloc::collections::BTreeMap;

use crate::event::AckId;
use crate::packet::Encoded;

/// An event that waits.
#[derive(Debug)]
pub(super) struct Buffered {
    pub(super) encoded: Encoded,
    /// The id of the ack that is awaited for it.
    pub(super) ack: Option<AckId>,
}

impl Buffered {
    fn weight(&self) -> usize {
        weight(&self.encoded)
    }
}

/// What a packet counts in a buffer: its bytes, and the memory of its entry.
pub(super) fn weight(encoded: &Encoded) -> usize {
    encoded.packet_len().saturating_add(size_of::<Buffered>())
}

/// The bytes in a buffer, and whether its owner waits for space in it.
#[derive(Default, Debug)]
pub(super) struct Space {
    bytes: usize,
    /// An event was refused since bytes were freed last.
    refused: bool,
    /// Bytes were freed since then, which nobody was told yet.
    freed: bool,
}

impl Space {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts an event. Returns false if it does not fit. An empty buffer takes any event.
    pub(super) fn fill(&mut self, weight: usize, limit: usize) -> bool {
        let bytes = self.bytes.saturating_add(weight);
        if bytes > limit && self.bytes > 0 {
            self.refused = true;
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// An event has left.
    pub(super) const fn free(&mut self, weight: usize) {
        self.bytes = self.bytes.saturating_sub(weight);
        self.freed |= self.refused;
        self.refused = false;
    }

    /// Whether there is space since an event was refused. True once for each time.
    pub(super) const fn take_freed(&mut self) -> bool {
        core::mem::replace(&mut self.freed, false)
    }
}

/// The events that wait, in order.
#[derive(Default, Debug)]
pub(super) struct SendBuffer {
    events: BTreeMap<u64, Buffered>,
    /// The places of the events with an ack, because an event is removed when its ack times out.
    acks: BTreeMap<AckId, u64>,
    next: u64,
    pub(super) space: Space,
}

impl SendBuffer {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Appends an event. Returns false if it does not fit. An empty buffer takes any event.
    pub(super) fn push(&mut self, encoded: Encoded, ack: Option<AckId>, limit: usize) -> bool {
        let event = Buffered { encoded, ack };
        if !self.space.fill(event.weight(), limit) {
            return false;
        }
        if let Some(ack) = ack {
            self.acks.insert(ack, self.next);
        }
        self.events.insert(self.next, event);
        self.next = self.next.wrapping_add(1);
        true
    }

    pub(super) fn first(&self) -> Option<&Buffered> {
        self.events.first_key_value().map(|(_, event)| event)
    }

    pub(super) fn pop(&mut self) -> Option<Buffered> {
        let (_, event) = self.events.pop_first()?;
        self.removed(&event);
        Some(event)
    }

    pub(super) fn contains(&self, ack: AckId) -> bool {
        self.acks.contains_key(&ack)
    }

    /// Removes the event with this ack.
    pub(super) fn remove(&mut self, ack: AckId) {
        if let Some(event) = self.acks.get(&ack).and_then(|place| self.events.remove(place)) {
            self.removed(&event);
        }
    }

    fn removed(&mut self, event: &Buffered) {
        self.space.free(event.weight());
        if let Some(ack) = event.ack {
            self.acks.remove(&ack);
        }
        if self.events.is_empty() {
            // An empty tree keeps a node allocated.
            (self.events, self.acks) = (BTreeMap::new(), BTreeMap::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use engineio_proto::Frame;

    use super::*;

    fn event(text: &str) -> Encoded {
        Encoded::One(Frame::message(text.into()))
    }

    fn pop(buffer: &mut SendBuffer) -> Option<(Option<AckId>, usize)> {
        buffer.pop().map(|event| (event.ack, event.encoded.packet_len()))
    }

    #[test]
    fn events_leave_in_order_and_one_whose_ack_has_timed_out_is_skipped() {
        let mut buffer = SendBuffer::default();
        assert!(buffer.push(event("a"), Some(AckId(7)), 1000));
        assert!(buffer.push(event("bb"), Some(AckId(3)), 1000));
        assert!(buffer.push(event("ccc"), None, 1000));
        assert!(buffer.contains(AckId(3)) && !buffer.contains(AckId(4)));
        buffer.remove(AckId(3));
        buffer.remove(AckId(3));
        assert_eq!(buffer.len(), 2);
        assert_eq!(pop(&mut buffer), Some((Some(AckId(7)), 2)));
        assert!(!buffer.contains(AckId(7)));
        assert_eq!(pop(&mut buffer), Some((None, 4)));
        assert_eq!(pop(&mut buffer), None);
        assert_eq!(buffer.space.bytes(), 0);
    }

    #[test]
    fn the_buffer_is_limited_in_bytes_and_an_empty_one_takes_anything() {
        let mut buffer = SendBuffer::default();
        let weight = weight(&event("12345"));
        assert!(buffer.push(event("12345"), None, 0));
        assert!(!buffer.push(event("12345"), None, weight * 2 - 1));
        assert!(buffer.push(event("12345"), None, weight * 2));
        assert!(!buffer.push(event(""), Some(AckId(0)), weight * 2));
        assert!(!buffer.contains(AckId(0)));
        assert_eq!((buffer.len(), buffer.space.bytes()), (2, weight * 2));
    }
}
