//! Long-polling: one GET that is held until there is something to say, and one POST at a time.
//!
//! A GET that is held while something is queued is due: `poll_transmit` joins everything that is queued at that moment into its
//! body. A POST's body is decoded packet by packet while the application keeps up, and is answered `ok` when it has been
//! decoded to its end, so that a peer waits for a slow application instead of filling its memory.
//!
//! Source: engine.io `lib/transports/polling.ts`.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::Refusal;
use super::link::Link;
use super::session::{BodyFault, Carrier, Session, Stage, Transmit};
use super::upgrade;
use crate::error::ParseError;
use crate::event::{CloseReason, TransportError};
use crate::http::{ContentType, Response};
use crate::id::RequestId;
use crate::packet::{Frame, Packet};
use crate::payload::{self, Packets, jsonp};
use crate::queue::{Weigh, WeighedQueue};

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
    /// Whether a ping is queued.
    pub(super) is_pinged: bool,
    post: Post,
    /// Packets of the link that carries the session since an upgrade: they wait for the POST that was under way.
    pub(super) delayed: WeighedQueue<Packet>,
    pub(super) upgrade: upgrade::State,
    /// The link that tries to take over.
    pub(super) probe: Option<Link>,
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
    Reading(RequestId),
    /// Its body is being decoded.
    Decoding {
        /// Whom to answer; `None` when that has gone away.
        request: Option<RequestId>,
        /// What is left of the body.
        packets: Packets,
    },
}

impl Polling {
    fn new() -> Self {
        Self {
            held: None,
            unwritten: Vec::new(),
            is_pinged: false,
            post: Post::None,
            delayed: WeighedQueue::new(),
            upgrade: upgrade::State::Idle,
            probe: None,
        }
    }

    /// Whether a POST is under way.
    pub(super) const fn reads_post(&self) -> bool {
        !matches!(self.post, Post::None)
    }

    /// The peer has left polling: the GET that is held, if any. Of the replies under way only those matter that bring packets.
    pub(super) fn leave(&mut self) -> Option<RequestId> {
        self.unwritten.retain(|unwritten| unwritten.bytes > 0);
        self.held.take()
    }

    /// Weight of the packets in replies that are not yet written.
    pub(super) fn unwritten_bytes(&self) -> usize {
        self.unwritten.iter().map(|unwritten| unwritten.bytes).fold(0, usize::saturating_add)
    }
}

impl Weigh for Packet {
    fn weight(&self) -> usize {
        self.data.weight()
    }
}

impl Session {
    /// A GET came.
    pub(super) fn poll_came(&mut self, request: RequestId) {
        match self.stage {
            Stage::Closed => return self.reply(request, Refusal::UnknownSid.response(false)),
            _ if self.carrier != Carrier::Polling => return self.reply(request, Refusal::BadRequest.response(false)),
            Stage::Opening => {
                // The handshake's reply holds nothing else: some clients take its whole body for the open packet.
                self.polling = Some(Polling::new().into());
                let open = crate::handshake::open_packet(&self.config, self.sid(), None);
                let initial = self.config.initial_packet.clone().map(Frame::message);
                self.open();
                return match initial {
                    Some(initial) => self.reply_packets(request, &[open, initial]),
                    None => self.reply_packets(request, &[open]),
                };
            }
            Stage::Open | Stage::Closing => {}
        }
        // One that is due counts as answered, whether or not its reply has been polled.
        self.answer_due_poll();
        let unread = self.polling.as_ref().is_some_and(|polling| polling.unwritten.len() >= MAX_UNWRITTEN);
        if unread || self.holds_poll() {
            self.reply(request, Response::empty(400));
            self.finish(CloseReason::TransportError(TransportError::PollOverlap));
        } else if self.stage == Stage::Open {
            if let Some(polling) = &mut self.polling {
                polling.held = Some(request);
            }
        } else if self.outbound.is_empty() {
            self.reply_packets(request, &[Frame::NOOP, Frame::CLOSE]);
            self.finish(CloseReason::ForcedClose);
        } else {
            self.reply_queued(request);
        }
    }

