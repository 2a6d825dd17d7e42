//! One packet: the unit of the Engine.IO protocol, and its text and binary forms in revision 4.
//!
//! Source: Engine.IO protocol v4, "Packet encoding"; engine.io-parser 5.2.3, `encodePacket` and `decodePacket`.

use bytes::Bytes;

use crate::message::{Message, Text};

/// The type of a packet; its text form starts with this digit.
///
/// Exhaustive: the protocol knows these seven.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PacketType {
    /// `0`: the handshake's answer.
    Open = b'0',
    /// `1`: the session ends.
    Close = b'1',
    /// `2`: heartbeat question (server to client in revision 4), or upgrade probe.
    Ping = b'2',
    /// `3`: heartbeat answer.
    Pong = b'3',
    /// `4`: a message of the application.
    Message = b'4',
    /// `5`: the client moves to the link that carries this packet.
    Upgrade = b'5',
    /// `6`: nothing; releases a held poll during an upgrade.
    Noop = b'6',
}

/// An encoded packet: its type, and the bytes behind it.
///
/// Encoding is done once; the same frame (a reference count) then goes to any number of peers, whatever carries them: the
/// WebSocket or WebTransport header and the base64 form that polling needs depend on the carrier and are put around it there.
/// On a link the packet is [`Frame::head`] followed by [`Frame::data`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    packet_type: PacketType,
    binary: bool,
    data: Bytes,
}

impl Frame {
    /// `2`, the heartbeat.
    pub const PING: Self = Self::bare(PacketType::Ping);
    /// `3`, the answer to a heartbeat.
    pub const PONG: Self = Self::bare(PacketType::Pong);
    /// `6`, nothing.
    pub const NOOP: Self = Self::bare(PacketType::Noop);
    /// `1`, the end.
    pub const CLOSE: Self = Self::bare(PacketType::Close);

    const fn bare(packet_type: PacketType) -> Self {
        Self { packet_type, binary: false, data: Bytes::new() }
    }

    /// A packet in its text form.
    #[must_use]
    pub fn text(packet_type: PacketType, data: Text) -> Self {
        Self { packet_type, binary: false, data: data.into_bytes() }
    }

    /// A message; nothing is copied.
    #[must_use]
    pub fn message(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::text(PacketType::Message, text),
            Message::Binary(data) => Self { packet_type: PacketType::Message, binary: true, data },
        }
    }

    /// The type of the packet.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        self.packet_type
    }

    /// Whether the packet is a binary message, which a link carries as it is and polling in base64.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        self.binary
    }

    /// What comes before [`Frame::data`] on a link: the type digit, or nothing for a binary message.
    #[must_use]
    pub const fn head(&self) -> &'static [u8] {
        if self.binary {
            return b"";
        }
        match self.packet_type {
            PacketType::Open => b"0",
            PacketType::Close => b"1",
            PacketType::Ping => b"2",
            PacketType::Pong => b"3",
            PacketType::Message => b"4",
            PacketType::Upgrade => b"5",
            PacketType::Noop => b"6",
        }
    }

    /// The packet without its type. UTF-8 unless [`Frame::is_binary`].
    #[must_use]
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// Length of the packet on a link, in bytes: head and data.
    #[must_use]
    pub fn packet_len(&self) -> usize {
        self.head().len().saturating_add(self.data.len())
    }
}
