//! When a report is due, and when there were too many. Pure logic: time is passed in.
//!
//! Two bounds. *A stall* is reported at 1×, 4×, 16× … the threshold, so that one which lasts an hour at 10 ms makes ten
//! reports. *All stalls together* make at most [`LIMIT`] within any minute, since ten thousand tasks may all call the
//! same slow function. What the second bound leaves out is counted, and said with the next report.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

/// Reports in any [`WINDOW`]: one every two seconds is more than people read.
const LIMIT: usize = 30;
const WINDOW: Duration = Duration::from_secs(60);

/// Each report of a stall comes when it has lasted this many times as long as for the one before.
const FACTOR: u32 = 4;

/// When the reports of one stall are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    next: Duration,
}

impl Schedule {
    /// The first report comes when the stall has lasted for `threshold`.
    pub(crate) fn new(threshold: Duration) -> Self {
        Self { next: threshold }
    }

    /// Is a report due, now that the stall has `lasted` so long? True once for each step; steps that were slept
    /// through count as one.
    #[must_use]
    pub(crate) fn is_due(&mut self, lasted: Duration) -> bool {
        let due = lasted >= self.next;
        while self.next <= lasted && self.next < Duration::MAX {
            // At least a nanosecond: four times a threshold of zero would be zero again.
            self.next = self.next.max(Duration::from_nanos(1)).saturating_mul(FACTOR);
        }
        due
    }
}

/// How many reports may be made.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When those of the last window were made, oldest first.
    made: VecDeque<Instant>,
    /// How many were left out since the last one.
    suppressed: u64,
}

/// Whether a report may be made.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admit {
    /// Yes; it says that so many were left out before it.
    Yes {
        /// How many.
        suppressed: u64,
    },
    /// No: there were too many lately. It is counted.
    Suppressed,
}

impl Budget {
    /// May a report be made `now`?
    pub(super) fn admit(&mut self, now: Instant) -> Admit {
        while self.made.front().is_some_and(|&made| now.saturating_duration_since(made) >= WINDOW) {
            self.made.pop_front();
        }
        if self.made.len() >= LIMIT {
            self.suppressed += 1;
            return Admit::Suppressed;
        }
        self.made.push_back(now);
        Admit::Yes { suppressed: mem::take(&mut self.suppressed) }
    }

    /// A report that was admitted could not be delivered: it counts as left out, and so do those it would have told of.
    pub(super) fn lost(&mut self, suppressed: u64) {
        self.suppressed += suppressed + 1;
    }

    /// How many were left out since the last report.
    #[cfg(test)]
    pub(super) fn suppressed(&self) -> u64 {
        self.suppressed
    }
}
