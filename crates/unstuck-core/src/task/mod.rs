//! Tasks: a future, its outcome and everything about it in one allocation.
//!
//! The README in this folder tells who holds a task and when, draws the life cycle, and numbers the rules that every
//! `SAFETY` comment here cites.

mod handle;
mod header;
mod registry;
mod state;
mod waker;

#[cfg(all(test, unstuck_loom))]
pub(crate) mod models;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

pub use handle::{Orphan, Task, TaskId, TaskRef, cancel_inside};
pub(crate) use header::{Header, Home, Runnable, contained};
pub(crate) use registry::Registry;

/// How a task is spawned: its name and the place that spawned it.
pub(crate) struct Spawn {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) place: &'static Location<'static>,
}

/// Futures larger than this are boxed by themselves first: the task is then moved around by pointer.
const LARGE: usize = 16 * 1024;

/// Makes a task of `future` at `home` and submits it. If the home has closed, the future is dropped and the handle
/// resolves to an error at once.
///
/// # Safety
/// Rules 1 and 5: the home outlives every task in its registry, and runs `future` on one thread only unless it (and
/// its output) may cross threads.
#[allow(unsafe_code)]
#[inline]
pub(crate) unsafe fn spawn<F: Future>(home: NonNull<dyn Home>, future: F, how: Spawn) -> Task<F::Output> {
    let Spawn { name, place } = how;
    let id = header::next_id();
    let header = if size_of::<F>() > LARGE {
        header::allocate(Box::pin(future), home, id, name, place)
    } else {
        header::allocate(future, home, id, name, place)
    };
    // SAFETY: a new task is SCHEDULED and has three references: the runnable's, the handle's and the registry's. The
    // caller keeps the home alive during this call.
    unsafe {
        let runnable = Runnable::new(header);
        let task = Task::from_raw(header);
        if home.as_ref().registry().insert(runnable.header()) {
            home.as_ref().submit(runnable);
        } else {
            runnable.refuse();
        }
        task
    }
}
