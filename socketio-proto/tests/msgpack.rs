//! The MessagePack parser: packets match the reference byte for byte. Covers refusals, values that only JavaScript has, relaying within the
//! format and to and from JSON, limits, and arbitrary bytes.
//!
//! Bytes in hexadecimal were written by socket.io-msgpack-parser 3.0.2, unless stated otherwise.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests may panic")]

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use engineio_proto::{Message, Text};
use proptest::prelude::*;
use rmpv::Value;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use socketio_proto::{
    Args, DecodeError, Decoder, EncodeError, Encoder, Json, Limits, MsgPack, Outgoing, Packet, PacketType, Parser,
    Payload,
};

/// Parses bytes from hexadecimal digits. Quoted text is literal.
fn bytes(notation: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, part) in notation.split('\'').enumerate() {
        if index % 2 == 1 {
            out.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> = part.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
        out.extend(pairs.map(|pair| u8::from_str_radix(pair, 16).expect("a byte")));
    }
    out
}

fn decode_with(limits: &Limits, bytes: &[u8]) -> Result<Packet, DecodeError> {
    let message = Message::Binary(Bytes::copy_from_slice(bytes));
    MsgPack.decoder(limits).decode(message).map(|packet| packet.expect("one message is one packet"))
}

fn decode(notation: &str) -> Result<Packet, DecodeError> {
    decode_with(&Limits::default(), &bytes(notation))
}

#[track_caller]
fn packet(notation: &str) -> Packet {
    decode(notation).expect(notation)
}

/// An event `e` with these arguments in MessagePack.
#[track_caller]
fn event(count: u8, notation: &str) -> Payload {
    let list = bytes(&format!("{:02x} a1 'e' {notation}", 0x91 + count));
    Payload::from_msgpack(PacketType::Event, list.into(), &Limits::default()).expect(notation)
}

fn encode_with<A: Args + ?Sized>(parser: &impl Parser, packet: &Outgoing<'_, A>) -> Result<Bytes, EncodeError> {
    let encoded = parser.encode(packet, &mut Encoder::new())?;
    let [frame] = encoded.frames() else { panic!("expected one message") };
    Ok(frame.data().clone())
}

fn encode<A: Args + ?Sized>(packet: &Outgoing<'_, A>) -> Result<Bytes, EncodeError> {
    encode_with(&MsgPack, packet)
}

/// The encoded form of one argument.
fn written<T: Serialize>(value: T) -> Vec<u8> {
    let packet = encode(&Outgoing::ack("/", 0, &(value,))).expect("can be encoded");
    let head = bytes("84 a2'id' 00 a4'type' 03 a4'data' 91");
    let tail = bytes("a3'nsp' a1'/'");
    packet.strip_prefix(&head[..]).and_then(|rest| rest.strip_suffix(&tail[..])).expect("an ack").to_vec()
}

const NO_ARGS: Option<&()> = None;

fn plain(packet_type: PacketType, namespace: &str) -> Outgoing<'_, ()> {
    Outgoing::new(packet_type, namespace, NO_ARGS)
}

fn single<'a, A>(packet_type: PacketType, namespace: &'a str, args: &'a A) -> Outgoing<'a, A> {
    Outgoing::new(packet_type, namespace, Some(args))
}

#[test]
fn packets_are_written_as_the_reference_server_writes_them() {
    let mut bare = Outgoing::<()>::event("/", None, "e", &());
    bare.args = None;
    let rows = [
        (encode(&plain(PacketType::Connect, "/")), "82 a4'type' 00 a3'nsp' a1'/'"),
        (
            encode(&single(PacketType::Connect, "/a", &json!({"t": "1"}))),
            "83 a4'type' 00 a4'data' 81 a1't' a1'1' a3'nsp' a2'/a'",
        ),
        (encode(&plain(PacketType::Disconnect, "/")), "82 a4'type' 01 a3'nsp' a1'/'"),
        (encode(&Outgoing::event("/", None, "hello", &1)), "83 a4'type' 02 a4'data' 92 a5'hello' 01 a3'nsp' a1'/'"),
        (
            encode(&Outgoing::event("/", Some(0), "hello", &1)),
            "84 a4'type' 02 a4'data' 92 a5'hello' 01 a2'id' 00 a3'nsp' a1'/'",
        ),
        (encode(&Outgoing::ack("/", 12, &"ok")), "84 a2'id' 0c a4'type' 03 a4'data' 91 a2'ok' a3'nsp' a1'/'"),
        (
            encode(&single(PacketType::ConnectError, "/zzz", &json!({"message": "Invalid namespace"}))),
            "83 a4'type' 04 a4'data' 81 a7'message' b1'Invalid namespace' a3'nsp' a4'/zzz'",
        ),
        (encode(&bare), "83 a4'type' 02 a4'data' 91 a1'e' a3'nsp' a1'/'"),
    ];
    for (written, expected) in rows {
        assert_eq!(written.as_deref(), Ok(&bytes(expected)[..]), "{expected}");
    }
}

