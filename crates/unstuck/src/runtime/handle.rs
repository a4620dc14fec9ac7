//! A runtime as seen from anywhere.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use unstuck_core::job::{Shutdown, ShutdownReport};
use unstuck_core::{Cancelled, Canceller, Context, Failure, JobHandle, Task, TaskRef};
use unstuck_time::Instant;

use super::Statistics;
use super::stack::{self, EnterGuard, Stack};
use crate::aio::call::{self, CallHandle};
use crate::debug::{Graph, TaskInfo};
use crate::guard::alarm::alarmed;

/// Reaches a runtime from anywhere: spawn there, offload, schedule calls.
///
/// Cheap to clone, and usable on every thread. It does not keep the runtime running: work submitted after its shutdown
/// is refused with an error.
///
/// ```
/// let runtime = unstuck::Runtime::new().unwrap();
/// let handle = runtime.handle();
/// let thread = std::thread::spawn(move || handle.block_on(handle.spawn(async { 42 })));
/// assert_eq!(thread.join().unwrap().unwrap(), 42);
/// ```
#[derive(Clone)]
pub struct Handle(Arc<Stack>);

impl Handle {
    pub(crate) fn new(stack: Arc<Stack>) -> Self {
        Self(stack)
    }

    pub(crate) fn downgrade(&self) -> Weak<Stack> {
        Arc::downgrade(&self.0)
    }

    pub(crate) fn stack(&self) -> &Stack {
        &self.0
    }

    /// The runtime of this thread: asyncio's `get_running_loop()`.
    ///
    /// # Panics
    /// Panics outside a runtime, like asyncio's does.
    #[track_caller]
    #[must_use]
    pub fn current() -> Handle {
        Self::try_current().expect(
            "no runtime on this thread: call Handle::current() inside unstuck::run(..), or hold a Runtime::enter() guard",
        )
    }

    /// The runtime of this thread, if there is one.
    #[must_use]
    pub fn try_current() -> Option<Handle> {
        stack::current()
    }

