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
//! * A job that is cancelled while it runs sees it ([`is_cancelled`], [`check`], token.rs), and goes on for as long as it
//!   likes: its handle waits for its value.
//! * A job that waits for another one on our handles tells its pool (host.rs), so that the pool does not wait for itself.
//!   On a plain rayon pool it runs the other one (rayon.rs).

mod care;
mod cell;
#[doc(hidden)]
pub mod errand;
mod host;
#[cfg(feature = "rayon")]
mod rayon;
mod report;
mod sweep;
mod token;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

#[doc(hidden)]
pub use care::{Wrapper, contain, report, say, wrapped};
#[doc(hidden)]
pub use host::{Awaits, Host, serve, while_waiting, while_waiting_for_others};
pub(crate) use host::{Lent, lend, noting};
pub use report::{RunningJob, Shutdown, ShutdownReport};
#[doc(hidden)]
pub use sweep::{Doubled, sweep};
pub use token::{CancelToken, Cancelled, check, is_cancelled};

use cell::{Awaited, JobCell, Queued};

use crate::inspect::{self, Await, On};
use crate::{JoinError, Origin, block_on, guard};

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
    bound: bool,
    reserved: bool,
    keep: Option<Arc<dyn Any + Send + Sync>>,
    /// Asks whether a thread that waits for the job may run it there and then.
    waiter_runs_it: Option<fn() -> bool>,
}

impl Options {
    /// No name; the place is the caller's.
    #[track_caller]
    pub fn new() -> Self {
        Self {
            name: None,
            place: Location::caller(),
            bound: false,
            reserved: false,
            keep: None,
            waiter_runs_it: None,
        }
    }

    /// Gives the job a name for errors and reports.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Gives the job this name unless it has one.
    #[doc(hidden)]
    #[must_use]
    pub fn or_name(mut self, name: &str) -> Self {
        self.name.get_or_insert_with(|| name.into());
        self
    }

    /// Dropping the handle cancels the job: it never runs if it is still queued, and sees it
    /// ([`is_cancelled`]) if it runs. Without this a dropped handle lets the job go on by itself.
    #[must_use]
    pub fn cancel_on_drop(mut self) -> Self {
        self.bound = true;
        self
    }

    /// A job of the runtime's own (names, files): pools keep room for it that users' jobs cannot take.
    #[doc(hidden)]
    #[must_use]
    pub fn reserved(mut self) -> Self {
        self.reserved = true;
        self
    }

    /// A thread that waits for the job before it has begun runs it, if `here` says that it may.
    #[cfg_attr(not(feature = "rayon"), expect(dead_code, reason = "for jobs of plain rayon pools"))]
    fn waiter_may_run_it(mut self, here: fn() -> bool) -> Self {
        self.waiter_runs_it = Some(here);
        self
    }

    fn origin(&self) -> Origin {
        Origin::new("job", self.place).with_name(self.name.clone())
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
    (QueuedJob { cell: cell.clone(), decided: false }, JobHandle { cell, taken: false })
}

/// The pool's side of a job: run it, reject it, or drop it (which cancels it).
#[must_use = "dropping a queued job cancels it"]
pub struct QueuedJob {
    cell: Arc<dyn Queued>,
    /// It has been run or rejected: spares the drop a visit.
    decided: bool,
}

impl QueuedJob {
    /// Runs the job on this thread and wakes whoever awaits it. Never unwinds: a panic becomes the job's error.
    ///
    /// False if it was cancelled before, and nothing ran.
    pub fn run(mut self) -> bool {
        self.decided = true;
        let _entered = token::enter(self.cell.clone());
        self.cell.run()
    }

    /// Resolves the handle with "rejected: `why`" and drops the closure without running it. `why` says what to do
    /// instead.
    pub fn reject(mut self, why: impl Into<Cow<'static, str>>) {
        self.decided = true;
        self.cell.give_up(Some(why.into()));
    }

    /// True if the caller cancelled it: there is nothing left to run.
    pub fn is_cancelled(&self) -> bool {
        !self.cell.is_queued()
    }