#[test]
fn packets_of_reference_peers_are_read_in_any_order_of_keys() {
    for (notation, packet_type, namespace, id) in [
        ("82 a4'type' 00 a3'nsp' a1'/'", PacketType::Connect, "/", None),
        // A client without auth sends the data `undefined`, which counts as no data.
        ("83 a4'type' 00 a4'data' d40000 a3'nsp' a1'/'", PacketType::Connect, "/", None),
        ("82 a4'type' 01 a3'nsp' a1'/'", PacketType::Disconnect, "/", None),
        ("82 a3'nsp' a2'/a' a4'type' 01", PacketType::Disconnect, "/a", None),
        ("83 a4'type' 01 a3'nsp' a1'/' a2'id' d40000", PacketType::Disconnect, "/", None),
        // python-socketio 5.18.
        ("83 a4'type' 01 a4'data' c0 a3'nsp' a1'/'", PacketType::Disconnect, "/", None),
        // Not in the shortest form. In JavaScript, a float without a fraction is an integer.
        ("83 a4'type' cb 3ff0000000000000 a3'nsp' d9 01'/' a2'id' cd 0007", PacketType::Disconnect, "/", Some(7)),
        ("83 01 02 a4'type' 01 a3'nsp' a1'/'", PacketType::Disconnect, "/", None),
        ("83 a4'type' 00 a3'nsp' a1'/' a4'type' 01", PacketType::Disconnect, "/", None),
    ] {
        let packet = packet(notation);
        let found = (packet.packet_type, &packet.namespace[..], packet.id, packet.payload);
        assert_eq!(found, (packet_type, namespace, id, None), "{notation}");
    }
    let sent = packet("84 a4'type' 02 a4'data' 92 a5'hello' 01 a7'options' 81 a8'compress' c3 a3'nsp' a1'/'");
    let payload = sent.payload.expect("a payload");
    assert_eq!((payload.name(), payload.read()), (Some("hello"), Ok((1,))));
    let ack = packet("84 a4'type' 03 a2'id' 0c a4'data' 91 a2'ok' a3'nsp' a1'/'");
    assert_eq!((ack.packet_type, ack.id), (PacketType::Ack, Some(12)));
    let payload = ack.payload.expect("a payload");
    assert_eq!((payload.name(), payload.read()), (None, Ok(("ok",))));
}

#[test]
fn undefined_is_read_as_absent_everywhere() {
    #[derive(Deserialize, PartialEq, Debug)]
    struct Accepted {
        sid: String,
        pid: Option<String>,
    }
    let reply = packet("83 a4'type' 00 a4'data' 82 a3'sid' a3'abc' a3'pid' d40000 a3'nsp' a1'/'");
    let accepted = reply.payload.expect("a payload").get::<Accepted>(0);
    assert_eq!(accepted, Ok(Accepted { sid: "abc".to_owned(), pid: None }));
    let payload = event(3, "d40000 01 d40000");
    assert_eq!(payload.read::<(Option<u8>, Option<u8>, ())>(), Ok((None, Some(1), ())));
    assert_eq!(payload.get::<serde_json::Value>(0), Ok(json!(null)));
    assert_eq!(payload.raw_msgpack(2), Some(&[0xd4, 0, 0][..]), "it is relayed unchanged");
}

#[test]
fn binary_is_read_from_buffers_and_array_buffers() {
    let payload = event(3, "c403010203 c702000102 81 a1'b' c40109");
    assert_eq!(payload.get::<Bytes>(0), Ok(Bytes::from_static(&[1, 2, 3])));
    assert_eq!(payload.get::<Bytes>(1), Ok(Bytes::from_static(&[1, 2])));
    assert_eq!(payload.get::<Vec<u8>>(1), Ok(vec![1, 2]), "bytes can be read as numbers");
    assert_eq!(payload.get::<BTreeMap<&str, Bytes>>(2), Ok(BTreeMap::from([("b", Bytes::from_static(&[9]))])));
    assert!(payload.get::<&str>(0).is_err(), "bytes are not text, even if they are UTF-8");
    assert_eq!(payload.bytes(0).as_deref(), Some(&[1, 2, 3][..]));
    assert_eq!(payload.bytes(1).as_deref(), Some(&[1, 2][..]));
    assert_eq!((payload.bytes(2), payload.bytes(3)), (None, None));
    assert_eq!(payload.attachments(), &[] as &[Bytes]);
    // Lengths of one and eight bytes are not those of `undefined` and of a date.
    let payload = event(2, "c7010007 c708000102030405060708");
    assert_eq!(payload.get::<Bytes>(0), Ok(Bytes::from_static(&[7])));
    assert_eq!(payload.get::<Bytes>(1), Ok(Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7, 8])));
}

#[test]
fn dates_are_milliseconds_and_other_extensions_pairs() {
    let payload = event(3, "d700 00000000000005dc d6ff 00000001 c70305 010203");
    assert_eq!(payload.get::<i64>(0), Ok(1500));
    assert_eq!(payload.get::<f64>(0), Ok(1500.0));
    assert_eq!(payload.get::<(i8, Bytes)>(1), Ok((-1, Bytes::from_static(&[0, 0, 0, 1]))));
    assert_eq!(payload.get::<(i8, Bytes)>(2), Ok((5, Bytes::from_static(&[1, 2, 3]))));
}

#[test]
fn extensions_are_written_and_read_in_the_way_of_rmp_serde() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    #[serde(rename = "_ExtStruct")]
    struct Extension((i8, Bytes));
    let date = Extension((0, Bytes::copy_from_slice(&1500_i64.to_be_bytes())));
    assert_eq!(written(&date), bytes("d700 00000000000005dc"));
    assert_eq!(written(Extension((0, Bytes::from_static(&[0])))), bytes("d40000"));
    assert_eq!(written(Extension((-1, Bytes::from_static(&[1, 2, 3])))), bytes("c703ff 010203"));
    let payload = event(1, "d700 00000000000005dc");
    assert_eq!(payload.get::<Extension>(0).as_ref(), Ok(&date));
    assert_eq!(payload.read::<Extension>().as_ref(), Ok(&date), "it is one argument");
    assert_eq!(encode(&Outgoing::event("/", None, "e", &date)), encode(&Outgoing::event("/", None, "e", &(&date,))));
    assert!(event(1, "01").get::<Extension>(0).is_err());
}

