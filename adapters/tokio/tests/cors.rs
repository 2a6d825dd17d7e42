//! CORS, and the check of origins of WebSocket handshakes. The headers are those that the reference sends with the same options (socket.io
//! 4.8, npm `cors` 2.8).
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod support;

use std::time::Duration;

use socketio_tokio::{Cors, EngineServer, Origins, Server};
use support::Host;
use support::http::{Response, exchange, request};
use support::peers::PATH;
use support::websocket::opening;

const GOOD: &str = "https://a.example";
const BAD: &str = "https://b.example";

/// The headers that belong to CORS, sorted.
fn cors(response: &Response) -> Vec<(&str, &str)> {
    let headers = response.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers: Vec<_> =
        headers.filter(|(name, _)| *name == "vary" || name.starts_with("access-control-")).collect();
    headers.sort_unstable();
    headers
}

fn from(method: &str, query: &str, origin: &str) -> String {
    let headers =
        [("Origin", origin), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "x-a,x-b")];
    let headers = if method == "OPTIONS" { &headers[..] } else { &headers[..1] };
    request(method, &format!("{PATH}?{query}"), if origin.is_empty() { &headers[1..] } else { headers }, "")
}

const HANDSHAKE: &str = "EIO=4&transport=polling";

#[tokio::test]
async fn without_the_option_there_are_no_headers_and_no_preflight() {
    let host = Host::start(Server::new()).await;
    let response = exchange(host.address, from("GET", HANDSHAKE, GOOD)).await;
    assert_eq!((response.status, cors(&response)), (200, vec![]));
    let response = exchange(host.address, from("OPTIONS", HANDSHAKE, GOOD)).await;
    assert_eq!((response.status, cors(&response)), (400, vec![]));
}

#[tokio::test]
async fn r13_a_preflight_is_answered_before_anything_is_checked() {
    let host = Host::start(Server::builder().cors(Cors::new(Origins::any())).build()).await;
    let expected = vec![
        ("access-control-allow-headers", "x-a,x-b"),
        ("access-control-allow-methods", "GET,HEAD,PUT,PATCH,POST,DELETE"),
        ("access-control-allow-origin", "*"),
        ("vary", "Access-Control-Request-Headers"),
    ];
    for query in [HANDSHAKE, "", "EIO=9&transport=none", "EIO=4&transport=polling&sid=nobody"] {
        let response = exchange(host.address, from("OPTIONS", query, GOOD)).await;
        assert_eq!((response.status, cors(&response), response.text()), (204, expected.clone(), ""), "{query}");
        // RFC 9110 section 8.6 forbids the length of zero that the reference sends.
        assert_eq!(response.header("content-length"), None);
    }
    let response = exchange(host.address, from("GET", HANDSHAKE, GOOD)).await;
    assert_eq!((response.status, cors(&response)), (200, vec![("access-control-allow-origin", "*")]));
}

#[tokio::test]
async fn r13_every_option_has_its_header_and_an_origin_that_is_not_allowed_is_not_named() {
    let options = Cors::new([GOOD])
        .credentials(true)
        .methods(["GET", "POST"])
        .allowed_headers(["x-a"])
        .exposed_headers(["x-e", "x-f"])
        .max_age(Duration::from_secs(600));
    let host = Host::start(EngineServer::builder().path(PATH).cors(options).build()).await;
    let allowed = ("access-control-allow-origin", GOOD);
    let actual = [
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-e,x-f"),
        ("vary", "Origin"),
    ];
    let preflight = [
        ("access-control-allow-headers", "x-a"),
        ("access-control-allow-methods", "GET,POST"),
        ("access-control-max-age", "600"),
    ];
    for (method, origin) in
        [("OPTIONS", GOOD), ("OPTIONS", BAD), ("OPTIONS", ""), ("GET", GOOD), ("GET", BAD), ("GET", "")]
    {
        let response = exchange(host.address, from(method, HANDSHAKE, origin)).await;
        let mut expected = actual.to_vec();
        if method == "OPTIONS" {
            expected.extend(preflight);
        }
        if origin == GOOD {
            expected.push(allowed);
        }
        expected.sort_unstable();
        assert_eq!(cors(&response), expected, "{method} {origin}");
    }
}

