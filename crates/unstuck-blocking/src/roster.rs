//! Decides who works and who waits. Promise: **a queued job is never left behind while a thread that could run it
//! waits, or while one more thread may be started.**
//!
//! # The picture
//! ```text
//!             submit: is called,              next: takes a job
//!   (nothing) ──────────────────▶ arriving ───────────────────▶ running ◀──────────────┐ takes a job
//!       ▲     or started for it       ▲ ▲                          │ the queue is empty │
//!       │                             │ └─────── called ─── spinning (at most one) ─────┤
//!       │                             │                            │ in vain            │
//!       │                             └───────── called ─── parked (a stack) ───────────┘
//!       └──────────────────────── the oldest, when the keep-alive has passed
//! ```
//!
//! # The rules
//! One lock guards the queue and the counts; every decision is one visit to it.
//! 1. *A job goes into the queue, then somebody is called for it.* Whoever is free first takes it, the called thread
//!    or one that happens to finish: a job handed to a sleeping thread would have to wait for that thread to wake.
//! 2. *Whom to call*: the spinning thread (costs no system call), else the youngest parked one (its stack is warm, and
//!    the old ones can go), else a new one, else nobody: all are busy, and who finishes looks at the queue.
//! 3. *No more calls than jobs that may begin* (lanes.rs says which do). A called thread counts as arriving until its
//!    next visit. While as many arrive no sleeper is called, so a burst of short jobs, which those already awake eat up,
//!    wakes few.
//!    New threads are made by new threads: who submits starts no more than `starters` at a time, and each of these, as the
//!    first thing that it does, starts up to two more while jobs lack threads. A thread costs some 20 µs to make, and a task
//!    that submits 500 calls is not to spend 10 ms of its poll on that.
//! 4. *Look before you rest.* A thread spins, parks or leaves only in the very visit in which it found the queue empty.
//! 5. *The oldest parked thread waits for the keep-alive, the others without limit.* When it leaves it appoints the
//!    next. So an idle pool has one timer, however many threads it has, and in the end no thread.
//! 6. *A thread whose job waits is absent.* Its job leaves its room, and one more thread than usual may be made, up to
//!    `max_lent`. When all are absent the queue stands still until one comes back. If none ever would, because all wait for
//!    jobs of this pool, the last one's wait is refused (standstill.rs).
//!
//! # Why no job is left behind
//! After each visit: *as many threads arrive as queued jobs may begin, or nobody is left to call* (none is idle, none
//! may be started), *or a thread has been started that has not begun yet*, and it will look. `submit` establishes it. Taking a job keeps it: it shortens the queue by one, and the arriving by at
//! most one. Resting keeps it by rule 4: when no job may begin there is nothing to say. A wait makes room, and calls for
//! it. Only a thread that was counted on and cannot be made breaks it, and [`Roster::start_failed`] mends that in the
//! same visit. Arriving and running threads both visit again, absent ones when their waits are over, and by rule 6 not all waits are
//! for each other, so every queued job has a visitor to come. models.rs runs this through every interleaving, and shows that it fails without rules 4
//! and 6.
//!
//! # What we dropped
//! * A condition variable for all (tokio's and smol's pools): it wakes the longest waiter, which keeps all threads of a
//!   burst alive, and each of them needs its own time limit.
//! * Handing the job to the called thread: see rule 1.
//! * A call for every job, whoever arrives: batches of 16 empty jobs took two to five times as long. Fewer calls of
//!   sleepers than jobs (one for 2, 4 or 8, arrivals call the rest): no faster.
//! * A chain of starters, each starting one: 500 threads came up later than if the submitter made them all. With two each it
//!   is a tree.
//!
//! # A queue with a bound
//! Where users' jobs may not queue without end, those that find no room can wait at the *door* (door.rs): each visit that
//! takes a job out of the queue lets the next one in. The same visits keep both promises, so nobody stands at the door while
//! there is room, and nobody overtakes those who do.
//!
//! The stack of idle threads and the counting of those on their way follow Go's scheduler.

mod answers;
mod door;
mod intake;
mod standstill;
mod whom;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use unstuck_core::sync::{Condvar, Mutex};

pub(crate) use self::answers::{Call, Closed, Counts, Failed, Refused, Rules, Submitted};
use self::door::Door;
pub(crate) use self::standstill::{Allowed, Goes};
use crate::lanes::{Lane, Lanes};
use crate::seat::{Seat, Waited};

