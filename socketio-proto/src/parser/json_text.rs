//! Writes the payload of a packet as JSON without a packet around it, for parsers with their own packet format.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::Serialize;

use super::json::{check, check_offset, check_value, close_list};
use crate::arguments::write::ArgsSerializer;
use crate::error::EncodeError;
use crate::json::ser::{self, Arguments, Output, ValueSerializer};
use crate::offset::Offset;
use crate::packet::{Outgoing, PacketType};
use crate::payload::{Args, ArgsSink, Payload, Rules};
use crate::values::Single;

/// Appends the payload to `text` and returns its attachments.
pub(crate) fn write_json<A: Args + ?Sized>(
    packet: &Outgoing<'_, A>,
    text: &mut String,
    max_attachments: u8,
) -> Result<Vec<Bytes>, EncodeError> {
    let Outgoing { packet_type, namespace, event, .. } = *packet;
    let offset = packet.offset.as_ref();
    check(packet_type, namespace, event, Rules::V5)?;
    check_offset(packet_type, offset)?;
    let sink = Sink { packet_type, event, text, max_attachments: max_attachments.into(), offset };
    match packet.args {
        Some(args) => args.feed(sink),
        None if sink.takes_list() => sink.typed(&()),
        None => Ok(Vec::new()),
    }
}

struct Sink<'a> {
    packet_type: PacketType,
    event: Option<&'a str>,
    text: &'a mut String,
    max_attachments: usize,
    offset: Option<&'a Offset>,
}

impl Sink<'_> {
    const fn takes_list(&self) -> bool {
        matches!(self.packet_type, PacketType::Event | PacketType::Ack)
    }

    fn open(&mut self) {
        self.text.push('[');
        if let Some(name) = self.event {
            ser::string(self.text, name);
        }
    }
}

impl ArgsSink for Sink<'_> {
    type Ok = Vec<Bytes>;
    type Error = EncodeError;

    fn typed<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Vec<Bytes>, EncodeError> {
        let mut attachments = Vec::new();
        if self.takes_list() {
            self.open();
            let (text, max_attachments, comma) = (self.text, self.max_attachments, self.event.is_some());
            let output = &mut Output { text, attachments: &mut attachments, max_attachments };
            value.serialize(ArgsSerializer(Arguments { output, comma }))?;
            close_list(output.text, self.offset);
        } else {
            let at = self.text.len();
            let mut output = Output { text: self.text, attachments: &mut attachments, max_attachments: 0 };
            value.serialize(ValueSerializer(&mut output))?;
            check_value(self.packet_type, self.text.get(at..).unwrap_or_default(), Rules::V5)?;
        }
        Ok(attachments)
    }

    fn payload(mut self, payload: &Payload) -> Result<Vec<Bytes>, EncodeError> {
        if !self.takes_list() {
            return self.typed(&Single(payload));
        }
        if !payload.is_json() {
            return self.typed(&payload.values());
        }
        if payload.attachments().len() > self.max_attachments {
            return Err(EncodeError::TooManyAttachments);
        }
        self.open();
        if self.event.is_some() && !payload.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(payload.raw_args());
        close_list(self.text, self.offset);
        Ok(payload.attachments().to_vec())
    }
}
