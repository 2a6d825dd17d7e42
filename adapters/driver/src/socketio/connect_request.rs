//! Middleware: the requests that it decides on, and its decisions.

use std::fmt;
use std::sync::Arc;

use engineio_proto::Sid;
use engineio_proto::server::Transport;
use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_proto::{EncodeError, Parser, Payload, ReadError};

use super::data::Data;
use super::state::{ConnectRequest, MiddlewareResult, Refusal};
use crate::handler::Outcome;
use crate::handshake::Handshake;

impl Outcome<MiddlewareResult> for MiddlewareResult {
    fn into_outcome(self) -> MiddlewareResult {
        self
    }
}

impl<P: Parser> ConnectRequest<P> {
    /// The HTTP request that opened the connection.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.peer.shared.handshake
    }

    /// The name of the namespace that the client wants to join.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The id of the Engine.IO session below. The socket does not exist yet, and gets an id of its own.
    #[must_use]
    pub fn session_id(&self) -> Sid {
        self.peer.sid()
    }

    /// The `auth` payload of the client, if it sent one. See [`ConnectRequest::read_auth`].
    #[must_use]
    pub fn auth(&self) -> Option<&Payload> {
        self.auth.as_ref()
    }

    /// Reads the `auth` payload of the client, an object. If the client sent none, an empty object is read, as in the
    /// reference.
    ///
    /// # Errors
    /// If the payload does not have this type.
    pub fn read_auth<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        read_auth(self.auth.as_ref())
    }

    /// Passes a value to the socket that is created if the client may join. Handlers read it with [`Socket::get`](crate::Socket::get).
    /// Returns the previous value of the same type. Values that are inserted after the last middleware has accepted the client
    /// are dropped.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        self.extensions.insert(value)
    }

    /// Stores the data of the socket that is created if the client may join; see [`Socket::set_data`](crate::Socket::set_data).
    ///
    /// # Errors
    /// If the data cannot be written as JSON; the previous data is then kept.
    pub fn set_data<T: Serialize>(&self, data: T) -> Result<(), EncodeError> {
        self.extensions.insert(Data::new(&data)?);
        Ok(())
    }

    /// Reads the data that an earlier middleware has stored; see [`Socket::data`](crate::Socket::data).
    ///
    /// # Errors
    /// If the data does not have this type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        Data::read(self.extensions.get::<Data>().as_deref())
    }

    /// What carries the connection at this time.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.peer.shared.transport()
    }

    /// The value of this type that an earlier middleware has inserted.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.extensions.get()
    }
}

/// Reads an `auth` payload. If there is none, the reference uses an empty object (socket.io `lib/socket.ts`, `buildHandshake`).
pub(crate) fn read_auth<'de, T: serde::Deserialize<'de>>(auth: Option<&'de Payload>) -> Result<T, ReadError> {
    match auth {
        Some(auth) => auth.get(0),
        None => serde_json::from_str("{}").map_err(serde::de::Error::custom),
    }
}

impl<P: Parser> Clone for ConnectRequest<P> {
    fn clone(&self) -> Self {
        let Self { peer, namespace, auth, extensions, states } = self;
        let (peer, extensions, states) = (Arc::clone(peer), Arc::clone(extensions), Arc::clone(states));
        Self { peer, namespace: namespace.clone(), auth: auth.clone(), extensions, states }
    }
}

impl<P: Parser> fmt::Debug for ConnectRequest<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("namespace", &self.namespace)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
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
    /// Creates a refusal with this message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// The message, which the client receives as `err.message`.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The data, which the client receives as `err.data`.
    #[must_use]
    pub const fn data(&self) -> Option<&serde_json::Value> {
        self.data.as_ref()
    }

    /// Adds data, which the client receives as `err.data`.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<serde_json::Value>) -> Self {
        self.data = Some(data.into());
        self
    }
}
