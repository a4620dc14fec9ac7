//! The monitor: a thread that watches the workers' heartbeats while any of them is awake.
//!
//! It decides, and knows nothing of queues or threads: the scheduler hands it what it may do ([`Watched`]).
//!
//! ```text
//!  the same odd epoch at two ticks ──► suspect: a first look at the thread's clocks
//!  … for the threshold             ──► stuck: computing, blocked, or only descheduled?
//!        blocked: rescue now · computing: rescue after half as long again
//!        descheduled: the machine is busy, no blame, no report; rescue after twice the threshold
//!  … at every further tick         ──► move again what a stuck poll has woken meanwhile
//!  … for `report_after` × 1, 4, 16 ──► report
//! ```
//!
//! It ticks at half the threshold. A stall lasts as long as the ticks that saw it: when the monitor is itself late, the
//! whole process was stopped or starved (SIGSTOP, a paused machine), and nobody is to blame for that.

#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests;

mod suspects;

use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use suspects::{Sorting, Suspects};

use super::probe::{Look, SETTLED, TICK, classify, lived, process_was_stopped};
use super::report::{Action, Behind, Helper, Reason, Reporter, Schedule, StallReport};
use super::{Backtrace, Class, Guard, GuardConfig, PERMISSIONS, Sight};
use crate::sync::atomic::Ordering;
use crate::sync::thread;

/// What the monitor may see of the scheduler, and do to it.
pub(crate) trait Watched {
    /// How many seats there are, occupied or not.
    fn seats(&self) -> usize;
    /// How many workers the runtime was asked to have.
    fn workers(&self) -> usize;
    /// The poll going on at a seat.
    fn sight(&self, seat: usize) -> Option<Sight>;
    /// The clocks of a seat's thread.
    fn look(&self, seat: usize) -> Option<Look>;
    /// Asks a poll that has lasted for a tick to let others have a turn, where it can be asked.
    fn hurry(&self, _seat: usize, _epoch: u64) {}
    /// How long one step of this task may take before it is reported, if that is its own affair.
    fn slow_step(&self, _task: u64) -> Option<Duration> {
        None
    }
    /// Why nothing can be done for what waits behind a stuck poll; none if something can.
    fn helpless(&self) -> Option<Reason> {
        None
    }
    /// Moves what waits behind a stuck poll to where others find it, suspects apart; gives the number of tasks.
    fn take_from(&self, seat: usize, is_suspect: &dyn Fn(Place) -> bool) -> usize;
    /// Sets the suspects apart among the tasks that nobody has taken yet; gives the number of suspects.
    fn sort(&self, is_suspect: &dyn Fn(Place) -> bool) -> usize;
    /// Sees to the driver if nobody lies in it; true if it had to.
    fn tend_driver(&self) -> bool;
    /// Work waits that no worker has taken.
    fn has_work(&self) -> bool;
    /// Wakes a sleeping worker; false if none sleeps.
    fn wake_sleeper(&self) -> bool;
    /// Another seat works in this one's place already.
    fn is_replaced(&self, seat: usize) -> bool;
    /// Lets another seat work in a stuck one's place. Only for seats that are not replaced yet.
    fn replace(&self, seat: usize, epoch: u64) -> Replacement;
    /// Every worker sleeps.
    fn all_asleep(&self) -> bool;
    /// The scheduler has closed and its last task has ended.
    fn is_over(&self) -> bool;
    /// What a report says of the task and its thread.
    fn describe(&self, seat: usize, sight: Sight) -> StallReport;
    /// Looks what all stuck workers are at. Called on the reporter's thread.
    fn crowd(&self) -> LookAtCrowd;
    /// Asks the seat's thread for its stack, as long as it is in that poll.
    fn stack(&self, seat: usize, epoch: u64) -> AskForStack;
    /// What workers and monitor share.
    fn guard(&self) -> &Guard;
}

/// Asks a thread for its stack, and waits for no longer than it is told to.
pub(crate) type AskForStack = Box<dyn Fn(Duration) -> Backtrace + Send>;

/// A thread that sleeps or runs answers within 0.1 ms. So long the monitor waits if it has to ask itself.
const QUICKLY: Duration = Duration::from_millis(1);

/// On a busy machine a thread that shall answer first has to get a CPU. So long the reporter's thread waits.
const PATIENTLY: Duration = Duration::from_millis(20);

/// Counts the system calls that workers are stuck in.
pub(crate) type LookAtCrowd = Box<dyn FnOnce() -> Vec<(String, usize)> + Send>;

