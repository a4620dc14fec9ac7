//! Plain functions called by the loop: `call_soon`, `call_later`, `call_at`.
//!
//! A call is a small task, so it takes its turn in the same queue as every task, first in first out on the
//! single-threaded loop. Nobody can await its value, so a panic in it stops nothing else, and the runtime's exception
//! handler is told at once.
//!
//! A task that is asked to end while it is being polled says "yes, at my next await". A call has none. So whoever takes it
//! back and whoever makes it draw one lot ([`Lot`]), and "taken back" means that it never comes.

pub(crate) mod overdue;

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

use unstuck_core::sync::atomic::{AtomicBool, Ordering};
use unstuck_core::{Failure, Task, TaskId};
use unstuck_time::{Instant, sleep_until};

use crate::runtime::Handle;

/// A call that was scheduled: asyncio's `Handle`. Dropping it changes nothing; the call comes.
#[derive(Debug)]
pub struct CallHandle {
    task: Task<()>,
    lot: Lot,
}

/// Drawn once: by who makes the call, or by who takes it back.
#[derive(Clone, Debug, Default)]
struct Lot(Arc<AtomicBool>);

impl Lot {
    /// True for the first one.
    fn draw(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed) // who is first is all that it says
    }
}

impl CallHandle {
    /// Takes the call back: then it never comes. False if it has been made or taken back before, or is being made: also in
    /// the call itself.
    #[allow(clippy::must_use_candidate)] // taking it back is what people do it for
    pub fn cancel(&self) -> bool {
        let taken = self.lot.draw();
        if taken {
            self.task.cancel(); // its timer goes; it may have come to its turn meanwhile, for nothing
        }
        taken
    }

    /// True once the call has been made or taken back.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.task.is_done()
    }

    /// The number of the task that makes the call.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.id()
    }
}

#[track_caller]
pub(crate) fn soon(handle: &Handle, f: impl FnOnce() + Send + 'static) -> CallHandle {
    let (place, lot) = (Location::caller(), Lot::default());
    let makes = lot.clone();
    let task = handle.spawn_named(Some("call_soon".into()), async move {
        if makes.draw() {
            call("call_soon", place, f);
        }
    });
    CallHandle { task, lot }
}

#[track_caller]
pub(crate) fn at(handle: &Handle, when: Instant, f: impl FnOnce() + Send + 'static) -> CallHandle {
    let (place, lot) = (Location::caller(), Lot::default());
    let makes = lot.clone();
    let stack = handle.stack();
    let turn = (when <= stack.time.now()).then(|| stack.overdue.line_up(when));
    let task = handle.spawn_named(Some("call_at".into()), async move {
        match turn {
            Some(mut turn) => (&mut turn).await, // and the next one's turn comes as it is dropped here
            None => sleep_until(when).await,
        }
        if makes.draw() {
            call("call_at", place, f);
        }
    });
    CallHandle { task, lot }
}

/// Calls `f`, which `place` asked for; a panic goes to the exception handler of this thread's runtime.
pub(crate) fn call(name: &str, place: &'static Location<'static>, f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        let failure = Failure::of_call(name.into(), place, payload);
        match Handle::try_current() {
            Some(handle) => handle.stack().failures.tell(&failure),
            None => failure.tell(None),
        }
    }
}
