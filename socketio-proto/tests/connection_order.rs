//! I1: the order of polls does not change the events and packets, or their order.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

mod connection_world;
#[path = "../../engineio-proto/tests/seeds/mod.rs"]
mod seeds;

use std::sync::Arc;

use bytes::Bytes;
use engineio_proto::server::{Input, Route, Server, Transmit};
use engineio_proto::testkit::Random;
use engineio_proto::{ContentType, Instant, LinkId, LinkKind, RequestHead, RequestId, Sid};
use socketio_proto::server::Connection;
use socketio_proto::{Config, Encoder, Event, Json, SocketId};

const PACKETS: [&str; 12] = [
    "40",
    "40/custom,",
    "40/other,{\"a\":1}",
    "41/custom,",
    "42[\"x\",1]",
    "421[\"ask\"]",
    "42/custom,[\"y\",\"long enough to fill a small queue in no time at all\"]",
    "42/custom,7[\"ask\"]",
    "451-[\"bin\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAAEC",
    "430[1]",
    "432[2]",
    "43/custom,0[3]",
];

/// The order of polls.
#[derive(Clone, Copy, Debug)]
enum PollOrder {
    TransmitsFirst,
    EventsFirst,
    Alternating,
}

struct Run {
    connection: Connection,
    encoder: Encoder,
    now: Instant,
    sids: u8,
    events: Vec<String>,
    transmits: Vec<String>,
    unanswered: Vec<Event>,
}

impl Run {
    fn transmit(&mut self) -> bool {
        let Some(transmit) = self.connection.poll_transmit() else { return false };
        self.transmits.push(format!("{transmit:?}"));
        if let Transmit::Reply { request, .. } = transmit {
            self.connection.handle(self.now, Input::Replied { request });
        }
        true
    }

    fn event(&mut self) -> bool {
        let Some(event) = self.connection.poll_event() else { return false };
        self.events.push(connection_world::short(&event));
        self.unanswered.push(event);
        true
    }

    /// The application accepts every request, answers every event, and now and then requests an ack itself. It acts only when everything
    /// has been polled: acting at another time would be different input.
    fn answer(&mut self) {
        for event in std::mem::take(&mut self.unanswered) {
            match event {
                Event::ConnectRequested(pending) => {
                    self.sids += 1;
                    let id = SocketId::from_random([self.sids; 15]);
                    if let Ok(socket) = self.connection.accept(self.now, pending, &id) {
                        let _ = self.connection.emit_with_ack(self.now, &mut self.encoder, socket, "q", &(), None);
                    }
                }
                Event::Received { socket, payload, ack } => {
                    let _ = self.connection.emit(&mut self.encoder, socket, "back", &payload);
                    if let Some(token) = ack {
                        let _ = self.connection.ack(&mut self.encoder, token, &payload);
                    }
                }
                _ => {}
            }
        }
    }

    fn poll(&mut self, order: PollOrder) {
        loop {
            let moved = match order {
                PollOrder::TransmitsFirst => {
                    let moved = self.transmit();
                    while self.transmit() {}
                    moved | self.event()
                }
                PollOrder::EventsFirst => {
                    let moved = self.event();
                    while self.event() {}
                    moved | self.transmit()
                }
                PollOrder::Alternating => self.transmit() | self.event(),
            };
            if !moved {
                return;
            }
        }
    }
}

fn run(seed: u64, order: PollOrder) -> (Vec<String>, Vec<String>) {
    let mut random = Random::new(seed);
    let polling = random.chance(500);
    let mut engine = engineio_proto::Config::default();
    engine.limits.soft_inbound = 300;
    let transport = if polling { "EIO=4&transport=polling" } else { "EIO=4&transport=websocket" };
    let head = RequestHead { method: "GET", query: transport, origin: None, websocket: !polling };
    let Route::Open(handshake) = Server::new(engine).route(&head) else { panic!("not a handshake") };
    let now = Instant::from_millis(1);
    let session = handshake.accept(now, Sid::from_random([0; 15]));
    let connection = Connection::new(now, session, Json, Arc::new(Config::default()));
    let (events, transmits, encoder) = (Vec::new(), Vec::new(), Encoder::new());
    let mut run = Run { connection, encoder, now, sids: 0, events, transmits, unanswered: Vec::new() };
    let link = LinkId(1);
    let mut requests = (1..).map(RequestId);
    let first = if polling {
        Input::Get { request: requests.next().unwrap() }
    } else {
        Input::LinkUp { link, kind: LinkKind::WebSocket }
    };
    run.connection.handle(now, first);
    run.poll(order);
    for _ in 0..12 {
        if polling {
            run.connection.handle(now, Input::Get { request: requests.next().unwrap() });
            let packets = (0..random.below(20)).filter_map(|_| random.pick(&PACKETS).copied()).chain(["40"]);
            let body = Bytes::from(packets.collect::<Vec<_>>().join("\u{1e}"));
            let request = requests.next().unwrap();
            run.connection.handle(now, Input::Post { request, content_type: ContentType::Text });
            run.connection.handle(now, Input::Body { request, body });
        } else {
            let packets = random.pick(&PACKETS).copied().unwrap_or_default();
            for packet in packets.split('\u{1e}') {
                let message = match packet.strip_prefix('b') {
                    Some(_) => Bytes::from_static(&[0, 1, 2]).into(),
                    None => packet.into(),
                };
                run.connection.handle(now, Input::LinkMessage { link, message });
            }
        }
        run.poll(order);
        run.answer();
        run.poll(order);
    }
    (run.events, run.transmits)
}

#[test]
fn i1_polls_in_any_order_give_the_same_outputs() {
    seeds::each(500, |seed, _| {
        let expected = run(seed, PollOrder::TransmitsFirst);
        for order in [PollOrder::EventsFirst, PollOrder::Alternating] {
            assert_eq!(run(seed, order), expected, "SEED={seed} {order:?}");
        }
    });
}
