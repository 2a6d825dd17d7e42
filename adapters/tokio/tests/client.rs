//! Clients against our own server, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail loudly, their helpers too"
)]

use socketio_tokio::client::{ClientBuilder, EngineClientBuilder};
use socketio_tokio::{
    Ack, Data, EngineServer, EngineSocket, Event, LinkKind, Message, SendError, Server, Socket, Transport, serve,
};
use tokio::net::TcpListener;

async fn start(server: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = server.clone();
    tokio::spawn(async move { serve(listener, server).await });
    url
}

fn echo() -> Server {
    let server = Server::new();
    server
        .on_connect(|socket: Socket| socket.emit("welcome", socket.id().as_str()))
        .on("echo", |socket: Socket, event: Event| socket.emit("echoed", event.payload()))
        .on("sum", |Data((a, b)): Data<(f64, f64)>, ack: Ack| ack.send(a + b));
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_connects_emits_receives_and_acks_over_every_transport() {
    let url = start(&echo()).await;
    let (polling, websocket) = (Transport::Polling, Transport::Link(LinkKind::WebSocket));
    for transports in [vec![polling], vec![websocket], vec![polling, websocket]] {
        let socket = ClientBuilder::new(&url).unwrap().transports(transports.clone()).connect();
        socket.connected().await.unwrap();
        assert!(socket.is_connected());
        let welcome = socket.recv().await.unwrap();
        assert_eq!(welcome.name(), "welcome");
        assert_eq!(welcome.read::<String>().unwrap(), socket.id().unwrap().as_str());
        let sum: f64 = socket.emit_with_ack("sum", (1, 2)).unwrap().await.unwrap().read().unwrap();
        assert_eq!(sum, 3.0);
        socket.emit("echo", ("text", bytes::Bytes::from_static(b"binary"))).unwrap();
        let echoed = socket.recv().await.unwrap();
        let (text, binary): (String, bytes::Bytes) = echoed.read().unwrap();
        assert_eq!((&*text, &*binary), ("text", &b"binary"[..]));
        let client = socket.client();
        client.close();
        client.closed().await;
        assert!(!socket.is_connected());
        assert!(socket.recv().await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_client_opens_sends_receives_and_opens_again() {
    let server = EngineServer::builder()
        .on_message(|socket: EngineSocket, message: Message| match message {
            Message::Text(text) if &*text == "bye" => {
                socket.close();
                Ok(())
            }
            message => socket.send(message),
        })
        .build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { serve(listener, server).await });
    let client = EngineClientBuilder::new(&url).unwrap().build();
    assert_eq!(client.send("too early"), Err(SendError::NotConnected));
    for _ in 0..2 {
        client.open();
        client.send("kept until it is open").unwrap();
        client.opened().await.unwrap();
        client.send(bytes::Bytes::from_static(b"binary")).unwrap();
        assert_eq!(client.recv().await, Some(Message::from("kept until it is open")));
        assert_eq!(client.recv().await, Some(Message::Binary(bytes::Bytes::from_static(b"binary"))));
        client.send("bye").unwrap();
        assert_eq!(client.recv().await, None);
        assert!(!client.is_open());
    }
    // Over polling, a session takes a while to close. What is sent after the next `open` belongs to the next session.
    let client = EngineClientBuilder::new(&url).unwrap().transports([Transport::Polling]).build();
    client.open().opened().await.unwrap();
    client.close();
    assert_eq!(client.send("between"), Err(SendError::Closed));
    client.open().send("next").unwrap();
    assert_eq!(client.recv().await, Some(Message::from("next")));
    client.send("bye").unwrap();
    assert_eq!(client.recv().await, None);
}
