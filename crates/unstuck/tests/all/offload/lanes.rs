//! Limits of their own over one set of threads, and the room that is the runtime's.

use std::sync::Arc;
use std::thread;

use unstuck::offload::{self, Limiter, Options, Route, ThreadPool};
use unstuck::{Runtime, fs, gather, net, to_thread};

use crate::support::{Crowd, Gate, eventually, until};

#[test]
fn calls_that_fill_the_pool_do_not_hold_up_names_and_files() {
    let runtime = Runtime::builder().worker_threads(1).max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        let gate = Gate::new();
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let held = gate.clone();
                to_thread(move || held.pass())
            })
            .collect();
        eventually("the pool is full", || gate.arrived() == 2).await;
        // With one number for all uses these would wait for the gate, which opens after them.
        assert!(!net::lookup("127.0.0.1:80").await.unwrap().is_empty());
        assert!(fs::read_to_string("Cargo.toml").await.unwrap().contains("[package]"));
        let many = gather((0..20).map(|_| fs::metadata("Cargo.toml"))).await;
        assert!(many.into_iter().all(|one| one.unwrap().is_file()));
        assert_eq!(gate.arrived(), 2);
        gate.open();
        gather(calls).await.into_iter().for_each(Result::unwrap);
    });
}

#[test]
fn calls_of_the_runtimes_own_use_the_idle_room_of_the_others() {
    // As the runtime sets its pool up, and submits its own calls.
    let pool = ThreadPool::builder().max_threads(8).reserved(4).build().unwrap();
    let gate = Gate::new();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let held = gate.clone();
            pool.submit(move || held.pass(), Options::new().reserved())
        })
        .collect();
    // All rooms, theirs and the users', and no more.
    gate.wait_for(12);
    let user = pool.spawn(|| "in turn");
    assert_eq!((gate.arrived(), pool.statistics().running, pool.statistics().queued), (12, 12, 9));
    gate.open();
    calls.into_iter().for_each(|call| call.wait().unwrap());
    assert_eq!(user.wait().unwrap(), "in turn");
}

#[test]
fn a_limit_holds_for_its_jobs_and_leaves_the_threads_to_the_others() {
    let runtime = Runtime::builder().worker_threads(2).max_blocking_threads(16).build().unwrap();
    let limiter = Limiter::new("database", 3);
    let (crowd, gate) = (Arc::new(Crowd::default()), Gate::new());
    runtime.block_on(async {
        let queries: Vec<_> = (0..30)
            .map(|_| {
                let (crowd, held) = (crowd.clone(), gate.clone());
                offload::call().name("query").limiter(&limiter).spawn(move || crowd.visit(|| held.pass()))
            })
            .collect();
        eventually("as many as allowed run", || gate.arrived() == 3).await;
        let statistics = limiter.statistics();
        assert_eq!((statistics.limit, statistics.running, statistics.queued), (3, 3, 27));
        // They hold no threads while they wait: the others are free for other calls.
        let beside = gather((0..13).map(|n| to_thread(move || n))).await;
        assert_eq!(beside.into_iter().map(Result::unwrap).sum::<u32>(), 78);
        assert_eq!((gate.arrived(), limiter.statistics().queued), (3, 27));
        gate.open();
        gather(queries).await.into_iter().for_each(Result::unwrap);
    });
    assert_eq!(crowd.most(), 3);
    until("all permits are back", || limiter.statistics().running == 0);
    assert_eq!((limiter.statistics().queued, limiter.statistics().high_water), (0, 27));
    assert_eq!(limiter.name(), "database");
}

#[test]
fn a_limit_that_grows_lets_more_in_at_once_and_one_that_shrinks_sends_nobody_away() {
    let pool = ThreadPool::builder().max_threads(8).build().unwrap();
    let limiter = Limiter::new("elastic", 1);
    let route = Route::new().limiter(&limiter);
    let gate = Gate::new();
    let jobs: Vec<_> = (0..6)
        .map(|_| {
            let held = gate.clone();
            pool.submit_in(move || held.pass(), Options::new(), &route)
        })
        .collect();
    gate.wait_for(1);
    assert_eq!(limiter.statistics().running, 1);
    limiter.resize(4);
    gate.wait_for(4);
    limiter.resize(2);
    assert_eq!((limiter.statistics().running, limiter.statistics().queued), (4, 2));
    gate.open();
    jobs.into_iter().for_each(|job| job.wait().unwrap());
}

