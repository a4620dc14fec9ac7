//! The queue of a compute pool, and rayon underneath.
//!
//! Jobs do not go into rayon's queues themselves, where nobody could take them back. They go into a queue of ours, and
//! rayon gets *shifts*: closures that take jobs from it until it is empty. Who is called when is decided in roll.rs.
//! Here a decision becomes a closure on one of rayon's threads.
//!
//! Promises: a job's panic never reaches rayon, which would abort the process · the pool ends when it is closed and the
//! last shift is over, whichever thread that happens on · a shutdown joins every thread, unless its limit passes first ·
//! other work of the same rayon pool (`install`, pieces of a `par_iter`) gets its turn between jobs.
//!
//! Threads that have run as many jobs as they may are replaced, all at once, by a new rayon pool. Shifts on the old one end
//! with the job that they are at, and call others, which begin on the new one. It goes when nothing runs on it any more.
//!
//! A job that waits for another one on a handle of ours says so before it sleeps ([`Host`]), and a thread is added for the
//! time: a rayon pool of its own with a single thread, since rayon's pools do not grow.

mod post;

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rayon::ThreadPool;
use unstuck_core::job::{
    CancelToken, QueuedJob, RunningJob, Shutdown, ShutdownReport, say, while_waiting_for_others,
};
use unstuck_core::sync::Mutex;

use crate::builder::Recipe;
use crate::crew::Crew;
use crate::permits::Permits;
use crate::pool::Statistics;
use crate::roll::{Call, Kind, Roll, Rules};
use post::Post;

const CLOSED: &str = "its compute pool has shut down: submit before the shutdown, or to another pool";
const BROKEN: &str =
    "its compute pool is broken, because its initializer panicked: make a pool whose initializer returns";
const NO_THREADS: &str = "the threads of its compute pool could not be made (the system's limit on threads or memory is \
                          reached): ask for fewer threads, or raise the limit";

/// So many threads may be added for jobs that wait for others. Nested that deep, something is wrong.
const MAX_EXTRA: usize = 64;

/// After a job that took longer than this, or so many jobs, other work of the rayon pool has a turn: it costs a look at
/// each thread's queue.
const LONG: Duration = Duration::from_micros(50);
const MANY: u32 = 32;

pub(crate) struct Engine {
    pub(crate) recipe: Recipe,
    roll: Roll<Entry, RunningJob>,
    crew: Arc<Crew>,
    permits: Permits,
    pools: Mutex<Pools>,
    started: AtomicBool,
    /// Counts how often the threads have been made anew.
    generation: AtomicU64,
    /// It was said that they could not be.
    warned: AtomicBool,
    /// Held while rayon is started, so that it is started once. Taken before `pools`, never after.
    starting: Mutex<()>,
    myself: Weak<Engine>,
}

/// A job in the queue. Its token is made by the submitter, who has the job's memory in its cache, and taken out when the
/// job begins: under the roll's lock nobody waits for another core's memory.
struct Entry {
    job: QueuedJob,
    token: Option<CancelToken>,
}

/// The rayon pools. Whoever drops them ends their threads.
#[derive(Default)]
struct Pools {
    /// `None` before a lazy pool's first job, and after the end.
    main: Option<Arc<ThreadPool>>,
    /// Added for jobs that wait. A place is empty when its thread was worn.
    extra: Vec<Option<Extra>>,
}

/// A thread that was added.
struct Extra {
    rayon: Arc<ThreadPool>,
    /// A shift is on it.
    busy: bool,
}

/// What goes on on this thread already, when rayon gives it something to run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Busy {
    No,
    InShift,
    InInstall,
}

std::thread_local! {
    static BUSY: Cell<Busy> = const { Cell::new(Busy::No) };
}

/// Restores what the thread was busy with.
struct Restore(Busy);

impl Restore {
    /// The thread is busy with `what`, unless it was busy before.
    fn busy_with(what: Busy) -> Self {
        let before = BUSY.get();
        if before == Busy::No {
            BUSY.set(what);
        }
        Self(before)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        BUSY.set(self.0);
    }
}

