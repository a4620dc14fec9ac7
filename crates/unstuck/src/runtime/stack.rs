//! The one place that puts the petals together: what a runtime consists of, and how a thread enters it.
//!
//! ```text
//!   timers (unstuck-time) ── wrap ──► thread driver (core): where the workers sleep
//!   blocking pool, CPU pool: their threads enter the runtime too, so that a job may spawn
//! ```

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, OnceLock, Weak};
// Not `unstuck_core::sync`: a switch that nobody waits for.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use unstuck_blocking::{Shutdown, ShutdownReport, ThreadPool};
use unstuck_core::driver::ThreadDriver;
use unstuck_core::job::Options;
use unstuck_cpu::CpuPool;
use unstuck_time::{Clock, Instant, TimeDriver, TimeHandle};

use super::builder::Builder;
use super::failures::Failures;
use super::handle::Handle;
use super::on_exit::Exit;
use crate::aio::call::overdue::Overdue;
use crate::guard::alarm::Alarm;
use crate::offload::desks::Desks;

/// Everything that belongs to one runtime, whoever runs its tasks.
pub(crate) struct Stack {
    pub(crate) core: unstuck_core::Handle,
    pub(crate) time: TimeHandle,
    pub(crate) blocking: ThreadPool,
    pub(crate) cpu: CpuPool,
    pub(crate) started: Instant,
    pub(crate) stopper: Option<unstuck_core::Stopper>,
    /// Short calls of `to_thread` run on the worker that makes them (offload/adaptive.rs).
    pub(crate) adaptive: AtomicBool,
    /// Those that run now.
    pub(crate) desks: Desks,
    pub(crate) failures: Failures,
    /// Rings for a stall, if the runtime shall panic then.
    pub(crate) alarm: Option<Arc<Alarm>>,
    /// Calls whose time had passed when they were asked for.
    pub(crate) overdue: Overdue,
    pub(crate) exit: Exit,
    /// Debug mode.
    pub(crate) debug: AtomicBool,
}

/// Threads for calls of the runtime's own (names, files) when users' calls fill the pool. A resolver that does not answer
/// holds one for seconds, so one would not do; more than a handful at once want the general room anyway.
const RESERVED: usize = 4;

/// The driver at the bottom and the timers around it.
pub(crate) fn driver(builder: &Builder) -> TimeDriver<ThreadDriver> {
    let clock = if builder.start_paused { Clock::paused() } else { Clock::real() };
    TimeDriver::new(ThreadDriver::new(), clock, builder.worker_threads)
}

impl Stack {
    /// Puts the rest around what runs the tasks.
    pub(crate) fn assemble(
        builder: &Builder,
        core: unstuck_core::Handle,
        time: TimeHandle,
        stopper: Option<unstuck_core::Stopper>,
        failures: Failures,
    ) -> io::Result<Handle> {
        // The pool's threads enter the runtime, which owns the pool: a weak reference breaks the circle.
        let myself: Arc<OnceLock<Weak<Stack>>> = Arc::default();
        let enters = || {
            let around = myself.clone();
            move |body: &mut dyn FnMut()| {
                let stack = around.get().and_then(Weak::upgrade);
                let _entered = stack.map(|stack| Handle::new(stack).enter());
                body();
            }
        };
        let mut blocking = ThreadPool::builder()
            .name(format!("{}-blocking", builder.thread_name))
            .around(enters())
            .reserved(RESERVED)
            .on_drop(Shutdown::within(Duration::ZERO));
        let mut cpu = CpuPool::builder()
            .name(format!("{}-cpu", builder.thread_name))
            .low_priority(builder.cpu_low_priority)
            .around(enters())
            .on_drop(Shutdown::within(Duration::ZERO));
        if builder.cpu_budget {
            let workers = core.clone();
            cpu = cpu.share_cpus(move || workers.busy_workers());
        }
        if let Some(threads) = builder.max_blocking_threads {
            blocking = blocking.max_threads(threads);
        }
        if let Some(keep_alive) = builder.blocking_keep_alive {
            blocking = blocking.keep_alive(keep_alive);
        }
        if let Some((bound, overflow)) = builder.blocking_queue {
            blocking = blocking.queue(bound, overflow);
        }
        if let Some(bytes) = builder.thread_stack_size {
            blocking = blocking.stack_size(bytes);
            cpu = cpu.stack_size(bytes);
        }
        if let Some(threads) = builder.cpu_threads {
            cpu = cpu.threads(threads);
        }
        let stack = Arc::new(Stack {
            core,
            started: time.now(),
            time,
            blocking: blocking.build()?,
            cpu: cpu.build_lazy()?,
            adaptive: AtomicBool::new(builder.is_adaptive() && stopper.is_none()),
            desks: Desks::default(),
            stopper,
            alarm: builder.alarm.clone(),
            failures,
            overdue: Overdue::default(),
            exit: builder.exit,
            debug: AtomicBool::new(builder.is_debug()),
        });
        let _ = myself.set(Arc::downgrade(&stack));
        Ok(Handle::new(stack))
    }

