//! Failures that nobody looks at: told once. Looked at: silent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use unstuck::{EventLoop, FailureKind, Handle, Runtime, sleep, spawn, task, yield_now};

use super::Log;
use crate::support::{OnDrop, eventually, in_child, text};

const SECOND: Duration = Duration::from_secs(1);

/// From now on the failures of this runtime are written into the log.
fn logged() -> Log {
    let log = Log::new();
    let says = log.clone();
    Handle::current().set_exception_handler(move |failure| {
        says.say(format!("{:?}: {}", failure.kind(), failure.message().unwrap_or("no panic")));
    });
    log
}

async fn fails() {
    panic!("E (this test wants that)");
}

const UNSEEN: &str = "Unseen: E (this test wants that)";

both! {
    async fn a_failed_task_whose_handle_is_dropped_unseen_is_told_once() {
        let log = logged();
        let task = spawn(fails());
        eventually("it has failed", || task.is_done()).await;
        assert_eq!(log.lines(), [""; 0], "somebody may still look");
        drop(task);
        assert_eq!(log.lines(), [UNSEEN]);
    }
}

both! {
    async fn a_detached_task_that_fails_is_told_once() {
        let log = logged();
        let task = spawn(fails());
        let watch = task.watch();
        task.detach();
        eventually("it is told", || !log.lines().is_empty()).await;
        assert!(watch.is_done());
        drop(watch);
        yield_now().await;
        assert_eq!(log.lines(), [UNSEEN]);
    }
}

both! {
    async fn a_failure_that_is_awaited_is_silent() {
        let log = logged();
        assert!(spawn(fails()).await.unwrap_err().is_panic());
        let mut by_reference = spawn(fails());
        assert!((&mut by_reference).await.is_err());
        drop(by_reference);
        let both = unstuck::gather([spawn(fails()), spawn(fails())]).await;
        assert!(both.iter().all(Result::is_err));
        assert_eq!(log.lines(), [""; 0]);
    }
}

both! {
    async fn a_failure_that_is_asked_for_is_silent() {
        let log = logged();
        let mut task = spawn(fails());
        eventually("it has failed", || task.is_done()).await;
        assert!(task.try_result().unwrap().is_err());
        drop(task);
        assert_eq!(log.lines(), [""; 0]);
    }
}

both! {
    async fn a_failed_task_that_is_cancelled_is_silent() {
        let log = logged();
        for by_reference in [true, false] {
            let task = spawn(fails());
            eventually("it has failed", || task.is_done()).await;
            assert!(!if by_reference { task.watch().cancel() } else { task.cancel() });
            drop(task);
        }
        assert_eq!(log.lines(), [""; 0]);
    }
}

both! {
    async fn values_and_cancellations_that_nobody_looks_at_are_silent() {
        let log = logged();
        drop(spawn(async { Err::<(), _>("a value like any other") }));
        let task = spawn(sleep(SECOND));
        task.cancel();
        drop(task);
        sleep(SECOND).await;
        assert_eq!(log.lines(), [""; 0]);
    }
}

both! {
    async fn a_call_that_panics_is_told_at_once_although_its_handle_is_held() {
        let log = logged();
        let call = Handle::current().call_soon(|| panic!("soon"));
        eventually("it was called", || call.is_done()).await;
        assert_eq!(log.lines(), ["Call: soon"]);
        let call = Handle::current().call_later(SECOND, || panic!("later"));
        sleep(2 * SECOND).await;
        assert!(call.is_done());
        assert_eq!(log.lines(), ["Call: soon", "Call: later"]);
    }
}

both! {
    async fn a_handler_that_panics_is_survived() {
        let log = Log::new();
        let says = log.clone();
        Handle::current().set_exception_handler(move |failure| {
            says.say(failure.message().unwrap());
            panic!("the handler went off (this test wants that)");
        });
        let handle = Handle::current();
        handle.call_soon(|| panic!("one"));
        sleep(SECOND).await;
        spawn(async { panic!("two") }).detach();
        sleep(SECOND).await;
        assert_eq!(log.lines(), ["one", "two"]);
        assert_eq!(spawn(async { 42 }).await.unwrap(), 42);
    }
}

