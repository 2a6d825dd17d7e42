//! JSONP: a script contains its payload unchanged, and a form is decoded as the reference decodes it.

use arbitrary::{Result, Unstructured};
use bytes::{Bytes, BytesMut};
use engineio_proto::ParseError;
use engineio_proto::payload::jsonp::{Callback, decode_form};

use crate::input::{rest, short_text};

/// Input: a byte that selects the half, then a form, or an index and a payload.
pub fn jsonp(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    if input.arbitrary::<bool>()? {
        form(rest(&mut input)?);
        return Ok(());
    }
    let index = short_text(&mut input)?;
    let callback = Callback::from_query(&index);
    let digits: String = index.chars().filter(char::is_ascii_digit).take(10).collect();
    assert_eq!(callback.as_str(), digits);
    let payload = rest(&mut input)?;
    let mut script = BytesMut::new();
    callback.encode(payload, &mut script);
    let payload = String::from_utf8_lossy(payload);
    assert_eq!(argument(&script, &digits), payload);
    posted(&payload);
    Ok(())
}

/// Returns the argument that the script passes to its function.
pub(super) fn argument(script: &[u8], index: &str) -> String {
    let script = str::from_utf8(script).expect("a script is UTF-8");
    assert!(!script.contains(['\u{2028}', '\u{2029}']) && !script.contains(|c: char| c < ' '), "{script:?}");
    let call = script.strip_prefix("___eio[").and_then(|rest| rest.strip_prefix(index));
    let call = call.and_then(|rest| rest.strip_prefix("](")).and_then(|rest| rest.strip_suffix(");"));
    serde_json::from_str(call.expect("a call")).expect("a string")
}

/// Encodes a payload as the reference client does for a POST, and checks that it is decoded unchanged.
fn posted(payload: &str) {
    if payload.contains("\\\n") {
        return;
    }
    let escaped = payload.replace("\\n", "\\\n").replace('\n', "\\n");
    let body: String = form_urlencoded::Serializer::new(String::new()).append_pair("d", &escaped).finish();
    let read = decode_form(&Bytes::from(body)).map(|text| text.map(String::from));
    assert_eq!(read, Ok(Some(payload.to_string())));
}

/// `URLSearchParams`, then the two replacements of engine.io's `polling-jsonp.ts`.
fn form(body: &[u8]) {
    let read = decode_form(&Bytes::copy_from_slice(body));
    let mut values = form_urlencoded::parse(body).filter(|(name, _)| name == "d").map(|(_, value)| value);
    let expected = match (values.next(), values.next()) {
        (Some(value), None) => Some(replaced(&value)),
        _ => None,
    };
    match read {
        Ok(read) => assert_eq!(read.as_deref(), expected.as_deref()),
        Err(error) => {
            assert_eq!(error, ParseError::Utf8);
            assert!(expected.is_some_and(|expected| expected.contains('\u{fffd}')));
        }
    }
}

fn replaced(text: &str) -> String {
    // /(\\)?\\n/g: a line feed, unless a backslash precedes it.
    let mut first = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let (replacement, length) = if rest.starts_with(r"\\n") {
            (r"\\n", 3)
        } else if rest.starts_with(r"\n") {
            ("\n", 2)
        } else {
            (&rest[..character.len_utf8()], character.len_utf8())
        };
        first.push_str(replacement);
        rest = &rest[length..];
    }
    // /\\\\n/g
    first.replace(r"\\n", r"\n")
}
