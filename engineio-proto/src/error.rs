//! What can go wrong, sorted by whose doing it is: [`SendError`] for the local caller, [`ParseError`] for the peer.

/// A command was refused; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is closing or closed. Drop the message.
    #[error("the session is closed: nothing more can be sent")]
    Closed,
    /// The session has not been opened yet. Send after [`Event::Open`](crate::Event::Open).
    #[error("the session is not open yet: send after the open event")]
    NotConnected,
    /// The outbound queue is full ([`Limits::max_outbound`](crate::Limits)). Try again after
    /// [`Event::Writable`](crate::Event::Writable), drop the message, or close the session.
    #[error("the outbound queue is full: wait for the writable event, or close the session")]
    Full,
    /// Text with the record separator U+001E, on a session that polls or may poll: it would be cut in two there. Send it as
    /// binary or escape it.
    #[error("text with the separator U+001E cannot travel over polling: send it as binary or escape it")]
    Separator,
}

/// Bytes of a peer that are no packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Nothing where a packet should be.
    #[error("empty packet")]
    Empty,
    /// The first character is no packet type.
    #[error("unknown packet type")]
    UnknownType,
    /// What follows a `b` is not base64.
    #[error("invalid base64")]
    Base64,
    /// Text that is not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// In a body of revision 3, a length that is none, or that is longer than what follows.
    #[error("no length in front of a packet, or one beyond the end")]
    Length,
    /// A WebTransport frame that announces no bytes.
    #[error("frame of length 0")]
    EmptyFrame,
    /// A WebTransport frame that announces more than [`Config::max_payload`](crate::Config) bytes.
    #[error("frame larger than the limit")]
    FrameTooLarge,
}
