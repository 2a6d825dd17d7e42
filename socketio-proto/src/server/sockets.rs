//! The namespaces of one connection: those that are joined, and those that await the application's decision.
//!
//! Almost every connection joins only the root namespace. So the root is stored inline. The tables for other namespaces are
//! allocated when the first of them is requested, and freed when the last one is left.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use engineio_proto::{Instant, Text};

use crate::event::SocketHandle;

/// The root namespace.
pub(crate) const ROOT: Text = Text::from_static("/");

/// State of a namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Status {
    /// Requested. The request is refused at the deadline.
    Pending(Instant),
    /// Joined.
    Joined,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    socket: SocketHandle,
    status: Status,
}

/// Tables for all namespaces except the root.
#[derive(Debug, Default)]
struct Others {
    names: BTreeMap<Text, Entry>,
    sockets: BTreeMap<SocketHandle, Text>,
}

/// The namespaces of one connection.
#[derive(Debug)]
pub(super) struct Sockets {
    root: Option<Entry>,
    others: Option<Box<Others>>,
    next: SocketHandle,
    joined: u32,
    pending: u32,
}

impl Sockets {
    pub(super) const fn new() -> Self {
        Self { root: None, others: None, next: SocketHandle(0), joined: 0, pending: 0 }
    }

    /// Number of joined namespaces.
    pub(super) const fn joined(&self) -> usize {
        self.joined as usize
    }

    /// Number of pending requests.
    pub(super) const fn pending(&self) -> usize {
        self.pending as usize
    }

    #[inline]
    fn entry(&self, namespace: &str) -> Option<Entry> {
        if namespace == "/" { self.root } else { self.others.as_ref()?.names.get(namespace).copied() }
    }

    /// Whether the namespace is joined or requested.
    pub(super) fn contains(&self, namespace: &str) -> bool {
        self.entry(namespace).is_some()
    }

    /// The socket that has joined this namespace.
    #[inline]
    pub(super) fn find(&self, namespace: &str) -> Option<SocketHandle> {
        self.entry(namespace).filter(|entry| entry.status == Status::Joined).map(|entry| entry.socket)
    }

    /// The namespace that this socket has joined.
    #[inline]
    pub(super) fn namespace(&self, socket: SocketHandle) -> Option<&str> {
        match self.root {
            Some(entry) if entry.socket == socket => (entry.status == Status::Joined).then_some("/"),
            _ => {
                let others = self.others.as_ref()?;
                let name = others.sockets.get(&socket)?;
                (others.names.get(name)?.status == Status::Joined).then_some(name)
            }
        }
    }

    /// Records a request for a namespace that is neither joined nor requested. Returns `None` if no ids are left.
    pub(super) fn request(&mut self, namespace: &Text, deadline: Instant) -> Option<SocketHandle> {
        let socket = self.next;
        self.next = SocketHandle(socket.0.checked_add(1)?);
        let entry = Entry { socket, status: Status::Pending(deadline) };
        if &**namespace == "/" {
            self.root = Some(entry);
        } else {
            let others = self.others.get_or_insert_default();
            others.names.insert(namespace.clone(), entry);
            others.sockets.insert(socket, namespace.clone());
        }
        self.pending = self.pending.saturating_add(1);
        Some(socket)
    }

    /// Whether this request is pending.
    pub(super) fn is_pending(&mut self, socket: SocketHandle) -> bool {
        self.entry_mut(socket).is_some_and(|entry| entry.status != Status::Joined)
    }

    /// Turns a pending request into a joined socket. Does nothing if there is no such request.
    pub(super) fn join(&mut self, socket: SocketHandle) {
        if let Some(entry) = self.entry_mut(socket).filter(|entry| entry.status != Status::Joined) {
            entry.status = Status::Joined;
            self.pending = self.pending.saturating_sub(1);
            self.joined = self.joined.saturating_add(1);
        }
    }

    fn entry_mut(&mut self, socket: SocketHandle) -> Option<&mut Entry> {
        match &mut self.root {
            Some(entry) if entry.socket == socket => Some(entry),
            _ => {
                let others = self.others.as_mut()?;
                let name = others.sockets.get(&socket)?;
                others.names.get_mut(&**name)
            }
        }
    }

    /// Removes a socket that has joined. Returns its namespace.
    pub(super) fn remove_joined(&mut self, socket: SocketHandle) -> Option<Text> {
        self.namespace(socket)?;
        self.remove(socket)
    }

    /// Removes a pending request. Returns its namespace.
    pub(super) fn remove_pending(&mut self, socket: SocketHandle) -> Option<Text> {
        match self.entry_mut(socket)?.status {
            Status::Pending(_) => self.remove(socket),
            Status::Joined => None,
        }
    }

