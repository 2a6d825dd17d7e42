//! What a connection tells the application, and the tokens with which the application answers.
//!
//! Events lie in queues and are moved about, most of them without a token: what a token says lies behind a pointer, so that an event is
//! little more than its payload.

use alloc::boxed::Box;
use core::fmt;

use engineio_proto::{CloseReason, Text};

use crate::payload::Payload;

/// One socket (a namespace that is joined) of one connection, for whoever holds the connection. Never reused within it. What the socket is
/// known by elsewhere is its [`SocketId`](crate::SocketId).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketHandle(pub u32);

/// An ack that is awaited from the peer. Stays below 2^31, because Java clients parse an `int`. Even ids are given by connections
/// and those who send through them, odd ones by namespaces for their broadcasts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AckId(pub u32);

/// What happened. Taken with `poll_event`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The peer wants to join a namespace: accept or refuse.
    ConnectRequested(Pending),
    /// An event of the peer.
    Received {
        /// The socket it came on.
        socket: SocketHandle,
        /// Name and arguments.
        payload: Payload,
        /// Present when the peer wants an ack: answer with `Connection::ack`.
        ack: Option<AckToken>,
    },
    /// The outcome of an awaited ack; comes exactly once for each, and does not wait behind unread events.
    Acked {
        /// The socket that was asked.
        socket: SocketHandle,
        /// Which ack.
        id: AckId,
        /// The peer's arguments, or why there are none.
        outcome: Result<Payload, AckError>,
    },
    /// The socket is about to leave its namespace, by either side's doing or with the connection. Nothing can be sent to it any more; its
    /// rooms are still there, for those who want to look at them. [`Event::Disconnected`] is the next event of the socket.
    Disconnecting {
        /// The socket.
        socket: SocketHandle,
        /// Why.
        reason: DisconnectReason,
    },
    /// The socket has left: take it out of its [`Namespace`](crate::server::Namespace), then tell the application. The last event of the
    /// socket.
    Disconnected {
        /// The socket.
        socket: SocketHandle,
        /// Why.
        reason: DisconnectReason,
    },
    /// A command was refused because the outbound queue was full, and there is room again.
    Writable,
    /// The connection ended. The last event; comes exactly once, also when the application closed it. Go on with `poll_transmit` until
    /// `is_drained`, then drop the connection.
    Closed(CloseReason),
}

/// What came of an awaited ack: [`Event::Acked`] before it is taken.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) socket: SocketHandle,
    pub(crate) id: AckId,
    pub(crate) outcome: Result<Payload, AckError>,
}

/// Why an ack did not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The time that was given is over.
    #[error("operation has timed out")]
    Timeout,
    /// The socket disconnected first.
    #[error("socket has been disconnected")]
    Disconnected,
}

/// Why a socket disconnected. Displays as the reference's reason string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The connection ended.
    Closed(CloseReason),
    /// The peer left the namespace.
    ClientNamespaceDisconnect,
    /// This side made it leave the namespace.
    ServerNamespaceDisconnect,
    /// The peer broke a rule, on polling without a held GET (socket.io `lib/client.ts`).
    ForcedServerClose,
    /// The server shuts down.
    ServerShuttingDown,
}

impl DisconnectReason {
    /// The reference's reason string.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Closed(reason) => reason.as_str(),
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ForcedServerClose => "forced server close",
            Self::ServerShuttingDown => "server shutting down",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A CONNECT that waits for an answer. Spend it with `Connection::accept` or `Connection::refuse`.
#[derive(Debug)]
#[must_use = "accept or refuse it"]
pub struct Pending(Box<Request>);

#[derive(Debug)]
struct Request {
    socket: SocketHandle,
    namespace: Text,
    auth: Option<Payload>,
}

impl Pending {
    pub(crate) fn new(socket: SocketHandle, namespace: Text, auth: Option<Payload>) -> Self {
        Self(Box::new(Request { socket, namespace, auth }))
    }

    /// The id that the socket will have when it is accepted.
    #[must_use]
    pub fn socket(&self) -> SocketHandle {
        self.0.socket
    }

    /// The namespace that the peer wants to join, as it was sent (starts with `/`).
    #[must_use]
    pub fn namespace(&self) -> &Text {
        &self.0.namespace
    }

    /// The payload of the CONNECT, an object, if there was one.
    #[must_use]
    pub fn auth(&self) -> Option<&Payload> {
        self.0.auth.as_ref()
    }
}

/// The right to answer one event with one ack. Not `Clone`: a second ack does not compile.
#[derive(Debug)]
#[must_use = "the peer waits for the ack"]
pub struct AckToken(Box<Question>);

#[derive(Debug)]
struct Question {
    socket: SocketHandle,
    namespace: Text,
    id: u64,
}

impl AckToken {
    pub(crate) fn new(socket: SocketHandle, namespace: Text, id: u64) -> Self {
        Self(Box::new(Question { socket, namespace, id }))
    }

    /// The socket that asked.
    #[must_use]
    pub fn socket(&self) -> SocketHandle {
        self.0.socket
    }

    /// The namespace of the socket: what an ack that is encoded outside of the connection has to name.
    #[must_use]
    pub fn namespace(&self) -> &Text {
        &self.0.namespace
    }

    /// The id that the ack has to carry.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_small_enough_to_be_moved_without_a_call() {
        assert!(size_of::<Event>() <= 96, "{} bytes", size_of::<Event>());
    }
}
