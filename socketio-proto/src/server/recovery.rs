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
//! Source: socket.io-adapter 2.5, `lib/in-memory-adapter.ts`, `SessionAwareAdapter`; socket.io 4.8, `lib/namespace.ts` and
//! `lib/socket.ts`.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
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
pub(super) struct Tracked {
    pid: PrivateId,
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

impl Tracked {
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
        self.rooms.iter().chain(&self.except).map(|room| room.len().saturating_add(NAME)).sum()
    }
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
    tracked: Box<Tracked>,
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
    pub(super) tracked: Box<Tracked>,
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
    bytes: usize,
    sessions: BTreeMap<PrivateId, Session<K>>,
    /// The same sessions, by the keys of their former sockets.
    former: BTreeMap<K, PrivateId>,
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
            bytes: 0,
            sessions: BTreeMap::new(),
            former: BTreeMap::new(),
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
    pub(super) fn track(&self, pid: PrivateId) -> Box<Tracked> {
        Box::new(Tracked { pid, latest: None, since: self.next(), changes: VecDeque::new() })
    }

    pub(super) fn changed(&self, tracked: &mut Tracked, room: &Text, joined: bool) {
        tracked.change(self.next(), self.first, room, joined);
    }

    /// Records that a packet is addressed to a connected socket.
    pub(super) const fn addressed(tracked: &mut Tracked, offset: Offset) {
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
            sender: target.sender.and_then(id_of),
        };
        let entries = ENTRY.saturating_mul(encoded.frames().len());
        let bytes = encoded.packet_len().saturating_add(to.size()).saturating_add(entries);
        self.offsets.insert(offset, self.next());
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
        tracked: Box<Tracked>,
        bytes: usize,
    ) -> bool {
        self.now = self.now.max(now);
        if tracked.latest.is_none() {
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
            self.forget(oldest);
        }
        self.sessions.contains_key(&pid)
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
                let missed = missed.into_iter().map(|(encoded, _)| encoded).collect();
                Some(Taken { former, id, rooms, tracked, missed })
            }
            None => {
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
        let (mut missed, mut bytes, mut position) = (Vec::new(), 0_usize, self.next());
        for packet in self.packets.iter().rev() {
            if position <= from {
                break;
            }
            position = position.saturating_sub(1);
            // From the newest packet to the oldest, so that the rooms of now become the rooms of then.
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
        Some(reversed(missed))
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
