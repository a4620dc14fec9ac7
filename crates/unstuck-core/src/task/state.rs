//! One word that says where a task is in its life, and who still holds it.
//!
//! ```text
//!  bit 0 RUNNING     one thread is polling the future, or taking it apart
//!  bit 1 SCHEDULED   a `Runnable` exists, or a wake arrived while RUNNING
//!  bit 2 COMPLETE    the future is gone; the outcome is stored (or taken)
//!  bit 3 HANDLE      a `Task` handle exists: it owns the outcome
//!  bit 4 WAITER      the handle has left a waker to be called on completion
//!  bit 5 CANCEL      a cancellation was requested and not yet delivered
//!  bit 6 CANCELLED   with COMPLETE: it was cancelled, or refused; stays when the outcome is taken
//!  bit 7 WATCHED     somebody has left callbacks for the completion in the task's extras
//!  bits 8…           number of references: registry, runnable, handle, each waker
//! ```
//!
//! Every method here is one atomic step with a named outcome; what to do about it is the caller's business. The
//! life cycle these steps draw, and the rules that make the unsafe code around them sound, are in the README
//! beside this file.

use crate::sync::atomic::{AtomicUsize, Ordering};

const RUNNING: usize = 1;
const SCHEDULED: usize = 1 << 1;
const COMPLETE: usize = 1 << 2;
const HANDLE: usize = 1 << 3;
const WAITER: usize = 1 << 4;
const CANCEL: usize = 1 << 5;
const CANCELLED: usize = 1 << 6;
const WATCHED: usize = 1 << 7;
const REF: usize = 1 << 8;

/// A new task is scheduled and held by three: the registry, its runnable, its handle.
const NEW: usize = SCHEDULED | HANDLE | (3 * REF);

/// The word itself.
#[derive(Debug)]
pub(crate) struct State(AtomicUsize);

/// What a wake has to do.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The task was idle: hand its `Runnable` (which owns a reference from now on) to its home.
    Submit,
    /// It is queued already, will be looked at again after the present poll, or has finished.
    Nothing,
}

/// What the holder of a `Runnable` has to do with the future.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Poll it.
    Poll,
    /// A cancellation was requested before this poll: deliver it.
    Cancel,
}

/// What comes after a poll that returned pending.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Nothing to do before the next wake; the runnable's reference is gone.
    Parked,
    /// Woken during its own poll: the `Runnable` goes to the back of the queue.
    Again,
    /// A cancellation was requested during the poll: deliver it now.
    Cancel,
}

/// What the thread that finished the task owes to its handle.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Completed {
    /// The handle exists and owns the outcome; if not, whoever completed the task drops the outcome.
    pub(crate) handle: bool,
    /// A waker waits in the `waiter` field and now belongs to whoever completed the task.
    pub(crate) waiter: bool,
    /// Callbacks wait in the task's extras: whoever completed the task has them called.
    pub(crate) watched: bool,
}

/// What a dropped handle leaves to be dropped.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Let {
    /// The task goes on alone; the waker in the `waiter` field, if any, belongs to the handle again.
    Detached { waiter: bool },
    /// The task has finished: the handle drops the outcome.
    Finished,
}

/// What a cancellation request has to do.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    /// The task was idle: hand its `Runnable` to its home, so that the request is delivered.
    Submit,
    /// It will be delivered when the task runs next, or right after the present poll.
    Requested,
    /// As `Requested`, and an earlier request is on its way: they land together.
    Joined,
    /// Too late.
    Finished,
}

