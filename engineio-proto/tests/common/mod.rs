//! Drives one session by hand in virtual time, and logs its outputs, one per line.
//!
//! A test passes inputs (`get`, `post`, `up`, `text`, ...), lets time pass (`sleep_until`), and compares the outputs since the last
//! comparison (`assert_outputs`). Outputs are polled in rounds, until there are no more: first all events, then all transmits. U+001E is shown as
//! `␞`.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

use std::collections::BTreeSet;

use bytes::Bytes;
use engineio_proto::server::{Handshake, IncomingOutcome, Input, LinkDownCause, Route, Server, Session, Transmit};
use engineio_proto::{
    CloseReason, Config, ContentType, Event, LinkId, LinkKind, Message, RequestHead, RequestId, Response, SendError,
    Sid,
};
use engineio_proto::{Frame, Instant};

pub(crate) const ID: &str = "lv_VI97HAXpY6yYWAAAB";

/// Settings with short times: a ping every 300 ms, a pong within 200 ms, an upgrade within 1 s.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.ping_interval = millis(300);
    config.ping_timeout = millis(200);
    config.upgrade_timeout = millis(1000);
    config
}

/// Settings whose heartbeat is too slow to interfere with a test.
pub(crate) fn quiet() -> Config {
    let mut config = Config::default();
    config.ping_interval = millis(1_000_000);
    config
}

pub(crate) const fn millis(millis: u64) -> std::time::Duration {
    std::time::Duration::from_millis(millis)
}

pub(crate) struct Peer {
    pub(crate) server: Server,
    pub(crate) session: Session,
    pub(crate) now: Instant,
    /// Whether replies count as written as soon as they are polled.
    pub(crate) confirms: bool,
    requests: u64,
    links: u64,
    waiting: BTreeSet<u64>,
    /// Requests that were aborted before their answer was polled. An answer may still follow. Nobody receives it.
    aborted: BTreeSet<u64>,
    closed: bool,
    log: Vec<String>,
}

impl Peer {
    /// An accepted session without any input.
    pub(crate) fn accepted(config: Config, query: &str, websocket: bool) -> Self {
        let server = Server::new(config);
        let head = RequestHead { method: "GET", query, origin: None, websocket };
        let Route::Open(handshake) = server.route(&head) else { panic!("{query} does not open a session") };
        Self::with(server, handshake)
    }

    fn with(server: Server, handshake: Handshake) -> Self {
        let session = handshake.accept(Instant::ZERO, Sid::new(ID).unwrap());
        Self {
            server,
            session,
            now: Instant::ZERO,
            confirms: true,
            requests: 0,
            links: 0,
            waiting: BTreeSet::new(),
            aborted: BTreeSet::new(),
            closed: false,
            log: Vec::new(),
        }
    }

    /// An open polling session without a held GET. Its handshake was request 1.
    pub(crate) fn polling(config: Config) -> Self {
        let mut peer = Self::accepted(config, "EIO=4&transport=polling", false);
        peer.get();
        let said = peer.turn();
        assert_eq!(said.first().map(String::as_str), Some("open"));
        assert!(said.get(1).is_some_and(|line| line.starts_with("reply 1: 200 0{")), "{said:?}");
        peer
    }

    /// An open WebSocket session. Its link is 1.
    pub(crate) fn websocket(config: Config) -> Self {
        Self::over_link(config, "EIO=4&transport=websocket", LinkKind::WebSocket)
    }

    /// An open WebTransport session. Its link is 1.
    pub(crate) fn webtransport(mut config: Config) -> Self {
        config.transports.webtransport = true;
        let server = Server::new(config);
        let mut incoming = server.incoming(Instant::ZERO);
        incoming.handle(Bytes::from_static(&[0x01, b'0']));
        let Some(IncomingOutcome::Open(handshake)) = incoming.poll() else { panic!("the packet opens no session") };
        let mut peer = Self::with(server, handshake);
        peer.up(LinkKind::WebTransport);
        let said = peer.turn();
        assert!(said.get(1).is_some_and(|line| line.starts_with("link 1: 0{")), "{said:?}");
        peer
    }