#[test]
fn one_limit_may_span_several_pools() {
    let pools = [1, 1].map(|threads| ThreadPool::builder().max_threads(threads).build().unwrap());
    let limiter = Limiter::new("licence", 1);
    let route = Route::new().limiter(&limiter);
    let crowd = Arc::new(Crowd::default());
    let jobs: Vec<_> = (0..200)
        .map(|n| {
            let crowd = crowd.clone();
            pools[n % 2].submit_in(move || crowd.visit(thread::yield_now), Options::new(), &route)
        })
        .collect();
    jobs.into_iter().for_each(|job| job.wait().unwrap());
    assert_eq!(crowd.most(), 1);
}

#[test]
fn jobs_get_through_a_limiter_in_the_order_in_which_they_came() {
    let pool = ThreadPool::builder().max_threads(4).build().unwrap();
    let limiter = Limiter::new("in line", 1);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let jobs: Vec<_> = (0..100)
        .map(|n| {
            let order = order.clone();
            let route = Route::new().limiter(&limiter);
            pool.submit_in(move || order.lock().unwrap().push(n), Options::new(), &route)
        })
        .collect();
    jobs.into_iter().for_each(|job| job.wait().unwrap());
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_panic_gives_the_permit_back() {
    let pool = ThreadPool::builder().build().unwrap();
    let limiter = Limiter::new("one", 1);
    let route = Route::new().limiter(&limiter);
    let error = pool.submit_in(|| panic!("no table"), Options::new(), &route).wait().unwrap_err();
    assert_eq!(error.panic_message(), Some("no table"));
    assert_eq!(pool.submit_in(|| 1, Options::new(), &route).wait().unwrap(), 1);
}

#[test]
fn a_job_that_waits_for_a_limit_and_is_cancelled_never_runs_and_blocks_nobody() {
    let pool = ThreadPool::builder().build().unwrap();
    let limiter = Limiter::new("one", 1);
    let route = Route::new().limiter(&limiter);
    let gate = Gate::new();
    let held = gate.clone();
    let running = pool.submit_in(move || held.pass(), Options::new(), &route);
    gate.wait_for(1);
    let cancelled = pool.submit_in(|| unreachable!("it was cancelled"), Options::new(), &route);
    let last = pool.submit_in(|| "last", Options::new(), &route);
    assert!(cancelled.cancel());
    assert!(cancelled.wait().map(|(): ()| ()).unwrap_err().is_cancelled());
    gate.open();
    running.wait().unwrap();
    assert_eq!(last.wait().unwrap(), "last");
}

#[test]
#[should_panic(expected = "a limiter of 0 would never let a job run: give it at least 1")]
fn a_limiter_of_zero_is_refused() {
    let _ = Limiter::new("nobody", 0);
}

#[test]
fn a_call_on_a_thread_of_its_own_takes_no_room_in_the_pool() {
    let runtime = Runtime::builder().worker_threads(1).max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let gate = Gate::new();
        let listeners: Vec<_> = (0..5)
            .map(|_| {
                let held = gate.clone();
                offload::call().name("listener").own_thread().spawn(move || {
                    held.pass();
                    thread::current().id()
                })
            })
            .collect();
        eventually("all of them run", || gate.arrived() == 5).await;
        assert_eq!(to_thread(|| 42).await.unwrap(), 42);
        gate.open();
        let ids = gather(listeners).await.into_iter().map(Result::unwrap);
        assert_eq!(ids.collect::<std::collections::HashSet<_>>().len(), 5);
    });
    let statistics = runtime.statistics().blocking;
    assert!(statistics.threads <= 1 && statistics.on_own_thread == 5, "{statistics:?}");
}

#[test]
fn a_call_can_be_given_a_pool_of_ones_own() {
    let pool = ThreadPool::builder().name("mine").build().unwrap();
    let name = || thread::current().name().unwrap().to_owned();
    assert!(offload::call().on(&pool).spawn(name).wait().unwrap().starts_with("mine"));
    unstuck::run(async {
        assert!(offload::call().on(&pool).spawn(name).await.unwrap().starts_with("mine"));
        assert!(offload::call().spawn(name).await.unwrap().starts_with("unstuck-blocking"));
    });
}
