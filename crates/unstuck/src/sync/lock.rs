//! One at a time, over awaits. tokio's `Mutex`, as a handle.
//!
//! That cannot be asked whether it is held, but by trying to take it; and then, for a moment, whoever asks holds it, and
//! somebody else's `try_lock` fails. So there is a flag beside it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};
use unstuck_core::inspect::{self, On};
use unstuck_core::sync::atomic::{AtomicBool, Ordering};

use super::budget::may_go_on;
use super::noted::noted;

/// Keeps something for one at a time, also over awaits: asyncio's `Lock`, with what it protects inside.
///
/// Clones are the same lock. Those who wait get it in the order in which they came, and nobody overtakes.
///
/// ```
/// use unstuck::sync::Lock;
///
/// # unstuck::run(async {
/// let account = Lock::new(100);
/// let tasks = (0..10).map(|_| {
///     let account = account.clone();
///     unstuck::spawn(async move {
///         let mut balance = account.lock().await;
///         let seen = *balance;
///         unstuck::yield_now().await; // nobody else comes in between
///         *balance = seen - 10;
///     })
/// });
/// unstuck::gather(tasks).await;
/// assert_eq!(*account.lock().await, 0);
/// # });
/// ```
///
/// Without an await while it is held, `std::sync::Mutex` does the same for less. It is not reentrant: a task that locks
/// it twice waits for itself.
///
/// # Cancellation
/// A wait that is dropped leaves the turn to the next. A task that is cancelled while it holds the lock releases it; what
/// it protects is as that task left it. A panic does not poison it.
pub struct Lock<T> {
    mutex: Arc<Mutex<Kept<T>>>,
    held: Arc<AtomicBool>,
}

/// What lies inside of the mutex.
struct Kept<T> {
    value: T,
    /// The lock's own.
    held: Arc<AtomicBool>,
}

/// The [`Lock`] is held until this is dropped. It may be kept over awaits and moved to another task.
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard<T>(OwnedMutexGuard<Kept<T>>);

impl<T> Lock<T> {
    /// One that nobody holds.
    pub fn new(value: T) -> Self {
        let held = Arc::new(AtomicBool::new(false));
        Self { mutex: Arc::new(Mutex::new(Kept { value, held: held.clone() })), held }
    }

    /// Waits for it: asyncio's `acquire()` and `async with lock`.
    ///
    /// # Cancellation
    /// Dropping the wait leaves the turn to the next.
    pub async fn lock(&self) -> LockGuard<T> {
        may_go_on().await;
        let on = On::Lock { lock: self.number(), holder: None };
        LockGuard::new(noted("lock", on, self.mutex.clone().lock_owned()).await)
    }

    /// Takes it if nobody holds it or waits for it.
    #[must_use]
    pub fn try_lock(&self) -> Option<LockGuard<T>> {
        self.mutex.clone().try_lock_owned().ok().map(LockGuard::new)
    }

    /// Waits for it on a plain thread.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall: use [`lock`](Self::lock).
    #[track_caller]
    pub fn lock_blocking(&self) -> LockGuard<T> {
        unstuck_core::wait_here("lock_blocking", self.lock())
    }

    /// True while somebody holds it: asyncio's `locked()`.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.held.load(Ordering::Relaxed) // a glance, old as soon as it is taken
    }

    /// Tells it from other locks.
    fn number(&self) -> usize {
        Arc::as_ptr(&self.mutex).addr()
    }
}

impl<T> LockGuard<T> {
    fn new(guard: OwnedMutexGuard<Kept<T>>) -> Self {
        guard.held.store(true, Ordering::Relaxed); // for `is_locked`
        let held = Self(guard);
        inspect::holds(held.number());
        held
    }

    fn number(&self) -> usize {
        Arc::as_ptr(OwnedMutexGuard::mutex(&self.0)).addr()
    }

    /// The lock that it holds.
    pub(super) fn of(&self) -> Lock<T> {
        Lock { mutex: OwnedMutexGuard::mutex(&self.0).clone(), held: self.0.held.clone() }
    }
}

impl<T> Drop for LockGuard<T> {
    fn drop(&mut self) {
        inspect::holds_no_more(self.number());
        self.0.held.store(false, Ordering::Relaxed); // for `is_locked`; the next one sets it again
    }
}

impl<T> Deref for LockGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> DerefMut for LockGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.value
    }
}

impl<T> Clone for Lock<T> {
    fn clone(&self) -> Self {
        Self { mutex: self.mutex.clone(), held: self.held.clone() }
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("locked", &self.is_locked()).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockGuard").field(&**self).finish()
    }
}
