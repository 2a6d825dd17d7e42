//! Broadcasts with acks: every recipient counts once, whatever happens to it. Numbers in the names of tests are those of
//! `adapters/tokio/tests/README.md`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

use std::time::Duration;

use bytes::Bytes;
use engineio_proto::{Instant, Text};
use socketio_proto::server::{Namespace, NamespaceEvent, Operation, Target};
use socketio_proto::{AckError, AckId, Limits, PacketType, Payload, SocketId};

const NOW: Instant = Instant::from_millis(1000);
const SECOND: Duration = Duration::from_secs(1);

fn with(keys: impl IntoIterator<Item = u32>) -> Namespace<u32> {
    let mut namespace = Namespace::new();
    for key in keys {
        namespace.add(key, &SocketId::new(format!("sid-{key}")).unwrap());
    }
    namespace
}

fn answer(text: &'static str) -> Result<Payload, AckError> {
    Ok(Payload::from_json(PacketType::Ack, Text::from_static(text), Vec::new(), &Limits::default()).unwrap())
}

fn event_lines(namespace: &mut Namespace<u32>) -> Vec<String> {
    let short = |event| match event {
        NamespaceEvent::Acked { broadcast, socket, outcome: Ok(payload) } => {
            format!("{}: {socket} says {}", broadcast.0, payload.raw_args())
        }
        NamespaceEvent::Acked { broadcast, socket, outcome: Err(error) } => {
            format!("{}: {socket} failed: {error}", broadcast.0)
        }
        NamespaceEvent::BroadcastDone { broadcast } => format!("{} done", broadcast.0),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| namespace.poll_event()).map(short).collect()
}

fn broadcast_with_ack(namespace: &mut Namespace<u32>, target: &Target<u32>) -> (AckId, Vec<u32>) {
    broadcast_with_timeout(namespace, target, SECOND)
}

fn broadcast_with_timeout(
    namespace: &mut Namespace<u32>,
    target: &Target<u32>,
    timeout: Duration,
) -> (AckId, Vec<u32>) {
    let ack = namespace.reserve_ack();
    (ack.id(), namespace.apply(Operation::EmitWithAck { target, ack, deadline: NOW + timeout }).collect())
}

#[test]
fn case_123_a_broadcast_is_done_when_every_recipient_has_acked() {
    let mut namespace = with(1..=3);
    let (id, recipients) = broadcast_with_ack(&mut namespace, &Target::everybody().without(2));
    assert_eq!((id, recipients), (AckId(1), vec![1, 3]));
    assert_eq!(namespace.poll_timeout(), Some(NOW + SECOND));
    namespace.handle_ack(3, id, answer("[30]"));
    namespace.handle_ack(3, id, answer("[31]"));
    namespace.handle_ack(2, id, answer("[20]"));
    assert_eq!(event_lines(&mut namespace), ["1: 3 says 30"], "one answer of each recipient counts");
    namespace.handle_ack(1, id, answer("[10]"));
    assert_eq!(event_lines(&mut namespace), ["1: 1 says 10", "1 done"]);
    assert_eq!(namespace.poll_timeout(), None);
}

#[test]
fn case_123_a_recipient_that_does_not_ack_times_out_and_the_others_count() {
    let mut namespace = with(1..=3);
    let (id, _) = broadcast_with_ack(&mut namespace, &Target::everybody());
    namespace.handle_ack(2, id, answer("[2]"));
    namespace.handle_timeout(NOW + Duration::from_millis(999));
    assert_eq!(event_lines(&mut namespace), ["1: 2 says 2"]);
    namespace.handle_timeout(NOW + SECOND);
    assert_eq!(
        event_lines(&mut namespace),
        ["1: 1 failed: operation has timed out", "1: 3 failed: operation has timed out", "1 done"]
    );
    assert_eq!(namespace.poll_timeout(), None);
    namespace.handle_ack(1, id, answer("[]"));
    assert!(event_lines(&mut namespace).is_empty(), "the ack is too late");
}

#[test]
fn case_123_a_broadcast_to_nobody_is_done_at_once() {
    let mut namespace = with([]);
    let (_, recipients) = broadcast_with_ack(&mut namespace, &Target::everybody());
    assert!(recipients.is_empty());
    assert_eq!(event_lines(&mut namespace), ["1 done"]);
    assert_eq!(namespace.poll_timeout(), None);
}

