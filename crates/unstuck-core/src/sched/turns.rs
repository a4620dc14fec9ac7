//! When a busy worker looks outside, at the injector and the driver.
//!
//! It must, or tasks from outside and timers would be starved by tasks that keep waking each other. How often? Polls can
//! be counted for nothing, but they take 20 ns or a millisecond, and 61 of the latter are a stall. A clock knows, but
//! asking it costs as much as a short poll. So polls are counted, and the clock is asked once a turn how many of them fit
//! into a millisecond. (tokio tunes its interval by the mean time of a poll, for the same reason.) And where short polls
//! are followed by long ones all at once, the guard's monitor says that time passes: 61 polls of 5 ms would be 300 ms.
//!
//! A look at the injector is two loads. The driver is behind locks, and workers that are busy take their lines from each
//! other: at every turn of 61 short polls, that was a tenth of all they did. So it is looked at as often as timers want it.

use std::cell::Cell;
use std::time::Duration;

use crate::sync::Instant;

/// So many polls there are between two turns at the most. Prime, so that it does not beat with the user's own periods (the
/// number is Go's and tokio's).
const MOST: u32 = 61;

/// So long they should take together.
const TURN: Duration = Duration::from_millis(1);

/// So much later a timer may be than if somebody slept in the driver: about as late as the kernel wakes who does.
const LATE: Duration = Duration::from_micros(50);

/// One worker's turns.
pub(super) struct Turns {
    /// Polls since the last one.
    polls: Cell<u32>,
    /// So many there were from the last but one to the last.
    counted: Cell<u32>,
    /// Polls until the next one.
    every: Cell<u32>,
    /// The monitor's last tick that was seen.
    tick: Cell<u32>,
    /// When the last one was, if the worker has not slept since.
    last: Cell<Option<Instant>>,
    /// How long the turns since the last look at the driver took together.
    waited: Cell<Duration>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            polls: Cell::new(0),
            counted: Cell::new(MOST),
            every: Cell::new(MOST),
            tick: Cell::new(0),
            last: Cell::new(None),
            waited: Cell::new(LATE),
        }
    }

    /// So many polls there are from one turn to the next.
    #[inline]
    pub(super) fn polls_in_a_row(&self) -> u32 {
        self.every.get()
    }

    /// Counts a poll. True if it is time for a turn before it. `tick`: how often the monitor has ticked.
    #[inline]
    pub(super) fn is_due(&self, tick: u32) -> bool {
        let polls = self.polls.get() + 1;
        let due = polls >= self.every.get() || tick != self.tick.get();
        if due {
            self.counted.set(polls);
            self.tick.set(tick);
        }
        self.polls.set(if due { 0 } else { polls });
        due
    }

    /// A turn begins. True if the driver is to be looked at, too.
    pub(super) fn begin(&self) -> bool {
        let now = Instant::now();
        if let Some(last) = self.last.replace(Some(now)) {
            let took = now.duration_since(last);
            self.every.set(fitting(self.counted.get(), took));
            self.waited.set(self.waited.get() + took);
        }
        self.driver_is_due()
    }

    /// True if the turns since the last time that this was true took long enough.
    fn driver_is_due(&self) -> bool {
        let due = self.waited.get() >= LATE;
        if due {
            self.waited.set(Duration::ZERO);
        }
        due
    }

    /// The worker has slept: how long ago the last turn was says nothing about its polls.
    pub(super) fn forget(&self) {
        self.last.set(None);
        self.waited.set(LATE);
    }
}

/// How many polls fit into a turn, if so many took so long.
fn fitting(polls: u32, took: Duration) -> u32 {
    let fit = TURN.as_nanos() * u128::from(polls) / took.as_nanos().max(1);
    u32::try_from(fit).unwrap_or(MOST).clamp(1, MOST)
}

#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn turns_come_every_millisecond_or_every_61_polls_whichever_is_sooner() {
        assert_eq!(fitting(61, Duration::from_nanos(61 * 20)), 61);
        assert_eq!(fitting(61, 61 * Duration::from_micros(200)), 5);
        assert_eq!(fitting(5, 5 * Duration::from_micros(100)), 10);
        assert_eq!(fitting(5, Duration::from_nanos(100)), 61, "short polls again");
        assert_eq!(fitting(1, Duration::from_secs(5)), 1, "never none");
        assert_eq!(fitting(61, Duration::ZERO), 61);
    }

    #[test]
    fn the_driver_is_due_after_a_sleep_and_then_when_the_turns_took_long_enough() {
        let turns = Turns::new();
        let due = |took: Duration| {
            turns.waited.set(turns.waited.get() + took);
            turns.driver_is_due()
        };
        assert!(due(Duration::ZERO), "the first time");
        assert_eq!([(); 6].map(|()| due(LATE / 2)), [false, true, false, true, false, true]);
        assert!(due(Duration::from_millis(1)), "one long turn");
        turns.forget();
        assert!(turns.driver_is_due(), "after a sleep");
    }

    #[test]
    fn a_turn_is_due_after_so_many_polls() {
        let turns = Turns::new();
        turns.every.set(3);
        let due: Vec<_> = (0..6).map(|_| turns.is_due(0)).collect();
        assert_eq!(due, [false, false, true, false, false, true]);
    }

    #[test]
    fn a_turn_is_due_when_the_monitor_has_ticked() {
        let turns = Turns::new();
        let due: Vec<_> = [0, 0, 1, 1, 1, 3, 3].into_iter().map(|tick| turns.is_due(tick)).collect();
        assert_eq!(due, [false, false, true, false, false, true, false]);
        assert_eq!(turns.counted.get(), 3, "polls since the turn before");
    }
}
