//! Packets: what is decoded ([`Packet`]), what is to be encoded ([`Outgoing`]), and the bytes that came of it ([`Encoded`]).

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use engineio_proto::{Arc, Frame, Text};

use crate::error::EncodeError;
use crate::parser;
use crate::payload::{Args, Payload};

/// The type of a packet. Whether it has attachments (types 5 and 6 on the wire) is a matter of encoding.
///
/// Exhaustive: the protocol knows these.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PacketType {
    /// `0`: join a namespace, or the answer to it.
    Connect,
    /// `1`: leave a namespace.
    Disconnect,
    /// `2` (`5` with attachments): an event.
    Event,
    /// `3` (`6` with attachments): the answer to an event.
    Ack,
    /// `4`: a CONNECT was refused.
    ConnectError,
}

/// A packet that was decoded, attachments included.
#[derive(Clone, PartialEq, Debug)]
pub struct Packet {
    /// Its type.
    pub packet_type: PacketType,
    /// Its namespace; starts with `/`.
    pub namespace: Text,
    /// Its ack id, below 2^53.
    pub id: Option<u64>,
    /// Its payload: an object for CONNECT and CONNECT_ERROR (there also a string), name and arguments for EVENT, arguments for ACK.
    pub payload: Option<Payload>,
}

impl Packet {
    /// The same packet, to be encoded again, in any format: its payload is borrowed, and relayed as it is. To change a part,
    /// `Outgoing { namespace: "/other", ..packet.to_outgoing() }`.
    #[must_use]
    pub fn to_outgoing(&self) -> Outgoing<'_, Payload> {
        Outgoing {
            packet_type: self.packet_type,
            namespace: &self.namespace,
            id: self.id,
            event: self.payload.as_ref().and_then(Payload::name),
            args: self.payload.as_ref(),
        }
    }
}

/// A packet to be encoded. Made by [`Outgoing::event`] and [`Outgoing::ack`], of a packet that was received by [`Packet::to_outgoing`], or
/// as a literal.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs, reason = "built with a literal by everybody who encodes")]
pub struct Outgoing<'a, A: ?Sized> {
    /// Its type.
    pub packet_type: PacketType,
    /// Its namespace; starts with `/`.
    pub namespace: &'a str,
    /// Its ack id.
    pub id: Option<u64>,
    /// The event's name, for EVENT alone.
    pub event: Option<&'a str>,
    /// The arguments of EVENT and ACK; for CONNECT and CONNECT_ERROR the one value that is the payload.
    pub args: Option<&'a A>,
}

impl<'a, A: Args + ?Sized> Outgoing<'a, A> {
    /// An event.
    pub const fn event(namespace: &'a str, id: Option<u64>, event: &'a str, args: &'a A) -> Self {
        Self { packet_type: PacketType::Event, namespace, id, event: Some(event), args: Some(args) }
    }

    /// An ack.
    pub const fn ack(namespace: &'a str, id: u64, args: &'a A) -> Self {
        Self { packet_type: PacketType::Ack, namespace, id: Some(id), event: None, args: Some(args) }
    }
}

impl<A: Args + ?Sized> Outgoing<'_, A> {
    /// Appends the payload as JSON, in the form that [`Payload::from_json`] takes, for parsers that write JSON: an array of the name and
    /// the arguments for an event, of the arguments for an ack, one value for CONNECT and CONNECT_ERROR, nothing when there is none.
    /// Gives the attachments that the placeholders in it stand for, at most so many.
    ///
    /// # Errors
    /// When the arguments are not such a payload, the name is reserved, or the namespace does not start with a slash. Something may
    /// have been appended then.
    pub fn write_json(&self, text: &mut String, max_attachments: u8) -> Result<Vec<Bytes>, EncodeError> {
        parser::write_json(self, text, max_attachments)
    }
}

/// A packet's bytes, made once and shared by all who get it. A header and its attachments stay together: they are queued as one unit.
///
/// Exhaustive.
#[derive(Clone, PartialEq, Debug)]
pub enum Encoded {
    /// A packet of one message.
    One(Frame),
    /// A packet of several messages: header and attachments.
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

    /// Length on a link, in bytes.
    #[must_use]
    pub fn packet_len(&self) -> usize {
        self.frames().iter().map(Frame::packet_len).sum()
    }
}
