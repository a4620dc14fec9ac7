#![cfg(not(any(unstuck_loom, unstuck_shuttle)))]
//! Tasks and everything that users' code can do to them: what a task gives, and what it says about itself. Wakers and
//! destructors have rooms of their own. (Races have models of their own.)

mod destructors;
mod wakers;

use std::future::{Future, pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::Task;
use crate::driver::ThreadDriver;
use crate::{Config, LocalLoop, Scheduler};

fn local() -> LocalLoop {
    LocalLoop::new(Box::new(ThreadDriver::new()))
}

/// Turns the loop until everything that is ready has had its turn.
fn settle(local: &LocalLoop) {
    local.block_on(yields(3));
}

fn yields(times: usize) -> impl Future<Output = ()> {
    let mut left = times;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

fn poll_once<T>(task: &mut Task<T>, waker: &Waker) -> Poll<Result<T, crate::JoinError>> {
    Pin::new(&mut &mut *task).poll(&mut Context::from_waker(waker))
}

/// Counts its drops, and may panic then.
struct Dropping {
    drops: Arc<AtomicUsize>,
    panics: bool,
}

impl Drop for Dropping {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics, "a destructor panicked");
    }
}

#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

impl Drops {
    fn quiet(&self) -> Dropping {
        Dropping { drops: self.0.clone(), panics: false }
    }