impl State {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(NEW))
    }

    /// A task with so many references.
    #[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
    pub(super) fn with_references(count: usize) -> Self {
        Self(AtomicUsize::new(count * REF))
    }

    /// A wake. With `owned` the caller gives its own reference away if (and only if) the outcome is `Submit`.
    #[inline]
    pub(crate) fn wake(&self, owned: bool) -> Wake {
        let extra = if owned { 0 } else { REF };
        self.update(|now| {
            if now & COMPLETE != 0 {
                return None;
            }
            // Even when nothing changes the word is written: the next poll acquires it, and so sees what the waker
            // wrote before it called wake.
            if now & (SCHEDULED | RUNNING) != 0 {
                return Some((now | SCHEDULED, Wake::Nothing));
            }
            Some(((now | SCHEDULED) + extra, Wake::Submit))
        })
        .unwrap_or(Wake::Nothing)
    }

    /// The holder of the `Runnable` takes the future.
    #[inline]
    pub(crate) fn start(&self) -> Start {
        // Acquire: pairs with the Release in `wake` (what wakers wrote) and in `pause` (the future as the last poll,
        // perhaps on another thread, left it).
        let before = self.0.fetch_add(RUNNING.wrapping_sub(SCHEDULED), Ordering::AcqRel);
        debug_assert_eq!(before & (RUNNING | SCHEDULED | COMPLETE), SCHEDULED);
        if before & CANCEL == 0 { Start::Poll } else { Start::Cancel }
    }

    /// The poll returned pending. `woken`: the task woke itself during the poll, on this thread, and so has not
    /// written to the word.
    #[inline]
    pub(crate) fn pause(&self, woken: bool) -> Pause {
        // Release (in `update`): pairs with the Acquire in `start` of the next poll, which may be on another thread.
        self.update(|now| {
            debug_assert!(now & RUNNING != 0 && now & COMPLETE == 0);
            if now & CANCEL != 0 {
                None
            } else if woken || now & SCHEDULED != 0 {
                Some(((now & !RUNNING) | SCHEDULED, Pause::Again))
            } else {
                debug_assert!(now >= 2 * REF, "the registry holds every unfinished task");
                Some((now - RUNNING - REF, Pause::Parked))
            }
        })
        .unwrap_or(Pause::Cancel)
    }

    /// The future is gone and the outcome stored. `cancelled`: there is no value because somebody wanted none.
    #[inline]
    pub(crate) fn complete(&self, cancelled: bool) -> Completed {
        let how = if cancelled { CANCELLED } else { 0 };
        // Release: pairs with the Acquire in `is_complete`, after which the handle reads the outcome.
        // Acquire: pairs with the Release in `set_waiter`, after which we read the waiter, and in `watch`.
        let before = self.0.fetch_xor(RUNNING | COMPLETE | how, Ordering::AcqRel);
        debug_assert_eq!(before & (RUNNING | COMPLETE), RUNNING);
        Completed {
            handle: before & HANDLE != 0,
            waiter: before & WAITER != 0,
            watched: before & WATCHED != 0,
        }
    }

    /// Somebody has left a callback in the extras; false if the task has finished, and nobody else will look there.
    pub(crate) fn watch(&self) -> bool {
        // Release (in `update`): pairs with the Acquire in `complete`, after which the callbacks are taken.
        self.update(|now| (now & COMPLETE == 0).then_some((now | WATCHED, ()))).is_some()
    }

    /// The handle offers the waker it has just put into the `waiter` field; false if the task has finished instead
    /// (the field still belongs to the handle then).
    #[inline]
    pub(crate) fn set_waiter(&self) -> bool {
        // Release (in `update`): pairs with the Acquire in `complete`.
        self.update(|now| (now & COMPLETE == 0).then_some((now | WAITER, ()))).is_some()
    }

    /// The handle takes the `waiter` field back; false if the task has finished (the field is not the handle's).
    #[inline]
    pub(crate) fn clear_waiter(&self) -> bool {
        self.update(|now| (now & COMPLETE == 0).then_some((now & !WAITER, ()))).is_some()
    }

    /// The handle goes away. Its reference is still to be dropped.
    #[inline]
    pub(crate) fn drop_handle(&self) -> Let {
        self.update(|now| {
            (now & COMPLETE == 0)
                .then_some((now & !(HANDLE | WAITER), Let::Detached { waiter: now & WAITER != 0 }))
        })
        .unwrap_or(Let::Finished)
    }

    /// Somebody wants the task cancelled.
    pub(crate) fn cancel(&self) -> Cancel {
        self.update(|now| {
            if now & COMPLETE != 0 {
                None
            } else if now & CANCEL != 0 {
                Some((now, Cancel::Joined)) // written all the same: the delivery sees what we wrote before
            } else if now & (RUNNING | SCHEDULED) != 0 {
                Some((now | CANCEL, Cancel::Requested))
            } else {
                Some(((now | CANCEL | SCHEDULED) + REF, Cancel::Submit))
            }
        })
        .unwrap_or(Cancel::Finished)
    }

    /// Takes the request out of the word, to deliver it or to take it back; false if it is not there any more.
    pub(crate) fn take_cancel(&self) -> bool {
        // Acquire: pairs with the Release in `cancel` (the reason that was left before).
        self.0.fetch_and(!CANCEL, Ordering::AcqRel) & CANCEL != 0
    }

    /// Puts back what `take_cancel` took: whoever runs the task delivers it later.
    pub(crate) fn cancel_again(&self) {
        self.0.fetch_or(CANCEL, Ordering::AcqRel); // the runner's own note; it will be there when the poll ends
    }

    /// After a poll that returned pending and a delivery in its wake: the task is to be polled again.
    pub(crate) fn again(&self) {
        // Release: pairs with the Acquire in `start` of the next poll.
        let _ = self.update(|now| Some(((now & !RUNNING) | SCHEDULED, ())));
    }

    /// True once the outcome can be read.
    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        // Acquire: pairs with the Release in `complete`.
        self.0.load(Ordering::Acquire) & COMPLETE != 0
    }

    /// True once it has ended without a value because it was cancelled or refused.
    pub(crate) fn is_cancelled(&self) -> bool {
        // Acquire: pairs with the Release in `complete`: who is told so sees what its destructors did.
        self.0.load(Ordering::Acquire) & CANCELLED != 0
    }

    /// True if it ended before a request that had come was delivered.
    pub(crate) fn missed_cancel(&self) -> bool {
        // Acquire: pairs with the Release in `complete`, after which the bit stays as it is.
        self.0.load(Ordering::Acquire) & (CANCEL | COMPLETE) == CANCEL | COMPLETE
    }

    /// True while the handle's waker lies in the `waiter` field. Only the handle sets and clears it.
    #[inline]
    pub(crate) fn has_waiter(&self) -> bool {
        self.0.load(Ordering::Relaxed) & WAITER != 0 // the handle reads what it wrote itself
    }

    /// True while a thread polls the task; stale as soon as it is read, for display.
    pub(crate) fn is_running(&self) -> bool {
        self.0.load(Ordering::Relaxed) & RUNNING != 0 // display only
    }

    /// True while the task waits for its turn; stale as soon as it is read, for display.
    pub(crate) fn is_scheduled(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SCHEDULED != 0 // display only
    }

    /// True while a cancellation is requested and not yet delivered.
    pub(crate) fn is_cancelling(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (CANCEL | COMPLETE) == CANCEL // display only
    }

    /// One more reference, made from an existing one.
    #[inline]
    pub(crate) fn add_ref(&self) {
        // Relaxed: whoever makes a reference has one, so the task cannot go away meanwhile.
        let before = self.0.fetch_add(REF, Ordering::Relaxed);
        if before > usize::MAX / 2 {
            // 2^55 forgotten wakers. A wrapped count would free a task that is in use: end here instead.
            std::process::abort();
        }
    }

    /// Drops `count` references; true if they were the last ones.
    #[inline]
    pub(crate) fn drop_refs(&self, count: usize) -> bool {
        // Release: pairs with the Acquire of whoever drops the last one, so that every use comes before the free.
        let before = self.0.fetch_sub(count * REF, Ordering::AcqRel);
        debug_assert!(before >= count * REF);
        before / REF == count
    }

    /// Applies `step` until it sticks; `None` leaves the word as it is.
    #[inline]
    fn update<T>(&self, step: impl Fn(usize) -> Option<(usize, T)>) -> Option<T> {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            let (next, outcome) = step(now)?;
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(outcome),
                Err(actual) => now = actual,
            }
        }
    }
}
