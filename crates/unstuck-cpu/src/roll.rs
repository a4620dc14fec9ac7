//! Decides who works on the queue. Promise: **a queued job is never left behind while a thread that could run it has no
//! work, or while all that could run it wait for others and one more may be added.**
//!
//! # The picture
//! ```text
//!           submit: a shift is called              next: takes a job
//!   (rest) ──────────────────────────▶ arriving ─────────────────────▶ working ◀─┐ takes the next
//!     ▲                                                                 │  │ └────┘
//!     │                                             the queue is empty  │  │ its job waits for something
//!     └─────────────────────────────────────────────────────────────────┘  ▼
//!                                                                        waiting: it is not counted, another may come
//! ```
//! A *shift* is a closure that rayon runs on one of its threads: it takes jobs until the queue is empty. So a burst of
//! jobs costs rayon as many closures, and the kernel as many wake-ups, as there are threads, and not as there are jobs.
//!
//! # The rules
//! One lock guards the queue and the counts; every decision is one visit to it.
//! 1. *A job goes into the queue, then somebody is called for it*, unless as many shifts can go on as there are threads,
//!    or one is arriving already: **one wake-up a burst** is paid by the submitter.
//! 2. *Who arrives calls two more* if jobs are left, and they call two more each: all threads are up after a few wake-ups
//!    in a row, and the submitter has long gone on.
//! 3. *Look before you rest.* A shift ends only in the very visit in which it found the queue empty (or one too many at
//!    work, after a wait), or else calls another in its place: on a *worn* thread, which has run as many jobs as it may.
//! 4. *Who waits does not count.* Its place is taken by a shift on a free thread of the pool, else on an *extra* one. If no
//!    more may be added, and all that can run jobs wait, the queue stands still until one goes on. If none ever would, because
//!    all wait for jobs of this pool, the last one's wait is refused with an error (standstill.rs).
//! 5. *What jobs submit is mostly what they wait for*, so it has a queue of its own, which goes first three times out of
//!    four. Extra shifts take from that one only, unless nobody else goes on: if they began jobs from outside, which wait
//!    in their turn, a thousand such jobs would want a thousand threads.
//!
//! # Why no job is left behind
//! After each visit: *the queues are empty, or somebody arrives, or somebody is at work who comes back, or nobody may be
//! added.* Submitting and arriving establish it by rules 1 and 2; taking a job keeps it, since who took it
//! comes back; resting keeps it by rule 3, waiting by rule 4. models.rs runs this through every interleaving, and shows
//! that it fails when rule 2 or 3 is broken.
//!
//! # Shifts within shifts
//! A job that waits in rayon's way (`join`, `par_iter`) runs other work of its pool meanwhile, and that may be a shift. It
//! is a *guest* then: the thread is counted already, so the guest counts itself out, calls another in its place, runs one
//! job and lets the host go on.
//!
//! # What we dropped
//! * A closure given to rayon for each job: 16 empty jobs cost 16 wake-ups of threads that mostly find nothing.
//! * A call only when the first job has shown to be long, which would save a burst of short ones a wake-up: jobs may wait for
//!   each other where nobody sees it, at a barrier or on a channel, and would never meet.
//! * No queue of ours: nobody could take queued jobs back at once at a shutdown.
//! * To run other jobs on top of one that waits: the waiting one may be what *they* wait for, and lies beneath them.

mod answers;
mod standstill;
mod whom;

use std::collections::VecDeque;
use std::time::Duration;

use unstuck_core::job::{Doubled, sweep};
use unstuck_core::sync::{Condvar, Mutex, wait_for};

pub(crate) use self::answers::{Call, Counts, Kind, Rules};
pub(crate) use self::standstill::{Allowed, Goes};

/// Deliberate faults, to show that the models would notice them.
pub(crate) const SOUND: u8 = 0;
pub(crate) const CALLS_NOBODY_ON_ARRIVAL: u8 = 1;
pub(crate) const RESTS_WITHOUT_LOOKING: u8 = 2;
pub(crate) const LEAVES_WORN_WITHOUT_CALLING: u8 = 3;

/// Every so many jobs, one from outside goes before those that jobs have submitted: they may do so without end.
const OUTSIDE_TURN: u32 = 4;

