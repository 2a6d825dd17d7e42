//! Rooms and broadcasts: each recipient receives a packet once, broadcasts collect acks, and slow recipients are limited.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use std::time::Duration;

use socketio_tokio::{AckError, Answers, DisconnectReason, Event, Namespace, Server, Socket};
use support::peers::Client;
use support::{Host, until, within};
use tokio::sync::mpsc;

/// Three clients, and their sockets in the same order. When a client receives the answer to `echo`, everything sent before has arrived.
async fn three() -> (Server, Host, [Client; 3], [Socket; 3]) {
    let server = Server::new();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    let host = Host::start(server.clone()).await;
    let clients =
        [Client::join(host.address).await, Client::join(host.address).await, Client::join(host.address).await];
    let sockets = clients.each_ref().map(|client| server.of("/").socket(&client.sid).unwrap());
    (server, host, clients, sockets)
}

/// The numbers of the events that a client has received so far.
async fn got(client: &mut Client) -> Vec<u32> {
    client.send(r#"42["echo"]"#).await;
    let mut numbers = Vec::new();
    loop {
        let packet = client.packet().await;
        if packet == r#"2["echo"]"# {
            return numbers;
        }
        let number = packet.strip_prefix(r#"2["n","#).unwrap().strip_suffix(']').unwrap();
        numbers.push(number.parse().unwrap());
    }
}

#[tokio::test]
async fn r116_r117_each_member_of_the_union_without_the_excepted_gets_a_broadcast_once() {
    let (server, _host, mut clients, [a, b, c]) = three().await;
    let everybody = server.of("/");
    a.join("left");
    b.join("left");
    b.join("right");
    c.join("right");
    everybody.to("left").to("right").emit("n", 1).unwrap();
    everybody.to("left").emit("n", 2).unwrap();
    everybody.except("left").emit("n", 3).unwrap();
    everybody.to("left").to("right").except("right").emit("n", 4).unwrap();
    b.to("left").to("right").emit("n", 5).unwrap();
    b.broadcast().emit("n", 6).unwrap();
    everybody.emit("n", 7).unwrap();
    everybody.to(b.id().as_str()).emit("n", 8).unwrap();
    everybody.to("nobody").emit("n", 9).unwrap();
    everybody.to("left").except(a.id().as_str()).emit("n", 10).unwrap();
    assert_eq!(got(&mut clients[0]).await, [1, 2, 4, 5, 6, 7]);
    assert_eq!(got(&mut clients[1]).await, [1, 2, 7, 8, 10]);
    assert_eq!(got(&mut clients[2]).await, [1, 3, 5, 6, 7]);
}

#[tokio::test]
async fn r118_a_broadcast_that_is_changed_leaves_the_original_as_it_was() {
    let (server, _host, mut clients, [a, ..]) = three().await;
    a.join("room");
    let all = server.of("/").broadcast();
    let narrow = all.clone().to("room");
    all.emit("n", 1).unwrap();
    narrow.emit("n", 2).unwrap();
    assert_eq!(got(&mut clients[0]).await, [1, 2]);
    assert_eq!(got(&mut clients[1]).await, [1]);
}

#[tokio::test]
async fn r119_r120_rooms_vanish_with_their_last_member_and_nobody_joins_after_the_disconnect() {
    let (server, _host, clients, [a, b, c]) = three().await;
    a.join("room");
    a.join("room");
    assert_eq!(server.to("room").sockets().len(), 1);
    a.leave("room");
    a.leave("room");
    assert!(server.to("room").sockets().is_empty());
    b.join("room");
    drop(clients);
    until(|| server.of("/").is_empty()).await;
    assert!(server.to("room").sockets().is_empty());
    c.join("room");
    assert!(server.to("room").sockets().is_empty() && c.rooms().is_empty());
}

#[tokio::test]
async fn r121_all_of_a_room_join_leave_and_disconnect_at_once() {
    let (server, _host, mut clients, [a, b, _]) = three().await;
    a.join("room");
    b.join("room");
    server.to("room").join("second");
    assert_eq!(server.to("second").sockets().len(), 2);
    server.of("/").broadcast().join("third");
    assert_eq!(server.to("third").sockets().len(), 3);
    server.to("third").leave("third");
    assert!(server.to("third").sockets().is_empty());
    server.to("second").disconnect();
    assert_eq!(clients[0].packet().await, "1");
    assert_eq!(clients[1].packet().await, "1");
    assert_eq!(got(&mut clients[2]).await, [0; 0]);
    until(|| server.of("/").len() == 1).await;
}

/// Emits to all sockets and collects their acks, with this timeout.
fn ask(namespace: &Namespace, timeout: Duration) -> impl Future<Output = Answers> + use<> {
    let answers = namespace.broadcast().emit_with_ack("question", (), timeout).unwrap();
    async move { within(answers).await }
}

/// A timeout that is never reached.
const HOURS: Duration = Duration::from_secs(7_200);

/// The answers, in the order of these sockets.
fn by(answers: &Answers, sockets: &[Socket; 3]) -> Vec<Result<u32, AckError>> {
    assert_eq!(answers.answers.len(), 3);
    let of = |socket: &Socket| answers.answers.iter().find(|(who, _)| who == socket).unwrap();
    sockets.iter().map(|socket| of(socket).1.as_ref().map(|answer| answer.get(0).unwrap()).map_err(|e| *e)).collect()
}

#[tokio::test]
async fn r123_everybody_answers_a_broadcast() {
    let (server, _host, mut clients, sockets) = three().await;
    let answers = ask(&server.of("/"), HOURS);
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.packet().await, r#"21["question"]"#);
        client.send(&format!("431[{number}]")).await;
    }
    assert_eq!(by(&answers.await, &sockets), [Ok(0), Ok(1), Ok(2)]);
}

