//! Which queued jobs may begin, and which one is next. Only counts and queues: the roster holds the lock.
//!
//! # Two lanes over one set of threads
//! Users' jobs may run on `max` threads. When they fill those, a name look-up of the runtime's own would wait behind
//! them (asyncio: 2.5 s for a `getaddrinfo`). So `reserved` more threads may run, for the runtime's jobs alone:
//!
//! ```text
//!   general room: max           reserved room
//!   ┌─────────────────────┐    ┌─────────────┐
//!   │ users' jobs         │    │ own jobs    │
//!   │ own jobs beyond ────┼────┤             │
//!   └─────────────────────┘    └─────────────┘
//! ```
//!
//! Own jobs fill their reserved room first and share the general room with the users' by turns, so neither lane can
//! starve the other. A job that waits for another one leaves its room while it waits, and comes back whatever the room
//! is by then: the limits count jobs that run.

use std::collections::VecDeque;

use unstuck_core::job::sweep;

/// Whose job it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// A user's.
    Users,
    /// The runtime's own.
    Own,
}

/// The jobs of one pool that have no thread yet, and how many have one.
pub(crate) struct Lanes<T> {
    max: usize,
    reserved: usize,
    users: Line<T>,
    own: Line<T>,
    /// Both lanes have jobs for the general room: whose turn is it?
    own_turn: bool,
}

struct Line<T> {
    queue: VecDeque<T>,
    running: usize,
}

impl<T> Lanes<T> {
    pub(crate) fn new(max: usize, reserved: usize) -> Self {
        let line = || Line { queue: VecDeque::new(), running: 0 };
        Self { max, reserved, users: line(), own: line(), own_turn: true }
    }

    pub(crate) fn push(&mut self, job: T, lane: Lane) {
        self.line(lane).queue.push_back(job);
    }

    /// Takes back what [`push`](Self::push) added last.
    pub(crate) fn unpush(&mut self, lane: Lane) -> Option<T> {
        self.line(lane).queue.pop_back()
    }

    /// Takes the next job that may begin, and counts it as running.
    pub(crate) fn take(&mut self) -> Option<(T, Lane)> {
        let lane = if self.own.running < self.reserved && !self.own.queue.is_empty() {
            Lane::Own
        } else if self.general_free() == 0 {
            return None;
        } else if self.own.queue.is_empty() {
            Lane::Users
        } else if self.users.queue.is_empty() || self.own_turn {
            self.own_turn = false;
            Lane::Own
        } else {
            self.own_turn = true;
            Lane::Users
        };
        let line = self.line(lane);
        let job = line.queue.pop_front()?;
        line.running += 1;
        Some((job, lane))
    }

    /// A job of that lane has ended, or waits and leaves its room meanwhile.
    pub(crate) fn leaves(&mut self, lane: Lane) {
        self.line(lane).running -= 1;
    }

    /// A job of that lane that waited goes on.
    pub(crate) fn comes_back(&mut self, lane: Lane) {
        self.line(lane).running += 1;
    }

    /// How many of the queued jobs may begin now.
    pub(crate) fn ready(&self) -> usize {
        let in_reserved = self.own.queue.len().min(self.reserved.saturating_sub(self.own.running));
        in_reserved + (self.queued() - in_reserved).min(self.general_free())
    }

    /// There is room for a user's job, and none is queued.
    pub(crate) fn lacks_users(&self) -> bool {
        self.users.queue.is_empty() && self.general_free() > 0
    }

    pub(crate) fn queued(&self) -> usize {
        self.users.queue.len() + self.own.queue.len()
    }

    pub(crate) fn running(&self) -> usize {
        self.users.running + self.own.running
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.users.queue.front().or(self.own.queue.front())
    }

    /// Takes out everything that is queued.
    pub(crate) fn drain(&mut self) -> VecDeque<T> {
        let mut all = std::mem::take(&mut self.own.queue);
        all.append(&mut self.users.queue);
        all
    }

    /// Takes out jobs that are `gone`, if there seem to be any.
    pub(crate) fn sweep(&mut self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        let mut out = sweep(&mut self.users.queue, &gone);
        out.extend(sweep(&mut self.own.queue, gone));
        out
    }

    /// As many threads as jobs may ever run at once, those that wait not counted.
    pub(crate) fn room(&self) -> usize {
        self.max.saturating_add(self.reserved)
    }

    fn general_free(&self) -> usize {
        let own_beyond = self.own.running.saturating_sub(self.reserved);
        self.max.saturating_sub(self.users.running + own_beyond)
    }

    fn line(&mut self, lane: Lane) -> &mut Line<T> {
        match lane {
            Lane::Users => &mut self.users,
            Lane::Own => &mut self.own,
        }
    }
}

#[cfg(all(test, not(unstuck_loom)))]
mod tests {
    use super::*;

    fn taken(lanes: &mut Lanes<u8>) -> Vec<u8> {
        std::iter::from_fn(|| lanes.take().map(|(job, _)| job)).collect()
    }

    #[test]
    fn users_jobs_never_take_the_reserved_room() {
        let mut lanes = Lanes::new(2, 1);
        (0..5).for_each(|job| lanes.push(job, Lane::Users));
        assert_eq!(lanes.ready(), 2);
        assert_eq!(taken(&mut lanes), [0, 1]);
        lanes.push(9, Lane::Own);
        lanes.push(10, Lane::Own);
        assert_eq!(lanes.ready(), 1);
        assert_eq!(taken(&mut lanes), [9]);
        assert_eq!((lanes.ready(), lanes.queued(), lanes.running()), (0, 4, 3));
    }

    #[test]
    fn in_the_general_room_both_lanes_take_turns() {
        let mut lanes = Lanes::new(4, 1);
        (0..4).for_each(|job| lanes.push(job, Lane::Users));
        (10..14).for_each(|job| lanes.push(job, Lane::Own));
        assert_eq!(lanes.ready(), 5);
        assert_eq!(taken(&mut lanes), [10, 11, 0, 12, 1]);
    }

    #[test]
    fn a_job_that_waits_makes_room_and_comes_back_whatever_the_room() {
        let mut lanes = Lanes::new(1, 0);
        (0..3).for_each(|job| lanes.push(job, Lane::Users));
        assert_eq!(taken(&mut lanes), [0]);
        lanes.leaves(Lane::Users);
        assert_eq!(taken(&mut lanes), [1]);
        lanes.comes_back(Lane::Users);
        assert_eq!((lanes.running(), lanes.ready()), (2, 0));
        lanes.leaves(Lane::Users);
        assert_eq!(lanes.ready(), 0);
        lanes.leaves(Lane::Users);
        assert_eq!(taken(&mut lanes), [2]);
    }
}
