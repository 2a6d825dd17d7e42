//! A complete WebSocket after the handshake: bytes in, messages out, messages in, bytes out, and the manners of the
//! protocol (pongs, the closing handshake) kept without the caller's help.
//!
//! Nothing that a peer sends makes it hold more than the documented bounds: it decodes only as far ahead as the
//! application reads, and it owes the peer at most one pong.

use alloc::collections::VecDeque;
use core::mem;

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;

use crate::arena::Arena;
use crate::close::CloseFrame;
use crate::decoder::Decoder;
use crate::encode::{EncodeError, encode_binary, encode_close, encode_ping, encode_pong, encode_text};
use crate::error::Error;
use crate::event::Event;
use crate::frame::{FrameHeader, Opcode, Role};
use crate::handshake::AcceptKey;
use crate::limits::Limits;
use crate::mask::{MaskKeys, apply_mask};

/// Unread events at which decoding pauses.
const MAX_EVENTS: usize = 32;

/// Bytes in unread events at which decoding pauses.
const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Default of [`Connection::with_max_outgoing`].
const MAX_OUTGOING: usize = 16 * 1024 * 1024;

/// What happened on a [`Connection`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// A text message.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// A pong with its payload, usually that of an earlier [`Connection::ping`].
    Pong(Bytes),
    /// The connection is over. Exactly once, and the last event. Until it is taken the messages before it can still be
    /// answered; then our close frame goes out, unless it went before: with the code and the reason of the peer's, or with the code of the
    /// [`Error`].
    Closed(Closed),
}

/// How a [`Connection`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// With the peer's close frame, which began the closing handshake or answered ours; `None` if it was empty.
    Peer(Option<CloseFrame>),
    /// The peer broke the protocol or went over a limit, and was told so.
    Error(Error),
    /// The transport ended without a close frame.
    Lost,
}

/// Why something was not sent. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closing or closed.
    #[error("the connection is closing or closed")]
    Closed,
    /// What waits to be written has reached the limit. Write first.
    #[error("too much waits to be written")]
    Full,
    /// The arguments do not make a frame.
    #[error(transparent)]
    Invalid(#[from] EncodeError),
}

/// One end of a WebSocket connection.
///
/// Hand in what was read with [`handle`](Self::handle), then empty [`poll_event`](Self::poll_event) and write what
/// [`poll_transmit`](Self::poll_transmit) gives; in any order and as often as you like. When
/// [`wants_input`](Self::wants_input) says no, do not read until events were taken. When
/// [`is_finished`](Self::is_finished) says yes, end the transport.
///
/// Time is the caller's: whoever called [`close`](Self::close) gives the peer a while to answer and then ends the
/// transport.
///
/// # Bounds
/// Unread input is at most 32 events or 64 KiB in events plus one message, the unfinished message of
/// [`Limits`], and the bytes handed in beyond that, which are kept as they are: one read if `wants_input` is heeded.
/// Small messages share a block of memory: 8 KiB, or what [`with_arena`](Self::with_arena) says.
/// Unwritten output is at most [`with_max_outgoing`](Self::with_max_outgoing), one message above it, a pong and a close
/// frame.
#[derive(Debug)]
pub struct Connection {
    decoder: Decoder,
    arena: Arena,
    /// `None` on the server.
    keys: Option<MaskKeys>,
    /// Arrived, but not decoded because too many events are unread.
    inbound: BytesMut,
    events: VecDeque<ConnectionEvent>,
    event_bytes: usize,
    out: BytesMut,
    max_outgoing: usize,
    /// The payload of the latest ping that was not answered.
    pong: Option<Bytes>,
    state: State,
    /// The transport will bring no more bytes.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Our close frame is queued or sent; the peer's is awaited.
    Closing,
    /// The peer sends nothing more, and `ConnectionEvent::Closed` waits behind what it had sent. Our close frame waits
    /// for that event to be taken, so that the application can still answer the messages before it.
    Answering,
    /// Both ends are done; `ConnectionEvent::Closed` is queued or taken.
    Closed,
}

impl Connection {
    /// The server's end, right after the handshake.
    #[must_use]
    pub fn server(limits: Limits) -> Self {
        Self::new(Role::Server, limits, None)
    }

