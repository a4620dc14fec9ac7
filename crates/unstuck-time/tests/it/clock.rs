//! The paused clock: when it jumps and when it must not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use unstuck_core::driver::{Driver, Park};
use unstuck_time::{Clock, Instant, sleep};

use crate::support::{Count, QUIESCENT, Rig, poll_with};

const SECOND: Duration = Duration::from_secs(1);
const BUSY: Park = Park { limit: Some(Duration::from_millis(1)), quiescent: false };

/// A sleep of one second, armed; counts its wakes.
fn armed_second() -> (unstuck_time::Sleep, Arc<Count>) {
    let wakes = Count::new();
    let mut nap = sleep(SECOND);
    assert!(poll_with(&mut nap, &wakes.waker()).is_pending());
    (nap, wakes)
}

#[test]
fn the_clock_jumps_to_the_next_deadline_when_the_runtime_is_quiescent() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let (_nap, wakes) = armed_second();
    rig.driver.park(QUIESCENT);
    assert_eq!((wakes.get(), start.elapsed()), (1, SECOND));
}

#[test]
fn the_clock_does_not_jump_while_something_can_run() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let (_nap, wakes) = armed_second();
    rig.driver.park(BUSY);
    rig.driver.park(Park::POLL);
    assert_eq!((wakes.get(), start.elapsed()), (0, Duration::ZERO));
}

#[test]
fn a_hold_keeps_the_clock_and_letting_go_ends_the_sleep() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let (_nap, wakes) = armed_second();
    let job_done = Arc::new(AtomicBool::new(false));
    let (hold, done) = (rig.clock.hold(), job_done.clone());
    let job = thread::spawn(move || {
        done.store(true, Ordering::Release);
        drop(hold);
    });
    // The first park can only return because the job let go; the clock must not have moved before that.
    rig.driver.park(QUIESCENT);
    assert!(job_done.load(Ordering::Acquire));
    assert_eq!((wakes.get(), start.elapsed()), (0, Duration::ZERO), "first the scheduler looks again");
    while wakes.get() == 0 {
        rig.driver.park(QUIESCENT);
    }
    assert_eq!(start.elapsed(), SECOND);
    job.join().unwrap();
}

#[test]
fn a_hold_let_go_between_the_look_and_the_park_lets_the_scheduler_look_again() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let (_nap, wakes) = armed_second();
    let hold = rig.clock.hold();
    // Here a scheduler finds itself quiescent. Then a job wakes a task and lets go. Even if a poll eats the unpark:
    drop(hold);
    rig.driver.park(Park::POLL);
    rig.driver.park(QUIESCENT);
    assert_eq!((wakes.get(), start.elapsed()), (0, Duration::ZERO));
    rig.driver.park(QUIESCENT);
    assert_eq!((wakes.get(), start.elapsed()), (1, SECOND));
}

#[test]
fn an_unpark_lets_the_scheduler_look_again_before_the_clock_jumps() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let (_nap, wakes) = armed_second();
    rig.driver.unparker().unpark();
    rig.driver.park(QUIESCENT);
    assert_eq!((wakes.get(), start.elapsed()), (0, Duration::ZERO));
    rig.driver.park(QUIESCENT);
    assert_eq!(wakes.get(), 1);
}

#[test]
fn advancing_by_hand_wakes_the_sleeping_driver() {
    let mut rig = Rig::paused();
    let (_nap, wakes) = armed_second();
    let hold = rig.clock.hold();
    let clock = rig.clock.clone();
    let other = thread::spawn(move || clock.advance(SECOND));
    while wakes.get() == 0 {
        rig.driver.park(QUIESCENT);
    }
    other.join().unwrap();
    drop(hold);
}

#[test]
fn timers_passed_by_an_advance_fire_in_the_order_of_their_deadlines() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut naps = Vec::new();
    for seconds in [5u32, 1, 4, 2, 3] {
        let mut nap = sleep(seconds * SECOND);
        let order = order.clone();
        let waker = crate::support::OnWake::waker(move || order.lock().unwrap().push(seconds));
        assert!(poll_with(&mut nap, &waker).is_pending());
        naps.push(nap);
    }
    rig.clock.advance(4 * SECOND);
    rig.driver.park(Park::POLL);
    assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4]);
    rig.driver.park(QUIESCENT); // the advance was an event: the scheduler looks again
    rig.driver.park(QUIESCENT);
    assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4, 5]);
    assert_eq!(start.elapsed(), 5 * SECOND);
}

#[test]
fn only_a_paused_clock_wants_to_know_about_quiescence() {
    assert!(Rig::paused().driver.unparker().wants_quiescence());
    assert!(!Rig::real().driver.unparker().wants_quiescence());
}

#[test]
fn a_year_of_hourly_sleeps_takes_no_time() {
    let mut rig = Rig::paused();
    let start = Instant::now();
    let really = std::time::Instant::now();
    rig.block_on(async {
        for _ in 0..24 * 365 {
            sleep(3600 * SECOND).await;
        }
    });
    assert_eq!(start.elapsed(), 365 * 24 * 3600 * SECOND);
    assert!(really.elapsed() < 3600 * SECOND);
}

#[test]
fn holding_the_real_clock_does_nothing() {
    let mut rig = Rig::real();
    let _hold = Clock::real().hold();
    let _own = rig.clock.hold();
    rig.block_on(sleep(Duration::from_millis(1)));
}
