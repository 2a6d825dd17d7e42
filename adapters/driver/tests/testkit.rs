//! The test kit, as an application uses it that has no runtime.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use socketio_driver::testkit::{Closed, ConnectError, Left, TestServer, Transport, for_each_seed};
use socketio_driver::{
    CloseReason, ConnectRequest, DisconnectReason, EngineServer, EngineSocket, Event, Failure, Message, Recovery,
    Server, Socket,
};

fn echo() -> Server {
    let server = Server::new();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    server.on("ask", async |socket: Socket, event: Event| {
        let answer = socket.emit_with_ack("question", event.payload())?.await?;
        event.ack(&answer)?;
        Ok::<(), Failure>(())
    });
    server
}

#[test]
fn events_with_attachments_go_both_ways_on_every_transport() {
    for_each_seed(20, |seed| {
        let world = TestServer::with_seed(&echo(), seed);
        let websocket = world.client().connect("/").unwrap();
        let polling = world.client().polling().connect("/").unwrap();
        let mut upgraded = world.client().polling().connect("/").unwrap();
        upgraded.upgrade().unwrap();
        for mut client in [websocket, polling, upgraded] {
            client.emit("echo", ("a", Bytes::from_static(b"\0\xff"), 7));
            let expected = ("a".to_owned(), Bytes::from_static(b"\0\xff"), 7);
            assert_eq!(client.receive::<(String, Bytes, u32)>("echo"), expected);
            client.assert_nothing_unread();
        }
        assert_eq!(world.server().sessions(), 3);
    });
}

#[test]
fn an_upgrade_loses_nothing() {
    for_each_seed(100, |seed| {
        let server = echo();
        let world = TestServer::with_seed(&server, seed);
        let mut client = world.client().polling().connect("/").unwrap();
        for number in 0..5 {
            client.emit("echo", number);
            server.emit("news", number).unwrap();
        }
        client.upgrade().unwrap();
        assert_eq!(client.transport(), Transport::WebSocket);
        for number in 5..10 {
            client.emit("echo", number);
        }
        for number in 0..10 {
            assert_eq!(client.receive::<u32>("echo"), number);
        }
        for number in 0..5 {
            assert_eq!(client.receive::<u32>("news"), number);
        }
        assert!(client.upgrade().is_err());
    });
}

#[test]
fn acks_go_both_ways_and_other_events_stay_unread() {
    let server = echo();
    let world = TestServer::new(&server);
    let mut client = world.client().connect("/").unwrap();
    let ack = client.emit_with_ack("ask", "how are you?");
    server.emit("news", 1).unwrap();
    assert!(!ack.has_arrived());
    assert!(client.has_received("question"));
    let question = client.receive_event("question");
    assert_eq!((question.name(), question.read::<String>()), ("question", "how are you?".to_owned()));
    question.ack(("well", 1));
    assert_eq!(ack.wait::<(String, u8)>(), ("well".to_owned(), 1));
    assert_eq!(format!("{:?}", client.unread()), "[`news` (1)]");
    client.clear();
    client.assert_nothing_unread();
}

#[test]
fn namespaces_share_a_connection_or_have_their_own() {
    let server = echo();
    server.of("/admin").on("echo", |socket: Socket, event: Event| socket.emit("admin", event.payload()));
    let world = TestServer::new(&server);
    let mut main = world.client().connect("/").unwrap();
    let mut admin = main
        .same_connection()
        .auth([("token", "x")].into_iter().collect::<std::collections::BTreeMap<_, _>>())
        .connect("admin")
        .unwrap();
    let other = world.client().connect("/admin").unwrap();
    assert_eq!((server.sessions(), server.of("/admin").len()), (2, 2));
    admin.emit("echo", 1);
    assert_eq!(admin.receive::<u8>("admin"), 1);
    main.disconnect();
    assert!(!main.is_connected());
    assert!(admin.is_connected() && other.is_connected());
    assert_eq!(
        main.same_connection().connect("/none").unwrap_err(),
        ConnectError::Refused { message: "Invalid namespace".to_owned(), data: None }
    );
}

