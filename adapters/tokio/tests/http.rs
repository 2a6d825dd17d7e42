//! Long-polling over real connections: every status and header. Requests overlap, are aborted, arrive in pieces, or arrive while their
//! session ends.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use socketio_tokio::{DisconnectReason, EngineServer, EngineSocket, Event, Message, Server, Socket};
use support::http::{Response, Wire, exchange, get, post, request};
use support::peers::{Client, PATH, Polling};
use support::websocket::{Came, WebSocket, opening};
use support::{Host, until, within};
use tokio::sync::mpsc;

const JSON: (&str, &str) = ("content-type", "application/json");
const PLAIN: (&str, &str) = ("content-type", "text/plain; charset=UTF-8");
const HTML: (&str, &str) = ("content-type", "text/html");
const NO_STORE: (&str, &str) = ("cache-control", "no-store");

/// Checks a whole response, except for its date and the keep-alive time. Reading the body checks its length.
#[track_caller]
fn is(response: &Response, status: u16, headers: &[(&str, &str)], body: &str) {
    let mut seen: Vec<_> = response
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !["date", "content-length", "keep-alive"].contains(name))
        .collect();
    seen.sort_unstable();
    let mut expected = headers.to_vec();
    expected.sort_unstable();
    assert_eq!((response.status, seen, response.text()), (status, expected, body));
}

/// A server that reports the disconnect reasons of its sockets.
fn server() -> (Server, mpsc::UnboundedReceiver<String>) {
    let server = Server::new();
    let (gone, reasons) = mpsc::unbounded_channel();
    server
        .on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap())
        .on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    (server, reasons)
}

async fn reason(reasons: &mut mpsc::UnboundedReceiver<String>) -> String {
    within(reasons.recv()).await.unwrap()
}

