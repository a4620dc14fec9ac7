//! What asyncio has no words for, because it has one thread: workers that block, wakes and cancels from elsewhere, handles
//! that end up anywhere.
//!
//! More of it: timers of a worker that is stuck in `../stalls.rs`, wakers that outlive their runtime in
//! `../faults/wakers.rs`, cancels during a poll in `../faults/cancel.rs`.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use unstuck::{Deferred, EventLoop, Runtime, sleep, spawn};

use crate::support::{Gate, OnDrop, PATIENCE, until};

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().worker_threads(workers).build().unwrap()
}

#[test]
fn the_queue_and_the_slot_of_a_worker_that_blocks_drain_elsewhere() {
    for workers in [1, 2] {
        let runtime = runtime(workers);
        let blocks = runtime.spawn(async {
            let (sender, receiver) = mpsc::channel();
            for number in 0..20 {
                let sender = sender.clone();
                // The last one lies in the slot, the others in the queue.
                spawn(async move { sender.send(number).unwrap() }).detach();
            }
            let mut found: Vec<u32> =
                (0..20).map(|_| receiver.recv_timeout(PATIENCE).expect("nobody serves them")).collect();
            found.sort_unstable();
            found
        });
        assert_eq!(runtime.block_on(blocks).unwrap(), (0..20).collect::<Vec<_>>());
    }
}

#[test]
fn a_wake_that_comes_during_the_poll_is_not_lost() {
    for single in [false, true] {
        let (to_waker, wakers) = mpsc::channel::<Waker>();
        let gate = Gate::new();
        let (woken, polls) = (gate.clone(), AtomicUsize::new(0));
        let elsewhere = thread::spawn(move || {
            wakers.recv().unwrap().wake(); // the poll has not returned
            gate.open();
        });
        let task = poll_fn(move |cx| {
            if polls.fetch_add(1, Ordering::SeqCst) > 0 {
                return Poll::Ready(42);
            }
            to_waker.send(cx.waker().clone()).unwrap();
            woken.pass();
            Poll::Pending
        });
        let value = if single {
            EventLoop::new().unwrap().run(async { spawn(task).await.unwrap() })
        } else {
            runtime(2).run(async { spawn(task).await.unwrap() })
        };
        elsewhere.join().unwrap();
        assert_eq!(value, 42);
    }
}

#[test]
fn a_cancel_from_another_thread_while_the_task_runs_is_delivered_after_that_poll() {
    let runtime = runtime(2);
    let (inside, leave) = (Gate::new(), Gate::new());
    let (arrives, left) = (inside.clone(), leave.clone());
    let steps = Arc::new(Mutex::new(Vec::new()));
    let notes = steps.clone();
    let task = runtime.spawn(async move {
        let gone = notes.clone();
        let _cleanup = OnDrop(move || gone.lock().unwrap().push("dropped"));
        arrives.open();
        left.pass();
        notes.lock().unwrap().push("the poll goes on");
        sleep(Duration::MAX).await;
        notes.lock().unwrap().push("never");
    });
    inside.pass();
    let watch = task.watch();
    assert!(thread::spawn(move || watch.cancel()).join().unwrap());
    assert!(!task.is_done(), "it runs");
    leave.open();
    assert!(task.wait().unwrap_err().is_cancelled());
    assert_eq!(*steps.lock().unwrap(), ["the poll goes on", "dropped"]);
}

/// The limit asks a task to end whose poll, under way, gives a value: the limit was met, and is not a request to whoever
/// set it.
#[test]
fn a_time_limit_that_meets_a_value_cancels_nothing_else() {
    let runtime = runtime(2);
    let (inside, leave) = (Gate::new(), Gate::new());
    let (arrives, left) = (inside.clone(), leave.clone());
    let inner = runtime.spawn(async move {
        arrives.open();
        left.pass();
        42
    });
    inside.pass();
    let (watch, opens) = (inner.watch(), leave.clone());
    let opener = thread::spawn(move || {
        until("the limit has asked it to end", || watch.cancelling() > 0);
        opens.open();
    });
    let waiter = runtime.spawn(async move {
        let value = unstuck::wait_for(inner, Duration::from_millis(1)).await;
        sleep(Duration::from_millis(1)).await; // not cancelled
        value.unwrap().unwrap()
    });
    assert_eq!(waiter.wait().unwrap(), 42);
    opener.join().unwrap();
}

#[test]
fn two_threads_may_wait_for_one_task() {
    let runtime = runtime(1);
    let gate = Gate::new();
    let held = gate.clone();
    let task = runtime.spawn(async move {
        unstuck::to_thread(move || held.pass()).await.unwrap();
        42
    });
    let (ended, handle) = (Deferred::new(), runtime.handle());
    let tells = ended.clone();
    let entered = runtime.enter();
    task.add_done_callback(move |task| tells.set_result(task.id()).unwrap());
    drop(entered);
    let id = task.id();
    let owner = thread::spawn(move || task.wait().unwrap());
    let other = thread::spawn(move || handle.block_on(ended).unwrap());
    gate.open();
    assert_eq!((owner.join().unwrap(), other.join().unwrap()), (42, id));
}

#[test]
fn the_last_handle_may_be_dropped_on_a_foreign_thread_also_after_the_runtime() {
    for after in [false, true] {
        let runtime = runtime(1);
        let dropped = Arc::new(Mutex::new(None));
        let notes = dropped.clone();
        let task = runtime.spawn(async move {
            OnDrop(move || *notes.lock().unwrap() = Some(thread::current().id())) // the value
        });
        let watch = task.watch();
        until("it has ended", || watch.is_done());
        let runtime = (!after).then_some(runtime); // dropped here if not kept
        let foreign = thread::spawn(move || {
            drop(task);
            thread::current().id()
        });
        let id = foreign.join().unwrap();
        assert_eq!(*dropped.lock().unwrap(), Some(id));
        drop(runtime);
        drop(watch); // the last reference of all
    }
}
