//! Minutes of heartbeats in virtual time: a peer that answers stays connected, and a peer that does not times out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

mod seeds;

use core::time::Duration;

use engineio_proto::testkit::NetworkSettings;
use engineio_proto::testkit::scenario::{Ending, Scenario};
use engineio_proto::{CloseReason, Config, LinkKind, Transports};

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(400);

/// The transports of a session: the one it starts with, and the one it upgrades to.
const TRANSPORTS: [(Option<LinkKind>, Option<LinkKind>); 5] = [
    (None, None),
    (None, Some(LinkKind::WebSocket)),
    (None, Some(LinkKind::WebTransport)),
    (Some(LinkKind::WebSocket), None),
    (Some(LinkKind::WebTransport), None),
];

fn short_heartbeat(seed: u64) -> Scenario {
    let mut config = Config::default();
    config.transports = Transports { polling: true, websocket: true, webtransport: true };
    config.ping_interval = INTERVAL;
    config.ping_timeout = TIMEOUT;
    let (start, upgrade) = TRANSPORTS[usize::try_from(seed).unwrap() % TRANSPORTS.len()];
    Scenario { config, start, upgrade, span: Duration::from_secs(20), ..Scenario::default() }
}

#[test]
fn items_57_61_64_a_peer_that_answers_stays_connected_on_every_transport_and_across_an_upgrade() {
    seeds::play(
        300,
        |seed| Scenario { ending: Some(Ending::ClientCloses), ..short_heartbeat(seed) },
        |seed, report| assert_eq!(report.reason, Some(CloseReason::TransportClose), "SEED={seed}"),
    );
}

#[test]
fn item_63_a_peer_that_stops_answering_times_out_also_without_a_get() {
    seeds::play(
        300,
        |seed| Scenario { ending: Some(Ending::NetworkFails), ..short_heartbeat(seed) },
        |seed, report| {
            assert_eq!(report.reason, Some(CloseReason::PingTimeout), "SEED={seed}");
            // A packet after the ping extends the deadline once.
            assert!(report.end_took <= INTERVAL + TIMEOUT * 2, "SEED={seed}: {:?}", report.end_took);
        },
    );
}

#[test]
fn i11_a_server_that_wakes_up_late_with_a_clock_that_jumps_backwards_times_nobody_out() {
    let network = NetworkSettings {
        most_delay: Duration::from_millis(30),
        lateness: Duration::from_millis(90),
        clock_jitter: Duration::from_millis(40),
        ..NetworkSettings::default()
    };
    seeds::play(
        300,
        |seed| Scenario { ending: Some(Ending::ClientCloses), network: network.clone(), ..short_heartbeat(seed) },
        |seed, report| assert_eq!(report.reason, Some(CloseReason::TransportClose), "SEED={seed}"),
    );
}

#[test]
fn no_peer_times_out_because_the_server_is_slow() {
    seeds::play(
        300,
        |seed| {
            let mut scenario = short_heartbeat(seed);
            // The limit is so small that a slow application stops the driver from reading, pongs included.
            scenario.config.limits.soft_inbound = 1;
            scenario.config.limits.max_stall = Duration::from_secs(3600);
            scenario.ending = Some(Ending::ClientCloses);
            scenario.stall = TIMEOUT * 2;
            scenario.messages = 100;
            scenario
        },
        |seed, report| assert_eq!(report.reason, Some(CloseReason::TransportClose), "SEED={seed}"),
    );
}
