//! The client side of the opening handshake: creates the key of the request and validates the response.

use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::deflate::{self, Deflate, EXTENSIONS, TERMS};
use super::{PROTOCOL, VERSION, accept_key, has_token};

/// Why a response does not open the WebSocket. The connection cannot be used for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// A status other than 101: the server refuses, redirects or requires authentication.
    #[error("the server answered with status {0} instead of 101")]
    Status(u16),
    /// `Upgrade` does not name `websocket`, or `Connection` does not name `upgrade`.
    #[error("the server did not switch to WebSocket")]
    NotAnUpgrade,
    /// `Sec-WebSocket-Accept` is missing or does not belong to the key.
    #[error("the server did not send a valid Sec-WebSocket-Accept")]
    Accept,
    /// The server chose an extension that was not offered, or not under the terms of the offer.
    #[error("the server chose an extension, or terms of it, that were not offered")]
    Extension,
    /// The server chose a subprotocol that was not offered, or several.
    #[error("the server chose a subprotocol that was not offered")]
    Protocol,
    /// The server chose no subprotocol although some were offered. RFC 6455 leaves the decision to the client. Browsers and Node's `ws`
    /// also fail the connection.
    #[error("the server chose none of the offered subprotocols")]
    NoProtocol,
}

/// The opening handshake of a client.
#[derive(Clone, Debug)]
pub struct ClientHandshake<'a> {
    key: [u8; 24],
    protocols: &'a [&'a str],
    /// The list of subprotocols as the value of a header.
    offer: String,
    deflate: bool,
}

impl<'a> ClientHandshake<'a> {
    /// Creates a handshake with the nonce `random`: 16 random bytes, new for each connection.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        let mut key = [0; 24];
        // Cannot fail: 16 bytes encode to 24 characters.
        let _ = STANDARD.encode_slice(random, &mut key);
        Self { key, protocols: &[], offer: String::new(), deflate: false }
    }

    /// Offers permessage-deflate without context takeover in both directions. Whether the server has accepted it tells
    /// [`deflate`](Self::deflate).
    #[must_use]
    pub fn with_deflate(mut self) -> Self {
        self.deflate = true;
        self
    }

    /// Offers these subprotocols, in order of preference, and requires the server to select one of them. Each must be a token of RFC 9110
    /// and must occur only once. Servers refuse anything else with status 400.
    #[must_use]
    pub fn with_protocols(mut self, protocols: &'a [&'a str]) -> Self {
        self.protocols = protocols;
        self.offer = protocols.join(", ");
        self
    }

    /// The value of `Sec-WebSocket-Key`.
    #[must_use]
    pub fn key(&self) -> &str {
        // Base64 is ASCII.
        core::str::from_utf8(&self.key).unwrap_or_default()
    }

    /// The headers of the GET request. `Host` and headers of the application are not included.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", VERSION),
            ("Sec-WebSocket-Key", self.key()),
        ];
        let protocols = (!self.protocols.is_empty()).then_some((PROTOCOL, &*self.offer));
        headers.into_iter().chain(protocols).chain(self.deflate.then_some((EXTENSIONS, TERMS)))
    }

    /// Returns whether a response that [`check`](Self::check) has validated accepts permessage-deflate, and on which terms. Create the
    /// decoder with `Decoder::inflate`, of the feature `deflate`, then.
    pub fn deflate<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Option<Deflate> {
        let mut accepted = None;
        for (name, value) in headers {
            if name.as_ref().eq_ignore_ascii_case(EXTENSIONS.as_bytes()) {
                deflate::check(value.as_ref(), &mut accepted).ok()?;
            }
        }
        accepted.filter(|_| self.deflate)
    }

    /// Validates the response and returns the subprotocol that the server chose, if any were offered. After `Ok`, the next byte is the
    /// first byte of the first frame.
    ///
    /// # Errors
    /// Fails if RFC 6455 section 4.1 requires the connection to fail, or if subprotocols were offered and none was chosen.
    pub fn check<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Option<&'a str>, ResponseError> {
        if status != 101 {
            return Err(ResponseError::Status(status));
        }
        let mut upgrade = false;
        let mut connection = false;
        let mut accepted = None;
        let mut protocol = None;
        let mut deflate = None;
        for (name, value) in headers {
            let name = name.as_ref();
            let value = value.as_ref().trim_ascii();
            if name.eq_ignore_ascii_case(b"upgrade") {
                upgrade |= value.eq_ignore_ascii_case(b"websocket");
            } else if name.eq_ignore_ascii_case(b"connection") {
                connection |= has_token(value, "upgrade");
            } else if name.eq_ignore_ascii_case(b"sec-websocket-accept") {
                let right = value == accept_key(&self.key).as_bytes();
                accepted = Some(right && accepted.unwrap_or(true));
            } else if name.eq_ignore_ascii_case(b"sec-websocket-extensions") && !value.is_empty() {
                if !self.deflate || deflate::check(value, &mut deflate).is_err() {
                    return Err(ResponseError::Extension);
                }
            } else if name.eq_ignore_ascii_case(PROTOCOL.as_bytes()) {
                let offered = self.protocols.iter().find(|offered| offered.as_bytes() == value);
                let (Some(offered), None) = (offered, protocol) else {
                    return Err(ResponseError::Protocol);
                };
                protocol = Some(*offered);
            }
        }
        if !(upgrade && connection) {
            return Err(ResponseError::NotAnUpgrade);
        }
        if accepted != Some(true) {
            return Err(ResponseError::Accept);
        }
        if protocol.is_none() && !self.protocols.is_empty() {
            return Err(ResponseError::NoProtocol);
        }
        Ok(protocol)
    }
}
