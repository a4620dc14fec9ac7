//! Who fires the timers: a driver around a driver.
//!
//! [`TimeDriver`] sleeps in the driver it wraps, no longer than until the next deadline, and wakes what is due.
//!
//! # A sleep, step by step
//! 1. Sweep: take what is due out of every shard, look for the next deadline. Something due: do not sleep.
//! 2. Lie down (alarm.rs): from now on, arming an earlier timer unparks us.
//! 3. Sleep in the inner driver until the earliest deadline or the caller's limit.
//! 4. Get up. If the earliest deadline has passed, sweep again; wake everything taken out.
//!
//! A poll (limit zero) does steps 3 and 4 only: one load, and one look at the clock if any timer is armed at all.
//!
//! Under a paused clock step 3 is either a jump or a plain sleep: see [`Clock`].
//!
//! # Waking
//! Timers are taken out of a shard 256 at a time, so that its lock is held for microseconds even when 100,000 fall due
//! together; sorted over all shards by deadline, then by the order of arming; and woken when no lock is held. A waker
//! may arm and cancel timers. A waker that panics is contained: the others are woken, the panic hook reports it, the
//! worker lives.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use unstuck_core::driver::{Driver, Park, Unpark};
use unstuck_core::sync::atomic::{AtomicBool, Ordering};

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::handle::TimeHandle;
use crate::instant::{NEVER, nanos};
use crate::shared::{Shard, Shared, register, unregister};
use crate::wheel::{Due, Progress};

/// The timers taken out under one hold of a shard's lock: some ten microseconds.
const BATCH: usize = 256;
/// The list of due timers keeps its memory up to this length.
const KEEP: usize = 1024;

/// Adds timers to any driver. Dropping it ends all its timers: they are woken, and say that the runtime has shut down.
///
/// ```
/// use unstuck_core::driver::{Driver, Park, ThreadDriver};
/// use unstuck_time::{Clock, TimeDriver};
///
/// let mut driver = TimeDriver::new(ThreadDriver::new(), Clock::real(), 1);
/// let handle = driver.handle();
/// driver.park(Park::POLL);
/// assert_eq!(handle.statistics().armed, 0);
/// ```
pub struct TimeDriver<D> {
    inner: D,
    shared: Arc<Shared>,
    /// What the last sweep took out.
    due: Vec<Due>,
    /// How often a hold of the paused clock had been let go when we last returned to the scheduler.
    releases: u32,
}

impl<D: Driver> TimeDriver<D> {
    /// Wraps `inner`; the timers are split over `shards` locks, one a worker is a good number.
    ///
    /// # Panics
    /// If `shards` is zero or more than 65,535.
    pub fn new(inner: D, clock: Clock, shards: usize) -> Self {
        assert!(
            (1..=usize::from(u16::MAX)).contains(&shards),
            "a timer needs between 1 and 65535 shards, not {shards}: one a worker is a good number"
        );
        let now = clock.now().as_nanos();
        let shard = || CachePadded::new(Shard::new(now));
        let shared = register(|id| {
            Arc::new(Shared {
                id,
                clock,
                alarm: Alarm::new(),
                shards: std::iter::repeat_with(shard).take(shards).collect(),
                unparker: inner.unparker(),
                disturbed: AtomicBool::new(false),
            })
        });
        let releases = shared.clock.releases_if_free().unwrap_or(0);
        let driver = Self { inner, shared, due: Vec::new(), releases };
        driver.shared.clock.watch(driver.shared.id, driver.unparker());
        driver
    }

    /// Arms timers that this driver fires.
    pub fn handle(&self) -> TimeHandle {
        TimeHandle { shared: self.shared.clone() }
    }

    fn park_real(&mut self, park: Park) {
        let now = self.shared.clock.now().as_nanos();
        let next = self.sweep(now);
        if !self.due.is_empty() {
            self.shared.alarm.stay_up(next);
            self.inner.park(Park { limit: Some(Duration::ZERO), ..park });
            return self.wake_due();
        }
        let limit = park.limit.map_or(NEVER, |limit| now.saturating_add(nanos(limit)));
        let until = self.shared.alarm.lie_down(next, limit);
        let limit = (until != NEVER).then(|| Duration::from_nanos(until.saturating_sub(now)));
        self.inner.park(Park { limit, ..park });
        self.shared.alarm.get_up();
        self.deliver();
    }

    fn park_paused(&mut self, park: Park) {
        let poll = Park { limit: Some(Duration::ZERO), ..park };
        let next = self.sweep(self.shared.clock.now().as_nanos());
        // Held, busy or without timers we sleep until somebody rings, arms, or lets go of the clock.
        let until = self.shared.alarm.lie_down(next, NEVER);
        if !self.due.is_empty() {
            self.inner.park(poll);
        } else {
            match self.decide(park) {
                Pause::Jump if until != NEVER => {
                    // Events of the inner driver come first: they happen now, the timer later.
                    self.inner.park(poll);
                    if self.decide(park) == Pause::Jump {
                        self.jump();
                    }
                }
                Pause::Jump | Pause::Sleep => self.inner.park(park),
                Pause::LookAgain => self.inner.park(poll),
            }
        }
        self.shared.alarm.get_up();
        self.back_to_the_scheduler();
        self.deliver();
        self.wake_due();
    }

