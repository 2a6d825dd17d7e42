//! The parser of protocol 4 (Socket.IO 1 and 2), compared with the reference's older parser where it differs from the default one, and
//! with the default one elsewhere.
#![allow(clippy::expect_used, reason = "helpers of tests may panic")]

use bytes::Bytes;
use engineio_proto::{Frame, Message, Text};
use proptest::prelude::*;
use serde_json::json;
use socketio_proto::{
    Args, DecodeError, Decoder, EncodeError, Encoder, Json, JsonV4, Limits, Outgoing, Packet, PacketType, Parser,
};

fn decode_with(parser: &impl Parser, text: &str) -> Result<Option<Packet>, DecodeError> {
    parser.decoder(&Limits::default()).decode(Message::from(text))
}

#[track_caller]
fn packet(text: &str) -> Packet {
    decode_with(&JsonV4, text).expect(text).expect("a complete packet")
}

fn encode<A: Args + ?Sized>(packet: &Outgoing<'_, A>) -> Result<Vec<Message>, EncodeError> {
    let encoded = JsonV4.encode(packet, &mut Encoder::new())?;
    Ok(encoded.frames().iter().map(message).collect())
}

fn message(frame: &Frame) -> Message {
    let data = frame.data().clone();
    if frame.is_binary() { Message::Binary(data) } else { Message::Text(Text::try_from(data).expect("text")) }
}

fn raw(packet: &Packet) -> Option<&str> {
    packet.payload.as_ref().and_then(|payload| payload.raw(0))
}

