//! The limits on what a connection holds for a peer, and how it signals the driver to stop reading.

mod connection_world;

use std::time::Duration;

use connection_world::{LINK, Settings, World};
use engineio_proto::SendError;
use engineio_proto::server::Input;
use socketio_proto::server::Connection;
use socketio_proto::{EmitError, Event, Fault};

const SOFT: usize = 4096;
const HARD: usize = 64 << 10;

fn small() -> Settings {
    let mut settings = Settings::default();
    settings.engine.limits.soft_inbound = SOFT;
    settings.engine.limits.max_inbound = HARD;
    settings
}

#[test]
fn a_connection_is_small() {
    assert!(size_of::<Connection>() <= 900, "{} bytes", size_of::<Connection>());
}

#[test]
fn unread_events_stop_reading_and_polling_them_resumes_it() {
    let (mut world, _) = World::joined_with(false, small());
    let packet = format!("2[\"x\",\"{}\"]", "y".repeat(100));
    let mut sent = 0;
    while world.connection.wants_input() {
        world.send(&packet);
        sent += 1;
        assert!(sent * packet.len() < 3 * SOFT, "the connection and the session buffer up to the limit each");
    }
    assert!(sent * (packet.len() + 400) > 2 * SOFT, "reading stopped too early, after {sent} packets");
    let mut told = 0;
    while !world.connection.wants_input() {
        assert!(matches!(world.event(), Some(Event::Received { .. })));
        told += 1;
    }
    assert_eq!(told + world.event_lines().len(), sent);
}

