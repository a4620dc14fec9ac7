//! What one thread of a pool is doing, and what happens when that has to wait.
//!
//! The desk belongs to one thread. Others read it: reports want to know what runs, and for how long. While the thread's
//! job waits on a handle of ours, the thread is *absent*: the desk keeps what it left (its room in a lane, its permit of
//! a limiter), to be taken back when it goes on.

use std::sync::Arc;

use unstuck_core::job::{Host, QueuedJob, RunningJob};
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

    /// Marks the job as absent, or as back; gives the room that changes hands, if it does.
    fn set_absent(&self, absent: bool) -> Option<(RunningJob, Room)> {
        let mut work = self.work.lock();
        let work = work.as_mut().filter(|work| work.absent != absent)?;
        work.absent = absent;
        Some((work.job.clone(), work.room.clone()))
    }
}

/// A thread's desk in its pool, as its jobs reach it when they wait.
pub(crate) struct Place {
    pub(crate) shared: Arc<Shared>,
    pub(crate) desk: Arc<Desk>,
}

impl Host for Place {
    fn waits(&self) -> Result<(), String> {
        let Some((job, Room { lane, limiter })) = self.desk.set_absent(true) else { return Ok(()) };
        if let Some(limiter) = &limiter {
            limiter.lend();
        }
        let Some(lane) = lane else { return Ok(()) };
        let roster = &self.shared.roster;
        match roster.waits(lane, |first| first.map(|first| first.job.token().to_string())) {
            Ok(call) => {
                worker::answer(&self.shared, call);
                Ok(())
            }
            Err(queued) => {
                self.desk.set_absent(false);
                if let Some(limiter) = &limiter {
                    limiter.take_back();
                }
                let (waiter, queued) = (job.token(), queued.unwrap_or_default());
                let limits = self.shared.limits();
                Err(format!(
                    "{waiter} must not wait, because {queued} is queued and every thread of its pool would wait ({limits}): \
                     await in a task instead of blocking here, or allow more threads"
                ))
            }
        }
    }

    fn goes_on(&self) {
        let Some((_, Room { lane, limiter })) = self.desk.set_absent(false) else { return };
        if let Some(lane) = lane {
            self.shared.roster.goes_on(lane);
        }
        if let Some(limiter) = &limiter {
            limiter.take_back();
        }
    }
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
