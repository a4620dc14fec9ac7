//! Decides when a worker may sleep and who is woken. Promise: *a pushed task is never left behind while every worker
//! sleeps.*
//!
//! It never sees a queue: whoever wants to sleep brings a closure that says whether there is work. That keeps the
//! protocol small enough for a model checker (`idle/models.rs` runs it under loom).
//!
//! # States
//!
//! A worker is *busy*, *searching* (looking for work to steal), *asleep*, or asleep for a *nap* only. One word counts
//! the latter three.
//!
//! # Protocol
//!
//! ```text
//! whoever pushes a task                  a worker without work
//!   P1 push                                S1 enter the list of sleepers, count: searching → asleep
//!   P2 fence                               S2 fence
//!   P3 read the counts                     S3 look at every queue once more
//!   P4 if nobody searches and              S4 work there? take yourself off the list and stay.
//!      somebody sleeps: wake one              Otherwise sleep.
//! ```
//!
//! The race to close is a push between a sleeper's last look and its sleep. P2 and S2 are sequentially consistent
//! fences, so one of them comes first. If P2 does, the sleeper's S3 sees the task. If S2 does, the pusher's P3
//! sees the sleeper counted as asleep, and P4 wakes somebody.
//!
//! # Throttling
//!
//! A woken worker counts as searching from the moment it is chosen, and while somebody searches nobody else is woken:
//! a burst of pushes costs one wake-up, not one each. The duty passes on: the last searcher to find work looks whether
//! there is more, and if so wakes the next ([`Idle::stop_searching`], again behind a fence: a pusher that skipped P4
//! because of that searcher is thereby seen by it).
//!
//! # Naps
//!
//! Stealing a task costs about half a microsecond in cache lines that change cores; many tasks are shorter than that.
//! A worker that finds that what it stole was not worth it takes a nap before it steals again ([`Idle::nap`]). It lies
//! among the sleepers, so that whatever comes from outside may wake it, but pushes of other workers leave it alone
//! ([`Idle::seems_lazy`]): they run their own small tasks faster than anyone could fetch them. It needs no S3, because
//! its sleep has an end.
//!
//! Two rejected designs: waking one sleeper per push (40 µs of a core each, for tasks of 100 ns), and a fixed number
//! of searchers (with 2 cores it is always wrong). The idea of counting searchers comes from Go's scheduler (Vyukov
//! 2012) and tokio's; that the module is handed a closure instead of the queues comes from rayon's `sleep`.

#[cfg(all(test, unstuck_loom))]
mod models;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering, fence};

const ONE_SEARCHING: u64 = 1;
const ONE_ASLEEP: u64 = 1 << 16;
const ONE_NAPPING: u64 = 1 << 32;

/// Who searches and who sleeps.
pub(crate) struct Idle {
    /// Searching workers in the low 16 bits, sleeping ones above, and of those the napping ones above that.
    counts: AtomicU64,
    /// The sleepers, the one that fell asleep last at the end: its core's caches are the warmest.
    sleepers: Mutex<Vec<usize>>,
    workers: u64,
}

/// What became of a worker that wanted to sleep.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// Sleep now. `last` means that no other worker is awake.
    Now { last: bool },
    /// Do not: there is work. The worker counts as searching.
    Stay,
}

#[derive(Clone, Copy)]
struct Counts(u64);

impl Counts {
    fn searching(self) -> u64 {
        self.0 & (ONE_ASLEEP - 1)
    }

    fn asleep(self) -> u64 {
        (self.0 / ONE_ASLEEP) & (ONE_ASLEEP - 1)
    }

    fn napping(self) -> u64 {
        self.0 / ONE_NAPPING
    }
}

impl Idle {
    pub(crate) fn new(workers: usize) -> Self {
        let room = Vec::with_capacity(workers);
        let workers = workers as u64;
        assert!(workers < ONE_ASLEEP, "{workers} workers do not fit the counts");
        Self { counts: AtomicU64::new(0), sleepers: Mutex::new(room), workers }
    }

    /// After a push: the sleeper that must be unparked, if any. It counts as searching from now on.
    #[inline]
    pub(crate) fn wake_one(&self) -> Option<usize> {
        fence(Ordering::SeqCst); // P2: pairs with S2 and with the fence in `stop_searching`
        self.pick()
    }

    /// After a push of a worker to its own queue: as [`wake_one`](Self::wake_one), but who only naps is left alone.
    #[inline]
    pub(crate) fn wake_one_for_worker(&self) -> Option<usize> {
        fence(Ordering::SeqCst); // P2: as above
        if self.seems_lazy() { self.pick_slowly() } else { None }
    }

    /// As [`wake_one`](Self::wake_one), if really everybody sleeps.
    pub(crate) fn wake_one_of_all(&self) -> Option<usize> {
        fence(Ordering::SeqCst); // pairs with S2: who lay down before what the caller did is counted
        if self.all_asleep() { self.pick() } else { None }
    }

    /// How many neither search nor sleep. A glance, which may be wrong.
    pub(crate) fn busy(&self) -> usize {
        let counts = Counts(self.counts.load(Ordering::Relaxed)); // a hint
        let others = counts.searching() + counts.asleep();
        usize::try_from(self.workers.saturating_sub(others)).unwrap_or(usize::MAX)
    }

    /// A glance: somebody sleeps, and not for a nap, and nobody searches. May be wrong; for callers that are awake and
    /// would see to the work themselves.
    #[inline]
    pub(crate) fn seems_lazy(&self) -> bool {
        let counts = Counts(self.counts.load(Ordering::Relaxed)); // a hint
        counts.searching() == 0 && counts.asleep() > counts.napping()
    }

