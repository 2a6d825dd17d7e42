//! Counts the tasks of a server, and waits for the last one.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use crate::runtime::Runtime;
use crate::sync::lock;

/// The tasks of one server. This is a handle: clones share one count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    count: usize,
    waiting: Vec<Waker>,
}

/// Counts one task until it is dropped.
#[derive(Debug)]
pub(crate) struct TaskGuard(Tasks);

impl Tasks {
    /// Counts a task.
    pub(crate) fn enter(&self) -> TaskGuard {
        let mut running = lock(&self.0);
        running.count = running.count.saturating_add(1);
        TaskGuard(self.clone())
    }

    /// Spawns a counted task.
    pub(crate) fn spawn(&self, runtime: &impl Runtime, task: impl Future<Output = ()> + Send + 'static) {
        let guard = self.enter();
        runtime.spawn(async move {
            let _guard = guard;
            task.await;
        });
    }

    /// Waits until no task runs.
    pub(crate) async fn finished(&self) {
        poll_fn(|cx| {
            let mut running = lock(&self.0);
            if running.count == 0 {
                return Poll::Ready(());
            }
            running.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        let mut running = lock(&self.0.0);
        running.count = running.count.saturating_sub(1);
        let waiting = if running.count == 0 { std::mem::take(&mut running.waiting) } else { Vec::new() };
        drop(running);
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_last_task_ends_every_wait_for_it() {
        let tasks = Tasks::default();
        assert_eq!(tasks.finished().now_or_never(), Some(()));
        let (first, second) = (tasks.enter(), tasks.enter());
        let mut waits = [Box::pin(tasks.finished()), Box::pin(tasks.finished())];
        let mut poll = || waits.each_mut().map(|wait| wait.now_or_never());
        assert_eq!(poll(), [None, None]);
        drop(first);
        assert_eq!(poll(), [None, None]);
        drop(second);
        assert_eq!(poll(), [Some(()), Some(())]);
    }
}