/// A queue of this length is looked at for jobs that were given up.
const LONG: usize = 1_000;

/// The jobs that wait, and the shifts that take them. `R` is what is noted of a job that runs.
pub(crate) struct Roll<T, R, const FAULT: u8 = SOUND> {
    rules: Rules,
    inner: Mutex<Inner<T, R>>,
    /// Notified when the last closure of a closed roll is over.
    over: Condvar,
}

struct Inner<T, R> {
    /// Jobs from outside.
    queue: VecDeque<T>,
    /// Jobs that were submitted by jobs.
    nested: VecDeque<T>,
    /// When to look for jobs that were given up.
    doubled: Doubled,
    /// Jobs taken so far, for the turns of the two.
    taken: u32,
    /// A place for each job that runs.
    running: Vec<Option<R>>,
    free: Vec<usize>,
    /// Shifts that were called and have not begun.
    arriving: usize,
    /// Shifts on the pool's threads, arriving ones included; and on extra ones.
    main: usize,
    extra: usize,
    /// Shifts whose job waits.
    waiting: usize,
    /// Threads of the pool that wait, and not in a shift: in `install`, or in a piece of another thread's `par_iter`.
    lost: usize,
    /// Those who wait for jobs of this pool and nothing else, of both kinds.
    bound: usize,
    /// Jobs taken and waits ended so far.
    turns: u64,
    /// Closures that were given to rayon and are not over.
    open: usize,
    done: u64,
    closed: bool,
}

/// How a shift looks in.
#[derive(Clone, Copy)]
struct Visit {
    kind: Kind,
    first: bool,
    worn: bool,
}

/// How a shift goes on.
enum Next<T> {
    Run { job: T, place: usize, calls: [Call; 2] },
    Leave { last: bool, call: Call },
}

impl<T, R, const FAULT: u8> Roll<T, R, FAULT> {
    pub(crate) fn new(rules: Rules) -> Self {
        let inner = Inner {
            queue: VecDeque::new(),
            nested: VecDeque::new(),
            doubled: Doubled::from(LONG),
            taken: 0,
            running: Vec::new(),
            free: Vec::new(),
            arriving: 0,
            main: 0,
            extra: 0,
            waiting: 0,
            lost: 0,
            bound: 0,
            turns: 0,
            open: 0,
            done: 0,
            closed: false,
        };
        Self { rules, inner: Mutex::new(inner), over: Condvar::new() }
    }

