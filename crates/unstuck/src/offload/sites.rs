//! How long do the closures of a call site run? A small estimate for each, kept for the life of the process.
//!
//! A *site* is a place in the source together with the closure's type: two closures that reach `to_thread` through one
//! helper of yours are two sites. The table is the process's and not a runtime's, because how long a closure takes is a
//! fact about the program; so a job carries a plain reference, and counts nothing.
//!
//! # The estimate
//! It rises at once and falls slowly: a run that took longer than the estimate replaces it, a shorter one takes an eighth
//! of the difference off. Below [`SHORT`] the site is short. So one slow run is enough to make a site long, and it takes
//! 16 short runs to trust an unknown one, about 30 after a slow run. A site that was slow *on a worker* has burned us: each
//! time halves the speed at which its estimate falls, down to some 500 runs, and a thousand short runs on workers forgive
//! one time. So a site that is slow once in fifty runs (a cache that misses) stays in the pool.
//!
//! # While it runs
//! A run tells how long it took when it is over, which may be too late for the calls behind it. So a run on a worker leaves
//! its beginning at the site ([`Site::begin`]), and whoever is about to run another one looks there first: if a run has
//! lasted for a millisecond, this one goes to the pool, and so do the next.
//!
//! # Races
//! Two runs that end at once both teach: the estimate is one word, and who comes second starts from what the first has
//! left. Two that begin at once may leave one beginning only. If that is the quick one, the slow one is not seen while it
//! runs, by at most as many runs as there are workers: each that gets stuck leaves a worker less, and the one that the
//! stall guard adds finds a beginning that nobody has taken away.
//!
//! # Dropped
//! A table in the runtime (each pool job would count a reference) · keyed by the place alone (a helper would mix all its
//! callers) · an average (one slow run among many would hardly show) · asking the guard which place is stuck (it knows
//! after five milliseconds, and only of what is longer).

use std::any::TypeId;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Closures shorter than this run where they are called from: about what waking a pool's thread costs at best.
const SHORT: u32 = 20_000;

/// Where an unknown site begins: 16 short runs above [`SHORT`].
const UNKNOWN: u32 = 8 * SHORT;

/// Longer is not remembered, or a run of seconds would never be forgiven.
const LONGEST: u32 = 64 * SHORT;

/// A run on a worker that has lasted this long sends those behind it to the pool.
const STUCK: Duration = Duration::from_millis(1);

/// After so many short runs on workers, one slow run is forgiven.
const FORGIVING: u32 = 1_024;

/// A site burns us no more often than this: about 500 short runs in the pool then.
const MOST_BURNS: u32 = 4;

/// So many sites are remembered; further ones always use the pool. A place in a program's source each, so it is plenty.
const SITES: usize = 512;

/// The table's probes after the first.
const PROBES: usize = 16;

struct Table {
    /// What beginnings are counted from.
    epoch: Instant,
    sites: Box<[Site]>,
}

static TABLE: OnceLock<Table> = OnceLock::new();

/// What is known of one call site. On a cache line of its own.
#[repr(align(64))]
#[derive(Default)]
pub(super) struct Site {
    key: OnceLock<Key>,
    /// An [`Estimate`], packed.
    estimate: AtomicU64,
    /// When a run that is going on here began, in nanoseconds since the epoch; 0 if none is known.
    since: AtomicU64,
}

#[derive(PartialEq, Eq)]
struct Key {
    place: &'static Location<'static>,
    closure: TypeId,
}

/// A run on a worker, from [`Site::begin`] to [`Run::end`].
#[must_use]
pub(super) struct Run {
    site: &'static Site,
    begun: Instant,
    /// It has left its beginning at the site.
    noted: bool,
}

/// A run in a pool; teaches the site how long it took when dropped.
pub(super) struct PoolRun {
    site: &'static Site,
    begun: Instant,
}

impl Site {
    /// The site of closures of type `F` at `place`; none if the table is full.
    #[inline]
    pub(super) fn of<F: 'static>(place: &'static Location<'static>) -> Option<&'static Site> {
        let key = Key { place, closure: TypeId::of::<F>() };
        let table = table();
        let mut hash = Fold(std::ptr::from_ref(place).addr() as u64);
        key.closure.hash(&mut hash);
        let first = hash.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32; // Fibonacci hashing (Knuth)
        (0..PROBES).find_map(|probe| {
            let site = &table.sites[(first as usize + probe) % SITES];
            (*site.key.get_or_init(|| site.adopt(&key)) == key).then_some(site)
        })
    }

    /// A free place in the table becomes the site of `key`.
    #[cold]
    fn adopt(&self, key: &Key) -> Key {
        // Relaxed: published together with the key.
        self.estimate.store(Estimate::UNKNOWN.pack(), Ordering::Relaxed);
        Key { place: key.place, closure: key.closure }
    }

    #[inline]
    fn estimate(&self) -> Estimate {
        Estimate::unpack(self.estimate.load(Ordering::Relaxed)) // a guess, which orders nothing
    }

    /// True if the next closure is expected to be short.
    #[inline]
    pub(super) fn is_short(&self) -> bool {
        self.estimate().is_short()
    }

