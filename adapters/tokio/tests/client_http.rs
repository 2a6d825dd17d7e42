//! The transport of clients over TCP and HTTP: requests and WebSockets to our own server, and to servers that are written out here, because
//! a good server never does what they do. `client_tls`, `client_proxies` and `real_peers` have the rest.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engineio_proto::client::Method;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use socketio_tokio::client::{ConnectError, CookieJar, Dialer, HttpClient, HttpConnector, Proxies, Target};
use socketio_tokio::{
    Compression, EngineServer, EngineSocket, Event, Listener, Message, Server, Socket, Stream, Tokio,
};
use support::client::{
    Client, Link, POLL, Scripted, WEBSOCKET, client, client_with, get, join, post, try_get, try_post,
};
use support::{Host, within};
use tokio::net::{TcpListener, TcpStream, UnixListener};

fn echo() -> Server {
    let server = Server::new();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    server
}

fn url(host: &Host) -> String {
    format!("http://{}", host.address)
}

/// A client whose settings are changed.
fn changed(url: &str, change: impl FnOnce(Client) -> Client) -> Client {
    change(client(url))
}

fn text(error: &ConnectError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(" <- {error}"));
        source = error.source();
    }
    text
}

/// A listener that counts its connections.
struct Counting(TcpListener, Arc<AtomicUsize>);

impl Listener for Counting {
    type Io = hyper_util::rt::TokioIo<TcpStream>;

    async fn accept(&mut self) -> io::Result<(Self::Io, Option<SocketAddr>)> {
        let (stream, address) = self.0.accept().await?;
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok((hyper_util::rt::TokioIo::new(stream), Some(address)))
    }
}

#[tokio::test]
async fn a_polling_session_uses_two_connections_and_leaves_no_task() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    tokio::spawn(socketio_hyper::serve(Tokio, Counting(listener, Arc::clone(&accepted)), echo()).into_future());
    let client = client(&url);
    let query = join(&client).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "one request after the other");
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for number in 0..20 {
        let held = client.request(Method::Get, &query);
        let packet = format!("42[\"echo\",{number}]");
        let (held, ()) = tokio::join!(within(held), post(&client, &query, &packet));
        assert_eq!(held.unwrap().body(), &packet);
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
    // The server's own task of the second connection.
    assert!(tasks() <= before + 1, "{} tasks, {before} before", tasks());
    client.close_idle();
    post(&client, &query, "42[\"echo\",20]").await;
    assert_eq!(accepted.load(Ordering::SeqCst), 3, "the others are closed");
}

#[tokio::test]
async fn a_websocket_is_the_tcp_stream_itself_and_upgrades_a_session_that_polls() {
    let host = Host::start(echo()).await;
    let client = client(&url(&host));
    let mut link = Link::open(&client, WEBSOCKET).await;
    assert!(matches!(link.stream, Stream::Tcp(_)));
    link.joins_and_echoes("echo", "echo").await;

    let query = join(&client).await;
    let held = client.request(Method::Get, &query);
    let probe = async {
        let mut link = Link::open(&client, &query.replace("polling", "websocket")).await;
        link.send("2probe").await;
        assert_eq!(link.next().await.as_deref(), Some("3probe"));
        link
    };
    let (held, mut link) = tokio::join!(within(held), probe);
    assert_eq!(held.unwrap().body(), "6");
    link.send("5").await;
    link.send("42[\"echo\",\"upgraded\"]").await;
    assert_eq!(link.next().await.as_deref(), Some("42[\"echo\",\"upgraded\"]"));
}

#[tokio::test]
async fn what_the_server_sends_with_the_101_is_not_lost() {
    use engineio_websocket::handshake::accept_key;
    let server = Scripted::start().await;
    let client = client(&server.url);
    let serve = async {
        let mut wire = server.accept().await;
        let head = wire.request().await;
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
        let accept = accept_key(key.as_bytes()).to_http1(None);
        let frames = b"\x81\x0540{}!\x81\x02hi";
        wire.send([&accept[..], frames].concat()).await;
        wire
    };
    let (connected, wire) = tokio::join!(within(client.connect_websocket(WEBSOCKET)), serve);
    let mut link = Link::new(connected.unwrap());
    assert_eq!(link.next().await.as_deref(), Some("40{}!"));
    assert_eq!(link.next().await.as_deref(), Some("hi"));
    drop(wire);
    assert_eq!(link.next().await, None);
}

