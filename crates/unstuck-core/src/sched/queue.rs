//! Where runnable tasks wait. The only file that names `crossbeam_deque`.
//!
//! * [`Local`]: a worker's own queue, first in first out. Its owner pushes and pops; anyone may steal through the
//!   [`Stealer`] (Chase and Lev 2005; Lê et al. 2013, as implemented by crossbeam).
//! * [`Injector`]: tasks from outside, first in first out, shared by all.
//! * [`Waste`]: the memory of queues that were long, until it is free again.

mod injector;

use std::sync::Arc;

#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
use crossbeam_deque as deque;
#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
use crossbeam_epoch::pin;
#[cfg(any(unstuck_loom, unstuck_shuttle))]
use deque::pin;

pub(super) use self::injector::Injector;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::hint;
use crate::task::Runnable;

/// A stand-in that model checkers can see into.
#[cfg(any(unstuck_loom, unstuck_shuttle))]
mod deque;

/// None is no task, but what [`Local::give_back_room`] pushes for its own sake. It takes no room: a task is a pointer.
type Entry = Option<Runnable>;

/// A worker's own queue.
pub(super) struct Local(deque::Worker<Entry>);

/// The other end of a worker's queue.
pub(super) struct Stealer(deque::Stealer<Entry>);

impl Local {
    /// A queue that was longer than this should [give back](Self::give_back_room) its room: that is worth a microsecond then.
    pub(super) const LONG: usize = 1024;

    pub(super) fn new() -> Self {
        Self(deque::Worker::new_fifo())
    }

    pub(super) fn stealer(&self) -> Stealer {
        Stealer(self.0.stealer())
    }

    #[inline]
    pub(super) fn push(&self, task: Runnable) {
        self.0.push(Some(task));
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<Runnable> {
        self.0.pop().flatten()
    }

    /// The queue is empty, and was long: gives its memory back.
    ///
    /// The deque halves its room when its owner pops from it and finds it nearly empty. Where thieves have taken the last
    /// tasks nobody did that. So an entry without a task is pushed and popped until there is nothing left to halve. A thief
    /// that gets it finds no task in it.
    #[cold]
    pub(super) fn give_back_room(&self, waste: &Waste) {
        for _ in 0..usize::BITS {
            debug_assert!(self.is_empty(), "only the owner pushes");
            self.0.push(None);
            let none = self.0.pop();
            debug_assert!(!matches!(none, Some(Some(_))), "only the owner pushes");
        }
        waste.add();
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Stealer {
    /// A theft takes so many tasks at most. Fewer (crossbeam takes 32) are stolen again and again, and what has been at work in
    /// between brings more lines with it from core to core.
    const LOOT: usize = 64;

    /// Moves about half of the queue to `to` and gives the first of it.
    pub(super) fn steal_into(&self, to: &Local) -> Option<Runnable> {
        until_decided(|| self.0.steal_batch_with_limit_and_pop(&to.0, Self::LOOT))
    }

    /// Takes the first.
    pub(super) fn steal(&self) -> Option<Runnable> {
        until_decided(|| self.0.steal())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// An attempt that lost a race says nothing about emptiness: ask again.
fn until_decided(attempt: impl Fn() -> deque::Steal<Entry>) -> Option<Runnable> {
    loop {
        match attempt() {
            deque::Steal::Success(entry) => return entry,
            deque::Steal::Empty => return None,
            deque::Steal::Retry => hint::spin_loop(),
        }
    }
}

/// Old buffers of the queues, which are kept until no thief can be reading them. Somebody has to find out when that is: an
/// epoch begins when all who read have seen the last one, and what was given up in one epoch is freed two later. One thief
/// that is interrupted in the middle of a theft holds that up, so it is tried again until it has come about.
pub(super) struct Waste(Arc<AtomicUsize>);

/// From giving up a buffer to freeing it.
const EPOCHS: usize = 4;

impl Waste {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    /// There may be some.
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed); // only a count
        let left = self.0.clone();
        // Called when all is free that was given up before.
        pin().defer(move || left.fetch_sub(1, Ordering::Relaxed)); // as above
    }

    /// Frees what can be freed. To be called when there is time.
    #[inline]
    pub(super) fn collect(&self) {
        // Relaxed: only a count. If it is an old one, the next who comes here has time, too.
        if self.0.load(Ordering::Relaxed) > 0 {
            (0..EPOCHS).for_each(|_| pin().flush());
        }
    }
}
