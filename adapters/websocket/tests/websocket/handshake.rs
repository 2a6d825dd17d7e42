//! The opening handshake, server and client half.

use engineio_websocket::handshake::{ClientHandshake, RequestError, ResponseError, accept, accept_key, protocols};

type Headers = Vec<(&'static str, &'static str)>;

fn request() -> Headers {
    vec![
        ("Host", "example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ]
}

/// The request with one header changed or left out.
fn with(name: &str, value: Option<&'static str>) -> Headers {
    let change = |(key, old): (&'static str, &'static str)| {
        if key == name { value.map(|value| (key, value)) } else { Some((key, old)) }
    };
    request().into_iter().filter_map(change).collect()
}

#[test]
fn the_example_of_rfc_6455_section_1_3_is_accepted() {
    assert_eq!(accept(request()).unwrap().as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn the_answer_can_be_had_as_bytes() {
    let key = accept(request()).unwrap();
    for protocol in [None, Some("chat")] {
        let bytes = key.to_http1(protocol);
        let head = std::str::from_utf8(&bytes).unwrap().strip_suffix("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        assert_eq!(lines.next(), Some("HTTP/1.1 101 Switching Protocols"));
        let mut expected = vec![
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        expected.extend(protocol.map(|protocol| ("Sec-WebSocket-Protocol", protocol)));
        assert_eq!(lines.map(|line| line.split_once(": ").unwrap()).collect::<Vec<_>>(), expected);
    }
}

/// The request with these `Sec-WebSocket-Protocol` headers.
fn offering(lines: &[&'static str]) -> Headers {
    request().into_iter().chain(lines.iter().map(|line| ("sec-websocket-PROTOCOL", *line))).collect()
}

#[test]
fn what_a_client_offers_comes_in_its_order_out_of_all_lines_and_lists() {
    for (lines, expected) in [
        (&[][..], &[][..]),
        (&["x"], &["x"]),
        (&["y,x"], &["y", "x"]),
        (&["  chat\t,  superchat "], &["chat", "superchat"]),
        (&["b", "a, c"], &["b", "a", "c"]),
        // Names that differ only in case are different.
        (&["x, X"], &["x", "X"]),
        (&["v10.stomp, graphql-ws!#$%&'*+-.^_`|~"], &["v10.stomp", "graphql-ws!#$%&'*+-.^_`|~"]),
    ] {
        assert!(accept(offering(lines)).is_ok(), "{lines:?}");
        assert_eq!(protocols(offering(lines)).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn an_offer_that_is_no_list_of_different_tokens_gets_400() {
    for lines in [
        &[""][..],
        &[","],
        &["x,"],
        &[",x"],
        &["x,,y"],
        &["x y"],
        &["a@b"],
        &["\"x\""],
        &["\u{e4}"],
        &["x, y, x"],
        &["b", ""],
        &["b", "a, b"],
    ] {
        let error = accept(offering(lines)).unwrap_err();
        assert_eq!((error, error.status()), (RequestError::Protocol, 400), "{lines:?}");
        assert!(error.headers().is_empty());
    }
    assert_eq!(protocols(offering(&["x y, z,"])).collect::<Vec<_>>(), ["z"], "what is no token is left out");
}

#[test]
fn every_other_fault_of_a_request_counts_before_its_offer() {
    for (name, value, expected) in [
        ("Upgrade", "h2c", RequestError::NotAnUpgrade),
        ("Sec-WebSocket-Version", "8", RequestError::UnsupportedVersion),
        ("Sec-WebSocket-Key", "x", RequestError::Key),
    ] {
        let mut headers = with(name, Some(value));
        headers.push(("Sec-WebSocket-Protocol", ","));
        assert_eq!(accept(headers), Err(expected));
    }
}

#[test]
fn names_and_tokens_may_have_any_case_and_lists_may_have_several_elements() {
    let headers = [
        (&b"UPGRADE"[..], &b" WebSocket "[..]),
        (b"connection", b"keep-alive"),
        (b"connection", b"foo ,  uPGRADE"),
        (b"sec-websocket-key", b" dGhlIHNhbXBsZSBub25jZQ== "),
        (b"sec-websocket-version", b"13"),
    ];
    assert_eq!(accept(headers).unwrap().as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_request_that_is_no_upgrade_gets_400() {
    for headers in [
        with("Upgrade", None),
        with("Upgrade", Some("h2c")),
        with("Connection", None),
        with("Connection", Some("close")),
    ] {
        let error = accept(headers).unwrap_err();
        assert_eq!((error, error.status()), (RequestError::NotAnUpgrade, 400));
        assert!(error.headers().is_empty());
    }
}

#[test]
fn another_version_gets_426_and_is_told_the_right_one() {
    for version in ["8", "14", "013", "13, 8", ""] {
        let error = accept(with("Sec-WebSocket-Version", Some(version))).unwrap_err();
        assert_eq!((error, error.status()), (RequestError::UnsupportedVersion, 426));
        assert!(error.headers().contains(&("Sec-WebSocket-Version", "13")));
        assert!(error.headers().contains(&("Upgrade", "websocket")));
    }
}

#[test]
fn a_missing_or_repeated_version_gets_400() {
    let mut twice = request();
    twice.push(("Sec-WebSocket-Version", "13"));
    for headers in [with("Sec-WebSocket-Version", None), twice] {
        let error = accept(headers).unwrap_err();
        assert_eq!((error, error.status()), (RequestError::MissingVersion, 400));
    }
}

#[test]
fn the_example_of_rfc_6455_section_4_1_is_a_key_although_its_last_bits_are_set() {
    let accepted = accept(with("Sec-WebSocket-Key", Some("AQIDBAUGBwgJCgsMDQ4PEC==")));
    assert_eq!(accepted.unwrap().as_str(), "OfS0wDaT5NoxF2gqm7Zj2YtetzM=");
    assert!(accept(with("Sec-WebSocket-Key", Some("//++0000zzzzZZZZaaaaAA=="))).is_ok());
}

#[test]
fn a_key_is_22_characters_of_base64_and_two_equals_signs_and_comes_once() {
    let mut twice = request();
    twice.push(("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="));
    let mut bad = vec![with("Sec-WebSocket-Key", None), twice];
    for key in [
        "",
        "x",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZTE=",
        "!!!!IHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ==A",
        "dGhl IHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25j_-==",
    ] {
        bad.push(with("Sec-WebSocket-Key", Some(key)));
    }
    bad.push(with("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZSB3aXRoIG1hbnkgbW9yZSBieXRlcw==")));
    for headers in bad {
        let error = accept(headers).unwrap_err();
        assert_eq!((error, error.status()), (RequestError::Key, 400));
    }
}

#[test]
fn both_halves_agree() {
    let client = ClientHandshake::new(*b"sixteen bytes!!!");
    let accepted = accept(client.headers()).unwrap();
    let response = [("upgrade", "WebSocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accepted.as_str())];
    assert_eq!(client.check(101, response), Ok(None));
    assert_eq!(protocols(client.headers()).next(), None);
    let offering = client.with_protocols(&["superchat", "chat"]);
    assert_eq!(accept(offering.headers()), Ok(accepted));
    assert_eq!(protocols(offering.headers()).collect::<Vec<_>>(), ["superchat", "chat"]);
}

#[test]
fn a_client_refuses_every_other_answer() {
    let client = ClientHandshake::new([7; 16]);
    let right = accept_key(client.key().as_bytes());
    let response = |status, headers: &[(&str, &str)]| client.check(status, headers.iter().copied());
    let upgrade = ("Upgrade", "websocket");
    let connection = ("Connection", "upgrade");
    let accept = ("Sec-WebSocket-Accept", right.as_str());
    assert_eq!(response(101, &[upgrade, connection, accept]), Ok(None));
    assert_eq!(response(200, &[upgrade, connection, accept]), Err(ResponseError::Status(200)));
    assert_eq!(response(101, &[connection, accept]), Err(ResponseError::NotAnUpgrade));
    assert_eq!(response(101, &[upgrade, accept]), Err(ResponseError::NotAnUpgrade));
    assert_eq!(response(101, &[upgrade, connection]), Err(ResponseError::Accept));
    let wrong = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(response(101, &[upgrade, connection, wrong]), Err(ResponseError::Accept));
    assert_eq!(response(101, &[upgrade, connection, wrong, accept]), Err(ResponseError::Accept));
    let deflate = ("Sec-WebSocket-Extensions", "permessage-deflate");
    assert_eq!(response(101, &[upgrade, connection, accept, deflate]), Err(ResponseError::Extension));
    let protocol = ("Sec-WebSocket-Protocol", "chat");
    assert_eq!(response(101, &[upgrade, connection, accept, protocol]), Err(ResponseError::Protocol));
    let offering = client.clone().with_protocols(&["superchat", "chat"]);
    assert_eq!(offering.check(101, [upgrade, connection, accept, protocol]), Ok(Some("chat")));
    assert_eq!(offering.check(101, [upgrade, connection, accept]), Err(ResponseError::NoProtocol));
    for value in ["", "Chat", "other", "chat, superchat"] {
        let other = ("sec-websocket-protocol", value);
        assert_eq!(offering.check(101, [upgrade, connection, accept, other]), Err(ResponseError::Protocol), "{value}");
    }
    assert_eq!(offering.check(101, [upgrade, connection, accept, protocol, protocol]), Err(ResponseError::Protocol));
}
