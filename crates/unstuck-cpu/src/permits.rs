//! One budget of CPUs over workers and compute threads.
//!
//! Workers and compute threads together are more than there are CPUs, because one or the other is idle most of the time. When
//! both are busy *and stay so*, the kernel shares the CPUs among all of them: everybody is switched in and out, and a task that
//! waits for a worker waits for its share. So a shift whose job took long asks for a permit before it takes another one, and
//! there are as many permits as CPUs that workers leave: at least one. Short jobs ask for none; they are over sooner than
//! anybody could be asked.
//!
//! ```text
//!   CPUs  ████████████████        workers that have been busy for 1.5 ms  ██████
//!                                 permits, for shifts                           ██████████
//! ```
//! Workers never ask: a task must not wait for a computation. They are looked at ([`Busy`]) by the shifts that ask. What
//! counts is a worker that was seen busy at every look for a while ([`STEADY`]): one that serves a timer each millisecond
//! needs no CPU of its own, and a pool that stood aside for it would lose a tenth of its speed.
//!
//! **Nothing can wait for ever here.** A shift that finds no permit looks again after half a millisecond, or when one comes
//! back, and after ten milliseconds it goes on in any case, for one job ([`PATIENCE`]): jobs may wait for each other in ways
//! that nobody sees, at a barrier or on a channel. A job that waits on a handle of ours lends its permit, and takes it back
//! without asking. A shift on top of another one, and one in the place of a job that waits, ask for none. And nobody waits
//! for a permit while there is no job to use it for.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use unstuck_core::sync::{Condvar, Mutex, wait_for};

/// How many threads of others are busy now.
pub(crate) type Busy = Arc<dyn Fn() -> usize + Send + Sync>;

/// Who is seen busy at every look for this long, needs a CPU. Longer than a job of a millisecond, between two looks.
const STEADY: Duration = Duration::from_micros(1_500);

/// Between two looks of one who waits.
const NAP: Duration = Duration::from_micros(500);

/// Who has waited for this long goes on.
const PATIENCE: Duration = Duration::from_millis(10);

/// The permits of one pool.
pub(crate) struct Permits {
    cpus: usize,
    busy: Option<Busy>,
    inner: Mutex<Inner>,
    /// Notified when a permit comes back.
    given: Condvar,
}

#[derive(Default)]
struct Inner {
    taken: usize,
    /// Others were busy at every look since then.
    busy_since: Option<Instant>,
    last_look: Option<Instant>,
}

/// What this thread has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Permit {
    None,
    Held,
    Lent,
}

thread_local! {
    static MINE: Cell<Permit> = const { Cell::new(Permit::None) };
}

impl Permits {
    /// `busy` is `None` where nobody else needs CPUs: everybody gets a permit then.
    pub(crate) fn new(cpus: usize, busy: Option<Busy>) -> Self {
        Self { cpus, busy, inner: Mutex::default(), given: Condvar::new() }
    }

    /// Takes a permit for this thread, and waits for it as long as it is `wanted` and patience lasts.
    pub(crate) fn take(&self, wanted: impl Fn() -> bool) {
        let Some(busy) = &self.busy else { return };
        let start = Instant::now();
        let mut now = start;
        let mut inner = self.inner.lock();
        while !inner.take(self.cpus, busy(), now, now.duration_since(start) >= PATIENCE) {
            drop(inner);
            if !wanted() {
                return;
            }
            inner = self.inner.lock();
            wait_for(&self.given, &mut inner, NAP);
            now = Instant::now();
        }
        drop(inner);
        MINE.set(Permit::Held);
    }

    /// Gives this thread's permit back, if it has one.
    pub(crate) fn give(&self) {
        if MINE.replace(Permit::None) == Permit::Held {
            self.leave();
        }
    }

    fn leave(&self) {
        self.inner.lock().taken -= 1;
        self.given.notify_one();
    }

    /// The job on this thread waits: another may compute meanwhile.
    pub(crate) fn lend(&self) {
        if MINE.get() == Permit::Held {
            MINE.set(Permit::Lent);
            self.leave();
        }
    }

    /// It goes on, whether there is a permit or not.
    pub(crate) fn take_back(&self) {
        if MINE.get() == Permit::Lent {
            MINE.set(Permit::Held);
            self.inner.lock().taken += 1;
        }
    }
}

impl Inner {
    /// Takes a permit, if others that are steadily busy leave one, or if `now_or_never`.
    fn take(&mut self, cpus: usize, busy: usize, now: Instant, now_or_never: bool) -> bool {
        let may = self.taken < self.left(cpus, busy, now) || now_or_never;
        self.taken += usize::from(may);
        may
    }

    /// How many CPUs others leave.
    fn left(&mut self, cpus: usize, busy: usize, now: Instant) -> usize {
        let recent = |look: Instant| now.saturating_duration_since(look) < STEADY;
        let goes_on = busy > 0 && self.last_look.replace(now).is_some_and(recent);
        if !goes_on {
            self.busy_since = (busy > 0).then_some(now);
        }
        match self.busy_since {
            Some(since) if !recent(since) => cpus.saturating_sub(busy).max(1),
            _ => usize::MAX,
        }
    }
}

#[cfg(test)]
#[cfg(not(unstuck_loom))]
mod tests {
    use super::*;

    /// Looks every millisecond, `busy` having been seen at each, and says how many permits may be taken at the last.
    fn permits_after(cpus: usize, looks: &[usize]) -> usize {
        let mut inner = Inner::default();
        let start = Instant::now();
        let mut left = 0;
        for (nth, &busy) in (0..).zip(looks) {
            left = inner.left(cpus, busy, start + nth * Duration::from_millis(1));
        }
        left
    }

    #[test]
    fn workers_that_stay_busy_take_their_cpus_and_leave_one_at_least() {
        assert_eq!(permits_after(8, &[3, 3, 3]), 5);
        assert_eq!(permits_after(8, &[3, 1, 2]), 6);
        assert_eq!(permits_after(2, &[2, 2, 2]), 1);
        assert_eq!(permits_after(1, &[9, 9, 9]), 1);
    }

    #[test]
    fn workers_that_are_busy_now_and_then_take_none() {
        assert_eq!(permits_after(2, &[2]), usize::MAX);
        assert_eq!(permits_after(2, &[2, 2]), usize::MAX);
        assert_eq!(permits_after(2, &[2, 2, 0, 2, 2]), usize::MAX);
        assert_eq!(permits_after(2, &[1, 1, 1, 0]), usize::MAX);
    }

    #[test]
    fn a_look_long_ago_says_nothing_of_now() {
        let mut inner = Inner::default();
        let start = Instant::now();
        inner.left(2, 2, start);
        assert_eq!(inner.left(2, 2, start + Duration::from_secs(1)), usize::MAX);
    }

    #[test]
    fn who_loses_patience_goes_on() {
        let mut inner = Inner { taken: 1, ..Inner::default() };
        let now = Instant::now();
        inner.busy_since = Some(now);
        inner.last_look = Some(now + STEADY);
        let later = now + 2 * STEADY - Duration::from_micros(1);
        assert!(!inner.take(2, 2, later, false));
        assert!(inner.take(2, 2, later, true));
        assert_eq!(inner.taken, 2);
    }
}
