//! The state of one link (a WebSocket or a WebTransport stream) in a session.
//!
//! A link splits the bytes of a stream into packets, and records which packets leave it ahead of the queue.

use alloc::boxed::Box;

use bytes::Bytes;

use crate::error::ParseError;
use crate::event::LinkKind;
use crate::framing::Decoder;
use crate::id::LinkId;
use crate::message::{Message, Text};
use crate::packet::{Frame, Packet, PacketType};

/// The data of a probe's ping, and of the pong that answers it.
const PROBE: &str = "probe";

/// A packet that leaves a link ahead of the queue. They leave in the order of the variants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Urgent {
    /// The open packet.
    Open = 1,
    /// The initial message, which follows the open packet.
    Initial = 1 << 1,
    /// The ping of a probe.
    Probe = 1 << 2,
    /// The answer to a probe.
    ProbeAnswer = 1 << 3,
    /// The upgrade packet, which makes the probe the transport.
    Upgrade = 1 << 4,
    /// A ping.
    Ping = 1 << 5,
    /// A pong.
    Pong = 1 << 6,
}

impl Urgent {
    const ALL: [Self; 7] =
        [Self::Open, Self::Initial, Self::Probe, Self::ProbeAnswer, Self::Upgrade, Self::Ping, Self::Pong];

    /// The packet. `None` for those that depend on the session: the open packet and the initial message.
    pub(crate) fn frame(self) -> Option<Frame> {
        Some(match self {
            Self::Open | Self::Initial => return None,
            Self::Probe => Frame::text(PacketType::Ping, Text::from_static(PROBE)),
            Self::ProbeAnswer => Frame::text(PacketType::Pong, Text::from_static(PROBE)),
            Self::Upgrade => Frame::UPGRADE,
            Self::Ping => Frame::PING,
            Self::Pong => Frame::PONG,
        })
    }
}

/// Whether a packet is the ping of a probe.
pub(crate) fn is_probe(packet: &Packet) -> bool {
    packet.packet_type == PacketType::Ping && matches!(&packet.data, Message::Text(data) if data == PROBE)
}

/// Whether a packet is the answer to a probe.
pub(crate) fn is_probe_answer(packet: &Packet) -> bool {
    packet.packet_type == PacketType::Pong && matches!(&packet.data, Message::Text(data) if data == PROBE)
}

/// One link.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct Link {
    id: LinkId,
    kind: LinkKind,
    /// A bit for each [`Urgent`] packet. Each is queued at most once, however often a peer causes it.
    urgent: u8,
    /// Splits the bytes of a WebTransport stream into packets. `None` for a WebSocket.
    decoder: Option<Box<Decoder>>,
}

impl Link {
    pub(crate) fn new(id: LinkId, kind: LinkKind, max_payload: usize) -> Self {
        let decoder = match kind {
            LinkKind::WebSocket => None,
            LinkKind::WebTransport => Some(Box::new(Decoder::new(max_payload))),
        };
        Self { id, kind, urgent: 0, decoder }
    }

    #[inline]
    pub(crate) const fn id(&self) -> LinkId {
        self.id
    }

    #[inline]
    pub(crate) const fn kind(&self) -> LinkKind {
        self.kind
    }

    /// Queues a packet ahead of all others.
    pub(crate) const fn push_urgent(&mut self, packet: Urgent) {
        self.urgent |= packet as u8;
    }

    /// Takes the next packet that leaves ahead of the queue.
    #[inline]
    pub(crate) fn pop_urgent(&mut self) -> Option<Urgent> {
        if self.urgent == 0 {
            return None;
        }
        let first = Urgent::ALL.into_iter().find(|packet| self.urgent & *packet as u8 != 0)?;
        self.urgent &= !(first as u8);
        Some(first)
    }

    #[inline]
    pub(crate) const fn has_urgent(&self) -> bool {
        self.urgent != 0
    }

    /// Drops the urgent packets.
    pub(crate) const fn clear(&mut self) {
        self.urgent = 0;
    }

    /// Adds bytes of a stream. Does nothing on a WebSocket.
    pub(crate) fn push_bytes(&mut self, chunk: Bytes) {
        if let Some(decoder) = &mut self.decoder {
            decoder.push(chunk);
        }
    }

    /// Decodes the next packet from the bytes of a stream.
    pub(crate) fn next_packet(&mut self) -> Option<Result<Packet, ParseError>> {
        self.decoder.as_mut()?.next().transpose()
    }
}
