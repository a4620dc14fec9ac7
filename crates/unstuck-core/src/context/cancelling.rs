//! What a poll leaves behind about cancellations: one that was thrown, and joins that would like to hear of the next.
//!
//! All of it concerns the task being polled on this thread, and is over with the poll.

use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;

use super::{CANCELLED_ITSELF, CONTEXT, HELD, HIDDEN, THROWN, is_own_waker, note, noted, with_frames};
use crate::sync::thread_local;
use crate::task::frames::{Flight, Frames};
use crate::task::{Cancelled, Header};

thread_local! {
    /// A cancellation on its way from where it was thrown to the next frame outwards, when THROWN is noted.
    static CANCELLED: RefCell<Option<Cancelled>> = const { RefCell::new(None) };
}

/// Throws a cancellation: the next frame outwards takes it, or the task ends.
///
/// # Panics
/// Panics where nobody would take it.
pub(crate) fn throw(cancelled: Cancelled) {
    let somebody = CONTEXT.with(|context| context.task.get().is_some() || context.main.get().is_some());
    assert!(somebody, "Cancelled::resume() was awaited outside of unstuck: no task here can be cancelled");
    let before = CANCELLED.with(RefCell::take);
    let thrown = match before {
        Some(before) => before.and(cancelled),
        None => cancelled,
    };
    CANCELLED.with(|slot| slot.replace(Some(thrown)));
    note(THROWN, true);
}

/// Takes what was thrown.
#[inline]
pub(crate) fn thrown() -> Option<Cancelled> {
    if !noted(THROWN) {
        return None;
    }
    note(THROWN, false);
    CANCELLED.with(RefCell::take)
}

/// Takes what was thrown if it is a part of `flight`.
pub(crate) fn withdraw(flight: &Arc<Flight>) -> Option<Cancelled> {
    let is_it = |slot: &RefCell<Option<Cancelled>>| {
        slot.borrow().as_ref().is_some_and(|cancelled| cancelled.is_part_of(flight))
    };
    // At the end of a thread the thread-local may be gone before a future that is kept in another one.
    if !CANCELLED.try_with(is_it).unwrap_or(false) {
        return None;
    }
    let (part, others) = thrown()?.split();
    if let Some(others) = others {
        throw(others);
    }
    Some(part)
}

/// Puts aside what was thrown before a frame's poll.
#[inline]
pub(crate) fn set_thrown_aside() -> Aside {
    Aside(seldom())
}

/// What was thrown before; thrown again when this is dropped.
///
/// Boxed, because nearly always it is nothing: four words that say so, handed from function to function, were half of what a
/// timeout cost.
pub(crate) struct Aside(Option<Box<Cancelled>>);

impl Aside {
    /// Gives what was thrown since.
    #[inline]
    pub(crate) fn exchange(self) -> Option<Box<Cancelled>> {
        seldom()
    }
}

#[inline]
fn seldom() -> Option<Box<Cancelled>> {
    #[cold]
    fn boxed() -> Option<Box<Cancelled>> {
        thrown().map(Box::new)
    }
    if noted(THROWN) { boxed() } else { None }
}

impl Drop for Aside {
    #[inline]
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            throw(*before);
        }
    }
}

/// Notes that a join has returned pending, instead of making it a frame; false if that will not do.
///
/// It will if the join is given the very waker of the task: then every poll of the task comes by here, so that one more
/// poll finds it when a cancellation arrives. Who polls it with a waker of its own does so only when that was called.
#[inline]
pub(crate) fn hide_join(waker: &Waker) -> bool {
    let hides = is_own_waker(waker) && !with_frames(|frames| frames.is_some_and(Frames::exposes));
    if hides {
        note(HIDDEN, true);
    }
    hides
}

/// True if `hide_join` has noted one.
#[inline]
pub(crate) fn has_hidden_joins() -> bool {
    noted(HIDDEN)
}

/// True if `hide_join` has noted one; forgets it.
#[inline]
pub(crate) fn take_hidden_joins() -> bool {
    let hidden = noted(HIDDEN);
    if hidden {
        note(HIDDEN, false);
    }
    hidden
}

/// Notes that `hide_join` has noted one.
#[inline]
pub(crate) fn put_hidden_joins(hidden: bool) {
    if hidden {
        note(HIDDEN, true);
    }
}

/// Notes whether a cancellation was thrown that has not landed yet.
pub(crate) fn note_held(held: bool) {
    note(HELD, held);
}

/// If `task` is the one being polled on this thread, notes that it asked for its own cancellation, or took that back.
pub(crate) fn cancels_itself(task: NonNull<Header>, cancels: bool) {
    if CONTEXT.with(|context| context.task.get()) == Some(task) {
        note(CANCELLED_ITSELF, cancels);
    }
}