    #[inline]
    fn pick(&self) -> Option<usize> {
        // Relaxed: ordered by the fence before it. (P3)
        let counts = Counts(self.counts.load(Ordering::Relaxed));
        if counts.searching() > 0 || counts.asleep() == 0 {
            return None;
        }
        self.pick_slowly()
    }

    #[cold]
    fn pick_slowly(&self) -> Option<usize> {
        let mut sleepers = self.sleepers.lock();
        // Counts of sleepers change under the lock only; a searcher may have appeared before we got it.
        if Counts(self.counts.load(Ordering::Relaxed)).searching() > 0 {
            return None;
        }
        let chosen = sleepers.pop()?;
        // SeqCst: in one order with the other changes of the counts.
        self.counts.fetch_add(ONE_SEARCHING.wrapping_sub(ONE_ASLEEP), Ordering::SeqCst);
        Some(chosen)
    }

    /// At shutdown: everyone who sleeps.
    pub(crate) fn wake_all(&self) -> Vec<usize> {
        let mut sleepers = self.sleepers.lock();
        let woken = std::mem::take(&mut *sleepers);
        let change = ONE_SEARCHING.wrapping_sub(ONE_ASLEEP).wrapping_mul(woken.len() as u64);
        // SeqCst: in one order with the other changes of the counts, and with the look in `all_asleep`.
        self.counts.fetch_add(change, Ordering::SeqCst);
        woken
    }

    /// A busy worker ran out of work. May it search? At most half of the workers do at the same time: more would only
    /// take turns on the same cache lines.
    pub(crate) fn start_searching(&self) -> bool {
        let counts = Counts(self.counts.load(Ordering::Relaxed)); // a hint; one searcher too many does no harm
        if 2 * counts.searching() >= self.workers {
            return false;
        }
        self.counts.fetch_add(ONE_SEARCHING, Ordering::SeqCst); // one order with the other changes
        true
    }

    /// A searcher found work. True if it was the last one: it then looks whether there is more, and wakes the next.
    #[must_use]
    pub(crate) fn stop_searching(&self) -> bool {
        let before = Counts(self.counts.fetch_sub(ONE_SEARCHING, Ordering::SeqCst));
        fence(Ordering::SeqCst); // pairs with P2: a pusher that saw us searching is seen by the look that follows
        before.searching() == 1
    }

    /// A worker wants to sleep. `searching` says whether it counts as searching, `has_work` looks at every queue.
    pub(crate) fn sleep(&self, worker: usize, searching: bool, has_work: impl FnOnce() -> bool) -> Sleep {
        let searching = if searching { ONE_SEARCHING } else { 0 };
        let before = {
            let mut sleepers = self.sleepers.lock();
            sleepers.push(worker);
            self.counts.fetch_add(ONE_ASLEEP - searching, Ordering::SeqCst) // S1
        };
        fence(Ordering::SeqCst); // S2: pairs with P2, and with the fence in `wake_one_of_all`
        if has_work() {
            // S3
            if !self.wake_up(worker) {
                self.counts.fetch_add(ONE_SEARCHING, Ordering::SeqCst); // one order with the other changes
            }
            return Sleep::Stay; // S4
        }
        Sleep::Now { last: Counts(before).asleep() + 1 == self.workers }
    }

    /// A searching worker wants a nap: it will look again soon, whatever happens.
    pub(crate) fn nap(&self, worker: usize) {
        let mut sleepers = self.sleepers.lock();
        sleepers.insert(0, worker); // below those who really sleep, who are woken first
        self.counts.fetch_add(ONE_NAPPING + ONE_ASLEEP - ONE_SEARCHING, Ordering::SeqCst); // one order with the other changes
    }

    /// The nap is over. True if somebody ended it, and the worker counts as searching; false if it does not.
    #[must_use]
    pub(crate) fn end_nap(&self, worker: usize) -> bool {
        self.counts.fetch_sub(ONE_NAPPING, Ordering::SeqCst); // one order with the other changes
        self.wake_up(worker)
    }

    /// A worker is awake again. True if it was chosen by [`wake_one`](Self::wake_one) or
    /// [`wake_all`](Self::wake_all), and so counts as searching; false if something else ended its sleep.
    #[must_use]
    pub(crate) fn wake_up(&self, worker: usize) -> bool {
        let mut sleepers = self.sleepers.lock();
        match sleepers.iter().rposition(|&sleeper| sleeper == worker) {
            None => true,
            Some(at) => {
                sleepers.remove(at);
                self.counts.fetch_sub(ONE_ASLEEP, Ordering::SeqCst); // one order with the other changes
                false
            }
        }
    }

    /// True if every worker sleeps.
    pub(crate) fn all_asleep(&self) -> bool {
        Counts(self.counts.load(Ordering::SeqCst)).asleep() >= self.workers // one order with its changes
    }

    /// True if every worker sleeps, and none has got up whose later steps the caller has seen: each gets up under the lock.
    pub(crate) fn all_asleep_for_sure(&self) -> bool {
        let _steady = self.sleepers.lock();
        self.all_asleep()
    }

    /// True if somebody searches.
    pub(crate) fn is_searching(&self) -> bool {
        Counts(self.counts.load(Ordering::Relaxed)).searching() > 0 // a hint
    }

    /// How many workers sleep, for statistics.
    pub(crate) fn asleep(&self) -> usize {
        Counts(self.counts.load(Ordering::Relaxed)).asleep() as usize // display only; below 2^16
    }
}
