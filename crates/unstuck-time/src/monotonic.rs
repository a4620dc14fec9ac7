//! The system's monotonic clock, in nanoseconds.
//!
//! On Linux it is asked directly: std's `Instant` reads the same clock, but says only how far two of its readings are apart, with
//! checks and a subtraction of seconds and of nanoseconds: 4 of the 22 ns that a timer spends on the clock.

#[cfg(target_os = "linux")]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    /// Since the system was started.
    #[inline]
    pub(crate) fn nanos() -> u64 {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    /// Since somebody asked first.
    pub(crate) fn nanos() -> u64 {
        let start = *START; // before the clock is read: a thread that initializes it must not read the clock first
        crate::instant::nanos(Instant::now().saturating_duration_since(start))
    }
}

pub(crate) use system::nanos;
