//! The pool as its users see it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use unstuck_core::job::{
    Options, QueuedJob, RunningJob, Shutdown, ShutdownReport, job, say, while_waiting_for_others,
};
use unstuck_core::sync::Mutex;
use unstuck_core::{Executor, Job, JobHandle};

use crate::builder::{Builder, Overflow, Recipe};
use crate::census::Census;
use crate::ending;
use crate::lanes::Lane;
use crate::limiter::{Limiter, Permit, WeakLimiter};
use crate::roster::{Closed, Refused, Roster, Rules};
use crate::worker;

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
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) roster: Roster<Entry>,
    pub(crate) census: Census,
    pub(crate) recipe: Recipe,
    pub(crate) overflow: Overflow,
    /// The roster's, for messages.
    rules: Rules,
    /// Limiters that may hold jobs for this pool.
    limiters: Mutex<Vec<WeakLimiter>>,
    /// The pool ends, and wants running jobs to stop.
    pub(crate) cancelling: AtomicBool,
    pub(crate) done: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Jobs that were given a thread of their own.
    pub(crate) on_own_thread: AtomicU64,
    pub(crate) spawn_failures: AtomicU64,
    /// Lack of threads has been reported.
    pub(crate) warned: AtomicBool,
    /// A standstill has been reported.
    pub(crate) told: AtomicBool,
}

/// A job on its way through a pool.
pub(crate) struct Entry {
    // The order matters: whoever awaits the job hears of its end before the permit lets the next one in.
    pub(crate) job: QueuedJob,
    pub(crate) permit: Option<Permit>,
    pub(crate) own_thread: bool,
}

impl Entry {
    pub(crate) fn with(mut self, permit: Permit) -> Self {
        self.permit = Some(permit);
        self
    }

    pub(crate) fn lane(&self) -> Lane {
        if self.job.is_reserved() { Lane::Own } else { Lane::Users }
    }
}

/// Which way a job takes through its pool: past a [`Limiter`], to a thread of its own.
#[derive(Clone, Debug, Default)]
#[must_use = "give it to submit_in()"]
pub struct Route {
    limiter: Option<Limiter>,
    own_thread: bool,
}

impl Route {
    /// The usual way: into the pool's queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts against this limit, and waits for it before it takes up a thread.
    pub fn limiter(mut self, limiter: &Limiter) -> Self {
        self.limiter = Some(limiter.clone());
        self
    }

    /// On a thread made for this job alone, which ends with it and does not count against the pool's limit. For calls
    /// that last: a listener, a watcher. For short ones it is slow (a thread takes 10 to 100 µs to make).
    pub fn own_thread(mut self) -> Self {
        self.own_thread = true;
        self
    }
}

impl Route {
    /// The job if it may go on now; `None` if its limiter keeps it.
    fn enter(&self, shared: &Arc<Shared>, entry: Entry) -> Result<Option<Entry>, Entry> {
        match &self.limiter {
            None => Ok(Some(entry)),
            Some(limiter) => limiter.enter(shared, entry),
        }
    }
}

