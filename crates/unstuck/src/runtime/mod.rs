//! Runtimes: the multi-threaded one, the single-threaded loop, how they are set up and how they end.

mod builder;
mod ending;
mod event_loop;
mod failures;
mod handle;
mod inspected;
mod on_exit;
pub(crate) mod runner;
pub(crate) mod stack;

use std::fmt;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use unstuck_core::job::ShutdownReport;
use unstuck_core::{Scheduler, Task};

use crate::guard::alarm::Alarm;

pub use builder::Builder;
use ending::Ending;
pub use event_loop::EventLoop;
pub use handle::Handle;
pub use on_exit::OnExit;
pub use runner::{RunError, Runner};
pub use stack::EnterGuard;

use crate::debug::serve::Served;

/// A multi-threaded runtime: worker threads that run tasks, timers, a pool for calls that wait and one for calls that
/// compute.
///
/// Most programs use [`run`](crate::run) or `#[unstuck::main]` instead.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = unstuck::Runtime::new()?;
/// let answer = runtime.block_on(async {
///     let task = unstuck::spawn(async { 6 * 7 });
///     task.await.unwrap()
/// });
/// assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
///
/// # How it ends
/// [`shutdown`](Self::shutdown) refuses new work, cancels every task and waits for all of them to end, then cancels
/// queued jobs of the pools and waits for those that run. Dropping the runtime does the same, but for ten
/// seconds at the most: after one second it says on stderr what it waits for, after ten it leaves it alone. Dropped
/// inside async code it closes in the background, because a thread that runs tasks must not wait for them.
pub struct Runtime {
    scheduler: Scheduler,
    handle: Handle,
    /// Shut down by hand: drop has nothing left to do.
    ended: bool,
    /// It may be looked at from outside, also while it ends.
    _inspected: Option<Served>,
}

/// After this long a drop, or a shutdown, says what it waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// After this long a drop stops waiting.
const DROP_LIMIT: Duration = Duration::from_secs(10);

impl Runtime {
    pub(crate) fn new_from(scheduler: Scheduler, handle: Handle, inspected: Option<Served>) -> Self {
        Self { scheduler, handle, ended: false, _inspected: inspected }
    }

    /// A runtime with a worker per CPU.
    ///
    /// # Errors
    /// The system's error when a thread cannot be made.
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Sets up a runtime.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs `future` to its end on this thread, while its tasks run on the workers. The runtime goes on afterwards.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall: `.await` the future instead.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Runs `future` to its end, then shuts the runtime down: what is left is cancelled and awaited before this
    /// returns, or what [`Builder::on_exit`] says.
    ///
    /// # Panics
    /// Panics inside async code, and when `future` does; the runtime is shut down then, too.
    #[track_caller]
    pub fn run<F: Future>(self, future: F) -> F::Output {
        let ending = Ending::of(&self);
        let value = self.block_on(ending.after(future));
        drop(ending);
        self.leave();
        value
    }

    /// The end of a run.
    pub(crate) fn leave(self) {
        match self.handle.stack().exit.on_exit {
            OnExit::Cancel => self.shutdown(),
            OnExit::Drain => {
                self.block_on(self.handle.drained());
                self.shutdown();
            }
            OnExit::Detach => self.detach(),
        }
    }

    /// Lets the tasks go on, on a runtime that ends with the last of them.
    fn detach(self) {
        // If no thread can be made the runtime goes on, and simply never ends.
        let runtime = ManuallyDrop::new(self);
        let wait = move || {
            runtime.block_on(runtime.handle.drained());
            ManuallyDrop::into_inner(runtime).shutdown();
        };
        drop(std::thread::Builder::new().name("unstuck-detached".into()).spawn(wait));
    }

    /// Spawns a task. See [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Reaches the runtime from anywhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Makes free functions such as [`spawn`](crate::spawn) use this runtime on this thread, until the guard is dropped.
    pub fn enter(&self) -> EnterGuard {
        self.handle.enter()
    }

