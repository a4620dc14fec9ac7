//! Where one idle thread waits until it is called.
//!
//! A seat belongs to one thread for life. Others only ever tell it two things: *you are called* (look at the queue
//! again) and *you are the oldest now* (so you are the one who waits with a time limit). Both are flags that the thread
//! reads without the roster's lock; the roster sets and clears them under it.

use std::sync::Arc;
use std::time::Duration;

use unstuck_core::sync::atomic::{AtomicBool, Ordering};
use unstuck_core::sync::thread;

/// One thread's waiting place.
pub(crate) struct Seat {
    thread: thread::Thread,
    called: AtomicBool,
    oldest: AtomicBool,
}

/// How a wait in [`Seat::wait`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waited {
    /// Somebody called. `soon`: so early that spinning would have been cheaper than parking.
    Called { soon: bool },
    /// The oldest idle thread has waited for the whole keep-alive.
    InVain,
}

impl Seat {
    /// The calling thread's seat. It counts as called: the thread was started for a job.
    pub(crate) fn new() -> Arc<Seat> {
        Arc::new(Seat {
            thread: thread::current(),
            called: AtomicBool::new(true),
            oldest: AtomicBool::new(false),
        })
    }

    /// Marks the seat as called. The caller holds the roster's lock, and unparks after letting go of it.
    pub(crate) fn call(&self) {
        // Release: pairs with the Acquire in `is_called`; the job was queued before.
        self.called.store(true, Ordering::Release);
    }

    /// Takes the call back in: true if there was one. The caller holds the roster's lock.
    pub(crate) fn answer(&self) -> bool {
        // Relaxed: only the roster's lock orders calls and answers.
        self.called.swap(false, Ordering::Relaxed)
    }

    /// Says whether this seat is the oldest idle one. The caller holds the roster's lock.
    pub(crate) fn set_oldest(&self, oldest: bool) {
        // Release: pairs with the Acquire in `wait`.
        self.oldest.store(oldest, Ordering::Release);
    }

    /// Ends the thread's sleep, or the next one.
    pub(crate) fn unpark(&self) {
        self.thread.unpark();
    }

    fn is_called(&self) -> bool {
        // Acquire: pairs with the Release in `call`.
        self.called.load(Ordering::Acquire)
    }
}

#[cfg(not(unstuck_loom))]
mod clock {
    use std::time::Instant;

    use super::*;

    /// Looks between two glances at the clock; a glance costs some 25 ns, a look 1 ns.
    const LOOKS: usize = 32;

    impl Seat {
        /// Stays awake for at most `limit`, looking out for a call.
        pub(crate) fn spin(&self, limit: Duration) {
            let start = Instant::now();
            while start.elapsed() < limit {
                // First give the core away if anybody else wants it: the caller that we hope for may have to run here.
                std::thread::yield_now();
                for _ in 0..LOOKS {
                    if self.is_called() {
                        return;
                    }
                    std::hint::spin_loop();
                }
            }
        }

        /// Sleeps until called, or until `keep_alive` has passed since now and this is the oldest idle seat.
        pub(crate) fn wait(&self, keep_alive: Duration, soon: Duration) -> Waited {
            let start = Instant::now();
            loop {
                if self.is_called() {
                    return Waited::Called { soon: start.elapsed() < soon };
                }
                // Acquire: pairs with the Release in `set_oldest`.
                if self.oldest.load(Ordering::Acquire) {
                    match keep_alive.checked_sub(start.elapsed()) {
                        Some(left) if !left.is_zero() => std::thread::park_timeout(left),
                        _ => return Waited::InVain,
                    }
                } else {
                    std::thread::park();
                }
            }
        }
    }
}

/// A model has no clock: spinning is one look, and a timed wait may end at once (the model checker still runs
/// everything that can happen before it). `Duration::MAX` waits for ever.
#[cfg(unstuck_loom)]
mod clock {
    use super::*;

    impl Seat {
        pub(crate) fn spin(&self, _: Duration) {
            self.is_called();
        }

        pub(crate) fn wait(&self, keep_alive: Duration, _: Duration) -> Waited {
            loop {
                if self.is_called() {
                    return Waited::Called { soon: false };
                }
                // Acquire: pairs with the Release in `set_oldest`.
                if keep_alive != Duration::MAX && self.oldest.load(Ordering::Acquire) {
                    return Waited::InVain;
                }
                thread::park();
            }
        }
    }
}
