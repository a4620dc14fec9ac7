//! [`Instant`]: a point on the time line that timers live on.
//!
//! A plain count of nanoseconds, so that a timer's deadline is one word, comparisons are one instruction and no
//! arithmetic can panic: everything saturates. The process's own origin sits at 2^60 and not at zero, so that 36 years
//! before it and 548 years after it can be named; `now - one_hour` is an hour ago even in a process that started
//! just now.
//!
//! std's `Instant` was not taken: adding `Duration::MAX` to it panics, and a paused clock cannot make one.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use crate::{context, monotonic};

/// A point in time, as the runtime's clock tells it; follows a paused clock.
///
/// Arithmetic saturates: `Instant::now() + Duration::MAX` is a point no clock ever reaches.
///
/// ```
/// use std::time::Duration;
/// use unstuck_time::Instant;
///
/// let start = Instant::now();
/// assert!(start.elapsed() < Duration::from_secs(24 * 3600));
/// assert!(start + Duration::MAX > start);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

/// Where the process's origin lies on the time line.
pub(crate) const ORIGIN: u64 = 1 << 60;

/// The point nobody reaches: no timer, no limit.
pub(crate) const NEVER: u64 = u64::MAX;

impl Instant {
    /// The current time: of the runtime this thread is in, or of the system where there is none.
    pub fn now() -> Self {
        context::with_current(|current| current.handle.now()).unwrap_or_else(Self::system_now)
    }

    /// The system's monotonic time.
    #[inline]
    pub(crate) fn system_now() -> Self {
        Self(ORIGIN + monotonic::nanos())
    }

    /// Time since this instant; zero if it lies in the future.
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// Time from `earlier` to this instant; zero if `earlier` is the later one.
    pub fn duration_since(&self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Time from `earlier` to this instant; `None` if `earlier` is the later one.
    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// The instant `duration` later; `None` beyond the end of the time line (some 548 years).
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_add(nanos).filter(|&at| at != NEVER).map(Self)
    }

    /// The instant `duration` earlier; `None` before the beginning of the time line (some 36 years).
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_sub(nanos).map(Self)
    }

    /// Where it lies on the time line: what [`unstuck_core::inspect`] knows of moments.
    #[doc(hidden)]
    pub fn on_time_line(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) fn as_nanos(self) -> u64 {
        self.0
    }
}

/// A duration in nanoseconds; what is longer than the time line becomes its whole length.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    // Not `as_nanos`: that multiplies in 128 bits, and this runs for every timer.
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Zero if `earlier` is the later one.
    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

#[cfg(test)]
#[cfg(not(unstuck_loom))]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_and_never_panics() {
        let now = Instant::now();
        assert_eq!(now + Duration::MAX, Instant(NEVER));
        assert_eq!(now - Duration::MAX, Instant(0));
        assert_eq!(now.checked_add(Duration::MAX), None);
        assert_eq!(now - (now + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(now.checked_duration_since(now + Duration::from_secs(1)), None);
    }

    #[test]
    fn an_hour_before_the_process_started_can_be_named() {
        let now = Instant::now();
        let hour = Duration::from_secs(3600);
        assert_eq!(now - (now - hour), hour);
        assert_eq!(now.checked_sub(hour), Some(now - hour));
    }

    #[test]
    fn the_system_clock_does_not_run_backwards() {
        let first = Instant::now();
        let second = Instant::now();
        assert!(second >= first);
    }
}
