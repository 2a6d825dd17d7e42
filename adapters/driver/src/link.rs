//! A link of a session: a stream, and the protocol on it. Decodes bytes of the stream into messages, and encodes packets into bytes.
//!
//! The protocol is [`WebSocket`], for servers and clients, or WebTransport, whose stream has Engine.IO's own frames: the machine decodes
//! them, and this file only writes their headers. Both have the same streams and the same output.
//!
//! All links of a thread read through one buffer, so an idle link owns none. A large frame is read directly into its own buffer. The
//! output of a turn is also gathered in one buffer for each thread, and a link keeps only what its stream does not accept at once. Large
//! frames are never copied, unless they are masked.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use engineio_proto::server::LinkDownCause;
use engineio_proto::{Frame, LinkId, LinkKind, Message, framing};
use engineio_websocket::{
    Arena, CloseFrame, Decoder, Event, FrameKind, Limits, MaskKeys, Opcode, Role, apply_mask, encode_close,
    encode_header, encode_pong,
};

use crate::deflate::{Compression, compress};
use crate::metrics::Traffic;
use crate::runtime::Stream;

/// The number of bytes read at once, and so the largest input of one read.
const READ_BUFFER: usize = 64 * 1024;
/// Frames up to this length are copied into the output buffer. Longer ones are written in place.
const COPY_LIMIT: usize = 4096;
/// The size of output that is gathered before it is written.
const WRITE_BUFFER: usize = 64 * 1024;
/// The cost of a buffered segment of output beside its bytes: its entry in the queue, and an allocation.
const SEGMENT: usize = 96;
/// The maximum number of slices written at once.
const MAX_SLICES: usize = 16;

thread_local! {
    // Initialised only once, because reads need initialised memory.
    static INPUT: RefCell<(Box<[u8]>, Arena)> = RefCell::new((vec![0; READ_BUFFER].into_boxed_slice(), Arena::new()));
    static OUTPUT: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// A link of a session.
pub(crate) struct Link<S> {
    id: LinkId,
    stream: S,
    protocol: Protocol,
    /// The bytes that were read beyond the HTTP request, or beyond the messages of the last read.
    early: Bytes,
    output: Output,
}

/// What the bytes of a link's stream mean.
pub(crate) enum Protocol {
    /// Frames of a WebSocket.
    WebSocket(WebSocket),
    /// Frames of Engine.IO, on the stream of a WebTransport session.
    WebTransport,
}

/// What a read has brought.
pub(crate) enum Received {
    /// A message of a WebSocket.
    Message(Message),
    /// Bytes of a WebTransport stream. They may have parts of packets.
    Bytes(Bytes),
}

/// A WebSocket after its handshake.
pub(crate) struct WebSocket {
    decoder: Decoder,
    /// The masking keys of a client. A server does not mask.
    masks: Option<Box<MaskKeys>>,
    /// The payload of the latest ping, until its pong is written. Earlier pings need no answer (RFC 6455 section 5.5.3).
    pong: Option<Bytes>,
    closing: bool,
    compression: Option<Compression>,
}

/// Output that the stream has not accepted yet.
#[derive(Default)]
struct Output {
    segments: VecDeque<Bytes>,
    length: usize,
}

/// The result of a read.
pub(crate) enum Read {
    /// Nothing is available. The task is woken when it is.
    Pending,
    /// Bytes were read. More may be available.
    Some,
    /// The messages in them are so large that they are enough for one turn. More is available.
    Enough,
    /// The link is down.
    Down(LinkDownCause),
    /// The link is down, because the peer has violated the WebSocket protocol.
    Failed(engineio_websocket::Error),
}

/// Reads once, for a stream that is no link yet. The result is empty at the end of the stream.
pub(crate) fn read_chunk(stream: &mut impl Stream, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    INPUT.with_borrow_mut(|(buffer, _)| {
        let read = ready!(stream.poll_read(cx, buffer))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default())))
    })
}

