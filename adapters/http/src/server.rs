//! The server's side of a connection.

use alloc::collections::VecDeque;
use core::mem;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::body::{BodyDecoder, Chunks};
use crate::encode::{put_chunk, put_header, put_headers, put_length};
use crate::head::{Framing, HeadScanner, Headers, Span, parse_error};
use crate::{Error, Limits, MAX_HEADERS, SendError};

/// A body up to this size is sent together with its head. A larger one is not copied.
const COPIED: usize = 4096;

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Request {
    headers: Headers,
    method: Span,
    target: Span,
    version: u8,
    length: Option<u64>,
    has_body: bool,
}

impl Request {
    /// The method, as it was sent: methods are case-sensitive.
    #[must_use]
    pub fn method(&self) -> &str {
        self.headers.text(self.method)
    }

    /// The target, most often a path with a query, as it was sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.headers.text(self.target)
    }

    /// The minor version of HTTP/1: 0 or 1.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The `Content-Length`.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// Whether a body follows that is not known to be empty.
    #[must_use]
    pub const fn has_body(&self) -> bool {
        self.has_body
    }
}

/// What happened on a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The head of a request arrived. [`Connection::respond`] answers it, at any time from now on. Then come any number of
    /// [`Event::Body`], and one of [`Event::End`], [`Event::Failed`] and [`Event::Closed`]. The last two may also follow [`Event::End`]: the
    /// peer has sent too much ahead, or has left.
    Request(Request),
    /// A part of the body, never empty.
    Body(Bytes),
    /// The request is complete.
    End,
    /// The peer broke a rule or a limit, and nothing more is read from it. If there is no open response, answer with [`Error::status`]:
    /// [`Connection::respond`] accepts that even if no request arrived. Otherwise the request must be given up.
    Failed(Error),
    /// The peer has ended its half of the connection. An open request is aborted: its answer has no reader. It is the last event.
    Closed,
}

/// The server's side of a connection.
///
/// Pass what the peer sends to [`handle`](Self::handle), and its end to [`handle_end`](Self::handle_end). After each call, and after each
/// answer, poll [`poll_event`](Self::poll_event) and [`poll_transmit`](Self::poll_transmit) until both are empty. Close the connection when
/// it [is finished](Self::is_finished).
///
/// Requests that arrive ahead (pipelining) are emitted one at a time: the next one when the answer to the previous one is complete and was
/// taken by `poll_transmit`. While a request is not answered, more input can still be passed, so its end is noticed.
///
/// A request with `Expect: 100-continue` gets the interim response when `poll_transmit` is called after its [`Event::Request`] was emitted,
/// unless it is answered or complete.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    state: State,
    scanner: HeadScanner,
    /// An empty line before this head is skipped already.
    skipped_line: bool,
    /// Input that is not decoded: a part of a head, or what follows a request.
    buffer: BytesMut,
    exchange: Option<Exchange>,
    events: Events,
    output: VecDeque<Bytes>,
}

#[derive(Debug)]
enum State {
    /// Before the end of a head.
    Head,
    Body(BodyDecoder),
    /// The request is complete, and not answered.
    Answering,
    /// All further input is ignored.
    Closing,
    /// All further input belongs to another protocol.
    Upgraded,
}

/// The open request.
#[derive(Debug)]
struct Exchange {
    is_head: bool,
    version: u8,
    persistent: bool,
    /// The interim response is due.
    expects_continue: bool,
    response: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    None,
    Chunked,
    UntilEnd,
    /// A response without a body: what is sent is dropped.
    Omitted,
}

/// What is not polled yet. The order of the fields is that of the events.
#[derive(Debug, Default)]
struct Events {
    request: Option<Request>,
    body: BytesMut,
    end: bool,
    failed: Option<Error>,
    /// The failure may be answered.
    answerable: bool,
    closed: bool,
}

