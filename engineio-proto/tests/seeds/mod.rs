//! Runs a test with many seeds; the crates above this one use it as well. A failure prints its seed. `SEED=n` in the environment replays
//! one seed alone, and a test that supports it then prints all inputs and outputs of its machines.

#![allow(dead_code, unreachable_pub, clippy::panic, reason = "several tests share it, and tests may panic")]

use engineio_proto::testkit::scenario::{Report, Scenario, run};

/// Plays the scenario of each seed from 0 to `count`, and passes the reports to `check`.
pub fn play(count: u64, scenario: impl Fn(u64) -> Scenario, mut check: impl FnMut(u64, &Report)) {
    each(count, |seed, replay| match run(seed, &scenario(seed), replay) {
        Ok(report) => {
            eprint!("{}", report.log);
            check(seed, &report);
        }
        Err(failure) => panic!("SEED={seed}: {failure}"),
    });
}

/// Calls `body` with each seed from 0 to `count`, or with the one from the environment, and with whether it is that one.
pub fn each(count: u64, mut body: impl FnMut(u64, bool)) {
    let one =
        std::env::var("SEED").ok().map(|seed| seed.parse().unwrap_or_else(|_| panic!("SEED={seed} is not a number")));
    let seeds = one.map_or(0..count, |seed: u64| seed..seed.saturating_add(1));
    for seed in seeds {
        let shown = OnPanic(seed);
        body(seed, one.is_some());
        drop(shown);
    }
}

/// Prints the seed if the run panics.
struct OnPanic(u64);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Set SEED={} to replay this failure.", self.0);
        }
    }
}

/// Returns whether all seeds run. Statistics are only meaningful if they do.
pub fn all() -> bool {
    std::env::var_os("SEED").is_none()
}
