// A custom parser: the example in the documentation of `Parser`, which the tests use as well.

use bytes::Bytes;
use engineio_proto::{Message, Text};
use socketio_proto::{
    Args, DecodeError, Decoder, EncodeError, Encoded, Encoder, Limits, Outgoing, Packet, PacketType, Parser, Payload,
};

/// Encodes each packet as one binary message. Numbers are big-endian.
///
/// | bytes | content |
/// |---|---|
/// | 1 | type: 0 CONNECT, 1 DISCONNECT, 2 EVENT, 3 ACK, 4 CONNECT_ERROR |
/// | 1, then that many | length of the namespace, namespace |
/// | 4 | ack id; `ff ff ff ff` without an id |
/// | 4, then that many | length of the payload, payload as JSON; 0 without a payload |
/// | 4, then that many | length of an attachment, attachment; repeated until the end |
#[derive(Clone, Debug)]
pub struct Compact;

/// Keeps nothing between messages except the limits.
#[derive(Debug)]
pub struct CompactDecoder {
    limits: Limits,
}

const TYPES: [PacketType; 5] =
    [PacketType::Connect, PacketType::Disconnect, PacketType::Event, PacketType::Ack, PacketType::ConnectError];
const NO_ID: u32 = u32::MAX;

impl Parser for Compact {
    type Decoder = CompactDecoder;

    fn decoder(&self, limits: &Limits) -> CompactDecoder {
        CompactDecoder { limits: limits.clone() }
    }

    fn encode<A: Args + ?Sized>(
        &self,
        packet: &Outgoing<'_, A>,
        encoder: &mut Encoder,
    ) -> Result<Encoded, EncodeError> {
        let too_large = |what: &str| EncodeError::Serialize(format!("the {what} is too large"));
        let mut json = String::new();
        let attachments = packet.write_json(&mut json, encoder.max_attachments())?;
        let namespace_length = u8::try_from(packet.namespace.len()).map_err(|_| too_large("namespace"))?;
        let id = packet.id.map_or(Ok(NO_ID), u32::try_from).map_err(|_| too_large("ack id"))?;

        let out = encoder.start_binary(json.len());
        out.push(packet.packet_type as u8);
        out.push(namespace_length);
        out.extend_from_slice(packet.namespace.as_bytes());
        out.extend_from_slice(&id.to_be_bytes());
        for part in [json.as_bytes()].into_iter().chain(attachments.iter().map(|bytes| &bytes[..])) {
            let length = u32::try_from(part.len()).map_err(|_| too_large("payload"))?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(part);
        }
        Ok(Encoded::One(encoder.finish_binary()))
    }
}

impl Decoder for CompactDecoder {
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, DecodeError> {
        let Message::Binary(mut rest) = message else { return Err(DecodeError::Malformed) };
        let packet_type = usize::from(byte(&mut rest)?);
        let packet_type = *TYPES.get(packet_type).ok_or(DecodeError::InvalidType)?;
        let namespace_length = usize::from(byte(&mut rest)?);
        let namespace = text(take(&mut rest, namespace_length)?)?;
        if !namespace.starts_with('/') {
            return Err(DecodeError::InvalidNamespace);
        }
        let id = number(&mut rest)?;
        let id = (id != NO_ID).then_some(u64::from(id));
        let json = text(sized(&mut rest)?)?;
        let mut attachments = Vec::new();
        while !rest.is_empty() {
            if attachments.len() >= usize::from(self.limits.max_attachments) {
                return Err(DecodeError::TooManyAttachments);
            }
            attachments.push(sized(&mut rest)?);
        }
        let payload = match packet_type {
            // Only these may have no payload.
            PacketType::Connect | PacketType::Disconnect if json.is_empty() => None,
            _ => Some(Payload::from_json(packet_type, json, attachments, &self.limits)?),
        };
        Ok(Some(Packet { packet_type, namespace, id, payload }))
    }
}

/// The next `length` bytes, which share their memory with the message. The length comes from the peer and may exceed what was received.
fn take(rest: &mut Bytes, length: usize) -> Result<Bytes, DecodeError> {
    if length > rest.len() {
        return Err(DecodeError::Malformed);
    }
    Ok(rest.split_to(length))
}

fn byte(rest: &mut Bytes) -> Result<u8, DecodeError> {
    take(rest, 1)?.first().copied().ok_or(DecodeError::Malformed)
}

fn number(rest: &mut Bytes) -> Result<u32, DecodeError> {
    take(rest, 4)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or(DecodeError::Malformed)
}

fn sized(rest: &mut Bytes) -> Result<Bytes, DecodeError> {
    let length = usize::try_from(number(rest)?).map_err(|_| DecodeError::Malformed)?;
    take(rest, length)
}

fn text(bytes: Bytes) -> Result<Text, DecodeError> {
    Text::try_from(bytes).map_err(|_| DecodeError::Malformed)
}
