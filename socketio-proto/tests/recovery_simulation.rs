//! Simulates servers with connection state recovery (I13), each generated from a seed: clients lose their connections and return.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail loudly, as tests may")]

#[path = "../../engineio-proto/tests/seeds/mod.rs"]
mod seeds;

use std::time::Duration;

use engineio_proto::testkit::NetworkSettings;
use socketio_proto::server::RecoveryConfig;
use socketio_proto::testkit::{CutReport, Cuts, run_with_cuts};

fn cuts() -> Cuts {
    let mut engine = engineio_proto::Config::default();
    engine.ping_interval = Duration::from_millis(300);
    engine.ping_timeout = Duration::from_millis(400);
    engine.close_timeout = Duration::from_secs(1);
    Cuts {
        clients: 3,
        engine,
        recovery: RecoveryConfig::default(),
        network: NetworkSettings::default(),
        span: Duration::from_secs(6),
        away: Duration::from_secs(2),
    }
}

fn play(count: u64, cuts: &Cuts) -> CutReport {
    let mut sum = CutReport::default();
    seeds::each(count, |seed, _| {
        let report = run_with_cuts(seed, cuts).unwrap_or_else(|violation| panic!("SEED={seed}: {violation}"));
        sum.emitted += report.emitted;
        sum.received += report.received;
        sum.recovered += report.recovered;
        sum.renewed += report.renewed;
    });
    println!("{sum:?}");
    sum
}

#[test]
fn i13_clients_that_return_get_every_event_once_and_in_order_or_are_new() {
    let sum = play(60, &cuts());
    assert!(!seeds::all() || sum.recovered > sum.renewed, "{sum:?}");
}

#[test]
fn i13_on_bad_networks_with_little_memory_and_time() {
    let mut cuts = cuts();
    cuts.network = NetworkSettings {
        lateness: Duration::from_millis(5),
        lost_requests: 8,
        lost_links: 100,
        clock_jitter: Duration::from_millis(3),
        ..NetworkSettings::default()
    };
    cuts.recovery.max_disconnection_duration = Duration::from_secs(1);
    cuts.recovery.max_packet_age = Duration::from_millis(1700);
    cuts.recovery.max_bytes = 30_000;
    cuts.recovery.max_sessions = 2;
    cuts.engine.limits.max_outbound = 2000;
    let sum = play(60, &cuts);
    assert!(!seeds::all() || (sum.recovered > 30 && sum.renewed > 30), "{sum:?}");
}
