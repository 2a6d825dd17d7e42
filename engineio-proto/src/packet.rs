//! Packets, the unit of the Engine.IO protocol, and their text and binary forms in revisions 4 and 3.
//!
//! The revisions differ only in binary messages. Revision 3 has the packet's type before the bytes, and before base64.
//!
//! Source: Engine.IO protocol v4, "Packet encoding", and v3, "Encoding"; engine.io-parser 5.2.3 and 2.2.1, `encodePacket` and
//! `decodePacket`.

use bytes::Bytes;

use crate::base64;
use crate::error::ParseError;
use crate::message::{Message, Text};

/// Bytes that a queued packet or message takes besides its payload. Limits count them, so that many tiny messages do not pass as nothing.
pub(crate) const KEEPING: usize = 40;

/// The byte before the bytes of a binary message in revision 3.
const MESSAGE_V3: u8 = 4;

/// The type of a packet. The text form of the packet starts with this digit.
///
/// Exhaustive: the protocol has these seven.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PacketType {
    /// `0`: the server's answer to the handshake.
    Open = b'0',
    /// `1`: closes the session.
    Close = b'1',
    /// `2`: a heartbeat (from server to client in revision 4), or an upgrade probe.
    Ping = b'2',
    /// `3`: the answer to a ping.
    Pong = b'3',
    /// `4`: a message of the application.
    Message = b'4',
    /// `5`: the client moves the session to the link that carries this packet.
    Upgrade = b'5',
    /// `6`: does nothing; it answers a held poll during an upgrade.
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
/// Exhaustive. Only messages can be binary: the `packet_type` of a [`Message::Binary`] is [`PacketType::Message`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::exhaustive_structs, reason = "a packet is a type and data, in every revision of the protocol")]
pub struct Packet {
    /// The type.
    pub packet_type: PacketType,
    /// The data after the type. The reference distinguishes missing data from empty data; here both are empty text.
    pub data: Message,
}

impl Packet {
    /// Reads one packet: a WebSocket message, or one element of an HTTP body.
    ///
    /// Text starts with the digit of the type. The rest is the data, which any type may have; it shares the memory of the input. Text that
    /// starts with `b` is a binary message in base64. Binary input is a binary message, even if it is empty.
    ///
    /// The base64 decoder is as lenient as existing clients require. JavaScript, Python, Swift, .NET and Dart send the standard alphabet
    /// with padding. The Java client inserts line breaks (LF after every 76 characters and at the end). As in the reference, padding may be
    /// missing, and the URL-safe alphabet is accepted. Other characters, which the reference skips, are an error.
    ///
    /// # Errors
    /// * [`ParseError::Empty`] if the text is empty.
    /// * [`ParseError::UnknownType`] if the first character is neither a type nor `b`.
    /// * [`ParseError::Base64`] if the data of a binary message is not base64.
    pub fn decode(message: Message) -> Result<Self, ParseError> {
        match message {
            Message::Binary(_) => Ok(Self { packet_type: PacketType::Message, data: message }),
            Message::Text(text) => Self::decode_part(&text, &text),
        }
    }

    /// Reads one packet from a part of a larger text. The packet shares the memory of that text.
    #[inline]
    pub(crate) fn decode_part(text: &Text, packet: &str) -> Result<Self, ParseError> {
        let first = *packet.as_bytes().first().ok_or(ParseError::Empty)?;
        // Every character that is accepted here is ASCII, so the rest starts at a character boundary.
        let rest = packet.get(1..).unwrap_or_default();
        if first == b'b' {
            let data = Message::Binary(base64::decode(rest.as_bytes())?);
            return Ok(Self { packet_type: PacketType::Message, data });
        }
        let packet_type = PacketType::from_digit(first).ok_or(ParseError::UnknownType)?;
        Ok(Self { packet_type, data: Message::Text(text.slice_ref(rest)) })
    }

    /// Reads one packet of revision 3: a WebSocket message, or one element of an HTTP body.
    ///
    /// It differs from [`Packet::decode`] only in binary messages: base64 follows `b4`, and raw bytes follow a byte of value 4. The
    /// reference also accepts the other six types before bytes, and returns a packet without a type for any other byte. No client sends
    /// either, and both are errors here.
    ///
    /// # Errors
    /// * [`ParseError::Empty`] if the text or the binary input is empty.
    /// * [`ParseError::UnknownType`] if the type is missing, or if a binary packet has a type other than message.
    /// * [`ParseError::Base64`] if the data of a binary message is not base64.
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

/// An encoded packet: its type, and the bytes after the type.
///
/// A packet is encoded once. The same frame, which is cheap to clone, can then be sent to any number of peers on any transport: each transport
/// adds its own WebSocket or WebTransport header, or the base64 form that polling needs. On a link, the packet is [`Frame::head`] followed
/// by [`Frame::data`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Frame {
    packet_type: PacketType,
    form: Form,
    compress: bool,
    data: Bytes,
}

