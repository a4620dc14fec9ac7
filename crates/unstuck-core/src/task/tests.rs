#![cfg(not(any(unstuck_loom, unstuck_shuttle)))]
#![allow(unsafe_code)] // Wakers that panic are made by hand.
//! Tasks and everything that users' code can do to them. (Races have models of their own.)

use std::future::{Future, pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::Task;
use super::state::State;
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

// --- The outcome ---

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

// --- Waiting on a plain thread ---

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

// --- Destructors that panic ---

#[test]
fn a_destructor_that_panics_on_cancel_becomes_the_outcome() {
    let (local, drops) = (local(), Drops::default());
    let task = local.spawn_local(hold(drops.panicking()));
    settle(&local);
    task.cancel();
    let error = local.block_on(task).unwrap_err();
    assert_eq!(error.panic_message(), Some("a destructor panicked"));
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_value_outlives_a_destructor_that_panics_after_it() {
    let (local, drops) = (local(), Drops::default());
    let held = drops.panicking();
    let task = local.spawn_local(poll_fn(move |_| {
        let _held = &held;
        Poll::Ready(3)
    }));
    assert_eq!(local.block_on(task).unwrap(), 3);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_result_that_panics_when_nobody_wants_it_hurts_nobody() {
    let (local, drops) = (local(), Drops::default());
    let (early, late) = (drops.panicking(), drops.panicking());
    local.spawn_local(async { early }).detach();
    let task = local.spawn_local(async { late });
    settle(&local);
    drop(task);
    assert_eq!(drops.count(), 2);
    assert_eq!(local.block_on(local.spawn_local(ready(1))).unwrap(), 1);
}

#[test]
fn three_destructors_that_panic_at_shutdown_keep_no_other_task_alive() {
    let (local, drops) = (local(), Drops::default());
    for i in 0..10 {
        let held = if i % 3 == 1 { drops.panicking() } else { drops.quiet() };
        local.spawn_local(hold(held)).detach();
    }
    settle(&local);
    local.shutdown();
    assert_eq!(drops.count(), 10);
    assert_eq!(local.handle().task_count(), 0);
}

// --- Wakers that panic ---

/// What a waker made by hand does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trick {
    None,
    PanicsOnClone,
    PanicsOnWake,
    PanicsOnDrop,
}

struct Tricky {
    trick: Trick,
    alive: AtomicUsize,
    wakes: AtomicUsize,
}

/// Keeps leak checkers from worrying.
static KEPT: Mutex<Vec<&'static Tricky>> = Mutex::new(Vec::new());

impl Tricky {
    /// A waker that lives as long as the process, so that nothing here can be freed too early.
    fn waker(trick: Trick) -> (&'static Tricky, Waker) {
        let tricky: &'static Tricky =
            Box::leak(Box::new(Tricky { trick, alive: AtomicUsize::new(1), wakes: AtomicUsize::new(0) }));
        KEPT.lock().unwrap().push(tricky);
        // SAFETY: the data lives for ever and is shared only.
        (tricky, unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(tricky).cast(), &TRICKS)) })
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }
}

static TRICKS: RawWakerVTable = RawWakerVTable::new(
    |data| {
        let tricky = tricky(data);
        assert!(tricky.trick != Trick::PanicsOnClone, "clone panicked");
        tricky.alive.fetch_add(1, Ordering::Relaxed);
        RawWaker::new(data, &TRICKS)
    },
    |data| {
        let tricky = tricky(data);
        tricky.alive.fetch_sub(1, Ordering::Relaxed);
        tricky.wakes.fetch_add(1, Ordering::Relaxed);
        assert!(tricky.trick != Trick::PanicsOnWake, "wake panicked");
    },
    |data| {
        tricky(data).wakes.fetch_add(1, Ordering::Relaxed);
    },
    |data| {
        let tricky = tricky(data);
        tricky.alive.fetch_sub(1, Ordering::Relaxed);
        assert!(tricky.trick != Trick::PanicsOnDrop, "drop panicked");
    },
);

