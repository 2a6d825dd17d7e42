//! What surrounds the sessions in HTTP: `allow_request` that waits, cookies, hooks for headers and ids, refused requests, and the address of a
//! client behind proxies. Headers are those that the reference sends (socket.io 4.8).
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderValue;
use socketio_tokio::{
    ClientAddress, ConnectionError, Cookie, EngineServer, EngineSocket, ErrorContext, Message, RemoteAddress, SameSite,
    Server, Sid, Socket,
};
use support::http::{Response, Wire, exchange, get, post, request};
use support::peers::{PATH, Polling, sid_of};
use support::websocket::opening;
use support::{Host, until, within};
use tokio::sync::{mpsc, oneshot};

fn polling() -> String {
    get(&format!("{PATH}?EIO=4&transport=polling"))
}

fn websocket() -> String {
    opening(&format!("{PATH}?EIO=4&transport=websocket"))
}

fn with(request: &str, header: &str) -> String {
    request.replacen("Host: test", &format!("Host: test\r\n{header}"), 1)
}

fn all<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    response.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
}

// allow_request.

/// Drops are counted.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Answers one question of `allow_request`.
type Answer = oneshot::Sender<Result<(), String>>;

/// A server whose `allow_request` waits for the test's answer.
fn asking(most: usize) -> (Server, mpsc::UnboundedReceiver<Answer>, Arc<AtomicUsize>) {
    let (asks, asked) = mpsc::unbounded_channel();
    let dropped = Arc::new(AtomicUsize::new(0));
    let drops = Arc::clone(&dropped);
    let server = Server::builder()
        .max_waiting_requests(most)
        .allow_request(move |_| {
            let (answer, answered) = oneshot::channel();
            asks.send(answer).unwrap();
            let dropped = Dropped(Arc::clone(&drops));
            async move {
                let _dropped = dropped;
                answered.await.unwrap_or_else(|_| panic!("on purpose"))
            }
        })
        .build();
    (server, asked, dropped)
}

