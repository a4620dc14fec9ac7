//! The pool as its users see it.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use unstuck_core::job::{Options, RunningJob, Shutdown, ShutdownReport, say, while_waiting_for_others};
use unstuck_core::{Executor, JobHandle};

use crate::builder::{Builder, Recipe};
use crate::keeper;
use crate::map::Map;
use crate::parcel::Parcel;
use crate::portable::PortableJob;
use crate::roster::{Call, Roster};
use crate::seat::{Killed, Seat};
use crate::wire::Spare;

const CLOSED: &str = "its process pool has shut down: submit jobs before the shutdown, or to another pool";

/// Child processes that run named jobs: a crash, a leak or a kill is that one job's, and nobody else's.
///
/// The children are this program, started again. They come when jobs need them, up to a limit, stay warm, and leave when
/// they have been idle for a while.
///
/// ```
/// # fn main() {
/// #     unstuck::process::serve_if_child();
/// #     unstuck::run(async { run().await }).unwrap();
/// # }
/// # async fn run() -> std::io::Result<()> {
/// use unstuck::process::ProcessPool;
///
/// #[unstuck::job]
/// fn parse(text: String) -> usize {
///     text.split_whitespace().count() // or a C library that may crash
/// }
///
/// let pool = ProcessPool::builder().max_children(2).build()?;
/// assert_eq!(pool.spawn(parse::job("one two three".into())).await.unwrap(), 3);
/// # Ok(())
/// # }
/// ```
///
/// # When not to use it
/// To compute faster: Rust's threads compute side by side, and a job there costs a fifth of the way. Use
/// `unstuck::cpu`. A process is for code that may crash, leak, block for ever, or has to be killed.
///
/// # Dropping
/// Waits until every job has ended, queued ones too, but for ten seconds at the most; then queued jobs are cancelled and
/// running ones killed, and one line on stderr says so. [`Builder::on_drop`] chooses otherwise. In a task, prefer a pool
/// that lives longer than the task: waiting blocks the task's thread.
pub struct ProcessPool {
    handle: Handle,
    on_drop: Shutdown,
}

/// A [`ProcessPool`] to submit to, without the right to end it: cheap to clone, with limits of its own.
///
/// ```
/// # fn main() {
/// #     unstuck::process::serve_if_child();
/// #     unstuck::run(async { run().await }).unwrap();
/// # }
/// # async fn run() -> std::io::Result<()> {
/// # use unstuck::process::ProcessPool;
/// use std::time::Duration;
///
/// #[unstuck::job]
/// fn runaway() {
///     loop {
///         std::hint::spin_loop();
///     }
/// }
///
/// let pool = ProcessPool::builder().build()?;
/// let hasty = pool.handle().clone().timeout(Duration::from_millis(50));
/// assert!(hasty.spawn(runaway::job()).await.unwrap_err().is_timeout());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    limit: Option<Duration>,
}

pub(crate) struct Shared {
    pub(crate) roster: Roster<Seat, Parcel>,
    pub(crate) recipe: Recipe,
    pub(crate) spare: Spare,
    /// Keepers, for their names.
    pub(crate) hired: AtomicU64,
    pub(crate) started: AtomicU64,
    pub(crate) done: AtomicU64,
    pub(crate) lost: AtomicU64,
}

/// A pool's numbers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Child processes that exist.
    pub children: usize,
    /// Jobs that wait for a child (or were cancelled, and not yet found by one).
    pub queued: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that were answered, panicked ones included.
    pub done: u64,
    /// Jobs that had no answer: their child died, was killed, or could not be started.
    pub lost: u64,
    /// Children started so far.
    pub started: u64,
}

