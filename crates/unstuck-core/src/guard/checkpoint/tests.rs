//! Loops that end only when a checkpoint has let somebody else have a turn.

use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use super::*;
use crate::driver::ThreadDriver;
use crate::guard::{Beat, GuardConfig, StallPolicy};
use crate::{Config, LocalLoop, Scheduler, block_on, spawn};

fn scheduler(policy: StallPolicy, threshold: Duration) -> Scheduler {
    let guard = GuardConfig { policy, threshold, ..GuardConfig::default() };
    let config = Config { guard, ..Config::default() };
    let scheduler = Scheduler::new(&config, Box::new(ThreadDriver::new()));
    scheduler.start().unwrap();
    scheduler
}

/// Computes until another task, which waits for its turn, has had it.
async fn computes_before_another_task() {
    let had_its_turn = Arc::new(AtomicBool::new(false));
    let other = had_its_turn.clone();
    spawn(async move { other.store(true, Ordering::Relaxed) }).detach();
    while !had_its_turn.load(Ordering::Relaxed) {
        checkpoint().await;
    }
}

fn poll_once(checkpoint: &mut Checkpoint) -> Poll<()> {
    Pin::new(checkpoint).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn on_a_guarded_worker_a_long_poll_lets_others_have_a_turn() {
    // Nobody is rescued here: the only worker has to do it.
    let scheduler = scheduler(StallPolicy::Report, Duration::from_millis(2));
    scheduler.block_on(scheduler.handle().spawn(computes_before_another_task())).unwrap();
    assert!(scheduler.shutdown(None));
}

#[test]
fn without_a_guard_it_does_so_too() {
    let scheduler = scheduler(StallPolicy::Off, Duration::from_millis(2));
    scheduler.block_on(scheduler.handle().spawn(computes_before_another_task())).unwrap();
    assert!(scheduler.shutdown(None));
    let local = LocalLoop::new(Box::new(ThreadDriver::new()));
    local.block_on(computes_before_another_task());
}

#[test]
fn outside_of_every_runtime_a_sibling_has_a_turn() {
    let turn = Arc::new(AtomicBool::new(false));
    let seen = turn.clone();
    let mut computes = pin!(async move {
        while !seen.load(Ordering::Relaxed) {
            checkpoint().await;
        }
    });
    let both = poll_fn(|cx| {
        let done = computes.as_mut().poll(cx);
        turn.store(true, Ordering::Relaxed); // the sibling
        done
    });
    block_on::wait("wait", both);
}

#[test]
fn a_poll_that_has_not_lasted_passes_every_checkpoint_at_once() {
    // A monitor that does not look before the test is over.
    let scheduler = scheduler(StallPolicy::Report, Duration::from_secs(3600));
    let polls = scheduler.handle().spawn(async {
        let mut polls = 0;
        let mut computes = pin!(async {
            for _ in 0..1_000 {
                checkpoint().await;
            }
        });
        poll_fn(|cx| {
            polls += 1;
            computes.as_mut().poll(cx)
        })
        .await;
        polls
    });
    assert_eq!(scheduler.block_on(polls).unwrap(), 1);
    assert!(scheduler.shutdown(None));
}

#[test]
fn a_checkpoint_that_is_due_yields_once_and_the_next_one_counts_anew() {
    let long_ago = Instant::now().checked_sub(Duration::from_secs(3600)).unwrap();
    SINCE.set(Some(long_ago));
    let mut first = checkpoint();
    assert!(poll_once(&mut first).is_pending());
    SINCE.set(Some(long_ago));
    assert!(poll_once(&mut first).is_ready(), "whatever the time is");
    SINCE.set(None);
    assert!(poll_once(&mut checkpoint()).is_ready());
    assert!(SINCE.get().is_some());
}

#[test]
fn a_request_to_hurry_is_for_the_poll_it_was_made_for() {
    let beat = Beat::new();
    beat.begin(1, Location::caller());
    let epoch = beat.look().unwrap().epoch;
    assert!(!beat.is_overdue());
    beat.hurry(epoch);
    assert!(beat.is_overdue());
    beat.end();
    assert!(!beat.is_overdue());
    beat.begin(2, Location::caller());
    beat.hurry(epoch); // too late
    assert!(!beat.is_overdue());
}
