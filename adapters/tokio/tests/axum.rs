//! A server as a layer of an axum application: beside other routes, with WebSocket through axum's own listener, and behind a CORS layer.
//! Layers around the built-in listener.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::routing::get as route;
use socketio_tokio::{Event, Server, Socket, SocketLayer, serve};
use support::http::{Wire, exchange, get, post, request};
use support::peers::{Client, PATH, Polling};
use support::until;
use support::websocket::{Came, WebSocket, opening};
use tokio::net::TcpListener;
use tower_http::cors::CorsLayer;
use tower_http::limit::RequestBodyLimitLayer;

fn server() -> Server {
    let server = Server::builder().max_payload(1000).build();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    server
}

async fn host(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_layer_answers_on_its_path_and_leaves_all_others_to_the_routes() {
    let server = server();
    let app = Router::new()
        .route("/", route(|| async { "the page" }))
        .route("/socket.io", route(|| async { "without a slash" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "nothing here") })
        .layer(SocketLayer::new(server.clone()));
    let address = host(app).await;
    for (path, status, text) in
        [("/", 200, "the page"), ("/socket.io", 200, "without a slash"), ("/socket.ioXYZ/", 404, "nothing here")]
    {
        let response = exchange(address, get(path)).await;
        assert_eq!((response.status, response.text()), (status, text), "{path}");
    }
    let session = Polling::join(address).await;
    assert_eq!(session.post(r#"42["echo",1]"#).await.text(), "ok");
    assert_eq!(session.get().await.text(), r#"42["echo",1]"#);
    assert_eq!(exchange(address, get(&format!("{PATH}anything?transport=x"))).await.status, 400);
}

#[tokio::test]
async fn websockets_come_through_axum_by_themselves_and_by_upgrade() {
    let server = server();
    let address = host(Router::new().layer(SocketLayer::new(server.clone()))).await;
    let mut client = Client::join(address).await;
    let large = format!(r#"["echo","{}"]"#, "x".repeat(900));
    for _ in 0..100 {
        client.send(&format!("42{large}")).await;
    }
    for _ in 0..100 {
        assert_eq!(client.packet().await, format!("2{large}"));
    }

    let session = Polling::join(address).await;
    let mut link = WebSocket::open(address, &session.websocket_target()).await;
    link.text("2probe").await;
    assert_eq!(link.next().await, Came::Text("3probe".to_owned()));
    link.text("5").await;
    link.text(r#"42["echo"]"#).await;
    assert_eq!(link.next().await, Came::Text(r#"42["echo"]"#.to_owned()));

    // The first frame arrives with the request, before the connection is upgraded.
    let mut wire = Wire::open(address).await;
    let mut bytes = opening(&format!("{PATH}?EIO=4&transport=websocket")).into_bytes();
    bytes.extend(support::websocket::frame(0x81, b"40"));
    wire.send(bytes).await;
    let mut early = WebSocket::upgraded(wire).await.unwrap();
    assert!(matches!(early.next().await, Came::Text(open) if open.starts_with('0')));
    assert!(matches!(early.next().await, Came::Text(reply) if reply.starts_with("40{")));
    drop((client, link, early));
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn a_server_behind_axum_is_shut_down_by_itself() {
    let server = server();
    let app = Router::new().route("/", route(|| async { "still here" })).layer(SocketLayer::new(server.clone()));
    let address = host(app).await;
    let mut client = Client::join(address).await;
    let ending = server.clone();
    let shutdown = tokio::spawn(async move { ending.shut_down(std::future::pending()).await });
    assert_eq!(client.next().await, Came::Closed(Some(1001)));
    drop(client);
    support::within(shutdown).await.unwrap();
    assert_eq!(exchange(address, get(&format!("{PATH}?EIO=4&transport=polling"))).await.status, 503);
    assert_eq!(exchange(address, get("/")).await.text(), "still here");
}

#[tokio::test]
async fn r13_r14_a_cors_layer_around_it_answers_preflights_and_marks_every_answer() {
    let cors = CorsLayer::new()
        .allow_origin("https://good.example".parse::<HeaderValue>().unwrap())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([CONTENT_TYPE])
        .allow_credentials(true);
    let app = Router::new().layer(SocketLayer::new(server())).layer(cors);
    let address = host(app).await;
    let origin = [("Origin", "https://good.example")];
    let marked = |response: &support::http::Response| {
        response.header("access-control-allow-origin") == Some("https://good.example")
            && response.header("access-control-allow-credentials") == Some("true")
    };

    // The CORS layer answers before any check, so neither transport nor session matters.
    let preflight = [origin[0], ("Access-Control-Request-Method", "POST")];
    let response = exchange(address, request("OPTIONS", &format!("{PATH}?sid=nobody"), &preflight, "")).await;
    assert_eq!(response.status, 200);
    assert!(marked(&response));
    assert_eq!(response.header("access-control-allow-methods"), Some("GET,POST"));

    let polling = format!("{PATH}?EIO=4&transport=polling");
    let open = exchange(address, request("GET", &polling, &origin, "")).await;
    assert_eq!(open.status, 200);
    assert!(marked(&open));
    let target = format!("{polling}&sid={}", support::peers::sid_of(open.text()));
    let response = exchange(address, request("POST", &target, &origin, "40")).await;
    assert_eq!(response.text(), "ok");
    assert!(marked(&response));
    let response = exchange(address, request("POST", &target, &origin, &"x".repeat(1001))).await;
    assert_eq!(response.status, 413);
    assert!(marked(&response));
    let response = exchange(address, request("GET", &format!("{polling}&sid=nobody"), &origin, "")).await;
    assert_eq!(response.status, 400);
    assert!(marked(&response));

    // A request from a forbidden origin is answered without the headers, so its browser does not pass the answer on to the page.
    let response = exchange(address, request("GET", &polling, &[("Origin", "https://bad.example")], "")).await;
    assert_eq!(response.status, 200);
    assert_ne!(response.header("access-control-allow-origin"), Some("https://bad.example"));
    // As in the reference, there are no CORS headers by default.
    let response = exchange(host(Router::new().layer(SocketLayer::new(server()))).await, post(&polling, "")).await;
    assert_eq!(response.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn no_feature_of_ours_makes_axum_serve_another_version_of_http() {
    let address = host(Router::new().layer(SocketLayer::new(Server::new()))).await;
    let mut wire = Wire::open(address).await;
    // The preface of HTTP/2, and empty settings. An HTTP/2 server would answer with settings, which start with a zero.
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert_ne!(wire.closed().await.first(), Some(&0));
}

#[tokio::test]
async fn layers_around_the_own_listener_see_every_request_and_harm_neither_polls_nor_websockets() {
    let server = server();
    let cors = CorsLayer::new().allow_origin(HeaderValue::from_static("https://a.example"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // The limit wraps the bodies of requests and of responses.
    let serving = serve(listener, server.clone()).layer(RequestBodyLimitLayer::new(500)).layer(cors);
    tokio::spawn(serving.into_future());
    let named = |response: &support::http::Response| response.header("access-control-allow-origin").map(str::to_owned);
    let other = exchange(address, get("/elsewhere")).await;
    assert_eq!((other.status, named(&other).as_deref()), (404, Some("https://a.example")));
    let open = exchange(address, get(&format!("{PATH}?EIO=4&transport=polling"))).await;
    assert_eq!((open.status, named(&open).as_deref()), (200, Some("https://a.example")));
    let session = Polling::join(address).await;
    for _ in 0..3 {
        assert_eq!(session.post(r#"42["echo",1]"#).await.text(), "ok");
        assert_eq!(session.get().await.text(), r#"42["echo",1]"#);
    }
    // A held poll, on one connection.
    let mut poll = session.start_get().await;
    assert_eq!(session.post(r#"42["echo",2]"#).await.text(), "ok");
    assert_eq!(poll.response().await.text(), r#"42["echo",2]"#);
    // The layer's own answer: the length says enough.
    let large = "4".repeat(501);
    assert_eq!(exchange(address, post(&session.target(), &large)).await.status, 413);
    let mut client = Client::join(address).await;
    assert_eq!(client.ask(r#"42["echo",3]"#).await, r#"2["echo",3]"#);
    // A poll whose client goes away ends its session: the abort passes the layers.
    let session = Polling::join(address).await;
    let sessions = server.sessions();
    drop(session.start_get().await);
    until(|| server.sessions() < sessions).await;
}
