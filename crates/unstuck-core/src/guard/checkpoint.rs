//! A place in a long computation where others may have a turn.
//!
//! A task that computes holds its worker until it awaits something that is not ready. Going to the back of the queue in
//! every round would be polite and slow (40 ns alone, and a full trip through the queue on a busy worker); never going
//! there is what the guard reports. Promise: *a checkpoint costs two loads while nobody minds, and a poll that has lasted
//! for a tick of the guard's monitor yields at its next one.*
//!
//! No clock is read on a guarded worker: the monitor, which has one, leaves the number of the poll that it has seen at
//! two ticks beside the worker's heartbeat. Where nobody watches (guard off, the single-threaded loop, `block_on`,
//! another runtime) a checkpoint reads the clock itself. It cannot know there when the poll began, so it counts from the
//! first checkpoint that the thread passed since the last one that yielded: one yield too many now and then, and never
//! one too few.

#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::context;
use crate::sched::Worker;
use crate::sync::{Instant, thread_local};

/// How long a thread that nobody watches computes before it yields: what it is under the guard, unless set otherwise.
const SLICE: Duration = Duration::from_micros(2_500);

thread_local! {
    /// The first checkpoint that this thread passed after the last yield.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Lets others have a turn if this poll has taken long; otherwise it is ready at once.
pub fn checkpoint() -> Checkpoint {
    Checkpoint { yielded: false }
}

/// The future of [`checkpoint`].
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or spawn them"]
pub struct Checkpoint {
    yielded: bool,
}

impl Future for Checkpoint {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded || !is_due() {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[inline]
fn is_due() -> bool {
    context::with_worker(|worker| worker.and_then(Worker::is_overdue)).unwrap_or_else(is_due_by_the_clock)
}

#[cold]
fn is_due_by_the_clock() -> bool {
    SINCE.with(|since| match since.get() {
        None => {
            since.set(Some(Instant::now()));
            false
        }
        Some(begun) => {
            let due = begun.elapsed() >= SLICE;
            if due {
                since.set(None);
            }
            due
        }
    })
}
