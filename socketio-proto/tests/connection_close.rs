//! The end of a connection: by either side, at any time, and the events of its sockets.
//!
//! Numbers in the names of tests are those of scenarios in the table in adapters/tokio/tests/README.md. The close reasons are those of the
//! reference.

mod connection_world;

use std::time::Duration;

use connection_world::{LINK, Settings, World};
use engineio_proto::SendError;
use engineio_proto::server::{Input, LinkDownCause};
use socketio_proto::{DecodeError, EmitError, Fault};

#[test]
fn suite_8_leaving_the_only_namespace_keeps_the_connection() {
    let (mut world, _) = World::joined();
    world.send("1");
    assert_eq!(world.event_lines(), ["0 left: client namespace disconnect"]);
    assert!(!world.link_is_closed() && world.texts().is_empty());
}

#[test]
fn disconnecting_a_socket_sends_disconnect_and_keeps_the_others() {
    let (mut world, root) = World::joined();
    let custom = world.join("/custom");
    world.connection.disconnect(world.now, custom);
    world.connection.disconnect(world.now, custom);
    world.settle();
    assert_eq!(world.texts(), ["1/custom,"]);
    assert_eq!(world.event_lines(), ["1 left: server namespace disconnect"]);
    world.connection.emit(&mut world.encoder, root, "x", &()).unwrap();
    world.send(r#"2["y"]"#);
    assert_eq!(world.event_lines(), ["0: y()"]);
}

#[test]
fn case_106_closing_notifies_every_namespace_and_then_closes() {
    let (mut world, _) = World::joined();
    world.join("/custom");
    world.send("0/waits,");
    world.send(r#"2["unread"]"#);
    world.connection.close(world.now);
    world.settle();
    assert_eq!(world.texts(), ["1", "1/custom,"]);
    assert!(world.link_is_closed());
    world.assert_over(&[
        "0 left: server namespace disconnect",
        "1 left: server namespace disconnect",
        "closed: forced close",
    ]);
    world.connection.close(world.now);
    world.connection.discard(world.now);
    world.assert_over(&[]);
}

#[test]
fn case_106_over_polling_the_packets_leave_before_the_close_packet() {
    let (mut world, root) = World::joined_with(true, Settings::default());
    world.connection.emit(&mut world.encoder, root, "bye", &()).unwrap();
    world.connection.close(world.now);
    world.settle();
    assert_eq!(world.event_lines(), ["0 left: server namespace disconnect"]);
    assert!(!world.connection.is_drained());
    let request = world.get();
    assert_eq!(world.reply(request).1, "42[\"bye\"]\u{1e}41");
    assert!(world.event_lines().is_empty(), "the close packet waits for the next GET");
    let request = world.get();
    assert_eq!(world.reply(request).1, "6\u{1e}1");
    world.assert_over(&["closed: forced close"]);
}

#[test]
fn a_polling_peer_that_never_polls_again_times_out_after_30_seconds() {
    let (mut world, _) = World::joined_with(true, Settings::default());
    world.connection.close(world.now);
    world.pass(Duration::from_millis(29_999));
    assert_eq!(world.event_lines(), ["0 left: server namespace disconnect"]);
    world.pass(Duration::from_millis(1));
    world.assert_over(&["closed: forced close"]);
}

#[test]
fn case_91_over_polling_without_a_held_get_the_reason_is_forced_server_close() {
    for fault in ["0", r#"2/nowhere,["x"]"#, "4{\"message\":\"no\"}"] {
        let (mut world, _) = World::joined_with(true, Settings::default());
        world.send(fault);
        assert_eq!(world.event_lines(), ["0 left: forced server close"], "before the session is closed");
        let request = world.get();
        assert_eq!(world.reply(request).1, "6\u{1e}1");
        world.assert_over(&["closed: forced close"]);
    }
}

#[test]
fn case_91_over_polling_with_a_held_get_the_reason_is_forced_close() {
    let (mut world, _) = World::joined_with(true, Settings::default());
    let held = world.get();
    assert!(world.is_held(held));
    world.send("0");
    assert_eq!(world.reply(held), (200, "1".into()));
    world.assert_over(&["0 left: forced close", "closed: forced close"]);
}

#[test]
fn an_invalid_packet_over_polling_is_a_forced_close_too() {
    let (mut world, _) = World::joined_with(true, Settings::default());
    world.send("nonsense");
    assert_eq!(world.event_lines(), ["0 left: forced close"]);
    world.pass(Duration::from_secs(30));
    world.assert_over(&["closed: forced close"]);
}

#[test]
fn the_violated_rule_is_known_when_the_sockets_are_disconnected() {
    for (packet, fault) in [
        ("nonsense", Fault::InvalidPacket(DecodeError::UnknownType)),
        (r#"2/nowhere,["x"]"#, Fault::NotJoined),
        ("0", Fault::ConnectedTwice),
        (r#"4{"message":"no"}"#, Fault::UnexpectedPacket),
    ] {
        let (mut world, _) = World::joined();
        assert_eq!(world.connection.fault(), None);
        world.send(packet);
        world.assert_over(&["0 left: forced close", "closed: forced close"]);
        assert_eq!(world.connection.fault(), Some(&fault), "{packet}");
    }
}

#[test]
fn packets_after_an_invalid_one_in_the_same_body_are_ignored() {
    let (mut world, _) = World::joined_with(true, Settings::default());
    world.send("2[\"before\"]\u{1e}40\u{1e}42[\"after\"]\u{1e}40/custom,");
    assert_eq!(world.event_lines(), ["0: before()", "0 left: forced server close"]);
}

#[test]
fn the_engine_s_reasons_reach_every_socket() {
    type Act = fn(&mut World);
    let cases: [(Act, &str); 5] = [
        (World::hang_up, "transport close"),
        (|world| world.handle(Input::LinkMessage { link: LINK, message: "1".into() }), "transport close"),
        (|world| world.handle(Input::LinkDown { link: LINK, cause: LinkDownCause::Failed }), "transport error"),
        (|world| world.handle(Input::LinkMessage { link: LINK, message: "x".into() }), "parse error"),
        (|world| world.pass(Duration::from_secs(45)), "ping timeout"),
    ];
    for (act, reason) in cases {
        let (mut world, _) = World::joined();
        world.join("/custom");
        act(&mut world);
        assert_eq!(
            world.event_lines(),
            [format!("0 left: {reason}"), format!("1 left: {reason}"), format!("closed: {reason}")]
        );
    }
}

#[test]
fn a_shutdown_disconnects_sockets_and_sends_no_disconnect_packet() {
    let (mut world, root) = World::joined();
    world.join("/custom");
    world.connection.emit(&mut world.encoder, root, "bye", &()).unwrap();
    world.connection.shut_down(world.now);
    world.settle();
    assert_eq!(world.texts(), [r#"2["bye"]"#], "queued packets are sent");
    assert!(world.link_is_closed());
    world.assert_over(&["0 left: server shutting down", "1 left: server shutting down", "closed: forced close"]);
}

#[test]
fn a_shutdown_answers_a_held_get_at_once() {
    let (mut world, _) = World::joined_with(true, Settings::default());
    let held = world.get();
    world.connection.shut_down(world.now);
    world.settle();
    assert_eq!(world.reply(held), (200, "1".into()));
    world.assert_over(&["0 left: server shutting down", "closed: forced close"]);
}

#[test]
fn closing_the_session_sends_what_is_queued_and_no_disconnect() {
    let (mut world, root) = World::joined();
    world.join("/custom");
    world.connection.emit(&mut world.encoder, root, "bye", &()).unwrap();
    world.connection.close_session(world.now);
    world.settle();
    assert_eq!(world.texts(), [r#"2["bye"]"#]);
    assert!(world.link_is_closed());
    world.connection.close_session(world.now);
    world.assert_over(&["0 left: forced close", "1 left: forced close", "closed: forced close"]);
}

#[test]
fn closing_the_session_over_polling_ends_the_next_get_with_a_close_packet() {
    let (mut world, root) = World::joined_with(true, Settings::default());
    world.connection.emit(&mut world.encoder, root, "bye", &()).unwrap();
    world.connection.close_session(world.now);
    world.settle();
    assert_eq!(world.event_lines(), ["0 left: forced close"]);
    let request = world.get();
    assert_eq!(world.reply(request), (200, "42[\"bye\"]".into()));
    let request = world.get();
    assert_eq!(world.reply(request), (200, "6\u{1e}1".into()));
    world.assert_over(&["closed: forced close"]);
}

#[test]
fn discarding_drops_queued_and_unread_packets() {
    for polling in [false, true] {
        let (mut world, root) = World::joined_with(polling, Settings::default());
        world.send(r#"2["unread"]"#);
        world.connection.emit(&mut world.encoder, root, "unsent", &()).unwrap();
        world.connection.discard(world.now);
        world.settle();
        assert!(world.texts().is_empty());
        world.assert_over(&["0 left: forced close", "closed: forced close"]);
    }
}

#[test]
fn discarding_ends_a_close_that_waits() {
    let (mut world, _) = World::joined_with(true, Settings::default());
    world.connection.close(world.now);
    world.settle();
    world.connection.discard(world.now);
    world.assert_over(&["0 left: server namespace disconnect", "closed: forced close"]);
    let late = world.get();
    assert_eq!(world.reply(late).0, 400);
}

#[test]
fn commands_after_the_end_are_harmless() {
    let (mut world, root) = World::joined();
    world.hang_up();
    world.event_lines();
    let (now, connection, encoder) = (world.now, &mut world.connection, &mut world.encoder);
    assert_eq!(connection.emit(encoder, root, "x", &()), Err(EmitError::Disconnected));
    assert_eq!(connection.emit_with_ack(now, encoder, root, "x", &(), None), Err(EmitError::Disconnected));
    connection.disconnect(now, root);
    connection.close(now);
    connection.shut_down(now);
    connection.discard(now);
    connection.handle_timeout(now + Duration::from_secs(1000));
    world.assert_over(&[]);
}

#[test]
fn a_socket_is_told_of_its_end_once_when_both_sides_leave() {
    let (mut world, root) = World::joined();
    world.connection.disconnect(world.now, root);
    // The peer's own DISCONNECT was already in transit. As in the reference, it is now unexpected.
    world.send("1");
    world.assert_over(&["0 left: server namespace disconnect", "closed: forced close"]);
}

#[test]
fn a_reply_that_does_not_fit_the_queue_ends_the_connection_and_creates_no_socket() {
    let mut settings = Settings::default();
    settings.engine.limits.max_outbound = 60;
    let (mut world, root) = World::joined_with(false, settings);
    world.send("0/custom,");
    let pending = world.requested();
    world.connection.emit(&mut world.encoder, root, "a", &"0123456789").unwrap();
    let sid = &world.id();
    assert_eq!(world.connection.accept(world.now, pending, sid), Err(EmitError::Send(SendError::Full)));
    world.settle();
    assert!(world.link_is_closed());
    world.assert_over(&["0 left: forced close", "closed: forced close"]);
}

#[test]
fn time_that_goes_backwards_changes_nothing() {
    let (mut world, root) = World::joined();
    let before = world.now;
    world.pass_alive(Duration::from_secs(20));
    world.connection.handle_timeout(world.now);
    let deadline = world.connection.poll_timeout();
    world.connection.handle_timeout(before);
    assert_eq!(world.connection.poll_timeout(), deadline);
    let timeout = Some(Duration::from_secs(1));
    world.connection.emit_with_ack(before, &mut world.encoder, root, "ask", &(), timeout).unwrap();
    assert_eq!(world.connection.poll_timeout(), Some(world.now + Duration::from_secs(1)));
}

#[test]
fn no_event_is_emitted_after_a_discard_even_if_the_session_has_unread_messages() {
    let mut settings = Settings::default();
    settings.engine.limits.soft_inbound = 300;
    let (mut world, _) = World::joined_with(false, settings);
    for number in 0..5 {
        world.send(&format!(r#"2["{number}","{}"]"#, "x".repeat(100)));
    }
    assert!(!world.connection.wants_input(), "the inbox is full");
    assert!(world.event().is_some());
    world.connection.discard(world.now);
    world.settle();
    world.assert_over(&["0 left: forced close", "closed: forced close"]);
}
