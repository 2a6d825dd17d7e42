//! The events that a connection reports to the application, and the tokens that the application answers with.
//!
//! Events are queued and moved around, and most of them have no token. So the contents of a token are boxed, and an event is
//! little larger than its payload.

use alloc::boxed::Box;
use core::fmt;

use engineio_proto::{CloseReason, LinkKind, Text};

use crate::inbox::InboxEvent;
use crate::payload::Payload;

/// Identifies a socket (a joined namespace) within its connection. Handles are never reused within a connection. Outside of the
/// connection, a socket is identified by its [`SocketId`](crate::SocketId).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketHandle(pub u32);

/// Identifies an ack that is awaited from the peer. Ids are below 2^31, because Java clients parse them as `int`. Connections,
/// and callers that send through them, use even ids. Namespaces use odd ids for their broadcasts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AckId(pub u32);

/// An event of a connection, returned by `poll_event`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The peer requests to join a namespace. Accept or refuse it.
    ConnectRequested(Pending),
    /// The peer sent an event.
    Received {
        /// The socket that received it.
        socket: SocketHandle,
        /// Name and arguments.
        payload: Payload,
        /// Present if the peer requested an ack. Answer with `Connection::ack`.
        ack: Option<AckToken>,
    },
    /// The outcome of an awaited ack. Emitted exactly once for each ack. It does not wait behind unread events.
    Acked {
        /// The socket that sent the event.
        socket: SocketHandle,
        /// The id of the ack.
        id: AckId,
        /// The arguments of the ack, or why there is none.
        outcome: Result<Payload, AckError>,
    },
    /// The socket is about to leave its namespace: one of the sides has disconnected it, or the connection has ended. Nothing
    /// can be sent to the socket any more, but it is still in its rooms. [`Event::Disconnected`] is the next event of the
    /// socket.
    Disconnecting {
        /// The socket.
        socket: SocketHandle,
        /// The reason.
        reason: DisconnectReason,
    },
    /// The socket has left its namespace. Remove it from its [`Namespace`](crate::server::Namespace), then notify the
    /// application. This is the last event of the socket.
    Disconnected {
        /// The socket.
        socket: SocketHandle,
        /// The reason.
        reason: DisconnectReason,
    },
    /// The session has moved from polling to this link. It concerns all sockets of the connection. Emitted at most once.
    Upgraded(LinkKind),
    /// The outbound queue has capacity again, after a command was refused because it was full.
    Writable,
    /// The connection has ended. Emitted exactly once, as the last event, also if the application closed the connection.
    /// Continue to call `poll_transmit` until `is_drained` returns true, then drop the connection.
    Closed(CloseReason),
}

impl InboxEvent for Event {
    #[inline]
    fn acked(Outcome { socket, id, outcome }: Outcome) -> Self {
        Self::Acked { socket, id, outcome }
    }

    fn writable() -> Self {
        Self::Writable
    }
}

/// The outcome of an awaited ack, before it is taken as [`Event::Acked`].
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) socket: SocketHandle,
    pub(crate) id: AckId,
    pub(crate) outcome: Result<Payload, AckError>,
}

/// Why an ack did not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The timeout expired.
    #[error("operation has timed out")]
    Timeout,
    /// The socket disconnected before the ack arrived, or the event was not sent because it was volatile and was dropped.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The event was not sent, because too many acks are awaited from the peer
    /// ([`Limits::max_awaited_acks`](crate::Limits)). The socket is still connected.
    #[error("the event was not sent: too many acks are awaited from this peer (limits.max_awaited_acks)")]
    TooManyAcks,
}