#[test]
fn the_request_is_that_of_the_client() {
    let server = Server::builder()
        .path("/here")
        .allow_request(|request| match request.headers.get("authorization") {
            Some(_) => Ok(()),
            None => Err("no token".to_owned()),
        })
        .build();
    server.on_connect(|socket: Socket| {
        let handshake = socket.handshake();
        socket.emit("handshake", (handshake.query_string(), handshake.header("authorization"), handshake.address()))
    });
    let world = TestServer::new(&server);
    for polling in [false, true] {
        let connect = if polling { world.client().polling() } else { world.client() };
        let Err(ConnectError::Http { status: 403, body }) = connect.connect("/") else { panic!("it is refused") };
        assert!(body.contains("no token"), "{body}");
    }
    let client =
        world.client().header("Authorization", "Bearer x").query("room", "a&b").address(([10, 0, 0, 1], 7).into());
    let (query, authorization, address) = client.connect("/").unwrap().receive::<(String, String, String)>("handshake");
    assert!(query.ends_with("&room=a%26b"), "{query}");
    assert_eq!((authorization.as_str(), address.as_str()), ("Bearer x", "10.0.0.1:7"));
}

#[test]
fn a_cut_connection_is_noticed_by_each_transport_in_its_time() {
    for_each_seed(20, |seed| {
        let server = echo();
        let reasons = Arc::<Mutex<Vec<DisconnectReason>>>::default();
        let log = Arc::clone(&reasons);
        server.on_disconnect(move |_: Socket, reason: DisconnectReason| log.lock().unwrap().push(reason));
        let mut world = TestServer::with_seed(&server, seed);
        let mut websocket = world.client().connect("/").unwrap();
        let mut polling = world.client().polling().connect("/").unwrap();
        websocket.cut();
        assert_eq!(server.sessions(), 1);
        polling.cut();
        assert_eq!((websocket.disconnected(), polling.disconnected()), (Left::ByClient, Left::ByClient));
        world.advance(Duration::from_secs(46));
        assert_eq!(server.sessions(), 0);
        assert_eq!(reasons.lock().unwrap().len(), 2);
    });
}

#[test]
fn a_handler_that_panics_closes_the_connection_and_the_kit_says_so() {
    let server = echo();
    server.on("bad", |_: Socket, _: Event| -> () { panic!("on purpose") });
    let world = TestServer::new(&server);
    let mut client = world.client().connect("/").unwrap();
    client.emit("bad", ());
    assert_eq!(client.disconnected(), Left::TransportClose);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.receive::<u8>("echo"))).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("has left: transport close"));
}

