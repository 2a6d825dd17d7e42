//! The events that a client reports to the application, and the errors in them.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use engineio_proto::{CloseReason, LinkKind};
use serde::Deserialize;

use crate::error::{EncodeError, ReadError};
use crate::event::{AckError, AckId, AckToken, DisconnectReason, Outcome, SocketHandle};
use crate::id::SocketId;
use crate::inbox::InboxEvent;
use crate::payload::Payload;

/// An event of a client, returned by `poll_event`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The connection is open. The sockets join their namespaces now. (The event `open` of the reference's manager)
    Opened,
    /// A socket joins its namespace, and its [`Auth`](super::Auth) is to be asked for. Answer with
    /// [`Client::authenticate`](super::Client::authenticate), now or later. The socket does not join before.
    AuthRequested(AuthRequest),
    /// The socket has joined its namespace, and has an id. What was received and what was emitted before comes first. A server may let a
    /// connected socket join again; its id is then another.
    Connected {
        /// The socket.
        socket: SocketHandle,
        /// Its id, which the server gave it.
        id: SocketId,
        /// Whether the socket has returned after a lost connection, with the id that it had. It has then received all events that it has
        /// missed.
        recovered: bool,
    },
    /// The socket could not join its namespace. If the server has refused it ([`ConnectError::Refused`]), it is inactive now, and joins
    /// when the application calls [`Client::connect`](super::Client::connect). The same holds if its auth cannot be encoded, and if the server
    /// has disconnected it before it had joined. After other errors it tries again when the connection opens again; see
    /// [`Client::is_active`](super::Client::is_active).
    ConnectError {
        /// The socket.
        socket: SocketHandle,
        /// What happened.
        error: ConnectError,
    },
    /// The server sent an event.
    Received {
        /// The socket that received it.
        socket: SocketHandle,
        /// Name and arguments.
        payload: Payload,
        /// Present if the server requested an ack. Answer with [`Client::ack`](super::Client::ack).
        ack: Option<AckToken>,
    },
    /// The server sent an error to a socket that stays connected. Only servers of Socket.IO 1 and 2 do that.
    Error {
        /// The socket.
        socket: SocketHandle,
        /// The error.
        error: ServerError,
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
    /// The socket has left its namespace. It joins again by itself if the reason
    /// [reconnects](DisconnectReason::is_followed_by_reconnection) and reconnection is on.
    Disconnected {
        /// The socket.
        socket: SocketHandle,
        /// The reason.
        reason: DisconnectReason,
    },
    /// The session has moved from polling to this link. At most once each time that the connection is open.
    Upgraded(LinkKind),
    /// The server sent a ping, which the client answers.
    Ping,
    /// There is capacity again, after a command was refused because a queue was full.
    Writable,
    /// The connection has ended. It comes once for each [`Event::Opened`], and before the [`Event::Disconnected`] of the sockets. (The
    /// event `close` of the reference's manager)
    Closed(DisconnectReason),
    /// The connection could not be opened. It comes before the [`Event::ConnectError`] of the sockets. (The event `error` of the
    /// reference's manager)
    OpenFailed(OpenError),
    /// An attempt to connect again begins. Its number counts from 1. What the driver sends for the attempt (headers, query) can be changed
    /// now, if it polls events before transmits.
    ReconnectAttempt(u32),
    /// An attempt to connect again has succeeded: its number. The sockets join their namespaces now.
    Reconnected(u32),
    /// An attempt to connect again has failed. The next one follows, unless it was the last one.
    ReconnectError(OpenError),
    /// The last allowed attempt to connect again has failed ([`Config::reconnection_attempts`](super::Config)). It comes before the
    /// [`Event::ReconnectError`] of that attempt, as in the reference. The sockets stay active:
    /// [`Client::open`](super::Client::open) starts over.
    ReconnectFailed,
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

/// A socket asks for its auth. The answer counts only for the attempt to join that has asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuthRequest {
    pub(super) socket: SocketHandle,
    pub(super) attempt: u64,
}

impl AuthRequest {
    /// The socket.
    #[must_use]
    pub const fn socket(&self) -> SocketHandle {
        self.socket
    }
}

/// Why the connection could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It was not open within [`Config::open_timeout`](super::Config).
    #[error("timeout")]
    Timeout,
    /// The transport failed, or the server refused the session.
    #[error("the connection could not be opened: {}", detail(.0))]
    Failed(CloseReason),
}

