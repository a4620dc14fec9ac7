//! The pool as its users see it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use unstuck_core::job::{Options, QueuedJob, Shutdown, ShutdownReport, job, say};
use unstuck_core::{Executor, Job, JobHandle};

use crate::builder::{Builder, Recipe};
use crate::census::Census;
use crate::roster::{Closed, Roster, Rules};
use crate::worker;

const CLOSED: &str = "its thread pool has shut down: submit jobs before the shutdown, or to another pool";

/// Threads for calls that wait: files, name look-ups, C libraries.
///
/// Threads are made when jobs need them, up to a limit, and leave when they have been idle for a while. A thread that
/// is idle is used before a new one is made.
///
/// ```
/// use unstuck_blocking::ThreadPool;
///
/// let pool = ThreadPool::builder().max_threads(4).build()?;
/// let manifest = pool.spawn(|| std::fs::read_to_string("Cargo.toml"));
/// // In a task: manifest.await
/// assert!(manifest.wait().unwrap()?.contains("[package]"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # When not to use it
/// For calls that compute: hundreds of threads only take the cores from each other. Use unstuck-cpu.
///
/// # Dropping
/// Waits until every job has ended, queued ones too, as `with ThreadPoolExecutor()` does in Python; after a second it
/// says on stderr what it waits for. [`Builder::on_drop`] chooses otherwise. In a task, prefer a pool that lives longer
/// than the task, or [`Shutdown::detach`]: waiting blocks the task's thread, and if a job needs that very thread (on a
/// single-threaded loop) they wait for each other. A job that drops its own pool does not wait.
pub struct ThreadPool {
    handle: Handle,
    on_drop: Shutdown,
}

/// A [`ThreadPool`] to submit to, without the right to end it: cheap to clone, keeps no thread alive.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) roster: Roster<QueuedJob>,
    pub(crate) census: Census,
    pub(crate) recipe: Recipe,
    pub(crate) done: AtomicU64,
    pub(crate) spawn_failures: AtomicU64,
    /// Lack of threads has been reported.
    pub(crate) warned: AtomicBool,
}

/// A pool's numbers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Threads that take jobs, idle and starting ones included.
    pub threads: usize,
    /// Threads without a job.
    pub idle: usize,
    /// Jobs that wait for a thread (or were cancelled, and not yet found by one).
    pub queued: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that have run, panicked ones included.
    pub done: u64,
    /// Threads started so far.
    pub started: u64,
    /// Threads that have ended so far.
    pub ended: u64,
    /// How often the system refused a thread.
    pub spawn_failures: u64,
}

impl ThreadPool {
    /// A builder with the defaults.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(rules: Rules, recipe: Recipe, on_drop: Shutdown) -> Self {
        let shared = Arc::new(Shared {
            roster: Roster::new(rules),
            census: Census::default(),
            recipe,
            done: AtomicU64::new(0),
            spawn_failures: AtomicU64::new(0),
            warned: AtomicBool::new(false),
        });
        Self { handle: Handle { shared }, on_drop }
    }

    /// Runs a closure on the pool and returns a future of its result.
    ///
    /// # Cancellation
    /// Dropping the future does not stop the closure. [`JobHandle::cancel`] takes it back if it has not started.
    ///
    /// # Errors
    /// The future gives an error if the closure panics, is cancelled, or the pool has shut down.
    #[track_caller]
    pub fn spawn<T, F>(&self, f: F) -> JobHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.submit(f, Options::new())
    }

    /// Runs a job with a name, or on behalf of another place in the source.
    pub fn submit<J: Job>(&self, job: J, options: Options) -> JobHandle<J::Output> {
        self.handle.submit(job, options)
    }

    /// A handle to submit with, from other threads and after this variable is gone.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The pool's numbers now.
    pub fn statistics(&self) -> Statistics {
        self.handle.statistics()
    }

    /// Takes no more jobs and waits until all have ended, queued ones too.
    ///
    /// Blocks the calling thread; after a second it says on stderr what it waits for. From a job of this very pool it
    /// does not wait, as it would wait for itself.
    pub fn shutdown(&self) {
        let _ = self.shutdown_with(Shutdown::wait());
    }

    /// Cancels queued jobs, waits at most `limit` for running ones, and tells which are still running.
    pub fn shutdown_timeout(&self, limit: Duration) -> ShutdownReport {
        self.shutdown_with(Shutdown::within(limit))
    }

    /// Ends the pool as `how` says. Later calls may wait longer, or cancel what an earlier one left queued.
    #[must_use = "the report names the jobs that are still running"]
    pub fn shutdown_with(&self, how: Shutdown) -> ShutdownReport {
        let shared = &self.handle.shared;
        let Closed { pending, idle } = shared.roster.close(how.cancel_pending);
        for seat in idle {
            seat.unpark();
        }
        let cancelled = pending.iter().filter(|job| !job.is_cancelled()).count();
        drop(pending);

        if !worker::works_for(shared) {
            wait(shared, how.limit);
        }
        let (started, ended) = shared.census.started_and_ended();
        let threads = usize::try_from(started - ended).unwrap_or(usize::MAX);
        ShutdownReport::new(shared.census.running(), cancelled, threads)
    }
}

