//! Which time it is: the system's, or a virtual one that jumps over every wait.
//!
//! *Real*: `CLOCK_MONOTONIC` (through std's `Instant`); a change of the wall clock changes nothing here.
//!
//! *Paused*: time stands still while anything can run. When the runtime falls quiescent (every task waits, every worker
//! sleeps), the [timer driver](crate::TimeDriver) sets the clock to the next deadline and fires it. A program that
//! sleeps for an hour takes microseconds, and the order of events is the same in every run. The idea is trio's
//! `MockClock` with autojump, and tokio's paused clock.
//!
//! # Promise
//! A paused clock never jumps while somebody holds it. Work that the scheduler cannot see, such as a job on the blocking
//! pool, takes a [hold](Clock::hold) before it starts and drops it after it woke the task that waits for it.
//!
//! # The race, and why it is closed
//! A scheduler finds the runtime quiescent; then a job on another thread wakes a task and drops its hold; then the
//! driver looks and sees no hold. Jumping now would skip a task that is ready to run. So one word counts two
//! things: who holds the clock now (lower half) and how often somebody let go (upper half). The driver jumps only if
//! nobody holds it *and* nobody let go since it last returned to the scheduler; otherwise it returns, and the
//! scheduler, looking again, finds the task.
//!
//! The real clock has none of this: its hold is an empty guard.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use unstuck_core::driver::Unpark;
use unstuck_core::sync::Mutex;
use unstuck_core::sync::atomic::{AtomicU64, Ordering};

use crate::instant::{Instant, NEVER, ORIGIN, nanos};

/// Tells the time: really, or virtually for tests. Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use unstuck_time::Clock;
///
/// let clock = Clock::paused();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now() - start, Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct Clock {
    /// `None` is the system's clock.
    paused: Option<Arc<Paused>>,
}

struct Paused {
    now: AtomicU64,
    /// Lower half: how many hold the clock. Upper half: how often one of them let go.
    holds: AtomicU64,
    /// The drivers that sleep by this clock.
    watchers: Mutex<Vec<(u64, Arc<dyn Unpark>)>>,
}

/// Keeps a paused clock from jumping until it is dropped.
#[must_use = "the clock is held only as long as this guard lives"]
pub struct HoldGuard {
    clock: Option<Arc<Paused>>,
}

const ONE_HOLD: u64 = 1;
const ONE_RELEASE: u64 = 1 << 32;
const HELD: u64 = ONE_RELEASE - 1;

impl Clock {
    /// The system's monotonic clock.
    pub fn real() -> Self {
        Self { paused: None }
    }

    /// A virtual clock, which moves only by [`advance`](Self::advance) and by the driver's jumps. All of them start at
    /// the same instant, so that two runs of a test see the same numbers.
    pub fn paused() -> Self {
        Self {
            paused: Some(Arc::new(Paused {
                now: AtomicU64::new(ORIGIN),
                holds: AtomicU64::new(0),
                watchers: Mutex::new(Vec::new()),
            })),
        }
    }