impl ProcessPool {
    /// A builder with the defaults: as many children as CPUs.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(recipe: Recipe, limit: Option<Duration>, on_drop: Shutdown) -> Self {
        let shared = Arc::new(Shared {
            roster: Roster::new(recipe.rules),
            recipe,
            spare: Spare::default(),
            hired: AtomicU64::new(0),
            started: AtomicU64::new(0),
            done: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        while shared.roster.another() {
            keeper::hire(&shared, None);
        }
        Self { handle: Handle { shared, limit }, on_drop }
    }

    /// Runs a job in a child and returns a future of its result.
    ///
    /// The arguments are written down here, by the calling thread.
    ///
    /// # Cancellation
    /// Dropping the future does not stop the job, unless [`Options::cancel_on_drop`] says so: see
    /// [`submit`](Self::submit). [`JobHandle::cancel`] takes a queued job back, and kills the child of one that runs.
    ///
    /// # Errors
    /// The future gives an error if the job panics, its child dies, it runs for too long, it is cancelled, its arguments
    /// or its result cannot be written down, or no child can be started: see
    /// [`JoinError`](unstuck_core::JoinError).
    #[track_caller]
    pub fn spawn<J: PortableJob>(&self, job: J) -> JobHandle<J::Output> {
        self.handle.submit(job, Options::new())
    }

    /// Runs a job with a name, or on behalf of another place in the source, or bound to its handle.
    pub fn submit<J: PortableJob>(&self, job: J, options: Options) -> JobHandle<J::Output> {
        self.handle.submit(job, options)
    }

    /// Makes a job of every item, runs several at a time, and gives the results in the items' order: see [`Map`].
    #[track_caller]
    pub fn map<I, F, J>(&self, items: I, f: F) -> Map<I::IntoIter, F, J>
    where
        I: IntoIterator,
        F: FnMut(I::Item) -> J,
        J: PortableJob,
    {
        self.handle.map(items, f)
    }

    /// A handle to submit with, from other threads and after this variable is gone.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The pool's numbers now.
    pub fn statistics(&self) -> Statistics {
        self.handle.statistics()
    }

    /// The numbers of the child processes that exist now.
    pub fn children(&self) -> Vec<u32> {
        self.handle.shared.roster.seats().iter().filter_map(|seat| seat.pid()).collect()
    }

    /// Takes no more jobs and waits until all have ended, queued ones too, and every child is gone.
    ///
    /// Blocks the calling thread; after a second it says on stderr what it waits for.
    pub fn shutdown(&self) {
        let _ = self.shutdown_with(Shutdown::wait());
    }

    /// Cancels queued jobs, waits at most `limit` for running ones, then kills their children and tells which they were.
    pub fn shutdown_timeout(&self, limit: Duration) -> ShutdownReport {
        self.shutdown_with(Shutdown::within(limit))
    }

    /// Ends the pool as `how` says. Where threads would be left alone at the limit, processes are killed; only
    /// [`Shutdown::detach`] lets them finish. The report names the killed jobs as `running`.
    #[must_use = "the report names the jobs that were killed"]
    pub fn shutdown_with(&self, how: Shutdown) -> ShutdownReport {
        /// A child that was killed is gone after milliseconds.
        const BURIAL: Duration = Duration::from_secs(5);
        let shared = &self.handle.shared;
        let mut cancelled = shared.close(how.cancel_pending);
        let mut running = Vec::new();
        let detached = how.limit == Some(Duration::ZERO) && !how.cancel_pending;
        // In a job of another pool this is a wait like others.
        if !while_waiting_for_others(how.limit, || shared.wait(how.limit)) {
            running = shared.running();
            if !detached {
                cancelled += shared.close(true);
                for seat in shared.roster.seats() {
                    seat.kill_any(Killed::Shutdown);
                }
                shared.roster.wait_until_empty(Some(BURIAL));
            }
        }
        ShutdownReport::new(running, cancelled, shared.roster.counts().0)
    }
}

impl Shared {
    /// Takes no more jobs. How many queued ones it cancelled.
    fn close(&self, cancel_pending: bool) -> usize {
        let (idle, queued) = self.roster.close(cancel_pending);
        for seat in idle {
            seat.ring();
        }
        queued.iter().filter(|parcel| !parcel.sender.is_cancelled()).count()
    }

    fn running(&self) -> Vec<RunningJob> {
        self.roster.seats().iter().filter_map(|seat| seat.running()).collect()
    }

