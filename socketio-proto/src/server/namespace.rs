//! One namespace of a server: the rooms of its sockets, the recipients of each operation, and the acks of broadcasts. It holds
//! the adapter's keys of sockets, never their connections.
//!
//! Everything that concerns several sockets is an [`Operation`]. An adapter can also use one for a plain emit to a single
//! socket. [`Namespace::apply`] does the part that needs no connection, and returns the [`Recipients`] for which the adapter
//! does the rest: push a packet into a mailbox, or disconnect a socket. Recipients are an iterator, not a queue. So the adapter
//! encodes a packet once, before it takes the namespace's lock, and delivers it to each recipient under that lock.
//!
//! Source: socket.io-adapter `lib/in-memory-adapter.ts`, socket.io `lib/broadcast-operator.ts`.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque, btree_map, btree_set};
use alloc::string::String;
use alloc::vec::{self, Vec};
use core::iter::FusedIterator;

use engineio_proto::{Instant, Text};

use super::recovery::{Claim, Kept, Recovery, RecoveryConfig, Restored, Taken, Tracked};
use crate::ack::following;
use crate::event::{AckError, AckId, DisconnectReason};
use crate::id::SocketId;
use crate::offset::{Offset, PrivateId};
use crate::packet::Encoded;
use crate::payload::Payload;
use crate::rooms::{self, Room, Rooms};

/// The sockets that an operation applies to: either all sockets in `rooms` (every socket of the namespace if `rooms` is empty),
/// or the single socket `only`. Sockets in one of the rooms in `except` are excluded, and so is `sender`. Each socket counts
/// once, even if it is in several of the rooms.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_structs, reason = "adapters build it from parts of their own")]
pub struct Target<K> {
    /// Rooms to include. The id of a socket is a room that contains only this socket, until the socket leaves it.
    pub rooms: BTreeSet<String>,
    /// Rooms to exclude.
    pub except: BTreeSet<String>,
    /// A single socket to exclude: the sender. The key that a recovered socket had before means that socket.
    pub sender: Option<K>,
    /// The only socket to include. `rooms` is then ignored.
    pub only: Option<K>,
}

impl<K> Target<K> {
    /// All sockets on the namespace.
    #[must_use]
    pub const fn everybody() -> Self {
        Self { rooms: BTreeSet::new(), except: BTreeSet::new(), sender: None, only: None }
    }

    /// A single socket. It is found by its key, even if it has left the room of its own id.
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

    /// Excludes a room.
    #[must_use]
    pub fn except(mut self, room: impl Into<String>) -> Self {
        self.except.insert(room.into());
        self
    }

    /// Excludes the sender.
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

/// An operation on the sockets of a target.
#[derive(Debug)]
#[non_exhaustive]
pub enum Operation<'a, K> {
    /// Sends a packet. The adapter delivers it to each recipient.
    Emit {
        /// The recipients.
        target: &'a Target<K>,
    },
    /// Sends a packet with an ack. The adapter delivers it to each recipient and passes each outcome to
    /// [`Namespace::handle_ack`]. [`NamespaceEvent::BroadcastDone`] is emitted when all recipients have answered or left, or
    /// by [`Namespace::handle_timeout`] once `deadline` has passed. It is emitted immediately if there is no recipient.
    EmitWithAck {
        /// The recipients. A socket that is added later is not a recipient.
        target: &'a Target<K>,
        /// The ack id that the packet carries.
        ack: ReservedAck,
        /// When to stop waiting for the acks.
        deadline: Instant,
    },
    /// Same as `Emit`, for a packet that carries an offset. If the namespace has recovery, it keeps the packet for sockets that have lost
    /// their connection. Deliver the packet to all recipients before the next operation, so that every socket receives packets in the
    /// order in which they are kept; see [`RecoveryConfig`] for how long that is.
    EmitWithOffset {
        /// The recipients.
        target: &'a Target<K>,
        /// The current time.
        now: Instant,
        /// The offset that the packet carries. It must be new.
        offset: Offset,
        /// The packet.
        encoded: &'a Encoded,
    },
    /// Adds the sockets to rooms. Returns no recipients.
    Join {
        /// The sockets.
        target: &'a Target<K>,
        /// The rooms.
        rooms: &'a [&'a str],
    },
    /// Removes the sockets from rooms. Returns no recipients.
    Leave {
        /// The sockets.
        target: &'a Target<K>,
        /// The rooms.
        rooms: &'a [&'a str],
    },
    /// Disconnects the sockets from the namespace. The adapter disconnects each recipient, and calls [`Namespace::remove`]
    /// afterwards.
    Disconnect {
        /// The sockets.
        target: &'a Target<K>,
    },
    /// Returns the sockets of the target.
    Fetch {
        /// The sockets.
        target: &'a Target<K>,
    },
}

