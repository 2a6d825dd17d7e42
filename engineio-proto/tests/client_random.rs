//! A client with random answers of a hostile server: all invariants hold, and pairs of runs have the same result.

#![allow(clippy::panic, reason = "helpers of tests may panic")]

mod seeds;

use std::collections::BTreeMap;

use engineio_proto::testkit::{ClientOutcome, ClientWalk, Clock, PollOrder, Random};
use engineio_proto::{Event, Revision};

fn play(seed: u64, walk: &ClientWalk, order: PollOrder, clock: Clock, replay: bool) -> ClientOutcome {
    match walk.play(order, clock, replay) {
        Ok(outcome) => outcome,
        Err((violation, log)) => panic!("SEED={seed}: {log}{violation}"),
    }
}

fn walk(seed: u64) -> ClientWalk {
    let revision = if seed % 4 == 3 { Revision::V3 } else { Revision::V4 };
    ClientWalk::new(revision, &mut Random::new(seed), 150)
}

#[test]
fn no_answer_of_a_server_violates_an_invariant() {
    let mut reached = BTreeMap::<String, u32>::new();
    seeds::each(3000, |seed, replay| {
        let order = PollOrder::Sometimes(Random::new(seed), 100 + seed % 900);
        for event in play(seed, &walk(seed), order, Clock::Steady, replay).events {
            let what = match event {
                Event::Message(_) => "message".into(),
                event => format!("{event:?}"),
            };
            *reached.entry(what).or_default() += 1;
        }
    });
    println!("{reached:#?}");
    if seeds::all() {
        for event in [
            "Open",
            "Ping",
            "Writable",
            "Upgraded(WebSocket)",
            "Upgraded(WebTransport)",
            "UpgradeFailed(WebSocket)",
            "Closed(PingTimeout)",
            "Closed(TransportClose)",
            "Closed(TransportError(InboundOverflow))",
            "Closed(TransportError(PayloadTooLarge))",
            "Closed(TransportError(NeverOpened))",
            "Closed(TransportError(MalformedHandshake))",
        ] {
            assert!(reached.get(event).is_some_and(|times| *times > 5), "{event}: {reached:#?}");
        }
    }
}

#[test]
fn i1_polls_in_any_order_give_the_same_outputs() {
    seeds::each(1000, |seed, replay| {
        let walk = walk(seed);
        if !walk.ignores_poll_order() {
            return;
        }
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
