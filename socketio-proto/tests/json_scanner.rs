//! The JSON scanner, tested through [`Payload::from_json`]. It accepts the same texts as `serde_json` when it ignores a value, and as
//! `JSON.parse`. It finds the right boundaries of arguments.
#![allow(clippy::expect_used, reason = "helpers of tests may panic")]

use engineio_proto::Text;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use socketio_proto::{DecodeError, Limits, PacketType, Payload};

fn ack(text: &str) -> Result<Payload, DecodeError> {
    let mut limits = Limits::default();
    limits.max_depth = u16::MAX;
    Payload::from_json(PacketType::Ack, Text::from(text), Vec::new(), &limits)
}

/// Returns whether the scanner accepts the text as the only argument of an event.
fn accepts(text: &str) -> bool {
    ack(&format!("[{text}]")).is_ok_and(|payload| payload.len() == 1)
}

#[track_caller]
fn same_verdict(text: &str) {
    let theirs = serde_json::from_str::<IgnoredAny>(text).is_ok();
    assert_eq!(accepts(text), theirs, "serde_json accepts: {theirs}, text: {text:?}");
}

#[test]
fn valid_and_invalid_values_get_the_right_result() {
    for text in [
        "null",
        "true",
        "false",
        "nul",
        "nulll",
        "TRUE",
        "True",
        "undefined",
        "NaN",
        "Infinity",
        "-Infinity",
        "0",
        "-0",
        "00",
        "01",
        "-01",
        "1",
        "-1",
        "+1",
        "1.",
        ".1",
        "1.0",
        "1.0.0",
        "1e",
        "1e1",
        "1E1",
        "1e+1",
        "1e-1",
        "1e+",
        "1e1.0",
        "1.e1",
        "0e0",
        "0x1",
        "-",
        "--1",
        "1 2",
        "1e400",
        "123456789012345678901234567890",
        "\"\"",
        "\"",
        "\"\"\"",
        "\"a\\\"",
        "\"\\\\\"",
        "\"\\/\"",
        "\"\\x\"",
        "\"\\u\"",
        "\"\\u1\"",
        "\"\\u123\"",
        "\"\\u1234\"",
        "\"\\uABCD\"",
        "\"\\u12G4\"",
        "\"\\u+123\"",
        "\"\\U1234\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud83d\\ude00\"",
        "\"\t\"",
        "\"\u{1f}\"",
        "\"\u{7f}\"",
        "\"\u{80}\"",
        "\"\u{2028}\"",
        "\"é😀\"",
        "'a'",
        "[]",
        "[ ]",
        "[1]",
        "[1,]",
        "[,1]",
        "[,]",
        "[1 2]",
        "[1,,2]",
        "[1,2]",
        "[",
        "]",
        "[1",
        "[]]",
        "[[]",
        "[}",
        "{]",
        "{}",
        "{ }",
        "{\"a\":1}",
        "{\"a\" : 1 }",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\",1}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"b\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{}}",
        "{\"a\":[{}]}",
        "{\"a\":[{]}}",
        "{\"a\":1]",
        "[1}",
        "{\"a\\u0062\":1}",
        "{\"a\":1}}",
        " 1 ",
        "\t\n\r 1\t\n\r ",
        "\u{a0}1",
        "\u{feff}1",
        "\u{b}1",
        "\u{c}1",
        "/**/1",
        "1//",
        "",
        " ",
        "[1]x",
        "truefalse",
        "true false",
        "\0",
        "[\"a\",1,null,true,{\"b\":[]},-1.5e-7]",
    ] {
        if !text.contains(',') || text.starts_with(['[', '{']) {
            same_verdict(text);
        }
    }
}

