//! Simulates clients that connect again, and servers whose process restarts, each generated from a seed (I12, I13, I14).
//!
//! `SEEDS=n` plays n seeds of each scenario, `SEED=n` replays one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

#[path = "../../engineio-proto/tests/seeds/mod.rs"]
mod seeds;

use std::time::Duration;

use engineio_proto::testkit::NetworkSettings;
use socketio_proto::client::Retries;
use socketio_proto::server::RecoveryConfig;
use socketio_proto::testkit::{ReconnectionReport, Reconnections, run_with_reconnections};

fn scenario() -> Reconnections {
    let mut engine = engineio_proto::Config::default();
    engine.ping_interval = Duration::from_millis(300);
    engine.ping_timeout = Duration::from_millis(400);
    engine.close_timeout = Duration::from_secs(1);
    let mut client_engine = engineio_proto::client::Config::default();
    client_engine.close_timeout = Duration::from_secs(1);
    client_engine.upgrade_timeout = Duration::from_secs(1);
    let mut client = socketio_proto::client::Config::default();
    client.reconnection_delay = Duration::from_millis(40);
    client.reconnection_delay_max = Duration::from_millis(300);
    client.open_timeout = Some(Duration::from_secs(2));
    Reconnections {
        clients: 2,
        engine,
        server: socketio_proto::Config::default(),
        client_engine,
        client,
        recovery: None,
        retries: None,
        network: NetworkSettings { lost_requests: 8, lost_links: 100, ..NetworkSettings::default() },
        cuts: true,
        restless: false,
        span: Duration::from_secs(2),
    }
}

/// Whether as many seeds are played as the statistics are meant for.
fn all() -> bool {
    seeds::all() && std::env::var_os("SEEDS").is_none()
}

fn play(count: u64, scenario: &Reconnections) -> ReconnectionReport {
    let mut sum = ReconnectionReport::default();
    let count = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(count);
    seeds::each(count, |seed, replay| {
        let report = run_with_reconnections(seed, scenario, replay)
            .unwrap_or_else(|violation| panic!("SEED={seed}: {violation}"));
        sum.connected += report.connected;
        sum.recovered += report.recovered;
        sum.attempts += report.attempts;
        sum.emitted_up += report.emitted_up;
        sum.received_up += report.received_up;
        sum.repeated_up += report.repeated_up;
        sum.emitted_down += report.emitted_down;
        sum.received_down += report.received_down;
        sum.acked += report.acked;
        sum.failed_acks += report.failed_acks;
    });
    println!("{sum:?}");
    sum
}

#[test]
fn i10_without_faults_everything_arrives_once_and_in_order() {
    let mut scenario = scenario();
    (scenario.cuts, scenario.network) = (false, NetworkSettings::default());
    let sum = play(250, &scenario);
    assert_eq!((sum.received_up, sum.received_down), (sum.emitted_up, sum.emitted_down));
}

#[test]
fn i12_i14_clients_that_are_cut_off_connect_again_by_the_formula_and_nothing_arrives_twice() {
    let sum = play(500, &scenario());
    assert!(!all() || (sum.attempts > 1000 && sum.acked > 1000 && sum.failed_acks > 100), "{sum:?}");
}

#[test]
fn i12_i14_applications_that_leave_close_and_open_break_nothing() {
    let sum = play(500, &Reconnections { restless: true, ..scenario() });
    assert!(!all() || sum.attempts > 1000, "{sum:?}");
}

#[test]
fn i13_with_recovery_every_event_arrives_once_and_in_order_across_connections() {
    let recovery = Some(RecoveryConfig::default());
    let sum = play(350, &Reconnections { recovery: recovery.clone(), ..scenario() });
    assert!(!all() || sum.recovered > 200, "{sum:?}");
    play(200, &Reconnections { recovery, restless: true, ..scenario() });
}

#[test]
fn i14_with_retries_everything_arrives_at_least_once() {
    let retries = Some(Retries { count: u32::MAX, timeout: Duration::from_millis(300) });
    let sum = play(200, &Reconnections { retries, ..scenario() });
    assert!(!all() || sum.repeated_up > 100, "{sum:?}");
    play(100, &Reconnections { retries, restless: true, ..scenario() });
}

#[test]
fn i9_small_queues_break_nothing() {
    let mut scenario = Reconnections { restless: true, ..scenario() };
    scenario.client_engine.limits.max_outbound = 1500;
    scenario.client_engine.limits.soft_inbound = 600;
    scenario.client_engine.limits.max_inbound = 20_000;
    scenario.engine.limits.max_outbound = 2000;
    scenario.engine.limits.soft_inbound = 600;
    scenario.client.max_send_buffer = 1000;
    scenario.client.limits.max_awaited_acks = 3;
    play(200, &scenario);
}

#[test]
fn i8_the_same_seed_gives_the_same_run() {
    let scenario = Reconnections { restless: true, ..scenario() };
    seeds::each(20, |seed, replay| {
        let [first, second] = [(); 2].map(|()| run_with_reconnections(seed, &scenario, replay).unwrap());
        assert_eq!(first, second, "SEED={seed}");
    });
}
