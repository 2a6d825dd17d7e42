//! The inputs and outputs of a client, except for its events.

use bytes::Bytes;

use crate::event::{LinkDownCause, LinkKind};
use crate::http::ContentType;
use crate::id::{LinkId, RequestId};
use crate::machine::LinkInput;
use crate::message::{Message, Text};
use crate::packet::Frame;

/// An input of a client, which the driver passes to `handle`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// A response arrived completely.
    Response {
        /// The request that it answers.
        request: RequestId,
        /// Its status code.
        status: u16,
        /// The content type of its body.
        content_type: ContentType,
        /// Its body.
        body: Bytes,
    },
    /// A request failed: no connection could be made, or it was lost before the response was complete, or the body was larger than
    /// `Config::max_payload`.
    Failed {
        /// The request.
        request: RequestId,
    },
    /// A link that the client has asked for is up.
    LinkUp {
        /// The id of the link.
        link: LinkId,
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
    /// A link went down, or could not be made.
    LinkDown {
        /// The link.
        link: LinkId,
        /// Why it went down. A link that could not be made has failed.
        cause: LinkDownCause,
    },
}

impl LinkInput for Input {
    fn link_up(link: LinkId, _: LinkKind) -> Self {
        Self::LinkUp { link }
    }

    #[inline]
    fn link_message(link: LinkId, message: Message) -> Self {
        Self::LinkMessage { link, message }
    }

    fn link_bytes(link: LinkId, chunk: Bytes) -> Self {
        Self::LinkBytes { link, chunk }
    }

    fn link_down(link: LinkId, cause: LinkDownCause) -> Self {
        Self::LinkDown { link, cause }
    }
}

/// The method of a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Method {
    /// A GET.
    Get,
    /// A POST with this body. Its `Content-Type` is `text/plain;charset=UTF-8` or `application/octet-stream`.
    Post {
        /// The body.
        body: Bytes,
        /// The content type of the body.
        content_type: ContentType,
    },
}

/// An output of a client, which the driver performs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Transmit {
    /// Make this request, and pass [`Input::Response`] or [`Input::Failed`]. A GET and a POST may be in progress at the same time, and use
    /// two connections then.
    Request {
        /// The id of the request. Its number is never used again, also not for a link.
        request: RequestId,
        /// The method.
        method: Method,
        /// The part of the query that belongs to the protocol, such as `EIO=4&transport=polling&sid=..`, percent-encoded. It comes
        /// after the parameters of the application.
        query: Text,
    },
    /// The response to this request does not matter any more: abort the request, and pass nothing for it.
    Cancel {
        /// The request.
        request: RequestId,
    },
    /// Connect a link, and pass [`Input::LinkUp`] or [`Input::LinkDown`].
    Connect {
        /// The id of the link. Its number is never used again, also not for a request.
        link: LinkId,
        /// Its kind.
        kind: LinkKind,
        /// The part of the query that belongs to the protocol.
        query: Text,
    },
    /// Write this packet to this link.
    Link {
        /// The link.
        link: LinkId,
        /// The packet.
        frame: Frame,
    },
    /// Close this link, after the packets that were returned for it before. If it is still being connected, abort that. The client no
    /// longer uses the link; the driver must limit how long it waits for the peer to close its half.
    CloseLink {
        /// The link.
        link: LinkId,
    },
}
