//! Tasks: a future, its outcome and everything about it in one allocation.
//!
//! The README in this folder tells who holds a task and when, draws the life cycle, and numbers the rules that every
//! `SAFETY` comment here cites.

mod ended;
mod extra;
pub(crate) mod frames;
mod handle;
mod header;
mod home;
mod join;
mod noted;
mod numbers;
pub mod proxy;
mod registry;
mod runnable;
mod state;
mod unseen;
mod waker;
mod watch;

#[cfg(all(test, unstuck_loom))]
pub(crate) mod models;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

pub use frames::scope;
pub use frames::{
    Cancelled, Canceller, CatchCancel, Frame, Inside, Reason, Resume, Step, catch_cancel, finally,
};
pub use handle::{Task, TaskId, TaskRef};

use crate::vars;
pub(crate) use header::Header;
pub(crate) use home::Home;
pub(crate) use registry::Registry;
pub(crate) use runnable::{Ran, Runnable};
pub(crate) use state::Left;
pub(crate) use waker::{borrowed as borrowed_waker, is_waker_of};

/// How a task is spawned: its name and the place that spawned it.
pub(crate) struct Spawn {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) place: &'static Location<'static>,
    /// It is a call that the runtime runs on a worker: nobody's task, and not listed among those.
    pub(crate) is_call: bool,
}

/// Futures larger than this are boxed by themselves first: the task is then moved around by pointer.
const LARGE: usize = 16 * 1024;

/// A new task: its handle, and its runnable if the home has closed. Both are the one pointer, to be returned in registers.
#[must_use]
pub(crate) struct Spawned<T> {
    header: NonNull<Header>,
    refused: bool,
    output: PhantomData<T>,
}

impl<T> Spawned<T> {
    /// The task's handle. If the home has closed, the future is dropped here: its destructor is the user's, so nothing
    /// may be borrowed or locked.
    #[allow(unsafe_code)]
    #[inline]
    pub(crate) fn task(self) -> Task<T> {
        if self.refused {
            // SAFETY: `spawn` kept the runnable's reference for us.
            unsafe { Runnable::new(self.header) }.refuse();
        }
        // SAFETY: `spawn` kept the handle's reference for us, and `T` is the output of the future it was given.
        unsafe { Task::from_raw(self.header) }
    }
}

/// Makes a task of `future` at `home` and submits it, unless the home has closed.
///
/// # Safety
/// Rules 1 and 5: the home outlives every task in its registry, and runs `future` on one thread only unless it (and
/// its output) may cross threads.
#[allow(unsafe_code)]
#[inline]
pub(crate) unsafe fn spawn<F: Future>(home: NonNull<dyn Home>, future: F, how: Spawn) -> Spawned<F::Output> {
    // SAFETY: the caller's promise.
    let (header, accepted) = unsafe { make(home, future, how) };
    if accepted {
        // SAFETY: the new task's runnable. The caller keeps the home alive during this call.
        unsafe { home.as_ref().submit_new(Runnable::new(header)) };
    }
    Spawned { header, refused: !accepted, output: PhantomData }
}

/// As `spawn`, but the first step is taken here and now. Nothing may be borrowed or locked: it is the user's code.
///
/// # Safety
/// As for `spawn`, and this thread may run tasks of the home.
#[allow(unsafe_code)]
pub(crate) unsafe fn spawn_eager<F: Future>(
    home: NonNull<dyn Home>,
    future: F,
    how: Spawn,
) -> Task<F::Output> {
    // SAFETY: the caller's promise.
    let (header, accepted) = unsafe { make(home, future, how) };
    // SAFETY: the new task's runnable and handle.
    let (runnable, task) = unsafe { (Runnable::new(header), Task::from_raw(header)) };
    if !accepted {
        runnable.refuse();
    } else if let Some(again) = scope::outside_of_all(|| runnable.run()) {
        // SAFETY: the caller keeps the home alive during this call.
        unsafe { home.as_ref() }.submit(again);
    }
    task
}

/// Makes a task and files it: a reference for its runnable, one for its handle, and whether the home has taken it.
///
/// # Safety
/// As for `spawn`.
#[allow(unsafe_code)]
#[inline]
unsafe fn make<F: Future>(home: NonNull<dyn Home>, future: F, how: Spawn) -> (NonNull<Header>, bool) {
    let id = numbers::next_id();
    let header = if size_of::<F>() > LARGE {
        header::allocate(Box::pin(future), home, id, how)
    } else {
        header::allocate(future, home, id, how)
    };
    if let Some(context) = vars::inherited() {
        // SAFETY: just made; only we know it.
        *unsafe { header.as_ref() }.extra.get_or_make().context.lock() = context;
    }
    // SAFETY: a new task is SCHEDULED and has three references: the runnable's, the handle's and the registry's. The
    // caller keeps the home alive during this call.
    let accepted = unsafe { home.as_ref().registry().insert(header) };
    (header, accepted)
}
