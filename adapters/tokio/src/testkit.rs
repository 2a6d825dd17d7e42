//! Tests of an application's handlers: a whole server with clients in virtual time, without sockets and threads.
//!
//! Turn the feature on for tests alone:
//!
//! ```toml
//! [dev-dependencies]
//! socketio-tokio = { version = "0.1", features = ["testkit"] }
//! ```
//!
//! ```
//! use std::time::Duration;
//!
//! use socketio_tokio::testkit::TestServer;
//! use socketio_tokio::{Event, Server, Socket};
//!
//! let server = Server::new();
//! server.on("remind", async |socket: Socket, event: Event| {
//!     tokio::time::sleep(Duration::from_secs(600)).await;
//!     socket.emit("reminder", event.payload())
//! });
//!
//! let mut world = TestServer::new(&server);
//! let mut client = world.client().connect("/")?;
//! client.emit("remind", "tea");
//! world.advance(Duration::from_secs(599));
//! client.assert_nothing_unread();
//! assert_eq!(client.receive::<String>("reminder"), "tea");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The [test kit of `socketio-driver`](socketio_driver::testkit) describes clients, time and seeds.
//!
//! # Handlers that await
//!
//! A [`TestServer`] has a tokio runtime of its own, with one thread and a paused clock, which is moved together with the server's.
//! `tokio::time`, `tokio::spawn`, channels and locks work in handlers. What the application spawns is dropped with the `TestServer`.
//!
//! * The test itself is a plain `#[test]` function. In a `#[tokio::test]`, `TestServer` panics, because a runtime cannot run inside another.
//!   Run async code of the test with `world.run(async { .. })`: it is in the same runtime and the same time. So a client of a database that
//!   the application needs is created in there. The whole test can be in there, with the methods of clients beside `await`:
//!
//!   ```
//!   # use std::time::Duration;
//!   # use socketio_tokio::testkit::TestServer;
//!   # use socketio_tokio::{Ack, Server};
//!   let server = Server::new();
//!   server.on("ask", async |ack: Ack| {
//!       tokio::time::sleep(Duration::from_secs(1)).await;
//!       ack.send("answer")
//!   });
//!   let world = TestServer::new(&server);
//!   world.run(async {
//!       let mut client = world.client().connect("/").unwrap();
//!       tokio::time::sleep(Duration::from_secs(60)).await;
//!       assert_eq!(client.call::<String>("ask", ()), "answer");
//!       assert_eq!(world.elapsed(), Duration::from_secs(61));
//!   });
//!   ```
//!
//! * An application that takes a `tokio::runtime::Handle`, or spawns tasks before it serves, does this in `world.run` as well.
//! * `spawn_blocking` and real I/O work, but take real time, and the order of what they complete is not repeatable. Time stands still while
//!   a blocking task runs. Real I/O needs `tokio` drivers that this runtime does not have (`net`).
//! * Tasks of tokio run in its own order. The seed decides on the order of the server's tasks, in which handlers run.
//! * Both clocks agree to a millisecond, the precision of tokio's timers.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use socketio_driver::{Endpoint, Server};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::Instant;

pub use socketio_driver::testkit::{
    Client, Closed, Companion, Connect, ConnectError, EngineClient, EngineConnect, Left, PendingAck, Received,
    Transport, for_each_seed,
};

/// A [`Server`] or [`EngineServer`](socketio_driver::EngineServer) in virtual time, whose handlers may use tokio. Has the methods of [`socketio_driver::testkit::TestServer`].
pub struct TestServer<S: Endpoint = Server>(socketio_driver::testkit::TestServer<S>);

impl<S: Endpoint> TestServer<S> {
    /// Serves this server in virtual time, with the seed 0.
    ///
    /// # Panics
    /// In a tokio runtime, such as a `#[tokio::test]`: use a plain `#[test]`, and [`run`](socketio_driver::testkit::TestServer::run).
    #[must_use]
    #[track_caller]
    pub fn new(server: &S) -> Self {
        Self::with_seed(server, 0)
    }

    /// As [`TestServer::new`], with a seed, which decides on the order in which tasks of the server run.
    ///
    /// # Panics
    /// As [`TestServer::new`].
    #[must_use]
    #[track_caller]
    pub fn with_seed(server: &S, seed: u64) -> Self {
        Self(socketio_driver::testkit::TestServer::with_companion(server, seed, PausedTokio::new()))
    }
}

impl<S: Endpoint> Deref for TestServer<S> {
    type Target = socketio_driver::testkit::TestServer<S>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Endpoint> DerefMut for TestServer<S> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<S: Endpoint + fmt::Debug> fmt::Debug for TestServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tokio runtime with a paused clock, which moves with the clock of the simulation.
struct PausedTokio {
    runtime: Runtime,
    idle: Arc<Idle>,
    start: Instant,
}

/// Notices that the runtime has nothing to do.
#[derive(Default)]
struct Idle {
    reached: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl PausedTokio {
    #[track_caller]
    fn new() -> Self {
        assert!(
            Handle::try_current().is_err(),
            "a TestServer has a tokio runtime of its own: use it in a plain `#[test]`, and run async code with `TestServer::run`"
        );
        let idle = Arc::<Idle>::default();
        let parked = Arc::clone(&idle);
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || parked.parked())
            .build()
            .unwrap_or_else(|error| no_runtime(&error));
        let start = runtime.block_on(async { Instant::now() });
        Self { runtime, idle, start }
    }
}

#[allow(clippy::panic, reason = "a test kit")]
#[track_caller]
fn no_runtime(error: &std::io::Error) -> ! {
    panic!("no tokio runtime for a test: {error}")
}

impl Idle {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called when no task is ready. Waking the main future at this point keeps tokio from advancing its clock.
    fn parked(&self) {
        let waiting = self.lock().take();
        if let Some(waiting) = waiting {
            self.reached.store(true, Ordering::Relaxed);
            waiting.wake();
        }
    }

    async fn reached(&self) {
        self.reached.store(false, Ordering::Relaxed);
        poll_fn(|cx| {
            if self.reached.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            *self.lock() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Companion for PausedTokio {
    fn enter(&self, work: &mut dyn FnMut()) {
        let _entered = self.runtime.enter();
        work();
    }

    fn settle(&self) {
        self.runtime.block_on(self.idle.reached());
    }

    fn advance(&self, until: Duration, mut woken: Pin<&mut dyn Future<Output = ()>>) -> Duration {
        self.runtime.block_on(async {
            let mut sleep = std::pin::pin!(tokio::time::sleep_until(self.start + until));
            poll_fn(|cx| {
                if woken.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                sleep.as_mut().poll(cx)
            })
            .await;
            self.start.elapsed()
        })
    }
}
