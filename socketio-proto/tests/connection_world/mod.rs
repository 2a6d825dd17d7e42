//! A peer that exchanges real frames with a `Connection`, over a WebSocket or by long-polling, in virtual time.
//!
//! Every step ends with the checks that apply to all steps, so a test states only what it is about.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engineio_proto::server::{Input, LinkDownCause, Route, Server, Transmit};
use engineio_proto::{ContentType, Instant, LinkId, LinkKind, Message, RequestHead, RequestId, Sid};
use socketio_proto::server::Connection;
use socketio_proto::{Config, DisconnectReason, Encoder, Event, Pending, SocketHandle, SocketId};

pub(crate) const LINK: LinkId = LinkId(1);

/// The peer, the connection, and the application, which the test controls.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) connection: Connection,
    pub(crate) encoder: Encoder,
    polling: bool,
    requests: u64,
    replies: BTreeMap<u64, (u16, String)>,
    received: Vec<Message>,
    link_closed: bool,
    closed: bool,
    /// Sockets for which `Disconnecting` was polled, and `Disconnected` was not yet.
    leaving: Vec<(SocketHandle, DisconnectReason)>,
    ids: u8,
}

/// The settings of the session and of the connection.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) engine: engineio_proto::Config,
    pub(crate) socket: Config,
}

impl World {
    /// A world with a WebSocket and an open session.
    pub(crate) fn websocket() -> Self {
        Self::with(false, Settings::default())
    }

    /// A world with long-polling and an open session. No GET is held.
    pub(crate) fn polling() -> Self {
        Self::with(true, Settings::default())
    }

    /// As [`World::with`], with a client of protocol 4.
    pub(crate) fn of_protocol_4(polling: bool, mut settings: Settings) -> Self {
        settings.engine.allow_eio3 = true;
        Self::of_revision(3, polling, settings)
    }

    pub(crate) fn with(polling: bool, settings: Settings) -> Self {
        Self::of_revision(4, polling, settings)
    }

    fn of_revision(revision: u8, polling: bool, settings: Settings) -> Self {
        let now = Instant::from_millis(1000);
        let server = Server::new(settings.engine);
        let query = format!("EIO={revision}&transport={}", if polling { "polling" } else { "websocket" });
        let head = RequestHead { method: "GET", query: &query, origin: None, websocket: !polling };
        let Route::Open(handshake) = server.route(&head) else { panic!("not a handshake") };
        let session = handshake.accept(now, Sid::from_random([0; 15]));
        let connection = Connection::new(now, session, socketio_proto::Json, Arc::new(settings.socket));
        let mut world = Self {
            now,
            connection,
            encoder: Encoder::new(),
            polling,
            requests: 0,
            replies: BTreeMap::new(),
            received: Vec::new(),
            link_closed: false,
            closed: false,
            leaving: Vec::new(),
            ids: 0,
        };
        if polling {
            let request = world.get();
            let open = world.reply(request).1;
            assert!(open.starts_with("0{") || revision == 3 && open.contains(":0{"), "{open}");
        } else {
            world.handle(Input::LinkUp { link: LINK, kind: LinkKind::WebSocket });
            assert_eq!(world.received.len(), 1, "the open packet");
            world.received.clear();
        }
        world
    }

    /// Like [`World::with`], with `/` joined.
    pub(crate) fn joined_with(polling: bool, settings: Settings) -> (Self, SocketHandle) {
        let mut world = Self::with(polling, settings);
        let socket = world.join("/");
        (world, socket)
    }

    /// A world with a WebSocket and `/` joined.
    pub(crate) fn joined() -> (Self, SocketHandle) {
        Self::joined_with(false, Settings::default())
    }

