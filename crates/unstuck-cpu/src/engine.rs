//! The queue of a compute pool, and rayon underneath.
//!
//! Jobs do not go into rayon's queues themselves, where nobody could take them back. They go into a queue of ours, and
//! rayon gets one *turn* for each: a closure that takes the first job of our queue, if there is one, and runs it. So
//! cancelling what is queued empties our queue at once, and a turn that finds nothing costs a few nanoseconds.
//!
//! Promises: a job's panic never reaches rayon, which would abort the process · the pool ends when it is closed and the
//! last turn is over, whichever thread that happens on · a shutdown joins every thread, unless its limit passes first.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};
use unstuck_core::job::{QueuedJob, RunningJob, Shutdown, ShutdownReport, contain, report, say, wrapped};
use unstuck_core::sync::{Condvar, Mutex, wait_for};

use crate::builder::{Body, Recipe};
use crate::pool::Statistics;

const CLOSED: &str = "its compute pool has shut down: submit before the shutdown, or to another pool";
const BROKEN: &str =
    "its compute pool is broken, because its initializer panicked: make a pool whose initializer returns";
const NO_THREADS: &str = "the threads of its compute pool could not be made (the system's limit on threads or memory is \
                          reached): ask for fewer threads, or raise the limit";

pub(crate) struct Engine {
    pub(crate) recipe: Recipe,
    inner: Mutex<Inner>,
    /// Notified when the last turn of a closed engine is over.
    over: Condvar,
    /// Held while rayon is started, so that it is started once. Taken before `inner`, never after.
    starting: Mutex<()>,
    threads: Arc<Threads>,
}

#[derive(Default)]
struct Inner {
    queue: VecDeque<QueuedJob>,
    running: HashMap<u64, RunningJob>,
    /// Jobs that were started so far: the key of the next in `running`.
    begun: u64,
    done: u64,
    /// Turns given to rayon, and installed closures, that are not over.
    turns: usize,
    closed: bool,
    /// `None` before a lazy pool's first job, and after the end. Whoever drops it ends the threads.
    rayon: Option<Arc<ThreadPool>>,
}

/// The threads of one engine. They hold this, and not the engine: that one ends by dropping the pool they belong to.
#[derive(Default)]
struct Threads {
    handles: Mutex<Vec<JoinHandle<()>>>,
    /// The initializer panicked on one of them.
    broken: AtomicBool,
}

thread_local! {
    /// The address of the `Threads` that this thread is one of; 0 outside all pools.
    static POOL: Cell<usize> = const { Cell::new(0) };
}

impl Engine {
    pub(crate) fn new(recipe: Recipe) -> Arc<Self> {
        Arc::new(Self {
            recipe,
            inner: Mutex::new(Inner::default()),
            over: Condvar::new(),
            starting: Mutex::new(()),
            threads: Arc::new(Threads::default()),
        })
    }

    /// Queues a job and gives rayon a turn for it. Whatever is wrong becomes the job's error.
    pub(crate) fn submit(self: &Arc<Self>, job: QueuedJob) {
        match self.begin_turn() {
            Ok(rayon) => {
                self.inner.lock().queue.push_back(job);
                let engine = self.clone();
                rayon.spawn(move || engine.turn());
            }
            Err(why) => job.reject(why),
        }
    }