fn tricky(data: *const ()) -> &'static Tricky {
    // SAFETY: made by `Tricky::waker`, never freed.
    unsafe { &*data.cast::<Tricky>() }
}

/// Drops a waker whose destructor may panic.
fn drop_carefully(waker: Waker) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(waker)));
}

#[test]
fn a_waiter_whose_clone_panics_leaves_the_handle_usable() {
    let local = local();
    let mut task = local.spawn_local(yields(1));
    let (_, waker) = Tricky::waker(Trick::PanicsOnClone);
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(&mut task, &waker)));
    assert!(polled.is_err());
    local.block_on(task).unwrap();
}

#[test]
fn a_waiter_that_panics_when_woken_hurts_nobody() {
    let local = local();
    let mut task = local.spawn_local(ready(1));
    let (tricky, waker) = Tricky::waker(Trick::PanicsOnWake);
    assert!(poll_once(&mut task, &waker).is_pending());
    settle(&local);
    assert_eq!(tricky.wakes.load(Ordering::Relaxed), 1);
    drop(waker);
    assert_eq!(tricky.alive(), 0);
    assert_eq!(task.try_result().unwrap().unwrap(), 1);
}

#[test]
fn a_waiter_that_panics_when_dropped_is_dropped_once() {
    let local = local();
    let mut task = local.spawn_local(pending::<()>());
    let (tricky, waker) = Tricky::waker(Trick::PanicsOnDrop);
    assert!(poll_once(&mut task, &waker).is_pending());
    assert_eq!(tricky.alive(), 2);
    drop(task);
    assert_eq!(tricky.alive(), 1);
    drop_carefully(waker);
    settle(&local);
}

#[test]
fn a_waiter_that_panics_when_replaced_leaves_the_new_one_in_place() {
    let local = local();
    let mut task = local.spawn_local(ready(1));
    let (panics, waker) = Tricky::waker(Trick::PanicsOnDrop);
    assert!(poll_once(&mut task, &waker).is_pending());
    let (quiet, second) = Tricky::waker(Trick::None);
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(&mut task, &second)));
    assert!(polled.is_err(), "the panic belongs to whoever polls");
    assert_eq!(panics.alive(), 1);
    assert!(poll_once(&mut task, &second).is_pending());
    settle(&local);
    assert_eq!(quiet.wakes.load(Ordering::Relaxed), 1);
    drop_carefully(waker);
}

#[test]
fn a_waiter_is_cloned_only_if_it_is_another_one() {
    let local = local();
    let mut task = local.spawn_local(pending::<()>());
    let (tricky, waker) = Tricky::waker(Trick::None);
    for _ in 0..3 {
        assert!(poll_once(&mut task, &waker).is_pending());
    }
    assert_eq!(tricky.alive(), 2);
    drop(task);
    assert_eq!(tricky.alive(), 1);
}

// --- The task's own wakers, and its memory ---

/// A task whose wakers are put aside, and a name that counts the tasks not yet freed.
fn put_wakers_aside(local: &LocalLoop) -> (Task<()>, Arc<Mutex<Vec<Waker>>>, Arc<str>) {
    let wakers = Arc::new(Mutex::new(Vec::new()));
    let name: Arc<str> = Arc::from("put aside");
    let task = local.spawn_local({
        let wakers = wakers.clone();
        poll_fn(move |cx| {
            wakers.lock().unwrap().push(cx.waker().clone());
            Poll::Pending
        })
    });
    task.set_name(name.clone());
    settle(local);
    (task, wakers, name)
}

#[test]
fn a_wake_after_completion_does_nothing() {
    let local = local();
    let (task, wakers, name) = put_wakers_aside(&local);
    task.cancel();
    assert!(local.block_on(task).unwrap_err().is_cancelled());
    let polls = local.statistics().polls;
    let waker = wakers.lock().unwrap().pop().unwrap();
    waker.wake_by_ref();
    settle(&local);
    assert_eq!(local.statistics().polls, polls);
    assert_eq!(Arc::strong_count(&name), 2, "the waker holds the task");
    waker.wake();
    assert_eq!(Arc::strong_count(&name), 1);
}

