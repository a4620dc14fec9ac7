//! The driver: what it fires, in which order, and what wakers may do.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unstuck_core::driver::{Driver, Park, ThreadDriver, Unpark};
use unstuck_time::{Clock, Sleep, TimeDriver, TimeHandle, sleep};

use crate::support::{Count, OnWake, QUIESCENT, Rig, poll, poll_with};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_hundred_thousand_timers_over_all_shards_fire_in_the_order_of_their_deadlines() {
    let mut rig = Rig::paused();
    let order = Arc::new(Mutex::new(Vec::new()));
    let naps: Vec<Sleep> = (0..100_000u64)
        .map(|i| {
            let _entered = unstuck_time::context::enter(&rig.time, i as usize);
            let micros = (i * 48_271) % 1_000_003; // all different, far from sorted
            let order = order.clone();
            let mut nap = sleep(Duration::from_micros(micros + 1));
            let waker = OnWake::waker(move || order.lock().unwrap().push(micros));
            assert!(poll_with(&mut nap, &waker).is_pending());
            nap
        })
        .collect();
    assert_eq!(rig.armed(), 100_000);
    // A few jumps to single deadlines, then one leap over half of them, then the rest.
    for _ in 0..100 {
        rig.driver.park(QUIESCENT);
    }
    rig.clock.advance(SECOND / 2);
    rig.driver.park(Park::POLL);
    rig.clock.advance(SECOND);
    rig.driver.park(Park::POLL);

    let order = order.lock().unwrap();
    assert_eq!(order.len(), naps.len());
    assert!(order.is_sorted());
}

#[test]
fn equal_deadlines_fire_in_the_order_of_arming() {
    let mut rig = Rig::paused();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut naps = Vec::new();
    for i in 0..500 {
        let order = order.clone();
        let mut nap = sleep(SECOND);
        assert!(poll_with(&mut nap, &OnWake::waker(move || order.lock().unwrap().push(i))).is_pending());
        naps.push(nap);
    }
    rig.driver.park(QUIESCENT);
    assert_eq!(*order.lock().unwrap(), (0..500).collect::<Vec<_>>());
}

#[test]
fn a_million_timers_set_and_cancelled_give_their_memory_back() {
    let rig = Rig::real();
    let mut naps: Vec<_> = (0..1_000_000u64).map(|i| sleep(SECOND + Duration::from_micros(i))).collect();
    for nap in &mut naps {
        assert!(poll(nap).is_pending());
    }
    assert_eq!(rig.armed(), 1_000_000);
    drop(naps);
    let statistics = rig.time.statistics();
    assert_eq!(statistics.armed, 0);
    assert!(statistics.capacity <= 4 * 512, "{statistics:?}");
}

#[test]
fn a_waker_may_arm_and_cancel_timers() {
    let mut rig = Rig::paused();
    let time = rig.time.clone();
    let victim = Mutex::new(Some(armed(&time, 5 * SECOND)));
    let made = Arc::new(Mutex::new(None));
    let keep = made.clone();
    let waker = OnWake::waker(move || {
        drop(victim.lock().unwrap().take());
        *keep.lock().unwrap() = Some(armed(&time, SECOND));
    });
    let mut nap = sleep(SECOND);
    assert!(poll_with(&mut nap, &waker).is_pending());
    rig.driver.park(QUIESCENT);
    assert_eq!(rig.armed(), 1);
    assert!(poll(made.lock().unwrap().as_mut().unwrap()).is_pending());
}

fn armed(time: &TimeHandle, duration: Duration) -> Sleep {
    let mut nap = time.sleep(duration);
    assert!(poll(&mut nap).is_pending());
    nap
}

#[test]
fn a_panicking_waker_loses_neither_the_others_nor_the_driver() {
    let mut rig = Rig::paused();
    let wakes = Count::new();
    let mut naps: Vec<_> = (0..10).map(|_| sleep(SECOND)).collect();
    for (i, nap) in naps.iter_mut().enumerate() {
        let waker = if i == 3 { OnWake::waker(|| panic!("a waker's own fault")) } else { wakes.waker() };
        assert!(poll_with(nap, &waker).is_pending());
    }
    rig.driver.park(QUIESCENT);
    assert_eq!(wakes.get(), 9);
    rig.block_on(sleep(SECOND));
}

#[test]
fn a_cancelled_timer_does_not_wake() {
    let mut rig = Rig::paused();
    let wakes = Count::new();
    let mut nap = sleep(SECOND);
    assert!(poll_with(&mut nap, &wakes.waker()).is_pending());
    drop(nap);
    rig.block_on(sleep(2 * SECOND));
    assert_eq!(wakes.get(), 0);
}

/// A driver that notes how long it was asked to sleep, and does not.
#[derive(Default)]
struct Noting {
    inner: ThreadDriver,
    limits: Arc<Mutex<Vec<Option<Duration>>>>,
}

impl Driver for Noting {
    fn park(&mut self, park: Park) {
        self.limits.lock().unwrap().push(park.limit);
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.inner.unparker()
    }
}

#[test]
fn the_inner_driver_sleeps_no_longer_than_until_the_next_deadline() {
    let noting = Noting::default();
    let limits = noting.limits.clone();
    let mut driver = TimeDriver::new(noting, Clock::real(), 2);
    let time = driver.handle();
    let asleep = Park { limit: None, quiescent: false };
    driver.park(asleep);
    let later = armed(&time, 3600 * SECOND);
    driver.park(asleep);
    let sooner = armed(&time, 60 * SECOND);
    driver.park(asleep);
    driver.park(Park { limit: Some(SECOND), ..asleep });
    drop(sooner);
    driver.park(asleep);
    drop(later);
    driver.park(asleep);

    let limits = limits.lock().unwrap();
    assert_eq!(limits[0], None);
    assert!(limits[1].is_some_and(|limit| limit > 60 * SECOND && limit <= 3600 * SECOND));
    assert!(limits[2].is_some_and(|limit| limit > SECOND && limit <= 60 * SECOND));
    assert_eq!(limits[3], Some(SECOND));
    assert!(
        limits[4].is_some_and(|limit| limit > 60 * SECOND),
        "a cancelled timer does not cut a sleep short"
    );
    assert_eq!(limits[5], None);
}

#[test]
fn an_inner_driver_is_polled_when_something_is_due_already() {
    let noting = Noting::default();
    let limits = noting.limits.clone();
    let mut driver = TimeDriver::new(noting, Clock::real(), 1);
    let nap = armed(&driver.handle(), Duration::from_nanos(1));
    let wanted = nap.deadline();
    while driver.handle().now() < wanted {}
    driver.park(Park { limit: None, quiescent: false });
    assert_eq!(*limits.lock().unwrap(), [Some(Duration::ZERO)]);
}

#[test]
#[should_panic(expected = "one a worker is a good number")]
fn a_driver_without_shards_is_refused() {
    let _driver = TimeDriver::new(ThreadDriver::new(), Clock::real(), 0);
}

#[test]
fn workers_have_their_own_shards_and_a_sleep_stays_with_its_own() {
    let mut rig = Rig::paused();
    let moved = Cell::new(sleep(SECOND));
    let _other_worker = unstuck_time::context::enter(&rig.time, 1);
    let mut nap = moved.into_inner();
    assert!(poll(&mut nap).is_pending());
    assert_eq!(rig.time.statistics().capacity, 256, "armed in one shard");
    assert!(poll(&mut nap).is_pending());
    rig.block_on(&mut nap);
    assert_eq!(rig.time.statistics().capacity, 256, "and only there");
}
