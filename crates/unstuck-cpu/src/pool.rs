//! The pool as its users see it.

use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use unstuck_core::job::{Options, Shutdown, ShutdownReport, job};
use unstuck_core::{Executor, Job, JobHandle};

use crate::builder::Builder;
use crate::engine::Engine;
use crate::map::Map;

/// A fixed number of threads for calls that compute; rayon underneath.
///
/// Inside a job, rayon's `par_iter`, `join` and `scope` use the threads of this pool.
///
/// ```
/// use unstuck_cpu::CpuPool;
///
/// let pool = CpuPool::builder().threads(2).build()?;
/// let squares = pool.map(1..=5_u64, |n| n * n);
/// // In a task: squares.try_collect::<Vec<_>>().await
/// # drop(squares);
/// assert_eq!(pool.spawn(|| 6 * 7).wait().unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # When not to use it
/// For calls that wait: while they do, a CPU is idle. Use unstuck-blocking.
///
/// # Dropping
/// Waits until every job has ended, queued ones too; after a second it says on stderr what it waits for.
/// [`Builder::on_drop`] chooses otherwise. A job that drops its own pool does not wait.
pub struct CpuPool {
    handle: Handle,
    on_drop: Shutdown,
}

/// A [`CpuPool`] to submit to, without the right to end it: cheap to clone, keeps no thread alive.
#[derive(Clone)]
pub struct Handle {
    engine: Arc<Engine>,
}

/// A pool's numbers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Threads that exist; none before the first job of a lazy pool.
    pub threads: usize,
    /// Jobs that wait for a thread (or were cancelled, and not yet found by one).
    pub queued: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that were cancelled and still run. They are among the running ones: their threads are taken until they
    /// really end.
    pub abandoned: usize,
    /// Jobs that are over, panicked ones included.
    pub done: u64,
}

impl CpuPool {
    /// A builder with the defaults: a thread for each CPU.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(engine: Arc<Engine>, on_drop: Shutdown) -> Self {
        Self { handle: Handle { engine }, on_drop }
    }

    /// Runs a closure on the pool and returns a future of its result.
    ///
    /// # Cancellation
    /// Dropping the future does not stop the closure. [`JobHandle::cancel`] takes it back if it has not started.
    ///
    /// # Errors
    /// The future gives an error if the closure panics, is cancelled, or is refused by the pool.
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

    /// Applies `f` to every item, several at a time, and gives the results in the items' order: see [`Map`].
    #[track_caller]
    pub fn map<I, F, T>(&self, items: I, f: F) -> Map<I::IntoIter, F, T>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.handle.map(items, f)
    }

    /// Runs `f` on the pool and waits for it here: inside, `par_iter` and `join` use the pool's threads, and `f` may
    /// borrow. Blocks the calling thread: in a task, use [`spawn`](Self::spawn).
    ///
    /// ```
    /// # let pool = unstuck_cpu::CpuPool::builder().threads(2).build().unwrap();
    /// let words = ["to", "think", "is", "to", "wait"];
    /// let letters = pool.install(|| words.iter().map(|word| word.len()).sum::<usize>());
    /// assert_eq!(letters, 15);
    /// ```
    ///
    /// # Panics
    /// With `f`'s panic, or if the pool has shut down, is broken, or is lazy and cannot make its threads.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.handle.engine.install(f)
    }

    /// Makes the threads of a lazy pool now.
    ///
    /// # Errors
    /// If a thread cannot be made; those made before are joined.
    pub fn start(&self) -> io::Result<()> {
        self.handle.engine.start()
    }

    /// How many threads the pool has, or will have.
    pub fn threads(&self) -> usize {
        self.handle.threads()
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
        self.handle.engine.shutdown(how)
    }
}

impl Drop for CpuPool {
    fn drop(&mut self) {
        let report = self.shutdown_with(self.on_drop);
        if self.on_drop.cancel_pending && !report.running.is_empty() {
            unstuck_core::job::say(format_args!(
                "'{}' was dropped: {report}",
                self.handle.engine.recipe.name
            ));
        }
    }
}

impl Handle {
    /// Runs a closure on the pool: see [`CpuPool::spawn`].
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
        self.engine.submit(queued);
        handle
    }

    /// Applies `f` to every item, several at a time, and gives the results in the items' order: see [`Map`].
    #[track_caller]
    pub fn map<I, F, T>(&self, items: I, f: F) -> Map<I::IntoIter, F, T>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.map_from(Location::caller(), items, f)
    }

    /// [`map`](Self::map) on behalf of a caller at `place`.
    #[doc(hidden)]
    pub fn map_from<I, F, T>(
        &self,
        place: &'static Location<'static>,
        items: I,
        f: F,
    ) -> Map<I::IntoIter, F, T>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Map::new(self.clone(), items.into_iter(), f, place)
    }

    /// How many threads the pool has, or will have.
    pub fn threads(&self) -> usize {
        self.engine.recipe.threads
    }

    /// The pool's numbers now.
    pub fn statistics(&self) -> Statistics {
        self.engine.statistics()
    }
}

impl<J: Job> Executor<J> for CpuPool {
    fn submit(&self, job: J, options: Options) -> JobHandle<J::Output> {
        self.handle.submit(job, options)
    }
}

impl<J: Job> Executor<J> for Handle {
    fn submit(&self, job: J, options: Options) -> JobHandle<J::Output> {
        Handle::submit(self, job, options)
    }
}

impl fmt::Debug for CpuPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuPool")
            .field("name", &self.engine.recipe.name)
            .field("threads", &self.threads())
            .field("statistics", &self.statistics())
            .finish()
    }
}
