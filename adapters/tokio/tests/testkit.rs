//! A small chat, tested with the test kit, as an application does: in virtual time, without sockets, with tokio's timers and tasks.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use socketio_tokio::testkit::{ConnectError, Left, TestServer, Transport, for_each_seed};
use socketio_tokio::{ConnectRequest, DisconnectReason, Event, Failure, Refusal, Server, Socket};
use tokio::sync::{mpsc, oneshot};

/// The application: users have names, talk in rooms, set reminders, and a bot counts what was said.
fn chat() -> (Server, Arc<Mutex<Vec<String>>>) {
    #[derive(serde::Deserialize)]
    struct Auth {
        name: String,
    }
    struct Name(String);

    let server = Server::new();
    let left = Arc::<Mutex<Vec<String>>>::default();
    let leavers = Arc::clone(&left);
    server
        .middleware(|request: ConnectRequest| match request.read_auth::<Auth>() {
            Ok(Auth { name }) if !name.is_empty() => {
                request.insert(Name(name));
                Ok(())
            }
            _ => Err(Refusal::new("who are you?").with_data(json!({ "needs": "name" }))),
        })
        .on_connect(|socket: Socket| {
            // A bot of its own for each socket, in a task of tokio.
            let (said, mut hears) = mpsc::unbounded_channel::<oneshot::Sender<u32>>();
            socket.insert(said);
            tokio::spawn(async move {
                let mut count = 0;
                while let Some(answer) = hears.recv().await {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    count += 1;
                    let _ = answer.send(count);
                }
            });
        })
        .on("join", |socket: Socket, event: Event| -> Result<(), Failure> {
            let room: String = event.read()?;
            socket.join(&room);
            let name = socket.get::<Name>().ok_or("no name")?;
            Ok(socket.to(&room).emit("joined", (&name.0, &room))?)
        })
        .on("say", async |socket: Socket, event: Event| {
            let (room, text): (String, String) = event.read()?;
            let name = socket.get::<Name>().ok_or("no name")?;
            socket.to(&room).emit("said", (&name.0, text))?;
            let bot = socket.get::<mpsc::UnboundedSender<oneshot::Sender<u32>>>().ok_or("no bot")?;
            let (answer, count) = oneshot::channel();
            bot.send(answer)?;
            event.ack(count.await?)?;
            Ok::<(), Failure>(())
        })
        .on("remind", async |socket: Socket, event: Event| {
            let seconds: u64 = event.read()?;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            socket.emit("reminder", seconds)?;
            Ok::<(), Failure>(())
        })
        .on("poll", async |socket: Socket, _: Event| {
            let answers = socket.broadcast().emit_with_ack("vote?", (), Duration::from_secs(10))?.await;
            let votes = answers.answers.iter().filter(|(_, answer)| answer.is_ok()).count();
            socket.emit("votes", votes)
        })
        .on_disconnect(move |socket: Socket, reason: DisconnectReason| {
            let name = socket.get::<Name>().map_or_else(String::new, |name| name.0.clone());
            leavers.lock().unwrap().push(format!("{name}: {reason}"));
        });
    (server, left)
}

#[test]
fn users_talk_in_a_room() {
    for_each_seed(20, |seed| {
        let (server, _) = chat();
        let world = TestServer::with_seed(&server, seed);
        let mut ann = world.client().auth(json!({ "name": "ann" })).connect("/").unwrap();
        let mut bob = world.client().auth(json!({ "name": "bob" })).polling().connect("/").unwrap();
        ann.emit("join", "tea");
        bob.emit("join", "tea");
        assert_eq!(ann.receive::<(String, String)>("joined"), ("bob".to_owned(), "tea".to_owned()));
        assert_eq!(ann.call::<u32>("say", ("tea", "hello")), 1);
        assert_eq!(bob.receive::<(String, String)>("said"), ("ann".to_owned(), "hello".to_owned()));
        bob.upgrade().unwrap();
        assert_eq!(bob.transport(), Transport::WebSocket);
        assert_eq!(bob.call::<u32>("say", ("tea", "hi")), 1);
        assert_eq!(ann.receive::<(String, String)>("said"), ("bob".to_owned(), "hi".to_owned()));
        ann.assert_nothing_unread();
    });
}

#[test]
fn a_timer_of_tokio_fires_in_virtual_time_and_not_before() {
    let (server, _) = chat();
    let mut world = TestServer::new(&server);
    let mut ann = world.client().auth(json!({ "name": "ann" })).connect("/").unwrap();
    ann.emit("remind", 3600);
    world.advance(Duration::from_secs(3599));
    ann.assert_nothing_unread();
    // 144 pings were answered meanwhile.
    world.advance(Duration::from_secs(2));
    assert_eq!(ann.unread()[0].read::<u64>(), 3600);
}

#[test]
fn a_client_without_a_name_is_refused_with_data() {
    let (server, _) = chat();
    let world = TestServer::new(&server);
    let Err(ConnectError::Refused { message, data }) = world.client().connect("/") else { panic!("it is refused") };
    assert_eq!((message.as_str(), data), ("who are you?", Some(json!({ "needs": "name" }))));
    let error = world.client().connect("/nowhere").unwrap_err();
    assert_eq!(error.to_string(), "the server refused the client: Invalid namespace");
}

