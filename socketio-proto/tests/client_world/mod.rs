//! A client, and a scripted server at the other end of its WebSocket, in virtual time.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may panic")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engineio_proto::client::{Input, Transmit};
use engineio_proto::server::{LinkDownCause, Transport};
use engineio_proto::{Frame, Instant, LinkId, LinkKind, Message, Revision};
use socketio_proto::client::{Client, Config, Event, SocketOptions};
use socketio_proto::{Encoder, Json, Parser, SocketHandle};

/// The open packet of the scripted server.
pub(crate) const OPEN: &str =
    r#"0{"sid":"engine","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

/// A client and the server's end of its link.
pub(crate) struct World<P: Parser = Json> {
    pub(crate) now: Instant,
    pub(crate) client: Client<P>,
    pub(crate) encoder: Encoder,
    /// The link that the client has asked for or uses.
    pub(crate) link: Option<LinkId>,
    /// How many links the client has asked for.
    pub(crate) dials: u32,
    sent: VecDeque<Message>,
    /// Whether the client has closed its last link.
    pub(crate) hung_up: bool,
    events: VecDeque<Event>,
}

/// The settings of the Engine.IO client: it uses a WebSocket.
pub(crate) fn engine() -> engineio_proto::client::Config {
    let mut config = engineio_proto::client::Config::default();
    config.transports = vec![Transport::Link(LinkKind::WebSocket)];
    config
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    /// Delays before attempts to connect again are not changed at random.
    pub(crate) fn exact() -> Self {
        let mut config = Config::default();
        config.randomization_factor = 0.0;
        Self::with(config)
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::of(engine(), Json, config)
    }

    /// A world whose socket `/` is connected.
    pub(crate) fn connected() -> (Self, SocketHandle) {
        Self::connected_with(Config::default(), SocketOptions::default())
    }

    pub(crate) fn connected_with(config: Config, options: SocketOptions) -> (Self, SocketHandle) {
        let mut world = Self::with(config);
        let socket = world.client.socket("/", options).unwrap();
        world.client.connect(world.now, socket);
        world.accept();
        assert_eq!(world.sent(), ["40"]);
        world.send(r#"40{"sid":"first"}"#);
        assert!(matches!(world.event(), Some(Event::Opened)));
        assert!(matches!(world.event(), Some(Event::Connected { recovered: false, .. })));
        assert!(world.event().is_none());
        (world, socket)
    }
}

impl<P: Parser> World<P> {
    pub(crate) fn of(engine: engineio_proto::client::Config, parser: P, config: Config) -> Self {
        Self {
            now: Instant::from_millis(1000),
            client: Client::new(Arc::new(engine), parser, Arc::new(config), 1),
            encoder: Encoder::new(),
            link: None,
            dials: 0,
            sent: VecDeque::new(),
            hung_up: false,
            events: VecDeque::new(),
        }
    }

    /// As [`World::of`], for a server of Socket.IO 1 or 2.
    pub(crate) fn of_protocol_4(parser: P) -> Self {
        let mut engine = engine();
        engine.revision = Revision::V3;
        Self::of(engine, parser, Config::default())
    }

    /// Polls until nothing is left.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut idle = true;
            while let Some(transmit) = self.client.poll_transmit() {
                idle = false;
                match transmit {
                    Transmit::Connect { link, .. } => {
                        self.link = Some(link);
                        self.dials += 1;
                        self.hung_up = false;
                    }
                    Transmit::Link { frame, .. } => self.sent.push_back(message(&frame)),
                    Transmit::CloseLink { link } => {
                        if self.link == Some(link) {
                            self.link = None;
                        }
                        self.hung_up = true;
                    }
                    other => panic!("{other:?}"),
                }
            }
            while let Some(event) = self.client.poll_event() {
                idle = false;
                self.events.push_back(event);
            }
            if idle {
                break;
            }
        }
        if let Some(deadline) = self.client.poll_timeout() {
            assert!(deadline > self.now, "{deadline:?} has passed");
        }
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.client.handle(self.now, input);
        self.settle();
    }

    /// The server accepts the link that the client has asked for.
    pub(crate) fn accept(&mut self) {
        self.accept_with(OPEN);
    }

    pub(crate) fn accept_with(&mut self, open: &str) {
        self.settle();
        let link = self.link.expect("the client has asked for a link");
        self.handle(Input::LinkUp { link });
        self.send(open);
    }

    /// The server sends a packet of Engine.IO.
    pub(crate) fn send(&mut self, packet: impl Into<Message>) {
        let link = self.link.expect("there is a link");
        self.handle(Input::LinkMessage { link, message: packet.into() });
    }

    /// The link fails, or cannot be made.
    pub(crate) fn cut(&mut self) {
        self.settle();
        let link = self.link.take().expect("there is a link");
        self.handle(Input::LinkDown { link, cause: LinkDownCause::Failed });
    }

    /// Lets time pass, with all timeouts at their time.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while let Some(deadline) = self.client.poll_timeout().filter(|&deadline| deadline <= end) {
            self.now = deadline;
            self.client.handle_timeout(self.now);
            assert!(self.client.poll_timeout().is_none_or(|next| next > deadline), "I2");
            self.settle();
        }
        self.now = end;
    }

    /// The texts that the client has sent. Binary messages are in brackets.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        self.settle();
        let text = |message| match message {
            Message::Text(text) => text.to_string(),
            Message::Binary(bytes) => format!("{:?}", &*bytes),
        };
        self.sent.drain(..).map(text).collect()
    }

    /// The binary messages that the client has sent.
    pub(crate) fn sent_binary(&mut self) -> Vec<Bytes> {
        self.settle();
        let bytes = |message| match message {
            Message::Text(text) => panic!("{text}"),
            Message::Binary(bytes) => bytes,
        };
        self.sent.drain(..).map(bytes).collect()
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Option<Event> {
        self.settle();
        self.events.pop_front()
    }

    /// The unread events in a short form.
    pub(crate) fn events(&mut self) -> Vec<String> {
        self.settle();
        self.events.drain(..).map(|event| short(&event)).collect()
    }

    pub(crate) fn emit(&mut self, socket: SocketHandle, event: &str) {
        self.client.emit(self.now, &mut self.encoder, socket, event, &()).unwrap();
    }

    /// A socket that connects.
    pub(crate) fn connect(&mut self, namespace: &str) -> SocketHandle {
        let socket = self.client.socket(namespace, SocketOptions::default()).unwrap();
        self.client.connect(self.now, socket);
        socket
    }
}

