//! Where the versions of the protocol differ in what a packet may say: which names are reserved, and which values CONNECT and
//! CONNECT_ERROR carry.
//!
//! Source: socket.io-parser 4.2.7, `lib/index.ts`, `RESERVED_EVENTS` and `isPayloadValid`; socket.io-parser 3.4.5, `index.js`,
//! `isPayloadValid`; socket.io 2.5.1, `lib/socket.js`, `events`.

use crate::packet::PacketType;

/// A version of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rules {
    /// Protocol 5: Socket.IO 3 and later.
    V5,
    /// Protocol 4: Socket.IO 1 and 2.
    V4,
}

/// Names under which the reference tells its own news.
#[inline]
fn is_news(name: &[u8]) -> bool {
    matches!(
        name,
        b"connect" | b"connect_error" | b"disconnect" | b"disconnecting" | b"newListener" | b"removeListener"
    )
}

impl Rules {
    /// Whether an event of this name is refused when it comes from a peer.
    #[inline]
    pub(crate) fn may_not_receive(self, name: &[u8]) -> bool {
        is_news(name) && self == Self::V5
    }

    /// Whether applications may not send an event of this name.
    #[inline]
    pub(crate) fn may_not_send(self, name: &str) -> bool {
        match self {
            Self::V5 => is_news(name.as_bytes()),
            Self::V4 => {
                matches!(name, "error" | "connect" | "disconnect" | "disconnecting" | "newListener" | "removeListener")
            }
        }
    }

    /// Whether JSON that starts like this can be the payload of CONNECT or CONNECT_ERROR. No other type carries a single value.
    #[inline]
    pub(crate) fn is_value_of(self, packet_type: PacketType, first: u8) -> bool {
        match (packet_type, first) {
            (PacketType::Connect | PacketType::ConnectError, b'{') | (PacketType::ConnectError, b'"') => true,
            (PacketType::Connect | PacketType::ConnectError, b'[' | b'n') => self == Self::V4,
            _ => false,
        }
    }
}
