//! The stall guard: notices a poll that does not come back, rescues what waits behind it, and says who it was.
//!
//! The README in this folder tells the promise, the protocol, the races and the cost.

mod beat;
mod budget;
mod checkpoint;
mod duty;
mod lookout;
#[cfg(all(test, unstuck_loom))]
mod models;
mod monitor;
mod probe;
mod report;
mod special;
mod stack;
#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) use beat::{Beat, Sight};
pub(crate) use duty::Duty;
pub(crate) use lookout::{NO_TASK, Told};
pub(crate) use monitor::{AskForStack, LookAtCrowd, Monitor, Place, Replacement, Watched};
pub(crate) use probe::{Look, ThreadProbe};

pub use budget::{Budgeted, budgeted, proceed};
pub use checkpoint::{Checkpoint, checkpoint};
#[doc(hidden)]
pub use lookout::Lookout;
pub use probe::{Call, Class};
pub use report::{Action, Behind, Helper, Reason, StallReport};
pub(crate) use special::{is_anybody_special, somebody_is_special};
pub use stack::Backtrace;
pub(crate) use stack::{Address, Asked};

use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use crate::sync::thread;

/// What the guard does about a poll that does not come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallPolicy {
    /// Nothing: no monitor, no reports.
    Off,
    /// Reports it, and leaves what waits behind it alone.
    Report,
    /// Reports it, and lets another thread serve what waits behind it.
    #[default]
    Rescue,
    /// As `Rescue`, and the program that waits in `block_on` or `run` panics with the report: for tests, and for programs in
    /// which a poll that blocks is a bug to be found at once.
    ///
    /// Who waits is told while the poll is still stuck, so a poll that never comes back fails a test instead of hanging it.
    /// A poll that waits for a CPU is not meant.
    Panic,
}

impl StallPolicy {
    /// Does somebody else work for a poll that is stuck?
    pub(crate) fn rescues(self) -> bool {
        matches!(self, Self::Rescue | Self::Panic)
    }
}

/// Where reports go: called on a thread of its own, one report after the other.
pub type Sink = Arc<dyn Fn(&StallReport) + Send + Sync>;

/// Writes reports to stderr.
pub fn to_stderr() -> Sink {
    report::to_stderr()
}

/// How the guard is set up.
#[derive(Clone)]
pub struct GuardConfig {
    /// What to do about a stall.
    pub policy: StallPolicy,
    /// A poll that blocks for longer than this is rescued; one that computes, half as long again. At least 1 ms.
    pub threshold: Duration,
    /// A stall that lasts this long is reported, and again at 4, 16, 64 … times this.
    pub report_after: Duration,
    /// The most workers that may be added for blocked ones. `None` is 4 for each worker, at most 64.
    pub max_rescue: Option<usize>,
    /// How long an added worker stays when it is not needed any more.
    pub keep_alive: Duration,
    /// Whether a stuck thread is asked for its backtrace, by a signal.
    pub backtrace: bool,
    /// Told of each report; it runs on a thread of its own.
    pub on_stall: Option<Sink>,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            policy: StallPolicy::Off,
            threshold: Duration::from_millis(5),
            report_after: Duration::from_millis(10),
            max_rescue: None,
            keep_alive: Duration::from_secs(10),
            backtrace: true,
            on_stall: None,
        }
    }
}

impl GuardConfig {
    /// Workers that may be added beside `workers`.
    pub(crate) fn spare_seats(&self, workers: usize) -> usize {
        if self.policy.rescues() { self.max_rescue.unwrap_or_else(|| (4 * workers).min(64)) } else { 0 }
    }
}

impl fmt::Debug for GuardConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardConfig")
            .field("policy", &self.policy)
            .field("threshold", &self.threshold)
            .field("report_after", &self.report_after)
            .field("max_rescue", &self.max_rescue)
            .field("keep_alive", &self.keep_alive)
            .field("backtrace", &self.backtrace)
            .finish_non_exhaustive()
    }
}

/// How often at the most, until the monitor's next refill (10 ms), somebody may be woken to look after a slot. Each costs the
/// waker a few µs and the woken one's core about 60 µs, mostly for nothing.
const PERMISSIONS: u32 = 8;

