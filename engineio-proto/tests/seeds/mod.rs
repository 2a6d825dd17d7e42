//! Runs a scenario for many seeds. A seed that fails is printed; `SEED=n` in the environment replays that one alone, and
//! prints everything that the session saw.

#![allow(dead_code, unreachable_pub, clippy::panic, reason = "shared by several tests, which fail loudly")]

use engineio_proto::testkit::scenario::{Report, Scenario, run};

/// Plays what `scenario` makes of each seed from 0 to `count`, and hands the reports to `judge`.
pub fn play(count: u64, scenario: impl Fn(u64) -> Scenario, mut judge: impl FnMut(u64, &Report)) {
    each(count, |seed, replay| match run(seed, &scenario(seed), replay) {
        Ok(report) => {
            eprint!("{}", report.log);
            judge(seed, &report);
        }
        Err(failure) => panic!("SEED={seed}: {failure}"),
    });
}

/// Calls `body` with each seed from 0 to `count`, or with the one of the environment; and whether it is that one.
pub fn each(count: u64, mut body: impl FnMut(u64, bool)) {
    if let Some(seed) = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        return body(seed, true);
    }
    for seed in 0..count {
        body(seed, false);
    }
}

/// Whether all seeds are run, and not a single one: only then do statistics make sense.
pub fn all() -> bool {
    std::env::var_os("SEED").is_none()
}