    /// See the race in clock.rs.
    fn decide(&self, park: Park) -> Pause {
        if !park.quiescent {
            return Pause::Sleep;
        }
        match self.shared.clock.releases_if_free() {
            None => Pause::Sleep,
            // Acquire: pairs with the Release in Shared::ring.
            Some(releases) if releases != self.releases || self.shared.disturbed.load(Ordering::Acquire) => {
                Pause::LookAgain
            }
            Some(_) => Pause::Jump,
        }
    }

    /// Moves the paused clock to the next deadline. A few small steps if the wheels only know about when that is.
    fn jump(&mut self) {
        while self.due.is_empty() {
            let at = self.shared.alarm.earliest();
            if at == NEVER {
                return;
            }
            self.shared.clock.jump_to(at);
            let next = self.sweep(self.shared.clock.now().as_nanos());
            self.shared.alarm.stay_up(next);
        }
    }

    /// From here on the scheduler looks again whether it is quiescent; what came before this is its to see.
    fn back_to_the_scheduler(&mut self) {
        // AcqRel: pairs with the Release in Shared::ring; what the ringer did before is visible to the scheduler.
        self.shared.disturbed.swap(false, Ordering::AcqRel);
        // Held: the count moves when that hold is let go, and differs from ours then.
        if let Some(releases) = self.shared.clock.releases_if_free() {
            self.releases = releases;
        }
    }

    /// Fires what is due, if the clock has reached the earliest deadline.
    #[inline]
    fn deliver(&mut self) {
        let earliest = self.shared.alarm.earliest();
        if earliest == NEVER {
            return;
        }
        let now = self.shared.clock.now().as_nanos();
        if now >= earliest {
            let next = self.sweep(now);
            self.shared.alarm.stay_up(next);
            self.wake_due();
        }
    }

    /// Takes what is due out of every shard; returns the next deadline, which the caller tells the alarm.
    #[cold]
    fn sweep(&mut self, now: u64) -> u64 {
        self.shared.alarm.raise();
        let mut next = NEVER;
        for shard in &self.shared.shards {
            loop {
                let mut timers = shard.lock();
                let before = self.due.len();
                let progress = timers.wheel.expire(now, BATCH, &mut self.due);
                if self.due.len() > before {
                    shard.has_fired(timers.wheel.now());
                }
                if progress == Progress::Done {
                    next = next.min(timers.wheel.next_deadline());
                    break;
                }
            }
        }
        next
    }

    #[cold]
    fn wake_due(&mut self) {
        self.due.sort_unstable_by_key(|due| (due.deadline, due.seq));
        for due in self.due.drain(..) {
            contain(|| due.waker.wake());
        }
        self.due.shrink_to(KEEP);
    }
}

impl<D: Driver> Driver for TimeDriver<D> {
    fn park(&mut self, park: Park) {
        if self.shared.clock.is_paused() && (park.quiescent || park.limit != Some(Duration::ZERO)) {
            self.park_paused(park);
        } else if park.limit == Some(Duration::ZERO) {
            self.inner.park(park);
            self.deliver();
        } else {
            self.park_real(park);
        }
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        Arc::new(TimeUnparker { shared: self.shared.clone() })
    }
}

impl<D> Drop for TimeDriver<D> {
    fn drop(&mut self) {
        unregister(self.shared.id);
        self.shared.clock.unwatch(self.shared.id);
        for shard in &self.shared.shards {
            for waker in shard.close() {
                contain(|| waker.wake());
            }
        }
    }
}

/// What to do under a paused clock when nothing is due.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// Nothing can run: go on to the next deadline.
    Jump,
    /// Something runs, or holds the clock: it will ring.
    Sleep,
    /// Something happened after the scheduler said "quiescent": let it look again.
    LookAgain,
}

/// Unparks the inner driver; tells a paused clock that something happened.
struct TimeUnparker {
    shared: Arc<Shared>,
}

impl Unpark for TimeUnparker {
    fn unpark(&self) {
        self.shared.ring();
    }

    fn wants_quiescence(&self) -> bool {
        self.shared.clock.is_paused() || self.shared.unparker.wants_quiescence()
    }
}

/// Runs foreign code whose panic is nobody's here. The panic hook has reported it.
fn contain(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        // A payload's own destructor may panic as well; the second payload is left alone.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(payload);
        }
    }
}

impl<D: fmt::Debug> fmt::Debug for TimeDriver<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeDriver")
            .field("inner", &self.inner)
            .field("clock", &self.shared.clock)
            .finish_non_exhaustive()
    }
}
