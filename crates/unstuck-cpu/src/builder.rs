//! What a compute pool's threads are like.

use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use unstuck_core::job::{Shutdown, Wrapper};

use crate::engine::Engine;
use crate::permits::Busy;
use crate::pool::CpuPool;

/// How far compute threads step back, on the kernel's scale from 0 to 19: see `Builder::low_priority`.
pub(crate) const NICENESS: i32 = 5;

/// A thread's whole program.
pub(crate) type Body = Box<dyn FnOnce() + Send + 'static>;

/// How a thread is made; tests put a failing one here.
type Spawner = Arc<dyn Fn(thread::Builder, Body) -> io::Result<JoinHandle<()>> + Send + Sync>;

/// Builds a [`CpuPool`].
///
/// ```
/// use unstuck_cpu::CpuPool;
///
/// let pool = CpuPool::builder().threads(2).name("render").build()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until build()"]
pub struct Builder {
    recipe: Recipe,
    on_drop: Shutdown,
}

/// How the threads of a pool are made.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) threads: usize,
    pub(crate) name: Arc<str>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) low_priority: bool,
    pub(crate) max_jobs: Option<NonZeroU64>,
    pub(crate) cpus: usize,
    pub(crate) busy: Option<Busy>,
    pub(crate) initializer: Option<Arc<dyn Fn() + Send + Sync>>,
    pub(crate) around: Option<Arc<Wrapper>>,
    pub(crate) spawner: Spawner,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            recipe: Recipe {
                threads: num_cpus::get(),
                name: "unstuck-cpu".into(),
                stack_size: None,
                low_priority: true,
                max_jobs: None,
                cpus: num_cpus::get(),
                busy: None,
                initializer: None,
                around: None,
                spawner: Arc::new(thread::Builder::spawn),
            },
            on_drop: Shutdown::wait(),
        }
    }

    /// How many threads; the number of CPUs that this process may use unless set.
    pub fn threads(mut self, threads: usize) -> Self {
        self.recipe.threads = threads;
        self
    }

    /// What the threads are called, before their number. Linux shows the first 15 bytes.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.recipe.name = name.into();
        self
    }

    /// The stack of each thread in bytes; std's default (2 MiB) unless set.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.recipe.stack_size = Some(bytes);
        self
    }

    /// Whether the threads step back when there is more work than CPUs. On unless set.
    ///
    /// A thread that computes uses every microsecond it gets, and one that serves tasks asks for a few at a time: the
    /// kernel would share the CPUs among them evenly, and tasks would wait. On Linux the threads get a niceness of 5 (see
    /// `nice(2)`) and ask for slices of 4 ms (`sched_setattr(2)`, since Linux 6.12), so that a worker that wakes takes the CPU
    /// from them at once. Where a CPU is free that costs nothing. Other programs on the same CPUs go first, too: switch
    /// it off if computing is what the machine is for. On other systems it does nothing.
    ///
    /// A thread inherits the niceness (the slices it does not) from the one that starts it, and cannot take it back without a
    /// permission. So threads that a job here starts keep it for life: yours, and those of a pool whose first threads are
    /// made for what a job here submits.
    pub fn low_priority(mut self, low: bool) -> Self {
        self.recipe.low_priority = low;
        self
    }

    /// One budget of CPUs with others: `busy` says how many of *their* threads have something to do now. While some do so for
    /// more than a moment, fewer threads of the pool take jobs, one at the least; see permits.rs for how, and why nothing
    /// can wait for ever. Unset, all threads work.
    ///
    /// `busy` is called after each job that took more than 50 µs, on the pool's threads; it must be quick, and not panic.
    pub fn share_cpus(mut self, busy: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.recipe.busy = Some(Arc::new(busy));
        self
    }

    /// Called on each thread before its first job. If it panics the pool is broken, as in Python: every job that has
    /// not begun is rejected, and so is every later one. It must not wait for a job of this pool: its thread may be the one
    /// that is to run it.
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.recipe.initializer = Some(Arc::new(initializer));
        self
    }

    /// A thread runs no more jobs than this; then all threads of the pool are made anew, and the
    /// [initializer](Self::initializer) runs on each: Python's `max_tasks_per_child`. Without a limit unless set, or if
    /// it is 0.
    ///
    /// It is for what libraries keep per thread and never give back: thread-locals, arenas, connections. Memory leaked on
    /// the heap stays, since threads share it; for that there are processes. Making threads costs some ten microseconds
    /// for each, so prefer a limit in the thousands.
    ///
    /// rayon's threads come and go together, so the pool is replaced as a whole as soon as *one* thread has reached the
    /// limit; the others finish the job that they are at. No job waits for that, and none is lost: where the system has
    /// no threads to give, the old ones go on, and a line on stderr says so. What `install` and `par_iter` have begun ends
    /// on the threads that it began on. What [`CpuPool::map`] runs counts by the chunk.
    ///
    /// ```
    /// use unstuck_cpu::CpuPool;
    ///
    /// let pool = CpuPool::builder().threads(1).max_jobs_per_thread(1).build()?;
    /// let thread = || std::thread::current().id();
    /// assert_ne!(pool.spawn(thread).wait().unwrap(), pool.spawn(thread).wait().unwrap());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn max_jobs_per_thread(mut self, jobs: u64) -> Self {
        self.recipe.max_jobs = NonZeroU64::new(jobs);
        self
    }

    /// Wraps the whole life of each thread, initializer included: the place to enter contexts that jobs should find.
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
    pub(crate) fn cpus(mut self, cpus: usize) -> Self {
        self.recipe.cpus = cpus;
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

    /// Makes the pool and its threads.
    ///
    /// # Errors
    /// If a thread cannot be made (those made before are joined), if `threads` is 0, or if the name contains a NUL byte.
    pub fn build(self) -> io::Result<CpuPool> {
        let pool = self.build_lazy()?;
        pool.start()?;
        Ok(pool)
    }

    /// Makes the pool, but no threads until the first job. If they cannot be made then, that job is rejected, and the
    /// next one tries again.
    ///
    /// # Errors
    /// If `threads` is 0, or if the name contains a NUL byte.
    pub fn build_lazy(self) -> io::Result<CpuPool> {
        let invalid = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if self.recipe.threads == 0 {
            return invalid("a compute pool with threads(0) could never run a job: give it at least 1");
        }
        if self.recipe.name.contains('\0') {
            return invalid("a thread's name cannot contain a NUL byte");
        }
        Ok(CpuPool::new(Engine::new(self.recipe), self.on_drop))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.recipe.name)
            .field("threads", &self.recipe.threads)
            .field("on_drop", &self.on_drop)
            .finish_non_exhaustive()
    }
}