/// What came of the wish for another worker.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replacement {
    /// It is at work, or about to be.
    AtWork,
    /// Every seat is taken.
    NoSeat,
    /// Its thread could not be made.
    NoThread,
}

/// Ticks that the monitor goes on after the last worker fell asleep, so that it is not woken by each event of a
/// quiet server.
const LINGER: u32 = 8;

/// Ticks from the first look at polls that are stuck to the next, while everybody else sleeps …
const DOZE: u32 = 16;

/// … and it takes twice as long each time, until it is this often twice as long: 1.3 s at 2.5 ms a tick. What such a poll
/// wakes finds its way without the monitor (a push wakes somebody); it only has to be reported again.
const DEEPEST: u32 = 5;

/// Ticks between two permissions to wake somebody for a slot.
const REFILL: u32 = 4;

/// A place in the source that spawns tasks.
pub(crate) type Place = &'static Location<'static>;

/// One seat, as the monitor remembers it.
#[derive(Default)]
struct Watch {
    stall: Option<Stall>,
}

/// A poll that was there at two ticks.
struct Stall {
    epoch: u64,
    /// The sum of the ticks that saw it: a pause of the whole process does not count.
    lasted: Duration,
    /// What its thread was at when it was first seen, and how long the poll had lasted then.
    first: Option<(Look, Duration)>,
    class: Class,
    /// The class is not known, but may be at the next look.
    unsure: bool,
    counted: bool,
    replaced: bool,
    behind: Behind,
    /// The time that was set for this very task.
    own: Option<Duration>,
    /// When reports are due; known from the second tick on.
    reports: Option<Schedule>,
    /// Where its thread was when it was asked. Once for each stall: the signal may disturb what it is at.
    stack: Arc<OnceLock<Backtrace>>,
}

/// The monitor's own state.
pub(crate) struct Monitor<W> {
    watched: W,
    config: GuardConfig,
    tick: Duration,
    watches: Vec<Watch>,
    reporter: Option<Reporter>,
    suspects: Suspects,
    sorting: Sorting,
    /// Polls that are stuck at present, as of the last tick.
    stuck: usize,
    /// Those among them that use a CPU, and in whose place somebody works.
    computing: usize,
    idle_ticks: u32,
    /// How many permissions it gave last.
    permissions: u32,
    /// How often in a row it has dozed.
    dozes: u32,
}

impl<W: Watched> Monitor<W> {
    pub(crate) fn new(watched: W, config: GuardConfig, name: &str) -> Self {
        let tick = config.threshold / 2;
        Self::ticking(tick, watched, config, name)
    }

    /// A monitor that ticks this often, but not more than once a millisecond.
    pub(crate) fn ticking(tick: Duration, watched: W, config: GuardConfig, name: &str) -> Self {
        let watches = (0..watched.seats()).map(|_| Watch::default()).collect();
        Self {
            watched,
            tick: tick.max(Duration::from_millis(1)),
            watches,
            reporter: config.on_stall.clone().map(|sink| Reporter::new(name, sink)),
            suspects: Suspects::default(),
            sorting: Sorting::default(),
            stuck: 0,
            computing: 0,
            idle_ticks: 0,
            permissions: PERMISSIONS,
            dozes: 0,
            config,
        }
    }

    /// Watches until the scheduler is over.
    pub(crate) fn run(mut self) {
        let _ = self.watched.guard().monitor.set(thread::current());
        while !self.watched.is_over() {
            let before = Instant::now();
            let Some(meant) = self.pause() else { continue };
            let now = Instant::now();
            if process_was_stopped(meant, now - before) {
                self.begin_anew();
            }
            self.look_around(lived(meant, now - before), now);
        }
    }

    /// The monitor was late, and perhaps the whole process stood still: what a poll has lasted so far is not held against it,
    /// unless its thread has been computing all the time.
    fn begin_anew(&mut self) {
        for (seat, watch) in self.watches.iter_mut().enumerate() {
            let Some(stall) = &mut watch.stall else { continue };
            let look = self.watched.look(seat);
            let ran = stall.first.zip(look).map(|((first, _), now)| now.ran_since(&first));
            if ran.is_none_or(|ran| ran < self.config.threshold) {
                (stall.lasted, stall.first) = (Duration::ZERO, None);
            }
        }
    }

