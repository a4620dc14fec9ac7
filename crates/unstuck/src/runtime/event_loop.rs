//! asyncio's event loop: one thread, everything in turn.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::pin;

use unstuck_core::{Cancelled, Canceller, Context, Failure, LocalLoop, Task};

use super::{EnterGuard, Handle, OnExit};
use crate::debug::serve::Served;
use crate::guard::alarm::alarmed;

/// A single-threaded loop, asyncio's `new_event_loop()`. It stays on its thread, and so runs futures that are not
/// [`Send`].
///
/// Everything takes its turn on one thread: a task that blocks or computes stalls all others. Use it to learn, to test
/// the order of things, or for futures that cannot leave their thread; for servers take [`Runtime`](crate::Runtime).
///
/// ```
/// use std::rc::Rc;
///
/// let event_loop = unstuck::EventLoop::new().unwrap();
/// let shared = Rc::new(20);
/// let answer = event_loop.run_until_complete(async {
///     let mine = shared.clone();
///     let task = unstuck::spawn_local(async move { *mine + 1 });
///     task.await.unwrap() * 2
/// });
/// assert_eq!(answer, 42);
/// event_loop.close();
/// ```
///
/// # Slow steps
/// In [debug mode](crate::debug) a step of 100 ms or more is reported on stderr, with the task, the place that spawned it
/// and what it is doing. [`Builder::slow_step`](crate::Builder::slow_step) and
/// [`Builder::on_stall`](crate::Builder::on_stall) change how long and where. Otherwise nobody watches, and there is no
/// second thread.
///
/// # How it ends
/// Unlike [`run_single`](crate::run_single), neither [`run_until_complete`](Self::run_until_complete) nor
/// [`close`](Self::close) lets pending tasks clean up: `close` drops them where they stand and tells the
/// [exception handler](crate::Builder::exception_handler), as asyncio does ("Task was destroyed but it is pending").
///
/// A closed loop cannot be run again, nor closed twice: `close` takes it away. Whoever still has a [`Handle`] gets tasks that
/// are refused, and calls that never come.
///
/// ```compile_fail
/// let event_loop = unstuck::EventLoop::new().unwrap();
/// event_loop.close();
/// event_loop.run_until_complete(async {});
/// ```
pub struct EventLoop {
    core: LocalLoop,
    handle: Handle,
    closed: bool,
    /// It may be looked at from outside.
    _inspected: Option<Served>,
}

impl EventLoop {
    pub(crate) fn from_parts(core: LocalLoop, handle: Handle, inspected: Option<Served>) -> Self {
        Self { core, handle, closed: false, _inspected: inspected }
    }

    /// A loop on this thread.
    ///
    /// # Errors
    /// In [debug mode](crate::debug), the system's error when the thread that watches for slow steps cannot be made.
    pub fn new() -> io::Result<Self> {
        crate::Runtime::builder().build_single()
    }

    /// Runs the loop until `future` is ready. Other tasks stay as they are, and go on when the loop runs again.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall, and when `future` does.
    #[track_caller]
    pub fn run_until_complete<F: Future>(&self, future: F) -> F::Output {
        let (_entered, place) = (self.handle.enter(), Location::caller());
        let future = pin!(future);
        let alarm = self.handle.stack().alarm.as_deref();
        Context::copy().run(|| self.core.block_on_from(place, alarmed(alarm, future)))
    }

    /// As [`run_until_complete`](Self::run_until_complete), in the context of the caller, which is at `place`; `canceller` can
    /// cancel the future.
    #[track_caller]
    pub(crate) fn run_main<F: Future>(
        &self,
        place: &'static Location<'static>,
        canceller: &Canceller,
        future: F,
    ) -> Result<F::Output, Cancelled> {
        let _entered = self.handle.enter();
        let future = pin!(future);
        let alarm = self.handle.stack().alarm.as_deref();
        self.core.block_on_with(place, canceller, alarmed(alarm, future))
    }

    /// Runs the loop until [`stop`](Self::stop) or [`Handle::stop`].
    ///
    /// # Panics
    /// Panics inside async code, which it would stall.
    #[track_caller]
    pub fn run_forever(&self) {
        let _entered = self.handle.enter();
        self.core.run_forever();
    }

    /// Ends [`run_forever`](Self::run_forever) after the present turn, now or when it is called next.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// Spawns a future that need not be `Send`.
    #[track_caller]
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> Task<F::Output> {
        self.core.spawn_local(future)
    }

    /// Reaches the loop from anywhere; what is spawned through it must be `Send`.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Makes free functions such as [`spawn`](crate::spawn) use this loop on this thread, until the guard is dropped.
    pub fn enter(&self) -> EnterGuard {
        self.handle.enter()
    }

    /// Runs `future`, then cancels what is left, waits for its end, and closes, or does what
    /// [`Builder::on_exit`](crate::Builder::on_exit) says: as [`run_single`](crate::run_single).
    ///
    /// # Panics
    /// Panics inside async code, and when `future` does.
    #[track_caller]
    pub fn run<F: Future>(self, future: F) -> F::Output {
        let value = self.run_until_complete(future);
        self.leave();
        value
    }

    /// The end of a run.
    pub(crate) fn leave(mut self) {
        match self.handle.stack().exit.on_exit {
            OnExit::Cancel => self.end(LocalLoop::shutdown),
            OnExit::Drain => {
                self.run_until_complete(self.handle.drained());
                self.end(LocalLoop::shutdown);
            }
            OnExit::Detach => return self.close(),
        }
        self.handle.stack().tell_of_stalls();
    }

    /// Closes the loop: pending tasks are dropped where they stand and reported. Work submitted later is refused with
    /// an error.
    pub fn close(self) {
        drop(self);
    }

    /// Counters and sizes at this moment.
    #[must_use]
    pub fn statistics(&self) -> unstuck_core::Statistics {
        self.core.statistics()
    }

    fn end(&mut self, how: fn(&LocalLoop)) {
        self.closed = true;
        let _entered = self.handle.enter();
        how(&self.core);
        self.handle.stack().shutdown_pools(None);
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        if !std::thread::panicking() {
            for task in self.handle.tasks() {
                self.handle.stack().failures.tell(&Failure::destroyed(task));
            }
        }
        self.end(LocalLoop::close);
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventLoop").field(&self.core).finish()
    }
}
