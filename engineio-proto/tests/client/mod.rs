//! Drives one client by hand in virtual time, and logs its outputs, one per line. The test plays the server.
//!
//! A test passes inputs (`answer`, `up`, `text`, ...), lets time pass (`sleep_until`), and compares the outputs since the last comparison
//! (`assert_outputs`). Outputs are polled in rounds, until there are no more: first all events, then all transmits. U+001E is shown as `␞`.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engineio_proto::client::{Client, Config, Input, Method, Transmit};
use engineio_proto::server::LinkDownCause;
use engineio_proto::{
    CloseReason, ContentType, Event, Frame, Instant, LinkId, Message, RequestId, Revision, SendError,
};

/// An open packet without upgrades: a ping every 300 ms, a pong within 200 ms.
pub(crate) const OPEN: &str = r#"0{"sid":"abc","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":1000}"#;

/// An open packet that offers a WebSocket, with a heartbeat that is too slow to interfere with a test.
pub(crate) const OFFER: &str =
    r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":1000000,"pingTimeout":20000,"maxPayload":1000}"#;

/// An open packet without upgrades, with a heartbeat that is too slow to interfere with a test.
pub(crate) const QUIET: &str =
    r#"0{"sid":"abc","upgrades":[],"pingInterval":1000000,"pingTimeout":20000,"maxPayload":1000}"#;

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Settings of a client: one second for a probe, two for a close, five to open.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.upgrade_timeout = millis(1000);
    config.close_timeout = millis(2000);
    config.open_timeout = millis(5000);
    config
}

/// Settings of a client of revision 3.
pub(crate) fn revision_3() -> Config {
    let mut config = config();
    config.revision = Revision::V3;
    config
}

/// Settings of a client that only uses these transports: `p` for polling, `w` for WebSocket, `t` for WebTransport.
pub(crate) fn over(transports: &str) -> Config {
    use engineio_proto::LinkKind::{WebSocket, WebTransport};
    use engineio_proto::server::Transport;
    let mut config = config();
    let transport = |letter| match letter {
        'p' => Transport::Polling,
        'w' => Transport::Link(WebSocket),
        _ => Transport::Link(WebTransport),
    };
    config.transports = transports.chars().map(transport).collect();
    config
}

pub(crate) struct Peer {
    pub(crate) client: Client,
    pub(crate) now: Instant,
    /// Requests that were made, and neither answered nor cancelled.
    requests: BTreeSet<u64>,
    /// Links that were asked for, and are neither closed nor down.
    links: BTreeSet<u64>,
    closed: bool,
    log: Vec<String>,
}

impl Peer {
    /// A client that does nothing yet.
    pub(crate) fn new(config: Config) -> Self {
        Self {
            client: Client::new(Arc::new(config)),
            now: Instant::ZERO,
            requests: BTreeSet::new(),
            links: BTreeSet::new(),
            closed: false,
            log: Vec::new(),
        }
    }

    /// A client that has begun to open its session.
    pub(crate) fn opening(config: Config) -> Self {
        let mut peer = Self::new(config);
        peer.open();
        peer
    }

    /// A client whose session was opened over polling with this open packet. The next GET is request 2.
    pub(crate) fn polling(config: Config, open: &str) -> Self {
        let mut peer = Self::opening(config);
        assert_eq!(peer.turn().len(), 1);
        peer.answer(1, open);
        let said = peer.turn();
        assert!(said.contains(&"open".to_owned()), "{said:?}");
        peer
    }

    /// A client whose session was opened over link 1.
    pub(crate) fn websocket(mut config: Config, open: &str) -> Self {
        config.transports = over("w").transports;
        let mut peer = Self::opening(config);
        assert_eq!(peer.turn().len(), 1);
        peer.up(1);
        peer.text(1, open);
        let said = peer.turn();
        assert_eq!(said.last().map(String::as_str), Some("open"), "{said:?}");
        peer
    }

    /// A client that was opened over polling with [`OFFER`], and whose probe, link 2, was answered. It has not stopped polling yet: request 3
    /// is in progress.
    pub(crate) fn answered(config: Config) -> Self {
        let mut peer = Self::polling(config, OFFER);
        peer.up(2);
        peer.text(2, "3probe");
        assert_eq!(peer.turn(), ["link 2: 2probe"]);
        peer
    }

    /// A session that was upgraded to link 2.
    pub(crate) fn upgraded(config: Config) -> Self {
        let mut peer = Self::answered(config);
        peer.answer(3, "6");
        assert_eq!(peer.turn(), ["upgraded WebSocket", "link 2: 5"]);
        peer
    }

    pub(crate) fn open(&mut self) {
        self.closed = false;
        self.client.open(self.now);
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.client.handle(self.now, input);
    }

    /// The server answers a request with 200 and this text.
    pub(crate) fn answer(&mut self, request: u64, body: &str) {
        self.respond(request, 200, body);
    }

    pub(crate) fn respond(&mut self, request: u64, status: u16, body: &str) {
        let body = Bytes::from(body.replace('␞', "\u{1e}"));
        self.respond_typed(request, status, ContentType::Text, body);
    }

    pub(crate) fn respond_typed(&mut self, request: u64, status: u16, content_type: ContentType, body: Bytes) {
        self.requests.remove(&request);
        self.handle(Input::Response { request: RequestId(request), status, content_type, body });
    }

    pub(crate) fn failed(&mut self, request: u64) {
        self.requests.remove(&request);
        self.handle(Input::Failed { request: RequestId(request) });
    }