#[test]
fn case_123_an_ack_may_be_binary() {
    let mut namespace = with([1]);
    let (id, _) = broadcast_with_ack(&mut namespace, &Target::everybody());
    let bytes = Bytes::from_static(&[1, 2]);
    let text = r#"[{"_placeholder":true,"num":0}]"#;
    let payload = Payload::from_json(PacketType::Ack, text.into(), vec![bytes.clone()], &Limits::default()).unwrap();
    namespace.handle_ack(1, id, Ok(payload));
    let Some(NamespaceEvent::Acked { outcome: Ok(payload), .. }) = namespace.poll_event() else { panic!() };
    assert_eq!(payload.attachments(), [bytes]);
}

#[test]
fn recipients_that_leave_or_are_not_reached_count_as_disconnected() {
    let mut namespace = with(1..=3);
    let (id, _) = broadcast_with_ack(&mut namespace, &Target::everybody());
    namespace.remove(2);
    namespace.handle_ack(1, id, Err(AckError::Disconnected));
    // The connection of socket 2 reports the pending ack as well.
    namespace.handle_ack(2, id, Err(AckError::Disconnected));
    namespace.remove(1);
    namespace.handle_ack(3, id, answer("[]"));
    assert_eq!(
        event_lines(&mut namespace),
        [
            "1: 2 failed: socket has been disconnected",
            "1: 1 failed: socket has been disconnected",
            "1: 3 says ",
            "1 done"
        ]
    );
}

#[test]
fn a_socket_that_joins_later_is_not_a_recipient() {
    let mut namespace = with([1]);
    let (id, _) = broadcast_with_ack(&mut namespace, &Target::everybody());
    namespace.add(2, &SocketId::new("late").unwrap());
    namespace.handle_ack(2, id, answer("[]"));
    namespace.handle_ack(1, id, answer("[]"));
    assert_eq!(event_lines(&mut namespace), ["1: 1 says ", "1 done"]);
}

#[test]
fn several_broadcasts_are_acked_concurrently() {
    let mut namespace = with(1..=2);
    let (first, _) = broadcast_with_ack(&mut namespace, &Target::everybody());
    let (second, _) = broadcast_with_timeout(&mut namespace, &Target::everybody(), SECOND / 2);
    assert_eq!((first, second), (AckId(1), AckId(3)), "odd");
    assert_eq!(namespace.poll_timeout(), Some(NOW + SECOND / 2));
    namespace.handle_ack(1, second, answer("[]"));
    namespace.handle_ack(2, first, answer("[]"));
    namespace.remove(1);
    namespace.handle_timeout(NOW + SECOND / 2);
    assert_eq!(
        event_lines(&mut namespace),
        [
            "3: 1 says ",
            "1: 2 says ",
            "1: 1 failed: socket has been disconnected",
            "1 done",
            "3: 2 failed: operation has timed out",
            "3 done"
        ]
    );
    assert_eq!(namespace.poll_timeout(), None);
}

#[test]
fn time_that_goes_backwards_fires_nothing() {
    let mut namespace = with([1]);
    broadcast_with_ack(&mut namespace, &Target::everybody());
    namespace.handle_timeout(Instant::ZERO);
    assert!(event_lines(&mut namespace).is_empty());
}

#[test]
fn a_reserved_id_that_is_not_used_is_not_given_again() {
    let mut namespace = with([1]);
    drop(namespace.reserve_ack());
    let (id, recipients) = broadcast_with_ack(&mut namespace, &Target::socket(1));
    assert_eq!((id, recipients), (AckId(3), vec![1]));
}

#[test]
fn a_socket_that_leaves_fails_every_broadcast_that_it_has_not_acked() {
    let mut namespace = with(1..=2);
    let broadcasts: Vec<AckId> = (0..3).map(|_| broadcast_with_ack(&mut namespace, &Target::everybody()).0).collect();
    namespace.handle_ack(1, broadcasts[1], answer("[]"));
    event_lines(&mut namespace);
    namespace.remove(1);
    let gone = "socket has been disconnected";
    assert_eq!(event_lines(&mut namespace), [format!("1: 1 failed: {gone}"), format!("5: 1 failed: {gone}")]);
}