fn message(frame: &Frame) -> Message {
    if frame.is_binary() {
        Message::Binary([frame.head(), frame.data()].concat().into())
    } else {
        Message::Text(String::from_utf8([frame.head(), frame.data()].concat()).unwrap().into())
    }
}

/// An event in a short form.
pub(crate) fn short(event: &Event) -> String {
    match event {
        Event::Connected { socket, recovered: false, .. } => format!("connect {}", socket.0),
        Event::Connected { socket, recovered: true, .. } => format!("connect {} recovered", socket.0),
        Event::ConnectError { socket, error } => format!("connect_error {}: {error}", socket.0),
        Event::Received { socket, payload, .. } => {
            format!("{} {}({})", socket.0, payload.name().unwrap(), payload.raw_args())
        }
        Event::Acked { socket, id, outcome: Ok(payload) } => {
            format!("ack {}/{}({})", socket.0, id.0, payload.raw_args())
        }
        Event::Acked { socket, id, outcome: Err(error) } => format!("ack {}/{}: {error}", socket.0, id.0),
        Event::Disconnected { socket, reason } => format!("disconnect {}: {reason}", socket.0),
        Event::Closed(reason) => format!("close: {reason}"),
        Event::OpenFailed(error) => format!("error: {error}"),
        Event::ReconnectError(error) => format!("reconnect_error: {error}"),
        Event::ReconnectAttempt(number) => format!("reconnect_attempt {number}"),
        Event::Reconnected(number) => format!("reconnect {number}"),
        Event::ReconnectFailed => "reconnect_failed".into(),
        Event::Opened => "open".into(),
        Event::AuthRequested(request) => format!("auth {}", request.socket().0),
        Event::Error { socket, error } => format!("error {}: {error}", socket.0),
        Event::Ping => "ping".into(),
        Event::Writable => "writable".into(),
        other => format!("{other:?}"),
    }
}