/// The ack id of a broadcast that has not been sent yet. Encode the packet with this id, then apply [`Operation::EmitWithAck`].
/// Dropping it has no effect. Only the namespace that has reserved it can use it; another one may return no recipients.
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

/// An event on a namespace.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum NamespaceEvent<K> {
    /// A room got its first member. [`Joined`](Self::Joined) follows. This event and the next three are emitted only while
    /// there is an observer ([`Namespace::observe_rooms`]).
    RoomCreated {
        /// Its name.
        room: Text,
    },
    /// A room lost its last member. [`Left`](Self::Left) was emitted before.
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
    /// A recipient of a broadcast has answered, or will not answer. Emitted exactly once for each recipient, and no later than
    /// the call of [`Namespace::remove`] for this recipient.
    Acked {
        /// The id that the broadcast carries.
        broadcast: AckId,
        /// The recipient.
        socket: K,
        /// Its answer, or why there is none.
        outcome: Result<Payload, AckError>,
    },
    /// `Acked` was emitted for every recipient of a broadcast. This is the last event of the broadcast.
    BroadcastDone {
        /// The id that the broadcast carries.
        broadcast: AckId,
    },
    /// A socket for which [`Namespace::suspend`] has returned true cannot return any more. Drop what is kept for it.
    Forgotten {
        /// The key that the socket had.
        socket: K,
    },
}

#[derive(Debug)]
struct Member<K> {
    /// The id of the socket. The socket is in the room of this name from the beginning.
    id: SocketId,
    /// Sorted.
    rooms: Vec<Text>,
    /// Only with recovery.
    tracked: Option<Box<Tracked<K>>>,
}

/// The acks of one broadcast that have not arrived yet.
#[derive(Debug)]
struct MissingAcks<K> {
    recipients: BTreeSet<K>,
    deadline: Instant,
}

/// One namespace of a server. `K` is the adapter's key of a socket. It should be small, and a key must never be reused for
/// another socket.
#[derive(Debug)]
pub struct Namespace<K> {
    members: BTreeMap<K, Member<K>>,
    ids: BTreeMap<SocketId, K>,
    rooms: Rooms<K>,
    broadcasts: BTreeMap<AckId, MissingAcks<K>>,
    /// The same pairs as in `broadcasts`, ordered by socket: used to resolve the acks of a socket that leaves.
    awaited: BTreeSet<(K, AckId)>,
    deadlines: BTreeSet<(Instant, AckId)>,
    next_ack: AckId,
    events: VecDeque<NamespaceEvent<K>>,
    /// Number of observers of rooms.
    observers: usize,
    recovery: Option<Box<Recovery<K>>>,
}

/// What a namespace holds at a moment, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct NamespaceCounts {
    /// Its sockets.
    pub sockets: usize,
    /// Its rooms, with the room of each socket's own id.
    pub rooms: usize,
    /// Broadcasts with acks whose answers are awaited.
    pub broadcasts: usize,
}

impl<K> Namespace<K> {
    /// What the namespace holds now. Takes constant time.
    #[must_use]
    pub fn counts(&self) -> NamespaceCounts {
        NamespaceCounts { sockets: self.members.len(), rooms: self.rooms.len(), broadcasts: self.broadcasts.len() }
    }
}