    /// Counters and sizes at this moment.
    ///
    /// ```
    /// use unstuck::{Runtime, cpu};
    ///
    /// let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    /// runtime.block_on(async { cpu(|| 6 * 7).await.unwrap() });
    /// let statistics = runtime.statistics();
    /// assert_eq!((statistics.tasks.workers, statistics.tasks.stalls), (2, 0));
    /// assert_eq!((statistics.cpu.done, statistics.blocking.done), (1, 0));
    /// assert_eq!(statistics.cpu.abandoned + statistics.blocking.abandoned, 0); // cancelled, and still running
    /// ```
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.handle.statistics()
    }

    /// Refuses new work, cancels every task and waits until all have ended, then ends the pools: queued jobs are
    /// cancelled, running ones waited for. After a second it says on stderr what it waits for.
    ///
    /// # Panics
    /// With [`StallPolicy::Panic`](crate::StallPolicy::Panic), in the end, when a poll did not come back and nobody has been told yet.
    #[track_caller]
    pub fn shutdown(mut self) {
        self.ended = true;
        self.close();
        if !unstuck_core::is_inside() && !self.scheduler.shutdown(Some(PATIENCE)) {
            self.say("ends and waits for");
        }
        // Called on a worker of its own it cannot wait for the end, and only closes.
        let limit = if self.scheduler.shutdown(None) { None } else { Some(Duration::ZERO) };
        self.handle.stack().shutdown_pools(limit);
        self.handle.stack().tell_of_stalls();
    }

    /// As [`shutdown`](Self::shutdown), but waits no longer than `limit`. The report says whether
    /// [everything has ended](ShutdownReport::is_complete), and names the tasks and jobs that have not: what they are
    /// called, where they came from, and for how long they have been running.
    ///
    /// What has not ended goes on in the background; a task that blocks its worker ends when its poll returns.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = unstuck::Runtime::new().unwrap();
    /// let (release, until_released) = std::sync::mpsc::channel::<()>();
    /// let (started, has_started) = std::sync::mpsc::channel();
    /// let stuck = runtime.handle().spawn_blocking(move || {
    ///     started.send(()).unwrap();
    ///     until_released.recv().is_err()
    /// });
    /// has_started.recv().unwrap();
    /// let report = runtime.shutdown_timeout(Duration::from_millis(10));
    /// assert!(!report.is_complete() && report.running.len() == 1);
    /// println!("{report}"); // 1 still running, 0 cancelled; job (from src/main.rs:6), running for 10ms, cancelled
    /// drop(release);
    /// assert!(stuck.wait().unwrap());
    /// ```
    #[must_use = "the report names what has not ended"]
    pub fn shutdown_timeout(mut self, limit: Duration) -> ShutdownReport {
        self.ended = true;
        self.end_within(limit)
    }

    /// Cancels what is left: tasks, and short calls on workers, for which the workers would wait.
    fn close(&self) {
        self.scheduler.close();
        self.handle.stack().desks.cancel();
    }

    fn end_within(&self, limit: Duration) -> ShutdownReport {
        let begun = Instant::now();
        self.close();
        self.scheduler.shutdown(Some(limit));
        let left = limit.saturating_sub(begun.elapsed());
        let report = self.handle.stack().shutdown_pools(Some(left));
        // Asked again: a task may have waited for one of the jobs.
        report.with_tasks(self.scheduler.shutdown(Some(Duration::ZERO)), self.handle.tasks())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if unstuck_core::is_inside() {
            let _ = self.end_within(Duration::ZERO);
            return;
        }
        let begun = Instant::now();
        self.close();
        if !self.scheduler.shutdown(Some(PATIENCE)) {
            self.say("was dropped and waits for");
            if !self.scheduler.shutdown(Some(DROP_LIMIT - PATIENCE)) {
                self.say("was dropped and leaves behind");
            }
        }
        if let Some(stall) = self.handle.stack().alarm.as_deref().and_then(Alarm::untold) {
            eprintln!("unstuck: {stall}"); // a drop must not panic
        }
        let stack = self.handle.stack();
        let mut report = stack.shutdown_pools(Some(PATIENCE.saturating_sub(begun.elapsed())));
        if !report.is_complete() {
            eprintln!("unstuck: the runtime was dropped and waits for jobs: {report}");
            report = stack.shutdown_pools(Some(DROP_LIMIT.saturating_sub(begun.elapsed())));
        }
        if !report.is_complete() {
            eprintln!("unstuck: the runtime was dropped and leaves jobs behind: {report}");
        }
    }
}

impl Runtime {
    fn say(&self, verb: &str) {
        let (tasks, calls) = (self.handle.tasks(), self.handle.stack().desks.running());
        for call in &calls {
            eprintln!("unstuck: the runtime {verb} a call that runs on a worker: {call}");
        }
        if tasks.is_empty() && !calls.is_empty() {
            return;
        }
        if tasks.is_empty() {
            eprintln!("unstuck: the runtime {verb} threads that have no task left (a hook that hangs?)");
            return;
        }
        eprintln!("unstuck: the runtime {verb} {} task(s) that do not end:", tasks.len());
        for task in tasks.iter().take(10) {
            let place = task.place();
            eprintln!("  task {} '{}' (from {}:{})", task.id(), task.name(), place.file(), place.line());
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtime").field(&self.statistics()).finish()
    }
}

/// Counters and sizes of a runtime at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Statistics {
    /// Workers and tasks.
    pub tasks: unstuck_core::Statistics,
    /// The blocking pool.
    pub blocking: unstuck_blocking::Statistics,
    /// The compute pool.
    pub cpu: unstuck_cpu::Statistics,
    /// Timers.
    pub timers: unstuck_time::Statistics,
}
