//! Handles a WebTransport session until its first packet, which determines whether it opens a session or upgrades one.
//!
//! The first packet of the first bidirectional stream must be an open packet. Without data, it requests a new session. With the data
//! `{"sid":"..."}`, it is the upgrade of that session, and the probe follows. Nothing else is checked, because WebTransport has neither a
//! query nor a method.
//!
//! Source: engine.io `lib/server.ts`, `onWebTransportSession`.

use bytes::Bytes;

use super::{Handshake, RequestKind, SessionRequest};
use crate::config::Config;
use crate::event::LinkKind;
use crate::framing::Decoder;
use crate::id::Sid;
use crate::json;
use crate::message::Message;
use crate::packet::{Packet, PacketType};
use crate::shared::Arc;
use crate::time::Instant;
use crate::wire::{Revision, Wire};

/// Maximum length of the first packet. A longer one cannot be valid: a session id is much shorter.
const MAX_FIRST_PACKET: usize = 4096;

/// A WebTransport session that has not sent its first packet yet. It keeps at most 4 KiB of a packet that is not complete.
///
/// Create it with [`Server::incoming`](super::Server::incoming) as soon as the WebTransport session is established, because its deadline
/// ([`Config::upgrade_timeout`]) also covers the opening of the stream.
#[derive(Debug)]
pub struct Incoming {
    config: Arc<Config>,
    deadline: Instant,
    decoder: Decoder,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    Decided(IncomingOutcome),
    Taken,
}

/// The outcome of an [`Incoming`].
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum IncomingOutcome {
    /// The peer requests a new session. Accept it, then pass `LinkUp` and the rest of the bytes ([`Incoming::into_rest`]) to it.
    Open(Handshake),
    /// The peer requests the upgrade of a session. If the session exists and admits it, pass `LinkUp` and the rest of the bytes to the
    /// session. Otherwise, close the WebTransport session.
    Attach {
        /// The id of the session to upgrade.
        sid: Sid,
        /// The argument for [`Session::admit`](super::Session::admit).
        session_request: SessionRequest,
    },
    /// Close the WebTransport session. The first packet was invalid or not an open packet, it did not arrive in time, or the server does
    /// not offer WebTransport ([`Transports`](crate::Transports)).
    Refuse,
}

impl Incoming {
    pub(super) fn new(config: Arc<Config>, now: Instant) -> Self {
        let deadline = now + config.upgrade_timeout;
        let decoder = Decoder::new(config.max_payload.min(MAX_FIRST_PACKET));
        let served = config.transports.webtransport;
        let state = if served { State::Waiting } else { State::Decided(IncomingOutcome::Refuse) };
        Self { config, deadline, decoder, state }
    }

    /// Handles bytes of the stream. After [`Incoming::poll`] has returned an outcome, pass further bytes to the session instead.
    pub fn handle(&mut self, chunk: Bytes) {
        if matches!(self.state, State::Decided(IncomingOutcome::Refuse)) {
            return;
        }
        self.decoder.push(chunk);
        if !matches!(self.state, State::Waiting) {
            return;
        }
        match self.decoder.next() {
            Ok(None) => {}
            Ok(Some(packet)) => self.state = State::Decided(self.judge(&packet)),
            Err(_) => self.state = State::Decided(IncomingOutcome::Refuse),
        }
    }

    fn judge(&self, packet: &Packet) -> IncomingOutcome {
        match (packet.packet_type, &packet.data) {
            (PacketType::Open, Message::Text(data)) if data.is_empty() => IncomingOutcome::Open(Handshake {
                config: Arc::clone(&self.config),
                link: Some(LinkKind::WebTransport),
                wire: Wire::new(Revision::V4, false, None),
            }),
            (PacketType::Open, Message::Text(data)) => {
                match json::string_member(data, "sid").map(Sid::new) {
                    // WebTransport has no query that names a revision. Only revision 4 supports it.
                    Some(Ok(sid)) => IncomingOutcome::Attach {
                        sid,
                        session_request: SessionRequest {
                            kind: RequestKind::Link(LinkKind::WebTransport),
                            consistent: true,
                            revision: Revision::V4,
                        },
                    },
                    _ => IncomingOutcome::Refuse,
                }
            }
            _ => IncomingOutcome::Refuse,
        }
    }

    /// Reports that the deadline has passed. Does nothing before the deadline.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Waiting) && now >= self.deadline {
            self.state = State::Decided(IncomingOutcome::Refuse);
        }
    }

    /// Returns the outcome, once.
    pub fn poll(&mut self) -> Option<IncomingOutcome> {
        match core::mem::replace(&mut self.state, State::Taken) {
            State::Decided(outcome) => Some(outcome),
            undecided => {
                self.state = undecided;
                None
            }
        }
    }

    /// The deadline at which to call [`Incoming::handle_timeout`], or `None` once there is an outcome.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting => Some(self.deadline),
            State::Decided(_) | State::Taken => None,
        }
    }

    /// The bytes after the first packet, for the session's first `LinkBytes`. Empty if there is no first packet.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.decoder.into_rest()
    }
}
