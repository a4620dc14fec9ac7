//! A runtime of ten lines: one thread, one driver.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use unstuck_core::driver::{Driver, Park, ThreadDriver};
use unstuck_time::{Clock, EnterGuard, TimeDriver, TimeHandle};

/// What a scheduler says when every task waits and every worker sleeps.
pub(crate) const QUIESCENT: Park = Park { limit: None, quiescent: true };

/// A driver, entered on this thread.
pub(crate) struct Rig {
    pub(crate) driver: TimeDriver<ThreadDriver>,
    pub(crate) time: TimeHandle,
    pub(crate) clock: Clock,
    _entered: EnterGuard,
}

impl Rig {
    pub(crate) fn new(clock: Clock) -> Self {
        let driver = TimeDriver::new(ThreadDriver::new(), clock.clone(), 4);
        let time = driver.handle();
        let entered = unstuck_time::context::enter(&time, 0);
        Self { driver, time, clock, _entered: entered }
    }

    pub(crate) fn paused() -> Self {
        Self::new(Clock::paused())
    }

    pub(crate) fn real() -> Self {
        Self::new(Clock::real())
    }

    /// Runs one future to its end; quiescent whenever nobody woke it.
    pub(crate) fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        let wakes = Count::new();
        let waker = wakes.waker();
        loop {
            let before = wakes.get();
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return value;
            }
            while wakes.get() == before {
                self.driver.park(QUIESCENT);
            }
        }
    }

    pub(crate) fn armed(&self) -> usize {
        self.time.statistics().armed
    }
}

/// Counts its wakes.
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0)))
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(self.clone())
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Calls a closure when woken.
pub(crate) struct OnWake<F>(pub(crate) F);

impl<F: Fn() + Send + Sync + 'static> OnWake<F> {
    pub(crate) fn waker(f: F) -> Waker {
        Waker::from(Arc::new(Self(f)))
    }
}

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// Polls once with the given waker.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls once with a waker that does nothing.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}
