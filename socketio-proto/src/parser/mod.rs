//! Converts between packets and Engine.IO messages: the [`Parser`] and [`Decoder`] traits, and the default parser [`Json`].
//!
//! [`JsonV4`] is the variant for Socket.IO 1 and 2. `MsgPack` (feature `msgpack`) is the parser of `socket.io-msgpack-parser`.
//! The docs of [`Parser`] contain an example of a custom parser.
//!
//! A parser can be used without a connection:
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

/// A wire format. One value serves all connections of a server or client. Both peers must use the same format.
///
/// # Custom parsers
/// [`Parser::encode`] writes to the string of [`Encoder::start_text`] or to the vector of [`Encoder::start_binary`], and gets a
/// [`Frame`] from the matching `finish` method. It returns one frame for each Engine.IO message, in the order in which they are
/// sent. The arguments are any value that serde can serialise, or a received payload. [`Outgoing::write_json`] converts both to
/// JSON. A parser for another format passes the arguments to its own [`ArgsSink`](crate::ArgsSink), which writes the payloads
/// of other formats with [`Payload::values`]. It then appends [`Outgoing::offset`] to the arguments, if there is one; `write_json` does
/// that by itself.
///
/// [`Decoder::decode`] converts messages back to packets. It creates payloads with [`Payload::from_json`] or
/// `Payload::from_msgpack`. Both check the payload, so that code that reads it later can rely on it.
///
/// The example is a complete parser. It puts a packet and its attachments into one binary message. Its JavaScript counterpart
/// for `socket.io` and `socket.io-client` is `adapters/tokio/tests/real_peers/scripts/custom_parser.mjs` in the repository.
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
/// Pass the parser to [`Connection::new`](crate::server::Connection::new), or to the builder of an adapter's server.
///
/// [`Payload::from_json`]: crate::Payload::from_json
/// [`Payload::values`]: crate::Payload::values
pub trait Parser: Clone + Send + Sync + 'static {
    /// The decoder, one for each connection.
    type Decoder: Decoder;

    /// Creates a decoder for a new connection. The decoder enforces these limits on everything that the peer sends.
    fn decoder(&self, limits: &Limits) -> Self::Decoder;

    /// Encodes a packet into its messages. They are queued as one unit, and several peers can share them.
    ///
    /// This method rejects reserved event names, so that the rule holds for every caller.
    ///
    /// # Errors
    /// If the arguments cannot be represented in this format, or if the event name is reserved. The encoder can still be used
    /// afterwards.
    fn encode<A: Args + ?Sized>(&self, packet: &Outgoing<'_, A>, encoder: &mut Encoder)
    -> Result<Encoded, EncodeError>;
}

/// The decoding half of a [`Parser`]: assembles messages into packets.
///
/// A decoder must not panic on any message, and must not buffer more than one packet. It does not deserialise the arguments.
pub trait Decoder: Send + 'static {
    /// Decodes one message. Returns `None` while attachments are missing.
    ///
    /// # Errors
    /// If the message is not valid in this format. The connection is then closed. The decoder keeps no state from before the
    /// error.
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, DecodeError>;
}

/// Memory that packets are encoded into, shared by everything that encodes on a thread.
///
/// A packet is written to a buffer that all packets use. It is then copied into a piece of memory that several packets share. A
/// piece has 8 KiB by default (see [`Encoder::with_piece`]), and is reused after all packets in it were sent. So encoding small
/// packets does not allocate in the long run, but a queued packet keeps its whole piece alive. A packet larger than a piece
/// gets its own allocation. The buffer is freed if it has grown beyond eight pieces.
#[derive(Debug)]
pub struct Encoder {
    text: String,
    bytes: Vec<u8>,
    /// Empty between messages. Its capacity is the rest of the piece.
    piece: BytesMut,
    /// The size of a piece in bytes. A larger message gets its own allocation.
    piece_size: usize,
    max_attachments: u8,
}

impl Encoder {
    const DEFAULT_PIECE: usize = 8 * 1024;

