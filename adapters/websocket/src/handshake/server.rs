//! The server side of the opening handshake: validates the request and determines the response.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::{AcceptKey, PROTOCOL, VERSION, accept_key, elements, has_token, is_token};

/// Why a request does not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// `Upgrade` does not name `websocket`, or `Connection` does not name `upgrade`.
    #[error("the request does not ask for a WebSocket")]
    NotAnUpgrade,
    /// `Sec-WebSocket-Version` is missing or given more than once.
    #[error("the request does not name exactly one WebSocket version")]
    MissingVersion,
    /// A version other than 13.
    #[error("the request asks for a WebSocket version other than 13")]
    UnsupportedVersion,
    /// `Sec-WebSocket-Key` is missing, given more than once, or does not consist of 22 characters of the base64 alphabet and `==`.
    #[error("the request has no valid Sec-WebSocket-Key")]
    Key,
    /// `Sec-WebSocket-Protocol` has an element that is empty or not a token of RFC 9110, or names a subprotocol twice.
    #[error("the request has an invalid Sec-WebSocket-Protocol")]
    Protocol,
}

impl RequestError {
    /// The status of the response: 426 for an unsupported version, 400 for everything else.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::UnsupportedVersion => 426,
            Self::NotAnUpgrade | Self::MissingVersion | Self::Key | Self::Protocol => 400,
        }
    }

    /// The headers that RFC 6455 section 4.2.2 and RFC 9110 section 15.5.22 require in the response: the supported version with status
    /// 426, none with 400.
    #[must_use]
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::UnsupportedVersion => {
                &[("Sec-WebSocket-Version", VERSION), ("Upgrade", "websocket"), ("Connection", "Upgrade")]
            }
            Self::NotAnUpgrade | Self::MissingVersion | Self::Key | Self::Protocol => &[],
        }
    }

    /// Encodes the whole response as HTTP/1.1, for a server without an HTTP library: the status, the headers and the error text. It
    /// includes `Connection: close`, because it is the last response on its connection.
    #[must_use]
    pub fn to_http1(self) -> Vec<u8> {
        let body = self.to_string();
        // The reason phrase is empty, which HTTP allows.
        let mut answer = format!("HTTP/1.1 {} \r\nContent-Length: {}\r\n", self.status(), body.len());
        // Header fields of the same name form one list, so `Connection: Upgrade` remains in effect.
        for (name, value) in self.headers().iter().chain(&[("Content-Type", "text/plain"), ("Connection", "close")]) {
            answer.extend([name, ": ", value, "\r\n"]);
        }
        answer.extend(["\r\n", &body]);
        answer.into_bytes()
    }
}

