//! What a session tells the application, and why it ended.

use core::fmt;

use crate::error::ParseError;
use crate::message::Message;

/// What happened, in the order in which it happened. Taken with `poll_event`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The session is open: messages may be sent from now on. The first event.
    Open,
    /// A message of the peer.
    Message(Message),
    /// The session moved from polling to a link; order is kept and nothing is lost.
    Upgraded(LinkKind),
    /// A `send` was refused with [`SendError::Full`](crate::SendError::Full), and there is room again.
    Writable,
    /// The session ended. The last event; comes exactly once, also when the application closed it. Go on with `poll_transmit` until
    /// `is_drained`, then drop the session and its id.
    Closed(CloseReason),
}

/// What carries a session that does not poll.
///
/// Exhaustive: the protocol knows these two.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkKind {
    /// A WebSocket: messages.
    WebSocket,
    /// A WebTransport session's first bidirectional stream: bytes, framed by the session.
    WebTransport,
}

/// Why a session ended. Displays as the reference's reason string (engine.io `socket.ts`), which is all that applications of
/// the reference see; the details are for logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// No pong came in time.
    PingTimeout,
    /// The peer closed: a close packet, or its link went down in order.
    TransportClose,
    /// The carrier failed, or the peer broke a rule of it.
    TransportError(TransportError),
    /// The peer sent what is no packet.
    ParseError(ParseError),
    /// This side closed.
    ForcedClose,
}

/// What broke the carrier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A second GET while one was held, or one more while the replies to eight earlier ones lay unread.
    #[error("overlap from client")]
    PollOverlap,
    /// A second POST while one was being read.
    #[error("data request overlap from client")]
    PostOverlap,
    /// The connection of a held or unanswered GET went away.
    #[error("poll connection closed prematurely")]
    PollAborted,
    /// The connection of a POST went away before its body was complete.
    #[error("data request connection closed prematurely")]
    PostAborted,
    /// A POST of type `application/octet-stream`, which revision 4 does not know.
    #[error("invalid content")]
    InvalidContent,
    /// The body of a POST was larger than [`Config::max_payload`](crate::Config).
    #[error("payload too large")]
    PayloadTooLarge,
    /// The body of a POST came in more chunks than [`Limits::max_body_chunks`](crate::Limits).
    #[error("too many chunks")]
    TooManyChunks,
    /// The body of a POST was not complete within [`Config::body_timeout`](crate::Config).
    #[error("http request timeout")]
    BodyTimeout,
    /// A packet that only the other side may send (a ping from a client).
    #[error("invalid heartbeat direction")]
    HeartbeatDirection,
    /// The link failed: reset, protocol error, message too large.
    #[error("link failed")]
    LinkFailed,
    /// The peer went on sending while this side had stopped reading ([`Limits::max_inbound`](crate::Limits)).
    #[error("more unread input than limits.max_inbound allows")]
    InboundOverflow,
    /// The application did not read for longer than [`Limits::max_stall`](crate::Limits), and a pong may have lain unread all the time.
    #[error("the application has stopped reading")]
    Stalled,
    /// The request or link that opened the session never came.
    #[error("the session was never opened")]
    NeverOpened,
}

impl CloseReason {
    /// The reference's reason string.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError(_) => "transport error",
            Self::ParseError(_) => "parse error",
            Self::ForcedClose => "forced close",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
