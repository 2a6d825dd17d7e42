//! socketioxide implements the server contract (`fixtures/SERVER.md`).
//!
//! Its revision 3 is a feature of the build: with it every endpoint accepts both revisions. A refusal carries a message only.
//!
//! What a handler returns is a future, which runs in a task of its own, and tasks run in any order. So that the order of what comes back is
//! that of the protocol's implementation and not of the tasks, handlers do their work before they return. Only broadcasts cannot: emitting
//! them is asynchronous.

mod arguments;

use std::collections::HashMap;
use std::env;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arguments::Arguments;
use bytes::Bytes;
use engineioxide::config::EngineIoConfig;
use engineioxide::handler::EngineIoHandler;
use engineioxide::layer::EngineIoLayer;
use engineioxide::{DisconnectReason as EngineReason, Socket as EngineSocket, Str};
use rmpv::Value;
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::layer::SocketIoLayer;
use socketioxide::socket::DisconnectReason;
use socketioxide::{ParserConfig, SocketIo, SocketIoBuilder};

#[tokio::main]
async fn main() {
    let settings = Settings::read();
    let app = axum::Router::new()
        .layer(socketio(&settings, "/socket.io", SocketIo::builder()))
        .layer(socketio(&settings, "/eio3/socket.io", SocketIo::builder()))
        .layer(socketio(&settings, "/msgpack/socket.io", SocketIo::builder().with_parser(ParserConfig::msgpack())))
        .layer(engineio(&settings, "/engine.io"))
        .layer(engineio(&settings, "/eio3/engine.io"));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", settings.port)).await.expect("a free port");
    println!("listening on {}", listener.local_addr().expect("a bound socket has an address"));
    axum::serve(listener, app).await.expect("accepting goes on");
}

struct Settings {
    port: u16,
    ping_interval: Duration,
    ping_timeout: Duration,
    connect_timeout: Duration,
    max_payload: u64,
}

impl Settings {
    fn read() -> Self {
        let number = |name: &str, default: u64| {
            env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
        };
        Self {
            port: u16::try_from(number("PORT", 0)).expect("PORT is a port"),
            ping_interval: Duration::from_millis(number("PING_INTERVAL_MS", 300)),
            ping_timeout: Duration::from_millis(number("PING_TIMEOUT_MS", 200)),
            connect_timeout: Duration::from_millis(number("CONNECT_TIMEOUT_MS", 1000)),
            max_payload: number("MAX_PAYLOAD", 1_000_000),
        }
    }

    /// What is announced as the limit is one of bodies only; that of WebSocket messages has settings of its own.
    fn max_message(&self) -> usize {
        usize::try_from(self.max_payload).expect("MAX_PAYLOAD is a size")
    }
}

// --- Socket.IO

fn socketio(settings: &Settings, path: &'static str, builder: SocketIoBuilder) -> SocketIoLayer {
    let (layer, io) = builder
        .req_path(path)
        .ping_interval(settings.ping_interval)
        .ping_timeout(settings.ping_timeout)
        .connect_timeout(settings.connect_timeout)
        .max_payload(settings.max_payload)
        .ws_max_message_size(settings.max_message())
        .ws_max_frame_size(settings.max_message())
        // Packets that wait for one client; the default of 128 does not hold the bursts of the contract.
        .max_buffer_size(16_384)
        .ack_timeout(Duration::from_millis(500))
        .build_layer();
    for namespace in ["/", "/custom"] {
        let watch = Arc::new(Watch::default());
        io.ns(namespace, move |socket: SocketRef, TryData(auth): TryData<Value>| {
            connected(&socket, auth.ok(), watch);
            ready_now()
        });
    }
    io.ns("/refuse", (async |_: SocketRef| ()).with(refuse));
    layer
}

async fn refuse(_: SocketRef) -> Result<(), &'static str> {
    Err("refused")
}

/// The future of a handler that has already finished.
fn ready_now() -> Ready<()> {
    ready(())
}

