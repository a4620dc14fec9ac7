//! Bounded queues, and the warning where there is no bound.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use unstuck::offload::{Overflow, Shutdown, ThreadPool};
use unstuck::{JobHandle, Runtime, to_thread};

use crate::support::{Gate, OnDrop, counts, eventually, in_child, text, until};

/// A pool of one whose thread stands at the gate, with room for two in its queue.
fn full(overflow: Overflow) -> (ThreadPool, Gate, Vec<JobHandle<u32>>) {
    let pool = ThreadPool::builder().max_threads(1).queue(2, overflow);
    // So that a test that fails does not hang.
    let pool = pool.on_drop(Shutdown::detach()).build().unwrap();
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
        until("it stands at the door", || pool.statistics().at_the_door == 1);
        assert_eq!((submitted.load(Ordering::SeqCst), pool.statistics().queued), (0, 2));
        gate.open();
        jobs.extend(submitter.join().unwrap());
    });
    assert_eq!(sum(jobs), 28);
    // The bound, and one that a thread is on its way for.
    assert!(pool.statistics().high_water <= 3);
}

#[test]
fn a_submitter_that_waits_at_a_full_queue_goes_on_when_the_pool_is_cut_short() {
    let (pool, gate, jobs) = full(Overflow::Wait);
    thread::scope(|scope| {
        let submitter = scope.spawn(|| pool.spawn(|| 9).wait());
        let report = pool.shutdown_timeout(std::time::Duration::ZERO);
        assert!(!report.is_complete());
        let error = submitter.join().unwrap().unwrap_err();
        // Rejected, if it came after the end.
        assert!(error.is_cancelled() || error.is_rejected(), "{error}");
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
fn a_task_at_a_full_queue_waits_in_front_of_it_while_other_tasks_of_its_worker_go_on() {
    let (pool, gate, jobs) = full(Overflow::Wait);
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let last = runtime.block_on(async {
        // On the only worker: a submitter that blocked it would keep the other task from opening the gate.
        let last = unstuck::spawn(async move {
            let handles: Vec<_> = (3..10).map(|n| pool.spawn(move || n)).collect();
            let statistics = pool.statistics();
            assert_eq!((statistics.queued, statistics.at_the_door), (2, 7));
            let sum = sum_of(handles).await;
            assert_eq!((pool.statistics().at_the_door, pool.statistics().high_water), (0, 2));
            sum
        });
        unstuck::spawn(async move { gate.open() }).await.unwrap();
        last.await.unwrap()
    });
    assert_eq!((last, sum(jobs)), (42, 3));
}

#[test]
fn who_waits_at_a_full_queue_gets_in_first_come_first_served_threads_and_tasks_alike() {
    let (pool, gate, jobs) = full(Overflow::Wait);
    let order = Arc::new(Mutex::new(Vec::new()));
    let job = |n: u32| {
        let order = order.clone();
        move || order.lock().unwrap().push(n)
    };
    let at_the_door = |count| until("they stand at the door", || pool.statistics().at_the_door == count);
    thread::scope(|scope| {
        let first = in_async_code(|| pool.spawn(job(1)));
        let second = scope.spawn(|| pool.spawn(job(2)));
        at_the_door(2);
        let third = in_async_code(|| pool.spawn(job(3)));
        let fourth = scope.spawn(|| pool.spawn(job(4)));
        at_the_door(4);
        gate.open();
        let handles = [first, second.join().unwrap(), third, fourth.join().unwrap()];
        handles.into_iter().for_each(|handle| handle.wait().unwrap());
    });
    assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4]);
    assert_eq!(sum(jobs), 3);
}

#[test]
fn who_gives_up_waiting_at_a_full_queue_takes_the_job_back_and_it_never_runs() {
    let (pool, gate, jobs) = full(Overflow::Wait);
    let ran = Arc::new(AtomicUsize::new(0));
    let dropped = Arc::new(AtomicUsize::new(0));
    let job = || {
        let (ran, guard) = (ran.clone(), OnDrop(counts(&dropped)));
        move || {
            let _guard = &guard;
            ran.fetch_add(1, Ordering::SeqCst);
        }
    };
    unstuck::run(async {
        // By a timeout, a hundred times: the line does not grow with those who gave up.
        for _ in 0..100 {
            let waits = unstuck::timeout(Duration::from_micros(10), pool.spawn(job()));
            assert!(waits.await.is_err());
        }
        // By the cancellation of the task that awaits it.
        let mut handle = pool.spawn(job());
        let awaited = Arc::new(AtomicUsize::new(0));
        let notes = awaited.clone();
        let awaits = unstuck::spawn(async move {
            assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut handle).poll(cx))).await.is_pending());
            notes.store(1, Ordering::SeqCst);
            handle.await
        });
        eventually("it is awaited", || awaited.load(Ordering::SeqCst) == 1).await;
        awaits.cancel();
        assert!(awaits.await.unwrap_err().is_cancelled());
        // By the handle's own cancel.
        let handle = pool.spawn(job());
        assert!(handle.cancel() && handle.await.unwrap_err().is_cancelled());
    });
    assert_eq!((ran.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (0, 102));
    assert!(pool.statistics().at_the_door <= 66, "{:?}", pool.statistics());
    // One that nobody ever awaited goes on by itself.
    unstuck::run(async { drop(pool.spawn(job())) });
    gate.open();
    assert_eq!(sum(jobs), 3);
    pool.shutdown();
    assert_eq!((ran.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (1, 103));
}

#[test]
fn jobs_in_front_of_a_full_queue_run_when_the_pool_ends_and_are_cancelled_when_it_is_cut_short() {
    for cut_short in [false, true] {
        let (pool, gate, jobs) = full(Overflow::Wait);
        let outside = unstuck::run(async { vec![pool.spawn(|| 3), pool.spawn(|| 4)] });
        if cut_short {
            assert!(!pool.shutdown_timeout(Duration::ZERO).is_complete());
            assert!(outside.into_iter().all(|job| job.wait().unwrap_err().is_cancelled()));
            gate.open();
        } else {
            gate.open();
            pool.shutdown();
            assert_eq!(sum(jobs) + sum(outside), 10);
        }
    }
}

#[test]
fn a_job_that_waits_for_one_in_front_of_its_own_full_queue_does_not_hang() {
    for bound in [0, 1] {
        let pool = ThreadPool::builder().max_threads(1).queue(bound, Overflow::Wait).build().unwrap();
        let pool = Arc::new(pool);
        let inside = pool.clone();
        let outer = pool.spawn(move || {
            unstuck::run(async move {
                let jobs: Vec<_> = (0..10).map(|n| inside.spawn(move || n)).collect();
                sum_of(jobs).await
            })
        });
        assert_eq!(outer.wait().unwrap(), 45);
    }
}

fn in_async_code<T>(f: impl FnOnce() -> T) -> T {
    unstuck::run(async { (f(),) }).0
}

async fn sum_of(jobs: Vec<JobHandle<u32>>) -> u32 {
    unstuck::gather(jobs).await.into_iter().map(Result::unwrap).sum()
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
