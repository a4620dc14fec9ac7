//! The assembled scheduler under thousands of random schedules (shuttle).
//!
//! A schedule in which everybody sleeps or waits is a deadlock and fails the test. A failure prints the schedule:
//! `SHUTTLE_REPLAY=<schedule>` with the test's name runs it again, step by step the same. `SHUTTLE_SCHEDULES` says how
//! many to try.

mod driver;
mod linger;
mod paused;
mod stuck;

use std::env;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use super::Scheduler;
use crate::LocalLoop;
use crate::driver::{Driver, ThreadDriver};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, thread};

/// Runs `body` under random schedules, and under half as many that seldom preempt but then to the point (Burckhardt et
/// al., "A randomized scheduler with probabilistic guarantees of finding bugs", 2010).
fn explore(body: fn()) {
    if let Ok(schedule) = env::var("SHUTTLE_REPLAY") {
        return shuttle::replay(body, &schedule);
    }
    let schedules = env::var("SHUTTLE_SCHEDULES").map_or(2_000, |text| text.parse().expect("a number"));
    let mut config = Config::default();
    config.stack_size = 256 * 1024;
    Runner::new(RandomScheduler::new(schedules), config.clone()).run(body);
    Runner::new(PctScheduler::new(3, schedules / 2), config).run(body);
}

fn scheduler(workers: usize) -> Scheduler {
    scheduler_in(workers, Box::new(ThreadDriver::new()))
}

fn scheduler_in(workers: usize, driver: Box<dyn Driver>) -> Scheduler {
    let config = super::Config { workers, ..super::Config::default() };
    let scheduler = Scheduler::new(&config, driver);
    scheduler.start().unwrap();
    dawdle();
    scheduler
}

/// Lets the others go on for a while, perhaps long enough to fall asleep.
fn dawdle() {
    for _ in 0..shuttle::rand::Rng::gen_range(&mut shuttle::rand::thread_rng(), 0..600) {
        thread::yield_now();
    }
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A place where one task waits for whoever has its waker.
#[derive(Default)]
struct Turn {
    number: AtomicUsize,
    wakers: Mutex<[Option<Waker>; 2]>,
}

impl Turn {
    /// Waits until the number is `mine` modulo two, then passes it on.
    async fn take(&self, mine: usize) {
        poll_fn(|cx| {
            let mut wakers = self.wakers.lock();
            if self.number.load(Ordering::Relaxed) % 2 != mine {
                wakers[mine] = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.number.fetch_add(1, Ordering::Relaxed);
            if let Some(other) = wakers[1 - mine].take() {
                other.wake();
            }
            Poll::Ready(())
        })
        .await;
    }
}

#[test]
fn a_tree_of_tasks_gives_its_sum() {
    fn tree(depth: usize) -> Pin<Box<dyn Future<Output = usize> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                return 1;
            }
            let left = crate::spawn(tree(depth - 1));
            let right = crate::spawn(tree(depth - 1));
            yield_now().await;
            left.await.unwrap() + right.await.unwrap()
        })
    }
    explore(|| {
        let scheduler = scheduler(2);
        assert_eq!(scheduler.block_on(scheduler.handle().spawn(tree(2))).unwrap(), 4);
        assert!(scheduler.shutdown(None));
    });
}

#[test]
fn a_thief_of_petty_tasks_naps_and_hears_that_all_is_over() {
    explore(|| {
        let scheduler = scheduler(2);
        let tasks = scheduler.handle().spawn(async {
            let tasks: Vec<_> = (0..4).map(|_| crate::spawn(async {})).collect();
            yield_now().await; // so that some of them can be stolen
            tasks.into_iter().for_each(crate::Task::detach);
        });
        scheduler.block_on(tasks).unwrap();
        assert!(scheduler.shutdown(None));
    });
}

