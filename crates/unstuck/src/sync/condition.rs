//! Waiting until shared data is as one needs it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use unstuck_core::sync::Mutex;

use super::LockGuard;
use super::budget::may_go_on;
use super::noted::awaited_as;
use crate::Deferred;

/// Waits until what a [`Lock`](super::Lock) protects is as one needs it: asyncio's `Condition`.
///
/// Clones are the same condition. Whoever waits gives the lock away meanwhile. [`notify`](Self::notify) wakes those who
/// have waited longest.
///
/// ```
/// use unstuck::sync::{Condition, Lock};
///
/// # unstuck::run(async {
/// let (stock, changed) = (Lock::new(0), Condition::new());
/// let customer = unstuck::spawn({
///     let (stock, changed) = (stock.clone(), changed.clone());
///     async move {
///         let mut stock = changed.wait_for(stock.lock().await, |stock| *stock >= 3).await;
///         *stock -= 3;
///     }
/// });
/// for _ in 0..3 {
///     *stock.lock().await += 1;
///     changed.notify(1);
/// }
/// customer.await.unwrap();
/// assert_eq!(*stock.lock().await, 0);
/// # });
/// ```
///
/// A [`Queue`](super::Queue) says "wait until something is there" more simply.
///
/// # Cancellation
/// A wait that is dropped does not hold the lock. If it had been notified already, the next one is notified instead.
#[derive(Clone, Default)]
pub struct Condition(Arc<Mutex<VecDeque<Deferred<()>>>>);

impl Condition {
    /// One that nobody waits for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the lock away, waits to be notified, and takes the lock again.
    ///
    /// What one waits for may be gone again when the lock is back: look, or use [`wait_for`](Self::wait_for).
    ///
    /// # Cancellation
    /// See [`Condition`].
    pub async fn wait<T>(&self, guard: LockGuard<T>) -> LockGuard<T> {
        let lock = guard.of();
        let turn = Deferred::new();
        self.0.lock().push_back(turn.clone());
        let mut waits = Waits { condition: self, turn: turn.clone(), over: false };
        drop(guard);
        let _ = awaited_as("condition", turn).await; // nobody cancels it
        let guard = lock.lock().await;
        waits.over = true;
        guard
    }

    /// Waits until `ready` says so. It is asked while the lock is held: at once, and each time this is notified.
    ///
    /// # Cancellation
    /// See [`Condition`].
    pub async fn wait_for<T>(
        &self,
        mut guard: LockGuard<T>,
        mut ready: impl FnMut(&mut T) -> bool,
    ) -> LockGuard<T> {
        may_go_on().await;
        while !ready(&mut guard) {
            guard = self.wait(guard).await;
        }
        guard
    }

    /// Wakes so many of those who wait, the longest waiting first. Who comes later is not meant.
    ///
    /// Call it while the lock is held, or soon after the change: a change that nobody tells of is not seen.
    pub fn notify(&self, count: usize) {
        let mut waiting = self.0.lock();
        let count = count.min(waiting.len());
        let chosen: Vec<_> = waiting.drain(..count).collect();
        drop(waiting);
        for turn in chosen {
            let _ = turn.set_result(()); // ours alone: it was not set before
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.notify(usize::MAX);
    }
}

/// Somebody waits; if they leave before they have the lock, their turn goes to the next.
struct Waits<'a> {
    condition: &'a Condition,
    turn: Deferred<()>,
    over: bool,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut waiting = self.condition.0.lock();
        if let Some(at) = waiting.iter().position(|turn| *turn == self.turn) {
            let gone = waiting.remove(at);
            drop(waiting);
            drop(gone);
        } else {
            drop(waiting);
            self.condition.notify(1); // it was ours, and we leave
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("waiting", &self.0.lock().len()).finish()
    }
}