impl WebSocket {
    /// Creates a client's end with `masks`, and a server's end without. `max_message` is the largest inbound message, in bytes.
    pub(crate) fn new(masks: Option<MaskKeys>, max_message: usize) -> Self {
        let role = if masks.is_some() { Role::Client } else { Role::Server };
        let decoder = Decoder::new(role, Limits::default().with_max_message(max_message));
        Self { decoder, masks: masks.map(Box::new), pong: None, closing: false, compression: None }
    }

    /// Compresses messages, and inflates those of the peer, if the handshake has agreed on it.
    pub(crate) fn with_compression(mut self, compression: Option<Compression>) -> Self {
        self.compression = compression;
        #[cfg(feature = "deflate")]
        {
            self.decoder = self.decoder.inflate(compression.is_some());
        }
        self
    }

    /// The masking key of the next frame.
    fn mask(&mut self) -> Option<[u8; 4]> {
        self.masks.as_mut().map(|masks| masks.next_key())
    }
}

impl<S: Stream> Link<S> {
    pub(crate) fn new(id: LinkId, stream: S, protocol: Protocol, early: Bytes) -> Self {
        // Even an empty slice would keep the HTTP library's read buffer alive.
        let early = if early.is_empty() { Bytes::new() } else { early };
        Self { id, stream, protocol, early, output: Output::default() }
    }

    /// The kind of the link, for the session.
    pub(crate) fn kind(&self) -> LinkKind {
        match self.protocol {
            Protocol::WebSocket(_) => LinkKind::WebSocket,
            Protocol::WebTransport => LinkKind::WebTransport,
        }
    }

    pub(crate) fn id(&self) -> LinkId {
        self.id
    }

    /// Whether the stream has accepted all output.
    pub(crate) fn is_flushed(&self) -> bool {
        self.output.is_empty()
    }

    /// The number of bytes that the stream has not accepted, and the cost of buffering them.
    #[inline]
    pub(crate) fn buffered(&self) -> usize {
        if self.is_flushed() {
            return 0;
        }
        self.output.length.saturating_add(self.output.segments.len().saturating_mul(SEGMENT))
    }

