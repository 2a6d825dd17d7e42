//! The opening handshake: arbitrary headers compared with a model, and both sides with each other.

use arbitrary::{Result, Unstructured};
use engineio_websocket::handshake::{ClientHandshake, RequestError, ResponseError, accept, accept_key, protocols};

use crate::input::short;

const NAMES: [&str; 8] = [
    "Upgrade",
    "connection",
    "Sec-WebSocket-Version",
    "sec-websocket-KEY",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "Host",
];
const VALUES: [&str; 18] = [
    "websocket",
    "Upgrade",
    "13",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "keep-alive, upgrade",
    "WEBSOCKET",
    " 13\t",
    "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "chat",
    "",
    "h2c, websocket/13",
    "12",
    "AQIDBAUGBwgJCgsMDQ4PEC==",
    "AQIDBAUGBwgJCgsMDQ4PEC=",
    "AQIDBAUGBwgJCgsMDQ4PE-==",
    "superchat, chat",
    "chat,,x",
    "b",
];

/// Input: headers. Each has a byte for the name, and a byte for the value or the value itself.
pub fn websocket_handshake(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let status = if input.arbitrary::<bool>()? { 101 } else { 100 + u16::from(input.arbitrary::<u8>()?) };
    let mut headers: Vec<(&str, Vec<u8>)> = Vec::new();
    while !input.is_empty() && headers.len() < 30 {
        let name = *input.choose(&NAMES)?;
        let value = input.choose_index(VALUES.len() + 2)?;
        let value = match VALUES.get(value) {
            Some(value) => value.as_bytes(),
            None => short(&mut input)?,
        };
        headers.push((name, value.to_vec()));
    }
    let pairs = || headers.iter().map(|(name, value)| (name, value));
    let request = accept(pairs());
    let keys: Vec<&[u8]> = values(&headers, "sec-websocket-key");
    let versions: Vec<&[u8]> = values(&headers, "sec-websocket-version");
    let asks = ["upgrade", "connection"].map(|name| {
        let token = if name == "upgrade" { "websocket" } else { "upgrade" };
        let lists = values(&headers, name).into_iter();
        lists
            .flat_map(|list| list.split(|byte| *byte == b','))
            .any(|one| one.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    });
    let offers = values(&headers, "sec-websocket-protocol");
    let offered: Vec<_> =
        offers.iter().flat_map(|list| list.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect();
    let expected = if asks != [true, true] {
        Err(RequestError::NotAnUpgrade)
    } else if versions.len() != 1 {
        Err(RequestError::MissingVersion)
    } else if versions != [b"13"] {
        Err(RequestError::UnsupportedVersion)
    } else if keys.len() != 1 || !is_key(keys[0]) {
        Err(RequestError::Key)
    } else if offered.iter().enumerate().any(|(at, one)| !is_token(one) || offered[..at].contains(one)) {
        Err(RequestError::Protocol)
    } else {
        Ok(accept_key(keys[0]))
    };
    let tokens = offered.iter().filter(|one| is_token(one)).map(|one| str::from_utf8(one).expect("tokens are ASCII"));
    assert_eq!(protocols(pairs()).collect::<Vec<_>>(), tokens.collect::<Vec<_>>());
    assert_eq!(request, expected, "{headers:?}");
    if let Err(error) = request {
        assert_eq!(error.status() == 426, !error.headers().is_empty());
    }
    let client = ClientHandshake::new([7; 16]).with_protocols(&["chat", "superchat"]);
    match client.check(status, pairs()) {
        Ok(protocol) => assert!(
            status == 101
                && values(&headers, "sec-websocket-accept").contains(&accept_key(client.key().as_bytes()).as_bytes())
                && matches!((protocol, &offers[..]), (Some(one), [all]) if one.as_bytes() == *all)
        ),
        Err(ResponseError::Status(refused)) => assert_eq!(refused, status),
        Err(_) => {}
    }
    // Each side accepts the output of the other.
    let answer = accept(client.headers()).expect("a valid request");
    let selected = protocols(client.headers()).last().expect("an offered protocol");
    let answer = answer.to_http1(Some(selected));
    let lines = str::from_utf8(&answer).expect("text").lines().filter_map(|line| line.split_once(": "));
    assert_eq!(client.check(101, lines), Ok(Some("superchat")));
    Ok(())
}

/// Returns whether the value is a token according to RFC 9110 section 5.6.2: visible ASCII without delimiters.
fn is_token(value: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
    !value.is_empty() && value.iter().all(is_part)
}

/// Returns whether the value matches `[+/0-9A-Za-z]{22}==`.
fn is_key(value: &[u8]) -> bool {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    value.len() == 24 && value[..22].iter().all(|byte| ALPHABET.contains(byte)) && value[22..] == *b"=="
}

fn values<'a>(headers: &'a [(&str, Vec<u8>)], name: &str) -> Vec<&'a [u8]> {
    headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim_ascii()).collect()
}
