//! The default parser: each packet is a text message with a JSON payload, followed by its attachments as binary messages.
//!
//! The text of a packet is `type [attachments "-"] ["/" namespace ","] [id] [json]`. This parser is strict where the reference
//! is lenient by accident: an event must have a payload, and numbers consist of decimal digits only.
//!
//! Source: Socket.IO protocol v5, "Packet encoding"; socket.io-parser 4.2.7, `lib/index.ts`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::iter;

use bytes::Bytes;
use engineio_proto::{Arc, Frame, Message, Text};
use serde::Serialize;

use super::{Decoder, Encoder, Parser};
use crate::arguments::write::ArgsSerializer;
use crate::config::Limits;
use crate::error::{DecodeError, EncodeError};
use crate::json::places::{Plain, ScanArgument, Sought};
use crate::json::ser::{self, Arguments, Output, ValueSerializer};
use crate::offset::Offset;
use crate::packet::{Encoded, Outgoing, Packet, PacketType};
use crate::payload::attached::Attached;
use crate::payload::{Args, ArgsSink, Payload, Rules};
use crate::values::Single;

/// The default parser, which Socket.IO peers use unless they are configured otherwise.
#[derive(Clone, Copy, Default, Debug)]
pub struct Json;

/// The decoder of the default parser. It holds no memory between packets.
#[derive(Debug)]
pub struct JsonDecoder {
    /// The incomplete packet, with the attachments received so far.
    gathering: Option<Arc<Attached>>,
    max_attachment_bytes: usize,
    max_depth: u16,
    max_attachments: u8,
    rules: Rules,
}

impl Parser for Json {
    type Decoder = JsonDecoder;

    fn decoder(&self, limits: &Limits) -> JsonDecoder {
        JsonDecoder::new(limits, Rules::V5)
    }

    #[inline]
    fn encode<A: Args + ?Sized>(
        &self,
        packet: &Outgoing<'_, A>,
        encoder: &mut Encoder,
    ) -> Result<Encoded, EncodeError> {
        encode(packet, encoder, Rules::V5)
    }
}

/// Encodes a packet according to the rules of a protocol version.
#[inline]
pub(super) fn encode<A: Args + ?Sized>(
    packet: &Outgoing<'_, A>,
    encoder: &mut Encoder,
    rules: Rules,
) -> Result<Encoded, EncodeError> {
    let Outgoing { packet_type, namespace, id, event, .. } = *packet;
    if namespace != "/" && namespace.contains(',') {
        return Err(EncodeError::invalid("a namespace must not contain a comma in this format"));
    }
    check(packet_type, namespace, event, rules)?;
    // By reference, because hardly any packet has one.
    let offset = packet.offset.as_ref();
    check_offset(packet_type, offset)?;
    let sink = Sink { packet_type, namespace, id, event, encoder, rules, offset };
    match packet.args {
        Some(args) => args.feed(sink),
        None => Ok(sink.nothing()),
    }
}

impl Decoder for JsonDecoder {
    #[inline]
    fn decode(&mut self, message: Message) -> Result<Option<Packet>, DecodeError> {
        match message {
            Message::Text(text) => match self.gathering.take() {
                None => self.text(text),
                Some(_) => Err(DecodeError::UnexpectedText),
            },
            Message::Binary(bytes) => match self.gathering.take() {
                None => Err(DecodeError::UnexpectedBinary),
                Some(gathering) => Attached::add(gathering, bytes, self.max_attachment_bytes, &mut self.gathering),
            },
        }
    }
}

impl JsonDecoder {
    pub(super) const fn new(limits: &Limits, rules: Rules) -> Self {
        Self {
            gathering: None,
            max_attachment_bytes: limits.max_attachment_bytes,
            max_depth: limits.max_depth,
            max_attachments: limits.max_attachments,
            rules,
        }
    }