#[test]
fn numbers_are_written_in_their_shortest_form() {
    for (number, expected) in [
        (0.0, "00"),
        (-0.0, "00"),
        (127.0, "7f"),
        (128.0, "cc80"),
        (255.0, "ccff"),
        (256.0, "cd0100"),
        (65_535.0, "cdffff"),
        (65_536.0, "ce00010000"),
        (4_294_967_295.0, "ceffffffff"),
        (4_294_967_296.0, "cf0000000100000000"),
        (1_099_511_627_776.0, "cf0000010000000000"),
        (-1.0, "ff"),
        (-32.0, "e0"),
        (-33.0, "d0df"),
        (-128.0, "d080"),
        (-129.0, "d1ff7f"),
        (-32_768.0, "d18000"),
        (-32_769.0, "d2ffff7fff"),
        (-2_147_483_648.0, "d280000000"),
        (-2_147_483_649.0, "d3ffffffff7fffffff"),
        (1.5, "cb3ff8000000000000"),
        (f64::INFINITY, "cb7ff0000000000000"),
    ] {
        assert_eq!(written(number), bytes(expected), "{number}");
        #[allow(clippy::cast_possible_truncation, reason = "the result is compared")]
        if number == f64::from(number as i32) {
            assert_eq!(written(number as i32), bytes(expected), "{number}");
        }
    }
    assert_eq!(written(0.25_f32), bytes("cb3fd0000000000000"));
    assert_eq!(written(f64::NAN)[0], 0xcb);
    // More than notepack supports.
    assert_eq!(written(u64::MAX), bytes("cfffffffffffffffff"));
    assert_eq!(written(i64::MIN), bytes("d38000000000000000"));
    assert_eq!(written(1e20), bytes("cb4415af1d78b58c40"));
    assert_eq!(written(i128::from(u64::MAX)), bytes("cfffffffffffffffff"));
    assert!(matches!(encode(&Outgoing::ack("/", 0, &u128::MAX)), Err(EncodeError::Serialize(_))));
}

#[test]
fn strings_binary_and_containers_are_written_in_their_shortest_form() {
    for (length, head) in [(0, "a0"), (31, "bf"), (32, "d920"), (255, "d9ff"), (256, "da0100"), (65_536, "db00010000")]
    {
        let expected = [bytes(head), vec![b'x'; length]].concat();
        assert_eq!(written("x".repeat(length)), expected, "{length}");
    }
    for (length, head) in [(0, "c400"), (255, "c4ff"), (256, "c50100"), (65_536, "c600010000")] {
        let expected = [bytes(head), vec![0; length]].concat();
        assert_eq!(written(Bytes::from(vec![0; length])), expected, "{length}");
    }
    for (length, head) in [(0, "90"), (15, "9f"), (16, "dc0010"), (65_535, "dcffff"), (65_536, "dd00010000")] {
        let expected = [bytes(head), vec![1; length]].concat();
        assert_eq!(written(vec![1; length]), expected, "{length}");
    }
    for (length, head) in [(0, "80"), (15, "8f"), (16, "de0010"), (70_000, "df00011170")] {
        let map: BTreeMap<u32, ()> = (0..length).map(|key| (key, ())).collect();
        assert!(written(map).starts_with(&bytes(head)), "{length}");
    }
}

#[test]
fn structures_are_maps_with_strings_as_keys() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    enum Shape {
        Unit,
        New(u8),
        Tuple(u8, u8),
        Struct { a: u8 },
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct All {
        shapes: Vec<Shape>,
        none: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        skipped: Option<u8>,
        numbers: BTreeMap<u32, char>,
        unit: (),
        pair: (bool, i8),
    }
    let all = All {
        shapes: vec![Shape::Unit, Shape::New(1), Shape::Tuple(2, 3), Shape::Struct { a: 4 }],
        none: None,
        skipped: None,
        numbers: BTreeMap::from([(7, 'x')]),
        unit: (),
        pair: (true, -1),
    };
    let expected = "85 a6'shapes' 94 a4'Unit' 81 a3'New' 01 81 a5'Tuple' 92 02 03 81 a6'Struct' 81 a1'a' 04 \
                    a4'none' c0 a7'numbers' 81 a1'7' a1'x' a4'unit' c0 a4'pair' 92 c3 ff";
    assert_eq!(written(&all), bytes(expected));
    assert_eq!(event(1, expected).get::<All>(0).as_ref(), Ok(&all));
    assert!(matches!(
        encode(&Outgoing::ack("/", 0, &BTreeMap::from([((), 1)]))),
        Err(EncodeError::Serialize(message)) if message.contains("keys")
    ));
    // Integer keys can be read as integers and as strings.
    let keys = event(1, "82 07 a1'a' ff a1'b'");
    assert_eq!(keys.get::<BTreeMap<i8, &str>>(0), Ok(BTreeMap::from([(7, "a"), (-1, "b")])));
    assert_eq!(keys.get::<HashMap<String, String>>(0).expect("strings")["-1"], "b");
}

#[test]
fn lengths_that_a_type_announces_are_not_trusted() {
    #[derive(Serialize)]
    struct Flat {
        #[serde(flatten)]
        rest: BTreeMap<String, u32>,
    }
    let many: BTreeMap<String, u32> = (0..20).map(|n| (format!("{n:02}"), n)).collect();
    assert_eq!(written(Flat { rest: many.clone() }), written(&many));
    struct Lies(usize, usize);
    impl Serialize for Lies {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut out = serializer.serialize_seq(Some(self.0))?;
            (0..self.1).try_for_each(|_| out.serialize_element(&1))?;
            out.end()
        }
    }
    for (announced, real) in [(0, 3), (3, 0), (20, 3), (3, 20), (70_000, 16), (1, 70_000)] {
        assert_eq!(written(Lies(announced, real)), written(vec![1; real]));
        assert_eq!(written((Lies(announced, real), 2)), written((vec![1; real], 2)));
    }
}

