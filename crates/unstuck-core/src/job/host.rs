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
//! pool's [`Host`], which either counts the thread as absent, so that another one may take its place, or refuses the
//! wait with a reason. A refusal comes only when the pool can do nothing any more: every thread of it would wait, none
//! may be added, and jobs are queued.
//!
//! What a closure waits for in other ways (a lock, a channel of std) nobody can see.

use std::cell::RefCell;
use std::sync::Arc;

/// A pool as a thread of its own sees it when the job on that thread has to wait.
#[doc(hidden)]
pub trait Host: Send + Sync {
    /// This thread is about to sleep until something else has happened.
    ///
    /// # Errors
    /// A sentence that says why it must not, and names the jobs in question.
    fn waits(&self) -> Result<(), String>;

    /// The sleep that was allowed is over.
    fn goes_on(&self);
}

std::thread_local! {
    /// Set for the life of a pool's thread. Of std even in models: it is only asked by pools' threads.
    static HOST: RefCell<Option<Arc<dyn Host>>> = const { RefCell::new(None) };
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

/// Tells the pool that this thread works for, if it does, that its job is about to sleep; until the guard is dropped.
pub(crate) fn lend() -> Result<Lent, String> {
    let host = HOST.try_with(|host| host.borrow().clone()).ok().flatten();
    if let Some(host) = &host {
        host.waits()?;
    }
    Ok(Lent(host))
}

/// Runs `f`, which blocks this thread until something else has happened, as a wait that this thread's pool knows of.
///
/// # Errors
/// The reason for which the pool cannot let it wait; `f` has not run then.
#[doc(hidden)]
pub fn while_waiting<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    let _lent = lend()?;
    Ok(f())
}

/// While this lives, another thread may work in the place of this one.
#[must_use = "the place is taken back when this is dropped"]
pub(crate) struct Lent(Option<Arc<dyn Host>>);

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(host) = &self.0 {
            host.goes_on();
        }
    }
}