fn connected(socket: &SocketRef, auth: Option<Value>, watch: Arc<Watch>) {
    match auth {
        Some(auth) if !auth.is_nil() => log_error(socket.emit("auth", &auth)),
        _ => log_error(socket.emit("auth", &serde_json::json!({}))),
    }
    socket.on("message", |socket: SocketRef, Data::<Arguments>(arguments)| {
        log_error(socket.emit("message-back", &arguments));
        ready_now()
    });
    socket.on("message-with-ack", |Data::<Arguments>(arguments), ack: AckSender| {
        log_error(ack.send(&arguments));
        ready_now()
    });
    socket.on("broadcast", async |socket: SocketRef, io: SocketIo, Data::<Arguments>(arguments)| {
        if let Some(namespace) = io.of(socket.ns()) {
            log_error(namespace.emit("broadcast-back", &arguments).await);
        }
    });
    socket.on("to-others", async |socket: SocketRef, Data::<Arguments>(arguments)| {
        log_error(socket.broadcast().emit("others-back", &arguments).await);
    });
    socket.on("join", |socket: SocketRef, Data::<String>(room)| {
        socket.join(room.clone());
        log_error(socket.emit("joined", &room));
        ready_now()
    });
    socket.on("leave", |socket: SocketRef, Data::<String>(room)| {
        socket.leave(room.clone());
        log_error(socket.emit("left", &room));
        ready_now()
    });
    socket.on("to-room", async |socket: SocketRef, Data::<Arguments>(mut arguments)| {
        let Some(room) = arguments.take_text() else { return };
        log_error(socket.within(room).emit("room-back", &arguments).await);
    });
    socket.on("emit-with-ack", |socket: SocketRef, Data::<Arguments>(arguments)| {
        let pending = socket.emit_with_ack::<_, Arguments>("ack-me", &arguments).map_err(|error| format!("{error:?}"));
        async move {
            match pending {
                Ok(answer) => match answer.await {
                    Ok(answer) => log_error(socket.emit("acked", &answer)),
                    Err(_) => log_error(socket.emit("ack-timeout", &Arguments::default())),
                },
                Err(error) => eprintln!("{error}"),
            }
        }
    });
    socket.on("volatile", |socket: SocketRef, Data::<Arguments>(arguments)| {
        log_error(socket.volatile().emit("volatile-back", &arguments));
        ready_now()
    });
    socket.on("burst", |socket: SocketRef, Data::<Arguments>(mut arguments)| {
        let count = arguments.take_number().unwrap_or_default();
        for number in 0..count {
            log_error(socket.emit("burst-back", &arguments.after(number)));
        }
        ready_now()
    });
    socket.on("disconnect-me", |socket: SocketRef| {
        log_error(socket.disconnect());
        ready_now()
    });
    let watching = watch.clone();
    socket.on("watch", move |socket: SocketRef, Data::<String>(sid)| {
        watching.add(socket, sid);
        ready_now()
    });
    socket.on_disconnect(async move |socket: SocketRef, reason: DisconnectReason| {
        watch.ended(socket.id.to_string(), reason.to_string());
    });
}

/// The disconnect reasons of sockets, and the sockets that watch for them.
#[derive(Default)]
struct Watch(Mutex<WatchState>);

#[derive(Default)]
struct WatchState {
    ended: HashMap<String, String>,
    watchers: HashMap<String, Vec<SocketRef>>,
}

impl Watch {
    fn add(&self, socket: SocketRef, sid: String) {
        let Ok(mut known) = self.0.lock() else { return };
        match known.ended.get(&sid) {
            Some(reason) => log_error(socket.emit("watched", &(sid, reason))),
            None => known.watchers.entry(sid).or_default().push(socket),
        }
    }

    fn ended(&self, sid: String, reason: String) {
        let Ok(mut known) = self.0.lock() else { return };
        for socket in known.watchers.remove(&sid).unwrap_or_default() {
            log_error(socket.emit("watched", &(&sid, &reason)));
        }
        known.ended.insert(sid, reason);
    }
}

/// Logs a failed emit. The client notices that nothing arrives.
fn log_error<E: std::fmt::Debug>(result: Result<(), E>) {
    if let Err(error) = result {
        eprintln!("{error:?}");
    }
}

// --- Engine.IO

fn engineio(settings: &Settings, path: &'static str) -> EngineIoLayer<Echo> {
    let config = EngineIoConfig::builder()
        .req_path(path)
        .ping_interval(settings.ping_interval)
        .ping_timeout(settings.ping_timeout)
        .max_payload(settings.max_payload)
        .ws_max_message_size(settings.max_message())
        .ws_max_frame_size(settings.max_message())
        .max_buffer_size(16_384)
        .build();
    EngineIoLayer::from_config(Arc::new(Echo), config)
}

#[derive(Clone, Debug)]
struct Echo;

impl EngineIoHandler for Echo {
    type Data = ();

    fn on_connect(self: Arc<Self>, _: Arc<EngineSocket<()>>) {}

    fn on_disconnect(&self, _: Arc<EngineSocket<()>>, _: EngineReason) {}

    fn on_message(self: &Arc<Self>, message: Str, socket: Arc<EngineSocket<()>>) {
        if message.as_str() == "close-me" {
            socket.close(EngineReason::ClosingServer);
        } else {
            log_error(socket.emit(message));
        }
    }

    fn on_binary(self: &Arc<Self>, message: Bytes, socket: Arc<EngineSocket<()>>) {
        log_error(socket.emit_binary(message));
    }
}