    /// Reads once, at most [`READ_BUFFER`] bytes, and passes on every message in them, or the bytes of a WebTransport stream.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, mut received: impl FnMut(Received)) -> Read {
        INPUT.with_borrow_mut(|(buffer, arena)| match self.protocol {
            Protocol::WebSocket(_) => {
                self.read_with(cx, buffer, arena, &mut |message| received(Received::Message(message)))
            }
            Protocol::WebTransport => self.read_bytes(cx, buffer, &mut received),
        })
    }

    #[cold]
    fn read_bytes(&mut self, cx: &mut Context<'_>, buffer: &mut [u8], received: &mut impl FnMut(Received)) -> Read {
        if !self.early.is_empty() {
            received(Received::Bytes(std::mem::take(&mut self.early)));
            return Read::Some;
        }
        match self.stream.poll_read(cx, buffer) {
            Poll::Pending => Read::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Read::Down(LinkDownCause::Closed),
            Poll::Ready(Ok(read)) => {
                received(Received::Bytes(Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default())));
                Read::Some
            }
        }
    }

    fn read_with(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        arena: &mut Arena,
        message: &mut impl FnMut(Message),
    ) -> Read {
        let Protocol::WebSocket(websocket) = &mut self.protocol else { return Read::Pending };
        let filled = if self.early.is_empty() {
            let (read, goes_to_its_place) = match websocket.decoder.payload_buffer() {
                Some(mut room) => (self.stream.poll_read_large(cx, &mut room, buffer), true),
                None => (self.stream.poll_read(cx, buffer), false),
            };
            match read {
                Poll::Pending => return Read::Pending,
                // The reference's WebSocket library reports a reset as an end, not as an error.
                Poll::Ready(Ok(0) | Err(_)) => return Read::Down(LinkDownCause::Closed),
                Poll::Ready(Ok(_)) if goes_to_its_place => 0,
                Poll::Ready(Ok(read)) => read,
            }
        } else {
            read_early(&mut self.early, buffer)
        };
        let input = buffer.get_mut(..filled).unwrap_or_default();
        let mut closed = None;
        let WebSocket { decoder, pong, compression, .. } = websocket;
        let each = |event| match event {
            Event::Text(text) => message(Message::Text(text)),
            Event::Binary(data) => message(Message::Binary(data)),
            Event::Ping(payload) => *pong = Some(payload),
            Event::Pong(_) => {}
            // Nothing follows a close frame, and compressed messages are inflated.
            last => closed = closed_by(last),
        };
        let mut enough = false;
        let decoded = if compression.is_none() {
            decoder.decode_all(input, arena, each)
        } else {
            decode_some(decoder, input, arena, each).map(|rest| enough = put_back(&mut self.early, rest))
        };
        match (decoded, closed) {
            // The peer receives its own code and reason, as from the reference's WebSocket library.
            (Ok(()), Some(frame)) => {
                self.close(frame.as_ref().map(|frame| (frame.code, &*frame.reason)));
                Read::Down(LinkDownCause::Closed)
            }
            (Ok(()), None) if enough => Read::Enough,
            (Ok(()), None) => Read::Some,
            (Err(error), _) => {
                self.close(Some((error.close_code(), "")));
                Read::Failed(error)
            }
        }
    }

    /// Lets `fill` fill batches with packets, which are counted in `traffic`, and writes them, until there are no more or the stream accepts no more. While the stream
    /// accepts none, `fill` is not called: the packets stay in the machine, which counts them.
    ///
    /// # Errors
    /// If the stream failed.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        traffic: &mut Traffic,
        mut fill: impl FnMut(&mut Batch<'_>),
    ) -> io::Result<()> {
        OUTPUT.with_borrow_mut(|buffer| {
            let result = self.write_with(cx, buffer, traffic, &mut fill);
            buffer.clear();
            result
        })
    }

    #[inline]
    fn write_with(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        traffic: &mut Traffic,
        fill: &mut impl FnMut(&mut Batch<'_>),
    ) -> io::Result<()> {
        let mut more = true;
        while self.output.flush(&mut self.stream, cx, buffer)? {
            if !more {
                // A buffering stream wakes the task until it has written everything.
                let (Poll::Pending | Poll::Ready(())) = self.stream.poll_flush(cx)?;
                return Ok(());
            }
            let (framing, compression) = match &mut self.protocol {
                Protocol::WebSocket(websocket) => {
                    if let Some(payload) = websocket.pong.take() {
                        // This cannot fail: the decoder accepts no longer payload.
                        let _ = encode_pong(buffer, &payload, websocket.mask());
                    }
                    let framing = websocket.masks.as_deref_mut().map_or(Framing::Server, Framing::Client);
                    (framing, websocket.compression)
                }
                Protocol::WebTransport => (Framing::WebTransport, None),
            };
            let mut batch = Batch { output: &mut self.output, buffer, traffic, framing, compression };
            fill(&mut batch);
            // If the batch has capacity left, there are no more packets.
            more = !batch.has_capacity();
        }
        // Copied exactly, so that a slow peer does not keep the thread's buffer alive.
        self.output.push(Bytes::copy_from_slice(buffer));
        Ok(())
    }

    /// Queues a close frame behind all other output. Nothing is written after it. WebTransport has no close frame: the session ends when
    /// the stream is shut down.
    pub(crate) fn close(&mut self, close_frame: Option<(u16, &str)>) {
        let Protocol::WebSocket(websocket) = &mut self.protocol else { return };
        if !std::mem::replace(&mut websocket.closing, true) {
            let mut close = BytesMut::new();
            // This cannot fail: the code and the reason are our own, or came in a valid frame.
            let _ = encode_close(&mut close, close_frame, websocket.mask());
            self.output.push(close.freeze());
        }
    }

    /// Writes the remaining output, shuts down the stream, and waits until the peer has done so as well. Otherwise a reset could discard
    /// output in transit.
    pub(crate) async fn linger(self) {
        let Self { mut output, mut stream, protocol, early, .. } = self;
        // Frees an incomplete message at once.
        drop((protocol, early));
        let mut rest = BytesMut::new();
        let flushed = poll_fn(|cx| match output.flush(&mut stream, cx, &mut rest) {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(true),
            Err(_) => Poll::Ready(false),
        })
        .await;
        if !flushed || poll_fn(|cx| stream.poll_shutdown(cx)).await.is_err() {
            return;
        }
        let mut ignore = |cx: &mut Context<'_>| INPUT.with_borrow_mut(|(ignored, _)| stream.poll_read(cx, ignored));
        while let Ok(1..) = poll_fn(&mut ignore).await {}
    }
}

