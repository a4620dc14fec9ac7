//! Ends of runtimes: what is refused, what is waited for, what is left behind.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::{Runtime, Task, catch_cancel, sleep, yield_now};

use crate::support::{Gate, OnDrop, STDERR_IN_A_FILE, alone, counts, has_said, in_child, text, until};

fn two_workers() -> Runtime {
    Runtime::builder().worker_threads(2).build().unwrap()
}

#[test]
fn work_submitted_after_shutdown_resolves_at_once_as_rejected() {
    let runtime = two_workers();
    let handle = runtime.handle();
    runtime.shutdown();
    let error = unstuck::run_single(handle.spawn(async { 1 })).unwrap_err();
    assert!(error.is_rejected() && error.is_cancelled(), "{error}");
    let error = handle.spawn_blocking(|| 1).wait().unwrap_err();
    assert!(error.is_rejected() && error.is_cancelled(), "{error}");
    let error = handle.cpu(|| 1).wait().unwrap_err();
    assert!(error.is_rejected() && error.is_cancelled(), "{error}");
    assert!(handle.call_soon(|| ()).is_done());

    let event_loop = unstuck::EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.close();
    assert!(unstuck::run_single(handle.spawn(async { 1 })).unwrap_err().is_rejected());
    assert!(handle.spawn_blocking(|| 1).wait().unwrap_err().is_rejected());
}

#[test]
fn what_is_refused_is_dropped_outside_of_every_lock() {
    let runtime = two_workers();
    let handle = runtime.handle();
    runtime.shutdown();
    // A destructor that comes back into the runtime would hang if a lock were held.
    let comes_back = || {
        let handle = handle.clone();
        OnDrop(move || {
            assert!(handle.spawn_blocking(|| ()).wait().is_err());
            assert!(handle.spawn(async {}).is_done());
            assert_eq!(handle.tasks(), []);
        })
    };
    let (in_task, in_job) = (comes_back(), comes_back());
    drop(handle.spawn(async move { drop(in_task) }));
    drop(handle.spawn_blocking(move || drop(in_job)));
}

#[test]
fn closures_still_queued_at_the_end_are_cancelled_and_the_running_one_is_waited_for() {
    let runtime = Runtime::builder().worker_threads(1).max_blocking_threads(1).build().unwrap();
    let (gate, ran) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let jobs: Vec<_> = (0..10)
        .map(|_| {
            let (gate, ran) = (gate.clone(), ran.clone());
            runtime.handle().spawn_blocking(move || {
                gate.pass();
                ran.fetch_add(1, Ordering::SeqCst)
            })
        })
        .collect();
    gate.wait_for(1);
    let opener = std::thread::spawn({
        let handle = runtime.handle();
        move || {
            until("the pool has closed", || {
                handle.spawn_blocking(|| ()).wait().is_err_and(|e| e.is_rejected())
            });
            gate.open();
        }
    });
    drop(runtime);
    opener.join().unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    let ended: Vec<_> = jobs.into_iter().map(unstuck::JobHandle::wait).collect();
    assert!(ended[0].is_ok(), "the one that ran gave its value");
    assert!(ended[1..].iter().all(|end| end.as_ref().is_err_and(unstuck::JoinError::is_cancelled)));
}

#[test]
fn shutdown_with_a_limit_returns_although_a_task_blocks_its_worker() {
    let runtime = two_workers();
    let gate = Gate::new();
    let held = gate.clone();
    let task = runtime.spawn(async move { held.pass() });
    gate.wait_for(1);
    let report = runtime.shutdown_timeout(Duration::from_millis(100));
    assert!(!report.is_complete(), "the gate is still closed");
    let text = report.to_string();
    assert!(
        text.starts_with("1 still running, 0 cancelled\n  task ") && text.contains("shutdown.rs:"),
        "{text}"
    );
    gate.open();
    unstuck::run_single(task).unwrap();
}

#[test]
fn a_task_is_asked_to_end_once_however_often_the_runtime_closes() {
    let runtime = two_workers();
    let (started, gate) = (Gate::new(), Gate::new());
    let (starts, held) = (started.clone(), gate.clone());
    let task = runtime.spawn(async move {
        starts.open();
        drop(catch_cancel(pending::<()>()).await); // swallowed
        held.pass(); // meanwhile it closes again
        yield_now().await; // where a second request would land
        unstuck::task::current().unwrap().cancelling()
    });
    started.pass();
    assert!(!runtime.shutdown_timeout(Duration::from_millis(10)).is_complete(), "the gate is still closed");
    gate.open();
    assert_eq!(task.wait().unwrap(), 1);
}

