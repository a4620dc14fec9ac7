//! What a job is: a call that some pool runs, and a future of what it gave.
//!
//! Every pool, whatever its threads are for, takes the same thing and gives the same thing back. A closure becomes one
//! allocation that two sides hold: the pool holds a [`QueuedJob`], the caller a [`JobHandle`].
//!
//! ```text
//!           job()            QueuedJob::run                    the closure returned or panicked
//!  closure ───────▶ Queued ────────────────▶ Running ───────────────────────────────▶ Done ──▶ Taken
//!                     │                                                                ▲   poll, wait
//!                     └── JobHandle::cancel, QueuedJob::reject, QueuedJob dropped ─────┘
//! ```
//!
//! Promises, each held by a test below:
//! * A handle always resolves: with the value, or with an error that says why there is none. A pool cannot forget it,
//!   because dropping a [`QueuedJob`] resolves it too.
//! * A job that is cancelled while queued never runs, and its closure is dropped at once, by whoever cancelled it.
//! * User code (the closure, its destructor, its value's destructor, a waker) never runs under the job's lock, and its
//!   panics never reach the pool's thread.
//!
//! Not here on purpose: a bound handle that cancels when dropped (drop detaches, as for tasks), and a stage in which a
//! running job is asked to stop. Both would sit beside the stages in cell.rs, and no pool would notice.

mod care;
mod cell;
#[cfg(feature = "rayon")]
mod rayon;
mod report;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

#[doc(hidden)]
pub use care::{Wrapper, contain, report, say, wrapped};
pub use report::{RunningJob, Shutdown, ShutdownReport};

use cell::{Awaited, JobCell, Queued};

use crate::{JoinError, block_on};

/// Work that a pool can run: every `FnOnce() -> T + Send + 'static` is one.
///
/// A type of your own may implement it too, for instance to carry its arguments as fields.
pub trait Job: Send + 'static {
    /// What it gives.
    type Output: Send + 'static;

    /// Does the work.
    fn run(self) -> Self::Output;
}

impl<F, T> Job for F
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn run(self) -> T {
        self()
    }
}

/// Runs jobs somewhere else: a pool of threads, a rayon pool, your own.
///
/// Make a job with [`job()`], keep the [`QueuedJob`] and return the [`JobHandle`]:
///
/// ```
/// use unstuck_core::job::{Executor, Job, JobHandle, Options, job};
///
/// /// A thread for every job.
/// struct Extravagant;
///
/// impl<J: Job> Executor<J> for Extravagant {
///     fn submit(&self, work: J, options: Options) -> JobHandle<J::Output> {
///         let (queued, handle) = job(work, options);
///         // If no thread can be made, the closure is dropped, the queued job with it, and the handle says "cancelled".
///         let _ = std::thread::Builder::new().spawn(move || queued.run());
///         handle
///     }
/// }
///
/// assert_eq!(Extravagant.submit(|| 6 * 7, Options::new()).wait().unwrap(), 42);
/// ```
pub trait Executor<J: Job> {
    /// Takes `job` and returns the future of its result. Never blocks for the job itself, and never panics: what
    /// cannot be run resolves with an error.
    fn submit(&self, job: J, options: Options) -> JobHandle<J::Output>;
}

impl<J: Job, E: Executor<J> + ?Sized> Executor<J> for &E {
    fn submit(&self, job: J, options: Options) -> JobHandle<J::Output> {
        (**self).submit(job, options)
    }
}

impl<J: Job, E: Executor<J> + ?Sized> Executor<J> for Arc<E> {
    fn submit(&self, job: J, options: Options) -> JobHandle<J::Output> {
        (**self).submit(job, options)
    }
}

/// What a job is called and where it came from; shown in errors and reports.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    name: Option<Arc<str>>,
    place: &'static Location<'static>,
    keep: Option<Arc<dyn Any + Send + Sync>>,
}

impl Options {
    /// No name; the place is the caller's.
    #[track_caller]
    pub fn new() -> Self {
        Self { name: None, place: Location::caller(), keep: None }
    }

