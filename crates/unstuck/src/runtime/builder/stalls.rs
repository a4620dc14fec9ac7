//! What a builder says of polls that do not come back, and who is told of them.

use std::sync::Arc;
use std::time::Duration;

use unstuck_core::guard::{GuardConfig, Sink, StallPolicy, StallReport};

use super::Builder;
use crate::debug::serve;

impl Builder {
    /// What happens when a poll does not come back: [`StallPolicy::Rescue`] unless set.
    ///
    /// A single-threaded loop is watched when this is set to anything but [`Off`](StallPolicy::Off), when
    /// [`on_stall`](Self::on_stall) is set, and in [debug mode](crate::debug). It cannot be rescued: its
    /// [slow steps](Self::slow_step) are only reported.
    ///
    /// With [`Panic`](StallPolicy::Panic) the caller of `block_on` or `run` panics with the report, while the poll is still stuck:
    /// for tests, as `#[unstuck::test(no_stalls)]`, which also watches the main future.
    ///
    /// On a [paused](Self::start_paused) clock the guard is off: it measures real time.
    #[must_use]
    pub fn stall_guard(mut self, policy: StallPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// How long one step of a *single-threaded loop* may take before it is reported, if the loop is
    /// [watched](Self::stall_guard): asyncio's `slow_callback_duration`. 100 ms unless set.
    ///
    /// The report comes while the step lasts, late by up to a tenth of this (and by a millisecond at least): a step that
    /// ends within that time may go unreported, and one that was quicker never is.
    #[must_use]
    pub fn slow_step(mut self, time: Duration) -> Self {
        self.slow_step = time.max(Duration::from_millis(1));
        self
    }

    /// How long a poll may block before what waits behind it is served by another thread; a poll that computes may take
    /// half as long again. 5 ms unless set, 1 ms at least.
    #[must_use]
    pub fn stall_threshold(mut self, time: Duration) -> Self {
        self.guard.threshold = time.max(Duration::from_millis(1));
        self
    }

    /// The most threads that the guard may add for workers that are stuck. Four per worker, at most 64, unless set.
    #[must_use]
    pub fn max_rescue_threads(mut self, count: usize) -> Self {
        self.guard.max_rescue = Some(count);
        self
    }

    /// How long a thread that the guard added stays when it is not needed any more. 10 s unless set.
    #[must_use]
    pub fn rescue_keep_alive(mut self, time: Duration) -> Self {
        self.guard.keep_alive = time;
        self
    }

    /// Whether a report shows where the stuck thread is: true unless set, and the feature `backtrace` (on by default)
    /// brings it.
    ///
    /// The thread is asked by one signal for each stall that is reported, SIGURG, and only if the program has no handler of its own
    /// for that. The signal is not seen by most calls; but `poll`, `epoll_wait`, `nanosleep` and some others give `EINTR`. std's
    /// functions try again then, as all code should. If some C library of yours does not, switch this off: reports still name
    /// the task, its place and the system call. Linux on x86-64 and aarch64 only; elsewhere the report says so.
    #[must_use]
    pub fn stall_backtrace(mut self, on: bool) -> Self {
        self.guard.backtrace = on;
        self
    }

    /// Called with each [report](StallReport) of a stall, on a thread of its own: at 10 ms, 40 ms, 160 ms … of a stall
    /// (on a single-threaded loop at 1, 4, 16 … times [`slow_step`](Self::slow_step)), and no more than 30 a minute. A panic in it is said on stderr and survived.
    ///
    /// Unless set, reports go to stderr in [debug mode](crate::debug) and are only counted otherwise.
    #[must_use]
    pub fn on_stall(mut self, f: impl Fn(&StallReport) + Send + Sync + 'static) -> Self {
        self.guard.on_stall = Some(Arc::new(f));
        self
    }

    /// Switches [debug mode](crate::debug) on or off for this runtime: asyncio's `loop.set_debug()`. Unless set,
    /// `UNSTUCK_DEBUG` in the environment decides.
    #[must_use]
    pub fn debug(mut self, on: bool) -> Self {
        self.debug = Some(on);
        self
    }

    pub(super) fn guard(&self) -> GuardConfig {
        let policy = self.policy.unwrap_or(StallPolicy::Rescue);
        GuardConfig {
            policy: if self.start_paused { StallPolicy::Off } else { policy },
            on_stall: self.sink(),
            ..self.guard.clone()
        }
    }

    /// Is it wanted, and is there a net under it? (In a single-threaded loop there never is; the stack knows that.)
    pub(in crate::runtime) fn is_adaptive(&self) -> bool {
        let guard = self.guard();
        self.adaptive_offload && guard.policy == StallPolicy::Rescue && guard.max_rescue != Some(0)
    }

    pub(super) fn set_alarm(&mut self) {
        let wanted = self.policy == Some(StallPolicy::Panic) && !self.start_paused;
        self.alarm = wanted.then(Arc::default);
    }

    /// Does anybody want to know of slow steps of a single-threaded loop?
    pub(super) fn watches_steps(&self) -> bool {
        let wanted = match self.policy {
            Some(policy) => policy != StallPolicy::Off,
            None => self.guard.on_stall.is_some() || self.is_debug() || self.is_inspected(),
        };
        wanted && !self.start_paused
    }

    /// What the program says beats the environment, which beats "off".
    pub(in crate::runtime) fn is_debug(&self) -> bool {
        self.debug.unwrap_or_else(crate::debug::in_environment)
    }

    /// Where reports go.
    fn sink(&self) -> Option<Sink> {
        let told = self.guard.on_stall.clone();
        let told = told.or_else(|| self.is_debug().then(unstuck_core::guard::to_stderr));
        let told = told.or_else(crate::guard::events::default_sink);
        let told = self.alarm.as_ref().map(|alarm| alarm.sink(told.clone())).or(told);
        if self.is_inspected() { Some(serve::remembering(told)) } else { told }
    }
}
