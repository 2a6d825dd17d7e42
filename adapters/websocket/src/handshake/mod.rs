//! The opening handshake of a WebSocket (RFC 6455 section 4), without HTTP itself: the caller parses the headers of the peer and writes
//! the headers that this module returns.
//!
//! Headers are passed as an iterator of names and values. Those of `httparse`, the `http` crate and a plain list all work.

mod client;
mod deflate;
mod server;

pub use self::client::{ClientHandshake, ResponseError};
pub use self::deflate::{Deflate, deflate};
pub use self::server::{RequestError, accept, protocols};

use alloc::format;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The string that RFC 6455 section 1.3 appends to the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The only version of the protocol.
const VERSION: &str = "13";

/// The header in which a client offers subprotocols and a server selects one of them.
const PROTOCOL: &str = "Sec-WebSocket-Protocol";

/// The value of `Sec-WebSocket-Accept`: 28 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptKey([u8; 28]);

impl AcceptKey {
    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Base64 is ASCII.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The value as bytes, for a header map.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Encodes the whole response as HTTP/1.1, for a server without an HTTP library. The first frame follows it.
    ///
    /// The response accepts no extension. It selects `protocol`, which should be one of those that the client offered (see
    /// [`protocols`]), or none. This is not checked.
    #[must_use]
    pub fn to_http1(&self, protocol: Option<&str>) -> Vec<u8> {
        self.http1(protocol, None)
    }

    /// Like [`to_http1`](Self::to_http1), for a response that also accepts permessage-deflate as agreed on.
    #[must_use]
    pub fn to_http1_deflate(&self, protocol: Option<&str>, deflate: &Deflate) -> Vec<u8> {
        self.http1(protocol, Some((deflate::EXTENSIONS, &deflate.response())))
    }

    fn http1(&self, protocol: Option<&str>, header: Option<(&str, &str)>) -> Vec<u8> {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade";
        let mut answer = format!("{head}\r\nSec-WebSocket-Accept: {}\r\n", self.as_str());
        if let Some(protocol) = protocol {
            answer.extend([PROTOCOL, ": ", protocol, "\r\n"]);
        }
        if let Some((name, value)) = header {
            answer.extend([name, ": ", value, "\r\n"]);
        }
        answer.push_str("\r\n");
        answer.into_bytes()
    }
}

/// Computes the `Sec-WebSocket-Accept` for this `Sec-WebSocket-Key`, which is not validated.
#[must_use]
pub fn accept_key(sec_websocket_key: &[u8]) -> AcceptKey {
    let digest = Sha1::new().chain_update(sec_websocket_key).chain_update(GUID).finalize();
    let mut text = [0; 28];
    // Cannot fail: 20 bytes encode to 28 characters.
    let _ = STANDARD.encode_slice(digest, &mut text);
    AcceptKey(text)
}

/// The elements of a comma-separated list.
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Returns whether a comma-separated list contains `token`, ignoring case.
fn has_token(list: &[u8], token: &str) -> bool {
    elements(list).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// Returns whether this is a token (RFC 9110 section 5.6.2). Names of subprotocols are tokens.
fn is_token(bytes: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::{accept_key, has_token, is_token};

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ==").as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn tokens_are_whole_elements_in_any_case() {
        assert!(has_token(b"keep-alive, UpGrade", "upgrade"));
        assert!(!has_token(b"upgrades,up grade", "upgrade"));
    }

    #[test]
    fn tokens_are_made_of_what_rfc_9110_lists() {
        // The RFC excludes delimiters, spaces and everything that is not a visible character.
        let listed = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        for byte in 0..=u8::MAX {
            assert_eq!(is_token(&[b'a', byte]), listed.as_bytes().contains(&byte), "{byte}");
        }
        assert!(!is_token(b""));
    }
}
