//! Routing of requests, and the answers to refused ones: codes and bodies match the reference byte for byte.

#![allow(clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic")]

use engineio_proto::server::{Input, Refusal, RequestKind, Route, Server, Transmit};
use engineio_proto::{Config, Instant, LinkId, LinkKind, RequestHead, RequestId, Response, Sid, Transports};
use proptest::prelude::*;

const GET: RequestHead<'static> = RequestHead { method: "GET", query: "", origin: None, websocket: false };

fn server() -> Server {
    Server::new(Config::default())
}

fn get(query: &str) -> RequestHead<'_> {
    RequestHead { query, ..GET }
}

fn upgrade(query: &str) -> RequestHead<'_> {
    RequestHead { query, websocket: true, ..GET }
}

fn refused(head: &RequestHead<'_>) -> Response {
    match server().route(head) {
        Route::Reply(response) => response,
        other => panic!("{head:?} was routed to {other:?}"),
    }
}

/// Returns the link kind of the handshake.
fn opens(head: &RequestHead<'_>) -> Option<LinkKind> {
    match server().route(head) {
        Route::Open(handshake) => handshake.link(),
        other => panic!("{head:?} was routed to {other:?}"),
    }
}

fn asks(head: &RequestHead<'_>) -> (String, RequestKind) {
    match server().route(head) {
        Route::Session { sid, session_request } => (sid.to_string(), session_request.kind()),
        other => panic!("{head:?} was routed to {other:?}"),
    }
}

const CODES: [(u8, &str); 6] = [
    (0, "Transport unknown"),
    (1, "Session ID unknown"),
    (2, "Bad handshake method"),
    (3, "Bad request"),
    (4, "Forbidden"),
    (5, "Unsupported protocol version"),
];