    /// Lets the peer join a namespace and read the answer.
    pub(crate) fn join(&mut self, namespace: &str) -> SocketHandle {
        let prefix = if namespace == "/" { String::new() } else { format!("{namespace},") };
        self.send(&format!("0{prefix}"));
        let pending = self.requested();
        assert_eq!(&**pending.namespace(), namespace);
        let sid = &self.id();
        let socket = self.connection.accept(self.now, pending, sid).unwrap();
        self.settle();
        if self.polling {
            let request = self.get();
            assert_eq!(self.reply(request), (200, format!("40{prefix}{{\"sid\":\"{sid}\"}}")));
        } else {
            assert_eq!(self.texts(), [format!("0{prefix}{{\"sid\":\"{sid}\"}}")]);
        }
        socket
    }

    /// A new id.
    pub(crate) fn id(&mut self) -> SocketId {
        self.ids += 1;
        SocketId::from_random([self.ids; 15])
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.connection.handle(self.now, input);
        self.settle();
    }

    /// Lets the peer send a Socket.IO packet, or several in one body if it polls.
    pub(crate) fn send(&mut self, packet: &str) {
        if self.polling {
            let request = self.post(&format!("4{packet}"));
            assert_eq!(self.reply(request), (200, "ok".into()));
        } else {
            self.handle(Input::LinkMessage { link: LINK, message: format!("4{packet}").as_str().into() });
        }
    }

    /// Like [`World::send`] over a link, while a deadline is due that was not handled yet.
    pub(crate) fn send_late(&mut self, packet: &str) {
        let message = format!("4{packet}").as_str().into();
        self.connection.handle(self.now, Input::LinkMessage { link: LINK, message });
        self.connection.handle_timeout(self.now);
        self.settle();
    }

    /// Lets the peer send an attachment over its link.
    pub(crate) fn send_binary(&mut self, bytes: &'static [u8]) {
        self.handle(Input::LinkMessage { link: LINK, message: Bytes::from_static(bytes).into() });
    }

    /// Closes the peer's link.
    pub(crate) fn hang_up(&mut self) {
        self.handle(Input::LinkDown { link: LINK, cause: LinkDownCause::Closed });
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    pub(crate) fn get(&mut self) -> RequestId {
        let request = self.request();
        self.handle(Input::Get { request });
        request
    }

    pub(crate) fn post(&mut self, body: &str) -> RequestId {
        let request = self.request();
        self.handle(Input::Post { request, content_type: ContentType::Text });
        self.handle(Input::Body { request, body: Bytes::copy_from_slice(body.as_bytes()) });
        request
    }

    /// Takes the answer to a request.
    #[track_caller]
    pub(crate) fn reply(&mut self, request: RequestId) -> (u16, String) {
        self.replies.remove(&request.0).expect("the request is answered")
    }

    pub(crate) fn is_held(&self, request: RequestId) -> bool {
        !self.replies.contains_key(&request.0)
    }

    /// Polls all transmits, and checks what must hold after every step.
    pub(crate) fn settle(&mut self) {
        while let Some(transmit) = self.connection.poll_transmit() {
            match transmit {
                Transmit::Link { link, frame } => {
                    assert_eq!(link, LINK);
                    let data = frame.data().clone();
                    self.received.push(if frame.is_binary() {
                        Message::Binary(data)
                    } else {
                        let text = String::from_utf8([frame.head(), &data].concat()).unwrap();
                        Message::from(text.as_str())
                    });
                }
                Transmit::Reply { request, response } => {
                    let body = String::from_utf8(response.body().to_vec()).unwrap();
                    let before = self.replies.insert(request.0, (response.status(), body));
                    assert_eq!(before, None, "answered twice");
                    self.connection.handle(self.now, Input::Replied { request });
                }
                Transmit::CloseLink { link } => {
                    assert_eq!(link, LINK);
                    assert!(!self.link_closed, "closed twice");
                    self.link_closed = true;
                }
                other => panic!("unknown transmit {other:?}"),
            }
        }
        assert!(self.connection.poll_timeout().is_none_or(|deadline| deadline > self.now), "a deadline was missed");
    }

    /// The messages that the peer received over its link since the last call, without the Engine.IO type. Heartbeats are left out.
    pub(crate) fn messages(&mut self) -> Vec<Message> {
        let strip = |message| match message {
            Message::Text(text) if &*text == "2" => None,
            Message::Text(text) => Some(Message::from(text.strip_prefix('4').expect("a message"))),
            binary => Some(binary),
        };
        std::mem::take(&mut self.received).into_iter().filter_map(strip).collect()
    }

    /// Like [`World::messages`]. All messages must be texts.
    pub(crate) fn texts(&mut self) -> Vec<String> {
        let text = |message| match message {
            Message::Text(text) => String::from(text),
            Message::Binary(bytes) => panic!("binary {bytes:?}"),
        };
        self.messages().into_iter().map(text).collect()
    }

    pub(crate) fn link_is_closed(&self) -> bool {
        self.link_closed
    }

    /// The next event. `Disconnecting` is checked and not returned: it must come once before each `Disconnected`.
    pub(crate) fn event(&mut self) -> Option<Event> {
        let event = self.connection.poll_event();
        if event.is_some() {
            assert!(!self.closed, "{event:?} follows Event::Closed");
        }
        self.closed |= matches!(event, Some(Event::Closed(_)));
        self.settle();
        match event {
            Some(Event::Disconnecting { socket, reason }) => {
                assert!(
                    self.leaving.iter().all(|(leaving, _)| *leaving != socket),
                    "{socket:?}: `Disconnecting` twice"
                );
                self.leaving.push((socket, reason));
                return self.event();
            }
            Some(Event::Disconnected { socket, reason }) => {
                let told = self.leaving.iter().position(|leaving| *leaving == (socket, reason));
                self.leaving.remove(told.expect("`Disconnecting` with the same reason must come first"));
            }
            _ => {}
        }
        event
    }

    /// All pending events.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.event()).collect()
    }

