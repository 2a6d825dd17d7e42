//! Scenarios from the reference's own tests that need a whole server and are not replayed in another file here.
//!
//! `item` in the name of a test is the number of a scenario in the README beside this file, which has a table of all of them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use socketio_tokio::{
    ConnectRequest, DisconnectReason, EngineServer, EngineSocket, Event, Message, Refusal, Server, Socket, SocketLayer,
};
use support::http::{Wire, exchange, get, request};
use support::peers::{Client, PATH, Polling, sid_of};
use support::websocket::{Came, WebSocket, frame, opening};
use support::{Host, until, within};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

fn echo() -> Server {
    let server = Server::new();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    server
}

async fn is_served(session: &Polling) {
    assert_eq!(session.post(r#"42["echo",1]"#).await.text(), "ok");
    assert_eq!(session.get().await.text(), r#"42["echo",1]"#);
}

#[tokio::test]
async fn item_5_a_broken_frame_right_behind_the_handshake_or_on_a_probe_ends_only_its_link() {
    let server = echo();
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    // Reserved bits are set, and there are not enough bytes for a length.
    let broken = frame(0xf1, b"broken");
    for target in [WEBSOCKET, &session.websocket_target()] {
        let mut wire = Wire::open(host.address).await;
        wire.send([opening(target).as_bytes(), &broken].concat()).await;
        let mut link = WebSocket::upgraded(wire).await.unwrap();
        assert_eq!(link.closed().await, Came::Closed(Some(1002)));
    }
    let mut probe = WebSocket::open(host.address, &session.websocket_target()).await;
    probe.text("2probe").await;
    assert_eq!(probe.next().await, Came::Text("3probe".to_owned()));
    probe.wire.send(&broken).await;
    assert_eq!(probe.closed().await, Came::Closed(Some(1002)));
    // The next poll may still return the packet that released the GET for the probe.
    assert_eq!(session.post(r#"42["echo",1]"#).await.text(), "ok");
    within(async { while !session.get().await.text().contains(r#"42["echo",1]"#) {} }).await;
    until(|| server.sessions() == 1).await;
}

/// Serves an axum application.
async fn serves(app: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

/// Adds a header to every response, and another one to the first response of a session.
async fn marks(request: Request, next: Next) -> Response {
    let first = !request.uri().query().unwrap_or_default().contains("sid=");
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-every", HeaderValue::from_static("yes"));
    if first {
        response.headers_mut().insert("set-cookie", HeaderValue::from_static("session=1"));
    }
    response
}

#[tokio::test]
async fn items_16_and_18_a_middleware_adds_headers_to_every_answer_the_101_included() {
    let server = Server::builder().max_payload(1000).build();
    let address = serves(Router::new().layer(SocketLayer::new(server)).layer(from_fn(marks))).await;
    let open = exchange(address, get(POLLING)).await;
    let sid = sid_of(open.text());
    let of_session = |transport: &str| format!("{PATH}?EIO=4&transport={transport}&sid={sid}");
    let mut wire = Wire::open(address).await;
    wire.send(opening(WEBSOCKET)).await;
    let upgrade = wire.response().await;
    wire.send(frame(0x81, b"1")).await;
    let mut probe = Wire::open(address).await;
    probe.send(opening(&of_session("websocket"))).await;
    let too_long = "x".repeat(1001);
    for (answer, status, is_first) in [
        (open, 200, true),
        (upgrade, 101, true),
        (probe.response().await, 101, false),
        (exchange(address, request("POST", &of_session("polling"), &[], "40")).await, 200, false),
        (exchange(address, get(&of_session("polling"))).await, 200, false),
        (exchange(address, request("PUT", &of_session("polling"), &[], "")).await, 500, false),
        (exchange(address, request("POST", &of_session("polling"), &[], &too_long)).await, 413, false),
        (exchange(address, get(&POLLING.replace('4', "5"))).await, 400, true),
    ] {
        assert_eq!((answer.status, answer.header("x-every")), (status, Some("yes")), "{answer:?}");
        assert_eq!(answer.header("set-cookie").is_some(), is_first, "{answer:?}");
    }
}

#[tokio::test]
async fn item_17_middlewares_run_in_their_order_and_may_answer_themselves() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let logs = |name: &'static str| {
        let log = Arc::clone(&log);
        from_fn(move |request: Request, next: Next| {
            log.lock().unwrap().push(name);
            next.run(request)
        })
    };
    let asks = from_fn(async |request: Request, next: Next| {
        if request.headers().contains_key("x-pass") {
            next.run(request).await
        } else {
            (StatusCode::UNAUTHORIZED, "who are you?").into_response()
        }
    });
    let server = echo();
    // The layer that is added last runs first.
    let app =
        Router::new().layer(SocketLayer::new(server.clone())).layer(logs("inner")).layer(asks).layer(logs("outer"));
    let address = serves(app).await;
    for refused in [get(POLLING), opening(WEBSOCKET)] {
        let answer = exchange(address, &refused).await;
        assert_eq!((answer.status, answer.text()), (401, "who are you?"));
        assert_eq!(std::mem::take(&mut *log.lock().unwrap()), ["outer"]);
        assert_eq!(server.sessions(), 0);
    }
    for (passed, status) in [(get(POLLING), 200), (opening(WEBSOCKET), 101)] {
        let mut wire = Wire::open(address).await;
        wire.send(passed.replace("Host: test", "Host: test\r\nX-Pass: yes")).await;
        assert_eq!(wire.response().await.status, status);
        assert_eq!(std::mem::take(&mut *log.lock().unwrap()), ["outer", "inner"]);
    }
}

#[tokio::test]
async fn item_26_behind_a_middleware_too_a_body_over_the_limit_is_refused_and_its_session_ends() {
    let server = Server::builder().max_payload(1000).build();
    let (came, mut events) = mpsc::unbounded_channel();
    server
        .on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()))
        .on_disconnect(move |_: Socket, reason: DisconnectReason| came.send(reason.to_string()).unwrap());
    let address = serves(Router::new().layer(SocketLayer::new(server)).layer(from_fn(marks))).await;
    let session = Polling::join(address).await;
    assert_eq!(session.post(&format!(r#"42["echo",1,2,"{}"]"#, "x".repeat(1000))).await.status, 413);
    assert_eq!(events.recv().await.as_deref(), Some("transport error"));
    assert_eq!(session.get().await.status, 400);
}

#[tokio::test]
async fn item_20_an_upgrade_on_another_path_is_refused_and_does_not_wait_for_anybody() {
    let host = Host::start(echo()).await;
    for path in ["/", "/other/", "/socket.io"] {
        let refused = WebSocket::try_open(host.address, &format!("{path}?EIO=4&transport=websocket")).await;
        assert_eq!(refused.err().map(|refused| refused.status), Some(404), "{path}");
    }
}

#[tokio::test]
async fn item_22_a_session_whose_websocket_a_proxy_blocks_stays_with_polling() {
    let host = Host::start(echo()).await;
    let session = Polling::join(host.address).await;
    // The proxy removes the headers of the upgrade, answers without forwarding the request, or drops the connection.
    assert_eq!(exchange(host.address, get(&session.websocket_target())).await.status, 400);
    is_served(&session).await;
    let mut wire = Wire::open(host.address).await;
    wire.send(opening(&session.websocket_target())).await;
    assert_eq!(wire.response().await.status, 101);
    drop(wire);
    is_served(&session).await;
}

#[tokio::test]
async fn item_73_a_session_that_its_connect_handler_closes_still_hears_the_open_packet_and_then_the_end() {
    let server = EngineServer::builder().on_connect(|socket: EngineSocket| socket.close()).build();
    let host = Host::start(server.clone()).await;
    let session = Polling::open_at(host.address, "/engine.io/").await;
    let end = session.get().await;
    assert_eq!((end.status, end.text()), (200, "6\u{1e}1"));
    let mut link = WebSocket::open(host.address, "/engine.io/?EIO=4&transport=websocket").await;
    assert!(matches!(link.next().await, Came::Text(open) if open.starts_with("0{")));
    assert!(matches!(link.next().await, Came::Closed(_)));
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn item_87_empty_binary_messages_come_back_empty_and_binary() {
    let server =
        EngineServer::builder().on_message(|socket: EngineSocket, message: Message| socket.send(message)).build();
    let host = Host::start(server).await;
    let session = Polling::open_at(host.address, "/engine.io/").await;
    assert_eq!(session.post("b\u{1e}4").await.text(), "ok");
    assert_eq!(session.get().await.text(), "b\u{1e}4");
    let mut link = WebSocket::open(host.address, "/engine.io/?EIO=4&transport=websocket").await;
    assert!(matches!(link.next().await, Came::Text(_)));
    link.binary(&[]).await;
    assert_eq!(link.next().await, Came::Binary(Vec::new()));
}

#[derive(Deserialize)]
struct Auth {
    token: String,
}

#[tokio::test]
async fn items_94_and_95_who_is_refused_by_the_middleware_is_in_no_room_and_may_ask_again() {
    let server = Server::new();
    let (told, mut tells) = mpsc::unbounded_channel();
    let connects = told.clone();
    server
        .middleware(move |request: ConnectRequest| {
            told.send("asked").unwrap();
            match request.auth().map(|auth| auth.get::<Auth>(0).unwrap().token) {
                None => Err(Refusal::new("no token")),
                Some(token) if token == "secret" => Ok(()),
                Some(_) => Err(Refusal::new("wrong token").with_data(serde_json::json!({ "retry": true }))),
            }
        })
        .on_connect(move |_: Socket| connects.send("came").unwrap());
    let host = Host::start(server.clone()).await;
    let mut client = Client::open(host.address).await;
    assert_eq!(client.ask("40").await, r#"4{"message":"no token"}"#);
    assert_eq!(client.ask(r#"40{"token":"x"}"#).await, r#"4{"message":"wrong token","data":{"retry":true}}"#);
    assert!(server.of("/").is_empty() && server.of("/").sockets().is_empty());
    assert!(client.ask(r#"40{"token":"secret"}"#).await.starts_with("0{"));
    for expected in ["asked", "asked", "asked", "came"] {
        assert_eq!(within(tells.recv()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn items_96_and_99_a_namespace_needs_no_root_and_may_be_named_without_its_slash() {
    let server = Server::new();
    server.of("chat").on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    assert_eq!(server.of("/chat").name(), server.of("chat").name());
    let host = Host::start(server.clone()).await;
    let mut client = Client::open(host.address).await;
    assert!(client.ask("40/chat,").await.starts_with("0/chat,{"));
    assert_eq!(client.ask(r#"42/chat,["echo",1]"#).await, r#"2/chat,["echo",1]"#);
    assert_eq!((server.of("chat").len(), server.of("/chat").len()), (1, 1));
}

#[tokio::test]
async fn item_103_a_socket_knows_its_handshake() {
    let before = SystemTime::now();
    let server = Server::new();
    let (came, mut sockets) = mpsc::unbounded_channel();
    server.on_connect(move |socket: Socket| came.send(socket).unwrap());
    let host = Host::start(server).await;
    let target = format!("{WEBSOCKET}&room=a%20b");
    let mut wire = Wire::open(host.address).await;
    let address = wire.stream.local_addr().unwrap();
    wire.send(opening(&target).replace("Host: test", "Host: test\r\nX-Token: secret")).await;
    let mut link = WebSocket::upgraded(wire).await.unwrap();
    link.text(r#"40{"token":"123"}"#).await;
    let socket = within(sockets.recv()).await.unwrap();
    let handshake = socket.handshake();
    assert_eq!((handshake.target(), handshake.query_string()), (&*target, "EIO=4&transport=websocket&room=a%20b"));
    assert_eq!((handshake.header("host"), handshake.header("x-token")), (Some("test"), Some("secret")));
    assert_eq!(handshake.address(), Some(address));
    assert!((before..=SystemTime::now()).contains(&handshake.issued()));
    let auth: serde_json::Value = socket.auth().unwrap().get(0).unwrap();
    assert_eq!(auth, serde_json::json!({ "token": "123" }));
}

#[tokio::test]
async fn item_104_a_client_of_version_2_is_told_that_its_protocol_is_not_served() {
    let server = Server::new();
    let host = Host::start(server.clone()).await;
    let message = "Unsupported protocol version";
    let answer = exchange(host.address, get(&POLLING.replace('4', "3"))).await;
    assert_eq!((answer.status, answer.text()), (400, &*format!(r#"{{"code":5,"message":"{message}"}}"#)));
    let answer = exchange(host.address, opening(&WEBSOCKET.replace('4', "3"))).await;
    assert_eq!((answer.status, answer.text()), (400, message));
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn item_124_a_volatile_event_with_attachments_leaves_whole_or_not_at_all() {
    let server = Server::new();
    let host = Host::start(server.clone()).await;
    let binary = |byte: u8| (Bytes::from(vec![byte]),);
    let packet = r#"51-["n",{"_placeholder":true,"num":0}]"#;

    let mut client = Client::join(host.address).await;
    let socket = server.of("/").socket(&client.sid).unwrap();
    socket.emit_volatile("n", binary(1)).unwrap();
    socket.emit_volatile("n", binary(2)).unwrap();
    socket.emit("n", binary(3)).unwrap();
    for attachment in [1, 3] {
        assert_eq!(client.packet().await, packet);
        assert_eq!(client.next().await, Came::Binary(vec![attachment]));
    }
    drop(client);
    until(|| server.of("/").is_empty()).await;

    // No GET is held. Volatile packets are dropped, and others are queued.
    let session = Polling::join(host.address).await;
    let socket = server.of("/").sockets().pop().unwrap();
    socket.emit_volatile("n", binary(4)).unwrap();
    socket.emit("n", binary(5)).unwrap();
    assert_eq!(session.get().await.text(), format!("4{packet}\u{1e}bBQ=="));
}

#[tokio::test]
async fn item_162_data_that_cannot_be_encoded_fails_where_it_is_emitted_and_harms_nobody() {
    struct Cyclic;
    impl Serialize for Cyclic {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("this value cannot be serialized"))
        }
    }

    let server = echo();
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    let socket = server.of("/").socket(&client.sid).unwrap();
    assert!(socket.emit("cyclic", (1, Cyclic)).is_err());
    assert!(socket.emit_volatile("cyclic", (1, Cyclic)).is_err());
    assert!(socket.emit_with_ack("cyclic", (1, Cyclic)).is_err());
    assert!(server.emit("cyclic", (1, Cyclic)).is_err());
    assert_eq!(client.ask(r#"42["echo",1]"#).await, r#"2["echo",1]"#);
    assert!(socket.is_connected());
}
