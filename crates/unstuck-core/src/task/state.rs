//! One word that says where a task is in its life, and who still holds it.
//!
//! ```text
//!  bit 0 SCHEDULED   a `Runnable` exists: it waits for its turn, or is being run
//!  bit 1 AGAIN       a wake or more arrived while SCHEDULED
//!  bit 2 COMPLETE    the future is gone; the outcome is stored (or taken)
//!  bit 3 HANDLE      a `Task` handle exists: it owns the outcome
//!  bit 4 WAITER      the handle has left a waker to be called on completion
//!  bit 5 CANCEL      a cancellation was requested and not yet delivered
//!  bit 6 CANCELLED   with COMPLETE: it was cancelled, or refused; stays when the outcome is taken
//!  bit 7 WATCHED     somebody has left callbacks for the completion in the task's extras
//!  bit 8 HIDDEN      in its last poll a join returned pending that is no frame yet; only who runs the task looks
//!  bit 9 HELD        a cancellation was thrown, reached the task, and has not landed yet; as for HIDDEN
//!  bits 10…          number of references: registry, runnable, handle, each waker, each `TaskRef`
//! ```
//!
//! There is no bit for *is being polled*, because nobody has to do anything else for it: a wake and a cancellation leave a
//! bit in either case, and the poll looks for it when it starts and when it ends. So an undisturbed start only reads the
//! word, and so does the end of a poll whose task woke itself: a read-modify-write costs as much as the rest of a yield.
//!
//! Every method here is one atomic step with a named outcome; what to do about it is the caller's business. The
//! life cycle these steps draw, and the rules that make the unsafe code around them sound, are in the README
//! beside this file.

use crate::sync::atomic::{AtomicUsize, Ordering};

const SCHEDULED: usize = 1;
const AGAIN: usize = 1 << 1;
const COMPLETE: usize = 1 << 2;
const HANDLE: usize = 1 << 3;
const WAITER: usize = 1 << 4;
const CANCEL: usize = 1 << 5;
const CANCELLED: usize = 1 << 6;
const WATCHED: usize = 1 << 7;
const HIDDEN: usize = 1 << 8;
const HELD: usize = 1 << 9;
const REF: usize = 1 << 10;

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
    /// Poll it; a cancellation that was thrown earlier is to land when it may.
    Held,
}

/// What a poll leaves for the next.
#[derive(Clone, Copy, Default)]
pub(crate) struct Left {
    /// Joins are pending that are no frames yet.
    pub(crate) hidden: bool,
    /// A cancellation was thrown that has not landed yet.
    pub(crate) held: bool,
}

impl Left {
    fn bits(self) -> usize {
        (if self.hidden { HIDDEN } else { 0 }) | (if self.held { HELD } else { 0 })
    }
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

/// What has become of a runnable that was run.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It is used up.
    Over,
    /// It goes back to the queue.
    Again,
    /// The poll returned pending, and nobody had anything to say meanwhile: the task is to be paused, now or later.
    Quiet,
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
    /// Nothing of this was to be done but leave the task to its handle, and the two references of who completed it went
    /// in the same step: it may be gone.
    pub(crate) left: bool,
}

