//! Short calls and the ends of things: they hear of them, are waited for and named, and are nobody's tasks.

use unstuck::offload::{self, DefaultExecutor};

use super::*;

#[test]
fn a_call_on_a_worker_hears_that_its_runtime_ends() {
    let call: Call = own_site!();
    let runtime = runtime(2);
    let looks = || {
        while offload::check().is_ok() {
            thread::yield_now();
        }
    };
    let job = in_task(&runtime, on_a_worker(call, looks));
    let report = runtime.shutdown_timeout(PATIENCE);
    assert!(report.is_complete() && report.running.is_empty(), "{report}");
    job.wait().unwrap();
}

#[test]
fn the_report_of_a_shutdown_names_a_call_on_a_worker_among_those_that_run_and_not_as_a_task() {
    let call: Call = own_site!();
    let line = line!() - 1;
    let runtime = runtime(2);
    let (gate, handle) = (Gate::new(), runtime.handle());
    let held = gate.clone();
    let job = in_task(&runtime, on_a_worker(call, move || held.pass()));
    gate.wait_for(1);
    let report = runtime.shutdown_timeout(Duration::from_millis(10));
    assert!(!report.is_complete() && report.tasks.is_empty(), "{report}");
    assert_eq!(report.running.len(), 1, "{report}");
    assert_eq!(report.running[0].place().line(), line);
    assert!(report.running[0].is_abandoned());
    gate.open();
    job.wait().unwrap();
    until("its task ends", || handle.tasks().is_empty());
}

#[test]
fn after_the_end_of_the_default_executor_short_sites_are_refused_too() {
    let call: Call = own_site!();
    let runtime = runtime(1);
    in_task(&runtime, async move {
        until_short(call).await;
        let report = Handle::current().shutdown_default_executor(PATIENCE).await;
        assert!(report.is_complete(), "{report}");
        assert!(run_in_executor(&DefaultExecutor, || ()).await.unwrap_err().is_rejected());
        for _ in 0..100 {
            assert!(call(None).await.unwrap_err().is_rejected());
        }
    });
}

#[test]
fn the_end_of_the_default_executor_waits_for_calls_on_workers_and_names_them() {
    let call: Call = own_site!();
    let runtime = runtime(2);
    let gate = Gate::new();
    let held = gate.clone();
    in_task(&runtime, async move {
        let slow = on_a_worker(call, move || held.pass()).await;
        let report = Handle::current().shutdown_default_executor(Duration::from_millis(5)).await;
        assert!(!report.is_complete() && report.running.len() == 1, "{report}");
        gate.open();
        let report = Handle::current().shutdown_default_executor(PATIENCE).await;
        assert!(report.is_complete() && report.running.is_empty(), "{report}");
        slow.await.unwrap();
    });
}

#[test]
fn short_calls_are_nobodys_tasks_and_who_cancels_all_tasks_cancels_no_call() {
    let call: Call = own_site!();
    let runtime = runtime(1);
    in_task(&runtime, async move {
        until_short(call).await;
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let done = done.clone();
            drop(call(Some(Box::new(move || _ = done.fetch_add(1, Ordering::SeqCst)))));
        }
        let me = task::current().unwrap().id();
        let others: Vec<_> = task::all_tasks().into_iter().filter(|task| task.id() != me).collect();
        assert!(others.is_empty(), "{others:?}");
        let number: u64 = me.to_string().parse().unwrap();
        assert!((number + 1..number + 200).all(|number| Handle::current().find(number).is_none()));
        eventually("all have run", || done.load(Ordering::SeqCst) == 100).await;
    });
}

#[test]
fn a_run_that_drains_waits_for_short_calls() {
    let call: Call = own_site!();
    let runtime = Runtime::builder().worker_threads(2).on_exit(unstuck::OnExit::Drain).build().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let count = done.clone();
    runtime.run(async move {
        let calls = spawn(async move {
            until_short(call).await;
            for _ in 0..100 {
                let done = count.clone();
                drop(call(Some(Box::new(move || _ = done.fetch_add(1, Ordering::SeqCst)))));
            }
        });
        calls.await.unwrap();
    });
    assert_eq!(done.load(Ordering::SeqCst), 100);
}
