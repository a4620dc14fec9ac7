//! Named limits over one set of threads.
//!
//! A pool per purpose (four threads for the database, eight for thumbnails) keeps the purposes apart, and leaves threads
//! idle in one while jobs wait in the other. One pool for all uses its threads well, and lets one purpose fill it. A
//! limiter is the difference: a number for a purpose, over threads that all share.
//!
//! A job with a limiter takes a permit before it gets into the pool's queue, and waits in the limiter's own line for it
//! (gate.rs). So it holds no thread while it waits. The permit travels with the job and comes back when the thread is
//! really done with it, however it ended and whether or not anybody still wants it.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::gate::{Counts, Gate};
use crate::pool::{Entry, Shared};
use crate::worker;

/// So many jobs at a time, for those that name it: a limit of its own within a pool, or across several.
///
/// Clones are the same limiter. Jobs get through in the order in which they were submitted.
///
/// ```
/// use unstuck_blocking::{Limiter, Route, ThreadPool};
/// use unstuck_core::job::Options;
///
/// let pool = ThreadPool::builder().build()?;
/// let database = Limiter::new("database", 4); // it takes four connections
/// let query = || "SELECT 42";
/// let job = pool.submit_in(query, Options::new(), &Route::new().limiter(&database));
/// assert_eq!(job.wait().unwrap(), "SELECT 42");
/// database.resize(8);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # When not to use it
/// As a lock. It is exact: never do more run than the limit says (but those that run when it [shrinks](Self::resize) go
/// on). So that a full limiter cannot wait for itself, a job that waits for another job or a task (on a handle of ours)
/// lends its permit meanwhile and, like a thread that waits on a condition variable, takes it back before it goes on: it
/// waits for room, and goes before those in line. Two things follow. *What a job holds across such a wait is not limited*:
/// open the connection after it. And *hold no lock across it* that others in the limiter want: they would wait for each
/// other. The first one that waits for a second to come back says so on stderr. In `Handle::block_on` every await that
/// sleeps is such a wait: a time limit in there may be noticed as late as the others take.
#[derive(Clone)]
pub struct Limiter {
    inner: Arc<Inner>,
}

struct Inner {
    name: Arc<str>,
    gate: Gate<Held>,
    /// It was said that a job waits long for its permit to come back.
    told: AtomicBool,
}

/// A job that waits for a permit, and the pool that it goes to then.
pub(crate) struct Held {
    pub(crate) shared: Arc<Shared>,
    pub(crate) entry: Entry,
}

/// The right to run one job; given back on drop.
pub(crate) struct Permit(Limiter);

/// A limiter's numbers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimiterStatistics {
    /// How many may run at a time.
    pub limit: usize,
    /// Jobs that have a permit: they run, or wait for a thread. Those that wait for other jobs do not count.
    pub running: usize,
    /// Jobs that have waited for other jobs, and go on when there is room for them.
    pub returning: usize,
    /// Jobs that wait for a permit (or were cancelled, and not yet found).
    pub queued: usize,
    /// The most that ever waited for one.
    pub high_water: usize,
}

