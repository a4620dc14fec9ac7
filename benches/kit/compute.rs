//! Work for a processor: a fixed number of steps, sized once so that it takes about a given time here.
//!
//! Not "spin until a millisecond has passed": such work would take no longer when two share a core, and so would hide
//! the very contention we look for.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Steps that take a millisecond on an idle core: the best of several tries.
static STEPS_PER_MS: LazyLock<u64> = LazyLock::new(|| {
    const STEPS: u64 = 200_000;
    let fastest = (0..20).map(|_| {
        let start = Instant::now();
        black_box(steps(STEPS));
        start.elapsed()
    });
    let fastest = fastest.min().expect("twenty tries").as_nanos().max(1);
    let per_ms = u128::from(STEPS) * 1_000_000 / fastest;
    u64::try_from(per_ms).expect("fewer than 2^64 steps in a millisecond")
});

/// Computes for about this long (on a core of its own).
pub fn compute(time: Duration) -> u64 {
    let micros = u64::try_from(time.as_micros()).expect("a short time");
    black_box(steps(*STEPS_PER_MS * micros / 1_000))
}

/// Sizes the work now, so that the first measurement does not.
pub fn calibrate() {
    LazyLock::force(&STEPS_PER_MS);
}

fn steps(count: u64) -> u64 {
    let mut x = black_box(0x9E37_79B9_7F4A_7C15_u64);
    for _ in 0..count {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}