    fn panicking(&self) -> Dropping {
        Dropping { drops: self.0.clone(), panics: true }
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Never ready; holds `what`.
async fn hold<T>(what: T) {
    let _held = what;
    pending::<()>().await;
}

#[test]
fn a_value_is_given_once_and_dropped_once() {
    let (local, drops) = (local(), Drops::default());
    let (taken, watched, detached) = (drops.quiet(), drops.quiet(), drops.quiet());
    let mut task = local.spawn_local(async { taken });
    let late = local.spawn_local(async { watched });
    local.spawn_local(async { detached }).detach();
    assert!(task.try_result().is_none());
    settle(&local);
    assert_eq!(drops.count(), 1, "nobody asks for the detached task's value");
    let value = task.try_result().unwrap().unwrap();
    drop(task);
    assert_eq!(drops.count(), 1);
    drop(value);
    assert_eq!(drops.count(), 2);
    drop(late);
    assert_eq!(drops.count(), 3);
}

#[test]
#[should_panic(expected = "polled again after it had given its result")]
fn a_handle_polled_after_its_result_says_so() {
    let local = local();
    let mut task = local.spawn_local(ready(1));
    assert_eq!(local.block_on(&mut task).unwrap(), 1);
    let _ = local.block_on(&mut task);
}

#[test]
fn a_cancel_after_the_end_comes_too_late_and_says_so() {
    let local = local();
    let mut task = local.spawn_local(ready(1));
    settle(&local);
    assert!(task.is_done());
    assert!(!task.cancel());
    assert!(!task.watch().cancel());
    assert_eq!(task.try_result().unwrap().unwrap(), 1);
}

#[test]
fn a_poll_that_gives_its_value_wins_against_a_cancel_during_it() {
    let local = local();
    let task = local.spawn_local(async {
        cancel_from_another_thread();
        7
    });
    assert_eq!(local.block_on(task).unwrap(), 7);
}

#[test]
fn a_task_that_cancels_itself_and_then_returns_is_cancelled_all_the_same() {
    let (local, drops) = (local(), Drops::default());
    let task = local.spawn_local({
        let value = drops.quiet();
        async {
            assert!(crate::current_task().unwrap().cancel());
            value
        }
    });
    assert!(local.block_on(task).err().unwrap().is_cancelled());
    assert_eq!(drops.count(), 1, "its value is lost");
}

/// Cancels the task that is being polled here.
fn cancel_from_another_thread() {
    let task = crate::current_task().unwrap();
    assert!(std::thread::spawn(move || task.cancel()).join().unwrap());
}

#[test]
fn a_task_that_cancels_itself_ends_at_its_next_await() {
    let (local, reached) = (local(), Drops::default());
    let task = local.spawn_local({
        let reached = reached.quiet();
        async {
            crate::current_task().unwrap().cancel();
            drop(reached);
            yields(1).await;
            unreachable!("cancelled at the await above");
        }
    });
    assert!(local.block_on(task).map(|(): ()| ()).unwrap_err().is_cancelled());
    assert_eq!(reached.count(), 1);
}

#[test]
fn a_task_cancelled_before_its_first_poll_is_dropped_unpolled() {
    let (local, drops) = (local(), Drops::default());
    let held = drops.quiet();
    let task = local.spawn_local(poll_fn(move |_| -> Poll<()> {
        let _held = &held;
        unreachable!("never polled")
    }));
    assert!(task.cancel());
    assert!(task.watch().is_cancelling());
    assert!(local.block_on(task).unwrap_err().is_cancelled());
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_future_of_a_mebibyte_is_boxed_and_works() {
    // Without optimisation such a future passes through several stack frames by value before it is boxed.
    let roomy = std::thread::Builder::new().stack_size(64 << 20);
    let run = || {
        let local = local();
        let task = local.spawn_local(async {
            let mut large = [1_u8; 1 << 20];
            yields(1).await;
            large[17] = 5;
            large.iter().map(|&byte| usize::from(byte)).sum::<usize>()
        });
        assert_eq!(local.block_on(task).unwrap(), (1 << 20) + 4);
    };
    roomy.spawn(run).unwrap().join().unwrap();
}

#[test]
fn whether_it_was_cancelled_can_be_asked_before_and_after_its_result_was_taken() {
    let local = local();
    let mut cancelled = local.spawn_local(hold(()));
    let mut value = local.spawn_local(async {
        cancel_from_another_thread();
        7
    });
    settle(&local);
    assert!(cancelled.cancel() && !cancelled.is_cancelled(), "asked to end, and not there yet");
    settle(&local);
    assert!(cancelled.is_done() && cancelled.is_cancelled());
    assert!(value.is_done() && !value.is_cancelled(), "its value won");
    assert!(cancelled.try_result().unwrap().unwrap_err().is_cancelled());
    assert_eq!(value.try_result().unwrap().unwrap(), 7);
    assert!(cancelled.is_cancelled() && cancelled.watch().is_cancelled());
    assert!(!value.is_cancelled() && !value.watch().is_cancelled());
}

#[test]
fn the_error_of_a_cancelled_task_tells_the_same_whether_it_keeps_the_task_or_not() {
    let error_of = |is_large: bool| {
        let local = local();
        let room = [0_u8; 512];
        let pends = async move {
            pending::<()>().await;
            std::hint::black_box(room);
        };
        let task = if is_large { local.spawn_local(pends) } else { local.spawn_local(pending()) };
        let (id, watch) = (task.id(), task.watch());
        task.cancel();
        let error = local.block_on(task).unwrap_err();
        watch.set_name("too late for this error");
        (id, error)
    };
    for (id, error) in [error_of(false), error_of(true)] {
        let text = format!("task {id} (from {}:{}) was cancelled", file!(), error.place().line());
        assert_eq!(error.to_string(), text, "also when its loop is gone");
        assert!(error.is_cancelled() && !error.is_panic() && !error.is_rejected() && !error.is_deadlock());
        assert!(error.name().is_none() && error.reason().is_none() && error.panic_message().is_none());
        let debug = format!("{error:?}");
        assert!(debug.starts_with("JoinError { kind: Cancelled(None), origin: task "), "{debug}");
        assert!(error.try_into_panic().is_err_and(|error| error.is_cancelled()));
    }
}

#[test]
fn a_task_that_panicked_was_not_cancelled_and_one_that_was_refused_says_the_same_as_its_error() {
    let (local, drops) = (local(), Drops::default());
    let failed = local.spawn_local(hold(drops.panicking()));
    settle(&local);
    failed.cancel();
    let watch = failed.watch();
    assert!(local.block_on(failed).unwrap_err().is_panic());
    assert!(watch.is_done() && !watch.is_cancelled());
    local.shutdown();
    let refused = local.spawn_local(ready(1));
    assert!(refused.is_cancelled());
    assert!(refused.wait().unwrap_err().is_cancelled());
}

#[test]
fn a_plain_thread_can_wait_for_a_task() {
    let scheduler = Scheduler::new(&Config::default(), Box::new(ThreadDriver::new()));
    scheduler.start().unwrap();
    let (start, started) = std::sync::mpsc::channel::<u32>();
    let task = scheduler.handle().spawn(async move {
        yields(3).await;
        started.recv().unwrap() + 2
    });
    let waiter = std::thread::spawn(|| task.wait().unwrap());
    start.send(40).unwrap();
    assert_eq!(waiter.join().unwrap(), 42);
    assert!(
        scheduler.handle().spawn(async { panic!("boom") }).wait().map(|(): ()| ()).unwrap_err().is_panic()
    );
    assert!(scheduler.shutdown(None));
}

#[test]
fn a_wait_inside_async_code_is_refused_with_the_way_out() {
    let local = local();
    let task = local.spawn_local(ready(1));
    let error = local
        .block_on(local.spawn_local(async { _ = task.wait() }))
        .expect_err("it would wait for a task of its own thread");
    let text = error.panic_message().unwrap();
    assert!(text.contains("wait() inside task") && text.contains(".await"), "{text}");
}

#[test]
fn a_task_has_a_name_a_number_and_a_place() {
    let local = local();
    let task = local.spawn_local(pending::<()>());
    let line = line!() - 1;
    let watch = task.watch();
    assert_eq!(*watch.name(), *format!("task-{}", watch.id()));
    assert_eq!((watch.place().file(), watch.place().line()), (file!(), line));
    task.set_name("fetch");
    assert_eq!(&*watch.name(), "fetch");
    assert_eq!(watch, task.watch());
    let text = format!("{task:?}");
    for part in ["fetch", "waiting", &watch.id().to_string(), &format!("tests.rs:{line}")] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    task.cancel();
    assert!(format!("{task:?}").contains("cancelling"));
    settle(&local);
    assert!(format!("{task:?}").contains("done"));
}

#[test]
fn a_task_sees_itself_running() {
    let local = local();
    let name = local.spawn_local(async {
        let me = crate::current_task().unwrap();
        assert!(me.is_running() && !me.is_done() && !me.is_cancelling());
        assert!(format!("{me:?}").contains("running"));
        me.set_name("me");
        me.name()
    });
    assert_eq!(&*local.block_on(name).unwrap(), "me");
    assert!(crate::current_task().is_none());
}

#[test]
fn an_error_tells_the_name_and_the_place_of_its_task() {
    let local = local();
    let task = local.spawn_local(async { panic!("no luck") });
    task.set_name("unlucky");
    let text = local.block_on(task).map(|(): ()| ()).unwrap_err().to_string();
    assert!(text.contains("unlucky") && text.contains("tests.rs") && text.contains("no luck"), "{text}");
}
