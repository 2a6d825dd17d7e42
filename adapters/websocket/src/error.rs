//! What a peer can do wrong inside the WebSocket protocol, and the close code that tells it so.

use crate::close_code;

/// What the peer did that ends the connection.
///
/// Sent to the peer as a close frame with [`Error::close_code`]; after it nothing more is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A reserved bit is set that no extension gave a meaning to (RFC 6455 section 5.2).
    #[error("the peer set a reserved bit of a frame without an extension that uses it")]
    ReservedBit,
    /// An operation code that RFC 6455 reserves.
    #[error("the peer sent a frame with the reserved operation code {0}")]
    ReservedOpcode(u8),
    /// A client sent a frame without a mask (RFC 6455 section 5.1).
    #[error("the client sent a frame without a mask")]
    Unmasked,
    /// A server sent a frame with a mask (RFC 6455 section 5.1).
    #[error("the server sent a frame with a mask")]
    Masked,
    /// A length that fits a shorter form (RFC 6455 section 5.2 wants the shortest).
    #[error("the peer wrote a payload length in more bytes than it needs")]
    LengthNotMinimal,
    /// A 64-bit length with its highest bit set.
    #[error("the peer announced a payload length above 63 bits")]
    LengthOutOfRange,
    /// A control frame of more than 125 bytes.
    #[error("the peer sent a control frame of more than 125 bytes")]
    ControlTooLong,
    /// A control frame that is not final.
    #[error("the peer sent a fragmented control frame")]
    ControlFragmented,
    /// A continuation frame while no message is unfinished.
    #[error("the peer continued a message that it had not begun")]
    UnexpectedContinuation,
    /// A new message while another one is unfinished.
    #[error("the peer began a message inside an unfinished one")]
    ExpectedContinuation,
    /// A close frame with a payload of one byte.
    #[error("the peer sent a close frame with half a code")]
    CloseLength,
    /// A close frame with a code that must not be sent (RFC 6455 section 7.4).
    #[error("the peer sent a close frame with the invalid code {0}")]
    CloseCode(u16),
    /// A text message, or the reason of a close frame, that is not UTF-8.
    #[error("the peer sent text that is not UTF-8")]
    InvalidUtf8,
    /// A message larger than [`Limits::max_message`](crate::Limits::max_message).
    #[error("the peer sent a message that is larger than the limit")]
    MessageTooBig,
    /// A message of more frames than [`Limits::max_fragments`](crate::Limits::max_fragments).
    #[error("the peer cut a message into more frames than the limit")]
    TooManyFragments,
}

impl Error {
    /// The close code (RFC 6455 section 7.4.1) that tells the peer: 1002 for breaches of the protocol, 1007 for text
    /// that is not UTF-8, 1009 for a message that is too big, 1008 for one in too many pieces.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::InvalidUtf8 => close_code::INVALID_PAYLOAD,
            Self::MessageTooBig => close_code::TOO_BIG,
            Self::TooManyFragments => close_code::POLICY,
            Self::ReservedBit
            | Self::ReservedOpcode(_)
            | Self::Unmasked
            | Self::Masked
            | Self::LengthNotMinimal
            | Self::LengthOutOfRange
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::CloseLength
            | Self::CloseCode(_) => close_code::PROTOCOL,
        }
    }
}
