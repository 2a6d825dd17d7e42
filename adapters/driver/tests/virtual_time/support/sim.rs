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
    state: Mutex<State>,
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
        }
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            now: Duration::ZERO,
            random: Random::new(seed),
            tasks: BTreeMap::new(),
            ready: BTreeSet::new(),
            next_task: 0,
            sleeps: BTreeMap::new(),
            next_sleep: 0,
            idle: Vec::new(),
            max_timer_delay: Duration::ZERO,
            polls_at_once: 0,
            panics: Vec::new(),
            digest: 0,
        };
        Self(Arc::new(World { start: Instant::now(), seed, state: Mutex::new(state) }))
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
        let Some((&(first, _), _)) = state.sleeps.first_key_value() else { return false };
        let max_timer_delay = state.max_timer_delay;
        let late = state.random.duration(Duration::ZERO, max_timer_delay);
        state.now = state.now.max(first + late);
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
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
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
        drop(future);
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
        drop(task);
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
        drop(std::mem::take(&mut state.tasks));
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