/// The form of a frame's data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Form {
    /// Text, after its type digit.
    Text,
    /// Raw bytes. Only for messages.
    Binary,
    /// Base64, after a `b`. Only for messages.
    Base64,
    /// Raw bytes, after the type in one byte. Only for messages in revision 3.
    BinaryV3,
    /// Base64, after a `b` and the digit of the type. Only for messages in revision 3.
    Base64V3,
}

impl Frame {
    /// `2`, a heartbeat.
    pub const PING: Self = Self::bare(PacketType::Ping);
    /// `3`, the answer to a heartbeat.
    pub const PONG: Self = Self::bare(PacketType::Pong);
    /// `5`, which moves the session to the link that carries it.
    pub const UPGRADE: Self = Self::bare(PacketType::Upgrade);
    /// `6`, which does nothing.
    pub const NOOP: Self = Self::bare(PacketType::Noop);
    /// `1`, which closes the session.
    pub const CLOSE: Self = Self::bare(PacketType::Close);

    const fn bare(packet_type: PacketType) -> Self {
        Self { packet_type, form: Form::Text, compress: true, data: Bytes::new() }
    }

    /// A packet in its text form.
    #[must_use]
    pub fn text(packet_type: PacketType, data: Text) -> Self {
        Self { packet_type, form: Form::Text, compress: true, data: data.into_bytes() }
    }

    /// A packet in its text form, from bytes that the caller knows to be UTF-8, such as those of a `String`.
    ///
    /// The bytes are checked only in debug builds. Invalid UTF-8 is not unsafe, but peers close the connection when they receive it.
    #[must_use]
    pub fn utf8(packet_type: PacketType, data: Bytes) -> Self {
        debug_assert!(core::str::from_utf8(&data).is_ok(), "text that is not UTF-8");
        Self { packet_type, form: Form::Text, compress: true, data }
    }

    /// A message. Its payload is not copied.
    #[must_use]
    pub fn message(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::text(PacketType::Message, text),
            Message::Binary(data) => {
                Self { packet_type: PacketType::Message, form: Form::Binary, compress: true, data }
            }
        }
    }

    /// Converts the packet to text, for a transport that does not take binary. A binary message becomes `b` and base64. Other packets are
    /// unchanged.
    #[must_use]
    pub fn into_base64(self) -> Self {
        match self.form {
            Form::Text | Form::Base64 | Form::Base64V3 => self,
            Form::Binary => self.encoded_as(Form::Base64),
            Form::BinaryV3 => self.encoded_as(Form::Base64V3),
        }
    }

    fn encoded_as(self, form: Form) -> Self {
        Self { form, data: base64::encode(&self.data), ..self }
    }

    /// Converts the packet to revision 3. A binary message has its type before its bytes. Other packets are unchanged. Nothing is copied.
    ///
    /// The result is only valid in that revision. [`payload::v3::encode`](crate::payload::v3::encode) takes frames of either revision, so
    /// only links need this method.
    #[must_use]
    pub fn into_v3(self) -> Self {
        let form = match self.form {
            Form::Binary => Form::BinaryV3,
            Form::Base64 => Form::Base64V3,
            form @ (Form::Text | Form::BinaryV3 | Form::Base64V3) => form,
        };
        Self { form, ..self }
    }

    /// Sets whether a transport may compress the packet, if it compresses at all (the option `compress` of the reference). Default: true.
    ///
    /// Say false for content that does not get smaller, such as images, and for secrets that are sent together with text of others.
    #[must_use]
    pub fn with_compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Whether a transport may compress the packet.
    #[must_use]
    #[inline]
    pub const fn compress(&self) -> bool {
        self.compress
    }

    /// The type of the packet.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        self.packet_type
    }

    /// Whether the packet is a binary message in binary form. A link carries such a packet as raw bytes, polling in base64.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        matches!(self.form, Form::Binary | Form::BinaryV3)
    }

    /// The bytes before [`Frame::data`] on a link: the digit of the type for text, nothing for a binary message, and `b` for base64, for
    /// clients that do not take binary. In revision 3, a binary message also has its type here: a byte of value 4, or `b4`.
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

    /// The packet without its type. It is UTF-8 unless [`Frame::is_binary`] returns true.
    #[must_use]
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// The length of the packet on a link in bytes, which is that of head and data.
    #[must_use]
    #[inline]
    pub fn packet_len(&self) -> usize {
        // Not `self.head().len()`: this runs several times for each packet.
        let head = match self.form {
            Form::Text | Form::Base64 | Form::BinaryV3 => 1,
            Form::Binary => 0,
            Form::Base64V3 => 2,
        };
        self.data.len().saturating_add(head)
    }

    /// The bytes that the packet counts while it is queued: its length, and 40 more for the queue's own memory. See
    /// [`Session::buffered_bytes`](crate::server::Session::buffered_bytes).
    #[must_use]
    #[inline]
    pub fn queued_len(&self) -> usize {
        self.packet_len().saturating_add(KEEPING)
    }
}

impl From<Packet> for Frame {
    /// Encodes the packet. Nothing is copied.
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
            let frame =
                Frame { packet_type: PacketType::Message, form, compress: true, data: Bytes::from_static(b"data") };
            assert_eq!(frame.packet_len(), frame.head().len() + 4, "{form:?}");
        }
    }
}
