//! A WebTransport session before its first packet says whether it is new or the upgrade of another.
//!
//! The first packet of its first bidirectional stream has to be an open packet: without data it asks for a new session, with
//! `{"sid":"..."}` it is the upgrade of that one, and the probe follows. WebTransport has neither query nor method, so that
//! nothing else is checked.
//! Source: engine.io `lib/server.ts`, `onWebTransportSession`.

use bytes::Bytes;

use super::{Ask, AskKind, Handshake};
use crate::config::Config;
use crate::event::LinkKind;
use crate::framing::Decoder;
use crate::id::Sid;
use crate::json;
use crate::message::Message;
use crate::packet::{Packet, PacketType};
use crate::shared::Arc;
use crate::time::Instant;
use crate::wire::Wire;

/// A WebTransport session that has yet to send its first packet. Made by [`Server::incoming`](super::Server::incoming) when the session
/// comes, for the deadline covers the opening of the stream, too.
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

/// What an [`Incoming`] turned out to be.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum IncomingOutcome {
    /// A new session: accept it, hand in `LinkUp`, then the rest of the bytes ([`Incoming::into_rest`]).
    Open(Handshake),
    /// The upgrade of this session, if it exists and admits it: hand in `LinkUp`, then the rest of the bytes. Otherwise
    /// close the WebTransport session.
    Attach {
        /// The session's id.
        sid: Sid,
        /// What to ask it with [`Session::admit`](super::Session::admit).
        ask: Ask,
    },
    /// Neither: close the WebTransport session. The first packet was another or none, did not come in time, or WebTransport is not served
    /// ([`Transports`](crate::Transports)).
    Refuse,
}

impl Incoming {
    pub(super) fn new(config: Arc<Config>, now: Instant) -> Self {
        let deadline = now + config.upgrade_timeout;
        let decoder = Decoder::new(config.max_payload);
        let served = config.transports.webtransport;
        let state = if served { State::Waiting } else { State::Decided(IncomingOutcome::Refuse) };
        Self { config, deadline, decoder, state }
    }

    /// Bytes of the stream. Once [`Incoming::poll`] has given an outcome, hand no more in here: they are the session's.
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
                wire: Wire::v4(false, None),
            }),
            (PacketType::Open, Message::Text(data)) => {
                match json::string_member(data, "sid").map(Sid::new) {
                    // There is no query to name a revision; only the fourth knows WebTransport.
                    Some(Ok(sid)) => IncomingOutcome::Attach {
                        sid,
                        ask: Ask { kind: AskKind::Link(LinkKind::WebTransport), consistent: true },
                    },
                    _ => IncomingOutcome::Refuse,
                }
            }
            _ => IncomingOutcome::Refuse,
        }
    }

    /// The deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Waiting) && now >= self.deadline {
            self.state = State::Decided(IncomingOutcome::Refuse);
        }
    }

    /// What it turned out to be, once.
    pub fn poll(&mut self) -> Option<IncomingOutcome> {
        match core::mem::replace(&mut self.state, State::Taken) {
            State::Decided(outcome) => Some(outcome),
            undecided => {
                self.state = undecided;
                None
            }
        }
    }

    /// When to call [`Incoming::handle_timeout`]; `None` once it has an outcome.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting => Some(self.deadline),
            State::Decided(_) | State::Taken => None,
        }
    }

    /// Bytes behind the first packet, for the session's first `LinkBytes`. Nothing when there is no first packet.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.decoder.into_rest()
    }
}
