#![allow(unsafe_code)] // A pointer that is null until somebody needs what it points to.
//! What few tasks have, kept out of the allocation that every task has.
//!
//! A million pending tasks pay for each word of their header. So what is asked for seldom lies behind one pointer,
//! which is null until the first of these things is needed, and then stays for the task's life.

use std::ptr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::TaskRef;
use super::frames::Frames;
use super::unseen::Unseen;
use crate::callbacks::Callbacks;
use crate::inspect::Notes;
use crate::job::contain;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::vars;

/// Null, or a box that belongs to the task.
#[derive(Default)]
pub(super) struct Extras(AtomicPtr<Extra>);

/// The things themselves. Any thread that holds a reference to the task may come: each has its own lock.
#[derive(Default)]
pub(super) struct Extra {
    name: Mutex<Option<Arc<str>>>,
    /// How to tell its failure, until somebody looks at it.
    pub(super) unseen: Mutex<Option<Unseen>>,
    /// Its context variables. Empty until one is set, or came with it.
    pub(super) context: Mutex<vars::Context>,
    /// What is to be called when it has ended. Behind WATCHED in the task's word.
    pub(super) callbacks: Mutex<Callbacks<TaskRef>>,
    /// What is noted of it while somebody wants to see.
    notes: Mutex<Option<Box<Notes>>>,
    /// How long one step of it may take before it is reported, in nanoseconds; 0 is the runtime's own rule.
    slow_step: AtomicU64,
    frames: Frames,
    /// Who is to be woken when it has ended. Behind WATCHED, too.
    pub(super) watchers: Mutex<Vec<Waker>>,
}

impl Extras {
    /// What is there, if anything ever was needed.
    pub(super) fn get(&self) -> Option<&Extra> {
        let extra = self.0.load(Ordering::Acquire); // pairs with the Release in `get_or_make`
        // SAFETY: null, or a box that only `take` takes away.
        unsafe { extra.as_ref() }
    }

    /// What is there; it is made if it is not.
    pub(super) fn get_or_make(&self) -> &Extra {
        if let Some(extra) = self.get() {
            return extra;
        }
        let new = Box::into_raw(Box::<Extra>::default());
        // Release: pairs with the Acquire in `get`, which then sees the box filled. Acquire: as there.
        match self.0.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: just made; from here on only `take` takes it away.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: somebody else was faster, and nobody has seen ours.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: not null any more, and only `take` takes it away.
                unsafe { &*other }
            }
        }
    }
}

impl Extras {
    /// Takes away what is there: the task is being freed.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Box<Extra>> {
        let extra = self.0.load(Ordering::Relaxed); // `&mut self`: nobody else is here, nor below
        if extra.is_null() {
            return None;
        }
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: made by `get_or_make` from a box, and taken away here only.
        Some(unsafe { Box::from_raw(extra) })
    }
}

impl Drop for Extras {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl Extra {
    /// Drops it, in a task that is being freed. Much of it is the user's, each thing by itself: a panic of one must not
    /// meet that of another.
    #[cold]
    pub(super) fn fall_apart(self: Box<Self>) {
        let context = std::mem::take(&mut *self.context.lock());
        context.fall_apart();
        let callbacks = std::mem::take(&mut *self.callbacks.lock());
        contain("a done-callback's destructor", || drop(callbacks));
        let watchers = std::mem::take(&mut *self.watchers.lock());
        for waker in watchers {
            contain("a waker", || drop(waker));
        }
        let unseen = self.unseen.lock().take();
        contain("the exception handler's destructor", || drop(unseen));
        contain("what was left with a task", || drop(self)); // a cancellation's reason
    }

    pub(super) fn frames(&self) -> &Frames {
        &self.frames
    }

    pub(super) fn slow_step(&self) -> Option<Duration> {
        let nanos = self.slow_step.load(Ordering::Relaxed); // a setting by itself
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    pub(super) fn set_slow_step(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX); // 584 years: never
        self.slow_step.store(nanos.max(1), Ordering::Relaxed); // as above
    }

    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.name.lock().clone()
    }

    pub(super) fn set_name(&self, name: Arc<str>) {
        *self.name.lock() = Some(name);
    }

    /// Gives `f` the notes on the task; they are made if there are none.
    pub(super) fn notes<R>(&self, f: impl FnOnce(&mut Notes) -> R) -> R {
        f(self.notes.lock().get_or_insert_default())
    }

    /// Gives `f` the notes on the task, if there are any.
    pub(super) fn noted<R>(&self, f: impl FnOnce(&Notes) -> R) -> Option<R> {
        self.notes.lock().as_deref().map(f)
    }
}
