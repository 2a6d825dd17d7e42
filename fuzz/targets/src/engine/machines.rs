//! The session: alone in a world that keeps to no rule, and with a client that does.

use core::time::Duration;

use engineio_proto::testkit::scenario::{Ending, Scenario, run};
use engineio_proto::testkit::{Clock, Habits, PollOrder, Random, Walk, Wires};
use engineio_proto::{LinkKind, Transports};

use crate::input::Input;

/// The bytes are the script of a [`Walk`]: any inputs, commands and times in any order. Every invariant is checked after every one of
/// them. The last byte says what else has to make no difference: the order of the polls (I1), a clock that jumps backwards (I11), or
/// playing it again (I8).
pub fn engine_session(data: &[u8]) {
    let acts = (data.len() / 5).clamp(1, 100);
    let walk = Walk::new(&mut Random::scripted(data), acts);
    let sum = data.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let chance = || Random::new(sum);
    let play = |order: PollOrder, clock: Clock| match walk.play(order, clock, false) {
        Ok(outcome) => outcome,
        Err((violation, _)) => panic!("{violation}\n{walk:?}"),
    };
    let (one, two) = match data.last().copied().unwrap_or(0) % 4 {
        0 => {
            // In a loop: of two calls that are written alike, with an argument that has a destructor, Rust 1.94 to 1.96 gives the second
            // what the first has left of it (rust-lang/rust#158830).
            let [one, two] = [(); 2].map(|()| play(PollOrder::Sometimes(chance(), 200), Clock::Steady));
            assert_eq!(one, two, "I8");
            (one, two)
        }
        1 => (
            play(PollOrder::EventsFirst, Clock::StandsStill(chance())),
            play(PollOrder::EventsFirst, Clock::Backwards(chance())),
        ),
        2 => (play(PollOrder::EventsFirst, Clock::Steady), play(PollOrder::TransmitsFirst, Clock::Steady)),
        _ => (play(PollOrder::EventsFirst, Clock::Steady), play(PollOrder::Any(chance()), Clock::Steady)),
    };
    assert_eq!((one.events, one.transmits), (two.events, two.transmits));
}

/// A scenario for a client and a server with a network between them, and the seed that fills it in.
pub fn engine_pair(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = input.word();
    let kinds = [None, Some(LinkKind::WebSocket), Some(LinkKind::WebTransport)];
    let mut scenario = Scenario {
        start: if input.flag() { input.pick(&kinds) } else { None },
        upgrade: input.pick(&kinds),
        messages: u64::from(input.byte() % 40),
        largest: usize::from(input.pair() % 2000),
        span: Duration::from_millis(u64::from(input.pair() % 3000)),
        ending: input.pick(&[
            None,
            Some(Ending::ClientCloses),
            Some(Ending::ServerCloses),
            Some(Ending::ServerDiscards),
            Some(Ending::ClientVanishes),
            Some(Ending::CableIsPulled),
        ]),
        quiet_end: input.flag(),
        wires: wires(&mut input),
        habits: Habits { impatient: input.flag(), ..Habits::default() },
        ..Scenario::default()
    };
    if scenario.habits.impatient {
        // Order between a POST and the link is only asked for when the server hears of the POST, and first.
        scenario.wires.most_delay = scenario.wires.least_delay;
        scenario.wires.lost_requests = 0;
    }
    // It is never quiet when a message came twice, of which one too many has arrived, or when a probe was lost and the upgrade never comes.
    scenario.quiet_end &= scenario.wires.repeated_requests == 0 && scenario.wires.lost_links == 0;
    scenario.config.transports = Transports { polling: true, websocket: true, webtransport: true };
    if input.flag() {
        scenario.config.ping_interval = Duration::from_millis(60 + u64::from(input.pair() % 1000));
        scenario.config.ping_timeout = Duration::from_millis(400 + u64::from(input.pair() % 1000));
        // Whatever the network does to its pings, the client bears it.
        scenario.patience = Some(Duration::from_secs(30));
    }
    if input.flag() {
        scenario.config.max_payload = 200 + usize::from(input.pair());
        // As base64, a message is a third larger.
        scenario.largest = scenario.largest.min(scenario.config.max_payload / 2);
        // A body of many small packets may still be too large, as the JavaScript client counts; who does not wait for the answer goes on.
        scenario.habits.impatient = false;
    }
    if !scenario.quiet_end && input.flag() {
        scenario.config.limits.max_outbound = usize::from(input.pair() % 2000);
    }
    if let Err(failure) = run(seed, &scenario, false) {
        let log = run(seed, &scenario, true).err().map(|failure| failure.log);
        panic!("{seed}, {scenario:?}: {failure}\n{}", log.unwrap_or_default());
    }
}

/// What a network may do that promises everything, or next to nothing.
pub(crate) fn wires(input: &mut Input<'_>) -> Wires {
    let millis = |input: &mut Input<'_>, limit: u16| Duration::from_millis(u64::from(input.pair() % limit));
    let mut wires = Wires { most_delay: millis(input, 150), ..Wires::default() };
    if input.flag() {
        wires.slow_bodies = millis(input, 300);
        wires.slow_links = millis(input, 50);
        wires.lateness = millis(input, 20);
        wires.clock_jitter = millis(input, 20);
    }
    if input.flag() {
        wires.lost_requests = u64::from(input.pair() % 1000);
        wires.lost_links = u64::from(input.pair() % 1000);
        wires.repeated_requests = u64::from(input.pair() % 300);
    }
    wires
}
