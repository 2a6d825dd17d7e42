//! One packet: the unit of the Engine.IO protocol, and its text and binary forms in revisions 4 and 3.
//!
//! The revisions differ in binary messages only: revision 3 keeps the packet's type in front of the bytes, also in base64.
//!
//! Source: Engine.IO protocol v4, "Packet encoding", and v3, "Encoding"; engine.io-parser 5.2.3 and 2.2.1, `encodePacket` and
//! `decodePacket`.

use bytes::Bytes;

use crate::base64;
use crate::error::ParseError;
use crate::message::{Message, Text};

/// What a packet or message costs beside its payload while it waits: its place in a queue. A flood of tiny messages is as heavy as it
/// really is.
pub(crate) const KEEPING: usize = 40;

/// What revision 3 puts in front of the bytes of a message.
const MESSAGE_V3: u8 = 4;

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

impl PacketType {
    const fn from_digit(digit: u8) -> Option<Self> {
        Some(match digit {
            b'0' => Self::Open,
            b'1' => Self::Close,
            b'2' => Self::Ping,
            b'3' => Self::Pong,
            b'4' => Self::Message,
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            _ => return None,
        })
    }
}

/// A decoded packet.
///
/// Exhaustive. A [`Message::Binary`] only ever travels as a message, so its `packet_type` is [`PacketType::Message`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::exhaustive_structs, reason = "a packet is a type and data, in every revision of the protocol")]
pub struct Packet {
    /// The type.
    pub packet_type: PacketType,
    /// What follows the type. The reference tells a packet without data from one with empty data; here both are empty text.
    pub data: Message,
}

impl Packet {
    /// Reads one packet: a message of a WebSocket, or one element of an HTTP body.
    ///
    /// Text starts with the type's digit and its rest is the data, shared with the input and not copied; any type may have data.
    /// Text that starts with `b` is a binary message in base64, and binary input is a binary message as it is, also when
    /// it is empty.
    ///
    /// Base64 is read as leniently as the clients that exist need it: JavaScript, Python, Swift, .NET and Dart send the
    /// standard alphabet with padding; the Java client breaks its lines (LF after every 76 characters and at the end);
    /// padding may be left out and the URL-safe alphabet used, as the reference takes both. What the reference skips
    /// beyond that is refused.
    ///
    /// # Errors
    /// [`ParseError::Empty`] for empty text, [`ParseError::UnknownType`] when the first character is neither a type nor `b`,
    /// [`ParseError::Base64`].
    pub fn decode(message: Message) -> Result<Self, ParseError> {
        match message {
            Message::Binary(_) => Ok(Self { packet_type: PacketType::Message, data: message }),
            Message::Text(text) => Self::decode_part(&text, &text),
        }
    }

    /// Reads one packet in text that is a part of a larger one, whose memory it shares.
    #[inline]
    pub(crate) fn decode_part(text: &Text, packet: &str) -> Result<Self, ParseError> {
        let first = *packet.as_bytes().first().ok_or(ParseError::Empty)?;
        // Every character that is accepted here is ASCII, so that the rest starts at a character boundary.
        let rest = packet.get(1..).unwrap_or_default();
        if first == b'b' {
            let data = Message::Binary(base64::decode(rest.as_bytes())?);
            return Ok(Self { packet_type: PacketType::Message, data });
        }
        let packet_type = PacketType::from_digit(first).ok_or(ParseError::UnknownType)?;
        Ok(Self { packet_type, data: Message::Text(text.slice_ref(rest)) })
    }

    /// Reads one packet of revision 3: a message of a WebSocket, or one element of an HTTP body.
    ///
    /// As [`Packet::decode`], but for binary messages: base64 stands behind `b4`, and bytes behind a byte of value 4. The
    /// reference takes the other six types in front of bytes, too, and gives a packet without a type for anything else; no
    /// client sends either, and both are refused.
    ///
    /// # Errors
    /// [`ParseError::Empty`] for empty text and for no bytes, [`ParseError::UnknownType`] when there is no type in front or the
    /// type of a binary packet is not that of a message, [`ParseError::Base64`].
    pub fn decode_v3(message: Message) -> Result<Self, ParseError> {
        let data = match message {
            Message::Binary(bytes) => match bytes.first() {
                Some(&MESSAGE_V3) => bytes.slice(1..),
                Some(_) => return Err(ParseError::UnknownType),
                None => return Err(ParseError::Empty),
            },
            Message::Text(text) => match str::as_bytes(&text) {
                [b'b', b'4', encoded @ ..] => base64::decode(encoded)?,
                [b'b', ..] => return Err(ParseError::UnknownType),
                _ => return Self::decode(Message::Text(text)),
            },
        };
        Ok(Self { packet_type: PacketType::Message, data: Message::Binary(data) })
    }
}

impl From<Message> for Packet {
    fn from(data: Message) -> Self {
        Self { packet_type: PacketType::Message, data }
    }
}

