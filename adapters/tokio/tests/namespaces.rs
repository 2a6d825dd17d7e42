//! Namespaces that clients create, over real sockets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod support;

use socketio_tokio::{ConnectRequest, Event, Namespace, Refusal, Server, Socket};
use support::peers::Client;
use support::{Host, until, within};
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r97_a_function_creates_namespaces_on_demand_and_empty_ones_are_removed() {
    let server = Server::builder().cleanup_empty_child_namespaces(true).build();
    server
        .dynamic(|request: ConnectRequest| async move {
            tokio::task::yield_now().await;
            request.namespace().starts_with("/tenant-")
        })
        .middleware(|request: ConnectRequest| match request.read_auth::<Vec<u8>>() {
            // An object is no vector.
            Err(_) if request.auth().is_some() => Ok(()),
            _ => Err(Refusal::new("who are you?")),
        })
        .on("echo", |socket: Socket, event: Event| socket.namespace().emit("echo", event.payload()));
    let host = Host::start(server.clone()).await;

    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Client::open(host.address).await);
    }
    for client in &mut clients {
        client.send("40/tenant-1,{}").await;
    }
    for client in &mut clients {
        assert!(client.packet().await.starts_with("0/tenant-1,{"));
    }
    assert_eq!(server.get("tenant-1").unwrap().len(), 10);
    clients[0].send(r#"42/tenant-1,["echo",1]"#).await;
    for client in &mut clients {
        assert_eq!(client.packet().await, r#"2/tenant-1,["echo",1]"#);
    }
    assert_eq!(clients[0].ask("40/other,{}").await, r#"4/other,{"message":"Invalid namespace"}"#);
    assert_eq!(clients[0].ask("40/tenant-2,").await, r#"4/tenant-2,{"message":"who are you?"}"#);
    until(|| server.namespaces().len() == 2).await;
    drop(clients);
    until(|| server.get("tenant-1").is_none()).await;
    assert_eq!(server.namespaces().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r98_new_namespaces_are_announced_before_anybody_can_join_them() {
    let server = Server::new();
    let (created, mut names) = mpsc::unbounded_channel();
    let (go, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    server.on_new_namespace(move |namespace: Namespace| {
        created.send(namespace.name().to_owned()).unwrap();
        if namespace.name() == "/dynamic" {
            // Blocks its thread until clients have requested the namespace.
            waits.lock().unwrap().recv().unwrap();
            namespace.middleware(|_: ConnectRequest| Err(Refusal::new("guarded")));
        }
    });
    server.of("/static");
    server.of("static");
    assert_eq!(names.try_recv().unwrap(), "/static");
    server.matching(|name| name == "/dynamic");
    let host = Host::start(server.clone()).await;
    let (mut first, mut second) = (Client::open(host.address).await, Client::open(host.address).await);
    // The name matches, so this creates a child.
    let creates = server.clone();
    let creator = std::thread::spawn(move || creates.of("dynamic").name().to_owned());
    assert_eq!(within(names.recv()).await.unwrap(), "/dynamic");
    for client in [&mut first, &mut second] {
        client.send("40/dynamic,").await;
        // The next packet is answered, so the request was seen, and waits.
        assert!(within(client.ask("40/static,")).await.starts_with("0/static,{"));
    }
    go.send(()).unwrap();
    for client in [&mut first, &mut second] {
        assert_eq!(within(client.packet()).await, r#"4/dynamic,{"message":"guarded"}"#);
    }
    assert_eq!(creator.join().unwrap(), "/dynamic");
    assert!(names.try_recv().is_err());
}
