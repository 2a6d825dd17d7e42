//! One Engine.IO peer, server side.
//!
//! Source: engine.io `lib/socket.ts`, `lib/transports/*.ts`; reference inventory sections 1.6 to 1.9.

use alloc::sync::Arc;

use bytes::Bytes;

use super::Ask;
use crate::config::Config;
use crate::error::SendError;
use crate::event::{Event, LinkKind};
use crate::http::{ContentType, Response};
use crate::id::{LinkId, RequestId, Sid};
use crate::message::Message;
use crate::packet::Frame;
use crate::time::Instant;

/// A fact from outside.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// A GET came.
    Poll {
        /// Its name.
        request: RequestId,
    },
    /// A POST came; its body follows as [`Input::Body`] or [`Input::BodyTooLarge`].
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
    /// The body of a POST is larger than [`Config::max_payload`]; the driver stopped reading it. Answered with 413, the session lives on.
    BodyTooLarge {
        /// The POST.
        request: RequestId,
    },
    /// A reply was written to the end.
    Replied {
        /// The request that was answered.
        request: RequestId,
    },
    /// The connection of a request went away before its reply was written to the end.
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

/// Why a link went down.
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkDownCause {
    /// The peer closed it, in order or by ending the connection.
    Closed,
    /// It failed: reset, protocol error, message too large, write error.
    Failed,
}

/// Something to write.
#[derive(Clone, PartialEq, Eq, Debug)]
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
    /// Close this link, after what was handed out for it before.
    CloseLink {
        /// The link.
        link: LinkId,
    },
}

/// What carries a session now.
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// HTTP requests.
    Polling,
    /// A link.
    Link(LinkKind),
}

/// One Engine.IO peer, server side.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    sid: Sid,
}

impl Session {
    pub(super) fn new(config: Arc<Config>, sid: Sid, link: Option<LinkKind>, base64: bool, now: Instant) -> Self {
        let _ = (link, base64, now);
        Self { config, sid }
    }

    /// The session's id.
    #[must_use]
    pub const fn sid(&self) -> Sid {
        self.sid
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What carries the session now.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        unimplemented!()
    }

    /// Whether this request may come in: ask before a `101` is sent or a body is read.
    ///
    /// # Errors
    /// The response that refuses it: another transport or revision than the session's, an unknown method, a second upgrade.
    pub fn admit(&self, ask: &Ask) -> Result<(), Response> {
        let _ = ask;
        unimplemented!()
    }

    /// A fact from outside.
    pub fn handle(&mut self, now: Instant, input: Input) {
        let _ = (now, input);
        unimplemented!()
    }

    /// The deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        unimplemented!()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed then.
    pub fn send(&mut self, message: Message) -> Result<(), SendError> {
        self.send_frames(&[Frame::message(message)])
    }

    /// Sends encoded packets as one unit: all of them are queued, next to each other, or none.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed then.
    pub fn send_frames(&mut self, frames: &[Frame]) -> Result<(), SendError> {
        let _ = frames;
        unimplemented!()
    }

    /// Closes in order: what is queued goes out first.
    pub fn close(&mut self, now: Instant) {
        let _ = now;
        unimplemented!()
    }

    /// Closes at once; what is queued is lost.
    pub fn discard(&mut self, now: Instant) {
        let _ = now;
        unimplemented!()
    }

    /// The next thing to write.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        unimplemented!()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        unimplemented!()
    }

    /// When to call [`Session::handle_timeout`]; `None` when nothing is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// Whether the driver should go on reading from the peer's link. False while unread messages pile up.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        unimplemented!()
    }

    /// Whether a message would leave at once: the test for volatile messages.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        unimplemented!()
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        unimplemented!()
    }

    /// Whether the session is over and has nothing left to say: the driver drops it and its id.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        unimplemented!()
    }
}
