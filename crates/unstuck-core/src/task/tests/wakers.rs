#![allow(unsafe_code)] // Wakers that panic are made by hand.
//! Wakers: those that users bring and that panic, the tasks' own, and the memory that these keep.

use std::future::{pending, poll_fn, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, RawWaker, RawWakerVTable, Waker};

use super::super::Task;
use super::super::state::State;
use super::{local, poll_once, settle, yields};
use crate::LocalLoop;

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
fn a_waiter_that_was_left_and_never_called_is_not_kept_by_the_error_of_a_cancelled_task() {
    let local = local();
    let mut task = local.spawn_local(pending::<()>());
    let (_, waker) = Tricky::waker(Trick::PanicsOnDrop);
    assert!(poll_once(&mut task, &waker).is_pending());
    let (quiet, second) = Tricky::waker(Trick::None);
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(&mut task, &second)));
    assert!(polled.is_err() && quiet.alive() == 2, "it lies in the field, and nobody knows");
    task.cancel();
    settle(&local);
    let error = task.try_result().unwrap().unwrap_err();
    drop(task);
    assert_eq!(quiet.alive(), 1, "{error}");
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
fn a_main_future_that_is_woken_at_its_end_or_later_lets_older_tasks_go_before_the_next_one() {
    let local = local();
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what| {
        let order = order.clone();
        async move { order.lock().unwrap().push(what) }
    };
    let waker = local.block_on(poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Ready(cx.waker().clone())
    }));
    let panics = || {
        local.block_on(poll_fn(|cx| -> Poll<()> {
            cx.waker().wake_by_ref();
            std::panic::resume_unwind(Box::new("went off"))
        }));
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    waker.wake_by_ref();
    for round in 0..2 {
        local.spawn_local(note("task")).detach();
        local.block_on(note("main"));
        assert_eq!(std::mem::take(&mut *order.lock().unwrap()), ["task", "main"], "round {round}");
        waker.wake_by_ref();
    }
}

#[test]
#[ignore = "aborts; run by the test below"]
fn one_reference_too_many() {
    State::with_references(1 << 53).add_ref();
}

#[test]
fn wakers_forgotten_without_end_abort_before_the_count_wraps() {
    State::with_references(1_000).add_ref();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "task::tests::wakers::one_reference_too_many", "--ignored"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&child.stdout).contains("running 1 test"));
    assert!(!child.status.success());
    assert_ne!(child.status.code(), Some(101), "it is to abort, and not only to panic");
}
