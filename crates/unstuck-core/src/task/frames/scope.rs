//! Scopes that cancel for a reason of their own: what timeouts and task groups share.
//!
//! A scope marks what it asks for with its *origin*, a number, and so knows its own cancellation again when that comes
//! back out.
//!
//! It answers for its own request only. Was anybody else's made since it was entered, by `cancel()` or by a scope around it,
//! then the cancellation goes on outwards, also if what is inside has swallowed the other one: asyncio's rule, written there
//! as `task.uncancel() > cancelling`. What was asked for before does not count, or a timeout in cleanup could not work.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Frames;
use super::flight::{Cancelled, REQUEST, Reason};
use crate::context;
use crate::sync::thread_local;

thread_local! {
    /// The scopes around what is being polled whose time is over.
    static OVER: Cell<Over> = const { Cell::new(Over::NOBODY) };
}

#[derive(Clone, Copy)]
struct Over {
    nearest: u64,
    count: u32,
    /// How many of them had asked for an end before this poll of theirs.
    before: u32,
}

impl Over {
    const NOBODY: Self = Self { nearest: 0, count: 0, before: 0 };
}

/// What had been asked for around a scope when it was entered.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    over: u32,
    requests: u32,
}

/// To be asked for in the first poll of a scope.
#[must_use]
#[inline]
pub fn around() -> Around {
    let requests = context::with_frames(|frames| frames.map_or(0, Frames::requests));
    Around { over: OVER.with(Cell::get).before, requests }
}

impl Around {
    /// What goes on outwards when the scope ends by its own request, if somebody else has asked since. `reason`: why, if that
    /// was a scope.
    #[must_use]
    pub fn asked_since(self, reason: &Reason) -> Option<Cancelled> {
        let over = OVER.with(Cell::get);
        if around().requests > self.requests {
            return Some(Cancelled::new(REQUEST, None));
        }
        (over.count > self.over).then(|| Cancelled::new(over.nearest, Some(reason.clone())))
    }
}

/// A number that no other scope has. Never 0.
#[must_use]
pub fn new_origin() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1); // not a protocol, and a model cannot have one in a static
    NEXT.fetch_add(1, Ordering::Relaxed) // only uniqueness matters
}

/// Polls with `f` what is inside a scope whose time is over.
pub fn inside_over<R>(origin: u64, f: impl FnOnce() -> R) -> R {
    let count = OVER.with(Cell::get).count + 1;
    with_over(Over { nearest: origin, count, before: count }, f)
}

/// The same for the first poll of a scope that was entered when its time was over: it has asked for nothing yet. Whoever is
/// entered in this poll as well was there in time to be asked by both, and leaves the answer to the outer one.
pub fn entered_over<R>(origin: u64, f: impl FnOnce() -> R) -> R {
    let around = OVER.with(Cell::get);
    with_over(Over { nearest: origin, count: around.count + 1, before: around.before }, f)
}

/// Polls with `f` what is inside of no scope of those around this call: another task.
pub(crate) fn outside_of_all<R>(f: impl FnOnce() -> R) -> R {
    with_over(Over::NOBODY, f)
}

fn with_over<R>(over: Over, f: impl FnOnce() -> R) -> R {
    struct Restore(Over);
    impl Drop for Restore {
        fn drop(&mut self) {
            OVER.with(|over| over.set(self.0));
        }
    }
    let _restore = Restore(OVER.with(|around| around.replace(over)));
    f()
}

/// A scope has caught a cancellation, and has a value that matters more. A request from outside is made once more, and
/// comes at the next await of whoever is being polled; that of a scope around this one is swallowed: it asked for an end,
/// and this is one.
pub fn value_first(cancelled: Cancelled) {
    let again = cancelled.origin() == REQUEST;
    let reason = cancelled.reason().cloned();
    drop(cancelled);
    if let Some(owner) = context::owner().filter(|_| again) {
        owner.request_again(reason);
    }
}
