//! What socket.io-client notices of handlers that an echo server does not have: extracted arguments, failures that reach its acks, handlers
//! of one socket, filters, and observers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use socketio_tokio::{
    Ack, Data, Event, EventName, Failure, FailureKind, HandlerFailure, Payload, Server, Socket, State,
};

use crate::group::{self, Group, Opposite, Runner};

const SCRIPT: &str = "handlers.mjs";

pub(crate) fn groups() -> Vec<Group> {
    let group = |mode| Group {
        name: format!("handlers::{mode}"),
        runner: Runner::Node,
        script: SCRIPT,
        mode,
        checks: group::checks(include_str!("scripts/handlers.mjs")),
        opposite: Opposite::Handlers,
    };
    ["polling", "websocket", "upgrade"].into_iter().map(group).collect()
}

type Names = Arc<Mutex<Vec<String>>>;

/// The events that a socket has been sent.
#[derive(Default)]
struct Sent(Mutex<Vec<String>>);

async fn greet(
    socket: Socket,
    Data((name, times)): Data<(String, usize)>,
    State(names): State<Names>,
    ack: Ack,
) -> Result<usize, Failure> {
    tokio::task::yield_now().await;
    if name.is_empty() {
        return Err("a name is needed".into());
    }
    names.lock().map_err(|_| "poisoned")?.push(name.clone());
    socket.emit("greeting", format!("hello {name}").repeat(times))?;
    ack.send(times)?;
    Ok(times)
}

/// The server of the script.
#[allow(clippy::panic, reason = "one of the failures that reach the client")]
pub(crate) fn server() -> Server {
    let server = Server::builder().state(Names::default()).build();
    server
        .on_connect(|socket: Socket| {
            socket.insert(Sent::default());
            let count = AtomicU32::new(0);
            socket.on("count", move |ack: Ack| ack.send(count.fetch_add(1, Ordering::Relaxed)));
            socket.once("once", |socket: Socket| socket.emit("ran", "of the socket"));
            socket.on("forget", |socket: Socket, ack: Ack| {
                socket.off("count");
                ack.send(())
            });
        })
        .filter(async |event: Event| {
            match event.name() {
                "dropped" => return Ok(None),
                "answered" => return event.ack("by the filter").map(|()| None),
                "slow" => {
                    for _ in 0..10 {
                        tokio::task::yield_now().await;
                    }
                }
                "old name" => {
                    let args = event.payload().clone();
                    return event.with("new name", args).map(Some);
                }
                _ => {}
            }
            Ok(Some(event))
        })
        .on("greet", greet)
        .on("panic", |_: Ack| -> () { panic!("on purpose") })
        .on("once", |socket: Socket| socket.emit("ran", "of the namespace"))
        .on("count", |_: Event| {})
        .on("new name", |event: Event| {
            let (payload, ack) = event.into_parts();
            ack.map_or(Ok(()), |ack| ack.send(payload))
        })
        .on("slow", |socket: Socket, event: Event| socket.emit("handled", event.payload()))
        .on("fast", |socket: Socket, event: Event| socket.emit("handled", event.payload()))
        .on("sent", |socket: Socket, ack: Ack| {
            let sent = socket.get::<Sent>().ok_or("nothing was sent")?;
            let sent = sent.0.lock().map_err(|_| "poisoned")?.clone();
            ack.send((sent,))?;
            Ok::<(), Failure>(())
        })
        .on("all", |socket: Socket, Data(text): Data<String>| socket.namespace().to(socket.id()).emit("to all", text))
        .on_unhandled(|EventName(name): EventName, ack: Option<Ack>| ack.map(|ack| ack.send(("unhandled", name))))
        .on_error(|failure: HandlerFailure| {
            let text = match failure.kind {
                FailureKind::Panicked => "internal error",
                FailureKind::NotStarted => "invalid arguments",
                _ => &failure.error,
            };
            failure.ack.map(|ack| ack.send(serde_json::json!({ "error": text })))
        })
        .on_any_outgoing(|socket: &Socket, event: &Payload| {
            if let (Some(sent), Some(name)) = (socket.get::<Sent>(), event.name())
                && let Ok(mut sent) = sent.0.lock()
            {
                sent.push(format!("{name} {}", event.len()));
            }
        });
    server
}
