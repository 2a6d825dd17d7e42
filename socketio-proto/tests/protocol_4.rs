//! Clients of protocol 4, Socket.IO 1 and 2: what a connection does otherwise for them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

mod connection_world;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connection_world::{Settings, World};
use engineio_proto::server::{Input, Route, Server, Transmit};
use engineio_proto::{Instant, LinkId, LinkKind, Message, RequestHead, Sid};
use serde_json::json;
use socketio_proto::server::{Connection, Namespace, Operation, Target};
use socketio_proto::{EmitError, Encoder, Event, Json, Outgoing, Parser, Payload, Pending, SocketHandle, SocketId};

/// The id of the session of [`World`].
const SID: &str = "AAAAAAAAAAAAAAAAAAAA";

/// A client over a WebSocket, which has read that it is in `/`.
fn joined() -> (World, SocketHandle) {
    joined_with(Settings::default())
}

fn joined_with(settings: Settings) -> (World, SocketHandle) {
    let mut world = World::of_protocol_4(false, settings);
    let socket = accept(&mut world);
    assert_eq!(world.texts(), ["0"]);
    (world, socket)
}

/// Accepts the only request there is.
fn accept(world: &mut World) -> SocketHandle {
    let pending = world.requested();
    let id = world.connection.socket_id(&pending, [9; 15]);
    let socket = world.connection.accept(world.now, pending, &id).unwrap();
    world.settle();
    socket
}

fn auth(pending: &Pending) -> Option<&str> {
    pending.auth().map(Payload::raw_args)
}

#[test]
fn the_main_namespace_is_requested_as_soon_as_the_session_is_open() {
    for polling in [false, true] {
        let mut world = World::of_protocol_4(polling, Settings::default());
        let pending = world.requested();
        assert_eq!((&**pending.namespace(), auth(&pending)), ("/", None));
        assert_eq!(world.event_lines(), [""; 0]);
        // Middleware runs before the client hears of it.
        let held = polling.then(|| world.get());
        assert_eq!(world.texts(), [""; 0]);
        let id = world.connection.socket_id(&pending, [9; 15]);
        assert_eq!(id, SID);
        world.connection.accept(world.now, pending, &id).unwrap();
        world.settle();
        match held {
            Some(get) => assert_eq!(world.reply(get), (200, "2:40".to_owned())),
            None => assert_eq!(world.texts(), ["0"]),
        }
    }
}

#[test]
fn a_client_of_protocol_5_joins_nothing_by_itself_on_the_same_server() {
    let mut settings = Settings::default();
    settings.engine.allow_eio3 = true;
    let mut world = World::with(false, settings);
    assert_eq!(world.event_lines(), [""; 0]);
    world.send("0/admin?token=1,");
    let pending = world.requested();
    assert_eq!(
        (&**pending.namespace(), auth(&pending)),
        ("/admin?token=1", None),
        "a question mark is part of the name"
    );
    assert_eq!(world.connection.socket_id(&pending, [9; 15]), SocketId::from_random([9; 15]));
}

#[test]
fn a_connect_to_the_main_namespace_closes_the_connection() {
    let (mut world, socket) = joined();
    world.send("0");
    world.assert_over(&[&format!("{} left: forced close", socket.0), "closed: forced close"]);
    // Also while its middleware is still running, and with a query.
    for packet in ["0", "0/?token=1,"] {
        let mut world = World::of_protocol_4(false, Settings::default());
        let pending = world.requested();
        world.send(packet);
        assert_eq!(world.event_lines(), ["closed: forced close"]);
        let id = world.id();
        assert!(matches!(world.connection.accept(world.now, pending, &id), Err(EmitError::Disconnected)));
    }
}

