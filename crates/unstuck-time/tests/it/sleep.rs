//! One sleep's life.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use unstuck_core::driver::{Driver, Park};
use unstuck_time::{Instant, TimeHandle, sleep};

use crate::support::{Count, QUIESCENT, Rig, poll, poll_with};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_sleep_takes_exactly_its_time_on_a_paused_clock() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    rig.block_on(sleep(Duration::from_nanos(3_000_000_001)));
    assert_eq!(start.elapsed(), Duration::from_nanos(3_000_000_001));
}

#[test]
fn a_sleep_is_not_early_on_the_real_clock() {
    let mut rig = Rig::real();
    let started = std::time::Instant::now();
    rig.block_on(sleep(Duration::from_millis(20)));
    assert!(started.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_sleep_with_a_value_gives_it() {
    assert_eq!(Rig::paused().block_on(sleep(SECOND).with("rested")), "rested");
}

#[test]
fn a_zero_sleep_makes_exactly_one_trip_through_the_queue_and_arms_nothing() {
    let rig = Rig::paused();
    let wakes = Count::new();
    let mut nap = sleep(Duration::ZERO);
    assert_eq!(poll_with(&mut nap, &wakes.waker()), Poll::Pending);
    assert_eq!((wakes.get(), rig.armed()), (1, 0));
    assert_eq!(poll_with(&mut nap, &wakes.waker()), Poll::Ready(()));
    assert_eq!(wakes.get(), 1);
}

#[test]
fn a_deadline_in_the_past_is_ready_at_once_and_arms_nothing() {
    for make in [Rig::real, Rig::paused] {
        let rig = make();
        let now = rig.time.now();
        assert_eq!(poll(&mut rig.time.sleep_until(now - SECOND)), Poll::Ready(()));
        assert_eq!(poll(&mut rig.time.sleep_until(now)), Poll::Ready(()));
        assert_eq!(rig.armed(), 0);
    }
}

#[test]
fn sleeping_for_ever_is_pending_and_overflows_nothing() {
    let mut rig = Rig::paused();
    let mut many: Vec<_> = (0..200).map(|_| sleep(Duration::MAX)).collect();
    for ever in &mut many {
        assert_eq!(poll(ever), Poll::Pending);
    }
    rig.block_on(sleep(1000 * SECOND)); // they do not keep the clock from jumping to other timers
    assert!(many.iter_mut().all(|ever| poll(ever).is_pending()));
    assert!(!many[0].is_elapsed());
    drop(many);
    assert_eq!(rig.armed(), 0);
}

#[test]
fn a_sleep_arms_at_its_first_poll_and_not_before() {
    let rig = Rig::paused();
    let mut nap = sleep(SECOND);
    assert_eq!(rig.armed(), 0);
    assert!(poll(&mut nap).is_pending());
    assert_eq!(rig.armed(), 1);
}

#[test]
fn a_dropped_sleep_removes_its_timer_and_its_waker() {
    let rig = Rig::paused();
    let wakes = Count::new();
    let waker = wakes.waker();
    let mut nap = sleep(SECOND);
    assert!(poll_with(&mut nap, &waker).is_pending());
    assert_eq!(std::sync::Arc::strong_count(&wakes), 3);
    drop(nap);
    assert_eq!(rig.armed(), 0);
    assert_eq!(std::sync::Arc::strong_count(&wakes), 2);
}

#[test]
fn a_poll_with_another_waker_moves_the_wake_to_it() {
    let mut rig = Rig::paused();
    let (first, second) = (Count::new(), Count::new());
    let mut nap = sleep(SECOND);
    assert!(poll_with(&mut nap, &first.waker()).is_pending());
    assert!(poll_with(&mut nap, &second.waker()).is_pending());
    assert!(poll_with(&mut nap, &second.waker()).is_pending());
    rig.driver.park(QUIESCENT);
    assert_eq!((first.get(), second.get()), (0, 1));
    assert!(poll_with(&mut nap, &second.waker()).is_ready());
}

#[test]
fn a_sleep_that_ended_stays_ended() {
    let mut rig = Rig::paused();
    let mut nap = sleep(SECOND);
    rig.block_on(&mut nap);
    assert!(nap.is_elapsed());
    assert!(poll(&mut nap).is_ready());
}

#[test]
fn a_reset_moves_the_deadline_both_ways_and_revives_an_ended_sleep() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let mut nap = sleep(10 * SECOND);
    assert!(poll(&mut nap).is_pending());

    nap.reset(start + SECOND);
    assert_eq!(nap.deadline(), start + SECOND);
    rig.block_on(&mut nap);
    assert_eq!(start.elapsed(), SECOND);

    nap.reset(start + 3 * SECOND);
    assert!(!nap.is_elapsed());
    rig.block_on(&mut nap);
    assert_eq!(start.elapsed(), 3 * SECOND);
}

#[test]
fn a_reset_needs_no_poll_to_wake_the_waiting_task() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let wakes = Count::new();
    let mut nap = sleep(SECOND);
    assert!(poll_with(&mut nap, &wakes.waker()).is_pending());
    nap.reset(start + 2 * SECOND);
    rig.driver.park(QUIESCENT);
    assert_eq!(wakes.get(), 1);
    assert_eq!(start.elapsed(), 2 * SECOND);

    assert!(poll(&mut nap).is_ready());
    nap.reset(start + 3 * SECOND);
    assert!(poll_with(&mut nap, &wakes.waker()).is_pending());
    nap.reset(start); // the driver has passed that already
    assert_eq!(wakes.get(), 2);
    assert!(poll(&mut nap).is_ready());
}

