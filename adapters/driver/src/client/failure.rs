//! Why a socket could not join its namespace, or a connection could not be opened.

use std::fmt;
use std::sync::Arc;

use engineio_proto::CloseReason;
use serde::Deserialize;
use socketio_proto::client as proto;
use socketio_proto::{Payload, ReadError};

use super::error::ConnectError;

/// Why a socket could not join its namespace, or a connection could not be opened. Its text says what happened.
#[derive(Clone)]
pub struct ConnectFailure(Kind);

#[derive(Clone)]
enum Kind {
    /// The machine reports it. The cause is what the network reports, if anything.
    Reported(proto::ConnectError, Option<Arc<ConnectError>>),
    /// The session of an Engine.IO client has ended before it was open.
    Engine(CloseReason, Option<Arc<ConnectError>>),
    /// The function that makes the `auth` has failed.
    Auth(String),
    /// The client itself has refused the socket, for this reason.
    RefusedHere(String),
    /// The socket was not connecting, or the application has disconnected it.
    Inactive,
}

impl ConnectFailure {
    pub(super) const fn reported(error: proto::ConnectError, cause: Option<Arc<ConnectError>>) -> Self {
        Self(Kind::Reported(error, cause))
    }

    pub(super) const fn engine(reason: CloseReason, cause: Option<Arc<ConnectError>>) -> Self {
        Self(Kind::Engine(reason, cause))
    }

    pub(super) const fn auth(error: String) -> Self {
        Self(Kind::Auth(error))
    }

    pub(super) const fn refused_here(error: String) -> Self {
        Self(Kind::RefusedHere(error))
    }

    pub(super) const fn inactive() -> Self {
        Self(Kind::Inactive)
    }

    /// Whether the server has refused the socket: no further attempt is made until [`Socket::connect`](super::Socket::connect).
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self.0, Kind::Reported(proto::ConnectError::Refused(_), _))
    }

    /// The message of the server's refusal, or the text of this error.
    #[must_use]
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// The data of the server's refusal.
    ///
    /// # Errors
    /// If there is none, or if it does not have this type. Read an `Option` if there may be none.
    pub fn data<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        match &self.0 {
            Kind::Reported(proto::ConnectError::Refused(error), _) => error.data(),
            _ => Ok(serde_json::from_str("null")?),
        }
    }

    /// The whole error of the server's refusal: an object with `message` and `data`, or from old servers any value.
    #[must_use]
    pub const fn payload(&self) -> Option<&Payload> {
        match &self.0 {
            Kind::Reported(proto::ConnectError::Refused(error), _) => error.payload(),
            _ => None,
        }
    }

    /// What went wrong in the network, if it was that: a name without an address, a refused connection, an unknown certificate.
    #[must_use]
    pub fn cause(&self) -> Option<&ConnectError> {
        match &self.0 {
            Kind::Reported(_, cause) | Kind::Engine(_, cause) => cause.as_deref(),
            _ => None,
        }
    }
}

impl From<proto::OpenError> for ConnectFailure {
    fn from(error: proto::OpenError) -> Self {
        Self::reported(proto::ConnectError::Open(error), None)
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Reported(
                proto::ConnectError::Open(proto::OpenError::Failed(CloseReason::TransportError(_))),
                Some(cause),
            ) => cause.fmt(f),
            Kind::Reported(error, _) => error.fmt(f),
            Kind::Engine(_, Some(cause)) => cause.fmt(f),
            Kind::Engine(CloseReason::TransportError(error), None) => error.fmt(f),
            Kind::Engine(CloseReason::ParseError(error), None) => error.fmt(f),
            Kind::Engine(reason, None) => reason.fmt(f),
            Kind::Auth(error) => write!(f, "the auth of the socket could not be made: {error}"),
            Kind::RefusedHere(error) => f.write_str(error),
            Kind::Inactive => f.write_str("the socket is not connecting: call `connect`"),
        }
    }
}

impl fmt::Debug for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectFailure").field(&self.to_string()).finish()
    }
}

impl std::error::Error for ConnectFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().map(|cause| cause as _)
    }
}
