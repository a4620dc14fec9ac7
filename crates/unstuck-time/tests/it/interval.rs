//! Intervals.

use std::panic::catch_unwind;
use std::time::Duration;

use unstuck_time::{Instant, MissedTick, interval, interval_at};

use crate::support::{Rig, poll};

const SECOND: Duration = Duration::from_secs(1);

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn the_first_tick_comes_at_once_and_the_others_a_period_apart() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let mut every = interval(SECOND);
    let ticks: Vec<_> = (0..4).map(|_| rig.block_on(every.tick()) - start).collect();
    assert_eq!(ticks, [millis(0), millis(1000), millis(2000), millis(3000)]);
    assert_eq!(start.elapsed(), 3 * SECOND);
}

#[test]
fn an_interval_can_start_later_and_start_anew() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let mut every = interval_at(start + 5 * SECOND, SECOND);
    assert_eq!(rig.block_on(every.tick()) - start, 5 * SECOND);
    assert_eq!(rig.block_on(every.tick()) - start, 6 * SECOND);
    rig.clock.advance(millis(500));
    every.reset();
    assert_eq!(rig.block_on(every.tick()) - start, millis(7500));
}

/// Takes the first tick at 0 s, sleeps until 3.5 s, and says when the next four ticks were scheduled.
fn ticks_after_a_long_pause(rule: MissedTick) -> Vec<Duration> {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let mut every = interval(SECOND);
    every.set_missed_tick(rule);
    rig.block_on(every.tick());
    rig.clock.advance(millis(3500));
    (0..4).map(|_| rig.block_on(every.tick()) - start).collect()
}

#[test]
fn missed_ticks_follow_the_rule() {
    let burst = ticks_after_a_long_pause(MissedTick::Burst);
    assert_eq!(burst, [millis(1000), millis(2000), millis(3000), millis(4000)]);
    let delay = ticks_after_a_long_pause(MissedTick::Delay);
    assert_eq!(delay, [millis(1000), millis(4500), millis(5500), millis(6500)]);
    let skip = ticks_after_a_long_pause(MissedTick::Skip);
    assert_eq!(skip, [millis(1000), millis(4000), millis(5000), millis(6000)]);
}

#[test]
fn a_dropped_tick_is_not_lost() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let mut every = interval(SECOND);
    rig.block_on(every.tick());
    assert!(poll(&mut every.tick()).is_pending());
    rig.clock.advance(SECOND);
    assert_eq!(rig.block_on(every.tick()) - start, SECOND);
}

#[test]
fn a_period_of_zero_is_refused() {
    let panic = catch_unwind(|| interval(Duration::ZERO)).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("yield_now()"));
}
