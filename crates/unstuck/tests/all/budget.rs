//! A task whose waits are all ready at once: the others on the same worker have their turn all the same.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use unstuck::sync::{Barrier, Condition, Event, Lock, Queue, Semaphore};
use unstuck::{Runtime, StallPolicy, spawn};

/// More ready waits than any task gets in one poll.
const MANY: u32 = 10_000;

/// Another task, which waits for its turn on the same thread: has it had it?
fn another() -> Arc<AtomicBool> {
    let had_its_turn = Arc::new(AtomicBool::new(false));
    let other = had_its_turn.clone();
    spawn(async move { other.store(true, Ordering::Relaxed) }).detach();
    had_its_turn
}

/// Repeats the steps until another task has had its turn.
macro_rules! until_another_had_its_turn {
    ($what:literal: $step:expr) => {
        let (had_its_turn, mut steps) = (another(), 0);
        while !had_its_turn.load(Ordering::Relaxed) {
            assert!(steps < MANY, "{steps} × {}, and nobody else had a turn", $what);
            $step;
            steps += 1;
        }
    };
}

/// Each kind of wait, in a loop that never has to wait.
async fn everything_that_may_be_ready_at_once() {
    let queue = Queue::new();
    until_another_had_its_turn!("put": queue.put(7).await.unwrap());
    let queue = Queue::new();
    until_another_had_its_turn!("put and get": {
        queue.try_put(7).unwrap();
        queue.get().await.unwrap();
        queue.task_done().unwrap();
    });
    until_another_had_its_turn!("join": queue.join().await);
    let lock = Lock::new(0);
    until_another_had_its_turn!("lock": *lock.lock().await += 1);
    let semaphore = Semaphore::new(1);
    until_another_had_its_turn!("acquire": drop(semaphore.acquire().await));
    let event = Event::new();
    event.set();
    until_another_had_its_turn!("wait for an event": event.wait().await);
    let condition = Condition::new();
    until_another_had_its_turn!("wait for a condition": {
        let guard = lock.try_lock().unwrap();
        drop(condition.wait_for(guard, |_| true).await);
    });
    let barrier = Barrier::new(1);
    until_another_had_its_turn!("wait at a barrier": barrier.wait().await.unwrap());
}

#[test]
fn no_loop_over_what_is_always_ready_keeps_the_only_worker() {
    // Nobody rescues here: the loop itself has to give way.
    for policy in [StallPolicy::Report, StallPolicy::Off] {
        let runtime = Runtime::builder().worker_threads(1).stall_guard(policy).build().unwrap();
        runtime.block_on(runtime.spawn(everything_that_may_be_ready_at_once())).unwrap();
    }
}

#[test]
fn no_loop_over_what_is_always_ready_keeps_a_single_threaded_loop() {
    unstuck::run_single(async { spawn(everything_that_may_be_ready_at_once()).await.unwrap() });
}

/// Makes waits and polls them once, in one poll of this task, until one is not ready although nothing is in its way. Gives
/// that one.
async fn the_first_that_gives_way<F: Future>(mut make: impl FnMut() -> F) -> Pin<Box<F>> {
    std::future::poll_fn(|cx| {
        for _ in 0..MANY {
            let mut wait = Box::pin(make());
            if wait.as_mut().poll(cx).is_pending() {
                return Poll::Ready(wait);
            }
        }
        panic!("{MANY} waits in one poll");
    })
    .await
}

#[unstuck::test(flavor = "single", paused)]
async fn who_gives_way_has_taken_nothing_and_put_nothing_in() {
    spawn(async {
        let queue = Queue::bounded(1);
        drop(
            the_first_that_gives_way(|| {
                let _ = queue.try_get();
                queue.put("given up")
            })
            .await,
        );
        assert!(queue.is_empty());

        let fill = || {
            let _ = queue.try_put("an item");
            queue.get()
        };
        drop(the_first_that_gives_way(fill).await);
        assert_eq!(queue.len(), 1);
        let kept = the_first_that_gives_way(fill).await;
        assert_eq!(queue.try_get().unwrap(), "an item", "it stands in nobody's way");
        queue.try_put("its own").unwrap();
        assert_eq!(kept.await.unwrap(), "its own");

        let lock = Lock::new(());
        let waits = the_first_that_gives_way(|| lock.lock()).await;
        assert!(!lock.is_locked());
        drop(waits.await);

        let semaphore = Semaphore::new(1);
        let waits = the_first_that_gives_way(|| semaphore.acquire()).await;
        assert_eq!(semaphore.available(), 1);
        drop(waits.await);
    })
    .await
    .unwrap();
}

#[unstuck::test(flavor = "single", paused)]
async fn what_goes_through_a_queue_in_several_polls_comes_out_whole_and_in_order() {
    let queue = Queue::new();
    for item in 0..MANY {
        queue.try_put(item).unwrap();
    }
    let getter = spawn({
        let queue = queue.clone();
        async move {
            let mut got = Vec::new();
            while let Ok(item) = queue.get().await {
                got.push(item);
            }
            got
        }
    });
    // Its turns come in between, and the end, too.
    unstuck::sleep(Duration::from_secs(1)).await;
    queue.shutdown();
    assert_eq!(getter.await.unwrap(), (0..MANY).collect::<Vec<_>>());
}

/// What another library's `block_on` does: polls here until it is ready, and sleeps in between.
fn block_on_of_another_library<F: Future>(future: F) -> F::Output {
    struct Thread(std::thread::Thread);

    impl Wake for Thread {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Thread(std::thread::current())));
    let mut future = pin!(future);
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
    panic!("a million polls, and it is not ready yet");
}

#[test]
fn what_another_librarys_block_on_waits_for_in_a_task_comes_to_its_end() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let task = runtime.spawn(async {
        block_on_of_another_library(async {
            let mut got = 0;
            for part in 0..100 {
                unstuck::sleep(Duration::from_millis(if part == 0 { 30 } else { 0 })).await; // now the poll is out of time
                got += spawn(async move { part }).await.unwrap();
            }
            got
        })
    });
    assert_eq!(runtime.block_on(task).unwrap(), 4_950);
}

#[test]
fn threads_that_wait_on_their_own_have_no_budget() {
    let event = Event::new();
    event.set();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..MANY {
        assert!(pin!(event.wait()).poll(&mut cx).is_ready());
        event.wait_blocking();
    }
}