/// Packets that are written together.
pub(crate) struct Batch<'a> {
    output: &'a mut Output,
    buffer: &'a mut BytesMut,
    traffic: &'a mut Traffic,
    framing: Framing<'a>,
    compression: Option<Compression>,
}

/// What precedes each packet of a batch.
enum Framing<'a> {
    /// The header of a WebSocket.
    Server,
    /// The same, and the packet is masked.
    Client(&'a mut MaskKeys),
    /// The header of Engine.IO.
    WebTransport,
}

impl Batch<'_> {
    /// Adds a packet. Returns whether there is capacity for another one.
    #[inline]
    pub(crate) fn add(&mut self, frame: &Frame) -> bool {
        let length = frame.packet_len();
        self.traffic.sent(length);
        if let Some(compression) = self.compression
            && compression.takes(length)
            && frame.compress()
            && let Some(payload) = compress(frame)
        {
            self.add_compressed(frame, payload);
            return self.has_capacity();
        }
        match &mut self.framing {
            Framing::Server => self.output.add(self.buffer, frame, length),
            Framing::Client(masks) => {
                add_masked(self.buffer, opcode(frame).into(), &[frame.head(), frame.data()], masks.next_key())
            }
            Framing::WebTransport => self.output.add_framed(self.buffer, frame),
        }
        self.has_capacity()
    }

    /// Adds a packet whose compressed form this is.
    fn add_compressed(&mut self, frame: &Frame, payload: Bytes) {
        let kind = FrameKind { opcode: opcode(frame), fin: true, rsv1: true };
        match &mut self.framing {
            Framing::Client(masks) => add_masked(self.buffer, kind, &[&payload], masks.next_key()),
            _ => {
                encode_header(self.buffer, kind, payload.len(), None);
                self.output.add_data(self.buffer, &payload);
            }
        }
    }

    #[inline]
    fn has_capacity(&self) -> bool {
        self.buffer.len() < WRITE_BUFFER && self.output.segments.len() < MAX_SLICES
    }
}

impl Output {
    fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    fn push(&mut self, segment: Bytes) {
        if !segment.is_empty() {
            self.length = self.length.saturating_add(segment.len());
            self.segments.push_back(segment);
        }
    }

    /// Adds a packet of this length. A small one is copied to the end of `buffer`, a large one is added by reference.
    #[inline]
    fn add(&mut self, buffer: &mut BytesMut, frame: &Frame, length: usize) {
        encode_header(buffer, opcode(frame).into(), length, None);
        match *frame.head() {
            // The head is nearly always one byte: this case avoids the call to copy it.
            [digit] => buffer.extend_from_slice(&[digit]),
            ref head => buffer.extend_from_slice(head),
        }
        self.add_data(buffer, frame.data());
    }