#[tokio::test]
async fn a_subprotocol_and_compression_are_agreed_on() {
    let server = EngineServer::builder().path("/socket.io/").per_message_deflate(0).build();
    server.on_message(|socket: EngineSocket, message: Message| socket.send(message));
    let host = Host::start(server).await;
    let protocols = vec!["chat".to_owned(), "other".to_owned()];
    let client = changed(&url(&host), |client| client.with_protocols(protocols).with_deflate(true));
    let connected = within(client.connect_websocket(WEBSOCKET)).await.unwrap();
    assert_eq!(connected.protocol.as_deref(), Some("chat"));
    assert!(connected.deflate.is_some());
    assert!(connected.headers.contains_key("sec-websocket-accept"));
    let mut link = Link::new(connected);
    assert!(link.next().await.unwrap().starts_with("0{"));
    let message = format!("4{}", "again ".repeat(1000));
    link.send(&message).await;
    assert_eq!(link.next().await, Some(message));

    let plain = within(self::client(&url(&host)).connect_websocket(WEBSOCKET)).await.unwrap();
    assert!(plain.deflate.is_none() && plain.protocol.is_none());
    let client = changed(&url(&host), |client| client.with_protocols(vec!["line\r\nbreak".to_owned()]));
    let error = within(client.connect_websocket(WEBSOCKET)).await.unwrap_err();
    assert!(matches!(error, ConnectError::InvalidRequest { .. }), "{error}");
}