    #[inline]
    fn text(&mut self, text: Text) -> Result<Option<Packet>, DecodeError> {
        let mut reader = Reader { text: &text, at: 0 };
        let (packet_type, binary) = reader.packet_type()?;
        let awaited = if binary { reader.attachments(self.max_attachments)? } else { 0 };
        let namespace = match reader.namespace() {
            "/" => Text::from_static("/"),
            other => text.slice_ref(other),
        };
        let id = reader.id()?;
        let at = reader.at;
        if awaited > 0 {
            let mut sought = Sought::new(awaited);
            let payload = self.payload(packet_type, text, at, &mut sought)?;
            let packet = Packet { packet_type, namespace, id, payload };
            self.gathering = Some(Attached::awaited_by(packet, awaited, sought));
            return Ok(None);
        }
        let payload = self.payload(packet_type, text, at, &mut Plain)?;
        Ok(Some(Packet { packet_type, namespace, id, payload }))
    }

    /// Builds the payload, which starts at `at`. It is absent if the text ends there.
    #[inline(always)]
    fn payload(
        &self,
        packet_type: PacketType,
        text: Text,
        at: usize,
        sought: &mut impl ScanArgument,
    ) -> Result<Option<Payload>, DecodeError> {
        if at == text.len() {
            return if packet_type == PacketType::Event { Err(DecodeError::InvalidPayload) } else { Ok(None) };
        }
        // No whitespace is skipped before the payload. The reference would treat it as part of the id, and read the id as 0.
        match Payload::within(packet_type, text, at, self.max_depth, self.rules, sought) {
            None => Err(DecodeError::InvalidPayload),
            payload => Ok(payload),
        }
    }
}

/// Reads the parts before the payload, one by one.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The type of the packet, and whether it has attachments.
    #[inline]
    fn packet_type(&mut self) -> Result<(PacketType, bool), DecodeError> {
        let found = match self.peek() {
            Some(b'0') => (PacketType::Connect, false),
            Some(b'1') => (PacketType::Disconnect, false),
            Some(b'2') => (PacketType::Event, false),
            Some(b'3') => (PacketType::Ack, false),
            Some(b'4') => (PacketType::ConnectError, false),
            Some(b'5') => (PacketType::Event, true),
            Some(b'6') => (PacketType::Ack, true),
            _ => return Err(DecodeError::UnknownType),
        };
        self.at = 1;
        Ok(found)
    }

    /// Reads at most `limit` decimal digits. Returns their value and their number.
    #[inline]
    fn digits(&mut self, limit: u32) -> Option<(u64, u32)> {
        let mut value: u64 = 0;
        let mut count: u32 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if count >= limit {
                return None;
            }
            count = count.saturating_add(1);
            value = value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            self.at = self.at.saturating_add(1);
        }
        Some((value, count))
    }

    fn attachments(&mut self, limit: u8) -> Result<usize, DecodeError> {
        let (count, _) = self.digits(10).ok_or(DecodeError::IllegalAttachments)?;
        if self.peek() != Some(b'-') || count == 0 {
            return Err(DecodeError::IllegalAttachments);
        }
        self.at = self.at.saturating_add(1);
        match usize::try_from(count) {
            Ok(count) if count <= usize::from(limit) => Ok(count),
            _ => Err(DecodeError::TooManyAttachments),
        }
    }

    /// The namespace: everything up to the first comma, or the rest of the text if there is no comma. `/` if it is missing.
    #[inline]
    fn namespace(&mut self) -> &'a str {
        if self.peek() == Some(b'/') { self.named_namespace() } else { "/" }
    }

    fn named_namespace(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = memchr::memchr(b',', rest.as_bytes());
        let namespace = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.at = self.at.saturating_add(namespace.len()).saturating_add(usize::from(end.is_some()));
        namespace
    }

    /// The ack id: at most 16 digits and below 2^53, so that JavaScript represents it exactly.
    #[inline]
    fn id(&mut self) -> Result<Option<u64>, DecodeError> {
        match self.digits(16) {
            Some((_, 0)) => Ok(None),
            Some((id, _)) if id < 1 << 53 => Ok(Some(id)),
            _ => Err(DecodeError::InvalidId),
        }
    }
}

