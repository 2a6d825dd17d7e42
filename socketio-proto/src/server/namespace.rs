//! Everybody on one namespace: who is in which room, whom a broadcast is for, and the answers to it. Holds the adapter's keys of
//! peers, never their connections.
//!
//! A broadcast is no queue of deliveries: the adapter encodes the packet once, walks the [`Recipients`] under the lock of the
//! namespace, and puts the packet into each one's mailbox.
//!
//! Source: socket.io-adapter `lib/in-memory-adapter.ts`, socket.io `lib/broadcast-operator.ts`.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque, btree_map};
use alloc::string::String;
use alloc::vec::{self, Vec};
use core::iter::FusedIterator;
use core::time::Duration;

use engineio_proto::{Instant, Sid, Text};

use crate::ack::following;
use crate::event::{AckError, AckId};
use crate::payload::Payload;
use crate::rooms::{self, Members, Rooms};

/// Whom a broadcast is for: the union of the rooms (everybody when none is named) without the excepted rooms and the excepted socket.
/// Each socket counts once, however many of the rooms it is in.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_structs, reason = "adapters build it from parts of their own")]
pub struct Target<K> {
    /// Rooms to include. A socket's own id is a room with the socket alone in it, until it leaves it.
    pub rooms: BTreeSet<String>,
    /// Rooms to leave out.
    pub except: BTreeSet<String>,
    /// One socket to leave out: the sender.
    pub sender: Option<K>,
}

impl<K> Target<K> {
    /// Everybody on the namespace.
    #[must_use]
    pub const fn everybody() -> Self {
        Self { rooms: BTreeSet::new(), except: BTreeSet::new(), sender: None }
    }

    /// Includes a room.
    #[must_use]
    pub fn to(mut self, room: impl Into<String>) -> Self {
        self.rooms.insert(room.into());
        self
    }

    /// Leaves out a room.
    #[must_use]
    pub fn except(mut self, room: impl Into<String>) -> Self {
        self.except.insert(room.into());
        self
    }

    /// Leaves out the sender.
    #[must_use]
    pub fn without(mut self, sender: K) -> Self {
        self.sender = Some(sender);
        self
    }
}

impl<K> Default for Target<K> {
    fn default() -> Self {
        Self::everybody()
    }
}

/// What happened on a namespace.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum NamespaceEvent<K> {
    /// A room got its first member; its `Joined` follows. Told after [`Namespace::watch_rooms`], as are the next three.
    RoomCreated {
        /// Its name.
        room: Text,
    },
    /// A room lost its last member, whose `Left` came before.
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
    /// One recipient of a broadcast answered, or will not. Comes exactly once for each.
    Acked {
        /// The id that the broadcast carries.
        broadcast: AckId,
        /// Who.
        socket: K,
        /// Its answer.
        outcome: Result<Payload, AckError>,
    },
    /// Every recipient of a broadcast has had its `Acked`: the last event of the broadcast.
    BroadcastDone {
        /// The id that the broadcast carries.
        broadcast: AckId,
    },
}

#[derive(Debug)]
struct Member {
    /// Its id, which is the room that it is in from the beginning.
    own: Text,
    /// Sorted.
    rooms: Vec<Text>,
}

/// A broadcast whose acks are gathered.
#[derive(Debug)]
struct Gathering<K> {
    waiting: BTreeSet<K>,
    deadline: Instant,
}

/// Everybody on one namespace. `K` is the adapter's key of a socket: small, and never used again for another one.
#[derive(Debug)]
pub struct Namespace<K> {
    members: BTreeMap<K, Member>,
    ids: BTreeMap<Text, K>,
    rooms: Rooms<K>,
    gatherings: BTreeMap<AckId, Gathering<K>>,
    deadlines: BTreeSet<(Instant, AckId)>,
    next_ack: AckId,
    events: VecDeque<NamespaceEvent<K>>,
    watch_rooms: bool,
}

