//! What one thread of a pool is doing, and what happens when that has to wait.
//!
//! The desk belongs to one thread. Others read it: reports want to know what runs, and for how long. While the thread's
//! job waits on a handle of ours, the thread is *absent*: the desk keeps what it left (its room in a lane, its permit of
//! a limiter), to be taken back when it goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use unstuck_core::job::{Awaits, Host, RunningJob, say};
use unstuck_core::sync::Mutex;

use crate::lanes::Lane;
use crate::limiter::Limiter;
use crate::pool::{Entry, Shared};
use crate::roster::{Allowed, Goes};
use crate::worker;

/// What one thread is doing.
#[derive(Default)]
pub(crate) struct Desk {
    work: Mutex<Option<Work>>,
}

struct Work {
    job: RunningJob,
    room: Room,
    /// Its job waits, and its room is lent meanwhile.
    absence: Option<Absence>,
}

/// What a job takes up while it runs.
#[derive(Clone)]
struct Room {
    /// `None` on a thread of its own.
    lane: Option<Lane>,
    limiter: Option<Limiter>,
}

/// A wait.
struct Absence {
    awaits: Awaits,
    /// Only a thread of this pool can end it.
    bound: bool,
    /// What the roster said when it was last asked, and how long ago that may be at the least.
    turns: u64,
    patience: Duration,
}

/// So long after the last thread of a pool has begun to wait it looks whether the pool stands still.
const PATIENCE: Duration = Duration::from_secs(1);

impl Desk {
    pub(crate) fn begin(&self, entry: &Entry, lane: Option<Lane>) {
        let limiter = entry.permit.as_ref().map(|permit| permit.limiter().clone());
        let job = RunningJob::begins(&entry.job);
        *self.work.lock() = Some(Work { job, room: Room { lane, limiter }, absence: None });
    }

    pub(crate) fn end(&self) {
        let ended = self.work.lock().take();
        drop(ended);
    }

    pub(crate) fn running(&self) -> Option<RunningJob> {
        self.work.lock().as_ref().map(|work| work.job.clone())
    }

    /// The job, if it runs and counts against this limit.
    fn running_in(&self, limiter: &Limiter) -> Option<RunningJob> {
        let work = self.work.lock();
        let counts = |work: &&Work| {
            work.absence.is_none() && work.room.limiter.as_ref().is_some_and(|it| it.is(limiter))
        };
        work.as_ref().filter(counts).map(|work| work.job.clone())
    }

    /// The job and its room, and whether it is bound if it waits.
    fn work(&self) -> Option<(RunningJob, Room, Option<bool>)> {
        let work = self.work.lock();
        let bound = |work: &Work| work.absence.as_ref().map(|absence| absence.bound);
        work.as_ref().map(|work| (work.job.clone(), work.room.clone(), bound(work)))
    }

    fn set_absence(&self, absence: Option<Absence>) {
        let _before; // dropped after the lock
        let mut work = self.work.lock();
        _before = work.as_mut().and_then(|work| std::mem::replace(&mut work.absence, absence));
    }

    /// What the roster said last, and what is waited for.
    fn asks(&self) -> (u64, String) {
        let work = self.work.lock();
        let Some(absence) = work.as_ref().and_then(|work| work.absence.as_ref()) else {
            return Default::default();
        };
        (absence.turns, named(&absence.awaits))
    }

    /// Notes what the roster has said, and asks for longer patience each time.
    fn set_turns(&self, turns: u64) -> Option<Duration> {
        let mut work = self.work.lock();
        let absence = work.as_mut()?.absence.as_mut()?;
        absence.turns = turns;
        absence.patience = absence.patience.saturating_mul(2);
        Some(absence.patience)
    }

    /// If nobody works here whom the roster counts, or it waits for the pool with this key, and what it waits for has not
    /// happened.
    fn is_in_circle(&self, key: usize) -> bool {
        let work = self.work.lock();
        let Some(work) = work.as_ref().filter(|work| work.room.lane.is_some()) else { return true };
        match work.absence.as_ref().map(|absence| &absence.awaits) {
            Some(Awaits::Jobs(jobs)) => jobs.iter().all(|job| job.is_for(key)),
            Some(Awaits::Room(pool)) => *pool == key,
            Some(Awaits::Something) | None => false,
        }
    }
}

/// Whom a job waits for.
fn named(awaits: &Awaits) -> String {
    match awaits {
        Awaits::Something => "something".into(),
        Awaits::Jobs(jobs) => jobs.first().map(ToString::to_string).unwrap_or_default(),
        Awaits::Room(_) => "room in its queue".into(),
    }
}