#[tokio::test]
async fn requests_have_the_headers_of_the_application_the_user_of_the_url_and_the_query_in_order() {
    let server = Scripted::start().await;
    let url = server.url.replace("http://", "http://me:secret@") + "/admin?token=1";
    let own = HeaderMap::from_iter([
        (http::header::USER_AGENT, HeaderValue::from_static("mine")),
        (http::header::CONNECTION, HeaderValue::from_static("close")),
        (http::header::HeaderName::from_static("x-own"), HeaderValue::from_static("yes")),
    ]);
    let client = changed(&url, |client| client.with_headers(own));
    let requests = async {
        get(&client, POLL).await;
        post(&client, POLL, "40").await;
        within(client.connect_websocket(WEBSOCKET)).await.unwrap_err()
    };
    let serve = async {
        let mut wire = server.accept().await;
        let first = wire.request().await;
        wire.answer("", "0{}").await;
        let second = wire.request().await;
        wire.answer("", "ok").await;
        let mut wire = server.accept().await;
        let third = wire.request().await;
        wire.answer("", "").await;
        [first, second, third]
    };
    let (error, [first, second, third]) = tokio::join!(requests, serve);
    assert!(matches!(error, ConnectError::Status { status: 200, .. }), "{error}");
    let place = server.url.strip_prefix("http://").unwrap();
    assert!(first.starts_with("GET /socket.io/?token=1&EIO=4&transport=polling HTTP/1.1\r\n"), "{first}");
    assert!(second.starts_with("POST /socket.io/?token=1&EIO=4&transport=polling HTTP/1.1\r\n"), "{second}");
    assert!(second.contains("content-type: text/plain;charset=UTF-8\r\n"), "{second}");
    assert!(second.contains("content-length: 2\r\n"), "{second}");
    assert!(third.contains("connection: Upgrade\r\n") && third.contains("upgrade: websocket\r\n"), "{third}");
    for head in [&first, &second, &third] {
        for line in [&*format!("host: {place}"), "user-agent: mine", "x-own: yes", "authorization: Basic bWU6c2VjcmV0"]
        {
            assert!(head.contains(&format!("{line}\r\n")), "{line} is missing: {head}");
        }
        assert!(!head.contains("cookie:") && !head.contains("accept-encoding:"), "{head}");
    }
    assert!(!first.contains("connection:"), "{first}");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_replaced() {
    let server = Scripted::start().await;
    let client = client(&server.url);
    // Some servers send this before they close an idle connection.
    for farewell in ["", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", ""] {
        let serve = async {
            let mut wire = server.accept().await;
            wire.request().await;
            wire.answer("", "6").await;
            wire.send(farewell).await;
        };
        // The connection is closed with the end of `serve`.
        let (answer, ()) = tokio::join!(get(&client, POLL), serve);
        assert_eq!(answer, "6");
        // Something that waits for the operating system, so that the runtime has asked for the end of the other connection, too.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_, _) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closes_soon_or_says_to_close_is_not_used_again() {
    for header in ["Connection: close\r\n", "Keep-Alive: timeout=1\r\n"] {
        let server = Scripted::start().await;
        let client = client(&server.url);
        let mut open = Vec::new();
        for _ in 0..2 {
            let serve = async {
                let mut wire = server.accept().await;
                wire.request().await;
                wire.answer(header, "6").await;
                wire
            };
            let (answer, wire) = tokio::join!(get(&client, POLL), serve);
            assert_eq!(answer, "6");
            open.push(wire);
        }
        for mut wire in open {
            assert!(wire.closed().await.is_empty(), "{header}: the client closes it");
        }
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_handled_is_not_sent_again() {
    let server = Scripted::start().await;
    let client = client(&server.url);
    let serve = async {
        let mut wire = server.accept().await;
        wire.request().await;
        wire.answer("", "ok").await;
        let second = wire.request().await;
        assert!(second.starts_with("POST"), "{second}");
        // Ends without an answer.
    };
    let requests = async {
        post(&client, POLL, "41").await;
        try_post(&client, POLL, "42").await
    };
    let (failed, ()) = tokio::join!(requests, serve);
    let error = failed.unwrap_err();
    assert!(matches!(error, ConnectError::Lost { .. }), "{}", text(&error));
    // Nothing else has arrived.
    tokio::select! {
        biased;
        _ = server.accept() => panic!("sent again"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_an_error_and_ends_the_connection() {
    let endless =
        "Transfer-Encoding: chunked\r\n\r\n".to_owned() + &"400\r\n".replace("400", "3f2") + &"x".repeat(1010) + "\r\n";
    for (response, reads_on) in [
        ("Content-Length: 1001\r\n\r\n".to_owned(), false),
        (endless, true),
        // Ends with the connection.
        ("\r\n".to_owned() + &"x".repeat(1001), true),
    ] {
        let server = Scripted::start().await;
        let client = changed(&server.url, |client| client.with_max_body(1000));
        let serve = async {
            let mut wire = server.accept().await;
            wire.request().await;
            wire.send(format!("HTTP/1.1 200 OK\r\n{response}")).await;
            assert!(wire.closed().await.is_empty());
        };
        let (failed, ()) = tokio::join!(try_get(&client, POLL), serve);
        let error = failed.unwrap_err();
        assert!(matches!(error, ConnectError::BodyTooLarge { limit: 1000 }), "{reads_on}: {}", text(&error));
    }
    let host = Host::start(echo()).await;
    let client = changed(&url(&host), |client| client.with_max_body(50));
    assert!(matches!(try_get(&client, POLL).await, Err(ConnectError::BodyTooLarge { .. })));
}

#[tokio::test]
async fn bodies_in_chunks_and_bodies_of_the_largest_size_arrive_whole() {
    let server = Scripted::start().await;
    let client = changed(&server.url, |client| client.with_max_body(1_000_000));
    let large = "0123456789".repeat(100_000);
    let serve = async {
        let mut wire = server.accept().await;
        wire.request().await;
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n4\r\n").await;
        wire.send("5;extension=1\r\nhello\r\n").await;
        wire.send("0\r\nTrailer: ignored\r\n\r\n").await;
        wire.request().await;
        wire.answer("", &large).await;
        wire
    };
    let requests = async { (get(&client, POLL).await, get(&client, POLL).await) };
    let ((first, second), _wire) = tokio::join!(requests, serve);
    assert_eq!(first, "4hello");
    assert!(second == large);
}

#[tokio::test]
async fn dropping_a_request_or_a_handshake_closes_its_connection() {
    let server = Scripted::start().await;
    let client = client(&server.url);
    for begins in [false, true] {
        let serve = async {
            let mut wire = server.accept().await;
            wire.request().await;
            if begins {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
            }
            wire
        };
        let mut wire = tokio::select! {
            response = try_get(&client, POLL) => panic!("{response:?}"),
            wire = serve => wire,
        };
        assert!(wire.closed().await.is_empty());
    }
    let serve = async {
        let mut wire = server.accept().await;
        wire.request().await;
        wire
    };
    let mut wire = tokio::select! {
        connected = within(client.connect_websocket(WEBSOCKET)) => panic!("{connected:?}"),
        wire = serve => wire,
    };
    assert!(wire.closed().await.is_empty());

    // A kept connection ends with its client.
    let serve = async {
        let mut wire = server.accept().await;
        wire.request().await;
        wire.answer("", "6").await;
        wire
    };
    let (_, mut wire) = tokio::join!(get(&client, POLL), serve);
    drop(client);
    assert!(wire.closed().await.is_empty());
}

#[tokio::test]
async fn cookies_keep_a_client_on_one_of_several_servers() {
    let server = |name: &'static str| {
        let server = Server::builder().initial_headers(move |headers, _| {
            headers.append(SET_COOKIE, HeaderValue::from_static(name));
        });
        let server = server.build();
        server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
        server
    };
    let hosts = [Host::start(server("lb=0; Path=/")).await, Host::start(server("lb=1; Path=/")).await];
    let addresses = [hosts[0].address, hosts[1].address];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(balance(listener, addresses));

    let with_cookies = changed(&url, |client| client.with_cookies(CookieJar::new()));
    // The load balancer changes the server for each connection without a cookie.
    for _ in 0..3 {
        with_cookies.close_idle();
        let query = join(&with_cookies).await;
        let held = with_cookies.request(Method::Get, &query);
        let post = post(&with_cookies, &query, "42[\"echo\",1]");
        let (held, ()) = tokio::join!(within(held), post);
        assert_eq!(held.unwrap().body(), "42[\"echo\",1]");
        let mut link = Link::open(&with_cookies, &query.replace("polling", "websocket")).await;
        link.send("2probe").await;
        assert_eq!(link.next().await.as_deref(), Some("3probe"));
    }
    let without = client(&url);
    let query = format!("{POLL}&sid={}", support::peers::sid_of(&get(&without, POLL).await));
    without.close_idle();
    let refused = try_post(&without, &query, "40").await.unwrap();
    assert_eq!(refused.status(), 400, "another server knows no such session");
}

/// A load balancer: a connection goes to the server that the cookie `lb` of its first request names, or else to the next one.
async fn balance(listener: TcpListener, servers: [SocketAddr; 2]) {
    for next in 0.. {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut head = vec![0; 16 * 1024];
            let mut read = 0;
            while !head[..read].windows(4).any(|window| window == b"\r\n\r\n") {
                stream.readable().await.unwrap();
                read = stream.peek(&mut head).await.unwrap();
                if read == 0 {
                    return;
                }
            }
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let sticky = head.find("lb=").map(|at| usize::from(head.as_bytes()[at + 3] == b'1'));
            let mut server = TcpStream::connect(servers[sticky.unwrap_or(next % 2)]).await.unwrap();
            // Ends with an error if a peer resets.
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
        });
    }
}

#[tokio::test]
async fn a_cookie_of_the_server_is_sent_with_polls_and_websockets_until_it_is_deleted() {
    let server = Scripted::start().await;
    let own = HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_static("own=1"))]);
    let client = changed(&server.url, |client| client.with_cookies(CookieJar::new()).with_headers(own));
    let requests = async {
        get(&client, POLL).await;
        get(&client, POLL).await;
        within(client.connect_websocket(WEBSOCKET)).await.unwrap_err();
        get(&client, POLL).await;
    };
    let serve = async {
        let mut wire = server.accept().await;
        let mut heads = vec![wire.request().await];
        wire.answer("Set-Cookie: io=abc; Path=/; HttpOnly\r\nSet-Cookie: lb=2; Max-Age=60\r\n", "0{}").await;
        heads.push(wire.request().await);
        wire.answer("Set-Cookie: io=; Max-Age=0\r\n", "6").await;
        let mut other = server.accept().await;
        heads.push(other.request().await);
        other.answer("", "").await;
        heads.push(wire.request().await);
        wire.answer("", "6").await;
        heads
    };
    let ((), heads) = tokio::join!(requests, serve);
    let cookies = |head: &String| head.lines().find_map(|line| line.strip_prefix("cookie: ")).unwrap().to_owned();
    assert_eq!(
        heads.iter().map(cookies).collect::<Vec<_>>(),
        ["own=1", "own=1; io=abc; lb=2", "own=1; lb=2", "own=1; lb=2"]
    );
}

#[tokio::test]
async fn compressed_polls_are_asked_for_and_inflated_up_to_the_limit() {
    let server = Server::builder().compression(Compression::new().threshold(0)).build();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    let host = Host::start(server).await;
    let client = changed(&url(&host), |client| client.with_compression(true).with_max_body(50_000));
    let query = join(&client).await;
    let packet = format!("42[\"echo\",\"{}\"]", "x".repeat(40_000));
    post(&client, &query, &packet).await;
    let response = try_get(&client, &query).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(response.headers()["content-length"].to_str().unwrap().parse::<usize>().unwrap() < 1000);
    assert!(response.body() == packet.as_bytes());
    post(&client, &query, &format!("42[\"echo\",\"{}\"]", "x".repeat(50_000))).await;
    assert!(matches!(try_get(&client, &query).await, Err(ConnectError::BodyTooLarge { .. })));

    let server = Scripted::start().await;
    let client = self::client(&server.url);
    let serve = async {
        let mut wire = server.accept().await;
        wire.request().await;
        wire.answer("Content-Encoding: br\r\n", "0{}").await;
    };
    let (answer, ()) = tokio::join!(try_get(&client, POLL), serve);
    assert!(matches!(answer, Err(ConnectError::Coding { .. })));
}

#[tokio::test]
async fn a_refused_websocket_tells_the_reason_of_the_server() {
    let host = Host::start(echo()).await;
    let client = client(&url(&host));
    let error = within(client.connect_websocket("EIO=4&transport=websocket&sid=unknown")).await.unwrap_err();
    assert_eq!(error.to_string(), "the server refused the WebSocket with status 400: Session ID unknown");
    let other = client_of_path(&url(&host), "/other");
    let error = within(other.connect_websocket(WEBSOCKET)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Status { status: 404, .. }), "{error}");

    let server = Scripted::start().await;
    for (answer, expected) in [
        ("HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n", "so use that URL"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "Sec-WebSocket-Accept",
        ),
        // The body never comes: it is not worth waiting for.
        ("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n", "with status 503"),
        ("HTTP/1.1 403 Forbidden\r\n\r\nhas no length", "with status 403: has no length"),
    ] {
        let client = self::client(&server.url);
        let serve = async {
            let mut wire = server.accept().await;
            wire.request().await;
            wire.send(answer).await;
            if answer.contains("no length") { None } else { Some(wire) }
        };
        let (connected, _wire) = tokio::join!(within(client.connect_websocket(WEBSOCKET)), serve);
        let error = connected.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

fn client_of_path(url: &str, path: &str) -> Client {
    let target = Target::engineio(url).unwrap().with_path(path).unwrap();
    HttpClient::new(HttpConnector::new(Tokio, Arc::new(Dialer::new()), Proxies::none()), target)
}

#[tokio::test]
async fn what_is_no_http_or_has_a_huge_head_is_an_error_that_says_so() {
    let server = Scripted::start().await;
    let client = client(&server.url);
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1_000_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(200));
    for answer in ["SSH-2.0-OpenSSH_9.2\r\n\r\n", &huge, &many, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"] {
        let serve = async {
            let mut wire = server.accept().await;
            wire.request().await;
            // The client may have closed the connection before all is written.
            let _ = wire.try_send(answer).await;
            wire
        };
        let (failed, _wire) = tokio::join!(try_get(&client, POLL), serve);
        let error = failed.unwrap_err();
        assert!(matches!(error, ConnectError::InvalidResponse { .. }), "{}", text(&error));
    }
}

#[tokio::test]
async fn a_port_that_refuses_and_a_name_that_does_not_exist_are_told_apart() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = client(&format!("http://{address}"));
    for error in
        [try_get(&client, POLL).await.unwrap_err(), within(client.connect_websocket(WEBSOCKET)).await.unwrap_err()]
    {
        assert_eq!(
            error.to_string(),
            format!(
                "cannot connect to {address}: the connection was refused: check the port, and that the server runs"
            )
        );
        assert_eq!(
            error.source().unwrap().downcast_ref::<io::Error>().unwrap().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }
    // Longer than a name of the DNS can be, so that no resolver is asked.
    let name = format!("{}.invalid", "x".repeat(64));
    let error = try_get(&self::client(&format!("http://{name}:80")), POLL).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Dns { host, .. } if *host == name), "{}", text(&error));
}