    fn remove(&mut self, socket: SocketHandle) -> Option<Text> {
        let (name, entry) = match self.root {
            Some(entry) if entry.socket == socket => {
                self.root = None;
                (ROOT, entry)
            }
            _ => {
                let others = self.others.as_mut()?;
                let name = others.sockets.remove(&socket)?;
                let entry = others.names.remove(&*name)?;
                if others.names.is_empty() {
                    self.others = None;
                }
                (name, entry)
            }
        };
        match entry.status {
            Status::Pending(_) => self.pending = self.pending.saturating_sub(1),
            Status::Joined => self.joined = self.joined.saturating_sub(1),
        }
        Some(name)
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let others = self.others.iter().flat_map(|others| others.names.values().copied());
        self.root.into_iter().chain(others)
    }

    /// The oldest socket or request.
    fn first(&self) -> Option<SocketHandle> {
        let root = self.root.map(|entry| entry.socket);
        let other = self.others.as_ref().and_then(|others| others.sockets.first_key_value()).map(|(&socket, _)| socket);
        match (root, other) {
            (Some(root), Some(other)) => Some(root.min(other)),
            (root, other) => root.or(other),
        }
    }

    /// Removes the oldest joined socket, and all older requests. Repeated calls empty the table.
    pub(super) fn pop_joined(&mut self) -> Option<(SocketHandle, Text)> {
        while let Some(socket) = self.first() {
            let joined = self.namespace(socket).is_some();
            let name = self.remove(socket)?;
            if joined {
                return Some((socket, name));
            }
        }
        None
    }

    /// The earliest deadline of a request. Visits every namespace; their number is limited.
    pub(super) fn earliest(&self) -> Option<Instant> {
        if self.pending == 0 {
            return None;
        }
        let deadline = |entry: Entry| match entry.status {
            Status::Pending(deadline) => Some(deadline),
            Status::Joined => None,
        };
        self.entries().filter_map(deadline).min()
    }

    /// Removes one request whose deadline has passed. Returns its namespace.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Text> {
        let expired = |entry: &Entry| matches!(entry.status, Status::Pending(deadline) if deadline <= now);
        let socket = self.entries().find(expired)?.socket;
        self.remove(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Instant = Instant::from_millis(1);
    const LATER: Instant = Instant::from_millis(2);

    #[test]
    fn a_request_is_no_socket_until_it_is_answered() {
        let mut sockets = Sockets::new();
        for name in [ROOT, Text::from("/custom")] {
            let socket = sockets.request(&name, SOON).unwrap();
            assert!(sockets.contains(&name));
            assert_eq!((sockets.find(&name), sockets.namespace(socket)), (None, None));
            assert!(sockets.is_pending(socket));
            sockets.join(socket);
            sockets.join(socket);
            assert!(!sockets.is_pending(socket));
            assert_eq!((sockets.joined(), sockets.pending()), (1, 0), "joined once");
            assert_eq!((sockets.find(&name), sockets.namespace(socket)), (Some(socket), Some(&*name)));
            assert_eq!(sockets.remove_pending(socket), None);
            assert_eq!(sockets.remove_joined(socket), Some(name.clone()));
            assert!(!sockets.contains(&name));
        }
        assert!(sockets.others.is_none(), "nothing is kept");
        assert_eq!((sockets.joined(), sockets.pending()), (0, 0));
    }

    #[test]
    fn requests_expire_and_the_rest_is_left_in_order_of_asking() {
        let mut sockets = Sockets::new();
        let names = ["/z", "/", "/a", "/m"].map(Text::from);
        let ids: alloc::vec::Vec<_> = names
            .iter()
            .zip([LATER, SOON, SOON, LATER])
            .map(|(name, deadline)| sockets.request(name, deadline).unwrap())
            .collect();
        sockets.join(ids[1]);
        sockets.join(ids[0]);
        assert_eq!(sockets.earliest(), Some(SOON));
        assert_eq!(sockets.pop_expired(SOON).as_deref(), Some("/a"));
        assert_eq!(sockets.pop_expired(SOON), None);
        assert_eq!(sockets.earliest(), Some(LATER));
        assert_eq!(sockets.pop_joined(), Some((ids[0], names[0].clone())));
        assert_eq!(sockets.pop_joined(), Some((ids[1], names[1].clone())));
        assert_eq!(sockets.pop_joined(), None);
        assert_eq!((sockets.joined(), sockets.pending(), sockets.earliest()), (0, 0, None));
    }
}