    /// The client's end, right after the handshake. `seed` is 16 random bytes that nobody else knows, new for each
    /// connection; the masks come from it.
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
            pong: None,
            state: State::Open,
            ended: false,
        }
    }

    /// Writes the answer to the request that opens the connection first of all: for a server that has not sent it yet and has no HTTP
    /// library to do so. See [`AcceptKey::to_http1`].
    #[must_use]
    pub fn with_response(mut self, key: &AcceptKey, protocol: Option<&str>) -> Self {
        let rest = mem::replace(&mut self.out, BytesMut::from(&key.to_http1(protocol)[..]));
        self.out.unsplit(rest);
        self
    }

    /// Refuses to send while this many bytes wait to be written. Default 16 MiB.
    #[must_use]
    pub fn with_max_outgoing(mut self, bytes: usize) -> Self {
        self.max_outgoing = bytes;
        self
    }

    /// Keeps small messages in this arena, in place of one whose blocks are of 8 KiB. A block lives as long as one of its messages, so on a
    /// small machine this is much of what a connection holds: see [`Arena::with_block`]. The events are the same with any block.
    #[must_use]
    pub fn with_arena(mut self, arena: Arena) -> Self {
        self.arena = arena;
        self
    }

    /// Takes what was read from the transport. The bytes are changed: masks are taken off in place.
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

    /// The transport brings no more bytes: it ended or failed. [`Closed::Lost`] follows what was unread, unless the
    /// peer had closed.
    pub fn handle_end(&mut self) {
        self.ended = true;
        self.settle();
    }

    /// What happened next; `None` for nothing so far.
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

    /// What to write next, everything that waits in one piece; `None` for nothing.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.answer_ping();
        let out = self.out.split().freeze();
        (!out.is_empty()).then_some(out)
    }

    /// Whether more input is welcome. If not, leave it in the transport until events were taken.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.is_deaf() && self.inbound.is_empty() && self.may_decode()
    }

    /// Whether the transport is to be ended now: both ends have closed, or one failed, and all was handed out by
    /// `poll_transmit`. A client may give the server a moment to do it first (RFC 6455 section 7.1.1).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == State::Closed && self.out.is_empty()
    }

    /// Bytes that wait for `poll_transmit`, an owed pong apart.
    #[must_use]
    pub fn outgoing_bytes(&self) -> usize {
        self.out.len()
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`SendError::Closed`] or [`SendError::Full`].
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        let mask = self.begin_frame()?;
        encode_text(&mut self.out, text, mask);
        Ok(())
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// [`SendError::Closed`] or [`SendError::Full`].
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), SendError> {
        let mask = self.begin_frame()?;
        encode_binary(&mut self.out, data, mask);
        Ok(())
    }

    /// Sends a message that lies in pieces, as one frame: the head of a packet and its data, say. Together the pieces of a text (not
    /// `binary`) have to be UTF-8; this does not check it, and peers end the connection over anything else.
    ///
    /// # Errors
    /// [`SendError::Closed`] or [`SendError::Full`].
    pub fn send_parts(&mut self, binary: bool, parts: &[&[u8]]) -> Result<(), SendError> {
        let mask = self.begin_frame()?;
        let opcode = if binary { Opcode::Binary } else { Opcode::Text };
        let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
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

    /// Sends a ping; the peer answers with [`ConnectionEvent::Pong`] and the same payload.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::Full`], or [`SendError::Invalid`] for more than 125 bytes.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        let mask = self.begin_frame()?;
        Ok(encode_ping(&mut self.out, payload, mask)?)
    }

    /// Begins the closing handshake. Messages of the peer still come until it answers; then
    /// [`ConnectionEvent::Closed`].
    ///
    /// # Errors
    /// [`SendError::Closed`] if it has begun already, [`SendError::Invalid`] for a code that may not be sent or a
    /// reason above 123 bytes.
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

    /// Whether a frame may be sent, and its mask.
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
            // The payload came in a control frame, so it fits one.
            let _ = encode_pong(&mut self.out, &payload, mask);
        }
    }

    /// Queues our close frame, behind the pong that is owed: nothing may follow it.
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

    /// Whether further input is pointless: the peer has closed or failed, or its bytes have ended.
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

    /// Decodes as far ahead as the application may leave unread.
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
                // After our close frame nothing may be sent, so nothing is owed.
                if self.state == State::Open {
                    self.pong = Some(payload);
                }
                return;
            }
            Event::Close(frame) => return self.closed(Closed::Peer(frame)),
            // The decoder was not told to allow RSV1.
            Event::Compressed { .. } => return,
        };
        self.event_bytes = self.event_bytes.saturating_add(weight(&event));
        self.events.push_back(event);
    }

    /// The peer's part is over.
    fn closed(&mut self, closed: Closed) {
        self.state = if self.state == State::Open { State::Answering } else { State::Closed };
        self.inbound = BytesMut::new();
        self.events.push_back(ConnectionEvent::Closed(closed));
    }

    /// Sends the close frame that waited for `event` to be taken.
    fn answer_close(&mut self, event: &ConnectionEvent) {
        let ConnectionEvent::Closed(closed) = event else { return };
        if self.state != State::Answering {
            return;
        }
        let answer = match closed {
            // Both, as Node's `ws` and browsers do: the peer's close event then tells what it had closed with.
            Closed::Peer(frame) => frame.as_ref().map(|frame| (frame.code, &*frame.reason)),
            Closed::Error(error) => Some((error.close_code(), "")),
            Closed::Lost => None,
        };
        // What was received may be sent, and so may the codes of `Error`.
        let _ = self.send_close(answer);
        self.state = State::Closed;
    }

    /// Reports the end of the transport once everything that came before it was decoded.
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
