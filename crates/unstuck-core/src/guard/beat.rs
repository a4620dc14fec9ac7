#![allow(unsafe_code)] // A `&'static Location` travels through an atomic pointer.
//! A worker's heartbeat: what the guard's monitor sees of it.
//!
//! Before a poll the worker writes which task it is about to poll and makes the epoch odd; after the poll it makes it
//! even: plain stores to a line of its own, no read-modify-write, no clock. The monitor never follows a pointer into a
//! task. It reads the epoch, the task's number and place, and the epoch again: unchanged means that they belong
//! together (a sequence lock, Lameter 2005; the fences are Boehm's, 2012).

use std::panic::Location;
use std::ptr;

use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};

/// What a worker writes around each poll.
pub(crate) struct Beat {
    epoch: AtomicU64,
    task: AtomicU64,
    place: AtomicPtr<Location<'static>>,
    /// The poll that the monitor has seen at two ticks: it should let others have a turn.
    overdue: AtomicU64,
}

/// A worker in the middle of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Names this poll among all of the worker's.
    pub(crate) epoch: u64,
    pub(crate) task: u64,
    pub(crate) place: &'static Location<'static>,
}

impl Beat {
    pub(crate) fn new() -> Self {
        Self {
            epoch: AtomicU64::new(0),
            task: AtomicU64::new(0),
            place: AtomicPtr::new(ptr::null_mut()),
            overdue: AtomicU64::new(0),
        }
    }

    /// A poll of `task` begins. Only the worker itself calls this.
    #[inline]
    pub(crate) fn begin(&self, task: u64, place: &'static Location<'static>) {
        let epoch = self.epoch.load(Ordering::Relaxed); // only this thread writes it
        fence(Ordering::Release); // pairs with the Acquire fence in `look`: who sees the stores below sees the even epoch
        self.task.store(task, Ordering::Relaxed); // ordered by the fences
        self.place.store(ptr::from_ref(place).cast_mut(), Ordering::Relaxed); // as above
        self.epoch.store(epoch + 1, Ordering::Release); // pairs with the Acquire in `look`
    }

    /// The poll is over. Only the worker itself calls this.
    #[inline]
    pub(crate) fn end(&self) {
        let epoch = self.epoch.load(Ordering::Relaxed); // only this thread writes it
        self.epoch.store(epoch + 1, Ordering::Release); // pairs with the Acquire in `look` and `is_at`
    }

    /// The poll that is going on, if one is.
    pub(crate) fn look(&self) -> Option<Sight> {
        let epoch = self.epoch.load(Ordering::Acquire); // pairs with the Release in `begin`
        if epoch % 2 == 0 {
            return None;
        }
        let task = self.task.load(Ordering::Relaxed); // ordered by the fence below
        let place = self.place.load(Ordering::Relaxed); // as above
        fence(Ordering::Acquire); // pairs with the Release fence in `begin`
        if self.epoch.load(Ordering::Relaxed) != epoch {
            return None; // a new poll has begun: nobody is stuck
        }
        // SAFETY: `begin` stored it from a `&'static Location` before it made the epoch odd for the first time.
        Some(Sight { epoch, task, place: unsafe { &*place } })
    }

    /// True while that same poll goes on.
    pub(crate) fn is_at(&self, epoch: u64) -> bool {
        self.epoch.load(Ordering::Acquire) == epoch // pairs with the Release in `end`
    }

    /// Asks that poll to let others have a turn. Only the monitor calls this.
    pub(crate) fn hurry(&self, epoch: u64) {
        self.overdue.store(epoch, Ordering::Relaxed); // a request, no data
    }

    /// True if the monitor has asked the poll that is going on. Only the worker itself calls this.
    #[inline]
    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::Relaxed) == self.epoch.load(Ordering::Relaxed) // a request and our own counter
    }

    /// True during a poll. Only the worker itself calls this.
    pub(crate) fn is_polling(&self) -> bool {
        self.epoch.load(Ordering::Relaxed) % 2 == 1 // only this thread writes it
    }

    /// How many polls have begun. A rough answer.
    #[inline]
    pub(crate) fn polls(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed).div_ceil(2) // display, and to see whether the worker gets on
    }
}
