//! What a pool's threads are like.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use unstuck_core::job::{Shutdown, Wrapper};

use crate::pool::ThreadPool;
use crate::roster::Rules;

/// A thread's whole program.
pub(crate) type Body = Box<dyn FnOnce() + Send + 'static>;

/// How a thread is made; tests put a failing one here.
type Spawner = Arc<dyn Fn(thread::Builder, Body) -> io::Result<JoinHandle<()>> + Send + Sync>;
type Hook = Arc<dyn Fn() + Send + Sync>;

/// The longest that the one idle thread stays awake after a job, hoping for the next.
///
/// It has to outlast the way back of a caller who awaits each job: a futex wake, 40 to 60 µs on the 2-core machine it
/// was chosen on. There a round trip between two cores takes 18 µs with it and 66 without (tokio's pool: 69); 50 µs did
/// nearly as well, 20 nothing. On one core it costs 1.6 µs (4.8 against 3.2). The thread yields the core to anybody
/// who wants it meanwhile, and spins less and less while it does not pay (see roster.rs). A machine that wakes threads
/// faster can do with less.
const SPIN: Duration = Duration::from_micros(100);

/// No more threads at a time than this, or than there are CPUs, are started by those who submit. One would do; two are
/// sooner where the first one has to wait for a CPU.
const STARTERS: usize = 4;

/// What happens to a job that finds a bounded queue full: see [`Builder::queue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The submitter waits, first come, first served. A plain thread blocks until the job is in the queue. Async code must
    /// not block: there the job waits in front of the queue, and *awaiting its handle* is the wait; await it before you
    /// submit more. Whoever gives up such an await (a timeout, a cancellation) takes the job back, unless it has begun: it
    /// never runs. A handle that is dropped without ever being awaited leaves the job in line.
    Wait,
    /// The job is refused: its handle gives an error that [says so](unstuck_core::JoinError::is_rejected).
    Reject,
    /// The submitter runs the job itself, at once. In a task that holds up its worker.
    CallerRuns,
}

/// Builds a [`ThreadPool`].
///
/// ```
/// use std::time::Duration;
/// use unstuck_blocking::ThreadPool;
///
/// let pool = ThreadPool::builder().name("files").max_threads(4).keep_alive(Duration::from_secs(1)).build()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until build()"]
pub struct Builder {
    max_threads: usize,
    max_lent: usize,
    reserved: usize,
    queue: Option<(usize, Overflow)>,
    high_water: usize,
    keep_alive: Duration,
    on_drop: Shutdown,
    recipe: Recipe,
}

