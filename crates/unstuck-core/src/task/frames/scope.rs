//! Scopes that cancel for a reason of their own: what timeouts and task groups share.
//!
//! A scope marks what it asks for with its *origin*, a number, and so knows its own cancellation again when that comes
//! back out. Of nested scopes whose time is over at once only the outermost answers: an inner one sees that and passes on.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::flight::{Cancelled, REQUEST, Reason};
use crate::context;
use crate::sync::thread_local;

thread_local! {
    /// The nearest scope around what is being polled whose time is over; 0 if there is none.
    static OVER: Cell<u64> = const { Cell::new(0) };
}

/// A number that no other scope has. Never 0.
#[must_use]
pub fn new_origin() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1); // not a protocol, and a model cannot have one in a static
    NEXT.fetch_add(1, Ordering::Relaxed) // only uniqueness matters
}

/// Polls with `f` what is inside a scope whose time is over.
pub fn inside_over<R>(origin: u64, f: impl FnOnce() -> R) -> R {
    struct Restore(u64);
    impl Drop for Restore {
        fn drop(&mut self) {
            OVER.with(|over| over.set(self.0));
        }
    }
    let _restore = Restore(OVER.with(|over| over.replace(origin)));
    f()
}

/// The nearest scope around this one whose time is over.
#[must_use]
pub fn over_around() -> Option<u64> {
    Some(OVER.with(Cell::get)).filter(|&origin| origin != 0)
}

/// A cancellation that the scope with this origin asks for.
pub fn cancelled_by(origin: u64, reason: Option<Reason>) -> Cancelled {
    Cancelled::new(origin, reason)
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