/// What is known of the reason, for people.
fn detail(reason: &CloseReason) -> String {
    use alloc::string::ToString as _;

    match reason {
        CloseReason::TransportError(error) => error.to_string(),
        CloseReason::ParseError(error) => alloc::format!(
            "{error}; the server does not speak this revision of Engine.IO: set the revision to V3 for servers of Socket.IO 2 and older"
        ),
        reason => reason.to_string(),
    }
}

/// Why a socket could not join its namespace.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection could not be opened.
    #[error(transparent)]
    Open(OpenError),
    /// The server refused the socket.
    #[error("{0}")]
    Refused(ServerError),
    /// The parser cannot encode the [`Auth`](super::Auth) of the socket. The socket is inactive now.
    #[error("the auth of the socket cannot be sent: {0}")]
    Encode(EncodeError),
    /// The connection ended before the server has answered.
    #[error("the connection was closed before the server has answered: {0}")]
    Closed(DisconnectReason),
    /// The reply of the server has no id. Servers of Socket.IO 1 and 2 reply so, which need a client of revision 3.
    #[error(
        "the server seems to be Socket.IO 2 or older, which does not understand this client: set the revision of the engine's config to V3"
    )]
    OldServer,
}

/// An error that the server sent: a message, and data if the server added some.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerError(Option<Payload>);

impl ServerError {
    pub(super) const fn new(payload: Option<Payload>) -> Self {
        Self(payload)
    }

    /// The whole error as it was received: an object with `message` and `data`, or from old servers any value. `None` if the server sent
    /// none.
    #[must_use]
    pub const fn payload(&self) -> Option<&Payload> {
        self.0.as_ref()
    }

    /// The message. Empty if there is none. A text from an old server is the message.
    #[must_use]
    pub fn message(&self) -> Cow<'_, str> {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            message: Cow<'a, str>,
        }

        let Some(payload) = &self.0 else { return Cow::Borrowed("") };
        let message = payload.get::<Message<'_>>(0).map(|error| error.message);
        message.or_else(|_| payload.get::<String>(0).map(Cow::Owned)).unwrap_or_default()
    }

    /// The data.
    ///
    /// # Errors
    /// If there is none, or if it does not have this type. Read an `Option` if there may be none.
    pub fn data<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        #[derive(Deserialize)]
        struct Data<T> {
            data: T,
        }

        let payload = self.0.as_ref().ok_or_else(crate::arguments::read::missing::<ReadError>)?;
        payload.get::<Data<T>>(0).map(|error| error.data)
    }
}

impl fmt::Display for ServerError {
    /// Writes the message. Without one, the whole error, as it was received.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.message(), self.0.as_ref().and_then(|payload| payload.raw(0))) {
            ("", Some(raw)) => f.write_str(raw),
            ("", None) => f.write_str("the server gave no reason"),
            (message, _) => f.write_str(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;
    use alloc::vec::Vec;

    use super::*;
    use crate::config::Limits;
    use crate::packet::PacketType;

    fn error(json: &str) -> ServerError {
        let payload = Payload::from_json(PacketType::ConnectError, json.into(), Vec::new(), &Limits::default());
        ServerError::new(Some(payload.unwrap()))
    }

    #[test]
    fn an_event_is_small_enough_to_be_moved_without_a_call() {
        assert!(size_of::<Event>() <= 96, "{} bytes", size_of::<Event>());
    }

    #[test]
    fn an_error_has_a_message_and_data_in_the_forms_of_all_servers() {
        let full = error(r#"{"message":"not \"you\"","data":{"code":7}}"#);
        assert_eq!(full.message(), "not \"you\"");
        assert_eq!(full.data::<alloc::collections::BTreeMap<String, u8>>().unwrap().get("code"), Some(&7));
        let plain = error(r#"{"message":"Invalid namespace"}"#);
        assert_eq!(plain.to_string(), "Invalid namespace");
        assert_eq!(plain.data::<Option<u8>>(), Ok(None));
        assert!(plain.data::<u8>().is_err());
        assert_eq!(error(r#""plain text""#).message(), "plain text");
        assert_eq!((error(r#"{"code":1}"#).message(), ServerError::new(None).message()), ("".into(), "".into()));
        assert_eq!(error(r#"{"code":1}"#).to_string(), r#"{"code":1}"#);
        assert_eq!(ServerError::new(None).to_string(), "the server gave no reason");
        assert!(ServerError::new(None).data::<Option<u8>>().is_err());
    }
}
