//! Applications that are slower than their peers, and the reverse: queues stay within their limits, and no message is lost.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

mod seeds;

use core::time::Duration;

use engineio_proto::testkit::scenario::{Ending, Scenario};
use engineio_proto::{CloseReason, Config, LinkKind, Transports};

const WS: Option<LinkKind> = Some(LinkKind::WebSocket);
const WT: Option<LinkKind> = Some(LinkKind::WebTransport);
const TRANSPORTS: [(Option<LinkKind>, Option<LinkKind>); 5] =
    [(None, None), (None, WS), (None, WT), (WS, None), (WT, None)];

fn many_messages(seed: u64) -> Scenario {
    let mut config = Config::default();
    config.transports = Transports { polling: true, websocket: true, webtransport: true };
    let (start, upgrade) = TRANSPORTS[usize::try_from(seed).unwrap() % TRANSPORTS.len()];
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
fn i9_a_full_queue_refuses_messages_emits_writable_and_loses_none() {
    let mut refused = 0;
    seeds::play(
        300,
        |seed| {
            let mut scenario = many_messages(seed);
            scenario.config.limits.max_outbound = 500;
            // A sender whose message is refused waits until the queue has space. So it never sends all messages.
            scenario.ends_after_delivery = false;
            scenario
        },
        |_, report| refused += report.refused,
    );
    assert!(refused > 500 || !seeds::all(), "{refused}");
}

#[test]
fn i9_i10_an_application_that_stops_reading_gets_every_message_later_and_its_peer_waits() {
    seeds::play(
        300,
        |seed| {
            let mut scenario = many_messages(seed);
            scenario.config.limits.soft_inbound = [1, 100, 1000][usize::try_from(seed % 3).unwrap()];
            scenario.stall = Duration::from_millis(700);
            scenario
        },
        |seed, report| {
            assert_eq!(report.reason, Some(CloseReason::TransportClose), "SEED={seed}");
            assert_eq!((report.upstream.received(), report.downstream.received()), (100, 100), "SEED={seed}");
        },
    );
}
