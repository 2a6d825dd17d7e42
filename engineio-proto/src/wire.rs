//! The encoding of one session's packets: as messages on a link, and as bodies over polling.
//!
//! The revisions of the protocol encode packets differently. Only this file and the codecs depend on that difference. The direction of
//! pings, which also depends on the revision, is in [`heartbeat`](crate::heartbeat).

use bytes::{Bytes, BytesMut};

use crate::error::ParseError;
use crate::event::LinkKind;
use crate::handshake::Query;
use crate::http::ContentType;
use crate::message::Message;
use crate::packet::{Frame, Packet};
use crate::payload::jsonp::{self, Callback};
use crate::payload::{self, v3};

/// A revision of the protocol, which the query of the handshake determines (`EIO`). It is the session's as long as it lasts.
///
/// Exhaustive: the protocol has no other revisions in use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Revision {
    /// Revision 3: clients of Socket.IO 1 and 2. They send the pings, and their payloads have a length before each packet.
    V3,
    /// Revision 4: clients of Socket.IO 3 and later.
    V4,
}

impl Revision {
    /// The revision that the query of a request asks for: 4 if its last `EIO` is exactly `4`, otherwise 3.
    ///
    /// Source: engine.io `lib/server.ts`, `computeProtocolRevision`.
    #[must_use]
    pub fn from_query(query: &str) -> Self {
        Self::from_value(&Query::parse(query).revision)
    }

    /// The revision for the value of `EIO`.
    pub(crate) fn from_value(value: &str) -> Self {
        if value == "4" { Self::V4 } else { Self::V3 }
    }

    /// The number of the revision: 3 or 4.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

/// How the packets of one session are encoded.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    revision: Revision,
    /// Whether the peer does not support binary (`b64` in the handshake's query).
    base64: bool,
    /// The JSONP callback in the responses to GETs (`j` in the handshake's query).
    jsonp: Option<Callback>,
}

/// The packets in a body that was received.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) enum Body {
    V3(v3::Packets),
    V4(payload::Packets),
}

/// A body to send.
#[derive(Debug)]
pub(crate) struct EncodedBody {
    pub(crate) body: Bytes,
    pub(crate) content_type: ContentType,
    /// Whether all of its packets may be compressed.
    pub(crate) may_compress: bool,
}

impl Iterator for Body {
    type Item = Result<Packet, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::V3(packets) => packets.next(),
            Self::V4(packets) => packets.next(),
        }
    }
}

impl Wire {
    pub(crate) const fn new(revision: Revision, base64: bool, jsonp: Option<Callback>) -> Self {
        Self { revision, base64, jsonp }
    }

    pub(crate) const fn revision(&self) -> Revision {
        self.revision
    }

    /// Decodes a message of a WebSocket.
    #[inline]
    pub(crate) fn decode(&self, message: Message) -> Result<Packet, ParseError> {
        match self.revision {
            Revision::V4 => Packet::decode(message),
            Revision::V3 => Packet::decode_v3(message),
        }
    }

    /// Decodes a message packet of a WebSocket. Returns `None` for all other packets. Nearly all packets are messages, and this is cheaper
    /// for them than [`Wire::decode`].
    #[inline]
    pub(crate) fn decode_plain(&self, packet: &Message) -> Option<Message> {
        match packet {
            Message::Text(text) => text.strip_prefix('4').map(|rest| Message::Text(text.slice_ref(rest))),
            Message::Binary(_) if self.revision == Revision::V4 => Some(packet.clone()),
            Message::Binary(_) => None,
        }
    }

    /// Whether this kind of link carries packets unchanged.
    #[inline]
    pub(crate) fn is_plain(&self, kind: LinkKind) -> bool {
        !self.base64 && kind == LinkKind::WebSocket && self.revision == Revision::V4
    }

    /// Converts a packet into the form that this kind of link carries.
    #[inline]
    pub(crate) fn on_link(&self, kind: LinkKind, frame: Frame) -> Frame {
        if self.is_plain(kind) { frame } else { self.special_form(kind, frame) }
    }

    #[cold]
    fn special_form(&self, kind: LinkKind, frame: Frame) -> Frame {
        let frame = if self.revision == Revision::V3 { frame.into_v3() } else { frame };
        match kind {
            // Only for old browsers.
            LinkKind::WebSocket if self.base64 => frame.into_base64(),
            // In binary form, it would be a frame of length 0, which every peer refuses.
            LinkKind::WebTransport if frame.packet_len() == 0 => frame.into_base64(),
            _ => frame,
        }
    }

