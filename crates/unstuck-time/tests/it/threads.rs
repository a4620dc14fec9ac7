//! Timers armed from other threads, with the real clock and the real driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use unstuck_core::driver::{Driver, Park, ThreadDriver};
use unstuck_time::{Clock, TimeDriver, sleep};

use crate::support::{Count, poll, poll_with};

const ASLEEP: Park = Park { limit: None, quiescent: false };

#[test]
fn a_timer_armed_from_another_thread_wakes_a_driver_that_sleeps_without_end() {
    let mut driver = TimeDriver::new(ThreadDriver::new(), Clock::real(), 2);
    let time = driver.handle();
    let wakes = Count::new();
    let waker = wakes.waker();
    let other = thread::spawn(move || {
        let mut nap = time.sleep(Duration::from_millis(5));
        assert!(poll_with(&mut nap, &waker).is_pending());
        nap
    });
    while wakes.get() == 0 {
        driver.park(ASLEEP);
    }
    let mut nap = other.join().unwrap();
    assert!(poll(&mut nap).is_ready());
}

#[test]
fn an_earlier_timer_cuts_a_long_sleep_short() {
    let mut driver = TimeDriver::new(ThreadDriver::new(), Clock::real(), 2);
    let time = driver.handle();
    let mut hour = time.sleep(Duration::from_secs(3600));
    assert!(poll(&mut hour).is_pending());
    let wakes = Count::new();
    let waker = wakes.waker();
    let other = thread::spawn(move || {
        let mut nap = time.sleep(Duration::from_millis(5));
        assert!(poll_with(&mut nap, &waker).is_pending());
        nap
    });
    while wakes.get() == 0 {
        driver.park(ASLEEP);
    }
    drop(other.join().unwrap());
}

/// Threads that arm short timers and wait for them, while others arm and cancel; one driver that sleeps whenever it can.
/// A timer that is overslept stops the test.
#[test]
fn no_timer_is_lost_between_four_threads_and_the_driver() {
    let mut driver = TimeDriver::new(ThreadDriver::new(), Clock::real(), 2);
    let time = driver.handle();
    let unparker = driver.unparker();
    let over = Arc::new(AtomicBool::new(false));
    let stop = over.clone();
    let parking = thread::spawn(move || {
        while !stop.load(Ordering::Acquire) {
            driver.park(ASLEEP);
        }
        driver
    });
    let workers: Vec<_> = (0..4)
        .map(|n: usize| {
            let time = time.clone();
            thread::spawn(move || {
                let _entered = unstuck_time::context::enter(&time, n);
                for round in 0..300u64 {
                    let wakes = Wakes::new();
                    let waker = std::task::Waker::from(wakes.clone());
                    let mut nap = sleep(Duration::from_micros(1 + round % 50));
                    let mut cancelled = sleep(Duration::from_micros(round % 30));
                    if poll_with(&mut nap, &waker).is_pending() {
                        let _either = poll(&mut cancelled);
                        drop(cancelled);
                        wakes.wait();
                        assert!(poll(&mut nap).is_ready());
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    over.store(true, Ordering::Release);
    unparker.unpark();
    let driver = parking.join().unwrap();
    assert_eq!(driver.handle().statistics().armed, 0);
}

/// Parks the thread that made it until it is woken.
struct Wakes {
    thread: thread::Thread,
    woken: AtomicBool,
}

impl Wakes {
    fn new() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), woken: AtomicBool::new(false) })
    }

    fn wait(&self) {
        while !self.woken.load(Ordering::Acquire) {
            thread::park();
        }
    }
}

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
