//! Close frames: their code and reason, and which codes may be sent (RFC 6455 section 7.4).

use bytestring::ByteString;

use crate::error::Error;

/// The close codes that RFC 6455 section 7.4.1 defines.
pub mod close_code {
    /// Normal closure: the purpose of the connection is fulfilled.
    pub const NORMAL: u16 = 1000;
    /// The endpoint is going away: a server shuts down, or the user leaves the page.
    pub const AWAY: u16 = 1001;
    /// The peer violated the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// The endpoint received a kind of data that it cannot accept.
    pub const UNSUPPORTED: u16 = 1003;
    /// Never sent. Stands for a close frame without a code.
    pub const NO_STATUS: u16 = 1005;
    /// Never sent. Stands for a connection that ended without a close frame.
    pub const ABNORMAL: u16 = 1006;
    /// The data of a message does not match its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: u16 = 1007;
    /// A message violates the endpoint's policy, and no other code fits.
    pub const POLICY: u16 = 1008;
    /// A message is too big.
    pub const TOO_BIG: u16 = 1009;
    /// The server ran into an unexpected condition and cannot continue.
    pub const INTERNAL: u16 = 1011;
}

/// The longest reason of a close frame, in bytes: a control frame holds 125 bytes and the code takes two.
pub const MAX_REASON: usize = 123;

/// The content of a close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
    pub code: u16,
    /// The reason, at most 123 bytes and often empty. It is meant for people, not for programs.
    pub reason: ByteString,
}

/// Returns whether a close frame may carry `code`: 1000 to 1003, 1007 to 1014 (the registered codes), and 3000 to 4999 (for libraries and
/// applications).
#[must_use]
pub const fn is_valid_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Parses the payload of a close frame.
pub(crate) fn parse_close(payload: &[u8]) -> Result<Option<CloseFrame>, Error> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return Err(Error::CloseLength);
    };
    let code = u16::from_be_bytes(*code);
    if !is_valid_close_code(code) {
        return Err(Error::CloseCode(code));
    }
    let reason = ByteString::try_from(reason).map_err(|_| Error::InvalidUtf8)?;
    Ok(Some(CloseFrame { code, reason }))
}