impl Connection {
    /// A new connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Head,
            scanner: HeadScanner::default(),
            skipped_line: false,
            buffer: BytesMut::new(),
            exchange: None,
            events: Events::default(),
            output: VecDeque::new(),
        }
    }

    /// Passes bytes that the peer sent.
    pub fn handle(&mut self, mut bytes: &[u8]) {
        if !self.buffer.is_empty() {
            self.keep(bytes);
            return self.resume();
        }
        self.decode(&mut bytes);
        self.keep(bytes);
    }

    /// The peer has ended its half of the connection, or the connection failed.
    pub fn handle_end(&mut self) {
        if !matches!(self.state, State::Upgraded) {
            self.state = State::Closing;
            self.exchange = None;
        }
        self.buffer = BytesMut::new();
        (self.events.answerable, self.events.closed) = (false, true);
    }

    /// The next event. See [`Event`] for their order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.resume();
        let events = &mut self.events;
        if let Some(request) = events.request.take() {
            return Some(Event::Request(request));
        }
        if !events.body.is_empty() {
            return Some(Event::Body(mem::take(&mut events.body).freeze()));
        }
        if mem::take(&mut events.end) {
            return Some(Event::End);
        }
        if let Some(error) = events.failed.take() {
            return Some(Event::Failed(error));
        }
        mem::take(&mut events.closed).then_some(Event::Closed)
    }

    /// Bytes to write to the peer, in order. After a request with `Expect: 100-continue` was emitted, this includes the interim response.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if let Some(exchange) = &mut self.exchange
            && exchange.expects_continue
            && self.events.request.is_none()
        {
            exchange.expects_continue = false;
            if exchange.response == Answer::None && matches!(self.state, State::Body(_)) {
                self.output.push_back(Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n"));
            }
        }
        self.output.pop_front()
    }

    /// Answers the open request, or the failure, with a whole response. The connection writes `Content-Length`, and `Connection` if it
    /// does not continue. The reason phrase is empty, which RFC 9112 allows. If the request is HEAD, the body is not sent.
    ///
    /// If the request is not complete, the rest of it is ignored, and the connection ends after the answer.
    ///
    /// # Errors
    ///
    /// If nothing is to be answered, or the head would not be valid.
    pub fn respond<'n, 'v>(
        &mut self,
        status: u16,
        headers: impl IntoIterator<Item = (&'n str, &'v str)>,
        body: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        let body = body.into();
        let (mut head, answer) = self.begin(status, headers, Some(body.len()))?;
        if answer == Answer::Omitted {
            self.output.push_back(head.freeze());
        } else if body.len() <= COPIED {
            head.put_slice(&body);
            self.output.push_back(head.freeze());
        } else {
            self.output.extend([head.freeze(), body]);
        }
        self.end();
        Ok(())
    }

    /// Begins a response whose length is not known. [`send_body`](Self::send_body) and [`end_response`](Self::end_response) continue it.
    /// The body is sent in chunks. If the request is HTTP/1.0, it lasts until the end of the connection.
    ///
    /// # Errors
    ///
    /// Those of [`respond`](Self::respond).
    pub fn begin_response<'n, 'v>(
        &mut self,
        status: u16,
        headers: impl IntoIterator<Item = (&'n str, &'v str)>,
    ) -> Result<(), SendError> {
        let (head, answer) = self.begin(status, headers, None)?;
        self.output.push_back(head.freeze());
        if let Some(exchange) = &mut self.exchange {
            exchange.response = answer;
        }
        Ok(())
    }

    /// Sends a part of the body. A caller who sends without end must wait until the peer has taken what `poll_transmit` returned.
    ///
    /// # Errors
    ///
    /// If no response is open.
    pub fn send_body(&mut self, data: impl Into<Bytes>) -> Result<(), SendError> {
        let data = data.into();
        match self.exchange.as_ref().map_or(Answer::None, |exchange| exchange.response) {
            Answer::None => return Err(SendError::State),
            Answer::Chunked if !data.is_empty() => {
                let mut chunk = BytesMut::with_capacity(data.len() + 20);
                put_chunk(&mut chunk, &data);
                self.output.push_back(chunk.freeze());
            }
            Answer::UntilEnd if !data.is_empty() => self.output.push_back(data),
            _ => {}
        }
        Ok(())
    }

    /// Ends the response.
    ///
    /// # Errors
    ///
    /// If no response is open.
    pub fn end_response(&mut self) -> Result<(), SendError> {
        match self.exchange.as_ref().map_or(Answer::None, |exchange| exchange.response) {
            Answer::None => return Err(SendError::State),
            Answer::Chunked => self.output.push_back(Bytes::from_static(b"0\r\n\r\n")),
            _ => {}
        }
        self.end();
        Ok(())
    }

    /// Switches to another protocol, instead of an answer. Returns the bytes that arrived after the request: they are the first of that
    /// protocol. Its own response, with the status 101, is for the caller to write, after everything that `poll_transmit` returns.
    ///
    /// # Errors
    ///
    /// If there is no open request, or it is not complete.
    pub fn upgrade(&mut self) -> Result<Bytes, SendError> {
        match (&self.state, &self.exchange) {
            (State::Answering, Some(exchange)) if exchange.response == Answer::None => {}
            _ => return Err(SendError::State),
        }
        self.state = State::Upgraded;
        self.exchange = None;
        self.events = Events::default();
        Ok(mem::take(&mut self.buffer).freeze())
    }

    /// Makes the next answer the last one. Without an open request, the connection is closing at once. For a graceful shutdown.
    pub fn close(&mut self) {
        match &mut self.exchange {
            Some(exchange) => exchange.persistent = false,
            None => self.close_now(),
        }
    }

    /// Whether a request was emitted and its response is not complete.
    #[must_use]
    pub const fn has_open_request(&self) -> bool {
        self.exchange.is_some()
    }

    /// Whether no byte of a further request has arrived, and none must be written. Idle connections can be closed at any time.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && self.buffer.is_empty() && self.output.is_empty()
    }

    /// Whether the connection must be closed: everything is written, and nothing more is read. To keep a peer that still sends from losing
    /// the answer, close only the sending half first, and read until the peer closes.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Closing)
            && self.output.is_empty()
            && self.exchange.is_none()
            && !self.events.answerable
    }

    /// Decodes what arrived ahead, if it is its turn.
    fn resume(&mut self) {
        if self.buffer.is_empty() || matches!(self.state, State::Answering | State::Upgraded) || !self.output.is_empty()
        {
            return;
        }
        let buffer = mem::take(&mut self.buffer);
        let mut rest = &*buffer;
        self.decode(&mut rest);
        let used = buffer.len() - rest.len();
        if !matches!(self.state, State::Closing) {
            self.buffer = buffer;
            self.buffer.advance(used);
            self.keep(&[]);
        }
    }

    /// Keeps what cannot be decoded yet.
    fn keep(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Closing | State::Upgraded) {
            return;
        }
        // The head itself has the same limit, and a better error.
        let is_head = matches!(self.state, State::Head) && self.output.is_empty();
        if !is_head && self.buffer.len().saturating_add(bytes.len()) > self.limits.max_head {
            return self.fail(Error::TooMuchAhead);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Decodes as much as the state allows.
    fn decode(&mut self, input: &mut &[u8]) {
        loop {
            let result = match &mut self.state {
                State::Head if self.output.is_empty() => self.decode_head(input),
                State::Body(decoder) if !input.is_empty() => {
                    match decoder.decode(input, &mut self.events.body, &self.limits) {
                        Ok(true) => {
                            self.complete();
                            Ok(true)
                        }
                        other => other,
                    }
                }
                State::Closing => {
                    *input = &[];
                    Ok(false)
                }
                _ => Ok(false),
            };
            match result {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    *input = &[];
                    return self.fail(error);
                }
            }
        }
    }

    /// Returns whether a head was decoded.
    fn decode_head(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        // Old clients send one empty line after a body (RFC 9112 section 2.2).
        if !self.skipped_line
            && let Some(rest) = input.strip_prefix(b"\r\n")
        {
            *input = rest;
            self.scanner = HeadScanner::default();
            self.skipped_line = true;
        }
        let Some(length) = self.scanner.find(input, self.limits.max_head)? else { return Ok(false) };
        (self.scanner, self.skipped_line) = (HeadScanner::default(), false);
        let (head, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
        *input = rest;
        self.open(Bytes::copy_from_slice(head))?;
        Ok(true)
    }

    /// Opens a request.
    fn open(&mut self, head: Bytes) -> Result<(), Error> {
        let mut fields = [const { mem::MaybeUninit::uninit() }; MAX_HEADERS];
        let fields = fields.get_mut(..self.limits.max_headers.min(MAX_HEADERS)).unwrap_or_default();
        let mut parsed = httparse::Request::new(&mut []);
        parsed.parse_with_uninit_headers(&head, fields).map_err(parse_error)?;
        let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(Error::InvalidHead);
        };
        let framing = Framing::new(version, parsed.headers)?;
        if framing.expects_other {
            return Err(Error::UnsupportedExpectation);
        }
        if framing.hosts > 1 {
            return Err(Error::RepeatedHost);
        }
        let headers = Headers::new(&head, parsed.headers)?;
        let has_body = framing.chunked || framing.length.is_some_and(|length| length > 0);
        let request = Request {
            method: headers.span(method)?,
            target: headers.span(target)?,
            version,
            length: framing.length,
            has_body,
            headers,
        };
        self.events.request = Some(request);
        self.exchange = Some(Exchange {
            is_head: method == "HEAD",
            version,
            persistent: framing.is_persistent(version),
            expects_continue: framing.expects_continue && version == 1,
            response: Answer::None,
        });
        let decoder = if framing.chunked {
            BodyDecoder::Chunked(Chunks::new())
        } else {
            BodyDecoder::length(framing.length.unwrap_or_default(), &mut self.events.body, &self.limits)?
        };
        if decoder.is_empty() {
            self.complete();
        } else {
            self.state = State::Body(decoder);
        }
        Ok(())
    }

    /// The request is complete.
    fn complete(&mut self) {
        self.events.end = true;
        self.state = State::Answering;
    }

    fn fail(&mut self, error: Error) {
        let answered = self.exchange.as_ref().is_some_and(|exchange| exchange.response != Answer::None);
        if answered {
            self.exchange = None;
        }
        self.events.failed = Some(error);
        self.events.answerable = !answered;
        self.state = State::Closing;
        self.buffer = BytesMut::new();
    }

    /// Writes the head of a response.
    fn begin<'n, 'v>(
        &mut self,
        status: u16,
        headers: impl IntoIterator<Item = (&'n str, &'v str)>,
        length: Option<usize>,
    ) -> Result<(BytesMut, Answer), SendError> {
        // A failure without a request is answered as if it were the simplest one.
        let fallback =
            Exchange { is_head: false, version: 1, persistent: false, expects_continue: false, response: Answer::None };
        let exchange = match &mut self.exchange {
            Some(exchange) => exchange,
            vacant if self.events.answerable => vacant.insert(fallback),
            _ => return Err(SendError::State),
        };
        if exchange.response != Answer::None {
            return Err(SendError::State);
        }
        if !(200..600).contains(&status) {
            return Err(SendError::Status);
        }
        let bodiless = matches!(status, 204 | 304);
        let persistent = exchange.persistent
            && matches!(self.state, State::Answering)
            && (length.is_some() || bodiless || exchange.version == 1);
        let mut head = BytesMut::with_capacity(256 + length.filter(|length| *length <= COPIED).unwrap_or_default());
        head.put_slice(b"HTTP/1.1 ");
        head.put_slice(itoa::Buffer::new().format(status).as_bytes());
        head.put_slice(b" \r\n");
        put_headers(&mut head, headers)?;
        let answer = match length {
            _ if bodiless => Answer::Omitted,
            Some(length) => {
                put_length(&mut head, length);
                if exchange.is_head { Answer::Omitted } else { Answer::UntilEnd }
            }
            None if exchange.version == 0 => {
                if exchange.is_head {
                    Answer::Omitted
                } else {
                    Answer::UntilEnd
                }
            }
            None => {
                put_header(&mut head, "transfer-encoding", "chunked");
                if exchange.is_head { Answer::Omitted } else { Answer::Chunked }
            }
        };
        if !persistent {
            put_header(&mut head, "connection", "close");
        } else if exchange.version == 0 {
            put_header(&mut head, "connection", "keep-alive");
        }
        head.put_slice(b"\r\n");
        exchange.persistent = persistent;
        self.events.answerable = false;
        // What is left of the request has no reader, and a failure is answered.
        (self.events.request, self.events.end, self.events.failed) = (None, false, None);
        self.events.body = BytesMut::new();
        if !matches!(self.state, State::Answering) {
            self.state = State::Closing;
            self.buffer = BytesMut::new();
        }
        Ok((head, answer))
    }

    /// The response is complete.
    fn end(&mut self) {
        let persistent = self.exchange.take().is_some_and(|exchange| exchange.persistent);
        if persistent && matches!(self.state, State::Answering) {
            self.state = State::Head;
        } else {
            self.close_now();
        }
    }

    fn close_now(&mut self) {
        if !matches!(self.state, State::Upgraded) {
            self.state = State::Closing;
            self.buffer = BytesMut::new();
        }
    }
}
