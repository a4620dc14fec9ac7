//! Shutdown and drop.

use super::*;
use crate::{Shutdown, ShutdownReport};

#[test]
fn shutdown_runs_what_is_queued() {
    let pool = small(1);
    let mut gate = Gate::new();
    let mut jobs = vec![pool.spawn(gate.job(0))];
    jobs.extend((1..10).map(|i| pool.spawn(move || i)));
    gate.open();
    pool.shutdown();
    assert!(jobs.iter().all(JobHandle::is_done));
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<i32>(), 45);
    pool.shutdown();
}

#[test]
fn a_job_after_the_shutdown_is_rejected_and_dropped_with_no_lock_held() {
    /// Uses the pool when dropped; hangs if the pool is locked.
    struct Nosy(Handle, Sender<bool>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            let rejected = self.0.spawn(|| ()).wait().unwrap_err().is_rejected();
            self.1.send(rejected && self.0.statistics().threads == 0).unwrap();
        }
    }
    let pool = small(1);
    pool.shutdown();
    let (tell, told) = channel();
    let nosy = Nosy(pool.handle().clone(), tell);
    let error = block_on(pool.spawn(move || drop(nosy))).unwrap_err();
    assert!(error.is_rejected() && error.is_cancelled());
    assert!(error.to_string().contains("its thread pool has shut down"), "{error}");
    assert!(told.recv().unwrap());
}

