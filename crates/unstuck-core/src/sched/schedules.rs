//! The assembled scheduler under thousands of random schedules (shuttle).
//!
//! A schedule in which everybody sleeps or waits is a deadlock and fails the test. A failure prints the schedule:
//! `SHUTTLE_REPLAY=<schedule>` with the test's name runs it again, step by step the same. `SHUTTLE_SCHEDULES` says how
//! many to try.

use std::env;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use super::Scheduler;
use crate::LocalLoop;
use crate::driver::{Driver, Park, ThreadDriver, Unpark};
use crate::guard::{GuardConfig, Replacement, StallPolicy, Watched};
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

/// A driver with a paused clock: when nothing can happen before the next deadline, it jumps there.
struct Paused {
    inner: ThreadDriver,
    clock: Arc<PausedClock>,
}

#[derive(Default)]
struct PausedClock {
    sleepers: Mutex<Vec<Waker>>,
    jumps: AtomicUsize,
    /// Set when everybody means to sleep.
    may_jump: AtomicUsize,
}

struct PausedUnparker(Arc<dyn Unpark>);

impl Driver for Paused {
    fn park(&mut self, park: Park) {
        let mut sleepers = self.clock.sleepers.lock();
        if !park.quiescent || sleepers.is_empty() {
            drop(sleepers);
            return self.inner.park(park);
        }
        let woken = std::mem::take(&mut *sleepers);
        drop(sleepers);
        assert_eq!(self.clock.may_jump.load(Ordering::Relaxed), 1, "somebody is still awake");
        self.clock.jumps.fetch_add(1, Ordering::Relaxed);
        woken.into_iter().for_each(Waker::wake);
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        Arc::new(PausedUnparker(self.inner.unparker()))
    }
}

impl Unpark for PausedUnparker {
    fn unpark(&self) {
        self.0.unpark();
    }

    fn wants_quiescence(&self) -> bool {
        true
    }
}

#[test]
fn a_paused_clock_jumps_when_everybody_sleeps_and_not_before() {
    explore(|| {
        let clock = Arc::new(PausedClock::default());
        let driver = Paused { inner: ThreadDriver::new(), clock: clock.clone() };
        let scheduler = scheduler_in(2, Box::new(driver));
        let handle = scheduler.handle();
        scheduler.block_on(async {
            let mut asleep = false;
            let sleeper = handle.spawn(poll_fn({
                let clock = clock.clone();
                move |cx| {
                    if std::mem::replace(&mut asleep, true) {
                        return Poll::Ready(());
                    }
                    clock.sleepers.lock().push(cx.waker().clone());
                    Poll::Pending
                }
            }));
            for _ in 0..2 {
                yield_now().await;
                dawdle();
            }
            clock.may_jump.store(1, Ordering::Relaxed);
            sleeper.await.unwrap();
        });
        assert_eq!(clock.jumps.load(Ordering::Relaxed), 1);
        assert!(scheduler.shutdown(None));
    });
}

/// What the guard's monitor does, without its clock: whatever is in a poll may be stuck.
fn rescue_at_random(shared: &Arc<super::Shared>, is_over: impl Fn() -> bool) {
    let mut replaced = vec![None; shared.seats()];
    while !is_over() {
        for (seat, replaced) in replaced.iter_mut().enumerate() {
            let Some(sight) = shared.sight(seat) else { continue };
            shared.take_from(seat, &|_| false);
            shared.sort(&|_| false);
            let served = !Watched::has_work(shared) || shared.wake_sleeper();
            if served || *replaced == Some(sight.epoch) {
                continue;
            }
            if shared.replace(seat, sight.epoch) == Replacement::AtWork {
                *replaced = Some(sight.epoch);
            }
        }
        thread::yield_now();
    }
}

#[test]
fn tasks_behind_stuck_workers_run_once_and_the_workers_come_back() {
    explore(|| {
        let hour = Duration::from_secs(3600);
        let guard = GuardConfig {
            policy: StallPolicy::Rescue,
            threshold: hour, // the real monitor looks on
            max_rescue: Some(2),
            keep_alive: Duration::from_millis(500), // on the models' clock: at any moment, or never
            ..GuardConfig::default()
        };
        let config = super::Config { workers: 2, guard, ..super::Config::default() };
        let scheduler = Scheduler::new(&config, Box::new(ThreadDriver::new()));
        scheduler.start().unwrap();
        let handle = scheduler.handle();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let runs = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for _ in 0..2 {
            let (gate, runs) = (gate.clone(), runs.clone());
            tasks.push(handle.spawn(async move {
                // Lies in the slot of a worker that is about to be stuck.
                let child = crate::spawn({
                    let runs = runs.clone();
                    async move { runs.fetch_add(1, Ordering::Relaxed) }
                });
                {
                    let mut open = gate.0.lock();
                    while !*open {
                        gate.1.wait(&mut open);
                    }
                }
                child.await.unwrap();
                runs.fetch_add(1, Ordering::Relaxed);
            }));
        }
        tasks.push(handle.spawn({
            let gate = gate.clone();
            async move {
                *gate.0.lock() = true;
                gate.1.notify_all();
            }
        }));
        let over = Arc::new(AtomicUsize::new(0));
        let monitor = {
            let (shared, over) = (scheduler.shared.clone(), over.clone());
            thread::spawn(move || rescue_at_random(&shared, || over.load(Ordering::Relaxed) == 1))
        };
        scheduler.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
        over.store(1, Ordering::Relaxed);
        monitor.join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 4);
        assert!(scheduler.shutdown(None));
    });
}
