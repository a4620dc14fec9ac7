//! It has happened, or not yet.

use std::fmt;
use std::sync::Arc;

use unstuck_core::sync::Mutex;

use super::budget::may_go_on;
use super::noted::awaited_as;
use crate::Deferred;

/// A flag that tasks can wait for: asyncio's `Event`.
///
/// Clones are the same event. Setting it wakes all who wait, in the order in which they came; also those who do not run
/// before it is cleared again.
///
/// ```
/// use unstuck::sync::Event;
///
/// # unstuck::run(async {
/// let started = Event::new();
/// let waiters: Vec<_> = (0..3).map(|_| {
///     let started = started.clone();
///     unstuck::spawn(async move { started.wait().await })
/// }).collect();
/// started.set();
/// unstuck::gather(waiters).await;
/// # });
/// ```
///
/// To pass a value along with the news, and only once: [`Deferred`].
#[derive(Clone)]
pub struct Event(Arc<Mutex<State>>);

struct State {
    set: bool,
    /// What the next `set` sets; those who wait now await clones of it.
    next: Deferred<()>,
}

impl Event {
    /// One that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { set: false, next: Deferred::new() })))
    }

    /// Says that it has happened: wakes all who wait, and who comes later need not wait.
    pub fn set(&self) {
        let mut state = self.0.lock();
        state.set = true;
        let now = std::mem::take(&mut state.next);
        drop(state);
        let _ = now.set_result(()); // ours alone: it was not set before
    }

    /// Back to "not yet": who comes from now on waits for the next [`set`](Self::set).
    pub fn clear(&self) {
        self.0.lock().set = false;
    }

    /// True from [`set`](Self::set) to [`clear`](Self::clear).
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.lock().set
    }

    /// Waits until it is set; not at all if it is.
    ///
    /// # Cancellation
    /// Dropping the wait changes nothing for the others.
    pub async fn wait(&self) {
        may_go_on().await;
        let next = {
            let state = self.0.lock();
            if state.set {
                return;
            }
            state.next.clone()
        };
        let _ = awaited_as("event", next).await; // nobody cancels it
    }

    /// Waits on a plain thread.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall: use [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_blocking(&self) {
        unstuck_core::wait_here("wait_blocking", self.wait());
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish()
    }
}
