//! Handlers that wait, panic, flood, or never return. Whatever the application does, other peers are served, and no state of a connection
//! is left.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_tokio::{
    Ack, AckError, CloseReason, ConnectRequest, Data, DisconnectReason, EngineServer, EngineSocket, Event, Failure,
    FailureKind, HandlerFailure, Message, Payload, Refusal, RoomEvent, Server, Socket, State,
};
use support::peers::{Client, Polling};
use support::websocket::{Came, WebSocket};
use support::{Host, log, until, within};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

/// A channel for the reports of handlers.
fn channel<T>() -> (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>) {
    mpsc::unbounded_channel()
}

async fn next<T>(receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
    within(receiver.recv()).await.expect("all senders were dropped")
}

/// Waits until no state of any connection is left.
async fn nothing_is_left(server: &Server) {
    until(|| server.sessions() == 0 && server.of("/").is_empty()).await;
    assert!(server.of("/").sockets().is_empty());
}

fn echo(server: &Server) {
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
}

async fn is_served(client: &mut Client) {
    assert_eq!(client.ask(r#"42["echo","still here"]"#).await, r#"2["echo","still here"]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_awaits_an_ack_of_its_own_peer_while_10_000_events_arrive() {
    let server = Server::new();
    let (answered, mut answers) = channel();
    let counted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&counted);
    server
        .on("ask", move |socket: Socket, _: Event| {
            let answered = answered.clone();
            async move {
                let answer = socket.emit_with_ack("question", ()).unwrap().await.unwrap();
                answered.send(answer.get::<String>(0).unwrap()).unwrap();
            }
        })
        .on("count", move |_: Socket, _: Event| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;

    assert_eq!(client.ask(r#"42["ask"]"#).await, r#"20["question"]"#);
    for number in 0..10_000 {
        client.send(&format!(r#"42["count",{number}]"#)).await;
    }
    client.send(r#"430["yes"]"#).await;
    // The ack does not wait for earlier events.
    assert_eq!(next(&mut answers).await, "yes");
    until(|| counted.load(Ordering::Relaxed) == 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_handlers_that_each_await_an_ack_of_their_own_peer_all_get_it() {
    let server = Server::builder().max_waiting_handlers(16).build();
    let (answered, mut answers) = channel();
    server.on("ask", move |socket: Socket, _: Event| {
        let answered = answered.clone();
        async move {
            let answer = socket.emit_with_ack("question", ()).unwrap().await.unwrap();
            answered.send(answer.get::<u32>(0).unwrap()).unwrap();
        }
    });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;

    for _ in 0..10_000 {
        client.send(r#"42["ask"]"#).await;
    }
    for number in 0..10_000 {
        let question = client.packet().await;
        let id = question.strip_prefix('2').unwrap().strip_suffix(r#"["question"]"#).unwrap();
        client.send(&format!("43{id}[{number}]")).await;
    }
    let mut seen = Vec::new();
    while seen.len() < 10_000 {
        seen.push(next(&mut answers).await);
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..10_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_closes_its_connection_and_nothing_else() {
    log::listen();
    let server = Server::new();
    let (gone, mut reasons) = channel();
    echo(&server);
    server
        .on("sync", |_: Socket, _: Event| {
            if true {
                panic!("at once")
            }
        })
        .on("before", |_: Socket, _: Event| async {
            if true {
                panic!("before the first wait")
            }
        })
        .on("after", |_: Socket, _: Event| async {
            tokio::task::yield_now().await;
            if true {
                panic!("after the first wait")
            }
        })
        .on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap());
    let host = Host::start(server.clone()).await;
    let mut other = Client::join(host.address).await;

    for (event, message) in
        [("sync", "at once"), ("before", "before the first wait"), ("after", "after the first wait")]
    {
        let mut client = Client::join(host.address).await;
        client.send(&format!(r#"42["{event}"]"#)).await;
        assert!(matches!(client.closed().await, Came::Closed(_)));
        assert_eq!(next(&mut reasons).await, "forced close", "{event}");
        let socket = format!("socket={}", client.sid);
        assert!(
            log::says(&["ERROR", message, &format!("handler=\"{event}\""), &socket]),
            "{event}: nothing was logged"
        );
        is_served(&mut other).await;
    }
    drop(other);
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connect_handler_that_panics_closes_its_connection() {
    log::listen();
    let server = Server::new();
    let (gone, mut reasons) = channel();
    server
        .on_connect(|socket: Socket| async move {
            if socket.auth().is_none() {
                panic!("every client is refused")
            }
        })
        .on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap());
    echo(&server);
    let host = Host::start(server.clone()).await;

    let mut client = Client::open(host.address).await;
    client.send("40").await;
    client.closed().await;
    assert_eq!(next(&mut reasons).await, "forced close");
    assert!(log::says(&["ERROR", "every client is refused", "handler=\"connect\""]));

    let mut other = Client::open(host.address).await;
    other.send("40{}").await;
    other.packet().await;
    is_served(&mut other).await;
    drop(other);
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_middleware_that_panics_closes_its_connection() {
    log::listen();
    let server = Server::new();
    server.middleware(|_: ConnectRequest| -> Result<(), Refusal> { panic!("a panic in the middleware") });
    let host = Host::start(server.clone()).await;

    let mut client = Client::open(host.address).await;
    client.send("40").await;
    client.closed().await;
    assert!(log::says(&["ERROR", "a panic in the middleware"]));
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_handler_that_panics_leaves_nothing_behind() {
    log::listen();
    let server = Server::new();
    server
        .of("/")
        .on_disconnecting(|_: Socket, _: DisconnectReason| {
            if true {
                panic!("disconnecting")
            }
        })
        .on_disconnect(|_: Socket, _: DisconnectReason| async {
            tokio::task::yield_now().await;
            if true {
                panic!("disconnect, long after")
            }
        });
    let host = Host::start(server.clone()).await;
    drop(Client::join(host.address).await);
    nothing_is_left(&server).await;
    until(|| log::says(&["ERROR", "disconnect, long after"])).await;
    Client::join(host.address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_handler_that_panics_harms_nobody() {
    log::listen();
    let server = Server::new();
    server.of("/").on_room(|_: RoomEvent| {
        if true {
            panic!("a panic in a room event")
        }
    });
    echo(&server);
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    is_served(&mut client).await;
    assert!(log::says(&["ERROR", "a panic in a room event"]));
    drop(client);
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_io_handler_that_panics_closes_its_session_and_nothing_else() {
    log::listen();
    let (gone, mut reasons) = channel();
    let server = EngineServer::builder()
        .on_message(|socket: EngineSocket, message: Message| async move {
            if message == Message::from("panic") {
                tokio::task::yield_now().await;
                panic!("a panic in a message")
            }
            socket.send(message)
        })
        .on_close(move |_: EngineSocket, reason: CloseReason| gone.send(reason.to_string()).unwrap())
        .build();
    let host = Host::start(server.clone()).await;
    let mut other = WebSocket::open(host.address, "/engine.io/?EIO=4&transport=websocket").await;
    other.next().await;
    let mut link = WebSocket::open(host.address, "/engine.io/?EIO=4&transport=websocket").await;
    link.text("4panic").await;
    assert_eq!(link.closed().await, Came::Closed(None));
    assert_eq!(next(&mut reasons).await, "forced close");
    assert!(log::says(&["ERROR", "a panic in a message"]));
    other.text("4still here").await;
    assert_eq!(other.next().await, Came::Text("4still here".to_owned()));
    until(|| server.sessions() == 1).await;
}

/// Adds a handler of the event `stay` that never returns.
fn stay(server: &Server) -> Arc<AtomicUsize> {
    let started = Arc::new(AtomicUsize::new(0));
    let starts = Arc::clone(&started);
    server.on("stay", move |_: Socket, _: Event| {
        starts.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>()
    });
    started
}

/// Sends 64 MiB of `stay` events. They exceed the kernel's buffers, so this ends only when the server reads them or disconnects.
fn flood(mut flooder: Client) -> JoinHandle<()> {
    let event = format!(r#"42["stay","{}"]"#, "x".repeat(64 << 10));
    tokio::spawn(async move {
        for _ in 0..1024 {
            flooder.send(&event).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_into_handlers_that_never_return_is_throttled_and_harms_nobody() {
    // The heartbeat must not end the session, even on a slow machine.
    let server = Server::builder().max_waiting_handlers(8).ping_interval(Duration::from_secs(3600)).build();
    let started = stay(&server);
    echo(&server);
    let host = Host::start(server.clone()).await;
    let mut other = Client::join(host.address).await;
    let flood = flood(Client::join(host.address).await);
    until(|| started.load(Ordering::Relaxed) == 8).await;
    for _ in 0..500 {
        is_served(&mut other).await;
    }
    assert_eq!(started.load(Ordering::Relaxed), 8, "a ninth handler was called");
    assert!(!flood.is_finished(), "the server read the whole flood");
    assert_eq!(server.of("/").sockets().len(), 2, "the flooding client was disconnected");
    flood.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_into_handlers_that_never_return_ends_with_the_stall() {
    let server = Server::builder()
        .max_waiting_handlers(8)
        .ping_interval(Duration::from_millis(100))
        .ping_timeout(Duration::from_secs(1))
        .engine(|config| config.limits.max_stall = Duration::ZERO)
        .build();
    let (gone, mut reasons) = channel();
    server.on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap());
    stay(&server);
    let host = Host::start(server.clone()).await;
    let flood = flood(Client::join(host.address).await);
    assert_eq!(next(&mut reasons).await, "transport error");
    flood.abort();
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_behind_an_ack_that_never_comes_closes_the_connection_at_the_hard_limit() {
    let server = Server::builder().max_waiting_handlers(1).engine(|config| config.limits.max_inbound = 1 << 20).build();
    let (failed, mut failures) = channel();
    let (gone, mut reasons) = channel();
    server
        .on("ask", move |socket: Socket, _: Event| {
            let failed = failed.clone();
            async move { failed.send(socket.emit_with_ack("question", ()).unwrap().await).unwrap() }
        })
        .on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap());
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    client.ask(r#"42["ask"]"#).await;
    let event = format!(r#"42["ask","{}"]"#, "x".repeat(64 << 10));
    for _ in 0..32 {
        client.send(&event).await;
    }
    client.closed().await;
    assert_eq!(next(&mut failures).await.unwrap_err(), AckError::Disconnected);
    assert_eq!(next(&mut reasons).await, "transport error");
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_go_on_when_those_that_waited_have_ended() {
    let server = Server::builder().max_waiting_handlers(1).build();
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let (done, mut finished) = channel();
    server.on("wait", move |_: Socket, event: Event| {
        let (gate, done) = (Arc::clone(&opened), done.clone());
        async move {
            gate.notified().await;
            done.send(event.read::<u32>().unwrap()).unwrap();
        }
    });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    for number in 0..50 {
        client.send(&format!(r#"42["wait",{number}]"#)).await;
    }
    for number in 0..50 {
        gate.notify_one();
        assert_eq!(next(&mut finished).await, number);
    }
}

/// A gate at which handlers wait. Counts the waiting handlers, and records the maximum.
#[derive(Clone)]
struct Gate {
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    done: mpsc::UnboundedSender<()>,
}

impl Gate {
    fn new() -> (Self, mpsc::UnboundedReceiver<()>) {
        let (done, finished) = channel();
        (Self { permits: Arc::new(Semaphore::new(0)), waiting: Arc::default(), most: Arc::default(), done }, finished)
    }

    /// Waits at the gate, and keeps the value alive until then.
    async fn pass<T>(self, held: T) {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(waiting, Ordering::Relaxed);
        self.permits.acquire().await.unwrap().forget();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        drop(held);
        self.done.send(()).unwrap();
    }

    /// Asserts that this many handlers wait, and no more events from `sending` are read. Then lets all pass, and asserts that there were
    /// never more waiting handlers.
    async fn holds(
        &self,
        wait: usize,
        sending: JoinHandle<usize>,
        others: impl AsyncFn(),
        finished: &mut mpsc::UnboundedReceiver<()>,
    ) {
        until(|| self.waiting.load(Ordering::Relaxed) == wait).await;
        for _ in 0..200 {
            others().await;
        }
        assert!(!sending.is_finished(), "the server read all events");
        let release = async {
            for _ in 0.. {
                self.permits.add_permits(1);
                next(finished).await;
            }
        };
        let sent = tokio::select! {
            sent = sending => sent.unwrap(),
            () = release => unreachable!("`release` runs until `sending` ends"),
        };
        self.permits.add_permits(sent);
        until(|| self.waiting.load(Ordering::Relaxed) == 0 && self.permits.available_permits() > 0).await;
        assert_eq!(self.most.load(Ordering::Relaxed), wait);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_whose_handlers_wait_are_limited_in_bytes() {
    // The fourth event exceeds the limit, as one event may.
    for (size, wait) in [(300_000, 4), (900_000, 2), (3_000_000, 1)] {
        let server = Server::builder().max_payload(4_000_000).max_waiting_bytes(1_000_000).build();
        let (gate, mut finished) = Gate::new();
        echo(&server);
        let held = gate.clone();
        server.on("hold", move |_: Socket, event: Event| held.clone().pass(event));
        let host = Host::start(server.clone()).await;
        let other = tokio::sync::Mutex::new(Client::join(host.address).await);
        let mut client = Client::join(host.address).await;
        // More than fits into the buffers of the kernel.
        let count = 60_000_000 / size;
        let sending = tokio::spawn(async move {
            let event = format!(r#"42["hold","{}"]"#, "x".repeat(size));
            for _ in 0..count {
                client.send(&event).await;
            }
            assert_eq!(client.ask(r#"42["echo",1]"#).await, r#"2["echo",1]"#);
            count
        });
        gate.holds(wait, sending, async || is_served(&mut *other.lock().await).await, &mut finished).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_count_among_the_bytes_that_wait_and_so_does_what_a_witness_holds() {
    let server = Server::builder().max_waiting_bytes(1_000_000).build();
    let (gate, mut finished) = Gate::new();
    echo(&server);
    let (held, seen) = (gate.clone(), gate.clone());
    server.on("hold", move |_: Socket, event: Event| held.clone().pass(event)).on_any(
        move |_: Socket, event: Event| {
            let gate = seen.clone();
            let holds = event.name() == "held by on_any";
            async move {
                if holds {
                    gate.pass(event).await;
                }
            }
        },
    );
    let host = Host::start(server.clone()).await;
    let other = tokio::sync::Mutex::new(Client::join(host.address).await);
    let mut client = Client::join(host.address).await;
    let count = 200;
    let sending = tokio::spawn(async move {
        for number in 0..count {
            let name = if number % 2 == 0 { "hold" } else { "held by on_any" };
            client.send(&format!(r#"451-["{name}",{{"_placeholder":true,"num":0}}]"#)).await;
            client.websocket.binary(&vec![0; 300_000]).await;
        }
        assert_eq!(client.ask(r#"42["echo",1]"#).await, r#"2["echo",1]"#);
        count
    });
    gate.holds(4, sending, async || is_served(&mut *other.lock().await).await, &mut finished).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_whose_handlers_wait_are_limited_in_bytes() {
    let (gate, mut finished) = Gate::new();
    let held = gate.clone();
    let server = EngineServer::builder()
        .max_waiting_bytes(1_000_000)
        .on_message(move |socket: EngineSocket, message: Message| {
            let gate = held.clone();
            async move {
                if message.len() > 100 {
                    gate.pass(message).await;
                } else {
                    socket.send(message).unwrap();
                }
            }
        })
        .build();
    let host = Host::start(server.clone()).await;
    let open = async || {
        let mut link = WebSocket::open(host.address, "/engine.io/?EIO=4&transport=websocket").await;
        link.next().await;
        link
    };
    let (other, mut link) = (tokio::sync::Mutex::new(open().await), open().await);
    let count = 200;
    let sending = tokio::spawn(async move {
        for _ in 0..count {
            link.binary(&vec![0; 300_000]).await;
        }
        link.text("4done").await;
        assert_eq!(link.next().await, Came::Text("4done".to_owned()));
        count
    });
    let others = async || {
        let mut other = other.lock().await;
        other.text("4still here").await;
        assert_eq!(other.next().await, Came::Text("4still here".to_owned()));
    };
    gate.holds(4, sending, others, &mut finished).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pong_that_stands_behind_a_flood_counts_while_handlers_wait() {
    let server = Server::builder()
        .max_waiting_handlers(1)
        .ping_interval(Duration::from_millis(100))
        // Long enough to receive a pong on a slow machine.
        .ping_timeout(Duration::from_secs(5))
        .build();
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    server.on("wait", move |socket: Socket, _: Event| {
        let gate = Arc::clone(&opened);
        async move {
            gate.notified().await;
            socket.emit("done", ())
        }
    });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    client.send(r#"42["wait"]"#).await;
    client.send(r#"42["wait"]"#).await;
    // More pings than may go unanswered.
    for _ in 0..55 {
        assert_eq!(client.websocket.next().await, Came::Text("2".to_owned()));
        client.websocket.text("3").await;
    }
    gate.notify_one();
    assert_eq!(client.packet().await, r#"2["done"]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcaster_goes_on_while_another_peer_sends_a_megabyte_of_json() {
    let server = Server::builder().max_payload(4 << 20).build();
    let (read, mut sizes) = channel();
    server
        .on("tick", |socket: Socket, event: Event| socket.namespace().emit("tock", event.payload()))
        .on("big", move |_: Socket, event: Event| read.send(event.read::<Vec<String>>().unwrap().len()).unwrap());
    let host = Host::start(server.clone()).await;
    let mut ticker = Client::join(host.address).await;
    let mut sender = Client::join(host.address).await;

    let array = vec!["\"some text with an \\u00e9scape\""; 32_000].join(",");
    let big = format!(r#"42["big",[{array}]]"#);
    assert!(big.len() > 900_000);
    for round in 0..20 {
        sender.send(&big).await;
        for tick in 0..20 {
            let tock = ticker.ask(&format!(r#"42["tick",{round},{tick}]"#)).await;
            assert_eq!(tock, format!(r#"2["tock",{round},{tick}]"#));
            assert_eq!(sender.packet().await, tock);
        }
        assert_eq!(next(&mut sizes).await, 32_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_of_a_socket_start_in_the_order_of_its_events() {
    let server = Server::new();
    let (started, mut starts) = channel();
    let slow = started.clone();
    server.on("sync", move |_: Socket, event: Event| started.send(event.read::<u32>().unwrap()).unwrap()).on(
        "async",
        move |_: Socket, event: Event| {
            let slow = slow.clone();
            async move {
                slow.send(event.read::<u32>().unwrap()).unwrap();
                std::future::pending::<()>().await;
            }
        },
    );
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    for number in 0..500 {
        let event = if number % 3 == 0 { "async" } else { "sync" };
        client.send(&format!(r#"42["{event}",{number}]"#)).await;
    }
    for number in 0..500 {
        assert_eq!(next(&mut starts).await, number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_pulls_slowly_makes_the_server_stop_reading_and_loses_nothing() {
    let server = Server::new();
    let (came, mut sockets) = channel();
    server.on_connect(move |socket: Socket| {
        // `recv` must be called before the connect handler returns.
        let reading = socket.clone();
        came.send((socket, tokio::spawn(async move { reading.recv().await }))).unwrap();
    });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    let (socket, first) = next(&mut sockets).await;
    client.send(r#"42["first"]"#).await;
    assert_eq!(within(first).await.unwrap().unwrap().name(), "first");

    let sent = Arc::new(AtomicUsize::new(0));
    let progress = Arc::clone(&sent);
    let flood = tokio::spawn(async move {
        let filler = "x".repeat(64 << 10);
        for number in 0..512 {
            client.send(&format!(r#"42["event",{number},"{filler}"]"#)).await;
            progress.fetch_add(1, Ordering::Relaxed);
        }
        client
    });
    let mut other = Client::join(host.address).await;
    let (_other_socket, _) = next(&mut sockets).await;
    // While the server does not read from one peer, 200 others connect and disconnect.
    for _ in 0..200 {
        drop(Client::join(host.address).await);
    }
    other.send(r#"42["whatever"]"#).await;
    assert!(!flood.is_finished(), "{} of 512 were read", sent.load(Ordering::Relaxed));
    for number in 0..512 {
        let event = within(socket.recv()).await.unwrap();
        assert_eq!(event.payload().get::<u32>(0).unwrap(), number);
    }
    drop(within(flood).await.unwrap());
    assert!(within(socket.recv()).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_that_is_awaited_between_two_pulls_comes_through_a_full_inbox() {
    let server = Server::new();
    let (outcome, mut outcomes) = channel();
    server.on_connect(move |socket: Socket| {
        let outcome = outcome.clone();
        tokio::spawn(async move {
            let first = socket.recv().await.unwrap();
            assert_eq!(first.name(), "event");
            let answer = socket.emit_with_ack("question", ()).unwrap().await;
            outcome.send(answer.map(|answer| answer.get::<String>(0).unwrap())).unwrap();
            let mut rest = 0_usize;
            while socket.recv().await.is_some() {
                rest += 1;
            }
            outcome.send(Ok(rest.to_string())).unwrap();
        });
        // The task may not have run yet. From now on, its events are buffered.
        async { tokio::task::yield_now().await }
    });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    let filler = "x".repeat(16 << 10);
    client.send(&format!(r#"42["event",0,"{filler}"]"#)).await;
    assert_eq!(client.packet().await, r#"20["question"]"#);
    // Far beyond the soft limit of 64 KiB.
    for number in 1..=100 {
        client.send(&format!(r#"42["event",{number},"{filler}"]"#)).await;
    }
    client.send(r#"430["here"]"#).await;
    assert_eq!(next(&mut outcomes).await.unwrap(), "here");
    client.websocket.close().await;
    assert_eq!(next(&mut outcomes).await.unwrap(), "100");
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_inbox_of_a_socket_that_left_holds_up_no_other_socket_of_its_connection() {
    let server = Server::new();
    let (came, mut sockets) = channel();
    let root = came.clone();
    server.on_connect(move |socket: Socket| root.send(socket).unwrap());
    server.of("/pulled").on_connect(move |socket: Socket| {
        drop(socket.recv());
        came.send(socket).unwrap();
    });
    echo(&server);
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    let root = next(&mut sockets).await;
    client.ask("40/pulled,").await;
    let pulled = next(&mut sockets).await;
    let answer = root.emit_with_ack("question", ()).unwrap();
    assert_eq!(client.packet().await, r#"20["question"]"#);
    client.send(&format!(r#"42/pulled,["event","{}"]"#, "x".repeat(100_000))).await;
    client.send("430[]").await;
    // Unlike other events, an ack does not wait behind the full inbox.
    within(answer).await.unwrap();
    pulled.disconnect();
    assert_eq!(client.packet().await, "1/pulled,");
    is_served(&mut client).await;
}

/// A value that emits while it is serialised.
struct Nested(Socket);

impl serde::Serialize for Nested {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.emit("inner", [1, 2, 3]).unwrap();
        self.0.broadcast().emit("nobody", ()).unwrap();
        self.0.join("while serialising");
        serializer.serialize_str("outer")
    }
}

/// A value that emits when it is dropped.
struct Farewell(Socket, &'static str);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.0.emit("dropped", self.1);
        self.0.leave("some room");
        let _ = self.0.namespace().emit("to all", self.1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_values_that_emit_while_they_are_serialised_or_dropped_do_not_deadlock() {
    let server = Server::new();
    server.on("nested", |socket: Socket, _: Event| socket.emit("event", (Nested(socket.clone()),))).on(
        "farewell",
        |socket: Socket, _: Event| {
            let first = Farewell(socket.clone(), "replaced");
            socket.insert(first);
            // The handler drops the previous value.
            socket.insert(Farewell(socket.clone(), "with the socket"));
        },
    );
    let host = Host::start(server.clone()).await;
    let mut other = Client::join(host.address).await;
    let mut client = Client::join(host.address).await;
    assert_eq!(client.ask(r#"42["nested"]"#).await, r#"2["inner",1,2,3]"#);
    assert_eq!(client.packet().await, r#"2["event","outer"]"#);
    assert_eq!(other.packet().await, r#"2["nobody"]"#);

    assert_eq!(client.ask(r#"42["farewell"]"#).await, r#"2["dropped","replaced"]"#);
    assert_eq!(client.packet().await, r#"2["to all","replaced"]"#);
    assert_eq!(other.packet().await, r#"2["to all","replaced"]"#);
    drop(client);
    assert_eq!(other.packet().await, r#"2["to all","with the socket"]"#);
    drop(other);
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_held_after_its_disconnect_holds_no_more_than_itself() {
    struct Value(#[allow(dead_code, reason = "only its drop matters")] Arc<()>);

    let server = Server::new();
    let (came, mut sockets) = channel();
    server.on_connect(move |socket: Socket| {
        drop(socket.recv());
        came.send(socket).unwrap();
    });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    let socket = next(&mut sockets).await;
    let value = Arc::new(());
    socket.insert(Value(Arc::clone(&value)));
    let answer = socket.emit_with_ack("question", ()).unwrap();
    client.send(r#"427["unread, with an ack that nobody gives"]"#).await;
    client.websocket.close().await;
    nothing_is_left(&server).await;

    assert_eq!(within(answer).await.unwrap_err(), AckError::Disconnected);
    until(|| Arc::strong_count(&value) == 1).await;
    assert!(!socket.is_connected());
    assert!(socket.emit("event", ()).is_err());
    assert!(socket.emit_with_ack("event", ()).is_err());
    assert!(within(socket.ready()).await.is_err());
    assert!(socket.insert(Value(value)).is_none());
    assert!(socket.get::<Value>().is_none());
    socket.join("room");
    assert!(socket.rooms().is_empty());
    socket.disconnect();
    socket.close();
    assert!(server.to("room").sockets().is_empty());
    // The unread event can still be received, but not acknowledged.
    let unread = within(socket.recv()).await.unwrap();
    assert!(unread.ack("too late").is_err());
    assert!(within(socket.recv()).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_server_and_peers_are_gone_nothing_holds_the_handlers() {
    let captured = Arc::new(());
    let server = Server::new();
    let held = Arc::clone(&captured);
    let (came, mut sockets) = channel();
    server.on_connect(move |socket: Socket| {
        let _ = &held;
        // Events are buffered for `recv`, but never received.
        drop(socket.recv());
        came.send(()).unwrap();
    });
    let mut host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    next(&mut sockets).await;
    client.send(r#"427["unread, and wants an ack"]"#).await;
    drop(client);
    nothing_is_left(&server).await;
    host.stop();
    host.ended().await;
    drop(server);
    until(|| Arc::strong_count(&captured) == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r101_disconnecting_sees_the_rooms_and_disconnect_does_not() {
    let server = Server::new();
    let (seen, mut rooms) = channel();
    let later = seen.clone();
    server
        .of("/")
        .on_connect(|socket: Socket| {
            socket.join("a");
            socket.join("b");
        })
        .on_disconnecting(move |socket: Socket, _: DisconnectReason| {
            let mut rooms = socket.rooms();
            rooms.retain(|room| *room != socket.id().as_str());
            seen.send(rooms).unwrap();
        })
        .on_disconnect(move |socket: Socket, _: DisconnectReason| later.send(socket.rooms()).unwrap());
    let host = Host::start(server.clone()).await;
    drop(Client::join(host.address).await);
    assert_eq!(next(&mut rooms).await, ["a", "b"]);
    assert_eq!(next(&mut rooms).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r119_room_events_for_the_first_and_the_last_member_and_for_each() {
    let server = Server::new();
    let (told, mut events) = channel();
    server.of("/").on_room(move |event| told.send(event).unwrap());
    server.on("join", |socket: Socket, _: Event| {
        socket.join("room");
        socket.join("room");
    });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    let id = server.of("/").socket(&client.sid).unwrap().id().clone();
    let room = |name: &str| name.into();
    assert_eq!(next(&mut events).await, RoomEvent::Created { room: room(&client.sid) });
    assert_eq!(next(&mut events).await, RoomEvent::Joined { socket: id.clone(), room: room(&client.sid) });
    client.send(r#"42["join"]"#).await;
    assert_eq!(next(&mut events).await, RoomEvent::Created { room: room("room") });
    assert_eq!(next(&mut events).await, RoomEvent::Joined { socket: id.clone(), room: room("room") });
    drop(client);
    let mut rest = Vec::new();
    while rest.len() < 4 {
        rest.push(next(&mut events).await);
    }
    for name in [id.as_str(), "room"] {
        let left = rest.iter().position(|event| *event == RoomEvent::Left { socket: id.clone(), room: room(name) });
        let deleted = rest.iter().position(|event| *event == RoomEvent::Deleted { room: room(name) });
        assert!(left.unwrap() < deleted.unwrap(), "{rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r92_a_second_connect_during_a_slow_middleware_makes_no_second_socket() {
    let server = Server::new();
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    server.middleware(move |_: ConnectRequest| {
        let gate = Arc::clone(&opened);
        async move {
            gate.notified().await;
            Ok::<(), Refusal>(())
        }
    });
    let host = Host::start(server.clone()).await;
    let mut client = Client::open(host.address).await;
    client.send("40").await;
    client.send("40").await;
    assert!(matches!(client.closed().await, Came::Closed(_)));
    gate.notify_one();
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r93_a_connection_that_ends_while_its_middleware_waits_never_connects() {
    let server = Server::new();
    let (entered, entering) = oneshot::channel();
    let entered = Mutex::new(Some(entered));
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let connected = Arc::new(AtomicBool::new(false));
    let connects = Arc::clone(&connected);
    server
        .middleware(move |_: ConnectRequest| {
            if let Some(entered) = entered.lock().unwrap().take() {
                entered.send(()).unwrap();
            }
            let gate = Arc::clone(&opened);
            async move {
                gate.notified().await;
                Ok::<(), Refusal>(())
            }
        })
        .on_connect(move |_: Socket| connects.store(true, Ordering::Relaxed));
    let host = Host::start(server.clone()).await;
    let mut client = Client::open(host.address).await;
    client.send("40").await;
    within(entering).await.unwrap();
    drop(client);
    nothing_is_left(&server).await;
    gate.notify_waiters();
    assert!(!connected.load(Ordering::Relaxed));
}

/// A short connect timeout that is long enough to join a namespace on a slow machine. Then a connection without a namespace ends.
const TO_JOIN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_middleware_that_never_decides_is_answered_for_after_the_connect_timeout() {
    let server = Server::builder().connect_timeout(TO_JOIN).build();
    server.middleware(|_: ConnectRequest| std::future::pending::<Result<(), Refusal>>());
    server.of("/open");
    let host = Host::start(server.clone()).await;
    let mut client = Client::open(host.address).await;
    client.send("40/open,").await;
    assert!(client.packet().await.starts_with("0/open,{"));
    for _ in 0..3 {
        assert_eq!(client.ask("40").await, r#"4{"message":"timeout"}"#);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn middlewares_that_never_decide_do_not_pile_up() {
    let server = Server::builder().connect_timeout(TO_JOIN).max_waiting_handlers(2).build();
    let started = Arc::new(AtomicUsize::new(0));
    let starts = Arc::clone(&started);
    server.middleware(move |_: ConnectRequest| {
        starts.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Result<(), Refusal>>()
    });
    server.of("/open");
    let host = Host::start(server.clone()).await;
    let mut client = Client::open(host.address).await;
    client.send("40/open,").await;
    assert!(client.packet().await.starts_with("0/open,{"));
    for _ in 0..4 {
        assert_eq!(client.ask("40").await, r#"4{"message":"timeout"}"#);
    }
    assert_eq!(started.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r110_a_packet_for_a_socket_that_the_server_disconnected_meanwhile_is_not_dispatched() {
    let server = Server::new();
    let came = Arc::new(AtomicBool::new(false));
    let comes = Arc::clone(&came);
    server
        .on("leave", |socket: Socket, _: Event| socket.disconnect())
        .on("event", move |_: Socket, _: Event| comes.store(true, Ordering::Relaxed));
    server.of("/other").on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    session.post("40/other,").await;
    assert!(session.get().await.text().starts_with("40/other,{"));
    // Both packets of a body are handled together, so the disconnect is in progress when the event is handled.
    assert_eq!(session.post("42[\"leave\"]\u{1e}42[\"event\"]").await.text(), "ok");
    assert_eq!(session.get().await.text(), "41");
    session.post(r#"42/other,["echo",1]"#).await;
    assert_eq!(session.get().await.text(), r#"42/other,["echo",1]"#);
    assert!(!came.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_handler_of_all_events_comes_first_and_leaves_the_answer_to_the_events_own() {
    let server = Server::new();
    let (saw, mut seen) = channel();
    let own = saw.clone();
    server
        .on("own", move |_: Socket, event: Event| {
            own.send(format!("own {:?}", event.read::<u8>())).unwrap();
            event.ack("own")
        })
        .on("stop", |_: Socket, _: Event| -> () { panic!("the socket has already disconnected") })
        .on_any(move |socket: Socket, event: Event| {
            saw.send(format!("any {} {:?}", event.name(), event.read::<u8>())).unwrap();
            if event.name() == "stop" {
                socket.disconnect();
            }
            event.ack("any")
        });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    assert_eq!(client.ask(r#"421["own",7]"#).await, r#"31["own"]"#);
    assert_eq!(client.ask(r#"422["other",8]"#).await, r#"32["any"]"#);
    assert_eq!(client.ask(r#"423["stop",9]"#).await, "1");
    for line in ["any own Ok(7)", "own Ok(7)", "any other Ok(8)", "any stop Ok(9)"] {
        assert_eq!(next(&mut seen).await, line);
    }
    drop(client);
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn middleware_runs_in_order_and_the_first_refusal_ends_it() {
    #[derive(serde::Deserialize)]
    struct Auth {
        refused_by: u8,
    }

    struct Passed(Vec<u8>);

    let server = Server::new();
    for number in 0..4 {
        server.middleware(move |request: ConnectRequest| async move {
            // Every second middleware waits.
            if number % 2 == 1 {
                tokio::task::yield_now().await;
            }
            let mut passed = request.get::<Passed>().map(|passed| passed.0.clone()).unwrap_or_default();
            passed.push(number);
            request.insert(Passed(passed));
            let Auth { refused_by } = request.read_auth().unwrap();
            if refused_by == number { Err(Refusal::new(format!("refused by {number}"))) } else { Ok(()) }
        });
    }
    server.on_connect(|socket: Socket| socket.emit("passed", &*socket.get::<Passed>().unwrap().0));
    let host = Host::start(server.clone()).await;
    for number in 0..4 {
        let mut client = Client::open(host.address).await;
        let answer = client.ask(&format!(r#"40{{"refused_by":{number}}}"#)).await;
        assert_eq!(answer, format!(r#"4{{"message":"refused by {number}"}}"#));
    }
    let mut client = Client::open(host.address).await;
    assert!(client.ask(r#"40{"refused_by":9}"#).await.starts_with(r#"0{"sid""#));
    assert_eq!(client.packet().await, r#"2["passed",[0,1,2,3]]"#);
}

#[tokio::test]
async fn a_middleware_hands_what_it_found_to_the_socket() {
    #[derive(serde::Deserialize)]
    struct Auth {
        name: String,
    }

    struct User(String);

    let server = Server::new();
    server
        .middleware(|request: ConnectRequest| {
            let auth: Auth = request.read_auth().map_err(|error| Refusal::from(error.to_string()))?;
            assert!(request.insert(User(String::new())).is_none());
            assert!(request.insert(User(auth.name)).is_some());
            Ok::<(), Refusal>(())
        })
        .on_connect(|socket: Socket| {
            let Auth { name } = socket.read_auth()?;
            let user = socket.get::<User>().ok_or("the value of the middleware is missing")?;
            assert!(socket.is_in(socket.id().as_str()) && !socket.is_in("elsewhere"));
            socket.emit("welcome", (name, &user.0))?;
            Ok::<(), Failure>(())
        });
    let host = Host::start(server.clone()).await;
    let mut client = Client::open(host.address).await;
    client.send("40").await;
    assert!(client.packet().await.contains("missing field `name`"));
    client.send(r#"40{"name":"ann"}"#).await;
    assert!(client.packet().await.starts_with("0{"));
    assert_eq!(client.packet().await, r#"2["welcome","ann","ann"]"#);
}

#[test]
fn a_handler_for_an_event_that_no_client_can_send_is_told_of_at_once() {
    for (name, instead) in [("disconnect", "on_disconnect"), ("connect", "on_connect"), ("newListener", "reserves")] {
        let panic = std::panic::catch_unwind(|| {
            Server::new().on(name, |_: Socket, _: Event| ());
        });
        let panic = panic.unwrap_err().downcast::<String>().unwrap();
        assert!(panic.contains(name) && panic.contains(instead), "{panic}");
    }
}

#[derive(Clone, Default)]
struct Sums(Arc<AtomicUsize>);

async fn sum(Data(numbers): Data<Vec<usize>>, State(sums): State<Sums>, ack: Ack) -> Result<(), Failure> {
    tokio::task::yield_now().await;
    let sum = numbers.into_iter().try_fold(0, usize::checked_add).ok_or("too much")?;
    sums.0.fetch_add(1, Ordering::Relaxed);
    ack.send(sum)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_takes_arguments_and_state_and_its_failures_answer_the_client() {
    let sums = Sums::default();
    let server = Server::builder().state(sums.clone()).build();
    server.on("sum", sum).on("panic", |_: Ack| -> () { panic!("on purpose") }).on_error(|failure: HandlerFailure| {
        let text = if failure.kind == FailureKind::Failed { failure.error } else { format!("{:?}", failure.kind) };
        failure.ack.map(|ack| ack.send(text))
    });
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    assert_eq!(client.ask(r#"421["sum",[1,2,3]]"#).await, "31[6]");
    assert_eq!(client.ask(r#"422["sum",1,2,3]"#).await, r#"32["NotStarted"]"#);
    assert_eq!(client.ask(&format!(r#"423["sum",[1,{}]]"#, usize::MAX)).await, r#"33["too much"]"#);
    assert_eq!(client.ask(r#"424["panic"]"#).await, r#"34["Panicked"]"#);
    assert_eq!(client.ask(r#"425["sum",[]]"#).await, "35[0]");
    assert_eq!(sums.0.load(Ordering::Relaxed), 2);
    drop(client);
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_own_their_socket_are_dropped_with_it() {
    let held = Arc::new(());
    let server = Server::new();
    let clone = Arc::clone(&held);
    server.on_connect(move |socket: Socket| {
        let (held, own) = (Arc::clone(&clone), socket.clone());
        socket
            .on("count", move || own.emit("count", Arc::strong_count(&held)))
            .once("hello", |socket: Socket| socket.emit("hello", "once"))
            .on_disconnect(|socket: Socket| {
                // It has left. Nothing would drop this handler.
                socket.on("late", |_: Event| ());
            });
    });
    server.on("hello", |socket: Socket| socket.emit("hello", "namespace"));
    let host = Host::start(server.clone()).await;
    let mut client = Client::join(host.address).await;
    assert_eq!(client.ask(r#"42["count"]"#).await, r#"2["count",3]"#);
    assert_eq!(client.ask(r#"42["hello"]"#).await, r#"2["hello","once"]"#);
    assert_eq!(client.packet().await, r#"2["hello","namespace"]"#);
    assert_eq!(client.ask(r#"42["hello"]"#).await, r#"2["hello","namespace"]"#);
    drop(client);
    nothing_is_left(&server).await;
    until(|| Arc::strong_count(&held) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_into_a_filter_that_waits_is_throttled_and_then_handled_in_order() {
    let server = Server::builder().ping_interval(Duration::from_secs(3600)).build();
    let (gate, waiting) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(false)));
    let (handled, mut numbers) = channel();
    let (open, waits) = (Arc::clone(&gate), Arc::clone(&waiting));
    echo(&server);
    server
        .filter(move |event: Event| {
            let (open, waits) = (Arc::clone(&open), Arc::clone(&waits));
            async move {
                if event.name() == "number" {
                    waits.store(true, Ordering::Relaxed);
                    open.acquire().await.unwrap().forget();
                }
                event
            }
        })
        .on("number", move |Data((number, _)): Data<(u32, String)>| handled.send(number).unwrap());
    let host = Host::start(server.clone()).await;
    let mut other = Client::join(host.address).await;
    let mut flooder = Client::join(host.address).await;
    let padding = "x".repeat(64 << 10);
    let flood = tokio::spawn(async move {
        for number in 0..512 {
            flooder.send(&format!(r#"42["number",{number},"{padding}"]"#)).await;
        }
        flooder
    });
    until(|| waiting.load(Ordering::Relaxed)).await;
    for _ in 0..100 {
        is_served(&mut other).await;
    }
    assert!(!flood.is_finished(), "all of the flood was read");
    gate.add_permits(512);
    for number in 0..512 {
        assert_eq!(next(&mut numbers).await, number);
    }
    drop((flood.await.unwrap(), other));
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_is_observed_without_a_lock_while_many_send() {
    let server = Server::new();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let handle = server.clone();
    server.on_any_outgoing(move |socket: &Socket, event: &Payload| {
        assert_eq!((event.name(), event.len()), (Some("n"), 1));
        // Both take the lock of the namespace.
        assert!(socket.is_in(socket.id().as_str()) && handle.of("/").len() == 3);
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let host = Host::start(server.clone()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::join(host.address).await);
    }
    until(|| server.of("/").len() == 3).await;
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let server = server.clone();
            std::thread::spawn(move || (0..100).for_each(|number| server.emit("n", number).unwrap()))
        })
        .collect();
    for client in &mut clients {
        for _ in 0..400 {
            assert!(client.packet().await.starts_with(r#"2["n","#));
        }
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert_eq!(count.load(Ordering::Relaxed), 1200);
    drop((clients, host));
}
