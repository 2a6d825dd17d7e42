//! Socket.IO packets for steps that send or expect them without spelling them out.

use serde_json::{Value as Json, json};

use super::Player;
use crate::case::Endpoint;
use crate::script::value::{Expression, Part, Template};
use crate::script::{Choice, Match, Outcome, Term};
use crate::wire::msgpack;
use crate::wire::packets::Payload;

impl Player {
    /// Encodes a Socket.IO packet with the parser of this endpoint.
    pub(super) fn packet(&self, kind: u8, namespace: &str, id: &str, data: &str) -> Result<Payload, String> {
        if self.options.endpoint != Endpoint::Msgpack {
            return Ok(Payload::Text(json_packet(kind, namespace, id, data)));
        }
        let mut packet = json!({ "type": kind, "nsp": namespace });
        for (key, text) in [("data", data), ("id", id)] {
            if !text.is_empty() {
                let value = serde_json::from_str::<Json>(text).map_err(|error| format!("{text}: {error}"))?;
                packet.as_object_mut().map(|packet| packet.insert(key.to_owned(), value));
            }
        }
        Ok(Payload::Bytes(msgpack::encode(&packet)))
    }

    /// The pattern for such a packet.
    pub(super) fn packet_term(&self, kind: u8, namespace: &str, id: &str, data: &str) -> Term {
        if self.options.endpoint != Endpoint::Msgpack {
            return packet_term(&json_packet(kind, namespace, id, data));
        }
        let id = if id.is_empty() { String::new() } else { format!(r#""id":{id},"#) };
        let text = format!(r#"{{"type":{kind},"nsp":"{namespace}",{id}"data":{data},...}}"#);
        Term(vec![Choice(vec![Outcome::Packet(Match::Msgpack(literal(&text)))])])
    }

    pub(super) fn text_or(&mut self, expression: Option<&Expression>, otherwise: &str) -> Result<String, String> {
        expression.map_or(Ok(otherwise.to_owned()), |expression| Ok(expression.value(&mut self.scope)?.text()))
    }
}

pub(super) fn text_or_bytes(bytes: &[u8]) -> Payload {
    match std::str::from_utf8(bytes) {
        Ok(text) => Payload::Text(text.to_owned()),
        Err(_) => Payload::Bytes(bytes.to_vec()),
    }
}

pub(super) fn json_packet(kind: u8, namespace: &str, id: &str, data: &str) -> String {
    let prefix = if namespace == "/" { String::new() } else { format!("{namespace},") };
    format!("4{kind}{prefix}{id}{data}")
}

pub(super) fn literal(text: &str) -> Template {
    Template(vec![Part::Literal(text.to_owned())])
}

pub(super) fn packet_outcome(pattern: &str) -> Outcome {
    Outcome::Packet(Match::Packet(literal(pattern)))
}

pub(super) fn packet_term(pattern: &str) -> Term {
    Term(vec![Choice(vec![packet_outcome(pattern)])])
}