/// A thread's desk in its pool, as its jobs reach it when they wait.
pub(crate) struct Place {
    pub(crate) shared: Arc<Shared>,
    pub(crate) desk: Arc<Desk>,
}

impl Place {
    /// Why `waiter` must not wait, if nothing that the threads of its pool wait for can ever happen.
    fn circle(&self, waiter: &RunningJob, awaited: &str) -> Option<String> {
        let (shared, key) = (&self.shared, worker::key(&self.shared));
        shared.census.desks().iter().all(|desk| desk.is_in_circle(key)).then(|| {
            format!(
                "{} must not wait for {awaited}, because every thread of its pool would wait for jobs of that same pool \
                 ({}): await in a task instead of blocking here, or allow more threads",
                waiter.token(),
                shared.limits(),
            )
        })
    }
}

impl Host for Place {
    /// Leaves the room in the lane, then the limiter's: a wait that is refused has lent no permit.
    fn waits(&self, awaits: Awaits) -> Result<Option<Duration>, String> {
        let Some((job, Room { lane, limiter }, None)) = self.desk.work() else { return Ok(None) };
        let key = worker::key(&self.shared);
        let bound = match &awaits {
            Awaits::Something => false,
            Awaits::Jobs(jobs) => jobs.iter().all(|job| job.is_for(key)),
            Awaits::Room(pool) => *pool == key,
        };
        let awaited = awaits.clone();
        self.desk.set_absence(Some(Absence { awaits, bound, turns: 0, patience: PATIENCE / 2 }));
        let mut patience = None;
        if let Some(lane) = lane {
            match self.shared.roster.waits(lane, bound, || self.circle(&job, &named(&awaited))) {
                Ok(Allowed { call, last, turns }) => {
                    worker::answer(&self.shared, call);
                    if last {
                        patience = self.desk.set_turns(turns);
                    }
                }
                Err(why) => {
                    self.desk.set_absence(None);
                    return Err(why);
                }
            }
        }
        if let Some(limiter) = &limiter {
            limiter.lend();
        }
        Ok(patience)
    }

    fn still_waits(&self) -> Result<Option<Duration>, String> {
        let Some((job, _, Some(_))) = self.desk.work() else { return Ok(None) };
        let (turns, awaited) = self.desk.asks();
        let name = |entry: &Entry| entry.job.token().to_string();
        let goes = self.shared.roster.stands_still(turns, || self.circle(&job, &awaited), name)?;
        Ok(match goes {
            Goes::On => None,
            Goes::Slowly(turns) => self.desk.set_turns(turns),
            Goes::Nowhere(queued) => {
                if let Some(queued) = queued {
                    tell_of_standstill(&self.shared, &job, &queued);
                }
                self.desk.set_turns(turns)
            }
        })
    }

    /// The other way round: it is absent until it has its permit.
    fn goes_on(&self) {
        let Some((job, Room { lane, limiter }, Some(bound))) = self.desk.work() else { return };
        if let Some(limiter) = &limiter {
            limiter.take_back(|| tell(&self.shared, &job, limiter));
        }
        self.desk.set_absence(None);
        if let Some(lane) = lane {
            self.shared.roster.goes_on(lane, bound);
        }
    }
}

/// All threads wait, jobs are queued, and nothing has happened for a while. Once in a pool's life: it may be as it should.
#[cold]
fn tell_of_standstill(shared: &Shared, waiter: &RunningJob, queued: &str) {
    // Relaxed: a once-flag that guards nothing.
    if shared.told.swap(true, Ordering::Relaxed) {
        return;
    }
    let counts = shared.roster.counts();
    say(format_args!(
        "'{}' stands still: all its {} threads wait, as {} does, and {} jobs are queued, the first one is {queued} ({}). \
         They run when one of the waits ends. If that one waits for these, none ever does: await in tasks instead of \
         blocking in jobs",
        shared.recipe.name,
        counts.threads,
        waiter.token(),
        counts.queued + counts.at_the_door,
        shared.limits(),
    ));
}

/// A job that has waited for another one waits for its permit to come back. Mostly those that have it now will end soon.
#[cold]
fn tell(shared: &Shared, job: &RunningJob, limiter: &Limiter) {
    let inside: Vec<_> = shared.census.desks().iter().filter_map(|desk| desk.running_in(limiter)).collect();
    say(format_args!(
        "{} has waited for another job, and goes on when one of these leaves '{}' (limit {}):{}",
        job.token(),
        limiter.name(),
        limiter.statistics().limit,
        if inside.is_empty() { " jobs of other pools" } else { "" },
    ));
    inside.iter().take(10).for_each(|job| say(format_args!("  {job}")));
    say(format_args!(
        "  if they want a lock that it holds, none of them goes on: hold no lock across a wait"
    ));
}
