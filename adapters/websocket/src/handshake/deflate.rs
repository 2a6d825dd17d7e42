//! The negotiation of permessage-deflate (RFC 7692 section 7.1), without context takeover in both directions.

use alloc::string::String;

use super::is_token;

/// The header in which a client offers extensions and a server accepts some of them.
pub(super) const EXTENSIONS: &str = "Sec-WebSocket-Extensions";

/// What a client offers, and what a server answers, unless the offer limits the reach of its compression.
pub(super) const TERMS: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The reach of deflate, as a power of two, and the largest one that can be agreed on.
const MAX_WINDOW_BITS: u8 = 15;

/// The smallest reach that can be agreed on.
const MIN_WINDOW_BITS: u8 = 8;

/// An agreement on permessage-deflate, without context takeover in both directions: each message is compressed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// The limit of the reach of this end's compression, as a power of two.
    window_bits: Option<u8>,
}

impl Deflate {
    /// Returns whether this end may compress a message of `length` bytes. It always may, unless the peer has limited the reach of the
    /// compression (`server_max_window_bits`): then only messages within that reach, because the compressor of the feature `deflate` cannot limit
    /// its own.
    #[must_use]
    #[inline]
    pub fn takes(&self, length: usize) -> bool {
        match self.window_bits {
            None | Some(MAX_WINDOW_BITS..) => true,
            Some(bits) => length <= 1 << bits,
        }
    }

    /// The value of `Sec-WebSocket-Extensions` in the response of a server.
    #[must_use]
    pub fn response(&self) -> String {
        match self.window_bits {
            None => TERMS.into(),
            Some(bits) => alloc::format!("{TERMS}; server_max_window_bits={bits}"),
        }
    }
}

/// Selects the first offer of permessage-deflate in a request that can be accepted. Send [`Deflate::response`] in the response, and create
/// the decoder with `Decoder::inflate`, of the feature `deflate`.
///
/// An offer is declined if it has a parameter that is unknown, occurs twice or has an invalid value. Other extensions are passed over. If
/// a header is not a list of extensions at all, nothing is accepted: the connection works without compression.
///
/// ```
/// use engineio_websocket::handshake::deflate;
///
/// let offer = deflate([("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]).expect("a good offer");
/// assert_eq!(offer.response(), "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
/// assert_eq!(deflate([("Sec-WebSocket-Extensions", "permessage-deflate; level=9")]), None);
/// ```
pub fn deflate<'a, N: AsRef<[u8]>, V: AsRef<[u8]> + ?Sized + 'a>(
    headers: impl IntoIterator<Item = (N, &'a V)>,
) -> Option<Deflate> {
    let mut accepted = None;
    for (_, value) in headers.into_iter().filter(|(name, _)| name.as_ref().eq_ignore_ascii_case(EXTENSIONS.as_bytes()))
    {
        let mut list = List(value.as_ref());
        while let Some(extension) = list.next().ok()? {
            let offer = extension.deflate.filter(|_| accepted.is_none());
            accepted = accepted.or(offer.map(|offer| Deflate { window_bits: offer.server_max_window_bits }));
        }
    }
    accepted
}

/// Checks the extensions that a server has accepted: at most one, permessage-deflate under the terms that were offered.
pub(super) fn check(value: &[u8], accepted: &mut Option<Deflate>) -> Result<(), Invalid> {
    let mut list = List(value);
    while let Some(extension) = list.next()? {
        let terms = extension.deflate.ok_or(Invalid)?;
        // The parameter for the client's compression may only answer an offer of it, and we make none.
        if accepted.is_some() || !terms.server_no_context_takeover || terms.client_max_window_bits {
            return Err(Invalid);
        }
        // The limit is for the server. Its messages can be inflated whatever it is.
        *accepted = Some(Deflate { window_bits: None });
    }
    Ok(())
}

/// The header violates the grammar of RFC 6455 section 9.1, or says what was not offered.
pub(super) struct Invalid;

/// An extension of the list, with its parameters.
struct Extension {
    /// The parameters, if this is permessage-deflate and they are valid.
    deflate: Option<Terms>,
}

/// The parameters of permessage-deflate. They have no other values here than RFC 7692 section 7.1 defines.
#[derive(Default)]
struct Terms {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: bool,
}

impl Terms {
    /// Adds a parameter. Returns `None` if it is unknown, a repetition, or has an invalid value.
    fn add(&mut self, name: &[u8], value: Option<Value>) -> Option<()> {
        let taken = match (name, value) {
            (b"server_no_context_takeover", None) => core::mem::replace(&mut self.server_no_context_takeover, true),
            (b"client_no_context_takeover", None) => core::mem::replace(&mut self.client_no_context_takeover, true),
            (b"server_max_window_bits", Some(Value(Some(bits)))) => self.server_max_window_bits.replace(bits).is_some(),
            // Without a value, a client only says that it knows the parameter.
            (b"client_max_window_bits", None | Some(Value(Some(_)))) => {
                core::mem::replace(&mut self.client_max_window_bits, true)
            }
            _ => return None,
        };
        (!taken).then_some(())
    }
}

/// The value of a parameter, if it is a number of window bits.
struct Value(Option<u8>);

impl Value {
    fn new(bytes: impl Iterator<Item = u8> + Clone) -> Self {
        let number = |bits: &u8| {
            let (tens, ones) = (b'0'.saturating_add(bits / 10), b'0'.saturating_add(bits % 10));
            let digits = if *bits < 10 { [0, ones] } else { [tens, ones] };
            bytes.clone().eq(digits.into_iter().filter(|digit| *digit > 0))
        };
        Self((MIN_WINDOW_BITS..=MAX_WINDOW_BITS).find(number))
    }
}

/// A header's list of extensions, of which the rest is still to be read (RFC 6455 section 9.1).
struct List<'a>(&'a [u8]);