#[test]
fn cancelled_closures_are_dropped_with_no_lock_held_at_shutdown() {
    struct Nosy(Handle);
    impl Drop for Nosy {
        fn drop(&mut self) {
            assert_eq!(self.0.statistics().queued, 0);
        }
    }
    let pool = small(1);
    let mut gate = Gate::new();
    let running = pool.spawn(gate.job("value"));
    until("the first job runs", || pool.statistics().running == 1);
    let nosy = Nosy(pool.handle().clone());
    let queued = pool.spawn(move || drop(nosy));
    let report = pool.shutdown_with(Shutdown::detach().cancel_pending(true));
    assert_eq!((report.cancelled, report.running.len()), (1, 1));
    assert!(queued.wait().unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(running.wait().unwrap(), "value");
}

#[test]
fn shutdown_timeout_names_the_job_that_is_stuck_and_cancels_the_queue() {
    let pool = small(1);
    let mut gate = Gate::new();
    let stuck = pool.submit(gate.job("at last"), Options::new().name("stuck"));
    until("the job runs", || pool.statistics().running == 1);
    let queued = pool.spawn(|| ());
    let gone = pool.spawn(|| ());
    assert!(gone.cancel());

    let report: ShutdownReport = pool.shutdown_timeout(Duration::from_millis(10));
    assert!(!report.is_complete());
    assert_eq!((report.cancelled, report.threads, report.running.len()), (1, 1, 1));
    assert_eq!(report.running[0].name(), Some("stuck"));
    assert!(report.running[0].place().file().ends_with("ending.rs"));
    assert!(report.running[0].since().elapsed() >= Duration::from_millis(10));
    assert!(report.to_string().contains("job 'stuck' (from "), "{report}");
    assert!(queued.wait().unwrap_err().is_cancelled());

    gate.open();
    assert_eq!(stuck.wait().unwrap(), "at last");
    assert!(pool.shutdown_timeout(PATIENCE).is_complete());
}

#[test]
fn a_long_line_at_a_limiter_that_comes_too_late_is_cancelled_in_a_loop_and_not_ever_deeper() {
    let pool = small(1);
    let (limiter, mut gate) = (crate::Limiter::new("one", 1), Gate::new());
    let route = crate::Route::new().limiter(&limiter);
    let running = pool.submit_in(gate.job(1), Options::new(), &route);
    let line: Vec<_> = (0..100_000).map(|_| pool.submit_in(|| 2, Options::new(), &route)).collect();
    // A shutdown that was here, and has not come to the limiters yet.
    let closed = pool.handle().shared.roster.close(true);
    assert!(closed.pending.is_empty() && closed.idle.is_empty());
    gate.open();
    assert_eq!(running.wait().unwrap(), 1);
    for job in line {
        assert!(job.wait().unwrap_err().is_cancelled());
    }
    assert!(pool.shutdown_timeout(PATIENCE).is_complete());
    assert_eq!((limiter.statistics().running, limiter.statistics().queued), (0, 0));
}

#[test]
fn a_shutdown_is_not_over_while_a_thread_is_counted_on_that_nobody_has_made_yet() {
    let pool = small(1);
    let shared = &pool.handle().shared;
    let (job, handle) = unstuck_core::job::job(|| 42, Options::new());
    let entry = crate::pool::Entry { job, permit: None, own_thread: false };
    // As far as a submitter has come that the system has stopped right here.
    let Ok(submitted) = shared.roster.submit(entry, crate::lanes::Lane::Users) else { panic!("refused") };
    let report = pool.shutdown_with(Shutdown::detach());
    assert!(!report.is_complete() && !handle.is_done());
    crate::worker::answer(shared, submitted.call);
    pool.shutdown();
    assert_eq!(handle.wait().unwrap(), 42);
}

#[test]
fn the_shutdown_of_an_idle_pool_does_not_wait_for_the_keep_alive() {
    let pool = ThreadPool::builder().keep_alive(Duration::MAX).build().unwrap();
    for _ in 0..3 {
        pool.spawn(|| ()).wait().unwrap();
    }
    let report = pool.shutdown_timeout(PATIENCE);
    assert!(report.is_complete() && report.running.is_empty());
}

#[test]
fn a_pool_is_a_scope_for_its_jobs() {
    let (tell, told) = channel();
    {
        let pool = small(2);
        for i in 0..20 {
            let tell = tell.clone();
            drop(pool.spawn(move || tell.send(i).unwrap()));
        }
    }
    assert_eq!(told.try_iter().count(), 20);
}

#[test]
fn a_detached_pool_does_not_wait_but_runs_its_jobs() {
    let pool = ThreadPool::builder().max_threads(1).on_drop(Shutdown::detach()).build().unwrap();
    let mut gate = Gate::new();
    let jobs = [pool.spawn(gate.job(1)), pool.spawn(|| 2)];
    drop(pool);
    assert!(jobs.iter().all(|job| !job.is_done()));
    gate.open();
    assert_eq!(jobs.map(|job| job.wait().unwrap()), [1, 2]);
}

#[test]
fn a_pool_dropped_with_a_limit_leaves_the_stuck_job_alone() {
    let limit = Shutdown::within(Duration::from_millis(10));
    let pool = ThreadPool::builder().max_threads(1).on_drop(limit).build().unwrap();
    let mut gate = Gate::new();
    let stuck = pool.spawn(gate.job(1));
    until("the job runs", || pool.statistics().running == 1);
    let queued = pool.spawn(|| 2);
    drop(pool);
    assert!(queued.wait().unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(stuck.wait().unwrap(), 1);
}

#[test]
fn a_job_may_drop_its_own_pool() {
    let pool = Arc::new(small(1));
    let (tell, told) = channel();
    let inside = pool.clone();
    let job = pool.spawn(move || {
        // Wait until this is the last owner, so that it is this job which drops the pool.
        until("the other owner is gone", || Arc::strong_count(&inside) == 1);
        let after = inside.spawn(|| "queued behind");
        drop(inside);
        tell.send(after).unwrap();
    });
    drop(pool);
    job.wait().unwrap();
    assert_eq!(told.recv().unwrap().wait().unwrap(), "queued behind");
}

#[test]
fn a_job_may_shut_its_own_pool_down() {
    let pool = Arc::new(small(2));
    let inside = pool.clone();
    let report = pool.spawn(move || inside.shutdown_timeout(PATIENCE)).wait().unwrap();
    assert_eq!(report.running.len(), 1, "the job itself");
    pool.shutdown();
}

#[test]
fn a_job_may_drop_another_pool() {
    let (outer, inner) = (small(1), small(1));
    let mut gate = Gate::new();
    let held = inner.spawn(gate.job("inner"));
    let dropped = outer.spawn(move || drop(inner));
    gate.open();
    dropped.wait().unwrap();
    assert_eq!(held.wait().unwrap(), "inner");
}
