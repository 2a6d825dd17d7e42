//! Connection state recovery: a client whose connection was lost returns as the same socket, in the same rooms, and gets the
//! packets that it has missed.
//!
//! A [`Namespace`](super::Namespace) that is created with [`Namespace::with_recovery`](super::Namespace::with_recovery) keeps
//! packets and sessions for a while. A *session* is what is left of a socket after its connection was lost: its ids, its rooms,
//! and which packets it has to get.
//!
//! # Order
//!
//! An [`Offset`] is part of the packet that it identifies, and encoding runs code of the application, which must not run under
//! the adapter's lock. So the adapter draws an offset, which is random and has no order, encodes the packet with it, and then
//! does one step under its lock: it applies [`Operation::EmitWithOffset`](super::Operation), which appends the packet to the
//! store, and pushes it to the recipients. The order of packets is their order in the store. It is also their order in every
//! mailbox, because both happen in that step. An offset whose packet cannot be encoded is never used, and nothing waits for it.
//! [`Namespace::suspend`](super::Namespace::suspend) and [`Namespace::restore`](super::Namespace::restore) are single steps under
//! the same lock. So each packet comes either before or after them: `restore` returns all packets that the client has missed up to
//! this step, and the socket is a recipient of all later ones.
//!
//! # Which packets a client has missed
//!
//! A client has received a part of the packets that were addressed to it, up to the one whose offset it names. It has missed all
//! that were addressed to it after that one. Whether a packet was addressed to a socket depends on the rooms in which the socket was
//! at the time of the packet, so recent changes of rooms are kept with each socket. An offset is valid only if its packet was
//! addressed to this very socket. The offset of the last packet that was addressed to the socket before its connection was lost is
//! valid even if the packet itself has expired, because nothing was missed before the loss.
//!
//! # Limits
//!
//! All limits are in [`RecoveryConfig`]. If there are too many bytes or sessions, the oldest go first. A client that needs one of
//! them gets an ordinary new socket. It never gets a part of what it has missed.
//!
//! # Cost
//!
//! A claim is handled under the adapter's lock. It costs as much as the packets since its offset that were addressed to everybody, to the
//! socket, or to a room in which the socket was since then. An index finds them: packets for other rooms are not looked at, however many
//! are kept. A packet that was addressed to the socket is sent to it, so the rest of the cost is that of packets that excluded the socket,
//! and of those for rooms that it has joined late or left early.
//!
//! Source: socket.io-adapter 2.5, `lib/in-memory-adapter.ts`, `SessionAwareAdapter`; socket.io 4.8, `lib/namespace.ts` and
//! `lib/socket.ts`.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque, btree_map};
use alloc::vec::Vec;
use core::time::Duration;

use engineio_proto::{Frame, Instant, Text};
use serde::Deserialize;

use super::namespace::Target;
use crate::event::Pending;
use crate::id::SocketId;
use crate::offset::{Offset, PrivateId};
use crate::packet::Encoded;

/// Number of room changes that are kept for each socket. After more changes, only the packets since the oldest kept change can be
/// recovered.
const MAX_CHANGES: usize = 64;

/// Memory for a packet or a session besides its texts and bytes: the entries in the tables. An estimate.
const ENTRY: usize = 256;

/// Memory for a room name in a list besides its text. An estimate.
const NAME: usize = 40;

/// Memory for a packet's entry in the index, for each room that it was addressed to. An estimate.
const INDEXED: usize = 128;

/// Number of former keys by which a socket is still known as a sender.
const MAX_FORMER: usize = 8;

/// How long and how much a namespace keeps for clients whose connection was lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecoveryConfig {
    /// How long a session is kept after its connection was lost. Default: 2 minutes, as in the reference.
    pub max_disconnection_duration: Duration,
    /// How long a packet is kept. It should be longer than `max_disconnection_duration` by the time in which the loss of a connection
    /// is noticed (ping interval and ping timeout), because the client has missed the packets of that time as well. Packets can be
    /// kept longer by a sixteenth of this time. Default: 165 s.
    pub max_packet_age: Duration,
    /// Maximum size of the packets that are kept, in bytes, with an estimate for the tables. The oldest packets are dropped first.
    /// Clients that need them are not recovered. Default: 16 MiB.
    pub max_bytes: usize,
    /// Maximum number of sessions that are kept. The oldest are dropped first. Default: 10 000.
    pub max_sessions: usize,
    /// Maximum size of the sessions that are kept (ids, rooms, and what the adapter announces for its own values), in bytes. The
    /// oldest are dropped first. Default: 16 MiB.
    pub max_session_bytes: usize,
}

