//! Decodes bytes into messages. Each connection has its own decoder.
//!
//! Most frames are complete in the input, and each is a whole message. They are unmasked in place and copied once into the arena, and the
//! decoder itself stays unchanged. Everything else is collected in one buffer, `message`: frames that the input cuts off, and messages of
//! several frames. An unfinished control frame is kept behind the fragments of the message that it interrupts, and is cut off again once
//! it is complete. The first bytes of an unfinished header are in `partial`.

use alloc::vec::Vec;
use core::mem;

use bytes::buf::Limit;
use bytes::{BufMut, Bytes};
use bytestring::ByteString;

use crate::arena::Arena;
use crate::close::parse_close;
use crate::error::Error;
use crate::event::Event;
use crate::frame::{Header, MAX_HEADER, Opcode, Parsed, Role, parse_header};
use crate::limits::Limits;
use crate::mask::apply_mask;

/// The most memory reserved for a payload that is announced but has not arrived.
const ANNOUNCED: usize = 64 * 1024;

/// With fewer missing bytes, a separate read costs more than copying them out of a shared read buffer.
const DIRECT_READ: usize = 16 * 1024;

/// The first byte of a text message in one frame.
const SHORT_TEXT: u8 = 0x81;

/// The longest payload whose length fits the 7-bit field.
const MAX_SHORT: usize = 125;

/// The number of short texts that are checked together. A block of the arena holds about this many.
const TEXTS: usize = 64;

/// Decodes the frames that one peer sends.
///
/// A decoder holds no heap memory while nothing is unfinished. After an error or a close frame it decodes nothing more.
#[derive(Debug)]
pub struct Decoder {
    /// The fragments of the unfinished message, unmasked, then the bytes of the unfinished frame received so far, still masked.
    message: Vec<u8>,
    /// Where in `message` the unfinished frame begins and will end. Only valid in `Phase::Payload`.
    frame_start: usize,
    frame_end: usize,
    max_message: usize,
    max_fragments: u32,
    /// Number of frames of the unfinished message so far.
    fragments: u32,
    /// The kind of the message that is unfinished.
    unfinished: Option<Kind>,
    /// The header of the unfinished frame. Only valid in `Phase::Payload`.
    frame: Header,
    /// The bytes of an unfinished header received so far. Only valid in `Phase::Header`.
    partial: [u8; MAX_HEADER],
    partial_len: u8,
    role: Role,
    rsv1: Rsv1,
    phase: Phase,
}

/// What RSV1 on the first frame of a message means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rsv1 {
    /// A violation of the protocol.
    Refused,
    /// The message is passed on as it is.
    Passed,
    /// The message is inflated.
    #[cfg(feature = "deflate")]
    Inflated,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// A new frame.
    Frame,
    /// A header whose first bytes are in `partial`.
    Header,
    /// The payload of `frame`.
    Payload,
    /// Nothing: the peer has sent a close frame.
    Closed,
    /// Nothing: the peer has violated the protocol.
    Failed(Error),
}

/// What the first frame of a message determines.
#[derive(Clone, Copy, Debug)]
struct Kind {
    text: bool,
    compressed: bool,
}

impl Decoder {
    /// Creates a decoder for the end `role` of a connection whose handshake is complete.
    #[must_use]
    pub fn new(role: Role, limits: Limits) -> Self {
        Self {
            message: Vec::new(),
            frame_start: 0,
            frame_end: 0,
            max_message: limits.max_message,
            max_fragments: limits.max_fragments,
            fragments: 0,
            unfinished: None,
            frame: Header { fin: true, rsv1: false, opcode: Opcode::Continuation, key: [0; 4] },
            partial: [0; MAX_HEADER],
            partial_len: 0,
            role,
            rsv1: Rsv1::Refused,
            phase: Phase::Frame,
        }
    }

    /// Accepts RSV1 on the first frame of a message and returns such messages as [`Event::Compressed`]. Use it once the handshake has
    /// negotiated an extension that uses the bit, and that you implement yourself: `inflate` implements permessage-deflate. Otherwise the
    /// bit is an error.
    #[must_use]
    pub fn allow_rsv1(mut self, allow: bool) -> Self {
        self.rsv1 = if allow { Rsv1::Passed } else { Rsv1::Refused };
        self
    }

