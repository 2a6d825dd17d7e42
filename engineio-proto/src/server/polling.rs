//! Long-polling: one GET that is held until there is something to say, and one POST at a time.
//!
//! This is what a session has to remember of its requests. It makes no answers: the session does, and says so here.
//!
//! A GET that is held while something is queued is due: `poll_transmit` joins everything that is queued at that moment into its
//! body. A POST's body is decoded packet by packet while the application keeps up, and is answered `ok` when it has been
//! decoded to its end, so that a peer waits for a slow application instead of filling its memory.
//!
//! Source: engine.io `lib/transports/polling.ts`.

use alloc::vec::Vec;

use super::upgrade::Upgrade;
use crate::error::ParseError;
use crate::event::TransportError;
use crate::http::ContentType;
use crate::id::RequestId;
use crate::packet::Packet;
use crate::queue::{Weigh, WeighedQueue};
use crate::wire::Body;

/// Replies that may be unwritten at the same time. A peer has one or two; one that leaves more of them unread is not served any more.
const MAX_UNWRITTEN: usize = 8;

/// What a session keeps while it polls.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Polling {
    /// The GET that is held.
    held: Option<RequestId>,
    /// GETs whose replies were made, but not yet written to the end.
    unwritten: Vec<Unwritten>,
    /// Whether a ping or a pong is queued: a session sends one of them, never both.
    beats: bool,
    post: Post,
    /// Packets of the link that carries the session since an upgrade: they wait for the POST that was under way.
    delayed: WeighedQueue<Packet>,
    pub(super) upgrade: Upgrade,
}

/// A reply to a GET that was made, but not yet written to the end.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
struct Unwritten {
    request: RequestId,
    /// What its packets weighed in the queue; 0 when it has none that would be missed.
    bytes: usize,
}

/// The POST under way.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
enum Post {
    /// There is none.
    None,
    /// Its body has yet to come.
    Reading(RequestId, ContentType),
    /// Its body is being decoded.
    Decoding {
        /// Whom to answer; `None` when that has gone away.
        request: Option<RequestId>,
        /// What is left of the body.
        packets: Body,
    },
}

/// The requests that still wait when the session ends.
pub(super) struct Waiting {
    /// The GET that is held.
    pub(super) held: Option<RequestId>,
    /// The POST whose body has not come.
    pub(super) reading: Option<RequestId>,
    /// The POST whose body has come.
    pub(super) decoding: Option<RequestId>,
}

impl Weigh for Packet {
    fn weight(&self) -> usize {
        self.data.weight()
    }
}

impl Polling {
    pub(super) const fn new() -> Self {
        Self {
            held: None,
            unwritten: Vec::new(),
            beats: false,
            post: Post::None,
            delayed: WeighedQueue::new(),
            upgrade: Upgrade::new(),
        }
    }

    // GETs and their replies.

    /// Holds a GET.
    pub(super) const fn hold(&mut self, request: RequestId) {
        self.held = Some(request);
    }

    /// Whether a GET is held.
    pub(super) const fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// The GET that is held: it is answered now.
    pub(super) const fn take_held(&mut self) -> Option<RequestId> {
        self.held.take()
    }

    /// Whether no further reply is made before one was written.
    pub(super) fn is_unread(&self) -> bool {
        self.unwritten.len() >= MAX_UNWRITTEN
    }

    /// A GET was answered with packets that weighed this much in the queue.
    pub(super) fn push_reply(&mut self, request: RequestId, bytes: usize) {
        self.beats = false;
        self.unwritten.push(Unwritten { request, bytes });
    }

    /// A reply was written to the end.
    pub(super) fn handle_replied(&mut self, request: RequestId) {
        self.unwritten.retain(|unwritten| unwritten.request != request);
        if self.unwritten.is_empty() {
            self.unwritten = Vec::new();
        }
    }

    /// Weight of the packets in replies that are not yet written.
    pub(super) fn unwritten_bytes(&self) -> usize {
        self.unwritten.iter().map(|unwritten| unwritten.bytes).fold(0, usize::saturating_add)
    }

