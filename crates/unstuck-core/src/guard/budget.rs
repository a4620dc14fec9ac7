//! So that a future which is always ready cannot keep its worker for itself.
//!
//! `loop { queue.get().await }` never gives way while the queue is never empty: each await is ready, and the poll goes on.
//! Promise: *a poll that lives on the runtime's own futures comes to an end before the guard calls it stuck*. Those
//! futures (tasks, jobs, sleeps, `Deferred`) ask here before they say that they are ready. When the poll has had its share they
//! say *pending* instead, and wake the task at once: it goes to the back of the queue and finds everything as it was.
//!
//! The share is a thousand ready awaits, and on a guarded worker also time: the monitor has left the number of the poll that it
//! has seen at two ticks beside the heartbeat, as for a [checkpoint](super::checkpoint()). The count lets others on long before
//! the monitor sees anything when awaits are short, the time when they are long (a thousand large rows). No clock is read: the
//! count stands for one poll while a worker's or loop's own count of polls stands still. So what happens on a single-threaded
//! loop does not depend on how fast the machine is. The main future of a multi-threaded runtime holds up nobody, and is not
//! counted.
//!
//! Giving way ends a poll only if whoever polls us hands our *pending* on. A foreign `block_on` inside of a task does not: it
//! polls us again, still in the same poll of the task, and would for ever. So of the answers to a poll that is out of time every
//! 128th is *go on*: such a call comes to its end, if slowly, and a poll of many futures of ours side by side still ends.
//!
//! At first a guarded worker went by the time alone, two loads instead of ten instructions. Then a task that joins ten thousand
//! others, half of which were stolen, runs into one that is not ready yet again and again, and is woken from the other core each
//! time; giving way now and then lets its worker finish its own share first. That was 2 to 3 % of the whole on two workers (CPU
//! time, interleaved), and looked like the guard's cost, because without a guard the awaits were counted.
//!
//! The idea is tokio's (`coop`, 2020), where every future of its own counts down from 128 in each poll. A count has to be set
//! back at each poll; ours finds out by itself that the poll is another one.

#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::context;
use crate::local::LocalLoop;
use crate::sync::thread_local;

/// Ready awaits in one poll. Giving way costs 40 ns or so, and so a thousandth of that for each. asyncio knows no such limit, so
/// it is one that programs which end do not notice.
const READY: u32 = 1_000;

/// So often in one poll somebody gives way before one may go on all the same. Few enough that a call that is polled again and again
/// gets on (some microseconds for each of its awaits); so many that futures which wait side by side hardly ever notice.
const IN_VAIN: u32 = 127;

thread_local! {
    /// The poll that this thread was in when it asked last, and how often it has asked in it.
    static ASKED: Cell<(u64, u32)> = const { Cell::new((0, 0)) };

    /// The poll in which this thread gave way last for want of time, and how often it has in it.
    static GAVE_WAY: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
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
        Some(worker) if worker.is_hurried() => may_help(worker.polls()),
        Some(worker) => is_one_too_many(worker.polls()),
        None => context::with_local(|local| local.map(LocalLoop::polls)).is_some_and(is_one_too_many),
    })
}

/// True if this poll has asked too often.
#[inline]
fn is_one_too_many(poll: u64) -> bool {
    ASKED.with(|asked| {
        let (before, times) = asked.get();
        let times = if before == poll { times + 1 } else { 1 };
        // Back to none when it is one too many: the count of polls may stand still afterwards, since a loop's main future is none of its tasks.
        let too_many = times > READY;
        asked.set((poll, if too_many { 0 } else { times }));
        too_many
    })
}

/// May it help that somebody gives way in this poll, which is out of time? False if it did not for many times.
#[cold]
fn may_help(poll: u64) -> bool {
    GAVE_WAY.with(|gave_way| {
        let (before, times) = gave_way.get();
        let times = if before == poll { times } else { 0 };
        let in_vain = times == IN_VAIN;
        gave_way.set((poll, if in_vain { 0 } else { times + 1 }));
        !in_vain
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