#[test]
fn tasks_that_trickle_in_from_outside_all_run() {
    explore(|| {
        let scheduler = scheduler(2);
        let runs = Arc::new(AtomicUsize::new(0));
        let outside = [(); 2].map(|()| {
            let (handle, runs) = (scheduler.handle(), runs.clone());
            thread::spawn(move || {
                let run = |runs: Arc<AtomicUsize>| async move { runs.fetch_add(1, Ordering::Relaxed) };
                let tasks: Vec<_> = (0..5).map(|_| handle.spawn(run(runs.clone()))).collect();
                handle.block_on(async {
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            })
        });
        outside.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(runs.load(Ordering::Relaxed), 10);
        assert!(scheduler.shutdown(None));
    });
}

#[test]
fn tasks_that_wake_each_other_take_every_turn() {
    explore(|| {
        let scheduler = scheduler(2);
        let turn = Arc::new(Turn::default());
        let players = [0, 1].map(|me| {
            let turn = turn.clone();
            scheduler.handle().spawn(async move {
                for _ in 0..3 {
                    turn.take(me).await;
                }
            })
        });
        scheduler.block_on(async {
            for player in players {
                player.await.unwrap();
            }
        });
        assert_eq!(turn.number.load(Ordering::Relaxed), 6);
        assert!(scheduler.shutdown(None));
    });
}

#[test]
fn a_task_hears_a_wake_from_outside() {
    explore(|| {
        let scheduler = scheduler(2);
        let turn = Arc::new(Turn::default());
        let task = scheduler.handle().spawn({
            let turn = turn.clone();
            async move { turn.take(1).await }
        });
        dawdle();
        scheduler.block_on(turn.take(0));
        scheduler.block_on(task).unwrap();
        assert!(scheduler.shutdown(None));
    });
}

#[test]
fn a_task_that_blocks_its_worker_for_another_one_gets_it() {
    explore(|| {
        let scheduler = scheduler(2);
        let met = Arc::new((Mutex::new(0), Condvar::new()));
        let tasks = [0, 1].map(|_| {
            let met = met.clone();
            scheduler.handle().spawn(async move {
                let mut count = met.0.lock();
                *count += 1;
                met.1.notify_all();
                while *count < 2 {
                    met.1.wait(&mut count);
                }
            })
        });
        scheduler.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert!(scheduler.shutdown(None));
    });
}

#[test]
fn a_cancel_at_any_moment_drops_the_future_once() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    explore(|| {
        let scheduler = scheduler(2);
        let drops = Arc::new(AtomicUsize::new(0));
        let counts = Counts(drops.clone());
        let task = scheduler.handle().spawn(async move {
            let _counts = counts;
            for _ in 0..3 {
                yield_now().await;
            }
            5
        });
        let canceller = {
            let task = task.watch();
            thread::spawn(move || {
                dawdle();
                task.cancel()
            })
        };
        dawdle();
        let asked = task.cancel();
        match scheduler.block_on(task) {
            Ok(value) => assert_eq!(value, 5),
            Err(error) => assert!(error.is_cancelled()),
        }
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        let _ = (asked, canceller.join().unwrap());
        assert!(scheduler.shutdown(None));
        assert_eq!(scheduler.handle().task_count(), 0);
    });
}

#[test]
fn a_wake_from_outside_may_come_at_any_moment_of_the_shutdown() {
    explore(|| {
        let scheduler = scheduler(2);
        let handle = scheduler.handle();
        let turn = Arc::new(Turn::default());
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let turn = turn.clone();
                handle.spawn(async move {
                    turn.take(1).await;
                    pending::<()>().await;
                })
            })
            .collect();
        let outside = {
            let turn = turn.clone();
            thread::spawn(move || {
                dawdle();
                let waker = turn.wakers.lock()[1].take();
                if let Some(waker) = waker {
                    waker.wake_by_ref();
                    waker.wake();
                }
            })
        };
        let spawner = thread::spawn(move || {
            dawdle();
            handle.spawn(async { 1 })
        });
        dawdle();
        assert!(scheduler.shutdown(None));
        drop(scheduler);
        outside.join().unwrap();
        let late = spawner.join().unwrap();
        assert!(late.is_done(), "it gave its value, was cancelled, or was refused");
        assert!(tasks.iter().all(crate::Task::is_done));
    });
}

#[test]
fn several_threads_block_on_one_scheduler() {
    explore(|| {
        let scheduler = scheduler(2);
        let threads: Vec<_> = (0..2)
            .map(|i| {
                let handle = scheduler.handle();
                thread::spawn(move || {
                    dawdle();
                    let inner = handle.clone();
                    let task = handle.spawn(async move { inner.spawn(async move { i }).await.unwrap() + 1 });
                    assert_eq!(handle.block_on(task).unwrap(), i + 1);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(scheduler.shutdown(None));
    });
}

#[test]
fn a_single_threaded_loop_hears_everyone_and_ends() {
    explore(|| {
        let local = LocalLoop::new(Box::new(ThreadDriver::new()));
        let handle = local.handle();
        let turn = Arc::new(Turn::default());
        let other = {
            let (handle, turn) = (handle.clone(), turn.clone());
            thread::spawn(move || {
                dawdle();
                handle
                    .spawn(async move {
                        turn.take(0).await;
                        turn.take(0).await;
                        pending::<()>().await;
                    })
                    .detach();
            })
        };
        local.block_on(async {
            turn.take(1).await;
            turn.take(1).await;
        });
        local.shutdown();
        drop(local);
        other.join().unwrap();
        assert_eq!(handle.task_count(), 0);
    });
}