fn assert_json(response: &Response, status: u16, code: u8) {
    let message = CODES[usize::from(code)].1;
    assert_eq!(response.body(), format!(r#"{{"code":{code},"message":"{message}"}}"#).as_bytes());
    assert_eq!(response.status(), status);
    assert_eq!(response.headers(), [("content-type", "application/json")]);
}

fn assert_raw(response: &Response, status: u16, message: &str) {
    assert_eq!(response.body(), message);
    assert_eq!(response.status(), status);
    assert_eq!(response.headers(), [("connection", "close"), ("content-type", "text/html")]);
}

/// Asserts that the request is refused with this code, over HTTP and over WebSocket.
fn assert_refused(head: &RequestHead<'_>, code: u8) {
    let http = refused(&RequestHead { websocket: false, ..*head });
    assert_json(&http, 400, code);
    assert_raw(&refused(&RequestHead { websocket: true, ..*head }), 400, CODES[usize::from(code)].1);
}

#[test]
fn every_refusal_has_its_code_status_and_body() {
    let refusals = [
        (Refusal::UnknownTransport, 400),
        (Refusal::UnknownSid, 400),
        (Refusal::BadHandshakeMethod, 400),
        (Refusal::BadRequest, 400),
        (Refusal::Forbidden(""), 403),
        (Refusal::UnsupportedVersion, 400),
    ];
    for ((refusal, status), (code, message)) in refusals.into_iter().zip(CODES) {
        assert_eq!(refusal.code(), code);
        assert_json(&refusal.response(false), status, code);
        assert_raw(&refusal.response(true), status, message);
    }
}

#[test]
fn item_1_a_transport_that_is_unknown_missing_or_disabled_is_code_0() {
    for transport in ["constructor", "__proto__", "abc", "", "Polling", "webtransport"] {
        assert_refused(&get(&format!("EIO=4&transport={transport}")), 0);
        assert_refused(&get(&format!("EIO=4&transport={transport}&sid=abc")), 0);
    }
    assert_refused(&get("EIO=4"), 0);
    assert_refused(&get(""), 0);
    let mut config = Config::default();
    config.transports = Transports { polling: false, websocket: true, webtransport: true };
    for transport in ["polling", "webtransport"] {
        let route = Server::new(config.clone()).route(&get(&format!("EIO=4&transport={transport}")));
        assert!(matches!(route, Route::Reply(response) if response.status() == 400), "{transport}");
    }
}

#[test]
fn item_2_a_malformed_id_is_unknown() {
    for sid in ["a%20b", "%2e%2f", "\u{e9}", "0123456789012345678901234567890123456789"] {
        for transport in ["polling", "websocket"] {
            assert_refused(&get(&format!("EIO=4&transport={transport}&sid={sid}")), 1);
        }
    }
    let Route::Session { session_request, .. } = server().route(&upgrade("EIO=4&transport=websocket&sid=gone")) else {
        panic!()
    };
    assert_raw(&session_request.refuse(Refusal::UnknownSid), 400, "Session ID unknown");
    let Route::Session { session_request, .. } = server().route(&get("EIO=4&transport=polling&sid=gone")) else {
        panic!()
    };
    assert_json(&session_request.refuse(Refusal::UnknownSid), 400, 1);
}

#[test]
fn items_3_and_4_the_application_may_refuse_with_its_own_message() {
    let Route::Open(handshake) = server().route(&get("EIO=4&transport=polling")) else { panic!() };
    let response = handshake.refuse(Refusal::Forbidden("no \"guests\"\r\n\u{1}\\ \u{20ac}"));
    assert_eq!(response.status(), 403);
    assert_eq!(response.body(), r#"{"code":4,"message":"no \"guests\"\r\n\u0001\\ €"}"#);

    let Route::Open(handshake) = server().route(&upgrade("EIO=4&transport=websocket")) else { panic!() };
    assert_raw(&handshake.refuse(Refusal::Forbidden("no guests")), 403, "no guests");

    let Route::Open(handshake) = server().route(&get("EIO=4&transport=polling")) else { panic!() };
    assert_json(&handshake.refuse(Refusal::Forbidden("")), 403, 4);
}

#[test]
fn a_server_that_is_shutting_down_answers_503() {
    let response = Refusal::Unavailable.response(false);
    assert_eq!((response.status(), &response.body()[..]), (503, &br#"{"code":3,"message":"Service unavailable"}"#[..]));
    assert_raw(&Refusal::Unavailable.response(true), 503, "Service unavailable");
}

#[test]
fn item_8_the_driver_gives_the_id_and_refuses_with_code_3_when_it_has_none() {
    for (head, link) in [(get("EIO=4&transport=polling"), false), (upgrade("EIO=4&transport=websocket"), true)] {
        let Route::Open(handshake) = server().route(&head) else { panic!() };
        let mut session = handshake.accept(Instant::ZERO, Sid::new("custom-id").unwrap());
        let input = if link {
            Input::LinkUp { link: LinkId(1), kind: LinkKind::WebSocket }
        } else {
            Input::Get { request: RequestId(1) }
        };
        session.handle(Instant::ZERO, input);
        let packet = match session.poll_transmit() {
            Some(Transmit::Reply { response, .. }) => response.body().clone(),
            Some(Transmit::Link { frame, .. }) => [frame.head(), frame.data()].concat().into(),
            other => panic!("{other:?}"),
        };
        assert!(packet.starts_with(br#"0{"sid":"custom-id","#), "{packet:?}");

        let Route::Open(handshake) = server().route(&head) else { panic!() };
        let refused = handshake.refuse(Refusal::BadRequest);
        if link { assert_raw(&refused, 400, "Bad request") } else { assert_json(&refused, 400, 3) }
    }
}

#[test]
fn item_9_an_origin_with_control_characters_is_code_3() {
    for (origin, good) in [
        (&b"http://a.example"[..], true),
        (b"", true),
        (b"a\tb", true),
        (b"\x80\xff", true),
        (b"a\x00b", false),
        (b"a\nb", false),
        (b"\x1f", false),
        (b"\x7f", false),
    ] {
        for query in ["EIO=4&transport=polling", "EIO=4&transport=polling&sid=abc"] {
            let head = RequestHead { origin: Some(origin), ..get(query) };
            match server().route(&head) {
                Route::Reply(response) if !good => assert_json(&response, 400, 3),
                Route::Open(_) | Route::Session { .. } if good => {}
                other => panic!("{origin:?} was routed to {other:?}"),
            }
        }
    }
}

#[test]
fn only_a_get_opens_a_session() {
    for method in ["POST", "HEAD", "PUT", "OPTIONS", "DELETE", "get", ""] {
        assert_refused(&RequestHead { method, ..get("EIO=4&transport=polling") }, 2);
        assert_refused(&RequestHead { method, ..get("EIO=4&transport=websocket") }, 2);
    }
}

#[test]
fn a_websocket_comes_as_an_upgrade_and_nothing_else_does() {
    assert_json(&refused(&get("EIO=4&transport=websocket")), 400, 3);
    assert_raw(&refused(&upgrade("EIO=4&transport=polling")), 400, "Bad request");
}

#[test]
fn any_revision_but_exactly_4_is_code_5() {
    for revision in ["EIO=3", "EIO=5", "EIO=abc", "EIO=", "EIO=04", "EIO=4%20", "EIO=+4", "x=1"] {
        assert_json(&refused(&get(&format!("{revision}&transport=polling"))), 400, 5);
        assert_raw(&refused(&upgrade(&format!("{revision}&transport=websocket"))), 400, "Unsupported protocol version");
    }
}

#[test]
fn the_first_error_in_the_references_order_is_the_answer() {
    let bad_origin = RequestHead { method: "POST", origin: Some(b"\0"), ..GET };
    assert_json(&refused(&RequestHead { query: "EIO=9&transport=x&sid=%20", ..bad_origin }), 400, 0);
    assert_json(&refused(&RequestHead { query: "EIO=9&transport=polling&sid=%20", ..bad_origin }), 400, 3);
    let post = RequestHead { method: "POST", ..GET };
    assert_json(&refused(&RequestHead { query: "EIO=9&transport=websocket&sid=%20", ..post }), 400, 1);
    assert_json(&refused(&RequestHead { query: "EIO=9&transport=websocket", ..post }), 400, 2);
    assert_json(&refused(&get("EIO=9&transport=websocket")), 400, 3);
    assert_json(&refused(&get("EIO=9&transport=polling")), 400, 5);
}

#[test]
fn a_handshake_opens_a_session() {
    assert_eq!(opens(&get("EIO=4&transport=polling&t=x&b64=1")), None);
    assert_eq!(opens(&upgrade("EIO=4&transport=websocket")), Some(LinkKind::WebSocket));
    assert_eq!(opens(&get("EIO=4&transport=polling&sid=")), None, "an empty id is ignored");
    assert_eq!(opens(&get("EIO=3&transport=x&EIO=4&transport=p%6flling")), None, "the last one wins");
}

#[test]
fn a_request_to_a_session_contains_its_id_and_its_kind() {
    let polling = "EIO=4&transport=polling&sid=abc";
    assert_eq!(asks(&get(polling)), ("abc".into(), RequestKind::Get));
    assert_eq!(asks(&RequestHead { method: "POST", ..get(polling) }), ("abc".into(), RequestKind::Post));
    assert_eq!(
        asks(&upgrade("EIO=4&transport=websocket&sid=abc")),
        ("abc".into(), RequestKind::Link(LinkKind::WebSocket))
    );
    assert_eq!(asks(&get("sid=%61bc&EIO=4&transport=polling&sid=d%65f")), ("def".into(), RequestKind::Get));
}

#[test]
fn item_19_another_method_is_left_to_the_session() {
    for method in ["HEAD", "PUT", "OPTIONS", "DELETE"] {
        assert_eq!(asks(&RequestHead { method, ..get("EIO=4&transport=polling&sid=abc") }).1, RequestKind::Other);
    }
}

proptest! {
    #[test]
    fn any_query_is_routed(
        query in "((transport|EIO|sid|b64|[a-z%+]{0,5})=?(polling|websocket|4|[%+a-zA-Z0-9\u{e9}]{0,8})&?){0,6}",
        method in "(GET|POST|PUT|.{0,3})",
        origin in prop::option::of(prop::collection::vec(any::<u8>(), 0..5)),
        websocket: bool,
    ) {
        let head = RequestHead { method: &method, query: &query, origin: origin.as_deref(), websocket };
        if let Route::Reply(response) = server().route(&head) {
            prop_assert_eq!(response.status(), 400);
        }
    }
}

#[test]
fn jsonp_is_refused_if_it_is_off() {
    let mut config = Config::default();
    config.allow_jsonp = false;
    let server = Server::new(config);
    let Route::Reply(response) = server.route(&get("EIO=4&transport=polling&j=0")) else { panic!("it was accepted") };
    assert_json(&response, 400, 0);
    assert!(matches!(server.route(&get("EIO=4&transport=polling")), Route::Open(_)));
    assert_eq!(opens(&get("EIO=4&transport=polling&j=0")), None);
}