    /// Queues a job; `nested` if a job of this pool submits it. Gives it back if the roll is closed. True with the call: it is time to [`sweep`](Self::sweep).
    pub(crate) fn submit(&self, job: T, nested: bool) -> Result<(Call, bool), T> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(job);
        }
        let long = inner.doubled.is(inner.queued());
        if nested { &mut inner.nested } else { &mut inner.queue }.push_back(job);
        if inner.on_their_way(&self.rules) > 0 {
            return Ok((Call::Nobody, long));
        }
        Ok((inner.call(&self.rules), long))
    }

    /// Takes jobs that are `gone` out of the queues, if there seem to be any; to be dropped.
    pub(crate) fn sweep(&self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        let mut inner = self.inner.lock();
        let mut swept = sweep(&mut inner.queue, &gone);
        swept.extend(sweep(&mut inner.nested, gone));
        let left = inner.queued();
        inner.doubled.swept(left);
        swept
    }

    /// A shift, from its call to its end. `note` says what to list of a job that runs, and `worn` that this thread must
    /// run no more; `send` makes calls. True if it was the last closure of a roll that has closed.
    pub(crate) fn work(
        &self,
        kind: Kind,
        worn: impl Fn() -> bool,
        note: impl Fn(&mut T) -> R,
        mut run: impl FnMut(T),
        send: impl Fn(Call),
    ) -> bool {
        let mut from = None;
        let mut visit = Visit { kind, first: true, worn: false };
        loop {
            visit.worn = worn();
            match self.next(visit, from, &note) {
                Next::Run { job, place, calls } => {
                    calls.into_iter().for_each(&send);
                    run(job);
                    from = Some(place);
                }
                Next::Leave { last, call } => {
                    send(call);
                    return last;
                }
            }
            visit.first = false;
        }
    }

    /// One visit of a shift: `from` is the place of the job it has just ended.
    fn next(&self, visit: Visit, from: Option<usize>, note: impl Fn(&mut T) -> R) -> Next<T> {
        let Visit { kind, first, worn } = visit;
        let _ended; // dropped after the lock
        let mut inner = self.inner.lock();
        _ended = from.and_then(|place| inner.ends(place));
        if first {
            inner.arriving -= 1;
            if kind.guest {
                inner.counts_out(kind);
            }
        }
        let rests = FAULT == RESTS_WITHOUT_LOOKING && !first;
        let job = if rests || worn { None } else { inner.take(&self.rules, kind, first) };
        let Some(mut job) = job else {
            if !kind.guest {
                inner.counts_out(kind);
            }
            // Whoever leaves although jobs are queued sees to it that somebody comes.
            let silent = rests || FAULT == LEAVES_WORN_WITHOUT_CALLING;
            let call = if silent { Call::Nobody } else { inner.call_if_nobody_comes(&self.rules) };
            let last = self.close_one(&mut inner);
            return Next::Leave { last, call };
        };
        inner.turns += 1;
        let calls = match first && FAULT != CALLS_NOBODY_ON_ARRIVAL {
            true => [inner.call_if_missing(&self.rules), inner.call_if_missing(&self.rules)],
            false => [Call::Nobody; 2],
        };
        let place = inner.begins(note(&mut job));
        Next::Run { job, place, calls }
    }

    /// An extra thread could not be made. Gives the queue back if nobody is left to run it, and true if that was the last
    /// closure of a roll that has closed.
    pub(crate) fn no_extra(&self) -> (VecDeque<T>, bool) {
        let mut inner = self.inner.lock();
        inner.arriving -= 1;
        inner.extra -= 1;
        let abandoned = match inner.able(&self.rules) {
            0 => inner.discard(),
            _ => VecDeque::new(),
        };
        (abandoned, self.close_one(&mut inner))
    }

    /// Something else is given to rayon that the end has to wait for. False if the roll is closed.
    pub(crate) fn open(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.open += usize::from(!inner.closed);
        !inner.closed
    }

    /// Ends what [`open`](Self::open) began. True if it was the last closure of a roll that has closed.
    pub(crate) fn close_opened(&self) -> bool {
        let mut inner = self.inner.lock();
        self.close_one(&mut inner)
    }

    fn close_one(&self, inner: &mut Inner<T, R>) -> bool {
        inner.open -= 1;
        let last = inner.closed && inner.open == 0;
        if last {
            self.over.notify_all();
        }
        last
    }

    /// Takes no more jobs; with `discard` gives back those that are queued.
    pub(crate) fn close(&self, discard: bool) -> VecDeque<T> {
        let mut inner = self.inner.lock();
        inner.closed = true;
        if discard { inner.discard() } else { VecDeque::new() }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }

    /// True if it has closed and nothing is open any more.
    pub(crate) fn is_over(&self) -> bool {
        let inner = self.inner.lock();
        inner.closed && inner.open == 0
    }

    /// Waits until a closed roll is over. False if `limit` passed before.
    pub(crate) fn wait_until_over(&self, limit: Duration) -> bool {
        let start = std::time::Instant::now();
        let mut inner = self.inner.lock();
        while inner.open > 0 {
            match limit.saturating_sub(start.elapsed()) {
                Duration::ZERO => return false,
                // A day at a time: some clocks cannot add Duration::MAX to now.
                left => wait_for(&self.over, &mut inner, left.min(Duration::from_secs(86_400))),
            }
        }
        true
    }

    pub(crate) fn counts(&self) -> Counts {
        let inner = self.inner.lock();
        Counts {
            queued: inner.queued(),
            running: inner.running.len() - inner.free.len(),
            done: inner.done,
            arriving: inner.arriving,
            able: inner.able(&self.rules),
        }
    }
}

impl<T, R: Clone, const FAULT: u8> Roll<T, R, FAULT> {
    /// What was noted of the jobs that run.
    pub(crate) fn running(&self) -> Vec<R> {
        self.inner.lock().running.iter().flatten().cloned().collect()
    }
}
