//! Bounded queues, and the warning where there is no bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use unstuck::offload::{Overflow, ThreadPool};
use unstuck::{JobHandle, Runtime, to_thread};

use crate::support::{Gate, eventually, in_child, text, until};

/// A pool of one whose thread stands at the gate, with room for two in its queue.
fn full(overflow: Overflow) -> (ThreadPool, Gate, Vec<JobHandle<u32>>) {
    let pool = ThreadPool::builder().max_threads(1).queue(2, overflow).build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let mut jobs = vec![pool.spawn(move || {
        held.pass();
        0
    })];
    gate.wait_for(1);
    jobs.extend([pool.spawn(|| 1), pool.spawn(|| 2)]);
    assert_eq!(pool.statistics().queued, 2);
    (pool, gate, jobs)
}

fn sum(jobs: Vec<JobHandle<u32>>) -> u32 {
    jobs.into_iter().map(|job| job.wait().unwrap()).sum()
}

#[test]
fn a_full_queue_that_rejects_says_so_and_takes_jobs_again_later() {
    let (pool, gate, jobs) = full(Overflow::Reject);
    let error = pool.spawn(|| 9).wait().unwrap_err();
    assert!(
        error.is_rejected() && error.to_string().contains("the queue of its thread pool is full"),
        "{error}"
    );
    assert_eq!(pool.statistics().refused, 1);
    gate.open();
    assert_eq!(sum(jobs), 3);
    assert_eq!(pool.spawn(|| 9).wait().unwrap(), 9);
    assert_eq!(pool.statistics().high_water, 2);
}

#[test]
fn a_full_queue_holds_up_the_plain_thread_that_submits() {
    let (pool, gate, mut jobs) = full(Overflow::Wait);
    let submitted = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        let submitter = scope.spawn(|| {
            (3..8)
                .map(|n| {
                    let job = pool.spawn(move || n);
                    submitted.fetch_add(1, Ordering::SeqCst);
                    job
                })
                .collect::<Vec<_>>()
        });
        assert_eq!((submitted.load(Ordering::SeqCst), pool.statistics().queued), (0, 2));
        gate.open();
        jobs.extend(submitter.join().unwrap());
    });
    assert_eq!(sum(jobs), 28);
    // The bound, and one that a thread is on its way for.
    assert!(pool.statistics().high_water <= 3);
}

#[test]
fn a_submitter_that_waits_at_a_full_queue_is_refused_when_the_pool_ends() {
    let (pool, gate, jobs) = full(Overflow::Wait);
    thread::scope(|scope| {
        let submitter = scope.spawn(|| pool.spawn(|| 9).wait());
        let report = pool.shutdown_timeout(std::time::Duration::ZERO);
        assert!(!report.is_complete());
        assert!(submitter.join().unwrap().unwrap_err().is_rejected());
    });
    gate.open();
    assert!(jobs.into_iter().skip(1).all(|job| job.wait().unwrap_err().is_cancelled()));
}

#[test]
fn a_job_that_submits_to_its_own_full_pool_does_not_wait_for_itself() {
    let pool = ThreadPool::builder().max_threads(1).queue(1, Overflow::Wait).build().unwrap();
    let pool = Arc::new(pool);
    let inside = pool.clone();
    let outer = pool.spawn(move || (0..20).map(|n| inside.spawn(move || n)).collect::<Vec<_>>());
    assert_eq!(sum(outer.wait().unwrap()), 190);
}

#[test]
fn where_the_caller_runs_what_finds_no_room_nothing_waits() {
    let (pool, gate, jobs) = full(Overflow::CallerRuns);
    let here = thread::current().id();
    let job = pool.spawn(move || thread::current().id() == here);
    assert!(job.is_done() && job.wait().unwrap());
    gate.open();
    assert_eq!(sum(jobs), 3);
}

#[test]
fn the_queue_of_to_thread_can_be_bounded_too() {
    let runtime = Runtime::builder()
        .worker_threads(1)
        .max_blocking_threads(1)
        .blocking_queue(1, Overflow::Reject)
        .build()
        .unwrap();
    runtime.block_on(async {
        let gate = Gate::new();
        let held = gate.clone();
        let running = to_thread(move || held.pass());
        eventually("it runs", || gate.arrived() == 1).await;
        let queued = to_thread(|| ());
        assert!(to_thread(|| ()).await.unwrap_err().is_rejected());
        gate.open();
        running.await.unwrap();
        queued.await.unwrap();
    });
}

#[test]
fn in_a_task_a_full_queue_that_waits_takes_the_job_and_awaiting_it_is_the_wait() {
    let runtime = Runtime::builder()
        .worker_threads(1)
        .max_blocking_threads(1)
        .blocking_queue(1, Overflow::Wait)
        .build()
        .unwrap();
    let sum: u32 = runtime.block_on(async {
        let jobs: Vec<_> = (0..100).map(|n| to_thread(move || n)).collect();
        unstuck::gather(jobs).await.into_iter().map(Result::unwrap).sum()
    });
    assert_eq!(sum, 4_950);
}

#[test]
fn a_long_queue_without_a_bound_is_told_of_once_and_at_each_doubling() {
    let output = in_child(&[], || {
        let pool = ThreadPool::builder().name("crowded").max_threads(1).high_water(10).build().unwrap();
        let gate = Gate::new();
        let held = gate.clone();
        let first = pool.spawn(move || held.pass());
        gate.wait_for(1);
        let jobs: Vec<_> = (0..39).map(|_| pool.spawn(|| ())).collect();
        assert_eq!(pool.statistics().high_water, 39);
        gate.open();
        first.wait().unwrap();
        jobs.into_iter().for_each(|job| job.wait().unwrap());
        until("the queue is empty", || pool.statistics().queued == 0);
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert_eq!(text.matches("jobs wait for the threads of 'crowded'").count(), 2, "{text}");
        assert!(text.contains("unstuck: 10 jobs wait") && text.contains("unstuck: 20 jobs wait"), "{text}");
    }
}
