//! From bytes to messages. One decoder for each connection.
//!
//! Most frames lie in the input as a whole, and are a message each: those are unmasked where they lie, copied once into
//! the arena, and touch nothing of the decoder but the phase. Everything else, which is a header or a payload that the
//! input ends in, or a message of several frames, is collected in one buffer, `message`. An unfinished control frame
//! sits behind the pieces of the message that it interrupts and is cut off again.

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

/// Memory taken at most for a length that was announced, but whose bytes have not come.
const ANNOUNCED: usize = 64 * 1024;

/// Below this many missing bytes a read of its own costs more than copying them out of a shared read buffer.
const DIRECT_READ: usize = 16 * 1024;

/// First byte of a text message in one frame.
const SHORT_TEXT: u8 = 0x81;

/// The longest payload of a frame whose length is not continued.
const MAX_SHORT: usize = 125;

/// Short texts that are checked together: a block of the arena has room for about so many.
const TEXTS: usize = 64;

/// Decodes what one peer sends.
///
/// While nothing is unfinished a decoder holds no heap memory. After an error or a close frame it decodes nothing
/// more.
#[derive(Debug)]
pub struct Decoder {
    /// The pieces of the unfinished message, unmasked, then what has come of the unfinished frame, still masked.
    message: Vec<u8>,
    /// Where in `message` the unfinished frame begins and will end; meaningless outside of `Phase::Payload`.
    frame_start: usize,
    frame_end: usize,
    max_message: usize,
    max_fragments: u32,
    /// Frames of the unfinished message so far.
    fragments: u32,
    /// The kind of the message that waits for its next frame.
    unfinished: Option<Kind>,
    /// The header of the unfinished frame; meaningless outside of `Phase::Payload`.
    frame: Header,
    /// What has come of an unfinished header; meaningless outside of `Phase::Header`.
    partial: [u8; MAX_HEADER],
    partial_len: u8,
    role: Role,
    allow_rsv1: bool,
    phase: Phase,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// A new frame.
    Frame,
    /// A header of which some bytes are in `partial`.
    Header,
    /// The payload of `frame`.
    Payload,
    /// Nothing: the peer has closed.
    Closed,
    /// Nothing: the peer broke the protocol.
    Failed(Error),
}

/// What the first frame of a message says about it.
#[derive(Clone, Copy, Debug)]
struct Kind {
    text: bool,
    compressed: bool,
}

