//! Applications that are slower than their peers, and the reverse: queues stay within their limits, and no message is lost.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may fail loudly, like the tests")]

mod seeds;

use core::time::Duration;

use engineio_proto::testkit::scenario::{Ending, Scenario};
use engineio_proto::{CloseReason, Config, LinkKind, Transports};

const WS: Option<LinkKind> = Some(LinkKind::WebSocket);
const WT: Option<LinkKind> = Some(LinkKind::WebTransport);
const LIVES: [(Option<LinkKind>, Option<LinkKind>); 5] = [(None, None), (None, WS), (None, WT), (WS, None), (WT, None)];

fn crowded(seed: u64) -> Scenario {
    let mut config = Config::default();
    config.transports = Transports { polling: true, websocket: true, webtransport: true };
    let (start, upgrade) = LIVES[usize::try_from(seed).unwrap() % LIVES.len()];
    Scenario {
        config,
        start,
        upgrade,
        messages: 100,
        span: Duration::from_millis(300),
        ending: Some(Ending::ClientCloses),
        ..Scenario::default()
    }
}

#[test]
fn i9_a_full_queue_refuses_says_when_there_is_room_and_loses_nothing() {
    let mut refused = 0;
    seeds::play(
        300,
        |seed| {
            let mut scenario = crowded(seed);
            scenario.config.limits.max_outbound = 500;
            // A sender that was refused waits until the queue has space, and so never sends all of them.
            scenario.quiet_end = false;
            scenario
        },
        |_, report| refused += report.refused,
    );
    assert!(refused > 500 || !seeds::all(), "{refused}");
}

#[test]
fn i9_i10_an_application_that_looks_away_gets_everything_later_and_its_peer_waits() {
    seeds::play(
        300,
        |seed| {
            let mut scenario = crowded(seed);
            scenario.config.limits.soft_inbound = [1, 100, 1000][usize::try_from(seed % 3).unwrap()];
            scenario.stall = Duration::from_millis(700);
            scenario
        },
        |seed, report| {
            assert_eq!(report.reason, Some(CloseReason::TransportClose), "SEED={seed}");
            assert_eq!((report.upwards.received(), report.downwards.received()), (100, 100), "SEED={seed}");
        },
    );
}
