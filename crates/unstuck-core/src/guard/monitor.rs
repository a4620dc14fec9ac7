//! The monitor: a thread that watches the workers' heartbeats while any of them is awake.
//!
//! It decides, and knows nothing of queues or threads: the scheduler hands it what it may do ([`Watched`]).
//!
//! ```text
//!  the same odd epoch at two ticks ──► suspect: a first look at the thread's clocks
//!  … for the threshold             ──► stuck: computing, blocked, or only descheduled?
//!        blocked: rescue now · computing: rescue after twice the threshold · descheduled: the machine is busy, no blame
//!  … at every further tick         ──► move again what a stuck poll has woken meanwhile
//!  … for `report_after` × 1, 4, 16 ──► report
//! ```
//!
//! It ticks at half the threshold. When it is itself late by more than a tick, the whole process was stopped or starved
//! (SIGSTOP, a paused machine): then nobody is to blame, and all watches start anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::probe::{Look, classify};
use super::report::{Action, Behind, Reporter, Schedule, StallReport};
use super::{Class, Guard, GuardConfig, Sight, StallPolicy};
use crate::sync::atomic::Ordering;
use crate::sync::thread;

/// What the monitor may see of the scheduler, and do to it.
pub(crate) trait Watched {
    /// How many seats there are, occupied or not.
    fn seats(&self) -> usize;
    /// The poll going on at a seat.
    fn sight(&self, seat: usize) -> Option<Sight>;
    /// The clocks of a seat's thread.
    fn look(&self, seat: usize) -> Option<Look>;
    /// Moves what waits behind a stuck poll to where others find it; gives the number of tasks.
    fn take_from(&self, seat: usize) -> usize;
    /// Sees to the driver if nobody lies in it; true if it had to.
    fn tend_driver(&self) -> bool;
    /// Work waits that no worker has taken.
    fn has_work(&self) -> bool;
    /// Wakes a sleeping worker; false if none sleeps.
    fn wake_sleeper(&self) -> bool;
    /// Lets another seat work in a stuck one's place; false if that is not possible.
    fn replace(&self, seat: usize) -> bool;
    /// Every worker sleeps.
    fn all_asleep(&self) -> bool;
    /// The scheduler has closed and its last task has ended.
    fn is_over(&self) -> bool;
    /// Fills in what a report says of the task and its thread.
    fn describe(&self, seat: usize, sight: Sight, report: &mut StallReport);
    /// What workers and monitor share.
    fn guard(&self) -> &Guard;
}

/// Ticks that the monitor goes on after the last worker fell asleep, so that it is not woken by each event of a
/// quiet server.
const LINGER: u32 = 8;

/// Ticks between two permissions to wake somebody for a slot.
const REFILL: u32 = 4;

/// One seat, as the monitor remembers it.
#[derive(Default)]
struct Watch {
    stall: Option<Stall>,
}

/// A poll that was there at two ticks.
struct Stall {
    epoch: u64,
    since: Instant,
    first: Option<(Look, Instant)>,
    class: Class,
    counted: bool,
    replaced: bool,
    moved: usize,
    timers: bool,
    reports: Schedule,
}

/// The monitor's own state.
pub(crate) struct Monitor<W> {
    watched: W,
    config: GuardConfig,
    tick: Duration,
    watches: Vec<Watch>,
    reporter: Reporter,
    idle_ticks: u32,
    ticks: u32,
}

impl<W: Watched> Monitor<W> {
    pub(crate) fn new(watched: W, config: GuardConfig, name: &str) -> Self {
        let tick = (config.threshold / 2).max(Duration::from_millis(1));
        let watches = (0..watched.seats()).map(|_| Watch::default()).collect();
        let reporter = Reporter::new(name, config.on_stall.clone());
        Self { watched, config, tick, watches, reporter, idle_ticks: 0, ticks: 0 }
    }

    /// Watches until the scheduler is over.
    pub(crate) fn run(mut self) {
        let _ = self.watched.guard().monitor.set(thread::current());
        let mut last = Instant::now();
        while !self.watched.is_over() {
            if self.idle_ticks >= LINGER {
                self.watched.guard().refill();
                let watched = &self.watched;
                watched.guard().fall_asleep(|| watched.all_asleep() && !watched.is_over());
                self.idle_ticks = 0;
                last = Instant::now();
            }
            thread::park_timeout(self.tick);
            let now = Instant::now();
            if now - last > 3 * self.tick {
                self.forget_everything();
            }
            last = now;
            self.look_around(now);
        }
    }

