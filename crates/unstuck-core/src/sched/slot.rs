#![allow(unsafe_code)] // The slot keeps a task as a pointer.
//! Room for the one task that a worker runs next: what a task wakes is usually what should run next, on this core, with
//! what it needs still in the cache.
//!
//! Nearly every wake-up goes through here, and hardly ever does a thief come (`ages.rs`, and the guard). So the owner makes
//! do with plain loads and stores, and a thief pays for both sides ([`Lopsided`]).
//!
//! ```text
//!   the owner takes                              a thief steals
//!   O1 read which task lies here                 T1 lock: one thief at a time
//!   O2 empty the slot                            T2 claim what lies here
//!   O3 light fence                               T3 heavy fence
//!   O4 claimed? Then the lock tells who has it   T4 read which task lies here. None: withdraw the claim.
//! ```
//!
//! One of the fences comes first. If O3 does, the thief finds the slot empty. If T3 does, the owner finds the claim.
//! Perhaps both find the other's step; then the owner waits at the lock until the thief has decided: a claim that still
//! stands there is a theft. What was stolen lies in the slot as if nothing had happened, until the owner comes for it and
//! finds the claim.
//!
//! Rejected: an exchange of the pointer on both sides. It is shorter, and two of them were a sixth of a turn of ping-pong.

use std::ptr::{self, NonNull};

use crate::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use crate::sync::{Lopsided, Mutex};
use crate::task::{Header, Runnable};

/// Room for one task, which its worker runs next. Others may steal it, but only its worker puts something in.
pub(super) struct Slot {
    /// Written by the owner alone.
    task: AtomicPtr<Header>,
    /// A thief is here, or what lies here has been stolen and the owner does not know yet.
    claimed: AtomicBool,
    /// Held by a thief while it decides.
    theft: Mutex<()>,
    fence: Lopsided,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self {
            task: AtomicPtr::new(ptr::null_mut()),
            claimed: AtomicBool::new(false),
            theft: Mutex::new(()),
            fence: Lopsided::new(),
        }
    }

    /// Puts `task` in if the slot is empty, and gives it back otherwise. Only the slot's worker calls this.
    #[inline]
    pub(super) fn offer(&self, task: Runnable) -> Option<Runnable> {
        if self.is_empty() { self.put(task) } else { Some(task) } // only this thread fills it, so an empty one stays empty
    }

    /// Puts `task` in and gives what was there. Only the slot's worker calls this.
    #[inline]
    pub(super) fn put(&self, task: Runnable) -> Option<Runnable> {
        let displaced = self.take();
        // Release: pairs with the Acquire in `steal`.
        self.task.store(task.into_raw().as_ptr(), Ordering::Release);
        displaced
    }

    /// Takes the task out. Only the slot's worker calls this.
    #[inline]
    pub(super) fn take(&self) -> Option<Runnable> {
        // Relaxed: this thread wrote it. (O1)
        let task = NonNull::new(self.task.load(Ordering::Relaxed))?;
        self.task.store(ptr::null_mut(), Ordering::Relaxed); // O2: ordered by the fence
        self.fence.light(); // O3: pairs with T3
        // Relaxed: ordered by the fence. (O4)
        if self.claimed.load(Ordering::Relaxed) && self.was_stolen() {
            return None;
        }
        // SAFETY: `put` stored it, from `into_raw`, and no thief has it.
        Some(unsafe { Runnable::from_raw(task) })
    }

    /// The owner has found a claim: waits until the thief has decided. True if it has the task.
    #[cold]
    fn was_stolen(&self) -> bool {
        let _decided = self.theft.lock();
        // Relaxed: under the lock, as every write to it.
        let stolen = self.claimed.load(Ordering::Relaxed);
        self.claimed.store(false, Ordering::Relaxed); // as above
        stolen
    }

    /// Takes the task away from the slot's worker. Any other thread.
    pub(super) fn steal(&self) -> Option<Runnable> {
        // Relaxed: a glance, before the lock and the fence.
        if self.is_empty() || self.claimed.load(Ordering::Relaxed) {
            return None;
        }
        let _one_at_a_time = self.theft.lock(); // T1
        // Relaxed: under the lock, as every write to it.
        if self.claimed.load(Ordering::Relaxed) {
            return None; // somebody was here, and the owner has not come back since
        }
        self.claimed.store(true, Ordering::Relaxed); // T2: ordered by the fence
        let sure = self.fence.heavy(); // T3: pairs with O3
        // Acquire: pairs with the Release in `put`. (T4)
        let task = NonNull::new(self.task.load(Ordering::Acquire)).filter(|_| sure);
        if task.is_none() {
            self.claimed.store(false, Ordering::Relaxed); // as above
        }
        // SAFETY: `put` stored it, from `into_raw`. The owner has not taken it, and finds the claim when it comes to do so.
        task.map(|task| unsafe { Runnable::from_raw(task) })
    }

    /// True if nothing lies here, not even what has been stolen.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.task.load(Ordering::Relaxed).is_null() // the owner's own writing; to others a moment old
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.take());
    }
}