impl<'a> List<'a> {
    /// Reads the next extension. Empty elements are skipped, as in every list of HTTP (RFC 9110 section 5.6.1.2).
    fn next(&mut self) -> Result<Option<Extension>, Invalid> {
        while self.take(b',') {}
        if self.0.is_empty() {
            return Ok(None);
        }
        let name = self.token()?;
        let mut deflate = (name == b"permessage-deflate").then(Terms::default);
        while self.take(b';') {
            let name = self.token()?;
            let value = if self.take(b'=') { Some(self.value()?) } else { None };
            deflate = deflate.and_then(|mut terms| terms.add(name, value).map(|()| terms));
        }
        if self.0.is_empty() || self.take(b',') { Ok(Some(Extension { deflate })) } else { Err(Invalid) }
    }

    /// Skips spaces, then this byte. Returns false if something else follows.
    fn take(&mut self, byte: u8) -> bool {
        self.0 = self.0.trim_ascii_start();
        match self.0.strip_prefix(&[byte]) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn token(&mut self) -> Result<&'a [u8], Invalid> {
        self.0 = self.0.trim_ascii_start();
        let end = self.0.iter().position(|byte| !is_token(&[*byte])).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        if token.is_empty() { Err(Invalid) } else { Ok(token) }
    }

    /// Reads a token or a quoted string, whose content has to be a token as well.
    fn value(&mut self) -> Result<Value, Invalid> {
        if !self.take(b'"') {
            return self.token().map(|token| Value::new(token.iter().copied()));
        }
        let mut escaped = false;
        let end = self.0.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let (content, rest) = self.0.split_at(end.ok_or(Invalid)?);
        self.0 = rest.get(1..).unwrap_or_default();
        let mut escaped = false;
        let plain = content.iter().copied().filter(move |byte| {
            escaped = *byte == b'\\' && !escaped;
            !escaped
        });
        if content.is_empty() || !plain.clone().all(|byte| is_token(&[byte])) {
            return Err(Invalid);
        }
        Ok(Value::new(plain))
    }
}
