//! Pairs of runs with the same result: with a different order of polls, with a different clock, or simply repeated.

#![allow(clippy::panic, clippy::expect_used, reason = "helpers of tests may panic")]

mod seeds;

use bytes::Bytes;
use engineio_proto::server::{Input, Route, Server, Session, Transmit};
use engineio_proto::testkit::scenario::{Scenario, run};
use engineio_proto::testkit::{Clock, Outcome, PollOrder, Random, RandomWalk};
use engineio_proto::{Config, ContentType, Event, Instant, RequestHead, RequestId, Sid};

fn play(seed: u64, walk: &RandomWalk, order: PollOrder, clock: Clock, replay: bool) -> Outcome {
    match walk.play(order, clock, replay) {
        Ok(outcome) => outcome,
        Err((violation, log)) => panic!("SEED={seed}: {log}{violation}"),
    }
}

fn walk(seed: u64) -> RandomWalk {
    RandomWalk::new(&mut Random::new(seed), 100)
}

#[test]
fn i1_polls_in_any_order_give_the_same_outputs() {
    seeds::each(1000, |seed, replay| {
        let walk = walk(seed);
        let first = play(seed, &walk, PollOrder::EventsFirst, Clock::Steady, replay);
        for order in [PollOrder::TransmitsFirst, PollOrder::Any(Random::new(seed))] {
            let other = play(seed, &walk, order.clone(), Clock::Steady, replay);
            assert_eq!(first.events, other.events, "SEED={seed}, {order:?}");
            assert_eq!(first.transmits, other.transmits, "SEED={seed}, {order:?}");
        }
    });
}

#[test]
fn i8_the_same_inputs_give_the_same_log() {
    seeds::each(300, |seed, replay| {
        let walk = walk(seed);
        let digests = [(); 2].map(|()| play(seed, &walk, PollOrder::EventsFirst, Clock::Steady, replay).digest);
        assert_eq!(digests[0], digests[1], "SEED={seed}");
        let digests = [(); 2].map(|()| match run(seed, &Scenario::default(), replay) {
            Ok(report) => report.digest,
            Err(failure) => panic!("SEED={seed}: {failure}"),
        });
        assert_eq!(digests[0], digests[1], "SEED={seed}");
    });
}

#[test]
fn i11_a_clock_that_goes_backwards_changes_nothing() {
    seeds::each(1000, |seed, replay| {
        let walk = walk(seed);
        let still = play(seed, &walk, PollOrder::EventsFirst, Clock::StandsStill(Random::new(seed)), replay);
        let backwards = play(seed, &walk, PollOrder::EventsFirst, Clock::Backwards(Random::new(seed)), replay);
        assert_eq!(still.events, backwards.events, "SEED={seed}");
        assert_eq!(still.transmits, backwards.transmits, "SEED={seed}");
    });
}

/// An open polling session.
fn session() -> Session {
    let head = RequestHead { method: "GET", query: "EIO=4&transport=polling", origin: None, websocket: false };
    let Route::Open(handshake) = Server::new(Config::default()).route(&head) else { panic!("not a handshake") };
    let mut session = handshake.accept(Instant::ZERO, Sid::from_random([1; 15]));
    session.handle(Instant::ZERO, Input::Get { request: RequestId(0) });
    session
}

/// Returns the events of these bodies. Each body is posted after the previous one was answered.
fn events(bodies: &[Vec<&str>]) -> Vec<Event> {
    let mut session = session();
    let mut events = Vec::new();
    for (request, packets) in (1..).map(RequestId).zip(bodies) {
        session.handle(Instant::ZERO, Input::Post { request, content_type: ContentType::Text });
        let body = Bytes::from(packets.join("\u{1e}"));
        session.handle(Instant::ZERO, Input::Body { request, body });
        events.extend(std::iter::from_fn(|| session.poll_event()));
        let answers = std::iter::from_fn(|| session.poll_transmit());
        let answers =
            answers.filter(|transmit| matches!(transmit, Transmit::Reply { request: to, .. } if *to == request));
        assert_eq!(answers.count(), 1);
    }
    events
}

#[test]
fn i6_regrouping_packets_into_bodies_changes_no_event() {
    seeds::each(1000, |seed, _| {
        let mut random = Random::new(seed);
        let some = ["4a", "4", "bAQID", "b", "3", "6", "5", "4\u{20ac}", "0{}", "4bb", "4ccc", "4dddd"];
        let ends = ["4z", "4z", "1", "9", "", "bA", "2"];
        let mut packets: Vec<&str> = (0..random.below(12)).map(|_| *random.pick(&some).expect("some")).collect();
        packets.push(random.pick(&ends).expect("some"));
        packets.push("4late");
        let one_body = events(&[packets.clone()]);
        let mut bodies: Vec<Vec<&str>> = vec![Vec::new()];
        for packet in packets {
            if random.chance(400) && bodies.last().is_some_and(|body| !body.is_empty()) {
                bodies.push(Vec::new());
            }
            bodies.last_mut().expect("one").push(packet);
        }
        assert_eq!(one_body, events(&bodies), "SEED={seed}: {bodies:?}");
    });
}