/// Writes a packet as soon as it gets the arguments.
struct Sink<'a> {
    packet_type: PacketType,
    namespace: &'a str,
    id: Option<u64>,
    event: Option<&'a str>,
    encoder: &'a mut Encoder,
    rules: Rules,
    offset: Option<&'a Offset>,
}

/// Rejects an offset of a packet that is not an event.
#[inline]
pub(super) fn check_offset(packet_type: PacketType, offset: Option<&Offset>) -> Result<(), EncodeError> {
    if offset.is_some() && packet_type != PacketType::Event {
        return Err(EncodeError::invalid("only an event can have an offset"));
    }
    Ok(())
}

/// Appends the offset of an event, and closes the list of arguments. The name of the event is before the offset.
#[inline(always)]
pub(super) fn close_list(text: &mut String, offset: Option<&Offset>) {
    if let Some(offset) = offset {
        push_offset(text, offset);
    }
    text.push(']');
}

#[cold]
fn push_offset(text: &mut String, offset: &Offset) {
    text.push_str(",\"");
    offset.text(|offset| text.push_str(offset));
    text.push('"');
}

/// Rejects packets that no parser of the reference would send, regardless of their arguments.
#[inline]
pub(super) fn check(
    packet_type: PacketType,
    namespace: &str,
    event: Option<&str>,
    rules: Rules,
) -> Result<(), EncodeError> {
    match (packet_type, event) {
        _ if namespace.as_bytes().first() != Some(&b'/') => {
            Err(EncodeError::invalid("a namespace must start with a slash"))
        }
        (PacketType::Event, Some(name)) if rules.may_not_send(name) => Err(reserved(name)),
        (PacketType::Event, None) => Err(EncodeError::invalid("an event must have a name")),
        (PacketType::Event, Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => Err(EncodeError::invalid("only an event can have a name")),
    }
}

#[cold]
fn reserved(name: &str) -> EncodeError {
    EncodeError::Reserved(name.into())
}

impl Sink<'_> {
    /// Estimated size of everything but the arguments. Too small only if the name has many escapes.
    #[inline]
    fn overhead(&self) -> usize {
        const FIXED: usize = 48;
        FIXED.saturating_add(self.namespace.len()).saturating_add(self.event.map_or(0, str::len))
    }

    const fn takes_list(&self) -> bool {
        matches!(self.packet_type, PacketType::Event | PacketType::Ack)
    }

    /// Writes everything before the first argument. `args_length` is the expected size of the arguments in bytes.
    #[inline]
    fn head(&mut self, args_length: usize, attachments: usize) -> &mut String {
        let takes_list = self.takes_list();
        let length = self.overhead().saturating_add(args_length);
        let out = self.encoder.start_text(length);
        // Each arm pushes a constant, because pushing a variable `char` encodes it as UTF-8 at run time.
        match (self.packet_type, attachments > 0) {
            (PacketType::Connect, _) => out.push('0'),
            (PacketType::Disconnect, _) => out.push('1'),
            (PacketType::Event, false) => out.push('2'),
            (PacketType::Ack, false) => out.push('3'),
            (PacketType::ConnectError, _) => out.push('4'),
            (PacketType::Event, true) => out.push('5'),
            (PacketType::Ack, true) => out.push('6'),
        }
        if attachments > 0 {
            ser::integer(out, attachments);
            out.push('-');
        }
        if self.namespace != "/" {
            out.push_str(self.namespace);
            out.push(',');
        }
        if let Some(id) = self.id {
            ser::integer(out, id);
        }
        if takes_list {
            out.push('[');
        }
        if let Some(name) = self.event {
            ser::string(out, name);
        }
        out
    }

    /// Writes a payload that was received in another format.
    #[cold]
    fn convert(self, payload: &Payload) -> Result<Encoded, EncodeError> {
        if self.takes_list() { self.typed(&payload.values()) } else { self.typed(&Single(payload)) }
    }

    /// Writes a packet without arguments.
    fn nothing(mut self) -> Encoded {
        let (takes_list, offset) = (self.takes_list(), self.offset);
        let text = self.head(0, 0);
        if takes_list {
            close_list(text, offset);
        }
        Encoded::One(self.encoder.finish_text())
    }
}

