//! The MessagePack parser: each packet is one binary message, a map with the keys `type`, `nsp`, `data` and `id`. Both peers
//! must be configured to use it.
//!
//! Source: socket.io-msgpack-parser 3.0.2, `index.js`; notepack.io 2.2.0.

use alloc::vec::Vec;

use bytes::Bytes;
use engineio_proto::{Message, Text};
use serde::Serialize;

use super::json::{check, check_offset};
use super::{Decoder, Encoder, Parser};
use crate::arguments::write::ArgsSerializer;
use crate::config::Limits;
use crate::error::{DecodeError, EncodeError};
use crate::msgpack::scan::{self, Head};
use crate::msgpack::ser::{self, Arguments, ValueSerializer};
use crate::offset::Offset;
use crate::packet::{Encoded, Outgoing, Packet, PacketType};
use crate::payload::packed::Data;
use crate::payload::{Args, ArgsSink, Payload, Rules};
use crate::values::Single;

/// The parser of `socket.io-msgpack-parser`. Compared to the default parser, numbers are smaller, and binary data is part of
/// the message instead of an attachment.
///
/// Received arguments are MessagePack. [`Payload::raw_msgpack`] returns them unchanged. [`Payload::get`] and [`Payload::read`]
/// deserialise them with serde, where
/// - `undefined`, which JavaScript writes as an extension, reads like nil: `None` or `()`;
/// - an `ArrayBuffer` or a typed array, also an extension, reads as bytes;
/// - a `Date` reads as an integer, in milliseconds since 1970;
/// - any other extension reads as a pair of its type (`i8`) and its bytes. A newtype struct named `_ExtStruct` around such a
///   pair, as in `rmp-serde`, reads and writes any extension.
///
/// Values are sent in their shortest form. As in JavaScript, floats without a fraction become integers, and map keys become
/// strings. A payload received as JSON is converted when it is relayed as MessagePack, and vice versa. The conversion fails if
/// the value cannot be represented in the other format, for example an unpaired surrogate.
///
/// [`Limits::max_depth`] applies. Binary data is part of the message and counts towards the limit of the message. Announced
/// lengths are checked against the received bytes before anything is allocated.
///
/// This parser is deliberately stricter than the reference: an event must have a name that is a string or an integer and not
/// reserved; a namespace must start with a slash; strings must be UTF-8; an id must not be negative and must be below 2^53; an
/// extension is not a list of arguments. It is more lenient in one case: DISCONNECT can carry nil, because python-socketio
/// sends it.
#[derive(Clone, Copy, Default, Debug)]
pub struct MsgPack;

/// The decoder of the MessagePack parser. It holds no memory.
#[derive(Debug)]
pub struct MsgPackDecoder {
    max_depth: u16,
}

impl Parser for MsgPack {
    type Decoder = MsgPackDecoder;

    fn decoder(&self, limits: &Limits) -> MsgPackDecoder {
        MsgPackDecoder { max_depth: limits.max_depth }
    }

    fn encode<A: Args + ?Sized>(
        &self,
        packet: &Outgoing<'_, A>,
        encoder: &mut Encoder,
    ) -> Result<Encoded, EncodeError> {
        let Outgoing { packet_type, namespace, id, event, .. } = *packet;
        let offset = packet.offset.as_ref();
        check(packet_type, namespace, event, Rules::V5)?;
        check_offset(packet_type, offset)?;
        let sink = Sink { packet_type, namespace, id, event, encoder, offset };
        match packet.args {
            Some(args) => args.feed(sink),
            None => sink.nothing(),
        }
    }
}

impl Decoder for MsgPackDecoder {
    #[inline]
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, DecodeError> {
        let Message::Binary(bytes) = message else { return Err(DecodeError::Malformed) };
        let mut members = Members::NONE;
        members.read(&bytes, self.max_depth.into()).ok_or(DecodeError::Malformed)?;
        let packet_type = members.packet_type(&bytes).ok_or(DecodeError::InvalidType)?;
        let namespace = members.namespace(&bytes).ok_or(DecodeError::InvalidNamespace)?;
        let id = members.id(&bytes);
        let data = &members.data;
        let payload = match packet_type {
            PacketType::Connect if data.is_undefined() => None,
            PacketType::Disconnect if data.is_undefined() || data.is_nil() => None,
            _ => match Payload::packed(packet_type, bytes, data) {
                None => return Err(DecodeError::InvalidPayload),
                some => some,
            },
        };
        match id {
            Some(id) => Ok(Some(Packet { packet_type, namespace, id, payload })),
            None => Err(DecodeError::InvalidId),
        }
    }
}

