//! The acks that a connection awaits from its peer, with their deadlines, and the ids for new ones.
//!
//! Each namespace numbers its broadcasts separately, so two namespaces can use the same id for one peer. An ack is therefore
//! identified by its socket and its id. Every entry leaves the table exactly once, and the caller that removes it reports the
//! outcome.

use alloc::collections::{BTreeMap, BTreeSet};

use engineio_proto::Instant;

use crate::event::{AckId, SocketHandle};

/// Ids stay below this limit, because Java clients parse them as `int`.
const END: u32 = 1 << 31;

/// The next id of the same parity.
pub(crate) const fn following(id: AckId) -> AckId {
    AckId((id.0.wrapping_add(2)) & (END - 1))
}

/// The acks that are awaited.
#[derive(Debug)]
pub(crate) struct AwaitedAcks {
    /// The deadline of each ack; `FAR_FUTURE` if it has none.
    awaited: BTreeMap<(SocketHandle, AckId), Instant>,
    /// The acks with a deadline, the earliest first.
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

    /// The ack that a received ACK with this id answers. An unknown or missing id is not a protocol violation: the ack may have timed out.
    #[inline]
    pub(crate) fn answered(&self, socket: SocketHandle, id: Option<u64>) -> Option<AckId> {
        let id = id.and_then(|id| u32::try_from(id).ok()).map(AckId);
        id.filter(|&id| self.contains(socket, id))
    }

    /// The id for the next event with an ack. It does not change until it is inserted.
    pub(crate) fn next_id(&self, socket: SocketHandle) -> AckId {
        let mut id = self.next;
        // The table is far smaller than the range of ids, so a free id exists.
        while self.contains(socket, id) {
            id = following(id);
        }
        id
    }

    /// Adds an awaited ack.
    pub(crate) fn insert(&mut self, socket: SocketHandle, id: AckId, deadline: Option<Instant>) {
        self.awaited.insert((socket, id), deadline.unwrap_or(Instant::FAR_FUTURE));
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, socket, id));
        }
        // Even ids that were chosen elsewhere count as well, so that a late answer to one of them cannot match a new ack.
        if id.0.is_multiple_of(2) && id >= self.next {
            self.next = following(id);
        }
    }

    /// Removes an ack. Returns false if it is not awaited, or not any more.
    pub(crate) fn remove(&mut self, socket: SocketHandle, id: AckId) -> bool {
        let Some(deadline) = self.awaited.remove(&(socket, id)) else { return false };
        self.deadlines.remove(&(deadline, socket, id));
        self.release();
        true
    }

    /// The first ack of a socket whose id is at least `from`.
    pub(crate) fn first_of(&self, socket: SocketHandle, from: AckId) -> Option<AckId> {
        self.awaited.range((socket, from)..=(socket, AckId(u32::MAX))).next().map(|(&(_, id), _)| id)
    }

    /// Removes the first ack of a socket.
    pub(crate) fn pop_of(&mut self, socket: SocketHandle) -> Option<AckId> {
        let id = self.first_of(socket, AckId(0))?;
        self.remove(socket, id).then_some(id)
    }

    /// Removes an ack whose deadline has passed.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<(SocketHandle, AckId)> {
        let &(deadline, socket, id) = self.deadlines.first()?;
        (deadline <= now && self.remove(socket, id)).then_some((socket, id))
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, ..)| deadline)
    }

    /// An empty tree keeps a node allocated; an idle connection should not.
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
