//! The races of this crate, through every interleaving loom allows.
//!
//! `RUSTFLAGS="--cfg unstuck_loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release -p unstuck-time --test loom`
//!
//! A lost wake-up shows as a deadlock, which loom finds and reports by a panic. The models that must fail run in a child
//! process, since a panic with several modelled threads alive may abort.
#![cfg(unstuck_loom)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use unstuck_core::LocalLoop;
use unstuck_core::driver::{Driver, Park, ThreadDriver, Unpark};
use unstuck_core::sync::atomic::{AtomicBool, Ordering};
use unstuck_core::sync::{Mutex, thread};
use unstuck_time::{Alarm, Clock, Instant, Ring, Sleep, TimeDriver, context};

const NEVER: u64 = u64::MAX;
const QUIESCENT: Park = Park { limit: None, quiescent: true };
const SECOND: Duration = Duration::from_secs(1);

/// Runs a model in a child process and says whether it failed.
fn fails(model: &str) -> bool {
    let child = std::env::current_exe()
        .and_then(|exe| Command::new(exe).args(["--exact", model, "--ignored", "--test-threads=1"]).output());
    let output = child.expect("the test binary can be started");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("running 1 test"), "no such model: {text}");
    !output.status.success()
}

// --- The alarm: a timer armed while the driver goes to sleep is never overslept. ---

/// How a driver goes to sleep.
#[derive(Clone, Copy)]
enum LieDown {
    AsDocumented,
    /// Looks at `earliest` before it says that it sleeps, and not after: step D4 without its re-check.
    WithoutLookingAgain,
}

/// A wheel for one timer, the alarm, and a sleep that only an unpark ends.
struct Bed {
    alarm: Alarm,
    wheel: Mutex<u64>,
    unparker: Arc<dyn Unpark>,
}

impl Bed {
    fn arm(&self, deadline: u64) {
        let mut wheel = self.wheel.lock();
        *wheel = (*wheel).min(deadline);
        drop(wheel);
        if self.alarm.armed(deadline) == Ring::Yes {
            self.unparker.unpark();
        }
    }

    /// The driver, until it knows of a timer for `wanted`.
    fn sleep_until_found(&self, driver: &mut ThreadDriver, wanted: u64, how: LieDown) {
        loop {
            self.alarm.raise();
            let next = *self.wheel.lock();
            if next <= wanted {
                return;
            }
            let until = match how {
                LieDown::AsDocumented => self.alarm.lie_down(next, NEVER),
                LieDown::WithoutLookingAgain => {
                    let until = self.alarm.earliest().min(next);
                    let _looked_too_late = self.alarm.lie_down(next, NEVER);
                    until
                }
            };
            if until > wanted {
                // Far too late for the wanted timer: only a ring may end this sleep.
                driver.park(Park { limit: None, quiescent: false });
            }
            self.alarm.get_up();
        }
    }
}