impl Default for RecoveryConfig {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            max_packet_age: Duration::from_secs(165),
            max_bytes: 16 << 20,
            max_sessions: 10_000,
            max_session_bytes: 16 << 20,
        }
    }
}

/// What a client sends in its CONNECT to be recovered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[non_exhaustive]
pub struct Claim {
    /// The private id of its former socket.
    pub pid: PrivateId,
    /// The offset of the last packet that it has received.
    pub offset: Offset,
}

impl Claim {
    /// Reads the claim from a request to join a namespace. Returns `None` if there is none, or if one of its parts has another type or
    /// form.
    #[must_use]
    pub fn of(request: &Pending) -> Option<Self> {
        request.auth()?.get(0).ok()
    }
}

/// A recovered socket.
#[derive(Debug)]
#[non_exhaustive]
pub struct Restored<K> {
    /// Its id, as before.
    pub id: SocketId,
    /// Its private id, as before.
    pub pid: PrivateId,
    /// The packets that the client has missed, in order. Send them before the CONNECT reply.
    pub missed: Vec<Encoded>,
    /// The key that the socket had before the connection was lost.
    pub former: K,
}

/// What is known about the packets that were addressed to a socket.
#[derive(Debug)]
pub(super) struct Tracked<K> {
    pid: PrivateId,
    /// The keys that the socket had before it was recovered, those of [`Recovery::heirs`], oldest first.
    formers: VecDeque<K>,
    /// The last packet that was addressed to the socket while it was connected. `None`: the client cannot know an offset.
    latest: Option<Offset>,
    /// `changes` has every change of rooms since this position.
    since: u64,
    /// The changes of rooms, in order.
    changes: VecDeque<Change>,
}

#[derive(Debug)]
struct Change {
    /// The position of the first packet after the change.
    at: u64,
    room: Text,
    joined: bool,
}

impl<K> Tracked<K> {
    /// Records that a room was joined or left.
    fn change(&mut self, at: u64, first: u64, room: &Text, joined: bool) {
        if self.latest.is_none() {
            // No offset of an earlier packet can be valid.
            self.since = at;
            return;
        }
        while let Some(oldest) = self.changes.front() {
            // A change before the first packet in the store is never looked at again.
            if oldest.at > first && self.changes.len() < MAX_CHANGES {
                break;
            }
            self.since = self.since.max(oldest.at);
            self.changes.pop_front();
        }
        self.changes.push_back(Change { at, room: room.clone(), joined });
    }

    fn size(&self) -> usize {
        self.changes.iter().map(|change| change.room.len().saturating_add(NAME)).sum()
    }
}

/// To whom a packet was addressed. Sockets are identified by their ids, because a recovered socket has another key.
#[derive(Debug)]
struct Addressees {
    only: Option<SocketId>,
    /// Empty: every socket.
    rooms: Box<[Text]>,
    except: Box<[Text]>,
    sender: Option<SocketId>,
}

impl Addressees {
    fn include(&self, id: &SocketId, rooms: &BTreeSet<Text>) -> bool {
        let is_in = |room: &Text| rooms.contains(room);
        let meant = match &self.only {
            Some(only) => only == id,
            None => self.rooms.is_empty() || self.rooms.iter().any(is_in),
        };
        meant && !self.except.iter().any(is_in) && self.sender.as_ref() != Some(id)
    }

    fn size(&self) -> usize {
        let names = self.rooms.iter().chain(&self.except).map(|room| room.len().saturating_add(NAME));
        names.fold(INDEXED.saturating_mul(self.rooms.len().max(1)), usize::saturating_add)
    }

    /// The parts of the index that contain the packet.
    fn addresses(&self) -> impl Iterator<Item = Address> {
        let whole = match &self.only {
            Some(only) => Some(Address::Only(only.clone())),
            None => self.rooms.is_empty().then_some(Address::Everybody),
        };
        let rooms = if whole.is_some() { &[][..] } else { &self.rooms };
        whole.into_iter().chain(rooms.iter().cloned().map(Address::Room))
    }
}

