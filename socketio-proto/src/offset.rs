//! The two secrets of connection state recovery: the [`Offset`] of a packet and the [`PrivateId`] of a socket.
//!
//! Both are random bytes, written as URL-safe base64 of a fixed length. So a client knows only the offsets of packets that it
//! has received, learns nothing from them about other packets, and cannot make a server store or search long texts.

use core::fmt;
use core::str;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Writes the bytes as base64. Their number is a multiple of three, so there is no padding, and each text has one meaning.
fn write(bytes: &[u8], text: &mut [u8]) {
    for (group, out) in bytes.chunks_exact(3).zip(text.chunks_exact_mut(4)) {
        if let ([a, b, c], [w, x, y, z]) = (group, out) {
            let digit = |index: u8| ALPHABET.get(usize::from(index & 63)).copied().unwrap_or(b'A');
            *w = digit(a >> 2);
            *x = digit(a << 4 | b >> 4);
            *y = digit(b << 2 | c >> 6);
            *z = digit(*c);
        }
    }
}

/// Reads what [`write`] has written. Returns `None` for any other text.
fn read<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    };
    if text.len() != N / 3 * 4 {
        return None;
    }
    let mut bytes = [0; N];
    for (group, out) in text.chunks_exact(4).zip(bytes.chunks_exact_mut(3)) {
        if let ([w, x, y, z], [a, b, c]) = (group, out) {
            let (w, x, y, z) = (value(*w)?, value(*x)?, value(*y)?, value(*z)?);
            *a = w << 2 | x >> 4;
            *b = x << 4 | y >> 2;
            *c = y << 6 | z;
        }
    }
    Some(bytes)
}

macro_rules! secret {
    ($(#[$docs:meta])* $name:ident: $bytes:literal bytes, $length:literal characters, $what:literal) => {
        $(#[$docs])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Creates it from bytes of a cryptographically secure generator.
            #[must_use]
            pub const fn from_random(random: [u8; $bytes]) -> Self {
                Self(random)
            }

            /// Reads its text. Returns `None` if the text is not one that this type writes.
            #[must_use]
            pub fn from_text(text: &str) -> Option<Self> {
                read(text.as_bytes()).map(Self)
            }

            fn with_text<T>(&self, work: impl FnOnce(&str) -> T) -> T {
                let mut text = [b'A'; $length];
                write(&self.0, &mut text);
                work(str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.with_text(|text| f.write_str(text))
            }
        }

        /// Serialises it as a string.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.with_text(|text| serializer.serialize_str(text))
            }
        }

        /// Deserialises it from a string that this type has written.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::from_text(text).ok_or_else(|| E::invalid_value(Unexpected::Other("text"), &self))
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

secret! {
    /// Identifies a packet that is kept for sockets that return after a lost connection. It is the last argument of the packet's
    /// event, a string of 16 characters, and a client sends the last one that it has received when it returns.
    ///
    /// An offset has no order. The order of packets is that in which the [`Namespace`](crate::server::Namespace) has sent them.
    /// So an offset can be drawn and encoded before the packet's place in this order is known.
    Offset: 12 bytes, 16 characters, "an offset of 16 characters"
}

secret! {
    /// The private id of a socket, `pid`: a client that returns after a lost connection proves with it that it is the former one.
    /// Only the client and the server know it. 24 characters.
    PrivateId: 18 bytes, 24 characters, "a private id of 24 characters"
}

impl Offset {
    /// Passes the text of the offset to a function.
    pub(crate) fn text<T>(&self, work: impl FnOnce(&str) -> T) -> T {
        self.with_text(work)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offset({self})")
    }
}

/// Does not show the secret, so that it does not end in a log.
impl fmt::Debug for PrivateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateId(..)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn a_text_has_one_meaning_and_all_others_have_none() {
        for byte in 0..=u8::MAX {
            let mut random = [byte; 12];
            random[5] = byte.wrapping_mul(7);
            let offset = Offset::from_random(random);
            let text = offset.to_string();
            assert_eq!((text.len(), Offset::from_text(&text)), (16, Some(offset)));
        }
        let text = PrivateId::from_random([255; 18]).to_string();
        assert_eq!(text, "_".repeat(24));
        assert_eq!(PrivateId::from_text(&text), Some(PrivateId::from_random([255; 18])));
        for bad in ["", "A", "AAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAA+", "AAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAä"] {
            assert_eq!(Offset::from_text(bad), None, "{bad:?}");
        }
    }
}