#[tokio::test]
async fn all_addresses_of_a_name_are_tried() {
    // `localhost` is ::1 first on many machines, where nobody listens.
    let host = Host::start(echo()).await;
    join(&client(&format!("http://localhost:{}", host.address.port()))).await;
}

#[tokio::test]
async fn ipv6_addresses_and_unix_sockets_work() {
    if let Ok(listener) = TcpListener::bind("[::1]:0").await {
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(socketio_tokio::serve(listener, echo()).into_future());
        join(&client(&url)).await;
        Link::open(&client(&url), WEBSOCKET).await.joins_and_echoes("echo", "echo").await;
    }
    let path = std::env::temp_dir().join(format!("client-http-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    // The proxy does not exist, and is not asked.
    let proxies = Proxies::all("http://proxy.invalid", "").unwrap();
    let client = client_with("http://server.invalid", Dialer::new().with_unix_socket(&path), proxies);
    let serve = async {
        let (stream, _) = within(listener.accept()).await.unwrap();
        let host = Host::start(echo()).await;
        let mut server = TcpStream::connect(host.address).await.unwrap();
        let mut stream = stream;
        // Ends when the client does.
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
    };
    let requests = async {
        Link::open(&client, WEBSOCKET).await.joins_and_echoes("echo", "echo").await;
    };
    tokio::join!(serve, requests);
    std::fs::remove_file(&path).unwrap();
    let error = try_get(&client, POLL).await.unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}
