//! The id of a socket: what the application, rooms and other servers know it by.
//!
//! A connection tells its own sockets apart by a [`SocketHandle`](crate::SocketHandle), a number that means nothing elsewhere.

use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;

use engineio_proto::{Sid, Text};
use serde::{Serialize, Serializer};

/// The id of a socket, as it travels on the wire. A clone shares the text.
///
/// It is text of its own, and not the id of the session below ([`Sid`]): sockets of other servers, of other versions of the protocol
/// (`/admin#<id>`), and those that were recovered have ids that were made elsewhere. A socket's id is also the name of a room with the
/// socket alone in it.
///
/// It is a secret between the socket and the server for as long as clients cannot name a room: whoever knows it could speak to the
/// socket.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(Text);

/// A text that cannot be a [`SocketId`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a socket id has 1 to {max} bytes and no control characters", max = SocketId::MAX_LENGTH)]
pub struct InvalidSocketId;

impl SocketId {
    /// The longest id that is taken, in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// The 20 characters (URL-safe base64) of 15 bytes of a cryptographically secure generator, as the reference's ids.
    #[must_use]
    pub fn from_random(random: [u8; 15]) -> Self {
        Self(Sid::from_random(random).as_str().into())
    }

    /// An id that was made elsewhere.
    ///
    /// # Errors
    /// When the text is empty, longer than [`SocketId::MAX_LENGTH`], or holds control characters.
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

    /// The id as text that shares its memory.
    pub(crate) const fn text(&self) -> &Text {
        &self.0
    }
}

impl AsRef<str> for SocketId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A map with ids as keys can be asked for a text.
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

/// As a string: applications send ids to clients.
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
