//! When the sleeping driver must be woken because somebody armed an earlier timer.
//!
//! Promise: *no timer is overslept.* And a system call is not wasted: whoever sees that the driver is awake, or will wake
//! in time by itself, does not ring.
//!
//! Two words. `earliest` is a lower bound of all armed deadlines; `asleep` is the time until which the driver sleeps,
//! and zero while it is awake.
//!
//! | who arms a timer                      | the driver, before it sleeps                        |
//! |---------------------------------------|-----------------------------------------------------|
//! | A1 hang it into its wheel (lock)      | D1 [`raise`](Alarm::raise): `earliest` = never       |
//! | A2 lower `earliest`, if it is earlier | D2 look at every wheel (lock) for the next deadline |
//! | A3 look at `asleep`; ring if later    | D3 `asleep` = never                                 |
//! |                                       | D4 lower `earliest` to what D2 found; what it says now is `asleep`; sleep |
//!
//! # The race, and why it is closed
//! A timer is armed while the driver goes to sleep.
//! * Its A1 came before D2 looked at that wheel: D2 sees the timer, and D4 sleeps no longer.
//! * Its A1 came after: the wheel's lock orders D1 before A2, so A2 sees `earliest` as raised, or lowered since. If it is
//!   higher than the new deadline, A2 lowers it. A2 and D4 are read-modify-writes of one word, so one comes first. A2: D4
//!   reads the new deadline and sleeps no longer. D4: A2 acquires what D4 released, so A3 sees that the driver goes to
//!   sleep, and rings.
//! * A2 found it already low enough: then whoever lowered it, another thread or D4, is in the same position, and the
//!   wake-up that follows from that (at that time, or by ringing) comes early enough for our timer as well. On its way
//!   back to sleep the driver looks at every wheel again. That the other timer may be cancelled in between changes
//!   nothing: a cancel never raises `earliest`. Only D1 does.
//!
//! What this costs: arming a timer that is not the earliest reads one word that rarely changes, and nobody needs a fence.
//! `tests/loom.rs` holds the model, and a model that looks before D3 and not after, which fails.
//!
//! Dropped ideas: *always unpark when arming* costs a system call a timeout. *Ring if the deadline is before the one the
//! driver last computed* is the model that fails. *Hold all the locks while lying down* is closed as well, but then one
//! sleeper stops every worker. *Write `asleep`, fence, read `earliest`* on one side and the reverse on the other is the
//! textbook's answer; the read-modify-write of `earliest` is needed anyway and does the fence's work.

use crossbeam_utils::CachePadded;
use unstuck_core::sync::atomic::{AtomicU64, Ordering};

use crate::instant::NEVER;

/// The driver is up: it will look by itself before it sleeps.
const AWAKE: u64 = 0;

/// See the module's documentation.
#[doc(hidden)]
#[derive(Debug)]
pub struct Alarm {
    /// Read by every arm and every poll of the driver, written seldom: a cache line of its own.
    earliest: CachePadded<AtomicU64>,
    asleep: CachePadded<AtomicU64>,
}

/// Whether the one who armed a timer must unpark the driver.
#[doc(hidden)]
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    No,
    Yes,
}

impl Alarm {
    pub fn new() -> Self {
        Self {
            earliest: CachePadded::new(AtomicU64::new(NEVER)),
            asleep: CachePadded::new(AtomicU64::new(AWAKE)),
        }
    }

    /// No timer is due before this. The cheap question of a driver that is only polled.
    #[inline]
    pub fn earliest(&self) -> u64 {
        // Relaxed: a stale answer only delays a busy runtime's look to its next poll; sleep goes through `lie_down`.
        self.earliest.load(Ordering::Relaxed)
    }

    /// A2 and A3: a timer for `deadline` hangs in its wheel.
    #[inline]
    pub fn armed(&self, deadline: u64) -> Ring {
        // Relaxed: the wheel's lock, which the caller held after D2 held it, orders D1 before this (second case).
        if deadline >= self.earliest.load(Ordering::Relaxed) {
            return Ring::No;
        }
        self.lower(deadline)
    }

    #[cold]
    fn lower(&self, deadline: u64) -> Ring {
        // Acquire: pairs with the Release in `lie_down`, so that A3 sees D3.
        self.earliest.fetch_min(deadline, Ordering::Acquire);
        if deadline < self.asleep.load(Ordering::Relaxed) { Ring::Yes } else { Ring::No }
    }

    /// D1: forgets the bound. Every wheel must be looked at (under its lock) after this; the next deadline goes to
    /// [`lie_down`](Self::lie_down), or to [`stay_up`](Self::stay_up).
    pub fn raise(&self) {
        // Relaxed: the wheels' locks publish it. A swap and not a store, so that the word's history is one chain of
        // read-modify-writes: none breaks the release sequence that D4 began.
        self.earliest.swap(NEVER, Ordering::Relaxed);
    }

    /// Notes the next deadline without going to sleep.
    pub fn stay_up(&self, next: u64) {
        // Relaxed: only a later `earliest()` of the driver itself relies on it.
        self.earliest.fetch_min(next, Ordering::Relaxed);
    }

    /// D3 and D4: until when the driver may sleep, at most until `limit`. From here on arming an earlier timer rings.
    #[must_use]
    pub fn lie_down(&self, next: u64, limit: u64) -> u64 {
        // Relaxed: published by the next line.
        self.asleep.store(NEVER, Ordering::Relaxed);
        // Release: pairs with the Acquire in `lower`.
        let earliest = self.earliest.fetch_min(next, Ordering::Release).min(next);
        let until = earliest.min(limit);
        // Relaxed: who still reads NEVER rings once without need.
        self.asleep.store(until, Ordering::Relaxed);
        until
    }

    /// The driver is up again.
    pub fn get_up(&self) {
        // Relaxed: who still reads the old time rings once without need.
        self.asleep.store(AWAKE, Ordering::Relaxed);
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self::new()
    }
}
