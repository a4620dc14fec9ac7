//! Tasks that await what is always ready: others have their turn all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::driver::ThreadDriver;
use crate::guard::{GuardConfig, StallPolicy};
use crate::{Config, LocalLoop, Scheduler, spawn};

/// Ready whenever it may be.
async fn ready() {
    std::future::poll_fn(|cx| proceed(cx)).await;
}

/// Awaits what is ready until another task, which waits for its turn, has had it. Gives the number of awaits.
async fn greedy(between: Duration) -> u32 {
    let had_its_turn = Arc::new(AtomicBool::new(false));
    let other = had_its_turn.clone();
    spawn(async move { other.store(true, Ordering::Relaxed) }).detach();
    let mut awaits = 0;
    while !had_its_turn.load(Ordering::Relaxed) {
        ready().await;
        awaits += 1;
        let begun = Instant::now();
        while begun.elapsed() < between {
            std::hint::spin_loop();
        }
    }
    awaits
}

fn scheduler(policy: StallPolicy) -> Scheduler {
    let guard = GuardConfig { policy, ..GuardConfig::default() };
    let scheduler = Scheduler::new(&Config { guard, ..Config::default() }, Box::new(ThreadDriver::new()));
    scheduler.start().unwrap();
    scheduler
}

#[test]
fn on_a_guarded_worker_the_time_counts_too() {
    // Nobody is rescued here: the only worker has to do it.
    let scheduler = scheduler(StallPolicy::Report);
    let awaits = scheduler.block_on(scheduler.handle().spawn(greedy(Duration::from_millis(10)))).unwrap();
    assert!(awaits <= READY, "ten seconds without a tick");
    assert!(scheduler.shutdown(None));
}

#[test]
fn on_every_worker_the_awaits_count() {
    for policy in [StallPolicy::Off, StallPolicy::Report] {
        let scheduler = scheduler(policy);
        let awaits = scheduler.block_on(scheduler.handle().spawn(greedy(Duration::ZERO))).unwrap();
        assert!(awaits <= READY + 1, "{policy:?}: {awaits}");
        assert!(awaits == READY + 1 || policy != StallPolicy::Off);
        assert!(scheduler.shutdown(None));
    }
}

#[test]
fn on_a_single_threaded_loop_they_count_from_poll_to_poll() {
    let local = LocalLoop::new(Box::new(ThreadDriver::new()));
    let task = local.spawn_local(async {
        assert_eq!(greedy(Duration::ZERO).await, READY + 1);
        for _ in 0..5 {
            assert_eq!(greedy(Duration::ZERO).await, READY, "the last one of before counts in this poll");
        }
    });
    local.block_on(task).unwrap();
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The number of the present poll.
fn polls() -> u64 {
    context::with_local(|local| local.map(LocalLoop::polls)).expect("a loop")
}

/// More often than a poll may.
async fn ready_often() -> u32 {
    for _ in 0..2 * READY {
        ready().await;
    }
    0
}

#[test]
fn a_main_future_goes_on_although_no_task_is_polled_in_between() {
    let local = LocalLoop::new(Box::new(ThreadDriver::new()));
    assert_eq!(local.block_on(ready_often()), 0);
}

#[test]
fn a_task_that_is_done_stays_so_until_it_may_be_said() {
    let local = LocalLoop::new(Box::new(ThreadDriver::new()));
    let done = local.spawn_local(async { 42 });
    let waiting = local.spawn_local(async move {
        yield_once().await; // `done` has its turn, and this is a new poll
        for _ in 0..READY {
            assert!(!is_spent());
        }
        let polls = polls();
        let value = done.await.unwrap();
        assert!(self::polls() > polls, "it gave way first");
        value
    });
    assert_eq!(local.block_on(waiting).unwrap(), 42);
}

#[test]
fn a_future_from_elsewhere_can_share_in_it() {
    let local = LocalLoop::new(Box::new(ThreadDriver::new()));
    let task = local.spawn_local(async {
        let had_its_turn = Arc::new(AtomicBool::new(false));
        let other = had_its_turn.clone();
        spawn(async move { other.store(true, Ordering::Relaxed) }).detach();
        while !had_its_turn.load(Ordering::Relaxed) {
            budgeted(std::future::ready(())).await;
        }
    });
    local.block_on(task).unwrap();
}

#[test]
fn nobody_is_held_up_by_a_thread_outside() {
    let begun = std::time::Instant::now();
    let mut asked = 0_u32;
    while asked <= 2 * READY || begun.elapsed() < Duration::from_millis(5) {
        assert!(!is_spent());
        asked += 1;
    }
}