#[test]
fn a_sleep_made_outside_of_a_runtime_starts_where_it_is_first_polled() {
    let mut early = sleep(SECOND);
    let mut rig = Rig::paused();
    rig.clock.advance(5 * SECOND);
    let start = Instant::now();
    rig.block_on(&mut early);
    assert_eq!(start.elapsed(), SECOND);
}

#[test]
fn a_sleep_outside_of_any_runtime_says_what_to_do() {
    let error = TimeHandle::try_current().unwrap_err();
    assert!(error.to_string().starts_with("no timer on this thread: call sleep() inside unstuck::run(..)"));
    let panic = catch_unwind(|| poll(&mut sleep(SECOND))).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("hold a Runtime::enter() guard"));
}

#[test]
fn entering_nests_and_the_guard_restores_the_outer_timer() {
    let outer = Rig::paused();
    outer.clock.advance(SECOND);
    let outside = Instant::now();
    {
        let inner = Rig::paused();
        assert_eq!(Instant::now(), inner.clock.now());
        assert!(Instant::now() < outside);
    }
    assert_eq!(Instant::now(), outside);
}

#[test]
fn a_sleep_can_be_polled_and_dropped_where_its_runtime_is_not_entered() {
    let home = Rig::paused();
    let mut nap = sleep(SECOND);
    let away = Rig::paused();
    assert!(poll(&mut nap).is_pending());
    assert_eq!((home.armed(), away.armed()), (1, 0));
    let other = std::thread::spawn(move || {
        assert!(poll(&mut nap).is_pending());
        drop(nap);
    });
    other.join().unwrap();
    assert_eq!(home.armed(), 0);
    drop(away);
}

#[test]
fn a_pending_sleep_is_woken_and_speaks_clearly_when_its_runtime_ends() {
    let Rig { driver, .. } = Rig::paused();
    let handle = driver.handle();
    let wakes = Count::new();
    let mut pending = handle.sleep(SECOND);
    let mut ever = handle.sleep(Duration::MAX);
    let mut fresh = handle.sleep(SECOND);
    assert!(poll_with(&mut pending, &wakes.waker()).is_pending());
    assert!(poll_with(&mut ever, &wakes.waker()).is_pending());

    drop(driver);
    assert_eq!(wakes.get(), 2);
    for nap in [&mut pending, &mut ever, &mut fresh] {
        let panic = catch_unwind(AssertUnwindSafe(|| poll(nap))).unwrap_err();
        let text = panic.downcast_ref::<&str>().unwrap();
        assert!(text.starts_with("the runtime that owns this timer has shut down"), "{text}");
    }
}

#[test]
fn a_sleep_that_outlives_its_runtime_can_be_dropped() {
    let mut rig = Rig::real();
    let mut nap = sleep(SECOND);
    assert!(poll(&mut nap).is_pending());
    rig.driver.park(Park::POLL);
    drop(rig);
    drop(nap);
}
