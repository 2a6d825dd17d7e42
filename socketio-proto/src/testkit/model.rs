//! Compares a namespace with a simple model: the set of rooms of each socket, and the set of recipients that have not answered
//! a broadcast.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use engineio_proto::Instant;
use engineio_proto::testkit::{Random, Violation};

use crate::event::{AckError, AckId, SocketHandle};
use crate::id::SocketId;
use crate::payload::Payload;
use crate::server::{Namespace, NamespaceEvent, Operation, ReservedAck, Target};

/// Identifies a socket by the index of its peer and its handle.
pub(super) type Key = (usize, SocketHandle);

/// The rooms that sockets join.
const ROOMS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: &'static str,
    machine: Namespace<Key>,
    rooms: BTreeMap<Key, BTreeSet<String>>,
    /// The rooms according to the events.
    reported: BTreeMap<String, BTreeSet<Key>>,
    pending_acks: BTreeMap<AckId, BTreeSet<Key>>,
    pub(super) broadcast_outcomes: u64,
}

impl Model {
    pub(super) fn new(name: &'static str) -> Self {
        let mut machine = Namespace::new();
        machine.observe_rooms();
        let (rooms, reported, pending_acks) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { name, machine, rooms, reported, pending_acks, broadcast_outcomes: 0 }
    }

    pub(super) fn add(&mut self, key: Key, id: &SocketId) -> Result<(), Violation> {
        self.machine.add(key, id);
        self.rooms.insert(key, BTreeSet::from([id.to_string()]));
        self.check()
    }

    /// Checks the rooms of a socket that is about to leave: it is still in them.
    pub(super) fn check_rooms(&self, key: Key) -> Result<(), Violation> {
        let rooms: BTreeSet<String> = self.machine.rooms(key).map(|room| room.to_string()).collect();
        if self.rooms.get(&key) == Some(&rooms) {
            Ok(())
        } else {
            Err(Violation::new("rooms", format!("{key:?} is in {rooms:?}, not in {:?}", self.rooms.get(&key))))
        }
    }

    pub(super) fn remove(&mut self, key: Key) -> Result<(), Violation> {
        self.machine.remove(key);
        self.machine.apply(Operation::Join { target: &Target::socket(key), rooms: &["ghost"] });
        self.rooms.remove(&key);
        self.check()
    }

    /// Joins or leaves a random room.
    pub(super) fn change_rooms(&mut self, key: Key, random: &mut Random) -> Result<(), Violation> {
        let (Some(&room), Some(rooms)) = (random.pick(&ROOMS), self.rooms.get_mut(&key)) else { return Ok(()) };
        let (target, named) = (&Target::socket(key), &[room]);
        if random.chance(600) {
            self.machine.apply(Operation::Join { target, rooms: named });
            rooms.insert(room.to_string());
        } else {
            self.machine.apply(Operation::Leave { target, rooms: named });
            rooms.remove(room);
        }
        self.check()
    }

    /// A random target, and the sockets that it must include.
    pub(super) fn target(&mut self, sender: Key, random: &mut Random) -> Result<(Target<Key>, Vec<Key>), Violation> {
        let mut target = Target::everybody();
        for room in ROOMS {
            match random.below(6) {
                0 => target = target.to(room),
                1 => target = target.except(room),
                _ => {}
            }
        }
        if random.chance(400) {
            target = target.without(sender);
        }
        let expected: Vec<Key> =
            self.rooms.iter().filter(|(key, rooms)| is_in_target(&target, **key, rooms)).map(|(key, _)| *key).collect();
        let found: Vec<Key> = self.machine.apply(Operation::Emit { target: &target }).collect();
        if found == expected {
            Ok((target, found))
        } else {
            Err(Violation::new("rooms", format!("{target:?} must select {expected:?}, but selects {found:?}")))
        }
    }