    fn forget_everything(&mut self) {
        for watch in &mut self.watches {
            watch.stall = None;
        }
    }

    fn look_around(&mut self, now: Instant) {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks % REFILL == 0 {
            self.watched.guard().refill();
        }
        self.idle_ticks = if self.watched.all_asleep() { self.idle_ticks + 1 } else { 0 };
        for seat in 0..self.watches.len() {
            self.look_at(seat, now);
        }
    }

    fn look_at(&mut self, seat: usize, now: Instant) {
        let watch = &mut self.watches[seat];
        let Some(sight) = self.watched.sight(seat) else {
            watch.stall = None;
            return;
        };
        let stall = match &mut watch.stall {
            Some(stall) if stall.epoch == sight.epoch => stall,
            none => {
                *none = Some(Stall::new(sight.epoch, now, self.config.report_after));
                return;
            }
        };
        let lasted = now - stall.since;
        let Some((first, looked)) = stall.first else {
            // The second tick that finds it here: from now on we want to know what its thread does.
            stall.first = Some((self.watched.look(seat).unwrap_or_default(), now));
            return;
        };
        if lasted < self.config.threshold {
            return;
        }
        stall.class = match self.watched.look(seat) {
            Some(look) => classify(&first, &look, now - looked),
            None => Class::Unknown,
        };
        match stall.class {
            Class::Descheduled => return, // the machine is busy: no blame, and more threads would not help
            Class::Blocked => {}
            _ if lasted < 2 * self.config.threshold => return,
            _ => {}
        }
        if !stall.counted {
            stall.counted = true;
            self.watched.guard().stalls.fetch_add(1, Ordering::Relaxed); // a counter
        }
        let action = if self.config.policy == StallPolicy::Rescue {
            Self::rescue(&self.watched, seat, stall)
        } else {
            Action::OnlyReported
        };
        if stall.reports.is_due(lasted) {
            let mut report = StallReport::new(stall.class, lasted);
            report.behind = Behind { tasks: stall.moved, timers: stall.timers };
            report.action = action;
            self.watched.describe(seat, sight, &mut report);
            self.reporter.report(report, now);
        }
    }

    /// Sees to it that what waits behind the stuck poll is served by somebody else.
    fn rescue(watched: &W, seat: usize, stall: &mut Stall) -> Action {
        let moved = watched.take_from(seat);
        stall.moved += moved;
        watched.guard().moved.fetch_add(moved as u64, Ordering::Relaxed); // a counter
        stall.timers |= watched.tend_driver();
        if watched.has_work() && !watched.wake_sleeper() && !stall.replaced {
            stall.replaced = watched.replace(seat);
            if !stall.replaced {
                return Action::Saturated;
            }
            watched.guard().rescues.fetch_add(1, Ordering::Relaxed); // a counter
        }
        match (stall.replaced, stall.moved > 0 || stall.timers) {
            (true, _) => Action::RescueWorker,
            (false, true) => Action::IdleWorker,
            (false, false) => Action::NothingWaited,
        }
    }
}

impl Stall {
    fn new(epoch: u64, since: Instant, report_after: Duration) -> Self {
        Self {
            epoch,
            since,
            first: None,
            class: Class::Unknown,
            counted: false,
            replaced: false,
            moved: 0,
            timers: false,
            reports: Schedule::new(report_after),
        }
    }
}

impl<T: Watched> Watched for Arc<T> {
    fn seats(&self) -> usize {
        T::seats(self)
    }
    fn sight(&self, seat: usize) -> Option<Sight> {
        T::sight(self, seat)
    }
    fn look(&self, seat: usize) -> Option<Look> {
        T::look(self, seat)
    }
    fn take_from(&self, seat: usize) -> usize {
        T::take_from(self, seat)
    }
    fn tend_driver(&self) -> bool {
        T::tend_driver(self)
    }
    fn has_work(&self) -> bool {
        T::has_work(self)
    }
    fn wake_sleeper(&self) -> bool {
        T::wake_sleeper(self)
    }
    fn replace(&self, seat: usize) -> bool {
        T::replace(self, seat)
    }
    fn all_asleep(&self) -> bool {
        T::all_asleep(self)
    }
    fn is_over(&self) -> bool {
        T::is_over(self)
    }
    fn describe(&self, seat: usize, sight: Sight, report: &mut StallReport) {
        T::describe(self, seat, sight, report);
    }
    fn guard(&self) -> &Guard {
        T::guard(self)
    }
}
