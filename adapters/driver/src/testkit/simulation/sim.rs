//! A single-threaded runtime in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use engineio_proto::testkit::Random;
use futures_util::future::BoxFuture;
use socketio_driver::Runtime;

use super::pipe::PipeEnd;

/// The number of polls without a change of time after which a test fails as endless.
const MAX_POLLS_AT_ONCE: u64 = 100_000;

/// A handle to the runtime. Clones refer to the same runtime.
#[derive(Clone)]
pub(crate) struct Sim(Arc<World>);

/// The number of a task, in the order in which tasks are spawned.
pub(crate) type TaskId = u64;

struct World {
    start: Instant,
    seed: u64,
    companion: Option<Box<dyn Companion>>,
    state: Mutex<State>,
}

/// An executor with a clock of its own, whose tasks and timers application code uses while it runs in the simulation: that of an adapter's
/// runtime. Its clock must stand still unless [`Companion::advance`] runs.
pub trait Companion: Send + Sync + 'static {
    /// Runs `work` in the context of the executor, so that code in it can spawn tasks and create timers.
    fn enter(&self, work: &mut dyn FnMut());

    /// Runs the executor's tasks until none is ready. No time passes.
    fn settle(&self);

    /// Runs the executor's tasks and timers until its clock shows `until` (since its start), or `woken` completes. Returns what its clock
    /// shows then.
    fn advance(&self, until: Duration, woken: Pin<&mut dyn Future<Output = ()>>) -> Duration;
}

struct State {
    now: Duration,
    random: Random,
    tasks: BTreeMap<TaskId, Task>,
    /// Sorted by number, so that a seed reproduces a run whatever the order in which wakers were called.
    ready: BTreeSet<TaskId>,
    next_task: TaskId,
    sleeps: BTreeMap<(Duration, u64), Waker>,
    next_sleep: u64,
    /// The wakers of those that wait until no task is ready.
    idle: Vec<Waker>,
    /// Woken with the next task that becomes ready, and with what waits outside of tasks.
    outside: Option<Waker>,
    /// Whether what waits outside of tasks was woken.
    outside_is_ready: bool,
    max_timer_delay: Duration,
    polls_at_once: u64,
    panics: Vec<String>,
    /// A hash of what ran when. It is equal for two runs of a seed.
    digest: u64,
}

struct Task {
    /// `None` while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    waker: Waker,
    polls: u64,
}

struct TaskWaker {
    id: TaskId,
    world: Weak<World>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(world) = self.world.upgrade() {
            let mut state = world.lock();
            if state.tasks.contains_key(&self.id) {
                state.ready.insert(self.id);
            }
            let outside = state.outside.take();
            drop(state);
            outside.into_iter().for_each(Waker::wake);
        }
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs code of the application in the context of its own executor.
    fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(companion) = &self.companion else { return work() };
        let (mut work, mut result) = (Some(work), None);
        companion.enter(&mut || result = work.take().map(|work| work()));
        result.expect("a companion runs what it is given")
    }
}

