//! The acks that a connection awaits from its peer: which ones, until when, and the numbers of the next ones.
//!
//! Namespaces number their broadcasts on their own, and two of them may use the same number towards one peer: an ack is
//! known by its socket and its id. Every entry leaves the table exactly once, and whoever takes it out reports its outcome.

use alloc::collections::{BTreeMap, BTreeSet};

use engineio_proto::Instant;

use crate::event::{AckId, SocketHandle};

/// Ids stay below this, because Java clients parse an `int`.
const END: u32 = 1 << 31;

/// The id that follows `id` among those of its parity.
pub(crate) const fn following(id: AckId) -> AckId {
    AckId((id.0.wrapping_add(2)) & (END - 1))
}

/// The acks that are awaited.
#[derive(Debug)]
pub(crate) struct AwaitedAcks {
    /// By socket and id, with the deadline; `FAR_FUTURE` when there is none.
    awaited: BTreeMap<(SocketHandle, AckId), Instant>,
    /// Those with a deadline, the earliest first.
    deadlines: BTreeSet<(Instant, SocketHandle, AckId)>,
    next: AckId,
}

impl AwaitedAcks {
    pub(crate) const fn new() -> Self {
        Self { awaited: BTreeMap::new(), deadlines: BTreeSet::new(), next: AckId(0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.awaited.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }

    pub(crate) fn contains(&self, socket: SocketHandle, id: AckId) -> bool {
        self.awaited.contains_key(&(socket, id))
    }

    /// The id for the next event that wants an ack. Stays the same until it is inserted.
    pub(crate) fn next_id(&self, socket: SocketHandle) -> AckId {
        let mut id = self.next;
        // The table is far smaller than the numbers are many, so a vacant one is found.
        while self.contains(socket, id) {
            id = following(id);
        }
        id
    }

    /// Awaits an ack.
    pub(crate) fn insert(&mut self, socket: SocketHandle, id: AckId, deadline: Option<Instant>) {
        self.awaited.insert((socket, id), deadline.unwrap_or(Instant::FAR_FUTURE));
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, socket, id));
        }
        // Even ids that somebody else gives out count too: a late answer to one of them must not meet a new question.
        if id.0.is_multiple_of(2) && id >= self.next {
            self.next = following(id);
        }
    }

    /// Takes one out; false when it is not awaited (any longer).
    pub(crate) fn remove(&mut self, socket: SocketHandle, id: AckId) -> bool {
        let Some(deadline) = self.awaited.remove(&(socket, id)) else { return false };
        self.deadlines.remove(&(deadline, socket, id));
        self.release();
        true
    }

    /// Takes out the first of a socket.
    pub(crate) fn pop_of(&mut self, socket: SocketHandle) -> Option<AckId> {
        let (&(_, id), _) = self.awaited.range((socket, AckId(0))..=(socket, AckId(u32::MAX))).next()?;
        self.remove(socket, id).then_some(id)
    }

    /// Takes out one whose deadline has passed.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<(SocketHandle, AckId)> {
        let &(deadline, socket, id) = self.deadlines.first()?;
        (deadline <= now && self.remove(socket, id)).then_some((socket, id))
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, ..)| deadline)
    }

    /// An empty tree keeps a node; an idle connection shall not.
    fn release(&mut self) {
        if self.awaited.is_empty() {
            self.awaited = BTreeMap::new();
            self.deadlines = BTreeSet::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: SocketHandle = SocketHandle(1);

    #[test]
    fn ids_are_even_stay_below_2_to_the_31_and_pass_over_awaited_ones() {
        let mut acks = AwaitedAcks::new();
        acks.insert(SOCKET, AckId(0), None);
        acks.insert(SOCKET, AckId(2), None);
        assert_eq!(acks.next_id(SOCKET), AckId(4));
        acks.insert(SOCKET, AckId(END - 2), None);
        assert_eq!(acks.next_id(SOCKET), AckId(4), "wraps, and passes over 0 and 2");
    }

    #[test]
    fn ids_given_by_others_are_not_given_again_though_they_were_answered() {
        let mut acks = AwaitedAcks::new();
        acks.insert(SOCKET, AckId(10), None);
        assert!(acks.remove(SOCKET, AckId(10)));
        assert_eq!(acks.next_id(SOCKET), AckId(12));
        acks.insert(SOCKET, AckId(21), None);
        assert_eq!(acks.next_id(SOCKET), AckId(12), "odd ids are those of namespaces");
    }

    #[test]
    fn each_leaves_once() {
        let mut acks = AwaitedAcks::new();
        acks.insert(SOCKET, AckId(0), Some(Instant::from_millis(5)));
        acks.insert(SocketHandle(2), AckId(0), Some(Instant::from_millis(3)));
        assert_eq!(acks.earliest(), Some(Instant::from_millis(3)));
        assert_eq!(acks.pop_expired(Instant::from_millis(3)), Some((SocketHandle(2), AckId(0))));
        assert_eq!(acks.pop_expired(Instant::from_millis(3)), None);
        assert_eq!(acks.pop_of(SOCKET), Some(AckId(0)));
        assert_eq!(acks.pop_of(SOCKET), None);
        assert_eq!((acks.len(), acks.earliest()), (0, None));
    }
}
