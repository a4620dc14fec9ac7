//! Where a worker sleeps: the seam between the scheduler and everything that delivers events.
//!
//! The scheduler knows nothing of timers or sockets. It knows a [`Driver`]: something one thread at a time can sleep
//! in, and that wakes tasks when it returns. The timer driver wraps another driver and shortens its sleep; a reactor
//! is a driver that sleeps in the kernel's poller. The facade chooses the stack in one place.
//!
//! [`ThreadDriver`] is the bottom of every stack without sockets: it only sleeps.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::{Condvar, Mutex, wait_for};

/// Something a worker can sleep in, which delivers events (wakes tasks) when it returns.
///
/// A runtime owns one driver and lends it to one sleeping worker at a time; the other sleepers wait elsewhere.
pub trait Driver: Send {
    /// Sleeps until an event is due, [`Park::limit`] has passed or the unparker was used, then delivers everything
    /// that is due. A limit of zero delivers without sleeping. May return early without a reason.
    fn park(&mut self, park: Park);

    /// A handle that ends the current sleep, or the next one if nobody sleeps now.
    fn unparker(&self) -> Arc<dyn Unpark>;
}

/// How long, and in which situation, to sleep in a [`Driver`].
#[derive(Clone, Copy, Debug)]
pub struct Park {
    /// The longest sleep; `None` sleeps until an event or an unpark, zero does not sleep at all.
    pub limit: Option<Duration>,
    /// Nothing in the runtime can run before this driver delivers something. A paused clock may jump now.
    pub quiescent: bool,
}

impl Park {
    /// Deliver what is due, do not sleep.
    pub const POLL: Park = Park { limit: Some(Duration::ZERO), quiescent: false };
}

/// Ends a sleep in a [`Driver`]; callable from any thread.
pub trait Unpark: Send + Sync {
    /// Ends the current sleep, or the next one if nobody sleeps now.
    fn unpark(&self);

    /// True if the driver wants to be parked again, with the new value of [`Park::quiescent`], when the runtime falls
    /// quiescent during its sleep. Only a paused clock does; everything else never needs that extra wake-up.
    fn wants_quiescence(&self) -> bool {
        false
    }
}

/// A driver without events: sleeps until unparked or the limit passes.
pub struct ThreadDriver {
    shared: Arc<ThreadUnparker>,
}

struct ThreadUnparker {
    token: Mutex<bool>,
    condvar: Condvar,
}

impl ThreadDriver {
    /// A driver that nobody has unparked yet.
    pub fn new() -> Self {
        Self { shared: Arc::new(ThreadUnparker { token: Mutex::new(false), condvar: Condvar::new() }) }
    }
}

impl Driver for ThreadDriver {
    fn park(&mut self, park: Park) {
        let mut token = self.shared.token.lock();
        if !*token {
            match park.limit {
                Some(Duration::ZERO) => {}
                Some(limit) => wait_for(&self.shared.condvar, &mut token, limit),
                None => self.shared.condvar.wait(&mut token),
            }
        }
        *token = false;
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.shared.clone()
    }
}

impl Unpark for ThreadUnparker {
    fn unpark(&self) {
        let before = std::mem::replace(&mut *self.token.lock(), true);
        if !before {
            // Not under the lock: who wakes up takes the CPU, and needs the lock. It would find it held by a thread that
            // cannot go on, yield to it and to everybody else, and lose its turn: 4 ms beside threads that compute.
            self.condvar.notify_one();
        }
    }
}

impl Default for ThreadDriver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ThreadDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadDriver").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn an_unpark_before_the_sleep_ends_the_next_sleep() {
        let mut driver = ThreadDriver::new();
        driver.unparker().unpark();
        driver.park(Park { limit: None, quiescent: false });
    }

    #[test]
    fn an_unpark_from_another_thread_ends_the_sleep() {
        let mut driver = ThreadDriver::new();
        let unparker = driver.unparker();
        let other = std::thread::spawn(move || unparker.unpark());
        driver.park(Park { limit: None, quiescent: false });
        other.join().unwrap();
    }
}
