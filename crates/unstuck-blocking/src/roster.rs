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
//! 3. *No more calls than jobs.* A called thread counts as arriving until its next visit. While as many arrive as jobs
//!    are queued no sleeper is called, so a burst of short jobs, which those already awake eat up, wakes few.
//! 4. *Look before you rest.* A thread spins, parks or leaves only in the very visit in which it found the queue empty.
//! 5. *The oldest parked thread waits for the keep-alive, the others without limit.* When it leaves it appoints the
//!    next. So an idle pool has one timer, however many threads it has, and in the end no thread.
//!
//! # Why no job is left behind
//! After each visit: *as many threads arrive as jobs are queued, or nobody is left to call* (none is idle, none may be
//! started). `submit` establishes it. Taking a job keeps it: it shortens the queue by one, and the arriving by at most
//! one. Resting keeps it by rule 4: with an empty queue there is nothing to say. Only a thread that was counted on and
//! cannot be made breaks it, and [`Roster::start_failed`] mends that in the same visit. Arriving and running threads
//! both visit again, so every queued job has a visitor to come. models.rs runs this through every interleaving, and
//! shows that it fails without rule 4.
//!
//! # What we dropped
//! * A condition variable for all (tokio's and smol's pools): it wakes the longest waiter, which keeps all threads of a
//!   burst alive, and each of them needs its own time limit.
//! * Handing the job to the called thread: see rule 1.
//! * A call for every job, whoever arrives: batches of 16 empty jobs took two to five times as long. Fewer calls than
//!   jobs (one for 2, 4 or 8, arrivals call the rest): no faster, and 500 threads came up later.
//!
//! The stack of idle threads and the counting of those on their way follow Go's scheduler.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use unstuck_core::sync::Mutex;

use crate::seat::{Seat, Waited};

/// Deliberate faults, to show that the models would notice them.
pub(crate) const SOUND: u8 = 0;
pub(crate) const PARKS_WITHOUT_LOOKING: u8 = 1;
pub(crate) const LEAVES_WITHOUT_LOOKING: u8 = 2;

/// The jobs that wait for threads and the threads that wait for jobs.
pub(crate) struct Roster<T, const FAULT: u8 = SOUND> {
    rules: Rules,
    inner: Mutex<Inner<T>>,
}

/// What does not change during a roster's life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// No more threads than this.
    pub(crate) max_threads: usize,
    /// How long the oldest idle thread waits before it leaves.
    pub(crate) keep_alive: Duration,
    /// The longest spin before parking; zero never spins.
    pub(crate) spin: Duration,
}

struct Inner<T> {
    queue: VecDeque<T>,
    /// Sleeping threads: the oldest first, the youngest last.
    parked: Vec<Arc<Seat>>,
    /// The one thread that is idle but awake.
    spinner: Option<Arc<Seat>>,
    /// Threads that were called (or started) and have not visited since.
    arriving: usize,
    /// All threads, arriving ones included.
    threads: usize,
    /// How long the next spin may last: halved by each in vain, restored when spinning (would have) paid.
    spin: Duration,
    closed: bool,
}

/// What the submitter has to do now that the lock is free.
#[must_use = "a thread that was counted as called must be woken or started"]
pub(crate) enum Call {
    /// Nothing: enough threads are on their way, or all are busy.
    Nobody,
    /// Unpark this one.
    Wake(Arc<Seat>),
    /// Start a thread; if that fails, say so with [`Roster::start_failed`].
    Start,
}

/// What a thread does next.
enum Next<T> {
    Run(T),
    Spin(Duration),
    Park,
    Leave,
}

/// Why a thread asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// It has just started, or finished a job.
    Ready,
    /// It has spun.
    Spun,
    /// It has parked.
    Parked(Waited),
}

/// What is to be done about a thread that could not be started.
#[must_use]
pub(crate) enum Failed<T> {
    /// Other threads will take the jobs; call this one, if any.
    Others(Call),
    /// There is no thread at all: nobody will ever run these.
    Alone(VecDeque<T>),
}

/// What is left to do when a roster closes.
#[must_use]
pub(crate) struct Closed<T> {
    /// The jobs that no thread will run.
    pub(crate) pending: VecDeque<T>,
    /// Threads to unpark: they leave when the queue is empty.
    pub(crate) idle: Vec<Arc<Seat>>,
}

/// How many do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) threads: usize,
    pub(crate) idle: usize,
    pub(crate) arriving: usize,
    pub(crate) queued: usize,
}