    /// The job waits in the place of whoever awaits it: if that one gives up, it never runs. For pools that make
    /// submitters wait.
    #[doc(hidden)]
    pub fn belongs_to_its_waiter(&self) {
        self.cell.belongs_to_its_waiter();
    }

    /// True if it is the runtime's own: see [`Options::reserved`].
    #[doc(hidden)]
    pub fn is_reserved(&self) -> bool {
        self.cell.options().reserved
    }

    /// It will run on a thread of the pool with this key, which is not 0, and on no other.
    #[doc(hidden)]
    pub fn belongs_to(&self, pool: usize) {
        self.cell.belongs_to(pool);
    }

    /// What asks whether it was cancelled, and cancels it, while it runs.
    pub fn token(&self) -> CancelToken {
        CancelToken::new(self.cell.clone())
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
        if !self.decided {
            self.cell.give_up(None);
        }
    }
}

/// A future of a job's result.
///
/// # Cancellation
/// Dropping the handle does not stop the job: it runs, and its value is dropped
/// ([`Options::cancel_on_drop`] changes that). [`cancel`](Self::cancel) takes back a job that has not started, and asks
/// one that runs to stop. Nothing can stop one that does not look, unless it runs in a process of its own.
///
/// # Errors
/// The result is an error if the job panicked, was cancelled while queued, or was refused by its pool.
///
/// # Panics
/// Polling it again after it gave its result panics.
pub struct JobHandle<T> {
    cell: Arc<dyn Awaited<T>>,
    /// It has given its result: spares the drop a visit.
    taken: bool,
}

impl<T> JobHandle<T> {
    /// Takes the job back if it has not started: its closure is dropped now and never runs, and awaiting the handle
    /// gives a cancelled error.
    ///
    /// False if it runs already or is over. One that runs is asked to stop ([`is_cancelled`], [`check`]); whether it does
    /// is up to its closure. The handle gives what it returns, so awaiting it now waits until the thread is free.
    ///
    /// A job in another process needs not look: the process is killed. True then, and the handle says "cancelled" as soon
    /// as it is dead; or gives the value, if that was on its way already.
    pub fn cancel(&self) -> bool {
        self.cell.cancel()
    }

    /// True if awaiting the handle would not wait.
    pub fn is_done(&self) -> bool {
        self.cell.is_done()
    }

    fn key(&self) -> usize {
        Arc::as_ptr(&self.cell).addr()
    }

    /// Blocks this thread until the job is over. For plain threads: in a task, await the handle instead.
    ///
    /// In a job of a plain `rayon::ThreadPool` this runs a job of such a pool that has not begun: nobody else might.
    ///
    /// # Errors
    /// As awaiting it: the job panicked, was cancelled while queued, or was refused by its pool. In a job, also if it
    /// would never end: every thread of their pool would wait for jobs of that same pool, and it may have no more threads.
    /// The error then names both jobs, and this one is taken back if it has not started.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall.
    #[track_caller]
    pub fn wait(mut self) -> Result<T, JoinError> {
        if self.cell.options().waiter_runs_it.is_some_and(|may| may()) {
            block_on::refuse_inside("wait");
            // Whoever comes first runs it, this thread or one of its pool.
            QueuedJob { cell: self.cell.clone().token().into_job(), decided: false }.run();
        }
        match block_on::try_wait("wait", &mut self) {
            Ok(result) => result,
            Err(why) => {
                self.cell.cancel();
                Err(JoinError::rejected(self.cell.options().origin(), why))
            }
        }
    }
}

impl<T> Future for JobHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(guard::proceed(cx)); // a result stays
        let polled = self.cell.poll(cx);
        self.taken = polled.is_ready();
        if polled.is_pending() {
            host::note(|| self.cell.clone().token());
            inspect::pending(cx, self.key(), || Await::new("job", On::Place(self.cell.options().place)));
        }
        polled
    }
}

impl<T> Drop for JobHandle<T> {
    fn drop(&mut self) {
        inspect::gone(self.key());
        if self.taken {
            return;
        }
        if self.cell.options().bound {
            self.cell.cancel();
        }
        self.cell.detach();
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, place, .. } = self;
        let place = format!("{}:{}", place.file(), place.line());
        f.debug_struct("Options").field("name", name).field("place", &place).finish_non_exhaustive()
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
