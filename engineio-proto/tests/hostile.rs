//! Random inputs in any order, at any time: every invariant holds after each of them.

mod seeds;

use engineio_proto::testkit::{Clock, PollOrder, Random, RandomWalk};

#[test]
fn no_order_of_inputs_violates_an_invariant() {
    seeds::each(2000, |seed, replay| {
        let walk = RandomWalk::new(&mut Random::new(seed), 120);
        for order in [300, 20].map(|rate| PollOrder::Sometimes(Random::new(seed), rate)) {
            if let Err((violation, log)) = walk.play(order, Clock::Steady, replay) {
                panic!("SEED={seed}: {log}{violation}");
            }
        }
    });
}