    /// Creates an encoder. It allocates when it encodes the first packet. It rejects packets with more than ten attachments, as
    /// clients and servers of the reference do; see [`Encoder::set_max_attachments`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_piece(Self::DEFAULT_PIECE)
    }

    /// Same as [`Encoder::new`], with pieces of `bytes` bytes; the default is 8192. The size affects only the memory use, not
    /// the packets. A queued packet keeps one piece alive; a packet larger than a piece keeps its own length and at most a
    /// quarter more. The encoder itself keeps one piece, and two buffers, for text and binary messages, of at most eight times
    /// that size each.
    ///
    /// On a small device, choose a size that holds a few typical packets. With 0, each packet gets its own allocation and the
    /// encoder keeps no memory; this also suits an encoder that is used only once. A piece is allocated for the first packet
    /// that fits into it. If the allocator cannot provide it, the program aborts at that point.
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

    /// The maximum number of attachments of a packet.
    #[must_use]
    pub const fn max_attachments(&self) -> u8 {
        self.max_attachments
    }

    /// Sets the maximum number of attachments of a packet. It should be the limit of the peers. To relay received packets, set
    /// it to the [`Limits::max_attachments`] of the decoder.
    pub const fn set_max_attachments(&mut self, count: u8) {
        self.max_attachments = count;
    }

    /// Starts a text message of about `length` bytes. Write the message to the returned string, then call
    /// [`Encoder::finish_text`]. An unfinished message is dropped.
    #[inline]
    pub fn start_text(&mut self, length: usize) -> &mut String {
        self.text.clear();
        if length > self.piece_size || self.text.capacity() > self.kept() {
            // The message gets its own allocation, or the buffer has grown too large to be kept.
            self.text = String::with_capacity(length);
        }
        &mut self.text
    }

    /// Finishes the text message and returns its frame.
    #[inline]
    #[must_use]
    pub fn finish_text(&mut self) -> Frame {
        if self.text.len() > self.piece_size {
            return Frame::text(PacketType::Message, self.own_text());
        }
        Frame::utf8(PacketType::Message, share(&mut self.piece, self.piece_size, self.text.as_bytes()))
    }

    /// Starts a binary message of about `length` bytes. Write the message to the returned vector, then call
    /// [`Encoder::finish_binary`]. An unfinished message is dropped.
    pub fn start_binary(&mut self, length: usize) -> &mut Vec<u8> {
        self.bytes.clear();
        if length > self.piece_size || self.bytes.capacity() > self.kept() {
            self.bytes = Vec::with_capacity(length);
        }
        &mut self.bytes
    }

    /// Finishes the binary message and returns its frame.
    #[must_use]
    pub fn finish_binary(&mut self) -> Frame {
        if self.bytes.len() > self.piece_size {
            return Frame::message(Message::Binary(self.own_bytes()));
        }
        Frame::message(Message::Binary(share(&mut self.piece, self.piece_size, &self.bytes)))
    }

    /// Maximum capacity of a buffer that is kept for the next message. Growing a new buffer by doubling costs as much as the
    /// rest of the encoding.
    const fn kept(&self) -> usize {
        self.piece_size.saturating_mul(8)
    }

    /// Whether to keep the buffer for the next message and copy the contents, instead of giving it away with this message.
    const fn use_again(&self, length: usize, capacity: usize) -> bool {
        capacity <= self.kept() && wasteful(length, capacity)
    }

    /// Returns the text in its own allocation: the buffer itself if its capacity fits, otherwise a copy.
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

/// Copies the bytes into the piece, or into a new one if the piece has too little capacity.
#[inline]
fn share(piece: &mut BytesMut, piece_size: usize, bytes: &[u8]) -> Bytes {
    if piece.capacity() < bytes.len() {
        // Reuses the same allocation if nothing else references it any more.
        piece.reserve(piece_size);
    }
    piece.extend_from_slice(bytes);
    piece.split().freeze()
}

/// Packets may be queued for a long time, so excess capacity from doubling is worth a copy.
const fn wasteful(length: usize, capacity: usize) -> bool {
    capacity.saturating_sub(length) > length / 4
}
