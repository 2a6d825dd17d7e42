//! Events in both directions, with and without binary, and packets that are not valid events.
//!
//! In the name of a test, a number after `suite` is that of a case of the official Socket.IO v5 suite. Other numbers are those of
//! scenarios. Both are in the table in adapters/tokio/tests/README.md.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

mod connection_world;

use bytes::Bytes;
use connection_world::{Settings, World};
use engineio_proto::Message;
use serde_json::Value;
use socketio_proto::{EmitError, EncodeError, Encoded, Event, Json, Outgoing, Parser, Payload};

fn received(world: &mut World) -> Payload {
    match world.event() {
        Some(Event::Received { payload, .. }) => payload,
        other => panic!("no event: {other:?}"),
    }
}

#[test]
fn suite_10_a_plain_event_is_answered() {
    let (mut world, socket) = World::joined();
    world.send(r#"2["message",1,"2",{"3":[true]}]"#);
    let payload = received(&mut world);
    assert_eq!((payload.name(), payload.len()), (Some("message"), 3));
    world.connection.emit(&mut world.encoder, socket, "message-back", &payload).unwrap();
    world.settle();
    assert_eq!(world.texts(), [r#"2["message-back",1,"2",{"3":[true]}]"#]);
}

#[test]
fn suite_11_two_attachments_are_echoed() {
    let (mut world, socket) = World::joined();
    world.send(r#"52-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#);
    assert!(world.event().is_none(), "not complete");
    world.send_binary(&[1, 2, 3]);
    assert!(world.event().is_none(), "not complete");
    world.send_binary(&[4, 5, 6]);
    let payload = received(&mut world);
    assert_eq!(payload.attachments(), [Bytes::from_static(&[1, 2, 3]), Bytes::from_static(&[4, 5, 6])]);
    world.connection.emit(&mut world.encoder, socket, "message-back", &payload).unwrap();
    world.settle();
    assert_eq!(
        world.messages(),
        [
            Message::from(r#"52-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#),
            Message::from(Bytes::from_static(&[1, 2, 3])),
            Message::from(Bytes::from_static(&[4, 5, 6])),
        ]
    );
}

#[test]
fn suite_14_to_16_invalid_packets_close() {
    for packet in ["7", "abc", "2{}", r#"2abc["message-with-ack"]"#, "2", "", r#"51-["a""#] {
        let (mut world, root) = World::joined();
        world.send(packet);
        assert!(world.link_is_closed(), "{packet}");
        world.assert_over(&[&format!("{} left: forced close", root.0), "closed: forced close"]);
    }
}

#[test]
fn text_between_attachments_closes() {
    let (mut world, _) = World::joined();
    world.send(r#"51-["message",{"_placeholder":true,"num":0}]"#);
    world.send(r#"2["message"]"#);
    assert!(world.link_is_closed());
    world.assert_over(&["0 left: forced close", "closed: forced close"]);
}

#[test]
fn an_attachment_without_a_packet_closes() {
    let (mut world, _) = World::joined();
    world.send_binary(b"what");
    world.assert_over(&["0 left: forced close", "closed: forced close"]);
}

#[test]
fn case_107_reserved_names_are_refused_in_both_directions() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let (mut world, socket) = World::joined();
        let result = world.connection.emit(&mut world.encoder, socket, name, &());
        assert_eq!(result, Err(EmitError::Encode(EncodeError::Reserved(name.into()))));
        world.settle();
        assert!(world.texts().is_empty());
        world.send(&format!("2[\"{name}\"]"));
        assert!(world.link_is_closed(), "{name}");
    }
}

#[test]
fn case_108_and_109_an_error_and_a_number_are_names_like_others() {
    let (mut world, _) = World::joined();
    world.send(r#"2["error","x"]"#);
    world.send("2[7,8]");
    assert_eq!(world.event_lines(), [r#"0: error("x")"#, "0: 7(8)"]);
}

#[test]
fn case_110_events_before_a_disconnect_are_emitted_and_packets_after_it_close() {
    let (mut world, root) = World::joined();
    world.join("/custom");
    world.send(r#"2["last words"]"#);
    world.send("1");
    world.send(r#"2["ghost"]"#);
    world.assert_over(&[
        &format!("{}: last words()", root.0),
        &format!("{} left: client namespace disconnect", root.0),
        "1 left: forced close",
        "closed: forced close",
    ]);
}

#[test]
fn case_110_unread_events_are_dropped_when_this_side_disconnects() {
    let (mut world, root) = World::joined();
    let custom = world.join("/custom");
    world.send(r#"2["unread"]"#);
    world.send(r#"2/custom,["kept"]"#);
    world.connection.disconnect(world.now, root);
    world.settle();
    assert_eq!(world.texts(), ["1"]);
    assert_eq!(
        world.event_lines(),
        [format!("{}: kept()", custom.0), format!("{} left: server namespace disconnect", root.0)]
    );
    assert_eq!(world.connection.emit(&mut world.encoder, root, "x", &()), Err(EmitError::Disconnected));
}

#[test]
fn events_that_arrived_before_the_link_went_down_are_emitted() {
    let (mut world, _) = World::joined();
    world.send(r#"2["last words"]"#);
    world.hang_up();
    world.assert_over(&["0: last words()", "0 left: transport close", "closed: transport close"]);
}

#[test]
fn each_namespace_has_its_own_socket() {
    let (mut world, root) = World::joined();
    let [b, a] = ["/b", "/a"].map(|name| world.join(name));
    world.send(r#"2/a,["x"]"#);
    world.send(r#"2["x"]"#);
    world.send(r#"2/b,5["x"]"#);
    assert_eq!(
        world.event_lines(),
        [format!("{}: x()", a.0), format!("{}: x()", root.0), format!("{}: x() ack 5", b.0)]
    );
    for (socket, text) in [(b, r#"2/b,["y",1]"#), (a, r#"2/a,["y",1]"#), (root, r#"2["y",1]"#)] {
        world.connection.emit(&mut world.encoder, socket, "y", &1).unwrap();
        world.settle();
        assert_eq!(world.texts(), [text]);
    }
}

#[test]
fn case_128_a_packet_is_encoded_once_and_sent_to_many() {
    let mut encoder = socketio_proto::Encoder::new();
    let encoded = Json.encode(&Outgoing::event("/", None, "news", &("x",)), &mut encoder).unwrap();
    for polling in [false, true] {
        let (mut world, socket) = World::joined_with(polling, Settings::default());
        world.connection.send(socket, &encoded).unwrap();
        world.settle();
        if polling {
            let request = world.get();
            assert_eq!(world.reply(request).1, r#"42["news","x"]"#);
        } else {
            assert_eq!(world.texts(), [r#"2["news","x"]"#]);
        }
    }
}

#[test]
fn binary_packets_are_queued_as_one_unit() {
    let mut encoder = socketio_proto::Encoder::new();
    let attached = Payload::from_json(
        socketio_proto::PacketType::Ack,
        r#"[{"_placeholder":true,"num":0}]"#.into(),
        vec![Bytes::from_static(&[7; 60])],
        &socketio_proto::Limits::default(),
    )
    .unwrap();
    let binary = Json.encode(&Outgoing::event("/", None, "binary", &attached), &mut encoder).unwrap();
    assert!(matches!(&binary, Encoded::Many(frames) if frames.len() == 2));
    let mut settings = Settings::default();
    settings.engine.limits.max_outbound = 200;
    let (mut world, socket) = World::joined_with(false, settings);
    world.connection.emit(&mut world.encoder, socket, "a", &"0123456789").unwrap();
    // The header alone would fit.
    let result = world.connection.send(socket, &binary);
    assert_eq!(result, Err(EmitError::Send(engineio_proto::SendError::Full)));
    world.settle();
    assert_eq!(world.texts(), [r#"2["a","0123456789"]"#]);
    assert_eq!(world.event_lines(), ["Writable"]);
    world.connection.send(socket, &binary).unwrap();
    world.settle();
    assert_eq!(world.messages().len(), 2);
}

#[test]
fn a_deep_value_is_read_back_by_type() {
    let (mut world, _) = World::joined();
    world.send(r#"2["m",{"a":[1,2,{"b":null}]},"x"]"#);
    let (value, text): (Value, String) = received(&mut world).read().unwrap();
    assert_eq!((value["a"][1].as_u64(), &*text), (Some(2), "x"));
}