#[test]
fn shutdown_with_a_limit_returns_although_a_closure_runs() {
    let runtime = two_workers();
    let gate = Gate::new();
    let held = gate.clone();
    let job = runtime.handle().spawn_blocking(move || held.pass());
    gate.wait_for(1);
    assert!(!runtime.shutdown_timeout(Duration::from_millis(100)).is_complete(), "the gate is still closed");
    gate.open();
    job.wait().unwrap();

    let runtime = Runtime::builder().worker_threads(1).cpu_threads(1).build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let job = runtime.handle().cpu(move || held.pass());
    gate.wait_for(1);
    let queued = runtime.handle().cpu(|| unreachable!("it is cancelled"));
    assert!(!runtime.shutdown_timeout(Duration::from_millis(100)).is_complete(), "the gate is still closed");
    assert!(queued.wait().map(|(): ()| ()).unwrap_err().is_cancelled());
    gate.open();
    job.wait().unwrap();
}

#[test]
fn drop_waits_for_a_task_and_closures_that_are_just_running() {
    let runtime = two_workers();
    let (gate, done) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let work = || {
        let (gate, done) = (gate.clone(), done.clone());
        move || {
            gate.pass();
            done.fetch_add(1, Ordering::SeqCst);
        }
    };
    let in_task = work();
    drop(runtime.spawn(async move { in_task() }));
    drop(runtime.handle().spawn_blocking(work()));
    drop(runtime.handle().cpu(work()));
    gate.wait_for(3);
    let opener = std::thread::spawn({
        let handle = runtime.handle();
        move || {
            until("the runtime refuses tasks", || handle.spawn(async {}).is_done());
            gate.open();
        }
    });
    drop(runtime);
    opener.join().unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 3);
}

#[test]
fn the_end_of_a_run_says_after_a_second_which_task_or_call_it_waits_for() {
    let output = in_child(&STDERR_IN_A_FILE, || {
        let gates = [Gate::new(), Gate::new()];
        let [task, call] = gates.clone();
        let opener = std::thread::spawn(move || {
            until("it has named the task", || has_said("'stuck task' (from "));
            gates[0].open();
            until("it has named the call", || has_said("'stuck call' (from "));
            gates[1].open();
        });
        two_workers().run(async move {
            let calls = call.clone();
            drop(unstuck::offload::call().name("stuck call").spawn(move || calls.pass()));
            let tasks = task.clone();
            unstuck::task::Builder::new().name("stuck task").spawn(async move { tasks.pass() }).detach();
            let there = move || call.arrived() + task.arrived();
            unstuck::to_thread(move || until("both are stuck", || there() == 2)).await.unwrap();
        });
        opener.join().unwrap();
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert!(
            text.contains("unstuck: the runtime ends and waits for 1 task(s) that do not end:"),
            "{text}"
        );
    }
}

#[test]
fn drop_gives_up_after_a_while_and_names_what_it_leaves_behind() {
    let Some(output) = in_child(&[], || {
        let runtime = two_workers();
        let gate = Gate::new();
        let (in_task, in_job) = (gate.clone(), gate.clone());
        let _entered = runtime.enter();
        unstuck::task::Builder::new().name("stuck-task").spawn(async move { in_task.pass() }).detach();
        drop(unstuck::to_thread(move || in_job.pass()));
        gate.wait_for(2);
        drop(runtime); // returns, although the gate stays closed
    }) else {
        return;
    };
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("waits for 1 task(s)"), "{text}");
    assert!(text.contains("leaves behind 1 task(s)"), "{text}");
    assert!(text.contains("'stuck-task' (from ") && text.contains("shutdown.rs:"), "{text}");
    assert!(text.contains("leaves jobs behind: 1 still running"), "{text}");
}

