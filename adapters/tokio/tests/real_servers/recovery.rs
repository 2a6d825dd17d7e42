//! Connection state recovery: what the server sends while the connection is cut arrives later, once and in order.

use socketio_tokio::client::ClientBuilder;
use socketio_tokio::{Data, Parser};
use tokio::sync::mpsc::unbounded_channel;

use crate::checks;
use crate::connection::{Test, connected, connects, disconnects, within};
use crate::proxy::Proxy;

checks!(nothing_is_lost_or_repeated_if_the_connection_is_cut_while_others_broadcast | kind | kind.recovery.is_some(),);

/// How many clients lose their connection, one after the other.
const CLIENTS: u32 = 5;
/// Broadcasts in each phase: before the cut, after it, and while the client returns.
const BROADCASTS: u32 = 40;

async fn nothing_is_lost_or_repeated_if_the_connection_is_cut_while_others_broadcast<P: Parser>(
    test: &Test,
    make: impl Fn(&str) -> ClientBuilder<P>,
) {
    let path = test.server.kind.recovery.unwrap();
    // If a polling client is cut between two polls, the server notices it by the heartbeat.
    let server =
        test.server.own(&[("RECOVERY_MS", "120000"), ("PING_INTERVAL_MS", "300"), ("PING_TIMEOUT_MS", "8000")]);
    let proxy = Proxy::start(&server.url()).await;
    let sender = make(&server.url()).path(path).unwrap().build().socket("/");
    connected(&sender).await;
    let (seen, mut ends) = unbounded_channel();
    sender.on("broadcast-back", || {}).on("watched", move |Data((id, _)): Data<(String, String)>| {
        let _ = seen.send(id);
    });
    for _ in 0..CLIENTS {
        let receiver = make(&proxy.url).path(path).unwrap().build().socket("/");
        let (mut joined, mut reasons) = (connects(&receiver), disconnects(&receiver));
        connected(&receiver).await;
        assert!(!joined.next("the connection").await);
        let id = receiver.id().unwrap();
        sender.emit("watch", id.as_str()).unwrap();
        let mut numbers = 0..;
        let mut broadcast = |count: u32| {
            for number in numbers.by_ref().take(count as usize) {
                sender.emit("broadcast", number).unwrap();
            }
        };
        let next = async || loop {
            let event = within("a broadcast", receiver.recv()).await.unwrap();
            // The greeting of the servers, which a recovered client gets again.
            if event.name() != "auth" {
                break (event.name().to_owned(), event.payload().get::<u32>(0).unwrap());
            }
        };
        // The offset of the first event is what recovery begins with.
        broadcast(1);
        assert_eq!(next().await, ("broadcast-back".to_owned(), 0));
        broadcast(BROADCASTS);
        // All of them have left the server, and some are on their way.
        within("the ack", sender.emit_with_ack("message-with-ack", ()).unwrap()).await.unwrap();
        proxy.cut();
        broadcast(BROADCASTS);
        reasons.next("the loss").await;
        // A client that returns before the server knows that it was gone is a new one: there is nothing to recover yet.
        assert_eq!(within("the end on the server", ends.recv()).await.unwrap(), id.as_str());
        proxy.heal();
        broadcast(BROADCASTS);
        assert!(joined.next("the reconnection").await, "the server has not recovered the socket");
        assert_eq!(receiver.id().unwrap(), id);
        for expected in 1..=BROADCASTS * 3 {
            assert_eq!(next().await, ("broadcast-back".to_owned(), expected));
        }
        // Nothing comes twice: the next event is the one that is sent now.
        receiver.emit("message", 7).unwrap();
        assert_eq!(next().await, ("message-back".to_owned(), 7));
    }
}
