//! Between packets and Engine.IO messages: the [`Parser`] and [`Decoder`] traits, and the default parser [`Json`].
//!
//! [`JsonV4`] is its variant for Socket.IO 1 and 2, and `MsgPack`, with the feature `msgpack`, the parser of
//! `socket.io-msgpack-parser`. [`Parser`] has an example of a parser of one's own.
//!
//! A parser needs no connection:
//!
//! ```
//! use bytes::Bytes;
//! use engineio_proto::Message;
//! use socketio_proto::{Decoder as _, Encoder, Json, Limits, Parser as _};
//!
//! // An event with an attachment is two messages of Engine.IO.
//! let header = r#"51-/files,7["upload","a.txt",{"_placeholder":true,"num":0}]"#;
//! let content = Bytes::from_static(b"content");
//! let mut decoder = Json.decoder(&Limits::default());
//! assert_eq!(decoder.decode(Message::from(header))?, None);
//! let packet = decoder.decode(Message::Binary(content.clone()))?.expect("nothing more is awaited");
//! assert_eq!((&packet.namespace[..], packet.id), ("/files", Some(7)));
//! let payload = packet.payload.as_ref().expect("an event has a payload");
//! assert_eq!(payload.name(), Some("upload"));
//! assert_eq!(payload.read::<(&str, Bytes)>()?, ("a.txt", content.clone()));
//!
//! // Back again: a frame for each message. On a link, what `Frame::head` gives comes before the data.
//! let encoded = Json.encode(&packet.to_outgoing(), &mut Encoder::new())?;
//! let [text, binary] = encoded.frames() else { panic!("a header and an attachment") };
//! assert_eq!((text.is_binary(), text.head(), &text.data()[..]), (false, &b"4"[..], header.as_bytes()));
//! assert_eq!((binary.is_binary(), binary.head(), binary.data()), (true, &b""[..], &content));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod json;
mod json_text;
mod json_v4;
#[cfg(feature = "msgpack")]
mod msgpack;

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use bytes::{Bytes, BytesMut};
use engineio_proto::{Frame, Message, PacketType, Text};

pub use self::json::{Json, JsonDecoder};
pub(crate) use self::json_text::write_json;
pub use self::json_v4::JsonV4;
#[cfg(feature = "msgpack")]
pub use self::msgpack::{MsgPack, MsgPackDecoder};
use crate::config::Limits;
use crate::error::{DecodeError, EncodeError};
use crate::packet::{Encoded, Outgoing, Packet};
use crate::payload::Args;