async fn is_served(session: &Polling) {
    assert_eq!(session.post(r#"42["echo",1]"#).await.text(), "ok");
    assert_eq!(session.get().await.text(), r#"42["echo",1]"#);
}

async fn is_gone(session: &Polling) {
    is(&session.get().await, 400, &[JSON], r#"{"code":1,"message":"Session ID unknown"}"#);
}

#[tokio::test]
async fn every_refusal_of_the_table_over_http() {
    let (server, _) = server();
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let sid = &session.sid;
    let unknown_transport = r#"{"code":0,"message":"Transport unknown"}"#;
    let unknown_sid = r#"{"code":1,"message":"Session ID unknown"}"#;
    let bad_method = r#"{"code":2,"message":"Bad handshake method"}"#;
    let bad_request = r#"{"code":3,"message":"Bad request"}"#;
    let unsupported = r#"{"code":5,"message":"Unsupported protocol version"}"#;
    let cases = [
        ("GET", "EIO=4".to_owned(), unknown_transport),
        ("GET", "EIO=4&transport=abc".to_owned(), unknown_transport),
        // Item 1.
        ("GET", "EIO=4&transport=constructor".to_owned(), unknown_transport),
        ("GET", "EIO=4&transport=__proto__".to_owned(), unknown_transport),
        ("GET", "EIO=4&transport=webtransport".to_owned(), unknown_transport),
        ("GET", "EIO=4&transport=polling&sid=nobody".to_owned(), unknown_sid),
        ("POST", "EIO=4&transport=polling&sid=nobody".to_owned(), unknown_sid),
        ("POST", "EIO=4&transport=polling".to_owned(), bad_method),
        ("PUT", "EIO=4&transport=polling".to_owned(), bad_method),
        ("OPTIONS", "EIO=4&transport=polling".to_owned(), bad_method),
        ("GET", "EIO=4&transport=websocket".to_owned(), bad_request),
        ("GET", format!("EIO=4&transport=websocket&sid={sid}"), bad_request),
        ("GET", format!("EIO=3&transport=polling&sid={sid}"), bad_request),
        ("GET", "transport=polling".to_owned(), unsupported),
        ("GET", "EIO=abc&transport=polling".to_owned(), unsupported),
        ("GET", "EIO=5&transport=polling".to_owned(), unsupported),
    ];
    for (method, query, body) in cases {
        let response = exchange(host.address, request(method, &format!("{PATH}?{query}"), &[], "")).await;
        assert_eq!(response.text(), body, "{method} {query}");
        is(&response, 400, &[JSON], body);
    }
    is_served(&session).await;
    assert_eq!(server.sessions(), 1);
}

#[tokio::test]
async fn r2_every_refusal_of_a_websocket_over_http() {
    let (server, _) = server();
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let upgraded = Polling::join(host.address).await;
    let mut link = WebSocket::open(host.address, &upgraded.websocket_target()).await;
    link.text("2probe").await;
    assert_eq!(link.next().await, Came::Text("3probe".to_owned()));
    link.text("5").await;
    // An answer on the link shows that the session has moved there.
    link.text(r#"42["echo"]"#).await;
    assert_eq!(link.next().await, Came::Text(r#"42["echo"]"#.to_owned()));
    let sid = &session.sid;
    let cases = [
        ("EIO=4&transport=constructor".to_owned(), "Transport unknown"),
        ("EIO=4&transport=websocket&sid=nobody".to_owned(), "Session ID unknown"),
        ("EIO=4&transport=polling".to_owned(), "Bad request"),
        (format!("EIO=3&transport=websocket&sid={sid}"), "Bad request"),
        (format!("EIO=4&transport=polling&sid={sid}"), "Bad request"),
        ("EIO=3&transport=websocket".to_owned(), "Unsupported protocol version"),
        ("transport=websocket".to_owned(), "Unsupported protocol version"),
    ];
    for (query, message) in cases {
        let mut wire = Wire::open(host.address).await;
        wire.send(opening(&format!("{PATH}?{query}"))).await;
        let response = wire.response().await;
        assert_eq!(response.text(), message, "{query}");
        is(&response, 400, &[HTML, ("connection", "close")], message);
        assert!(wire.closed().await.is_empty());
    }
    // Item 51: the reference's clients expect status 101, and then the end of the connection.
    let mut second = WebSocket::open(host.address, &upgraded.websocket_target()).await;
    assert_eq!(second.closed().await, Came::Closed(None));
    // Item 52.
    is(&upgraded.get().await, 400, &[JSON], r#"{"code":3,"message":"Bad request"}"#);
    is(&upgraded.post("4x").await, 400, &[JSON], r#"{"code":3,"message":"Bad request"}"#);
    is_served(&session).await;
    link.text(r#"42["echo"]"#).await;
    assert_eq!(link.next().await, Came::Text(r#"42["echo"]"#.to_owned()));
}

#[tokio::test]
async fn an_upgrade_that_connection_does_not_name_is_a_poll() {
    let (server, _) = server();
    let host = Host::start(server).await;
    for connection in ["", "Connection: keep-alive\r\n", "Connection: close\r\n"] {
        let head = format!("HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n{connection}\r\n");
        let open = exchange(host.address, format!("GET {PATH}?EIO=4&transport=polling {head}")).await;
        assert_eq!(open.status, 200, "{connection:?}");
        let session = Polling::join(host.address).await;
        assert_eq!(session.post(r#"42["echo",1]"#).await.text(), "ok");
        let polled = exchange(host.address, format!("GET {} {head}", session.target())).await;
        assert_eq!(polled.text(), r#"42["echo",1]"#);
    }
}

#[tokio::test]
async fn the_subprotocol_is_the_first_that_is_offered_or_what_a_hook_selects() {
    let selecting =
        Server::builder().select_protocol(|offered| offered.iter().copied().find(|name| *name == "b")).build();
    for (server, offer, selected) in [
        (Server::new(), "a, b", Some("a")),
        (Server::new(), "", None),
        (selecting.clone(), "a, b", Some("b")),
        (selecting, "a, c", None),
    ] {
        let host = Host::start(server).await;
        let mut opening = opening(&format!("{PATH}?EIO=4&transport=websocket"));
        if !offer.is_empty() {
            opening = opening.replacen("\r\n", &format!("\r\nSec-WebSocket-Protocol: {offer}\r\n"), 1);
        }
        let response = exchange(host.address, opening).await;
        assert_eq!((response.status, response.header("sec-websocket-protocol")), (101, selected), "{offer}");
    }
}

#[tokio::test]
async fn a_websocket_handshake_that_is_none_is_refused_and_its_session_lives() {
    let (server, _) = server();
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    for target in [session.websocket_target(), format!("{PATH}?EIO=4&transport=websocket")] {
        let good = opening(&target);
        let cases = [
            (good.replace("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), 426),
            (good.replace("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x"), 400),
            (good.replace("Sec-WebSocket-Key", "X-Nothing"), 400),
            (good.replace("Connection: Upgrade", "Connection: keep-alive"), 400),
            (good.replace("HTTP/1.1", "HTTP/1.0"), 400),
        ];
        for (opening, status) in cases {
            let response = exchange(host.address, &opening).await;
            assert_eq!(response.status, status, "{opening}");
        }
    }
    let response = exchange(host.address, opening(&session.websocket_target()).replace("GET", "POST")).await;
    assert_eq!((response.status, response.header("allow")), (405, Some("GET")));
    is_served(&session).await;
    assert_eq!(server.sessions(), 1);
}

#[tokio::test]
async fn the_answers_of_a_session_and_their_headers() {
    let (server, mut reasons) = server();
    let host = Host::start(server.clone()).await;
    let open = exchange(host.address, get(&format!("{PATH}?EIO=4&transport=polling"))).await;
    let body = open.text().to_owned();
    assert!(body.starts_with("0{"));
    is(&open, 200, &[PLAIN, NO_STORE], &body);

    let session = Polling::join(host.address).await;
    is(&session.post(r#"42["echo","é"]"#).await, 200, &[HTML, NO_STORE], "ok");
    is(&session.get().await, 200, &[PLAIN, NO_STORE], r#"42["echo","é"]"#);
    // Item 19.
    for method in ["HEAD", "PUT", "OPTIONS", "DELETE", "PATCH"] {
        let mut wire = Wire::open(host.address).await;
        wire.send(request(method, &session.target(), &[("Connection", "close")], "")).await;
        let answer = wire.closed().await;
        assert!(answer.starts_with(b"HTTP/1.1 500 "), "{method}: {}", String::from_utf8_lossy(&answer));
        assert!(answer.ends_with(b"\r\n\r\n"), "the response to {method} has a body");
    }
    is_served(&session).await;
    // A client closes while a GET is held.
    let mut held = session.start_get().await;
    assert_eq!(session.post("1").await.text(), "ok");
    is(&held.response().await, 200, &[PLAIN, NO_STORE], "6");
    assert_eq!(reason(&mut reasons).await, "transport close");
    is_gone(&session).await;
}

#[tokio::test]
async fn r15_old_internet_explorers_are_told_to_leave_packets_alone() {
    let (server, _) = server();
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    let agents = [
        ("Mozilla/4.0 (compatible;MSIE 8.0; Windows NT 6.0; Trident/4.0)", Some("0")),
        ("Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0) like Gecko", Some("0")),
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", None),
    ];
    for (agent, expected) in agents {
        let headers = [("User-Agent", agent)];
        let answer = exchange(host.address, request("POST", &session.target(), &headers, r#"42["echo"]"#)).await;
        assert_eq!(answer.header("x-xss-protection"), expected, "{agent}");
        let answer = exchange(host.address, request("GET", &session.target(), &headers, "")).await;
        assert_eq!(answer.header("x-xss-protection"), expected, "{agent}");
    }
}

#[tokio::test]
async fn r3_r4_the_message_of_a_refused_request_reaches_the_client_on_both_transports() {
    let server = Server::builder()
        .allow_request(|parts| match parts.headers.get("x-token").map(|token| token.as_bytes()) {
            Some(b"secret") => Ok(()),
            Some(_) => Err("wrong \"token\"".to_owned()),
            None => Err(String::new()),
        })
        .build();
    let host = Host::start(server.clone()).await;
    let polling = format!("{PATH}?EIO=4&transport=polling");
    is(&exchange(host.address, get(&polling)).await, 403, &[JSON], r#"{"code":4,"message":"Forbidden"}"#);
    let wrong = exchange(host.address, request("GET", &polling, &[("X-Token", "guess")], "")).await;
    is(&wrong, 403, &[JSON], r#"{"code":4,"message":"wrong \"token\""}"#);
    let right = exchange(host.address, request("GET", &polling, &[("X-Token", "secret")], "")).await;
    assert_eq!(right.status, 200);
    // Requests of an existing session are not checked again.
    let sid = support::peers::sid_of(right.text());
    assert_eq!(exchange(host.address, post(&format!("{polling}&sid={sid}"), "40")).await.text(), "ok");

    let websocket = opening(&format!("{PATH}?EIO=4&transport=websocket"));
    let refused = exchange(host.address, &websocket).await;
    is(&refused, 403, &[HTML, ("connection", "close")], "Forbidden");
    let refused = exchange(host.address, websocket.replace("Host: test", "Host: test\r\nX-Token: guess")).await;
    is(&refused, 403, &[HTML, ("connection", "close")], "wrong \"token\"");
    let mut wire = Wire::open(host.address).await;
    wire.send(websocket.replace("Host: test", "Host: test\r\nX-Token: secret")).await;
    assert_eq!(wire.response().await.status, 101);
}

#[tokio::test]
async fn who_the_question_panics_over_is_refused() {
    let server = Server::builder().allow_request(|_| -> Result<(), String> { panic!("on purpose") }).build();
    let host = Host::start(server.clone()).await;
    let refused = exchange(host.address, get(&format!("{PATH}?EIO=4&transport=polling"))).await;
    is(&refused, 403, &[JSON], r#"{"code":4,"message":"Forbidden"}"#);
    let refused = exchange(host.address, &opening(&format!("{PATH}?EIO=4&transport=websocket"))).await;
    is(&refused, 403, &[HTML, ("connection", "close")], "Forbidden");
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn r10_r23_a_handler_sees_the_request_of_the_handshake() {
    let server = Server::new();
    let (told, mut tells) = mpsc::unbounded_channel();
    server.on_connect(move |socket: Socket| {
        let handshake = socket.handshake();
        let header = handshake.header("x-custom").map(str::to_owned);
        told.send((handshake.query_string().to_owned(), header, handshake.address())).unwrap();
    });
    let host = Host::start(server).await;
    let target = format!("{PATH}?EIO=4&transport=polling&room=a%20b");
    let mut wire = Wire::open(host.address).await;
    let address = wire.stream.local_addr().unwrap();
    wire.send(request("GET", &target, &[("X-Custom", "välue")], "")).await;
    let sid = support::peers::sid_of(wire.response().await.text());
    exchange(host.address, post(&format!("{PATH}?EIO=4&transport=polling&sid={sid}"), "40")).await;
    let (query, header, seen) = within(tells.recv()).await.unwrap();
    assert_eq!(query, "EIO=4&transport=polling&room=a%20b");
    assert_eq!(header.as_deref(), Some("välue"));
    assert_eq!(seen, Some(address));

    Client::join(host.address).await;
    let (query, _, seen) = within(tells.recv()).await.unwrap();
    assert_eq!(query, "EIO=4&transport=websocket");
    assert!(seen.is_some());
}

#[tokio::test]
async fn r12_the_path_is_a_prefix_with_its_slash() {
    let (server, _) = server();
    let host = Host::start(server).await;
    for path in ["/socket.io/", "/socket.io/anything/else"] {
        assert_eq!(exchange(host.address, get(&format!("{path}?EIO=4&transport=polling"))).await.status, 200);
    }
    for path in ["/socket.io", "/socket.ioXYZ/", "/", "/other/socket.io/", "/SOCKET.IO/"] {
        let response = exchange(host.address, get(&format!("{path}?EIO=4&transport=polling"))).await;
        assert_eq!((response.status, response.text()), (404, "Not Found"), "{path}");
    }
    let host = Host::start(Server::builder().path("chat/ws").build()).await;
    assert_eq!(exchange(host.address, get("/chat/ws/?EIO=4&transport=polling")).await.status, 200);
    let host = Host::start(Server::builder().path("/").build()).await;
    assert_eq!(exchange(host.address, get("/?EIO=4&transport=polling")).await.status, 200);
}

#[tokio::test]
async fn r39_a_held_get_that_is_broken_off_ends_the_session() {
    let (server, mut reasons) = server();
    let host = Host::start(server.clone()).await;
    for reset in [false, true] {
        let session = Polling::join(host.address).await;
        let held = session.start_get().await;
        // The POST is answered after the GET has arrived, so the server holds the GET.
        session.post("3").await;
        if reset {
            held.reset()
        } else {
            drop(held)
        }
        assert_eq!(reason(&mut reasons).await, "transport error");
        is_gone(&session).await;
    }
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn a_get_that_is_broken_off_after_its_response_was_handed_out_ends_the_session() {
    let (server, mut reasons) = server();
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let socket = server.of("/").sockets().pop().unwrap();
    // More than all buffers between server and client can hold.
    let filler = "x".repeat(1 << 20);
    for _ in 0..15 {
        socket.emit("filler", &filler).unwrap();
    }
    let mut wire = session.start_get().await;
    while !wire.buffer.starts_with(b"HTTP/1.1 200 OK") {
        assert!(wire.fill().await);
    }
    wire.reset();
    assert_eq!(reason(&mut reasons).await, "transport error");
    is_gone(&session).await;
}

#[tokio::test]
async fn a_large_response_arrives_whole() {
    let (server, _) = server();
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let socket = server.of("/").sockets().pop().unwrap();
    let filler: String = (0..300_000).map(|number| char::from(b'a' + (number % 26) as u8)).collect();
    for _ in 0..10 {
        socket.emit("filler", &filler).unwrap();
    }
    let packet = format!(r#"42["filler","{filler}"]"#);
    assert_eq!(session.get().await.text(), vec![packet; 10].join("\u{1e}"));
    is_served(&session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_meet_their_session_in_the_moment_it_ends_are_all_answered() {
    let (server, mut reasons) = server();
    let host = Host::start(server.clone()).await;
    for round in 0..100 {
        let session = Polling::join(host.address).await;
        let held = session.start_get().await;
        let socket = server.of("/").sockets().pop();
        let ends = async {
            match round % 3 {
                0 => session.post("1").await.status,
                1 => session.post("4garbage").await.status,
                _ => {
                    if let Some(socket) = socket {
                        socket.close();
                    }
                    200
                }
            }
        };
        let held = async {
            let mut held = held;
            held.response().await.status
        };
        let asks = async {
            let mut wire = Wire::open(host.address).await;
            wire.send(get(&session.target())).await;
            wire.response().await.status
        };
        let posts = async {
            // If it overlaps with the other POST, either that one is aborted or this one is refused.
            let mut wire = Wire::open(host.address).await;
            wire.send(post(&session.target(), "3")).await;
            wire.response().await.status
        };
        let upgrades = async {
            match WebSocket::try_open(host.address, &session.websocket_target()).await {
                Ok(mut link) => {
                    link.closed().await;
                    101
                }
                Err(refused) => refused.status,
            }
        };
        let statuses = within(async { tokio::join!(ends, held, asks, posts, upgrades) }).await;
        let (ends, held, asks, posts, upgrades) = statuses;
        assert!([200, 400].contains(&ends), "{statuses:?}");
        assert!([200, 400].contains(&held), "{statuses:?}");
        assert!([200, 400].contains(&asks), "{statuses:?}");
        assert!([200, 400].contains(&posts), "{statuses:?}");
        assert!([101, 400].contains(&upgrades), "{statuses:?}");
        reason(&mut reasons).await;
    }
    until(|| server.sessions() == 0 && server.of("/").is_empty()).await;
}

#[tokio::test]
async fn r30_of_two_gets_the_first_is_told_of_the_end_and_the_second_is_refused() {
    let (server, mut reasons) = server();
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    let mut first = session.start_get().await;
    session.post("3").await;
    is(&session.get().await, 400, &[], "");
    is(&first.response().await, 200, &[PLAIN, NO_STORE], "1");
    assert_eq!(reason(&mut reasons).await, "transport error");
    is_gone(&session).await;
}

#[tokio::test]
async fn r29_of_two_posts_the_second_is_refused_and_the_session_ends() {
    let (server, mut reasons) = server();
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    let mut first = Wire::open(host.address).await;
    let whole = post(&session.target(), r#"42["echo"]"#);
    first.send(&whole[..whole.len() - 4]).await;
    // Once another POST is refused, the server has received the first one.
    let refused = within(async {
        loop {
            let response = session.post("3").await;
            if response.status != 200 {
                return response;
            }
        }
    })
    .await;
    is(&refused, 400, &[], "");
    // The rest of its body never arrives.
    let closes = ("connection", "close");
    is(&first.response().await, 400, &[closes, JSON], r#"{"code":1,"message":"Session ID unknown"}"#);
    assert_eq!(reason(&mut reasons).await, "transport error");
    is_gone(&session).await;
}

#[tokio::test]
async fn r26_r27_a_body_over_the_limit_ends_the_session_and_one_at_the_limit_is_taken() {
    let server = Server::builder().max_payload(1000).build();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let event = |length: usize| format!(r#"42["echo","{}"]"#, "x".repeat(length - r#"42["echo",""]"#.len()));
    assert_eq!(session.post(&event(1000)).await.text(), "ok");
    assert_eq!(session.get().await.text(), event(1000));
    is_served(&session).await;
    is(&session.post(&event(1001)).await, 413, &[], "");
    is_gone(&session).await;
    // The length is announced and the body is not sent. The response follows at once.
    let session = Polling::join(host.address).await;
    let head = "POST {} HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n".replace("{}", &session.target());
    // `Connection: close` keeps the client from sending a body that is not read.
    is(&exchange(host.address, head).await, 413, &[("connection", "close")], "");
    is_gone(&session).await;
    // The length is not announced.
    let session = Polling::join(host.address).await;
    let head = "POST {} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".replace("{}", &session.target());
    let mut wire = Wire::open(host.address).await;
    wire.send(head).await;
    let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
    wire.send(chunk.repeat(3)).await;
    wire.send("0\r\n\r\n").await;
    is(&wire.response().await, 413, &[], "");
    is_gone(&session).await;
}

#[tokio::test]
async fn r28_a_post_that_is_broken_off_ends_the_session() {
    let (server, mut reasons) = server();
    let host = Host::start(server).await;
    for chunked in [false, true] {
        let session = Polling::join(host.address).await;
        let mut wire = Wire::open(host.address).await;
        if chunked {
            let head =
                format!("POST {} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n", session.target());
            wire.send(head + "5\r\n42[\"e").await;
        } else {
            wire.send(&post(&session.target(), r#"42["echo"]"#).as_bytes()[..150]).await;
        }
        drop(wire);
        assert_eq!(reason(&mut reasons).await, "transport error");
        is_gone(&session).await;
    }
}

#[tokio::test]
async fn r24_r25_bodies_come_in_pieces_cut_inside_characters_and_without_a_length() {
    let (server, _) = server();
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    let packet = r#"42["echo","€uro 漢字 😀"]"#;
    let whole = post(&session.target(), packet).into_bytes();
    for piece in [1, 2, 3, 5] {
        let mut wire = Wire::open(host.address).await;
        for bytes in whole.chunks(piece) {
            wire.send(bytes).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(wire.response().await.text(), "ok");
        assert_eq!(session.get().await.text(), packet);

        let mut wire = Wire::open(host.address).await;
        wire.send(format!("POST {} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n", session.target()))
            .await;
        for bytes in packet.as_bytes().chunks(piece) {
            wire.send(format!("{:x}\r\n", bytes.len())).await;
            wire.send(bytes).await;
            wire.send("\r\n").await;
        }
        wire.send("0\r\n\r\n").await;
        assert_eq!(wire.response().await.text(), "ok");
        assert_eq!(session.get().await.text(), packet);
    }
}

#[tokio::test]
async fn r36_connections_that_stay_and_connections_that_close_serve_alike() {
    let (server, _) = server();
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    let (mut gets, mut posts) = (Wire::open(host.address).await, Wire::open(host.address).await);
    for number in 0..50 {
        let packet = format!(r#"42["echo",{number}]"#);
        gets.send(get(&session.target())).await;
        posts.send(post(&session.target(), &packet)).await;
        assert_eq!(posts.response().await.text(), "ok");
        assert_eq!(gets.response().await.text(), packet);
    }
    // A refusal leaves the connection usable.
    posts.send(get(&format!("{PATH}?EIO=4&transport=polling&sid=nobody"))).await;
    assert_eq!(posts.response().await.status, 400);
    posts.send(post(&session.target(), r#"42["echo"]"#)).await;
    assert_eq!(posts.response().await.text(), "ok");
    let close = [("Connection", "close")];
    for body in [r#"42["echo"]"#, ""] {
        let mut wire = Wire::open(host.address).await;
        wire.send(request(if body.is_empty() { "GET" } else { "POST" }, &session.target(), &close, body)).await;
        assert_eq!(wire.response().await.status, 200);
        assert!(wire.closed().await.is_empty());
    }
    // HTTP/1.0 closes the connection by default.
    let mut wire = Wire::open(host.address).await;
    wire.send(post(&session.target(), r#"42["echo"]"#).replace("HTTP/1.1", "HTTP/1.0")).await;
    assert_eq!(wire.response().await.text(), "ok");
    assert!(wire.closed().await.is_empty());
}

#[tokio::test]
async fn requests_that_were_sent_at_once_on_one_connection_are_answered_in_order() {
    let (server, _) = server();
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    let mut wire = Wire::open(host.address).await;
    let event = post(&session.target(), r#"42["echo"]"#);
    wire.send(format!("{event}{event}{}{event}", get(&session.target()))).await;
    for expected in ["ok", "ok", "42[\"echo\"]\u{1e}42[\"echo\"]", "ok"] {
        assert_eq!(wire.response().await.text(), expected);
    }
}

#[tokio::test]
async fn r31_r32_a_body_that_is_no_payload_ends_the_session_and_is_answered() {
    let (server, mut reasons) = server();
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    let octets = request("POST", &session.target(), &[("Content-Type", "application/octet-stream")], "4");
    is(&exchange(host.address, octets).await, 400, &[], "");
    assert_eq!(reason(&mut reasons).await, "transport error");
    is_gone(&session).await;

    let session = Polling::join(host.address).await;
    is(&session.post("").await, 200, &[HTML, NO_STORE], "ok");
    assert_eq!(reason(&mut reasons).await, "parse error");
    is_gone(&session).await;
}

#[tokio::test]
async fn r40_a_get_after_a_close_by_the_server_takes_the_rest_and_the_next_one_the_end() {
    let (server, mut reasons) = server();
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let socket = server.of("/").sockets().pop().unwrap();
    socket.emit("a", ()).unwrap();
    socket.emit("b", ()).unwrap();
    socket.close();
    assert_eq!(reason(&mut reasons).await, "server namespace disconnect");
    assert_eq!(session.get().await.text(), "42[\"a\"]\u{1e}42[\"b\"]\u{1e}41");
    assert_eq!(session.get().await.text(), "6\u{1e}1");
    is_gone(&session).await;
    until(|| server.sessions() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_over_a_link_arrives_whole_while_a_post_from_before_the_upgrade_is_still_read() {
    let (server, _) = server();
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let socket = server.of("/").sockets().pop().unwrap();
    let mut slow = Wire::open(host.address).await;
    let body = r#"42["echo","the post"]"#;
    let whole = post(&session.target(), body);
    slow.send(&whole[..whole.len() - 1]).await;
    let mut link = WebSocket::open(host.address, &session.websocket_target()).await;
    link.text("2probe").await;
    assert_eq!(link.next().await, Came::Text("3probe".to_owned()));
    link.text("5").await;
    // The packet is queued behind the POST.
    link.text(r#"42["echo","the link"]"#).await;

    // More than the kernel buffers for a peer that does not read.
    const COUNT: usize = 3_000;
    let filler = "x".repeat(10_000);
    let sending = tokio::spawn(async move {
        for number in 0..COUNT {
            socket.ready().await.unwrap();
            socket.emit("number", (number, &filler)).unwrap();
            tokio::task::yield_now().await;
        }
    });
    for number in 0..COUNT {
        let Came::Text(text) = link.next().await else { panic!("the link was closed") };
        assert!(text.starts_with(&format!(r#"42["number",{number},"#)), "{} instead of {number}", &text[..30]);
    }
    within(sending).await.unwrap();
    slow.send(&whole[whole.len() - 1..]).await;
    assert_eq!(slow.response().await.text(), "ok");
    for expected in [body, r#"42["echo","the link"]"#] {
        assert_eq!(link.next().await, Came::Text(expected.to_owned()));
    }
}

#[tokio::test]
async fn text_with_a_separator_is_refused_while_a_session_polls_and_sent_when_it_does_not() {
    let server = EngineServer::builder()
        .on_message(|socket: EngineSocket, _: Message| match socket.send("a\u{1e}b") {
            Err(error) => socket.send(error.to_string().as_str()),
            sent => sent,
        })
        .build();
    let host = Host::start(server).await;
    let session = Polling::open_at(host.address, "/engine.io/").await;
    session.post("4x").await;
    assert!(session.get().await.text().starts_with("4text with the separator"));
    let mut link = WebSocket::open(host.address, "/engine.io/?EIO=4&transport=websocket").await;
    link.next().await;
    link.text("4x").await;
    assert_eq!(link.next().await, Came::Text("4a\u{1e}b".to_owned()));
}

#[tokio::test]
async fn a_client_of_http_1_0_polls_and_every_method_and_path_is_answered() {
    let (server, _) = server();
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    for (request, status) in [
        (get(&format!("{PATH}?EIO=4&transport=polling")), 200),
        (post(&session.target(), r#"42["echo",1]"#), 200),
        (get(&session.target()), 200),
    ] {
        let mut wire = Wire::open(host.address).await;
        wire.send(request.replace("HTTP/1.1", "HTTP/1.0")).await;
        assert_eq!(wire.response().await.status, status, "{request}");
        assert!(wire.closed().await.is_empty());
    }
    for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "PATCH", "TRACE", "X"] {
        for (target, status) in [(PATH, "400"), ("/", "404"), ("/socket.io", "404"), ("*", "404")] {
            let mut wire = Wire::open(host.address).await;
            wire.send(request(method, target, &[("Connection", "close")], "")).await;
            let answer = wire.closed().await;
            let answer = String::from_utf8_lossy(&answer);
            // hyper itself refuses the target `*`.
            let expected = if target == "*" && !answer.contains(" 404") { "400" } else { status };
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{method} {target}: {answer}");
        }
    }
}
