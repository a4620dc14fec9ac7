//! What a poll leaves to its end: work that nearly always turns out to be unnecessary.
//!
//! Most timers are made and dropped within one poll (`select` of a sleep and something that is ready). Who would hang each
//! of them into a wheel, and clone a waker for it, does work for nothing. So a petal may *owe* it: note what is to be done,
//! in a place of its own, and be called back once at the end of the poll.
//!
//! Promises, as long as [`owe`] said yes:
//! * The creditor is called before the poll's end can be seen by anybody: before the task can be polled again, on
//!   whatever thread; also if the poll panics.
//! * It is called before another poll begins inside of this one, on the same thread. So what is owed always concerns
//!   the poll that is going on.
//! * It gets the waker with which that poll was begun.
//!
//! Only who is about to be woken by that very waker may owe. If the poll does not come back, its debts are not
//! paid; they concern nobody but the task that is stuck, and who else wants to be woken pays at once. So the guard has nothing
//! to do here.
//!
//! What it costs who owes nothing: one look a poll at a byte that is looked at anyway. One creditor a thread is enough
//! today; a second one would be refused, and would have to work without.

use std::task::Waker;

use super::{CLOSED, CONTEXT, OWES, is_own_waker, with_own_waker};

/// Makes `creditor` the one who is called on this thread at the end of polls that owe. False if there is another one. It
/// must not panic, and may use the waker as long as the call lasts.
pub fn lend(creditor: fn(&Waker)) -> bool {
    CONTEXT.with(|context| match context.creditor.get() {
        None => {
            context.creditor.set(Some(creditor));
            true
        }
        Some(other) => std::ptr::fn_addr_eq(other, creditor),
    })
}

/// The poll that is going on owes this thread's creditor something, if `waker` is the one that it was begun with. False if it
/// is another, or if no poll is going on: then what is to be done is to be done now.
///
/// Only after [`lend`] said yes on this thread.
#[inline]
#[must_use]
pub fn owe(waker: &Waker) -> bool {
    is_own_waker(waker)
        && CONTEXT.with(|context| {
            let notes = context.notes.get();
            let open = notes & CLOSED == 0;
            if open {
                context.notes.set(notes | OWES);
            }
            open
        })
}

/// Pays what the present poll owes, before its end.
#[inline]
pub fn settle() {
    if CONTEXT.with(|context| context.notes.get() & OWES != 0) {
        with_own_waker(pay);
    }
}

/// The same, by whoever has the waker at hand.
#[inline]
pub(crate) fn settle_with(waker: &Waker) {
    if CONTEXT.with(|context| context.notes.get() & OWES != 0) {
        pay(waker);
    }
}

/// The task has ended: what it still owes is paid now, and it can owe nothing more.
pub(crate) fn close(waker: &Waker) {
    settle_with(waker);
    CONTEXT.with(|context| context.notes.set(context.notes.get() | CLOSED));
}

#[cold]
fn pay(waker: &Waker) {
    let creditor = CONTEXT.with(|context| {
        context.notes.set(context.notes.get() & !OWES);
        context.creditor.get()
    });
    if let Some(creditor) = creditor {
        creditor(waker);
    }
}

#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests;
