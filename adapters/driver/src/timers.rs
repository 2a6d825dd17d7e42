//! One timer for all peers and for the application: an ordered map of coarse slots, and one task that sleeps until the first.
//!
//! A deadline is rounded up by at most a fiftieth of its distance, at most 100 ms, and at least to the next millisecond. So the heartbeats
//! of many peers share slots, while an ack's 50 ms stay 50 ms. A peer sets its timer if its deadline is earlier than its slot. Moving a
//! deadline to a later time costs nothing: the peer is woken once too early, and sets its timer again. A peer that ends cancels its timer.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use engineio_proto::{Instant, Sid};
use futures_util::FutureExt as _;

use crate::clock::Clock;
use crate::metrics::Counters;
use crate::runtime::Runtime;
use crate::sync::lock;

/// The timers of all peers.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    slots: Mutex<Slots>,
    /// Whether a task runs the timers.
    running: AtomicBool,
}

/// Held by the task that runs the timers. A runtime may drop that task.
#[derive(Debug)]
pub(crate) struct RunningTimers(Arc<Timers>);

impl Drop for RunningTimers {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Slots {
    /// The sleepers, sorted by their rounded time in milliseconds.
    sleepers: BTreeSet<(u64, Sleeper)>,
    /// Wakes the sleeping task after an earlier slot was added.
    sleeper: Option<Waker>,
    /// Tells the task to end.
    stopped: bool,
}

/// Rounds a deadline up to a slot, in milliseconds.
fn slot(now: Instant, deadline: Instant) -> u64 {
    let distance = deadline.saturating_duration_since(now).as_millis().min(u128::from(u64::MAX));
    let width = u64::try_from(distance / 50).unwrap_or(u64::MAX).clamp(1, 100);
    deadline.as_micros().div_ceil(1000).div_ceil(width).saturating_mul(width)
}

/// The owner of a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Sleeper {
    /// The application, for deadlines that belong to no peer.
    Application,
    /// The task of a session.
    Peer(Sid),
}

impl From<Sid> for Sleeper {
    fn from(sid: Sid) -> Self {
        Self::Peer(sid)
    }
}

/// A timer that is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    /// The deadline that it was set for.
    pub(crate) deadline: Instant,
    /// When its owner is woken.
    pub(crate) wake_at: Instant,
}

impl Timer {
    fn slot(&self) -> u64 {
        self.wake_at.as_micros() / 1000
    }
}

impl Timers {
    /// Claims the role of the task that runs the timers. Returns `None` if a task has it already.
    pub(crate) fn start(self: &Arc<Self>) -> Option<RunningTimers> {
        // Loads first: a task nearly always exists, and a store would take the cache line from other processors.
        let started = self.running.load(Ordering::Relaxed) || self.running.swap(true, Ordering::Relaxed);
        (!started).then(|| RunningTimers(Arc::clone(self)))
    }

    /// Sets a timer: its owner is woken at the deadline or a little later. Replaces the timer `before`.
    pub(crate) fn set(
        &self,
        now: Instant,
        deadline: Instant,
        sleeper: impl Into<Sleeper>,
        before: Option<Timer>,
    ) -> Timer {
        let waits = sleeper.into();
        let slot = slot(now, deadline);
        let mut slots = lock(&self.slots);
        if let Some(before) = before {
            slots.sleepers.remove(&(before.slot(), waits));
        }
        let first = slots.sleepers.first().is_none_or(|(first, _)| slot < *first);
        slots.sleepers.insert((slot, waits));
        let sleeper = if first { slots.sleeper.take() } else { None };
        drop(slots);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        Timer { deadline, wake_at: Instant::from_millis(slot) }
    }

    /// Cancels the timer of a peer.
    pub(crate) fn cancel(&self, peer: Sid, timer: Timer) {
        lock(&self.slots).sleepers.remove(&(timer.slot(), peer.into()));
    }

    /// The number of timers that are set.
    pub(crate) fn len(&self) -> usize {
        lock(&self.slots).sleepers.len()
    }