    /// Inflates the messages whose first frame has RSV1 set: emits them as [`Event::Text`] and [`Event::Binary`], like messages that were
    /// never compressed. Use it once the handshake has agreed on permessage-deflate without context takeover, see
    /// [`handshake::deflate`](crate::handshake::deflate()).
    ///
    /// [`Limits::max_message`] applies to the compressed message and to the inflated one. Inflating ends at the limit, so a message that
    /// would inflate to gigabytes costs no more than one of the largest size ([`Error::MessageTooBig`]). It takes 11 KiB for the time of
    /// the call. Nothing of it stays.
    ///
    /// A read may hold many such messages, and each may be a thousand times as large as its frame. To limit their sum, call
    /// [`decode`](Self::decode) until you have enough, and keep the rest of the input for later.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn inflate(mut self, inflate: bool) -> Self {
        self.rsv1 = if inflate { Rsv1::Inflated } else { Rsv1::Refused };
        self
    }

    /// Returns whether [`inflate`](Self::inflate) is set.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn inflates(&self) -> bool {
        self.rsv1 == Rsv1::Inflated
    }

    /// Decodes the next event. Consumes bytes from the front of `input` until one event is complete or all bytes are consumed. Call it
    /// again until it returns `None`: then `input` is empty, and the decoder has buffered an unfinished frame if there is one.
    ///
    /// The bytes of `input` are modified: masks are removed in place. Small payloads are stored in `arena`.
    ///
    /// After [`Event::Close`], all further input is consumed and ignored.
    ///
    /// # Errors
    /// Fails if the peer violates the protocol or exceeds a limit. Send a close frame with [`Error::close_code`] and close the
    /// connection. Every later call returns the same error and consumes nothing.
    #[inline]
    pub fn decode(&mut self, input: &mut &mut [u8], arena: &mut Arena) -> Result<Option<Event>, Error> {
        // At least one step even without input: the caller may have read into `payload_buffer`.
        loop {
            if let Some((kind, payload)) = self.short_frame(input) {
                return message(kind, arena.store(payload)).map(Some).inspect_err(|error| self.fail(*error));
            }
            let step = match self.phase {
                Phase::Frame => self.frame(input, arena),
                Phase::Header => self.rest_of_header(input, arena),
                Phase::Payload => self.rest_of_payload(input, arena),
                Phase::Closed => {
                    *input = &mut [];
                    Ok(None)
                }
                Phase::Failed(error) => Err(error),
            };
            match step {
                Ok(None) if !input.is_empty() => {}
                Ok(event) => return Ok(event),
                Err(error) => {
                    self.fail(error);
                    return Err(error);
                }
            }
        }
    }

    /// Decodes all of `input` and passes every event to `each`, in order. This is the same as calling [`decode`](Self::decode) until it
    /// returns `None`, at half the cost if many small messages arrive at once.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode). Events before the invalid frame are passed to `each`.
    pub fn decode_all(
        &mut self,
        mut input: &mut [u8],
        arena: &mut Arena,
        mut each: impl FnMut(Event),
    ) -> Result<(), Error> {
        loop {
            let any = self.short_texts(&mut input, arena, &mut each).inspect_err(|error| self.fail(*error))?;
            if any && input.is_empty() {
                return Ok(());
            }
            match self.decode(&mut input, arena)? {
                Some(event) => each(event),
                None => return Ok(()),
            }
        }
    }

    /// Decodes text messages as long as they are short frames, and returns whether there were any.
    ///
    /// The texts are stored next to each other, and their UTF-8 is checked in one go: checking a single short text costs as much as the
    /// rest of its decoding.
    #[inline]
    fn short_texts(
        &self,
        input: &mut &mut [u8],
        arena: &mut Arena,
        each: &mut impl FnMut(Event),
    ) -> Result<bool, Error> {
        let mut lengths = [0_u8; TEXTS];
        let mut any = false;
        loop {
            let mut count: usize = 0;
            for slot in &mut lengths {
                if input.first() != Some(&SHORT_TEXT) || !arena.has_capacity(MAX_SHORT) {
                    break;
                }
                let Some((_, payload)) = self.short_frame(input) else { break };
                arena.gather(payload);
                *slot = u8::try_from(payload.len()).unwrap_or(u8::MAX);
                count = count.saturating_add(1);
            }
            match lengths.get(..count).unwrap_or_default() {
                [] => return Ok(any),
                [_] => each(ByteString::try_from(arena.take()).map(Event::Text).map_err(|_| Error::InvalidUtf8)?),
                lengths => texts(&arena.take(), lengths, each)?,
            }
            any = true;
        }
    }

    /// Returns a buffer for the rest of a large frame, so that it can be read without a copy through a read buffer.
    ///
    /// The buffer takes exactly the missing bytes of this frame, or only the first of them while few have arrived (see [`Limits`]). Write
    /// the masked bytes as they arrive, only through the methods of [`BufMut`]. Then call [`decode`](Self::decode) with empty input
    /// before anything else.
    ///
    /// Returns `None` if no data frame is unfinished. Also returns `None` if less than 16 KiB are missing: a read into a buffer that can
    /// also take the next frames is faster then.
    #[must_use]
    pub fn payload_buffer(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        let missing = self.missing();
        if missing < DIRECT_READ || self.frame.opcode.is_control() {
            return None;
        }
        self.grow(1);
        let room = self.message.capacity().saturating_sub(self.message.len());
        Some((&mut self.message).limit(room.min(missing)))
    }

    /// Heap memory held for an unfinished message or frame, in bytes. 0 if nothing is unfinished.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.message.capacity()
    }

    /// Returns whether the next byte begins a new message: nothing is unfinished, closed or failed. If the transport ends in any other
    /// state, something was cut off.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Frame) && self.unfinished.is_none()
    }

    /// Decodes the most common frame of a busy server: a whole message of less than 126 bytes that is complete in the input.
    ///
    /// Returns `None` for every other frame, valid or not. `frame` would decode this one as well, with twice the instructions.
    #[inline]
    fn short_frame<'a>(&self, input: &mut &'a mut [u8]) -> Option<(Kind, &'a mut [u8])> {
        if !matches!(self.phase, Phase::Frame) || self.unfinished.is_some() || self.role == Role::Client {
            return None;
        }
        // FIN, text or binary, and no reserved bit. Then the mask bit and a length that fits 7 bits.
        let [first @ (0x81 | 0x82), second @ 0x80..=0xfd, a, b, c, d, rest @ ..] = &**input else {
            return None;
        };
        let length = usize::from(second & 0x7f);
        if rest.len() < length || length > self.max_message {
            return None;
        }
        let text = *first == 0x81;
        let key = [*a, *b, *c, *d];
        advance(input, 6);
        let payload = advance(input, length);
        apply_mask(payload, key);
        Some((Kind { text, compressed: false }, payload))
    }

    /// Decodes the frame that begins at the front of `input`.
    #[inline]
    fn frame(&mut self, input: &mut &mut [u8], arena: &mut Arena) -> Result<Option<Event>, Error> {
        match parse_header(input, self.role, self.rsv1 != Rsv1::Refused)? {
            Some(parsed) => {
                advance(input, parsed.size);
                self.payload(&parsed, input, arena)
            }
            None if input.is_empty() => Ok(None),
            None => {
                self.partial_len = 0;
                self.phase = Phase::Header;
                self.rest_of_header(input, arena)
            }
        }
    }

    /// Continues a header whose first bytes arrived in an earlier input.
    #[cold]
    fn rest_of_header(&mut self, input: &mut &mut [u8], arena: &mut Arena) -> Result<Option<Event>, Error> {
        let had = usize::from(self.partial_len);
        let mut size = had;
        for (slot, byte) in self.partial.iter_mut().skip(had).zip(input.iter()) {
            *slot = *byte;
            size = size.saturating_add(1);
        }
        let bytes = self.partial.get(..size).unwrap_or_default();
        match parse_header(bytes, self.role, self.rsv1 != Rsv1::Refused)? {
            Some(parsed) => {
                self.phase = Phase::Frame;
                // The copy may have gone beyond the header, so only the bytes of the header are consumed.
                advance(input, parsed.size.saturating_sub(had));
                self.payload(&parsed, input, arena)
            }
            None => {
                self.partial_len = u8::try_from(size).unwrap_or(u8::MAX);
                *input = &mut [];
                Ok(None)
            }
        }
    }

    /// Handles a frame whose header is complete. `input` begins with its payload.
    #[inline]
    fn payload(&mut self, parsed: &Parsed, input: &mut &mut [u8], arena: &mut Arena) -> Result<Option<Event>, Error> {
        let length = self.admit(parsed)?;
        let header = parsed.header;
        if input.len() < length {
            self.begin_payload(header, length, input);
            return Ok(None);
        }
        let payload = advance(input, length);
        if self.role == Role::Server {
            apply_mask(payload, header.key);
        }
        match header.opcode {
            Opcode::Text | Opcode::Binary if header.fin => {
                let kind = Kind { text: header.opcode == Opcode::Text, compressed: header.rsv1 };
                if kind.compressed {
                    return self.compressed(kind, payload, 1, arena).map(Some);
                }
                message(kind, arena.store(payload)).map(Some)
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => self.control(header.opcode, arena.store(payload)).map(Some),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                self.frame_end = self.message.len().saturating_add(length);
                self.frame = header;
                self.grow(length);
                self.message.extend_from_slice(payload);
                self.piece(arena)
            }
        }
    }

    /// Checks that this frame is allowed here, and returns the length of its payload.
    #[inline]
    fn admit(&self, parsed: &Parsed) -> Result<usize, Error> {
        // A length above the address space exceeds any limit.
        let length = usize::try_from(parsed.length).map_err(|_| Error::MessageTooBig)?;
        let before = match (parsed.header.opcode, self.unfinished) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(length),
            (Opcode::Continuation, None) => return Err(Error::UnexpectedContinuation),
            (Opcode::Continuation, Some(_)) if self.fragments >= self.max_fragments => {
                return Err(Error::TooManyFragments);
            }
            (Opcode::Continuation, Some(_)) => self.message.len(),
            (Opcode::Text | Opcode::Binary, None) => 0,
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Error::ExpectedContinuation),
        };
        match before.checked_add(length) {
            Some(total) if total <= self.max_message => Ok(length),
            _ => Err(Error::MessageTooBig),
        }
    }

    /// Buffers the first part of a payload that continues in a later input.
    #[cold]
    fn begin_payload(&mut self, header: Header, length: usize, input: &mut &mut [u8]) {
        self.frame = header;
        self.frame_start = self.message.len();
        self.frame_end = self.frame_start.saturating_add(length);
        self.phase = Phase::Payload;
        self.take_payload(input);
    }

    /// Continues a payload whose first bytes arrived in an earlier input or through `payload_buffer`.
    #[cold]
    fn rest_of_payload(&mut self, input: &mut &mut [u8], arena: &mut Arena) -> Result<Option<Event>, Error> {
        self.take_payload(input);
        if self.missing() > 0 {
            return Ok(None);
        }
        self.phase = Phase::Frame;
        let start = self.frame_start;
        let payload = self.message.get_mut(start..).unwrap_or_default();
        if self.role == Role::Server {
            apply_mask(payload, self.frame.key);
        }
        let opcode = self.frame.opcode;
        if opcode.is_control() {
            let payload = arena.store(payload);
            if self.unfinished.is_some() {
                self.message.truncate(start);
            } else {
                self.message = Vec::new();
            }
            return self.control(opcode, payload).map(Some);
        }
        self.piece(arena)
    }

    /// The number of missing bytes of the unfinished frame.
    fn missing(&self) -> usize {
        match self.phase {
            Phase::Payload => self.frame_end.saturating_sub(self.message.len()),
            Phase::Frame | Phase::Header | Phase::Closed | Phase::Failed(_) => 0,
        }
    }

    /// Appends the bytes of `input` that belong to the unfinished frame to `message`.
    fn take_payload(&mut self, input: &mut &mut [u8]) {
        let count = self.missing().min(input.len());
        self.grow(count);
        self.message.extend_from_slice(advance(input, count));
    }

    /// Reserves space for `incoming` bytes of the unfinished frame: for the whole frame if it is small, otherwise for twice the bytes
    /// received.
    fn grow(&mut self, incoming: usize) {
        let length = self.message.len();
        let needed = length.saturating_add(incoming);
        if needed <= self.message.capacity() {
            return;
        }
        let doubled = length.saturating_mul(2);
        let mut target = self.frame_end.min(doubled.max(ANNOUNCED));
        if !self.frame.fin {
            // More frames follow. Growing to the end of each frame would move the message once per frame.
            target = target.max(doubled.min(self.max_message));
        }
        self.message.reserve_exact(target.max(needed).saturating_sub(length));
    }

    /// Handles a complete and unmasked data frame at the end of `message`.
    fn piece(&mut self, arena: &mut Arena) -> Result<Option<Event>, Error> {
        let kind = match self.unfinished {
            Some(kind) => {
                self.fragments = self.fragments.saturating_add(1);
                kind
            }
            None => {
                self.fragments = 1;
                Kind { text: self.frame.opcode == Opcode::Text, compressed: self.frame.rsv1 }
            }
        };
        if !self.frame.fin {
            self.unfinished = Some(kind);
            return Ok(None);
        }
        self.unfinished = None;
        let whole = mem::take(&mut self.message);
        #[cfg(feature = "deflate")]
        if kind.compressed && self.rsv1 == Rsv1::Inflated {
            return self.compressed(kind, &whole, self.fragments, arena).map(Some);
        }
        // Only reallocates if the message came in several frames. Otherwise the capacity is already exact.
        message(kind, stored(whole, arena)).map(Some)
    }

    /// Handles a whole message with RSV1, which came in this many frames.
    #[cold]
    #[cfg_attr(not(feature = "deflate"), allow(unused_variables, clippy::unused_self))]
    fn compressed(&self, kind: Kind, payload: &[u8], frames: u32, arena: &mut Arena) -> Result<Event, Error> {
        #[cfg(feature = "deflate")]
        if self.rsv1 == Rsv1::Inflated {
            let inflated = crate::deflate::inflate(payload, frames as usize, self.max_message)?;
            return message(Kind { compressed: false, ..kind }, stored(inflated, arena));
        }
        message(kind, arena.store(payload))
    }

    fn control(&mut self, opcode: Opcode, payload: Bytes) -> Result<Event, Error> {
        Ok(match opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            Opcode::Close | Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                let close = parse_close(&payload)?;
                self.end(Phase::Closed);
                Event::Close(close)
            }
        })
    }

    #[cold]
    fn fail(&mut self, error: Error) {
        self.end(Phase::Failed(error));
    }

    /// Enters a final phase and releases the memory.
    fn end(&mut self, phase: Phase) {
        self.phase = phase;
        self.unfinished = None;
        self.message = Vec::new();
    }
}