    /// Counters and sizes at this moment: what a server tells its dashboard, see [`Runtime::statistics`](crate::Runtime::statistics).
    ///
    /// Of a single-threaded loop, another thread than its own sees only how many tasks there are.
    ///
    /// ```
    /// #[unstuck::main]
    /// async fn main() {
    ///     let statistics = unstuck::Handle::current().statistics();
    ///     assert_eq!((statistics.tasks.stalls, statistics.tasks.rescues), (0, 0));
    /// }
    /// ```
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            tasks: self.0.core.statistics(),
            blocking: self.0.blocking.statistics(),
            cpu: self.0.cpu.statistics(),
            timers: self.0.time.statistics(),
        }
    }

    /// Spawns `future` as a task there. See [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.core.spawn(future)
    }

    #[track_caller]
    pub(crate) fn spawn_named<F>(&self, name: Option<Arc<str>>, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.core.spawn_named(name, future)
    }

    /// Runs `future` to its end on this thread, while its tasks run on the runtime's workers.
    ///
    /// A single-threaded loop runs nothing while nobody runs it: a future that waits for one of its tasks waits until
    /// [`EventLoop::run_until_complete`](crate::EventLoop::run_until_complete) does.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall: `.await` the future instead. With [`StallPolicy::Panic`](crate::StallPolicy::Panic),
    /// when a poll does not come back.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        unstuck_core::refuse_inside("block_on"); // here: the panic names our caller's line, and in the closure its own
        let (_entered, place) = (self.enter(), Location::caller());
        let future = pin!(future);
        Context::copy().run(|| self.0.core.block_on_from(place, alarmed(self.0.alarm.as_deref(), future)))
    }

    /// As [`block_on`](Self::block_on), and `canceller` can cancel the future from anywhere: a frame in it (see
    /// [`catch_cancel`](crate::catch_cancel)) may catch that and clean up; otherwise it is dropped where it stands.
    ///
    /// # Errors
    /// [`Cancelled`](crate::Cancelled) when it was cancelled and gave no value.
    ///
    /// # Panics
    /// As [`block_on`](Self::block_on).
    #[track_caller]
    pub fn block_on_with<F: Future>(&self, canceller: &Canceller, future: F) -> Result<F::Output, Cancelled> {
        let place = Location::caller(); // here: a closure would be its own caller
        Context::copy().run(|| self.run_main(place, canceller, future))
    }

    /// The same in the very context of the caller, which is at `place`.
    #[track_caller]
    pub(crate) fn run_main<F: Future>(
        &self,
        place: &'static Location<'static>,
        canceller: &Canceller,
        future: F,
    ) -> Result<F::Output, Cancelled> {
        let _entered = self.enter();
        let future = pin!(future);
        self.0.core.block_on_with(place, canceller, alarmed(self.0.alarm.as_deref(), future))
    }

    /// Ready when no task is left, whoever spawned it.
    pub(crate) async fn drained(&self) {
        self.0.core.drained().await;
    }

    /// Runs a call that waits on a thread of the blocking pool. See [`to_thread`](crate::to_thread).
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, f: F) -> JobHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        crate::offload::blocking_from(Location::caller(), self, f)
    }

    /// Runs a call that computes on the CPU pool. See [`cpu`](crate::cpu()).
    #[track_caller]
    pub fn cpu<F, T>(&self, f: F) -> JobHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        crate::offload::cpu_from(Location::caller(), self, f)
    }

    /// Ends the pool behind [`to_thread`](crate::to_thread): asyncio's `loop.shutdown_default_executor(timeout)`.
    ///
    /// From now on calls are refused, those of [`fs`](crate::fs) and [`net`](crate::net) too. Queued and running ones end,
    /// and are waited for, but no longer than `limit`: then a warning on stderr names those that still run, and the report
    /// does. They go on.
    ///
    /// # Cancellation
    /// Dropping it ends the wait. The pool stays closed.
    ///
    /// # Panics
    /// Panics outside a runtime.
    pub async fn shutdown_default_executor(&self, limit: Duration) -> ShutdownReport {
        let begun = self.now();
        // Relaxed: a switch. From now on no call stays on its worker; the pool refuses it.
        self.0.adaptive.store(false, Ordering::Relaxed);
        loop {
            let mut report = self.0.blocking.shutdown_with(Shutdown::detach());
            report.running.extend(self.0.desks.running());
            let left = limit.saturating_sub(self.now().duration_since(begun));
            let report = report.with_tasks(self.0.core.calls() == 0, Vec::new());
            if report.is_complete() {
                return report;
            }
            if left.is_zero() {
                eprintln!("unstuck: the default executor has not ended within {limit:?}: {report}");
                return report;
            }
            crate::sleep(left.min(Duration::from_millis(1))).await;
        }
    }

    /// Calls `f` at the runtime's next turn: asyncio's `call_soon`. From any thread.
    #[track_caller]
    pub fn call_soon(&self, f: impl FnOnce() + Send + 'static) -> CallHandle {
        call::soon(self, f)
    }

    /// Calls `f` after `delay`: asyncio's `call_later`. From any thread.
    #[track_caller]
    pub fn call_later(&self, delay: Duration, f: impl FnOnce() + Send + 'static) -> CallHandle {
        call::at(self, self.now() + delay, f)
    }

    /// Calls `f` at `when`, at once if that has passed: asyncio's `call_at`. From any thread.
    #[track_caller]
    pub fn call_at(&self, when: Instant, f: impl FnOnce() + Send + 'static) -> CallHandle {
        call::at(self, when, f)
    }

    /// Ends [`EventLoop::run_forever`](crate::EventLoop::run_forever) after the loop's present turn. Does nothing to a
    /// multi-threaded runtime.
    pub fn stop(&self) {
        if let Some(stopper) = &self.0.stopper {
            stopper.stop();
        }
    }

    /// From now on `f` is told of each [`Failure`] that nobody would see otherwise: asyncio's
    /// `loop.set_exception_handler`. See [`Builder::exception_handler`](crate::Builder::exception_handler).
    pub fn set_exception_handler(&self, f: impl Fn(&Failure) + Send + Sync + 'static) {
        self.0.failures.set(Arc::new(f));
    }

    /// The runtime's clock: the time that timers use, virtual when paused.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.time.now()
    }

    /// The time since the runtime was made: asyncio's `loop.time()`.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.now().duration_since(self.0.started)
    }

    /// Moves a [paused](crate::Builder::start_paused) clock on by `time`.
    ///
    /// # Panics
    /// Panics when the clock is real.
    #[track_caller]
    pub fn advance(&self, time: Duration) {
        self.0.time.clock().advance(time);
    }

    /// Every unfinished task of the runtime: asyncio's `all_tasks`.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskRef> {
        self.0.core.tasks()
    }

    /// The unfinished task with this number.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<TaskRef> {
        self.0.core.find(id)
    }

    /// What is known of every unfinished task, and of the futures that are being run outside of tasks (`run` and
    /// `block_on` were given them). From any thread, also while every worker is stuck.
    #[must_use]
    pub fn inspect(&self) -> Vec<TaskInfo> {
        self.0.core.inspect(self.now().on_time_line())
    }

    /// Is this runtime in [debug mode](crate::debug)? asyncio's `loop.get_debug()`.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.0.debugs()
    }

    /// Switches [debug mode](crate::debug) on or off: asyncio's `loop.set_debug()`.
    ///
    /// From then on coroutines that were never awaited are reported, or not. Where stall reports go, and whether a
    /// single-threaded loop is watched for slow steps, was decided when the runtime was built
    /// ([`Builder::debug`](crate::Builder::debug)).
    pub fn set_debug(&self, on: bool) {
        self.0.set_debug(on);
    }

    /// Who awaits whom at this moment. See [`debug::graph`](crate::debug::graph).
    #[must_use]
    pub fn graph(&self) -> Graph {
        Graph::of(self.inspect())
    }

    /// Makes free functions such as [`spawn`](crate::spawn) and [`sleep`](crate::sleep) use this runtime on this
    /// thread, until the guard is dropped.
    pub fn enter(&self) -> EnterGuard {
        EnterGuard::new(self, None)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.core).finish()
    }
}
