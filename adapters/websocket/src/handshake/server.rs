//! The server's half: is this request a good opening, and what is the answer?

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
    #[error("the request does not name one WebSocket version")]
    MissingVersion,
    /// Another version than 13.
    #[error("the request asks for a WebSocket version other than 13")]
    UnsupportedVersion,
    /// `Sec-WebSocket-Key` is missing, given more than once, or is not 22 characters of the base64 alphabet and `==`.
    #[error("the request has no valid Sec-WebSocket-Key")]
    Key,
    /// `Sec-WebSocket-Protocol` has an element that is empty or no token of RFC 9110, or names one subprotocol twice.
    #[error("the request has an invalid Sec-WebSocket-Protocol")]
    Protocol,
}

impl RequestError {
    /// The status of the answer: 426 for another version, 400 for everything else.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::UnsupportedVersion => 426,
            Self::NotAnUpgrade | Self::MissingVersion | Self::Key | Self::Protocol => 400,
        }
    }

    /// The headers that RFC 6455 section 4.2.2 and RFC 9110 section 15.5.22 ask for in the answer: the version to try
    /// with status 426, nothing with 400.
    #[must_use]
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::UnsupportedVersion => {
                &[("Sec-WebSocket-Version", VERSION), ("Upgrade", "websocket"), ("Connection", "Upgrade")]
            }
            Self::NotAnUpgrade | Self::MissingVersion | Self::Key | Self::Protocol => &[],
        }
    }

    /// The whole answer as HTTP/1.1, for a server without an HTTP library: the status, the headers, and the error's text. It is the last
    /// one on its connection, and says so.
    #[must_use]
    pub fn to_http1(self) -> Vec<u8> {
        let body = self.to_string();
        // The reason is left empty, as any may.
        let mut answer = format!("HTTP/1.1 {} \r\nContent-Length: {}\r\n", self.status(), body.len());
        // Fields of one name add up to one list: `Connection: Upgrade` is as good as before.
        for (name, value) in self.headers().iter().chain(&[("Content-Type", "text/plain"), ("Connection", "close")]) {
            answer.extend([name, ": ", value, "\r\n"]);
        }
        answer.extend(["\r\n", &body]);
        answer.into_bytes()
    }
}

/// Checks the headers of a request and gives the value of `Sec-WebSocket-Accept`. Answer with status 101,
/// `Upgrade: websocket`, `Connection: Upgrade` and that value; the next byte is the first of the first frame.
///
/// Subprotocols are checked here and selected by the caller: see [`protocols`].
///
/// That the method is GET and the version of HTTP at least 1.1 is left to the caller, as are `Origin` and extensions: an answer that names
/// no extension refuses them.
///
/// # Errors
/// When RFC 6455 section 4.2.1 is not kept; answer with [`RequestError::status`] and [`RequestError::headers`], or with
/// [`RequestError::to_http1`].
pub fn accept<'a, N: AsRef<[u8]>, V: AsRef<[u8]> + ?Sized + 'a>(
    headers: impl IntoIterator<Item = (N, &'a V)>,
) -> Result<AcceptKey, RequestError> {
    let mut upgrade = false;
    let mut connection = false;
    let mut version = Single::Missing;
    let mut key = Single::Missing;
    // Sorted, so that finding a double stays cheap however many there are.
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

/// The subprotocols that a request offers in `Sec-WebSocket-Protocol`, in their order, which is the client's order of preference. Select
/// one, and name it in the answer; a client that has offered some and is told none gives up. Servers that speak every subprotocol alike
/// take the first one, as Node's `ws` does:
///
/// ```
/// use engineio_websocket::handshake::protocols;
///
/// let headers = [("Host", "example.com"), ("Sec-WebSocket-Protocol", "chat, superchat"), ("Sec-WebSocket-Protocol", "x")];
/// assert_eq!(protocols(headers).next(), Some("chat"));
/// assert_eq!(protocols(headers).find(|offered| ["x", "superchat"].contains(offered)), Some("superchat"));
/// ```
///
/// What is no token is left out; [`accept`] refuses a request that has such an element.
pub fn protocols<'a, N: AsRef<[u8]>, V: AsRef<[u8]> + ?Sized + 'a>(
    headers: impl IntoIterator<Item = (N, &'a V)>,
) -> impl Iterator<Item = &'a str> {
    let offers = headers.into_iter().filter(|(name, _)| name.as_ref().eq_ignore_ascii_case(PROTOCOL.as_bytes()));
    let offered = offers.flat_map(|(_, value)| elements(value.as_ref())).filter(|element| is_token(element));
    // A token is ASCII.
    offered.filter_map(|token| core::str::from_utf8(token).ok())
}

/// A header that must be given exactly once.
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

/// Whether this looks like the base64 of 16 bytes. Four bits of the last character mean nothing, and any may be set: RFC 6455 section 4.1
/// gives `AQIDBAUGBwgJCgsMDQ4PEC==` as an example, which a strict decoder refuses. Nobody decodes the key, so its form is all that counts.
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