impl Engine {
    pub(crate) fn new(recipe: Recipe) -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            roll: Roll::new(Rules { threads: recipe.threads, max_extra: MAX_EXTRA }),
            permits: Permits::new(recipe.cpus, recipe.busy.clone()),
            crew: Arc::new(Crew::new(Arc::new(Post::new(myself.clone())))),
            recipe,
            pools: Mutex::default(),
            started: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            warned: AtomicBool::new(false),
            starting: Mutex::new(()),
            myself: myself.clone(),
        })
    }

    /// Queues a job and sees to it that a shift comes for it. Whatever is wrong becomes the job's error.
    pub(crate) fn submit(&self, job: QueuedJob) {
        if self.crew.is_broken() {
            return job.reject(BROKEN);
        }
        if self.start().is_err() {
            return job.reject(NO_THREADS);
        }
        job.belongs_to(self.key());
        let token = Some(job.token());
        match self.roll.submit(Entry { job, token }, self.crew.is_mine()) {
            Ok((call, long)) => {
                self.send(call);
                if long {
                    drop(self.roll.sweep(|entry| entry.job.is_cancelled()));
                }
            }
            Err(entry) => entry.job.reject(CLOSED),
        }
    }

    /// What tells this pool from others; not 0.
    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Runs `f` on the pool and waits for it, in rayon's way: inside, `par_iter` and `join` use the pool's threads.
    pub(crate) fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        /// Ends what was opened, also when `f` panics.
        struct Opened<'a>(&'a Engine);
        impl Drop for Opened<'_> {
            fn drop(&mut self) {
                if self.0.roll.close_opened() {
                    self.0.end();
                }
            }
        }
        if self.crew.is_mine() {
            return f();
        }
        let rayon = match self.open() {
            Ok(rayon) => rayon,
            Err(why) => panic!("install() was refused: {why}"),
        };
        let _opened = Opened(self);
        rayon.install(|| {
            let _busy = Restore::busy_with(Busy::InInstall);
            f()
        })
    }

    fn open(&self) -> Result<Arc<ThreadPool>, &'static str> {
        if self.crew.is_broken() {
            return Err(BROKEN);
        }
        self.start().map_err(|_| NO_THREADS)?;
        if !self.roll.open() {
            return Err(CLOSED);
        }
        Ok(self.pools.lock().main.clone().expect("what is open keeps the threads"))
    }

    /// Starts a shift where it was called to.
    fn send(&self, call: Call) {
        match call {
            Call::Nobody => {}
            Call::Main => {
                let rayon = self.pools.lock().main.clone().expect("a called shift keeps the threads");
                let engine = self.myself.upgrade().expect("a handle, or a shift, is calling");
                rayon.spawn(move || engine.shift(None));
            }
            Call::Extra => self.send_extra(),
        }
    }

    #[cold]
    fn send_extra(&self) {
        let engine = self.myself.upgrade().expect("a handle, or a shift, is calling");
        if let Ok((place, rayon)) = self.extra() {
            return rayon.spawn(move || engine.shift(Some(place)));
        }
        let (abandoned, last) = self.roll.no_extra();
        for entry in abandoned {
            entry.job.reject(NO_THREADS);
        }
        if last {
            self.end();
        }
    }

    /// An extra thread without work: one that was added before, or a new one.
    fn extra(&self) -> io::Result<(usize, Arc<ThreadPool>)> {
        let mut pools = self.pools.lock();
        let idle = |(_, extra): &(usize, &mut Option<Extra>)| extra.as_ref().is_some_and(|extra| !extra.busy);
        if let Some((place, Some(extra))) = pools.extra.iter_mut().enumerate().find(idle) {
            extra.busy = true;
            return Ok((place, extra.rayon.clone()));
        }
        // Under the lock: two that wait at once get two threads. Nobody else needs it for long.
        let free = pools.extra.iter().position(Option::is_none);
        let place = free.unwrap_or(pools.extra.len());
        // Relaxed: under the lock under which it changes.
        let generation = self.generation.load(Ordering::Relaxed);
        let suffix = format!("-extra-{place}");
        let rayon = Arc::new(self.crew.hire(&self.recipe, 1, &suffix, generation)?);
        let extra = Some(Extra { rayon: rayon.clone(), busy: true });
        match free {
            Some(place) => pools.extra[place] = extra,
            None => pools.extra.push(extra),
        }
        Ok((place, rayon))
    }

    /// True on a thread that has been replaced, and only ends what it has begun.
    fn is_worn(&self) -> bool {
        // Relaxed: the flag carries nothing. Whoever sees it late runs one job more.
        Crew::generation() != self.generation.load(Ordering::Relaxed)
    }

    /// This thread has run as many jobs as it may: all threads are made anew.
    #[cold]
    fn renew(&self) {
        let worn = Crew::generation();
        let _starting = self.starting.lock();
        // Relaxed: it changes under the lock that we hold.
        if self.generation.load(Ordering::Relaxed) != worn {
            return; // another thread was faster
        }
        let fresh = match self.crew.hire(&self.recipe, self.recipe.threads, "", worn + 1) {
            Ok(rayon) => Arc::new(rayon),
            Err(error) => {
                Crew::forget_jobs(); // and try again after as many more
                // Relaxed: a once-flag that guards nothing.
                if !self.warned.swap(true, Ordering::Relaxed) {
                    say(format_args!("the old threads of '{}' go on: {error}", self.recipe.name));
                }
                return;
            }
        };
        let mut pools = self.pools.lock();
        // Whoever has a shift or an `install` on the old threads keeps them; the last one drops them.
        let _old = pools.main.replace(fresh);
        let idle = pools.extra.iter_mut().filter(|extra| extra.as_ref().is_some_and(|extra| !extra.busy));
        let _idle: Vec<_> = idle.map(Option::take).collect();
        // Relaxed: see `is_worn`. Under the lock of `pools`, for `extra`.
        self.generation.store(worn + 1, Ordering::Relaxed);
        drop(pools);
    }

    /// A shift on a thread of rayon's: `extra` says on which of those that were added.
    fn shift(&self, extra: Option<usize>) {
        let busy = Restore::busy_with(Busy::InShift);
        let kind = Kind { extra: extra.is_some(), guest: busy.0 != Busy::No };
        let budgeted = !kind.guest && !kind.extra;
        // The clock is read once a job, and not under the lock: the end of one is the beginning of the next.
        let (mut count, begins) = (0, Cell::new(Instant::now()));
        let run = |entry: Entry| {
            if self.crew.is_broken() {
                entry.job.reject(BROKEN);
            } else {
                self.run(entry.job);
            }
            let now = Instant::now();
            count += 1;
            let took = now.duration_since(begins.replace(now));
            if took > LONG || count % MANY == 0 {
                if budgeted {
                    self.permits.give();
                }
                rayon::yield_now();
                if budgeted && took > LONG {
                    self.permits.take(|| self.roll.counts().queued > 0);
                }
                begins.set(Instant::now());
            }
        };
        let note = |entry: &mut Entry| {
            RunningJob::begins_at(entry.token.take().expect("it begins once"), begins.get())
        };
        let last = self.roll.work(kind, || self.is_worn(), note, run, |call| self.send(call));
        if budgeted {
            self.permits.give();
        }
        drop(busy);
        if let Some(place) = extra {
            self.rest(place);
        }
        if last {
            self.end();
        }
    }

    fn run(&self, job: QueuedJob) {
        if job.run() {
            if let Some(max) = self.recipe.max_jobs {
                if Crew::count_job() >= max.get() && !self.is_worn() {
                    self.renew();
                }
            }
        }
    }

    /// The shift on an extra thread is over.
    fn rest(&self, place: usize) {
        let mut pools = self.pools.lock();
        // None after the end.
        let Some(extra) = pools.extra.get_mut(place) else { return };
        let worn = if self.is_worn() { extra.take() } else { None };
        if let Some(extra) = extra {
            extra.busy = false;
        }
        drop(pools);
        drop(worn);
    }

    /// Makes the threads, if they do not exist.
    pub(crate) fn start(&self) -> io::Result<()> {
        // Acquire: pairs with the Release below: who sees it finds the threads.
        if self.started.load(Ordering::Acquire) {
            return Ok(());
        }
        let _starting = self.starting.lock();
        if self.roll.is_closed() || self.pools.lock().main.is_some() {
            return Ok(());
        }
        let rayon = self.crew.hire(&self.recipe, self.recipe.threads, "", 0)?;
        self.pools.lock().main = Some(Arc::new(rayon));
        self.started.store(true, Ordering::Release); // pairs with the Acquire above
        if self.roll.is_over() {
            self.end();
        }
        Ok(())
    }

    /// Everything is over: the threads go.
    fn end(&self) {
        // Dropped with no lock held.
        let _pools = std::mem::take(&mut *self.pools.lock());
    }

    /// Ends the pool as `how` says.
    pub(crate) fn shutdown(&self, how: Shutdown) -> ShutdownReport {
        let pending = self.roll.close(how.cancel_pending);
        if self.roll.is_over() {
            self.end();
        }
        let cancelled = pending.iter().filter(|entry| !entry.job.is_cancelled()).count();
        drop(pending);
        if how.cancel_pending {
            self.roll.running().iter().for_each(RunningJob::cancel);
        }
        if !self.crew.is_mine() {
            while_waiting_for_others(how.limit, || self.wait(how.limit));
        }
        ShutdownReport::new(self.roll.running(), cancelled, self.crew.len())
    }

    /// Waits for the last shift and for the threads, and does not do so in silence.
    fn wait(&self, limit: Option<Duration>) {
        const SILENCE: Duration = Duration::from_secs(1);
        let start = Instant::now();
        if !self.roll.wait_until_over(limit.unwrap_or(SILENCE)) {
            if limit.is_some() {
                return;
            }
            let report = ShutdownReport::new(self.roll.running(), 0, 0);
            let queued = self.roll.counts().queued;
            say(format_args!(
                "the shutdown of '{}' waits for {queued} queued jobs; {report}",
                self.recipe.name
            ));
            self.roll.wait_until_over(Duration::MAX);
        }
        self.crew.join(limit.map(|limit| limit.saturating_sub(start.elapsed())));
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let counts = self.roll.counts();
        Statistics {
            threads: self.crew.len(),
            queued: counts.queued,
            running: counts.running,
            abandoned: self.roll.running().iter().filter(|job| job.is_abandoned()).count(),
            done: counts.done,
        }
    }
}
