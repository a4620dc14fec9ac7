//! So that a future which is always ready cannot keep its worker for itself.
//!
//! `loop { queue.get().await }` never gives way while the queue is never empty: each await is ready, and the poll goes on.
//! Promise: *a poll that lives on the runtime's own futures comes to an end before the guard calls it stuck*. Those
//! futures (tasks, jobs, sleeps, `Deferred`) ask here before they say that they are ready. When the poll has had its share they
//! say *pending* instead, and wake the task at once: it goes to the back of the queue and finds everything as it was.
//!
//! On a guarded worker the share is time, and costs two loads to ask for: the monitor has left the number of the poll that it has
//! seen at two ticks beside the heartbeat, as for a [checkpoint](super::checkpoint()). Where nobody watches (guard off, the
//! single-threaded loop) it is a number of ready awaits, counted while a worker's or loop's count of polls stands still: no clock,
//! so that what happens on a single-threaded loop does not depend on how fast the machine is. The main future of a
//! multi-threaded runtime holds up nobody, and is not counted.
//!
//! The idea is tokio's (`coop`, 2020), where every future of its own counts down from 128 in each poll. A count has to be set
//! back at each poll, and says little about time: 128 channel receives are 5 µs, 128 large rows are 100 ms.

#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::context;
use crate::local::LocalLoop;
use crate::sync::thread_local;

/// Ready awaits in one poll, where nobody watches the time. asyncio knows no such limit, so it is one that programs which
/// end do not notice.
const READY: u32 = 1_000;

thread_local! {
    /// The poll that this thread was in when it asked last, and how often it has asked in it.
    static ASKED: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
}

/// A future that is ready asks: may the present poll go on? If not, the task has been woken, and the future must say
/// *pending* and be ready again at the next poll.
#[inline]
pub fn proceed(cx: &Context<'_>) -> Poll<()> {
    if is_spent() { give_way(cx) } else { Poll::Ready(()) }
}

#[cold]
fn give_way(cx: &Context<'_>) -> Poll<()> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

#[inline]
fn is_spent() -> bool {
    context::with_worker(|worker| match worker {
        Some(worker) => worker.is_overdue().unwrap_or_else(|| is_one_too_many(worker.polls())),
        None => context::with_local(|local| local.map(LocalLoop::polls)).is_some_and(is_one_too_many),
    })
}

/// True if this poll has asked too often.
#[cold]
fn is_one_too_many(poll: u64) -> bool {
    ASKED.with(|asked| {
        let (before, times) = asked.get();
        let times = if before == poll { times + 1 } else { 1 };
        // From the start: the count of polls may stand still afterwards, since a loop's main future is none of its tasks.
        asked.set((poll, times % (READY + 1)));
        times > READY
    })
}

/// Lets `future`, which comes from elsewhere, share in the budget: it is not polled any more when the present poll has had
/// its share.
pub fn budgeted<F: Future>(future: F) -> Budgeted<F> {
    Budgeted(Box::pin(future))
}

/// The future of [`budgeted`].
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or spawn them"]
pub struct Budgeted<F>(Pin<Box<F>>);

impl<F: Future> Future for Budgeted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        ready!(proceed(cx));
        self.0.as_mut().poll(cx)
    }
}