/// Waits for the threads to end, and does not do so in silence.
fn wait(shared: &Shared, limit: Option<Duration>) {
    const SILENCE: Duration = Duration::from_secs(1);
    if limit.is_some() {
        shared.census.wait_until_empty(limit);
        return;
    }
    if shared.census.wait_until_empty(Some(SILENCE)) {
        return;
    }
    let (running, queued) = (shared.census.running(), shared.roster.counts().queued);
    say(format_args!("the shutdown of '{}' waits for {} jobs", shared.recipe.name, running.len() + queued));
    for job in running.iter().take(10) {
        say(format_args!("  {job}"));
    }
    shared.census.wait_until_empty(None);
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        let report = self.shutdown_with(self.on_drop);
        if self.on_drop.cancel_pending && !report.running.is_empty() {
            say(format_args!("'{}' was dropped: {report}", self.handle.shared.recipe.name));
        }
    }
}

impl Handle {
    /// Runs a closure on the pool: see [`ThreadPool::spawn`].
    #[track_caller]
    pub fn spawn<T, F>(&self, f: F) -> JobHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit(f, Options::new())
    }

    /// Runs a job with a name, or on behalf of another place in the source.
    pub fn submit<J: Job>(&self, work: J, options: Options) -> JobHandle<J::Output> {
        let (queued, handle) = job(work, options);
        self.submit_queued(queued);
        handle
    }

    /// Takes a job whose handle somebody has already.
    #[doc(hidden)]
    pub fn submit_queued(&self, queued: QueuedJob) {
        match self.shared.roster.submit(queued) {
            Ok(call) => worker::answer(&self.shared, call),
            Err(queued) => queued.reject(CLOSED),
        }
    }

    /// The pool's numbers now.
    pub fn statistics(&self) -> Statistics {
        let shared = &self.shared;
        let counts = shared.roster.counts();
        let (started, ended) = shared.census.started_and_ended();
        Statistics {
            threads: counts.threads,
            idle: counts.idle,
            queued: counts.queued,
            running: counts.threads - counts.idle - counts.arriving,
            // Relaxed: statistics.
            done: shared.done.load(Ordering::Relaxed),
            spawn_failures: shared.spawn_failures.load(Ordering::Relaxed),
            started,
            ended,
        }
    }
}

impl<J: Job> Executor<J> for ThreadPool {
    fn submit(&self, job: J, options: Options) -> JobHandle<J::Output> {
        self.handle.submit(job, options)
    }
}

impl<J: Job> Executor<J> for Handle {
    fn submit(&self, job: J, options: Options) -> JobHandle<J::Output> {
        Handle::submit(self, job, options)
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("name", &self.shared.recipe.name)
            .field("statistics", &self.statistics())
            .finish()
    }
}
