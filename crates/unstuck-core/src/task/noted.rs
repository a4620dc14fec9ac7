//! A task and the notes on it: see [`crate::inspect`].

use std::task::Context;

use super::{Task, TaskRef};
use crate::inspect::{self, Await, Notes, On};

/// Runs a task and takes notes. The reference keeps the task alive when the run was its last.
#[cold]
pub(super) fn run<R>(task: &TaskRef, run: impl FnOnce() -> R) -> R {
    task.notes(Notes::begin);
    let left = run();
    task.notes(Notes::end);
    left
}

impl TaskRef {
    /// Tells the task from others; what its own waker points to.
    pub(crate) fn address(&self) -> *const () {
        std::ptr::from_ref(self.header()).cast()
    }

    /// Gives `f` the notes on the task.
    pub(crate) fn notes<R>(&self, f: impl FnOnce(&mut Notes) -> R) -> R {
        self.header().extra.get_or_make().notes(f)
    }

    /// Gives `f` the notes on the task, if there are any.
    pub(crate) fn noted<R>(&self, f: impl FnOnce(&Notes) -> R) -> Option<R> {
        self.header().extra.get()?.noted(f)
    }

    /// True while it waits for its turn.
    pub(crate) fn is_scheduled(&self) -> bool {
        self.header().state.is_scheduled()
    }
}

impl<T> Task<T> {
    /// A future that awaited the handle by reference is about to say "pending" and wants this to be seen.
    #[doc(hidden)]
    #[inline]
    pub fn note_shielded(&self, cx: &Context<'_>) {
        inspect::pending(cx, self.key(), || self.wait_for_it(true));
    }

    /// That future is dropped.
    #[doc(hidden)]
    #[inline]
    pub fn note_given_up(&self) {
        inspect::gone(self.key());
    }

    pub(super) fn key(&self) -> usize {
        self.raw().address().addr()
    }

    pub(super) fn wait_for_it(&self, shielded: bool) -> Await {
        Await::new("task", On::Task { id: self.id(), shielded })
    }
}
