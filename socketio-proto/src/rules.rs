//! The differences between protocol versions in the content of packets: reserved event names, and the payloads of CONNECT and
//! CONNECT_ERROR.
//!
//! Source: socket.io-parser 4.2.7, `lib/index.ts`, `RESERVED_EVENTS` and `isPayloadValid`; socket.io-parser 3.4.5, `index.js`,
//! `isPayloadValid`; socket.io 2.5.1, `lib/socket.js`, `events`.

use crate::packet::PacketType;

/// A protocol version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rules {
    /// Protocol 5: Socket.IO 3 and later.
    V5,
    /// Protocol 4: Socket.IO 1 and 2.
    V4,
}

/// Whether the reference uses this name for its own events.
#[inline]
fn is_news(name: &[u8]) -> bool {
    matches!(
        name,
        b"connect" | b"connect_error" | b"disconnect" | b"disconnecting" | b"newListener" | b"removeListener"
    )
}

impl Rules {
    /// Whether an event with this name is invalid when a peer sends it.
    #[inline]
    pub(crate) fn may_not_receive(self, name: &[u8]) -> bool {
        is_news(name) && self == Self::V5
    }

    /// Whether the application must not send an event with this name.
    #[inline]
    pub(crate) fn may_not_send(self, name: &str) -> bool {
        match self {
            Self::V5 => is_news(name.as_bytes()),
            Self::V4 => {
                matches!(name, "error" | "connect" | "disconnect" | "disconnecting" | "newListener" | "removeListener")
            }
        }
    }

    /// Whether JSON with this first byte can be the payload of CONNECT or CONNECT_ERROR. No other packet type carries a single
    /// value.
    #[inline]
    pub(crate) fn is_value_of(self, packet_type: PacketType, first: u8) -> bool {
        match (packet_type, first) {
            (PacketType::Connect | PacketType::ConnectError, b'{') | (PacketType::ConnectError, b'"') => true,
            (PacketType::Connect | PacketType::ConnectError, b'[' | b'n') => self == Self::V4,
            _ => false,
        }
    }
}
