//! A driver that must know when really everybody sleeps.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::{dawdle, explore, scheduler_in, yield_now};
use crate::driver::{Driver, Park, ThreadDriver, Unpark};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};

/// A driver with a paused clock: when nothing can happen before the next deadline, it jumps there. Each sleeper's deadline is
/// later than that of the one before.
struct Paused {
    inner: ThreadDriver,
    clock: Arc<PausedClock>,
}

#[derive(Default)]
struct PausedClock {
    sleepers: Mutex<VecDeque<Waker>>,
    jumps: AtomicUsize,
    /// So many of those that were woken have not run yet.
    owed: AtomicUsize,
    /// Set when everybody means to sleep.
    may_jump: AtomicUsize,
}

struct PausedUnparker(Arc<dyn Unpark>);

impl Driver for Paused {
    fn park(&mut self, park: Park) {
        let mut sleepers = self.clock.sleepers.lock();
        if !park.quiescent || sleepers.is_empty() {
            drop(sleepers);
            return self.inner.park(park);
        }
        let woken = sleepers.pop_front();
        drop(sleepers);
        assert_eq!(self.clock.may_jump.load(Ordering::Relaxed), 1, "somebody is still awake");
        assert_eq!(
            self.clock.owed.load(Ordering::Relaxed),
            0,
            "who was woken at the last deadline has not run yet"
        );
        self.clock.jumps.fetch_add(1, Ordering::Relaxed);
        self.clock.owed.fetch_add(1, Ordering::Relaxed);
        woken.into_iter().for_each(Waker::wake);
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        Arc::new(PausedUnparker(self.inner.unparker()))
    }
}

impl Unpark for PausedUnparker {
    fn unpark(&self) {
        self.0.unpark();
    }

    fn wants_quiescence(&self) -> bool {
        true
    }
}

impl PausedClock {
    /// Waits for the next deadline that nobody waits for yet.
    fn sleep(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let (clock, mut asleep) = (self.clone(), false);
        poll_fn(move |cx| {
            if std::mem::replace(&mut asleep, true) {
                clock.owed.fetch_sub(1, Ordering::Relaxed);
                return Poll::Ready(());
            }
            clock.sleepers.lock().push_back(cx.waker().clone());
            Poll::Pending
        })
    }
}

#[test]
fn a_paused_clock_jumps_when_everybody_sleeps_and_not_before() {
    explore(|| {
        let clock = Arc::new(PausedClock::default());
        let driver = Paused { inner: ThreadDriver::new(), clock: clock.clone() };
        let scheduler = scheduler_in(2, Box::new(driver));
        let handle = scheduler.handle();
        scheduler.block_on(async {
            let sleeper = handle.spawn(clock.sleep());
            for _ in 0..2 {
                yield_now().await;
                dawdle();
            }
            clock.may_jump.store(1, Ordering::Relaxed);
            sleeper.await.unwrap();
        });
        assert_eq!(clock.jumps.load(Ordering::Relaxed), 1);
        assert!(scheduler.shutdown(None));
    });
}

#[test]
fn who_was_woken_at_one_deadline_runs_before_the_clock_jumps_to_the_next() {
    explore(|| {
        let clock = Arc::new(PausedClock::default());
        let driver = Paused { inner: ThreadDriver::new(), clock: clock.clone() };
        let scheduler = scheduler_in(2, Box::new(driver));
        let handle = scheduler.handle();
        clock.may_jump.store(1, Ordering::Relaxed);
        // Wakes a worker now and then for something petty: it looks around, perhaps naps, and lies down again.
        let petty = thread::spawn({
            let handle = handle.clone();
            move || {
                for _ in 0..3 {
                    dawdle();
                    handle.spawn(async {}).detach();
                }
            }
        });
        scheduler.block_on(async {
            let sleepers: Vec<_> = (0..3).map(|_| handle.spawn(clock.sleep())).collect();
            for sleeper in sleepers {
                sleeper.await.unwrap();
            }
        });
        petty.join().unwrap();
        assert_eq!(clock.jumps.load(Ordering::Relaxed), 3);
        assert!(scheduler.shutdown(None));
    });
}
