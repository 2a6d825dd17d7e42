//! The requests of a client: one GET and one POST at a time, next to each other.
//!
//! [`Polling`] is the state of these requests. It does not make them: the client does, and records them here. The body of a response is decoded
//! packet by packet while the application keeps up, and the next GET is made after the last packet. This is backpressure: a server waits
//! for a slow application instead of filling its memory.
//!
//! Source: engine.io-client `lib/transports/polling.ts`.

use super::upgrade::Upgrade;
use crate::error::ParseError;
use crate::id::RequestId;
use crate::packet::Packet;
use crate::wire::Body;

/// The state of a client's requests while it polls.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Polling {
    /// The GET in progress.
    get: Option<RequestId>,
    /// The rest of the body of the last response.
    body: Option<Body>,
    post: Option<Post>,
    /// Whether a ping or pong is to be sent. A client sends only one kind of them. It leaves in the next POST, before the packets of the queue.
    beats: bool,
    pub(super) upgrade: Upgrade,
}

/// The POST in progress.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
struct Post {
    request: RequestId,
    /// The weight that its packets had in the queue.
    bytes: usize,
    /// Whether it has the close packet.
    closes: bool,
}

/// What a finished POST had.
pub(super) enum Posted {
    /// Packets.
    Packets,
    /// The close packet.
    Close,
}

impl Polling {
    pub(super) const fn new() -> Self {
        Self { get: None, body: None, post: None, beats: false, upgrade: Upgrade::new() }
    }

    /// Records that a GET was made.
    pub(super) const fn begin_get(&mut self, request: RequestId) {
        self.get = Some(request);
    }

    /// Ends the GET, if it is this one.
    pub(super) fn end_get(&mut self, request: RequestId) -> bool {
        self.get.take_if(|get| *get == request).is_some()
    }

    /// Whether a GET is in progress.
    pub(super) const fn has_get(&self) -> bool {
        self.get.is_some()
    }

    /// Starts to decode the body of a response.
    pub(super) fn decode(&mut self, body: Body) {
        self.body = Some(body);
    }

    /// Whether a body is not fully decoded yet.
    #[inline]
    pub(super) const fn is_decoding(&self) -> bool {
        self.body.is_some()
    }

    /// The next packet of the body. At its end, `None`, and the body is dropped.
    pub(super) fn next_packet(&mut self) -> Option<Result<Packet, ParseError>> {
        let packet = self.body.as_mut()?.next();
        if packet.is_none() {
            self.body = None;
        }
        packet
    }

    /// Records that a POST was made. `bytes` is the weight that its packets had in the queue.
    pub(super) const fn begin_post(&mut self, request: RequestId, bytes: usize, closes: bool) {
        self.post = Some(Post { request, bytes, closes });
    }

    /// Ends the POST, if it is this one.
    pub(super) fn end_post(&mut self, request: RequestId) -> Option<Posted> {
        let post = self.post.take_if(|post| post.request == request)?;
        Some(if post.closes { Posted::Close } else { Posted::Packets })
    }

    /// Whether a POST is in progress.
    pub(super) const fn has_post(&self) -> bool {
        self.post.is_some()
    }

    /// Whether the close packet is on its way.
    pub(super) fn is_closing(&self) -> bool {
        self.post.as_ref().is_some_and(|post| post.closes)
    }

    /// The weight of the packets in the POST.
    pub(super) fn posted_bytes(&self) -> usize {
        self.post.as_ref().map_or(0, |post| post.bytes)
    }

    /// Records that a ping or pong is to be sent.
    pub(super) const fn push_beat(&mut self) {
        self.beats = true;
    }

    /// Whether a ping or pong is to be sent.
    pub(super) const fn has_beat(&self) -> bool {
        self.beats
    }

    /// Takes the ping or pong that is to be sent.
    pub(super) const fn take_beat(&mut self) -> bool {
        core::mem::replace(&mut self.beats, false)
    }

    /// Whether nothing is in progress, and everything that has arrived is decoded.
    pub(super) const fn is_idle(&self) -> bool {
        self.get.is_none() && self.post.is_none() && self.body.is_none()
    }

    /// The session ends, or has left polling. Returns the requests that are in progress.
    pub(super) fn end(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        let post = self.post.take().map(|post| post.request);
        self.get.take().into_iter().chain(post)
    }
}