#[cold]
fn with_attachments(header: Frame, attachments: impl ExactSizeIterator<Item = Bytes>) -> Encoded {
    let attachments = attachments.map(|bytes| Frame::message(Message::Binary(bytes)));
    Encoded::Many(iter::once(header).chain(attachments).collect())
}

impl ArgsSink for Sink<'_> {
    type Ok = Encoded;
    type Error = EncodeError;

    #[inline]
    fn typed<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Encoded, EncodeError> {
        let (packet_type, named, takes_list) = (self.packet_type, self.event.is_some(), self.takes_list());
        let (rules, offset) = (self.rules, self.offset);
        let max_attachments = if takes_list { usize::from(self.encoder.max_attachments()) } else { 0 };
        let text = self.head(0, 0);
        let value_at = text.len();
        let mut attachments = Vec::new();
        let mut output = Output { text, attachments: &mut attachments, max_attachments };
        if takes_list {
            value.serialize(ArgsSerializer(Arguments { output: &mut output, comma: named }))?;
            close_list(text, offset);
            if !attachments.is_empty() {
                announce(text, packet_type, attachments.len());
                return Ok(with_attachments(self.encoder.finish_text(), attachments.into_iter()));
            }
        } else {
            value.serialize(ValueSerializer(&mut output))?;
            check_value(packet_type, text.get(value_at..).unwrap_or_default(), rules)?;
        }
        Ok(Encoded::One(self.encoder.finish_text()))
    }

    // Inlined where a packet is encoded, so that the sink stays in registers.
    #[inline(always)]
    fn payload(mut self, payload: &Payload) -> Result<Encoded, EncodeError> {
        if !payload.is_json() {
            return self.convert(payload);
        }
        let attachments = payload.attachments();
        let args = payload.raw_args();
        let (named, takes_list, offset) = (self.event.is_some(), self.takes_list(), self.offset);
        if !takes_list {
            check_value(
                self.packet_type,
                if payload.len() == 1 && attachments.is_empty() { args } else { "" },
                self.rules,
            )?;
        }
        if attachments.len() > usize::from(self.encoder.max_attachments()) {
            return Err(EncodeError::TooManyAttachments);
        }
        let text = self.head(args.len(), attachments.len());
        if named && !payload.is_empty() {
            text.push(',');
        }
        text.push_str(args);
        if takes_list {
            close_list(text, offset);
        }
        let header = self.encoder.finish_text();
        if attachments.is_empty() {
            return Ok(Encoded::One(header));
        }
        Ok(with_attachments(header, attachments.iter().cloned()))
    }
}

/// Rejects JSON that is not a valid payload for this packet type. The packet type takes a single value.
pub(super) fn check_value(packet_type: PacketType, json: &str, rules: Rules) -> Result<(), EncodeError> {
    if json.bytes().next().is_some_and(|first| rules.is_value_of(packet_type, first)) {
        return Ok(());
    }
    Err(EncodeError::invalid(match packet_type {
        PacketType::Connect => "the payload of CONNECT must be one object",
        PacketType::ConnectError => "the payload of CONNECT_ERROR must be one object or string",
        _ => "DISCONNECT must have no payload",
    }))
}

/// Replaces the packet type by the one that announces attachments. When the type was written, their number was not known.
#[cold]
fn announce(text: &mut String, packet_type: PacketType, count: usize) {
    let digit = if matches!(packet_type, PacketType::Ack) { '6' } else { '5' };
    text.replace_range(..1, &format!("{digit}{count}-"));
}