#[test]
fn error_carries_a_string_an_object_an_array_or_null() {
    for (text, namespace, payload) in [
        (r#"4/zzz,"Invalid namespace""#, "/zzz", Some(r#""Invalid namespace""#)),
        (r#"4"plain""#, "/", Some(r#""plain""#)),
        (r#"4{"code":1}"#, "/", Some(r#"{"code":1}"#)),
        ("4[1]", "/", Some("[1]")),
        ("4null", "/", Some("null")),
        ("4", "/", None),
    ] {
        let packet = packet(text);
        assert_eq!(packet.packet_type, PacketType::ConnectError, "{text}");
        assert_eq!((&packet.namespace[..], raw(&packet)), (namespace, payload), "{text}");
    }
    for text in ["4true", "4nul", "4/a,[", "4[1]2", "4{}{}"] {
        assert_eq!(decode_with(&JsonV4, text), Err(DecodeError::InvalidPayload), "{text}");
    }
}

#[test]
fn connect_has_its_query_in_the_namespace_and_no_payload() {
    for (text, namespace) in [
        ("0", "/"),
        ("0/admin", "/admin"),
        ("0/admin,", "/admin"),
        ("0/admin?token=1,", "/admin?token=1"),
        ("0/admin?a=1&b=%2C,", "/admin?a=1&b=%2C"),
    ] {
        let packet = packet(text);
        assert_eq!((packet.packet_type, &packet.namespace[..]), (PacketType::Connect, namespace), "{text}");
        assert_eq!(packet.payload, None, "{text}");
    }
    for payload in ["[]", "null", r#"{"a":1}"#] {
        assert_eq!(raw(&packet(&format!("0{payload}"))), Some(payload));
    }
    for text in [r#"0"x""#, "0true", "0/a,1x"] {
        assert_eq!(decode_with(&JsonV4, text), Err(DecodeError::InvalidPayload), "{text}");
    }
}

#[test]
fn events_of_any_name_are_received() {
    for name in
        ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "error", "ping"]
    {
        let packet = packet(&format!(r#"2["{name}",1]"#));
        assert_eq!(packet.payload.expect("a payload").name(), Some(name));
    }
    let escaped = packet(r#"2["\u0063onnect"]"#);
    assert_eq!(escaped.payload.expect("a payload").name(), Some("connect"));
}

#[test]
fn events_with_names_that_version_2_reserves_are_not_sent() {
    for name in ["connect", "disconnect", "disconnecting", "error", "newListener", "removeListener"] {
        assert_eq!(encode(&Outgoing::event("/", None, name, &())), Err(EncodeError::Reserved(name.into())));
    }
    for name in ["connect_error", "connection", "ping", "reconnect"] {
        assert_eq!(
            encode(&Outgoing::event("/", None, name, &())),
            Ok(vec![Message::from(&*format!(r#"2["{name}"]"#))])
        );
    }
}

#[test]
fn types_5_and_6_announce_attachments() {
    let mut decoder = JsonV4.decoder(&Limits::default());
    assert_eq!(decoder.decode(Message::from(r#"51-/a,7["x",{"_placeholder":true,"num":0}]"#)), Ok(None));
    let packet = decoder.decode(Message::Binary(Bytes::from_static(b"bytes"))).expect("valid").expect("complete");
    assert_eq!((packet.packet_type, packet.id, &packet.namespace[..]), (PacketType::Event, Some(7), "/a"));
    let payload = packet.payload.expect("a payload");
    assert_eq!(payload.bytes(0).as_deref(), Some(&b"bytes"[..]));
    assert_eq!(
        encode(&Outgoing::ack("/a", 7, &payload)),
        Ok(vec![
            Message::from(r#"61-/a,7[{"_placeholder":true,"num":0}]"#),
            Message::Binary(Bytes::from_static(b"bytes")),
        ])
    );
}

#[test]
fn invalid_packets_are_refused_as_by_the_default_parser() {
    for text in [
        "",
        "7",
        "9",
        "a",
        "-",
        "2",
        "2[]",
        "2{}",
        "2[null]",
        "2[true]",
        "2-1[\"a\"]",
        "2abc[\"a\"]",
        "1{}",
        "31{}",
        "5[\"a\"]",
        "50-[\"a\"]",
        "511-[\"a\"]",
        "51e0-[\"a\"]",
        "299999999999999999999[\"a\"]",
    ] {
        let refused = decode_with(&JsonV4, text).expect_err(text);
        assert_eq!(decode_with(&Json, text), Err(refused), "{text}");
    }
}

#[test]
fn packets_are_written_as_version_2_writes_them() {
    let mut connect = Outgoing::<()>::new(PacketType::Connect, "/admin?token=1", None);
    assert_eq!(encode(&connect), Ok(vec![Message::from("0/admin?token=1,")]));
    connect.namespace = "/";
    assert_eq!(encode(&connect), Ok(vec![Message::from("0")]));
    let error = |value| {
        let args = Some(&value);
        encode(&Outgoing::new(PacketType::ConnectError, "/zzz", args))
    };
    assert_eq!(error(json!("Invalid namespace")), Ok(vec![Message::from(r#"4/zzz,"Invalid namespace""#)]));
    assert_eq!(error(json!({"code": 1})), Ok(vec![Message::from(r#"4/zzz,{"code":1}"#)]));
    assert_eq!(error(json!([1])), Ok(vec![Message::from("4/zzz,[1]")]));
    assert!(matches!(error(json!(1)), Err(EncodeError::Serialize(_))));
    assert_eq!(encode(&Outgoing::event("/a", Some(3), "x", &(1, "y"))), Ok(vec![Message::from(r#"2/a,3["x",1,"y"]"#)]));
}

proptest! {
    /// Everything that the default parser accepts has the same result with this one.
    #[test]
    fn packets_that_the_default_parser_accepts_give_the_same_result(
        text in r#"[0-6](1-)?(/[a-z?=]{0,4},?)?[0-9]{0,3}(\[("[a-z]{0,3}"|[0-9])(,(true|"x"|\{\}))*\]|\{("a":[0-9])?\}|"e"|null|\[\])?"#,
    ) {
        if let Ok(found) = decode_with(&Json, &text) {
            prop_assert_eq!(decode_with(&JsonV4, &text), Ok(found));
        }
    }

    #[test]
    fn any_text_is_a_packet_or_an_error(text in any::<String>()) {
        let _ = decode_with(&JsonV4, &text);
    }

    #[test]
    fn decoding_undoes_encoding(
        namespace in "/[a-z]{0,5}(\\?[a-z]{1,3}=[a-z0-9%]{0,6})?", id in proptest::option::of(0_u64..1 << 53), name in "[a-z]{7,9}",
        number: i32, text: String,
    ) {
        let args = (number, text);
        let messages = encode(&Outgoing::event(&namespace, id, &name, &args)).expect("can be encoded");
        let decoded = JsonV4.decoder(&Limits::default()).decode(messages[0].clone()).expect("valid").expect("whole");
        prop_assert_eq!((&decoded.namespace[..], decoded.id), (&namespace[..], id));
        let payload = decoded.payload.expect("a payload");
        prop_assert_eq!(payload.name(), Some(&name[..]));
        prop_assert_eq!(payload.read::<(i32, String)>().expect("the same types"), args);
    }
}
