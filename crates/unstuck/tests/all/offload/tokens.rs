//! Cancelling reaches the closure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::offload::{self, CancelToken, Cancelled, Limiter, Options, Route, ThreadPool};
use unstuck::{Instant, Runtime, TimeLimit, cpu, gather, spawn, timeout, to_thread};

use crate::support::{Gate, eventually, until};

/// Counts rounds until it is cancelled.
fn count_until_cancelled(rounds: &AtomicUsize) -> Result<(), Cancelled> {
    loop {
        offload::check()?;
        rounds.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
    }
}

#[test]
fn a_closure_that_runs_sees_that_it_was_cancelled_in_every_pool() {
    let runtime = Runtime::builder().worker_threads(2).cpu_threads(1).build().unwrap();
    runtime.block_on(async {
        for waits in [true, false] {
            let rounds = Arc::new(AtomicUsize::new(0));
            let inside = rounds.clone();
            let work = move || count_until_cancelled(&inside);
            let job = if waits { to_thread(work) } else { cpu(work) };
            eventually("it runs", || rounds.load(Ordering::SeqCst) > 0).await;
            assert!(!job.cancel(), "it cannot be taken back");
            let error = job.await.unwrap().unwrap_err();
            assert!(error.to_string().ends_with("was cancelled while it ran"), "{error}");
        }
        assert!(!offload::is_cancelled() && offload::check().is_ok(), "outside of jobs nothing is");
    });
}

#[test]
fn who_cancels_and_awaits_has_waited_for_the_thread() {
    // trio's cancellation without abandoning: the caller goes on when the thread is done, and not before.
    unstuck::run(async {
        let gate = Gate::new();
        let held = gate.clone();
        let ended = Arc::new(AtomicUsize::new(0));
        let count = ended.clone();
        let mut job = to_thread(move || {
            held.pass();
            let seen = offload::is_cancelled();
            count.fetch_add(1, Ordering::SeqCst);
            seen
        });
        eventually("it runs", || gate.arrived() == 1).await;
        assert!(timeout(Duration::from_millis(1), &mut job).await.is_err());
        assert!(!job.cancel());
        assert_eq!(ended.load(Ordering::SeqCst), 0);
        gate.open();
        assert!(job.await.unwrap(), "inside, the cancelling is seen");
        assert_eq!(ended.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_call_bound_to_its_task_is_cancelled_with_it() {
    unstuck::run(async {
        let rounds = Arc::new(AtomicUsize::new(0));
        let (inside, saw) = (rounds.clone(), Gate::new());
        let told = saw.clone();
        let task = spawn(async move {
            let work = move || {
                let _ = count_until_cancelled(&inside);
                told.pass();
            };
            offload::call().cancel_on_drop().spawn(work).await.unwrap();
        });
        eventually("it runs", || rounds.load(Ordering::SeqCst) > 0).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        eventually("the closure has seen it", || saw.arrived() == 1).await;
        saw.open();
    });
}

#[test]
fn a_time_limit_reaches_the_closure_of_a_bound_call() {
    unstuck::run(async {
        let (begun, saw) = (Gate::new(), Gate::new());
        begun.open();
        let (begins, told) = (begun.clone(), saw.clone());
        let work = move || {
            begins.pass();
            while !offload::is_cancelled() {
                std::thread::yield_now();
            }
            told.pass();
        };
        let limit = TimeLimit::after(Duration::from_secs(3600));
        let call = limit.run(offload::call().cancel_on_drop().spawn(work));
        let passes = async {
            eventually("it runs", || begun.arrived() == 1).await;
            limit.reschedule(Instant::now()).unwrap();
        };
        let (called, ()) = gather!(call, passes).await;
        assert!(called.is_err());
        eventually("the closure has seen it", || saw.arrived() == 1).await;
        saw.open();
    });
}

#[test]
fn an_abandoned_job_keeps_its_thread_and_its_permit_until_it_really_ends() {
    let pool = ThreadPool::builder().max_threads(4).build().unwrap();
    let limiter = Limiter::new("one", 1);
    let route = Route::new().limiter(&limiter);
    let gate = Gate::new();
    let held = gate.clone();
    let deaf = pool.submit_in(move || held.pass(), Options::new().name("deaf"), &route);
    gate.wait_for(1);
    assert_eq!(pool.statistics().abandoned, 0);
    assert!(!deaf.cancel());
    drop(deaf);
    let next = pool.submit_in(|| "next", Options::new(), &route);
    let statistics = pool.statistics();
    assert_eq!((statistics.abandoned, statistics.running, statistics.held), (1, 1, 1), "{statistics:?}");
    assert_eq!(limiter.statistics().running, 1);
    assert!(!next.is_done());
    gate.open();
    assert_eq!(next.wait().unwrap(), "next");
    until("nobody is abandoned", || pool.statistics().abandoned == 0);
}

#[test]
fn an_abandoned_compute_job_is_counted_until_it_really_ends() {
    let runtime = Runtime::builder().worker_threads(1).cpu_threads(1).build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let deaf = runtime.handle().cpu(move || held.pass());
    gate.wait_for(1);
    let before = runtime.statistics().cpu;
    assert!(!deaf.cancel());
    drop(deaf);
    let after = runtime.statistics().cpu;
    assert_eq!((before.running, before.abandoned, after.running, after.abandoned), (1, 0, 1, 1));
    gate.open();
    until("it has ended", || runtime.statistics().cpu.done == 1);
    assert_eq!(runtime.statistics().cpu.abandoned, 0);
}

#[test]
fn a_token_can_be_taken_to_other_threads() {
    let pool = ThreadPool::builder().build().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let job = pool.spawn(move || {
        tell.send(CancelToken::current().unwrap()).unwrap();
        while !offload::is_cancelled() {
            std::thread::yield_now();
        }
    });
    let token = told.recv().unwrap();
    assert!(!token.is_cancelled() && token.place().file().ends_with("tokens.rs"));
    token.cancel();
    assert!(token.check().is_err());
    job.wait().unwrap();
}

#[test]
fn the_error_of_a_cancelled_closure_goes_through_io_results() {
    fn copies() -> std::io::Result<()> {
        loop {
            offload::check()?;
        }
    }
    let pool = ThreadPool::builder().build().unwrap();
    let job = pool.spawn(copies);
    until("it runs", || pool.statistics().running == 1);
    job.cancel();
    let error = job.wait().unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Other);
    assert!(error.to_string().contains("was cancelled while it ran"));
}
