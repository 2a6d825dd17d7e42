//! A complete WebSocket connection after the handshake: received bytes become messages, and messages become bytes to send. It answers
//! pings and performs the closing handshake without help from the caller.
//!
//! A peer cannot make it buffer more than the documented bounds: it decodes only as far ahead as the application reads, and at most one
//! pong is pending.

use alloc::collections::VecDeque;
use core::mem;

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;

use crate::arena::Arena;
use crate::close::CloseFrame;
use crate::decoder::Decoder;
#[cfg(feature = "deflate")]
use crate::deflate::Deflater;
#[cfg(feature = "deflate")]
use crate::encode::encode_frame;
use crate::encode::{EncodeError, encode_close, encode_ping, encode_pong};
use crate::error::Error;
use crate::event::Event;
#[cfg(feature = "deflate")]
use crate::frame::FrameKind;
use crate::frame::{FrameHeader, Opcode, Role};
use crate::handshake::AcceptKey;
#[cfg(feature = "deflate")]
use crate::handshake::Deflate;
use crate::limits::Limits;
use crate::mask::{MaskKeys, apply_mask};

/// Decoding pauses at this many unread events.
const MAX_EVENTS: usize = 32;

/// Decoding pauses at this many bytes in unread events.
const MAX_EVENT_BYTES: usize = 64 * 1024;

/// The default of [`Connection::with_max_outgoing`].
const MAX_OUTGOING: usize = 16 * 1024 * 1024;

/// An event of a [`Connection`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// A text message.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// A pong and its payload, usually that of an earlier [`Connection::ping`].
    Pong(Bytes),
    /// The connection is closed. Emitted exactly once, as the last event.
    ///
    /// Until this event is taken, the application can still answer the messages before it. Then our close frame is queued, unless one was
    /// sent before. It carries the code and the reason of the peer's close frame, or the code of the [`Error`].
    Closed(Closed),
}

/// How a [`Connection`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The peer sent a close frame, which began the closing handshake or answered ours. `None` if the frame was empty.
    Peer(Option<CloseFrame>),
    /// The peer violated the protocol or exceeded a limit. It is sent a close frame with the code of the error.
    Error(Error),
    /// The transport ended without a close frame.
    Lost,
}

/// Why a frame was not sent. The state of the connection is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closing or closed.
    #[error("the connection is closing or closed")]
    Closed,
    /// The bytes that wait to be written have reached the limit. Write them first.
    #[error("too much waits to be written")]
    Full,
    /// The arguments do not form a valid frame.
    #[error(transparent)]
    Invalid(#[from] EncodeError),
}

/// One end of a WebSocket connection.
///
/// Pass received bytes to [`handle`](Self::handle). Then call [`poll_event`](Self::poll_event) until it returns `None`, and write what
/// [`poll_transmit`](Self::poll_transmit) returns. The order and the number of the calls do not matter. While
/// [`wants_input`](Self::wants_input) returns `false`, take events before reading more. Once [`is_finished`](Self::is_finished) returns
/// `true`, close the transport.
///
/// There are no timers. After [`close`](Self::close), give the peer some time to answer, then close the transport.
///
/// # Bounds
/// Unread input is at most 32 events or 64 KiB of events plus one message, the unfinished message of [`Limits`], and the bytes passed to
/// `handle` beyond that, which are buffered undecoded: one read if `wants_input` is respected. Small messages share a block of memory of
/// 8 KiB, or of the size set by [`with_arena`](Self::with_arena). Unwritten output is at most
/// [`with_max_outgoing`](Self::with_max_outgoing), plus one message, a pong and a close frame.
#[derive(Debug)]
pub struct Connection {
    decoder: Decoder,
    arena: Arena,
    /// `None` for a server.
    keys: Option<MaskKeys>,
    /// Received bytes that are not decoded yet because too many events are unread.
    inbound: BytesMut,
    events: VecDeque<ConnectionEvent>,
    event_bytes: usize,
    out: BytesMut,
    max_outgoing: usize,
    /// The agreement on compression, and from which size on to compress.
    #[cfg(feature = "deflate")]
    deflate: Option<(Deflate, usize)>,
    /// The payload of the latest ping that is not answered yet.
    pong: Option<Bytes>,
    state: State,
    /// The transport delivers no more bytes.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Our close frame is queued or sent. The peer has not answered yet.
    Closing,
    /// The peer sends nothing more, and `ConnectionEvent::Closed` is queued behind its messages. Our close frame is sent when that event
    /// is taken, so that the application can still answer the messages before it.
    Answering,
    /// Both ends have closed. `ConnectionEvent::Closed` is queued or taken.
    Closed,
}

