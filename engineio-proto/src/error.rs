//! Errors: [`SendError`] is returned to the local caller, [`ParseError`] describes invalid input from the peer.

/// A command was refused. The session is unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is closing or closed. The message cannot be sent.
    #[error("the session is closed: nothing more can be sent")]
    Closed,
    /// The session has not been opened yet. Send after [`Event::Open`](crate::Event::Open).
    #[error("the session is not open yet: send after the open event")]
    NotConnected,
    /// The outbound queue is full ([`Limits::max_outbound`](crate::Limits)). Try again after
    /// [`Event::Writable`](crate::Event::Writable), drop the message, or close the session.
    #[error("the outbound queue is full: wait for the writable event, or close the session")]
    Full,
    /// The text contains the record separator U+001E and the session polls or may poll, where the peer would split the text in two. Send
    /// it as binary, or escape the separator.
    #[error("text with the separator U+001E cannot be sent over polling: send it as binary or escape it")]
    Separator,
}

/// The peer sent bytes that are not a valid packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The packet is empty.
    #[error("empty packet")]
    Empty,
    /// The first character is not a packet type.
    #[error("unknown packet type")]
    UnknownType,
    /// The data after a `b` is not base64.
    #[error("invalid base64")]
    Base64,
    /// The text is not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// In a body of revision 3, the length of a packet is missing, is not a number, or exceeds the rest of the body.
    #[error("missing or invalid packet length")]
    Length,
    /// A WebTransport frame announces a length of 0.
    #[error("frame of length 0")]
    EmptyFrame,
    /// A WebTransport frame announces more than [`Config::max_payload`](crate::Config) bytes.
    #[error("frame larger than max_payload")]
    FrameTooLarge,
}
