//! The inputs and outputs of a session, except for its events.

use bytes::Bytes;

#[cfg(doc)]
use crate::config::Config;
use crate::event::{LinkDownCause, LinkKind, TransportError};
use crate::http::{ContentType, Response};
use crate::id::{LinkId, RequestId};
use crate::message::Message;
use crate::packet::Frame;

/// An input of a session, which the driver passes to [`Session::handle`](super::Session::handle).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// A GET arrived. It is held until packets are queued for it.
    Get {
        /// The id of the request.
        request: RequestId,
    },
    /// A POST arrived. Its body follows as [`Input::Body`] or [`Input::BodyRejected`].
    Post {
        /// The id of the request.
        request: RequestId,
        /// The content type of its body.
        content_type: ContentType,
    },
    /// The complete body of a POST arrived.
    Body {
        /// The POST.
        request: RequestId,
        /// Its body.
        body: Bytes,
    },
    /// The driver stopped reading the body of a POST. The POST is answered with the status of the fault, and the session ends.
    BodyRejected {
        /// The POST.
        request: RequestId,
        /// Why the driver stopped.
        fault: BodyFault,
    },
    /// A reply was written completely. The driver passes this or [`Input::Aborted`] for every reply.
    Replied {
        /// The request that was answered.
        request: RequestId,
    },
    /// The connection of a request was lost before its reply was written completely. The session ends if packets may be lost with it: those
    /// in the reply to a GET, or those in a POST whose body had not arrived.
    Aborted {
        /// The request.
        request: RequestId,
    },
    /// A link that was admitted is up.
    LinkUp {
        /// The id of the link.
        link: LinkId,
        /// The kind of the link.
        kind: LinkKind,
    },
    /// A WebSocket delivered a message.
    LinkMessage {
        /// The link.
        link: LinkId,
        /// The message.
        message: Message,
    },
    /// A WebTransport stream delivered bytes.
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
        /// Why it went down.
        cause: LinkDownCause,
    },
}

/// Why a driver stopped reading the body of a POST.
///
/// Source: engine.io 6.6.13 `lib/transports/polling.ts`, `onDataRequest`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BodyFault {
    /// The body is larger than [`Config::max_payload`] (status 413).
    TooLarge,
    /// The body arrived in more chunks than [`Limits::max_body_chunks`](crate::Limits) (status 413).
    TooManyChunks,
    /// The body was not complete within [`Config::body_timeout`] (status 408).
    TimedOut,
}

impl BodyFault {
    /// The response to the POST, and why the session ends.
    pub(super) const fn verdict(self) -> (Response, TransportError) {
        match self {
            Self::TooLarge => (Response::empty(413), TransportError::PayloadTooLarge),
            Self::TooManyChunks => (Response::empty(413), TransportError::TooManyChunks),
            Self::TimedOut => (Response::empty(408), TransportError::BodyTimeout),
        }
    }
}

/// An output of a session, which the driver writes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Transmit {
    /// Answer this request.
    Reply {
        /// The request.
        request: RequestId,
        /// The response.
        response: Response,
    },
    /// Write this packet to this link.
    Link {
        /// The link.
        link: LinkId,
        /// The packet.
        frame: Frame,
    },
    /// Close this link, after the packets that were returned for it before. A WebSocket is closed with the closing handshake.
    ///
    /// The session no longer uses the link, and has no deadline for it. The driver must limit how long it waits for the peer to close its
    /// half, and then ends the transport.
    CloseLink {
        /// The link.
        link: LinkId,
    },
}
