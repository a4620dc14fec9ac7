//! Where tasks live.

use super::registry::Registry;
use super::runnable::Runnable;
use crate::failure::FailureSink;
use crate::metrics::Statistics;

/// Where tasks live: it knows all of its tasks and runs those that are ready.
///
/// A home outlives every unfinished task (README, rule 1).
pub(crate) trait Home: Send + Sync {
    /// A task became ready: run it soon. Called from any thread.
    fn submit(&self, task: Runnable);

    /// As `submit`, for a new task: the caller keeps the home alive.
    fn submit_new(&self, task: Runnable) {
        self.submit(task);
    }

    /// True if this thread, which runs async code of the home, may run its tasks.
    fn runs_here(&self) -> bool {
        true
    }

    /// The tasks that live here.
    fn registry(&self) -> &Registry;

    /// Where failures are told that nobody looks at; stderr if nowhere.
    fn failure_sink(&self) -> Option<FailureSink> {
        None
    }

    /// The registry has been closed and its last task has left.
    fn drained(&self);

    /// How many workers have something to do: a glance, which may be wrong.
    fn busy(&self) -> usize {
        0
    }

    /// Counters and sizes, as far as this thread can see them.
    fn statistics(&self) -> Statistics {
        Statistics { tasks: self.registry().len(), ..Statistics::default() }
    }

    /// A thread that waits for a future of this home (`block_on`) fell asleep. A paused clock must not jump while one
    /// of them is about to do something.
    fn outside_sleeps(&self) {}

    /// Such a thread is awake, or will be at once.
    fn outside_wakes(&self) {}
}
