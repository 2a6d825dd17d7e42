//! The sockets of a client, one for each namespace: what each keeps while it is connected, and while it is not.

use alloc::vec::Vec;

use engineio_proto::Text;

use super::config::SocketOptions;
use super::retries::RetryQueue;
use super::send_buffer::SendBuffer;
use crate::event::{AckId, AckToken, SocketHandle};
use crate::id::SocketId;
use crate::payload::Payload;

/// Longer texts are not kept as private ids or offsets, because a server could make the client keep any argument of an event.
const MAX_SECRET: usize = 1024;

/// What a socket does about its namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// Nothing, until the application connects it.
    Inactive,
    /// It joins when the connection is open.
    Waiting,
    /// The application was asked for the auth of this attempt.
    Asking(u64),
    /// The server was asked.
    Joining,
    /// It has joined.
    Connected,
}

/// An event that was received before the socket was connected.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) payload: Payload,
    pub(super) ack: Option<AckToken>,
    pub(super) bytes: usize,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) handle: SocketHandle,
    pub(super) namespace: Text,
    pub(super) options: SocketOptions,
    pub(super) status: Status,
    /// Its id while it is connected.
    pub(super) id: Option<SocketId>,
    /// Its private id, if the server keeps what the client misses.
    pub(super) pid: Option<Text>,
    /// The last argument of the last event, if it was a string: the offset of recovery.
    pub(super) offset: Option<Text>,
    pub(super) early: Vec<Early>,
    /// The session in which it has left its namespace last. What the server still sends in that session may be for the former socket.
    pub(super) left_in: Option<u32>,
    pub(super) send_buffer: SendBuffer,
    pub(super) retries: RetryQueue,
    /// The id of the next ack, from 0.
    pub(super) next_ack: AckId,
}

impl Socket {
    pub(super) fn is_active(&self) -> bool {
        self.status != Status::Inactive
    }

    pub(super) fn is_connected(&self) -> bool {
        self.status == Status::Connected
    }

    /// Remembers the offset of an event that is passed to the application, if the server keeps events for this socket.
    ///
    /// As in the reference, any string that is the last argument of an event without ack counts as an offset.
    pub(super) fn remember_offset(&mut self, payload: &Payload, has_ack: bool) {
        if self.pid.is_none() || has_ack {
            return;
        }
        let Some(last) = payload.len().checked_sub(1) else { return };
        let offset = match payload.get::<&str>(last) {
            Ok(offset) => secret(offset),
            // A string with escapes is copied when it is read.
            Err(_) => payload.get::<alloc::string::String>(last).ok().and_then(|offset| secret(&offset)),
        };
        if offset.is_some() {
            self.offset = offset;
        }
    }

    /// Whether there is space again, since an event was refused for want of it. True once for each time.
    pub(super) const fn take_freed(&mut self) -> bool {
        let buffer = self.send_buffer.space.take_freed();
        self.retries.space.take_freed() || buffer
    }

    /// The client must not return as the former socket.
    pub(super) fn forget(&mut self) {
        (self.pid, self.offset) = (None, None);
    }
}

/// A copy in its own memory. `None` if the text is too long.
pub(super) fn secret(text: &str) -> Option<Text> {
    (text.len() <= MAX_SECRET).then(|| text.into())
}

/// The sockets of a client. Most clients have one, so they are in a list.
#[derive(Default, Debug)]
pub(super) struct Sockets {
    list: Vec<Socket>,
    next: u32,
}

impl Sockets {
    /// Adds an inactive socket. `None` if no handles are left.
    pub(super) fn add(
        &mut self,
        namespace: Text,
        options: SocketOptions,
        left_in: Option<u32>,
    ) -> Option<SocketHandle> {
        let handle = SocketHandle(self.next);
        self.next = self.next.checked_add(1)?;
        if self.list.is_empty() {
            // Most clients have one. By itself, a vector would begin with space for four.
            self.list.reserve_exact(1);
        }
        self.list.push(Socket {
            handle,
            namespace,
            options,
            status: Status::Inactive,
            id: None,
            pid: None,
            offset: None,
            early: Vec::new(),
            left_in,
            send_buffer: SendBuffer::default(),
            retries: RetryQueue::default(),
            next_ack: AckId(0),
        });
        Some(handle)
    }

    pub(super) fn remove(&mut self, handle: SocketHandle) -> Option<Socket> {
        let place = self.list.iter().position(|socket| socket.handle == handle)?;
        Some(self.list.remove(place))
    }

    #[inline]
    pub(super) fn get(&self, handle: SocketHandle) -> Option<&Socket> {
        self.list.iter().find(|socket| socket.handle == handle)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, handle: SocketHandle) -> Option<&mut Socket> {
        self.list.iter_mut().find(|socket| socket.handle == handle)
    }

    #[inline]
    pub(super) fn find(&self, namespace: &str) -> Option<&Socket> {
        self.list.iter().find(|socket| *socket.namespace == *namespace)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Socket> {
        self.list.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The first active socket after this one, so that a caller can visit all of them and change them.
    pub(super) fn active_after(&self, last: Option<SocketHandle>) -> Option<SocketHandle> {
        // Handles only grow.
        let after = |socket: &&Socket| socket.is_active() && last.is_none_or(|last| socket.handle > last);
        self.list.iter().find(after).map(|socket| socket.handle)
    }
}
