//! Methods of servers, sockets and broadcasts that have no other test, over real sockets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod support;

use socketio_tokio::{
    AckError, CloseReason, ConnectRequest, DisconnectReason, EngineServer, EngineSocket, Event, LinkKind, Message,
    Refusal, RoomEvent, Server, Socket, Transport,
};
use support::http::{exchange, get};
use support::peers::{Client, Polling};
use support::websocket::{Came, WebSocket};
use support::{Host, until, within};
use tokio::sync::mpsc;

const LINK: Transport = Transport::Link(LinkKind::WebSocket);

/// A server that reports its sockets and the reasons of their ends.
fn server() -> (Server, mpsc::UnboundedReceiver<Socket>, mpsc::UnboundedReceiver<String>) {
    let server = Server::new();
    let (came, sockets) = mpsc::unbounded_channel();
    let (left, reasons) = mpsc::unbounded_channel();
    server.on_connect(move |socket: Socket| came.send(socket).unwrap());
    server.on_disconnect(move |_: Socket, reason: DisconnectReason| left.send(reason.to_string()).unwrap());
    (server, sockets, reasons)
}

async fn next<T>(receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
    within(receiver.recv()).await.unwrap()
}

/// Upgrades a polling session.
async fn upgrade(session: &Polling) -> WebSocket {
    let mut link = WebSocket::open(session.address, &session.websocket_target()).await;
    link.text("2probe").await;
    assert_eq!(link.next().await, Came::Text("3probe".into()));
    link.text("5").await;
    link
}

#[tokio::test]
async fn a_socket_knows_its_transport_and_is_told_when_it_changes() {
    let (server, mut sockets, _reasons) = server();
    let (tell, mut upgrades) = mpsc::unbounded_channel();
    server.on_upgrade(move |socket: Socket, transport: Transport| tell.send((socket, transport)).unwrap());
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    let socket = next(&mut sockets).await;
    assert_eq!(socket.transport(), Transport::Polling);
    let _link = upgrade(&session).await;
    let (upgraded, transport) = next(&mut upgrades).await;
    assert_eq!((&upgraded, transport, socket.transport()), (&socket, LINK, LINK));
    let _client = Client::join(host.address).await;
    assert_eq!(next(&mut sockets).await.transport(), LINK);
    assert!(upgrades.try_recv().is_err(), "it was a WebSocket from the beginning");
}

