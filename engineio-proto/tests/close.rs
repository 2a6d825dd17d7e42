//! Every way to end a session, on every transport, at any time: during an upgrade, during a message, and while idle.

mod seeds;

use core::time::Duration;

use engineio_proto::testkit::NetworkSettings;
use engineio_proto::testkit::scenario::{Ending, Scenario};
use engineio_proto::{CloseReason, Config, LinkKind, Transports};

fn scenario(start: Option<LinkKind>, upgrade: Option<LinkKind>, ending: Ending) -> Scenario {
    let mut config = Config::default();
    config.transports = Transports { polling: true, websocket: true, webtransport: true };
    Scenario { config, start, upgrade, ending: Some(ending), span: Duration::from_millis(300), ..Scenario::default() }
}

const WS: Option<LinkKind> = Some(LinkKind::WebSocket);
const WT: Option<LinkKind> = Some(LinkKind::WebTransport);
const TRANSPORTS: [(Option<LinkKind>, Option<LinkKind>); 5] =
    [(None, None), (None, WS), (None, WT), (WS, None), (WT, None)];

/// Runs every kind of session with every ending, `seeds` times each.
fn each(seeds: u64, ends_after_delivery: bool, network: &NetworkSettings) {
    for (start, upgrade) in TRANSPORTS {
        for ending in Ending::ALL {
            let make = |_| {
                let network = network.clone();
                Scenario { ends_after_delivery, network, ..scenario(start, upgrade, ending) }
            };
            seeds::play(seeds, make, |seed, report| {
                // The client polls or is about to upgrade, so it soon fetches what is queued, unless it has disconnected.
                if *network == NetworkSettings::default() && report.client_reason == "transport close" {
                    assert!(report.end_took < Duration::from_secs(1), "SEED={seed}: {report:?}");
                }
            });
        }
    }
}

#[test]
fn i5_items_73_to_79_an_end_after_delivery_has_the_expected_reason_and_leaves_no_state() {
    each(30, true, &NetworkSettings::default());
}

#[test]
fn i5_items_53_to_55_and_75_a_graceful_close_at_any_time_loses_nothing_that_was_sent_before_it() {
    each(60, false, &NetworkSettings::default());
}

#[test]
fn i4_i5_an_end_on_a_faulty_network_leaves_no_state() {
    each(
        30,
        false,
        &NetworkSettings { lost_requests: 30, lost_links: 300, repeated_requests: 20, ..NetworkSettings::default() },
    );
}

#[test]
fn items_46_47_and_53_an_upgrade_that_fails_or_times_out_leaves_the_session_open() {
    let mut upgraded = 0;
    seeds::play(
        500,
        |_| {
            let mut scenario = scenario(None, WS, Ending::ClientCloses);
            scenario.config.upgrade_timeout = Duration::from_millis(150);
            scenario.ends_after_delivery = false;
            scenario.span = Duration::from_millis(1500);
            scenario
        },
        |seed, report| {
            upgraded += u64::from(report.upgraded.is_some());
            if report.upgraded.is_none() {
                // The client paused polling for a probe whose link was then closed. Like the JavaScript client, it waits in vain for a ping.
                assert!(
                    matches!(report.reason, Some(CloseReason::TransportClose | CloseReason::PingTimeout)),
                    "SEED={seed}: {report:?}"
                );
            }
        },
    );
    assert!((1..500).contains(&upgraded) || !seeds::all(), "{upgraded}");
}

#[test]
fn item_78_a_graceful_close_ends_with_the_next_get_or_exactly_at_its_timeout() {
    let limit = Config::default().close_timeout;
    let (mut taken, mut given_up) = (0, 0);
    let slow = Duration::from_secs(12);
    let make = |_| {
        // Sometimes the next GET takes longer to arrive than the session waits.
        let network = NetworkSettings { least_delay: slow, most_delay: slow, ..NetworkSettings::default() };
        let mut scenario = scenario(None, None, Ending::ServerCloses);
        scenario.config.ping_interval = Duration::from_secs(3600);
        Scenario { ends_after_delivery: false, span: Duration::from_secs(100), network, ..scenario }
    };
    seeds::play(300, make, |seed, report| match report.end_took {
        took if took < limit => taken += 1,
        took if took == limit => given_up += 1,
        _ => panic!("SEED={seed}: {report:?}"),
    });
    assert!((taken > 20 && given_up > 20) || !seeds::all(), "{taken} messages were fetched, {given_up} were abandoned");
}
