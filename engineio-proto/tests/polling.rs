//! Sessions that only poll, over connections that delay, reorder and lose requests.

mod seeds;

use core::time::Duration;

use engineio_proto::testkit::NetworkSettings;
use engineio_proto::testkit::scenario::{Ending, Scenario};
use engineio_proto::{CloseReason, TransportError};

fn polling() -> Scenario {
    Scenario { upgrade: None, span: Duration::from_secs(2), ..Scenario::default() }
}

#[test]
fn item_37_messages_are_sent_in_batches_and_in_order() {
    let mut too_large = 0;
    seeds::play(
        300,
        |seed| {
            let mut scenario = polling();
            // One packet per batch, a few, or all.
            scenario.config.max_payload = [320, 1000, 1_000_000][usize::try_from(seed % 3).unwrap()];
            scenario
        },
        |seed, report| match report.client_reason {
            // The JavaScript client counts 1.33 bytes for a byte of binary. Base64 needs a little more, so the client sometimes exceeds the
            // limit.
            "transport error" => too_large += 1,
            _ => assert_eq!((report.upstream.received(), report.downstream.received()), (20, 20), "SEED={seed}"),
        },
    );
    assert!(too_large < 10, "{too_large}");
}

#[test]
fn items_26_and_27_a_body_over_the_limit_ends_the_session_and_the_client() {
    let mut too_large = 0;
    seeds::play(
        200,
        |_| {
            let mut scenario = polling();
            scenario.config.max_payload = 150;
            scenario
        },
        |_, report| too_large += u32::from(!report.upstream.is_complete()),
    );
    assert!(too_large > 50 || !seeds::all(), "{too_large}");
}

#[test]
fn i4_items_28_and_39_requests_that_are_lost_anywhere_end_a_session_and_leave_no_state() {
    let mut reasons = Vec::new();
    seeds::play(
        1000,
        |_| Scenario { network: NetworkSettings { lost_requests: 40, ..NetworkSettings::default() }, ..polling() },
        |_, report| reasons.extend(report.reason),
    );
    if seeds::all() {
        for expected in [TransportError::PollAborted, TransportError::PostAborted] {
            assert!(reasons.contains(&CloseReason::TransportError(expected)), "{expected}");
        }
    }
}

#[test]
fn i4_items_29_and_30_requests_that_arrive_twice_end_a_session_and_are_all_answered() {
    let mut reasons = Vec::new();
    seeds::play(
        1000,
        |_| Scenario { network: NetworkSettings { repeated_requests: 60, ..NetworkSettings::default() }, ..polling() },
        |_, report| reasons.extend(report.reason),
    );
    if seeds::all() {
        for expected in [TransportError::PollOverlap, TransportError::PostOverlap] {
            assert!(reasons.contains(&CloseReason::TransportError(expected)), "{expected}");
        }
    }
}

#[test]
fn item_83_a_polling_client_is_informed_of_the_end() {
    seeds::play(
        200,
        |_| Scenario { ending: Some(Ending::ServerCloses), ..polling() },
        |seed, report| assert_eq!(report.client_reason, "transport close", "SEED={seed}"),
    );
}
