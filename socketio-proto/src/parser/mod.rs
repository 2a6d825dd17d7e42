//! Between packets and Engine.IO messages: the [`Parser`] and [`Decoder`] traits, and the default parser [`Json`].

mod json;

use bytes::BytesMut;
use engineio_proto::Message;

pub use self::json::{Json, JsonDecoder};
use crate::config::Limits;
use crate::error::{DecodeError, EncodeError};
use crate::packet::{Encoded, Outgoing, Packet};
use crate::payload::Args;

/// A wire format. One value serves all connections of a server or client.
pub trait Parser: Clone + Send + Sync + 'static {
    /// Its decoding half, one for each connection.
    type Decoder: Decoder;

    /// A decoder for a new connection.
    fn decoder(&self, limits: &Limits) -> Self::Decoder;

    /// Encodes a packet.
    ///
    /// # Errors
    /// When the arguments have no form in this format; the encoder is then as it was.
    fn encode<A: Args + ?Sized>(&self, packet: &Outgoing<'_, A>, encoder: &mut Encoder) -> Result<Encoded, EncodeError>;
}

/// The decoding half of a [`Parser`]: gathers messages into packets.
pub trait Decoder: Send + 'static {
    /// Takes one message. `None` while more messages (attachments) are needed.
    ///
    /// # Errors
    /// When it is no packet of this format. The connection is then closed; the decoder keeps nothing.
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, DecodeError>;
}

/// Memory that packets are encoded into; shared by everything that encodes on a thread. Encoding into it allocates once in a while, not per packet.
#[derive(Debug, Default)]
pub struct Encoder {
    buffer: BytesMut,
}

impl Encoder {
    /// An empty encoder. It takes memory with the first packet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the packet's text or bytes are written.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }
}
