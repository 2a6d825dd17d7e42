//! How a client opens its connection again: which ends are followed by it, the delays, the limit, the order of events, and what the
//! application can do meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

mod client_world;

use std::time::Duration;

use socketio_proto::Fault;
use socketio_proto::client::{Config, SocketOptions};

use self::client_world::World;

const SECOND: Duration = Duration::from_secs(1);

fn exact() -> Config {
    let mut config = Config::default();
    config.randomization_factor = 0.0;
    config
}

#[test]
fn a_lost_connection_is_opened_again_and_the_sockets_join_again() {
    let (mut world, socket) = World::connected_with(exact(), SocketOptions::default());
    let other = world.connect("/other");
    world.sent();
    world.cut();
    assert_eq!(
        world.events(),
        [
            "close: transport error",
            "disconnect 0: transport error",
            "connect_error 1: the connection was closed before the server has answered: transport error",
        ]
    );
    assert!(world.client.is_reconnecting() && world.client.is_active(socket) && world.client.is_active(other));
    assert!(world.client.id(socket).is_none());
    world.advance(SECOND - Duration::from_millis(1));
    assert_eq!(world.dials, 1);
    world.advance(Duration::from_millis(1));
    assert_eq!((world.dials, world.events()), (2, vec!["reconnect_attempt 1".to_string()]));
    world.accept();
    assert_eq!(world.sent(), ["40", "40/other,"]);
    world.send(r#"40{"sid":"second"}"#);
    assert_eq!(world.events(), ["open", "reconnect 1", "connect 0"]);
    assert!(!world.client.is_reconnecting());
}

#[test]
fn the_delay_doubles_up_to_its_limit_and_starts_over_after_a_success() {
    let (mut world, _) = World::connected_with(exact(), SocketOptions::default());
    for _ in 0..2 {
        for seconds in [1, 2, 4, 5, 5] {
            world.cut();
            let dials = world.dials;
            world.advance(SECOND * seconds - Duration::from_millis(1));
            assert_eq!(world.dials, dials);
            world.advance(Duration::from_millis(1));
            assert_eq!(world.dials, dials + 1);
        }
        world.accept();
    }
}

#[test]
fn a_first_attempt_that_fails_is_followed_by_others() {
    let mut world = World::exact();
    world.connect("/");
    world.cut();
    let error = "the connection could not be opened: the link could not be connected";
    assert_eq!(world.events(), [format!("error: {error}"), format!("connect_error 0: {error}")]);
    world.advance(SECOND);
    world.cut();
    assert_eq!(
        world.events(),
        [
            "reconnect_attempt 1".to_string(),
            format!("error: {error}"),
            format!("connect_error 0: {error}"),
            format!("reconnect_error: {error}"),
        ]
    );
    world.advance(SECOND * 2);
    world.accept();
    assert_eq!(world.events(), ["reconnect_attempt 2", "open", "reconnect 2"]);
}

#[test]
fn attempts_are_limited_and_the_application_may_start_over() {
    let mut config = exact();
    config.reconnection_attempts = Some(2);
    let mut world = World::with(config);
    let socket = world.connect("/");
    for _ in 0..2 {
        world.cut();
        world.advance(SECOND * 2);
    }
    world.events();
    world.cut();
    let events = world.events();
    let kinds: Vec<&str> = events.iter().map(|event| event.split([' ', ':']).next().unwrap()).collect();
    assert_eq!(kinds, ["error", "connect_error", "reconnect_failed", "reconnect_error"]);
    assert!(!world.client.is_reconnecting() && world.client.is_active(socket));
    world.advance(SECOND * 100);
    assert_eq!(world.dials, 3);
    world.client.connect(world.now, socket);
    world.cut();
    world.advance(SECOND);
    assert!(world.events().contains(&"reconnect_attempt 1".to_string()), "the attempts are counted anew");
}

#[test]
fn no_attempt_is_made_if_none_is_allowed() {
    let mut config = exact();
    config.reconnection_attempts = Some(0);
    let (mut world, _) = World::connected_with(config, SocketOptions::default());
    world.cut();
    assert_eq!(world.events(), ["close: transport error", "disconnect 0: transport error", "reconnect_failed"]);
    assert!(world.client.is_drained());
}

#[test]
fn without_reconnection_the_client_stays_closed() {
    let mut config = exact();
    config.reconnection = false;
    let (mut world, socket) = World::connected_with(config, SocketOptions::default());
    world.cut();
    world.advance(SECOND * 60);
    assert_eq!((world.dials, world.client.is_drained()), (1, true));
    world.client.open(world.now);
    world.accept();
    assert_eq!(world.sent(), ["40"]);
    assert!(world.client.is_active(socket));
}

#[test]
fn reconnection_that_is_turned_off_ends_the_attempts() {
    let (mut world, _) = World::connected_with(exact(), SocketOptions::default());
    world.cut();
    world.client.set_reconnection(false);
    world.advance(SECOND * 60);
    assert_eq!((world.dials, world.client.is_reconnecting(), world.client.is_drained()), (1, false, true));
    // An attempt that is being made goes on, and is the last one.
    world.client.set_reconnection(true);
    world.client.open(world.now);
    world.cut();
    world.advance(SECOND);
    world.client.set_reconnection(false);
    world.cut();
    world.advance(SECOND * 60);
    assert_eq!(world.dials, 3);
    assert!(world.events().last().unwrap().starts_with("reconnect_error"));
}

#[test]
fn an_attempt_can_be_made_at_once() {
    let (mut world, _) = World::connected_with(exact(), SocketOptions::default());
    world.cut();
    world.client.open(world.now);
    world.accept();
    assert_eq!(world.dials, 2);
    let events = world.events();
    assert_eq!(events[2..], ["reconnect_attempt 1", "open", "reconnect 1"]);
    world.advance(SECOND * 5);
    assert_eq!(world.dials, 2, "the attempt that waited is not made, too");
}

#[test]
fn connecting_a_socket_does_not_disturb_the_attempts() {
    let (mut world, socket) = World::connected_with(exact(), SocketOptions::default());
    world.cut();
    world.client.connect(world.now, socket);
    let second = world.connect("/second");
    world.settle();
    assert_eq!(world.dials, 1);
    world.advance(SECOND);
    world.accept();
    assert_eq!(world.sent(), ["40", "40/second,"]);
    assert!(world.client.is_active(second));
}

#[test]
fn the_application_can_close_and_open_at_any_moment() {
    let (mut world, socket) = World::connected_with(exact(), SocketOptions::default());
    world.client.close(world.now);
    assert_eq!(world.events(), ["close: forced close", "disconnect 0: forced close"]);
    assert!(world.sent().is_empty() && world.hung_up, "no DISCONNECT packet");
    world.advance(SECOND * 60);
    assert_eq!(world.dials, 1);
    assert!(world.client.is_active(socket));
    world.client.open(world.now);
    world.settle();
    // While it is being opened.
    world.client.close(world.now);
    assert_eq!((world.events().len(), world.client.is_drained()), (0, true));
    world.client.open(world.now);
    world.cut();
    // While it waits for the next attempt.
    world.client.close(world.now);
    world.events();
    world.advance(SECOND * 60);
    assert_eq!((world.dials, world.client.is_drained()), (3, true));
    world.client.open(world.now);
    world.client.open(world.now);
    world.accept();
    assert_eq!((world.dials, world.sent()), (4, vec!["40".to_string()]));
}

#[test]
fn the_last_socket_that_leaves_ends_the_attempts() {
    let (mut world, socket) = World::connected_with(exact(), SocketOptions::default());
    world.cut();
    world.events();
    world.client.disconnect(world.now, socket);
    assert_eq!((world.events().len(), world.client.is_reconnecting()), (0, false));
    assert!(world.client.is_drained());
}

#[test]
fn a_connection_that_does_not_open_in_time_has_failed() {
    let mut world = World::exact();
    world.connect("/");
    world.advance(SECOND * 20);
    assert_eq!(world.events(), ["error: timeout", "connect_error 0: timeout"]);
    assert!(world.hung_up);
    world.advance(SECOND);
    assert_eq!(world.dials, 2);
    // The limit of the Engine.IO client has the same name.
    let mut engine = client_world::engine();
    engine.open_timeout = SECOND * 3;
    let mut world = World::of(engine, socketio_proto::Json, exact());
    world.connect("/");
    world.advance(SECOND * 3);
    assert_eq!(world.events(), ["error: timeout", "connect_error 0: timeout"]);
}

#[test]
fn a_connection_that_opens_has_no_timeout_for_its_namespaces() {
    let mut world = World::exact();
    let mut config = client_world::OPEN.replace("25000", "250000000");
    config = config.replace("20000", "200000000");
    world.connect("/");
    world.accept_with(&config);
    world.advance(SECOND * 3600);
    assert_eq!(world.events(), ["open"]);
}

#[test]
fn the_reasons_of_the_engine_are_those_of_the_sockets() {
    // The server closes.
    let (mut world, _) = World::connected_with(exact(), SocketOptions::default());
    let link = world.link.take().unwrap();
    let cause = engineio_proto::server::LinkDownCause::Closed;
    world.handle(engineio_proto::client::Input::LinkDown { link, cause });
    assert_eq!(world.events(), ["close: transport close", "disconnect 0: transport close"]);
    assert!(world.client.is_reconnecting());
    // The server is silent.
    let (mut world, _) = World::connected_with(exact(), SocketOptions::default());
    world.advance(SECOND * 45);
    assert_eq!(world.events(), ["close: ping timeout", "disconnect 0: ping timeout"]);
    assert!(world.client.is_reconnecting());
}

#[test]
fn an_invalid_packet_closes_the_connection_which_is_opened_again() {
    for packet in ["4abc", "42[\"connect\"]", "450-[\"a\"]", "42[]", "42", "4", "49", "40/a", "4{}"] {
        let (mut world, _) = World::connected_with(exact(), SocketOptions::default());
        let is_packet = packet == "40/a";
        world.send(packet);
        if is_packet {
            assert!(world.events().is_empty(), "another namespace");
            continue;
        }
        assert_eq!(world.events(), ["close: parse error", "disconnect 0: parse error"], "{packet}");
        assert!(matches!(world.client.fault(), Some(Fault::InvalidPacket(_))), "{packet}");
        assert!(world.hung_up);
        world.advance(SECOND);
        world.accept();
        assert_eq!(world.sent(), ["40"], "{packet}");
    }
}

#[test]
fn half_a_packet_of_the_last_connection_does_not_disturb_the_next() {
    let (mut world, _) = World::connected_with(exact(), SocketOptions::default());
    world.send(r#"451-["file",{"_placeholder":true,"num":0}]"#);
    world.cut();
    world.advance(SECOND);
    world.accept();
    world.send(r#"40{"sid":"second"}"#);
    world.send(r#"42["next"]"#);
    let events = world.events();
    assert_eq!(events[events.len() - 2..], ["connect 0", "0 next()"]);
}

#[test]
fn the_delays_differ_between_seeds_and_are_the_same_for_the_same_seed() {
    let delays = |seed| {
        let engine = std::sync::Arc::new(client_world::engine());
        let config = std::sync::Arc::new(Config::default());
        let mut client = socketio_proto::client::Client::new(engine, socketio_proto::Json, config, seed);
        let mut now = engineio_proto::Instant::ZERO;
        client.open(now);
        let mut delays = Vec::new();
        for _ in 0..5 {
            while let Some(transmit) = client.poll_transmit() {
                if let engineio_proto::client::Transmit::Connect { link, .. } = transmit {
                    let cause = engineio_proto::server::LinkDownCause::Failed;
                    client.handle(now, engineio_proto::client::Input::LinkDown { link, cause });
                }
            }
            while client.poll_event().is_some() {}
            let next = client.poll_timeout().unwrap();
            delays.push((next - now).as_millis());
            now = next;
            client.handle_timeout(now);
        }
        delays
    };
    assert_eq!(delays(1), delays(1));
    assert_ne!(delays(1), delays(2));
    let ranges = [(551, 1500), (1101, 3000), (2201, 5000), (4401, 5000), (5000, 5000)];
    for seed in 0..200 {
        for (delay, (least, most)) in delays(seed).into_iter().zip(ranges) {
            assert!((least..=most).contains(&delay), "{delay}");
        }
    }
}

#[test]
fn a_client_whose_application_does_not_read_makes_no_more_attempts() {
    let mut engine = client_world::engine();
    engine.limits.soft_inbound = 1000;
    let mut world = World::of(engine, socketio_proto::Json, exact());
    world.connect("/");
    let mut failed = 0;
    for _ in 0..1000 {
        while let Some(transmit) = world.client.poll_transmit() {
            if let engineio_proto::client::Transmit::Connect { link, .. } = transmit {
                failed += 1;
                let cause = engineio_proto::server::LinkDownCause::Failed;
                world.client.handle(world.now, engineio_proto::client::Input::LinkDown { link, cause });
            }
        }
        let Some(deadline) = world.client.poll_timeout() else { break };
        world.now = deadline;
        world.client.handle_timeout(deadline);
    }
    assert!(failed < 20, "{failed} attempts");
    assert!(world.client.is_reconnecting());
    // Once the application reads, they go on.
    world.events();
    assert!(world.link.is_some() || world.client.poll_timeout().is_some());
}