/// A pool's numbers at one moment.
///
/// Each number is read by itself while the threads go on: they need not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Threads that take jobs, idle and starting ones included.
    pub threads: usize,
    /// Threads without a job.
    pub idle: usize,
    /// Jobs that wait for a thread (or were cancelled, and not yet found by one).
    pub queued: usize,
    /// Jobs that wait for a bounded queue to get shorter: see [`Overflow::Wait`].
    pub at_the_door: usize,
    /// The most that ever waited for a thread.
    pub high_water: usize,
    /// Jobs that wait for a [`Limiter`].
    pub held: usize,
    /// Jobs that run on the pool's threads, those that wait for other jobs not counted.
    pub running: usize,
    /// Jobs that wait for other jobs, on handles of ours; other threads may work in their places.
    pub waiting: usize,
    /// Jobs that were cancelled and still run. Their threads, rooms and permits are taken until they really end.
    pub abandoned: usize,
    /// Jobs that have run, panicked ones included.
    pub done: u64,
    /// Jobs that were refused: the queue was full, or the pool had shut down.
    pub refused: u64,
    /// Jobs that were given a thread of their own so far.
    pub on_own_thread: u64,
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

    pub(crate) fn new(rules: Rules, overflow: Overflow, recipe: Recipe, on_drop: Shutdown) -> Self {
        let shared = Arc::new(Shared {
            roster: Roster::new(rules),
            census: Census::default(),
            recipe,
            overflow,
            rules,
            limiters: Mutex::new(Vec::new()),
            cancelling: AtomicBool::new(false),
            done: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            on_own_thread: AtomicU64::new(0),
            spawn_failures: AtomicU64::new(0),
            warned: AtomicBool::new(false),
            told: AtomicBool::new(false),
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

    /// Runs a job that takes a way of its own through the pool: past a [`Limiter`], or to a thread of its own.
    pub fn submit_in<J: Job>(&self, job: J, options: Options, route: &Route) -> JobHandle<J::Output> {
        self.handle.submit_in(job, options, route)
    }

    /// A handle to submit with, from other threads and after this variable is gone.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The pool's numbers now.
    pub fn statistics(&self) -> Statistics {
        self.handle.statistics()
    }

    /// True once it takes no more jobs.
    #[doc(hidden)]
    pub fn is_closed(&self) -> bool {
        self.handle.shared.roster.is_closed()
    }

    /// Takes no more jobs and waits until all have ended, queued ones too.
    ///
    /// Blocks the calling thread; after a second it says on stderr what it waits for. From a job of this very pool it
    /// does not wait, as it would wait for itself.
    pub fn shutdown(&self) {
        let _ = self.shutdown_with(Shutdown::wait());
    }

    /// Cancels queued jobs, asks running ones to stop ([`is_cancelled`](unstuck_core::job::is_cancelled)), waits at most
    /// `limit` for them, and tells which are still running.
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
        let cancelled = if how.cancel_pending { self.cancel(pending) } else { 0 };

        if !worker::works_for(shared) {
            while_waiting_for_others(how.limit, || ending::wait(shared, how.limit));
        }
        let (started, ended) = shared.census.started_and_ended();
        let threads = usize::try_from(started - ended).unwrap_or(usize::MAX);
        // A thread may be counted on, and not have been made yet.
        let threads = threads.max(shared.roster.counts().threads);
        ShutdownReport::new(shared.census.running(), cancelled, threads)
    }
}

impl ThreadPool {
    /// Cancels these jobs and those that limiters keep for the pool, and asks running ones to stop. How many had not
    /// begun.
    fn cancel(&self, pending: VecDeque<Entry>) -> usize {
        let shared = &self.handle.shared;
        let held: Vec<_> = shared.limiters().iter().flat_map(|limiter| limiter.take_out(shared)).collect();
        let all = pending.iter().chain(held.iter().map(|held| &held.entry));
        let cancelled = all.filter(|entry| !entry.job.is_cancelled()).count();
        let kept = held.len();
        // With both taken out before: no permit that comes back now finds one of these in line.
        drop((pending, held));
        (0..kept).for_each(|_| shared.census.let_go());
        // Relaxed: see `worker::run`.
        shared.cancelling.store(true, Ordering::Relaxed);
        shared.census.running().iter().for_each(RunningJob::cancel);
        cancelled
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        let report = self.shutdown_with(self.on_drop);
        if self.on_drop.cancel_pending && !report.running.is_empty() {
            say(format_args!("'{}' was dropped: {report}", self.handle.shared.recipe.name));
        }
    }
}

impl Shared {
    /// `limiter` may keep jobs for this pool from now on.
    pub(crate) fn remember(&self, limiter: &Limiter) {
        let mut limiters = self.limiters.lock();
        if !limiters.iter().any(|known| known.is(limiter)) {
            limiters.retain(|known| !known.is_gone());
            limiters.push(limiter.downgrade());
        }
    }

    fn limiters(&self) -> Vec<Limiter> {
        self.limiters.lock().iter().filter_map(WeakLimiter::upgrade).collect()
    }

    /// How many threads there may be, for messages.
    pub(crate) fn limits(&self) -> String {
        let Rules { max_threads, max_lent, .. } = self.rules;
        format!("max_threads {max_threads}, max_lent_threads {max_lent}")
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
    pub fn submit_queued(&self, job: QueuedJob) {
        self.send(job, &Route::new());
    }

    /// Runs a job that takes a way of its own through the pool: past a [`Limiter`], or to a thread of its own.
    pub fn submit_in<J: Job>(&self, work: J, options: Options, route: &Route) -> JobHandle<J::Output> {
        let (queued, handle) = job(work, options);
        self.send(queued, route);
        handle
    }

    fn send(&self, job: QueuedJob, route: &Route) {
        let shared = &self.shared;
        if !route.own_thread {
            job.belongs_to(worker::key(shared));
        }
        let entry = Entry { job, permit: None, own_thread: route.own_thread };
        match route.enter(shared, entry) {
            Ok(Some(entry)) => worker::submit(shared, entry),
            Ok(None) => {}
            Err(entry) => worker::refuse(shared, Refused::Closed(entry)),
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
            at_the_door: counts.at_the_door,
            high_water: counts.longest,
            held: shared.census.held(),
            running: counts.running,
            waiting: counts.absent,
            abandoned: shared.census.running().iter().filter(|job| job.is_abandoned()).count(),
            // Relaxed: statistics.
            refused: shared.refused.load(Ordering::Relaxed),
            on_own_thread: shared.on_own_thread.load(Ordering::Relaxed),
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
