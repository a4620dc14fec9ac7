//! Was it worth fetching? What a worker notes of the tasks that it takes from elsewhere.
//!
//! A task that is taken from another worker changes cores, and so does what it touches: its cell, its waker, memory that
//! another thread allocated, the task that awaits it. Many tasks are shorter than all that, and then the worker that
//! spawned them runs them faster than two workers do. So a worker adds up how long the tasks that it fetched kept it busy, in
//! one poll or in many, until there are enough of them to tell; and if they were petty it naps before it fetches again. Time
//! in which it only looked for more does not count: it would make any stream of petty tasks look worth while, if only they
//! come slowly. But who has slept begins anew: tasks that come one by one, now and then, are no stream of petty ones, and their
//! worker is not to nap when the next one lies behind a poll that blocks.
//!
//! Sixteen empty closures at once, awaited one by one, took 0.36 µs each on one worker, and 1.2 µs of either of two that took
//! them from each other: closures must compute half a microsecond before the second worker is a gain. So what was *stolen*
//! has to keep the thief busy for longer than what came from *outside*, which has to change cores anyway.

use std::time::Duration;

use crate::sched::queue::Injector;
use crate::sync::Instant;

/// So long a task from outside should keep the worker busy to be worth it: its lines change cores twice, 537 ns there and
/// back.
pub(super) const FROM_OUTSIDE: Duration = Duration::from_nanos(500);

/// So long one that was another worker's.
pub(super) const STOLEN: Duration = Duration::from_nanos(1_500);

/// So many tasks are needed to tell. A single one that comes from outside now and then is no stream of petty ones.
#[cfg(not(unstuck_shuttle))]
const TELLING: u32 = 16;
/// A model has but few tasks.
#[cfg(unstuck_shuttle)]
const TELLING: u32 = 2;

/// Tasks that were fetched since the last judgement.
#[derive(Clone, Copy, Default)]
pub(super) struct Haul {
    tasks: u32,
    /// How long they should keep the worker busy, all together.
    worth: Duration,
    /// How long they have kept the worker busy before `since`.
    spent: Duration,
    /// Since when they do so now, if they do.
    since: Option<Instant>,
}

impl Haul {
    /// So many more, to run from now on, and what each should be worth.
    pub(super) fn add(mut self, tasks: usize, worth: Duration) -> Self {
        let tasks = u32::try_from(tasks).unwrap_or(u32::MAX);
        self.tasks = self.tasks.saturating_add(tasks);
        self.worth = self.worth.saturating_add(worth.saturating_mul(tasks));
        self.since = self.since.or_else(|| Some(Instant::now()));
        self
    }

    /// Nothing is left of it. What remains of it until the next is added, and whether it was too petty to go on like that.
    pub(super) fn used_up(mut self) -> (Self, bool) {
        let Some(since) = self.since.take() else { return (self, false) };
        self.spent = self.spent.saturating_add(since.elapsed());
        if self.tasks < TELLING {
            return (self, false);
        }
        (Self::default(), self.spent < self.worth)
    }
}

/// So many tasks from outside are worth fetching, however petty they are.
const PLENTY: usize = 4 * Injector::BATCH;

/// Tasks that were fetched from outside at once.
#[derive(Clone, Copy)]
pub(super) struct Batch {
    tasks: u32,
    /// So many were left there.
    left: usize,
    since: Instant,
}

impl Batch {
    pub(super) fn fetched(tasks: usize, left: usize) -> Self {
        Self { tasks: u32::try_from(tasks).unwrap_or(u32::MAX), left, since: Instant::now() }
    }

    /// The worker is through with it, and so many are there now. True if it was petty, as one of a stream of which it would be
    /// better to take more at once.
    pub(super) fn is_of_a_trickle(self, now: usize) -> bool {
        let goes_on = now > self.left && now < PLENTY;
        goes_on && self.tasks >= TELLING && self.since.elapsed() < FROM_OUTSIDE.saturating_mul(self.tasks)
    }
}

#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests {
    use super::*;

    fn haul(tasks: u32, worth: Duration, spent: Duration) -> Haul {
        Haul { tasks, worth, spent, since: Some(Instant::now()) }
    }

    #[test]
    fn a_haul_is_petty_if_it_kept_the_worker_busy_for_less_than_it_is_worth() {
        // What passes while the test runs is added: so one case is far below, and the other just not.
        assert!(haul(TELLING, Duration::MAX, Duration::from_secs(1)).used_up().1);
        assert!(!haul(TELLING, Duration::from_secs(1), Duration::from_secs(1)).used_up().1);
    }

    #[test]
    fn fewer_are_kept_until_there_are_enough_to_tell() {
        let spent = Duration::from_micros(1);
        let (left, petty) = haul(TELLING - 1, Duration::MAX, spent).used_up();
        assert!(!petty && left.tasks == TELLING - 1 && left.since.is_none() && left.spent >= spent);
        let (left, petty) = left.add(1, STOLEN).used_up();
        assert!(
            petty && left.tasks == 0 && left.spent.is_zero() && left.worth.is_zero(),
            "the next begins anew"
        );
    }

    #[test]
    fn without_anything_new_there_is_nothing_to_judge() {
        let idle = Haul { since: None, ..haul(TELLING, Duration::MAX, Duration::ZERO) };
        assert_eq!((idle.used_up().1, idle.used_up().0.tasks), (false, TELLING));
    }

    #[test]
    fn a_batch_is_of_a_trickle_if_it_was_petty_and_a_little_more_has_come() {
        let now = Instant::now();
        let batch = |tasks| Batch { tasks, left: 3, since: now };
        assert!(batch(u32::MAX).is_of_a_trickle(4));
        assert!(!batch(u32::MAX).is_of_a_trickle(3), "nothing has come meanwhile");
        assert!(!batch(u32::MAX).is_of_a_trickle(PLENTY));
        assert!(!batch(TELLING - 1).is_of_a_trickle(4), "too few to tell");
        let long_ago = now.checked_sub(Duration::from_secs(1));
        let worth_while = long_ago.map(|since| Batch { since, ..batch(TELLING) });
        assert!(worth_while.is_none_or(|batch| !batch.is_of_a_trickle(4)));
    }

    #[test]
    fn what_was_stolen_must_be_worth_more_than_what_came_from_outside() {
        let haul = Haul::default().add(2, STOLEN).add(4, FROM_OUTSIDE);
        assert_eq!((haul.tasks, haul.worth), (6, Duration::from_micros(5)));
    }
}