/// Validates the headers of a request and returns the value of `Sec-WebSocket-Accept`. Respond with status 101, `Upgrade: websocket`,
/// `Connection: Upgrade` and that value. The next byte is the first byte of the first frame.
///
/// Offered subprotocols are validated here. The caller selects one: see [`protocols`].
///
/// The caller checks that the method is GET and that the HTTP version is at least 1.1. The caller also handles `Origin` and extensions: see
/// [`deflate`](super::deflate()). A response that names no extension refuses them.
///
/// # Errors
/// Fails if the request violates RFC 6455 section 4.2.1. Respond with [`RequestError::status`] and [`RequestError::headers`], or with
/// [`RequestError::to_http1`].
pub fn accept<'a, N: AsRef<[u8]>, V: AsRef<[u8]> + ?Sized + 'a>(
    headers: impl IntoIterator<Item = (N, &'a V)>,
) -> Result<AcceptKey, RequestError> {
    let mut upgrade = false;
    let mut connection = false;
    let mut version = Single::Missing;
    let mut key = Single::Missing;
    // A sorted set, so that finding duplicates stays cheap for any number of elements.
    let mut protocols = BTreeSet::new();
    let mut protocols_are_valid = true;
    for (name, value) in headers {
        let name = name.as_ref();
        let value = value.as_ref().trim_ascii();
        if name.eq_ignore_ascii_case(b"upgrade") {
            upgrade |= has_token(value, "websocket");
        } else if name.eq_ignore_ascii_case(b"connection") {
            connection |= has_token(value, "upgrade");
        } else if name.eq_ignore_ascii_case(b"sec-websocket-version") {
            version = version.and(value == VERSION.as_bytes());
        } else if name.eq_ignore_ascii_case(b"sec-websocket-key") {
            key = key.and(is_key(value).then(|| accept_key(value)));
        } else if name.eq_ignore_ascii_case(PROTOCOL.as_bytes()) {
            protocols_are_valid &= elements(value).all(|element| is_token(element) && protocols.insert(element));
        }
    }
    if !(upgrade && connection) {
        return Err(RequestError::NotAnUpgrade);
    }
    match version {
        Single::Once(true) => {}
        Single::Once(false) => return Err(RequestError::UnsupportedVersion),
        Single::Missing | Single::Repeated => return Err(RequestError::MissingVersion),
    }
    match key {
        Single::Once(Some(_)) if !protocols_are_valid => Err(RequestError::Protocol),
        Single::Once(Some(accept)) => Ok(accept),
        Single::Once(None) | Single::Missing | Single::Repeated => Err(RequestError::Key),
    }
}

/// The subprotocols that a request offers in `Sec-WebSocket-Protocol`, in the client's order of preference.
///
/// Select one and name it in the response: a client that offers subprotocols fails the connection if the server selects none. Servers to
/// which the subprotocol makes no difference take the first one, as Node's `ws` does:
///
/// ```
/// use engineio_websocket::handshake::protocols;
///
/// let headers = [("Host", "example.com"), ("Sec-WebSocket-Protocol", "chat, superchat"), ("Sec-WebSocket-Protocol", "x")];
/// assert_eq!(protocols(headers).next(), Some("chat"));
/// assert_eq!(protocols(headers).find(|offered| ["x", "superchat"].contains(offered)), Some("superchat"));
/// ```
///
/// Elements that are not tokens are skipped. [`accept`] refuses a request with such an element.
pub fn protocols<'a, N: AsRef<[u8]>, V: AsRef<[u8]> + ?Sized + 'a>(
    headers: impl IntoIterator<Item = (N, &'a V)>,
) -> impl Iterator<Item = &'a str> {
    let offers = headers.into_iter().filter(|(name, _)| name.as_ref().eq_ignore_ascii_case(PROTOCOL.as_bytes()));
    let offered = offers.flat_map(|(_, value)| elements(value.as_ref())).filter(|element| is_token(element));
    // A token is ASCII.
    offered.filter_map(|token| core::str::from_utf8(token).ok())
}

/// A header that must occur exactly once.
enum Single<T> {
    Missing,
    Once(T),
    Repeated,
}

impl<T> Single<T> {
    fn and(self, value: T) -> Self {
        match self {
            Self::Missing => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        }
    }
}

/// Returns whether this looks like the base64 of 16 bytes.
///
/// The last character carries four unused bits, and any of them may be set: the example `AQIDBAUGBwgJCgsMDQ4PEC==` in RFC 6455 section
/// 4.1 has one set, and a strict decoder refuses it. Nobody decodes the key, so checking its form is enough.
fn is_key(value: &[u8]) -> bool {
    let Some(letters) = value.strip_suffix(b"==") else { return false };
    letters.len() == 22 && letters.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_written_whole() {
        assert_eq!(
            RequestError::UnsupportedVersion.to_http1(),
            b"HTTP/1.1 426 \r\nContent-Length: 54\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Content-Type: text/plain\r\nConnection: close\r\n\r\nthe request asks for a WebSocket version other than 13"
        );
        assert_eq!(
            RequestError::NotAnUpgrade.to_http1(),
            b"HTTP/1.1 400 \r\nContent-Length: 40\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
              the request does not ask for a WebSocket"
        );
    }
}
