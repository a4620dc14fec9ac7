//! How a pool ends, and what it says about it: one vocabulary for all pools.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use super::{CancelToken, QueuedJob};
use crate::TaskRef;

/// How a pool ends: what becomes of queued jobs, and how long to wait for running ones.
///
/// | | queued jobs | waits |
/// |---|---|---|
/// | [`wait()`](Self::wait) | run | until all have ended |
/// | [`within(limit)`](Self::within) | are cancelled | for running ones, which are asked to stop, at most `limit` |
/// | [`detach()`](Self::detach) | run | not at all |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Whether queued jobs are cancelled instead of run, and running ones asked to stop
    /// ([`is_cancelled`](super::is_cancelled)).
    pub cancel_pending: bool,
    /// The longest wait; `None` waits for as long as it takes.
    pub limit: Option<Duration>,
}

impl Shutdown {
    /// Every job runs, queued ones too, and the shutdown waits for all: what leaving asyncio's
    /// `with ThreadPoolExecutor()` does. After a second it says on stderr what it waits for.
    pub const fn wait() -> Self {
        Self { cancel_pending: false, limit: None }
    }

    /// Queued jobs are cancelled; running ones get until `limit`, then they are reported and left alone.
    pub const fn within(limit: Duration) -> Self {
        Self { cancel_pending: true, limit: Some(limit) }
    }

    /// Does not wait. Every job runs, queued ones too, and the threads end when the work is done.
    pub const fn detach() -> Self {
        Self { cancel_pending: false, limit: Some(Duration::ZERO) }
    }

    /// Whether queued jobs are cancelled (`cancel_futures` in Python), and running ones asked to stop.
    #[must_use]
    pub const fn cancel_pending(mut self, cancel: bool) -> Self {
        self.cancel_pending = cancel;
        self
    }
}

/// A job that runs, as reports name it.
#[derive(Clone, Debug)]
pub struct RunningJob {
    token: CancelToken,
    since: Instant,
}

impl RunningJob {
    /// `job` is about to run.
    #[doc(hidden)]
    pub fn begins(job: &QueuedJob) -> Self {
        Self::with_token(job.token())
    }

    /// The job of this token is about to run, and a clock read just now said `since`.
    #[doc(hidden)]
    pub fn begins_at(token: CancelToken, since: Instant) -> Self {
        Self { token, since }
    }

    /// The job of this token is about to run.
    #[doc(hidden)]
    pub fn with_token(token: CancelToken) -> Self {
        Self { token, since: Instant::now() }
    }

    /// The name it was given, if any.
    pub fn name(&self) -> Option<&str> {
        self.token.name()
    }

    /// The place in the source that submitted it.
    pub fn place(&self) -> &'static Location<'static> {
        self.token.place()
    }

    /// True if it was asked to stop and still runs: it is *abandoned*, and keeps its thread and its room all the same.
    pub fn is_abandoned(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Asks it to stop: see [`JobHandle::cancel`](super::JobHandle::cancel).
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// What it is called and where it came from, as text; asks whether it was cancelled, and cancels it.
    pub fn token(&self) -> &CancelToken {
        &self.token
    }

    /// When it began.
    pub fn since(&self) -> Instant {
        self.since
    }
}

/// What a shutdown found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Jobs that were still running when it stopped waiting, the longest first. They go on, and their handles give
    /// their values.
    pub running: Vec<RunningJob>,
    /// Queued jobs that it cancelled.
    pub cancelled: usize,
    /// Threads of the pool that still exist.
    pub threads: usize,
    /// Tasks that had not ended: only a runtime's shutdown has any.
    pub tasks: Vec<TaskRef>,
    /// Workers or their like have not ended.
    workers: bool,
}

impl ShutdownReport {
    /// For pools.
    #[doc(hidden)]
    pub fn new(mut running: Vec<RunningJob>, cancelled: usize, threads: usize) -> Self {
        running.sort_by_key(RunningJob::since);
        Self { running, cancelled, threads, tasks: Vec::new(), workers: false }
    }

    /// Adds what the scheduler left behind, if it did: for runtimes.
    #[doc(hidden)]
    #[must_use]
    pub fn with_tasks(mut self, ended: bool, tasks: Vec<TaskRef>) -> Self {
        self.workers = !ended;
        self.tasks = if ended { Vec::new() } else { tasks };
        self
    }

    /// True if everything has ended: no job runs, no thread is left, and of a runtime no task and no worker.
    pub fn is_complete(&self) -> bool {
        self.threads == 0 && !self.workers
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.running.len() + self.tasks.len();
        write!(f, "{running} still running, {} cancelled", self.cancelled)?;
        for job in &self.running {
            write!(f, "\n  {job}")?;
        }
        for task in &self.tasks {
            let (id, name, place) = (task.id(), task.name(), task.place());
            write!(f, "\n  task {id} '{name}' (from {}:{})", place.file(), place.line())?;
        }
        Ok(())
    }
}

impl fmt::Display for RunningJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, running for {:.1?}", self.token.origin(), self.since.elapsed())?;
        if self.is_abandoned() { f.write_str(", cancelled") } else { Ok(()) }
    }
}
