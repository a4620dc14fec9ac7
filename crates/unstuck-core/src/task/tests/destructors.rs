//! Destructors that panic, that wake others, that hold each other: at the end all is freed.

use std::future::{Future, pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::super::Task;
use super::{Dropping, Drops, hold, local, settle};
use crate::driver::ThreadDriver;
use crate::{Config, ContextVar, Scheduler, TaskRef};

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

/// What the destructor of a context variable's value has seen: the task, and the variable.
type Sight = (Option<TaskRef>, Option<u32>);

/// A value that uses everything that knows tasks when it goes: it looks around, sets a variable, spawns.
struct Session {
    seen: Arc<Mutex<Vec<Sight>>>,
    _held: Dropping,
}

static SESSION: ContextVar<Arc<Session>> = ContextVar::new("session");
static NUMBER: ContextVar<u32> = ContextVar::new("number");

impl Drop for Session {
    fn drop(&mut self) {
        self.seen.lock().unwrap().push((crate::current_task(), NUMBER.get()));
        let _ = NUMBER.set(2);
        if crate::Handle::try_current().is_some() {
            crate::spawn(ready(())).detach();
        }
    }
}

/// Sets both variables in the task that calls it.
fn set_variables(seen: &Arc<Mutex<Vec<Sight>>>, held: Dropping) {
    let _ = SESSION.set(Arc::new(Session { seen: seen.clone(), _held: held }));
    let _ = NUMBER.set(1);
}

#[test]
fn a_context_value_that_looks_around_when_it_goes_sees_no_task_that_has_gone() {
    let (local, drops, seen) = (local(), Drops::default(), Arc::default());
    // By itself, by its handle, by its last reference, by a cancellation: however a task is freed.
    let ends = |held| {
        let seen = Arc::clone(&seen);
        async move { set_variables(&seen, held) }
    };
    local.spawn_local(ends(drops.quiet())).detach();
    settle(&local);
    local.block_on(local.spawn_local(ends(drops.quiet()))).unwrap();
    let watch = local.spawn_local(ends(drops.quiet())).watch();
    settle(&local);
    drop(watch);
    let (inner, held) = (Arc::clone(&seen), drops.quiet());
    let task = local.spawn_local(async move {
        set_variables(&inner, held);
        pending::<()>().await;
    });
    settle(&local);
    task.cancel();
    task.detach();
    settle(&local);
    assert_eq!(drops.count(), 4);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(seen.iter().all(|(task, number)| task.is_none() && *number != Some(1)), "{seen:?}");
}

#[test]
fn values_that_panic_when_they_go_take_nobody_with_them() {
    static ANOTHER: ContextVar<Arc<Dropping>> = ContextVar::new("another");
    let (local, drops, seen) = (local(), Drops::default(), Arc::default());
    for _ in 0..2 {
        let (seen, held, another) = (Arc::clone(&seen), drops.panicking(), Arc::new(drops.panicking()));
        let sets = async move {
            set_variables(&seen, held);
            let _ = ANOTHER.set(another);
        };
        local.spawn_local(sets).detach();
    }
    settle(&local);
    assert_eq!(drops.count(), 4);
    assert_eq!(local.handle().task_count(), 0);
}

/// Ready at once. Its destructor panics with a payload whose destructor panics.
struct Bombs(Drops);

struct Bomb(#[allow(dead_code)] Dropping); // dropping it is the point

impl Future for Bombs {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for Bombs {
    fn drop(&mut self) {
        std::panic::panic_any(Bomb(self.0.panicking()));
    }
}

#[test]
fn a_destructor_whose_panic_panics_when_it_is_dropped_hurts_nobody() {
    let (local, drops) = (local(), Drops::default());
    let task = local.spawn_local(Bombs(drops.clone()));
    local.block_on(task).unwrap();
    local.spawn_local(Bombs(drops.clone())).detach();
    settle(&local);
    assert_eq!((drops.count(), local.handle().task_count()), (2, 0));
    local.close();
    let refused = local.spawn_local(Bombs(drops.clone()));
    assert!(refused.is_done());
    assert_eq!(drops.count(), 3);
}
