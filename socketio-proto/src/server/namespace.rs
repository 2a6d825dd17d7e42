//! Everybody on one namespace: rooms and broadcasts. Holds the adapter's keys of peers, never their connections.
//!
//! Source: socket.io-adapter `lib/in-memory-adapter.ts`, socket.io `lib/broadcast-operator.ts`; reference inventory sections 7.5 to 7.7.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::time::Duration;

use engineio_proto::{Instant, Sid, Text};

use crate::event::{AckError, AckId};
use crate::packet::Encoded;
use crate::payload::Payload;

/// Whom a broadcast is for: the union of the rooms (everybody when there is none) without the excepted rooms and the excepted socket.
#[derive(Clone, Debug)]
pub struct Target<K> {
    /// Rooms to include. A socket's own id is a room with the socket alone in it, until it leaves it.
    pub rooms: BTreeSet<String>,
    /// Rooms to leave out.
    pub except: BTreeSet<String>,
    /// One socket to leave out: the sender.
    pub sender: Option<K>,
}

/// One broadcast whose acks are gathered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BroadcastId(pub u64);

/// A packet for one socket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery<K> {
    /// The socket.
    pub to: K,
    /// The packet.
    pub encoded: Encoded,
    /// Whether the packet is dropped unless it can leave at once.
    pub volatile: bool,
    /// The ack that it asks for; hand its outcome in with [`Namespace::handle_ack`].
    pub expects: Option<AckId>,
}

/// What happened on a namespace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NamespaceEvent<K> {
    /// A room got its first member.
    RoomCreated {
        /// Its name.
        room: Text,
    },
    /// A room lost its last member.
    RoomDeleted {
        /// Its name.
        room: Text,
    },
    /// A socket joined a room.
    Joined {
        /// The socket.
        socket: K,
        /// The room.
        room: Text,
    },
    /// A socket left a room.
    Left {
        /// The socket.
        socket: K,
        /// The room.
        room: Text,
    },
    /// One recipient of a broadcast answered, or will not.
    Acked {
        /// The broadcast.
        broadcast: BroadcastId,
        /// Who.
        socket: K,
        /// Its answer.
        outcome: Result<Payload, AckError>,
    },
    /// All recipients have answered, or the time is over: the last event of the broadcast.
    BroadcastDone {
        /// The broadcast.
        broadcast: BroadcastId,
    },
}

/// Everybody on one namespace. `K` is the adapter's key of a socket.
#[derive(Debug)]
pub struct Namespace<K> {
    _keys: BTreeSet<K>,
}

impl<K: Copy + Ord> Namespace<K> {
    /// An empty namespace. Ack ids of its broadcasts are odd.
    #[must_use]
    pub fn new() -> Self {
        Self { _keys: BTreeSet::new() }
    }

    /// A socket was accepted: it joins the room of its own id.
    pub fn add(&mut self, key: K, sid: Sid) {
        let _ = (key, sid);
        unimplemented!()
    }

    /// A socket is gone. Final: a later `join` does nothing. Its rooms are left, its awaited broadcast acks resolved as disconnected.
    pub fn remove(&mut self, key: K) {
        let _ = key;
        unimplemented!()
    }

    /// A socket joins a room. Does nothing when it is in it already or is not here.
    pub fn join(&mut self, key: K, room: &str) {
        let _ = (key, room);
        unimplemented!()
    }

    /// A socket leaves a room.
    pub fn leave(&mut self, key: K, room: &str) {
        let _ = (key, room);
        unimplemented!()
    }

    /// The rooms of a socket.
    pub fn rooms(&self, key: K) -> impl Iterator<Item = &Text> {
        let _ = key;
        [].into_iter()
    }

    /// The sockets of a target.
    #[must_use]
    pub fn sockets(&self, target: &Target<K>) -> BTreeSet<K> {
        let _ = target;
        unimplemented!()
    }

    /// The socket with this id.
    #[must_use]
    pub fn find(&self, sid: &str) -> Option<K> {
        let _ = sid;
        unimplemented!()
    }

    /// How many sockets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether there is no socket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Queues a packet for every socket of the target, once each.
    pub fn broadcast(&mut self, target: &Target<K>, encoded: &Encoded, volatile: bool) {
        let _ = (target, encoded, volatile);
        unimplemented!()
    }

    /// The id that the next broadcast with acks has to carry: encode the packet with it, then call [`Namespace::broadcast_with_ack`].
    pub fn next_ack_id(&mut self) -> AckId {
        unimplemented!()
    }

    /// As [`Namespace::broadcast`], gathering the recipients' acks.
    pub fn broadcast_with_ack(
        &mut self,
        now: Instant,
        target: &Target<K>,
        encoded: &Encoded,
        id: AckId,
        timeout: Duration,
    ) -> BroadcastId {
        let _ = (now, target, encoded, id, timeout);
        unimplemented!()
    }

    /// A recipient of a broadcast answered, or a delivery could not be made.
    pub fn handle_ack(&mut self, key: K, id: AckId, outcome: Result<Payload, AckError>) {
        let _ = (key, id, outcome);
        unimplemented!()
    }

    /// The deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        unimplemented!()
    }

    /// The next packet to deliver.
    pub fn poll_delivery(&mut self) -> Option<Delivery<K>> {
        unimplemented!()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<NamespaceEvent<K>> {
        unimplemented!()
    }

    /// When to call [`Namespace::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }
}

impl<K: Copy + Ord> Default for Namespace<K> {
    fn default() -> Self {
        Self::new()
    }
}