#[test]
fn a_seed_repeats_its_order_and_others_have_another() {
    let order = |seed| {
        let server = Server::new();
        let order = Arc::<Mutex<Vec<u32>>>::default();
        let log = Arc::clone(&order);
        let (release, released) = futures_channel::oneshot::channel::<()>();
        let released = futures_util::FutureExt::shared(released);
        server.on("wait", move |_: Socket, event: Event| {
            let (released, log) = (released.clone(), Arc::clone(&log));
            async move {
                released.await?;
                log.lock().unwrap().push(event.read::<u32>()?);
                Ok::<(), Failure>(())
            }
        });
        let mut world = TestServer::with_seed(&server, seed);
        let mut clients: Vec<_> = (0..8).map(|_| world.client().connect("/").unwrap()).collect();
        for (number, client) in (0..).zip(&mut clients) {
            client.emit("wait", number);
        }
        // All of them go on at once.
        release.send(()).unwrap();
        world.settle();
        let order = order.lock().unwrap().clone();
        assert_eq!(order.len(), 8);
        order
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn a_client_that_reconnects_is_recovered_if_the_server_has_recovery_on_and_is_a_new_one_otherwise() {
    for_each_seed(20, |seed| {
        for (recovery, polling) in [(true, false), (true, true), (false, false)] {
            let builder = Server::builder();
            let server =
                if recovery { builder.connection_state_recovery(Recovery::default()).build() } else { builder.build() };
            server.middleware(|request: ConnectRequest| match request.read_auth::<serde_json::Value>() {
                Ok(auth) if auth["token"] == "x" => Ok(()),
                _ => Err("no token".into()),
            });
            server.on_connect(|socket: Socket| {
                assert_eq!(socket.handshake().query_value("room").as_deref(), Some("a"));
                socket.emit("hello", socket.recovered())
            });
            let mut world = TestServer::with_seed(&server, seed);
            let connect = world.client().query("room", "a").auth(serde_json::json!({ "token": "x" }));
            let mut client = if polling { connect.polling() } else { connect }.connect("/").unwrap();
            let id = client.id();
            assert!(!client.recovered() && !client.receive::<bool>("hello"));
            server.emit("news", "unread").unwrap();
            world.settle();
            client.cut();
            server.emit("news", "missed").unwrap();
            world.advance(Duration::from_secs(50));
            server.emit("news", "missed, too").unwrap();
            client.reconnect().unwrap();
            assert_eq!((client.recovered(), client.id() == id), (recovery, recovery));
            assert_eq!(client.receive::<bool>("hello"), recovery);
            let news = client.unread().iter().map(|event| event.read::<String>()).collect::<Vec<_>>();
            let all: &[&str] = if recovery { &["unread", "missed", "missed, too"] } else { &["unread"] };
            assert_eq!(news, all);
            client.cut();
            world.advance(Duration::from_secs(500));
            client.reconnect().unwrap();
            assert!(!client.recovered(), "it was away for too long");
            let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.reconnect()));
            assert!(panics.unwrap_err().downcast_ref::<String>().unwrap().contains("to have lost its connection"));
            // A server that refuses it does not end the client.
            client.cut();
            world.shut_down(Duration::from_secs(1));
            for _ in 0..2 {
                assert!(matches!(client.reconnect(), Err(ConnectError::Http { status: 503, .. })));
                assert!(!client.is_connected());
            }
        }
    });
}

/// Echoes messages, and logs why sessions end. `close` closes the session.
fn engine_echo() -> (EngineServer, Arc<Mutex<Vec<CloseReason>>>) {
    let reasons = Arc::<Mutex<Vec<CloseReason>>>::default();
    let log = Arc::clone(&reasons);
    let server = EngineServer::builder()
        .path("/here")
        .max_payload(100)
        .allow_request(|request| match request.headers.get("authorization") {
            Some(_) => Ok(()),
            None => Err("no token".to_owned()),
        })
        .build();
    server
        .on_message(|socket: EngineSocket, message: Message| match message {
            Message::Text(text) if *text == *"close" => {
                socket.close();
                Ok(())
            }
            Message::Text(text) if *text == *"who" => {
                let (handshake, address) = (socket.handshake(), socket.handshake().address());
                socket.send(format!("{:?} {address:?}", handshake.query_value("room").as_deref()))
            }
            message => socket.send(message),
        })
        .on_close(move |_: EngineSocket, reason: CloseReason| log.lock().unwrap().push(reason));
    (server, reasons)
}

#[test]
fn messages_of_an_engine_server_go_both_ways_on_every_transport() {
    for_each_seed(20, |seed| {
        let (server, _) = engine_echo();
        let world = TestServer::with_seed(&server, seed);
        let dial = || world.client().header("Authorization", "x");
        let websocket = dial().connect().unwrap();
        let polling = dial().polling().connect().unwrap();
        let mut upgraded = dial().polling().connect().unwrap();
        upgraded.send("before");
        upgraded.upgrade().unwrap();
        assert!(upgraded.upgrade().is_err());
        assert_eq!((upgraded.transport(), polling.transport()), (Transport::WebSocket, Transport::Polling));
        assert_eq!(upgraded.receive_text(), "before");
        for mut client in [websocket, polling, upgraded] {
            client.send("text");
            client.send(vec![0, 255]);
            assert_eq!(client.unread(), [Message::from("text"), Message::from(vec![0, 255])]);
            assert_eq!((client.receive_text().as_str(), client.receive()), ("text", Message::from(vec![0, 255])));
            client.assert_nothing_unread();
            let id = client.id();
            assert!(server.sockets().iter().any(|socket| *socket.id().as_str() == *id));
        }
        assert_eq!(server.sessions(), 3);
    });
}

