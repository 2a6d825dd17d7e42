//! Protocol errors of a peer, and the close code that reports them to it.

use crate::close_code;

/// A protocol error of the peer. It ends the connection.
///
/// A [`Connection`](crate::Connection) sends the peer a close frame with [`Error::close_code`]; a user of a
/// [`Decoder`](crate::Decoder) has to send it. Nothing more is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A reserved bit is set, but no negotiated extension defines it (RFC 6455 section 5.2).
    #[error("the peer set a reserved bit of a frame without an extension that uses it")]
    ReservedBit,
    /// An opcode that RFC 6455 reserves.
    #[error("the peer sent a frame with the reserved opcode {0}")]
    ReservedOpcode(u8),
    /// A client sent a frame without a mask (RFC 6455 section 5.1).
    #[error("the client sent a frame without a mask")]
    Unmasked,
    /// A server sent a frame with a mask (RFC 6455 section 5.1).
    #[error("the server sent a frame with a mask")]
    Masked,
    /// A length that would fit a shorter form (RFC 6455 section 5.2 requires the shortest).
    #[error("the peer encoded a payload length in more bytes than necessary")]
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
    /// A continuation frame without an unfinished message.
    #[error("the peer sent a continuation frame without an unfinished message")]
    UnexpectedContinuation,
    /// A new message before the previous one is finished.
    #[error("the peer began a new message before finishing the previous one")]
    ExpectedContinuation,
    /// A close frame with a payload of one byte.
    #[error("the peer sent a close frame with only half of a code")]
    CloseLength,
    /// A close frame with a code that may not be sent (RFC 6455 section 7.4).
    #[error("the peer sent a close frame with the invalid code {0}")]
    CloseCode(u16),
    /// A text message or the reason of a close frame is not UTF-8.
    #[error("the peer sent text that is not valid UTF-8")]
    InvalidUtf8,
    /// A message larger than [`Limits::max_message`](crate::Limits::max_message).
    #[error("the peer sent a message that is larger than the limit")]
    MessageTooBig,
    /// A message with more frames than [`Limits::max_fragments`](crate::Limits::max_fragments).
    #[error("the peer split a message into more frames than the limit allows")]
    TooManyFragments,
    /// A compressed message that is not valid deflate (RFC 1951), or is cut off.
    #[error("the peer sent a compressed message that cannot be inflated")]
    Deflate,
    /// A compressed message of far more deflate blocks than its size explains. The tables of a block take longer to build than hundreds of
    /// bytes to inflate. A message may have 64 of them, one more for each of its frames, and one more for each 32 bytes, compressed and
    /// inflated together. Blocks of plain bytes do not count.
    #[error("the peer compressed a message into far more blocks than its size needs")]
    TooManyBlocks,
}

impl Error {
    /// The close code that reports this error (RFC 6455 section 7.4.1): 1002 for violations of the protocol, 1007 for text that is not
    /// UTF-8 and for a message that cannot be inflated, 1009 for a message that is too big, and 1008 for a message of too many frames or
    /// blocks.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::Deflate => close_code::INVALID_PAYLOAD,
            Self::MessageTooBig => close_code::TOO_BIG,
            Self::TooManyFragments | Self::TooManyBlocks => close_code::POLICY,
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