    /// Whether a packet cannot be sent over polling, because revision 4 splits a body at every U+001E.
    #[inline]
    pub(crate) fn is_cut_in_bodies(&self, frame: &Frame) -> bool {
        self.revision == Revision::V4 && !frame.is_binary() && memchr::memchr(0x1e, frame.data()).is_some()
    }

    /// Whether a POST may have this content type.
    pub(crate) fn takes(&self, content_type: ContentType) -> bool {
        content_type == ContentType::Text || self.revision == Revision::V3
    }

    /// Decodes the body of a POST, or of the response to a GET. Returns `None` for a JSONP form without a payload.
    pub(crate) fn decode_body(&self, body: Bytes, content_type: ContentType) -> Result<Option<Body>, ParseError> {
        let (body, content_type) = match self.jsonp {
            None => (body, content_type),
            Some(_) => match jsonp::decode_form(&body)? {
                Some(payload) => (payload.into_bytes(), ContentType::Text),
                None => return Ok(None),
            },
        };
        Ok(Some(match self.revision {
            Revision::V4 => Body::V4(payload::Packets::new(body)?),
            Revision::V3 => Body::V3(v3::Packets::new(body, content_type)?),
        }))
    }

    /// The number of packets, from the first one on, whose body has at most `limit` bytes. At least one, unless there are none.
    pub(crate) fn fitting<'a>(&self, frames: impl Iterator<Item = &'a Frame>, limit: usize) -> usize {
        let takes_binary = self.takes_binary();
        let (mut count, mut binary) = (0_usize, false);
        // The length of the body so far if it is text, and if it is binary: in revision 3, a single binary message makes it binary.
        let (mut text_size, mut binary_size) = (0_usize, 0_usize);
        for frame in frames {
            match self.revision {
                Revision::V4 => {
                    let separator = usize::from(count > 0);
                    text_size = text_size.saturating_add(payload::encoded_len(frame)).saturating_add(separator);
                }
                Revision::V3 => {
                    binary |= takes_binary && frame.is_binary();
                    let frame = frame.clone().into_v3();
                    text_size = text_size.saturating_add(v3::encoded_len(&frame, false));
                    binary_size = binary_size.saturating_add(v3::encoded_len(&frame, true));
                }
            }
            if count > 0 && if binary { binary_size } else { text_size } > limit {
                break;
            }
            count = count.saturating_add(1);
        }
        count
    }

    /// Whether a body of revision 3 may be binary.
    const fn takes_binary(&self) -> bool {
        !self.base64 && self.jsonp.is_none()
    }

    /// Encodes these packets as the body of a response to a GET, or of a POST.
    pub(crate) fn encode_body<'a, I>(&self, frames: I) -> EncodedBody
    where
        I: IntoIterator<Item = &'a Frame>,
        I::IntoIter: Clone,
    {
        let frames = frames.into_iter();
        let may_compress = frames.clone().all(Frame::compress);
        let mut body = BytesMut::new();
        let content_type = match self.revision {
            Revision::V4 => {
                payload::encode(frames, &mut body);
                ContentType::Text
            }
            Revision::V3 => v3::encode(frames, self.takes_binary(), &mut body),
        };
        if let Some(callback) = &self.jsonp {
            let mut script = BytesMut::new();
            callback.encode(&body, &mut script);
            body = script;
        }
        EncodedBody { body: body.freeze(), content_type, may_compress }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn as_many_packets_fit_as_their_body_says() {
        let texts = [
            "",
            "a",
            "0123456789",
            "\u{20ac}\u{20ac}",
            "\u{1f600}",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ];
        let texts = texts.map(|text| Frame::message(Message::from(text)));
        let binaries = [0, 1, 2, 3, 9, 100].map(|size| Frame::message(Message::Binary(alloc::vec![7; size].into())));
        let all: Vec<Frame> = texts.iter().zip(&binaries).flat_map(|(text, binary)| [text, binary]).cloned().collect();
        let mixes = [texts.to_vec(), binaries.to_vec(), all, [texts.to_vec(), binaries.to_vec()].concat()];
        for revision in [Revision::V3, Revision::V4] {
            for base64 in [false, true] {
                let wire = Wire::new(revision, base64, None);
                for frames in &mixes {
                    let size = |count| wire.encode_body(frames.iter().take(count)).body.len();
                    for limit in 0..800 {
                        let count = wire.fitting(frames.iter(), limit);
                        assert!(count == 1 || size(count) <= limit, "{wire:?} {limit} {count}");
                        assert!(count == frames.len() || size(count + 1) > limit, "{wire:?} {limit} {count}");
                    }
                }
                assert_eq!(wire.fitting(core::iter::empty(), 9), 0);
            }
        }
    }
}