    /// Ends [`Timers::run`].
    pub(crate) fn stop(&self) {
        let mut slots = lock(&self.slots);
        slots.stopped = true;
        slots.sleepers.clear();
        let sleeper = slots.sleeper.take();
        drop(slots);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Runs the timers: calls `wake` for every owner whose slot is due.
    pub(crate) async fn run<R: Runtime>(&self, runtime: R, clock: &Clock, wake: impl Fn(Sleeper)) {
        loop {
            let now = clock.now(&runtime);
            let due = {
                let mut slots = lock(&self.slots);
                if slots.stopped {
                    return;
                }
                let mut due = Vec::new();
                while let Some((_, sleeper)) =
                    slots.sleepers.first().filter(|(slot, _)| *slot <= now.as_micros() / 1000)
                {
                    due.push(*sleeper);
                    slots.sleepers.pop_first();
                }
                due
            };
            due.into_iter().for_each(&wake);
            self.next_slot(&runtime, clock).await;
        }
    }

    /// Waits until the first slot is due, or an earlier one was added.
    async fn next_slot<R: Runtime>(&self, runtime: &R, clock: &Clock) {
        let first = lock(&self.slots).sleepers.first().map(|(first, _)| *first);
        let wait = first.map(|first| Instant::from_millis(first).saturating_duration_since(clock.now(runtime)));
        let mut sleep = pin!(match wait {
            Some(wait) => runtime.sleep(wait.max(Duration::from_micros(200))).left_future(),
            None => std::future::pending().right_future(),
        });
        poll_fn(|cx| {
            let mut slots = lock(&self.slots);
            if slots.stopped || slots.sleepers.first().map(|(first, _)| *first) != first {
                return Poll::Ready(());
            }
            slots.sleeper = Some(cx.waker().clone());
            drop(slots);
            sleep.as_mut().poll(cx)
        })
        .await;
    }
}

/// What an application uses of its server: deadlines that belong to no peer, and counters. Any task may set
/// one. The application is notified when the first of them has passed, and then sets the next one.
#[derive(Debug)]
pub(crate) struct Alarm {
    pub(crate) counters: Arc<Counters>,
    clock: Arc<Clock>,
    timers: Arc<Timers>,
    armed: Mutex<Option<Timer>>,
}

impl Alarm {
    pub(crate) fn new(clock: Arc<Clock>, timers: Arc<Timers>) -> Self {
        Self { counters: Arc::default(), clock, timers, armed: Mutex::new(None) }
    }

    /// The current time.
    pub(crate) fn now(&self) -> Instant {
        self.clock.read()
    }

    /// Notifies the application at this deadline or a little later. An earlier deadline that was set stays.
    pub(crate) fn set(&self, deadline: Instant) {
        let now = self.now();
        let mut armed = lock(&self.armed);
        // A slot that is due stays until the application was notified of it.
        let waiting = armed.filter(|armed| armed.wake_at > now);
        if waiting.is_none_or(|waiting| deadline < waiting.deadline) {
            *armed = Some(self.timers.set(now, deadline, Sleeper::Application, waiting));
        }
    }
}

#[cfg(test)]
mod tests {
    use engineio_proto::testkit::Random;

    use super::*;
    use crate::testkit::Sim;

    #[test]
    fn far_deadlines_share_slots_and_near_ones_are_exact() {
        let now = Instant::from_millis(1_000);
        assert_eq!(slot(now, Instant::from_millis(1_007)), 1_007);
        assert_eq!(slot(now, Instant::from_micros(1_007_001)), 1_008);
        assert_eq!(slot(now, Instant::from_millis(26_001)), 26_100);
        assert_eq!(slot(now, Instant::from_millis(1_300)), 1_302);
    }

    fn peer(number: u8) -> Sid {
        Sid::from_random([number; 15])
    }

    /// The owners that were woken, and when.
    type Woken = Arc<Mutex<Vec<(Sleeper, Instant)>>>;

    /// Runs timers, and records the owners that they wake.
    fn running(sim: &Sim) -> (Arc<Timers>, Arc<Clock>, Woken) {
        let (timers, clock) = (Arc::<Timers>::default(), Arc::<Clock>::default());
        let woken = Woken::default();
        let (task, runtime, reads, log) = (Arc::clone(&timers), sim.clone(), Arc::clone(&clock), Arc::clone(&woken));
        sim.spawn(async move {
            let wake = |sleeper| lock(&log).push((sleeper, reads.now(&runtime)));
            task.run(runtime.clone(), &reads, wake).await;
        });
        (timers, clock, woken)
    }

