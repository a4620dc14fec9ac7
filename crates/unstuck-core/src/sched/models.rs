#![allow(unsafe_code)] // A witness behind an `UnsafeCell`: loom reports who touches it at the wrong time.
//! The slot and the end of a home, in every interleaving. (Who sleeps, and where, has its own models beside `idle.rs` and
//! `park.rs`.)

use std::future::poll_fn;
use std::sync::{Arc, Mutex as Unseen};
use std::task::{Poll, Waker};

use super::slot::Slot;
use crate::LocalLoop;
use crate::driver::{Driver, Park, ThreadDriver, Unpark};
use crate::models::model;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{UnsafeCell, thread};
use crate::task::models::{House, assert_freed, name};

// --- The slot ---

#[test]
fn a_task_in_the_slot_is_taken_once_by_its_owner_or_by_one_of_two_thieves() {
    model(|| {
        let (house, name) = (House::new(1), name());
        let slot = Arc::new(Slot::new());
        let thieves = [(); 2].map(|()| {
            let slot = slot.clone();
            thread::spawn(move || {
                if let Some(task) = slot.steal() {
                    assert!(task.run().is_none());
                }
            })
        });
        // Made after the thieves, who so learn of them through the slot alone.
        let tasks = [house.spawn(async { 1 }, &name), house.spawn(async { 2 }, &name)];
        for _ in 0..2 {
            // What is displaced goes to the queue in real life.
            if let Some(displaced) = slot.put(house.take().unwrap()) {
                assert!(displaced.run().is_none());
            }
        }
        if let Some(task) = slot.take() {
            assert!(task.run().is_none());
        }
        for thief in thieves {
            thief.join().unwrap();
        }
        for (i, mut task) in tasks.into_iter().enumerate() {
            assert_eq!(task.try_result().unwrap().unwrap(), i + 1); // a second run of either would have panicked
        }
        drop(slot);
        assert_freed(&name);
    });
}

// --- The end of a home (task/README, rule 1) ---

/// A driver whose unparker notices when it is used after the home that owned it has gone.
struct Watched {
    inner: ThreadDriver,
}

struct Witness {
    inner: Arc<dyn Unpark>,
    home_is_gone: UnsafeCell<bool>,
}

impl Driver for Watched {
    fn park(&mut self, park: Park) {
        self.inner.park(park);
    }

    /// The home asks once, and is the only owner of what it gets.
    fn unparker(&self) -> Arc<dyn Unpark> {
        Arc::new(Witness { inner: self.inner.unparker(), home_is_gone: UnsafeCell::new(false) })
    }
}

// SAFETY: the cell is what loom watches.
unsafe impl Sync for Witness {}

impl Unpark for Witness {
    fn unpark(&self) {
        self.inner.unpark();
        // SAFETY: only read; loom reports a race with the end of the home.
        assert!(!self.home_is_gone.with(|gone| unsafe { *gone }));
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // SAFETY: loom reports a race with those who still use the home.
        self.home_is_gone.with_mut(|gone| unsafe { *gone = true });
    }
}

#[test]
fn a_home_outlives_whoever_is_just_handing_it_a_task() {
    model(|| {
        let local = LocalLoop::new(Box::new(Watched { inner: ThreadDriver::new() }));
        let stash = Arc::new(Unseen::new(None::<Waker>));
        let mut polled = false;
        let task = local.spawn_local(poll_fn({
            let stash = stash.clone();
            move |cx| {
                if std::mem::replace(&mut polled, true) {
                    return Poll::Ready(());
                }
                *stash.lock().unwrap() = Some(cx.waker().clone());
                Poll::Pending
            }
        }));
        let waker = local.block_on(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            stash.lock().unwrap().take().map_or(Poll::Pending, Poll::Ready)
        }));
        // The wake of a thread that knows nothing of the home ends the task, and with it all that kept the home.
        let outside = thread::spawn(move || waker.wake());
        assert!(local.block_on(task).is_ok());
        drop(local);
        outside.join().unwrap();
    });
}

#[test]
fn a_loop_that_falls_asleep_hears_a_wake_from_outside() {
    model(|| {
        let local = LocalLoop::new(Box::new(ThreadDriver::new()));
        let called = Arc::new(AtomicUsize::new(0));
        let mut outside = None;
        local.block_on(poll_fn(|cx| {
            outside.get_or_insert_with(|| {
                let (called, waker) = (called.clone(), cx.waker().clone());
                thread::spawn(move || {
                    called.store(1, Ordering::Relaxed); // that it is seen must come from the wake
                    waker.wake();
                })
            });
            if called.load(Ordering::Relaxed) == 1 { Poll::Ready(()) } else { Poll::Pending }
        }));
        outside.expect("started").join().unwrap();
    });
}
