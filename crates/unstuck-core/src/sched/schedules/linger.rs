//! A task that lingers hears what it would have heard if it had been parked.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::stuck::{guarded, with_a_monitor};
use super::{Turn, dawdle, explore};
use crate::context;
use crate::driver::ThreadDriver;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, thread};

/// Rings once, from outside, and has one listener.
#[derive(Default)]
struct Bell {
    has_rung: AtomicUsize,
    listener: Mutex<Option<Waker>>,
}

impl Bell {
    async fn heard(&self) {
        poll_fn(|cx| {
            *self.listener.lock() = Some(cx.waker().clone());
            // Acquire: pairs with the Release in `ring`.
            if self.has_rung.load(Ordering::Acquire) == 1 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn ring(&self) {
        self.has_rung.store(1, Ordering::Release); // pairs with the Acquire in `heard`
        let listener = self.listener.lock().take();
        listener.into_iter().for_each(Waker::wake);
    }
}

/// A door that plain code waits for.
#[derive(Default)]
struct Door(Mutex<bool>, Condvar);

impl Door {
    fn open(&self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        let mut open = self.0.lock();
        while !*open {
            self.1.wait(&mut open);
        }
    }
}

/// Two tasks take turns. Then the first wakes the second, waits for a bell, and opens a door. The second does `meanwhile`.
fn converse(help: Help, meanwhile: fn(&Arc<Bell>, &Arc<Door>)) {
    let scheduler = guarded(2, Box::new(ThreadDriver::new()));
    let (turn, bell, door) =
        (Arc::new(Turn::default()), Arc::new(Bell::default()), Arc::new(Door::default()));
    let first = {
        let (turn, bell, door) = (turn.clone(), bell.clone(), door.clone());
        scheduler.handle().spawn(async move {
            turn.take(0).await;
            turn.take(0).await;
            bell.heard().await;
            door.open();
        })
    };
    let second = {
        let bell = bell.clone();
        scheduler.handle().spawn(async move {
            turn.take(1).await;
            turn.take(1).await;
            meanwhile(&bell, &door);
        })
    };
    let ringer = thread::spawn(move || {
        dawdle();
        bell.ring();
    });
    let both = || {
        scheduler.block_on(async {
            first.await.unwrap();
            second.await.unwrap();
        });
    };
    match help {
        Help::Monitor => with_a_monitor(&scheduler, both),
        Help::Nobody => both(),
    }
    ringer.join().unwrap();
    assert!(scheduler.shutdown(None));
}

enum Help {
    Monitor,
    Nobody,
}

#[test]
fn who_lingers_hears_a_wake_from_outside() {
    explore(|| converse(Help::Monitor, |_, _| {}));
}

#[test]
fn who_lingers_behind_a_poll_that_blocks_hears_a_wake_from_outside() {
    explore(|| converse(Help::Monitor, |_, door| door.wait()));
}

#[test]
fn nobody_lingers_behind_a_call_that_is_run_in_place() {
    fn call(bell: &Arc<Bell>, door: &Arc<Door>) {
        context::as_pool_thread(|| {
            bell.ring();
            door.wait();
        });
    }
    explore(|| converse(Help::Nobody, call));
}

#[test]
fn nobody_lingers_for_longer_than_one_poll() {
    fn spawn_one_that_blocks(_: &Arc<Bell>, door: &Arc<Door>) {
        let door = door.clone();
        crate::spawn(async move { door.wait() }).detach();
    }
    explore(|| converse(Help::Nobody, spawn_one_that_blocks));
}

#[test]
fn who_lingers_is_cancelled_and_ends() {
    explore(|| {
        let scheduler = guarded(2, Box::new(ThreadDriver::new()));
        let turn = Arc::new(Turn::default());
        let tasks = [0, 1].map(|me| {
            let turn = turn.clone();
            scheduler.handle().spawn(async move {
                for _ in 0..3 {
                    turn.take(me).await;
                }
                pending::<()>().await;
            })
        });
        let canceller = {
            let tasks = tasks.each_ref().map(crate::Task::watch);
            thread::spawn(move || {
                dawdle();
                assert!(tasks.iter().all(crate::TaskRef::cancel), "neither can have ended");
            })
        };
        scheduler.block_on(async {
            for task in tasks {
                assert!(task.await.is_err_and(|error| error.is_cancelled()));
            }
        });
        canceller.join().unwrap();
        assert!(scheduler.shutdown(None));
    });
}