#[tokio::test]
async fn r3_r4_a_request_waits_for_the_application_on_both_transports() {
    let (server, mut asked, dropped) = asking(100);
    let host = Host::start(server.clone()).await;
    for (opening, refused, plain) in [(polling(), r#"{"code":4,"message":"no"}"#, false), (websocket(), "no", true)] {
        for answer in [Some(Ok(())), Some(Err("no".to_owned())), None] {
            let mut wire = Wire::open(host.address).await;
            wire.send(&opening).await;
            let asked = within(asked.recv()).await.unwrap();
            match &answer {
                Some(answer) => asked.send(answer.clone()).unwrap(),
                // Its future panics.
                None => drop(asked),
            }
            let response = wire.response().await;
            match answer {
                Some(Ok(())) => assert_eq!(response.status, if plain { 101 } else { 200 }),
                Some(Err(_)) => assert_eq!((response.status, response.text()), (403, refused)),
                None if plain => assert_eq!((response.status, response.text()), (403, "Forbidden")),
                None => {
                    assert_eq!((response.status, response.text()), (403, r#"{"code":4,"message":"Forbidden"}"#));
                }
            }
        }
    }
    assert_eq!(dropped.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_request_waits_ends_the_wait() {
    let (server, mut asked, dropped) = asking(100);
    let host = Host::start(server.clone()).await;
    for (count, (opening, reset)) in
        [(polling(), false), (polling(), true), (websocket(), false), (websocket(), true)].into_iter().enumerate()
    {
        let mut wire = Wire::open(host.address).await;
        wire.send(&opening).await;
        let asked = within(asked.recv()).await.unwrap();
        if reset {
            wire.reset();
        } else {
            drop(wire);
        }
        until(|| dropped.load(Ordering::SeqCst) == count + 1).await;
        drop(asked);
    }
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn only_so_many_requests_wait_and_the_others_are_refused() {
    let (server, mut asked, dropped) = asking(2);
    let host = Host::start(server.clone()).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::open(host.address).await;
        wire.send(polling()).await;
        waiting.push((wire, within(asked.recv()).await.unwrap()));
    }
    let refused = exchange(host.address, polling()).await;
    assert_eq!((refused.status, refused.text()), (503, r#"{"code":3,"message":"Service unavailable"}"#));
    assert_eq!(exchange(host.address, websocket()).await.status, 503);
    for (mut wire, asked) in waiting {
        asked.send(Ok(())).unwrap();
        assert_eq!(wire.response().await.status, 200);
    }
    let mut wire = Wire::open(host.address).await;
    wire.send(polling()).await;
    within(asked.recv()).await.unwrap().send(Ok(())).unwrap();
    assert_eq!(wire.response().await.status, 200);
    assert_eq!((server.sessions(), dropped.load(Ordering::SeqCst)), (3, 3));
}

// Cookies and headers.

#[tokio::test]
async fn r6_r7_the_first_response_of_a_polling_session_sets_the_cookie() {
    let host = Host::start(Server::new()).await;
    assert_eq!(exchange(host.address, polling()).await.header("set-cookie"), None);
    let cases = [
        (Cookie::default(), "io=SID; Path=/; HttpOnly; SameSite=Lax"),
        (
            Cookie::new("sess")
                .path("")
                .http_only(false)
                .same_site(SameSite::Strict)
                .secure(true)
                .max_age(Duration::from_secs(60))
                .domain("a.example"),
            "sess=SID; Max-Age=60; Domain=a.example; Secure; SameSite=Strict",
        ),
        (
            Cookie::new("sess").path("/x").same_site(SameSite::None).secure(true),
            "sess=SID; Path=/x; HttpOnly; Secure; SameSite=None",
        ),
    ];
    for (cookie, expected) in cases {
        let host = Host::start(EngineServer::builder().path(PATH).cookie(cookie).build()).await;
        let first = exchange(host.address, polling()).await;
        let sid = sid_of(first.text());
        assert_eq!(all(&first, "set-cookie"), [expected.replace("SID", &sid)]);
        let target = format!("{PATH}?EIO=4&transport=polling&sid={sid}");
        assert_eq!(exchange(host.address, post(&target, "4x")).await.header("set-cookie"), None);
        assert_eq!(exchange(host.address, post(&target, "1")).await.header("set-cookie"), None);
        assert_eq!(exchange(host.address, websocket()).await.header("set-cookie"), None);
        assert_eq!(exchange(host.address, get(PATH)).await.header("set-cookie"), None);
    }
}

#[test]
fn cookies_that_are_invalid_are_refused_when_they_are_made() {
    let cases: [fn(); 8] = [
        || drop(Cookie::new("")),
        || drop(Cookie::new("a b")),
        || drop(Cookie::new("a=b")),
        || drop(Cookie::new("a;b")),
        || drop(Cookie::new("a").path("/; HttpOnly")),
        || drop(Cookie::new("a").path("/\r\nX: y")),
        || drop(Cookie::new("a").domain("a..b")),
        || drop(Server::builder().cookie(Cookie::new("a").same_site(SameSite::None))),
    ];
    for (index, case) in cases.into_iter().enumerate() {
        assert!(std::panic::catch_unwind(case).is_err(), "{index}");
    }
}

#[tokio::test]
async fn r16_r18_headers_are_added_once_for_each_session_and_to_every_response() {
    let server = EngineServer::builder()
        .path(PATH)
        .on_message(|socket: EngineSocket, message: Message| socket.send(message))
        .initial_headers(|headers, request| {
            assert!(!request.headers.contains_key("x-panic"), "on purpose");
            headers.append("x-initial", HeaderValue::from_static("1"));
            headers.append("set-cookie", HeaderValue::from_static("a=b"));
        })
        .headers(|headers, _| {
            headers.append("x-each", HeaderValue::from_static("2"));
        })
        .build();
    let host = Host::start(server).await;
    let seen = |response: &Response| {
        let value = |name| response.header(name).map(str::to_owned);
        (response.status, value("x-initial"), value("set-cookie"), value("x-each"))
    };
    let (initial, cookie, each) = (Some("1".to_owned()), Some("a=b".to_owned()), Some("2".to_owned()));
    let first = exchange(host.address, polling()).await;
    assert_eq!(seen(&first), (200, initial.clone(), cookie.clone(), each.clone()));
    let target = format!("{PATH}?EIO=4&transport=polling&sid={}", sid_of(first.text()));
    assert_eq!(seen(&exchange(host.address, post(&target, "4a")).await), (200, None, None, each.clone()));
    let poll = exchange(host.address, get(&target)).await;
    assert_eq!((seen(&poll), poll.text()), ((200, None, None, each.clone()), "4a"));
    assert_eq!(seen(&exchange(host.address, websocket()).await), (101, initial, cookie, each.clone()));
    let upgrade = opening(&target.replace("polling", "websocket"));
    assert_eq!(seen(&exchange(host.address, upgrade).await), (101, None, None, each.clone()));
    let unknown = exchange(host.address, get(&format!("{PATH}?EIO=4&transport=polling&sid=x"))).await;
    assert_eq!(seen(&unknown), (400, None, None, None));
    // A callback that panics harms nobody.
    assert_eq!(seen(&exchange(host.address, with(&polling(), "X-Panic: 1")).await), (200, None, None, each));
}

// Refused requests and ids.

#[tokio::test]
async fn every_refusal_is_reported_with_its_code_message_and_context() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let server = Server::builder()
        .allow_request(|request| if request.headers.contains_key("x-no") { Err("no guests".into()) } else { Ok(()) })
        .check_origin(["https://a.example"])
        .max_head_bytes(2000)
        .on_connection_error(move |error: ConnectionError<'_>| {
            let context = format!("{:?}", error.context);
            log.lock().unwrap().push((error.code, error.message, context, error.request.method.to_string()));
        })
        .build();
    let host = Host::start(server).await;
    let session = Polling::open(host.address).await;
    let query = |query: &str| get(&format!("{PATH}?{query}"));
    let cases = [
        (query("EIO=4&transport=none"), 0, "Transport unknown", ErrorContext::UnknownTransport),
        (query("EIO=4&transport=polling&sid=x"), 1, "Session ID unknown", ErrorContext::UnknownSid),
        (
            post(&format!("{PATH}?EIO=4&transport=polling"), ""),
            2,
            "Bad handshake method",
            ErrorContext::BadHandshakeMethod,
        ),
        (
            request("HEAD", &format!("{PATH}?EIO=4&transport=polling"), &[], ""),
            2,
            "Bad handshake method",
            ErrorContext::BadHandshakeMethod,
        ),
        (query("EIO=4&transport=websocket"), 3, "Bad request", ErrorContext::TransportMismatch),
        (
            query(&format!("EIO=3&transport=polling&sid={}", session.sid)),
            3,
            "Bad request",
            ErrorContext::SessionMismatch,
        ),
        (
            websocket().replace("Sec-WebSocket-Key", "X-Nothing"),
            3,
            "Bad request",
            ErrorContext::TransportHandshake("the header sec-websocket-key is missing"),
        ),
        (with(&polling(), &format!("X: {}", "y".repeat(2000))), 3, "Bad request", ErrorContext::HeadTooLarge),
        (with(&polling(), "X-No: 1"), 4, "Forbidden", ErrorContext::Forbidden("no guests")),
        (with(&websocket(), "X-No: 1"), 4, "Forbidden", ErrorContext::Forbidden("no guests")),
        (with(&websocket(), "Origin: https://b.example"), 4, "Forbidden", ErrorContext::OriginNotAllowed),
        (query("EIO=5&transport=polling"), 5, "Unsupported protocol version", ErrorContext::UnsupportedVersion),
    ];
    for (request, code, message, context) in cases {
        let mut wire = Wire::open(host.address).await;
        wire.send(&request).await;
        // The response to a HEAD has no body, so only the end of its head is waited for.
        while !wire.buffer.windows(4).any(|end| end == b"\r\n\r\n") {
            assert!(wire.fill().await, "{request}");
        }
        let mut reports = std::mem::take(&mut *seen.lock().unwrap());
        let method = request.split(' ').next().unwrap().to_owned();
        let (seen_code, seen_message, seen_context, seen_method) = reports.pop().expect("a report");
        assert!(reports.is_empty(), "one report for {request}");
        assert_eq!((seen_code, seen_message, seen_method), (code, message, method), "{request}");
        match context {
            ErrorContext::TransportHandshake(_) => assert!(seen_context.starts_with("TransportHandshake(")),
            context => assert_eq!(seen_context, format!("{context:?}")),
        }
    }
    session.post("40").await;
    assert!(seen.lock().unwrap().is_empty(), "what is accepted is not reported");
}

#[tokio::test]
async fn r8_the_application_makes_the_ids_of_sessions_and_none_is_used_twice() {
    let (calls, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (count, log) = (Arc::clone(&calls), Arc::clone(&seen));
    let server = Server::builder()
        .generate_id(move |request| {
            count.fetch_add(1, Ordering::SeqCst);
            let wish = request.uri.query().and_then(|query| query.split_once("&id=")).map_or("", |(_, id)| id);
            assert_ne!(wish, "panic", "on purpose");
            Sid::new(wish)
        })
        .on_connection_error(move |error| log.lock().unwrap().push((error.code, format!("{:?}", error.context))))
        .build();
    let host = Host::start(server.clone()).await;
    let wish = |id: &str| get(&format!("{PATH}?EIO=4&transport=polling&id={id}"));
    let first = exchange(host.address, wish("node1.abc")).await;
    assert_eq!(sid_of(first.text()), "node1.abc");
    // It is in use: three attempts.
    for (id, attempts) in [("node1.abc", 3), ("a%20b", 1), ("", 1), ("panic", 1)] {
        calls.store(0, Ordering::SeqCst);
        let refused = exchange(host.address, wish(id)).await;
        assert_eq!((refused.status, refused.text()), (400, r#"{"code":3,"message":"Bad request"}"#), "{id}");
        assert_eq!(calls.load(Ordering::SeqCst), attempts, "{id}");
        let link = exchange(host.address, opening(&format!("{PATH}?EIO=4&transport=websocket&id={id}"))).await;
        assert_eq!((link.status, link.text()), (400, "Bad request"), "{id}");
        let reports = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(reports, vec![(3, "IdGeneration".to_owned()); 2]);
    }
    assert_eq!(server.sessions(), 1);
    // It is free again when its session has ended.
    let target = format!("{PATH}?EIO=4&transport=polling&sid=node1.abc");
    assert_eq!(exchange(host.address, post(&target, "1")).await.text(), "ok");
    until(|| server.sessions() == 0).await;
    assert_eq!(exchange(host.address, wish("node1.abc")).await.status, 200);
}

// Proxies.

#[tokio::test]
async fn r23_behind_proxies_the_address_is_what_the_outermost_trusted_one_has_seen() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    for (source, header, expected) in [
        (None, "X-Forwarded-For: 6.6.6.6", None),
        (Some(ClientAddress::x_forwarded_for(1)), "X-Forwarded-For: 6.6.6.6, 1.2.3.4", Some("1.2.3.4:0")),
        (Some(ClientAddress::x_forwarded_for(2)), "X-Forwarded-For: 6.6.6.6, 1.2.3.4:5, 10.0.0.1", Some("1.2.3.4:5")),
        (Some(ClientAddress::forwarded(1)), "Forwarded: for=6.6.6.6, for=\"[::1]:7\";proto=https", Some("[::1]:7")),
        (Some(ClientAddress::forwarded(1)), "X-Forwarded-For: 6.6.6.6", None),
        (Some(ClientAddress::x_forwarded_for(1)), "X-Forwarded-For: unknown", None),
    ] {
        let log = Arc::clone(&asked);
        let mut builder = Server::builder().allow_request(move |request| {
            log.lock().unwrap().push(request.extensions.get::<RemoteAddress>().unwrap().0);
            Ok(())
        });
        if let Some(source) = source {
            builder = builder.client_address(source);
        }
        let server = builder.build();
        let (told, mut tells) = mpsc::unbounded_channel();
        server.on_connect(move |socket: Socket| told.send(socket.handshake().address().unwrap()).unwrap());
        let host = Host::start(server).await;
        let mut wire = Wire::open(host.address).await;
        let own = wire.stream.local_addr().unwrap();
        wire.send(with(&polling(), header)).await;
        let sid = sid_of(wire.response().await.text());
        exchange(host.address, post(&format!("{PATH}?EIO=4&transport=polling&sid={sid}"), "40")).await;
        let expected = expected.map_or(own, |address| address.parse().unwrap());
        assert_eq!(within(tells.recv()).await.unwrap(), expected, "{header}");
        assert_eq!(asked.lock().unwrap().pop(), Some(expected));
    }
}
