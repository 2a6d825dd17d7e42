//! Sessions of revision 3: routing, bodies, heartbeat, and a client over a simulated network. Such a session consists of the same types as
//! one of revision 4. It differs in the format of packets and in which end sends pings.

#![allow(clippy::panic, clippy::expect_used, reason = "helpers of tests may panic")]

mod common;
mod seeds;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{ID, Peer, mismatch, quiet};
use engineio_proto::payload::v3;
use engineio_proto::server::{Handshake, Input, RequestKind, Route, Server, Session, Transmit, Transport};
use engineio_proto::testkit::scenario::{Ending, Scenario};
use engineio_proto::testkit::{
    ClientBehavior, Clock, NetworkSettings, Numbered, PollOrder, Random, RandomWalk, SimNet,
};
use engineio_proto::{
    CloseReason, Config, ContentType, Event, Frame, Instant, LinkId, LinkKind, Message, Packet, PacketType,
    RequestHead, RequestId, Response, Revision, Sid, TransportError,
};

const LINK: LinkId = LinkId(1_000_000);
/// The interval at which this client pings.
const INTERVAL: Duration = Duration::from_secs(25);

const POLLING: &str = "EIO=3&transport=polling";
const WEBSOCKET: &str = "EIO=3&transport=websocket";

/// Settings that accept both revisions.
fn both(mut config: Config) -> Config {
    config.allow_eio3 = true;
    config
}

/// The handshake that this query leads to.
fn handshake(query: &str, websocket: bool) -> Handshake {
    let head = RequestHead { method: "GET", query, origin: None, websocket };
    match Server::new(both(Config::default())).route(&head) {
        Route::Open(handshake) => handshake,
        other => panic!("{query} went to {other:?}"),
    }
}

/// An item in transit.
enum Item {
    ToServer(Input),
    Answer(RequestId, Response),
    OnLink(Frame),
    Ping,
    Send,
    Deadline,
}

/// The transport of the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    /// Polls, and sends and receives only text (`b64`).
    Text,
    /// Polls, and sends a binary body if it contains a binary packet.
    Binary,
    /// Uses a WebSocket.
    Link,
    /// Polls, and upgrades to a WebSocket.
    Upgrade,
}

/// A client of revision 3 and a session whose application echoes.
struct World {
    net: SimNet<Item>,
    session: Session,
    style: Style,
    requests: u64,
    /// The GET and the POST in flight.
    get: Option<RequestId>,
    post: Option<RequestId>,
    on_link: bool,
    /// Whether it waits for its requests before it sends `5`.
    pausing: bool,
    buffer: VecDeque<Frame>,
    pongs: usize,
    echoed: Numbered,
    to_send: u64,
    closed: Option<CloseReason>,
    content_types: Vec<&'static str>,
}

impl World {
    fn new(seed: u64, style: Style) -> Self {
        let net = SimNet::new(seed);
        let query = match style {
            Style::Text => "EIO=3&transport=polling&b64=1",
            Style::Binary | Style::Upgrade => POLLING,
            Style::Link => WEBSOCKET,
        };
        let handshake = handshake(query, style == Style::Link);
        let session = handshake.accept(net.now(), Sid::from_random([3; 15]));
        Self {
            net,
            session,
            style,
            requests: 0,
            get: None,
            post: None,
            on_link: style == Style::Link,
            pausing: false,
            buffer: VecDeque::new(),
            pongs: 0,
            echoed: Numbered::new("echo"),
            to_send: 40,
            closed: None,
            content_types: Vec::new(),
        }
    }

    fn send(&mut self, least: u64, item: Item) {
        let delay = self.net.random().duration(Duration::from_millis(least), Duration::from_millis(least + 40));
        self.net.send(delay, item);
    }

    /// Sends an item that does not overtake earlier ones, as on a link. Also used for the head and the body of a POST.
    fn send_in_order(&mut self, item: Item) {
        self.net.send(Duration::from_millis(20), item);
    }

