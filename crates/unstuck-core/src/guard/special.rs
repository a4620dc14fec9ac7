//! Tasks that have their own idea of what is slow.
//!
//! The monitor asks for it when it has seen a poll at two ticks. Finding a task by its number takes the registry's lock and, with
//! a million tasks, some milliseconds: so it asks only if any task of this process has ever been given a time of its own.

// Not `crate::sync`: it must live in a `static`, which loom's atomics cannot.
use std::sync::atomic::{AtomicBool, Ordering};

static SOMEBODY: AtomicBool = AtomicBool::new(false);

/// A task has got a time of its own.
pub(crate) fn somebody_is_special() {
    SOMEBODY.store(true, Ordering::Relaxed); // seen a tick later, the report goes by the runtime's rule
}

/// Does any task have one?
pub(crate) fn is_anybody_special() -> bool {
    SOMEBODY.load(Ordering::Relaxed) // as above
}