impl<K: Copy + Ord> Namespace<K> {
    /// Creates an empty namespace. The ack ids of its broadcasts are odd.
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
            recovery: None,
        }
    }

    /// Creates an empty namespace that keeps sockets and packets for clients whose connection was lost. Add its sockets with
    /// [`Namespace::add_recoverable`].
    #[must_use]
    pub fn with_recovery(config: RecoveryConfig) -> Self {
        Self { recovery: Some(Box::new(Recovery::new(config))), ..Self::new() }
    }

    /// Adds an observer of rooms. While there is at least one, events are emitted for rooms that are created or deleted and for
    /// sockets that join or leave them. The adapter polls the events after every change and passes each of them to all
    /// observers.
    pub const fn observe_rooms(&mut self) {
        self.observers = self.observers.saturating_add(1);
    }

    /// Removes an observer of rooms.
    pub const fn unobserve_rooms(&mut self) {
        self.observers = self.observers.saturating_sub(1);
    }

    /// Adds an accepted socket, which joins the room of its own id. Does nothing if the socket is already a member.
    pub fn add(&mut self, key: K, id: &SocketId) {
        self.insert(key, id, None);
    }

    /// Same as [`Namespace::add`], for a socket whose client may return after a lost connection if it knows `pid`. Without recovery,
    /// `pid` has no effect.
    pub fn add_recoverable(&mut self, key: K, id: &SocketId, pid: PrivateId) {
        let tracked = self.recovery.as_ref().map(|recovery| recovery.track(pid));
        self.insert(key, id, tracked);
    }

    fn insert(&mut self, key: K, id: &SocketId, tracked: Option<Box<Tracked<K>>>) {
        if self.members.contains_key(&key) {
            return;
        }
        self.members.insert(key, Member { id: id.clone(), rooms: Vec::new(), tracked });
        self.ids.insert(id.clone(), key);
        let room = self.rooms.name(id.as_str()).unwrap_or_else(|| id.text().clone());
        self.join(key, room);
    }

    /// Removes a socket that has disconnected, as [`Namespace::remove`] does. If its client may return, keeps its ids, its rooms and
    /// what it misses, and returns true. This is so with recovery, if the connection was lost
    /// ([`DisconnectReason::is_recoverable`]) after the client was sent a packet with an offset. `bytes` is the size of what the adapter
    /// keeps for the socket until [`Namespace::restore`] returns its key or [`NamespaceEvent::Forgotten`] names it.
    pub fn suspend(&mut self, now: Instant, key: K, reason: &DisconnectReason, bytes: usize) -> bool {
        let mut kept = false;
        if reason.is_recoverable()
            && let (Some(recovery), Some(member)) = (&mut self.recovery, self.members.get_mut(&key))
            && let Some(tracked) = member.tracked.take()
        {
            kept = recovery.keep(now, key, member.id.clone(), member.rooms.clone(), tracked, bytes);
        }
        self.remove(key);
        self.report_forgotten();
        kept
    }

    /// Restores the socket that a client claims, under a new key: it is a member again, in its rooms, and a recipient of all later
    /// packets. Returns what the client has missed until now. Returns `None` if there is no such socket, or if it cannot be proven
    /// that the client would get all that it has missed: the client then gets a new socket. A claim that names a lost socket is used
    /// up in both cases, unless `key` is a member already.
    ///
    /// `capacity` is the number of bytes that the client's queue takes ([`Frame::queued_len`](engineio_proto::Frame)).
    pub fn restore(&mut self, now: Instant, key: K, claim: &Claim, capacity: usize) -> Option<Restored<K>> {
        if self.members.contains_key(&key) {
            return None;
        }
        let taken = self.recovery.as_mut()?.take(now, claim, capacity);
        self.report_forgotten();
        let Taken { former, id, rooms, tracked, missed } = taken?;
        // Joining is no change of rooms here, so it is not recorded.
        self.members.insert(key, Member { id: id.clone(), rooms: Vec::new(), tracked: None });
        self.ids.insert(id.clone(), key);
        for room in rooms {
            let room = self.rooms.name(&room).unwrap_or(room);
            self.join(key, room);
        }
        if let Some(member) = self.members.get_mut(&key) {
            member.tracked = Some(tracked);
        }
        Some(Restored { id, pid: claim.pid, missed, former })
    }

    /// How much is kept for clients that may return.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.recovery.as_ref().map_or_else(Kept::default, |recovery| recovery.kept())
    }

    fn report_forgotten(&mut self) {
        let Some(recovery) = &mut self.recovery else { return };
        while let Some(socket) = recovery.poll_forgotten() {
            self.events.push_back(NamespaceEvent::Forgotten { socket });
        }
    }

    fn emit_with_offset(
        &mut self,
        target: &Target<K>,
        now: Instant,
        offset: Offset,
        encoded: &Encoded,
    ) -> Recipients<'_, K> {
        if self.recovery.is_none() {
            return self.recipients(target);
        }
        let recipients: Vec<K> = self.recipients(target).collect();
        for key in &recipients {
            if let Some(tracked) = self.members.get_mut(key).and_then(|member| member.tracked.as_mut()) {
                Recovery::<K>::addressed(tracked, offset);
            }
        }
        let (members, rooms) = (&self.members, &self.rooms);
        if let Some(recovery) = &mut self.recovery
            // Otherwise nobody can miss the packet.
            && !(recipients.is_empty() && recovery.is_unused())
        {
            let id_of = |key| members.get(&key).map(|member| member.id.clone());
            recovery.store(now, offset, encoded, target, id_of, |room| rooms.name(room));
        }
        Recipients { source: Source::Union(recipients.into_iter()), except: Vec::new(), sender: None }
    }

    /// Removes a socket that has disconnected. This is final: later operations do not reach the socket. The socket leaves its
    /// rooms, and its pending broadcast acks resolve as disconnected. To see the rooms that it was in when it disconnected,
    /// read them before this call.
    pub fn remove(&mut self, key: K) {
        let Some(member) = self.members.remove(&key) else { return };
        if let (Some(recovery), Some(tracked)) = (&mut self.recovery, &member.tracked) {
            recovery.untrack(tracked);
        }
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

    /// Applies an operation to the sockets of a target. Returns the sockets for which the adapter has to do the rest, each
    /// once. The [`Operation`] documents what the rest is.
    pub fn apply<'a>(&'a mut self, operation: Operation<'_, K>) -> Recipients<'a, K> {
        match operation {
            Operation::Emit { target } | Operation::Disconnect { target } | Operation::Fetch { target } => {
                self.recipients(target)
            }
            Operation::EmitWithOffset { target, now, offset, encoded } => {
                self.emit_with_offset(target, now, offset, encoded)
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
        if let (Some(recovery), Some(tracked)) = (&self.recovery, &mut member.tracked) {
            recovery.changed(tracked, &room, true);
        }
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
        if let (Some(recovery), Some(tracked)) = (&self.recovery, &mut member.tracked) {
            recovery.changed(tracked, &room, false);
        }
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

    /// The rooms of a socket, in byte order of their names.
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
                Source::Room(self.rooms.members(room).map_or(rooms::Iter::One(None), Room::iter))
            }
            _ => {
                let members = target.rooms.iter().filter_map(|room| self.rooms.members(room));
                let mut union: Vec<K> = members.flat_map(Room::iter).collect();
                // The input consists of a few sorted runs, which a stable sort merges in one pass.
                union.sort();
                union.dedup();
                Source::Union(union.into_iter())
            }
        };
        let except = target.except.iter().filter_map(|room| self.rooms.members(room)).collect();
        Recipients { source, except, sender: target.sender.map(|sender| self.present(sender)) }
    }

    /// The key of a sender, or the present one if its socket has been recovered since.
    fn present(&self, sender: K) -> K {
        match &self.recovery {
            Some(recovery) => recovery.heir(sender).and_then(|id| self.ids.get(id)).copied().unwrap_or(sender),
            None => sender,
        }
    }

    /// The socket with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<K> {
        self.ids.get(id).copied()
    }

    /// Whether the socket is a member.
    #[must_use]
    pub fn contains(&self, key: K) -> bool {
        self.members.contains_key(&key)
    }

    /// Number of sockets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether the namespace has no sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Reserves an ack id for a broadcast whose packet has not been encoded yet.
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
        // Reserved by another namespace: this id belongs to another broadcast here.
        if self.broadcasts.contains_key(&id) {
            return Recipients::nobody();
        }
        if recipients.is_empty() {
            self.events.push_back(NamespaceEvent::BroadcastDone { broadcast: id });
            return Recipients::nobody();
        }
        self.awaited.extend(recipients.iter().map(|&key| (key, id)));
        self.deadlines.insert((deadline, id));
        let missing = self.broadcasts.entry(id).or_insert(MissingAcks { recipients, deadline });
        Recipients { source: Source::Awaited(missing.recipients.iter()), except: Vec::new(), sender: None }
    }

    /// Records the outcome of an ack: the answer of a recipient, or [`AckError::Disconnected`] if the packet could not be
    /// delivered. Ignored if the ack is not awaited.
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

    /// Handles the timeouts that are due: recipients that have not answered a broadcast by its deadline time out, and packets and
    /// sockets that were kept for recovery are dropped.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(recovery) = &mut self.recovery {
            recovery.handle_timeout(now);
            self.report_forgotten();
        }
        while let Some(&(deadline, id)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, id));
            for socket in self.broadcasts.remove(&id).into_iter().flat_map(|missing| missing.recipients) {
                self.awaited.remove(&(socket, id));
                self.events.push_back(NamespaceEvent::Acked { broadcast: id, socket, outcome: Err(AckError::Timeout) });
            }
            self.events.push_back(NamespaceEvent::BroadcastDone { broadcast: id });
        }
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<NamespaceEvent<K>> {
        let event = self.events.pop_front();
        // A broadcast to many sockets leaves a large allocation behind.
        if self.events.is_empty() && self.events.capacity() > 1024 {
            self.events = VecDeque::new();
        }
        event
    }

    /// When to call [`Namespace::handle_timeout`]; `None` if no timeout is armed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let acks = self.deadlines.first().map(|&(deadline, _)| deadline);
        let kept = self.recovery.as_ref().and_then(|recovery| recovery.poll_timeout());
        match (acks, kept) {
            (Some(acks), Some(kept)) => Some(acks.min(kept)),
            (acks, kept) => acks.or(kept),
        }
    }
}

impl<K: Copy + Ord> Default for Namespace<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// The sockets for which the adapter has to complete an operation, each once, in order of their keys. Returned by
/// [`Namespace::apply`].
#[derive(Clone, Debug)]
pub struct Recipients<'a, K> {
    source: Source<'a, K>,
    except: Vec<&'a Room<K>>,
    sender: Option<K>,
}

#[derive(Clone, Debug)]
enum Source<'a, K> {
    Everybody(btree_map::Keys<'a, K, Member<K>>),
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