/// What a dropped handle leaves to be dropped.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Let {
    /// The task goes on alone, and the handle's reference went in the same step: the task may be gone.
    Gone,
    /// The task goes on alone; the waker in the `waiter` field belongs to the handle again.
    Waiter,
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
                return Err(Wake::Nothing);
            }
            // Even when nothing changes the word is written: the next poll acquires it, and so sees what the waker
            // wrote before it called wake.
            if now & SCHEDULED != 0 {
                return Ok((now | AGAIN, Wake::Nothing));
            }
            Ok(((now | SCHEDULED) + extra, Wake::Submit))
        })
    }

    /// The holder of the `Runnable` takes the future.
    #[inline]
    pub(crate) fn start(&self) -> Start {
        // Relaxed: what came with the runnable (the wake that made it, the future as the last poll left it) came through
        // the queue. What came later has left a bit, which is acquired below or by `pause`.
        let now = self.0.load(Ordering::Relaxed);
        debug_assert_eq!(now & (SCHEDULED | COMPLETE), SCHEDULED);
        if now & (AGAIN | CANCEL | HELD) == 0 { Start::Poll } else { self.start_with_news() }
    }

    #[cold]
    fn start_with_news(&self) -> Start {
        // Acquire: pairs with the Release in `wake` and `cancel`: the poll that follows sees what was written before.
        let before = self.0.fetch_and(!AGAIN, Ordering::AcqRel);
        match before & (CANCEL | HELD) {
            0 => Start::Poll,
            HELD => Start::Held,
            _ => Start::Cancel,
        }
    }

    /// The poll returned pending. True if nobody has left anything yet, nor has the poll before.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        // Relaxed: a glance. What it overlooks `pause` finds.
        self.0.load(Ordering::Relaxed) & (AGAIN | CANCEL | HIDDEN | HELD) == 0
    }

    /// The poll returned pending. `woken`: the task woke itself during the poll, on this thread, and so has not
    /// written to the word.
    #[inline]
    pub(crate) fn pause(&self, woken: bool, left: Left) -> Pause {
        // Release (in `update`): pairs with the Acquire in the `wake` that makes the next runnable. If it is the old one
        // that goes on, the queue hands over what this poll has written.
        self.update(|now| {
            debug_assert_eq!(now & (SCHEDULED | COMPLETE), SCHEDULED);
            let next = (now & !(HIDDEN | HELD)) | left.bits();
            if now & CANCEL != 0 {
                Err(Pause::Cancel)
            } else if woken || now & AGAIN != 0 {
                // `start` takes AGAIN away
                if next == now { Err(Pause::Again) } else { Ok((next, Pause::Again)) }
            } else {
                debug_assert!(now >= 2 * REF, "the registry holds every unfinished task");
                Ok((next - SCHEDULED - REF, Pause::Parked))
            }
        })
    }

    /// After a delivery, when the task is to be polled again: what its last poll has left for that.
    pub(crate) fn leave(&self, left: Left) {
        // As in `pause`: the queue hands it over.
        self.update(|now| Ok(((now & !(HIDDEN | HELD)) | left.bits(), ())));
    }

    /// True if joins are pending that are no frames yet. For who is about to poll.
    pub(crate) fn has_hidden_joins(&self) -> bool {
        self.0.load(Ordering::Relaxed) & HIDDEN != 0 // came with the runnable, as what `start` reads
    }

    /// The future is gone and the outcome stored. `cancelled`: there is no value because somebody wanted none. The caller
    /// owns two references.
    #[inline]
    pub(crate) fn complete(&self, cancelled: bool) -> Completed {
        let how = if cancelled { CANCELLED } else { 0 };
        // Release (in `update`): pairs with the Acquire in `is_complete`, after which the handle reads the outcome.
        // Acquire: pairs with the Release in `set_waiter`, after which we read the waiter, and in `watch`.
        self.update(|now| {
            debug_assert_eq!(now & (SCHEDULED | COMPLETE), SCHEDULED);
            let done = (now & !(SCHEDULED | AGAIN)) | COMPLETE | how;
            let left = now & (HANDLE | WAITER | WATCHED) == HANDLE;
            let completed = Completed {
                handle: now & HANDLE != 0,
                waiter: now & WAITER != 0,
                watched: now & WATCHED != 0,
                left,
            };
            Ok((if left { done - 2 * REF } else { done }, completed))
        })
    }

    /// True if nobody can see how the task ends, nor wants to be told: there is no handle, and all references are the two of who
    /// runs it to its end.
    #[inline]
    pub(crate) fn is_forgotten(&self) -> bool {
        // Acquire: pairs with the Release in `drop_refs` and `drop_handle`: every use comes before the free.
        let now = self.0.load(Ordering::Acquire);
        now / REF == 2 && now & (HANDLE | WATCHED) == 0
    }

    /// Somebody has left a callback in the extras; false if the task has finished, and nobody else will look there.
    pub(crate) fn watch(&self) -> bool {
        // Release (in `update`): pairs with the Acquire in `complete`, after which the callbacks are taken.
        self.set(WATCHED)
    }

    /// The handle offers the waker it has just put into the `waiter` field; false if the task has finished instead
    /// (the field still belongs to the handle then).
    #[inline]
    pub(crate) fn set_waiter(&self) -> bool {
        // Release (in `update`): pairs with the Acquire in `complete`.
        self.set(WAITER)
    }

    /// The handle takes the `waiter` field back; false if the task has finished (the field is not the handle's).
    #[inline]
    pub(crate) fn clear_waiter(&self) -> bool {
        self.update(|now| if now & COMPLETE == 0 { Ok((now & !WAITER, true)) } else { Err(false) })
    }

    /// The handle goes away.
    #[inline]
    pub(crate) fn drop_handle(&self) -> Let {
        self.update(|now| {
            if now & COMPLETE != 0 {
                return Err(Let::Finished);
            }
            if now & WAITER != 0 {
                return Ok((now & !(HANDLE | WAITER), Let::Waiter));
            }
            debug_assert!(now >= 2 * REF, "the registry holds every unfinished task");
            Ok(((now & !HANDLE) - REF, Let::Gone))
        })
    }

    /// Somebody wants the task cancelled.
    pub(crate) fn cancel(&self) -> Cancel {
        self.update(|now| {
            if now & COMPLETE != 0 {
                Err(Cancel::Finished)
            } else if now & CANCEL != 0 {
                Ok((now, Cancel::Joined)) // written all the same: the delivery sees what we wrote before
            } else if now & SCHEDULED != 0 {
                Ok((now | CANCEL, Cancel::Requested))
            } else {
                Ok(((now | CANCEL | SCHEDULED) + REF, Cancel::Submit))
            }
        })
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

    /// True while the task waits for its turn or is being run; stale as soon as it is read, for display.
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
            // 2^53 forgotten wakers. A wrapped count would free a task that is in use: end here instead.
            std::process::abort();
        }
    }

    /// Drops `count` references that are likely to be the last ones; true if they were. If they are, nobody else can
    /// change the word, and reading it is enough.
    #[inline]
    pub(crate) fn drop_last_refs(&self, count: usize) -> bool {
        // Acquire: pairs with the Release in `drop_refs`, as there.
        self.0.load(Ordering::Acquire) / REF == count || self.drop_refs(count)
    }

    /// Drops `count` references; true if they were the last ones.
    #[inline]
    pub(crate) fn drop_refs(&self, count: usize) -> bool {
        // Release: pairs with the Acquire of whoever drops the last one, so that every use comes before the free.
        let before = self.0.fetch_sub(count * REF, Ordering::AcqRel);
        debug_assert!(before >= count * REF);
        before / REF == count
    }

    /// Applies `step` until it sticks; an error leaves the word as it is.
    #[inline]
    fn update<T>(&self, step: impl Fn(usize) -> Result<(usize, T), T>) -> T {
        // Acquire, here and when the exchange fails: pairs with the Release of the step that wrote what is found, for callers
        // whose own step is to leave it as it is.
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            let (next, outcome) = match step(now) {
                Ok(step) => step,
                Err(outcome) => return outcome,
            };
            // AcqRel: each step pairs with those before and after it, as is said where it is called.
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return outcome,
                Err(actual) => now = actual,
            }
        }
    }

    /// Sets `bits` unless the task has finished; false then.
    #[inline]
    fn set(&self, bits: usize) -> bool {
        self.update(|now| if now & COMPLETE == 0 { Ok((now | bits, true)) } else { Err(false) })
    }
}