/// A part of the index of packets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Address {
    Everybody,
    Only(SocketId),
    Room(Text),
}

#[derive(Debug)]
struct Stored {
    offset: Offset,
    expires: Instant,
    to: Addressees,
    encoded: Encoded,
    bytes: usize,
}

/// What is left of a socket whose connection was lost.
#[derive(Debug)]
struct Session<K> {
    former: K,
    id: SocketId,
    rooms: Vec<Text>,
    tracked: Box<Tracked<K>>,
    /// The position of the first packet after the loss.
    cut: u64,
    expires: Instant,
    bytes: usize,
}

/// A session that was taken out of the store.
#[derive(Debug)]
pub(super) struct Taken<K> {
    pub(super) former: K,
    pub(super) id: SocketId,
    pub(super) rooms: Vec<Text>,
    pub(super) tracked: Box<Tracked<K>>,
    pub(super) missed: Vec<Encoded>,
}

/// The packets and sessions that a namespace keeps.
#[derive(Debug)]
pub(super) struct Recovery<K> {
    config: RecoveryConfig,
    /// The latest time passed in.
    now: Instant,
    packets: VecDeque<Stored>,
    /// The position of the first packet in `packets`. Positions count the packets that were ever stored.
    first: u64,
    offsets: BTreeMap<Offset, u64>,
    /// The positions of the packets by their addressees, in order.
    index: BTreeMap<Address, VecDeque<u64>>,
    bytes: usize,
    sessions: BTreeMap<PrivateId, Session<K>>,
    /// The same sessions, by the keys of their former sockets.
    former: BTreeMap<K, PrivateId>,
    /// The ids of recovered sockets by the keys that they had before: an application that still has the former handle sends for the same
    /// client.
    heirs: BTreeMap<K, SocketId>,
    /// The same sessions, those that expire first first.
    expiries: BTreeSet<(Instant, PrivateId)>,
    session_bytes: usize,
    /// The keys of sessions that were dropped.
    forgotten: Vec<K>,
}

impl<K: Copy + Ord> Recovery<K> {
    pub(super) const fn new(config: RecoveryConfig) -> Self {
        Self {
            config,
            now: Instant::ZERO,
            packets: VecDeque::new(),
            first: 0,
            offsets: BTreeMap::new(),
            index: BTreeMap::new(),
            bytes: 0,
            sessions: BTreeMap::new(),
            former: BTreeMap::new(),
            heirs: BTreeMap::new(),
            expiries: BTreeSet::new(),
            session_bytes: 0,
            forgotten: Vec::new(),
        }
    }