    /// Gives the job a name for errors and reports.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Keeps `guard` until whoever awaits the job has been woken, however it ends.
    #[doc(hidden)]
    #[must_use]
    pub fn keep(mut self, guard: Arc<dyn Any + Send + Sync>) -> Self {
        self.keep = Some(guard);
        self
    }

    /// Says that the job came from `place`, for functions that submit on behalf of a caller.
    #[must_use]
    pub fn place(mut self, place: &'static Location<'static>) -> Self {
        self.place = place;
        self
    }
}

impl Default for Options {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

/// Makes a job of `work`: the pool's side of it and the caller's.
pub fn job<J: Job>(work: J, options: Options) -> (QueuedJob, JobHandle<J::Output>) {
    let cell = JobCell::new(work, options);
    (QueuedJob { cell: cell.clone() }, JobHandle { cell })
}

/// The pool's side of a job: run it, reject it, or drop it (which cancels it).
#[must_use = "dropping a queued job cancels it"]
pub struct QueuedJob {
    cell: Arc<dyn Queued>,
}

impl QueuedJob {
    /// Runs the job on this thread and wakes whoever awaits it. Never unwinds: a panic becomes the job's error.
    ///
    /// False if it was cancelled before, and nothing ran.
    pub fn run(self) -> bool {
        self.cell.run()
    }

    /// Resolves the handle with "rejected: `why`" and drops the closure without running it. `why` says what to do
    /// instead.
    pub fn reject(self, why: &'static str) {
        self.cell.give_up(Some(why));
    }

    /// True if the caller cancelled it: there is nothing left to run.
    pub fn is_cancelled(&self) -> bool {
        !self.cell.is_queued()
    }

    /// The name it was given, if any.
    pub fn name(&self) -> Option<Arc<str>> {
        self.cell.options().name.clone()
    }

    /// The place in the source that submitted it.
    pub fn place(&self) -> &'static Location<'static> {
        self.cell.options().place
    }
}

impl Drop for QueuedJob {
    /// Cancels the job unless its fate is decided already.
    fn drop(&mut self) {
        self.cell.give_up(None);
    }
}

/// A future of a job's result.
///
/// # Cancellation
/// Dropping the handle does not stop the job: it runs, and its value is dropped. Use [`cancel`](Self::cancel) to take
/// back a job that has not started. A job that runs cannot be stopped from outside.
///
/// # Errors
/// The result is an error if the job panicked, was cancelled while queued, or was refused by its pool.
///
/// # Panics
/// Polling it again after it gave its result panics.
pub struct JobHandle<T> {
    cell: Arc<dyn Awaited<T>>,
}

impl<T> JobHandle<T> {
    /// Takes the job back if it has not started: its closure is dropped now and never runs, and awaiting the handle
    /// gives a cancelled error.
    ///
    /// False if it runs already or is over; it then goes on, and the handle gives its result.
    pub fn cancel(&self) -> bool {
        self.cell.cancel()
    }

    /// True if awaiting the handle would not wait.
    pub fn is_done(&self) -> bool {
        self.cell.is_done()
    }

    /// Blocks this thread until the job is over. For plain threads: in a task, await the handle instead.
    ///
    /// # Errors
    /// As awaiting it: the job panicked, was cancelled while queued, or was refused by its pool.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall.
    #[track_caller]
    pub fn wait(self) -> Result<T, JoinError> {
        block_on::wait("wait", self)
    }
}

impl<T> Future for JobHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.cell.poll(cx)
    }
}

impl<T> Drop for JobHandle<T> {
    fn drop(&mut self) {
        self.cell.detach();
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format_args!("{}:{}", self.place.file(), self.place.line());
        f.debug_struct("Options").field("name", &self.name).field("place", &place).finish_non_exhaustive()
    }
}

impl fmt::Debug for QueuedJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedJob").field("options", self.cell.options()).finish()
    }
}

impl<T> fmt::Debug for JobHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.cell.options();
        f.debug_struct("JobHandle")
            .field("name", &options.name)
            .field("place", &format_args!("{}:{}", options.place.file(), options.place.line()))
            .field("done", &self.is_done())
            .finish()
    }
}

#[cfg(test)]
#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
mod tests;
