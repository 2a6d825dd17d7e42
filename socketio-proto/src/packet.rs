//! Packets: decoded ([`Packet`]), to be encoded ([`Outgoing`]), and encoded ([`Encoded`]).

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use engineio_proto::{Arc, Frame, Text};

use crate::error::EncodeError;
use crate::offset::Offset;
use crate::parser;
use crate::payload::{Args, Payload};

/// The type of a packet. Whether a packet has attachments (types 5 and 6 on the wire) is a detail of the encoding.
///
/// This enum is exhaustive: the protocol has only these types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PacketType {
    /// `0`: requests to join a namespace, or accepts such a request.
    Connect,
    /// `1`: leaves a namespace.
    Disconnect,
    /// `2` (`5` with attachments): an event.
    Event,
    /// `3` (`6` with attachments): the ack of an event.
    Ack,
    /// `4`: refuses a CONNECT.
    ConnectError,
}

/// A decoded packet, with its attachments.
#[derive(Clone, PartialEq, Debug)]
pub struct Packet {
    /// The packet type.
    pub packet_type: PacketType,
    /// The namespace; starts with `/`.
    pub namespace: Text,
    /// The ack id, below 2^53.
    pub id: Option<u64>,
    /// The payload: an object for CONNECT, an object or a string for CONNECT_ERROR, the name and the arguments for EVENT, and
    /// the arguments for ACK.
    pub payload: Option<Payload>,
}

impl Packet {
    /// Prepares the packet to be encoded again, in any format. The payload is borrowed and relayed unchanged. To change a part,
    /// set its field: `let mut outgoing = packet.to_outgoing(); outgoing.namespace = "/other";`.
    #[must_use]
    pub fn to_outgoing(&self) -> Outgoing<'_, Payload> {
        Outgoing {
            id: self.id,
            event: self.payload.as_ref().and_then(Payload::name),
            ..Outgoing::new(self.packet_type, &self.namespace, self.payload.as_ref())
        }
    }
}

/// A packet to be encoded. Create it with [`Outgoing::event`], [`Outgoing::ack`] or [`Outgoing::new`], or from a received packet
/// with [`Packet::to_outgoing`]. The fields can be changed afterwards.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outgoing<'a, A: ?Sized> {
    /// The packet type.
    pub packet_type: PacketType,
    /// The namespace; must start with `/`.
    pub namespace: &'a str,
    /// The ack id.
    pub id: Option<u64>,
    /// The event's name; only for EVENT.
    pub event: Option<&'a str>,
    /// The arguments of EVENT and ACK. For CONNECT and CONNECT_ERROR, the single value that is the payload.
    pub args: Option<&'a A>,
    /// The last argument of EVENT, after `args`, if clients can recover the packet after a lost connection: a string. See
    /// [`Outgoing::with_offset`].
    pub offset: Option<Offset>,
}

impl<'a, A: ?Sized> Outgoing<'a, A> {
    /// Creates a packet without an id and without an event's name.
    pub const fn new(packet_type: PacketType, namespace: &'a str, args: Option<&'a A>) -> Self {
        Self { packet_type, namespace, id: None, event: None, args, offset: None }
    }

    /// Adds an offset. Only EVENT can have one.
    #[must_use]
    pub const fn with_offset(mut self, offset: Offset) -> Self {
        self.offset = Some(offset);
        self
    }
}

impl<'a, A: Args + ?Sized> Outgoing<'a, A> {
    /// Creates an event.
    pub const fn event(namespace: &'a str, id: Option<u64>, event: &'a str, args: &'a A) -> Self {
        Self { packet_type: PacketType::Event, namespace, id, event: Some(event), args: Some(args), offset: None }
    }

    /// Creates an ack.
    pub const fn ack(namespace: &'a str, id: u64, args: &'a A) -> Self {
        Self { packet_type: PacketType::Ack, namespace, id: Some(id), event: None, args: Some(args), offset: None }
    }
}

impl<A: Args + ?Sized> Outgoing<'_, A> {
    /// Appends the payload as JSON, for parsers that write JSON. The form is the one that [`Payload::from_json`] accepts: for
    /// an event an array of the name, the arguments and the offset if there is one, for an ack an array of the arguments, for
    /// CONNECT and CONNECT_ERROR one value. Appends nothing if there is no payload. Returns the attachments that the placeholders in the JSON refer to.
    ///
    /// # Errors
    /// If the arguments are not valid for the packet type, if there are more than `max_attachments` attachments, if the event
    /// name is reserved, or if the namespace does not start with a slash. On error, part of the payload may have been appended.
    pub fn write_json(&self, text: &mut String, max_attachments: u8) -> Result<Vec<Bytes>, EncodeError> {
        parser::write_json(self, text, max_attachments)
    }
}

/// An encoded packet. Its bytes are encoded once and shared by all recipients. A header and its attachments stay together: they
/// are queued as one unit.
///
/// This enum is exhaustive.
#[derive(Clone, PartialEq, Debug)]
pub enum Encoded {
    /// A packet of one message.
    One(Frame),
    /// A packet of several messages: the header and the attachments.
    Many(Arc<[Frame]>),
}

/// Shares the bytes.
impl From<&Encoded> for Encoded {
    fn from(encoded: &Encoded) -> Self {
        encoded.clone()
    }
}

impl Encoded {
    /// The messages, in order.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        match self {
            Self::One(frame) => core::slice::from_ref(frame),
            Self::Many(frames) => frames,
        }
    }

    /// Sets whether transports may compress the messages; see [`Frame::with_compress`]. The bytes stay shared.
    #[must_use]
    pub fn with_compress(self, compress: bool) -> Self {
        match self {
            Self::One(frame) => Self::One(frame.with_compress(compress)),
            Self::Many(frames) if frames.iter().all(|frame| frame.compress() == compress) => Self::Many(frames),
            Self::Many(frames) => {
                let frames: Vec<Frame> = frames.iter().map(|frame| frame.clone().with_compress(compress)).collect();
                Self::Many(frames.into())
            }
        }
    }

    /// Total length of the messages on a link, in bytes.
    #[must_use]
    pub fn packet_len(&self) -> usize {
        self.frames().iter().map(Frame::packet_len).sum()
    }
}
