//! What a server logs, in virtual time, with a subscriber that uses the server. One test, because subscribers of a thread share a cache of
//! levels with all threads of the program.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_driver::testkit::TestServer;
use socketio_driver::{Event, Server, Socket};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

thread_local! {
    // What the subscriber does is logged, too.
    static LOOKS: Cell<bool> = const { Cell::new(false) };
}

/// A subscriber that uses the server whenever it is called.
struct Nosy {
    server: Server,
    lines: Mutex<Vec<String>>,
    spans: AtomicU64,
    entered: AtomicU64,
    looks: AtomicU64,
    level: tracing::Level,
}

impl Nosy {
    fn look(&self) {
        if LOOKS.replace(true) {
            return;
        }
        let metrics = self.server.metrics();
        assert_eq!(metrics.namespaces, 1);
        for socket in self.server.sockets() {
            socket.join("logged");
        }
        // What it sends makes turns, whose spans call it again.
        if self.looks.fetch_add(1, Ordering::Relaxed) < 500 {
            self.server.emit("logged", metrics.engine.sessions).unwrap();
            for socket in self.server.sockets() {
                let _ = socket.emit("seen", ());
            }
            self.server.to("logged").except("other").emit("logged", ()).unwrap();
        }
        LOOKS.set(false);
    }
}

/// The same subscriber, of which the test keeps a part.
struct Shared(Arc<Nosy>);

impl Subscriber for Shared {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.0.level
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.0.look();
        Id::from_u64(self.0.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        self.0.lines.lock().unwrap().push(line.0);
        self.0.look();
    }

    fn enter(&self, _: &Id) {
        self.0.entered.fetch_add(1, Ordering::Relaxed);
        self.0.look();
    }

    fn exit(&self, _: &Id) {
        self.0.look();
    }

    fn try_close(&self, _: Id) -> bool {
        self.0.look();
        true
    }
}

/// Lets sessions live and end while the subscriber looks, at this level.
fn live(level: tracing::Level) -> Arc<Nosy> {
    let server = Server::builder().engine(|engine| engine.limits.max_outbound = 100_000).build();
    server
        .on("fail", |_: Socket, _: Event| Err::<(), _>("on purpose"))
        .on("panic", |_: Socket, _: Event| -> () { panic!("on purpose") });
    let nosy = Arc::new(Nosy {
        server: server.clone(),
        lines: Mutex::default(),
        spans: AtomicU64::new(0),
        entered: AtomicU64::new(0),
        looks: AtomicU64::new(0),
        level,
    });
    tracing::subscriber::with_default(Shared(Arc::clone(&nosy)), || {
        let mut world = TestServer::new(&server);
        let mut fails = world.client().connect("/").unwrap();
        let mut polls = world.client().polling().connect("/").unwrap();
        let mut deaf = world.client().connect("/").unwrap();
        fails.emit("fail", ());
        fails.emit("nothing", ());
        deaf.stop_reading();
        for _ in 0..5 {
            server.emit("large", "x".repeat(50_000)).unwrap();
            world.settle();
        }
        fails.emit("panic", ());
        polls.same_connection().connect("/none").unwrap_err();
        polls.close();
        world.client().connect("/").unwrap();
        world.shut_down(Duration::from_secs(10));
    });
    nosy
}

#[test]
fn a_subscriber_may_use_the_server_every_end_has_its_reason_and_spans_follow_their_level() {
    every_end_has_its_reason();
    without_the_level_there_are_no_spans();
}

fn every_end_has_its_reason() {
    let nosy = live(tracing::Level::TRACE);
    let lines = nosy.lines.lock().unwrap();
    let count = |parts: &[&str]| lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).count();
    assert_eq!(count(&["DEBUG", "a session ended", "reason="]), 4, "{lines:#?}");
    assert_eq!(count(&["DEBUG", "a socket connected"]), 4);
    assert_eq!(count(&["DEBUG", "a socket disconnected", "reason="]), 4);
    assert_eq!(count(&["WARN", "its outbound queue is full"]), 1);
    assert_eq!(count(&["WARN", "a handler failed", "on purpose"]), 1);
    assert_eq!(count(&["ERROR", "a handler panicked"]), 1);
    assert!(lines.iter().all(|line| line.contains(" socketio_driver::")), "{lines:#?}");
    assert_eq!(nosy.spans.load(Ordering::Relaxed), 4, "one for each session");
    assert!(nosy.entered.load(Ordering::Relaxed) > 8);
}

fn without_the_level_there_are_no_spans() {
    let nosy = live(tracing::Level::WARN);
    assert_eq!((nosy.spans.load(Ordering::Relaxed), nosy.entered.load(Ordering::Relaxed)), (0, 0));
    assert!(nosy.lines.lock().unwrap().iter().all(|line| !line.starts_with("DEBUG")));
}
