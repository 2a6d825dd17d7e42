//! A client's machine against a server's, over networks that delay, split, cut and lose.
//!
//! `SEEDS=n` plays more seeds of each scenario, `SEED=n` replays one.

#![allow(clippy::panic, reason = "helpers of tests may panic")]

mod seeds;

use std::collections::BTreeMap;
use std::time::Duration;

use engineio_proto::testkit::scenario::{Report, Scenario, run_machines};
use engineio_proto::testkit::{ClientBehavior, NetworkSettings};
use engineio_proto::{LinkKind, Transports};

/// The number of seeds of each scenario.
fn count(default: u64) -> u64 {
    std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

/// Whether all seeds are played. Statistics are only meaningful if they are.
fn all(default: u64) -> bool {
    seeds::all() && count(default) >= default
}

/// Plays the scenario of each seed from 0 to `seeds`, and passes the reports to `check`.
fn play(seeds: u64, scenario: impl Fn(u64) -> Scenario, mut check: impl FnMut(u64, &Report)) {
    seeds::each(count(seeds), |seed, replay| match run_machines(seed, &scenario(seed), replay) {
        Ok(report) => {
            eprint!("{}", report.log);
            check(seed, &report);
        }
        Err(failure) => panic!("SEED={seed}: {failure}"),
    });
}

/// A way to use the transports: the start, the upgrade, and the revision.
const WAYS: [(Option<LinkKind>, Option<LinkKind>, bool); 8] = [
    (None, Some(LinkKind::WebSocket), false),
    (None, Some(LinkKind::WebTransport), false),
    (None, None, false),
    (Some(LinkKind::WebSocket), None, false),
    (Some(LinkKind::WebTransport), None, false),
    (None, Some(LinkKind::WebSocket), true),
    (None, None, true),
    (Some(LinkKind::WebSocket), None, true),
];

/// The number of messages that each end sends.
const MESSAGES: u64 = 20;

fn scenario(seed: u64) -> Scenario {
    let mut ways = WAYS.into_iter().cycle().skip(usize::try_from(seed % 8).unwrap_or(0));
    let (start, upgrade, revision_3) = ways.next().unwrap_or_default();
    let mut scenario = Scenario { start, upgrade, messages: MESSAGES, ..Scenario::default() };
    scenario.behavior = ClientBehavior { revision_3, ..ClientBehavior::default() };
    scenario.config.allow_eio3 = revision_3;
    scenario.config.transports = Transports { polling: true, websocket: true, webtransport: true };
    scenario
}

#[test]
fn without_faults_everything_arrives_in_order_and_every_close_has_its_reason() {
    let mut upgraded = 0;
    play(2000, scenario, |_, report| {
        assert_eq!((report.upstream.received(), report.downstream.received()), (MESSAGES, MESSAGES));
        upgraded += usize::from(report.upgraded.is_some());
    });
    assert!(upgraded > 500 || !all(2000), "{upgraded} sessions were upgraded");
}

#[test]
fn an_end_at_any_time_leaves_nothing_behind() {
    let mut reasons = BTreeMap::<&str, u32>::new();
    let any_time = |seed| Scenario { ends_after_delivery: false, ..scenario(seed) };
    play(2000, any_time, |_, report| *reasons.entry(report.client_reason).or_default() += 1);
    println!("{reasons:?}");
    if all(2000) {
        for reason in ["forced close", "transport close", "ping timeout"] {
            assert!(reasons.get(reason).is_some_and(|times| *times > 50), "{reason}: {reasons:?}");
        }
    }
}

/// Requests that are lost or arrive twice, links that fail.
fn faults(seed: u64) -> NetworkSettings {
    NetworkSettings {
        slow_bodies: Duration::from_millis(200),
        slow_links: Duration::from_millis(seed % 50),
        lateness: Duration::from_millis(20),
        lost_requests: 30 * (seed / 8 % 3),
        lost_links: 300 * (seed / 24 % 3),
        clock_jitter: Duration::from_millis(seed % 20),
        ..NetworkSettings::default()
    }
}

#[test]
fn faults_of_the_network_break_no_order_and_leave_nothing_behind() {
    let mut reasons = BTreeMap::<&str, u32>::new();
    let faulty = |seed| Scenario { network: faults(seed), ends_after_delivery: false, ..scenario(seed) };
    play(2000, faulty, |_, report| *reasons.entry(report.client_reason).or_default() += 1);
    println!("{reasons:?}");
    assert!(reasons.get("transport error").is_some_and(|times| *times > 50) || !all(2000), "{reasons:?}");
}

#[test]
fn requests_that_arrive_twice_do_no_harm() {
    let twice = NetworkSettings { repeated_requests: 100, ..NetworkSettings::default() };
    play(500, |seed| Scenario { network: twice.clone(), ends_after_delivery: false, ..scenario(seed) }, |_, _| {});
}

#[test]
fn applications_that_stop_reading_lose_nothing_and_limits_hold() {
    let slow = |seed| {
        let stall = Duration::from_millis(400);
        let mut scenario = Scenario { stall, client_stall: stall, ..scenario(seed) };
        for limits in [&mut scenario.config.limits, &mut scenario.client_limits] {
            limits.max_outbound = 600;
            limits.soft_inbound = 200;
        }
        scenario
    };
    play(1000, slow, |_, report| {
        assert_eq!((report.upstream.received(), report.downstream.received()), (MESSAGES, MESSAGES))
    });
}

#[test]
fn bodies_stay_below_a_small_limit_of_the_server() {
    let small = |seed| {
        let mut scenario = Scenario { messages: 60, largest: 150, span: Duration::from_millis(300), ..scenario(seed) };
        // As base64, the largest message with its number has 207 bytes; in revision 3, with its length, 212.
        scenario.config.max_payload = 212;
        scenario
    };
    play(1000, small, |_, report| assert_eq!(report.upstream.received(), 60));
}

#[test]
fn a_heartbeat_survives_slow_networks_and_late_drivers() {
    let slow = |seed| {
        let mut scenario = scenario(seed);
        scenario.config.ping_interval = Duration::from_millis(150);
        scenario.config.ping_timeout = Duration::from_millis(400);
        scenario.span = Duration::from_secs(4);
        scenario.network.lateness = Duration::from_millis(50);
        scenario
    };
    play(1000, slow, |_, report| {
        assert_eq!((report.upstream.received(), report.downstream.received()), (MESSAGES, MESSAGES));
    });
}

#[test]
fn i8_the_same_seed_gives_the_same_run() {
    seeds::each(100, |seed, _| {
        let scenario = Scenario { network: faults(seed), ends_after_delivery: false, ..scenario(seed) };
        let logs = [(); 2].map(|()| run_machines(seed, &scenario, true).map(|report| report.log));
        match logs {
            [Ok(first), Ok(second)] => assert_eq!(first, second, "SEED={seed}"),
            failed => panic!("SEED={seed}: {failed:?}"),
        }
    });
}