    /// Waits for the keepers to leave, and does not do so in silence. False if the limit was reached.
    fn wait(&self, limit: Option<Duration>) -> bool {
        const SILENCE: Duration = Duration::from_secs(1);
        if let Some(limit) = limit.filter(|limit| *limit <= SILENCE) {
            return self.roster.wait_until_empty(Some(limit));
        }
        if self.roster.wait_until_empty(Some(SILENCE)) {
            return true;
        }
        let (running, queued) = (self.running(), self.roster.counts().2);
        say(format_args!("the shutdown of '{}' waits for {} jobs", self.recipe.name, running.len() + queued));
        for job in running.iter().take(10) {
            say(format_args!("  {job}"));
        }
        self.roster.wait_until_empty(limit.map(|limit| limit - SILENCE))
    }
}

impl Drop for ProcessPool {
    fn drop(&mut self) {
        let report = self.shutdown_with(self.on_drop);
        if self.on_drop != Shutdown::detach() && !report.running.is_empty() {
            say(format_args!(
                "'{}' was dropped, its jobs were killed: {report}",
                self.handle.shared.recipe.name
            ));
        }
    }
}

impl Handle {
    /// From now on, jobs submitted with this handle are killed when they have run for longer than `limit`. Time in the
    /// queue does not count.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// From now on, jobs submitted with this handle may run for as long as they like.
    #[must_use]
    pub fn no_timeout(mut self) -> Self {
        self.limit = None;
        self
    }

    /// Runs a job in a child: see [`ProcessPool::spawn`].
    #[track_caller]
    pub fn spawn<J: PortableJob>(&self, job: J) -> JobHandle<J::Output> {
        self.submit(job, Options::new())
    }

    /// Runs a job with a name, or on behalf of another place in the source, or bound to its handle.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a job is done once, and the thread pools take it by value"
    )]
    pub fn submit<J: PortableJob>(&self, job: J, options: Options) -> JobHandle<J::Output> {
        let short = J::NAME.rsplit("::").next().unwrap_or(J::NAME);
        let (parcel, handle) =
            Parcel::pack(&job, options.or_name(short), self.limit, self.shared.spare.take());
        if let Some(parcel) = parcel {
            match self.shared.roster.submit(parcel, |parcel| parcel.sender.is_cancelled()) {
                Call::Queued(swept) => drop(swept),
                Call::Idle(seat, parcel) => seat.give(parcel),
                Call::New(parcel) => keeper::hire(&self.shared, Some(parcel)),
                Call::Closed(parcel) => parcel.sender.rejected(CLOSED),
            }
        }
        handle
    }

    /// Makes a job of every item, runs several at a time, and gives the results in the items' order: see [`Map`].
    #[track_caller]
    pub fn map<I, F, J>(&self, items: I, f: F) -> Map<I::IntoIter, F, J>
    where
        I: IntoIterator,
        F: FnMut(I::Item) -> J,
        J: PortableJob,
    {
        Map::new(self.clone(), items.into_iter(), f, Location::caller())
    }

    /// The most children that the pool has at a time.
    pub fn max_children(&self) -> usize {
        self.shared.recipe.rules.max
    }

    /// The pool's numbers now.
    pub fn statistics(&self) -> Statistics {
        let shared = &self.shared;
        let seats = shared.roster.seats();
        Statistics {
            children: seats.iter().filter(|seat| seat.pid().is_some()).count(),
            queued: shared.roster.counts().2,
            running: seats.iter().filter(|seat| seat.running().is_some()).count(),
            // Relaxed: statistics.
            done: shared.done.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
            started: shared.started.load(Ordering::Relaxed),
        }
    }
}

impl<J: PortableJob> Executor<J> for ProcessPool {
    fn submit(&self, job: J, options: Options) -> JobHandle<J::Output> {
        self.handle.submit(job, options)
    }
}

impl<J: PortableJob> Executor<J> for Handle {
    fn submit(&self, job: J, options: Options) -> JobHandle<J::Output> {
        Handle::submit(self, job, options)
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool")
            .field("name", &self.shared.recipe.name)
            .field("timeout", &self.limit)
            .field("statistics", &self.statistics())
            .finish()
    }
}
