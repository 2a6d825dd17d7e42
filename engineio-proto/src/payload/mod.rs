//! Payloads: the packets in the body of one HTTP request or response, as long-polling carries them.
//!
//! Revision 4 joins packets in text form with a separator: [`Packets`] reads such a body, and [`encode`] writes one. Revision 3 has a
//! length before each packet, see [`v3`]. For clients that poll with script tags, either payload is wrapped, see [`jsonp`].
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
//! // The body of the response to a GET: a ping, and the same messages.
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

pub(crate) use self::v4::encoded_len;
pub use self::v4::{Packets, encode};
