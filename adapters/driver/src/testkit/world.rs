//! A server in virtual time.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use socketio_proto::Parser;

use super::client::Connect;
use super::engine::EngineConnect;
use super::line::Dial;
use super::simulation::{Companion, Sim};
use crate::endpoint::Endpoint;
use crate::engine::EngineServer;
use crate::runtime::Runtime as _;
use crate::socketio::Server;
use crate::sync::lock;

/// How long a client waits for something by default.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long [`TestServer::run`] waits for a future.
const LONGEST_RUN: Duration = Duration::from_secs(24 * 60 * 60);

/// The runtime, and how long clients wait. This is a handle: clones refer to the same world.
#[derive(Clone)]
pub(super) struct World {
    sim: Sim,
    patience: Arc<Mutex<Duration>>,
}

impl World {
    /// Runs everything until nothing is left to do. No time passes.
    #[track_caller]
    pub(super) fn settle(&self) {
        self.sim.run_ready();
        self.check();
    }

    /// Waits for something, with patience.
    #[track_caller]
    pub(super) fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let mut found = None;
        self.sim.run_until(self.elapsed().saturating_add(self.patience()), || {
            found = look();
            found.is_some()
        });
        self.check();
        found
    }

    /// Panics if a task has panicked.
    #[track_caller]
    fn check(&self) {
        if let Some(panic) = self.sim.panics().first() {
            panic!("a task panicked (seed {}): {panic}", self.seed());
        }
    }

    pub(super) fn patience(&self) -> Duration {
        *lock(&self.patience)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    pub(super) fn seed(&self) -> u64 {
        self.sim.seed()
    }
}

/// A server in virtual time, for tests of its handlers; see the [module](super).
///
/// The server runs only while a method of this value or of a [`Client`](super::Client) does. When it is dropped, all tasks are dropped.
/// `S` is its type: a [`Server`], also one with another parser, or an [`EngineServer`].
pub struct TestServer<S: Endpoint = Server> {
    server: S,
    world: World,
}

impl<S: Endpoint> TestServer<S> {
    /// Serves this server in virtual time, with the seed 0.
    #[must_use]
    pub fn new(server: &S) -> Self {
        Self::with_seed(server, 0)
    }

    /// As [`TestServer::new`], with a seed, which decides on the order in which tasks run. The same seed repeats the same order. Ids of
    /// sessions and sockets are random all the same.
    #[must_use]
    pub fn with_seed(server: &S, seed: u64) -> Self {
        Self::in_simulation(server, Sim::new(seed))
    }

    /// As [`TestServer::with_seed`], for adapters: handlers use the executor and the clock of a companion.
    #[must_use]
    pub fn with_companion(server: &S, seed: u64, companion: impl Companion) -> Self {
        Self::in_simulation(server, Sim::with_companion(seed, Some(Box::new(companion))))
    }

    fn in_simulation(server: &S, sim: Sim) -> Self {
        let world = World { sim, patience: Arc::new(Mutex::new(PATIENCE)) };
        Self { server: server.clone(), world }
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> &S {
        &self.server
    }

    /// What a client needs to make its requests.
    fn dial(&self, path: &str) -> Dial<S> {
        Dial {
            sim: self.world.sim.clone(),
            endpoint: self.server.clone(),
            path: path.to_owned(),
            query: String::new(),
            headers: Vec::new(),
            address: None,
        }
    }

    /// Lets time pass: pings are sent and answered, timeouts and timers of the application fire, each at its time.
    ///
    /// # Panics
    /// If a task panics. A handler that panics does not: its connection is closed.
    #[track_caller]
    pub fn advance(&mut self, time: Duration) {
        self.world.sim.run_until(self.world.elapsed().saturating_add(time), || false);
        self.world.check();
    }

    /// Runs everything until nothing is left to do. No time passes. Use it after the test has called the server itself, for example to
    /// emit. Methods of clients do this by themselves.
    ///
    /// # Panics
    /// As [`TestServer::advance`].
    #[track_caller]
    pub fn settle(&mut self) {
        self.world.settle();
    }

    /// The time that has passed.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world.elapsed()
    }

    /// Sets how long clients wait for something that does not come, in virtual time. Default: 5 s. With zero, no time passes.
    pub fn set_patience(&mut self, patience: Duration) {
        *lock(&self.world.patience) = patience;
    }

    /// Runs a future of the test to its end, and the server meanwhile, for at most a day of virtual time. Clients can be used in it.
    ///
    /// # Panics
    /// If the future does not end, or panics.
    #[track_caller]
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let woken = Arc::new(Flag { is_woken: AtomicBool::new(true), sim: self.world.sim.clone() });
        let waker = Waker::from(Arc::clone(&woken));
        let mut output = None;
        self.world.sim.run_until(self.elapsed().saturating_add(LONGEST_RUN), || {
            while output.is_none() && woken.is_woken.swap(false, Ordering::Relaxed) {
                let polled = self.world.sim.enter(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
                if let Poll::Ready(value) = polled {
                    output = Some(value);
                }
                self.world.sim.run_ready();
            }
            output.is_some()
        });
        self.world.check();
        output.unwrap_or_else(|| panic!("the future did not end (seed {})", self.world.seed()))
    }

    /// Completes after this time, in virtual time. For futures of a test without a runtime of their own.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + Sync + use<S> {
        self.world.sim.sleep(time)
    }

    /// Shuts the server down, and returns when all clients have disconnected, or at the deadline; see [`Server::shut_down`].
    ///
    /// # Panics
    /// If a task panics.
    #[track_caller]
    pub fn shut_down(&mut self, deadline: Duration) {
        let (server, sleep) = (self.server.clone(), self.world.sim.sleep(deadline));
        self.run(server.shut_down(sleep));
    }
}

impl<P: Parser> TestServer<Server<P>> {
    /// Prepares a new client.
    pub fn client(&self) -> Connect<P> {
        Connect::new(self.world.clone(), self.dial(self.server.path()), self.server.parser().clone())
    }
}

impl TestServer<EngineServer> {
    /// Prepares a new client.
    pub fn client(&self) -> EngineConnect {
        EngineConnect::new(self.world.clone(), self.dial(self.server.path()))
    }
}

/// Runs a test with this many seeds, which are orders of tasks. If one fails, its seed is printed. With `SEED=n` in the environment, only
/// this seed runs.
///
/// # Panics
/// If the test does.
pub fn for_each_seed(seeds: u64, test: impl Fn(u64)) {
    Sim::each_seed(seeds, |sim| test(sim.seed()));
}

/// Wakes the future of [`TestServer::run`].
struct Flag {
    is_woken: AtomicBool,
    sim: Sim,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Relaxed);
        self.sim.wake_outside();
    }
}

impl<S: Endpoint> Drop for TestServer<S> {
    fn drop(&mut self) {
        // A panic of a destructor must not hide the failure of the test.
        let dropped = catch_unwind(AssertUnwindSafe(|| self.world.sim.drop_tasks()));
        if let Err(panic) = dropped
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl<S: Endpoint + fmt::Debug> fmt::Debug for TestServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer")
            .field("server", &self.server)
            .field("elapsed", &self.elapsed())
            .finish_non_exhaustive()
    }
}