    pub(crate) fn up(&mut self, link: u64) {
        self.handle(Input::LinkUp { link: LinkId(link) });
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
        self.links.remove(&link);
        self.handle(Input::LinkDown { link: LinkId(link), cause });
    }

    pub(crate) fn send(&mut self, text: &str) {
        assert_eq!(self.try_send(text), Ok(()));
    }

    pub(crate) fn send_binary(&mut self, bytes: &'static [u8]) {
        assert_eq!(self.client.send(Bytes::from_static(bytes).into()), Ok(()));
    }

    pub(crate) fn try_send(&mut self, text: &str) -> Result<(), SendError> {
        self.client.send(text.into())
    }

    pub(crate) fn close(&mut self) {
        self.client.close(self.now);
    }

    pub(crate) fn discard(&mut self) {
        self.client.discard(self.now);
    }

    /// Lets time pass. Every deadline fires exactly on time.
    pub(crate) fn sleep_until(&mut self, at: u64) {
        let at = Instant::from_millis(at);
        while let Some(due) = self.client.poll_timeout().filter(|&due| due <= at) {
            self.now = self.now.max(due);
            self.client.handle_timeout(due);
            let next = self.client.poll_timeout();
            assert!(next.is_none_or(|next| next > due), "the next deadline {next:?} is not later than {due:?}");
            self.drain();
        }
        self.now = self.now.max(at);
    }

    /// Polls until there are no more outputs, and returns those since the last call.
    pub(crate) fn turn(&mut self) -> Vec<String> {
        self.drain();
        std::mem::take(&mut self.log)
    }

    #[track_caller]
    pub(crate) fn assert_outputs(&mut self, expected: &[&str]) {
        assert_eq!(self.turn(), expected);
    }

    /// Asserts that there are no more outputs, that the client is drained and holds nothing, and that late inputs change nothing.
    #[track_caller]
    pub(crate) fn assert_over(&mut self) {
        self.assert_outputs(&[]);
        assert!(self.client.is_drained());
        assert_eq!(self.client.poll_timeout(), None);
        assert_eq!(self.client.buffered_bytes(), 0);
        assert!(self.requests.is_empty(), "neither awaited nor cancelled: {:?}", self.requests);
        assert!(self.links.is_empty(), "not closed: {:?}", self.links);
        for id in 0..9 {
            self.answer(id, "4late");
            self.failed(id);
            self.up(id);
            self.text(id, "4late");
            self.bytes(id, b"\x054late");
            self.down(id, LinkDownCause::Failed);
        }
        assert!(matches!(self.client.send("late".into()), Err(SendError::Closed | SendError::NotConnected)));
        self.assert_outputs(&[]);
        assert!(self.client.is_drained());
        assert_eq!(self.client.poll_timeout(), None);
    }

    fn drain(&mut self) {
        loop {
            let before = self.log.len();
            while let Some(event) = self.client.poll_event() {
                assert!(!self.closed || event == Event::Open, "{event:?} follows Event::Closed");
                self.closed = matches!(event, Event::Closed(_));
                self.log.push(show_event(&event));
            }
            while let Some(transmit) = self.client.poll_transmit() {
                self.record(&transmit);
                self.log.push(show_transmit(&transmit));
            }
            if self.log.len() == before {
                return;
            }
        }
    }

    /// Checks that requests and links begin and end once.
    fn record(&mut self, transmit: &Transmit) {
        match transmit {
            Transmit::Request { request, .. } => assert!(self.requests.insert(request.0), "{request:?} is not new"),
            Transmit::Cancel { request } => assert!(self.requests.remove(&request.0), "{request:?} has ended"),
            Transmit::Connect { link, .. } => assert!(self.links.insert(link.0), "{link:?} is not new"),
            Transmit::Link { link, .. } => assert!(self.links.contains(&link.0), "{link:?} is closed"),
            Transmit::CloseLink { link } => assert!(self.links.remove(&link.0), "{link:?} is closed"),
            other => panic!("unknown: {other:?}"),
        }
    }
}

fn show_body(body: &Bytes) -> String {
    String::from_utf8_lossy(body).replace('\u{1e}', "␞")
}

pub(crate) fn show_frame(frame: &Frame) -> String {
    if frame.is_binary() {
        return format!("binary {:?}", &[frame.head(), frame.data()].concat()[..]);
    }
    String::from_utf8_lossy(&[frame.head(), frame.data()].concat()).into_owned()
}

fn show_transmit(transmit: &Transmit) -> String {
    match transmit {
        Transmit::Request { request, method: Method::Get, query } => format!("get {}: {query}", request.0),
        Transmit::Request { request, method: Method::Post { body, content_type: ContentType::Text }, .. } => {
            format!("post {}: {}", request.0, show_body(body))
        }
        Transmit::Request { request, method: Method::Post { body, .. }, .. } => {
            format!("post {}: binary {:?}", request.0, &body[..])
        }
        Transmit::Cancel { request } => format!("cancel {}", request.0),
        Transmit::Connect { link, kind, query } => format!("connect {}: {kind:?} {query}", link.0),
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
        Event::UpgradeFailed(kind) => format!("upgrade failed {kind:?}"),
        Event::Ping => "ping".into(),
        Event::Writable => "writable".into(),
        Event::Closed(CloseReason::TransportError(error)) => format!("closed: transport error ({error})"),
        Event::Closed(CloseReason::ParseError(error)) => format!("closed: parse error ({error})"),
        Event::Closed(reason) => format!("closed: {reason}"),
        other => panic!("unknown: {other:?}"),
    }
}
