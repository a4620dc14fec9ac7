//! The main future's place in the queue of a single-threaded loop.

use std::sync::Arc;
use std::task::Wake;

use super::{Entry, LocalLoop, Shared};
use crate::sync::atomic::{AtomicBool, Ordering};

/// Wakes the main future: it queues up like a task.
pub(super) struct Main {
    shared: Arc<Shared>,
    /// It lies in the queue, or is about to. Once its run is over it stays set: nobody queues it up any more.
    queued: AtomicBool,
}

impl Main {
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared, queued: AtomicBool::new(false) })
    }

    /// It is its turn. To be called before the poll, so that a wake during it counts.
    pub(super) fn begins(&self) {
        // Acquire: pairs with the Release in `wake_by_ref`.
        self.queued.swap(false, Ordering::Acquire);
    }
}

impl Wake for Main {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: pairs with the Acquire in `begins`, before the main future is polled.
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.shared.push(Entry::Main);
        }
    }
}

/// The end of a run, also by a panic. A main future that woke itself in its last poll, or was woken after it, has left an
/// entry in the queue, which must not be taken for the next run's main future: that would have its turn before what is
/// older. So such entries are counted, and the next ones to turn up pass by. (If another thread is at this moment between
/// the two steps of its wake, its entry may come behind the next main future's. Then that one passes by, and this one
/// stands for it.)
pub(super) struct Run<'a>(pub(super) &'a LocalLoop, pub(super) &'a Main);

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // Relaxed: who finds it set has nothing to say to anybody any more.
        if self.1.queued.swap(true, Ordering::Relaxed) {
            self.0.left.set(self.0.left.get() + 1);
        }
    }
}

impl LocalLoop {
    /// A main future's entry has come up. True if it was the one of an earlier run.
    pub(super) fn is_left_over(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}
