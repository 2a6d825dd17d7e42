//! Everybody on one namespace: who is in which room, whom an operation is for, and the acks of broadcasts. Holds the adapter's keys of
//! sockets, never their connections.
//!
//! Whatever concerns several sockets is an [`Operation`], a plain emit to one socket included when the adapter wants it so.
//! [`Namespace::apply`] does what can be done here, and gives the [`Recipients`] for whom the adapter has to do the rest: put a packet into
//! a mailbox, make a socket leave. They are walked, not queued. So the adapter encodes a packet once, before it takes the namespace's lock, and
//! delivers it to each recipient under that lock.
//!
//! Source: socket.io-adapter `lib/in-memory-adapter.ts`, socket.io `lib/broadcast-operator.ts`.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque, btree_map, btree_set};
use alloc::string::String;
use alloc::vec::{self, Vec};
use core::iter::FusedIterator;

use engineio_proto::{Instant, Text};

use crate::ack::following;
use crate::event::{AckError, AckId};
use crate::id::SocketId;
use crate::payload::Payload;
use crate::rooms::{self, Members, Rooms};

/// Whom an operation is for: the union of the rooms (everybody when none is named) without the excepted rooms and the excepted socket; or
/// one socket alone. Each socket counts once, however many of the rooms it is in.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_structs, reason = "adapters build it from parts of their own")]
pub struct Target<K> {
    /// Rooms to include. A socket's own id is a room with the socket alone in it, until it leaves it.
    pub rooms: BTreeSet<String>,
    /// Rooms to leave out.
    pub except: BTreeSet<String>,
    /// One socket to leave out: the sender.
    pub sender: Option<K>,
    /// This socket and no other; `rooms` is not looked at then.
    pub only: Option<K>,
}

impl<K> Target<K> {
    /// Everybody on the namespace.
    #[must_use]
    pub const fn everybody() -> Self {
        Self { rooms: BTreeSet::new(), except: BTreeSet::new(), sender: None, only: None }
    }

    /// One socket. Found by its key, whether or not it is still in the room of its own id.
    #[must_use]
    pub const fn socket(key: K) -> Self {
        Self { rooms: BTreeSet::new(), except: BTreeSet::new(), sender: None, only: Some(key) }
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

/// Something that is done to the sockets of a target.
#[derive(Debug)]
#[non_exhaustive]
pub enum Operation<'a, K> {
    /// Sends a packet: deliver it to each recipient.
    Emit {
        /// To whom.
        target: &'a Target<K>,
    },
    /// Sends a packet that every recipient is to answer: deliver it to each, and hand in what comes of it with [`Namespace::handle_ack`].
    /// [`NamespaceEvent::BroadcastDone`] comes when all have answered or left, or when the time is over: at once when there is no recipient.
    EmitWithAck {
        /// To whom. A socket that is added later is no recipient.
        target: &'a Target<K>,
        /// The ack id that the packet carries.
        ack: ReservedAck,
        /// Until when to wait for the answers.
        deadline: Instant,
    },
    /// Joins rooms. Nothing is left to do for anybody.
    Join {
        /// Who joins.
        target: &'a Target<K>,
        /// The rooms.
        rooms: &'a [&'a str],
    },
    /// Leaves rooms. Nothing is left to do for anybody.
    Leave {
        /// Who leaves.
        target: &'a Target<K>,
        /// The rooms.
        rooms: &'a [&'a str],
    },
    /// Leaves the namespace: make each recipient do so. [`Namespace::remove`] follows when it has.
    Disconnect {
        /// Who leaves.
        target: &'a Target<K>,
    },
    /// Gives the sockets, to be looked at.
    Fetch {
        /// Which.
        target: &'a Target<K>,
    },
}

/// The ack id of a broadcast that is about to be sent: encode the packet with it, then apply [`Operation::EmitWithAck`]. One that is dropped
/// was never used.
#[derive(Debug)]
#[must_use = "send a broadcast that carries it"]
pub struct ReservedAck(AckId);

impl ReservedAck {
    /// The id that the packet has to carry.
    #[must_use]
    pub const fn id(&self) -> AckId {
        self.0
    }
}

/// What happened on a namespace.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum NamespaceEvent<K> {
    /// A room got its first member; its `Joined` follows. Told while there are observers ([`Namespace::observe_rooms`]), as are the next
    /// three.
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
    /// One recipient of a broadcast answered, or will not. Comes exactly once for each, and while the recipient is here: at the latest
    /// with its [`Namespace::remove`].
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
    id: SocketId,
    /// Sorted.
    rooms: Vec<Text>,
}

