//! The client's side of a connection.

use alloc::collections::VecDeque;
use core::mem;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::body::{BodyDecoder, Chunks};
use crate::encode::{is_target, is_token, put_headers, put_length};
use crate::head::{Framing, HeadScanner, Headers, parse_error};
use crate::{Error, Limits, MAX_HEADERS, SendError};

/// A body up to this size is sent together with its head. A larger one is not copied.
const COPIED: usize = 4096;

/// The head of a response.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Headers,
    length: Option<u64>,
}

impl Response {
    /// The status: 200 and above, or 101 if the server switches protocols.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
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
}

/// What happened on a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The head of the response arrived. Interim responses are skipped. If the status is 101, [`Connection::upgrade`] takes what follows,
    /// and there is no [`Event::End`]. Otherwise any number of [`Event::Body`] come, and one of [`Event::End`] and [`Event::Failed`].
    Response(Response),
    /// A part of the body, never empty.
    Body(Bytes),
    /// The response is complete.
    End,
    /// The server broke a rule or a limit, or ended the connection before the end of the response. It is the last event, and the
    /// connection must be closed.
    Failed(Error),
}

/// The client's side of a connection.
///
/// [`request`](Self::request) sends a request. Pass what the server sends to [`handle`](Self::handle), and its end to
/// [`handle_end`](Self::handle_end). After each call poll [`poll_event`](Self::poll_event) and [`poll_transmit`](Self::poll_transmit) until
/// both are empty. One request is in progress at a time. A further one can follow while the connection [is reusable](Self::is_reusable).
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    state: State,
    scanner: HeadScanner,
    /// A part of a head, or what follows a switch.
    buffer: BytesMut,
    /// How large the heads of interim responses were.
    interim: usize,
    is_head: bool,
    asks_upgrade: bool,
    persistent: bool,
    events: Events,
    output: VecDeque<Bytes>,
}

#[derive(Debug)]
enum State {
    Idle,
    Head,
    Body(BodyDecoder),
    /// The server has switched, and the caller has not.
    Switching,
    /// All further input is ignored.
    Closed,
}

/// What is not polled yet. The order of the fields is that of the events.
#[derive(Debug, Default)]
struct Events {
    response: Option<Response>,
    body: BytesMut,
    end: bool,
    failed: Option<Error>,
}

