//! The ids of requests, links and sessions.
//!
//! The side that starts an exchange chooses its id and never reuses it. A completion that arrives late is therefore harmless.

use core::fmt;

/// The id of an HTTP request. The driver of a server chooses it when it hands the request to a session. A client chooses it itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// The id of a WebSocket or WebTransport. The driver of a server chooses it when it hands the link to a session. A client chooses it itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// The id of a session, as it is on the wire.
///
/// It is a secret: anyone who has it can act as the peer. Make it with [`Sid::from_random`] from the output of a cryptographically secure
/// generator, or pass your own id to [`Sid::new`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid {
    length: u8,
    // Always zero after `length`, so that the derived comparisons compare the text.
    bytes: [u8; Sid::MAX_LENGTH],
}

/// The text is not a valid [`Sid`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a session id must have 1 to {max} characters from A-Z a-z 0-9 - _ . ~", max = Sid::MAX_LENGTH)]
pub struct InvalidSid;

impl Sid {
    /// The maximum length of an id, in bytes.
    pub const MAX_LENGTH: usize = 39;

    const ALPHABET: &'static [u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    /// Encodes 15 random bytes as 20 characters of URL-safe base64. The ids have the length of the reference's, and 120 random bits.
    #[must_use]
    pub fn from_random(random: [u8; 15]) -> Self {
        let mut bytes = [0; Self::MAX_LENGTH];
        for (group, out) in random.chunks_exact(3).zip(bytes.chunks_exact_mut(4)) {
            if let ([a, b, c], [w, x, y, z]) = (group, out) {
                let digit = |index: u8| Self::ALPHABET.get(usize::from(index & 63)).copied().unwrap_or(b'A');
                *w = digit(a >> 2);
                *x = digit(a << 4 | b >> 4);
                *y = digit(b << 2 | c >> 6);
                *z = digit(*c);
            }
        }
        Self { length: 20, bytes }
    }

    /// Makes an id from text: one that the application chose, or one from a query.
    ///
    /// # Errors
    /// [`InvalidSid`] if the text is empty, longer than [`Sid::MAX_LENGTH`], or has a character that is not an unreserved URL character.
    pub fn new(text: &str) -> Result<Self, InvalidSid> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let mut bytes = [0; Self::MAX_LENGTH];
        let room = bytes.get_mut(..text.len()).ok_or(InvalidSid)?;
        if text.is_empty() || !text.bytes().all(valid) {
            return Err(InvalidSid);
        }
        room.copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).map_err(|_| InvalidSid)?;
        Ok(Self { length, bytes })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Neither step can fail: the bytes are always ASCII.
        self.bytes
            .get(..usize::from(self.length))
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({})", self.as_str())
    }
}

/// Serialises the id as a string.
#[cfg(feature = "serde")]
impl serde::Serialize for Sid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_url_safe_base64() {
        assert_eq!(Sid::from_random([0; 15]).as_str(), "AAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Sid::from_random([0xff; 15]).as_str(), "____________________");
        assert_eq!(Sid::from_random(*b"Many hands make").as_str(), "TWFueSBoYW5kcyBtYWtl");
    }

    #[test]
    fn own_ids_are_checked() {
        assert_eq!(Sid::new("user-1.x~_").map(|sid| sid.as_str().len()), Ok(10));
        for bad in ["", "a b", "a/b", "ü", "0123456789012345678901234567890123456789"] {
            assert_eq!(Sid::new(bad), Err(InvalidSid), "{bad:?}");
        }
    }
}