    #[test]
    fn every_peer_is_woken_once_at_its_deadline_or_a_little_later() {
        Sim::each_seed(100, |sim| {
            let (sim, mut random) = (sim.clone(), Random::new(sim.seed()));
            sim.clone().run(async move {
                let (timers, clock, woken) = running(&sim);
                let mut expected = Vec::new();
                for number in 0..50 {
                    let now = clock.now(&sim);
                    let deadline = now + random.duration(Duration::from_micros(1), Duration::from_secs(30));
                    let timer = timers.set(now, deadline, peer(number), None);
                    assert!(deadline <= timer.wake_at);
                    match random.index(4) {
                        0 => timers.cancel(peer(number), timer),
                        1 => {
                            // The deadline moves, to an earlier or a later time.
                            let deadline = now + random.duration(Duration::from_micros(1), Duration::from_secs(30));
                            expected.push((
                                peer(number),
                                timers.set(now, deadline, peer(number), Some(timer)),
                                deadline,
                            ));
                        }
                        _ => expected.push((peer(number), timer, deadline)),
                    }
                    sim.sleep(random.duration(Duration::ZERO, Duration::from_millis(800))).await;
                }
                sim.sleep(Duration::from_secs(31)).await;
                let woken = std::mem::take(&mut *lock(&woken));
                assert!(woken.is_sorted_by_key(|(_, at)| *at), "{woken:?}");
                assert_eq!(woken.len(), expected.len());
                for (sid, timer, deadline) in expected {
                    let (_, at) = woken.iter().find(|(sleeper, _)| *sleeper == sid.into()).unwrap();
                    assert!(*at >= deadline, "{at:?} is before {deadline:?}");
                    assert!(*at - timer.wake_at <= Duration::from_micros(200), "{at:?} is long after {timer:?}");
                }
                timers.stop();
                sim.settle().await;
                assert_eq!(sim.tasks().len(), 1);
            });
        });
    }

    #[test]
    fn the_task_sleeps_until_the_first_slot() {
        let sim = Sim::new(0);
        sim.clone().run(async move {
            let (timers, clock, woken) = running(&sim);
            let task = *sim.tasks().last().unwrap();
            sim.settle().await;
            let far = timers.set(clock.now(&sim), Instant::from_millis(20_000), peer(1), None);
            sim.settle().await;
            let polls = sim.polls(task);
            // The task is not woken for a later slot, or for another peer in the same slot.
            timers.set(clock.now(&sim), Instant::from_millis(25_000), peer(2), None);
            timers.set(clock.now(&sim), Instant::from_millis(20_000), peer(3), None);
            sim.settle().await;
            assert_eq!(sim.polls(task), polls);
            timers.set(clock.now(&sim), Instant::from_millis(10), peer(4), None);
            sim.sleep(Duration::from_secs(1)).await;
            assert_eq!(*lock(&woken), [(peer(4).into(), Instant::from_millis(10))]);
            timers.cancel(peer(1), far);
            timers.stop();
        });
    }
    #[test]
    fn the_application_is_told_at_the_earliest_of_its_deadlines_and_sets_the_next() {
        let sim = Sim::new(0);
        sim.clone().run(async move {
            let (timers, clock, woken) = running(&sim);
            sim.settle().await;
            let alarm = Alarm::new(clock, Arc::clone(&timers));
            let told = |at| (Sleeper::Application, Instant::from_millis(at));
            alarm.set(Instant::from_millis(30));
            alarm.set(Instant::from_millis(10));
            alarm.set(Instant::from_millis(20));
            sim.sleep(Duration::from_millis(15)).await;
            assert_eq!(*lock(&woken), [told(10)], "the others are the application's to set again");
            alarm.set(Instant::from_millis(20));
            alarm.set(Instant::from_millis(30));
            sim.sleep(Duration::from_millis(10)).await;
            assert_eq!(*lock(&woken), [told(10), told(20)]);
            sim.sleep(Duration::from_secs(1)).await;
            assert_eq!(lock(&woken).len(), 2);
            timers.stop();
        });
    }
}