    pub(crate) fn over_link(config: Config, query: &str, kind: LinkKind) -> Self {
        let mut peer = Self::accepted(config, query, true);
        peer.up(kind);
        let said = peer.turn();
        assert_eq!(said.first().map(String::as_str), Some("open"));
        assert!(said.get(1).is_some_and(|line| line.starts_with("link 1: 0{")), "{said:?}");
        peer
    }

    /// A session that was upgraded from polling to link 1.
    pub(crate) fn upgraded(config: Config) -> Self {
        let mut peer = Self::polling(config);
        peer.up(LinkKind::WebSocket);
        peer.text(1, "2probe");
        peer.text(1, "5");
        peer.assert_outputs(&["upgraded WebSocket", "link 1: 3probe"]);
        peer
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.session.handle(self.now, input);
    }

    pub(crate) fn get(&mut self) -> u64 {
        let request = self.request();
        self.handle(Input::Get { request: RequestId(request) });
        request
    }

    /// A POST whose body has not arrived yet.
    pub(crate) fn post_head(&mut self) -> u64 {
        self.post_typed(ContentType::Text)
    }

    pub(crate) fn post_typed(&mut self, content_type: ContentType) -> u64 {
        let request = self.request();
        self.handle(Input::Post { request: RequestId(request), content_type });
        request
    }

    pub(crate) fn body(&mut self, request: u64, body: &str) {
        let body = Bytes::from(body.replace('␞', "\u{1e}"));
        self.handle(Input::Body { request: RequestId(request), body });
    }

    pub(crate) fn post(&mut self, body: &str) -> u64 {
        let request = self.post_head();
        self.body(request, body);
        request
    }

    fn request(&mut self) -> u64 {
        self.requests += 1;
        self.waiting.insert(self.requests);
        self.requests
    }

    pub(crate) fn aborted(&mut self, request: u64) {
        if self.waiting.remove(&request) {
            self.aborted.insert(request);
        }
        self.handle(Input::Aborted { request: RequestId(request) });
    }

    pub(crate) fn replied(&mut self, request: u64) {
        self.handle(Input::Replied { request: RequestId(request) });
    }

    /// Brings a link up. The first one has the number 1.
    pub(crate) fn up(&mut self, kind: LinkKind) -> u64 {
        self.links += 1;
        self.handle(Input::LinkUp { link: LinkId(self.links), kind });
        self.links
    }

    pub(crate) fn text(&mut self, link: u64, text: &str) {
        self.handle(Input::LinkMessage { link: LinkId(link), message: text.into() });
    }

    pub(crate) fn binary(&mut self, link: u64, bytes: &'static [u8]) {
        self.handle(Input::LinkMessage { link: LinkId(link), message: Bytes::from_static(bytes).into() });
    }

    pub(crate) fn bytes(&mut self, link: u64, bytes: &[u8]) {
        self.handle(Input::LinkBytes { link: LinkId(link), chunk: Bytes::copy_from_slice(bytes) });
    }

    pub(crate) fn down(&mut self, link: u64, cause: LinkDownCause) {
        self.handle(Input::LinkDown { link: LinkId(link), cause });
    }

    pub(crate) fn send(&mut self, text: &str) {
        assert_eq!(self.try_send(text), Ok(()));
    }

    pub(crate) fn try_send(&mut self, text: &str) -> Result<(), SendError> {
        self.session.send(text.into())
    }

    pub(crate) fn close(&mut self) {
        self.session.close(self.now);
    }

    pub(crate) fn discard(&mut self) {
        self.session.discard(self.now);
    }

    /// Returns whether a request with this query is accepted. The error is the status and body of the refusal.
    pub(crate) fn admits(&self, method: &str, query: &str, websocket: bool) -> Result<(), String> {
        let query = format!("{query}&sid={ID}");
        let head = RequestHead { method, query: &query, origin: None, websocket };
        let Route::Session { session_request, .. } = self.server.route(&head) else {
            panic!("{query} is not routed to a session")
        };
        self.session.admit(&session_request).map_err(|response| show(&response))
    }

    /// Lets time pass. Every deadline fires exactly on time.
    pub(crate) fn sleep_until(&mut self, at: u64) {
        let at = Instant::from_millis(at);
        while let Some(due) = self.session.poll_timeout().filter(|&due| due <= at) {
            self.now = self.now.max(due);
            self.session.handle_timeout(due);
            let next = self.session.poll_timeout();
            assert!(next.is_none_or(|next| next > due), "the next deadline {next:?} is not later than {due:?}");
            self.drain();
        }
        self.now = self.now.max(at);
    }