    /// Runs `f` on the pool and waits for it, in rayon's way: inside, `par_iter` and `join` use the pool's threads.
    pub(crate) fn install<R: Send>(self: &Arc<Self>, f: impl FnOnce() -> R + Send) -> R {
        /// Ends the turn, also when `f` panics.
        struct Turn<'a>(&'a Engine);
        impl Drop for Turn<'_> {
            fn drop(&mut self) {
                self.0.end_turn(None);
            }
        }
        if self.is_mine() {
            return f();
        }
        let rayon = match self.begin_turn() {
            Ok(rayon) => rayon,
            Err(why) => panic!("install() was refused: {why}"),
        };
        let _turn = Turn(self);
        rayon.install(f)
    }

    /// Counts a turn, and starts rayon if that has not happened. Every `Ok` needs an [`end_turn`](Self::end_turn).
    fn begin_turn(&self) -> Result<Arc<ThreadPool>, &'static str> {
        // Relaxed: the flag carries nothing; a job that slips past it is checked again before it runs.
        if self.threads.broken.load(Ordering::Relaxed) {
            return Err(BROKEN);
        }
        loop {
            let mut inner = self.inner.lock();
            if inner.closed {
                return Err(CLOSED);
            }
            if let Some(rayon) = inner.rayon.clone() {
                inner.turns += 1;
                return Ok(rayon);
            }
            drop(inner);
            self.start().map_err(|_| NO_THREADS)?;
        }
    }

    fn turn(&self) {
        let mut inner = self.inner.lock();
        let Some(job) = inner.queue.pop_front() else {
            drop(inner);
            return self.end_turn(None);
        };
        let number = inner.begun;
        inner.begun += 1;
        inner.running.insert(number, RunningJob::begins(&job));
        drop(inner);
        // Relaxed: as in `begin_turn`.
        if self.threads.broken.load(Ordering::Relaxed) {
            job.reject(BROKEN);
        } else {
            job.run();
        }
        self.end_turn(Some(number));
    }

    fn end_turn(&self, job: Option<u64>) {
        let mut inner = self.inner.lock();
        inner.turns -= 1;
        if job.is_some_and(|number| inner.running.remove(&number).is_some()) {
            inner.done += 1;
        }
        let rayon = self.end_if_over(&mut inner);
        drop(inner);
        drop(rayon);
    }

    /// Gives the rayon pool out, to be dropped with no lock held, if nothing can need it any more.
    fn end_if_over(&self, inner: &mut Inner) -> Option<Arc<ThreadPool>> {
        if !inner.closed || inner.turns > 0 {
            return None;
        }
        self.over.notify_all();
        inner.rayon.take()
    }

    /// Makes the threads, if they do not exist.
    pub(crate) fn start(&self) -> io::Result<()> {
        let _starting = self.starting.lock();
        let wanted = {
            let inner = self.inner.lock();
            inner.rayon.is_none() && !inner.closed
        };
        if !wanted {
            return Ok(());
        }
        let rayon = Arc::new(self.make_threads()?);
        let mut inner = self.inner.lock();
        inner.rayon = Some(rayon);
        let unwanted = self.end_if_over(&mut inner);
        drop(inner);
        drop(unwanted);
        Ok(())
    }

    fn make_threads(&self) -> io::Result<ThreadPool> {
        let mut kind = io::ErrorKind::Other;
        let spawn = |rayon: ThreadBuilder| {
            let name = format!("{}-{}", self.recipe.name, rayon.index());
            let mut builder = thread::Builder::new().name(name);
            if let Some(size) = self.recipe.stack_size {
                builder = builder.stack_size(size);
            }
            let (recipe, threads) = (self.recipe.clone(), self.threads.clone());
            let body: Body = Box::new(move || live(&recipe, &threads, rayon));
            let handle = (self.recipe.spawner)(builder, body).inspect_err(|error| kind = error.kind())?;
            self.threads.handles.lock().push(handle);
            Ok(())
        };
        let built = ThreadPoolBuilder::new()
            .num_threads(self.recipe.threads)
            .panic_handler(|payload| report("a closure given to rayon::spawn", payload))
            .spawn_handler(spawn)
            .build();
        built.map_err(|error| {
            // rayon tells those that did start to end.
            self.threads.join(None);
            let (name, threads) = (&self.recipe.name, self.recipe.threads);
            io::Error::new(
                kind,
                format!("the {threads} threads of '{name}' could not be made: {error}: ask for fewer"),
            )
        })
    }

    /// Ends the pool as `how` says.
    pub(crate) fn shutdown(&self, how: Shutdown) -> ShutdownReport {
        let mut inner = self.inner.lock();
        inner.closed = true;
        let pending = if how.cancel_pending { std::mem::take(&mut inner.queue) } else { VecDeque::new() };
        let rayon = self.end_if_over(&mut inner);
        drop(inner);
        drop(rayon);
        let cancelled = pending.iter().filter(|job| !job.is_cancelled()).count();
        drop(pending);
        if !self.is_mine() {
            self.wait(how.limit);
        }
        let running = self.inner.lock().running.values().cloned().collect();
        ShutdownReport::new(running, cancelled, self.threads.handles.lock().len())
    }

    /// Waits for the last turn and for the threads, and does not do so in silence.
    fn wait(&self, limit: Option<Duration>) {
        const SILENCE: Duration = Duration::from_secs(1);
        let start = Instant::now();
        if !self.wait_until_over(limit.unwrap_or(SILENCE)) {
            if limit.is_some() {
                return;
            }
            let inner = self.inner.lock();
            let report = ShutdownReport::new(inner.running.values().cloned().collect(), 0, 0);
            let queued = inner.queue.len();
            drop(inner);
            say(format_args!(
                "the shutdown of '{}' waits for {queued} queued jobs; {report}",
                self.recipe.name
            ));
            self.wait_until_over(Duration::MAX);
        }
        self.threads.join(limit.map(|limit| limit.saturating_sub(start.elapsed())));
    }

    /// False if `limit` passed before.
    fn wait_until_over(&self, limit: Duration) -> bool {
        let start = Instant::now();
        let mut inner = self.inner.lock();
        while inner.turns > 0 {
            match limit.saturating_sub(start.elapsed()) {
                Duration::ZERO => return false,
                // A day at a time: some clocks cannot add Duration::MAX to now.
                left => wait_for(&self.over, &mut inner, left.min(Duration::from_secs(86_400))),
            }
        }
        true
    }

    /// True on one of this pool's threads.
    fn is_mine(&self) -> bool {
        POOL.try_with(Cell::get) == Ok(self.threads.address())
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let inner = self.inner.lock();
        let (queued, running, done) = (inner.queue.len(), inner.running.len(), inner.done);
        drop(inner);
        Statistics { threads: self.threads.handles.lock().len(), queued, running, done }
    }
}

impl Threads {
    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// Joins the threads, which have been told to end. Those that have not done so within `limit` stay listed.
    fn join(&self, limit: Option<Duration>) {
        let start = Instant::now();
        let handles = std::mem::take(&mut *self.handles.lock());
        for handle in handles {
            let late = || limit.is_some_and(|limit| start.elapsed() >= limit);
            while limit.is_some() && !handle.is_finished() && !late() {
                thread::sleep(Duration::from_micros(100));
            }
            if limit.is_none() || handle.is_finished() {
                let _ = handle.join();
            } else {
                self.handles.lock().push(handle);
            }
        }
    }
}

/// The life of one compute thread.
fn live(recipe: &Recipe, threads: &Arc<Threads>, rayon: ThreadBuilder) {
    POOL.set(threads.address());
    wrapped(recipe.around.as_deref(), || {
        if let Some(initializer) = &recipe.initializer {
            if !contain("the initializer of a compute thread", || initializer()) {
                // Relaxed: see `begin_turn`.
                threads.broken.store(true, Ordering::Relaxed);
            }
        }
        rayon.run();
    });
}
