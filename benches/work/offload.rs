//! The lesson: what happens to everyone else while some tasks compute or wait in a thread?
//!
//! A batch of jobs of 5 ms runs as tasks, and beside it a heartbeat sleeps 1 ms at a time and notes how late it wakes.
//! The job computes, or waits as a blocking call does; it does so inline in its task, in `to_thread`, or in `cpu`. The
//! batch's time says what the lane costs, the heartbeat's tail says who pays for it.
//!
//! What to expect. *Inline* on one thread, the heart stops for the whole batch: asyncio's stall. Inline on many
//! threads it stops as soon as every worker has a job, unless the runtime notices (unstuck's stall guard). *to_thread*
//! keeps the heart beating and lets all waits overlap; computing there only crowds the processors. *cpu* bounds what
//! computes to the processors there are; waiting there leaves them idle.

use crate::kit::compute::{calibrate, compute};
use crate::kit::heart::beside_a_heart;
use crate::kit::spread::Spread;
use crate::rt::Rt;
use std::fmt;
use std::time::{Duration, Instant};

/// What a job does for 5 ms.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Uses the processor.
    Computes,
    /// Sits in a call that waits.
    Waits,
}

/// Where a job does it.
#[derive(Clone, Copy)]
pub enum Lane {
    /// In the task's own poll.
    Inline,
    /// On the pool for closures that wait.
    ToThread,
    /// On the pool for closures that compute.
    Cpu,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Computes => "computes",
            Self::Waits => "waits",
        })
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inline => "inline",
            Self::ToThread => "in to_thread",
            Self::Cpu => "in cpu",
        })
    }
}

/// Every kind on every lane.
pub const CELLS: [(Kind, Lane); 6] = [
    (Kind::Computes, Lane::Inline),
    (Kind::Computes, Lane::ToThread),
    (Kind::Computes, Lane::Cpu),
    (Kind::Waits, Lane::Inline),
    (Kind::Waits, Lane::ToThread),
    (Kind::Waits, Lane::Cpu),
];

/// How many jobs a batch has.
pub const JOBS: usize = 8;

const JOB: Duration = Duration::from_millis(5);

/// Between two beats of the heart beside the batches.
pub const BEAT: Duration = Duration::from_millis(1);

fn job(kind: Kind) {
    match kind {
        Kind::Computes => drop(compute(JOB)),
        Kind::Waits => std::thread::sleep(JOB),
    }
}

/// Runs a batch of jobs, each in a task of its own, and waits for all.
async fn batch<R: Rt>(kind: Kind, lane: Lane) {
    let tasks = [(); JOBS].map(|()| {
        R::spawn(async move {
            match lane {
                Lane::Inline => job(kind),
                Lane::ToThread => R::to_thread(move || job(kind)).await,
                Lane::Cpu => R::cpu(move || job(kind)).await,
            }
        })
    });
    for task in tasks {
        task.await;
    }
}

/// How long so many batches take, one after another, with a heart beating beside them.
pub fn measure<R: Rt>(rt: &R, kind: Kind, lane: Lane, batches: u64) -> Duration {
    let work = async move {
        let start = Instant::now();
        for _ in 0..batches {
            batch::<R>(kind, lane).await;
        }
        start.elapsed()
    };
    calibrate();
    beside_a_heart::<R, _>(rt, BEAT, work).0
}

/// How long a batch takes, and how late the heart beats beside it, seen for about this long.
pub fn observe<R: Rt>(rt: &R, kind: Kind, lane: Lane, time: Duration) -> (Duration, Spread) {
    let work = async move {
        let start = Instant::now();
        let mut batches = 0;
        while start.elapsed() < time {
            batch::<R>(kind, lane).await;
            batches += 1;
        }
        start.elapsed() / batches
    };
    calibrate();
    beside_a_heart::<R, _>(rt, BEAT, work)
}

/// How late the heart beats while two tasks (one for each of two workers) block for 50 ms, yield, and block again.
pub fn beside_two_blockers<R: Rt>(rt: &R, time: Duration) -> Spread {
    let work = async move {
        let end = Instant::now() + time;
        let blockers = [(); 2].map(|()| {
            R::spawn(async move {
                while Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(50));
                    R::yield_now().await;
                }
            })
        });
        for blocker in blockers {
            blocker.await;
        }
    };
    beside_a_heart::<R, _>(rt, BEAT, work).1
}

/// How late the heart beats while two tasks (one for each of two workers) call a closure that is short 200 times, and then
/// blocks for 50 ms: what a runtime that trusts short closures must not pass on to others.
pub fn beside_a_turning_site<R: Rt>(rt: &R, time: Duration) -> Spread {
    let work = async move {
        let end = Instant::now() + time;
        let callers = [(); 2].map(|()| {
            R::spawn(async move {
                while Instant::now() < end {
                    for call in 0..=200 {
                        let blocks = if call == 200 { Duration::from_millis(50) } else { Duration::ZERO };
                        R::to_thread(move || {
                            if !blocks.is_zero() {
                                std::thread::sleep(blocks);
                            }
                        })
                        .await;
                    }
                }
            })
        });
        for caller in callers {
            caller.await;
        }
    };
    beside_a_heart::<R, _>(rt, BEAT, work).1
}