/// Deliberate faults, to show that the models would notice them.
pub(crate) const SOUND: u8 = 0;
pub(crate) const PARKS_WITHOUT_LOOKING: u8 = 1;
pub(crate) const LEAVES_WITHOUT_LOOKING: u8 = 2;
pub(crate) const WAITS_WITHOUT_CALLING: u8 = 3;
pub(crate) const LETS_ALL_WAIT: u8 = 4;
pub(crate) const KEEPS_THE_DOOR_SHUT: u8 = 5;
pub(crate) const CALLS_NOBODY_ON_ARRIVAL: u8 = 6;
pub(crate) const REFUSES_AT_A_STANDSTILL: u8 = 7;

/// The jobs that wait for threads and the threads that wait for jobs.
pub(crate) struct Roster<T, const FAULT: u8 = SOUND> {
    rules: Rules,
    inner: Mutex<Inner<T>>,
    /// Notified when jobs come in from the door, for threads that have brought them.
    shorter: Condvar,
}

struct Inner<T> {
    lanes: Lanes<T>,
    /// Sleeping threads: the oldest first, the youngest last.
    parked: Vec<Arc<Seat>>,
    /// The one thread that is idle but awake.
    spinner: Option<Arc<Seat>>,
    /// Threads that were called (or started) and have not visited since.
    arriving: usize,
    /// Threads that were started and have not begun.
    starting: usize,
    /// All threads, arriving ones included.
    threads: usize,
    /// Threads whose job waits for another.
    absent: usize,
    /// Those of them that wait for a job of this pool, or for room in its queue, and nothing else.
    bound: usize,
    /// Jobs taken and waits ended so far: a pool in which this does not change stands still.
    turns: u64,
    /// Jobs that wait for a bounded queue to get shorter.
    door: Door<T>,
    /// Threads that have brought such jobs, and wait with them.
    bringers: usize,
    /// The longest queue so far.
    longest: usize,
    /// Tell when the queue gets this long.
    tell_at: usize,
    /// How long the next spin may last: halved by each in vain, restored when spinning (would have) paid.
    spin: Duration,
    closed: bool,
    /// Closed, and what was queued was given back: nothing begins any more.
    discards: bool,
}

/// What a thread does next.
enum Next<T> {
    /// Run this, after doing what the call says.
    Run(T, Lane, Call),
    Spin(Duration),
    Park,
    Leave,
}

/// Why a thread asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// It has just started, or finished a job of this lane.
    Ready(Option<Lane>),
    /// It has spun.
    Spun,
    /// It has parked.
    Parked(Waited),
}

impl<T, const FAULT: u8> Roster<T, FAULT> {
    pub(crate) fn new(rules: Rules) -> Self {
        let inner = Inner {
            lanes: Lanes::new(rules.max_threads, rules.reserved),
            parked: Vec::new(),
            spinner: None,
            arriving: 0,
            starting: 0,
            threads: 0,
            absent: 0,
            bound: 0,
            turns: 0,
            door: Door::new(),
            bringers: 0,
            longest: 0,
            tell_at: rules.high_water,
            spin: rules.spin,
            closed: false,
            discards: false,
        };
        Self { rules, inner: Mutex::new(inner), shorter: Condvar::new() }
    }

    /// The first thing that a started thread does, before its user's hooks: calls others where jobs lack threads.
    pub(crate) fn begins(&self) -> [Call; 2] {
        let mut inner = self.inner.lock();
        inner.starting -= 1;
        if FAULT == CALLS_NOBODY_ON_ARRIVAL {
            return [Call::Nobody, Call::Nobody];
        }
        [(); 2].map(|()| inner.call(&Rules { starters: usize::MAX, ..self.rules }))
    }

    /// A thread's working life: runs jobs until it is time to leave. The thread has been counted by the [`Call::Start`]
    /// that started it, and has [begun](Self::begins); when this returns it is counted no more. `answer` does what a [`Call`] asks for.
    pub(crate) fn work(&self, seat: &Arc<Seat>, answer: impl Fn(Call), mut run: impl FnMut(T, Lane)) {
        let mut asks = Asks::Ready(None);
        loop {
            match self.next(seat, asks) {
                Next::Run(job, lane, call) => {
                    answer(call);
                    run(job, lane);
                    asks = Asks::Ready(Some(lane));
                }
                Next::Spin(limit) => {
                    seat.spin(limit);
                    asks = Asks::Spun;
                }
                Next::Park => {
                    // What is seen awake so early was called in about half the time: waking takes as long as spinning.
                    let soon = 2 * self.rules.spin;
                    asks = Asks::Parked(seat.wait(self.rules.keep_alive, soon));
                }
                Next::Leave => return,
            }
        }
    }

