//! What users and the system can do wrong.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

#[test]
fn a_thread_survives_every_panic_of_a_job() {
    /// Panics when dropped.
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the bomb went off (this test wants that)");
        }
    }
    let pool = small(1);
    let _ = pool.spawn(|| -> () { panic!("body (this test wants that)") }).wait();
    let bomb = Bomb;
    let error = pool.spawn(move || drop(bomb)).wait().unwrap_err();
    assert!(error.is_panic());
    // The value's destructor, with nobody left who wants the value.
    let mut gate = Gate::new();
    drop(pool.spawn(gate.job(Bomb)));
    // The closure's destructor, when it is cancelled.
    let bomb = Bomb;
    let queued = pool.spawn(move || std::mem::forget(bomb));
    assert!(queued.cancel());
    gate.open();
    assert_eq!(pool.spawn(|| "alive").wait().unwrap(), "alive");
    assert_eq!(pool.statistics().started, 1);
}

#[test]
fn hooks_run_once_a_thread() {
    let (starts, stops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (on_start, on_stop) = (starts.clone(), stops.clone());
    let pool = ThreadPool::builder()
        .max_threads(3)
        .on_start(move || {
            on_start.fetch_add(1, Ordering::SeqCst);
        })
        .on_stop(move || {
            on_stop.fetch_add(1, Ordering::SeqCst);
        })
        .build()
        .unwrap();
    let mut gate = Gate::new();
    let jobs: Vec<_> = (0..9).map(|_| pool.spawn(gate.job(()))).collect();
    until("three threads work", || pool.statistics().running == 3);
    assert_eq!((starts.load(Ordering::SeqCst), stops.load(Ordering::SeqCst)), (3, 0));
    gate.open();
    drop(jobs);
    pool.shutdown();
    assert_eq!((starts.load(Ordering::SeqCst), stops.load(Ordering::SeqCst)), (3, 3));
}

#[test]
fn panicking_hooks_are_survived_and_the_threads_counted_right() {
    let pool = ThreadPool::builder()
        .max_threads(2)
        .on_start(|| panic!("start hook (this test wants that)"))
        .on_stop(|| panic!("stop hook (this test wants that)"))
        .build()
        .unwrap();
    let jobs: Vec<_> = (0..10).map(|i| pool.spawn(move || i)).collect();
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<i32>(), 45);
    assert!(pool.shutdown_timeout(PATIENCE).is_complete());
    let statistics = pool.statistics();
    assert_eq!((statistics.threads, statistics.started), (0, statistics.ended));
}

#[test]
fn a_wrapper_that_misbehaves_costs_no_thread() {
    type Wrapper = fn(&mut dyn FnMut());
    let forgets: Wrapper = |_| {};
    let panics_before: Wrapper = |_| panic!("wrapper (this test wants that)");
    let panics_after: Wrapper = |run| {
        run();
        panic!("wrapper (this test wants that)");
    };
    let twice: Wrapper = |run| {
        run();
        run();
    };
    for wrapper in [forgets, panics_before, panics_after, twice] {
        let pool = ThreadPool::builder().around(wrapper).build().unwrap();
        assert_eq!(pool.spawn(|| 1).wait().unwrap(), 1);
        assert!(pool.shutdown_timeout(PATIENCE).is_complete());
        assert_eq!(pool.statistics().ended, 1);
    }
}

/// A pool whose threads can be made only while the switch is on.
fn fragile() -> (ThreadPool, Arc<AtomicBool>) {
    let can = Arc::new(AtomicBool::new(true));
    let switch = can.clone();
    let pool = ThreadPool::builder()
        .spawner(move |builder, body| {
            if switch.load(Ordering::SeqCst) {
                builder.spawn(body)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        })
        .build()
        .unwrap();
    (pool, can)
}

#[test]
fn without_any_thread_the_job_is_rejected_and_later_ones_may_succeed() {
    let (pool, can) = fragile();
    can.store(false, Ordering::SeqCst);
    let error = pool.spawn(|| ()).wait().unwrap_err();
    assert!(error.is_rejected());
    assert!(error.to_string().contains("no thread could be made"), "{error}");
    assert_eq!((pool.statistics().spawn_failures, pool.statistics().threads), (1, 0));
    can.store(true, Ordering::SeqCst);
    assert_eq!(pool.spawn(|| 1).wait().unwrap(), 1);
    assert_eq!((pool.statistics().started, pool.statistics().spawn_failures), (1, 1));
}

#[test]
fn with_some_threads_the_jobs_wait_for_those() {
    let (pool, can) = fragile();
    let mut gate = Gate::new();
    let first = pool.spawn(gate.job(0));
    until("the first job runs", || pool.statistics().running == 1);
    can.store(false, Ordering::SeqCst);
    let jobs: Vec<_> = (1..5).map(|i| pool.spawn(move || i)).collect();
    let statistics = pool.statistics();
    assert_eq!((statistics.threads, statistics.queued, statistics.spawn_failures), (1, 4, 4));
    gate.open();
    first.wait().unwrap();
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<i32>(), 10);
    assert!(pool.shutdown_timeout(PATIENCE).is_complete());
}

#[test]
fn threads_that_sometimes_cannot_be_made_lose_no_job() {
    let attempts = AtomicUsize::new(0);
    let pool = ThreadPool::builder()
        .keep_alive(Duration::ZERO)
        .spawner(move |builder, body| {
            // Relaxed: any third attempt fails.
            if attempts.fetch_add(1, Ordering::Relaxed) % 3 == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            builder.spawn(body)
        })
        .build()
        .unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for i in 0..300 {
                    let jobs: Vec<_> = (0..3).map(|k| pool.spawn(move || i + k)).collect();
                    for (k, job) in jobs.into_iter().enumerate() {
                        match job.wait() {
                            Ok(value) => assert_eq!(value, i + k),
                            Err(error) => assert!(error.is_rejected()),
                        }
                    }
                }
            });
        }
    });
    assert!(pool.shutdown_timeout(PATIENCE).is_complete());
    let statistics = pool.statistics();
    assert_eq!((statistics.threads, statistics.idle, statistics.queued), (0, 0, 0));
}

#[test]
fn a_stack_nobody_has_room_for_is_an_error() {
    let pool = ThreadPool::builder().stack_size(usize::MAX / 4).build().unwrap();
    assert!(pool.spawn(|| ()).wait().unwrap_err().is_rejected());
}

#[test]
fn a_pool_that_could_not_work_is_not_built() {
    let error = ThreadPool::builder().max_threads(0).build().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("give it at least 1"), "{error}");
    assert!(ThreadPool::builder().name("nul\0").build().is_err());
}
