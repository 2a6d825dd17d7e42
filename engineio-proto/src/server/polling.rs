//! Long-polling: one GET that is held until packets are queued, and one POST at a time.
//!
//! [`Polling`] is the state of a session's requests. It does not create replies. The session creates them and records them here.
//!
//! A held GET is due as soon as packets are queued: `poll_transmit` joins all packets that are queued at that moment into its body. The
//! body of a POST is decoded packet by packet while the application keeps up. The POST is answered `ok` after its last packet is decoded.
//! This is backpressure: a peer waits for a slow application instead of filling its memory.
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

/// The maximum number of replies that are not written yet. A peer normally has one or two. The next GET over this limit ends the session.
const MAX_UNWRITTEN: usize = 8;

/// The state of a session's requests while it polls.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Polling {
    /// The held GET.
    held: Option<RequestId>,
    /// GETs that were answered, and whose replies are not completely written yet.
    unwritten: Vec<Unwritten>,
    /// Whether a ping or pong is queued. A session sends only one kind of them.
    beats: bool,
    post: Post,
    /// After an upgrade, packets of the link. They wait for the POST that was in progress.
    delayed: WeighedQueue<Packet>,
    pub(super) upgrade: Upgrade,
}

/// A reply to a GET that is not completely written yet.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
struct Unwritten {
    request: RequestId,
    /// The weight that its packets had in the queue. 0 if they did not come from the queue.
    bytes: usize,
}

/// The current POST.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
enum Post {
    /// No POST is in progress.
    None,
    /// The body has not arrived yet.
    Reading(RequestId, ContentType),
    /// The body is being decoded.
    Decoding {
        /// The request to answer, or `None` if its connection was lost.
        request: Option<RequestId>,
        /// The rest of the body.
        packets: Body,
    },
}

/// The requests that are pending when the session ends.
pub(super) struct Waiting {
    /// The held GET.
    pub(super) held: Option<RequestId>,
    /// The POST whose body has not arrived.
    pub(super) reading: Option<RequestId>,
    /// The POST whose body has arrived.
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

    /// Takes the held GET. The caller answers it.
    pub(super) const fn take_held(&mut self) -> Option<RequestId> {
        self.held.take()
    }

    /// Whether the peer has left so many replies unread that no further one is made.
    pub(super) fn is_unread(&self) -> bool {
        self.unwritten.len() >= MAX_UNWRITTEN
    }

    /// Records that a GET was answered. `bytes` is the weight that the packets had in the queue.
    pub(super) fn push_reply(&mut self, request: RequestId, bytes: usize) {
        self.beats = false;
        self.unwritten.push(Unwritten { request, bytes });
    }

    /// Records that a reply was written completely.
    pub(super) fn handle_replied(&mut self, request: RequestId) {
        self.unwritten.retain(|unwritten| unwritten.request != request);
        if self.unwritten.is_empty() {
            self.unwritten = Vec::new();
        }
    }

    /// The weight of the packets in replies that are not written yet.
    pub(super) fn unwritten_bytes(&self) -> usize {
        self.unwritten.iter().map(|unwritten| unwritten.bytes).fold(0, usize::saturating_add)
    }

    /// Records that a ping or pong is to be queued. Returns false if one is queued already.
    pub(super) const fn push_beat(&mut self) -> bool {
        !core::mem::replace(&mut self.beats, true)
    }

    /// The session was upgraded. Returns the held GET, and forgets unwritten replies that have no packets from the queue.
    pub(super) fn leave(&mut self) -> Option<RequestId> {
        self.unwritten.retain(|unwritten| unwritten.bytes > 0);
        self.held.take()
    }

    /// Whether a request is in progress that must finish before the session drops this state.
    pub(super) const fn is_under_way(&self) -> bool {
        self.has_post() || !self.unwritten.is_empty()
    }

    /// The connection of a request was lost. Returns an error if packets may be lost with it.
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
        // A body that has arrived is still decoded. Only the reply is lost.
        if let Post::Decoding { request: to, .. } = &mut self.post
            && *to == Some(request)
        {
            *to = None;
        }
        Ok(())
    }

    // The POST.

    /// Whether a POST is in progress.
    pub(super) const fn has_post(&self) -> bool {
        !matches!(self.post, Post::None)
    }

    /// A POST arrived. Its body follows.
    pub(super) fn begin_post(&mut self, request: RequestId, content_type: ContentType) {
        self.post = Post::Reading(request, content_type);
    }

    /// Ends the wait for the body of this POST, and returns its content type. `None` if the body was not awaited.
    pub(super) fn take_reading(&mut self, request: RequestId) -> Option<ContentType> {
        match self.post {
            Post::Reading(reading, content_type) if reading == request => {
                self.post = Post::None;
                Some(content_type)
            }
            _ => None,
        }
    }

    /// Starts to decode the body of a POST.
    pub(super) fn decode(&mut self, request: RequestId, packets: Body) {
        self.post = Post::Decoding { request: Some(request), packets };
    }

    /// Whether a body is not fully decoded yet.
    #[inline]
    pub(super) const fn is_decoding(&self) -> bool {
        matches!(self.post, Post::Decoding { .. })
    }

    /// The next packet of the body that is being decoded, or `None` at its end.
    pub(super) fn next_packet(&mut self) -> Option<Result<Packet, ParseError>> {
        match &mut self.post {
            Post::Decoding { packets, .. } => packets.next(),
            Post::None | Post::Reading(..) => None,
        }
    }

    /// The body is decoded. Returns the request to answer.
    pub(super) fn end_post(&mut self) -> Option<RequestId> {
        match core::mem::replace(&mut self.post, Post::None) {
            Post::Decoding { request, .. } => request,
            Post::None | Post::Reading(..) => None,
        }
    }

    // Packets that wait for the POST after an upgrade.

    /// Keeps a packet of the link until the POST is finished.
    pub(super) fn delay(&mut self, packet: Packet) {
        self.delayed.push(packet);
    }

    /// Takes the next packet that was kept.
    pub(super) fn pop_delayed(&mut self) -> Option<Packet> {
        self.delayed.pop()
    }

    /// The weight of the packets that are kept.
    pub(super) const fn delayed_weight(&self) -> usize {
        self.delayed.weight()
    }

    /// The session ends. Returns the requests that are still to be answered.
    pub(super) fn end(&mut self) -> Waiting {
        let (reading, decoding) = match core::mem::replace(&mut self.post, Post::None) {
            Post::Reading(request, _) => (Some(request), None),
            Post::Decoding { request, .. } => (None, request),
            Post::None => (None, None),
        };
        Waiting { held: self.held.take(), reading, decoding }
    }
}
