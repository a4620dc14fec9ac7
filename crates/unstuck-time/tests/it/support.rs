//! Runtimes of ten lines: one thread, one driver; and the core's loop around such a driver.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use unstuck_core::LocalLoop;
use unstuck_core::driver::{Driver, Park, ThreadDriver};
use unstuck_time::{Clock, EnterGuard, Sleep, TimeDriver, TimeHandle};

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

/// A single-threaded loop with timers.
pub(crate) struct Loop {
    pub(crate) event_loop: LocalLoop,
    pub(crate) time: TimeHandle,
    _entered: EnterGuard,
}

impl Loop {
    pub(crate) fn new(clock: Clock) -> Self {
        let driver = TimeDriver::new(ThreadDriver::new(), clock, 1);
        let time = driver.handle();
        let entered = unstuck_time::context::enter(&time, 0);
        Self { event_loop: LocalLoop::new(Box::new(driver)), time, _entered: entered }
    }

    pub(crate) fn paused() -> Self {
        Self::new(Clock::paused())
    }

    /// Calls `step` in a poll, with the waker of that poll.
    pub(crate) fn in_a_poll<R>(&self, step: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let mut step = Some(step);
        self.event_loop.block_on(poll_fn(|cx| Poll::Ready(step.take().map(|step| step(cx)).unwrap())))
    }

    /// How many timers hang in the wheel: what another thread can see.
    pub(crate) fn hung(&self) -> usize {
        let time = self.time.clone();
        elsewhere(move || time.statistics().armed)
    }
}

/// Polls a sleep that is not over, with the waker of the present poll.
pub(crate) fn arm(sleep: &mut Sleep, cx: &mut Context<'_>) {
    assert!(Pin::new(sleep).poll(cx).is_pending());
}

/// Ends the poll that is going on; the next one follows at once.
pub(crate) async fn end_the_poll() {
    let mut ended = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut ended, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Calls `f` on another thread.
pub(crate) fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(f).join().unwrap())
}