#[tokio::test]
async fn r123_one_stays_silent_and_the_others_answers_are_there_after_the_timeout() {
    let (server, _host, mut clients, sockets) = three().await;
    let answers = ask(&server.of("/"), Duration::from_millis(300));
    for number in [0, 2] {
        assert_eq!(clients[number].packet().await, r#"21["question"]"#);
        clients[number].send(&format!("431[{number}]")).await;
    }
    assert_eq!(by(&answers.await, &sockets), [Ok(0), Err(AckError::Timeout), Ok(2)]);
    // This ack is too late and has no effect.
    clients[1].send("431[1]").await;
    assert_eq!(clients[1].packet().await, r#"21["question"]"#);
    assert_eq!(got(&mut clients[1]).await, [0; 0]);
}

#[tokio::test]
async fn r123_answers_that_are_repeated_or_come_from_somebody_else_are_ignored() {
    let (server, _host, mut clients, sockets) = three().await;
    sockets[0].join("room");
    sockets[1].join("room");
    let answers = server.to("room").emit_with_ack("question", (), HOURS).unwrap();
    assert_eq!(clients[0].packet().await, r#"21["question"]"#);
    assert_eq!(clients[1].packet().await, r#"21["question"]"#);
    // The third client was not asked. Nothing has the number 7.
    clients[2].send("431[2]").await;
    clients[0].send("437[7]").await;
    clients[0].send("431[0]").await;
    clients[0].send("431[9]").await;
    assert_eq!(got(&mut clients[2]).await, [0; 0]);
    assert_eq!(got(&mut clients[0]).await, [0; 0]);
    clients[1].send("431[1]").await;
    let answers = within(answers).await.answers;
    let mut numbers: Vec<u32> = answers.iter().map(|(_, answer)| answer.as_ref().unwrap().get(0).unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1]);
    clients[1].send("431[1]").await;
    assert_eq!(got(&mut clients[1]).await, [0; 0]);
}

#[tokio::test]
async fn a_recipient_from_which_too_many_acks_are_awaited_is_not_asked_and_stays() {
    let server = Server::builder().socket(|config| config.limits.max_awaited_acks = 1).build();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    let host = Host::start(server.clone()).await;
    let (mut first, mut second) = (Client::join(host.address).await, Client::join(host.address).await);
    let pending = server.socket(&first.sid).unwrap().emit_with_ack("pending", ()).unwrap();
    assert_eq!(first.packet().await, r#"20["pending"]"#);
    let answers = server.broadcast().emit_with_ack("question", (), HOURS).unwrap();
    assert_eq!(second.packet().await, r#"21["question"]"#);
    second.send("431[1]").await;
    let answers = within(answers).await.answers;
    assert_eq!(answers.len(), 2);
    for (socket, answer) in answers {
        if socket.id().as_str() == first.sid {
            assert_eq!(answer, Err(AckError::TooManyAcks));
        } else {
            assert_eq!(answer.unwrap().get(0), Ok(1));
        }
    }
    assert_eq!(got(&mut first).await, [0; 0]);
    first.send("430[0]").await;
    assert!(within(pending).await.is_ok());
}

#[tokio::test]
async fn one_that_leaves_is_subtracted_from_those_who_are_to_answer() {
    let (server, _host, [mut first, mut second, third], sockets) = three().await;
    let answers = ask(&server.of("/"), HOURS);
    first.packet().await;
    first.send("431[0]").await;
    second.packet().await;
    second.send("41").await;
    drop(third);
    let gone = Err(AckError::Disconnected);
    assert_eq!(by(&answers.await, &sockets), [Ok(0), gone, gone]);
}

#[tokio::test]
async fn r123_a_broadcast_to_nobody_is_answered_at_once() {
    let server = Server::new();
    assert!(ask(&server.of("/"), HOURS).await.answers.is_empty());
    let none = server.to("nobody").emit_with_ack("question", (), HOURS).unwrap();
    assert!(within(none).await.answers.is_empty());
}

#[tokio::test]
async fn answers_to_broadcasts_of_two_namespaces_with_the_same_number_are_told_apart() {
    let server = Server::new();
    let (one, two) = (server.of("/one"), server.of("/two"));
    let host = Host::start(server.clone()).await;
    let mut client = Client::open(host.address).await;
    client.ask("40/one,").await;
    client.ask("40/two,").await;
    let (first, second) = (ask(&one, HOURS), ask(&two, HOURS));
    assert_eq!(client.packet().await, r#"2/one,1["question"]"#);
    assert_eq!(client.packet().await, r#"2/two,1["question"]"#);
    client.send(r#"43/two,1["two"]"#).await;
    client.send(r#"43/one,1["one"]"#).await;
    for (answers, expected) in [(first.await, "one"), (second.await, "two")] {
        let [(_, Ok(answer))] = &answers.answers[..] else { panic!("{answers:?}") };
        assert_eq!(answer.get::<&str>(0).unwrap(), expected);
    }
}

#[tokio::test]
async fn r123_binary_travels_both_ways_of_a_broadcast_with_acks() {
    let server = Server::new();
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    let question = (bytes::Bytes::from_static(b"\x01\x02"),);
    let answers = server.of("/").broadcast().emit_with_ack("question", question, HOURS).unwrap();
    assert_eq!(client.packet().await, r#"51-1["question",{"_placeholder":true,"num":0}]"#);
    assert_eq!(client.websocket.next().await, support::websocket::Came::Binary(vec![1, 2]));
    client.send(r#"461-1[{"_placeholder":true,"num":0}]"#).await;
    client.websocket.binary(b"\x03").await;
    let answers = within(answers).await;
    let [(_, Ok(answer))] = &answers.answers[..] else { panic!("{answers:?}") };
    assert_eq!(answer.get::<bytes::Bytes>(0).unwrap(), &b"\x03"[..]);
}

#[tokio::test]
async fn r124_only_one_of_two_volatile_events_in_one_turn_leaves_and_the_regular_one_after_it_does() {
    let (_server, _host, mut clients, [a, ..]) = three().await;
    // This task does not yield and the runtime has no other thread, so the peer's task handles all of these at once.
    a.emit_volatile("n", 1).unwrap();
    a.emit_volatile("n", 2).unwrap();
    a.emit("n", 3).unwrap();
    a.emit_volatile("n", 4).unwrap();
    assert_eq!(got(&mut clients[0]).await, [1, 3]);
    a.emit_volatile("n", 5).unwrap();
    assert_eq!(got(&mut clients[0]).await, [5]);
}

#[tokio::test]
async fn who_a_volatile_question_does_not_leave_for_counts_as_disconnected() {
    let (server, _host, mut clients, sockets) = three().await;
    sockets[1].emit("n", 1).unwrap();
    let answers = server.of("/").broadcast().volatile().emit_with_ack("question", (), HOURS).unwrap();
    for number in [0, 2] {
        assert_eq!(clients[number].packet().await, r#"21["question"]"#);
        clients[number].send(&format!("431[{number}]")).await;
    }
    assert_eq!(by(&answers.await, &sockets), [Ok(0), Err(AckError::Disconnected), Ok(2)]);
    assert_eq!(got(&mut clients[1]).await, [1]);
}

/// A peer that does not read, with a small outbound queue.
async fn deaf() -> (Server, Host, Client, Socket, mpsc::UnboundedReceiver<String>) {
    let server = Server::builder().engine(|config| config.limits.max_outbound = 1 << 20).build();
    let (gone, reasons) = mpsc::unbounded_channel();
    server.on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap());
    let host = Host::start(server.clone()).await;
    let client = Client::join(host.address).await;
    let socket = server.of("/").socket(&client.sid).unwrap();
    (server, host, client, socket, reasons)
}

/// Emits until the kernel's buffers and then the peer's own queue are full.
async fn fill(socket: &Socket) -> usize {
    let filler = "x".repeat(100_000);
    let mut sent = 0;
    let mut refused = 0;
    within(async {
        // The queue counts as full if it has no space even after the peer's task had time to run.
        while refused < 100 {
            match socket.emit("filler", &filler) {
                Ok(()) => (sent, refused) = (sent + 1, 0),
                Err(_) => refused += 1,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    sent
}

#[tokio::test]
async fn a_recipient_whose_outbound_queue_is_full_is_closed_by_a_broadcast() {
    let (server, host, mut client, socket, mut reasons) = deaf().await;
    let mut other = Client::join(host.address).await;
    fill(&socket).await;
    assert!(socket.is_connected());
    // Volatile events are dropped, and do not disconnect a peer.
    let large = "y".repeat(1 << 20);
    server.of("/").broadcast().volatile().emit("volatile", &large).unwrap();
    socket.emit_volatile("volatile", &large).unwrap();
    assert!(socket.is_connected());
    assert!(other.packet().await.starts_with(r#"2["volatile""#));

    server.emit("too much", &large).unwrap();
    assert_eq!(within(reasons.recv()).await.unwrap(), "forced close");
    assert!(other.packet().await.starts_with(r#"2["too much""#));
    assert_eq!(server.of("/").len(), 1);
    client.closed().await;
    until(|| server.sessions() == 1).await;
}

#[tokio::test]
async fn who_waits_until_there_is_room_loses_nothing() {
    let (_server, _host, mut client, socket, _reasons) = deaf().await;
    let sent = fill(&socket).await;
    let waiting = tokio::spawn(async move {
        socket.ready().await.unwrap();
        socket.emit("last", ()).unwrap();
    });
    for _ in 0..sent {
        assert!(client.packet().await.starts_with(r#"2["filler""#));
    }
    assert_eq!(client.packet().await, r#"2["last"]"#);
    within(waiting).await.unwrap();
}

#[tokio::test]
async fn many_tiny_packets_are_counted_with_what_they_cost() {
    let (_server, _host, mut client, socket, _reasons) = deaf().await;
    // This task does not yield, so all packets are queued in the mailbox.
    let mut accepted = 0;
    while socket.emit("n", ()).is_ok() {
        accepted += 1;
    }
    assert!(accepted < (1 << 20) / 40, "{accepted} packets fit into a megabyte");
    for _ in 0..accepted {
        assert_eq!(client.packet().await, r#"2["n"]"#);
    }
    socket.emit("last", ()).unwrap();
    assert_eq!(client.packet().await, r#"2["last"]"#);
}
