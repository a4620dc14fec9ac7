//! Polls that do not come back, and a monitor that helps.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Config, Scheduler, Shared};
use super::explore;
use crate::driver::{Driver, ThreadDriver};
use crate::guard::{GuardConfig, Replacement, StallPolicy, Watched};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, thread};

/// A scheduler whose own monitor looks on and does nothing.
pub(super) fn guarded(workers: usize, driver: Box<dyn Driver>) -> Scheduler {
    let guard = GuardConfig {
        policy: StallPolicy::Rescue,
        threshold: Duration::from_secs(3600),
        max_rescue: Some(2),
        keep_alive: Duration::from_millis(500), // on the models' clock: at any moment, or never
        ..GuardConfig::default()
    };
    let scheduler = Scheduler::new(&Config { workers, guard, ..Config::default() }, driver);
    scheduler.start().unwrap();
    scheduler
}

/// What the guard's monitor does, without its clock: whatever is in a poll may be stuck.
fn rescue_at_random(shared: &Arc<Shared>, is_over: impl Fn() -> bool) {
    let mut replaced = vec![None; shared.seats()];
    while !is_over() {
        for (seat, replaced) in replaced.iter_mut().enumerate() {
            let Some(sight) = shared.sight(seat) else { continue };
            shared.take_from(seat, &|_| false);
            shared.sort(&|_| false);
            shared.tend_driver();
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

/// Runs `f` while a monitor looks on.
pub(super) fn with_a_monitor(scheduler: &Scheduler, f: impl FnOnce()) {
    let over = Arc::new(AtomicUsize::new(0));
    let monitor = {
        let (shared, over) = (scheduler.shared.clone(), over.clone());
        thread::spawn(move || rescue_at_random(&shared, || over.load(Ordering::Relaxed) == 1))
    };
    f();
    over.store(1, Ordering::Relaxed);
    monitor.join().unwrap();
}

#[test]
fn tasks_behind_stuck_workers_run_once_and_the_workers_come_back() {
    explore(|| {
        let scheduler = guarded(2, Box::new(ThreadDriver::new()));
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
        with_a_monitor(&scheduler, || {
            scheduler.block_on(async {
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
        assert_eq!(runs.load(Ordering::Relaxed), 4);
        assert!(scheduler.shutdown(None));
    });
}
