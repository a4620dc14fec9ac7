//! [`interval()`]: something to do every so often.
//!
//! Ticks have scheduled times: the first, then one period after the other. A loop that is slow, a stopped process or a
//! suspended machine may come late; [`MissedTick`] says what to do about the ticks whose time went by.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::instant::{Instant, nanos};
use crate::sleep::{Sleep, sleep_until};

/// Ticks every `period`; the first tick comes at once, and the schedule starts with it.
///
/// ```no_run
/// # use std::time::Duration;
/// # use unstuck_time::interval;
/// # async fn example() {
/// let mut every_second = interval(Duration::from_secs(1));
/// for _ in 0..3 {
///     every_second.tick().await;
///     println!("tick");
/// }
/// # }
/// ```
///
/// # Panics
/// If `period` is zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    check(period);
    Interval { period, next: Next::AtOnce, missed: MissedTick::default() }
}

/// Ticks at `start` and then every `period`.
///
/// # Panics
/// If `period` is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    check(period);
    Interval { period, next: Next::At(sleep_until(start)), missed: MissedTick::default() }
}

#[track_caller]
fn check(period: Duration) {
    assert!(
        !period.is_zero(),
        "an interval needs a period longer than zero: to run as often as possible, use yield_now()"
    );
}

/// What an [`Interval`] does when a tick is taken only after the next one was due already.
///
/// With a period of 1 s, a tick due at 1 s and taken at 3.5 s is followed by ticks at:
///
/// | rule    |                                  |
/// |---------|----------------------------------|
/// | `Burst` | 2 s and 3 s (at once), 4 s, 5 s … |
/// | `Delay` | 4.5 s, 5.5 s …                   |
/// | `Skip`  | 4 s, 5 s …                       |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTick {
    /// Catches up: no tick is lost, and the schedule stays. The default, as in tokio.
    #[default]
    Burst,
    /// Starts a new schedule: never two ticks closer than a period.
    Delay,
    /// Leaves out what was missed; the schedule stays.
    Skip,
}

/// Ticks again and again; made by [`interval()`] and [`interval_at`].
pub struct Interval {
    period: Duration,
    next: Next,
    missed: MissedTick,
}

enum Next {
    /// The first tick of `interval()`, whenever that is taken.
    AtOnce,
    At(Sleep),
}

impl Interval {
    /// Waits for the next tick and returns the time it was scheduled for.
    ///
    /// # Cancellation
    /// Dropping it loses no tick.
    ///
    /// # Panics
    /// If the thread is in no runtime.
    pub fn tick(&mut self) -> Tick<'_> {
        Tick { interval: self }
    }

    /// Polls for the next tick; for futures written by hand.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let scheduled = match &mut self.next {
            Next::AtOnce => Instant::now(),
            Next::At(sleep) => {
                ready!(Pin::new(&mut *sleep).poll(cx));
                sleep.deadline()
            }
        };
        let next = self.after(scheduled, Instant::now());
        match &mut self.next {
            Next::AtOnce => self.next = Next::At(sleep_until(next)),
            Next::At(sleep) => sleep.reset(next),
        }
        Poll::Ready(scheduled)
    }

    /// Starts the schedule anew: the next tick comes one period from now.
    pub fn reset(&mut self) {
        self.next = Next::At(sleep_until(Instant::now() + self.period));
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What happens to missed ticks.
    pub fn missed_tick(&self) -> MissedTick {
        self.missed
    }

    /// Chooses what happens to missed ticks.
    pub fn set_missed_tick(&mut self, rule: MissedTick) {
        self.missed = rule;
    }

    /// The time of the tick that follows the one scheduled for `scheduled` and taken at `now`.
    fn after(&self, scheduled: Instant, now: Instant) -> Instant {
        let next = scheduled + self.period;
        if next > now {
            return next;
        }
        match self.missed {
            MissedTick::Burst => next,
            MissedTick::Delay => now + self.period,
            MissedTick::Skip => {
                let period = nanos(self.period);
                let into = (now - scheduled).as_nanos() as u64 % period;
                now + Duration::from_nanos(period - into)
            }
        }
    }
}

/// The future of [`Interval::tick`].
#[derive(Debug)]
#[must_use = "a tick does nothing unless you .await it"]
pub struct Tick<'a> {
    interval: &'a mut Interval,
}

impl Future for Tick<'_> {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        self.interval.poll_tick(cx)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interval")
            .field("period", &self.period)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}
