//! What one thread of a pool is doing, and what happens when that has to wait.
//!
//! The desk belongs to one thread. Others read it: reports want to know what runs, and for how long. While the thread's
//! job waits on a handle of ours, the thread is *absent*: the desk keeps what it left (its room in a lane, its permit of
//! a limiter), to be taken back when it goes on.

use std::sync::Arc;

use unstuck_core::job::{Host, QueuedJob, RunningJob, say};
use unstuck_core::sync::Mutex;

use crate::lanes::Lane;
use crate::limiter::Limiter;
use crate::pool::{Entry, Shared};
use crate::worker;

/// What one thread is doing.
#[derive(Default)]
pub(crate) struct Desk {
    work: Mutex<Option<Work>>,
}

struct Work {
    job: RunningJob,
    room: Room,
    /// Its job waits for another one, and its room is lent meanwhile.
    absent: bool,
}

/// What a job takes up while it runs.
#[derive(Clone)]
struct Room {
    /// `None` on a thread of its own.
    lane: Option<Lane>,
    limiter: Option<Limiter>,
}

impl Desk {
    pub(crate) fn begin(&self, entry: &Entry, lane: Option<Lane>) {
        let limiter = entry.permit.as_ref().map(|permit| permit.limiter().clone());
        let job = RunningJob::begins(&entry.job);
        *self.work.lock() = Some(Work { job, room: Room { lane, limiter }, absent: false });
    }

    pub(crate) fn end(&self) {
        let ended = self.work.lock().take();
        drop(ended);
    }

    pub(crate) fn running(&self) -> Option<RunningJob> {
        self.work.lock().as_ref().map(|work| work.job.clone())
    }

    pub(crate) fn waiting(&self) -> Option<RunningJob> {
        self.work.lock().as_ref().filter(|work| work.absent).map(|work| work.job.clone())
    }

    /// The job, if it runs and counts against this limit.
    fn running_in(&self, limiter: &Limiter) -> Option<RunningJob> {
        let work = self.work.lock();
        let counts =
            |work: &&Work| !work.absent && work.room.limiter.as_ref().is_some_and(|it| it.is(limiter));
        work.as_ref().filter(counts).map(|work| work.job.clone())
    }

    /// The job that is absent, or is not, and its room.
    fn work(&self, absent: bool) -> Option<(RunningJob, Room)> {
        let work = self.work.lock();
        work.as_ref().filter(|work| work.absent == absent).map(|work| (work.job.clone(), work.room.clone()))
    }

    fn set_absent(&self, absent: bool) {
        if let Some(work) = &mut *self.work.lock() {
            work.absent = absent;
        }
    }
}

/// A thread's desk in its pool, as its jobs reach it when they wait.
pub(crate) struct Place {
    pub(crate) shared: Arc<Shared>,
    pub(crate) desk: Arc<Desk>,
}

impl Host for Place {
    /// Leaves the room in the lane, then the limiter's: a wait that is refused has lent no permit.
    fn waits(&self) -> Result<(), String> {
        let Some((job, Room { lane, limiter })) = self.desk.work(false) else { return Ok(()) };
        self.desk.set_absent(true);
        let name = |entry: &Entry| entry.job.token().to_string();
        if let Some(lane) = lane {
            let comes = limiter.as_ref().and_then(|limiter| limiter.first_to_gain(name));
            match self.shared.roster.waits(lane, comes.is_some(), |first| first.map(name)) {
                Ok(call) => worker::answer(&self.shared, call),
                Err(queued) => {
                    self.desk.set_absent(false);
                    let (waiter, queued) = (job.token(), queued.or(comes).unwrap_or_default());
                    let limits = self.shared.limits();
                    return Err(format!(
                        "{waiter} must not wait, because {queued} is queued and every thread of its pool would wait \
                         ({limits}): await in a task instead of blocking here, or allow more threads"
                    ));
                }
            }
        }
        if let Some(limiter) = &limiter {
            limiter.lend();
        }
        Ok(())
    }

    /// The other way round: it is absent until it has its permit.
    fn goes_on(&self) {
        let Some((job, Room { lane, limiter })) = self.desk.work(true) else { return };
        if let Some(limiter) = &limiter {
            limiter.take_back(|| tell(&self.shared, &job, limiter));
        }
        self.desk.set_absent(false);
        if let Some(lane) = lane {
            self.shared.roster.goes_on(lane);
        }
    }
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

/// Why a job cannot be taken in when all threads wait already.
pub(crate) fn all_wait(shared: &Shared, job: &QueuedJob) -> String {
    let waiter = shared.census.waiting().map_or("other jobs".into(), |job| job.token().to_string());
    let (job, limits) = (job.token(), shared.limits());
    format!(
        "every thread of its pool waits, as {waiter} does, and none would ever run {job} ({limits}): await in tasks \
         instead of blocking there, or allow more threads"
    )
}