impl Connection {
    /// A new connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Idle,
            scanner: HeadScanner::default(),
            buffer: BytesMut::new(),
            interim: 0,
            is_head: false,
            asks_upgrade: false,
            persistent: true,
            events: Events::default(),
            output: VecDeque::new(),
        }
    }

    /// Sends a request. `host` is the value of `Host`. With a `body`, the connection writes `Content-Length`. `headers` may have
    /// `Connection: close`, which ends the connection after the response, and `Upgrade`, without which the status 101 is an error.
    ///
    /// # Errors
    ///
    /// If the connection [is not reusable](Self::is_reusable), or the head would not be valid.
    pub fn request<'n, 'v>(
        &mut self,
        method: &str,
        target: &str,
        host: &str,
        headers: impl IntoIterator<Item = (&'n str, &'v str)>,
        body: Option<Bytes>,
    ) -> Result<(), SendError> {
        if !self.is_reusable() {
            return Err(SendError::State);
        }
        if !is_token(method) || !is_target(target) {
            return Err(SendError::InvalidHead);
        }
        let (mut asks_upgrade, mut asks_close) = (false, false);
        let mut head = BytesMut::with_capacity(256);
        for part in [method, " ", target, " HTTP/1.1\r\n"] {
            head.put_slice(part.as_bytes());
        }
        let headers = headers.into_iter().inspect(|(name, value)| {
            asks_upgrade |= name.eq_ignore_ascii_case("upgrade");
            let mut options = value.split(',').map(str::trim);
            asks_close |=
                name.eq_ignore_ascii_case("connection") && options.any(|option| option.eq_ignore_ascii_case("close"));
        });
        put_headers(&mut head, [("host", host)])?;
        put_headers(&mut head, headers)?;
        if let Some(body) = &body {
            put_length(&mut head, body.len());
        }
        head.put_slice(b"\r\n");
        match body {
            Some(body) if body.len() > COPIED => self.output.extend([head.freeze(), body]),
            body => {
                head.put_slice(&body.unwrap_or_default());
                self.output.push_back(head.freeze());
            }
        }
        self.state = State::Head;
        self.interim = 0;
        (self.is_head, self.asks_upgrade, self.persistent) = (method == "HEAD", asks_upgrade, !asks_close);
        Ok(())
    }

    /// Passes bytes that the server sent.
    pub fn handle(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if !self.buffer.is_empty() {
            self.buffer.extend_from_slice(bytes);
            let buffer = mem::take(&mut self.buffer);
            let mut rest = &*buffer;
            self.decode(&mut rest);
            if rest.len() == buffer.len() {
                self.buffer = buffer;
            } else {
                self.buffer.extend_from_slice(rest);
            }
        } else {
            let mut rest = bytes;
            self.decode(&mut rest);
            self.buffer.extend_from_slice(rest);
        }
        if matches!(self.state, State::Switching) && self.buffer.len() > self.limits.max_head {
            self.fail(Error::TooMuchAhead);
        }
    }

    /// The server has ended its half of the connection, or the connection failed.
    pub fn handle_end(&mut self) {
        match self.state {
            State::Body(BodyDecoder::UntilEnd { .. }) => self.complete(),
            State::Head | State::Body(_) => self.fail(Error::Incomplete),
            // After a switch, the caller sees the end as well.
            State::Switching => return,
            State::Idle | State::Closed => {}
        }
        self.state = State::Closed;
    }

    /// The next event. See [`Event`] for their order.
    pub fn poll_event(&mut self) -> Option<Event> {
        let events = &mut self.events;
        if let Some(response) = events.response.take() {
            return Some(Event::Response(response));
        }
        if !events.body.is_empty() {
            return Some(Event::Body(mem::take(&mut events.body).freeze()));
        }
        if mem::take(&mut events.end) {
            return Some(Event::End);
        }
        events.failed.take().map(Event::Failed)
    }

    /// Bytes to write to the server, in order.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.output.pop_front()
    }

    /// Takes the connection for the protocol that it switched to. Returns the bytes that arrived after the head: they are the first of that
    /// protocol. All further input is ignored here.
    ///
    /// # Errors
    ///
    /// If the server did not switch.
    pub fn upgrade(&mut self) -> Result<Bytes, SendError> {
        let State::Switching = self.state else { return Err(SendError::State) };
        self.state = State::Closed;
        Ok(mem::take(&mut self.buffer).freeze())
    }

    /// Whether a request can be sent: there was none, or the events of the previous one are polled to its [`Event::End`], and neither side
    /// asked to close. A server that sends what no request asked for makes it false as well.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        matches!(self.state, State::Idle) && !self.events.end && self.events.body.is_empty()
    }

    fn decode(&mut self, input: &mut &[u8]) {
        loop {
            let result = match &mut self.state {
                State::Head => self.decode_head(input),
                State::Body(decoder) if !input.is_empty() => {
                    match decoder.decode(input, &mut self.events.body, &self.limits) {
                        Ok(true) => {
                            self.complete();
                            Ok(true)
                        }
                        other => other,
                    }
                }
                // No request asked for this: the connection cannot be used again.
                State::Idle if !input.is_empty() => {
                    *input = &[];
                    self.state = State::Closed;
                    Ok(false)
                }
                State::Closed => {
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
        let limit = self.limits.max_head.saturating_sub(self.interim);
        let Some(length) = self.scanner.find(input, limit)? else { return Ok(false) };
        self.scanner = HeadScanner::default();
        let (head, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
        *input = rest;
        self.open(head)?;
        Ok(true)
    }

    /// Takes a head.
    fn open(&mut self, head: &[u8]) -> Result<(), Error> {
        let mut fields = [const { mem::MaybeUninit::uninit() }; MAX_HEADERS];
        let fields = fields.get_mut(..self.limits.max_headers.min(MAX_HEADERS)).unwrap_or_default();
        let head = Bytes::copy_from_slice(head);
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        config.parse_response_with_uninit_headers(&mut parsed, &head, fields).map_err(parse_error)?;
        let (Some(status @ 100..=999), Some(version)) = (parsed.code, parsed.version) else {
            return Err(Error::InvalidHead);
        };
        match status {
            101 if !self.asks_upgrade => return Err(Error::UnaskedSwitch),
            101 => {
                self.events.response =
                    Some(Response { status, headers: Headers::new(&head, parsed.headers)?, length: None });
                self.state = State::Switching;
                return Ok(());
            }
            100..=199 => {
                self.interim = self.interim.saturating_add(head.len());
                return Ok(());
            }
            _ => {}
        }
        let framing = Framing::new(version, parsed.headers)?;
        let headers = Headers::new(&head, parsed.headers)?;
        self.events.response = Some(Response { status, headers, length: framing.length });
        self.persistent &= framing.is_persistent(version);
        let is_empty = self.is_head || matches!(status, 204 | 304);
        let decoder = match framing.length {
            _ if is_empty => BodyDecoder::Length(0),
            Some(length) => BodyDecoder::length(length, &mut self.events.body, &self.limits)?,
            None if framing.chunked => BodyDecoder::Chunked(Chunks::new()),
            None => {
                self.persistent = false;
                BodyDecoder::UntilEnd { left: self.limits.max_body }
            }
        };
        if decoder.is_empty() {
            self.complete();
        } else {
            self.state = State::Body(decoder);
        }
        Ok(())
    }

    /// The response is complete.
    fn complete(&mut self) {
        self.events.end = true;
        self.state = if self.persistent { State::Idle } else { State::Closed };
    }

    fn fail(&mut self, error: Error) {
        self.events.failed = Some(error);
        self.state = State::Closed;
        self.buffer = BytesMut::new();
    }
}
