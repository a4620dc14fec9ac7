#![allow(unsafe_code)] // Spawning hands the home's address to the task: rules 1 and 5 of task/README.md.
//! A way to reach a home from anywhere: spawn there, list its tasks, wait for a future.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use crate::block_on;
use crate::context::{self, EnterGuard};
use crate::failure::FailureSink;
use crate::inspect::{self, TaskInfo};
use crate::metrics::Statistics;
use crate::task::{self, Cancelled, Canceller, Home, Spawn, Spawned, Task, TaskRef};

/// Reaches a scheduler or a single-threaded loop from any thread.
///
/// It does not keep the workers running: work submitted after shutdown is refused with an error.
#[derive(Clone)]
pub struct Handle {
    home: Arc<dyn Home>,
}

impl Handle {
    pub(crate) fn new(home: Arc<dyn Home>) -> Self {
        Self { home }
    }

    /// Spawns `future` as a task there.
    #[track_caller]
    #[inline]
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_named(None, future)
    }

    /// Spawns `future` as a task with a name.
    #[track_caller]
    #[inline]
    pub fn spawn_named<F>(&self, name: Option<Arc<str>>, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_at(Location::caller(), name, future).task()
    }

    /// Spawns `future`, a call that somebody made at `place`. Nobody awaits it, and it is nobody's task:
    /// [`tasks`](Self::tasks) and [`find`](Self::find) do not know it.
    #[doc(hidden)]
    #[inline]
    pub fn spawn_call<F>(&self, place: &'static Location<'static>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // SAFETY: as in `spawn_at`.
        let spawned = unsafe { self.spawn_unchecked(future, Spawn { name: None, place, is_call: true }) };
        drop(spawned.task());
    }

    /// How many calls that were [spawned](Self::spawn_call) have not ended.
    #[doc(hidden)]
    pub fn calls(&self) -> usize {
        self.home.registry().snapshot().iter().filter(|task| task.is_call() && !task.is_done()).count()
    }

    /// True in a task that runs on a worker of this very scheduler.
    #[doc(hidden)]
    #[inline]
    pub fn is_on_worker(&self) -> bool {
        let home = Arc::as_ptr(&self.home).cast::<()>();
        context::with_worker(|worker| worker.is_some_and(|worker| worker.lives_at(home)))
    }

    /// Spawns `future` and takes its first step here and now, up to its first suspension; as
    /// [`spawn_named`](Self::spawn_named) where this thread runs no async code of that home.
    #[track_caller]
    pub fn spawn_eager<F>(&self, name: Option<Arc<str>>, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let place = Location::caller();
        let ours = context::is_inside() && context::home().is_some_and(|home| home.is_same(self));
        if !ours || !self.home.runs_here() {
            return self.spawn_at(place, name, future).task();
        }
        // SAFETY: as in `spawn_at`; this thread runs async code of the home.
        unsafe {
            task::spawn_eager(NonNull::from(&*self.home), future, Spawn { name, place, is_call: false })
        }
    }

    /// Spawns `future` on behalf of a caller at `place`.
    #[inline]
    pub(crate) fn spawn_at<F>(
        &self,
        place: &'static Location<'static>,
        name: Option<Arc<str>>,
        future: F,
    ) -> Spawned<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: `self` keeps the home alive during the call; homes outlive the tasks in their registries (their
        // shutdown waits for an empty registry). The future is Send.
        unsafe { self.spawn_unchecked(future, Spawn { name, place, is_call: false }) }
    }

    /// # Safety
    /// Rule 5: if the future or its output is not `Send`, the home is a loop on this very thread.
    #[inline]
    pub(crate) unsafe fn spawn_unchecked<F: Future + 'static>(
        &self,
        future: F,
        how: Spawn,
    ) -> Spawned<F::Output> {
        // SAFETY: see `spawn_named`; the rest is the caller's promise.
        unsafe { task::spawn(NonNull::from(&*self.home), future, how) }
    }

    /// Runs `future` to its end on this thread, while its tasks run on the workers.
    ///
    /// # Panics
    /// Panics inside async code: it would stall the thread that runs it. `.await` the future instead.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.block_on_from(Location::caller(), future)
    }

    /// As [`block_on`](Self::block_on), on behalf of a caller at `place`.
    #[doc(hidden)]
    #[track_caller]
    pub fn block_on_from<F: Future>(&self, place: &'static Location<'static>, future: F) -> F::Output {
        let _entered = self.enter();
        block_on::block_on(self.home.clone(), place, future)
    }

    /// As [`block_on_from`](Self::block_on_from), and `canceller` can cancel the future from anywhere: a frame in it may catch
    /// that; otherwise the future is dropped where it stands.
    ///
    /// # Errors
    /// [`Cancelled`] when it was cancelled and gave no value.
    ///
    /// # Panics
    /// Panics inside async code.
    #[doc(hidden)]
    #[track_caller]
    pub fn block_on_with<F: Future>(
        &self,
        place: &'static Location<'static>,
        canceller: &Canceller,
        future: F,
    ) -> Result<F::Output, Cancelled> {
        let _entered = self.enter();
        block_on::block_on_with(self.home.clone(), place, canceller, future)
    }

    /// Makes free functions such as `spawn` use this home until the guard is dropped.
    pub fn enter(&self) -> EnterGuard {
        context::enter(self.clone())
    }

    /// The home entered on this thread.
    pub fn try_current() -> Option<Handle> {
        context::home()
    }

    /// The home entered on this thread.
    ///
    /// # Panics
    /// Panics when there is none.
    #[track_caller]
    pub fn current() -> Handle {
        Self::try_current().unwrap_or_else(|| context::no_runtime("Handle::current"))
    }

    /// Every unfinished task, in the order in which they were spawned on each thread.
    pub fn tasks(&self) -> Vec<TaskRef> {
        let mut tasks = self.tasks_and_calls();
        tasks.retain(|task| !task.is_call());
        tasks
    }

    fn tasks_and_calls(&self) -> Vec<TaskRef> {
        loop {
            let mut tasks = self.home.registry().snapshot();
            tasks.retain(|task| !task.is_done());
            // That there is none must be true: a task may have spawned another one behind our back, and ended.
            if !tasks.is_empty() || self.home.registry().has_none() {
                tasks.sort_by_key(TaskRef::id);
                return tasks;
            }
        }
    }

    /// The unfinished task with this number.
    pub fn find(&self, id: u64) -> Option<TaskRef> {
        self.home.registry().find(id).filter(|task| !task.is_done() && !task.is_call())
    }

    /// All that is known of every future that is polled outside of tasks, and of every unfinished task; it is `now` on
    /// the time line of their clock.
    pub fn inspect(&self, now: Duration) -> Vec<TaskInfo> {
        let registry = self.home.registry();
        inspect::everything(registry, registry.snapshot(), now)
    }

    /// Waits until no task is left there, whoever spawned it. Not for tasks of that home: they would wait for themselves.
    pub async fn drained(&self) {
        loop {
            let tasks = self.tasks_and_calls();
            if tasks.is_empty() {
                return;
            }
            for task in tasks {
                task.ended().await;
            }
        }
    }

    /// How many workers have something to do. A glance, which may be wrong a moment later.
    #[must_use]
    pub fn busy_workers(&self) -> usize {
        self.home.busy()
    }

    /// The number of unfinished tasks.
    pub fn task_count(&self) -> usize {
        self.home.registry().len()
    }

    /// Counters and sizes at this moment. Of a single-threaded loop, another thread than its own sees only how many tasks there are.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.home.statistics()
    }

    /// True once its home refuses tasks.
    pub(crate) fn is_closed(&self) -> bool {
        self.home.registry().is_closed()
    }

    /// Where its home tells failures that nobody looks at; stderr if nowhere.
    pub(crate) fn failure_sink(&self) -> Option<FailureSink> {
        self.home.failure_sink()
    }

    /// True if both reach the same home.
    pub fn is_same(&self, other: &Handle) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.home), Arc::as_ptr(&other.home))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("tasks", &self.task_count()).finish_non_exhaustive()
    }
}