    /// The position of the next packet.
    fn next(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.packets.len()).unwrap_or(u64::MAX))
    }

    /// What to keep with a new socket.
    pub(super) fn track(&self, pid: PrivateId) -> Box<Tracked<K>> {
        Box::new(Tracked { pid, formers: VecDeque::new(), latest: None, since: self.next(), changes: VecDeque::new() })
    }

    /// The id of the recovered socket that had this key before.
    pub(super) fn heir(&self, former: K) -> Option<&SocketId> {
        self.heirs.get(&former)
    }

    /// A socket has left for good.
    pub(super) fn untrack(&mut self, tracked: &Tracked<K>) {
        for former in &tracked.formers {
            self.heirs.remove(former);
        }
    }

    pub(super) fn changed(&self, tracked: &mut Tracked<K>, room: &Text, joined: bool) {
        tracked.change(self.next(), self.first, room, joined);
    }

    /// Records that a packet is addressed to a connected socket.
    pub(super) const fn addressed(tracked: &mut Tracked<K>, offset: Offset) {
        tracked.latest = Some(offset);
    }

    /// Whether no session is kept.
    pub(super) fn is_unused(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Appends a packet. `id_of` returns the id of a member, and `name` the stored name of a room. A packet for a single socket that is gone
    /// for good is not kept.
    pub(super) fn store(
        &mut self,
        now: Instant,
        offset: Offset,
        encoded: &Encoded,
        target: &Target<K>,
        id_of: impl Fn(K) -> Option<SocketId>,
        name: impl Fn(&str) -> Option<Text>,
    ) {
        self.now = self.now.max(now);
        // A handle of a lost socket still means its client.
        let lost = |key: K| Some(self.sessions.get(self.former.get(&key)?)?.id.clone());
        let id_of = |key: K| id_of(key).or_else(|| lost(key));
        let only = target.only.map(id_of);
        if matches!(only, Some(None)) {
            return;
        }
        let name = |room: &alloc::string::String| name(room).unwrap_or_else(|| room.as_str().into());
        let to = Addressees {
            only: only.flatten(),
            rooms: target.rooms.iter().map(name).collect(),
            except: target.except.iter().map(name).collect(),
            sender: target.sender.and_then(|key| id_of(key).or_else(|| self.heir(key).cloned())),
        };
        let entries = ENTRY.saturating_mul(encoded.frames().len());
        let bytes = encoded.packet_len().saturating_add(to.size()).saturating_add(entries);
        let position = self.next();
        self.offsets.insert(offset, position);
        for address in to.addresses() {
            self.index.entry(address).or_default().push_back(position);
        }
        let expires = self.now + self.config.max_packet_age;
        self.packets.push_back(Stored { offset, expires, to, encoded: encoded.clone(), bytes });
        self.bytes = self.bytes.saturating_add(bytes);
        while self.bytes > self.config.max_bytes && self.drop_first() {}
    }

    fn drop_first(&mut self) -> bool {
        let Some(packet) = self.packets.pop_front() else { return false };
        self.first = self.first.saturating_add(1);
        self.bytes = self.bytes.saturating_sub(packet.bytes);
        self.offsets.remove(&packet.offset);
        for address in packet.to.addresses() {
            if let btree_map::Entry::Occupied(mut indexed) = self.index.entry(address) {
                // The oldest packet is the first of every part that contains it.
                indexed.get_mut().pop_front();
                if indexed.get().is_empty() {
                    indexed.remove();
                }
            }
        }
        if self.packets.is_empty() {
            // Frees the memory of a burst.
            self.packets = VecDeque::new();
        }
        true
    }

    /// Keeps what is left of a socket. Returns false if the client could never claim it, because it knows no offset.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        former: K,
        id: SocketId,
        rooms: Vec<Text>,
        tracked: Box<Tracked<K>>,
        bytes: usize,
    ) -> bool {
        self.now = self.now.max(now);
        if tracked.latest.is_none() {
            self.untrack(&tracked);
            return false;
        }
        let names: usize = rooms.iter().map(|room| room.len().saturating_add(NAME)).sum();
        let bytes = bytes.saturating_add(names).saturating_add(tracked.size()).saturating_add(ENTRY);
        let (pid, expires) = (tracked.pid, self.now + self.config.max_disconnection_duration);
        // A pid is drawn only once. If an adapter uses one twice, the former session is dropped.
        self.forget(pid);
        let cut = self.next();
        self.sessions.insert(pid, Session { former, id, rooms, tracked, cut, expires, bytes });
        self.expiries.insert((expires, pid));
        self.former.insert(former, pid);
        self.session_bytes = self.session_bytes.saturating_add(bytes);
        while self.sessions.len() > self.config.max_sessions || self.session_bytes > self.config.max_session_bytes {
            let Some(&(_, oldest)) = self.expiries.first() else { break };
            if oldest == pid {
                // It is larger than the limit. Nobody was told that it is kept, so nobody is told that it is forgotten.
                if let Some(session) = self.remove(pid) {
                    self.untrack(&session.tracked);
                }
                return false;
            }
            self.forget(oldest);
        }
        true
    }

    fn remove(&mut self, pid: PrivateId) -> Option<Session<K>> {
        let session = self.sessions.remove(&pid)?;
        self.expiries.remove(&(session.expires, pid));
        self.former.remove(&session.former);
        self.session_bytes = self.session_bytes.saturating_sub(session.bytes);
        Some(session)
    }

    fn forget(&mut self, pid: PrivateId) {
        if let Some(session) = self.remove(pid) {
            self.untrack(&session.tracked);
            self.forgotten.push(session.former);
        }
    }

    /// Takes the session that a client claims, and the packets that it has missed. The session is gone afterwards in any case, so
    /// each can be claimed only once.
    pub(super) fn take(&mut self, now: Instant, claim: &Claim, capacity: usize) -> Option<Taken<K>> {
        self.now = self.now.max(now);
        let session = self.remove(claim.pid)?;
        let in_time = session.expires > self.now;
        match in_time.then(|| self.missed(&session, claim.offset, capacity)).flatten() {
            Some(missed) => {
                let Session { former, id, rooms, mut tracked, .. } = session;
                if let Some((_, offset)) = missed.last() {
                    tracked.latest = Some(*offset);
                }
                self.heirs.insert(former, id.clone());
                tracked.formers.push_back(former);
                if tracked.formers.len() > MAX_FORMER
                    && let Some(oldest) = tracked.formers.pop_front()
                {
                    self.heirs.remove(&oldest);
                }
                let missed = missed.into_iter().map(|(encoded, _)| encoded).collect();
                Some(Taken { former, id, rooms, tracked, missed })
            }
            None => {
                self.untrack(&session.tracked);
                self.forgotten.push(session.former);
                None
            }
        }
    }

    /// The packets that a client has missed, in order. `None` if the offset is not valid for this session, if packets were dropped that
    /// the client may need, or if the missed packets have more bytes than `capacity`.
    fn missed(&self, session: &Session<K>, offset: Offset, capacity: usize) -> Option<Vec<(Encoded, Offset)>> {
        let tracked = &*session.tracked;
        // The packet of the offset is checked too, unless nothing was addressed to the socket between it and the loss.
        let (from, check) = if tracked.latest == Some(offset) {
            (session.cut, None)
        } else {
            let position = *self.offsets.get(&offset)?;
            (position, Some(position))
        };
        if from < self.first || check.is_some_and(|position| position < tracked.since) {
            return None;
        }
        let mut rooms: BTreeSet<Text> = session.rooms.iter().cloned().collect();
        let mut changes = tracked.changes.iter().rev().peekable();
        let (mut missed, mut bytes) = (Vec::new(), 0_usize);
        // From the newest packet to the oldest, so that the rooms of now become the rooms of then.
        for position in self.candidates(session, from).into_iter().rev() {
            let packet = self.packets.get(usize::try_from(position.checked_sub(self.first)?).ok()?)?;
            while let Some(change) = changes.next_if(|change| change.at > position) {
                if change.joined {
                    rooms.remove(&change.room);
                } else {
                    rooms.insert(change.room.clone());
                }
            }
            let addressed = packet.to.include(&session.id, &rooms);
            if check == Some(position) {
                return addressed.then(|| reversed(missed));
            }
            if addressed {
                bytes = packet.encoded.frames().iter().map(Frame::queued_len).fold(bytes, usize::saturating_add);
                if bytes > capacity {
                    return None;
                }
                missed.push((packet.encoded.clone(), packet.offset));
            }
        }
        // The packet of the offset was for others.
        check.is_none().then(|| reversed(missed))
    }

    /// The positions of the packets from this position on that may have been addressed to a session, in order: all that name everybody, the
    /// socket, or a room in which it was at some time.
    fn candidates(&self, session: &Session<K>, from: u64) -> Vec<u64> {
        let left = session.tracked.changes.iter().map(|change| &change.room);
        let rooms: BTreeSet<&Text> = session.rooms.iter().chain(left).collect();
        let rooms = rooms.into_iter().cloned().map(Address::Room);
        let mut positions = Vec::new();
        for address in [Address::Everybody, Address::Only(session.id.clone())].into_iter().chain(rooms) {
            if let Some(indexed) = self.index.get(&address) {
                let start = indexed.partition_point(|position| *position < from);
                positions.extend(indexed.range(start..));
            }
        }
        // A few sorted runs, which a stable sort merges.
        positions.sort();
        positions.dedup();
        positions
    }

    /// Drops what has expired.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.packets_due().is_some_and(|due| due <= self.now) {
            while self.packets.front().is_some_and(|packet| packet.expires <= self.now) {
                self.drop_first();
            }
        }
        while let Some(&(expires, pid)) = self.expiries.first()
            && expires <= self.now
        {
            self.forget(pid);
        }
    }

    /// When to look at the packets: a little after the first has expired, so that several are dropped at once.
    fn packets_due(&self) -> Option<Instant> {
        Some(self.packets.front()?.expires + self.config.max_packet_age / 16)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let session = self.expiries.first().map(|(expires, _)| *expires);
        match (self.packets_due(), session) {
            (Some(packets), Some(session)) => Some(packets.min(session)),
            (packets, session) => packets.or(session),
        }
    }

    /// The next key whose session was dropped.
    pub(super) fn poll_forgotten(&mut self) -> Option<K> {
        self.forgotten.pop()
    }

    pub(super) fn kept(&self) -> Kept {
        Kept {
            packets: self.packets.len(),
            bytes: self.bytes,
            sessions: self.sessions.len(),
            session_bytes: self.session_bytes,
        }
    }
}