    /// Adds a packet on a WebTransport stream.
    #[cold]
    fn add_framed(&mut self, buffer: &mut BytesMut, frame: &Frame) {
        buffer.extend_from_slice(framing::header(frame).as_bytes());
        buffer.extend_from_slice(frame.head());
        self.add_data(buffer, frame.data());
    }

    #[inline]
    fn add_data(&mut self, buffer: &mut BytesMut, data: &Bytes) {
        if data.len() <= COPY_LIMIT {
            buffer.extend_from_slice(data);
        } else {
            self.push(Bytes::copy_from_slice(buffer));
            buffer.clear();
            self.push(data.clone());
        }
    }

    /// Writes everything: the segments, then `buffer`. Returns false if the stream accepts no more for now.
    fn flush<S: Stream>(&mut self, stream: &mut S, cx: &mut Context<'_>, buffer: &mut BytesMut) -> io::Result<bool> {
        while !self.is_empty() || !buffer.is_empty() {
            if self.is_empty() {
                // The usual case: there is only `buffer`.
                match stream.poll_write(cx, &[IoSlice::new(buffer)]) {
                    Poll::Pending => return Ok(false),
                    Poll::Ready(written) => match taken(written)? {
                        // Unlike `advance`, this keeps the whole capacity of the buffer.
                        written if written >= buffer.len() => buffer.clear(),
                        written => buffer.advance(written),
                    },
                }
                continue;
            }
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let parts = self.segments.iter().map(|segment| &segment[..]).chain(Some(&buffer[..]));
            let count = slices.iter_mut().zip(parts).map(|(slice, part)| *slice = IoSlice::new(part)).count();
            match stream.poll_write(cx, slices.get(..count).unwrap_or_default()) {
                Poll::Pending => return Ok(false),
                Poll::Ready(written) => self.written(taken(written)?, buffer),
            }
        }
        Ok(true)
    }

    fn written(&mut self, mut written: usize, buffer: &mut BytesMut) {
        while let Some(segment) = self.segments.front_mut() {
            let taken = written.min(segment.len());
            segment.advance(taken);
            self.length = self.length.saturating_sub(taken);
            written = written.saturating_sub(taken);
            if !segment.is_empty() {
                return;
            }
            self.segments.pop_front();
        }
        if self.segments.capacity() > 0 {
            self.segments = VecDeque::new();
        }
        buffer.advance(written.min(buffer.len()));
    }
}

/// Reads the bytes that arrived with the HTTP request.
#[cold]
fn read_early(early: &mut Bytes, buffer: &mut [u8]) -> usize {
    let piece = early.split_to(buffer.len().min(early.len()));
    if early.is_empty() {
        // Even an empty slice would keep the HTTP library's read buffer alive.
        *early = Bytes::new();
    }
    let (front, _) = buffer.split_at_mut(piece.len());
    front.copy_from_slice(&piece);
    piece.len()
}

/// Keeps input that is not decoded yet, because the messages before it were large enough for one turn. Returns whether there is any.
fn put_back(early: &mut Bytes, rest: &[u8]) -> bool {
    if !rest.is_empty() {
        *early = [rest, &*early].concat().into();
    }
    !rest.is_empty()
}

/// Adds a packet of a client, as a masked copy.
fn add_masked(buffer: &mut BytesMut, kind: FrameKind, parts: &[&[u8]], mask: [u8; 4]) {
    encode_header(buffer, kind, parts.iter().map(|part| part.len()).sum(), Some(mask));
    let start = buffer.len();
    parts.iter().for_each(|part| buffer.extend_from_slice(part));
    apply_mask(buffer.get_mut(start..).unwrap_or_default(), mask);
}

