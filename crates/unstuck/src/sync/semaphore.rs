//! So many at a time. tokio's `Semaphore`, as a handle.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore as Permits};
use unstuck_core::inspect::On;

use super::budget::may_go_on;
use super::noted::noted;

/// Lets so many in at a time: asyncio's `Semaphore`.
///
/// Clones are the same semaphore. Those who wait are let in in the order in which they came, and nobody overtakes.
///
/// ```
/// use unstuck::sync::Semaphore;
///
/// # unstuck::run(async {
/// let doors = Semaphore::new(2);
/// let visitors = (0..10).map(|_| {
///     let doors = doors.clone();
///     unstuck::spawn(async move {
///         let _inside = doors.acquire().await; // two at a time
///         unstuck::yield_now().await;
///     })
/// });
/// unstuck::gather(visitors).await;
/// assert_eq!(doors.available(), 2);
/// # });
/// ```
///
/// A permit that is dropped goes back, so nothing can be released twice: asyncio's `BoundedSemaphore` has no counterpart.
///
/// # Cancellation
/// A wait that is dropped, also one that has been chosen, leaves its permit to the next.
#[derive(Clone)]
pub struct Semaphore(Arc<Permits>);

/// Somebody has been let in, until this is dropped. It may be moved to another task.
#[must_use = "the permit goes back when it is dropped"]
pub struct Permit(OwnedSemaphorePermit);

impl Semaphore {
    /// One with so many permits.
    ///
    /// # Panics
    /// Panics when there are more than `usize::MAX >> 3`.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self(Arc::new(Permits::new(permits)))
    }

    /// Waits to be let in: asyncio's `acquire()` and `async with semaphore`.
    ///
    /// # Cancellation
    /// Dropping the wait leaves the permit to the next.
    pub async fn acquire(&self) -> Permit {
        may_go_on().await;
        let permit = noted("semaphore", On::Something, self.0.clone().acquire_owned()).await;
        Permit(permit.unwrap_or_else(|_| unreachable!("nobody closes it")))
    }

    /// A permit if one is free and nobody waits for it.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        self.0.clone().try_acquire_owned().ok().map(Permit)
    }

    /// Waits to be let in on a plain thread.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall: use [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_blocking(&self) -> Permit {
        unstuck_core::wait_here("acquire_blocking", self.acquire())
    }

    /// More permits than it had: asyncio's `release()` without an `acquire()`.
    ///
    /// # Panics
    /// Panics when there would be more than `usize::MAX >> 3`.
    pub fn add_permits(&self, count: usize) {
        self.0.add_permits(count);
    }

    /// How many could be let in now.
    #[must_use]
    pub fn available(&self) -> usize {
        self.0.available_permits()
    }

    /// True when nobody could be let in now: asyncio's `locked()`.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.available() == 0
    }
}

impl Permit {
    /// Never gives it back: the semaphore has one less from now on.
    pub fn forget(self) {
        self.0.forget();
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
