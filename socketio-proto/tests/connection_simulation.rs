//! Simulates more than a thousand servers with their clients, each generated from a seed. Every invariant is checked after every step.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

#[path = "../../engineio-proto/tests/seeds/mod.rs"]
mod seeds;

use std::time::Duration;

use engineio_proto::Transports;
use engineio_proto::testkit::NetworkSettings;
use socketio_proto::testkit::{Report, Scenario, run};

/// Plays the scenario with each seed, and adds up the reports.
fn play(count: u64, scenario: &Scenario) -> Report {
    let mut sum = Report::default();
    seeds::each(count, |seed, replay| {
        let report = run(seed, scenario, replay).unwrap_or_else(|failure| panic!("SEED={seed}: {failure}"));
        sum.accepted += report.accepted;
        sum.received_up += report.received_up;
        sum.received_down += report.received_down;
        sum.acks_down += report.acks_down;
        sum.acked += report.acked;
        sum.failed_acks += report.failed_acks;
        sum.broadcast_outcomes += report.broadcast_outcomes;
        sum.refused += report.refused;
    });
    println!("{sum:?}");
    sum
}

fn scenario() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.engine.transports = Transports { polling: true, websocket: true, webtransport: true };
    scenario.engine.ping_interval = Duration::from_millis(300);
    scenario.engine.ping_timeout = Duration::from_millis(400);
    scenario.engine.close_timeout = Duration::from_secs(2);
    scenario.socket.connect_timeout = Duration::from_secs(1);
    scenario
}

fn faulty_network() -> NetworkSettings {
    NetworkSettings {
        lateness: Duration::from_millis(5),
        lost_requests: 8,
        lost_links: 100,
        clock_jitter: Duration::from_millis(3),
        ..NetworkSettings::default()
    }
}

#[test]
fn i10_i12_well_behaved_clients_lose_nothing() {
    let sum = play(200, &Scenario { well_behaved: true, ..scenario() });
    assert!(!seeds::all() || sum.accepted >= 200 * 6, "{sum:?}");
}

#[test]
fn i1_to_i12_a_thousand_random_scenarios_violate_no_invariant() {
    let sum = play(1000, &Scenario { network: faulty_network(), ..scenario() });
    let all = [
        sum.accepted,
        sum.received_up,
        sum.received_down,
        sum.acks_down,
        sum.acked,
        sum.failed_acks,
        sum.broadcast_outcomes,
    ];
    assert!(!seeds::all() || all.iter().all(|count| *count > 1000), "{sum:?}");
}

#[test]
fn i9_small_queues_and_an_application_that_stops_reading_violate_no_limit() {
    let mut scenario =
        Scenario { network: faulty_network(), stall: Duration::from_millis(200), actions: 60, ..scenario() };
    scenario.engine.limits.soft_inbound = 600;
    scenario.engine.limits.max_inbound = 20_000;
    scenario.engine.limits.max_outbound = 500;
    scenario.socket.limits.max_awaited_acks = 5;
    scenario.socket.limits.max_pending = 1;
    scenario.socket.limits.max_namespaces = 2;
    let sum = play(500, &scenario);
    assert!(!seeds::all() || sum.refused > 1000, "{sum:?}");
}

#[test]
fn i8_the_same_seed_gives_the_same_log() {
    let scenario = Scenario { network: faulty_network(), stall: Duration::from_millis(100), ..scenario() };
    seeds::each(20, |seed, replay| {
        let [first, second] = [(); 2].map(|()| run(seed, &scenario, replay).unwrap());
        assert_eq!(first, second, "SEED={seed}");
    });
}
