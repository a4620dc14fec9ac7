#![allow(unsafe_code)] // A counted reference that stands for the right to poll.
//! The right to poll a task once.

use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;

use super::header::Header;
use super::state::{After, Left, Pause};
use super::{TaskRef, noted};
use crate::inspect;

/// The right and the duty to run a task once: there is at most one per task at any time.
///
/// Dropping it without running it cancels the task.
pub(crate) struct Runnable(NonNull<Header>);

// SAFETY: the runnable may poll the future on another thread only when the future is Send, or when its home gives it
// to its own thread alone (rule 5).
unsafe impl Send for Runnable {}

/// What a run has left.
#[must_use]
pub(crate) enum Ran {
    /// The runnable is used up: the task has ended, or was parked.
    Over,
    /// The task was woken meanwhile.
    Again(Runnable),
    /// It has returned pending, and is to be [parked](Runnable::park).
    Quiet(Runnable),
}

impl Runnable {
    /// # Safety
    /// The caller has just moved the state to SCHEDULED and owns a reference, which the runnable takes over.
    pub(super) unsafe fn new(header: NonNull<Header>) -> Self {
        Self(header)
    }

    /// Polls the task once, or delivers a cancellation. Gives itself back when the task was woken meanwhile: it
    /// then belongs at the back of the queue.
    #[inline]
    pub(crate) fn run(self) -> Option<Runnable> {
        match self.run_once() {
            Ran::Over => None,
            Ran::Again(task) => Some(task),
            Ran::Quiet(task) => task.park(),
        }
    }

    /// The task has returned pending: ends the duty to run it. Gives itself back if there is news.
    #[inline]
    pub(crate) fn park(self) -> Option<Runnable> {
        let header = self.into_raw();
        // SAFETY: as in `run_once`. Parked, the task is not touched any more.
        match unsafe { header.as_ref() }.state.pause(false, Left::default()) {
            Pause::Parked => None,
            Pause::Again | Pause::Cancel => Some(Runnable(header)), // `State::start` finds what it is
        }
    }

    /// As [`run`](Self::run), but does not park a task that has returned pending and was left alone.
    #[inline]
    pub(crate) fn run_once(self) -> Ran {
        let header = self.into_raw();
        // SAFETY: a runnable exists only while SCHEDULED is set and owns a reference (rule 2).
        let run = || unsafe { (header.as_ref().vtable.run)(header) };
        let left = if inspect::is_on() {
            // SAFETY: as above.
            noted::run(&unsafe { TaskRef::to_running(header) }, run)
        } else {
            run()
        };
        match left {
            After::Over => Ran::Over,
            After::Again => Ran::Again(Runnable(header)),
            After::Quiet => Ran::Quiet(Runnable(header)),
        }
    }

    /// The home has closed: drops the future unpolled, and its handle is told so.
    pub(super) fn refuse(self) {
        let header = self.into_raw();
        // SAFETY: as in `run`; the registry has not taken its reference.
        unsafe { (header.as_ref().vtable.refuse)(header) }
    }

    pub(crate) fn header(&self) -> NonNull<Header> {
        self.0
    }

    /// The task's number and the place that spawned it.
    #[inline]
    pub(crate) fn whose(&self) -> (u64, &'static Location<'static>) {
        // SAFETY: the runnable holds a reference.
        let header = unsafe { self.0.as_ref() };
        (header.id.get(), header.place)
    }

    /// For queues that store pointers.
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    /// # Safety
    /// `header` came from [`Runnable::into_raw`] and is used once.
    pub(crate) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self(header)
    }
}

impl Drop for Runnable {
    fn drop(&mut self) {
        // SAFETY: as in `run`. Doomed and with the request set, the run drops the future instead of polling it.
        unsafe {
            self.0.as_ref().doom();
            let _ = self.0.as_ref().state.cancel();
            let after = (self.0.as_ref().vtable.run)(self.0);
            debug_assert!(after == After::Over, "a task without a future has ended");
        }
    }
}

impl fmt::Debug for Runnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runnable").finish_non_exhaustive()
    }
}
