//! The roster in every interleaving:
//! `RUSTFLAGS="--cfg unstuck_loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p unstuck-blocking --lib` (not `--release`: the
//! checked arithmetic of the counts is part of the model).
//!
//! A model submits jobs while threads come, spin, park and leave, then closes the roster and joins all threads. A job
//! left behind shows as a deadlock or as a missing entry in `done`. Faulty rosters abort, so they run as children.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use loom::thread::JoinHandle;
use unstuck_core::sync::{Mutex, thread};

use crate::roster::{
    Call, Counts, Failed, LEAVES_WITHOUT_LOOKING, PARKS_WITHOUT_LOOKING, Roster, Rules, SOUND,
};
use crate::seat::Seat;

const FOREVER: Duration = Duration::MAX;
const SHORT: Duration = Duration::ZERO;
const SPINS: Duration = Duration::from_micros(100);
const NEVER: Duration = Duration::ZERO;

/// A pool of the model: the roster, what was done, and the threads that were started.
struct Pool<const FAULT: u8> {
    roster: Roster<u8, FAULT>,
    done: Mutex<Vec<u8>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<const FAULT: u8> Pool<FAULT> {
    fn new(max_threads: usize, keep_alive: Duration, spin: Duration) -> Arc<Self> {
        Arc::new(Pool {
            roster: Roster::new(Rules { max_threads, keep_alive, spin }),
            done: Mutex::new(Vec::new()),
            threads: Mutex::new(Vec::new()),
        })
    }

    fn submit(self: &Arc<Self>, job: u8) {
        let Ok(call) = self.roster.submit(job) else { panic!("refused {job}") };
        self.answer(call);
        self.check();
    }

    /// The invariant of roster.rs: as many threads arrive as jobs are queued, or nobody is left to call.
    fn check(&self) {
        let counts @ Counts { threads, idle, arriving, queued } = self.roster.counts();
        assert!(idle + arriving <= threads, "{counts:?}");
        assert!(queued <= arriving || idle == 0, "{counts:?}");
    }

    fn answer(self: &Arc<Self>, call: Call) {
        match call {
            Call::Nobody => {}
            Call::Wake(seat) => seat.unpark(),
            Call::Start => {
                let pool = self.clone();
                let thread = thread::spawn(move || {
                    let seat = Seat::new();
                    pool.roster.work(&seat, |job| pool.done.lock().push(job));
                });
                self.threads.lock().push(thread);
            }
        }
    }

    /// Closes, joins every thread, and looks at what is left.
    fn end(self: &Arc<Self>, expected: &[u8]) {
        let closed = self.roster.close(false);
        for seat in closed.idle {
            seat.unpark();
        }
        loop {
            let Some(thread) = self.threads.lock().pop() else { break };
            thread.join().unwrap();
        }
        let mut done = self.done.lock().clone();
        done.sort_unstable();
        assert_eq!(done, expected);
        assert_eq!(self.roster.counts(), Counts { threads: 0, idle: 0, arriving: 0, queued: 0 });
    }
}

/// Two jobs, one after the other, while the only thread works, spins, parks or leaves.
fn a_job_meets_the_last_thread<const FAULT: u8>(keep_alive: Duration, spin: Duration) {
    loom::model(move || {
        let pool = Pool::<FAULT>::new(1, keep_alive, spin);
        pool.submit(1);
        pool.submit(2);
        pool.end(&[1, 2]);
    });
}

#[test]
fn a_job_submitted_while_the_last_thread_parks_is_not_left_behind() {
    a_job_meets_the_last_thread::<SOUND>(FOREVER, NEVER);
}

#[test]
fn a_job_submitted_while_the_last_thread_spins_is_not_left_behind() {
    a_job_meets_the_last_thread::<SOUND>(FOREVER, SPINS);
}

#[test]
fn a_job_submitted_while_the_last_thread_leaves_is_not_left_behind() {
    a_job_meets_the_last_thread::<SOUND>(SHORT, NEVER);
    a_job_meets_the_last_thread::<SOUND>(SHORT, SPINS);
}

/// Two submitters and up to two threads.
fn two_submitters(keep_alive: Duration, spin: Duration) {
    loom::model(move || {
        let pool = Pool::<SOUND>::new(2, keep_alive, spin);
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.submit(1))
        };
        pool.submit(2);
        other.join().unwrap();
        pool.end(&[1, 2]);
    });
}

#[test]
fn two_submitters_and_two_threads_lose_nothing() {
    two_submitters(FOREVER, NEVER);
}

#[test]
fn two_submitters_and_two_leaving_threads_lose_nothing() {
    two_submitters(SHORT, NEVER);
}

#[test]
fn when_the_oldest_leaves_the_next_looks_at_the_clock() {
    // Without closing: every thread has to leave by itself, so each must have been appointed.
    loom::model(|| {
        let pool = Pool::<SOUND>::new(2, SHORT, NEVER);
        pool.submit(1);
        pool.submit(2);
        loop {
            let Some(thread) = pool.threads.lock().pop() else { break };
            thread.join().unwrap();
        }
        assert_eq!(pool.roster.counts(), Counts { threads: 0, idle: 0, arriving: 0, queued: 0 });
        pool.end(&[1, 2]);
    });
}

#[test]
fn a_job_that_counts_on_a_thread_that_cannot_be_made_finds_another() {
    loom::model(|| {
        let pool = Pool::<SOUND>::new(2, FOREVER, NEVER);
        pool.submit(1);
        let Ok(call) = pool.roster.submit(2) else { panic!("refused") };
        // Wherever the first thread is by now (it may have done job 2 and parked), job 3 counts on the second.
        pool.submit(3);
        match call {
            Call::Start => match pool.roster.start_failed() {
                Failed::Others(call) => pool.answer(call),
                Failed::Alone(jobs) => panic!("the first thread is gone: {jobs:?}"),
            },
            call => pool.answer(call),
        }
        pool.check();
        pool.end(&[1, 2, 3]);
    });
}

#[test]
fn closing_with_discard_gives_each_job_back_or_runs_it() {
    loom::model(|| {
        let pool = Pool::<SOUND>::new(1, FOREVER, SPINS);
        pool.submit(1);
        pool.submit(2);
        let closed = pool.roster.close(true);
        for seat in closed.idle {
            seat.unpark();
        }
        assert!(pool.roster.submit(3).is_err());
        pool.done.lock().extend(closed.pending);
        pool.end(&[1, 2]);
    });
}

/// Runs one of the ignored tests below in a process of its own; true if it failed.
fn fails(name: &str) -> bool {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(text.contains("running 1 test"), "no test is called {name}: {text}");
    !child.status.success()
}

#[test]
fn the_models_notice_a_roster_that_does_not_look_before_it_rests() {
    assert!(fails("models::faulty_parks_without_looking"));
    assert!(fails("models::faulty_leaves_without_looking"));
}

#[test]
#[ignore = "must fail; run by the test above"]
fn faulty_parks_without_looking() {
    a_job_meets_the_last_thread::<PARKS_WITHOUT_LOOKING>(FOREVER, SPINS);
}

#[test]
#[ignore = "must fail; run by the test above"]
fn faulty_leaves_without_looking() {
    a_job_meets_the_last_thread::<LEAVES_WITHOUT_LOOKING>(SHORT, NEVER);
}
