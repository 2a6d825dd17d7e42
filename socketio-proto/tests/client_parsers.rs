//! Clients with other parsers than the default one.
#![allow(missing_docs, reason = "the example parser is public")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may panic")]

mod client_world;
#[path = "custom_parser/compact.rs"]
pub mod compact;

use bytes::Bytes;
use engineio_proto::Message;
use socketio_proto::client::{Auth, Config, Event, SocketOptions};
use socketio_proto::{Decoder as _, Encoder, Limits, MsgPack, Outgoing, PacketType, Parser};

use self::client_world::{World, engine};
use self::compact::Compact;

/// What a server with this parser sends for the packet.
fn encoded<P: Parser, T: serde::Serialize>(parser: &P, packet: &Outgoing<'_, T>) -> Vec<Bytes> {
    let encoded = parser.encode(packet, &mut Encoder::new()).unwrap();
    encoded.frames().iter().map(|frame| frame.data().clone()).collect()
}

fn round_trip<P: Parser>(parser: P) {
    let mut world = World::of(engine(), parser.clone(), Config::default());
    let mut options = SocketOptions::default();
    options.auth = Auth::fixed(&serde_json::json!({ "token": "t" })).unwrap();
    let socket = world.client.socket("/a", options).unwrap();
    world.client.connect(world.now, socket);
    world.accept();
    let mut decoder = parser.decoder(&Limits::default());
    let mut decode = |world: &mut World<P>| {
        let mut sent = world.sent_binary().into_iter();
        sent.find_map(|bytes| decoder.decode(Message::Binary(bytes)).unwrap()).expect("a packet")
    };
    let connect = decode(&mut world);
    assert_eq!((connect.packet_type, &*connect.namespace), (PacketType::Connect, "/a"));
    assert_eq!(connect.payload.unwrap().get::<serde_json::Value>(0), Ok(serde_json::json!({ "token": "t" })));
    let reply = serde_json::json!({ "sid": "id", "pid": "p" });
    for bytes in encoded(&parser, &Outgoing::new(PacketType::Connect, "/a", Some(&reply))) {
        world.send(bytes);
    }
    assert_eq!(world.events(), ["open", "connect 0"]);
    let args = ("text", Bytes::from_static(b"binary"));
    world.client.emit_with_ack(world.now, &mut world.encoder, socket, "x", &args, None).unwrap();
    let event = decode(&mut world);
    assert_eq!(event.id, Some(0));
    assert_eq!(event.payload.unwrap().read::<(String, Bytes)>().unwrap(), ("text".into(), args.1.clone()));
    for bytes in encoded(&parser, &Outgoing::ack("/a", 0, &args)) {
        world.send(bytes);
    }
    let Some(Event::Acked { outcome: Ok(payload), .. }) = world.event() else { panic!("no ack") };
    assert_eq!(payload.bytes(1), Some(args.1));
    for bytes in encoded(&parser, &Outgoing::event("/a", None, "n", &"offset")) {
        world.send(bytes);
    }
    // The claim of recovery has the same form in every format.
    world.cut();
    world.advance(std::time::Duration::from_secs(10));
    world.accept();
    let claim = decode(&mut world).payload.unwrap().get::<serde_json::Value>(0).unwrap();
    assert_eq!(claim, serde_json::json!({ "pid": "p", "offset": "offset", "token": "t" }));
}

#[test]
fn a_client_speaks_messagepack() {
    round_trip(MsgPack);
}

#[test]
fn a_client_speaks_the_format_of_a_custom_parser() {
    round_trip(Compact);
}

#[test]
fn a_reply_as_servers_of_javascript_write_it_has_no_private_id_if_it_is_undefined() {
    let mut world = World::of(engine(), MsgPack, Config::default());
    let socket = world.connect("/");
    world.accept();
    // {type: 0, data: {sid: "abc", pid: undefined}, nsp: "/"}
    let reply = b"\x83\xa4type\x00\xa4data\x82\xa3sid\xa3abc\xa3pid\xd4\x00\x00\xa3nsp\xa1/";
    world.send(Bytes::from_static(reply));
    assert_eq!(world.events(), ["open", "connect 0"]);
    assert!(world.client.is_connected(socket));
}

#[test]
fn text_is_no_packet_of_messagepack() {
    let mut world = World::of(engine(), MsgPack, Config::default());
    world.connect("/");
    world.accept();
    world.send("40");
    assert_eq!(world.events()[1], "close: parse error");
}