/// How each thread of a pool is made.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) name: Arc<str>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) on_start: Option<Hook>,
    pub(crate) on_stop: Option<Hook>,
    pub(crate) around: Option<Arc<Wrapper>>,
    pub(crate) spawner: Spawner,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            max_threads: 512,
            max_lent: 256,
            reserved: 0,
            queue: None,
            high_water: 10_000,
            keep_alive: Duration::from_secs(10),
            on_drop: Shutdown::wait(),
            recipe: Recipe {
                name: "unstuck-blk".into(),
                stack_size: None,
                on_start: None,
                on_stop: None,
                around: None,
                spawner: Arc::new(thread::Builder::spawn),
            },
        }
    }

    /// So many jobs run at once; further ones wait in the queue. 512 unless set.
    ///
    /// There may be more threads: while a job waits on a handle of ours another one runs in its place
    /// ([`max_lent_threads`](Self::max_lent_threads), 256 unless set, so that `max_threads(4)` may become 260), and a job with a
    /// thread of its own ([`Route::own_thread`](crate::Route::own_thread)) does not count. The one that waited goes on at once,
    /// beside the one in its place. For a library that must not be entered twice, set 1 here and `max_lent_threads(0)`, or use a
    /// [`Limiter`](crate::Limiter) of 1, which is exact.
    pub fn max_threads(mut self, max: usize) -> Self {
        self.max_threads = max;
        self
    }

    /// So many threads more while jobs wait for other jobs (`JobHandle::wait`, `Task::wait`, `Handle::block_on` inside
    /// one): others work in their places, so that a pool never waits for itself. 256 unless set.
    ///
    /// When they are used up, queued jobs stay where they are until a wait ends. One that never would, because every thread
    /// would wait for jobs of this pool, is an error that names both jobs. If all threads wait and nothing happens for a
    /// second while jobs are queued, one line on stderr says so.
    pub fn max_lent_threads(mut self, max: usize) -> Self {
        self.max_lent = max;
        self
    }

    /// No more jobs than `bound` wait for a thread; `overflow` says what happens to further ones. Without a bound
    /// unless set: then one line on stderr tells of a queue of [`high_water`](Self::high_water) jobs.
    ///
    /// ```
    /// use unstuck_blocking::{Overflow, ThreadPool};
    ///
    /// let pool = ThreadPool::builder().max_threads(1).queue(1, Overflow::Reject).build()?;
    /// let (release, until_released) = std::sync::mpsc::channel::<()>();
    /// let running = pool.spawn(move || until_released.recv().is_err());
    /// let jobs: Vec<_> = (0..3).map(|n| pool.spawn(move || n)).collect();
    /// drop(release);
    /// let refused = jobs.into_iter().filter_map(|job| job.wait().err()).all(|error| error.is_rejected());
    /// assert!(refused && running.wait().unwrap());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn queue(mut self, bound: usize, overflow: Overflow) -> Self {
        self.queue = Some((bound, overflow));
        self
    }

    /// A queue without a bound is told of on stderr when it gets this long, and at each doubling. 10,000 unless set.
    pub fn high_water(mut self, jobs: usize) -> Self {
        self.high_water = jobs.max(1);
        self
    }

    /// So many threads beside `max_threads` for the runtime's own jobs: see `Options::reserved`.
    #[doc(hidden)]
    pub fn reserved(mut self, threads: usize) -> Self {
        self.reserved = threads;
        self
    }

    /// How long an idle thread stays. After that, a pool without work has no threads. 10 s unless set;
    /// `Duration::MAX` keeps them for ever.
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// What the threads are called, before their number. Linux shows the first 15 bytes.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.recipe.name = name.into();
        self
    }

    /// The stack of each thread in bytes; std's default (2 MiB) unless set. Only touched pages take memory.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.recipe.stack_size = Some(bytes);
        self
    }

    /// Called on each thread before its first job. A panic is reported on stderr, and the thread goes on. It must not wait
    /// for a job of this pool: its thread may be the one that is to run it.
    pub fn on_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.recipe.on_start = Some(Arc::new(hook));
        self
    }

    /// Called on each thread after its last job. A panic is reported on stderr.
    pub fn on_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.recipe.on_stop = Some(Arc::new(hook));
        self
    }

    /// Wraps the whole life of each thread, hooks included: the place to enter contexts that jobs should find.
    ///
    /// The wrapper has to call its argument once. If it forgets to, or panics before, the thread works unwrapped.
    pub fn around(mut self, wrapper: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) -> Self {
        self.recipe.around = Some(Arc::new(wrapper));
        self
    }

    /// What dropping the pool does: [`Shutdown::wait`] unless set, so that a pool is a scope for its jobs.
    pub fn on_drop(mut self, how: Shutdown) -> Self {
        self.on_drop = how;
        self
    }

    #[cfg(all(test, not(unstuck_loom)))]
    pub(crate) fn spawner(
        mut self,
        spawner: impl Fn(thread::Builder, Body) -> io::Result<JoinHandle<()>> + Send + Sync + 'static,
    ) -> Self {
        self.recipe.spawner = Arc::new(spawner);
        self
    }

    /// Makes the pool. It has no threads until the first job.
    ///
    /// # Errors
    /// If `max_threads` is 0, or the name contains a NUL byte.
    pub fn build(self) -> io::Result<ThreadPool> {
        let invalid = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if self.max_threads == 0 {
            return invalid("a pool with max_threads(0) could never run a job: give it at least 1");
        }
        if self.recipe.name.contains('\0') {
            return invalid("a thread's name cannot contain a NUL byte");
        }
        let spin = if num_cpus::get() > 1 { SPIN } else { Duration::ZERO };
        let (bound, overflow) = self.queue.unwrap_or((usize::MAX, Overflow::Reject));
        let rules = Rules {
            max_threads: self.max_threads,
            reserved: self.reserved,
            max_lent: self.max_lent,
            // Where the queue has a bound, a job without a thread of its own might seem to be one too many.
            starters: if self.queue.is_some() { usize::MAX } else { num_cpus::get().min(STARTERS) },
            bound,
            high_water: if self.queue.is_some() { usize::MAX } else { self.high_water },
            keep_alive: self.keep_alive,
            spin,
        };
        Ok(ThreadPool::new(rules, overflow, self.recipe, self.on_drop))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.recipe.name)
            .field("max_threads", &self.max_threads)
            .field("keep_alive", &self.keep_alive)
            .field("on_drop", &self.on_drop)
            .finish_non_exhaustive()
    }
}
