//! The default parser: packets as text, JSON payloads, attachments as binary messages of their own.
//!
//! Source: Socket.IO protocol v5; socket.io-parser 4.2.7.

use engineio_proto::Message;

use super::{Decoder, Encoder, Parser};
use crate::config::Limits;
use crate::error::{DecodeError, EncodeError};
use crate::packet::{Encoded, Outgoing, Packet};
use crate::payload::Args;

/// The default parser.
#[derive(Clone, Copy, Default, Debug)]
pub struct Json;

/// The default parser's decoder.
#[derive(Debug)]
pub struct JsonDecoder {}

impl Parser for Json {
    type Decoder = JsonDecoder;

    fn decoder(&self, _: &Limits) -> JsonDecoder {
        unimplemented!()
    }

    fn encode<A: Args + ?Sized>(&self, _: &Outgoing<'_, A>, _: &mut Encoder) -> Result<Encoded, EncodeError> {
        unimplemented!()
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, _: Message) -> Result<Option<Packet>, DecodeError> {
        unimplemented!()
    }
}
