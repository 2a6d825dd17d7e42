//! Decoding by the default parser: what the reference accepts and refuses, where this parser is stricter on purpose, attachments, limits,
//! and arbitrary bytes.
#![allow(clippy::expect_used, reason = "helpers of tests may panic")]

use bytes::Bytes;
use engineio_proto::{Message, Text};
use proptest::prelude::*;
use socketio_proto::parser::JsonDecoder;
use socketio_proto::{DecodeError, Decoder, Json, Limits, Packet, PacketType, Parser};

fn decoder() -> JsonDecoder {
    Json.decoder(&Limits::default())
}

fn decode(text: &str) -> Result<Option<Packet>, DecodeError> {
    decoder().decode(Message::from(text))
}

#[track_caller]
fn packet(text: &str) -> Packet {
    decode(text).expect(text).expect("a complete packet")
}

#[track_caller]
fn refused(text: &str) -> DecodeError {
    decode(text).expect_err(text)
}

/// A packet with attachments.
fn gather(text: &str, attachments: &[&'static [u8]]) -> Result<Option<Packet>, DecodeError> {
    let mut decoder = decoder();
    let mut last = decoder.decode(Message::from(text))?;
    for attachment in attachments {
        assert_eq!(last, None, "the packet was complete before its last attachment");
        last = decoder.decode(Message::Binary(Bytes::from_static(attachment)))?;
    }
    Ok(last)
}

#[track_caller]
fn gathered(text: &str, attachments: &[&'static [u8]]) -> Packet {
    gather(text, attachments).expect(text).expect("a complete packet")
}

fn args(packet: &Packet) -> Vec<&str> {
    packet.payload.as_ref().expect("a payload").args().collect()
}

fn name(packet: &Packet) -> Option<&str> {
    packet.payload.as_ref().expect("a payload").name()
}

#[test]
fn empty_text_is_no_packet() {
    // The reference fails earlier: its Engine.IO parser throws on a `4` alone.
    assert_eq!(refused(""), DecodeError::UnknownType);
}

#[test]
fn connect_with_and_without_namespace_and_object() {
    for (text, namespace, payload) in [
        ("0", "/", None),
        ("0/admin", "/admin", None),
        ("0/admin,", "/admin", None),
        (r#"0{"a":1}"#, "/", Some(r#"{"a":1}"#)),
        (r#"0/admin,{"a":1}"#, "/admin", Some(r#"{"a":1}"#)),
        (r#"0/admin?token=1,{"a":1}"#, "/admin?token=1", Some(r#"{"a":1}"#)),
        ("0{} ", "/", Some("{}")),
    ] {
        let packet = packet(text);
        assert_eq!(packet.packet_type, PacketType::Connect, "{text}");
        assert_eq!(&packet.namespace[..], namespace, "{text}");
        assert_eq!(packet.id, None, "{text}");
        assert_eq!(packet.payload.as_ref().and_then(|payload| payload.raw(0)), payload, "{text}");
        assert_eq!(packet.payload.as_ref().and_then(|payload| payload.name()), None, "{text}");
    }
}

#[test]
fn connect_with_anything_but_an_object_is_invalid() {
    for text in ["0[]", "0null", r#"0"x""#, "0/a,b", "0{", "0{}{}", r#"0{"a":}"#, "0true"] {
        assert_eq!(refused(text), DecodeError::InvalidPayload, "{text}");
    }
}

#[test]
fn an_id_that_nobody_uses_is_accepted() {
    for (text, packet_type, id) in
        [("00{}", PacketType::Connect, 0), ("012{}", PacketType::Connect, 12), ("112", PacketType::Disconnect, 12)]
    {
        let packet = packet(text);
        assert_eq!((packet.packet_type, packet.id), (packet_type, Some(id)), "{text}");
    }
}

#[test]
fn disconnect_has_no_payload() {
    assert_eq!(&packet("1").namespace[..], "/");
    assert_eq!(&packet("1/admin,").namespace[..], "/admin");
    for text in ["1{}", "1[]", r#"1"a""#, "1/admin,[]", "1null"] {
        assert_eq!(refused(text), DecodeError::InvalidPayload, "{text}");
    }
}

#[test]
fn event_without_payload_is_invalid_here() {
    for text in ["2", "212", "2/a", "2/a,", "2/a,1"] {
        assert_eq!(refused(text), DecodeError::InvalidPayload, "{text}");
    }
}

#[test]
fn event_has_an_array_with_a_name() {
    for text in [
        "2[]",
        "2{}",
        "2[null]",
        "2[true]",
        "2[{}]",
        "2[[]]",
        "2[",
        r#"2["a""#,
        r#"2["a",]"#,
        r#"2["a"]]"#,
        r#"2["a"],"#,
        r#"2["a",,1]"#,
        r#"2[,"a"]"#,
        r#"2["a" 1]"#,
        r#"2["a","b]"#,
        r#"2["a",{]"#,
        r#"2["a",{"b"}]"#,
        r#"2["a",[1}]"#,
        r#"2["a",nul]"#,
        r#"2["a",01]"#,
        r#"2["a",1.]"#,
        r#"2["a",-]"#,
        r#"2["a",.5]"#,
        r#"2["a",1e]"#,
        r#"2["a","\x"]"#,
        r#"2["a","\u12g4"]"#,
        "2[\"a\",\"\n\"]",
        "2[\"a\n\"]",
        "2[01]",
        "2[-]",
        r#"2"a""#,
        "2null",
    ] {
        assert_eq!(refused(text), DecodeError::InvalidPayload, "{text}");
    }
}

#[test]
fn event_name_is_a_string_or_a_number_109() {
    for (text, expected) in [
        (r#"2["a"]"#, "a"),
        (r#"2[1]"#, "1"),
        (r#"2[-1.5e3]"#, "-1.5e3"),
        (r#"2[""]"#, ""),
        (r#"2["é\u00e9\n\"\\\/\b\f\r\t"]"#, "éé\n\"\\/\u{8}\u{c}\r\t"),
        (r#"2["\ud83d\ude00"]"#, "😀"),
        (r#"2["\ud83d!\ude00"]"#, "\u{fffd}!\u{fffd}"),
        (r#"2["\ud83d\u0041"]"#, "\u{fffd}A"),
    ] {
        assert_eq!(name(&packet(text)), Some(expected), "{text}");
        assert!(args(&packet(text)).is_empty(), "{text}");
    }
    let packet = packet(r#"2["\u0061",{"b":1},2]"#);
    assert_eq!(name(&packet), Some("a"));
    assert_eq!(args(&packet), [r#"{"b":1}"#, "2"]);
}

#[test]
fn reserved_names_are_invalid_as_the_name_only_107() {
    for reserved in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert_eq!(refused(&format!(r#"2["{reserved}"]"#)), DecodeError::InvalidPayload);
        assert_eq!(refused(&format!(r#"51-["{reserved}"]"#)), DecodeError::InvalidPayload);
        assert_eq!(args(&packet(&format!(r#"2["a","{reserved}"]"#))), [format!("\"{reserved}\"")]);
        assert_eq!(args(&packet(&format!(r#"31["{reserved}"]"#))), [format!("\"{reserved}\"")]);
    }
    assert_eq!(refused(r#"2["\u0063onnect"]"#), DecodeError::InvalidPayload);
}

#[test]
fn other_names_pass_108() {
    for other in ["error", "connection", "message", "__proto__", "Connect", "connect_errors"] {
        assert_eq!(name(&packet(&format!(r#"2["{other}"]"#))), Some(other));
    }
}

#[test]
fn ids() {
    for (text, id) in
        [(r#"20["a"]"#, 0), (r#"2007["a"]"#, 7), (r#"29007199254740991["a"]"#, (1 << 53) - 1), (r#"2/a,5["a"]"#, 5)]
    {
        assert_eq!(packet(text).id, Some(id), "{text}");
    }
}

#[test]
fn ids_are_digits_below_2_to_the_53_here_160() {
    let nines = format!(r#"2{}["a"]"#, "9".repeat(30));
    let long = format!(r#"2{}["a"]"#, "0".repeat(100_000));
    for text in [&nines, &long, r#"29007199254740992["a"]"#, r#"29007199254740993["a"]"#, r#"200000000000000001["a"]"#]
    {
        assert_eq!(refused(text), DecodeError::InvalidId);
    }
    for text in [
        r#"2 7["a"]"#,
        r#"2 ["a"]"#,
        "2\n[\"a\"]",
        r#"2-1["a"]"#,
        r#"21.5["a"]"#,
        r#"2abc["a"]"#,
        r#"2nsp,["a"]"#,
        r#"27 ["a"]"#,
    ] {
        assert_eq!(refused(text), DecodeError::InvalidPayload, "{text}");
    }
}

#[test]
fn namespace_without_comma_takes_the_whole_rest() {
    assert_eq!(refused(r#"2/nsp12["a"]"#), DecodeError::InvalidPayload);
    let connect = packet(r#"0/nsp12{"a"}"#);
    assert_eq!((&connect.namespace[..], connect.payload), (r#"/nsp12{"a"}"#, None));
}

#[test]
fn namespace_that_is_a_slash() {
    assert_eq!(&packet(r#"2/,["a"]"#).namespace[..], "/");
}

#[test]
fn ack() {
    for (text, id, expected) in [
        ("3[]", None, Some(vec![])),
        ("31[]", Some(1), Some(vec![])),
        ("3", None, None),
        ("31", Some(1), None),
        (r#"3["a"]"#, None, Some(vec![r#""a""#])),
        ("3/a,12[null,[1, 2] ,{}]", Some(12), Some(vec!["null", "[1, 2]", "{}"])),
    ] {
        let packet = packet(text);
        assert_eq!((packet.packet_type, packet.id), (PacketType::Ack, id), "{text}");
        assert_eq!(packet.payload.as_ref().map(|payload| payload.args().collect()), expected, "{text}");
        assert_eq!(packet.payload.as_ref().and_then(|payload| payload.name()), None, "{text}");
    }
    for text in ["31{}", "3null", r#"3"a""#, "31[", "31[1,]"] {
        assert_eq!(refused(text), DecodeError::InvalidPayload, "{text}");
    }
}

#[test]
fn connect_error() {
    for (text, payload) in
        [(r#"4"err""#, Some(r#""err""#)), (r#"4{"message":"no"}"#, Some(r#"{"message":"no"}"#)), ("4", None)]
    {
        let packet = packet(text);
        assert_eq!(packet.packet_type, PacketType::ConnectError, "{text}");
        assert_eq!(packet.payload.as_ref().and_then(|payload| payload.raw(0)), payload, "{text}");
    }
    for text in ["4[]", "4null", "4true", r#"4""#, r#"4"a"b"#] {
        assert_eq!(refused(text), DecodeError::InvalidPayload, "{text}");
    }
}

#[test]
fn attachment_count_is_missing_or_not_a_number_158() {
    for text in
        [r#"5["a"]"#, "5", "51", "51.5-[\"a\"]", r#"5-1-["a"]"#, r#"6[]"#, "5/a,[\"a\"]", "5x-", "500000000001-[\"a\"]"]
    {
        assert_eq!(refused(text), DecodeError::IllegalAttachments, "{text}");
    }
}

#[test]
fn attachment_count_of_nothing_158() {
    for text in [r#"50-["a"]"#, r#"5-["a"]"#, r#"600-["a"]"#] {
        assert_eq!(refused(text), DecodeError::IllegalAttachments, "{text}");
    }
}

#[test]
fn attachment_count_up_to_ten_158() {
    let ten: Vec<&'static [u8]> = vec![b"x"; 10];
    assert_eq!(gathered(r#"510-["a"]"#, &ten).payload.expect("a payload").attachments().len(), 10);
    for text in [r#"511-["a"]"#, r#"5256-["a"]"#, r#"59999999999-["a"]"#] {
        assert_eq!(refused(text), DecodeError::TooManyAttachments, "{text}");
    }
}

#[test]
fn attachment_count_is_digits_here() {
    for text in [r#"51e0-["a"]"#, r#"5 1-["a"]"#, r#"5+1-["a"]"#, r#"50x1-["a"]"#] {
        assert_eq!(refused(text), DecodeError::IllegalAttachments, "{text}");
    }
}

#[test]
fn unknown_types() {
    for text in ["7", "8[]", "9", "a", "-", "é", " 2[\"a\"]", "\0"] {
        assert_eq!(refused(text), DecodeError::UnknownType, "{text}");
    }
}

#[test]
fn text_while_attachments_are_awaited_159() {
    let mut decoder = decoder();
    assert_eq!(decoder.decode(Message::from(r#"52-["a"]"#)), Ok(None));
    assert_eq!(decoder.decode(Message::Binary(Bytes::new())), Ok(None));
    assert_eq!(decoder.decode(Message::from(r#"2["a"]"#)), Err(DecodeError::UnexpectedText));
    // The decoder keeps nothing of the failed packet and could start again (161).
    assert_eq!(decoder.decode(Message::Binary(Bytes::new())), Err(DecodeError::UnexpectedBinary));
    assert!(decoder.decode(Message::from(r#"2["a"]"#)).expect("valid").is_some());
}

#[test]
fn binary_when_none_is_awaited_159() {
    let mut decoder = decoder();
    assert_eq!(decoder.decode(Message::Binary(Bytes::new())), Err(DecodeError::UnexpectedBinary));
    assert!(decoder.decode(Message::from(r#"51-["a"]"#)).expect("valid").is_none());
    assert!(decoder.decode(Message::Binary(Bytes::new())).expect("valid").is_some());
    assert_eq!(decoder.decode(Message::Binary(Bytes::new())), Err(DecodeError::UnexpectedBinary));
}

#[test]
fn deep_json_is_limited_160() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |depth: usize| format!(r#"2["a",{}1{}]"#, open.repeat(depth), close.repeat(depth));
        assert!(decode(&nested(127)).is_ok(), "the list of arguments counts as a level");
        assert_eq!(refused(&nested(128)), DecodeError::InvalidPayload);
        assert_eq!(refused(&nested(100_000)), DecodeError::InvalidPayload);
        assert_eq!(refused(&format!(r#"2["a",{}"#, open.repeat(100_000))), DecodeError::InvalidPayload);
    }
    let mut limits = Limits::default();
    limits.max_depth = 1;
    let placeholder = Message::from(r#"51-["a",{"_placeholder":true,"num":0}]"#);
    assert_eq!(Json.decoder(&limits).decode(placeholder), Err(DecodeError::InvalidPayload));
    limits.max_depth = u16::MAX;
    let text = format!(r#"2["a",{}{}]"#, "[".repeat(65_534), "]".repeat(65_534));
    assert!(Json.decoder(&limits).decode(Message::from(&text[..])).is_ok());
}

#[test]
fn the_payload_is_checked_before_attachments_are_awaited() {
    for text in [r#"51-["a""#, r#"51-{}"#, "51-", "51-/a,", r#"61-{}"#, "51-[]"] {
        assert_eq!(refused(text), DecodeError::InvalidPayload, "{text}");
    }
}

#[test]
fn binary_events_and_acks_are_reported_as_events_and_acks() {
    let event = gathered(r#"51-/b,7["a",{"_placeholder":true,"num":0}]"#, &[b"\x01\x02"]);
    assert_eq!((event.packet_type, &event.namespace[..], event.id), (PacketType::Event, "/b", Some(7)));
    let payload = event.payload.expect("a payload");
    assert_eq!(payload.attachments(), [&b"\x01\x02"[..]]);
    assert_eq!(payload.bytes(0).as_deref(), Some(&b"\x01\x02"[..]));
    let ack = gathered(r#"62-3[{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#, &[b"a", b"b"]);
    assert_eq!((ack.packet_type, ack.id), (PacketType::Ack, Some(3)));
    let payload = ack.payload.expect("a payload");
    assert_eq!(payload.bytes(0).as_deref(), Some(&b"b"[..]), "mixed order (164)");
    assert_eq!(payload.bytes(1).as_deref(), Some(&b"a"[..]), "mixed order (164)");
    assert_eq!(gathered("61-3", &[b"x"]).payload, None, "a binary ACK without payload, as in the reference");
}

#[test]
fn item_164_attachments_are_found_by_number_whatever_the_order_of_their_placeholders() {
    let packet = gathered(
        r#"53-["a",{"_placeholder":true,"num":2},{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
        &[b"0", b"1", b"2"],
    );
    let payload = packet.payload.expect("a payload");
    let found = [0, 1, 2].map(|argument| payload.bytes(argument).expect("an attachment")[0]);
    assert_eq!(found, *b"201");
}

#[test]
fn item_161_a_decoder_that_is_dropped_or_fails_within_a_packet_does_not_affect_the_next_packet() {
    let begin = || {
        let mut decoder = decoder();
        assert_eq!(decoder.decode(Message::from(r#"52-["a"]"#)), Ok(None));
        assert_eq!(decoder.decode(Message::Binary(Bytes::from_static(b"x"))), Ok(None));
        decoder
    };
    drop(begin());
    let mut fresh = decoder();
    let mut failed = begin();
    assert_eq!(failed.decode(Message::from("1")), Err(DecodeError::UnexpectedText));
    for decoder in [&mut fresh, &mut failed] {
        assert_eq!(decoder.decode(Message::Binary(Bytes::from_static(b"y"))), Err(DecodeError::UnexpectedBinary));
        assert_eq!(decoder.decode(Message::from(r#"51-["b"]"#)), Ok(None));
        let whole = decoder.decode(Message::Binary(Bytes::from_static(b"z"))).expect("valid").expect("whole");
        assert_eq!(whole.payload.expect("a payload").attachments(), [&b"z"[..]]);
    }
}

#[test]
fn placeholders_name_an_attachment_or_the_packet_is_refused_159() {
    for number in ["1", "-1", "0.5", "\"0\"", "null", "true", "[0]", "{}", "1e1", "4294967296", "1e400", "-0.1"] {
        let text = format!(r#"51-["a",{{"b":[{{"_placeholder":true,"num":{number}}}]}}]"#);
        assert_eq!(gather(&text, &[b"x"]), Err(DecodeError::IllegalPlaceholder), "{number}");
    }
    assert_eq!(gather(r#"51-["a",{"_placeholder":true}]"#, &[b"x"]), Err(DecodeError::IllegalPlaceholder));
}

#[test]
fn placeholders_that_are_accepted() {
    for accepted in [
        r#"{"_placeholder":true,"num":0}"#,
        r#"{"num":0,"_placeholder":true}"#,
        r#" { "_placeholder" : true , "num" : 0 } "#,
        r#"{"_placeholder":true,"num":0,"extra":{"_placeholder":true,"num":9}}"#,
        r#"{"_placeholder":true,"num":0.0}"#,
        r#"{"_placeholder":true,"num":-0}"#,
        r#"{"_placeholder":true,"num":9,"num":0}"#,
        r#"{"_placeholder":false,"_placeholder":true,"num":0}"#,
        r#"{"\u005fplaceholder":true,"n\u0075m":0}"#,
    ] {
        let packet = gathered(&format!(r#"51-["a",{accepted}]"#), &[b"x"]);
        let payload = packet.payload.expect("a payload");
        assert_eq!(payload.bytes(0).as_deref(), Some(&b"x"[..]), "{accepted}");
    }
}

#[test]
fn objects_that_are_not_placeholders_are_data() {
    for data in [
        r#"{"_placeholder":1,"num":9}"#,
        r#"{"_placeholder":"true","num":9}"#,
        r#"{"_placeholder":false,"num":9}"#,
        r#"{"_placeholder":true,"_placeholder":null,"num":9}"#,
        r#"{"placeholder":true,"num":9}"#,
        r#"{"a":"_placeholder","num":9}"#,
        r#"["_placeholder",true,"num",9]"#,
        r#"{"__proto__":{"a":1},"num":9}"#,
    ] {
        let packet = gathered(&format!(r#"51-["a",{data}]"#), &[b"x"]);
        assert_eq!(args(&packet), [data]);
        assert_eq!(packet.payload.expect("a payload").bytes(0), None, "{data}");
    }
    let plain = packet(r#"2["a",{"_placeholder":true,"num":0}]"#);
    assert_eq!(args(&plain), [r#"{"_placeholder":true,"num":0}"#]);
    assert_eq!(plain.payload.expect("a payload").bytes(0), None, "without attachments it is an ordinary object");
}

#[test]
fn attachments_may_be_named_twice_or_not_at_all() {
    let packet = gathered(r#"52-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}]"#, &[b"x", b"y"]);
    let payload = packet.payload.expect("a payload");
    assert_eq!(payload.bytes(0), payload.bytes(1));
    assert_eq!(payload.attachments().len(), 2);
}

#[test]
fn bytes_of_attachments_are_limited() {
    let mut limits = Limits::default();
    limits.max_attachment_bytes = 10;
    let mut decoder = Json.decoder(&limits);
    assert_eq!(decoder.decode(Message::from(r#"53-["a"]"#)), Ok(None));
    assert_eq!(decoder.decode(Message::Binary(Bytes::from_static(&[0; 6]))), Ok(None));
    assert_eq!(decoder.decode(Message::Binary(Bytes::from_static(&[0; 5]))), Err(DecodeError::AttachmentsTooLarge));
    assert_eq!(decoder.decode(Message::Binary(Bytes::new())), Err(DecodeError::UnexpectedBinary), "nothing is kept");
}

#[test]
fn attachments_without_their_own_limit_may_be_as_large_as_messages() {
    let mut decoder = decoder();
    assert_eq!(decoder.decode(Message::from(r#"510-["a"]"#)), Ok(None));
    let attachment = Bytes::from(vec![0; 2_000_000]);
    for _ in 0..9 {
        assert_eq!(decoder.decode(Message::Binary(attachment.clone())), Ok(None));
    }
    let packet = decoder.decode(Message::Binary(attachment)).expect("within limits").expect("a complete packet");
    assert_eq!(packet.payload.map(|payload| payload.attachments().len()), Some(10));
}

#[test]
fn a_namespace_of_any_length_is_a_part_of_its_message_160() {
    let name = format!("/{}", "é".repeat(500_000));
    for text in [format!("0{name}"), format!("0{name},"), format!(r#"2{name},["a"]"#)] {
        let message = Text::from(text);
        let packet = decoder().decode(Message::Text(message.clone())).expect("valid").expect("a complete packet");
        assert_eq!(&packet.namespace[..], name);
        assert!(message.as_bytes().as_ptr_range().contains(&packet.namespace.as_bytes().as_ptr()), "not a copy");
    }
}

#[test]
fn a_hundred_thousand_arguments_allocate_no_memory() {
    let text = format!(r#"2["a",{}1]"#, "1,".repeat(99_999));
    let packet = packet(&text);
    let payload = packet.payload.expect("a payload");
    assert_eq!(payload.len(), 100_000);
    assert_eq!(payload.args().len(), 100_000);
    assert!(payload.args().all(|arg| arg == "1"));
    assert_eq!(payload.raw(99_999), Some("1"));
    assert_eq!(payload.raw(100_000), None);
}

#[test]
fn keys_like_proto_are_harmless_160() {
    let packet = packet(r#"2["a",{"__proto__":{"x":1},"constructor":null}]"#);
    assert_eq!(args(&packet), [r#"{"__proto__":{"x":1},"constructor":null}"#]);
}

#[test]
fn an_idle_decoder_and_a_payload_are_small() {
    assert!(size_of::<JsonDecoder>() <= 64, "{}", size_of::<JsonDecoder>());
    assert!(size_of::<socketio_proto::Payload>() <= 96, "{}", size_of::<socketio_proto::Payload>());
}

fn any_message() -> impl Strategy<Value = Message> {
    let likely = r#"[0-6]?(1-|10-)?(/[a-z]?,?)?[0-9]{0,3}[\[{]("[a-z\\"]{0,3}"|[0-9,:\[\]{} eE.+-]|true|null|"_placeholder"|"num"|\\u[0-9a-f]{4}){0,12}[\]}]{0,2}"#;
    prop_oneof![
        4 => likely.prop_map(|text: String| Message::Text(text.into())),
        1 => any::<String>().prop_map(|text| Message::Text(text.into())),
        1 => any::<Vec<u8>>().prop_map(|bytes| Message::Binary(bytes.into())),
    ]
}

proptest! {
    #[test]
    fn no_input_causes_a_panic_and_accepted_packets_can_be_read(
        messages in proptest::collection::vec(any_message(), 1..6),
    ) {
        let mut decoder = decoder();
        for message in messages {
            let Ok(Some(packet)) = decoder.decode(message) else { continue };
            let Some(payload) = packet.payload else { continue };
            prop_assert_eq!(payload.args().count(), payload.len());
            for (index, arg) in payload.args().enumerate() {
                prop_assert_eq!(payload.raw(index), Some(arg));
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(arg).is_ok(), "{}", arg);
                let _ = payload.get::<serde_json::Value>(index);
                let _ = payload.bytes(index);
            }
            let _ = payload.read::<(serde_json::Value, Option<u32>)>();
        }
    }

    #[test]
    fn every_accepted_packet_is_within_the_limits(
        messages in proptest::collection::vec(any_message(), 1..12),
        attachments in 0..3_u8, bytes in 0..6_usize, depth in 0..3_u16,
    ) {
        let mut limits = Limits::default();
        (limits.max_attachments, limits.max_attachment_bytes) = (attachments, bytes);
        limits.max_depth = depth;
        let mut decoder = Json.decoder(&limits);
        for message in messages {
            let Ok(Some(packet)) = decoder.decode(message) else { continue };
            let Some(payload) = packet.payload else { continue };
            prop_assert!(payload.attachments().len() <= attachments.into());
            prop_assert!(payload.attachments().iter().map(Bytes::len).sum::<usize>() <= bytes);
            let list = matches!(packet.packet_type, PacketType::Event | PacketType::Ack);
            prop_assert!(!list || depth > 0);
            // With a depth of one, the list contains scalars. With two, it contains lists and objects of scalars.
            for arg in payload.args() {
                let opened = arg.split('"').step_by(2).collect::<String>();
                let opened = opened.matches(['[', '{']).count();
                prop_assert!(opened == 0 || depth > u16::from(list), "{}", arg);
            }
        }
    }
}
