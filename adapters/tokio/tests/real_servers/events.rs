//! What clients and servers send each other while the connection lasts.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use socketio_tokio::client::{ClientBuilder, Socket};
use socketio_tokio::{Ack, AckError, Event, Parser};

use crate::checks;
use crate::connection::{Test, connected, connection, received, within};

checks!(
    text_and_binary_come_back_as_they_were_sent | _ | true,
    events_stay_in_order_across_the_upgrade | _ | true,
    acks_are_sent_and_received | _ | true,
    namespaces_share_a_connection_and_are_left_one_by_one | _ | true,
    events_by_the_hundred_come_back_although_a_body_is_limited | _ | true,
    a_server_with_the_messagepack_parser | kind | kind.msgpack.is_some(),
);

/// Binary next to other values, and inside them.
#[derive(PartialEq, Serialize, Deserialize, Debug)]
struct Nested {
    name: String,
    parts: Vec<Bytes>,
}

fn nested() -> Nested {
    Nested { name: "snowman \u{2603}".to_owned(), parts: vec![Bytes::from_static(&[0, 255, 30]), Bytes::new()] }
}

async fn text_and_binary_come_back_as_they_were_sent<P: Parser>(test: &Test, make: impl Fn(&str) -> ClientBuilder<P>) {
    let socket = make(test.server.url()).build().socket("/");
    exchange(test, &socket).await;
}

async fn exchange<P: Parser>(test: &Test, socket: &Socket<P>) {
    connected(socket).await;
    let text = "\u{e4}\u{20ac}\u{1f980} \"quoted\" \u{2028}\\ \u{1e}";
    socket.emit("message", (text, 1.5, (), true, json!({ "a": [1, { "b": null }] }))).unwrap();
    socket.emit("message", (Bytes::from_static(b"first"), "between", nested(), Bytes::from_static(b"last"))).unwrap();
    socket.emit("message", ()).unwrap();
    socket.emit("message", Bytes::from(vec![7; test.large()])).unwrap();

    let event = received(socket, "message-back").await;
    type Plain = (String, f64, Option<u8>, bool, serde_json::Value);
    let (back, number, null, yes, object): Plain = event.read().unwrap();
    assert_eq!((&*back, number, null, yes), (text, 1.5, None, true));
    assert_eq!(object, json!({ "a": [1, { "b": null }] }));
    let event = received(socket, "message-back").await;
    let (first, between, back, last): (Bytes, String, Nested, Bytes) = event.read().unwrap();
    assert_eq!((&first[..], &*between, back, &last[..]), (&b"first"[..], "between", nested(), &b"last"[..]));
    assert_eq!(received(socket, "message-back").await.payload().len(), 0);
    let large: Bytes = received(socket, "message-back").await.read().unwrap();
    assert_eq!(large.len(), test.large());
    assert!(large.iter().all(|byte| *byte == 7));
}