    /// While a job is on its way a paused clock must not jump: the job holds it until its awaiter has been woken.
    pub(crate) fn held(&self, options: Options) -> Options {
        let clock = self.time.clock();
        if clock.is_paused() { options.keep(Arc::new(clock.hold())) } else { options }
    }

    pub(crate) fn debugs(&self) -> bool {
        self.debug.load(Ordering::Relaxed) // a switch: a report a moment early or late harms nobody
    }

    pub(crate) fn set_debug(&self, on: bool) {
        self.debug.store(on, Ordering::Relaxed); // as above
    }

    /// Panics with a stall's report that nobody has been told of, if the runtime shall.
    #[track_caller]
    pub(crate) fn tell_of_stalls(&self) {
        if let Some(alarm) = &self.alarm {
            alarm.tell();
        }
    }

    /// Ends the pools: what is queued is cancelled, what runs is waited for, at most `limit`.
    pub(crate) fn shutdown_pools(&self, limit: Option<Duration>) -> ShutdownReport {
        let begun = std::time::Instant::now();
        let how = || match limit {
            None => Shutdown::wait().cancel_pending(true),
            Some(limit) => Shutdown::within(limit.saturating_sub(begun.elapsed())),
        };
        // Closed before the other one is waited for: nothing queued shall begin meanwhile.
        let closed = self.cpu.shutdown_with(Shutdown::within(Duration::ZERO));
        let mut blocking = self.blocking.shutdown_with(how());
        let cpu = self.cpu.shutdown_with(how());
        blocking.running.extend(cpu.running);
        blocking.running.extend(self.desks.running());
        let cancelled = closed.cancelled + blocking.cancelled + cpu.cancelled;
        ShutdownReport::new(blocking.running, cancelled, blocking.threads + cpu.threads)
    }
}

thread_local! {
    /// The runtime that this thread has entered.
    static CURRENT: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

/// The runtime that this thread has entered.
pub(crate) fn current() -> Option<Handle> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Gives `f` the runtime of this thread without counting a reference.
pub(crate) fn with_current<R>(f: impl FnOnce(Option<&Handle>) -> R) -> R {
    CURRENT.with(|current| f(current.borrow().as_ref()))
}

/// Is the runtime that this thread has entered in debug mode? None if there is no such runtime.
pub(crate) fn debugs() -> Option<bool> {
    // Destructors ask, also at the end of a thread.
    let asked = CURRENT.try_with(|current| current.borrow().as_ref().map(|handle| handle.stack().debugs()));
    asked.ok().flatten()
}

/// Makes a runtime this thread's own, as long as it lives.
#[derive(Debug)]
#[must_use = "the runtime is left when the guard is dropped"]
pub struct EnterGuard {
    previous: Option<Handle>,
    _time: unstuck_time::EnterGuard,
    _core: unstuck_core::EnterGuard,
}

impl EnterGuard {
    /// Enters; `worker` is the number of the worker that this thread is.
    pub(crate) fn new(handle: &Handle, worker: Option<usize>) -> Self {
        let previous = CURRENT.with(|current| current.replace(Some(handle.clone())));
        let time = &handle.stack().time;
        Self {
            previous,
            _time: match worker {
                Some(worker) => unstuck_time::context::enter(time, worker),
                None => time.enter(),
            },
            _core: handle.stack().core.enter(),
        }
    }
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        let previous = self.previous.take();
        // A guard kept in a thread-local may outlive ours. What is replaced is dropped outside of the borrow.
        let _gone = CURRENT.try_with(|current| current.replace(previous));
    }
}