    /// What time it is.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.paused {
            None => Instant::system_now(),
            // Acquire: pairs with the Release of `advance` and `jump_to`; who sees the new time sees what led to it.
            Some(paused) => Instant::from_nanos(paused.now.load(Ordering::Acquire)),
        }
    }

    /// True if this is a virtual clock.
    #[inline]
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Moves a paused clock forward by hand; timers that become due fire when their driver next runs.
    ///
    /// # Panics
    /// If this is the real clock: nobody can move that.
    pub fn advance(&self, by: Duration) {
        let Some(paused) = &self.paused else {
            panic!("only a paused clock can be advanced: build the runtime with start_paused(true)")
        };
        // Release: pairs with the Acquire in `now`. A saturating add, but never to the point that means "no timer".
        let step = |now: u64| Some(now.saturating_add(nanos(by)).min(NEVER - 1));
        let _ = paused.now.fetch_update(Ordering::Release, Ordering::Relaxed, step);
        paused.unpark_watchers();
    }

    /// Keeps a paused clock from jumping while work runs that the scheduler cannot see. Free for the real clock.
    ///
    /// Drop the guard *after* waking whoever waits for that work.
    pub fn hold(&self) -> HoldGuard {
        if let Some(paused) = &self.paused {
            // Relaxed: whoever takes a hold is itself running in the runtime, or holds the clock already, so the
            // scheduler is not quiescent before this; its own queues order it before a later jump.
            paused.holds.fetch_add(ONE_HOLD, Ordering::Relaxed);
        }
        HoldGuard { clock: self.paused.clone() }
    }

    /// How often a hold was let go, or `None` while somebody still holds the clock.
    pub(crate) fn releases_if_free(&self) -> Option<u32> {
        let paused = self.paused.as_ref()?;
        // Acquire: pairs with the Release in HoldGuard::drop, so that a jump comes after what the holder did.
        let holds = paused.holds.load(Ordering::Acquire);
        (holds & HELD == 0).then_some((holds >> 32) as u32)
    }

    /// Sets a paused clock to `at`, unless it is already later.
    pub(crate) fn jump_to(&self, at: u64) {
        debug_assert_ne!(at, NEVER, "a clock must not jump to the end of time");
        if let Some(paused) = &self.paused {
            // Release: pairs with the Acquire in `now`.
            paused.now.fetch_max(at, Ordering::Release);
        }
    }

    /// Registers a driver to unpark when the clock is advanced or let go.
    pub(crate) fn watch(&self, id: u64, unparker: Arc<dyn Unpark>) {
        if let Some(paused) = &self.paused {
            paused.watchers.lock().push((id, unparker));
        }
    }

    pub(crate) fn unwatch(&self, id: u64) {
        if let Some(paused) = &self.paused {
            paused.watchers.lock().retain(|(watcher, _)| *watcher != id);
        }
    }
}

impl Paused {
    fn unpark_watchers(&self) {
        // Cloned, so that no foreign code runs under the lock.
        let watchers: Vec<_> = self.watchers.lock().iter().map(|(_, unparker)| unparker.clone()).collect();
        for unparker in watchers {
            unparker.unpark();
        }
    }
}

impl Drop for HoldGuard {
    fn drop(&mut self) {
        let Some(paused) = &self.clock else { return };
        // One step counts the release and takes the hold back. The upper half wraps around by itself.
        // Release: pairs with the Acquire in `releases_if_free`.
        let before = paused.holds.fetch_add(ONE_RELEASE.wrapping_sub(ONE_HOLD), Ordering::Release);
        if before & HELD == 1 {
            paused.unpark_watchers();
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_paused() { "Paused" } else { "Real" };
        f.debug_struct("Clock").field("kind", &kind).field("now", &self.now()).finish()
    }
}

impl fmt::Debug for HoldGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HoldGuard").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(unstuck_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_paused_clock_stands_still_until_it_is_advanced() {
        let clock = Clock::paused();
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_millis(5));
        assert_eq!(clock.now() - start, Duration::from_millis(5));
    }

    #[test]
    fn advancing_beyond_the_end_of_time_stops_there() {
        let clock = Clock::paused();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert!(clock.now() < Instant::from_nanos(NEVER));
    }

    #[test]
    fn a_clock_is_free_again_when_the_last_hold_is_dropped_and_remembers_it() {
        let clock = Clock::paused();
        assert_eq!(clock.releases_if_free(), Some(0));
        let (one, two) = (clock.hold(), clock.hold());
        drop(one);
        assert_eq!(clock.releases_if_free(), None);
        drop(two);
        assert_eq!(clock.releases_if_free(), Some(2));
    }

    #[test]
    #[should_panic(expected = "only a paused clock can be advanced")]
    fn the_real_clock_cannot_be_advanced() {
        Clock::real().advance(Duration::from_secs(1));
    }
}
