//! How a set of times is spread: the middle, the tail, the worst.

use std::time::Duration;

/// Times in order.
pub struct Spread(Vec<Duration>);

impl Spread {
    /// Sorts the times.
    ///
    /// # Panics
    /// Panics when there are none.
    pub fn new(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "a spread needs at least one time");
        times.sort_unstable();
        Self(times)
    }

    /// Several sets as one.
    pub fn all(sets: impl IntoIterator<Item = Self>) -> Self {
        Self::new(sets.into_iter().flat_map(|set| set.0).collect())
    }

    /// The time that this share (in percent) of all times does not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }

    /// The middle.
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.percentile(100)
    }

    /// How many times there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// A time in seconds, for a table: three digits and a unit.
pub fn short(seconds: f64) -> String {
    let nanos = seconds * 1e9;
    let (value, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_name_a_time_that_was_measured() {
        let spread = Spread::new((1..=200).rev().map(Duration::from_micros).collect());
        assert_eq!(spread.median(), Duration::from_micros(100));
        assert_eq!(spread.percentile(99), Duration::from_micros(198));
        assert_eq!(spread.max(), Duration::from_micros(200));
        assert_eq!(Spread::new(vec![Duration::ZERO]).percentile(1), Duration::ZERO);
    }

    #[test]
    fn a_short_time_has_three_digits() {
        let times = [0.0, 22e-9, 1.046e-6, 85e-3, 1.5];
        assert_eq!(times.map(short), ["0.00 ns", "22.0 ns", "1.05 µs", "85.0 ms", "1.50 s"]);
    }
}