    /// Polls until there are no more outputs, and returns those since the last call.
    pub(crate) fn turn(&mut self) -> Vec<String> {
        self.drain();
        if self.closed && self.session.is_drained() {
            assert_eq!(self.session.poll_timeout(), None);
            assert!(self.waiting.is_empty(), "never answered: {:?}", self.waiting);
        }
        std::mem::take(&mut self.log)
    }

    #[track_caller]
    pub(crate) fn assert_outputs(&mut self, expected: &[&str]) {
        assert_eq!(self.turn(), expected);
    }

    /// Asserts that there are no more outputs, that the session is drained, and that late requests are answered.
    #[track_caller]
    pub(crate) fn assert_over(&mut self) {
        self.assert_outputs(&[]);
        assert!(self.session.is_drained());
        assert_eq!(self.session.poll_timeout(), None);
        assert!(self.waiting.is_empty(), "never answered: {:?}", self.waiting);
        let get = self.get();
        let post = self.post("4x");
        assert_eq!(self.turn(), [unknown_session(get), unknown_session(post)]);
        let link = self.up(LinkKind::WebSocket);
        self.text(link, "4x");
        assert_eq!(self.turn(), [format!("close link {link}")]);
        assert_eq!(self.session.send("late".into()), Err(SendError::Closed));
        assert!(self.session.is_drained());
    }

    fn drain(&mut self) {
        loop {
            let before = self.log.len();
            while let Some(event) = self.session.poll_event() {
                assert!(!self.closed, "{event:?} follows Event::Closed");
                self.closed = matches!(event, Event::Closed(_));
                self.log.push(show_event(&event));
            }
            while let Some(transmit) = self.session.poll_transmit() {
                if let Transmit::Reply { request, .. } = &transmit {
                    if self.aborted.remove(&request.0) {
                        continue;
                    }
                    assert!(self.waiting.remove(&request.0), "answered twice: {request:?}");
                    if self.confirms {
                        self.session.handle(self.now, Input::Replied { request: *request });
                    }
                }
                self.log.push(show_transmit(&transmit));
            }
            if self.log.len() == before {
                return;
            }
        }
    }
}

/// The output line of a request that arrives after the session has ended.
pub(crate) fn unknown_session(request: u64) -> String {
    format!("reply {request}: 400 {{\"code\":1,\"message\":\"Session ID unknown\"}}")
}

/// The output line of a polling request that arrives after an upgrade.
pub(crate) fn mismatch(request: u64) -> String {
    format!("reply {request}: 400 {{\"code\":3,\"message\":\"Bad request\"}}")
}

fn show(response: &Response) -> String {
    let body = String::from_utf8_lossy(response.body()).replace('\u{1e}', "␞");
    format!("{} {body}", response.status()).trim_end().to_owned()
}

pub(crate) fn show_frame(frame: &Frame) -> String {
    if frame.is_binary() {
        return format!("binary {:?}", &frame.data()[..]);
    }
    String::from_utf8_lossy(&[frame.head(), frame.data()].concat()).into_owned()
}

fn show_transmit(transmit: &Transmit) -> String {
    match transmit {
        Transmit::Reply { request, response } => format!("reply {}: {}", request.0, show(response)),
        Transmit::Link { link, frame } => format!("link {}: {}", link.0, show_frame(frame)),
        Transmit::CloseLink { link } => format!("close link {}", link.0),
        other => panic!("unknown: {other:?}"),
    }
}

fn show_event(event: &Event) -> String {
    match event {
        Event::Open => "open".into(),
        Event::Message(Message::Text(text)) => format!("message {text}"),
        Event::Message(Message::Binary(bytes)) => format!("binary {:?}", &bytes[..]),
        Event::Upgraded(kind) => format!("upgraded {kind:?}"),
        Event::Writable => "writable".into(),
        Event::Closed(CloseReason::TransportError(error)) => format!("closed: transport error ({error})"),
        Event::Closed(CloseReason::ParseError(error)) => format!("closed: parse error ({error})"),
        Event::Closed(reason) => format!("closed: {reason}"),
        other => panic!("unknown: {other:?}"),
    }
}