#[test]
fn lone_surrogates_are_accepted_and_only_a_string_cannot_hold_them() {
    let payload = ack(r#"["\ud800"]"#).expect("JSON.parse accepts it");
    assert_eq!(payload.raw(0), Some(r#""\ud800""#));
    assert!(payload.get::<&RawValue>(0).is_ok());
    assert!(payload.get::<String>(0).is_err());
}

#[test]
fn a_special_character_is_found_at_any_distance() {
    for length in 0..40 {
        let plain = "x".repeat(length);
        for special in ["\\n", "\\\"", "\n", "\"", "é", "\u{7f}", "!", "#", "[", "]", " ", "\u{1f}"] {
            for behind in ["", "y", "yyyyyyyyyyyy"] {
                same_verdict(&format!("\"{plain}{special}{behind}\""));
                same_verdict(&format!("\"{plain}{special}{behind}"));
            }
        }
    }
}

#[test]
fn nesting_across_words_keeps_the_open_brackets() {
    for depth in [1, 63, 64, 65, 127, 128, 129, 200, 1_000] {
        let open: String = (0..depth).map(|level| if level % 3 == 0 { r#"{"a":"# } else { "[" }).collect();
        let close: String = (0..depth).rev().map(|level| if level % 3 == 0 { '}' } else { ']' }).collect();
        assert!(accepts(&format!("{open}1{close}")), "{depth}");
        for wrong in 0..close.len() {
            let mut other = close.clone().into_bytes();
            other[wrong] = if other[wrong] == b'}' { b']' } else { b'}' };
            assert!(!accepts(&format!("{open}1{}", String::from_utf8(other).expect("ASCII"))), "{depth}, {wrong}");
        }
    }
}

#[test]
fn arguments_are_found_without_the_whitespace_around_them() {
    let payload = ack(" [ 1 ,\t\"a,b\" , [ 2 , 3 ] ,\n{ \"c\" : [ ] } , null , -1.5 ] \r\n").expect("valid");
    let expected = ["1", "\"a,b\"", "[ 2 , 3 ]", "{ \"c\" : [ ] }", "null", "-1.5"];
    assert_eq!(payload.args().collect::<Vec<_>>(), expected);
    for (index, arg) in expected.iter().enumerate() {
        assert_eq!(payload.raw(index), Some(*arg));
    }
    assert_eq!(payload.raw(6), None);
    assert_eq!(payload.raw(usize::MAX), None);
}

#[test]
fn depth_counts_the_list_of_arguments() {
    let mut limits = Limits::default();
    for max_depth in [0, 1, 2, 64, 65] {
        limits.max_depth = max_depth;
        let nested = |depth: u16| "[".repeat(depth.into()) + &"]".repeat(depth.into());
        let verdict = |text: String| Payload::from_json(PacketType::Ack, text.into(), Vec::new(), &limits).is_ok();
        assert_eq!(verdict(nested(max_depth)), max_depth > 0, "{max_depth}");
        assert!(!verdict(nested(max_depth + 1)), "{max_depth}");
    }
}

/// Valid JSON of limited depth.
fn json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| serde_json::to_string(&value).expect("a number or null")),
        ".{0,30}".prop_map(|value| serde_json::to_string(&value).expect("a string")),
        Just(r#""\ud83d\ude00\u0000\/""#.to_owned()),
    ];
    let space = "[ \n\r\t]{0,2}";
    scalar.prop_recursive(6, 64, 6, move |inner| {
        let list = proptest::collection::vec((inner.clone(), space), 0..6);
        let object = proptest::collection::vec((".{0,12}", inner, space), 0..6);
        prop_oneof![
            list.prop_map(|elements| {
                let elements: Vec<String> =
                    elements.into_iter().map(|(value, space)| space.clone() + &value + &space).collect();
                format!("[{}]", elements.join(","))
            }),
            object.prop_map(|members| {
                let members: Vec<String> = members
                    .into_iter()
                    .map(|(key, value, space)| {
                        format!(
                            "{space}{}{space}:{space}{value}{space}",
                            serde_json::to_string(&key).expect("a string")
                        )
                    })
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn valid_json_is_accepted_and_split_into_arguments(values in proptest::collection::vec(json(), 0..8)) {
        let text = format!("[{}]", values.join(" ,"));
        let theirs: Vec<&RawValue> = serde_json::from_str(&text).expect("valid");
        let payload = ack(&text).expect("valid");
        prop_assert_eq!(payload.args().collect::<Vec<_>>(), theirs.iter().map(|raw| raw.get()).collect::<Vec<_>>());
    }

    #[test]
    fn invalid_json_gets_the_same_result(
        value in json(), at in any::<prop::sample::Index>(), cut in 0_usize..3, insert in "[\\]\\[{}\",:0-9eE.\\\\ \n\u{1}+-]{0,2}",
    ) {
        let mut characters: Vec<char> = value.chars().collect();
        let at = at.index(characters.len() + 1);
        let end = (at + cut).min(characters.len());
        characters.splice(at..end, insert.chars());
        let text = format!("[{}]", characters.into_iter().collect::<String>());
        prop_assert_eq!(ack(&text).is_ok(), serde_json::from_str::<Vec<IgnoredAny>>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn any_text_gets_the_same_result(text in r#"[\[\]{}",:\\/a-fnrtu0-9eE.+ \n-]{0,24}|.{0,24}"#) {
        prop_assert_eq!(ack(&text).is_ok(), serde_json::from_str::<Vec<IgnoredAny>>(&text).is_ok(), "{}", text);
    }
}
