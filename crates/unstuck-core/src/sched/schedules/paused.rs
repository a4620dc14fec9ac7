//! A driver that must know when really everybody sleeps.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::{dawdle, explore, scheduler_in, yield_now};
use crate::driver::{Driver, Park, ThreadDriver, Unpark};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// A driver with a paused clock: when nothing can happen before the next deadline, it jumps there.
struct Paused {
    inner: ThreadDriver,
    clock: Arc<PausedClock>,
}

#[derive(Default)]
struct PausedClock {
    sleepers: Mutex<Vec<Waker>>,
    jumps: AtomicUsize,
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
        let woken = std::mem::take(&mut *sleepers);
        drop(sleepers);
        assert_eq!(self.clock.may_jump.load(Ordering::Relaxed), 1, "somebody is still awake");
        self.clock.jumps.fetch_add(1, Ordering::Relaxed);
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

#[test]
fn a_paused_clock_jumps_when_everybody_sleeps_and_not_before() {
    explore(|| {
        let clock = Arc::new(PausedClock::default());
        let driver = Paused { inner: ThreadDriver::new(), clock: clock.clone() };
        let scheduler = scheduler_in(2, Box::new(driver));
        let handle = scheduler.handle();
        scheduler.block_on(async {
            let mut asleep = false;
            let sleeper = handle.spawn(poll_fn({
                let clock = clock.clone();
                move |cx| {
                    if std::mem::replace(&mut asleep, true) {
                        return Poll::Ready(());
                    }
                    clock.sleepers.lock().push(cx.waker().clone());
                    Poll::Pending
                }
            }));
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
