//! Who works and who waits: the one place where a job and a worker process find each other.
//!
//! Each worker process has a *keeper*, a thread that starts it, gives it jobs one at a time, and waits for it when it
//! ends. (A thread each, because the kernel kills a child when the very thread that started it ends: as long as there
//! is a keeper, there may be a process, and not longer.) The roster says what a keeper does next, and whom a new job goes
//! to. It never sees a process: keepers are seats and numbers here, jobs are whatever they are.
//!
//! ```text
//!            submit: no idle seat, room left                     queue empty
//!   nobody ─────────────────────────────────▶ busy ─────────────────────────────▶ idle
//!      ▲                                        ▲          submit takes the youngest │
//!      │                                        └────────────────────────────────────┤
//!      └── leave: idle for the keep-alive and more than `min` of us, or closed ──────┘
//! ```
//! Promises: a job is queued only while every seat is busy, so it is never left behind while one is idle, also if the keeper
//! that it was to have cannot be made · who is off the idle list has been given a job, and waits for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use unstuck_core::job::{Doubled, sweep};
use unstuck_core::sync::{Condvar, Mutex, wait_for};

/// How many keepers there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// So many stay, however idle they are.
    pub(crate) min: usize,
    pub(crate) max: usize,
}

/// A shorter queue is not worth a sweep. (A job here may have megabytes of arguments.)
const SHORT: usize = 16;

pub(crate) struct Roster<S, J> {
    rules: Rules,
    state: Mutex<State<S, J>>,
    /// A keeper has left.
    left: Condvar,
}

struct State<S, J> {
    queue: VecDeque<J>,
    /// When to look for jobs in it that were given up.
    doubled: Doubled,
    /// The youngest last: it is called first, so that the others get old and leave.
    idle: Vec<Arc<S>>,
    /// Every seat with a keeper.
    seats: Vec<Arc<S>>,
    /// Keepers that exist, or are about to.
    keepers: usize,
    closed: bool,
}

/// What to do with a job.
pub(crate) enum Call<S, J> {
    /// It waits for a keeper. These were given up, and are to be dropped.
    Queued(Vec<J>),
    /// Give it to this seat, which was idle.
    Idle(Arc<S>, J),
    /// Make a keeper for it.
    New(J),
    /// The pool has shut down.
    Closed(J),
}

/// What becomes of a job whose keeper could not be made.
#[must_use = "a job may be in it"]
pub(crate) enum NotMade<S, J> {
    /// Give it to this seat, which has become idle meanwhile.
    Idle(Arc<S>, J),
    /// Those who are busy will take it; or there was none.
    Queued,
    /// Nobody is left to take these.
    Stranded(Vec<J>),
}

/// What a keeper does next.
pub(crate) enum Next<J> {
    Job(J),
    /// It is on the idle list: wait for the bell.
    Wait,
    /// The pool has shut down and nothing is queued.
    Leave,
}

impl<S, J> Roster<S, J> {
    pub(crate) fn new(rules: Rules) -> Self {
        let state = State {
            queue: VecDeque::new(),
            doubled: Doubled::from(SHORT),
            idle: Vec::new(),
            seats: Vec::new(),
            keepers: 0,
            closed: false,
        };
        Self { rules, state: Mutex::new(state), left: Condvar::new() }
    }

    pub(crate) fn submit(&self, job: J, gone: impl Fn(&J) -> bool) -> Call<S, J> {
        let mut state = self.state.lock();
        if state.closed {
            return Call::Closed(job);
        }
        if let Some(seat) = state.idle.pop() {
            return Call::Idle(seat, job);
        }
        if state.keepers < self.rules.max {
            state.keepers += 1;
            return Call::New(job);
        }
        state.queue.push_back(job);
        let mut swept = Vec::new();
        if state.doubled.is(state.queue.len()) {
            swept = sweep(&mut state.queue, gone);
            let left = state.queue.len();
            state.doubled.swept(left);
        }
        Call::Queued(swept)
    }

    /// Room for one of the `min` keepers that stay; false if there are enough of them.
    pub(crate) fn another(&self) -> bool {
        let mut state = self.state.lock();
        let wanted = !state.closed && state.keepers < self.rules.min;
        state.keepers += usize::from(wanted);
        wanted
    }

