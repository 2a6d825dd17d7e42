//! What a socket sends when it joins its namespace: its auth, and what it needs to return as the former socket.
//!
//! Source: socket.io-client `lib/socket.ts`, `_sendConnectPacket`; socket.io-client 2.5 `lib/socket.js`, `onopen`.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use engineio_proto::Text;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::EncodeError;
use crate::json::ser::{Output, ValueSerializer};

/// The payload of CONNECT: an object. A member of the auth replaces the one of the same name, because it comes later.
#[derive(Serialize)]
pub(super) struct Connect<'a, T: Serialize> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<&'a str>,
    #[serde(flatten)]
    pub(super) auth: Option<T>,
}

/// The name of a namespace with the auth as its query, as servers of Socket.IO 1 and 2 expect it.
pub(super) fn with_query<T: Serialize + ?Sized>(namespace: &str, auth: &T) -> Result<Text, EncodeError> {
    let (mut json, mut attachments) = (String::new(), Vec::new());
    let mut output = Output { text: &mut json, attachments: &mut attachments, max_attachments: 0 };
    auth.serialize(ValueSerializer(&mut output))?;
    let members: Members<'_> =
        serde_json::from_str(&json).map_err(|_| EncodeError::invalid("the auth of a socket must be an object"))?;
    let mut name = String::from(namespace);
    for (index, (key, value)) in members.0.into_iter().enumerate() {
        name.push(if index == 0 { '?' } else { '&' });
        percent_encode(&mut name, &key);
        name.push('=');
        let value = value.get();
        match value.as_bytes().first() {
            Some(b'"') => percent_encode(&mut name, &serde_json::from_str::<String>(value).unwrap_or_default()),
            Some(b'{' | b'[') => {
                let reason = "for this server, the auth is a query: its members must be strings, numbers or booleans";
                return Err(EncodeError::invalid(reason));
            }
            _ => percent_encode(&mut name, value),
        }
    }
    Ok(name.into())
}

/// The members of an object, in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = object.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Escapes as `encodeURIComponent` does.
fn percent_encode(out: &mut String, text: &str) {
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auth_becomes_a_query_that_is_escaped_as_in_javascript() {
        #[derive(Serialize)]
        struct Auth<'a> {
            token: &'a str,
            #[serde(rename = "a b")]
            number: f64,
            yes: bool,
        }

        let auth = Auth { token: "a&b=\u{fc}\"", number: 1.5, yes: true };
        assert_eq!(&*with_query("/admin", &auth).unwrap(), "/admin?token=a%26b%3D%C3%BC%22&a%20b=1.5&yes=true");
        assert_eq!(&*with_query("/admin", &alloc::collections::BTreeMap::<&str, u8>::new()).unwrap(), "/admin");
        assert!(with_query("/admin", "text").is_err());
        assert!(with_query("/admin", &serde_json::json!({ "a": [1] })).is_err());
    }
}