    /// Waits for the next tick and gives its length; nothing if it slept until a worker woke.
    fn pause(&mut self) -> Option<Duration> {
        if self.idle_ticks < LINGER {
            thread::park_timeout(self.tick);
            return Some(self.tick);
        }
        // Everybody sleeps, except for workers that have been replaced and are still stuck. Those are looked at now
        // and then: they are to be reported again, and may wake others.
        let length = self.tick * (DOZE << self.dozes.min(DEEPEST));
        let doze = self.watches.iter().any(|watch| watch.stall.is_some()).then_some(length);
        self.dozes += 1;
        let watched = &self.watched;
        watched.guard().permit(PERMISSIONS);
        self.permissions = PERMISSIONS;
        let woken = watched.guard().fall_asleep(doze, || watched.all_asleep() && !watched.is_over());
        if woken {
            (self.idle_ticks, self.dozes) = (0, 0);
        }
        doze
    }

    /// One tick, in which `lived` has passed.
    fn look_around(&mut self, lived: Duration, now: Instant) {
        if self.watched.guard().tick() % REFILL == 0 {
            self.permissions = self.watched.guard().refill(self.permissions);
        }
        self.idle_ticks = if self.watched.all_asleep() { self.idle_ticks.saturating_add(1) } else { 0 };
        self.sorting.wait = self.sorting.wait.saturating_sub(1);
        let stalls = self.watches.iter().filter_map(|watch| watch.stall.as_ref());
        self.stuck = stalls.clone().filter(|stall| stall.counted).count();
        self.computing = stalls.filter(|stall| stall.replaced && stall.wants_a_cpu()).count();
        for seat in 0..self.watches.len() {
            self.look_at(seat, lived, now);
        }
    }

    fn look_at(&mut self, seat: usize, lived: Duration, now: Instant) {
        let watch = &mut self.watches[seat];
        let Some(sight) = self.watched.sight(seat) else {
            watch.stall = None;
            return;
        };
        let stall = match &mut watch.stall {
            Some(stall) if stall.epoch == sight.epoch => stall,
            none => {
                *none = Some(Stall::new(sight.epoch));
                return;
            }
        };
        stall.lasted += lived;
        stall.reports.get_or_insert_with(|| {
            stall.own = self.watched.slow_step(sight.task);
            Schedule::new(stall.own.unwrap_or(self.config.report_after))
        });
        let helpless = self.watched.helpless().is_some();
        let threshold = stall.threshold(&self.config, helpless);
        let looked = self.watched.look(seat);
        let Some((first, at)) = stall.first else {
            // The second tick that finds it here: from now on we want to know what its thread does.
            self.watched.hurry(seat, sight.epoch);
            stall.first = looked.map(|look| (look, stall.lasted));
            if looked.is_none() && stall.lasted >= threshold {
                self.stuck(seat, sight, now); // the system does not say: it stays Unknown
            }
            return;
        };
        let ran = looked.map_or(Duration::ZERO, |look| look.ran_since(&first));
        stall.lasted = stall.lasted.max(at + ran); // a monitor that is late misses ticks; the kernel does not
        if stall.lasted >= threshold {
            let wall = stall.lasted - at;
            stall.class = looked.map_or(Class::Unknown, |look| classify(&first, &look, wall));
            if stall.class == Class::Descheduled && ran >= self.config.report_after + TICK {
                stall.class = Class::CpuBound; // the machine is busy, but so is this poll
            }
            stall.unsure = stall.class == Class::Unknown && looked.is_some() && wall < SETTLED;
            self.stuck(seat, sight, now);
        }
    }