    /// A keeper could not be made, for `job` or to be idle.
    pub(crate) fn not_made(&self, job: Option<J>) -> NotMade<S, J> {
        let mut state = self.state.lock();
        state.keepers -= 1;
        state.queue.extend(job);
        self.left.notify_all();
        if state.keepers == 0 {
            return NotMade::Stranded(state.queue.drain(..).collect());
        }
        // Since the job was submitted somebody may have become idle, and would sleep on with the job in the queue.
        if let Some(job) = state.queue.pop_front() {
            match state.idle.pop() {
                Some(seat) => return NotMade::Idle(seat, job),
                None => state.queue.push_front(job),
            }
        }
        NotMade::Queued
    }

    pub(crate) fn arrived(&self, seat: &Arc<S>) {
        self.state.lock().seats.push(seat.clone());
    }

    /// The keeper of `seat` is gone. Gives jobs that nobody is left to do, and true if a keeper should take its place.
    pub(crate) fn gone(&self, seat: &Arc<S>) -> bool {
        let mut state = self.state.lock();
        state.seats.retain(|other| !Arc::ptr_eq(other, seat));
        state.idle.retain(|other| !Arc::ptr_eq(other, seat));
        state.keepers -= 1;
        let needed = !state.queue.is_empty() && state.keepers < self.rules.max;
        state.keepers += usize::from(needed);
        self.left.notify_all();
        needed
    }

    /// What the keeper of `seat`, which has no job, does next.
    pub(crate) fn next(&self, seat: &Arc<S>) -> Next<J> {
        let mut state = self.state.lock();
        if let Some(job) = state.queue.pop_front() {
            return Next::Job(job);
        }
        if state.closed {
            return Next::Leave;
        }
        state.idle.push(seat.clone());
        Next::Wait
    }

    /// The idle keeper of `seat` asks whether it is to leave: because the pool is closed, or, if it is `old`, because
    /// there are more than `min`. False also if it is about to be given a job.
    pub(crate) fn may_leave(&self, seat: &Arc<S>, old: bool) -> bool {
        let mut state = self.state.lock();
        let Some(at) = state.idle.iter().position(|other| Arc::ptr_eq(other, seat)) else { return false };
        let may = state.closed || (old && state.keepers > self.rules.min);
        if may {
            state.idle.remove(at);
        }
        may
    }

    /// True while the seat is on the idle list: nobody is about to give it a job.
    pub(crate) fn is_idle(&self, seat: &Arc<S>) -> bool {
        self.state.lock().idle.iter().any(|other| Arc::ptr_eq(other, seat))
    }

    /// Takes no more jobs. Gives the idle seats, to be rung, and the queued jobs if they are not to be done.
    pub(crate) fn close(&self, cancel_pending: bool) -> (Vec<Arc<S>>, Vec<J>) {
        let mut state = self.state.lock();
        state.closed = true;
        let queued = if cancel_pending { state.queue.drain(..).collect() } else { Vec::new() };
        (state.idle.clone(), queued)
    }

    /// Waits until no keeper is left, or for `limit`. True if none is.
    pub(crate) fn wait_until_empty(&self, limit: Option<Duration>) -> bool {
        let until = limit.and_then(|limit| std::time::Instant::now().checked_add(limit));
        let mut state = self.state.lock();
        while state.keepers > 0 {
            match until.map(|until| until.saturating_duration_since(std::time::Instant::now())) {
                None => self.left.wait(&mut state),
                Some(left) if left.is_zero() => return false,
                Some(left) => wait_for(&self.left, &mut state, left),
            }
        }
        true
    }

    /// Every seat with a keeper.
    pub(crate) fn seats(&self) -> Vec<Arc<S>> {
        self.state.lock().seats.clone()
    }

    /// Keepers, idle ones among them, queued jobs.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        (state.keepers, state.idle.len(), state.queue.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { min: 1, max: 2 };

    fn seat(roster: &Roster<u32, &'static str>, id: u32) -> Arc<u32> {
        let seat = Arc::new(id);
        roster.arrived(&seat);
        seat
    }

