//! The id of a socket, which applications, rooms and other servers use.
//!
//! Within a connection, sockets are identified by a [`SocketHandle`](crate::SocketHandle), a number without meaning elsewhere.

use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;

use engineio_proto::{Sid, Text};
use serde::{Serialize, Serializer};

/// The id of a socket as it is sent on the wire. A clone shares the text.
///
/// It is separate from the id of the session below ([`Sid`]): sockets of other servers, sockets of other protocol versions
/// (`/admin#<id>`), and recovered sockets have ids that were created elsewhere. The id of a socket is also the name of a room
/// that contains only this socket.
///
/// If clients can choose room names, keep the id a secret between the socket and the server: a client that knows it could send
/// to the socket.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(Text);

/// The text is not a valid [`SocketId`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a socket id must have 1 to {max} bytes and no control characters", max = SocketId::MAX_LENGTH)]
pub struct InvalidSocketId;

impl SocketId {
    /// Maximum length of an id, in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// Creates an id from 15 bytes of a cryptographically secure generator: 20 characters of URL-safe base64, as in the
    /// reference.
    #[must_use]
    pub fn from_random(random: [u8; 15]) -> Self {
        Self(Sid::from_random(random).as_str().into())
    }

    /// Creates an id from text that was generated elsewhere.
    ///
    /// # Errors
    /// If the text is empty, is longer than [`SocketId::MAX_LENGTH`] bytes, or contains control characters.
    pub fn new(text: impl Into<Text>) -> Result<Self, InvalidSocketId> {
        let text = text.into();
        if text.is_empty() || text.len() > Self::MAX_LENGTH || text.chars().any(char::is_control) {
            return Err(InvalidSocketId);
        }
        Ok(Self(text))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as text that shares memory with it.
    pub(crate) const fn text(&self) -> &Text {
        &self.0
    }
}

impl AsRef<str> for SocketId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Allows looking up a `str` in a map with ids as keys.
impl Borrow<str> for SocketId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<SocketId> for String {
    fn from(id: SocketId) -> Self {
        Self::from(&*id.0)
    }
}

impl PartialEq<str> for SocketId {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for SocketId {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({})", self.0)
    }
}

/// Serialises the id as a string, because applications send ids to clients.
impl Serialize for SocketId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_of_any_make_are_taken_and_texts_that_could_break_a_log_are_not() {
        for good in ["a", "/admin#lqu9bnd3Uq5dkZQ2AAAB", "ü", "user 1"] {
            assert_eq!(SocketId::new(good).map(String::from), Ok(String::from(good)));
        }
        let longest = "x".repeat(SocketId::MAX_LENGTH);
        assert!(SocketId::new(&*longest).is_ok());
        for bad in ["", "a\nb", "\u{7f}", &(longest + "x")] {
            assert_eq!(SocketId::new(bad), Err(InvalidSocketId), "{bad:?}");
        }
    }

    #[test]
    fn a_set_of_ids_can_be_asked_for_a_text() {
        let ids = BTreeSet::from([SocketId::from_random([0; 15])]);
        assert!(ids.contains("AAAAAAAAAAAAAAAAAAAA"));
    }
}