    /// A run on this worker begins. None if the site is not short any more: another one got stuck meanwhile.
    #[inline]
    pub(super) fn begin(&'static self) -> Option<Run> {
        if !self.is_short() {
            return None;
        }
        let begun = Instant::now();
        let now = begun.duration_since(table().epoch).as_nanos() as u64;
        let since = self.since.load(Ordering::Relaxed); // a hint, as all stores of it
        if since == 0 {
            self.since.store(now.max(1), Ordering::Relaxed); // as above
        } else if let Some(lasts) = now.checked_sub(since).filter(|&lasts| lasts > STUCK.as_nanos() as u64) {
            self.learn(Duration::from_nanos(lasts), true);
            return None;
        }
        Some(Run { site: self, begun, noted: since == 0 })
    }

    /// A run in a pool begins.
    #[inline]
    pub(super) fn begin_in_pool(&'static self) -> PoolRun {
        PoolRun { site: self, begun: Instant::now() }
    }

    #[inline]
    fn learn(&self, took: Duration, on_worker: bool) {
        let took = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
        let old = self.estimate();
        if old.after(took, on_worker) != old {
            self.write(took, on_worker);
        }
    }

    fn write(&self, took: u32, on_worker: bool) {
        let after = |word| Some(Estimate::unpack(word).after(took, on_worker).pack());
        // Relaxed: a guess, which orders nothing; the exchange alone keeps a slow run from being overwritten.
        let _ = self.estimate.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
    }
}

impl Run {
    /// When it began.
    #[inline]
    pub(super) fn since(&self) -> Instant {
        self.begun
    }

    /// It is over.
    #[inline]
    pub(super) fn end(self) {
        if self.noted {
            self.site.since.store(0, Ordering::Relaxed); // a hint
        }
        self.site.learn(self.begun.elapsed(), true);
    }
}

impl Drop for PoolRun {
    #[inline]
    fn drop(&mut self) {
        self.site.learn(self.begun.elapsed(), false);
    }
}

fn table() -> &'static Table {
    TABLE
        .get_or_init(|| Table { epoch: Instant::now(), sites: (0..SITES).map(|_| Site::default()).collect() })
}

/// What is believed of a site, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Estimate {
    /// How long the next closure takes, in nanoseconds.
    nanos: u32,
    /// How often it was slow on a worker, and has not been forgiven.
    burns: u32,
    /// Short runs on workers since the last such time, or since the last time was forgiven.
    good: u32,
}

impl Estimate {
    const UNKNOWN: Self = Self { nanos: UNKNOWN, burns: 0, good: 0 };

    fn is_short(self) -> bool {
        self.nanos < SHORT
    }

    /// What to believe after a run that took so long.
    #[inline]
    fn after(self, took: u32, on_worker: bool) -> Self {
        if took >= self.nanos.max(SHORT) {
            let burns = self.burns + u32::from(on_worker);
            return Self { nanos: took.min(LONGEST), burns: burns.min(MOST_BURNS), good: 0 };
        }
        if self.is_short() {
            return self.forgiving(on_worker);
        }
        let step = (self.nanos - took.min(self.nanos)) >> (3 + self.burns);
        Self { nanos: self.nanos - step.max(1), ..self }
    }

    /// A short site ran a short closure: there is nothing to learn, so that nothing is written, unless it has burned us.
    #[inline]
    fn forgiving(self, on_worker: bool) -> Self {
        match self.good + 1 {
            _ if self.burns == 0 || !on_worker => self,
            FORGIVING => Self { burns: self.burns - 1, good: 0, ..self },
            good => Self { good, ..self },
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.nanos) | u64::from(self.burns) << 32 | u64::from(self.good) << 40
    }

    fn unpack(word: u64) -> Self {
        Self { nanos: word as u32, burns: (word >> 32) as u32 & 0xFF, good: (word >> 40) as u32 }
    }
}

/// Folds what a `TypeId` is made of into one number; it is random already.
struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(5) ^ number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What [adaptive offload](crate::offload#adaptive-offload) believes of one call site: see [`call_sites`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CallSite {
    place: &'static Location<'static>,
    estimate: Estimate,
}

impl CallSite {
    /// Where `to_thread` is called.
    #[must_use]
    pub fn place(&self) -> &'static Location<'static> {
        self.place
    }

    /// How long its closures are expected to run, 1.28 ms at the most.
    #[must_use]
    pub fn estimate(&self) -> Duration {
        Duration::from_nanos(self.estimate.nanos.into())
    }

    /// True if its next closure would run on the worker that calls it.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.estimate.is_short()
    }
}

impl fmt::Debug for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSite")
            .field("place", &format_args!("{}:{}", self.place.file(), self.place.line()))
            .field("estimate", &self.estimate())
            .field("is_short", &self.is_short())
            .finish()
    }
}

/// Every call site of `to_thread` that has run so far in this process, and what is believed of it: to see why a call runs
/// where it does.
///
/// Calls of runtimes without adaptive offload are not listed. One place may be several sites, if closures of several
/// types come by.
///
/// ```
/// # unstuck::run(async {
/// unstuck::to_thread(|| 6 * 7).await.unwrap();
/// let site = unstuck::offload::call_sites().into_iter().find(|site| site.place().file() == file!());
/// assert!(!site.unwrap().is_short(), "one run is not enough to be trusted");
/// # });
/// ```
#[must_use]
pub fn call_sites() -> Vec<CallSite> {
    let sites = TABLE.get().map_or(&[][..], |table| &table.sites);
    let known = sites.iter().filter_map(|site| Some((site.key.get()?, site.estimate())));
    known.map(|(key, estimate)| CallSite { place: key.place, estimate }).collect()
}

#[cfg(test)]
mod tests;