    fn poll(&mut self) {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.get = Some(request);
        self.send(1, Item::ToServer(Input::Get { request }));
    }

    fn flush(&mut self) {
        if self.on_link {
            for frame in std::mem::take(&mut self.buffer) {
                let frame = frame.into_v3();
                let packet = Bytes::from([frame.head(), frame.data()].concat());
                let message = if frame.is_binary() {
                    Message::Binary(packet)
                } else {
                    Message::Text(packet.try_into().expect("UTF-8"))
                };
                self.send_in_order(Item::ToServer(Input::LinkMessage { link: LINK, message }));
            }
        } else if !self.buffer.is_empty() && self.post.is_none() && !self.pausing {
            let mut body = BytesMut::new();
            let content_type = v3::encode(&std::mem::take(&mut self.buffer), self.style != Style::Text, &mut body);
            self.requests += 1;
            let request = RequestId(self.requests);
            self.post = Some(request);
            self.send_in_order(Item::ToServer(Input::Post { request, content_type }));
            self.send_in_order(Item::ToServer(Input::Body { request, body: body.freeze() }));
        }
    }

    fn push(&mut self, frame: Frame) {
        self.buffer.push_back(frame);
        self.flush();
    }

    /// Moves the client to its link once no request is in flight.
    fn upgrade(&mut self) {
        if self.pausing && self.get.is_none() && self.post.is_none() {
            self.pausing = false;
            self.on_link = true;
            self.send_in_order(Item::ToServer(Input::LinkMessage { link: LINK, message: Message::from("5") }));
            self.flush();
        }
    }

