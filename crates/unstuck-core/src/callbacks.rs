//! Functions to be called when something is done: asyncio's done-callbacks.
//!
//! Promises, held by tests here and in the facade:
//! * A callback never runs inside of what made the thing done (a task's last poll, `Deferred::set_result`): the runtime
//!   on which it was added calls it, at a turn of its own.
//! * Those added on one runtime run one after the other, in the order in which they were added. One that panics is
//!   told to the runtime's exception handler, and the next one runs.
//! * One that is added too late is called all the same, at a turn of its own; on several workers two late ones may come in
//!   any order. One that was removed is not called.
//! * It sees the context variables of the code that added it.
//!
//! All callbacks of one runtime that fall due together share one task. A task for each, as asyncio has a handle for each,
//! would run them on several workers at once, in any order.

use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
// Not `crate::sync`: no protocol, and it lives in a static, which a model's atomics cannot.
use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::{Failure, FailureSink};
use crate::handle::Handle;
use crate::vars;

/// A done-callback that was added, to remove it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

/// The callbacks that wait for one thing, in the order in which they were added. They are called with an `A`.
pub struct Callbacks<A>(Vec<Callback<A>>);

/// A callback, and where and how it is to be called.
pub struct Callback<A> {
    id: CallbackId,
    home: Handle,
    place: &'static Location<'static>,
    context: vars::Context,
    call: Box<dyn FnOnce(&A) + Send>,
}

impl<A> Callbacks<A> {
    /// Adds one; gives what removes it.
    pub fn push(&mut self, callback: Callback<A>) -> CallbackId {
        let id = callback.id;
        self.0.push(callback);
        id
    }

    /// Takes one out; it is to be dropped where nothing is locked.
    #[must_use]
    pub fn remove(&mut self, id: CallbackId) -> Option<Callback<A>> {
        let at = self.0.iter().position(|callback| callback.id == id)?;
        Some(self.0.remove(at))
    }
}

impl<A: Send + Sync + 'static> Callbacks<A> {
    /// Has all of them called with `subject`. Nothing may be locked: a runtime that has shut down drops them here.
    pub fn schedule(self, subject: A) {
        let mut left = self.0.into_iter().peekable();
        let subject = Arc::new(subject);
        while let Some(first) = left.next() {
            let (home, place) = (first.home.clone(), first.place);
            let mut together = vec![first];
            while let Some(next) = left.next_if(|next| next.home.is_same(&home)) {
                together.push(next);
            }
            let (subject, sink) = (subject.clone(), home.failure_sink());
            let calls = async move {
                for callback in together {
                    callback.call(&subject, sink.as_ref());
                }
            };
            drop(home.spawn_at(place, Some("done-callbacks".into()), calls).task()); // detached
        }
    }
}

impl<A> Callback<A> {
    /// A callback of the runtime and the context that this code runs in.
    ///
    /// # Panics
    /// Panics outside a runtime: nobody could call it.
    #[track_caller]
    pub fn new(call: impl FnOnce(&A) + Send + 'static) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let home = Handle::try_current().unwrap_or_else(|| crate::context::no_runtime("add_done_callback"));
        Self {
            id: CallbackId(NEXT.fetch_add(1, Ordering::Relaxed)), // only uniqueness matters
            home,
            place: Location::caller(),
            context: vars::Context::copy(),
            call: Box::new(call),
        }
    }

    /// Calls it; a panic is told.
    fn call(mut self, subject: &A, sink: Option<&FailureSink>) {
        let call = || self.context.run(|| (self.call)(subject));
        if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
            Failure::of_call("done-callback".into(), self.place, payload).tell(sink);
        }
    }
}

impl<A> Default for Callbacks<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A> fmt::Debug for Callbacks<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|callback| callback.place)).finish()
    }
}

impl<A> fmt::Debug for Callback<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("added_at", &self.place).finish_non_exhaustive()
    }
}

impl fmt::Debug for CallbackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackId({})", self.0)
    }
}
