//! Who waits for whom, who runs where and for how long: for people who look at a program that does not get on.
//!
//! # The problem
//! A task's future is a state machine made by the compiler. Nobody can read in it what it awaits, and a task that is
//! stuck cannot be asked. So what is to be seen must be noted before, by those who know: the runtime notes each poll,
//! and a *leaf future* (a timer, a task's handle, a job's handle, a queue's getter) notes what it waits for when it is
//! about to say "pending". Promise: *who does not look pays nothing but a load of a flag that never changes*; who looks
//! needs no help of the tasks or workers that are looked at.
//!
//! ```text
//!  poll begins ──► the notes of the last poll are struck out, the clock is read
//!     leaf says pending ──► `pending(cx, key, || what it awaits)`   written down at the task that is being polled
//!  poll ends   ──► counted, its time added
//!  somebody looks, from any thread ──► `info` copies the notes
//! ```
//!
//! # What is struck out when
//! A poll asks, as a rule, each leaf that the task still awaits, so its notes are made anew by each poll. Not so under a
//! combinator with wakers of its own (`FuturesUnordered`, a `gather` of many): it polls only what was woken. The leaf
//! sees a waker then that is not the task's, and its note is *kept* until the leaf is ready or dropped, which calls
//! [`gone`].
//!
//! One thing is not seen: that a wait for `&mut task` was given up in the very poll that looked at the task last. Its
//! note goes with the next poll. `shield(&mut task)` knows when it is dropped, and strikes it out at once.
//!
//! Who *holds* a lock cannot be read in the lock either. While notes are taken, whoever takes one is listed (`held.rs`), and
//! a task that waits for it is shown to wait for the holder: two that wait for each other's locks are a circle.
//!
//! # Rejected
//! * *Polling tasks once more to have them tell* (tokio's task dumps): a stuck task cannot be polled, and looking would
//!   change what is looked at.
//! * *Writing always*: about 90 ns a poll, measured with yields, which take 26 without.
//! * *One list of edges for the process*: a lock that all workers want. Here each task has its own, which nobody else
//!   wants unless somebody looks.

mod held;
mod info;
mod notes;
mod outsider;

use std::panic::Location;
// Not `crate::sync`: a switch nobody waits for, and it must live in a `static`, which loom's atomics cannot.
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;
use std::time::Duration;

pub use self::held::{holds, holds_no_more};
pub(crate) use self::info::everything;
pub use self::info::{Running, TaskInfo, TaskState, info};
pub(crate) use self::notes::Notes;
pub(crate) use self::outsider::Outsiders;
use crate::context;
use crate::task::TaskId;

/// Something that a task awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Await {
    /// What kind of thing: "task", "sleep", "job", "deferred" …
    pub what: &'static str,
    /// Which one.
    pub on: On,
}

/// Which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum On {
    /// Nothing more is known.
    Something,
    /// Another task.
    Task {
        /// Its number.
        id: TaskId,
        /// The wait is by reference, and says so (`shield`): when it is given up, the task goes on.
        shielded: bool,
    },
    /// A moment: the time until then. A leaf notes the moment itself on its clock's time line; whoever looks is told
    /// what is left.
    Moment(Duration),
    /// Something that was made at this place in the source.
    Place(&'static Location<'static>),
    /// A lock.
    Lock {
        /// Tells it from other locks.
        lock: usize,
        /// The task that took it, if one did. A leaf leaves that empty; whoever looks is told.
        holder: Option<TaskId>,
    },
}

impl Await {
    /// Awaits something of this kind.
    pub const fn new(what: &'static str, on: On) -> Self {
        Self { what, on }
    }
}

static ON: AtomicBool = AtomicBool::new(false);

/// Notes are taken from now on, in the whole process and to its end: two looks at the clock and a lock that nobody else
/// wants for each poll, and a box for each task that is polled.
pub fn switch_on() {
    ON.store(true, Ordering::Relaxed); // a switch: a note more or less harms nobody
}

/// True if notes are taken.
#[inline]
pub fn is_on() -> bool {
    cfg!(not(any(unstuck_loom, unstuck_shuttle))) && ON.load(Ordering::Relaxed) // see `switch_on`
}

/// A leaf future is about to say "pending": notes what the task that is being polled awaits. `key` tells the leaf from
/// others (its address, say).
#[inline]
pub fn pending(cx: &Context<'_>, key: usize, awaits: impl FnOnce() -> Await) {
    if is_on() {
        note(cx, key, awaits());
    }
}

/// A leaf future is ready or dropped, and may have been noted.
#[inline]
pub fn gone(key: usize) {
    if is_on() {
        strike(key);
    }
}

#[cold]
fn note(cx: &Context<'_>, key: usize, awaits: Await) {
    let waker = cx.waker().data();
    if let Some(task) = context::current_task() {
        let own = std::ptr::eq(waker, task.address());
        task.notes(|notes| notes.awaits(key, awaits, !own));
    } else {
        outsider::here(|outsider| outsider.awaits(key, awaits, waker));
    }
}

#[cold]
fn strike(key: usize) {
    if let Some(task) = context::current_task() {
        task.notes(|notes| notes.gone(key));
    } else {
        outsider::here(|outsider| outsider.gone(key));
    }
}
