//! Cancelling what has not begun, what runs and what has ended; handles used in unusual ways.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use unstuck::{Runtime, spawn};

use crate::support::{Gate, OnDrop, until};

fn one_of_each() -> Runtime {
    Runtime::builder().worker_threads(1).max_blocking_threads(1).cpu_threads(1).build().unwrap()
}

#[test]
fn a_task_cancelled_before_its_first_poll_never_runs_and_is_dropped() {
    let runtime = one_of_each();
    let (gate, ran, dropped) =
        (Gate::new(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let held = gate.clone();
    let blocker = runtime.spawn(async move { held.pass() });
    gate.wait_for(1); // the only worker is busy
    let (runs, drops) = (ran.clone(), dropped.clone());
    let says = OnDrop(move || drops.store(true, Ordering::SeqCst));
    let task = runtime.spawn(async move {
        runs.store(true, Ordering::SeqCst);
        drop(says);
    });
    assert!(task.cancel());
    gate.open();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    assert!(dropped.load(Ordering::SeqCst) && !ran.load(Ordering::SeqCst));
    runtime.block_on(blocker).unwrap();
}

#[test]
fn a_closure_cancelled_while_it_is_queued_never_runs() {
    let runtime = one_of_each();
    let handle = runtime.handle();
    for cpu in [false, true] {
        let submit = |f: Box<dyn FnOnce() + Send>| if cpu { handle.cpu(f) } else { handle.spawn_blocking(f) };
        let (gate, ran) = (Gate::new(), Arc::new(AtomicBool::new(false)));
        let (held, runs) = (gate.clone(), ran.clone());
        let running = submit(Box::new(move || held.pass()));
        gate.wait_for(1);
        let queued = submit(Box::new(move || runs.store(true, Ordering::SeqCst)));
        assert!(queued.cancel(), "it was queued");
        assert!(!queued.cancel(), "once");
        assert!(queued.wait().unwrap_err().is_cancelled());
        gate.open();
        running.wait().unwrap();
        submit(Box::new(|| ())).wait().unwrap(); // behind the cancelled one in the queue
        assert!(!ran.load(Ordering::SeqCst));
    }
}

#[test]
fn a_closure_that_runs_cannot_be_cancelled_and_gives_its_value() {
    let runtime = one_of_each();
    for cpu in [false, true] {
        let gate = Gate::new();
        let held = gate.clone();
        let work = move || {
            held.pass();
            42
        };
        let job = if cpu { runtime.handle().cpu(work) } else { runtime.handle().spawn_blocking(work) };
        gate.wait_for(1);
        assert!(!job.cancel());
        gate.open();
        assert_eq!(job.wait().unwrap(), 42);
    }
}

#[test]
fn a_task_cancelled_during_a_poll_ends_at_its_next_await() {
    let runtime = one_of_each();
    let (gate, beyond) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let (held, reached) = (gate.clone(), beyond.clone());
    let task = runtime.spawn(async move {
        held.pass();
        unstuck::yield_now().await;
        reached.store(true, Ordering::SeqCst);
    });
    gate.wait_for(1);
    assert!(task.cancel());
    assert!(!task.is_done(), "it is being polled");
    gate.open();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    assert!(!beyond.load(Ordering::SeqCst));
}

#[test]
fn a_value_given_in_the_very_poll_that_was_cancelled_wins() {
    let runtime = one_of_each();
    let gate = Gate::new();
    let held = gate.clone();
    let task = runtime.spawn(async move {
        held.pass();
        42
    });
    gate.wait_for(1);
    assert!(task.cancel());
    gate.open();
    assert_eq!(runtime.block_on(task).unwrap(), 42);
}

#[test]
fn a_queued_closure_whose_handle_was_dropped_runs() {
    let runtime = one_of_each();
    let (gate, ran) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let (held, runs) = (gate.clone(), ran.clone());
    let running = runtime.handle().spawn_blocking(move || held.pass());
    gate.wait_for(1);
    drop(runtime.handle().spawn_blocking(move || runs.store(true, Ordering::SeqCst)));
    gate.open();
    running.wait().unwrap();
    until("it ran", || ran.load(Ordering::SeqCst));
}

#[test]
fn a_handle_polled_after_it_gave_its_result_panics_and_says_why() {
    unstuck::run(async {
        let mut task = spawn(async { 1 });
        assert_eq!((&mut task).await.unwrap(), 1);
        let mut job = unstuck::to_thread(|| 1);
        assert_eq!((&mut job).await.unwrap(), 1);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let again = |poll: &mut dyn FnMut() -> bool| {
            let payload = catch_unwind(AssertUnwindSafe(poll)).unwrap_err();
            payload.downcast_ref::<&str>().map(|&text| text.to_owned()).unwrap_or_default()
        };
        use std::future::Future;
        let text = again(&mut || std::pin::Pin::new(&mut &mut task).poll(&mut cx).is_ready());
        assert!(text.contains("polled again after"), "{text}");
        let text = again(&mut || std::pin::Pin::new(&mut job).poll(&mut cx).is_ready());
        assert!(text.contains("polled again after"), "{text}");
    });
}

#[test]
fn two_threads_may_watch_and_cancel_one_task() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    for _ in 0..100 {
        let task = runtime.spawn(std::future::pending::<()>());
        let (one, two) = (task.watch(), task.watch());
        std::thread::scope(|scope| {
            for watch in [one, two] {
                scope.spawn(move || {
                    watch.cancel();
                    until("it has ended", || watch.is_done());
                    assert!(!watch.cancel(), "it has ended");
                });
            }
        });
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    }
}
