//! A task that is likely to be woken at once is not parked first.
//!
//! Two tasks that send each other messages wake each other all the time: one wakes the other, returns pending, and is
//! woken by it right afterwards, on the same worker. To park it in between and to schedule it again are two
//! read-modify-writes of its word, half of what such a turn takes. So its worker keeps the runnable for the length of one more
//! poll: the task *lingers*. For everybody else it is what it was during its poll: scheduled.
//!
//! ```text
//!               returned pending, and has         woken by the poll that follows, on this thread
//!   polled ───► woken who is in the slot ──► lingers ─────────────────────────────────────────► in the slot
//!                                              │
//!                                              │ that poll is over; or it gives its thread away; or a thief comes
//!                                              └─────────────────────────────────────────────► parked, or queued if there is news
//! ```
//!
//! # Why nothing is lost, and nobody waits
//! *No wake-up is lost.* Who wakes or cancels a task that lingers, on another thread, leaves AGAIN or CANCEL in its word as
//! with one that is being polled. `State::pause` finds that when the task is parked in the end. If it is woken here first, it is
//! not parked, and what was left is found after a later poll: the slot is not served for longer than a fairness turn.
//!
//! *It does not wait behind a poll that blocks*, or not for longer than what lies in the slot: it is kept in a place like that,
//! and who comes to steal from the slot (`ages.rs`, the guard) parks who lingers as well. Without a guard that helps, nobody
//! might come, and so nobody lingers. Nor does it wait behind a call that the poll runs in place (`as_pool_thread` in
//! `context.rs`): it is parked before that.
//!
//! *Only in the middle of a conversation.* A task lingers if it came out of the slot, and so did the task before it. Whoever
//! wakes somebody once, who may then have a lot to do, is parked as ever: who else wakes him meanwhile finds him idle.
//!
//! # What it costs, and brings
//! Who does not converse pays for two glances a poll. A hundred pairs that play ping-pong on two workers take 26 ns a turn
//! where they took 35, one pair 38 where it took 52 (2-core Xeon VM).

use super::Worker;
use crate::context;
use crate::task::Runnable;

/// So many tasks in a row must have come out of the slot.
#[cfg(not(unstuck_shuttle))]
const CONVERSATION: u32 = 2;
/// A model has but few tasks.
#[cfg(unstuck_shuttle)]
const CONVERSATION: u32 = 1;

impl Worker {
    /// The task has returned pending, and nothing has happened to it yet. It lingers, or is parked.
    #[inline]
    pub(super) fn put_aside(&self, task: Runnable) {
        if self.lets_linger && self.streak.get() >= CONVERSATION && !self.pulse().slot.is_empty() {
            context::set_lingering(Some(task.header()));
            let none = self.pulse().lingering.put(task);
            debug_assert!(none.is_none(), "whoever lingered before has been seen to");
        } else if let Some(task) = task.park() {
            self.queue_again(task);
        }
    }

    /// The poll that came after a task's own is over, or is about to leave this thread to others: parks who lingers.
    #[inline]
    pub(crate) fn park_lingering(&self) {
        if !self.pulse().lingering.is_empty() {
            self.park_now();
        }
    }

    #[cold]
    fn park_now(&self) {
        if let Some(task) = self.take_lingering().and_then(Runnable::park) {
            // Woken by another thread: so it may be served by another, as if it had come from outside.
            self.local.push(task);
            self.shared.wake_one();
        }
    }

    /// The task that lingers here is woken on this thread: it runs next. False if a thief was faster.
    #[inline]
    pub(crate) fn wake_lingering(&self) -> bool {
        let task = self.take_lingering();
        let woken = task.is_some();
        if let Some(task) = task {
            self.push(task);
        }
        woken
    }

    #[inline]
    fn take_lingering(&self) -> Option<Runnable> {
        context::set_lingering(None);
        self.pulse().lingering.take()
    }
}
