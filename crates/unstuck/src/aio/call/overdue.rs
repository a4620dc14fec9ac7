//! Calls whose time has passed when they are asked for: they come at once, in the order of their times.
//!
//! A timer that lies in the future takes its place in the wheel, which keeps the order. One that has passed never goes
//! there: its task is ready with its first poll, and tasks come in the order in which they were made. So such a call
//! takes a ticket with its time on it, and waits until nobody has an earlier one.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use unstuck_core::job::contain;
use unstuck_core::sync::Mutex;
use unstuck_time::Instant;

/// The overdue calls of a runtime, the earliest time first.
#[derive(Clone, Default)]
pub(crate) struct Overdue(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    line: BTreeMap<Ticket, Option<Waker>>,
    taken: u64,
}

/// A time, and a number that keeps calls of one time in the order in which they were asked for.
type Ticket = (Instant, u64);

/// A place in the line. Awaiting it waits for one's turn; dropping it gives the turn to the next.
pub(crate) struct Turn {
    overdue: Overdue,
    ticket: Ticket,
}

impl Overdue {
    /// Takes a ticket for a call that should have come at `when`.
    pub(crate) fn line_up(&self, when: Instant) -> Turn {
        let mut state = self.0.lock();
        state.taken += 1;
        let ticket = (when, state.taken);
        state.line.insert(ticket, None);
        drop(state);
        Turn { overdue: self.clone(), ticket }
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.overdue.0.lock();
        let first = state.line.keys().next() == Some(&self.ticket);
        let old = if first { None } else { state.line.insert(self.ticket, Some(waker)).flatten() };
        drop(state);
        drop(old);
        if first { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.overdue.0.lock();
        let mine = state.line.remove(&self.ticket);
        let next = state.line.first_entry().and_then(|mut next| next.get_mut().take());
        drop(state);
        drop(mine);
        if let Some(waker) = next {
            contain("a waker", || waker.wake());
        }
    }
}