/// A wire format. One value serves all connections of a server or client; both peers have to use the same format.
///
/// # A parser of one's own
/// [`Parser::encode`] writes to the string of [`Encoder::start_text`] or the vector of [`Encoder::start_binary`], takes the [`Frame`] out
/// with the matching `finish`, and gives one frame for each Engine.IO message, in the order in which they go out. The arguments are
/// whatever serde can write, or a payload that was received: [`Outgoing::write_json`] makes JSON of either. Another format feeds
/// them to an [`ArgsSink`](crate::ArgsSink) of its own, which writes payloads of other formats as [`Payload::values`].
///
/// [`Decoder::decode`] turns messages into packets again. It makes payloads with [`Payload::from_json`] (or `Payload::from_msgpack`), which
/// checks them, so that whoever reads them later can rely on it.
///
/// This is a whole one. It puts a packet and its attachments into one binary message; the JavaScript half for `socket.io` and
/// `socket.io-client` is `adapters/tokio/tests/real_peers/scripts/custom_parser.mjs` in the repository.
///
/// ```
#[doc = include_str!("../../tests/custom_parser/compact.rs")]
///
/// // What one side encodes, the other side decodes.
/// let args = ("name.txt", Bytes::from_static(b"content"));
/// let encoded = Compact.encode(&Outgoing::event("/files", Some(7), "upload", &args), &mut Encoder::new())?;
/// let message = Message::Binary(encoded.frames()[0].data().clone());
/// let packet = Compact.decoder(&Limits::default()).decode(message)?.expect("one message is one packet");
/// assert_eq!((&packet.namespace[..], packet.id), ("/files", Some(7)));
/// let payload = packet.payload.expect("an event has a payload");
/// assert_eq!(payload.name(), Some("upload"));
/// assert_eq!(payload.read::<(&str, Bytes)>()?, args);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The parser is given to a [`Connection`](crate::server::Connection), or to the builder of an adapter's server.
///
/// [`Payload::from_json`]: crate::Payload::from_json
/// [`Payload::values`]: crate::Payload::values
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
    fn encode<A: Args + ?Sized>(&self, packet: &Outgoing<'_, A>, encoder: &mut Encoder)
    -> Result<Encoded, EncodeError>;
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
/// A packet is written to a buffer that is used for all, then copied to memory that it shares with others: pieces of 8 KiB (see
/// [`Encoder::with_piece`]), each of which is used again once all packets in it have been sent. So encoding small packets allocates
/// nothing in the long run; a packet that waits keeps its whole piece alive. Larger packets have memory of their own, and the buffer is
/// given back when it has grown beyond eight pieces.
#[derive(Debug)]
pub struct Encoder {
    text: String,
    bytes: Vec<u8>,
    /// Empty between messages; its capacity is what is left of the piece.
    piece: BytesMut,
    /// The size of a piece in bytes. A message that is larger has memory of its own.
    piece_size: usize,
    max_attachments: u8,
}

impl Encoder {
    const DEFAULT_PIECE: usize = 8 * 1024;

    /// An encoder that takes memory with the first packet, and refuses packets of more than ten attachments, because clients and
    /// servers of the reference do: see [`Encoder::set_max_attachments`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_piece(Self::DEFAULT_PIECE)
    }

    /// As [`Encoder::new`], with pieces of so many bytes; the default is 8192. The packets are the same with any size, what changes is the
    /// memory. A packet that waits keeps one piece alive, or, where it is larger than that, its own length and at most a quarter more.
    /// The encoder itself keeps a piece, and at most eight times as much for each of texts and binary messages to write them to.
    ///
    /// For a small machine, take a size that holds a few usual packets. With 0 each packet has memory of its own and the encoder keeps
    /// none, which also suits an encoder that is used once. A piece is allocated with the first packet that fits into it: a
    /// size that the allocator cannot give ends the program then.
    #[must_use]
    pub fn with_piece(bytes: usize) -> Self {
        Self {
            text: String::new(),
            bytes: Vec::new(),
            piece: BytesMut::new(),
            piece_size: bytes,
            max_attachments: Limits::default().max_attachments,
        }
    }

    /// How many attachments a packet may have.
    #[must_use]
    pub const fn max_attachments(&self) -> u8 {
        self.max_attachments
    }

    /// Sets how many attachments a packet may have: what the peers take. Who passes on what comes in sets it to the
    /// [`Limits::max_attachments`] of the decoder.
    pub const fn set_max_attachments(&mut self, count: u8) {
        self.max_attachments = count;
    }

    /// Starts a text message of about so many bytes: what is written to this string is taken out with [`Encoder::finish_text`].
    /// Anything left of a message that was not finished is dropped.
    #[inline]
    pub fn start_text(&mut self, length: usize) -> &mut String {
        self.text.clear();
        if length > self.piece_size || self.text.capacity() > self.kept() {
            // The message's own memory; or what an earlier one has left is too large to be kept.
            self.text = String::with_capacity(length);
        }
        &mut self.text
    }

    /// Takes what was written as a text message.
    #[inline]
    #[must_use]
    pub fn finish_text(&mut self) -> Frame {
        if self.text.len() > self.piece_size {
            return Frame::text(PacketType::Message, self.own_text());
        }
        Frame::utf8(PacketType::Message, share(&mut self.piece, self.piece_size, self.text.as_bytes()))
    }

    /// Starts a binary message of about so many bytes: what is written to this vector is taken out with [`Encoder::finish_binary`].
    /// Anything left of a message that was not finished is dropped.
    pub fn start_binary(&mut self, length: usize) -> &mut Vec<u8> {
        self.bytes.clear();
        if length > self.piece_size || self.bytes.capacity() > self.kept() {
            self.bytes = Vec::with_capacity(length);
        }
        &mut self.bytes
    }

    /// Takes what was written as a binary message.
    #[must_use]
    pub fn finish_binary(&mut self) -> Frame {
        if self.bytes.len() > self.piece_size {
            return Frame::message(Message::Binary(self.own_bytes()));
        }
        Frame::message(Message::Binary(share(&mut self.piece, self.piece_size, &self.bytes)))
    }

    /// How much of what messages are written to is kept for the next one: growing by doubling costs as much as all the rest.
    const fn kept(&self) -> usize {
        self.piece_size.saturating_mul(8)
    }

    /// Whether a buffer is worth more to the next message than to this one.
    const fn use_again(&self, length: usize, capacity: usize) -> bool {
        capacity <= self.kept() && wasteful(length, capacity)
    }

    /// What was written, in memory of its own: the buffer when it fits, else a copy.
    fn own_text(&mut self) -> Text {
        if self.use_again(self.text.len(), self.text.capacity()) {
            return Text::from(&self.text[..]);
        }
        let text = mem::take(&mut self.text);
        if wasteful(text.len(), text.capacity()) { Text::from(&text[..]) } else { Text::from(text) }
    }

    fn own_bytes(&mut self) -> Bytes {
        if self.use_again(self.bytes.len(), self.bytes.capacity()) {
            return Bytes::copy_from_slice(&self.bytes);
        }
        let bytes = mem::take(&mut self.bytes);
        if wasteful(bytes.len(), bytes.capacity()) { Bytes::copy_from_slice(&bytes) } else { bytes.into() }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy in the piece, or in a new one when there is no room.
#[inline]
fn share(piece: &mut BytesMut, piece_size: usize, bytes: &[u8]) -> Bytes {
    if piece.capacity() < bytes.len() {
        // Takes the same memory again when nobody else uses it any more.
        piece.reserve(piece_size);
    }
    piece.extend_from_slice(bytes);
    piece.split().freeze()
}

/// Packets may wait long: what growing by doubling has left over is then worth a copy.
const fn wasteful(length: usize, capacity: usize) -> bool {
    capacity.saturating_sub(length) > length / 4
}
