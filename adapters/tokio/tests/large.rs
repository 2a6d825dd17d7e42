//! Messages and packets beyond the default limits: one setting allows large messages both ways, and a received packet can be relayed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use std::time::Duration;

use socketio_tokio::{Event, Server, Socket};
use support::Host;
use support::http::{exchange, request};
use support::peers::{Client, Polling};
use support::websocket::Came;

const MEGABYTE: usize = 1_000_000;

fn echo(server: &Server) {
    server
        .on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()))
        .on("ask", |_: Socket, event: Event| {
            let payload = event.payload().clone();
            event.ack(payload)
        })
        .on("all", |socket: Socket, event: Event| socket.namespace().emit("all", event.payload()))
        .on("question", |socket: Socket, event: Event| {
            let answer = socket.emit_with_ack("question", event.payload());
            async move {
                if let Ok(answer) = answer {
                    let _ = answer.await;
                }
            }
        })
        .on("collected", |socket: Socket, event: Event| {
            socket.namespace().broadcast().emit_with_ack("collected", event.payload(), Duration::from_secs(1)).map(drop)
        })
        .on("serialised", |socket: Socket, event: Event| socket.emit("serialised", event.payload().attachments()));
}

/// Reads the header of an event with attachments.
async fn header(client: &mut Client) -> String {
    match client.next().await {
        Came::Text(text) => text.strip_prefix('4').unwrap().to_owned(),
        other => panic!("expected a header, not {other:?}"),
    }
}

async fn attachment(client: &mut Client) -> Vec<u8> {
    match client.next().await {
        Came::Binary(bytes) => bytes,
        Came::Text(text) => panic!("expected an attachment, not text of {} bytes", text.len()),
        other => panic!("expected an attachment, not {other:?}"),
    }
}

/// An event with this many attachments: `[name, {placeholder}, {placeholder}, ..]`.
fn event(name: &str, id: &str, attachments: usize) -> String {
    let placeholder = |number| format!(r#",{{"_placeholder":true,"num":{number}}}"#);
    let placeholders: String = (0..attachments).map(placeholder).collect();
    format!(r#"5{attachments}-{id}["{name}"{placeholders}]"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn max_payload_lets_in_sixty_megabytes_of_text_and_of_binary_and_they_can_be_sent_back() {
    let server = Server::builder().max_payload(100 * MEGABYTE).build();
    echo(&server);
    let host = Host::start(server).await;
    let mut client = Client::join(host.address).await;

    let text = format!(r#"42["echo","{}"]"#, "x".repeat(60 * MEGABYTE));
    assert!(client.ask(&text).await == text[1..]);

    for sizes in [&[60 * MEGABYTE][..], &[20 * MEGABYTE, 11 * MEGABYTE, 1]] {
        let sent = event("echo", "", sizes.len());
        client.send(&format!("4{sent}")).await;
        for (size, fill) in sizes.iter().zip(1..) {
            client.websocket.binary(&vec![fill; *size]).await;
        }
        assert_eq!(header(&mut client).await, sent);
        for (size, fill) in sizes.iter().zip(1..) {
            let came = attachment(&mut client).await;
            assert!(came.len() == *size && came.iter().all(|byte| *byte == fill), "{} bytes", came.len());
        }
    }
    assert_eq!(client.ask(r#"42["echo",1]"#).await, r#"2["echo",1]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn max_payload_lets_in_binary_by_post_too() {
    let server = Server::builder().max_payload(100 * MEGABYTE).build();
    echo(&server);
    let host = Host::start(server).await;
    let session = Polling::join(host.address).await;
    // 12 MB, above the former limit of attachments.
    let attachment = "AAAA".repeat(4 * MEGABYTE);
    let sent = event("echo", "", 1);
    let posted =
        exchange(host.address, request("POST", &session.target(), &[], &format!("4{sent}\u{1e}b{attachment}")));
    assert_eq!(posted.await.text(), "ok");
    assert!(session.get().await.text() == format!("4{sent}\u{1e}b{attachment}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_attachments_as_are_taken_can_be_passed_on_in_every_way() {
    const COUNT: usize = 50;
    let server = Server::builder().socket(|config| config.limits.max_attachments = 50).build();
    echo(&server);
    let host = Host::start(server).await;
    let mut client = Client::join(host.address).await;
    for (name, id, answered) in [
        ("echo", "", event("echo", "", COUNT)),
        ("ask", "7", event("ask", "7", COUNT).replacen('5', "6", 1).replace(r#""ask","#, "")),
        ("all", "", event("all", "", COUNT)),
        ("question", "", event("question", "0", COUNT)),
        ("collected", "", event("collected", "1", COUNT)),
        // An array of the attachments, which is one argument.
        ("serialised", "", event("serialised", "", COUNT).replacen(',', ",[", 1) + "]"),
    ] {
        client.send(&format!("4{}", event(name, id, COUNT))).await;
        for number in 0..COUNT {
            client.websocket.binary(&[u8::try_from(number).unwrap()]).await;
        }
        assert_eq!(header(&mut client).await, answered, "{name}");
        for number in 0..COUNT {
            assert_eq!(attachment(&mut client).await, [u8::try_from(number).unwrap()], "{name}");
        }
    }
}