    /// A POST came.
    pub(super) fn post_came(&mut self, request: RequestId, content_type: ContentType) {
        let Some(polling) = &mut self.polling else {
            let over = self.stage == Stage::Closed;
            let refusal = if over { Refusal::UnknownSid } else { Refusal::BadRequest };
            return self.reply(request, refusal.response(false));
        };
        if self.carrier != Carrier::Polling {
            return self.reply(request, Refusal::BadRequest.response(false));
        }
        let fault = match (polling.reads_post(), content_type) {
            (true, _) => TransportError::PostOverlap,
            (false, ContentType::OctetStream) => TransportError::InvalidContent,
            (false, ContentType::Text) => {
                polling.post = Post::Reading(request);
                return;
            }
        };
        self.reply(request, Response::empty(400));
        self.finish(CloseReason::TransportError(fault));
    }

    /// The body of a POST came.
    pub(super) fn body_came(&mut self, request: RequestId, body: Bytes) {
        if body.len() > self.config.max_payload {
            return self.body_rejected(request, BodyFault::TooLarge);
        }
        let packets = self.packets(body);
        let Some(polling) = self.polling.as_mut().filter(|polling| polling.is_reading(request)) else { return };
        match packets {
            Ok(Some(packets)) => {
                polling.post = Post::Decoding { request: Some(request), packets };
                self.decode_body();
            }
            Ok(None) => {
                polling.post = Post::None;
                self.reply(request, Response::post_ok());
                self.post_finished();
            }
            Err(error) => {
                polling.post = Post::None;
                self.reply(request, Response::post_ok());
                if self.stage == Stage::Open {
                    self.finish(CloseReason::ParseError(error));
                } else {
                    self.post_finished();
                }
            }
        }
    }

    /// What is in the body of a POST; `None` for a form that is none of ours.
    fn packets(&self, body: Bytes) -> Result<Option<Packets>, ParseError> {
        if self.jsonp.is_none() {
            return Packets::new(body).map(Some);
        }
        jsonp::decode_form(&body)?.map(|payload| Packets::new(payload.into_bytes())).transpose()
    }

    /// The body of a POST cannot be had: what the peer sent is lost, and so is the session.
    pub(super) fn body_rejected(&mut self, request: RequestId, fault: BodyFault) {
        let Some(polling) = self.polling.as_mut().filter(|polling| polling.is_reading(request)) else { return };
        polling.post = Post::None;
        let (response, error) = fault.verdict();
        self.reply(request, response);
        self.finish(CloseReason::TransportError(error));
    }

    /// A reply was written to the end.
    pub(super) fn replied(&mut self, request: RequestId) {
        let Some(polling) = &mut self.polling else { return };
        polling.unwritten.retain(|unwritten| unwritten.request != request);
        if polling.unwritten.is_empty() {
            polling.unwritten = Vec::new();
        }
        self.leave_polling();
        self.room_made();
    }

    /// After an upgrade, forgets polling once nothing of it is under way.
    pub(super) fn leave_polling(&mut self) {
        let under_way = |polling: &Polling| polling.reads_post() || !polling.unwritten.is_empty();
        if self.carrier != Carrier::Polling && self.polling.as_ref().is_some_and(|polling| !under_way(polling)) {
            self.polling = None;
        }
    }

    /// A request went away. If packets may have gone with it, the session cannot keep its promise of order without loss.
    pub(super) fn aborted(&mut self, request: RequestId) {
        let Some(polling) = &mut self.polling else { return };
        let fault = if polling.held == Some(request) || polling.is_unwritten(request) {
            polling.held = polling.held.filter(|&held| held != request);
            TransportError::PollAborted
        } else if polling.is_reading(request) {
            polling.post = Post::None;
            TransportError::PostAborted
        } else {
            // A body that has come is decoded all the same; only its reply is lost.
            if let Post::Decoding { request: to, .. } = &mut polling.post
                && *to == Some(request)
            {
                *to = None;
            }
            return;
        };
        self.finish(CloseReason::TransportError(fault));
    }

    /// Decodes the body of the POST under way, as far as the application keeps up.
    pub(super) fn decode_body(&mut self) {
        loop {
            if self.is_backlog(self.events.weight()) {
                if self.is_decoding() {
                    self.stops_reading();
                }
                return;
            }
            let Some(polling) = &mut self.polling else { return };
            let Post::Decoding { request, packets } = &mut polling.post else { return };
            match packets.next() {
                Some(Ok(packet)) => self.receive(packet),
                Some(Err(error)) if self.stage == Stage::Open => self.finish(CloseReason::ParseError(error)),
                Some(Err(_)) | None => {
                    let request = *request;
                    polling.post = Post::None;
                    if let Some(request) = request {
                        self.reply(request, Response::post_ok());
                    }
                    self.post_finished();
                }
            }
        }
    }

