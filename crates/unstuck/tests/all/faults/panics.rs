//! Panics of users' code stay where they belong.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::{Runtime, StallPolicy, cpu, sleep, spawn, to_thread};

use crate::support::{Gate, OnDrop, alone, counts, in_child, text};

fn one_worker() -> Runtime {
    Runtime::builder().worker_threads(1).build().unwrap()
}

#[test]
fn a_task_that_panics_fails_with_payload_name_and_place_and_its_worker_lives() {
    // Nobody else works in its place, however long the machine keeps it from doing so.
    let alone = Runtime::builder().worker_threads(1).stall_guard(StallPolicy::Off);
    alone.build().unwrap().run(async {
        let task = unstuck::task::Builder::new()
            .name("reader")
            .spawn(async { std::panic::panic_any(String::from("no file")) });
        let error = task.await.map(|(): ()| ()).unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.panic_message(), Some("no file"));
        assert_eq!(error.name(), Some("reader"));
        assert!(error.place().file().ends_with("panics.rs"), "{}", error.place());
        let payload = error.try_into_panic().unwrap();
        assert_eq!(*payload.downcast::<String>().unwrap(), "no file");
        let worker = spawn(async { std::thread::current().name().map(str::to_owned) }).await.unwrap();
        assert_eq!(worker.as_deref(), Some("unstuck-0"));
    });
}

#[test]
fn a_blocking_closure_that_panics_fails_alike_and_its_thread_is_kept() {
    let builder = Runtime::builder().worker_threads(1).max_blocking_threads(1);
    builder.blocking_keep_alive(Duration::from_secs(3600)).build().unwrap().run(async {
        let here = || std::thread::current().id();
        let before = to_thread(here).await.unwrap();
        let error = to_thread(|| -> () { panic!("no disk") }).await.unwrap_err();
        assert_eq!(error.panic_message(), Some("no disk"));
        assert!(error.place().file().ends_with("panics.rs"), "{}", error.place());
        assert_eq!(to_thread(here).await.unwrap(), before);
    });
}

#[test]
fn a_computing_closure_that_panics_fails_alike_and_never_aborts() {
    one_worker().run(async {
        let error = cpu(|| -> () { panic!("no number") }).await.unwrap_err();
        assert_eq!(error.panic_message(), Some("no number"));
        assert_eq!(cpu(|| 6 * 7).await.unwrap(), 42);
    });
}

#[test]
fn a_destructor_that_panics_on_cancel_makes_the_task_panicked() {
    one_worker().run(async {
        let task = spawn(async {
            let _bomb = OnDrop(|| panic!("the bomb went off"));
            std::future::pending::<()>().await;
        });
        unstuck::yield_now().await;
        task.cancel();
        let error = task.await.unwrap_err();
        // A task cancelled before its first poll has no bomb in it yet.
        assert!(error.is_cancelled() || error.panic_message() == Some("the bomb went off"));

        let ready = Gate::new();
        let armed = ready.clone();
        let task = spawn(async move {
            let _bomb = OnDrop(|| panic!("the bomb went off"));
            armed.open();
            std::future::pending::<()>().await;
        });
        ready.pass();
        task.cancel();
        assert_eq!(task.await.unwrap_err().panic_message(), Some("the bomb went off"));
    });
}

#[test]
fn destructors_that_panic_during_the_drop_of_a_runtime_spare_every_other_task() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let started = Arc::new(AtomicUsize::new(0));
    for number in 0..20 {
        let (dropped, started) = (dropped.clone(), started.clone());
        drop(runtime.spawn(async move {
            let _count = OnDrop(move || {
                dropped.fetch_add(1, Ordering::SeqCst);
                assert!(number % 7 != 0, "bomb {number}");
            });
            started.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }));
    }
    crate::support::until("all tasks wait", || started.load(Ordering::SeqCst) == 20);
    drop(runtime);
    assert_eq!(dropped.load(Ordering::SeqCst), 20);
}

#[test]
fn an_output_whose_destructor_panics_after_its_handle_was_dropped_is_reported_and_contained() {
    let Some(output) = in_child(&[], || {
        one_worker().run(async {
            let gate = Gate::new();
            let held = gate.clone();
            let task = spawn(async move {
                held.pass();
                OnDrop(|| panic!("the value went off"))
            });
            drop(task);
            gate.open();
            assert_eq!(spawn(async { 42 }).await.unwrap(), 42); // the one worker lives
        });
    }) else {
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("unstuck: a task's result panicked: the value went off"),
        "{}",
        text(&output)
    );
}

