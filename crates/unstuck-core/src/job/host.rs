//! A job that waits tells its pool, so that the pool can let another thread work meanwhile.
//!
//! # The problem
//! A pool of one thread runs job A, and A waits for job B of the same pool: B is queued behind A, and both wait for
//! ever. Nothing is wrong with either of them, and nobody says a word. In tokio, rayon's `spawn` and Python's
//! `ThreadPoolExecutor` this is a hang.
//!
//! # The seam
//! Whatever of ours blocks a thread (`JobHandle::wait`, `Task::wait`, `block_on`) comes through [`lend`] right before it
//! sleeps, and only then: a wait that finds its value at once costs nothing. On a thread of a pool, `lend` tells the
//! pool's [`Host`], which counts the thread as absent, so that another one may take its place.
//!
//! # When is a wait refused?
//! When it would certainly never end, and not before. That all threads of a pool wait and jobs are queued is no reason: a
//! hundred closures that sleep in `block_on` do that, and each of them goes on by itself. So the pool hears *what* is waited
//! for ([`Awaits`]). It refuses a wait when all its threads would wait for jobs of this very pool, none of which is over:
//! nobody is left to run any of them.
//!
//! How does a thread know that it waits for a job and nothing else? A handle that is polled and not ready leaves a note
//! ([`note`]), and a clone of the thread's waker in its job. If no clones exist but ours and one in each job that was noted,
//! nothing else can wake this thread. A timer beside the handle, or a combinator with wakers of its own, is one clone too
//! many: then it waits for *something*. (A stale clone makes us less sure, never more.)
//!
//! A circle that goes through something else (a task, another pool) is not certain in this sense. So a pool whose threads
//! all wait is looked at again after a while ([`Host::still_waits`]), and says that it stands still, and for whom.
//!
//! What a closure waits for in other ways (a lock, a channel of std) nobody can see.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::CancelToken;

/// A pool as a thread of its own sees it when the job on that thread has to wait.
#[doc(hidden)]
pub trait Host: Send + Sync {
    /// This thread is about to sleep until something else has happened. Says when to ask again, if it wants to be asked.
    ///
    /// # Errors
    /// A sentence that says why it must not, and names the jobs in question.
    fn waits(&self, awaits: Awaits) -> Result<Option<Duration>, String>;

    /// It has slept for as long as was said, and nothing has happened.
    ///
    /// # Errors
    /// As [`waits`](Self::waits). The thread goes on then.
    fn still_waits(&self) -> Result<Option<Duration>, String> {
        Ok(None)
    }

    /// The sleep that was allowed is over.
    fn goes_on(&self);
}

/// What can end a wait.
#[doc(hidden)]
#[derive(Clone)]
pub enum Awaits {
    /// Whatever it is.
    Something,
    /// The end of one of these jobs, and nothing else.
    Jobs(Vec<CancelToken>),
    /// Room in the queue of the pool with this key, and nothing else.
    Room(usize),
}

std::thread_local! {
    /// Set for the life of a pool's thread. Of std even in models: it is only asked by pools' threads.
    static HOST: RefCell<Option<Arc<dyn Host>>> = const { RefCell::new(None) };
    /// The jobs whose handles were not ready in the poll that goes on, if a pool's thread polls.
    static NOTED: RefCell<Option<Vec<CancelToken>>> = const { RefCell::new(None) };
}

/// Runs `body` as the life of a thread that works for `host`.
#[doc(hidden)]
pub fn serve<R>(host: Arc<dyn Host>, body: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<dyn Host>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let previous = self.0.take();
            // Dropped outside of the borrow.
            let _gone = HOST.try_with(|host| host.replace(previous));
        }
    }
    let _restore = Restore(HOST.with(|own| own.replace(Some(host))));
    body()
}

/// True on a thread that works for a pool of ours.
pub(super) fn is_hosted() -> bool {
    HOST.try_with(|host| host.borrow().is_some()).unwrap_or(false)
}

/// Calls `poll`, and gives the jobs that it waits for; none if this thread works for no pool.
pub(crate) fn noting<R>(poll: impl FnOnce() -> R) -> (R, Vec<CancelToken>) {
    struct Restore(Option<Vec<CancelToken>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let outer = self.0.take();
            // Dropped outside of the borrow.
            let _gone = NOTED.try_with(|noted| noted.replace(outer));
        }
    }
    if !is_hosted() {
        return (poll(), Vec::new());
    }
    let _restore = Restore(NOTED.with(|noted| noted.replace(Some(Vec::new()))));
    let result = poll();
    let mut jobs = NOTED.with(RefCell::take).unwrap_or_default();
    jobs.sort_unstable_by_key(CancelToken::key);
    jobs.dedup_by_key(|job| job.key());
    (result, jobs)
}

/// The handle of a job was polled and is not ready.
#[inline]
pub(super) fn note(job: impl FnOnce() -> CancelToken) {
    let _ = NOTED.try_with(|noted| {
        if let Some(noted) = &mut *noted.borrow_mut() {
            noted.push(job());
        }
    });
}

/// Tells the pool that this thread works for, if it does, that its job is about to sleep; until the guard is dropped.
pub(crate) fn lend(awaits: Awaits) -> Result<Lent, String> {
    let host = HOST.try_with(|host| host.borrow().clone()).ok().flatten();
    let patience = match &host {
        Some(host) => host.waits(awaits)?,
        None => None,
    };
    Ok(Lent { host, patience })
}

/// Runs `f`, which blocks this thread until what it `awaits` has happened, as a wait that this thread's pool knows of.
///
/// # Errors
/// The reason for which the pool cannot let it wait; `f` has not run then. Never if it awaits [`Awaits::Something`].
#[doc(hidden)]
pub fn while_waiting<R>(awaits: Awaits, f: impl FnOnce() -> R) -> Result<R, String> {
    let _lent = lend(awaits)?;
    Ok(f())
}

/// Runs `f`, which blocks this thread for at most `limit` until somebody else's work has ended, as a wait that this thread's
/// pool knows of; which is no use for one that ends at once.
#[doc(hidden)]
pub fn while_waiting_for_others<R>(limit: Option<Duration>, f: impl FnOnce() -> R) -> R {
    // Nobody refuses to wait for something.
    let _lent = if limit == Some(Duration::ZERO) { None } else { lend(Awaits::Something).ok() };
    f()
}

/// While this lives, another thread may work in the place of this one.
#[must_use = "the place is taken back when this is dropped"]
pub(crate) struct Lent {
    host: Option<Arc<dyn Host>>,
    /// After so long the pool wants to be asked again.
    patience: Option<Duration>,
}

impl Lent {
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// So long has passed, and the thread sleeps still.
    pub(crate) fn ask_again(&mut self) -> Result<(), String> {
        if let Some(host) = &self.host {
            self.patience = host.still_waits()?;
        }
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(host) = &self.host {
            host.goes_on();
        }
    }
}