async fn events_stay_in_order_across_the_upgrade<P: Parser>(test: &Test, make: impl Fn(&str) -> ClientBuilder<P>) {
    let count = test.batch();
    let client = make(test.server.url()).build();
    let (socket, mut events) = (client.socket("/"), connection(&client));
    connected(&socket).await;
    socket.emit("burst", (count, Bytes::from_static(b"binary"))).unwrap();
    // At the same time, and during the upgrade.
    for number in 0..count {
        socket.emit("message", (number, Bytes::from_static(b"more"))).unwrap();
        if number % 10 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (mut burst, mut messages) = (0..count, 0..count);
    for _ in 0..count * 2 {
        let event = within("an event", socket.recv()).await.unwrap();
        let (number, _): (u32, Bytes) = event.read().unwrap();
        let expected = if event.name() == "burst-back" { burst.next() } else { messages.next() };
        assert_eq!(Some(number), expected, "{}", event.name());
    }
    test.settled(&client, &mut events).await;
    socket.emit("message", "after it").unwrap();
    received(&socket, "message-back").await;
}

async fn acks_are_sent_and_received<P: Parser>(test: &Test, make: impl Fn(&str) -> ClientBuilder<P>) {
    let socket = make(test.server.url()).build().socket("/");
    connected(&socket).await;
    let answer = socket.emit_with_ack("message-with-ack", ("text", Bytes::from_static(b"binary"), nested())).unwrap();
    let answer = within("the ack", answer).await.unwrap();
    let (text, binary, back): (String, Bytes, Nested) = answer.read().unwrap();
    assert_eq!((&*text, &binary[..], back), ("text", &b"binary"[..], nested()));
    let answer = within("the ack", socket.emit_with_ack("message-with-ack", ()).unwrap()).await.unwrap();
    assert_eq!(answer.len(), 0);

    // The server asks.
    socket.on("ack-me", |event: Event<P>| {
        let (payload, ack) = event.into_parts();
        ack.map_or(Ok(()), |ack: Ack<P>| ack.send(&payload))
    });
    socket.emit("emit-with-ack", (1, Bytes::from_static(b"asked"))).unwrap();
    let (number, binary): (u8, Bytes) = received(&socket, "acked").await.read().unwrap();
    assert_eq!((number, &binary[..]), (1, &b"asked"[..]));

    let ignored = socket.emit_with_ack_timeout("nobody-listens", 1, Duration::from_millis(20)).unwrap();
    assert!(matches!(within("the timeout", ignored).await, Err(AckError::Timeout)));
}

async fn namespaces_share_a_connection_and_are_left_one_by_one<P: Parser>(
    test: &Test,
    make: impl Fn(&str) -> ClientBuilder<P>,
) {
    let client = make(test.server.url()).build();
    let (root, custom) = (client.socket("/"), client.socket("/custom"));
    connected(&root).await;
    connected(&custom).await;
    assert_ne!(root.id(), custom.id());
    custom.emit("message", "custom").unwrap();
    root.emit("message", "root").unwrap();
    assert_eq!(received(&root, "message-back").await.read::<String>().unwrap(), "root");
    assert_eq!(received(&custom, "message-back").await.read::<String>().unwrap(), "custom");
    custom.disconnect();
    assert!(within("the end of its events", custom.recv()).await.is_none());
    assert!(!custom.is_connected() && root.is_connected());
    root.emit("message", "alone").unwrap();
    assert_eq!(received(&root, "message-back").await.read::<String>().unwrap(), "alone");
    connected(&custom).await;
    custom.emit("message", "again").unwrap();
    assert_eq!(received(&custom, "message-back").await.read::<String>().unwrap(), "again");
}

async fn events_by_the_hundred_come_back_although_a_body_is_limited<P: Parser>(
    test: &Test,
    make: impl Fn(&str) -> ClientBuilder<P>,
) {
    // A client that packs what it has into one body would exceed the limit. Servers of revision 3 do not announce it.
    if test.server.kind.revision != socketio_tokio::Revision::V4 {
        return;
    }
    let server = test.server.own(&[("MAX_PAYLOAD", "5000")]);
    let socket = make(&server.url()).build().socket("/");
    connected(&socket).await;
    let text = "x".repeat(900);
    for number in 0..100 {
        socket.emit("message", (number, &*text)).unwrap();
    }
    for number in 0..100 {
        let (back, _): (u32, String) = received(&socket, "message-back").await.read().unwrap();
        assert_eq!(back, number);
    }
}

async fn a_server_with_the_messagepack_parser<P: Parser>(test: &Test, make: impl Fn(&str) -> ClientBuilder<P>) {
    let path = test.server.kind.msgpack.unwrap();
    let client = make(test.server.url()).path(path).unwrap().parser(socketio_proto::MsgPack).build();
    let socket = client.socket("/custom");
    exchange(test, &socket).await;
    let answer = socket.emit_with_ack("message-with-ack", ("text", Bytes::from_static(b"binary"))).unwrap();
    let (text, binary): (String, Bytes) = within("the ack", answer).await.unwrap().read().unwrap();
    assert_eq!((&*text, &binary[..]), ("text", &b"binary"[..]));
}
