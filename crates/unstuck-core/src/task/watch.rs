//! A task's done-callbacks: how they are left with it, and who finds them (README, rule 6). What a callback is and how it
//! is called is told in `callbacks.rs`.

use super::{Task, TaskRef};
use crate::callbacks::{Callback, CallbackId};
use crate::job::contain;

impl<T> Task<T> {
    /// Has `f` called with a reference to the task once it has ended, however it ends: asyncio's `add_done_callback`.
    ///
    /// Never at once and never inside the task: this thread's runtime calls it at a turn of its own, callbacks of one
    /// task in the order in which they were added. One that is added after the end is called too, on several workers perhaps
    /// beside the others. A panic in one is
    /// told to the runtime's exception handler and stops nothing else. It sees the context variables of the code that added it.
    ///
    /// To wait for the result, await the task; this is for code that is not async, or has other things to do.
    ///
    /// # Panics
    /// Panics outside a runtime. If that runtime has shut down when the task ends, `f` is dropped.
    #[track_caller]
    #[allow(clippy::must_use_candidate)] // the number is for those who may want to remove it
    pub fn add_done_callback(&self, f: impl FnOnce(&TaskRef) + Send + 'static) -> CallbackId {
        self.watch().add_done_callback(f)
    }

    /// Takes a callback back; gives how many were removed: one, or none if it has been called or removed before.
    #[allow(clippy::must_use_candidate)]
    pub fn remove_done_callback(&self, id: CallbackId) -> usize {
        self.watch().remove_done_callback(id)
    }
}

impl TaskRef {
    /// Has `f` called with a reference to the task once it has ended: asyncio's `add_done_callback`. See
    /// [`Task::add_done_callback`].
    ///
    /// # Panics
    /// Panics outside a runtime.
    #[track_caller]
    #[allow(clippy::must_use_candidate)] // the number is for those who may want to remove it
    pub fn add_done_callback(&self, f: impl FnOnce(&TaskRef) + Send + 'static) -> CallbackId {
        let callback = Callback::new(f);
        let id = self.header().extra.get_or_make().callbacks.lock().push(callback);
        if !self.header().state.watch() {
            self.call_done(); // too late for whoever completed it
        }
        id
    }

    /// Takes a callback back; gives how many were removed: one, or none if it has been called or removed before.
    #[allow(clippy::must_use_candidate)]
    pub fn remove_done_callback(&self, id: CallbackId) -> usize {
        let Some(extra) = self.header().extra.get() else { return 0 };
        let removed = extra.callbacks.lock().remove(id);
        let count = usize::from(removed.is_some());
        contain("a done-callback's destructor", || drop(removed));
        count
    }

    /// The task has ended: has the callbacks called that lie there now.
    #[cold]
    pub(super) fn call_done(&self) {
        let callbacks = std::mem::take(&mut *self.header().extra.get_or_make().callbacks.lock());
        callbacks.schedule(self.clone());
        self.wake_watchers();
    }
}