/// Why a socket disconnected. `Display` writes the reason string of the reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The connection ended.
    Closed(CloseReason),
    /// The peer left the namespace.
    ClientNamespaceDisconnect,
    /// This side disconnected the socket from its namespace.
    ServerNamespaceDisconnect,
    /// The peer violated the protocol while no polling GET was pending (socket.io `lib/client.ts`).
    ForcedServerClose,
    /// The server is shutting down.
    ServerShuttingDown,
    /// In a client: the server disconnected the socket from its namespace.
    IoServerDisconnect,
    /// In a client: the application disconnected the socket from its namespace.
    IoClientDisconnect,
    /// In a client: the server sent an invalid packet. [`Client::fault`](crate::client::Client::fault) tells what was wrong with it.
    ParseError,
}

impl DisconnectReason {
    /// Whether the connection was lost, so that the client may return as the same socket (socket.io `lib/socket.ts`,
    /// `RECOVERABLE_DISCONNECT_REASONS`). It is not if one side has left the namespace or an invalid packet was received.
    #[must_use]
    pub const fn is_recoverable(&self) -> bool {
        match self {
            Self::Closed(reason) => matches!(
                reason,
                CloseReason::PingTimeout
                    | CloseReason::TransportClose
                    | CloseReason::TransportError(_)
                    | CloseReason::ForcedClose
            ),
            Self::ForcedServerClose | Self::ServerShuttingDown => true,
            Self::ClientNamespaceDisconnect
            | Self::ServerNamespaceDisconnect
            | Self::IoServerDisconnect
            | Self::IoClientDisconnect
            | Self::ParseError => false,
        }
    }

    /// In a client: whether the socket connects again by itself if reconnection is on. It does unless one of the sides has disconnected
    /// the socket, or the application has closed the connection (socket.io-client `lib/manager.ts`, `onclose`). The reason of
    /// [`client::Client::close_session`](crate::client::Client::close_session), after which the client does connect again, is that of a close
    /// by the application: for it, this returns false.
    #[must_use]
    pub const fn is_followed_by_reconnection(&self) -> bool {
        !matches!(self, Self::IoServerDisconnect | Self::IoClientDisconnect | Self::Closed(CloseReason::ForcedClose))
    }

    /// The reason string of the reference.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Closed(reason) => reason.as_str(),
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ForcedServerClose => "forced server close",
            Self::ServerShuttingDown => "server shutting down",
            Self::IoServerDisconnect => "io server disconnect",
            Self::IoClientDisconnect => "io client disconnect",
            Self::ParseError => "parse error",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pending CONNECT. Pass it to `Connection::accept` or `Connection::refuse`.
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

    /// The handle that the socket will have if the request is accepted.
    #[must_use]
    pub fn socket(&self) -> SocketHandle {
        self.0.socket
    }

    /// The requested namespace as the peer sent it. It starts with `/`.
    #[must_use]
    pub fn namespace(&self) -> &Text {
        &self.0.namespace
    }

    /// The payload of the CONNECT, an object, if there is one.
    #[must_use]
    pub fn auth(&self) -> Option<&Payload> {
        self.0.auth.as_ref()
    }
}

/// The right to answer one event with one ack. It is not `Clone`, so answering twice does not compile.
#[derive(Debug)]
#[must_use = "the peer waits for the ack"]
pub struct AckToken(Box<Question>);

#[derive(Debug)]
struct Question {
    socket: SocketHandle,
    namespace: Text,
    id: u64,
    /// Counts the sessions of a client, which outlives them.
    session: u32,
}

impl AckToken {
    #[inline]
    pub(crate) fn new(socket: SocketHandle, namespace: Text, id: u64, session: u32) -> Self {
        Self(Box::new(Question { socket, namespace, id, session }))
    }

    /// The session of the client in which the event was received.
    pub(crate) const fn session(&self) -> u32 {
        self.0.session
    }

    /// The socket that received the event.
    #[must_use]
    pub fn socket(&self) -> SocketHandle {
        self.0.socket
    }

    /// The namespace of the socket. An ack that is encoded outside of the connection must carry it.
    #[must_use]
    pub fn namespace(&self) -> &Text {
        &self.0.namespace
    }

    /// The id that the ack must carry.
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
