//! Links: the WebSocket or WebTransport that carries a session, and the one that tries to (the probe).
//!
//! A session knows at most two links. Every other one that is named to it, too late or too early, is closed.
//!
//! Source: engine.io `lib/socket.ts`, `maybeUpgrade`; `lib/transports/websocket.ts` and `webtransport.ts`.

use alloc::boxed::Box;
use core::time::Duration;

use bytes::Bytes;

use super::session::{Carrier, LinkDownCause, Session, Stage, Timer, Transmit};
use super::upgrade::{self, Action};
use crate::error::ParseError;
use crate::event::{CloseReason, Event, LinkKind, TransportError};
use crate::framing::Decoder;
use crate::id::LinkId;
use crate::message::{Message, Text};
use crate::packet::{Frame, Packet, PacketType};
use crate::queue::Weigh;

/// How often a GET that is held while a probe waits is released (engine.io `lib/socket.ts`, `check`).
const NOOP_INTERVAL: Duration = Duration::from_millis(100);

/// What a probe says, and hears.
const PROBE: &str = "probe";

/// One link.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    kind: LinkKind,
    /// Cuts the bytes of a WebTransport stream into packets.
    decoder: Option<Box<Decoder>>,
    urgent: Urgent,
}

/// The packets that leave a link ahead of the queue. Each kind waits at most once, however often a peer gives a reason for it.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Urgent(u8);

impl Urgent {
    const NOTHING: Self = Self(0);
    const OPEN: Self = Self(1);
    const INITIAL: Self = Self(1 << 1);
    const PROBE_ANSWER: Self = Self(1 << 2);
    const PING: Self = Self(1 << 3);

    const fn add(&mut self, packet: Self) {
        self.0 |= packet.0;
    }

    /// Takes the packet that leaves first.
    const fn pop(&mut self) -> Self {
        let first = self.0 & self.0.wrapping_neg();
        self.0 &= !first;
        Self(first)
    }
}

impl Link {
    fn new(id: LinkId, kind: LinkKind, max_payload: usize) -> Self {
        let decoder = match kind {
            LinkKind::WebSocket => None,
            LinkKind::WebTransport => Some(Box::new(Decoder::new(max_payload))),
        };
        Self { id, kind, decoder, urgent: Urgent::NOTHING }
    }

    #[inline]
    pub(super) fn has_urgent(&self) -> bool {
        self.urgent != Urgent::NOTHING
    }

    /// A ping leaves next, unless one waits already.
    pub(super) const fn ping(&mut self) {
        self.urgent.add(Urgent::PING);
    }

    /// Forgets the packets that have not left.
    pub(super) const fn clear(&mut self) {
        self.urgent = Urgent::NOTHING;
    }
}

impl Session {
    /// A link came up: the session's first input, or a probe.
    pub(super) fn link_up(&mut self, id: LinkId, kind: LinkKind) {
        if self.is_carrier(id) || self.is_probe(id) {
            return;
        }
        if self.stage == Stage::Opening && self.carrier != Carrier::Polling {
            self.carrier = Carrier::Link(kind);
            let mut link = Link::new(id, kind, self.config.max_payload);
            // Ahead of everything else that will ever be queued, even of a ping.
            link.urgent.add(Urgent::OPEN);
            if self.config.initial_packet.is_some() {
                link.urgent.add(Urgent::INITIAL);
            }
            self.link = Some(link);
            self.open();
            return;
        }
        let Some(polling) = &mut self.polling else { return self.refuse_link(id) };
        let (state, action) = upgrade::next(polling.upgrade, upgrade::Input::LinkUp);
        polling.upgrade = state;
        if action == Action::Begin {
            polling.probe = Some(Link::new(id, kind, self.config.max_payload));
            self.set(Timer::Upgrade, self.now + self.config.upgrade_timeout);
        } else {
            self.refuse_link(id);
        }
    }

    /// A link went down.
    pub(super) fn link_down(&mut self, id: LinkId, cause: LinkDownCause) {
        if self.is_probe(id) {
            self.step_upgrade(upgrade::Input::LinkDown);
        } else if self.is_carrier(id) {
            self.link = None;
            self.outbound.clear();
            self.finish(match cause {
                LinkDownCause::Closed => CloseReason::TransportClose,
                LinkDownCause::Failed => CloseReason::TransportError(TransportError::LinkFailed),
            });
        }
    }

    /// Bytes of a WebTransport stream came.
    pub(super) fn link_bytes(&mut self, id: LinkId, chunk: Bytes) {
        if let Some(decoder) = self.decoder(id) {
            decoder.push(chunk);
        }
        // Looked up for each packet: one of them may make a carrier of the probe, or end either.
        while let Some(decoder) = self.decoder(id) {
            match decoder.next() {
                Ok(Some(packet)) => self.link_packet(id, Ok(packet)),
                Ok(None) => return,
                Err(error) => return self.link_packet(id, Err(error)),
            }
        }
    }

