//! How a peer joins namespaces: requests, pending requests, refusals, and what happens to peers that send packets out of order.
//!
//! In the name of a test, a number after `suite` is that of a case of the official Socket.IO v5 suite. Other numbers are those of
//! scenarios. Both are in the table in adapters/tokio/tests/README.md.

mod connection_world;

use std::time::Duration;

use connection_world::{Settings, World, short};
use engineio_proto::Message;
use engineio_proto::server::Transmit;
use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::json;
use socketio_proto::{EmitError, Event, Json, Outgoing, Parser as _, PrivateId, SocketHandle};

#[test]
fn suite_1_connect_to_the_root_is_answered_with_a_sid_alone() {
    let mut world = World::websocket();
    world.send("0");
    let pending = world.requested();
    assert_eq!((&**pending.namespace(), pending.auth()), ("/", None));
    let sid = &world.id();
    let socket = pending.socket();
    assert_eq!(world.connection.accept(world.now, pending, sid), Ok(socket));
    world.connection.emit(&mut world.encoder, socket, "auth", &json!({})).unwrap();
    world.settle();
    assert_eq!(world.texts(), [format!("0{{\"sid\":\"{sid}\"}}"), r#"2["auth",{}]"#.into()]);
}

#[test]
fn suite_2_the_payload_of_the_connect_is_the_auth() {
    let mut world = World::websocket();
    world.send(r#"0{"token":"123"}"#);
    let pending = world.requested();
    assert_eq!(pending.auth().unwrap().get::<serde_json::Value>(0).unwrap(), json!({"token": "123"}));
    let sid = &world.id();
    world.connection.accept(world.now, pending, sid).unwrap();
}

#[test]
fn suite_3_and_4_a_custom_namespace_can_be_joined_without_the_root() {
    for (packet, auth) in [("0/custom,", None), (r#"0/custom,{"token":"abc"}"#, Some(r#"{"token":"abc"}"#))] {
        let mut world = World::websocket();
        world.send(packet);
        let pending = world.requested();
        assert_eq!((&**pending.namespace(), pending.auth().map(|auth| auth.raw_args())), ("/custom", auth));
        let sid = &world.id();
        world.connection.accept(world.now, pending, sid).unwrap();
        world.settle();
        assert_eq!(world.texts(), [format!("0/custom,{{\"sid\":\"{sid}\"}}")]);
    }
}

#[test]
fn suite_5_an_unknown_namespace_is_refused_and_the_connection_stays() {
    let mut world = World::websocket();
    world.send("0/random");
    let pending = world.requested();
    assert_eq!(world.connection.refuse::<()>(world.now, pending, "Invalid namespace", None), Ok(()));
    world.settle();
    assert_eq!(world.texts(), [r#"4/random,{"message":"Invalid namespace"}"#]);
    assert!(world.event_lines().is_empty());
    world.join("/");
}

#[test]
fn suite_6_an_invalid_packet_before_connect_closes() {
    let mut world = World::websocket();
    world.send("abc");
    assert!(world.link_is_closed());
    world.assert_over(&["closed: forced close"]);
}

#[test]
fn suite_7_and_102_a_connection_that_joins_no_namespace_is_closed_after_the_connect_timeout() {
    let mut world = World::websocket();
    world.pass_alive(Duration::from_millis(44_999));
    assert!(!world.link_is_closed());
    world.pass_alive(Duration::from_millis(1));
    assert!(world.link_is_closed());
    world.assert_over(&["closed: forced close"]);
}

#[test]
fn a_connection_that_was_refused_or_is_pending_is_closed_after_the_connect_timeout() {
    let mut world = World::websocket();
    world.send("0/random");
    let pending = world.requested();
    world.connection.refuse::<()>(world.now, pending, "Invalid namespace", None).unwrap();
    world.pass_alive(Duration::from_secs(44));
    world.send("0");
    let pending = world.requested();
    world.pass_alive(Duration::from_secs(1));
    assert!(world.link_is_closed());
    world.assert_over(&["closed: forced close"]);
    let sid = &world.id();
    assert_eq!(world.connection.accept(world.now, pending, sid), Err(EmitError::Disconnected), "harmless");
    assert!(world.connection.is_drained());
}

#[test]
fn suite_9_namespaces_are_joined_and_left_without_their_comma() {
    let (mut world, root) = World::joined();
    world.send("0/custom");
    let pending = world.requested();
    let custom = pending.socket();
    let sid = &world.id();
    world.connection.accept(world.now, pending, sid).unwrap();
    world.send("1/custom");
    world.send(r#"2["message","still here"]"#);
    assert_eq!(
        world.event_lines(),
        [format!("{} left: client namespace disconnect", custom.0), format!("{}: message(\"still here\")", root.0)]
    );
}

#[test]
fn case_91_a_second_connect_closes() {
    for namespace in ["", "/custom,"] {
        let (mut world, root) = World::joined();
        let custom = world.join("/custom");
        world.send(&format!("0{namespace}"));
        assert!(world.link_is_closed());
        world.assert_over(&[
            &format!("{} left: forced close", root.0),
            &format!("{} left: forced close", custom.0),
            "closed: forced close",
        ]);
    }
}

#[test]
fn case_91_packets_before_connect_close() {
    for packet in [r#"2["early"]"#, r#"20["early"]"#, "30[]", "1", r#"2/custom,["early"]"#] {
        let mut world = World::websocket();
        world.send(packet);
        assert!(world.link_is_closed(), "{packet}");
        world.assert_over(&["closed: forced close"]);
    }
}

#[test]
fn a_packet_for_a_namespace_that_is_not_joined_closes_the_connection_and_disconnects_its_sockets() {
    for packet in
        [r#"2/custom,["early"]"#, "3/custom,0[]", "1/custom,", r#"4/custom,{"message":"no"}"#, r#"4{"message":"no"}"#]
    {
        let (mut world, root) = World::joined();
        world.send(packet);
        assert!(world.link_is_closed(), "{packet}");
        world.assert_over(&[&format!("{} left: forced close", root.0), "closed: forced close"]);
    }
}

#[test]
fn case_92_a_second_connect_while_the_first_one_is_pending_closes() {
    let mut world = World::websocket();
    world.send("0");
    let pending = world.requested();
    world.send("0");
    assert!(world.link_is_closed());
    let sid = &world.id();
    assert_eq!(world.connection.accept(world.now, pending, sid), Err(EmitError::Disconnected));
    world.assert_over(&["closed: forced close"]);
}

#[test]
fn a_packet_for_a_namespace_whose_connect_is_pending_closes() {
    for packet in [r#"2["early"]"#, "1"] {
        let mut world = World::websocket();
        world.send("0");
        let pending = world.requested();
        world.send(packet);
        assert!(world.link_is_closed());
        assert_eq!(world.connection.refuse::<()>(world.now, pending, "no", None), Ok(()), "harmless");
        world.assert_over(&["closed: forced close"]);
    }
}

#[test]
fn case_93_a_pending_request_is_dropped_when_its_connection_ends() {
    let mut world = World::websocket();
    world.send("0");
    let pending = world.requested();
    world.hang_up();
    world.assert_over(&["closed: transport close"]);
    let sid = &world.id();
    assert_eq!(world.connection.accept(world.now, pending, sid), Err(EmitError::Disconnected));
    assert!(world.connection.is_drained() && world.texts().is_empty());
}

#[test]
fn case_94_a_refusal_carries_its_message_and_data() {
    let mut world = World::websocket();
    for (data, answer) in [
        (None, r#"4{"message":"not you"}"#),
        (Some(json!({"code": 7})), r#"4{"message":"not you","data":{"code":7}}"#),
        (Some(json!(null)), r#"4{"message":"not you","data":null}"#),
    ] {
        world.send("0");
        let pending = world.requested();
        assert_eq!(world.connection.refuse(world.now, pending, "not you", data.as_ref()), Ok(()));
        world.settle();
        assert_eq!(world.texts(), [answer]);
    }
    world.join("/");
}

#[test]
fn data_that_cannot_be_serialised_is_left_out_of_the_refusal() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("broken"))
        }
    }

    let mut world = World::websocket();
    world.send("0/custom,");
    let pending = world.requested();
    let result = world.connection.refuse(world.now, pending, "no", Some(&Broken));
    assert!(matches!(result, Err(EmitError::Encode(_))), "{result:?}");
    world.settle();
    assert_eq!(world.texts(), [r#"4/custom,{"message":"no"}"#]);
}

#[test]
fn case_96_a_name_without_its_slash_is_not_a_namespace() {
    // The payload of `0x` is not JSON.
    let mut world = World::websocket();
    world.send("0x");
    world.assert_over(&["closed: forced close"]);
}

#[test]
fn case_100_the_query_of_a_namespace_is_part_of_its_name() {
    let mut world = World::websocket();
    world.send(r#"0/admin?token=1,{"a":1}"#);
    assert_eq!(&**world.requested().namespace(), "/admin?token=1");
}

#[test]
fn case_102_a_connection_that_leaves_its_last_namespace_stays_open() {
    let (mut world, root) = World::joined();
    world.send("1");
    assert_eq!(world.event_lines(), [format!("{} left: client namespace disconnect", root.0)]);
    world.pass_alive(Duration::from_secs(600));
    assert!(!world.link_is_closed());
    assert_ne!(world.join("/"), root, "joining a namespace again creates a new socket");
}

#[test]
fn a_connection_that_leaves_its_last_namespace_is_closed_if_the_connect_timeout_is_rearmed() {
    let mut settings = Settings::default();
    settings.socket.rearm_connect_timeout = true;
    let (mut world, root) = World::joined_with(false, settings);
    let custom = world.join("/custom");
    world.pass_alive(Duration::from_secs(100));
    world.send("1");
    world.pass_alive(Duration::from_secs(100));
    assert!(!world.link_is_closed(), "one socket is left");
    world.connection.disconnect(world.now, custom);
    world.pass_alive(Duration::from_millis(44_999));
    assert!(!world.link_is_closed());
    world.pass_alive(Duration::from_millis(1));
    assert!(world.link_is_closed());
    assert_eq!(
        world.event_lines(),
        [
            format!("{} left: client namespace disconnect", root.0),
            format!("{} left: server namespace disconnect", custom.0),
            "closed: forced close".into()
        ]
    );
}

#[test]
fn each_request_has_its_own_deadline() {
    let (mut world, _) = World::joined();
    world.send("0/a,");
    let first = world.requested();
    world.pass_alive(Duration::from_secs(10));
    world.send("0/b,");
    let second = world.requested();
    world.pass_alive(Duration::from_millis(34_999));
    assert!(world.texts().is_empty());
    world.pass_alive(Duration::from_millis(1));
    assert_eq!(world.texts(), [r#"4/a,{"message":"timeout"}"#]);
    let sid = &world.id();
    assert_eq!(world.connection.accept(world.now, first, sid), Err(EmitError::Disconnected), "the request timed out");
    assert_eq!(world.connection.accept(world.now, second, sid), Ok(SocketHandle(2)));
    world.settle();
    assert_eq!(world.texts(), [format!("0/b,{{\"sid\":\"{sid}\"}}")]);
    world.pass_alive(Duration::from_secs(100));
    world.join("/a");
    assert!(world.texts().is_empty() && world.event_lines().is_empty());
}

#[test]
fn requests_beyond_the_limits_are_refused_with_a_message() {
    let mut settings = Settings::default();
    settings.socket.limits.max_pending = 2;
    settings.socket.limits.max_namespaces = 4;
    let (mut world, _) = World::joined_with(false, settings);
    let refusal = |name: &str| format!("4/{name},{{\"message\":\"too many namespaces\"}}");
    for name in ["a", "b", "c"] {
        world.send(&format!("0/{name},"));
    }
    assert_eq!(world.texts(), [refusal("c")], "two requests may be pending");
    let events = world.events();
    assert_eq!(events.iter().map(short).collect::<Vec<_>>(), ["1 wants /a", "2 wants /b"]);
    for event in events {
        let Event::ConnectRequested(pending) = event else { panic!() };
        let sid = &world.id();
        world.connection.accept(world.now, pending, sid).unwrap();
    }
    world.settle();
    world.texts();
    world.join("/c");
    world.send("0/d,");
    assert_eq!(world.texts(), [refusal("d")], "four namespaces in total");
    world.send("1/a,");
    world.event_lines();
    world.join("/d");
}

#[test]
fn the_reply_comes_before_what_is_emitted_after_it() {
    let mut world = World::websocket();
    world.send("0");
    let pending = world.requested();
    let sid = &world.id();
    let socket = world.connection.accept(world.now, pending, sid).unwrap();
    world.connection.emit(&mut world.encoder, socket, "hello", &()).unwrap();
    world.settle();
    assert_eq!(world.messages(), [Message::from(&*format!("0{{\"sid\":\"{sid}\"}}")), Message::from(r#"2["hello"]"#)]);
}

#[test]
fn nothing_can_be_emitted_before_the_request_is_accepted() {
    let mut world = World::websocket();
    world.send("0");
    let pending = world.requested();
    let socket = pending.socket();
    assert_eq!(world.connection.emit(&mut world.encoder, socket, "early", &()), Err(EmitError::Disconnected));
    world.connection.disconnect(world.now, socket);
    let sid = &world.id();
    assert_eq!(world.connection.accept(world.now, pending, sid), Ok(socket), "disconnect affects only sockets");
}

#[test]
fn several_namespaces_in_one_body_are_requested_in_order() {
    let mut world = World::polling();
    world.send("0\u{1e}40/a,\u{1e}40/b,{}");
    assert_eq!(world.event_lines(), ["0 wants /", "1 wants /a", "2 wants /b"]);
}

#[test]
fn a_pending_answer_keeps_no_memory_beyond_its_own_length() {
    let mut world = World::websocket();
    world.send("0");
    let (pending, sid) = (world.requested(), &world.id());
    world.connection.accept(world.now, pending, sid).unwrap();
    let Some(Transmit::Link { frame, .. }) = world.connection.poll_transmit() else { panic!("no answer") };
    let data = frame.data().clone();
    drop((frame, world));
    let length = data.len();
    let memory = data.try_into_mut().unwrap().capacity();
    assert!(memory <= length + length / 4, "{memory} bytes for {length}");
}

#[test]
fn case_129_what_a_returned_client_has_missed_comes_before_the_reply_that_has_its_private_id() {
    let mut world = World::websocket();
    world.send("0");
    let (pending, sid) = (world.requested(), world.id());
    let pid = PrivateId::from_random([3; 18]);
    let missed =
        [1, 2].map(|number| Json.encode(&Outgoing::event("/", None, "n", &number), &mut world.encoder).unwrap());
    world.connection.accept_recoverable(world.now, pending, &sid, &pid, &missed).unwrap();
    world.settle();
    let reply = format!(r#"0{{"sid":"{sid}","pid":"{pid}"}}"#);
    assert_eq!(world.texts(), [r#"2["n",1]"#.to_owned(), r#"2["n",2]"#.into(), reply]);
}

#[test]
fn if_not_all_that_was_missed_fits_the_connection_closes_instead() {
    let mut settings = Settings::default();
    settings.engine.limits.max_outbound = 100;
    let mut world = World::with(false, settings);
    world.send("0");
    let (pending, sid) = (world.requested(), world.id());
    let text = "x".repeat(60);
    let packet = Json.encode(&Outgoing::event("/", None, "n", &text), &mut world.encoder).unwrap();
    let pid = PrivateId::from_random([3; 18]);
    let accepted = world.connection.accept_recoverable(world.now, pending, &sid, &pid, &[packet.clone(), packet]);
    assert_eq!(accepted, Err(EmitError::Send(engineio_proto::SendError::Full)));
    assert!(world.connection.session().is_closed());
}
