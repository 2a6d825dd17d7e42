//! The opening handshake of server and client.

use engineio_websocket::handshake::{
    ClientHandshake, RequestError, ResponseError, accept, accept_key, deflate, protocols,
};

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
    assert_eq!(protocols(offering(&["x y, z,"])).collect::<Vec<_>>(), ["z"], "values that are not tokens are ignored");
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

const TERMS: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The answer to these `Sec-WebSocket-Extensions` headers.
fn answer(lines: &[&str]) -> Option<String> {
    let headers = lines.iter().map(|line| ("sec-websocket-EXTENSIONS", *line));
    deflate([("Host", "example.com")].into_iter().chain(headers)).map(|agreed| agreed.response())
}

#[test]
fn the_first_good_offer_of_compression_is_accepted_without_context_takeover() {
    for offer in [
        &["permessage-deflate"][..],
        // Chromium, Firefox and Node's `ws`.
        &["permessage-deflate; client_max_window_bits"],
        &["permessage-deflate; client_max_window_bits=10"],
        &["permessage-deflate;server_no_context_takeover;client_no_context_takeover"],
        &["permessage-deflate; server_no_context_takeover; client_max_window_bits; client_no_context_takeover"],
        &["x-webkit-deflate-frame, permessage-deflate"],
        &["foo; bar; baz=\"quoted\\ly\"; q=1, permessage-deflate"],
        &["foo", "bar", "permessage-deflate ; client_max_window_bits"],
        &[", ,permessage-deflate,,"],
        &["\tpermessage-deflate\t"],
        &["", "permessage-deflate"],
        // The first one is declined.
        &["permessage-deflate; level=9, permessage-deflate"],
        &["permessage-deflate; level=9", "permessage-deflate"],
        &["permessage-deflate; client_max_window_bits=\"15\""],
        &["permessage-deflate; client_max_window_bits=\"\\1\\0\""],
        &["permessage-deflate; client_max_window_bits = 9"],
        &["permessage-deflate, permessage-deflate; server_max_window_bits=10"],
    ] {
        assert_eq!(answer(offer).as_deref(), Some(TERMS), "{offer:?}");
    }
}

#[test]
fn a_limit_of_the_servers_reach_is_confirmed() {
    for bits in 8..=15 {
        for (open, close) in [("", ""), ("\"", "\""), ("\"\\", "\"")] {
            let offer = format!("permessage-deflate; server_max_window_bits={open}{bits}{close}");
            assert_eq!(answer(&[&offer]), Some(format!("{TERMS}; server_max_window_bits={bits}")), "{offer}");
        }
    }
}

#[test]
fn an_offer_with_anything_unknown_repeated_or_invalid_is_declined() {
    for parameters in [
        "level=9",
        "level",
        "server_no_context_takeover=1",
        "client_no_context_takeover=\"x\"",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits; client_max_window_bits=9",
        "server_max_window_bits=9; server_max_window_bits=9",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=08",
        "server_max_window_bits=010",
        "server_max_window_bits=1",
        "server_max_window_bits=100",
        "server_max_window_bits=-9",
        "server_max_window_bits=9.0",
        "server_max_window_bits=x",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=0x9",
        "Client_max_window_bits",
    ] {
        assert_eq!(answer(&[&format!("permessage-deflate; {parameters}")]), None, "{parameters}");
    }
    for other in ["", "x", "permessage-bzip2", "permessage-deflate2", "Permessage-Deflate", "permessage"] {
        assert_eq!(answer(&[other]), None, "{other}");
    }
    assert_eq!(answer(&[]), None);
}

#[test]
fn nothing_is_accepted_out_of_a_header_that_is_no_list_of_extensions() {
    for header in [
        ";",
        "=",
        "\"permessage-deflate\"",
        "permessage-deflate;",
        "permessage-deflate; ;",
        "permessage-deflate;=9",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits==9",
        "permessage-deflate; client_max_window_bits=\"9",
        "permessage-deflate; client_max_window_bits=\"\"",
        "permessage-deflate; client_max_window_bits=\"9 \"",
        "permessage-deflate; client_max_window_bits=\"9\\\"",
        "permessage-deflate; client_max_window_bits=9 9",
        "permessage-deflate client_max_window_bits",
        "permessage-deflate, foo bar",
        "permessage-deflate, foo; bar=\"",
        "permessage-deflate, \u{e4}",
    ] {
        assert_eq!(answer(&[header]), None, "{header}");
        assert_eq!(answer(&["permessage-deflate", header]), None, "{header}");
    }
}

#[test]
fn a_client_takes_compression_only_on_the_terms_that_it_offered() {
    let client = ClientHandshake::new([7; 16]);
    let offering = client.clone().with_deflate();
    assert!(offering.headers().any(|header| header == ("Sec-WebSocket-Extensions", TERMS)));
    let right = accept_key(client.key().as_bytes());
    let response = |extensions: &[&'static str]| {
        let headers = [("Upgrade", "websocket"), ("Connection", "upgrade"), ("Sec-WebSocket-Accept", right.as_str())];
        let extensions = extensions.iter().map(|value| ("sec-websocket-extensions", *value));
        headers.into_iter().chain(extensions).collect::<Vec<_>>()
    };
    for (extensions, expected) in [
        (&[][..], Ok(false)),
        (&[""], Ok(false)),
        (&[TERMS], Ok(true)),
        (&["permessage-deflate; server_no_context_takeover"], Ok(true)),
        (&["permessage-deflate; server_no_context_takeover; server_max_window_bits=9"], Ok(true)),
        // The server would refer to earlier messages.
        (&["permessage-deflate"], Err(ResponseError::Extension)),
        (&["permessage-deflate; client_no_context_takeover"], Err(ResponseError::Extension)),
        // Only a client that has offered to limit its reach can be asked to.
        (&["permessage-deflate; server_no_context_takeover; client_max_window_bits=15"], Err(ResponseError::Extension)),
        (&["permessage-deflate; server_no_context_takeover; level=9"], Err(ResponseError::Extension)),
        (&["permessage-deflate; server_no_context_takeover; server_max_window_bits"], Err(ResponseError::Extension)),
        (&[TERMS, TERMS], Err(ResponseError::Extension)),
        (&[TERMS, "other"], Err(ResponseError::Extension)),
        (&["other"], Err(ResponseError::Extension)),
        (&["permessage-deflate; server_no_context_takeover;"], Err(ResponseError::Extension)),
    ] {
        let headers = response(extensions);
        let checked = offering.check(101, headers.iter().copied());
        let agreed = offering.deflate(headers.iter().copied());
        assert_eq!(checked.map(|_| agreed.is_some()), expected, "{extensions:?}");
        let without = client.check(101, headers.iter().copied()).is_ok();
        assert_eq!(without, matches!(extensions, [] | [""]), "not offered: {extensions:?}");
        assert_eq!(client.deflate(headers.iter().copied()), None);
    }
}