/// What workers and monitor share.
pub(crate) struct Guard {
    monitor: OnceLock<thread::Thread>,
    /// The monitor sleeps, because all workers did.
    asleep: AtomicBool,
    /// A push into an empty slot may wake somebody: a few times per refill, because it is mostly for nothing.
    eager: AtomicU32,
    /// How often the monitor has ticked: busy workers that have no clock see that time passes.
    ticks: AtomicU32,
    pub(crate) stalls: AtomicU64,
    pub(crate) rescues: AtomicU64,
    pub(crate) moved: AtomicU64,
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self {
            monitor: OnceLock::new(),
            asleep: AtomicBool::new(false),
            eager: AtomicU32::new(PERMISSIONS),
            ticks: AtomicU32::new(0),
            stalls: AtomicU64::new(0),
            rescues: AtomicU64::new(0),
            moved: AtomicU64::new(0),
        }
    }

    /// A worker has woken up: the monitor must not sleep on. Called after the worker was counted awake.
    #[inline]
    pub(crate) fn worker_woke(&self) {
        fence(Ordering::SeqCst); // pairs with the fence in `fall_asleep`
        if self.asleep.load(Ordering::Relaxed) {
            self.wake_monitor();
        }
    }

    /// The scheduler is over: ends the monitor's sleep or tick, however long that was to be.
    #[cold]
    pub(crate) fn end(&self) {
        // Pairs with the fence in `fall_asleep`: either the monitor sees there that all is over, or it has said that it
        // sleeps before this, and what follows ends that. Without it the monitor's word could come last, and stand.
        fence(Ordering::SeqCst);
        self.asleep.store(false, Ordering::Relaxed); // ordered by the fence; the token ends the park
        if let Some(monitor) = self.monitor.get() {
            monitor.unpark();
        }
    }

    /// Ends the monitor's sleep.
    #[cold]
    fn wake_monitor(&self) {
        // Relaxed: the swap only saves later wakers the system call.
        if self.asleep.swap(false, Ordering::Relaxed) {
            if let Some(monitor) = self.monitor.get() {
                monitor.unpark();
            }
        }
    }

    /// The monitor sleeps until a worker wakes, or for about `limit`. `all_asleep` looks at the workers once more. True
    /// if a worker is awake.
    fn fall_asleep(&self, limit: Option<Duration>, all_asleep: impl FnOnce() -> bool) -> bool {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst); // pairs with the fence in `worker_woke`: one of the two sees the other
        if !all_asleep() {
            self.asleep.store(false, Ordering::Relaxed); // the monitor's own, while it is awake
            return true;
        }
        match limit {
            Some(limit) => thread::park_timeout(limit), // may end early: so be it
            None => {
                while self.asleep.load(Ordering::Relaxed) {
                    thread::park();
                }
            }
        }
        !self.asleep.swap(false, Ordering::Relaxed) // as above
    }

    /// How often the monitor has ticked so far; it does so as long as somebody is awake.
    #[inline]
    pub(crate) fn ticks(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed) // a hint, no data
    }

    /// The monitor ticks; for which time?
    fn tick(&self) -> u32 {
        let ticks = self.ticks().wrapping_add(1);
        self.ticks.store(ticks, Ordering::Relaxed); // only the monitor writes it
        ticks
    }

    /// A task lies in a slot that was empty. May somebody be woken to look after it?
    #[inline]
    pub(crate) fn may_wake_for_slot(&self) -> bool {
        self.eager.load(Ordering::Relaxed) > 0 // a permission, not a signal
    }

    /// Uses the permission up; true for the one that got it.
    #[cold]
    pub(crate) fn use_permission(&self) -> bool {
        self.eager.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() // as above
    }

    /// The monitor gives new permissions after it gave `last`, and says how many.
    ///
    /// Where all were used up, pushes come so often that most of them find no permission anyway: half as many do as well, and
    /// waking somebody eight times in ten milliseconds was 1 % of a bench that spawns. Where some are left, twice as many.
    fn refill(&self, last: u32) -> u32 {
        let used_up = self.eager.load(Ordering::Relaxed) == 0; // as above
        let next = if used_up { (last / 2).max(1) } else { (2 * last).min(PERMISSIONS) };
        self.permit(next);
        next
    }

    /// So many permissions, whatever was left.
    fn permit(&self, count: u32) {
        self.eager.store(count, Ordering::Relaxed); // as above
    }
}