/// Positions of the members of a packet. If a member is repeated, the last one counts. Unknown members are ignored.
struct Members {
    packet_type: Option<usize>,
    namespace: Option<usize>,
    data: Data,
    id: Option<usize>,
}

impl Members {
    const NONE: Self = Self { packet_type: None, namespace: None, data: Data::UNDEFINED, id: None };

    /// Returns `None` if the bytes are not exactly one value. A value that is not a map has no members.
    #[inline]
    fn read(&mut self, bytes: &[u8], max_depth: u32) -> Option<()> {
        // Positions have 32 bits.
        u32::try_from(bytes.len()).ok()?;
        let (head, mut at) = scan::head(bytes, 0)?;
        let Head::Map(count) = head else {
            return scan::value(bytes, 0, max_depth).filter(|&end| end == bytes.len()).map(|_| ());
        };
        scan::values(bytes, at, head)?;
        for _ in 0..count {
            let (key, value): (&[u8], _) = match scan::head(bytes, at)? {
                (Head::Text(length), start) => scan::check_text(bytes, start, length)?,
                _ => (&[], scan::value(bytes, at, max_depth)?),
            };
            at = match key {
                b"data" => self.data.scan(bytes, value, max_depth)?,
                _ => scan::value(bytes, value, max_depth)?,
            };
            match key {
                b"type" => self.packet_type = Some(value),
                b"nsp" => self.namespace = Some(value),
                b"id" => self.id = Some(value),
                _ => {}
            }
        }
        (at == bytes.len()).then_some(())
    }

    #[inline]
    fn packet_type(&self, bytes: &[u8]) -> Option<PacketType> {
        match whole(scan::head(bytes, self.packet_type?)?.0)? {
            0 => Some(PacketType::Connect),
            1 => Some(PacketType::Disconnect),
            2 => Some(PacketType::Event),
            3 => Some(PacketType::Ack),
            4 => Some(PacketType::ConnectError),
            _ => None,
        }
    }

    #[inline]
    fn namespace(&self, bytes: &Bytes) -> Option<Text> {
        let (Head::Text(length), at) = scan::head(bytes, self.namespace?)? else { return None };
        match scan::take(bytes, at, length)?.0 {
            b"/" => Some(Text::from_static("/")),
            name if name.starts_with(b"/") => Text::try_from(bytes.slice_ref(name)).ok(),
            _ => None,
        }
    }

    /// Returns `None` if the `id` member is not a valid id.
    #[inline]
    fn id(&self, bytes: &[u8]) -> Option<Option<u64>> {
        let Some(at) = self.id else { return Some(None) };
        let (head, _) = scan::head(bytes, at)?;
        if let Head::Extension(scan::Extension::Undefined, ..) = head {
            return Some(None);
        }
        whole(head).filter(|&id| id < 1 << 53).map(Some)
    }
}

/// In JavaScript, a number without a fraction is an integer, whatever its encoding.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the comparison tells whether it fitted")]
#[allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "an integer that was a float is one again")]
fn whole(head: Head) -> Option<u64> {
    match head {
        Head::Unsigned(value) => Some(value),
        Head::Float(value) => Some(value as u64).filter(|&whole| whole as f64 == value),
        _ => None,
    }
}

/// Writes a packet as soon as it gets the arguments.
struct Sink<'a> {
    packet_type: PacketType,
    namespace: &'a str,
    id: Option<u64>,
    event: Option<&'a str>,
    encoder: &'a mut Encoder,
    offset: Option<&'a Offset>,
}

