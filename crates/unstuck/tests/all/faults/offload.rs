//! Pools under pressure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::{Runtime, to_thread};

use crate::support::{Gate, alone, own_number, threads, until};

#[test]
fn a_hundred_thousand_closures_that_block_use_capped_threads_and_drain_after_their_release() {
    alone(|| {
        const THREADS: usize = 8;
        let runtime = Runtime::builder().worker_threads(1).max_blocking_threads(THREADS).build().unwrap();
        let (gate, done) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let before = own_number("VmRSS:");
        for _ in 0..100_000 {
            let (gate, done) = (gate.clone(), done.clone());
            drop(runtime.handle().spawn_blocking(move || {
                gate.pass();
                done.fetch_add(1, Ordering::SeqCst);
            }));
        }
        gate.wait_for(THREADS);
        assert_eq!(runtime.statistics().blocking.threads, THREADS);
        assert_eq!(runtime.statistics().blocking.queued, 100_000 - THREADS);
        let named = |(name, _): &(String, String)| name.starts_with("unstuck-block");
        assert_eq!(threads().iter().filter(|thread| named(thread)).count(), THREADS);
        let grown = own_number("VmRSS:").saturating_sub(before);
        assert!(grown < 64 * 1024, "{grown} KiB for 100,000 queued closures");
        gate.open();
        until("all have run", || done.load(Ordering::SeqCst) == 100_000);
    });
}

#[test]
fn the_threads_of_a_burst_leave_when_they_have_been_idle() {
    let runtime =
        Runtime::builder().worker_threads(1).blocking_keep_alive(Duration::from_millis(20)).build().unwrap();
    let gate = Gate::new();
    let jobs: Vec<_> = (0..30)
        .map(|_| {
            let gate = gate.clone();
            runtime.handle().spawn_blocking(move || gate.pass())
        })
        .collect();
    gate.wait_for(30);
    assert_eq!(runtime.statistics().blocking.threads, 30);
    gate.open();
    jobs.into_iter().for_each(|job| job.wait().unwrap());
    until("all have left", || runtime.statistics().blocking.threads == 0);
    assert_eq!(runtime.handle().spawn_blocking(|| 42).wait().unwrap(), 42);
}

#[test]
fn an_allocation_that_fails_in_a_closure_is_the_closures_own_error() {
    unstuck::run(async {
        let tried = to_thread(|| Vec::<u8>::new().try_reserve_exact(isize::MAX as usize)).await.unwrap();
        assert!(tried.is_err());
    });
}

#[test]
fn a_pool_of_ones_own_waits_at_the_end_of_its_scope() {
    let done = Arc::new(AtomicUsize::new(0));
    unstuck::run(async {
        let pool = unstuck::offload::ThreadPool::builder().max_threads(2).build().unwrap();
        for _ in 0..10 {
            let done = done.clone();
            drop(unstuck::run_in_executor(&pool, move || done.fetch_add(1, Ordering::SeqCst)));
        }
    });
    assert_eq!(done.load(Ordering::SeqCst), 10);
}
