//! Making tasks, and waiting for them.

use super::{Visitor, Workload, time_here, time_in_task};
use crate::kit::channel::{Latch, Mailbox};
use crate::rt::{Rt, in_task};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The group `spawn`.
pub fn all(visitor: &mut impl Visitor) {
    visitor.visit::<JoinManyInTask>();
    visitor.visit::<JoinManyInBlockOn>();
    visitor.visit::<SpawnAndAwait>();
    visitor.visit::<Chain>();
    visitor.visit::<Tree>();
    visitor.visit::<RemoteIdle>();
    visitor.visit::<RemoteBusy>();
    visitor.visit::<RemoteOne>();
    visitor.visit::<CancelPending>();
}

const MANY: usize = 10_000;

async fn join_many<R: Rt>() {
    let tasks: Vec<_> = (0..MANY).map(|_| R::spawn(async {})).collect();
    for task in tasks {
        task.await;
    }
}

/// A task spawns 10,000 empty ones, then awaits them in order.
pub struct JoinManyInTask;

impl Workload for JoinManyInTask {
    const NAME: &'static str = "spawn 10,000 and join";
    const OPS: u64 = MANY as u64;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, join_many::<R>)
    }
}

/// The same from the future of `block_on`, on a thread that is no worker.
pub struct JoinManyInBlockOn;

impl Workload for JoinManyInBlockOn {
    const NAME: &'static str = "spawn 10,000 and join, in block_on";
    const OPS: u64 = MANY as u64;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        rt.block_on(time_here(rounds, join_many::<R>))
    }
}

/// A task spawns one, awaits it, spawns the next.
pub struct SpawnAndAwait;

impl Workload for SpawnAndAwait {
    const NAME: &'static str = "spawn one, await it";
    const OPS: u64 = 1_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            for _ in 0..Self::OPS {
                R::spawn(async {}).await;
            }
        })
    }
}

/// 1,000 tasks, each spawned by the one before it; the last one reports.
pub struct Chain;

fn link<R: Rt>(left: u64, end: Mailbox) {
    R::detach(R::spawn(async move {
        match left {
            0 => end.send(0),
            _ => link::<R>(left - 1, end),
        }
    }));
}

impl Workload for Chain {
    const NAME: &'static str = "chain of spawns, 1,000 deep";
    const OPS: u64 = 1_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            let end = Mailbox::default();
            link::<R>(Self::OPS - 1, end.clone());
            end.receive().await;
        })
    }
}

/// Fan-out and fan-in: every task spawns ten and awaits them, three levels down, 1,110 tasks.
pub struct Tree;

fn node<R: Rt>(levels: u32) -> R::Task<u64> {
    R::spawn(async move {
        if levels == 0 {
            return 1;
        }
        let children: Vec<_> = (0..10).map(|_| node::<R>(levels - 1)).collect();
        let mut leaves = 0;
        for child in children {
            leaves += child.await;
        }
        leaves
    })
}

impl Workload for Tree {
    const NAME: &'static str = "fan-out and fan-in, 10 × 10 × 10";
    const OPS: u64 = 1_111;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            assert_eq!(node::<R>(3).await, 1_000);
        })
    }
}

/// A thread outside spawns 10,000 tasks into a runtime that had nothing to do, then awaits them.
pub struct RemoteIdle;

fn join_many_outside<R: Rt>(rt: &R) {
    let tasks: Vec<_> = (0..MANY).map(|_| rt.spawn_outside(async {})).collect();
    rt.block_on(async {
        for task in tasks {
            task.await;
        }
    });
}

impl Workload for RemoteIdle {
    const NAME: &'static str = "10,000 from outside, idle runtime";
    const OPS: u64 = MANY as u64;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..rounds {
            join_many_outside(rt);
        }
        start.elapsed()
    }
}

/// The same while two tasks keep the workers busy by yielding without end.
pub struct RemoteBusy;

impl Workload for RemoteBusy {
    const NAME: &'static str = "10,000 from outside, busy runtime";
    const OPS: u64 = MANY as u64;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        let stop = Arc::new(AtomicBool::new(false));
        let busy = [(); 2].map(|()| {
            let stop = stop.clone();
            rt.spawn_outside(async move {
                // Relaxed: only the flag itself is read, and a turn more or less does not matter.
                while !stop.load(Relaxed) {
                    R::yield_now().await;
                }
            })
        });
        let start = Instant::now();
        for _ in 0..rounds {
            join_many_outside(rt);
        }
        let took = start.elapsed();
        stop.store(true, Relaxed);
        for task in busy {
            rt.block_on(task);
        }
        took
    }
}

/// One task at a time from outside into a sleeping runtime, there and back: two thread wake-ups.
pub struct RemoteOne;

impl Workload for RemoteOne {
    const NAME: &'static str = "1 from outside, there and back";
    const OPS: u64 = 100;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..rounds * Self::OPS {
            in_task(rt, async {});
        }
        start.elapsed()
    }
}

/// 100,000 tasks wait for ever; a task cancels them. Measured until the last future has been dropped.
pub struct CancelPending;

struct CountedDrop(Latch);

impl Drop for CountedDrop {
    fn drop(&mut self) {
        self.0.count_down();
    }
}

async fn spawn_pending<R: Rt>(count: usize, dropped: &Latch) -> Vec<R::Task<()>> {
    let polled = Latch::new(count);
    let spawn = |_| {
        let (polled, guard) = (polled.clone(), CountedDrop(dropped.clone()));
        R::spawn(async move {
            let _guard = guard;
            polled.count_down();
            pending::<()>().await;
        })
    };
    let tasks = (0..count).map(spawn).collect();
    polled.wait().await;
    tasks
}

impl Workload for CancelPending {
    const NAME: &'static str = "cancel 100,000 pending";
    const OPS: u64 = 100_000;
    const BUDGET: Duration = Duration::from_millis(200);

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        in_task(rt, async move {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let dropped = Latch::new(100_000);
                let tasks = spawn_pending::<R>(100_000, &dropped).await;
                let start = Instant::now();
                tasks.into_iter().for_each(R::cancel);
                dropped.wait().await;
                took += start.elapsed();
            }
            took
        })
    }
}
