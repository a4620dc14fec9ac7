//! How a runtime is set up.

mod stalls;

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use unstuck_blocking::Overflow;
use unstuck_core::guard::{GuardConfig, StallPolicy};
use unstuck_core::{Config, Failure, FailureSink, Hook, LocalLoop, Scheduler};

use super::event_loop::EventLoop;
use super::failures::Failures;
use super::on_exit::Exit;
use super::stack::{self, EnterGuard, Stack};
use super::{Handle, Runtime};
use crate::guard::alarm::Alarm;

/// Sets up a [`Runtime`] or an [`EventLoop`].
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = unstuck::Runtime::builder().worker_threads(2).thread_name("web").build()?;
/// assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Builder {
    pub(super) worker_threads: usize,
    pub(super) thread_name: String,
    pub(super) thread_stack_size: Option<usize>,
    pub(super) start_paused: bool,
    pub(super) max_blocking_threads: Option<usize>,
    pub(super) blocking_keep_alive: Option<Duration>,
    pub(super) blocking_queue: Option<(usize, Overflow)>,
    pub(super) cpu_threads: Option<usize>,
    pub(super) cpu_low_priority: bool,
    pub(super) cpu_budget: bool,
    adaptive_offload: bool,
    guard: GuardConfig,
    /// What was asked for; a single-threaded loop is watched only if somebody wants it.
    policy: Option<StallPolicy>,
    /// Made with the runtime, if it shall panic for a stall.
    pub(super) alarm: Option<Arc<Alarm>>,
    slow_step: Duration,
    debug: Option<bool>,
    pub(super) introspection: bool,
    pub(super) inspect: Option<bool>,
    on_start: Option<Hook>,
    on_stop: Option<Hook>,
    exception_handler: Option<FailureSink>,
    pub(super) exit: Exit,
}

/// Rescheduling a thousand threads is the kernel's business, but more workers than this are surely a mistake.
const MANY_WORKERS: usize = 32_768;