impl Decoder {
    /// A decoder for the end `role` of a connection, right after the handshake.
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
            allow_rsv1: false,
            phase: Phase::Frame,
        }
    }

    /// Accepts RSV1 on the first frame of a message and hands such messages out as [`Event::Compressed`], once an
    /// extension that uses the bit was agreed on in the handshake. Without this the bit is an error.
    #[must_use]
    pub fn allow_rsv1(mut self, allow: bool) -> Self {
        self.allow_rsv1 = allow;
        self
    }

    /// Decodes the next event. Takes bytes from the front of `input` until one event is complete, or all of them; call
    /// again until it returns `None`. Then `input` is used up, and what it had of an unfinished frame is kept inside.
    ///
    /// The bytes of `input` are changed: masks are taken off in place. Small payloads are stored in `arena`.
    ///
    /// After [`Event::Close`] all further input is taken and ignored.
    ///
    /// # Errors
    /// When the peer breaks the protocol or goes over a limit. Send a close frame with [`Error::close_code`] and end
    /// the connection: every later call returns the same error and takes nothing.
    #[inline]
    pub fn decode(&mut self, input: &mut &mut [u8], arena: &mut Arena) -> Result<Option<Event>, Error> {
        // At least one step even without input: the caller may have read into `payload_room`.
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

    /// Decodes all of `input`, and hands every event to `each`, in order. The same as calling [`decode`](Self::decode) until it returns
    /// `None`, at half the cost when many small messages came at once.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); events before the fault were handed out.
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

    /// The texts that come next, as long as they are short frames. Whether there were any. They are stored next to each other and checked
    /// to be UTF-8 in one go: the check of a single short text costs as much as the rest of its decoding.
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
                if input.first() != Some(&SHORT_TEXT) || !arena.has_room(MAX_SHORT) {
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

    /// Room to read the rest of a large frame into, without a detour through a read buffer: exactly the bytes that
    /// this frame still lacks, or the first of them as long as few have come (see [`Limits`]). Put the masked bytes in
    /// as they come, through the methods of [`BufMut`] only, then call [`decode`](Self::decode) with empty input before
    /// anything else.
    ///
    /// `None` when no data frame is unfinished, or when it lacks so little (less than 16 KiB) that a read into a
    /// buffer which also takes the next frames is better.
    #[must_use]
    pub fn payload_room(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        let missing = self.missing();
        if missing < DIRECT_READ || self.frame.opcode.is_control() {
            return None;
        }
        self.grow(1);
        let room = self.message.capacity().saturating_sub(self.message.len());
        Some((&mut self.message).limit(room.min(missing)))
    }

    /// Heap memory held for an unfinished message or frame, in bytes. 0 when nothing is unfinished.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.message.capacity()
    }

    /// Whether the next byte begins a new message: nothing is unfinished, nothing closed or failed. The end of the
    /// transport anywhere else cuts something off.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Frame) && self.unfinished.is_none()
    }

    /// The payload of the next frame, if that is what nearly all frames of a busy server are: a whole message of less
    /// than 126 bytes that lies in the input as a whole. `None` says nothing about other frames, good or bad; `frame`
    /// would do the same for this one with twice the instructions.
    #[inline]
    fn short_frame<'a>(&self, input: &mut &'a mut [u8]) -> Option<(Kind, &'a mut [u8])> {
        if !matches!(self.phase, Phase::Frame) || self.unfinished.is_some() || self.role == Role::Client {
            return None;
        }
        // FIN with text or binary and no reserved bit; the mask bit with a length that is not continued.
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

    /// The next frame, whose first byte is the first one of `input`.
    #[inline]
    fn frame(&mut self, input: &mut &mut [u8], arena: &mut Arena) -> Result<Option<Event>, Error> {
        match parse_header(input, self.role, self.allow_rsv1)? {
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

    /// A header of which an earlier input had the first bytes.
    #[cold]
    fn rest_of_header(&mut self, input: &mut &mut [u8], arena: &mut Arena) -> Result<Option<Event>, Error> {
        let had = usize::from(self.partial_len);
        let mut size = had;
        for (slot, byte) in self.partial.iter_mut().skip(had).zip(input.iter()) {
            *slot = *byte;
            size = size.saturating_add(1);
        }
        let bytes = self.partial.get(..size).unwrap_or_default();
        match parse_header(bytes, self.role, self.allow_rsv1)? {
            Some(parsed) => {
                self.phase = Phase::Frame;
                // The copy may have gone beyond the header; only the header is taken from the input.
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

    /// A frame whose header is complete; `input` begins with its payload.
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

    /// Whether a frame may come here at all; its payload's length if so. Changes nothing.
    #[inline]
    fn admit(&self, parsed: &Parsed) -> Result<usize, Error> {
        // More than the address space is more than any limit.
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

    /// Takes what there is of a payload that the input ends in.
    #[cold]
    fn begin_payload(&mut self, header: Header, length: usize, input: &mut &mut [u8]) {
        self.frame = header;
        self.frame_start = self.message.len();
        self.frame_end = self.frame_start.saturating_add(length);
        self.phase = Phase::Payload;
        self.take_payload(input);
    }

    /// A payload of which an earlier input had the first bytes, or `payload_room` received them.
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

    /// Bytes that the unfinished frame lacks.
    fn missing(&self) -> usize {
        match self.phase {
            Phase::Payload => self.frame_end.saturating_sub(self.message.len()),
            Phase::Frame | Phase::Header | Phase::Closed | Phase::Failed(_) => 0,
        }
    }

    /// Moves as much of `input` as belongs to the unfinished frame behind the message.
    fn take_payload(&mut self, input: &mut &mut [u8]) {
        let count = self.missing().min(input.len());
        self.grow(count);
        self.message.extend_from_slice(advance(input, count));
    }

    /// Makes room for `incoming` bytes of the unfinished frame: for all of it if that is little, otherwise for twice
    /// what has come.
    fn grow(&mut self, incoming: usize) {
        let length = self.message.len();
        let needed = length.saturating_add(incoming);
        if needed <= self.message.capacity() {
            return;
        }
        let doubled = length.saturating_mul(2);
        let mut target = self.frame_end.min(doubled.max(ANNOUNCED));
        if !self.frame.fin {
            // More frames follow: growing to the end of each would move the message once for every frame.
            target = target.max(doubled.min(self.max_message));
        }
        self.message.reserve_exact(target.max(needed).saturating_sub(length));
    }

    /// A frame of a message lies complete and unmasked at the end of `message`.
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
        let payload = if whole.len() <= arena.largest_shared() {
            arena.store(&whole)
        } else {
            // Exactly its size already, unless the message came in several frames.
            Bytes::from(whole.into_boxed_slice())
        };
        message(kind, payload).map(Some)
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

    /// Nothing more will be decoded: gives back what was held for it.
    fn end(&mut self, phase: Phase) {
        self.phase = phase;
        self.unfinished = None;
        self.message = Vec::new();
    }
}

/// Texts that lie next to each other, of these lengths.
#[inline]
fn texts(gathered: &Bytes, lengths: &[u8], each: &mut impl FnMut(Event)) -> Result<(), Error> {
    // Those before a fault are handed out.
    let whole = ByteString::try_from(gathered.clone())
        .or_else(|error| gathered.slice(..error.valid_up_to()).try_into())
        .unwrap_or_default();
    let mut start: usize = 0;
    for &length in lengths {
        let end = start.saturating_add(usize::from(length));
        // A piece of valid text that begins and ends between two characters is valid.
        let text = whole.get(start..end).ok_or(Error::InvalidUtf8)?;
        each(Event::Text(whole.slice_ref(text)));
        start = end;
    }
    Ok(())
}

/// A whole message.
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

/// Cuts `count` bytes, or all there are, off the front of `input`.
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
        // Neither half of a character is text, though both together are.
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