/// Emits the texts that are stored next to each other, with these lengths.
#[inline]
fn texts(gathered: &Bytes, lengths: &[u8], each: &mut impl FnMut(Event)) -> Result<(), Error> {
    // The texts before an invalid one are still emitted.
    let whole = ByteString::try_from(gathered.clone())
        .or_else(|error| gathered.slice(..error.valid_up_to()).try_into())
        .unwrap_or_default();
    let mut start: usize = 0;
    for &length in lengths {
        let end = start.saturating_add(usize::from(length));
        // A slice of valid text that begins and ends at character boundaries is valid.
        let text = whole.get(start..end).ok_or(Error::InvalidUtf8)?;
        each(Event::Text(whole.slice_ref(text)));
        start = end;
    }
    Ok(())
}

/// The same bytes, in the arena if they are few.
fn stored(whole: Vec<u8>, arena: &mut Arena) -> Bytes {
    if whole.len() <= arena.largest_shared() { arena.store(&whole) } else { Bytes::from(whole.into_boxed_slice()) }
}

#[inline]
fn message(kind: Kind, payload: Bytes) -> Result<Event, Error> {
    if kind.compressed {
        return Ok(Event::Compressed { text: kind.text, payload });
    }
    if kind.text {
        return ByteString::try_from(payload).map(Event::Text).map_err(|_| Error::InvalidUtf8);
    }
    Ok(Event::Binary(payload))
}