    /// The POST under way has come to its end: after an upgrade, it is the link's turn now.
    pub(super) fn post_finished(&mut self) {
        if self.carrier == Carrier::Polling {
            return;
        }
        while let Some(packet) = self.polling.as_mut().and_then(|polling| polling.delayed.pop()) {
            self.receive(packet);
        }
        self.leave_polling();
    }

    /// Whether a body lies undecoded.
    pub(super) fn is_decoding(&self) -> bool {
        self.polling.as_ref().is_some_and(|polling| matches!(polling.post, Post::Decoding { .. }))
    }

    /// Whether a GET is held.
    pub(super) fn holds_poll(&self) -> bool {
        self.polling.as_ref().is_some_and(|polling| polling.held.is_some())
    }

    /// Answers the GET that is held, if something is queued for it.
    pub(super) fn answer_due_poll(&mut self) -> bool {
        if self.outbound.is_empty() || self.link.is_some() {
            return false;
        }
        let Some(request) = self.polling.as_mut().and_then(|polling| polling.held.take()) else { return false };
        self.reply_queued(request);
        true
    }

    /// Releases a GET that is held while a probe waits for the peer to stop polling.
    pub(super) fn release_poll(&mut self) {
        if self.answer_due_poll() {
            return;
        }
        if let Some(request) = self.polling.as_mut().and_then(|polling| polling.held.take()) {
            self.reply_packets(request, &[Frame::NOOP]);
        }
    }

    /// The session ends: answers whatever waits.
    pub(super) fn answer_last(&mut self, reason: CloseReason) {
        self.answer_due_poll();
        let Some(polling) = &mut self.polling else { return };
        let held = polling.held.take();
        let post = core::mem::replace(&mut polling.post, Post::None);
        if let Some(request) = held {
            // As in the reference: a peer that has closed hears a noop, one that is closed hears it.
            let last = if reason == CloseReason::TransportClose { Frame::NOOP } else { Frame::CLOSE };
            self.reply_packets(request, &[last]);
        }
        match post {
            Post::Reading(request) => self.reply(request, Refusal::UnknownSid.response(false)),
            Post::Decoding { request: Some(request), .. } => self.reply(request, Response::post_ok()),
            Post::Decoding { request: None, .. } | Post::None => {}
        }
    }

    pub(super) fn reply(&mut self, request: RequestId, response: Response) {
        self.control.push(Transmit::Reply { request, response });
    }

    /// Answers a GET with these packets, which nobody will miss.
    pub(super) fn reply_packets(&mut self, request: RequestId, packets: &[Frame]) {
        let mut body = BytesMut::new();
        payload::encode(packets, &mut body);
        self.reply_poll(request, body, 0);
    }

    /// Answers a GET with everything that is queued.
    fn reply_queued(&mut self, request: RequestId) {
        let mut body = BytesMut::new();
        payload::encode(self.outbound.iter(), &mut body);
        let bytes = self.outbound.weight();
        self.outbound.clear();
        self.reply_poll(request, body, bytes);
    }

    fn reply_poll(&mut self, request: RequestId, body: BytesMut, bytes: usize) {
        // A peer that upgrades, or is told of the end, needs no further reply.
        if self.carrier == Carrier::Polling
            && let Some(polling) = &mut self.polling
        {
            polling.is_pinged = false;
            polling.unwritten.push(Unwritten { request, bytes });
        }
        let body = match &self.jsonp {
            Some(callback) => {
                let mut script = BytesMut::new();
                callback.encode(&body, &mut script);
                script
            }
            None => body,
        };
        self.reply(request, Response::poll(body.freeze()));
    }
}

impl Polling {
    fn is_unwritten(&self, request: RequestId) -> bool {
        self.unwritten.iter().any(|unwritten| unwritten.request == request)
    }

    fn is_reading(&self, request: RequestId) -> bool {
        matches!(self.post, Post::Reading(reading) if reading == request)
    }
}
