//! Jobs that were given up while they waited, again and again: they leave nothing behind, and take nobody's room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::offload::{self, CpuPool, JobHandle, Limiter, Options, Overflow, Route, ThreadPool};
use unstuck::{Runtime, gather, timeout, yield_now};

use crate::support::{Crowd, Gate, until};

const TRIES: usize = 10_000;

/// A pool with one thread, and a job that holds it.
fn held(gate: &Gate, builder: impl FnOnce() -> ThreadPool) -> (ThreadPool, JobHandle<()>) {
    let (pool, held) = (builder(), gate.clone());
    let job = pool.spawn(move || held.pass());
    gate.wait_for(1);
    (pool, job)
}

#[test]
fn calls_given_up_at_a_limit_that_nobody_leaves_do_not_pile_up() {
    let gate = Gate::new();
    let limiter = Limiter::new("stuck", 1);
    let route = Route::new().limiter(&limiter);
    let pool = ThreadPool::builder().build().unwrap();
    let held = gate.clone();
    let first = pool.submit_in(move || held.pass(), Options::new(), &route);
    for _ in 0..TRIES {
        assert!(pool.submit_in(|| unreachable!("it is cancelled"), Options::new(), &route).cancel());
    }
    let queued = limiter.statistics().queued;
    assert!(queued <= 64 && pool.statistics().held == queued, "{queued}, {:?}", pool.statistics());
    let last = pool.submit_in(|| "last", Options::new(), &route);
    gate.open();
    first.wait().unwrap();
    assert_eq!(last.wait().unwrap(), "last");
    until("nothing is held", || pool.statistics().held == 0);
}

#[test]
fn jobs_given_up_in_a_stuck_pool_do_not_pile_up() {
    let gate = Gate::new();
    let (pool, job) = held(&gate, || ThreadPool::builder().max_threads(1).high_water(100).build().unwrap());
    for _ in 0..TRIES {
        assert!(pool.spawn(|| unreachable!("it is cancelled")).cancel());
    }
    assert!(pool.statistics().queued <= 100, "{:?}", pool.statistics());
    gate.open();
    job.wait().unwrap();
    assert_eq!(pool.spawn(|| "goes on").wait().unwrap(), "goes on");
}

#[test]
fn jobs_given_up_take_no_room_in_a_bounded_queue() {
    for overflow in [Overflow::Reject, Overflow::Wait, Overflow::CallerRuns] {
        let gate = Gate::new();
        let (pool, job) =
            held(&gate, || ThreadPool::builder().max_threads(1).queue(4, overflow).build().unwrap());
        (0..4).for_each(|_| assert!(pool.spawn(|| unreachable!("it is cancelled")).cancel()));
        // These would be refused, wait for ever, or run here.
        let here = std::thread::current().id();
        let next: Vec<_> = (0..4).map(|_| pool.spawn(move || std::thread::current().id() != here)).collect();
        assert!(next.iter().all(|job| !job.is_done()), "{overflow:?}");
        gate.open();
        job.wait().unwrap();
        assert!(next.into_iter().all(|job| job.wait().unwrap()), "{overflow:?}");
    }
}

#[test]
fn jobs_given_up_in_a_stuck_compute_pool_do_not_pile_up() {
    let gate = Gate::new();
    let pool = CpuPool::builder().threads(1).build().unwrap();
    let held = gate.clone();
    let job = pool.spawn(move || held.pass());
    gate.wait_for(1);
    for _ in 0..TRIES {
        assert!(pool.spawn(|| unreachable!("it is cancelled")).cancel());
    }
    assert!(pool.statistics().queued <= 1_000, "{:?}", pool.statistics());
    gate.open();
    job.wait().unwrap();
    assert_eq!(pool.spawn(|| "goes on").wait().unwrap(), "goes on");
}

/// Calls that wait for calls of the same limiter, and are given up at any moment of that.
#[test]
fn in_a_storm_of_nested_calls_that_are_given_up_a_limit_holds_and_every_permit_comes_back() {
    const LIMIT: usize = 3;
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let limiter = Limiter::new("storm", LIMIT);
    let (crowd, ended) = (Arc::new(Crowd::default()), Arc::new(AtomicUsize::new(0)));
    runtime.block_on(gather((0..400_u64).map(|n| {
        let (limiter, crowd, ended) = (limiter.clone(), crowd.clone(), ended.clone());
        async move {
            let (inside, same) = (crowd.clone(), limiter.clone());
            let call = offload::call().limiter(&limiter).cancel_on_drop().spawn(move || {
                inside.visit(|| ());
                let deeper = inside.clone();
                let inner =
                    offload::call().limiter(&same).spawn(move || deeper.visit(std::thread::yield_now));
                if n % 3 == 0 {
                    inner.cancel();
                }
                let _ = inner.wait();
                inside.visit(|| ());
            });
            match n % 4 {
                0 => _ = call.cancel(),
                1 => _ = timeout(Duration::from_micros(50 * n), call).await,
                2 => {
                    yield_now().await;
                    drop(call);
                }
                _ => call.await.unwrap(),
            }
            ended.fetch_add(1, Ordering::SeqCst);
        }
    })));
    assert_eq!(ended.load(Ordering::SeqCst), 400);
    until("every permit is back", || {
        let now = limiter.statistics();
        (now.running, now.returning, now.queued) == (0, 0, 0)
    });
    assert!(crowd.most() <= LIMIT, "{} at once", crowd.most());
}