    /// One visit of a thread: takes a job, or finds a place among the idle ones, or leaves.
    fn next(&self, seat: &Arc<Seat>, asks: Asks) -> Next<T> {
        let mut inner = self.inner.lock();
        let called = seat.answer();
        if called {
            inner.arriving -= 1;
        }
        let in_vain = asks == Asks::Parked(Waited::InVain) && !called;
        if in_vain {
            inner.remove_oldest();
        }
        if asks == Asks::Spun && !called {
            inner.spinner = None;
        }
        inner.learn(asks, called, self.rules.spin);
        if let Asks::Ready(Some(lane)) = asks {
            inner.lanes.leaves(lane);
        }

        let looks = match asks {
            Asks::Spun => FAULT != PARKS_WITHOUT_LOOKING,
            Asks::Parked(Waited::InVain) => FAULT != LEAVES_WITHOUT_LOOKING,
            _ => true,
        };
        if looks {
            if let Some((job, lane)) = self.take(&mut inner) {
                inner.turns += 1;
                // A job that ended may have made room for one of another lane than that which was taken.
                let silent = FAULT == CALLS_NOBODY_ON_ARRIVAL && asks == Asks::Ready(None);
                let more = inner.arriving < inner.lanes.ready() && !silent;
                let call = if more { inner.call(&self.rules) } else { Call::Nobody };
                return Next::Run(job, lane, call);
            }
        }
        if inner.closed || in_vain {
            inner.threads -= 1;
            return Next::Leave;
        }
        if asks != Asks::Spun && inner.spinner.is_none() && !inner.spin.is_zero() {
            inner.spinner = Some(seat.clone());
            return Next::Spin(inner.spin);
        }
        seat.set_oldest(inner.parked.is_empty());
        inner.parked.push(seat.clone());
        Next::Park
    }

    /// Takes the next job that may begin, and lets others in from the door for it.
    fn take(&self, inner: &mut Inner<T>) -> Option<(T, Lane)> {
        if inner.door.is_empty() || FAULT == KEEPS_THE_DOOR_SHUT {
            return inner.lanes.take();
        }
        if inner.lanes.lacks_users() {
            // The bound is 0: who has nothing to do takes one from the door itself.
            inner.let_in();
        }
        let taken = inner.lanes.take();
        inner.let_in_who_may(&self.rules);
        self.tell_bringers(inner);
        taken
    }

    /// Takes jobs that are `gone` out of the queue, if there seem to be any; to be dropped.
    pub(crate) fn sweep(&self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        let mut inner = self.inner.lock();
        let swept = inner.lanes.sweep(gone);
        if !swept.is_empty() {
            inner.tell_at = inner.lanes.queued().saturating_mul(2).max(self.rules.high_water);
            inner.let_in_who_may(&self.rules);
            self.tell_bringers(&inner);
        }
        swept
    }

    /// Somebody may have come in from the door.
    fn tell_bringers(&self, inner: &Inner<T>) {
        if inner.bringers > 0 {
            self.shorter.notify_all();
        }
    }

    /// A thread that [`Call::Start`] asked for could not be made.
    pub(crate) fn start_failed(&self) -> Failed<T> {
        let mut inner = self.inner.lock();
        inner.threads -= 1;
        inner.arriving -= 1;
        inner.starting -= 1;
        if inner.threads == inner.absent {
            let mut all = inner.lanes.drain();
            all.extend(inner.door.drain());
            self.tell_bringers(&inner);
            return Failed::Alone(all);
        }
        // Call another in its place, but do not start one: that would fail too.
        Failed::Others(inner.call_idle())
    }

    /// Takes no more jobs; those at the door are in. Threads leave when the queue is empty, which `discard` brings about
    /// now.
    pub(crate) fn close(&self, discard: bool) -> Closed<T> {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.discards |= discard;
        let idle = std::mem::take(&mut inner.parked);
        for seat in idle.iter().chain(&inner.spinner) {
            seat.call();
        }
        inner.arriving += idle.len() + usize::from(inner.spinner.take().is_some());
        while inner.let_in() {}
        let pending = if discard { inner.lanes.drain() } else { VecDeque::new() };
        self.shorter.notify_all();
        Closed { pending, idle }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }
}