impl Limiter {
    /// A limiter that lets `limit` jobs run at a time. The name is for you, and for debug output.
    ///
    /// # Panics
    /// If `limit` is 0: no job would ever run.
    #[track_caller]
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, limit: usize) -> Self {
        check(limit);
        Self {
            inner: Arc::new(Inner {
                name: name.into(),
                gate: Gate::new(limit),
                told: AtomicBool::new(false),
            }),
        }
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Lets `limit` jobs run at a time from now on. Those that run now go on, also if they are more.
    ///
    /// # Panics
    /// If `limit` is 0: no job would ever run.
    #[track_caller]
    pub fn resize(&self, limit: usize) {
        check(limit);
        for held in self.inner.gate.resize(limit) {
            self.send(held);
        }
    }

    /// The numbers now.
    #[must_use]
    pub fn statistics(&self) -> LimiterStatistics {
        let Counts { limit, inside, returning, line, longest } = self.inner.gate.counts();
        LimiterStatistics { limit, running: inside, returning, queued: line, high_water: longest }
    }

    /// The job with its permit, if it may go on now; otherwise it is kept. An error gives it back, because its pool
    /// has closed.
    pub(crate) fn enter(&self, shared: &Arc<Shared>, entry: Entry) -> Result<Option<Entry>, Entry> {
        shared.remember(self);
        // Counted before the look whether the pool is closed: a shutdown after that look waits for it.
        shared.census.hold();
        let held = Held { shared: shared.clone(), entry };
        let outcome = self.inner.gate.enter(held, || !shared.roster.is_closed());
        if !matches!(outcome, Ok(None)) {
            shared.census.let_go();
        }
        match outcome {
            Ok(None) => {
                let swept = self.inner.gate.sweep(|held| held.entry.job.is_cancelled());
                swept.iter().for_each(|held| held.shared.census.let_go());
                Ok(None)
            }
            Ok(Some(held)) => Ok(Some(held.entry.with(self.permit()))),
            Err(held) => Err(held.entry),
        }
    }

    /// Takes out the jobs that are kept for `shared`, which ends.
    pub(crate) fn take_out(&self, shared: &Arc<Shared>) -> Vec<Held> {
        self.inner.gate.take_out(|held| Arc::ptr_eq(&held.shared, shared))
    }

    fn permit(&self) -> Permit {
        Permit(self.clone())
    }

    /// `held` has a permit now: to the pool with it.
    fn send(&self, held: Held) {
        let Held { shared, entry } = held;
        worker::admit(&shared, entry.with(self.permit()));
        shared.census.let_go();
    }

    /// Lets another one in while the holder of a permit waits for something else, or for good.
    ///
    /// A job that is let in may come too late, and be dropped at once: its permit lets in the next one, and so on through
    /// a long line. Those are let in by the same loop, not ever deeper inside of it.
    pub(crate) fn lend(&self) {
        thread_local! {
            /// The permits that came back while this thread let somebody in.
            static BACK: RefCell<Option<Vec<Limiter>>> = const { RefCell::new(None) };
        }
        let nested = BACK.try_with(|back| match &mut *back.borrow_mut() {
            Some(back) => {
                back.push(self.clone());
                true
            }
            none => {
                *none = Some(Vec::new());
                false
            }
        });
        if nested == Ok(true) {
            return;
        }
        let mut limiter = Some(self.clone());
        while let Some(next) = limiter {
            if let Some(held) = next.inner.gate.leave() {
                next.send(held);
            }
            // The list goes when it is empty.
            limiter = BACK
                .try_with(|back| {
                    let mut back = back.borrow_mut();
                    let next = back.as_mut().and_then(Vec::pop);
                    if next.is_none() {
                        *back = None;
                    }
                    next
                })
                .ok()
                .flatten();
        }
    }

    /// Ends what [`lend`](Self::lend) began, as soon as there is room. Calls `tell` if that takes long, once in the limiter's
    /// life: among long jobs nothing is wrong with that.
    pub(crate) fn take_back(&self, tell: impl FnOnce()) {
        const SILENCE: Duration = Duration::from_secs(1);
        self.inner.gate.come_back(SILENCE, || {
            // Relaxed: a once-flag that guards nothing.
            if !self.inner.told.swap(true, Ordering::Relaxed) {
                tell();
            }
        });
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn downgrade(&self) -> WeakLimiter {
        WeakLimiter(Arc::downgrade(&self.inner))
    }
}

#[track_caller]
fn check(limit: usize) {
    assert!(limit > 0, "a limiter of 0 would never let a job run: give it at least 1");
}

impl Permit {
    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.lend();
    }
}

/// A pool's knowledge of the limiters that may hold jobs for it.
pub(crate) struct WeakLimiter(std::sync::Weak<Inner>);

impl WeakLimiter {
    pub(crate) fn upgrade(&self) -> Option<Limiter> {
        self.0.upgrade().map(|inner| Limiter { inner })
    }

    pub(crate) fn is(&self, limiter: &Limiter) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&limiter.inner))
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("name", &self.name()).field("statistics", &self.statistics()).finish()
    }
}
