//! Protocol 4, which Socket.IO 1 and 2 speak, in JSON: the default parser by other rules.
//!
//! Source: socket.io-parser 3.4.5, `index.js`.

use super::json::{self, JsonDecoder};
use super::{Encoder, Parser};
use crate::config::Limits;
use crate::error::EncodeError;
use crate::packet::{Encoded, Outgoing};
use crate::payload::{Args, Rules};

/// The parser of Socket.IO 1 and 2 (protocol 4). Packets look as they do with [`Json`](super::Json), and mostly mean the same:
///
/// - Type 4 is called ERROR there; a refused namespace is a string more often than an object. It comes as
///   [`PacketType::ConnectError`](crate::PacketType::ConnectError).
/// - CONNECT has no payload in practice. A query for the namespace is part of its name, as in `/admin?token=1`; the decoder leaves it
///   there.
/// - CONNECT and ERROR may carry an array or `null` too.
/// - A peer may send events of any name. Those that may not be sent to it are the ones that Socket.IO 2 keeps for itself: `connect`,
///   `disconnect`, `disconnecting`, `error`, `newListener` and `removeListener`.
///
/// Two things differ from the reference on purpose. An unknown packet type is an error here; there the decoder makes an ERROR packet
/// of it that nobody sees. What cannot be serialised is the caller's error; there the peer gets `4"encode error"`.
///
/// A server that lets both generations in, as socket.io 4 does with `allowEIO3`, uses [`Json`](super::Json) for both.
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
