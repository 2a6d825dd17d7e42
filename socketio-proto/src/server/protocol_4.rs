//! What differs for clients of protocol 4: Socket.IO 1 and 2, over revision 3 of Engine.IO.
//!
//! * The client joins `/` without asking ([`Connection`](super::Connection) requests it when the session opens).
//! * The name of a namespace may have a query, which takes the place of the payload of CONNECT: `/admin?token=1`.
//! * The client derives the ids of its sockets from the id of the session: the id itself for `/`, `/admin#id` for `/admin`. The reply to
//!   CONNECT has no payload.
//! * The payload of CONNECT_ERROR is the data of the refusal, or else its message.
//!
//! Everything else is as in protocol 5: the parser, acks, rooms and the order of events. Packets for rooms are encoded once for clients of
//! both protocols.
//!
//! The reference reads the name of a namespace as the path of a URL. It therefore escapes `/é` to `/%C3%A9`, which its clients then do not
//! recognise, and resolves `..`. Here, the name is what the client has sent.
//!
//! Source: socket.io 4.8.4 `lib/client.ts` (`_parseNamespace`), `lib/socket.ts` (`constructor`, `_onconnect`), `lib/namespace.ts` (`_add`).

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use engineio_proto::{Sid, Text, query_parameters};
use serde::Serialize;

use crate::config::Limits;
use crate::id::SocketId;
use crate::json::ser::{self, Output, ValueSerializer};
use crate::packet::PacketType;
use crate::payload::Payload;

/// The number of parameters of a query that are read. The first ones count, as in the forms that the reference reads.
const MAX_PARAMETERS: usize = 1000;

/// Splits the name of a namespace from its query. A fragment is dropped.
pub(super) fn split(namespace: Text) -> (Text, Option<Text>) {
    let Some(end) = memchr::memchr2(b'?', b'#', namespace.as_bytes()) else { return (namespace, None) };
    let (name, rest) = namespace.split_at_checked(end).unwrap_or_default();
    let query = rest.strip_prefix('?').map(|query| query.split_once('#').map_or(query, |(query, _)| query));
    (namespace.slice_ref(name), query.map(|query| namespace.slice_ref(query)))
}

/// The payload of a CONNECT whose namespace had this query: an object of texts. `None` if the query has no parameters. Of several
/// parameters with the same name, the last one counts.
pub(super) fn auth(query: &str, limits: &Limits) -> Option<Payload> {
    let mut members: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    let mut places = BTreeMap::new();
    for (name, value) in query_parameters(query).take(MAX_PARAMETERS) {
        let place = *places.entry(name.clone()).or_insert(members.len());
        match members.get_mut(place) {
            Some(member) => member.1 = value,
            None => members.push((name, value)),
        }
    }
    if members.is_empty() {
        return None;
    }
    let mut json = String::with_capacity(query.len().saturating_mul(2));
    for (name, value) in members {
        json.push(if json.is_empty() { '{' } else { ',' });
        ser::string(&mut json, &name);
        json.push(':');
        ser::string(&mut json, &value);
    }
    json.push('}');
    Payload::from_json(PacketType::Connect, json.into(), Vec::new(), limits).ok()
}

/// The id that the client derives for its socket. `None` if the name is too long for an id or has control characters: the id is then a
/// secret of the server, and the client's own idea of it differs.
pub(super) fn socket_id(sid: Sid, namespace: &str) -> Option<SocketId> {
    if namespace == "/" {
        return SocketId::new(sid.as_str()).ok();
    }
    SocketId::new([namespace, "#", sid.as_str()].concat()).ok()
}

/// Whether JavaScript takes the data of a refusal for none: `null`, `false`, 0 and the empty string.
pub(super) fn is_falsy<D: Serialize + ?Sized>(data: &D) -> bool {
    let (mut text, mut attachments) = (String::new(), Vec::new());
    let mut output = Output { text: &mut text, attachments: &mut attachments, max_attachments: 0 };
    // What cannot be serialised is reported when it is encoded.
    data.serialize(ValueSerializer(&mut output)).is_ok()
        && matches!(&*text, "null" | "false" | "0" | "-0" | "0.0" | "-0.0" | r#""""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_no_part_of_the_name() {
        for (text, name, query) in [
            ("/", "/", None),
            ("/a", "/a", None),
            ("/a?", "/a", Some("")),
            ("/a?b=1", "/a", Some("b=1")),
            ("/a?b=1?c#d?e", "/a", Some("b=1?c")),
            ("/a#d?e", "/a", None),
            ("/?x", "/", Some("x")),
            ("/\u{e9}?\u{20ac}", "/\u{e9}", Some("\u{20ac}")),
        ] {
            let (found, rest) = split(text.into());
            assert_eq!((&*found, rest.as_deref()), (name, query), "{text}");
        }
    }

    #[test]
    fn a_query_becomes_an_object_of_texts() {
        let json = |query: &str| {
            let payload = auth(query, &Limits::default())?;
            Some(String::from(payload.raw_args()))
        };
        assert_eq!(json("").as_deref(), None);
        assert_eq!(json("&&").as_deref(), None);
        assert_eq!(json("token=12%2034&uid=abcd").as_deref(), Some(r#"{"token":"12 34","uid":"abcd"}"#));
        assert_eq!(json("a=1&b&a=%222+%5C&=x").as_deref(), Some(r#"{"a":"\"2 \\","b":"","":"x"}"#));
        assert_eq!(json("%ff=%00").as_deref(), Some("{\"\u{fffd}\":\"\\u0000\"}"));
        let many = "a&".repeat(MAX_PARAMETERS) + "late=1";
        assert_eq!(json(&many).as_deref(), Some(r#"{"a":""}"#));
    }

    #[test]
    fn ids_are_those_that_clients_derive() {
        let sid = Sid::from_random([0; 15]);
        assert_eq!(socket_id(sid, "/").map(String::from).as_deref(), Some("AAAAAAAAAAAAAAAAAAAA"));
        assert_eq!(socket_id(sid, "/admin").map(String::from).as_deref(), Some("/admin#AAAAAAAAAAAAAAAAAAAA"));
        assert_eq!(socket_id(sid, &"/".repeat(300)), None);
        assert_eq!(socket_id(sid, "/a\nb"), None);
    }

    #[test]
    fn what_javascript_takes_for_no_data_is_none() {
        assert!(is_falsy(&()) && is_falsy(&false) && is_falsy(&0) && is_falsy("") && is_falsy(&0.0) && is_falsy(&-0.0));
        assert!(is_falsy(&None::<u8>) && is_falsy(&f64::NAN));
        assert!(!is_falsy(&true) && !is_falsy(&1) && !is_falsy("0") && !is_falsy(&[0; 0]));
    }
}
