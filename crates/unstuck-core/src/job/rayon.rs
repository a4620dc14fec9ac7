//! A plain rayon pool is an executor too.
//!
//! # A job that waits for one behind it
//! Nobody can add a thread to a rayon pool, and whoever sleeps on one of its threads keeps it: a job that waits for another
//! one of the same pool may wait for ever. So it does not sleep: if the job that it waits for ([`JobHandle::wait`]) has
//! not begun, **it runs that job itself**, as a call. What the pool finds in its queue later is an empty shell.
//!
//! It is the very job that is waited for, and no other, so this can do nothing that a call would not do.
//!
//! Rejected: to run whatever the pool has queued (`rayon::yield_now`) until the handle has its value. Any job may come
//! then: one that wants a lock that the waiting job holds, which would be a new way to hang, or one that waits in its turn,
//! and a thousand of those lie on top of each other on one stack.
//!
//! Does not see a wait through something else: `block_on`, a task, a job elsewhere that waits for one here. There
//! unstuck-cpu's pool adds a thread.
//!
//! The impl lives here because trait and type must meet where one of them is at home; only the `rayon` feature, which
//! unstuck-cpu turns on, adds the dependency.

use super::{Executor, Job, JobHandle, Options, host, job};

impl<J: Job> Executor<J> for rayon::ThreadPool {
    /// Spawns the job on the pool. A panic is the job's error: rayon alone would abort the process.
    fn submit(&self, work: J, options: Options) -> JobHandle<J::Output> {
        let (queued, handle) = job(work, from_here(self, options));
        self.spawn(move || {
            queued.run();
        });
        handle
    }
}

/// Who waits for the job on a thread of this pool may run it. Which pool a thread belongs to cannot be asked without the pool,
/// so a job that comes from another pool is left to this one: that is where it will be waited for.
fn from_here(pool: &rayon::ThreadPool, options: Options) -> Options {
    let from_another = rayon::current_thread_index().is_some() && pool.current_thread_index().is_none();
    if from_another { options } else { options.waiter_may_run_it(on_a_plain_rayon_thread) }
}

/// True on a thread of a rayon pool that is nobody's but rayon's. Those that host jobs of ours see to waits in their way.
fn on_a_plain_rayon_thread() -> bool {
    rayon::current_thread_index().is_some() && !host::is_hosted()
}