#[test]
fn the_request_of_an_engine_client_is_its_own_and_a_refusal_says_why() {
    let (server, _) = engine_echo();
    let world = TestServer::new(&server);
    for polling in [false, true] {
        let connect = if polling { world.client().polling() } else { world.client() };
        let Err(ConnectError::Http { status: 403, body }) = connect.connect() else { panic!("it is refused") };
        assert!(body.contains("no token"), "{body}");
    }
    let client = world.client().header("Authorization", "x").query("room", "a&b").address(([10, 0, 0, 1], 7).into());
    let mut client = client.connect().unwrap();
    client.send("who");
    assert_eq!(client.receive_text(), r#"Some("a&b") Some(10.0.0.1:7)"#);
}

#[test]
fn the_end_of_an_engine_session_is_seen_by_both_ends() {
    for_each_seed(20, |seed| {
        let (server, reasons) = engine_echo();
        let mut world = TestServer::with_seed(&server, seed);
        let reason = |world: &mut TestServer<EngineServer>| {
            world.settle();
            reasons.lock().unwrap().pop().map(|reason| reason.to_string())
        };
        for polling in [false, true] {
            let open = |world: &TestServer<EngineServer>| {
                let dial = world.client().header("Authorization", "x");
                if polling { dial.polling() } else { dial }.connect().unwrap()
            };
            let mut client = open(&world);
            client.send("one");
            client.send("close");
            assert_eq!(client.closed(), Closed::ByServer { code: None });
            assert_eq!(client.receive_text(), "one", "what came before can still be read");
            assert_eq!(reason(&mut world).as_deref(), Some("forced close"));

            let mut client = open(&world);
            client.close();
            assert_eq!(client.closed(), Closed::ByClient);
            assert_eq!(reason(&mut world).as_deref(), Some("transport close"));

            let mut client = open(&world);
            client.send("x".repeat(101));
            match client.closed() {
                Closed::ByServer { code: Some(1009) } if !polling => {}
                // The POST is answered, and the GET that is held.
                Closed::Refused { status: 413, .. } | Closed::ByServer { code: None } if polling => {}
                closed => panic!("{closed:?}"),
            }
            assert!(reason(&mut world).is_some());

            let mut client = open(&world);
            client.stop_reading();
            // A poll that was sent before takes one ping.
            world.advance(Duration::from_secs(if polling { 75 } else { 46 }));
            assert_eq!(reason(&mut world).as_deref(), Some("ping timeout"));
            client.resume_reading();
            assert!(!client.is_connected());

            let mut client = open(&world);
            client.cut();
            world.advance(Duration::from_secs(46));
            assert_eq!((client.closed(), reason(&mut world).is_some()), (Closed::ByClient, true));
        }
        let mut client = world.client().header("Authorization", "x").connect().unwrap();
        world.advance(Duration::from_secs(3600));
        assert!(client.is_connected(), "it has answered pings");
        world.shut_down(Duration::from_secs(1));
        assert_eq!(client.closed(), Closed::ByServer { code: Some(1001) });
        assert_eq!(server.sessions(), 0);
    });
}

#[test]
fn a_message_that_does_not_come_is_a_panic_that_says_what_there_is() {
    let (server, _) = engine_echo();
    let world = TestServer::new(&server);
    let mut client = world.client().header("Authorization", "x").connect().unwrap();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.receive())).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.starts_with("expected a message, within 5s of virtual time") && text.contains("is open"), "{text}");
}
