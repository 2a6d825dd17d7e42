//! What goes into a session and what comes out of it, beside events.

use bytes::Bytes;

#[cfg(doc)]
use crate::config::Config;
use crate::event::{LinkKind, TransportError};
use crate::http::{ContentType, Response};
use crate::id::{LinkId, RequestId};
use crate::message::Message;
use crate::packet::Frame;

/// A fact from outside.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// A GET came. It is answered when there is something to say.
    Poll {
        /// Its name.
        request: RequestId,
    },
    /// A POST came; its body follows as [`Input::Body`] or [`Input::BodyRejected`].
    Post {
        /// Its name.
        request: RequestId,
        /// The type of its body.
        content_type: ContentType,
    },
    /// The whole body of a POST.
    Body {
        /// The POST.
        request: RequestId,
        /// Its body.
        body: Bytes,
    },
    /// The driver stopped reading the body of a POST. Answered with the status of the fault, and the session ends.
    BodyRejected {
        /// The POST.
        request: RequestId,
        /// Why.
        fault: BodyFault,
    },
    /// A reply was written to the end. Every reply ends with this or with [`Input::Aborted`].
    Replied {
        /// The request that was answered.
        request: RequestId,
    },
    /// The connection of a request went away before its reply was written to the end. Ends the session if packets may have gone
    /// with it: those of a GET's reply, or those of a POST whose body had not come.
    Aborted {
        /// The request.
        request: RequestId,
    },
    /// A link that was admitted is up.
    LinkUp {
        /// Its name.
        link: LinkId,
        /// What it is.
        kind: LinkKind,
    },
    /// A message of a WebSocket.
    LinkMessage {
        /// The link.
        link: LinkId,
        /// The message.
        message: Message,
    },
    /// Bytes of a WebTransport stream.
    LinkBytes {
        /// The link.
        link: LinkId,
        /// The bytes.
        chunk: Bytes,
    },
    /// A link went down.
    LinkDown {
        /// The link.
        link: LinkId,
        /// Why.
        cause: LinkDownCause,
    },
}

/// Why a driver stopped reading the body of a POST.
///
/// Source: engine.io 6.6.13 `lib/transports/polling.ts`, `onDataRequest`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BodyFault {
    /// It is larger than [`Config::max_payload`]: 413.
    TooLarge,
    /// It came in more chunks than [`Limits::max_body_chunks`](crate::Limits): 413.
    TooManyChunks,
    /// It was not complete within [`Config::body_timeout`]: 408.
    TimedOut,
}

impl BodyFault {
    /// The answer, and why the session ends.
    pub(super) const fn verdict(self) -> (Response, TransportError) {
        match self {
            Self::TooLarge => (Response::empty(413), TransportError::PayloadTooLarge),
            Self::TooManyChunks => (Response::empty(413), TransportError::TooManyChunks),
            Self::TimedOut => (Response::empty(408), TransportError::BodyTimeout),
        }
    }
}

/// Why a link went down.
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkDownCause {
    /// The peer closed it, in order or by ending the connection.
    Closed,
    /// It failed: reset, protocol error, message too large, write error.
    Failed,
}

/// Something to write.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Transmit {
    /// Answer this request.
    Reply {
        /// The request.
        request: RequestId,
        /// Its answer.
        response: Response,
    },
    /// Write this packet to this link.
    Link {
        /// The link.
        link: LinkId,
        /// The packet.
        frame: Frame,
    },
    /// Close this link, after what was handed out for it before: for a WebSocket, by its closing handshake. The session is through with
    /// it and has no deadline for it: the driver bounds how long it waits for the peer's half before it ends the transport.
    CloseLink {
        /// The link.
        link: LinkId,
    },
}

/// What carries a session now.
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// HTTP requests.
    Polling,
    /// A link.
    Link(LinkKind),
}
