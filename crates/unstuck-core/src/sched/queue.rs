#![allow(unsafe_code)] // The slot keeps a task as a pointer.
//! Where runnable tasks wait. The only file that names `crossbeam_deque`.
//!
//! * [`Local`]: a worker's own queue, first in first out. Its owner pushes and pops; anyone may steal through the
//!   [`Stealer`] (Chase and Lev 2005; Lê et al. 2013, as implemented by crossbeam).
//! * [`Injector`]: tasks from outside, first in first out, shared by all.
//! * [`Slot`]: the one task a worker runs next. What a task wakes is usually what should run next, on this core, with
//!   what it needs still in the cache.

use std::ptr::{self, NonNull};

#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
use crossbeam_deque as deque;

use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::hint;
use crate::task::{Header, Runnable};

/// A stand-in that model checkers can see into.
#[cfg(any(unstuck_loom, unstuck_shuttle))]
mod deque;

/// A worker's own queue.
pub(super) struct Local(deque::Worker<Runnable>);

/// The other end of a worker's queue.
pub(super) struct Stealer(deque::Stealer<Runnable>);

/// The queue for tasks from outside.
pub(super) struct Injector(deque::Injector<Runnable>);

impl Local {
    pub(super) fn new() -> Self {
        Self(deque::Worker::new_fifo())
    }

    pub(super) fn stealer(&self) -> Stealer {
        Stealer(self.0.stealer())
    }

    #[inline]
    pub(super) fn push(&self, task: Runnable) {
        self.0.push(task);
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<Runnable> {
        self.0.pop()
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
    /// Moves about half of the queue to `to` and gives the first of it.
    pub(super) fn steal_into(&self, to: &Local) -> Option<Runnable> {
        until_decided(|| self.0.steal_batch_and_pop(&to.0))
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

impl Injector {
    /// As many as a block of the queue has.
    pub(super) const BATCH: usize = 63;

    pub(super) fn new() -> Self {
        Self(deque::Injector::new())
    }

    #[inline]
    pub(super) fn push(&self, task: Runnable) {
        self.0.push(task);
    }

    /// Takes the first.
    pub(super) fn steal(&self) -> Option<Runnable> {
        if self.0.is_empty() {
            return None; // two loads, before the exchange that an attempt would cost
        }
        until_decided(|| self.0.steal())
    }

    /// Moves a batch to `to`, of `limit` tasks at most, and gives the first of it. Who takes all that a block of the queue
    /// has left ([`BATCH`](Self::BATCH) is enough for that) gives the block back in one step, and not slot by slot.
    pub(super) fn steal_into(&self, to: &Local, limit: usize) -> Option<Runnable> {
        if self.0.is_empty() {
            return None; // as above
        }
        until_decided(|| self.0.steal_batch_with_limit_and_pop(&to.0, limit))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// An attempt that lost a race says nothing about emptiness: ask again.
fn until_decided(attempt: impl Fn() -> deque::Steal<Runnable>) -> Option<Runnable> {
    loop {
        match attempt() {
            deque::Steal::Success(task) => return Some(task),
            deque::Steal::Empty => return None,
            deque::Steal::Retry => hint::spin_loop(),
        }
    }
}

/// Room for one task, which its worker runs next. Others may take it, but only its worker puts something in.
pub(super) struct Slot(AtomicPtr<Header>);

impl Slot {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts `task` in if the slot is empty, and gives it back otherwise. Only the slot's worker calls this.
    #[inline]
    pub(super) fn offer(&self, task: Runnable) -> Option<Runnable> {
        if self.is_empty() { self.put(task) } else { Some(task) } // only this thread fills it, so an empty one stays empty
    }

    /// Puts `task` in and gives what was there. Only the slot's worker calls this.
    #[inline]
    pub(super) fn put(&self, task: Runnable) -> Option<Runnable> {
        let task = task.into_raw().as_ptr();
        // Relaxed: only this thread fills the slot, so an empty one stays empty until the store.
        if self.0.load(Ordering::Relaxed).is_null() {
            // Release: pairs with the Acquire in `take` on another thread.
            self.0.store(task, Ordering::Release);
            return None;
        }
        // AcqRel: as above; and what comes out was put in by this same thread.
        Self::own(self.0.swap(task, Ordering::AcqRel))
    }

    /// Takes the task out. Any thread.
    #[inline]
    pub(super) fn take(&self) -> Option<Runnable> {
        // Relaxed: an answer a moment old; the swap decides.
        if self.0.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // Acquire: pairs with the Release in `put`.
        Self::own(self.0.swap(ptr::null_mut(), Ordering::Acquire))
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null() // an answer a moment old is all that is asked for
    }

    #[inline]
    fn own(task: *mut Header) -> Option<Runnable> {
        // SAFETY: only `put` stores a pointer, from `into_raw`, and a swap hands it to one thread only.
        NonNull::new(task).map(|task| unsafe { Runnable::from_raw(task) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.take());
    }
}
