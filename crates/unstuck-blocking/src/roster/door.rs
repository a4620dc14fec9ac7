//! Who waits for a bounded queue to get shorter: jobs of tasks that await them, and jobs of threads that block, in the order
//! in which they came.
//!
//! Promise: *nobody overtakes.* While somebody stands here every newcomer is sent here, too, and whoever takes a job out of
//! the queue lets the first one in, in the same visit to the roster.
//!
//! A job that was given up by its waiter leaves an empty shell here. When the line has doubled, those are swept out; so a
//! task that tries again and again, with a timeout around each try, cannot make it grow without end (`job/sweep.rs` of
//! the core).

use std::collections::VecDeque;

use unstuck_core::job::{Doubled, sweep};

/// The line in front of a full queue.
pub(crate) struct Door<T> {
    line: VecDeque<Comer<T>>,
    /// How many of them were brought.
    bringers: usize,
    next: u64,
    doubled: Doubled,
}

/// A job in line.
pub(crate) struct Comer<T> {
    pub(crate) ticket: u64,
    pub(crate) job: T,
    /// A thread stands here with it.
    pub(crate) brought: bool,
}

/// A shorter line is not worth a sweep.
const SHORT: usize = 64;

impl<T> Door<T> {
    pub(crate) fn new() -> Self {
        Self { line: VecDeque::new(), bringers: 0, next: 0, doubled: Doubled::from(SHORT) }
    }

    /// Puts a job at the end of the line, `brought` by a thread that waits with it or not; gives its ticket, and the shells of those that `gone` says are not wanted any
    /// more, to be dropped without a lock.
    pub(crate) fn join(&mut self, job: T, brought: bool, gone: impl Fn(&T) -> bool) -> (u64, Vec<T>) {
        let mut swept = Vec::new();
        if self.doubled.is(self.line.len()) {
            swept = sweep(&mut self.line, |comer| !comer.brought && gone(&comer.job));
            self.doubled.swept(self.line.len());
        }
        let ticket = self.next;
        self.next += 1;
        self.bringers += usize::from(brought);
        self.line.push_back(Comer { ticket, job, brought });
        (ticket, swept.into_iter().map(|comer| comer.job).collect())
    }

    pub(crate) fn pop(&mut self) -> Option<Comer<T>> {
        let comer = self.line.pop_front()?;
        self.bringers -= usize::from(comer.brought);
        Some(comer)
    }

    /// Puts back whom [`pop`](Self::pop) gave.
    pub(crate) fn put_back(&mut self, comer: Comer<T>) {
        self.bringers += usize::from(comer.brought);
        self.line.push_front(comer);
    }

    /// How many threads stand in line.
    pub(crate) fn bringers(&self) -> usize {
        self.bringers
    }

    /// True if the one with this ticket is still in line.
    pub(crate) fn keeps(&self, ticket: u64) -> bool {
        self.line.front().is_some_and(|first| first.ticket <= ticket)
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.line.front().map(|first| &first.job)
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.bringers = 0;
        std::mem::take(&mut self.line).into_iter().map(|comer| comer.job)
    }

    pub(crate) fn len(&self) -> usize {
        self.line.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
}

#[cfg(test)]
#[cfg(not(unstuck_loom))]
mod tests {
    use super::*;

    #[test]
    fn those_in_line_come_out_in_order_and_know_when() {
        let mut door = Door::new();
        let tickets: Vec<_> = (0..3).map(|n| door.join(n, n == 0, |_| false).0).collect();
        assert_eq!((door.len(), door.first()), (3, Some(&0)));
        let first = door.pop().unwrap();
        assert_eq!((first.job, door.keeps(tickets[0]), door.keeps(tickets[1])), (0, false, true));
        assert_eq!(door.bringers(), 0);
        door.put_back(first);
        assert!(door.keeps(tickets[0]) && door.bringers() == 1);
        assert_eq!(door.drain().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(door.is_empty() && !door.keeps(tickets[2]));
    }

    #[test]
    fn a_line_of_those_who_gave_up_does_not_grow() {
        let mut door = Door::new();
        let mut swept = 0;
        for n in 0..10_000 {
            let (_, gone) = door.join(n, false, |&n| n > 0);
            swept += gone.len();
            assert!(door.len() <= SHORT + 1);
        }
        assert_eq!((door.first(), swept + door.len()), (Some(&0), 10_000));
    }
}
