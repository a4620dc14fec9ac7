//! `to_thread`, `run_in_executor` and their ends.

use std::collections::HashSet;
use std::time::Duration;

use unstuck::offload::{CpuPool, DefaultExecutor, Shutdown, ThreadPool};
use unstuck::{Runtime, cpu, gather, run_in_executor, sleep, spawn, to_thread};

use crate::support::{Gate, PATIENCE, in_child, text, until};

both! {
    async fn a_call_runs_on_another_thread_and_gives_its_value_or_error() {
        let here = std::thread::current().id();
        assert_ne!(to_thread(|| std::thread::current().id()).await.unwrap(), here);
        let error = to_thread(|| "x".parse::<u32>()).await.unwrap();
        assert!(error.is_err());
        let sum: u32 = gather((0..10).map(|n| to_thread(move || n))).await.into_iter().map(Result::unwrap).sum();
        assert_eq!(sum, 45);
    }
}

both! {
    async fn a_call_and_a_sleep_go_side_by_side() {
        let gate = Gate::new();
        let held = gate.clone();
        let beside = async {
            crate::support::eventually("the call runs", || gate.arrived() == 1).await;
            gate.open();
        };
        let (called, ()) = gather!(to_thread(move || held.pass()), beside).await;
        called.unwrap();
    }
}

both! {
    async fn every_executor_takes_the_same_calls() {
        let threads = ThreadPool::builder().max_threads(3).build().unwrap();
        let compute = CpuPool::builder().threads(2).build().unwrap();
        let (a, b, c) = gather!(
            run_in_executor(&DefaultExecutor, || 1),
            run_in_executor(&threads, || 2),
            run_in_executor(&compute, || 3),
        )
        .await;
        assert_eq!((a.unwrap(), b.unwrap(), c.unwrap()), (1, 2, 3));
    }
}

#[test]
fn a_queued_call_that_is_cancelled_never_runs_and_a_running_one_is_not_cancelled() {
    let runtime = Runtime::builder().worker_threads(1).max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let gate = Gate::new();
        let held = gate.clone();
        let running = to_thread(move || held.pass());
        until("it runs", || gate.arrived() == 1);
        let queued = to_thread(|| unreachable!("it was cancelled"));
        assert!(queued.cancel() && !running.cancel());
        assert!(queued.await.map(|(): ()| ()).unwrap_err().is_cancelled());
        gate.open();
        running.await.unwrap();
    });
}

#[test]
fn saturation_makes_exactly_as_many_threads_as_allowed_and_idle_ones_are_used_again() {
    let pool = ThreadPool::builder().max_threads(3).build().unwrap();
    let gate = Gate::new();
    let jobs: Vec<_> = (0..20)
        .map(|_| {
            let gate = gate.clone();
            pool.spawn(move || {
                gate.pass();
                std::thread::current().id()
            })
        })
        .collect();
    gate.wait_for(3);
    assert_eq!(pool.statistics().threads, 3);
    gate.open();
    let ids: HashSet<_> = unstuck::run(gather(jobs)).into_iter().map(Result::unwrap).collect();
    assert!(ids.len() <= 3);
    assert_eq!(pool.statistics().started, 3);
}

#[test]
fn a_pool_shut_down_waits_for_queued_calls_and_refuses_later_ones() {
    let pool = ThreadPool::builder().max_threads(1).build().unwrap();
    let jobs: Vec<_> = (0..5).map(|number| pool.spawn(move || number)).collect();
    pool.shutdown();
    let sum: u32 = jobs.into_iter().map(|job| job.wait().unwrap()).sum();
    assert_eq!(sum, 10);
    assert!(pool.spawn(|| 1).wait().unwrap_err().is_rejected());
}

#[test]
fn a_limited_shutdown_with_a_stuck_call_names_it_and_returns() {
    let pool = ThreadPool::builder().max_threads(1).build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let stuck = pool.spawn(move || held.pass());
    gate.wait_for(1);
    let queued = pool.spawn(|| unreachable!("it is cancelled"));
    let report = pool.shutdown_timeout(Duration::from_millis(10));
    assert_eq!((report.running.len(), report.cancelled, report.is_complete()), (1, 1, false));
    assert!(report.to_string().contains("asyncio/offload.rs:"), "{report}");
    assert!(queued.wait().map(|(): ()| ()).unwrap_err().is_cancelled());
    gate.open();
    stuck.wait().unwrap();
}

#[test]
fn a_shutdown_that_cancels_what_is_queued_lets_the_running_call_finish() {
    let pool = ThreadPool::builder().max_threads(1).build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let running = pool.spawn(move || {
        held.pass();
        "finished"
    });
    gate.wait_for(1);
    let queued = pool.spawn(|| unreachable!("it is cancelled"));
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| pool.shutdown_with(Shutdown::wait().cancel_pending(true)));
        assert!(queued.wait().map(|(): ()| ()).unwrap_err().is_cancelled());
        gate.open();
        let report = ending.join().unwrap();
        assert_eq!((report.cancelled, report.is_complete()), (1, true));
    });
    assert_eq!(running.wait().unwrap(), "finished");
    assert!(pool.spawn(|| ()).wait().unwrap_err().is_rejected());
}

#[test]
fn the_shutdown_of_the_default_pool_with_a_stuck_call_warns_and_returns() {
    let output = in_child(&[], || {
        unstuck::run(async {
            let gate = Gate::new();
            let held = gate.clone();
            let stuck = unstuck::offload::call().name("stuck").spawn(move || held.pass());
            crate::support::eventually("it runs", || gate.arrived() == 1).await;
            let queued = to_thread(|| "queued");
            let loops = unstuck::Handle::current();
            let report = loops.shutdown_default_executor(Duration::from_millis(10)).await;
            assert_eq!((report.running.len(), report.is_complete()), (1, false));
            assert!(to_thread(|| ()).await.unwrap_err().is_rejected());
            assert_eq!(queued.await.unwrap(), "queued");
            gate.open();
            stuck.await.unwrap();
            assert!(loops.shutdown_default_executor(PATIENCE).await.is_complete());
        });
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("the default executor has not ended within 10ms: 1 still running"), "{text}");
        assert!(text.contains("job 'stuck' (from "), "{text}");
    }
}

both! {
    async fn work_can_be_handed_to_a_loop_from_a_plain_thread_and_waited_for_there() {
        let handle = unstuck::Handle::current();
        let value = to_thread(move || {
            let task = handle.spawn(async {
                sleep(Duration::from_secs(1)).await;
                42
            });
            handle.block_on(task).unwrap()
        });
        // The call holds the paused clock, and the task it waits for needs the clock to go on: it is advanced by hand.
        let advance = spawn(async {
            loop {
                unstuck::Handle::current().advance(Duration::from_secs(1));
                unstuck::yield_now().await;
            }
        });
        assert_eq!(value.await.unwrap(), 42);
        advance.cancel();
    }
}

#[test]
fn a_computing_job_may_use_parallel_iterators_of_its_pool() {
    unstuck::run(async {
        let both = cpu(|| (1..=100_u64).sum::<u64>());
        assert_eq!(both.await.unwrap(), 5_050);
    });
}
