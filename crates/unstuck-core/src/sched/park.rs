//! Where one worker sleeps, and how others end its sleep.
//!
//! One of the sleepers lies in the driver, so that timers and sockets are watched; the others lie on their own
//! thread's futex. A worker's parker remembers which, so that whoever wakes it knocks on the right door.

#[cfg(all(test, unstuck_loom))]
mod models;

use std::sync::Arc;
use std::time::Duration;

use crate::driver::{Driver, Park, Unpark};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Mutex, thread};

const AWAKE: u32 = 0;
const IN_THREAD: u32 = 1;
const IN_DRIVER: u32 = 2;
const WOKEN: u32 = 3;

/// The bed of one worker.
pub(super) struct Parker {
    state: AtomicU32,
    /// The thread that sits here; threads of seats that the guard adds come and go.
    thread: Mutex<Option<thread::Thread>>,
}

/// The driver: one worker at a time sleeps in it.
pub(super) struct DriverSeat {
    seat: Mutex<Box<dyn Driver>>,
    unparker: Arc<dyn Unpark>,
}

impl DriverSeat {
    pub(super) fn new(driver: Box<dyn Driver>) -> Self {
        let unparker = driver.unparker();
        Self { seat: Mutex::new(driver), unparker }
    }

    /// Delivers what is due, if nobody is in the driver anyway; true if nobody was.
    pub(super) fn poll(&self) -> bool {
        let seat = self.seat.try_lock();
        seat.map(|mut driver| park_in(&mut driver, Park::POLL)).is_some()
    }

    /// Everything sleeps: a paused clock may jump now, so its driver is asked to look again. Others are left alone.
    pub(super) fn announce_quiescence(&self) {
        if self.unparker.wants_quiescence() {
            self.unparker.unpark();
        }
    }
}

impl Parker {
    pub(super) fn new() -> Self {
        Self { state: AtomicU32::new(AWAKE), thread: Mutex::new(None) }
    }

    /// The calling thread will sleep here.
    pub(super) fn bind(&self) {
        *self.thread.lock() = Some(thread::current());
    }

    /// Sleeps until unparked, or until the driver delivered something. At once if unparked since the last time.
    ///
    /// `is_quiescent`: nothing else is awake, nor about to be. If somebody else lies in the driver, it is told (see
    /// [`DriverSeat::announce_quiescence`]). Asked only with the seat in hand: who had it before may have woken tasks.
    pub(super) fn park(&self, driver: &DriverSeat, is_quiescent: impl FnOnce() -> bool) {
        if let Some(mut seat) = driver.seat.try_lock() {
            if self.lie_down(IN_DRIVER) {
                park_in(&mut seat, Park { limit: None, quiescent: is_quiescent() });
            }
        } else if self.lie_down(IN_THREAD) {
            if is_quiescent() {
                driver.announce_quiescence();
            }
            // Acquire: pairs with the Release in `unpark`.
            while self.state.load(Ordering::Acquire) == IN_THREAD {
                thread::park();
            }
        }
        self.get_up();
    }

    /// Sleeps for about `time`, or until unparked.
    pub(super) fn nap(&self, driver: &DriverSeat, time: Duration) {
        if let Some(mut seat) = driver.seat.try_lock() {
            if self.lie_down(IN_DRIVER) {
                park_in(&mut seat, Park { limit: Some(time), quiescent: false });
            }
        } else if self.lie_down(IN_THREAD) {
            thread::park_timeout(time); // may end early: so be it
        }
        self.get_up();
    }

    /// Waits for about `time`, or until unparked, outside the driver.
    pub(super) fn stand_by(&self, time: Duration) {
        if self.lie_down(IN_THREAD) {
            thread::park_timeout(time); // may end early: so be it
        }
        self.get_up();
    }

    fn get_up(&self) {
        // Acquire: pairs with the Release in `unpark`; the worker looks at the queues next.
        self.state.swap(AWAKE, Ordering::Acquire);
    }

    fn lie_down(&self, place: u32) -> bool {
        // Acquire: pairs with the Release in `unpark`, for the case that it came first.
        self.state.compare_exchange(AWAKE, place, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Ends the sleep, or the next one.
    pub(super) fn unpark(&self, driver: &DriverSeat) {
        // Release: pairs with the Acquire in `park`.
        match self.state.swap(WOKEN, Ordering::AcqRel) {
            IN_THREAD => {
                // Not under the lock: who is woken takes this thread's CPU, and others would wait for both.
                let thread = self.thread.lock().clone();
                if let Some(thread) = thread {
                    thread.unpark();
                }
            }
            IN_DRIVER => driver.unparker.unpark(),
            _ => {}
        }
    }
}

/// A driver wakes wakers of any origin: their panics stay here.
fn park_in(driver: &mut Box<dyn Driver>, park: Park) {
    crate::job::contain("the driver", || driver.park(park));
}