    /// A link delivered a packet, or bytes that are not one. Those of a link that was closed are ignored: it has been told.
    #[inline]
    pub(super) fn link_packet(&mut self, id: LinkId, packet: Result<Packet, ParseError>) {
        if !self.is_carrier(id) {
            if self.is_probe(id) {
                self.probe_packet(packet);
            }
            return;
        }
        if self.stage == Stage::Closed {
            return;
        }
        let packet = match packet {
            Ok(packet) => packet,
            Err(error) => return self.finish(CloseReason::ParseError(error)),
        };
        if packet.packet_type == PacketType::Message {
            let unread = self.unread();
            // One message passes whatever the limit is; what piles up does not.
            if unread > 0 && unread.saturating_add(packet.weight()) > self.config.limits.max_inbound {
                return self.finish(CloseReason::TransportError(TransportError::InboundOverflow));
            }
        }
        match &mut self.polling {
            // A POST from before the upgrade is still being read: messages keep their order.
            Some(polling)
                if polling.reads_post() && matches!(packet.packet_type, PacketType::Message | PacketType::Close) =>
            {
                polling.delayed.push(packet);
                if self.is_backlog(self.unread()) {
                    self.stops_reading();
                }
                self.sign_of_life();
            }
            _ => self.receive(packet),
        }
    }

    /// A packet of the probe.
    fn probe_packet(&mut self, packet: Result<Packet, ParseError>) {
        self.step_upgrade(match packet {
            Ok(Packet { packet_type: PacketType::Ping, data: Message::Text(data) }) if data == PROBE => {
                upgrade::Input::Probe
            }
            Ok(Packet { packet_type: PacketType::Upgrade, .. }) => upgrade::Input::Upgrade,
            _ => upgrade::Input::Other,
        });
    }

    /// Takes the upgrade one step further; for what concerns the probe that there is.
    pub(super) fn step_upgrade(&mut self, input: upgrade::Input) {
        let Some(polling) = &mut self.polling else { return };
        let (state, action) = upgrade::next(polling.upgrade, input);
        polling.upgrade = state;
        if matches!(action, Action::CloseProbe | Action::Forget | Action::Switch) {
            let probe = polling.probe.take();
            self.clear(Timer::Upgrade);
            self.clear(Timer::Noop);
            match (action, probe) {
                (Action::CloseProbe, Some(probe)) => self.control.push(Transmit::CloseLink { link: probe.id }),
                (Action::Switch, Some(probe)) => self.switch_to(probe),
                _ => {}
            }
        } else if let (Action::Answer, Some(probe)) = (action, &mut polling.probe) {
            probe.urgent.add(Urgent::PROBE_ANSWER);
            self.set(Timer::Noop, self.now + NOOP_INTERVAL);
        }
    }

    /// The probe becomes the carrier. What is queued goes over it; a ping that is outstanding stays so.
    fn switch_to(&mut self, probe: Link) {
        let kind = probe.kind;
        self.carrier = Carrier::Link(kind);
        self.link = Some(probe);
        // A peer that still polls has not waited for its GET. What is queued would overtake or be overtaken on that way.
        if let Some(request) = self.polling.as_mut().and_then(|polling| polling.leave()) {
            self.reply_packets(request, &[Frame::CLOSE]);
        }
        self.events.push(Event::Upgraded(kind));
        self.leave_polling();
        if self.stage == Stage::Closing {
            self.finish(CloseReason::ForcedClose);
        }
    }

    /// A GET that is held while the probe waits is released.
    pub(super) fn noop_due(&mut self) {
        self.release_poll();
        self.set(Timer::Noop, self.now + NOOP_INTERVAL);
    }

    /// Closes a link that came when none was wanted.
    fn refuse_link(&mut self, id: LinkId) {
        self.control.push(Transmit::CloseLink { link: id });
    }

    /// Takes the packet that leaves this link ahead of the queue, if there is one.
    pub(super) fn pop_urgent(&mut self, id: LinkId) -> Option<Frame> {
        let probe = self.polling.as_mut().and_then(|polling| polling.probe.as_mut());
        let link = self.link.as_mut().into_iter().chain(probe).find(|link| link.id == id)?;
        let kind = link.kind;
        let frame = match link.urgent.pop() {
            Urgent::OPEN => crate::handshake::open_packet(&self.config, self.sid(), Some(kind)),
            Urgent::INITIAL => Frame::message(self.config.initial_packet.clone()?),
            Urgent::PROBE_ANSWER => Frame::text(PacketType::Pong, Text::from_static(PROBE)),
            Urgent::PING => Frame::PING,
            _ => return None,
        };
        Some(self.link_form(frame))
    }

    /// A link that a packet leaves ahead of the queue.
    pub(super) fn urgent_link(&self) -> Option<LinkId> {
        let probe = self.polling.as_ref().and_then(|polling| polling.probe.as_ref());
        self.link.iter().chain(probe).find(|link| link.has_urgent()).map(|link| link.id)
    }

    pub(super) fn is_carrier(&self, id: LinkId) -> bool {
        self.link.as_ref().is_some_and(|link| link.id == id)
    }

    fn is_probe(&self, id: LinkId) -> bool {
        self.polling.as_ref().and_then(|polling| polling.probe.as_ref()).is_some_and(|probe| probe.id == id)
    }

    /// The decoder of a link that is still listened to.
    fn decoder(&mut self, id: LinkId) -> Option<&mut Decoder> {
        if self.stage == Stage::Closed {
            return None;
        }
        let probe = self.polling.as_mut().and_then(|polling| polling.probe.as_mut());
        self.link.as_mut().into_iter().chain(probe).find(|link| link.id == id)?.decoder.as_deref_mut()
    }
}
