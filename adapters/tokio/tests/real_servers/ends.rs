//! Refusals, and how connections end: by the server, with it, and because of what the client has sent.

use std::time::Duration;

use serde_json::json;
use socketio_tokio::client::{ClientBuilder, ConnectionEvent};
use socketio_tokio::{AckError, CloseReason, DisconnectReason, Parser, Revision};

use crate::checks;
use crate::connection::{Test, connected, connection, connects, disconnects, failures, received, within};

checks!(
    a_refusal_has_its_message_and_data_and_is_not_followed_by_attempts | _ | true,
    a_kicked_socket_does_not_return_by_itself | _ | true,
    a_server_that_closes_the_connection | _ | true,
    a_server_that_is_killed_and_restarted_gets_what_was_emitted_meanwhile | _ | true,
    a_server_that_is_frozen_is_noticed_by_its_silence | _ | true,
    a_message_over_the_limit_of_the_server_ends_the_connection_and_not_the_client | _ | true,
);

async fn a_refusal_has_its_message_and_data_and_is_not_followed_by_attempts<P: Parser>(
    test: &Test,
    make: impl Fn(&str) -> ClientBuilder<P>,
) {
    let client = make(test.server.url()).build();
    let (refused, root) = (client.socket("/refuse"), client.socket("/"));
    let (mut reports, mut events) = (failures(&refused), connection(&client));
    refused.connect();
    let failure = reports.next("the refusal").await;
    assert!(failure.is_refused() && !refused.is_active(), "{failure}");
    let data: serde_json::Value = if test.server.kind.revision == Revision::V4 {
        assert_eq!(failure.message(), "refused");
        failure.data().unwrap()
    } else {
        // Clients of Socket.IO 2 get the data alone.
        failure.payload().unwrap().get(0).unwrap()
    };
    assert_eq!(data, json!({ "reason": "test" }));

    // The connection is good for others, and the refused socket does not try again when it is made again.
    connected(&root).await;
    client.drop_connection();
    events.until("the reconnection", |event| matches!(event, ConnectionEvent::Reconnect(_)).then_some(())).await;
    received(&root, "auth").await;
    assert!(reports.is_empty() && !refused.is_active());
    refused.connect();
    assert!(reports.next("the second refusal").await.is_refused());
}

async fn a_kicked_socket_does_not_return_by_itself<P: Parser>(test: &Test, make: impl Fn(&str) -> ClientBuilder<P>) {
    let client = make(test.server.url()).build();
    // Not the main namespace: on the same connection, a server of Socket.IO 2 does not tell a client that it has joined it again.
    let (kicked, other) = (client.socket("/custom"), client.socket("/"));
    let mut reasons = disconnects(&kicked);
    // In this order: a server of Socket.IO 2 has all clients join the main namespace, and greets them, at once.
    connected(&other).await;
    connected(&kicked).await;
    kicked.emit("disconnect-me", ()).unwrap();
    assert_eq!(reasons.next("the kick").await, DisconnectReason::IoServerDisconnect);
    assert!(!kicked.is_active() && !kicked.is_connected() && other.is_connected());
    other.emit("message", "still here").unwrap();
    received(&other, "message-back").await;
    connected(&kicked).await;
    kicked.emit("message", "back").unwrap();
    received(&kicked, "message-back").await;
}

async fn a_server_that_closes_the_connection<P: Parser>(test: &Test, make: impl Fn(&str) -> ClientBuilder<P>) {
    let client = make(test.server.url()).build();
    let socket = client.socket("/");
    let mut reasons = disconnects(&socket);
    connected(&socket).await;
    socket.emit("close-me", ()).unwrap();
    match reasons.next("the end").await {
        // socket.io disconnects the sockets first, so that they do not return. python-socketio only closes.
        DisconnectReason::IoServerDisconnect => connected(&socket).await,
        DisconnectReason::Closed(_) => _ = received(&socket, "auth").await,
        reason => panic!("{reason}"),
    }
    socket.emit("message", "back").unwrap();
    received(&socket, "message-back").await;
}