#[test]
fn a_task_is_freed_with_its_last_waker_even_when_its_runtime_has_gone() {
    let local = local();
    let (task, wakers, name) = put_wakers_aside(&local);
    let watch = task.watch();
    drop((task, local));
    assert!(watch.is_done());
    drop(watch);
    let waker = wakers.lock().unwrap().pop().unwrap();
    let clone = waker.clone();
    clone.wake();
    assert_eq!(Arc::strong_count(&name), 2);
    std::thread::spawn(move || drop(waker)).join().unwrap();
    assert_eq!(Arc::strong_count(&name), 1);
}

#[test]
fn wakers_of_one_task_are_known_to_wake_the_same() {
    let local = local();
    let (task, wakers, _name) = put_wakers_aside(&local);
    wakers.lock().unwrap()[0].wake_by_ref();
    settle(&local);
    let wakers = wakers.lock().unwrap();
    assert_eq!(wakers.len(), 2);
    assert!(wakers[0].will_wake(&wakers[1]));
    drop(task);
}

#[test]
fn two_tasks_that_hold_each_other_are_freed_at_shutdown() {
    let (local, drops) = (local(), Drops::default());
    let handles = Arc::new(Mutex::new([None, None]));
    let name: Arc<str> = Arc::from("entangled");
    for i in 0..2 {
        let (handles, held) = (handles.clone(), drops.quiet());
        let task = local.spawn_local({
            let handles = handles.clone();
            async move {
                let _held = held;
                let other: Option<Task<()>> = handles.lock().unwrap()[1 - i].take();
                if let Some(other) = other {
                    let _ = other.await;
                }
            }
        });
        task.set_name(name.clone());
        handles.lock().unwrap()[i] = Some(task);
    }
    settle(&local);
    assert_eq!(drops.count(), 0, "each waits for the other");
    local.shutdown();
    assert_eq!(drops.count(), 2);
    assert_eq!(Arc::strong_count(&name), 1);
}

#[test]
fn tasks_that_wake_each_other_from_their_destructors_end_at_shutdown() {
    struct WakesAll(Arc<Mutex<Vec<Waker>>>);
    impl Drop for WakesAll {
        fn drop(&mut self) {
            for waker in &*self.0.lock().unwrap() {
                waker.wake_by_ref();
            }
        }
    }
    let config = Config { workers: 2, ..Config::default() };
    let scheduler = Scheduler::new(&config, Box::new(ThreadDriver::new()));
    scheduler.start().unwrap();
    let wakers = Arc::new(Mutex::new(Vec::new()));
    let (polled, was_polled) = std::sync::mpsc::channel();
    for _ in 0..20 {
        let (polled, wakes) = (polled.clone(), WakesAll(wakers.clone()));
        scheduler
            .handle()
            .spawn(poll_fn(move |cx| {
                wakes.0.lock().unwrap().push(cx.waker().clone());
                polled.send(()).unwrap();
                Poll::<()>::Pending
            }))
            .detach();
    }
    for _ in 0..20 {
        was_polled.recv().unwrap();
    }
    assert!(scheduler.shutdown(None));
    assert_eq!(scheduler.handle().task_count(), 0);
    wakers.lock().unwrap().clear();
}

#[test]
#[ignore = "aborts; run by the test below"]
fn one_reference_too_many() {
    State::with_references(usize::MAX / 256 + 1).add_ref();
}

#[test]
fn wakers_forgotten_without_end_abort_before_the_count_wraps() {
    State::with_references(1_000).add_ref();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "task::tests::one_reference_too_many", "--ignored"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&child.stdout).contains("running 1 test"));
    assert!(!child.status.success());
}

// --- What a task says about itself ---

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
