//! Tasks: spawn them, name them, find them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use unstuck_core::guard::Budgeted;
pub use unstuck_core::{Task, TaskId, TaskRef};

use crate::runtime::Handle;

/// Spawns `future` as a task, which starts by itself and runs beside its creator: asyncio's `create_task`.
///
/// On the multi-threaded runtime any worker may take it; on the single-threaded loop it starts when its creator awaits
/// next. The returned [`Task`] is awaited for the result, or dropped to let the task go on alone.
///
/// ```
/// # unstuck::run(async {
/// let task = unstuck::spawn(async { 6 * 7 });
/// assert_eq!(task.await.unwrap(), 42);
/// # });
/// ```
///
/// # Cancellation
/// See [`Task`].
///
/// # Errors
/// After the runtime's shutdown the future is dropped, and awaiting the task gives an error that
/// [says so](crate::JoinError::is_rejected).
///
/// # Panics
/// Panics outside a runtime. A panic of `future` is its task's error and stops nothing else.
#[track_caller]
pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    unstuck_core::spawn(future)
}

/// [`spawn`] under asyncio's name.
#[track_caller]
pub fn create_task<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    unstuck_core::spawn(future)
}

/// Spawns a future that need not be [`Send`], on the single-threaded loop of this thread.
///
/// # Panics
/// Panics where no single-threaded loop runs: use [`EventLoop`](crate::EventLoop) or
/// [`run_single`](crate::run_single).
#[track_caller]
pub fn spawn_local<F: Future + 'static>(future: F) -> Task<F::Output> {
    unstuck_core::spawn_local(future)
}

/// The task that is running here: asyncio's `current_task()`. `None` outside tasks, and in the main future of
/// [`run`](crate::run()), which is no task.
#[must_use]
pub fn current() -> Option<TaskRef> {
    unstuck_core::current_task()
}

/// Lets a future of another crate share in its task's budget.
///
/// A task whose awaits are all ready at once would keep its worker for itself. The futures of this crate see to it: when a
/// thousand of them were ready in one poll, or the poll has taken half of the guard's
/// [threshold](crate::Builder::stall_threshold), they let the others have a turn first. Futures from elsewhere, such as a channel's, do not know of that; wrapped in
/// this they do. It costs an allocation for each wrapped future: wrap the loop's stream or the whole inner future rather than each item,
/// or put a [`checkpoint`](crate::checkpoint()) into the loop, which needs none.
///
/// ```
/// # unstuck::run(async {
/// let foreign = async { 42 };
/// assert_eq!(unstuck::task::budgeted(foreign).await, 42);
/// # });
/// ```
///
/// # Cancellation
/// As that of the future inside.
pub fn budgeted<F: Future>(future: F) -> Budgeted<F> {
    unstuck_core::guard::budgeted(future)
}

/// Every unfinished task of this thread's runtime: asyncio's `all_tasks()`.
///
/// # Panics
/// Panics outside a runtime.
#[track_caller]
#[must_use]
pub fn all_tasks() -> Vec<TaskRef> {
    Handle::current().tasks()
}

/// Spawns a task with a name, which reports and errors show.
///
/// ```
/// # unstuck::run(async {
/// let task = unstuck::task::Builder::new().name("reader").spawn(async { panic!("no such file") });
/// let error = task.await.map(|(): ()| ()).unwrap_err();
/// assert!(error.to_string().contains("'reader'"));
/// # });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing happens before spawn()"]
pub struct Builder {
    name: Option<Arc<str>>,
    eager: bool,
    slow_step: Option<Duration>,
}

impl Builder {
    /// No name yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The task's name. Names need not be unique.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Runs the task's body at once, inside of `spawn`, up to its first suspension: asyncio's `eager_start`.
    ///
    /// The body runs as the task that it is: [`current`] gives it, and the [context variables](crate::contextvars) that it
    /// sets are its own. If it never suspends, the task is done when `spawn` returns, without a trip through a queue.
    ///
    /// ```
    /// # unstuck::run(async {
    /// let cached = unstuck::task::Builder::new().eager(true).spawn(async { 42 });
    /// assert!(cached.is_done());
    /// # });
    /// ```
    ///
    /// Only in async code of the same runtime; from elsewhere the task is queued as usual. Not for a body that computes or
    /// blocks before it awaits: its creator waits meanwhile.
    pub fn eager(mut self, eager: bool) -> Self {
        self.eager = eager;
        self
    }

    /// How long one step of this task may take before it is reported, whatever the runtime's rule is (10 ms on a worker,
    /// [`slow_step`](crate::Builder::slow_step) on a single-threaded loop): asyncio's `slow_callback_duration`, for one task.
    ///
    /// Longer, for a task that is known to compute for a while; shorter, for one that others wait for. Only reports go by it: on a
    /// worker what waits behind the step is rescued and counted as ever. A step is looked at every tenth of the loop's `slow_step`,
    /// or every half of the guard's threshold, so it is reported that much later. `Duration::MAX` is never.
    ///
    /// ```
    /// # unstuck::run(async {
    /// let known = unstuck::task::Builder::new().slow_step(std::time::Duration::from_secs(1)).spawn(async { 42 });
    /// assert_eq!(known.await.unwrap(), 42);
    /// # });
    /// ```
    ///
    /// A task that is there already: [`TaskRef::set_slow_step`].
    pub fn slow_step(mut self, time: Duration) -> Self {
        self.slow_step = Some(time);
        self
    }

    /// Spawns it. See [`spawn`].
    ///
    /// # Panics
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = Handle::current();
        let task = if self.eager {
            handle.stack().core.spawn_eager(self.name, future)
        } else {
            handle.spawn_named(self.name, future)
        };
        with_slow_step(task, self.slow_step)
    }

    /// Spawns a future that need not be [`Send`], on the single-threaded loop of this thread. See [`spawn_local`].
    ///
    /// # Panics
    /// Panics where no single-threaded loop runs.
    #[track_caller]
    pub fn spawn_local<F: Future + 'static>(self, future: F) -> Task<F::Output> {
        with_slow_step(unstuck_core::spawn_local_as(self.name, self.eager, future), self.slow_step)
    }
}

/// The task has been queued, and may run already: the monitor asks when a step has lasted for a tick or two.
fn with_slow_step<T>(task: Task<T>, time: Option<Duration>) -> Task<T> {
    if let Some(time) = time {
        task.watch().set_slow_step(time);
    }
    task
}
