//! Between packets and Engine.IO messages: the [`Parser`] and [`Decoder`] traits, and the default parser [`Json`].
//!
//! # A parser of one's own
//! Both peers have to use the same one. [`Parser::encode`] writes a packet into [`Encoder::start`]'s buffer, takes it out with
//! [`Encoder::finish_text`] or [`Encoder::finish_binary`], and gives one [`Frame`] for each Engine.IO message, in the order in which
//! they go out. [`Decoder::decode`] turns messages into packets again; it makes payloads with [`Payload::from_json`].
//!
//! [`Payload::from_json`]: crate::Payload::from_json

mod json;

use alloc::string::ToString;

use bytes::{Bytes, BytesMut};
use engineio_proto::{Frame, Message, PacketType, Text};

pub use self::json::{Json, JsonDecoder};
use crate::config::Limits;
use crate::error::{DecodeError, EncodeError};
use crate::packet::{Encoded, Outgoing, Packet};
use crate::payload::Args;

/// A wire format. One value serves all connections of a server or client.
pub trait Parser: Clone + Send + Sync + 'static {
    /// Its decoding half, one for each connection.
    type Decoder: Decoder;

    /// A decoder for a new connection. It keeps to these limits, whatever the peer sends.
    fn decoder(&self, limits: &Limits) -> Self::Decoder;

    /// Encodes a packet: all of its messages, which are queued as one unit and may be shared by many peers.
    ///
    /// Reserved event names are refused here, so that they are for whoever encodes.
    ///
    /// # Errors
    /// When the arguments have no form in this format, or the name is reserved; the encoder can be used as before.
    fn encode<A: Args + ?Sized>(&self, packet: &Outgoing<'_, A>, encoder: &mut Encoder) -> Result<Encoded, EncodeError>;
}

/// The decoding half of a [`Parser`]: gathers messages into packets.
///
/// It never panics, whatever the messages are, holds no more than one packet, and makes nothing of the packet's arguments
/// that nobody has asked for.
pub trait Decoder: Send + 'static {
    /// Takes one message. `None` while more messages (attachments) are needed.
    ///
    /// # Errors
    /// When it is no packet of this format. The connection is then closed; the decoder keeps nothing and could start anew.
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, DecodeError>;
}

/// Memory that packets are encoded into, shared by everything that encodes on a thread.
///
/// Packets are cut from one piece of 8 KiB after the other. A piece is used again once all packets in it have been sent, so that
/// encoding small packets allocates nothing in the long run; a packet that waits keeps its whole piece alive. Larger packets have
/// memory of their own.
#[derive(Debug)]
pub struct Encoder {
    /// Empty between packets, apart from what a panic in somebody's `Serialize` has left.
    buffer: BytesMut,
    /// The piece that waits while a packet is written to memory of its own.
    aside: BytesMut,
    max_attachments: u8,
}

impl Encoder {
    const PIECE: usize = 8 * 1024;

    /// An encoder that takes memory with the first packet, and refuses packets of more than ten attachments, because clients and
    /// servers of the reference do.
    #[must_use]
    pub fn new() -> Self {
        Self { buffer: BytesMut::new(), aside: BytesMut::new(), max_attachments: Limits::default().max_attachments }
    }

    /// How many attachments a packet may have.
    #[must_use]
    pub const fn max_attachments(&self) -> u8 {
        self.max_attachments
    }

    /// Sets how many attachments a packet may have: what the peers take.
    pub const fn set_max_attachments(&mut self, count: u8) {
        self.max_attachments = count;
    }

    /// Starts a packet: an empty buffer with room for so many bytes. It grows when more are written. What was written since the last
    /// `finish` is dropped.
    pub fn start(&mut self, length: usize) -> &mut BytesMut {
        self.buffer.clear();
        if length > Self::PIECE {
            let own = BytesMut::with_capacity(length);
            let piece = core::mem::replace(&mut self.buffer, own);
            if self.aside.capacity() == 0 {
                self.aside = piece;
            }
        } else if self.buffer.capacity() == 0 {
            self.buffer = BytesMut::with_capacity(Self::PIECE);
        } else if self.buffer.capacity() < length {
            self.buffer.reserve(Self::PIECE);
        }
        &mut self.buffer
    }

    /// Where the packet's text or bytes are written, between [`Encoder::start`] and a `finish`.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Takes what was written as a text message.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn finish_text(&mut self) -> Result<Frame, EncodeError> {
        let text = Text::try_from(self.finish()).map_err(|error| EncodeError::Serialize(error.to_string()))?;
        Ok(Frame::text(PacketType::Message, text))
    }

    /// Takes what was written as a binary message.
    #[must_use]
    pub fn finish_binary(&mut self) -> Frame {
        Frame::message(Message::Binary(self.finish()))
    }

    #[inline]
    fn finish(&mut self) -> Bytes {
        if self.buffer.len() <= Self::PIECE {
            return self.buffer.split().freeze();
        }
        let own = core::mem::replace(&mut self.buffer, core::mem::take(&mut self.aside));
        let unused = own.capacity().saturating_sub(own.len());
        // Packets may wait long: what growing by doubling has left over is not worth keeping for the sake of one copy.
        if unused > own.len() / 4 { Bytes::copy_from_slice(&own) } else { own.freeze() }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}
