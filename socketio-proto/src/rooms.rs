//! Rooms: named sets of sockets. Small rooms use little memory.
//!
//! Most rooms have one member, because the id of every socket is a room. So a single member is stored inline. The application
//! often takes room names from peers, so the names are stored in an ordered tree, which no choice of names can make slow.

use alloc::collections::{BTreeMap, BTreeSet, btree_set};

use engineio_proto::Text;

/// The members of one room.
#[derive(Debug)]
pub(crate) enum Room<K> {
    /// A single member.
    One(K),
    /// Any number of members except zero.
    Many(BTreeSet<K>),
}

/// The members of one room, in order.
#[derive(Clone, Debug)]
pub(crate) enum Iter<'a, K> {
    One(Option<K>),
    Many(btree_set::Iter<'a, K>),
}

impl<K: Copy + Ord> Room<K> {
    pub(crate) fn contains(&self, key: K) -> bool {
        match self {
            Self::One(member) => *member == key,
            Self::Many(members) => members.contains(&key),
        }
    }

    pub(crate) fn iter(&self) -> Iter<'_, K> {
        match self {
            Self::One(member) => Iter::One(Some(*member)),
            Self::Many(members) => Iter::Many(members.iter()),
        }
    }

    fn insert(&mut self, key: K) {
        match self {
            Self::One(member) if *member == key => {}
            Self::One(member) => *self = Self::Many(BTreeSet::from([*member, key])),
            Self::Many(members) => {
                members.insert(key);
            }
        }
    }

    /// Removes a member. Returns whether the room is empty now.
    fn remove(&mut self, key: K) -> bool {
        match self {
            Self::One(member) => *member == key,
            Self::Many(members) => {
                members.remove(&key);
                members.is_empty()
            }
        }
    }
}

impl<K: Copy> Iterator for Iter<'_, K> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        match self {
            Self::One(member) => member.take(),
            Self::Many(members) => members.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::One(member) => (usize::from(member.is_some()), Some(usize::from(member.is_some()))),
            Self::Many(members) => members.size_hint(),
        }
    }
}

/// All rooms that have members.
#[derive(Debug)]
pub(crate) struct Rooms<K>(BTreeMap<Text, Room<K>>);

impl<K> Rooms<K> {
    /// The number of rooms.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K: Copy + Ord> Rooms<K> {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn members(&self, room: &str) -> Option<&Room<K>> {
        self.0.get(room)
    }

    /// The stored name of the room, so that all references to it share memory.
    pub(crate) fn name(&self, room: &str) -> Option<Text> {
        self.0.get_key_value(room).map(|(name, _)| name.clone())
    }

    /// Adds a member. Returns whether it is the first one.
    pub(crate) fn insert(&mut self, room: &Text, key: K) -> bool {
        if let Some(members) = self.0.get_mut(room) {
            members.insert(key);
            return false;
        }
        self.0.insert(room.clone(), Room::One(key));
        true
    }

    /// Removes a member. Returns whether it was the last one.
    pub(crate) fn remove(&mut self, room: &str, key: K) -> bool {
        let emptied = self.0.get_mut(room).is_some_and(|members| members.remove(key));
        if emptied {
            self.0.remove(room);
        }
        emptied
    }
}