impl Connection {
    /// Creates the server's end of a connection whose handshake is complete.
    #[must_use]
    pub fn server(limits: Limits) -> Self {
        Self::new(Role::Server, limits, None)
    }

    /// Creates the client's end of a connection whose handshake is complete. `seed` must be 16 secret random bytes, new for each
    /// connection. The mask keys are derived from it.
    #[must_use]
    pub fn client(limits: Limits, seed: [u8; 16]) -> Self {
        Self::new(Role::Client, limits, Some(MaskKeys::new(seed)))
    }

    fn new(role: Role, limits: Limits, keys: Option<MaskKeys>) -> Self {
        Self {
            decoder: Decoder::new(role, limits),
            arena: Arena::new(),
            keys,
            inbound: BytesMut::new(),
            events: VecDeque::new(),
            event_bytes: 0,
            out: BytesMut::new(),
            max_outgoing: MAX_OUTGOING,
            #[cfg(feature = "deflate")]
            deflate: None,
            pong: None,
            state: State::Open,
            ended: false,
        }
    }

    /// Compresses messages of at least `threshold` bytes, and inflates those of the peer, as agreed on in the handshake. The reference
    /// server of Engine.IO has a threshold of 1024.
    ///
    /// Call it before [`with_response`](Self::with_response), which then accepts the extension. A connection keeps no memory for this: a
    /// compressor of 300 KiB is allocated for each message that is sent. A server with many connections shares one instead: see
    /// [`Deflater`](crate::Deflater).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, deflate: Deflate, threshold: usize) -> Self {
        self.decoder = self.decoder.inflate(true);
        self.deflate = Some((deflate, threshold));
        self
    }

    /// Queues the 101 response before everything else: for a server that has not sent it yet and has no HTTP library to do so. See
    /// [`AcceptKey::to_http1`].
    #[must_use]
    pub fn with_response(mut self, key: &AcceptKey, protocol: Option<&str>) -> Self {
        #[cfg(feature = "deflate")]
        let response = match &self.deflate {
            Some((deflate, _)) => key.to_http1_deflate(protocol, deflate),
            None => key.to_http1(protocol),
        };
        #[cfg(not(feature = "deflate"))]
        let response = key.to_http1(protocol);
        let rest = mem::replace(&mut self.out, BytesMut::from(&response[..]));
        self.out.unsplit(rest);
        self
    }

    /// Refuses to send while this many bytes wait to be written. The default is 16 MiB.
    #[must_use]
    pub fn with_max_outgoing(mut self, bytes: usize) -> Self {
        self.max_outgoing = bytes;
        self
    }

    /// Stores small messages in this arena instead of one with blocks of 8 KiB.
    ///
    /// A block lives as long as any message in it, so on a small machine the arena can be most of the memory of a connection: see
    /// [`Arena::with_block`]. The size of the block does not affect the events.
    #[must_use]
    pub fn with_arena(mut self, arena: Arena) -> Self {
        self.arena = arena;
        self
    }

    /// Handles bytes read from the transport. They are modified: masks are removed in place.
    pub fn handle(&mut self, input: &mut [u8]) {
        if self.is_deaf() {
            return;
        }
        if !self.inbound.is_empty() {
            self.inbound.extend_from_slice(input);
            return self.decode_inbound();
        }
        let mut rest = input;
        self.decode(&mut rest);
        if self.is_deaf() {
            return;
        }
        self.inbound.extend_from_slice(rest);
    }

    /// Tells the connection that the transport delivers no more bytes, because it ended or failed. [`Closed::Lost`] follows the unread
    /// messages, unless the peer has closed.
    pub fn handle_end(&mut self) {
        self.ended = true;
        self.settle();
    }

    /// Returns the next event, or `None` if nothing has happened yet.
    pub fn poll_event(&mut self) -> Option<ConnectionEvent> {
        let event = self.events.pop_front();
        if let Some(event) = &event {
            self.event_bytes = self.event_bytes.saturating_sub(weight(event));
            self.answer_close(event);
        }
        if self.events.is_empty() {
            self.decode_inbound();
        }
        event
    }

    /// Returns everything that waits to be written, in one piece, or `None` if nothing does.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.answer_ping();
        let out = self.out.split().freeze();
        (!out.is_empty()).then_some(out)
    }

    /// Returns whether the connection accepts more input. If not, leave it in the transport until events are taken.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.is_deaf() && self.inbound.is_empty() && self.may_decode()
    }

    /// Returns whether to close the transport now: both ends have closed or one has failed, and `poll_transmit` has returned everything.
    /// A client may wait a moment for the server to close it first (RFC 6455 section 7.1.1).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == State::Closed && self.out.is_empty()
    }

    /// The number of bytes that `poll_transmit` would return, without a pending pong.
    #[must_use]
    pub fn outgoing_bytes(&self) -> usize {
        self.out.len()
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`SendError::Closed`] or [`SendError::Full`].
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.send_parts(false, &[text.as_bytes()])
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// [`SendError::Closed`] or [`SendError::Full`].
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.send_parts(true, &[data])
    }

    /// Sends a message whose bytes are in several pieces, such as the header of a packet and its data, as one frame.
    ///
    /// If `binary` is `false`, the pieces must together be valid UTF-8. This is not checked, and peers close the connection if the text
    /// is invalid.
    ///
    /// # Errors
    /// [`SendError::Closed`] or [`SendError::Full`].
    pub fn send_parts(&mut self, binary: bool, parts: &[&[u8]]) -> Result<(), SendError> {
        let mask = self.begin_frame()?;
        let opcode = if binary { Opcode::Binary } else { Opcode::Text };
        let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        #[cfg(feature = "deflate")]
        if let Some((deflate, threshold)) = &self.deflate
            && length >= *threshold
            && deflate.takes(length)
            && let Some(payload) = Deflater::new().deflate(parts)
        {
            encode_frame(&mut self.out, FrameKind { opcode, fin: true, rsv1: true }, &payload, mask);
            return Ok(());
        }
        self.out.extend_from_slice(&FrameHeader::new(opcode.into(), length, mask));
        let start = self.out.len();
        for part in parts {
            self.out.extend_from_slice(part);
        }
        if let (Some(key), Some(payload)) = (mask, self.out.get_mut(start..)) {
            apply_mask(payload, key);
        }
        Ok(())
    }

    /// Sends a ping. The peer answers with [`ConnectionEvent::Pong`] and the same payload.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::Full`], or [`SendError::Invalid`] for more than 125 bytes.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        let mask = self.begin_frame()?;
        Ok(encode_ping(&mut self.out, payload, mask)?)
    }

    /// Begins the closing handshake. Messages of the peer still arrive until it answers. [`ConnectionEvent::Closed`] follows.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the closing handshake has already begun. [`SendError::Invalid`] for a code that may not be sent or a
    /// reason of more than 123 bytes.
    pub fn close(&mut self, code: u16, reason: &str) -> Result<(), SendError> {
        let next = match self.state {
            State::Open => State::Closing,
            State::Answering => State::Closed,
            State::Closing | State::Closed => return Err(SendError::Closed),
        };
        self.send_close(Some((code, reason)))?;
        self.state = next;
        Ok(())
    }

    /// Checks that a frame may be sent, and returns its mask.
    fn begin_frame(&mut self) -> Result<Option<[u8; 4]>, SendError> {
        if matches!(self.state, State::Closing | State::Closed) {
            return Err(SendError::Closed);
        }
        if self.out.len() >= self.max_outgoing {
            return Err(SendError::Full);
        }
        Ok(self.mask())
    }

    fn mask(&mut self) -> Option<[u8; 4]> {
        self.keys.as_mut().map(MaskKeys::next_key)
    }

    fn answer_ping(&mut self) {
        if let Some(payload) = self.pong.take() {
            let mask = self.mask();
            // The payload arrived in a control frame, so it fits into one.
            let _ = encode_pong(&mut self.out, &payload, mask);
        }
    }

    /// Queues our close frame behind the pending pong, because no frame may follow a close frame.
    fn send_close(&mut self, close: Option<(u16, &str)>) -> Result<(), EncodeError> {
        let mask = self.mask();
        let mut frame = BytesMut::new();
        encode_close(&mut frame, close, mask)?;
        self.answer_ping();
        self.out.extend_from_slice(&frame);
        Ok(())
    }

    /// Whether `ConnectionEvent::Closed` is queued or taken.
    fn is_closed(&self) -> bool {
        matches!(self.state, State::Answering | State::Closed)
    }

    /// Returns whether further input is ignored: the peer has closed or failed, or the transport has ended.
    fn is_deaf(&self) -> bool {
        self.ended || self.is_closed()
    }

    fn may_decode(&self) -> bool {
        self.events.len() < MAX_EVENTS && self.event_bytes < MAX_EVENT_BYTES
    }

    fn decode_inbound(&mut self) {
        let mut bytes = mem::take(&mut self.inbound);
        let mut rest = bytes.as_mut();
        self.decode(&mut rest);
        let left = rest.len();
        bytes.advance(bytes.len().saturating_sub(left));
        if !bytes.is_empty() && !self.is_closed() {
            self.inbound = bytes;
        }
        self.settle();
    }

    /// Decodes until too many events are unread.
    fn decode(&mut self, input: &mut &mut [u8]) {
        while !self.is_closed() && self.may_decode() {
            match self.decoder.decode(input, &mut self.arena) {
                Ok(Some(event)) => self.received(event),
                Ok(None) => return,
                Err(error) => self.closed(Closed::Error(error)),
            }
        }
    }

    fn received(&mut self, event: Event) {
        let event = match event {
            Event::Text(text) => ConnectionEvent::Text(text),
            Event::Binary(data) => ConnectionEvent::Binary(data),
            Event::Pong(payload) => ConnectionEvent::Pong(payload),
            Event::Ping(payload) => {
                // No frame may follow our close frame, so the ping needs no pong.
                if self.state == State::Open {
                    self.pong = Some(payload);
                }
                return;
            }
            Event::Close(frame) => return self.closed(Closed::Peer(frame)),
            // The decoder reports this only after `allow_rsv1`.
            Event::Compressed { .. } => return,
        };
        self.event_bytes = self.event_bytes.saturating_add(weight(&event));
        self.events.push_back(event);
    }

    /// The peer sends nothing more.
    fn closed(&mut self, closed: Closed) {
        self.state = if self.state == State::Open { State::Answering } else { State::Closed };
        self.inbound = BytesMut::new();
        self.events.push_back(ConnectionEvent::Closed(closed));
    }

    /// Sends the close frame that was held back until `event` was taken.
    fn answer_close(&mut self, event: &ConnectionEvent) {
        let ConnectionEvent::Closed(closed) = event else { return };
        if self.state != State::Answering {
            return;
        }
        let answer = match closed {
            // Node's `ws` and browsers also echo both, and their close events report the code and reason of the answer.
            Closed::Peer(frame) => frame.as_ref().map(|frame| (frame.code, &*frame.reason)),
            Closed::Error(error) => Some((error.close_code(), "")),
            Closed::Lost => None,
        };
        // Cannot fail: a received close frame may be sent, and so may the codes of `Error`.
        let _ = self.send_close(answer);
        self.state = State::Closed;
    }

    /// Reports the end of the transport once all earlier input is decoded.
    fn settle(&mut self) {
        if self.ended && self.inbound.is_empty() && !self.is_closed() {
            self.out = BytesMut::new();
            self.pong = None;
            self.closed(Closed::Lost);
            self.state = State::Closed;
        }
    }
}

fn weight(event: &ConnectionEvent) -> usize {
    match event {
        ConnectionEvent::Text(text) => text.len(),
        ConnectionEvent::Binary(bytes) | ConnectionEvent::Pong(bytes) => bytes.len(),
        ConnectionEvent::Closed(_) => 0,
    }
}