    /// A ping or a pong is to be queued. False when one is already.
    pub(super) const fn push_beat(&mut self) -> bool {
        !core::mem::replace(&mut self.beats, true)
    }

    /// The peer has left polling: the GET that is held, if any. Of the replies under way only those matter that bring packets.
    pub(super) fn leave(&mut self) -> Option<RequestId> {
        self.unwritten.retain(|unwritten| unwritten.bytes > 0);
        self.held.take()
    }

    /// Whether something is under way that the session has to wait for before it forgets polling.
    pub(super) const fn is_under_way(&self) -> bool {
        self.has_post() || !self.unwritten.is_empty()
    }

    /// A request went away. An error if packets may have gone with it.
    pub(super) fn handle_aborted(&mut self, request: RequestId) -> Result<(), TransportError> {
        if self.held == Some(request) {
            self.held = None;
            return Err(TransportError::PollAborted);
        }
        if self.unwritten.iter().any(|unwritten| unwritten.request == request) {
            return Err(TransportError::PollAborted);
        }
        if self.take_reading(request).is_some() {
            return Err(TransportError::PostAborted);
        }
        // A body that has come is decoded all the same; only its reply is lost.
        if let Post::Decoding { request: to, .. } = &mut self.post
            && *to == Some(request)
        {
            *to = None;
        }
        Ok(())
    }

    // The POST.

    /// Whether a POST is under way.
    pub(super) const fn has_post(&self) -> bool {
        !matches!(self.post, Post::None)
    }

    /// A POST came; its body follows.
    pub(super) fn begin_post(&mut self, request: RequestId, content_type: ContentType) {
        self.post = Post::Reading(request, content_type);
    }

    /// The type of the body that this POST still has to bring, which it does now, or never.
    pub(super) fn take_reading(&mut self, request: RequestId) -> Option<ContentType> {
        match self.post {
            Post::Reading(reading, content_type) if reading == request => {
                self.post = Post::None;
                Some(content_type)
            }
            _ => None,
        }
    }

    /// The body of a POST came: decode it.
    pub(super) fn decode(&mut self, request: RequestId, packets: Body) {
        self.post = Post::Decoding { request: Some(request), packets };
    }

    /// Whether a body lies undecoded.
    #[inline]
    pub(super) const fn is_decoding(&self) -> bool {
        matches!(self.post, Post::Decoding { .. })
    }

    /// The next packet of the body that is being decoded; `None` at its end.
    pub(super) fn next_packet(&mut self) -> Option<Result<Packet, ParseError>> {
        match &mut self.post {
            Post::Decoding { packets, .. } => packets.next(),
            Post::None | Post::Reading(..) => None,
        }
    }

    /// The body has been decoded: whom to answer.
    pub(super) fn end_post(&mut self) -> Option<RequestId> {
        match core::mem::replace(&mut self.post, Post::None) {
            Post::Decoding { request, .. } => request,
            Post::None | Post::Reading(..) => None,
        }
    }

    // What waits for the POST after an upgrade.

    /// Keeps a packet of the link until the POST has come to its end.
    pub(super) fn delay(&mut self, packet: Packet) {
        self.delayed.push(packet);
    }

    /// The next packet that was kept.
    pub(super) fn pop_delayed(&mut self) -> Option<Packet> {
        self.delayed.pop()
    }

    /// Weight of the packets that are kept.
    pub(super) const fn delayed_weight(&self) -> usize {
        self.delayed.weight()
    }

    /// The session ends: who still waits for an answer.
    pub(super) fn end(&mut self) -> Waiting {
        let (reading, decoding) = match core::mem::replace(&mut self.post, Post::None) {
            Post::Reading(request, _) => (Some(request), None),
            Post::Decoding { request, .. } => (None, request),
            Post::None => (None, None),
        };
        Waiting { held: self.held.take(), reading, decoding }
    }
}
