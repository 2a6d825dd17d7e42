//! Protocol 4 in JSON, as Socket.IO 1 and 2 use it: the default parser with other rules.
//!
//! Source: socket.io-parser 3.4.5, `index.js`.

use super::json::{self, JsonDecoder};
use super::{Encoder, Parser};
use crate::config::Limits;
use crate::error::EncodeError;
use crate::packet::{Encoded, Outgoing};
use crate::payload::{Args, Rules};

/// The parser of Socket.IO 1 and 2 (protocol 4). Its packets have the same format as those of [`Json`](super::Json), with these
/// differences:
///
/// - Packet type 4 is called ERROR in protocol 4, and its payload is usually a string instead of an object. It is decoded as
///   [`PacketType::ConnectError`](crate::PacketType::ConnectError).
/// - In practice, CONNECT has no payload. A query for the namespace is part of the name, as in `/admin?token=1`. The decoder
///   does not remove it.
/// - The payload of CONNECT and ERROR can also be an array or `null`.
/// - A peer can send events of any name. The names that cannot be sent to it are those that Socket.IO 2 reserves: `connect`,
///   `disconnect`, `disconnecting`, `error`, `newListener` and `removeListener`.
///
/// Two differences from the reference are deliberate. Here, an unknown packet type is an error; the reference decodes it as an
/// ERROR packet that no application sees. Here, a value that cannot be serialised is an error of the caller; the reference
/// sends `4"encode error"` to the peer.
///
/// A server that accepts both generations, as socket.io 4 does with `allowEIO3`, uses [`Json`](super::Json) for both.
#[derive(Clone, Copy, Default, Debug)]
pub struct JsonV4;

impl Parser for JsonV4 {
    type Decoder = JsonDecoder;

    fn decoder(&self, limits: &Limits) -> JsonDecoder {
        JsonDecoder::new(limits, Rules::V4)
    }

    fn encode<A: Args + ?Sized>(
        &self,
        packet: &Outgoing<'_, A>,
        encoder: &mut Encoder,
    ) -> Result<Encoded, EncodeError> {
        json::encode(packet, encoder, Rules::V4)
    }
}