#[test]
fn case_104_the_query_of_a_namespace_is_the_auth_and_no_part_of_the_name() {
    for (packet, name, expected) in [
        ("0/custom", "/custom", None),
        ("0/custom,", "/custom", None),
        ("0/custom?,", "/custom", None),
        ("0/custom?token=1234&uid=abcd,", "/custom", Some(r#"{"token":"1234","uid":"abcd"}"#)),
        ("0/custom?token=12%2034&flag", "/custom", Some(r#"{"token":"12 34","flag":""}"#)),
        ("0/custom?a=1&b=2&a=3#x,", "/custom", Some(r#"{"a":"3","b":"2"}"#)),
        // The payload of the packet itself does not count.
        (r#"0/custom,{"token":"x"}"#, "/custom", None),
        (r#"0/custom?a=%22,{"token":"x"}"#, "/custom", Some(r#"{"a":"\""}"#)),
        ("0/\u{e9}?x=\u{20ac},", "/\u{e9}", Some("{\"x\":\"\u{20ac}\"}")),
    ] {
        let (mut world, _) = joined();
        world.send(packet);
        let pending = world.requested();
        assert_eq!((&**pending.namespace(), auth(&pending)), (name, expected), "{packet}");
        let id = world.connection.socket_id(&pending, [9; 15]);
        assert_eq!(id, *format!("{name}#{SID}"));
        let socket = world.connection.accept(world.now, pending, &id).unwrap();
        world.settle();
        assert_eq!(world.texts(), [format!("0{name},")]);
        // Later packets have the name alone, or the query as well.
        world.send(&format!(r#"2{name},7["a",1]"#));
        world.send(&format!(r#"2{name}?b=1,["b"]"#));
        assert_eq!(world.event_lines(), [format!("{}: a(1) ack 7", socket.0), format!("{}: b()", socket.0)]);
        world.send(&format!("1{name},"));
        assert_eq!(world.event_lines(), [format!("{} left: client namespace disconnect", socket.0)]);
    }
}

#[test]
fn a_refusal_is_its_data_or_else_its_message() {
    let refused = |message: &str, data: Option<serde_json::Value>| {
        let (mut world, _) = joined();
        world.send("0/custom,");
        let pending = world.requested();
        let result = world.connection.refuse(world.now, pending, message, data.as_ref());
        world.settle();
        let texts = world.texts();
        assert_eq!(world.event_lines(), [""; 0]);
        (result.is_ok(), texts.join(" "))
    };
    let says = |text: &str| (true, format!("4/custom,{text}"));
    assert_eq!(refused("plain", None), says(r#""plain""#));
    assert_eq!(refused("", None), says(r#""""#));
    assert_eq!(refused("a", Some(json!({"code": 1}))), says(r#"{"code":1}"#));
    assert_eq!(refused("a", Some(json!("text"))), says(r#""text""#));
    for nothing in [json!(null), json!(false), json!(0), json!("")] {
        assert_eq!(refused("a", Some(nothing)), says(r#""a""#));
    }
    // Neither an object nor a string: the parser of protocol 5 does not write it.
    assert_eq!(refused("a", Some(json!([1]))), (false, r#"4/custom,"a""#.to_owned()));
}

#[test]
fn a_refused_client_stays_and_may_ask_for_the_main_namespace_again() {
    let mut world = World::of_protocol_4(false, Settings::default());
    let pending = world.requested();
    world.connection.refuse(world.now, pending, "not you", None::<&()>).unwrap();
    world.settle();
    assert_eq!(world.texts(), [r#"4"not you""#]);
    world.send("0/?token=1,");
    let pending = world.requested();
    assert_eq!((&**pending.namespace(), auth(&pending)), ("/", Some(r#"{"token":"1"}"#)));
}

#[test]
fn an_unknown_namespace_is_refused_with_an_object() {
    let (mut world, _) = joined();
    world.send("0/zzz?a=1,");
    let pending = world.requested();
    world.connection.refuse_unknown(world.now, pending);
    world.settle();
    assert_eq!(world.texts(), [r#"4/zzz,{"message":"Invalid namespace"}"#]);
    let long = "x".repeat(513);
    world.send(&format!("0/{long},"));
    assert_eq!(world.texts(), [format!(r#"4/{long},{{"message":"Invalid namespace"}}"#)]);
    // The query does not count for the length of the name.
    world.send(&format!("0/y?{long},"));
    assert_eq!(&**world.requested().namespace(), "/y");
}

#[test]
fn a_client_that_is_in_no_namespace_is_closed_after_the_connect_timeout() {
    let mut settings = Settings::default();
    settings.socket.connect_timeout = Duration::from_secs(1);
    settings.engine.ping_interval = Duration::from_secs(100);
    let mut world = World::of_protocol_4(false, settings);
    assert_eq!(world.requested().namespace(), "/");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.event_lines(), ["closed: forced close"]);
    assert!(world.link_is_closed());
}

#[test]
fn acks_and_attachments_are_as_in_protocol_5() {
    let (mut world, socket) = joined();
    world.send(r#"451-3["file",{"_placeholder":true,"num":0}]"#.strip_prefix('4').unwrap());
    // The type of the packet comes before the bytes.
    world.send_binary(b"\x04\x01\x02");
    let Some(Event::Received { payload, ack: Some(token), .. }) = world.event() else { panic!("an event") };
    assert_eq!(payload.read::<(Bytes,)>().unwrap().0, &[1, 2][..]);
    world.connection.ack(&mut world.encoder, token, &payload).unwrap();
    world.settle();
    let answer = [Message::from(r#"61-3[{"_placeholder":true,"num":0}]"#), Bytes::from_static(&[1, 2]).into()];
    assert_eq!(world.messages(), answer);

    let now = world.now;
    let id = world.connection.emit_with_ack(now, &mut world.encoder, socket, "ask", &1, None).unwrap();
    world.settle();
    assert_eq!(world.texts(), [format!(r#"2{}["ask",1]"#, id.0)]);
    world.send(&format!("3{}[true]", id.0));
    assert_eq!(world.event_lines(), [format!("{}: {} is (true)", socket.0, id.0)]);
}

#[test]
fn leaving_and_closing_are_as_in_protocol_5() {
    let (mut world, root) = joined();
    world.send("0/custom,");
    let custom = accept(&mut world);
    assert_eq!(world.texts(), ["0/custom,"]);
    world.connection.disconnect(world.now, custom);
    world.settle();
    assert_eq!(world.texts(), ["1/custom,"]);
    assert_eq!(world.event_lines(), [format!("{} left: server namespace disconnect", custom.0)]);
    world.send("1");
    assert_eq!(world.event_lines(), [format!("{} left: client namespace disconnect", root.0)]);
    // Whoever has left may join again, under the same id.
    world.send("0/custom,");
    let pending = world.requested();
    assert_eq!(world.connection.socket_id(&pending, [1; 15]), *format!("/custom#{SID}"));
}

#[test]
fn a_name_that_no_id_can_contain_gets_a_random_id() {
    let (mut world, _) = joined();
    world.send(&format!("0/{},", "x".repeat(300)));
    let pending = world.requested();
    assert_eq!(world.connection.socket_id(&pending, [9; 15]), SocketId::from_random([9; 15]));
}

/// A connection over a WebSocket, and what its peer receives.
fn connect(query: &str) -> Connection {
    let mut config = engineio_proto::Config::default();
    config.allow_eio3 = true;
    let head = RequestHead { method: "GET", query, origin: None, websocket: true };
    let Route::Open(handshake) = Server::new(config).route(&head) else { panic!("no handshake") };
    let session = handshake.accept(Instant::ZERO, Sid::from_random([0; 15]));
    let mut connection = Connection::new(Instant::ZERO, session, Json, Arc::default());
    connection.handle(Instant::ZERO, Input::LinkUp { link: LinkId(1), kind: LinkKind::WebSocket });
    connection
}

fn frames(connection: &mut Connection) -> Vec<Vec<u8>> {
    let transmits = std::iter::from_fn(|| connection.poll_transmit());
    let frames = transmits.filter_map(|transmit| match transmit {
        Transmit::Link { frame, .. } => Some([frame.head(), frame.data()].concat()),
        _ => None,
    });
    frames.collect()
}

#[test]
fn one_encoded_packet_goes_to_clients_of_both_generations() {
    let mut namespace = Namespace::new();
    let mut peers = Vec::new();
    for (key, query) in ["EIO=4&transport=websocket", "EIO=3&transport=websocket", "EIO=3&transport=websocket&b64=1"]
        .into_iter()
        .enumerate()
    {
        let mut connection = connect(query);
        if key == 0 {
            let message = Message::from("40");
            connection.handle(Instant::ZERO, Input::LinkMessage { link: LinkId(1), message });
        }
        let Some(Event::ConnectRequested(pending)) = connection.poll_event() else { panic!("no request") };
        let id = connection.socket_id(&pending, [7; 15]);
        let socket = connection.accept(Instant::ZERO, pending, &id).unwrap();
        namespace.add(key, &id);
        frames(&mut connection);
        peers.push((connection, socket));
    }
    let args = ("x", Bytes::from_static(&[1, 2]));
    let encoded = Json.encode(&Outgoing::event("/", None, "all", &args), &mut Encoder::new()).unwrap();
    for key in namespace.apply(Operation::Emit { target: &Target::everybody() }) {
        let (connection, socket) = &mut peers[key];
        connection.send(*socket, &encoded).unwrap();
    }
    let header = b"451-[\"all\",\"x\",{\"_placeholder\":true,\"num\":0}]".to_vec();
    for ((connection, _), attachment) in peers.iter_mut().zip([&b"\x01\x02"[..], b"\x04\x01\x02", b"b4AQI="]) {
        assert_eq!(frames(connection), [header.clone(), attachment.to_vec()]);
    }
}