#[test]
fn tuples_and_arrays_spread_and_anything_else_is_one_argument() {
    fn list<A: Args>(args: A) -> Vec<u8> {
        let packet = encode(&Outgoing::event("/", None, "e", &args)).expect("can be encoded");
        let (head, tail) = (bytes("83 a4'type' 02 a4'data'"), bytes("a3'nsp' a1'/'"));
        packet.strip_prefix(&head[..]).and_then(|rest| rest.strip_suffix(&tail[..])).expect("an event").to_vec()
    }
    #[derive(Serialize)]
    struct Pair(u8, u8);
    #[derive(Serialize)]
    struct Unit;
    assert_eq!(list(()), bytes("91 a1'e'"));
    assert_eq!(list(Unit), bytes("91 a1'e'"));
    assert_eq!(list((1, "x")), bytes("93 a1'e' 01 a1'x'"));
    assert_eq!(list([1, 2]), bytes("93 a1'e' 01 02"));
    assert_eq!(list(Pair(1, 2)), bytes("93 a1'e' 01 02"));
    assert_eq!(list(vec![1, 2]), bytes("92 a1'e' 92 01 02"));
    assert_eq!(list((vec![1, 2],)), bytes("92 a1'e' 92 01 02"));
    assert_eq!(list(Some(1)), bytes("92 a1'e' 01"));
    assert_eq!(list(None::<u8>), bytes("92 a1'e' c0"));
    assert_eq!(list(Some((1, 2))), bytes("92 a1'e' 92 01 02"));
    assert_eq!(list("x"), bytes("92 a1'e' a1'x'"));
    assert_eq!(list([0_u8; 20].as_slice()).len(), 2 + 1 + 3 + 20);
}