#[test]
fn a_link_that_floods_regardless_is_closed_by_the_session() {
    let (mut world, _) = World::joined_with(false, small());
    let mut sent = 0;
    while !world.link_is_closed() {
        world.send(r#"2["x"]"#);
        sent += 1;
        assert!(sent < 10 * HARD);
    }
    let told = world.event_lines();
    assert_eq!(told[told.len() - 2..], ["0 left: transport error", "closed: transport error"]);
}

#[test]
fn an_awaited_ack_behind_unread_events_is_found() {
    let (mut world, socket) = World::joined_with(false, small());
    let id = world.connection.emit_with_ack(world.now, &mut world.encoder, socket, "ask", &(), None).unwrap();
    for _ in 0..100 {
        world.send(r#"2["x"]"#);
        assert!(world.connection.wants_input());
    }
    world.send(&format!("3{}[]", id.0));
    assert!(matches!(world.event(), Some(Event::Acked { outcome: Ok(_), .. })));
    assert_eq!(world.event_lines().len(), 100);
}

#[test]
fn an_ack_that_was_requested_with_a_full_inbox_is_found() {
    let (mut world, socket) = World::joined_with(false, small());
    let mut sent = 0;
    while world.connection.wants_input() {
        world.send(r#"2["x"]"#);
        sent += 1;
    }
    let id = world.connection.emit_with_ack(world.now, &mut world.encoder, socket, "ask", &(), None).unwrap();
    assert!(world.connection.wants_input());
    world.send(&format!("3{}[]", id.0));
    assert!(matches!(world.event(), Some(Event::Acked { outcome: Ok(_), .. })));
    assert_eq!(world.event_lines().len(), sent);
}

#[test]
fn a_peer_that_floods_instead_of_answering_is_closed_at_the_hard_limit() {
    let (mut world, socket) = World::joined_with(false, small());
    world.connection.emit_with_ack(world.now, &mut world.encoder, socket, "ask", &(), None).unwrap();
    let mut sent = 0;
    while !world.link_is_closed() {
        world.send(r#"2["x"]"#);
        sent += 1;
        assert!(sent * 7 < HARD);
    }
    let told = world.event_lines();
    assert_eq!(told.len(), sent + 3, "events that had arrived are emitted");
    assert_eq!(told[0], "0: 0 failed: socket has been disconnected");
    assert_eq!(told[sent + 1..], ["0 left: transport error", "closed: transport error"]);
    assert!(world.connection.is_drained());
}

#[test]
fn one_event_that_is_larger_than_the_hard_limit_does_not_hide_the_ack_behind_it() {
    let (mut world, socket) = World::joined_with(false, small());
    let id = world.connection.emit_with_ack(world.now, &mut world.encoder, socket, "ask", &(), None).unwrap();
    world.send(r#"51-["upload",{"_placeholder":true,"num":0}]"#);
    world.send_binary(&[0; 3 * HARD]);
    world.send(&format!("3{}[]", id.0));
    assert!(matches!(world.event(), Some(Event::Acked { outcome: Ok(_), .. })));
    assert!(matches!(world.event(), Some(Event::Received { .. })));
    assert!(!world.link_is_closed());
}

#[test]
fn a_body_of_many_packets_is_decoded_as_it_is_read() {
    let (mut world, _) = World::joined_with(true, small());
    let count = 20_000;
    let body =
        ["42[]"; 0].iter().copied().chain(std::iter::repeat_n("42[\"x\"]", count)).collect::<Vec<_>>().join("\u{1e}");
    let request = world.post(&body);
    assert!(world.is_held(request), "the body is not fully decoded yet");
    let mut told = 0;
    while world.is_held(request) {
        assert!(matches!(world.event(), Some(Event::Received { .. })));
        told += 1;
    }
    assert_eq!(world.reply(request), (200, "ok".into()));
    assert!(told > count - 2 * SOFT / 40, "{told}");
    assert_eq!(told + world.event_lines().len(), count);
}

#[test]
fn an_ack_behind_many_packets_of_one_body_is_found() {
    let mut settings = small();
    settings.engine.limits.max_inbound = 16 << 20;
    let (mut world, socket) = World::joined_with(true, settings);
    let id = world.connection.emit_with_ack(world.now, &mut world.encoder, socket, "ask", &(), None).unwrap();
    let mut body = "42[\"x\"]\u{1e}".repeat(10_000);
    body.push_str(&format!("43{}[]", id.0));
    let request = world.post(&body);
    assert_eq!(world.reply(request), (200, "ok".into()));
    assert!(matches!(world.event(), Some(Event::Acked { outcome: Ok(_), .. })));
    assert_eq!(world.event_lines().len(), 10_000);
}

#[test]
fn a_limit_of_zero_passes_one_event_at_a_time() {
    let mut settings = Settings::default();
    settings.engine.limits.soft_inbound = 0;
    let (mut world, _) = World::joined_with(false, settings);
    for round in 0..10 {
        world.send(&format!("2[\"x\",{round}]"));
        assert_eq!(world.event_lines(), [format!("0: x({round})")]);
        assert!(world.connection.wants_input());
    }
}

#[test]
fn no_peer_times_out_because_this_side_is_slow() {
    let (mut world, _) = World::joined_with(false, small());
    while world.connection.wants_input() {
        world.send(r#"2["x"]"#);
    }
    // The driver has stopped reading, so it cannot receive pongs.
    world.pass(Duration::from_secs(46));
    assert!(!world.link_is_closed());
    world.event_lines();
    assert!(world.connection.wants_input());
    world.handle(Input::LinkMessage { link: LINK, message: "3".into() });
    world.pass_alive(Duration::from_secs(100));
    assert!(!world.link_is_closed());
}

#[test]
fn a_full_queue_refuses_and_emits_writable_later() {
    for polling in [false, true] {
        let mut settings = Settings::default();
        settings.engine.limits.max_outbound = 1000;
        let (mut world, socket) = World::joined_with(polling, settings);
        let mut sent = 0;
        let refused = loop {
            match world.connection.emit(&mut world.encoder, socket, "x", &"0123456789") {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(world.connection.buffered_bytes() <= 1000);
        };
        assert_eq!(refused, EmitError::Send(SendError::Full));
        assert!(sent > 5 && world.event_lines().is_empty());
        world.settle();
        if polling {
            let request = world.get();
            assert_eq!(world.reply(request).1.split('\u{1e}').count(), sent);
        } else {
            assert_eq!(world.texts().len(), sent);
        }
        assert_eq!(world.event_lines(), ["Writable"], "polling: {polling}");
        world.connection.emit(&mut world.encoder, socket, "x", &()).unwrap();
    }
}

/// A namespace whose name has this length.
fn name(length: usize) -> String {
    format!("/{}", "x".repeat(length - 1))
}

#[test]
fn a_namespace_whose_name_is_too_long_is_refused_as_unknown_without_a_request_160() {
    for polling in [false, true] {
        let (mut world, socket) = World::joined_with(polling, Settings::default());
        let answered = |world: &mut World, name: &str| {
            let refused = format!(r#"4{name},{{"message":"Invalid namespace"}}"#);
            if polling {
                let request = world.get();
                assert_eq!(world.reply(request), (200, format!("4{refused}")));
            } else {
                assert_eq!(world.texts(), [refused]);
            }
        };
        for length in [513, 600, 900_000] {
            let name = name(length);
            for packet in [format!("0{name}"), format!("0{name},"), format!(r#"0{name},{{"token":"abc"}}"#)] {
                world.send(&packet);
                assert_eq!(world.event_lines(), [""; 0], "the application does not receive the request");
                answered(&mut world, &name);
            }
        }
        // A name that is one byte shorter is accepted, and the connection is unharmed.
        world.send(&format!("0{}", name(512)));
        assert_eq!(world.event_lines(), [format!("1 wants {}", name(512))]);
        world.send(r#"2["x"]"#);
        assert_eq!(world.event_lines(), [format!("{}: x()", socket.0)]);
    }
}

#[test]
fn any_other_packet_for_a_namespace_with_too_long_a_name_closes() {
    for packet in ["1/,", r#"2/,["x"]"#, "3/,1[]", r#"4/,{"message":"x"}"#, r#"51-/,["x"]"#] {
        let (mut world, _) = World::joined();
        world.send(&packet.replacen('/', &name(600), 1));
        if packet.starts_with('5') {
            assert!(!world.link_is_closed(), "the packet is incomplete");
            world.send_binary(b"x");
        }
        assert!(world.link_is_closed(), "{packet}");
        assert_eq!(world.connection.fault(), Some(&Fault::NotJoined));
        world.hang_up();
        assert_eq!(world.event_lines(), ["0 left: forced close", "closed: forced close"]);
    }
}

#[test]
fn unread_refusals_are_limited() {
    let mut settings = Settings::default();
    settings.engine.limits.max_outbound = 100_000;
    let mut world = World::with(true, settings);
    let packet = format!("0{}", name(10_000));
    let mut sent = 0;
    while world.connection.poll_timeout().is_some() {
        world.send(&packet);
        sent += 1;
        assert!(world.connection.buffered_bytes() <= 100_000);
    }
    assert_eq!(sent, 10, "the tenth answer does not fit");
    world.assert_over(&["closed: forced close"]);
}

#[test]
fn a_peer_that_requests_namespaces_and_does_not_read_the_refusals_is_closed() {
    let mut settings = Settings::default();
    settings.engine.limits.max_outbound = 10_000;
    let mut world = World::with(true, settings);
    for round in 0..1000 {
        if world.connection.is_drained() || world.connection.poll_timeout().is_none() {
            break;
        }
        let body = (0..10).map(|index| format!("40/{round}-{index},")).collect::<Vec<_>>().join("\u{1e}");
        world.post(&body);
    }
    let told = world.event_lines();
    assert_eq!(told.last().map(|last| &**last), Some("closed: forced close"));
    assert_eq!(told.len(), 17, "the maximum number of pending requests, and the end");
}

#[test]
fn volatile_events_have_their_test() {
    let (mut world, socket) = World::joined();
    assert!(world.connection.is_writable());
    world.connection.emit(&mut world.encoder, socket, "x", &()).unwrap();
    assert!(!world.connection.is_writable(), "case 124: not while a regular event is queued");
    world.settle();
    assert!(world.connection.is_writable());
    let (mut world, _) = World::joined_with(true, Settings::default());
    assert!(!world.connection.is_writable(), "no GET is held");
    world.get();
    assert!(world.connection.is_writable());
}
