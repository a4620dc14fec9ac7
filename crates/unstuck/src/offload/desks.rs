//! Which short calls run on workers just now: for the end of the runtime, which asks them to stop, and its report.
//!
//! A pool knows its threads' jobs by their desks. A worker has a desk, too, made with its first short call: one lock that
//! nobody else wants, once a call (some ten nanoseconds). What lies on it may be over; whoever looks asks the job.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Instant;

use unstuck_core::job::{CancelToken, QueuedJob, RunningJob};
use unstuck_core::sync::Mutex;

use crate::runtime::Handle;
use crate::runtime::stack;

/// The desks of one runtime's workers.
#[derive(Default)]
pub(crate) struct Desks(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    desks: Vec<Arc<Desk>>,
    /// The runtime ends: whoever begins now is told at once.
    cancelling: bool,
}

/// What one worker is doing.
#[derive(Default)]
struct Desk(Mutex<Work>);

#[derive(Default)]
struct Work {
    /// The last short call here, and when it began.
    last: Option<(CancelToken, Instant)>,
    cancelling: bool,
}

thread_local! {
    /// This worker's desk. A thread is a worker of one runtime, for life.
    static DESK: OnceCell<Arc<Desk>> = const { OnceCell::new() };
}

/// `job` begins on this worker.
#[inline]
pub(super) fn begins(job: &QueuedJob, since: Instant) {
    DESK.with(|desk| desk.get_or_init(new_desk).begins(job, since));
}

#[cold]
fn new_desk() -> Arc<Desk> {
    let current = |handle: Option<&Handle>| handle.map(|handle| handle.stack().desks.new_desk());
    stack::with_current(current).unwrap_or_default()
}

impl Desks {
    fn new_desk(&self) -> Arc<Desk> {
        let mut inside = self.0.lock();
        // Those of workers that have left: the guard's come and go.
        inside.desks.retain(|desk| Arc::strong_count(desk) > 1);
        let work = Work { last: None, cancelling: inside.cancelling };
        let desk = Arc::new(Desk(Mutex::new(work)));
        inside.desks.push(desk.clone());
        desk
    }

    /// The calls that run now.
    pub(crate) fn running(&self) -> Vec<RunningJob> {
        let desks = self.0.lock().desks.clone();
        desks.iter().filter_map(|desk| desk.running()).collect()
    }

    /// The runtime ends: asks the calls that run to stop, and those that begin later.
    pub(crate) fn cancel(&self) {
        let desks = {
            let mut inside = self.0.lock();
            inside.cancelling = true;
            inside.desks.clone()
        };
        // Its lock orders it: a call that begins later sees the mark, and one that has begun is found here.
        desks.iter().for_each(|desk| desk.0.lock().cancelling = true);
        desks.iter().filter_map(|desk| desk.running()).for_each(|job| job.cancel());
    }
}

impl Desk {
    #[inline]
    fn begins(&self, job: &QueuedJob, since: Instant) {
        let token = job.token();
        let mut work = self.0.lock();
        if work.cancelling {
            token.cancel();
        }
        let before = work.last.replace((token, since));
        drop(work);
        drop(before); // not under the lock
    }

    fn running(&self) -> Option<RunningJob> {
        let last = self.0.lock().last.clone();
        last.filter(|(token, _)| !token.is_over()).map(|(token, since)| RunningJob::begins_at(token, since))
    }
}