    /// All pending events in short form, see [`short`].
    pub(crate) fn event_lines(&mut self) -> Vec<String> {
        self.events().iter().map(short).collect()
    }

    /// The only pending event, which must be a request to join.
    #[track_caller]
    pub(crate) fn requested(&mut self) -> Pending {
        match self.event() {
            Some(Event::ConnectRequested(pending)) => pending,
            other => panic!("no request: {other:?}"),
        }
    }

    /// Lets this much time pass, deadline by deadline. The peer answers no ping.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.connection.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = deadline;
            self.connection.handle_timeout(deadline);
            self.settle();
        }
        self.now = end;
    }

    /// Like [`World::pass`], but the peer answers every ping over its link.
    pub(crate) fn pass_alive(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.connection.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = deadline;
            self.connection.handle_timeout(deadline);
            self.settle();
            if self.received.iter().any(|message| *message == Message::from("2")) {
                self.received.retain(|message| *message != Message::from("2"));
                self.handle(Input::LinkMessage { link: LINK, message: "3".into() });
            }
        }
        self.now = end;
    }

    /// Asserts that the connection ended with this reason, as its last event, and has nothing left.
    #[track_caller]
    pub(crate) fn assert_over(&mut self, expected: &[&str]) {
        assert_eq!(self.event_lines(), expected);
        assert!(self.connection.is_drained());
        assert_eq!(self.connection.poll_timeout(), None);
    }
}

/// An event in short form.
pub(crate) fn short(event: &Event) -> String {
    match event {
        Event::ConnectRequested(pending) => format!("{} wants {}", pending.socket().0, pending.namespace()),
        Event::Received { socket, payload, ack } => {
            let ack = ack.as_ref().map_or(String::new(), |ack| format!(" ack {}", ack.id()));
            format!("{}: {}({}){ack}", socket.0, payload.name().unwrap_or_default(), payload.raw_args())
        }
        Event::Acked { socket, id, outcome: Ok(payload) } => {
            format!("{}: {} is ({})", socket.0, id.0, payload.raw_args())
        }
        Event::Acked { socket, id, outcome: Err(error) } => format!("{}: {} failed: {error}", socket.0, id.0),
        Event::Disconnected { socket, reason } => format!("{} left: {reason}", socket.0),
        Event::Closed(reason) => format!("closed: {reason}"),
        other => format!("{other:?}"),
    }
}