async fn a_server_that_is_killed_and_restarted_gets_what_was_emitted_meanwhile<P: Parser>(
    test: &Test,
    make: impl Fn(&str) -> ClientBuilder<P>,
) {
    let mut server = test.server.own(&[]);
    let client = make(&server.url()).build();
    let (socket, mut events) = (client.socket("/"), connection(&client));
    let (mut joined, mut reasons) = (connects(&socket), disconnects(&socket));
    connected(&socket).await;
    joined.next("the connection").await;
    test.settled(&client, &mut events).await;
    let unanswered = socket.emit_with_ack("nobody-listens", ()).unwrap();
    server.kill();
    let reason = reasons.next("the loss").await;
    assert!(
        matches!(reason, DisconnectReason::Closed(CloseReason::TransportClose | CloseReason::TransportError(_))),
        "{reason}"
    );
    assert!(matches!(within("the outcome", unanswered).await, Err(AckError::Disconnected)));
    assert!(socket.is_active() && !socket.is_connected());
    let count = test.batch().min(20);
    for number in 0..count {
        socket.emit("message", number).unwrap();
    }
    let answer = socket.emit_with_ack("message-with-ack", "late").unwrap();
    events.until("a failed attempt", |event| matches!(event, ConnectionEvent::ReconnectError(_)).then_some(())).await;
    server.restart();
    assert!(!joined.next("the reconnection").await, "nothing could be recovered");
    // What was kept is sent at once. A server may greet before or after it has handled that.
    let mut numbers = Vec::new();
    while numbers.len() < count as usize {
        let event = within("an event", socket.recv()).await.unwrap();
        if event.name() == "message-back" {
            numbers.push(event.read::<u32>().unwrap());
        }
    }
    assert!(numbers.iter().copied().eq(0..count), "{numbers:?}");
    assert_eq!(within("the ack", answer).await.unwrap().read::<String>().unwrap(), "late");
}

async fn a_server_that_is_frozen_is_noticed_by_its_silence<P: Parser>(
    test: &Test,
    make: impl Fn(&str) -> ClientBuilder<P>,
) {
    let server = test.server.own(&[("PING_INTERVAL_MS", "1000"), ("PING_TIMEOUT_MS", "2000")]);
    let client = make(&server.url()).open_timeout(Some(Duration::from_secs(2))).build();
    let (socket, mut events) = (client.socket("/"), connection(&client));
    let mut reasons = disconnects(&socket);
    connected(&socket).await;
    test.settled(&client, &mut events).await;
    server.freeze();
    let reason = reasons.next("the timeout").await;
    // Without this, the server could not be killed in time.
    server.thaw();
    assert_eq!(reason, DisconnectReason::Closed(CloseReason::PingTimeout));
    received(&socket, "auth").await;
    socket.emit("message", "awake").unwrap();
    received(&socket, "message-back").await;
}

async fn a_message_over_the_limit_of_the_server_ends_the_connection_and_not_the_client<P: Parser>(
    test: &Test,
    make: impl Fn(&str) -> ClientBuilder<P>,
) {
    let server = test.server.own(&[("MAX_PAYLOAD", "10000")]);
    let client = make(&server.url()).build();
    let (socket, mut events) = (client.socket("/"), connection(&client));
    let (mut joined, mut reasons) = (connects(&socket), disconnects(&socket));
    connected(&socket).await;
    joined.next("the connection").await;
    test.settled(&client, &mut events).await;
    socket.emit("message", "x".repeat(20_000)).unwrap();
    let reason = reasons.next("the end").await;
    // By polling, the status 413 and the close packet of socket.io race. On a WebSocket, it is the close code 1009.
    assert!(
        matches!(reason, DisconnectReason::Closed(CloseReason::TransportClose | CloseReason::TransportError(_))),
        "{reason}"
    );
    joined.next("the reconnection").await;
    received(&socket, "auth").await;
    socket.emit("message", "short").unwrap();
    assert_eq!(received(&socket, "message-back").await.read::<String>().unwrap(), "short");
}