both! {
    async fn a_failure_knows_the_task_its_name_its_place_and_its_error() {
        let found = Arc::new(Mutex::new(None));
        let finds = found.clone();
        Handle::current().set_exception_handler(move |failure| {
            let task = failure.task().unwrap().clone();
            *finds.lock().unwrap() = Some((task, failure.place(), failure.to_string()));
        });
        let task = task::Builder::new().name("reader").spawn(fails());
        let id = task.id();
        task.detach();
        eventually("it is told", || found.lock().unwrap().is_some()).await;
        let (task, place, text) = found.lock().unwrap().take().unwrap();
        assert_eq!((task.id(), &*task.name()), (id, "reader"));
        assert!(place.file().ends_with("failures.rs"));
        assert!(text.contains("'reader' (from ") && text.ends_with("await it, or ask try_result()"), "{text}");
    }
}

/// A main that leaves a task behind which panics when it is cancelled.
async fn leaves_a_bomb() -> u32 {
    let armed = Arc::new(Mutex::new(false));
    let arms = armed.clone();
    task::Builder::new()
        .name("bomb")
        .spawn(async move {
            let _bomb = OnDrop(|| panic!("the cleanup went off (this test wants that)"));
            *arms.lock().unwrap() = true;
            sleep(Duration::MAX).await;
        })
        .detach();
    eventually("it is armed", || *armed.lock().unwrap()).await;
    123
}

#[test]
fn a_leftover_that_fails_in_its_cleanup_is_told_with_its_task_and_run_gives_its_value() {
    for single in [false, true] {
        let log = Log::new();
        let says = log.clone();
        let builder = Runtime::builder().worker_threads(2).exception_handler(move |failure| {
            assert_eq!(failure.kind(), FailureKind::Leftover);
            says.say(format!("{}: {}", failure.task().unwrap().name(), failure.message().unwrap()));
        });
        let value = if single {
            builder.build_single().unwrap().run(leaves_a_bomb())
        } else {
            builder.build().unwrap().run(leaves_a_bomb())
        };
        assert_eq!(value, 123);
        assert_eq!(log.lines(), ["bomb: the cleanup went off (this test wants that)"], "single: {single}");
    }
}

#[test]
fn a_pending_task_that_close_destroys_is_told() {
    let log = Log::new();
    let says = log.clone();
    let builder = Runtime::builder().exception_handler(move |failure| {
        says.say(format!("{:?} {}", failure.kind(), failure.task().unwrap().name()));
    });
    let event_loop = builder.build_single().unwrap();
    let task = event_loop.spawn_local(std::future::pending::<()>());
    task.set_name("forgotten");
    event_loop.run_until_complete(async {});
    event_loop.close();
    assert_eq!(log.lines(), ["Destroyed forgotten"]);
}

#[test]
fn a_handle_that_outlives_its_runtime_still_tells_it() {
    let log = Log::new();
    let says = log.clone();
    let builder = Runtime::builder()
        .worker_threads(1)
        .exception_handler(move |failure| says.say(failure.message().unwrap()));
    let runtime = builder.build().unwrap();
    let task = runtime.spawn(fails());
    runtime.block_on(eventually("it has failed", || task.is_done()));
    drop(runtime);
    assert_eq!(log.lines(), [""; 0]);
    drop(task);
    assert_eq!(log.lines(), ["E (this test wants that)"]);
}

#[test]
fn without_a_handler_a_failure_is_a_line_on_stderr() {
    let Some(output) = in_child(&[], || {
        let event_loop = EventLoop::new().unwrap();
        event_loop.handle().call_soon(|| panic!("the call went off"));
        event_loop.run_until_complete(async {
            spawn(async { panic!("the task went off") }).detach();
            yield_now().await;
        });
    }) else {
        return;
    };
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for part in [
        "unstuck: call 'call_soon' (from ",
        "panicked: the call went off",
        "panicked: the task went off, and nobody",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}