#[test]
fn the_server_asks_everybody_and_one_does_not_answer() {
    let (server, _) = chat();
    let mut world = TestServer::new(&server);
    world.set_patience(Duration::from_secs(11));
    let mut clients: Vec<_> =
        (0..4).map(|number| world.client().auth(json!({ "name": number.to_string() })).connect("/").unwrap()).collect();
    clients[0].emit("poll", ());
    for client in &mut clients[1..3] {
        client.receive_event("vote?").ack("yes");
    }
    assert!(clients[3].receive_event("vote?").wants_ack());
    assert_eq!(clients[0].receive::<u32>("votes"), 2);
    assert!(world.elapsed() >= Duration::from_secs(10));
}

#[test]
fn every_end_has_its_reason() {
    for_each_seed(10, |seed| {
        let (server, left) = chat();
        let mut world = TestServer::with_seed(&server, seed);
        let enter = |name: &str| world.client().auth(json!({ "name": name })).connect("/").unwrap();
        let (mut leaves, mut closes, mut cut, mut silent) =
            (enter("leaves"), enter("closes"), enter("cut"), enter("silent"));
        let mut kicked = enter("kicked");
        leaves.disconnect();
        closes.close();
        cut.cut();
        silent.stop_reading();
        server.of("/").socket(&kicked.id()).unwrap().disconnect();
        assert_eq!(kicked.disconnected(), Left::ByServer);
        assert_eq!(closes.disconnected(), Left::ByClient);
        world.advance(Duration::from_secs(50));
        silent.resume_reading();
        assert_eq!(silent.disconnected(), Left::TransportClose);
        let mut left = std::mem::take(&mut *left.lock().unwrap());
        left.sort();
        assert_eq!(
            left,
            [
                "closes: transport close",
                "cut: transport close",
                "kicked: server namespace disconnect",
                "leaves: client namespace disconnect",
                "silent: ping timeout",
            ]
        );
        // `leaves` and `kicked` are still connected, on no namespace.
        world.shut_down(Duration::from_secs(5));
        assert_eq!(server.sessions(), 0);
    });
}

#[test]
fn async_code_of_the_test_runs_in_the_same_time() {
    let server = Server::new();
    let world = TestServer::new(&server);
    let (store, asks) = mpsc::channel::<oneshot::Sender<&'static str>>(1);
    // A store that the application needs, with a task of its own.
    world.run(async move {
        let mut asks = asks;
        tokio::spawn(async move {
            while let Some(ask) = asks.recv().await {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let _ = ask.send("stored");
            }
        });
    });
    server.on("get", move |_: Socket, event: Event| {
        let store = store.clone();
        async move {
            let (answer, stored) = oneshot::channel();
            store.send(answer).await?;
            event.ack(stored.await?)?;
            Ok::<(), Failure>(())
        }
    });
    let mut client = world.client().connect("/").unwrap();
    let get = client.emit_with_ack("get", ());
    assert!(!get.has_arrived());
    assert_eq!(get.wait::<String>(), "stored");
    let seconds = world.run(async { tokio::time::timeout(Duration::from_secs(7), std::future::pending::<()>()).await });
    assert!(seconds.is_err());
    assert_eq!(world.elapsed().as_secs(), 8);
}

#[test]
fn a_panic_says_what_was_expected_and_what_came() {
    let (server, _) = chat();
    let world = TestServer::new(&server);
    let mut ann = world.client().auth(json!({ "name": "ann" })).connect("/").unwrap();
    let mut bob = world.client().auth(json!({ "name": "bob" })).connect("/").unwrap();
    ann.emit("join", "tea");
    bob.emit("join", "tea");
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ann.receive::<String>("said"))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    for part in ["expected the event `said`, within 5s", r#"`joined` ("bob", "tea")"#, "is connected", "seed 0"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ann.receive::<u32>("joined"))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains(r#"`joined` ("bob", "tea") cannot be read as u32"#), "{text}");
}

#[tokio::test]
async fn in_a_runtime_the_panic_says_what_to_do() {
    let panic = std::panic::catch_unwind(|| drop(TestServer::new(&Server::new()))).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("TestServer::run"));
}

#[test]
fn an_async_test_uses_clients_and_tokio_in_one_future() {
    for_each_seed(5, |seed| {
        let (server, left) = chat();
        let world = TestServer::with_seed(&server, seed);
        let mut ann = world.client().auth(json!({ "name": "ann" })).connect("/").unwrap();
        let server = server.clone();
        let took = world.run(async {
            let began = tokio::time::Instant::now();
            let mut bob = world.client().auth(json!({ "name": "bob" })).connect("/").unwrap();
            ann.emit("join", "tea");
            bob.emit("join", "tea");
            assert_eq!(ann.receive::<(String, String)>("joined"), ("bob".to_owned(), "tea".to_owned()));
            // A task of the test, and a timer.
            let (done, counted) = oneshot::channel();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(30)).await;
                let _ = done.send(server.sessions());
            });
            assert_eq!(bob.call::<u32>("say", ("tea", "hi")), 1);
            assert_eq!(counted.await.unwrap(), 2);
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!(ann.receive::<(String, String)>("said"), ("bob".to_owned(), "hi".to_owned()));
            ann.close();
            began.elapsed()
        });
        assert!((60..61).contains(&took.as_secs()), "{took:?}");
        assert_eq!(left.lock().unwrap().len(), 1);
    });
}