#[tokio::test]
async fn dropping_a_connection_sends_what_is_queued_and_no_disconnect() {
    let (server, mut sockets, mut reasons) = server();
    server.of("/other");
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    assert!(client.ask("40/other,").await.starts_with("0/other,{"));
    let socket = next(&mut sockets).await;
    socket.emit("bye", ()).unwrap();
    socket.drop_connection();
    assert!(!socket.is_connected());
    assert_eq!(client.packet().await, r#"2["bye"]"#);
    assert!(matches!(within(client.next()).await, Came::Closed(_) | Came::Lost));
    assert_eq!(next(&mut reasons).await, "forced close");

    let session = Polling::join(host.address).await;
    next(&mut sockets).await.drop_connection();
    assert_eq!(next(&mut reasons).await, "forced close");
    assert_eq!(within(session.get()).await.text(), "6\u{1e}1");
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn who_waits_for_the_end_of_a_socket_hears_of_it_however_it_ends() {
    let (server, mut sockets, _reasons) = server();
    let host = Host::start(server).await;
    for end in 0..4 {
        let mut client = Client::join(host.address).await;
        let socket = next(&mut sockets).await;
        let waits = [tokio::spawn(socket.closed()), tokio::spawn(socket.closed())];
        tokio::task::yield_now().await;
        assert!(!waits[0].is_finished());
        // A future that is dropped waits for nothing.
        drop(socket.closed());
        match end {
            0 => client.send("41").await,
            1 => socket.disconnect(),
            2 => socket.close(),
            _ => drop(client),
        }
        for wait in waits {
            within(wait).await.unwrap();
        }
        assert!(socket.rooms().is_empty() && !socket.is_connected());
        within(socket.closed()).await;
    }
}

#[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
struct User {
    name: String,
    age: Option<u8>,
}

#[tokio::test]
async fn data_that_serde_can_write_stays_with_the_socket() {
    let (server, mut sockets, mut reasons) = server();
    server.middleware(|request: ConnectRequest| {
        assert_eq!(request.data::<Option<User>>(), Ok(None));
        assert!(request.data::<User>().is_err(), "an empty object has no name");
        request.set_data(User { name: "ann".into(), age: None }).map_err(|_| "no data")?;
        Ok::<(), Refusal>(())
    });
    let (tell, mut kept) = mpsc::unbounded_channel();
    server.on_disconnecting(move |socket: Socket, _: DisconnectReason| tell.send(socket.data::<User>()).unwrap());
    let host = Host::start(server).await;
    let mut client = Client::join(host.address).await;
    let socket = next(&mut sockets).await;
    assert_eq!(socket.data::<User>().unwrap().name, "ann");
    let bob = || User { name: "bob".into(), age: Some(7) };
    socket.set_data(bob()).unwrap();
    assert!(socket.set_data(std::collections::BTreeMap::from([((1, 2), 3)])).is_err(), "no key of JSON");
    assert_eq!(socket.data::<serde_json::Value>().unwrap(), serde_json::json!({ "name": "bob", "age": 7 }));
    assert!(socket.data::<u8>().is_err());
    client.send("41").await;
    assert_eq!(next(&mut kept).await, Ok(bob()));
    next(&mut reasons).await;
    within(socket.closed()).await;
    until(|| socket.data::<Option<User>>() == Ok(None)).await;
}

#[tokio::test]
async fn r120_a_socket_joins_leaves_and_reaches_several_rooms_at_once() {
    let (server, mut sockets, _reasons) = server();
    let (tell, mut events) = mpsc::unbounded_channel();
    server.on_room(move |event: RoomEvent| tell.send(event).unwrap());
    let host = Host::start(server.clone()).await;
    let (mut first, _second) = (Client::join(host.address).await, Client::join(host.address).await);
    let (one, two) = (next(&mut sockets).await, next(&mut sockets).await);
    one.join(["a", "b"]);
    one.join("c");
    two.join(vec!["b".to_owned(), "d".to_owned()]);
    for name in ["a", "b", "c"] {
        assert!(one.is_in(name));
    }
    one.leave(["a", "c"].as_slice());
    assert_eq!(one.rooms().len(), 2);
    let everybody = server.broadcast();
    let counts = [
        everybody.count(),
        server.to(["b", "d"]).count(),
        server.to("d").count(),
        server.except(["b", "x"]).count(),
        two.to(["b", "d"]).except(one.id()).count(),
        everybody.to("x").count(),
    ];
    assert_eq!(counts, [2, 2, 1, 0, 0, 0]);
    let fetched = server.to(one.id()).local().fetch_sockets().await;
    assert!(fetched.len() == 1 && fetched[0] == one);
    server.to(["b", "d"]).emit("x", 1).unwrap();
    server.to(["b", "d"]).leave(["b", "d"]);
    server.emit("y", 2).unwrap();
    assert_eq!((first.packet().await, first.packet().await), (r#"2["x",1]"#.into(), r#"2["y",2]"#.into()));
    assert_eq!((one.rooms().len(), two.rooms().len()), (1, 1));
    assert_eq!(server.socket(one.id().as_str()), Some(one));
    assert!(server.socket("nobody").is_none());
    assert!(matches!(next(&mut events).await, RoomEvent::Created { .. }));
    server.broadcast().close();
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn received_arguments_go_back_as_the_ack_and_into_other_values() {
    let server = Server::new();
    server.on("echo", |_: Socket, event: Event| event.ack_with_received()).on(
        "wrap",
        |socket: Socket, event: Event| {
            let wrapped = serde_json::json!({
                "session": socket.session_id(),
                "socket": socket.id(),
                "auth": socket.auth().map(|auth| auth.value()),
                "args": event.payload().values(),
            });
            event.ack(wrapped)
        },
    );
    let host = Host::start(server).await;
    let mut client = Client::open(host.address).await;
    let reply = client.ask(r#"40{"token":"t"}"#).await;
    let sid = reply.split('"').nth(3).unwrap().to_owned();
    assert_eq!(client.ask(r#"427["echo",{"a":[1,null]},"x"]"#).await, r#"37[{"a":[1,null]},"x"]"#);
    let answer = client.ask(r#"428["wrap",1,{"b":2}]"#).await;
    let answer: serde_json::Value = serde_json::from_str(answer.strip_prefix("38").unwrap()).unwrap();
    let expected = serde_json::json!([{
        "session": client.session, "socket": sid, "auth": { "token": "t" }, "args": [1, { "b": 2 }],
    }]);
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn an_event_that_is_not_sent_because_too_many_acks_are_awaited_says_so() {
    let server = Server::builder().socket(|config| config.limits.max_awaited_acks = 1).build();
    let (came, mut sockets) = mpsc::unbounded_channel();
    server.on_connect(move |socket: Socket| came.send(socket).unwrap());
    let host = Host::start(server).await;
    let mut client = Client::join(host.address).await;
    let socket = next(&mut sockets).await;
    let (first, second) = (socket.emit_with_ack("a", ()).unwrap(), socket.emit_with_ack("b", ()).unwrap());
    assert_eq!(within(second).await, Err(AckError::TooManyAcks));
    assert!(socket.is_connected());
    let question = client.packet().await;
    let id = question.strip_prefix('2').unwrap().split('[').next().unwrap();
    client.send(&format!("43{id}[1]")).await;
    assert_eq!(within(first).await.unwrap().get(0), Ok(1));
}

#[tokio::test]
async fn a_server_that_drains_keeps_its_sessions_and_takes_no_new_one() {
    let (server, mut sockets, _reasons) = server();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    let host = Host::start(server.clone()).await;
    let (mut client, session) = (Client::join(host.address).await, Polling::join(host.address).await);
    let drains = server.clone();
    let drained = tokio::spawn(async move { drains.drain().await });
    let opening = "/socket.io/?EIO=4&transport=polling";
    until_refused(host.address, opening, &server).await;
    assert_eq!(client.ask(r#"42["echo",1]"#).await, r#"2["echo",1]"#);
    let mut link = upgrade(&session).await;
    link.text(r#"42["echo",2]"#).await;
    assert_eq!(within(link.next()).await, Came::Text(r#"42["echo",2]"#.into()));
    assert!(!drained.is_finished());
    next(&mut sockets).await.drop_connection();
    next(&mut sockets).await.drop_connection();
    assert!(matches!(within(client.next()).await, Came::Closed(_) | Came::Lost));
    assert!(matches!(within(link.next()).await, Came::Closed(_) | Came::Lost));
    within(drained).await.unwrap();
    assert_eq!(server.sessions(), 0);
}

/// Waits until the server refuses new sessions. The sessions that were opened before that are closed.
async fn until_refused(address: std::net::SocketAddr, opening: &str, server: &Server) {
    let before = server.sessions();
    loop {
        let answer = exchange(address, get(opening)).await;
        if answer.status == 503 {
            break;
        }
        let sid = support::peers::sid_of(answer.text());
        exchange(address, support::http::post(&format!("{opening}&sid={sid}"), "1")).await;
    }
    until(|| server.sessions() == before).await;
}

#[tokio::test]
async fn a_bare_engine_server_has_the_same_methods() {
    let server = EngineServer::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let (upgrades, closes) = (tell.clone(), tell.clone());
    server
        .on_connect(|socket: EngineSocket| {
            socket.insert(socket.transport());
        })
        .on_message(|socket: EngineSocket, message: Message| socket.send(message))
        .on_upgrade(move |_: EngineSocket, transport: Transport| upgrades.send(format!("{transport:?}")).unwrap())
        .on_close(move |socket: EngineSocket, reason: CloseReason| {
            closes.send(format!("{:?} {reason}", socket.get::<Transport>().unwrap())).unwrap();
        });
    let host = Host::start(server.clone()).await;
    let session = Polling::open_at(host.address, "/engine.io/").await;
    assert_eq!(server.sockets().len(), 1);
    let id = server.sockets()[0].id();
    let socket = server.socket(&id).unwrap();
    assert_eq!((socket.id().as_str(), socket.transport()), (&*session.sid, Transport::Polling));
    until(|| socket.get::<Transport>().is_some()).await;
    let mut link = upgrade(&session).await;
    assert_eq!(next(&mut told).await, format!("{LINK:?}"));
    assert_eq!((socket.transport(), socket.is_on_link()), (LINK, true));
    assert_eq!(*socket.insert(5_u8).unwrap_or_default(), 0);
    let drains = server.clone();
    let drained = tokio::spawn(async move { drains.drain().await });
    link.text("4hi").await;
    assert_eq!(within(link.next()).await, Came::Text("4hi".into()));
    link.close().await;
    drop(link);
    assert!(next(&mut told).await.starts_with("Polling transport close"));
    within(drained).await.unwrap();
    assert!(server.socket(&id).is_none());
    until(|| socket.get::<u8>().is_none()).await;
    assert!(socket.insert(5_u8).is_none() && socket.get::<u8>().is_none(), "nothing is kept after the end");
}