    fn submit(roster: &Roster<u32, &'static str>, job: &'static str) -> Call<u32, &'static str> {
        roster.submit(job, |_| false)
    }

    #[test]
    fn jobs_go_to_the_youngest_idle_seat_then_to_new_ones_then_to_the_queue() {
        let roster = Roster::new(RULES);
        assert!(matches!(submit(&roster, "a"), Call::New("a")));
        assert!(matches!(submit(&roster, "b"), Call::New("b")));
        assert!(matches!(submit(&roster, "c"), Call::Queued(_)));
        let (one, two) = (seat(&roster, 1), seat(&roster, 2));
        assert!(matches!(roster.next(&one), Next::Job("c")));
        assert!(matches!(roster.next(&two), Next::Wait));
        assert!(matches!(roster.next(&one), Next::Wait));
        assert!(matches!(submit(&roster, "d"), Call::Idle(young, "d") if Arc::ptr_eq(&young, &one)));
        assert!(!roster.may_leave(&one, true), "it has been given a job");
    }

    #[test]
    fn idle_keepers_leave_until_the_least_number_is_reached() {
        let roster = Roster::new(RULES);
        assert!(roster.another() && !roster.another());
        assert!(matches!(submit(&roster, "a"), Call::New("a")));
        let (one, two) = (seat(&roster, 1), seat(&roster, 2));
        assert!(matches!(roster.next(&one), Next::Wait));
        assert!(matches!(roster.next(&two), Next::Wait));
        assert!(roster.may_leave(&one, true));
        assert!(!roster.gone(&one), "nothing is queued for another");
        assert!(!roster.may_leave(&two, true));
        assert_eq!(roster.counts(), (1, 1, 0));
    }

    #[test]
    fn a_closed_roster_refuses_jobs_and_its_keepers_do_what_is_queued_and_leave() {
        let roster = Roster::new(RULES);
        let _ = (submit(&roster, "a"), submit(&roster, "b"), submit(&roster, "c"));
        let (one, two) = (seat(&roster, 1), seat(&roster, 2));
        assert!(roster.close(false).1.is_empty());
        assert!(matches!(submit(&roster, "d"), Call::Closed("d")));
        assert!(matches!(roster.next(&one), Next::Job("c")));
        assert!(matches!(roster.next(&two), Next::Leave));
        assert!(!roster.gone(&two));
        assert!(matches!(roster.next(&one), Next::Leave));
        assert!(!roster.gone(&one) && roster.wait_until_empty(None));
    }

    #[test]
    fn a_job_without_any_keeper_comes_back() {
        let roster: Roster<u32, _> = Roster::new(RULES);
        assert!(matches!(submit(&roster, "a"), Call::New("a")));
        assert!(matches!(roster.not_made(Some("a")), NotMade::Stranded(jobs) if jobs == ["a"]));
        assert_eq!(roster.counts(), (0, 0, 0));
    }

    #[test]
    fn a_job_whose_keeper_could_not_be_made_goes_to_one_that_has_become_idle_meanwhile() {
        let roster = Roster::new(RULES);
        assert!(matches!(submit(&roster, "a"), Call::New("a")));
        let one = seat(&roster, 1);
        assert!(matches!(submit(&roster, "b"), Call::New("b")));
        assert!(matches!(roster.next(&one), Next::Wait), "a is done, and b's keeper is still to be made");
        assert!(matches!(roster.not_made(Some("b")), NotMade::Idle(idle, "b") if Arc::ptr_eq(&idle, &one)));
        assert!(!roster.may_leave(&one, true), "it has been given a job");
        assert_eq!(roster.counts(), (1, 0, 0));
    }

    #[test]
    fn a_job_whose_keeper_could_not_be_made_waits_for_those_that_are_busy() {
        let roster = Roster::new(RULES);
        let _ = (submit(&roster, "a"), submit(&roster, "b"));
        let one = seat(&roster, 1);
        assert!(matches!(roster.not_made(Some("b")), NotMade::Queued));
        assert!(matches!(roster.next(&one), Next::Job("b")));
    }

    #[test]
    fn a_keeper_that_is_lost_while_jobs_are_queued_is_replaced() {
        let roster = Roster::new(RULES);
        let _ = (submit(&roster, "a"), submit(&roster, "b"), submit(&roster, "c"));
        let one = seat(&roster, 1);
        assert!(roster.gone(&one));
        assert_eq!(roster.counts(), (2, 0, 1));
    }
}