#[tokio::test]
async fn an_origin_is_mirrored_or_decided_by_a_function() {
    let mirrored = Host::start(Server::builder().cors(Cors::new(Origins::mirrored())).build()).await;
    let decided = Origins::by(|origin, request| {
        assert!(!request.headers.contains_key("x-panic"), "on purpose");
        origin == GOOD
    });
    let decided = Host::start(Server::builder().cors(Cors::new(decided)).build()).await;
    let named = |origin| vec![("access-control-allow-origin", origin), ("vary", "Origin")];
    for (host, origin, expected) in [
        (&mirrored, GOOD, named(GOOD)),
        (&mirrored, BAD, named(BAD)),
        (&decided, GOOD, named(GOOD)),
        (&decided, BAD, vec![("vary", "Origin")]),
    ] {
        let response = exchange(host.address, from("GET", HANDSHAKE, origin)).await;
        assert_eq!((response.status, cors(&response)), (200, expected));
    }
    let panics = from("GET", HANDSHAKE, GOOD).replace("Host: test", "Host: test\r\nX-Panic: 1");
    let response = exchange(decided.address, panics).await;
    assert_eq!((response.status, cors(&response)), (200, vec![("vary", "Origin")]));
}

#[tokio::test]
async fn r14_refusals_have_the_headers_and_so_has_the_101() {
    let server = Server::builder().cors(Cors::new(GOOD)).max_payload(100).max_head_bytes(2000).build();
    let host = Host::start(server).await;
    let expected = vec![("access-control-allow-origin", GOOD), ("vary", "Origin")];
    let session = support::peers::Polling::open(host.address).await;
    let large = "4".repeat(101);
    let post = request("POST", &session.target(), &[("Origin", GOOD)], &large);
    let head = from("GET", HANDSHAKE, GOOD).replace("Host: test", &format!("Host: test\r\nX: {}", "y".repeat(2000)));
    let websocket = opening(&format!("{PATH}?EIO=4&transport=websocket"));
    let websocket = websocket.replace("Host: test", &format!("Host: test\r\nOrigin: {GOOD}"));
    for (request, status) in [
        (from("GET", "EIO=4&transport=none", GOOD), 400),
        (from("PUT", &session.target().replace("/socket.io/?", ""), GOOD), 500),
        (post, 413),
        (head, 431),
        (websocket, 101),
    ] {
        let response = exchange(host.address, request).await;
        assert_eq!((response.status, cors(&response)), (status, expected.clone()));
    }
}

#[tokio::test]
async fn a_websocket_from_a_page_of_another_origin_is_refused_where_origins_are_checked() {
    let server = Server::builder().check_origin([GOOD]).build();
    let host = Host::start(server.clone()).await;
    let session = support::peers::Polling::join(host.address).await;
    for target in [format!("{PATH}?EIO=4&transport=websocket"), session.websocket_target()] {
        for (origin, status) in [(GOOD, 101), (BAD, 403), ("null", 403), ("", 101)] {
            let mut opening = opening(&target);
            if !origin.is_empty() {
                opening = opening.replace("Host: test", &format!("Host: test\r\nOrigin: {origin}"));
            }
            let response = exchange(host.address, opening).await;
            assert_eq!(response.status, status, "{target} {origin}");
            if status == 403 {
                assert_eq!((response.text(), response.header("connection")), ("Forbidden", Some("close")));
            }
        }
    }
    // Polling is what CORS is for.
    assert_eq!(exchange(host.address, from("GET", HANDSHAKE, BAD)).await.status, 200);
}

#[test]
fn settings_that_cannot_work_are_refused_when_they_are_made() {
    let panics = |make: fn()| {
        std::panic::catch_unwind(make)
            .unwrap_err()
            .downcast::<String>()
            .map_or_else(|panic| (*panic.downcast::<&str>().unwrap()).to_owned(), |text| *text)
    };
    let any = panics(|| drop(Server::builder().cors(Cors::new(Origins::any()).credentials(true))));
    assert!(any.contains("list the origins"), "{any}");
    for origin in ["https://a.example/", "a.example", "*", "https://A.example", "https://", ""] {
        let result = std::panic::catch_unwind(|| Origins::list([origin]));
        assert!(result.is_err(), "{origin}");
    }
    assert!(panics(|| drop(Cors::new(GOOD).methods(["GET, POST"]))).contains("not the name of a header or method"));
}
