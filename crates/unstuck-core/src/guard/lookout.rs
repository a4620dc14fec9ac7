//! Watches one thread in whose place nobody can work: the single-threaded loop's, or that of a test's main future.
//!
//! The same heartbeat and the same monitor as for workers, with one seat and nothing to rescue: the futures cannot move,
//! so all it can do is say who holds them up, while it lasts. This is asyncio's debug mode, which logs a step of 100 ms
//! or more after it is over.
//!
//! The monitor ticks ten times while a poll may last, so a poll is reported when it has taken between ten and eleven
//! tenths of that: none that was quicker, and each that was slower by more than a tick.

#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests;

use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Address, AskForStack, Asked, Beat, Behind, Class, Guard, GuardConfig, Look, LookAtCrowd, Monitor, Place,
    Reason, Replacement, Sight, StallPolicy, StallReport, ThreadProbe, Watched, is_anybody_special,
};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread;
use crate::task::TaskId;

/// Ticks of the monitor while a poll may last.
const TICKS: u32 = 10;

/// What is known of a task beside what its thread tells.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) name: Option<Arc<str>>,
    /// How long a step may take, if that was set for this very task.
    pub(crate) slow_step: Option<Duration>,
    pub(crate) behind: Behind,
}

/// Tells of the task with this number, or of a future that is none.
pub(crate) type Tell = Box<dyn Fn(Option<u64>) -> Told + Send + Sync>;

/// The number that stands for a future that is no task.
pub(crate) const NO_TASK: u64 = 0;

/// Watches the polls of the thread that made it, until it is dropped.
pub struct Lookout {
    seen: Arc<Seen>,
    /// Makes a lookout stay on its thread, too.
    _asked: Asked,
    monitor: Option<thread::JoinHandle<()>>,
}

/// What the monitor sees.
struct Seen {
    beat: Beat,
    guard: Guard,
    over: AtomicBool,
    probe: Option<ThreadProbe>,
    address: Address,
    thread: String,
    helpless: Reason,
    tell: Tell,
}

impl Lookout {
    /// Reports polls that take longer than `config`'s threshold, for threads where nothing waits behind a poll.
    ///
    /// # Errors
    /// The system's, when the monitor's thread cannot be made.
    pub fn new(name: &str, config: &GuardConfig) -> io::Result<Self> {
        let tell = Box::new(|_| Told::default());
        Self::telling(name, config, Reason::NothingWaited, tell)
    }

    /// As `new`; says why nobody can help, and what `tell` knows.
    pub(crate) fn telling(
        name: &str,
        config: &GuardConfig,
        helpless: Reason,
        tell: Tell,
    ) -> io::Result<Self> {
        let asked = Asked::from_now_on(config.backtrace);
        let seen = Arc::new(Seen {
            beat: Beat::new(),
            guard: Guard::new(),
            over: AtomicBool::new(false),
            probe: ThreadProbe::of_this_thread(),
            address: asked.address(),
            thread: thread::current().name().unwrap_or(name).to_owned(),
            helpless,
            tell,
        });
        let slow = config.threshold;
        let config = GuardConfig { policy: StallPolicy::Report, report_after: slow, ..config.clone() };
        let monitor = Monitor::ticking(slow / TICKS, seen.clone(), config, name);
        let thread = thread::Builder::new().name(format!("{name}-guard")).spawn(move || monitor.run())?;
        Ok(Self { seen, _asked: asked, monitor: Some(thread) })
    }

    /// Calls `poll`, which polls the task with this number.
    #[inline(never)] // a backtrace ends here
    pub(crate) fn around<R>(&self, task: u64, place: Place, poll: impl FnOnce() -> R) -> R {
        struct End<'a>(&'a Beat);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.end();
            }
        }
        self.seen.beat.begin(task, place);
        self.seen.guard.worker_woke();
        let _end = End(&self.seen.beat);
        poll()
    }

    /// Runs `future`, and watches its polls. `place` is where it came from.
    pub async fn watch<F: Future>(&self, place: &'static Location<'static>, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| self.around(NO_TASK, place, || future.as_mut().poll(cx))).await
    }

    /// How many polls have taken too long.
    pub(crate) fn stalls(&self) -> u64 {
        self.seen.guard.stalls.load(Ordering::Relaxed) // display only
    }
}

impl Drop for Lookout {
    /// Delivers what is still to be reported.
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::Relaxed); // ordered by the fence in `end`
        self.seen.guard.end(); // whether it sleeps, is about to, or lies between two ticks
        if let Some(monitor) = self.monitor.take() {
            let _ = monitor.join();
        }
    }
}

impl std::fmt::Debug for Lookout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookout").field("thread", &self.seen.thread).finish_non_exhaustive()
    }
}

impl Watched for Arc<Seen> {
    fn seats(&self) -> usize {
        1
    }

    fn workers(&self) -> usize {
        1
    }

    fn sight(&self, _: usize) -> Option<Sight> {
        self.beat.look()
    }

    fn look(&self, _: usize) -> Option<Look> {
        self.probe?.look()
    }

    fn slow_step(&self, task: u64) -> Option<Duration> {
        if task != NO_TASK && is_anybody_special() { (self.tell)(Some(task)).slow_step } else { None }
    }

    fn helpless(&self) -> Option<Reason> {
        Some(self.helpless)
    }

    fn all_asleep(&self) -> bool {
        self.beat.look().is_none()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) // as in `drop`
    }

    fn describe(&self, _: usize, sight: Sight) -> StallReport {
        let mut report = StallReport::new(Class::Unknown, Duration::ZERO);
        let task = (sight.task != NO_TASK).then_some(sight.task);
        report.task = task.map(TaskId::new);
        Told { name: report.name, behind: report.behind, .. } = (self.tell)(task);
        report.place = Some(sight.place);
        report.worker = self.thread.clone();
        report.call = self.probe.and_then(ThreadProbe::doing);
        report
    }

    fn stack(&self, _: usize, epoch: u64) -> AskForStack {
        let seen = self.clone();
        Box::new(move |limit| seen.address.ask(limit, || seen.beat.is_at(epoch)))
    }

    fn guard(&self) -> &Guard {
        &self.guard
    }

    // What follows is for those that can be helped.

    fn crowd(&self) -> LookAtCrowd {
        Box::new(Vec::new)
    }

    fn take_from(&self, _: usize, _: &dyn Fn(Place) -> bool) -> usize {
        0
    }

    fn sort(&self, _: &dyn Fn(Place) -> bool) -> usize {
        0
    }

    fn tend_driver(&self) -> bool {
        false
    }

    fn has_work(&self) -> bool {
        false
    }

    fn wake_sleeper(&self) -> bool {
        false
    }

    fn is_replaced(&self, _: usize) -> bool {
        false
    }

    fn replace(&self, _: usize, _: u64) -> Replacement {
        Replacement::NoSeat
    }
}