    /// The poll has lasted for the threshold: acts, and reports.
    fn stuck(&mut self, seat: usize, sight: Sight, now: Instant) {
        let Some(stall) = &mut self.watches[seat].stall else { return };
        let helpless = self.watched.helpless();
        let threshold = stall.threshold(&self.config, helpless.is_some());
        let patience = match stall.class {
            Class::Blocked => threshold,
            Class::CpuBound if helpless.is_some() => threshold, // no thread comes of it
            Class::Descheduled => threshold.saturating_mul(2),
            _ => threshold.saturating_mul(3) / 2,
        };
        if stall.lasted < patience {
            return;
        }
        // The machine is busy, or may be, and the task is not to blame: nothing is counted or said. What waits behind it is
        // served all the same: another thread gets its share of the CPUs, and without one it would wait for this one's turn.
        let blameless = stall.class == Class::Descheduled || stall.unsure;
        if !blameless && !stall.counted {
            stall.counted = true;
            self.stuck += 1;
            if self.suspects.note(sight.place, now) {
                self.sorting = Sorting::default();
            }
            self.watched.guard().stalls.fetch_add(1, Ordering::Relaxed); // a counter
        }
        let action = match helpless {
            Some(reason) => Action::OnlyReported(reason),
            None if self.config.policy.rescues() => {
                let replaced = stall.replaced;
                let is_suspect = |place| self.suspects.contain(place, now);
                if self.sorting.wait == 0 && !self.suspects.are_none() {
                    self.sorting.found(self.watched.sort(&is_suspect));
                }
                let room = self.computing < self.watched.workers();
                let action = rescue(&self.watched, seat, stall, (self.stuck, room), &is_suspect);
                self.computing += usize::from(!replaced && stall.replaced && stall.wants_a_cpu());
                action
            }
            None => Action::OnlyReported(Reason::TurnedOff),
        };
        let Some(reporter) = &mut self.reporter else { return };
        let is_due = |stall: &mut Stall| stall.reports.as_mut().is_some_and(|it| it.is_due(stall.lasted));
        if !blameless && is_due(stall) {
            let mut report = self.watched.describe(seat, sight);
            report.class = stall.class;
            report.lasted = stall.lasted;
            report.behind.tasks += stall.behind.tasks;
            report.behind.timers_waited |= stall.behind.timers_waited;
            report.action = action;
            let (stack, lasted) = (stall.stack.clone(), stall.lasted);
            let ask = self.watched.stack(seat, sight.epoch);
            let ask = move |limit| ask(limit).after(lasted);
            if reporter.is_busy() {
                let _ = once(&stack, &ask, QUICKLY); // the poll may be over before the reporter comes to it
            }
            let crowd = matches!(action, Action::Saturated { .. }).then(|| self.watched.crowd());
            let draft = move || {
                let crowd = crowd.map_or_else(Vec::new, |look| look());
                StallReport { backtrace: once(&stack, &ask, PATIENTLY), crowd, ..report }
            };
            let _ = reporter.report(draft, now); // what is left out, the reporter counts
        }
    }
}

/// The stack that is known, or else the answer of the thread.
fn once(known: &OnceLock<Backtrace>, ask: &impl Fn(Duration) -> Backtrace, limit: Duration) -> Backtrace {
    if let Some(known) = known.get() {
        return known.clone();
    }
    let answer = ask(limit);
    if answer.is_taken() {
        return known.get_or_init(|| answer).clone();
    }
    answer // perhaps next time
}

/// Sees to it that what waits behind the stuck poll is served by somebody else. `stuck` polls there are, and is there `room`
/// for one more worker beside those that compute?
fn rescue<W: Watched>(
    watched: &W,
    seat: usize,
    stall: &mut Stall,
    (stuck, room): (usize, bool),
    is_suspect: &dyn Fn(Place) -> bool,
) -> Action {
    let moved = watched.take_from(seat, is_suspect);
    stall.behind.tasks += moved;
    watched.guard().moved.fetch_add(moved as u64, Ordering::Relaxed); // a counter
    stall.behind.timers_waited |= watched.tend_driver();
    // Also if it was marked so late that it had begun this poll already, and if a pause made us forget the stall.
    stall.replaced |= watched.is_replaced(seat);
    if watched.has_work() && !watched.wake_sleeper() && !stall.replaced {
        if stall.wants_a_cpu() && !room {
            return Action::OnlyReported(Reason::Overloaded);
        }
        match watched.replace(seat, stall.epoch) {
            Replacement::AtWork => stall.replaced = true,
            Replacement::NoSeat => return Action::Saturated { stuck },
            Replacement::NoThread => return Action::OnlyReported(Reason::NoThread),
        }
        watched.guard().rescues.fetch_add(1, Ordering::Relaxed); // a counter
    }
    let moved = stall.behind.tasks;
    let by = match (stall.replaced, moved > 0, stall.behind.timers_waited) {
        (true, _, _) => Helper::RescueWorker,
        (false, true, _) => Helper::IdleWorker,
        (false, false, true) => Helper::Guard,
        (false, false, false) => return Action::OnlyReported(Reason::NothingWaited),
    };
    Action::Rescued { moved, by }
}

impl Stall {
    /// It computes: who works in its place has to share the CPU with it. Blocked ones cost none.
    fn wants_a_cpu(&self) -> bool {
        matches!(self.class, Class::CpuBound | Class::Descheduled)
    }

    /// When it is stuck: where nothing can be done but to tell, that is when it is to be told.
    fn threshold(&self, config: &GuardConfig, helpless: bool) -> Duration {
        self.own.filter(|_| helpless).unwrap_or(config.threshold)
    }

    fn new(epoch: u64) -> Self {
        Self {
            epoch,
            lasted: Duration::ZERO,
            first: None,
            class: Class::Unknown,
            unsure: false,
            counted: false,
            replaced: false,
            behind: Behind::default(),
            own: None,
            reports: None,
            stack: Arc::default(),
        }
    }
}