impl<K: Copy + Ord> Namespace<K> {
    /// An empty namespace. Ack ids of its broadcasts are odd.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: BTreeMap::new(),
            ids: BTreeMap::new(),
            rooms: Rooms::new(),
            gatherings: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_ack: AckId(1),
            events: VecDeque::new(),
            watch_rooms: false,
        }
    }

    /// Whether rooms that come and go, and sockets that join and leave them, are told as events. They are not unless this is called;
    /// who calls it takes the events after every change.
    pub const fn watch_rooms(&mut self, watch: bool) {
        self.watch_rooms = watch;
    }

    /// A socket was accepted: it joins the room of its own id. Does nothing when it is here already.
    pub fn add(&mut self, key: K, sid: Sid) {
        if self.members.contains_key(&key) {
            return;
        }
        let own = self.rooms.name(sid.as_str()).unwrap_or_else(|| sid.as_str().into());
        self.members.insert(key, Member { own: own.clone(), rooms: Vec::new() });
        self.ids.insert(own.clone(), key);
        self.join_named(key, own);
    }

    /// A socket is gone. Final: a later `join` does nothing. Its rooms are left, its awaited broadcast acks resolved as disconnected.
    /// Who wants its rooms at the time of the disconnection looks at them first.
    pub fn remove(&mut self, key: K) {
        let Some(member) = self.members.remove(&key) else { return };
        if self.ids.get(&member.own) == Some(&key) {
            self.ids.remove(&member.own);
        }
        for room in member.rooms {
            self.left(key, room);
        }
        let awaiting = |(&id, gathering): (&AckId, &Gathering<K>)| gathering.waiting.contains(&key).then_some(id);
        let broadcasts: Vec<AckId> = self.gatherings.iter().filter_map(awaiting).collect();
        for id in broadcasts {
            self.handle_ack(key, id, Err(AckError::Disconnected));
        }
    }

    /// A socket joins a room. Does nothing when it is in it already or is not here.
    pub fn join(&mut self, key: K, room: &str) {
        let room = self.rooms.name(room).unwrap_or_else(|| room.into());
        self.join_named(key, room);
    }

    fn join_named(&mut self, key: K, room: Text) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let Err(place) = member.rooms.binary_search(&room) else { return };
        member.rooms.insert(place, room.clone());
        let created = self.rooms.insert(&room, key);
        if self.watch_rooms {
            if created {
                self.events.push_back(NamespaceEvent::RoomCreated { room: room.clone() });
            }
            self.events.push_back(NamespaceEvent::Joined { socket: key, room });
        }
    }

    /// A socket leaves a room; also that of its own id. Does nothing when it is not in it.
    pub fn leave(&mut self, key: K, room: &str) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let Ok(place) = member.rooms.binary_search_by(|name| (**name).cmp(room)) else { return };
        let room = member.rooms.remove(place);
        self.left(key, room);
    }

    fn left(&mut self, key: K, room: Text) {
        let deleted = self.rooms.remove(&room, key);
        if self.watch_rooms {
            self.events.push_back(NamespaceEvent::Left { socket: key, room: room.clone() });
            if deleted {
                self.events.push_back(NamespaceEvent::RoomDeleted { room });
            }
        }
    }

    /// The rooms of a socket, in alphabetical order.
    pub fn rooms(&self, key: K) -> impl Iterator<Item = &Text> {
        self.members.get(&key).into_iter().flat_map(|member| &member.rooms)
    }

    /// The sockets of a target, each once: whom to deliver a packet to.
    #[must_use]
    pub fn recipients(&self, target: &Target<K>) -> Recipients<'_, K> {
        let mut rooms = target.rooms.iter();
        let source = match (rooms.next(), rooms.next()) {
            (None, _) => Source::Everybody(self.members.keys()),
            (Some(room), None) => Source::Room(self.rooms.members(room).map_or(rooms::Iter::One(None), Members::iter)),
            _ => {
                let members = target.rooms.iter().filter_map(|room| self.rooms.members(room));
                let mut union: Vec<K> = members.flat_map(Members::iter).collect();
                // A few sorted runs: what a stable sort merges in one pass.
                union.sort();
                union.dedup();
                Source::Union(union.into_iter())
            }
        };
        let except = target.except.iter().filter_map(|room| self.rooms.members(room)).collect();
        Recipients { source, except, sender: target.sender }
    }

    /// The socket with this id.
    #[must_use]
    pub fn find(&self, sid: &str) -> Option<K> {
        self.ids.get(sid).copied()
    }

    /// Whether the socket is here.
    #[must_use]
    pub fn contains(&self, key: K) -> bool {
        self.members.contains_key(&key)
    }

    /// How many sockets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no socket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The id that the next broadcast with acks has to carry: encode the packet with it, then call [`Namespace::gather`].
    pub fn next_ack_id(&mut self) -> AckId {
        while self.gatherings.contains_key(&self.next_ack) {
            self.next_ack = following(self.next_ack);
        }
        let id = self.next_ack;
        self.next_ack = following(id);
        id
    }

    /// Gathers the acks of a broadcast that carries this id (of [`Namespace::next_ack_id`]), and names those to deliver it to. Hand in
    /// what comes of each with [`Namespace::handle_ack`]; [`NamespaceEvent::BroadcastDone`] comes when all have answered, left, or the
    /// time is over: at once when there is no recipient.
    ///
    /// The list is in order and complete: a socket that is added later is no recipient.
    pub fn gather(&mut self, now: Instant, target: &Target<K>, id: AckId, timeout: Duration) -> Vec<K> {
        let recipients: Vec<K> = self.recipients(target).collect();
        if recipients.is_empty() {
            self.events.push_back(NamespaceEvent::BroadcastDone { broadcast: id });
            return recipients;
        }
        let deadline = now + timeout;
        let waiting = recipients.iter().copied().collect();
        self.gatherings.insert(id, Gathering { waiting, deadline });
        self.deadlines.insert((deadline, id));
        recipients
    }

    /// A recipient of a broadcast answered, or the packet could not be delivered to it ([`AckError::Disconnected`]). What is not awaited
    /// is ignored.
    pub fn handle_ack(&mut self, key: K, id: AckId, outcome: Result<Payload, AckError>) {
        let Some(gathering) = self.gatherings.get_mut(&id) else { return };
        if !gathering.waiting.remove(&key) {
            return;
        }
        self.events.push_back(NamespaceEvent::Acked { broadcast: id, socket: key, outcome });
        if gathering.waiting.is_empty() {
            self.deadlines.remove(&(gathering.deadline, id));
            self.gatherings.remove(&id);
            self.events.push_back(NamespaceEvent::BroadcastDone { broadcast: id });
        }
    }

    /// The deadline has passed: who has not answered a broadcast by now has timed out.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(deadline, id)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, id));
            for socket in self.gatherings.remove(&id).into_iter().flat_map(|gathering| gathering.waiting) {
                self.events.push_back(NamespaceEvent::Acked { broadcast: id, socket, outcome: Err(AckError::Timeout) });
            }
            self.events.push_back(NamespaceEvent::BroadcastDone { broadcast: id });
        }
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<NamespaceEvent<K>> {
        let event = self.events.pop_front();
        // A broadcast to many leaves a long queue behind.
        if self.events.is_empty() && self.events.capacity() > 1024 {
            self.events = VecDeque::new();
        }
        event
    }

    /// When to call [`Namespace::handle_timeout`]; `None` when nothing is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }
}

impl<K: Copy + Ord> Default for Namespace<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// The sockets of a target, each once, in order of their keys. Made by [`Namespace::recipients`].
#[derive(Clone, Debug)]
pub struct Recipients<'a, K> {
    source: Source<'a, K>,
    except: Vec<&'a Members<K>>,
    sender: Option<K>,
}

#[derive(Clone, Debug)]
enum Source<'a, K> {
    Everybody(btree_map::Keys<'a, K, Member>),
    Room(rooms::Iter<'a, K>),
    Union(vec::IntoIter<K>),
}

impl<K: Copy + Ord> Iterator for Recipients<'_, K> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        loop {
            let key = match &mut self.source {
                Source::Everybody(keys) => *keys.next()?,
                Source::Room(members) => members.next()?,
                Source::Union(keys) => keys.next()?,
            };
            if self.sender != Some(key) && !self.except.iter().any(|members| members.contains(key)) {
                return Some(key);
            }
        }
    }
}

impl<K: Copy + Ord> FusedIterator for Recipients<'_, K> {}
