//! Many packets in one HTTP body: how long-polling carries them.
//!
//! Revision 4 joins text packets with a separator; see [`Packets`] for reading and [`encode`] for writing. Revision 3 puts a length in
//! front of each, see [`v3`]. A client that polls by script tags wraps either, see [`jsonp`].
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use engineio_proto::payload::{Packets, encode};
//! use engineio_proto::{Frame, Message, PacketType};
//!
//! // The body of a POST: a message, a pong, and a binary message in base64.
//! let body = Bytes::from_static(b"4hello\x1e3\x1ebAQI=");
//! let mut messages = Vec::new();
//! for packet in Packets::new(body)? {
//!     let packet = packet?;
//!     if packet.packet_type == PacketType::Message {
//!         messages.push(packet.data);
//!     }
//! }
//! assert_eq!(messages, [Message::from("hello"), Message::Binary(Bytes::from_static(&[1, 2]))]);
//!
//! // The body that answers a GET: a ping, and the same messages.
//! let mut frames = vec![Frame::PING];
//! frames.extend(messages.into_iter().map(Frame::message));
//! let mut body = BytesMut::new();
//! encode(&frames, &mut body);
//! assert_eq!(body, &b"2\x1e4hello\x1ebAQI="[..]);
//! # Ok::<(), engineio_proto::ParseError>(())
//! ```
//!
//! Source: Engine.IO protocol v4, "HTTP long-polling"; engine.io-parser 5.2.3, `encodePayload` and `decodePayload`.

pub mod jsonp;
pub mod v3;
mod v4;

pub use self::v4::{Packets, encode};