fn timers_armed_while_the_driver_lies_down(deadlines: &'static [u64], how: LieDown) {
    loom::model(move || {
        let mut driver = ThreadDriver::new();
        let bed =
            Arc::new(Bed { alarm: Alarm::new(), wheel: Mutex::new(NEVER), unparker: driver.unparker() });
        let others: Vec<_> = deadlines
            .iter()
            .map(|&deadline| {
                let bed = bed.clone();
                thread::spawn(move || bed.arm(deadline))
            })
            .collect();
        let first = deadlines.iter().copied().min().unwrap();
        bed.sleep_until_found(&mut driver, first, how);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_timer_armed_while_the_driver_lies_down_is_not_overslept() {
    timers_armed_while_the_driver_lies_down(&[5], LieDown::AsDocumented);
}

#[test]
fn the_earlier_of_two_timers_armed_while_the_driver_lies_down_is_not_overslept() {
    timers_armed_while_the_driver_lies_down(&[9, 5], LieDown::AsDocumented);
}

#[test]
fn a_driver_that_does_not_look_again_oversleeps() {
    assert!(fails("model_without_looking_again"));
}

#[test]
#[ignore = "fails on purpose: run by a_driver_that_does_not_look_again_oversleeps"]
fn model_without_looking_again() {
    timers_armed_while_the_driver_lies_down(&[5], LieDown::WithoutLookingAgain);
}

// --- The same through the real driver, handles and wheels, on a paused clock. ---

struct Flag(AtomicBool);

impl Flag {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(false)))
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

fn poll(sleep: &mut Sleep, waker: &Waker) -> Poll<()> {
    Pin::new(sleep).poll(&mut Context::from_waker(waker))
}

/// A sleep that lives in the given shard. Made before the threads: loom's share one thread-local.
fn sleep_in(driver: &TimeDriver<ThreadDriver>, shard: usize, duration: Duration) -> Sleep {
    let time = driver.handle();
    let _entered = context::enter(&time, shard);
    time.sleep(duration)
}

#[test]
fn a_sleep_armed_by_another_thread_wakes_the_driver() {
    loom::model(|| {
        let mut driver = TimeDriver::new(ThreadDriver::new(), Clock::paused(), 1);
        let woken = Flag::new();
        let waker = Waker::from(woken.clone());
        let mut nap = sleep_in(&driver, 0, SECOND);
        let other = thread::spawn(move || {
            assert!(poll(&mut nap, &waker).is_pending());
            nap
        });
        while !woken.is_set() {
            driver.park(QUIESCENT);
        }
        drop(other.join().unwrap());
    });
}

#[test]
fn a_cancelled_earlier_sleep_in_another_shard_does_not_hide_a_later_one() {
    loom::model(|| {
        let mut driver = TimeDriver::new(ThreadDriver::new(), Clock::paused(), 2);
        let woken = Flag::new();
        let waker = Waker::from(woken.clone());
        let mut nap = sleep_in(&driver, 0, 2 * SECOND);
        let mut cancelled = sleep_in(&driver, 1, SECOND);
        let other = thread::spawn(move || {
            let _either = poll(&mut cancelled, Waker::noop());
            drop(cancelled);
            let _either = poll(&mut nap, &waker);
            nap
        });
        while !woken.is_set() {
            driver.park(QUIESCENT);
        }
        drop(other.join().unwrap());
    });
}

// --- Looking without the lock: a poll may see too late that its timer has fired, but not after the wake-up. ---

#[test]
fn a_sleep_polled_while_it_fires_is_ready_at_the_latest_when_it_has_been_woken() {
    loom::model(|| {
        let mut driver = TimeDriver::new(ThreadDriver::new(), Clock::paused(), 1);
        let woken = Flag::new();
        let waker = Waker::from(woken.clone());
        let mut nap = sleep_in(&driver, 0, SECOND);
        assert!(poll(&mut nap, &waker).is_pending());
        let sees = woken.clone();
        let other = thread::spawn(move || {
            if poll(&mut nap, &waker).is_pending() {
                while !sees.is_set() {
                    thread::yield_now();
                }
                assert!(poll(&mut nap, &waker).is_ready());
            }
        });
        while !woken.is_set() {
            driver.park(QUIESCENT);
        }
        other.join().unwrap();
    });
}

// --- The paused clock: it never jumps over a task that a job has made ready. ---

#[test]
fn the_clock_does_not_jump_between_a_jobs_wake_and_the_schedulers_look() {
    loom::model(|| {
        let clock = Clock::paused();
        let start = clock.now();
        let mut driver = TimeDriver::new(ThreadDriver::new(), clock.clone(), 1);
        let mut nap = sleep_in(&driver, 0, SECOND);
        assert!(poll(&mut nap, Waker::noop()).is_pending());
        let ready = Flag::new();
        let (hold, wake) = (clock.hold(), Waker::from(ready.clone()));
        let job = thread::spawn(move || {
            wake.wake();
            drop(hold);
        });
        // The scheduler: quiescent as long as nothing is ready.
        while !ready.is_set() {
            driver.park(QUIESCENT);
        }
        assert_eq!(clock.now(), start, "the clock jumped although a task was ready");
        job.join().unwrap();
    });
}

// --- Fresh timers: a poll ends on one thread while another one has the sleep that it armed. ---

/// A future's first poll arms a sleep of a second and gives it to `other` on another thread, while the poll ends. The clock
/// stands until `other` is done with it. The future waits to be woken, then gives the time. Lost: loom reports a deadlock.
fn given_away_while_the_poll_ends(
    expected: Duration,
    other: impl Fn(&mut Option<Sleep>, Instant, Waker) + Send + Copy + Sync + 'static,
) {
    loom::model(move || {
        let driver = TimeDriver::new(ThreadDriver::new(), Clock::paused(), 1);
        let time = driver.handle();
        let start = time.now();
        let event_loop = LocalLoop::new(Box::new(driver));
        let entered = context::enter(&time, 0);
        let mut nap = Some(time.sleep(SECOND));
        let mut thread = None;
        event_loop.block_on(poll_fn(|cx| {
            let Some(mut nap) = nap.take() else { return Poll::Ready(()) };
            assert!(Pin::new(&mut nap).poll(cx).is_pending());
            let (hold, waker) = (time.clock().hold(), cx.waker().clone());
            thread = Some(thread::spawn(move || {
                let mut nap = Some(nap);
                other(&mut nap, start, waker);
                drop(hold);
                nap
            }));
            Poll::Pending
        }));
        assert_eq!(time.now() - start, expected);
        drop(thread.map(|thread| thread.join().unwrap()));
        assert_eq!(time.statistics().armed, 0);
        drop(entered);
    });
}

#[test]
fn a_fresh_sleep_that_is_dropped_elsewhere_does_not_fire() {
    given_away_while_the_poll_ends(Duration::ZERO, |nap, _, waker| {
        drop(nap.take());
        waker.wake();
    });
}

#[test]
fn a_fresh_sleep_that_is_reset_elsewhere_wakes_at_its_new_time() {
    given_away_while_the_poll_ends(2 * SECOND, |nap, start, _| {
        nap.as_mut().unwrap().reset(start + 2 * SECOND);
    });
}

#[test]
fn a_fresh_sleep_that_is_polled_elsewhere_wakes_whom_it_was_polled_with_last() {
    given_away_while_the_poll_ends(Duration::ZERO, |nap, _, waker| {
        let other = Flag::new();
        assert!(poll(nap.as_mut().unwrap(), &Waker::from(other.clone())).is_pending());
        waker.wake(); // not the sleep
        assert_eq!(Arc::strong_count(&other), 2, "the timer has the other waker");
    });
}

#[test]
fn a_fresh_sleep_is_woken_when_its_runtime_ends_while_the_poll_ends() {
    loom::model(|| {
        let driver = TimeDriver::new(ThreadDriver::new(), Clock::paused(), 1);
        let time = driver.handle();
        let event_loop = LocalLoop::new(Box::new(ThreadDriver::new()));
        let entered = context::enter(&time, 0);
        let mut nap = time.sleep(SECOND);
        let mut driver = Some(driver);
        let mut thread = None;
        event_loop.block_on(poll_fn(|cx| {
            let Some(driver) = driver.take() else { return Poll::Ready(()) };
            assert!(Pin::new(&mut nap).poll(cx).is_pending());
            thread = Some(thread::spawn(move || drop(driver)));
            Poll::Pending
        }));
        thread.unwrap().join().unwrap();
        drop((nap, entered));
    });
}
