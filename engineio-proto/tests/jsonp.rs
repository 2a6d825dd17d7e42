//! JSONP, compared with the answers of the reference and the requests of the 2.x client. The client's own unescaping undoes ours.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use bytes::{Bytes, BytesMut};
use engineio_proto::payload::jsonp::{Callback, decode_form};
use engineio_proto::payload::{self, v3};
use engineio_proto::{ContentType, Frame, Message, Packet, ParseError};
use proptest::prelude::*;

fn script(j: &str, payload: &str) -> String {
    let mut out = BytesMut::new();
    Callback::from_query(j).encode(payload.as_bytes(), &mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

fn form(body: &[u8]) -> Result<Option<String>, ParseError> {
    decode_form(&Bytes::copy_from_slice(body)).map(|payload| payload.map(|text| text.to_string()))
}

#[track_caller]
fn assert_form(body: &str, payload: &str) {
    assert_eq!(form(body.as_bytes()), Ok(Some(payload.into())), "{body}");
}

#[test]
fn a_response_calls_the_function_with_a_string() {
    assert_eq!(script("0", "6:4hello"), r#"___eio[0]("6:4hello");"#);
    assert_eq!(script("12", ""), r#"___eio[12]("");"#);
}

#[test]
fn only_the_digits_of_the_index_count() {
    assert_eq!(Callback::from_query("a1b2").as_str(), "12");
    assert_eq!(Callback::from_query("007").as_str(), "007");
    assert_eq!(Callback::from_query("](alert(1));//\u{661}").as_str(), "1");
    assert_eq!(Callback::from_query("").as_str(), "");
    assert_eq!(Callback::from_query("4294967294").as_str(), "4294967294");
    assert_eq!(Callback::from_query("12345678901234567890").as_str(), "1234567890");
}

#[test]
fn characters_that_json_allows_and_scripts_did_not_are_escaped() {
    assert_eq!(script("0", "a\u{2028}b\u{2029}c\u{2027}\u{202a}"), "___eio[0](\"a\\u2028b\\u2029c\u{2027}\u{202a}\");");
    assert_eq!(
        script("0", "\"\\\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}/<\u{20ac}\u{1f600}"),
        "___eio[0](\"\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u001f\u{7f}/<\u{20ac}\u{1f600}\");"
    );
}

#[test]
fn both_revisions_are_wrapped_and_binary_is_base64() {
    let frames =
        [Frame::message(Message::from("\u{20ac}\"")), Frame::message(Bytes::from_static(&[1, 2, 3, 4]).into())];
    let callback = Callback::from_query("3");
    let (mut body, mut out) = (BytesMut::new(), BytesMut::new());
    assert_eq!(v3::encode(&frames, false, &mut body), ContentType::Text);
    callback.encode(&body, &mut out);
    assert_eq!(out, "___eio[3](\"3:4\u{20ac}\\\"10:b4AQIDBA==\");");
    body.clear();
    out.clear();
    payload::encode(&frames, &mut body);
    callback.encode(&body, &mut out);
    assert_eq!(out, "___eio[3](\"4\u{20ac}\\\"\\u001ebAQIDBA==\");");
}

#[test]
fn a_script_is_appended_and_invalid_utf8_is_replaced() {
    let mut out = BytesMut::from(&b"before"[..]);
    Callback::from_query("1").encode(b"a\xffb", &mut out);
    assert_eq!(out, "before___eio[1](\"a\u{fffd}b\");");
}

#[test]
fn the_payload_is_the_field_d_of_a_form() {
    assert_form("d=6%3A4hello", "6:4hello");
    assert_form("d=6:4hello", "6:4hello");
    assert_form("a=1&d=1%3A3&b", "1:3");
    assert_form("%64=1:3", "1:3");
    assert_form("d=7%3A4a+b%20c%2B", "7:4a b c+");
    assert_form("d=a=b", "a=b");
    assert_form("d=2%3A4%E2%82%ac", "2:4\u{20ac}");
    assert_form("d=", "");
    assert_form("d", "");
    assert_form("&&d=1&", "1");
}

#[test]
fn a_form_without_the_field_or_with_several_is_ignored() {
    for body in
        ["", "x=6:4hello", "6:4hello", "D=1:3", "dd=1:3", "=1:3", "d=1:3&d=1:3", "d=1:3&%64", "d[]=1:3", "d%00=1"]
    {
        assert_eq!(form(body.as_bytes()), Ok(None), "{body}");
    }
}

#[test]
fn line_feeds_are_unescaped_before_lengths_are_read() {
    assert_form(r"d=4:4a\nb", "4:4a\nb");
    assert_form(r"d=4:4a%5Cnb", "4:4a\nb");
    assert_form(r"d=5:4a\\nb", r"5:4a\nb");
    assert_form(r"d=\\\n", r"\\n");
    assert_form(r"d=\\\\n", r"\\\n");
    assert_form(r"d=\n\n\\n\nn", "\n\n\\n\nn");
    assert_form(r"d=\a\\b\", r"\a\\b\");
    assert_form(r"d=\r\N", r"\r\N");
    let payload = decode_form(&Bytes::from_static(br"d=4:4a\nb")).unwrap().unwrap();
    let packets: Vec<_> = v3::Packets::new(payload.into_bytes(), ContentType::Text).unwrap().collect();
    assert_eq!(packets, [Ok(Packet::from(Message::from("a\nb")))]);
}

#[test]
fn a_form_of_revision_4() {
    let payload = decode_form(&Bytes::from_static(b"d=4a%1E4b")).unwrap().unwrap();
    let packets: Vec<_> = payload::Packets::new(payload.into_bytes()).unwrap().collect();
    assert_eq!(packets, [Ok(Packet::from(Message::from("a"))), Ok(Packet::from(Message::from("b")))]);
}

#[test]
fn a_percent_sign_that_escapes_nothing_stays() {
    assert_form("d=%zz%4%", "%zz%4%");
    assert_form("d=%%34", "%4");
    assert_form("d=%+1", "% 1");
    assert_form("d=%\u{e9}", "%\u{e9}");
}

#[test]
fn a_payload_that_is_not_utf8_is_an_error_and_other_fields_are_ignored() {
    for body in [&b"d=%ff"[..], b"d=\xff", b"d=%ed%a0%80", b"d=%e2%82"] {
        assert_eq!(form(body), Err(ParseError::Utf8), "{body:?}");
    }
    assert_eq!(form(b"x=%ff&d=1:3&\xff=\xff"), Ok(Some("1:3".into())));
}

/// The encoding that engine.io-client 3.5 applies to a payload, and a browser to the form that contains it.
fn posted(payload: &str) -> String {
    let escaped = payload.replace("\\n", "\\\n").replace('\n', "\\n");
    let mut form = String::from("d=");
    for byte in escaped.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => form.push(byte.into()),
            b' ' => form.push('+'),
            _ => form.push_str(&format!("%{byte:02X}")),
        }
    }
    form
}

/// Returns the value that a browser gives the string literal of a script.
fn called_with(script: &str) -> String {
    let string = script.strip_prefix("___eio[7](\"").unwrap().strip_suffix("\");").unwrap();
    let mut called = String::new();
    let mut characters = string.chars();
    while let Some(character) = characters.next() {
        assert!(character >= ' ' && !"\"\u{2028}\u{2029}".contains(character), "unescaped {character:?}");
        called.push(match character {
            '\\' => match characters.next().unwrap() {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits: String = characters.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
                }
                same => same,
            },
            plain => plain,
        });
    }
    called
}

proptest! {
    #[test]
    fn i7_a_browser_receives_what_was_sent(payload in prop_oneof![any::<String>(), "[\"\\\\\n\u{1f}\u{2028}\u{2029}\u{e9}a]{0,40}"]) {
        prop_assert_eq!(called_with(&script("7", &payload)), payload);
    }

    #[test]
    fn i7_payloads_that_a_client_posts_are_read(payload in prop_oneof![any::<String>(), "[\\\\\n\r n\u{20ac}%+&=]{0,40}"]) {
        // The client itself does not distinguish a backslash before a line feed from `\n`.
        prop_assume!(!payload.contains("\\\n"));
        prop_assert_eq!(form(posted(&payload).as_bytes()), Ok(Some(payload)));
    }

    #[test]
    fn i7_no_form_causes_a_panic(
        body in prop::collection::vec(prop_oneof![prop::sample::select(b"d=&%+\\n4f".to_vec()), any::<u8>()], 0..60),
    ) {
        if let Ok(Some(payload)) = form(&body) {
            prop_assert!(payload.len() <= body.len());
        }
    }

    #[test]
    fn i7_no_index_escapes_its_brackets(j: String) {
        prop_assert!(Callback::from_query(&j).as_str().bytes().all(|digit| digit.is_ascii_digit()));
    }
}