/// The acks of one broadcast that have not come yet.
#[derive(Debug)]
struct MissingAcks<K> {
    recipients: BTreeSet<K>,
    deadline: Instant,
}

/// Everybody on one namespace. `K` is the adapter's key of a socket: small, and never used again for another one.
#[derive(Debug)]
pub struct Namespace<K> {
    members: BTreeMap<K, Member>,
    ids: BTreeMap<SocketId, K>,
    rooms: Rooms<K>,
    broadcasts: BTreeMap<AckId, MissingAcks<K>>,
    /// The same as all `recipients` of `broadcasts`, by socket: what one that leaves has not answered.
    awaited: BTreeSet<(K, AckId)>,
    deadlines: BTreeSet<(Instant, AckId)>,
    next_ack: AckId,
    events: VecDeque<NamespaceEvent<K>>,
    /// How many observers of rooms there are.
    observers: usize,
}

impl<K: Copy + Ord> Namespace<K> {
    /// An empty namespace. Ack ids of its broadcasts are odd.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: BTreeMap::new(),
            ids: BTreeMap::new(),
            rooms: Rooms::new(),
            broadcasts: BTreeMap::new(),
            awaited: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            next_ack: AckId(1),
            events: VecDeque::new(),
            observers: 0,
        }
    }

    /// There is one observer of rooms more: from the first on, rooms that come and go, and sockets that join and leave them, are told as
    /// events. The adapter takes the events after every change, and hands each to all observers.
    pub const fn observe_rooms(&mut self) {
        self.observers = self.observers.saturating_add(1);
    }

    /// There is one observer less.
    pub const fn unobserve_rooms(&mut self) {
        self.observers = self.observers.saturating_sub(1);
    }

    /// A socket was accepted: it joins the room of its own id. Does nothing when it is here already.
    pub fn add(&mut self, key: K, id: &SocketId) {
        if self.members.contains_key(&key) {
            return;
        }
        self.members.insert(key, Member { id: id.clone(), rooms: Vec::new() });
        self.ids.insert(id.clone(), key);
        let room = self.rooms.name(id.as_str()).unwrap_or_else(|| id.text().clone());
        self.join(key, room);
    }

    /// A socket is gone. Final: a later operation does not reach it. Its rooms are left, its awaited broadcast acks resolved as
    /// disconnected. Who wants its rooms at the time of the disconnection looks at them first.
    pub fn remove(&mut self, key: K) {
        let Some(member) = self.members.remove(&key) else { return };
        if self.ids.get(&member.id) == Some(&key) {
            self.ids.remove(&member.id);
        }
        for room in member.rooms {
            self.left(key, room);
        }
        while let Some(&(_, id)) = self.awaited.range((key, AckId(0))..=(key, AckId(u32::MAX))).next() {
            self.handle_ack(key, id, Err(AckError::Disconnected));
        }
    }

    /// Does to the sockets of a target what can be done here. Gives those for whom something is left to do, each once: what that is, the
    /// [`Operation`] says.
    pub fn apply<'a>(&'a mut self, operation: Operation<'_, K>) -> Recipients<'a, K> {
        match operation {
            Operation::Emit { target } | Operation::Disconnect { target } | Operation::Fetch { target } => {
                self.recipients(target)
            }
            Operation::EmitWithAck { target, ack, deadline } => self.await_acks(target, ack.0, deadline),
            Operation::Join { target, rooms } => {
                self.for_each(target, |namespace, key| {
                    for &room in rooms {
                        let room = namespace.rooms.name(room).unwrap_or_else(|| room.into());
                        namespace.join(key, room);
                    }
                });
                Recipients::nobody()
            }
            Operation::Leave { target, rooms } => {
                self.for_each(target, |namespace, key| rooms.iter().for_each(|room| namespace.leave(key, room)));
                Recipients::nobody()
            }
        }
    }

    fn for_each(&mut self, target: &Target<K>, mut work: impl FnMut(&mut Self, K)) {
        if let Some(key) = target.only {
            let is_meant = self.recipients(target).next().is_some();
            if is_meant {
                work(self, key);
            }
            return;
        }
        let recipients: Vec<K> = self.recipients(target).collect();
        for key in recipients {
            work(self, key);
        }
    }

    fn join(&mut self, key: K, room: Text) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let Err(place) = member.rooms.binary_search(&room) else { return };
        member.rooms.insert(place, room.clone());
        let created = self.rooms.insert(&room, key);
        if self.observers > 0 {
            if created {
                self.events.push_back(NamespaceEvent::RoomCreated { room: room.clone() });
            }
            self.events.push_back(NamespaceEvent::Joined { socket: key, room });
        }
    }

    fn leave(&mut self, key: K, room: &str) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let Ok(place) = member.rooms.binary_search_by(|name| (**name).cmp(room)) else { return };
        let room = member.rooms.remove(place);
        self.left(key, room);
    }

    fn left(&mut self, key: K, room: Text) {
        let deleted = self.rooms.remove(&room, key);
        if self.observers > 0 {
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

    /// The sockets of a target, each once.
    fn recipients(&self, target: &Target<K>) -> Recipients<'_, K> {
        let mut rooms = target.rooms.iter();
        let source = match (target.only, rooms.next(), rooms.next()) {
            (Some(key), ..) => Source::Room(rooms::Iter::One(self.members.contains_key(&key).then_some(key))),
            (None, None, _) => Source::Everybody(self.members.keys()),
            (None, Some(room), None) => {
                Source::Room(self.rooms.members(room).map_or(rooms::Iter::One(None), Members::iter))
            }
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
    pub fn find(&self, id: &str) -> Option<K> {
        self.ids.get(id).copied()
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

    /// An ack id for a broadcast whose packet is yet to be encoded.
    pub fn reserve_ack(&mut self) -> ReservedAck {
        while self.broadcasts.contains_key(&self.next_ack) {
            self.next_ack = following(self.next_ack);
        }
        let id = self.next_ack;
        self.next_ack = following(id);
        ReservedAck(id)
    }

    fn await_acks(&mut self, target: &Target<K>, id: AckId, deadline: Instant) -> Recipients<'_, K> {
        let recipients: BTreeSet<K> = self.recipients(target).collect();
        if recipients.is_empty() {
            self.events.push_back(NamespaceEvent::BroadcastDone { broadcast: id });
            return Recipients::nobody();
        }
        self.awaited.extend(recipients.iter().map(|&key| (key, id)));
        self.deadlines.insert((deadline, id));
        // The id is no other broadcast's: it was reserved here.
        let missing = self.broadcasts.entry(id).or_insert(MissingAcks { recipients, deadline });
        Recipients { source: Source::Awaited(missing.recipients.iter()), except: Vec::new(), sender: None }
    }

    /// A recipient of a broadcast answered, or the packet could not be delivered to it ([`AckError::Disconnected`]). What is not awaited
    /// is ignored.
    pub fn handle_ack(&mut self, key: K, id: AckId, outcome: Result<Payload, AckError>) {
        if !self.awaited.remove(&(key, id)) {
            return;
        }
        self.events.push_back(NamespaceEvent::Acked { broadcast: id, socket: key, outcome });
        let Some(missing) = self.broadcasts.get_mut(&id) else { return };
        missing.recipients.remove(&key);
        if missing.recipients.is_empty() {
            self.deadlines.remove(&(missing.deadline, id));
            self.broadcasts.remove(&id);
            self.events.push_back(NamespaceEvent::BroadcastDone { broadcast: id });
        }
    }

    /// The deadline has passed: who has not answered a broadcast by now has timed out.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(deadline, id)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, id));
            for socket in self.broadcasts.remove(&id).into_iter().flat_map(|missing| missing.recipients) {
                self.awaited.remove(&(socket, id));
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

/// The sockets for whom an operation leaves something to do, each once, in order of their keys. Made by [`Namespace::apply`].
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
    Awaited(btree_set::Iter<'a, K>),
}

impl<K> Recipients<'_, K> {
    const fn nobody() -> Self {
        Self { source: Source::Room(rooms::Iter::One(None)), except: Vec::new(), sender: None }
    }
}

impl<K: Copy + Ord> Iterator for Recipients<'_, K> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        loop {
            let key = match &mut self.source {
                Source::Everybody(keys) => *keys.next()?,
                Source::Room(members) => members.next()?,
                Source::Union(keys) => keys.next()?,
                Source::Awaited(keys) => *keys.next()?,
            };
            if self.sender != Some(key) && !self.except.iter().any(|members| members.contains(key)) {
                return Some(key);
            }
        }
    }
}

impl<K: Copy + Ord> FusedIterator for Recipients<'_, K> {}