/// An encoded packet: its type, and the bytes behind it.
///
/// Encoding is done once; the same frame (a reference count) then goes to any number of peers, whatever carries them: the
/// WebSocket or WebTransport header and the base64 form that polling needs depend on the carrier and are put around it there.
/// On a link the packet is [`Frame::head`] followed by [`Frame::data`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Frame {
    packet_type: PacketType,
    form: Form,
    data: Bytes,
}

/// How a frame's data is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Form {
    /// Behind its type digit.
    Text,
    /// As it is: only messages.
    Binary,
    /// Already in base64, behind a `b`: only messages.
    Base64,
    /// As it is, behind the type as one byte: only messages, only in revision 3.
    BinaryV3,
    /// Already in base64, behind a `b` and the type's digit: only messages, only in revision 3.
    Base64V3,
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
        Self { packet_type, form: Form::Text, data: Bytes::new() }
    }

    /// A packet in its text form.
    #[must_use]
    pub fn text(packet_type: PacketType, data: Text) -> Self {
        Self { packet_type, form: Form::Text, data: data.into_bytes() }
    }

    /// A packet in its text form, from data that its writer knows to be UTF-8, such as the bytes of a `String`: nothing is checked, and
    /// nothing unsafe comes of it, but peers close the connection over anything else.
    #[must_use]
    pub fn utf8(packet_type: PacketType, data: Bytes) -> Self {
        debug_assert!(core::str::from_utf8(&data).is_ok(), "text that is not UTF-8");
        Self { packet_type, form: Form::Text, data }
    }

    /// A message; nothing is copied.
    #[must_use]
    pub fn message(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::text(PacketType::Message, text),
            Message::Binary(data) => Self { packet_type: PacketType::Message, form: Form::Binary, data },
        }
    }

    /// The same packet as text, for a carrier that takes no binary: a binary message becomes `b` and base64, anything
    /// else stays as it is.
    #[must_use]
    pub fn into_base64(self) -> Self {
        match self.form {
            Form::Text | Form::Base64 | Form::Base64V3 => self,
            Form::Binary => self.encoded_as(Form::Base64),
            Form::BinaryV3 => self.encoded_as(Form::Base64V3),
        }
    }

    fn encoded_as(self, form: Form) -> Self {
        Self { packet_type: self.packet_type, form, data: base64::encode(&self.data) }
    }

    /// The same packet for a carrier of revision 3: a binary message gets its type in front, anything else stays as it is.
    /// Nothing is copied.
    ///
    /// Such a frame is for that revision alone. [`payload::v3::encode`](crate::payload::v3::encode) takes any frame, so that only
    /// links need this.
    #[must_use]
    pub fn into_v3(self) -> Self {
        let form = match self.form {
            Form::Binary => Form::BinaryV3,
            Form::Base64 => Form::Base64V3,
            form @ (Form::Text | Form::BinaryV3 | Form::Base64V3) => form,
        };
        Self { form, ..self }
    }

    /// The type of the packet.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        self.packet_type
    }

    /// Whether the packet is a binary message in its binary form, which a link carries as it is and polling in base64.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        matches!(self.form, Form::Binary | Form::BinaryV3)
    }

    /// What comes before [`Frame::data`] on a link: the type digit, nothing for a binary message, or `b` where the data is
    /// base64 (a client that takes no binary). In revision 3 a binary message has its type in front as well: a byte of value
    /// 4, or `b4`.
    #[must_use]
    #[inline]
    pub const fn head(&self) -> &'static [u8] {
        match self.form {
            Form::Text => {}
            Form::Binary => return b"",
            Form::Base64 => return b"b",
            Form::BinaryV3 => return &[MESSAGE_V3],
            Form::Base64V3 => return b"b4",
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
    #[inline]
    pub fn packet_len(&self) -> usize {
        // The length of the head without the head: asked for several times for each packet.
        let head = match self.form {
            Form::Text | Form::Base64 | Form::BinaryV3 => 1,
            Form::Binary => 0,
            Form::Base64V3 => 2,
        };
        self.data.len().saturating_add(head)
    }

    /// Bytes that the packet counts while it waits to be sent ([`Session::buffered_bytes`](crate::server::Session::buffered_bytes)): its
    /// own, and 40 for its keeping.
    #[must_use]
    #[inline]
    pub fn queued_len(&self) -> usize {
        self.packet_len().saturating_add(KEEPING)
    }
}

impl From<Packet> for Frame {
    /// Encodes; nothing is copied.
    fn from(packet: Packet) -> Self {
        match packet.data {
            Message::Text(text) => Self::text(packet.packet_type, text),
            binary @ Message::Binary(_) => Self::message(binary),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_packet_is_that_of_head_and_data() {
        for form in [Form::Text, Form::Binary, Form::Base64, Form::BinaryV3, Form::Base64V3] {
            let frame = Frame { packet_type: PacketType::Message, form, data: Bytes::from_static(b"data") };
            assert_eq!(frame.packet_len(), frame.head().len() + 4, "{form:?}");
        }
    }
}