impl Sink<'_> {
    const fn takes_list(&self) -> bool {
        matches!(self.packet_type, PacketType::Event | PacketType::Ack)
    }

    /// Writes a packet, with the output of `data` if there is any. The order of the members is that of the reference's server.
    fn write(
        self,
        length: usize,
        data: Option<impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>>,
    ) -> Result<Encoded, EncodeError> {
        const FIXED: usize = 48;
        let names = self.namespace.len().saturating_add(self.event.map_or(0, str::len));
        let out = self.encoder.start_binary(length.saturating_add(names).saturating_add(FIXED));
        ser::map(out, 2_usize.saturating_add(self.id.is_some().into()).saturating_add(data.is_some().into()))?;
        let id_first = matches!(self.packet_type, PacketType::Ack);
        if id_first {
            id(out, self.id)?;
        }
        ser::text(out, "type")?;
        ser::unsigned(
            out,
            match self.packet_type {
                PacketType::Connect => 0,
                PacketType::Disconnect => 1,
                PacketType::Event => 2,
                PacketType::Ack => 3,
                PacketType::ConnectError => 4,
            },
        );
        if let Some(data) = data {
            ser::text(out, "data")?;
            data(out)?;
        }
        if !id_first {
            id(out, self.id)?;
        }
        ser::text(out, "nsp")?;
        ser::text(out, self.namespace)?;
        Ok(Encoded::One(self.encoder.finish_binary()))
    }

    /// Writes a packet without arguments.
    fn nothing(self) -> Result<Encoded, EncodeError> {
        if self.takes_list() { self.typed(&()) } else { self.write(0, None::<fn(&mut Vec<u8>) -> _>) }
    }
}

fn id(out: &mut Vec<u8>, id: Option<u64>) -> Result<(), EncodeError> {
    if let Some(id) = id {
        ser::text(out, "id")?;
        ser::unsigned(out, id);
    }
    Ok(())
}

/// Appends the last element of the array, which has room for it.
fn append(out: &mut Vec<u8>, offset: Option<&Offset>) -> Result<(), EncodeError> {
    offset.map_or(Ok(()), |offset| offset.text(|offset| ser::text(out, offset)))
}

/// Rejects a value that is not a valid payload for this packet type. The packet type takes a single value.
fn check_value(packet_type: PacketType, value: &[u8]) -> Result<(), EncodeError> {
    match (packet_type, scan::head(value, 0)) {
        (PacketType::Connect | PacketType::ConnectError, Some((Head::Map(_), _)))
        | (PacketType::ConnectError, Some((Head::Text(_), _))) => Ok(()),
        (PacketType::Connect, _) => Err(EncodeError::invalid("the payload of CONNECT must be one object")),
        (PacketType::ConnectError, _) => {
            Err(EncodeError::invalid("the payload of CONNECT_ERROR must be one object or string"))
        }
        _ => Err(EncodeError::invalid("DISCONNECT must have no payload")),
    }
}

impl ArgsSink for Sink<'_> {
    type Ok = Encoded;
    type Error = EncodeError;

    fn typed<T: Serialize + ?Sized>(self, value: &T) -> Result<Encoded, EncodeError> {
        let (packet_type, name, takes_list) = (self.packet_type, self.event, self.takes_list());
        let offset = self.offset;
        let write = |out: &mut Vec<u8>| {
            if takes_list {
                let more = offset.is_some().into();
                value.serialize(ArgsSerializer(Arguments { out: &mut *out, name, more }))?;
                return append(out, offset);
            }
            let at = out.len();
            value.serialize(ValueSerializer(out))?;
            check_value(packet_type, out.get(at..).unwrap_or_default())
        };
        self.write(0, Some(write))
    }

    fn payload(self, payload: &Payload) -> Result<Encoded, EncodeError> {
        if !self.takes_list() {
            return self.typed(&Single(payload));
        }
        let Some(args) = payload.raw_args_msgpack() else { return self.typed(&payload.values()) };
        let (name, count, offset) = (self.event, payload.len(), self.offset);
        let write = |out: &mut Vec<u8>| {
            ser::array(out, count.saturating_add(name.is_some().into()).saturating_add(offset.is_some().into()))?;
            if let Some(name) = name {
                ser::text(out, name)?;
            }
            out.extend_from_slice(args);
            append(out, offset)
        };
        self.write(args.len(), Some(write))
    }
}