#[test]
fn arguments_are_read_one_by_one_as_a_tuple_and_borrowed() {
    let payload = event(7, "01 a3'two' 9103 81 a1'a' 04 c0 c3 cb3ff8000000000000");
    assert_eq!((payload.name(), payload.len(), payload.is_empty()), (Some("e"), 7, false));
    assert_eq!(payload.get::<u8>(0), Ok(1));
    assert_eq!(payload.get::<&str>(1), Ok("two"));
    assert_eq!(payload.get::<Vec<u8>>(2), Ok(vec![3]));
    assert_eq!(payload.get::<HashMap<&str, u8>>(3), Ok(HashMap::from([("a", 4)])));
    assert_eq!(payload.get::<Option<u8>>(4), Ok(None));
    assert_eq!((payload.get(5), payload.get(6)), (Ok(true), Ok(1.5)));
    assert_eq!(payload.read::<(u8, &str, [u8; 1])>(), Ok((1, "two", [3])), "more arguments are ignored");
    assert_eq!(payload.read::<u8>(), Ok(1), "the first argument");
    assert_eq!(payload.read::<()>(), Ok(()));
    assert!(payload.read::<IgnoredAny>().is_ok());
    assert_eq!(event(1, "05").read::<(u8, Option<u8>, ())>(), Ok((5, None, ())));
    assert_eq!(event(0, "").read::<Option<u8>>(), Ok(None));
    for (error, expected) in [
        (payload.get::<u8>(7).expect_err("only seven"), "argument 7 cannot be read: it is missing"),
        (event(1, "05").read::<(u8, u8)>().expect_err("only one"), "argument 1 cannot be read: it is missing"),
        (payload.get::<u8>(1).expect_err("text"), "invalid type: string \"two\", expected u8"),
        (payload.get::<(u8, u8)>(2).expect_err("one element"), "invalid length 1"),
        (payload.get::<()>(2).expect_err("an array"), "expected unit"),
        (
            event(1, "c4017a").get::<serde_json::Value>(0).expect_err("binary"),
            "JSON value; binary is read as `bytes::Bytes`",
        ),
    ] {
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(payload.raw_msgpack(1), Some(&bytes("a3'two'")[..]));
    assert_eq!(payload.raw_msgpack(6), Some(&bytes("cb3ff8000000000000")[..]));
    assert_eq!(payload.raw_msgpack(7), None);
    assert_eq!(payload.raw_args_msgpack(), Some(&bytes("01 a3'two' 9103 81 a1'a' 04 c0 c3 cb3ff8000000000000")[..]));
    // The methods for JSON return nothing.
    assert_eq!((payload.raw(0), payload.raw_args(), payload.args().count()), (None, "", 0));
    let detached = payload.detached();
    assert_eq!(detached, payload);
    assert_ne!(detached.raw_args_msgpack().map(<[u8]>::as_ptr), payload.raw_args_msgpack().map(<[u8]>::as_ptr));
    assert_eq!(payload.size(), bytes("98 a1'e' 01 a3'two' 9103 81 a1'a' 04 c0 c3 cb3ff8000000000000").len());
    assert!(format!("{payload:?}").contains("two"));
}

#[test]
fn packets_that_the_reference_refuses_are_refused() {
    for (expected, notations) in [
        (
            DecodeError::Malformed,
            &[
                "",
                "c1",
                "82 a4'type' 01 a3'nsp' a1'/' 00",
                "82 a4'type' 01 a3'nsp' a1",
                "82 a4'type' 01 a3'nsp'",
                "83 a4'type' 01 a3'nsp' a1'/'",
                "82 a4'type' c1 a3'nsp' a1'/'",
                "92 a4'type'",
                "01 00",
            ][..],
        ),
        (
            DecodeError::InvalidType,
            &[
                "80",
                "01",
                "c0",
                "92 a4'type' 01",
                "81 a3'nsp' a1'/'",
                "82 a4'type' 05 a3'nsp' a1'/'",
                "82 a4'type' 06 a3'nsp' a1'/'",
                "82 a4'type' ff a3'nsp' a1'/'",
                "82 a4'type' a1'1' a3'nsp' a1'/'",
                "82 a4'type' cb3ff8000000000000 a3'nsp' a1'/'",
                "82 a4'type' c0 a3'nsp' a1'/'",
                "82 a4'type' cfffffffffffffffff a3'nsp' a1'/'",
            ],
        ),
        (
            DecodeError::InvalidNamespace,
            &[
                "81 a4'type' 01",
                "82 a4'type' 01 a3'nsp' c0",
                "82 a4'type' 01 a3'nsp' c401'/'",
                "82 a4'type' 01 a3'nsp' d40000",
            ],
        ),
        (
            DecodeError::InvalidPayload,
            &[
                "83 a4'type' 00 a3'nsp' a1'/' a4'data' c0",
                "83 a4'type' 00 a3'nsp' a1'/' a4'data' 90",
                "83 a4'type' 00 a3'nsp' a1'/' a4'data' a1'x'",
                "83 a4'type' 01 a3'nsp' a1'/' a4'data' 80",
                "83 a4'type' 01 a3'nsp' a1'/' a4'data' c2",
                "82 a4'type' 02 a3'nsp' a1'/'",
                "83 a4'type' 02 a3'nsp' a1'/' a4'data' 80",
                "83 a4'type' 02 a3'nsp' a1'/' a4'data' d40000",
                "82 a4'type' 03 a3'nsp' a1'/'",
                "83 a4'type' 03 a3'nsp' a1'/' a4'data' c0",
                "83 a4'type' 03 a3'nsp' a1'/' a4'data' a1'x'",
                "82 a4'type' 04 a3'nsp' a1'/'",
                "83 a4'type' 04 a3'nsp' a1'/' a4'data' 90",
                "83 a4'type' 04 a3'nsp' a1'/' a4'data' 01",
            ],
        ),
        (
            DecodeError::InvalidId,
            &[
                "83 a4'type' 01 a3'nsp' a1'/' a2'id' c0",
                "83 a4'type' 01 a3'nsp' a1'/' a2'id' a1'1'",
                "83 a4'type' 01 a3'nsp' a1'/' a2'id' cb3ff8000000000000",
            ],
        ),
    ] {
        for notation in notations {
            assert_eq!(decode(notation), Err(expected.clone()), "{notation}");
        }
    }
}

#[test]
fn some_packets_are_refused_here_but_not_by_the_reference() {
    for (notation, expected) in [
        ("82 a4'type' 01 a3'nsp' a1'a'", DecodeError::InvalidNamespace),
        ("82 a4'type' 01 a3'nsp' a0", DecodeError::InvalidNamespace),
        ("83 a4'type' 01 a3'nsp' a1'/' a2'id' ff", DecodeError::InvalidId),
        ("83 a4'type' 01 a3'nsp' a1'/' a2'id' cf0020000000000000", DecodeError::InvalidId),
        ("83 a4'type' 02 a3'nsp' a1'/' a4'data' 90", DecodeError::InvalidPayload),
        ("83 a4'type' 02 a3'nsp' a1'/' a4'data' 91 c0", DecodeError::InvalidPayload),
        ("83 a4'type' 02 a3'nsp' a1'/' a4'data' 91 c3", DecodeError::InvalidPayload),
        ("83 a4'type' 02 a3'nsp' a1'/' a4'data' 91 80", DecodeError::InvalidPayload),
        ("83 a4'type' 02 a3'nsp' a1'/' a4'data' 91 a7'connect'", DecodeError::InvalidPayload),
        ("83 a4'type' 02 a3'nsp' a1'/' a4'data' 91 aa'disconnect'", DecodeError::InvalidPayload),
        ("83 a4'type' 03 a3'nsp' a1'/' a4'data' d50501 02", DecodeError::InvalidPayload),
        ("83 a4'type' 03 a3'nsp' a1'/' a4'data' 91 a1 ff", DecodeError::Malformed),
        ("83 a4'type' 03 a3'nsp' a1'/' a4'data' 91 a3 eda080", DecodeError::Malformed),
    ] {
        assert_eq!(decode(notation), Err(expected), "{notation}");
    }
    let text = MsgPack.decoder(&Limits::default()).decode(Message::from("0"));
    assert_eq!(text, Err(DecodeError::Malformed));
    let other = packet("83 a4'type' 02 a3'nsp' a1'/' a4'data' 91 a5'error'");
    assert_eq!(other.payload.expect("a payload").name(), Some("error"));
}

#[test]
fn an_event_name_may_be_an_integer() {
    for (notation, expected) in [("07", "7"), ("ff", "-1"), ("cfffffffffffffffff", "18446744073709551615")] {
        let packet = packet(&format!("83 a4'type' 02 a3'nsp' a1'/' a4'data' 93 {notation} a1'x' 05"));
        let payload = packet.payload.expect("a payload");
        assert_eq!((payload.name(), payload.len()), (Some(expected), 2), "{notation}");
        assert_eq!(payload.read(), Ok(("x", 5)));
        assert_eq!(payload.raw_msgpack(1), Some(&[5][..]));
    }
}

#[test]
fn announced_lengths_allocate_nothing() {
    for notation in [
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' dd ffffffff",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' dd ffffffff a1'e'",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' 92 a1'e' df ffffffff",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' 92 a1'e' df 80000000",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' 92 a1'e' db ffffffff",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' 92 a1'e' c6 ffffffff",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' 92 a1'e' c9 ffffffff 00",
        "83 a4'type' 02 a3'nsp' a1'/' a4'data' 92 a1'e' dcffff",
        "83 a4'type' 02 a3'nsp' a1'/' a1'x' dd ffffffff",
        "dd ffffffff",
        "df ffffffff 01",
    ] {
        assert_eq!(decode(notation), Err(DecodeError::Malformed), "{notation}");
    }
}

#[test]
fn every_truncation_of_a_packet_is_refused() {
    let whole = bytes(
        "85 a4'type' 02 a2'id' cd0100 a3'nsp' da0002'/a' a7'options' 81 a8'compress' c3 \
         a4'data' 99 a1'e' c403010203 c702000102 d700 00000000000005dc d40000 cb3ff8000000000000 d3ffffffff7fffffff 8101c2 dd00000001c0",
    );
    assert!(decode_with(&Limits::default(), &whole).is_ok());
    for length in 0..whole.len() {
        assert_eq!(decode_with(&Limits::default(), &whole[..length]), Err(DecodeError::Malformed), "{length}");
    }
}

#[test]
fn nesting_and_namespaces_are_limited() {
    let mut limits = Limits::default();
    let nested = |depth: usize, opening: &[u8]| {
        [bytes("83 a4'type' 02 a3'nsp' a1'/' a4'data' 92 a1'e'"), opening.repeat(depth - 1), vec![0xc0]].concat()
    };
    for opening in [&[0x91][..], &[0x81, 0x01], &[0x81, 0xa1, b'k'], &[0xdc, 0, 1]] {
        assert!(decode_with(&limits, &nested(128, opening)).is_ok());
        assert_eq!(decode_with(&limits, &nested(129, opening)), Err(DecodeError::Malformed));
        assert_eq!(decode_with(&limits, &nested(100_000, opening)), Err(DecodeError::Malformed));
    }
    // A map as a key.
    assert_eq!(decode_with(&limits, &nested(100_000, &[0x81])), Err(DecodeError::Malformed));
    // Deeper values can be read if the limit is higher, but not into types that need the stack.
    limits.max_depth = u16::MAX;
    let deep = decode_with(&limits, &nested(60_000, &[0x91])).expect("within the limit").payload.expect("a payload");
    assert!(deep.get::<IgnoredAny>(0).is_ok());
    assert!(deep.get::<serde_json::Value>(0).expect_err("too deep").to_string().contains("nested too deeply"));
    assert!(encode_with(&Json, &Outgoing::event("/", None, "e", &deep)).is_err(), "it cannot be converted");
    assert!(encode(&Outgoing::event("/", None, "e", &deep)).is_ok(), "but it is relayed");
    limits.max_depth = 0;
    assert_eq!(decode_with(&limits, &bytes("83 a4'type' 03 a3'nsp' a1'/' a4'data' 90")), Err(DecodeError::Malformed));
    assert!(decode_with(&limits, &bytes("82 a4'type' 01 a3'nsp' a1'/'")).is_ok());
}

#[test]
fn packets_that_cannot_be_sent_are_refused() {
    let refused = |result: Result<Bytes, EncodeError>| result.expect_err("cannot be sent").to_string();
    assert!(refused(encode(&plain(PacketType::Connect, "a"))).contains("slash"));
    assert_eq!(encode(&Outgoing::event("/", None, "connect", &())), Err(EncodeError::Reserved("connect".into())));
    assert!(refused(encode(&plain(PacketType::Event, "/"))).contains("name"));
    assert!(refused(encode(&single(PacketType::Connect, "/", &"x"))).contains("one object"));
    assert!(refused(encode(&single(PacketType::ConnectError, "/", &1))).contains("one object or string"));
    assert!(refused(encode(&single(PacketType::Disconnect, "/", &json!({})))).contains("no payload"));
    assert!(encode(&single(PacketType::ConnectError, "/", &"x")).is_ok());
    // A comma has no special meaning in this format.
    assert_eq!(
        decode_with(&Limits::default(), &encode(&plain(PacketType::Connect, "/a,b")).expect("valid"))
            .expect("valid")
            .namespace,
        *"/a,b"
    );
}

fn json_payload(text: &str, attachments: &[&'static [u8]]) -> Payload {
    let attachments = attachments.iter().map(|bytes| Bytes::from_static(bytes)).collect();
    Payload::from_json(PacketType::Event, Text::from(text), attachments, &Limits::default()).expect(text)
}

#[test]
fn a_payload_relayed_within_the_format_is_unchanged() {
    // Numbers in longer forms than needed, beyond 2^53, or as 32-bit floats; repeated keys, odd keys, undefined, a date, extensions.
    let args = "cd0001 cfffffffffffffff01 d38000000000000001 ca3dcccccd cb7ff8000000000001 82 a1'k' 01 a1'k' 02 81 c0 d9 01'x' \
                d40000 d700 00000000000005dc d6ff00000001 c702000102 c2 c3 c0";
    let payload = event(14, args);
    let relayed = encode(&Outgoing::event("/a", Some(3), "other", &payload)).expect("can be relayed");
    assert_eq!(&relayed[..], bytes(&format!("84 a4'type' 02 a4'data' 9f a5'other' {args} a2'id' 03 a3'nsp' a2'/a'")));
    let acked = encode(&Outgoing::ack("/", 3, &payload)).expect("can be relayed");
    assert_eq!(&acked[..], bytes(&format!("84 a2'id' 03 a4'type' 03 a4'data' 9e {args} a3'nsp' a1'/'")));
    let connect = packet("83 a4'type' 00 a4'data' 81 a1't' a1'1' a3'nsp' a1'/'").payload.expect("a payload");
    assert_eq!(connect.read::<HashMap<&str, &str>>(), Ok(HashMap::from([("t", "1")])));
    assert_eq!(
        &encode(&single(PacketType::Connect, "/", &connect)).expect("can be relayed")[..],
        bytes("83 a4'type' 00 a4'data' 81 a1't' a1'1' a3'nsp' a1'/'")
    );
    assert!(encode(&single(PacketType::Connect, "/", &payload)).is_err(), "CONNECT has one value");
}

#[test]
fn json_is_converted_when_it_is_relayed() {
    let payload = json_payload(
        r#"["e", 1, 1.0, -5, 1.5, "\u00e9\n", [true, false, null], {"k": {"_placeholder":true,"num":0}}, 18446744073709551615, 1e300]"#,
        &[b"\x01\x02"],
    );
    let relayed = encode(&Outgoing::ack("/", 0, &payload)).expect("convertible");
    let expected = "84 a2'id' 00 a4'type' 03 a4'data' 99 01 01 fb cb3ff8000000000000 a3 c3a90a 93c3c2c0 81 a1'k' c4020102 \
                    cfffffffffffffffff cb7e37e43c8800759c a3'nsp' a1'/'";
    assert_eq!(&relayed[..], bytes(expected));
    let connect =
        Payload::from_json(PacketType::Connect, Text::from(r#"{"a":[1]}"#), vec![], &Limits::default()).expect("valid");
    assert_eq!(
        &encode(&single(PacketType::Connect, "/", &connect)).expect("convertible")[..],
        bytes("83 a4'type' 00 a4'data' 81 a1'a' 91 01 a3'nsp' a1'/'")
    );
    let half = json_payload(r#"["e","\ud800"]"#, &[]);
    assert!(matches!(encode(&Outgoing::event("/", None, "e", &half)), Err(EncodeError::Serialize(_))));
}

#[test]
fn messagepack_is_converted_to_json_when_it_is_relayed() {
    let payload = event(
        9,
        "01 cfffffffffffffff01 cb3ff8000000000000 a2 c3a9 82 a1'k' c4020102 07 c3 d40000 d700 00000000000005dc c7010009 d505 0a0b",
    );
    let encoded = Json.encode(&Outgoing::event("/", None, "e", &payload), &mut Encoder::new()).expect("convertible");
    let messages: Vec<&Bytes> = encoded.frames().iter().map(|frame| frame.data()).collect();
    let text = r#"53-["e",1,18446744073709551361,1.5,"é",{"k":{"_placeholder":true,"num":0},"7":true},null,1500,"#;
    let text = text.to_owned() + r#"{"_placeholder":true,"num":1},[5,{"_placeholder":true,"num":2}]]"#;
    assert_eq!(messages, [text.as_bytes(), &[1, 2], &[9], &[10, 11]]);
    let connect = packet("83 a4'type' 04 a4'data' a1'x' a3'nsp' a1'/'").payload.expect("a payload");
    assert_eq!(encode_with(&Json, &single(PacketType::ConnectError, "/", &connect)), Ok(Bytes::from(r#"4"x""#)));
}

#[test]
fn raw_json_is_converted_to_messagepack() {
    let raw = RawValue::from_string(r#"{"a":[1,"x"]}"#.to_owned()).expect("JSON");
    assert_eq!(written(&raw), bytes("81 a1'a' 92 01 a1'x'"));
    assert_eq!(written(json!({"a": [1, "x"]})), bytes("81 a1'a' 92 01 a1'x'"));
}

#[test]
fn many_arguments_are_found_in_one_pass() {
    let count: u32 = 100_000;
    let list = [&[0xdd][..], &(count + 1).to_be_bytes(), b"\xa1e", &vec![1; count as usize]].concat();
    let payload = Payload::from_msgpack(PacketType::Event, list.into(), &Limits::default()).expect("valid");
    assert_eq!(payload.len(), 100_000);
    assert_eq!((payload.raw_msgpack(99_999), payload.raw_msgpack(100_000)), (Some(&[1][..]), None));
    let json = encode_with(&Json, &Outgoing::event("/", None, "e", &payload)).expect("convertible");
    assert_eq!(json.len(), 2 + 3 + 1 + 2 * 100_000);
}

#[test]
fn a_payload_alone_has_to_be_one_value() {
    let made = |packet_type, notation| Payload::from_msgpack(packet_type, bytes(notation).into(), &Limits::default());
    assert!(made(PacketType::Event, "91 a1'e'").is_ok());
    for (packet_type, notation) in [
        (PacketType::Event, "91 a1'e' 00"),
        (PacketType::Event, "90"),
        (PacketType::Event, ""),
        (PacketType::Ack, "80"),
        (PacketType::Disconnect, "80"),
        (PacketType::Connect, "c0"),
        (PacketType::ConnectError, "91 01"),
    ] {
        assert_eq!(made(packet_type, notation), Err(DecodeError::InvalidPayload), "{notation}");
    }
    assert_ne!(
        made(PacketType::Ack, "90").expect("valid"),
        Payload::from_json(PacketType::Ack, Text::from("[]"), vec![], &Limits::default()).expect("valid"),
        "another format"
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::from),
        (any::<i8>(), proptest::collection::vec(any::<u8>(), 0..20)).prop_map(|(kind, data)| Value::Ext(kind, data)),
    ];
    leaf.prop_recursive(5, 60, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            proptest::collection::vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

fn packed(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).expect("a write to memory");
    out
}

/// Decodes an ack with this as its data.
fn ack_of(data: &[u8]) -> Result<Packet, DecodeError> {
    decode_with(&Limits::default(), &[&bytes("83 a4'type' 03 a3'nsp' a1'/' a4'data'")[..], data].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Arguments of any kind are relayed unchanged.
    #[test]
    fn output_of_another_library_is_relayed_unchanged(values in proptest::collection::vec(value(), 0..20)) {
        let list = packed(&Value::Array(values.clone()));
        let packet = ack_of(&list).expect("valid");
        let payload = packet.payload.expect("a payload");
        prop_assert_eq!(payload.len(), values.len());
        for (index, value) in values.iter().enumerate() {
            prop_assert_eq!(payload.raw_msgpack(index), Some(&packed(value)[..]));
        }
        let relayed = encode(&Outgoing::ack("/", 1, &payload)).expect("can be relayed");
        prop_assert!(relayed.windows(list.len()).any(|window| window == list));
        // Reading and converting may fail, but must not panic.
        let _ = payload.read::<serde_json::Value>();
        let _ = Json.encode(&Outgoing::ack("/", 1, &payload), &mut Encoder::new());
    }

    /// I7: an encoded packet decodes to the same packet.
    #[test]
    fn decoding_undoes_encoding(
        namespace in "/[a-zé,]{0,40}", id in proptest::option::of(0_u64..1 << 53), name in "[a-zé]{11,40}",
        number: i64, float: f64, text: String, data in proptest::collection::vec(any::<u8>(), 0..300),
        map in proptest::collection::btree_map(any::<u16>(), any::<Option<bool>>(), 0..40),
    ) {
        let args = (number, float, text, Bytes::from(data), map);
        let encoded = encode(&Outgoing::event(&namespace, id, &name, &args)).expect("can be encoded");
        let packet = decode_with(&Limits::default(), &encoded).expect("valid");
        prop_assert_eq!((packet.packet_type, &packet.namespace[..], packet.id), (PacketType::Event, &namespace[..], id));
        let payload = packet.payload.expect("a payload");
        prop_assert_eq!(payload.name(), Some(&name[..]));
        let read: (i64, f64, String, Bytes, BTreeMap<u16, Option<bool>>) = payload.read().expect("the same types");
        prop_assert_eq!(&read.0, &args.0);
        prop_assert!(read.1 == args.1 || args.1.is_nan());
        prop_assert_eq!((read.2, read.3, read.4), (args.2.clone(), args.3.clone(), args.4.clone()));
        // Encoding it again gives the same bytes.
        prop_assert_eq!(encode(&Outgoing::event(&namespace, id, &name, &payload)).expect("relayed"), encoded);
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_with(&Limits::default(), &bytes);
    }

    /// The scanner accepts the same bytes as another library. The exceptions are strings that are not UTF-8, and the byte `c1`: it is
    /// unused in the format, but that library reads it as nil.
    #[test]
    fn results_are_those_of_another_library(
        valid in value(), cut in any::<prop::sample::Index>(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut list = packed(&Value::Array(vec![valid]));
        for (at, byte) in changes {
            let at = at.index(list.len());
            list[at] = byte;
        }
        if cut.index(4) == 0 {
            list.truncate(cut.index(list.len()));
        }
        let mut rest = &list[..];
        let theirs = rmpv::decode::read_value_ref(&mut rest);
        let ours = ack_of(&list);
        match theirs {
            Ok(value) if rest.is_empty() && value.as_array().is_some() => {
                if let Err(error) = ours {
                    prop_assert!(has_broken_text(&value.to_owned()) || list.contains(&0xc1), "{error}: {list:02x?}");
                }
            }
            _ => prop_assert!(ours.is_err(), "{list:02x?}"),
        }
    }

    /// An event is unchanged after a conversion from JSON to MessagePack and back.
    #[test]
    fn json_survives_a_round_trip_through_messagepack(number: i64, float in -1e15..1e15, text: String, list in proptest::collection::vec(any::<bool>(), 0..20)) {
        let value = json!({"number": number, "float": float, "list": list, "text": text, "null": null});
        let came = json_payload(&format!(r#"["e",{value},{value}]"#), &[]);
        let packet = decode_with(&Limits::default(), &encode(&Outgoing::event("/", None, "e", &came)).expect("convertible")).expect("valid");
        let there = packet.payload.expect("a payload");
        let back = encode_with(&Json, &Outgoing::event("/", None, "e", &there)).expect("convertible");
        let back = Json.decoder(&Limits::default()).decode(Message::Text(Text::try_from(back).expect("text"))).expect("valid").expect("whole");
        let (first, second): (serde_json::Value, serde_json::Value) = back.payload.expect("a payload").read().expect("two");
        prop_assert_eq!(first["number"].as_i64(), Some(number));
        prop_assert_eq!(first["float"].as_f64(), Some(float));
        prop_assert_eq!((&first["text"], &first["list"], &first["null"]), (&value["text"], &value["list"], &value["null"]));
        prop_assert_eq!(second, first);
    }
}

fn has_broken_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_err(),
        Value::Array(values) => values.iter().any(has_broken_text),
        Value::Map(pairs) => pairs.iter().any(|(key, value)| has_broken_text(key) || has_broken_text(value)),
        _ => false,
    }
}
