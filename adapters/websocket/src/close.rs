//! Close frames: a code, a reason, and which codes may travel (RFC 6455 section 7.4).

use bytestring::ByteString;

use crate::error::Error;

/// Close codes with a name in RFC 6455 section 7.4.1.
pub mod close_code {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: u16 = 1000;
    /// The endpoint goes away: a server shuts down, a page is left.
    pub const AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// A kind of data that the endpoint cannot accept.
    pub const UNSUPPORTED: u16 = 1003;
    /// Never sent: stands for a close frame without a code.
    pub const NO_STATUS: u16 = 1005;
    /// Never sent: stands for a connection that ended without a close frame.
    pub const ABNORMAL: u16 = 1006;
    /// Data that contradicts its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: u16 = 1007;
    /// A message against the rules of the endpoint, where no other code fits.
    pub const POLICY: u16 = 1008;
    /// A message that is too big.
    pub const TOO_BIG: u16 = 1009;
    /// An unexpected condition keeps the server from going on.
    pub const INTERNAL: u16 = 1011;
}

/// The longest reason of a close frame, in bytes: a control frame holds 125 and the code takes two.
pub const MAX_REASON: usize = 123;

/// What a close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
    pub code: u16,
    /// The reason, at most 123 bytes; often empty. For people, not for programs.
    pub reason: ByteString,
}

/// Whether `code` may stand in a close frame: 1000 to 1003, 1007 to 1014 (the registered ones), and 3000 to 4999 for
/// libraries and applications.
#[must_use]
pub const fn is_valid_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the payload of a close frame.
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