    /// Handles a packet that arrived at the client.
    fn packet(&mut self, packet: Packet) {
        match packet.packet_type {
            PacketType::Open => {
                self.net.send(INTERVAL, Item::Ping);
                self.send(1, Item::Send);
                if self.style == Style::Upgrade {
                    self.send_in_order(Item::ToServer(Input::LinkUp { link: LINK, kind: LinkKind::WebSocket }));
                    let message = Message::from("2probe");
                    self.send_in_order(Item::ToServer(Input::LinkMessage { link: LINK, message }));
                }
            }
            PacketType::Pong if packet.data == Message::from("probe") => {
                self.pausing = true;
                self.upgrade();
            }
            PacketType::Pong => self.pongs += 1,
            PacketType::Message => self.echoed.receive(&packet.data).expect("the next message in order"),
            PacketType::Noop => {}
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, request: RequestId, response: &Response) {
        assert_eq!(response.status(), 200);
        if self.post == Some(request) {
            self.post = None;
        } else {
            self.get = None;
            let (_, value) = response.headers().first().expect("a content type");
            self.content_types.push(*value);
            let content_type = ContentType::from_header(Some(value.as_bytes()));
            for packet in v3::Packets::new(response.body().clone(), content_type).expect("a payload") {
                self.packet(packet.expect("a packet"));
            }
            if !self.pausing && !self.on_link {
                self.poll();
            }
        }
        self.upgrade();
        self.flush();
    }

    fn settle(&mut self) {
        loop {
            if let Some(event) = self.session.poll_event() {
                match event {
                    Event::Message(message) => self.session.send(message).expect("the queue has capacity"),
                    Event::Closed(reason) => self.closed = Some(reason),
                    _ => {}
                }
            } else if let Some(transmit) = self.session.poll_transmit() {
                match transmit {
                    Transmit::Reply { request, response } => {
                        self.send_in_order(Item::ToServer(Input::Replied { request }));
                        self.send(1, Item::Answer(request, response));
                    }
                    Transmit::Link { frame, .. } => self.send_in_order(Item::OnLink(frame)),
                    _ => {}
                }
            } else {
                break;
            }
        }
        if let Some(deadline) = self.session.poll_timeout() {
            self.net.send_at(deadline, Item::Deadline);
        }
    }

    /// Runs until the session ends, or until this time.
    fn run(&mut self, until: Instant) {
        match self.style {
            Style::Link => {
                self.send_in_order(Item::ToServer(Input::LinkUp { link: LINK, kind: LinkKind::WebSocket }));
            }
            _ => self.poll(),
        }
        while self.closed.is_none() && self.net.now() < until {
            let Some(item) = self.net.pop() else { return };
            let now = self.net.now();
            match item {
                Item::ToServer(input) => self.session.handle(now, input),
                Item::Answer(request, response) => self.answer(request, &response),
                Item::OnLink(frame) => {
                    let packet = Bytes::from([frame.head(), frame.data()].concat());
                    let message = match frame.is_binary() {
                        true => Message::Binary(packet),
                        false => Message::Text(packet.try_into().expect("UTF-8")),
                    };
                    self.packet(Packet::decode_v3(message).expect("a packet"));
                }
                Item::Ping => {
                    self.push(Frame::PING);
                    self.net.send(INTERVAL, Item::Ping);
                }
                Item::Send => {
                    let binary = self.net.random().chance(300);
                    let message = self.echoed.next_message(20, binary);
                    self.echoed.count_sent();
                    self.to_send -= 1;
                    self.push(Frame::message(message));
                    if self.to_send > 0 {
                        self.send(1, Item::Send);
                    }
                }
                Item::Deadline => self.session.handle_timeout(now),
            }
            self.settle();
        }
    }
}

#[test]
fn it_echoes_over_polling_and_websocket_and_answers_pings() {
    for style in [Style::Text, Style::Binary, Style::Link, Style::Upgrade] {
        for seed in 0..100 {
            let mut world = World::new(seed, style);
            let until = world.net.now() + INTERVAL * 4;
            world.run(until);
            assert_eq!(world.closed, None, "SEED={seed}, {style:?}");
            assert_eq!((world.echoed.sent(), world.echoed.received()), (40, 40), "SEED={seed}, {style:?}");
            assert_eq!(world.pongs, 3, "SEED={seed}, {style:?}");
            let on_link = world.session.transport() == Transport::Link(LinkKind::WebSocket);
            assert_eq!(on_link, matches!(style, Style::Link | Style::Upgrade));
            let binary = world.content_types.contains(&"application/octet-stream");
            match style {
                Style::Text | Style::Link => assert!(!binary, "SEED={seed}, {style:?}"),
                Style::Binary => assert!(binary, "SEED={seed}"),
                // The client may have left polling before its first binary message.
                Style::Upgrade => {}
            }
        }
    }
}

/// A session that was opened by polling or over a link.
fn opened(link: Option<LinkKind>, base64: bool) -> Session {
    let now = Instant::ZERO;
    let query = if link.is_some() { WEBSOCKET } else { POLLING };
    let query = format!("{query}{}", if base64 { "&b64=1" } else { "" });
    let mut session = handshake(&query, link.is_some()).accept(now, Sid::from_random([3; 15]));
    match link {
        Some(kind) => session.handle(now, Input::LinkUp { link: LINK, kind }),
        None => session.handle(now, Input::Get { request: RequestId(0) }),
    }
    while session.poll_transmit().is_some() || session.poll_event().is_some() {}
    session.handle(now, Input::Replied { request: RequestId(0) });
    session
}

/// Echoes everything, and returns the bodies of the answers to GETs.
fn echo(session: &mut Session, body: &'static [u8], content_type: ContentType) -> Vec<Bytes> {
    let (now, post, get) = (Instant::ZERO, RequestId(1), RequestId(2));
    session.handle(now, Input::Post { request: post, content_type });
    session.handle(now, Input::Body { request: post, body: Bytes::from_static(body) });
    while let Some(event) = session.poll_event() {
        if let Event::Message(message) = event {
            session.send(message).expect("the queue has capacity");
        }
    }
    session.handle(now, Input::Get { request: get });
    let answers = std::iter::from_fn(|| session.poll_transmit());
    let answers = answers.filter_map(|transmit| match transmit {
        Transmit::Reply { request, response } if request == get => Some(response.into_body()),
        _ => None,
    });
    answers.collect()
}

#[test]
fn item_88_bodies_have_lengths_and_binary_is_base64_or_bytes() {
    let text = echo(&mut opened(None, true), "6:4hello10:b4AQIDBA==3:4\u{20ac}\u{1e}".as_bytes(), ContentType::Text);
    assert_eq!(text, ["6:4hello10:b4AQIDBA==3:4\u{20ac}\u{1e}"]);
    let bytes = b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04";
    let binary = echo(&mut opened(None, false), bytes, ContentType::OctetStream);
    assert_eq!(binary, [&bytes[..]]);
    let pong = echo(&mut opened(None, false), b"1:2", ContentType::Text);
    assert_eq!(pong, ["1:3"]);
}

#[test]
fn accumulated_pings_are_answered_once() {
    assert_eq!(echo(&mut opened(None, false), b"1:21:21:2", ContentType::Text), ["1:3"]);
}

#[test]
fn binary_on_a_websocket_has_its_type_in_front() {
    for (base64, expected) in [(false, &b"\x04\x01\x02"[..]), (true, &b"b4AQI="[..])] {
        let mut session = opened(Some(LinkKind::WebSocket), base64);
        let message = Message::Binary(Bytes::from_static(b"\x04\x01\x02"));
        let event = session.handle_then_poll(Instant::ZERO, Input::LinkMessage { link: LINK, message });
        let Some(Event::Message(message)) = event else { panic!("{event:?}") };
        assert_eq!(message, Message::Binary(Bytes::from_static(b"\x01\x02")));
        session.send(message).expect("the queue has capacity");
        let Some(Transmit::Link { frame, .. }) = session.poll_transmit() else { panic!("no packet") };
        assert_eq!([frame.head(), frame.data()].concat(), expected);
    }
}

#[test]
fn a_client_that_stops_pinging_times_out_and_a_pong_of_a_client_is_refused() {
    let config = Config::default();
    let mut session = opened(Some(LinkKind::WebSocket), false);
    let deadline = Instant::ZERO + config.ping_interval + config.ping_timeout;
    assert_eq!(session.poll_timeout(), Some(deadline));
    session.handle_timeout(deadline);
    assert_eq!(session.poll_event(), Some(Event::Closed(CloseReason::PingTimeout)));

    let mut session = opened(Some(LinkKind::WebSocket), false);
    session.handle(Instant::ZERO, Input::LinkMessage { link: LINK, message: Message::from("3") });
    let refused = CloseReason::TransportError(TransportError::HeartbeatDirection);
    assert_eq!(session.poll_event(), Some(Event::Closed(refused)));
}

#[test]
fn item_71_only_a_ping_keeps_the_session_alive() {
    let config = Config::default();
    let silence = config.ping_interval + config.ping_timeout;
    let mut session = opened(Some(LinkKind::WebSocket), false);
    let message = |session: &mut Session, now, text: &str| {
        session.handle(now, Input::LinkMessage { link: LINK, message: Message::from(text) });
        while session.poll_event().is_some() {}
    };
    let half = Instant::ZERO + silence / 2;
    message(&mut session, half, "4data");
    assert_eq!(session.poll_timeout(), Some(Instant::ZERO + silence));
    message(&mut session, half, "2");
    assert_eq!(session.poll_timeout(), Some(half + silence));
    assert!(session.poll_transmit().is_some(), "the pong");
    session.handle_timeout(half + silence);
    assert_eq!(session.poll_event(), Some(Event::Closed(CloseReason::PingTimeout)));
}

#[test]
fn every_revision_but_4_is_3_where_it_is_accepted() {
    for revision in ["EIO=3&", "EIO=5&", "EIO=04&", "EIO=4.0&", "EIO=abc&", "EIO=&", "EIO=4&EIO=3&", ""] {
        let query = format!("{revision}transport=polling");
        let handshake = handshake(&query, false);
        assert_eq!(handshake.revision(), Revision::V3, "{query}");
        assert_eq!(handshake.session_request().kind(), RequestKind::Get);
        let session = handshake.accept(Instant::ZERO, Sid::from_random([3; 15]));
        assert_eq!((session.revision(), session.revision().number()), (Revision::V3, 3));
        assert_eq!(Revision::from_query(&query), Revision::V3);
        let head = RequestHead { method: "GET", query: &query, origin: None, websocket: false };
        let Route::Reply(response) = Server::new(Config::default()).route(&head) else { panic!("{query} is accepted") };
        assert_eq!(response.body(), r#"{"code":5,"message":"Unsupported protocol version"}"#);
    }
    for query in ["EIO=4&transport=polling", "EIO=3&EIO=4&transport=polling", "%45IO=%34&transport=polling"] {
        assert_eq!(handshake(query, false).revision(), Revision::V4, "{query}");
        assert_eq!(Revision::from_query(query), Revision::V4);
    }
}

#[test]
fn a_request_or_upgrade_of_the_other_revision_is_code_3_and_the_session_goes_on() {
    let refused = Err(r#"400 {"code":3,"message":"Bad request"}"#.to_owned());
    let refused_link = Err("400 Bad request".to_owned());
    for (own, others) in
        [("EIO=3", &["EIO=4"][..]), ("EIO=4", &["EIO=3", "EIO=5", "x"][..]), ("x", &["EIO=4"]), ("EIO=5", &["EIO=4"])]
    {
        let mut peer = Peer::accepted(both(quiet()), &format!("{own}&transport=polling"), false);
        peer.get();
        assert_eq!(peer.turn().len(), 2, "the event and the open packet");
        for other in others {
            assert_eq!(peer.admits("GET", &format!("{other}&transport=polling"), false), refused, "{own} {other}");
            assert_eq!(peer.admits("POST", &format!("{other}&transport=polling"), false), refused, "{own} {other}");
            assert_eq!(
                peer.admits("GET", &format!("{other}&transport=websocket"), true),
                refused_link,
                "{own} {other}"
            );
        }
        // Whatever is not 4 is 3.
        let alike = if own == "EIO=4" { &["EIO=4"][..] } else { &["EIO=3", "EIO=abc", "x"] };
        for like in alike {
            assert_eq!(peer.admits("GET", &format!("{like}&transport=polling"), false), Ok(()), "{own} {like}");
            assert_eq!(peer.admits("GET", &format!("{like}&transport=websocket"), true), Ok(()), "{own} {like}");
        }
    }
}

/// An open polling session whose first reply was this.
fn polling(query: &str, first: &str) -> Peer {
    let mut peer = Peer::accepted(both(quiet()), query, false);
    peer.get();
    peer.assert_outputs(&["open", first]);
    peer
}

fn open_json(upgrades: &str) -> String {
    format!(
        r#"0{{"sid":"{ID}","upgrades":[{upgrades}],"pingInterval":1000000,"pingTimeout":20000,"maxPayload":1000000}}"#
    )
}

#[test]
fn the_first_body_is_the_open_packet_and_an_initial_packet_follows_in_it() {
    let open = open_json(r#""websocket""#);
    let first = format!("reply 1: 200 {}:{open}", open.len());
    let mut peer = polling(POLLING, &first);
    peer.send("later");
    peer.get();
    peer.assert_outputs(&["reply 2: 200 6:4later"]);

    let mut config = both(quiet());
    config.initial_packet = Some("first".into());
    let mut peer = Peer::accepted(config.clone(), POLLING, false);
    peer.get();
    peer.assert_outputs(&["open", &format!("{first}6:4first")]);
    let mut peer = Peer::accepted(config, WEBSOCKET, true);
    peer.up(LinkKind::WebSocket);
    peer.assert_outputs(&["open", &format!("link 1: {}", open_json("")), "link 1: 4first"]);
}

#[test]
fn an_upgrade_releases_the_poll_with_a_noop_and_moves_the_queue() {
    let open = open_json(r#""websocket""#);
    let mut peer = polling(POLLING, &format!("reply 1: 200 {}:{open}", open.len()));
    let poll = peer.get();
    peer.up(LinkKind::WebSocket);
    peer.text(1, "2probe");
    peer.assert_outputs(&["link 1: 3probe"]);
    peer.sleep_until(100);
    peer.assert_outputs(&[&format!("reply {poll}: 200 1:6")]);
    peer.send("one");
    peer.text(1, "5");
    peer.text(1, "4two");
    peer.text(1, "2");
    peer.assert_outputs(&["upgraded WebSocket", "message two", "link 1: 3", "link 1: 4one"]);
    let late = peer.get();
    peer.assert_outputs(&[&mismatch(late)]);
}

#[test]
fn what_ends_a_session_is_told_with_a_length() {
    let open = open_json(r#""websocket""#);
    let first = format!("reply 1: 200 {}:{open}", open.len());
    // The client closes.
    let mut peer = polling(POLLING, &first);
    peer.get();
    peer.post("1:1");
    peer.assert_outputs(&["closed: transport close", "reply 2: 200 1:6", "reply 3: 200 ok"]);
    peer.assert_over();
    // The server closes.
    let mut peer = polling(POLLING, &first);
    peer.get();
    peer.close();
    peer.assert_outputs(&["closed: forced close", "reply 2: 200 1:1"]);
    let mut peer = polling(POLLING, &first);
    peer.close();
    peer.get();
    peer.assert_outputs(&["closed: forced close", "reply 2: 200 1:61:1"]);
    // Two GETs.
    let mut peer = polling(POLLING, &first);
    peer.get();
    peer.get();
    peer.assert_outputs(&["closed: transport error (overlap from client)", "reply 3: 400", "reply 2: 200 1:1"]);
    // A body of revision 4.
    let mut peer = polling(POLLING, &first);
    peer.post("4hello");
    peer.assert_outputs(&["closed: parse error (missing or invalid packet length)", "reply 2: 200 ok"]);
}

#[test]
fn jsonp_takes_forms_and_answers_with_scripts() {
    let open = open_json(r#""websocket""#);
    let script = format!(r#"___eio[7]("{}:{}");"#, open.len(), open.replace('"', "\\\""));
    let mut peer = polling("EIO=3&transport=polling&j=7", &format!("reply 1: 200 {script}"));
    peer.post("d=4%3A4a%5Cnb5%3A4a%5C%5Cnb10%3Ab4AQIDBA%3D%3D");
    peer.assert_outputs(&["message a\nb", "message a\\nb", "binary [1, 2, 3, 4]", "reply 2: 200 ok"]);
    peer.send("x\ny\u{2028}");
    peer.session.send(Message::Binary(Bytes::from_static(b"\x01\x02\x03\x04"))).expect("there is room");
    peer.get();
    peer.assert_outputs(&[r#"reply 3: 200 ___eio[7]("5:4x\ny\u202810:b4AQIDBA==");"#]);
    // Neither a missing nor a repeated `d` is a payload.
    peer.post("e=1");
    peer.post("d=1%3A2&d=1%3A2");
    peer.assert_outputs(&["reply 4: 200 ok", "reply 5: 200 ok"]);
}

#[test]
fn webtransport_does_not_carry_revision_3() {
    let mut config = both(quiet());
    config.transports.webtransport = true;
    let mut peer = Peer::accepted(config, POLLING, false);
    peer.get();
    peer.turn();
    let mut incoming = peer.server.incoming(Instant::ZERO);
    let packet = format!(r#"0{{"sid":"{ID}"}}"#);
    let head = u8::try_from(packet.len()).expect("short");
    incoming.handle(Bytes::from([&[head][..], packet.as_bytes()].concat()));
    let Some(engineio_proto::server::IncomingOutcome::Attach { session_request, .. }) = incoming.poll() else {
        panic!("it attaches to no session")
    };
    assert!(peer.session.admit(&session_request).is_err());
}

/// A scenario with a client of revision 3, which pings several times.
fn scenario(start: Option<LinkKind>, upgrade: bool) -> Scenario {
    let mut config = both(Config::default());
    config.ping_interval = Duration::from_millis(100);
    config.ping_timeout = Duration::from_secs(2);
    let behavior = ClientBehavior { revision_3: true, ..ClientBehavior::default() };
    Scenario { config, behavior, start, upgrade: upgrade.then_some(LinkKind::WebSocket), ..Scenario::default() }
}

#[test]
fn i10_messages_arrive_in_order_over_every_transport_and_across_a_thousand_upgrades() {
    let websocket = Some(LinkKind::WebSocket);
    for (start, upgrade, seeds) in [(None, true, 1000), (None, false, 300), (websocket, false, 300)] {
        seeds::play(
            seeds,
            |_| scenario(start, upgrade),
            |seed, report| {
                assert_eq!(report.upgraded.is_some(), upgrade, "SEED={seed}: {report:?}");
                assert_eq!((report.upstream.received(), report.downstream.received()), (20, 20), "SEED={seed}");
            },
        );
    }
}

#[test]
fn invariants_hold_however_the_network_behaves_and_the_session_ends() {
    seeds::play(
        1000,
        |seed| {
            let network = NetworkSettings {
                lost_links: 300,
                slow_bodies: Duration::from_millis(300),
                ..NetworkSettings::default()
            };
            let start = seed.is_multiple_of(4).then_some(LinkKind::WebSocket);
            Scenario { network, ends_after_delivery: false, stall: Duration::from_millis(300), ..scenario(start, true) }
        },
        |_, _| {},
    );
}

#[test]
fn a_client_that_is_gone_is_noticed_after_interval_and_timeout() {
    for ending in [Ending::ClientCrashes, Ending::NetworkFails] {
        seeds::play(
            200,
            |_| Scenario { ending: Some(ending), ..scenario(None, true) },
            |seed, report| {
                let limit = Duration::from_millis(2_100 + 200);
                assert!(report.end_took <= limit, "SEED={seed}: {report:?}");
            },
        );
    }
}

#[test]
fn i1_i8_i11_neither_the_order_of_polls_nor_a_clock_that_goes_backwards_changes_anything() {
    seeds::each(1000, |seed, replay| {
        let walk = RandomWalk::of_revision(Revision::V3, &mut Random::new(seed), 100);
        let play = |order: PollOrder, clock| match walk.play(order, clock, replay) {
            Ok(outcome) => outcome,
            Err((violation, log)) => panic!("SEED={seed}: {log}{violation}"),
        };
        let first = play(PollOrder::EventsFirst, Clock::Steady);
        assert_eq!(first.digest, play(PollOrder::EventsFirst, Clock::Steady).digest, "SEED={seed}");
        for order in [PollOrder::TransmitsFirst, PollOrder::Any(Random::new(seed))] {
            let other = play(order.clone(), Clock::Steady);
            assert_eq!((&first.events, &first.transmits), (&other.events, &other.transmits), "SEED={seed}, {order:?}");
        }
        let still = play(PollOrder::EventsFirst, Clock::StandsStill(Random::new(seed)));
        let backwards = play(PollOrder::EventsFirst, Clock::Backwards(Random::new(seed)));
        assert_eq!((still.events, still.transmits), (backwards.events, backwards.transmits), "SEED={seed}");
    });
}