/// asyncio's `slow_callback_duration`.
const SLOW_STEP: Duration = Duration::from_millis(100);

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            worker_threads: num_cpus::get(),
            thread_name: "unstuck".into(),
            thread_stack_size: None,
            start_paused: false,
            max_blocking_threads: None,
            blocking_keep_alive: None,
            blocking_queue: None,
            cpu_threads: None,
            cpu_low_priority: true,
            cpu_budget: false,
            adaptive_offload: true,
            guard: GuardConfig::default(),
            policy: None,
            alarm: None,
            slow_step: SLOW_STEP,
            debug: None,
            introspection: false,
            inspect: None,
            on_start: None,
            on_stop: None,
            exception_handler: None,
            exit: Exit::default(),
        }
    }

    /// Worker threads that run tasks. One per CPU that this process may use (affinity and cgroup quota counted) unless
    /// set.
    #[must_use]
    pub fn worker_threads(mut self, count: usize) -> Self {
        self.worker_threads = count;
        self
    }

    /// Thread names begin with this: `NAME-0`, `NAME-blocking-0`, `NAME-cpu-0`. `unstuck` unless set. Linux shows the
    /// first 15 bytes.
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Stack size in bytes of workers and of the pools' threads; the platform's default (2 MiB for Rust threads) unless set.
    #[must_use]
    pub fn thread_stack_size(mut self, bytes: usize) -> Self {
        self.thread_stack_size = Some(bytes);
        self
    }

    /// Called on each worker thread before its first task. A panic is reported on stderr, and the worker goes on.
    #[must_use]
    pub fn on_thread_start(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_start = Some(Arc::new(f));
        self
    }

    /// Called on each worker thread after its last task. A panic is reported on stderr.
    #[must_use]
    pub fn on_thread_stop(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_stop = Some(Arc::new(f));
        self
    }

    /// So many calls of `to_thread` run at once on threads of the pool; further ones wait in a queue. 512 unless set.
    ///
    /// *It is no lock.* A call that has shown to be short runs on the worker that makes it, beside the pool
    /// ([adaptive offload](crate::offload#adaptive-offload)), and while a call waits on a handle another one runs in its place. So
    /// with 1 here two calls may still run at once. For a library that must not be entered twice, use
    /// [`offload::call()`](crate::offload::call()) with a [`Limiter`](crate::offload::Limiter) of 1, which is exact, or a
    /// [`ThreadPool`](crate::offload::ThreadPool) of its own.
    #[must_use]
    pub fn max_blocking_threads(mut self, count: usize) -> Self {
        self.max_blocking_threads = Some(count);
        self
    }

    /// How long an idle thread of the blocking pool stays. 10 s unless set.
    #[must_use]
    pub fn blocking_keep_alive(mut self, time: Duration) -> Self {
        self.blocking_keep_alive = Some(time);
        self
    }

    /// No more calls of `to_thread` than `bound` wait for a thread; `overflow` says what happens to further ones. Without
    /// a bound unless set: then a line on stderr tells of ten thousand. See [`Overflow`].
    ///
    /// Calls that have shown to be short wait on their worker instead, like tasks, and are not counted: see
    /// [`max_blocking_threads`](Self::max_blocking_threads). [`adaptive_offload(false)`](Self::adaptive_offload) sends them all
    /// through this queue.
    #[must_use]
    pub fn blocking_queue(mut self, bound: usize, overflow: Overflow) -> Self {
        self.blocking_queue = Some((bound, overflow));
        self
    }

    /// Threads for `cpu`. One per CPU unless set. They are made when `cpu` is called for the first time.
    #[must_use]
    pub fn cpu_threads(mut self, count: usize) -> Self {
        self.cpu_threads = Some(count);
        self
    }

    /// Whether the threads of `cpu` step back when there is more work than CPUs, so that tasks go first. On unless set;
    /// [there](crate::offload::CpuBuilder::low_priority) is what it means for other programs, and for threads that calls of
    /// `cpu` start.
    #[must_use]
    pub fn cpu_low_priority(mut self, low: bool) -> Self {
        self.cpu_low_priority = low;
        self
    }

    /// Whether workers and `cpu` share one budget of CPUs: while workers stay busy, fewer calls of `cpu` run at a time, one
    /// at the least. Tasks never wait for it. Off unless set: measured, [priorities](Self::cpu_low_priority) do more.
    #[must_use]
    pub fn cpu_budget(mut self, on: bool) -> Self {
        self.cpu_budget = on;
        self
    }

    /// Whether [`to_thread`](crate::to_thread) runs calls that have shown to be short on the worker that makes them,
    /// instead of waking a thread for each: *adaptive offload*, told [there](crate::offload#adaptive-offload). On unless
    /// set.
    ///
    /// It needs the [stall guard](Self::stall_guard) as its net. So it is off in a single-threaded loop, on a
    /// [paused](Self::start_paused) clock, with any policy but [`Rescue`](StallPolicy::Rescue), and with
    /// [`max_rescue_threads(0)`](Self::max_rescue_threads).
    #[must_use]
    pub fn adaptive_offload(mut self, on: bool) -> Self {
        self.adaptive_offload = on;
        self
    }

    /// For tests: time stands still, and jumps to the next timer whenever nothing else can go on.
    #[must_use]
    pub fn start_paused(mut self, paused: bool) -> Self {
        self.start_paused = paused;
        self
    }

    /// Called with each [`Failure`] that nobody would see otherwise: asyncio's exception handler.
    ///
    /// That is a task that panicked and whose handle is gone before anybody looked at its result, a plain function that
    /// panicked when the loop called it ([`Handle::call_soon`]), and a task that is destroyed while it is pending
    /// ([`EventLoop::close`]). Unless set, such a failure is one line on stderr.
    ///
    /// It is called where the failure is found: on a worker, or where the task's handle is dropped. So it should be
    /// quick, and must not wait. A panic in it is said on stderr and survived.
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (tell, told) = mpsc::channel();
    /// let runtime = unstuck::Runtime::builder()
    ///     .exception_handler(move |failure| tell.send(failure.to_string()).unwrap())
    ///     .build()?;
    /// runtime.spawn(async { panic!("no such table") }).detach();
    /// assert!(told.recv().unwrap().contains("panicked: no such table, and nobody looked"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn exception_handler(mut self, f: impl Fn(&Failure) + Send + Sync + 'static) -> Self {
        self.exception_handler = Some(Arc::new(f));
        self
    }

    /// Notes what each task awaits, how often it was polled and for how long, so that [`debug::graph`](crate::debug::graph)
    /// and [`debug::tasks`](crate::debug::tasks) can tell. Off unless set; on in [debug mode](crate::debug).
    ///
    /// It holds for the whole process from the first runtime that asks for it. A poll costs about 100 ns more then, and
    /// a task that was polled some hundred bytes.
    #[must_use]
    pub fn introspection(mut self, on: bool) -> Self {
        self.introspection = on;
        self
    }

    /// Lets `unstuck-ps` look at this runtime from outside, also while every worker is stuck: a thread of its own answers
    /// on a Unix socket that only this user can reach. It switches [introspection](Self::introspection) on.
    ///
    /// Unless set, `UNSTUCK_INSPECT=1` in the environment decides; without it nothing listens. Linux only.
    #[must_use]
    pub fn inspect(mut self, on: bool) -> Self {
        self.inspect = Some(on);
        self
    }

    /// Starts a multi-threaded runtime.
    ///
    /// # Errors
    /// An impossible setting (no workers, no threads for blocking calls), or one of the system's kind when a thread cannot
    /// be made; those made before have ended then.
    pub fn build(mut self) -> io::Result<Runtime> {
        self.check()?;
        self.set_alarm();
        let driver = stack::driver(&self);
        let time = driver.handle();
        // The scheduler keeps its configuration, for threads it makes later: a weak reference breaks the circle.
        let around: Arc<OnceLock<Weak<Stack>>> = Arc::default();
        let entered = around.clone();
        let failures = Failures::new(self.exception_handler.clone());
        let config = Config {
            guard: self.guard(),
            on_failure: Some(failures.sink()),
            workers: self.worker_threads,
            name: self.thread_name.clone(),
            stack_size: self.thread_stack_size,
            on_start: self.on_start.clone(),
            on_stop: self.on_stop.clone(),
            around: Some(Arc::new(move |worker, body| {
                unstuck_time::be_punctual();
                let stack = entered.get().and_then(Weak::upgrade);
                let _entered = stack.map(|stack| EnterGuard::new(&Handle::new(stack), Some(worker)));
                body();
            })),
        };
        let scheduler = Scheduler::new(&config, Box::new(driver));
        let handle = Stack::assemble(&self, scheduler.handle(), time, None, failures)?;
        let _ = around.set(handle.downgrade());
        self.look();
        let inspected = self.listen(&handle)?;
        scheduler.start().map_err(|error| no_thread(&error))?;
        Ok(Runtime::new_from(scheduler, handle, inspected))
    }

    /// Makes a single-threaded loop, which runs where it is made. Of the settings above, those for workers do not
    /// matter.
    ///
    /// # Errors
    /// An impossible setting, or the system's error when the thread that watches for slow steps cannot be made.
    pub fn build_single(mut self) -> io::Result<EventLoop> {
        self.worker_threads = 1;
        self.check()?;
        self.set_alarm();
        let driver = stack::driver(&self);
        let time = driver.handle();
        let failures = Failures::new(self.exception_handler.clone());
        let mut core = LocalLoop::telling(Box::new(driver), Some(failures.sink()));
        if self.watches_steps() {
            let config = GuardConfig { threshold: self.slow_step, ..self.guard() };
            core.watch(&self.thread_name, &config)?;
        }
        let handle = Stack::assemble(&self, core.handle(), time, Some(core.stopper()), failures)?;
        self.look();
        let inspected = self.listen(&handle)?;
        Ok(EventLoop::from_parts(core, handle, inspected))
    }

    fn check(&self) -> io::Result<()> {
        let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if self.worker_threads == 0 {
            return wrong("worker_threads(0): a runtime needs at least one worker thread".into());
        }
        if self.worker_threads > MANY_WORKERS {
            let count = self.worker_threads;
            return wrong(format!(
                "worker_threads({count}): more than {MANY_WORKERS} workers are not supported"
            ));
        }
        if self.max_blocking_threads == Some(0) {
            return wrong("max_blocking_threads(0): to_thread() needs at least one thread".into());
        }
        if self.cpu_threads == Some(0) {
            return wrong("cpu_threads(0): cpu() needs at least one thread".into());
        }
        Ok(())
    }
}

/// What the system says ("resource temporarily unavailable") tells neither which resource nor what to do.
fn no_thread(error: &io::Error) -> io::Error {
    let what = format!(
        "a thread of the runtime could not be made ({error}): ask for fewer worker_threads, or raise the system's limit on threads \
         or memory"
    );
    io::Error::new(error.kind(), what)
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("worker_threads", &self.worker_threads)
            .field("thread_name", &self.thread_name)
            .field("thread_stack_size", &self.thread_stack_size)
            .field("start_paused", &self.start_paused)
            .field("max_blocking_threads", &self.max_blocking_threads)
            .field("blocking_keep_alive", &self.blocking_keep_alive)
            .field("cpu_threads", &self.cpu_threads)
            .field("adaptive_offload", &self.adaptive_offload)
            .finish_non_exhaustive()
    }
}
