//! More than a thousand upgrades, each with its own interleaving of probe, GETs, POSTs and messages in both directions.

mod seeds;

use core::time::Duration;

use engineio_proto::testkit::scenario::{Ending, Report, Scenario};
use engineio_proto::testkit::{ClientBehavior, NetworkSettings};
use engineio_proto::{CloseReason, Config, LinkKind, Transports};

fn upgrading(kind: LinkKind) -> Scenario {
    let mut config = Config::default();
    config.transports = Transports { polling: true, websocket: true, webtransport: true };
    Scenario { config, upgrade: Some(kind), span: Duration::from_millis(600), ..Scenario::default() }
}

fn all_arrived(seed: u64, report: &Report) {
    // The probe takes a few round trips, and a held GET is released after 100 ms.
    assert!(report.upgraded.is_some_and(|time| time < Duration::from_secs(1)), "SEED={seed}: {report:?}");
    assert_eq!((report.upstream.received(), report.downstream.received()), (20, 20), "SEED={seed}");
}

#[test]
fn i10_items_42_to_45_a_thousand_upgrades_to_websocket_lose_no_message_and_keep_the_order() {
    seeds::play(1000, |_| upgrading(LinkKind::WebSocket), all_arrived);
}

#[test]
fn item_42_a_get_that_is_held_in_silence_is_released_for_the_upgrade() {
    seeds::play(
        200,
        |_| Scenario { messages: 0, ..upgrading(LinkKind::WebSocket) },
        |seed, report| {
            assert!(report.upgraded.is_some_and(|time| time < Duration::from_secs(1)), "SEED={seed}: {report:?}");
        },
    );
}

#[test]
fn i10_i6_upgrades_to_webtransport_lose_no_message_however_the_stream_is_split() {
    seeds::play(500, |_| upgrading(LinkKind::WebTransport), all_arrived);
}

#[test]
fn item_57_pings_continue_across_an_upgrade() {
    seeds::play(
        500,
        |_| {
            let mut scenario = upgrading(LinkKind::WebSocket);
            // Several pings are sent while the probe is pending, and some of them are unanswered when the session moves.
            scenario.config.ping_interval = Duration::from_millis(60);
            scenario.config.ping_timeout = Duration::from_millis(400);
            scenario.heartbeat_timeout = Some(Duration::from_secs(2));
            scenario.ending = Some(Ending::ClientCloses);
            scenario
        },
        |seed, report| {
            assert_eq!(report.reason, Some(CloseReason::TransportClose), "SEED={seed}");
            all_arrived(seed, report);
        },
    );
}

#[test]
fn item_47_a_probe_that_fails_leaves_the_session_polling_in_order() {
    let mut polling = 0;
    seeds::play(
        500,
        |_| {
            let mut scenario = upgrading(LinkKind::WebSocket);
            scenario.network = NetworkSettings { lost_links: 700, ..NetworkSettings::default() };
            scenario.ends_after_delivery = false;
            scenario
        },
        |_, report| polling += u32::from(report.upgraded.is_none() && report.upstream.received() > 0),
    );
    assert!(polling > 50 || !seeds::all(), "{polling}");
}

#[test]
fn i10_a_client_that_upgrades_without_a_probe_loses_no_message_and_gets_none_twice() {
    seeds::play(
        500,
        |_| {
            let mut scenario = upgrading(LinkKind::WebSocket);
            scenario.behavior = ClientBehavior { skips_probe: true, ..ClientBehavior::default() };
            scenario
        },
        all_arrived,
    );
}

#[test]
fn i10_a_post_from_before_the_upgrade_is_delivered_before_the_link_even_if_its_body_is_late() {
    seeds::play(
        500,
        |_| {
            let mut scenario = upgrading(LinkKind::WebSocket);
            scenario.behavior = ClientBehavior { upgrades_during_post: true, ..ClientBehavior::default() };
            // The head of a POST arrives before the `5` that was sent after it. The body arrives later.
            scenario.network = NetworkSettings {
                most_delay: Duration::from_millis(5),
                slow_bodies: Duration::from_millis(300),
                slow_links: Duration::from_millis(10),
                ..NetworkSettings::default()
            };
            scenario
        },
        all_arrived,
    );
}