impl<T, const FAULT: u8> Roster<T, FAULT> {
    pub(crate) fn new(rules: Rules) -> Self {
        let inner = Inner {
            queue: VecDeque::new(),
            parked: Vec::new(),
            spinner: None,
            arriving: 0,
            threads: 0,
            spin: rules.spin,
            closed: false,
        };
        Self { rules, inner: Mutex::new(inner) }
    }

    /// Queues a job. Gives it back if the roster is closed.
    pub(crate) fn submit(&self, job: T) -> Result<Call, T> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(job);
        }
        inner.queue.push_back(job);
        Ok(inner.call(self.rules.max_threads))
    }

    /// A thread's working life: runs jobs until it is time to leave. The thread has been counted by the [`Call::Start`]
    /// that started it; when this returns it is counted no more.
    pub(crate) fn work(&self, seat: &Arc<Seat>, mut run: impl FnMut(T)) {
        let mut asks = Asks::Ready;
        loop {
            match self.next(seat, asks) {
                Next::Run(job) => {
                    run(job);
                    asks = Asks::Ready;
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

        let looks = match asks {
            Asks::Spun => FAULT != PARKS_WITHOUT_LOOKING,
            Asks::Parked(Waited::InVain) => FAULT != LEAVES_WITHOUT_LOOKING,
            _ => true,
        };
        if looks {
            if let Some(job) = inner.queue.pop_front() {
                return Next::Run(job);
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

    /// A thread that [`Call::Start`] asked for could not be made.
    pub(crate) fn start_failed(&self) -> Failed<T> {
        let mut inner = self.inner.lock();
        inner.threads -= 1;
        inner.arriving -= 1;
        if inner.threads == 0 {
            return Failed::Alone(std::mem::take(&mut inner.queue));
        }
        // Call another in its place, but do not start one: that would fail too.
        Failed::Others(inner.call(0))
    }

    /// Takes no more jobs. Threads leave when the queue is empty, which `discard` brings about now.
    pub(crate) fn close(&self, discard: bool) -> Closed<T> {
        let mut inner = self.inner.lock();
        inner.closed = true;
        let idle = std::mem::take(&mut inner.parked);
        for seat in idle.iter().chain(&inner.spinner) {
            seat.call();
        }
        inner.arriving += idle.len() + usize::from(inner.spinner.take().is_some());
        let pending = if discard { std::mem::take(&mut inner.queue) } else { VecDeque::new() };
        Closed { pending, idle }
    }

    pub(crate) fn counts(&self) -> Counts {
        let inner = self.inner.lock();
        Counts {
            threads: inner.threads,
            idle: inner.parked.len() + usize::from(inner.spinner.is_some()),
            arriving: inner.arriving,
            queued: inner.queue.len(),
        }
    }
}

impl<T> Inner<T> {
    /// Rules 2 and 3: who is to come for the jobs in the queue?
    fn call(&mut self, max_threads: usize) -> Call {
        if let Some(seat) = self.spinner.take() {
            seat.call();
            self.arriving += 1;
            return Call::Nobody;
        }
        if self.arriving >= self.queue.len() {
            return Call::Nobody;
        }
        if let Some(seat) = self.parked.pop() {
            seat.call();
            self.arriving += 1;
            return Call::Wake(seat);
        }
        if self.threads < max_threads {
            self.threads += 1;
            self.arriving += 1;
            return Call::Start;
        }
        Call::Nobody
    }

    /// Rule 5: the oldest goes, the next becomes the oldest and has to look at the clock.
    fn remove_oldest(&mut self) {
        self.parked.remove(0);
        if let Some(next) = self.parked.first() {
            next.set_oldest(true);
            // Under the lock, which costs others a few µs once in a keep-alive, and spares every caller a case.
            next.unpark();
        }
    }

    /// Adjusts how long to spin: a pool whose jobs come far apart should not burn a core's time after each.
    fn learn(&mut self, asks: Asks, called: bool, longest: Duration) {
        match asks {
            Asks::Spun if called => self.spin = longest,
            Asks::Spun => {
                self.spin = if self.spin > SHORTEST_SPIN { self.spin / 2 } else { Duration::ZERO };
            }
            Asks::Parked(Waited::Called { soon: true }) => self.spin = longest,
            Asks::Parked(_) | Asks::Ready => {}
        }
    }
}

/// Below this, spinning gives up altogether until a parked thread is called so soon that it would have paid.
const SHORTEST_SPIN: Duration = Duration::from_micros(5);
