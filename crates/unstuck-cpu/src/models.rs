//! The roll in every interleaving:
//! `RUSTFLAGS="--cfg unstuck_loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p unstuck-cpu --lib` (not `--release`: the checked
//! arithmetic of the counts is part of the model).
//!
//! A model submits jobs while shifts come and go, on threads that the model starts for each call, as rayon would. It joins
//! all of them and looks whether a job was left behind. Faulty rolls must leave one.

use std::cell::Cell;
use std::sync::Arc;

use loom::thread::JoinHandle;
use unstuck_core::sync::{Mutex, thread};

use crate::roll::{
    CALLS_NOBODY_ON_ARRIVAL, Call, Kind, LEAVES_WORN_WITHOUT_CALLING, RESTS_WITHOUT_LOOKING, Roll, Rules,
    SOUND,
};

/// A pool of the model: the roll, what was done, and the threads that were started for shifts.
struct Pool<const FAULT: u8> {
    roll: Roll<u8, (), FAULT>,
    done: Mutex<Vec<u8>>,
    shifts: Mutex<Vec<JoinHandle<()>>>,
    /// How many of the jobs that meet have begun.
    met: Mutex<u8>,
    /// A thread is worn when it has run so many jobs.
    max_jobs: u8,
}

/// A job that waits for job 1, which it submits itself.
const WAITS: u8 = 9;

/// A job that waits for another one, which somebody else submits.
const WAITS_FOR_ANOTHERS: u8 = 7;

/// Jobs that go on when two of them have begun.
const MEETS: u8 = 8;

impl<const FAULT: u8> Pool<FAULT> {
    fn new(threads: usize) -> Arc<Self> {
        Self::with(threads, u8::MAX)
    }

    fn with(threads: usize, max_jobs: u8) -> Arc<Self> {
        Arc::new(Pool {
            roll: Roll::new(Rules { threads, max_extra: 1 }),
            done: Mutex::new(Vec::new()),
            shifts: Mutex::new(Vec::new()),
            met: Mutex::new(0),
            max_jobs,
        })
    }

    fn submit(self: &Arc<Self>, job: u8) {
        // Job 1 is submitted by another job.
        match self.roll.submit(job, job == 1) {
            Ok((call, _)) => self.answer(call),
            Err(_) => panic!("{job} was refused"),
        }
    }

    fn answer(self: &Arc<Self>, call: Call) {
        let extra = match call {
            Call::Nobody => return,
            Call::Main => false,
            Call::Extra => true,
        };
        let pool = self.clone();
        let shift = thread::spawn(move || {
            let kind = Kind { extra, guest: false };
            let ran = Cell::new(0);
            let run = |job| {
                pool.run(job);
                ran.set(ran.get() + 1);
            };
            pool.roll.work(kind, || ran.get() >= pool.max_jobs, |_| (), run, |call| pool.answer(call));
        });
        self.shifts.lock().push(shift);
    }

    fn run(self: &Arc<Self>, job: u8) {
        if job == MEETS {
            *self.met.lock() += 1;
            while *self.met.lock() < 2 {
                thread::yield_now();
            }
        }
        if job == WAITS || job == WAITS_FOR_ANOTHERS {
            if job == WAITS {
                self.submit(1);
            }
            let allowed = self.roll.waits(true, true, || Some(())).expect("one thread may be added");
            self.answer(allowed.call);
            while self.done.lock().is_empty() {
                thread::yield_now();
            }
            self.answer(self.roll.goes_on(true, true));
        }
        self.done.lock().push(job);
    }

    /// Joins every shift, and gives what was done.
    fn end(self: &Arc<Self>) -> Vec<u8> {
        loop {
            let Some(shift) = self.shifts.lock().pop() else { break };
            shift.join().unwrap();
        }
        let counts = self.roll.counts();
        assert_eq!((counts.arriving, counts.able, counts.running), (0, 0, 0), "{counts:?}");
        let mut done = self.done.lock().clone();
        done.sort_unstable();
        assert_eq!(counts.queued, 0, "a job is left behind; done: {done:?}");
        done
    }
}

fn two_submitters<const FAULT: u8>(threads: usize) {
    let pool = Pool::<FAULT>::new(threads);
    let other = pool.clone();
    let submitter = thread::spawn(move || other.submit(2));
    pool.submit(3);
    submitter.join().unwrap();
    assert_eq!(pool.end(), [2, 3]);
}

#[test]
fn jobs_submitted_while_a_shift_ends_are_not_left_behind() {
    loom::model(|| two_submitters::<SOUND>(1));
    loom::model(|| two_submitters::<SOUND>(2));
}

#[test]
fn a_job_that_waits_for_a_later_one_of_a_full_pool_gets_a_thread_beside_it() {
    loom::model(|| {
        let pool = Pool::<SOUND>::new(1);
        pool.submit(WAITS);
        assert_eq!(pool.end(), [1, WAITS]);
    });
}

#[test]
fn a_job_that_waits_for_one_from_outside_of_a_full_pool_gets_a_thread_beside_it() {
    loom::model(|| {
        let pool = Pool::<SOUND>::new(1);
        pool.submit(WAITS_FOR_ANOTHERS);
        pool.submit(2);
        assert_eq!(pool.end(), [2, WAITS_FOR_ANOTHERS]);
    });
}

#[test]
fn at_the_end_the_last_closure_says_so_once() {
    loom::model(|| {
        let pool = Pool::<SOUND>::new(2);
        pool.submit(2);
        pool.submit(3);
        assert!(pool.roll.close(false).is_empty());
        assert_eq!(pool.end(), [2, 3]);
        assert!(pool.roll.is_over());
        assert!(pool.roll.submit(4, false).is_err());
    });
}

/// A roll with a fault in it must leave a job behind in some interleaving.
#[track_caller]
fn must_fail(model: impl Fn() + Sync + Send + 'static) {
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| loom::model(model)));
    assert!(failed.is_err(), "the model does not notice the fault");
}

#[test]
fn a_shift_that_rests_without_looking_would_be_noticed() {
    must_fail(|| two_submitters::<RESTS_WITHOUT_LOOKING>(1));
}

fn two_that_meet<const FAULT: u8>() {
    let pool = Pool::<FAULT>::new(2);
    pool.submit(MEETS);
    pool.submit(MEETS);
    assert_eq!(pool.end(), [MEETS, MEETS]);
}

#[test]
fn two_jobs_run_at_the_same_time_on_two_threads() {
    loom::model(two_that_meet::<SOUND>);
}

#[test]
fn an_arrival_that_calls_nobody_would_be_noticed() {
    must_fail(two_that_meet::<CALLS_NOBODY_ON_ARRIVAL>);
}

fn two_jobs_on_threads_for_one_each<const FAULT: u8>() {
    let pool = Pool::<FAULT>::with(1, 1);
    pool.submit(2);
    pool.submit(3);
    assert_eq!(pool.end(), [2, 3]);
}

#[test]
fn a_shift_that_leaves_a_worn_thread_is_followed_by_another() {
    loom::model(two_jobs_on_threads_for_one_each::<SOUND>);
}

#[test]
fn a_shift_that_leaves_a_worn_thread_and_calls_nobody_would_be_noticed() {
    must_fail(two_jobs_on_threads_for_one_each::<LEAVES_WORN_WITHOUT_CALLING>);
}