/// Decodes until there is no more, or until the messages are larger than what a read usually brings. Returns the rest.
///
/// A read of compressed messages can hold a thousand times its size. The caller checks its limits between two reads.
#[cold]
fn decode_some<'a>(
    decoder: &mut Decoder,
    mut input: &'a mut [u8],
    arena: &mut Arena,
    mut each: impl FnMut(Event),
) -> Result<&'a [u8], engineio_websocket::Error> {
    // An inflated message has a cost that does not depend on its length.
    const LEAST: usize = 2048;

    let mut decoded: usize = 0;
    while decoded < READ_BUFFER {
        let Some(event) = decoder.decode(&mut input, arena)? else { break };
        decoded = decoded.saturating_add(match &event {
            Event::Text(text) => text.len().max(LEAST),
            Event::Binary(data) => data.len().max(LEAST),
            _ => 0,
        });
        each(event);
    }
    Ok(input)
}

#[inline]
fn opcode(frame: &Frame) -> Opcode {
    if frame.is_binary() { Opcode::Binary } else { Opcode::Text }
}

/// The received close frame.
#[cold]
fn closed_by(event: Event) -> Option<Option<CloseFrame>> {
    match event {
        Event::Close(frame) => Some(frame),
        _ => Some(None),
    }
}

/// The number of written bytes. A stream that accepts no bytes has ended.
fn taken(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use engineio_proto::Packet;

    use super::*;
    use crate::runtime::Runtime as _;
    use crate::sync::lock;
    use crate::testkit::{PipeEnd, PipeSettings, Sim, pipe};

    /// Writes these messages, reads `expected` messages, and closes. Returns the messages that were read.
    async fn exchange(mut link: Link<PipeEnd>, messages: Vec<Message>, expected: usize) -> Vec<Message> {
        let mut frames: VecDeque<Frame> = messages.into_iter().map(Frame::message).collect();
        let (mut got, mut closes) = (Vec::new(), false);
        let mut decoder = framing::Decoder::new(1_000_000);
        let end = poll_fn(|cx| {
            loop {
                link.poll_write(cx, &mut Traffic::default(), |batch| {
                    while frames.pop_front().is_some_and(|frame| batch.add(&frame)) {}
                })
                .unwrap();
                if frames.is_empty() && got.len() == expected && !std::mem::replace(&mut closes, true) {
                    if link.kind() == LinkKind::WebTransport {
                        return Poll::Ready(LinkDownCause::Closed);
                    }
                    link.close(Some((1000, "")));
                    continue;
                }
                let received = |received| match received {
                    Received::Message(message) => got.push(Packet::decode(message).unwrap().data),
                    Received::Bytes(chunk) => {
                        decoder.push(chunk);
                        while let Some(packet) = decoder.next().unwrap() {
                            got.push(packet.data);
                        }
                    }
                };
                match link.poll_read(cx, received) {
                    Read::Pending => return Poll::Pending,
                    Read::Some | Read::Enough => {}
                    Read::Down(cause) => return Poll::Ready(cause),
                    Read::Failed(error) => panic!("{error}"),
                }
            }
        })
        .await;
        assert_eq!(end, LinkDownCause::Closed);
        link.linger().await;
        got
    }

    /// Compression of every message, if it is compiled in.
    fn compression() -> Option<Compression> {
        let offer = http::HeaderValue::from_static("permessage-deflate");
        let headers = http::HeaderMap::from_iter([(http::header::SEC_WEBSOCKET_EXTENSIONS, offer)]);
        crate::deflate::negotiate(Some(0), &headers).map(|(compression, _)| compression)
    }

    #[test]
    fn compression_takes_no_memory_of_an_idle_link() {
        assert!(size_of::<WebSocket>() <= 136, "{}", size_of::<WebSocket>());
    }

    #[cfg(feature = "deflate")]
    #[test]
    fn a_read_of_messages_that_inflate_to_much_more_is_passed_on_in_portions() {
        const MESSAGES: usize = 50;
        let sim = Sim::new(1);
        sim.clone().run(async move {
            let (mut here, there) =
                pipe(&sim, PipeSettings { capacity: 1_000_000, splits: false, max_delay: Duration::ZERO });
            let payload = engineio_websocket::Deflater::new().deflate(&[&vec![7; 900_000]]).unwrap();
            let (mut bytes, mask) = (BytesMut::new(), [1, 2, 3, 4]);
            for _ in 0..MESSAGES {
                add_masked(&mut bytes, FrameKind { opcode: Opcode::Binary, fin: true, rsv1: true }, &[&payload], mask);
                add_masked(&mut bytes, Opcode::Binary.into(), &[b"small"], mask);
            }
            let early = bytes.split_to(30_000).freeze();
            while !bytes.is_empty() {
                let written = poll_fn(|cx| here.poll_write(cx, &[IoSlice::new(&bytes)])).await.unwrap();
                bytes.advance(written);
            }
            let websocket = WebSocket::new(None, 1_000_000).with_compression(compression());
            let mut link = Link::new(LinkId(1), there, Protocol::WebSocket(websocket), early);
            let mut lengths = Vec::new();
            while lengths.len() < 2 * MESSAGES {
                let mut large = 0;
                let read = poll_fn(|cx| {
                    let read = link.poll_read(cx, |received| {
                        let Received::Message(message) = received else { panic!("bytes of a WebSocket") };
                        large += usize::from(message.len() > 1000);
                        lengths.push(message.len());
                    });
                    if matches!(read, Read::Pending) { Poll::Pending } else { Poll::Ready(read) }
                })
                .await;
                assert!(matches!(read, Read::Some | Read::Enough));
                assert!(large <= 1, "{large} in one read");
            }
            assert_eq!(lengths, [900_000, 5].repeat(MESSAGES));
            assert!(link.early.is_empty());
        });
    }

    #[test]
    fn both_ends_of_a_link_understand_each_other() {
        Sim::each_seed(100, |sim| {
            let sim = sim.clone();
            sim.clone().run(async move {
                let splits = sim.chance(500);
                let settings =
                    PipeSettings { capacity: 20_000, splits, max_delay: sim.duration(Duration::from_millis(5)) };
                let (here, there) = pipe(&sim, settings);
                let compression = compression().filter(|_| sim.chance(500));
                let is_websocket = sim.chance(700);
                let link = |stream, masks| {
                    let websocket = WebSocket::new(masks, 1_000_000).with_compression(compression);
                    let protocol = if is_websocket { Protocol::WebSocket(websocket) } else { Protocol::WebTransport };
                    Link::new(LinkId(1), stream, protocol, Bytes::new())
                };
                let client = link(here, Some(MaskKeys::new([5; 16])));
                let server = link(there, None);
                let messages = || {
                    let message = |index: usize| {
                        let length = [0, 1, 125, 126, COPY_LIMIT, COPY_LIMIT + 1, 40_000, 100_000][sim.index(8)];
                        let byte = b'a' + u8::try_from(index).unwrap();
                        match sim.index(2) {
                            // WebTransport has no empty binary packet: the machine sends it as text.
                            0 => Message::Binary(vec![byte; length.max(1)].into()),
                            _ => Message::from("x".repeat(length)),
                        }
                    };
                    (0..sim.index(20)).map(message).collect::<Vec<_>>()
                };
                let (upwards, downwards) = (messages(), messages());
                let got = Arc::<Mutex<Vec<Message>>>::default();
                let (to, sends, expected) = (Arc::clone(&got), downwards.clone(), upwards.len());
                sim.spawn(async move {
                    let messages = exchange(server, sends, expected).await;
                    *lock(&to) = messages;
                });
                let messages = exchange(client, upwards.clone(), downwards.len()).await;
                sim.sleep(Duration::from_secs(1)).await;
                assert!(messages == downwards, "some did not come");
                assert!(*lock(&got) == upwards, "some did not arrive");
                assert_eq!(sim.tasks().len(), 1);
            });
        });
    }
}
