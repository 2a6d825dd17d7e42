//! Who may join: what a guard decides on, and what it decides.

use std::fmt;
use std::sync::Arc;

use socketio_proto::{Parser, Payload, ReadError};

use super::state::{ConnectRequest, GuardResult, Refusal};
use crate::handler::Outcome;
use crate::handshake::Handshake;

impl Outcome<GuardResult> for GuardResult {
    fn into_outcome(self) -> GuardResult {
        self
    }
}

impl<P: Parser> ConnectRequest<P> {
    /// The request that opened the connection.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.peer.shared.handshake
    }

    /// What the client sent as `auth`, if it did: see [`ConnectRequest::read_auth`].
    #[must_use]
    pub fn auth(&self) -> Option<&Payload> {
        self.auth.as_ref()
    }

    /// Reads what the client sent as `auth`: an object, and an empty one when it sent none, as in the reference.
    ///
    /// # Errors
    /// When it is not of this type.
    pub fn read_auth<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        read_auth(self.auth.as_ref())
    }

    /// Hands a value to the socket that there will be if the client may join: its handlers find it with [`Socket::get`]. Returns the value
    /// of the same type that was there. What comes after the guard has decided is dropped.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        self.extensions.insert(value)
    }
}

/// Reads an `auth`. The reference has an empty object where there was none (socket.io `lib/socket.ts`, `buildHandshake`).
pub(crate) fn read_auth<'de, T: serde::Deserialize<'de>>(auth: Option<&'de Payload>) -> Result<T, ReadError> {
    match auth {
        Some(auth) => auth.get(0),
        None => serde_json::from_str("{}").map_err(serde::de::Error::custom),
    }
}

impl<P: Parser> fmt::Debug for ConnectRequest<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest").field("auth", &self.auth).finish_non_exhaustive()
    }
}

impl From<&str> for Refusal {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl Refusal {
    /// A refusal with this message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// Adds data: what the client finds as `err.data`.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<serde_json::Value>) -> Self {
        self.data = Some(data.into());
        self
    }
}
