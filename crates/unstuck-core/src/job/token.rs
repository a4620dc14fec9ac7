//! How a closure that runs learns that nobody wants it any more.
//!
//! A thread cannot be stopped from outside, and cutting a closure off in the middle would leave its data in pieces. So
//! cancelling a job that runs only raises a flag in its cell, and the closure looks at it where it can stop: in each
//! round of a loop, between two files. Who never looks runs to its end, and is counted as *abandoned* until then.
//!
//! The job that runs on a thread is kept in a thread-local while it runs, so that code deep below a closure can ask
//! without being handed anything. Jobs nest (a job may run another one in its place), so it is restored afterwards.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;

use super::cell::Queued;
use crate::Origin;

std::thread_local! {
    /// The job that runs on this thread. Of std even in models: only jobs touch it, and no protocol depends on it.
    static RUNNING: RefCell<Option<Arc<dyn Queued>>> = const { RefCell::new(None) };
}

/// Makes `job` the one that runs on this thread, until the guard is dropped.
pub(super) fn enter(job: Arc<dyn Queued>) -> Entered {
    Entered { previous: RUNNING.with(|running| running.replace(Some(job))) }
}

pub(super) struct Entered {
    previous: Option<Arc<dyn Queued>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let previous = self.previous.take();
        // Dropped outside of the borrow.
        let _gone = RUNNING.try_with(|running| running.replace(previous));
    }
}

/// Asks whether a job was cancelled while it ran; from the job's own thread or, by a clone, from any other.
///
/// ```
/// use unstuck_core::job::{CancelToken, Options, job};
///
/// let (queued, handle) = job(|| CancelToken::current().is_some(), Options::new());
/// queued.run();
/// assert!(handle.wait().unwrap());
/// assert!(CancelToken::current().is_none(), "no job runs here");
/// ```
#[derive(Clone)]
pub struct CancelToken {
    job: Arc<dyn Queued>,
}

impl CancelToken {
    pub(super) fn new(job: Arc<dyn Queued>) -> Self {
        Self { job }
    }

    /// The job, as its pool has it.
    pub(super) fn into_job(self) -> Arc<dyn Queued> {
        self.job
    }

    /// The token of the job that runs on this thread, if one does. Take it before you hand work to other threads.
    #[must_use]
    pub fn current() -> Option<Self> {
        let job = RUNNING.try_with(|running| running.borrow().clone()).ok().flatten()?;
        Some(Self { job })
    }

    /// True once somebody cancelled the job, or shut its pool down without patience for it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.job.is_cancel_requested()
    }

    /// An error once the job is cancelled: for `?`.
    ///
    /// # Errors
    /// [`Cancelled`], which names the job.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled { origin: self.origin() }) } else { Ok(()) }
    }

    /// Asks the job to stop, as [`JobHandle::cancel`](super::JobHandle::cancel) does to one that runs.
    pub fn cancel(&self) {
        self.job.request_cancel();
    }

    /// The name the job was given, if any.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.job.options().name.as_deref()
    }

    /// The place in the source that submitted the job.
    #[must_use]
    pub fn place(&self) -> &'static Location<'static> {
        self.job.options().place
    }

    /// True if it will never run on another pool than that with this key, and is not over yet.
    #[doc(hidden)]
    #[must_use]
    pub fn is_for(&self, pool: usize) -> bool {
        self.job.pool() == pool && !self.job.is_over()
    }

    /// The job has a result, or had one.
    #[doc(hidden)]
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.job.is_over()
    }

    pub(super) fn key(&self) -> usize {
        Arc::as_ptr(&self.job).addr()
    }

    pub(super) fn origin(&self) -> Origin {
        self.job.options().origin()
    }
}

/// True if the job that runs on this thread was cancelled; false outside of jobs.
///
/// Costs a few nanoseconds: call it in each round of a loop.
#[must_use]
pub fn is_cancelled() -> bool {
    RUNNING
        .try_with(|running| running.borrow().as_ref().is_some_and(|job| job.is_cancel_requested()))
        .unwrap_or(false)
}

/// An error if the job that runs on this thread was cancelled: for `?`. Outside of jobs it is always `Ok`.
///
/// # Errors
/// [`Cancelled`], which names the job.
pub fn check() -> Result<(), Cancelled> {
    if is_cancelled() {
        if let Some(token) = CancelToken::current() {
            return token.check();
        }
    }
    Ok(())
}

/// What [`check`] gives in a job that was cancelled: the closure is to clean up and return.
///
/// Becomes an [`io::Error`] or a boxed error through `?`.
#[derive(Clone, Debug)]
pub struct Cancelled {
    origin: Origin,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was cancelled while it ran", self.origin)
    }
}

impl Error for Cancelled {}

impl From<Cancelled> for io::Error {
    /// Of kind `Other`: `Interrupted` would be tried again.
    fn from(cancelled: Cancelled) -> Self {
        io::Error::other(cancelled)
    }
}

/// What the job is called and where it came from: `job 'reader' (from src/main.rs:7)`.
impl fmt::Display for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin().fmt(f)
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("job", &self.origin())
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}