impl Sim {
    /// Runs code of a test in the context of the companion.
    pub(crate) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.enter(work)
    }

    pub(crate) fn new(seed: u64) -> Self {
        Self::with_companion(seed, None)
    }

    /// A runtime whose tasks use a companion, too.
    pub(crate) fn with_companion(seed: u64, companion: Option<Box<dyn Companion>>) -> Self {
        let state = State {
            now: Duration::ZERO,
            random: Random::new(seed),
            tasks: BTreeMap::new(),
            ready: BTreeSet::new(),
            next_task: 0,
            sleeps: BTreeMap::new(),
            next_sleep: 0,
            idle: Vec::new(),
            outside: None,
            outside_is_ready: false,
            max_timer_delay: Duration::ZERO,
            polls_at_once: 0,
            panics: Vec::new(),
            digest: 0,
        };
        Self(Arc::new(World { start: Instant::now(), seed, companion, state: Mutex::new(state) }))
    }

    /// Runs a test once for each of `seeds` seeds. In the environment, `SEED=n` replays one seed and `SEEDS=n` sets the number of seeds. A
    /// failure prints its seed.
    pub(crate) fn each_seed(seeds: u64, play: impl Fn(&Sim)) {
        let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("it is a number"));
        let seeds = match number("SEED") {
            Some(seed) => seed..seed + 1,
            None => 0..number("SEEDS").unwrap_or(seeds),
        };
        for seed in seeds {
            let sim = Self::new(seed);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(&sim))) {
                eprintln!("SEED={seed} repeats this failure, at {:?} of virtual time", sim.elapsed());
                std::panic::resume_unwind(panic);
            }
        }
    }

    /// Same as [`Sim::each_seed`], for a test that is one future.
    pub(crate) fn run_each_seed<F>(seeds: u64, play: impl Fn(Self) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::each_seed(seeds, |sim| sim.run(play(sim.clone())));
    }

    /// Runs a future to its end, and all tasks meanwhile.
    pub(crate) fn run<T: Send + 'static>(&self, main: impl Future<Output = T> + Send + 'static) -> T {
        let result = Arc::new(Mutex::new(None));
        let output = Arc::clone(&result);
        let id = self.spawn_task(async move {
            let value = main.await;
            *output.lock().unwrap() = Some(value);
        });
        while self.0.lock().tasks.contains_key(&id) {
            if !self.step() {
                panic!("SEED={}: the test waits, and nothing can happen any more", self.0.seed);
            }
        }
        let value = result.lock().unwrap().take();
        value.unwrap_or_else(|| panic!("SEED={}: the test panicked: {:?}", self.0.seed, self.panics()))
    }

    /// Polls a ready task, or advances time to the end of the next sleep. Returns false if neither exists.
    fn step(&self) -> bool {
        self.step_until(Duration::MAX)
    }

    /// As [`Sim::step`], but time does not pass `limit`. Returns false if nothing can happen before.
    fn step_until(&self, limit: Duration) -> bool {
        let mut state = self.0.lock();
        let ready = state.ready.len();
        if ready > 0 {
            let index = state.random.index(ready);
            let id = *state.ready.iter().nth(index).expect("it is there");
            state.ready.remove(&id);
            state.polls_at_once += 1;
            assert!(state.polls_at_once < MAX_POLLS_AT_ONCE, "SEED={}: tasks spin", self.0.seed);
            state.note(id);
            drop(state);
            self.poll(id);
            return true;
        }
        if !state.idle.is_empty() {
            let idle = std::mem::take(&mut state.idle);
            drop(state);
            idle.into_iter().for_each(Waker::wake);
            return true;
        }
        let first = state.sleeps.first_key_value().map(|(&(first, _), _)| first);
        let Some(first) = first.filter(|first| *first <= limit) else { return false };
        let max_timer_delay = state.max_timer_delay;
        let late = state.random.duration(Duration::ZERO, max_timer_delay);
        let next = state.now.max(first + late);
        if let Some(companion) = &self.0.companion {
            let now = state.now;
            drop(state);
            companion.settle();
            if self.0.lock().ready.is_empty() {
                let reached = companion.advance(next, Box::pin(self.woken()).as_mut());
                state = self.0.lock();
                state.now = now.max(reached.min(next));
            } else {
                state = self.0.lock();
            }
            if !state.ready.is_empty() || state.outside_is_ready {
                return true;
            }
        }
        state.now = next;
        state.polls_at_once = 0;
        let behind = (state.now + Duration::from_nanos(1), 0);
        let later = state.sleeps.split_off(&behind);
        let due = std::mem::replace(&mut state.sleeps, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
        true
    }

    fn poll(&self, id: TaskId) {
        let taken = {
            let mut state = self.0.lock();
            state.tasks.get_mut(&id).and_then(|task| {
                task.polls += 1;
                Some((task.future.take()?, task.waker.clone()))
            })
        };
        let Some((mut future, waker)) = taken else { return };
        let poll = || self.0.enter(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        let polled = catch_unwind(AssertUnwindSafe(poll));
        let mut state = self.0.lock();
        match polled {
            Ok(Poll::Pending) => {
                if let Some(task) = state.tasks.get_mut(&id) {
                    task.future = Some(future);
                    return;
                }
            }
            Ok(Poll::Ready(())) => drop(state.tasks.remove(&id)),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                state.panics.push(text);
                state.tasks.remove(&id);
            }
        }
        state.ready.remove(&id);
        drop(state);
        // Dropping the future may wake other tasks.
        self.0.enter(|| drop(future));
    }

    /// Waits until a task becomes ready.
    async fn woken(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if !state.ready.is_empty() || state.outside_is_ready {
                return Poll::Ready(());
            }
            state.outside = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Ends a step of time early, because something that waits outside of tasks is ready: [`Sim::run_until`] asks whether it is done.
    pub(crate) fn wake_outside(&self) {
        let mut state = self.0.lock();
        state.outside_is_ready = true;
        let outside = state.outside.take();
        drop(state);
        outside.into_iter().for_each(Waker::wake);
    }

    /// Runs all tasks until none is ready, from outside. No time passes.
    pub(crate) fn run_ready(&self) {
        loop {
            while self.has_ready() {
                self.step();
            }
            let Some(companion) = &self.0.companion else { return };
            companion.settle();
            if !self.has_ready() {
                return;
            }
        }
    }

    fn has_ready(&self) -> bool {
        let state = self.0.lock();
        !state.ready.is_empty() || !state.idle.is_empty()
    }

    /// Runs all tasks, from outside, until it is `until`. Ends early, and returns true, if `done` returns true. It is asked whenever
    /// no task is ready.
    pub(crate) fn run_until(&self, until: Duration, mut done: impl FnMut() -> bool) -> bool {
        loop {
            self.run_ready();
            self.0.lock().outside_is_ready = false;
            if done() {
                return true;
            }
            if self.elapsed() >= until {
                return false;
            }
            if self.step_until(until) {
                continue;
            }
            // No sleep ends before.
            let mut reached = until;
            if let Some(companion) = &self.0.companion {
                reached = companion.advance(until, Box::pin(self.woken()).as_mut()).min(until);
            }
            let mut state = self.0.lock();
            state.now = state.now.max(reached);
            state.polls_at_once = 0;
        }
    }

    /// Drops all tasks, as a runtime does at its end.
    pub(crate) fn drop_tasks(&self) {
        for id in self.tasks() {
            self.drop_task(id);
        }
    }

    pub(crate) fn spawn_task(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskId {
        let mut state = self.0.lock();
        let id = state.next_task;
        state.next_task += 1;
        let waker = Waker::from(Arc::new(TaskWaker { id, world: Arc::downgrade(&self.0) }));
        state.tasks.insert(id, Task { future: Some(Box::pin(task)), waker, polls: 0 });
        state.ready.insert(id);
        id
    }

    /// Drops an unfinished task, as a runtime does at its shutdown.
    pub(crate) fn drop_task(&self, id: TaskId) {
        let task = {
            let mut state = self.0.lock();
            state.ready.remove(&id);
            state.tasks.remove(&id)
        };
        self.0.enter(|| drop(task));
    }

    /// The tasks that have not ended, oldest first.
    pub(crate) fn tasks(&self) -> Vec<TaskId> {
        self.0.lock().tasks.keys().copied().collect()
    }

    /// How often a task was polled.
    pub(crate) fn polls(&self, id: TaskId) -> u64 {
        self.0.lock().tasks.get(&id).map_or(0, |task| task.polls)
    }

    /// The panic messages of tasks so far.
    pub(crate) fn panics(&self) -> Vec<String> {
        self.0.lock().panics.clone()
    }

    /// Waits until no other task is ready.
    pub(crate) async fn settle(&self) {
        let mut waited = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            self.0.lock().idle.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Yields to ready tasks a random number of times.
    pub(crate) async fn yield_to_ready_tasks(&self) {
        for _ in 0..self.index(4) {
            // Not `http::yield_now`: the integration tests include this file, and see the public items of the crate alone.
            let mut yielded = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut yielded, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
    }

    /// Makes time advance beyond the end of a sleep from now on, by at most `most`.
    pub(crate) fn delay_timers(&self, most: Duration) {
        self.0.lock().max_timer_delay = most;
    }

    /// Lets time pass while no task runs, as if the process had been stopped.
    pub(crate) fn stall(&self, duration: Duration) {
        self.0.lock().now += duration;
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.lock().now
    }

    pub(crate) fn seed(&self) -> u64 {
        self.0.seed
    }

    pub(crate) fn digest(&self) -> u64 {
        self.0.lock().digest
    }

    pub(crate) fn index(&self, limit: usize) -> usize {
        self.0.lock().random.index(limit)
    }

    pub(crate) fn chance(&self, per_mille: u64) -> bool {
        self.0.lock().random.chance(per_mille)
    }

    pub(crate) fn duration(&self, most: Duration) -> Duration {
        self.0.lock().random.duration(Duration::ZERO, most)
    }
}

impl State {
    fn note(&mut self, id: TaskId) {
        for word in [id, u64::try_from(self.now.as_nanos()).unwrap_or(u64::MAX)] {
            self.digest = (self.digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Tasks may wake others while they are dropped. Those wakers find no runtime any more.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let tasks = std::mem::take(&mut state.tasks);
        self.enter(|| drop(tasks));
    }
}

impl Runtime for Sim {
    type Stream = PipeEnd;
    type Sleep = Sleep;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_task(task);
    }

    fn now(&self) -> Instant {
        self.0.start + self.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let mut state = self.0.lock();
        state.next_sleep += 1;
        let until = state.now.saturating_add(duration);
        Sleep { world: Arc::downgrade(&self.0), key: (until, state.next_sleep) }
    }
}

/// A sleep in virtual time.
pub(crate) struct Sleep {
    world: Weak<World>,
    key: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(world) = self.world.upgrade() else { return Poll::Pending };
        let mut state = world.lock();
        if state.now >= self.key.0 {
            return Poll::Ready(());
        }
        state.sleeps.insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(world) = self.world.upgrade() {
            let waker = world.lock().sleeps.remove(&self.key);
            drop(waker);
        }
    }
}
