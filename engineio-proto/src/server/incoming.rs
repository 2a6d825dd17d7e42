//! A WebTransport session before its first packet says whether it is new or the upgrade of another.
//!
//! Source: engine.io `lib/server.ts`, `onWebTransportSession`.

use alloc::sync::Arc;

use bytes::Bytes;

use super::Handshake;
use crate::config::Config;
use crate::id::Sid;
use crate::time::Instant;

/// A WebTransport session that has yet to send its first packet.
#[derive(Debug)]
pub struct Incoming {
    config: Arc<Config>,
    deadline: Instant,
}

/// What an [`Incoming`] turned out to be.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum IncomingOutcome {
    /// A new session: accept it, hand in `LinkUp`, then the rest of the bytes ([`Incoming::into_rest`]).
    Open(Handshake),
    /// The upgrade of this session, if it exists and admits it.
    Attach {
        /// The session's id.
        sid: Sid,
        /// What to ask it with [`Session::admit`](super::Session::admit).
        ask: super::Ask,
    },
    /// Neither: close the WebTransport session.
    Refuse,
}

impl Incoming {
    pub(super) fn new(config: Arc<Config>, now: Instant) -> Self {
        let deadline = now + config.upgrade_timeout;
        Self { config, deadline }
    }

    /// Bytes of the stream.
    pub fn handle(&mut self, chunk: Bytes) {
        let _ = (chunk, &self.config);
        unimplemented!()
    }

    /// The deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        unimplemented!()
    }

    /// What it turned out to be, once.
    pub fn poll(&mut self) -> Option<IncomingOutcome> {
        unimplemented!()
    }

    /// When to call [`Incoming::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    /// Bytes behind the first packet, for the session's first `LinkBytes`.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        unimplemented!()
    }
}