#[test]
fn a_forgotten_runtime_goes_on() {
    alone(|| {
        let runtime = two_workers();
        let handle = runtime.handle();
        let ticks = Arc::new(AtomicUsize::new(0));
        let counted = ticks.clone();
        drop(runtime.spawn(async move {
            loop {
                sleep(Duration::from_millis(1)).await;
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }));
        std::mem::forget(runtime);
        until("it ticks", || ticks.load(Ordering::SeqCst) > 5);
        assert_eq!(handle.block_on(handle.spawn(async { 42 })).unwrap(), 42);
    });
}

#[test]
fn a_thousand_pending_detached_tasks_are_all_dropped_with_their_runtime() {
    let runtime = two_workers();
    let dropped = Arc::new(AtomicUsize::new(0));
    for _ in 0..1_000 {
        let dropped = dropped.clone();
        let says = OnDrop(counts(&dropped));
        runtime
            .spawn(async move {
                let _says = says;
                std::future::pending::<()>().await;
            })
            .detach();
    }
    assert_eq!(runtime.handle().tasks().len(), 1_000);
    drop(runtime);
    assert_eq!(dropped.load(Ordering::SeqCst), 1_000);
}

#[test]
fn two_tasks_that_hold_each_others_handles_are_freed_at_shutdown() {
    let runtime = two_workers();
    let dropped = Arc::new(AtomicUsize::new(0));
    let holding = Arc::new(AtomicUsize::new(0));
    let (to_first, from_second) = std::sync::mpsc::channel::<Task<()>>();
    let (to_second, from_first) = std::sync::mpsc::channel::<Task<()>>();
    let waits = |partner: std::sync::mpsc::Receiver<Task<()>>| {
        let (dropped, holding) = (dropped.clone(), holding.clone());
        async move {
            let _says = OnDrop(counts(&dropped));
            let partner = partner.recv().unwrap();
            holding.fetch_add(1, Ordering::SeqCst);
            let _ = partner.await;
        }
    };
    let first = runtime.spawn(waits(from_second));
    let second = runtime.spawn(waits(from_first));
    to_first.send(second).unwrap();
    to_second.send(first).unwrap();
    until("both hold the other", || holding.load(Ordering::SeqCst) == 2);
    drop(runtime);
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

#[test]
fn a_runtime_dropped_inside_its_own_task_closes_in_the_background() {
    let runtime = two_workers();
    let (handle, outer) = (runtime.handle(), two_workers());
    let (sender, receiver) = std::sync::mpsc::channel();
    let inner = runtime.handle();
    drop(inner.spawn(async move {
        drop(runtime);
        sender.send(()).unwrap();
        std::future::pending::<()>().await; // ended by the shutdown that this very task began
    }));
    receiver.recv().unwrap();
    until("its last task has gone", || handle.tasks().is_empty());
    assert!(handle.spawn(async {}).is_done());

    // A foreign runtime may be dropped in a task, too.
    let foreign = two_workers();
    let handle = foreign.handle();
    drop(foreign.spawn(std::future::pending::<()>()));
    outer.block_on(outer.spawn(async move { drop(foreign) })).unwrap();
    until("its last task has gone", || handle.tasks().is_empty());
}

#[test]
fn shutdown_called_inside_its_own_task_or_job_closes_and_does_not_hang() {
    for way in 0..3 {
        let runtime = two_workers();
        let handle = runtime.handle();
        let (ended, asks) = std::sync::mpsc::channel();
        let end = move || {
            runtime.shutdown();
            ended.send(()).unwrap();
        };
        match way {
            0 => drop(handle.spawn(async move { end() })),
            1 => drop(handle.spawn_blocking(end)),
            _ => drop(handle.cpu(end)),
        }
        asks.recv().unwrap();
        assert!(handle.spawn(async {}).is_done());
        assert!(handle.spawn_blocking(|| ()).wait().unwrap_err().is_rejected());
        assert!(handle.cpu(|| ()).wait().unwrap_err().is_rejected());
    }
}

#[test]
fn a_handle_dropped_in_a_foreign_thread_after_the_end_is_harmless() {
    let runtime = two_workers();
    let task = runtime.spawn(async { Arc::new(1) });
    let watch = task.watch();
    until("it has ended", || watch.is_done());
    drop(runtime);
    std::thread::spawn(move || drop((task, watch))).join().unwrap();
}

#[test]
fn a_destructor_that_spawns_during_shutdown_is_answered_with_a_rejection() {
    let runtime = two_workers();
    let refused = Arc::new(AtomicBool::new(false));
    let (seen, ready) = (refused.clone(), Gate::new());
    let armed = ready.clone();
    drop(runtime.spawn(async move {
        let _spawns = OnDrop(move || {
            let mut task = unstuck::spawn(async {});
            seen.store(
                task.try_result().is_some_and(|end| end.is_err_and(|e| e.is_rejected())),
                Ordering::SeqCst,
            );
        });
        armed.open();
        std::future::pending::<()>().await;
    }));
    ready.pass();
    drop(runtime);
    assert!(refused.load(Ordering::SeqCst));
}
