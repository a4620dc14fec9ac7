//! Destructors that panic, that wake others, that hold each other: at the end all is freed.

use std::future::{poll_fn, ready};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use super::super::Task;
use super::{Drops, hold, local, settle};
use crate::driver::ThreadDriver;
use crate::{Config, Scheduler};

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