/// Cuts `count` bytes off the front of `input`, or all bytes if there are fewer.
#[inline]
fn advance<'a>(input: &mut &'a mut [u8], count: usize) -> &'a mut [u8] {
    let whole = mem::take(input);
    let (front, rest) = whole.split_at_mut(count.min(whole.len()));
    *input = rest;
    front
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::Decoder;
    use crate::arena::Arena;
    use crate::encode::{encode_frame, encode_ping};
    use crate::error::Error;
    use crate::event::Event;
    use crate::frame::{FrameKind, Opcode, Role};
    use crate::limits::Limits;

    #[test]
    fn a_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 104, "{}", size_of::<Decoder>());
    }

    const KEY: Option<[u8; 4]> = Some([1, 0x82, 3, 0xff]);

    fn data(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
        encode_frame(out, opcode.into(), payload, KEY);
    }

    fn decoder() -> Decoder {
        Decoder::new(Role::Server, Limits::default().with_max_message(1000))
    }

    fn one_by_one(mut input: Vec<u8>, arena: &mut Arena) -> (Vec<Event>, Option<Error>) {
        let (mut decoder, mut events, mut rest) = (decoder(), Vec::new(), &mut input[..]);
        loop {
            match decoder.decode(&mut rest, arena) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return (events, None),
                Err(error) => return (events, Some(error)),
            }
        }
    }

    fn all(mut input: Vec<u8>, arena: &mut Arena) -> (Vec<Event>, Option<Error>) {
        let (mut decoder, mut events) = (decoder(), Vec::new());
        let error = decoder.decode_all(&mut input, arena, |event| events.push(event)).err();
        assert_eq!(decoder.decode_all(&mut [], arena, |_| {}).err(), error, "an error stays");
        (events, error)
    }

    #[test]
    fn all_at_once_is_one_by_one() {
        let mut input = Vec::new();
        for round in 0..200_usize {
            data(&mut input, Opcode::Text, "äöü€ and some more".repeat(round % 6).as_bytes());
            match round % 7 {
                0 => data(&mut input, Opcode::Binary, &[0xff; 20]),
                1 => encode_ping(&mut input, b"still there?", KEY).unwrap(),
                2 => data(&mut input, Opcode::Text, &[b'x'; 300]),
                3 => {
                    let first = FrameKind { opcode: Opcode::Text, fin: false, rsv1: false };
                    encode_frame(&mut input, first, b"in two ", KEY);
                    data(&mut input, Opcode::Continuation, b"pieces");
                }
                _ => {}
            }
        }
        for block in [0, 64, 520, 8192] {
            let (mut first, mut second) = (Arena::with_block(block), Arena::with_block(block));
            let expected = one_by_one(input.clone(), &mut first);
            assert_eq!((expected.0.len(), expected.1), (200 + 4 * 28 + 4, None));
            assert_eq!(all(input.clone(), &mut second), expected, "blocks of {block} bytes");
        }
    }

    #[test]
    fn what_is_no_text_ends_the_texts_where_it_stands() {
        // Neither half of a character is valid text, but both together are.
        for fault in [&b"\xff"[..], b"a\xc3", b"\xc3", b"\xa4b"] {
            for before in 0..5 {
                let mut input = Vec::new();
                for _ in 0..before {
                    data(&mut input, Opcode::Text, "gut, schön".as_bytes());
                }
                data(&mut input, Opcode::Text, fault);
                data(&mut input, Opcode::Text, b"\xa4 after");
                let expected = one_by_one(input.clone(), &mut Arena::new());
                assert_eq!((expected.0.len(), expected.1), (before, Some(Error::InvalidUtf8)));
                assert_eq!(all(input, &mut Arena::new()), expected, "{fault:?} after {before}");
            }
        }
    }
}
