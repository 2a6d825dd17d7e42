//! The events of a session, what carries it, and the reasons why it ends. The same for both ends.

use core::fmt;
use core::num::NonZeroU16;

use crate::error::ParseError;
use crate::message::Message;

/// An event of a session. `poll_event` returns events in the order in which they happened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The session is open, and messages can be sent. This is the first event.
    Open,
    /// The peer sent a message.
    Message(Message),
    /// The session moved from polling to a link. No message is lost, and their order is kept.
    Upgraded(LinkKind),
    /// The session did not move to this link, and goes on polling. Only clients emit it: the link could not be made, or failed, or the server
    /// did not answer the probe as it must within [`client::Config::upgrade_timeout`](crate::client::Config).
    UpgradeFailed(LinkKind),
    /// The server sent a ping, which is answered. Only clients emit it, and at most one is unread at a time.
    Ping,
    /// A `send` was refused with [`SendError::Full`](crate::SendError::Full), and the queue has capacity again.
    Writable,
    /// The session ended. This is the last event. It is emitted exactly once, also when the application closed the session. Call
    /// `poll_transmit` until `is_drained` returns true, then drop the session and its id.
    Closed(CloseReason),
}

/// The transport of a session that does not poll.
///
/// Exhaustive: the protocol has these two.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkKind {
    /// A WebSocket, which carries messages.
    WebSocket,
    /// The first bidirectional stream of a WebTransport session. It carries bytes, which the Engine.IO session frames.
    WebTransport,
}

/// What carries a session.
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// HTTP requests.
    Polling,
    /// A WebSocket or WebTransport.
    Link(LinkKind),
}

impl Transport {
    /// The name of the transport in the protocol: `polling`, `websocket` or `webtransport`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Link(LinkKind::WebSocket) => "websocket",
            Self::Link(LinkKind::WebTransport) => "webtransport",
        }
    }
}

/// Why a link went down.
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkDownCause {
    /// The peer closed the link, gracefully or by ending the connection.
    Closed,
    /// The link failed: reset, protocol error, message too large, write error.
    Failed,
}

/// Why a session ended.
///
/// The `Display` form is the reference's reason string (engine.io `socket.ts`), which is all that applications of the reference see. The
/// details are for logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer did not answer a ping in time.
    PingTimeout,
    /// The peer closed: it sent a close packet, or closed its link gracefully.
    TransportClose,
    /// The transport failed, or the peer broke one of its rules.
    TransportError(TransportError),
    /// The peer sent an invalid packet.
    ParseError(ParseError),
    /// This side closed the session.
    ForcedClose,
}

/// Why the transport failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A second GET arrived while one was held, or a ninth while the replies to eight earlier ones were still unread.
    #[error("overlap from client")]
    PollOverlap,
    /// A second POST arrived while one was being read.
    #[error("data request overlap from client")]
    PostOverlap,
    /// The connection of a GET was lost before its response was written.
    #[error("poll connection closed prematurely")]
    PollAborted,
    /// The connection of a POST was lost before its body was complete.
    #[error("data request connection closed prematurely")]
    PostAborted,
    /// A POST had the content type `application/octet-stream`, which revision 4 does not allow.
    #[error("invalid content")]
    InvalidContent,
    /// The body of a POST, or of the response to a GET, was larger than [`Config::max_payload`](crate::Config).
    #[error("payload too large")]
    PayloadTooLarge,
    /// The body of a POST arrived in more chunks than [`Limits::max_body_chunks`](crate::Limits).
    #[error("too many chunks")]
    TooManyChunks,
    /// The body of a POST was not complete within [`Config::body_timeout`](crate::Config).
    #[error("http request timeout")]
    BodyTimeout,
    /// The peer sent a packet that only this side may send (a ping from a client).
    #[error("invalid heartbeat direction")]
    HeartbeatDirection,
    /// The link failed: reset, protocol error, message too large.
    #[error("link failed")]
    LinkFailed,
    /// The unread input exceeded [`Limits::max_inbound`](crate::Limits).
    #[error("more unread input than limits.max_inbound allows")]
    InboundOverflow,
    /// The application did not read for longer than [`Limits::max_stall`](crate::Limits). A pong may have been among the unread input.
    #[error("the application has stopped reading")]
    Stalled,
    /// The request or link that was to open the session never arrived. At a client: the server did not answer within
    /// [`client::Config::open_timeout`](crate::client::Config).
    #[error("the session was never opened")]
    NeverOpened,
    /// A GET of this client had no response ([`None`]), or one whose status is not 200.
    #[error("poll error{}", Status(.0))]
    PollFailed(Option<NonZeroU16>),
    /// A POST of this client had no response ([`None`]), or one whose status is not 200. The server may have received its packets, or some
    /// of them, or none.
    #[error("post error{}", Status(.0))]
    PostFailed(Option<NonZeroU16>),
    /// A link of this client could not be made.
    #[error("the link could not be connected")]
    ConnectFailed,
    /// The first packet of the server was not an open packet, or its data were not what they must be.
    #[error("malformed handshake")]
    MalformedHandshake,
    /// The client has no transport that it may use.
    #[error("no transports available")]
    NoTransport,
}

/// Displays the status of a response, if there was one.
struct Status<'a>(&'a Option<NonZeroU16>);

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => write!(f, ": status {status}"),
            None => f.write_str(": no response"),
        }
    }
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
