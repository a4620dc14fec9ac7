//! Timeouts.

use std::future::{pending, ready};
use std::pin::pin;
use std::time::Duration;

use unstuck_time::{Elapsed, Instant, sleep, timeout, timeout_at};

use crate::support::{Rig, poll};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_value_in_time_passes() {
    let mut rig = Rig::paused();
    assert_eq!(rig.block_on(timeout(2 * SECOND, sleep(SECOND).with(7))), Ok(7));
    assert_eq!(rig.armed(), 0);
}

#[test]
fn what_takes_longer_elapses_exactly_at_the_deadline() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let elapsed = rig.block_on(timeout(SECOND, sleep(2 * SECOND))).unwrap_err();
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(rig.armed(), 0);
    assert!(elapsed.to_string().starts_with("timed out"));
    assert_eq!(std::io::Error::from(elapsed).kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_value_wins_over_a_deadline_at_the_same_poll() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    assert_eq!(rig.block_on(timeout_at(start, ready(1))), Ok(1));
    assert_eq!(rig.block_on(timeout(SECOND, sleep(SECOND).with(2))), Ok(2));
}

#[test]
fn a_future_that_is_ready_at_once_costs_no_timer_and_needs_no_runtime() {
    let mut outside = pin!(timeout(SECOND, ready(1)));
    assert!(poll(&mut outside).is_ready());
    let rig = Rig::paused();
    let mut inside = pin!(timeout(SECOND, ready(1)));
    assert!(poll(&mut inside).is_ready());
    assert_eq!(rig.time.statistics().capacity, 0);
}

#[test]
fn a_deadline_of_zero_or_in_the_past_fires_at_the_first_wait() {
    let mut rig = Rig::paused();
    rig.clock.advance(10 * SECOND);
    let now = Instant::now();
    assert_eq!(rig.block_on(timeout(Duration::ZERO, async { 1 })), Ok(1));
    assert!(rig.block_on(timeout(Duration::ZERO, sleep(Duration::ZERO))).is_err());
    assert!(rig.block_on(timeout_at(now - SECOND, sleep(Duration::ZERO))).is_err());
    assert_eq!((now.elapsed(), rig.armed()), (Duration::ZERO, 0));
}

#[test]
fn the_longest_duration_is_no_limit_and_arms_nothing() {
    let mut rig = Rig::paused();
    let mut ever = pin!(timeout(Duration::MAX, pending::<()>()));
    assert_eq!(ever.deadline(), None);
    assert!(poll(&mut ever).is_pending());
    assert_eq!(rig.armed(), 0);
    assert_eq!(rig.block_on(timeout(Duration::MAX, sleep(SECOND).with(3))), Ok(3));
    assert_eq!(rig.block_on(timeout_at(Instant::now() + Duration::MAX, sleep(SECOND).with(4))), Ok(4));
}

#[test]
fn nested_timeouts_keep_their_own_deadlines() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let both = timeout(3 * SECOND, timeout(SECOND, pending::<()>()));
    assert_eq!(rig.block_on(both), Ok(Err(Elapsed::new())));
    assert_eq!(start.elapsed(), SECOND);
}

#[test]
fn a_timeout_can_give_its_future_back_before_its_time_is_over() {
    let mut rig = Rig::paused();
    let mut limited = timeout(2 * SECOND, sleep(3 * SECOND));
    assert!(rig.block_on(timeout(SECOND, &mut limited)).is_err());
    let start = Instant::now();
    rig.block_on(limited.into_inner());
    assert_eq!(start.elapsed(), 2 * SECOND);
}