    pub(super) fn reserve_ack(&mut self) -> ReservedAck {
        self.machine.reserve_ack()
    }

    /// Awaits the acks of a broadcast. Its recipients are those that [`Model::target`] returned.
    pub(super) fn await_acks(
        &mut self,
        now: Instant,
        target: &Target<Key>,
        ack: ReservedAck,
        timeout: Duration,
    ) -> Result<Vec<Key>, Violation> {
        let id = ack.id();
        let recipients: Vec<Key> =
            self.machine.apply(Operation::EmitWithAck { target, ack, deadline: now + timeout }).collect();
        self.pending_acks.insert(id, recipients.iter().copied().collect());
        self.check()?;
        Ok(recipients)
    }

    pub(super) fn handle_ack(
        &mut self,
        key: Key,
        id: AckId,
        outcome: Result<Payload, AckError>,
    ) -> Result<(), Violation> {
        self.machine.handle_ack(key, id, outcome);
        self.check()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), Violation> {
        self.machine.handle_timeout(now);
        if self.machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            return Err(Violation::new("I2", format!("a broadcast is still due after {now:?}")));
        }
        self.check()
    }

    /// Checks that no socket is left, and no state.
    pub(super) fn check_empty(&self) -> Result<(), Violation> {
        let nothing = self.machine.is_empty() && self.reported.is_empty() && self.pending_acks.is_empty();
        if nothing && self.machine.poll_timeout().is_none() {
            Ok(())
        } else {
            Err(Violation::new("I12", format!("state is left: {self:?}")))
        }
    }

    /// Reads the events and compares them with the model.
    fn check(&mut self) -> Result<(), Violation> {
        while let Some(event) = self.machine.poll_event() {
            let detail = format!("{event:?}");
            let right = match event {
                NamespaceEvent::RoomCreated { room } => {
                    self.reported.insert(room.to_string(), BTreeSet::new()).is_none()
                }
                NamespaceEvent::RoomDeleted { room } => {
                    self.reported.remove(&*room).is_some_and(|members| members.is_empty())
                }
                NamespaceEvent::Joined { socket, room } => {
                    self.reported.get_mut(&*room).is_some_and(|members| members.insert(socket))
                }
                NamespaceEvent::Left { socket, room } => {
                    self.reported.get_mut(&*room).is_some_and(|members| members.remove(&socket))
                }
                NamespaceEvent::Acked { broadcast, socket, .. } => {
                    self.broadcast_outcomes = self.broadcast_outcomes.saturating_add(1);
                    self.pending_acks.get_mut(&broadcast).is_some_and(|pending_acks| pending_acks.remove(&socket))
                }
                // A broadcast without recipients emits this event before its id is recorded.
                NamespaceEvent::BroadcastDone { broadcast } => {
                    self.pending_acks.remove(&broadcast).is_some_and(|pending_acks| pending_acks.is_empty())
                }
                NamespaceEvent::Forgotten { .. } => false,
            };
            if !right {
                return Err(Violation::new("I12", format!("namespace: {detail}")));
            }
        }
        let mut rooms: BTreeMap<&str, BTreeSet<Key>> = BTreeMap::new();
        for (key, names) in &self.rooms {
            for name in names {
                rooms.entry(name).or_default().insert(*key);
            }
        }
        let reported = self.reported.iter().map(|(name, members)| (&**name, members));
        if self.machine.len() != self.rooms.len() || !reported.eq(rooms.iter().map(|(name, members)| (*name, members)))
        {
            return Err(Violation::new(
                "rooms",
                format!("the events report {:?}, the model has {rooms:?}", self.reported),
            ));
        }
        Ok(())
    }
}

fn is_in_target(target: &Target<Key>, key: Key, rooms: &BTreeSet<String>) -> bool {
    let included = target.rooms.is_empty() || !target.rooms.is_disjoint(rooms);
    included && target.except.is_disjoint(rooms) && target.sender != Some(key)
}