#[test]
fn hooks_that_panic_are_reported_and_the_runtime_ends_without_hanging() {
    let Some(output) = in_child(&[], || {
        let runtime = Runtime::builder()
            .worker_threads(3)
            .on_thread_start(|| panic!("the start hook went off"))
            .on_thread_stop(|| panic!("the stop hook went off"))
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(runtime.spawn(async { 42 })).unwrap(), 42);
        assert_eq!(runtime.statistics().tasks.workers, 3);
        runtime.shutdown();
        crate::support::until_threads_are_gone();
    }) else {
        return;
    };
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.matches("the start hook went off").count() >= 3, "{text}");
    assert!(text.matches("the stop hook went off").count() >= 3, "{text}");
}

#[test]
fn a_panic_message_that_is_long_or_no_text_is_cut_or_named() {
    one_worker().run(async {
        let long = spawn(async { std::panic::panic_any("x".repeat(1 << 20)) });
        let error = long.await.map(|(): ()| ()).unwrap_err();
        assert!(error.to_string().len() < 4096);
        assert_eq!(error.panic_message().map(str::len), Some(1 << 20));
        let number = spawn(async { std::panic::panic_any(7_u8) });
        let error = number.await.map(|(): ()| ()).unwrap_err();
        assert!(error.to_string().contains("not text"), "{error}");
        assert_eq!(error.panic_message(), None);
        assert_eq!(*error.try_into_panic().unwrap().downcast::<u8>().unwrap(), 7);
    });
}

#[test]
fn a_main_future_that_panics_gives_its_panic_to_the_caller_after_the_clean_up() {
    for single in [false, true] {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let seen = cleaned.clone();
        let main = async move {
            let ready = Gate::new();
            let armed = ready.clone();
            drop(spawn(async move {
                let _cleanup = OnDrop(counts(&seen));
                armed.open();
                sleep(Duration::MAX).await;
            }));
            unstuck::yield_now().await;
            ready.pass();
            panic!("main went off")
        };
        let run = || if single { unstuck::run_single::<_>(main) } else { unstuck::run(main) };
        let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"main went off"));
        assert_eq!(cleaned.load(Ordering::SeqCst), 1, "single: {single}");
    }
}

#[test]
fn a_scheduled_call_that_panics_stops_nothing() {
    alone(|| {
        unstuck::run_single(async {
            let handle = unstuck::Handle::current();
            handle.call_soon(|| panic!("the call went off"));
            let (sender, receiver) = std::sync::mpsc::channel();
            handle.call_soon(move || sender.send(42).unwrap());
            sleep(Duration::ZERO).await;
            assert_eq!(receiver.try_recv(), Ok(42));
        });
    });
}

#[test]
fn an_error_names_the_line_that_started_the_work_whichever_way_it_was_started() {
    alone(|| {
        let runtime = one_worker();
        let handle = runtime.handle();
        let _entered = runtime.enter();
        let place = |line: u32, place: &std::panic::Location<'_>| {
            assert!(
                place.file().ends_with("panics.rs") && place.line() == line,
                "{place} instead of line {line}"
            );
        };
        let task = |task: unstuck::Task<()>| task.watch().place();
        place(line!(), task(runtime.spawn(async {})));
        place(line!(), task(handle.spawn(async {})));
        place(line!(), task(unstuck::task::Builder::new().spawn(async {})));
        place(line!(), task(spawn(async {})));
        place(line!(), task(unstuck::create_task(async {})));
        place(line!(), unstuck::run_single(async { task(unstuck::spawn_local(async {})) }));

        let job = |job: unstuck::JobHandle<()>| job.wait().unwrap_err().place();
        place(line!(), job(to_thread(|| panic!("E"))));
        place(line!(), job(unstuck::spawn_blocking(|| panic!("E"))));
        place(line!(), job(cpu(|| panic!("E"))));
        place(line!(), job(handle.spawn_blocking(|| panic!("E"))));
        place(line!(), job(handle.cpu(|| panic!("E"))));
        place(line!(), job(unstuck::run_in_executor(&unstuck::offload::DefaultExecutor, || panic!("E"))));
    });
}