/// How much a namespace keeps for clients that may return.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Kept {
    /// Number of packets.
    pub packets: usize,
    /// Their size in bytes, as counted for [`RecoveryConfig::max_bytes`].
    pub bytes: usize,
    /// Number of sessions.
    pub sessions: usize,
    /// Their size in bytes, as counted for [`RecoveryConfig::max_session_bytes`].
    pub session_bytes: usize,
}

fn reversed<T>(mut items: Vec<T>) -> Vec<T> {
    items.reverse();
    items
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use engineio_proto::Message;

    use super::*;

    struct World {
        recovery: Recovery<u32>,
        sent: u32,
    }

    impl World {
        fn emit(&mut self, target: &Target<u32>) -> Offset {
            self.sent += 1;
            let mut random = [0; 12];
            random[..4].copy_from_slice(&self.sent.to_le_bytes());
            let (offset, now) = (Offset::from_random(random), Instant::from_millis(1000));
            let encoded = Encoded::One(Frame::message(Message::from("2[]")));
            self.recovery.store(now, offset, &encoded, target, |_| Some(id()), |_| None);
            offset
        }
    }

    fn id() -> SocketId {
        SocketId::from_random([1; 15])
    }

    fn to(room: impl ToString) -> Target<u32> {
        Target::everybody().to(room.to_string())
    }

    #[test]
    fn a_claim_looks_only_at_packets_that_may_have_been_for_its_socket_and_the_index_ends_with_them() {
        let mut world = World { recovery: Recovery::new(RecoveryConfig::default()), sent: 0 };
        let mut tracked = world.recovery.track(PrivateId::from_random([2; 18]));
        let seen = world.emit(&Target::everybody());
        Recovery::<u32>::addressed(&mut tracked, seen);
        for other in 0..5000 {
            world.emit(&to(format!("other {}", other % 50)));
        }
        world.emit(&to("mine").to("other 1"));
        world.recovery.changed(&mut tracked, &"left".into(), true);
        world.emit(&to("left"));
        world.recovery.changed(&mut tracked, &"left".into(), false);
        world.emit(&Target::socket(7));
        world.emit(&Target::everybody().without(7));
        for other in 0..5000 {
            world.emit(&to(format!("other {}", other % 50)));
        }
        let (pid, rooms) = (PrivateId::from_random([2; 18]), [id().text().clone(), "mine".into()].into());
        assert!(world.recovery.keep(Instant::from_millis(1000), 7, id(), rooms, tracked, 0));
        let session = world.recovery.sessions.get(&pid).unwrap();
        assert_eq!(world.recovery.candidates(session, 0), [0, 5001, 5002, 5003, 5004], "of {}", world.sent);
        assert_eq!(world.recovery.candidates(session, 5003), [5003, 5004]);
        assert_eq!(world.recovery.index.len(), 54);
        world.recovery.handle_timeout(Instant::FAR_FUTURE);
        assert!(world.recovery.index.is_empty() && world.recovery.packets.is_empty());
    }

    #[test]
    fn former_keys_are_known_as_senders_for_as_long_as_the_socket_exists_and_the_oldest_are_forgotten() {
        let mut world = World { recovery: Recovery::new(RecoveryConfig::default()), sent: 0 };
        let (now, pid) = (Instant::from_millis(1000), PrivateId::from_random([2; 18]));
        let mut tracked = world.recovery.track(pid);
        for key in 0..100 {
            let offset = world.emit(&Target::everybody());
            Recovery::<u32>::addressed(&mut tracked, offset);
            assert!(world.recovery.keep(now, key, id(), Vec::new(), tracked, 0));
            tracked = world.recovery.take(now, &Claim { pid, offset }, usize::MAX).unwrap().tracked;
            assert_eq!(world.recovery.heir(key), Some(&id()));
        }
        assert_eq!(world.recovery.heirs.len(), MAX_FORMER);
        world.recovery.keep(now, 100, id(), Vec::new(), tracked, 0);
        world.recovery.handle_timeout(Instant::FAR_FUTURE);
        assert!(world.recovery.heirs.is_empty());
    }
}
